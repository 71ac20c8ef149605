#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# `fairlead log`: what a policy has logged, as text, JSON and pcapng, selected, while it comes and afterwards; readers that are slow, stop
# or go; a daemon that is behind. The policy is a program of ours before fairlead's (logger.h): the destination port says it all.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../lab.sh"

# dport RULE in|out pass|block|reject|drop: the port that has a packet logged so
declare -A verdicts=([pass]=0 [block]=1 [reject]=2 [drop]=3)
dport() {
	echo $(($1 << 8 | ($([ "$2" = out ] && echo 1 || echo 0) << 2) | ${verdicts[$3]}))
}

# In a mount namespace where the instance's folder is all that there is of bpffs: the program finds the maps by their names
logger_attach() {
	# shellcheck disable=SC2016 # for that shell
	check "load and attach" in_ns "$router" unshare --mount sh -c '
		mount --bind "$1" /sys/fs/bpf && bpftool prog load "$2" /sys/fs/bpf/logger type classifier &&
		tc filter add dev "$3" ingress pref 1 handle 7 bpf direct-action object-pinned /sys/fs/bpf/logger
		rm /sys/fs/bpf/logger' sh "/sys/fs/bpf/fairlead/$(instance router)" "$FL_BUILD/bpf/logger.bpf.o" "$LAB_LAN"
}

# udp PORT [COUNT]: from the LAN to the Internet
udp() {
	in_ns "$lan" "$FL_PYTHON" -c 'import socket, sys
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.bind(("", 4000))
for i in range(int(sys.argv[3])):
    s.sendto(b"x" * 16, (sys.argv[1], int(sys.argv[2])))' "$INET_HOST" "$1" "${2:-1}"
}

started() {
	lab_up && broker_python && router_config tc && router_start && logger_attach
}

# follow FILE ARGUMENT...: in the background, its process id in $follower; returns when it follows
follower=''
follow() {
	"$FL_BUILD/fairlead" --instance "$(instance router)" log "${@:2}" > "$1" 2> "$FL_TMP/log.err" &
	follower=$!
	fl_pids+=("$follower")
	slowwait 5 followed "$follower"
}

# Connected, and sleeping in poll(2)
followed() {
	grep -q '^State:.*S' "/proc/$1/status" && [ "$(find "/proc/$1/fd" -lname 'socket:*' | wc -l)" = 1 ] && sleep 0.1
}

# lines FILE N
lines() {
	[ "$(wc -l < "$1")" -ge "$2" ]
}

text() {
	follow "$FL_TMP/text" --host "$INET_HOST"
	udp "$(dport 7 in block)"
	udp "$(dport 0 out pass)"
	udp "$(dport 9 in drop)"
	in_ns "$lan" ping -6 -n -q -c 1 -W 1 "$INET_HOST" > /dev/null
	check "they come" slowwait 5 lines "$FL_TMP/text" 4
	stop_process "$follower"
	local time='^[0-2][0-9]:[0-5][0-9]:[0-6][0-9]\.[0-9]{6}'
	check_match "blocked" "$(sed -n 1p "$FL_TMP/text")" \
		"$time block in on lan \\[#7\\]: $LAN_HOST\\.4000 > $INET_HOST\\.$(dport 7 in block): udp, length 64\$"
	check_match "passed by default" "$(sed -n 2p "$FL_TMP/text")" \
		"$time pass out on lan \\[default_action\\]: $LAN_HOST\\.4000 > $INET_HOST\\.4: udp, length 64\$"
	check_match "dropped" "$(sed -n 3p "$FL_TMP/text")" "$time drop in on lan \\(state-mismatch\\) \\[#9\\]: "
	check_match "ICMP" "$(sed -n 4p "$FL_TMP/text")" "$time pass in on lan \\[default_action\\]: $LAN_HOST > $INET_HOST: ipv6-icmp 128/0, length 104\$"
}

# logged RULE: the daemon has read of it
logged() {
	fl router log --last 1 --rule "$1" | grep -q .
}

passed_out() {
	fl router log --last 2 --host "$INET_HOST" | grep -q 'pass out'
}

last() {
	udp "$(dport 1 in pass)"
	udp "$(dport 2 in block)"
	udp "$(dport 3 in reject)"
	slowwait 5 logged '#3'
	check_equal "the last two" "$(fl router log --last 2 --host "$INET_HOST" | grep -oE '(block|reject) .*#[23]' | xargs)" \
		'block in on lan [#2 reject in on lan [#3'
	check_equal "as JSON" "$(fl router --json log --last 1 --host "$INET_HOST" |
		json '[d[k] for k in "verdict direction interface rule reason source source_port destination destination_port protocol length hook".split()]')" \
		"['reject', 'in', 'lan', '#3', 'rejected', '$LAN_HOST', 4000, '$INET_HOST', $(dport 3 in reject), 'udp', 64, 'tc']"
	check_equal "its time" "$(fl router --json log --last 1 --host "$INET_HOST" | json 'abs(__import__("time").time() * 1000 - d["time_ms"]) < 30000')" True
	check_match "--last and --follow" "$(timeout 1 "$FL_BUILD/fairlead" --instance "$(instance router)" log --last 1 --follow)" 'reject in'
}

# selected WANT ARGUMENT...: the rules of what is printed
selected() {
	check_equal "${*:2}" "$(fl router log --last 3 "${@:2}" | grep -oE '#[0-9]+' | xargs)" "$1"
}

selectors() {
	udp "$(dport 21 in pass)"
	udp "$(dport 22 in block)"
	udp "$(dport 23 out block)"
	slowwait 5 logged '#23'
	selected '#22 #23' --verdict block --host "$LAN_HOST" --host "$INET_HOST" --last 2
	selected '#22' --rule '#22'
	selected '#21 #22 #23' --interface lan --host "$INET_HOST" # neighbours may ask
	selected '' --interface wan
	selected '#21 #22 #23' --host "$INET_HOST"
	selected '#21 #22 #23' --host 2001:db8:f::/64 --host "$LAN_HOST"
	selected '' --host 2001:db8:e::/64
	selected '' --host "$INET_HOST" --host "$INET_HOST"
	check_match "an interface that there is not" "$(fl router log --last 1 --interface lann 2>&1)" 'did you mean "lan"'
	check_match "a rule that there is not" "$(fl router log --last 1 --rule default_acton 2>&1)" 'no rule named "default_acton"; did you mean "default_action"'
	check_match "nor its number" "$(fl router log --last 1 --rule 3 2>&1)" 'no rule named "3"'
	check_match "a verdict that there is not" "$(fl router log --last 1 --verdict allow 2>&1)" 'pass, block, reject, drop'
	check_match "a host that is none" "$(fl router log --last 1 --host nobody 2>&1)" 'an address or a prefix'
}

pcap() {
	follow "$FL_TMP/log.pcapng" --host "$INET_HOST" --pcap - # neighbours may be asked for
	udp "$(dport 5 in block)"
	udp "$(dport 9 in drop)"
	udp "$(dport 0 out pass)"
	slowwait 5 passed_out
	sleep 0.3
	stop_process "$follower"
	check_match "tcpdump reads it" "$(tcpdump -n -r "$FL_TMP/log.pcapng" 2>&1)" \
		"IP6 $LAN_HOST\\.4000 > $INET_HOST\\.$(dport 5 in block): UDP, length 16"
	check_equal "scapy reads it" "$("$FL_PYTHON" "$FL_NET/pcapng.py" "$FL_TMP/log.pcapng")" \
		"lan in 64 rule #5; block in on lan
lan in 64 rule #9; drop (state-mismatch) in on lan
lan out 64 rule default_action; pass out on lan"
	fl router log --last 2 --host "$INET_HOST" --pcap "$FL_TMP/last.pcapng"
	check_equal "into a file" "$("$FL_PYTHON" "$FL_NET/pcapng.py" "$FL_TMP/last.pcapng" | wc -l)" 2
	fl router log --pcap - 2> /dev/null | timeout 5 tcpdump -n -c 1 -r - > "$FL_TMP/dump" 2>&1 &
	follower=$!
	for _ in {1..20}; do udp "$(dport 5 in block)"; sleep 0.1; done
	wait "$follower"
	check_match "while it comes" "$(cat "$FL_TMP/dump")" 'UDP, length 16'
}

readers_go() {
	local status
	(fl router log; echo $? > "$FL_TMP/status") 2> "$FL_TMP/err" | head -n 1 > "$FL_TMP/head" &
	follower=$!
	sleep 0.5
	udp "$(dport 5 in block)"
	wait "$follower"
	check "it ends with its reader, and need not print for that" slowwait 5 test -s "$FL_TMP/status"
	check_equal "its status" "$(cat "$FL_TMP/status")" 0
	check_equal "what it says" "$(cat "$FL_TMP/err")" ''
	timeout 5 "$FL_BUILD/fairlead" --instance "$(instance router)" log >&- 2> "$FL_TMP/err"
	status=$?
	check "nowhere to print" test "$status" = 1
	follow "$FL_TMP/text"
	daemon_kill router TERM
	wait "$follower"
	check_equal "status when the daemon ends" $? 3
	check_match "what it says" "$(cat "$FL_TMP/log.err")" 'the daemon has ended'
	router_start
}

rss() {
	awk '/^VmRSS/ { print $2 }' "/proc/${fl_daemon_pid[router]}/status"
}

# all_told N: events of rule #5 that were read, and those that were lost, which may be others too
all_told() {
	local lost
	lost=$(awk '/^\.\.\. / { n += $2 } END { print n + 0 }' "$FL_TMP/text")
	[ $((lost + $(grep -c '#5' "$FL_TMP/text"))) -ge "$1" ] && [ $((lost + $(wc -l < "$FL_TMP/text"))) -lt $(($1 + 50)) ]
}

# A reader that is stopped holds up nobody, costs no memory, and learns how much it has missed
reader_stopped() {
	local before after stopped
	follow "$FL_TMP/text"
	stopped=$follower
	kill -STOP "$stopped"
	before=$(rss)
	udp "$(dport 5 in block)" 50000
	after=$(rss)
	check "the daemon answers" timeout 2 "$FL_BUILD/fairlead" --instance "$(instance router)" status
	[ $((after - before)) -lt 8000 ] || fail "its memory grew from $before to $after KB"
	kill -CONT "$stopped"
	check "it learns of it" slowwait 10 grep -qE '^\.\.\. [0-9]+ events lost: they were not read' "$FL_TMP/text"
	check "read and lost are all" slowwait 10 all_told 50000
	udp "$(dport 6 in block)"
	check "and gets what comes" slowwait 5 grep -q '#6' "$FL_TMP/text"
	stop_process "$stopped"
}

# A daemon that does not read for a while
daemon_stopped() {
	follow "$FL_TMP/text"
	kill -STOP "${fl_daemon_pid[router]}"
	udp "$(dport 5 in block)" 50000
	kill -CONT "${fl_daemon_pid[router]}"
	check "it says so" slowwait 15 grep -qE '^\.\.\. [0-9]+ events lost: more were logged' "$FL_TMP/text"
	check "read and lost are all" slowwait 10 all_told 50000
	stop_process "$follower"
	check "afterwards too" eval 'fl router log --last 4096 | grep -q "events lost: more were logged"'
}

# What was logged while no daemon was there
daemon_restarts() {
	daemon_kill router
	udp "$(dport 77 in block)"
	router_start
	check "it is not lost" slowwait 5 eval 'fl router log --last 1 --rule "#77" | grep -q block'
}

run_test starts started || finish
run_test text text
run_test last last
run_test selectors selectors
run_test pcap pcap
run_test reader-stopped reader_stopped
run_test daemon-stopped daemon_stopped
run_test readers-go readers_go
run_test daemon-restarts daemon_restarts
teardown
finish
