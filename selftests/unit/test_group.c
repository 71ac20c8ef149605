// SPDX-License-Identifier: GPL-2.0-only
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "user/gateway/group.h"

#define MEMBERS_MAX 80

/* Gateways are numbered from 1 on, in the order of the members */
struct fixture {
	struct group g;
	struct group_member members[MEMBERS_MAX];
	struct group_state states[MEMBERS_MAX];
};

/* { tier, weight }, all unknown */
static void make(struct fixture *f, enum config_trigger trigger, enum config_failback failback,
		 const unsigned int (*members)[2], size_t n)
{
	size_t i;

	memset(f, 0, sizeof(*f));
	for (i = 0; i < n; i++)
		f->members[i] =
			(struct group_member){ .gateway = i + 1, .tier = members[i][0], .weight = members[i][1] };
	group_init(&f->g, FL_INET6, trigger, failback, f->members, n);
}
#define MAKE(f, trigger, failback, ...) \
	make(f, trigger, failback, (const unsigned int[][2]){ __VA_ARGS__ }, \
	     sizeof((const unsigned int[][2]){ __VA_ARGS__ }) / sizeof(unsigned int[2]))

static struct group_state *state(struct fixture *f, uint16_t gateway)
{
	size_t i;

	for (i = 0; f->members[i].gateway != gateway; i++)
		;
	return &f->states[i];
}

/*
 * 'u': up, 'd': down, '?': unknown, 'l': loss, 's': slow, 'b': both; '4': up, and takes IPv4 only, '5': unknown, and so, '0': unknown, as
 * its families are; of gateway 1, 2, …
 */
static bool decide(struct fixture *f, const char *states)
{
	size_t i;

	for (i = 0; states[i]; i++)
		*state(f, i + 1) = (struct group_state){ .health = strchr("?50", states[i]) ? GROUP_UNKNOWN
								   : states[i] == 'd'	    ? GROUP_DOWN
											    : GROUP_UP,
							 .families = strchr("45", states[i]) ? FL_INET
								     : states[i] == '0'	     ? 0
											     : FL_BOTH,
							 .loss_fails = states[i] == 'l' || states[i] == 'b',
							 .latency_fails = states[i] == 's' || states[i] == 'b' };
	return group_decide(&f->g, f->states);
}

static unsigned int slots_of(const struct fixture *f, uint16_t gateway)
{
	unsigned int n = 0, i;

	for (i = 0; i < GROUP_SLOTS; i++)
		n += f->g.slots[i] == gateway;
	return n;
}

/* The slots of gateway 1, 2, … as text */
static const char *shares(const struct fixture *f)
{
	static char text[512];
	size_t i;

	text[0] = '\0';
	for (i = 0; i < f->g.n_members; i++)
		sprintf(text + strlen(text), "%s%u", i ? " " : "", slots_of(f, i + 1));
	for (i = 0; i < f->g.n_members; i++)
		cr_expect_eq(f->members[i].active, slots_of(f, f->members[i].gateway) > 0);
	return text;
}

static unsigned int moved(const uint16_t *before, const struct fixture *f)
{
	unsigned int n = 0, i;

	for (i = 0; i < GROUP_SLOTS; i++)
		n += before[i] != f->g.slots[i];
	return n;
}

Test(group, the_lowest_tier_with_a_usable_member_carries)
{
	struct fixture f;

	MAKE(&f, CONFIG_TRIGGER_DOWN, CONFIG_FAILBACK_MOVE, { 2, 1 }, { 1, 1 }, { 7, 1 });
	cr_expect_not(decide(&f, "???"));
	cr_expect_str_eq(shares(&f), "0 0 0", "unknown ones are not usable");
	cr_expect(decide(&f, "uuu"));
	cr_expect_str_eq(shares(&f), "0 60 0");
	cr_expect_eq(f.g.tier, 1u);
	cr_expect_not(decide(&f, "uuu"));
	cr_expect(decide(&f, "udu"));
	cr_expect_str_eq(shares(&f), "60 0 0");
	cr_expect_not(decide(&f, "udd"), "who does not carry moves nothing");
	cr_expect(decide(&f, "ddu"));
	cr_expect_str_eq(shares(&f), "0 0 60");
	cr_expect(decide(&f, "ddd"));
	cr_expect_str_eq(shares(&f), "0 0 0");
	cr_expect_eq(f.g.tier, 0u);
	cr_expect(decide(&f, "udd"));
	cr_expect_str_eq(shares(&f), "60 0 0", "the other comes back first");
	cr_expect(decide(&f, "uud"));
	cr_expect_str_eq(shares(&f), "0 60 0");
}

Test(group, triggers)
{
	static const struct {
		enum config_trigger trigger;
		const char *usable; /* of the states "ulsbd?" */
	} cases[] = {
		{ CONFIG_TRIGGER_DOWN, "ulsb" },
		{ CONFIG_TRIGGER_LOSS, "us" },
		{ CONFIG_TRIGGER_LATENCY, "ul" },
		{ CONFIG_TRIGGER_LOSS_OR_LATENCY, "u" },
	};
	const char *all = "ulsbd?";
	unsigned int i, k;

	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		for (k = 0; all[k]; k++) {
			struct fixture f;
			char states[] = { all[k], 'u', '\0' };

			MAKE(&f, cases[i].trigger, CONFIG_FAILBACK_MOVE, { 1, 1 }, { 2, 1 });
			decide(&f, states);
			cr_expect_eq(slots_of(&f, 1), strchr(cases[i].usable, all[k]) ? 60u : 0u, "trigger %d, %c",
				     cases[i].trigger, all[k]);
			cr_expect_eq(slots_of(&f, 2), 60 - slots_of(&f, 1));
		}
}

Test(group, weights)
{
	struct fixture f;

	MAKE(&f, CONFIG_TRIGGER_DOWN, CONFIG_FAILBACK_MOVE, { 1, 1 }, { 1, 1 }, { 1, 1 });
	decide(&f, "uuu");
	cr_expect_str_eq(shares(&f), "20 20 20");
	MAKE(&f, CONFIG_TRIGGER_DOWN, CONFIG_FAILBACK_MOVE, { 1, 3 }, { 1, 1 });
	decide(&f, "uu");
	cr_expect_str_eq(shares(&f), "45 15");
	MAKE(&f, CONFIG_TRIGGER_DOWN, CONFIG_FAILBACK_MOVE, { 1, 1 }, { 1, 1 }, { 1, 1 }, { 1, 1 }, { 1, 1 }, { 1, 1 },
	     { 1, 1 });
	decide(&f, "uuuuuuu");
	cr_expect_str_eq(shares(&f), "9 9 9 9 8 8 8"); /* 8 4/7 each */
	MAKE(&f, CONFIG_TRIGGER_DOWN, CONFIG_FAILBACK_MOVE, { 1, 1000000 }, { 1, 1 }, { 1, 1 });
	decide(&f, "uuu");
	cr_expect_str_eq(shares(&f), "58 1 1", "nobody has none");
	decide(&f, "duu");
	cr_expect_str_eq(shares(&f), "0 30 30");
}

Test(group, slots_of_one_are_spread)
{
	struct fixture f;
	unsigned int i, last = 0;

	MAKE(&f, CONFIG_TRIGGER_DOWN, CONFIG_FAILBACK_MOVE, { 1, 3 }, { 1, 1 });
	decide(&f, "uu");
	for (i = 0; i < GROUP_SLOTS; i++) {
		if (f.g.slots[i] != 2)
			continue;
		cr_expect_leq(i - last, 4u);
		last = i;
	}
}

Test(group, only_those_of_the_lost_one_move)
{
	uint16_t all[GROUP_SLOTS], one_out[GROUP_SLOTS];
	struct fixture f;

	MAKE(&f, CONFIG_TRIGGER_DOWN, CONFIG_FAILBACK_MOVE, { 1, 3 }, { 1, 2 }, { 1, 1 }, { 1, 4 });
	decide(&f, "uuuu");
	cr_expect_str_eq(shares(&f), "18 12 6 24");
	memcpy(all, f.g.slots, sizeof(all));
	decide(&f, "uuud");
	cr_expect_eq(moved(all, &f), 24u);
	cr_expect_str_eq(shares(&f), "30 20 10 0", "the others have them by weight");
	memcpy(one_out, f.g.slots, sizeof(one_out));
	decide(&f, "duud");
	cr_expect_eq(moved(one_out, &f), 30u);
	cr_expect_str_eq(shares(&f), "0 40 20 0");
	memcpy(one_out, f.g.slots, sizeof(one_out));
	decide(&f, "duuu");
	cr_expect_eq(moved(one_out, &f), 33u,
		     "back in the other order: its own 24, and its share of those of the lost one");
	cr_expect_str_eq(shares(&f), "0 18 9 33");
	decide(&f, "uuuu");
	cr_expect_eq(moved(all, &f), 0u);
	decide(&f, "dddu");
	decide(&f, "uddu");
	decide(&f, "uuuu");
	cr_expect_eq(moved(all, &f), 0u);
}

Test(group, weights_hold_whoever_comes_first)
{
	struct fixture f;

	MAKE(&f, CONFIG_TRIGGER_DOWN, CONFIG_FAILBACK_MOVE, { 1, 1 }, { 1, 2 }, { 1, 3 });
	decide(&f, "u?4");
	decide(&f, "uu4");
	cr_expect_str_eq(shares(&f), "20 40 0", "slots of one that lacks the family");
	decide(&f, "duu");
	decide(&f, "dud");
	decide(&f, "uud");
	cr_expect_str_eq(shares(&f), "20 40 0", "slots of one that is lost");
	cr_expect_not(decide(&f, "uud"));
}

Test(group, more_members_than_slots)
{
	unsigned int members[70][2], i, with = 0;
	char states[71] = "";
	struct fixture f;

	for (i = 0; i < 70; i++) {
		members[i][0] = 1;
		members[i][1] = 1 + i % 3;
		states[i] = 'u';
	}
	make(&f, CONFIG_TRIGGER_DOWN, CONFIG_FAILBACK_MOVE, members, 70);
	decide(&f, states);
	for (i = 1; i <= 70; i++)
		with += slots_of(&f, i) == 1;
	cr_expect_eq(with, 60u);
	memset(states, 'd', 69);
	decide(&f, states);
	cr_expect_eq(slots_of(&f, 70), 60u);
}

Test(group, keep_stays_until_there_is_nobody_left)
{
	struct fixture f;

	MAKE(&f, CONFIG_TRIGGER_DOWN, CONFIG_FAILBACK_KEEP, { 1, 1 }, { 2, 1 }, { 2, 1 });
	decide(&f, "uuu");
	cr_expect_str_eq(shares(&f), "60 0 0");
	decide(&f, "duu");
	cr_expect_str_eq(shares(&f), "0 30 30");
	decide(&f, "uuu");
	cr_expect_str_eq(shares(&f), "0 30 30");
	decide(&f, "uud");
	cr_expect_str_eq(shares(&f), "0 60 0");
	decide(&f, "uuu");
	cr_expect_str_eq(shares(&f), "0 30 30", "within its tier all that are usable carry");
	decide(&f, "udd");
	cr_expect_str_eq(shares(&f), "60 0 0");
	decide(&f, "uuu");
	cr_expect_str_eq(shares(&f), "60 0 0");
}

/* At a start the first answer may come from the second tier */
Test(group, keep_waits_for_what_is_unknown)
{
	struct fixture f;

	MAKE(&f, CONFIG_TRIGGER_DOWN, CONFIG_FAILBACK_KEEP, { 1, 1 }, { 2, 1 });
	decide(&f, "?u");
	cr_expect_str_eq(shares(&f), "0 60");
	decide(&f, "uu");
	cr_expect_str_eq(shares(&f), "60 0");
	MAKE(&f, CONFIG_TRIGGER_DOWN, CONFIG_FAILBACK_KEEP, { 1, 1 }, { 2, 1 });
	decide(&f, "?u");
	decide(&f, "du");
	decide(&f, "uu");
	cr_expect_str_eq(shares(&f), "0 60", "it was down when the second was chosen");
}

Test(group, move_and_drain_go_back)
{
	struct fixture f;

	MAKE(&f, CONFIG_TRIGGER_DOWN, CONFIG_FAILBACK_DRAIN, { 1, 1 }, { 2, 1 });
	decide(&f, "du");
	decide(&f, "uu");
	cr_expect_str_eq(shares(&f), "60 0");
}

Test(group, takes_over_what_carried)
{
	uint16_t before[GROUP_SLOTS];
	struct fixture f;
	unsigned int i;

	MAKE(&f, CONFIG_TRIGGER_DOWN, CONFIG_FAILBACK_KEEP, { 1, 1 }, { 2, 1 }, { 2, 1 }, { 2, 1 });
	decide(&f, "dudu");
	decide(&f, "duud");
	memcpy(before, f.g.slots, sizeof(before));
	MAKE(&f, CONFIG_TRIGGER_DOWN, CONFIG_FAILBACK_KEEP, { 1, 1 }, { 2, 1 }, { 2, 1 }, { 2, 1 });
	group_take_over(&f.g, before);
	cr_expect_not(decide(&f, "uuud"));
	cr_expect_str_eq(shares(&f), "0 30 30 0");
	decide(&f, "uuuu");
	cr_expect_str_eq(shares(&f), "0 20 20 20");
	for (i = 0; i < GROUP_SLOTS; i++)
		before[i] = 9; /* no member any more */
	MAKE(&f, CONFIG_TRIGGER_DOWN, CONFIG_FAILBACK_KEEP, { 1, 1 }, { 2, 1 });
	group_take_over(&f.g, before);
	decide(&f, "uu");
	cr_expect_str_eq(shares(&f), "60 0");
}

Test(group, who_lacks_the_family_is_no_member)
{
	uint16_t without[GROUP_SLOTS];
	struct fixture f;

	MAKE(&f, CONFIG_TRIGGER_DOWN, CONFIG_FAILBACK_MOVE, { 1, 1 }, { 2, 3 }, { 2, 5 }, { 2, 1 });
	cr_expect(decide(&f, "4u4u"));
	cr_expect_str_eq(shares(&f), "0 45 0 15", "by weight among those of the family");
	cr_expect_eq(f.g.tier, 2u);
	cr_expect_not(f.members[0].takes || f.members[2].takes);
	cr_expect_not(decide(&f, "du?u"), "whatever becomes of the others");
	memcpy(without, f.g.slots, sizeof(without));
	cr_expect(decide(&f, "4uuu"), "it has learned the family");
	cr_expect_eq(slots_of(&f, 3), 33u);
	decide(&f, "4u4u");
	cr_expect_eq(moved(without, &f), 0u);
	cr_expect(decide(&f, "4d4d"));
	cr_expect_eq(f.g.tier, 0u);
}

Test(group, keep_waits_for_those_of_the_family)
{
	struct fixture f;

	MAKE(&f, CONFIG_TRIGGER_DOWN, CONFIG_FAILBACK_KEEP, { 1, 1 }, { 2, 1 });
	decide(&f, "5u");
	decide(&f, "uu");
	cr_expect_str_eq(shares(&f), "0 60", "what is unknown of the other family is no matter");
	MAKE(&f, CONFIG_TRIGGER_DOWN, CONFIG_FAILBACK_KEEP, { 1, 1 }, { 2, 1 });
	decide(&f, "0u");
	decide(&f, "uu");
	cr_expect_str_eq(shares(&f), "60 0", "it may have taken it");
}
