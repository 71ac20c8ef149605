// SPDX-License-Identifier: GPL-2.0-only
/* Events: on disk over restarts, killed writers and full disks, to syslog, as text; and the moments since which they are wanted. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>

#include "selftests/unit/syslogd.h"
#include "selftests/unit/tempdir.h"
#include "user/cli/since.h"
#include "user/lib/clock.h"
#include "user/lib/file.h"
#include "user/lib/journal_text.h"
#include "user/observe/journal.h"

static struct tempdir dir;
static struct journal *journal;

static void setup(void)
{
	tempdir_make(&dir);
	freopen("/dev/null", "w", stderr); /* events are logged there, too */
	journal = journal_open(dir.path);
	cr_assert(journal);
}

static void teardown(void)
{
	journal_close(journal);
	tempdir_remove(&dir);
}

TestSuite(journal, .init = setup, .fini = teardown, .timeout = 60);

static void reopen(void)
{
	journal_close(journal);
	journal = journal_open(dir.path);
}

static void down(const char *name)
{
	journal_write(journal, JOURNAL_WARNING, JOURNAL_GATEWAY, name, "up -> down",
		      json_pack("{s:s,s:i}", "target", "2001:db8::1", "loss_pct", 12), "%d probes lost in a row", 3);
}

/* All that the query finds, an array; and that each piece is lines of JSON. */
static json_t *found(const struct journal_query *query)
{
	struct journal_cursor *cursor;
	json_t *events = json_array();
	const char *lines;
	int more;

	cr_assert_eq(journal_read_open(&cursor, journal_path(journal), query), 0);
	do {
		char *copy, *line, *rest;

		more = journal_read_go(cursor, &lines);
		copy = rest = strdup(lines);
		while (*lines && (line = strsep(&rest, "\n"))) {
			json_t *json = json_loads(line, 0, NULL);

			cr_assert(json, "%s", line);
			json_array_append_new(events, json);
		}
		free(copy);
	} while (more > 0);
	cr_assert_eq(more, 0);
	cr_assert_eq(journal_read_found(cursor), json_array_size(events));
	journal_read_close(cursor);
	return events;
}

static size_t count(const struct journal_query *query)
{
	json_t *events = found(query);
	size_t n = json_array_size(events);

	json_decref(events);
	return n;
}

static const struct journal_query all;

static void assert_names(const char *names)
{
	json_t *events = found(&all), *event;
	char text[1024] = "";
	size_t i;

	json_array_foreach(events, i, event) {
		strcat(strcat(text, i ? " " : ""), json_string_value(json_object_get(event, "name")));
	}
	cr_assert_str_eq(text, names);
	json_decref(events);
}

static void spoil(const char *text, size_t len)
{
	int fd = open(journal_path(journal), O_WRONLY | O_APPEND);

	cr_assert_eq(write(fd, text, len), (ssize_t)len);
	close(fd);
}

/* ---- the file ---- */

Test(journal, an_event)
{
	long long before = clock_ms(CLOCK_REALTIME), ms;
	json_t *events, *event;
	char *text;

	down("he_gw");
	events = found(&all);
	cr_assert_eq(json_array_size(events), 1);
	event = json_array_get(events, 0);
	ms = json_integer_value(json_object_get(event, "time_ms"));
	cr_assert(ms >= before && ms <= clock_ms(CLOCK_REALTIME));
	cr_assert_str_eq(json_string_value(json_object_get(event, "kind")), "gateway");
	cr_assert_str_eq(json_string_value(json_object_get(event, "level")), "warning");
	cr_assert_str_eq(json_string_value(json_object_get(json_object_get(event, "details"), "target")),
			 "2001:db8::1");
	text = journal_text(event);
	cr_assert_str_eq(text, "gateway he_gw: up -> down: 3 probes lost in a row target=2001:db8::1 loss_pct=12");
	free(text);
	json_decref(events);
}

Test(journal, nothing_but_what_must_be)
{
	json_t *events;
	char *text;

	journal_write(journal, JOURNAL_NOTICE, JOURNAL_GROUP, "v6_out", "empty", NULL, NULL);
	events = found(&all);
	cr_assert(!json_object_get(json_array_get(events, 0), "reason"));
	cr_assert(!json_object_get(json_array_get(events, 0), "details"));
	text = journal_text(json_array_get(events, 0));
	cr_assert_str_eq(text, "group v6_out: empty");
	free(text);
	json_decref(events);
}

Test(journal, quoting)
{
	json_t *events;
	char *text;

	journal_write(journal, JOURNAL_NOTICE, JOURNAL_STATES, "a name", "e",
		      json_pack("{s:s,s:s,s:s,s:[s,s],s:b}", "a", "x=1", "b", "", "c", "\"\\\n", "d", "p", "q", "e", 1),
		      "line\nof\t\x1b[1m %s", "\xff\xfe");
	events = found(&all);
	text = journal_text(json_array_get(events, 0));
	cr_assert_str_eq(text, "states \"a name\": e: line?of??[1m ?? a=\"x=1\" b=\"\" c=\"\\\"\\\\?\" "
			       "d=p,q e=true");
	free(text);
	json_decref(events);
}

Test(journal, restarts)
{
	struct stat st;

	down("a");
	reopen();
	down("b");
	reopen();
	assert_names("a b");
	cr_assert_eq(stat(journal_path(journal), &st), 0);
	cr_assert_eq(st.st_mode & 07777, 0600);
}

Test(journal, torn_last_line)
{
	const char *torn =
		"{\"time_ms\":1,\"kind\":\"gateway\",\"name\":\"torn\",\"event\":\"x\",\"details\":{\"a\":{}}";

	down("a");
	spoil(torn, strlen(torn));
	assert_names("a"); /* while its writer is at it */
	reopen();
	down("b");
	assert_names("a b");
}

Test(journal, only_a_torn_line)
{
	spoil("{\"time", 6);
	reopen();
	down("a");
	assert_names("a");
}

Test(journal, torn_after_a_block_of_zeros)
{
	char zeros[10000] = "";

	down("a");
	spoil(zeros, sizeof(zeros));
	reopen();
	down("b");
	assert_names("a b");
}

Test(journal, damage_amid)
{
	down("a");
	spoil("\n\nnonsense\n{}\n{\"time_ms\":\n{\"time_ms\":1}\n\0\0\0\n", 45);
	reopen();
	down("b");
	assert_names("a b");
}

Test(journal, a_line_without_end)
{
	char *text = malloc(1 << 20);

	memset(text, 'x', 1 << 20);
	down("a");
	spoil(text, 1 << 20);
	spoil("\n", 1);
	reopen();
	down("b");
	assert_names("a b");
	free(text);
}

Test(journal, somebody_removes_it)
{
	down("a");
	unlink(journal_path(journal));
	journal_tick(journal);
	down("b");
	assert_names("b");
}

Test(journal, somebody_removes_the_folder)
{
	down("a");
	tempdir_remove(&dir);
	journal_tick(journal);
	down("b");
	cr_assert_eq(journal_trouble(journal), 0);
	assert_names("b");
}

Test(journal, no_file_can_be_made)
{
	char path[256];

	journal_close(journal);
	snprintf(path, sizeof(path), "%s/file", dir.path);
	cr_assert_eq(file_replace(path, "", 0, 0600), 0);
	journal = journal_open(path);
	cr_assert(journal);
	down("a");
	cr_assert_eq(journal_trouble(journal), -ENOTDIR);
	cr_assert_eq(journal_lost(journal), 1);
}

Test(journal, a_pipe_in_its_place)
{
	unlink(journal_path(journal));
	cr_assert_eq(mkfifo(journal_path(journal), 0600), 0);
	journal_tick(journal);
	down("a");
	cr_assert_eq(journal_trouble(journal), -EINVAL);
	cr_assert_eq(count(&all), 0);
}

/* Room for so many bytes more: as on a full disk, a write may succeed in part. */
static void leave_room(off_t more)
{
	struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };
	struct stat st;

	signal(SIGXFSZ, SIG_IGN);
	cr_assert_eq(stat(journal_path(journal), &st), 0);
	if (more >= 0)
		limit.rlim_cur = st.st_size + more;
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

Test(journal, full_disk)
{
	json_t *events;
	char *text;

	down("a");
	leave_room(20);
	down("b");
	down("c");
	cr_assert(journal_trouble(journal));
	cr_assert_eq(journal_lost(journal), 2);
	assert_names("a");
	leave_room(-1);
	down("d");
	cr_assert_eq(journal_trouble(journal), 0);
	cr_assert_eq(journal_lost(journal), 2);
	assert_names("a events d");
	events = found(&all);
	text = journal_text(json_array_get(events, 1));
	cr_assert_eq(strncmp(text, "daemon events: lost: 2 before this one could not be written: ", 60), 0, "%s", text);
	free(text);
	json_decref(events);
}

Test(journal, big_ones)
{
	char *big = malloc(100001);
	json_t *events, *event;

	memset(big, 'x', 100000);
	big[100000] = '\0';
	journal_write(journal, JOURNAL_NOTICE, JOURNAL_APPLY, "command", "refused", json_pack("{s:s}", "a", big), "%s",
		      big);
	events = found(&all);
	event = json_array_get(events, 0);
	cr_assert(!json_object_get(event, "details"));
	cr_assert_eq(strlen(json_string_value(json_object_get(event, "reason"))), JOURNAL_REASON_MAX - 1);
	json_decref(events);
	free(big);
}

/* As many as two files hold, and more. */
Test(journal, bounded)
{
	char name[128], path[256];
	struct stat st;
	size_t n;

	for (int i = 0; i < 260000; i++) {
		snprintf(name, sizeof(name), "gateway_%06d", i);
		down(name);
	}
	cr_assert_eq(stat(journal_path(journal), &st), 0);
	cr_assert_leq(st.st_size, JOURNAL_FILE_MAX);
	snprintf(path, sizeof(path), "%s.1", journal_path(journal));
	cr_assert_eq(stat(path, &st), 0);
	cr_assert_leq(st.st_size, JOURNAL_FILE_MAX);
	cr_assert_gt(st.st_size, JOURNAL_FILE_MAX - JOURNAL_LINE_MAX);
	n = count(&all);
	cr_assert_gt(n, 90000);
	cr_assert_lt(n, 260000);
	cr_assert_eq(count(&(struct journal_query){ .name = name }), 1);
	cr_assert_eq(count(&(struct journal_query){ .name = "gateway_259998" }), 1);
	cr_assert_eq(count(&(struct journal_query){ .name = "gateway_25999" }), 0);
}

/* ---- which ones ---- */

Test(journal, filters)
{
	long long ms;

	down("a");
	journal_write(journal, JOURNAL_NOTICE, JOURNAL_ALIAS, "a", "added", NULL, "by hand");
	journal_write(journal, JOURNAL_NOTICE, JOURNAL_ALIAS, "a \"b\"", "added", NULL, "by hand");
	usleep(2000);
	ms = clock_ms(CLOCK_REALTIME);
	down("b");
	cr_assert_eq(count(&(struct journal_query){ .kind = "gateway" }), 2);
	cr_assert_eq(count(&(struct journal_query){ .kind = "alias" }), 2);
	cr_assert_eq(count(&(struct journal_query){ .kind = "ali" }), 0);
	cr_assert_eq(count(&(struct journal_query){ .name = "a" }), 2);
	cr_assert_eq(count(&(struct journal_query){ .name = "a \"b\"" }), 1);
	cr_assert_eq(count(&(struct journal_query){ .name = "a", .kind = "gateway" }), 1);
	cr_assert_eq(count(&(struct journal_query){ .since_ms = ms }), 1);
	cr_assert_eq(count(&(struct journal_query){ .since_ms = ms, .name = "a" }), 0);
	cr_assert_eq(count(&(struct journal_query){ .since_ms = 1LL << 60 }), 0);
}

Test(journal, read_while_it_goes_on)
{
	struct journal_cursor *cursor;
	const char *lines;

	down("a");
	cr_assert_eq(journal_read_open(&cursor, journal_path(journal), &all), 0);
	down("b");
	while (journal_read_go(cursor, &lines))
		;
	cr_assert_eq(journal_read_found(cursor), 1);
	journal_read_close(cursor);
}

/* ---- syslog ---- */

static const char *read_syslog(int fd)
{
	static char text[8192];
	ssize_t n = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

Test(journal, syslog)
{
	const char *path = tempdir_file(&dir, "log"), *text;
	int fd = syslogd_listen(path), lines = 0;
	char expected[256];

	down("silent"); /* not wanted yet */
	journal_syslog(journal, path, LOG_LOCAL3);
	down("he_gw");
	snprintf(expected, sizeof(expected),
		 " fairleadd[%d]: gateway he_gw: up -> down: 3 probes lost in a row target=2001:db8::1 loss_pct=12",
		 getpid());
	text = read_syslog(fd);
	cr_assert_eq(strncmp(text, "<156>", 5), 0, "%s", text); /* local3.warning */
	cr_assert_str_eq(text + 5 + strlen("Nov 28 21:00:00"), expected);
	journal_write(journal, JOURNAL_NOTICE, JOURNAL_GATEWAY, "he_gw", "down -> up", NULL, NULL);
	cr_assert_eq(strncmp(read_syslog(fd), "<157>", 5), 0); /* local3.notice */
	/* one who does not read holds nothing up, and what he has missed is told */
	for (int i = 0; i < 5000; i++)
		down("flood");
	while (*read_syslog(fd))
		lines++;
	cr_assert_lt(lines, 5000);
	journal_tick(journal);
	text = strstr(read_syslog(fd), "daemon events: unsent: ");
	cr_assert(text);
	cr_assert_eq(atoi(text + strlen("daemon events: unsent: ")), 5000 - lines);
	cr_assert_eq(count(&(struct journal_query){ .name = "flood" }), 5000);
	journal_syslog(journal, NULL, LOG_LOCAL3);
	down("silent");
	cr_assert_str_empty(read_syslog(fd));
	close(fd);
}

Test(journal, no_journal_at_all)
{
	journal_write(NULL, JOURNAL_NOTICE, JOURNAL_GATEWAY, "a", "b", json_pack("{s:i}", "a", 1), "c");
}

/* ---- since ---- */

#define NOW 1764363646123LL

static void assert_since(const char *text, long long want)
{
	long long ms = -1;

	cr_assert_eq(since_parse(text, NOW, &ms), want >= 0, "%s", text);
	if (want >= 0)
		cr_assert_eq(ms, want, "%s: %lld, expected %lld", text, ms, want);
}

Test(since, ago)
{
	assert_since("0s", NOW);
	assert_since("45s", NOW - 45000);
	assert_since("30m", NOW - 1800000);
	assert_since("1h", NOW - 3600000);
	assert_since("2d", NOW - 172800000);
	assert_since("1w", NOW - 604800000);
	assert_since("999999999w", 0);
}

Test(since, moments)
{
	setenv("TZ", "Europe/Paris", 1);
	tzset();
	assert_since("2025-11-28", 1764284400000);
	assert_since("2025-11-28T22:00", 1764363600000);
	assert_since("2025-11-28 22:00:46", 1764363646000);
	assert_since("2025-11-28T21:00:46Z", 1764363646000);
	assert_since("2025-11-28T21:00:46.123Z", 1764363646000);
	assert_since("2025-11-28T23:30+02:30", 1764363600000);
	assert_since("2025-11-28T16:00-0500", 1764363600000);
	assert_since("2025-11-28T16:00-05", 1764363600000);
	assert_since("2024-02-29", 1709161200000);
	assert_since("2025-07-14 12:00", 1752487200000); /* summer time */
}

Test(since, nonsense)
{
	static const char *const texts[] = { "",
					     "1",
					     "h",
					     "-1h",
					     "+1h",
					     " 1h",
					     "1h ",
					     "1 h",
					     "1.5h",
					     "1y",
					     "1hh",
					     "9999999999s",
					     "yesterday",
					     "2025",
					     "2025-11",
					     "2025-13-01",
					     "2025-00-01",
					     "2025-02-30",
					     "2025-11-00",
					     "2025-11-28T",
					     "2025-11-28T24:00",
					     "2025-11-28T12",
					     "2025-11-28T12:60",
					     "2025-11-28T12:00:",
					     "2025-11-28T12:00:00.",
					     "2025-11-28T12:00:00.Z",
					     "2025-11-28T12:00X",
					     "2025-11-28T12:00+",
					     "2025-11-28T12:00+1",
					     "2025-11-28T12:00+25:00",
					     "2025-11-28T12:00Z ",
					     "2025-11-28Z",
					     "1969-12-31",
					     "1970-01-01T00:00+12:00",
					     "25-11-28" };

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_since(texts[i], -1);
}
