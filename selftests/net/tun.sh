#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Devices without an Ethernet header: a TUN device as the LAN, and one as the underlay, as with ppp, wg or wwan.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../lab.sh"

# tun_instead OF: a TUN device with the addresses and routes of the router's cable
tun_instead() {
	ip -n "$router" tuntap add dev tun0 mode tun
	ip -n "$router" link set dev tun0 up
	ip -n "$router" addr flush dev "$1"
	if [ "$1" = "$LAB_LAN" ]; then
		ip -n "$router" addr add "$LAN_ROUTER/64" dev tun0 nodad
	else
		ip -n "$router" addr add "$WAN_ROUTER/24" dev tun0
		ip -n "$router" route replace default dev tun0
	fi
}

lan_is_tun() {
	lab_up && broker_python || return
	tun_instead "$LAB_LAN"
	router_config "$1"
	router_start 'd["interfaces"]["lan"] = { "device": "tun0" }'
}

wan_is_tun() {
	lab_up || return
	tun_instead "$LAB_WAN"
	router_config "$1"
	router_start 'd["interfaces"]["wan"] = { "device": "tun0" }'
}

shown() {
	local row
	row=$(fl router --json show interfaces | json '[(i["mode"], i["reason"]) for i in d if i["device"] == "tun0"]')
	check_match "mode and reason of tun0" "$row" "^\[\('tc', '.+'\)\]$"
}

# The device comes after the daemon, as ppp0 does
later() {
	lab_up || return
	router_config auto
	router_start 'd["interfaces"]["wan"] = { "device": "tun0" }' || return
	tun_instead "$LAB_WAN"
	slowwait 10 attached || fail "tun0 was not taken in: $(fl router --json show interfaces)"
}

attached() {
	fl router --json show interfaces | json '[i["mode"] for i in d if i["device"] == "tun0"]' | grep -q "'tc'"
}

scenario() {
	test_group "$1/lan"
	if started lan_is_tun "$1"; then
		run_test mode shown
		python_tests l3.py --lab "$FL_PREFIX" --mode lan
	fi
	teardown
	test_group "$1/wan"
	if started wan_is_tun "$1"; then
		run_test mode shown
		python_tests l3.py --lab "$FL_PREFIX" --mode wan
	fi
}

modes scenario
test_group later
if started later; then
	python_tests l3.py --lab "$FL_PREFIX" --mode wan
fi
teardown
finish
