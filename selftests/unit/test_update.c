// SPDX-License-Identifier: GPL-2.0-only
/* When a broker is told where a tunnel's end is, and what it answers; names of remotes; passwords in files; the urls. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "user/daemon/names.h"
#include "user/daemon/update_state.h"
#include "user/daemon/url.h"
#include "user/lib/secret.h"

#define S 1000LL
#define NOW (1000000 * S)

static struct addr a(const char *text)
{
	struct addr addr = { 0 };

	cr_assert_eq(addr_parse(text, &addr), 0, "%s", text);
	return addr;
}

static void want(struct update_state *state, const char *text)
{
	struct addr addr = a(text);

	cr_expect(update_want(state, &addr));
}

/* ---- when ---- */

Test(update, told_once)
{
	struct update_state state = { 0 };
	const struct addr none = { 0 };

	cr_expect_eq(update_due(&state, 300, NOW), UPDATE_NEVER, "no address yet");
	want(&state, "203.0.113.2");
	cr_expect_leq(update_due(&state, 300, NOW), NOW);
	update_begin(&state);
	cr_expect_eq(update_due(&state, 300, NOW), UPDATE_NEVER, "it is asked already");
	update_end(&state, UPDATE_TOLD, NOW);
	cr_expect_eq(update_due(&state, 300, NOW + 10000000 * S), UPDATE_NEVER, "nothing has changed");
	cr_expect(update_want(&state, &none));
	cr_expect_eq(update_due(&state, 300, NOW + 400 * S), UPDATE_NEVER, "an address that is gone is not told");
	want(&state, "203.0.113.2");
	cr_expect_eq(update_due(&state, 300, NOW + 400 * S), UPDATE_NEVER, "the same is back");
}

Test(update, last_change_when_the_interval_is_over)
{
	struct update_state state = { 0 };

	want(&state, "203.0.113.2");
	update_begin(&state);
	update_end(&state, UPDATE_TOLD, NOW);
	want(&state, "203.0.113.3");
	cr_expect_eq(update_due(&state, 300, NOW + 5 * S), NOW + 300 * S);
	want(&state, "203.0.113.4");
	cr_expect_eq(update_due(&state, 300, NOW + 6 * S), NOW + 300 * S);
	cr_expect_leq(update_due(&state, 0, NOW + 6 * S), NOW + 6 * S, "no interval");
	update_begin(&state);
	update_end(&state, UPDATE_TOLD, NOW + 300 * S);
	cr_expect(addr_equal(&state.told, &state.want));
	want(&state, "203.0.113.3");
	want(&state, "203.0.113.4");
	cr_expect_eq(update_due(&state, 300, NOW + 10000 * S), UPDATE_NEVER, "and back, before it was told");
}

Test(update, failures_are_retried_ever_less_often)
{
	struct update_state state = { 0 };
	long long now = NOW, pauses[] = { 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600 };

	want(&state, "203.0.113.2");
	for (size_t i = 0; i < sizeof(pauses) / sizeof(pauses[0]); i++) {
		update_begin(&state);
		update_end(&state, UPDATE_SILENT, now);
		cr_expect_eq(update_due(&state, 60, now), now + pauses[i] * S, "failure %zu", i + 1);
		now += pauses[i] * S;
	}
	want(&state, "203.0.113.3");
	cr_expect_leq(update_due(&state, 60, now), now, "another address begins anew");
	update_begin(&state);
	update_end(&state, UPDATE_UNSENT, now);
	cr_expect_eq(update_due(&state, 60, now), now + UPDATE_UNSENT_S * S);
	update_begin(&state);
	update_end(&state, UPDATE_LATER, now);
	cr_expect_eq(update_due(&state, 60, now), now + 60 * S, "it has answered: the interval");
	update_begin(&state);
	update_end(&state, UPDATE_TOLD, now);
	cr_expect_eq(state.failures, 0u);
}

Test(update, refused_is_refused)
{
	struct update_state state = { 0 };

	want(&state, "203.0.113.2");
	update_begin(&state);
	update_end(&state, UPDATE_REFUSED, NOW);
	want(&state, "203.0.113.3");
	cr_expect_eq(update_due(&state, 0, NOW + 100000 * S), UPDATE_NEVER);
}

Test(update, called_off_is_an_update)
{
	struct update_state state = { 0 };

	want(&state, "203.0.113.2");
	update_begin(&state);
	update_sent(&state, NOW);
	want(&state, "203.0.113.3");
	cr_expect_eq(update_due(&state, 300, NOW + 2 * S), NOW + 300 * S, "the broker may have taken it");
	update_begin(&state);
	update_end(&state, UPDATE_UNSENT, NOW + 300 * S);
	want(&state, "203.0.113.2");
	cr_expect_eq(update_due(&state, 600, NOW + 301 * S), NOW + 600 * S, "what was not sent tells nothing of it");
	update_begin(&state);
	update_sent(&state, NOW + 600 * S);
	update_end(&state, UPDATE_SILENT, NOW + 620 * S);
	cr_expect_eq(update_due(&state, 600, NOW + 620 * S), NOW + 630 * S, "without an answer it is sent again");
}

Test(update, change_while_it_is_asked)
{
	struct update_state state = { 0 };

	want(&state, "203.0.113.2");
	update_begin(&state);
	update_end(&state, UPDATE_TOLD, NOW);
	want(&state, "203.0.113.3");
	update_begin(&state);
	want(&state, "203.0.113.2");
	cr_expect_eq(state.told.family, AF_UNSPEC, "the broker may know the other one by now");
	cr_expect_eq(update_due(&state, 60, NOW + 1), NOW + 60 * S);
}

Test(update, clock_set_back)
{
	struct update_state state = { 0 };

	want(&state, "203.0.113.2");
	update_begin(&state);
	update_end(&state, UPDATE_TOLD, NOW);
	want(&state, "203.0.113.3");
	cr_expect_eq(update_due(&state, 60, 5 * S), 65 * S);
}

/* ---- answers ---- */

static const struct {
	long status;
	const char *body;
	enum update_outcome outcome;
	const char *text;
} answers[] = {
	{ 200, "good 203.0.113.2\n", UPDATE_TOLD, "good 203.0.113.2" },
	{ 200, "good", UPDATE_TOLD, "good" },
	{ 200, " nochg 203.0.113.2", UPDATE_TOLD, "nochg 203.0.113.2" },
	{ 200, "", UPDATE_TOLD, "an empty answer" },
	{ 200, "good 127.0.0.1", UPDATE_LATER, "good 127.0.0.1" },
	{ 200, "badauth", UPDATE_REFUSED, "badauth" },
	{ 200, "BadAuth\r\nmore", UPDATE_REFUSED, "BadAuth" },
	{ 401, "badauth", UPDATE_REFUSED, "HTTP status 401: badauth" },
	{ 401, "", UPDATE_REFUSED, "HTTP status 401" },
	{ 200, "abuse", UPDATE_REFUSED, "abuse" },
	{ 200, "nohost", UPDATE_REFUSED, "nohost" },
	{ 200, "!yours", UPDATE_REFUSED, "!yours" },
	{ 200, "911", UPDATE_LATER, "911" },
	{ 200, "dnserr", UPDATE_LATER, "dnserr" },
	{ 200, "-ERROR: IP is not ICMP pingable", UPDATE_LATER, "-ERROR: IP is not ICMP pingable" },
	{ 200, "-ERROR: Invalid API key or password", UPDATE_REFUSED, "-ERROR: Invalid API key or password" },
	{ 200, "-ERROR: This tunnel is already associated with this IP address.", UPDATE_TOLD,
	  "-ERROR: This tunnel is already associated with this IP address." },
	{ 200, "<html>\033[2J", UPDATE_LATER, "<html>?[2J" },
	{ 301, "", UPDATE_REFUSED, "HTTP status 301" },
	{ 404, "", UPDATE_REFUSED, "HTTP status 404" },
	{ 429, "", UPDATE_LATER, "HTTP status 429" },
	{ 503, "good", UPDATE_LATER, "HTTP status 503: good" },
	{ 500, "", UPDATE_LATER, "HTTP status 500" },
};

Test(update, answers)
{
	const struct addr sent = a("203.0.113.2"), none = { 0 };
	char text[UPDATE_TEXT_MAX], big[300] = "";

	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		cr_expect_eq(update_judge(answers[i].status, answers[i].body, &sent, text), answers[i].outcome, "%s",
			     answers[i].body);
		cr_expect_str_eq(text, answers[i].text);
	}
	cr_expect_eq(update_judge(200, "good 203.0.113.77", &none, text), UPDATE_TOLD, "behind NAT it sees another");
	memset(big, 'x', sizeof(big) - 1);
	update_judge(200, big, &sent, text);
	cr_expect_eq(strlen(text), UPDATE_TEXT_MAX - 1u);
	update_judge(502, big, &sent, text);
	cr_expect_eq(strlen(text), UPDATE_TEXT_MAX - 1u);
}

Test(update, addresses_that_others_see)
{
	const char *hidden[] = {
		"10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "169.254.3.4"
	};
	const char *seen[] = { "203.0.113.2", "172.32.0.1", "100.128.0.1", "192.169.0.1", "11.0.0.1" };
	struct addr addr;

	for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++) {
		addr = a(hidden[i]);
		cr_expect(!update_is_public(&addr), "%s", hidden[i]);
	}
	for (size_t i = 0; i < sizeof(seen) / sizeof(seen[0]); i++) {
		addr = a(seen[i]);
		cr_expect(update_is_public(&addr), "%s", seen[i]);
	}
}

/* ---- urls ---- */

static void expect_query(const char *url, const char *name, const char *value, const char *with)
{
	char *text = url_add_query(url, name, value);

	cr_assert_not_null(text);
	cr_expect_str_eq(text, with);
	free(text);
}

static void expect_host(const char *url, const char *host)
{
	char *text = url_host(url);

	cr_assert_not_null(text, "%s", url);
	cr_expect_str_eq(text, host);
	free(text);
}

Test(update, urls)
{
	expect_query("https://b.example.net/nic/update", "hostname", "123",
		     "https://b.example.net/nic/update?hostname=123");
	expect_query("https://b.example.net/?x=1", "hostname", "a b&c=d",
		     "https://b.example.net/?x=1&hostname=a%20b%26c%3Dd");
	expect_query("https://b.example.net?#part", "myip", "192.0.2.1", "https://b.example.net?myip=192.0.2.1#part");
	expect_host("https://b.example.net:8443/nic", "b.example.net");
	expect_host("http://192.0.2.80/", "192.0.2.80");
	expect_host("https://[2001:db8::1]:8443/", "2001:db8::1");
	expect_host("https://me:a@b@b.example.net?x=/", "b.example.net");
	cr_expect_null(url_host("https://:80/"));
	cr_expect_null(url_host("https://"));
}

/* ---- names ---- */

Test(names, pauses)
{
	const unsigned int retries[] = { 1, 2, 4, 8, 16, 32, 60, 60 };

	cr_expect_eq(names_pause_s(0, 0), 30u);
	cr_expect_eq(names_pause_s(0, 1), 5u);
	cr_expect_eq(names_pause_s(0, 300), 300u);
	cr_expect_eq(names_pause_s(0, 86400), 3600u);
	for (unsigned int i = 0; i < sizeof(retries) / sizeof(retries[0]); i++)
		cr_expect_eq(names_pause_s(i + 1, 300), retries[i]);
}

Test(names, several_addresses)
{
	const struct addr none = { 0 }, used = a("198.51.100.2"), other = a("198.51.100.9");
	const struct addr found[] = { a("127.0.0.1"), a("198.51.100.1"), a("198.51.100.2"), a("224.0.0.1") };

	cr_expect(names_choose(&none, found, 4) == &found[1], "the first that can be one");
	cr_expect(names_choose(&used, found, 4) == &found[2], "still among them");
	cr_expect(names_choose(&other, found, 4) == &found[1], "no longer");
	cr_expect_null(names_choose(&used, found, 1));
	cr_expect_null(names_choose(&used, found, 0));
}

/* ---- passwords ---- */

static void file_with(char *path, const char *text, mode_t mode)
{
	int fd;

	strcpy(path, "/tmp/fairlead-secret.XXXXXX");
	fd = mkstemp(path);
	cr_assert_geq(fd, 0);
	cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	cr_assert_eq(fchmod(fd, mode), 0);
	close(fd);
}

static void expect_secret(const char *text, mode_t mode, const char *secret, const char *trouble)
{
	char path[64], line[8];
	const char *why, *got;

	file_with(path, text, mode);
	got = secret_read(path, line, sizeof(line), &why);
	unlink(path);
	if (secret) {
		cr_assert_not_null(got, "%s", why);
		cr_expect_str_eq(got, secret);
		return;
	}
	cr_assert_null(got);
	cr_expect_not_null(strstr(why, trouble), "%s", why);
	for (size_t i = 0; i < sizeof(line); i++)
		cr_expect_eq(line[i], 0, "nothing is left of it");
}

Test(secret, files)
{
	const char *why;
	char line[8];

	expect_secret("top\nmore", 0600, "top", NULL);
	expect_secret("top\r\n", 0400, "top", NULL);
	expect_secret("1234567\n", 0600, NULL, "too long");
	expect_secret("123456\n", 0600, "123456", NULL);
	expect_secret("12345678901", 0600, NULL, "too long");
	expect_secret("\nmore", 0600, NULL, "empty");
	expect_secret("", 0600, NULL, "empty");
	expect_secret("top", 0640, NULL, "chmod 600");
	expect_secret("top", 0604, NULL, "chmod 600");
	cr_expect_null(secret_read("/nowhere/at/all", line, sizeof(line), &why));
	cr_expect_str_eq(why, "there is no such file");
	cr_expect_null(secret_read("/tmp", line, sizeof(line), &why));
	cr_expect_str_eq(why, "it is no regular file");
}
