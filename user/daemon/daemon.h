/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * fairleadd: all state hangs off one struct daemon.
 *
 * One thread and one event loop. A thread of its own for what must happen on time (adverts, fast probes) has nothing to do
 * before those exist; all that happens here may be late by as long as an apply takes, and no packet waits for it.
 */
#pragma once

#include <event2/event.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "user/control/control.h"
#include "user/daemon/apply.h"
#include "user/daemon/gateways.h"
#include "user/daemon/ha.h"
#include "user/daemon/ha_states.h"
#include "user/daemon/ha_config.h"
#include "user/daemon/ha_strays.h"
#include "user/daemon/hooks.h"
#include "user/daemon/names.h"
#include "user/daemon/update.h"
#include "user/daemon/vips.h"
#include "user/datapath/datapath.h"
#include "user/observe/journal.h"
#include "user/observe/observe.h"
#include "user/system/system.h"

#define EXIT_WRONG 2 /* the configuration or the command line is wrong */

/* ---- options.c: the command line ---- */

struct options {
	const char *instance;
	const char *file;
	bool foreground;
	bool check;
	bool unload;
	bool block;
	int verbose;
};

/* -1: go on; else the exit status (--help, --version, an error that was told) */
int options_parse(struct options *options, int argc, char **argv);

/* status.c: the own file as it was looked at last, and what a start would say of it; NULL: nothing */
struct own_seen {
	struct stat st;
	char *trouble;
};

struct daemon {
	struct options options;
	char *file;	    /* the daemon's own, as an absolute path */
	long long start_ms; /* CLOCK_BOOTTIME */
	int lock_fd;
	pid_t killed; /* the last daemon, which did not say that it ends; 0: it did, or there was none */
	int ready_fd; /* where the parent of a background daemon waits; -1: none */
	struct event_base *base;
	struct system *system;
	struct datapath *datapath;
	struct journal *journal;
	struct hooks *gateway_hooks;
	struct observe *observe; /* NULL: logged packets can't be read, as was told */
	struct apply apply;
	struct control *control;
	struct gateways *gateways;
	struct names *names;
	struct updates *updates;
	struct vips *vips;
	struct pairing *pairing; /* of vips */
	struct ha *ha;
	struct ha_states *ha_states;
	struct ha_strays *ha_strays;
	struct ha_requests *ha_requests;
	struct ha_config *ha_config;
	/* events.c */
	struct event *on_system;
	struct event *on_raw;
	struct event *on_waiting, *waiting_pause;
	struct event *on_strays, *strays_pause;
	struct event *refresh;
	struct event *tick;
	struct event *on_signal[3];
	struct own_seen own_seen;
	int control_err;      /* why the control socket could not be made anew, as told; 0 */
	unsigned int changed; /* SYSTEM_*: what the next refresh takes in */
	bool ending;	      /* by somebody's will */
	bool drill_watched;   /* a drill's fault is not undone yet, as far as is known */
	bool drill_undoing;   /* by a program that was started for it, and tells whether it could */
};

/* ---- daemon.c ---- */

/* Both print what is wrong and return the exit status. */
int daemon_check(struct daemon *d); /* -n */
int daemon_open(struct daemon *d);  /* daemon_close() is due also when it fails */
void daemon_close(struct daemon *d);

/* The part of daemon_open() that needs no configuration: lock, event loop, netlink, programs. -errno, told. */
int daemon_open_datapath(struct daemon *d, const struct config *config);

/* ---- lock.c: one daemon an instance ---- */

/*
 * Makes /run/fairlead, locks NAME.lock and writes our pid into it. *killed: the pid of a daemon that has not called lock_ending(), or 0.
 * The file descriptor; -errno, and it was told why.
 */
int lock_instance(const char *instance, pid_t *killed);
void lock_ending(int fd); /* by our own will: no pid in it any more */

/* ---- background.c ---- */

/*
 * Forks; returns in the child, with *ready_fd. The parent waits for background_ready() and exits with 0, or with the
 * child's exit status when that ends before. -errno when it can't fork.
 */
int background_start(int *ready_fd);
/* Lets go of the terminal; from now on the log is syslog's. */
void background_ready(int ready_fd);

/* For systemd (Type=notify): one datagram to $NOTIFY_SOCKET; nothing happens without it. */
void notify_supervisor(const char *state);

/* ---- events.c: what the loop waits for ---- */

int events_open(struct daemon *d);		     /* timers and signals; before system_open(). -ENOMEM */
int events_watch(struct daemon *d);		     /* netlink, and the clock starts; once the data plane is there */
void events_watch_raw(struct daemon *d, bool renew); /* the raw socket comes and goes with tunnels */
void events_close(struct daemon *d);
void events_system_changed(void *arg, unsigned int what); /* system_open()'s callback; arg is the daemon */

/* ---- commands.c, commands_events.c, commands_gateway.c, commands_log.c, commands_policy.c, commands_states.c, status.c, unload.c ---- */

extern const struct control_command daemon_commands[];

/* Whether json_unpack_ex() has understood the request; if not, it was told. */
bool command_unpacked(int err, const json_error_t *error, struct control_answer *answer);
/* Takes over what is in result, frees the rest. */
void command_answer_result(struct control_answer *answer, struct apply_result *result);
/* Whether the request has nothing but its command; if not, it was told. */
bool command_is_bare(const json_t *request, struct control_answer *answer);
struct suggest;
/* Tells that there is no `what` ("vip named") of the name that was given, and which is near to it. */
void command_no_such(const char *what, const struct suggest *near, struct control_answer *answer);
/* Whether the configuration has an interface or tunnel of that name; if not, it was told. */
bool command_knows_port(const struct config *config, const char *name, struct control_answer *answer);
void command_show_events(struct daemon *d, const json_t *request, struct control_answer *answer);
void command_show_states(struct daemon *d, const json_t *request, struct control_answer *answer);
void command_gateway(void *arg, const json_t *request, struct control_answer *answer);
void command_kill(void *arg, const json_t *request, struct control_answer *answer);
void command_log(void *arg, const json_t *request, struct control_answer *answer);
void command_vip(void *arg, const json_t *request, struct control_answer *answer);
void command_sync(void *arg, const json_t *request, struct control_answer *answer);
void command_alias(void *arg, const json_t *request, struct control_answer *answer);

/* The rows of `show aliases`; NULL: out of memory. */
json_t *aliases_json(const struct config *config);

/* tunnels.c: the rows of `show tunnels`; NULL: out of memory */
json_t *tunnels_show(struct daemon *d);

/* The object of `fairlead status`; status is 1 when degraded. */
json_t *status_build(struct daemon *d, int *status);

/* Array of texts: what no longer holds once `config` (may be NULL) is unloaded. */
json_t *unload_effects(const struct config *config);
/* fairleadd --unload: the data plane that a daemon left behind is taken away. The exit status. */
int unload_orphan(struct daemon *d);

/* ---- block.c ---- */

int block(struct daemon *d);	   /* --block. The exit status */
void block_tell(struct daemon *d); /* after a start that has failed: what that means, if --block was there before */

/*
 * What came of an apply becomes an event, its findings go to the log. who: "command", "rollback", "confirm", "SIGHUP", "start".
 */
void daemon_tell_result(struct daemon *d, const char *who, const struct apply_result *result);
/* What this node has applied alone: it is told, and the other nodes of a pair hear of it. */
void daemon_applied(struct daemon *d, const struct apply_request *request, const char *who,
		    struct apply_result *result);
/* The own file's text; answer may be NULL. */
void daemon_apply_own(struct daemon *d, const struct apply_request *how, const char *who,
		      struct control_answer *answer);
