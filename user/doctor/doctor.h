/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * fairlead doctor: a table of checks, each of which looks at one thing and tells what it has found, as rows { check, result, finding, remedy }.
 * Most look at the machine itself, so they work without a daemon and without a configuration that loads; what only the daemon knows they ask
 * it for. Where a judgement is more than a comparison it is a function of its own that takes facts, for the tests.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "user/config/config.h"
#include "user/system/system.h"

/* Asks the daemon; releases the request. The answer's result, which is the caller's; NULL: none. */
typedef json_t *doctor_ask_fn(void *arg, json_t *request);

struct doctor_settings {
	const char *instance;
	bool answers; /* a daemon does */
	doctor_ask_fn *ask;
	void *arg;
};

struct doctor {
	struct doctor_settings settings;
	char *state_dir;	     /* of the instance */
	char *config_path;	     /* where `config` is from */
	struct config *config;	     /* that runs; without a daemon the one that would. NULL: none that loads */
	struct config_report report; /* of loading it */
	struct system *system;	     /* of the daemon's network namespace. NULL: it can't be read */
	bool elsewhere;		     /* the daemon's network namespace could not be entered */
	json_t *shown;		     /* what `show` and `status` have said, by name; null: nothing */
	json_t *drops_before;	     /* of check_traffic.c, when the first check began */
	struct sniffer *sniffer;     /* of check_sync.c, since then */
	long long began_ms;	     /* CLOCK_MONOTONIC, of the former */
	json_t *rows;
	const char *check; /* the running one's name */
	char **texts;
	size_t n_texts;
};

int doctor_open(struct doctor *d, const struct doctor_settings *settings); /* 0 or -ENOMEM */
/* Runs all of them. The rows, which doctor_close() frees. */
const json_t *doctor_run(struct doctor *d);
bool doctor_has_failed(const struct doctor *d);
void doctor_close(struct doctor *d);

/* All names, for the manual's sake. NULL: no more */
const char *doctor_check_name(size_t i);

/* ---- for checks ---- */

enum doctor_result { DOCTOR_OK, DOCTOR_WARN, DOCTOR_FAIL, DOCTOR_SKIPPED };

/* A row. remedy: what to do; "" where there is nothing to do. */
void doctor_tell(struct doctor *d, enum doctor_result result, const char *remedy, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
#define doctor_ok(d, ...) doctor_tell(d, DOCTOR_OK, "", __VA_ARGS__)
#define doctor_skip(d, ...) doctor_tell(d, DOCTOR_SKIPPED, "", __VA_ARGS__)
#define doctor_warn(d, remedy, ...) doctor_tell(d, DOCTOR_WARN, remedy, __VA_ARGS__)
#define doctor_fail(d, remedy, ...) doctor_tell(d, DOCTOR_FAIL, remedy, __VA_ARGS__)

/* A text that lives as long as the doctor does. */
const char *doctor_text(struct doctor *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* What `show WHAT` says, or "status" itself. NULL: there is no daemon, or it has no such table. */
const json_t *doctor_shown(struct doctor *d, const char *what);
/* The row of a table whose key has that text. */
const json_t *doctor_row(const json_t *rows, const char *key, const char *text);
const char *doctor_string(const json_t *row, const char *key); /* "" where there is none */
long long doctor_number(const json_t *row, const char *key);   /* cut to a whole one; 0 where there is none */

/* A node of a pair that has none of the shared addresses now. False too where no daemon tells. */
bool doctor_is_standby(struct doctor *d);

#define DOCTOR_DRILL_DAYS 35 /* monthly, and a few days */

/* Scenarios in which the other node takes over; ends with NULL. */
extern const char *const doctor_takeovers[];
/* The newest result of each scenario, by its name; dir: of the drills' results. The caller's */
json_t *doctor_drills(const char *dir);
/* One of these, not older than that. False: NULL, too */
bool doctor_is_fresh(const json_t *result, long long now_ms);

/* The device of an interface of the configuration; NULL: it is not there. */
const struct system_link *doctor_link(struct doctor *d, const struct config_interface *interface);
/* One of the configuration, one that such a one lies on, or none that anything comes in by. */
bool doctor_is_ours(struct doctor *d, const struct system_link *link);
/* sysctl_get() of "net/…" as a number; -1: there is none. */
int doctor_sysctl(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* ---- the checks, a subject a file ---- */

typedef void doctor_check_fn(struct doctor *d);

doctor_check_fn check_rights, check_daemon, check_version, check_realtime, check_unit;	   /* check_daemon.c */
doctor_check_fn check_configuration, check_status;					   /* check_config.c */
doctor_check_fn check_kernel, check_btf, check_bpffs, check_jit;			   /* check_kernel.c */
doctor_check_fn check_state_directory, check_secrets, check_key_change, check_scripts;	   /* check_files.c */
doctor_check_fn check_forwarding, check_kernel_forwards, check_accept_ra, check_rp_filter; /* check_routing.c */
doctor_check_fn check_neighbours, check_next_hops, check_monitor_targets;		   /* check_neighbours.c */
doctor_check_fn check_clock, check_peer_clock;						   /* check_clock.c */
doctor_check_fn check_devices, check_offloads, check_mtu;				   /* check_devices.c */
doctor_check_fn check_vips, check_virtual_mac;						   /* check_vips.c */
doctor_check_fn check_sync_link, check_foreign_packets, check_sync, check_config_sync;	   /* check_sync.c */
doctor_check_fn check_foreign_programs, check_foreign_filters;				   /* check_foreign.c */
doctor_check_fn check_netfilter, check_conntrack;					   /* check_netfilter.c */
doctor_check_fn check_other_routers, check_services;					   /* check_services.c */
doctor_check_fn check_states, check_drops;						   /* check_traffic.c */
doctor_check_fn check_drill;								   /* check_drill.c */
doctor_check_fn check_vpn, check_kill_switch, check_dhcp, check_alerts, check_cellular;	   /* check_checklist.c */
doctor_check_fn check_own;								   /* own.c */

/* Begin what takes a while to be seen; the checks of these names look at it at the end. */
void check_drops_begin(struct doctor *d);
void check_foreign_packets_begin(struct doctor *d);
void check_foreign_packets_end(struct doctor *d); /* frees */
