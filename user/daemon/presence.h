/* SPDX-License-Identifier: GPL-2.0-only */
/* What a standby need not have: devices that are there only where the shared addresses are, and what goes by them. */
#pragma once

#include <stdbool.h>

struct config_gateway;
struct config_interface;
struct daemon;

/* Once for each answer: the roles are the timekeeper's. */
struct presence {
	const struct daemon *daemon;
	bool standby; /* this node has none of the shared addresses, and there are some */
};

struct presence presence_now(struct daemon *d);
/* NULL: a tunnel, which is there at both. */
bool presence_expects(const struct presence *p, const struct config_interface *interface);
/* The gateway, or any member of the group, of that name. */
bool presence_expects_via(const struct presence *p, const char *name);
