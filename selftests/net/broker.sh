#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The broker's side: 1,000 clients, each confined to its own prefixes; and two fairleads, one of them the broker, with a LAN
# host and an internet host behind them.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../lab.sh"

# The clients are packets that wan makes: it must not answer in their place
many_clients() {
	lab_up
	ip -n "$wan" route add blackhole 198.18.0.0/15
	"$FL_PYTHON" "$FL_NET/broker.py" --config "$FL_TMP/broker.json" "$1" &&
		daemon_start broker "$broker" "$FL_TMP/broker.json"
}

listed() {
	check_equal "the remotes shown" "$(fl broker --json show tunnels | json '"198.18.0.1" in str(d)')" True
}

two_fairleads() {
	lab_up && broker_fairlead "$1" && router_config "$1" && router_start
}

ping_both_ways() {
	check "LAN to internet" pings "$lan" "$INET_HOST" 20
	check "internet to LAN" pings "$inet" "$(outside "$LAN_HOST")" 20
	check "router to broker" pings "$router" "$TUNNEL_BROKER"
	check "broker to router" pings "$broker" "$TUNNEL_ROUTER"
}

tcp_both_ways() {
	check "20 MB up" transfer tcp "$lan" "$inet" "$INET_HOST" 20000000
	check "20 MB down" transfer tcp "$lan" "$inet" "$INET_HOST" 20000000 --reverse
}

# the pings: the checksums of the hosts' TCP are not finished, which is work for tc
pair_by_xdp() {
	by_xdp "$1" 30 router lan wan
	by_xdp "$1" 30 broker wan inet
}

scenario() {
	test_group "$1/1000-clients"
	if started many_clients "$1"; then
		python_tests broker.py --lab "$FL_PREFIX" --mode "$1" --instance broker
		run_test listed listed
		run_test by-xdp by_xdp "$1" 1000 broker wan inet
	fi
	teardown
	test_group "$1/pair"
	started two_fairleads "$1" || return
	run_test warm-up warm_up || return
	run_test ping ping_both_ways
	run_test tcp-20-mb tcp_both_ways
	run_test by-xdp pair_by_xdp "$1"
}

modes scenario
finish
