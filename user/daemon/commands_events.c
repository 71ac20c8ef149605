// SPDX-License-Identifier: GPL-2.0-only
/* `show events`: what is on disk, some of it at a time. */
#include <string.h>

#include "user/config/suggest.h"
#include "user/daemon/stream.h"

/* ---- the stream: lines of the file; then one object ---- */

static int listing_go(void *arg, const char **lines)
{
	return journal_read_go(arg, lines);
}

static json_t *listing_end(void *arg, int err)
{
	return err ? json_pack("{s:s}", "error", strerror(-err))
		   : json_pack("{s:I}", "events", (json_int_t)journal_read_found(arg));
}

static void listing_close(void *arg, bool over)
{
	(void)over;
	journal_read_close(arg);
}

static const struct stream_ops listing_ops = { listing_go, listing_end, listing_close };

/* ---- the question ---- */

static bool knows_kind(const char *kind, struct control_answer *answer)
{
	struct suggest near = { .given = kind };

	for (size_t i = 0; i < JOURNAL_KINDS; i++) {
		if (!strcmp(kind, journal_kinds[i]))
			return true;
		suggest_offer(&near, journal_kinds[i]);
	}
	command_no_such("kind of event", &near, answer);
	return false;
}

static void begin(struct daemon *d, const struct journal_query *query, struct control_answer *answer)
{
	struct journal_cursor *cursor = NULL;
	int err = journal_read_open(&cursor, journal_path(d->journal), query);

	if (!err)
		err = stream_begin(d, &listing_ops, cursor, 0, answer);
	if (!err) {
		answer->result = json_object();
		return;
	}
	control_fail(answer, 1, "%s can't be read: %s", journal_path(d->journal), strerror(-err));
	journal_read_close(cursor);
}

/*
 * {"command": "show", "what": "events", "since_ms", "kind", "name"}: behind the answer come events, each an object on a line, the oldest
 * first; then {"events": N} or {"error": …}.
 */
void command_show_events(struct daemon *d, const json_t *request, struct control_answer *answer)
{
	struct journal_query query = { 0 };
	const char *command, *what;
	json_int_t since = 0;
	json_error_t error;

	if (!command_unpacked(json_unpack_ex((json_t *)request, &error, JSON_STRICT, "{s:s,s:s,s?I,s?s,s?s}", "command",
					     &command, "what", &what, "since_ms", &since, "kind", &query.kind, "name",
					     &query.name),
			      &error, answer))
		return;
	query.since_ms = since;
	if (!query.kind || knows_kind(query.kind, answer))
		begin(d, &query, answer);
}
