#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Devices that the configuration does not have: between two of them nothing is forwarded, in either family, that was not
# before fairlead; what was goes on; and one that has learned a default route by router advertisement keeps it.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../lab.sh"

one='' two='' # beyond the router's devices str1 and str2, which are nobody's

# stranger NS DEVICE NUMBER: a cable to the router, with addresses and a default route
stranger() {
	veth "$1" eth0 "02:00:00:00:0$3:02" "$router" "$2" "02:00:00:00:0$3:01"
	ip -n "$1" addr add "2001:db8:e$3::2/64" dev eth0 nodad
	ip -n "$1" addr add "198.18.$3.2/24" dev eth0
	ip -n "$router" addr add "2001:db8:e$3::1/64" dev "$2" nodad
	ip -n "$router" addr add "198.18.$3.1/24" dev "$2"
	ip -n "$1" -6 route add default via "2001:db8:e$3::1"
	ip -n "$1" route add default via "198.18.$3.1"
}

lab() {
	lab_up && broker_python && setup_ns one two || return
	stranger "$one" str1 7
	stranger "$two" str2 8
	[ "$1" = off ] || forwarding "$router"
	router_config auto
	in_ns "$router" sysctl -a 2> /dev/null | grep -E 'conf\.(all|default|lo|str[12])\..*(forward|accept_ra |redirects)' > "$FL_TMP/before"
	check_match "settings of before" "$(cat "$FL_TMP/before")" 'ipv6.conf.str1.forwarding'
}

# echos FAMILY: echo requests that have come to the second one
echos() {
	local counter=IcmpInEchos
	[ "$1" = 4 ] || counter=Icmp6InEchos
	in_ns "$two" nstat -asz "$counter" | awk '/InEchos/ { print $2 }'
}

# between PASSES: how many of five packets of each family get from one stranger to the other
between() {
	local family address before
	check "the router is reached" in_ns "$one" ping -n -q -c 1 -W 2 198.18.7.1
	check "the router is reached" in_ns "$one" ping -n -q -c 1 -W 2 2001:db8:e7::1
	for family in 4 6; do
		address=198.18.8.2
		[ "$family" = 4 ] || address=2001:db8:e8::2
		before=$(echos "$family")
		in_ns "$one" ping "-$family" -n -q -c 5 -i 0.02 -W 1 "$address" > /dev/null 2>&1
		check_equal "IPv$family packets between strangers" $(($(echos "$family") - before)) "$1"
	done
}

# A stranger's packets do not get out by our ports either, and ours not to a stranger
across() {
	check_not "stranger to the LAN" pings "$one" "$LAN_HOST" 2
	check_not "stranger to the broker" in_ns "$one" ping -n -q -c 2 -i 0.02 -W 1 "$BROKER"
	check_not "LAN to a stranger" pings "$lan" 2001:db8:e8::2 2
	check_not "LAN to a stranger" in_ns "$lan" ping -n -q -c 2 -i 0.02 -W 1 198.18.8.2
}

settings_stay() {
	in_ns "$router" sysctl -a 2> /dev/null | grep -E 'conf\.(all|default|lo|str[12])\..*(forward|accept_ra |redirects)' > "$FL_TMP/after"
	check_equal "settings of all, default, and the strangers" "$(diff "$FL_TMP/before" "$FL_TMP/after")" ""
}

started_beside() {
	router_start || return
	warm_up
	check "IPv4 passes between our ports" in_ns "$lan" ping -n -q -c 2 -i 0.02 -W 2 "$BROKER"
}

# A device that comes while fairlead runs is no port either
comes_later() {
	ip -n "$router" link del str2
	stranger "$two" str2 8
	between "$1"
	settings_stay
}

# Forwarding is switched on for our ports while the other device lives by what it has learned
learned_default() {
	in_ns "$router" sysctl -qw net.ipv6.conf.str1.accept_ra=1
	in_ns "$one" "$FL_PYTHON" - <<-'PY'
	import packet, wire
	port = wire.Port(None, "eth0")
	advert = packet.icmp6("fe80::1", "ff02::1", 134, 0, 64 << 24 | 1800, bytes(8))
	port.send_to("33:33:00:00:00:01", packet.ip6("fe80::1", "ff02::1", 58, advert, hop=255))
	PY
	slowwait 5 has_learned || { fail "no default route was learned: $(ip -n "$router" -6 route)"; return; }
	cp "$FL_TMP/router.json" "$FL_TMP/whole.json"
	router_start 'd["routes"] = []' || return
	check "the learned default route is there" has_learned
	check_equal "accept_ra of the stranger" "$(in_ns "$router" sysctl -n net.ipv6.conf.str1.accept_ra)" 1
	daemon_remove router
	check "the learned default route is still there" has_learned
	cp "$FL_TMP/whole.json" "$FL_TMP/router.json"
}

has_learned() {
	ip -n "$router" -6 route show default | grep -q 'via fe80::1 dev str1'
}

unloaded() {
	check "unload" fl router unload --yes
	between "$1"
	settings_stay
}

# scenario off|on PASSES: what forwarding is before fairlead
scenario() {
	test_group "forwarding-$1"
	started lab "$1" || return
	run_test before between "$2"
	if [ "$1" = off ]; then
		run_test learned-default learned_default
		in_ns "$router" sysctl -qw net.ipv6.conf.str1.accept_ra=0
		ip -n "$router" -6 route del default via fe80::1 dev str1
	fi
	run_test start started_beside || return
	run_test between between "$2"
	run_test across across
	run_test settings settings_stay
	run_test comes-later comes_later "$2"
	run_test unload unloaded "$2"
}

scenario off 0
teardown
scenario on 5
teardown
finish
