// SPDX-License-Identifier: GPL-2.0-only
/* Logged packets on their way from the ring to those who want them; server and clients in one process, turn by turn. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "selftests/unit/syslogd.h"
#include "selftests/unit/tempdir.h"
#include "user/lib/event_text.h"
#include "user/observe/observe.h"

#define SILENCE_S 1 /* after which other clients are dropped */

static struct tempdir dir;
static struct event_base *base;
static struct control *control;
static struct observe *observe;

static const char *port_name(void *arg, unsigned int number)
{
	(void)arg;
	return number == 1 ? "wan" : number == 2 ? "lan" : NULL;
}

static const char *rule_name(void *arg, unsigned int id, int *index)
{
	static char name[32];

	(void)arg;
	if (id >= 100)
		return NULL;
	if (id < 90) /* the others are of no configuration any more */
		*index = id + 1000;
	snprintf(name, sizeof(name), "rule %u", id);
	return name;
}

static void run_log(void *arg, const json_t *request, struct control_answer *answer)
{
	struct observe_filter filter;

	(void)arg;
	if (!observe_filter_take(&filter, request, answer))
		return;
	answer->result = observe_last(observe, &filter, json_integer_value(json_object_get(request, "last")), false);
	if (json_is_true(json_object_get(request, "follow")))
		observe_follow(observe, &filter, json_is_true(json_object_get(request, "data")), answer);
	observe_filter_free(&filter);
}

static const struct control_command commands[] = { { "log", run_log }, { NULL, NULL } };

static void setup(void)
{
	const struct observe_names names = { port_name, rule_name, NULL };

	signal(SIGPIPE, SIG_IGN);
	tempdir_make(&dir);
	base = event_base_new();
	cr_assert_eq(observe_open(&observe, base, -1, -1, &names), 0);
	cr_assert_eq(control_open(&control, base, tempdir_file(&dir, "sock"), commands, NULL, SILENCE_S), 0);
}

static void teardown(void)
{
	control_close(control);
	observe_close(observe);
	event_base_free(base);
	tempdir_remove(&dir);
}

static void turn(void)
{
	for (int i = 0; i < 10; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
}

/* ---- events ---- */

static struct fl_event udp(unsigned int rule)
{
	struct fl_event e = {
		.port = 1,
		.rule = rule,
		.len = 60,
		.verdict = FL_EVENT_BLOCK,
		.reason = FL_DROP_RULE,
		.family = FL_INET,
		.proto = 17,
		.sport = htons(4242),
		.dport = htons(53),
	};

	e.src.w[2] = e.dst.w[2] = htonl(0xffff);
	e.src.w[3] = htonl(0xc6336407); /* 198.51.100.7 */
	e.dst.w[3] = htonl(0xc0000201); /* 192.0.2.1 */
	return e;
}

static void push(const struct fl_event *e)
{
	observe_take(observe, e, offsetof(struct fl_event, data) + e->captured);
}

static void push_rules(unsigned int from, unsigned int to)
{
	for (unsigned int i = from; i <= to; i++) {
		struct fl_event e = udp(i);

		push(&e);
	}
}

/* Of what is kept; the rules' numbers, and how many are missing as "+N" */
static void assert_last(const char *request, size_t n, const char *expected)
{
	json_t *json = json_loads(request, 0, NULL), *events, *event;
	struct control_answer answer = { 0 };
	struct observe_filter filter;
	char text[1024] = "";
	size_t i;

	cr_assert(observe_filter_take(&filter, json, &answer), "%s: %s", request, answer.error);
	events = observe_last(observe, &filter, n, false);
	json_array_foreach(events, i, event) {
		const char *rule = json_string_value(json_object_get(event, "rule"));
		json_int_t lost = json_integer_value(json_object_get(event, "lost"));

		if (rule && !strncmp(rule, "rule ", 5))
			rule += 5;
		if (lost)
			snprintf(text + strlen(text), sizeof(text) - strlen(text), " +%lld", (long long)lost);
		else
			snprintf(text + strlen(text), sizeof(text) - strlen(text), " %s", rule ? rule : "-");
	}
	cr_assert_str_eq(text, expected, "%s: is%s", request, text);
	observe_filter_free(&filter);
	json_decref(events);
	json_decref(json);
}

TestSuite(observe, .init = setup, .fini = teardown, .timeout = 60);

Test(observe, the_last_ones_are_kept)
{
	assert_last("{}", 10, "");
	push_rules(1, 5);
	observe_lost(observe, 17);
	push_rules(6, 7);
	assert_last("{}", 10, " 1 2 3 4 5 +17 6 7");
	assert_last("{}", 3, " 5 +17 6 7");
	assert_last("{}", 0, "");
	for (int i = 0; i < OBSERVE_KEPT - 2; i++)
		push_rules(9, 9);
	push_rules(10, 10);
	assert_last("{\"rule\": \"rule 6\"}", 10, "");
	assert_last("{\"rule\": \"rule 7\"}", 10, " 7");
	assert_last("{}", 2, " 9 10");
}

Test(observe, filters)
{
	struct fl_event e = udp(1);

	push(&e);
	e.verdict = FL_EVENT_PASS;
	e.rule = 0;
	e.port = 2;
	push(&e);
	e.verdict = FL_EVENT_DROP;
	e.src.w[3] = htonl(0x0a000001);
	push(&e);
	e = udp(100);
	e.dst.w[3] = htonl(0x0a000002);
	e.captured = 20; /* as received it went elsewhere */
	memcpy(e.data + 12, &e.src.w[3], 4);
	memcpy(e.data + 16, "\xcb\x00\x71\x05", 4);
	push(&e);
	assert_last("{}", 9, " 1 default_action - #100");
	assert_last("{\"verdict\": \"block\"}", 9, " 1 #100");
	assert_last("{\"verdict\": \"drop\"}", 9, " -");
	assert_last("{\"interface\": \"lan\"}", 9, " default_action -");
	assert_last("{\"rule\": \"1001\"}", 9, " 1");
	assert_last("{\"rule\": \"#100\"}", 9, " #100");
	assert_last("{\"rule\": \"default_action\"}", 9, " default_action");
	assert_last("{\"host\": \"198.51.100.7\"}", 9, " 1 default_action #100");
	assert_last("{\"host\": [\"10.0.0.0/8\"]}", 9, " - #100");
	assert_last("{\"host\": [\"192.0.2.1\", \"198.51.100.7\"]}", 9, " 1 default_action");
	assert_last("{\"host\": [\"192.0.2.1\", \"192.0.2.1\"]}", 9, "");
	assert_last("{\"host\": \"203.0.113.5\"}", 9, " #100");
	assert_last("{\"host\": \"2001:db8::1\"}", 9, "");
	assert_last("{\"host\": \"198.51.100.7\", \"verdict\": \"pass\", \"interface\": \"lan\"}", 9,
		    " default_action");
	push_rules(95, 95);
	assert_last("{\"rule\": \"rule 95\"}", 9, " 95");
	assert_last("{\"rule\": \"0\"}", 9, "");
}

/* By what the rules saw, and by what was received. */
Test(observe, filters_of_ipv6)
{
	struct fl_event e = udp(1);

	inet_pton(AF_INET6, "2001:db8::1", &e.src);
	inet_pton(AF_INET6, "2001:db8::2", &e.dst);
	e.family = FL_INET6;
	e.captured = 40;
	inet_pton(AF_INET6, "2001:db8::a", e.data + 8);
	inet_pton(AF_INET6, "2001:db8::b", e.data + 24);
	push(&e);
	assert_last("{\"host\": [\"2001:db8::2\", \"2001:db8::1\"]}", 9, " 1");
	assert_last("{\"host\": [\"2001:db8::a\", \"2001:db8::b\"]}", 9, " 1");
	assert_last("{\"host\": [\"2001:db8::a\", \"2001:db8::2\"]}", 9, "");
	assert_last("{\"host\": \"2001:db8::/126\"}", 9, " 1");
}

Test(observe, filters_that_are_none)
{
	static const char *const wrong[] = { "{\"verdict\": \"allow\"}", "{\"host\": \"nobody\"}", "{\"host\": 7}",
					     "{\"host\": \"10.0.0.1/8\"}",
					     "{\"host\": [\"10.0.0.1\", \"10.0.0.2\", \"10.0.0.3\"]}" };

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		json_t *json = json_loads(wrong[i], 0, NULL);
		struct control_answer answer = { 0 };
		struct observe_filter filter;

		cr_assert(!observe_filter_take(&filter, json, &answer), "%s", wrong[i]);
		cr_assert_eq(answer.status, 2);
		free(answer.error);
		json_decref(json);
	}
}

/* ---- text ---- */

static void assert_text(const struct fl_event *e, const char *expected)
{
	struct observed o = { .interface = (char *)port_name(NULL, e->port), .rule_index = -1, .event = *e };
	char text[EVENT_TEXT_MAX];
	json_t *json;

	if (e->rule)
		o.rule = (char *)rule_name(NULL, e->rule, &o.rule_index);
	json = observed_json(&o, false);
	cr_assert_str_eq(event_text(json, text), expected, "%s", text);
	json_decref(json);
}

Test(observe, text)
{
	struct fl_event e = udp(7);

	assert_text(&e, "block in on wan [rule 7]: 198.51.100.7.4242 > 192.0.2.1.53: udp, length 60");
	e.flags = FL_EVENT_OUT | FL_EVENT_XDP;
	e.verdict = FL_EVENT_PASS;
	e.proto = 6;
	e.tcp_flags = 0x12;
	assert_text(&e, "pass out on wan [rule 7]: 198.51.100.7.4242 > 192.0.2.1.53: tcp SA, length 60");
	e.tcp_flags = 0;
	e.rule = 0;
	assert_text(&e, "pass out on wan [default_action]: 198.51.100.7.4242 > 192.0.2.1.53: tcp none, length 60");
	e.sport = e.dport = 0;
	e.proto = 1;
	e.icmp_type = 3;
	e.icmp_code = 13;
	e.port = 9;
	e.rule = 300;
	assert_text(&e, "pass out on ? [#300]: 198.51.100.7 > 192.0.2.1: icmp 3/13, length 60");
	e.proto = 200;
	e.verdict = FL_EVENT_DROP;
	e.reason = FL_DROP_STATE_FULL;
	assert_text(&e, "drop out on ? (state-table-full) [#300]: 198.51.100.7 > 192.0.2.1: 200, length 60");
	e.rule = 0;
	assert_text(&e, "drop out on ? (state-table-full): 198.51.100.7 > 192.0.2.1: 200, length 60");
}

Test(observe, json)
{
	struct observed o = { .interface = "wan", .event = udp(1) };
	json_t *json;

	o.event.flags = FL_EVENT_OUT;
	o.event.captured = 3;
	memcpy(o.event.data, "\x0a\xb0\xff", 3);
	json = observed_json(&o, true);
	cr_expect_str_eq(json_string_value(json_object_get(json, "data")), "0ab0ff");
	cr_expect_str_eq(json_string_value(json_object_get(json, "hook")), "tc");
	json_decref(json);
	o.event.flags = FL_EVENT_XDP;
	json = observed_json(&o, false);
	cr_expect(!json_object_get(json, "data"));
	cr_expect_str_eq(json_string_value(json_object_get(json, "hook")), "xdp");
	json_decref(json);
}

/* ---- followers ---- */

static int dial(const char *request)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", tempdir_file(&dir, "sock"));
	cr_assert_eq(connect(fd, (struct sockaddr *)&sun, sizeof(sun)), 0, "%s", strerror(errno));
	cr_assert_eq(send(fd, request, strlen(request), 0), (ssize_t)strlen(request));
	turn();
	return fd;
}

struct tally {
	size_t bytes;
	int lines, lost_lines;
	json_int_t lost;
	bool closed;
};

static void take(struct tally *tally, const char *line)
{
	json_t *json = json_loads(line, 0, NULL);

	cr_assert(json, "%s", line);
	tally->lost_lines += !!json_object_get(json, "lost");
	tally->lost += json_integer_value(json_object_get(json, "lost"));
	tally->lines += !!json_object_get(json, "verdict");
	json_decref(json);
}

/* All that there is for the client by now. */
static struct tally read_all(int fd)
{
	static char text[16u << 20];
	struct tally tally = { 0 };
	ssize_t n;

	do {
		turn();
		n = recv(fd, text + tally.bytes, sizeof(text) - 1 - tally.bytes, MSG_DONTWAIT);
		tally.bytes += n > 0 ? n : 0;
	} while (n > 0);
	tally.closed = n == 0;
	text[tally.bytes] = '\0';
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		take(&tally, line);
	return tally;
}

Test(observe, followed)
{
	int all = dial("{\"command\": \"log\", \"follow\": true}\n");
	int some = dial("{\"command\": \"log\", \"follow\": true, \"rule\": \"rule 2\"}\n");

	push_rules(1, 3);
	observe_lost(observe, 5);
	cr_assert_eq(read_all(all).lines, 3);
	cr_assert_eq(read_all(some).lines, 1);
	push_rules(2, 2);
	cr_assert_eq(read_all(all).lines, 1);
	observe_lost(observe, 6);
	cr_assert_eq(read_all(some).lost, 6, "what is lost may have been anybody's");
	close(all);
	turn();
	push_rules(2, 2);
	cr_assert_eq(read_all(some).lines, 1);
	close(some);
}

Test(observe, nothing_happens_for_long)
{
	const struct timespec wait = { .tv_sec = SILENCE_S, .tv_nsec = 500000000 };
	int fd = dial("{\"command\": \"log\", \"follow\": true}\n");

	cr_assert_not(read_all(fd).closed);
	nanosleep(&wait, NULL);
	turn();
	push_rules(1, 1);
	cr_assert_eq(read_all(fd).lines, 1);
	close(fd);
}

/* Who does not read loses events, of which he is told once he does; what waits for him is limited. */
Test(observe, slow_follower)
{
	int slow = dial("{\"command\": \"log\", \"follow\": true}\n");
	int fast = dial("{\"command\": \"log\", \"follow\": true}\n"), fast_lines = 0;
	struct tally tally;

	for (int i = 0; i < 200; i++) {
		push_rules(1, 99);
		fast_lines += read_all(fast).lines;
	}
	observe_lost(observe, 40);
	cr_assert_eq(read_all(fast).lost, 40);
	cr_assert_eq(fast_lines, 200 * 99);
	tally = read_all(slow);
	cr_assert_lt(tally.bytes, 2 * OBSERVE_QUEUE + (1u << 20), "%zu bytes waited", tally.bytes);
	cr_assert_eq(tally.lost_lines, 2, "by itself, and by the ring");
	cr_assert_eq(tally.lines + tally.lost, 200 * 99 + 40);
	push_rules(1, 3);
	tally = read_all(slow);
	cr_assert_eq(tally.lines, 3, "afterwards it gets all");
	cr_assert_eq(tally.lost, 0);
	close(slow);
	close(fast);
}

Test(observe, too_many_followers)
{
	int fds[OBSERVE_FOLLOWERS_MAX + 1];

	for (int i = 0; i <= OBSERVE_FOLLOWERS_MAX; i++)
		fds[i] = dial("{\"command\": \"log\", \"follow\": true}\n");
	push_rules(1, 1);
	for (int i = 0; i <= OBSERVE_FOLLOWERS_MAX; i++)
		cr_assert_eq(read_all(fds[i]).lines, i < OBSERVE_FOLLOWERS_MAX, "follower %d", i);
	close(fds[0]);
	turn();
	fds[0] = dial("{\"command\": \"log\", \"follow\": true}\n");
	push_rules(1, 1);
	cr_assert_eq(read_all(fds[0]).lines, 1, "one has made room");
}

Test(observe, events_of_no_shape)
{
	static const struct observe_filter every = { .verdict = -1 };
	struct fl_event e = udp(1);
	json_t *events;

	observe_take(observe, &e, 3);
	observe_take(observe, &e, sizeof(e) + 1);
	assert_last("{}", 9, "");
	e.captured = 500; /* more than there is */
	observe_take(observe, &e, offsetof(struct fl_event, data) + 10);
	assert_last("{}", 9, " 1");
	events = observe_last(observe, &every, 1, true);
	cr_expect_eq(json_string_length(json_object_get(json_array_get(events, 0), "data")), 20u, "what there is");
	json_decref(events);
}

/* ---- syslog ---- */

/* Lines that are there; *last: the text of the last one */
static int read_syslog(int fd, char *last, size_t size)
{
	int lines = 0;
	ssize_t n;

	while ((n = recv(fd, last, size - 1, MSG_DONTWAIT)) > 0) {
		last[n] = '\0';
		lines++;
	}
	return lines;
}

Test(observe, syslog)
{
	const char *path = tempdir_file(&dir, "log");
	int fd = syslogd_listen(path), lines = 0;
	struct observed o = { .interface = "wan", .rule = "a", .event = udp(1) };
	json_t *json = observed_json(&o, false);
	struct packet_syslog *log = packet_syslog_open(path, LOG_LOCAL3);
	char text[1024];

	packet_syslog_write(log, json);
	cr_assert_eq(read_syslog(fd, text, sizeof(text)), 1);
	cr_assert_eq(strncmp(text, "<158>", 5), 0, "%s", text); /* local3.info */
	cr_assert(strstr(text, ": block in on wan [a]: 198.51.100.7.4242 > 192.0.2.1.53: udp, length 60"), "%s", text);
	/* a flood: neither does it wait for who does not read, nor write all of it */
	for (int i = 0; i < 5000; i++)
		packet_syslog_write(log, json);
	lines = read_syslog(fd, text, sizeof(text));
	cr_assert_leq(lines, 200);
	packet_syslog_tick(log);
	cr_assert_eq(read_syslog(fd, text, sizeof(text)), 1);
	cr_assert_eq(atoi(strstr(text, "... ") + 4), 5000 - lines, "%s", text);
	/* syslogd is started anew */
	close(fd);
	unlink(path);
	packet_syslog_write(log, json);
	fd = syslogd_listen(path);
	packet_syslog_write(log, json);
	cr_assert_eq(read_syslog(fd, text, sizeof(text)), 1);
	packet_syslog_close(log);
	json_decref(json);
	close(fd);
}
