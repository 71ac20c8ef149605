// SPDX-License-Identifier: GPL-2.0-only
/* Whom two nodes of a pair believe, in the world of test_pair.h: what is not from a peer, or not of now, is refused. */
#include <string.h>

#include "selftests/net/test_pair.h"
#include "user/lib/be.h"

#define FAST_NS (20 * MS)

static const struct carp_settings fast = { .fast_ms = 20, .preempt = true };

TestSuite(pair_trust, .init = pair_world_open, .fini = pair_world_close, .timeout = 120);

/* What B says to a frame: of each fault it tells once a minute. */
static void expect_refused(const uint8_t *frame, size_t len, enum carp_fault fault)
{
	uint64_t bad = pair_view(B).bad;

	pair_put(1, LAN, frame, len);
	pair_carry();
	cr_expect_eq(pair_view(B).bad, bad + 1, "%s", carp_fault_text(fault));
	cr_expect_eq(B->faults[fault], 1u, "%s", carp_fault_text(fault));
}

/* The next that A sends */
static size_t advert_of_a(uint8_t frame[FRAME_MAX])
{
	do
		pair_pass(FAST_NS, NULL);
	while (w.last[LAN][23] != CARP_PROTO);
	memcpy(frame, w.last[LAN], w.last_len[LAN]);
	cr_assert_eq(w.last_len[LAN], (size_t)EXT_AT + EXT_SENT);
	return w.last_len[LAN];
}

static void sign_again(uint8_t *frame, const struct ext *ext, const struct sign_key *key)
{
	ext_put(frame + EXT_AT, frame + EXT_AT - CARP_LEN, ext, key);
}

/* As a plain node sends it */
static size_t strip(uint8_t *frame)
{
	uint32_t sum = 0;

	put_be16(frame + 16, 20 + CARP_LEN);
	put_be16(frame + 24, 0);
	for (int i = 0; i < 20; i += 2)
		sum += get_be16(frame + 14 + i);
	sum = (sum & 0xffff) + (sum >> 16);
	put_be16(frame + 24, (uint16_t) ~(sum + (sum >> 16)));
	return EXT_AT;
}

Test(pair_trust, what_was_recorded_altered_or_stripped_is_refused)
{
	uint8_t frame[FRAME_MAX], other[FRAME_MAX];
	struct ext ext;
	unsigned int key;
	size_t len;

	pair_begin_known(&fast);
	len = advert_of_a(frame);
	cr_assert_eq(ext_get(frame + EXT_AT - CARP_LEN, CARP_LEN + EXT_LEN, &A->keys, &ext, &key), CARP_OK);
	pair_pass(SECOND, NULL);
	expect_refused(frame, len, CARP_REPLAYED);
	memcpy(other, frame, len);
	other[EXT_AT + 39] ^= 1; /* its demotion */
	expect_refused(other, len, CARP_FORGED);
	memcpy(other, frame, len);
	expect_refused(other, strip(other), CARP_UNSIGNED);
	ext.mark.sequence += 1000000;
	ext.flags |= EXT_SIX;
	sign_again(frame, &ext, &A->keys.key[0]);
	B->faults[CARP_REPLAYED] = 0;
	pair_pass(61 * SECOND, NULL);
	expect_refused(frame, len, CARP_REPLAYED);
	ext.flags &= ~EXT_SIX;
	ext.node = 99;
	sign_again(frame, &ext, &A->keys.key[0]);
	expect_refused(frame, len, CARP_STRANGER);
	cr_expect(pair_role(A) == CARP_MASTER && pair_role(B) == CARP_BACKUP);
	ext.node = A->pair.node;
	sign_again(frame, &ext, &A->keys.key[1]);
	pair_node_kill(A);
	pair_pass(5 * SECOND, NULL);
	expect_refused(frame, len, CARP_STRANGE_KEY);
	cr_expect_eq(pair_role(B), CARP_MASTER);
}

Test(pair_trust, a_recording_is_none_the_better_after_a_restart)
{
	uint8_t frame[FRAME_MAX], beat[FRAME_MAX];
	struct pair_view peer;
	size_t len, beat_len;

	pair_begin_known(&fast);
	len = advert_of_a(frame);
	beat_len = w.last_len[SYNC];
	memcpy(beat, w.last[SYNC], beat_len);
	vhids_pair_show(B->v, &peer, 1);
	pair_node_kill(A);
	pair_node_kill(B);
	B->peer.mark = peer.mark; /* as the daemon keeps it */
	memset(B->faults, 0, sizeof(B->faults));
	pair_node_start(B, 6);
	pair_pass(MS, NULL);
	expect_refused(frame, len, CARP_REPLAYED);
	vhids_pair_show(B->v, &peer, 1);
	cr_expect_eq(peer.bad, 0u);
	pair_put(1, SYNC, beat, beat_len);
	pair_carry();
	vhids_pair_show(B->v, &peer, 1);
	cr_expect(peer.bad == 1 && peer.received == 0);
	pair_node_start(A, 6);
	pair_pass(2 * SECOND, NULL);
	cr_expect(pair_role(A) == CARP_MASTER && pair_role(B) == CARP_BACKUP, "what it says now is heard");
}

/* A clock that was ahead leaves an epoch behind that its node does not reach, until it hears of that by the channel, and goes beyond. */
Test(pair_trust, an_epoch_is_gone_beyond)
{
	uint8_t frame[FRAME_MAX];
	size_t len;

	pair_begin_known(&fast);
	len = advert_of_a(frame);
	pair_node_kill(A);
	pair_pass(SECOND, NULL);
	pair_node_start(A, 3);
	pair_pass(2 * SECOND, NULL);
	cr_expect_eq(pair_peer_state(B), PAIR_SILENT);
	vhids_pair_epoch(B->v, A->pair.node, 3);
	pair_pass(2 * SECOND, NULL);
	cr_expect_eq(pair_peer_state(B), PAIR_SILENT, "nothing is taken back");
	A->pair.epoch = 6;
	pair_node_configure(A);
	pair_pass(2 * SECOND, NULL);
	cr_expect_eq(pair_peer_state(B), PAIR_UP);
	cr_expect(pair_role(A) == CARP_MASTER && pair_role(B) == CARP_BACKUP);
	pair_pass(61 * SECOND, NULL);
	B->faults[CARP_REPLAYED] = 0;
	expect_refused(frame, len, CARP_REPLAYED);
}

Test(pair_trust, plain_peers_are_believed_where_that_is_wanted)
{
	uint8_t frame[FRAME_MAX];

	pair_begin_known(&fast);
	B->setup.plain_peers = true;
	pair_node_configure(B);
	advert_of_a(frame);
	pair_node_kill(A);
	pair_pass(SECOND, NULL);
	cr_expect_eq(pair_role(B), CARP_MASTER);
	pair_put(1, LAN, frame, strip(frame));
	pair_carry();
	cr_expect_eq(pair_view(B).bad, 0u);
	cr_expect_eq(pair_role(B), CARP_BACKUP, "it yields to what is better");
}

/* A node that has the password and no "ha": neither of the two gives way */
Test(pair_trust, a_plain_master_beside_a_pair_is_told_of)
{
	uint8_t frame[FRAME_MAX];

	pair_begin_known(&fast);
	advert_of_a(frame);
	pair_put(1, LAN, frame, strip(frame));
	pair_carry();
	cr_expect_eq(pair_view(B).rival.family, AF_UNSPEC, "a backup has none");
	pair_node_kill(A);
	pair_pass(SECOND, NULL);
	cr_expect_eq(pair_role(B), CARP_MASTER);
	pair_put(1, LAN, frame, EXT_AT);
	pair_carry();
	cr_expect_eq(pair_role(B), CARP_MASTER, "it is not believed");
	cr_expect_eq(pair_view(B).rival.family, AF_INET);
	cr_expect_eq(pair_view(B).rival_why, CARP_UNSIGNED);
	cr_expect_eq(B->happened[VHID_RIVAL], 1u);
	pair_pass(SECOND, NULL);
	pair_put(1, LAN, frame, EXT_AT);
	pair_carry();
	cr_expect_eq(B->happened[VHID_RIVAL], 1u, "the same one is told of once");
	pair_pass(4900 * MS, NULL);
	cr_expect_eq(pair_view(B).rival.family, AF_INET, "so long its adverts may get lost");
	pair_pass(200 * MS, NULL);
	cr_expect_eq(pair_view(B).rival.family, AF_UNSPEC, "it is gone");
}

static void keys_are(struct node *n, unsigned int first, unsigned int count)
{
	static struct sign_keys both;

	if (!both.n)
		both = A->keys;
	n->keys.key[0] = both.key[first];
	n->keys.key[1] = both.key[!first];
	n->keys.n = count;
	pair_node_configure(n);
	pair_pass(2 * SECOND, pair_count_both);
	cr_expect(pair_role(A) == CARP_MASTER && pair_role(B) == CARP_BACKUP);
	cr_expect(pair_peer_state(A) == PAIR_UP && pair_peer_state(B) == PAIR_UP);
}

Test(pair_trust, keys_are_changed_without_an_outage)
{
	pair_begin_known(&fast);
	keys_are(A, 1, 2);
	keys_are(B, 1, 2);
	keys_are(A, 1, 1);
	keys_are(B, 1, 1);
	cr_expect_eq(pair_both_own, 0u);
	cr_expect_eq(A->happened[VHID_FAULT] + B->happened[VHID_FAULT], 0u);
	cr_expect_eq(A->happened[VHID_ROLE] + B->happened[VHID_ROLE], 3u, "those of the beginning");
}

static void keys_become(struct node *n, const struct sign_key *first, const struct sign_key *second,
			const struct sign_key *third)
{
	n->keys = (struct sign_keys){ .n = 1 + !!second + !!third };
	n->keys.key[0] = *first;
	if (second)
		n->keys.key[1] = *second;
	if (third)
		n->keys.key[2] = *third;
	pair_node_configure(n);
}

/* Each goes by the key that it hears, until one of them has it no more: the other must hear the right one of two at once, whenever that is. */
Test(pair_trust, a_key_ends_that_both_have_gone_by)
{
	const uint8_t id[SIGN_ID] = { 3 }, secret[32] = { 3 };
	struct sign_key old, new, another;

	pair_begin_known(&fast);
	old = A->keys.key[0];
	new = A->keys.key[1];
	sign_key_make(&another, id, secret);
	for (unsigned int i = 0; i < 40; i++) {
		keys_become(A, &new, &old, NULL);
		keys_become(B, &new, &another, &old);
		pair_pass(SECOND / 4 + i * FAST_NS / 4, NULL);
		keys_become(B, &new, &another, NULL);
		pair_pass(SECOND, NULL);
		cr_expect_eq(A->happened[VHID_ROLE] + B->happened[VHID_ROLE], 3u, "those of the beginning: %u", i);
		keys_become(A, &old, NULL, NULL);
		keys_become(B, &old, NULL, NULL);
		pair_pass(SECOND, NULL);
		A->happened[VHID_ROLE] = 3;
		B->happened[VHID_ROLE] = 0;
	}
}

/* Both are master then, as with a dead peer; but what is to be done is another thing. */
Test(pair_trust, another_key_is_told_from_a_dead_peer)
{
	struct sign_key right;

	pair_begin_known(&fast);
	right = B->keys.key[0];
	B->keys.key[0] = B->keys.key[1];
	pair_node_configure(B);
	pair_pass(3 * SECOND, NULL);
	cr_expect(pair_peer_state(A) == PAIR_STRANGE && pair_peer_state(B) == PAIR_STRANGE);
	B->keys.key[0] = right;
	pair_node_configure(B);
	pair_pass(3 * SECOND, NULL);
	cr_expect(pair_peer_state(A) == PAIR_UP && pair_peer_state(B) == PAIR_UP);
	cr_expect(pair_role(A) == CARP_MASTER && pair_role(B) == CARP_BACKUP);
}
