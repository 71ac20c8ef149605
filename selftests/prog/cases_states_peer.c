// SPDX-License-Identifier: GPL-2.0-only
/* The state table of one of a pair: what is logged for the peer, and what becomes of entries that come from there. */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fairlead/maps.h"
#include "fairlead/sync.h"
#include "selftests/prog/check.h"
#include "selftests/prog/state_table.h"
#include "user/policy/states_peer.h"

#include "states_prog.skel.h"

#define TCP_FLAGS_FIN 0x01
#define TCP_FLAGS_SYN 0x02
#define TCP_FLAGS_RST 0x04
#define TCP_FLAGS_ACK 0x10

struct pair {
	struct state_table t;
	struct states s;
	struct fl_sync_log *log;
};

static bool begin(struct env *env, struct pair *p, __u32 buckets)
{
	struct states_maps maps;

	memset(p, 0, sizeof(*p));
	p->log = malloc(sizeof(*p->log));
	if (!p->log || state_table_open(&p->t, buckets)) {
		fail(env, "  no table\n");
		free(p->log);
		return false;
	}
	maps = (struct states_maps){
		.buckets = bpf_map__fd(p->t.skel->maps.fl_buckets),
		.states = bpf_map__fd(p->t.skel->maps.fl_states),
		.control = bpf_map__fd(p->t.skel->maps.fl_state_control),
		.counts = bpf_map__fd(p->t.skel->maps.fl_state_counts),
		.rule_stats = bpf_map__fd(p->t.skel->maps.fl_rule_stats),
		.rule_states = bpf_map__fd(p->t.skel->maps.fl_rule_states),
		.sources = bpf_map__fd(p->t.skel->maps.fl_rule_sources),
		.n_buckets = buckets,
		.cpus = p->t.cpus,
	};
	if (states_open(&p->s, &maps, p->t.hz))
		fail(env, "  the daemon cannot map it\n");
	return true;
}

static void end(struct pair *p)
{
	states_close(&p->s);
	state_table_close(&p->t);
	free(p->log);
}

static void say(struct pair *p, __u8 sync)
{
	struct fl_control control = { .sync = sync };
	__u32 zero = 0;

	bpf_map_update_elem(bpf_map__fd(p->t.skel->maps.fl_control), &zero, &control, BPF_ANY);
}

/* What all CPUs have logged. */
static __u64 logged(struct pair *p, __u32 *last)
{
	__u64 n = 0;

	for (__u32 cpu = 0; (int)cpu < p->t.cpus; cpu++) {
		if (bpf_map_lookup_elem(bpf_map__fd(p->t.skel->maps.fl_sync_log), &cpu, p->log))
			continue;
		n += p->log->head;
		if (p->log->head)
			*last = p->log->slot[(p->log->head - 1) % FL_SYNC_LOG];
	}
	return n;
}

static __u32 now_of(struct pair *p)
{
	struct states_request q;
	struct states_answer a;

	state_table_udp(&q, 0x7fffffff, 1);
	q.flags = STATES_NO_INSERT;
	state_table_packet(&p->t, &q, &a);
	return a.now;
}

static void expect_logged(struct env *env, struct pair *p, const char *what, __u64 more, __u32 slot, __u64 *before)
{
	__u32 last = ~0u;
	__u64 n = logged(p, &last);

	if (n - *before != more || (more && last != slot))
		fail(env, "  %s: %llu logged, the last %u instead of %llu, %u\n", what,
		     (unsigned long long)(n - *before), last, (unsigned long long)more, slot);
	*before = n;
}

/* Of a connection what is told, and what is not. */
static void logging(struct env *env)
{
	struct states_request q;
	struct states_answer a;
	__u64 n = 0;
	struct pair p;

	if (!begin(env, &p, 64))
		return;
	for (int on = 0; on < 2; on++) {
		say(&p, on ? FL_SYNC_STATES : 0);
		state_table_udp(&q, 1 + on, 9);
		state_table_packet(&p.t, &q, &a);
		expect_logged(env, &p, "embryonic", 0, a.main, &n);
		state_table_answer(&q);
		state_table_packet(&p.t, &q, &a);
		expect_logged(env, &p, "established", on, a.main, &n);
		state_table_answer(&q);
		state_table_packet(&p.t, &q, &a);
		expect_logged(env, &p, "another phase", on, a.main, &n);
		state_table_packet(&p.t, &q, &a);
		expect_logged(env, &p, "a packet", 0, a.main, &n);
		p.t.states[a.main].flags |= FL_STATE_PEER;
		state_table_packet(&p.t, &q, &a);
		expect_logged(env, &p, "over from the peer", on, a.main, &n);
		if (p.t.states[a.main].flags & FL_STATE_PEER)
			fail(env, "  it is still the peer's\n");
		/* its end: the next packet makes it anew */
		state_table_age(&p.t, a.main, 100000);
		state_table_packet(&p.t, &q, &a);
		expect_logged(env, &p, "the end", on, a.main, &n);
	}
	end(&p);
}

/* ---- TCP that has gone on at the peer ---- */

struct tcp_step {
	const char *what;
	bool by_b;
	__u8 flags;
	__u32 seq, ack, len;
	__s32 result;
};

static void tcp_news(struct states_news *news, __u32 seq_a, __u32 seq_b, __u32 now)
{
	struct states_request q;
	struct fl_tuple key;
	unsigned int a;

	memset(news, 0, sizeof(*news));
	state_table_udp(&q, 1, 2);
	a = states_tuple(&key, &q.src, &q.dst, q.sport, q.dport, FL_PROTO_TCP);
	memcpy(news->state.addr, key.addr, sizeof(key.addr));
	memcpy(news->state.port, key.port, sizeof(key.port));
	news->state.proto = FL_PROTO_TCP;
	news->state.flags = a ? FL_STATE_STARTER : 0;
	news->state.phase[0] = news->state.phase[1] = FL_PHASE_ESTABLISHED;
	news->state.wscale = FL_WSCALE_NONE << 4 | FL_WSCALE_NONE;
	news->state.end[a] = (struct fl_end){ .seq_lo = seq_a, .seq_hi = seq_a + 60000, .max_win = 60000 };
	news->state.end[a ^ 1] = (struct fl_end){ .seq_lo = seq_b, .seq_hi = seq_b + 60000, .max_win = 60000 };
	news->state.made = news->state.seen = now;
	news->kind = FL_KIND_ESTABLISHED;
}

static void tcp_run(struct env *env, struct pair *p, const struct tcp_step *steps, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct tcp_step *s = &steps[i];
		struct states_request q;
		struct states_answer a;

		state_table_udp(&q, 1, 2);
		if (s->by_b)
			state_table_answer(&q);
		q.proto = FL_PROTO_TCP;
		q.flags = STATES_NO_INSERT;
		q.segment = (struct states_segment){ .seq = s->seq,
						     .ack = s->ack,
						     .len = s->len,
						     .win = 60000,
						     .flags = s->flags,
						     .wscale = FL_WSCALE_NONE };
		state_table_packet(&p->t, &q, &a);
		if (a.result != s->result || !a.found)
			fail(env, "  %s: result %d, found %u\n", s->what, a.result, a.found);
		/* as the pipeline does it with what passes */
		if (!a.result && a.found)
			p->t.states[a.main].end[a.main_side & 1].from = 1;
	}
}

/* Gigabytes have passed at the peer since its last news; and somebody who knows addresses and ports alone sends segments in A's name. */
static const struct tcp_step gone_on[] = {
	{ "a reset that fits nothing", 0, TCP_FLAGS_RST, 3000000000u, 0, 0, -FL_DROP_STATE_WINDOW },
	{ "a SYN|ACK", 1, TCP_FLAGS_SYN | TCP_FLAGS_ACK, 4000000, 5, 0, -FL_DROP_STATE_WINDOW },
	{ "a retransmission", 0, TCP_FLAGS_ACK, 3000000000u, 700000, 1000, 0 },
	{ "a guess", 0, TCP_FLAGS_ACK, 1000000000u, 9, 10, 0 },
	{ "a reset behind it", 0, TCP_FLAGS_RST, 1000000010u, 0, 0, 0 },
	{ "a FIN", 0, TCP_FLAGS_FIN | TCP_FLAGS_ACK, 2000000000u, 2000000000u, 0, 0 },
	{ "the host goes on", 0, TCP_FLAGS_ACK, 3000001000u, 700000, 1000, 0 },
	{ "another guess", 0, TCP_FLAGS_ACK, 1000000000u, 9, 10, 0 },
	{ "the answer", 1, TCP_FLAGS_ACK, 700000, 3000002000u, 0, 0 },
	{ "a third guess", 0, TCP_FLAGS_ACK, 1000000000u, 9, 10, 0 },
	{ "the answer, which fills a hole", 1, TCP_FLAGS_ACK, 700000, 3000151000u, 0, 0 },
	{ "more", 0, TCP_FLAGS_ACK, 3000151000u, 700000, 1000, 0 },
	{ "a guess that is late", 0, TCP_FLAGS_ACK, 1000000000u, 9, 10, -FL_DROP_STATE_WINDOW },
	{ "far behind it", 0, TCP_FLAGS_ACK, 3000651000u, 700000, 1000, -FL_DROP_STATE_WINDOW },
	{ "no window has that", 1, TCP_FLAGS_ACK, 700000, 3001051000u, 0, -FL_DROP_STATE_WINDOW },
	{ "a reset in between", 0, TCP_FLAGS_RST, 3001052000u, 0, 0, -FL_DROP_STATE_WINDOW },
	{ "the end", 0, TCP_FLAGS_FIN | TCP_FLAGS_ACK, 3000152000u, 700000, 0, 0 },
};

static void moved(struct env *env)
{
	struct states_news news;
	__u32 slot, now;
	struct pair p;
	uint64_t tag;

	if (!begin(env, &p, 64))
		return;
	now = now_of(&p);
	tcp_news(&news, 1000, 2000, now);
	if (states_take(&p.s, &news, now, &slot, &tag) != STATES_MADE)
		fail(env, "  it is not made\n");
	tcp_run(env, &p, gone_on, sizeof(gone_on) / sizeof(*gone_on));
	if (p.t.states[slot].flags & FL_STATE_PEER)
		fail(env, "  it is still the peer's\n");
	if (p.t.states[slot].phase[0] == FL_PHASE_CLOSED)
		fail(env, "  a reset that was guessed has ended it\n");
	/* and back again */
	tcp_news(&news, 3500000000u, 800000, p.t.states[slot].seen + 1);
	memcpy(news.state.phase, p.t.states[slot].phase, sizeof(news.state.phase));
	if (states_take(&p.s, &news, now, &slot, &tag) != STATES_MERGED || !(p.t.states[slot].flags & FL_STATE_PEER) ||
	    p.t.states[slot].end[0].from || p.t.states[slot].end[1].from)
		fail(env, "  it is not the peer's again\n");
	if (!states_drop(&p.s, slot, FL_TAG_SERIAL(tag)) || state_table_count(&p.t))
		fail(env, "  it is not dropped\n");
	end(&p);
}

/* ---- the daemon takes what the programs make at the same time ---- */

#define KEYS 4000

struct traffic {
	struct pair *p;
	pthread_t thread;
	bool stop;
	__u32 failed;
};

static void *traffic_run(void *arg)
{
	struct traffic *tr = arg;

	while (!__atomic_load_n(&tr->stop, __ATOMIC_RELAXED)) {
		struct states_loop loop = { .step = 7, .keys = KEYS, .count = KEYS, .insert = 1 };

		state_table_loop(&tr->p->t, &loop);
		tr->failed += loop.failed;
	}
	return NULL;
}

/* As states_loop makes them. */
static void loop_news(struct states_news *news, __u32 number, __u32 now)
{
	union fl_addr src = { .w = { htonl(0x20010db8), 0, 0, htonl(number) } };
	union fl_addr dst = { .w = { htonl(0x20010db8), 0, 0, ~0u } };
	struct fl_tuple key;
	unsigned int side = states_tuple(&key, &src, &dst, htons(number), htons(53), FL_PROTO_UDP);

	memset(news, 0, sizeof(*news));
	memcpy(news->state.addr, key.addr, sizeof(key.addr));
	memcpy(news->state.port, key.port, sizeof(key.port));
	news->state.proto = FL_PROTO_UDP;
	news->state.flags = side ? FL_STATE_STARTER : 0;
	news->state.phase[0] = news->state.phase[1] = FL_PHASE_MULTIPLE;
	news->state.rule[0] = 3;
	news->state.end[0].packets = news->state.end[1].packets = 2;
	news->state.made = news->state.seen = now;
	news->kind = FL_KIND_ESTABLISHED;
}

static __u32 keys_twice(const struct state_table *t)
{
	__u8 *seen = calloc(KEYS, 1);
	__u32 twice = 0;

	for (__u32 slot = 0; seen && slot < t->slots; slot++)
		if (FL_TAG_KIND(state_table_tag(t, slot)) != FL_KIND_FREE &&
		    seen[ntohl(t->states[slot].addr[0].w[3]) % KEYS]++)
			twice++;
	free(seen);
	return twice;
}

static void taking(struct env *env)
{
	struct traffic tr = {};
	struct states_news news;
	__u32 slot, made = 0, left = 0, now;
	uint64_t tag, random = 1;
	struct pair p;

	if (!begin(env, &p, KEYS / 4))
		return;
	tr.p = &p;
	now = now_of(&p);
	if (pthread_create(&tr.thread, NULL, traffic_run, &tr))
		abort();
	for (__u32 i = 0; i < 100 * KEYS; i++) {
		random = random * 6364136223846793005ULL + 1442695040888963407ULL;
		loop_news(&news, (random >> 33) % KEYS, now);
		switch (states_take(&p.s, &news, now, &slot, &tag)) {
		case STATES_MADE:
			made++;
			break;
		case STATES_MERGED:
			break;
		default:
			left++;
		}
		if (random >> 63)
			states_remove(&p.s, slot, tag);
		else if (random >> 62 & 1)
			states_drop(&p.s, slot, FL_TAG_SERIAL(tag));
	}
	__atomic_store_n(&tr.stop, true, __ATOMIC_RELAXED);
	pthread_join(tr.thread, NULL);
	if (!made || left > made / 100 || tr.failed > KEYS / 10)
		fail(env, "  %u made, %u found no place; %u packets did not\n", made, left, tr.failed);
	if (keys_twice(&p.t) || state_table_count(&p.t) != state_table_published(&p.t, false))
		fail(env, "  %u twice; %u states, counted %lld\n", keys_twice(&p.t), state_table_published(&p.t, false),
		     (long long)state_table_count(&p.t));
	for (slot = 0, made = 0; slot < p.t.slots; slot++)
		made += FL_TAG_KIND(state_table_tag(&p.t, slot)) > FL_KIND_CLAIMED && p.t.states[slot].rule[0] == 3;
	if ((__u32)p.t.rule_states[3] != made)
		fail(env, "  the rule has %u states instead of %u\n", (__u32)p.t.rule_states[3], made);
	end(&p);
}

const struct procedure states_peer_procedures[] = {
	{ "states/peer/logging", logging },
	{ "states/peer/moved", moved },
	{ "states/peer/taking", taking },
	{},
};
