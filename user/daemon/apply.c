// SPDX-License-Identifier: GPL-2.0-only
#include "user/daemon/apply.h"

#include <errno.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/daemon/apply_internal.h"
#include "user/daemon/diff.h"
#include "user/lib/clock.h"
#include "user/lib/log.h"

#define UNDO_AGAIN_S 5

void apply_fail(struct apply_result *result, int status, const char *fmt, ...)
{
	va_list ap;

	result->status = status;
	result->state = NULL;
	free(result->error);
	va_start(ap, fmt);
	if (vasprintf(&result->error, fmt, ap) < 0)
		result->error = NULL;
	va_end(ap);
}

void apply_result_free(struct apply_result *result)
{
	free(result->error);
	free(result->summary);
	free(result->note);
	json_decref(result->changes);
	config_report_free(&result->report);
	*result = (struct apply_result){ 0 };
}

/* ---- the data plane ---- */

static int to_target(struct apply *apply, const struct config *config, struct apply_result *result)
{
	char *why = NULL;
	int err = apply->target.apply(apply->target.arg, config, &result->report, &why);

	if (err)
		apply_fail(result, 1, "%s", why ? why : strerror(-err));
	free(why);
	return err;
}

/* Back to what ran before. Its own findings are of no interest. */
static int put_back(struct apply *apply, const struct config *config)
{
	struct config_report report = { 0 };
	char *why = NULL;
	int err = apply->target.apply(apply->target.arg, config, &report, &why);

	if (err)
		log_warnx("the configuration before could not be put back: %s", why ? why : strerror(-err));
	free(why);
	config_report_free(&report);
	return err;
}

static void set_running(struct apply *apply, struct config *config)
{
	apply->running = config;
	apply->running_since_ms = clock_ms(CLOCK_REALTIME);
}

/* ---- the files ---- */

static int prepare(struct apply *apply, const char *text, size_t len, struct store_change *change,
		   struct apply_result *result)
{
	const char *where = "";
	int err = store_prepare(&apply->store, text, len, change, &where);

	if (err)
		apply_fail(result, 1, "%s can't be written: %s; nothing was changed", where, strerror(-err));
	return err;
}

static void settle_soon(struct apply *apply)
{
	const struct timeval soon = { 0 };

	evtimer_add(apply->settle, &soon);
}

static int commit(struct apply *apply, struct store_change *change, const char *summary, struct apply_result *result)
{
	int err = store_commit(&apply->store, change, summary ? summary : "");

	settle_soon(apply);
	if (err)
		apply_fail(result, 1, "%s can't be replaced: %s", apply->store.file, strerror(-err));
	return err;
}

/* ---- apply ---- */

static void describe(const struct apply *apply, const struct config *config, const struct apply_request *request,
		     struct apply_result *result)
{
	const struct config *running = apply->running;
	struct diff *diff = diff_texts(running ? running->text : NULL, running ? running->text_len : 0, config->text,
				       config->text_len);
	const char *note = request->note;
	char *what = diff ? diff_summary(diff) : NULL;

	result->same = diff && !diff->n;
	result->changes = diff && request->changes ? diff_json(diff) : NULL;
	if (!what || asprintf(&result->summary, "%s%s%s", note ? note : "", note ? ": " : "", what) < 0)
		result->summary = NULL;
	free(what);
	diff_free(diff);
}

static int for_good(struct apply *apply, struct config *config, const struct apply_request *request,
		    struct apply_result *result)
{
	struct store_change change;
	int err = prepare(apply, request->text, request->len, &change, result);

	if (err)
		return err;
	err = to_target(apply, config, result);
	if (err) {
		store_discard(&change);
		return err;
	}
	err = commit(apply, &change, result->summary, result);
	if (err) {
		put_back(apply, apply->running);
		return err;
	}
	config_free(apply->running);
	set_running(apply, config);
	result->state = result->same ? "unchanged" : "applied";
	return 0;
}

static bool is_text_of(const struct config *config, const char *text, size_t len)
{
	return config->text_len == len && !memcmp(config->text, text, len);
}

/*
 * Who edits the own file and applies it on trial has taken the old text from where a restart looks for it: it comes back
 * there. *own: nothing prepared where it need not.
 */
static int prepare_trial(struct apply *apply, const struct apply_request *request, struct file_change *own,
			 struct apply_result *result)
{
	const struct config *running = apply->running;
	int err = store_pending_write(&apply->store, request->text, request->len);

	*own = (struct file_change){ 0 };
	if (err) {
		apply_fail(result, 1, "%s/pending.json can't be written: %s; nothing was changed", apply->store.dir,
			   strerror(-err));
		return err;
	}
	if (is_text_of(running, request->text, request->len) ||
	    !store_own_is(&apply->store, request->text, request->len))
		return 0;
	err = store_own_prepare(&apply->store, running->text, running->text_len, own);
	if (err) {
		apply_fail(
			result, 1,
			"%s, which shall have the old text during the trial, can't be written: %s; nothing was changed",
			apply->store.file, strerror(-err));
		store_pending_remove(&apply->store);
	}
	return err;
}

static int commit_trial(struct apply *apply, struct file_change *own, struct apply_result *result)
{
	int err;

	if (!own->temp)
		return 0;
	err = file_commit(own);
	if (err) {
		apply_fail(result, 1, "%s can't be replaced: %s", apply->store.file, strerror(-err));
		put_back(apply, apply->running);
	} else if (asprintf(&result->note,
			    "%s has the old text again until `fairlead confirm`; the new one is in %s/pending.json",
			    apply->store.file, apply->store.dir) < 0) {
		result->note = NULL;
	}
	return err;
}

static int make_trial(struct apply *apply, struct config *config, const struct apply_request *request,
		      struct apply_result *result)
{
	struct file_change own;
	int err = prepare_trial(apply, request, &own, result);

	if (err)
		return err;
	err = to_target(apply, config, result);
	if (err)
		file_discard(&own);
	else
		err = commit_trial(apply, &own, result);
	if (err)
		store_pending_remove(&apply->store);
	return err;
}

static int on_trial(struct apply *apply, struct config *config, const struct apply_request *request,
		    struct apply_result *result)
{
	const struct timeval wait = { .tv_sec = request->confirm_s };
	char *text = malloc(request->len + 1);
	int err;

	if (!text) {
		apply_fail(result, 1, "out of memory; nothing was changed");
		return -ENOMEM;
	}
	err = make_trial(apply, config, request, result);
	if (err) {
		free(text);
		return err;
	}
	memcpy(text, request->text, request->len);
	apply->trial_text = text;
	apply->trial_len = request->len;
	apply->trial_summary = result->summary ? strdup(result->summary) : NULL;
	apply->before = apply->running;
	set_running(apply, config);
	evtimer_add(apply->timer, &wait);
	result->state = "pending";
	return 0;
}

/* Before anything is changed: what else speaks against it. */
static int preview(struct apply *apply, const struct config *config, const struct apply_request *request,
		   struct apply_result *result)
{
	char *why = NULL;
	int err = 0;

	if (apply->target.check)
		apply->target.check(apply->target.arg, config, &result->report);
	if (result->report.n_errors) {
		apply_fail(result, 2, "the configuration can't be used as it is; nothing was changed");
		return result->status;
	}
	if (apply->target.preview && (request->strict || request->dry_run))
		err = apply->target.preview(apply->target.arg, config, &result->report, &why);
	if (err)
		apply_fail(result, 1, "%s", why ? why : strerror(-err));
	else if (request->strict && result->report.n_findings)
		apply_fail(result, 1, "the configuration has warnings (--strict); nothing was changed");
	else if (apply->before)
		apply_fail(
			result, 1,
			"a configuration waits for `fairlead confirm`; confirm it, or end it by `fairlead rollback`");
	free(why);
	return result->status;
}

void apply_text(struct apply *apply, const struct apply_request *request, struct apply_result *result)
{
	struct config *config = NULL;
	int err;

	*result = (struct apply_result){ 0 };
	err = config_load_string(request->text, request->len, &config, &result->report);
	if (err) {
		apply_fail(result, 2, "the configuration has errors; nothing was changed");
		return;
	}
	describe(apply, config, request, result);
	if (preview(apply, config, request, result))
		;
	else if (request->dry_run)
		result->state = "dry-run";
	else if (request->confirm_s)
		err = on_trial(apply, config, request, result);
	else
		err = for_good(apply, config, request, result);
	if (err || result->status || request->dry_run)
		config_free(config);
}

/* ---- start ---- */

/* The version before the one on trial, NULL when that can't be had. */
static struct config *load_newest(const struct apply *apply)
{
	struct config_report report = { 0 };
	struct config *config = NULL;
	const json_t *entry;
	char *text;
	size_t len;

	if (store_read_version(&apply->store, 0, &text, &len, &entry))
		return NULL;
	if (config_load_string(text, len, &config, &report))
		config = NULL;
	config_report_free(&report);
	free(text);
	return config;
}

/*
 * The last daemon ended during a trial, which was never confirmed. Where its text is in the own file (killed before the old one was
 * back there) the newest version is what ran before: that one is returned. NULL: the own file is right.
 */
static struct config *end_unfinished_trial(const struct apply *apply, const char *text, size_t len)
{
	bool in_own_file = store_pending_is(&apply->store, text, len);
	struct config *before = in_own_file ? load_newest(apply) : NULL;

	if (before && is_text_of(before, text, len)) { /* confirmed, and killed then */
		store_pending_remove(&apply->store);
		config_free(before);
		return NULL;
	}
	if (!store_pending_set_aside(&apply->store))
		return before;
	journal_write(
		apply->journal, JOURNAL_WARNING, JOURNAL_APPLY, "start", "undone", NULL,
		"the configuration that was on trial when the last daemon ended was never confirmed; its text is in "
		"%s/undone.json",
		apply->store.dir);
	if (before)
		log_warnx("%s had that text too: the version before is written back there", apply->store.file);
	else if (in_own_file)
		log_warnx("%s has that text too, and no version before it is known: it is taken", apply->store.file);
	return before;
}

/* What can't be written is no reason to keep a router from starting. */
static void record_start(struct apply *apply, bool was_on_trial)
{
	const struct config *config = apply->running;
	struct store_change change;
	const char *where;
	int err = store_prepare(&apply->store, config->text, config->text_len, &change, &where);

	if (!err)
		err = store_commit(&apply->store, &change,
				   store_newest(&apply->store) ? "changed while no daemon ran" : "first");
	if (err && was_on_trial)
		log_ret(err, "%s can't be written: it has what was on trial still", apply->store.file);
	else if (err)
		log_ret(err, "%s/history can't be written; no history is kept", apply->store.dir);
	settle_soon(apply);
}

void apply_start(struct apply *apply, struct config *config, const char *text, size_t len, struct apply_result *result)
{
	struct config *before = end_unfinished_trial(apply, text, len);

	file_forget_half_written(apply->store.file);
	*result = (struct apply_result){ 0 };
	if (to_target(apply, before ? before : config, result)) {
		config_free(before);
		return;
	}
	set_running(apply, before ? before : config);
	if (before)
		config_free(config);
	record_start(apply, before);
	result->state = "applied";
}

void apply_own_file(struct apply *apply, const struct apply_request *how, struct apply_result *result)
{
	struct apply_request request = *how;
	char *text, *why;
	int err;

	*result = (struct apply_result){ 0 };
	err = file_read_regular(apply->store.file, &text, &request.len);
	if (err) {
		why = file_why_unread(apply->store.file, err);
		apply_fail(result, 2, "%s can't be read: %s; nothing was changed", apply->store.file,
			   why ? why : strerror(-err));
		free(why);
		return;
	}
	request.text = text;
	apply_text(apply, &request, result);
	free(text);
}

/* ---- trial ---- */

static void end_trial(struct apply *apply, bool confirmed)
{
	evtimer_del(apply->timer);
	if (confirmed)
		store_pending_remove(&apply->store);
	else
		store_pending_set_aside(&apply->store);
	free(apply->trial_text);
	free(apply->trial_summary);
	apply->trial_text = apply->trial_summary = NULL;
	apply->before = NULL;
	apply->undo_failed = false;
}

int apply_undo(struct apply *apply)
{
	struct config *tried = apply->running;
	int err = put_back(apply, apply->before);

	if (err)
		return err;
	set_running(apply, apply->before);
	config_free(tried);
	end_trial(apply, false);
	return 0;
}

static void trial_over(evutil_socket_t fd, short what, void *arg)
{
	const struct timeval again = { .tv_sec = UNDO_AGAIN_S };
	struct apply *apply = arg;

	(void)fd, (void)what;
	if (apply_undo(apply)) {
		apply->undo_failed = true;
		evtimer_add(apply->timer, &again);
		return;
	}
	journal_write(
		apply->journal, JOURNAL_WARNING, JOURNAL_APPLY, "confirm", "undone",
		json_pack("{s:I}", "version", (json_int_t)store_newest(&apply->store)),
		"not confirmed in time: the configuration before is back; the text of the other is in %s/undone.json",
		apply->store.dir);
	if (apply->undone)
		apply->undone(apply->undone_arg);
}

void apply_confirm(struct apply *apply, struct apply_result *result)
{
	struct store_change change;

	*result = (struct apply_result){ 0 };
	if (!apply->before) {
		apply_fail(result, 1, "nothing waits to be confirmed");
		return;
	}
	if (prepare(apply, apply->trial_text, apply->trial_len, &change, result) ||
	    commit(apply, &change, apply->trial_summary, result))
		return;
	if (apply->trial_summary)
		result->summary = strdup(apply->trial_summary);
	config_free(apply->before);
	end_trial(apply, true);
	result->state = "applied";
}

long apply_trial_left(const struct apply *apply)
{
	struct timeval at, now;

	if (!apply->before || !evtimer_pending(apply->timer, &at))
		return -1;
	event_base_gettimeofday_cached(event_get_base(apply->timer), &now);
	return at.tv_sec > now.tv_sec ? at.tv_sec - now.tv_sec : 0;
}

/* ---- init ---- */

/* Loading makes and drops twice what stays: the heap is given back. */
static void settle(evutil_socket_t fd, short what, void *arg)
{
	struct apply *apply = arg;

	(void)fd, (void)what;
	store_settle(&apply->store);
	malloc_trim(0);
}

int apply_init(struct apply *apply, struct event_base *base, const struct apply_target *target, const char *file,
	       const char *state_dir)
{
	int err;

	*apply = (struct apply){ .target = *target };
	err = store_open(&apply->store, file, state_dir);
	if (err)
		return err;
	apply->timer = evtimer_new(base, trial_over, apply);
	apply->settle = evtimer_new(base, settle, apply);
	if (!apply->timer || !apply->settle) {
		apply_fini(apply);
		return -ENOMEM;
	}
	return 0;
}

/* A trial that was not confirmed goes on in the data plane; the next daemon ends it by taking the own file. */
void apply_fini(struct apply *apply)
{
	if (apply->timer)
		event_free(apply->timer);
	if (apply->settle)
		event_free(apply->settle);
	free(apply->trial_text);
	free(apply->trial_summary);
	config_free(apply->before);
	config_free(apply->running);
	store_close(&apply->store);
	*apply = (struct apply){ 0 };
}
