#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Which way connections go: by a rule's gateway, on another link or in a tunnel, and back by the one that they came in by. While they go
# on, routes, neighbours and links change, with a daemon and without.
#
#   lan            router             wan: gw1, ge1   default route, underlay of he0      eth0 of lan: 192.0.2.80, 2001:db8:aa::80
#   eth0 ────── lan0    wan0 ──────── net0            203.0.113.1, 2001:db8:3::1          and .51, ::51, which say nothing by themselves
#                       over0: by wan, else by two
#                       two0 ──────── net0 of two: gw2, ge2   198.18.2.1, 2001:db8:2::1
#                       three0 ────── net0 of three: gw3      198.18.3.1
#
# The far ends drop what they get, after steer.py has seen it. On two's link there is a host, too: .50. The group "mixed" has two's IPv4
# gateway, three's IPv6 one, and behind these wan's link itself, on which are 198.51.100.97 and 2001:db8:98::97. On these two are
# 198.51.100.98 and 2001:db8:98::98, which the router talks to itself, and on two's 198.51.100.113, to which "homing" leads, gw3 and then gw2.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../lab.sh"

two='' three=''

# side NS DEVICE THIRD IPv4-PREFIX IPv6-PREFIX: one of the links to the world
side() {
	veth "$router" "$2" "02:00:00:00:0$3:20" "$1" net0 "02:00:00:00:0$3:01"
	napi "$1" net0
	ip -n "$router" addr add "$4.20/24" dev "$2"
	ip -n "$router" addr add "$5::20/64" dev "$2" nodad
	in_ns "$1" sysctl -qw net.ipv6.conf.net0.keep_addr_on_down=1
	ip -n "$1" addr add "$4.1/24" dev net0
	ip -n "$1" addr add "$5::1/64" dev net0 nodad
	ip -n "$1" route add blackhole default
	ip -n "$1" -6 route add blackhole default
}

steer_lab() {
	setup_ns lan router wan two three
	veth "$lan" eth0 02:00:00:00:01:80 "$router" lan0 02:00:00:00:01:01
	napi "$lan" eth0
	ip -n "$lan" addr add 192.0.2.80/24 dev eth0
	ip -n "$lan" addr add 2001:db8:aa::80/64 dev eth0 nodad
	ip -n "$router" addr add 192.0.2.1/24 dev lan0
	ip -n "$router" addr add 2001:db8:aa::1/64 dev lan0 nodad
	ip -n "$router" neigh add 192.0.2.51 lladdr 02:00:00:00:01:80 dev lan0
	ip -n "$router" neigh add 2001:db8:aa::51 lladdr 02:00:00:00:01:80 dev lan0
	side "$wan" wan0 2 203.0.113 2001:db8:3
	side "$two" two0 3 198.18.2 2001:db8:2
	side "$three" three0 4 198.18.3 2001:db8:4
	ip -n "$two" addr add 198.51.100.98/32 dev net0
	ip -n "$two" addr add 198.51.100.113/32 dev net0
	ip -n "$three" addr add 2001:db8:98::98/128 dev net0 nodad
	ip -n "$router" neigh add 198.18.2.50 lladdr 02:00:00:00:03:50 dev two0
	ip -n "$router" neigh add 198.51.100.97 lladdr 02:00:00:00:02:97 dev wan0
	ip -n "$router" neigh add 2001:db8:98::97 lladdr 02:00:00:00:02:97 dev wan0
	ip -n "$router" -6 route add default via 2001:db8:3::1
	in_ns "$router" sysctl -qw net.ipv4.conf.all.accept_local=0
}

steer_config() {
	cat > "$FL_TMP/router.json" <<-JSON
	{
		"node": { "name": "router" },
		"interfaces": {
			"wan": { "device": "wan0", "mode": "$1" }, "two": { "device": "two0", "mode": "$1" },
			"three": { "device": "three0", "mode": "$1" }, "lan": { "device": "lan0", "mode": "$1" }
		},
		"tunnels": {
			"he0": { "type": "6in4", "underlay": "wan", "local": "203.0.113.20", "remote": "198.51.100.10",
				"address": "2001:db8:1::2/64" },
			"over0": { "type": "6in4", "underlay": "both", "local": "interface", "remote": "198.51.100.20",
				"address": "2001:db8:7::2/64" }
		},
		"gateways": {
			"gw1": { "interface": "wan", "address": "203.0.113.1", "monitor": false }, "ge1": { "interface": "wan", "address": "2001:db8:3::1", "monitor": false },
			"gw2": { "interface": "two", "address": "198.18.2.1", "monitor": false }, "ge2": { "interface": "two", "address": "2001:db8:2::1", "monitor": false },
			"gw3": { "interface": "three", "address": "198.18.3.1", "monitor": { "interval_ms": 100, "up_after": 1 } }, "he_gw": { "interface": "he0", "address": "2001:db8:1::1", "monitor": false },
			"ge3": { "interface": "three", "address": "2001:db8:4::1", "monitor": false }, "link": { "interface": "wan", "monitor": false },
			"over_gw": { "interface": "over0", "address": "2001:db8:7::1", "monitor": { "interval_ms": 100 } }
		},
		"gateway_groups": {
			"mixed": { "members": [ { "gateway": "gw2" }, { "gateway": "ge3" }, { "gateway": "link", "tier": 2 } ] },
			"both": { "members": [ { "gateway": "gw1", "tier": 1 }, { "gateway": "gw2", "tier": 2 } ], "failback": "move" },
			"homing": { "members": [ { "gateway": "gw3" }, { "gateway": "gw2", "tier": 2 } ], "failback": "move" }
		},
		"routes": [ { "destination": "0.0.0.0/0", "gateway": "gw1" }, { "destination": "198.51.100.96/27", "gateway": "mixed" },
			{ "destination": "198.51.100.112/28", "gateway": "homing" }, { "destination": "198.51.100.80/28", "gateway": "gw2" },
			{ "destination": "2001:db8:98::/64", "gateway": "mixed" }, { "destination": "2001:db8:77::/48", "gateway": "over_gw" } ],
		"default_action": { "in": "block", "out": "pass" },
		"rules": [
			$(steer 1001 in lan gw2), $(steer 1002 in lan gw2 '"state": "none",'),
			$(steer 1003 in lan he_gw), $(steer 1004 in lan he_gw '"state": "none",'),
			$(steer 1006 in lan ge2),
			$(steer 1011 in lan gw3), $(steer 1012 in lan gw3 '"when_down": "reject",'), $(steer 1013 in lan gw3 '"when_down": "skip",'),
			$(steer 1021 out '' gw2), $(steer 1022 out '' he_gw), $(steer 1024 out '' gw2 '"state": "none",'),
			$(steer 1025 out '' ge2), $(steer 1026 out wan gw2 '"max_states": 2,'), $(steer 1027 out wan gw2),
			{ "name": "own by the group", "action": "pass", "quick": true, "direction": "out", "protocol": "tcp",
			  "destination": { "port": 1042 }, "route_to": "mixed" },
			$(steer 1031 in lan mixed), $(steer 1032 in lan mixed '"when_down": "skip",'),
			{ "name": "not by two", "action": "block", "quick": true, "direction": "out", "interface": "two", "protocol": "udp",
			  "destination": { "port": 1027 } },
			{ "name": "replies by gw1", "action": "pass", "quick": true, "direction": "in", "interface": "two", "protocol": "udp",
			  "destination": { "port": 2002 }, "reply_to": "gw1" },
			{ "name": "from outside", "action": "pass", "quick": true, "direction": "in", "interface": ["wan", "two", "over0"],
			  "protocol": ["udp", "tcp"], "destination": { "port": "2000-2009" } },
			{ "name": "rejected", "action": "reject", "quick": true, "direction": "in", "interface": ["wan", "two"],
			  "protocol": ["udp", "tcp"], "destination": { "port": 2020 } },
			{ "name": "pings", "action": "pass", "quick": true, "direction": "in", "interface": ["wan", "two"],
			  "protocol": "icmp", "destination": { "address": "self" } },
			{ "name": "LAN to any", "action": "pass", "quick": true, "direction": "in", "interface": "lan" }
		],
		"nat": [
			{ "type": "dnat", "interface": ["wan", "two"], "protocol": "udp", "destination": { "address": "self", "port": 2004 },
			  "translate_to": "192.0.2.51" }
		]
	}
	JSON
}

# steer PORT DIRECTION INTERFACE GATEWAY [MORE]: a rule
steer() {
	echo "{ \"name\": \"steer $1\", \"action\": \"pass\", \"quick\": true, \"direction\": \"$2\", \"protocol\": \"udp\", ${3:+\"interface\": \"$3\",}
		\"destination\": { \"port\": $1 }, ${5:-} \"route_to\": \"$4\" }"
}

steer_start() {
	steer_lab && steer_config "$1" && router_start || return
	for gateway in 203.0.113.1 198.18.2.1 198.18.3.1; do
		slowwait 10 in_ns "$router" ping -n -q -c 1 -W 1 "$gateway" || fail "no answer from $gateway at all"
	done
	for gateway in 2001:db8:3::1 2001:db8:2::1; do
		slowwait 10 in_ns "$router" ping -6 -n -q -c 1 -W 1 "$gateway" || fail "no answer from $gateway at all"
	done
}

kill_it() {
	daemon_kill router
	sleep 2 # the programs take it for dead a second and a half later
}

scenario() {
	started steer_start "$1" || return
	python_tests steer.py --lab "$FL_PREFIX" --mode "$1"
	kill_it
	test_group "$1/killed"
	python_tests steer.py --lab "$FL_PREFIX" --mode killed
}

FL_MODES=${FL_MODES:-native tc}
modes scenario
finish
