/* SPDX-License-Identifier: GPL-2.0-only */
/* What aliases hold, those that they name included. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/config/config.h"

/* An alias and all that it leads to, each once however often it is named. Loops have been refused. */
struct closure {
	const struct config_alias *all; /* the configuration's */
	size_t *members;		/* indices in it */
	size_t n;
	bool *seen; /* by index */
};

static void closure_add(struct closure *closure, const struct config_alias *alias)
{
	size_t index = (size_t)(alias - closure->all);

	if (closure->seen[index])
		return;
	closure->seen[index] = true;
	closure->members[closure->n++] = index;
}

static int closure_make(const struct config *c, const struct config_alias *alias, struct closure *closure)
{
	size_t i, j;

	*closure = (struct closure){ .all = c->aliases };
	closure->members = calloc(c->n_aliases, sizeof(*closure->members));
	closure->seen = calloc(c->n_aliases, sizeof(*closure->seen));
	if (!closure->members || !closure->seen)
		return -ENOMEM;
	closure_add(closure, alias);
	for (i = 0; i < closure->n; i++) {
		const struct config_alias *a = &closure->all[closure->members[i]];

		for (j = 0; j < a->n_entries; j++) {
			if (a->entries[j].kind == CONFIG_ENTRY_ALIAS)
				closure_add(closure, a->entries[j].alias.to);
		}
	}
	return 0;
}

static void closure_free(struct closure *closure)
{
	free(closure->members);
	free(closure->seen);
}

/* Calls `take` with each entry that is no alias; how many it took. */
static size_t closure_each(const struct closure *closure,
			   bool (*take)(const struct config_alias_entry *, void *, size_t), void *arg)
{
	size_t n = 0, i, j;

	for (i = 0; i < closure->n; i++) {
		const struct config_alias *a = &closure->all[closure->members[i]];

		for (j = 0; j < a->n_entries; j++)
			n += take(&a->entries[j], arg, n);
	}
	return n;
}

struct wanted {
	int family;
	struct addr_range *ranges; /* NULL: only counted */
};

static bool take_addresses(const struct config_alias_entry *entry, void *arg, size_t n)
{
	struct wanted *wanted = arg;

	if (entry->kind != CONFIG_ENTRY_ADDRESSES || entry->addresses.first.family != wanted->family)
		return false;
	if (wanted->ranges)
		wanted->ranges[n] = entry->addresses;
	return true;
}

int config_alias_addresses(const struct config *c, const struct config_alias *alias, int family,
			   struct addr_range **ranges, size_t *n)
{
	struct wanted wanted = { .family = family };
	struct closure closure;
	int err = closure_make(c, alias, &closure);

	if (!err) {
		wanted.ranges = calloc(closure_each(&closure, take_addresses, &wanted) + 1, sizeof(**ranges));
		err = wanted.ranges ? 0 : -ENOMEM;
	}
	if (!err) {
		*n = addr_ranges_merge(wanted.ranges, closure_each(&closure, take_addresses, &wanted));
		*ranges = wanted.ranges;
	}
	closure_free(&closure);
	return err;
}

/* `arg`: NULL, or the array. */
static bool take_ports(const struct config_alias_entry *entry, void *arg, size_t n)
{
	if (entry->kind != CONFIG_ENTRY_PORTS)
		return false;
	if (arg)
		((struct port_range *)arg)[n] = entry->ports;
	return true;
}

int config_alias_ports(const struct config *c, const struct config_alias *alias, struct port_range **ranges, size_t *n)
{
	struct closure closure;
	int err = closure_make(c, alias, &closure);
	struct port_range *list = NULL;

	if (!err) {
		list = calloc(closure_each(&closure, take_ports, NULL) + 1, sizeof(*list));
		err = list ? 0 : -ENOMEM;
	}
	if (!err) {
		*n = port_ranges_merge(list, closure_each(&closure, take_ports, list));
		*ranges = list;
	}
	closure_free(&closure);
	return err;
}

/* ---- changes at run time ---- */

/* 1, 0 or -ENOMEM. */
static int leads_to(const struct config *c, const struct config_alias *from, const struct config_alias *to)
{
	struct closure closure;
	int r = closure_make(c, from, &closure);

	if (!r)
		r = closure.seen[to - c->aliases];
	closure_free(&closure);
	return r;
}

int config_alias_hindrance(const struct config *c, const struct config_alias *alias, int family,
			   const struct config_alias **hindrance)
{
	unsigned int bit = family == AF_INET ? FL_INET : FL_INET6;
	size_t i;
	int r = 0;

	*hindrance = NULL;
	for (i = 0; i < c->n_aliases && r >= 0; i++) {
		const struct config_alias *a = &c->aliases[i];

		if (a->holds != CONFIG_ENTRY_PORTS && (!a->families || a->from_file || a->families & bit))
			continue;
		r = leads_to(c, a, alias);
		if (r == 1) {
			*hindrance = a;
			return 0;
		}
	}
	return r;
}

const struct config_alias_entry *config_alias_entry(const struct config_alias *alias, const struct addr_range *range)
{
	size_t i;

	for (i = 0; i < alias->n_entries; i++) {
		const struct config_alias_entry *e = &alias->entries[i];

		if (e->kind == CONFIG_ENTRY_ADDRESSES && addr_equal(&e->addresses.first, &range->first) &&
		    addr_equal(&e->addresses.last, &range->last))
			return e;
	}
	return NULL;
}

static const struct config_alias_entry *holder_in(const struct config_alias *alias, const struct addr_range *range)
{
	size_t i;

	for (i = 0; i < alias->n_entries; i++) {
		const struct config_alias_entry *e = &alias->entries[i];

		if (e->kind == CONFIG_ENTRY_ADDRESSES && addr_range_contains(&e->addresses, range))
			return e;
	}
	return NULL;
}

int config_alias_holder(const struct config *c, const struct config_alias *alias, const struct addr_range *range,
			const struct config_alias **whose, const struct config_alias_entry **entry)
{
	struct closure closure;
	int err = closure_make(c, alias, &closure);
	size_t i;

	*entry = NULL;
	for (i = 0; !err && !*entry && i < closure.n; i++) {
		*whose = &c->aliases[closure.members[i]];
		*entry = holder_in(*whose, range);
	}
	closure_free(&closure);
	return err;
}

int config_alias_insert(struct config_alias *alias, const struct addr_range *range)
{
	struct config_alias_entry *grown = reallocarray(alias->entries, alias->n_entries + 1, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	alias->entries = grown;
	grown[alias->n_entries++] = (struct config_alias_entry){
		.kind = CONFIG_ENTRY_ADDRESSES,
		.at = CONFIG_ENTRY_LIVE,
		.addresses = *range,
	};
	return 0;
}

void config_alias_delete(struct config_alias *alias, size_t i)
{
	memmove(&alias->entries[i], &alias->entries[i + 1], (alias->n_entries - i - 1) * sizeof(*alias->entries));
	alias->n_entries--;
}
