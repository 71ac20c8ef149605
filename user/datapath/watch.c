// SPDX-License-Identifier: GPL-2.0-only
/*
 * Is what we have put on the machine still there? Other tools take filters, XDP programs and forwarding away, with one command
 * or by setting a device up anew. Most of it is told by netlink and put back at once; all of it is looked at every few seconds.
 */

#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "user/datapath/private.h"
#include "user/lib/log.h"

#define LOOK_EVERY 5 /* ticks; a fifth of the ports each: two or three requests to the kernel for each of them */

static const struct {
	uint32_t bit;
	const char *text;
} parts[] = {
	{ MISSING_GUARD, "the egress guard" },
	{ MISSING_INGRESS, "the ingress program" },
	{ MISSING_HIDDEN, "the program at its hidden end" },
	{ MISSING_XDP, "the XDP program" },
	{ MISSING_INET6, "IPv6 forwarding" },
	{ MISSING_INET, "IPv4 forwarding" },
	{ MISSING_ACCEPT_RA, "accept_ra 2" },
};

static void describe(uint32_t missing, char *text, size_t len)
{
	size_t n = 0;

	text[0] = '\0';
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]) && n < len; i++)
		if (missing & parts[i].bit)
			n += snprintf(text + n, len - n, "%s%s", n ? ", " : "", parts[i].text);
}

/*
 * MISSING_*. A device that is gone as a whole lacks nothing, also where netlink has not told yet: the kernel takes it from its
 * list before it takes the filters off.
 */
static uint32_t look(struct datapath *dp, const struct port *port)
{
	char name[IF_NAMESIZE];
	uint32_t missing;

	if (port->kind == PORT_NONE || !port->present || !system_link_by_index(dp->system, port->value.ifindex))
		return 0;
	missing = tc_missing(dp, port) | xdp_missing(dp, port) | sysctls_missing(dp, port);
	return missing && if_indextoname(port->value.ifindex, name) ? missing : 0;
}

static uint32_t look_and_tell(struct datapath *dp, struct port *port)
{
	uint32_t missing = look(dp, port);
	char text[256];

	/* what could not be attached, nobody has taken away: that was told when it failed */
	if (missing & ~port->missing && !port->unguarded) {
		describe(missing & ~port->missing, text, sizeof(text));
		journal_write(dp->journal, JOURNAL_WARNING, JOURNAL_INTERFACE, port->name, "repaired",
			      json_pack("{s:s}", "device", port->device), "somebody has taken away %s; putting it back",
			      text);
	}
	port->missing = missing;
	return missing;
}

bool watch_all(struct datapath *dp)
{
	bool any = false;

	system_dispatch(dp->system); /* what we have attached ourselves is told there too */
	for (size_t i = 1; i < FL_PORTS_MAX; i++)
		any |= look_and_tell(dp, &dp->ports[i]) != 0;
	return any;
}

void watch_settled(struct datapath *dp)
{
	system_dispatch(dp->system);
	for (size_t i = 1; i < FL_PORTS_MAX; i++)
		if (dp->ports[i].missing)
			dp->ports[i].missing = look(dp, &dp->ports[i]);
}

void watch_tick(struct datapath *dp)
{
	bool any = false;

	system_dispatch(dp->system);
	dp->watched = (dp->watched + 1) % LOOK_EVERY;
	if (!dp->watched)
		objects_repin(dp);
	for (size_t i = 1 + dp->watched; i < FL_PORTS_MAX; i += LOOK_EVERY)
		any |= look_and_tell(dp, &dp->ports[i]) != 0;
	if (any)
		datapath_refresh(dp, SYSTEM_LINK);
}

uint32_t watch_port(struct datapath *dp, const struct port *port, char *text, size_t len)
{
	uint32_t missing = look(dp, port);

	describe(missing, text, len);
	return missing;
}

json_t *datapath_missing(struct datapath *dp)
{
	json_t *array = json_array();
	char text[256];

	system_dispatch(dp->system);
	for (size_t i = 1; array && i < FL_PORTS_MAX; i++) {
		const struct port *port = &dp->ports[i];

		if (watch_port(dp, port, text, sizeof(text)))
			json_array_append_new(array,
					      json_sprintf("%s: missing on %s: %s", port->name, port->device, text));
	}
	return array;
}
