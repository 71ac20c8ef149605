// SPDX-License-Identifier: GPL-2.0-only
#include "user/doctor/doctor.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "user/lib/clock.h"
#include "user/lib/file.h"
#include "user/lib/instance.h"

/* In the order in which they are told: what explains others first. What has been measured meanwhile comes last. */
static const struct {
	const char *name;
	doctor_check_fn *run;
} checks[] = {
	{ "rights", check_rights },
	{ "daemon", check_daemon },
	{ "version", check_version },
	{ "configuration", check_configuration },
	{ "status", check_status },
	{ "realtime", check_realtime },
	{ "unit", check_unit },
	{ "kernel", check_kernel },
	{ "btf", check_btf },
	{ "bpffs", check_bpffs },
	{ "jit", check_jit },
	{ "state-directory", check_state_directory },
	{ "secrets", check_secrets },
	{ "key-change", check_key_change },
	{ "scripts", check_scripts },
	{ "devices", check_devices },
	{ "offloads", check_offloads },
	{ "mtu", check_mtu },
	{ "forwarding", check_forwarding },
	{ "kernel-forwards", check_kernel_forwards },
	{ "accept-ra", check_accept_ra },
	{ "rp-filter", check_rp_filter },
	{ "neighbours", check_neighbours },
	{ "next-hops", check_next_hops },
	{ "monitor-targets", check_monitor_targets },
	{ "clock", check_clock },
	{ "foreign-xdp", check_foreign_programs },
	{ "foreign-tc", check_foreign_filters },
	{ "netfilter", check_netfilter },
	{ "conntrack", check_conntrack },
	{ "other-routers", check_other_routers },
	{ "services", check_services },
	{ "vips", check_vips },
	{ "virtual-mac", check_virtual_mac },
	{ "sync-link", check_sync_link },
	{ "sync", check_sync },
	{ "config-sync", check_config_sync },
	{ "peer-clock", check_peer_clock },
	{ "drill", check_drill },
	{ "vpn", check_vpn },
	{ "kill-switch", check_kill_switch },
	{ "dhcp", check_dhcp },
	{ "alerts", check_alerts },
	{ "cellular", check_cellular },
	{ "states", check_states },
	{ "own", check_own },
	{ "drops", check_drops },
	{ "sync-foreign", check_foreign_packets },
};

#define N_CHECKS (sizeof(checks) / sizeof(checks[0]))

const char *doctor_check_name(size_t i)
{
	return i < N_CHECKS ? checks[i].name : NULL;
}

/* ---- rows ---- */

static const char *const result_names[] = {
	[DOCTOR_OK] = "ok", [DOCTOR_WARN] = "warn", [DOCTOR_FAIL] = "fail", [DOCTOR_SKIPPED] = "skipped"
};

void doctor_tell(struct doctor *d, enum doctor_result result, const char *remedy, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	json_array_append_new(d->rows, json_pack("{s:s,s:s,s:o,s:s}", "check", d->check, "result", result_names[result],
						 "finding", json_vsprintf(fmt, ap), "remedy", remedy));
	va_end(ap);
}

bool doctor_has_failed(const struct doctor *d)
{
	return doctor_row(d->rows, "result", result_names[DOCTOR_FAIL]);
}

const char *doctor_text(struct doctor *d, const char *fmt, ...)
{
	char **texts = reallocarray(d->texts, d->n_texts + 1, sizeof(*texts)), *text;
	va_list ap;
	int len;

	if (!texts)
		return "";
	d->texts = texts;
	va_start(ap, fmt);
	len = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (len < 0)
		return "";
	d->texts[d->n_texts++] = text;
	return text;
}

/* ---- facts ---- */

const json_t *doctor_row(const json_t *rows, const char *key, const char *text)
{
	json_t *row;
	size_t i;

	json_array_foreach((json_t *)rows, i, row) {
		if (!strcmp(doctor_string(row, key), text))
			return row;
	}
	return NULL;
}

const char *doctor_string(const json_t *row, const char *key)
{
	const char *text = json_string_value(json_object_get(row, key));

	return text ? text : "";
}

long long doctor_number(const json_t *row, const char *key)
{
	return (long long)json_number_value(json_object_get(row, key));
}

static json_t *ask(struct doctor *d, const char *what)
{
	json_t *request = strcmp(what, "status") ? json_pack("{s:s,s:s}", "command", "show", "what", what)
						 : json_pack("{s:s}", "command", what);

	return d->settings.ask(d->settings.arg, request);
}

const json_t *doctor_shown(struct doctor *d, const char *what)
{
	json_t *shown = json_object_get(d->shown, what);

	if (!d->settings.answers)
		return NULL;
	if (!shown) {
		shown = ask(d, what);
		json_object_set_new(d->shown, what, shown ? shown : json_null());
	}
	return json_is_null(shown) ? NULL : shown;
}

bool doctor_is_standby(struct doctor *d)
{
	const json_t *rows = doctor_shown(d, "vips");

	return json_array_size(rows) && !doctor_row(rows, "role", "master");
}

const struct system_link *doctor_link(struct doctor *d, const struct config_interface *interface)
{
	return d->system ? system_link_by_name(d->system, interface->device) : NULL;
}

bool doctor_is_ours(struct doctor *d, const struct system_link *link)
{
	for (size_t i = 0; d->config && i < d->config->n_interfaces; i++) {
		const struct system_link *its = doctor_link(d, &d->config->interfaces[i]);

		if (its && (its->ifindex == link->ifindex || its->parent == link->ifindex))
			return true;
	}
	for (size_t i = 0; d->config && i < d->config->n_tunnels; i++)
		if (!strcmp(d->config->tunnels[i].name, link->name))
			return true;
	return link->flags & IFF_LOOPBACK || !strncmp(link->name, "fl-", 3);
}

int doctor_sysctl(const char *fmt, ...)
{
	char key[128], text[32], *end;
	va_list ap;
	long value;

	va_start(ap, fmt);
	vsnprintf(key, sizeof(key), fmt, ap);
	va_end(ap);
	if (sysctl_get(key, text, sizeof(text)))
		return -1;
	value = strtol(text, &end, 10);
	return end == text ? -1 : (int)value;
}

/* ---- where to look ---- */

/* An instance is of one network namespace; sysctls, sockets and devices are those of the namespace that asks. */
static bool enter_namespace(const json_t *status)
{
	struct stat own, its;
	char path[64];
	int fd, err;

	snprintf(path, sizeof(path), "/proc/%lld/ns/net", doctor_number(status, "pid"));
	if (stat("/proc/self/ns/net", &own) || stat(path, &its))
		return false;
	if (own.st_ino == its.st_ino && own.st_dev == its.st_dev)
		return true;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	err = setns(fd, CLONE_NEWNET);
	close(fd);
	return !err;
}

/* ---- the configuration ---- */

static int by_version(const struct dirent *e)
{
	size_t digits = strspn(e->d_name, "0123456789");

	return digits && !strcmp(e->d_name + digits, ".json");
}

/* The newest that the instance has kept: its own file may lie anywhere. NULL: none */
static char *newest_version(const char *state_dir)
{
	struct dirent **entries;
	char *dir, *path = NULL;
	int n;

	if (asprintf(&dir, "%s/history", state_dir) < 0)
		return NULL;
	n = scandir(dir, &entries, by_version, versionsort);
	for (int i = 0; i < n; i++) {
		if (i == n - 1 && asprintf(&path, "%s/%s", dir, entries[i]->d_name) < 0)
			path = NULL;
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
	free(dir);
	return path;
}

static void load_running(struct doctor *d)
{
	char *text = json_dumps(doctor_shown(d, "config"), JSON_COMPACT);

	if (text)
		config_load_string(text, strlen(text), &d->config, &d->report);
	free(text);
}

static void load_config(struct doctor *d)
{
	const char *file = doctor_string(json_object_get(doctor_shown(d, "status"), "config"), "file");

	if (*file)
		d->config_path = strdup(file);
	else if (!strcmp(d->settings.instance, INSTANCE_DEFAULT))
		d->config_path = strdup(INSTANCE_CONFIG);
	else
		d->config_path = newest_version(d->state_dir);
	if (doctor_shown(d, "status"))
		load_running(d);
	else if (d->config_path)
		config_load_file(d->config_path, &d->config, &d->report);
}

/* ---- all of it ---- */

static void on_change(void *arg, unsigned int what)
{
	(void)arg, (void)what;
}

int doctor_open(struct doctor *d, const struct doctor_settings *settings)
{
	*d = (struct doctor){ .settings = *settings,
			      .state_dir = instance_state_dir(settings->instance),
			      .shown = json_object(),
			      .rows = json_array(),
			      .began_ms = clock_ms(CLOCK_MONOTONIC) };
	if (!d->state_dir || !d->shown || !d->rows)
		return -ENOMEM;
	if (doctor_shown(d, "status"))
		d->elsewhere = !enter_namespace(doctor_shown(d, "status"));
	load_config(d);
	if (system_open(&d->system, on_change, NULL))
		d->system = NULL;
	return 0;
}

const json_t *doctor_run(struct doctor *d)
{
	check_drops_begin(d);
	check_foreign_packets_begin(d);
	for (size_t i = 0; i < N_CHECKS; i++) {
		d->check = checks[i].name;
		checks[i].run(d);
	}
	return d->rows;
}

void doctor_close(struct doctor *d)
{
	check_foreign_packets_end(d);
	for (size_t i = 0; i < d->n_texts; i++)
		free(d->texts[i]);
	free(d->texts);
	if (d->system)
		system_close(d->system);
	config_report_free(&d->report);
	config_free(d->config);
	json_decref(d->drops_before);
	json_decref(d->shown);
	json_decref(d->rows);
	free(d->config_path);
	free(d->state_dir);
}
