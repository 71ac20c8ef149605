#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# One instance beside another: in the same network namespace none takes what is the other's; in another namespace the same
# name does not take the maps of programs that are at work.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../lab.sh"

elsewhere=''

# What is attached to what, and the routes
machine() {
	in_ns "$1" bpftool -j net show 2> /dev/null | json 'sorted(str(x) for part in d[0].values() for x in part)'
	ip -n "$1" -6 route show proto 250
	ip -n "$1" -br link show | awk '{ print $1 }'
	in_ns "$1" sysctl net.ipv{4,6}.conf.{lan0,wan0}.forwarding
}

# other ARGUMENT...: the daemon's program under another instance's name, in the router's namespace
other() {
	in_ns "$router" timeout 20 "$FL_BUILD/fairleadd" --instance "$(instance other)" "$@" 2>&1
}

# unmoved TEXT: the first instance has all that it had, and carries
unmoved() {
	check_equal "$1: the machine" "$(diff "$FL_TMP/machine" <(machine "$router"))" ""
	check "$1: it carries" pings "$lan" "$INET_HOST"
	check_not "$1: pins of the other" test -e "/sys/fs/bpf/fairlead/$(instance other)"
}

remember() {
	machine "$router" > "$FL_TMP/machine"
	check_match "the machine" "$(cat "$FL_TMP/machine")" 'fl_tc_out'
	check_match "the machine" "$(cat "$FL_TMP/machine")" '^default via'
}

unload_of_other() {
	local out
	pinging 200
	out=$(in_ns "$router" "$FL_BUILD/fairlead" --instance "$(instance other)" unload --yes 2>&1)
	check_equal "exit status" $? 0
	check_match "it says" "$out" 'nothing of instance'
	none_lost
	unmoved "unload"
}

start_of_other() {
	local out
	pinging 200
	out=$(other -f -c "$FL_TMP/other.json")
	check_equal "exit status" $? 1
	check_match "it says" "$out" 'a network namespace can have one instance'
	none_lost
	unmoved "start"
	# with a tunnel of the same name too: that is not what hinders it
	out=$(other -f -c "$FL_TMP/router.json")
	check_equal "exit status with the same tunnel" $? 1
	check_match "it says" "$out" 'a network namespace can have one instance'
	unmoved "start with the same tunnel"
}

# Without its fl-icmp the first instance does not hinder the making of devices: its filters must
start_of_other_on_its_devices() {
	local out
	ip -n "$router" link del fl-icmp
	remember
	pinging 200
	out=$(other -f -c "$FL_TMP/other.json")
	check_equal "exit status" $? 1
	check_match "it says" "$out" "instance \"$(instance router)\" of fairlead serves this device"
	none_lost
	unmoved "start"
}

other_config() {
	cp "$FL_TMP/router.json" "$FL_TMP/other.json"
	config_edit "$FL_TMP/other.json" 'for k in ("tunnels", "gateways", "routes", "prefix_translations"): d.pop(k)'
}

beside() {
	run_test remember remember
	run_test unload-of-another unload_of_other
	run_test start-of-another start_of_other
	daemon_kill router
	run_test unload-of-another-no-daemon unload_of_other
	run_test start-of-another-no-daemon start_of_other
	run_test start-of-another-on-its-devices start_of_other_on_its_devices
	run_test back daemon_start router "$router" "$FL_TMP/router.json"
}

# ---- the same name in another namespace ----

elsewhere_up() {
	local device
	setup_ns elsewhere
	for device in lan0 wan0; do
		ip -n "$elsewhere" link add "$device" type veth peer name "p-$device"
		ip -n "$elsewhere" link set "$device" up
		ip -n "$elsewhere" link set "p-$device" up
	done
}

unload_elsewhere() {
	local out
	remember
	daemon_kill router
	out=$(in_ns "$elsewhere" "$FL_BUILD/fairlead" --instance "$(instance router)" unload --yes 2>&1)
	check_equal "exit status" $? 1
	check_match "where it is at work" "$out" "another network namespace.*nsenter --net=/run/netns/$router "
	check_not "says that it is done" grep -q '^unloaded' <<< "$out"
	check "pins" test -e "/sys/fs/bpf/fairlead/$(instance router)/fl_control"
	unmoved "unload elsewhere"
	daemon_start router "$router" "$FL_TMP/router.json"
}

start_elsewhere() {
	local attached
	daemon_kill router
	pinging 400
	daemon_start router "$elsewhere" "$FL_TMP/other.json" || return
	check_match "the log" "$(cat "$FL_TMP/router.log")" 'was at work in another network namespace'
	daemon_kill router
	none_lost
	check "it carries where it was before" pings "$lan" "$INET_HOST"
	attached=$(machine "$elsewhere")
	pinging 400
	daemon_start router "$router" "$FL_TMP/router.json" || return
	none_lost
	check "status" fl router status
	check_equal "programs elsewhere" "$(machine "$elsewhere")" "$attached"
}

# What was there before the first start is put back, in each
unload_both() {
	check_match "forwarding" "$(in_ns "$router" sysctl net.ipv6.conf.lan0.forwarding)" '= 1'
	check "unload" fl router unload --yes
	daemon_kill router
	check_equal "programs" "$(in_ns "$router" bpftool net show | grep -c fl_)" 0
	check_match "forwarding" "$(in_ns "$router" sysctl net.ipv6.conf.lan0.forwarding)" '= 0'
	check_match "forwarding elsewhere" "$(in_ns "$elsewhere" sysctl net.ipv6.conf.lan0.forwarding)" '= 1'
	check_match "unload elsewhere" "$(in_ns "$elsewhere" "$FL_BUILD/fairleadd" --unload --instance "$(instance router)")" \
		'^interface wan \(wan0\): nothing is dropped here any more'
	check_equal "programs elsewhere" "$(in_ns "$elsewhere" bpftool net show | grep -c fl_)" 0
	check_match "forwarding elsewhere" "$(in_ns "$elsewhere" sysctl net.ipv6.conf.lan0.forwarding)" '= 0'
	check_equal "saved settings" "$(find /run/fairlead -name "$(instance router).sysctl*")" ""
}

# Devices, programs and a route are something at work, whatever became of the pins
unload_without_pins() {
	local out
	daemon_start router "$router" "$FL_TMP/router.json" || return
	daemon_kill router
	rm -r "/sys/fs/bpf/fairlead/$(instance router)"
	out=$(in_ns "$router" "$FL_BUILD/fairlead" --instance "$(instance router)" unload --yes 2>&1)
	check_equal "exit status" $? 0
	check_match "what no longer holds" "$out" 'tunnel he0'
	check_equal "programs" "$(in_ns "$router" bpftool net show | grep -c fl_)" 0
	check_equal "routes" "$(ip -n "$router" -6 route show proto 250)" ""
}

# As a daemon leaves them that is killed between the making of devices and their naming: without an alias
half_made() {
	local device
	daemon_start router "$router" "$FL_TMP/router.json" || return
	daemon_kill router
	for device in $(ip -n "$router" -j link show | json '" ".join(l["ifname"] for l in d if "fairlead" in l.get("ifalias", ""))'); do
		ip -n "$router" link set dev "$device" alias ''
	done
	check_match "devices" "$(ip -n "$router" -br link show)" '^he0@'
	other --unload > /dev/null
	check_match "devices after the unload of another" "$(ip -n "$router" -br link show)" '^he0@'
	check "unload" in_ns "$router" "$FL_BUILD/fairleadd" --unload --instance "$(instance router)"
	check_equal "devices" "$(ip -n "$router" -br link show | awk '{ print $1 }' | grep -E '^(he|fl-)')" ""
}

scenario() {
	started lab_with "$1" || return
	run_test warm-up warm_up || return
	other_config
	beside
	warm_up
	elsewhere_up
	run_test unload-elsewhere unload_elsewhere
	run_test start-elsewhere start_elsewhere
	run_test unload-both unload_both
	run_test unload-without-pins unload_without_pins
	run_test half-made half_made
}

FL_MODES=${FL_MODES:-native tc} modes scenario
finish
