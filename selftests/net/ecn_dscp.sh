#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# ECN into the tunnel and out of it as in RFC 6040, and the DSCP of the outer header.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../lab.sh"

with_dscp() {
	config_edit "$FL_TMP/router.json" "d['tunnels']['he0']['dscp'] = $1"
	check "apply" fl router apply "$FL_TMP/router.json"
}

scenario() {
	started lab_with "$1" || return
	run_test warm-up warm_up || return
	test_group "$1/copy"
	python_tests ecn.py --lab "$FL_PREFIX" --mode copy
	test_group "$1/46"
	run_test apply with_dscp 46 && python_tests ecn.py --lab "$FL_PREFIX" --mode 46
}

modes scenario
finish
