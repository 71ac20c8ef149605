#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Others take away what fairlead needs: filters, qdiscs, XDP programs, forwarding, a device's name. It is put back, and the
# log names it; what can't be put back is told by `status` and `show interfaces`, and the kernel does not forward there.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../lab.sh"

pins=/sys/fs/bpf/$FL_PREFIX-taken

log_lines() {
	wc -l < "$FL_TMP/router.log"
}

# healed TEXT PATTERN COMMAND...: after the command all is as before within seconds, and the log has told what was gone
healed() {
	local text=$1 pattern=$2 lines
	lines=$(log_lines)
	check "$text" in_ns "$router" "${@:3}"
	promptly 8 told "$lines" "$pattern" || fail "$text: the log does not name '$pattern': $(tail -n "+$((lines + 1))" "$FL_TMP/router.log")"
	promptly 8 as_before || fail "$text: not put back: $(diff "$FL_TMP/hooks" <(hooks))"
	check "$text: status" fl router status
	promptly 8 pings "$lan" "$INET_HOST" || fail "$text: packets get lost"
}

told() {
	tail -n "+$(($1 + 1))" "$FL_TMP/router.log" | grep -qE "$2"
}

# What fairlead has put on the machine
hooks() {
	local device
	for device in $(ip -n "$router" -j link show | json '" ".join(l["ifname"] for l in d)'); do
		in_ns "$router" tc filter show dev "$device" ingress | grep -o 'fl_tc_in' | sed "s/^/$device /"
		in_ns "$router" tc filter show dev "$device" egress | grep -o 'fl_tc_out' | sed "s/^/$device /"
		ip -n "$router" -d link show dev "$device" | grep -oE 'prog/xdp.* name fl_[a-z_]*' | sed "s/.*name/$device/"
	done
	in_ns "$router" sysctl net.ipv{4,6}.conf.{lan0,wan0}.forwarding net.ipv6.conf.{he0,fl-icmp-rx}.forwarding net.ipv6.conf.wan0.accept_ra
}

as_before() {
	[ "$(hooks)" = "$(cat "$FL_TMP/hooks")" ]
}

start() {
	in_ns "$router" sysctl -qw net.ipv6.conf.wan0.accept_ra=1
	router_start || return
	warm_up
	hooks > "$FL_TMP/hooks"
	check_match "hooks" "$(cat "$FL_TMP/hooks")" '^lan0 fl_tc_out'
	check_match "hooks" "$(cat "$FL_TMP/hooks")" 'wan0.accept_ra = 2'
}

pins_of_router() {
	find "/sys/fs/bpf/fairlead/$(instance router)" | sort
}

pins_are() {
	[ "$(pins_of_router)" = "$1" ]
}

# What the next daemon takes over
pins_removed() {
	local before lines rx
	before=$(pins_of_router)
	lines=$(log_lines)
	check_match "pins" "$before" '/fl_control$'
	rm -rf "/sys/fs/bpf/fairlead/$(instance router)"
	promptly 8 pins_are "$before" || fail "not put back: $(diff <(echo "$before") <(pins_of_router))"
	check "the log" told "$lines" 'somebody has removed [0-9]* pins'
	pings "$lan" "$INET_HOST" 20 > /dev/null
	rx=$(fl router --json show tunnels | json 'd[0]["rx_packets"]')
	daemon_kill router
	daemon_start router "$router" "$FL_TMP/router.json" || return
	[ "$(fl router --json show tunnels | json 'd[0]["rx_packets"]')" -ge "$rx" ] || fail "the next daemon did not adopt them"
	promptly 8 pings "$lan" "$INET_HOST" || fail "packets get lost"
}

filters() {
	local hidden
	hidden=$(ip -n "$router" -j link show | json 'next(l["ifname"] for l in d if l.get("link") == "he0")')
	healed "the qdisc of lan0" 'interface lan: repaired: .*the egress guard, the ingress program' tc qdisc del dev lan0 clsact
	healed "the egress filters of wan0" 'interface wan: repaired: .*the egress guard' tc filter del dev wan0 egress
	healed "the ingress filters of wan0" 'interface wan: repaired: .*the ingress program' tc filter del dev wan0 ingress
	healed "the qdisc of he0" 'interface he0: repaired: .*the egress guard' tc qdisc del dev he0 clsact
	healed "the qdisc of the hidden end" 'interface he0: repaired: .*hidden end' tc qdisc del dev "$hidden" clsact
}

xdp() {
	healed "XDP of lan0" 'interface lan: repaired: .*the XDP program' ip link set dev lan0 xdp off
	healed "XDP of fl-icmp-rx" 'interface fl-icmp-rx: repaired: .*the XDP program' ip link set dev fl-icmp-rx xdp off
}

# While the daemon does not look, another one's program takes the place
xdp_foreign() {
	mkdir -p "$pins"
	check "load XDP" "$FL_PYTHON" "$FL_NET/bpf_pin.py" xdp "$pins/xdp"
	kill -STOP "${fl_daemon_pid[router]}"
	in_ns "$router" ip link set dev lan0 xdp off
	check "the foreign program" in_ns "$router" ip link set dev lan0 xdpdrv pinned "$pins/xdp"
	kill -CONT "${fl_daemon_pid[router]}"
	promptly 8 mode_is tc || fail "lan: $(fl router show interfaces)"
	check_match "XDP on lan0" "$(ip -n "$router" -d link show dev lan0)" 'prog/xdp id'
	check_not "ours on lan0" grep -q 'name fl_xdp' <(ip -n "$router" -d link show dev lan0)
	check "status" fl router status
	promptly 8 pings "$lan" "$INET_HOST" || fail "packets get lost"
	in_ns "$router" ip link set dev lan0 xdpdrv off
	promptly 8 mode_is native || fail "lan: $(fl router show interfaces)"
}

mode_is() {
	[ "$(fl router --json show interfaces | json '[i["mode"] for i in d if i["name"] == "lan"][0]')" = "$1" ]
}

forwarding_off() {
	in_ns "$router" sysctl -qw net.ipv4.ip_forward=1
	healed "IPv4 forwarding" 'interface lan: repaired: .*IPv4 forwarding' sysctl -qw net.ipv4.ip_forward=0
	healed "IPv6 forwarding of wan0" 'interface wan: repaired: .*IPv6 forwarding' sysctl -qw net.ipv6.conf.wan0.forwarding=0
	healed "accept_ra" 'interface wan: repaired: .*accept_ra' sysctl -qw net.ipv6.conf.wan0.accept_ra=1
}

# The place of our filters is taken: an ingress qdisc has no egress
in_the_way() {
	local output status
	printf 'qdisc del dev lan0 clsact\nqdisc add dev lan0 ingress\n' > "$FL_TMP/batch"
	check "ingress instead of clsact" in_ns "$router" tc -batch "$FL_TMP/batch"
	promptly 8 forwarding_is 0 || fail "the kernel still forwards what comes in by lan0"
	output=$(fl router status)
	status=$?
	check_equal "status without a guard" "$status" 1
	check_match "status" "$output" '^DEGRADED: .*lan: missing on lan0: the egress guard'
	check_match "show interfaces" "$(fl router --json show interfaces | json '[i["reason"] for i in d if i["name"] == "lan"]')" 'missing: the egress guard'
	check_not "LAN to the world" pings "$lan" "$INET_HOST" 2
	check_not "LAN to the broker" in_ns "$lan" ping -n -q -c 2 -i 0.02 -W 1 "$BROKER"
	[ "$(grep -c 'cannot attach the egress guard' "$FL_TMP/router.log")" -le 2 ] || fail "the log repeats itself: $(tail -n 5 "$FL_TMP/router.log")"
	in_ns "$router" tc qdisc del dev lan0 ingress
	promptly 8 as_before || fail "not put back: $(diff "$FL_TMP/hooks" <(hooks))"
	promptly 8 forwarding_is 1 || fail "the kernel does not forward again" # a step behind the hooks
	check "status" fl router status
	promptly 8 pings "$lan" "$INET_HOST" || fail "packets get lost"
}

forwarding_is() {
	[ "$(in_ns "$router" sysctl -n net.ipv4.conf.lan0.forwarding net.ipv6.conf.lan0.forwarding | xargs)" = "$1 $1" ]
}

# A device that comes and goes quickly: nobody has taken anything away from it
flaps() {
	local lines i
	lines=$(log_lines)
	cp "$FL_TMP/router.json" "$FL_TMP/flap.json"
	config_edit "$FL_TMP/flap.json" 'd["interfaces"]["flap"] = { "device": "flap0" }'
	check "apply" fl router apply "$FL_TMP/flap.json"
	for ((i = 0; i < 120; i++)); do
		ip -n "$router" link add flap0 type veth peer name flap1
		ip -n "$router" link set flap0 up
		ip -n "$router" link set flap1 up
		sleep "0.0$((i % 6))"
		ip -n "$router" link del flap0
	done
	sleep 1 # it looks again at what it has seen last
	check_equal "the log" "$(tail -n "+$((lines + 1))" "$FL_TMP/router.log" | grep -c 'somebody has taken')" 0
	check "rollback" fl router rollback
	promptly 8 pings "$lan" "$INET_HOST" || fail "packets get lost"
}

# renamed: ren0 is nobody's
renamed() {
	[ "$(in_ns "$router" sysctl -n net.ipv4.conf.ren0.forwarding net.ipv6.conf.ren0.forwarding | xargs)" = "0 0" ]
}

rename() {
	local output
	ip -n "$router" link set dev lan0 name ren0 || return
	promptly 8 renamed || fail "the kernel still forwards what comes in by ren0"
	check_not "LAN to the world" pings "$lan" "$INET_HOST" 2
	check_not "LAN to the broker" in_ns "$lan" ping -n -q -c 2 -i 0.02 -W 1 "$BROKER"
	output=$(fl router status)
	check_match "status" "$output" 'DEGRADED: .*there is no device lan0'
	ip -n "$router" link set dev ren0 name lan0
	promptly 8 as_before || fail "not put back: $(diff "$FL_TMP/hooks" <(hooks))"
	promptly 8 fl router status || fail "$(fl router status)"
	promptly 8 pings "$lan" "$INET_HOST" || fail "packets get lost"
}

# Renamed while no daemon runs: what was before is put back all the same
rename_unload() {
	daemon_kill router
	ip -n "$router" link set dev lan0 name ren0
	check "unload" in_ns "$router" "$FL_BUILD/fairleadd" --unload --instance "$(instance router)"
	check "forwarding of ren0 is off" renamed
	check_equal "programs" "$(in_ns "$router" bpftool net show | grep -c fl_)" 0
}

scenario() {
	started lab_up && broker_python && router_config "$1" || return
	run_test start start || return
	run_test filters filters
	run_test pins-removed pins_removed
	if [ "$1" != tc ]; then
		run_test xdp xdp
	fi
	if [ "$1" = auto ]; then
		run_test xdp-foreign xdp_foreign
	fi
	run_test forwarding forwarding_off
	run_test in-the-way in_the_way
	run_test flaps flaps
	run_test rename rename
	run_test rename-unload rename_unload
}

trap 'rm -rf "$pins"; fl_exit' EXIT
FL_MODES=${FL_MODES:-auto tc} modes scenario
finish
