#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Address translation between real hosts: the outbound one of a LAN with a virtual address, servers of the LAN seen from outside and from
# the LAN itself, ICMP errors of routers on both sides, fragments, protocols without ports, and the router's own traffic.
#
#   deep               lan                        router                    wan                        net
#   eth0 ─────── deep0     eth0 ──────────── lan0        wan0 ──────── net0     net1 ─────────── eth0
#   192.168.5.2     .5.1   192.168.0.11,12   192.168.0.1  172.25.46.101   .1    198.51.100.1     198.51.100.99
#                          2001:db8:aa::11,12       aa::1  2001:db8:2::101  2::1  2001:db8:f::1    2001:db8:f::99
#
# wan0 has .100 (the virtual address), .102 and .103, too; wan drops what is for 203.0.113.0/24, after nat.py has seen it.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../lab.sh"

NET4=198.51.100.99 NET6=2001:db8:f::99 VIP=172.25.46.100
deep='' net=''

nat_lab() {
	local i
	setup_ns deep lan router wan net
	veth "$deep" eth0 02:00:00:00:05:02 "$lan" deep0 02:00:00:00:05:01
	veth "$lan" eth0 02:00:00:00:01:80 "$router" lan0 02:00:00:00:01:01
	veth "$router" wan0 02:00:00:00:02:20 "$wan" net0 02:00:00:00:02:01
	veth "$wan" net1 02:00:00:00:03:01 "$net" eth0 02:00:00:00:03:99
	napi "$lan" eth0
	napi "$wan" net0
	wire "$wan" net0 # as from afar; the hosts keep their offloads
	ip -n "$deep" addr add 192.168.5.2/24 dev eth0
	ip -n "$lan" addr add 192.168.5.1/24 dev deep0
	for i in 11 12 13; do
		ip -n "$lan" addr add 192.168.0."$i"/24 dev eth0
		ip -n "$lan" addr add 2001:db8:aa::"$i"/64 dev eth0 nodad
	done
	ip -n "$router" addr add 192.168.0.1/24 dev lan0
	ip -n "$router" addr add 2001:db8:aa::1/64 dev lan0 nodad
	for i in 101 100 102 103; do
		ip -n "$router" addr add 172.25.46."$i"/24 dev wan0
		ip -n "$router" addr add 2001:db8:2::"$i"/64 dev wan0 nodad
	done
	ip -n "$wan" addr add 172.25.46.1/24 dev net0
	ip -n "$wan" addr add 2001:db8:2::1/64 dev net0 nodad
	ip -n "$wan" addr add 198.51.100.1/24 dev net1
	ip -n "$wan" addr add 2001:db8:f::1/64 dev net1 nodad
	ip -n "$wan" route add blackhole 203.0.113.0/24
	ip -n "$wan" route add blackhole 2001:db8:99::/48
	ip -n "$net" addr add "$NET4"/24 dev eth0
	ip -n "$net" addr add "$NET6"/64 dev eth0 nodad
	ip -n "$deep" route add default via 192.168.5.1
	ip -n "$lan" route add default via 192.168.0.1
	ip -n "$lan" -6 route add default via 2001:db8:aa::1
	for i in 51 52; do # hosts that say nothing by themselves
		ip -n "$router" neigh add 192.168.0."$i" lladdr 02:00:00:00:01:80 dev lan0
		ip -n "$router" neigh add 2001:db8:aa::"$i" lladdr 02:00:00:00:01:80 dev lan0
		ip -n "$lan" route add blackhole 192.168.0."$i"
		ip -n "$lan" route add blackhole 2001:db8:aa::"$i"
	done
	ip -n "$router" route add 192.168.5.0/24 via 192.168.0.11
	ip -n "$router" -6 route add default via 2001:db8:2::1
	ip -n "$net" route add default via 198.51.100.1
	ip -n "$net" -6 route add default via 2001:db8:f::1
	forwarding "$lan"
	forwarding "$wan"
}

nat_config() {
	cat > "$FL_TMP/router.json" <<-JSON
	{
		"node": { "name": "router" },
		"interfaces": { "wan": { "device": "wan0", "mode": "$1" }, "lan": { "device": "lan0", "mode": "$1" } },
		"gateways": { "wan_gw": { "interface": "wan", "address": "172.25.46.1", "monitor": false } },
		"routes": [ { "destination": "0.0.0.0/0", "gateway": "wan_gw" } ],
		"default_action": { "in": "block", "out": "pass" },
		"rules": [
			{ "name": "LAN to any", "action": "pass", "quick": true, "direction": "in", "interface": "lan",
			  "source": { "address": ["lan:network", "192.168.5.0/24"] } },
			{ "name": "servers", "action": "pass", "quick": true, "direction": "in", "interface": "wan",
			  "destination": { "address": ["192.168.0.0/16", "2001:db8:aa::/64"] } }
		],
		"nat": [
			{ "type": "snat", "interface": "wan", "source": { "address": "192.168.0.0/16" },
			  "destination": { "address": "203.0.113.128/25" }, "exempt": true },
			{ "type": "snat", "interface": "wan", "protocol": "udp", "source": { "address": "192.168.0.0/24", "port": 500 },
			  "translate_to": "$VIP", "static_port": true },
			{ "type": "snat", "interface": "wan", "protocol": "udp", "destination": { "address": "203.0.113.44" },
			  "translate_to": "$VIP", "translate_port": "40000-40003" },
			{ "type": "snat", "interface": "wan", "protocol": "udp", "destination": { "address": "203.0.113.64/27" },
			  "translate_to": "$VIP", "endpoint_independent": true },
			{ "type": "one-to-one", "interface": "wan", "source": { "address": "192.168.0.13" }, "translate_to": "172.25.46.103" },
			{ "type": "snat", "interface": "wan", "source": { "address": "192.168.5.0/24" }, "translate_to": "interface" },
			{ "type": "snat", "interface": "wan", "source": { "address": "192.168.0.0/24" }, "translate_to": "$VIP" },
			{ "type": "snat", "interface": "wan", "source": { "address": "172.25.46.101" },
			  "destination": { "address": "203.0.113.99" }, "translate_to": "172.25.46.102" },
			{ "type": "dnat", "interface": ["wan", "lan"], "protocol": "tcp", "destination": { "address": "$VIP", "port": 443 },
			  "translate_to": "192.168.0.12", "translate_port": 8443 },
			{ "type": "dnat", "interface": ["wan", "lan"], "protocol": "udp", "destination": { "address": "$VIP", "port": "6000-6009" },
			  "translate_to": "192.168.0.12", "translate_port": "7000-7009" },
			{ "type": "dnat", "interface": "wan", "protocol": "udp", "destination": { "address": "$VIP", "port": "6100-6109" },
			  "translate_to": "192.168.5.2" },
			{ "type": "dnat", "interface": "wan", "protocol": "udp", "destination": { "address": "172.25.46.101", "port": 6200 },
			  "translate_to": "192.168.5.2" },
			{ "type": "snat", "interface": "lan", "source": { "address": "lan:network" },
			  "destination": { "address": "192.168.0.12" }, "translate_to": "interface" },
			{ "type": "snat", "interface": "wan", "source": { "address": "2001:db8:aa::/64" }, "translate_to": "2001:db8:2::100" },
			{ "type": "dnat", "interface": "wan", "protocol": ["tcp", "udp"], "destination": { "address": "2001:db8:2::100", "port": 80 },
			  "translate_to": "2001:db8:aa::12", "translate_port": 8080 }
		]
	}
	JSON
}

nat_start() {
	nat_lab && nat_config "$1" && router_start || return
	slowwait 10 in_ns "$lan" ping -n -q -c 1 -W 1 "$NET4" || fail "no answer from $NET4 at all"
	slowwait 10 in_ns "$lan" ping -6 -n -q -c 1 -W 1 "$NET6" || fail "no answer from $NET6 at all"
}

# received INTERFACE: packets, whatever their size
received() {
	fl router --json show interfaces | json "next(i['rx_packets'] for i in d if i['name'] == '$1')"
}

tcp_100_mb() {
	local packets finished
	packets=$(received lan)
	finished=$(xdp_finished lan)
	check "100 MB out" transfer tcp "$lan" "$net" "$NET4" 100000000
	packets=$(($(received lan) - packets))
	finished=$(($(xdp_finished lan) - finished))
	# the LAN host's offloads are on: segments of up to 64 kB, or, where XDP is on its cable and the kernel lets it have none,
	# unfinished checksums, which are work for tc
	if [ "$1" = tc ]; then
		[ "$packets" -lt 35000 ] || fail "$packets packets of 100 MB are not the host's big ones"
	else
		[ "$finished" -lt 1000 ] || fail "the host has finished the checksums of $finished packets"
	fi
	check "100 MB in" transfer tcp "$lan" "$net" "$NET4" 100000000 --reverse
	check "10 MB over IPv6" transfer tcp "$lan" "$net" "$NET6" 10000000
	by_xdp "$1" 20000 router wan # what hosts send has unfinished checksums, which is work for tc
}

servers() {
	check "DNAT, out" transfer tcp "$net" "$lan" "$VIP" 10000000 --port 443 --to-port 8443
	check "DNAT, in" transfer tcp "$net" "$lan" "$VIP" 10000000 --port 443 --to-port 8443 --reverse
	check "DNAT over IPv6" transfer tcp "$net" "$lan" 2001:db8:2::100 10000000 --port 80 --to-port 8080
	check "hairpin" transfer tcp "$lan" "$lan" "$VIP" 10000000 --port 443 --to-port 8443 --source 192.168.0.11 --bind 192.168.0.12
	check "one-to-one" transfer tcp "$net" "$lan" 172.25.46.103 1000000
	check "one-to-one, outward" transfer tcp "$lan" "$net" "$NET4" 1000000 --source 192.168.0.13
}

udp_sizes() {
	check "UDP of all sizes" transfer udp "$lan" "$net" "$NET4" 0 1 63 1400 1472 1473 3000 8000 30000
	check "UDP of all sizes, IPv6" transfer udp "$lan" "$net" "$NET6" 0 1 63 1400 1452 1453 3000 8000
	check "UDP of all sizes, interface" transfer udp "$deep" "$net" "$NET4" 1 1472 3000
}

# A path with a smaller MTU behind the first router outside: Fragmentation Needed comes back through the translation
path_mtu() {
	ip -n "$wan" link set dev net1 mtu 1300
	ip -n "$net" link set dev eth0 mtu 1300
	check "10 MB out over a path of 1300" transfer tcp "$lan" "$net" "$NET4" 10000000
	check "10 MB out over a path of 1300, IPv6" transfer tcp "$lan" "$net" "$NET6" 10000000
	check "DNAT in over a path of 1300" transfer tcp "$net" "$lan" "$VIP" 10000000 --port 443 --to-port 8443 --reverse
	ip -n "$wan" link set dev net1 mtu 1500
	ip -n "$net" link set dev eth0 mtu 1500
	in_ns "$lan" ip route flush cache
	in_ns "$lan" ip -6 route flush cache
}

exhaustion_is_told() {
	check_match "drops" "$(fl router show drops)" 'nat-ports-exhausted'
	slowwait 3 grep -q '[0-9]* packets dropped: no address and port was free to translate' "$FL_TMP/router.log" ||
		fail "nothing in the log: $(tail -n 3 "$FL_TMP/router.log")"
}

fragments_dropped() {
	fl router --json show drops | json 'sum(r["packets"] for r in d if r["reason"] == "fragment-unknown")'
}

# The programs notice a dead daemon by its missing heartbeat, after 3.5 seconds
killed() {
	daemon_kill router
	sleep 4
}

counted() {
	daemon_start router "$router" "$FL_TMP/router.json" || return
	check_equal "fragments counted while the daemon was dead" "$(($(fragments_dropped) - $1))" 5
}

scenario() {
	local before
	started nat_start "$1" || return
	python_tests nat.py --lab "$FL_PREFIX" --mode "$1"
	python_tests order.py --lab "$FL_PREFIX" --mode alive
	run_test exhaustion-is-told exhaustion_is_told
	run_test servers servers
	run_test udp-sizes udp_sizes
	run_test path-mtu path_mtu
	run_test tcp-100-mb tcp_100_mb "$1"
	before=$(fragments_dropped)
	test_group "$1/daemon-dead"
	run_test kill killed
	python_tests order.py --lab "$FL_PREFIX" --mode killed
	run_test counted counted "$before"
}

FL_MODES=${FL_MODES:-native tc}
modes scenario
finish
