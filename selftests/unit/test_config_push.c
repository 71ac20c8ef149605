// SPDX-License-Identifier: GPL-2.0-only
/* Config sync of three nodes whose configuration is a number: what they say to each other waits until it is delivered, or never is. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/sync/config_message.h"
#include "user/sync/config_push.h"
#include "user/sync/config_take.h"

#define NODES 3
#define A (&nodes[0]) /* the primary, in most tests */
#define B (&nodes[1])
#define C (&nodes[2])
#define QUEUE 512

struct node {
	bool up, deaf;			  /* deaf: it is there, and takes nothing in */
	bool refuses, can_not, own_fails; /* by its check, when it commits, its own commit */
	enum config_role role;
	int text, before;	/* what runs; what ran before the last change */
	bool trial, local;	/* local: changed, not pushed */
	long long version, old; /* of what was pushed last, and before that */
	int pushed, old_pushed; /* that */
	int wanted;		/* by the round */
	unsigned int confirm_s;
	long long trial_until;
	struct push push;
	struct take take;
	struct push_peer peers[NODES];
	/* what came of it */
	int overs, done, taken, given, edited;
	char error[200];
};

static struct node nodes[NODES];
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

static void own(struct node *n)
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
	own(n);
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
	own(n);
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
	own(n);
	return NULL;
}

static void on_keep(void *arg, const struct take_offer *offer)
{
	struct node *n = arg;

	if (!offer->confirm_s)
		return;
	n->trial = false;
	take_version_of(n, offer->version);
	own(n);
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
	const struct push_ops push_ops = { on_send, on_commit, on_go_back, on_over, on_part, on_pushed, on_now, n };
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
	own(n);
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

static struct push_peer *peer_of(struct node *n, struct node *of)
{
	return &n->peers[of - nodes];
}

static void link_down(struct node *a, struct node *b)
{
	size_t left = 0;

	if (!peer_of(a, b)->connected)
		return;
	for (size_t i = 0; i < queued; i++) {
		struct message *m = &queue[i];

		if ((m->from == a && m->to == b) || (m->from == b && m->to == a))
			json_decref(m->json);
		else
			queue[left++] = *m;
	}
	queued = left;
	push_closed(&a->push, peer_of(a, b));
	take_closed(&a->take, b);
	push_closed(&b->push, peer_of(b, a));
	take_closed(&b->take, a);
}

static void link_up(struct node *a, struct node *b)
{
	if (!a->up || !b->up || peer_of(a, b)->connected)
		return;
	push_opened(&a->push, peer_of(a, b), peer_of(a, b)->name);
	push_opened(&b->push, peer_of(b, a), peer_of(b, a)->name);
}

/* At once; a trial that was not confirmed is over when it is back. */
static void die(struct node *n)
{
	push_fini(&n->push);
	for (size_t i = 0; i < NODES; i++) {
		if (&nodes[i] != n)
			link_down(n, &nodes[i]);
	}
	halt(n);
	n->up = false;
}

static void revive(struct node *n)
{
	if (n->trial)
		n->text = n->before;
	n->trial = false;
	boot(n);
	for (size_t i = 0; i < NODES; i++)
		if (&nodes[i] != n)
			link_up(n, &nodes[i]);
}

/* One message. false: there is none that somebody takes */
static bool deliver(void)
{
	struct message m;
	size_t i = 0;

	while (i < queued && queue[i].to->deaf)
		i++;
	if (i == queued)
		return false;
	m = queue[i];
	memmove(&queue[i], &queue[i + 1], (--queued - i) * sizeof(m));
	cr_assert(push_message(&m.to->push, peer_of(m.to, m.from), m.type, m.json));
	m.to->take.torn = push_primary(&m.to->push, NULL) && push_primary(&m.to->push, push_primary(&m.to->push, NULL));
	cr_assert(take_message(&m.to->take, m.from, m.type, m.json));
	json_decref(m.json);
	return true;
}

/* Up to, and without, the first message of that type to that node. */
static void deliver_until(struct node *to, unsigned int type)
{
	for (size_t i = 0; i < QUEUE; i++) {
		cr_assert(queued, "such a message never comes");
		if (queue[0].to == to && queue[0].type == type)
			return;
		deliver();
	}
}

static void pass(long long ms)
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

static void settle(void)
{
	for (int i = 0; i < 5; i++) {
		while (deliver())
			;
		pass(1000);
	}
	while (deliver())
		;
}

static void setup(void)
{
	queued = 0;
	memset(nodes, 0, sizeof(nodes));
	for (size_t i = 0; i < NODES; i++) {
		nodes[i].role = i ? CONFIG_ROLE_SECONDARY : CONFIG_ROLE_PRIMARY;
		nodes[i].text = nodes[i].pushed = 1;
		nodes[i].version = 1;
		boot(&nodes[i]);
	}
	link_up(A, B);
	link_up(A, C);
	link_up(B, C);
	settle();
}

static void teardown(void)
{
	for (size_t i = 0; i < NODES; i++) {
		for (size_t j = 0; j < i; j++)
			link_down(&nodes[i], &nodes[j]);
	}
	for (size_t i = 0; i < NODES; i++)
		if (nodes[i].up)
			halt(&nodes[i]);
}

static void begin(struct node *n, enum push_kind kind, int text, unsigned int confirm_s)
{
	struct push_order order = { .kind = kind, .part = part_of(text), .confirm_s = confirm_s, .waited_for = true };

	hash_of(text, order.hash);
	n->wanted = text;
	n->confirm_s = confirm_s;
	n->overs = n->done = 0;
	push_begin(&n->push, &order);
}

static void apply(int text)
{
	begin(A, PUSH_APPLY, text, 0);
}

static void expect_texts(int a, int b, int c)
{
	cr_expect_eq(A->text, a, "a has %d, not %d", A->text, a);
	cr_expect_eq(B->text, b, "b has %d, not %d", B->text, b);
	cr_expect_eq(C->text, c, "c has %d, not %d", C->text, c);
}

static void expect_over(bool done, const char *error)
{
	cr_expect_eq(A->overs, 1);
	cr_expect_eq(A->done, done);
	cr_expect_str_eq(A->error, error);
}

static void expect_in_step(void)
{
	cr_expect(push_matches(&A->push, peer_of(A, B)) && push_matches(&A->push, peer_of(A, C)));
	cr_expect(push_matches(&B->push, peer_of(B, A)));
	cr_expect_not(push_is_pending(&A->push, peer_of(A, B)));
	cr_expect_eq(A->version, B->version);
}

TestSuite(config_push, .init = setup, .fini = teardown, .timeout = 30);

/* ---- a round ---- */

Test(config_push, everywhere)
{
	apply(2);
	cr_expect(push_is_busy(&A->push));
	expect_texts(1, 1, 1);
	settle();
	expect_over(true, "");
	expect_texts(2, 2, 2);
	cr_expect_eq(A->version, 2);
	expect_in_step();
	cr_expect_not(push_is_busy(&A->push));
	cr_expect_eq(B->take.stage, TAKE_NOTHING);
}

Test(config_push, refused_by_one_is_nowhere)
{
	C->refuses = true;
	apply(2);
	settle();
	expect_over(false, "c does not take it: the configuration has errors; nothing was changed on any node");
	cr_expect_eq(json_array_size(peer_of(A, C)->findings), 1u);
	expect_texts(1, 1, 1);
	cr_expect_eq(B->take.stage, TAKE_NOTHING);
	expect_in_step();
}

Test(config_push, own_commit_fails_and_it_is_nowhere)
{
	A->own_fails = true;
	apply(2);
	settle();
	expect_over(false, "");
	expect_texts(1, 1, 1);
	cr_expect(B->take.stage == TAKE_NOTHING && !B->taken);
}

Test(config_push, a_commit_that_fails_brings_all_back)
{
	C->can_not = true;
	apply(2);
	settle();
	expect_over(false, "c could not take it: no space left on device; all nodes are back to what was before");
	expect_texts(1, 1, 1);
	cr_expect_eq(B->taken, 1, "it had it, for a moment");
	C->can_not = false;
	apply(3);
	settle();
	expect_over(true, "");
	expect_texts(3, 3, 3);
	expect_in_step();
}

Test(config_push, no_answer_in_time_is_nowhere)
{
	B->deaf = true;
	apply(2);
	settle();
	cr_expect_eq(A->overs, 0);
	pass(PUSH_ANSWER_MS);
	settle();
	expect_over(false, "b does not take it: it has not answered within 10 s; nothing was changed on any node");
	B->deaf = false;
	settle();
	expect_texts(1, 1, 1);
	cr_expect_eq(B->take.stage, TAKE_NOTHING);
	expect_in_step();
}

Test(config_push, no_word_after_commit_brings_all_back)
{
	apply(2);
	deliver_until(B, CONFIG_COMMIT);
	B->deaf = true;
	while (deliver())
		;
	expect_texts(2, 1, 2);
	pass(PUSH_ANSWER_MS);
	expect_over(false,
		    "b could not take it: it has not answered within 10 s; all nodes are back to what was before");
	B->deaf = false;
	settle();
	expect_texts(1, 1, 1);
	expect_in_step();
}

Test(config_push, only_looking)
{
	begin(A, PUSH_LOOK, 2, 0);
	settle();
	expect_over(true, "");
	expect_texts(1, 1, 1);
	B->refuses = true;
	begin(A, PUSH_LOOK, 2, 0);
	settle();
	expect_over(false, "b would not take it: the configuration has errors");
	cr_expect_eq(B->take.stage, TAKE_NOTHING);
}

/* ---- peers that go ---- */

static void b_dies_before(struct node *to, unsigned int type, bool in_the_middle)
{
	apply(2);
	deliver_until(to, type);
	die(B);
	settle();
	expect_over(true, "");
	expect_texts(2, B->text, 2);
	cr_expect(push_is_pending(&A->push, peer_of(A, B)));
	revive(B);
	settle();
	expect_texts(2, 2, 2);
	expect_in_step();
	cr_expect_eq(A->given, !in_the_middle);
}

Test(config_push, absent)
{
	die(B);
	apply(2);
	settle();
	expect_over(true, "");
	expect_texts(2, 1, 2);
	cr_expect(push_is_pending(&A->push, peer_of(A, B)));
	cr_expect_not(push_matches(&A->push, peer_of(A, B)));
	revive(B);
	settle();
	expect_texts(2, 2, 2);
	expect_in_step();
	cr_expect(A->given == 1 && !A->edited);
}

Test(config_push, dies_before_prepare)
{
	b_dies_before(B, CONFIG_PREPARE, false);
}

Test(config_push, dies_after_prepare)
{
	b_dies_before(A, CONFIG_VERDICT, false);
}

Test(config_push, dies_before_commit)
{
	b_dies_before(B, CONFIG_COMMIT, false);
}

Test(config_push, dies_after_commit)
{
	apply(2);
	deliver_until(A, CONFIG_DONE); /* that of B, which is asked last but one */
	for (size_t i = 0; i < queued && B->text != 2; i++)
		deliver();
	die(B);
	settle();
	expect_over(true, "");
	revive(B);
	settle();
	expect_texts(2, 2, 2);
	expect_in_step();
}

/* It has what the others have gone back from. */
Test(config_push, dies_after_a_commit_that_is_taken_back)
{
	C->can_not = true;
	apply(2);
	while (B->text != 2 && deliver())
		;
	die(B);
	settle();
	cr_expect_eq(A->done, 0);
	expect_texts(1, 2, 1);
	revive(B);
	settle();
	expect_texts(1, 1, 1);
}

/* ---- the primary goes ---- */

static void primary_dies_and_returns(void)
{
	die(A);
	settle();
	revive(A);
	settle();
	expect_texts(A->text, A->text, A->text);
	expect_in_step();
}

Test(config_push, primary_dies_before_its_commit)
{
	apply(2);
	deliver_until(A, CONFIG_VERDICT);
	primary_dies_and_returns();
	cr_expect_eq(A->text, 1);
	cr_expect_eq(B->take.stage, TAKE_NOTHING);
}

Test(config_push, primary_dies_between_its_commit_and_theirs)
{
	apply(2);
	deliver_until(B, CONFIG_COMMIT);
	primary_dies_and_returns();
	cr_expect_eq(A->text, 2);
}

Test(config_push, primary_dies_when_one_has_it)
{
	apply(2);
	deliver_until(A, CONFIG_DONE);
	cr_expect(B->text == 2 || C->text == 2);
	primary_dies_and_returns();
	cr_expect_eq(A->text, 2);
}

/* ---- without a command ---- */

Test(config_push, a_new_peer_gets_it)
{
	die(B);
	B->version = 0;
	B->text = B->pushed = 7;
	revive(B);
	settle();
	expect_texts(1, 1, 1);
	expect_in_step();
}

/* What is refused is told once, not each second; a return is a reason to ask again. */
Test(config_push, refused_without_a_command)
{
	die(B);
	apply(2);
	settle();
	B->refuses = true;
	revive(B);
	settle();
	settle();
	expect_texts(2, 1, 2);
	cr_expect_str_eq(peer_of(A, B)->error, "the configuration has errors");
	cr_expect(push_is_pending(&A->push, peer_of(A, B)));
	cr_expect_eq(A->overs, 2, "its own, and one for B");
	B->refuses = false;
	link_down(A, B);
	link_up(A, B);
	settle();
	expect_texts(2, 2, 2);
	expect_in_step();
}

Test(config_push, a_command_comes_before_it)
{
	die(B);
	apply(2);
	settle();
	revive(B);
	deliver_until(B, CONFIG_PREPARE);
	cr_expect_not(push_is_busy(&A->push));
	apply(3);
	settle();
	expect_over(true, "");
	expect_texts(3, 3, 3);
	expect_in_step();
}

/* ---- changed by hand ---- */

Test(config_push, changed_by_hand)
{
	B->text = 5;
	own(B);
	settle();
	expect_texts(1, 5, 1);
	cr_expect(push_is_edited(&A->push, peer_of(A, B)));
	cr_expect_not(push_matches(&A->push, peer_of(A, B)));
	cr_expect_not(push_is_pending(&A->push, peer_of(A, B)));
	apply(2);
	settle();
	expect_texts(2, 2, 2);
	cr_expect_eq(A->edited, 1);
	expect_in_step();
	B->text = 5;
	own(B);
	settle();
	begin(A, PUSH_AGAIN, 2, 0);
	settle();
	expect_texts(2, 2, 2);
	cr_expect_eq(A->edited, 2);
	cr_expect_eq(C->taken, 1, "which had it");
}

Test(config_push, changed_here_alone)
{
	A->text = 4; /* apply --local */
	own(A);
	settle();
	expect_texts(4, 1, 1);
	cr_expect_not(push_matches(&A->push, peer_of(A, B)));
	cr_expect_not(push_is_edited(&A->push, peer_of(A, B)));
	link_down(A, B);
	link_up(A, B);
	settle();
	expect_texts(4, 1, 1);
}

/* ---- roles ---- */

Test(config_push, two_primaries)
{
	B->role = CONFIG_ROLE_PRIMARY;
	own(B);
	settle();
	cr_expect_not(push_has_peers(&A->push));
	apply(2);
	settle();
	expect_over(true, "");
	expect_texts(2, 1, 1);
	/* it had not told yet */
	peer_of(A, B)->role = CONFIG_ROLE_SECONDARY;
	begin(A, PUSH_LOOK, 3, 0);
	while (deliver())
		;
	cr_expect_eq(A->done, 0);
	cr_expect(strstr(peer_of(A, B)->error, "primary too"));
	cr_expect(strstr(peer_of(A, C)->error, "two primaries"));
	/* the roles are swapped: what was pushed last is everywhere's, and counts on */
	A->role = CONFIG_ROLE_SECONDARY;
	own(A);
	settle();
	expect_texts(1, 1, 1);
	cr_expect_eq(A->version, B->version);
}

/* They do not see each other; who sees both is not handed to and fro. */
Test(config_push, two_primaries_apart)
{
	link_down(A, B);
	B->role = CONFIG_ROLE_PRIMARY;
	own(B);
	settle();
	apply(2);
	settle();
	cr_expect_eq(A->done, 0);
	cr_expect(strstr(A->error, "two primaries"));
	expect_texts(1, 1, 1);
	link_down(B, C);
	apply(2);
	settle();
	link_up(B, C);
	settle();
	expect_texts(2, 1, 2);
	cr_expect_eq(C->taken, 1);
}

/* ---- on trial ---- */

static void begin_trial(void)
{
	begin(A, PUSH_APPLY, 2, 60);
	settle();
	expect_over(true, "");
	expect_texts(2, 2, 2);
	cr_expect(A->trial && B->trial && C->trial);
	cr_expect_eq(A->version, 1);
}

static void confirm(void)
{
	A->trial = false;
	take_version_of(A, A->push.trial ? A->push.trial_version : push_next_version(&A->push));
	own(A);
	push_end_trial(&A->push, true);
}

static void end_trial(void)
{
	undo(A);
	push_end_trial(&A->push, false);
}

Test(config_push, a_trial_is_confirmed)
{
	begin_trial();
	confirm();
	settle();
	expect_texts(2, 2, 2);
	cr_expect(!B->trial && !C->trial && B->version == 2);
	expect_in_step();
	cr_expect_eq(A->given, 0);
}

Test(config_push, a_trial_ends)
{
	begin_trial();
	end_trial();
	settle();
	expect_texts(1, 1, 1);
	cr_expect(!B->trial && B->version == 1);
	expect_in_step();
}

Test(config_push, a_trial_is_confirmed_while_a_peer_is_away)
{
	begin_trial();
	link_down(A, B);
	confirm();
	settle();
	cr_expect(B->trial);
	link_up(A, B);
	settle();
	expect_texts(2, 2, 2);
	cr_expect_not(B->trial);
	expect_in_step();
}

Test(config_push, a_trial_ends_while_a_peer_is_away)
{
	begin_trial();
	link_down(A, B);
	end_trial();
	settle();
	pass(71000);
	expect_texts(1, 1, 1);
	link_up(A, B);
	settle();
	expect_texts(1, 1, 1);
	expect_in_step();
}

Test(config_push, the_primary_dies_on_trial)
{
	begin_trial();
	die(A);
	revive(A);
	settle();
	expect_texts(1, 1, 1);
	cr_expect(!B->trial && !C->trial);
	expect_in_step();
}

Test(config_push, a_peer_dies_on_trial)
{
	begin_trial();
	die(B);
	revive(B);
	settle();
	cr_expect_eq(B->text, 1, "its own file is the one before");
	confirm();
	settle();
	expect_texts(2, 2, 2);
	expect_in_step();
}

Test(config_push, a_trial_that_one_can_not_take)
{
	C->can_not = true;
	begin(A, PUSH_APPLY, 2, 60);
	settle();
	cr_expect_eq(A->done, 0);
	expect_texts(1, 1, 1);
	cr_expect(!A->trial && !B->trial);
}

/* ---- at random: whatever happens, once it stops all nodes are the same ---- */

static unsigned int seed;

static unsigned int below(unsigned int n)
{
	seed = seed * 1103515245 + 12345;
	return (seed >> 16) % n;
}

static void something(int text)
{
	struct node *n = &nodes[below(NODES)], *other = &nodes[below(NODES)];

	switch (below(12)) {
	case 0:
		if (n->up && other != n && other->up)
			link_down(n, other);
		break;
	case 1:
		if (other != n)
			link_up(n, other);
		break;
	case 2:
		if (n->up)
			die(n);
		break;
	case 3:
		if (!n->up)
			revive(n);
		break;
	case 4:
		n->refuses = !below(3);
		n->can_not = !below(3);
		n->deaf = n != A && !below(4);
		break;
	case 5:
		pass(below(12000));
		break;
	case 6:
		if (A->up && !push_is_busy(&A->push) && !A->trial)
			begin(A, PUSH_APPLY, text, below(3) ? 0 : 20);
		break;
	case 7:
		if (A->up && A->trial && !push_is_busy(&A->push)) {
			if (below(2))
				confirm();
			else
				end_trial();
		}
		break;
	default:
		for (unsigned int i = below(8); i && deliver(); i--)
			;
	}
}

Test(config_push, at_random)
{
	teardown();
	for (unsigned int round = 1; round < 400; round++) {
		seed = round;
		setup();
		for (int i = 0; i < 150; i++)
			something(i + 2);
		for (size_t i = 0; i < NODES; i++) {
			nodes[i].refuses = nodes[i].can_not = nodes[i].deaf = false;
			if (!nodes[i].up)
				revive(&nodes[i]);
		}
		settle();
		pass(PUSH_ANSWER_MS);
		settle();
		link_down(A, B);
		link_down(A, C);
		link_up(A, B);
		link_up(A, C);
		settle();
		if (A->trial)
			end_trial();
		settle();
		pass(PUSH_RETRY_MS);
		settle();
		cr_expect(A->text == B->text && B->text == C->text, "round %u: %d %d %d", round, A->text, B->text,
			  C->text);
		cr_expect(!A->trial && !B->trial && !C->trial, "round %u", round);
		cr_expect(A->version == B->version && A->version == C->version, "round %u", round);
		teardown();
	}
	setup();
}
