// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <time.h>

#include "user/drill/private.h"
#include "user/fault/fault.h"
#include "user/lib/clock.h"

#define POLL_MS 200
#define OFFSETS 3 /* times that the other node's clock is asked for */
/*
 * Nobody renews it: so long a drill may take in all, a minute for the host that measures, one for the fault, one and a half until all is as before,
 * and half of one for what was measured. A drill that ends, or is called off, gives the nodes back at once; after one that got SIGKILL nobody
 * knows that its probe and its fault are over before.
 */
#define RESERVE_S 240

static volatile sig_atomic_t called_off;

static void on_signal(int sig)
{
	(void)sig;
	called_off = 1;
}

bool run_called_off(void)
{
	return called_off;
}

void run_pause(long ms)
{
	const struct timespec ts = { ms / 1000, ms % 1000 * 1000000 };

	if (ms > 0 && !called_off)
		nanosleep(&ts, NULL);
}

/* Each once: what is wrong with a node would be said of each of its addresses. */
static bool is_said(const json_t *to, const char *text)
{
	json_t *said;
	size_t i;

	json_array_foreach((json_t *)to, i, said) {
		if (!strcmp(json_string_value(said), text))
			return true;
	}
	return false;
}

void run_say(json_t *to, const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) >= 0 && !is_said(to, text))
		json_array_append_new(to, json_string(text));
	va_end(ap);
	free(text);
}

void run_progress(struct run *r, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	r->world->progress(r->world->arg, text);
}

/* ---- asking either node ---- */

json_t *run_ask(struct run *r, int node, json_t *request, char **error)
{
	char *why = NULL;
	json_t *result;

	if (node == DRILL_PEER)
		request = json_pack("{s:s,s:s,s:o}", "command", "drill", "order", "peer", "request", request);
	result = r->world->ask(r->world->arg, request, &why);
	if (error)
		*error = why;
	else
		free(why);
	return result;
}

json_t *run_show(struct run *r, int node, const char *what)
{
	return run_ask(r, node, json_pack("{s:s,s:s}", "command", "show", "what", what), NULL);
}

json_t *run_look(struct run *r, int node)
{
	return run_ask(r, node, json_pack("{s:s,s:s}", "command", "drill", "order", "look"), NULL);
}

json_t *run_order(struct run *r, int node, const char *what, json_t *more)
{
	json_t *request = json_pack("{s:s,s:s,s:s}", "command", "drill", "order", what, "id", r->id), *result;
	char *error = NULL;

	json_object_update(request, more);
	json_decref(more);
	result = run_ask(r, node, request, &error);
	if (!result)
		run_say(r->reasons, "%s: %s", r->names[node], error ? error : "no answer");
	free(error);
	return result;
}

static bool order(struct run *r, int node, const char *what, json_t *more)
{
	json_t *result = run_order(r, node, what, more);

	json_decref(result);
	return result != NULL;
}

/* ---- the start ---- */

struct config *drill_config(const struct drill_world *world, char **error)
{
	struct config_report report = { 0 };
	struct config *config = NULL;
	char *why = NULL, *text;
	json_t *json = world->ask(world->arg, json_pack("{s:s,s:s}", "command", "show", "what", "config"), &why);

	text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	if (text && config_load_string(text, strlen(text), &config, &report))
		config = NULL;
	if (error)
		*error = why;
	else
		free(why);
	config_report_free(&report);
	json_decref(json);
	free(text);
	return config;
}

static bool load_config(struct run *r)
{
	char *error = NULL;

	r->config = drill_config(r->world, &error);
	if (!r->config)
		run_say(r->reasons, "this node's configuration can't be had: %s", error ? error : "it does not load");
	free(error);
	return r->config != NULL;
}

/* The other node's clock less ours: of several answers the quickest tells best. */
static void ask_clock(struct run *r)
{
	long long best = LLONG_MAX;

	for (int i = 0; i < OFFSETS; i++) {
		long long before = clock_ms(CLOCK_REALTIME), after;
		json_t *answer = run_look(r, DRILL_PEER);

		after = clock_ms(CLOCK_REALTIME);
		if (answer && after - before < best) {
			best = after - before;
			r->nodes[DRILL_PEER].offset_ms = run_number(answer, "time_ms") - (before + after) / 2;
		}
		json_decref(answer);
	}
}

static bool choose(struct run *r)
{
	char *why = NULL;

	r->targets = drill_choose(r->config, r->scenario, r->options->target, &why);
	if (!r->targets)
		run_say(r->reasons, "%s", why ? why : "out of memory");
	free(why);
	return r->targets != NULL;
}

static bool name_id(struct run *r)
{
	uint32_t number = 0;

	if (getrandom(&number, sizeof(number), 0) != sizeof(number))
		return false;
	snprintf(r->id, sizeof(r->id), "%s-%08x", r->names[DRILL_SELF], number);
	return true;
}

/* ---- the fault ---- */

static long fault_seconds(const struct run *r)
{
	long s = (r->hold_ms + 999) / 1000 + CHECK_S * (long)r->n_checks;

	return s < FAULT_SECONDS_MAX ? s : FAULT_SECONDS_MAX;
}

static bool begin_fault(struct run *r)
{
	run_progress(r, "%s: %s", r->names[r->victim], r->scenario->summary);
	r->window.from_ms = clock_ms(CLOCK_REALTIME);
	return order(r, r->victim, "fault",
		     json_pack("{s:s,s:O,s:I,s:s}", "fault", r->scenario->fault, "targets", r->targets, "seconds",
			       (json_int_t)fault_seconds(r), "by", r->names[DRILL_SELF]));
}

static void wait_in_fault(struct run *r)
{
	long long until = clock_ms(CLOCK_MONOTONIC) + r->hold_ms, left;

	while ((left = until - clock_ms(CLOCK_MONOTONIC)) > 0 && !called_off)
		run_pause(left < POLL_MS ? left : POLL_MS);
	run_take_flows(r);
	run_wait_for_checks(r);
}

/* As this node's daemon would, which is dead. */
static void end_here(const struct run *r)
{
	char path[128], text[16] = "";
	FILE *lock;

	snprintf(path, sizeof(path), FAULT_LOCK, r->world->instance);
	lock = fopen(path, "re");
	if (!lock)
		return;
	if (fgets(text, sizeof(text), lock) && flock(fileno(lock), LOCK_SH | LOCK_NB) && atoi(text) > 0)
		kill(atoi(text), SIGUSR1);
	fclose(lock);
}

/* Where it can't be reached, the node ends it itself. */
static void end_fault(struct run *r)
{
	json_t *answer = run_ask(r, r->victim,
				 json_pack("{s:s,s:s,s:s}", "command", "drill", "order", "end", "id", r->id), NULL);

	if (!answer && r->victim == DRILL_SELF)
		end_here(r);
	json_decref(answer);
}

/* ---- afterwards ---- */

static void take_fault(struct run *r)
{
	json_t *answer = run_look(r, r->victim), *error;
	const json_t *fault = json_object_get(answer, "fault");
	struct drill_node *node = &r->nodes[r->victim];
	size_t i;

	if (strcmp(run_text(fault, "id"), r->id)) {
		run_say(r->reasons, "%s does not tell what became of the fault", r->names[r->victim]);
	} else {
		bool dies = !strcmp(r->scenario->fault, "kill") || !strcmp(r->scenario->fault, "power");

		r->fault_ms = run_number(fault, "begun_ms") - node->offset_ms;
		r->healed_ms = run_number(fault, "ending_ms") - node->offset_ms;
		node->died_ms = dies ? run_number(fault, "done_ms") : 0;
		json_array_foreach(json_object_get(fault, "errors"), i, error) {
			run_say(r->reasons, "%s: %s", r->names[r->victim], json_string_value(error));
		}
	}
	json_decref(answer);
}

static void wait_until_restored(struct run *r)
{
	long long until = clock_ms(CLOCK_MONOTONIC) + RUN_RESTORE_MS;
	json_t *missing = NULL;

	run_progress(r, "waiting until all is as before");
	while (clock_ms(CLOCK_MONOTONIC) < until) {
		json_decref(missing);
		missing = run_missing(r);
		r->restored = !json_array_size(missing);
		if (r->restored || r->left || called_off)
			break;
		run_pause(POLL_MS);
	}
	r->restored_ms = clock_ms(CLOCK_REALTIME);
	if (!r->restored)
		json_array_extend(r->reasons, missing);
	json_decref(missing);
}

static void fetch_events(struct run *r)
{
	for (int i = 0; i < (r->pair ? DRILL_NODES : 1); i++) {
		long long since = r->window.from_ms + r->nodes[i].offset_ms;

		r->nodes[i].events = run_ask(r, i,
					     json_pack("{s:s,s:s,s:I}", "command", "drill", "order", "events",
						       "since_ms", (json_int_t)since),
					     NULL);
		if (!r->nodes[i].events)
			run_say(r->reasons, "the events of %s can't be read", r->names[i]);
	}
}

static bool is_of_two(const json_t *event)
{
	return !strncmp(run_text(event, "event"), "split-brain", 11) ||
	       !strncmp(run_text(event, "event"), "split brain", 11);
}

/* ms; -1: it is none of an announcement */
static long long seen_after(const json_t *event)
{
	const json_t *after = json_object_get(json_object_get(event, "details"), "after_ms");

	return json_is_number(after) && !strcmp(run_text(event, "event"), "announced")
		       ? (long long)json_number_value(after)
		       : -1;
}

static void look_at_events(const struct run *r, struct drill_measured *m)
{
	json_t *event;
	size_t j;

	for (int i = 0; i < DRILL_NODES; i++) {
		m->silent[i] = true;
		json_array_foreach((json_t *)r->nodes[i].events, j, event) {
			long long seen = seen_after(event);

			m->told_of_two |= is_of_two(event);
			if (r->scenario->expects & DRILL_SEEN && seen > m->seen_ms)
				m->seen_ms = seen;
			if (!strcmp(run_text(event, "kind"), "vip") && strstr(run_text(event, "event"), " -> "))
				m->silent[i] = false;
		}
	}
}

static bool preempts(const struct config *config)
{
	for (size_t i = 0; i < config->n_vips; i++)
		if (!config->vips[i].preempt)
			return false;
	return true;
}

static json_t *judge(struct run *r)
{
	const struct config_drill *limits = &r->config->drill;
	struct drill_measured m = { .scenario = r->scenario,
				    .limits = { r->options->max_gap_ms != CONFIG_NO_LIMIT ? r->options->max_gap_ms
											  : limits->max_gap_ms,
						limits->max_lost_flows },
				    .interval_ms = drill_interval_ms(r->config),
				    .probe = r->probe,
				    .probe_fault_ms = r->fault_ms - r->probe_ms,
				    .probe_healed_ms = r->healed_ms - r->probe_ms,
				    .sync_ms = r->restored ? r->restored_ms - r->healed_ms : -1,
				    .leaks = r->leaks,
				    .seen_ms = -1,
				    .restored = r->restored,
				    .preempt = preempts(r->config),
				    .reasons = r->reasons,
				    .hints = r->hints,
				    .notes = r->notes,
				    .checks = r->checks };
	json_t *result;

	r->window.until_ms = r->restored_ms;
	drill_timeline(r->nodes, &r->window, r->fault_ms, r->healed_ms, r->victim, &m.owned);
	look_at_events(r, &m);
	if (r->scenario->expects & DRILL_LOGGED && r->config->log.events == CONFIG_LOG_NONE)
		run_say(r->reasons, "events are not logged: log.events is \"none\", so no alert can come of them");
	result = drill_judge(&m);
	if (r->called_off)
		json_object_set_new(result, "result", json_string("called off"));
	return result;
}

/* ---- all of it ---- */

static json_t *describe(const struct run *r, json_t *result)
{
	json_object_set_new(result, "scenario", json_string(r->scenario->name));
	json_object_set_new(result, "time_ms", json_integer(r->time_ms));
	json_object_set_new(result, "node", json_string(r->names[DRILL_SELF]));
	json_object_set_new(result, "victim", json_string(r->names[r->victim]));
	if (r->targets)
		json_object_set(result, "targets", r->targets);
	if (r->config && r->config->drill.from)
		json_object_set_new(result, "from", json_string(r->config->drill.from));
	return result;
}

static json_t *refused(const struct run *r)
{
	return describe(r, json_pack("{s:s,s:O,s:b}", "result", "refused", "reasons", r->reasons, "restored", true));
}

static bool confirm(struct run *r)
{
	char *targets = json_dumps(r->targets, JSON_COMPACT), *text = NULL;
	bool yes = r->options->yes;

	if (!yes &&
	    asprintf(&text,
		     "%s: %s.\nIt happens to %s (%s%s), and is undone after %ld s, whatever becomes of this program.",
		     r->scenario->name, r->scenario->summary, r->names[r->victim], r->scenario->fault,
		     json_array_size(r->targets) ? targets : "", fault_seconds(r)) >= 0)
		yes = r->world->confirm(r->world->arg, text);
	free(text);
	free(targets);
	if (!yes)
		run_say(r->reasons, "not confirmed");
	return yes;
}

/* The master comes first, wherever this is called: of two that begin at the same moment one gets both nodes. */
static int reserved_node(const struct run *r, int i)
{
	return r->master == DRILL_PEER ? !i : i;
}

static bool reserve(struct run *r)
{
	for (int i = 0; i < (r->pair ? DRILL_NODES : 1); i++) {
		if (!order(r, reserved_node(r, i), "reserve", json_pack("{s:i}", "seconds", RESERVE_S)))
			return false;
		r->reserved = i + 1;
	}
	return true;
}

bool drill_is_kept(const json_t *result)
{
	const char *what = run_text(result, "result");

	return !strcmp(what, "passed") || !strcmp(what, "failed");
}

/* This node's own is kept by who has called us. */
static void release(struct run *r, json_t *result)
{
	json_t *answer;

	for (int i = 0; i < r->reserved; i++) {
		int node = reserved_node(r, i);

		answer = run_ask(r, node,
				 json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:O*}", "command", "drill", "order", "release",
					   "id", r->id, "scenario", r->scenario->name, "result",
					   run_text(result, "result"), "by", r->names[DRILL_SELF], "kept",
					   node == DRILL_PEER && drill_is_kept(result) ? result : NULL),
				 NULL);
		json_decref(answer);
	}
}

static json_t *do_it(struct run *r)
{
	if (!run_start_probe(r))
		return refused(r);
	run_pause(RUN_BEFORE_MS);
	if (called_off || !run_goes_through(r) || !run_order_checks(r) || !begin_fault(r))
		return refused(r);
	wait_in_fault(r);
	r->called_off = called_off;
	called_off = 0; /* what is left is waited for all the same, unless that is called off, too */
	end_fault(r);
	wait_until_restored(r);
	take_fault(r);
	run_take_checks(r);
	run_judge_flows(r);
	run_pause(RUN_AFTER_MS);
	run_fetch_probe(r);
	fetch_events(r);
	return describe(r, judge(r));
}

/* A node undoes a fault after a minute at the latest. */
static bool lasts(struct run *r)
{
	if (r->hold_ms <= FAULT_SECONDS_MAX * 1000)
		return true;
	run_say(r->reasons,
		"with advbase_s as it is a master is missed after %ld s only, and no fault lasts for longer than %d s",
		drill_patience_ms(r->config) / 1000, FAULT_SECONDS_MAX);
	return false;
}

static json_t *run(struct run *r)
{
	json_t *result;

	if (!load_config(r) || !run_baseline(r) || !choose(r) || !name_id(r))
		return refused(r);
	if (r->pair)
		ask_clock(r);
	r->hold_ms = drill_hold_ms(r->config, r->scenario);
	r->n_checks = run_own_checks(r);
	result = lasts(r) && confirm(r) && reserve(r) && run_open_remote(r) ? do_it(r) : refused(r);
	release(r, result);
	drill_remote_close(&r->remote);
	return result;
}

static void watch_signals(void)
{
	const struct sigaction sa = { .sa_handler = on_signal };

	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
}

json_t *drill_run(const struct drill_world *world, const struct drill_options *options)
{
	struct run r = { .world = world,
			 .options = options,
			 .scenario = drill_find(options->scenario),
			 .time_ms = clock_ms(CLOCK_REALTIME),
			 .leaks = -1,
			 .reasons = json_array(),
			 .hints = json_array(),
			 .notes = json_array(),
			 .checks = json_array() };
	json_t *result;

	for (int i = 0; i < DRILL_NODES; i++) {
		r.nodes[i].roles_before = json_object();
		snprintf(r.names[i], sizeof(r.names[i]), "%s", i == DRILL_SELF ? "this node" : "the other node");
	}
	watch_signals();
	result = run(&r);
	for (int i = 0; i < DRILL_NODES; i++) {
		json_decref(r.nodes[i].roles_before);
		json_decref((json_t *)r.nodes[i].events);
	}
	json_decref(r.targets);
	json_decref(r.flows);
	json_decref(r.probe);
	json_decref(r.reasons);
	json_decref(r.hints);
	json_decref(r.notes);
	json_decref(r.checks);
	config_free(r.config);
	return result;
}
