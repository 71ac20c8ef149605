/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Rules that step aside while their gateway is down ("when_down": "skip") want one behind them that blocks, or what was to go
 * through a VPN goes out in clear text. Whether there is one is answered for certain, and so sometimes with no where it is
 * yes: only rules count that match all that the skipped one does, key by key; of those the last decides, or the first that is
 * quick. Others may take a part of it. Those that may be skipped themselves are not counted.
 */
#include "user/config/check.h"

struct rule {
	const struct draft_rule *draft;
	const json_t *json;
};

/* ---- lists ---- */

/* Whether `b` has for each of `a` an element that it lies within. No elements are all that there could be. */
static bool covers_list(const void *b, size_t n_b, const void *a, size_t n_a, size_t size,
			bool (*within)(const void *a, const void *b))
{
	const char *first_a = a, *first_b = b;
	bool found = true;
	size_t i, j;

	if (!n_b)
		return true;
	for (i = 0; found && i < n_a; i++) {
		found = false;
		for (j = 0; !found && j < n_b; j++)
			found = within(first_a + i * size, first_b + j * size);
	}
	return n_a && found;
}

static bool same_port(const struct draft_port *a, const struct draft_port *b)
{
	return a->interface == b->interface && a->tunnel == b->tunnel;
}

static bool link_within(const void *a, const void *b)
{
	const struct draft_link *x = a, *y = b;

	return same_port(&x->port, &y->port);
}

static bool protocol_within(const void *a, const void *b)
{
	const struct draft_number *x = a, *y = b;

	return x->value == y->value;
}

static bool ports_within(const void *a, const void *b)
{
	const struct draft_ports *x = a, *y = b;

	if (x->alias || y->alias)
		return x->ref && x->ref == y->ref;
	return x->range.first >= y->range.first && x->range.last <= y->range.last;
}

static bool kind_within(const struct draft_term *a, const struct draft_term *b)
{
	switch (a->item.kind) {
	case CONFIG_TERM_RANGE:
		return addr_range_contains(&b->item.range, &a->item.range);
	case CONFIG_TERM_NETWORK:
	case CONFIG_TERM_ADDRESS:
		return same_port(&a->port, &b->port);
	case CONFIG_TERM_ALIAS:
		return a->item.alias == b->item.alias;
	case CONFIG_TERM_NONE:
		return a->vip && a->vip == b->vip;
	default:
		return a->item.kind == CONFIG_TERM_SELF;
	}
}

/* What `a` excludes makes it smaller, which is left out of account; what `b` excludes is not known to be outside of `a`. */
static bool term_within(const void *a, const void *b)
{
	const struct draft_term *x = a, *y = b;

	if (x->item.negated || y->item.kind == CONFIG_TERM_ANY)
		return true;
	return x->item.kind == y->item.kind && kind_within(x, y);
}

static bool covers_terms(const struct draft_endpoint *b, const struct draft_endpoint *a)
{
	bool any = !b->n_terms, some = false;
	size_t i;

	for (i = 0; i < b->n_terms; i++) {
		if (b->terms[i].item.negated)
			return false;
		any |= b->terms[i].item.kind == CONFIG_TERM_ANY;
	}
	for (i = 0; i < a->n_terms; i++)
		some |= !a->terms[i].item.negated;
	return any || (some && covers_list(b->terms, b->n_terms, a->terms, a->n_terms, sizeof(*a->terms), term_within));
}

/* ---- rules ---- */

static bool covers_end(const struct rule *b, const struct rule *a, const char *key, const struct draft_endpoint *end_b,
		       const struct draft_endpoint *end_a)
{
	const json_t *terms_b = json_object_get(json_object_get(b->json, key), "address");
	const json_t *terms_a = json_object_get(json_object_get(a->json, key), "address");

	return (json_equal(terms_b, terms_a) || covers_terms(end_b, end_a)) &&
	       covers_list(end_b->ports, end_b->n_ports, end_a->ports, end_a->n_ports, sizeof(*end_a->ports),
			   ports_within);
}

/* Keys that are the same or not there. */
static bool covers_others(const struct rule *b, const struct rule *a)
{
	static const char *const keys[] = { "direction", "icmp_type", "tcp_flags", "dscp", "tagged", "schedule" };
	size_t i;

	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		const json_t *value = json_object_get(b->json, keys[i]);

		if (value && !json_equal(value, json_object_get(a->json, keys[i])))
			return false;
	}
	return true;
}

static bool covers(const struct rule *b, const struct rule *a)
{
	const struct draft_match *mb = &b->draft->match, *ma = &a->draft->match;

	return (mb->families & ma->families) == ma->families &&
	       covers_list(mb->links, mb->n_links, ma->links, ma->n_links, sizeof(*ma->links), link_within) &&
	       covers_list(mb->protocols, mb->n_protocols, ma->protocols, ma->n_protocols, sizeof(*ma->protocols),
			   protocol_within) &&
	       covers_end(b, a, "source", &mb->source, &ma->source) &&
	       covers_end(b, a, "destination", &mb->destination, &ma->destination) && covers_others(b, a);
}

static bool may_skip(const struct draft_rule *r)
{
	return r->route_to && r->item.when_down == CONFIG_DOWN_SKIP;
}

static bool blocked_behind(const struct draft *d, const json_t *rules, size_t skipped)
{
	struct rule a = { &d->rules[skipped], json_array_get(rules, skipped) };
	bool blocks = false;
	size_t i;

	for (i = skipped + 1; i < d->n_rules; i++) {
		struct rule b = { &d->rules[i], json_array_get(rules, i) };

		if (b.draft->disabled || may_skip(b.draft) || !covers(&b, &a))
			continue;
		blocks = b.draft->item.action != CONFIG_PASS;
		if (b.draft->item.quick)
			break;
	}
	return blocks;
}

void check_steering(struct check *c)
{
	const json_t *rules = json_object_get(c->document, "rules");
	const struct draft *d = c->draft;
	size_t i;

	for (i = 0; i < d->n_rules; i++) {
		const struct draft_rule *r = &d->rules[i];

		if (r->disabled || !may_skip(r) || r->item.action != CONFIG_PASS || blocked_behind(d, rules, i))
			continue;
		check_warning(c, AT("rules", NUMBER(i), "when_down"),
			      "no later rule is sure to block what this one matches; while \"%s\" is down, others and "
			      "\"default_action\" decide",
			      r->route_to);
	}
}
