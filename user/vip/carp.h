/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The machine of one vhid, as OpenBSD's and FreeBSD's ip_carp.c have it: facts and adverts in, what is to be done out. It sends nothing
 * itself, allocates nothing, and knows the time as it is told (ns of CLOCK_MONOTONIC).
 *
 *	INIT	 it can't take part: no link, no address of its own to send from
 *	BACKUP	 another has the addresses, or is waited for
 *	MASTER	 this node has them and says so every interval
 *	DISABLED by hand
 *
 * The better one is who is less demoted, and then whose interval is shorter. A node that hears an equal one yields (as all others do); among
 * nodes that tell their names the higher name yields, so that not both do.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum carp_role { CARP_INIT, CARP_BACKUP, CARP_MASTER, CARP_DISABLED };

#define CARP_NEVER UINT64_MAX
#define CARP_SKEW_MAX 240 /* a demoted node's: FreeBSD adds the demotion to the skew, up to that */

struct carp_settings {
	uint8_t advbase_s, advskew;
	uint32_t fast_ms; /* 0: advbase_s and advskew say how often */
	bool preempt;
};

/* What holds a node back. Bits. */
enum carp_hold {
	CARP_HOLD_DISABLED = 1 << 0, /* by hand */
	CARP_HOLD_LINK = 1 << 1,     /* no carrier, or the device is not there */
	CARP_HOLD_SOURCE = 1 << 2,   /* nothing to send adverts from */
	CARP_HOLD_KEY = 1 << 4,	     /* its password is not known */
	CARP_HOLD_NOT_READY =
		1 << 3, /* hears, and yields, but does not take over; once ready it takes at once what nobody has */
	CARP_HOLD_PAIR_KEY = 1 << 5, /* the pair's key is not known */
	CARP_HOLD_LEFT_OUT = 1 << 6, /* the peer has another key now, and lives */
};

/* What an advert says of its sender. */
struct carp_claim {
	uint64_t interval_ns;
	uint32_t demotion; /* 0 where it has none */
	uint64_t node;	   /* its name as a number, of nodes that tell it; 0: it does not */
	bool leaves;	   /* gives its addresses up */
};

/* What is to be done now. Bits, in this order. */
enum carp_act {
	CARP_ACT_BOW_OUT = 1 << 0,  /* tell the others that this node leaves */
	CARP_ACT_RELEASE = 1 << 1,  /* its addresses are another's, or nobody's */
	CARP_ACT_TAKE = 1 << 2,	    /* its addresses are this node's */
	CARP_ACT_ADVERT = 1 << 3,   /* send one */
	CARP_ACT_ANNOUNCE = 1 << 4, /* tell hosts and switches where the addresses are */
};

/* Why the last change was; for events. */
enum carp_why {
	CARP_WHY_START,
	CARP_WHY_HELD,	     /* `holds` says by what */
	CARP_WHY_TIMEOUT,    /* no advert for too long */
	CARP_WHY_LEFT,	     /* the master said that it leaves */
	CARP_WHY_BETTER,     /* this node is, and preempts */
	CARP_WHY_DEMOTED,    /* the master is more demoted than this node */
	CARP_WHY_YIELDS,     /* to a better master */
	CARP_WHY_HANDS_OVER, /* asked to */
	CARP_WHY_LATE,	     /* it was held up for so long that another has them */
};

struct carp {
	struct carp_settings set;
	uint64_t node; /* of this one; 0: not told */
	unsigned int holds;
	uint32_t demotion;
	enum carp_role role;
	enum carp_why why;
	uint64_t since_ns;
	uint64_t
		insisted_ns; /* as master to another one; once an interval, or two that both believe to be better would never stop */
	bool gave_time; /* since the last advert: see carp_run() */
	uint64_t best_node,
		best_until_ns; /* who was heard to be a better master, or as good; 0: nobody that tells its name */
	uint64_t awaited;      /* as backup: whose next advert is waited for; 0: nobody's that tells its name */
	/* When carp_run() is due: the next advert, or the master's time is over. CARP_NEVER: not at all; as backup: it is over, but this node is not ready */
	uint64_t next_ns;
};

void carp_init(struct carp *c, const struct carp_settings *set, uint64_t node, uint64_t now_ns);

/* Each returns what is to be done, enum carp_act bits. */
unsigned int carp_settings(struct carp *c, const struct carp_settings *set, uint64_t now_ns);
unsigned int carp_facts(struct carp *c, unsigned int holds, uint32_t demotion, uint64_t now_ns);
unsigned int carp_heard(struct carp *c, const struct carp_claim *claim, uint64_t now_ns);
/*
 * Of another vhid, which moves together with this one: so its demotion is that of this one, too, and who is waited for here is relieved. It
 * says nothing of whether it is still heard here, so nobody is waited for any longer by it.
 */
unsigned int carp_heard_elsewhere(struct carp *c, const struct carp_claim *claim, uint64_t now_ns);
/* Of a backup that runs late: what it should have heard meanwhile may be on its way to it still. So it waits for one interval more, once. */
unsigned int carp_run(struct carp *c, uint64_t now_ns);
/* Gives its addresses up if it has them, and waits for another to take them before it would again. */
unsigned int carp_hand_over(struct carp *c, uint64_t now_ns);

/* A backup knows that nobody has them: it need not wait for a master's advert, only for those who would be better. true: it waits less by that */
bool carp_vacant(struct carp *c, uint64_t now_ns);

/* What it should have heard meanwhile may be on its way to it still: nobody having them is no news of now. */
void carp_held_up(struct carp *c, uint64_t now_ns);

/* A master that has not run for as long as a backup waits: it is to give them up, since another has them by now. */
bool carp_is_late(const struct carp *c, uint64_t now_ns);
unsigned int carp_lapse(struct carp *c, uint64_t now_ns);

/* How long it waits for a master's next advert. */
uint64_t carp_patience_ns(const struct carp *c);
/* What this node's adverts say: of its skew, with its demotion; and how often they come. */
uint8_t carp_advskew(const struct carp *c);
uint64_t carp_interval_ns(const struct carp *c);
/* How often a plain advert says that others come. advbase_s 0 and advskew 0: 1/256 s */
uint64_t carp_interval_of(uint8_t advbase_s, uint8_t advskew);
