// SPDX-License-Identifier: GPL-2.0-only
/* What leaves the machine: no secret of any place that the configuration may hold one at. */
#include <errno.h>
#include <sys/wait.h>

#include "selftests/unit/config_of.h"
#include "selftests/unit/tempdir.h"
#include "user/doctor/bundle.h"
#include "user/doctor/redact.h"
#include "user/doctor/tar.h"
#include "user/lib/file.h"

static struct tempdir dir;

static void setup(void)
{
	tempdir_make(&dir);
}

static void teardown(void)
{
	tempdir_remove(&dir);
}

TestSuite(bundle, .init = setup, .fini = teardown);

static char *read_all(const char *path)
{
	char *text;
	size_t len;

	cr_assert_eq(file_read(path, &text, &len), 0);
	return text;
}

/* ---- the archive ---- */

Test(bundle, tar)
{
	const char *path = tempdir_file(&dir, "a.tar");
	char command[512], *text;
	FILE *f = fopen(path, "w");

	cr_assert_eq(tar_add(f, "d/one", "hello", 5, 1000000000), 0);
	cr_assert_eq(tar_add(f, "d/none", "", 0, 1000000000), 0);
	cr_assert_eq(tar_add(f, "d/block", (char[512]){ "x" }, 512, 1000000000), 0);
	cr_assert_eq(tar_end(f), 0);
	fclose(f);
	snprintf(command, sizeof(command), "cd %s && tar -xf a.tar && tar -tvf a.tar > list && cat d/one d/none > both",
		 dir.path);
	cr_assert_eq(system(command), 0);
	text = read_all(tempdir_file(&dir, "both"));
	cr_expect_str_eq(text, "hello");
	free(text);
	text = read_all(tempdir_file(&dir, "list"));
	cr_expect(strstr(text, "-rw------- 0/0"), "%s", text);
	cr_expect(strstr(text, "512 2001-09-"), "%s", text);
	free(text);
}

/* ---- secrets ---- */

#define SECRETS \
	"'tunnels': { 'he0': { 'type': '6in4', 'underlay': 'wan', 'local': 'interface', 'remote': '198.51.100.1'," \
	"  'address': '2001:db8:1::2/64', 'description': 'SECRET-description'," \
	"  'update': { 'url': 'https://SECRET-name:SECRET-pass@broker.example:8443/SECRET-path/x?token=SECRET-token&a=1#SECRET-end'," \
	"    'user': 'SECRET-user', 'host': 'SECRET-host', 'password_file': '%s/broker' } } }," \
	"'vips': { 'v': { 'interface': 'lan', 'address': '192.0.2.1/24', 'vhid': 1, 'password_file': '%s/carp' } }," \
	"'checks': [ { 'name': 'c', 'command': ['/bin/echo', 'SECRET-argument', '--password=SECRET-option'] } ]," \
	"'rules': [ { 'name': 'r', 'action': 'pass', 'description': 'SECRET-comment' } ]"

static void write_secret(const char *name, const char *text)
{
	cr_assert_eq(file_replace(tempdir_file(&dir, name), text, strlen(text), 0600), 0);
}

static struct config *config_with_secrets(void)
{
	struct config *config;
	char text[4096];

	write_secret("broker", "SECRET-of-broker\n");
	write_secret("carp", "SECRET-of-carp");
	write_secret("key", "SECRET-key-new\nSECRET-key-old\n");
	snprintf(text, sizeof(text),
		 "{ 'node': { 'name': 'n', 'description': 'SECRET-node' },"
		 "'interfaces': { 'wan': { 'device': 'eth0' }, 'lan': { 'device': 'eth1' } }," SECRETS "}",
		 dir.path, dir.path);
	config = config_of(text);
	config->ha.key_file = strdup(tempdir_file(&dir, "key"));
	return config;
}

/* Everything that the daemon, a script or a log may say. */
static const char *const said[] = {
	"SECRET-of-broker",
	"SECRET-of-carp",
	"SECRET-key-new",
	"SECRET-key-old",
	"SECRET-name",
	"SECRET-pass",
	"SECRET-path",
	"SECRET-token",
	"SECRET-end",
	"SECRET-user",
	"SECRET-host",
	"SECRET-argument",
	"--password=SECRET-option",
	"SECRET-name:SECRET-pass",
};

Test(bundle, configuration)
{
	struct config *config = config_with_secrets();
	json_t *json = config_json(config), *clean = redact_config(json);
	char *text = json_dumps(clean, 0);

	cr_expect_null(strstr(text, "SECRET"), "%s", text);
	cr_expect(strstr(text, "\"https://broker.example:8443/[removed]\""), "%s", text);
	cr_expect(strstr(text, "[\"/bin/echo\", \"[removed]\"]"), "%s", text);
	cr_expect(strstr(text, "\"vhid\": 1"), "%s", text);
	free(text);
	json_decref(clean);
	json_decref(json);
	config_free(config);
}

Test(bundle, wherever_it_is_said)
{
	struct config *config = config_with_secrets();
	struct secrets *secrets = secrets_collect(config);

	for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
		json_t *json = json_pack("{s:[s,i],s:{s:s}}", said[i], said[i], 1, "in", "key", said[i]), *clean;
		char text[256], *out;

		snprintf(text, sizeof(text), "before %s%s after", said[i], said[i]);
		out = redact_text(secrets, text);
		cr_expect_str_eq(out, "before [removed][removed] after", "%s", out);
		free(out);
		clean = redact_json(secrets, json);
		out = json_dumps(clean, 0);
		cr_expect_null(strstr(out, "SECRET"), "%s", out);
		free(out);
		json_decref(clean);
		json_decref(json);
	}
	secrets_free(secrets);
	config_free(config);
}

/* The whole thing: a daemon, a check and events that tell all they know. */
static json_t *telling(void *arg, json_t *request)
{
	json_t *rows = json_array();

	(void)arg;
	json_decref(request);
	for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++)
		json_array_append_new(rows, json_pack("{s:s}", "text", said[i]));
	return rows;
}

Test(bundle, whole)
{
	struct doctor d = { .settings = { .instance = "test", .answers = true, .ask = telling },
			    .state_dir = strdup(dir.path),
			    .config = config_with_secrets(),
			    .shown = json_object(),
			    .rows = telling(NULL, NULL) };
	const char *path = tempdir_file(&dir, "bundle");
	char command[512];
	FILE *events = fopen(tempdir_file(&dir, "events.log"), "w");

	for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++)
		fprintf(events, "{\"reason\":\"it said %s\"}\n", said[i]);
	fclose(events);
	cr_assert_eq(bundle_write(&d, path), 0);
	snprintf(command, sizeof(command), "grep -a SECRET %s/bundle", dir.path);
	cr_expect_eq(WEXITSTATUS(system(command)), 1);
	snprintf(command, sizeof(command), "tar -tf %s/bundle | grep -q events.log", dir.path);
	cr_expect_eq(system(command), 0);
	doctor_close(&d);
}

Test(bundle, not_through_a_link)
{
	struct doctor d = { .settings = { .instance = "test" },
			    .state_dir = strdup(dir.path),
			    .shown = json_object(),
			    .rows = json_array() };

	write_secret("victim", "text");
	cr_assert_eq(symlink(tempdir_file(&dir, "victim"), tempdir_file(&dir, "link")), 0);
	cr_expect_eq(bundle_write(&d, tempdir_file(&dir, "link")), -ELOOP);
	doctor_close(&d);
}
