// SPDX-License-Identifier: GPL-2.0-only
#include <string.h>

#include "user/drill/drill.h"

const struct drill_scenario drill_scenarios[] = {
	{ "maintenance", "the master hands over, and takes its place again: what a planned change costs", false,
	  "maintenance", DRILL_NO_TARGET, DRILL_PAIR | DRILL_MOVES | DRILL_SEEN },
	{ "kill-daemon", "the master's daemon dies; it is started again", false, "kill", DRILL_NO_TARGET,
	  DRILL_PAIR | DRILL_MOVES },
	{ "power", "the master loses its power: all of its links and its daemon at once", false, "power", DRILL_ALL,
	  DRILL_PAIR | DRILL_MOVES | DRILL_CUTS },
	{ "lan-link", "the master's LAN cable is pulled", false, "links", DRILL_LAN, DRILL_PAIR | DRILL_MOVES },
	{ "wan-link", "the master's WAN cable is pulled", false, "links", DRILL_WAN, DRILL_PAIR | DRILL_MOVES },
	{ "sync-link", "the cable between the nodes is pulled: nobody may take over", false, "links", DRILL_SYNC,
	  DRILL_PAIR | DRILL_CUTS },
	{ "standby", "the standby's daemon dies: nobody may notice", true, "kill", DRILL_NO_TARGET, DRILL_PAIR },
	{ "gateway-down", "a gateway is down: its group's next member carries", false, "gateway", DRILL_GATEWAY,
	  DRILL_FLOWS_END },
	{ "vpn-down", "the VPN is down: not a packet of what belongs in it may leave in clear text", false, "gateway",
	  DRILL_VPN, DRILL_FLOWS_END | DRILL_TARGETS_GONE },
	{ "split-brain", "the nodes don't hear each other: both are masters, and then one is", false, "mute",
	  DRILL_NO_TARGET, DRILL_PAIR | DRILL_TWO_MASTERS },
	{ "failback", "a master that has died comes back: what counts is its return", false, "kill", DRILL_NO_TARGET,
	  DRILL_PAIR | DRILL_MOVES | DRILL_RETURN },
	{ "alert", "the master hands over: do the events, and your own checks, tell of it?", false, "maintenance",
	  DRILL_NO_TARGET, DRILL_PAIR | DRILL_MOVES | DRILL_LOGGED | DRILL_SEEN },
	{ 0 },
};

const struct drill_scenario *drill_find(const char *name)
{
	for (const struct drill_scenario *s = drill_scenarios; s->name; s++)
		if (!strcmp(s->name, name))
			return s;
	return NULL;
}
