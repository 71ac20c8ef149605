// SPDX-License-Identifier: GPL-2.0-only
/* The host that measures: what it is asked for, what of it answers while nothing happens, and what it says afterwards. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "user/drill/private.h"
#include "user/lib/clock.h"

#define SERVICE_STRLEN (ADDR_STRLEN + 8)
#define FLOWS_A_TARGET 4
#define QUIET_MS 2000 /* of the baseline: so long there must be no gap */
#define QUIET_TRIES 3 /* what a busy network lost once it need not lose again */
#define QUIET_LOST 3  /* as many in a row are no gap of a baseline: with a loss of 1 % there would be no drill */

static void add_text(char *to, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static void add_text(char *to, size_t size, const char *fmt, ...)
{
	size_t len = strlen(to);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(to + len, size - len, fmt, ap);
	va_end(ap);
}

static const char *service_text(const struct config_service *s, char text[SERVICE_STRLEN])
{
	char addr[ADDR_STRLEN];

	addr_format(&s->addr, addr);
	snprintf(text, SERVICE_STRLEN, s->addr.family == AF_INET6 ? "[%s]:%u" : "%s:%u", addr, s->port);
	return text;
}

/* What each is asked by at first: all of the shared addresses, and the targets both ways. knock: it may not ping. */
static void baseline_arguments(const struct run *r, bool knock, char *to, size_t size)
{
	char addr[ADDR_STRLEN], service[SERVICE_STRLEN];

	snprintf(to, size, "--seconds %d", QUIET_MS / 1000);
	for (size_t i = 0; i < r->config->n_vips; i++)
		for (size_t j = 0; j < r->config->vips[i].n_addresses; j++) {
			const struct addr *a = &r->config->vips[i].addresses[j].addr;
			bool six = a->family == AF_INET6;

			if (addr_is_link_local(a))
				continue; /* says nothing without a device */
			addr_format(a, addr);
			add_text(to, size, knock ? six ? " \"knock=[%s]:9\"" : " \"knock=%s:9\"" : " \"ping=%s\"",
				 addr);
		}
	for (size_t i = 0; i < r->config->drill.n_targets; i++) {
		addr_format(&r->config->drill.targets[i].addr, addr);
		if (!knock)
			add_text(to, size, " \"ping=%s\"", addr);
		add_text(to, size, " \"connect=%s@100\"", service_text(&r->config->drill.targets[i], service));
	}
}

/* ms; 0: none to speak of */
static long long quiet_gap(const json_t *series)
{
	long long gap = run_number(series, "gap_ms");

	return gap > QUIET_LOST * run_number(series, "every_ms") ? gap : 0;
}

static bool answers(const json_t *series)
{
	return run_number(series, "lost") < run_number(series, "sent");
}

static const json_t *series_of(const json_t *result, const char *kind, const char *to)
{
	json_t *series;
	size_t i;

	json_array_foreach(json_object_get(result, "series"), i, series) {
		if (!strcmp(run_text(series, "kind"), kind) && !strcmp(run_text(series, "to"), to))
			return series;
	}
	return NULL;
}

static bool is_target_address(const struct run *r, const char *to)
{
	char addr[ADDR_STRLEN];

	for (size_t i = 0; i < r->config->drill.n_targets; i++)
		if (!strcmp(addr_format(&r->config->drill.targets[i].addr, addr), to))
			return true;
	return false;
}

/* Those that answer are measured by; what answers in part only is a bad baseline. */
static unsigned int take_addresses(struct run *r, const json_t *result)
{
	unsigned int n = 0;
	json_t *series;
	size_t i;

	json_array_foreach(json_object_get(result, "series"), i, series) {
		const char *kind = run_text(series, "kind"), *to = run_text(series, "to");

		if (!strcmp(kind, "connect"))
			continue;
		if (answers(series) && quiet_gap(series))
			run_say(r->reasons, "%s has a gap of %lld ms although nothing is done to it yet", to,
				quiet_gap(series));
		else if (answers(series))
			add_text(r->arguments, sizeof(r->arguments), " \"%s=%s\"", kind, to);
		else if (!is_target_address(r, to))
			run_say(r->notes, "the shared address %s does not answer from %s, so it is not measured", to,
				r->remote.from);
		n += answers(series);
	}
	return n;
}

/* Where a target answers pings those find the gap, else new connections do, at the same rate. */
static unsigned int take_targets(struct run *r, const json_t *result)
{
	char service[SERVICE_STRLEN], addr[ADDR_STRLEN];
	unsigned int n = 0;

	for (size_t i = 0; i < r->config->drill.n_targets; i++) {
		const struct config_service *target = &r->config->drill.targets[i];
		const json_t *its = series_of(result, "connect", service_text(target, service));
		const json_t *ping = series_of(result, "ping", addr_format(&target->addr, addr));

		if (!its || !answers(its)) {
			run_say(r->reasons, "the target %s does not accept connections from %s", service,
				r->remote.from);
			continue;
		}
		if (quiet_gap(its))
			run_say(r->reasons, "the target %s has a gap of %lld ms although nothing is done yet", service,
				quiet_gap(its));
		add_text(r->arguments, sizeof(r->arguments), " \"connect=%s@%d\" \"flow=%s@%d\"", service,
			 ping && answers(ping) ? 100 : 10, service, FLOWS_A_TARGET);
		n++;
	}
	return n;
}

static bool has_gap(const json_t *result)
{
	json_t *series;
	size_t i;

	json_array_foreach(json_object_get(result, "series"), i, series) {
		if (answers(series) && quiet_gap(series))
			return true;
	}
	return false;
}

/* Pings are not allowed everywhere (net.ipv4.ping_group_range). */
static int measure(struct run *r, json_t **result, char **why)
{
	char arguments[ARGUMENTS_MAX];
	int err;

	baseline_arguments(r, false, arguments, sizeof(arguments));
	err = drill_remote_measure(&r->remote, arguments, result, why);
	if (!err || !*why || !strstr(*why, "ping "))
		return err;
	free(*why);
	*why = NULL;
	baseline_arguments(r, true, arguments, sizeof(arguments));
	return drill_remote_measure(&r->remote, arguments, result, why);
}

static bool measure_quiet(struct run *r)
{
	json_t *result = NULL;
	char *why = NULL;
	int err = 0;

	for (int i = 0; i < QUIET_TRIES && !err && (!result || has_gap(result)) && !run_called_off(); i++) {
		json_decref(result);
		result = NULL;
		err = measure(r, &result, &why);
	}
	if (err)
		run_say(r->reasons, "%s", why ? why : "out of memory");
	else if (!(take_addresses(r, result) + take_targets(r, result)) && !json_array_size(r->reasons))
		run_say(r->reasons, "neither shared addresses nor targets answer from %s: nothing could be measured",
			r->remote.from);
	json_decref(result);
	free(why);
	return !json_array_size(r->reasons);
}

bool run_open_remote(struct run *r)
{
	char *why = NULL;

	if (!r->config->drill.from)
		return true;
	run_progress(r, "baseline: %s measures for %d s", r->config->drill.from, QUIET_MS / 1000);
	if (drill_remote_open(&r->remote, r->config->drill.from, r->world->probe, &why)) {
		run_say(r->reasons, "%s", why ? why : "out of memory");
		free(why);
		return false;
	}
	return measure_quiet(r);
}

bool run_start_probe(struct run *r)
{
	int seconds = (int)((RUN_BEFORE_MS + r->hold_ms + RUN_RESTORE_MS + RUN_AFTER_MS) / 1000) + 30;
	char *why = NULL;

	if (!r->remote.dir)
		return true;
	if (drill_remote_start(&r->remote, r->arguments, seconds, &why)) {
		run_say(r->reasons, "%s", why ? why : "out of memory");
		free(why);
		return false;
	}
	r->probe_ms = clock_ms(CLOCK_REALTIME);
	return true;
}

void run_fetch_probe(struct run *r)
{
	char *why = NULL;
	json_t *series;
	size_t i;

	if (!r->remote.dir)
		return;
	if (drill_remote_fetch(&r->remote, &r->probe, &why))
		run_say(r->reasons, "what was measured is lost: %s", why ? why : "out of memory");
	json_array_foreach(json_object_get(r->probe, "series"), i, series) {
		bool shared =
			!strcmp(run_text(series, "kind"), "ping") && !is_target_address(r, run_text(series, "to"));

		json_object_set_new(series, "target",
				    json_boolean(!shared && strcmp(run_text(series, "kind"), "knock") != 0));
	}
	free(why);
}
