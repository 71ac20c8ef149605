// SPDX-License-Identifier: GPL-2.0-only
/* The state table by itself: one operation a run, told in the first bytes of the frame (states.h). */
#include "ctx/skb.h"

#include "lib/state.h"
#include "selftests/prog/states.h"

char _license[] SEC("license") = "GPL";

struct scratch {
	struct conn conn;
	struct fl_state fresh;
	struct fl_tuple twin;
	struct segment segment;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct scratch);
} scratch SEC(".maps");

/* A packet of a connection, as the pipeline treats it: find and check, or make. */
static __always_inline int packet(struct scratch *s, const struct states_request *q, struct states_answer *a)
{
	struct conn *c = &s->conn;
	int r;

	__builtin_memcpy(&s->segment, &q->segment, sizeof(s->segment));
	tuple_of(c, &q->src, &q->dst, q->sport, q->dport, q->proto);
	a->found = state_find(c);
	r = a->found ? state_check(c, &s->segment) : 0;
	if (r == -FL_DROP_STATE_WINDOW)
		r = state_moves(c, &s->segment);
	if (r < 0)
		return r;
	if (r == 0 && a->found) {
		state_update(c, q->bytes);
		return 0;
	}
	a->found = 0;
	if (q->flags & STATES_NO_INSERT)
		return 0;
	__builtin_memset(&s->fresh, 0, sizeof(s->fresh));
	s->fresh.rule[0] = q->rule[0];
	s->fresh.rule[1] = q->rule[1];
	s->fresh.flags = q->state_flags;
	c->max_states[0] = q->max_states;
	c->max_states_per_source[0] = q->max_states_per_source;
	c->max_states[1] = c->max_states_per_source[1] = 0;
	state_begin(c, &s->segment, &s->fresh, q->bytes);
	if (!(q->flags & STATES_TRANSLATE))
		return state_insert(c, &s->fresh, NULL);
	twin_of(c, &s->twin, &q->to_src, &q->to_dst, q->to_sport, q->to_dport);
	return state_insert(c, &s->fresh, &s->twin);
}

#define IN_STEP_TRIES 500

volatile __u32 states_pair_step[2][16];
__u32 states_pair_as[2][STATES_PAIR_KEYS];

/* Waits for the other CPU, but not for good. */
static __always_inline void in_step(__u32 me, __u32 step)
{
	me &= 1;
	states_pair_step[me][0] = step;
	for (int i = 0; i < IN_STEP_TRIES; i++)
		if (states_pair_step[me ^ 1][0] >= step)
			break;
}

/* As from which number the outside sees the connection; 0: it can't be told, as nat_of_conn() would find. */
static __always_inline __u32 pair_as(const struct conn *c)
{
	const struct fl_state *twin = state_at(c->other);
	__u32 end;

	if (!twin || !c->translated || c->slot != c->main || twin->twin != c->main ||
	    twin->made != FL_TAG_SERIAL(c->tag))
		return 0;
	end = c->main_side ^ !!(twin->flags & FL_STATE_TURNED);
	hide(end);
	return bpf_ntohl(twin->addr[end & 1].w[3]);
}

/* The packet of a number: UDP from 2001:db8::NUMBER to 2001:db8::ffff:ffff. */
static long loop_packet(__u32 i, void *arg)
{
	struct states_loop *loop = arg;
	__u32 number = (loop->first + i * loop->step) % (loop->keys ? loop->keys : 1), zero = 0;
	struct scratch *s = bpf_map_lookup_elem(&scratch, &zero);
	union fl_addr src = { .w = { bpf_htonl(0x20010db8), 0, 0, bpf_htonl(number) } };
	union fl_addr dst = { .w = { bpf_htonl(0x20010db8), 0, 0, ~0u } };
	int r = 0;

	if (!s)
		return 1;
	if (loop->as)
		in_step(loop->me, i);
	tuple_of(&s->conn, &src, &dst, bpf_htons(number), bpf_htons(53), FL_PROTO_UDP);
	if (state_find(&s->conn)) {
		loop->found++;
		if (!state_check(&s->conn, NULL))
			state_update(&s->conn, 100);
	} else if (loop->insert) {
		__builtin_memset(&s->fresh, 0, sizeof(s->fresh));
		state_begin(&s->conn, NULL, &s->fresh, 100);
		src.w[3] = bpf_htonl(number + loop->as);
		twin_of(&s->conn, &s->twin, &src, &dst, bpf_htons(number), bpf_htons(53));
		r = state_insert(&s->conn, &s->fresh, loop->as ? &s->twin : NULL);
		loop->failed += r < 0;
	}
	if (loop->as)
		states_pair_as[loop->me & 1][number % STATES_PAIR_KEYS] = r < 0 ? 0 : pair_as(&s->conn);
	return 0;
}

SEC("tc")
int states_loop(struct fl_ctx *ctx)
{
	struct states_loop loop, *out;
	struct states_loop_frame *f = ctx_data(ctx);

	if ((void *)(f + 1) > ctx_end(ctx))
		return CTX_DROP;
	loop = f->loop;
	bpf_loop(loop.count, loop_packet, &loop, 0);
	f = ctx_data(ctx);
	if ((void *)(f + 1) > ctx_end(ctx))
		return CTX_DROP;
	out = &f->loop;
	out->found = loop.found;
	out->failed = loop.failed;
	return TC_ACT_OK;
}

SEC("tc")
int states_packet(struct fl_ctx *ctx)
{
	struct states_frame *f;
	__u32 zero = 0;
	struct scratch *s = bpf_map_lookup_elem(&scratch, &zero);

	if (bpf_skb_pull_data(ctx, sizeof(*f)))
		return CTX_DROP;
	f = ctx_data(ctx);
	if (!s || (void *)(f + 1) > ctx_end(ctx))
		return CTX_DROP;
	f->answer.result = packet(s, &f->request, &f->answer);
	f->answer.slot = s->conn.slot;
	f->answer.main = s->conn.main;
	f->answer.side = s->conn.side;
	f->answer.main_side = s->conn.main_side;
	f->answer.tag = s->conn.tag;
	f->answer.now = s->conn.now;
	return TC_ACT_OK;
}
