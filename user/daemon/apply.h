/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Making a configuration the running one: all of it or nothing, on disk as in the data plane.
 *
 *   text -> load (findings) -> files prepared -> data plane -> files committed
 *
 * Whatever fails takes back what came before it. With `confirm` the files are left for later: the own file keeps the old
 * configuration, which a restart therefore comes up with, until apply_confirm(); after the time is over, the old one is put
 * back into the data plane. Where the own file has the text on trial already, since that is what was edited and applied, the
 * old one is written back there.
 */
#pragma once

#include <event2/event.h>
#include <jansson.h>
#include <stdbool.h>

#include "user/config/config.h"
#include "user/daemon/store.h"
#include "user/observe/journal.h"

/* The data plane as far as this needs it: datapath_apply() with its handle, or a test's own. */
struct apply_target {
	int (*apply)(void *arg, const struct config *config, struct config_report *report, char **why);
	void *arg;
	/* what apply would warn of, or refuse, nothing being changed: for a dry run, and where a warning is a failure; or NULL */
	int (*preview)(void *arg, const struct config *config, struct config_report *report, char **why);
	/* what files say that it names; an error refuses it, but where it is what ran before, or at a start; or NULL */
	void (*check)(void *arg, const struct config *config, struct config_report *report);
};

struct apply {
	struct apply_target target;
	struct journal *journal; /* may be NULL */
	struct store store;
	struct config *running;	    /* NULL before apply_start() */
	long long running_since_ms; /* CLOCK_REALTIME */
	/* on trial: `running` is the new one */
	struct config *before; /* comes back; NULL: nothing is on trial */
	char *trial_text;
	size_t trial_len;
	char *trial_summary;
	struct event *timer;
	struct event *settle;	   /* what can wait until the client has its answer */
	bool undo_failed;	   /* time is over, the old one could not be put back; it is tried again */
	void (*undone)(void *arg); /* the time of a trial was over, and the old one is back; may be NULL */
	void *undone_arg;
};

struct apply_request {
	const char *text;
	size_t len;
	unsigned int confirm_s; /* 0: for good */
	bool dry_run;
	bool strict;	  /* a warning is an error */
	bool changes;	  /* all of them are wanted */
	bool local;	  /* for this node alone: of a pair's primary nothing is pushed */
	const char *note; /* goes before the summary in the history; may be NULL */
};

struct apply_result {
	int status;	   /* 0 done, 1 failed, 2 the configuration is wrong */
	const char *state; /* "applied", "unchanged", "pending", "dry-run"; NULL unless status is 0 */
	char *error;	   /* malloc'ed, NULL if status is 0 */
	char *summary;	   /* malloc'ed, may be NULL */
	char *note;	   /* what else to tell; malloc'ed, may be NULL */
	bool same;	   /* as what runs, but for spaces and the order of keys */
	json_t *changes;   /* diff_json() of the running one and this one; NULL where they are not wanted */
	struct config_report report;
};

/* Opens the files; -errno. */
int apply_init(struct apply *apply, struct event_base *base, const struct apply_target *target, const char *file,
	       const char *state_dir);
void apply_fini(struct apply *apply);

/*
 * The daemon's start: `config`, loaded from `text`, is what the own file says. Owned by apply when result->status is 0. Where the
 * last daemon was killed with just that on trial, the version before is taken instead.
 */
void apply_start(struct apply *apply, struct config *config, const char *text, size_t len, struct apply_result *result);

void apply_text(struct apply *apply, const struct apply_request *request, struct apply_result *result);
/* The own file's text; request->text is nothing. */
void apply_own_file(struct apply *apply, const struct apply_request *request, struct apply_result *result);
/* Ends a trial at once, or applies the version that is `back` (1 and up) before the newest. back 0: what fits. */
void apply_rollback(struct apply *apply, size_t back, struct apply_result *result);
/* The text and the note that apply_rollback() would apply, to be released with apply_version_free(). false: there is none. */
bool apply_version(const struct apply *apply, size_t back, struct apply_request *request);
void apply_version_free(struct apply_request *request);
void apply_confirm(struct apply *apply, struct apply_result *result);

/* Seconds until the trial is over; -1: none is running. */
long apply_trial_left(const struct apply *apply);

void apply_result_free(struct apply_result *result);
