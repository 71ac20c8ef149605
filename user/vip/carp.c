// SPDX-License-Identifier: GPL-2.0-only
#include "user/vip/carp.h"

#define SECOND 1000000000ull
#define MS 1000000ull
#define LOST 3 /* adverts, before a master is taken for dead */

/* ---- times ---- */

uint64_t carp_interval_of(uint8_t advbase_s, uint8_t advskew)
{
	if (!advbase_s && !advskew)
		advskew = 1;
	return advbase_s * SECOND + advskew * SECOND / 256;
}

uint8_t carp_advskew(const struct carp *c)
{
	uint32_t skew = c->set.advskew + c->demotion;

	if (!c->demotion || c->set.advskew > CARP_SKEW_MAX)
		return c->set.advskew;
	return skew < CARP_SKEW_MAX ? skew : CARP_SKEW_MAX;
}

uint64_t carp_interval_ns(const struct carp *c)
{
	if (c->set.fast_ms)
		return c->set.fast_ms * MS + carp_advskew(c) * (c->set.fast_ms * MS) / 256;
	return carp_interval_of(c->set.advbase_s, carp_advskew(c));
}

/* Without what makes a node worse than the best */
static uint64_t shortest_ns(const struct carp *c)
{
	return c->set.fast_ms	  ? c->set.fast_ms * MS
	       : c->set.advbase_s ? c->set.advbase_s * SECOND
				  : carp_interval_of(0, carp_advskew(c));
}

/* A worse node waits longer, so that the best of them is the first. */
uint64_t carp_patience_ns(const struct carp *c)
{
	return (LOST - 1) * shortest_ns(c) + carp_interval_ns(c);
}

/* ---- changes ---- */

static unsigned int become(struct carp *c, enum carp_role role, enum carp_why why, uint64_t now_ns)
{
	enum carp_role was = c->role;
	unsigned int acts = 0;

	if (role != was)
		c->since_ns = now_ns;
	c->role = role;
	c->why = why;
	c->gave_time = false;
	c->awaited = 0;
	if (role == CARP_BACKUP)
		c->next_ns = now_ns + carp_patience_ns(c);
	else if (role == CARP_MASTER)
		c->next_ns = now_ns + carp_interval_ns(c);
	else
		c->next_ns = CARP_NEVER;
	if (was == CARP_MASTER && role != CARP_MASTER)
		acts |= CARP_ACT_RELEASE;
	if (was != CARP_MASTER && role == CARP_MASTER)
		acts |= CARP_ACT_TAKE | CARP_ACT_ADVERT | CARP_ACT_ANNOUNCE;
	return acts;
}

static enum carp_role role_of_holds(unsigned int holds)
{
	if (holds & CARP_HOLD_DISABLED)
		return CARP_DISABLED;
	return holds & ~(unsigned int)CARP_HOLD_NOT_READY ? CARP_INIT : CARP_BACKUP;
}

void carp_init(struct carp *c, const struct carp_settings *set, uint64_t node, uint64_t now_ns)
{
	*c = (struct carp){ .set = *set,
			    .node = node,
			    .holds = CARP_HOLD_LINK,
			    .why = CARP_WHY_START,
			    .since_ns = now_ns,
			    .next_ns = CARP_NEVER };
}

unsigned int carp_settings(struct carp *c, const struct carp_settings *set, uint64_t now_ns)
{
	c->set = *set;
	if (c->role == CARP_BACKUP)
		c->next_ns = now_ns + carp_patience_ns(c);
	else if (c->role == CARP_MASTER)
		c->next_ns = now_ns; /* the others should know at once */
	return 0;
}

unsigned int carp_facts(struct carp *c, unsigned int holds, uint32_t demotion, uint64_t now_ns)
{
	enum carp_role may = role_of_holds(holds);
	bool was_demoted = c->demotion != demotion;
	unsigned int acts = 0;

	c->holds = holds;
	c->demotion = demotion;
	if (may != CARP_BACKUP && c->role != may) {
		/* where the link is down nobody hears it, but one that a switch has taken may be heard */
		acts = c->role == CARP_MASTER ? CARP_ACT_BOW_OUT : 0;
		return acts | become(c, may, CARP_WHY_HELD, now_ns);
	}
	if (may == CARP_BACKUP && c->role != CARP_BACKUP && c->role != CARP_MASTER)
		return become(c, CARP_BACKUP, CARP_WHY_START, now_ns);
	if (c->role == CARP_BACKUP && c->next_ns == CARP_NEVER)
		carp_vacant(c, now_ns);
	if (c->role == CARP_MASTER && was_demoted) {
		c->next_ns = now_ns + carp_interval_ns(c);
		acts = CARP_ACT_ADVERT; /* who is better now should hear it without waiting */
	}
	return acts;
}

/* ---- adverts ---- */

/* < 0: this node is better; > 0: the other one; 0: neither. In us, as claims are told */
static int compare(const struct carp *c, const struct carp_claim *claim)
{
	uint64_t mine = carp_interval_ns(c) / 1000, its = claim->interval_ns / 1000;

	if (c->demotion != claim->demotion)
		return c->demotion < claim->demotion ? -1 : 1;
	if (mine != its)
		return mine < its ? -1 : 1;
	return 0;
}

/* Two masters, one of which must stay: of equals the lower name does, where both tell theirs. */
static bool stays(const struct carp *c, const struct carp_claim *claim)
{
	int better = compare(c, claim);

	return better ? better < 0 : c->node && claim->node && c->node < claim->node;
}

/* The master takes its time: to a node that waits less, it is dead between two adverts. */
static bool is_too_slow(const struct carp *c, const struct carp_claim *claim)
{
	return claim->interval_ns > carp_patience_ns(c);
}

/* Until its next one is due */
static void note_best(struct carp *c, const struct carp_claim *claim, uint64_t now_ns)
{
	if (!claim->leaves && compare(c, claim) >= 0) {
		c->best_node = claim->node;
		c->best_until_ns = now_ns + claim->interval_ns;
	} else if (claim->node == c->best_node) {
		c->best_node = 0;
	}
}

/* Of several nodes one has taken over from another, whose last word comes late, by the other way: there is a better master already. */
static bool is_outdone(const struct carp *c, const struct carp_claim *claim, uint64_t now_ns)
{
	return claim->node && c->best_node && claim->node != c->best_node && now_ns < c->best_until_ns &&
	       compare(c, claim) < 0;
}

static unsigned int heard_as_backup(struct carp *c, const struct carp_claim *claim, uint64_t now_ns)
{
	bool may_take = !(c->holds & CARP_HOLD_NOT_READY);

	c->gave_time = false;
	note_best(c, claim, now_ns);
	if (is_outdone(c, claim, now_ns))
		return 0;
	c->awaited = claim->leaves ? 0 : claim->node;
	if (claim->leaves || is_too_slow(c, claim)) {
		c->next_ns = CARP_NEVER; /* as if its time were over */
		return may_take ? become(c, CARP_MASTER, CARP_WHY_LEFT, now_ns) : 0;
	}
	if (may_take && c->demotion < claim->demotion)
		return become(c, CARP_MASTER, CARP_WHY_DEMOTED, now_ns);
	if (may_take && c->set.preempt && compare(c, claim) < 0)
		return become(c, CARP_MASTER, CARP_WHY_BETTER, now_ns);
	c->next_ns = now_ns + carp_patience_ns(c);
	return 0;
}

/* The better one of two masters stays, and tells everybody again where its addresses are: the other had told so too. */
static unsigned int heard_as_master(struct carp *c, const struct carp_claim *claim, uint64_t now_ns)
{
	unsigned int acts;

	if (claim->leaves || stays(c, claim)) {
		if (now_ns - c->insisted_ns < carp_interval_ns(c))
			return 0;
		c->insisted_ns = now_ns;
		c->next_ns = now_ns + carp_interval_ns(c);
		return CARP_ACT_ADVERT | CARP_ACT_ANNOUNCE;
	}
	note_best(c, claim, now_ns);
	acts = become(c, CARP_BACKUP, CARP_WHY_YIELDS, now_ns);
	c->awaited = claim->node;
	return acts;
}

unsigned int carp_heard(struct carp *c, const struct carp_claim *claim, uint64_t now_ns)
{
	if (c->role == CARP_BACKUP)
		return heard_as_backup(c, claim, now_ns);
	return c->role == CARP_MASTER ? heard_as_master(c, claim, now_ns) : 0;
}

unsigned int carp_heard_elsewhere(struct carp *c, const struct carp_claim *claim, uint64_t now_ns)
{
	if (c->role != CARP_BACKUP || c->holds & CARP_HOLD_NOT_READY || !claim->node || claim->node != c->awaited ||
	    c->demotion >= claim->demotion)
		return 0;
	return become(c, CARP_MASTER, CARP_WHY_DEMOTED, now_ns);
}

static bool gives_time(struct carp *c, uint64_t now_ns)
{
	if (c->gave_time || now_ns - c->next_ns < carp_interval_ns(c) / 2)
		return false;
	c->gave_time = true;
	c->next_ns = now_ns + carp_interval_ns(c);
	return true;
}

unsigned int carp_run(struct carp *c, uint64_t now_ns)
{
	if (now_ns < c->next_ns)
		return 0;
	if (c->role == CARP_MASTER) {
		c->next_ns += carp_interval_ns(c);
		if (c->next_ns <= now_ns)
			c->next_ns = now_ns + carp_interval_ns(c); /* late: what is missed is not made up for */
		return CARP_ACT_ADVERT;
	}
	if (c->role != CARP_BACKUP || gives_time(c, now_ns))
		return 0;
	if (!(c->holds & CARP_HOLD_NOT_READY))
		return become(c, CARP_MASTER, CARP_WHY_TIMEOUT, now_ns);
	c->next_ns = CARP_NEVER; /* they are nobody's; see carp_facts() */
	return 0;
}

unsigned int carp_hand_over(struct carp *c, uint64_t now_ns)
{
	if (c->role != CARP_MASTER)
		return 0;
	return CARP_ACT_BOW_OUT | become(c, CARP_BACKUP, CARP_WHY_HANDS_OVER, now_ns);
}

bool carp_vacant(struct carp *c, uint64_t now_ns)
{
	uint64_t at_ns = now_ns + carp_interval_ns(c) - shortest_ns(c);

	if (c->role != CARP_BACKUP || c->holds & CARP_HOLD_NOT_READY || at_ns >= c->next_ns)
		return false;
	c->next_ns = at_ns;
	return true;
}

void carp_held_up(struct carp *c, uint64_t now_ns)
{
	if (c->role == CARP_BACKUP && c->next_ns == CARP_NEVER)
		c->next_ns = now_ns + carp_patience_ns(c);
}

bool carp_is_late(const struct carp *c, uint64_t now_ns)
{
	return c->role == CARP_MASTER && now_ns + carp_interval_ns(c) > c->next_ns + LOST * shortest_ns(c);
}

unsigned int carp_lapse(struct carp *c, uint64_t now_ns)
{
	return become(c, CARP_BACKUP, CARP_WHY_LATE, now_ns);
}
