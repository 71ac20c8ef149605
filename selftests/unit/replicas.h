/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Helpers of test_states_sync*.c: state replication without sockets. Nodes with tables in plain memory, and pipes between them that lose what is
 * on its way when they are cut. Connections have numbers, the same at each node.
 */
#pragma once

#include "selftests/unit/state_tables.h"
#include "user/policy/states_private.h"
#include "user/sync/states_private.h"

#define NODES 3
#define PROTOCOL 3 /* the newest that they speak */
#define BUCKETS 128
#define KEYS 300
#define TURN_NS 4000000ULL

struct message {
	struct message *next;
	size_t len;
	uint16_t type;
	uint8_t data[];
};

struct node;

/* What one sends to another. */
struct link {
	struct node *from, *to;
	struct states_sync_peer *peer; /* of the sender's: the other one */
	struct message *first, **last;
	size_t waiting;
	bool full; /* has no room for more, whatever is on its way */
	bool up;
};

struct node {
	struct states *table;
	struct fl_sync_log *logs; /* CPUS and the daemon's */
	struct states_sync *sync;
	struct link links[NODES];
	unsigned int told, resets;
};

extern struct replicas {
	struct node nodes[NODES];
	unsigned int n;
	uint64_t ns, rng;
	unsigned int protocol;
	uint32_t types; /* of messages that somebody has sent: a bit each */
} replicas;

/* Something happens in the midst of a turn: at so many calls from now for the time, that state is removed. */
extern struct replicas_amid {
	unsigned int calls;
	struct states *table;
	uint32_t slot;
	uint64_t tag;
} replicas_amid;

uint32_t replicas_rnd(uint32_t below);
uint32_t replicas_jiffies(void *arg);

/* n nodes, not joined. */
void replicas_open(unsigned int n, uint64_t seed, unsigned int protocol);
/* Two that are joined: node 0 has the connections 0 to 99, node 1 those to 149, and each knows the other's. */
void replicas_pair(void);
void replicas_pair_speaking(unsigned int protocol);
void replicas_close(void);

void replica_open(struct node *node, uint32_t buckets); /* without peers */
void replica_close(struct node *node);
bool replicas_deliver(struct link *link); /* one message; false: there is none */
struct states_host replica_host(struct node *node);

struct link *replicas_link(unsigned int i, unsigned int j); /* from i to j */
void replicas_cut(struct link *link);			    /* both ways */
void replicas_lose(struct link *link);			    /* what is on its way */
void replica_isolate(unsigned int node);
void replicas_join(void); /* all with all */

/* A turn of each; then that many messages at most come through by each link. */
void replicas_turn(unsigned int messages);
void replicas_settle(void); /* walks have been round */

/* ---- what programs do ---- */

bool replica_has(const struct node *node, uint32_t number, struct states_entry *entry);
void replica_make(struct node *node, uint32_t number, bool embryonic);
void replica_packet(struct node *node, const struct states_entry *e);
void replica_happen(struct node *node); /* one thing, to any connection */
/* The connections from `from` to `to` without that one: all are made; those that are there end, each step-th. */
void replica_fill(unsigned int node, uint32_t from, uint32_t to);
void replica_remove(unsigned int node, uint32_t from, uint32_t to, uint32_t step);

/* ---- what is expected ---- */

/* All have the same, of all that are worth telling. Returns how many. */
uint32_t replicas_expect_same(const char *when);
struct states_sync_numbers replicas_numbers(unsigned int i, unsigned int j); /* i's, of j */
void replicas_expect_matching(int match);				     /* all digests; -1: there are none */
