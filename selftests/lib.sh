# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What every test in namespaces uses. Source it, make namespaces, run test functions, call finish.
# Everything that a test makes is named by its process id and is gone after it, however it ends.

set -u

FL_ROOT=$(realpath "$(dirname "${BASH_SOURCE[0]}")/..")
FL_BUILD=${FL_BUILD:-$FL_ROOT/build}
FL_NET=$FL_ROOT/selftests/net
FL_TMP=$(mktemp -d "${TMPDIR:-/tmp}/fairlead-test.XXXXXX")
FL_SCENARIO=$(basename "$0" .sh)
FL_PREFIX=fl$$
FL_PYTHON=/usr/bin/python3
export FL_RUN=$FL_PREFIX FL_BUILD PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$FL_NET

fl_names=()	# namespaces
fl_pids=()	# background processes
fl_instances=()	# daemons' instances, and fl_daemon_pid[INSTANCE], fl_daemon_ns[INSTANCE]
fl_held_pid=
declare -A fl_daemon_pid=() fl_daemon_ns=()
fl_failed=0
fl_why=()
fl_group=

# ---- results ----

# test_group NAME: a part of the following tests' names, for example the mode that they run in
test_group() {
	fl_group=${1:+$1/}
}

# run_test NAME FUNCTION [ARGUMENT...]: runs it; it fails by a check in it that fails, not by its exit status
run_test() {
	local name=$FL_SCENARIO/$fl_group$1
	shift
	fl_why=()
	"$@"
	if [ ${#fl_why[@]} -eq 0 ]; then
		echo "ok $name"
		return 0
	fi
	fl_failed=$((fl_failed + 1))
	echo "not ok $name"
	printf '%s\n' "${fl_why[@]}" | sed 's/^/# /'
	return 1
}

# fail TEXT: the running test has failed
fail() {
	fl_why+=("$*")
	return 1
}

# check TEXT COMMAND...: the command must succeed
check() {
	local text=$1 output status
	shift
	output=$("$@" 2>&1)
	status=$?
	[ $status -eq 0 ] && return 0
	fail "$text: exit status $status of: $*${output:+
$output}"
}

# check_not TEXT COMMAND...: the command must fail
check_not() {
	local text=$1 output
	shift
	output=$("$@" 2>&1) || return 0
	fail "$text: should have failed: $*${output:+
$output}"
}

# check_equal TEXT GOT WANT
check_equal() {
	[ "$2" = "$3" ] && return 0
	fail "$1: is '$2', expected '$3'"
}

# check_match TEXT GOT PATTERN (extended regular expression)
check_match() {
	grep -qE -- "$3" <<< "$2" && return 0
	fail "$1: nothing matches '$3' in:
$2"
}

# python_tests NAME.py [ARGUMENT...]: a program of tests of its own, whose lines become lines of ours
python_tests() {
	local program=$1 output status
	shift
	output=$(timeout --foreground "${FL_PYTHON_TIMEOUT:-120}" "$FL_PYTHON" "$FL_NET/$program" --prefix "$FL_SCENARIO/$fl_group" "$@" 2>&1)
	status=$?
	echo "$output"
	fl_failed=$((fl_failed + $(grep -c '^not ok ' <<< "$output")))
	if ! grep -qE '^(not )?ok ' <<< "$output" || { [ $status -ne 0 ] && ! grep -q '^not ok ' <<< "$output"; }; then
		fl_failed=$((fl_failed + 1))
		echo "not ok $FL_SCENARIO/$fl_group${program%.py}"
		echo "# $program ended with $status and without a failed test"
	fi
}

# ---- waiting ----

# slowwait SECONDS COMMAND...: until it succeeds; false when four times as much is over: others may have the CPUs
slowwait() {
	local end=$((SECONDS + 4 * $1 + 1))
	shift
	until "$@" > /dev/null 2>&1; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.05
	done
}

# promptly SECONDS COMMAND...: the same, where so long is the promise. It is kept to the letter where the CPUs are free; else it may take as
# many times as long as there are programs for each of them, four times at most
promptly() {
	local load limit=$(($1 * 1000000)) end
	read -r load _ < /proc/loadavg
	load=$((10#${load/./} / $(nproc)))
	load=$((load < 100 ? 100 : load > 400 ? 400 : load))
	end=$((${EPOCHREALTIME/[^0-9]/} + limit * load / 100))
	shift
	until "$@" > /dev/null 2>&1; do
		[ "${EPOCHREALTIME/[^0-9]/}" -lt $end ] || return 1
		sleep 0.05
	done
}

# How many packets the machine has lost: for devices without NAPI each CPU has one queue for all namespaces, and who floods elsewhere fills it
machine_lost() {
	local lost sum=0
	while read -r _ lost _; do
		sum=$((sum + 16#$lost))
	done < /proc/net/softnet_stat
	echo $sum
}

# ---- namespaces and processes ----

# setup_ns NAME...: makes namespaces; $NAME holds what each is really called
setup_ns() {
	local name real key
	for name in "$@"; do
		real=$FL_PREFIX-$name
		ip netns add "$real" || exit 1
		fl_names+=("$real")
		printf -v "$name" %s "$real"
		ip -n "$real" link set dev lo up
		for key in accept_dad=0 accept_ra=0 router_solicitations=0; do
			in_ns "$real" sysctl -qw "net.ipv6.conf.default.$key" "net.ipv6.conf.all.$key"
		done
		in_ns "$real" sysctl -qw net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0 net.ipv4.conf.default.rp_filter=0 \
			net.ipv4.conf.all.rp_filter=0 net.ipv4.ping_group_range='0 0'
	done
}

# in_ns NAMESPACE COMMAND...: `ip netns exec` would hide the bpf file system
in_ns() {
	nsenter --net=/run/netns/"$1" -- "${@:2}"
}

# background NAMESPACE COMMAND...: a program that is ended at the end; its process id is in $!
background() {
	nsenter --net=/run/netns/"$1" -- "${@:2}" &
	fl_pids+=($!)
}

# stop_process PID: ends it and waits until it is gone
stop_process() {
	kill "$1" 2> /dev/null
	wait "$1" 2> /dev/null
}

# kill_in_ns NAMESPACE: whatever runs there, also what began a session of its own; as when the machine loses its power
kill_in_ns() {
	local pids
	mapfile -t pids < <(ip netns pids "$1" 2> /dev/null)
	[ ${#pids[@]} -eq 0 ] || kill -KILL "${pids[@]}" 2> /dev/null
}

python_in_ns() {
	in_ns "$1" "$FL_PYTHON" "$FL_NET/$2" "${@:3}"
}

transfer() {
	timeout --foreground 120 "$FL_PYTHON" "$FL_NET/transfer.py" "$@"
}

# ---- the daemon ----

# instance NAME: the name under which this test's daemon NAME runs
instance() {
	echo "$FL_PREFIX-$1"
}

# fl NAME ARGUMENT...: the command line program for that daemon
fl() {
	"$FL_BUILD/fairlead" --instance "$(instance "$1")" "${@:2}"
}

answers() {
	fl "$1" status
	[ $? -lt 2 ]
}

# daemon_start NAME NAMESPACE CONFIG: returns when it answers
daemon_start() {
	local name=$1 log
	log=$FL_TMP/$name.log
	mountpoint -q /sys/fs/bpf || mount -t bpf bpf /sys/fs/bpf
	nsenter --net=/run/netns/"$2" -- "$FL_BUILD/fairleadd" -f -c "$3" --instance "$(instance "$name")" >> "$log" 2>&1 &
	fl_daemon_pid[$name]=$!
	fl_daemon_ns[$name]=$2
	[[ " ${fl_instances[*]} " == *" $name "* ]] || fl_instances+=("$name")
	if ! slowwait "${FL_START_SECONDS:-25}" answers_or_dead "$name" || ! answers "$name" > /dev/null 2>&1; then
		fail "fairleadd did not start:
$(tail -n 20 "$log")"
		return 1
	fi
}

answers_or_dead() {
	! kill -0 "${fl_daemon_pid[$1]}" 2> /dev/null || answers "$1"
}

# daemon_kill NAME [SIGNAL]: as by accident; the data plane stays
daemon_kill() {
	local pid=${fl_daemon_pid[$1]:-}
	[ -n "$pid" ] || return 0
	kill "-${2:-KILL}" "$pid" 2> /dev/null
	wait "$pid" 2> /dev/null
}

# hold_loop NAME SECONDS: its event loop has much to do, in the background, from when this returns on; probes, adverts and beats have a thread of
# their own. hold_loop_end waits until it goes on
hold_loop() {
	"$FL_PYTHON" "$FL_NET/hold_loop.py" "${fl_daemon_pid[$1]}" "$2" > "$FL_TMP/held" 2>&1 &
	fl_held_pid=$!
	slowwait 5 grep -q held "$FL_TMP/held" || fail "the loop of $1 can't be held up: $(cat "$FL_TMP/held")"
}

hold_loop_end() {
	wait "$fl_held_pid" || fail "the loop was not held up: $(cat "$FL_TMP/held")"
}

# daemon_remove NAME: unloads and ends it; what a dead one left is taken away by the daemon's program
daemon_remove() {
	if kill -0 "${fl_daemon_pid[$1]}" 2> /dev/null; then
		fl "$1" unload --yes > "$FL_TMP/unload" 2>&1
		daemon_kill "$1" TERM
	else
		in_ns "${fl_daemon_ns[$1]}" "$FL_BUILD/fairleadd" --unload --instance "$(instance "$1")" > "$FL_TMP/unload" 2>&1
	fi
}

# json FILTER: from the JSON on standard input, by a Python expression in which it is called `d`
json() {
	"$FL_PYTHON" -IS -c 'import json, sys
text = sys.stdin.read()
try:
    d = json.loads(text)
except ValueError:
    sys.exit(print("no JSON:", text))
print(eval(sys.argv[1]))' "$1"
}

# ---- the end ----

# What is left of this test; nothing, one hopes
leftovers() {
	ip netns list | awk '{ print $1 }' | grep "^$FL_PREFIX-"
	find /sys/fs/bpf/fairlead /run/fairlead -maxdepth 1 -name "$FL_PREFIX-*" ! -name '*.lock' 2> /dev/null # the lock's file stays
	locks
	processes
}

# Those that are still held
locks() {
	local file
	for file in /run/fairlead/"$FL_PREFIX"-*.lock; do
		[ ! -e "$file" ] || flock -n "$file" true || echo "$file is locked"
	done
}

# Those that this test started, found by their environment
processes() {
	local file
	grep -lsz "^FL_RUN=$FL_PREFIX$" /proc/[0-9]*/environ | while read -r file; do
		tr '\0' ' ' < "${file%environ}cmdline"
		echo
	done 2> /dev/null | grep -v '^grep '
	return 0
}

# Removes it all, also what a failed program left
cleanup() {
	local name pid
	for name in "${fl_instances[@]}"; do
		kill -KILL "${fl_daemon_pid[$name]}" 2> /dev/null
		wait "${fl_daemon_pid[$name]}" 2> /dev/null
	done
	for pid in "${fl_pids[@]}"; do
		stop_process "$pid"
	done
	for name in "${fl_names[@]}"; do
		kill_in_ns "$name"
		ip netns del "$name" 2> /dev/null
	done
	rm -rf /sys/fs/bpf/fairlead/"$FL_PREFIX"-* /run/fairlead/"$FL_PREFIX"-* /var/lib/fairlead/"$FL_PREFIX"-*
	fl_names=() fl_pids=()
}

# teardown: between two rounds of a scenario: daemons are asked to unload, then all is removed and looked for
teardown() {
	local name pid
	for name in "${fl_instances[@]}"; do
		daemon_remove "$name"
	done
	for pid in "${fl_pids[@]}"; do
		stop_process "$pid"
	done
	for name in "${fl_names[@]}"; do
		ip netns del "$name"
	done
	fl_names=() fl_pids=()
	run_test nothing-is-left check_nothing_left
	cleanup
	fl_instances=()
}

check_nothing_left() {
	check_equal "left over" "$(leftovers)" ""
}

# finish: the last command of a scenario
finish() {
	exit $((fl_failed > 0))
}

fl_exit() {
	local status=$?
	trap - EXIT
	cleanup
	rm -rf "$FL_TMP"
	exit $status
}
trap fl_exit EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
