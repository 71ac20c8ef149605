#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The state table as users see it: `show states` and `kill states` with every selector, resets on the wire, limits.states changed under
# traffic, a full table, a million states.
#
#   client 192.0.2.80 ── lan0 router wan0 ── 198.51.100.99 server      IPv4 is translated to the router's 198.51.100.1,
#        aa::80                                     f::99              one port of the router's leads to the client's 7777

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../lab.sh"

client='' server=''
CLIENT4=192.0.2.80 CLIENT6=2001:db8:aa::80 SERVER4=198.51.100.99 SERVER6=2001:db8:f::99 OUTSIDE=198.51.100.1
JSON_KEYS='["protocol", "source", "source_port", "destination", "destination_port", "translated_source", "translated_source_port", "translated_destination", "translated_destination_port", "interface", "egress", "rule", "gateway", "state", "age_ms", "idle_ms", "packets", "bytes", "origin"]'

network_up() {
	setup_ns client router server
	veth "$client" eth0 02:00:00:00:01:80 "$router" lan0 02:00:00:00:01:01
	veth "$router" wan0 02:00:00:00:02:01 "$server" eth0 02:00:00:00:02:99
	napi "$client" eth0
	napi "$server" eth0
	ip -n "$client" addr add "$CLIENT4/24" dev eth0
	ip -n "$client" addr add "$CLIENT6/64" dev eth0 nodad
	ip -n "$router" addr add 192.0.2.1/24 dev lan0
	ip -n "$router" addr add 2001:db8:aa::1/64 dev lan0 nodad
	ip -n "$router" addr add "$OUTSIDE/24" dev wan0
	ip -n "$router" addr add 2001:db8:f::1/64 dev wan0 nodad
	ip -n "$server" addr add "$SERVER4/24" dev eth0
	ip -n "$server" addr add "$SERVER6/64" dev eth0 nodad
	ip -n "$client" route add default via 192.0.2.1
	ip -n "$client" -6 route add default via 2001:db8:aa::1
	ip -n "$server" -6 route add default via 2001:db8:f::1
}

config() {
	cat > "$FL_TMP/router.json" <<-JSON
	{
		"node": { "name": "router" },
		"interfaces": { "lan": { "device": "lan0", "mode": "$1" }, "wan": { "device": "wan0", "mode": "$1" } },
		"gateways": { "up_gw": { "interface": "wan", "address": "$SERVER4", "monitor": false } },
		"default_action": { "in": "block", "out": "pass" },
		"rules": [
			{ "name": "the client goes out", "action": "pass", "direction": "in", "interface": "lan",
			  "protocol": "tcp" },
			{ "name": "pings \"too\"", "action": "pass", "direction": "in", "interface": "lan",
			  "protocol": ["icmp", "ipv6-icmp"] },
			{ "name": "to the client's server", "action": "pass", "direction": "in", "interface": "wan",
			  "protocol": "tcp", "destination": { "address": "$CLIENT4", "port": 7777 } }
		],
		"nat": [
			{ "type": "snat", "interface": "wan", "source": { "address": "192.0.2.0/24" }, "translate_to": "interface" },
			{ "type": "dnat", "interface": "wan", "protocol": "tcp",
			  "destination": { "address": "$OUTSIDE", "port": 8888 }, "translate_to": "$CLIENT4", "translate_port": 7777 }
		],
		"limits": { "states": 2000 }
	}
	JSON
}

# py NS LOG ARGUMENT...: states.py in the background
py() {
	background "$1" "$FL_PYTHON" "$FL_NET/states.py" "${@:3}" > "$FL_TMP/$2.log" 2>&1
	slowwait 5 grep -qE '^(up|ready)' "$FL_TMP/$2.log" || fail "$2: $(cat "$FL_TMP/$2.log")"
}

start() {
	network_up
	config "$1"
	daemon_start router "$router" "$FL_TMP/router.json"
	py "$server" serve4 serve --address "$SERVER4"
	py "$server" serve6 serve --address "$SERVER6"
	py "$client" serve-inside serve --address "$CLIENT4"
	py "$client" wire-client resets --device eth0
	py "$server" wire-server resets --device eth0
}

# connections: one of each kind, in the background: out[4], out[6], in
connections() {
	py "$client" out4 hold --address "$SERVER4"
	py "$client" out6 hold --address "$SERVER6"
	py "$server" in hold --address "$OUTSIDE" --port 8888
}

port_of() {
	awk '/^up/ { print $2 }' "$FL_TMP/$1.log"
}

# states SELECTOR...: how many
states() {
	fl router show states --count "$@"
}

# finds N SELECTOR...
finds() {
	check_equal "show states ${*:2}" "$(states "${@:2}")" "$1"
	check_equal "rows of show states ${*:2}" "$(fl router --json show states "${@:2}" | json 'len(d)')" "$1"
}

selectors() {
	local text
	connections
	check "ping" in_ns "$client" ping -q -c 3 -i 0.1 "$SERVER4"
	finds 4
	finds 3 --proto tcp
	finds 1 --proto icmp
	finds 2 --rule "the client goes out"
	finds 2 --rule 0
	finds 1 --rule 1
	finds 1 --rule 'pings "too"'
	finds 0 --rule default_action
	finds 3 --host "$CLIENT4"
	finds 1 --host "$CLIENT6"
	finds 1 --host 2001:db8:aa::/64
	finds 3 --host 192.0.2.0/24
	finds 3 --host "$OUTSIDE"
	finds 3 --host 0.0.0.0/0
	finds 1 --host ::/0
	finds 3 --host 0.0.0.0/0 --host "$SERVER4"
	finds 1 --host "$CLIENT6" --host "$SERVER6"
	finds 0 --host "$CLIENT4" --host "$SERVER6"
	finds 3 --host "$CLIENT4" --host "$SERVER4"
	finds 4 --interface lan
	finds 4 --interface wan
	finds 1 --gateway up_gw --proto tcp --port 7777
	finds 1 --port 8888
	finds 1 --port "$(port_of out4)"
	check_equal "--limit" "$(fl router --json show states --limit 2 | json 'len(d)')" 2
	check_equal "the biggest" "$(fl router --json show states --sort bytes --limit 3 | json '(lambda b: b == sorted(b, reverse=True) and len(b))([s["bytes"] for s in d])')" 3
	check_equal "all of them, sorted" "$(fl router --json show states --sort bytes | json '(lambda b: b == sorted(b, reverse=True) and len(b))([s["bytes"] for s in d])')" 4
	text=$(fl router show states)
	check_match "the table" "$text" "^PROTOCOL +SOURCE +DESTINATION "
	check_match "the table" "$text" "^tcp +$CLIENT4:$(port_of out4) \($OUTSIDE:[0-9]+\) +$SERVER4:7777 .*ESTABLISHED:ESTABLISHED +lan +wan +up_gw .*the client goes out"
	check_match "the table" "$text" "^tcp +\[$CLIENT6\]:$(port_of out6) +\[$SERVER6\]:7777 "
	check_equal "no states" "$(fl router show states --port 1)" "no states"
}

keys() {
	local row
	row=$(fl router --json show states --port "$(port_of out4)" --proto tcp)
	check_equal "keys" "$(json 'list(d[0]) == '"$JSON_KEYS" <<< "$row")" True
	check_equal "the row" "$(json '[d[0][k] for k in ("protocol", "source", "source_port", "destination", "destination_port", "translated_source", "translated_destination", "translated_destination_port", "interface", "egress", "rule", "gateway", "state", "origin")]' <<< "$row")" \
		"['tcp', '$CLIENT4', $(port_of out4), '$SERVER4', 7777, '$OUTSIDE', None, None, 'lan', 'wan', 'the client goes out', 'up_gw', 'ESTABLISHED:ESTABLISHED', 'local']"
	check_equal "numbers" "$(json '4 < d[0]["packets"] < 20 and d[0]["bytes"] > 200 and d[0]["age_ms"] >= d[0]["idle_ms"] >= 0 and d[0]["age_ms"] < 60000' <<< "$row")" True
	row=$(fl router --json show states --port 8888)
	check_equal "the row" "$(json '[d[0][k] for k in ("source", "destination", "destination_port", "translated_source", "translated_destination", "translated_destination_port", "interface", "egress", "rule")]' <<< "$row")" \
		"['$SERVER4', '$OUTSIDE', 8888, None, '$CLIENT4', 7777, 'wan', 'lan', \"to the client's server\"]"
}

# says STATUS WORDS PATTERN
says() {
	local err status
	# shellcheck disable=SC2086 # words
	err=$(fl router $2 2>&1 > /dev/null)
	status=$?
	check_equal "fairlead $2: exit status" "$status" "$1"
	check_match "fairlead $2" "$err" "$3"
}

mistakes() {
	says 2 'show states --rule the_client_goes_ou' 'no rule named "the_client_goes_ou"; did you mean "the client goes out"'
	says 2 'show states --rule 7' 'no rule has the index 7'
	says 2 'show states --gateway up_gv' 'no gateway named "up_gv"; did you mean "up_gw"'
	says 2 'show states --interface lam' 'no interface or tunnel named "lam"; did you mean "lan"'
	says 2 'show states --proto tpc' 'did you mean "tcp"'
	says 2 'show states --host 1.2.3' 'host "1.2.3": an address'
	says 2 'show states --host 192.0.2.1 --host 192.0.2.2 --host 192.0.2.3' 'two at most'
	says 2 'show states --prot tcp --sort packets' 'sort "packets": accepted: bytes'
	says 2 'show states --limt 3' 'did you mean --limit'
	says 2 'show states --port 0' '1 to 65535'
	says 2 'show stats' 'did you mean "states"'
	says 2 'kill states' 'say which states, or --all'
	says 2 'kill states --all --port 3' 'either --all, or which states'
	says 2 'kill' 'states'
	says 2 'kill state --all' 'did you mean "states"'
}

kills() {
	check_equal "kill" "$(fl router kill states --host "$CLIENT6")" "1 state killed"
	finds 0 --host "$CLIENT6"
	check_equal "kill of none" "$(fl router --json kill states --host "$CLIENT6" | json 'd')" "{'killed': 0}"
	finds 3 --host "$CLIENT4"
}

said() {
	grep -q "$2" "$FL_TMP/$1.log"
}

# A connection of each kind dies at both ends; on the wire the addresses are those that each end knows
resets() {
	local name
	connections
	check_equal "kill --reset" "$(fl router --json kill states --proto tcp --reset | json 'd["killed"] >= 3 and d["reset"] >= 3')" True
	for name in out4 out6 in; do
		slowwait 3 said "$name" '^reset' || fail "$name has not been reset: $(cat "$FL_TMP/$name.log")"
	done
	slowwait 3 said serve4 '^reset' || fail "the server has seen no reset"
	slowwait 3 said serve6 "^reset $(port_of out6)" || fail "the server has seen no reset by IPv6"
	slowwait 3 said serve-inside "^reset $(port_of in)" || fail "the server inside has seen no reset"
	check_match "at the client" "$(cat "$FL_TMP/wire-client.log")" "^RST $SERVER4 7777 $CLIENT4 $(port_of out4) [1-9]"
	check_match "at the client" "$(cat "$FL_TMP/wire-client.log")" "^RST $SERVER4 $(port_of in) $CLIENT4 7777 [1-9]"
	check_match "at the server" "$(cat "$FL_TMP/wire-server.log")" "^RST $OUTSIDE [0-9]+ $SERVER4 7777 [1-9]"
	check_match "at the server" "$(cat "$FL_TMP/wire-server.log")" "^RST $OUTSIDE 8888 $SERVER4 $(port_of in) [1-9]"
	check_match "at the server" "$(cat "$FL_TMP/wire-server.log")" "^RST $CLIENT6 $(port_of out6) $SERVER6 7777 [1-9]"
	check_equal "states of TCP" "$(states --proto tcp)" 0
}


# all_back: of the pings in $FL_TMP/ping; when they were ended the last one may not have been back
all_back() {
	check_equal "pings lost" "$(awk '/packets transmitted/ { print ($1 - $4 <= 1 ? 0 : $1 - $4) }' "$FL_TMP/ping")" 0
}

# ---- limits.states ----

slots() {
	bpftool -j map show pinned "/sys/fs/bpf/fairlead/$(instance router)/fl_states" | json 'd["max_entries"]'
}

# limit N [STATEMENT]: applied
limit() {
	cp "$FL_TMP/router.json" "$FL_TMP/new.json"
	config_edit "$FL_TMP/new.json" "d['limits']['states'] = $1; ${2:-}"
	check "apply of limits.states $1" fl router apply "$FL_TMP/new.json"
	check_equal "the limit" "$(fl router --json status | json 'd["states"]["limit"]')" "$1"
}

mismatches() {
	fl router --json show drops | json 'sum(r["packets"] for r in d if r["reason"] == "state-mismatch")'
}

# Up and down: what goes on, goes on, and of no connection a window falls behind
resized() {
	local ping rows name before
	for name in "stream4:$SERVER4" "stream6:$SERVER6"; do
		py "$client" "${name%%:*}" stream --address "${name#*:}" --seconds 30 --pause 0.0005 --until "$FL_TMP/enough"
	done
	background "$client" ping -6 -n -q -i 0.02 -w 30 -W 2 "$SERVER6" > "$FL_TMP/ping" 2>&1
	ping=$!
	connections
	rows=$(states)
	before=$(mismatches)
	limit 50000
	check_equal "slots" "$(slots)" 125008
	limit 3000
	check_equal "slots" "$(slots)" 7504
	check_equal "states" "$(states)" "$rows"
	limit 50000
	limit 3000
	sleep 2 # until the tables have learned enough: what comes now must fit the windows
	kill -INT "$ping"
	wait "$ping"
	all_back
	touch "$FL_TMP/enough"
	for name in stream4 stream6; do
		slowwait 10 said "$name" '^done' || fail "$name: $(cat "$FL_TMP/$name.log"); $(fl router show drops; fl router show states --proto tcp)"
	done
	check_equal "segments out of the window" "$(mismatches)" "$before"
	check_equal "kill --reset" "$(fl router --json kill states --proto tcp --reset | json 'd["reset"] >= 3')" True
	for name in out4 out6 in; do
		slowwait 3 said "$name" '^reset' || fail "$name did not live on: $(cat "$FL_TMP/$name.log")"
	done
	check "status" fl router status
}

# kill_when_pinned MS: the daemon, so long after it has pinned new programs, which it attaches next. It says "up" when it watches
kill_when_pinned() {
	"$FL_PYTHON" - "/sys/fs/bpf/fairlead/$(instance router)" "${fl_daemon_pid[router]}" "$1" <<-'PY'
	import os, signal, sys, time
	folder, pid, ms = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
	before, end = set(os.listdir(folder)), time.monotonic() + 60
	print("up", flush=True)
	while time.monotonic() < end and not any(name.startswith("prog_fl_tc_out_") for name in set(os.listdir(folder)) - before):
	    time.sleep(0.0002)
	time.sleep(ms / 1000)
	os.kill(pid, signal.SIGKILL)
	print("late" if time.monotonic() >= end else "killed")
	PY
}

# Killed while the new table's programs take the places of the old one's: what is made until the next start is in the table that this takes over
killed_in_resize() {
	local ms made mixed=0 killer
	cp "$FL_TMP/router.json" "$FL_TMP/before.json"
	cp "$FL_TMP/router.json" "$FL_TMP/new.json"
	config_edit "$FL_TMP/new.json" "d['limits']['states'] = 50000"
	for ms in 0 0 0 0 8 16 32 64; do
		fl router kill states --proto icmp > /dev/null
		kill_when_pinned "$ms" > "$FL_TMP/killer.log" &
		killer=$!
		slowwait 5 said killer '^up' || fail "nobody watches"
		fl router apply "$FL_TMP/new.json" > "$FL_TMP/apply" 2>&1
		wait "$killer"
		said killer '^killed' || fail "no new programs have been pinned"
		daemon_kill router # dead by now: waited for
		made=0
		for _ in 1 2 3; do
			in_ns "$client" ping -q -c 1 -W 0.2 "$SERVER4" > "$FL_TMP/ping" && made=$((made + 1))
		done
		[ "$made" = 3 ] || mixed=$((mixed + 1)) # the one device has the new programs, the other has not yet
		cp "$FL_TMP/before.json" "$FL_TMP/router.json"
		daemon_start router "$router" "$FL_TMP/router.json" || return
		[ "$(states --proto icmp)" -ge "$made" ] || fail "killed after $ms ms: $(states --proto icmp) of $made states are there"
		check "status, after $ms ms" fl router status
		check_not "the log, after $ms ms" grep 'cannot rename' "$FL_TMP/router.log"
	done
	[ "$mixed" -lt 8 ] || fail "each time it was killed between one device and the next"
}

# A table that there is no memory for: all stays as it is
no_memory() {
	local pid=${fl_daemon_pid[router]} before said
	before=$(slots)
	py "$client" out4 hold --address "$SERVER4"
	prlimit --pid "$pid" --as=$(($(awk '/^VmSize/ { print $2 }' "/proc/$pid/status") * 1024 + (64 << 20))):unlimited
	cp "$FL_TMP/router.json" "$FL_TMP/new.json"
	config_edit "$FL_TMP/new.json" "d['limits']['states'] = 1000000"
	said=$(fl router apply "$FL_TMP/new.json" 2>&1)
	check_equal "exit status" $? 1
	prlimit --pid "$pid" --as=unlimited:unlimited
	check_match "apply" "$said" 'limits.states: no table for 1000000 states can be made: Cannot allocate memory'
	check_equal "the limit" "$(fl router --json status | json 'd["states"]["limit"]')" 3000
	check_equal "slots" "$(slots)" "$before"
	check "status" fl router status
	check_equal "kill --reset" "$(fl router --json kill states --port "$(port_of out4)" --reset | json 'd["reset"]')" 1
	slowwait 3 said out4 '^reset' || fail "the connection did not live on"
	limit 10000
	limit 3000
}

# ---- what has run out, and was not swept yet ----

run_out() {
	local asking
	fl router kill states --all > /dev/null
	limit 2000
	rm -f "$FL_TMP/asked" "$FL_TMP/many.log"
	mkfifo "$FL_TMP/asked"
	py_many 60 &
	exec {asking}<> "$FL_TMP/asked"
	slowwait 15 said many '^up 60' || fail "many: $(cat "$FL_TMP/many.log")"
	check_equal "states" "$(fl router show states --count --proto tcp)" 60
	limit 2000 "d['timeouts_s'] = { 'tcp_established': 1 }"
	sleep 1.2 # sweeping it all takes 10 s
	check_equal "states that live" "$(fl router show states --count --proto tcp)" 0
	check_equal "rows" "$(fl router --json show states --proto tcp | json 'len(d)')" 0
	check_equal "of the rule" "$(fl router --json show rules | json 'sum(r["states"] for r in d if r["name"] == "the client goes out")')" 0
	check_equal "killed" "$(fl router kill states --proto tcp)" "0 states killed"
	limit 2000 "d.pop('timeouts_s')"
	exec {asking}>&-
}

# ---- a full table ----

# ask: many.log's next answer
ask() {
	echo "$1" >&"$asking"
	slowwait 10 grep -q "^$1 " "$FL_TMP/many.log" && awk -v word="$1" '$1 == word { print $2 }' "$FL_TMP/many.log"
}

is_degraded() {
	fl router status | head -n 1 | grep -q '^DEGRADED:.*the state table is full (100 states, limits.states is 100): new connections are refused'
}

# told_full: how often, and of how many connections in all
told_full() {
	fl router --json show events --kind states |
		json "(lambda its: (len(its), sum(e['details']['refused'] for e in its)))([e for e in d if e['event'] == 'full'])"
}

full() {
	local asking told
	fl router kill states --all > /dev/null
	limit 100
	rm -f "$FL_TMP/asked" "$FL_TMP/many.log"
	mkfifo "$FL_TMP/asked"
	py_many &
	exec {asking}<> "$FL_TMP/asked"
	slowwait 15 said many '^up' || fail "many: $(cat "$FL_TMP/many.log")"
	check_equal "connections" "$(awk '/^up/ { print $2 }' "$FL_TMP/many.log")" 100
	slowwait 3 is_degraded || fail "status: $(fl router status | head -n 1)"
	check_equal "established ones go on" "$(ask first)" 100
	check_match "log" "$(cat "$FL_TMP/router.log")" 'states table: full: [0-9]+ new connections refused refused=[0-9]+ states=100 limit=100'
	check_match "drops" "$(fl router show drops)" 'state-table-full'
	limit 200
	check "there is room" in_ns "$client" ping -q -c 1 -W 2 "$SERVER4"
	check_equal "they still go on" "$(ask second)" 100
	told=$(told_full)
	daemon_kill router
	daemon_start router "$router" "$FL_TMP/router.json" || return
	sleep 2 # two looks
	check_equal "the next daemon tells none of them again" "$(told_full)" "$told"
	check_not "nor is it full" is_degraded
	check_equal "and they go on" "$(ask third)" 100
	exec {asking}>&-
}

# More are established than the new limit allows, and than its table would have places for: they stay
lowered() {
	local asking
	fl router kill states --all > /dev/null
	limit 2000
	rm -f "$FL_TMP/asked" "$FL_TMP/many.log"
	mkfifo "$FL_TMP/asked"
	py_many 700 &
	exec {asking}<> "$FL_TMP/asked"
	slowwait 15 said many '^up 700' || fail "many: $(cat "$FL_TMP/many.log")"
	limit 100
	check_equal "they go on" "$(ask first)" 700
	check_not "nobody new" in_ns "$client" ping -q -c 1 -W 1 "$SERVER4"
	sleep 11 # the whole table has been swept
	check_equal "they still go on" "$(ask second)" 700
	exec {asking}>&-
	check_equal "lines with numbers that are none" "$(grep -cE '[0-9]{18}' "$FL_TMP/router.log")" 0
}

# py_many [COUNT]
py_many() {
	nsenter --net=/run/netns/"$client" -- timeout 60 "$FL_PYTHON" "$FL_NET/states.py" many --address "$SERVER4" --count "${1:-130}" \
		< "$FL_TMP/asked" > "$FL_TMP/many.log" 2>&1
}

# ---- a million ----

# cpu: milliseconds that the daemon has had
cpu() {
	awk -v hz="$(getconf CLK_TCK)" '{ print int(($14 + $15) * 1000 / hz) }' "/proc/${fl_daemon_pid[router]}/stat"
}

# within MS COMMAND...: of CPU time, the daemon's with it, since others may have the CPUs as well; its output is in $FL_TMP/out
within() {
	local before mine all TIMEFORMAT='%3U %3S'
	before=$(cpu)
	mine=$({ time "${@:2}" > "$FL_TMP/out"; } 2>&1)
	all=$(awk -v daemon=$(($(cpu) - before)) '{ print int(($1 + $2) * 1000) + daemon }' <<< "$mine")
	[ "$all" -le "$1" ] || fail "${*:2} took $all ms"
}

million() {
	local ping n
	fl router kill states --all > /dev/null
	limit 1000000
	py "$client" out6 hold --address "$SERVER6"
	n=$(python_in_ns "$router" states.py fill --instance "$(instance router)" --count 990000 | awk '{ print $2 + 1 }')
	background "$client" ping -6 -n -q -i 0.02 -w 60 -W 2 "$SERVER6" > "$FL_TMP/ping" 2>&1
	ping=$!
	within "$FL_SHOW_MS" fl router show states
	check_equal "rows" "$(wc -l < "$FL_TMP/out")" $((n + 2))
	within "$FL_SHOW_MS" fl router --json show states
	within "$FL_SHOW_MS" fl router show states --count --proto tcp
	check_equal "count" "$(cat "$FL_TMP/out")" "$n"
	within 500 fl router show states --count
	within "$FL_SHOW_MS" fl router show states --sort bytes --limit 10
	fl router --json show states > /dev/null &
	within 1000 timeout 2 "$FL_BUILD/fairlead" --instance "$(instance router)" show gateways
	check_match "an answer meanwhile" "$(cat "$FL_TMP/out")" up_gw
	wait $!
	within "$FL_SHOW_MS" fl router kill states --proto tcp
	check_equal "kill" "$(cat "$FL_TMP/out")" "$n states killed"
	kill -INT "$ping"
	wait "$ping"
	all_back
}

FL_SHOW_MS=${FL_SHOW_MS:-2000}

round() {
	started start "$1" || return
	run_test selectors selectors
	run_test keys keys
	run_test mistakes mistakes
	run_test kill kills
	run_test resets resets
	[ "$1" != native ] || run_test resized resized
	run_test killed-in-resize killed_in_resize
	[ "$1" != native ] || run_test no-memory no_memory
	[ "$1" != tc ] || run_test run-out run_out
	[ "$1" != tc ] || run_test full full
	[ "$1" != tc ] || run_test lowered lowered
	[ "$1" != tc ] || run_test million million
}

FL_MODES=${FL_MODES:-native tc} modes round
finish
