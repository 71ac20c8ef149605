// SPDX-License-Identifier: GPL-2.0-only
/* What config sync knows, and its peers. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/daemon/ha_config_internal.h"
#include "user/lib/clock.h"
#include "user/lib/file.h"
#include "user/lib/instance.h"
#include "user/lib/log.h"
#include "user/sync/peer_json.h"

#define PUSHED_MODE 0600
#define ALL_SECTIONS ((1u << CONFIG_SECTIONS) - 1)

/* ---- what was pushed, on disk ---- */

static void pushed_clear(struct pushed *pushed)
{
	json_decref(pushed->part);
	free(pushed->node);
	*pushed = (struct pushed){ 0 };
}

static void load_pushed(struct ha_config *hc)
{
	json_t *json = json_load_file(hc->path, 0, NULL), *part = json_object_get(json, "part");
	const char *node = json_string_value(json_object_get(json, "node"));
	const char *local = json_string_value(json_object_get(json, "local"));

	if (json_is_object(part) && !config_part_fault(part)) {
		hc->pushed.version = json_integer_value(json_object_get(json, "version"));
		hc->pushed.part = json_incref(part);
		hc->pushed.node = strdup(node ? node : "");
		config_part_hash(part, hc->pushed.hash);
		snprintf(hc->local, sizeof(hc->local), "%s", local ? local : "");
	}
	json_decref(json);
}

static void save_pushed(const struct ha_config *hc)
{
	json_t *json = json_pack("{s:I,s:s?,s:s,s:O?}", "version", (json_int_t)hc->pushed.version, "node",
				 hc->pushed.node, "local", hc->local, "part", hc->pushed.part);
	char *text = json ? json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(15)) : NULL;
	int err = text ? file_replace(hc->path, text, strlen(text), PUSHED_MODE) : -ENOMEM;

	if (err)
		log_ret(err, "%s: after a restart the other nodes get the configuration once more", hc->path);
	free(text);
	json_decref(json);
}

void ha_config_set_pushed(struct ha_config *hc, long long version, json_t *part, const char *node)
{
	char *copy = strdup(node);

	pushed_clear(&hc->pushed);
	hc->pushed = (struct pushed){ .version = version, .part = part, .node = copy };
	config_part_hash(part, hc->pushed.hash);
	hc->local[0] = '\0';
	save_pushed(hc);
}

/* ---- what runs ---- */

static struct config_peer *peer_of(struct ha_config *hc, struct sync_peer *peer)
{
	struct config_peer *p = sync_peer_data(peer, &hc->channel_part);

	if (p)
		return p;
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->peer = peer;
	p->push.arg = p;
	push_peer_add(&hc->push, &p->push, sync_peer_name(peer));
	sync_peer_set_data(peer, &hc->channel_part, p);
	return p;
}

/* NULL where nothing is pushed or taken: it may be megabytes. */
static void read_document(struct ha_config *hc)
{
	const struct config *running = hc->daemon->apply.running;

	json_decref(hc->document);
	hc->document = running->ha.role == CONFIG_ROLE_NONE ? NULL : config_json(running);
}

/* Of the own node as it shall be told. */
static struct push_own own_of(struct ha_config *hc)
{
	const struct config_ha *ha = &hc->daemon->apply.running->ha;
	struct push_own own = {
		.role = ha->role,
		.version = hc->pushed.version,
		.on_trial = hc->daemon->apply.before,
		.trial_round = take_trial(&hc->take),
	};
	uint32_t pushed = hc->pushed.part ? config_part_sections(hc->pushed.part) : ALL_SECTIONS;
	json_t *part = config_part_of(hc->document, ha->role == CONFIG_ROLE_PRIMARY ? ha->sections : pushed);

	snprintf(own.hash, sizeof(own.hash), "%s", hc->pushed.hash);
	config_part_hash(part, own.now);
	json_decref(part);
	hc->edited = false;
	if (ha->role != CONFIG_ROLE_SECONDARY || !hc->pushed.part)
		return own;
	/* its own items may stand in the place of pushed ones: what counts is that a push would change nothing */
	hc->edited = strcmp(own.now, own.hash) && !config_part_is_in(hc->document, hc->pushed.part);
	if (!hc->edited)
		snprintf(own.now, sizeof(own.now), "%s", own.hash);
	return own;
}

static void tell_edited(struct ha_config *hc)
{
	bool edited = hc->edited && !hc->daemon->apply.before;

	if (edited && !hc->told_edited)
		journal_write(hc->daemon->journal, JOURNAL_WARNING, JOURNAL_SYNC, hc->daemon->apply.running->node,
			      "changed by hand", NULL,
			      "it is not version %lld, which %s has pushed, any more; the next push replaces it",
			      hc->pushed.version, hc->pushed.node);
	hc->told_edited = edited;
}

/* Those that never were there, too. */
static void know_peers(struct ha_config *hc)
{
	struct channel *channel = ha_channel(hc->daemon);
	struct sync_peer *peer;

	for (size_t i = 0; channel && (peer = channel_peer_at(channel, i)); i++)
		peer_of(hc, peer);
}

/* As it was read. */
static void tell_own(struct ha_config *hc)
{
	struct push_own own;

	know_peers(hc);
	own = own_of(hc);
	hc->take.role = own.role;
	hc->push.node = hc->daemon->apply.running->node;
	tell_edited(hc);
	push_own(&hc->push, &own);
}

void ha_config_refresh(struct ha_config *hc)
{
	read_document(hc);
	tell_own(hc);
}

/* A primary's own change, which no round has brought: a version, unless it is to stay here. */
static void new_version(struct ha_config *hc, enum ha_config_change how, struct apply_result *result)
{
	const struct config *config = hc->daemon->apply.running;
	json_t *part = config_part_of(hc->document, config->ha.sections);
	char hash[CONFIG_PART_HASH];

	config_part_hash(part, hash);
	if (!part || !strcmp(hash, hc->pushed.hash) || (how == HA_CONFIG_STARTED && !strcmp(hash, hc->local))) {
		json_decref(part);
	} else if (how == HA_CONFIG_LOCAL) {
		json_decref(part);
		snprintf(hc->local, sizeof(hc->local), "%s", hash);
		save_pushed(hc);
		ha_config_note(result, "the other nodes don't get it, before the next apply or `fairlead sync config`");
	} else {
		ha_config_set_pushed(hc, hc->push.trial ? hc->push.trial_version : push_next_version(&hc->push), part,
				     config->node);
	}
}

static void note_of_peers(struct ha_config *hc, struct apply_result *result)
{
	const struct config_ha *ha = &hc->daemon->apply.running->ha;
	const struct push_peer *primary = push_primary(&hc->push, NULL);

	if (ha->role == CONFIG_ROLE_SECONDARY && hc->edited)
		ha_config_note(
			result,
			"warning: this node is the secondary, and what %s has pushed is changed: its next push replaces "
			"that (`fairlead sync diff`); what is to stay must have \"sync\": false",
			hc->pushed.node);
	else if (ha->role == CONFIG_ROLE_PRIMARY && primary)
		ha_config_note(result, "warning: nothing is pushed, %s is a primary too", primary->name);
	else if (ha->role == CONFIG_ROLE_PRIMARY && !hc->local[0])
		ha_config_note_pending(hc, result);
}

void ha_config_changed(struct daemon *d, enum ha_config_change how, struct apply_result *result)
{
	struct ha_config *hc = d->ha_config;

	if (result && result->status)
		return;
	if (how == HA_CONFIG_APPLIED && hc->trial_local && !d->apply.before)
		how = HA_CONFIG_LOCAL; /* confirmed */
	hc->trial_local = how == HA_CONFIG_LOCAL && d->apply.before;
	if (!d->apply.before)
		take_trial_over(&hc->take);
	read_document(hc);
	if (d->apply.running->ha.role == CONFIG_ROLE_PRIMARY && !d->apply.before && how != HA_CONFIG_UNDONE)
		new_version(hc, how, result);
	tell_own(hc);
	if (!d->apply.before)
		push_end_trial(&hc->push, how == HA_CONFIG_APPLIED);
	note_of_peers(hc, result);
}

static void on_undone(void *arg)
{
	ha_config_changed(arg, HA_CONFIG_UNDONE, NULL);
}

/* ---- going back ---- */

void ha_config_drop_before(struct ha_config *hc)
{
	free(hc->before);
	hc->before = NULL;
	pushed_clear(&hc->pushed_before);
}

void ha_config_keep_before(struct ha_config *hc)
{
	const struct config *running = hc->daemon->apply.running;
	const struct pushed *pushed = &hc->pushed;

	ha_config_drop_before(hc);
	hc->before = malloc(running->text_len + 1);
	if (!hc->before)
		return;
	memcpy(hc->before, running->text, running->text_len + 1);
	hc->before_len = running->text_len;
	hc->pushed_before = *pushed;
	hc->pushed_before.part = json_incref(pushed->part);
	hc->pushed_before.node = pushed->node ? strdup(pushed->node) : NULL;
}

static void text_back(struct ha_config *hc, const char *why, struct apply_result *result)
{
	struct apply_request request = { .text = hc->before, .len = hc->before_len };
	char *note;

	*result = (struct apply_result){ .status = 1 };
	if (!hc->before)
		return;
	if (asprintf(&note, "back, since %s", why) < 0)
		note = NULL;
	request.note = note;
	apply_text(&hc->daemon->apply, &request, result);
	free(note);
	if (result->status)
		return;
	pushed_clear(&hc->pushed);
	hc->pushed = hc->pushed_before;
	hc->pushed_before = (struct pushed){ 0 };
	save_pushed(hc);
}

void ha_config_go_back(struct ha_config *hc, const char *why)
{
	struct apply_result result;

	if (hc->daemon->apply.before)
		apply_rollback(&hc->daemon->apply, 0, &result);
	else
		text_back(hc, why, &result);
	daemon_tell_result(hc->daemon, "pair", &result);
	if (result.status)
		log_warnx("what ran before could not be put back: %s", result.error ? result.error : "out of memory");
	apply_result_free(&result);
	ha_config_drop_before(hc);
	ha_config_refresh(hc);
}

/* ---- peers ---- */

static void on_opened(void *arg, struct sync_peer *peer)
{
	struct ha_config *hc = arg;
	struct config_peer *p = peer_of(hc, peer);

	if (p)
		push_opened(&hc->push, &p->push, sync_peer_name(peer));
}

static void letter_free(struct config_letter *letter)
{
	json_decref(letter->message);
	free(letter);
}

/* from NULL: all of them */
static void drop_letters(struct ha_config *hc, const struct config_peer *from)
{
	struct config_letter *letter, *next;

	for (letter = STAILQ_FIRST(&hc->letters); letter; letter = next) {
		next = STAILQ_NEXT(letter, entry);
		if (from && letter->from != from)
			continue;
		STAILQ_REMOVE(&hc->letters, letter, config_letter, entry);
		letter_free(letter);
	}
}

static void on_closed(void *arg, struct sync_peer *peer)
{
	struct ha_config *hc = arg;
	struct config_peer *p = sync_peer_data(peer, &hc->channel_part);

	if (!p)
		return;
	drop_letters(hc, p);
	push_closed(&hc->push, &p->push);
	take_closed(&hc->take, p);
	if (hc->take.stage == TAKE_NOTHING && hc->waiting.what == WAITS_FOR_NOTHING)
		ha_config_drop_before(hc);
}

static void on_forgotten(void *arg, struct sync_peer *peer)
{
	struct ha_config *hc = arg;
	struct config_peer *p = sync_peer_data(peer, &hc->channel_part);

	if (!p)
		return;
	drop_letters(hc, p);
	push_peer_remove(&hc->push, &p->push);
	take_closed(&hc->take, p);
	if (hc->take.offer.peer == p) /* a trial goes on without it */
		hc->take.offer.peer = NULL;
	sync_peer_set_data(peer, &hc->channel_part, NULL);
	free(p);
}

static int on_message(void *arg, struct sync_peer *peer, uint16_t type, const uint8_t *data, size_t len)
{
	struct ha_config *hc = arg;
	struct config_peer *p = sync_peer_data(peer, &hc->channel_part);
	json_t *message = json_loadb((const char *)data, len, JSON_REJECT_DUPLICATES, NULL);
	struct config_letter *letter = p ? calloc(1, sizeof(*letter)) : NULL;

	if (!json_is_object(message) || !letter) {
		json_decref(message);
		free(letter);
		return p ? -EPROTO : 0;
	}
	peer_json_clean(message, "part"); /* which is checked as any configuration, and is what was sent, or refused */
	*letter = (struct config_letter){ .from = p, .type = type, .message = message };
	STAILQ_INSERT_TAIL(&hc->letters, letter, entry);
	event_active(hc->on_letters, EV_TIMEOUT, 0);
	return 0;
}

static void tell_peers(struct ha_config *hc)
{
	struct push_peer *push;

	LIST_FOREACH(push, &hc->push.peers, entry)
	{
		bool edited = push_is_edited(&hc->push, push);
		bool primary = hc->push.own.role == CONFIG_ROLE_PRIMARY && push->connected &&
			       push->role == CONFIG_ROLE_PRIMARY;
		struct config_peer *p = push->arg;

		if (edited && !p->told_edited)
			journal_write(hc->daemon->journal, JOURNAL_WARNING, JOURNAL_SYNC, push->name, "changed by hand",
				      NULL, "it is not version %lld any more; the next push replaces it",
				      hc->pushed.version);
		if (primary && !p->told_primary)
			journal_write(hc->daemon->journal, JOURNAL_WARNING, JOURNAL_SYNC, push->name, "two primaries",
				      NULL, "it is a primary, as this node is: nothing is pushed");
		p->told_edited = edited;
		p->told_primary = primary;
	}
}

static void on_letters(evutil_socket_t fd, short what, void *arg)
{
	struct ha_config *hc = arg;
	struct config_letter *letter = STAILQ_FIRST(&hc->letters);

	(void)fd, (void)what;
	if (!letter)
		return;
	STAILQ_REMOVE_HEAD(&hc->letters, entry);
	push_message(&hc->push, &letter->from->push, letter->type, letter->message);
	hc->take.torn = push_primary(&hc->push, NULL) && push_primary(&hc->push, push_primary(&hc->push, NULL));
	take_message(&hc->take, letter->from, letter->type, letter->message);
	letter_free(letter);
	tell_peers(hc);
	if (!STAILQ_EMPTY(&hc->letters))
		event_active(hc->on_letters, EV_TIMEOUT, 0);
}

/* ---- what is shown ---- */

#define HASH_SHOWN 16 /* digits: enough to tell one from another */

static json_t *hash_shown(const char *hash)
{
	return json_stringn(hash, strnlen(hash, HASH_SHOWN));
}

static void on_show(void *arg, struct sync_peer *peer, json_t *row)
{
	struct ha_config *hc = arg;
	const struct config_peer *p = sync_peer_data(peer, &hc->channel_part);
	const struct push *push = &hc->push;
	bool known = p && p->push.version >= 0;

	if (push->own.role == CONFIG_ROLE_NONE)
		return;
	json_object_set_new(row, "config_match", known ? json_boolean(push_matches(push, &p->push)) : json_null());
	json_object_set_new(row, "config_version", known ? json_integer(p->push.version) : json_null());
	json_object_set_new(row, "pending",
			    json_boolean(p ? push_is_pending(push, &p->push) : push->own.role == CONFIG_ROLE_PRIMARY));
	json_object_set_new(row, "config_hash", known ? hash_shown(p->push.hash) : json_null());
	json_object_set_new(row, "own_version", json_integer(push->own.version));
	json_object_set_new(row, "own_hash", hash_shown(push->own.now));
	json_object_set_new(row, "config_error", p && p->push.refused ? json_string(p->push.error) : json_null());
}

static void reason_of(const struct ha_config *hc, const struct push_peer *peer, json_t *reasons)
{
	const struct push *push = &hc->push;

	if (peer->connected && peer->role == CONFIG_ROLE_PRIMARY && push->own.role == CONFIG_ROLE_PRIMARY)
		json_array_append_new(
			reasons, json_sprintf("config sync: %s is a primary, as this node is: nothing is pushed; make "
					      "one of them the secondary (ha.sync_config.role)",
					      peer->name));
	if (push_is_edited(push, peer))
		json_array_append_new(
			reasons, json_sprintf("config sync: the configuration of %s was changed by hand: `fairlead "
					      "sync diff` shows how, `fairlead sync config` takes it back",
					      peer->name));
	if (peer->connected && push_is_pending(push, peer) && peer->refused)
		json_array_append_new(reasons, json_sprintf("config sync: %s does not take version %lld: %s",
							    peer->name, push->own.version, peer->error));
}

/* All are there, and none is the primary. One that is away may be. */
static bool has_no_primary(const struct daemon *d, const struct push *push)
{
	const struct push_peer *peer;
	size_t n = 0;

	if (push->own.role != CONFIG_ROLE_SECONDARY)
		return false;
	LIST_FOREACH(peer, &push->peers, entry)
	{
		if (!peer->connected || peer->role == CONFIG_ROLE_PRIMARY)
			return false;
		n++;
	}
	return n && n >= d->apply.running->ha.n_peers;
}

void ha_config_reasons(struct daemon *d, json_t *reasons)
{
	struct ha_config *hc = d->ha_config;
	const struct push_peer *peer;

	LIST_FOREACH(peer, &hc->push.peers, entry)
	{
		reason_of(hc, peer, reasons);
	}
	if (has_no_primary(d, &hc->push))
		json_array_append_new(reasons,
				      json_string("config sync: no node is the primary: nothing is pushed; make one of "
						  "them the primary (ha.sync_config.role)"));
	if (hc->edited && !d->apply.before)
		json_array_append_new(
			reasons, json_sprintf("config sync: the configuration was changed by hand since %s pushed "
					      "version %lld: `fairlead sync diff` shows how; the next push replaces it",
					      hc->pushed.node, hc->pushed.version));
	if (hc->push.own.role == CONFIG_ROLE_PRIMARY && hc->local[0] && !strcmp(hc->local, hc->push.own.now))
		json_array_append_new(
			reasons, json_string("config sync: the configuration was changed with --local: the other nodes "
					     "don't have that; `fairlead sync config` pushes it"));
}

/* ---- beginning and end ---- */

void ha_config_tick(struct daemon *d)
{
	push_tick(&d->ha_config->push);
	tell_peers(d->ha_config);
}

static int make(struct daemon *d, struct ha_config *hc)
{
	char *dir = instance_state_dir(d->options.instance);

	if (!dir || asprintf(&hc->path, "%s/pushed.json", dir) < 0)
		hc->path = NULL;
	free(dir);
	hc->on_letters = event_new(d->base, -1, EV_TIMEOUT, on_letters, hc);
	return hc->path && hc->on_letters ? 0 : -ENOMEM;
}

int ha_config_open(struct daemon *d)
{
	struct ha_config *hc = calloc(1, sizeof(*hc));

	d->ha_config = hc;
	if (!hc)
		return log_ret(ENOMEM, "config sync");
	hc->daemon = d;
	STAILQ_INIT(&hc->letters);
	ha_config_push_init(hc, clock_ms(CLOCK_REALTIME) * 1000);
	ha_config_take_init(hc);
	if (make(d, hc))
		return log_ret(ENOMEM, "config sync");
	load_pushed(hc);
	d->apply.undone = on_undone;
	d->apply.undone_arg = d;
	hc->channel_part = (struct sync_part){
		.name = "config",
		.first = SYNC_CONFIG_FIRST,
		.last = SYNC_CONFIG_LAST,
		.opened = on_opened,
		.closed = on_closed,
		.message = on_message,
		.forgotten = on_forgotten,
		.show = on_show,
		.arg = hc,
	};
	ha_part(d, &hc->channel_part);
	return 0;
}

void ha_config_end(struct daemon *d)
{
	struct ha_config *hc = d->ha_config;

	if (!hc)
		return;
	d->apply.undone = NULL;
	ha_config_push_end(hc);
}

void ha_config_close(struct daemon *d)
{
	struct ha_config *hc = d->ha_config;

	if (!hc)
		return;
	drop_letters(hc, NULL);
	take_fini(&hc->take);
	ha_config_drop_before(hc);
	pushed_clear(&hc->pushed);
	json_decref(hc->document);
	if (hc->on_letters)
		event_free(hc->on_letters);
	free(hc->path);
	free(hc);
	d->ha_config = NULL;
}
