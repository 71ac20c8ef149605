/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of the timekeeper share. Everything but what is said to be constant is under the mutex. */
#pragma once

#include <pthread.h>

#include "user/gateway/timekeeper.h"

#define EVENTS_MAX 1024 /* all gateways at once, and their groups */

/* Events of the thread's epoll besides the prober's */
enum keeper_wake { WAKE_TIMER = PROBE_EVENTS, WAKE_LINK, WAKE_STOP, WAKE_CARP, WAKES_END = WAKE_CARP + VHIDS_EVENTS };

struct keeper_target {
	int slot;    /* of the prober, or -errno: why it has none */
	bool unsent; /* the last probe */
};

struct keeper_gateway {
	char name[TIMEKEEPER_NAME_MAX], where[TIMEKEEPER_NAME_MAX];
	uint16_t number;
	enum config_probe type;
	uint16_t port;
	char dns_name[256];
	struct probe_path path;
	uint32_t underlay, underlay_group;
	unsigned int families;
	bool link_up, underlay_up;
	struct monitor *monitor;
	struct keeper_target targets[MONITOR_TARGETS_MAX];
	size_t n_targets;
	enum monitor_status told; /* the last event's */
	struct group_state state; /* what groups know */
};

/* A group, as one family has it. */
struct keeper_choice {
	struct group group;
	uint64_t since_ns;
};

struct keeper_group {
	char name[TIMEKEEPER_NAME_MAX];
	uint32_t index;
	struct keeper_choice of[2]; /* IPv4, IPv6 */
	size_t n_members;
	size_t first_member; /* of the plan's */
};

/* What one configuration needs, in one piece of locked memory. */
struct keeper_plan {
	size_t size; /* of the mapping */
	struct keeper_gateway *gateways;
	size_t n_gateways;
	/* by gateway: when its monitor must run at the latest, and when it may. 0: now */
	uint64_t *next_ns, *early_ns;
	struct keeper_group *groups;
	size_t n_groups;
	/* of all groups' members: */
	struct keeper_gateway **members;
	struct group_state *states;
	struct group_member *group_members[2]; /* by family */
	uint16_t owners[PROBE_SLOTS];	       /* gateway by slot */
	uint8_t which[PROBE_SLOTS];	       /* of its targets */
};

struct timekeeper {
	/* constant */
	struct timekeeper_plane plane;
	pthread_t thread;
	void *stack;
	bool realtime;
	bool locked; /* all of its memory */
	int epoll, timer, wake, link, query, notify, vip_notify;

	pthread_mutex_t mutex;
	bool stopping;
	struct prober *prober;
	struct vhids *vhids;
	struct keeper_plan *plan; /* NULL: none yet */
	uint64_t armed_ns;	  /* for when the timer is set */
	struct timekeeper_event events[EVENTS_MAX];
	unsigned int first_event, n_events, lost_events;
};

uint64_t keeper_now(void);
void keeper_lock(struct timekeeper *tk, const void *memory, size_t size);
/* Runs all monitors that are due, decides the groups and tells. Under the mutex. */
void keeper_round(struct timekeeper *tk, bool tell_all);

/* timekeeper_vips.c: asks whether the links of all vhids are up. */
void keeper_vip_links(struct timekeeper *tk);
/* There: tells vhids which devices' gateways are up. */
void keeper_vip_gateways(struct timekeeper *tk, uint64_t now_ns);

int keeper_link_open(struct timekeeper *tk);
void keeper_link_read(struct timekeeper *tk); /* the thread's own news */
bool keeper_link_is_up(const struct timekeeper *tk, uint32_t ifindex);
/* Asks whether its links are up. */
void keeper_link_ask(struct timekeeper *tk, struct keeper_gateway *g);
void keeper_path_changed(struct keeper_plan *plan, struct keeper_gateway *g, uint64_t now_ns);
void keeper_is_due(struct keeper_plan *plan, const struct keeper_gateway *g);
