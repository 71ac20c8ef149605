#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The router's own traffic over the tunnel's device: pings, TCP both ways, its LAN address translated, tcpdump on the device.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../lab.sh"

device() {
	local shown
	shown=$(in_ns "$router" ip -6 addr show dev he0)
	check_match "address" "$shown" "$TUNNEL_ROUTER/64"
	check_match "state" "$shown" 'UP'
	check_match "mtu" "$shown" 'mtu 1480'
	check_match "route" "$(in_ns "$router" ip -6 route show default)" "via $TUNNEL_BROKER dev he0"
}

ping_by_device() {
	check "ping -I he0 to the broker" in_ns "$router" ping -6 -n -q -c 5 -i 0.02 -W 2 -I he0 "$TUNNEL_BROKER"
	check "ping -I he0 to the internet" in_ns "$router" ping -6 -n -q -c 5 -i 0.02 -W 2 -I he0 "$INET_HOST"
	check "ping by the routing table" pings "$router" "$INET_HOST"
	check "1452 bytes" in_ns "$router" ping -6 -n -q -c 3 -i 0.02 -W 2 -s 1432 "$INET_HOST"
}

ping_to_router() {
	check "broker to router" pings "$broker" "$TUNNEL_ROUTER"
	check "internet to router" pings "$inet" "$TUNNEL_ROUTER"
}

tcp_to_router() {
	check "20 MB from the router" transfer tcp "$router" "$inet" "$INET_HOST" 20000000
	check "20 MB to the router" transfer tcp "$router" "$inet" "$INET_HOST" 20000000 --reverse
	check "20 MB to a server on the router" transfer tcp "$inet" "$router" "$TUNNEL_ROUTER" 20000000
}

lan_address() {
	local out
	check "ping from the LAN address" in_ns "$router" ping -6 -n -q -c 3 -i 0.02 -W 2 -I "$LAN_ROUTER" "$INET_HOST"
	out=$(transfer tcp "$router" "$inet" "$INET_HOST" 5000000 --source "$LAN_ROUTER" 2>&1) || fail "TCP from the LAN address: $out"
	check_match "the source that the server sees" "$out" "from $(outside "$LAN_ROUTER"),"
	check "internet to the LAN address's outside" pings "$inet" "$(outside "$LAN_ROUTER")"
	check "TCP to it" transfer tcp "$inet" "$router" "$(outside "$LAN_ROUTER")" 5000000
}

too_big() {
	check_not "1600 bytes that may not be cut" in_ns "$router" ping -6 -n -q -c 1 -W 1 -M "do" -s 1600 "$INET_HOST"
	check "1600 bytes in fragments" in_ns "$router" ping -6 -n -q -c 3 -i 0.05 -W 2 -s 1600 "$INET_HOST"
}

seen_by_tcpdump() {
	local dump
	in_ns "$router" timeout 10 tcpdump -ni he0 -c 4 icmp6 > "$FL_TMP/dump" 2> "$FL_TMP/dump.err" &
	dump=$!
	slowwait 5 grep -q listening "$FL_TMP/dump.err"
	pings "$router" "$INET_HOST" 4 > /dev/null
	wait "$dump"
	check_match "tcpdump -i he0" "$(cat "$FL_TMP/dump")" "$TUNNEL_ROUTER > $INET_HOST: ICMP6, echo request"
	check_match "tcpdump -i he0" "$(cat "$FL_TMP/dump")" "$INET_HOST > $TUNNEL_ROUTER: ICMP6, echo reply"
}

ipv4_stays() {
	check "IPv4 to the broker" in_ns "$router" ping -n -q -c 3 -i 0.02 -W 2 "$BROKER"
	check "IPv4 from the broker" in_ns "$broker" ping -n -q -c 3 -i 0.02 -W 2 "$WAN_ROUTER"
	check "LAN to router" pings "$lan" "$LAN_ROUTER"
	check "TCP to the router over the LAN" transfer tcp "$lan" "$router" "$LAN_ROUTER" 20000000
	check "TCP from the router over the LAN" transfer tcp "$router" "$lan" "$LAN_HOST" 20000000
}

scenario() {
	started lab_with "$1" || return
	run_test warm-up warm_up || return
	run_test device device
	run_test ping-by-device ping_by_device
	run_test ping-to-router ping_to_router
	run_test tcp tcp_to_router
	run_test lan-address lan_address
	run_test too-big too_big
	run_test tcpdump seen_by_tcpdump
	run_test beside-the-tunnel ipv4_stays
}

modes scenario
finish
