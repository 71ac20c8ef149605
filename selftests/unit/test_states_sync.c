// SPDX-License-Identifier: GPL-2.0-only
/*
 * State replication without sockets: nodes with tables in plain memory, and pipes between them that lose what is on its way when they are cut.
 * Whatever has happened, in the end all have the same.
 */
#include <errno.h>
#include <stdio.h>

#include "selftests/unit/state_tables.h"
#include "user/policy/states_peer.h"
#include "user/policy/states_private.h"
#include "user/sync/states_private.h"
#include "user/vip/sign.h"

#define NODES 3
#define BUCKETS 128
#define KEYS 300
#define TURN_NS 4000000ULL

struct message {
	struct message *next;
	size_t len;
	uint16_t type;
	uint8_t data[];
};

struct node;

/* What one sends to another. */
struct link {
	struct node *from, *to;
	struct states_sync_peer *peer; /* of the sender's: the other one */
	struct message *first, **last;
	size_t waiting;
	bool up;
};

struct node {
	struct states *table;
	struct fl_sync_log *logs; /* CPUS and the daemon's */
	struct states_sync *sync;
	struct link links[NODES];
	unsigned int told;
};

struct world {
	struct node nodes[NODES];
	unsigned int n;
	uint64_t ns, random, rng;
	unsigned int protocol;
};

static struct world world;

static uint32_t rnd(uint32_t below)
{
	world.rng = world.rng * 6364136223846793005ULL + 1442695040888963407ULL;
	return (world.rng >> 33) % below;
}

/* ---- what a node has ---- */

static uint32_t jiffies(void *arg)
{
	(void)arg;
	return NOW + world.ns / (1000000000 / HZ);
}

/* Something happens in the midst of a turn: it asks for the time twice before it walks. */
static struct {
	unsigned int calls;
	struct states *table;
	uint32_t slot;
	uint64_t tag;
} amid;

static uint64_t now_ns(void *arg)
{
	(void)arg;
	if (amid.calls && --amid.calls == 0)
		cr_assert(states_remove(amid.table, amid.slot, amid.tag));
	return world.ns;
}

static char *names(void *arg)
{
	(void)arg;
	return strdup("{}");
}

/* Each rule and gateway of the peer's has the number here that is one more. */
static int understand(void *arg, const char *text, size_t len, struct states_numbers_of *numbers)
{
	(void)arg;
	if (len != 2 || strcmp(text, "{}"))
		return -EINVAL;
	for (uint16_t i = 1; i < 10; i++)
		numbers->rule[i] = numbers->gateway[i] = i;
	return 0;
}

static void tell(void *arg, void *peer, const char *event, const char *why)
{
	struct node *node = arg;

	(void)peer;
	cr_expect_str_eq(event, "resync");
	cr_expect(*why);
	node->told++;
}

static struct states_host host_of(struct node *node)
{
	return (struct states_host){ .table = node->table,
				     .logs = node->logs,
				     .n_logs = CPUS + 1,
				     .jiffies = jiffies,
				     .ns = now_ns,
				     .names = names,
				     .understand = understand,
				     .tell = tell,
				     .arg = node };
}

/* ---- pipes ---- */

static int pipe_send(void *arg, uint16_t type, const void *data, size_t len)
{
	struct link *link = arg;
	struct message *m = malloc(sizeof(*m) + len);

	*m = (struct message){ .type = type, .len = len };
	if (len)
		memcpy(m->data, data, len);
	*link->last = m;
	link->last = &m->next;
	link->waiting += len;
	return 0;
}

static size_t pipe_waiting(void *arg)
{
	return ((struct link *)arg)->waiting;
}

static void pipe_drop(struct link *link)
{
	while (link->first) {
		struct message *m = link->first;

		link->first = m->next;
		free(m);
	}
	link->last = &link->first;
	link->waiting = 0;
}

static struct link *way_back(struct link *link)
{
	return &link->to->links[link->from - world.nodes];
}

static bool deliver(struct link *link)
{
	struct message *m = link->first;

	if (!m)
		return false;
	link->first = m->next;
	if (!link->first)
		link->last = &link->first;
	link->waiting -= m->len;
	cr_assert_eq(states_sync_message(way_back(link)->peer, m->type, m->data, m->len), 0, "type %u", m->type);
	free(m);
	return true;
}

static void cut(struct link *link)
{
	if (!link->up)
		return;
	link->up = way_back(link)->up = false;
	pipe_drop(link);
	pipe_drop(way_back(link));
	states_sync_closed(link->peer);
	states_sync_closed(way_back(link)->peer);
}

static void join(struct link *link)
{
	struct link *both[] = { link, way_back(link) };

	if (link->up)
		return;
	for (int i = 0; i < 2; i++) {
		struct states_pipe pipe = { pipe_send, pipe_waiting, both[i], world.protocol };

		both[i]->up = true;
		states_sync_opened(both[i]->peer, &pipe);
	}
}

static struct link *link_at(unsigned int i, unsigned int j)
{
	return &world.nodes[i].links[j];
}

static void node_open(struct node *node, uint32_t buckets)
{
	node->table = table_new(buckets);
	for (int i = 0; i < 5; i++) /* the same each time */
		node->table->control->key[i] = (i + 1) * 0x9e3779b97f4a7c15ULL;
	node->table->control->lineage = rnd(1000000);
	node->logs = calloc(CPUS + 1, sizeof(*node->logs));
	node->table->log = &node->logs[CPUS];
	for (int i = 0; i < FL_TIMEOUTS; i++)
		node->table->timeout_s[i] = 100000;
	states_adapt(node->table);
	struct states_host host = host_of(node);

	node->sync = states_sync_new(&host);
}

static void world_open(unsigned int n, uint64_t seed, unsigned int protocol)
{
	memset(&world, 0, sizeof(world));
	world.n = n;
	world.rng = seed;
	world.protocol = protocol;
	world.ns = 1000000000;
	for (unsigned int i = 0; i < n; i++)
		node_open(&world.nodes[i], BUCKETS + 16 * i);
	for (unsigned int i = 0; i < n; i++)
		for (unsigned int j = 0; j < n; j++) {
			struct link *link = link_at(i, j);

			*link = (struct link){ .from = &world.nodes[i], .to = &world.nodes[j], .last = &link->first };
			if (i != j)
				link->peer = states_sync_add(world.nodes[i].sync, link);
		}
}

static void isolate(unsigned int node)
{
	for (unsigned int i = 0; i < world.n; i++)
		cut(link_at(node, i));
}

static void join_all(void)
{
	for (unsigned int i = 0; i < world.n; i++)
		for (unsigned int j = 0; j < i; j++)
			join(link_at(i, j));
}

static void world_close(void)
{
	for (unsigned int i = 0; i < world.n; i++) {
		for (unsigned int j = 0; j < world.n; j++)
			pipe_drop(link_at(i, j));
		states_sync_free(world.nodes[i].sync);
		table_free(world.nodes[i].table);
		free(world.nodes[i].logs);
	}
}

static void turn(unsigned int messages)
{
	world.ns += TURN_NS;
	for (unsigned int i = 0; i < world.n; i++)
		states_sync_turn(world.nodes[i].sync);
	for (unsigned int i = 0; i < world.n; i++)
		for (unsigned int j = 0; j < world.n; j++)
			for (unsigned int n = 0; n < messages && deliver(link_at(i, j)); n++)
				;
}

static void settle(void)
{
	for (int i = 0; i < 6000; i++)
		turn(1000);
}

/* ---- what programs do ---- */

static void logged(struct node *node, uint32_t slot)
{
	struct fl_sync_log *log = &node->logs[rnd(CPUS)];

	log->slot[log->head++ % FL_SYNC_LOG] = slot;
}

/* Every third is translated. */
static void connection(uint32_t number, struct states_image *image)
{
	union fl_addr from = host(1000 + number), to = host(5000 + number % 7), as = host(number % 2 ? 1 : 9000);
	struct fl_tuple key;
	unsigned int side = states_tuple(&key, &from, &to, htons(1000), htons(53), FL_PROTO_UDP);

	memset(image, 0, sizeof(*image));
	memcpy(image->state.addr, key.addr, sizeof(key.addr));
	memcpy(image->state.port, key.port, sizeof(key.port));
	image->state.proto = FL_PROTO_UDP;
	image->state.flags = side ? FL_STATE_STARTER : 0;
	image->state.rule[0] = 1 + number % 9;
	image->state.made = image->state.seen = jiffies(NULL);
	image->state.phase[0] = image->state.phase[1] = FL_PHASE_SINGLE;
	image->state.end[0].packets = image->state.end[1].packets = 1;
	image->kind = FL_KIND_ESTABLISHED;
	if (number % 3)
		return;
	image->state.flags |= FL_STATE_TRANSLATED;
	image->state.gateway = 1 + number % 9;
	image->twin.flags =
		states_tuple(&key, &as, &to, htons(number), htons(53), FL_PROTO_UDP) == side ? 0 : FL_STATE_TURNED;
	memcpy(image->twin.addr, key.addr, sizeof(key.addr));
	memcpy(image->twin.port, key.port, sizeof(key.port));
	image->twin.proto = FL_PROTO_UDP;
}

static bool has(const struct node *node, uint32_t number, struct states_entry *entry)
{
	struct states_image image;
	struct fl_tuple key;

	connection(number, &image);
	key = states_key_of(&image.state);
	return states_find(node->table, &key, jiffies(NULL), entry);
}

static void make(struct node *node, uint32_t number, bool embryonic)
{
	struct states_image image;
	uint32_t slot;
	uint64_t tag;

	connection(number, &image);
	if (embryonic) {
		image.kind = FL_KIND_EMBRYONIC;
		image.state.phase[1] = FL_PHASE_NONE;
	}
	for (int i = 0; i < 2; i++)
		if (image.state.rule[i])
			node->table->rule_states[image.state.rule[i]]++;
	if (!states_put(node->table, &image, &slot, &tag) && !embryonic)
		logged(node, slot);
}

static void packet(struct node *node, const struct states_entry *e)
{
	struct fl_state *st = &node->table->entries[e->slot];
	bool news = st->flags & FL_STATE_PEER || st->phase[0] != FL_PHASE_MULTIPLE;

	st->seen = jiffies(NULL);
	st->end[0].packets++;
	st->phase[0] = FL_PHASE_MULTIPLE;
	st->flags &= ~FL_STATE_PEER;
	if (news && FL_TAG_KIND(e->tag) == FL_KIND_ESTABLISHED)
		logged(node, e->slot);
}

/* One thing that happens to a connection at a node. */
static void happen(struct node *node)
{
	uint32_t number = rnd(KEYS);
	struct states_entry e;

	if (!has(node, number, &e))
		make(node, number, rnd(8) == 0);
	else if (rnd(3) == 0)
		states_remove(node->table, e.slot, e.tag);
	else
		packet(node, &e);
}

/* Where one began anew while nobody could be told, the peer may still have the phases of the one before. */
static bool phases_follow(const struct states_entry *a, const struct states_entry *b)
{
	return !memcmp(a->state.phase, b->state.phase, sizeof(a->state.phase)) ||
	       (a->state.flags & FL_STATE_PEER && a->state.phase[0] >= b->state.phase[0] &&
		a->state.phase[1] >= b->state.phase[1]);
}

static bool is_same(const struct states_entry *a, const struct states_entry *b)
{
	return a->translated == b->translated && !memcmp(a->addr, b->addr, sizeof(a->addr)) &&
	       !memcmp(a->port, b->port, sizeof(a->port)) && a->state.rule[0] == b->state.rule[0] &&
	       a->state.gateway == b->state.gateway &&
	       !((a->state.flags ^ b->state.flags) & (FL_STATE_STARTER | FL_STATE_TRANSLATED)) &&
	       (phases_follow(a, b) || phases_follow(b, a));
}

static const char *text(const struct states_entry *a, const struct states_entry *b)
{
	static char text[200];
	const struct states_entry *e[] = { a, b };
	size_t n = 0;

	for (int i = 0; i < 2; i++)
		n += sprintf(text + n, "%s kind %d, flags %#x, phases %d:%d, rule %d, gateway %d, seen %u",
			     i ? "; " : "", FL_TAG_KIND(e[i]->tag), e[i]->state.flags, e[i]->state.phase[0],
			     e[i]->state.phase[1], e[i]->state.rule[0], e[i]->state.gateway, e[i]->state.seen);
	return text;
}

/* All have the same, of all that are worth telling. Returns how many. */
static uint32_t expect_same(const char *when)
{
	uint32_t n = 0;

	for (uint32_t number = 0; number < KEYS; number++) {
		struct states_entry first, other;
		bool one = has(&world.nodes[0], number, &first);

		n += one;
		for (unsigned int i = 1; i < world.n; i++) {
			bool two = has(&world.nodes[i], number, &other);

			if (one != two && FL_TAG_KIND((one ? first : other).tag) == FL_KIND_EMBRYONIC)
				continue; /* there is no room for so many of these */

			cr_assert_eq(one, two, "%s: node %u, connection %u: %d %d: %s", when, i, number, one, two,
				     one ? text(&first, &first) : text(&other, &other));
			cr_assert(!one || is_same(&first, &other), "%s: connection %u differs at %u: %s", when, number,
				  i, text(&first, &other));
		}
	}
	for (unsigned int i = 0; i < world.n; i++)
		for (uint32_t slot = 0; slot < states_slots(world.nodes[i].table); slot++)
			cr_assert_neq(FL_TAG_KIND(states_tag(world.nodes[i].table, slot)), FL_KIND_CLAIMED);
	return n;
}

static struct states_sync_numbers numbers_of(unsigned int i, unsigned int j)
{
	struct states_sync_numbers numbers;

	states_sync_numbers(link_at(i, j)->peer, &numbers);
	return numbers;
}

static void expect_matching(int match)
{
	for (unsigned int i = 0; i < world.n; i++)
		for (unsigned int j = 0; j < world.n; j++) {
			struct states_sync_numbers numbers;

			if (i == j)
				continue;
			numbers = numbers_of(i, j);
			cr_assert_eq(numbers.digest_match, match, "%u of %u: %d", i, j, numbers.digest_match);
			cr_assert(numbers.connected && numbers.has_all && numbers.has_sent_all);
		}
}

/* ---- tests ---- */

static void anything(unsigned int nodes, uint64_t seed, unsigned int protocol)
{
	world_open(nodes, seed, protocol);
	for (int round = 0; round < 4; round++) {
		for (int i = 0; i < 3000; i++) {
			happen(&world.nodes[rnd(world.n)]);
			if (rnd(4) == 0)
				turn(rnd(20));
			if (rnd(300) == 0)
				isolate(rnd(world.n));
			if (rnd(100) == 0)
				join_all();
		}
		join_all();
		settle();
		cr_assert_gt(expect_same("at last"), KEYS / 10);
		expect_matching(protocol < 2 ? -1 : 1);
	}
	world_close();
}

Test(states_sync, whatever_happens)
{
	for (uint64_t seed = 1; seed < 6; seed++)
		anything(2, seed, 2);
}

Test(states_sync, three_nodes)
{
	for (uint64_t seed = 1; seed < 4; seed++)
		anything(3, seed, 2);
}

static void fill(unsigned int node, uint32_t from, uint32_t to)
{
	for (uint32_t number = from; number < to; number++)
		make(&world.nodes[node], number, false);
}

static void pair_open_with(unsigned int protocol)
{
	world_open(2, 1, protocol);
	join_all();
	fill(0, 0, 100);
	fill(1, 100, 150);
	settle();
	cr_assert_eq(expect_same("at first"), 150);
	expect_matching(protocol < 2 ? -1 : 1);
	cr_assert_eq(numbers_of(0, 1).theirs, 50);
	cr_assert_eq(numbers_of(1, 0).theirs, 100);
	cr_assert_eq(numbers_of(0, 1).resyncs, 0);
}

static void pair_open(void)
{
	pair_open_with(2);
}

/* Version 1: shorter records, no digest, and nobody asks for what is gone. */
Test(states_sync, older_peer)
{
	uint8_t batch[4 + STATES_RECORD_MIN], record[STATES_RECORD];
	struct states_clock clock = { .now = jiffies(NULL), .hz = HZ };
	struct states_entry e;

	pair_open_with(1);
	cut(link_at(0, 1));
	fill(0, 150, 200);
	for (uint32_t number = 0; number < 50; number++) {
		cr_assert(has(&world.nodes[0], number, &e));
		states_remove(world.nodes[0].table, e.slot, e.tag);
	}
	join_all();
	settle();
	cr_assert_eq(expect_same("behind it"), 150);
	for (struct message *m = link_at(0, 1)->first; m; m = m->next)
		cr_expect(m->type != STATES_DIGEST && m->type != STATES_WANT);
	cr_assert(has(&world.nodes[0], 60, &e));
	cr_assert(has(&world.nodes[1], 60, &e));
	e.slot = 4;
	e.tag = 77 << 8;
	e.state.addr[0].w[3] = htonl(60000);
	e.state.addr[1].w[3] = htonl(60001);
	states_record_put(record, &e, &clock);
	put_be16(batch, STATES_RECORD_MIN);
	put_be16(batch + 2, 1);
	memcpy(batch + 4, record, STATES_RECORD_MIN);
	batch[4 + 85] = FL_KIND_ESTABLISHED;
	cr_assert_eq(states_sync_message(link_at(1, 0)->peer, STATES_BATCH, batch, sizeof(batch)), 0);
	cr_expect_eq(numbers_of(1, 0).refused, 0);
	world_close();
}

/* What goes behind the receiver's back comes again. */
Test(states_sync, removed_there)
{
	struct states_entry e;

	pair_open();
	settle(); /* until the walk no longer finds anything that has been seen lately */
	for (uint32_t number = 0; number < 100; number += 5) {
		cr_assert(has(&world.nodes[1], number, &e));
		states_remove(world.nodes[1].table, e.slot, e.tag);
	}
	settle();
	expect_same("behind it");
	cr_assert_eq(numbers_of(1, 0).wanted, 20);
	cr_assert_eq(numbers_of(1, 0).resyncs, 0);
	world_close();
}

/* What one believes of the other, and is not so. */
Test(states_sync, digest)
{
	struct states_entry e;
	struct sending *send;
	struct mirrored *m;
	uint32_t slot = 0;

	pair_open();
	send = &link_at(0, 1)->peer->send;
	cr_assert(has(&world.nodes[0], 3, &e));
	/* lost by the sender */
	send->serials[e.slot] = 0;
	digest_take(&send->digest, e.slot, FL_TAG_SERIAL(e.tag));
	/* planted at the receiver */
	while (send->serials[slot] || FL_TAG_KIND(states_tag(world.nodes[0].table, slot)))
		slot++;
	m = &link_at(1, 0)->peer->receive.mirror[slot];
	*m = (struct mirrored){ .peer_serial = SERIAL_IS | 5, .slot = NOWHERE };
	digest_add(&link_at(1, 0)->peer->receive.digest, slot, 5);
	settle();
	expect_same("behind it");
	expect_matching(1);
	cr_assert_eq(numbers_of(1, 0).resyncs, 1);
	cr_assert_geq(numbers_of(0, 1).resyncs, 1);
	cr_assert_gt(world.nodes[0].told + world.nodes[1].told, 0);
	world_close();
}

/* More than the log holds between two looks. */
Test(states_sync, overrun)
{
	pair_open();
	fill(0, 150, 250);
	world.nodes[0].logs[0].head += FL_SYNC_LOG;
	for (unsigned int i = 0; i < CPUS; i++) /* written over */
		memset(world.nodes[0].logs[i].slot, 0, sizeof(world.nodes[0].logs[i].slot));
	turn(1000);
	cr_assert_eq(numbers_of(0, 1).overruns, 1);
	cr_assert_eq(numbers_of(0, 1).resyncs, 1);
	turn(1000);
	cr_assert_eq(expect_same("at once"), 250);
	world_close();
}

/* A state that ends in the turn in which it is told: the end comes behind it. */
Test(states_sync, ends_at_once)
{
	struct states_entry e;

	pair_open();
	make(&world.nodes[0], 200, false);
	cr_assert(has(&world.nodes[0], 200, &e));
	world.nodes[0].table->log = NULL;
	amid.table = world.nodes[0].table;
	amid.slot = e.slot;
	amid.tag = e.tag;
	amid.calls = 2;
	link_at(0, 1)->peer->send.hurry = true;
	link_at(0, 1)->peer->send.at = 0;
	turn(1000);
	cr_assert_eq(amid.calls, 0);
	cr_assert_eq(expect_same("at once"), 150);
	settle();
	expect_matching(1);
	cr_assert_eq(numbers_of(1, 0).resyncs, 0);
	world_close();
}

/* A connection that has ended and begun anew in another slot, told before the end of the old one is. */
Test(states_sync, anew)
{
	struct states_entry e, there;
	struct states *table;

	pair_open();
	table = world.nodes[0].table;
	cr_assert(has(&world.nodes[0], 5, &e));
	packet(&world.nodes[0], &e);
	turn(1000);
	cr_assert(has(&world.nodes[1], 5, &there) && there.state.phase[0] == FL_PHASE_MULTIPLE);
	table->log = NULL;
	cr_assert(states_remove(table, e.slot, e.tag));
	*states_tag_at(table, e.slot) = FL_TAG(0, 99, FL_KIND_CLAIMED); /* others are there */
	make(&world.nodes[0], 5, false);
	*states_tag_at(table, e.slot) = FL_TAG(0, 99, FL_KIND_FREE);
	turn(1000);
	cr_assert(has(&world.nodes[1], 5, &there) && there.state.phase[0] == FL_PHASE_SINGLE);
	settle();
	cr_assert_eq(expect_same("at last"), 150);
	expect_matching(1);
	world_close();
}

static void resize(struct node *node, uint32_t buckets)
{
	struct states *was = node->table;
	struct states_host host;

	node->table = table_new(buckets);
	memcpy(node->table->control->timeout, was->control->timeout, sizeof(was->control->timeout));
	node->table->log = was->log;
	states_carry(was, node->table);
	states_copy(was, node->table);
	table_free(was);
	host = host_of(node);
	states_sync_table(node->sync, &host);
}

/* The table gets another size: nobody forgets anything. */
Test(states_sync, another_size)
{
	pair_open();
	for (unsigned int i = 0; i < 2; i++) {
		resize(&world.nodes[i], 200);
		for (int n = 0; n < 100; n++)
			happen(&world.nodes[i]);
		settle();
		expect_same("behind it");
		expect_matching(1);
	}
	world_close();
}

/* What has no place is told as long as it has none. */
Test(states_sync, too_small)
{
	uint64_t missing;

	world_open(2, 1, 2);
	resize(&world.nodes[1], 4);
	join_all();
	fill(0, 0, 100);
	settle();
	missing = numbers_of(1, 0).missing;
	cr_assert_gt(missing, 0);
	cr_assert_eq(numbers_of(1, 0).theirs + missing, 100);
	cr_assert_eq(numbers_of(0, 1).missing, 0);
	resize(&world.nodes[1], 200);
	settle();
	cr_assert_eq(numbers_of(1, 0).missing, 0);
	cr_assert_eq(expect_same("with room"), 100);
	world_close();
}

/* A node is switched off, and comes back with nothing: what the other has had of it is its own now, and comes back. */
Test(states_sync, boot)
{
	struct node *node = &world.nodes[0];
	struct states_entry e;

	pair_open();
	cut(link_at(0, 1));
	pipe_drop(link_at(0, 1));
	states_sync_free(node->sync);
	table_free(node->table);
	free(node->logs);
	node_open(node, BUCKETS);
	link_at(0, 1)->peer = states_sync_add(node->sync, link_at(0, 1));
	join_all();
	settle();
	cr_assert_eq(expect_same("behind it"), 150);
	expect_matching(1);
	cr_assert(has(&world.nodes[1], 3, &e) && !(e.state.flags & FL_STATE_PEER));
	cr_assert(has(&world.nodes[0], 3, &e) && e.state.flags & FL_STATE_PEER);
	world_close();
}

/* The daemon alone is killed: its table stays, and what has ended meanwhile goes. */
Test(states_sync, daemon_again)
{
	struct node *node = &world.nodes[0];
	struct states_host host;
	struct states_entry e;

	pair_open();
	host = host_of(node);
	cut(link_at(0, 1));
	states_sync_free(node->sync);
	node->sync = states_sync_new(&host);
	link_at(0, 1)->peer = states_sync_add(node->sync, link_at(0, 1));
	for (uint32_t number = 0; number < 50; number++) {
		cr_assert(has(&world.nodes[0], number, &e));
		states_remove(world.nodes[0].table, e.slot, e.tag);
	}
	fill(0, 200, 220);
	join_all();
	settle();
	cr_assert_eq(expect_same("behind it"), 120);
	world_close();
}

static void daemon_restarts(unsigned int i)
{
	struct node *node = &world.nodes[i];
	struct states_host host = host_of(node);

	cut(link_at(0, 1));
	states_sync_free(node->sync);
	node->sync = states_sync_new(&host);
	link_at(i, i ^ 1)->peer = states_sync_add(node->sync, link_at(i, i ^ 1));
}

/* What has ended at the peer while no daemon was here to hear of it ends with the first bulk … */
Test(states_sync, daemon_behind)
{
	struct states_entry e;

	pair_open();
	daemon_restarts(1);
	for (uint32_t number = 0; number < 50; number++) {
		cr_assert(has(&world.nodes[0], number, &e));
		states_remove(world.nodes[0].table, e.slot, e.tag);
	}
	join_all();
	settle();
	cr_assert_eq(expect_same("behind it"), 100);
	expect_matching(1);
	world_close();
}

/* … but not if the peer has lost it. */
Test(states_sync, both_again)
{
	struct node *node = &world.nodes[0];

	pair_open();
	daemon_restarts(1);
	states_sync_free(node->sync);
	table_free(node->table);
	free(node->logs);
	node_open(node, BUCKETS);
	link_at(0, 1)->peer = states_sync_add(node->sync, link_at(0, 1));
	join_all();
	settle();
	cr_assert_eq(expect_same("behind it"), 150);
	expect_matching(1);
	world_close();
}

/* A peer that takes nothing gets no more than a megabyte, and then all the same. */
Test(states_sync, slow_peer)
{
	pair_open();
	for (int i = 0; i < 3000; i++) {
		world.ns += TURN_NS;
		for (int n = 0; n < 5; n++)
			happen(&world.nodes[0]);
		states_sync_turn(world.nodes[0].sync);
		if (link_at(0, 1)->waiting > (3u << 20))
			cr_assert_fail("%zu bytes wait", link_at(0, 1)->waiting);
	}
	cr_assert_gt(numbers_of(0, 1).lag_ms, 5000);
	settle();
	expect_same("behind it");
	cr_assert_lt(numbers_of(0, 1).lag_ms, 100);
	world_close();
}

/* ---- what no node of ours sends ---- */

static const struct {
	const char *what;
	uint16_t type;
	size_t len;
	uint8_t data[24];
} wrong[] = {
	{ "a batch that is cut", STATES_BATCH, 3, { 0, 160, 0 } },
	{ "records that are too short", STATES_BATCH, 4 + 16, { 0, 16, 0, 1 } },
	{ "records of no length", STATES_BATCH, 4, { 0, 0, 255, 255 } },
	{ "more records than there are", STATES_BATCH, 4, { 0, 160, 0, 1 } },
	{ "half a delete", STATES_DELETE, 7, {} },
	{ "of a slot that is none", STATES_DELETE, 8, { 255, 255, 255, 255 } },
	{ "a digest that is cut", STATES_DIGEST, 15, {} },
	{ "a table of no size", STATES_BULK_BEGIN, 12, { 0, 0, 0, 1 } },
	{ "a table of any size", STATES_BULK_BEGIN, 12, { 0, 0, 0, 1, 0, 0, 0, 1, 255, 255, 255, 255 } },
	{ "a beginning that is cut", STATES_BULK_BEGIN, 11, { 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 1 } },
	{ "an end without a beginning", STATES_BULK_END, 0, {} },
	{ "names that are none", STATES_NAMES, 2, { '{', '{' } },
};

Test(states_sync, wrong_messages)
{
	struct states_sync_peer *peer;

	pair_open();
	peer = link_at(0, 1)->peer;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		cr_expect_eq(states_sync_message(peer, wrong[i].type, wrong[i].data, wrong[i].len), -EPROTO, "%s",
			     wrong[i].what);
	cr_expect_eq(states_sync_message(peer, 31, (const uint8_t *)"new", 3), 0);
	settle();
	world_close();
}

/* Any bytes: the table stays one, and in the end all have the same again. */
Test(states_sync, any_bytes)
{
	static uint8_t data[4 + 3 * STATES_RECORD];
	struct states_sync_peer *peer;

	pair_open();
	peer = link_at(0, 1)->peer;
	for (int i = 0; i < 20000; i++) {
		uint16_t type = STATES_BULK_BEGIN + rnd(12);
		size_t len = rnd(sizeof(data));

		for (size_t b = 0; b < len; b++)
			data[b] = rnd(256);
		if (type == STATES_BULK_BEGIN) /* of a size that this machine has memory for */
			memset(data + 8, 0, 3);
		if (rnd(2)) {
			len = sizeof(data);
			put_be16(data, STATES_RECORD);
			put_be16(data + 2, 3);
			for (int n = 0; n < 3; n++)
				memset(data + 4 + n * STATES_RECORD, 0, 3);
		}
		states_sync_message(peer, type, data, len);
	}
	cut(link_at(0, 1));
	join_all();
	settle();
	expect_matching(1);
	for (uint32_t number = 0; number < 150; number++) {
		struct states_entry e;

		cr_assert(has(&world.nodes[1], number, &e));
	}
	world_close();
}
