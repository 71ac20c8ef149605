#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The shipped configs/S3.json as it is: IPv6 by several tunnel brokers, of which the second takes over from the first, with a plain
# prefix translation. Then with the third broker, which never answers, in the group; with all of them dead; without the daemon.
#
#   lan                router: eth1, eth0              wan                      he    1::1   f::1 ── eth0   inet
#   aa::80          aa::1    203.0.113.2 ── 203.0.113.1  .62  ───────────── 198.51.100.1                    2001:db8:f::99
#   192.168.0.80    192.168.0.1                          .126 ────────────  198.51.100.65                   resolver ::64
#                                                        nobody: .129       ip4m  2::1   e::1 ── eth1
#
# Each broker lets out what has an address of its own only. The resolver is 2001:4860:4860::64.

LAB_LAN=eth1 LAB_WAN=eth0
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../lab.sh"

# shellcheck disable=SC2034 # broker() has them by their names
he='' ip4m=''
RESOLVER=2001:4860:4860::64

# broker NAME DEVICE MAC ADDRESS NEXT TUNNEL-PREFIX LAN-PREFIX INET-DEVICE INET-PREFIX
broker() {
	local ns=${!1}
	veth "$wan" "$2" "02:00:00:00:0$3:01" "$ns" wan0 "02:00:00:00:0$3:10"
	veth "$ns" inet0 "02:00:00:00:0$3:02" "$inet" "$8" "02:00:00:00:0$3:99"
	ip -n "$wan" addr add "$5/26" dev "$2"
	ip -n "$ns" addr add "$4/26" dev wan0
	ip -n "$ns" route add default via "$5"
	ip -n "$ns" addr add "$9::1/64" dev inet0 nodad
	ip -n "$inet" addr add "$9::99/64" dev "$8" nodad
	ip -n "$inet" -6 route add "$6::/64" via "$9::1"
	ip -n "$inet" -6 route add "$7::/64" via "$9::1"
	wire "$wan" "$2"
	forwarding "$ns"
	background "$ns" "$FL_PYTHON" "$FL_NET/sixin4.py" --local "$4" --remote 203.0.113.2 --tun tun6 > "$FL_TMP/$1.log"
	chrt --fifo --pid 1 $! 2> /dev/null # on a busy machine the daemon's timekeeper would take it for dead
	slowwait 10 grep -q ready "$FL_TMP/$1.log" || { fail "sixin4.py did not start"; return 1; }
	ip -n "$ns" link set dev tun6 up mtu 1480
	ip -n "$ns" addr add "$6::1/64" dev tun6 nodad
	ip -n "$ns" -6 route add "$7::/64" dev tun6
	[ "$INET_HOST" = "$9::99" ] || ip -n "$ns" -6 route add "$INET_HOST" via "$9::99"
	ip -n "$ns" -6 route add "$RESOLVER" via "$9::99"
	in_ns "$ns" nft -f - <<-NFT
	table ip6 broker {
		chain forward { type filter hook forward priority 0; iifname "tun6" ip6 saddr != { $6::/64, $7::/64 } counter drop; }
	}
	NFT
}

brokers() {
	setup_ns lan router wan he ip4m inet
	veth "$lan" eth0 02:00:00:00:01:80 "$router" "$LAB_LAN" 02:00:00:00:01:01
	veth "$router" "$LAB_WAN" 02:00:00:00:02:20 "$wan" net0 02:00:00:00:02:01
	napi "$lan" eth0
	napi "$wan" net0
	ip -n "$lan" addr add "$LAN_HOST/64" dev eth0 nodad
	ip -n "$lan" -6 route add default via "$LAN_ROUTER"
	ip -n "$router" addr add "$LAN_ROUTER/64" dev "$LAB_LAN" nodad
	ip -n "$router" -6 neigh add 2001:db8:aa::51 lladdr 02:00:00:00:01:80 dev "$LAB_LAN"
	ip -n "$router" addr add 192.168.0.1/24 dev "$LAB_LAN"
	ip -n "$router" addr add 203.0.113.2/24 dev "$LAB_WAN"
	ip -n "$wan" addr add 203.0.113.1/24 dev net0
	ip -n "$wan" route add blackhole 198.51.100.128/26
	ip -n "$inet" addr add "$RESOLVER/128" dev lo nodad
	forwarding "$wan"
	in_ns "$router" sysctl -qw "net.ipv6.conf.$LAB_WAN.accept_ra=1" # a default route that nothing may leave by
	python_in_ns "$wan" advertise.py net0 2001:db8:15b::/64
	slowwait 5 in_ns "$router" ip -6 route get 2001:db8:77::1 || fail "the router has learned no default route"
	broker he net1 3 198.51.100.1 198.51.100.62 2001:db8:1 2001:db8:aa eth0 2001:db8:f || return
	broker ip4m net2 4 198.51.100.65 198.51.100.126 2001:db8:2 2001:db8:bb eth1 2001:db8:e
}

start_all() {
	brokers || return
	cp "$FL_ROOT/configs/S3.json" "$FL_TMP/router.json"
	router_start "for i in d['interfaces'].values(): i['mode'] = '$1'"
}

pings_begin() {
	in_ns "$lan" ping -6 -n -q -c "$1" -i 0.01 -W 2 "$INET_HOST" > "$FL_TMP/ping" 2>&1 &
	fl_pids+=($!)
}

# The second carries, by failback "keep", since the first was down for a while
killed_and_restarted() {
	pings_begin 500
	daemon_kill router
	sleep 2 # the programs take it for dead a second and a half later
	daemon_start router "$router" "$FL_TMP/router.json" || return
	sleep 1 # both are probed
	wait "${fl_pids[-1]}"
	check_match "pings" "$(cat "$FL_TMP/ping")" ' 0% packet loss'
	check_equal "what carries" "$(fl router --json show groups | json 'd[0]["active"]')" "['ip4m_gw']"
	check_equal "gateways" "$(fl router --json show gateways | json '{g["name"]: g["status"] for g in d if g["name"] != "netassist_gw"}')" \
		"{'isp_gw': 'up', 'he_gw': 'up', 'ip4m_gw': 'up'}"
}

scenario() {
	started start_all "$1" || return
	python_tests s3.py --lab "$FL_PREFIX" --how as-shipped --config "$FL_TMP/router.json"
	run_test status check_match "status" "$(fl router status | head -n 1)" '^OK'
	[ "$1" != tc ] || return
	python_tests s3.py --lab "$FL_PREFIX" --how three --config "$FL_TMP/router.json"
	run_test killed-and-restarted killed_and_restarted
	python_tests s3.py --lab "$FL_PREFIX" --how restarted --config "$FL_TMP/router.json"
}

FL_MODES=${FL_MODES:-native tc} modes scenario
finish
