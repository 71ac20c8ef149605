#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Two daemons that are a pair: the channel between them, through their own programs, and what is told of it. What goes wrong on a connection
# itself has build/net's suites channel*.
#
#	left: sync 172.16.255.1	----	right: sync 172.16.255.2
# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/../lib.sh"

# shellcheck disable=SC2154 # set by setup_ns
set_up() {
	setup_ns left right
	ip link add sync netns "$left" type veth peer name sync netns "$right"
	ip -n "$left" addr add 172.16.255.1/24 dev sync
	ip -n "$right" addr add 172.16.255.2/24 dev sync
	ip -n "$left" link set sync up
	ip -n "$right" link set sync up
	new_key one
	new_key two
	configure left 172.16.255.1 172.16.255.2
	configure right 172.16.255.2 172.16.255.1
	use_key left one
	use_key right one
}

new_key() {
	"$FL_BUILD/fairlead" keygen > "$FL_TMP/$1.key"
}

# use_key NODE NAME...: its file has these keys; put in place as a whole, as an editor does
use_key() {
	local file=$FL_TMP/$1.sync
	(umask 077 && for name in "${@:2}"; do cat "$FL_TMP/$name.key"; done > "$file.new")
	mv "$file.new" "$file"
}

# configure NODE LOCAL PEER
configure() {
	cat > "$FL_TMP/$1.json" << EOF
{
  "node": { "name": "$1" },
  "interfaces": { "sync": { "device": "sync" } },
  "ha": { "interface": "sync", "local": "$2", "peers": ["$3"], "key_file": "$FL_TMP/$1.sync" }
}
EOF
}

# sync_of NODE KEY
sync_of() {
	fl "$1" --json show sync | json "d[0]['$2']"
}

is_connected() {
	[ "$(sync_of "$1" connected)" = True ]
}

both_connected() {
	is_connected left && is_connected right
}

not_connected() {
	! is_connected "$1"
}

uses_key() {
	[ "$(sync_of "$1" key)" = "$2" ]
}

# lost NODE: how often it has lost its peer
lost() {
	fl "$1" --json show events --kind sync | json "sum(e['event'] == 'lost' for e in d)"
}

# has_keys NODE N: it has read so many different files
has_keys() {
	[ "$(fl "$1" --json show events --kind sync | json "sum(e['event'] == 'keys' for e in d)")" = "$2" ]
}

error_is() {
	sync_of "$1" last_error | grep -q "$2"
}

connects() {
	daemon_start left "$left" "$FL_TMP/left.json" || return
	check_match "alone" "$(fl left status)" "^DEGRADED: .*peer 172.16.255.2 .*is not connected since [0-9]+ s: "
	daemon_start right "$right" "$FL_TMP/right.json" || return
	check "both are connected" slowwait 10 both_connected
	check_match "the rule that needs none" "$(fl left show rules)" "proto tcp,udp to or from ha.port"
	check_match "shown" "$(fl right show sync)" "^left +(yes|true) +none"
}

side_by_side() {
	local status
	status=$(fl left --json status)
	check_equal "the peer's name" "$(json "d['peer']['node']" <<< "$status")" right
	check_equal "the peer's state" "$(json "d['peer']['state']" <<< "$status")" ok
	check_equal "connected" "$(json "d['peer']['connected']" <<< "$status")" True
	check_equal "itself" "$(json "d['state'], d['reasons']" <<< "$status")" "('ok', [])"
	status=$(fl left status)
	check_match "as text" "$status" "^node +left +right$"
	check_match "the states" "$status" "^state +ok +ok$"
}

# results CHECK: of left's doctor
results() {
	json "sorted({r['result'] for r in d if r['check'] == '$1'})" < "$FL_TMP/doctor.json"
}

knows_the_clock() {
	[ "$(fl left --json show sync | json 'd[0]["clock_offset_ms"] is not None')" = True ]
}

# Nothing fails, and what only a pair has is looked at
doctor() {
	local name
	slowwait 5 knows_the_clock || fail "the peer has not told its time"
	fl left --json doctor > "$FL_TMP/doctor.json"
	check_equal "exit status" $? 0
	check_equal "what fails" "$(json "[r for r in d if r['result'] == 'fail']" < "$FL_TMP/doctor.json")" "[]"
	for name in version key-change sync-link sync peer-clock sync-foreign mtu; do
		check_equal "$name" "$(results "$name")" "['ok']"
	done
}

# A, then B, then the old key goes on both: nobody is lost at any moment
key_change() {
	use_key left two one
	check "left has read it" slowwait 5 uses_key left old
	use_key right two one
	check "both go over to the new one" slowwait 10 uses_key left current
	check "so does right" slowwait 10 uses_key right current
	use_key left two
	use_key right two
	check "left has read it" slowwait 5 has_keys left 3
	check "so has right" slowwait 5 has_keys right 3
	check "still connected" both_connected
	check_equal "left has lost nobody" "$(lost left)" 0
	check_equal "right has lost nobody" "$(lost right)" 0
	check_match "told" "$(fl left show events --kind sync)" "keys: key [0-9a-f]{16}, and until all have it [0-9a-f]{16}"
}

# Somebody has forgotten the old line, on one node after the other: it holds until both have the new one
key_slip() {
	use_key right one
	check "right has read it" slowwait 5 has_keys right 4
	check "and tells" slowwait 3 has_reason_of right "the key that left is connected by is not in it any more"
	check "connected" both_connected
	use_key left one
	check "both go over to the new one" slowwait 10 uses_key left current
	check "so does right" slowwait 10 uses_key right current
	check "the old one does not hold any more" slowwait 5 has_keys right 5
	check "nor at left" slowwait 5 has_keys left 5
	check "nothing to tell" slowwait 5 is_ok
	check_equal "left has lost nobody" "$(lost left)" 0
	check_equal "right has lost nobody" "$(lost right)" 0
}

# With another key from the beginning
wrong_key() {
	daemon_kill right TERM
	use_key right two
	daemon_start right "$right" "$FL_TMP/right.json" || return
	check "it is cut off" slowwait 10 not_connected left
	check "and says why" slowwait 10 error_is left "another key than this node"
	check "so does the other" slowwait 10 error_is right "another key than this node"
	check_match "a reason" "$(fl left status)" "^DEGRADED: .*peer right .* another key than this node"
	use_key right one
	check "and again" slowwait 10 both_connected
}

# A file that others may read, or that is no key: what was read before goes on; a new configuration is refused
bad_file() {
	chmod 644 "$FL_TMP/left.sync"
	check "a reason" slowwait 5 has_reason "chmod 600; the key read before is used"
	check "still connected" both_connected
	check_match "apply refuses" "$(fl left apply 2>&1)" "/ha/key_file: .*chmod 600"
	check_match "so does a dry run" "$(fl left apply --dry-run 2>&1)" "/ha/key_file: .*chmod 600"
	chmod 600 "$FL_TMP/left.sync"
	check "and again" slowwait 5 is_ok
	check "applied" fl left apply
	check "still connected" both_connected
}

has_reason() {
	has_reason_of left "$1"
}

# has_reason_of NODE TEXT
has_reason_of() {
	fl "$1" status | grep -q "$2"
}

is_ok() {
	fl left status
}

# It ends; and begins when there is no device, which comes later, and its address after that. To the other daemon the device is another one
# than before, with the same name
restarts() {
	daemon_kill left TERM
	check "told" slowwait 3 error_is right "it says: fairleadd stops"
	ip -n "$left" link del sync
	daemon_start left "$left" "$FL_TMP/left.json" || return
	check_match "a reason" "$(fl left status)" "there is no device sync"
	ip link add sync netns "$left" type veth peer name sync netns "$right"
	ip -n "$right" addr add 172.16.255.2/24 dev sync
	ip -n "$right" link set sync up
	ip -n "$left" link set sync up
	check "another reason" slowwait 5 has_reason "172.16.255.1 is no address of this machine"
	ip -n "$left" addr add 172.16.255.1/24 dev sync
	check "again" slowwait 10 both_connected
}

is_told() {
	fl right status | grep -q "$1"
}

# losses: of both nodes
losses() {
	echo "$(lost left) $(lost right)"
}

# Its loop has much to do, as in an apply: nobody is lost for that
held_up() {
	local before
	before=$(losses)
	hold_loop left 6
	check "a reason" slowwait 5 is_told "peer left .* is busy since [3-9] s: its beats come"
	hold_loop_end
	check "no reason any more" slowwait 5 is_ok
	check "still connected" both_connected
	check_equal "nobody was lost" "$(losses)" "$before"
}

# loss_takes NODE: ms until it has lost its peer, from now on
loss_takes() {
	local begin
	begin=$(date +%s%N)
	slowwait 10 not_connected "$1" || return
	echo $((($(date +%s%N) - begin) / 1000000))
}

# Who is dead is lost within three seconds, as ever: stopped with all its threads, or behind a cable that is cut
dead() {
	local ms
	kill -STOP "${fl_daemon_pid[left]}"
	ms=$(loss_takes right)
	kill -CONT "${fl_daemon_pid[left]}"
	check "stopped: $ms ms" [ "$ms" -gt 1000 -a "$ms" -lt 4000 ]
	check_match "why" "$(sync_of right last_error)" "nothing was heard from it for 3 s"
	check "again" slowwait 10 both_connected
	ip -n "$left" link set sync down
	ms=$(loss_takes right)
	check "cut: $ms ms" [ "$ms" -gt 1000 -a "$ms" -lt 4000 ]
	check_match "why" "$(sync_of right last_error)" "nothing was heard from it for 3 s"
	ip -n "$left" link set sync up
	check "again" slowwait 10 both_connected
}

without_ha() {
	echo '{ "interfaces": { "sync": { "device": "sync" } } }' > "$FL_TMP/none.json"
	check "applied" fl left apply "$FL_TMP/none.json"
	check_match "nobody" "$(fl left show sync)" "^no peers$"
	check "told" slowwait 3 error_is right "it says"
	check "as before" fl left rollback
	check "again" slowwait 10 both_connected
}

# The same, and they lose each other before the peer has the new one
key_slip_cut() {
	use_key right two
	check "right tells" slowwait 5 has_reason_of right "the key that left is connected by is not in it any more"
	ip -n "$left" link set sync down
	check "right has lost it" slowwait 10 not_connected right
	use_key right two # read again, it is the same
	sleep 1.5
	check "right still tells" has_reason_of right "the key that left was connected by is not in it any more"
	ip -n "$left" link set sync up
	check "again" slowwait 10 both_connected
	use_key left two
	check "both go over to the new one" slowwait 10 uses_key right current
	check "nothing to tell" slowwait 5 is_ok
}

set_up
run_test connects connects
run_test side-by-side side_by_side
run_test doctor doctor
run_test key-change key_change
run_test key-slip key_slip
run_test wrong-key wrong_key
run_test bad-file bad_file
run_test held-up held_up
run_test dead dead
run_test restarts restarts
run_test without-ha without_ha
run_test key-slip-cut key_slip_cut
teardown
finish
