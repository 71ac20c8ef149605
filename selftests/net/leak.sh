#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Whatever happens to the daemon, the kernel forwards nothing behind its back: while a LAN host sends without pause, wan sees
# only what was encapsulated and translated, and of IPv4 only what fairlead forwards. One destination is behind the tunnel, the
# others are routed by wan itself.

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
	check_equal "it sent ($result)" "$(json 'd["sent"] >= 128' <<< "$result")" True
	if [ "$1" = passing ]; then
		check_equal "it passed through the tunnel ($result)" "$(json 'd["tunnel"] >= 32' <<< "$result")" True
		check_equal "it passed by wan ($result)" "$(json 'd["plain"] >= 32' <<< "$result")" True
		check_equal "IPv4 passed ($result)" "$(json 'd["ipv4"] >= 32' <<< "$result")" True
	else
		check_equal "nothing passed ($result)" "$(json 'd["tunnel"] + d["plain"] + d["ipv4"]' <<< "$result")" 0
	fi
}

passing() {
	slowwait 10 in_ns "$lan" ping -6 -n -q -c 1 -W 1 "$INET_HOST" || fail "nothing passes the tunnel"
	slowwait 10 in_ns "$lan" ping -6 -n -q -c 1 -W 1 2001:db8:77::99 || fail "nothing passes by wan"
	slowwait 10 in_ns "$lan" ping -n -q -c 1 -W 1 198.18.7.7 || fail "no IPv4 passes"
}

lab() {
	lab_up && broker_python && router_config "$1" || return
	ip -n "$router" addr add 2001:db8:2::20/64 dev wan0 nodad
	ip -n "$wan" addr add 2001:db8:2::1/64 dev net0 nodad
	ip -n "$wan" addr add 2001:db8:77::99/128 dev lo nodad
	ip -n "$wan" addr add 198.18.7.7/32 dev lo
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
	passing
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
	check_equal "forwarding" "$(in_ns "$router" sysctl -n net.ipv6.conf.all.forwarding net.ipv4.ip_forward | xargs)" "0 0"
}

scenario() {
	started lab "$1" || return
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
