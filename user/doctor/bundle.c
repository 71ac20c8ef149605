// SPDX-License-Identifier: GPL-2.0-only
#include "user/doctor/bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "user/doctor/own.h"
#include "user/doctor/redact.h"
#include "user/doctor/tar.h"
#include "user/lib/clock.h"

#define DIR_IN_IT "fairlead-bundle/"
#define EVENTS_MAX (512 << 10) /* bytes from the end of the file */
#define OUTPUT_MAX (4u << 20)  /* of each other tool */
#define OUTPUT_TIMEOUT_MS 10000

struct bundle {
	struct doctor *d;
	const struct secrets *secrets;
	FILE *to;
	time_t now;
	int err;
};

static void add(struct bundle *b, const char *name, const char *text)
{
	char path[100];

	if (b->err)
		return;
	snprintf(path, sizeof(path), DIR_IN_IT "%s", name);
	b->err = tar_add(b->to, path, text, strlen(text), b->now);
}

static void add_text(struct bundle *b, const char *name, const char *text)
{
	char *clean = redact_text(b->secrets, text);

	if (clean)
		add(b, name, clean);
	else
		b->err = -ENOMEM;
	free(clean);
}

static void add_json(struct bundle *b, const char *name, const json_t *json)
{
	json_t *clean = redact_json(b->secrets, json);
	char *text = json_dumps(clean, JSON_INDENT(2) | JSON_ENCODE_ANY);

	if (text)
		add(b, name, text);
	else
		b->err = -ENOMEM;
	free(text);
	json_decref(clean);
}

/* ---- what the daemon says ---- */

static void add_about(struct bundle *b)
{
	struct utsname name;
	json_t *about;

	uname(&name);
	about = json_pack("{s:s,s:s,s:I,s:s,s:s,s:s,s:b}", "version", FAIRLEAD_VERSION, "instance",
			  b->d->settings.instance, "time_ms", (json_int_t)b->now * 1000, "kernel", name.release,
			  "build", name.version, "machine", name.machine, "daemon", b->d->settings.answers);
	add_json(b, "about.json", about);
	json_decref(about);
}

static void add_config(struct bundle *b)
{
	const struct config *c = b->d->config;
	json_t *json = c ? config_json(c) : NULL, *clean = json ? redact_config(json) : NULL;

	if (clean)
		add_json(b, "config.json", clean);
	json_decref(clean);
	json_decref(json);
}

static void add_shown(struct bundle *b)
{
	static const char *const tables[] = { "status",	  "interfaces", "tunnels", "translations", "routes",
					      "gateways", "groups",	"drops",   "rules",	   "nat",
					      "vips",	  "sync",	"aliases", "history" };
	char name[64];

	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		const json_t *shown = doctor_shown(b->d, tables[i]);

		snprintf(name, sizeof(name), "%s.json", tables[i]);
		if (shown)
			add_json(b, name, shown);
	}
}

static void add_drills(struct bundle *b)
{
	char dir[512];
	json_t *drills;

	snprintf(dir, sizeof(dir), "%s/drill", b->d->state_dir);
	drills = doctor_drills(dir);
	if (json_object_size(drills))
		add_json(b, "drills.json", drills);
	json_decref(drills);
}

/* ---- events, as they are kept ---- */

static void add_events(struct bundle *b)
{
	char path[512], *text = calloc(1, EVENTS_MAX + 1);
	off_t size;
	int fd;

	snprintf(path, sizeof(path), "%s/events.log", b->d->state_dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	size = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
	if (text && size >= 0 && pread(fd, text, EVENTS_MAX, size > EVENTS_MAX ? size - EVENTS_MAX : 0) > 0)
		add_text(b, "events.log", text);
	if (fd >= 0)
		close(fd);
	free(text);
}

/* ---- what other tools say ---- */

static void add_output(struct bundle *b, const char *name, char *const *argv)
{
	char *const env[] = { "PATH=" OWN_PATH, "HOME=/", "LC_ALL=C.UTF-8", NULL };
	const struct own_run run = { .argv = argv, .env = env, .timeout_ms = OUTPUT_TIMEOUT_MS, .max = OUTPUT_MAX };
	struct own_result result;

	own_run(&run, &result);
	if (result.text && *result.text)
		add_text(b, name, result.text);
	own_result_free(&result);
}

static void add_outputs(struct bundle *b)
{
	static char *const
		ip_link[] = { "ip", "-d", "-s", "link", NULL },
		*const ip_addr[] = { "ip", "addr", NULL }, *const ip_route[] = { "ip",	  "route", "show",
										 "table", "all",   NULL },
		*const ip6_route[] = { "ip", "-6", "route", "show", "table", "all", NULL },
		*const ip_rule[] = { "ip", "rule", NULL }, *const ip6_rule[] = { "ip", "-6", "rule", NULL },
		*const ip_neigh[] = { "ip", "-s", "neigh", NULL }, *const nft[] = { "nft", "list", "ruleset", NULL },
		*const bpf_net[] = { "bpftool", "net", "show", NULL }, *const sockets[] = { "ss", "-lnptu", NULL },
		*const journal[] = { "journalctl", "--no-pager", "--unit", "fairleadd", "--lines", "1000", NULL };
	static const struct {
		const char *name;
		char *const *argv;
	} tools[] = {
		{ "ip-link.txt", ip_link },	 { "ip-addr.txt", ip_addr }, { "ip-route.txt", ip_route },
		{ "ip-6-route.txt", ip6_route }, { "ip-rule.txt", ip_rule }, { "ip-6-rule.txt", ip6_rule },
		{ "ip-neigh.txt", ip_neigh },	 { "nft.txt", nft },	     { "bpftool-net.txt", bpf_net },
		{ "ss.txt", sockets },		 { "journal.txt", journal },
	};

	for (size_t i = 0; i < sizeof(tools) / sizeof(tools[0]); i++)
		add_output(b, tools[i].name, tools[i].argv);
}

/* ---- all of it ---- */

static FILE *open_root_only(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	FILE *to = fd < 0 || fchmod(fd, 0600) ? NULL : fdopen(fd, "w");

	if (!to && fd >= 0)
		close(fd);
	return to;
}

int bundle_write(struct doctor *d, const char *path)
{
	struct secrets *secrets = secrets_collect(d->config);
	struct bundle b = { .d = d, .secrets = secrets, .now = clock_ms(CLOCK_REALTIME) / 1000 };

	if (!secrets)
		return -ENOMEM;
	b.to = open_root_only(path);
	if (!b.to) {
		b.err = -errno;
		secrets_free(secrets);
		return b.err;
	}
	add_about(&b);
	add_json(&b, "doctor.json", d->rows);
	add_config(&b);
	add_shown(&b);
	add_drills(&b);
	add_events(&b);
	add_outputs(&b);
	b.err = b.err ?: tar_end(b.to);
	if (fclose(b.to) && !b.err)
		b.err = -errno;
	secrets_free(secrets);
	return b.err;
}
