#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Log lines of a running daemon, from its syslog socket, against the decoders and rules of configs/wazuh.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../lab.sh"

router='' lan=''
log=$FL_TMP/syslog

listens() {
	mkdir "$FL_TMP/dev"
	cp -a /dev/null /dev/zero /dev/random /dev/urandom "$FL_TMP/dev"
	touch "$log"
	background "$router" "$FL_PYTHON" -c 'import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
while True: print(s.recv(8192).decode(), flush=True)' "$FL_TMP/dev/log" > "$log"
	slowwait 5 test -S "$FL_TMP/dev/log"
}

# A daemon whose /dev/log is ours
daemon_logs() {
	mkdir "$FL_TMP/build"
	# shellcheck disable=SC2016 # for that shell
	printf '#!/bin/bash\n[ -n "$FL_UNSHARED" ] || FL_UNSHARED=1 exec unshare -m "$0" "$@"\nmount --bind "%s" /dev && exec "%s" "$@"\n' \
		"$FL_TMP/dev" "$FL_BUILD/fairleadd" > "$FL_TMP/build/fairleadd"
	chmod +x "$FL_TMP/build/fairleadd"
	ln -s "$FL_BUILD/fairlead" "$FL_TMP/build/fairlead"
	FL_BUILD=$FL_TMP/build daemon_start router "$router" "$FL_TMP/router.json"
}

says() {
	[ "$(grep -cE "$1" "$log")" -ge "$2" ]
}

# What only a pair says is written into the events' file by hand, and printed as syslog gets it
as_logged() {
	local file
	file=/var/lib/fairlead/$(instance router)/events.log
	cat >> "$file" <<-JSON
	{"time_ms":1764363646123,"kind":"vip","name":"one","event":"split-brain","reason":"172.16.255.2 is master too, for 0.3 s now: they did not hear each other","level":"warning","details":{"interface":"lan","vhid":7,"from":"172.16.255.2","for_ms":300.5}}
	{"time_ms":1764363646124,"kind":"sync","name":"fw-sec01","event":"connected","level":"notice"}
	{"time_ms":1764363646125,"kind":"sync","name":"fw-sec01","event":"lost","reason":"nothing has come for 3 s","level":"warning"}
	JSON
	fl router show events | grep -E '(split-brain|sync fw-sec01)' | cut -d ' ' -f 3- | sed 's/^/<28>Nov 29 10:00:00 fairleadd[812]: /' >> "$log"
}

all_lines() {
	setup_ns router lan
	veth "$router" eth0 02:00:00:00:02:20 "$lan" eth0 02:00:00:00:01:80
	ip -n "$router" addr add 192.0.2.1/24 dev eth0
	install -m 600 /dev/stdin "$FL_TMP/carp.key" <<< secret
	cat > "$FL_TMP/router.json" <<-JSON
	{
		"interfaces": { "lan": { "device": "eth0" } },
		"vips": {
			"one": { "interface": "lan", "address": "192.0.2.100/24", "vhid": 7, "fast_ms": 50, "password_file": "$FL_TMP/carp.key" },
			"two": { "interface": "lan", "address": "192.0.2.200/24", "vhid": 9, "fast_ms": 50, "password_file": "$FL_TMP/carp.key" }
		}
	}
	JSON
	listens
	daemon_logs || return
	check "both are taken" slowwait 5 says 'BACKUP -> MASTER' 2
	check "disable" fl router vip disable one
	check "told" slowwait 5 says 'carp: eth0 7: state transition: MASTER -> INIT' 1
	check "enable" fl router vip enable one
	check "taken again" slowwait 5 says 'BACKUP -> MASTER' 3
	as_logged
}

run_test lines all_lines
python_tests siem.py "$log"
teardown
finish
