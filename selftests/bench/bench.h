/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of the benchmark share. The namespaces it works in are made by `run`; it starts the daemons itself. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "selftests/bench/frame.h"

#define ROUNDS_MAX 32
#define CLIENTS 10000	 /* of the big broker */
#define TRANSLATIONS 256 /* of the big translator */
#define GATEWAYS 64
#define STATES 65536
#define BURST 100000	    /* flows that are new at once, to a pair */
#define STATES_MANY 9900000 /* the most that limits.states may be, nearly: 3.4 GB, not in a short run */

struct bench; /* bench.skel.h */

/* ---- devices under test: each has a namespace of its own, with r0 (in) and r1 (out) ---- */
enum dut_id {
	DUT_DROP,
	DUT_REDIRECT,
	DUT_KERNEL,
	DUT_KERNEL_NPT,
	DUT_KERNEL_NPT256,
	DUT_NATIVE,
	DUT_TC,
	DUT_GENERIC,
	DUT_CLIENTS1,
	DUT_CLIENTS10K,
	DUT_NPT256,
	DUT_KERNEL_CT,
	DUT_NFT1K,
	DUT_NFT10K,
	DUT_NFT_SET,
	DUT_STATES,
	DUT_STATES_MANY,
	DUT_RULES10,
	DUT_RULES1K,
	DUT_RULES10K,
	DUT_GATEWAY1,
	DUT_GATEWAYS,
	DUT_PROBES,
	DUT_SOLO, /* of here on: pair.c starts what runs in them */
	DUT_PAIR,
	DUT_STANDBY,
	DUT_CT_PAIR,
	DUT_CT_STANDBY,
	DUT_COUNT
};

enum dut_r0 {
	R0_FAIRLEAD, /* nothing of the benchmark's own: the daemon attaches what it likes */
	R0_DROP,
	R0_REDIRECT,
	R0_PASS, /* so that it takes XDP frames, and no GRO */
};

struct dut {
	const char *name; /* of namespace (behind the prefix), instance and devices */
	enum dut_r0 r0;
	bool fairlead;
};

extern const struct dut duts[DUT_COUNT];

/* ---- paths: what is sent where, and what must come out ---- */
enum path_id {
	PATH_DROP,
	PATH_DROP_6IN4,
	PATH_REDIRECT,
	PATH_KERNEL,
	PATH_KERNEL_NPT,
	PATH_PLAIN,
	PATH_NPT,
	PATH_DECAP,
	PATH_TUNNELS,
	PATH_TC_NPT,
	PATH_TC_TUNNELS,
	PATH_GENERIC_NPT,
	PATH_GENERIC_TUNNELS,
	PATH_CLIENTS1,
	PATH_CLIENTS10K,
	PATH_NPT256,
	PATH_KERNEL_NPT256,
	PATH_KERNEL_64K,
	PATH_PLAIN_64K,
	PATH_KERNEL_CT,
	PATH_STATES,
	PATH_KERNEL_NEW,
	PATH_NEW,
	PATH_NFT1K,
	PATH_NFT10K,
	PATH_NFT_SET,
	PATH_RULES10,
	PATH_RULES1K,
	PATH_RULES10K,
	PATH_GATEWAY1,
	PATH_GATEWAYS,
	PATH_STATES_MANY,
	PATH_COUNT, /* of here on: not of the rounds, but of pair.c */
	PATH_SOLO = PATH_COUNT,
	PATH_PAIR,
	PATH_CT_SOLO,
	PATH_CT_PAIR,
	PATH_ALL
};

enum traffic_in {
	IN_PLAIN,    /* from a prefix that nobody translates */
	IN_INTERNAL, /* from the internal prefix */
	IN_TUNNEL,   /* 6in4 from one remote, to a host behind r1 */
	IN_TUNNELS,  /* 6in4 from one remote, to a host behind the second tunnel */
	IN_CLIENTS,  /* 6in4 from as many remotes as flows */
	IN_CLIENT,   /* the same inner packets from one remote */
};

enum traffic_out {
	OUT_NOTHING,   /* dropped */
	OUT_UNCHANGED, /* redirected as it came */
	OUT_FORWARDED,
	OUT_TRANSLATED,
	OUT_TUNNEL, /* translated, in the second tunnel */
};

/* What connections a path's packets are of. */
enum traffic_states {
	STATES_ANY,	    /* of flows that come again and again */
	STATES_ESTABLISHED, /* the same, and answers have come before */
	STATES_NEW,	    /* each packet begins one */
	STATES_FILLED,	    /* of so many that they are made once, before the rounds */
};

struct path {
	const char *name; /* key in the JSON */
	const char *text;
	enum dut_id dut;
	enum traffic_in in;
	enum traffic_out out;
	uint32_t flows;
	uint16_t net_mask; /* prefixes that the flows come from, less one */
	uint16_t net_shift;
	enum traffic_states states;
};

extern const struct path paths[PATH_ALL];

/* Fills in what the generator sends and what the sink must see. */
void path_traffic(const struct path *path, struct bench_traffic *traffic, struct bench_expected *expected);
/* The same for the answers to it, which nobody sees */
void path_answers(const struct path *path, struct bench_traffic *traffic);
/* The frame of a flow, or the answer to it, as the generator makes it; its length is traffic->len */
void path_frame(const struct bench_traffic *traffic, uint32_t flow, uint8_t frame[BENCH_WORDS * 8]);

/* ---- everything ---- */
struct run {
	const char *prefix; /* of namespaces and instances */
	const char *build;  /* folder with the programs */
	const char *work;   /* folder for configurations and logs */
	int cpu;	    /* all packets on this one … */
	int beside;	    /* … and what is started on this one */
	bool brief;	    /* BENCH_SHORT: that it runs, not how fast */
	bool pair_only;	    /* BENCH_ONLY=pair: nothing of one router alone */
	struct bench *skel;
	pid_t daemons[DUT_COUNT];
	bool without[PATH_COUNT]; /* what this machine has no room for */
	int rounds;		  /* wanted */
	double load;		  /* before the run */

	/* results */
	double ns[PATH_COUNT][ROUNDS_MAX];   /* per packet, gross */
	double cold[PATH_COUNT][ROUNDS_MAX]; /* the same, of the flows' first packets */
	int n_rounds, n_discarded;
	double steal_pct, steal_max_pct; /* of the rounds kept; the worst of all */
	uint64_t sent[PATH_COUNT], received[PATH_COUNT], checked[PATH_COUNT], wrong[PATH_COUNT];
	json_t *facts;	    /* restart.c, program.c: what else was measured, by name */
	json_t *series;	    /* of facts that were measured in rounds: their values in order */
	json_t *missing;    /* why facts are none, by what their names begin with */
	json_t *complaints; /* texts: packets lost, wrong, or a part that did not run */
};

/* ---- util.c ---- */
uint64_t now_ns(void);
void die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
/* makes it a run that failed, and says so */
void complain(struct run *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
pid_t forked(void); /* fork(), which does not fail */
void pin_to_cpu(int cpu);
/* Whoever works beside the packets: on the CPU `beside`, or, when no time is judged, where there is room. */
void leave_packets_cpu(const struct run *r);
/* Enters the namespace of NAME ("gen", "sink" or a device under test) */
void netns_enter(const struct run *r, const char *name);
uint32_t ifindex_of(const char *fmt, const char *name);
void fact(struct run *r, const char *name, double value);
double fact_get(const struct run *r, const char *name); /* NAN: not measured */
/* The same of a value that was measured once in each round: the fact is the median */
void fact_add(struct run *r, const char *name, double value);
/* Why a peer has no value: facts whose names begin so */
void fact_missing(struct run *r, const char *prefix, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
double median(double *values, size_t n); /* sorts them */

/* ---- live.c: real packets ---- */
void live_open(struct run *r);
void live_close(struct run *r);
/* From now on the generator sends, and the sink expects, what belongs to `path`; its counters are 0 */
void live_select(struct run *r, enum path_id path);
uint64_t live_received(const struct run *r);
/*
 * Sends for about `seconds`, once all flows are known, and checks that all came out right. Nanoseconds a packet; *cold: of the
 * first packets before that.
 */
double live_measure(struct run *r, enum path_id path, double seconds, double *cold);

/* So many flows that are new, and then an answer to each. Nanoseconds a flow, both packets together; how many of all did not come through */
double live_burst(struct run *r, enum path_id path, uint32_t flows, uint64_t *lost);

/* Packets of the flows from number `first` on, and the answers to them */
void live_fill(struct run *r, enum path_id path, uint32_t first, uint32_t flows);

/* ---- flows.c: what the devices under test know of connections ---- */
void flows_forget(struct run *r, enum dut_id dut);
void flows_fill(struct run *r, enum path_id path); /* or it is without */
void flows_memory(struct run *r);		   /* of one, as facts */

/* ---- apply.c: how long a new ruleset takes, theirs and ours ---- */
void applies_measured(struct run *r);

/* ---- rounds.c ---- */
void rounds_run(struct run *r);

/* ---- configs.c, daemon.c ---- */
void config_secrets(const char *work); /* first: where the keys of pairs are, which `run` has made */
void config_write(enum dut_id dut, const char *file);
/* A ruleset of so many, all but one fit no packet; variant 1: one rule of it is another. And nft's, the same rules */
void config_write_rules(unsigned int rules, unsigned int variant, const char *file);
/* Gateways that are probed: `many` of them; 0: the first two of these, for each of which the third takes over */
#define GATEWAY_SLOW 1 /* numbers, by the order of the names */
#define GATEWAY_FAST 2
#define GATEWAY_THIRD 3
void config_write_gateways(int many, const char *file);
/* A router with a shared address on `lan`; fast_ms 0: as CARP has it. `node` 0: who should have it. With `wan`, one there too */
void config_write_node(const char *work, const char *name, int node, int fast_ms, bool wan);
void nft_write_rules(unsigned int rules, const char *file);
void daemon_spawn(struct run *r, enum dut_id dut);
bool daemon_answers(const struct run *r, enum dut_id dut);
bool daemon_wait(struct run *r, enum dut_id dut, double seconds);
/* Runs build/fairlead with the arguments, up to NULL; its exit status, -1: none. Or leaves that to the caller */
pid_t daemon_ask_spawn(const struct run *r, enum dut_id dut, ...);
int daemon_ask(const struct run *r, enum dut_id dut, ...);
void daemon_kill(struct run *r, enum dut_id dut, int sig);
/* The same of a node that is no device under test, by the name of its namespace; WORK/NAME.json is its configuration */
pid_t node_spawn(const struct run *r, const char *name);
int node_ask(const struct run *r, const char *name, ...);
/* What build/fairlead answers, which was told --json; NULL: nothing */
json_t *node_tell(const struct run *r, const char *name, ...);
/* CPU time of a process, all its threads */
uint64_t process_cpu_ns(pid_t pid);
/* what it has in memory, as a fact of that name */
void daemon_memory(struct run *r, enum dut_id dut, const char *fact_name);
void daemons_stop(struct run *r);

/* ---- restart.c: start, restart, memory ---- */
void start_measured(struct run *r, enum dut_id dut, enum path_id path, const char *fact_name);
void restart_measured(struct run *r, enum dut_id dut, enum path_id path);
/* Packets while the process runs; how many were sent, and lost, as facts. Returns its status, as waitpid() does */
int stream_while(struct run *r, enum path_id path, pid_t pid, const char *sent, const char *lost);

/* ---- gateways.c: probing; the peer begins with the run, since it takes a minute until it knows ---- */
void gateways_peer_start(struct run *r);
void gateways_measured(struct run *r);

/* ---- peers.c: programs of others beside which ours are measured ---- */
struct peer {
	pid_t pid; /* 0: none runs */
	const char *program;
	char log[512];
};
/* Starts it in that namespace. False: it is not installed */
bool peer_start(const struct run *r, struct peer *peer, const char *ns, char *const argv[]);
bool peer_lives(struct peer *peer);
/* The last line that it has logged */
const char *peer_last_words(const struct peer *peer, char *line, size_t size);
/* SIGKILL: its children too. peer_end() waits for its end, too. */
void peer_signal(const struct peer *peer, int sig);
void peer_end(struct peer *peer, int sig);
void peers_write(const char *file, mode_t mode, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* ---- pair.c: states that a peer has too; failover.c: addresses that two nodes share ---- */
void pair_measured(struct run *r);
void failover_measured(struct run *r);

/* ---- program.c: programs alone ---- */
void programs_verify(struct run *r);
void programs_time(struct run *r);

/* ---- rows.c: the table ---- */
void rows_print(struct run *r);
int rows_write(struct run *r, const char *file);
/* Of a short run: a line "ok NAME" or "not ok NAME" for each path, value that is no time, and for the whole. True: all ok */
bool rows_test(const struct run *r);
