#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# State replication between two routers with shared addresses: what one has the other has, and connections go on when the addresses move, when a
# daemon is killed and comes again.
#
#	          ┌── lan0 left  wan0 ──┐
#	client ───┤ 192.0.2.1    .10    ├── server 198.51.100.99, 2001:db8:f::99
#	          └── lan0 right wan0 ──┘        sync: 172.16.255.1, .2
#
# IPv4 is translated to the shared 198.51.100.10, TCP by a gateway that a rule names; IPv6 by prefix.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../lab.sh"

client='' server='' left='' right='' switch='' near='' i=0
CLIENT4=192.0.2.80 CLIENT6=2001:db8:aa::80 SERVER4=198.51.100.99 SERVER6=2001:db8:f::99 SHARED=198.51.100.10
NEAR4=(192.0.2.81 192.0.2.82) FAR4=198.51.100.98
flows=() seen=()

# plug NAMESPACE DEVICE BRIDGE
plug() {
	local port=$1-$2
	port=${port#"$FL_PREFIX-"}
	ip -n "$1" link add name "$2" type veth peer name "$port" netns "$switch"
	ip -n "$switch" link set dev "$port" master "$3" up
	ip -n "$1" link set dev "$2" up
	napi "$switch" "$port"
	napi "$1" "$2"
}

network_up() {
	setup_ns client server left right switch
	for bridge in lan wan; do
		ip -n "$switch" link add name "$bridge" type bridge mcast_snooping 0
		ip -n "$switch" link set dev "$bridge" up
	done
	plug "$client" eth0 lan
	plug "$server" eth0 wan
	for node in "$left" "$right"; do
		plug "$node" lan0 lan
		plug "$node" wan0 wan
	done
	ip -n "$left" link add sync0 type veth peer name sync0 netns "$right"
	node_up "$left" 1
	node_up "$right" 2
	ip -n "$client" addr add "$CLIENT4/24" dev eth0
	for near in "${NEAR4[@]}"; do
		ip -n "$client" addr add "$near/24" dev eth0
	done
	ip -n "$client" addr add "$CLIENT6/64" dev eth0 nodad
	ip -n "$server" addr add "$SERVER4/24" dev eth0
	ip -n "$server" addr add "$FAR4/24" dev eth0
	ip -n "$server" addr add "$SERVER6/64" dev eth0 nodad
	ip -n "$client" route add default via 192.0.2.1
	ip -n "$client" -6 route add default via 2001:db8:aa::1
	ip -n "$server" -6 route add 2001:db8:bb::/64 via 2001:db8:f::10
	"$FL_BUILD/fairlead" keygen > "$FL_TMP/sync.key"
	echo secret > "$FL_TMP/carp.key"
	chmod 600 "$FL_TMP/sync.key" "$FL_TMP/carp.key"
}

# node_up NAMESPACE N
node_up() {
	ip -n "$1" link set dev sync0 up
	ip -n "$1" addr add "172.16.255.$2/24" dev sync0
	ip -n "$1" addr add "192.0.2.$((1 + $2))/24" dev lan0
	ip -n "$1" addr add "2001:db8:aa::$((1 + $2))/64" dev lan0 nodad
	ip -n "$1" addr add "198.51.100.$((10 + $2))/24" dev wan0
	ip -n "$1" addr add "2001:db8:f::$((10 + $2))/64" dev wan0 nodad
	forwarding "$1"
}

# config NAME MODE N OTHER: rules are in another order on each, so that their numbers are others
config() {
	local rules=('{ "name": "by the gateway", "action": "pass", "direction": "in", "interface": "lan", "family": "inet",
			"protocol": "tcp", "quick": true, "route_to": "out" }'
		'{ "name": "the rest", "action": "pass", "direction": "in", "interface": "lan" }')
	local nat=('{ "type": "snat", "interface": "wan", "source": { "address": "10.9.9.0/24" }, "translate_to": "interface" }'
		'{ "type": "snat", "interface": "wan", "source": { "address": "192.0.2.0/24" }, "translate_to": "'"$SHARED"'", "endpoint_independent": true }')
	[ "$3" = 1 ] || nat=("${nat[1]}" "${nat[0]}")
	cat > "$FL_TMP/$1.json" << JSON
{
	"node": { "name": "$1" },
	"interfaces": { "lan": { "device": "lan0", "mode": "$2" }, "wan": { "device": "wan0", "mode": "$2" }, "sync": { "device": "sync0" } },
	"gateways": { "other$3": { "interface": "lan", "address": "192.0.2.99", "monitor": false },
		"uplink": { "interface": "wan", "address": "$SERVER4", "monitor": false },
		"spare": { "interface": "wan", "address": "198.51.100.98", "monitor": false } },
	"gateway_groups": { "out": { "members": [ { "gateway": "uplink", "tier": 1 }, { "gateway": "spare", "tier": 2 } ] } },
	"prefix_translations": [ { "interface": "wan", "internal": "2001:db8:aa::/64", "external": "2001:db8:bb::/64", "mode": "rfc6296" } ],
	"default_action": { "in": "block", "out": "pass" },
	"rules": [ ${rules[0]}, ${rules[1]} ],
	"nat": [ ${nat[0]}, ${nat[1]} ],
	"vips": {
		"lan_vip": { "interface": "lan", "address": ["192.0.2.1/24", "2001:db8:aa::1/64"], "vhid": 1, "fast_ms": 50,
			"advskew": $((100 * $3 - 100)), "password_file": "$FL_TMP/carp.key" },
		"wan_vip": { "interface": "wan", "address": ["$SHARED/24", "2001:db8:f::10/64"], "vhid": 2, "fast_ms": 50,
			"advskew": $((100 * $3 - 100)), "password_file": "$FL_TMP/carp.key" }
	},
	"ha": { "interface": "sync", "local": "172.16.255.$3", "peers": ["172.16.255.$4"], "key_file": "$FL_TMP/sync.key" },
	"limits": { "states": 2000 }
}
JSON
}

# sync_of NODE KEY
sync_of() {
	fl "$1" --json show sync | json "d[0]['$2']"
}

# sync_is NODE KEY VALUE
sync_is() {
	[ "$(sync_of "$1" "$2")" = "$3" ]
}

has_all() {
	sync_is left digest_match True && sync_is right digest_match True
}

# role_is NODE ROLE [VIP]: of both, or of one
role_is() {
	[ "$(fl "$1" --json show vips | json "{ v['role'].lower() for v in d if '${3:-}' in ('', v['name']) } == { '$2' }")" = True ]
}

start() {
	network_up
	config left "$1" 1 2
	config right "$1" 2 1
	daemon_start left "$left" "$FL_TMP/left.json" || return
	daemon_start right "$right" "$FL_TMP/right.json" || return
	background "$server" "$FL_PYTHON" "$FL_NET/replicate.py" serve "$SERVER4" "$SERVER6" > "$FL_TMP/serve.log" 2>&1
	slowwait 5 grep -q ready "$FL_TMP/serve.log" || fail "the server: $(cat "$FL_TMP/serve.log")"
	background "$server" "$FL_PYTHON" "$FL_NET/replicate.py" tell "$SERVER4" "$FAR4" > "$FL_TMP/tell.log" 2>&1
	slowwait 5 grep -q ready "$FL_TMP/tell.log" || fail "the server: $(cat "$FL_TMP/tell.log")"
	check "both have all" slowwait 15 has_all
	check "left has the addresses" slowwait 15 role_is left master
	check "right has not" slowwait 15 role_is right backup
}

# flows_begin: one of each kind
flows_begin() {
	flow 4 "$SERVER4" tcp udp icmp
	flow 6 "$SERVER6" tcp udp
	check "all are up" slowwait 10 flows_are_up
}

# flow NAME ADDRESS KIND...
flow() {
	background "$client" "$FL_PYTHON" "$FL_NET/replicate.py" hold "${@:2}" > "$FL_TMP/flow$1.log" 2>&1
	flows+=($!)
}

flows_are_up() {
	[ "$(cat "$FL_TMP"/flow[46].log | grep -c up)" = 5 ]
}

# keys_of NODE: what connections are, whoever has them
keys_of() {
	fl "$1" --json show states | json "sorted([s['protocol'], s['source'], s['source_port'], s['destination'], s['destination_port'],
s['translated_source'], s['translated_source_port'], s['rule'], s['gateway'] if s['rule'] == 'by the gateway' else '']
		for s in d if s['source'] in ('$CLIENT4', '$CLIENT6') and s['destination'] in ('$SERVER4', '$SERVER6'))"
}

origins_of() {
	fl "$1" --json show states | json "sorted({ s['origin'] for s in d if s['source'] in ('$CLIENT4', '$CLIENT6') })"
}

origins_are() {
	[ "$(origins_of "$1")" = "['$2']" ]
}

same_keys() {
	[ "$(keys_of left)" = "$(keys_of right)" ]
}

on_both() {
	flows_begin
	check "the same on both" promptly 1 same_keys
	check_equal "how many" "$(keys_of right | grep -oE "'(tcp|udp|icmp)'" | wc -l)" 5
	check_equal "whose they are on left" "$(origins_of left)" "['local']"
	check_equal "and on right" "$(origins_of right)" "['peer']"
	check_match "by the shared address" "$(keys_of right)" "'tcp', '$CLIENT4', [0-9]+, '$SERVER4', 5001, '$SHARED'"
	check_match "by the gateway" "$(keys_of right)" "'by the gateway', 'uplink'"
	check_match "by prefix" "$(keys_of right)" "'2001:db8:bb:"
	check_equal "that right has of left" "$(sync_of right states_peer)" "$(sync_of left states_local)"
}

# outside SOURCE DESTINATION: by which address and port a host's socket is seen there
outside() {
	in_ns "$client" "$FL_PYTHON" "$FL_NET/replicate.py" ask "$1" 7777 "$2"
}

# both_have SOURCE: a state of it
both_have() {
	[ "$(fl left show states --count --host "$1")" = 1 ] && [ "$(fl right show states --count --host "$1")" = 1 ]
}

# Two hosts have the same port inside: one of them gets another one outside
mapped() {
	seen=()
	for near in "${NEAR4[@]}"; do
		seen+=("$(outside "$near" "$SERVER4")")
		check_match "$near" "${seen[-1]}" "^$SHARED [0-9]+$"
		check "both have $near" promptly 1 both_have "$near"
	done
	[ "${seen[0]}" != "${seen[1]}" ] || fail "both are ${seen[0]}"
}

# Who has the addresses now keeps to it, to whomever they talk; the second comes first, while the port of the first would be free
still_mapped() {
	for i in 1 0; do
		check_equal "${NEAR4[i]} to another" "$(outside "${NEAR4[i]}" "$FAR4")" "${seen[i]}"
		check_equal "${NEAR4[i]} as before" "$(outside "${NEAR4[i]}" "$SERVER4")" "${seen[i]}"
	done
}

# What the standby's gateways are is nothing to connections that pass by the other node: nobody is sent a reset
gateway_of_the_standby() {
	local pid
	background "$client" "$FL_PYTHON" "$FL_NET/replicate.py" idle "$SERVER4" > "$FL_TMP/idle.log" 2>&1
	pid=$!
	check "it is up" slowwait 5 grep -q up "$FL_TMP/idle.log"
	check "and known to right" promptly 1 knows_of_tcp right
	fl right gateway down uplink > /dev/null
	check "right goes another way" slowwait 3 goes_by right spare
	check_match "an event tells" "$(fl right show events --kind group)" spare
	sleep 0.5 # connections are ended 20 ms after that
	check "right knows it still" knows_of_tcp right
	fl right gateway auto uplink > /dev/null
	check "and back" slowwait 3 goes_by right uplink
	kill "$pid"
	wait "$pid"
	check_equal "the connection" "$(tail -n 1 "$FL_TMP/idle.log")" alive
	fl left kill states --proto tcp > /dev/null
}

# Nor if it has an address by itself, which is independent
gateway_beside() {
	local node
	for node in left right; do
		cp "$FL_TMP/$node.json" "$FL_TMP/$node.before.json"
		config_edit "$FL_TMP/$node.json" "d['vips'].update(third={ **d['vips']['wan_vip'], 'address': ['198.51.100.20/24'], 'vhid': 3,
			'independent': True, 'advskew': 100 if '$node' == 'left' else 0 })"
		check "applied" fl "$node" apply
	done
	check "right has the third" slowwait 10 role_is right master third
	check "left has not" slowwait 10 role_is left backup third
	check "left has the others" role_is left master wan_vip
	sleep 1.5 # whoever has addresses looks at gateways once more after a second
	gateway_of_the_standby
	for node in left right; do
		cp "$FL_TMP/$node.before.json" "$FL_TMP/$node.json"
		check "applied again" fl "$node" apply
	done
	check "left has all" slowwait 10 role_is left master
	check "right has none" slowwait 10 role_is right backup
}

# But when it takes over, what went by the gateway that it has lost begins anew, on both
gateway_after_takeover() {
	background "$client" "$FL_PYTHON" "$FL_NET/replicate.py" idle "$SERVER4" > "$FL_TMP/idle.log" 2>&1
	local pid=$!
	fl right gateway down uplink > /dev/null
	check "known to right" slowwait 5 knows_of_tcp right
	fl left vip maintenance on > /dev/null
	check "right has the addresses" slowwait 10 role_is right master
	check "right has ended it" slowwait 5 knows_of_none right
	check "so has left" promptly 1 knows_of_none left
	fl right gateway auto uplink > /dev/null
	fl left vip maintenance off > /dev/null
	check "left has the addresses" slowwait 10 role_is left master
	stop_process "$pid"
}

knows_of_none() {
	[ "$(fl "$1" show states --count --proto tcp --host "$CLIENT4")" = 0 ]
}

knows_of_tcp() {
	[ "$(fl "$1" show states --count --proto tcp --host "$CLIENT4")" = 1 ]
}

# goes_by NODE GATEWAY
goes_by() {
	[ "$(fl "$1" --json show groups | json "d[0]['active']")" = "['$2']" ]
}

# stream PORT: numbers by UDP, each millisecond
stream() {
	background "$client" "$FL_PYTHON" "$FL_NET/replicate.py" stream "$SERVER4" "$1"
	streams+=($!)
}

# streamed NODE PORT: how many states it has of them
streamed() {
	fl "$1" show states --count --proto udp --port "$2"
}

are_streamed() {
	[ "$(streamed left 5001) $(streamed left 5003) $(streamed right 5001) $(streamed right 5003)" = "1 1 1 1" ]
}

stays_away() {
	local end=$((SECONDS + 3))
	while [ "$SECONDS" -lt "$end" ]; do
		[ "$(streamed "$1" 5001) $(streamed "$1" 5003)" = "0 0" ] || return
	done
}

# Packets go on to come, by 5003 one way only. On whichever node a connection is ended, it has ended on both, and what rules block now does not come back
kill_both() {
	local streams=()
	stream 5001
	stream 5003
	check "both nodes know them" slowwait 15 are_streamed
	cp "$FL_TMP/left.json" "$FL_TMP/before.json"
	config_edit "$FL_TMP/left.json" "d['rules'].insert(0, { 'name': 'no more', 'action': 'block', 'quick': True, 'direction': 'in', 'interface': 'lan',
		'protocol': 'udp', 'destination': { 'port': [5001, 5003] } })"
	check "applied" fl left apply
	check "they pass by their states" are_streamed
	check_match "ended by $1" "$(fl "$1" kill states --host "$SERVER4" --proto udp)" "^[2-9] states killed"
	[ "$1" = left ] || check "left has heard of it" promptly 1 stays_away_now left
	check "they stay away from left" stays_away left
	check "and from right" stays_away_now right
	kill "${streams[@]}"
	wait "${streams[@]}"
	cp "$FL_TMP/before.json" "$FL_TMP/left.json"
	check "applied again" fl left apply
}

# reset_by NODE: both ends of connections amid traffic are reset, first of one, then of all others. Whichever node is asked, the numbers are those of left, by
# which they pass.
reset_by() {
	local before pids
	flows=()
	flow reset4 "$SERVER4" tcp tcp
	flow reset6 "$SERVER6" tcp
	pids=("${flows[@]}")
	flows=()
	check "they are up" slowwait 10 resets_flows 3 up
	check "right knows them" promptly 1 knows_tcp right 3
	before=$(server_resets)
	check_equal "one of them" "$(fl "$1" kill states --host "$CLIENT6" --proto tcp --reset)" "1 state killed, $(resets_words "$1" 1)"
	check "the server's end" slowwait 3 server_resets_are $((before + 1))
	check "the others stay" knows_tcp left 2
	check_equal "the others" "$(fl "$1" --json kill states --proto tcp --reset | json "$(resets_json "$1" 2)")" True
	check "the servers' ends" slowwait 3 server_resets_are $((before + 3))
	check "left knows none" promptly 1 knows_tcp left 0
	check "nor right" promptly 1 knows_tcp right 0
	kill "${pids[@]}"
	wait "${pids[@]}"
	check "the clients' ends" resets_flows 3 "Connection reset by peer"
	rm -f "$FL_TMP"/flowreset[46].log
}

# resets_words NODE N: right sends none for what passes by left
resets_words() {
	[ "$1" = left ] && echo "resets sent for $2" && return
	echo "resets sent for 0, the peer was asked to send them for $2"
}

resets_json() {
	[ "$1" = left ] && echo "d == { 'killed': $2, 'reset': $2 }" && return
	echo "d == { 'killed': $2, 'reset': 0, 'asked': $2 }"
}

# resets_flows N PATTERN
resets_flows() {
	[ "$(cat "$FL_TMP"/flowreset[46].log | grep -c "$2")" = "$1" ]
}

server_resets() {
	grep -c '^reset$' "$FL_TMP/serve.log"
}

server_resets_are() {
	[ "$(server_resets)" = "$1" ]
}

# knows_tcp NODE N
knows_tcp() {
	[ "$(fl "$1" show states --count --proto tcp)" = "$2" ]
}

stays_away_now() {
	[ "$(streamed "$1" 5001) $(streamed "$1" 5003)" = "0 0" ]
}

blocked_bytes() {
	fl left --json show drops | json "sum(r['bytes'] for r in d if (r['reason'], r['interface']) == ('rule', 'wan'))"
}

blocked_are() {
	[ "$(blocked_bytes)" -ge "$1" ]
}

# Of a peer that does not say whether it knows a connection nothing is waited for: what came is judged, as long as that peer counts as connected
unanswered() {
	local before port
	before=$(blocked_bytes)
	kill -STOP "${fl_daemon_pid[right]}"
	for port in 9001 9002 9003; do # of each tuple one packet is asked about
		in_ns "$server" bash -c "head -c 1000 /dev/zero > /dev/udp/198.51.100.11/$port"
	done
	check "judged" promptly 2 blocked_are $((before + 3000))
	sync_is left connected True || fail "it was not asked: $(fl left show sync)"
	kill -CONT "${fl_daemon_pid[right]}"
	check "both have all" slowwait 15 has_all
}

# All go to right, and on
move() {
	fl left vip maintenance on > /dev/null
	check "right has the addresses" slowwait 10 role_is right master
	check "they are right's" slowwait 5 origins_are right local
	check "and left has them of right" slowwait 5 origins_are left peer
	check "still the same on both" slowwait 5 same_keys
}

# A standby that is killed has them all again when it is back, and not what has ended meanwhile
killed() {
	local before
	daemon_kill left
	flow extra "$SERVER4" tcp udp
	slowwait 5 grep -q "up udp" "$FL_TMP/flowextra.log"
	fl right kill states --proto icmp > /dev/null
	before=$(sync_of right sent)
	daemon_start left "$left" "$FL_TMP/left.json" || return
	check "both have all" slowwait 15 has_all
	check "the same on both" slowwait 5 same_keys
	[ "$(sync_of right sent)" -gt "$before" ] || fail "right has sent nothing"
	check_match "of the new ones too" "$(fl left show states --count --proto udp)" "^[3-9]"
}

# replicates NODE true|false
replicates() {
	json "__import__('json').dumps({**d, 'ha': {**d['ha'], 'sync_states': $2}})" < "$FL_TMP/$1.json" > "$FL_TMP/$1.states.json"
	check "applied" fl "$1" apply "$FL_TMP/$1.states.json"
}

not_behind() {
	[ "$(fl "$1" --json show sync | json '0 <= d[0]["lag_ms"] < 1000 and d[0]["digest_match"]')" = True ]
}

is_behind() {
	[ "$(fl "$1" --json show sync | json 'd[0]["lag_ms"] > 300')" = True ]
}

# What one has told while the other did not listen yet is told again, and it is not behind for ever
one_after_the_other() {
	replicates left False
	replicates right False
	replicates left True
	check "right does not answer" slowwait 5 is_behind left
	replicates right True
	check "left is not behind" slowwait 10 not_behind left
	check "right neither" slowwait 10 not_behind right
}

by_hand() {
	local before
	before=$(sync_of left resyncs)
	check_match "sync states" "$(fl right sync states)" "both nodes send all"
	check "counted" slowwait 5 resyncs_grow "$before"
	check "both have all" slowwait 5 has_all
	check "the same on both" slowwait 5 same_keys
	check_match "an event" "$(fl left show events --kind sync)" "resync: states: "
	check_match "unknown" "$(fl right sync everything 2>&1)" "it takes states"
}

resyncs_grow() {
	[ "$(sync_of left resyncs)" -gt "$1" ]
}

# The table gets another size amid traffic
resized() {
	sed -i 's/"states": 2000/"states": 20000/' "$FL_TMP/right.json"
	check "applied" fl right apply
	check "both have all" slowwait 10 has_all
	check_match "left tells that it has less room" "$(fl left status)" "limits.states is 2000 here and 20000 at peer right"
	check_not "right has enough" grep limits.states <<< "$(fl right status | head -n 1)"
	check "the same on both" slowwait 5 same_keys
	check_equal "they are right's" "$(origins_of right)" "['local']"
}

# Nobody has noticed any of it
ended() {
	kill "${flows[@]}"
	wait "${flows[@]}"
	flows=()
	sed 's/^/# /' "$FL_TMP"/flow*.log
	check_match "TCP" "$(cat "$FL_TMP/flow4.log")" "^tcp gap [0-9]+ lost 0$"
	check_match "TCP by IPv6" "$(cat "$FL_TMP/flow6.log")" "^tcp gap [0-9]+ lost 0$"
	check_match "UDP" "$(cat "$FL_TMP/flow4.log")" "^udp gap [0-9]{1,3} "
	fl right kill states --all > /dev/null
	check "what ends on one ends on both" promptly 1 none_left
}

none_left() {
	[ "$(fl left show states --count --host "$CLIENT4")" = 0 ]
}

round() {
	started start "$1" || return
	run_test kill-left kill_both left
	run_test kill-right kill_both right
	run_test reset-left reset_by left
	run_test reset-right reset_by right
	run_test gateway-of-the-standby gateway_of_the_standby
	run_test gateway-beside gateway_beside
	run_test gateway-after-takeover gateway_after_takeover
	run_test on-both on_both
	run_test unanswered unanswered
	run_test mapped mapped
	run_test move move
	run_test still-mapped still_mapped
	run_test killed killed
	if [ "$1" = native ]; then # what does not depend on it
		run_test one-after-the-other one_after_the_other
		run_test by-hand by_hand
		run_test resized resized
	fi
	run_test ended ended
	rm -f "$FL_TMP"/flow*.log
}

FL_MODES=${FL_MODES:-native tc} modes round
finish
