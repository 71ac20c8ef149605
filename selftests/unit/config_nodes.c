// SPDX-License-Identifier: GPL-2.0-only
#include "selftests/unit/config_nodes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/sync/config_message.h"

#define QUEUE 512

struct node nodes[NODES];
static long long now = 1000;
static int boots;

static struct message {
	struct node *from, *to;
	unsigned int type;
	json_t *json;
} queue[QUEUE];
static size_t queued;

static json_t *part_of(int text)
{
	char name[16];

	snprintf(name, sizeof(name), "%d", text);
	return json_pack("{s:[s],s:{s:[{s:s}]}}", "sections", "rules", "config", "rules", "name", name);
}

static void hash_of(int text, char hash[CONFIG_PART_HASH])
{
	json_t *part = part_of(text);

	config_part_hash(part, hash);
	json_decref(part);
}

static int text_of(const json_t *part)
{
	const json_t *rules = json_object_get(json_object_get(part, "config"), "rules");

	return atoi(json_string_value(json_object_get(json_array_get(rules, 0), "name")));
}

void node_own(struct node *n)
{
	struct push_own o = { .role = n->role, .version = n->version, .on_trial = n->trial };

	hash_of(n->pushed, o.hash);
	hash_of(n->text, o.now);
	o.trial_round = take_trial(&n->take);
	n->take.role = n->role;
	push_own(&n->push, &o);
}

static void enqueue(struct node *from, struct node *to, unsigned int type, const json_t *json)
{
	cr_assert_lt(queued, QUEUE);
	queue[queued++] = (struct message){ from, to, type, json_deep_copy(json) };
}

/* ---- the primary's half ---- */

static void on_send(void *arg, struct push_peer *peer, unsigned int type, const json_t *message)
{
	enqueue(arg, peer->arg, type, message);
}

static void run_text(struct node *n, int text)
{
	n->before = n->text;
	n->text = text;
}

static void take_version_of(struct node *n, long long version)
{
	n->old = n->version;
	n->old_pushed = n->pushed;
	n->version = version;
	n->pushed = n->text;
}

static bool on_commit(void *arg, long long version)
{
	struct node *n = arg;

	if (n->own_fails)
		return false;
	run_text(n, n->wanted);
	if (n->confirm_s)
		n->trial = true;
	else
		take_version_of(n, version);
	node_own(n);
	return true;
}

static void undo(struct node *n)
{
	n->text = n->before;
	if (!n->trial) {
		n->version = n->old;
		n->pushed = n->old_pushed;
	}
	n->trial = false;
	node_own(n);
}

static void on_go_back(void *arg, const char *why)
{
	cr_expect(why);
	undo(arg);
}

static void on_over(void *arg, enum push_kind kind, bool done, const char *error)
{
	struct node *n = arg;

	cr_expect(kind);
	n->overs++;
	n->done += done;
	snprintf(n->error, sizeof(n->error), "%s", error ? error : "");
}

static json_t *on_part(void *arg)
{
	return part_of(((struct node *)arg)->pushed);
}

static void on_pushed(void *arg, struct push_peer *peer, bool edited, const char *error)
{
	struct node *n = arg;

	(void)peer;
	n->given += !error;
	n->edited += edited;
}

static long long on_now(void *arg)
{
	(void)arg;
	return now;
}

/* ---- the secondary's ---- */

static void on_answer(void *arg, const void *peer, unsigned int type, const json_t *message)
{
	enqueue(arg, (struct node *)peer, type, message);
}

static char *on_check(void *arg, const struct take_offer *offer, json_t *verdict)
{
	struct node *n = arg;

	(void)offer;
	if (!n->refuses && !n->trial)
		return NULL;
	json_object_set_new(verdict, "findings", json_pack("[{s:s}]", "text", "no interface named \"dmz\""));
	return strdup(n->trial ? "a configuration waits" : "the configuration has errors");
}

static char *on_apply(void *arg, const struct take_offer *offer, bool *edited)
{
	struct node *n = arg;

	*edited = n->version && n->text != n->pushed;
	if (n->can_not)
		return strdup("no space left on device");
	run_text(n, text_of(offer->part));
	if (offer->confirm_s) {
		n->trial = true;
		n->trial_until = now + 1000 * offer->confirm_s + 10000;
	} else {
		take_version_of(n, offer->version);
	}
	n->taken++;
	node_own(n);
	return NULL;
}

static void on_keep(void *arg, const struct take_offer *offer)
{
	struct node *n = arg;

	if (!offer->confirm_s)
		return;
	n->trial = false;
	take_version_of(n, offer->version);
	node_own(n);
}

static void on_take_back(void *arg, const struct take_offer *offer, const char *why)
{
	(void)offer;
	cr_expect(why);
	undo(arg);
}

/* ---- the world ---- */

static void boot(struct node *n)
{
	const struct push_ops push_ops = {
		on_send, on_commit, on_go_back, on_over, on_part, on_pushed, on_now, n, NULL
	};
	const struct take_ops take_ops = { on_answer, on_check, on_apply, on_keep, on_take_back, n };

	push_init(&n->push, &push_ops, (json_int_t)1000 * ++boots);
	take_init(&n->take, &take_ops);
	n->push.node = "node";
	for (size_t i = 0; i < NODES; i++) {
		n->peers[i] = (struct push_peer){ .arg = &nodes[i] };
		if (&nodes[i] != n)
			push_peer_add(&n->push, &n->peers[i], i == 0 ? "a" : i == 1 ? "b" : "c");
	}
	n->up = true;
	node_own(n);
}

static void halt(struct node *n)
{
	for (size_t i = 0; i < NODES; i++) {
		if (&nodes[i] != n)
			push_peer_remove(&n->push, &n->peers[i]);
	}
	push_fini(&n->push);
	take_fini(&n->take);
}

struct push_peer *node_peer(struct node *n, struct node *of)
{
	return &n->peers[of - nodes];
}

void nodes_cut(struct node *a, struct node *b)
{
	size_t left = 0;

	if (!node_peer(a, b)->connected)
		return;
	for (size_t i = 0; i < queued; i++) {
		struct message *m = &queue[i];

		if ((m->from == a && m->to == b) || (m->from == b && m->to == a))
			json_decref(m->json);
		else
			queue[left++] = *m;
	}
	queued = left;
	push_closed(&a->push, node_peer(a, b));
	take_closed(&a->take, b);
	push_closed(&b->push, node_peer(b, a));
	take_closed(&b->take, a);
}

void nodes_join(struct node *a, struct node *b)
{
	if (!a->up || !b->up || node_peer(a, b)->connected)
		return;
	push_opened(&a->push, node_peer(a, b), node_peer(a, b)->name);
	push_opened(&b->push, node_peer(b, a), node_peer(b, a)->name);
}

void node_die(struct node *n)
{
	push_fini(&n->push);
	for (size_t i = 0; i < NODES; i++) {
		if (&nodes[i] != n)
			nodes_cut(n, &nodes[i]);
	}
	halt(n);
	n->up = false;
}

void node_revive(struct node *n)
{
	if (n->trial)
		n->text = n->before;
	n->trial = false;
	boot(n);
	for (size_t i = 0; i < NODES; i++)
		if (&nodes[i] != n)
			nodes_join(n, &nodes[i]);
}

bool nodes_deliver(void)
{
	struct message m;
	size_t i = 0;

	while (i < queued && queue[i].to->deaf)
		i++;
	if (i == queued)
		return false;
	m = queue[i];
	memmove(&queue[i], &queue[i + 1], (--queued - i) * sizeof(m));
	cr_assert(push_message(&m.to->push, node_peer(m.to, m.from), m.type, m.json));
	m.to->take.torn = push_primary(&m.to->push, NULL) && push_primary(&m.to->push, push_primary(&m.to->push, NULL));
	cr_assert(take_message(&m.to->take, m.from, m.type, m.json));
	json_decref(m.json);
	return true;
}

void nodes_deliver_until(struct node *to, unsigned int type)
{
	for (size_t i = 0; i < QUEUE; i++) {
		cr_assert(queued, "such a message never comes");
		if (queue[0].to == to && queue[0].type == type)
			return;
		nodes_deliver();
	}
}

void nodes_pass(long long ms)
{
	now += ms;
	for (size_t i = 0; i < NODES; i++) {
		struct node *n = &nodes[i];

		if (n->up && n->trial && n->trial_until && now >= n->trial_until) {
			take_trial_over(&n->take);
			undo(n);
		}
		if (n->up)
			push_tick(&n->push);
	}
}

void nodes_settle(void)
{
	for (int i = 0; i < 5; i++) {
		while (nodes_deliver())
			;
		nodes_pass(1000);
	}
	while (nodes_deliver())
		;
}

void nodes_open(void)
{
	queued = 0;
	memset(nodes, 0, sizeof(nodes));
	for (size_t i = 0; i < NODES; i++) {
		nodes[i].role = i ? CONFIG_ROLE_SECONDARY : CONFIG_ROLE_PRIMARY;
		nodes[i].text = nodes[i].pushed = 1;
		nodes[i].version = 1;
		boot(&nodes[i]);
	}
	nodes_join(A, B);
	nodes_join(A, C);
	nodes_join(B, C);
	nodes_settle();
}

void nodes_close(void)
{
	for (size_t i = 0; i < NODES; i++) {
		for (size_t j = 0; j < i; j++)
			nodes_cut(&nodes[i], &nodes[j]);
	}
	for (size_t i = 0; i < NODES; i++)
		if (nodes[i].up)
			halt(&nodes[i]);
}

void node_begin(struct node *n, enum push_kind kind, int text, unsigned int confirm_s)
{
	struct push_order order = { .kind = kind, .part = part_of(text), .confirm_s = confirm_s, .waited_for = true };

	hash_of(text, order.hash);
	n->wanted = text;
	n->confirm_s = confirm_s;
	n->overs = n->done = 0;
	push_begin(&n->push, &order);
}

void nodes_apply(int text)
{
	node_begin(A, PUSH_APPLY, text, 0);
}

void nodes_expect(int a, int b, int c)
{
	cr_expect_eq(A->text, a, "a has %d, not %d", A->text, a);
	cr_expect_eq(B->text, b, "b has %d, not %d", B->text, b);
	cr_expect_eq(C->text, c, "c has %d, not %d", C->text, c);
}

void nodes_expect_over(bool done, const char *error)
{
	cr_expect_eq(A->overs, 1);
	cr_expect_eq(A->done, done);
	cr_expect_str_eq(A->error, error);
}

void nodes_expect_in_step(void)
{
	cr_expect(push_matches(&A->push, node_peer(A, B)) && push_matches(&A->push, node_peer(A, C)));
	cr_expect(push_matches(&B->push, node_peer(B, A)));
	cr_expect_not(push_is_pending(&A->push, node_peer(A, B)));
	cr_expect_eq(A->version, B->version);
}

void nodes_confirm(void)
{
	A->trial = false;
	take_version_of(A, A->push.trial ? A->push.trial_version : push_next_version(&A->push));
	node_own(A);
	push_end_trial(&A->push, true);
}

void nodes_end_trial(void)
{
	undo(A);
	push_end_trial(&A->push, false);
}
