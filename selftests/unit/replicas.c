// SPDX-License-Identifier: GPL-2.0-only
#include "selftests/unit/replicas.h"

#include <errno.h>
#include <stdio.h>

struct replicas replicas;
struct replicas_amid replicas_amid;

uint32_t replicas_rnd(uint32_t below)
{
	replicas.rng = replicas.rng * 6364136223846793005ULL + 1442695040888963407ULL;
	return (replicas.rng >> 33) % below;
}

/* ---- what a node has ---- */

uint32_t replicas_jiffies(void *arg)
{
	(void)arg;
	return NOW + replicas.ns / (1000000000 / HZ);
}

static uint64_t now_ns(void *arg)
{
	(void)arg;
	if (replicas_amid.calls && --replicas_amid.calls == 0)
		cr_assert(states_remove(replicas_amid.table, replicas_amid.slot, replicas_amid.tag));
	return replicas.ns;
}

static char *names(void *arg)
{
	(void)arg;
	return strdup("{}");
}

/* Each rule and gateway of the peer's has the same number here. */
static int understand(void *arg, const char *text, size_t len, struct states_numbers_of *numbers)
{
	(void)arg;
	if (len != 2 || strcmp(text, "{}"))
		return -EINVAL;
	for (uint16_t i = 1; i < 10; i++)
		numbers->rule[i] = numbers->gateway[i] = i;
	return 0;
}

static void reset(void *arg, const struct states_entry *entry)
{
	struct node *node = arg;

	cr_expect(states_is_at(node->table, entry->slot, FL_TAG_SERIAL(entry->tag)), "it is still there");
	node->resets++;
}

static void tell(void *arg, void *peer, const char *event, const char *why)
{
	struct node *node = arg;

	(void)peer;
	cr_expect(!strcmp(event, "resync") || !strcmp(event, "resets"), "%s", event);
	cr_expect(*why);
	node->told++;
}

struct states_host replica_host(struct node *node)
{
	return (struct states_host){ .table = node->table,
				     .logs = node->logs,
				     .n_logs = CPUS + 1,
				     .jiffies = replicas_jiffies,
				     .ns = now_ns,
				     .names = names,
				     .understand = understand,
				     .reset = reset,
				     .tell = tell,
				     .arg = node };
}

/* ---- pipes ---- */

static int pipe_send(void *arg, uint16_t type, const void *data, size_t len)
{
	struct link *link = arg;
	struct message *m = malloc(sizeof(*m) + len);

	replicas.types |= 1u << type;
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
	const struct link *link = arg;

	return link->full ? SIZE_MAX : link->waiting;
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
	return &link->to->links[link->from - replicas.nodes];
}

bool replicas_deliver(struct link *link)
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

void replicas_cut(struct link *link)
{
	if (!link->up)
		return;
	link->up = way_back(link)->up = false;
	pipe_drop(link);
	pipe_drop(way_back(link));
	states_sync_closed(link->peer);
	states_sync_closed(way_back(link)->peer);
}

static void link_join(struct link *link)
{
	struct link *both[] = { link, way_back(link) };

	if (link->up)
		return;
	for (int i = 0; i < 2; i++) {
		struct states_pipe pipe = { pipe_send, pipe_waiting, both[i], replicas.protocol };

		both[i]->up = true;
		states_sync_opened(both[i]->peer, &pipe);
	}
}

void replicas_lose(struct link *link)
{
	pipe_drop(link);
}

struct link *replicas_link(unsigned int i, unsigned int j)
{
	return &replicas.nodes[i].links[j];
}

void replica_open(struct node *node, uint32_t buckets)
{
	node->table = table_new(buckets);
	for (int i = 0; i < 5; i++) /* the same each time */
		node->table->control->key[i] = (i + 1) * 0x9e3779b97f4a7c15ULL;
	node->table->control->lineage = replicas_rnd(1000000);
	node->logs = calloc(CPUS + 1, sizeof(*node->logs));
	node->table->log = &node->logs[CPUS];
	for (int i = 0; i < FL_TIMEOUTS; i++)
		node->table->timeout_s[i] = 100000;
	states_adapt(node->table);
	struct states_host host = replica_host(node);

	node->sync = states_sync_new(&host);
}

void replicas_open(unsigned int n, uint64_t seed, unsigned int protocol)
{
	memset(&replicas, 0, sizeof(replicas));
	replicas.n = n;
	replicas.rng = seed;
	replicas.protocol = protocol;
	replicas.ns = 1000000000;
	for (unsigned int i = 0; i < n; i++)
		replica_open(&replicas.nodes[i], BUCKETS + 16 * i);
	for (unsigned int i = 0; i < n; i++)
		for (unsigned int j = 0; j < n; j++) {
			struct link *link = replicas_link(i, j);

			*link = (struct link){ .from = &replicas.nodes[i],
					       .to = &replicas.nodes[j],
					       .last = &link->first };
			if (i != j)
				link->peer = states_sync_add(replicas.nodes[i].sync, link);
		}
}

void replica_isolate(unsigned int node)
{
	for (unsigned int i = 0; i < replicas.n; i++)
		replicas_cut(replicas_link(node, i));
}

void replicas_join(void)
{
	for (unsigned int i = 0; i < replicas.n; i++)
		for (unsigned int j = 0; j < i; j++)
			link_join(replicas_link(i, j));
}

void replica_close(struct node *node)
{
	states_sync_free(node->sync);
	table_free(node->table);
	free(node->logs);
}

void replicas_close(void)
{
	for (unsigned int i = 0; i < replicas.n; i++) {
		for (unsigned int j = 0; j < replicas.n; j++)
			pipe_drop(replicas_link(i, j));
		replica_close(&replicas.nodes[i]);
	}
}

void replicas_turn(unsigned int messages)
{
	replicas.ns += TURN_NS;
	for (unsigned int i = 0; i < replicas.n; i++)
		states_sync_turn(replicas.nodes[i].sync);
	for (unsigned int i = 0; i < replicas.n; i++)
		for (unsigned int j = 0; j < replicas.n; j++)
			for (unsigned int n = 0; n < messages && replicas_deliver(replicas_link(i, j)); n++)
				;
}

void replicas_settle(void)
{
	for (int i = 0; i < 6000; i++)
		replicas_turn(1000);
}

/* ---- what programs do ---- */

static void logged(struct node *node, uint32_t slot)
{
	struct fl_sync_log *log = &node->logs[replicas_rnd(CPUS)];

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
	image->state.made = image->state.seen = replicas_jiffies(NULL);
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

bool replica_has(const struct node *node, uint32_t number, struct states_entry *entry)
{
	struct states_image image;
	struct fl_tuple key;

	connection(number, &image);
	key = states_key_of(&image.state);
	return states_find(node->table, &key, replicas_jiffies(NULL), entry);
}

void replica_make(struct node *node, uint32_t number, bool embryonic)
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

void replica_fill(unsigned int node, uint32_t from, uint32_t to)
{
	for (uint32_t number = from; number < to; number++)
		replica_make(&replicas.nodes[node], number, false);
}

void replica_remove(unsigned int node, uint32_t from, uint32_t to, uint32_t step)
{
	struct states_entry e;

	for (uint32_t number = from; number < to; number += step) {
		cr_assert(replica_has(&replicas.nodes[node], number, &e));
		cr_assert(states_remove(replicas.nodes[node].table, e.slot, e.tag));
	}
}

void replica_packet(struct node *node, const struct states_entry *e)
{
	struct fl_state *st = &node->table->entries[e->slot];
	bool news = st->flags & FL_STATE_PEER || st->phase[0] != FL_PHASE_MULTIPLE;

	st->seen = replicas_jiffies(NULL);
	st->end[0].packets++;
	st->phase[0] = FL_PHASE_MULTIPLE;
	st->flags &= ~FL_STATE_PEER;
	if (news && FL_TAG_KIND(e->tag) == FL_KIND_ESTABLISHED)
		logged(node, e->slot);
}

void replica_happen(struct node *node)
{
	uint32_t number = replicas_rnd(KEYS);
	struct states_entry e;

	if (!replica_has(node, number, &e))
		replica_make(node, number, replicas_rnd(8) == 0);
	else if (replicas_rnd(3) == 0)
		states_remove(node->table, e.slot, e.tag);
	else
		replica_packet(node, &e);
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

uint32_t replicas_expect_same(const char *when)
{
	uint32_t n = 0;

	for (uint32_t number = 0; number < KEYS; number++) {
		struct states_entry first, other;
		bool one = replica_has(&replicas.nodes[0], number, &first);

		n += one;
		for (unsigned int i = 1; i < replicas.n; i++) {
			bool two = replica_has(&replicas.nodes[i], number, &other);

			if (one != two && FL_TAG_KIND((one ? first : other).tag) == FL_KIND_EMBRYONIC)
				continue; /* there is no room for so many of these */

			cr_assert_eq(one, two, "%s: node %u, connection %u: %d %d: %s", when, i, number, one, two,
				     one ? text(&first, &first) : text(&other, &other));
			cr_assert(!one || is_same(&first, &other), "%s: connection %u differs at %u: %s", when, number,
				  i, text(&first, &other));
		}
	}
	for (unsigned int i = 0; i < replicas.n; i++)
		for (uint32_t slot = 0; slot < states_slots(replicas.nodes[i].table); slot++)
			cr_assert_neq(FL_TAG_KIND(states_tag(replicas.nodes[i].table, slot)), FL_KIND_CLAIMED);
	return n;
}

struct states_sync_numbers replicas_numbers(unsigned int i, unsigned int j)
{
	struct states_sync_numbers numbers;

	states_sync_numbers(replicas_link(i, j)->peer, &numbers);
	return numbers;
}

void replicas_expect_matching(int match)
{
	for (unsigned int i = 0; i < replicas.n; i++)
		for (unsigned int j = 0; j < replicas.n; j++) {
			struct states_sync_numbers numbers;

			if (i == j)
				continue;
			numbers = replicas_numbers(i, j);
			cr_assert_eq(numbers.digest_match, match, "%u of %u: %d", i, j, numbers.digest_match);
			cr_assert(numbers.connected && numbers.has_all && numbers.has_sent_all);
		}
}

void replicas_pair_speaking(unsigned int protocol)
{
	replicas_open(2, 1, protocol);
	replicas_join();
	replica_fill(0, 0, 100);
	replica_fill(1, 100, 150);
	replicas_settle();
	cr_assert_eq(replicas_expect_same("at first"), 150);
	replicas_expect_matching(protocol < 2 ? -1 : 1);
	cr_assert_eq(replicas_numbers(0, 1).theirs, 50);
	cr_assert_eq(replicas_numbers(1, 0).theirs, 100);
	cr_assert_eq(replicas_numbers(0, 1).resyncs, 0);
}

void replicas_pair(void)
{
	replicas_pair_speaking(PROTOCOL);
}
