#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Log lines of running daemons, from their syslog socket, against the decoders and rules of configs/wazuh: of one, and of a pair whose master
# dies, and which is cut apart and together again.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../lab.sh"
. "$(dirname "$0")/../pairlab.sh"

router='' lan='' a='' b='' switch=''
log=$FL_TMP/syslog

listens() {
	mkdir "$FL_TMP/dev"
	cp -a /dev/null /dev/zero /dev/random /dev/urandom "$FL_TMP/dev"
	touch "$log"
	background "$router" "$FL_PYTHON" -c 'import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
while True: print(s.recv(8192).decode(), flush=True)' "$FL_TMP/dev/log" >> "$log"
	slowwait 5 test -S "$FL_TMP/dev/log"
}

# daemon_logs NAME NAMESPACE: a daemon whose /dev/log is ours
daemon_logs() {
	mkdir -p "$FL_TMP/build"
	# shellcheck disable=SC2016 # for that shell
	printf '#!/bin/bash\n[ -n "$FL_UNSHARED" ] || FL_UNSHARED=1 exec unshare -m "$0" "$@"\nmount --bind "%s" /dev && exec "%s" "$@"\n' \
		"$FL_TMP/dev" "$FL_BUILD/fairleadd" > "$FL_TMP/build/fairleadd"
	chmod +x "$FL_TMP/build/fairleadd"
	ln -sf "$FL_BUILD/fairlead" "$FL_TMP/build/fairlead"
	FL_BUILD=$FL_TMP/build daemon_start "$1" "$2" "$FL_TMP/$1.json"
}

says() {
	[ "$(grep -cE "$1" "$log")" -ge "$2" ]
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
	daemon_logs router "$router" || return
	check "both are taken" slowwait 5 says 'BACKUP -> MASTER' 2
	check "disable" fl router vip disable one
	check "told" slowwait 5 says 'carp: eth0 7: state transition: MASTER -> INIT' 1
	check "enable" fl router vip enable one
	check "taken again" slowwait 5 says 'BACKUP -> MASTER' 3
	cp "$log" "$FL_TMP/one"
}

# ---- two nodes ----

# node NAME NUMBER ADVSKEW
node() {
	cat > "$FL_TMP/$1.json" <<-JSON
	{
		"node": { "name": "fw-$1" },
		"interfaces": { "lan": { "device": "eth1" }, "sync": { "device": "eth3" } },
		"vips": {
			"one": { "interface": "lan", "address": "192.0.2.100/24", "vhid": 7, "fast_ms": 100, "password_file": "$FL_TMP/carp.key" }
		},
		"ha": {
			"interface": "sync", "local": "172.16.255.$2", "peers": ["172.16.255.$((3 - $2))"], "key_file": "$FL_TMP/sync.key",
			"advskew": $3
		}
	}
	JSON
}

# roles A B
roles() {
	[ "$(fl a --json show vips | json 'd[0]["role"]') $(fl b --json show vips | json 'd[0]["role"]')" = "$1 $2" ]
}

connected() {
	roles master backup && [ "$(fl a --json show sync | json 'd[0]["connected"]')" = True ]
}

# cables up|down: those of b
cables() {
	ip -n "$switch" link set lan-b "$1"
	ip -n "$switch" link set sync-b "$1"
}

# Its cables stay where they are: no carrier tells of it
cut() {
	ip -n "$switch" link set lan-b nomaster
	ip -n "$switch" link set sync-b nomaster
}

heal() {
	ip -n "$switch" link set lan-b master lan
	ip -n "$switch" link set sync-b master sync
}

pair_lines() {
	setup_ns a b switch
	segment lan eth1
	segment sync eth3
	ip -n "$a" addr add 192.0.2.1/24 dev eth1
	ip -n "$b" addr add 192.0.2.2/24 dev eth1
	ip -n "$a" addr add 172.16.255.1/30 dev eth3
	ip -n "$b" addr add 172.16.255.2/30 dev eth3
	"$FL_BUILD/fairlead" keygen | install -m 600 /dev/stdin "$FL_TMP/sync.key"
	node a 1 0
	node b 2 100
	: > "$log"
	daemon_logs a "$a" && daemon_logs b "$b" || return
	check "both are there" slowwait 20 connected
	: > "$log"
	cut
	check "both are masters" slowwait 10 roles master master
	check "each has lost the other" slowwait 10 says 'sync fw-[ab]: lost: ' 2
	heal
	check "one is" slowwait 20 connected
	check "told" slowwait 5 says 'vip one: split-brain: ' 1
	check "and over" slowwait 5 says 'carp: eth1 7: state transition: MASTER -> BACKUP' 1
	cp "$log" "$FL_TMP/split"
	: > "$log"
	daemon_kill a
	check "taken over" slowwait 10 says 'BACKUP -> MASTER' 1
	check "its peer is lost" slowwait 10 says 'sync fw-a: lost: ' 1
	cp "$log" "$FL_TMP/killed"
}

run_test lines all_lines
run_test pair pair_lines
python_tests siem.py "$FL_TMP/one" "$FL_TMP/split" "$FL_TMP/killed"
teardown
finish
