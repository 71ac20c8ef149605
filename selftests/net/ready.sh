#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What a node waits for before it takes addresses, and what it says of it: a node that would be the better one comes back while the other is master.
# It must not have them before it is ready, or has given that up, and told so.
#
#	left: lan 192.0.2.1, sync 172.16.255.1		right: lan 192.0.2.2, sync 172.16.255.2; the address is 192.0.2.100
# shellcheck source=selftests/lib.sh disable=SC2154 # set by setup_ns
. "$(dirname "$0")/../lib.sh"

set_up() {
	local node
	setup_ns left right
	for node in lan sync; do
		ip link add "$node" netns "$left" type veth peer name "$node" netns "$right"
	done
	for node in left right; do
		ip -n "${!node}" link set lan up
		ip -n "${!node}" link set sync up
	done
	ip -n "$left" addr add 192.0.2.1/24 dev lan
	ip -n "$right" addr add 192.0.2.2/24 dev lan
	ip -n "$right" addr add 192.0.2.9/24 dev lan
	in_ns "$right" sysctl -qw net.ipv4.icmp_echo_ignore_all=1
	ip -n "$left" addr add 172.16.255.1/24 dev sync
	ip -n "$right" addr add 172.16.255.2/24 dev sync
	(umask 077 && echo love > "$FL_TMP/password" && "$FL_BUILD/fairlead" keygen > "$FL_TMP/key")
	configure left 172.16.255.1 172.16.255.2 0
	configure right 172.16.255.2 172.16.255.1 100
	cp "$FL_TMP/left.json" "$FL_TMP/plain.json"
}

# configure NODE LOCAL PEER ADVSKEW
configure() {
	cat > "$FL_TMP/$1.json" << EOF
{
  "node": { "name": "$1" },
  "default_action": "pass",
  "interfaces": { "lan": { "device": "lan" }, "sync": { "device": "sync" } },
  "vips": { "lan_vip": { "interface": "lan", "address": "192.0.2.100/24", "vhid": 7, "fast_ms": 100,
                         "password_file": "$FL_TMP/password" } },
  "ha": { "interface": "sync", "local": "$2", "peers": ["$3"], "key_file": "$FL_TMP/key", "advskew": $4 }
}
EOF
}

# vip NODE KEY
vip() {
	fl "$1" --json show vips | json "d[0]['$2']"
}

# roles LEFT RIGHT
roles() {
	[ "$(vip left role)" = "$1" ] && [ "$(vip right role)" = "$2" ]
}

is_master() {
	[ "$(vip "$1" role)" = master ]
}

# gateway JSON: left gets this one as well
gateway() {
	json "__import__('json').dumps({**d, 'gateways': {'isp': {'interface': 'lan', 'address': '192.0.2.9', 'monitor': $1}}})" \
		< "$FL_TMP/plain.json" > "$FL_TMP/left.json"
}

# Since left's last start, in their order: those of these events that were
history() {
	fl left --json show events | json "' / '.join(e['event'] for e in d[max(i for i, e in enumerate(d) if e['event'] == 'started'):]
		if e['event'] in ('ready, too late', 'backup -> master'))"
}

starts() {
	daemon_start left "$left" "$FL_TMP/left.json" || return
	daemon_start right "$right" "$FL_TMP/right.json" || return
	check "the better one" slowwait 5 roles master backup
}

# leaves_and_comes: right has the address then
leaves_and_comes() {
	daemon_kill left TERM
	check "the other has it" slowwait 5 is_master right
	daemon_start left "$left" "$FL_TMP/left.json"
}

waits_for() {
	[ "$(vip left not_ready) $(vip left role) $(vip left master)" = "$1 backup 192.0.2.2" ]
}

# One that answers nothing, and so is known to be down after that many probes: ten a second
silent_gateway() {
	gateway "{ \"interval_ms\": 500, \"down_after\": $1 }"
	leaves_and_comes || return
	check "it waits" slowwait 3 waits_for gateways
}

a_gateway() {
	silent_gateway 60 || return
	check "known" slowwait 15 roles master backup
	check_equal "to be down" "$(fl left --json show gateways | json 'd[0]["status"]')" down
	check_equal "in time" "$(history)" "backup -> master"
	check_equal "nothing is missing" "$(vip left not_ready)" ""
}

# More than it may cost
too_late() {
	silent_gateway 1000 || return
	check "given up" slowwait 40 roles master backup
	check_equal "told before" "$(history)" "ready, too late / backup -> master"
	check_equal "how" "$(fl left --json show events --kind vip |
		json "[(e['name'], e['level'], e['details']) for e in d if e['event'] == 'ready, too late']")" \
		"[('all', 'warning', {'cause': 'gateways', 'after_ms': 30000})]"
	check_match "what that means" "$(cat "$FL_TMP/left.log")" "gateways are not there after 30 s: virtual addresses are taken without; not all of them are known"
	check_equal "no more" "$(vip left not_ready)" ""
	check_equal "not known still" "$(fl left --json show gateways | json 'd[0]["status"]')" unknown
}

# The other's connections: that one can't tell of them, and is waited for for five seconds
states() {
	cp "$FL_TMP/plain.json" "$FL_TMP/left.json"
	daemon_kill left TERM
	check "the other has it" slowwait 5 is_master right
	hold_loop right 12
	daemon_start left "$left" "$FL_TMP/left.json" || return
	check "it waits" slowwait 3 waits_for states
	check "no longer" slowwait 5 is_master left
	hold_loop_end
	check "and the other has heard so" slowwait 5 roles master backup
	check_equal "in time" "$(history)" "backup -> master"
}

set_up
run_test starts starts
run_test a-gateway a_gateway
run_test states states
run_test too-late too_late
teardown
finish
