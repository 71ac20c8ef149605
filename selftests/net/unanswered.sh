#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A neighbour that never answers: the sender gets Destination Unreachable, not from the first packet on, and no longer once the
# neighbour is there. The same where it is the next hop of the tunnel's outer packets.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../lab.sh"

killed() {
	daemon_kill router
}

scenario() {
	started lab_with "$1" || return
	run_test warm-up warm_up || return
	python_tests unanswered.py --lab "$FL_PREFIX" --mode "$1"
	test_group "$1/daemon-dead"
	run_test kill killed
	python_tests unanswered.py --lab "$FL_PREFIX" --mode dead
}

modes scenario
finish
