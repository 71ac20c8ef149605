// SPDX-License-Identifier: GPL-2.0-only
/* The state table as the daemon sees it, in plain memory. What the programs make of it is in selftests/prog. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "selftests/unit/state_tables.h"

static uint32_t place(struct states *t, const struct fl_state *st, uint8_t kind)
{
	struct fl_tuple key = { .proto = st->proto };
	struct fl_state_place at;

	memcpy(key.addr, st->addr, sizeof(key.addr));
	memcpy(key.port, st->port, sizeof(key.port));
	at = fl_state_hash(&key, t->control->key, t->control->buckets);
	for (uint32_t way = 0; way < 2 * FL_BUCKET_WAYS; way++) {
		uint32_t b = at.bucket[way / FL_BUCKET_WAYS], w = way % FL_BUCKET_WAYS;

		if (FL_TAG_KIND(t->buckets[b].tag[w]) != FL_KIND_FREE)
			continue;
		t->entries[b * FL_BUCKET_WAYS + w] = *st;
		t->buckets[b].tag[w] = FL_TAG(at.hash, 7, kind);
		return b * FL_BUCKET_WAYS + w;
	}
	cr_assert_fail("no room");
	return 0;
}

/* A state of UDP between two hosts, as the programs make it, by rules 3 and 5. */
static struct fl_state udp(uint32_t from, uint32_t to)
{
	struct fl_state st = { .addr = { host(from), host(to) },
			       .port = { htons(1000), htons(53) },
			       .proto = FL_PROTO_UDP,
			       .phase = { FL_PHASE_MULTIPLE, FL_PHASE_SINGLE },
			       .made = NOW,
			       .seen = NOW,
			       .rule = { 3, 5 },
			       .end = { { .packets = 2, .bytes_lo = 200 }, { .packets = 1, .bytes_lo = 50 } } };

	return st;
}

static uint32_t add(struct states *t, const struct fl_state *st, uint8_t kind)
{
	t->counts[FL_STATE_COUNTS_CPU(0)].states++;
	t->counts[FL_STATE_COUNTS_CPU(0)].embryonic += kind == FL_KIND_EMBRYONIC;
	t->counts[FL_STATE_COUNTS_SHARED].states++;
	t->counts[FL_STATE_COUNTS_SHARED].embryonic += kind == FL_KIND_EMBRYONIC;
	t->rule_states[st->rule[0]]++;
	if (st->rule[1] != st->rule[0])
		t->rule_states[st->rule[1]]++;
	return place(t, st, kind);
}

/* With a twin, whose ends are turned if `to` sorts before `as`. */
static uint32_t add_translated(struct states *t, uint32_t from, uint32_t to, uint32_t as)
{
	struct fl_state st = udp(from, to), twin = { .proto = FL_PROTO_UDP, .made = 7 };
	int turned = to < as;
	uint32_t slot, second;

	st.flags = FL_STATE_TRANSLATED;
	st.nat = 9;
	slot = add(t, &st, FL_KIND_ESTABLISHED);
	twin.addr[turned] = host(as);
	twin.addr[!turned] = host(to);
	twin.port[turned] = htons(40000);
	twin.port[!turned] = htons(53);
	twin.flags = turned ? FL_STATE_TURNED : 0;
	twin.twin = slot;
	second = place(t, &twin, FL_KIND_TWIN);
	t->entries[slot].twin = second;
	return slot;
}

static uint64_t tag_of(const struct states *t, uint32_t slot)
{
	return t->buckets[slot / FL_BUCKET_WAYS].tag[slot % FL_BUCKET_WAYS];
}

static uint32_t twins(const struct states *t)
{
	uint32_t n = 0;

	for (uint32_t slot = 0; slot < t->control->buckets * FL_BUCKET_WAYS; slot++)
		n += FL_TAG_KIND(tag_of(t, slot)) == FL_KIND_TWIN;
	return n;
}

struct found {
	unsigned int n;
	struct states_entry last;
};

static int each(void *arg, const struct states_entry *e)
{
	struct found *f = arg;

	f->n++;
	f->last = *e;
	return 0;
}

static unsigned int count(const struct states *t, const struct states_filter *filter)
{
	struct found f = {};

	states_walk(t, filter, each, &f);
	return f.n;
}

Test(states, selectors)
{
	struct states *t = table_new(64);
	static struct states_filter f;
	struct fl_state st;

	for (uint32_t i = 0; i < 20; i++) {
		st = udp(10 + i, 100 + i % 2);
		st.rule[0] = 3 + i % 4;
		st.gateway = i % 5;
		st.reply_gateway = i < 2 ? 6 : 0;
		st.nat = i == 3 ? 9 : i == 4 ? FL_STATE_NPT | 10 : 0;
		st.end[0].from = i % 3;
		st.end[1].from = FL_FROM_ENDPOINT(i % 3);
		st.proto = i % 10 ? FL_PROTO_UDP : FL_PROTO_TCP;
		st.port[0] = htons(1000 + i);
		add(t, &st, i % 2 ? FL_KIND_ESTABLISHED : FL_KIND_EMBRYONIC);
	}
	cr_expect_eq(count(t, NULL), 20u);
	f.n_hosts = 1;
	f.hosts[0] = host(100);
	cr_expect_eq(count(t, &f), 10u, "either end");
	f.n_hosts = 2;
	f.hosts[1] = host(12);
	cr_expect_eq(count(t, &f), 1u, "between");
	f.hosts[1] = host(13);
	cr_expect_eq(count(t, &f), 0u, "between no such");
	f.hosts[1] = host(100);
	cr_expect_eq(count(t, &f), 0u, "not the same end twice");
	f.n_hosts = 1;
	f.host_free[0] = 7; /* 100 and 101 are in there, 10 to 29 are not */
	cr_expect_eq(count(t, &f), 20u, "a prefix");
	f.host_free[0] = 1;
	f.hosts[0] = host(10);
	cr_expect_eq(count(t, &f), 2u, "a prefix of two");
	f.host_free[0] = 128;
	f.hosts[0] = (union fl_addr){};
	cr_expect_eq(count(t, &f), 20u, "all of IPv6");
	f.host_free[0] = 32;
	f.hosts[0].w[2] = htonl(0xffff);
	cr_expect_eq(count(t, &f), 0u, "all of IPv4");
	f = (struct states_filter){ .by_rule = true };
	states_filter_set(f.rules, 0);
	cr_expect_eq(count(t, &f), 0u, "all have a rule");
	states_filter_set(f.rules, 3);
	cr_expect_eq(count(t, &f), 5u);
	states_filter_set(f.rules, 5);
	cr_expect_eq(count(t, &f), 20u, "the other rule of all");
	f = (struct states_filter){ .by_rule = true };
	states_filter_set(f.rules, 9);
	cr_expect_eq(count(t, &f), 1u, "a translation");
	f = (struct states_filter){ .by_rule = true };
	states_filter_set(f.rules, 10);
	cr_expect_eq(count(t, &f), 0u, "a prefix is none");
	f = (struct states_filter){ .gateway = 4 };
	cr_expect_eq(count(t, &f), 4u);
	f.gateway = 6;
	cr_expect_eq(count(t, &f), 2u, "of the answers");
	f = (struct states_filter){ .proto = FL_PROTO_TCP };
	cr_expect_eq(count(t, &f), 2u);
	f = (struct states_filter){ .port = htons(1007) };
	cr_expect_eq(count(t, &f), 1u);
	f.port = htons(53);
	cr_expect_eq(count(t, &f), 20u);
	f = (struct states_filter){ .by_from = true };
	cr_expect_eq(count(t, &f), 0u, "no interface at all");
	states_filter_set(f.from, 1);
	cr_expect_eq(count(t, &f), 7u, "1, 4, 7 ...");
	states_filter_set(f.from, FL_FROM_ENDPOINT(2));
	cr_expect_eq(count(t, &f), 13u, "and 2, 5, 8 ...");
	table_free(t);
}

/* What the router passes unasked has no rule; what only one of the two directions' rules has passed has one. */
Test(states, without_rule)
{
	struct states *t = table_new(64);
	static struct states_filter f = { .by_rule = true };

	for (uint32_t i = 0; i < 4; i++) {
		struct fl_state st = udp(10 + i, 100);

		st.rule[0] = i & 1 ? 3 : 0;
		st.rule[1] = i & 2 ? 5 : 0;
		add(t, &st, FL_KIND_ESTABLISHED);
	}
	states_filter_set(f.rules, 0);
	cr_expect_eq(count(t, &f), 1u);
	states_filter_set(f.rules, 5);
	cr_expect_eq(count(t, &f), 3u);
	table_free(t);
}

Test(states, tally)
{
	static struct states_tally tally[FL_RULE_IDS_MAX];
	struct states *t = table_new(64);
	struct fl_state st = udp(10, 20);
	struct fl_rule_stats sum;

	st.nat = 9;
	add(t, &st, FL_KIND_EMBRYONIC);
	st = udp(11, 20);
	st.rule[1] = st.rule[0];
	st.nat = FL_STATE_NPT | 9;
	add(t, &st, FL_KIND_ESTABLISHED);
	states_tally(t, NOW, tally);
	cr_expect(tally[3].states == 2 && tally[3].packets == 6 && tally[3].bytes == 500, "once of each state");
	cr_expect(tally[5].states == 1 && tally[5].packets == 3 && tally[5].bytes == 250);
	cr_expect(tally[9].states == 1 && tally[9].packets == 3 && tally[9].bytes == 250, "a prefix is no rule");
	for (uint32_t cpu = 0; cpu <= CPUS; cpu++) /* and the daemon's */
		t->rule_stats[FL_RULE_STATS_INDEX(cpu, 3)] = (struct fl_rule_stats){ .packets = 1, .bytes = 10 };
	states_rule_stats(t, 3, &sum);
	cr_expect(sum.packets == CPUS + 1 && sum.bytes == 10 * (CPUS + 1));
	table_free(t);
}

Test(states, gateways)
{
	uint64_t states[FL_GATEWAYS_MAX] = { [5] = 7 };
	struct states *t = table_new(64);
	struct fl_state st = udp(10, 20);

	st.gateway = st.reply_gateway = 3;
	add(t, &st, FL_KIND_EMBRYONIC);
	st = udp(11, 20);
	st.gateway = 3;
	st.reply_gateway = FL_GATEWAYS_MAX - 1;
	add(t, &st, FL_KIND_ESTABLISHED);
	add(t, &st, FL_KIND_TWIN);
	states_gateways(t, states);
	cr_expect_eq(states[3], 2u, "once of each state");
	cr_expect_eq(states[FL_GATEWAYS_MAX - 1], 1u);
	cr_expect_eq(states[5], 0u, "what was there is gone");
	table_free(t);
}

static int each_third(void *arg, const struct states_entry *e)
{
	(void)e;
	return ++*(unsigned int *)arg % 3 == 0;
}

Test(states, in_slices)
{
	static const struct states_filter every;
	struct states *t = table_new(64);
	unsigned int seen = 0, calls = 0;
	struct fl_state st;
	uint32_t at = 0;

	for (uint32_t i = 0; i < 20; i++) {
		st = udp(10 + i, 100);
		add(t, &st, FL_KIND_ESTABLISHED);
	}
	do {
		at = states_walk_some(t, &every, at, 7, each_third, &seen);
		calls++;
	} while (at);
	cr_expect_eq(seen, 20u, "each once, wherever it stopped");
	cr_expect_geq(calls, 64u * FL_BUCKET_WAYS / 7);
	table_free(t);
}

Test(states, translated)
{
	struct states *t = table_new(64);
	struct states_filter f = { .n_hosts = 1, .hosts = { host(15) } };
	struct found found = {};
	uint32_t slot[2];

	slot[0] = add_translated(t, 10, 20, 15);
	slot[1] = add_translated(t, 11, 20, 25);
	states_walk(t, &f, each, &found);
	cr_assert_eq(found.n, 1u);
	cr_expect_eq(found.last.slot, slot[0]);
	cr_expect(found.last.translated);
	cr_expect(!memcmp(&found.last.addr[0], &f.hosts[0], 16) && found.last.port[0] == htons(40000));
	f.hosts[0] = host(25);
	states_walk(t, &f, each, &found);
	cr_expect_eq(found.last.slot, slot[1]);
	cr_expect(!memcmp(&found.last.addr[0], &f.hosts[0], 16),
		  "the end that is translated, though the twin's is turned");
	f.port = htons(40000);
	cr_expect_eq(count(t, &f), 1u);
	cr_expect(states_remove(t, slot[0], tag_of(t, slot[0])));
	cr_expect_eq(twins(t), 1u);
	cr_expect_eq(t->rule_stats[FL_RULE_STATS_INDEX(CPUS, 9)].packets, 3u, "of the translation");
	t->entries[slot[1]].nat = FL_STATE_NPT | 9;
	t->entries[t->entries[slot[1]].twin].twin++;
	cr_expect_eq(count(t, NULL), 0u, "the twin is another's by now");
	cr_expect(states_remove(t, slot[1], tag_of(t, slot[1])));
	cr_expect_eq(twins(t), 1u, "which stays");
	cr_expect_eq(t->rule_stats[FL_RULE_STATS_INDEX(CPUS, 9)].packets, 3u, "a prefix is no rule");
	table_free(t);
}

Test(states, remove)
{
	struct states *t = table_new(64);
	struct fl_state st = udp(10, 20);
	struct states_numbers n;
	uint32_t slot, other;
	uint64_t tag;

	slot = add(t, &st, FL_KIND_EMBRYONIC);
	st = udp(11, 20);
	st.rule[1] = st.rule[0];
	other = add(t, &st, FL_KIND_ESTABLISHED);
	tag = tag_of(t, slot);
	cr_expect(!states_remove(t, slot, tag + 0x100), "another serial");
	cr_expect(!states_remove(t, slot, FL_TAG_AS(tag, FL_KIND_ESTABLISHED)), "another kind");
	cr_expect(states_remove(t, slot, tag));
	cr_expect(!states_remove(t, slot, tag), "twice");
	cr_expect_eq(FL_TAG_SERIAL(tag_of(t, slot)), 8u);
	states_numbers(t, &n);
	cr_expect(n.states == 1 && n.embryonic == 0);
	cr_expect_eq(t->counts[FL_STATE_COUNTS_SHARED].states, 1);
	cr_expect_eq(t->rule_states[3], 1u);
	cr_expect_eq(t->rule_states[5], 0u);
	cr_expect_eq(t->rule_stats[FL_RULE_STATS_INDEX(CPUS, 5)].bytes, 250u);
	cr_expect(states_remove(t, other, tag_of(t, other)));
	cr_expect_eq(t->rule_stats[FL_RULE_STATS_INDEX(CPUS, 3)].packets, 6u, "once, though it is both rules");
	cr_expect_eq(t->rule_states[3], 0u);
	table_free(t);
}

Test(states, sweep)
{
	struct states *t = table_new(64);
	uint32_t from = 0, removed, total = 0, slices = 0, slot;
	struct fl_state st;

	for (uint32_t i = 0; i < 100; i++) {
		st = udp(10 + i, 200);
		st.seen -= i < 30 ? 61 * HZ : 59 * HZ;
		add(t, &st, FL_KIND_ESTABLISHED);
	}
	slot = add_translated(t, 10, 20, 15);
	t->entries[slot].seen -= 61 * HZ;
	slot = add_translated(t, 11, 20, 25);
	/* a daemon that died removed this one, and not its twin */
	t->buckets[slot / FL_BUCKET_WAYS].tag[slot % FL_BUCKET_WAYS] = FL_TAG(0, 8, FL_KIND_FREE);
	do {
		from = states_sweep(t, NOW, from, 10, &removed);
		total += removed;
		slices++;
	} while (from);
	cr_expect_eq(total, 31u);
	cr_expect_eq(slices, 7u);
	cr_expect_eq(count(t, NULL), 70u);
	cr_expect_eq(twins(t), 0u);
	table_free(t);
}

Test(states, adapt)
{
	struct states *t = table_new(64);

	states_limit(t, 1000);
	cr_expect_eq(t->control->embryonic_limit, 250u);
	cr_expect_eq(t->control->batch, 5u, "of two CPUs a hundredth");
	t->timeout_s[FL_TCP_ESTABLISHED] = 86400;
	t->counts[FL_STATE_COUNTS_CPU(1)].states = 600;
	states_adapt(t);
	cr_expect_eq(t->control->timeout[FL_TCP_ESTABLISHED], 86400u * HZ);
	t->counts[FL_STATE_COUNTS_CPU(1)].states = 900;
	states_adapt(t);
	cr_expect_eq(t->control->timeout[FL_TCP_ESTABLISHED], 43200u * HZ);
	t->counts[FL_STATE_COUNTS_CPU(1)].states = 1000;
	states_adapt(t);
	cr_expect_eq(t->control->timeout[FL_UDP_FIRST], 20u * HZ);
	t->counts[FL_STATE_COUNTS_CPU(1)].states = 5000;
	states_adapt(t);
	cr_expect_eq(t->control->timeout[FL_UDP_FIRST], 20u * HZ, "a limit that was lowered ends nobody");
	t->counts[FL_STATE_COUNTS_CPU(1)].states = 10;
	states_adapt(t);
	cr_expect_eq(t->control->timeout[FL_UDP_FIRST], 60u * HZ);
	t->timeout_s[FL_TCP_ESTABLISHED] = 30000000;
	states_adapt(t);
	cr_expect_eq(t->control->timeout[FL_TCP_ESTABLISHED], (uint32_t)INT32_MAX, "longer than jiffies can tell");
	states_limit(t, 1000000);
	cr_expect_eq(t->control->batch, 256u, "at most");
	table_free(t);
}

Test(states, recount)
{
	struct states *t = table_new(64);
	struct states_numbers n;
	__u64 *claimed;
	struct fl_state st;

	for (uint32_t i = 0; i < 50; i++) {
		st = udp(10 + i, 200);
		st.rule[1] = i < 10 ? st.rule[0] : 5;
		add(t, &st, i < 20 ? FL_KIND_EMBRYONIC : FL_KIND_ESTABLISHED);
	}
	t->counts[FL_STATE_COUNTS_SHARED].embryonic += 30;
	t->counts[FL_STATE_COUNTS_CPU(1)].states += 17;
	t->counts[FL_STATE_COUNTS_CPU(1)].embryonic -= 100;
	t->rule_states[3] = 7;
	t->rule_states[5] = 0xffffffff;
	t->rule_states[77] = 4;
	for (claimed = t->buckets[5].tag; FL_TAG_KIND(*claimed) != FL_KIND_FREE;)
		claimed++; /* where no state is, be the table's key what it may */
	*claimed = FL_TAG(0, 5, FL_KIND_CLAIMED);
	cr_expect_eq(states_recount(t), 0);
	states_numbers(t, &n);
	cr_expect_eq(n.states, 50u);
	cr_expect_eq(n.embryonic, 20u);
	cr_expect_eq(t->counts[FL_STATE_COUNTS_SHARED].states, 50);
	cr_expect_eq(t->counts[FL_STATE_COUNTS_SHARED].embryonic, 20);
	cr_expect_eq((uint32_t)t->rule_states[3], 50u, "once, though it is both rules of some");
	cr_expect_eq((uint32_t)t->rule_states[5], 40u);
	cr_expect_eq((uint32_t)t->rule_states[77], 0u);
	cr_expect_eq(FL_TAG_KIND(*claimed), FL_KIND_CLAIMED, "somebody may be at it");
	cr_expect_eq(states_recount(t), 0);
	cr_expect_eq(*claimed, FL_TAG(0, 6, FL_KIND_FREE), "nobody is");
	table_free(t);
}

/* Every state of one table is found in the other, and no more. */
static void expect_same(const struct states *a, const struct states *b)
{
	for (uint32_t slot = 0; slot < a->control->buckets * FL_BUCKET_WAYS; slot++) {
		const struct fl_state *st = &a->entries[slot];
		struct states_filter f = { .n_hosts = 2, .hosts = { st->addr[0], st->addr[1] } };
		struct found found = {};

		if (FL_TAG_KIND(tag_of(a, slot)) < FL_KIND_EMBRYONIC || FL_TAG_KIND(tag_of(a, slot)) == FL_KIND_TWIN)
			continue;
		states_walk(b, &f, each, &found);
		cr_expect_eq(found.n, 1u);
		cr_expect_eq(FL_TAG_KIND(found.last.tag), FL_TAG_KIND(tag_of(a, slot)));
		cr_expect_eq(found.last.state.seen, st->seen);
		cr_expect_eq(found.last.translated, !!(st->flags & FL_STATE_TRANSLATED));
	}
	cr_expect_eq(count(a, NULL), count(b, NULL));
	cr_expect_eq(twins(a), twins(b));
}

Test(states, copy)
{
	struct states *a = table_new(128), *b = table_new(200), *small = table_new(4);
	struct states_numbers n;
	struct fl_state st;
	uint32_t slot = 0;

	for (uint32_t i = 0; i < 150; i++) {
		st = udp(100 + i, 300);
		slot = add(a, &st, i < 50 ? FL_KIND_EMBRYONIC : FL_KIND_ESTABLISHED);
	}
	for (uint32_t i = 0; i < 20; i++)
		add_translated(a, 10 + i, 60, 80 + i);
	cr_expect_eq(states_copy(a, b), 170u);
	expect_same(a, b);
	states_numbers(b, &n);
	cr_expect(n.states == 170 && n.embryonic == 50);
	/* what came between */
	a->entries[slot].seen += 5;
	st = udp(99, 300);
	add(a, &st, FL_KIND_EMBRYONIC);
	cr_expect_eq(states_copy(a, b), 171u);
	expect_same(a, b);
	/* what has come since then, and nothing else */
	for (slot = 0; slot < 128 * FL_BUCKET_WAYS; slot++)
		a->entries[slot].seen = NOW - 100;
	st = udp(98, 300);
	st.seen = NOW;
	add(a, &st, FL_KIND_ESTABLISHED);
	cr_expect_eq(states_copy_since(a, b, NOW - 1), 1u);
	/* what finds no room is embryonic */
	states_copy(a, small);
	for (slot = 0; slot < 4 * FL_BUCKET_WAYS; slot++) {
		cr_expect_neq(FL_TAG_KIND(tag_of(small, slot)), FL_KIND_EMBRYONIC);
		cr_expect_neq(FL_TAG_KIND(tag_of(small, slot)), FL_KIND_CLAIMED,
			      "given back where the twin finds none");
	}
	/* a copy's twin goes with it */
	for (slot = 0; slot < 200 * FL_BUCKET_WAYS; slot++)
		states_remove(b, slot, tag_of(b, slot));
	cr_expect(count(b, NULL) == 0 && twins(b) == 0);
	table_free(a);
	table_free(b);
	table_free(small);
}

/* A direction of its packets came by each of the two tables. */
Test(states, merged)
{
	struct states *a = table_new(64), *b = table_new(200);
	struct fl_state st = udp(100, 300);
	struct fl_state *in_b;
	struct found found = {};
	struct states_numbers n;
	uint32_t slot;

	st.proto = IPPROTO_TCP;
	st.phase[0] = FL_PHASE_SYN_SENT;
	st.phase[1] = FL_PHASE_NONE;
	st.wscale = FL_WSCALE_NONE << 4 | 7;
	st.end[0] = (struct fl_end){ .seq_lo = 1000, .seq_hi = 2000, .max_win = 10, .packets = 1 };
	slot = add(a, &st, FL_KIND_EMBRYONIC);
	cr_assert_eq(states_copy(a, b), 1u);
	states_walk(b, NULL, each, &found);
	in_b = &b->entries[found.last.slot];
	/* numbers that lie before those of an end that has not spoken, and fewer bytes in the low word of more */
	in_b->end[1].seq_hi = in_b->end[1].max_win = 1;
	in_b->end[1].bytes_lo = 3000;
	a->entries[slot].end[1] = (struct fl_end){
		.seq_lo = 0xf0000500, .seq_hi = 0xf0000900, .max_win = 20, .packets = 2, .bytes_lo = 7, .bytes_hi = 1
	};
	a->entries[slot].phase[0] = a->entries[slot].phase[1] = FL_PHASE_ESTABLISHED;
	a->entries[slot].wscale = 6 << 4 | 7;
	a->buckets[slot / FL_BUCKET_WAYS].tag[slot % FL_BUCKET_WAYS] = FL_TAG_AS(tag_of(a, slot), FL_KIND_ESTABLISHED);
	in_b->end[0].seq_lo = 1500;
	in_b->end[0].packets = 9;
	in_b->seen += 7;
	cr_assert_eq(states_copy(a, b), 1u);
	cr_expect(in_b->end[0].seq_lo == 1500 && in_b->end[0].seq_hi == 2000 && in_b->end[0].packets == 9);
	cr_expect(in_b->end[1].seq_lo == 0xf0000500 && in_b->end[1].seq_hi == 0xf0000900);
	cr_expect(in_b->end[1].max_win == 20 && in_b->end[1].packets == 2);
	cr_expect(in_b->end[1].bytes_lo == 7 && in_b->end[1].bytes_hi == 1);
	cr_expect_eq(in_b->seen, st.seen + 7);
	cr_expect_eq(in_b->wscale, 6 << 4 | 7, "of the one that saw both SYNs");
	cr_expect(in_b->phase[0] == FL_PHASE_ESTABLISHED && in_b->phase[1] == FL_PHASE_ESTABLISHED);
	cr_expect_eq(FL_TAG_KIND(tag_of(b, found.last.slot)), FL_KIND_ESTABLISHED);
	states_numbers(b, &n);
	cr_expect(n.states == 1 && n.embryonic == 0);
	/* the other one has not seen that end speak */
	a->entries[slot].end[1] = (struct fl_end){ .seq_hi = 1, .max_win = 1 };
	a->entries[slot].wscale = 5 << 4 | FL_WSCALE_NONE;
	cr_assert_eq(states_copy(a, b), 1u);
	cr_expect(in_b->end[1].seq_lo == 0xf0000500 && in_b->end[1].seq_hi == 0xf0000900);
	cr_expect_eq(in_b->wscale, 6 << 4 | 7);
	/* another connection under the same key */
	in_b->made++;
	a->entries[slot].seen += 100;
	cr_assert_eq(states_copy(a, b), 1u);
	cr_expect_eq(in_b->seen, st.seen + 7);
	table_free(a);
	table_free(b);
}

/* The address and port that it is translated to are another's there: it is not taken over, and leaves nothing behind. */
Test(states, copy_of_a_twin_that_is_taken)
{
	struct states *a = table_new(64), *b = table_new(64);
	struct states_numbers n;

	add_translated(a, 10, 20, 15);
	add_translated(b, 11, 20, 15);
	cr_expect_eq(states_copy(a, b), 0u);
	cr_expect(count(b, NULL) == 1 && twins(b) == 1);
	for (uint32_t slot = 0; slot < 64 * FL_BUCKET_WAYS; slot++)
		cr_expect_neq(FL_TAG_KIND(tag_of(b, slot)), FL_KIND_CLAIMED);
	states_numbers(b, &n);
	cr_expect_eq(n.states, 1u);
	table_free(a);
	table_free(b);
}

Test(states, carry)
{
	struct states *a = table_new(64), *b = table_new(64);
	struct states_numbers n;

	a->counts[FL_STATE_COUNTS_CPU(0)].made = 5;
	a->counts[FL_STATE_COUNTS_CPU(1)].refused_full = 7;
	a->counts[FL_STATE_COUNTS_CPU(1)].refused_place = 1;
	a->counts[FL_STATE_COUNTS_CPU(1)].evicted = 3;
	a->counts[FL_STATE_COUNTS_CPU(0)].refused_rule = 2;
	a->counts[FL_STATE_COUNTS_CPU(0)].states = 4;
	states_carry(a, b);
	states_numbers(b, &n);
	cr_expect(n.made == 5 && n.refused_full == 7 && n.refused_place == 1 && n.evicted == 3 && n.refused_rule == 2);
	cr_expect_eq(n.states, 0u, "these are copied");
	table_free(a);
	table_free(b);
}

Test(states, text)
{
	struct states *t = table_new(1);
	struct fl_state st = udp(10, 20);
	char buf[STATES_PHASES_LEN];

	cr_expect_str_eq(states_phases(&st, buf), "MULTIPLE:SINGLE");
	st.flags = FL_STATE_STARTER;
	cr_expect_str_eq(states_phases(&st, buf), "SINGLE:MULTIPLE");
	st.phase[0] = FL_PHASE_NONE;
	cr_expect_str_eq(states_phases(&st, buf), "SINGLE:NO_TRAFFIC");
	st.proto = FL_PROTO_TCP;
	st.phase[1] = FL_PHASE_SYN_SENT;
	cr_expect_str_eq(states_phases(&st, buf), "SYN_SENT:CLOSED");
	st.phase[0] = st.phase[1] = FL_PHASE_ESTABLISHED;
	cr_expect_str_eq(states_phases(&st, buf), "ESTABLISHED:ESTABLISHED");
	cr_expect_eq(states_expires_s(t, &st, NOW + 20 * HZ + 1), 40u);
	cr_expect_eq(states_expires_s(t, &st, NOW + 90 * HZ), 0u);
	table_free(t);
}

/* A bucket has eight places: of two thirds of all, twins counted, a few in 100,000 find none. */
Test(states, sizes)
{
	uint32_t limit = 20000, failed = 0;
	struct states *t = table_new(states_buckets(limit, true));

	for (uint32_t i = 0; i < 2 * limit; i++) {
		struct fl_tuple key = { .addr = { host(i), host(~i) }, .proto = FL_PROTO_UDP };
		struct fl_state_place at = fl_state_hash(&key, t->control->key, t->control->buckets);
		uint32_t used[2] = {}, b;

		for (uint32_t way = 0; way < 2 * FL_BUCKET_WAYS; way++)
			used[way / 8] += t->buckets[at.bucket[way / 8]].tag[way % 8] != 0;
		b = !FL_STATE_FIRST(8 - used[0], 8 - used[1]);
		failed += used[b] == FL_BUCKET_WAYS;
		if (used[b] < FL_BUCKET_WAYS)
			t->buckets[at.bucket[b]].tag[used[b]] = FL_TAG(at.hash, 0, FL_KIND_ESTABLISHED);
	}
	cr_expect(failed < 2 * limit / 1000, "%u of %u", failed, 2 * limit);
	table_free(t);
}
