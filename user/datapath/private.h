/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of user/datapath share among themselves. */
#pragma once

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <stdint.h>

#include "user/datapath/datapath.h"
#include "user/datapath/tables.h"
#include "user/policy/states.h"

#define BPFFS "/sys/fs/bpf"
#define PIN_ROOT BPFFS "/fairlead"
#define PROGRAM_PIN "prog_" /* and its name; and until it is attached "_" and its id */

/* ---- maps ---- */

/* X(enum, name in kernel and bpffs) */
#define DP_MAPS(X) \
	X(CONTROL, "fl_control") \
	X(LEARNED, "fl_learned") \
	X(IFINDEX, "fl_ifindex") \
	X(VLANS, "fl_vlans") \
	X(PORTS, "fl_ports") \
	X(TX, "fl_tx") \
	X(PORT_STATS, "fl_port_stats") \
	X(DROPS, "fl_drops") \
	X(EP_IN, "fl_ep_in") \
	X(EP, "fl_ep") \
	X(EP_PATH, "fl_ep_path") \
	X(EP_STATS, "fl_ep_stats") \
	X(CLIENTS, "fl_clients") \
	X(NPT, "fl_npt") \
	X(NPT_PREFIX, "fl_npt_prefix") \
	X(NPT_STATS, "fl_npt_stats") \
	X(NH_BY_ADDR, "fl_nh_by_addr") \
	X(NH, "fl_nh") \
	X(NH_FAILED, "fl_nh_failed") \
	X(LOCALS, "fl_locals") \
	X(HELD, "fl_held") \
	X(ROUTE_MTU, "fl_route_mtu") \
	X(GATEWAYS, "fl_gateways") \
	X(HEALTH, "fl_health") \
	X(GROUPS, "fl_groups") \
	X(RULE_TABLES, "fl_rule_tables") \
	X(RULES, "fl_rules") \
	X(NATS, "fl_nats") \
	X(EIM, "fl_eim") \
	X(RULE_NAMES, "fl_rule_names") \
	X(RULE_STATS, "fl_rule_stats") \
	X(RULE_STATES, "fl_rule_states") \
	X(RULE_SOURCES, "fl_rule_sources") \
	X(BUCKETS, "fl_buckets") \
	X(STATES, "fl_states") \
	X(STATE_CONTROL, "fl_state_control") \
	X(STATE_COUNTS, "fl_state_counts") \
	X(SYNC_LOG, "fl_sync_log") \
	X(EVENTS, "fl_events") \
	X(EVENT_STATS, "fl_event_stats") \
	X(FRAGMENTS, "fl_fragments") \
	X(WAITING, "fl_waiting") \
	X(WAITED, "fl_waited") \
	X(LEASES, "fl_leases") \
	X(VMACS, "fl_vmacs") \
	X(VIPS, "fl_vips") \
	X(PAIRS, "fl_pairs") \
	X(STRAYS, "fl_strays") \
	X(ASKED, "fl_asked") \
	X(STRAY_STATS, "fl_stray_stats")

enum dp_map_id {
#define DP_MAP_ENUM(id, name) DP_MAP_##id,
	DP_MAPS(DP_MAP_ENUM)
#undef DP_MAP_ENUM
		DP_MAP_COUNT
};

struct dp_map {
	int fd; /* 0: not open */
	uint32_t key_size;
	uint32_t value_size; /* as user space sees it: of all CPUs together for per-CPU maps */
	uint32_t max_entries;
};

/* ---- programs ---- */

enum dp_prog_id { DP_PROG_XDP, DP_PROG_XDP_GENERIC, DP_PROG_ICMP, DP_PROG_TC_IN, DP_PROG_TC_OUT, DP_PROG_COUNT };

struct dp_prog {
	const char *name;
	int fd; /* owned by the skeletons */
	uint32_t id;
};

/* ---- undo: what an apply has changed, to be taken back in reverse ---- */

typedef void undo_fn(struct datapath *dp, const void *data);

struct undo_step;
struct undo {
	struct undo_step *steps;
	size_t n, cap;
};

/* Remembers fn(dp, copy of data). Out of memory: the step is lost with a warning. undo NULL: nothing to remember. */
void undo_push(struct undo *undo, undo_fn *fn, const void *data, size_t len);
void undo_drop(struct undo *undo);		       /* forgets the last step */
void undo_run(struct undo *undo, struct datapath *dp); /* in reverse; frees */
void undo_free(struct undo *undo);

/* ---- what else hangs off a data plane ---- */

struct saved_setting {
	char *kind; /* "sysctl", "offload", or "qdisc": one that we have made */
	uint32_t ifindex;
	char *key; /* path below /proc/sys, a star for the device's name; the feature; the qdisc's kind */
	char *value;
};

/* What an earlier daemon had pinned in the instance's folder. */
#define OLDER_MAX 64
struct older_program {
	uint32_t id;
	int fd;
	char pin[48];
	char name[BPF_OBJ_NAME_LEN];
};
struct older {
	struct older_program programs[OLDER_MAX];
	size_t n;
	uint32_t control; /* the map fl_control; 0: none */
};

/* A set's table of rows (include/fairlead/rules.h), as this daemon has made it. */
struct rule_rows {
	int fd;
	uint32_t segments;
	uint8_t *mapped;
};

struct xdp; /* skeletons */
struct tc;

/* The programs, and the skeletons that they were loaded by. */
struct objects {
	struct xdp *xdp;
	struct tc *tc;
	struct dp_prog progs[DP_PROG_COUNT];
};

struct table_before; /* state_resize.c */
struct neighbour;    /* nexthop.c */
struct join;	     /* join.c */
struct reassembly;   /* fragments.c */
struct held;	     /* held.h */
struct strays;	     /* strays.c */
struct moves;	     /* moves.c */
struct orphans;	     /* orphans.c */
struct dry_run;	     /* explain.c */
struct vips;	     /* vips.c */
struct nl_sock;

/* What the log was told of a counter, and when. */
struct told {
	uint64_t count, ms;
};

struct datapath {
	char instance[64];
	char pins[128]; /* the instance's folder in bpffs */
	struct system *system;
	struct journal *journal;     /* NULL: events go to the log only */
	bool adopted;		     /* it was at work already when it was opened */
	bool first;		     /* nothing was running that could be taken over */
	bool ready;		     /* datapath_open() has done all */
	bool stands_by;		     /* another node has the addresses */
	struct datapath_end_ops end; /* NULL: nobody wants to know */
	struct resets *asked;	     /* for what another node asks to be reset; NULL: none has yet */
	const struct config *config; /* in force; the caller keeps it. NULL before the first apply */

	struct objects objects;
	struct dp_map maps[DP_MAP_COUNT];
	struct older older;
	uint64_t netns;	     /* this network namespace's SO_NETNS_COOKIE, as long as the machine is up no other's */
	unsigned int n_cpus; /* possible ones */
	uint32_t n_buckets;  /* of the state table */
	bool decap_l3;
	uint32_t hz;	    /* jiffies a second */
	struct nl_sock *nl; /* for tc filters */

	struct fl_control control; /* as in the map; control_write() writes it */
	struct fl_control *shared; /* the map itself */
	struct port *ports;	   /* FL_PORTS_MAX, by number; as configured */
	struct fl_port *in_map[2]; /* each set's fl_ports */
	uint64_t port_freed_ms[FL_PORTS_MAX];
	struct tables *sets[2]; /* what the maps hold of each set */
	uint64_t switched_ms;	/* the other set may be in use until a grace period after it */
	uint32_t icmp_ifindex;

	bool pins_lost;	  /* and cannot be put back: told */
	uint32_t watched; /* which part of the ports was looked at last */
	char *trouble;	  /* what could not follow the machine's last change; NULL: nothing */

	/* by route of the configuration: what it is in the kernel's table, if it leads to a group */
	struct system_route *group_routes;
	size_t held_routes;		 /* that the change under way moves */
	struct system_default *defaults; /* as seen last; none where no gateway is automatic */
	size_t n_defaults;
	bool routes_dirty; /* somebody changed the routing tables */
	uint64_t routes_checked_ms;

	struct neighbour *neighbours; /* FL_NEXTHOPS_MAX, by index in fl_nh */
	void *neighbour_tree;
	uint32_t n_neighbours;	 /* highest index used + 1 */
	uint64_t failed_told_ms; /* neighbours that failed before are in fl_nh_failed */
	bool no_managed;	 /* the kernel cannot keep neighbours resolved */
	struct entries locals;	 /* as in the map; key_size 0: not read yet */
	struct rule_rows rows[2];
	uint32_t rules_serial;
	struct policy_ids *rule_ids;
	char gateway_names[FL_GATEWAYS_MAX][FL_GATEWAY_NAME_MAX]; /* by number; no 0 at the end of the longest */
	/* fl_health, fl_groups and fl_learned themselves; an array's elements have eight bytes at least */
	uint64_t *health;
	struct fl_group *groups;
	struct fl_learned *learned;
	uint32_t groups_set;		     /* whose slots the timekeeper keeps */
	datapath_gateways_fn *gateways_told; /* NULL: nobody wants to know */
	void *gateways_told_arg;
	struct states states;
	struct table_before *table_before; /* while the table gets another size */
	struct table_before *table_left;   /* an earlier daemon has left it; NULL as a rule */
	uint32_t states_at, states_ticks;  /* where the sweep goes on; seconds */
	uint64_t states_limited;	   /* that the limit has refused, at the last tick; others found no place */
	uint64_t states_full_ms;	   /* when it refused somebody last; 0: never */
	uint64_t states_limited_told;
	struct told states_refused_told, states_evicted_told;
	bool nat_counted;	       /* what there was when this daemon began counts as told */
	struct told nat_told[2];       /* as untranslated of user/datapath/state_table.c */
	uint32_t states_epoch;	       /* grows when the table is replaced */
	struct fl_sync_log *sync_logs; /* by CPU, and the daemon's */

	struct join *joins;
	struct saved_setting *saved;
	size_t n_saved;
	bool saved_changed; /* the file does not have all of it yet */
	struct reassembly *reassembly;
	struct held *waiting; /* waiting.c */
	struct strays *strays;
	struct moves *moves;	 /* connections are being ended; NULL: none */
	struct orphans *orphans; /* the same, since their address is gone */
	struct dry_run *dry_run;
	struct vips *vips;
};

/* ---- util.c ---- */
uint64_t monotonic_ns(void); /* CLOCK_MONOTONIC */
uint64_t monotonic_ms(void);
/* Sets *why (if it is not NULL) to the text and returns -|err|. */
int fail(char **why, int err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* ---- maps.c: 0 or -errno ---- */
int map_open(struct dp_map *map, int fd);
int map_get(struct datapath *dp, enum dp_map_id id, const void *key, void *value);
int map_put(struct datapath *dp, enum dp_map_id id, const void *key, const void *value);
int map_delete(struct datapath *dp, enum dp_map_id id, const void *key); /* absent: 0 */
/* n keys and n values (each value_size) side by side, in batches that do not hold the CPU for long */
int map_put_all(struct datapath *dp, enum dp_map_id id, const void *keys, const void *values, size_t n);
int map_delete_all(struct datapath *dp, enum dp_map_id id, const void *keys, size_t n); /* absent ones are skipped */
/* n values of an array from index `first` on */
int map_read(struct datapath *dp, enum dp_map_id id, uint32_t first, uint32_t n, void *values);
/* calls each(arg, key, value) for every entry; the map may not shrink meanwhile */
int map_walk(struct datapath *dp, enum dp_map_id id, void (*each)(void *arg, const void *key, const void *value),
	     void *arg);
/* n array entries become zero */
int map_zero(struct datapath *dp, enum dp_map_id id, const uint32_t *index, size_t n);
/* Sum over the CPUs of a per-CPU value that consists of u64s only; `words` of them */
void percpu_sum(const struct datapath *dp, const void *value, size_t words, uint64_t *sum);
int control_map_open(struct datapath *dp);
void control_map_close(struct datapath *dp);
void control_write(struct datapath *dp);
void control_sign(struct datapath *dp);	  /* instance and namespace */
void control_bump(struct datapath *dp);	  /* every memo of the programs is stale */
void control_switch(struct datapath *dp); /* the other set of tables is in force */

/* ---- object.c ---- */
extern const char *const dp_map_names[DP_MAP_COUNT];
int objects_load(struct datapath *dp, const struct config *config); /* NULL: none is known */
/* Once more, with such maps for the state table. objects_free() whatever it returned */
int objects_load_on(struct datapath *dp, const struct dp_map *state_maps, struct objects *out);
void objects_free(struct objects *objects);
/* bpf_object__load() for both at once; 0 or -errno of each */
void objects_verify(struct bpf_object *xdp, struct bpf_object *tc, int *xdp_err, int *tc_err);
int objects_pin(struct datapath *dp); /* programs, by their ids */
/* Opened, not loaded, and with the instance's maps; NULL: errno */
struct xdp *xdp_open(struct datapath *dp);
struct tc *tc_open(struct datapath *dp, bool dry_run);
/* Sizes of maps, and those that are pinned; remake: what has another shape is unpinned. Before the load */
int object_prepare(struct datapath *dp, struct bpf_object *object, bool remake);
void objects_unload(struct datapath *dp);
int objects_unpin(struct datapath *dp);
void objects_repin(struct datapath *dp);  /* what somebody has removed */
void objects_settle(struct datapath *dp); /* the programs are attached: they take the names of an earlier daemon's */
int instance_of_program(uint32_t id, char *instance, size_t len, char name[BPF_OBJ_NAME_LEN]);
/* Calls each(arg, its pin, file descriptor that is now the callee's, what it is) for every program pinned there, until one returns not 0 */
typedef int program_pinned_fn(void *arg, const char *pin, int fd, const struct bpf_prog_info *info);
int programs_pinned(const char *folder, program_pinned_fn *each, void *arg);

/* ---- elsewhere.c ---- */
/* The fl_control that is pinned in that folder, and its id. -ENOENT: none; -EPROTO: of a version that has a bigger one. */
int control_pinned(const char *pins, struct fl_control *control, uint32_t *id);
/* Do programs in another network namespace than this one work with it? */
bool control_is_elsewhere(const struct fl_control *control, uint64_t netns);

/* ---- owner.c ---- */
extern const char *const dp_prog_names[DP_PROG_COUNT]; /* object.c */
enum owner { OWNER_OTHER, OWNER_US, OWNER_INSTANCE };
struct program_seen {
	char name[BPF_OBJ_NAME_LEN]; /* "": it could not be asked for */
	enum owner owner;
	char instance[64]; /* of OWNER_INSTANCE: which one of fairlead's */
};
/* 0, or -errno: *seen is nobody's then */
int program_see(struct datapath *dp, uint32_t id, struct program_seen *seen);
/* Its file descriptor, the caller's to close; or -errno. */
int program_fd(struct datapath *dp, uint32_t id);
void owner_remember_pins(struct datapath *dp);
void owner_forget_pins(struct datapath *dp);
void owner_prune_pins(struct datapath *dp); /* of those that were killed: what is attached nowhere */
void older_unpin(struct datapath *dp, struct older_program *older); /* if it is pinned by its id */
/* Has another instance filters in this namespace? */
bool others_at_work(struct datapath *dp);

/* ---- adopt.c ---- */
int adopt(struct datapath *dp);

/* ---- ports.c ---- */
struct port *port_by_name(struct port *ports, const char *name);
struct port *port_by_ifindex(struct port *ports, uint32_t ifindex);
const struct port *port_of_interface(const struct port *ports, const struct config_interface *interface);
const struct port *port_of_tunnel(const struct port *ports, const struct config_tunnel *tunnel);
int ports_plan(struct datapath *dp, const struct config *config, const uint32_t *peers, struct port *next,
	       struct config_report *report, char **why);
void ports_values(struct datapath *dp, struct port *next, const struct tables *tables);
bool ports_equal(const struct datapath *dp, const struct port *ports, uint32_t set); /* are they what the set has? */
int ports_write(struct datapath *dp, const struct port *ports, uint32_t set);

/* ---- facts.c: addresses of ports ---- */
void facts_addresses(struct datapath *dp, struct port *ports);

/* ---- devices.c ---- */
/* peers: for each tunnel of `config` the ifindex of its device's hidden end is set */
int devices_make(struct datapath *dp, const struct config *config, uint32_t *peers, struct undo *undo, char **why);
/* Whether devices_make() would find names taken: -EEXIST */
int devices_check(struct datapath *dp, const struct config *config, char **why);
void devices_remove(struct datapath *dp, const struct config *config);
uint32_t tunnel_mtu(const struct system *system, const struct config_tunnel *tunnel);

/* ---- blocks.c ---- */
/* The kernel forwards nothing that comes in by a device of `config` that has no programs, though it may come later; of all others as it likes. */
int blocks_sync(struct datapath *dp, const struct config *config, const struct port *ports, struct undo *undo,
		char **why);
void blocks_lift(struct datapath *dp);

/* ---- preview.c ---- */
/* Interfaces that run in another mode than was asked for */
void modes_warn(const struct config *config, const struct port *ports, struct config_report *report);

/* ---- install.c ---- */
uint32_t set_in_force(const struct datapath *dp);
const struct tables *tables_in_force(const struct datapath *dp);
int tables_fill(struct datapath *dp, struct tables *tables, const struct port *ports);
void tables_switch(struct datapath *dp, struct undo *undo);

/* ---- attach.c, xdp.c ---- */
#define XDP_DISPATCHER "xdp_dispatcher" /* libxdp's; component programs hang behind it */
int tc_attach(struct datapath *dp, struct port *port, bool egress, struct undo *undo);
bool tc_is_attached(struct datapath *dp, uint32_t ifindex, bool egress);
uint32_t tc_program_at(struct datapath *dp, uint32_t ifindex, bool egress); /* the id of ours; 0: none */
/* Is another instance's filter there? Its name (64 bytes), unless NULL */
bool tc_instance_at(struct datapath *dp, uint32_t ifindex, bool egress, char *instance);
int tc_detach(struct datapath *dp, uint32_t ifindex, bool egress);
void tc_detach_qdisc(struct datapath *dp, uint32_t ifindex);
const char *xdp_blind_to_tags(struct datapath *dp, const struct system_link *link, enum config_mode asked);
int xdp_attach(struct datapath *dp, struct port *ports, struct port *port, struct undo *undo);
void xdp_detach(struct datapath *dp, uint32_t ifindex);
int hooks_attach(struct datapath *dp, struct port *next, struct undo *undo, char **why);
void hooks_detach(struct datapath *dp, uint32_t ifindex);

/* ---- join.c: libxdp's dispatcher ---- */
int join_dispatcher(struct datapath *dp, uint32_t ifindex, uint32_t dispatcher);
bool joined_dispatcher(struct datapath *dp, uint32_t ifindex, uint32_t *id);
int leave_dispatcher(struct datapath *dp, uint32_t ifindex);
void joins_free(struct datapath *dp);

/* ---- failed.c ---- */
void failed_take(struct datapath *dp, const struct system_neigh *neigh);
void failed_forget(struct datapath *dp, const struct fl_nexthop_key *key);
void failed_tick(struct datapath *dp);

/* ---- nexthop.c, locals.c ---- */
int nexthops_adopt(struct datapath *dp);
void nexthops_sync(struct datapath *dp);
void nexthops_tick(struct datapath *dp);
void nexthops_free(struct datapath *dp);
void nexthops_release(struct datapath *dp);
uint32_t nexthop_port(const struct datapath *dp, uint32_t index); /* that it is on; 0: there is none */
int locals_sync(struct datapath *dp, const struct port *ports);

/* ---- gateways.c ---- */
int gateways_adopt(struct datapath *dp);
uint32_t gateway_number(const struct datapath *dp, const char *name); /* 0: none */
const struct port *gateway_port(const struct port *ports, const struct config_gateway *gateway);
int gateways_plan(struct datapath *dp, const struct config *config, const struct port *ports, struct tables *tables,
		  char **why);
bool gateways_moved(const struct datapath *dp); /* neighbours have: what is in force has other next hops */
bool gateways_equal(const struct tables *a, const struct tables *b);
int gateways_write(struct datapath *dp, const struct tables *tables, uint32_t set);
void gateways_of_ports(const struct tables *tables, struct port *ports);

/* ---- learned.c: next hops, those of automatic gateways as the system has learned them ---- */
struct learned {
	bool known;
	struct addr address; /* AF_UNSPEC: the link leads to one other end, of which no address is known */
	uint8_t protocol;    /* RTPROT_* of the route that told it; RTPROT_UNSPEC: it was none */
	const struct system_default *silent; /* of the same metric, which does not answer: this one does in its place */
};
void learned_read(struct datapath *dp, const struct config *config);
bool learned_expired(const struct datapath *dp); /* something the kernel has not told of yet */
void learned_tick(const struct datapath *dp);	 /* once a second */
void learned_free(struct datapath *dp);
/* The families that it takes now, and of IPv4 and of IPv6 its next hop. */
unsigned int gateway_hops(const struct datapath *dp, const struct config_gateway *gateway, const struct port *port,
			  struct learned hops[2]);
/* Packets to it have no next hop but the link, or their own destination on it. */
bool gateway_is_link(const struct datapath *dp, const struct config_gateway *gateway, const struct port *port);
/* Who told it, in a word. */
#define LEARNED_BY_MAX 16
const char *learned_by(const struct learned *hop, char buf[LEARNED_BY_MAX]);

/* Tells who watches gateways what there is; slots of groups are in `set` then. */
void gateways_tell(struct datapath *dp, const struct config *config, const struct port *ports, uint32_t set);

static inline enum fl_family family_of(const struct addr *a)
{
	return a->family == AF_INET6 ? FL_INET6 : FL_INET;
}

/* ---- show_tunnels.c ---- */
/* The port that outers leave by now; NULL: no member of the group carries. */
const struct port *tunnel_underlay_now(const struct datapath *dp, const struct config_tunnel *tunnel);

/* ---- health.c: which gateways answer, and what groups use; written by the timekeeper ---- */
#define GROUP_NUMBER(index) ((uint32_t)(index) + 1) /* of config->groups */
int health_open(struct datapath *dp);
void health_close(struct datapath *dp);
uint32_t health_of(const struct datapath *dp, uint32_t number);		/* enum fl_health_flags */
unsigned int gateway_is_up(const struct datapath *dp, uint32_t number); /* for which families; enum fl_family bits */
/* The member that carries the most of a family; 0: none can be used. */
uint32_t group_gateway(const struct datapath *dp, size_t index, enum fl_family family);
const struct config_gateway *group_carrier(const struct datapath *dp, const struct config *config,
					   const struct config_group *group, enum fl_family family);
/* The families for which a member is used; of a configuration that is not in force yet, for which any is up. */
unsigned int group_is_up(const struct datapath *dp, const struct config *config, size_t index);

/* ---- policy.c ---- */
int policy_open(struct datapath *dp);
void policy_close(struct datapath *dp);
/* After gateways_plan(). */
int policy_plan(struct datapath *dp, const struct config *config, const struct port *ports, struct tables *tables,
		char **why);
bool policy_equal(const struct tables *a, const struct tables *b);
int policy_write(struct datapath *dp, const struct tables *tables, uint32_t set);
void policy_follow(struct datapath *dp); /* schedules, gateways that went down or came up */

/* ---- state_table.c ---- */
#define STATES_DEFAULT 100000 /* where limits.states says nothing: 19 MB */
uint32_t states_limit_of(const struct config *config);
int state_table_open(struct datapath *dp);
/* Of those maps, in the order of state_maps[]. states_close() whatever it returned */
int state_table_map(struct datapath *dp, const struct dp_map *maps, struct states *t);
void state_table_configure(struct datapath *dp, const struct config *config);
void state_table_tick(struct datapath *dp, uint32_t now); /* low word of jiffies64 */
void state_table_close(struct datapath *dp);

/* ---- state_resize.c ---- */
#define STATE_MAPS 4
extern const enum dp_map_id state_maps[STATE_MAPS]; /* those that a table of another size has anew */
uint32_t state_buckets_of(const struct config *config);
/* Makes the table as big as the configuration wants it, where it is not; before the hooks are attached */
int state_table_fit(struct datapath *dp, const struct config *config, struct undo *undo, char **why);
int state_table_follow(struct datapath *dp, char **why); /* they are */
/*
 * A daemon that was killed while it did so has left two tables, each with programs that use it: the one before in its place, the new one beside it.
 * This daemon's has what both know, once when it starts, and again when its programs are attached.
 */
uint32_t state_table_pinned(const struct datapath *dp); /* buckets of the one in its place; 0: none that is whole */
int state_table_left(struct datapath *dp);
void state_table_take_left(struct datapath *dp);
void state_table_leave(struct datapath *dp); /* its pins stay */
void state_table_unpin(const struct datapath *dp, bool beside_only);
void state_table_settle(struct datapath *dp); /* and nothing is taken back any more */

/* ---- resets.c: TCP resets to the ends of connections ---- */
struct resets; /* opaque */
int resets_open(struct resets **out, struct datapath *dp, char **why);
void resets_close(struct resets *resets); /* NULL is allowed */
void resets_send(struct resets *resets, const struct states_entry *entry);
bool can_be_reset(const struct fl_state *st);
void resets_send_starter(struct resets *resets, const struct states_entry *entry); /* to the end that began alone */
uint64_t resets_sent(const struct resets *resets); /* states whose ends have both got one */

/* ---- orphans.c ---- */
/* What a port's connections have outside: an address of 32 or 128 bits, or a prefix. It was that; AF_UNSPEC: there is none now */
void orphans_follow(struct datapath *dp, struct prefix *was, const struct prefix *is);
void orphans_free(struct datapath *dp);

/* ---- moves.c ---- */
void moves_free(struct datapath *dp);
/* Here and at the peers. Returns whether it still was there. */
bool end_connection(struct datapath *dp, const struct states_entry *e, enum states_why why);
/* Before that: whether it passes by another node, which was asked to reset it, since it has the numbers. */
bool ask_for_resets(struct datapath *dp, const struct states_entry *e);
/* Its packets pass by another node, which has the addresses: what this node's gateways are is nothing to it. */
bool is_another_nodes(const struct datapath *dp, const struct states_entry *e);

/* ---- routing.c ---- */
int routing_sync(struct datapath *dp);

/* ---- saved.c ---- */
int saved_load(struct datapath *dp);
void saved_free(struct datapath *dp);
struct saved_setting *saved_find(struct datapath *dp, const char *kind, uint32_t ifindex, const char *key);
/* Nothing if it is there already. On disk only after saved_write() */
int saved_add(struct datapath *dp, const char *kind, uint32_t ifindex, const char *key, const char *value);
void saved_drop(struct datapath *dp, struct saved_setting *saved); /* the last one takes its place */
void saved_prune(struct datapath *dp);
int saved_write(struct datapath *dp);
void saved_unlink(struct datapath *dp);

/* ---- watch.c: what of ours somebody has taken away; enum missing ---- */
bool watch_all(struct datapath *dp);	 /* tells what is newly missing; true: something is */
void watch_settled(struct datapath *dp); /* after it was put back */
void watch_tick(struct datapath *dp);
/* now; *text says it */
uint32_t watch_port(struct datapath *dp, const struct port *port, char *text, size_t len);
uint32_t tc_missing(struct datapath *dp, const struct port *port);
uint32_t xdp_missing(struct datapath *dp, const struct port *port);
uint32_t sysctls_missing(struct datapath *dp, const struct port *port);

/* ---- routes.c, sysctls.c, offloads.c ---- */
int routes_apply(struct datapath *dp, const struct config *config, const struct port *ports, struct undo *undo,
		 char **why);
/* The gateway that a route goes by now; NULL: its group has none that can be used. */
const struct config_gateway *route_gateway(const struct datapath *dp, const struct config *config,
					   const struct config_route *wanted);
/* Whether that is it, or a part of it, in the kernel's table. */
bool route_is_of(const struct system_route *there, const struct config_route *wanted);
void routes_follow(struct datapath *dp); /* groups that use another member */
int routes_hold(struct datapath *dp, const struct config *config, const struct port *ports);
void wait_for_programs(void); /* no program that has begun before runs any more after it */
void routes_hold_on(struct datapath *dp);
void routes_release(struct datapath *dp);
enum route_state { ROUTE_MISSING, ROUTE_ACTIVE, ROUTE_YIELDS };
/* ROUTE_YIELDS: *others is the system's default that is used in its place. Active, too, where that is the same way */
enum route_state route_state(struct datapath *dp, const struct config_route *wanted, struct system_route *others);
void routes_warn(struct datapath *dp, const struct config *config, const struct port *ports,
		 struct config_report *report);
int sysctls_apply(struct datapath *dp, const struct port *ports, struct undo *undo, char **why);
void sysctls_withdraw(struct datapath *dp, const struct port *ports, struct undo *undo);
void sysctls_restore(struct datapath *dp);
void offload_off(struct datapath *dp, const struct port *port, enum offload what, struct undo *undo);
void offload_release(struct datapath *dp, uint32_t ifindex);
void offloads_restore(struct datapath *dp);

/* ---- fragments.c ---- */
void reassembly_update(struct datapath *dp);
void reassembly_close(struct datapath *dp);
/* what the daemon's own reassembly counted: added to the programs' counters */
void reassembly_add_stats(const struct datapath *dp, uint32_t endpoint, struct fl_endpoint_stats *stats);
void reassembly_add_drops(const struct datapath *dp, uint32_t port, uint32_t reason, struct fl_drop_stats *stats);

/* ---- vips.c ---- */
int vip_maps_open(struct datapath *dp);
void vip_maps_close(struct datapath *dp);
/* What `config` has more of is in the maps; what it has less stays until vips_settle(). */
int vips_add(struct datapath *dp, const struct config *config, const struct port *ports, struct undo *undo, char **why);
/* config NULL: nothing is left */
void vips_settle(struct datapath *dp, const struct config *config, const struct port *ports);

/* ---- strays.c ---- */
int strays_open(struct datapath *dp);
void strays_close(struct datapath *dp);
/* ---- replicate.c ---- */
int sync_log_open(struct datapath *dp);
void sync_log_close(struct datapath *dp);

/* ---- waiting.c ---- */
int waiting_open(struct datapath *dp);
void waiting_close(struct datapath *dp);
/* what was dropped here: added to the programs' counters */
void waiting_add_drops(struct datapath *dp, uint32_t port, uint32_t reason, struct fl_drop_stats *stats);
void waiting_add_received(struct datapath *dp, uint32_t port, struct fl_port_stats *stats);

/* ---- inject.c ---- */
/* The XDP program that inject_frame() needs: its file descriptor, or -errno. */
int inject_open(void);
/* The frame, which must fit into a page, comes in by the device. 0 or -errno. */
int inject_frame(int pass, uint32_t ifindex, const void *frame, size_t len);

/* ---- explain.c ---- */
void dry_run_close(struct datapath *dp);

/* ---- explain_policy.c ---- */
const char *explain_verdict(const struct fl_explain *e); /* of what does not get through */
const char *explain_reason(const struct fl_explain *e);
bool explain_is_by_rule(const struct fl_explain *e); /* blocked or rejected, also since the rule's gateway is down */
bool explain_is_unasked(const struct fl_explain *e);
/* What only the making of a state finds out. source: of the packet */
void explain_limits(struct datapath *dp, struct fl_explain *e, const struct addr *source);
void explain_put_policy(struct datapath *dp, json_t *answer, const struct fl_explain *e);

/* ---- show*.c ---- */
int drops_read(struct datapath *dp, uint32_t port, struct fl_drop_stats out[FL_DROP_SLOTS]);
const char *drop_name(uint32_t reason);
/* "snat 0"; NULL: no translation has the id. */
#define NAT_TEXT 32
const char *nat_text(const struct datapath *dp, unsigned int id, char buf[NAT_TEXT]);
