#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Whatever happens to the daemon, the kernel forwards nothing behind its back: while a LAN host sends without pause, wan sees
# only what was encapsulated and translated, and of IPv4 only what fairlead forwards. One destination is behind the tunnel, the
# others are routed by wan itself.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../lab.sh"

before_start() {
	flood_start
	sleep 0.5 # a while without fairlead
	flood_end silent
}

start() {
	flood_start
	router_start || return
	flood_passing
	flood_end passing
}

reload() {
	local mtu
	flood_start
	for mtu in 1400 1300 1480; do
		config_edit "$FL_TMP/router.json" "d['tunnels']['he0']['mtu'] = $mtu"
		check "apply" fl router apply "$FL_TMP/router.json"
		config_edit "$FL_TMP/router.json" 'd["prefix_translations"].reverse()'
		check "apply" fl router apply "$FL_TMP/router.json"
	done
	flood_passing
	flood_end passing
}

killed() {
	flood_start
	daemon_kill router
	flood_passing
	daemon_start router "$router" "$FL_TMP/router.json" || return
	flood_passing
	daemon_kill router TERM
	flood_passing
	daemon_start router "$router" "$FL_TMP/router.json" || return
	flood_passing
	flood_end passing
}

taken_over() {
	grep -c 'a running data plane is taken over' "$FL_TMP/router.log"
}

# Somebody has taken the programs off the devices; what was kept says that fairlead forwards, but it does not: a first start
killed_and_stripped() {
	local dev before
	before=$(taken_over)
	[ "$before" -ge 1 ] || fail "no daemon says that it took over what was there"
	daemon_kill router
	for dev in lan0 wan0 he0 fl-icmp-rx; do
		in_ns "$router" sysctl -qw "net.ipv6.conf.$dev.forwarding=0" "net.ipv4.conf.$dev.forwarding=0"
		in_ns "$router" tc qdisc del dev "$dev" clsact
		in_ns "$router" ip link set dev "$dev" xdp off
	done
	flood_start
	daemon_start router "$router" "$FL_TMP/router.json" || return
	flood_passing
	flood_end passing
	check_equal "times that one took over" "$(taken_over)" "$before"
}

# A part of the configuration goes: what used it must stop, not go on untranslated
taken_away() {
	cp "$FL_TMP/router.json" "$FL_TMP/whole.json"
	config_edit "$FL_TMP/router.json" 'd["prefix_translations"] = []; d["interfaces"]["wan"]["family"] = "inet6"'
	check "apply without translations" fl router apply "$FL_TMP/router.json"
	cp "$FL_TMP/whole.json" "$FL_TMP/router.json"
	flood_start
	check "apply with translations" fl router apply "$FL_TMP/router.json"
	flood_start_again
}

# The flood that saw the change may have seen packets of before it; what follows may not
flood_start_again() {
	flood_passing
	stop_process "$flood_pid"
	flood_start
	flood_passing
	sleep 0.5 # a while of it
	flood_end passing
}

unload() {
	flood_start
	flood_passing
	check "unload" fl router unload --yes
	stop_process "$flood_pid"
	check_equal "leaks until it was unloaded" "$(tail -n 1 "$FL_TMP/flood" | json 'd["leaks"]')" 0
	flood_start
	sleep 0.5 # a while after it
	flood_end silent
	check_equal "forwarding" "$(in_ns "$router" sysctl -n net.ipv6.conf.all.forwarding net.ipv4.ip_forward | xargs)" "0 0"
}

scenario() {
	started flood_lab "$1" || return
	run_test before-start before_start
	run_test start start || return
	run_test reload reload
	run_test kill-and-restart killed
	run_test kill-strip-and-restart killed_and_stripped
	run_test taken-away taken_away
	run_test unload unload
}

modes scenario
finish
