#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What happened: each thing that is an event becomes one, is kept over restarts, and is found again; arguments that make no sense; many
# events; a disk that is full.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../lab.sh"

file=/var/lib/fairlead/$(instance router)/events.log

started() {
	setup_ns router lan
	veth "$router" wan0 02:00:00:00:02:20 "$lan" eth0 02:00:00:00:01:80
	ip -n "$router" addr add 203.0.113.20/24 dev wan0
	cat > "$FL_TMP/router.json" <<-'JSON'
	{
		"node": { "name": "router" },
		"default_action": "pass",
		"interfaces": { "wan": { "device": "wan0" } },
		"aliases": { "office": ["192.0.2.1"] },
		"rules": [ { "name": "all", "action": "pass" } ]
	}
	JSON
	router_start
}

# The last N, without their time
last() {
	fl router show events | tail -n "$1" | cut -d ' ' -f 3-
}

# output STATUS PATTERN ARGUMENT...: of `show events`
output() {
	local text status
	text=$(fl router show events "${@:3}" 2>&1)
	status=$?
	[ "$status" = "$1" ] || fail "exit status $status, expected $1: ${*:3}"
	check_match "show events ${*:3}" "$text" "$2"
}

# ---- what becomes one ----

starts() {
	local name
	name=$(instance router)
	check_match "the first" "$(last 1)" \
		"^daemon $name: started: forwarding begins version=[0-9.]+ pid=[0-9]+ file=$FL_TMP/router.json config_version=1\$"
	daemon_kill router TERM
	daemon_start router "$router" "$FL_TMP/router.json" || return
	check_equal "ended" "$(last 2 | head -n 1)" "daemon $name: stopped: SIGTERM; packets go on as they are"
	check_match "and started" "$(last 1)" "^daemon $name: started: a running data plane is taken over "
	daemon_kill router KILL
	daemon_start router "$router" "$FL_TMP/router.json" || return
	check_match "killed" "$(last 1)" \
		"^daemon $name: started: the last daemon, process [0-9]+, ended without being told to; a running data plane is taken over "
	check_equal "all are kept" "$(fl router --json show events | json '[e["event"] for e in d]')" \
		"['started', 'stopped', 'started', 'started']"
}

applies() {
	config_edit "$FL_TMP/router.json" 'd["description"] = "two"'
	check "apply" fl router apply
	check_match "by command" "$(last 1)" '^apply command: applied: .*description.* version=2$'
	check "apply" fl router apply
	check_match "nothing new" "$(last 1)" '^apply command: unchanged: .* version=2$'
	check "rollback" fl router rollback
	check_match "rollback" "$(last 1)" '^apply rollback: applied: rollback to version 1: .* version=3$'
	config_edit "$FL_TMP/router.json" 'd["description"] = "four"'
	kill -HUP "${fl_daemon_pid[router]}"
	check "reload" slowwait 5 eval 'last 1 | grep -q "^apply SIGHUP: applied: reload: .* version=4\$"'
	echo '{' > "$FL_TMP/wrong.json"
	check_not "a wrong one" fl router apply "$FL_TMP/wrong.json"
	check_match "refused" "$(last 1)" '^apply command: refused: the configuration has errors; nothing was changed version=4$'
	check "dry run" fl router apply --dry-run "$FL_TMP/router.json"
	check_match "a dry run is none" "$(last 1)" ' refused: '
	config_edit "$FL_TMP/router.json" 'd["description"] = "five"'
	cp "$FL_TMP/router.json" "$FL_TMP/five.json"
	check "on trial" fl router apply --confirm 1 "$FL_TMP/five.json"
	check_match "pending" "$(last 1)" '^apply command: pending: '
	check "undone" slowwait 5 eval 'last 1 | grep -q "^apply confirm: undone: not confirmed in time: "'
	check "on trial" fl router apply --confirm 60 "$FL_TMP/five.json"
	check "confirmed" fl router confirm
	check_match "confirmed" "$(last 1)" '^apply confirm: applied: '
}

aliases() {
	check "add" fl router alias add office 192.0.2.7
	check "add it again" fl router alias add office 192.0.2.7
	check "remove" fl router alias remove office 192.0.2.7
	check_equal "two events" "$(last 2)" \
		"alias office: added: by hand, until the next apply or start address=192.0.2.7
alias office: removed: by hand, until the next apply or start address=192.0.2.7"
}

kills() {
	local before
	check "nothing there" fl router kill states --host 192.0.2.99
	before=$(fl router show events | wc -l)
	in_ns "$lan" ip addr add 203.0.113.80/24 dev eth0
	in_ns "$lan" ping -n -q -c 1 -W 2 203.0.113.20 > /dev/null || fail "no ping"
	check "kill" fl router kill states --host 203.0.113.80 --proto icmp
	check_match "killed" "$(last 1)" '^states kill: ended: 1 states, by hand (host=203.0.113.80 proto=1|proto=1 host=203.0.113.80)$'
	check_equal "where there was none, none" "$(fl router show events | wc -l)" $((before + 1))
}

repairs() {
	tc -n "$router" qdisc del dev wan0 clsact
	check "repaired" slowwait 10 eval 'last 1 | grep -q "^interface wan: repaired: somebody has taken away .* device=wan0\$"'
}

# ---- asking ----

arguments() {
	local word
	output 0 '^20[0-9-]+ [0-9:]+\.[0-9]{3} apply command: applied: '
	output 0 '^20' --since 1h
	output 0 '^no such events$' --since 0s
	output 0 '^20' --since 2001-01-01
	output 0 '^no such events$' --since "2099-01-01T00:00Z"
	output 0 'alias office: added' --kind alias
	output 0 'alias office: removed' --name office --kind alias --since=30m
	output 0 '^no such events$' --name offic
	output 2 'no kind of event "alis"; did you mean "alias"\?' --kind alis
	output 2 'no kind of event ""' --kind ''
	for word in '' 1 h -1h 1y 1hh '1 h' yesterday 2026-13-01 2026-02-30 2026-11-28T25:00 99999999999h; do
		output 2 '^fairlead: show: --since ".*": accepted: 45s, 30m, 1h, 2d, 1w, or "YYYY-MM-DD' --since "$word"
	done
	output 2 'its value is missing' --since
	output 2 'not known' --until 1h
	output 2 '"1h" is too much' 1h
	check_equal "JSON of none" "$(fl router --json show events --since 0s)" '[]'
	check_equal "keys" "$(fl router --json show events --kind alias --name office | json 'list(d[0])')" \
		"['time_ms', 'kind', 'name', 'event', 'reason', 'level', 'details']"
	check_match "show evnts" "$(fl router show evnts 2>&1)" 'did you mean "events"'
	check_equal "a reader that has seen enough" "$(fl router show events 2>&1 | head -n 1 | wc -l)" 1
}

# What children that have ended, and the daemon, have used up so far
cpu_ms() {
	local ticks
	ticks=$(awk '{ print $14 + $15 + $16 + $17 }' "/proc/$$/stat")
	echo $(((ticks + $(awk '{ print $14 + $15 }' "/proc/${fl_daemon_pid[router]}/stat")) * 1000 / $(getconf CLK_TCK)))
}

many() {
	local begin end
	"$FL_PYTHON" - "$file" <<-'PY'
	import json, sys, time
	now = int(time.time() * 1000)
	with open(sys.argv[1], "a") as f:
	    for i in range(100000):
	        f.write(json.dumps({"time_ms": now - 100000 + i, "kind": "gateway", "name": "gw%d" % (i % 256), "event": "up -> down",
	                            "reason": "3 probes lost in a row", "level": "warning",
	                            "details": {"target": "2001:db8::1", "loss_pct": 12}}, separators=(",", ":")) + "\n")
	PY
	begin=$(cpu_ms)
	fl router show events > "$FL_TMP/many"
	end=$(cpu_ms)
	[ $((end - begin)) -lt 1500 ] || fail "100,000 took $((end - begin)) ms of the CPUs"
	check_equal "all of them" "$(grep -c ' gateway gw' "$FL_TMP/many")" 100000
	check_equal "in order" "$(tail -n 1 "$FL_TMP/many" | cut -d ' ' -f 3-4)" "gateway gw$((99999 % 256)):"
	check_equal "of one" "$(fl router --json show events --name gw7 --since 1h | json 'len(d), len(set(e["name"] for e in d))')" '(391, 1)'
}

# daemon_with COMMANDS: in a mount namespace of its own, after these
daemon_with() {
	rm -rf "$FL_TMP/build"
	mkdir "$FL_TMP/build"
	# shellcheck disable=SC2016 # for that shell
	printf '#!/bin/bash\n[ -n "$FL_UNSHARED" ] || FL_UNSHARED=1 exec unshare -m "$0" "$@"\n%s && exec "%s" "$@"\n' "$1" \
		"$FL_BUILD/fairleadd" > "$FL_TMP/build/fairleadd"
	chmod +x "$FL_TMP/build/fairleadd"
	ln -s "$FL_BUILD/fairlead" "$FL_TMP/build/fairlead"
	FL_BUILD=$FL_TMP/build daemon_start router "$router" "$FL_TMP/router.json"
}

# What comes to /dev/log, another one than this machine's
to_syslog() {
	daemon_kill router TERM
	mkdir "$FL_TMP/dev"
	cp -a /dev/null /dev/zero /dev/random /dev/urandom "$FL_TMP/dev"
	background "$router" "$FL_PYTHON" -c 'import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
while True: print(s.recv(8192).decode(), flush=True)' "$FL_TMP/dev/log" > "$FL_TMP/syslog"
	slowwait 5 test -S "$FL_TMP/dev/log"
	config_edit "$FL_TMP/router.json" 'd["log"] = { "facility": "local3" }'
	daemon_with "mount --bind '$FL_TMP/dev' /dev" || return
	check "add" fl router alias add office 192.0.2.7
	check "it comes" slowwait 5 grep -q 'alias office' "$FL_TMP/syslog"
	check_match "its form" "$(tail -n 1 "$FL_TMP/syslog")" \
		"^<157>[A-Z][a-z]{2} [ 0-9]{2} [0-9:]{8} fairleadd\[${fl_daemon_pid[router]}\]: alias office: added: by hand, until the next apply or start address=192\.0\.2\.7\$"
	check_equal "the start too, after the configuration is read" "$(grep -c ' daemon .*: started: ' "$FL_TMP/syslog")" 1
	config_edit "$FL_TMP/router.json" 'd["log"] = { "events": "none" }'
	check "apply" fl router apply
	check "add" fl router alias add office 192.0.2.8
	check_match "in the file" "$(last 1)" '^alias office: added: .* address=192.0.2.8$'
	check_equal "not in syslog" "$(grep -cF 192.0.2.8 "$FL_TMP/syslog")" 0
}

# The file is on a disk of its own, which is full
full() {
	local size
	daemon_kill router TERM
	daemon_with "mount -t tmpfs -o size=256k none '${file%/*}'" || return
	size=/proc/${fl_daemon_pid[router]}/root${file%/*}/size
	head -c 300000 /dev/zero > "$size" 2> /dev/null
	for _ in {1..40}; do
		fl router alias add office 192.0.2.7 > /dev/null && fl router alias remove office 192.0.2.7 > /dev/null
	done
	check_match "status" "$(fl router status | head -n 1)" \
		"^DEGRADED: .*events are not kept: $file can't be written: No space left on device \\([0-9]+ lost\\)"
	rm "$size"
	check "room again" fl router alias add office 192.0.2.7
	check_match "status" "$(fl router status | head -n 1)" '^OK'
	check_match "what was lost" "$(last 2)" '^daemon events: lost: [0-9]+ before this one could not be written: No space left on device$'
	[ "$(fl router --json status | json 'd["events_lost"]')" -gt 0 ] || fail "status does not count what was lost"
}

unloads() {
	daemon_kill router TERM
	daemon_start router "$router" "$FL_TMP/router.json" || return
	check "unload" fl router unload --yes
	wait "${fl_daemon_pid[router]}"
	check_match "unloaded" "$(tail -n 1 "$file")" '"event":"unloaded","reason":"on request'
	daemon_start router "$router" "$FL_TMP/router.json" || return
	check_match "and begun anew" "$(last 1)" ': started: forwarding begins '
	daemon_kill router
	check "unload" in_ns "$router" "$FL_BUILD/fairleadd" --unload --instance "$(instance router)"
	check_match "unloaded" "$(tail -n 1 "$file")" '"event":"unloaded","reason":"by fairleadd --unload'
}

started && {
	run_test starts starts
	run_test applies applies
	run_test aliases aliases
	run_test kills kills
	run_test repairs repairs
	run_test arguments arguments
	run_test many many
	run_test full full
	run_test to-syslog to_syslog
	run_test unloads unloads
}
teardown
finish
