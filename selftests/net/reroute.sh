#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Somebody else changes the kernel's routes and rules while fairlead forwards: packets of flows that it knows go the new way at
# once, in both families and in and out of the tunnel; a route's MTU is heeded; what has no way any more is answered or counted.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../lab.sh"

# A second next hop on wan, which is nobody but has a MAC, and IPv6 beside the tunnel
lab() {
	lab_up && broker_python && router_config "$1" || return
	ip -n "$router" addr add 2001:db8:2::20/64 dev wan0 nodad
	ip -n "$wan" addr add 2001:db8:2::1/64 dev net0 nodad
	ip -n "$router" neigh add 203.0.113.66 lladdr 02:00:00:00:02:66 dev wan0
	ip -n "$router" neigh add 2001:db8:2::66 lladdr 02:00:00:00:02:66 dev wan0
	ip -n "$router" route add 198.18.0.0/15 via 203.0.113.1
	ip -n "$router" -6 route add 2001:db8:77::/48 via 2001:db8:2::1
	ip -n "$wan" route add blackhole 198.18.0.0/15
	ip -n "$wan" -6 route add blackhole 2001:db8:77::/48
	router_start
}

scenario() {
	started lab "$1" || return
	run_test warm-up warm_up || return
	python_tests reroute.py --lab "$FL_PREFIX" --mode "$1"
	run_test by-xdp by_xdp "$1" 100 router lan
}

modes scenario
finish
