/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The files of the configuration: the daemon's own one, and the versions that it had.
 *
 * DIR/history/N.json is version N as it was written, DIR/history/index.json says when and why. The newest version is the
 * one in force; STORE_EARLIER more are kept. DIR/pending.json is what runs on trial and waits for `fairlead confirm`;
 * when the trial ends without, it becomes DIR/undone.json: the text may be nowhere else.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "user/lib/file.h"

#define STORE_EARLIER 10

struct store {
	char *file; /* the daemon's own */
	char *dir;
	json_t *versions; /* array of { "version", "time_ms", "summary" }, oldest first */
	int history_err;  /* of the last attempt to write one: 0 or -errno */
	bool unsettled;	  /* the index lacks the newest version, whose text may not be on the disk */
};

/*
 * Makes the directories, reads the index; versions whose text is gone are left out. Directories that can't be made are no
 * reason to fail: store_trouble() tells it, and they are made when something is to be written. -errno
 */
int store_open(struct store *store, const char *file, const char *dir);
void store_close(struct store *store);

/* Why no history is kept: 0 (one is) or -errno */
int store_trouble(const struct store *store);

/* A text that is to become the own file and the newest version: written, not yet in force. */
struct store_change {
	struct file_change own; /* nothing prepared where the own file has that text already */
	char *version_path;	/* NULL where the newest version has that text already */
	long long version;
};

/* -errno and *why (static text: which file); nothing is left behind on failure. */
int store_prepare(struct store *store, const char *text, size_t len, struct store_change *change, const char **why);
/* Puts it in force. -errno: the own file is as before and the change is over. */
int store_commit(struct store *store, struct store_change *change, const char *summary);
/*
 * The history too is on the disk then. Nobody has to wait for that: what decides about the next start is the own file, and where the
 * newest version is not its text, that start makes one of it.
 */
void store_settle(struct store *store);
void store_discard(struct store_change *change);

/* The version that is `back` before the newest (0: the newest): text as file_read() gives it. -ERANGE: there is none so far back. */
int store_read_version(const struct store *store, size_t back, char **text, size_t *len, const json_t **entry);
char *store_version_path(const struct store *store, long long version); /* malloc'ed, NULL without memory */

/* For `show history`: newest first, { "back", "version", "time_ms", "summary" }. NULL when memory is out. */
json_t *store_history(const struct store *store);
long long store_newest(const struct store *store); /* its number; 0: none */

int store_pending_write(struct store *store, const char *text, size_t len);
int store_pending_read(const struct store *store, char **text, size_t *len);
bool store_pending_is(const struct store *store, const char *text, size_t len);
void store_pending_remove(const struct store *store);
bool store_pending_set_aside(const struct store *store); /* as undone.json; true if there was one */

/* A trial of the own file's text: the text that runs comes back there, until the trial is confirmed. */
bool store_own_is(const struct store *store, const char *text, size_t len);
int store_own_prepare(const struct store *store, const char *text, size_t len, struct file_change *change);
int store_own_keep(struct store *store); /* a copy of it, as unapplied.json: 0 or -errno */
