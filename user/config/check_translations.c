/* SPDX-License-Identifier: GPL-2.0-only */
/* Prefix translations against each other: every address has at most one outside, and every outside one inside. */
#include "user/config/check.h"

static bool overlap(const struct prefix *a, const struct prefix *b)
{
	if (a->addr.family == AF_UNSPEC || b->addr.family == AF_UNSPEC)
		return false;
	return a->len <= b->len ? prefix_contains(a, &b->addr) : prefix_contains(b, &a->addr);
}

static bool same_prefix(const struct prefix *a, const struct prefix *b)
{
	return a->len == b->len && a->addr.family != AF_UNSPEC && addr_equal(&a->addr, &b->addr);
}

static bool same_port(const struct draft_translation *a, const struct draft_translation *b)
{
	if (a->port.interface)
		return a->port.interface == b->port.interface;
	return a->port.tunnel && a->port.tunnel == b->port.tunnel;
}

static bool same_from(const struct draft_translation *a, const struct draft_translation *b)
{
	return a->from_ref && a->from_ref == b->from_ref && a->item.subnet == b->item.subnet;
}

/* On one interface: what leaves would have two outsides, or what comes in two insides. */
static void check_on_one_port(struct check *c, const struct draft_translation *a, size_t first,
			      const struct draft_translation *b, size_t i)
{
	char one[PREFIX_STRLEN], other[PREFIX_STRLEN];

	if (same_prefix(&a->item.internal, &b->item.internal))
		check_error(c, AT("prefix_translations", NUMBER(i), "internal"),
			    "\"%s\" on \"%s\" is translated by /prefix_translations/%zu already",
			    prefix_format(&b->item.internal, one), b->interface, first);
	if (overlap(&a->item.external, &b->item.external))
		check_error(
			c, AT("prefix_translations", NUMBER(i), "external"),
			"\"%s\" and \"%s\" of /prefix_translations/%zu on the same \"%s\" overlap; accepted: prefixes apart",
			prefix_format(&b->item.external, one), prefix_format(&a->item.external, other), first,
			b->interface);
	else if (same_from(a, b))
		check_error(
			c, AT("prefix_translations", NUMBER(i), "external"),
			"subnet %u of \"%s\" is used by /prefix_translations/%zu on the same \"%s\"; accepted: another one",
			b->item.subnet, b->from, first, b->interface);
}

/* On two: only who is inside and asks for an outside address can't know which inside is meant. */
static void check_on_two_ports(struct check *c, const struct draft_translation *a, size_t first,
			       const struct draft_translation *b, size_t i)
{
	bool same_map = same_prefix(&a->item.internal, &b->item.internal) && a->item.mode == b->item.mode;
	char text[PREFIX_STRLEN];

	if (same_prefix(&a->item.external, &b->item.external) && !same_map)
		check_warning(
			c, AT("prefix_translations", NUMBER(i), "external"),
			"\"%s\" is the outside of another inside in /prefix_translations/%zu; from inside it leads to one of the two only",
			prefix_format(&b->item.external, text), first);
}

void check_translations(struct check *c)
{
	const struct draft_translation *t = c->draft->translations;
	size_t n = c->draft->n_translations, i, j;

	for (i = 0; i < n; i++) {
		if (!t[i].disabled && t[i].port.interface && t[i].port.interface->family == FL_INET)
			check_error(
				c, AT("prefix_translations", NUMBER(i), "interface"),
				"fairlead takes only IPv4 on \"%s\" (\"family\": \"inet\"); accepted: an interface with IPv6",
				t[i].interface);
	}
	if (n > FL_NPT_MAX)
		return; /* far too many, which has been said */
	for (i = 0; i < n; i++) {
		for (j = 0; j < i && !t[i].disabled; j++) {
			if (t[j].disabled)
				continue;
			if (same_port(&t[j], &t[i]))
				check_on_one_port(c, &t[j], j, &t[i], i);
			else
				check_on_two_ports(c, &t[j], j, &t[i], i);
		}
	}
}
