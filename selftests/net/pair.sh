#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Two daemons that share an address: who has it, whatever happens to one of them or between them, and what is told of it. What they say to each
# other has build/net's suite pair, in a time of its own.
#
#	left: lan 192.0.2.1, sync 172.16.255.1		right: lan 192.0.2.2, sync 172.16.255.2
#	switch: left, right, host	host: lan 192.0.2.3; the address is 192.0.2.100
# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/../lib.sh"

# shellcheck disable=SC2154 # set by setup_ns
set_up() {
	local node
	setup_ns left right switch host
	ip -n "$switch" link add name bridge0 type bridge
	ip -n "$switch" link set bridge0 up
	plug "$left" left 192.0.2.1
	plug "$right" right 192.0.2.2
	plug "$host" host 192.0.2.3
	ip -n "$left" addr add 2001:db8::1/64 dev lan nodad
	ip -n "$right" addr add 2001:db8::2/64 dev lan nodad
	ip link add sync netns "$left" type veth peer name sync netns "$right"
	ip -n "$left" addr add 172.16.255.1/24 dev sync
	ip -n "$right" addr add 172.16.255.2/24 dev sync
	for node in "$left" "$right"; do
		ip -n "$node" link set sync up
	done
	(umask 077 && echo love > "$FL_TMP/password" && "$FL_BUILD/fairlead" keygen > "$FL_TMP/key")
	configure left 172.16.255.1 172.16.255.2 0
	configure right 172.16.255.2 172.16.255.1 100
	for node in left right; do
		cp "$FL_TMP/$node.json" "$FL_TMP/$node-plain.json" # the daemon's own file becomes what is applied
	done
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
	cat > "$FL_TMP/$1.json" << EOF
{
  "node": { "name": "$1" },
  "default_action": "pass",
  "interfaces": { "lan": { "device": "lan" }, "sync": { "device": "sync" } },
  "nat": [ { "type": "snat", "interface": "lan", "protocol": "tcp", "translate_to": "lan_vip" } ],
  "vips": { "lan_vip": { "interface": "lan", "address": "192.0.2.100/24", "vhid": 7, "fast_ms": 100,
                         "password_file": "$FL_TMP/password" } },
  "ha": { "interface": "sync", "local": "$2", "peers": ["$3"], "key_file": "$FL_TMP/key", "advskew": $4,
          "sync_states": false }
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

is() {
	[ "$(vip "$1" role)" = "$2" ]
}

# has_event NODE EVENT [KEY VALUE]
has_event() {
	[ "$(fl "$1" --json show events --kind vip | json "any(e['event'] == '$2' and e.get('${3:-event}') == '${4:-$2}' for e in d)")" = True ]
}

is_ready() {
	[ -z "$(vip "$1" not_ready)" ]
}

# has_been NODE MS: in its role
has_been() {
	[ "$(vip "$1" since_ms)" -ge "$2" ]
}

reached() {
	in_ns "$host" ping -c 1 -W 1 192.0.2.100
}

has_reason() {
	fl "$1" status | grep -q "^DEGRADED: .*$2"
}

begins() {
	daemon_start left "$left" "$FL_TMP/left.json" || return
	check "alone" slowwait 5 is left master
	daemon_start right "$right" "$FL_TMP/right.json" || return
	check "the worse one is backup" slowwait 3 roles master backup
	check "they hear each other" slowwait 3 has_event left "peer up"
	check "ready" slowwait 5 is_ready right
	check "reached" slowwait 3 reached
	check_equal "no bad advert" "$(vip right adverts_bad)" 0
	check_equal "no states are compared" "$(fl left --json show sync | json 'd[0]["digest_match"]')" None
}

# peers NODE ADDRESS...: adverts of both families go to these. Both nodes have the same list
peers() {
	local list
	list=$(printf '"%s", ' "${@:2}")
	json "__import__('json').dumps({**d, 'vips': {'lan_vip': {**d['vips']['lan_vip'], 'address': ['192.0.2.100/24', '2001:db8::100/64'],
		'peers': [${list%, }]}}})" < "$FL_TMP/$1-plain.json" > "$FL_TMP/$1-peers.json"
	check "applied" fl "$1" apply --local "$FL_TMP/$1-peers.json"
}

# To all of the segment again, as at the beginning
no_peers() {
	local node
	for node in left right; do
		check "as at the beginning" fl "$node" apply --local "$FL_TMP/$node-plain.json"
	done
	check "as before" slowwait 3 roles master backup
	check "adverts to all" by_multicast
}

hears_more() {
	[ "$(vip "$1" adverts_received)" -gt "$2" ]
}

# unicast ADDRESS...: what right hears of left
unicast() {
	local bad received
	for node in left right; do
		peers "$node" "$@"
	done
	check "as before" slowwait 3 roles master backup
	bad=$(vip right adverts_bad) received=$(vip right adverts_received)
	check "heard" slowwait 3 hears_more right "$((received + 10))"
	check_equal "and none refused" "$(vip right adverts_bad)" "$bad"
	check_equal "nor told of" "$(fl right status | head -n 1)" "OK"
}

by_ipv6_unicast() {
	unicast 2001:db8::1 2001:db8::2
	check_equal "from the address that is named" "$(vip right master)" 2001:db8::1
	unicast 192.0.2.1 192.0.2.2 2001:db8::1 2001:db8::2
	no_peers
}

by_multicast() {
	"$FL_PYTHON" -c 'import sys, wire
wire.Port(sys.argv[1], "lan").expect("an advert", lambda p: (p.src, p.dst, p.proto) == ("192.0.2.1", "224.0.0.18", 112))' "$host"
}

# A third node, with the password and without "ha": it understands the pair's adverts, which does not believe its own
plain_master() {
	cat > "$FL_TMP/third.json" << EOF
{
  "node": { "name": "plain" },
  "default_action": "pass",
  "interfaces": { "lan": { "device": "lan" } },
  "vips": { "lan_vip": { "interface": "lan", "address": "192.0.2.100/24", "vhid": 7, "advbase_s": 0, "advskew": 10,
                         "password_file": "$FL_TMP/password" } }
}
EOF
	check_equal "before" "$(fl left status | head -n 1)" "OK"
	daemon_start plain "$host" "$FL_TMP/third.json" || return
	check "it is master" slowwait 3 is plain master
	check "and so is the pair's" slowwait 1 roles master backup
	check "a reason" slowwait 2 has_reason left 'split-brain: vip lan_vip: 192.0.2.3 is master too, and is not believed: .*"plain_peers"'
	check "told" has_event left split-brain level alert
	check "a SIEM alerts" siem_alerts left 100853
	check_equal "a backup has nothing to tell" "$(fl right status | head -n 1)" "OK"
	daemon_remove plain
	check "gone" slowwait 10 is_ok left
}

is_ok() {
	[ "$(fl "$1" status | head -n 1)" = OK ]
}

# seen_from NODE: the address that the host sees of a connection that the node itself begins
seen_from() {
	in_ns "$1" timeout 3 "$FL_PYTHON" -c 'import socket
print(socket.create_connection(("192.0.2.3", 7000), 2).recv(100).decode())'
}

# What both translate to the shared address: who does not have it would never hear an answer
own_connections() {
	background "$host" "$FL_PYTHON" -c 'import socket
server = socket.create_server(("", 7000))
while True:
	s, (address, _) = server.accept()
	s.sendall(address.encode())
	s.close()'
	slowwait 5 in_ns "$host" ss -Hltn sport = :7000
	check "of who has it" slowwait 3 seen_as "$left" 192.0.2.100
	check "of who has not" slowwait 3 seen_as "$right" 192.0.2.2
}

# seen_as NODE ADDRESS
seen_as() {
	[ "$(seen_from "$1")" = "$2" ]
}

# The carrier, not the device: as when a cable is pulled
lost_link() {
	ip -n "$switch" link set left down
	check "relieved" slowwait 1 is right master
	check "by what the peer said" has_event right "backup -> master" reason "172.16.255.1 gives them up"
	check "reached" slowwait 1 reached
	ip -n "$switch" link set left up
	check "and back" slowwait 2 roles master backup
	check "the peer has seen it announced" slowwait 2 has_event left announced
	check_match "shown" "$(vip left announced_ms)" '^[0-9.]+$'
}

# demoted NODE: by what, as an object
demoted() {
	vip "$1" demotion
}

is_demoted() {
	[ "$(demoted left)" = "$1" ]
}

# cant_send FAMILY HOOK SECONDS: left's adverts are dropped there for a while, in which it stays demoted. When they have left for so long again it
# is over
cant_send() {
	local bad
	bad=$(vip right adverts_bad)
	check "dropped" in_ns "$left" nft "add table $1 fl_test; add chain $1 fl_test out { type filter hook $2 priority 0; };
		add rule $1 fl_test out meta protocol ip ip protocol 112 drop"
	check "relieved" slowwait 2 roles backup master
	check "by its own word" has_event right "backup -> master" reason "172.16.255.1 is demoted further"
	check "reached" slowwait 1 reached
	check_equal "why" "$(demoted left)" "{'send:lan': 240}"
	check_equal "until" "$(vip left demotion_ends)" "{'send:lan': 'adverts, or probes of a backup, leave by it for $3 s'}"
	check "told" has_event left "can\\'t send" level warning
	check "in status" has_reason left "vip lan_vip: its adverts can't be sent"
	check "still, after some probes" slowwait 5 has_been left 4000
	check "nothing has changed" is_demoted "{'send:lan': 240}"
	check_match "since" "$(vip left demotion_since_ms)" "^\{'send:lan': [0-9]{4,5}\}$"
	check_equal "heard as no advert" "$(vip right adverts_bad)" "$bad"
	in_ns "$left" nft delete table "$1" fl_test
	check "over" slowwait "$((2 + $3))" is_demoted "{}"
	check "and back" slowwait 2 roles master backup
	check "told" has_event left "can send" level notice
	check_equal "all is well" "$(fl left status | head -n 1)" "OK"
	check_equal "at the other" "$(fl right status | head -n 1)" "OK"
}

cant_send_to_all() {
	cant_send netdev "egress device lan" 3
}

cant_send_to_a_peer() {
	local node
	for node in left right; do
		peers "$node" 192.0.2.1 192.0.2.2
	done
	check "as before" slowwait 3 roles master backup
	cant_send ip output 6
	no_peers
}

# Of its role, so far
changes() {
	fl "$1" --json show events --kind vip | json "sum(' -> ' in e['event'] for e in d)"
}

# One change at each node, and none before the node is behind all others
maintained() {
	local left right
	left=$(changes left) right=$(changes right)
	check "on" fl left vip maintenance on
	check "handed over" slowwait 1 roles backup master
	check "the peer has seen it announced" slowwait 2 has_event right announced
	check_equal "changes of both" "$(($(changes left) - left)) $(($(changes right) - right))" "1 1"
	check "off" fl left vip maintenance off
	check "and back" slowwait 2 roles master backup
	check_equal "changes of both" "$(($(changes left) - left)) $(($(changes right) - right))" "2 2"
}

killed() {
	daemon_kill left
	check "replaced" slowwait 2 is right master
	check "reached" slowwait 1 reached
	check "told" slowwait 3 has_reason right "peer-dead: 172.16.255.1"
	daemon_start left "$left" "$FL_TMP/left.json" || return
	check "and back" slowwait 5 roles master backup
}

# As a machine that swaps, or is moved to another host
stopped() {
	kill -STOP "${fl_daemon_pid[left]}"
	check "replaced" slowwait 2 is right master
	check "reached" slowwait 1 reached
	kill -CONT "${fl_daemon_pid[left]}"
	check "it has given them up" slowwait 2 has_event left "master -> backup" reason \
		"this node was held up for so long that another has taken them"
	check "and back" slowwait 2 roles master backup
	check_not "no split brain" has_event left split-brain from 172.16.255.2
}

# sync NODE KEY
sync() {
	fl "$1" --json show sync | json "d[0]['$2']"
}

is_bad() {
	[ "$(sync right beats_bad)" = "$1" ]
}

# Something else speaks from the peer's address
strange_beats() {
	local bad received
	bad=$(sync right beats_bad) received=$(sync right beats_received)
	in_ns "$left" bash -c 'for i in 1 2 3; do echo beat > /dev/udp/172.16.255.2/7241; done'
	check "counted" slowwait 2 is_bad "$((bad + 3))"
	check "told" has_event right "bad beat" level warning
	check "and no more than that" slowwait 2 beats_grow "$received"
	check "nobody moves" roles master backup
}

beats_grow() {
	[ "$(sync right beats_received)" -gt "$1" ]
}

cut_sync_link() {
	ip -n "$right" link set sync down
	check "told" slowwait 2 has_reason left "sync-link-down: 172.16.255.2"
	check "nobody moves" roles master backup
}

# announced PATTERN TIME: what was captured of it since then, in whole seconds after the first
announced() {
	awk -v pattern="$1" -v since="$2" '$1 >= since && $0 ~ pattern { first = first ? first : $1; printf "%.0f ", $1 - first }' "$FL_TMP/announced"
}

is_announced() {
	[ "$(announced "$1" "$2")" = "$3" ]
}

# As often as right's configuration says, and refreshed, to who is on the segment; left announces nothing meanwhile
announces() {
	local node tcpdump pattern since refresh=0
	for node in left right; do
		json "__import__('json').dumps({**d, 'vips': {'lan_vip': {**d['vips']['lan_vip'], 'address': ['192.0.2.100/24', '2001:db8::100/64'],
			'announce_repeat': $((refresh / 2)), 'announce_refresh_s': $refresh}}})" < "$FL_TMP/$node-plain.json" > "$FL_TMP/$node-often.json"
		check "applied" fl "$node" apply --local "$FL_TMP/$node-often.json"
		refresh=4
	done
	check "as before" slowwait 3 roles master backup
	background "$host" tcpdump -ttlnni lan 'ether src 00:00:5e:00:01:07 and (arp or icmp6)' > "$FL_TMP/announced" 2> "$FL_TMP/tcpdump"
	tcpdump=$!
	check "listens" slowwait 5 grep -q "listening on" "$FL_TMP/tcpdump"
	since=$EPOCHREALTIME
	daemon_kill left # who leaves says so by both families: the other, which has the address by the first, insists by the second
	for pattern in "who-has 192.0.2.100 tell 192.0.2.100" "2001:db8::100 > ff02::1: .*advertisement, tgt is 2001:db8::100"; do
		check "captured" slowwait 15 is_announced "$pattern" "$since" "0 1 2 6 10 "
	done
	stop_process "$tcpdump"
	daemon_start left "$left" "$FL_TMP/left.json" || return
	no_peers
}

# siem_alerts NODE ID: of its events, as syslog gets them
siem_alerts() {
	fl "$1" show events | cut -d ' ' -f 3- | sed 's/^/<25>Nov 29 10:00:00 fairleadd[1]: /' > "$FL_TMP/lines"
	"$FL_PYTHON" "$FL_NET/siem.py" --alert "$2" "$FL_TMP/lines"
}

split_brain() {
	ip -n "$switch" link set left nomaster
	check "both" slowwait 2 roles master master
	check "for longer than a change takes" slowwait 2 has_been right 400
	ip -n "$switch" link set left master bridge0
	check "one" slowwait 2 roles master backup
	check "told" slowwait 2 has_event left split-brain level alert
	check "by both" slowwait 2 has_event right split-brain level alert
	check "a SIEM alerts" siem_alerts right 100853
	check_match "and who has won" "$(fl right show events --kind vip)" 'one master: 172.16.255.1 stays, this node yields'
	check "a reason" has_reason left "split-brain: vip lan_vip: 172.16.255.2"
	ip -n "$right" link set sync up
}

# left has lost its state directory and begins again when its clock is right again, which was a year ahead: all that it says is older than what
# right has heard. It goes on beyond that; what was recorded meanwhile stays older
clock_was_ahead() {
	local file ahead
	file=/var/lib/fairlead/$(instance right)/epochs
	ahead=$(($(date +%s) + 31536000))000000000
	daemon_kill left TERM
	daemon_kill right TERM
	json "__import__('json').dumps({**d, 'peers': {'172.16.255.1': [$ahead, 5]}})" < "$file" > "$FL_TMP/epochs"
	cp "$FL_TMP/epochs" "$file"
	daemon_start right "$right" "$FL_TMP/right.json" || return
	daemon_start left "$left" "$FL_TMP/left.json" || return
	check "both know each other" slowwait 5 roles master backup
	check "heard" slowwait 5 hears_more right 10
	check "connected again" slowwait 5 is_connected left
	check_equal "the epoch after that one" "$(json "d['epoch']" < "/var/lib/fairlead/$(instance left)/epochs")" "$((ahead + 1))"
	daemon_kill left TERM
	daemon_start left "$left" "$FL_TMP/left.json" || return
	check "and so it stays" slowwait 5 roles master backup
	check "greater still" [ "$(json "d['epoch']" < "/var/lib/fairlead/$(instance left)/epochs")" -gt "$((ahead + 1))" ]
}

is_connected() {
	[ "$(fl "$1" --json show sync | json "d[0]['connected']")" = True ]
}

# right has heard of one that nobody can go beyond, as who had the key for a moment could have it: it is not believed
epoch_of_nobody() {
	local file epoch
	file=/var/lib/fairlead/$(instance right)/epochs
	for epoch in -1 9223372036854775807; do
		daemon_kill left TERM
		daemon_kill right TERM
		json "__import__('json').dumps({**d, 'peers': {'172.16.255.1': [$epoch, 5]}})" < "$file" > "$FL_TMP/epochs"
		cp "$FL_TMP/epochs" "$file"
		daemon_start right "$right" "$FL_TMP/right.json" || return
		daemon_start left "$left" "$FL_TMP/left.json" || return
		check "both know each other" slowwait 5 roles master backup
		check "heard" slowwait 5 hears_more right 10
		check "connected" slowwait 5 is_connected left
	done
}

# Who has no ready peer keeps its addresses, dead or not
alone() {
	local changes
	daemon_kill right TERM
	check "told" slowwait 2 has_reason left "peer ended: 172.16.255.2"
	changes=$(changes left)
	check "maintenance, where nobody is left" fl left vip maintenance on
	sleep 0.5
	check_equal "changes of its role" "$(changes left)" "$changes"
	check "the end of it" fl left vip maintenance off
	daemon_kill left
	sleep 0.5 # five intervals
	check "reached" slowwait 1 reached
}

set_up
run_test begins begins
run_test by-ipv6-unicast by_ipv6_unicast
run_test plain-master plain_master
run_test own-connections own_connections
run_test lost-link lost_link
run_test cant-send-to-all cant_send_to_all
run_test cant-send-to-a-peer cant_send_to_a_peer
run_test maintained maintained
run_test announces announces
run_test killed killed
run_test stopped stopped
run_test strange-beats strange_beats
run_test cut-sync-link cut_sync_link
run_test split-brain split_brain
run_test clock-was-ahead clock_was_ahead
run_test epoch-of-nobody epoch_of_nobody
run_test alone alone
teardown
finish
