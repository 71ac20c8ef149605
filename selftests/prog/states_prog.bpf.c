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

/* The packet of a number: UDP from 2001:db8::NUMBER to 2001:db8::ffff:ffff. */
static long loop_packet(__u32 i, void *arg)
{
	struct states_loop *loop = arg;
	__u32 number = (loop->first + i * loop->step) % (loop->keys ? loop->keys : 1), zero = 0;
	struct scratch *s = bpf_map_lookup_elem(&scratch, &zero);
	union fl_addr src = { .w = { bpf_htonl(0x20010db8), 0, 0, bpf_htonl(number) } };
	union fl_addr dst = { .w = { bpf_htonl(0x20010db8), 0, 0, ~0u } };

	if (!s)
		return 1;
	tuple_of(&s->conn, &src, &dst, bpf_htons(number), bpf_htons(53), FL_PROTO_UDP);
	if (state_find(&s->conn)) {
		loop->found++;
		if (!state_check(&s->conn, NULL))
			state_update(&s->conn, 100);
		return 0;
	}
	if (!loop->insert)
		return 0;
	__builtin_memset(&s->fresh, 0, sizeof(s->fresh));
	state_begin(&s->conn, NULL, &s->fresh, 100);
	loop->failed += state_insert(&s->conn, &s->fresh, NULL) < 0;
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
