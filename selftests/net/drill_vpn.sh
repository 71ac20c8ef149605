#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# fairlead drill vpn-down on one node: rules that let packets out in clear text while the VPN is down are found out, and what goes another way
# by the rules is no leak. And what a machine that has died in a drill was left with is undone by the next start.
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
	ip -n "$outside" addr add 198.51.100.2/32 dev lo
	ip -n "$outside" addr add 198.51.100.3/32 dev lo
	ip -n "$host" route add default via 192.0.2.1
	fake_ssh
	server
	rules ', { "name": "the rest", "action": "pass", "direction": "in", "interface": "lan" }' > "$FL_TMP/node.json"
	rules ', { "name": "kill switch", "action": "block", "direction": "in", "interface": "lan", "source": { "address": "192.0.2.0/24" } }' \
		> "$FL_TMP/switched.json"
	sed 's#, "from": "monitor@host"##' "$FL_TMP/switched.json" > "$FL_TMP/silent.json"
	daemon_start a "$node" "$FL_TMP/node.json"
}

# rules MORE: what is for 198.51.100.2 goes by the WAN, by a rule before the one that sends to the VPN; for 198.51.100.3, by one behind it
rules() {
	cat <<-JSON
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
			{ "name": "one goes directly", "action": "pass", "quick": true, "direction": "in", "interface": "lan",
			  "destination": { "address": "198.51.100.2" } },
			{ "name": "by the VPN", "action": "pass", "quick": true, "direction": "in", "interface": "lan",
			  "destination": { "address": "!198.51.100.3" }, "route_to": "VPN_GW", "when_down": "skip" },
			{ "name": "another one goes directly", "action": "pass", "quick": true, "direction": "in", "interface": "lan",
			  "destination": { "address": "198.51.100.3" } }$1
		],
		"nat": [
			{ "type": "snat", "interface": "wan", "source": { "address": "192.0.2.0/24" }, "translate_to": "interface" },
			{ "type": "snat", "interface": "vpn", "source": { "address": "192.0.2.0/24" }, "translate_to": "interface" }
		],
		"log": { "events": "none" },
		"drill": { "targets": ["198.51.100.1:$PORT"], "from": "monitor@host" }
	}
	JSON
}

forced() {
	fl a --json show gateways | json '[g["forced"] for g in d if g["name"] == "VPN_GW"]'
}

leaks() {
	check_not "a drill" drill vpn-down
	check_equal "what it says" "$(of_result '(d["scenario"], d["result"], d["leaks"] > 0, d["restored"])')" "('vpn-down', 'failed', True, True)"
	check_match "why" "$(of_result 'd["reasons"][0]')" 'packets have left in clear text'
	check_match "which" "$(of_result 'd["hints"]')" 'tcp 192.0.2.80 > 198.51.100.1 port 7000, in by lan, out by wan, let pass by the rest'
	check_equal "the gateway" "$(forced)" "$1"
}

# Two others of the same host go by the WAN meanwhile
others_are_no_leaks() {
	local to
	check "the kill switch" fl a apply "$FL_TMP/switched.json"
	for to in 198.51.100.2 198.51.100.3; do
		background "$host" ping -q -i 0.1 "$to" > /dev/null
	done
	slowwait 5 both_go_by_wan || fail "states: $(fl a show states)"
	drill vpn-down || fail "drill vpn-down has failed: $(cat "$FL_TMP/drill.err" "$FL_TMP/result")"
	check_equal "what it says" "$(of_result '(d["result"], d["leaks"], d["restored"], d["reasons"])')" "('passed', 0, True, [])"
	check "they still go there" both_go_by_wan
	check_equal "the gateway" "$(forced)" "$1"
}

both_go_by_wan() {
	[ "$(fl a --json show states --proto icmp | json 'sorted(s["destination"] for s in d if s["interface"] == "lan" and s["egress"] == "wan")')" = \
		"['198.51.100.2', '198.51.100.3']" ]
}

# refused PATTERN ARGUMENT...
refused() {
	check_not "a drill" drill vpn-down "${@:2}"
	check_equal "what it says" "$(of_result 'd["result"]')" refused
	check_match "why" "$(of_result 'd["reasons"]')" "$1"
	check_equal "the gateway" "$(forced)" '[None]'
}

# Where nothing goes by the VPN nothing could leak, which says nothing
nothing_to_leak() {
	refused 'no rule sends to WAN \(route_to\), so nothing of it could leak' --target WAN
	check "nobody measures" fl a apply "$FL_TMP/silent.json"
	fl a kill states --all > "$FL_TMP/out"
	refused 'nothing goes by VPN_GW, so that nothing could leak: .* drill.from'
}

left_over() {
	fl a gateway down VPN_GW > "$FL_TMP/out"
	echo '{"id":"x","fault":"gateway","targets":["VPN_GW"],"undone_ms":null}' > "/var/lib/fairlead/$(instance a)/drill/fault.json"
	daemon_kill a
	daemon_start a "$node" "$FL_TMP/node.json" || return
	check_equal "the gateway" "$(forced)" "$1"
	check_match "told" "$(fl a show events --kind drill)" 'drill gateway: undone'
}

# left FILE: as if a node had died with lan0 taken down; FILE of what it has lost. It is started again
left() {
	daemon_kill a
	ip -n "$node" link set lan0 down
	echo '{"id":"y","fault":"links","targets":["lan0"],"begun_ms":1,"done_ms":2,"ending_ms":null,"undone_ms":null,"errors":[]}' \
		> "/var/lib/fairlead/$(instance a)/drill/fault.json"
	rm -f "/run/fairlead/$(instance a).fault.saved"
	[ -z "$1" ] || cp "$1" "/run/fairlead/$(instance a).fault.saved"
	daemon_start a "$node" "$FL_TMP/node.json"
}

told_of() {
	fl a show events --kind drill | grep -q "drill links: $1"
}

fault_is() {
	json '(d["undone_ms"] is not None, d["left"])' < "/var/lib/fairlead/$(instance a)/drill/fault.json"
}

# Nobody knows what to put back: that is no undoing, though the link is up again
cannot_be_undone() {
	echo nonsense > "$FL_TMP/saved"
	left "$FL_TMP/saved" || return
	slowwait 10 told_of 'left: .*fault.saved, what the links have lost' || fail "events: $(fl a show events --kind drill)"
	check_equal "undone, left" "$(fault_is)" '(False, True)'
	check_match "the link" "$(ip -n "$node" link show dev lan0)" 'state UP'
	check_not "told that it is undone" told_of undone
}

# Without that file nothing was done, or a boot has undone it
nothing_to_undo() {
	left '' || return
	slowwait 10 told_of undone || fail "events: $(fl a show events --kind drill)"
	check_equal "undone, left" "$(fault_is)" '(True, False)'
	check_match "the link is as somebody has left it" "$(ip -n "$node" link show dev lan0)" 'state DOWN'
}

run_test lab lab || finish
before=$(forced)
run_test leaks leaks "$before"
run_test others others_are_no_leaks "$before"
run_test nothing-goes-there nothing_to_leak
run_test left-over left_over "$before"
run_test not-to-be-undone cannot_be_undone
run_test nothing-to-undo nothing_to_undo
teardown
finish
