// SPDX-License-Identifier: GPL-2.0-only
/* A secondary takes what its primary pushes. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/daemon/ha_config_internal.h"

#define TRIAL_MORE_S 10 /* the primary's trial is over first: it tells how it ended */

struct merged {
	json_t *document;
	char *text, *note;
	struct apply_request request;
};

static bool merge(struct ha_config *hc, const struct take_offer *offer, struct merged *m)
{
	*m = (struct merged){ .document = config_part_merge(hc->document, offer->part) };
	m->text = m->document ? config_part_text(m->document) : NULL;
	if (asprintf(&m->note, "version %lld, pushed by %s", offer->version, offer->node) < 0)
		m->note = NULL;
	if (!m->text)
		return false;
	/* what is the same but for its form stays in the owner's */
	if (config_part_is_in(hc->document, offer->part)) {
		free(m->text);
		m->text = strdup(hc->daemon->apply.running->text);
	}
	m->request = (struct apply_request){
		.text = m->text,
		.len = m->text ? strlen(m->text) : 0,
		.confirm_s = offer->confirm_s ? offer->confirm_s + TRIAL_MORE_S : 0,
		.strict = offer->strict,
		.note = m->note,
	};
	return m->text;
}

static void merged_free(struct merged *m)
{
	json_decref(m->document);
	free(m->text);
	free(m->note);
}

/* Whether nothing was changed is the primary's to say. */
static char *why_not(struct apply_result *result)
{
	char *why = result->status ? strdup(result->error ? result->error : "it can't be applied") : NULL;
	char *end = why ? strstr(why, "; nothing was changed") : NULL;

	if (end)
		*end = '\0';
	apply_result_free(result);
	return why;
}

/* Pointers lead into the part, as the primary knows it; what is in an item of this node's own keeps its own pointer. */
static json_t *findings_of(const struct config_report *report, const struct merged *m, const json_t *part)
{
	json_t *findings = config_report_json(report), *finding;
	size_t i;

	json_array_foreach(findings, i, finding) {
		const char *pointer = json_string_value(json_object_get(finding, "pointer"));
		char *in_part = config_part_pointer(pointer, m->document, json_object_get(part, "config"));

		if (in_part)
			json_object_set_new(finding, "pointer", json_string(in_part));
		else
			json_object_set_new(finding, "own", json_true());
		free(in_part);
	}
	return findings;
}

static char *on_check(void *arg, const struct take_offer *offer, json_t *verdict)
{
	struct ha_config *hc = arg;
	struct apply_result result;
	struct merged m;

	if (!merge(hc, offer, &m)) {
		merged_free(&m);
		return strdup("out of memory");
	}
	m.request.dry_run = m.request.changes = true;
	apply_text(&hc->daemon->apply, &m.request, &result);
	json_object_set_new(verdict, "findings", findings_of(&result.report, &m, offer->part));
	if (result.changes)
		json_object_set(verdict, "changes", result.changes);
	merged_free(&m);
	return why_not(&result);
}

static void tell_replaced(struct ha_config *hc, const struct take_offer *offer, long long version)
{
	journal_write(hc->daemon->journal, JOURNAL_WARNING, JOURNAL_SYNC, hc->daemon->apply.running->node,
		      "change by hand replaced", json_pack("{s:I}", "version", (json_int_t)version),
		      "by version %lld of %s; what was changed here is version %lld of `fairlead show history`",
		      offer->version, offer->node, version);
}

#define NOTHING_WRITTEN 1

/*
 * What somebody has written into the own file and not applied yet would be lost without a word, since what is pushed is written over it. Returns 0
 * (it is kept), NOTHING_WRITTEN or -errno.
 */
static int keep_unapplied(const struct ha_config *hc)
{
	struct apply *apply = &hc->daemon->apply;
	const struct config *is = apply->running, *was = apply->before ? apply->before : is;
	int err;

	if (store_own_is(&apply->store, is->text, is->text_len) ||
	    store_own_is(&apply->store, was->text, was->text_len))
		return NOTHING_WRITTEN;
	err = store_own_keep(&apply->store);
	return err == -ENOENT ? NOTHING_WRITTEN : err;
}

static void tell_unapplied(struct ha_config *hc, const struct take_offer *offer, int kept)
{
	const struct store *store = &hc->daemon->apply.store;

	if (kept == NOTHING_WRITTEN)
		return;
	journal_write(hc->daemon->journal, JOURNAL_WARNING, JOURNAL_SYNC, hc->daemon->apply.running->node,
		      "file replaced", NULL, "by version %lld of %s; what was written in %s and never applied %s%s%s",
		      offer->version, offer->node, store->file, kept ? "is lost: " : "is kept in ",
		      kept ? strerror(-kept) : store->dir, kept ? "" : "/unapplied.json");
}

static char *on_apply(void *arg, const struct take_offer *offer, bool *edited)
{
	struct ha_config *hc = arg;
	long long version = store_newest(&hc->daemon->apply.store);
	struct apply_result result;
	struct merged m;
	bool was_edited = hc->edited;
	int kept = NOTHING_WRITTEN;
	char *why;

	if (!merge(hc, offer, &m)) {
		merged_free(&m);
		return strdup("out of memory");
	}
	ha_config_keep_before(hc);
	if (!offer->confirm_s)
		kept = keep_unapplied(hc);
	apply_text(&hc->daemon->apply, &m.request, &result);
	daemon_tell_result(hc->daemon, "pair", &result);
	merged_free(&m);
	why = why_not(&result);
	if (why) {
		ha_config_drop_before(hc);
		return why;
	}
	*edited = was_edited;
	tell_unapplied(hc, offer, kept);
	if (was_edited)
		tell_replaced(hc, offer, version);
	if (!offer->confirm_s)
		ha_config_set_pushed(hc, offer->version, json_incref(offer->part), offer->node);
	ha_config_refresh(hc);
	return NULL;
}

static void on_keep(void *arg, const struct take_offer *offer)
{
	struct ha_config *hc = arg;
	struct apply_result result;
	int kept;

	ha_config_drop_before(hc);
	if (!offer->confirm_s)
		return;
	kept = keep_unapplied(hc);
	apply_confirm(&hc->daemon->apply, &result);
	daemon_tell_result(hc->daemon, "pair", &result);
	if (!result.status) {
		tell_unapplied(hc, offer, kept);
		ha_config_set_pushed(hc, offer->version, json_incref(offer->part), offer->node);
	}
	apply_result_free(&result);
	ha_config_refresh(hc);
}

static void on_go_back(void *arg, const struct take_offer *offer, const char *why)
{
	(void)offer;
	ha_config_go_back(arg, why);
}

static void on_answer(void *arg, const void *peer, unsigned int type, const json_t *message)
{
	const struct config_peer *p = peer;

	(void)arg;
	sync_send_json(p->peer, (uint16_t)type, message);
}

bool ha_config_is_others_trial(struct daemon *d, struct control_answer *answer)
{
	const struct take *take = &d->ha_config->take;
	const struct config_peer *p = take->offer.peer;

	if (!take_trial(take) || !p || !p->push.connected)
		return false;
	control_fail(answer, 1, "%s has begun the trial: `fairlead confirm` there keeps it on all nodes", p->push.name);
	return true;
}

void ha_config_take_init(struct ha_config *hc)
{
	const struct take_ops ops = { on_answer, on_check, on_apply, on_keep, on_go_back, hc };

	take_init(&hc->take, &ops);
}
