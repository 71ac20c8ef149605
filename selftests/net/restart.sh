#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The daemon may be killed, restarted, given another configuration: no ping is lost, and the next one adopts what it finds.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../lab.sh"

tx_packets() {
	fl router --json show tunnels | json 'd[0]["tx_packets"]'
}

programs() {
	bpftool -j net show 2> /dev/null | json 'sorted(str(x) for x in d)'
}

killed_and_adopted() {
	local before after
	before=$(tx_packets)
	pinging 400
	daemon_kill router
	check "pings without a daemon" pings "$lan" "$INET_HOST" 20
	daemon_start router "$router" "$FL_TMP/router.json" || return
	none_lost
	after=$(tx_packets)
	[ "$after" -ge $((before + 400)) ] || fail "the counters went from $before to $after by 400 packets: not adopted"
}

stopped_and_started() {
	pinging 300
	daemon_kill router TERM
	check_not "the control socket is gone" test -e "/run/fairlead/$(instance router).sock"
	check "pings without a daemon" pings "$lan" "$INET_HOST" 20
	daemon_start router "$router" "$FL_TMP/router.json" || return
	none_lost
}

adopted_with_another_configuration() {
	pinging 300
	daemon_kill router
	config_edit "$FL_TMP/router.json" 'd["tunnels"]["he0"]["mtu"] = 1400
d["prefix_translations"].append({ "interface": "he0", "internal": "2001:db8:ab::/64", "external": "2001:db8:bc::/64" })'
	daemon_start router "$router" "$FL_TMP/router.json" || return
	none_lost
	check_equal "the tunnel's MTU" "$(fl router --json show tunnels | json 'd[0]["mtu"]')" 1400
	check_equal "translations" "$(fl router --json show translations | json 'len(d)')" 2
}

reloaded() {
	pinging 400
	for _ in 1 2 3; do
		config_edit "$FL_TMP/router.json" 'd["tunnels"]["he0"]["mtu"] = 1480; d["prefix_translations"].reverse()'
		check "apply" fl router apply "$FL_TMP/router.json"
	done
	none_lost
}

hangup() {
	pinging 200
	config_edit "$FL_TMP/router.json" 'd["tunnels"]["he0"]["mtu"] = 1450'
	kill -HUP "${fl_daemon_pid[router]}"
	slowwait 10 mtu_is 1450 || fail "SIGHUP did not bring the file into force: MTU $(fl router --json show tunnels)"
	none_lost
}

release_mtu() {
	json 'd["tunnels"]["he0"]["mtu"]' < "$FL_TMP/$1/c.json"
}

# The daemon's own file by links, as releases are laid out: where they lead counts when it is read or written
hangup_with_links() {
	local release
	mkdir "$FL_TMP/rel1" "$FL_TMP/rel2"
	for release in rel1:1441 rel2:1442; do
		cp "$FL_TMP/router.json" "$FL_TMP/${release%:*}/c.json"
		config_edit "$FL_TMP/${release%:*}/c.json" "d['tunnels']['he0']['mtu'] = ${release#*:}"
	done
	ln -s rel1 "$FL_TMP/cur"
	ln -s cur/c.json "$FL_TMP/own.json"
	daemon_kill router
	daemon_start router "$router" "$FL_TMP/own.json" || return
	mtu_is 1441 || fail "the first release is not in force"
	ln -sfn rel2 "$FL_TMP/cur"
	kill -HUP "${fl_daemon_pid[router]}"
	slowwait 10 mtu_is 1442 || fail "SIGHUP did not bring the second release into force"
	cp "$FL_TMP/rel2/c.json" "$FL_TMP/new.json"
	config_edit "$FL_TMP/new.json" 'd["tunnels"]["he0"]["mtu"] = 1443'
	check "apply" fl router apply "$FL_TMP/new.json"
	check_equal "the releases" "$(release_mtu rel1) $(release_mtu rel2)" "1441 1443"
	check_equal "the links" "$(readlink "$FL_TMP/own.json") $(readlink "$FL_TMP/cur")" "cur/c.json rel2"
	daemon_kill router
	rm -r "$FL_TMP"/{rel1,rel2,cur,own.json}
	daemon_start router "$router" "$FL_TMP/router.json"
}

mtu_is() {
	[ "$(fl router --json show tunnels | json 'd[0]["mtu"]')" = "$1" ]
}

second_daemon() {
	local output status
	output=$(in_ns "$router" timeout 10 "$FL_BUILD/fairleadd" -f -c "$FL_TMP/router.json" --instance "$(instance router)" 2>&1)
	status=$?
	check_equal "exit status of a second daemon" "$status" 1
	check_match "what it says" "$output" "$(instance router)"
	check "the first one answers" answers router
	check "and carries" pings "$lan" "$INET_HOST"
}

# field of fl_control
control() {
	bpftool -j map dump pinned "/sys/fs/bpf/fairlead/$(instance router)/fl_control" |
		json "d[0]['formatted']['value']['$1']"
}

# Whether the device of the kernel's default route is a port in the set of tables that is in force: an apply switches the one, and then the other
is_of_one_configuration() {
	local pins device ifindex set
	pins=/sys/fs/bpf/fairlead/$(instance router)
	device=$(ip -n "$router" -6 -j route show default | json 'd[0]["dev"]')
	ifindex=$(ip -n "$router" -j link show dev "$device" | json 'd[0]["ifindex"]')
	set=$(($(control gen) & 1))
	bpftool -j map lookup pinned "$pins/fl_ifindex" key "$((ifindex & 255))" "$((ifindex >> 8))" 0 0 |
		json "d['formatted']['value']['port'][$set]" | grep -qv '^0$'
}

# Killed at any moment of an apply that moves the default route from one tunnel's device to another's: who comes too soon after it may find
# its route held, later nobody does
killed_in_apply() {
	local i name=hex torn=0 held=0
	cp "$FL_TMP/router.json" "$FL_TMP/before.json"
	local moments=(4 8 12 16 20 24 28 32 36 40 44 48 52 60 70 80)
	[ "$mode" = native ] || moments=(6 14 22 30 38 46) # the daemon's part is the same
	for i in "${moments[@]}"; do
		cp "$FL_TMP/before.json" "$FL_TMP/renamed.json"
		config_edit "$FL_TMP/renamed.json" "d['tunnels']['$name'] = d['tunnels'].pop('he0')
d['gateways']['he_gw']['interface'] = d['prefix_translations'][0]['interface'] = '$name'
for t in d['prefix_translations']: t['interface'] = '$name'"
		fl router apply "$FL_TMP/renamed.json" > "$FL_TMP/apply" 2>&1 &
		sleep "0.0$(printf '%02d' "$i")"
		daemon_kill router
		wait "$!" # the client, which has lost its daemon
		[ "$(control held_until_ns)" = 0 ] || held=$((held + 1))
		sleep 0.4
		# between the first device and the last route there are a few moments, more of them where others want the CPU
		if ! is_of_one_configuration || ! pings "$lan" "$INET_HOST" 20 > "$FL_TMP/ping"; then
			torn=$((torn + 1))
		fi
		cp "$FL_TMP/before.json" "$FL_TMP/router.json"
		daemon_start router "$router" "$FL_TMP/router.json" || return
		check "the next daemon, after $i ms" slowwait 10 pings "$lan" "$INET_HOST"
	done
	[ "$mode" != native ] || [ "$held" -ge 1 ] || fail "none of ${#moments[@]} was killed while routes were held"
	[ "$torn" -le 3 ] || fail "$torn of ${#moments[@]} were killed between the tables and the routes: that should take a millisecond or two; the last: $(tail -n 3 "$FL_TMP/ping")"
}

# Another node of the same machine has its own instance
two_instances() {
	broker_stop_python
	broker_fairlead "$mode" || return
	check "both carry" slowwait 10 pings "$lan" "$INET_HOST"
	daemon_kill broker
	check "one killed" pings "$lan" "$INET_HOST"
	check "the other one answers" answers router
}

broker_stop_python() {
	stop_process "${fl_pids[0]}"
	fl_pids=("${fl_pids[@]:1}")
}

mode=
scenario() {
	mode=$1
	started lab_with "$1" || return
	run_test warm-up warm_up || return
	run_test kill-9-and-adopt killed_and_adopted
	run_test stop-and-start stopped_and_started
	run_test adopt-with-another-configuration adopted_with_another_configuration
	run_test reload reloaded
	run_test hangup hangup
	run_test kill-9-in-apply killed_in_apply
	run_test hangup-with-links hangup_with_links
	run_test second-daemon-refused second_daemon
	run_test two-instances two_instances
}

modes scenario
finish
