#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The shipped configs/S2.json as it is: a web server on a tunnel's static prefix, while the default route and the LAN's other
# prefix are the ISP's, learned by router advertisement. s2.py walks along the document.
#
# The lab of lab.sh with the addresses of that file, and a second way to the internet. ISP: 2001:db8:15b::/48, which lets out
# nothing else.
#
#   lan            router                        wan                          broker           inet
#   aa::80       aa::1     15b:… (RA)        15b::1  198.51.100.254 ───── 198.51.100.1  f::1 ── eth0 f::99
#   15b:1::80    15b:1::1  203.0.113.20 ── 203.0.113.1     e::1 ──────────────────────────────── eth1 e::99

LAB_LAN=eth1 LAB_WAN=eth0
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../lab.sh"

BROKER=198.51.100.1 # of the configuration; lab.sh has that address for wan
ISP=2001:db8:15b

isp() {
	ip -n "$wan" addr del 198.51.100.1/24 dev net1
	ip -n "$wan" addr add 198.51.100.254/24 dev net1
	ip -n "$broker" route replace default via 198.51.100.254
	veth "$wan" net2 02:00:00:00:05:01 "$inet" eth1 02:00:00:00:05:99
	ip -n "$wan" addr add 2001:db8:e::1/64 dev net2 nodad
	ip -n "$inet" addr add 2001:db8:e::99/64 dev eth1 nodad
	ip -n "$inet" -6 route add "$ISP::/48" via 2001:db8:e::1
	ip -n "$wan" -6 route add "$INET_HOST" via 2001:db8:e::99
	ip -n "$wan" addr add "$ISP::1/64" dev net0 nodad
	ip -n "$wan" -6 route add "$ISP:1::/64" via fe80::ff:fe00:220 dev net0
	ip -n "$router" addr add "$ISP:1::1/64" dev "$LAB_LAN" nodad
	ip -n "$lan" addr add "$ISP:1::80/64" dev eth0 nodad
	in_ns "$wan" nft -f - <<-NFT
	table ip6 isp {
		chain forward { type filter hook forward priority 0; iifname "net0" ip6 saddr != $ISP::/48 counter drop; }
	}
	NFT
	in_ns "$router" sysctl -qw "net.ipv6.conf.$LAB_WAN.accept_ra=1"
	python_in_ns "$wan" advertise.py net0 "$ISP::/64"
	slowwait 5 in_ns "$router" ip -6 route get "$INET_HOST" || fail "the router has no default route: $(ip -n "$router" -6 route)"
}

start_all() {
	lab_up && isp && broker_python || return
	cp "$FL_ROOT/configs/S2.json" "$FL_TMP/router.json"
	router_start "for i in d['interfaces'].values(): i['mode'] = '$1'"
}

first_ping() {
	slowwait 10 in_ns "$inet" ping -6 -n -q -c 1 -W 1 -I "$INET_HOST" "$LAN_HOST" || fail "no answer from $LAN_HOST at all"
}

transfers() {
	check "20 MB to the server" transfer tcp "$inet" "$lan" "$LAN_HOST" 20000000 --port 443 --source "$INET_HOST"
	check "20 MB from the server" transfer tcp "$inet" "$lan" "$LAN_HOST" 20000000 --port 443 --source "$INET_HOST" --reverse
	check "20 MB by the ISP" transfer tcp "$lan" "$inet" "$INET_HOST" 20000000 --source "$ISP:1::80"
}

scenario() {
	started start_all "$1" && run_test first-ping first_ping || return
	python_tests s2.py --lab "$FL_PREFIX" --how as-shipped --config "$FL_TMP/router.json"
	run_test transfers transfers
	run_test status check_match "status" "$(fl router status | head -n 1)" '^OK'
	python_tests s2.py --lab "$FL_PREFIX" --how changed --config "$FL_TMP/router.json"
	run_test transfers-stateful transfers
}

FL_MODES=${FL_MODES:-native tc} modes scenario
finish
