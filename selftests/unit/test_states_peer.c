// SPDX-License-Identifier: GPL-2.0-only
/* What a peer's news make of this node's table. */
#include "selftests/unit/state_tables.h"
#include "user/policy/states_peer.h"
#include "user/policy/states_private.h"

/* A TCP connection between two hosts, established, as a peer tells of it. */
static struct states_news tcp(uint32_t from, uint32_t to)
{
	struct states_news news = { .kind = FL_KIND_ESTABLISHED };
	union fl_addr src = host(from), dst = host(to);
	struct fl_tuple key;
	unsigned int side = states_tuple(&key, &src, &dst, htons(1000), htons(80), FL_PROTO_TCP);

	memcpy(news.state.addr, key.addr, sizeof(key.addr));
	memcpy(news.state.port, key.port, sizeof(key.port));
	news.state.proto = FL_PROTO_TCP;
	news.state.flags = side ? FL_STATE_STARTER : 0;
	news.state.phase[0] = news.state.phase[1] = FL_PHASE_ESTABLISHED;
	news.state.rule[0] = 3;
	news.state.made = news.state.seen = NOW;
	for (int i = 0; i < 2; i++)
		news.state.end[i] = (struct fl_end){ .seq_lo = 1000, .seq_hi = 2000, .max_win = 1000, .packets = 10 };
	return news;
}

/* The same, seen from `to` as from another. */
static struct states_news translated(uint32_t from, uint32_t to, uint32_t as, uint16_t port)
{
	struct states_news news = tcp(from, to);
	unsigned int side = news.state.flags & FL_STATE_STARTER ? 1 : 0;

	news.state.flags |= FL_STATE_TRANSLATED;
	memcpy(news.addr, news.state.addr, sizeof(news.addr));
	memcpy(news.port, news.state.port, sizeof(news.port));
	news.addr[side] = host(as);
	news.port[side] = htons(port);
	return news;
}

static enum states_took take(struct states *t, const struct states_news *news, uint32_t *slot)
{
	uint64_t tag = 0;
	enum states_took took = states_take(t, news, NOW, slot, &tag);

	if (took <= STATES_MERGED)
		cr_assert(states_is_at(t, *slot, FL_TAG_SERIAL(tag)));
	return took;
}

/* A packet of it comes here. */
static void seen_here(struct states *t, uint32_t slot, uint32_t when)
{
	t->entries[slot].flags &= ~FL_STATE_PEER;
	t->entries[slot].seen = when;
	t->entries[slot].end[0].from = t->entries[slot].end[1].from = 7;
}

static bool is_peers(const struct states *t, uint32_t slot)
{
	return t->entries[slot].flags & FL_STATE_PEER;
}

Test(states_peer, made_and_found)
{
	struct states *t = table_new(64);
	struct states_news news = translated(10, 20, 15, 4000);
	union fl_addr as = host(15), to = host(20), from = host(10);
	struct states_entry e;
	struct fl_tuple key;
	uint32_t slot;

	cr_assert_eq(take(t, &news, &slot), STATES_MADE);
	cr_expect(is_peers(t, slot) && t->entries[slot].flags & FL_STATE_MOVED);
	cr_expect_eq(t->rule_states[3], 1);
	/* by either tuple, from either side */
	for (int i = 0; i < 4; i++) {
		const union fl_addr *its = i & 1 ? &as : &from;
		__be16 port = i & 1 ? htons(4000) : htons(1000);

		if (i & 2)
			states_tuple(&key, &to, its, htons(80), port, FL_PROTO_TCP);
		else
			states_tuple(&key, its, &to, port, htons(80), FL_PROTO_TCP);
		cr_expect(states_find(t, &key, NOW, &e) && e.slot == slot && e.translated, "%d", i);
		cr_expect_arr_eq(e.addr, news.addr, sizeof(news.addr));
		cr_expect_arr_eq(e.port, news.port, sizeof(news.port));
	}
	cr_expect_not(states_find(t, &key, NOW + 100 * HZ, &e), "has run out");
	cr_expect_not(states_drop(t, slot, FL_TAG_SERIAL(e.tag) + 1), "another one");
	cr_expect(states_drop(t, slot, FL_TAG_SERIAL(e.tag)));
	cr_expect_eq(t->rule_states[3], 0);
	for (slot = 0; slot < states_slots(t); slot++)
		cr_expect_eq(FL_TAG_KIND(states_tag(t, slot)), FL_KIND_FREE);
	table_free(t);
}

/* News of an entry that packets have come of here. */
Test(states_peer, whose)
{
	struct states *t = table_new(64);
	struct states_news news = tcp(1, 2);
	uint32_t slot;

	cr_assert_eq(take(t, &news, &slot), STATES_MADE);
	seen_here(t, slot, NOW - 5);
	news.state.seen = NOW - 6;
	cr_assert_eq(take(t, &news, &slot), STATES_MERGED);
	cr_expect_not(is_peers(t, slot), "older");
	news.state.seen = NOW - 5;
	cr_assert_eq(take(t, &news, &slot), STATES_MERGED);
	cr_expect_not(is_peers(t, slot), "as old");
	t->entries[slot].phase[0] = FL_PHASE_CLOSING;
	news.state.seen = NOW;
	cr_assert_eq(take(t, &news, &slot), STATES_MERGED);
	cr_expect_not(is_peers(t, slot), "it does not know of a FIN");
	cr_expect_eq(t->entries[slot].phase[0], FL_PHASE_CLOSING);
	news.state.seen = NOW + 1;
	news.state.phase[0] = FL_PHASE_CLOSING;
	news.state.end[1].seq_lo = 1500;
	cr_assert_eq(take(t, &news, &slot), STATES_MERGED);
	cr_expect(is_peers(t, slot));
	cr_expect_eq(t->entries[slot].end[0].from | t->entries[slot].end[1].from, 0);
	cr_expect_eq(t->entries[slot].end[1].seq_lo, 1500);
	/* numbers of what is the peer's go where it says; they have gone half round */
	news.state.seen = NOW + 2;
	news.state.end[1].seq_lo = 1500 + 0x90000000;
	cr_assert_eq(take(t, &news, &slot), STATES_MERGED);
	cr_expect_eq(t->entries[slot].end[1].seq_lo, 1500 + 0x90000000);
	/* of what is this node's they only grow */
	seen_here(t, slot, NOW + 3);
	news.state.end[1].seq_lo = 1400 + 0x90000000;
	cr_assert_eq(take(t, &news, &slot), STATES_MERGED);
	cr_expect_eq(t->entries[slot].end[1].seq_lo, 1500 + 0x90000000);
	table_free(t);
}

static void part(struct states *t, uint32_t slot, uint32_t now)
{
	struct states_entry entry;

	cr_assert(states_at(t, slot, &entry));
	states_part(t, &entry, now);
}

/* Each node forwards one direction. */
Test(states_peer, split)
{
	struct states *t = table_new(64);
	struct states_news news = tcp(1, 2);
	uint32_t slot;

	cr_assert_eq(take(t, &news, &slot), STATES_MADE);
	seen_here(t, slot, NOW);
	t->entries[slot].end[0].packets = 20;
	cr_assert_eq(take(t, &news, &slot), STATES_MERGED);
	cr_expect_not(t->entries[slot].flags & FL_STATE_LOOSE);
	news.state.end[1].packets = 11;
	news.state.seen = NOW + 1;
	cr_assert_eq(take(t, &news, &slot), STATES_MERGED);
	cr_expect(t->entries[slot].flags & FL_STATE_LOOSE);
	cr_expect_not(is_peers(t, slot), "while packets come here it is not the peer's");
	news.state.seen = NOW + 1 + 2 * HZ;
	cr_assert_eq(states_take(t, &news, NOW + 1 + 2 * HZ, &slot, &(uint64_t){ 0 }), STATES_MERGED);
	cr_expect(is_peers(t, slot));
	/* and the peer's word for it */
	news = tcp(3, 4);
	cr_assert_eq(take(t, &news, &slot), STATES_MADE);
	news.state.flags |= FL_STATE_LOOSE;
	cr_assert_eq(take(t, &news, &slot), STATES_MERGED);
	cr_expect(t->entries[slot].flags & FL_STATE_LOOSE);
	table_free(t);
}

static bool claimed(const void *arg, uint32_t slot)
{
	(void)slot;
	return arg;
}

/* The same, before counters tell it: packets come here though the peer has forwarded some. */
Test(states_peer, contested)
{
	struct states *t = table_new(64);
	struct states_news news = tcp(1, 2);
	uint32_t slot, later = HZ / 10;

	cr_assert_eq(take(t, &news, &slot), STATES_MADE);
	seen_here(t, slot, NOW);
	news.state.seen = NOW - 1;
	cr_assert_eq(take(t, &news, &slot), STATES_MERGED);
	states_judge_contested(t, NOW + later, claimed, NULL);
	cr_expect_not(t->entries[slot].flags & FL_STATE_LOOSE, "it has gone over: none came since");
	cr_expect_not(is_peers(t, slot), "and come back, for the peer does not claim it");
	cr_assert_eq(take(t, &news, &slot), STATES_MERGED);
	states_judge_contested(t, NOW + later, claimed, t);
	cr_expect(is_peers(t, slot), "gone over");
	cr_expect_eq(t->entries[slot].end[0].from + t->entries[slot].end[1].from, 0, "numbers are taken as they come");
	seen_here(t, slot, NOW);
	cr_assert_eq(take(t, &news, &slot), STATES_MERGED);
	seen_here(t, slot, NOW + 3);
	states_judge_contested(t, NOW + 1, claimed, t);
	cr_expect_not(t->entries[slot].flags & FL_STATE_LOOSE, "too early to say");
	states_judge_contested(t, NOW + later, claimed, t);
	cr_expect(t->entries[slot].flags & FL_STATE_LOOSE);
	cr_expect_not(is_peers(t, slot));
	cr_expect_eq(t->n_contested, 0);
	/* a peer asks about one that passes here */
	news = tcp(3, 4);
	cr_assert_eq(take(t, &news, &slot), STATES_MADE);
	part(t, slot, NOW);
	cr_expect_not(t->entries[slot].flags & FL_STATE_LOOSE, "no packet was here");
	seen_here(t, slot, NOW);
	part(t, slot, NOW + 2 * HZ);
	cr_expect_not(t->entries[slot].flags & FL_STATE_LOOSE, "not of late");
	part(t, slot, NOW + 1);
	cr_expect(t->entries[slot].flags & FL_STATE_LOOSE);
	table_free(t);
}

/* Whoever had the addresses before may have forwarded any. */
Test(states_peer, taken_over)
{
	struct states *t = table_new(64);
	struct states_news news = tcp(1, 2);
	uint32_t slot;

	cr_assert_eq(take(t, &news, &slot), STATES_MADE);
	seen_here(t, slot, NOW);
	t->entries[slot].flags &= ~FL_STATE_MOVED;
	states_taken_over(t, slot + 1, UINT32_MAX);
	states_taken_over(t, 0, slot);
	cr_expect_not(t->entries[slot].flags & FL_STATE_MOVED);
	states_taken_over(t, slot, 1);
	cr_expect(t->entries[slot].flags & FL_STATE_MOVED);
	cr_expect_eq(t->entries[slot].end[0].from + t->entries[slot].end[1].from, 0);
	cr_expect_not(is_peers(t, slot), "it stays this node's");
	table_free(t);
}

/* Another connection has the tuple. */
Test(states_peer, taken)
{
	struct states *t = table_new(64);
	struct states_news first = translated(10, 20, 15, 4000), second = translated(11, 20, 15, 4000),
			   inside = tcp(15, 20);
	uint32_t slot, other;

	cr_assert_eq(take(t, &first, &slot), STATES_MADE);
	seen_here(t, slot, NOW);
	cr_expect_eq(take(t, &second, &other), STATES_OTHERS, "its translation");
	inside.state.port[inside.state.flags & FL_STATE_STARTER ? 1 : 0] = htons(4000);
	cr_expect_eq(take(t, &inside, &other), STATES_OTHERS, "its tuple is a translation");
	first.port[0] = first.port[0] == htons(4000) ? htons(4001) : first.port[0];
	first.port[1] = first.port[1] == htons(4000) ? htons(4001) : first.port[1];
	cr_expect_eq(take(t, &first, &other), STATES_OTHERS, "translated to another port");
	cr_expect_eq(t->rule_states[3], 1);
	/* of the peer's, the last word counts */
	t->entries[slot].flags |= FL_STATE_PEER;
	cr_expect_eq(take(t, &first, &slot), STATES_MADE);
	cr_expect_eq(take(t, &second, &other), STATES_MADE);
	cr_expect_neq(slot, other);
	cr_expect_eq(t->rule_states[3], 2);
	/* what has run out is nobody's */
	seen_here(t, other, NOW - 100 * HZ);
	cr_expect_eq(take(t, &inside, &other), STATES_MADE);
	table_free(t);
}

/* One that is over and begins anew. */
Test(states_peer, anew)
{
	struct states *t = table_new(64);
	struct states_news news = tcp(1, 2);
	uint32_t slot;

	news.state.made = NOW - 10;
	cr_assert_eq(take(t, &news, &slot), STATES_MADE);
	seen_here(t, slot, NOW);
	t->entries[slot].phase[0] = t->entries[slot].phase[1] = FL_PHASE_FIN_ACKED;
	cr_assert_eq(take(t, &news, &slot), STATES_MERGED);
	cr_expect_eq(t->entries[slot].phase[0], FL_PHASE_FIN_ACKED);
	news.state.made = NOW;
	cr_assert_eq(take(t, &news, &slot), STATES_MADE);
	cr_expect_eq(t->entries[slot].phase[0], FL_PHASE_ESTABLISHED);
	table_free(t);
}

/* Embryonic ones give way; established ones never do. */
Test(states_peer, no_room)
{
	struct states_news last = tcp(1, 2);
	struct states *t = table_new(1); /* eight places for any key */
	uint32_t slot, made = 0, n;

	for (n = 0; n < 16; n++) {
		struct states_news news = tcp(n, 100);

		news.kind = FL_KIND_EMBRYONIC;
		made += take(t, &news, &slot) == STATES_MADE;
	}
	cr_expect_eq(made, t->control->embryonic_limit, "%u", made);
	states_limit(t, 1000);
	for (; n < 32; n++) {
		struct states_news news = tcp(n, 100);

		news.kind = FL_KIND_EMBRYONIC;
		take(t, &news, &slot);
	}
	for (made = 0, n = 200; n < 208; n++) {
		struct states_news news = tcp(n, 100);

		made += take(t, &news, &slot) == STATES_MADE;
	}
	cr_expect_eq(made, 8);
	cr_expect_eq(take(t, &last, &slot), STATES_NO_ROOM);
	cr_expect_eq(t->rule_states[3], 8);
	table_free(t);
}
