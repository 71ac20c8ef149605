// SPDX-License-Identifier: GPL-2.0-only
/*
 * Ids of rules and translations. An id is its name's for as long as there are others to give away; then those that no configuration has
 * had for longest, and that no state refers to, get new names.
 */
#include "user/policy/ids.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/policy/compile.h"

struct id {
	struct fl_rule_name name;
	uint32_t round; /* the last one that had it; 0: none, but it was found in the map */
	bool changed, fresh;
};

struct policy_ids {
	struct id *ids;	  /* FL_RULE_IDS_MAX; 0 is nobody's */
	uint32_t next;	  /* from here on nobody has had one */
	uint32_t round;	  /* of policy_compile() */
	struct hash hash; /* by kind and name; may have what is not so any more */
	const uint32_t *states;
	uint16_t *free; /* this round's that may get other names, the oldest last */
	size_t n_free;
	bool searched; /* for these */
};

struct policy_ids *policy_ids_new(void)
{
	struct policy_ids *ids = calloc(1, sizeof(*ids));

	if (!ids)
		return NULL;
	ids->ids = calloc(FL_RULE_IDS_MAX, sizeof(*ids->ids));
	ids->free = calloc(FL_RULE_IDS_MAX, sizeof(*ids->free));
	ids->next = 1;
	if (ids->ids && ids->free)
		return ids;
	policy_ids_free(ids);
	return NULL;
}

void policy_ids_free(struct policy_ids *ids)
{
	if (!ids)
		return;
	hash_free(&ids->hash);
	free(ids->ids);
	free(ids->free);
	free(ids);
}

/* ---- by name ---- */

struct id_wanted {
	const struct policy_ids *ids;
	enum fl_rule_kind kind;
	const char *name;
};

static bool same_name(const void *arg, uint32_t index)
{
	const struct id_wanted *wanted = arg;
	const struct fl_rule_name *name = &wanted->ids->ids[index].name;

	return name->kind == wanted->kind && !strncmp(name->name, wanted->name, FL_RULE_NAME_MAX);
}

static uint64_t name_hash(enum fl_rule_kind kind, const char *name)
{
	return hash_bytes(name, strnlen(name, FL_RULE_NAME_MAX)) + kind;
}

uint16_t policy_ids_find(const struct policy_ids *ids, enum fl_rule_kind kind, const char *name)
{
	const struct id_wanted wanted = { ids, kind, name };
	uint32_t index = hash_find(&ids->hash, name_hash(kind, name), same_name, &wanted);

	return index == HASH_NONE ? 0 : (uint16_t)index;
}

const struct fl_rule_name *policy_ids_name(const struct policy_ids *ids, uint16_t id)
{
	static const struct fl_rule_name by_default = { .kind = FL_RULE_KIND_DEFAULT,
							.used = 1,
							.name = "default_action" };

	if (id == FL_RULE_ID_DEFAULT_IN || id == FL_RULE_ID_DEFAULT_OUT)
		return &by_default;
	return id && id < FL_RULE_IDS_MAX && ids->ids[id].name.kind ? &ids->ids[id].name : NULL;
}

int policy_ids_adopt(struct policy_ids *ids, uint16_t id, const struct fl_rule_name *name)
{
	if (!id || id >= FL_RULE_ID_DEFAULT_IN || !name->kind)
		return 0;
	ids->ids[id] = (struct id){ .name = *name };
	if (ids->next <= id)
		ids->next = id + 1u;
	return hash_add(&ids->hash, name_hash(name->kind, name->name), id);
}

int policy_ids_changes(const struct policy_ids *ids, policy_id_fn *each, void *arg)
{
	uint32_t i;

	for (i = 1; i < ids->next; i++) {
		const struct id *id = &ids->ids[i];
		int err = id->changed ? each(arg, (uint16_t)i, &id->name, id->fresh) : 0;

		if (err)
			return err;
	}
	return 0;
}

void policy_ids_written(struct policy_ids *ids)
{
	uint32_t i;

	for (i = 1; i < ids->next; i++)
		ids->ids[i].changed = ids->ids[i].fresh = false;
}

/* ---- giving away ---- */

/* Names that are gone leave their entries behind: once in a while all are made anew. */
static void tidy(struct policy_ids *ids)
{
	struct hash hash = {};
	uint32_t i;

	if (ids->hash.n < 4 * FL_RULE_IDS_MAX)
		return;
	for (i = 1; i < ids->next; i++) {
		const struct fl_rule_name *name = &ids->ids[i].name;

		if (name->kind && hash_add(&hash, name_hash(name->kind, name->name), i)) {
			hash_free(&hash);
			return;
		}
	}
	hash_free(&ids->hash);
	ids->hash = hash;
}

void ids_begin(struct policy_ids *ids, const uint32_t *states)
{
	ids->states = states;
	ids->round++;
	ids->searched = false;
	ids->n_free = 0;
	tidy(ids);
}

static int by_age(const void *x, const void *y, void *arg)
{
	const struct policy_ids *ids = arg;
	uint32_t a = ids->ids[*(const uint16_t *)x].round, b = ids->ids[*(const uint16_t *)y].round;

	return a > b ? -1 : a < b;
}

/* Those that this configuration and the one before it, whose packets may still be on their way, have not. */
static void search(struct policy_ids *ids)
{
	uint32_t i;

	for (i = 1; i < ids->next; i++) {
		if (ids->ids[i].round + 1 < ids->round && !(ids->states && ids->states[i]))
			ids->free[ids->n_free++] = (uint16_t)i;
	}
	qsort_r(ids->free, ids->n_free, sizeof(*ids->free), by_age, ids);
	ids->searched = true;
}

static uint16_t take(struct policy_ids *ids)
{
	if (ids->next < FL_RULE_ID_DEFAULT_IN)
		return (uint16_t)ids->next++;
	if (!ids->searched)
		search(ids);
	while (ids->n_free) {
		uint16_t id = ids->free[--ids->n_free];

		if (ids->ids[id].round != ids->round)
			return id;
	}
	return 0;
}

static int id_of(struct policy_ids *ids, enum fl_rule_kind kind, const char *name, size_t index)
{
	uint16_t number = policy_ids_find(ids, kind, name);
	struct id *id;

	if (!number) {
		number = take(ids);
		if (!number)
			return -ENOSPC;
		if (hash_add(&ids->hash, name_hash(kind, name), number))
			return -ENOMEM;
		id = &ids->ids[number];
		*id = (struct id){ .name = { .kind = (uint8_t)kind }, .changed = true, .fresh = true };
		memcpy(id->name.name, name, strnlen(name, FL_RULE_NAME_MAX));
	}
	id = &ids->ids[number];
	id->round = ids->round;
	if (!id->name.used || id->name.index != index)
		id->changed = true;
	id->name.used = 1;
	id->name.index = (uint16_t)index;
	return number;
}

void ids_end(struct policy_ids *ids)
{
	uint32_t i;

	for (i = 1; i < ids->next; i++) {
		struct id *id = &ids->ids[i];

		if (id->name.used && id->round != ids->round) {
			id->name.used = 0;
			id->changed = true;
		}
	}
}

int ids_of_rule(struct policy_ids *ids, const struct config_rule *rule)
{
	return id_of(ids, FL_RULE_KIND_RULE, rule->name, rule->index);
}

/* ---- translations have no names: what they say is one ---- */

static uint64_t mix_text(uint64_t sum, const char *text)
{
	return hash_mix(sum + hash_bytes(text, strlen(text)));
}

static uint64_t mix_link(uint64_t sum, const struct config_link *link)
{
	return mix_text(sum, link->interface ? link->interface->name : link->tunnel ? link->tunnel->name : "");
}

static uint64_t mix_addr(uint64_t sum, const struct addr *addr)
{
	const uint8_t *bytes;
	unsigned int n = addr_bytes(addr, &bytes);

	return hash_mix(sum + (n ? hash_bytes(bytes, n) : 0));
}

static uint64_t mix_end(uint64_t sum, const struct config_endpoint *end)
{
	size_t i;

	for (i = 0; i < end->n_terms; i++) {
		const struct config_term *t = &end->terms[i];

		sum = hash_mix(sum + (uint64_t)t->kind * 2 + t->negated);
		sum = mix_link(mix_addr(mix_addr(sum, &t->range.first), &t->range.last), &t->link);
		sum = mix_text(sum, t->alias ? t->alias->name : "");
	}
	sum = hash_mix(sum + end->n_terms);
	for (i = 0; i < end->n_ports; i++)
		sum = hash_mix(sum + ((uint64_t)end->ports[i].first << 16 | end->ports[i].last));
	return hash_mix(sum + end->n_ports);
}

static uint64_t nat_hash(const struct config_nat *nat)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < nat->match.n_links; i++)
		sum = mix_link(sum, &nat->match.links[i]);
	for (i = 0; i < nat->match.n_protocols; i++)
		sum = hash_mix(sum + nat->match.protocols[i]);
	sum = hash_mix(sum + nat->match.n_protocols);
	sum = mix_end(mix_end(sum, &nat->match.source), &nat->match.destination);
	sum = mix_addr(sum, &nat->to);
	sum = hash_mix(sum + ((uint64_t)nat->to_ports.first << 16 | nat->to_ports.last));
	return hash_mix(sum + nat->exempt + nat->to_interface * 2u + nat->static_port * 4u +
			nat->endpoint_independent * 8u);
}

int ids_of_nat(struct policy_ids *ids, const struct config_nat *nat)
{
	static const char *const types[] = {
		[CONFIG_SNAT] = "snat",
		[CONFIG_DNAT] = "dnat",
		[CONFIG_ONE_TO_ONE] = "one-to-one",
	};
	uint64_t sum = nat_hash(nat);
	unsigned int same;
	char name[64];

	for (same = 0;; same++) { /* that says the same, and is this round's already, is another one */
		uint16_t id;

		snprintf(name, sizeof(name), "%s %016" PRIx64 " %u", types[nat->type], sum, same);
		id = policy_ids_find(ids, FL_RULE_KIND_NAT, name);
		if (!id || ids->ids[id].round != ids->round)
			return id_of(ids, FL_RULE_KIND_NAT, name, nat->index);
	}
}
