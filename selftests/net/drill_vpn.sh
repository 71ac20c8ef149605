#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# fairlead drill vpn-down on one node: rules that let packets out in clear text while the VPN is down are found out. And what a machine that has
# died in a drill was left with is undone by the next start.
#
#   host ── lan0 node wan0 ── outside
#                     vpn0 ── outside

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../drilllab.sh"

node=''

cable() {
	ip -n "$node" link add name "$1" type veth peer name "$3" netns "$2"
	ip -n "$node" addr add "$4" dev "$1"
	ip -n "$2" addr add "$5" dev "$3"
	ip -n "$node" link set "$1" up
	ip -n "$2" link set "$3" up
	in_ns "$2" ethtool -K "$3" gro on > /dev/null
}

lab() {
	setup_ns node host outside
	cable lan0 "$host" eth0 192.0.2.1/24 192.0.2.80/24
	cable wan0 "$outside" wan0 203.0.113.1/24 203.0.113.9/24
	cable vpn0 "$outside" vpn0 10.8.0.2/24 10.8.0.1/24
	ip -n "$outside" addr add 198.51.100.1/32 dev lo
	ip -n "$host" route add default via 192.0.2.1
	fake_ssh
	server
	cat > "$FL_TMP/node.json" <<-JSON
	{
		"node": { "name": "node" },
		"interfaces": { "wan": { "device": "wan0" }, "lan": { "device": "lan0" }, "vpn": { "device": "vpn0" } },
		"gateways": {
			"WAN": { "interface": "wan", "address": "203.0.113.9", "monitor": false },
			"VPN_GW": { "interface": "vpn", "address": "10.8.0.1", "monitor": false }
		},
		"routes": [ { "destination": "0.0.0.0/0", "gateway": "WAN" } ],
		"default_action": "pass",
		"rules": [
			{ "name": "by the VPN", "action": "pass", "quick": true, "direction": "in", "interface": "lan", "route_to": "VPN_GW",
			  "when_down": "skip" }
		],
		"nat": [
			{ "type": "snat", "interface": "wan", "source": { "address": "192.0.2.0/24" }, "translate_to": "interface" },
			{ "type": "snat", "interface": "vpn", "source": { "address": "192.0.2.0/24" }, "translate_to": "interface" }
		],
		"log": { "events": "none" },
		"drill": { "targets": ["198.51.100.1:$PORT"], "from": "monitor@host" }
	}
	JSON
	daemon_start a "$node" "$FL_TMP/node.json"
}

forced() {
	fl a --json show gateways | json '[g["forced"] for g in d if g["name"] == "VPN_GW"]'
}

leaks() {
	check_not "a drill" drill vpn-down
	check_equal "what it says" "$(of_result '(d["scenario"], d["result"], d["leaks"] > 0, d["restored"])')" "('vpn-down', 'failed', True, True)"
	check_match "why" "$(of_result 'd["reasons"][0]')" 'packets have left in clear text'
	check_equal "the gateway" "$(forced)" "$1"
}

left_over() {
	fl a gateway down VPN_GW > "$FL_TMP/out"
	echo '{"id":"x","fault":"gateway","targets":["VPN_GW"],"undone_ms":null}' > "/var/lib/fairlead/$(instance a)/drill/fault.json"
	daemon_kill a
	daemon_start a "$node" "$FL_TMP/node.json" || return
	check_equal "the gateway" "$(forced)" "$1"
	check_match "told" "$(fl a show events --kind drill)" 'drill gateway: undone'
}

run_test lab lab || finish
before=$(forced)
run_test leaks leaks "$before"
run_test left-over left_over "$before"
teardown
finish
