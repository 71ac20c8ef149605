#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Config sync between two daemons: what the primary applies is at the secondary as well, and works on its packets, or it is nowhere.
#
#	left, the primary: sync 172.16.255.1 ---- right, the secondary: sync 172.16.255.2
#	lan and dmz                               lan 192.0.2.2 ---- host 192.0.2.9
# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/../lib.sh"

# shellcheck disable=SC2154 # set by setup_ns
set_up() {
	setup_ns left right host
	ip link add sync netns "$left" type veth peer name sync netns "$right"
	ip link add lan netns "$right" type veth peer name eth0 netns "$host"
	ip link add lan netns "$left" type veth peer name dmz netns "$left"
	ip -n "$left" addr add 172.16.255.1/24 dev sync
	ip -n "$right" addr add 172.16.255.2/24 dev sync
	ip -n "$right" addr add 192.0.2.2/24 dev lan
	ip -n "$host" addr add 192.0.2.9/24 dev eth0
	for at in "$left sync" "$left lan" "$left dmz" "$right sync" "$right lan" "$host eth0"; do
		ip -n "${at% *}" link set "${at#* }" up
	done
	(umask 077 && "$FL_BUILD/fairlead" keygen > "$FL_TMP/sync.key")
}

PING='{ "name": "ping", "action": "pass", "direction": "in", "interface": "lan", "protocol": "icmp" }'
NO_PING='{ "name": "no ping", "action": "block", "quick": true, "direction": "in", "interface": "lan", "protocol": "icmp" }'

# ha LOCAL PEER ROLE
ha() {
	echo "\"ha\": { \"interface\": \"sync\", \"local\": \"$1\", \"peers\": [\"$2\"], \"key_file\": \"$FL_TMP/sync.key\"," \
		"\"sync_config\": { \"role\": \"$3\", \"sections\": [\"aliases\", \"rules\"] } }"
}

# left_is FILE RULES [ROLE]
left_is() {
	cat > "$FL_TMP/$1" << EOF
{
  "node": { "name": "left" },
  "interfaces": { "sync": { "device": "sync" }, "lan": { "device": "lan" }, "dmz": { "device": "dmz" } },
  $(ha 172.16.255.1 172.16.255.2 "${3:-primary}"),
  "aliases": { "office": ["198.51.100.0/24"] },
  "rules": [ { "name": "of left", "action": "pass", "interface": "dmz", "sync": false }, $2 ]
}
EOF
}

# right_is FILE RULES [ROLE]
right_is() {
	cat > "$FL_TMP/$1" << EOF
{
  "node": { "name": "right" },
  "interfaces": { "sync": { "device": "sync" }, "lan": { "device": "lan" } },
  $(ha 172.16.255.2 172.16.255.1 "${3:-secondary}"),
  "rules": [ { "name": "of right", "action": "pass", "protocol": "esp", "sync": false }, $2 ]
}
EOF
}

# rules NODE: their names
rules() {
	fl "$1" --json show config | json "' '.join(r['name'] for r in d['rules'])"
}

rules_are() {
	[ "$(rules "$1")" = "$2" ]
}

# sync_of NODE KEY
sync_of() {
	fl "$1" --json show sync | json "d[0]['$2']"
}

sync_is() {
	[ "$(sync_of "$1" "$2")" = "$3" ]
}

# Both say so, and have the same of it
in_step() {
	[ "$(echo "[$(fl left --json show sync), $(fl right --json show sync)]" | json "[d[0][0]['config_match'],
		d[1][0]['config_match'], d[0][0]['pending'], d[0][0]['config_hash'] == d[1][0]['config_hash'] != None]")" = \
		"[True, True, False, True]" ]
}

has_reason() {
	fl "$1" status | grep -qE "$2"
}

# pings [SECONDS]
pings() {
	in_ns "$host" ping -c 1 -W "${1:-2}" -q 192.0.2.2
}

# At first both have what somebody has written there
meets() {
	left_is left.json "$PING"
	right_is right.json '{ "name": "old", "action": "block", "protocol": "gre" }'
	daemon_start left "$left" "$FL_TMP/left.json" && daemon_start right "$right" "$FL_TMP/right.json" || return
	check "in step" slowwait 10 in_step
	check_equal "right has left's, and its own" "$(rules right)" "of right ping"
	check_equal "left keeps its own" "$(rules left)" "of left ping"
	check_equal "aliases too" "$(fl right --json show config | json "list(d['aliases'])")" "['office']"
	check "its packets pass" slowwait 5 pings
	check_match "told" "$(fl left show events --kind sync)" "right: configuration pushed: version 1"
	check_match "by whom" "$(fl right show history)" "version 1, pushed by left: "
	check_match "in its file" "$(cat "$FL_TMP/right.json")" '"ping"'
	check_match "with what is the node's" "$(cat "$FL_TMP/right.json")" '"name": "right"'
}

pushed() {
	local out
	left_is new.json "$NO_PING, $PING"
	out=$(fl left apply "$FL_TMP/new.json")
	check_match "applied" "$out" "^applied: "
	check_match "everywhere" "$out" "right has it too"
	check_equal "at once" "$(rules right)" "of right no ping ping"
	check_not "its packets are blocked" pings 0.3
	check "in step" slowwait 5 in_step
	check_match "the same on both" "$(fl right show sync)" "^left +(yes|true) +primary"
	check "undone" fl left rollback
	check_equal "there too" "$(rules right)" "of right ping"
	check "and pass again" pings
}

refused() {
	local out
	left_is new.json "$PING, { \"name\": \"of the dmz\", \"action\": \"pass\", \"interface\": [\"lan\", \"dmz\"] }"
	out=$(fl left apply "$FL_TMP/new.json" 2>&1) && fail "it was taken"
	check_match "why, and where in left's file" "$out" \
		'right: /rules/2/interface/1: no interface or tunnel named "dmz"'
	check_match "nowhere" "$out" "right does not take it: the configuration has errors; nothing was changed on any node"
	check_equal "not here" "$(rules left)" "of left ping"
	check_equal "not there" "$(rules right)" "of right ping"
	out=$(fl left apply --dry-run "$FL_TMP/new.json" 2>&1) && fail "a dry run does not say so"
	check_match "a dry run says so" "$out" "right would not take it"
}

absent() {
	daemon_kill right TERM
	left_is new.json "$PING, { \"name\": \"while away\", \"action\": \"pass\", \"protocol\": \"gre\" }"
	check_match "no hindrance" "$(fl left apply "$FL_TMP/new.json")" "pending: right is not there"
	check "pending" sync_is left pending True
	daemon_start right "$right" "$FL_TMP/right.json" || return
	check "it gets it" slowwait 10 rules_are right "of right ping while away"
	check "in step" slowwait 5 in_step
}

# What is written while no daemon runs is a version as well; SIGHUP pushes too
by_the_file() {
	daemon_kill left TERM
	left_is left.json "$PING"
	daemon_start left "$left" "$FL_TMP/left.json" || return
	check "it gets it" slowwait 10 rules_are right "of right ping"
	left_is left.json "$PING, { \"name\": \"by SIGHUP\", \"action\": \"pass\", \"protocol\": \"gre\" }"
	kill -HUP "${fl_daemon_pid[left]}"
	check "it gets it" slowwait 10 rules_are right "of right ping by SIGHUP"
}

changed_by_hand() {
	local out
	right_is new.json '{ "name": "by hand", "action": "pass", "protocol": "gre" }'
	out=$(fl right apply "$FL_TMP/new.json")
	check_match "a warning" "$out" "warning: this node is the secondary"
	check "a reason there" has_reason right "the configuration was changed by hand since left pushed version"
	check "and here" slowwait 5 has_reason left "the configuration of right was changed by hand"
	check "no match" sync_is left config_match False
	check_match "an event" "$(fl left show events --kind sync)" "right: changed by hand"
	check_match "there too" "$(fl right show events --kind sync)" "right: changed by hand"
	check_match "how" "$(fl left sync diff)" "^right +changed +/rules/1/name"
	check_match "there too" "$(fl right sync diff)" "^right +changed +/rules/1/name"
	check_equal "not lost by itself" "$(rules right)" "of right by hand"
	check_match "pushed" "$(fl left sync config)" "^right +pushed"
	check "it is gone" rules_are right "of right ping by SIGHUP"
	check_match "and told" "$(fl right show events --kind sync)" "change by hand replaced: by version [0-9]+ of left; .*is version"
	check_match "here too" "$(fl left show events --kind sync)" "right: change by hand replaced"
	check_equal "no difference" "$(fl left sync diff)" "no difference"
	check "in step" slowwait 5 in_step
}

# Somebody is about to change right's file when left pushes
written_meanwhile() {
	sed -i 's/"of right"/"written"/' "$FL_TMP/right.json"
	left_is new.json "$PING, { \"name\": \"meanwhile\", \"action\": \"pass\", \"protocol\": \"gre\" }"
	check "applied" fl left apply "$FL_TMP/new.json"
	check_equal "left's is there" "$(rules right)" "of right ping meanwhile"
	check_match "told" "$(fl right show events --kind sync)" \
		"file replaced: by version [0-9]+ of left; what was written in .*right.json and never applied is kept in .*/unapplied.json"
	check_match "kept" "$(cat "/var/lib/fairlead/$(instance right)/unapplied.json")" '"written"'
	rm "/var/lib/fairlead/$(instance right)/unapplied.json"
	check "undone" fl left rollback
	check_not "there is nothing to keep" test -e "/var/lib/fairlead/$(instance right)/unapplied.json"
	check_equal "as before" "$(rules right)" "of right ping by SIGHUP"
}

# What left's version needs is not there any more: whoever asks for a push is told what, and where, and status tells who did not ask
cannot_take() {
	local out
	echo 203.0.113.0/24 > "$FL_TMP/list"
	left_is new.json "$PING, { \"name\": \"by SIGHUP\", \"action\": \"pass\", \"protocol\": \"gre\" }"
	sed -i "s#\"office\": #\"listed\": { \"file\": \"$FL_TMP/list\" }, &#" "$FL_TMP/new.json"
	check "applied" fl left apply "$FL_TMP/new.json"
	right_is new.json '{ "name": "by hand", "action": "pass", "protocol": "gre" }'
	check "by hand" fl right apply "$FL_TMP/new.json"
	rm "$FL_TMP/list"
	out=$(fl left sync config 2>&1) && fail "it was taken"
	check_match "where, and what" "$out" "right: /aliases/listed/file: .*$FL_TMP/list"
	check_match "who" "$out" "^right +refused .*/aliases/listed/file: "
	check_match "a diff tells, too" "$(fl left sync diff 2>&1)" "right: /aliases/listed/file: "
	daemon_kill right TERM
	right_is right.json '{ "name": "by hand", "action": "pass", "protocol": "gre" }'
	rm -f "/var/lib/fairlead/$(instance right)/pushed.json"
	daemon_start right "$right" "$FL_TMP/right.json" || return
	check "status, too" slowwait 10 has_reason left "right does not take version [0-9]+: .*/aliases/listed/file: "
	echo 203.0.113.0/24 > "$FL_TMP/list"
	check "then it is" fl left sync config
	check "in step" slowwait 5 in_step
	check "as before" fl left rollback
}

on_trial() {
	left_is new.json "$NO_PING"
	check "on trial" fl left apply --confirm 60 "$FL_TMP/new.json"
	check_equal "there too" "$(rules right)" "of right no ping"
	check "there too" has_reason right "on trial"
	check_match "not right's to confirm" "$(fl right confirm 2>&1)" 'left has begun the trial: .fairlead confirm. there'
	check "still" has_reason right "on trial"
	check "ended" fl left rollback
	check "there too" slowwait 5 rules_are right "of right ping by SIGHUP"
	check "on trial" fl left apply --confirm 60 "$FL_TMP/new.json"
	check "confirmed" fl left confirm
	check "in step" slowwait 5 in_step
	check_equal "in force" "$(rules right)" "of right no ping"
	check_not "no trial" has_reason right "on trial"
	check "as before" fl left rollback
}

for_itself() {
	left_is new.json "$PING"
	check_match "applied" "$(fl left apply --local "$FL_TMP/new.json")" "the other nodes don't get it"
	check_equal "not there" "$(rules right)" "of right ping by SIGHUP"
	check "a reason" has_reason left "changed with --local"
	check "pushed" fl left sync config
	check_equal "there" "$(rules right)" "of right ping"
	check "in step" slowwait 5 in_step
}

two_primaries() {
	right_is new.json "$PING" primary
	check "made a primary" fl right apply "$FL_TMP/new.json"
	check "a reason here" slowwait 5 has_reason left "right is a primary, as this node is"
	check "and there" slowwait 5 has_reason right "left is a primary, as this node is"
	left_is new.json "$PING, $NO_PING"
	check_match "for itself" "$(fl left apply "$FL_TMP/new.json")" "nothing is pushed, right is a primary too"
	check_equal "not there" "$(rules right)" "of right ping"
	check_match "no push" "$(fl left sync config 2>&1)" "right is a primary too"
	right_is new.json "$PING"
	check "made the secondary" fl right apply "$FL_TMP/new.json"
	check "it gets it" slowwait 10 rules_are right "of right ping no ping"
	check "in step" slowwait 5 in_step
}

no_primary() {
	left_is new.json "$PING, $NO_PING" secondary
	check "made a secondary" fl left apply "$FL_TMP/new.json"
	check "a reason here" slowwait 5 has_reason left "no node is the primary"
	check "and there" slowwait 5 has_reason right "no node is the primary"
	left_is new.json "$PING"
	check "made the primary" fl left apply "$FL_TMP/new.json"
	check "it gives" slowwait 10 rules_are right "of right ping"
	left_is new.json "$PING, $NO_PING"
	check "as before" fl left apply "$FL_TMP/new.json"
	check "in step" slowwait 5 in_step
}

is_busy() {
	fl left confirm 2>&1 | grep -q "another change waits for the other nodes"
}

# right hangs: others are served while left waits for it, and when it is taken for dead it is one that is absent
hangs() {
	local waiting
	left_is new.json "$NO_PING"
	kill -STOP "${fl_daemon_pid[right]}"
	fl left apply "$FL_TMP/new.json" > "$FL_TMP/out" 2>&1 &
	waiting=$!
	check "one at a time" slowwait 3 is_busy
	check "others are served" fl left show rules
	wait "$waiting" || fail "not done without it"
	kill -CONT "${fl_daemon_pid[right]}"
	check_match "told" "$(cat "$FL_TMP/out")" "pending: right went away meanwhile, and gets it when it is back"
	check "it gets it" slowwait 10 rules_are right "of right no ping"
	check "in step" slowwait 5 in_step
}

# right is busy, which takes it longer than a dead one is waited for: it gets it with left's apply, not behind it
busy() {
	left_is new.json "$PING"
	hold_loop right 5
	fl left apply "$FL_TMP/new.json" > "$FL_TMP/out" 2>&1 || fail "$(cat "$FL_TMP/out")"
	check "right has it" rules_are right "of right ping"
	check_not "it is not pending" grep pending "$FL_TMP/out"
	hold_loop_end
	check "in step" slowwait 5 in_step
}

set_up
run_test meets meets
run_test pushed pushed
run_test refused refused
run_test absent absent
run_test by-the-file by_the_file
run_test changed-by-hand changed_by_hand
run_test written-meanwhile written_meanwhile
run_test cannot-take cannot_take
run_test on-trial on_trial
run_test for-itself for_itself
run_test two-primaries two_primaries
run_test no-primary no_primary
run_test hangs hangs
run_test busy busy
teardown
finish
