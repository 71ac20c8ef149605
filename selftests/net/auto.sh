#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A WAN whose address and next hops the system learns: by DHCP (busybox's server and client) and by router advertisements, which change, expire
# and come again while connections go on.
#
#   lan            router             wan: on one segment two routers, net0 (…:02:01) and net9 (…:02:09)
#   eth0 ────── lan0    wan0 ──────── net0   198.18.1.1  fe80::1      net9   198.18.2.1  fe80::9
#   192.168.0.80  .1     by DHCP             lo: 198.51.100.9, 2001:db8:f::9, what the world is
#   2001:db8:aa::80

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../lab.sh"

cable() {
	veth "$router" wan0 02:00:00:00:02:20 "$wan" net0 02:00:00:00:02:01
	napi "$wan" net0
	wire "$wan" net0
	in_ns "$wan" sysctl -qw net.ipv6.conf.net0.addr_gen_mode=1
	ip -n "$wan" link add net9 link net0 address 02:00:00:00:02:09 type macvlan mode bridge
	in_ns "$wan" sysctl -qw net.ipv6.conf.net9.addr_gen_mode=1
	ip -n "$wan" link set dev net9 up
	ip -n "$wan" addr add 198.18.1.1/24 dev net0
	ip -n "$wan" addr add 198.18.2.1/24 dev net9
	ip -n "$wan" addr add fe80::1/64 dev net0 nodad
	ip -n "$wan" addr add fe80::9/64 dev net9 nodad
	ip -n "$wan" -6 route replace 2001:db8:aa::/64 via fe80::ff:fe00:220 dev net0
	in_ns "$router" sysctl -qw net.ipv6.conf.wan0.accept_ra=2
}

auto_lab() {
	setup_ns lan router wan
	veth "$lan" eth0 02:00:00:00:01:80 "$router" lan0 02:00:00:00:01:01
	napi "$lan" eth0
	ip -n "$lan" addr add 192.168.0.80/24 dev eth0
	ip -n "$lan" addr add 2001:db8:aa::80/64 dev eth0 nodad
	ip -n "$lan" route add default via 192.168.0.1
	ip -n "$lan" -6 route add default via 2001:db8:aa::1
	ip -n "$router" addr add 192.168.0.1/24 dev lan0
	ip -n "$router" addr add 2001:db8:aa::1/64 dev lan0 nodad
	in_ns "$wan" sysctl -qw net.ipv4.conf.default.arp_ignore=1 net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2
	ip -n "$wan" addr add 198.51.100.9/32 dev lo
	ip -n "$wan" addr add 2001:db8:f::9/128 dev lo nodad
	ip -n "$router" tuntap add dev tun0 mode tun
	cable
	forwarding "$wan"
	for which in 1 2; do
		cat > "$FL_TMP/dhcpd$which.conf" <<-CONF
		start 198.18.$which.20
		end 198.18.$which.20
		interface $([ "$which" = 1 ] && echo net0 || echo net9)
		lease_file $FL_TMP/leases$which
		option subnet 255.255.255.0
		option router 198.18.$which.1
		option lease 600
		CONF
		: > "$FL_TMP/leases$which"
	done
	cat > "$FL_TMP/udhcpc.script" <<-'SCRIPT'
	#!/bin/sh
	case $1 in
	deconfig)
		ip -4 addr flush dev "$interface"
		;;
	bound | renew)
		ip -4 addr flush dev "$interface"
		ip addr add "$ip/24" dev "$interface"
		ip route replace default via "$router" dev "$interface" proto dhcp metric 100
		;;
	esac
	SCRIPT
	chmod +x "$FL_TMP/udhcpc.script"
}

auto_config() {
	cat > "$FL_TMP/router.json" <<-JSON
	{
		"node": { "name": "router" },
		"interfaces": {
			"wan": { "device": "wan0", "mode": "$1" }, "lan": { "device": "lan0", "mode": "$1" }, "link": { "device": "tun0" }
		},
		"tunnels": {
			"he0": { "type": "6in4", "underlay": "wan", "local": "interface", "remote": "198.51.100.9", "address": "2001:db8:1::2/64" }
		},
		"gateways": {
			"isp_gw": { "interface": "wan", "address": "auto", "monitor": { "interval_ms": 100, "up_after": 1 } },
			"link_gw": { "interface": "link", "address": "auto", "monitor": false }
		},
		"gateway_groups": { "out": { "members": [ { "gateway": "isp_gw" } ] } },
		"routes": [ { "destination": "0.0.0.0/0", "gateway": "out" }, { "destination": "::/0", "gateway": "out" } ],
		"rules": [ { "name": "the LAN goes out", "action": "pass", "direction": "in", "interface": "lan" } ],
		"nat": [ { "type": "snat", "interface": "wan", "source": { "address": "192.168.0.0/24" }, "translate_to": "interface" } ]
	}
	JSON
	daemon_start router "$router" "$FL_TMP/router.json"
}

start_all() {
	auto_lab && auto_config "$1"
}

made_anew() {
	ip -n "$router" link del wan0
	slowwait 5 is down || fail "it is not down: $(fl router show gateways)"
	cable
	ip -n "$router" addr add 198.18.1.78/24 dev wan0
	ip -n "$router" route add default via 198.18.1.1
}

# The machine gets another address while no daemon runs
readdressed() {
	[ "$(translated_as 198.18.1.78)" -gt 0 ] || fail "no connection is translated"
	daemon_kill router
	ip -n "$router" addr del 198.18.1.78/24 dev wan0
	ip -n "$router" addr add 198.18.1.79/24 dev wan0
	ip -n "$router" route replace default via 198.18.1.1
	daemon_start router "$router" "$FL_TMP/router.json"
	slowwait 5 none_translated_as 198.18.1.78 || fail "connections have the old address: $(fl router show states)"
}

# Routes to the gateway itself, in place of the group
plain() {
	sed -i 's|/0", "gateway": "out"|/0", "gateway": "isp_gw"|g' "$FL_TMP/router.json"
	fl router apply "$FL_TMP/router.json"
}

translated_as() {
	fl router --json show states | json "sum(s['translated_source'] == '$1' for s in d)"
}

none_translated_as() {
	[ "$(translated_as "$1")" = 0 ]
}

is() {
	[ "$(fl router --json show gateways | json 'd[0]["status"]')" = "$1" ]
}

scenario() {
	started start_all "$1" || return
	python_tests auto.py --lab "$FL_PREFIX" --how all --config "$FL_TMP/router.json"
	run_test device-made-anew made_anew
	python_tests auto.py --lab "$FL_PREFIX" --how again --config "$FL_TMP/router.json"
	run_test readdressed-without-a-daemon readdressed
	run_test plain-routes plain
	python_tests auto.py --lab "$FL_PREFIX" --how plain --config "$FL_TMP/router.json"
}

FL_MODES=${FL_MODES:-native} modes scenario
finish
