// SPDX-License-Identifier: GPL-2.0-only
#include "user/daemon/drill.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "user/daemon/daemon.h"
#include "user/daemon/drill_internal.h"
#include "user/daemon/gateways_internal.h"
#include "user/fault/fault.h"
#include "user/lib/clock.h"
#include "user/lib/drill_result.h"
#include "user/lib/file.h"
#include "user/lib/instance.h"
#include "user/lib/log.h"

#define ID_MAX 63
#define RESERVE_MAX_S 900
#define EVENTS_MAX 4000
#define RELAY_MS 3000 /* that the other node may take to answer */

struct order {
	const char *id;
	const json_t *request;
	struct control_answer *answer;
};

static long long number_of(const struct order *o, const char *key)
{
	return json_integer_value(json_object_get(o->request, key));
}

static const char *text_of(const struct order *o, const char *key)
{
	const char *text = json_string_value(json_object_get(o->request, key));

	return text ? text : "";
}

static void done(const struct order *o)
{
	if (!o->answer->status && !o->answer->result && !o->answer->later)
		o->answer->result = json_object();
}

/* ---- whose the node is: in a file, since this process may be killed by the drill; /run is empty after a boot ---- */

static void reservation_path(const struct daemon *d, char path[128])
{
	snprintf(path, 128, INSTANCE_RUN_DIR "/%s.drill.lock", d->options.instance);
}

/* Whose it is, and for how long at most (may be NULL); NULL: nobody's. The caller's */
static char *reserved_by(const struct daemon *d, long long *left_s)
{
	long long left_ms;
	char path[128], *id = NULL;
	json_t *reservation;

	reservation_path(d, path);
	reservation = json_load_file(path, 0, NULL);
	left_ms = json_integer_value(json_object_get(reservation, "until_ms")) - clock_ms(CLOCK_BOOTTIME);
	if (left_s)
		*left_s = (left_ms + 999) / 1000;
	if (left_ms > 0 && json_string_value(json_object_get(reservation, "id")))
		id = strdup(json_string_value(json_object_get(reservation, "id")));
	json_decref(reservation);
	return id;
}

/* Whether the order's drill has it; if not, it was told. */
static bool has_node(const struct daemon *d, const struct order *o)
{
	char *by = reserved_by(d, NULL);
	bool has = by && !strcmp(by, o->id);

	if (!has)
		control_fail(o->answer, 1, by ? "another drill is under way here" : "no drill is under way here");
	free(by);
	return has;
}

static void order_reserve(struct daemon *d, const struct order *o)
{
	long long seconds = number_of(o, "seconds"), left_s;
	char path[128], *by = reserved_by(d, &left_s), *text;
	json_t *reservation;

	if (by && strcmp(by, o->id))
		control_fail(o->answer, 1, DRILL_RESERVED, d->apply.running->node, left_s);
	else if (drill_fault_runs(d, NULL))
		control_fail(o->answer, 1, "%s still undoes what an earlier drill did to it; try again in a minute",
			     d->apply.running->node);
	else if (seconds < 1 || seconds > RESERVE_MAX_S)
		control_fail(o->answer, 2, "seconds: 1 to %d", RESERVE_MAX_S);
	free(by);
	if (o->answer->status)
		return;
	reservation = json_pack("{s:s,s:I}", "id", o->id, "until_ms",
				(json_int_t)(clock_ms(CLOCK_BOOTTIME) + seconds * 1000));
	text = json_dumps(reservation, JSON_COMPACT);
	reservation_path(d, path);
	if (!text || file_replace_soon(path, text, strlen(text), 0600))
		control_fail(o->answer, 1, "%s can't be written", path);
	free(text);
	json_decref(reservation);
}

/* Begun at the other node: it counts here, too. */
static void keep_result(const struct daemon *d, const struct order *o)
{
	const json_t *result = json_object_get(o->request, "kept");
	int err = result ? drill_result_keep(d->options.instance, result) : 0;

	if (err)
		log_ret(err, "the result of a drill can't be kept");
}

static void order_release(struct daemon *d, const struct order *o)
{
	const char *result = text_of(o, "result");
	char path[128];

	if (!has_node(d, o))
		return;
	reservation_path(d, path);
	unlink(path);
	keep_result(d, o);
	journal_write(d->journal, !strcmp(result, "passed") ? JOURNAL_NOTICE : JOURNAL_WARNING, JOURNAL_DRILL,
		      text_of(o, "scenario"), *result ? result : "called off", NULL, "ordered by %s",
		      *text_of(o, "by") ? text_of(o, "by") : "nobody who gave a name");
}

/* ---- the process that does it ---- */

/* systemd says which process it watches over: the environment may be inherited from another one. */
static bool is_supervised(void)
{
	const char *pid = getenv("SYSTEMD_EXEC_PID");

	return pid && atoi(pid) == getpid();
}

static void start_fault(struct daemon *d, const struct order *o, char *const *argv)
{
	int status = drill_start_program(d, argv);

	if (!status)
		journal_write(d->journal, JOURNAL_WARNING, JOURNAL_DRILL, text_of(o, "fault"), "begins", NULL,
			      "ordered by %s; it ends by itself after %lld s at the latest",
			      *text_of(o, "by") ? text_of(o, "by") : "nobody who gave a name", number_of(o, "seconds"));
	else if (status < 0)
		control_fail(o->answer, 1,
			     FAULT_PROGRAM " can't be started: %s; it lies beside fairleadd, or in libexec",
			     strerror(-status));
	else
		control_fail(o->answer, 1, FAULT_PROGRAM " has not begun; the daemon's log says why");
}

/* Names of the configuration become devices; a gateway's stays. False: told */
static bool take_targets(struct daemon *d, const struct order *o, const char **argv, size_t *n)
{
	const struct config_interface *interface;
	const json_t *targets = json_object_get(o->request, "targets");
	bool links = strcmp(text_of(o, "fault"), "gateway") != 0;

	for (size_t i = 0; i < json_array_size(targets); i++) {
		const char *name = json_string_value(json_array_get(targets, i));

		interface = name && links ? config_find_interface(d->apply.running, name) : NULL;
		if (*n == DRILL_ARGUMENTS_MAX || !name || (links && !interface)) {
			control_fail(o->answer, 2, "%s has no interface \"%s\"", d->apply.running->node,
				     name ? name : "");
			return false;
		}
		argv[(*n)++] = interface ? interface->device : name;
	}
	return true;
}

static bool is_fault(const char *name)
{
	static const char *const known[] = FAULT_NAMES;

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (!strcmp(known[i], name))
			return true;
	return false;
}

static void order_fault(struct daemon *d, const struct order *o)
{
	const char *argv[DRILL_ARGUMENTS_MAX + 1] = { FAULT_PROGRAM, "--instance", d->options.instance, "--id", o->id };
	long long seconds = number_of(o, "seconds");
	char limit[16], pid[16];
	size_t n = 5;

	if (!has_node(d, o))
		return;
	if (!is_fault(text_of(o, "fault")) || seconds < 1 || seconds > FAULT_SECONDS_MAX) {
		control_fail(o->answer, 2, "no fault \"%s\" of %lld s", text_of(o, "fault"), seconds);
		return;
	}
	snprintf(limit, sizeof(limit), "%lld", seconds);
	snprintf(pid, sizeof(pid), "%d", getpid());
	argv[n++] = "--seconds";
	argv[n++] = limit;
	argv[n++] = "--daemon";
	argv[n++] = pid;
	if (is_supervised())
		argv[n++] = "--supervised";
	argv[n++] = text_of(o, "fault");
	if (take_targets(d, o, argv, &n))
		start_fault(d, o, (char *const *)argv);
}

static void order_end(struct daemon *d, const struct order *o)
{
	pid_t pid;

	if (has_node(d, o) && drill_fault_runs(d, &pid) && pid > 0)
		kill(pid, SIGUSR1);
}

static void order_checks(struct daemon *d, const struct order *o)
{
	long long after_ms = number_of(o, "after_ms");
	int n;

	if (!has_node(d, o))
		return;
	if (after_ms < 0 || after_ms > FAULT_SECONDS_MAX * 1000) {
		control_fail(o->answer, 2, "after_ms: 0 to %d", FAULT_SECONDS_MAX * 1000);
		return;
	}
	n = drill_checks_start(d, o->id, text_of(o, "scenario"), after_ms);
	if (n < 0)
		control_fail(o->answer, 1, "its checks can't be started: %s; fairlead lies beside fairleadd",
			     strerror(-n));
	else
		o->answer->result = json_pack("{s:i}", "checks", n);
}

static void order_mute(struct daemon *d, const struct order *o)
{
	long long seconds = number_of(o, "seconds");

	if (!has_node(d, o))
		return;
	if (seconds < 0 || seconds > FAULT_SECONDS_MAX)
		control_fail(o->answer, 2, "seconds: 0 to %d", FAULT_SECONDS_MAX);
	else
		timekeeper_vip_mute(d->gateways->timekeeper, (uint64_t)seconds * 1000000000);
}

/* ---- looking ---- */

static void order_look(struct daemon *d, const struct order *o)
{
	long long left_s;
	char *by = reserved_by(d, &left_s);

	o->answer->result = json_pack("{s:s,s:I,s:s?,s:I,s:b,s:o?,s:o?}", "node", d->apply.running->node, "time_ms",
				      (json_int_t)clock_ms(CLOCK_REALTIME), "reserved", by, "reserved_s",
				      (json_int_t)left_s, "running", drill_fault_runs(d, NULL), "fault",
				      drill_last_fault(d), "checks", drill_checks_found(d));
	free(by);
}

static bool is_of_interest(const json_t *event)
{
	static const enum journal_kind kinds[] = { JOURNAL_VIP, JOURNAL_SYNC, JOURNAL_DAEMON, JOURNAL_GATEWAY,
						   JOURNAL_GROUP };
	const char *kind = json_string_value(json_object_get(event, "kind"));

	for (size_t i = 0; kind && i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strcmp(kind, journal_kinds[kinds[i]]))
			return true;
	return false;
}

static void add_events(json_t *events, const char *lines)
{
	while (*lines && json_array_size(events) < EVENTS_MAX) {
		size_t len = strcspn(lines, "\n");
		json_t *event = json_loadb(lines, len, 0, NULL);

		if (is_of_interest(event))
			json_array_append(events, event);
		json_decref(event);
		lines += len + (lines[len] == '\n');
	}
}

/* Those of a few minutes: not so many that others would have to wait. */
static void order_events(struct daemon *d, const struct order *o)
{
	const struct journal_query query = { .since_ms = number_of(o, "since_ms") };
	struct journal_cursor *cursor = NULL;
	json_t *events = json_array();
	const char *lines;
	int more = journal_read_open(&cursor, journal_path(d->journal), &query) ? 0 : 1;

	while (more > 0 && json_array_size(events) < EVENTS_MAX) {
		more = journal_read_go(cursor, &lines);
		if (more >= 0)
			add_events(events, lines);
	}
	journal_read_close(cursor);
	o->answer->result = events;
}

static void order_leaks(struct daemon *d, const struct order *o)
{
	o->answer->result = drill_leaks(d, text_of(o, "gateway"), number_of(o, "since_ms"));
	if (!o->answer->result)
		control_fail(o->answer, 1, "packets of %s can't be counted", text_of(o, "gateway"));
}

/* ---- the other node ---- */

struct relayed {
	struct daemon *daemon;
	struct client *client;
};

static void answered(void *arg, struct sync_peer *peer, int status, const json_t *result, const char *error)
{
	struct relayed *r = arg;
	struct control_answer answer = { 0 };

	(void)peer;
	if (status || error)
		control_fail(&answer, status, "%s", error ? error : "refused");
	answer.result = json_incref((json_t *)result);
	control_answer(r->client, &answer);
	free(r);
}

static void begin(void *arg, struct client *client)
{
	((struct relayed *)arg)->client = client;
}

static void gone(void *arg)
{
	struct relayed *r = arg;

	ha_forget(r->daemon, r);
	free(r);
}

static struct sync_peer *connected_peer(struct daemon *d)
{
	struct channel *channel = ha_channel(d);
	struct sync_peer *peer;

	for (size_t i = 0; channel && (peer = channel_peer_at(channel, i)); i++)
		if (sync_peer_connected(peer))
			return peer;
	return NULL;
}

static void order_peer(struct daemon *d, const struct order *o)
{
	static const struct control_later later = { begin, gone };
	json_t *request = json_incref(json_object_get(o->request, "request"));
	struct sync_peer *peer = connected_peer(d);
	struct relayed *r = calloc(1, sizeof(*r));
	int err = !r ? -ENOMEM : !peer ? -ENOTCONN : 0;

	if (r)
		r->daemon = d;
	if (err)
		json_decref(request);
	else
		err = ha_ask(d, peer, request, RELAY_MS, answered, r);
	if (err) {
		control_fail(o->answer, 1, "no peer is connected");
		free(r);
		return;
	}
	o->answer->later = &later;
	o->answer->later_arg = r;
}

bool drill_is_relayed(const json_t *request)
{
	const char *order = json_string_value(json_object_get(request, "order"));

	return !order || !strcmp(order, "peer");
}

/* ---- all of them ---- */

static const struct {
	const char *name;
	void (*run)(struct daemon *d, const struct order *o);
	bool free; /* for everybody, without an ID */
} orders[] = {
	{ "peer", order_peer, true },	     { "leaks", order_leaks, true },	  { "look", order_look, true },
	{ "events", order_events, true },    { "reserve", order_reserve, false }, { "fault", order_fault, false },
	{ "end", order_end, false },	     { "mute", order_mute, false },	  { "checks", order_checks, false },
	{ "release", order_release, false },
};

void command_drill(void *arg, const json_t *request, struct control_answer *answer)
{
	struct order o = { .request = request, .answer = answer };
	const char *name = text_of(&o, "order");

	o.id = text_of(&o, "id");
	for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
		if (strcmp(orders[i].name, name))
			continue;
		if (!orders[i].free && (!*o.id || strlen(o.id) > ID_MAX)) {
			control_fail(answer, 2, "id: 1 to %d characters", ID_MAX);
			return;
		}
		orders[i].run(arg, &o);
		done(&o);
		return;
	}
	control_fail(answer, 2, "\"%s\" is no order of a drill", name);
}
