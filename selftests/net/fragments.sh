#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Outer fragments are put together by the daemon and dropped in silence without one; inner fragments just pass.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../lab.sh"

dropped_fragments() {
	fl router --json show drops | json 'sum(r["packets"] for r in d if r["reason"] == "tunnel-outer-fragment")'
}

killed() {
	daemon_kill router
}

# The programs notice a dead daemon by its missing heartbeat, a few seconds
daemon_gone() {
	check "pings go on" pings "$lan" "$INET_HOST"
	sleep "${FL_HEARTBEAT_SECONDS:-4}" # nothing to poll: what passes must be that long without a daemon
}

counted() {
	daemon_start router "$router" "$FL_TMP/router.json" || return
	# of three packets the kernel's answers, then three times two fragments
	check_equal "fragments counted while the daemon was dead" "$(dropped_fragments)" 9
}

scenario() {
	started lab_with "$1" || return
	run_test warm-up warm_up || return
	veth "$wan" net9 02:00:00:00:09:01 "$router" strange0 02:00:00:00:09:02
	python_tests fragments.py --lab "$FL_PREFIX" --mode alive
	test_group "$1/daemon-dead"
	run_test kill killed
	python_tests fragments.py --lab "$FL_PREFIX" --mode killed
	run_test gone daemon_gone
	python_tests fragments.py --lab "$FL_PREFIX" --mode dead
	run_test counted counted
}

modes scenario
finish
