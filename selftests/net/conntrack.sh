#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The same packets through two routers with the same rules: fairlead, and Linux with nftables and conntrack. conntrack.py compares what
# each of them lets through.
#
#   near     router          far            near     peer            far
#   fl0 ─── lan0   wan0 ─── fl0             nf0 ─── lan0   wan0 ─── nf0
#
# Both routers have the same addresses. near and far have none: nobody answers but the test.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../lab.sh"

near='' peer='' far=''

# path ROUTER DEVICE
path() {
	veth "$near" "$2" 02:00:00:00:01:51 "$1" lan0 02:00:00:00:01:01
	veth "$1" wan0 02:00:00:00:02:20 "$far" "$2" 02:00:00:00:02:77
	napi "$near" "$2"
	napi "$far" "$2"
	wire "$1" lan0
	wire "$1" wan0
	ip -n "$1" addr add 192.0.2.1/24 dev lan0
	ip -n "$1" addr add 2001:db8:aa::1/64 dev lan0 nodad
	ip -n "$1" addr add 198.51.100.1/24 dev wan0
	ip -n "$1" addr add 2001:db8:f::1/64 dev wan0 nodad
	ip -n "$1" neigh add 192.0.2.51 lladdr 02:00:00:00:01:51 dev lan0
	ip -n "$1" neigh add 2001:db8:aa::51 lladdr 02:00:00:00:01:51 dev lan0
	ip -n "$1" neigh add 198.51.100.77 lladdr 02:00:00:00:02:77 dev wan0
	ip -n "$1" neigh add 2001:db8:f::77 lladdr 02:00:00:00:02:77 dev wan0
}

with_nftables() {
	forwarding "$peer"
	in_ns "$peer" nft -f - <<-NFT
	table inet t {
		chain forward {
			type filter hook forward priority 0; policy drop;
			ct state established,related accept
			ct state invalid drop
			iifname "lan0" ct state new accept
		}
	}
	NFT
}

conntrack_lab() {
	setup_ns near router peer far
	path "$router" fl0
	path "$peer" nf0
	with_nftables || fail "no nftables with conntrack" || return
	cat > "$FL_TMP/router.json" <<-JSON
	{
		"interfaces": { "wan": { "device": "wan0", "mode": "$1" }, "lan": { "device": "lan0", "mode": "$1" } },
		"default_action": { "in": "block", "out": "pass" },
		"rules": [
			{ "name": "TCP", "action": "pass", "quick": true, "direction": "in", "interface": "lan", "protocol": "tcp", "tcp_flags": "any" },
			{ "name": "others", "action": "pass", "quick": true, "direction": "in", "interface": "lan" }
		]
	}
	JSON
	router_start
}

scenario() {
	started conntrack_lab "$1" || return
	python_tests conntrack.py --lab "$FL_PREFIX" --mode "$1"
}

FL_MODES=${FL_MODES:-native tc}
modes scenario
finish
