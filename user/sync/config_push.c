// SPDX-License-Identifier: GPL-2.0-only
#include "user/sync/config_push.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/sync/config_message.h"

static const char *const role_words[] = {
	[CONFIG_ROLE_NONE] = "none",
	[CONFIG_ROLE_PRIMARY] = "primary",
	[CONFIG_ROLE_SECONDARY] = "secondary",
};

static void set_text(char **to, const char *text)
{
	char *copy = text ? strdup(text) : NULL;

	free(*to);
	*to = copy;
}

static void copy_hash(char to[CONFIG_PART_HASH], const char *from)
{
	snprintf(to, CONFIG_PART_HASH, "%s", from ? from : "");
}

static void say(struct push *push, struct push_peer *peer, unsigned int type, json_t *message)
{
	if (message && peer->connected)
		push->ops.send(push->ops.arg, peer, type, message);
	json_decref(message);
}

static void send_end(struct push *push, struct push_peer *peer, json_int_t round, bool keep)
{
	say(push, peer, CONFIG_END, json_pack("{s:I,s:b}", "round", round, "keep", keep));
}

/* ---- what is known of a peer ---- */

bool push_takes(const struct push_peer *peer)
{
	return peer->connected && peer->version >= 0 && peer->role == CONFIG_ROLE_SECONDARY;
}

/* The same number may have been given twice, when a round came to nothing for who was not there to hear it. */
static bool has_version(const struct push *push, const struct push_peer *peer)
{
	return peer->version == push->own.version && !strcmp(peer->given, push->own.hash);
}

bool push_is_pending(const struct push *push, const struct push_peer *peer)
{
	return push->own.role == CONFIG_ROLE_PRIMARY && push->own.version && !has_version(push, peer) &&
	       (!peer->connected || peer->role == CONFIG_ROLE_SECONDARY);
}

bool push_matches(const struct push *push, const struct push_peer *peer)
{
	return peer->version >= 0 && has_version(push, peer) && !strcmp(peer->hash, push->own.now);
}

bool push_is_edited(const struct push *push, const struct push_peer *peer)
{
	return push->own.role == CONFIG_ROLE_PRIMARY && push_takes(peer) && !peer->on_trial && peer->version &&
	       has_version(push, peer) && strcmp(peer->hash, peer->given) != 0;
}

const struct push_peer *push_primary(const struct push *push, const struct push_peer *after)
{
	const struct push_peer *peer = after ? LIST_NEXT(after, entry) : LIST_FIRST(&push->peers);

	while (peer && !(peer->connected && peer->role == CONFIG_ROLE_PRIMARY))
		peer = LIST_NEXT(peer, entry);
	return peer;
}

/* Of two primaries none pushes, to a third node neither: each would put the other's away. */
static bool may_push(const struct push *push)
{
	return push->own.role == CONFIG_ROLE_PRIMARY && !push_primary(push, NULL);
}

bool push_has_peers(const struct push *push)
{
	const struct push_peer *peer = LIST_FIRST(&push->peers);

	while (peer && !push_takes(peer))
		peer = LIST_NEXT(peer, entry);
	return peer && may_push(push);
}

bool push_is_busy(const struct push *push)
{
	return push->order.kind && push->order.waited_for;
}

static bool any_at(const struct push *push, enum push_at at)
{
	const struct push_peer *peer;

	LIST_FOREACH(peer, &push->peers, entry)
	{
		if (peer->at == at)
			return true;
	}
	return false;
}

/* ---- a round ---- */

long long push_next_version(const struct push *push)
{
	long long version = push->own.version;
	const struct push_peer *peer;

	LIST_FOREACH(peer, &push->peers, entry)
	{
		if (peer->version > version)
			version = peer->version;
	}
	return version + 1;
}

static void forget_answers(struct push_peer *peer)
{
	json_decref(peer->findings);
	json_decref(peer->changes);
	peer->findings = peer->changes = NULL;
	peer->at = PUSH_OUT;
}

/* true: it is news */
static bool refuses(struct push *push, struct push_peer *peer, enum push_at at, const char *error)
{
	bool news = peer->refused != push->version || !peer->error || !error || strcmp(peer->error, error) != 0;

	peer->at = at;
	set_text(&peer->error, error ? error : "it does not say why");
	if (push->order.kind == PUSH_AGAIN) {
		peer->refused = push->version;
		peer->retry_ms = push->ops.now_ms(push->ops.arg) + PUSH_RETRY_MS;
	}
	return news;
}

static bool lacks_it(const struct push *push, const struct push_peer *peer)
{
	return !has_version(push, peer) || strcmp(peer->hash, push->own.hash) != 0;
}

static void ask(struct push *push, struct push_peer *peer)
{
	const struct push_order *order = &push->order;

	forget_answers(peer);
	peer->at = PUSH_ASKED;
	say(push, peer, CONFIG_PREPARE,
	    json_pack("{s:I,s:I,s:s,s:O,s:s,s:i,s:b,s:b}", "round", push->round, "version", (json_int_t)push->version,
		      "hash", order->hash, "part", order->part, "node", push->node ? push->node : "", "confirm_s",
		      (int)order->confirm_s, "strict", order->strict, "dry", order->kind == PUSH_LOOK));
}

/* Frees the order: what comes of over() may be a new one. */
static void over(struct push *push, bool done, const char *error)
{
	enum push_kind kind = push->order.kind;

	json_decref(push->order.part);
	push->order = (struct push_order){ .kind = PUSH_NONE };
	push->ops.over(push->ops.arg, kind, done, error);
}

static void end_all(struct push *push, bool keep)
{
	struct push_peer *peer;

	LIST_FOREACH(peer, &push->peers, entry)
	{
		if (peer->at != PUSH_OUT && peer->at != PUSH_GONE)
			send_end(push, peer, push->round, keep);
	}
}

/* By the first that has said no, or nothing. */
static void come_to_nothing(struct push *push, enum push_at at, const char *says, const char *effect)
{
	const struct push_peer *peer;
	char *why;

	LIST_FOREACH(peer, &push->peers, entry)
	{
		if (peer->at == at)
			break;
	}
	if (!peer || asprintf(&why, "%s %s: %s%s", peer->name, says, peer->error, effect) < 0)
		why = NULL;
	if (push->committed)
		push->ops.go_back(push->ops.arg, why ? why : "out of memory");
	end_all(push, false);
	over(push, false, why ? why : "out of memory");
	free(why);
}

static void take_version(struct push *push, struct push_peer *peer)
{
	peer->at = PUSH_DONE;
	set_text(&peer->error, NULL);
	peer->refused = 0;
	peer->on_trial = push->order.confirm_s;
	copy_hash(peer->hash, push->order.hash);
	if (push->order.confirm_s)
		return;
	peer->version = push->version;
	copy_hash(peer->given, push->order.hash);
}

static void all_have_it(struct push *push)
{
	if (push->order.confirm_s) {
		push->trial = push->round;
		push->trial_version = push->version;
	} else {
		end_all(push, true);
	}
	over(push, true, NULL);
}

static void commit_all(struct push *push)
{
	struct push_peer *peer;

	if (!push->ops.commit(push->ops.arg, push->version)) {
		end_all(push, false);
		over(push, false, NULL);
		return;
	}
	push->committed = true;
	push->until_ms = push->ops.now_ms(push->ops.arg) + PUSH_ANSWER_MS;
	LIST_FOREACH(peer, &push->peers, entry)
	{
		if (peer->at != PUSH_ACCEPTED)
			continue;
		peer->at = PUSH_COMMITTING;
		say(push, peer, CONFIG_COMMIT, json_pack("{s:I}", "round", push->round));
	}
}

/* Each for itself. */
static void step_again(struct push *push)
{
	struct push_peer *peer;

	LIST_FOREACH(peer, &push->peers, entry)
	{
		if (peer->at != PUSH_ACCEPTED)
			continue;
		peer->at = PUSH_COMMITTING;
		push->until_ms = push->ops.now_ms(push->ops.arg) + PUSH_ANSWER_MS;
		say(push, peer, CONFIG_COMMIT, json_pack("{s:I}", "round", push->round));
	}
	if (!any_at(push, PUSH_ASKED) && !any_at(push, PUSH_COMMITTING))
		over(push, true, NULL);
}

static void step_look(struct push *push)
{
	if (any_at(push, PUSH_ASKED))
		return;
	if (any_at(push, PUSH_REFUSED))
		come_to_nothing(push, PUSH_REFUSED, "would not take it", "");
	else
		over(push, true, NULL);
}

static void step_apply(struct push *push)
{
	if (any_at(push, PUSH_REFUSED)) {
		if (!any_at(push, PUSH_ASKED)) /* all findings are wanted */
			come_to_nothing(push, PUSH_REFUSED, "does not take it", "; nothing was changed on any node");
		return;
	}
	if (any_at(push, PUSH_ASKED))
		return;
	if (!push->committed)
		commit_all(push);
	if (!push->order.kind || any_at(push, PUSH_COMMITTING))
		return;
	if (any_at(push, PUSH_FAILED))
		come_to_nothing(push, PUSH_FAILED, "could not take it", "; all nodes are back to what was before");
	else
		all_have_it(push);
}

static void step(struct push *push)
{
	static void (*const steps[])(struct push * push) = {
		[PUSH_APPLY] = step_apply,
		[PUSH_LOOK] = step_look,
		[PUSH_AGAIN] = step_again,
	};

	/* What is called may close peers, or begin another round. */
	push->once_more = true;
	while (push->once_more && !push->stepping) {
		push->once_more = false;
		push->stepping = true;
		if (push->order.kind)
			steps[push->order.kind](push);
		push->stepping = false;
	}
}

void push_begin(struct push *push, const struct push_order *order)
{
	struct push_peer *peer;

	json_decref(push->order.part);
	push->order = *order;
	push->round++;
	push->committed = false;
	push->version = order->kind == PUSH_AGAIN ? push->own.version : push_next_version(push);
	push->until_ms = push->ops.now_ms(push->ops.arg) + PUSH_ANSWER_MS;
	LIST_FOREACH(peer, &push->peers, entry)
	{
		forget_answers(peer);
		if (may_push(push) && push_takes(peer) && (order->kind != PUSH_AGAIN || lacks_it(push, peer)))
			ask(push, peer);
	}
	step(push);
}

void push_end_trial(struct push *push, bool keep)
{
	struct push_peer *peer;

	LIST_FOREACH(peer, &push->peers, entry)
	{
		if (!push->trial || !peer->on_trial || !peer->connected)
			continue;
		send_end(push, peer, push->trial, keep);
		peer->on_trial = false;
		if (!keep)
			continue;
		peer->version = push->own.version;
		copy_hash(peer->given, push->own.hash);
	}
	push->trial = 0;
}

/* ---- those that are behind ---- */

static bool is_behind(const struct push *push, const struct push_peer *peer)
{
	return push_takes(peer) && !peer->on_trial && !has_version(push, peer) &&
	       (peer->refused != push->own.version || push->ops.now_ms(push->ops.arg) >= peer->retry_ms);
}

/* Without a command: a peer has come back, or was made a secondary. */
static void consider(struct push *push)
{
	struct push_order order = { .kind = PUSH_AGAIN };
	struct push_peer *peer;

	if (!may_push(push) || !push->own.version || push->own.on_trial || push->order.kind)
		return;
	LIST_FOREACH(peer, &push->peers, entry)
	{
		if (is_behind(push, peer))
			break;
	}
	order.part = peer ? push->ops.part(push->ops.arg) : NULL;
	if (!order.part)
		return;
	copy_hash(order.hash, push->own.hash);
	push_begin(push, &order);
}

/* ---- messages ---- */

/* A trial of before the connection ended. */
static void settle_trial(struct push *push, struct push_peer *peer, const json_t *trial)
{
	json_int_t round = json_integer_value(json_object_get(trial, "round"));
	const char *hash = json_string_value(json_object_get(trial, "hash"));

	if (push->own.role != CONFIG_ROLE_PRIMARY || !round || !hash)
		return; /* somebody's own */
	if (push->order.kind || (push->trial && round == push->trial))
		return; /* it goes on */
	send_end(push, peer, round, !strcmp(hash, push->own.hash));
}

static void hear_tell(struct push *push, struct push_peer *peer, const json_t *message)
{
	const char *role = json_string_value(json_object_get(message, "role"));
	const char *hash = json_string_value(json_object_get(message, "hash"));
	long long version = json_integer_value(json_object_get(message, "version"));
	const json_t *trial = json_object_get(message, "trial");
	enum config_role r = CONFIG_ROLE_SECONDARY;

	while (r > CONFIG_ROLE_NONE && (!role || strcmp(role, role_words[r]) != 0))
		r--;
	if (r != peer->role || version != peer->version || !hash || strcmp(hash, peer->hash) != 0 ||
	    peer->on_trial != !!trial)
		peer->refused = 0; /* what spoke against it may have gone */
	peer->role = r;
	peer->version = version > 0 ? version : 0;
	copy_hash(peer->hash, hash);
	copy_hash(peer->given, json_string_value(json_object_get(message, "pushed")));
	peer->on_trial = trial;
	if (trial)
		settle_trial(push, peer, trial);
	consider(push);
}

static bool is_of_round(const struct push *push, const json_t *message)
{
	return push->order.kind && json_integer_value(json_object_get(message, "round")) == push->round;
}

static bool is_ok(const json_t *message)
{
	return json_is_true(json_object_get(message, "ok"));
}

static const char *error_of(const json_t *message)
{
	return json_string_value(json_object_get(message, "error"));
}

/* Of what nobody waits for. */
static void tell_pushed(struct push *push, struct push_peer *peer, bool edited, const char *error)
{
	if (push->order.kind == PUSH_AGAIN || edited)
		push->ops.pushed(push->ops.arg, peer, edited, error);
}

static void no(struct push *push, struct push_peer *peer, enum push_at at, const char *error)
{
	if (refuses(push, peer, at, error))
		tell_pushed(push, peer, false, peer->error);
}

/* Whoever gave no command is not shown the findings. */
static void refused(struct push *push, struct push_peer *peer, const char *error)
{
	char *finding =
		push->order.kind == PUSH_AGAIN && push->ops.finding ? push->ops.finding(push->ops.arg, peer) : NULL;
	char *both;

	if (!finding || asprintf(&both, "%s: %s", error ? error : "it refuses", finding) < 0)
		both = NULL;
	no(push, peer, PUSH_REFUSED, both ? both : error);
	free(both);
	free(finding);
}

static void hear_verdict(struct push *push, struct push_peer *peer, const json_t *message)
{
	if (!is_of_round(push, message) || peer->at != PUSH_ASKED)
		return;
	peer->findings = json_incref(json_object_get(message, "findings"));
	peer->changes = json_incref(json_object_get(message, "changes"));
	if (is_ok(message))
		peer->at = PUSH_ACCEPTED;
	else
		refused(push, peer, error_of(message));
	step(push);
}

static void hear_done(struct push *push, struct push_peer *peer, const json_t *message)
{
	if (!is_of_round(push, message) || peer->at != PUSH_COMMITTING)
		return;
	if (is_ok(message)) {
		take_version(push, peer);
		tell_pushed(push, peer, json_is_true(json_object_get(message, "edited")), NULL);
	} else {
		no(push, peer, PUSH_FAILED, error_of(message));
	}
	if (push->order.kind == PUSH_AGAIN)
		send_end(push, peer, push->round, is_ok(message));
	step(push);
}

bool push_message(struct push *push, struct push_peer *peer, unsigned int type, const json_t *message)
{
	if (!json_is_object(message))
		return false;
	if (type == CONFIG_TELL)
		hear_tell(push, peer, message);
	else if (type == CONFIG_VERDICT)
		hear_verdict(push, peer, message);
	else if (type == CONFIG_DONE)
		hear_done(push, peer, message);
	return true;
}

/* ---- peers ---- */

static void tell(struct push *push, struct push_peer *peer)
{
	const struct push_own *own = &push->own;
	json_t *message = json_pack("{s:s,s:I,s:s,s:s}", "role", role_words[own->role], "version",
				    (json_int_t)own->version, "pushed", own->hash, "hash", own->now);

	if (own->on_trial)
		json_object_set_new(message, "trial",
				    own->trial_round
					    ? json_pack("{s:I,s:s}", "round", own->trial_round, "hash", own->now)
					    : json_object());
	say(push, peer, CONFIG_TELL, message);
}

void push_own(struct push *push, const struct push_own *own)
{
	struct push_peer *peer;

	push->own = *own;
	LIST_FOREACH(peer, &push->peers, entry)
	tell(push, peer);
	consider(push);
}

void push_peer_add(struct push *push, struct push_peer *peer, const char *name)
{
	peer->version = -1;
	set_text(&peer->name, name);
	LIST_INSERT_HEAD(&push->peers, peer, entry);
}

void push_peer_remove(struct push *push, struct push_peer *peer)
{
	push_closed(push, peer);
	LIST_REMOVE(peer, entry);
	forget_answers(peer);
	free(peer->name);
	free(peer->error);
	peer->name = peer->error = NULL;
}

void push_opened(struct push *push, struct push_peer *peer, const char *name)
{
	set_text(&peer->name, name);
	peer->connected = true;
	peer->refused = 0;
	tell(push, peer);
}

/* What it has, or will have, is seen when it returns. */
void push_closed(struct push *push, struct push_peer *peer)
{
	peer->connected = false;
	if (peer->at != PUSH_ASKED && peer->at != PUSH_ACCEPTED && peer->at != PUSH_COMMITTING)
		return;
	peer->at = PUSH_GONE;
	step(push);
}

void push_tick(struct push *push)
{
	struct push_peer *peer;

	if (push->order.kind && push->ops.now_ms(push->ops.arg) >= push->until_ms) {
		LIST_FOREACH(peer, &push->peers, entry)
		{
			if (peer->at != PUSH_ASKED && peer->at != PUSH_COMMITTING)
				continue;
			no(push, peer, peer->at == PUSH_ASKED ? PUSH_REFUSED : PUSH_FAILED,
			   "it has not answered within 10 s");
		}
		step(push);
	}
	consider(push);
}

void push_init(struct push *push, const struct push_ops *ops, json_int_t round)
{
	*push = (struct push){ .ops = *ops, .round = round };
	LIST_INIT(&push->peers);
}

void push_fini(struct push *push)
{
	json_decref(push->order.part);
	push->order = (struct push_order){ .kind = PUSH_NONE };
}
