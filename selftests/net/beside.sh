#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Beside fairlead: no other XDP program can take its place; tc filters of others, before and behind ours, count what they
# counted and stay as they are, also those that come later; frames between two ports of a bridge are not touched.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../lab.sh"

pins=''

foreign_programs() {
	mountpoint -q /sys/fs/bpf || mount -t bpf bpf /sys/fs/bpf
	pins=/sys/fs/bpf/$FL_PREFIX-beside
	mkdir -p "$pins"
	check "load XDP" "$FL_PYTHON" "$FL_NET/bpf_pin.py" xdp "$pins/xdp"
}

# counter DEVICE SIDE PREF: a filter that counts and decides nothing
counter() {
	local name=$1-$2-$3
	check "load" bpftool prog load "$FL_BUILD/bpf/counter.bpf.o" "$pins/$name" type classifier pinmaps "$pins/$name-maps"
	check "filter" in_ns "$router" tc filter add dev "$1" "$2" pref "$3" handle 7 bpf direct-action object-pinned "$pins/$name"
}

# At each hook, one before ours and one behind
counters() {
	local dev side
	for dev in lan0 wan0; do
		in_ns "$router" tc qdisc add dev "$dev" clsact
		for side in ingress egress; do
			counter "$dev" "$side" 1
			counter "$dev" "$side" 40000
		done
	done
}

# counted DEVICE SIDE PREF: packets that it has seen
counted() {
	bpftool -j map dump pinned "$pins/$1-$2-$3-maps/counted" | json 'd[0]["formatted"]["value"]'
}

filters() {
	in_ns "$router" tc filter show dev "$1" "$2" "${@:3}"
}

# moved WHAT DEVICE SIDE PREF LEAST COMMAND...: the command makes it count so many at least
moved() {
	local before after
	before=$(counted "${@:2:3}")
	check "$1" "${@:6}"
	after=$(counted "${@:2:3}")
	[ "$after" -ge $((before + $5)) ] || fail "$1: the filter $4 at $2 $3 has counted from $before to $after"
}

started_between() {
	lab_up && broker_python && foreign_programs || return
	counters
	router_config "$1"
	router_start
}

both_count() {
	check_equal "ours is between them" "$(filters lan0 ingress | grep -oE 'pref [0-9]+ .* name [a-z_]+' |
		sed -E 's/pref ([0-9]+) .* name/\1/' | xargs)" '1 counter 2 fl_tc_in 40000 counter'
	# unfinished checksums and GSO come to tc in every mode; pings to the router are passed on by ours
	moved "5 MB" lan0 ingress 1 50 transfer tcp "$lan" "$inet" "$INET_HOST" 5000000
	moved "5 MB" wan0 egress 1 50 transfer tcp "$lan" "$inet" "$INET_HOST" 5000000
	moved "pings to the router" lan0 ingress 40000 20 pings "$lan" "$LAN_ROUTER" 20
	moved "pings of the router" wan0 egress 40000 20 in_ns "$router" ping -n -q -c 20 -i 0.02 -W 2 "$BROKER"
	check_match "it is told that some are before ours" "$(fl router --json show interfaces | json '[i["reason"] for i in d]')" \
		'run before ours'
}

# Filters that come later, and an apply and a restart after them
later_ones() {
	local side
	for side in ingress egress; do
		counter wan0 "$side" 39999
	done
	config_edit "$FL_TMP/router.json" 'd["tunnels"]["he0"]["mtu"] = 1400'
	check "apply" fl router apply "$FL_TMP/router.json"
	daemon_kill router
	daemon_start router "$router" "$FL_TMP/router.json" || return
	all_there 1 39999 40000
	moved "pings of the router" wan0 egress 39999 20 in_ns "$router" ping -n -q -c 20 -i 0.02 -W 2 "$BROKER"
	check "it carries" pings "$lan" "$INET_HOST" 20
}

# all_there PREF...: at both hooks of wan
all_there() {
	local side pref
	for side in ingress egress; do
		for pref in "$@"; do
			check_match "the filter $pref at wan0 $side" "$(filters wan0 "$side" pref "$pref")" 'handle 0x7 .* name counter'
		done
	done
}

# EBUSY by the kernel: our program is not replaced by one that does not name it
xdp_refused() {
	local before how
	before=$(in_ns "$router" bpftool -j net show | json '[(x["devname"], x["id"]) for x in d[0]["xdp"]]')
	for how in xdpdrv xdpgeneric xdp; do
		check_not "ip link set $how" in_ns "$router" ip link set dev lan0 "$how" pinned "$pins/xdp"
	done
	check_equal "XDP programs" "$(in_ns "$router" bpftool -j net show | json '[(x["devname"], x["id"]) for x in d[0]["xdp"]]')" "$before"
	check "it carries" pings "$lan" "$INET_HOST" 20
}

stay_after_unload() {
	daemon_remove router
	all_there 1 39999 40000
	moved "pings to the router" lan0 ingress 1 20 pings "$lan" "$LAN_ROUTER" 20
	check_equal "ours" "$(in_ns "$router" bpftool net show | grep -c fl_)" 0
	check "a foreign XDP program can come now" in_ns "$router" ip link set dev lan0 xdpdrv pinned "$pins/xdp"
}

scenario() {
	started started_between "$1" || return
	run_test warm-up warm_up || return
	run_test filters-before-and-behind both_count
	run_test filters-that-come-later later_ones
	[ "$1" = tc ] || run_test xdp-is-not-replaced xdp_refused
	run_test all-stay-after-unload stay_after_unload
}

# ---- bridged frames ----

second=''
bridge_up() {
	lab_up && broker_python || return
	setup_ns second
	veth "$second" eth0 02:00:00:00:01:81 "$router" lan1 02:00:00:00:01:02
	ip -n "$router" addr flush dev lan0
	ip -n "$router" link add name br0 address 02:00:00:00:01:01 type bridge mcast_snooping 0
	ip -n "$router" link set dev lan0 master br0
	ip -n "$router" link set dev lan1 master br0
	ip -n "$router" link set dev br0 up
	ip -n "$router" addr add "$LAN_ROUTER/64" dev br0 nodad
	router_config "$1"
	router_start 'd["interfaces"]["lan"] = { "device": "br0", "mode": "auto" }'
}

bridged_frames() {
	started bridge_up "$1" || return
	run_test warm-up warm_up || return
	python_tests bridged.py --lab "$FL_PREFIX"
}

remove_pins() {
	[ -z "$pins" ] || rm -rf "$pins"
}
trap 'remove_pins; fl_exit' EXIT

for mode in ${FL_MODES:-native generic tc}; do
	test_group "$mode"
	scenario "$mode"
	remove_pins
	teardown
done
test_group bridge
bridged_frames auto
teardown
finish
