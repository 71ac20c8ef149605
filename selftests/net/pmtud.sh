#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Path MTU discovery for a host that sends 1500 bytes, with MSS clamping off: Packet Too Big arrives and says the right thing,
# a narrower path behind the router is learned from ICMPv4, errors about other people's packets change nothing.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../lab.sh"

forget_routes() {
	in_ns "$lan" ip -6 route flush cache
	in_ns "$inet" ip -6 route flush cache
}

tcp_both_ways() {
	forget_routes
	check "5 MB from the LAN" transfer tcp "$lan" "$inet" "$INET_HOST" 5000000 --seconds 20
	check "5 MB to the LAN" transfer tcp "$lan" "$inet" "$INET_HOST" 5000000 --seconds 20 --reverse
}

learned_by_the_host() {
	forget_routes
	in_ns "$lan" ping -6 -n -q -c 2 -i 0.1 -W 1 -M "do" -s 1452 "$INET_HOST" > "$FL_TMP/ping"
	check_match "the LAN host's route" "$(in_ns "$lan" ip -6 route get "$INET_HOST")" 'mtu 1480'
}

# The cable between wan and broker becomes narrower: only ICMPv4 can tell the router
narrow_path() {
	in_ns "$wan" ip link set dev net1 mtu 1400
	in_ns "$broker" ip link set dev wan0 mtu 1400
	in_ns "$broker" ip link set dev tun6 mtu 1380
	tcp_both_ways
	check_equal "the tunnel's MTU" "$(fl router --json show tunnels | json 'd[0]["mtu"]')" 1380
	check_match "the LAN host's route" "$(in_ns "$lan" ip -6 route get "$INET_HOST")" 'mtu 1380'
}

# apply_with STATEMENT: the configuration changed by it, applied
apply_with() {
	config_edit "$FL_TMP/router.json" "$1"
	check "apply" fl router apply "$FL_TMP/router.json"
}

fixed_mtu() {
	apply_with 'd["tunnels"]["he0"]["mtu"] = 1300'
	check_equal "the tunnel's MTU" "$(fl router --json show tunnels | json 'd[0]["mtu"]')" 1300
	check_match "the device" "$(in_ns "$router" ip link show dev he0)" 'mtu 1300'
	tcp_both_ways
	check_match "the LAN host's route" "$(in_ns "$lan" ip -6 route get "$INET_HOST")" 'mtu 1300'
}

clamp() {
	apply_with "d['tunnels']['he0']['mtu'] = 1480; d['tunnels']['he0']['mss_clamp'] = $1"
}

# What the path to one remote was found to be is nothing for another one, nor for a later one of the same place in the tables
another_remote() {
	check_equal "the tunnel's MTU before" "$(fl router --json show tunnels | json 'd[0]["mtu"]')" 1280
	apply_with 'd["tunnels"]["he0"]["remote"] = "198.51.100.11"'
	check_equal "the tunnel's MTU" "$(fl router --json show tunnels | json 'd[0]["mtu"]')" 1480
	apply_with 'd["tunnels"]["he0"]["remote"] = "198.51.100.10"'
	check_equal "the tunnel's MTU" "$(fl router --json show tunnels | json 'd[0]["mtu"]')" 1480
}

scenario() {
	started lab_with "$1" || return
	run_test warm-up warm_up || return
	run_test learned-by-the-host learned_by_the_host
	run_test tcp-5-mb tcp_both_ways
	run_test narrow-path narrow_path
	run_test mtu-given fixed_mtu
	test_group "$1/clamp-off"
	python_tests mss.py --lab "$FL_PREFIX" --mode off
	test_group "$1/clamp-auto"
	run_test apply clamp '"auto"' && python_tests mss.py --lab "$FL_PREFIX" --mode auto
	test_group "$1/clamp-1300"
	run_test apply clamp 1300 && python_tests mss.py --lab "$FL_PREFIX" --mode 1300
	teardown
	test_group "$1/wire"
	started lab_with "$1" && run_test warm-up warm_up && python_tests pmtud.py --lab "$FL_PREFIX" --mode auto
	run_test another-remote another_remote
	test_group "$1/set"
	run_test apply apply_with 'd["tunnels"]["he0"]["mtu"] = 1400' && python_tests pmtud.py --lab "$FL_PREFIX" --mode 1400
}

modes scenario
finish
