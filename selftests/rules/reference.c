// SPDX-License-Identifier: GPL-2.0-only
/* One rule after the other, as the contract says. Slow, and without anything of what it is there to check. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "selftests/rules/rules.h"

/* ---- addresses ---- */

static const uint8_t *bytes_of(const struct addr *a)
{
	return a->family == AF_INET ? (const uint8_t *)&a->v4 : a->v6.s6_addr;
}

static bool in_range(const struct addr *a, const struct addr_range *range)
{
	size_t n = a->family == AF_INET ? 4 : 16;

	return a->family == range->first.family && memcmp(bytes_of(a), bytes_of(&range->first), n) >= 0 &&
	       memcmp(bytes_of(a), bytes_of(&range->last), n) <= 0;
}

static bool in_prefix(const struct addr *a, const struct prefix *p)
{
	unsigned int i;

	if (a->family != p->addr.family)
		return false;
	for (i = 0; i < p->len; i++) {
		if ((bytes_of(a)[i / 8] ^ bytes_of(&p->addr)[i / 8]) & 0x80 >> i % 8)
			return false;
	}
	return true;
}

static bool in_alias(const struct addr *a, const struct config_alias *alias)
{
	size_t i;

	for (i = 0; i < alias->n_entries; i++) {
		const struct config_alias_entry *e = &alias->entries[i];

		if (e->kind == CONFIG_ENTRY_ALIAS ? in_alias(a, e->alias.to)
						  : e->kind == CONFIG_ENTRY_ADDRESSES && in_range(a, &e->addresses))
			return true;
	}
	return false;
}

static bool is_same(const struct addr *a, const struct addr *b)
{
	return a->family == b->family && !memcmp(bytes_of(a), bytes_of(b), a->family == AF_INET ? 4 : 16);
}

static const struct policy_port *port_of(const struct policy_facts *facts, const struct config_link *link)
{
	size_t i;

	for (i = 0; i < facts->n_ports; i++) {
		if (link->interface ? facts->ports[i].interface == link->interface : facts->ports[i].tunnel == link->tunnel)
			return &facts->ports[i];
	}
	return NULL;
}

static bool on_port(const struct addr *a, const struct policy_port *port, bool network)
{
	size_t i;

	for (i = 0; port && i < port->n_addresses; i++) {
		if (network ? in_prefix(a, &port->addresses[i]) : is_same(a, &port->addresses[i].addr))
			return true;
	}
	return false;
}

static bool is_self(const struct addr *a, const struct policy_facts *facts)
{
	size_t i;

	for (i = 0; i < facts->n_self; i++) {
		if (is_same(a, &facts->self[i]))
			return true;
	}
	return false;
}

static bool term_has(const struct config_term *t, const struct addr *a, const struct policy_facts *facts)
{
	switch (t->kind) {
	case CONFIG_TERM_ANY:
		return true;
	case CONFIG_TERM_RANGE:
		return in_range(a, &t->range);
	case CONFIG_TERM_SELF:
		return is_self(a, facts);
	case CONFIG_TERM_ALIAS:
		return in_alias(a, t->alias);
	default:
		return on_port(a, port_of(facts, &t->link), t->kind == CONFIG_TERM_NETWORK);
	}
}

static bool address_fits(const struct config_endpoint *end, const struct addr *a, const struct policy_facts *facts)
{
	bool positive = false, matched = false;
	size_t i;

	for (i = 0; i < end->n_terms; i++) {
		bool has = term_has(&end->terms[i], a, facts);

		if (end->terms[i].negated && has)
			return false;
		if (!end->terms[i].negated) {
			positive = true;
			matched |= has;
		}
	}
	return matched || !positive;
}

static bool port_fits(const struct config_endpoint *end, unsigned int port)
{
	size_t i;

	for (i = 0; i < end->n_ports; i++) {
		if (port >= end->ports[i].first && port <= end->ports[i].last)
			return true;
	}
	return !end->n_ports;
}

/* ---- all that rules and translations have in common ---- */

struct packet {
	const struct judged *s;
	struct addr src, dst;
};

static struct addr addr_of(const struct judged *s, const union fl_addr *from)
{
	struct addr a = { .family = s->family == FL_INET ? AF_INET : AF_INET6 };

	if (s->family == FL_INET)
		a.v4.s_addr = from->w[3];
	else
		memcpy(&a.v6, from, sizeof(a.v6));
	return a;
}

static bool link_fits(const struct config_match *m, const struct policy_facts *facts, unsigned int number)
{
	size_t i;

	for (i = 0; i < m->n_links; i++) {
		const struct policy_port *port = port_of(facts, &m->links[i]);

		if (port && port->number && port->number == number)
			return true;
	}
	return !m->n_links;
}

static bool protocol_fits(const struct config_match *m, unsigned int protocol)
{
	size_t i;

	for (i = 0; i < m->n_protocols; i++) {
		if (m->protocols[i] == protocol)
			return true;
	}
	return !m->n_protocols;
}

static bool common_fits(const struct config_match *m, const struct policy_facts *facts, const struct packet *p)
{
	return m->families & p->s->family && link_fits(m, facts, p->s->port) && protocol_fits(m, p->s->proto);
}

static bool match_fits(const struct config_match *m, const struct policy_facts *facts, const struct packet *p)
{
	return common_fits(m, facts, p) && address_fits(&m->source, &p->src, facts) &&
	       address_fits(&m->destination, &p->dst, facts) && port_fits(&m->source, ntohs(p->s->sport)) &&
	       port_fits(&m->destination, ntohs(p->s->dport));
}

/* ---- rules ---- */

static bool icmp_fits(const struct config_rule *r, const struct judged *s)
{
	const struct config_icmp_types *types = s->proto == IPPROTO_ICMP ? &r->icmp4 : &r->icmp6;

	if (!r->by_icmp_type || (s->proto != IPPROTO_ICMP && s->proto != IPPROTO_ICMPV6))
		return true;
	return types->bits[s->icmp_type / 64] >> s->icmp_type % 64 & 1;
}

static bool flags_fit(const struct config_rule *r, const struct judged *s)
{
	if (s->proto != IPPROTO_TCP)
		return true;
	if (r->tcp_flags.named)
		return (s->tcp_flags & r->tcp_flags.mask) == r->tcp_flags.set;
	if (r->action != CONFIG_PASS || r->state != CONFIG_STATE_KEEP)
		return true;
	return s->tcp_flags & CONFIG_TCP_SYN && !(s->tcp_flags & CONFIG_TCP_ACK);
}

/* Minutes since Monday 0:00 of each of a schedule's days, and of a week before. */
static bool on_schedule(const struct config_rule *r, time_t t)
{
	struct tm now;
	int minute, day;
	size_t i;

	localtime_r(&t, &now);
	minute = (now.tm_wday ? now.tm_wday - 1 : 6) * 1440 + now.tm_hour * 60 + now.tm_min;
	for (i = 0; i < r->n_schedules; i++) {
		const struct config_schedule *s = &r->schedules[i];

		for (day = -7; day < 7; day++) {
			if (s->days >> (day + 7) % 7 & 1 && minute >= day * 1440 + s->from &&
			    minute < day * 1440 + s->to)
				return true;
		}
	}
	return !r->n_schedules;
}

static bool is_skipped(const struct config_rule *r, const struct policy_facts *facts, unsigned int family)
{
	size_t i;

	if (!r->route_to.gateway || r->when_down != CONFIG_DOWN_SKIP)
		return false;
	for (i = 0; i < facts->n_vias; i++) {
		if (facts->vias[i].via.gateway == r->route_to.gateway && facts->vias[i].up & family)
			return false;
	}
	return true;
}

static bool rule_fits(const struct config_rule *r, const struct policy_facts *facts, const struct packet *p,
		      const char *tag)
{
	if (r->direction == (p->s->list == FL_LIST_IN ? CONFIG_OUT : CONFIG_IN))
		return false;
	if (r->tagged && (!tag || strcmp(r->tagged, tag) != 0))
		return false;
	return match_fits(&r->match, facts, p) && icmp_fits(r, p->s) && flags_fit(r, p->s) &&
	       (!r->dscp || r->dscp >> p->s->dscp & 1) && on_schedule(r, facts->now) &&
	       !is_skipped(r, facts, p->s->family);
}

/* ---- translations ---- */

/* A translation one to one, seen from outside. */
static bool inward_fits(const struct config_nat *n, const struct policy_facts *facts, const struct packet *p)
{
	size_t i;

	if (!common_fits(&n->match, facts, p) || !address_fits(&n->match.destination, &p->src, facts))
		return false;
	if (n->exempt)
		return address_fits(&n->match.source, &p->dst, facts);
	for (i = 0; n->to_interface && i < n->match.n_links; i++) {
		const struct policy_port *port = port_of(facts, &n->match.links[i]);

		if (port && port->number == p->s->port && on_port(&p->dst, port, false))
			return true;
	}
	return !n->to_interface && is_same(&p->dst, &n->to);
}

static bool nat_fits(const struct config_nat *n, const struct policy_facts *facts, const struct packet *p)
{
	if (p->s->list == FL_LIST_DNAT)
		return n->type == CONFIG_DNAT	      ? match_fits(&n->match, facts, p)
		       : n->type == CONFIG_ONE_TO_ONE ? inward_fits(n, facts, p)
						      : false;
	return n->type != CONFIG_DNAT && match_fits(&n->match, facts, p);
}

void reference_judge(const struct config *config, const struct policy_facts *facts, const struct judged *subject,
		     const char *tag, struct verdict *verdict)
{
	struct packet p = { .s = subject };
	size_t i;

	p.src = addr_of(subject, &subject->src);
	p.dst = addr_of(subject, &subject->dst);
	*verdict = (struct verdict){ .tag = tag };
	if (subject->list >= FL_LIST_DNAT) {
		for (i = 0; i < config->n_nat && !verdict->nat; i++) {
			if (nat_fits(&config->nat[i], facts, &p))
				verdict->nat = &config->nat[i];
		}
		return;
	}
	for (i = 0; i < config->n_rules; i++) {
		const struct config_rule *r = &config->rules[i];

		if (!rule_fits(r, facts, &p, verdict->tag))
			continue;
		verdict->rule = r;
		if (r->tag)
			verdict->tag = r->tag;
		if (r->quick)
			return;
	}
}
