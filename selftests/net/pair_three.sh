#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Three daemons that share an address, of which one is in maintenance: it is behind both others, whatever fails of them.
#
#	left, middle, right: lan 192.0.2.1, .2, .3, sync 172.16.255.1, .2, .3; left is the best of them, then middle; the address is 192.0.2.100
# shellcheck source=selftests/lib.sh disable=SC2154 # set by setup_ns
. "$(dirname "$0")/../lib.sh"

NODES=(left middle right)

set_up() {
	local i
	setup_ns left middle right switch
	ip -n "$switch" link add lan up type bridge
	ip -n "$switch" link add sync up type bridge
	(umask 077 && echo love > "$FL_TMP/password" && "$FL_BUILD/fairlead" keygen > "$FL_TMP/key")
	for i in 1 2 3; do
		plug "${NODES[i - 1]}" lan "192.0.2.$i"
		plug "${NODES[i - 1]}" sync "172.16.255.$i"
		configure "${NODES[i - 1]}" "$i" $((100 * (i - 1)))
	done
}

# plug NODE DEVICE ADDRESS
plug() {
	ip link add "$1-$2" netns "$switch" type veth peer name "$2" netns "${!1}"
	ip -n "$switch" link set "$1-$2" master "$2" up
	ip -n "${!1}" addr add "$3/24" dev "$2"
	ip -n "${!1}" link set "$2" up
}

# configure NODE NUMBER ADVSKEW. Nobody preempts
configure() {
	local peers
	peers=$(printf '"172.16.255.%s"\n' 1 2 3 | grep -v "\.$2\"" | paste -sd ,)
	cat > "$FL_TMP/$1.json" << EOF
{
  "node": { "name": "$1" },
  "default_action": "pass",
  "interfaces": { "lan": { "device": "lan" }, "sync": { "device": "sync" } },
  "vips": { "lan_vip": { "interface": "lan", "address": "192.0.2.100/24", "vhid": 7, "fast_ms": 100, "preempt": false,
                         "password_file": "$FL_TMP/password" } },
  "ha": { "interface": "sync", "local": "172.16.255.$2", "peers": [$peers], "key_file": "$FL_TMP/key", "advskew": $3,
          "sync_states": false }
}
EOF
}

# vip NODE KEY
vip() {
	fl "$1" --json show vips | json "d[0]['$2']"
}

# Who has it, of those whose daemon lives
masters() {
	local node
	for node in "${NODES[@]}"; do
		! kill -0 "${fl_daemon_pid[$node]}" 2> /dev/null || [ "$(vip "$node" role)" != master ] || echo "$node"
	done
}

only() {
	[ "$(masters)" = "$1" ]
}

# stays NODE MS: it has had it for so long
stays() {
	only "$1" && [ "$(vip "$1" since_ms)" -ge "$2" ]
}

# behind NODE: others, by its maintenance
behind() {
	[ "$(vip "$1" demotion)" = "{'maintenance': 1000000}" ]
}

starts() {
	local node
	for node in "${NODES[@]}"; do
		daemon_start "$node" "${!node}" "$FL_TMP/$node.json" || return
	done
	check "the best of them" slowwait 5 only left
}

leaves() {
	check "on" fl left vip maintenance on
	check "the next" slowwait 2 only middle
	check "told" behind left
	check "until" [ "$(vip left demotion_ends)" = "{'maintenance': '\`fairlead vip maintenance off\`, or no other node can have the address'}" ]
}

# Its adverts can't be sent any more
a_demoted_one() {
	in_ns "$middle" nft "add table netdev fl_test; add chain netdev fl_test out { type filter hook egress device lan priority 0; };
		add rule netdev fl_test out ip protocol 112 drop"
	check "the third" slowwait 3 only right
	check "left is behind" behind left
	daemon_kill right TERM
	check "the one that is demoted" slowwait 3 only middle
	check "why" [ "$(vip middle demotion)" = "{'send:lan': 240}" ]
	check "and it stays so" slowwait 6 stays middle 4000
	check "behind that one" behind left
}

nobody_else() {
	check "disabled" fl middle vip disable
	check "left has it" slowwait 3 only left
	check "behind nobody" [ "$(vip left demotion)" = "{}" ]
	check "enabled" fl middle vip enable
	check "not any more" slowwait 3 only middle
	ip -n "$middle" link set lan down
	check "without a link" slowwait 2 only left
	ip -n "$middle" link set lan up
	check "not any more" slowwait 3 only middle
	check "on there, too" fl middle vip maintenance on
	check "who is demoted further is behind" slowwait 3 only left
	daemon_start right "$right" "$FL_TMP/right.json" || return
	check "who is in none is not" slowwait 5 only right
	daemon_kill right
	check "the better one" slowwait 3 only left
}

set_up
run_test starts starts
run_test leaves leaves
run_test a-demoted-one a_demoted_one
run_test nobody-else nobody_else
teardown
finish
