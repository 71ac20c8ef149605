#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What users see of rules: counters and names in `show rules` and `show nat`, aliases changed at run time, and `explain`, which must say what
# then really happens and leave no trace.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../lab.sh"

# shellcheck disable=SC2016 # these are aliases
policy='d["default_action"] = { "in": "block", "out": "pass" }
d["prefix_translations"] = []
d["interfaces"]["spare"] = { "device": "nosuch0" }
d["gateways"]["isp_gw"] = { "interface": "wan", "address": "203.0.113.1", "monitor": False }
d["gateways"]["spare_gw"] = { "interface": "spare", "address": "198.18.0.1" }
d["aliases"] = { "office": ["192.0.2.0/24", "2001:db8:aa::/64"], "web": [80, 443], "guests": [], "everybody": ["$office", "$guests"] }
lan = { "action": "pass", "quick": True, "direction": "in", "interface": "lan" }
udp = dict(lan, protocol="udp")
port = lambda n: { "port": n }
d["rules"] = [
	dict(lan, name="pings", protocol=["icmp", "ipv6-icmp"], source={ "address": "$office" }),
	dict(lan, name="web", protocol="tcp", source={ "address": "$everybody" }, destination=port("$web")),
	dict(lan, name="no telnet", action="reject", protocol="tcp", destination=port(23)),
	dict(udp, name="by the provider", destination=port(5000), route_to="isp_gw"),
	dict(udp, name="stateless", state="none", destination=port(5001)),
	dict(udp, name="no 5003", action="reject", destination=port(5003)),
	dict(udp, name="by nobody", destination=port(5004), route_to="spare_gw"),
	dict(udp, name="skipped", destination=port(5005), route_to="spare_gw", when_down="skip"),
	dict(udp, name="two", destination=port(5008), max_states_per_source=2),
	{ "name": "nothing to 5007", "action": "block", "quick": True, "direction": "out", "protocol": "udp", "destination": port(5007) },
	dict(udp, name="by the tunnel", interface="he0", destination=port(5010)),
	dict(lan, name="to the inside", interface="wan", protocol="tcp", destination={ "address": "192.0.2.80", "port": 8080 })
]
d["nat"] = [
	{ "type": "snat", "interface": "wan", "source": { "address": "192.0.2.0/24" }, "translate_to": "interface",
	  "endpoint_independent": True },
	{ "type": "dnat", "interface": "wan", "protocol": "tcp", "destination": { "address": "203.0.113.20", "port": 80 },
	  "translate_to": "192.0.2.80", "translate_port": 8080 }
]'

serving() {
	grep -q ready "$FL_TMP/serve.$1"
}

# serve NAMESPACE PORT...
serve() {
	background "${!1}" "$FL_PYTHON" "$FL_NET/rules_peer.py" serve "${@:2}" > "$FL_TMP/serve.$1"
	slowwait 5 serving "$1" || fail "nobody serves in $1"
}

ready() {
	lab_with "$1" "$policy" && serve wan 23 25 80 443 5000 5001 5002 5007 5008 && serve lan 8080
}

scenario() {
	started ready "$1" || return
	python_tests show_rules.py --lab "$FL_PREFIX" --mode "$1"
}

FL_MODES=${FL_MODES:-native tc}
modes scenario
finish
