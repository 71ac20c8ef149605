// SPDX-License-Identifier: GPL-2.0-only
#include "user/sync/config_take.h"

#include <stdlib.h>
#include <string.h>

#include "user/sync/config_message.h"
#include "user/sync/config_part.h"

static void forget(struct take *take)
{
	json_decref(take->offer.part);
	free(take->offer.node);
	take->offer = (struct take_offer){ .round = 0 };
	take->stage = TAKE_NOTHING;
}

static json_int_t round_of(const json_t *message)
{
	return json_integer_value(json_object_get(message, "round"));
}

static void answer(struct take *take, const void *peer, unsigned int type, json_t *message, const char *error)
{
	json_object_set_new(message, "ok", json_boolean(!error));
	if (error)
		json_object_set_new(message, "error", json_string(error));
	take->ops.answer(take->ops.arg, peer, type, message);
	json_decref(message);
}

/* ---- PREPARE ---- */

static const char *fault_of(const struct take *take, const void *peer, const json_t *message)
{
	const json_t *part = json_object_get(message, "part");
	const char *hash = json_string_value(json_object_get(message, "hash"));
	char is[CONFIG_PART_HASH];

	if (take->role == CONFIG_ROLE_PRIMARY)
		return "it is a primary too; one of the nodes must be made the secondary (ha.sync_config.role)";
	if (take->role == CONFIG_ROLE_NONE)
		return "it takes no configuration (ha.sync_config.role is not \"secondary\")";
	if (take->torn)
		return "it hears of two primaries; one of them must be made a secondary (ha.sync_config.role)";
	if (take->stage == TAKE_PREPARED && take->offer.peer != peer)
		return "another node is about to configure it; try again";
	if (config_part_fault(part))
		return config_part_fault(part);
	config_part_hash(part, is);
	return hash && !strcmp(hash, is) ? NULL : "what has arrived is not what was sent";
}

static struct take_offer offer_of(const void *peer, const json_t *message)
{
	const char *node = json_string_value(json_object_get(message, "node"));

	return (struct take_offer){
		.round = round_of(message),
		.peer = peer,
		.node = strdup(node ? node : "the primary"),
		.version = json_integer_value(json_object_get(message, "version")),
		.part = json_incref(json_object_get(message, "part")),
		.confirm_s = (unsigned int)json_integer_value(json_object_get(message, "confirm_s")),
		.strict = json_is_true(json_object_get(message, "strict")),
		.dry = json_is_true(json_object_get(message, "dry")),
	};
}

static void hear_prepare(struct take *take, const void *peer, const json_t *message)
{
	json_t *verdict = json_pack("{s:I}", "round", round_of(message));
	const char *fault = fault_of(take, peer, message);
	struct take_offer offer;
	char *why = NULL;

	if (!fault) {
		offer = offer_of(peer, message);
		fault = why = take->ops.check(take->ops.arg, &offer, verdict);
		if (!fault && !offer.dry) {
			forget(take);
			take->offer = offer;
			take->stage = TAKE_PREPARED;
		} else {
			json_decref(offer.part);
			free(offer.node);
		}
	}
	answer(take, peer, CONFIG_VERDICT, verdict, fault);
	free(why);
}

/* ---- COMMIT, END ---- */

static bool is_of_offer(const struct take *take, const void *peer, const json_t *message)
{
	return take->stage && take->offer.round == round_of(message) && take->offer.peer == peer;
}

static void hear_commit(struct take *take, const void *peer, const json_t *message)
{
	json_t *done = json_pack("{s:I}", "round", round_of(message));
	bool edited = false;
	char *why = NULL;

	if (take->stage != TAKE_PREPARED || !is_of_offer(take, peer, message)) {
		answer(take, peer, CONFIG_DONE, done, "it knows of no such version any more");
		return;
	}
	take->stage = TAKE_APPLIED;
	why = take->ops.apply(take->ops.arg, &take->offer, &edited);
	json_object_set_new(done, "edited", json_boolean(edited));
	if (why)
		forget(take);
	answer(take, peer, CONFIG_DONE, done, why);
	free(why);
}

static void hear_end(struct take *take, const void *peer, const json_t *message)
{
	bool keep = json_is_true(json_object_get(message, "keep"));

	if (!is_of_offer(take, peer, message))
		return;
	if (take->stage == TAKE_APPLIED && keep)
		take->ops.keep(take->ops.arg, &take->offer);
	else if (take->stage == TAKE_APPLIED)
		take->ops.go_back(take->ops.arg, &take->offer,
				  take->offer.confirm_s ? "it was not confirmed" : "not all nodes could take it");
	forget(take);
}

bool take_message(struct take *take, const void *peer, unsigned int type, const json_t *message)
{
	if (!json_is_object(message))
		return false;
	if (type == CONFIG_PREPARE)
		hear_prepare(take, peer, message);
	else if (type == CONFIG_COMMIT)
		hear_commit(take, peer, message);
	else if (type == CONFIG_END)
		hear_end(take, peer, message);
	return true;
}

/* ---- what else happens ---- */

/* A trial is the primary's to end; if it does not return, its time ends it. */
void take_closed(struct take *take, const void *peer)
{
	if (take->offer.peer == peer && !take_trial(take))
		forget(take);
}

void take_trial_over(struct take *take)
{
	if (take_trial(take))
		forget(take);
}

json_int_t take_trial(const struct take *take)
{
	return take->stage == TAKE_APPLIED && take->offer.confirm_s ? take->offer.round : 0;
}

void take_init(struct take *take, const struct take_ops *ops)
{
	*take = (struct take){ .ops = *ops };
}

void take_fini(struct take *take)
{
	forget(take);
}
