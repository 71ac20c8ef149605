# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The demo's lab: five network namespaces with the addresses and devices of configs/nptv6.json. Names are fixed, so that what
# the demo prints can be typed; $DEMO_DIR, made first and removed last, keeps two of them apart.

DEMO_DIR=/run/fairlead-demo
DEMO_HOSTS=(lan router wan broker inet)
DEMO_INSTANCES=(demo demo-broker)
LAN_HOST=2001:db8:aa::80 INET_HOST=2001:db8:f::99

# in_host HOST COMMAND...: `ip netns exec` would hide the bpf file system
in_host() {
	nsenter --net="/run/netns/demo-$1" -- "${@:2}"
}

# cable HOST DEVICE HOST DEVICE: GRO at an end, switched on when it is up, lets XDP of the other end transmit into it
cable() {
	ip link add name "$2" netns "demo-$1" type veth peer name "$4" netns "demo-$3" &&
		ip -n "demo-$1" link set dev "$2" up &&
		ip -n "demo-$3" link set dev "$4" up &&
		in_host "$1" ethtool -K "$2" gro on > /dev/null &&
		in_host "$3" ethtool -K "$4" gro on > /dev/null
}

# address HOST DEVICE ADDRESS
address() {
	local option=()
	[[ $3 != *:* ]] || option=(nodad)
	ip -n "demo-$1" addr add "$3" dev "$2" "${option[@]}"
}

lab_addresses() {
	address lan eth0 $LAN_HOST/64 &&
		address router eth1 2001:db8:aa::1/64 &&
		address router eth0 203.0.113.2/24 &&
		address wan eth0 203.0.113.1/24 &&
		address wan eth1 198.51.100.126/26 &&
		address broker eth0 198.51.100.65/26 &&
		address broker eth1 2001:db8:f::1/64 &&
		address inet eth0 $INET_HOST/64
}

lab_routes() {
	ip -n demo-lan route add default via 2001:db8:aa::1 &&
		ip -n demo-router route add default via 203.0.113.1 &&
		ip -n demo-broker route add default via 198.51.100.126 &&
		ip -n demo-inet route add default via 2001:db8:f::1 &&
		in_host wan sysctl -qw net.ipv4.ip_forward=1 &&
		in_host router sysctl -qw net.ipv4.ip_forward=1 # the host's own IPv4 for the LAN, which "family": "inet6" leaves to it
}

lab_up() {
	local host
	for host in "${DEMO_HOSTS[@]}"; do
		ip netns add "demo-$host" || return 1
		ip -n "demo-$host" link set dev lo up
		in_host "$host" sysctl -qw net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.default.router_solicitations=0 || return 1
	done
	cable router eth0 wan eth0 && cable router eth1 lan eth0 && cable wan eth1 broker eth0 && cable broker eth1 inet eth0 &&
		lab_addresses && lab_routes
}

# Also what was left half made. Every process in the lab's namespaces is the lab's, but not this one
lab_down() {
	local host instance pid
	for host in "${DEMO_HOSTS[@]}"; do
		[ -e "/run/netns/demo-$host" ] || continue
		for pid in $(ip netns pids "demo-$host"); do
			[ "$pid" = $$ ] || kill -KILL "$pid" 2> /dev/null
		done
		ip netns del "demo-$host"
	done
	for instance in "${DEMO_INSTANCES[@]}"; do
		rm -rf "/sys/fs/bpf/fairlead/$instance" "/run/fairlead/$instance".* "/var/lib/fairlead/$instance"
	done
	rm -rf "$DEMO_DIR"
}
