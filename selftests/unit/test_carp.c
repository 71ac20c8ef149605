// SPDX-License-Identifier: GPL-2.0-only
/* The machine of a vhid: alone by the rules of OpenBSD's and FreeBSD's ip_carp.c, and two or three of them on a wire that breaks. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "user/vip/carp.h"

#define MS 1000000ull
#define S 1000000000ull
#define SKEW(n) ((n)*S / 256)

static const struct carp_settings plain = { .advbase_s = 1 };

static struct carp backup_of(const struct carp_settings *set)
{
	struct carp c;

	carp_init(&c, set, 0, 0);
	cr_expect_eq(c.role, CARP_INIT);
	cr_expect_eq(c.next_ns, CARP_NEVER);
	cr_expect_eq(carp_facts(&c, 0, 0, 0), 0u);
	cr_expect_eq(c.role, CARP_BACKUP);
	return c;
}

static struct carp master_of(const struct carp_settings *set)
{
	struct carp c = backup_of(set);
	uint64_t at = c.next_ns;

	cr_expect_eq(carp_run(&c, at - 1), 0u);
	cr_expect_eq(carp_run(&c, at), CARP_ACT_TAKE | CARP_ACT_ADVERT | CARP_ACT_ANNOUNCE);
	cr_expect_eq(c.role, CARP_MASTER);
	return c;
}

static struct carp_claim claim_of(uint8_t advbase_s, uint8_t advskew)
{
	return (struct carp_claim){ .interval_ns = carp_interval_of(advbase_s, advskew) };
}

Test(carp, times)
{
	static const struct {
		struct carp_settings set;
		uint64_t interval, patience;
	} cases[] = {
		{ { .advbase_s = 1 }, S, 3 * S },
		{ { .advbase_s = 1, .advskew = 100 }, S + SKEW(100), 3 * S + SKEW(100) },
		{ { .advbase_s = 3, .advskew = 254 }, 3 * S + SKEW(254), 9 * S + SKEW(254) },
		{ { .advbase_s = 0 }, SKEW(1), 3 * SKEW(1) },
		{ { .advbase_s = 0, .advskew = 20 }, SKEW(20), 3 * SKEW(20) },
		{ { .advbase_s = 1, .fast_ms = 10 }, 10 * MS, 30 * MS },
		{ { .advbase_s = 1, .advskew = 128, .fast_ms = 10 }, 15 * MS, 35 * MS },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct carp c = backup_of(&cases[i].set);

		cr_expect_eq(c.next_ns, cases[i].patience, "%zu: %llu", i, (unsigned long long)c.next_ns);
		carp_run(&c, c.next_ns);
		cr_expect_eq(c.next_ns, cases[i].patience + cases[i].interval, "%zu", i);
	}
}

Test(carp, a_master_says_so_each_interval)
{
	struct carp c = master_of(&plain);

	for (uint64_t at = 4 * S; at <= 6 * S; at += S) {
		cr_expect_eq(c.next_ns, at);
		cr_expect_eq(carp_run(&c, at), CARP_ACT_ADVERT);
	}
	cr_expect_eq(carp_run(&c, 60 * S), CARP_ACT_ADVERT, "what was missed is not made up for");
	cr_expect_eq(c.next_ns, 61 * S);
}

Test(carp, a_backup_waits_while_it_hears_the_master)
{
	const struct carp_claim worse = claim_of(1, 100), better = claim_of(1, 0);
	struct carp c = backup_of(&(struct carp_settings){ .advbase_s = 1, .advskew = 50 });

	cr_expect_eq(carp_heard(&c, &worse, 2 * S), 0u, "no preemption");
	cr_expect_eq(c.next_ns, 5 * S + SKEW(50));
	c.set.preempt = true;
	cr_expect_eq(carp_heard(&c, &better, 3 * S), 0u);
	cr_expect_eq(carp_heard(&c, &(struct carp_claim){ .interval_ns = carp_interval_ns(&c), .node = 9 }, 4 * S), 0u,
		     "an equal is left alone");
	cr_expect_eq(carp_heard(&c, &worse, 5 * S), CARP_ACT_TAKE | CARP_ACT_ADVERT | CARP_ACT_ANNOUNCE);
	cr_expect_eq(c.why, CARP_WHY_BETTER);
	cr_expect_eq(c.since_ns, 5 * S);
}

Test(carp, a_master_yields_to_one_as_good)
{
	static const struct {
		struct carp_claim claim;
		bool yields;
	} cases[] = {
		{ { .interval_ns = S + SKEW(49) }, true },
		{ { .interval_ns = S + SKEW(50) }, true },
		{ { .interval_ns = S + SKEW(50), .node = 3 }, true },
		{ { .interval_ns = S + SKEW(50), .node = 8 }, false },
		{ { .interval_ns = S + SKEW(51), .node = 3 }, false },
		{ { .interval_ns = S, .demotion = 1 }, false },
		{ { .interval_ns = S, .leaves = true }, false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct carp c = master_of(&(struct carp_settings){ .advbase_s = 1, .advskew = 50 });

		c.node = 5;
		cr_expect_eq(carp_heard(&c, &cases[i].claim, 9 * S),
			     cases[i].yields ? CARP_ACT_RELEASE : CARP_ACT_ADVERT | CARP_ACT_ANNOUNCE, "%zu", i);
		cr_expect_eq(c.role, cases[i].yields ? CARP_BACKUP : CARP_MASTER, "%zu", i);
	}
}

Test(carp, demotion)
{
	struct carp c = master_of(&plain);

	cr_expect_eq(carp_facts(&c, 0, 2, 9 * S), CARP_ACT_ADVERT, "at once");
	cr_expect_eq(carp_advskew(&c), 2, "for those that know of no demotion");
	carp_facts(&c, 0, 240, 9 * S);
	cr_expect_eq(carp_advskew(&c), 240);
	carp_facts(&c, 0, 999, 9 * S);
	cr_expect_eq(carp_advskew(&c), 240);
	c.set.advskew = 254;
	cr_expect_eq(carp_advskew(&c), 254, "of one in maintenance it is more");

	c = backup_of(&plain);
	cr_expect_eq(carp_heard(&c, &(struct carp_claim){ .interval_ns = S, .demotion = 1 }, S),
		     CARP_ACT_TAKE | CARP_ACT_ADVERT | CARP_ACT_ANNOUNCE, "also without preempt");
	cr_expect_eq(c.why, CARP_WHY_DEMOTED);
	c = backup_of(&(struct carp_settings){ .advbase_s = 1, .preempt = true });
	carp_facts(&c, 0, 1, 0);
	cr_expect_eq(carp_heard(&c, &(struct carp_claim){ .interval_ns = S + SKEW(100) }, S), 0u);
}

Test(carp, the_master_leaves)
{
	const struct carp_claim bow_out = claim_of(255, 255);
	struct carp c = backup_of(&plain);

	cr_expect_eq(carp_heard(&c, &bow_out, S), CARP_ACT_TAKE | CARP_ACT_ADVERT | CARP_ACT_ANNOUNCE,
		     "as OpenBSD says it");
	c = backup_of(&plain);
	cr_expect_eq(carp_heard(&c, &(struct carp_claim){ .interval_ns = S, .leaves = true }, S),
		     CARP_ACT_TAKE | CARP_ACT_ADVERT | CARP_ACT_ANNOUNCE);
	c = master_of(&plain);
	cr_expect_eq(carp_hand_over(&c, 9 * S), CARP_ACT_BOW_OUT | CARP_ACT_RELEASE);
	cr_expect_eq(c.role, CARP_BACKUP);
	cr_expect_eq(carp_run(&c, 12 * S), CARP_ACT_TAKE | CARP_ACT_ADVERT | CARP_ACT_ANNOUNCE, "nobody wanted them");
	c = backup_of(&plain);
	cr_expect_eq(carp_hand_over(&c, S), 0u);
}

Test(carp, not_ready)
{
	struct carp c = backup_of(&(struct carp_settings){ .advbase_s = 1, .preempt = true });

	carp_facts(&c, CARP_HOLD_NOT_READY, 0, 0);
	cr_expect_eq(carp_heard(&c, &(struct carp_claim){ .interval_ns = 2 * S, .demotion = 3 }, S), 0u);
	cr_expect_eq(c.next_ns, 4 * S);
	carp_facts(&c, 0, 0, 2 * S);
	cr_expect_eq(c.next_ns, 4 * S, "a master that was heard is waited for as ever");
	cr_expect_eq(carp_run(&c, 4 * S), CARP_ACT_TAKE | CARP_ACT_ADVERT | CARP_ACT_ANNOUNCE);
}

Test(carp, what_nobody_has_is_taken_as_soon_as_it_is_ready)
{
	struct carp c = backup_of(&(struct carp_settings){ .advbase_s = 1, .advskew = 50, .preempt = true });

	carp_facts(&c, CARP_HOLD_NOT_READY, 0, 0);
	cr_expect_eq(carp_run(&c, c.next_ns), 0u);
	cr_expect_eq(c.next_ns, CARP_NEVER);
	carp_facts(&c, CARP_HOLD_NOT_READY, 2, 8 * S);
	cr_expect_eq(c.next_ns, CARP_NEVER);
	carp_facts(&c, 0, 0, 9 * S);
	cr_expect_eq(c.next_ns, 9 * S + SKEW(50), "a better one would be the first");
	cr_expect_eq(carp_run(&c, c.next_ns), CARP_ACT_TAKE | CARP_ACT_ADVERT | CARP_ACT_ANNOUNCE);

	c = backup_of(&plain);
	carp_facts(&c, CARP_HOLD_NOT_READY, 0, 0);
	cr_expect_eq(carp_heard(&c, &(struct carp_claim){ .interval_ns = S, .leaves = true }, S), 0u);
	cr_expect_eq(c.next_ns, CARP_NEVER);
	carp_heard(&c, &(struct carp_claim){ .interval_ns = S }, 8 * S);
	carp_facts(&c, 0, 0, 9 * S);
	cr_expect_eq(c.next_ns, 11 * S, "somebody has it meanwhile");
}

Test(carp, what_holds_it)
{
	struct carp c = master_of(&plain);

	cr_expect_eq(carp_facts(&c, CARP_HOLD_LINK, 0, 9 * S), CARP_ACT_BOW_OUT | CARP_ACT_RELEASE);
	cr_expect_eq(c.role, CARP_INIT);
	cr_expect_eq(carp_run(&c, 99 * S), 0u);
	cr_expect_eq(carp_heard(&c, &(struct carp_claim){ .leaves = true }, 99 * S), 0u);
	cr_expect_eq(carp_facts(&c, CARP_HOLD_DISABLED, 0, 100 * S), 0u);
	cr_expect_eq(c.role, CARP_DISABLED);
	carp_facts(&c, CARP_HOLD_SOURCE, 0, 101 * S);
	cr_expect_eq(c.role, CARP_INIT);
	carp_facts(&c, 0, 0, 102 * S);
	cr_expect_eq(c.role, CARP_BACKUP);
	cr_expect_eq(c.next_ns, 105 * S);
}

Test(carp, a_backup_that_runs_late_waits_for_what_it_may_have_missed)
{
	struct carp c = backup_of(&plain);

	cr_expect_eq(carp_run(&c, 3 * S + S / 2), 0u);
	cr_expect_eq(c.next_ns, 4 * S + S / 2);
	cr_expect_eq(carp_run(&c, 9 * S), CARP_ACT_TAKE | CARP_ACT_ADVERT | CARP_ACT_ANNOUNCE, "once");
	c = backup_of(&plain);
	cr_expect_eq(carp_run(&c, 3 * S + S / 4), CARP_ACT_TAKE | CARP_ACT_ADVERT | CARP_ACT_ANNOUNCE);
}

Test(carp, a_master_that_is_late_gives_them_up)
{
	struct carp c = master_of(&plain); /* since 3 s */

	cr_expect(!carp_is_late(&c, 6 * S));
	cr_expect(carp_is_late(&c, 6 * S + 1));
	cr_expect_eq(carp_lapse(&c, 7 * S), CARP_ACT_RELEASE);
	cr_expect_eq(c.role, CARP_BACKUP);
	cr_expect_eq(c.next_ns, 10 * S);
	cr_expect(!carp_is_late(&c, 99 * S));
}

/* Told in us, skews are no whole number of them: equals must be equal to both. */
Test(carp, equals_know_each_other)
{
	for (uint8_t skew = 0; skew < 240; skew++) {
		struct carp c = master_of(&(struct carp_settings){ .advbase_s = 1, .advskew = skew });
		const struct carp_claim told = { .interval_ns = carp_interval_ns(&c) / 1000 * 1000, .node = 8 };

		c.node = 5;
		carp_heard(&c, &told, 99 * S);
		cr_expect_eq(c.role, CARP_MASTER, "%u", skew);
	}
}

/* The second of three has taken over from the first, whose last advert comes behind the second's. */
Test(carp, who_is_outdone_is_not_relieved_twice)
{
	const struct carp_settings third = { .advbase_s = 1, .advskew = 200, .preempt = true };
	const struct carp_claim first = { .interval_ns = S + 254 * S / 256, .node = 1 };
	const struct carp_claim second = { .interval_ns = S + 100 * S / 256, .node = 2 };
	struct carp c;

	carp_init(&c, &third, 3, 0);
	carp_facts(&c, 0, 0, 0);
	cr_expect_eq(carp_heard(&c, &second, S), 0u);
	cr_expect_eq(carp_heard(&c, &first, S + MS), 0u);
	cr_expect_eq(c.role, CARP_BACKUP);
	cr_expect(carp_heard(&c, &first, S + second.interval_ns) & CARP_ACT_TAKE, "the second is not heard any more");
	cr_expect_eq(carp_heard(&c, &second, 3 * S) & CARP_ACT_RELEASE, CARP_ACT_RELEASE);
	cr_expect_eq(carp_heard(&c, &first, 3 * S + MS), 0u, "having yielded, too");
	cr_expect_eq(c.role, CARP_BACKUP);
}

Test(carp, who_becomes_worse_is_relieved_at_once)
{
	const struct carp_settings second = { .advbase_s = 1, .advskew = 100, .preempt = true };
	struct carp_claim first = { .interval_ns = S, .node = 1 };
	struct carp c;

	carp_init(&c, &second, 2, 0);
	carp_facts(&c, 0, 0, 0);
	cr_expect_eq(carp_heard(&c, &first, S), 0u);
	first.interval_ns += 254 * S / 256;
	cr_expect(carp_heard(&c, &first, S + MS) & CARP_ACT_TAKE);
}

/* ---- several of them ---- */

#define NODES 3

struct world {
	struct carp nodes[NODES];
	bool cut[NODES]; /* hears nobody, and nobody hears it */
	uint64_t now;
	unsigned int n;
};

static void act(struct world *w, unsigned int from, unsigned int acts);

static void hear(struct world *w, unsigned int from, const struct carp_claim *claim)
{
	for (unsigned int i = 0; i < w->n; i++)
		if (i != from && !w->cut[i] && !w->cut[from])
			act(w, i, carp_heard(&w->nodes[i], claim, w->now));
}

static void act(struct world *w, unsigned int from, unsigned int acts)
{
	const struct carp *c = &w->nodes[from];
	struct carp_claim claim = { carp_interval_ns(c), c->demotion, c->node, acts & CARP_ACT_BOW_OUT };

	if (acts & (CARP_ACT_BOW_OUT | CARP_ACT_ADVERT))
		hear(w, from, &claim);
}

static void pass(struct world *w, uint64_t until)
{
	for (;;) {
		unsigned int first = 0;

		for (unsigned int i = 1; i < w->n; i++)
			if (w->nodes[i].next_ns < w->nodes[first].next_ns)
				first = i;
		if (w->nodes[first].next_ns > until)
			break;
		w->now = w->nodes[first].next_ns;
		act(w, first, carp_run(&w->nodes[first], w->now));
	}
	w->now = until;
}

static unsigned int masters(const struct world *w)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < w->n; i++)
		n += w->nodes[i].role == CARP_MASTER;
	return n;
}

static void begin(struct world *w, unsigned int n, const struct carp_settings *set)
{
	*w = (struct world){ .n = n };
	for (unsigned int i = 0; i < n; i++) {
		carp_init(&w->nodes[i], &set[i], i + 1, 0);
		carp_facts(&w->nodes[i], 0, 0, 0);
	}
}

Test(carp, a_dead_master_is_replaced_and_comes_back_better)
{
	const struct carp_settings set[] = { { .fast_ms = 10, .preempt = true },
					     { .fast_ms = 10, .advskew = 100, .preempt = true } };
	struct world w;

	begin(&w, 2, set);
	pass(&w, S);
	cr_expect(w.nodes[0].role == CARP_MASTER && w.nodes[1].role == CARP_BACKUP);
	w.cut[0] = true;
	pass(&w, S + 34 * MS);
	cr_expect_eq(w.nodes[1].role, CARP_MASTER, "three intervals and its skew");
	pass(&w, 2 * S);
	cr_expect_eq(masters(&w), 2u);
	w.cut[0] = false;
	pass(&w, 2 * S + 10 * MS);
	cr_expect_eq(masters(&w), 1u, "within an interval");
	cr_expect_eq(w.nodes[0].role, CARP_MASTER);
}

/* What is said elsewhere relieves the master that is waited for, and keeps nobody waiting. */
Test(carp, what_the_master_says_elsewhere)
{
	struct carp_claim claim = claim_of(1, 0), worse;
	struct carp c = backup_of(&plain);
	uint64_t due;

	claim.node = 7;
	worse = claim;
	worse.demotion = 240;
	cr_expect_eq(carp_heard_elsewhere(&c, &worse, 9 * S), 0u, "no master was heard of yet");
	carp_heard(&c, &claim, 9 * S);
	due = c.next_ns;
	cr_expect_eq(carp_heard_elsewhere(&c, &claim, 10 * S), 0u, "it is not demoted");
	worse.node = 8;
	cr_expect_eq(carp_heard_elsewhere(&c, &worse, 10 * S), 0u, "another's word");
	worse.node = 7;
	carp_facts(&c, CARP_HOLD_NOT_READY, 0, 10 * S);
	cr_expect_eq(carp_heard_elsewhere(&c, &worse, 10 * S), 0u, "not ready");
	carp_facts(&c, 0, 240, 10 * S);
	cr_expect_eq(carp_heard_elsewhere(&c, &worse, 10 * S), 0u, "as demoted as it is");
	carp_facts(&c, 0, 0, 10 * S);
	cr_expect(c.role == CARP_BACKUP && c.next_ns == due, "still waits for no longer than its last advert said");
	cr_expect_eq(carp_heard_elsewhere(&c, &worse, 10 * S), CARP_ACT_TAKE | CARP_ACT_ADVERT | CARP_ACT_ANNOUNCE);
	cr_expect(c.role == CARP_MASTER && c.why == CARP_WHY_DEMOTED);
	cr_expect_eq(carp_heard_elsewhere(&c, &worse, 10 * S), 0u, "as master");
	claim.demotion = 0;
	carp_facts(&c, 0, 240, 10 * S);
	carp_heard(&c, &claim, 11 * S);
	cr_assert_eq(c.role, CARP_BACKUP, "it has yielded to that one");
	carp_facts(&c, 0, 0, 11 * S);
	cr_expect_neq(carp_heard_elsewhere(&c, &worse, 11 * S), 0u);
	carp_facts(&c, CARP_HOLD_LINK, 0, 12 * S);
	cr_expect_eq(carp_heard_elsewhere(&c, &worse, 12 * S), 0u, "no link");
	carp_facts(&c, 0, 0, 12 * S);
	cr_expect_eq(carp_heard_elsewhere(&c, &worse, 12 * S), 0u, "nobody was heard since");
	carp_heard(&c, &claim, 12 * S);
	claim.node = 0;
	carp_heard(&c, &claim, 12 * S + MS);
	cr_expect_eq(carp_heard_elsewhere(&c, &worse, 13 * S), 0u, "a plain node is master by now");
}

/* Whatever happened before: where all hear each other there is one master after the longest patience, and never two for an interval. */
Test(carp, one_master)
{
	for (unsigned int seed = 0; seed < 300; seed++) {
		struct carp_settings set[NODES];
		struct world w;

		srand(seed);
		for (int i = 0; i < NODES; i++)
			set[i] = (struct carp_settings){ .fast_ms = 20,
							 .advskew = rand() % 4 * 60,
							 .preempt = rand() & 1 };
		begin(&w, 2 + rand() % 2, set);
		for (int step = 0; step < 60; step++) {
			unsigned int i = rand() % w.n;

			switch (rand() % 4) {
			case 0:
				w.cut[i] = !w.cut[i];
				break;
			case 1:
				act(&w, i, carp_facts(&w.nodes[i], 0, rand() % 3, w.now));
				break;
			case 2:
				act(&w, i, carp_hand_over(&w.nodes[i], w.now));
				break;
			default:
				act(&w, i,
				    carp_facts(&w.nodes[i], rand() % 3 ? 0 : CARP_HOLD_LINK, w.nodes[i].demotion,
					       w.now));
			}
			pass(&w, w.now + rand() % 200 * MS);
		}
		for (unsigned int i = 0; i < w.n; i++) {
			w.cut[i] = false;
			act(&w, i, carp_facts(&w.nodes[i], 0, w.nodes[i].demotion, w.now));
		}
		pass(&w, w.now + 70 * MS); /* twice the longest interval */
		cr_expect_leq(masters(&w), 1u, "seed %u", seed);
		pass(&w, w.now + 70 * MS);
		for (int i = 0; i < 100; i++) {
			pass(&w, w.now + 7 * MS);
			cr_expect_eq(masters(&w), 1u, "seed %u, %d", seed, i);
		}
	}
}

Test(carp, two_that_are_both_better_do_not_talk_without_end)
{
	const struct carp_claim worse = claim_of(1, 100);
	struct carp c = master_of(&plain);
	unsigned int adverts = 0;

	for (uint64_t at = 9 * S; at < 19 * S; at += MS)
		adverts += !!(carp_heard(&c, &worse, at) & CARP_ACT_ADVERT);
	cr_expect_eq(adverts, 10u);
}
