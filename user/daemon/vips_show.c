// SPDX-License-Identifier: GPL-2.0-only
/* What `show vips` and `status` say of shared addresses. */
#include <stdlib.h>

#include "user/daemon/daemon.h"
#include "user/daemon/gateways_internal.h"
#include "user/daemon/pairing.h"
#include "user/daemon/vips.h"
#include "user/daemon/vips_internal.h"
#include "user/lib/clock.h"

#define SPLIT_BRAIN_TOLD_MS 60000 /* after its end */

/* How long ago */
static json_t *since_ms(uint64_t ns)
{
	return ns ? json_integer(clock_ms(CLOCK_MONOTONIC) - (json_int_t)(ns / 1000000)) : json_null();
}

static json_t *addresses_json(const struct config_vip *vip)
{
	json_t *all = json_array();
	char text[PREFIX_STRLEN];

	for (size_t i = 0; i < vip->n_addresses; i++)
		json_array_append_new(all, json_string(prefix_format(&vip->addresses[i], text)));
	return all;
}

/* Reasons by name: how much, since when, and what ends it. */
struct demotion {
	json_t *by, *since, *ends;
};

static void demotion_set(struct demotion *to, const char *key, json_int_t by, uint64_t ns, const char *ends)
{
	json_object_set_new(to->by, key, json_integer(by));
	json_object_set_new(to->since, key, since_ms(ns));
	json_object_set_new(to->ends, key, json_string(ends));
}

static void demotion_add(struct demotion *to, const char *kind, const char *interface, uint64_t ns, const char *ends)
{
	char key[96];

	snprintf(key, sizeof(key), "%s:%s", kind, interface);
	demotion_set(to, key,
		     VHID_DEMOTION + json_integer_value(json_object_get(to->by, key)), /* of another vip there */
		     ns, ends);
}

static const char *sending_ends(const struct vhid_view *view, char *text, size_t len)
{
	snprintf(text, len, "adverts, or probes of a backup, leave by it for %d s",
		 (int)(view->unsent_proof_ns / 1000000000));
	return text;
}

/* Of the i-th: what fails of it, and of those that it moves together with. As the timekeeper counts it. */
static struct demotion demotion_of(const struct vips *v, const struct vhid_view *views, size_t n, size_t i)
{
	struct demotion to = { json_object(), json_object(), json_object() };
	const struct config_vip *vips = v->config->vips;
	char ends[64];

	for (size_t j = 0; j < n; j++) {
		const char *interface = vips[j].interface->name;

		if (views[j].carp.role == CARP_DISABLED || (j != i && (vips[i].independent || vips[j].independent)))
			continue;
		if (views[j].down_ns)
			demotion_add(&to, "link", interface, views[j].down_ns,
				     views[j].settles ? "a gateway by it is up, or 10 s are over" : "its link is up");
		else if (views[j].carp.holds & CARP_HOLD_KEY)
			demotion_add(&to, "password", interface, views[j].carp.since_ns, "apply reads its password");
		else if (views[j].carp.holds & CARP_HOLD_SOURCE)
			demotion_add(&to, "address", interface, views[j].carp.since_ns,
				     "its device has an address to send adverts from");
		else if (views[j].unspoken_ns)
			demotion_add(&to, "address", interface, views[j].unspoken_ns,
				     views[j].unspoken == AF_INET ? "its device has an IPv4 address of its own"
								  : "its device has an IPv6 address of its own");
		else if (views[j].unsent_ns)
			demotion_add(&to, "send", interface, views[j].unsent_ns,
				     sending_ends(&views[j], ends, sizeof(ends)));
		else if (views[j].deaf_ns)
			demotion_add(&to, "segment", interface, views[j].deaf_ns, "frames come in by it again");
	}
	if (views[i].behind_ns)
		demotion_set(&to, "maintenance", VHID_MAINTENANCE, views[i].behind_ns,
			     "`fairlead vip maintenance off`, or no other node can have the address");
	return to;
}

/* Whom the adverts come from: of this node's, the device's own address of a family that the vip has. */
static const struct addr *master_of(const struct config_vip *vip, const struct vhid_view *view,
				    const struct vhid_facts *facts)
{
	bool four = false;

	if (view->carp.role != CARP_MASTER)
		return &view->master;
	for (size_t i = 0; i < vip->n_addresses; i++)
		four |= vip->addresses[i].addr.family == AF_INET;
	if (four && facts->sources[0].family)
		return &facts->sources[0];
	return facts->sources[1].family ? &facts->sources[1] : &facts->wide;
}

static json_t *row_of(struct vips *v, const struct config_vip *vip, const struct vhid_view *view,
		      const struct addr *from, struct demotion demotion)
{
	char master[ADDR_STRLEN] = "", not_ready[VIPS_WAITS_TEXT];

	if (from->family)
		addr_format(from, master);
	vips_waits_text(v, not_ready, sizeof(not_ready));
	return json_pack("{s:s,s:s,s:o,s:i,s:s,s:o,s:i,s:o,s:o,s:o,s:s,s:o,s:I,s:I,s:I,s:s,s:o}", "name", vip->name,
			 "interface", vip->interface->name, "address", addresses_json(vip), "vhid", vip->vhid, "role",
			 vips_role_text(view->carp.role), "since_ms", since_ms(view->carp.since_ns), "advskew",
			 view->carp.set.advskew, "demotion", demotion.by, "demotion_since_ms", demotion.since,
			 "demotion_ends", demotion.ends, "master", master, "last_advert_ms", since_ms(view->heard_ns),
			 "adverts_sent", (json_int_t)view->sent, "adverts_received", (json_int_t)view->received,
			 "adverts_bad", (json_int_t)view->bad, "not_ready", not_ready, "announced_ms",
			 view->announced_ns ? json_real((double)view->announced_ns / 1e6) : json_null());
}

json_t *vips_show(struct daemon *d)
{
	struct vips *v = d->vips;
	struct vhid_view *views;
	size_t n = vips_views(d, &views);
	json_t *rows = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(rows, row_of(v, &v->config->vips[i], &views[i],
						   master_of(&v->config->vips[i], &views[i], &v->facts[i]),
						   demotion_of(v, views, n, i)));
	free(views);
	return rows;
}

/* ---- what `status` has of them ---- */

static void reasons_of(const struct config_vip *vip, const struct vhid_view *view, json_t *reasons)
{
	long long now_ms = clock_ms(CLOCK_MONOTONIC), dual_ms = now_ms - (long long)(view->dual_ns / 1000000);
	char peer[ADDR_STRLEN];

	if (view->carp.role == CARP_INIT || view->carp.role == CARP_DISABLED)
		json_array_append_new(reasons, json_sprintf("vip %s: %s", vip->name, vips_hold_text(view->carp.holds)));
	else if (view->unsent_ns)
		json_array_append_new(reasons, json_sprintf("vip %s: its adverts can't be sent", vip->name));
	else if (view->unspoken_ns)
		json_array_append_new(
			reasons, json_sprintf("vip %s: %s has no %s address of its own to send adverts from", vip->name,
					      vip->interface->name, view->unspoken == AF_INET ? "IPv4" : "IPv6"));
	if (view->dual)
		json_array_append_new(reasons,
				      json_sprintf("split-brain: vip %s: %s is master too, since %lld s", vip->name,
						   addr_format(&view->dual_peer, peer), dual_ms / 1000));
	else if (view->dual_ns && dual_ms < SPLIT_BRAIN_TOLD_MS)
		json_array_append_new(reasons,
				      json_sprintf("split-brain: vip %s: %s was master too, until %lld s ago",
						   vip->name, addr_format(&view->dual_peer, peer), dual_ms / 1000));
	if (view->rival.family)
		json_array_append_new(reasons,
				      json_sprintf("split-brain: vip %s: %s is master too, and is not believed: %s",
						   vip->name, addr_format(&view->rival, peer),
						   carp_fault_text(view->rival_why)));
	if (view->split && view->split_refused)
		json_array_append_new(
			reasons,
			json_sprintf(
				"adverts-refused: vip %s: %s and this node go by the sync link only, for one does not "
				"believe the other's adverts: passwords, addresses of the vhid or keys are not the same "
				"on both (show events: bad advert)",
				vip->name, addr_format(&view->split_peer, peer)));
	else if (view->split)
		json_array_append_new(
			reasons, json_sprintf("segment-split: vip %s: adverts to or from %s go by the sync link "
					      "only: the segment of %s is cut, or a switch drops them",
					      vip->name, addr_format(&view->split_peer, peer), vip->interface->name));
	if (view->demotions.segment)
		json_array_append_new(reasons, json_sprintf("vip %s: demoted: nothing comes in by its segment, or "
							    "another's",
							    vip->name));
	if (view->unseen_ns && !view->split)
		json_array_append_new(
			reasons,
			json_sprintf("announcement-unseen: vip %s: %s has not seen on %s where the addresses are: "
				     "a switch may drop frames from 00:00:5e:00:01:%02x",
				     vip->name, addr_format(&view->unseen_peer, peer), vip->interface->name,
				     vip->vhid));
}

void vips_reasons(struct daemon *d, json_t *reasons)
{
	struct vips *v = d->vips;
	struct vhid_view *views;
	size_t n = vips_views(d, &views);

	for (size_t i = 0; i < n; i++)
		reasons_of(&v->config->vips[i], &views[i], reasons);
	if (v->maintenance)
		json_array_append_new(reasons,
				      json_string("in maintenance: virtual addresses are left to any other node"));
	pairing_reasons(d, reasons);
	free(views);
}
