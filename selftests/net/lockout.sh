#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A user locks himself out, with `apply --confirm`: nobody gets in any more, he neither, until it is undone by itself. His session goes on.
#
#   lan                router
#   eth0 ──────────── lan0   management on port 22
#   192.0.2.80        192.0.2.1

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../lab.sh"

export FL_TMP

lockout_lab() {
	setup_ns lan router
	veth "$lan" eth0 02:00:00:00:01:80 "$router" lan0 02:00:00:00:01:01
	napi "$lan" eth0
	ip -n "$lan" addr add 192.0.2.80/24 dev eth0
	ip -n "$router" addr add 192.0.2.1/24 dev lan0
	cat > "$FL_TMP/router.json" <<-JSON
	{
		"interfaces": { "lan": { "device": "lan0", "mode": "$1" } },
		"default_action": { "in": "block", "out": "pass" },
		"rules": [ { "name": "management", "action": "pass", "quick": true, "direction": "in", "interface": "lan",
			"protocol": "tcp", "destination": { "address": "self", "port": 22 } } ]
	}
	JSON
	router_start
}

scenario() {
	started lockout_lab "$1" || return
	python_tests lockout.py --lab "$FL_PREFIX" --mode "$1"
	run_test rules-are-back check_match "show rules" "$(fl router show rules)" management
}

FL_MODES=${FL_MODES:-native}
modes scenario
finish
