#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A learned path MTU is forgotten when its time is over (ten minutes; the test brings the end nearer): by the daemon, and by the
# programs where no daemon is.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../lab.sh"

# The kernel hears such messages too, and its routes hold for as long: for no time here, so that what the programs hold counts
lab_with_short_memory() {
	lab_with "$1" && check "sysctl" in_ns "$router" sysctl -qw net.ipv4.route.mtu_expires=0
}

scenario() {
	started lab_with_short_memory "$1" || return
	run_test warm-up warm_up || return
	python_tests expiry.py --lab "$FL_PREFIX" --mode daemon
	daemon_kill router
	python_tests expiry.py --lab "$FL_PREFIX" --mode alone
}

modes scenario
finish
