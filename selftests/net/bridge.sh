#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A bridge as the LAN: two hosts on its ports reach the internet and each other.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../lab.sh"

second=''

bridged() {
	lab_up && broker_python || return
	setup_ns second
	veth "$second" eth0 02:00:00:00:01:81 "$router" lan1 02:00:00:00:01:02
	ip -n "$router" addr flush dev "$LAB_LAN"
	ip -n "$router" link add name br0 address 02:00:00:00:01:01 type bridge
	ip -n "$router" link set dev "$LAB_LAN" master br0
	ip -n "$router" link set dev lan1 master br0
	ip -n "$router" link set dev br0 up
	ip -n "$router" addr add "$LAN_ROUTER/64" dev br0 nodad
	ip -n "$second" addr add 2001:db8:aa::81/64 dev eth0 nodad
	ip -n "$second" -6 route add default via "$LAN_ROUTER"
	router_config "$1"
	router_start "d['interfaces']['lan'] = { 'device': 'br0'$2 }"
}

mode_of_bridge() {
	fl router --json show interfaces | json '[(i["mode"], i["reason"]) for i in d if i["device"] == "br0"]'
}

carries() {
	slowwait 10 in_ns "$second" ping -6 -n -q -c 1 -W 1 "$INET_HOST" || fail "the second host does not reach the internet"
	check "first host" pings "$lan" "$INET_HOST" 10
	check "second host" pings "$second" "$INET_HOST" 10
	check "host to host" pings "$lan" 2001:db8:aa::81 10
	check "host to router" pings "$lan" "$LAN_ROUTER"
	check "20 MB up" transfer tcp "$lan" "$inet" "$INET_HOST" 20000000
	check "20 MB down" transfer tcp "$second" "$inet" "$INET_HOST" 20000000 --reverse
	check "20 MB between hosts" transfer tcp "$lan" "$second" 2001:db8:aa::81 20000000
	check "UDP" transfer udp "$lan" "$inet" "$INET_HOST" 1 1000 1432 3000
}

# hairpin between two real hosts: the first one reaches the second one by its outside address
hairpin() {
	check "by the outside address" pings "$lan" "$(outside 2001:db8:aa::81)" 10
	check "5 MB by the outside address" transfer tcp "$lan" "$second" "$(outside 2001:db8:aa::81)" 5000000
}

shown() {
	check_match "mode and reason of br0" "$(mode_of_bridge)" "^\[\('tc', '$1'\)\]$"
}

scenario() {
	started bridged "$1" "$2" || return
	run_test warm-up warm_up || return
	run_test mode shown "$3"
	run_test carries carries
	run_test hairpin hairpin
}

test_group auto
scenario native '' 'the driver refuses native XDP .*; tc runs'
teardown
test_group tc
scenario tc ", 'mode': 'tc'" 'tc, as asked'
teardown
test_group generic # a tag lies beside the frame when generic XDP looks
scenario native ", 'mode': 'generic'" 'generic XDP does not see VLAN tags on such a device; tc runs'
teardown
finish
