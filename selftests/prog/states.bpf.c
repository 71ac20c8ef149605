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
