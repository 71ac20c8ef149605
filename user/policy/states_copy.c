// SPDX-License-Identifier: GPL-2.0-only
/* The state table: from one table into another of a different size. The other may be in use already: its rules are kept (bpf/lib/state.h). */
#include <errno.h>

#include "user/policy/states_private.h"

/* The one that is there already learns what has come since the first copy. Programs may be at it: nothing goes back that they have written. */
static void refresh(struct states *to, const struct fl_state *from, uint32_t slot, uint8_t kind)
{
	struct fl_state *st = &to->entries[slot];
	uint64_t tag = states_tag(to, slot);

	if (!states_is_state(tag) || st->made != from->made)
		return;
	states_merge(st, from);
	if (kind == FL_KIND_ESTABLISHED && FL_TAG_KIND(tag) == FL_KIND_EMBRYONIC &&
	    states_tag_swap(to, slot, tag, FL_TAG_AS(tag, kind)))
		states_count(to, 0, -1);
}

static bool state_copy(struct states *to, const struct states *from, const struct fl_state *st, uint8_t kind)
{
	struct states_image image = { .state = *st, .kind = kind };
	struct fl_tuple key = states_key_of(st);
	struct fl_state_place place = fl_state_hash(&key, to->control->key, to->control->buckets);
	uint32_t slot;
	uint64_t tag;

	if (states_find_key(to, &key, &place, &slot)) {
		refresh(to, st, slot, kind);
		return true;
	}
	if (st->flags & FL_STATE_TRANSLATED) {
		image.twin = from->entries[st->twin % states_slots(from)];
		if (FL_TAG_KIND(states_tag(from, st->twin % states_slots(from))) != FL_KIND_TWIN)
			return false;
	}
	return states_put(to, &image, &slot, &tag) != -ENOSPC;
}

static bool slot_copy(struct states *to, const struct states *from, uint32_t slot, uint64_t tag)
{
	struct fl_state st = from->entries[slot];

	return states_tag(from, slot) == tag && state_copy(to, from, &st, FL_TAG_KIND(tag));
}

uint32_t states_copy(const struct states *from, struct states *to)
{
	static const uint8_t kinds[] = { FL_KIND_ESTABLISHED, FL_KIND_EMBRYONIC };
	uint32_t n = 0;

	for (size_t i = 0; i < sizeof(kinds); i++)
		for (uint32_t slot = 0; slot < states_slots(from); slot++) {
			uint64_t tag = states_tag(from, slot);

			if (FL_TAG_KIND(tag) == kinds[i])
				n += slot_copy(to, from, slot, tag);
		}
	return n;
}

uint32_t states_copy_since(const struct states *from, struct states *to, uint32_t since)
{
	uint32_t n = 0;

	for (uint32_t slot = 0; slot < states_slots(from); slot++) {
		uint64_t tag = states_tag(from, slot);

		if (states_is_state(tag) && (int32_t)(from->entries[slot].seen - since) >= 0)
			n += slot_copy(to, from, slot, tag);
	}
	return n;
}
