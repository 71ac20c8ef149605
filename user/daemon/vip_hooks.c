// SPDX-License-Identifier: GPL-2.0-only
#include "user/daemon/vip_hooks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/daemon/hooks.h"
#include "user/daemon/vips_internal.h"
#include "user/lib/log.h"

#define FINISH_MS 5000 /* for what scripts do when the daemon ends */

/* One vip, as scripts know it. */
struct told {
	const struct config_vip *vip;
	enum carp_role role; /* the last one that was told; before any, INIT */
	bool any;	     /* has one been told? */
	bool due;	     /* the one that is must be told though it is the same */
};

struct vip_hooks {
	struct hooks *hooks;
	const struct config *config;
	struct told *all; /* in the configuration's order */
	size_t n;
};

/* With blanks between them. */
static char *addresses_text(const struct config_vip *vip)
{
	char *text = malloc(vip->n_addresses * PREFIX_STRLEN + 1);
	size_t n = 0;

	for (size_t i = 0; text && i < vip->n_addresses; i++) {
		char prefix[PREFIX_STRLEN];

		n += sprintf(text + n, "%s%s", i ? " " : "", prefix_format(&vip->addresses[i], prefix));
	}
	return text;
}

static void tell(struct vip_hooks *h, struct told *t, enum carp_role role, const char *why)
{
	char vhid[8], mac[24], *addresses = addresses_text(t->vip);
	const struct hook_variable variables[] = {
		{ "VIP", t->vip->name },
		{ "ROLE", vips_role_text(role) },
		{ "BEFORE", t->any ? vips_role_text(t->role) : "" },
		{ "WHY", why },
		{ "INTERFACE", t->vip->interface->name },
		{ "DEVICE", t->vip->interface->device },
		{ "VHID", vhid },
		{ "MAC", mac },
		{ "ADDRESSES", addresses },
	};

	snprintf(vhid, sizeof(vhid), "%u", t->vip->vhid);
	snprintf(mac, sizeof(mac), "00:00:5e:00:01:%02x", t->vip->vhid);
	hooks_run(h->hooks, variables, sizeof(variables) / sizeof(variables[0]));
	free(addresses);
	t->role = role;
	t->any = true;
	t->due = false;
}

static struct told *find(const struct vip_hooks *h, const char *vip)
{
	for (size_t i = 0; i < h->n; i++)
		if (!strcmp(h->all[i].vip->name, vip))
			return &h->all[i];
	return NULL;
}

void vip_hooks_tell(struct vip_hooks *h, const char *vip, enum carp_role role, const char *why)
{
	struct told *t = find(h, vip);

	if (t && t->any && t->role != role)
		tell(h, t, role, why);
}

void vip_hooks_settle(struct vip_hooks *h, const struct vhid_view *view, const char *why)
{
	struct told *t = find(h, view->name);
	enum carp_role role = view->carp.role;

	if (!t || (t->any && !t->due && t->role == role))
		return;
	if (t->any || !view->owns || role == CARP_MASTER)
		tell(h, t, role, why);
}

void vip_hooks_end(struct vip_hooks *h, const char *why)
{
	for (size_t i = 0; i < h->n; i++)
		if (h->all[i].any && (h->all[i].role == CARP_MASTER || h->all[i].role == CARP_BACKUP))
			tell(h, &h->all[i], CARP_INIT, why);
}

/* ---- a configuration ---- */

static bool same_vip(const struct config_vip *a, const struct config_vip *b)
{
	bool same = a->vhid == b->vhid && a->n_addresses == b->n_addresses &&
		    !strcmp(a->interface->name, b->interface->name) &&
		    !strcmp(a->interface->device, b->interface->device);

	for (size_t i = 0; same && i < a->n_addresses; i++)
		same = a->addresses[i].len == b->addresses[i].len &&
		       addr_equal(&a->addresses[i].addr, &b->addresses[i].addr);
	return same;
}

static bool same_scripts(const struct config *a, const struct config *b)
{
	bool same = a && a->n_hooks_vip == b->n_hooks_vip;

	for (size_t i = 0; same && i < a->n_hooks_vip; i++)
		same = !strcmp(a->hooks_vip[i], b->hooks_vip[i]);
	return same;
}

static const struct config_vip *in_config(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->n_vips; i++)
		if (!strcmp(config->vips[i].name, name))
			return &config->vips[i];
	return NULL;
}

static void tell_gone(struct vip_hooks *h, const struct config *config)
{
	for (size_t i = 0; i < h->n; i++)
		if (h->all[i].any && h->all[i].role != CARP_INIT && !in_config(config, h->all[i].vip->name))
			tell(h, &h->all[i], CARP_INIT, "it is no more in the configuration");
}

void vip_hooks_configure(struct vip_hooks *h, const struct config *config)
{
	struct told *all = calloc(config->n_vips + 1, sizeof(*all));
	bool same = same_scripts(h->config, config);

	if (!all) {
		log_warnx("out of memory: scripts do not learn of virtual addresses");
		config = NULL;
	} else {
		hooks_configure(h->hooks, config->node, config->hooks_vip, config->n_hooks_vip);
		tell_gone(h, config);
	}
	for (size_t i = 0; config && i < config->n_vips; i++) {
		const struct config_vip *vip = &config->vips[i];
		const struct told *before = find(h, vip->name);

		if (before)
			all[i] = *before;
		all[i].due |= all[i].any && !(same && same_vip(before->vip, vip));
		all[i].vip = vip;
	}
	free(h->all);
	h->all = all;
	h->n = config ? config->n_vips : 0;
	h->config = config;
}

/* ---- open and close ---- */

struct vip_hooks *vip_hooks_open(struct event_base *base, struct journal *journal, const char *instance)
{
	struct vip_hooks *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->hooks = hooks_open(base, journal, "vip", instance);
	if (h->hooks)
		return h;
	free(h);
	return NULL;
}

void vip_hooks_close(struct vip_hooks *h)
{
	if (!h)
		return;
	hooks_finish(h->hooks, FINISH_MS);
	hooks_close(h->hooks);
	free(h->all);
	free(h);
}
