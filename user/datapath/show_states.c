// SPDX-License-Identifier: GPL-2.0-only
/*
 * The state table for those who ask: a walk over it in slices, which picks what the question names and writes rows of it, counts it or ends
 * it. Nothing waits for it; what changes meanwhile may be seen or not.
 */

#include <ctype.h>
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include "user/config/suggest.h"
#include "user/datapath/private.h"
#include "user/lib/put.h"

#define SLICE_MS 3	      /* so long at a time */
#define CHUNK 512	      /* slots between two looks at the clock */
#define ASKED_MAX 256	      /* resets that another node sends meanwhile: no more than this one would */
#define OUT_SIZE (256 * 1024) /* of rows at a time */
#define ROW_MAX 2560 /* a rule's name may be escaped to 1512 bytes, those of gateways and interfaces to 384 each */
#define PROTOCOL_MAX 32
#define NO_PORT UINT32_MAX
#define FULL_MS 5000 /* a table that has refused somebody so long ago counts as full */

/* What is to be sorted: enough to find it again. */
struct ranked {
	uint64_t bytes;
	uint32_t slot, serial;
};

struct states_cursor {
	struct datapath *dp;
	struct states_filter filter;
	uint32_t epoch; /* of the table that it walks over */
	uint32_t slot;	/* where it goes on */
	bool walked, done;
	/* what the filter leaves open */
	uint32_t port;	  /* either way; NO_PORT: any */
	uint32_t gateway; /* 0: any */
	uint64_t limit;	  /* rows; 0: all */
	uint64_t n;	  /* found */
	uint32_t now;	  /* jiffies; 0: not known yet */
	enum states_doing doing;
	struct resets *resets; /* with STATES_RESET */
	uint64_t asked;	       /* that another node sends */
	uint64_t asked_before; /* this slice */
	/* with STATES_BIGGEST: a heap, while it is filled with the smallest on top, then with the biggest */
	struct ranked *ranked;
	size_t n_ranked, ranked_size;
	uint16_t tunnels[FL_ENDPOINTS_MAX]; /* port, by endpoint */
	char protocols[256][PROTOCOL_MAX];
	size_t len;
	char out[OUT_SIZE];
};

const char *const datapath_state_columns[] = {
	"protocol",
	"source",
	"source_port",
	"destination",
	"destination_port",
	"translated_source",
	"translated_source_port",
	"translated_destination",
	"translated_destination_port",
	"interface",
	"egress",
	"rule",
	"gateway",
	"state",
	"age_ms",
	"idle_ms",
	"packets",
	"bytes",
	"origin",
	NULL,
};

/* ---- what a state says ---- */

/* The port behind fl_end.from. 0: none */
static uint32_t port_of_from(const struct states_cursor *c, uint16_t from)
{
	return from & FL_FROM_ENDPOINT(0) ? c->tunnels[(from & ~FL_FROM_ENDPOINT(0)) % FL_ENDPOINTS_MAX] : from;
}

/* By which it leaves: the answers came in there, or the way says it. 0: to the host itself, or not known */
static uint32_t egress_of(const struct states_cursor *c, const struct fl_state *st)
{
	unsigned int starter = states_starter(st);
	const struct fl_end *end = &st->end[starter];
	uint32_t port = port_of_from(c, st->end[!starter].from);

	if (port || !end->from)
		return port;
	if (end->endpoint)
		return c->tunnels[end->endpoint % FL_ENDPOINTS_MAX];
	return nexthop_port(c->dp, end->nexthop);
}

static const struct port *port_at(const struct datapath *dp, uint32_t number)
{
	return number && number < FL_PORTS_MAX && dp->ports[number].kind != PORT_NONE ? &dp->ports[number] : NULL;
}

/* The one that a rule named, or that of the port that it leaves by. */
static uint32_t gateway_of(const struct fl_state *st, const struct port *egress)
{
	if (st->gateway)
		return st->gateway;
	return egress ? egress->value.gateway[!put_is_inet(&st->addr[0])] : 0;
}

/* What has run out is no state any more, though it is in the table until it is swept. */
static bool fits(const struct states_cursor *c, const struct states_entry *e)
{
	const struct fl_state *st = &e->state;
	uint32_t egress;

	if (c->now && fl_state_is_expired(st, c->dp->states.control, c->now))
		return false;
	if (c->port == NO_PORT && !c->gateway)
		return true;
	egress = egress_of(c, st);
	if (c->port != NO_PORT && c->port != egress && c->port != port_of_from(c, st->end[states_starter(st)].from))
		return false;
	return !c->gateway || st->reply_gateway == c->gateway || gateway_of(st, port_at(c->dp, egress)) == c->gateway;
}

/* ---- rows ---- */

static char *put_ms(const struct states_cursor *c, char *to, uint32_t since)
{
	int32_t age = c->now - since;

	return put_number(to, age > 0 ? (uint64_t)age * 1000 / c->dp->hz : 0, 1);
}

static char *put_port_name(char *to, const struct port *port)
{
	return port ? put_string(to, port->name, sizeof(port->name)) : put_text(to, "null");
}

static char *put_rule(const struct states_cursor *c, char *to, const struct fl_state *st)
{
	uint16_t id = st->rule[0] ? st->rule[0] : st->rule[1];
	const struct fl_rule_name *name = policy_ids_name(c->dp->rule_ids, id);

	if (name)
		return put_string(to, name->name, sizeof(name->name));
	return put_text(to, id ? "null" : "\"default_action\"");
}

static char *put_gateway(const struct states_cursor *c, char *to, uint32_t number)
{
	const char *name = number < FL_GATEWAYS_MAX ? c->dp->gateway_names[number] : "";

	return *name ? put_string(to, name, FL_GATEWAY_NAME_MAX) : put_text(to, "null");
}

static bool has_ports(uint8_t proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6 ||
	       proto == IPPROTO_SCTP || proto == IPPROTO_UDPLITE || proto == IPPROTO_DCCP;
}

/* Address and port, a comma behind both. */
static char *put_endpoint(char *to, const union fl_addr *addr, __be16 port, uint8_t proto)
{
	to = put_addr(to, addr);
	*to++ = ',';
	to = has_ports(proto) ? put_number(to, ntohs(port), 1) : put_text(to, "null");
	*to++ = ',';
	return to;
}

static char *put_translated(char *to, const struct states_entry *e, unsigned int end)
{
	const struct fl_state *st = &e->state;

	if (e->port[end] == st->port[end] && !memcmp(&e->addr[end], &st->addr[end], sizeof(e->addr[end])))
		return put_text(to, "null,null,");
	return put_endpoint(to, &e->addr[end], e->port[end], st->proto);
}

static void row_write(struct states_cursor *c, const struct states_entry *e)
{
	const struct fl_state *st = &e->state;
	unsigned int starter = states_starter(st);
	const struct port *egress = port_at(c->dp, egress_of(c, st));
	char phases[STATES_PHASES_LEN];
	char *to = c->out + c->len;

	if (c->len)
		*to++ = '\n';
	*to++ = '[';
	to = put_text(to, c->protocols[st->proto]);
	*to++ = ',';
	to = put_endpoint(to, &st->addr[starter], st->port[starter], st->proto);
	to = put_endpoint(to, &st->addr[!starter], st->port[!starter], st->proto);
	to = put_translated(to, e, starter);
	to = put_translated(to, e, !starter);
	to = put_port_name(to, port_at(c->dp, port_of_from(c, st->end[starter].from)));
	*to++ = ',';
	to = put_port_name(to, egress);
	*to++ = ',';
	to = put_rule(c, to, st);
	*to++ = ',';
	to = put_gateway(c, to, gateway_of(st, egress));
	*to++ = ',';
	to = put_string(to, states_phases(st, phases), sizeof(phases));
	*to++ = ',';
	to = put_ms(c, to, st->made);
	*to++ = ',';
	to = put_ms(c, to, st->seen);
	*to++ = ',';
	to = put_number(to, fl_state_packets(st, 0) + fl_state_packets(st, 1), 1);
	*to++ = ',';
	to = put_number(to, fl_state_bytes(st, 0) + fl_state_bytes(st, 1), 1);
	to = put_text(to, st->flags & FL_STATE_PEER ? ",\"peer\"]" : ",\"local\"]");
	c->len = to - c->out;
}

/* ---- the biggest ---- */

/* Whether a is above b. */
static bool is_above(const struct states_cursor *c, size_t a, size_t b)
{
	return c->walked ? c->ranked[a].bytes > c->ranked[b].bytes : c->ranked[a].bytes < c->ranked[b].bytes;
}

static void swap(struct states_cursor *c, size_t a, size_t b)
{
	struct ranked was = c->ranked[a];

	c->ranked[a] = c->ranked[b];
	c->ranked[b] = was;
}

static void sink(struct states_cursor *c, size_t at)
{
	for (;;) {
		size_t top = at, child = 2 * at + 1;

		if (child < c->n_ranked && is_above(c, child, top))
			top = child;
		if (child + 1 < c->n_ranked && is_above(c, child + 1, top))
			top = child + 1;
		if (top == at)
			return;
		swap(c, at, top);
		at = top;
	}
}

static void rise(struct states_cursor *c, size_t at)
{
	for (; at && is_above(c, at, (at - 1) / 2); at = (at - 1) / 2)
		swap(c, at, (at - 1) / 2);
}

/* With a limit the smallest makes room. False: out of memory. */
static bool rank(struct states_cursor *c, const struct states_entry *e)
{
	struct ranked new = { fl_state_bytes(&e->state, 0) + fl_state_bytes(&e->state, 1), e->slot,
			      FL_TAG_SERIAL(e->tag) };
	struct ranked *grown;

	if (c->limit && c->n_ranked == c->limit) {
		if (new.bytes <= c->ranked[0].bytes)
			return true;
		c->ranked[0] = new;
		sink(c, 0);
		return true;
	}
	if (c->n_ranked == c->ranked_size) {
		grown = reallocarray(c->ranked, c->ranked_size ? 2 * c->ranked_size : 1024, sizeof(*grown));
		if (!grown)
			return false;
		c->ranked = grown;
		c->ranked_size = c->ranked_size ? 2 * c->ranked_size : 1024;
	}
	c->ranked[c->n_ranked] = new;
	if (c->limit)
		rise(c, c->n_ranked);
	c->n_ranked++;
	return true;
}

static int ranked_write(void *arg, const struct states_entry *e)
{
	struct states_cursor *c = arg;

	if (FL_TAG_SERIAL(e->tag) != c->ranked[0].serial)
		return 0;
	row_write(c, e);
	c->n++;
	return 0;
}

static bool is_full(const struct states_cursor *c)
{
	return c->len + ROW_MAX > OUT_SIZE;
}

/* The biggest that are left. */
static void ranked_slice(struct states_cursor *c, uint64_t until)
{
	static const struct states_filter every;

	while (c->n_ranked && !is_full(c) && monotonic_ms() < until) {
		states_walk_some(&c->dp->states, &every, c->ranked[0].slot, 1, ranked_write, c);
		c->ranked[0] = c->ranked[--c->n_ranked];
		sink(c, 0);
	}
	c->done = !c->n_ranked;
}

/* ---- the walk ---- */

/* Whether another node was asked to. */
static bool reset(struct states_cursor *c, const struct states_entry *e)
{
	bool asked = ask_for_resets(c->dp, e);

	c->asked += asked;
	if (!asked)
		resets_send(c->resets, e);
	return asked;
}

static int found(void *arg, const struct states_entry *e)
{
	struct states_cursor *c = arg;

	if (!fits(c, e))
		return 0;
	switch (c->doing) {
	case STATES_COUNT:
		c->n++;
		return 0;
	case STATES_RESET:
		c->n += end_connection(c->dp, e, reset(c, e) ? STATES_BY_HAND_RESET : STATES_BY_HAND);
		return 1;
	case STATES_KILL:
		c->n += end_connection(c->dp, e, STATES_BY_HAND);
		return 0;
	case STATES_BIGGEST:
		return rank(c, e) ? 0 : (c->done = true);
	default:
		row_write(c, e);
		c->done = ++c->n == c->limit;
		return c->done || is_full(c);
	}
}

static void walk_slice(struct states_cursor *c, uint64_t until)
{
	c->asked_before = c->asked;
	do {
		c->slot = states_walk_some(&c->dp->states, &c->filter, c->slot, CHUNK, found, c);
		c->walked = !c->slot;
	} while (!c->walked && !c->done && !is_full(c) && c->asked - c->asked_before < ASKED_MAX &&
		 monotonic_ms() < until);
	if (!c->walked)
		return;
	if (c->doing != STATES_BIGGEST)
		c->done = true;
	else
		for (size_t i = c->n_ranked / 2; i-- > 0;)
			sink(c, i);
}

/* The table may have been given another size: what is ended, is ended there, too; rows would be told twice. */
static int follow_table(struct states_cursor *c)
{
	if (c->epoch == c->dp->states_epoch)
		return 0;
	if (c->doing != STATES_KILL && c->doing != STATES_RESET)
		return -ESTALE;
	c->epoch = c->dp->states_epoch;
	c->slot = 0;
	return 0;
}

int datapath_states_go(struct states_cursor *c, const char **rows)
{
	uint64_t until = monotonic_ms() + SLICE_MS;
	int err = follow_table(c);

	*rows = c->out;
	c->len = 0;
	c->now = datapath_jiffies(c->dp);
	if (err || c->done)
		return err;
	if (!c->walked)
		walk_slice(c, until);
	else
		ranked_slice(c, until);
	c->out[c->len] = '\0';
	return !c->done;
}

uint64_t datapath_states_found(const struct states_cursor *c)
{
	return c->n;
}

uint64_t datapath_states_resets(const struct states_cursor *c)
{
	return c->resets ? resets_sent(c->resets) : 0;
}

uint64_t datapath_states_asked(const struct states_cursor *c)
{
	return c->asked;
}

/* ---- the question ---- */

static void offer_rule(struct suggest *near, const struct config *config)
{
	for (size_t i = 0; i < config->n_rules; i++)
		suggest_offer(near, config->rules[i].name);
}

/* By its index in the file, else by its name, which may be that of a rule that is gone. */
static int take_rule(struct states_cursor *c, const char *text, char **why)
{
	const struct config *config = c->dp->config;
	struct suggest near = { .given = text };
	uint16_t id = policy_ids_find(c->dp->rule_ids, FL_RULE_KIND_RULE, text);
	char *end;
	unsigned long index = strtoul(text, &end, 10);

	c->filter.by_rule = true;
	for (size_t i = 0; *text && !*end && i < config->n_rules && !id; i++)
		if (config->rules[i].index == index)
			id = policy_ids_find(c->dp->rule_ids, FL_RULE_KIND_RULE, config->rules[i].name);
	if (id || !strcmp(text, "default_action")) {
		states_filter_set(c->filter.rules, id);
		return 0;
	}
	offer_rule(&near, config);
	if (*text && !*end)
		return fail(why, ENOENT, "no rule has the index %s in the file", text);
	if (near.best)
		return fail(why, ENOENT, "no rule named \"%s\"; did you mean \"%s\"?", text, near.best);
	return fail(why, ENOENT, "no rule named \"%s\"", text);
}

static int take_gateway(struct states_cursor *c, const char *text, char **why)
{
	const struct config *config = c->dp->config;
	struct suggest near = { .given = text };

	c->gateway = gateway_number(c->dp, text);
	if (c->gateway)
		return 0;
	for (size_t i = 0; i < config->n_gateways; i++)
		suggest_offer(&near, config->gateways[i].name);
	if (near.best)
		return fail(why, ENOENT, "no gateway named \"%s\"; did you mean \"%s\"?", text, near.best);
	return fail(why, ENOENT, "no gateway named \"%s\"", text);
}

/* The configuration has it, but its device may not be there: then no state has it either. */
static void take_interface(struct states_cursor *c, const char *text)
{
	const struct port *port = port_by_name(c->dp->ports, text);

	c->port = port ? port->number : 0;
}

static void take_host(struct states_filter *filter, const struct prefix *host)
{
	union fl_addr *addr = &filter->hosts[filter->n_hosts];

	*addr = addr_to_map(&host->addr);
	filter->host_free[filter->n_hosts++] = (host->addr.family == AF_INET ? 32 : 128) - host->len;
}

/* By /etc/protocols, of which the first line counts; else by number. */
static void name_protocols(struct states_cursor *c)
{
	char number[8];

	for (int i = 0; i < 256; i++) {
		*put_number(number, i, 1) = '\0';
		*put_string(c->protocols[i], number, sizeof(number)) = '\0';
	}
	setprotoent(0);
	for (const struct protoent *p; (p = getprotoent());) {
		char *name = p->p_proto >= 0 && p->p_proto < 256 ? c->protocols[p->p_proto] : NULL;

		if (name && isdigit((unsigned char)name[1]) && strlen(p->p_name) < PROTOCOL_MAX - 3 &&
		    !strpbrk(p->p_name, "\"\\"))
			*put_string(name, p->p_name, PROTOCOL_MAX) = '\0';
	}
	endprotoent();
}

static void know_tunnels(struct states_cursor *c)
{
	for (int set = 0; set < 2; set++) {
		const struct tables *tables = c->dp->sets[set ^ !set_in_force(c->dp)];

		for (size_t i = 0; i < tables->n_endpoints; i++)
			c->tunnels[tables->endpoints[i].index % FL_ENDPOINTS_MAX] = tables->endpoints[i].value.tunnel;
	}
}

struct states_cursor *datapath_states_open(struct datapath *dp, const struct states_query *q, char **why)
{
	struct states_cursor *c = calloc(1, sizeof(*c));
	int err = 0;

	if (!c) {
		fail(why, ENOMEM, "out of memory");
		return NULL;
	}
	c->dp = dp;
	c->epoch = dp->states_epoch;
	c->port = NO_PORT;
	c->doing = q->doing;
	c->limit = q->limit;
	c->filter.proto = q->proto;
	c->filter.port = htons(q->port);
	for (unsigned int i = 0; i < q->n_hosts; i++)
		take_host(&c->filter, &q->hosts[i]);
	if (q->interface)
		take_interface(c, q->interface);
	if (q->rule)
		err = take_rule(c, q->rule, why);
	if (q->gateway && !err)
		err = take_gateway(c, q->gateway, why);
	if (q->doing == STATES_RESET && !err)
		err = resets_open(&c->resets, dp, why);
	if (err) {
		datapath_states_close(c);
		return NULL;
	}
	name_protocols(c);
	know_tunnels(c);
	return c;
}

void datapath_states_close(struct states_cursor *c)
{
	if (!c)
		return;
	resets_close(c->resets);
	free(c->ranked);
	free(c);
}

void datapath_states_numbers(struct datapath *dp, struct datapath_states *numbers)
{
	struct states_numbers n;

	states_numbers(&dp->states, &n);
	*numbers = (struct datapath_states){
		.states = n.states,
		.limit = dp->states.control->limit,
		.refused = n.refused_full,
		.evicted = n.evicted,
		.full = n.refused_full - n.refused_place != dp->states_limited ||
			(dp->states_full_ms && monotonic_ms() - dp->states_full_ms < FULL_MS),
	};
}
