// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whether this node may take addresses over: not before it knows the connections that its peers know, its gateways, and its programs are there.
 * What does not come is given up after a while, loudly: no node is worse than one that waits.
 */
#include <stdio.h>
#include <string.h>

#include "user/daemon/daemon.h"
#include "user/daemon/gateways_internal.h"
#include "user/daemon/pairing.h"
#include "user/daemon/vips_internal.h"
#include "user/lib/clock.h"

#define LIMIT_MS 30000
#define GATEWAYS_MIN_MS 3000

static const struct {
	const char *name, *without;
} causes[VIPS_CAUSES] = {
	[VIPS_STATES] = { "states", "connections that only a peer knows may break" },
	[VIPS_GATEWAYS] = { "gateways", "not all of them are known" },
	[VIPS_PROGRAMS] = { "programs", "not all interfaces have theirs, see `fairlead show interfaces`" },
};

bool vips_is_ready(const struct daemon *d)
{
	return !d->vips->waits;
}

void vips_waits_text(const struct vips *v, char *text, size_t len)
{
	size_t n = 0;

	text[0] = 0;
	for (unsigned int i = 0; i < VIPS_CAUSES; i++)
		if (v->waits & 1u << i && n < len)
			n += (size_t)snprintf(text + n, len - n, "%s%s", n ? ", " : "", causes[i].name);
}

void vips_ready(struct daemon *d, enum vips_cause cause, bool ready)
{
	struct vips *v = d->vips;
	unsigned int was = v->waits, bit = 1u << cause;

	v->waits = ready ? was & ~bit : was | bit;
	if (v->waits == was)
		return;
	v->since_ms[cause] = clock_ms(CLOCK_BOOTTIME);
	if (!was != !v->waits)
		vips_tell_facts(d);
}

/* ---- what is looked at here ---- */

/* Also those that are down. */
static bool gateways_are_known(struct daemon *d)
{
	struct timekeeper_snapshot *s = timekeeper_show(d->gateways->timekeeper);
	bool known = s != NULL;

	for (size_t i = 0; s && i < s->n_gateways; i++)
		known &= s->gateways[i].view.status != MONITOR_UNKNOWN;
	timekeeper_snapshot_free(s);
	return known;
}

/* A device that is not there, such as a VPN's that only the master has, is not waited for. */
static bool programs_are_there(struct daemon *d)
{
	json_t *rows = datapath_show_interfaces(d->datapath), *row;
	bool there = rows != NULL;
	size_t i;

	json_array_foreach(rows, i, row) {
		const char *mode = json_string_value(json_object_get(row, "mode"));
		const char *device = json_string_value(json_object_get(row, "device"));

		there &= !device || !system_link_by_name(d->system, device) ||
			 (mode && *mode && strcmp(mode, "none") != 0);
	}
	json_decref(rows);
	return there;
}

static void give_up(struct daemon *d, enum vips_cause cause)
{
	unsigned int limit_ms = d->vips->limit_ms[cause];

	journal_write(d->journal, JOURNAL_WARNING, JOURNAL_VIP, VIPS_ALL, "ready, too late",
		      json_pack("{s:s,s:i}", "cause", causes[cause].name, "after_ms", (int)limit_ms),
		      "%s are not there after %u s: virtual addresses are taken without; %s", causes[cause].name,
		      limit_ms / 1000, causes[cause].without);
	vips_ready(d, cause, true);
}

void vips_look(struct daemon *d)
{
	struct vips *v = d->vips;

	if (!v || !v->config || !v->config->n_vips)
		return;
	if (v->waits & 1u << VIPS_GATEWAYS && gateways_are_known(d))
		vips_ready(d, VIPS_GATEWAYS, true);
	if (v->waits & 1u << VIPS_PROGRAMS && programs_are_there(d))
		vips_ready(d, VIPS_PROGRAMS, true);
}

void vips_tick(struct daemon *d)
{
	struct vips *v = d->vips;
	long long now_ms = clock_ms(CLOCK_BOOTTIME);

	pairing_tick(d);
	vips_settle_role(d);
	vips_look(d);
	for (unsigned int i = 0; i < VIPS_CAUSES && v->config && v->config->n_vips; i++)
		if (v->waits & 1u << i && now_ms - v->since_ms[i] > v->limit_ms[i])
			give_up(d, i);
}

/* Twice the time after which the slowest of them would be known to be down */
static unsigned int gateways_limit_ms(const struct config *config)
{
	unsigned int limit_ms = GATEWAYS_MIN_MS;

	for (size_t i = 0; i < config->n_gateways; i++) {
		const struct config_monitor *m = &config->gateways[i].monitor;
		uint64_t its = 2ull * m->interval_ms * m->down_after;

		if (config->gateways[i].monitored && its > limit_ms)
			limit_ms = its < LIMIT_MS ? (unsigned int)its : LIMIT_MS;
	}
	return limit_ms;
}

void vips_ready_configure(struct daemon *d, const struct config *config)
{
	d->vips->limit_ms[VIPS_GATEWAYS] = gateways_limit_ms(config);
}

void vips_ready_open(struct daemon *d)
{
	struct vips *v = d->vips;

	v->waits = (1u << VIPS_CAUSES) - 1;
	for (unsigned int i = 0; i < VIPS_CAUSES; i++) {
		v->since_ms[i] = clock_ms(CLOCK_BOOTTIME);
		v->limit_ms[i] = LIMIT_MS;
	}
}
