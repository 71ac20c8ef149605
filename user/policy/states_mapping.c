// SPDX-License-Identifier: GPL-2.0-only
/* Endpoint-independent mappings (bpf/lib/nat.h) of connections that a peer tells of. */
#include <bpf/bpf.h>
#include <string.h>

#include "user/policy/states_peer.h"

/* One of the two entries. */
struct entry {
	struct fl_eim_key key;
	struct fl_eim value;
};

/* Ticks; the clock of the CPU that wrote it may have been ahead of ours. */
static uint32_t age(const struct states *t, uint32_t used, uint32_t now)
{
	return now + t->hz - used;
}

/* Where two endpoints claim the same it is his who has used it last. False: it is another's. */
static bool enter(struct states *t, const struct entry *entry, uint32_t now)
{
	struct fl_eim is;
	bool same;

	if (!bpf_map_lookup_elem(t->mappings, &entry->key, &is)) {
		same = is.port == entry->value.port && !memcmp(&is.addr, &entry->value.addr, sizeof(is.addr));
		if (age(t, is.used, now) <= age(t, entry->value.used, now))
			return same;
	}
	return !bpf_map_update_elem(t->mappings, &entry->key, &entry->value, BPF_ANY);
}

void states_map(struct states *t, const struct states_news *news, uint32_t now)
{
	const struct fl_state *st = &news->state;
	unsigned int who = states_starter(st);
	struct entry outside = { .key = { .addr = news->addr[who], .port = news->port[who], .proto = st->proto },
				 .value = { st->addr[who], st->port[who], st->nat, st->seen } };
	struct entry inside = {
		.key = { .addr = st->addr[who], .port = st->port[who], .nat = st->nat, .proto = st->proto },
		.value = { news->addr[who], news->port[who], st->nat, st->seen }
	};

	if (t->mappings >= 0 && news->mapped && st->flags & FL_STATE_TRANSLATED && enter(t, &outside, now))
		enter(t, &inside, now);
}
