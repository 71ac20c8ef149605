/* SPDX-License-Identifier: GPL-2.0-only */
/* Rules and translations, from draft to struct config, and freeing both. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/config/draft.h"

/* ---- freeing ---- */

static void free_match(struct config_match *m)
{
	free(m->links);
	free(m->protocols);
	free(m->source.terms);
	free(m->source.ports);
	free(m->destination.terms);
	free(m->destination.ports);
}

/* What the rule owns, not the struct. */
static void free_rule(struct config_rule *r)
{
	free_match(&r->match);
	free(r->name);
	free(r->tagged);
	free(r->schedules);
	free(r->tag);
}

void policy_free(struct config *config)
{
	size_t i;

	for (i = 0; i < config->n_rules; i++)
		free_rule(&config->rules[i]);
	free(config->rules);
	for (i = 0; i < config->n_nat; i++)
		free_match(&config->nat[i].match);
	free(config->nat);
}

static void free_draft_endpoint(struct draft_endpoint *end)
{
	size_t i;

	for (i = 0; i < end->n_terms; i++)
		free(end->terms[i].name);
	for (i = 0; i < end->n_ports; i++)
		free(end->ports[i].alias);
	free(end->terms);
	free(end->ports);
}

static void free_draft_match(struct draft_match *m)
{
	size_t i;

	for (i = 0; i < m->n_links; i++)
		free(m->links[i].name);
	free(m->links);
	free(m->protocols);
	free_draft_endpoint(&m->source);
	free_draft_endpoint(&m->destination);
}

void draft_policy_free(struct draft *d)
{
	size_t i;

	for (i = 0; i < d->n_rules; i++) {
		free_draft_match(&d->rules[i].match);
		free_rule(&d->rules[i].item);
		free(d->rules[i].icmp_types);
		free(d->rules[i].dscp);
		free(d->rules[i].route_to);
		free(d->rules[i].reply_to);
	}
	free(d->rules);
	for (i = 0; i < d->n_nat; i++) {
		free_draft_match(&d->nat[i].match);
		free(d->nat[i].target.vip);
	}
	free(d->nat);
}

/* ---- what a packet is matched by ---- */

static struct config_link build_link(const struct draft_port *port)
{
	return (struct config_link){ port->interface, port->tunnel ? port->tunnel->built : NULL };
}

static int build_links(const struct draft_match *from, struct config_match *to)
{
	size_t i;

	to->links = calloc(from->n_links + 1, sizeof(*to->links));
	if (!to->links)
		return -ENOMEM;
	for (i = 0; i < from->n_links; i++)
		to->links[i] = build_link(&from->links[i].port);
	to->n_links = from->n_links;
	return 0;
}

/* Ascending; one that is named twice, by name and by number, once. */
static int build_protocols(const struct draft_match *from, struct config_match *to)
{
	bool there[UINT8_MAX + 1] = { false };
	size_t i;

	to->protocols = calloc(from->n_protocols + 1, sizeof(*to->protocols));
	if (!to->protocols)
		return -ENOMEM;
	for (i = 0; i < from->n_protocols; i++)
		there[from->protocols[i].value] = true;
	for (i = 0; i <= UINT8_MAX; i++) {
		if (there[i])
			to->protocols[to->n_protocols++] = (uint8_t)i;
	}
	return 0;
}

/* Places that terms take: a VIP one for each address. */
static size_t count_terms(const struct draft_endpoint *from)
{
	size_t n = 0, i;

	for (i = 0; i < from->n_terms; i++)
		n += from->terms[i].vip ? from->terms[i].vip->built->n_addresses : 1;
	return n;
}

static void add_vip_terms(struct config_endpoint *to, const struct config_vip *vip, bool negated)
{
	size_t i;

	for (i = 0; i < vip->n_addresses; i++)
		to->terms[to->n_terms++] = (struct config_term){
			.kind = CONFIG_TERM_RANGE,
			.negated = negated,
			.range = { vip->addresses[i].addr, vip->addresses[i].addr },
			.vip = vip,
		};
}

static int build_terms(const struct draft_endpoint *from, struct config_endpoint *to)
{
	size_t i;

	to->terms = calloc(count_terms(from) + 1, sizeof(*to->terms));
	if (!to->terms)
		return -ENOMEM;
	for (i = 0; i < from->n_terms; i++) {
		if (from->terms[i].vip) {
			add_vip_terms(to, from->terms[i].vip->built, from->terms[i].item.negated);
			continue;
		}
		to->terms[to->n_terms] = from->terms[i].item;
		to->terms[to->n_terms++].link = build_link(&from->terms[i].port);
	}
	return 0;
}

static int add_ports(struct config_endpoint *to, const struct port_range *ranges, size_t n)
{
	struct port_range *grown = reallocarray(to->ports, to->n_ports + n + 1, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	to->ports = grown;
	memcpy(grown + to->n_ports, ranges, n * sizeof(*ranges));
	to->n_ports += n;
	return 0;
}

static int build_ports(const struct config *config, const struct draft_endpoint *from, struct config_endpoint *to)
{
	struct port_range *ranges;
	int err = 0;
	size_t i, n;

	for (i = 0; !err && i < from->n_ports; i++) {
		if (!from->ports[i].ref) {
			err = add_ports(to, &from->ports[i].range, 1);
			continue;
		}
		err = config_alias_ports(config, from->ports[i].ref, &ranges, &n);
		if (!err) {
			err = add_ports(to, ranges, n);
			free(ranges);
		}
	}
	to->n_ports = port_ranges_merge(to->ports, to->n_ports);
	return err;
}

static int build_match(const struct config *config, const struct draft_match *from, struct config_match *to)
{
	to->families = from->families;
	if (build_links(from, to) || build_protocols(from, to) || build_terms(&from->source, &to->source) ||
	    build_ports(config, &from->source, &to->source) || build_terms(&from->destination, &to->destination) ||
	    build_ports(config, &from->destination, &to->destination))
		return -ENOMEM;
	return 0;
}

/* ---- rules ---- */

static void add_icmp_type(struct config_icmp_types *to, int type)
{
	if (type >= 0)
		to->bits[type / 64] |= 1ULL << type % 64;
}

/* The rest of it is in `to` already. */
static int build_rule(const struct config *config, const struct draft_rule *from, struct config_rule *to)
{
	size_t i;

	to->by_icmp_type = from->n_icmp_types;
	for (i = 0; i < from->n_icmp_types; i++) {
		add_icmp_type(&to->icmp4, from->icmp_types[i].icmp4);
		add_icmp_type(&to->icmp6, from->icmp_types[i].icmp6);
	}
	for (i = 0; i < from->n_dscp; i++)
		to->dscp |= 1ULL << from->dscp[i].value;
	to->route_to = build_via(&from->route_to_via);
	to->reply_to = build_via(&from->reply_to_via);
	return build_match(config, &from->match, &to->match);
}

static int build_rules(struct config *config, struct draft *d)
{
	int err = 0;
	size_t i;

	for (i = 0; !err && i < d->n_rules; i++) {
		struct config_rule *to = &config->rules[config->n_rules];

		if (d->rules[i].disabled)
			continue;
		*to = d->rules[i].item;
		memset(&d->rules[i].item, 0, sizeof(d->rules[i].item));
		config->n_rules++;
		err = build_rule(config, &d->rules[i], to);
	}
	return err;
}

static int build_one_nat(struct config *config, const struct draft_nat *from, const struct addr *address,
			 unsigned int families)
{
	struct config_nat *to = &config->nat[config->n_nat++];
	int err;

	*to = from->item;
	to->to_interface = from->target.interface;
	to->to = *address;
	to->to_vip = from->target.vip_ref ? from->target.vip_ref->built : NULL;
	err = build_match(config, &from->match, &to->match);
	to->match.families &= families;
	return err;
}

static int build_nat_to_vip(struct config *config, const struct draft_nat *from)
{
	const struct config_vip *vip = from->target.vip_ref->built;
	const struct addr *v4 = config_vip_address(vip, AF_INET), *v6 = config_vip_address(vip, AF_INET6);
	int err = 0;

	if (v4 && from->match.families & FL_INET)
		err = build_one_nat(config, from, v4, FL_INET);
	if (!err && v6 && from->match.families & FL_INET6)
		err = build_one_nat(config, from, v6, FL_INET6);
	return err;
}

static int build_nat(struct config *config, const struct draft *d)
{
	int err = 0;
	size_t i;

	for (i = 0; !err && i < d->n_nat; i++) {
		if (d->nat[i].disabled)
			continue;
		if (d->nat[i].target.vip_ref)
			err = build_nat_to_vip(config, &d->nat[i]);
		else
			err = build_one_nat(config, &d->nat[i], &d->nat[i].target.address, FL_BOTH);
	}
	return err;
}

int build_policy(struct config *config, struct draft *d)
{
	config->default_in = d->default_in;
	config->default_out = d->default_out;
	config->rules = calloc(d->n_rules + 1, sizeof(*config->rules));
	config->nat = calloc(2 * d->n_nat + 1, sizeof(*config->nat)); /* with a VIP's name each may be two */
	if (!config->rules || !config->nat || build_rules(config, d) || build_nat(config, d))
		return -ENOMEM;
	return 0;
}
