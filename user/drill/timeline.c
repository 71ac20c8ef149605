// SPDX-License-Identifier: GPL-2.0-only
/*
 * Of both nodes' events, each with the times of its own clock: how long an address had two masters, and how long it had none. A node that
 * was killed says nothing of that: it is no master from then on.
 */
#include <stdlib.h>
#include <string.h>

#include "user/drill/drill.h"

#define CHANGES_MAX 4096

/* At a moment, of an address, one node becomes its master or ends to be. */
struct change {
	long long at_ms;
	int node;
	const char *name; /* NULL: of all */
	bool master;
};

struct changes {
	struct change all[CHANGES_MAX];
	size_t n;
};

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static void add(struct changes *c, long long at_ms, int node, const char *name, bool master)
{
	if (c->n < CHANGES_MAX)
		c->all[c->n++] = (struct change){ at_ms, node, name, master };
}

/* "backup -> master"; false: the event is none of a role */
static bool role_of(const json_t *event, const char **role)
{
	const char *arrow = strstr(text_of(event, "event"), " -> ");

	*role = arrow ? arrow + 4 : "";
	return arrow && !strcmp(text_of(event, "kind"), "vip");
}

static void add_events(struct changes *c, const struct drill_node *node, int which)
{
	const char *role;
	json_t *event;
	size_t i;

	json_array_foreach((json_t *)node->events, i, event) {
		long long at = json_integer_value(json_object_get(event, "time_ms")) - node->offset_ms;

		if (role_of(event, &role))
			add(c, at, which, text_of(event, "name"), !strcmp(role, "master"));
		else if (!strcmp(text_of(event, "kind"), "daemon") && !strcmp(text_of(event, "event"), "started"))
			add(c, at, which, NULL, false);
	}
	if (node->died_ms)
		add(c, node->died_ms - node->offset_ms, which, NULL, false);
}

static int by_time(const void *a, const void *b)
{
	const struct change *x = a, *y = b;

	return x->at_ms < y->at_ms ? -1 : x->at_ms > y->at_ms;
}

static void longest(long long *of, long long ms)
{
	if (ms > *of)
		*of = ms;
}

/* Masters of an address from one moment to the next. */
static void span(struct drill_owned *out, int masters, long long from, long long until, long long healed)
{
	long long after = until - (from > healed ? from : healed);

	if (masters == 1)
		return;
	longest(masters ? &out->two_ms : &out->none_ms, until - from);
	longest(masters ? &out->two_after_ms : &out->none_after_ms, after);
}

static long long follow(const struct changes *c, const struct drill_node nodes[DRILL_NODES], const char *name,
			const struct drill_window *w, long long fault_ms, long long healed, int victim,
			struct drill_owned *out)
{
	bool is[DRILL_NODES];
	long long since = w->from_ms, taken = -1;

	for (int i = 0; i < DRILL_NODES; i++)
		is[i] = !strcmp(text_of(nodes[i].roles_before, name), "master");
	for (size_t i = 0; i < c->n; i++) {
		const struct change *one = &c->all[i];
		int masters = is[0] + is[1];

		if (one->at_ms > w->until_ms || (one->name && strcmp(one->name, name)))
			continue;
		if (one->at_ms < w->from_ms)
			continue; /* roles_before knows of it */
		is[one->node] = one->master;
		if (is[0] + is[1] == masters)
			continue;
		span(out, masters, since, one->at_ms, healed);
		since = one->at_ms;
	}
	span(out, is[0] + is[1], since, w->until_ms, healed);
	for (size_t i = 0; i < c->n && taken < 0; i++)
		if (c->all[i].name && c->all[i].node != victim && c->all[i].master && c->all[i].at_ms >= fault_ms &&
		    !strcmp(c->all[i].name, name))
			taken = c->all[i].at_ms - fault_ms;
	return taken;
}

void drill_timeline(const struct drill_node nodes[DRILL_NODES], const struct drill_window *window, long long fault_ms,
		    long long healed_ms, int victim, struct drill_owned *out)
{
	struct changes *c = calloc(1, sizeof(*c));
	const char *name;
	json_t *role;

	*out = (struct drill_owned){ .taken_ms = -1 };
	if (!c)
		return;
	for (int i = 0; i < DRILL_NODES; i++)
		add_events(c, &nodes[i], i);
	qsort(c->all, c->n, sizeof(c->all[0]), by_time);
	json_object_foreach(nodes[DRILL_SELF].roles_before, name, role) {
		long long taken = follow(c, nodes, name, window, fault_ms, healed_ms, victim, out);

		longest(&out->taken_ms, taken);
	}
	free(c);
}
