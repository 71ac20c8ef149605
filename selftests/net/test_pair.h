/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Two nodes of a pair on real sockets, in a time of the test's own, so that histories of minutes take milliseconds:
 *
 *	node 0: lan 192.0.2.1, sync 172.16.255.1	--- the test carries frames, or does not ---	node 1: .2, .2
 *
 * Each node is a network namespace with the ends of two veth pairs; their other ends are the test's. It is one process on one CPU: what was
 * put into a device has been received when the next call is made.
 */
#pragma once

#include <criterion/criterion.h>

#include "user/vip/vhids_internal.h"

#define FRAME_MAX 2048
#define EXT_AT (14 + 20 + CARP_LEN) /* in a frame */
#define A (&w.nodes[0])
#define B (&w.nodes[1])

enum { LAN, SYNC, CHANNELS };

struct node {
	struct vhids *v;
	int ns, epoll, notify;
	bool runs; /* it is not stopped, and not dead */
	bool link_up;
	uint64_t lease; /* until when it has the addresses */
	struct vhid_setup setup;
	struct vhid_facts facts;
	struct vhid_node fact;
	struct pair_setup pair;
	struct pair_setup_peer peer;
	struct sign_keys keys;
	int outside[CHANNELS], inside[CHANNELS]; /* packet sockets at both ends */
	uint32_t ifindex[CHANNELS];
	unsigned int happened[VHID_PEER + 1], faults[CARP_FAULTS]; /* events by kind */
};

struct world {
	struct node nodes[2];
	uint64_t now;
	bool cut[CHANNELS];
	bool no_arp; /* by the segment: what a switch does that does not know the virtual MAC */
	unsigned int loss_pct[CHANNELS];
	uint64_t clean_since[CHANNELS]; /* all frames are carried; CARP_NEVER: they are not */
	/* the last frame that node 0 sent by each */
	uint8_t last[CHANNELS][FRAME_MAX];
	size_t last_len[CHANNELS];
	/* each that a node sends, also what is not carried */
	void (*on_frame)(unsigned int node, unsigned int channel, const uint8_t *frame, size_t len);
};

extern struct world w;
extern struct prefix pair_address;

void pair_world_open(void); /* skips the test without root */
void pair_world_close(void);
/* Settings of both, node 1 with 100 more of advskew; begins. */
void pair_begin(const struct carp_settings *set);
/* The same, until node 0 is master and both know it. */
void pair_begin_known(const struct carp_settings *set);
void pair_node_configure(struct node *n); /* what has been changed in it */
void pair_node_kill(struct node *n);	  /* it says nothing, and its lease goes on */
void pair_node_start(struct node *n, uint64_t epoch);
void pair_node_link(struct node *n, bool up);
void pair_node_facts(struct node *n);

/* The second is on the sync link's device, whose frames are carried whatever is said of its link. Alone: independent */
void pair_two_configure(struct node *n, bool first_alone, bool second_alone);
void pair_two_facts(struct node *n, bool second_is_disabled);
bool pair_has_both(const struct node *n, enum carp_role first, enum carp_role second);

void pair_carry(void); /* frames, as long as there are any; no time passes */
void pair_pass(uint64_t ns, void (*each)(void));
void pair_channel(unsigned int channel, bool cut, unsigned int loss_pct);
void pair_put(unsigned int node, unsigned int channel, const uint8_t *frame, size_t len);

struct vhid_view pair_view(const struct node *n);
enum carp_role pair_role(const struct node *n);
bool pair_owns(const struct node *n);
enum pair_state pair_peer_state(const struct node *n);

/* For pair_pass(): how often both had the addresses. */
extern unsigned int pair_both_own;
void pair_count_both(void);
