/* SPDX-License-Identifier: GPL-2.0-only */
/* What checks make of facts, apart from how these are had. */
#pragma once

#include <sys/timex.h>
#include <time.h>

#include "user/doctor/doctor.h"

/* dir: where links say which units targets want */
void judge_units(struct doctor *d, const char *dir);

void judge_kernel(struct doctor *d, const char *release);
void judge_btf(struct doctor *d, const char *path);
void judge_bpffs(struct doctor *d, const char *path);
/* sysctl: net.core.bpf_jit_enable, -1: it is not told */
void judge_jit(struct doctor *d, unsigned int programs, unsigned int slow, int sysctl);

void judge_space(struct doctor *d, const char *path, unsigned long long free_mb, unsigned long long free_inodes,
		 bool read_only);
void judge_key_file(struct doctor *d, const char *path, time_t now);

/* limit: gc_thresh3 */
void judge_neighbours(struct doctor *d, const char *family, unsigned int entries, int limit);

/* state: what adjtimex() returned */
void judge_clock(struct doctor *d, int state, const struct timex *clock);
void judge_peer_clock(struct doctor *d, const char *peer, long long offset_ms);

/* A row of `show sync`; device: this node's */
void judge_peer_mtu(struct doctor *d, const char *device, const json_t *row);

/* What somebody else than fairlead answers for a device: NETDEV_XDP_ACT_* bits, or -1. */
void judge_driver(struct doctor *d, const char *device, const char *driver, long long features);
bool driver_is_virtual(const char *driver);

/* A row of `show vips` of a master. unseen: status says so */
void judge_announced(struct doctor *d, const json_t *row, bool unseen);

/* Rows of `show drops`, `ms` apart. */
void judge_drops(struct doctor *d, const json_t *before, const json_t *after, long long ms);

/* dir: of the drills' results, now_ms: CLOCK_REALTIME */
void judge_drills(struct doctor *d, const char *dir, long long now_ms);

/* rows: `show gateways` of the master, drills: doctor_drills(), now_ms: CLOCK_REALTIME; so below */
void judge_vpn(struct doctor *d, const struct config_gateway *gateway, const json_t *rows, const json_t *drills,
	       long long now_ms);
void judge_kill_switch(struct doctor *d, const struct config_gateway *gateway, const json_t *drills, long long now_ms);
/* file: of the server's configuration, which has one of these words where it shares leases; NULL: of another kind */
void judge_dhcp(struct doctor *d, const char *program, const char *file, const char *const *any);
/* path: of the socket that syslog listens to */
void judge_alerts(struct doctor *d, const char *path, const json_t *drills, long long now_ms);
/* row: of `show gateways`; NULL: no daemon tells */
void judge_cellular(struct doctor *d, const char *name, const json_t *row, const json_t *drills, long long now_ms);
