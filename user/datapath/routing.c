// SPDX-License-Identifier: GPL-2.0-only
/* What the programs must know of the kernel's routing besides what bpf_fib_lookup() says: enum fl_routing, and fl_route_mtu. */

#include "user/datapath/private.h"
#include "user/lib/log.h"

_Static_assert(SYSTEM_LOCKED_MTUS <= FL_ROUTE_MTUS_MAX, "all fit");

/* MTUs are added only: one that no route has any more is no harm. */
int routing_sync(struct datapath *dp)
{
	const uint32_t *mtus, one = 1;
	size_t n = system_locked_mtus(dp->system, &mtus);
	uint32_t routing = n ? FL_ROUTING_MTU : 0;
	int err = 0;

	for (size_t i = 0; i < n && !err; i++)
		err = map_put(dp, DP_MAP_ROUTE_MTU, &mtus[i], &one);
	if (system_routes_by_transport(dp->system))
		routing |= FL_ROUTING_TRANSPORT;
	dp->control.routing = routing;
	control_write(dp);
	return err ? log_ret(err, "cannot write the table of MTUs") : 0;
}
