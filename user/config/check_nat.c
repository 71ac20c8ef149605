/* SPDX-License-Identifier: GPL-2.0-only */
/* Address translations: that each type has the keys that it can do something with. */
#include <netinet/in.h>

#include "user/config/check_match.h"

static const char *const type_names[] = {
	[CONFIG_SNAT] = "snat",
	[CONFIG_DNAT] = "dnat",
	[CONFIG_ONE_TO_ONE] = "one-to-one",
};

static void resolve_target(struct check_item *it, struct draft_nat *n)
{
	if (n->target.vip)
		n->target.vip_ref =
			check_vip_name(it->c, ITEM_AT(it, "translate_to"), n->target.vip, it->disabled, it->what, true);
}

/* What it can translate to: a link-local address is none for what goes further. */
static unsigned int target_families(const struct draft_vip *v)
{
	unsigned int families = (config_vip_address(&v->item, AF_INET) ? FL_INET : 0) |
				(config_vip_address(&v->item, AF_INET6) ? FL_INET6 : 0);

	return families ?: check_vip_families(v);
}

/* Keys of single types, and nothing at all of what is not translated. */
static void check_keys(struct check_item *it, const struct config_nat *n)
{
	static const struct {
		const char *key;
		unsigned int types; /* a bit for each */
		const char *accepts;
	} keys[] = {
		{ "translate_port", 1u << CONFIG_SNAT | 1u << CONFIG_DNAT, "\"snat\" or \"dnat\"" },
		{ "static_port", 1u << CONFIG_SNAT, "\"snat\"" },
		{ "endpoint_independent", 1u << CONFIG_SNAT, "\"snat\"" },
	};
	size_t i;

	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		const json_t *value = json_object_get(it->json, keys[i].key);

		if (!value || json_is_false(value))
			continue;
		if (!(keys[i].types >> n->type & 1))
			check_error(it->c, ITEM_AT(it, keys[i].key), "the \"type\" is \"%s\"; accepted: \"%s\" with %s",
				    type_names[n->type], keys[i].key, keys[i].accepts);
		else if (n->exempt)
			check_error(it->c, ITEM_AT(it, keys[i].key),
				    "nothing is translated with \"exempt\": true; take \"%s\" out", keys[i].key);
	}
	if (n->type == CONFIG_SNAT && !n->exempt && n->static_port && n->to_ports.first)
		check_error(it->c, ITEM_AT(it, "translate_port"),
			    "the port stays with \"static_port\": true; accepted: one of the two");
}

/* TCP's and UDP's only: their checksums can be put right by what has changed, SCTP's can not. */
static void check_port_protocols(struct check_item *it, const struct draft_nat *n)
{
	const struct draft_match *m = &n->match;
	bool some = check_has_protocol(m, IPPROTO_TCP) || check_has_protocol(m, IPPROTO_UDP), other = false;
	size_t i;

	if (!n->item.to_ports.first)
		return;
	for (i = 0; i < m->n_protocols; i++) {
		if (!m->protocols[i].valid)
			return;
		other |= m->protocols[i].value != IPPROTO_TCP && m->protocols[i].value != IPPROTO_UDP;
	}
	if (n->item.type == CONFIG_DNAT && (!some || other))
		check_error(it->c, ITEM_AT(it, "translate_port"),
			    "accepted: \"translate_port\" with \"protocol\" \"tcp\", \"udp\" or both, and no other");
	else if (n->item.type == CONFIG_SNAT && m->n_protocols && !some)
		check_error(it->c, ITEM_AT(it, "translate_port"),
			    "no \"protocol\" here has ports that are translated, as \"tcp\" and \"udp\" have");
}

static unsigned int width(const struct port_range *range)
{
	return range->last - range->first + 1u;
}

/* Which port becomes which has to be clear. */
static void check_port_range(struct check_item *it, const struct draft_nat *n)
{
	const struct draft_endpoint *d = &n->match.destination;

	if (n->item.type != CONFIG_DNAT || width(&n->item.to_ports) == 1)
		return;
	if (d->n_ports != 1 || d->ports[0].alias || width(&d->ports[0].range) != width(&n->item.to_ports))
		check_error(it->c, ITEM_AT(it, "translate_port"),
			    "a range of %u ports; accepted: one port, or \"destination\" with a \"port\" that is one "
			    "range of as many",
			    width(&n->item.to_ports));
}

static void check_one_to_one(struct check_item *it, const struct draft_nat *n)
{
	const struct draft_match *m = &n->match;
	const struct config_term *t = m->source.n_terms ? &m->source.terms[0].item : NULL;

	if (n->item.type != CONFIG_ONE_TO_ONE || n->item.exempt)
		return;
	if (!t)
		check_error(it->c, ITEM_AT(it, NULL),
			    "the address of the inside is missing; accepted: \"source\" with one \"address\"");
	else if (m->source.n_terms > 1 || t->negated || m->source.terms[0].vip ||
		 (t->kind != CONFIG_TERM_NONE &&
		  (t->kind != CONFIG_TERM_RANGE || !addr_equal(&t->range.first, &t->range.last))))
		check_error(it->c, ITEM_AT(it, "source", "address"),
			    "accepted with \"one-to-one\": one address, that of the inside");
	if (m->source.n_ports)
		check_error(it->c, ITEM_AT(it, "source", "port"),
			    "\"one-to-one\" is for all ports; accepted: \"snat\" or \"dnat\" with ports");
	if (m->destination.n_ports)
		check_error(it->c, ITEM_AT(it, "destination", "port"),
			    "\"one-to-one\" is for all ports; accepted: \"snat\" or \"dnat\" with ports");
}

static void check_translation(struct check_item *it, const struct draft_nat *n)
{
	check_match(it);
	if (json_object_get(it->json, "type"))
		check_keys(it, &n->item);
	check_port_protocols(it, n);
	check_port_range(it, n);
	check_one_to_one(it, n);
	if (n->target.vip_ref)
		check_narrow(it, target_families(n->target.vip_ref), ITEM_AT(it, "translate_to"), "translate_to");
	else if (n->target.address.family != AF_UNSPEC)
		check_narrow(it, n->target.address.family == AF_INET ? FL_INET : FL_INET6, ITEM_AT(it, "translate_to"),
			     "translate_to");
}

void check_nat(struct check *c)
{
	size_t i;

	for (i = 0; i < c->draft->n_nat; i++) {
		struct draft_nat *n = &c->draft->nat[i];
		struct check_item it;

		check_item_init(&it, c, "nat", i, "translation");
		it.match = &n->match;
		it.match->families = FL_BOTH;
		it.disabled = n->disabled;
		check_match_names(&it);
		resolve_target(&it, n);
		if (!n->disabled)
			check_translation(&it, n);
	}
}
