/* SPDX-License-Identifier: GPL-2.0-only */
/* Rules: their names, and that their keys fit each other. */
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <string.h>

#include "user/config/check_match.h"

static bool has(const struct check_item *it, const char *key)
{
	return json_object_get(it->json, key);
}

/* ---- names and tags ---- */

static void check_name(struct check_item *it, const struct draft_rule *r, json_t *names)
{
	const json_t *other = r->item.name ? json_object_get(names, r->item.name) : NULL;

	if (!r->item.name)
		return;
	if (other)
		check_error(it->c, ITEM_AT(it, "name"), "/rules/%lld is called \"%s\" already",
			    (long long)json_integer_value(other), r->item.name);
	else if (json_object_set_new(names, r->item.name, json_integer((json_int_t)r->item.index)))
		it->c->err = -ENOMEM;
}

/* Numbers of the rules that give a tag. None, in `last`, is less than all. */
enum { TAG_FIRST_IN, TAG_LAST_IN, TAG_FIRST_OUT };

static json_int_t number_of(const json_t *tag, size_t which)
{
	return json_integer_value(json_array_get(tag, which));
}

static int note_tag(json_t *tags, const struct draft_rule *r)
{
	json_t *tag = json_object_get(tags, r->item.tag);
	json_int_t index = (json_int_t)r->item.index, none = INT_MAX;

	if (!tag) {
		tag = json_pack("[I, i, I]", none, -1, none);
		if (!tag || json_object_set_new(tags, r->item.tag, tag))
			return -1;
	}
	if (r->item.direction != CONFIG_OUT) {
		json_integer_set(json_array_get(tag, TAG_LAST_IN), index);
		if (number_of(tag, TAG_FIRST_IN) == none)
			json_integer_set(json_array_get(tag, TAG_FIRST_IN), index);
	}
	if (r->item.direction != CONFIG_IN && number_of(tag, TAG_FIRST_OUT) == none)
		json_integer_set(json_array_get(tag, TAG_FIRST_OUT), index);
	return 0;
}

static json_t *collect_tags(struct check *c)
{
	json_t *tags = json_object();
	size_t i;

	for (i = 0; i < c->draft->n_rules; i++) {
		const struct draft_rule *r = &c->draft->rules[i];

		if (r->item.tag && !r->disabled && note_tag(tags, r))
			c->err = -ENOMEM;
	}
	return tags;
}

/* Whether a packet can have the tag when it comes to that rule: from one before it, or going out from any for what comes in. */
static bool can_be_tagged(const struct draft_rule *r, const json_t *tag)
{
	json_int_t index = (json_int_t)r->item.index;

	if (r->item.direction != CONFIG_OUT && number_of(tag, TAG_FIRST_IN) < index)
		return true;
	if (r->item.direction == CONFIG_IN)
		return false;
	return number_of(tag, TAG_FIRST_IN) < index || number_of(tag, TAG_LAST_IN) > index ||
	       number_of(tag, TAG_FIRST_OUT) < index;
}

static void check_tagged(struct check_item *it, const struct draft_rule *r, const json_t *tags)
{
	const json_t *tag = r->item.tagged ? json_object_get(tags, r->item.tagged) : NULL;
	char text[CHECK_MISSING];

	if (r->item.tagged && !tag)
		check_error(it->c, ITEM_AT(it, "tagged"), "%s",
			    check_missing(text, "rule gives a \"tag\"", r->item.tagged, tags, NULL));
	else if (tag && !can_be_tagged(r, tag))
		check_warning(it->c, ITEM_AT(it, "tagged"),
			      "no rule that packets meet before this one gives the \"tag\": it never matches");
}

/* ---- what needs another key ---- */

static void check_needs(struct check_item *it, const struct draft_rule *r)
{
	static const char *const limits[] = { "max_states", "max_states_per_source" };
	const char *action = json_string_value(json_object_get(it->json, "action"));
	size_t i;

	if (has(it, "when_down") && !has(it, "route_to"))
		check_error(it->c, ITEM_AT(it, "when_down"),
			    "there is no \"route_to\" that could be down; accepted: \"when_down\" beside \"route_to\"");
	if (has(it, "reject_with") && action && r->item.action != CONFIG_REJECT)
		check_error(it->c, ITEM_AT(it, "reject_with"),
			    "the \"action\" is \"%s\"; accepted: \"reject_with\" beside \"action\": \"reject\"",
			    action);
	for (i = 0; i < 2; i++) {
		if (has(it, limits[i]) && r->item.state == CONFIG_STATE_NONE)
			check_error(it->c, ITEM_AT(it, limits[i]),
				    "there are no states to count with \"state\": \"none\"; take one of the two out");
		else if (has(it, limits[i]) && action && r->item.action != CONFIG_PASS)
			check_error(it->c, ITEM_AT(it, limits[i]),
				    "only rules that pass make states; accepted: \"%s\" beside \"action\": \"pass\"",
				    limits[i]);
	}
}

static bool all_protocols(const struct draft_match *m, unsigned int one, unsigned int other)
{
	size_t i;

	for (i = 0; i < m->n_protocols; i++) {
		if (m->protocols[i].valid && m->protocols[i].value != one && m->protocols[i].value != other)
			return false;
	}
	return m->n_protocols;
}

static void check_icmp_types(struct check_item *it, const struct draft_rule *r)
{
	const json_t *list = json_object_get(it->json, "icmp_type");
	bool four = check_has_protocol(&r->match, IPPROTO_ICMP), six = check_has_protocol(&r->match, IPPROTO_ICMPV6);
	size_t i;

	if (!r->n_icmp_types)
		return;
	if (!all_protocols(&r->match, IPPROTO_ICMP, IPPROTO_ICMPV6)) {
		check_error(it->c, ITEM_AT(it, "icmp_type"),
			    "accepted: \"icmp_type\" with \"protocol\" \"icmp\", \"ipv6-icmp\" or both, and no other");
		return;
	}
	for (i = 0; i < r->n_icmp_types; i++) {
		const struct draft_icmp_type *t = &r->icmp_types[i];

		if (t->valid && !(four && t->icmp4 >= 0) && !(six && t->icmp6 >= 0) && (four || six))
			check_error(it->c, ITEM_AT(it, "icmp_type", ELEMENT(list, i)),
				    "this is a type of %s, and \"protocol\" is \"%s\"", four ? "ICMPv6" : "ICMP",
				    four ? "icmp" : "ipv6-icmp");
	}
}

static void check_tcp_flags(struct check_item *it, const struct draft_rule *r)
{
	if (has(it, "tcp_flags") && !all_protocols(&r->match, IPPROTO_TCP, IPPROTO_TCP))
		check_error(it->c, ITEM_AT(it, "tcp_flags"),
			    "accepted: \"tcp_flags\" with \"protocol\" \"tcp\", and no other");
}

/* ---- steering ---- */

static void resolve_gateways(struct check_item *it, struct draft_rule *r)
{
	r->route_to_via = check_via_name(it->c, ITEM_AT(it, "route_to"), r->route_to, r->disabled, it->what);
	r->reply_to_via = check_via_name(it->c, ITEM_AT(it, "reply_to"), r->reply_to, r->disabled, it->what);
}

/* Whose members are checked by themselves. */
static void check_group(struct check_item *it, const struct draft_group *group, const char *key, bool narrows)
{
	unsigned int families = check_group_families(group);

	if (narrows || !(it->match->families & families))
		check_narrow(it, families, ITEM_AT(it, key), key);
}

/* With `route_to` a rule matches the gateway's families only; with `reply_to` all, of which those have to be some. */
static void check_gateway(struct check_item *it, const struct draft_gateway *g, const char *key, bool narrows)
{
	unsigned int families = check_gateway_families(g);

	if (g->port.tunnel && g->port.tunnel->item.broker)
		check_error(it->c, ITEM_AT(it, key),
			    "the gateway \"%s\" is on the tunnel \"%s\", which has clients, and does not say which of "
			    "them; accepted: a gateway elsewhere",
			    g->item.name, g->port.tunnel->item.name);
	if (narrows || !(it->match->families & families))
		check_narrow(it, families, ITEM_AT(it, key), key);
}

static void check_via(struct check_item *it, const struct draft_via *via, const char *key, bool narrows)
{
	if (via->gateway)
		check_gateway(it, via->gateway, key, narrows);
	else if (via->group)
		check_group(it, via->group, key, narrows);
}

static void warn_of_steering(struct check_item *it, const struct draft_rule *r)
{
	if (r->route_to && r->item.action != CONFIG_PASS)
		check_warning(it->c, ITEM_AT(it, "route_to"), "without effect: the rule does not pass what it matches");
	if (r->reply_to && r->item.action == CONFIG_BLOCK)
		check_warning(it->c, ITEM_AT(it, "reply_to"), "without effect: nothing answers what the rule blocks");
}

/* ---- all of it ---- */

static void check_rule(struct check_item *it, struct draft_rule *r)
{
	if (r->family)
		check_narrow(it, r->family, ITEM_AT(it, "family"), "family");
	check_match(it);
	check_icmp_types(it, r);
	check_tcp_flags(it, r);
	check_via(it, &r->route_to_via, "route_to", true);
	check_via(it, &r->reply_to_via, "reply_to", false);
	warn_of_steering(it, r);
}

void check_rules(struct check *c)
{
	json_t *names = json_object(), *tags = collect_tags(c);
	size_t i;

	for (i = 0; i < c->draft->n_rules; i++) {
		struct draft_rule *r = &c->draft->rules[i];
		struct check_item it;

		check_item_init(&it, c, "rules", i, "rule");
		it.match = &r->match;
		it.match->families = FL_BOTH;
		it.disabled = r->disabled;
		check_name(&it, r, names);
		check_match_names(&it);
		resolve_gateways(&it, r);
		check_needs(&it, r);
		if (r->disabled)
			continue;
		check_tagged(&it, r, tags);
		check_rule(&it, r);
	}
	json_decref(names);
	json_decref(tags);
}
