/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A thread of its own that keeps time: it probes all gateways, hears the answers and the links, decides what gateways and groups are, sends
 * and hears CARP's adverts, and tells the data plane at once. It runs with SCHED_FIFO where it may, allocates nothing, logs nothing and waits for nothing but its events;
 * its memory is locked. All that it works on is guarded by one mutex with priority inheritance, which the functions below hold for short
 * copies only. They are for one other thread, the main one.
 *
 *	main thread: plan, paths, force, idle	->	facts	->	decisions	->	callbacks: the maps, a few stores
 *	this thread: answers, links, time	->							then events, which the main thread fetches
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "user/config/config.h"
#include "user/gateway/group.h"
#include "user/gateway/monitor.h"
#include "user/gateway/probe.h"
#include "user/vip/vhids.h"

#define TIMEKEEPER_NAME_MAX 64
#define TIMEKEEPER_ACTIVE_MAX 8

struct timekeeper;

/* Called under the mutex, in whichever of the two threads has made the decision: they may only store to memory. */
struct timekeeper_plane {
	void (*gateway_up)(void *arg, uint16_t number, unsigned int families); /* 0: down, or not known yet */
	void (*group_slots)(void *arg, uint32_t index, enum fl_family family, const uint16_t slots[GROUP_SLOTS]);
	void (*changed)(void *arg);				     /* once, after all of these of a moment */
	void (*lease)(void *arg, uint16_t lease, uint64_t until_ns); /* as in fl_leases */
	void *arg;
};

/* Where a gateway is reached. Links are watched: whether they are up is asked for when this is told. */
struct timekeeper_path {
	struct probe_path probe; /* ifindex 0: the device is not there */
	uint32_t underlay;	 /* of a tunnel: the ifindex that must be up too; 0: none */
	uint32_t
		underlay_group; /* the same of a group, which somebody must carry: its place in the plan, from 1 on; 0: none */
	unsigned int families; /* that it takes now, enum fl_family bits; groups use it for these only */
	const char *where;     /* the name of its interface or tunnel, for reasons */
};

struct timekeeper_gateway {
	const char *name;
	uint16_t number; /* not 0 */
	bool monitored, metered;
	const struct config_monitor *settings; /* but for its targets */
	const struct addr *targets;
	size_t n_targets;
	enum monitor_status before; /* from an earlier daemon; where this one knows it, that counts */
	enum monitor_forced forced; /* the same */
	struct timekeeper_path path;
};

struct timekeeper_member {
	uint16_t gateway; /* its number */
	uint32_t tier, weight;
};

struct timekeeper_group {
	const char *name;
	uint32_t index; /* for group_slots() */
	enum config_trigger trigger;
	enum config_failback failback;
	const struct timekeeper_member *members;
	size_t n_members;
	/* of IPv4, of IPv6: its slots from an earlier daemon; or NULL */
	const uint16_t (*before)[GROUP_SLOTS];
};

/* Copied. Gateways and groups keep what they are by their names. */
struct timekeeper_plan {
	const struct timekeeper_gateway *gateways;
	size_t n_gateways;
	const struct timekeeper_group *groups;
	size_t n_groups;
};

/* 0 or -errno, logged. Without a plan it has nothing to do. */
int timekeeper_start(struct timekeeper **out, const struct timekeeper_plane *plane);
void timekeeper_stop(struct timekeeper *tk);
/* false: it may be late while the machine is busy, or has to fetch its memory from a disk. After timekeeper_configure() */
bool timekeeper_is_realtime(const struct timekeeper *tk);
bool timekeeper_is_locked(const struct timekeeper *tk);

/* All gateways and groups are told to the plane, before it returns. -errno: the old plan stays. */
int timekeeper_configure(struct timekeeper *tk, const struct timekeeper_plan *plan);
/* The paths of all gateways, in the plan's order. */
void timekeeper_paths(struct timekeeper *tk, const struct timekeeper_path *paths);
/* -ENOENT: no gateway of that number */
int timekeeper_idle(struct timekeeper *tk, uint16_t number, bool idle);
int timekeeper_force(struct timekeeper *tk, uint16_t number, enum monitor_forced forced);

/* ---- vhids: user/vip/vhids.h; whether their links are up this thread knows ---- */

int timekeeper_vips(struct timekeeper *tk, const struct vhid_setup *setups, size_t n);
/* As vhids_pair() and its likes */
int timekeeper_pair(struct timekeeper *tk, const struct pair_setup *setup);
void timekeeper_pair_epoch(struct timekeeper *tk, uint64_t node, uint64_t epoch);
size_t timekeeper_pair_show(struct timekeeper *tk, struct pair_view *views, size_t max);
void timekeeper_vip_facts(struct timekeeper *tk, const struct vhid_facts *facts, const struct vhid_node *node);
void timekeeper_vip_mute(struct timekeeper *tk, uint64_t ns); /* from now on */
void timekeeper_vip_hand_over(struct timekeeper *tk, size_t which);
void timekeeper_vip_end(struct timekeeper *tk); /* see vhids_end() */
size_t timekeeper_vips_show(struct timekeeper *tk, struct vhid_view *views, size_t max);
int timekeeper_vip_fd(const struct timekeeper *tk); /* readable: there are events */
bool timekeeper_vip_event(struct timekeeper *tk, struct vhid_event *event, unsigned int *lost);

/* ---- what happened ---- */

struct timekeeper_event {
	bool is_group;
	char name[TIMEKEEPER_NAME_MAX];
	uint64_t at_ns; /* CLOCK_MONOTONIC */
	/* of a gateway */
	char where[TIMEKEEPER_NAME_MAX];
	enum monitor_status before;
	struct monitor_view view; /* as it was then; for monitor_reason_text() */
	/* of a group: for which packets, the tier that carries them, 0: none; and who carries, the first of them */
	unsigned int families;
	uint32_t tier;
	uint16_t active[TIMEKEEPER_ACTIVE_MAX];
	uint32_t n_active;
};

int timekeeper_fd(const struct timekeeper *tk); /* readable: there are events */
/* Calls `each` for every one, outside of the mutex; returns how many were lost since the last time. */
unsigned int timekeeper_events(struct timekeeper *tk, void (*each)(void *arg, const struct timekeeper_event *event),
			       void *arg);

/* ---- what is ---- */

struct timekeeper_gateway_view {
	char name[TIMEKEEPER_NAME_MAX], where[TIMEKEEPER_NAME_MAX];
	uint16_t number;
	struct monitor_view view;
	struct monitor_target_view targets[MONITOR_TARGETS_MAX]; /* view.n_targets */
};

/* Who carries packets of one family. */
struct timekeeper_choice_view {
	uint32_t tier;	   /* that carries; 0: none */
	uint64_t since_ns; /* the same members carry */
	struct group_member *members;
};

struct timekeeper_group_view {
	char name[TIMEKEEPER_NAME_MAX];
	uint32_t index;
	enum config_trigger trigger;
	enum config_failback failback;
	struct timekeeper_choice_view of[2]; /* of IPv4, of IPv6; the members are the same, in the same order */
	size_t n_members;
};

struct timekeeper_snapshot {
	uint64_t now_ns;
	struct timekeeper_gateway_view *gateways;
	size_t n_gateways;
	struct timekeeper_group_view *groups;
	size_t n_groups;
};

/* In the plan's order; malloc'ed, NULL without memory. */
struct timekeeper_snapshot *timekeeper_show(struct timekeeper *tk);
void timekeeper_snapshot_free(struct timekeeper_snapshot *snapshot);
