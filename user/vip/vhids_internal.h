/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of vhids share. */
#pragma once

#include "user/vip/beat.h"
#include "user/vip/ext.h"
#include "user/vip/pair_wire.h"
#include "user/vip/vhids.h"

#define SECOND 1000000000ull
#define MS 1000000ull

/* What a node of the pair says of one vhid. */
struct vhid_peer {
	struct sign_mark marks[2]; /* of its adverts, IPv4 and IPv6 */
	struct sign_mark judged;   /* of the newest that carp.h has heard, by whichever way it came */
	uint64_t heard_ns;	   /* its last advert on this segment; 0: none */
	uint64_t told_ns;	   /* its last beat that has told of it; 0: none */
	uint64_t unheard_ns; /* since when it says that it hears no adverts of this node; 0: it does, or need not */
	uint64_t
		unseen_ns; /* of announcements the first that it could see, and says that it has not; 0: it has seen all */
	bool is_newest;	   /* nothing later was judged of it */
	bool together;	   /* by its last advert: it moves together with others of that node */
	bool before;	   /* it can have the addresses: where this node is in maintenance, it goes before it */
	struct beat_entry told;
};

/* Two masters at the same time, for longer than a change takes. */
struct vhid_dual {
	bool is;
	uint64_t began_ns, seen_ns; /* seen_ns: the last that told of it */
	size_t peer;
};

/* Whether the segment carries this vhid's frames, while the sync link tells that it should. */
struct vhid_segment {
	bool split;
	uint64_t since_ns, cut_ns; /* cut_ns: when it was seen to be cut the last time */
	size_t peer;
	uint64_t received, moved_ns; /* frames, and when that was seen to grow */
	bool deaf;		     /* no frame comes, though frames do at the other end */
	uint64_t deaf_ns;
};

/* A peer that has a link to the segment says that it has seen no announcement there: to others a switch may be deaf, too. */
struct vhid_unseen {
	bool is;
	uint64_t since_ns;
	size_t peer;
};

/* Whether its adverts leave. */
struct vhid_sending {
	bool fails;	     /* told, and demotes */
	uint64_t since_ns;   /* since when it is so; 0: they always have left */
	unsigned int errors; /* in a row */
	uint64_t well_ns;    /* what was sent since then has left; 0: the last has not */
	uint64_t proof_ns;   /* for so long it must be well before it counts as that */
	uint64_t probe_ns;   /* as backup, while it fails: the next probe is due */
};

/* Who says that it is master too, with the password, and is not believed. */
struct vhid_rival {
	struct addr addr;
	enum carp_fault why;
	uint64_t until_ns; /* it is taken to be one; 0: there was none */
};

/* A peer that is heard, and takes part in this vhid. */
enum vhid_guard {
	GUARD_NONE,
	GUARD_UNREADY, /* it takes over when it is ready, which it is before long, with or without what it waits for */
	GUARD_READY,   /* it takes over as soon as it hears nothing any more */
};

/* One vhid on one device. */
struct vhid {
	char name[VHID_NAME_MAX];
	uint16_t lease;
	uint32_t ifindex;
	uint64_t interface;
	uint8_t vhid;
	bool independent, router, plain_peers;
	bool link_up, was_up;
	bool gateway_waits;  /* one by this device is not up */
	uint64_t settled_ns; /* its link is up again: until then, at most, that is waited for; 0: it is not */
	bool inherits;	     /* the lease of a dead daemon */
	struct carp carp;
	struct carp_key key;
	bool has_key;
	enum carp_variant variant;
	struct prefix *addresses;
	size_t n_addresses;
	struct addr *peers;
	size_t n_peers;
	uint32_t announce_repeat, announce_refresh_s;
	struct vhid_facts facts;
	uint64_t counter; /* the same in each advert, so that its own are known */

	uint64_t announce_ns; /* the next one is due; CARP_NEVER */
	uint32_t announce_left;
	struct addr master;
	uint64_t heard_ns, sent, received, bad;
	uint64_t refused_ns; /* the last advert that came and was not believed; 0: none */
	uint64_t
		unspoken_ns; /* since when it has nothing to send from by a family of its addresses; 0: it has by all */
	struct vhid_sending sending;
	uint64_t link_ns; /* since when `link_up` is as it is */
	uint64_t fault_ns[CARP_FAULTS];

	/* of a pair */
	struct vhid_rival rival;
	struct vhid_peer *say; /* by peer */
	enum vhid_guard guard; /* who takes over when this node is silent */
	bool behind;	       /* in maintenance, and another node goes before this one */
	uint64_t behind_ns;    /* since when that is so, or not */
	struct vhid_dual dual;
	struct vhid_segment segment;
	struct vhid_unseen unseen;
	uint64_t *seen_ns;     /* by address: the last announcement by another; 0: none */
	uint64_t announced_ns; /* so long after it became master a peer had seen all addresses announced; 0: not yet */
	struct vhid_demotions demotions;
};

struct pair_peer {
	struct addr addr;
	uint64_t node;
	struct sign_mark mark;	/* the highest of all that was heard of it */
	struct sign_mark beats; /* of beats */
	enum pair_state state;
	uint64_t since_ns;
	uint64_t beat_ns, beat_interval_ns;	/* 0: none yet */
	uint64_t advert_ns, advert_interval_ns; /* on any segment */
	uint64_t strange_ns;			/* its last beat by a strange key; 0: none */
	bool ready, ending, maintenance;
	int key; /* by which it was heard last; -1: it was not */
	uint64_t sent, received, bad;
	uint64_t fault_ns[CARP_FAULTS];
};

struct pair {
	struct pair_wire wire;
	struct sign_keys keys;
	uint64_t keys_ns;    /* since when they are these */
	uint64_t strange_ns; /* the last advert by a strange key; 0: none */
	uint64_t node;
	struct sign_mark mark; /* of the last that this node has sent */
	bool maintenance, link_up;
	struct pair_peer *peers;
	size_t n;			     /* 0: there is no pair */
	uint64_t started_ns, woke_ns;	     /* woke_ns: nothing could come, or be read, before that */
	uint64_t held_ns;		     /* it could not run before that; 0: it always could */
	uint64_t next_beat_ns, next_look_ns; /* CARP_NEVER */
	bool beat_now;
};

struct vhids {
	struct vhids_plane plane;
	struct carp_wire *wire;
	uint64_t pair_event; /* the first of the pair's */
	int notify;
	struct vhid *all;
	size_t n;
	struct vhid_node node;
	struct pair pair;
	uint64_t mute_ns; /* until then nothing is said and nothing is heard */
	struct vhid_event events[VHID_EVENTS_MAX];
	unsigned int first_event, n_events, lost_events;
	uint64_t now_ns; /* of the call that is under way */
};

/* ---- vhids.c ---- */

struct vhid_event *vhid_event_add(struct vhids *v, const struct vhid *one,
				  enum vhid_event_kind kind); /* NULL: no room */
struct vhid_event *vhid_event_node(struct vhids *v, enum vhid_event_kind kind);
/* Does what carp.h has said: `acts`. from: whose advert or beat it was; NULL: nobody's */
void vhid_act(struct vhids *v, struct vhid *one, enum carp_role before, unsigned int acts, const struct addr *from);
void vhid_lease(struct vhids *v, const struct vhid *one);
void vhid_inherit_ends(struct vhids *v, struct vhid *one);
void vhids_judge(struct vhids *v);
/* A link of it is up again, a gateway by it is not yet. */
bool vhid_settles(const struct vhids *v, const struct vhid *one);
/* This node was cut off: while gateways of it are not up, the others are better. See vhids_gateways() */
void vhids_settle(struct vhids *v);
/* Gives up what a node that was held up can't have any more. At the beginning of whatever follows from time or packets */
void vhids_wake(struct vhids *v, uint64_t now_ns);

/* Adverts and beats are neither sent nor heard, for a drill. */
static inline bool vhids_are_mute(const struct vhids *v)
{
	return v->now_ns < v->mute_ns;
}

/* ---- vhids_send.c ---- */

void vhid_send_advert(struct vhids *v, struct vhid *one, bool leaves);
/* When vhid_probe_run() is due; CARP_NEVER: not at all */
uint64_t vhid_probe_next(const struct vhid *one);
/* A backup that is demoted since its adverts could not be sent tries whether they could be by now. */
void vhid_probe_run(struct vhids *v, struct vhid *one);
void vhid_announce_begin(struct vhids *v, struct vhid *one);
void vhid_announce_run(struct vhids *v, struct vhid *one);
/* It can send by IPv4, or IPv6: it has addresses of that family, and one of the device's own to send from. */
bool vhid_speaks(const struct vhid *one, bool six);

/* ---- vhids_hear.c ---- */

bool vhid_has_rival(const struct vhids *v, const struct vhid *one);
/* Adverts of this vhid come on its segment, and are not believed: it is not cut. */
bool vhid_refuses(const struct vhid *one, uint64_t now_ns);

/* ---- vhids_pair.c ---- */

struct pair_peer *pair_peer_of(struct vhids *v, uint64_t node);
/* Which key adverts go by, which are for all peers. NULL: there is none */
const struct sign_key *pair_key(struct vhids *v);
struct sign_mark pair_next_mark(struct vhids *v);
/* It was heard validly. */
void pair_heard(struct pair_peer *peer, const struct sign_mark *mark, unsigned int key);
enum vhid_guard vhid_guard(const struct vhids *v, const struct vhid *one);
bool pair_is_up(const struct vhids *v, const struct pair_peer *peer);
bool pair_keys_are_fresh(const struct vhids *v); /* others may not have changed theirs yet */
void pair_receive(struct vhids *v);
void pair_run(struct vhids *v); /* states of peers, beats that are due */
void pair_beats(struct vhids *v, bool ending);
/* Whether a claim is to be judged: nothing later was before it. */
bool vhid_is_news(struct vhid_peer *say, const struct sign_mark *mark);
/* What peers say of one vhid, in the order of pair->peers; `said`: by those of `before`, which may be NULL. NULL: no memory */
struct vhid_peer *vhid_say_make(const struct pair *pair, const struct pair *before, const struct vhid_peer *said);

/* ---- vhids_maintenance.c ---- */

/* true: it has changed whether this node is behind others; to be judged */
bool vhids_stand_back(struct vhids *v);

/* ---- vhids_watch.c ---- */

void vhids_watch(struct vhids *v);
/* All nodes of the pair say that they have it not. */
bool vhid_is_vacant(const struct vhids *v, const struct vhid *one);
/* A master's claim came; of interest if this node is one too. since_ns: since when the other is; 0: it did not say */
void vhid_watch_dual(struct vhids *v, struct vhid *one, size_t peer, uint64_t since_ns);
void vhid_watch_seen(struct vhids *v, struct vhid *one, const struct pair_peer *peer, const struct beat_entry *told);
/* This node tells where the addresses are: who could see that? */
void vhid_watch_announce(struct vhids *v, struct vhid *one);
void vhids_watch_announced(struct vhids *v, unsigned int event);
uint32_t vhid_seen_us(const struct vhid *one, uint64_t now_ns);
bool vhid_receives(const struct vhid *one, uint64_t now_ns);
