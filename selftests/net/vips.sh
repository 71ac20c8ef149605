#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Two nodes that share addresses, without knowing each other otherwise: who has them, by hand and by what happens. What passes with a lease and
# without one, and what other CARP says, build/net has.
#
#	host: lan 192.0.2.3, by 192.0.2.100	----	switch: lan	----	left: br0 (of lan) .1, right: lan .2 (tc)
#	net:  wan 203.0.113.9			----	switch: wan	----	left: wan .1, right: wan .2 (generic XDP)
# shellcheck source=selftests/lib.sh disable=SC2154 # set by setup_ns
. "$(dirname "$0")/../lib.sh"

LAN_VIP=192.0.2.100
WAN_VIP=203.0.113.100
NET=203.0.113.9

# cable NAMESPACE DEVICE NAME: to the switch's bridge of that name
cable() {
	ip link add "$2" netns "$1" type veth peer name "$2-$3" netns "$switch"
	ip -n "$switch" link set "$2-$3" master "$2" up
	ip -n "$1" link set "$2" up
}

set_up() {
	setup_ns left right switch host net
	ip -n "$switch" link add lan up type bridge
	ip -n "$switch" link add wan up type bridge
	cable "$left" lan left
	cable "$left" wan left
	cable "$right" lan right
	cable "$right" wan right
	cable "$host" lan host
	cable "$net" wan net
	ip -n "$left" link add br0 up type bridge
	ip -n "$left" link set lan master br0
	ip -n "$left" addr add 192.0.2.1/24 dev br0
	ip -n "$right" addr add 192.0.2.2/24 dev lan
	ip -n "$left" addr add 203.0.113.1/24 dev wan
	ip -n "$right" addr add 203.0.113.2/24 dev wan
	ip -n "$host" addr add 192.0.2.3/24 dev lan
	ip -n "$host" route add default via "$LAN_VIP"
	ip -n "$net" addr add "$NET/24" dev wan
	(umask 077 && echo "love and peace" > "$FL_TMP/carp.key")
	configure left br0 auto auto 0
	configure right lan tc generic 100
}

# configure NODE DEVICE MODE MODE ADVSKEW. Rules and translations name vips alone
configure() {
	cat > "$FL_TMP/$1.json" << JSON
{
  "node": { "name": "$1" },
  "default_action": { "in": "block", "out": "pass" },
  "interfaces": { "lan": { "device": "$2", "mode": "$3" }, "wan": { "device": "wan", "mode": "$4" } },
  "rules": [
    { "name": "to self", "action": "pass", "direction": "in", "protocol": "icmp", "destination": { "address": "self" } },
    { "name": "not to it", "action": "block", "direction": "in", "interface": "wan", "destination": { "address": "lan_vip" } },
    { "name": "out", "action": "pass", "direction": "in", "interface": "lan", "destination": { "address": ["!self"] } }
  ],
  "nat": [ { "type": "snat", "interface": "wan", "source": { "address": "192.0.2.0/24" }, "translate_to": "wan_vip" } ],
  "vips": {
    "lan_vip": { "interface": "lan", "address": "$LAN_VIP/24", "vhid": 1, "advskew": $5, "fast_ms": 100, "password_file": "$FL_TMP/carp.key" },
    "spare_vip": { "interface": "lan", "address": "192.0.2.101/24", "vhid": 2, "independent": true, "preempt": false, "password_file": "$FL_TMP/carp.key" },
    "wan_vip": { "interface": "wan", "address": "$WAN_VIP/24", "vhid": 1, "advskew": $5, "fast_ms": 100, "password_file": "$FL_TMP/carp.key" }
  }
}
JSON
}

# of NODE VIP KEY: what `show vips` says
of() {
	fl "$1" --json show vips | json "[r for r in d if r['name'] == '$2'][0]['$3']"
}

role_is() {
	[ "$(of "$1" "$2" role)" = "$3" ]
}

roles_are() {
	role_is "$1" lan_vip "$2" && role_is "$1" wan_vip "$2"
}

# why NODE VIP EVENT: the reason of the last one
why() {
	fl "$1" --json show events --kind vip | json "[e['reason'] for e in d if (e['name'], e['event']) == ('$2', '$3')][-1]"
}

# becomes NODE ROLE [OTHER-ROLE]: of both; and the other node
becomes() {
	local other=right
	[ "$1" = left ] || other=left
	check "$1 is $2" slowwait 15 roles_are "$1" "$2" || fl "$1" show vips
	[ -z "${3:-}" ] || check "$other is $3" slowwait 15 roles_are "$other" "$3"
}

pings() {
	in_ns "$host" ping -nqc 1 -W 1 "$1" > /dev/null 2>&1
}

# Through it and to it, by the vips alone: net knows no way to the host
carries() {
	check "to the vip" slowwait 10 pings "$LAN_VIP"
	check "by the vips" slowwait 10 pings "$NET"
	check_match "the virtual MAC" "$(ip -n "$host" neigh show "$LAN_VIP")" "00:00:5e:00:01:01"
	check_match "there too" "$(ip -n "$net" neigh show "$WAN_VIP")" "00:00:5e:00:01:01"
}

has_address() {
	ip -n "$1" -o addr show to "$2" | grep -q .
}

starts() {
	daemon_start left "$left" "$FL_TMP/left.json" || return
	becomes left master
	daemon_start right "$right" "$FL_TMP/right.json" || return
	becomes right backup
	carries
	check_equal "the master's address" "$(of right lan_vip master)" 192.0.2.1
	check_equal "its own" "$(of left lan_vip master)" 192.0.2.1
	check_equal "keys" "$(fl left --json show vips | json '[k for k in ("name interface address vhid role since_ms advskew demotion master "
		"last_advert_ms adverts_sent adverts_received adverts_bad not_ready").split() if k not in d[0]]')" "[]"
	check_match "a rule that none needs" "$(fl left show rules)" "CARP"
	check_match "of what kind" "$(fl right show interfaces)" "lan +lan +tc"
}

# One of them, then all
disables() {
	check "disabled" fl left vip disable wan_vip
	check "at once" role_is left wan_vip disabled
	check "by another" slowwait 15 role_is right wan_vip master
	check_equal "that waits for no advert either" "$(why right wan_vip "backup -> master")" "203.0.113.1 gives them up"
	check "the other is as it was" role_is left lan_vip master
	check_match "logged" "$(cat "$FL_TMP/left.log")" "carp: wan 1: state transition: MASTER -> INIT"
	check_match "in status" "$(fl left status)" "vip wan_vip: disabled by hand"
	check "all" fl left vip disable
	check_match "told of all" "$(fl left show events --kind vip)" "vip all: disabled: by hand$"
	becomes left disabled master
	carries
	check "all again" fl left vip enable
	becomes left master backup
	check_match "a name that is none" "$(fl left vip disable wan_vp 2>&1)" 'did you mean "wan_vip"'
}

# All of them, those too that move by themselves and that the other node would not take from a master
hands_all_over() {
	check "on" fl left vip maintenance on
	becomes right master backup
	check "the independent one, too" slowwait 5 role_is right spare_vip master
	check "off" fl left vip maintenance off
	becomes left master backup
	check "which stays there" role_is right spare_vip master
	check "until that gives it up" fl right vip disable spare_vip
	check "here again" slowwait 5 role_is left spare_vip master
	check_equal "at once: no advert was waited for" "$(why left spare_vip "backup -> master")" "192.0.2.2 gives them up"
	check "as before" fl right vip enable spare_vip
}

# It stays over a restart, as what is disabled does. With nobody to take over not one packet is lost when the daemon is killed, and when one starts
maintains() {
	local ping
	check "disabled" fl left vip disable spare_vip
	check "on" fl left vip maintenance on
	becomes right master backup
	check_equal "behind all" "$(of left lan_vip advskew)" 254
	carries
	daemon_kill right TERM
	becomes left master
	carries
	in_ns "$host" ping -nqc 1000 -i 0.01 -W 2 "$NET" > "$FL_TMP/ping" 2>&1 &
	ping=$!
	daemon_kill left
	daemon_start left "$left" "$FL_TMP/left.json" || return
	kill -INT "$ping"
	wait "$ping"
	check_match "none is lost" "$(cat "$FL_TMP/ping")" " 0% packet loss"
	becomes left master
	check_equal "still" "$(of left lan_vip advskew)" 254
	check "still" role_is left spare_vip disabled
	check_match "in status" "$(fl left status)" "in maintenance"
	daemon_start right "$right" "$FL_TMP/right.json" || return
	becomes right master backup
	check "off" fl left vip maintenance off
	becomes left master backup
	check "enabled" fl left vip enable spare_vip
}

# A device that goes takes all vips with it, and they come back with it
loses_a_link() {
	ip -n "$left" link del br0
	becomes right master
	check_equal "the other's, too" "$(of left wan_vip role)" backup
	check_equal "why" "$(of left wan_vip demotion)" "{'link:lan': 240}"
	check_equal "until" "$(of left wan_vip demotion_ends)" "{'link:lan': 'its link is up'}"
	carries
	ip -n "$left" link add br0 up type bridge
	ip -n "$left" link set lan master br0
	ip -n "$left" addr add 192.0.2.1/24 dev br0
	becomes left master backup
	check_equal "no more" "$(of left wan_vip demotion)" "{}"
	carries
}

# As when DHCP gives none any more: what can't be told of has no place at either node alone
loses_an_address() {
	ip -n "$left" addr del 203.0.113.1/24 dev wan
	check "right has both" slowwait 15 roles_are right master
	check_equal "left has neither" "$(of left wan_vip role) $(of left lan_vip role)" "init backup"
	check_equal "why" "$(of left lan_vip demotion)" "{'address:wan': 240}"
	check_equal "until" "$(of left lan_vip demotion_ends)" "{'address:wan': 'its device has an address to send adverts from'}"
	check_match "since" "$(of left lan_vip demotion_since_ms)" "^\{'address:wan': [0-9]+\}$"
	check_equal "not so what is independent" "$(of left spare_vip demotion)" "{}"
	carries
	ip -n "$left" addr add 203.0.113.1/24 dev wan
	becomes left master backup
	check_equal "no more" "$(of left lan_vip demotion)" "{}"
	carries
}

loses_one_by_apply() {
	json '__import__("json").dumps({**d, "nat": [], "vips": {"lan_vip": d["vips"]["lan_vip"]}})' < "$FL_TMP/left.json" > "$FL_TMP/less.json"
	check "applied" fl left apply "$FL_TMP/less.json"
	check "it leaves" slowwait 15 role_is right wan_vip master
	check_not "its address" has_address "$left" "$WAN_VIP"
	check "the other is as it was" role_is left lan_vip master
	check "as before" fl left rollback
	becomes left master backup
}

unloads() {
	local out
	out=$(fl left unload --yes 2>&1)
	check_match "it says" "$out" "vip wan_vip: this node does not take part any more"
	check_not "its address" has_address "$left" "$LAN_VIP"
	check_equal "its MAC" "$(in_ns "$left" bridge fdb show | grep "00:00:5e:00:01.*self")" ""
	wait "${fl_daemon_pid[left]}" 2> /dev/null
	becomes right master
	daemon_kill right
	check "it has it still" has_address "$right" "$LAN_VIP"
	out=$(in_ns "$right" "$FL_BUILD/fairlead" --instance "$(instance right)" unload --yes 2>&1)
	check_match "without a daemon" "$out" "vip lan_vip: this node does not take part any more"
	check_not "its address" has_address "$right" "$LAN_VIP"
	check_equal "its MAC" "$(in_ns "$right" bridge fdb show | grep "00:00:5e:00:01.*self")" ""
}

set_up
run_test starts starts
run_test disables disables
run_test hands-all-over hands_all_over
run_test maintains maintains
run_test loses-a-link loses_a_link
run_test loses-an-address loses_an_address
run_test loses-one-by-apply loses_one_by_apply
run_test unloads unloads
teardown
finish
