// SPDX-License-Identifier: GPL-2.0-only
/* `show tunnels`: what the data plane has, what is known of names, what brokers have said. */
#include "user/daemon/daemon.h"

json_t *tunnels_show(struct daemon *d)
{
	json_t *rows = datapath_show_tunnels(d->datapath);

	if (!rows)
		return NULL;
	names_show(d, rows);
	updates_show(d, rows);
	return rows;
}
