/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * All vhids of a configuration: hears and sends adverts, lets carp.h decide, renews leases, announces. Runs in the timekeeper's thread, under
 * its mutex; nothing but vhids_open() and vhids_configure() allocates.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "user/lib/addr.h"
#include "user/vip/carp.h"
#include "user/vip/carp_packet.h"
#include "user/vip/carp_wire.h"
#include "user/vip/pair.h"

#define VHID_NAME_MAX 64
#define VHID_DEMOTION 240	 /* of one problem: more than any advskew that people give, and as FreeBSD has it */
#define VHID_MAINTENANCE 1000000 /* more than all problems together */
#define VHID_SETTLE_NS 10000000000ull
#define VHID_EVENTS_MAX 256

enum { VHIDS_EVENTS = CARP_EVENTS + 3 };

struct vhids; /* opaque */

struct vhid_setup {
	const char *name;
	uint16_t lease;	    /* its number in fl_leases */
	uint32_t ifindex;   /* 0: the device is not there */
	uint64_t interface; /* beat_interface() of its name: nodes of a pair have the same names */
	uint8_t vhid;
	struct carp_settings set;
	const struct carp_key *key; /* NULL: not known; it can't take part */
	enum carp_variant variant;  /* in which it sends */
	const struct prefix *addresses;
	size_t n_addresses;
	const struct addr *peers; /* none: multicast */
	size_t n_peers;
	bool independent; /* of the other vhids' links */
	bool plain_peers; /* of a pair: adverts that nobody has signed are believed, too */
	bool router;	  /* announced as one, IPv6 */
	bool leased;	  /* from a daemon that has died: until a master is heard, or its time is over, that goes on */
	uint32_t announce_repeat, announce_refresh_s;
};

/* What changes without a new configuration; links besides. */
struct vhid_facts {
	struct addr sources[2]; /* the device's own addresses, IPv4 and IPv6 link-local; AF_UNSPEC: it has none */
	struct addr wide;	/* IPv6, for peers whose address is no link-local one */
	bool disabled;		/* by hand */
};

/* What holds for the whole node. */
struct vhid_node {
	uint32_t demotion; /* by what is no link of a vhid */
	bool ready;	   /* may take over */
	bool left_out;	   /* by a peer that has another key, and lives */
};

enum vhid_event_kind {
	VHID_ROLE,   /* has changed */
	VHID_FAULT,  /* an advert that can't be used */
	VHID_UNSENT, /* adverts can't be sent */
	VHID_SENT,   /* they can again; ns: for so long they could not */
	VHID_LEASE,  /* what a dead daemon had is another's */
	/* of a pair; `from`: the peer's address of the sync link */
	VHID_SPLIT_BRAIN, /* both are master; ns: for how long now */
	VHID_ONE_MASTER,  /* no longer: `role` has won or not; ns: so long it was */
	VHID_SEGMENT,	  /* split: adverts are told by the sync link only */
	VHID_SEGMENT_WHOLE,
	VHID_DEAF,	/* no frames come in, though they do at the other end: demoted */
	VHID_HEARS,	/* again */
	VHID_ANNOUNCED, /* the peer has seen where the addresses are; ns: after so long */
	VHID_UNSEEN,	/* it has not, though it has a link there; ns: for how long now */
	VHID_SEEN,	/* again */
	VHID_RIVAL,	/* another is master too, and is not believed, because of `fault`; `from`: its own address */
	VHID_PEER,	/* `peer` has changed */
};

struct vhid_event {
	enum vhid_event_kind kind;
	char name[VHID_NAME_MAX];
	uint32_t ifindex;
	uint8_t vhid;
	uint64_t at_ns; /* CLOCK_MONOTONIC */
	enum carp_role before, role;
	enum carp_why why;
	unsigned int holds;
	struct addr from; /* whose advert it was; AF_UNSPEC: nobody's */
	enum carp_fault fault;
	int err;
	uint64_t ns;
	enum pair_state peer;
};

/* By reason; 0: none */
struct vhid_demotions {
	uint32_t links, held, sending, segment, node; /* held: by what is missing here, not by people */
	uint32_t maintenance;
};

struct vhid_view {
	char name[VHID_NAME_MAX];
	struct carp carp;
	bool owns;	    /* has the addresses: as master, or from a dead daemon */
	struct addr master; /* AF_UNSPEC: this node, or not known */
	uint64_t heard_ns;  /* the last advert; 0: none */
	uint64_t sent, received, bad;
	struct vhid_demotions demotions;
	bool settles;			      /* down_ns: its link is up again, a gateway by it is not yet */
	uint64_t down_ns, unsent_ns, deaf_ns; /* what demotes by it: since when. 0: it does not */
	uint64_t unspoken_ns;	  /* so does a family of its addresses that it has nothing to send from. 0: none */
	int unspoken;		  /* that one */
	uint64_t behind_ns;	  /* so does maintenance: since when. 0: it does not, for nobody else can have it */
	uint64_t unsent_proof_ns; /* when what it sends has left for so long, it is over */
	bool guarded;		  /* its lease ends when this node is silent, for a peer takes over */
	bool dual, split;
	bool split_refused;	    /* adverts do come there, and are refused: by this node, or by the peer */
	uint64_t dual_ns, split_ns; /* since when; dual_ns: or when it was over; 0: never */
	struct addr dual_peer, split_peer;
	uint64_t
		announced_ns; /* so long after it became master a peer had seen all its announcements; 0: it has not told */
	uint64_t unseen_ns; /* since when a peer that is there has seen none; 0: it has */
	struct addr unseen_peer;
	struct addr rival; /* master too, with the password, and not believed; AF_UNSPEC: none is */
	enum carp_fault rival_why;
};

struct vhids_plane {
	/* until_ns as in fl_leases; no call into the kernel */
	void (*lease)(void *arg, uint16_t lease, uint64_t until_ns);
	void *arg;
};

/* 0 or -errno, logged. Hears by epoll events first_event … + VHIDS_EVENTS - 1; tells of events by the eventfd `notify`. */
int vhids_open(struct vhids **out, int epoll, uint64_t first_event, int notify, const struct vhids_plane *plane);
/* Gives up all that it has: the others are told, and leases end. From then on there are no vhids, and this node is silent. */
void vhids_end(struct vhids *v, uint64_t now_ns);
void vhids_close(struct vhids *v, uint64_t now_ns);

/*
 * Copied. A vhid of the same device and number stays what it is, though its name, settings or addresses change; one that is no more bows out.
 * 0 or -errno: the old ones stay.
 */
int vhids_configure(struct vhids *v, const struct vhid_setup *setups, size_t n, uint64_t now_ns);
/* The pair that shares them: copied. 0; -errno: beats can't be sent or heard, and all else is as the setup has it. */
int vhids_pair(struct vhids *v, const struct pair_setup *setup, uint64_t now_ns);
/* What an authenticated peer says of its epoch: what it sent in one before is refused. It never goes back. */
void vhids_pair_epoch(struct vhids *v, uint64_t node, uint64_t epoch);
size_t vhids_pair_show(const struct vhids *v, struct pair_view *views, size_t max);
/* In the order of the configuration. */
void vhids_facts(struct vhids *v, const struct vhid_facts *facts, const struct vhid_node *node, uint64_t now_ns);
/* A device's link is up, or not; one that is not said of is down. */
void vhids_link(struct vhids *v, uint32_t ifindex, bool up, uint64_t now_ns);
/*
 * Whether a gateway by the device is not up. After a link was down, or another master was found, the node is demoted as long as that is so,
 * VHID_SETTLE_NS at most: it would take addresses back before it can forward.
 */
void vhids_gateways(struct vhids *v, uint32_t ifindex, bool waits, uint64_t now_ns);
/* The devices, each once: 0 behind the last. */
uint32_t vhids_device(const struct vhids *v, size_t i);
/* One of them, or all (SIZE_MAX), goes to another node: see carp_hand_over(). */
void vhids_hand_over(struct vhids *v, size_t which, uint64_t now_ns);

/*
 * Until then adverts and beats are neither sent nor heard, as if both ways between the nodes were cut; 0: from now on they are. It is for
 * seeing whether a split brain is noticed and resolved.
 */
void vhids_mute(struct vhids *v, uint64_t until_ns);

/* When vhids_run() is due. */
uint64_t vhids_next(const struct vhids *v);
void vhids_run(struct vhids *v, uint64_t now_ns);
void vhids_receive(struct vhids *v, uint64_t event, uint64_t now_ns);

size_t vhids_show(const struct vhids *v, struct vhid_view *views, size_t max); /* how many */
/* The oldest event; false: there is none. *lost: how many found no room before it. */
bool vhids_event(struct vhids *v, struct vhid_event *event, unsigned int *lost);
