# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The demo's labs: network namespaces. Names are fixed, so that what the demo prints can be typed; $DEMO_DIR, made first and removed last,
# keeps two of them apart.

DEMO_DIR=/run/fairlead-demo

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

# hosts NAME...
hosts() {
	local host
	for host in "$@"; do
		ip netns add "demo-$host" || return 1
		ip -n "demo-$host" link set dev lo up
		in_host "$host" sysctl -qw net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.default.router_solicitations=0 || return 1
	done
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
