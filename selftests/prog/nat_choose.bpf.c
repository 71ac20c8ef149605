// SPDX-License-Identifier: GPL-2.0-only
/* What a connection becomes by rules of translation, which are in `choice`, too: found as it is, or made. */
#include "ctx/skb.h"

#include "lib/nat.h"
#include "selftests/prog/nat.h"

char _license[] SEC("license") = "GPL";

struct nat_choice choice;

struct scratch {
	struct conn conn;
	struct nat nat;
	struct fl_state fresh;
	struct fl_tuple twin;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct scratch);
} scratch SEC(".maps");

static __always_inline void say(const struct rewrite *to)
{
	choice.to.src = to->src;
	choice.to.dst = to->dst;
	choice.to.sport = to->sport;
	choice.to.dport = to->dport;
}

static __always_inline int make(struct scratch *s)
{
	struct nat *n = &s->nat;
	int r = STAGE_GO;

	nat_begin(n, &s->conn, choice.family);
	if (choice.dnat.id)
		r = nat_destination(n, &choice.dnat, &choice.port);
	if (!r && choice.snat.id)
		r = nat_source(n, &choice.snat, &choice.port);
	if (!r)
		r = nat_check(n);
	say(&n->to);
	if (r || choice.decide)
		return r;
	r = nat_commit(n);
	if (r)
		return r;
	__builtin_memset(&s->fresh, 0, sizeof(s->fresh));
	state_begin(&s->conn, NULL, &s->fresh, 100);
	if (!nat_changes(n))
		return state_insert(&s->conn, &s->fresh, NULL);
	nat_twin(&s->conn, &s->twin, n);
	return state_insert(&s->conn, &s->fresh, &s->twin);
}

/* An error about a packet of the connection. */
static __always_inline int quoted(struct scratch *s)
{
	struct quote q = { .proto = choice.proto };
	struct rewrite to = {};
	int r;

	q.src = choice.from.src;
	q.dst = choice.from.dst;
	q.sport = choice.from.sport;
	q.dport = choice.from.dport;
	quote_tuple(&s->conn, &q);
	choice.found = state_find(&s->conn);
	r = choice.found && s->conn.translated ? nat_of_quote(&to, &s->conn) : STAGE_GO;
	say(&to);
	return r;
}

static __always_inline int packet(struct scratch *s)
{
	struct rewrite to = {};
	int r;

	tuple_of(&s->conn, &choice.from.src, &choice.from.dst, choice.from.sport, choice.from.dport, choice.proto);
	choice.found = state_find(&s->conn);
	if (!choice.found)
		return make(s);
	r = s->conn.translated ? nat_of_conn(&to, &s->conn) : STAGE_GO;
	say(&to);
	return r;
}

SEC("tc")
int nat_choose_one(struct fl_ctx *ctx)
{
	__u32 zero = 0;
	struct scratch *s = bpf_map_lookup_elem(&scratch, &zero);

	if (!s)
		return CTX_DROP;
	choice.stage = choice.quoted ? quoted(s) : packet(s);
	return CTX_PASS;
}

SEC("tc")
int nat_keep_one(struct fl_ctx *ctx)
{
	eim_keep(&choice.to.src, choice.to.sport, choice.proto);
	return CTX_PASS;
}
