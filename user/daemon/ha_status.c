// SPDX-License-Identifier: GPL-2.0-only
/* `status`: this node's, and what each peer says of itself. */
#include <stdlib.h>
#include <string.h>

#include "user/daemon/daemon.h"

#define ANSWER_MS 1500 /* a peer whose loop is held up by an apply answers late */

struct waiting {
	struct daemon *daemon;
	struct client *client; /* NULL: not begun, or gone */
	unsigned int peers;    /* that have not answered */
	json_t *rows;	       /* of all of them, in the order of ha.peers */
};

/* What `show sync` has of it, too. */
static const char *const keys[] = { "address", "connected", "role", "since_ms", "last_error", "software" };

static json_t *row_of(const json_t *sync)
{
	json_t *row = json_object();

	json_object_set(row, "name", json_object_get(sync, "peer"));
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		json_object_set(row, keys[i], json_object_get(sync, keys[i]));
	return row;
}

static json_t *rows_of(struct daemon *d)
{
	json_t *sync = ha_show(d), *rows = json_array(), *row;
	size_t i;

	json_array_foreach(sync, i, row) {
		json_array_append_new(rows, row_of(row));
	}
	json_decref(sync);
	return rows;
}

/* "peer" is the first one; where there are more, "peers" has all. */
static void build(struct daemon *d, json_t *rows, struct control_answer *answer)
{
	answer->result = status_build(d, &answer->status);
	if (json_array_size(rows))
		json_object_set(answer->result, "peer", json_array_get(rows, 0));
	if (json_array_size(rows) > 1)
		json_object_set(answer->result, "peers", rows);
	json_decref(rows);
}

static void finish(struct waiting *w)
{
	struct control_answer answer = { 0 };

	build(w->daemon, w->rows, &answer);
	control_answer(w->client, &answer);
	free(w);
}

static json_t *row_for(json_t *rows, const struct sync_peer *peer)
{
	char address[ADDR_STRLEN];
	const char *its;
	json_t *row;
	size_t i;

	addr_format(sync_peer_addr(peer), address);
	json_array_foreach(rows, i, row) {
		its = json_string_value(json_object_get(row, "address"));
		if (its && !strcmp(its, address))
			return row;
	}
	return NULL;
}

static void answered(void *arg, struct sync_peer *peer, int status, const json_t *result, const char *error)
{
	struct waiting *w = arg;
	json_t *row = row_for(w->rows, peer);

	(void)status;
	if (row && json_is_object(result)) {
		json_object_update_missing(row, (json_t *)result);
		json_object_del(row, "peer");
	} else if (row) {
		json_object_set_new(row, "last_error", json_string(error ? error : "its answer can't be understood"));
	}
	if (!--w->peers && w->client)
		finish(w);
}

static void begin(void *arg, struct client *client)
{
	((struct waiting *)arg)->client = client;
}

static void gone(void *arg)
{
	struct waiting *w = arg;

	ha_forget(w->daemon, w);
	json_decref(w->rows);
	free(w);
}

static const struct control_later later = { begin, gone };

static void ask_all(struct daemon *d, struct waiting *w)
{
	struct sync_peer *peer;

	for (size_t i = 0; ha_channel(d) && (peer = channel_peer_at(ha_channel(d), i)); i++)
		if (sync_peer_connected(peer) &&
		    !ha_ask(d, peer, json_pack("{s:s}", "command", "status"), ANSWER_MS, answered, w))
			w->peers++;
}

void command_status(void *arg, const json_t *request, struct control_answer *answer)
{
	struct daemon *d = arg;
	struct waiting *w;

	if (!command_is_bare(request, answer))
		return;
	w = calloc(1, sizeof(*w));
	if (!w) {
		control_fail(answer, 1, "out of memory");
		return;
	}
	*w = (struct waiting){ .daemon = d, .rows = rows_of(d) };
	ask_all(d, w);
	if (!w->peers) {
		build(d, w->rows, answer);
		free(w);
		return;
	}
	answer->later = &later;
	answer->later_arg = w;
}
