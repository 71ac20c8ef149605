# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# One's own tunnel broker on a hosted machine with a single card, a home router whose IPv4 stays with the host's nftables, with
# the public address or behind a NAT device. Devices and addresses are those of the configurations in configs/. Sourced after
# lib.sh and lab.sh.
#
#   lan          home                  nat                      wan                 broker
#   eth0 ──── enp2s0  enp1s0 ── eth1 192.168.1.1  eth0 ──── net0     net1 ────────── eth0
#             192.168.1.2 or 203.0.113.20      203.0.113.20 │ inet0 ── eth0 inet    198.51.100.10

home='' nat=''
HOST=2001:db8:cccc:5b11::80 BROKER6=2001:db8:cccc:5b00::10 HOME_WAN=192.168.1.2

world() {
	setup_ns lan home nat wan broker inet
	veth "$lan" eth0 02:00:00:00:01:80 "$home" enp2s0 02:00:00:00:01:01
	veth "$home" enp1s0 02:00:00:00:02:20 "$nat" eth1 02:00:00:00:06:01
	veth "$nat" eth0 02:00:00:00:06:02 "$wan" net0 02:00:00:00:02:01
	veth "$wan" net1 02:00:00:00:03:01 "$broker" eth0 02:00:00:00:03:10
	veth "$wan" inet0 02:00:00:00:04:01 "$inet" eth0 02:00:00:00:04:99
	napi "$lan" eth0
	napi "$nat" eth1
	napi "$wan" net0
	napi "$wan" net1
	ip -n "$lan" addr add "$HOST/64" dev eth0 nodad
	ip -n "$lan" addr add 192.168.77.80/24 dev eth0
	ip -n "$lan" -6 route add default via 2001:db8:cccc:5b11::1
	ip -n "$lan" route add default via 192.168.77.1
	ip -n "$home" addr add 2001:db8:cccc:5b11::1/64 dev enp2s0 nodad
	ip -n "$home" addr add 192.168.77.1/24 dev enp2s0
	ip -n "$wan" addr add 203.0.113.1/24 dev net0
	ip -n "$wan" addr add 198.51.100.1/24 dev net1
	ip -n "$wan" addr add 2001:db8:cccc:5b00::1/64 dev net1 nodad
	ip -n "$wan" addr add 2001:db8:f::1/64 dev inet0 nodad
	ip -n "$wan" -6 route add 2001:db8:cccc:5b00::/56 via "$BROKER6"
	ip -n "$broker" addr add "$BROKER/24" dev eth0
	ip -n "$broker" addr add "$BROKER6/64" dev eth0 nodad
	ip -n "$broker" route add default via 198.51.100.1
	ip -n "$broker" -6 route add default via 2001:db8:cccc:5b00::1
	ip -n "$inet" addr add "$INET_HOST/64" dev eth0 nodad
	ip -n "$inet" -6 route add default via 2001:db8:f::1
	forwarding "$wan"
	# the home router's own IPv4, as a distribution's firewall does it
	in_ns "$home" sysctl -qw net.ipv4.ip_forward=1
	in_ns "$home" nft -f - <<-'NFT'
	table ip nat {
		chain post { type nat hook postrouting priority srcnat; oifname "enp1s0" ip saddr 192.168.77.0/24 masquerade; }
	}
	NFT
}

# A bridge in place of the NAT device: the router has the public address
public() {
	ip -n "$nat" link add name br0 type bridge
	ip -n "$nat" link set dev eth1 master br0
	ip -n "$nat" link set dev eth0 master br0
	ip -n "$nat" link set dev br0 up
	ip -n "$home" addr add "$WAN_ROUTER/24" dev enp1s0
	ip -n "$home" route add default via 203.0.113.1
}

# The router has a private address, the NAT device the public one; who translates there is yet to come
private() {
	ip -n "$nat" addr add 192.168.1.1/24 dev eth1
	ip -n "$nat" addr add "$WAN_ROUTER/24" dev eth0
	ip -n "$nat" route add default via 203.0.113.1
	ip -n "$home" addr add "$HOME_WAN/24" dev enp1s0
	ip -n "$home" route add default via 192.168.1.1
}

behind_nat() {
	private
	in_ns "$nat" sysctl -qw net.ipv4.ip_forward=1
	in_ns "$nat" nft -f - <<-NFT
	table ip nat {
		chain pre { type nat hook prerouting priority dstnat; iifname "eth0" ip protocol 41 dnat to $HOME_WAN; }
		chain post { type nat hook postrouting priority srcnat; oifname "eth0" masquerade; }
	}
	NFT
}

first_ping() {
	slowwait 10 in_ns "$lan" ping -6 -n -q -c 1 -W 1 "$INET_HOST" || fail "no answer from $INET_HOST at all"
}

ipv4_is_the_hosts() {
	check "LAN to the IPv4 internet, masqueraded" in_ns "$lan" ping -n -q -c 3 -i 0.02 -W 2 "$BROKER"
	check "TCP over it" transfer tcp "$lan" "$wan" 198.51.100.1 5000000
	check "the broker's own IPv4" in_ns "$wan" ping -n -q -c 3 -i 0.02 -W 2 "$BROKER"
	check "TCP to the broker" transfer tcp "$wan" "$broker" "$BROKER" 5000000
	check "the broker's own IPv6" pings "$inet" "$BROKER6"
	check "TCP to the broker over IPv6" transfer tcp "$inet" "$broker" "$BROKER6" 5000000
}
