#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Rulesets change under traffic, 1,000 times (FL_SWAPS says how many): no packet is judged by some of the one and some of
# the other, and what both pass is never lost.
#
#   lan: 192.0.2.51, .52 and more, all silent     router     wan: 198.51.100.77 and others behind it
#   eth0 ───────────────────────────────── lan0        wan0 ───── net0

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../lab.sh"

export FL_TMP

swaps_lab() {
	local i
	setup_ns lan router wan
	veth "$lan" eth0 02:00:00:00:01:80 "$router" lan0 02:00:00:00:01:01
	veth "$router" wan0 02:00:00:00:02:20 "$wan" net0 02:00:00:00:02:01
	napi "$lan" eth0
	napi "$wan" net0
	ip -n "$router" addr add 192.0.2.1/24 dev lan0
	for i in 3 4 5; do
		ip -n "$router" addr add 192.0.2."$i"/24 dev lan0
	done
	for i in 51 52 53 54; do
		ip -n "$router" neigh add 192.0.2."$i" lladdr 02:00:00:00:01:80 dev lan0
	done
	ip -n "$router" addr add 203.0.113.20/24 dev wan0
	ip -n "$router" neigh add 203.0.113.1 lladdr 02:00:00:00:02:01 dev wan0
	ip -n "$router" route add default via 203.0.113.1
	ip -n "$lan" route add blackhole default
	ip -n "$wan" route add blackhole default
	cat > "$FL_TMP/router.json" <<-JSON
	{
		"interfaces": { "wan": { "device": "wan0", "mode": "$1" }, "lan": { "device": "lan0", "mode": "$1" } },
		"default_action": { "in": "block", "out": "block" },
		"limits": { "states": 1000000 }
	}
	JSON
	router_start
}

scenario() {
	started swaps_lab "$1" || return
	FL_PYTHON_TIMEOUT=340 python_tests swaps.py --lab "$FL_PREFIX" --mode "$1"
}

FL_MODES=${FL_MODES:-native}
modes scenario
finish
