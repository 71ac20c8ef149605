// SPDX-License-Identifier: GPL-2.0-only
/* The state table: what it finds, who gives way, and what it counts. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "selftests/prog/check.h"
#include "selftests/prog/random.h"
#include "selftests/prog/state_table.h"

#include "states_prog.skel.h"

static void directions(struct env *env)
{
	struct states_answer a, b;
	struct states_request q;
	struct state_table t;

	if (!state_table_begin(env, &t, 64))
		return;
	for (__u32 i = 1; i < 100; i++) {
		state_table_udp(&q, i, 100 - i / 2);
		q.sport = htons(i);
		state_table_packet(&t, &q, &a);
		if (a.found || a.result)
			fail(env, "  %u: found %u, result %d\n", i, a.found, a.result);
		state_table_answer(&q);
		state_table_packet(&t, &q, &b);
		if (!b.found || b.result || b.slot != a.slot || b.side == a.side)
			fail(env, "  %u, answer: found %u, result %d, side %u\n", i, b.found, b.result, b.side);
		state_table_expect(env, "starter", !!(t.states[a.slot].flags & FL_STATE_STARTER), a.side);
		state_table_expect(env, "packets",
				   t.states[a.slot].end[a.side].packets + t.states[a.slot].end[b.side].packets, 2);
	}
	/* between one address and itself the ports say which end is which */
	state_table_udp(&q, 5, 5);
	q.dport = htons(53);
	state_table_packet(&t, &q, &a);
	state_table_answer(&q);
	state_table_packet(&t, &q, &b);
	state_table_expect(env, "the same address: found", b.found, 1);
	state_table_expect(env, "the same address: side", b.side, !a.side);
	state_table_expect_counts(env, "at last", &t, 100, 0);
	state_table_close(&t);
}

/* From `from` to `to`, seen outside as from `as`. */
static void translated(struct states_request *q, __u32 from, __u32 to, __u32 as, __u16 port)
{
	state_table_udp(q, from, to);
	q->flags = STATES_TRANSLATE;
	q->to_src = q->src;
	q->to_dst = q->dst;
	q->to_src.w[3] = htonl(as);
	q->to_sport = htons(port);
	q->to_dport = q->dport;
}

/* What comes back to the translated source. */
static void translated_answer(struct states_request *q)
{
	q->flags = 0;
	q->src = q->to_dst;
	q->dst = q->to_src;
	q->sport = q->to_dport;
	q->dport = q->to_sport;
}

static void twins(struct env *env)
{
	/* inside, outside, translated: the ends keep their order, or turn */
	static const __u32 hosts[][3] = { { 10, 20, 15 }, { 10, 20, 25 }, { 30, 20, 25 }, { 30, 20, 15 } };
	struct states_answer a, b;
	struct states_request q;
	struct state_table t;

	if (!state_table_begin(env, &t, 64))
		return;
	for (__u32 i = 0; i < 4; i++) {
		translated(&q, hosts[i][0], hosts[i][1], hosts[i][2], 40000 + i);
		q.sport = htons(i);
		state_table_packet(&t, &q, &a);
		state_table_expect(env, "made", a.result, 0);
		translated_answer(&q);
		state_table_packet(&t, &q, &b);
		state_table_expect(env, "found by the twin", b.found, 1);
		state_table_expect(env, "its state", b.main, a.main);
		state_table_expect(env, "its slot", b.slot != a.slot, 1);
		state_table_expect(env, "end that answered", b.main_side, !a.side);
		state_table_expect(env, "packets of that", t.states[a.main].end[!a.side].packets, 1);
	}
	state_table_expect_counts(env, "four", &t, 4, 4);
	/* the port is taken */
	translated(&q, 11, 20, 15, 40000);
	state_table_packet(&t, &q, &b);
	state_table_expect(env, "taken", b.result, -FL_DROP_NAT_PORTS);
	/* by a state without translation as well */
	state_table_udp(&q, 70, 71);
	state_table_packet(&t, &q, &b);
	translated(&q, 72, 71, 70, 1000);
	state_table_packet(&t, &q, &b);
	state_table_expect(env, "taken by a plain one", b.result, -FL_DROP_NAT_PORTS);
	state_table_expect_counts(env, "refused", &t, 5, 4);
	state_table_close(&t);
}

/* A twin is nothing without its state; and goes with it. */
static void twins_end(struct env *env)
{
	struct states_answer a, b;
	struct states_request q;
	struct state_table t;
	__u64 *tag;

	if (!state_table_begin(env, &t, 64))
		return;
	translated(&q, 10, 20, 15, 40000);
	state_table_packet(&t, &q, &a);
	state_table_age(&t, a.main, 2000);
	translated_answer(&q);
	state_table_packet(&t, &q, &b);
	state_table_expect(env, "run out: found", b.found, 0);
	state_table_expect_counts(env, "run out", &t, 1, 0);
	/* the daemon died when it had removed the one and not the other */
	translated(&q, 30, 20, 15, 40001);
	state_table_packet(&t, &q, &a);
	tag = &t.buckets[a.main / FL_BUCKET_WAYS].tag[a.main % FL_BUCKET_WAYS];
	*tag = FL_TAG(0, FL_TAG_SERIAL(*tag) + 1, FL_KIND_FREE);
	t.counts[FL_STATE_COUNTS_DAEMON].states--;
	t.counts[FL_STATE_COUNTS_DAEMON].embryonic--;
	state_table_expect_counts(env, "half gone", &t, 1, 1);
	translated_answer(&q);
	q.flags = STATES_NO_INSERT;
	state_table_packet(&t, &q, &b);
	state_table_expect(env, "half gone: found", b.found, 0);
	/* a connection with just that tuple takes its place, whichever slot it gets */
	q.flags = 0;
	state_table_packet(&t, &q, &b);
	state_table_expect(env, "in its place: found", b.found, 0);
	state_table_expect(env, "in its place: result", b.result, 0);
	state_table_expect_counts(env, "in its place", &t, 2, 0);
	state_table_age(&t, b.main, 2000);
	translated(&q, 31, 20, 15, 40001);
	state_table_packet(&t, &q, &b);
	state_table_expect(env, "its port", b.result, 0);
	state_table_expect_counts(env, "its port", &t, 2, 1);
	translated_answer(&q);
	state_table_packet(&t, &q, &a);
	state_table_expect(env, "its answer", a.main, b.main);
	state_table_expect(env, "embryonic", state_table_embryonic(&t), 1);
	state_table_close(&t);
}

/* Timeouts by what has been said. */
static void expiry(struct env *env)
{
	static const int timeouts[] = { [FL_UDP_FIRST] = 60, [FL_UDP_SINGLE] = 30, [FL_UDP_MULTIPLE] = 120 };
	struct states_request q;
	struct states_answer a, b;
	struct state_table t;

	if (!state_table_begin(env, &t, 64))
		return;
	for (int i = FL_UDP_FIRST; i <= FL_UDP_MULTIPLE; i++)
		t.control->timeout[i] = timeouts[i] * t.hz;
	for (int i = FL_UDP_FIRST; i <= FL_UDP_MULTIPLE; i++) {
		for (int late = 0; late < 2; late++) {
			state_table_udp(&q, 10 + i, 20);
			q.sport = htons(late);
			state_table_packet(&t, &q, &a);
			if (i == FL_UDP_SINGLE)
				state_table_packet(&t, &q, &b);
			if (i == FL_UDP_MULTIPLE) {
				state_table_answer(&q);
				state_table_packet(&t, &q, &b);
				state_table_answer(&q);
				state_table_packet(&t, &q, &b);
			}
			state_table_expect(env, "timeout", fl_state_timeout(&t.states[a.main]), i);
			state_table_age(&t, a.main, timeouts[i] - 1 + 2 * late);
			q.flags = STATES_NO_INSERT;
			state_table_packet(&t, &q, &b);
			state_table_expect(env, late ? "late" : "in time", b.found, !late);
		}
	}
	state_table_expect_counts(env, "at last", &t, 6, 0);
	/* a new one takes its place */
	q.flags = 0;
	state_table_packet(&t, &q, &b);
	state_table_expect(env, "new: found", b.found, 0);
	state_table_expect(env, "new: result", b.result, 0);
	state_table_expect(env, "new: packets", t.states[b.main].end[b.side].packets, 1);
	state_table_expect_counts(env, "new", &t, 6, 0);
	/* jiffies wrap */
	t.states[b.main].seen = t.states[b.main].made = b.now - 50 * t.hz;
	state_table_packet(&t, &q, &a);
	state_table_expect(env, "found", a.found, 1);
	state_table_close(&t);
}

/* Both directions, so that it gives way to nobody. */
static __u32 establish(struct state_table *t, __u32 from)
{
	struct states_request q;
	struct states_answer a;

	state_table_udp(&q, from, 20);
	state_table_packet(t, &q, &a);
	state_table_answer(&q);
	state_table_packet(t, &q, &a);
	return a.main;
}

static bool is_there(struct state_table *t, __u32 from)
{
	struct states_request q;
	struct states_answer a;

	state_table_udp(&q, from, 20);
	q.flags = STATES_NO_INSERT;
	state_table_packet(t, &q, &a);
	return a.found;
}

static int add(struct state_table *t, __u32 from, __u32 *slot)
{
	struct states_request q;
	struct states_answer a;

	state_table_udp(&q, from, 20);
	state_table_packet(t, &q, &a);
	*slot = a.main;
	return a.result;
}

/* In a table of one bucket. */
static void who_gives_way(struct env *env)
{
	__u32 slot, old[2];
	struct state_table t;

	if (!state_table_begin(env, &t, 1))
		return;
	t.control->limit = t.control->embryonic_limit = 100;
	for (__u32 i = 0; i < 6; i++)
		old[i & 1] = establish(&t, 100 + i);
	for (__u32 i = 0; i < 2; i++) {
		state_table_expect(env, "fill", add(&t, 200 + i, &slot), 0);
		t.states[slot].made -= (i ? 1 : 5) * t.hz;
	}
	state_table_expect(env, "one more", add(&t, 300, &slot), 0);
	state_table_expect(env, "the oldest embryonic one is gone", is_there(&t, 200), 0);
	state_table_expect(env, "the younger is there", is_there(&t, 201), 1);
	state_table_expect_counts(env, "one more", &t, 8, 0);
	state_table_expect(env, "evicted",
			   t.counts[FL_STATE_COUNTS_CPU(0)].evicted + t.counts[FL_STATE_COUNTS_CPU(1)].evicted, 1);
	/* what has run out goes first, though it was established */
	state_table_age(&t, old[0], 2000);
	state_table_expect(env, "two more", add(&t, 301, &slot), 0);
	state_table_expect(env, "its slot", slot, old[0]);
	state_table_expect(env, "still there", is_there(&t, 201) + is_there(&t, 300), 2);
	/* all established: refused */
	establish(&t, 201);
	establish(&t, 300);
	establish(&t, 301);
	state_table_expect(env, "no room", add(&t, 302, &slot), -FL_DROP_STATE_FULL);
	state_table_expect_counts(env, "no room", &t, 8, 0);
	state_table_expect(env, "embryonic", state_table_embryonic(&t), 0);
	/* two entries or none */
	state_table_age(&t, old[1], 2000);
	{
		struct states_request q;
		struct states_answer a;

		translated(&q, 400, 20, 15, 40000);
		state_table_packet(&t, &q, &a);
		state_table_expect(env, "no room for a twin", a.result, -FL_DROP_STATE_FULL);
	}
	state_table_expect_counts(env, "no room for a twin", &t, 7, 0);
	state_table_close(&t);
}

static void limits(struct env *env)
{
	struct state_table t;
	__u32 slot, refused = 0;

	if (!state_table_begin(env, &t, 256))
		return;
	t.control->limit = 400;
	t.control->embryonic_limit = 100;
	for (__u32 i = 0; i < 350; i++)
		establish(&t, 10000 + i);
	/* a flood */
	for (__u32 i = 0; i < 5000; i++)
		refused += add(&t, 100000 + i, &slot) != 0;
	state_table_expect(env, "embryonic: all that is left", state_table_embryonic(&t), 50);
	if (refused > 500)
		fail(env, "  %u of 5000 are refused while others give way\n", refused);
	state_table_expect_counts(env, "flood", &t, 400, 0);
	for (__u32 i = 0; i < 350; i++)
		if (!is_there(&t, 10000 + i))
			fail(env, "  the flood has disturbed %u\n", i);
	/* room again: the quota holds */
	t.control->limit = 1000;
	for (__u32 i = 0; i < 1000; i++)
		add(&t, 200000 + i, &slot);
	state_table_expect(env, "embryonic: the quota", state_table_embryonic(&t), 100);
	state_table_expect_counts(env, "quota", &t, 450, 0);
	/* full of established ones */
	t.control->limit = 450;
	for (__u32 i = 0; i < 1000 && state_table_embryonic(&t) > 0; i++)
		if (is_there(&t, 200000 + i))
			establish(&t, 200000 + i);
	state_table_expect(env, "full", add(&t, 300000, &slot), -FL_DROP_STATE_FULL);
	state_table_expect_counts(env, "full", &t, 450, 0);
	/* there is no daemon here: what has run out gives way, when the hand comes by */
	for (slot = 0; slot < t.slots; slot++)
		if (FL_TAG_KIND(state_table_tag(&t, slot)) == FL_KIND_ESTABLISHED)
			state_table_age(&t, slot, 2000);
	state_table_expect(env, "alone", add(&t, 300000, &slot), 0);
	state_table_expect_counts(env, "alone", &t, 450, 0);
	state_table_close(&t);
}

/* A table that is far too big for its limit: who gives way is hard to find, but below the limit nobody is refused for that. */
static void sparse(struct env *env)
{
	struct state_table t;
	__u32 slot, refused = 0;

	if (!state_table_begin(env, &t, 8192))
		return;
	t.control->limit = 4000;
	t.control->embryonic_limit = 100;
	for (__u32 i = 0; i < 100; i++)
		establish(&t, 10000 + i);
	for (__u32 i = 0; i < 5000; i++)
		refused += add(&t, 100000 + i, &slot) != 0;
	state_table_expect(env, "refused", refused, 0);
	if (state_table_embryonic(&t) > 1000)
		fail(env, "  %lld embryonic ones, with a quota of 100\n", (long long)state_table_embryonic(&t));
	for (__u32 i = 0; i < 100; i++)
		state_table_expect(env, "established ones", is_there(&t, 10000 + i), 1);
	state_table_close(&t);
}

static __u32 placeless(const struct state_table *t)
{
	__u32 sum = 0;

	for (int cpu = 0; cpu < t->cpus; cpu++)
		sum += t->counts[FL_STATE_COUNTS_CPU(cpu)].refused_place;
	return sum;
}

/* It is told apart whether the limit refuses or the two buckets are full. */
static void why_refused(struct env *env)
{
	struct state_table t;
	__u32 slot;

	if (!state_table_begin(env, &t, 1))
		return;
	t.control->limit = t.control->embryonic_limit = 8;
	for (__u32 i = 0; i < 8; i++)
		establish(&t, 100 + i);
	state_table_expect(env, "the limit", add(&t, 200, &slot), -FL_DROP_STATE_FULL);
	state_table_expect(env, "of these by the place", placeless(&t), 0);
	t.control->limit = 9;
	state_table_expect(env, "the place", add(&t, 200, &slot), -FL_DROP_STATE_FULL);
	state_table_expect(env, "of these by the place", placeless(&t), 1);
	state_table_close(&t);
}

/* Whether both hashes of what host `from` sends to 60000 by its port lead to the bucket. */
static bool lies_in(const struct state_table *t, __u32 from, __u16 port, __u32 bucket)
{
	struct fl_tuple key = { .proto = IPPROTO_UDP };
	struct fl_state_place place;
	struct states_request q;

	state_table_udp(&q, from, 60000);
	key.addr[0] = q.src;
	key.addr[1] = q.dst;
	key.port[0] = htons(port);
	key.port[1] = q.dport;
	place = fl_state_hash(&key, t->control->key, t->control->buckets);
	return place.bucket[0] == bucket && place.bucket[1] == bucket;
}

/* The next one that has its state in the one of two buckets, and its twin in the other. Of *number: host inside, and port outside. */
static void add_apart(struct state_table *t, __u32 number[2], __u32 bucket, struct states_answer *a)
{
	struct states_request q;

	do
		number[0]++;
	while (!lies_in(t, number[0], 1000, bucket));
	do
		number[1]++;
	while (!lies_in(t, 50, number[1], !bucket));
	translated(&q, number[0], 60000, 50, number[1]);
	state_table_packet(t, &q, a);
}

/* A twin gives way when its state does, and both go: else a bucket of twins would refuse for as long as their states last. */
static void twins_give_way(struct env *env)
{
	__u32 number[2] = { 100, 0 }, first = 0, slot;
	struct states_answer a;
	struct state_table t;

	if (!state_table_begin(env, &t, 2))
		return;
	for (__u32 i = 0; i < FL_BUCKET_WAYS; i++) {
		add_apart(&t, number, 0, &a);
		state_table_expect(env, "fill", a.result, 0);
		t.states[a.main].made -= (FL_BUCKET_WAYS - i) * t.hz;
		first = i ? first : a.main;
	}
	state_table_expect_counts(env, "a bucket of states and one of twins", &t, FL_BUCKET_WAYS, FL_BUCKET_WAYS);
	add_apart(&t, number, 1, &a);
	state_table_expect(env, "where twins are", a.result, 0);
	state_table_expect(env, "its twin has the place of the oldest", t.states[a.main].twin, first);
	state_table_expect_counts(env, "where twins are", &t, FL_BUCKET_WAYS, FL_BUCKET_WAYS);
	state_table_expect(env, "embryonic", state_table_embryonic(&t), FL_BUCKET_WAYS);
	/* not the twins of those that give way to none */
	for (slot = 0; slot < t.slots; slot++) {
		__u64 *tag = &t.buckets[slot / FL_BUCKET_WAYS].tag[slot % FL_BUCKET_WAYS];

		if (FL_TAG_KIND(*tag) == FL_KIND_EMBRYONIC)
			*tag = FL_TAG_AS(*tag, FL_KIND_ESTABLISHED);
	}
	add_apart(&t, number, 1, &a);
	state_table_expect(env, "no room", a.result, -FL_DROP_STATE_FULL);
	state_table_expect_counts(env, "no room", &t, FL_BUCKET_WAYS, FL_BUCKET_WAYS);
	state_table_close(&t);
}

static __u64 rule_packets(const struct state_table *t, __u32 id)
{
	__u64 sum = 0;

	for (int cpu = 0; cpu <= t->cpus; cpu++)
		sum += t->rule_stats[FL_RULE_STATS_INDEX(cpu, id)].packets;
	return sum;
}

static __u64 rule_bytes(const struct state_table *t, __u32 id)
{
	__u64 sum = 0;

	for (int cpu = 0; cpu <= t->cpus; cpu++)
		sum += t->rule_stats[FL_RULE_STATS_INDEX(cpu, id)].bytes;
	return sum;
}

static void rules(struct env *env)
{
	struct states_request q;
	struct states_answer a;
	struct state_table t;
	int refused[3] = {};
	__u32 last = 0;

	if (!state_table_begin(env, &t, 64))
		return;
	for (__u32 i = 0; i < 30; i++) {
		state_table_udp(&q, 10 + i / 10, 20);
		q.sport = htons(i);
		q.rule[0] = 7;
		q.rule[1] = 9;
		q.max_states = 15;
		q.max_states_per_source = 6;
		state_table_packet(&t, &q, &a);
		refused[i / 10] += a.result == -FL_DROP_STATE_LIMIT;
		if (!a.result)
			last = a.main;
	}
	state_table_expect(env, "source 1", refused[0], 4);
	state_table_expect(env, "source 2", refused[1], 4);
	state_table_expect(env, "source 3: of the rule", refused[2], 7);
	state_table_expect_counts(env, "limited", &t, 15, 0);
	state_table_expect(env, "states of the rule", (__u32)t.rule_states[7], 15);
	state_table_expect(env, "states of the other", (__u32)t.rule_states[9], 15);
	state_table_expect(env, "no packets yet", rule_packets(&t, 7), 0);
	/* one ends: what it has counted, past 32 bits */
	t.states[last].end[0].packets = t.states[last].end[1].packets = ~0u;
	t.states[last].end[0].bytes_lo = t.states[last].end[1].bytes_lo = ~0u - 50;
	q.sport = t.states[last].port[0] == htons(1000) ? t.states[last].port[1] : t.states[last].port[0];
	state_table_packet(&t, &q, &a);
	state_table_expect(env, "found", a.found, 1);
	state_table_answer(&q);
	state_table_packet(&t, &q, &a);
	state_table_expect(env, "past 32 bits", fl_state_packets(&t.states[last], 0) >> 16, 1 << 16);
	state_table_expect(env, "past 32 bits", fl_state_packets(&t.states[last], 1), 1LL << 32);
	state_table_expect(env, "bytes", fl_state_bytes(&t.states[last], 1), (1LL << 32) + 49);
	state_table_answer(&q);
	state_table_age(&t, last, 2000);
	state_table_packet(&t, &q, &a);
	state_table_expect(env, "source 3 again", a.result, 0);
	state_table_expect(env, "packets of the rule", rule_packets(&t, 7), 2LL << 32);
	state_table_expect(env, "packets of the other", rule_packets(&t, 9), 2LL << 32);
	state_table_expect(env, "bytes of the rule", rule_bytes(&t, 7), 2 * ((1LL << 32) + 49));
	state_table_expect(env, "states of the rule", (__u32)t.rule_states[7], 15);
	/* there is no daemon here: those that have run out make room when one is refused */
	for (__u32 slot = 0; slot < t.slots; slot++)
		if (FL_TAG_KIND(state_table_tag(&t, slot)) != FL_KIND_FREE)
			state_table_age(&t, slot, 2000);
	q.sport = htons(40);
	state_table_packet(&t, &q, &a);
	state_table_expect(env, "refused for those that have run out", a.result, -FL_DROP_STATE_LIMIT);
	state_table_expect(env, "they are gone", (__u32)t.rule_states[7], 0);
	state_table_packet(&t, &q, &a);
	state_table_expect(env, "there is room again", a.result, 0);
	state_table_close(&t);
}

/* What is known of each key, beside the table. */
struct model {
	bool there, translated;
	__u64 packets;
};

#define MODEL_KEYS 400

static void model_request(struct states_request *q, __u32 key, bool answer)
{
	translated(q, 1 + key % 20, 100 + key / 20 % 5, 50, 30000 + key);
	q->sport = htons(key / 100);
	if (key % 3)
		q->flags = 0;
	if (answer && key % 3)
		state_table_answer(q);
	else if (answer)
		translated_answer(q);
}

/* Random packets of 400 connections, a third of them translated, that run out now and then: each found when the model has it. */
static void against_model(struct env *env)
{
	static struct model models[MODEL_KEYS];
	struct states_request q;
	struct states_answer a;
	struct state_table t;
	__u64 random = 4711;
	__u32 there = 0, with_twin = 0;

	if (!state_table_begin(env, &t, 128))
		return;
	memset(models, 0, sizeof(models));
	for (int i = 0; i < 40000 && !*env->why; i++) {
		__u32 key = random_next(&random) % MODEL_KEYS;
		struct model *m = &models[key];
		__u64 what = random_next(&random) % 16;

		model_request(&q, key, what & 1 && m->there);
		state_table_packet(&t, &q, &a);
		if (a.result || a.found != m->there)
			fail(env, "  packet %d: key %u, result %d, found %u\n", i, key, a.result, a.found);
		if (!m->there)
			m->packets = 0;
		m->there = true;
		m->packets++;
		state_table_expect(env, "packets",
				   t.states[a.main].end[0].packets + (__u64)t.states[a.main].end[1].packets,
				   m->packets);
		if (what == 15) {
			state_table_age(&t, a.main, 2000);
			m->there = false;
		}
	}
	for (__u32 key = 0; key < MODEL_KEYS; key++) {
		model_request(&q, key, false);
		q.flags |= STATES_NO_INSERT;
		state_table_packet(&t, &q, &a);
		state_table_expect(env, "there at last", a.found, models[key].there);
		if (!models[key].there && !a.found) {
			q.flags &= ~STATES_NO_INSERT;
			state_table_packet(&t, &q, &a);
		}
		there++;
		with_twin += key % 3 == 0;
	}
	state_table_expect_counts(env, "at last", &t, there, with_twin);
	state_table_close(&t);
}

const struct procedure states_procedures[] = {
	{ "states/directions", directions },
	{ "states/twins", twins },
	{ "states/twins-end", twins_end },
	{ "states/expiry", expiry },
	{ "states/who-gives-way", who_gives_way },
	{ "states/limits", limits },
	{ "states/sparse", sparse },
	{ "states/why-refused", why_refused },
	{ "states/twins-give-way", twins_give_way },
	{ "states/rules", rules },
	{ "states/against-a-model", against_model },
	{},
};
