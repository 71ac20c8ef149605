#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# 1,000 random prefix pairs: the kernel's ip6tables SNPT and DNPT in one namespace, fairlead in another one, the same packets
# through both, compared byte by byte.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../lab.sh"

hosts='' kernel='' fairlead=''

# Both routers' cables end in one namespace; a neighbour entry each way, and the world is behind "out"
cables() {
	local who
	setup_ns hosts kernel fairlead
	for who in kernel fairlead; do
		veth "$hosts" "in-$who" 02:00:00:00:0c:01 "${!who}" in0 02:00:00:00:0a:01
		veth "$hosts" "out-$who" 02:00:00:00:0c:02 "${!who}" out0 02:00:00:00:0b:01
		napi "$hosts" "in-$who"
		napi "$hosts" "out-$who"
		ip -n "${!who}" addr add fc00:a::1/64 dev in0 nodad
		ip -n "${!who}" addr add 2001:db8:f::1/64 dev out0 nodad
		ip -n "${!who}" neigh add fc00:a::2 dev in0 lladdr 02:00:00:00:0c:01 nud permanent
		ip -n "${!who}" neigh add 2001:db8:f::2 dev out0 lladdr 02:00:00:00:0c:02 nud permanent
		ip -n "${!who}" -6 route add default via fc00:a::2 dev in0
		ip -n "${!who}" -6 route add 2001:db8:f::/68 via 2001:db8:f::2 dev out0
	done
	for who in in-kernel out-kernel in-fairlead out-fairlead; do
		in_ns "$hosts" sysctl -qw "net.ipv6.conf.$who.disable_ipv6=1"
	done
}

peers() {
	cables
	"$FL_PYTHON" "$FL_NET/npt_peer.py" --write "$FL_TMP" "$1" || { fail "no configuration"; return; }
	forwarding "$kernel"
	daemon_start router "$fairlead" "$FL_TMP/fairlead.json"
}

scenario() {
	started peers "$1" || return
	python_tests npt_peer.py --lab "$FL_PREFIX" --folder "$FL_TMP" --mode "$1"
}

modes scenario
finish
