#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A change of configuration is one moment: tunnels, translations, ports and the kernel's routes, seen from each packet.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../lab.sh"

export FL_TMP

lab() {
	lab_up && router_config "$1" || return
	ip -n "$router" addr add 2001:db8:2::20/64 dev wan0 nodad
	ip -n "$wan" addr add 2001:db8:2::1/64 dev net0 nodad
	ip -n "$wan" addr add 2001:db8:77::99/128 dev lo nodad
	ip -n "$wan" route add blackhole 198.18.0.0/15
	ip -n "$router" addr add 2001:db8:ab::1/64 dev lan0 nodad
	ip -n "$wan" -6 route add 2001:db8:cc::/64 via 2001:db8:2::20
	ip -n "$router" -6 route add 2001:db8:77::/48 via 2001:db8:2::1
	config_edit "$FL_TMP/router.json" 'd["prefix_translations"].append({
		"interface": "wan", "internal": "2001:db8:aa::/64", "external": "2001:db8:cc::/64" })'
	router_start || return
	slowwait 10 in_ns "$lan" ping -6 -n -q -c 1 -W 1 2001:db8:77::99 || fail "nothing passes by wan"
}

scenario() {
	started lab "$1" || return
	python_tests atomic.py --lab "$FL_PREFIX" --mode "$1"
}

modes scenario
finish
