/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the file may say and the data plane does not do yet: checked like all the rest, and then refused, so that nobody relies on
 * what is not there. Each of the constructs once, at its first place.
 */
#include "user/config/check.h"

static void refuse(struct check *c, const char *const *at, const char *why)
{
	check_error(c, at, "not in this version: %s", why);
}

/* Index of the first of n that `is` says true of; n: none. */
#define FIRST(i, n, is) \
	do { \
		for ((i) = 0; (i) < (n) && !(is); (i)++) \
			; \
	} while (0)

static void gate_ha(struct check *c)
{
	size_t i;

	FIRST(i, c->draft->n_vips, !c->draft->vips[i].disabled);
	if (i < c->draft->n_vips)
		refuse(c, AT("vips"), "there are no shared addresses yet");
	if (c->draft->ha.interface)
		refuse(c, AT("ha"), "nodes don't work in pairs yet");
}

static void gate_hooks(struct check *c)
{
	if (c->draft->n_hooks_vip)
		refuse(c, AT("hooks", "vip"), "there are no shared addresses yet");
}

void check_gate(struct check *c)
{
	gate_ha(c);
	gate_hooks(c);
}
