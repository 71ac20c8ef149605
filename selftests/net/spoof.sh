#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Forged and broken tunnel packets are dropped without an answer (RFC 4213 3.6) and counted under their reason.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../lab.sh"

scenario() {
	started lab_with "$1" || return
	run_test warm-up warm_up || return
	python_tests spoof.py --lab "$FL_PREFIX" --mode "$1"
}

modes scenario
finish
