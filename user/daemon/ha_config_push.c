// SPDX-License-Identifier: GPL-2.0-only
/* A primary pushes: for an apply that waits for the peers, `sync config`, `sync diff`, and of its own. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/daemon/diff.h"
#include "user/daemon/ha_config_internal.h"
#include "user/lib/clock.h"
#include "user/lib/log.h"

#define PART_MAX (SYNC_FRAME_MAX - 65536) /* bytes: the rest is for what is around it */

/* ---- who waits ---- */

static void waiting_clear(struct waiting *w)
{
	apply_version_free(&w->request);
	free(w->who);
	json_decref(w->document);
	json_decref(w->order.part);
	apply_result_free(&w->result);
	*w = (struct waiting){ .what = WAITS_FOR_NOTHING };
}

static void answer_now(struct ha_config *hc, struct control_answer *answer)
{
	struct client *client = hc->waiting.client;

	hc->waiting.client = NULL;
	if (client) {
		control_answer(client, answer);
		return;
	}
	json_decref(answer->result);
	json_decref(answer->findings);
	free(answer->error);
	free(answer->file);
}

static void on_begin(void *arg, struct client *client)
{
	struct ha_config *hc = arg;
	struct push_order order = hc->waiting.order;

	hc->waiting.client = client;
	json_incref(order.part); /* what its findings are of */
	push_begin(&hc->push, &order);
}

static void on_gone(void *arg)
{
	((struct ha_config *)arg)->waiting.client = NULL;
}

static void wait_for(struct ha_config *hc, struct control_answer *answer)
{
	static const struct control_later later = { on_begin, on_gone };

	hc->waiting.order.waited_for = true;
	if (answer) {
		answer->later = &later;
		answer->later_arg = hc;
	} else {
		on_begin(hc, NULL);
	}
}

bool ha_config_busy(struct daemon *d, struct control_answer *answer)
{
	static const char why[] = "another change waits for the other nodes of the pair; try again in some seconds";

	if (!push_is_busy(&d->ha_config->push))
		return false;
	if (answer)
		control_fail(answer, 1, "%s", why);
	else
		log_warnx("%s", why);
	return true;
}

/* ---- a round's own half ---- */

static void on_send(void *arg, struct push_peer *peer, unsigned int type, const json_t *message)
{
	const struct config_peer *p = peer->arg;
	int err = sync_send_json(p->peer, (uint16_t)type, message);

	(void)arg;
	if (err && err != -ENOTCONN)
		log_ret(err, "sync: %s: a message of %u", peer->name, type);
}

static bool on_commit(void *arg, long long version)
{
	struct ha_config *hc = arg;
	struct waiting *w = &hc->waiting;
	struct apply *apply = &hc->daemon->apply;

	ha_config_keep_before(hc);
	apply_result_free(&w->result);
	apply_text(apply, &w->request, &w->result);
	if (w->result.status) {
		ha_config_drop_before(hc);
		return false;
	}
	if (!w->request.confirm_s)
		ha_config_set_pushed(hc, version, config_part_of(w->document, apply->running->ha.sections),
				     apply->running->node);
	ha_config_refresh(hc);
	return true;
}

static void on_go_back(void *arg, const char *why)
{
	ha_config_go_back(arg, why);
}

static json_t *on_part(void *arg)
{
	return json_incref(((struct ha_config *)arg)->pushed.part);
}

static void on_pushed(void *arg, struct push_peer *peer, bool edited, const char *error)
{
	struct ha_config *hc = arg;
	struct journal *journal = hc->daemon->journal;

	if (error)
		journal_write(journal, JOURNAL_WARNING, JOURNAL_SYNC, peer->name, "configuration refused", NULL,
			      "version %lld: %s", hc->push.version, error);
	else if (edited)
		journal_write(journal, JOURNAL_WARNING, JOURNAL_SYNC, peer->name, "change by hand replaced", NULL,
			      "by version %lld; what was changed there is in its own `fairlead show history`",
			      hc->push.version);
	else
		journal_write(journal, JOURNAL_NOTICE, JOURNAL_SYNC, peer->name, "configuration pushed", NULL,
			      "version %lld", hc->push.version);
}

static long long on_now(void *arg)
{
	(void)arg;
	return clock_ms(CLOCK_MONOTONIC);
}

/* ---- what came of it ---- */

void ha_config_note(struct apply_result *result, const char *fmt, ...)
{
	char *text = NULL, *both = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (!result || result->status || vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	if (!text)
		return;
	if (asprintf(&both, "%s%s%s", result->note ? result->note : "", result->note ? "; " : "", text) >= 0) {
		free(result->note);
		result->note = both;
	}
	free(text);
}

void ha_config_note_pending(struct ha_config *hc, struct apply_result *result)
{
	const struct push_peer *peer;

	LIST_FOREACH(peer, &hc->push.peers, entry)
	{
		if (!peer->connected && push_is_pending(&hc->push, peer))
			ha_config_note(result, "pending: %s is not there, and gets it when it is back", peer->name);
	}
}

static void note_of(const struct push_peer *peer, struct apply_result *result)
{
	if (peer->at == PUSH_DONE)
		ha_config_note(result, "%s has it too", peer->name);
	else if (peer->at == PUSH_GONE)
		ha_config_note(result, "pending: %s went away meanwhile, and gets it when it is back", peer->name);
	else if (!peer->connected)
		ha_config_note(result, "pending: %s is not there, and gets it when it is back", peer->name);
}

/* Its pointer, of this node's document where that has the item. malloc'ed; NULL: it has none, or no memory */
static char *place_of(const json_t *finding, const json_t *part, const json_t *document)
{
	const char *pointer = json_string_value(json_object_get(finding, "pointer"));
	bool own = json_object_get(finding, "own");
	char *here = pointer && !own ? config_part_pointer(pointer, json_object_get(part, "config"), document) : NULL;
	char *at = NULL;

	if (pointer && asprintf(&at, "%s%s", own ? "its own " : "", here ? here : pointer) < 0)
		at = NULL;
	free(here);
	return at;
}

static bool is_warning(const json_t *finding)
{
	const char *severity = json_string_value(json_object_get(finding, "severity"));

	return severity && !strcmp(severity, "warning");
}

/* Its name before its pointers. */
static void add_findings(const struct waiting *w, const struct push_peer *peer, struct config_report *report)
{
	json_t *finding;
	size_t i;

	json_array_foreach(peer->findings, i, finding) {
		const char *text = json_string_value(json_object_get(finding, "text"));
		char *place = place_of(finding, w->order.part, w->document), *at = NULL;

		if (place && text && asprintf(&at, "%s: %s", peer->name, place) >= 0)
			config_report_add(report, is_warning(finding), at, "%s", text);
		free(at);
		free(place);
	}
}

/* Of what refuses, or would: where, and what. */
static void answer_findings(const struct ha_config *hc, struct control_answer *answer)
{
	struct config_report report = { 0 };
	const struct push_peer *peer;

	LIST_FOREACH(peer, &hc->push.peers, entry)
	{
		if (peer->at == PUSH_REFUSED)
			add_findings(&hc->waiting, peer, &report);
	}
	if (report.n_findings) {
		answer->findings = config_report_json(&report);
		answer->file = strdup(hc->daemon->file);
	}
	config_report_free(&report);
}

/* The first error, for a line. */
static char *on_finding(void *arg, const struct push_peer *peer)
{
	struct ha_config *hc = arg;
	json_t *finding, *first = NULL;
	char *place, *text = NULL;
	size_t i, n = 0;

	json_array_foreach(peer->findings, i, finding) {
		if (is_warning(finding))
			continue;
		first = first ? first : finding;
		n++;
	}
	place = first ? place_of(first, hc->pushed.part, hc->document) : NULL;
	if (place && asprintf(&text, "%s: %s%s", place, json_string_value(json_object_get(first, "text")),
			      n > 1 ? "; `fairlead sync config` tells of more" : "") < 0)
		text = NULL;
	free(place);
	return text;
}

static void set_error(struct apply_result *result, const char *error)
{
	if (!error)
		return;
	free(result->error);
	result->error = strdup(error);
	result->status = 1;
	result->state = NULL;
}

static void apply_over(struct ha_config *hc, enum push_kind kind, bool done, const char *error)
{
	struct control_answer answer = { 0 };
	struct waiting *w = &hc->waiting;
	const struct push_peer *peer;

	LIST_FOREACH(peer, &hc->push.peers, entry)
	{
		add_findings(w, peer, &w->result.report);
		if (done && kind == PUSH_APPLY)
			note_of(peer, &w->result);
	}
	set_error(&w->result, error);
	if (kind == PUSH_APPLY)
		daemon_tell_result(hc->daemon, w->who, &w->result);
	if (w->own_file)
		answer.file = strdup(hc->daemon->file);
	command_answer_result(&answer, &w->result);
	answer_now(hc, &answer);
}

static json_t *rows_of_diff(const struct push_peer *peer, json_t *rows)
{
	json_t *change;
	size_t i;

	json_array_foreach(peer->changes, i, change) {
		json_t *row = json_pack("{s:s}", "peer", peer->name);

		json_object_update(row, change);
		json_array_append_new(rows, row);
	}
	return rows;
}

static void diff_over(struct ha_config *hc, const char *error)
{
	struct control_answer answer = { .result = json_array() };
	const struct push_peer *peer;
	char *absent = NULL;

	LIST_FOREACH(peer, &hc->push.peers, entry)
	{
		rows_of_diff(peer, answer.result);
		if (peer->at == PUSH_OUT && !absent)
			absent = peer->name;
	}
	answer_findings(hc, &answer);
	if (error)
		control_fail(&answer, 1, "%s", error);
	else if (absent)
		control_fail(&answer, 1, "%s is not there to be asked", absent);
	answer_now(hc, &answer);
}

static const char *outcome_of(const struct push *push, const struct push_peer *peer)
{
	switch (peer->at) {
	case PUSH_DONE:
		return "pushed";
	case PUSH_REFUSED:
	case PUSH_FAILED:
		return "refused";
	default:
		return peer->connected && push_matches(push, peer) ? "has it" : "pending";
	}
}

static void push_over(struct ha_config *hc)
{
	struct control_answer answer = { .result = json_array() };
	const struct push_peer *peer;

	LIST_FOREACH(peer, &hc->push.peers, entry)
	{
		const char *outcome = outcome_of(&hc->push, peer);

		json_array_append_new(answer.result,
				      json_pack("{s:s,s:s,s:I,s:s?}", "peer", peer->name, "outcome", outcome,
						"config_version", (json_int_t)hc->push.own.version, "error",
						strcmp(outcome, "refused") ? NULL : peer->error));
		if (!strcmp(outcome, "refused"))
			control_fail(&answer, 1, "%s does not take it: %s", peer->name, peer->error);
		else if (!strcmp(outcome, "pending") && !answer.error)
			control_fail(&answer, 1, "%s is not there: it gets version %lld when it is back", peer->name,
				     hc->push.own.version);
	}
	answer_findings(hc, &answer);
	answer_now(hc, &answer);
}

static void on_over(void *arg, enum push_kind kind, bool done, const char *error)
{
	struct ha_config *hc = arg;

	switch (hc->waiting.what) {
	case WAITS_FOR_NOTHING:
		return;
	case WAITS_FOR_APPLY:
		apply_over(hc, kind, done, error);
		break;
	case WAITS_FOR_PUSH:
		push_over(hc);
		break;
	case WAITS_FOR_DIFF:
		diff_over(hc, error);
	}
	ha_config_drop_before(hc);
	waiting_clear(&hc->waiting);
}

/* ---- apply ---- */

static uint32_t sections_of(const json_t *sync_config)
{
	const json_t *sections = json_object_get(sync_config, "sections");
	json_t *part = json_pack("{s:O?}", "sections", sections);
	uint32_t bits = json_is_string(sections) ? (1u << CONFIG_SECTIONS) - 1 : config_part_sections(part);

	json_decref(part);
	return bits;
}

/* The part that the text would push; NULL: it makes no primary of this node. */
static json_t *part_of(const json_t *document)
{
	const json_t *sync_config = json_object_get(json_object_get(document, "ha"), "sync_config");
	const char *role = json_string_value(json_object_get(sync_config, "role"));

	if (!role || strcmp(role, "primary") != 0)
		return NULL;
	return config_part_of(document, sections_of(sync_config));
}

/* Those that are there have all of it: nothing of the part changes. */
static bool all_have(const struct ha_config *hc, const char *hash)
{
	const struct push_peer *peer;

	if (strcmp(hash, hc->push.own.hash) != 0)
		return false;
	LIST_FOREACH(peer, &hc->push.peers, entry)
	{
		if (push_takes(peer) && (!push_matches(&hc->push, peer) || strcmp(peer->hash, hash) != 0))
			return false;
	}
	return true;
}

/* A command may be gone before the round is over, and its text with it. */
static bool keep_request(struct waiting *w, const struct apply_request *request, const char *who, bool own_file)
{
	char *text = malloc(request->len + 1);

	w->what = WAITS_FOR_APPLY;
	w->request = *request;
	w->request.text = text;
	w->request.note = request->note ? strdup(request->note) : NULL;
	w->who = strdup(who);
	w->own_file = own_file;
	if (!text || !w->who)
		return false;
	memcpy(text, request->text, request->len);
	text[request->len] = '\0';
	return true;
}

static void check(struct ha_config *hc, struct waiting *w)
{
	struct apply_request dry = w->request;

	dry.dry_run = true;
	apply_text(&hc->daemon->apply, &dry, &w->result);
}

/* Whether there is something to ask the peers. */
static bool prepare(struct ha_config *hc, struct waiting *w)
{
	struct push_order *order = &w->order;

	w->document = json_loadb(w->request.text, w->request.len, JSON_REJECT_DUPLICATES, NULL);
	order->part = part_of(w->document);
	if (!order->part || json_dumpb(order->part, NULL, 0, JSON_COMPACT) > PART_MAX)
		return false;
	config_part_hash(order->part, order->hash);
	if (all_have(hc, order->hash))
		return false;
	check(hc, w);
	order->kind = w->request.dry_run ? PUSH_LOOK : PUSH_APPLY;
	order->confirm_s = w->request.confirm_s;
	order->strict = w->request.strict;
	return !w->result.status;
}

bool ha_config_apply(struct daemon *d, const struct apply_request *request, const char *who, bool own_file,
		     struct control_answer *answer)
{
	struct ha_config *hc = d->ha_config;
	struct waiting *w = &hc->waiting;

	if (ha_config_busy(d, answer))
		return true;
	if (request->local || !push_has_peers(&hc->push))
		return false;
	waiting_clear(w);
	if (!keep_request(w, request, who, own_file) || !prepare(hc, w)) {
		waiting_clear(w);
		return false;
	}
	wait_for(hc, answer);
	return true;
}

/* ---- sync config, sync diff ---- */

static bool is_primary(const struct ha_config *hc, struct control_answer *answer)
{
	enum config_role role = hc->push.own.role;
	const struct push_peer *other = push_primary(&hc->push, NULL);

	if (role == CONFIG_ROLE_NONE)
		control_fail(answer, 1,
			     "this node neither pushes its configuration nor takes one: there is no ha.sync_config");
	else if (role == CONFIG_ROLE_SECONDARY)
		control_fail(answer, 1, "this node is the secondary; `fairlead sync config` on the primary%s%s",
			     other ? ", " : "", other ? other->name : "");
	else if (other)
		control_fail(answer, 1, "%s is a primary too: nothing is pushed", other->name);
	else if (hc->daemon->apply.before)
		control_fail(answer, 1, "a configuration waits for `fairlead confirm`; nothing is pushed before");
	return !answer->status;
}

static void sync_config(struct ha_config *hc, struct control_answer *answer)
{
	struct push_order *order = &hc->waiting.order;

	if (!is_primary(hc, answer))
		return;
	if (strcmp(hc->push.own.now, hc->push.own.hash) != 0) /* of `apply --local` */
		ha_config_changed(hc->daemon, HA_CONFIG_APPLIED, NULL);
	waiting_clear(&hc->waiting);
	hc->waiting.what = WAITS_FOR_PUSH;
	hc->waiting.document = json_incref(hc->document);
	order->kind = PUSH_AGAIN;
	order->part = on_part(hc);
	snprintf(order->hash, sizeof(order->hash), "%s", hc->pushed.hash);
	wait_for(hc, answer);
}

/* Of a secondary: what the primary's last version would change here. */
static void own_diff(const struct ha_config *hc, struct control_answer *answer)
{
	const struct config *running = hc->daemon->apply.running;
	json_t *merged = config_part_merge(hc->document, hc->pushed.part), *change;
	char *text = config_part_text(merged);
	struct diff *diff = text ? diff_texts(running->text, running->text_len, text, strlen(text)) : NULL;
	size_t i;

	answer->result = diff ? diff_json(diff) : NULL;
	json_array_foreach(answer->result, i, change)
		json_object_set_new(change, "peer", json_string(running->node));
	if (!answer->result)
		control_fail(answer, 1, "out of memory");
	diff_free(diff);
	free(text);
	json_decref(merged);
}

static void sync_diff(struct ha_config *hc, struct control_answer *answer)
{
	struct push_order *order = &hc->waiting.order;

	if (hc->push.own.role == CONFIG_ROLE_SECONDARY && hc->pushed.part) {
		own_diff(hc, answer);
		return;
	}
	if (!is_primary(hc, answer))
		return;
	waiting_clear(&hc->waiting);
	hc->waiting.what = WAITS_FOR_DIFF;
	hc->waiting.document = json_incref(hc->document);
	order->kind = PUSH_LOOK;
	order->part = config_part_of(hc->document, hc->daemon->apply.running->ha.sections);
	config_part_hash(order->part, order->hash);
	wait_for(hc, answer);
}

void command_sync_config(struct daemon *d, struct control_answer *answer)
{
	if (!ha_config_busy(d, answer))
		sync_config(d->ha_config, answer);
}

void command_sync_diff(struct daemon *d, struct control_answer *answer)
{
	if (!ha_config_busy(d, answer))
		sync_diff(d->ha_config, answer);
}

/* ---- beginning and end ---- */

void ha_config_push_init(struct ha_config *hc, json_int_t round)
{
	const struct push_ops ops = {
		on_send, on_commit, on_go_back, on_over, on_part, on_pushed, on_now, hc, on_finding,
	};

	push_init(&hc->push, &ops, round);
}

void ha_config_push_end(struct ha_config *hc)
{
	push_fini(&hc->push);
	waiting_clear(&hc->waiting);
}
