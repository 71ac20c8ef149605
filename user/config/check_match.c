/* SPDX-License-Identifier: GPL-2.0-only */
#include "user/config/check_match.h"

#include <netinet/in.h>
#include <string.h>

#include "user/config/words.h"

void check_item_init(struct check_item *it, struct check *c, const char *section, size_t index, const char *what)
{
	*it = (struct check_item){ .c = c, .section = section, .what = what, .narrowed_by = "" };
	check_number(index, it->number);
	it->json = json_array_get(json_object_get(c->document, section), index);
}

/* ---- names ---- */

static void resolve_links(struct check_item *it)
{
	const json_t *list = json_object_get(it->json, "interface");
	struct draft_match *m = it->match;
	size_t i;

	for (i = 0; i < m->n_links; i++)
		check_port(it->c, ITEM_AT(it, "interface", ELEMENT(list, i)), m->links[i].name, it->disabled, it->what,
			   &m->links[i].port);
}

/* NULL: there is none, or it holds something else. */
static const struct config_alias *resolve_alias(struct check_item *it, const char *const *at, const char *name,
						enum config_entry_kind holds)
{
	const struct config_alias *alias = check_find_alias(it->c, name);
	bool ports = holds == CONFIG_ENTRY_PORTS;
	char text[CHECK_MISSING];

	if (!alias)
		check_error(it->c, at, "%s", check_missing(text, "alias", name, it->c->aliases, NULL));
	else if (alias->holds != CONFIG_ENTRY_NONE && alias->holds != holds)
		check_error(it->c, at, "\"$%s\" holds %s; accepted: an alias of %s", name,
			    ports ? "addresses" : "ports", ports ? "ports" : "addresses");
	else if (alias->holds == CONFIG_ENTRY_NONE && ports)
		check_error(it->c, at, "\"$%s\" holds nothing, so that no port would match", name);
	else
		return alias;
	return NULL;
}

static void resolve_term(struct check_item *it, const char *const *at, struct draft_term *term)
{
	switch (term->item.kind) {
	case CONFIG_TERM_NETWORK:
	case CONFIG_TERM_ADDRESS:
		check_port(it->c, at, term->name, it->disabled, it->what, &term->port);
		break;
	case CONFIG_TERM_ALIAS:
		term->item.alias = resolve_alias(it, at, term->name, CONFIG_ENTRY_ADDRESSES);
		break;
	case CONFIG_TERM_NONE:
		if (term->name)
			term->vip = check_vip_name(it->c, at, term->name, it->disabled, it->what, false);
		break;
	default:
		break;
	}
}

static void resolve_endpoint(struct check_item *it, const char *key, struct draft_endpoint *end)
{
	const json_t *json = json_object_get(it->json, key);
	const json_t *addresses = json_object_get(json, "address"), *ports = json_object_get(json, "port");
	size_t i;

	for (i = 0; i < end->n_terms; i++)
		resolve_term(it, ITEM_AT(it, key, "address", ELEMENT(addresses, i)), &end->terms[i]);
	for (i = 0; i < end->n_ports; i++) {
		if (end->ports[i].alias)
			end->ports[i].ref = resolve_alias(it, ITEM_AT(it, key, "port", ELEMENT(ports, i)),
							  end->ports[i].alias, CONFIG_ENTRY_PORTS);
	}
}

void check_match_names(struct check_item *it)
{
	resolve_links(it);
	resolve_endpoint(it, "source", &it->match->source);
	resolve_endpoint(it, "destination", &it->match->destination);
}

/* ---- protocols and ports ---- */

bool check_has_protocol(const struct draft_match *m, unsigned int protocol)
{
	size_t i;

	for (i = 0; i < m->n_protocols; i++) {
		if (m->protocols[i].valid && m->protocols[i].value == protocol)
			return true;
	}
	return false;
}

/* The ports of a packet that has none can't be compared, and one rule for both would be read as "these ports, and all of that". */
static void check_ports(struct check_item *it, const char *key, const struct draft_endpoint *end)
{
	const struct draft_match *m = it->match;
	bool fit = m->n_protocols;
	size_t i;

	for (i = 0; i < m->n_protocols; i++)
		fit &= !m->protocols[i].valid || words_protocol_has_ports(m->protocols[i].value);
	if (end->n_ports && !fit)
		check_error(
			it->c, ITEM_AT(it, key, "port"),
			"%s; accepted: \"port\" with \"protocol\" \"tcp\", \"udp\", \"sctp\", \"dccp\", \"udplite\"",
			m->n_protocols ? "not every \"protocol\" here has ports" : "there is no \"protocol\" here");
}

/* ---- families ---- */

static const char *family_name(unsigned int families)
{
	return families == FL_INET ? "IPv4" : "IPv6";
}

void check_narrow(struct check_item *it, unsigned int families, const char *const *at, const char *key)
{
	struct draft_match *m = it->match;

	if (!m->families)
		return; /* which has been said */
	if (!(m->families & families))
		check_error(it->c, at, "this is %s, and \"%s\" leaves %s only: the %s never matches",
			    family_name(families), it->narrowed_by, family_name(m->families), it->what);
	if ((m->families & families) != m->families)
		it->narrowed_by = key;
	m->families &= families;
}

static unsigned int port_families(const struct draft_port *port)
{
	if (port->tunnel)
		return FL_INET6;
	/* 0: refused, and may have been right */
	return port->interface && port->interface->family ? port->interface->family : FL_BOTH;
}

unsigned int check_gateway_families(const struct draft_gateway *g)
{
	return config_families(&g->item.address, g->port.tunnel, g->port.interface);
}

unsigned int check_vip_families(const struct draft_vip *v)
{
	unsigned int families = 0;
	size_t i;

	for (i = 0; i < v->item.n_addresses; i++) {
		if (v->item.addresses[i].addr.family == AF_UNSPEC)
			return FL_BOTH; /* refused, and may have been right */
		families |= v->item.addresses[i].addr.family == AF_INET ? FL_INET : FL_INET6;
	}
	return families ? families : FL_BOTH;
}

/* What an alias's file holds is not the configuration's: it may be other things tomorrow, and must not make this an error. */
static unsigned int term_families(const struct draft_term *t)
{
	switch (t->item.kind) {
	case CONFIG_TERM_RANGE:
		return t->item.range.first.family == AF_INET ? FL_INET : FL_INET6;
	case CONFIG_TERM_NETWORK:
	case CONFIG_TERM_ADDRESS:
		return port_families(&t->port);
	case CONFIG_TERM_ALIAS:
		return t->item.alias && t->item.alias->families && !t->item.alias->from_file ? t->item.alias->families
											     : FL_BOTH;
	case CONFIG_TERM_NONE:
		return t->vip ? check_vip_families(t->vip) : FL_BOTH;
	default:
		return FL_BOTH;
	}
}

static unsigned int endpoint_families(const struct draft_endpoint *end)
{
	unsigned int families = 0;
	size_t i;

	for (i = 0; i < end->n_terms; i++) {
		if (!end->terms[i].item.negated)
			families |= term_families(&end->terms[i]);
	}
	return families ? families : FL_BOTH;
}

static unsigned int link_families(const struct draft_match *m)
{
	unsigned int families = m->n_links ? 0 : FL_BOTH;
	size_t i;

	for (i = 0; i < m->n_links; i++)
		families |= port_families(&m->links[i].port);
	return families;
}

/* Only ICMP belongs to a family; ICMPv6 in IPv4 is nothing that anyone means. */
static unsigned int protocol_families(const struct draft_match *m)
{
	unsigned int families = m->n_protocols ? 0 : FL_BOTH;
	size_t i;

	for (i = 0; i < m->n_protocols; i++) {
		if (m->protocols[i].valid && m->protocols[i].value == IPPROTO_ICMP)
			families |= FL_INET;
		else if (m->protocols[i].valid && m->protocols[i].value == IPPROTO_ICMPV6)
			families |= FL_INET6;
		else
			families |= FL_BOTH;
	}
	return families;
}

void check_match(struct check_item *it)
{
	struct draft_match *m = it->match;

	check_ports(it, "source", &m->source);
	check_ports(it, "destination", &m->destination);
	check_narrow(it, link_families(m), ITEM_AT(it, "interface"), "interface");
	check_narrow(it, protocol_families(m), ITEM_AT(it, "protocol"), "protocol");
	check_narrow(it, endpoint_families(&m->source), ITEM_AT(it, "source", "address"), "source");
	check_narrow(it, endpoint_families(&m->destination), ITEM_AT(it, "destination", "address"), "destination");
}
