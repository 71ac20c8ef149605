# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# S5's two nodes with WAN, LAN, DMZ and a sync link of their own. Sourced after pairlab.sh.
#
#   lan  10.0.1.50      10.0.1.1   a 10.0.1.2      a 203.0.113.2     203.0.113.1    203.0.113.254  isp, and the world: 198.51.100.1
#                                  b 10.0.1.3      b 203.0.113.3
#   dmz  10.0.2.50      10.0.2.1   a 10.0.2.2      a 172.16.255.1 ── b 172.16.255.2
#                                  b 10.0.2.3
#
# The same by IPv6, which the files leave out: 2001:db8:1::/64 is the LAN, 2001:db8:2::/64 the DMZ, 2001:db8:f::/64 the WAN, where isp is fe; hosts and
# nodes have the same last numbers. The world: 2001:db8:ff::1

s5_world() {
	local node i=2
	setup_ns switch a b lan dmz isp
	segment wan eth0 "$isp"
	segment lan eth1 "$lan"
	segment dmz eth2 "$dmz"
	segment sync eth3
	for node in "$a" "$b"; do
		ip -n "$node" addr add "203.0.113.$i/24" dev eth0
		ip -n "$node" addr add "10.0.1.$i/24" dev eth1
		ip -n "$node" addr add "10.0.2.$i/24" dev eth2
		ip -n "$node" addr add "172.16.255.$((i - 1))/30" dev eth3
		ip -n "$node" addr add "2001:db8:f::$i/64" dev eth0 nodad
		ip -n "$node" addr add "2001:db8:1::$i/64" dev eth1 nodad
		ip -n "$node" addr add "2001:db8:2::$i/64" dev eth2 nodad
		ip -n "$node" route add default via 2001:db8:f::fe
		i=$((i + 1))
	done
	ip -n "$lan" addr add 10.0.1.50/24 dev eth0
	ip -n "$lan" addr add 2001:db8:1::50/64 dev eth0 nodad
	ip -n "$lan" route add default via 10.0.1.1
	ip -n "$lan" route add default via 2001:db8:1::1
	ip -n "$dmz" addr add 10.0.2.50/24 dev eth0
	ip -n "$dmz" addr add 2001:db8:2::50/64 dev eth0 nodad
	ip -n "$dmz" route add default via 10.0.2.1
	ip -n "$dmz" route add default via 2001:db8:2::1
	ip -n "$isp" addr add 203.0.113.254/24 dev eth0
	ip -n "$isp" addr add 2001:db8:f::fe/64 dev eth0 nodad
	ip -n "$isp" addr add 198.51.100.1/32 dev lo
	ip -n "$isp" addr add 2001:db8:ff::1/128 dev lo
	secrets S5-pri01.json S5-sec01.json
}
