/* SPDX-License-Identifier: GPL-2.0-only */
/* Aliases: that the names in them exist and don't go round in circles, and that each holds one kind of thing. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/config/check.h"

/* At the entry: an element of the array, or a line of the file. */
static void entry_error(struct check *c, const struct config_alias *a, const struct config_alias_entry *e,
			const char *text)
{
	if (a->file)
		check_error(c, AT("aliases", a->name, "file"), "%s:%u: %s", a->file, e->at, text);
	else
		check_error(c, AT("aliases", a->name, NUMBER(e->at)), "%s", text);
}

static void resolve_entries(struct check *c, struct config_alias *a)
{
	char text[CHECK_MISSING];
	size_t i;

	for (i = 0; i < a->n_entries; i++) {
		struct config_alias_entry *e = &a->entries[i];

		if (e->kind != CONFIG_ENTRY_ALIAS)
			continue;
		e->alias.to = check_find_alias(c, e->alias.name);
		if (!e->alias.to)
			entry_error(c, a, e, check_missing(text, "alias", e->alias.name, c->aliases, NULL));
	}
}

/* ---- from the innermost outwards ---- */

enum progress { NOT_YET, UNDER_WAY, DONE };

struct frame {
	struct config_alias *alias;
	size_t next; /* entry */
};

/* Aliases may nest as deep as there are many, so the way down is no recursion. */
struct walk {
	struct check *c;
	enum progress *progress; /* by index */
	struct frame *stack;
	size_t depth;
};

static size_t index_of(const struct walk *w, const struct config_alias *a)
{
	return (size_t)(a - w->c->draft->aliases);
}

/* "$a leads to itself: $a, $b, $a" */
static void report_loop(struct walk *w, const struct config_alias *a, const struct config_alias_entry *e)
{
	size_t from = w->depth, used, i;
	char text[CHECK_MISSING];

	while (w->stack[from - 1].alias != e->alias.to)
		from--;
	used = (size_t)snprintf(text, sizeof(text), "\"$%s\" leads to itself: ", e->alias.name);
	for (i = from - 1; i < w->depth && used < sizeof(text); i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "$%s -> ", w->stack[i].alias->name);
	if (used < sizeof(text))
		snprintf(text + used, sizeof(text) - used, "$%s", e->alias.name);
	entry_error(w->c, a, e, text);
}

/* false: of another kind than the entries before it. */
static bool add_kind(struct config_alias *a, enum config_entry_kind kind)
{
	if (a->holds == CONFIG_ENTRY_NONE)
		a->holds = kind;
	return kind == CONFIG_ENTRY_NONE || kind == a->holds;
}

/* All that it names is done. */
static void finish(struct walk *w, struct config_alias *a)
{
	bool mixed = false;
	size_t i;

	a->from_file = a->file;
	for (i = 0; i < a->n_entries && !mixed; i++) {
		const struct config_alias_entry *e = &a->entries[i];
		const struct config_alias *to = e->kind == CONFIG_ENTRY_ALIAS ? e->alias.to : NULL;

		if (e->kind == CONFIG_ENTRY_ALIAS)
			mixed = to && !add_kind(a, to->holds);
		else
			mixed = !add_kind(a, e->kind);
		if (e->kind == CONFIG_ENTRY_ADDRESSES)
			a->families |= e->addresses.first.family == AF_INET ? FL_INET : FL_INET6;
		a->families |= to ? to->families : 0;
		a->from_file |= to && to->from_file;
		if (mixed)
			entry_error(w->c, a, e,
				    a->holds == CONFIG_ENTRY_PORTS
					    ? "found addresses behind ports; accepted: an alias of one of the two"
					    : "found ports behind addresses; accepted: an alias of one of the two");
	}
	w->progress[index_of(w, a)] = DONE;
}

static void enter(struct walk *w, struct config_alias *a)
{
	w->progress[index_of(w, a)] = UNDER_WAY;
	w->stack[w->depth++] = (struct frame){ .alias = a };
}

static void descend(struct walk *w)
{
	while (w->depth) {
		struct frame *top = &w->stack[w->depth - 1];
		const struct config_alias_entry *e;
		size_t to;

		if (top->next == top->alias->n_entries) {
			w->depth--;
			finish(w, top->alias);
			continue;
		}
		e = &top->alias->entries[top->next++];
		if (e->kind != CONFIG_ENTRY_ALIAS || !e->alias.to)
			continue;
		to = index_of(w, e->alias.to);
		if (w->progress[to] == UNDER_WAY)
			report_loop(w, top->alias, e);
		else if (w->progress[to] == NOT_YET)
			enter(w, &w->c->draft->aliases[to]);
	}
}

void check_aliases(struct check *c)
{
	struct draft *d = c->draft;
	struct walk w = { .c = c };
	size_t i;

	for (i = 0; i < d->n_aliases; i++)
		resolve_entries(c, &d->aliases[i]);
	w.progress = calloc(d->n_aliases + 1, sizeof(*w.progress));
	w.stack = calloc(d->n_aliases + 1, sizeof(*w.stack));
	if (!w.progress || !w.stack)
		c->err = -ENOMEM;
	for (i = 0; i < d->n_aliases && !c->err; i++) {
		if (w.progress[i] == DONE)
			continue;
		enter(&w, &d->aliases[i]);
		descend(&w);
	}
	free(w.progress);
	free(w.stack);
}
