// SPDX-License-Identifier: GPL-2.0-only
/* Is all as the configuration wants it? Facts from the machine and the data plane, one reason a line where not. */
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "user/daemon/daemon.h"
#include "user/daemon/gateways_internal.h"
#include "user/daemon/presence.h"
#include "user/lib/clock.h"
#include "user/lib/file.h"

static void because(json_t *reasons, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void because(json_t *reasons, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	json_array_append_new(reasons, json_vsprintf(fmt, ap));
	va_end(ap);
}

/* ---- interfaces ---- */

static const char *const mode_names[] = {
	[CONFIG_MODE_NATIVE] = "native",
	[CONFIG_MODE_GENERIC] = "generic",
	[CONFIG_MODE_TC] = "tc",
};

static const char *text_of(const json_t *row, const char *key)
{
	const char *text = json_string_value(json_object_get(row, key));

	return text ? text : "";
}

static const json_t *row_of(const json_t *rows, const char *name)
{
	json_t *row;
	size_t i;

	json_array_foreach((json_t *)rows, i, row) {
		if (!strcmp(text_of(row, "name"), name))
			return row;
	}
	return NULL;
}

static void check_mode(const struct config_interface *want, const json_t *rows, json_t *reasons)
{
	const json_t *row = row_of(rows, want->name);
	const char *mode = text_of(row, "mode"), *reason = text_of(row, "reason");

	if (!*mode || !strcmp(mode, "none"))
		because(reasons, "interface %s: no program is attached: %s", want->name, reason);
	else if (want->mode != CONFIG_MODE_AUTO && strcmp(mode, mode_names[want->mode]))
		because(reasons, "interface %s: mode %s was asked for, %s runs: %s", want->name, mode_names[want->mode],
			mode, reason);
}

static void check_interface(struct daemon *d, const struct config_interface *want, const json_t *rows, json_t *reasons)
{
	const struct system_link *link = system_link_by_name(d->system, want->device);

	if (!link) {
		because(reasons, "interface %s: there is no device %s", want->name, want->device);
		return;
	}
	if (!(link->flags & IFF_UP))
		because(reasons, "interface %s: %s is down", want->name, want->device);
	else if (!link->carrier)
		because(reasons, "interface %s: %s has no carrier", want->name, want->device);
	check_mode(want, rows, reasons);
}

/* ---- tunnels ---- */

/* local AF_UNSPEC: any IPv4 address of the device */
static bool has_address(struct daemon *d, const char *device, const struct addr *local)
{
	const struct system_link *link = system_link_by_name(d->system, device);
	const struct system_addr *a;

	for (size_t i = 0; (a = system_addr_at(d->system, i)); i++) {
		if (local->family == AF_UNSPEC) {
			if (link && a->ifindex == link->ifindex && a->prefix.addr.family == AF_INET)
				return true;
		} else if (addr_equal(&a->prefix.addr, local)) {
			return true;
		}
	}
	return false;
}

static void check_tunnel(struct daemon *d, const struct config_tunnel *t, const json_t *rows, json_t *reasons)
{
	const char *reason = text_of(row_of(rows, t->name), "reason");
	char text[ADDR_STRLEN];

	if (t->local.family == AF_UNSPEC && t->underlay && !has_address(d, t->underlay->device, &t->local))
		because(reasons, "tunnel %s: its underlay %s (%s) has no IPv4 address", t->name, t->underlay->name,
			t->underlay->device);
	else if (t->local.family != AF_UNSPEC && !has_address(d, "", &t->local))
		because(reasons, "tunnel %s: %s is no address of this machine", t->name, addr_format(&t->local, text));
	else if (*reason)
		because(reasons, "tunnel %s: %s", t->name, reason);
}

/* ---- translations and routes: what the data plane says of them ---- */

static void check_translations(struct daemon *d, const struct presence *p, json_t *reasons)
{
	json_t *rows = datapath_show_translations(d->datapath), *row;
	size_t i;

	json_array_foreach(rows, i, row) {
		if (*text_of(row, "reason") &&
		    presence_expects(p, config_find_interface(d->apply.running, text_of(row, "interface"))))
			because(reasons, "translation of %s on %s: %s", text_of(row, "internal"),
				text_of(row, "interface"), text_of(row, "reason"));
	}
	json_decref(rows);
}

static void check_routes(struct daemon *d, const struct presence *p, json_t *reasons)
{
	json_t *rows = datapath_show_routes(d->datapath), *row;
	size_t i;

	json_array_foreach(rows, i, row) {
		if (strcmp(text_of(row, "state"), "active") && presence_expects_via(p, text_of(row, "gateway")))
			because(reasons, "route %s by %s: %s", text_of(row, "destination"), text_of(row, "gateway"),
				text_of(row, "state"));
	}
	json_decref(rows);
}

/* What others take away is put back at once: what is told here could not be, or not yet. */
static void check_missing(struct daemon *d, json_t *reasons)
{
	json_t *missing = datapath_missing(d->datapath);

	json_array_extend(reasons, missing);
	json_decref(missing);
}

static void check_states(struct daemon *d, json_t *reasons)
{
	struct datapath_states n;

	datapath_states_numbers(d->datapath, &n);
	if (n.full)
		because(reasons,
			"the state table is full (%llu states, limits.states is %llu): new connections are refused",
			(unsigned long long)n.states, (unsigned long long)n.limit);
}

static json_t *states_json(struct daemon *d)
{
	struct datapath_states n;

	datapath_states_numbers(d->datapath, &n);
	return json_pack("{s:I,s:I,s:I,s:I}", "states", (json_int_t)n.states, "limit", (json_int_t)n.limit, "refused",
			 (json_int_t)n.refused, "evicted", (json_int_t)n.evicted);
}

static void check_history(const struct store *store, json_t *reasons)
{
	int err = store_trouble(store);

	if (err)
		because(reasons, "no history is kept: %s/history can't be written: %s", store->dir, strerror(-err));
}

static void check_events(const struct journal *journal, json_t *reasons)
{
	int err = journal_trouble(journal);

	if (err)
		because(reasons, "events are not kept: %s can't be written: %s (%llu lost)", journal_path(journal),
			strerror(-err), (unsigned long long)journal_lost(journal));
}

/* ---- the own file: would a daemon start with it? ---- */

static char *trouble_of(const char *file)
{
	struct config_report report = { 0 };
	struct config *config = NULL;
	char *text, *why = NULL;
	size_t len;
	int err = file_read_regular(file, &text, &len);

	if (err)
		return file_why_unread(file, err);
	if (config_load_string(text, len, &config, &report) &&
	    asprintf(&why, "it has errors; `fairlead check %s` lists them", file) < 0)
		why = NULL;
	config_report_free(&report);
	config_free(config);
	free(text);
	return why;
}

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mode == b->st_mode && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* Somebody may have edited it since. It is read anew when it is another one: it may be big. */
static void check_own_file(struct daemon *d, json_t *reasons)
{
	struct stat st = { 0 };

	if (stat(d->file, &st) || !is_same(&st, &d->own_seen.st)) {
		free(d->own_seen.trouble);
		d->own_seen = (struct own_seen){ st, trouble_of(d->file) };
	}
	if (d->own_seen.trouble)
		because(reasons, "a restart would fail with %s: %s", d->file, d->own_seen.trouble);
}

/* ---- all of it ---- */

static void check_trial(const struct apply *apply, json_t *reasons)
{
	if (apply->undo_failed)
		because(reasons, "the configuration was not confirmed, and the one before can't be put back");
	else if (apply->before)
		because(reasons, "the configuration is on trial, %ld s left for `fairlead confirm`",
			apply_trial_left(apply));
}

static json_t *reasons_of(struct daemon *d, const json_t *interfaces, const json_t *tunnels)
{
	const struct config *config = d->apply.running;
	const struct presence p = presence_now(d);
	json_t *reasons = json_array();

	for (size_t i = 0; i < config->n_interfaces; i++)
		if (presence_expects(&p, &config->interfaces[i]))
			check_interface(d, &config->interfaces[i], interfaces, reasons);
	for (size_t i = 0; i < config->n_tunnels; i++)
		if (presence_expects(&p, config->tunnels[i].underlay))
			check_tunnel(d, &config->tunnels[i], tunnels, reasons);
	updates_reasons(d, reasons);
	check_translations(d, &p, reasons);
	check_routes(d, &p, reasons);
	gateways_reasons(d, &p, reasons);
	vips_reasons(d, reasons);
	ha_reasons(d, reasons);
	ha_states_reasons(d, reasons);
	ha_config_reasons(d, reasons);
	check_missing(d, reasons);
	check_states(d, reasons);
	check_history(&d->apply.store, reasons);
	check_events(d->journal, reasons);
	check_own_file(d, reasons);
	check_trial(&d->apply, reasons);
	return reasons;
}

/* Who has what: in short, `show vips` has more. */
static json_t *vips_json(struct daemon *d)
{
	json_t *rows = vips_show(d), *all = json_array(), *row;
	size_t i;

	json_array_foreach(rows, i, row) {
		json_array_append_new(all, json_pack("{s:O,s:O,s:O}", "name", json_object_get(row, "name"), "interface",
						     json_object_get(row, "interface"), "role",
						     json_object_get(row, "role")));
	}
	json_decref(rows);
	return all;
}

json_t *status_build(struct daemon *d, int *status)
{
	json_t *interfaces = datapath_show_interfaces(d->datapath);
	json_t *tunnels = tunnels_show(d);
	json_t *reasons = reasons_of(d, interfaces, tunnels);
	json_t *config;

	*status = json_array_size(reasons) ? 1 : 0;
	config = json_pack("{s:s,s:I,s:I,s:b}", "file", d->file, "version", (json_int_t)store_newest(&d->apply.store),
			   "since_ms", (json_int_t)d->apply.running_since_ms, "on_trial", d->apply.before != NULL);
	return json_pack("{s:s,s:o,s:s,s:n,s:s,s:s,s:i,s:I,s:o,s:o?,s:o?,s:o?,s:o,s:I,s:b,s:b}", "state",
			 *status ? "degraded" : "ok", "reasons", reasons, "node", d->apply.running->node, "peer",
			 "instance", d->options.instance, "version", FAIRLEAD_VERSION, "pid", (int)getpid(),
			 "uptime_ms", (json_int_t)(clock_ms(CLOCK_BOOTTIME) - d->start_ms), "config", config,
			 "interfaces", interfaces, "tunnels", tunnels, "states", states_json(d), "vips", vips_json(d),
			 "events_lost", (json_int_t)journal_lost(d->journal), "realtime",
			 timekeeper_is_realtime(d->gateways->timekeeper), "locked",
			 timekeeper_is_locked(d->gateways->timekeeper));
}
