#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The shipped pair configs/6in4-home.json and configs/6in4-broker.json as it is: one's own tunnel broker on a hosted machine
# with a single card, a home router whose IPv4 stays with the host's nftables, once with the public address and once behind
# a NAT device that forwards protocol 41.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../lab.sh"
. "$(dirname "$0")/../brokerlab.sh"

start_both() {
	world
	"$1"
	cp "$FL_ROOT/configs/6in4-home.json" "$FL_TMP/home.json"
	cp "$FL_ROOT/configs/6in4-broker.json" "$FL_TMP/broker.json"
	daemon_start broker "$broker" "$FL_TMP/broker.json" && daemon_start home "$home" "$FL_TMP/home.json"
}

carries() {
	check "LAN to internet" pings "$lan" "$INET_HOST" 10
	check "internet to LAN" pings "$inet" "$HOST" 10
	check "home to internet" pings "$home" "$INET_HOST"
	check "internet to home" pings "$inet" 2001:db8:cccc:5b10::b
	check "20 MB up" transfer tcp "$lan" "$inet" "$INET_HOST" 20000000
	check "20 MB down" transfer tcp "$lan" "$inet" "$INET_HOST" 20000000 --reverse
	check "20 MB from outside" transfer tcp "$inet" "$lan" "$HOST" 20000000
}

ok_status() {
	check_match "home" "$(fl home status | head -n 1)" '^OK'
	check_match "broker" "$(fl broker status | head -n 1)" '^OK'
}

local_is() {
	[ "$(fl home --json show tunnels | json 'd[0]["local"]')" = "$1" ]
}

# local: "interface": the ISP gives another address, and then the first one again
follows_the_address() {
	check "local address" local_is "$WAN_ROUTER"
	ip -n "$home" addr del "$WAN_ROUTER/24" dev enp1s0
	ip -n "$home" addr add 203.0.113.21/24 dev enp1s0
	ip -n "$home" route replace default via 203.0.113.1
	slowwait 10 local_is 203.0.113.21 || fail "it did not follow: $(fl home show tunnels)"
	check_not "the broker does not know that one" pings "$lan" "$INET_HOST" 1
	ip -n "$home" addr del 203.0.113.21/24 dev enp1s0
	ip -n "$home" addr add "$WAN_ROUTER/24" dev enp1s0
	ip -n "$home" route replace default via 203.0.113.1
	slowwait 10 local_is "$WAN_ROUTER" || fail "it did not follow back: $(fl home show tunnels)"
	first_ping
	check "carries" pings "$lan" "$INET_HOST" 10
}

for how in public behind_nat; do
	test_group $how
	if started start_both $how && run_test first-ping first_ping; then
		run_test carries carries
		run_test ipv4 ipv4_is_the_hosts
		run_test status ok_status
		[ $how = behind_nat ] || run_test follows-the-address follows_the_address
	fi
	teardown
done
finish
