#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The external prefix follows that of the WAN interface, which router advertisements give, exchange and take away while a flow
# runs. wan's end of the cable advertises; with duplicate address detection, as hosts have it.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../lab.sh"

advertised() {
	lab_up || return
	in_ns "$router" sysctl -qw "net.ipv6.conf.all.accept_dad=1" "net.ipv6.conf.$LAB_WAN.accept_dad=1" "net.ipv6.conf.$LAB_WAN.accept_ra=1"
	router_config "$1"
	router_start 'd["tunnels"] = {}; d["gateways"] = {}; d["routes"] = []
d["prefix_translations"] = [{ "interface": "wan", "internal": "'"$INTERNAL"'", "external": { "from": "wan" } }]'
}

scenario() {
	started advertised "$1" || return
	python_tests delegated.py --lab "$FL_PREFIX" --mode "$1"
	daemon_kill router
	run_test another-daemon daemon_start router "$router" "$FL_TMP/router.json" || return
	python_tests delegated.py --lab "$FL_PREFIX" --mode restarted
}

FL_MODES=${FL_MODES:-native tc} modes scenario
finish
