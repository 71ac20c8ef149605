#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Tests clean up after themselves also when they are interrupted in the middle: the whole lab is up, then a signal comes, or
# the program ends as by a mistake in it.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../lab.sh"

# The part that is interrupted: tells its prefix when all is up, then does what is slow
if [ "${1:-}" = inner ]; then
	lab_with tc || exit 9
	warm_up
	echo "$FL_PREFIX $FL_TMP" > "$2.new" && mv "$2.new" "$2"
	[ "$3" != mistake ] || exit 7
	in_ns "$lan" ping -6 -n -q -i 0.1 "$INET_HOST" > /dev/null
	exit 8
fi

# everything_of PREFIX FOLDER: what there is of that test
everything_of() {
	ip netns list | grep "^$1-"
	find /sys/fs/bpf/fairlead /run/fairlead /var/lib/fairlead -maxdepth 1 -name "$1-*" 2> /dev/null
	find "$2" -maxdepth 0 2> /dev/null
	FL_PREFIX=$1 processes
}

interrupted() {
	local pid prefix folder status
	rm -f "$FL_TMP/up"
	env -u FL_RUN --default-signal=INT,TERM,HUP bash "$0" inner "$FL_TMP/up" "$1" > "$FL_TMP/log" 2>&1 &
	pid=$!
	slowwait 30 test -e "$FL_TMP/up" || { fail "the inner test did not come up: $(cat "$FL_TMP/log")"; return; }
	read -r prefix folder < "$FL_TMP/up"
	if [ "$1" != mistake ]; then
		[ -n "$(everything_of "$prefix" "$folder")" ] || fail "nothing is there before the signal: this test sees nothing"
		kill "-$1" "$pid"
		for child in $(pgrep -P "$pid" ping); do kill "-$1" "$child"; done # as a terminal or timeout does: the whole group
	fi
	wait "$pid"
	status=$?
	check_equal "left over" "$(everything_of "$prefix" "$folder")" ""
	case $status in 0 | 8) fail "exit status $status" ;; esac
}

for signal in INT TERM HUP mistake; do
	run_test "$signal" interrupted "$signal"
done
finish
