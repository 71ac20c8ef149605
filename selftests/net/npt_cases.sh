#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Prefix translation beyond the plain case: hairpin, errors and what they quote, what is never translated, what can't be.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../lab.sh"

plain() {
	config_edit "$FL_TMP/router.json" 'd["prefix_translations"][0]["mode"] = "plain"'
	check "apply" fl router apply "$FL_TMP/router.json"
	slowwait 10 in_ns "$lan" ping -6 -n -q -c 1 -W 1 "$INET_HOST" || fail "no answer any more"
}

tcp_both_ways() {
	check "20 MB up" transfer tcp "$lan" "$inet" "$INET_HOST" 20000000
	check "20 MB down" transfer tcp "$lan" "$inet" "$INET_HOST" 20000000 --reverse
	check "UDP" transfer udp "$lan" "$inet" "$INET_HOST" 1 1000 1432 3000
}

scenario() {
	started lab_with "$1" || return
	ip -n "$lan" addr add 2001:db8:aa::81/64 dev eth0 nodad
	ip -n "$router" addr add 2001:db8:ab::1/64 dev lan0 nodad # a network that is not translated
	run_test warm-up warm_up || return
	test_group "$1/rfc6296"
	python_tests npt_cases.py --lab "$FL_PREFIX" --mode rfc6296
	test_group "$1/plain"
	run_test apply plain || return
	python_tests npt_cases.py --lab "$FL_PREFIX" --mode plain
	run_test by-xdp by_xdp "$1" 50 router lan wan
	run_test transfers tcp_both_ways
}

modes scenario
finish
