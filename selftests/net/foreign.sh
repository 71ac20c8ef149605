#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Somebody else's programs on our devices stay: with an XDP program there the interface falls to tc and says so (or joins it
# where a dispatcher is), with a tc filter there ours is put beside it; unload takes only what is ours.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../lab.sh"

pins=/sys/fs/bpf/$FL_PREFIX-foreign

foreign_programs() {
	mountpoint -q /sys/fs/bpf || mount -t bpf bpf /sys/fs/bpf
	mkdir -p "$pins"
	check "load XDP" "$FL_PYTHON" "$FL_NET/bpf_pin.py" xdp "$pins/xdp" &&
		check "load tc" "$FL_PYTHON" "$FL_NET/bpf_pin.py" tc "$pins/tc"
}

xdp_id() {
	in_ns "$router" ip -d link show dev "$1" | sed -n 's/.*prog\/xdp id \([0-9]*\) .*/\1/p'
}

tc_filters() {
	in_ns "$router" tc filter show dev "$1" "$2" | grep -c 'pref 49 bpf.*handle 0x7'
}

lab_with_foreign_xdp() {
	lab_up && broker_python && foreign_programs || return
	check "attach" in_ns "$router" ip link set dev lan0 "$1" pinned "$pins/xdp"
	foreign_id=$(xdp_id lan0)
	[ -n "$foreign_id" ] || fail "no foreign program on lan0"
	router_config auto
	router_start
}

falls_to_tc() {
	local row
	row=$(fl router --json show interfaces | json '[(i["mode"], i["reason"]) for i in d if i["name"] == "lan"][0]')
	check_match "mode and reason of lan" "$row" "^\('tc', '.*(XDP|foreign|another).*'\)$"
	check_equal "the program on lan0" "$(xdp_id lan0)" "$foreign_id"
	check_match "mode of wan" "$(fl router --json show interfaces | json '[i["mode"] for i in d if i["name"] == "wan"]')" native
}

carries() {
	check "ping" pings "$lan" "$INET_HOST" 20
	check "20 MB up" transfer tcp "$lan" "$inet" "$INET_HOST" 20000000
	check "20 MB down" transfer tcp "$lan" "$inet" "$INET_HOST" 20000000 --reverse
}

# Asked for by name, native cannot be had: the user is told, and nothing is taken away
native_asked() {
	local output
	config_edit "$FL_TMP/router.json" 'd["interfaces"]["lan"]["mode"] = "native"'
	output=$(fl router apply "$FL_TMP/router.json" 2>&1)
	check_equal "the program on lan0" "$(xdp_id lan0)" "$foreign_id"
	check_match "it says so" "$output $(fl router show interfaces)" '(XDP|foreign|another)'
	check "carries" pings "$lan" "$INET_HOST"
}

goes_away() {
	config_edit "$FL_TMP/router.json" 'd["interfaces"]["lan"]["mode"] = "auto"'
	check "apply" fl router apply "$FL_TMP/router.json"
	in_ns "$router" ip link set dev lan0 "$how" off
	check "carries" pings "$lan" "$INET_HOST"
	check "apply" fl router apply "$FL_TMP/router.json"
	slowwait 5 is_native || fail "lan is still: $(fl router show interfaces)"
	check "carries" pings "$lan" "$INET_HOST"
}

is_native() {
	fl router --json show interfaces | json '[i["mode"] for i in d if i["name"] == "lan"]' | grep -q native
}

stays_after_unload() {
	daemon_remove router
	check_equal "the program on lan0" "$(xdp_id lan0)" "$foreign_id"
}

lab_with_foreign_tc() {
	local dev
	lab_up && broker_python && foreign_programs || return
	for dev in lan0 wan0; do
		in_ns "$router" tc qdisc add dev "$dev" clsact
		check "filter" in_ns "$router" tc filter add dev "$dev" ingress pref 49 handle 7 bpf direct-action object-pinned "$pins/tc"
		check "filter" in_ns "$router" tc filter add dev "$dev" egress pref 49 handle 7 bpf direct-action object-pinned "$pins/tc"
	done
	router_config "$1"
	router_start
}

filters_are_there() {
	local dev way
	for dev in lan0 wan0; do
		for way in ingress egress; do
			[ "$(tc_filters "$dev" "$way")" -ge 1 ] || fail "the foreign filter on $dev $way is gone: $(in_ns "$router" tc filter show dev "$dev" "$way")"
		done
	done
}

filters_after_unload() {
	daemon_remove router
	filters_are_there
	check_equal "what else is on lan0" "$(in_ns "$router" tc filter show dev lan0 ingress | grep -c fl_)" 0
}

foreign_id=
for how in xdpdrv xdpgeneric; do
	test_group $how
	if started lab_with_foreign_xdp $how && run_test warm-up warm_up; then
		run_test falls-to-tc falls_to_tc
		run_test carries carries
		run_test native-asked native_asked
		run_test stays-after-unload stays_after_unload
		if daemon_start router "$router" "$FL_TMP/router.json"; then
			run_test goes-away goes_away
		fi
	fi
	rm -rf "$pins"
	teardown
done
for mode in native tc; do
	test_group $mode-beside-tc
	if started lab_with_foreign_tc $mode && run_test warm-up warm_up; then
		run_test filters-stay filters_are_there
		run_test carries carries
		run_test filters-stay-after-unload filters_after_unload
	fi
	rm -rf "$pins"
	teardown
done
finish
