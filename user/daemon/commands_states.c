// SPDX-License-Identifier: GPL-2.0-only
/* `show states`, `kill states`: answers that go on for as long as it takes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/daemon/stream.h"

#define LIMIT_MAX 100000000
#define RESET_PAUSE_US 5000 /* resets in between: so many a second as go into 3 ms of each 8 */

struct job {
	struct journal *journal;
	json_t *selected; /* of kill: what was asked for */
	struct states_cursor *cursor;
	bool kill, reset;
};

/* ---- the stream: lines of rows, each a JSON array; then one object ---- */

static int states_go(void *arg, const char **rows)
{
	struct job *job = arg;

	return datapath_states_go(job->cursor, rows);
}

/* How many got resets, and how many others a peer was asked to reset, if any */
static void put_resets(json_t *to, const struct states_cursor *cursor)
{
	json_int_t asked = (json_int_t)datapath_states_asked(cursor);

	json_object_set_new(to, "reset", json_integer((json_int_t)datapath_states_resets(cursor)));
	if (asked)
		json_object_set_new(to, "asked", json_integer(asked));
}

/* Also where who has asked is gone before it is done */
static void tell_killed(struct job *job)
{
	json_int_t n = job->kill ? datapath_states_found(job->cursor) : 0;

	if (n && job->reset)
		put_resets(job->selected, job->cursor);
	if (n)
		journal_write(job->journal, JOURNAL_NOTICE, JOURNAL_STATES, "kill", "ended", json_incref(job->selected),
			      "%" JSON_INTEGER_FORMAT " states, by hand", n);
}

static json_t *states_end(void *arg, int err)
{
	struct job *job = arg;
	json_int_t n = datapath_states_found(job->cursor);
	json_t *result;

	tell_killed(job);
	if (err)
		return json_pack("{s:s}", "error",
				 err == -ESTALE ? "the state table has got another size meanwhile; ask again"
						: strerror(-err));
	result = json_pack("{s:I}", job->kill ? "killed" : "states", n);
	if (job->reset)
		put_resets(result, job->cursor);
	return result;
}

static void job_free(struct job *job)
{
	datapath_states_close(job->cursor);
	json_decref(job->selected);
	free(job);
}

static void states_close(void *arg, bool over)
{
	struct job *job = arg;

	if (!over)
		tell_killed(job);
	job_free(job);
}

static const struct stream_ops states_ops = { states_go, states_end, states_close };

/* ---- the question ---- */

static bool take_host(struct states_query *query, const json_t *value, struct control_answer *answer)
{
	struct prefix *host = &query->hosts[query->n_hosts];
	const char *text = json_string_value(value);
	bool fits = text && query->n_hosts < 2;

	if (fits && !addr_parse(text, &host->addr))
		host->len = host->addr.family == AF_INET ? 32 : 128;
	else if (fits)
		fits = !prefix_parse(text, host) && prefix_is_network(host);
	if (!fits)
		control_fail(answer, 2, "host%s%s%s: an address or a prefix, or two of them", text ? " \"" : "",
			     text ? text : "", text ? "\"" : "");
	query->n_hosts += fits;
	return fits;
}

static bool take_hosts(struct states_query *query, json_t *value, struct control_answer *answer)
{
	json_t *one;
	size_t i;

	if (!value || !json_is_array(value))
		return !value || take_host(query, value, answer);
	json_array_foreach(value, i, one) {
		if (!take_host(query, one, answer))
			return false;
	}
	return true;
}

static bool take_number(const char *key, json_int_t value, json_int_t max, struct control_answer *answer)
{
	if (value < 0 || value > max)
		control_fail(answer, 2, "%s: 1 to %lld", key, max);
	return value >= 0 && value <= max;
}

struct wanted {
	struct states_query query;
	const char *what, *sort;
	int count, all, reset;
};

static bool take_request(struct daemon *d, const json_t *request, struct wanted *w, struct control_answer *answer)
{
	json_int_t proto = 0, port = 0, limit = 0;
	json_t *hosts = NULL;
	const char *command;
	json_error_t error;

	if (!command_unpacked(json_unpack_ex((json_t *)request, &error, JSON_STRICT,
					     "{s:s,s:s,s?s,s?o,s?s,s?s,s?I,s?I,s?s,s?I,s?b,s?b,s?b}", "command",
					     &command, "what", &w->what, "rule", &w->query.rule, "host", &hosts,
					     "gateway", &w->query.gateway, "interface", &w->query.interface, "proto",
					     &proto, "port", &port, "sort", &w->sort, "limit", &limit, "count",
					     &w->count, "all", &w->all, "reset", &w->reset),
			      &error, answer))
		return false;
	if (!take_number("proto", proto, 255, answer) || !take_number("port", port, 65535, answer) ||
	    !take_number("limit", limit, LIMIT_MAX, answer) || !take_hosts(&w->query, hosts, answer))
		return false;
	if (w->sort && strcmp(w->sort, "bytes")) {
		control_fail(answer, 2, "sort \"%s\": accepted: bytes", w->sort);
		return false;
	}
	w->query.proto = proto;
	w->query.port = port;
	w->query.limit = limit;
	return !w->query.interface || command_knows_port(d->apply.running, w->query.interface, answer);
}

static bool is_any(const struct states_query *q)
{
	return !q->rule && !q->gateway && !q->interface && !q->n_hosts && !q->proto && !q->port;
}

/* What of the request says which ones */
static json_t *selectors_of(const json_t *request)
{
	json_t *selectors = json_copy((json_t *)request);

	json_object_del(selectors, "command");
	json_object_del(selectors, "what");
	json_object_del(selectors, "reset");
	return selectors;
}

static void begin(struct daemon *d, const json_t *request, const struct states_query *query,
		  struct control_answer *answer)
{
	bool kill = query->doing == STATES_KILL || query->doing == STATES_RESET, reset = query->doing == STATES_RESET;
	struct job *job = calloc(1, sizeof(*job));
	char *why = NULL;

	if (job) {
		*job = (struct job){ .journal = d->journal, .kill = kill, .reset = reset };
		job->selected = selectors_of(request);
		job->cursor = datapath_states_open(d->datapath, query, &why);
	}
	if (!job || !job->cursor || stream_begin(d, &states_ops, job, reset ? RESET_PAUSE_US : 0, answer)) {
		control_fail(answer, why ? 2 : 1, "%s", why ? why : "out of memory");
		if (job)
			job_free(job);
	}
	free(why);
}

static json_t *columns(void)
{
	json_t *array = json_array();

	for (const char *const *name = datapath_state_columns; *name; name++)
		json_array_append_new(array, json_string(*name));
	return array;
}

/*
 * {"command": "show", "what": "states", "rule", "host", "gateway", "interface", "proto", "port", "sort": "bytes", "limit", "count"}: the result
 * says the columns; behind it come rows, then {"states": N} or {"error": …}.
 */
void command_show_states(struct daemon *d, const json_t *request, struct control_answer *answer)
{
	struct wanted w = { 0 };
	struct datapath_states numbers;

	if (!take_request(d, request, &w, answer))
		return;
	if (w.all || w.reset) {
		control_fail(answer, 2, "all and reset: of kill");
		return;
	}
	w.query.doing = w.count ? STATES_COUNT : w.sort ? STATES_BIGGEST : STATES_SHOW;
	if (w.count && is_any(&w.query)) {
		datapath_states_numbers(d->datapath, &numbers);
		answer->result = json_pack("{s:I}", "states", (json_int_t)numbers.states);
		return;
	}
	begin(d, request, &w.query, answer);
	if (answer->stream)
		answer->result = json_pack("{s:o}", "columns", columns());
}

/* {"command": "kill", "what": "states", …as above, or "all": true; "reset": true}: behind the answer comes {"killed": N, "reset": N, "asked": N} */
void command_kill(void *arg, const json_t *request, struct control_answer *answer)
{
	struct wanted w = { 0 };

	if (!take_request(arg, request, &w, answer))
		return;
	if (strcmp(w.what, "states"))
		control_fail(answer, 2, "nothing called \"%s\" to kill; accepted: states", w.what);
	else if (w.sort || w.count || w.query.limit)
		control_fail(answer, 2, "sort, limit and count: of show");
	else if (is_any(&w.query) == !w.all)
		control_fail(answer, 2, "either which states, or all of them");
	else {
		w.query.doing = w.reset ? STATES_RESET : STATES_KILL;
		begin(arg, request, &w.query, answer);
		if (answer->stream)
			answer->result = json_object();
	}
}
