#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Whatever happens to the daemon, the kernel forwards nothing behind its back: while a LAN host sends without pause, wan sees
# only what was encapsulated and translated. One destination is behind the tunnel, the other one is routed by wan itself.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../lab.sh"

flood_pid=

flood_start() {
	background "$lan" "$FL_PYTHON" "$FL_NET/flood.py" --lab "$FL_PREFIX" > "$FL_TMP/flood"
	flood_pid=$!
	slowwait 10 grep -q ready "$FL_TMP/flood" || fail "flood.py did not start"
}

# flood_end passing|silent: what came out meanwhile
flood_end() {
	local result
	stop_process "$flood_pid"
	result=$(tail -n 1 "$FL_TMP/flood")
	check_equal "leaks ($result)" "$(json 'd["leaks"]' <<< "$result")" 0
	check_equal "it sent ($result)" "$(json 'd["sent"] >= 64' <<< "$result")" True
	if [ "$1" = passing ]; then
		check_equal "it passed through the tunnel ($result)" "$(json 'd["tunnel"] >= 32' <<< "$result")" True
		check_equal "it passed by wan ($result)" "$(json 'd["plain"] >= 32' <<< "$result")" True
	else
		check_equal "nothing passed ($result)" "$(json 'd["tunnel"] + d["plain"]' <<< "$result")" 0
	fi
}

passing() {
	slowwait 10 in_ns "$lan" ping -6 -n -q -c 1 -W 1 "$INET_HOST" || fail "nothing passes the tunnel"
	slowwait 10 in_ns "$lan" ping -6 -n -q -c 1 -W 1 2001:db8:77::99 || fail "nothing passes by wan"
}

lab() {
	lab_up && broker_python && router_config "$1" || return
	ip -n "$router" addr add 2001:db8:2::20/64 dev wan0 nodad
	ip -n "$wan" addr add 2001:db8:2::1/64 dev net0 nodad
	ip -n "$wan" addr add 2001:db8:77::99/128 dev lo nodad
	ip -n "$wan" -6 route add 2001:db8:cc::/64 via 2001:db8:2::20
	ip -n "$router" -6 route add 2001:db8:77::/48 via 2001:db8:2::1
	config_edit "$FL_TMP/router.json" 'd["prefix_translations"].append({
		"interface": "wan", "internal": "2001:db8:aa::/64", "external": "2001:db8:cc::/64" })'
}

before_start() {
	flood_start
	sleep 0.5 # a while without fairlead
	flood_end silent
}

start() {
	flood_start
	router_start || return
	passing
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
	passing
	flood_end passing
}

killed() {
	flood_start
	daemon_kill router
	passing
	daemon_start router "$router" "$FL_TMP/router.json" || return
	passing
	daemon_kill router TERM
	passing
	daemon_start router "$router" "$FL_TMP/router.json" || return
	passing
	flood_end passing
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
	passing
	stop_process "$flood_pid"
	flood_start
	passing
	sleep 0.5 # a while of it
	flood_end passing
}

unload() {
	flood_start
	passing
	check "unload" fl router unload --yes
	stop_process "$flood_pid"
	check_equal "leaks until it was unloaded" "$(tail -n 1 "$FL_TMP/flood" | json 'd["leaks"]')" 0
	flood_start
	sleep 0.5 # a while after it
	flood_end silent
	check_equal "forwarding" "$(in_ns "$router" sysctl -n net.ipv6.conf.all.forwarding)" 0
}

scenario() {
	started lab "$1" || return
	run_test before-start before_start
	run_test start start || return
	run_test reload reload
	run_test kill-and-restart killed
	run_test taken-away taken_away
	run_test unload unload
}

modes scenario
finish
