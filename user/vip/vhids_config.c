// SPDX-License-Identifier: GPL-2.0-only
/* vhids come, go, and stay what they are under another configuration. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "user/vip/vhids_internal.h"

static bool is_joined(const struct vhid *all, size_t n, uint32_t ifindex)
{
	for (size_t i = 0; i < n; i++)
		if (all[i].ifindex == ifindex)
			return true;
	return false;
}

static void vhid_free(struct vhid *one)
{
	free(one->addresses);
	free(one->peers);
	free(one->say);
	free(one->seen_ns);
}

static void *copy_of(const void *data, size_t n, size_t size)
{
	void *copy = calloc(n + 1, size);

	if (copy)
		memcpy(copy, data ? data : "", data ? n * size : 0);
	return copy;
}

static int vhid_make(struct vhid *one, const struct vhid_setup *setup, const struct vhids *v)
{
	*one = (struct vhid){ .lease = setup->lease,
			      .ifindex = setup->ifindex,
			      .interface = setup->interface,
			      .vhid = setup->vhid,
			      .independent = setup->independent,
			      .router = setup->router,
			      .plain_peers = setup->plain_peers,
			      .inherits = setup->leased,
			      .has_key = setup->key,
			      .variant = setup->variant,
			      .n_addresses = setup->n_addresses,
			      .n_peers = setup->n_peers,
			      .announce_repeat = setup->announce_repeat,
			      .announce_refresh_s = setup->announce_refresh_s,
			      .announce_ns = CARP_NEVER,
			      .link_ns = v->now_ns };
	snprintf(one->name, sizeof(one->name), "%s", setup->name);
	if (setup->key)
		one->key = *setup->key;
	one->addresses = copy_of(setup->addresses, setup->n_addresses, sizeof(*one->addresses));
	one->peers = copy_of(setup->peers, setup->n_peers, sizeof(*one->peers));
	one->say = vhid_say_make(&v->pair, NULL, NULL);
	one->seen_ns = copy_of(NULL, setup->n_addresses, sizeof(*one->seen_ns));
	if (!one->addresses || !one->peers || !one->seen_ns || !one->say)
		return -ENOMEM;
	if (getrandom(&one->counter, sizeof(one->counter), 0) != sizeof(one->counter))
		return -errno;
	carp_init(&one->carp, &setup->set, v->pair.node, v->now_ns);
	return 0;
}

/* What has been of it stays. */
static void vhid_goes_on(struct vhid *one, const struct vhid *before, const struct vhid_setup *setup, size_t n_peers,
			 uint64_t now_ns)
{
	one->carp = before->carp;
	carp_settings(&one->carp, &setup->set, now_ns);
	one->facts = before->facts;
	one->link_up = before->link_up;
	one->was_up = before->was_up;
	one->gateway_waits = before->gateway_waits;
	one->settled_ns = before->settled_ns;
	one->inherits = before->inherits;
	one->counter = before->counter;
	one->announce_ns = before->announce_ns;
	one->announce_left = before->announce_left;
	one->master = before->master;
	one->heard_ns = before->heard_ns;
	one->sent = before->sent;
	one->received = before->received;
	one->bad = before->bad;
	one->unspoken_ns = before->unspoken_ns;
	one->rival = before->rival;
	one->sending = before->sending;
	one->link_ns = before->link_ns;
	memcpy(one->say, before->say, n_peers * sizeof(*one->say));
	one->guard = before->guard;
	one->behind = before->behind;
	one->behind_ns = before->behind_ns;
	one->dual = before->dual;
	one->segment = before->segment;
	one->unseen = before->unseen;
	one->announced_ns = before->announced_ns;
	one->demotions = before->demotions;
}

/* What a master has announced is not all, or it is to do so more often. */
static bool announces_anew(const struct vhid *one, const struct vhid *before)
{
	bool same = one->n_addresses == before->n_addresses && one->announce_repeat == before->announce_repeat &&
		    one->announce_refresh_s == before->announce_refresh_s;

	for (size_t i = 0; same && i < one->n_addresses; i++)
		same = addr_equal(&one->addresses[i].addr, &before->addresses[i].addr);
	return one->carp.role == CARP_MASTER && !same;
}

static struct vhid *same(struct vhid *all, size_t n, const struct vhid *one)
{
	for (size_t i = 0; i < n; i++)
		if (all[i].ifindex == one->ifindex && all[i].vhid == one->vhid)
			return &all[i];
	return NULL;
}

/* A device that is gone has left by itself. */
static void join(struct vhids *v, const struct vhid *before, size_t n_before)
{
	for (size_t i = 0; i < n_before; i++)
		if (!is_joined(v->all, v->n, before[i].ifindex) && !is_joined(before, i, before[i].ifindex))
			carp_wire_leave(v->wire, before[i].ifindex);
	for (size_t i = 0; i < v->n; i++)
		if (v->all[i].ifindex && !is_joined(before, n_before, v->all[i].ifindex) &&
		    !is_joined(v->all, i, v->all[i].ifindex))
			carp_wire_join(v->wire, v->all[i].ifindex);
}

static void vhid_ends(struct vhids *v, struct vhid *one)
{
	if (one->carp.role == CARP_MASTER)
		vhid_send_advert(v, one, true);
	v->plane.lease(v->plane.arg, one->lease, 0);
}

int vhids_configure(struct vhids *v, const struct vhid_setup *setups, size_t n, uint64_t now_ns)
{
	struct vhid *before = v->all, *all = calloc(n + 1, sizeof(*all)), *old;
	size_t n_before = v->n, i;
	int err = all ? 0 : -ENOMEM;

	vhids_wake(v, now_ns);
	for (i = 0; i < n && !err; i++)
		err = vhid_make(&all[i], &setups[i], v);
	if (err) {
		for (i = 0; all && i < n; i++)
			vhid_free(&all[i]);
		free(all);
		return err;
	}
	for (i = 0; i < n_before; i++)
		if (!same(all, n, &before[i]))
			vhid_ends(v, &before[i]);
	for (i = 0; i < n; i++) {
		old = same(before, n_before, &all[i]);
		if (!old)
			continue;
		vhid_goes_on(&all[i], old, &setups[i], v->pair.n, now_ns);
		if (announces_anew(&all[i], old))
			vhid_announce_begin(v, &all[i]);
		if (old->lease != all[i].lease)
			v->plane.lease(v->plane.arg, old->lease, 0);
	}
	v->all = all;
	v->n = n;
	join(v, before, n_before);
	vhids_judge(v);
	for (i = 0; i < n; i++)
		vhid_lease(v, &all[i]);
	v->pair.beat_now = true;
	for (i = 0; i < n_before; i++)
		vhid_free(&before[i]);
	free(before);
	return 0;
}

/* ---- the end ---- */

void vhids_end(struct vhids *v, uint64_t now_ns)
{
	v->now_ns = now_ns;
	for (size_t i = 0; i < v->n; i++)
		vhid_ends(v, &v->all[i]);
	pair_beats(v, true);
	for (size_t i = 0; i < v->n; i++)
		vhid_free(&v->all[i]);
	v->n = 0;
	v->pair.n = 0;
}

void vhids_close(struct vhids *v, uint64_t now_ns)
{
	if (!v)
		return;
	vhids_end(v, now_ns);
	free(v->all);
	free(v->pair.peers);
	explicit_bzero(&v->pair.keys, sizeof(v->pair.keys));
	pair_wire_close(&v->pair.wire);
	carp_wire_close(v->wire);
	free(v);
}
