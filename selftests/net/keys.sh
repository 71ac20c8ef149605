#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The key of two daemons that share an address is changed: in order, too soon, on one node alone, on both at once and to different ones. Whatever
# people do, no address has two masters, and a key that was taken out ends.
#
#	left: lan 192.0.2.1, sync 172.16.255.1		right: lan 192.0.2.2, sync 172.16.255.2
#	switch: left, right	the address is 192.0.2.100
# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/../lib.sh"

INTERVAL_MS=100

# shellcheck disable=SC2154 # set by setup_ns
set_up() {
	local node name
	setup_ns left right switch
	ip -n "$switch" link add name bridge0 type bridge
	ip -n "$switch" link set bridge0 up
	plug "$left" left 192.0.2.1
	plug "$right" right 192.0.2.2
	ip link add sync netns "$left" type veth peer name sync netns "$right"
	ip -n "$left" addr add 172.16.255.1/24 dev sync
	ip -n "$right" addr add 172.16.255.2/24 dev sync
	for node in "$left" "$right"; do
		ip -n "$node" link set sync up
	done
	(umask 077 && echo love > "$FL_TMP/password")
	for name in one two three four five; do
		"$FL_BUILD/fairlead" keygen > "$FL_TMP/$name.key"
	done
	configure left 172.16.255.1 172.16.255.2 0
	configure right 172.16.255.2 172.16.255.1 100
}

# plug NAMESPACE PORT ADDRESS: a device, to the switch
plug() {
	ip link add "$2" netns "$switch" type veth peer name lan netns "$1"
	ip -n "$switch" link set "$2" master bridge0 up
	ip -n "$1" addr add "$3/24" dev lan
	ip -n "$1" link set lan up
}

# configure NODE LOCAL PEER ADVSKEW
configure() {
	cat > "$FL_TMP/$1.json" << CONFIG
{
  "node": { "name": "$1" },
  "default_action": "pass",
  "interfaces": { "lan": { "device": "lan" }, "sync": { "device": "sync" } },
  "vips": { "lan_vip": { "interface": "lan", "address": "192.0.2.100/24", "vhid": 7, "fast_ms": $INTERVAL_MS,
                         "password_file": "$FL_TMP/password" } },
  "ha": { "interface": "sync", "local": "$2", "peers": ["$3"], "key_file": "$FL_TMP/$1.sync", "advskew": $4,
          "sync_states": false }
}
CONFIG
}

# use_key NODE NAME...: its file has these keys; put in place as a whole, as an editor does
use_key() {
	local file=$FL_TMP/$1.sync
	(umask 077 && for name in "${@:2}"; do cat "$FL_TMP/$name.key"; done > "$file.new")
	mv "$file.new" "$file"
}

# begin KEY: both have it, and know nothing of others
begin() {
	local node
	for node in left right; do
		daemon_kill "$node" TERM
		use_key "$node" "$1"
	done
	for node in left right; do
		daemon_start "$node" "${!node}" "$FL_TMP/$node.json" || return
	done
	check "both are there" slowwait 10 are_settled master backup
}

# vip NODE KEY
vip() {
	fl "$1" --json show vips | json "d[0]['$2']"
}

# roles LEFT RIGHT
roles() {
	[ "$(vip left role)" = "$1" ] && [ "$(vip right role)" = "$2" ]
}

# sync_of NODE KEY
sync_of() {
	fl "$1" --json show sync | json "d[0]['$2']"
}

is_connected() {
	[ "$(sync_of "$1" connected)" = True ]
}

are_connected() {
	is_connected left && is_connected right
}

are_apart() {
	! is_connected left && ! is_connected right
}

# are_settled LEFT RIGHT: connected, in these roles, ready
are_settled() {
	are_connected && roles "$1" "$2" && [ -z "$(vip left not_ready)$(vip right not_ready)" ]
}

# use_current: the connection is of the first key of each file
use_current() {
	[ "$(sync_of left key)" = current ] && [ "$(sync_of right key)" = current ]
}

# has_event NODE EVENT SINCE
has_event() {
	[ "$(fl "$1" --json show events --kind sync | json "any(e['event'] == '$2' and e['time_ms'] >= $3 for e in d)")" = True ]
}

# one_master SINCE: but for a moment in which one hands over, and tells of it behind that
one_master() {
	local ms
	ms=$(both_master "$1")
	check "two masters for $ms ms" [ "$ms" -lt "$INTERVAL_MS" ]
}

has_reason() {
	fl "$1" status | grep -q "$2"
}

are_ok() {
	fl left status > "$FL_TMP/status" && fl right status > "$FL_TMP/status"
}

# Nothing but its own file makes a node tell of the key any more
are_through() {
	are_connected && use_current && are_ok
}

# losses: how often either has lost the other, in all
losses() {
	local node n=0
	for node in left right; do
		n=$((n + $(fl "$node" --json show events --kind sync | json "sum(e['event'] == 'lost' for e in d)")))
	done
	echo "$n"
}

# both_master MS: for how long both have been master since then, by what they have told
both_master() {
	local node
	for node in left right; do
		fl "$node" --json show events --kind vip > "$FL_TMP/$node.events"
	done
	"$FL_PYTHON" - "$FL_TMP/left.events" "$FL_TMP/right.events" "$1" << 'PYTHON'
import json, sys, time

def times(path):
    out, since = [], None
    for e in json.load(open(path)):
        if e["event"].endswith("-> master"):
            since = e["time_ms"]
        elif e["event"].startswith("master ->") and since is not None:
            out.append((since, e["time_ms"]))
            since = None
    return out + ([(since, time.time() * 1000)] if since is not None else [])

begin = int(sys.argv[3])
print(int(sum(max(0, min(a[1], b[1]) - max(a[0], b[0], begin)) for a in times(sys.argv[1]) for b in times(sys.argv[2]))))
PYTHON
}

now_ms() {
	echo $(($(date +%s%N) / 1000000))
}

# no_loss ORDER...: each "NODE KEY..." is what that node's file has next, two seconds after the one before. Nobody is lost by it, and no role changes
no_loss() {
	local before changes step
	before=$(losses) changes="$(changes left) $(changes right)"
	for step in "$@"; do
		# shellcheck disable=SC2086 # words
		use_key $step
		sleep 2 # a file is looked at once a second
		check "connected: $step" are_connected
	done
	check "through" slowwait 10 are_through
	check_equal "losses" "$(losses)" "$before"
	check_equal "changes of roles" "$(changes left) $(changes right)" "$changes"
}

# changes NODE: of its role, so far
changes() {
	fl "$1" --json show events --kind vip | json "sum(' -> ' in e['event'] for e in d)"
}

in_order() {
	begin one || return
	no_loss "left two one" "right two one" "left two" "right two"
	no_loss "right three two" "left three two" "right three" "left three"
}

# The old key goes too soon, on one node after the other
too_soon() {
	no_loss "left one" "right one"
	no_loss "right two" "left two"
	no_loss "left three" "right three two" "right three"
	no_loss "left two three" "right two" "left two"
}

# Two other lines, in any order; and twice before the other node follows
leaps() {
	no_loss "right four three" "left four" "right four"
	no_loss "left two one" "right one two" "left one" "right one"
	no_loss "left three four" "left two five" "right five" "left five"
	no_loss "right three four" "right two one" "left one two" "right one" "left one"
}

# The peer is not connected at the moment, but is heard on the segment
cut_off() {
	local since
	since=$(now_ms)
	ip -n "$right" link set sync down
	check "apart" slowwait 10 are_apart
	use_key right two
	check "told" slowwait 3 has_reason right "the key that left was connected by is not in it any more"
	sleep 1 # ten intervals
	check "as before" roles master backup
	ip -n "$right" link set sync up
	check "again" slowwait 10 are_connected
	use_key left two
	check "through" slowwait 10 are_through
	one_master "$since"
}

# ended NODE OTHER: of the two the first has ended the other's key, which stands back
ended() {
	local since
	since=$(now_ms)
	check "told at $1" slowwait 3 has_reason "$1" "ends in [0-9]* s: put the new one into the file of $2"
	check "told at $2" slowwait 3 has_reason "$2" "$1 has taken the key that this node has out of its own file"
	check_equal "ended" "$(fl "$1" sync keys)" "1 ended"
	check "apart" slowwait 5 are_apart
	check "an event" has_event "$1" "key ended" "$since"
	check_match "why" "$(sync_of "$2" last_error)" "the key of the connection was taken out|another key than this node"
	check "one has it" slowwait 5 has_it "$1" "$2"
	sleep 4 # longer than what was ended holds for adverts
	check "and keeps it" has_it "$1" "$2"
	check "told at $2" has_reason "$2" "$1 has taken the key that this node has"
	one_master "$since"
}

has_it() {
	[ "$(vip "$1" role)" = master ] && [ "$(vip "$2" role)" = init ]
}

# A key was stolen, or the time is over: it ends though the peer has no other. The one with the new key is who has the address
ends_at_backup() {
	local since
	begin one || return
	since=$(now_ms)
	use_key right two
	ended right left
	use_key left three # not that one
	sleep 3            # it is read within a second
	check "nothing is better by that" has_it right left
	one_master "$since"
	use_key left two
	check "as before" slowwait 10 are_settled master backup
	check "and nothing to tell" slowwait 5 are_ok
}

ends_at_master() {
	begin one || return
	use_key left three two
	ended left right
	use_key right two
	check "as before" slowwait 10 are_settled master backup
}

# The one that has ended it dies meanwhile, and comes back
dies_behind_it() {
	local since
	begin one || return
	use_key right two
	ended right left
	daemon_kill right
	check "replaced" slowwait 10 is_master left
	since=$(now_ms)
	daemon_start right "$right" "$FL_TMP/right.json" || return
	check "one again" slowwait 10 has_it right left
	check "for a moment both: $(both_master "$since") ms" [ "$(both_master "$since")" -lt 1500 ]
	use_key left two
	check "as before" slowwait 10 are_settled master backup
}

is_master() {
	[ "$(vip "$1" role)" = master ]
}

# Both have a new one, and not the same: the one with the lower number has it
ends_at_both() {
	local since
	begin one || return
	since=$(now_ms)
	use_key left two
	use_key right three
	check "told at left" slowwait 3 has_reason left "the key that right is connected by is not in it any more"
	check "told at right" slowwait 3 has_reason right "the key that left is connected by is not in it any more"
	check "connected" are_connected
	check_equal "ended at right" "$(fl right sync keys)" "1 ended"
	check "apart" slowwait 5 are_apart
	check "one has it" slowwait 8 has_it left right
	sleep 4
	check "and keeps it" has_it left right
	one_master "$since"
	use_key right two
	check "as before" slowwait 10 are_settled master backup
}

set_up
run_test in-order in_order
run_test too-soon too_soon
run_test leaps leaps
run_test cut-off cut_off
run_test ends-at-backup ends_at_backup
run_test ends-at-master ends_at_master
run_test dies-behind-it dies_behind_it
run_test ends-at-both ends_at_both
teardown
finish
