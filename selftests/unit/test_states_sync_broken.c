// SPDX-License-Identifier: GPL-2.0-only
/*
 * State replication with a peer that is broken, or whose key somebody else has: what it sends begins as a node's own stream, and is altered,
 * left out, repeated, put in another order, and mixed with what nobody has sent. Each round has another seed.
 *
 * For more of them, with an eye on memory:
 * make unit CFLAGS='-O1 -g -fsanitize=address,undefined -DROUNDS=100000' BUILD=…, then build/unit --filter 'states_sync_broken/…'
 */
#include <errno.h>

#include "selftests/unit/replicas.h"
#include "user/lib/be.h"

#ifndef ROUNDS
#define ROUNDS 60
#endif
#define TURNS 150
#define LONGEST 4096

struct bytes {
	uint16_t type;
	size_t len;
	uint8_t data[LONGEST];
};

static struct bytes before; /* one that has been sent earlier */

/* ---- what it sends ---- */

/* The next of node 0's; false: there is none */
static bool take_message(struct bytes *to)
{
	struct link *link = replicas_link(0, 1);
	struct message *m = link->first;

	if (!m)
		return false;
	link->first = m->next;
	if (!link->first)
		link->last = &link->first;
	link->waiting -= m->len;
	*to = (struct bytes){ .type = m->type, .len = m->len < LONGEST ? m->len : LONGEST };
	memcpy(to->data, m->data, to->len);
	free(m);
	return true;
}

/* Numbers that are at the edge of something. */
static uint32_t edge(void)
{
	static const uint32_t edges[] = { 0,
					  1,
					  0x7f,
					  0xff,
					  0x7fff,
					  0xffff,
					  0xffffff,
					  0x1000000,
					  0x7fffffff,
					  0x80000000,
					  UINT32_MAX,
					  BUCKETS * FL_BUCKET_WAYS,
					  BUCKETS * FL_BUCKET_WAYS - 1,
					  (BUCKETS + 16) * FL_BUCKET_WAYS };

	return edges[replicas_rnd(sizeof(edges) / sizeof(*edges))];
}

static void alter(struct bytes *b)
{
	size_t at = b->len ? replicas_rnd((uint32_t)b->len) : 0, longer = b->len + replicas_rnd(200);

	switch (replicas_rnd(6)) {
	case 0:
		if (b->len)
			b->data[at] ^= 1u << replicas_rnd(8);
		break;
	case 1:
		if (b->len)
			b->data[at] = (uint8_t)replicas_rnd(256);
		break;
	case 2:
		if (b->len >= 4)
			put_be32(b->data + (at & ~3u) % (b->len - 3), edge());
		break;
	case 3:
		b->len = at;
		break;
	case 4:
		b->len = longer < LONGEST ? longer : LONGEST;
		break;
	default:
		b->type = STATES_BULK_BEGIN + (uint16_t)replicas_rnd(STATES_LAST - STATES_BULK_BEGIN + 1);
	}
}

/* Of states that node 1 has told of, or has of the peer: so that it is about something. */
static void about_something(struct bytes *b)
{
	const struct sending *s = &replicas_link(1, 0)->peer->send;
	const struct receiving *r = &replicas_link(1, 0)->peer->receive;
	uint32_t n = 1 + replicas_rnd(20);

	b->len = (size_t)n * PAIR_BYTES;
	b->type = STATES_WANT + (uint16_t)replicas_rnd(STATES_RESETS - STATES_WANT + 1);
	if (replicas_rnd(4) == 0)
		b->type = STATES_DELETE;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t slot = replicas_rnd(BUCKETS * FL_BUCKET_WAYS), serial = 0;

		if (b->type >= STATES_ENDED && s->serials)
			serial = s->serials[slot];
		else if (r->mirror && slot < r->slots)
			serial = r->mirror[slot].peer_serial;
		put_be32(b->data + i * PAIR_BYTES, slot);
		put_be32(b->data + i * PAIR_BYTES + 4, serial & ~SERIAL_IS);
	}
}

/* What this machine has memory for. */
static void keep_small(struct bytes *b)
{
	if (b->type == STATES_BULK_BEGIN && b->len >= 12)
		memset(b->data + 8, 0, 2);
}

/* ---- what is to hold, whatever came ---- */

static void expect_counters(const struct states_sync_peer *peer)
{
	const struct receiving *r = &peer->receive;
	uint64_t theirs = 0, missing = 0;
	struct digest digest = { 0 };

	for (uint32_t slot = 0; slot < r->slots; slot++) {
		const struct mirrored *m = &r->mirror[slot];

		if (!m->peer_serial)
			continue;
		digest_add(&digest, slot, m->peer_serial);
		theirs += m->slot != NOWHERE;
		missing += m->slot == NOWHERE && m->serial;
		cr_assert(m->slot == NOWHERE || m->slot < states_slots(peer->sync->host.table));
	}
	cr_assert_eq(theirs, r->theirs);
	cr_assert_eq(missing, r->missing);
	cr_assert_eq(digest.count, r->digest.count);
	cr_assert_eq(digest.sum, r->digest.sum);
	for (uint32_t here = 0; r->owners && here < states_slots(peer->sync->host.table); here++)
		cr_assert(!r->owners[here] ||
				  (r->owners[here] <= r->slots && r->mirror[r->owners[here] - 1].slot == here),
			  "%u", here);
}

/* As many as the table says that there are; none of anything that no program could have made. */
static void expect_table(struct states *t)
{
	struct states_entry e;
	int64_t n = 0, counted = 0;

	for (uint32_t i = FL_STATE_COUNTS_SHARED + 1; i < FL_STATE_COUNTS_CPU(CPUS); i++)
		counted += t->counts[i].states;
	for (uint32_t slot = 0; slot < states_slots(t); slot++) {
		cr_assert_neq(FL_TAG_KIND(states_tag(t, slot)), FL_KIND_CLAIMED);
		if (!states_at(t, slot, &e))
			continue;
		n++;
		cr_assert(e.state.proto);
		cr_assert_not(e.state.flags & (FL_STATE_OWN | FL_STATE_PROBE));
		cr_assert_lt(e.state.gateway, FL_GATEWAYS_MAX);
		cr_assert(e.state.proto == FL_PROTO_TCP || !e.state.wscale);
		cr_assert_leq(e.state.phase[0], FL_PHASE_MULTIPLE);
		cr_assert_leq(e.state.phase[1], FL_PHASE_MULTIPLE);
	}
	cr_assert_eq(n, counted, "%d, and %d counted", (int)n, (int)counted);
}

/* ---- a round ---- */

/* As the channel does. */
static void begin_anew(void)
{
	replicas_cut(replicas_link(0, 1));
	replicas_join();
}

static void send_it(struct bytes *b)
{
	keep_small(b);
	if (states_sync_message(replicas_link(1, 0)->peer, b->type, b->data, b->len) == -EPROTO)
		begin_anew();
}

static void send_some(void)
{
	struct bytes b;

	while (take_message(&b)) {
		switch (replicas_rnd(12)) {
		case 0:
			continue;
		case 1:
			send_it(&before);
			break;
		case 2:
			before = b;
			continue;
		case 3:
			send_it(&(struct bytes){ .type = STATES_BULK_BEGIN + (uint16_t)replicas_rnd(2), .len = 16 });
			break;
		default:
			for (uint32_t n = replicas_rnd(4); n--;)
				alter(&b);
		}
		if (replicas_rnd(3) == 0)
			before = b;
		send_it(&b);
	}
	if (replicas_rnd(3) == 0) {
		about_something(&b);
		send_it(&b);
	}
}

static void kill_one(struct node *node)
{
	struct states_entry e;
	bool asked;

	if (!replica_has(node, replicas_rnd(KEYS), &e))
		return;
	asked = replicas_rnd(2) && states_sync_reset(node->sync, &e);
	if (states_end(node->table, e.slot, e.tag))
		states_sync_ended(node->sync, &e, asked ? STATES_BY_HAND_RESET : STATES_BY_HAND);
}

static void round_of(uint64_t seed)
{
	replicas_open(2, seed, 1 + seed % PROTOCOL);
	before = (struct bytes){ .type = STATES_BATCH };
	replica_fill(0, 0, 100);
	replica_fill(1, 100, 150);
	replicas_join();
	for (int turn = 0; turn < TURNS; turn++) {
		replicas.ns += (1 + replicas_rnd(50)) * TURN_NS;
		for (unsigned int i = 0; i < 2; i++) {
			replica_happen(&replicas.nodes[i]);
			if (replicas_rnd(4) == 0)
				kill_one(&replicas.nodes[i]);
			states_sync_turn(replicas.nodes[i].sync);
		}
		send_some();
		while (replicas_deliver(replicas_link(1, 0)))
			;
		if (turn % 10 == 0) {
			expect_counters(replicas_link(1, 0)->peer);
			expect_table(replicas.nodes[1].table);
		}
	}
	begin_anew();
	replicas_settle();
	expect_counters(replicas_link(1, 0)->peer);
	expect_table(replicas.nodes[1].table);
	replicas_expect_matching(replicas.protocol < 2 ? -1 : 1);
	replicas_close();
}

Test(states_sync_broken, any_stream)
{
	for (uint64_t seed = 1; seed <= ROUNDS; seed++)
		round_of(seed);
}
