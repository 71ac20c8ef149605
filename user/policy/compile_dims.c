// SPDX-License-Identifier: GPL-2.0-only
/* The dimensions that packets are matched in: which rules ask for what, and which class each value has. */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "user/policy/compile.h"

static const struct config_endpoint *endpoint_of(const struct item *item, enum fl_dim dim)
{
	return dim == FL_DIM_SRC || dim == FL_DIM_SPORT ? item->source : item->destination;
}

/* ---- addresses ---- */

/* What "self", "lan:network" and "lan:address" are, once it has been asked for. */
struct known_term {
	enum config_term_kind kind;
	struct config_link link;
	uint32_t atom;
};

struct addresses {
	struct builder *b;
	struct sweep sweep;
	struct events events[2]; /* IPv4, IPv6 */
	uint32_t *aliases;	 /* their atoms, by index; HASH_NONE: none yet */
	struct known_term *known;
	size_t n_known, cap_known;
};

static void fail_with(struct builder *b, int err)
{
	if (err && !b->err)
		b->err = err;
}

static uint64_t half(const struct in6_addr *a, size_t from)
{
	uint64_t value = 0;
	size_t i;

	for (i = from; i < from + 8; i++)
		value = value << 8 | a->s6_addr[i];
	return value;
}

/* The atom begins at the first address and ends behind the last, where there is one behind it. */
static void add_range(struct addresses *a, const struct addr_range *range, uint32_t atom)
{
	struct events *events = &a->events[range->first.family == AF_INET6];
	uint64_t hi = 0, lo;

	if (range->first.family == AF_INET) {
		lo = ntohl(range->last.v4.s_addr) + 1ULL;
		fail_with(a->b, events_add(events, 0, ntohl(range->first.v4.s_addr), atom));
		if (lo <= UINT32_MAX)
			fail_with(a->b, events_add(events, 0, lo, atom));
		return;
	}
	fail_with(a->b, events_add(events, half(&range->first.v6, 0), half(&range->first.v6, 8), atom));
	lo = half(&range->last.v6, 8) + 1;
	hi = half(&range->last.v6, 0) + !lo;
	if (lo || hi)
		fail_with(a->b, events_add(events, hi, lo, atom));
}

static uint32_t alias_atom(struct addresses *a, const struct config_alias *alias)
{
	static const int families[] = { AF_INET, AF_INET6 };
	uint32_t *atom = &a->aliases[alias - a->b->config->aliases];
	struct addr_range *ranges;
	size_t f, i, n;

	if (*atom != HASH_NONE)
		return *atom;
	*atom = sweep_atom(&a->sweep);
	for (f = 0; f < 2; f++) {
		if (config_alias_addresses(a->b->config, alias, families[f], &ranges, &n)) {
			fail_with(a->b, -ENOMEM);
			break;
		}
		for (i = 0; i < n; i++)
			add_range(a, &ranges[i], *atom);
		free(ranges);
	}
	return *atom;
}

static bool same_link(const struct config_link *x, const struct config_link *y)
{
	return x->interface == y->interface && x->tunnel == y->tunnel;
}

static const struct policy_port *port_of(const struct policy_facts *facts, const struct config_link *link)
{
	size_t i;

	for (i = 0; i < facts->n_ports; i++) {
		const struct policy_port *port = &facts->ports[i];

		if (same_link(&(const struct config_link){ port->interface, port->tunnel }, link))
			return port;
	}
	return NULL;
}

/* Ranges of what the machine has; n of them, the array malloc'ed. NULL: out of memory. */
static struct addr_range *machine_ranges(const struct policy_facts *facts, const struct config_term *term, size_t *n)
{
	const struct policy_port *port = term->kind == CONFIG_TERM_SELF ? NULL : port_of(facts, &term->link);
	struct addr_range *ranges = calloc(facts->n_self + (port ? port->n_addresses : 0) + 1, sizeof(*ranges));
	size_t i;

	*n = 0;
	for (i = 0; ranges && term->kind == CONFIG_TERM_SELF && i < facts->n_self; i++)
		ranges[(*n)++] = (struct addr_range){ facts->self[i], facts->self[i] };
	for (i = 0; ranges && port && i < port->n_addresses; i++) {
		const struct prefix *p = &port->addresses[i];

		ranges[(*n)++] =
			term->kind == CONFIG_TERM_NETWORK ? addr_range_of(p) : (struct addr_range){ p->addr, p->addr };
	}
	if (ranges)
		*n = addr_ranges_merge(ranges, *n);
	return ranges;
}

static uint32_t machine_atom(struct addresses *a, const struct config_term *term)
{
	struct addr_range *ranges;
	uint32_t atom;
	size_t i, n;

	for (i = 0; i < a->n_known; i++) {
		if (a->known[i].kind == term->kind &&
		    (term->kind == CONFIG_TERM_SELF || same_link(&a->known[i].link, &term->link)))
			return a->known[i].atom;
	}
	atom = sweep_atom(&a->sweep);
	ranges = machine_ranges(a->b->facts, term, &n);
	if (!ranges || grow((void **)&a->known, &a->cap_known, a->n_known, sizeof(*a->known))) {
		fail_with(a->b, -ENOMEM);
		free(ranges);
		return atom;
	}
	for (i = 0; i < n; i++)
		add_range(a, &ranges[i], atom);
	free(ranges);
	a->known[a->n_known++] = (struct known_term){ term->kind, term->link, atom };
	return atom;
}

static uint32_t term_atom(struct addresses *a, const struct config_term *term)
{
	uint32_t atom;

	switch (term->kind) {
	case CONFIG_TERM_ALIAS:
		return alias_atom(a, term->alias);
	case CONFIG_TERM_RANGE:
		atom = sweep_atom(&a->sweep);
		add_range(a, &term->range, atom);
		return atom;
	case CONFIG_TERM_ANY:
		atom = sweep_atom(&a->sweep);
		fail_with(a->b, events_add(&a->events[0], 0, 0, atom));
		fail_with(a->b, events_add(&a->events[1], 0, 0, atom));
		return atom;
	default:
		return machine_atom(a, term);
	}
}

/* Beside "any", the other terms that are not negated say nothing. */
static bool has_any(const struct config_endpoint *end)
{
	size_t i;

	for (i = 0; i < end->n_terms; i++) {
		if (end->terms[i].kind == CONFIG_TERM_ANY && !end->terms[i].negated)
			return true;
	}
	return false;
}

static void add_endpoint(struct addresses *a, size_t item, const struct config_endpoint *end)
{
	bool any = has_any(end);
	size_t i;

	for (i = 0; !a->b->err && i < end->n_terms; i++) {
		if (!any || end->terms[i].negated)
			sweep_ref(&a->sweep, term_atom(a, &end->terms[i]), item, end->terms[i].negated);
	}
}

static void search_addresses(struct addresses *a, enum fl_dim dim)
{
	struct intervals intervals[2] = {};

	sweep_begin(&a->sweep, FL_INET);
	events_sweep(&a->events[0], &a->sweep, &intervals[0]);
	sweep_begin(&a->sweep, FL_INET6);
	events_sweep(&a->events[1], &a->sweep, &intervals[1]);
	tree_write4(a->b, &a->b->head.tree[dim][0], &intervals[0]);
	tree_write6(a->b, &a->b->head.tree[dim][1], &intervals[1]);
	free(intervals[0].list);
	free(intervals[1].list);
}

void compile_addresses(struct builder *b, enum fl_dim dim)
{
	struct addresses a = { .b = b };
	size_t i;

	sweep_init(&a.sweep, b, &b->rows[dim]);
	a.aliases = malloc((b->config->n_aliases + 1) * sizeof(*a.aliases));
	if (!a.aliases)
		fail_with(b, -ENOMEM);
	for (i = 0; !b->err && i < b->config->n_aliases; i++)
		a.aliases[i] = HASH_NONE;
	for (i = 0; !b->err && i < b->n_items; i++)
		add_endpoint(&a, i, endpoint_of(&b->items[i], dim));
	search_addresses(&a, dim);
	sweep_free(&a.sweep);
	free(a.events[0].list);
	free(a.events[1].list);
	free(a.aliases);
	free(a.known);
}

/* ---- port numbers ---- */

static void add_port_ranges(struct sweep *sweep, struct events *events, size_t item, const struct config_endpoint *end)
{
	uint32_t atom;
	size_t i;

	if (!end->n_ports)
		return;
	atom = sweep_atom(sweep);
	sweep_ref(sweep, atom, item, false);
	for (i = 0; i < end->n_ports; i++) {
		fail_with(sweep->b, events_add(events, 0, end->ports[i].first, atom));
		if (end->ports[i].last < UINT16_MAX)
			fail_with(sweep->b, events_add(events, 0, end->ports[i].last + 1ULL, atom));
	}
}

static void write_ports(const struct intervals *intervals, uint16_t *classes)
{
	size_t i, port;

	for (i = 0; i < intervals->n; i++) {
		size_t end = i + 1 < intervals->n ? intervals->list[i + 1].lo : UINT16_MAX + 1;

		for (port = intervals->list[i].lo; port < end; port++)
			classes[port] = (uint16_t)intervals->list[i].class;
	}
}

void compile_ports(struct builder *b, enum fl_dim dim)
{
	struct intervals intervals = {};
	struct events events = {};
	struct sweep sweep;
	size_t i;

	sweep_init(&sweep, b, &b->rows[dim]);
	for (i = 0; !b->err && i < b->n_items; i++)
		add_port_ranges(&sweep, &events, i, endpoint_of(&b->items[i], dim));
	sweep_begin(&sweep, FL_BOTH);
	events_sweep(&events, &sweep, &intervals);
	write_ports(&intervals, dim == FL_DIM_SPORT ? b->head.sport : b->head.dport);
	sweep_free(&sweep);
	free(intervals.list);
	free(events.list);
}

/* ---- what has few values: each of them is asked for ---- */

/* What a rule asks for in such a dimension; what belongs to others is 0. No padding: compared as bytes. */
struct ask {
	uint64_t protocols[4], icmp4[4], icmp6[4];
	uint64_t tcp_set, tcp_mask;
	uint64_t ports[FL_PORTS_MAX / 64];
	uint64_t dscp;
	uint64_t tagged;
};

static void set_bit(uint64_t *bits, unsigned int bit)
{
	bits[bit / 64] |= 1ULL << bit % 64;
}

static bool has_bit(const uint64_t *bits, unsigned int bit)
{
	return bits[bit / 64] >> bit % 64 & 1;
}

/* pf's: what passes and keeps state begins with a SYN, unless the rule says otherwise. */
static struct config_tcp_flags flags_of(const struct config_rule *rule)
{
	static const struct config_tcp_flags syn = { .set = CONFIG_TCP_SYN, .mask = CONFIG_TCP_SYN | CONFIG_TCP_ACK };
	bool begins = rule->action == CONFIG_PASS && rule->state == CONFIG_STATE_KEEP && !rule->tcp_flags.named;

	return begins ? syn : rule->tcp_flags;
}

static bool ask_proto(const struct item *item, struct ask *ask)
{
	const struct config_rule *rule = item->rule;
	struct config_tcp_flags flags = rule ? flags_of(rule) : (struct config_tcp_flags){ .mask = 0 };
	size_t i;

	for (i = 0; i < 4; i++) {
		ask->protocols[i] = item->match->n_protocols ? 0 : UINT64_MAX;
		ask->icmp4[i] = rule && rule->by_icmp_type ? rule->icmp4.bits[i] : UINT64_MAX;
		ask->icmp6[i] = rule && rule->by_icmp_type ? rule->icmp6.bits[i] : UINT64_MAX;
	}
	for (i = 0; i < item->match->n_protocols; i++)
		set_bit(ask->protocols, item->match->protocols[i]);
	ask->tcp_set = flags.set;
	ask->tcp_mask = flags.mask;
	return item->match->n_protocols || flags.mask || (rule && rule->by_icmp_type);
}

static bool ask_port(const struct builder *b, const struct item *item, struct ask *ask)
{
	size_t i;

	for (i = 0; i < item->n_links; i++) {
		const struct policy_port *port = port_of(b->facts, &item->links[i]);

		if (port && port->number && port->number < FL_PORTS_MAX)
			set_bit(ask->ports, port->number);
	}
	return item->n_links;
}

/* false: any value will do */
static bool ask_of(const struct builder *b, enum fl_dim dim, const struct item *item, struct ask *ask)
{
	memset(ask, 0, sizeof(*ask));
	switch (dim) {
	case FL_DIM_PROTO:
		return ask_proto(item, ask);
	case FL_DIM_PORT:
		return ask_port(b, item, ask);
	case FL_DIM_DSCP:
		ask->dscp = item->rule ? item->rule->dscp : 0;
		return ask->dscp;
	default:
		ask->tagged = item->tagged;
		return ask->tagged;
	}
}

static bool proto_fits(const struct ask *ask, unsigned int value)
{
	unsigned int low = value & 0xff;

	switch (value - low) {
	case FL_VALUE_TCP:
		return has_bit(ask->protocols, IPPROTO_TCP) && (low & ask->tcp_mask) == ask->tcp_set;
	case FL_VALUE_ICMP:
		return has_bit(ask->protocols, IPPROTO_ICMP) && has_bit(ask->icmp4, low);
	case FL_VALUE_ICMPV6:
		return has_bit(ask->protocols, IPPROTO_ICMPV6) && has_bit(ask->icmp6, low);
	default:
		return has_bit(ask->protocols, low);
	}
}

static bool fits(enum fl_dim dim, const struct ask *ask, unsigned int value)
{
	switch (dim) {
	case FL_DIM_PROTO:
		return proto_fits(ask, value);
	case FL_DIM_PORT:
		return has_bit(ask->ports, value);
	case FL_DIM_DSCP:
		return has_bit(&ask->dscp, value);
	default:
		return ask->tagged == value;
	}
}

/* Rules that ask for the same are one atom. */
struct values {
	struct sweep sweep;
	struct ask *asks; /* by atom */
	size_t n_asks, cap_asks;
	struct hash hash;
	const struct ask *wanted;
	uint32_t last;
};

static bool same_ask(const void *arg, uint32_t index)
{
	const struct values *v = arg;

	return !memcmp(&v->asks[index], v->wanted, sizeof(*v->wanted));
}

static uint32_t ask_atom(struct values *v, const struct ask *ask)
{
	struct builder *b = v->sweep.b;
	uint32_t atom = v->last;
	uint64_t value;

	v->wanted = ask;
	if (atom < v->n_asks && same_ask(v, atom)) /* as the rule before */
		return atom;
	value = hash_bytes(ask, sizeof(*ask));
	atom = hash_find(&v->hash, value, same_ask, v);
	if (atom != HASH_NONE) {
		v->last = atom;
		return atom;
	}
	if (grow((void **)&v->asks, &v->cap_asks, v->n_asks, sizeof(*ask)) ||
	    hash_add(&v->hash, value, (uint32_t)v->n_asks)) {
		fail_with(b, -ENOMEM);
		return 0;
	}
	v->last = (uint32_t)v->n_asks;
	v->asks[v->n_asks++] = *ask;
	return sweep_atom(&v->sweep);
}

static void sweep_values(struct values *v, enum fl_dim dim, unsigned int n, uint16_t *classes)
{
	bool *on = calloc(v->n_asks + 1, sizeof(*on));
	unsigned int value;
	size_t i;

	if (!on) {
		fail_with(v->sweep.b, -ENOMEM);
		return;
	}
	sweep_begin(&v->sweep, FL_BOTH);
	for (value = 0; !v->sweep.b->err && value < n; value++) {
		for (i = 0; i < v->n_asks; i++) {
			if (fits(dim, &v->asks[i], value) != on[i]) {
				on[i] = !on[i];
				sweep_toggle(&v->sweep, (uint32_t)i);
			}
		}
		classes[value] = (uint16_t)sweep_class(&v->sweep);
	}
	free(on);
}

void compile_values(struct builder *b, enum fl_dim dim)
{
	uint16_t *classes = dim == FL_DIM_PROTO	 ? b->head.proto
			    : dim == FL_DIM_PORT ? b->head.port
			    : dim == FL_DIM_DSCP ? b->head.dscp
						 : b->head.tag;
	unsigned int n = dim == FL_DIM_PROTO  ? FL_VALUES_PROTO
			 : dim == FL_DIM_PORT ? FL_PORTS_MAX
			 : dim == FL_DIM_DSCP ? FL_VALUES_DSCP
					      : b->n_tags + 1u;
	struct values v = {};
	struct ask ask;
	size_t i;

	sweep_init(&v.sweep, b, &b->rows[dim]);
	for (i = 0; !b->err && i < b->n_items; i++) {
		if (ask_of(b, dim, &b->items[i], &ask))
			sweep_ref(&v.sweep, ask_atom(&v, &ask), i, false);
	}
	sweep_values(&v, dim, n, classes);
	sweep_free(&v.sweep);
	hash_free(&v.hash);
	free(v.asks);
}
