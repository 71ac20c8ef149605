/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The programs and their maps: loading, pinning, attaching, filling, reading. Knows struct config and struct system; knows
 * nothing of the control socket or the CLI.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "fairlead/gateway.h"
#include "fairlead/maps.h"
#include "fairlead/state.h"
#include "user/config/config.h"
#include "user/observe/journal.h"
#include "user/policy/states_why.h"
#include "user/system/system.h"

struct datapath; /* opaque */
struct states;
struct fl_sync_log;
struct states_numbers_of;

/*
 * Mounts bpffs if it is not, makes /sys/fs/bpf/fairlead/INSTANCE/, takes over the maps that are pinned there (same layout
 * version, same shape; what does not fit is made anew) and loads the programs. Attaches nothing, changes no table. `config`, the one that is
 * likely to be applied then, says how big a new state table is; NULL: not known.
 */
int datapath_open(struct datapath **out, const char *instance, struct system *system, const struct config *config);
/* Leaves programs, maps and devices as they are: packets go on. */
void datapath_close(struct datapath *dp);

/*
 * Makes `config` what the data plane does, on failure leaves it as it was (0 or -errno; *why is malloc'ed text for the
 * user). Order: devices, ports, egress guards, ingress programs, the idle set of tables, the switch, the rest. Devices of
 * the configuration that are not there yet are skipped with a warning in the report and taken in by datapath_refresh().
 * On success `config` is used until a later apply succeeds, or unload or close: the caller keeps it so long.
 */
int datapath_apply(struct datapath *dp, const struct config *config, struct config_report *report, char **why);

/*
 * What rules and translations match by has changed in the configuration in force (its aliases): they are compiled anew, and put in force at
 * one moment. 0, or -errno and *why (malloc'ed, may be NULL): they are as they were.
 */
int datapath_rules_changed(struct datapath *dp, char **why);

/*
 * What datapath_apply() would warn of, and whether it would refuse, as far as that can be known without a change: what only the
 * kernel says when it is asked for something is not among it.
 */
int datapath_preview(struct datapath *dp, const struct config *config, struct config_report *report, char **why);
void datapath_warn(struct datapath *dp, const struct config *config, struct config_report *report); /* absent devices */

/* The machine changed (SYSTEM_* or-ed): ports, addresses, next hops, underlay addresses and MTUs follow. */
void datapath_refresh(struct datapath *dp, unsigned int what);

/*
 * Once a second: heartbeat for outer fragments, neighbours in use kept resolved, learned path MTUs expired; what others have
 * taken from our hooks and settings put back.
 */
void datapath_tick(struct datapath *dp);

/* Whether it was at work already when it was opened: an earlier daemon's. */
bool datapath_adopted(const struct datapath *dp);

/* Where events of it go from now on; NULL: to the log only. */
void datapath_report_to(struct datapath *dp, struct journal *journal);

/*
 * Whether anything of this instance is at work in this network namespace: what its maps say, its programs, its devices. Of one that
 * was just opened: of an earlier daemon's.
 */
bool datapath_at_work(struct datapath *dp);

/* Whether devices of this network namespace have programs of fairlead, and which instance's. Nothing need be open. */
bool datapath_on_devices(struct system *system, char instance[64]);

/*
 * Whether the instance's maps are at work in another network namespace; *where: malloc'ed text for the user, may be NULL. To be
 * asked before datapath_open(), which would give this namespace maps of its own in their place.
 */
bool datapath_elsewhere(const char *instance, char **where);

/* Detaches all, removes pins, devices, routes; puts sysctls back; what is blocked no longer is. */
int datapath_unload(struct datapath *dp);

/* ---- before it is there (blocks.c) ---- */

/*
 * The kernel forwards nothing from now on, of no device, those included that come later. datapath_apply() ends that when the
 * programs are in place, datapath_unload() does; a start that fails does not. 0 or -errno.
 */
int datapath_block(struct system *system);
bool datapath_is_blocked(struct system *system);

/* What somebody has taken away and is not back: an array of texts. */
json_t *datapath_missing(struct datapath *dp);

/* Reading: arrays of objects with the contract's keys. NULL when memory is out. */
json_t *datapath_show_interfaces(struct datapath *dp);
json_t *datapath_show_tunnels(struct datapath *dp);
json_t *datapath_show_translations(struct datapath *dp);
json_t *datapath_show_drops(struct datapath *dp);
json_t *datapath_show_routes(struct datapath *dp);
json_t *datapath_show_rules(struct datapath *dp);
json_t *datapath_show_nat(struct datapath *dp);

/* ---- the near ends of tunnels ---- */

struct datapath_end {
	struct addr local; /* the outer source; AF_UNSPEC: there is none */
	unsigned int ifindex;
	char device[16];
	unsigned int gateway; /* number of the one that packets leave by; 0: routes say */
};
/* As it is now. 0, -ENODEV (its underlay is not there), -EADDRNOTAVAIL (*end is set). */
int datapath_tunnel_end(const struct datapath *dp, const struct config_tunnel *tunnel, struct datapath_end *end);
/*
 * What a socket bound to end->local must have set so that what it sends to `to` leaves by that end's gateway: SO_MARK (0: none), and
 * whether SO_BINDTODEVICE. 0, or -EHOSTUNREACH: it can't be had.
 */
int datapath_end_way(struct datapath *dp, const struct datapath_end *end, const struct addr *to, uint32_t *mark,
		     bool *by_device);

/* ---- gateways: who watches them is told what there is, and tells what it finds ---- */

struct datapath_gateway {
	const struct config_gateway *config;
	unsigned int number;	/* stays while the name does */
	unsigned int ifindex;	/* 0: its device is not there */
	struct addr address[2]; /* of IPv4, of IPv6; AF_UNSPEC: none, or not known */
	unsigned int families;	/* that it takes now, enum fl_family bits: rules and groups use it for these only */
	char learned_by[2][16]; /* of an automatic one, of each family: who told, in a word; "": nobody */
	unsigned int health;	/* enum fl_health_flags, as it is; also what an earlier daemon has found */
};

/* gateways: as many as the configuration has, in its order. `set`: of datapath_group_slots(), from now on */
typedef void datapath_gateways_fn(void *arg, const struct config *config, unsigned int set,
				  const struct datapath_gateway *gateways);
/*
 * From now on calls fn() when any of that may have changed: by an apply, before its tables come in force (and again, should it fail), or with the
 * machine. What was told before is no longer good when it returns.
 */
void datapath_watch_gateways(struct datapath *dp, datapath_gateways_fn *fn, void *arg);

/*
 * The outer source of a tunnel now: it may be another one after datapath_health_changed() (over a group) and datapath_system_changed() ("interface").
 * 0, or -EADDRNOTAVAIL: it has none.
 */
int datapath_tunnel_local(const struct datapath *dp, const struct config_tunnel *tunnel, struct addr *local);

/* The address that a packet to `to` by that device has as its source: 0, or -EADDRNOTAVAIL. */
int datapath_source(struct datapath *dp, unsigned int ifindex, const struct addr *to, struct addr *source);

/*
 * What was found: a few stores in the programs' memory, from any one thread. After all that belongs together datapath_health_written(), and
 * packets go by it. slots: numbers of gateways, FL_GROUP_SLOTS of them.
 */
void datapath_gateway_health(struct datapath *dp, unsigned int number, unsigned int families); /* that it is up for */
void datapath_group_slots(struct datapath *dp, unsigned int set, size_t index, enum fl_family family,
			  const uint16_t *slots);
void datapath_health_written(struct datapath *dp);

/* FL_HEALTH_FORCED_*: kept for the next daemon. */
void datapath_gateway_forced(struct datapath *dp, unsigned int number, unsigned int flags);
/* Slots of a group in the tables in force, at its index there. */
void datapath_group_before(struct datapath *dp, size_t index, enum fl_family family, uint16_t *slots);

unsigned int datapath_gateway_number(const struct datapath *dp, const char *name); /* 0: none has the name */
/* States that each was chosen for, either way, by number; FL_GATEWAYS_MAX of them. */
void datapath_gateway_states(struct datapath *dp, uint64_t *states);

/* What takes longer follows, in the main thread: rules that are skipped, routes. */
void datapath_health_changed(struct datapath *dp);

/*
 * The group (index in the configuration) has another member that carries the family, and ends the connections of it that it has sent by this
 * gateway; TCP's starters get a reset. datapath_groups_move() does so, a few milliseconds at a time: true, to be called again soon. When a
 * round is done, each() is told how many it were. datapath_group_stay(): this gateway is in use again, or no other can be, and what is left
 * of its connections stays.
 */
struct datapath_move {
	size_t group;
	unsigned int number; /* of the gateway */
	enum fl_family family;
	uint64_t ended;
};
typedef void datapath_moved_fn(void *arg, const struct datapath_move *move);
void datapath_group_leave(struct datapath *dp, size_t group, unsigned int number, enum fl_family family);
void datapath_group_stay(struct datapath *dp, size_t group, unsigned int number, enum fl_family family);
bool datapath_groups_move(struct datapath *dp, datapath_moved_fn *each, void *arg);
bool datapath_groups_moving(const struct datapath *dp); /* there are rounds to come */

/* Whether another node has the addresses: connections that it has told of are not to be ended for what this one's gateways and addresses are. */
void datapath_stand_by(struct datapath *dp, bool stands_by);

/* An address that translated connections have outside is gone, and its interface has another: the same, until it returns false. */
bool datapath_has_orphans(const struct datapath *dp);
bool datapath_orphans_end(struct datapath *dp, uint64_t *ended);

/* ---- virtual addresses: whose they are decides somebody else; see include/fairlead/vip.h ---- */

/* Its number in datapath_leases(), which stays while its interface and vhid do; or -ENOENT. `vip` is of the configuration in force, here and below. */
int datapath_vip_lease(const struct datapath *dp, const struct config_vip *vip);
/* By those numbers: until when this node has the addresses, in ns of CLOCK_MONOTONIC. A store is enough, from any one thread. Mapped as long as dp is open. */
volatile uint64_t *datapath_leases(struct datapath *dp);
/* The device that it is on now, and its own MAC. False: it is not there. */
bool datapath_vip_device(const struct datapath *dp, const struct config_vip *vip, uint32_t *ifindex, uint8_t mac[6]);
/*
 * The kernel has its addresses, also on a device that comes later; or not. Until the first call those stay that an earlier daemon has put there. 0, or
 * -errno: not all. Some that the device has by other means are left alone, with a warning.
 */
int datapath_vip_own(struct datapath *dp, const struct config_vip *vip, bool own);

/* Logged packets: the ring that the programs write, and what they count of it. Open as long as dp is. */
void datapath_event_maps(const struct datapath *dp, int *ring, int *stats);
/* The interface's or tunnel's name; NULL: no port has the number now. */
const char *datapath_port_name(const struct datapath *dp, unsigned int number);

/* Of an id; NULL: nobody's. *index: in the file, -1: not in it (any more). */
const char *datapath_rule_name(const struct datapath *dp, unsigned int id, int *index);

/* ---- the state table ---- */

enum states_doing {
	STATES_SHOW,
	STATES_BIGGEST, /* those with the most bytes first */
	STATES_COUNT,
	STATES_KILL,
	STATES_RESET, /* kill, and TCP resets to both ends */
};

/* All of what is said has to fit. */
struct states_query {
	enum states_doing doing;
	const char *rule; /* name, or index in the file; NULL: any */
	const char *gateway;
	const char *interface; /* that it came in by or leaves by; one that the configuration has */
	struct prefix hosts[2];
	unsigned int n_hosts; /* one: either end; two: between them */
	uint8_t proto;	      /* 0: any */
	uint16_t port;	      /* of either end; 0: any */
	uint64_t limit;	      /* rows; 0: all */
};

struct states_cursor; /* opaque */

extern const char *const datapath_state_columns[]; /* of a row; the last is NULL */

/* NULL, and *why (malloc'ed). To be closed before dp is. */
struct states_cursor *datapath_states_open(struct datapath *dp, const struct states_query *query, char **why);
void datapath_states_close(struct states_cursor *cursor); /* NULL is allowed */
/*
 * Goes on for a few milliseconds. *rows: what was found, JSON arrays with a newline between them, "" if nothing; good until the next call.
 * 1: there is more; 0: that was all; -ESTALE: the table has got another size meanwhile, and rows may be told twice.
 */
int datapath_states_go(struct states_cursor *cursor, const char **rows);
uint64_t datapath_states_found(const struct states_cursor *cursor);  /* so far: shown, counted or ended */
uint64_t datapath_states_resets(const struct states_cursor *cursor); /* sent from here */
uint64_t datapath_states_asked(const struct states_cursor *cursor);  /* that other nodes were asked for */

struct datapath_states {
	uint64_t states, limit;
	uint64_t refused,
		evicted; /* since the table was made: new ones, and half-open ones that gave way to new ones */
	bool full;	 /* new connections are refused */
};
void datapath_states_numbers(struct datapath *dp, struct datapath_states *numbers);

/* For state replication. What is in it is good until the next apply; of another epoch the table is another one. */
struct datapath_replicated {
	struct states *table;
	const struct fl_sync_log *logs;
	uint32_t n_logs;
	uint32_t epoch;
};
void datapath_replicated(struct datapath *dp, struct datapath_replicated *out);
void datapath_replicate(struct datapath *dp, bool on); /* the programs log what changes */
struct states_entry;
struct datapath_end_ops {
	/* A connection was ended, not by its packets or by time. */
	void (*ended)(void *arg, const struct states_entry *entry, enum states_why why);
	/* One of another node's is about to be, and its ends shall get resets. Whether the other was asked to send them */
	bool (*reset)(void *arg, const struct states_entry *entry);
	void *arg;
};
void datapath_on_end(struct datapath *dp, const struct datapath_end_ops *ops); /* NULL: no more */
/* Another node asks for it: TCP resets to both ends, by this node's numbers, while it is there. */
void datapath_reset(struct datapath *dp, const struct states_entry *entry);
/* Low word of jiffies64; 0: the programs have seen no packet yet. */
uint32_t datapath_jiffies(struct datapath *dp);
/* Of all numbers that states have: JSON, to be freed; NULL: out of memory. */
char *datapath_names(struct datapath *dp);
/* What a peer's numbers are here, by its names: those that are here too. numbers: zeros. -EINVAL: no names */
int datapath_understand(struct datapath *dp, const char *names, size_t len, struct states_numbers_of *numbers);

struct explain_query {
	const char *in; /* interface, tunnel or "self" */
	struct addr src, dst;
	uint8_t proto;
	uint16_t sport, dport;
	uint8_t tcp_flags;
	uint8_t icmp_type;
};
/* The object of the contract, or NULL and *why (malloc'ed). */
json_t *datapath_explain(struct datapath *dp, const struct explain_query *query, char **why);

/*
 * Fragments that have overtaken their first one. Readable -> datapath_waiting(); true: again after a moment, whether readable or not.
 */
int datapath_waiting_fd(const struct datapath *dp);
bool datapath_waiting(struct datapath *dp);

/*
 * Strays (include/fairlead/sync.h). Asks the peers about a tuple, as the packet has it: whether it does; then datapath_stray_answer() is due, or
 * 20 ms later it is as if nobody knew.
 */
typedef bool datapath_ask_fn(void *arg, const struct fl_tuple *tuple);
void datapath_strays_ask(struct datapath *dp, datapath_ask_fn *ask, void *arg); /* NULL: nobody is there to be asked */
/* `known`: the state is in the table now. Packets of the tuple come in again. */
void datapath_stray_answer(struct datapath *dp, const struct fl_tuple *tuple, bool known);
/* Readable -> datapath_strays(); true: again after a moment, whether readable or not. */
int datapath_strays_fd(const struct datapath *dp);
bool datapath_strays(struct datapath *dp);

/* Outer fragments: the raw protocol-41 socket. Readable -> datapath_reassembled(). -1: none. */
int datapath_raw_fd(const struct datapath *dp);
void datapath_reassembled(struct datapath *dp);
