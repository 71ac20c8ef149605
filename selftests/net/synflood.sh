#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# SYNs from a million sources, to a host that answers none, with a state table far too small for them: what is established goes on, and
# those who mean it still get in.
#
#   lan: 192.0.2.80 (server)         router         wan: 198.51.100.77 (client)
#        192.0.2.51 (says nothing)
#   eth0 ─────────────────────── lan0      wan0 ──── net0

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../lab.sh"

export FL_TMP

flood_lab() {
	setup_ns lan router wan
	veth "$lan" eth0 02:00:00:00:01:80 "$router" lan0 02:00:00:00:01:01
	veth "$router" wan0 02:00:00:00:02:20 "$wan" net0 02:00:00:00:02:01
	napi "$lan" eth0
	napi "$wan" net0
	ip -n "$lan" addr add 192.0.2.80/24 dev eth0
	ip -n "$lan" route add default via 192.0.2.1
	ip -n "$lan" route add blackhole 192.0.2.51
	ip -n "$router" addr add 192.0.2.1/24 dev lan0
	ip -n "$router" addr add 203.0.113.20/24 dev wan0
	ip -n "$router" neigh add 192.0.2.51 lladdr 02:00:00:00:01:80 dev lan0
	ip -n "$router" route add default via 203.0.113.1
	ip -n "$wan" addr add 203.0.113.1/24 dev net0
	ip -n "$wan" addr add 198.51.100.77/32 dev lo
	ip -n "$wan" route add 192.0.2.0/24 via 203.0.113.20 src 198.51.100.77
	cat > "$FL_TMP/router.json" <<-JSON
	{
		"interfaces": { "wan": { "device": "wan0", "mode": "$1" }, "lan": { "device": "lan0", "mode": "$1" } },
		"default_action": { "in": "block", "out": "pass" },
		"rules": [
			{ "name": "web", "action": "pass", "quick": true, "direction": "in", "interface": "wan", "protocol": ["tcp", "icmp"] },
			{ "name": "out", "action": "pass", "quick": true, "direction": "in", "interface": "lan" }
		],
		"limits": { "states": 20000 }
	}
	JSON
	router_start || return
	slowwait 10 in_ns "$wan" ping -n -q -c 1 -W 1 192.0.2.80 || fail "no answer from 192.0.2.80 at all"
}

is_told() {
	check_match "the daemon's log" "$(cat "$FL_TMP/router.log")" 'half-open connections gave way'
	check_match "status" "$(fl router --json status)" '"evicted": [1-9][0-9]{4}'
}

scenario() {
	started flood_lab "$1" || return
	python_tests synflood.py --lab "$FL_PREFIX" --mode "$1"
	run_test is-told is_told
}

FL_MODES=${FL_MODES:-native}
modes scenario
finish
