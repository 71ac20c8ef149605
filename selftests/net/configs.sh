#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The shipped pair configs/6in4-home.json and configs/6in4-broker.json as it is: one's own tunnel broker on a hosted machine
# with a single card, a home router whose IPv4 stays with the host's nftables, once with the public address and once behind
# a NAT device that forwards protocol 41.
#
#   lan          home                  (nat)                    wan                 broker
#   eth0 ──── enp2s0  enp1s0 ── in0 192.168.1.1  out0 ──── net0     net1 ────────── eth0
#             192.168.1.2 or 203.0.113.20      203.0.113.20 │ inet0 ── eth0 inet    198.51.100.10

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../lab.sh"

home='' nat=''
HOST=2001:db8:cccc:5b11::80 BROKER6=2001:db8:cccc:5b00::10

world() {
	setup_ns lan home nat wan broker inet
	veth "$lan" eth0 02:00:00:00:01:80 "$home" enp2s0 02:00:00:00:01:01
	veth "$home" enp1s0 02:00:00:00:02:20 "$nat" in0 02:00:00:00:06:01
	veth "$nat" out0 02:00:00:00:06:02 "$wan" net0 02:00:00:00:02:01
	veth "$wan" net1 02:00:00:00:03:01 "$broker" eth0 02:00:00:00:03:10
	veth "$wan" inet0 02:00:00:00:04:01 "$inet" eth0 02:00:00:00:04:99
	napi "$lan" eth0
	napi "$nat" in0
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
	ip -n "$nat" link set dev in0 master br0
	ip -n "$nat" link set dev out0 master br0
	ip -n "$nat" link set dev br0 up
	ip -n "$home" addr add "$WAN_ROUTER/24" dev enp1s0
	ip -n "$home" route add default via 203.0.113.1
}

behind_nat() {
	ip -n "$nat" addr add 192.168.1.1/24 dev in0
	ip -n "$nat" addr add "$WAN_ROUTER/24" dev out0
	ip -n "$nat" route add default via 203.0.113.1
	ip -n "$home" addr add 192.168.1.2/24 dev enp1s0
	ip -n "$home" route add default via 192.168.1.1
	in_ns "$nat" sysctl -qw net.ipv4.ip_forward=1
	in_ns "$nat" nft -f - <<-'NFT'
	table ip nat {
		chain pre { type nat hook prerouting priority dstnat; iifname "out0" ip protocol 41 dnat to 192.168.1.2; }
		chain post { type nat hook postrouting priority srcnat; oifname "out0" masquerade; }
	}
	NFT
}

start_both() {
	world
	"$1"
	cp "$FL_ROOT/configs/6in4-home.json" "$FL_TMP/home.json"
	cp "$FL_ROOT/configs/6in4-broker.json" "$FL_TMP/broker.json"
	daemon_start broker "$broker" "$FL_TMP/broker.json" && daemon_start home "$home" "$FL_TMP/home.json"
}

first_ping() {
	slowwait 10 in_ns "$lan" ping -6 -n -q -c 1 -W 1 "$INET_HOST" || fail "no answer from $INET_HOST at all"
}

carries() {
	check "LAN to internet" pings "$lan" "$INET_HOST" 10
	check "internet to LAN" pings "$inet" "$HOST" 10
	check "home to internet" pings "$home" "$INET_HOST"
	check "internet to home" pings "$inet" 2001:db8:cccc:5b10::b
	check "20 MB up" transfer tcp "$lan" "$inet" "$INET_HOST" 20000000
	check "20 MB down" transfer tcp "$lan" "$inet" "$INET_HOST" 20000000 --reverse
	check "20 MB from outside" transfer tcp "$inet" "$lan" "$HOST" 20000000
}

ipv4_is_the_hosts() {
	check "LAN to the IPv4 internet, masqueraded" in_ns "$lan" ping -n -q -c 3 -i 0.02 -W 2 "$BROKER"
	check "TCP over it" transfer tcp "$lan" "$wan" 198.51.100.1 5000000
	check "the broker's own IPv4" in_ns "$wan" ping -n -q -c 3 -i 0.02 -W 2 "$BROKER"
	check "TCP to the broker" transfer tcp "$wan" "$broker" "$BROKER" 5000000
	check "the broker's own IPv6" pings "$inet" "$BROKER6"
	check "TCP to the broker over IPv6" transfer tcp "$inet" "$broker" "$BROKER6" 5000000
}

ok_status() {
	check_match "home" "$(fl home status | head -n 1)" '^OK'
	check_match "broker" "$(fl broker status | head -n 1)" '^OK'
}

local_is() {
	[ "$(fl home --json show tunnels | json 'd[0]["local"]')" = "$1" ]
}

# local: "interface": the ISP gives another address, and then the first one again
follows_the_address() {
	check "local address" local_is "$WAN_ROUTER"
	ip -n "$home" addr del "$WAN_ROUTER/24" dev enp1s0
	ip -n "$home" addr add 203.0.113.21/24 dev enp1s0
	ip -n "$home" route replace default via 203.0.113.1
	slowwait 10 local_is 203.0.113.21 || fail "it did not follow: $(fl home show tunnels)"
	check_not "the broker does not know that one" pings "$lan" "$INET_HOST" 1
	ip -n "$home" addr del 203.0.113.21/24 dev enp1s0
	ip -n "$home" addr add "$WAN_ROUTER/24" dev enp1s0
	ip -n "$home" route replace default via 203.0.113.1
	slowwait 10 local_is "$WAN_ROUTER" || fail "it did not follow back: $(fl home show tunnels)"
	first_ping
	check "carries" pings "$lan" "$INET_HOST" 10
}

for how in public behind_nat; do
	test_group $how
	if started start_both $how && run_test first-ping first_ping; then
		run_test carries carries
		run_test ipv4 ipv4_is_the_hosts
		run_test status ok_status
		[ $how = behind_nat ] || run_test follows-the-address follows_the_address
	fi
	teardown
done
finish
