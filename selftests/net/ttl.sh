#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Hop limits: one is counted at the router, what expires is answered, and the way can be traced.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../lab.sh"

# hop N: who answers a ping that may go so far
hop() {
	in_ns "$lan" ping -6 -n -c 1 -W 2 -t "$1" "$INET_HOST" | sed -n 's/^From \([^ ]*\) .*Time exceeded.*/\1/p; s/.*bytes from \([^ ]*\): .*/\1/p'
}

traced() {
	check_equal "first hop" "$(hop 1)" "$LAN_ROUTER"
	check_equal "second hop" "$(hop 2)" "$TUNNEL_BROKER"
	check_equal "third hop" "$(hop 3)" "$INET_HOST"
}

scenario() {
	started lab_with "$1" || return
	run_test warm-up warm_up || return
	run_test traceroute traced
	python_tests ttl.py --lab "$FL_PREFIX" --mode "$1"
}

modes scenario
finish
