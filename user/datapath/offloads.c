// SPDX-License-Identifier: GPL-2.0-only
/* Offloads that hide VLAN tags go off, and on again when the device, or fairlead, is done with. */

#include <errno.h>
#include <string.h>

#include "user/datapath/private.h"
#include "user/lib/log.h"

static const char *const offload_names[] = { [OFFLOAD_RXVLAN] = "rxvlan", [OFFLOAD_TXVLAN] = "txvlan" };

struct offload_change {
	uint32_t ifindex;
	enum offload what;
};

static void offload_back(struct datapath *dp, const void *data)
{
	const struct offload_change *change = data;
	const char *name = offload_names[change->what];
	struct saved_setting *saved = saved_find(dp, "offload", change->ifindex, name);
	const struct system_link *link = system_link_by_index(dp->system, change->ifindex);
	int err = saved && link ? offload_set(link->name, change->what, true) : 0;

	if (err && err != -ENODEV)
		log_ret(err, "%s: cannot switch %s on again", link->name, name);
	if (saved)
		saved_drop(dp, saved);
	saved_write(dp);
}

/* The tag of a VLAN must stay in the packet. */
void offload_off(struct datapath *dp, const struct port *port, enum offload what, struct undo *undo)
{
	const struct offload_change change = { port->value.ifindex, what };
	bool on;
	int err = offload_get(port->device, what, &on);

	if (err || !on)
		return;
	if (saved_add(dp, "offload", change.ifindex, offload_names[what], "on") || saved_write(dp))
		return;
	err = offload_set(port->device, what, false);
	if (err)
		log_ret(err, "%s: cannot switch %s off; VLAN tags may be invisible to XDP, use \"mode\": \"tc\" there",
			port->device, offload_names[what]);
	else
		undo_push(undo, offload_back, &change, sizeof(change));
}

/* The device is no longer in the configuration. */
void offload_release(struct datapath *dp, uint32_t ifindex)
{
	for (int what = OFFLOAD_RXVLAN; what <= OFFLOAD_TXVLAN; what++) {
		const struct offload_change change = { ifindex, what };

		offload_back(dp, &change);
	}
}

void offloads_restore(struct datapath *dp)
{
	for (size_t i = dp->n_saved; i > 0; i--)
		if (i <= dp->n_saved && strcmp(dp->saved[i - 1].kind, "offload") == 0)
			offload_release(dp, dp->saved[i - 1].ifindex);
}
