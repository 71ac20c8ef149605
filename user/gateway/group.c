// SPDX-License-Identifier: GPL-2.0-only
#include <string.h>

#include "user/gateway/group.h"

/* Stable, unlike qsort(); there are few */
static void sort(struct group_member *members, size_t n)
{
	size_t i, k;

	for (i = 1; i < n; i++)
		for (k = i; k > 0 && members[k - 1].tier > members[k].tier; k--) {
			struct group_member swap = members[k];

			members[k] = members[k - 1];
			members[k - 1] = swap;
		}
}

void group_init(struct group *g, enum fl_family family, enum config_trigger trigger, enum config_failback failback,
		struct group_member *members, size_t n_members)
{
	sort(members, n_members);
	*g = (struct group){
		.family = family, .trigger = trigger, .failback = failback, .members = members, .n_members = n_members
	};
}

static struct group_member *find(const struct group *g, uint16_t gateway)
{
	size_t i;

	for (i = 0; i < g->n_members; i++)
		if (g->members[i].gateway == gateway)
			return &g->members[i];
	return NULL;
}

void group_take_over(struct group *g, const uint16_t slots[GROUP_SLOTS])
{
	const struct group_member *member;
	unsigned int i;

	for (i = 0; i < GROUP_SLOTS; i++) {
		member = slots[i] ? find(g, slots[i]) : NULL;
		g->slots[i] = member ? slots[i] : 0;
		if (member)
			g->tier = member->tier;
	}
	g->settled = g->tier != 0;
}

/* ---- which tier ---- */

static bool usable(const struct group *g, const struct group_state *s)
{
	static const struct {
		bool loss, latency;
	} triggers[] = {
		[CONFIG_TRIGGER_DOWN] = { false, false },
		[CONFIG_TRIGGER_LOSS] = { true, false },
		[CONFIG_TRIGGER_LATENCY] = { false, true },
		[CONFIG_TRIGGER_LOSS_OR_LATENCY] = { true, true },
	};

	return s->health == GROUP_UP && s->families & g->family && !(s->loss_fails && triggers[g->trigger].loss) &&
	       !(s->latency_fails && triggers[g->trigger].latency);
}

static bool has_usable(const struct group *g, uint32_t tier)
{
	size_t i;

	for (i = 0; i < g->n_members; i++)
		if (g->members[i].tier == tier && g->members[i].usable)
			return true;
	return false;
}

static uint32_t best_tier(const struct group *g)
{
	size_t i;

	for (i = 0; i < g->n_members; i++)
		if (g->members[i].usable)
			return g->members[i].tier;
	return 0;
}

/* Whether it may take the family, and it is not known whether it can be used. */
static bool is_unknown(const struct group *g, const struct group_state *s)
{
	return s->health == GROUP_UNKNOWN && (!s->families || s->families & g->family);
}

static bool is_known_below(const struct group *g, const struct group_state *states, uint32_t tier)
{
	size_t i;

	for (i = 0; i < g->n_members; i++)
		if (g->members[i].tier < tier && is_unknown(g, &states[i]))
			return false;
	return true;
}

/* With `keep` the first choice counts only once it was one: a better tier may just not have been probed yet, after a start */
static uint32_t choose_tier(struct group *g, const struct group_state *states)
{
	uint32_t best = best_tier(g);

	if (g->failback == CONFIG_FAILBACK_KEEP && g->settled && has_usable(g, g->tier))
		return g->tier;
	g->settled = best && is_known_below(g, states, best);
	return best;
}

/* ---- sharing ---- */

static bool carries(const struct group *g, const struct group_member *m)
{
	return m->tier == g->tier;
}

static uint64_t weights(const struct group *g, bool usable_only)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < g->n_members; i++)
		if (carries(g, &g->members[i]) && (g->members[i].usable || !usable_only))
			sum += g->members[i].weight;
	return sum;
}

/* The carrying member that comes first by `key`, of those with any; NULL: none */
static struct group_member *most(const struct group *g, int64_t (*key)(const struct group_member *, int64_t),
				 int64_t arg)
{
	struct group_member *best = NULL;
	size_t i;

	for (i = 0; i < g->n_members; i++) {
		struct group_member *m = &g->members[i];

		if (carries(g, m) && key(m, arg) != INT64_MIN && (!best || key(m, arg) > key(best, arg)))
			best = m;
	}
	return best;
}

static int64_t rest_of_share(const struct group_member *m, int64_t sum)
{
	return (int64_t)m->weight * GROUP_SLOTS - m->share * sum;
}

static int64_t by_share(const struct group_member *m, int64_t unused)
{
	(void)unused;
	return m->share;
}

static int64_t without_any(const struct group_member *m, int64_t unused)
{
	(void)unused;
	return m->share ? INT64_MIN : 0;
}

/* Largest remainder; and nobody has none, as long as there are enough */
static void share_out(struct group *g)
{
	struct group_member *none;
	int64_t sum = (int64_t)weights(g, false);
	uint32_t left = GROUP_SLOTS;
	size_t i;

	for (i = 0; i < g->n_members; i++) {
		struct group_member *m = &g->members[i];

		m->share = carries(g, m) ? (int64_t)m->weight * GROUP_SLOTS / sum : 0;
		left -= m->share;
	}
	for (; left; left--)
		most(g, rest_of_share, sum)->share++;
	while ((none = most(g, without_any, 0)) && most(g, by_share, 0)->share > 1) {
		most(g, by_share, 0)->share--;
		none->share++;
	}
}

static int64_t by_credit(const struct group_member *m, int64_t unused)
{
	(void)unused;
	return m->credit;
}

/* Whose each slot is when all are usable: mixed as evenly as can be */
static void lay_out(struct group *g, struct group_member *owners[GROUP_SLOTS])
{
	unsigned int slot;
	size_t i;

	share_out(g);
	for (i = 0; i < g->n_members; i++)
		g->members[i].credit = 0;
	for (slot = 0; slot < GROUP_SLOTS; slot++) {
		for (i = 0; i < g->n_members; i++)
			g->members[i].credit += g->members[i].share;
		owners[slot] = most(g, by_credit, 0);
		owners[slot]->credit -= GROUP_SLOTS;
	}
}

static int64_t lacks(const struct group_member *m, int64_t sum)
{
	return m->usable ? (int64_t)m->weight * GROUP_SLOTS - m->n_slots * sum : INT64_MIN;
}

static bool may_have(const struct group *g, const struct group_member *m)
{
	return m && m->usable && carries(g, m);
}

static void give(struct group *g, unsigned int slot, struct group_member *m)
{
	g->slots[slot] = m->gateway;
	m->n_slots++;
}

/* First whose they are; then who has had them of a lost one, as far as its weight goes; the rest to whom most is lacking by weight */
static void give_slots(struct group *g)
{
	struct group_member *owners[GROUP_SLOTS], *m;
	int64_t sum = (int64_t)weights(g, true);
	uint16_t before[GROUP_SLOTS];
	unsigned int slot;

	memcpy(before, g->slots, sizeof(before));
	memset(g->slots, 0, sizeof(g->slots));
	lay_out(g, owners);
	for (slot = 0; slot < GROUP_SLOTS; slot++)
		if (may_have(g, owners[slot]))
			give(g, slot, owners[slot]);
	for (slot = 0; slot < GROUP_SLOTS; slot++) {
		m = g->slots[slot] || !before[slot] ? NULL : find(g, before[slot]);
		if (may_have(g, m) && lacks(m, sum) > 0)
			give(g, slot, m);
	}
	for (slot = 0; slot < GROUP_SLOTS; slot++)
		if (!g->slots[slot])
			give(g, slot, most(g, lacks, sum));
}

bool group_decide(struct group *g, const struct group_state *states)
{
	uint16_t before[GROUP_SLOTS];
	size_t i;

	memcpy(before, g->slots, sizeof(before));
	for (i = 0; i < g->n_members; i++) {
		g->members[i].takes = states[i].families & g->family;
		g->members[i].usable = usable(g, &states[i]);
		g->members[i].n_slots = 0;
	}
	g->tier = choose_tier(g, states);
	if (g->tier)
		give_slots(g);
	else
		memset(g->slots, 0, sizeof(g->slots));
	for (i = 0; i < g->n_members; i++)
		g->members[i].active = g->members[i].n_slots > 0;
	return memcmp(before, g->slots, sizeof(before)) != 0;
}
