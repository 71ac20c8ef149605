// SPDX-License-Identifier: GPL-2.0-only
/* What the main thread says of vhids, and asks. */
#include "user/gateway/timekeeper_internal.h"

void keeper_vip_links(struct timekeeper *tk)
{
	uint64_t now_ns = keeper_now();
	uint32_t ifindex;

	for (size_t i = 0; (ifindex = vhids_device(tk->vhids, i)); i++)
		vhids_link(tk->vhids, ifindex, keeper_link_is_up(tk, ifindex), now_ns);
}

static bool gateway_waits(const struct keeper_plan *plan, uint32_t ifindex)
{
	for (size_t i = 0; i < plan->n_gateways; i++)
		if (plan->gateways[i].path.ifindex == ifindex && plan->gateways[i].told != MONITOR_UP &&
		    plan->gateways[i].told != MONITOR_WARN)
			return true;
	return false;
}

void keeper_vip_gateways(struct timekeeper *tk, uint64_t now_ns)
{
	uint32_t ifindex;

	for (size_t i = 0; (ifindex = vhids_device(tk->vhids, i)); i++)
		vhids_gateways(tk->vhids, ifindex, gateway_waits(tk->plan, ifindex), now_ns);
}

int timekeeper_vips(struct timekeeper *tk, const struct vhid_setup *setups, size_t n)
{
	int err;

	pthread_mutex_lock(&tk->mutex);
	err = vhids_configure(tk->vhids, setups, n, keeper_now());
	if (!err)
		keeper_vip_links(tk);
	keeper_round(tk, false);
	pthread_mutex_unlock(&tk->mutex);
	return err;
}

int timekeeper_pair(struct timekeeper *tk, const struct pair_setup *setup)
{
	int err;

	pthread_mutex_lock(&tk->mutex);
	err = vhids_pair(tk->vhids, setup, keeper_now());
	keeper_vip_links(tk);
	keeper_round(tk, false);
	pthread_mutex_unlock(&tk->mutex);
	return err;
}

void timekeeper_pair_epoch(struct timekeeper *tk, uint64_t node, uint64_t epoch)
{
	pthread_mutex_lock(&tk->mutex);
	vhids_pair_epoch(tk->vhids, node, epoch);
	pthread_mutex_unlock(&tk->mutex);
}

size_t timekeeper_pair_show(struct timekeeper *tk, struct pair_view *views, size_t max)
{
	size_t n;

	pthread_mutex_lock(&tk->mutex);
	n = vhids_pair_show(tk->vhids, views, max);
	pthread_mutex_unlock(&tk->mutex);
	return n;
}

void timekeeper_vip_facts(struct timekeeper *tk, const struct vhid_facts *facts, const struct vhid_node *node)
{
	pthread_mutex_lock(&tk->mutex);
	vhids_facts(tk->vhids, facts, node, keeper_now());
	keeper_round(tk, false);
	pthread_mutex_unlock(&tk->mutex);
}

void timekeeper_vip_mute(struct timekeeper *tk, uint64_t ns)
{
	pthread_mutex_lock(&tk->mutex);
	vhids_mute(tk->vhids, ns ? keeper_now() + ns : 0);
	pthread_mutex_unlock(&tk->mutex);
}

void timekeeper_vip_hand_over(struct timekeeper *tk, size_t which)
{
	pthread_mutex_lock(&tk->mutex);
	vhids_hand_over(tk->vhids, which, keeper_now());
	keeper_round(tk, false);
	pthread_mutex_unlock(&tk->mutex);
}

void timekeeper_vip_end(struct timekeeper *tk)
{
	pthread_mutex_lock(&tk->mutex);
	vhids_end(tk->vhids, keeper_now());
	keeper_round(tk, false);
	pthread_mutex_unlock(&tk->mutex);
}

size_t timekeeper_vips_show(struct timekeeper *tk, struct vhid_view *views, size_t max)
{
	size_t n;

	pthread_mutex_lock(&tk->mutex);
	n = vhids_show(tk->vhids, views, max);
	pthread_mutex_unlock(&tk->mutex);
	return n;
}

int timekeeper_vip_fd(const struct timekeeper *tk)
{
	return tk->vip_notify;
}

bool timekeeper_vip_event(struct timekeeper *tk, struct vhid_event *event, unsigned int *lost)
{
	bool is;

	pthread_mutex_lock(&tk->mutex);
	is = vhids_event(tk->vhids, event, lost);
	pthread_mutex_unlock(&tk->mutex);
	return is;
}
