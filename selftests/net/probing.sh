#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Gateways probed over lines that delay and lose, in one direction or both; one that flaps; other addresses on the link; and 256 gateways beside
# them, of which half die at once. probing.py plays the other end, and what lies between.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../lab.sh"

probed() {
	setup_ns router wan
	veth "$router" wan0 02:00:00:00:02:20 "$wan" net0 02:00:00:00:02:01
	ip -n "$router" addr add 198.18.255.1/16 dev wan0
	ip -n "$router" addr add 2001:db8:1::1/64 dev wan0 nodad
	ip -n "$router" addr add 198.19.0.1/24 dev wan0
	ip -n "$wan" route add local 198.18.0.0/16 dev net0 # until probing.py takes over, and its MAC
	ip -n "$wan" -6 route add local 2001:db8:f::99 dev net0
	ip -n "$wan" route add 198.18.255.1 dev net0
	ip -n "$wan" -6 addr add 2001:db8:1::2/64 dev net0 nodad
	ip -n "$router" neigh add fe80::99 lladdr 02:00:00:00:02:01 dev wan0
	"$FL_PYTHON" "$FL_NET/probing.py" --how config > "$FL_TMP/router.json"
	router_start
}

scenario() {
	started probed || return
	python_tests probing.py --lab "$FL_PREFIX" --how probed --pid "${fl_daemon_pid[router]}"
}

FL_MODES=native modes scenario
finish
