// SPDX-License-Identifier: GPL-2.0-only
/* What must hold before, and again after: both nodes are well and connected, and one of them has all addresses. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/drill/private.h"
#include "user/fault/fault.h"

#define MAINTENANCE_SKEW 254

/* ---- facts ---- */

/* Why this node's peer could not be asked. The row of the first that is connected; NULL: none is, and it was said. The caller's */
static json_t *connected_peer(struct run *r, json_t *to)
{
	json_t *rows = run_show(r, DRILL_SELF, "sync"), *row;
	size_t i;

	json_array_foreach(rows, i, row) {
		if (!json_is_true(json_object_get(row, "connected")))
			continue;
		json_incref(row);
		json_decref(rows);
		return row;
	}
	row = json_array_get(rows, 0);
	run_say(to, "no peer is connected%s%s; `fairlead show sync` tells more",
		*run_text(row, "last_error") ? ": " : "", run_text(row, "last_error"));
	json_decref(rows);
	return NULL;
}

/* That one was there status tells for a while after it is over. */
static bool is_of_split(const json_t *reason)
{
	return !strncmp(json_string_value(reason), "split-brain: ", strlen("split-brain: "));
}

/* told: a split brain is what the drill has made */
static void add_status(struct run *r, int node, bool told, json_t *to)
{
	json_t *status = run_ask(r, node, json_pack("{s:s}", "command", "status"), NULL), *reason;
	size_t i;

	if (!status)
		run_say(to, "%s does not answer", r->names[node]);
	else if (*run_text(status, "node"))
		snprintf(r->names[node], sizeof(r->names[node]), "%s", run_text(status, "node"));
	json_array_foreach(json_object_get(status, "reasons"), i, reason) {
		if (told && is_of_split(reason))
			continue;
		run_say(to, "%s is not well: %s", r->names[node], json_string_value(reason));
	}
	json_decref(status);
}

/* A text, or an array of them. */
static const char *why_not_ready(const json_t *row)
{
	const json_t *why = json_object_get(row, "not_ready");

	if (json_array_size(why))
		why = json_array_get(why, 0);
	return json_is_string(why) ? json_string_value(why) : "";
}

static void add_roles(struct run *r, int node, json_t *roles, json_t *to)
{
	json_t *rows = run_show(r, node, "vips"), *row;
	size_t i;

	json_array_foreach(rows, i, row) {
		const char *name = run_text(row, "name"), *role = run_text(row, "role");

		json_object_set_new(roles, name, json_string(role));
		if (!strcmp(role, "disabled"))
			run_say(to, "%s: %s is disabled by hand; `fairlead vip enable`", r->names[node], name);
		else if (!strcmp(role, "init"))
			run_say(to, "%s: %s can't take part; `fairlead show events` tells why", r->names[node], name);
		else if (run_number(row, "advskew") == MAINTENANCE_SKEW)
			run_say(to, "%s is in maintenance; `fairlead vip maintenance off`", r->names[node]);
		else if (*why_not_ready(row))
			run_say(to, "%s is not ready to take %s over: %s", r->names[node], name, why_not_ready(row));
	}
	if (!rows)
		run_say(to, "%s does not tell who has which address", r->names[node]);
	json_decref(rows);
}

static bool is_master(json_t *const roles[DRILL_NODES], int node, const char *name)
{
	return !strcmp(run_text(roles[node], name), "master");
}

/* *master: who has all of them; those that are independent may be anywhere. */
static void judge_roles(const struct run *r, json_t *const roles[DRILL_NODES], int *master, json_t *to)
{
	*master = -1;
	for (size_t i = 0; i < r->config->n_vips; i++) {
		const struct config_vip *v = &r->config->vips[i];
		bool self = is_master(roles, DRILL_SELF, v->name), peer = is_master(roles, DRILL_PEER, v->name);
		int its = self ? DRILL_SELF : DRILL_PEER;

		if (self == peer && r->pair)
			run_say(to, "%s has %s", v->name, self ? "two masters" : "no master");
		else if (!v->independent && *master >= 0 && its != *master)
			run_say(to, "%s is %s's, other addresses are not: all move together", v->name, r->names[its]);
		if (!v->independent && *master < 0)
			*master = its;
	}
}

/* ---- before ---- */

static bool takes_two(struct run *r)
{
	if (r->pair || !(r->scenario->expects & DRILL_PAIR))
		return true;
	run_say(r->reasons,
		!r->config->ha.interface ? "the configuration has no \"ha\": there is no other node that could take over"
					 : "the configuration has no \"vips\": there is nothing to take over");
	return false;
}

static void judge_sync(struct run *r, const json_t *row, json_t *to)
{
	if (json_is_false(json_object_get(row, "digest_match")))
		run_say(to, "%s does not have the same states as %s; `fairlead sync states`", r->names[DRILL_PEER],
			r->names[DRILL_SELF]);
}

/* What is not well may be its doing. */
static bool is_free(struct run *r, int node)
{
	json_t *answer = run_ask(r, node, json_pack("{s:s,s:s}", "command", "drill", "order", "look"), NULL);
	bool reserved = json_is_string(json_object_get(answer, "reserved"));

	if (reserved)
		run_say(r->reasons, DRILL_RESERVED, run_text(answer, "node"), run_number(answer, "reserved_s"));
	json_decref(answer);
	return !reserved;
}

bool run_baseline(struct run *r)
{
	json_t *roles[DRILL_NODES] = { r->nodes[0].roles_before, r->nodes[1].roles_before }, *row;

	r->pair = r->config->ha.interface && r->config->n_vips;
	snprintf(r->names[DRILL_SELF], sizeof(r->names[0]), "%s", r->config->node);
	if (!takes_two(r) || !is_free(r, DRILL_SELF) || (r->pair && !is_free(r, DRILL_PEER)))
		return false;
	add_status(r, DRILL_SELF, false, r->reasons);
	if (!r->pair)
		return !json_array_size(r->reasons);
	row = connected_peer(r, r->reasons);
	if (row) {
		add_status(r, DRILL_PEER, false, r->reasons);
		judge_sync(r, row, r->reasons);
		for (int i = 0; i < DRILL_NODES; i++)
			add_roles(r, i, roles[i], r->reasons);
		judge_roles(r, roles, &r->master, r->reasons);
	}
	json_decref(row);
	r->victim = r->master == DRILL_PEER ? DRILL_PEER : DRILL_SELF;
	if (r->scenario->standby)
		r->victim = !r->victim;
	return !json_array_size(r->reasons);
}

/* ---- after ---- */

static void add_fault(struct run *r, json_t *to)
{
	json_t *answer = run_ask(r, r->victim, json_pack("{s:s,s:s}", "command", "drill", "order", "look"), NULL);
	const json_t *fault = json_object_get(answer, "fault");

	r->left = json_is_true(json_object_get(fault, "left")) && !strcmp(run_text(fault, "id"), r->id);
	if (!answer)
		run_say(to, "%s does not answer", r->names[r->victim]);
	else if (r->left)
		run_say(to, "%s can't be made as it was", r->names[r->victim]);
	else if (json_is_true(json_object_get(answer, "running")) || strcmp(run_text(fault, "id"), r->id) ||
		 !run_number(fault, "undone_ms"))
		run_say(to, "%s is not yet as it was", r->names[r->victim]);
	json_decref(answer);
}

/* Those who preempt have the addresses again. */
static bool returns(const struct run *r)
{
	for (size_t i = 0; i < r->config->n_vips; i++)
		if (!r->config->vips[i].preempt)
			return false;
	return true;
}

static void add_pair(struct run *r, json_t *to)
{
	json_t *row = connected_peer(r, to), *roles[DRILL_NODES] = { json_object(), json_object() };
	int master = -1;

	if (row) {
		judge_sync(r, row, to);
		for (int i = 0; i < DRILL_NODES; i++)
			add_roles(r, i, roles[i], to);
		judge_roles(r, roles, &master, to);
		if (returns(r) && master >= 0 && master != r->master)
			run_say(to, "the addresses are %s's", r->names[master]);
	}
	for (int i = 0; i < DRILL_NODES; i++)
		json_decref(roles[i]);
	json_decref(row);
}

json_t *run_missing(struct run *r)
{
	json_t *missing = json_array();

	add_fault(r, missing);
	if (r->pair && !json_array_size(missing))
		add_pair(r, missing);
	if (json_array_size(missing))
		return missing;
	for (int i = 0; i < (r->pair ? DRILL_NODES : 1); i++)
		add_status(r, i, r->scenario->expects & DRILL_TWO_MASTERS, missing);
	return missing;
}
