// SPDX-License-Identifier: GPL-2.0-only
/*
 * Connections whose address outside was the machine's and is not any more, since its interface has another one: nothing that is sent to it
 * comes back. They are ended, so that they begin anew with the new address.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/datapath/private.h"
#include "user/lib/log.h"

#define SLICE 32768 /* slots at a time: a few milliseconds */
#define GONE_MAX 16 /* at once; what is beyond that times out */

struct orphans {
	struct prefix gone[GONE_MAX];
	size_t n;
	bool walking, again; /* more have come since the walk began */
	uint32_t at;
	struct resets *resets;
	uint64_t ended;
};

static bool is_here(const struct datapath *dp, const struct prefix *prefix)
{
	const struct system_addr *a;

	for (size_t i = 0; (a = system_addr_at(dp->system, i)); i++)
		if (a->prefix.addr.family == prefix->addr.family && prefix_contains(prefix, &a->prefix.addr))
			return true;
	return false;
}

static void orphans_add(struct datapath *dp, const struct prefix *gone)
{
	if (!dp->orphans)
		dp->orphans = calloc(1, sizeof(*dp->orphans));
	if (!dp->orphans || dp->orphans->n == GONE_MAX)
		return;
	dp->orphans->gone[dp->orphans->n++] = *gone;
	dp->orphans->again = true;
}

void orphans_follow(struct datapath *dp, struct prefix *was, const struct prefix *is)
{
	if (is->addr.family == AF_UNSPEC) /* the old one may be back */
		return;
	if (was->addr.family != AF_UNSPEC && !addr_equal(&was->addr, &is->addr) && !is_here(dp, was))
		orphans_add(dp, was);
	*was = *is;
}

static bool is_gone(const struct datapath *dp, const union fl_addr *addr)
{
	struct addr a = addr_from_map(addr);

	for (size_t i = 0; i < dp->orphans->n; i++)
		if (dp->orphans->gone[i].addr.family == a.family && prefix_contains(&dp->orphans->gone[i], &a))
			return true;
	return false;
}

static int end_state(void *arg, const struct states_entry *e)
{
	struct datapath *dp = arg;
	struct orphans *o = dp->orphans;

	for (unsigned int end = 0; end < 2 && e->translated && !is_another_nodes(dp, e); end++) {
		const union fl_addr *inside = &e->state.addr[end], *outside = &e->addr[end];

		if (!memcmp(inside, outside, sizeof(*inside)) || !(is_gone(dp, inside) || is_gone(dp, outside)))
			continue;
		if (o->resets && end == states_starter(&e->state)) /* while it is there: it lets the reset pass */
			resets_send_starter(o->resets, e);
		o->ended += end_connection(dp, e, STATES_NO_WAY);
		break;
	}
	return 0;
}

static void walk_begin(struct datapath *dp, struct orphans *o)
{
	char *why = NULL;

	o->walking = true;
	o->again = false;
	o->at = 0;
	if (resets_open(&o->resets, dp, &why)) { /* they are ended all the same */
		log_warnx("%s", why ? why : "resets can't be sent");
		resets_close(o->resets);
		o->resets = NULL;
	}
	free(why);
}

bool datapath_has_orphans(const struct datapath *dp)
{
	return dp->orphans;
}

bool datapath_orphans_end(struct datapath *dp, uint64_t *ended)
{
	static const struct states_filter all;
	struct orphans *o = dp->orphans;

	*ended = 0;
	if (!o)
		return false;
	if (!o->walking)
		walk_begin(dp, o);
	o->at = states_walk_some(&dp->states, &all, o->at, SLICE, end_state, dp);
	if (o->at)
		return true;
	resets_close(o->resets);
	o->resets = NULL;
	o->walking = false;
	if (o->again)
		return true;
	*ended = o->ended;
	orphans_free(dp);
	return false;
}

void orphans_free(struct datapath *dp)
{
	if (dp->orphans)
		resets_close(dp->orphans->resets);
	free(dp->orphans);
	dp->orphans = NULL;
}
