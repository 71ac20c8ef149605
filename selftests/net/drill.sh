#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# fairlead drill on two nodes with real packets: what it measures, that it refuses what can't be measured, and that everything is as it was
# after it, also when it is killed in the midst.
#
#   host ── LAN switch ── a, b ── WAN switch ── outside
#                         a ── b (sync)

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../drilllab.sh"

LAN_VIP=192.0.2.100 WAN_VIP=203.0.113.100 OUTSIDE=203.0.113.9
a='' b='' host='' outside='' switch=''

# port NS DEVICE BRIDGE ADDRESS: a cable from there to a switch
port() {
	local peer=$1-$2
	peer=p$(md5sum <<< "$peer" | cut -c1-10)
	ip -n "$1" link add name "$2" type veth peer name "$peer" netns "$switch"
	ip -n "$switch" link set "$peer" master "$3" up
	in_ns "$switch" ethtool -K "$peer" gro on > /dev/null
	ip -n "$1" addr add "$4" dev "$2"
	ip -n "$1" link set "$2" up
}

config() {
	cat > "$FL_TMP/$1.json" <<-JSON
	{
		"node": { "name": "$1" },
		"interfaces": {
			"wan": { "device": "wan0" }, "lan": { "device": "lan0" }, "sync": { "device": "sync0" }
		},
		"default_action": "pass",
		"gateways": { "isp": { "interface": "wan", "address": "$OUTSIDE", "monitor": { "interval_ms": 200 } } },
		"nat": [ { "type": "snat", "interface": "wan", "source": { "address": "192.0.2.0/24" }, "translate_to": "wan_vip" } ],
		"vips": {
			"wan_vip": {
				"interface": "wan", "address": "$WAN_VIP/24", "vhid": 1, "fast_ms": 50,
				"password_file": "$FL_TMP/carp.key"
			},
			"lan_vip": {
				"interface": "lan", "address": "$LAN_VIP/24", "vhid": 2, "fast_ms": 50,
				"password_file": "$FL_TMP/carp.key"
			}
		},
		"ha": {
			"interface": "sync", "local": "172.16.255.$2", "peers": ["172.16.255.$((3 - $2))"],
			"key_file": "$FL_TMP/sync.key", "advskew": $3
		},
		"log": { "events": "none" },
		"checks": [ { "name": "who has it", "command": ["$FL_TMP/check"], "when": ["drill"] } ],
		"drill": { "targets": ["$OUTSIDE:$PORT"], "from": "monitor@host", "max_gap_ms": 1500, "max_lost_flows": 0 }
	}
	JSON
}

# Runs while the other node has the addresses
own_check() {
	cat > "$FL_TMP/check" <<-SH
	#!/bin/sh
	"$FL_BUILD/fairlead" --instance "$(instance b)" --json show vips | grep -q '"role": "master"' && echo "\$FAIRLEAD_EVENT \$FAIRLEAD_SCENARIO b"
	SH
	chmod +x "$FL_TMP/check"
}

lab() {
	local name
	setup_ns a b host outside switch
	for name in lan wan; do
		ip -n "$switch" link add name "$name" type bridge
		ip -n "$switch" link set "$name" up
	done
	port "$a" lan0 lan 192.0.2.1/24
	port "$b" lan0 lan 192.0.2.2/24
	port "$host" eth0 lan 192.0.2.80/24
	port "$a" wan0 wan 203.0.113.1/24
	port "$b" wan0 wan 203.0.113.2/24
	port "$outside" eth0 wan "$OUTSIDE/24"
	ip -n "$a" link add name sync0 type veth peer name sync0 netns "$b"
	ip -n "$a" addr add 172.16.255.1/30 dev sync0
	ip -n "$b" addr add 172.16.255.2/30 dev sync0
	ip -n "$a" link set sync0 up
	ip -n "$b" link set sync0 up
	ip -n "$host" route add default via "$LAN_VIP"
	printf 'love\n' > "$FL_TMP/carp.key"
	"$FL_BUILD/fairlead" keygen > "$FL_TMP/sync.key"
	chmod 600 "$FL_TMP"/*.key
	fake_ssh
	own_check
	server
	config a 1 0
	config b 2 100
	daemon_start a "$a" "$FL_TMP/a.json" && daemon_start b "$b" "$FL_TMP/b.json" || return
	slowwait 10 settled || fail "the nodes don't find each other: $(fl a show sync; fl a show vips; fl b show vips)"
}

# and whether they may take over
roles() {
	fl "$1" --json show vips | json '[v["role"] + v["not_ready"] for v in d]'
}

settled() {
	[ "$(roles a)" = "['master', 'master']" ] && [ "$(roles b)" = "['backup', 'backup']" ] &&
		[ "$(fl a --json show sync | json 'd[0]["connected"]')" = True ] && fl a status && fl b status
}

# passes SCENARIO [ARGUMENT...]: and no connection is lost
passes() {
	passes_at a "$@"
}

# passes_at NODE SCENARIO [ARGUMENT...]: begun there
passes_at() {
	drill_at "$@" || fail "drill at $* has failed: $(cat "$FL_TMP/drill.err" "$FL_TMP/result")"
	shift
	check_equal "what it says" "$(of_result '(d["scenario"], d["result"], d["restored"], d["flows_held"], d["flows_reset"], d["reasons"])')" \
		"('$1', 'passed', True, 4, 0, [])"
	check_equal "what was sent" "$(of_result 'd["sent"] > 200')" True
	check_equal "the masters" "$(roles a)" "['master', 'master']"
}

# refuses TEXT ARGUMENT...: it is not begun, and says why
refuses() {
	local text=$1
	shift
	check_not "$*" drill "$@"
	check_equal "what it says" "$(of_result 'd["result"]')" refused
	check_match "why" "$(of_result '" ".join(d["reasons"])')" "$text"
}

# with_vpn NODE: its configuration has an interface that only a script could make
with_vpn() {
	sed 's#"sync": {#"vpn": { "device": "vpn0", "present": "master" }, &#; s#"log": {#"hooks": { "vip": ["/bin/true"] }, &#' "$FL_TMP/$1.json" > "$FL_TMP/$1.vpn.json"
	check "$1 takes it" fl "$1" apply "$FL_TMP/$1.vpn.json"
}

# What is started where the addresses are counts there only
only_the_masters() {
	with_vpn a
	with_vpn b
	refuses 'a is not well: interface vpn: there is no device vpn0' maintenance
	check_equal "reasons" "$(of_result 'len(d["reasons"])')" 1
	check "a as before" fl a rollback
	check "b as before" fl b rollback
	slowwait 10 settled || fail "not as before"
}

bad_baselines() {
	local path=$PATH
	check_not "no such scenario" drill maintenence
	check_match "why" "$(cat "$FL_TMP/drill.err")" 'did you mean "maintenance"'
	refuses 'no interface is named "lam"; did you mean "lan"' lan-link --target lam
	fl b vip disable lan_vip > "$FL_TMP/out"
	refuses 'b: lan_vip is disabled by hand' maintenance
	fl b vip enable > "$FL_TMP/out"
	slowwait 10 settled || fail "not as before"
	fl b vip maintenance on > "$FL_TMP/out"
	refuses 'b is in maintenance; .fairlead vip maintenance off' maintenance
	check_equal "what is said twice" "$(of_result 'len(d["reasons"]) - len(set(d["reasons"]))')" 0
	fl b vip maintenance off > "$FL_TMP/out"
	slowwait 10 settled || fail "not as before"
	PATH=${path#"$FL_TMP"/bin:}
	PATH=$FL_TMP/other:$PATH refuses 'monitor@host can.t be reached: ssh: nobody is there' maintenance
	PATH=$path
	check_not "not confirmed" fl a drill maintenance < /dev/null
	check_equal "nobody was disturbed" "$(roles a)" "['master', 'master']"
}

# Nobody hears of it: what was sent is answered
hands_over() {
	passes maintenance --report "$FL_TMP/report.json"
	check_equal "gap" "$(of_result 'd["gap_ms"] < 200')" True
	check "the report" cmp <(json d < "$FL_TMP/report.json") <(json d < "$FL_TMP/result")
	check_equal "the check of one's own" "$(of_result '[(c["check"], c["result"], c["finding"]) for c in d["checks"]]')" \
		"[('who has it', 'ok', 'drill maintenance b')]"
	check_equal "kept" "$(cat /var/lib/fairlead/"$(instance a)"/drill/*-maintenance.json | json 'd["result"]')" passed
	check_match "told at the other node" "$(fl b show events --kind drill)" 'maintenance: passed'
	check_equal "doctor there" "$(fl b --json doctor | json '[(r["result"], r["finding"]) for r in d if r["check"] == "drill"]')" \
		"[('ok', 'maintenance: passed, 0 days ago')]"
}

# One from each node: one of them is done
at_once() {
	local pid
	"$FL_BUILD/fairlead" --json --instance "$(instance b)" drill maintenance --yes > "$FL_TMP/other.json" 2> "$FL_TMP/other.err" &
	pid=$!
	drill maintenance
	wait "$pid"
	check_equal "results" "$(echo "[$(cat "$FL_TMP/result"), $(cat "$FL_TMP/other.json")]" | json 'sorted(r["result"] for r in d)')" \
		"['passed', 'refused']"
	check_match "why" "$(cat "$FL_TMP/result" "$FL_TMP/other.json")" 'another drill is under way at [ab], or was killed: it has the node for [0-9]+ s more'
}

# dies SCENARIO: its daemon is another one afterwards. Begun at the other node, which can be asked whether its checks are done
dies() {
	local before=${fl_daemon_pid[a]}
	passes_at b "$1"
	fl_daemon_pid[a]=$(cat /run/fairlead/"$(instance a)".lock)
	[ "${fl_daemon_pid[a]}" != "$before" ] || fail "the daemon is the same"
	check_equal "check at the node that has taken over" "$(of_result '[(c["result"], c["finding"]) for c in d["checks"]]')" "[('ok', 'drill $1 b')]"
	check_equal "taken over" "$(of_result '0 <= d["taken_over_ms"] < 1500 and d["no_master_ms"] > 0')" True
}

# What becomes of a's links from now on
watch_links() {
	background "$a" ip -o monitor link > "$FL_TMP/links"
	slowwait 5 tells_of_links || fail "nobody watches the links"
}

# It listens when it has told of one that is changed for it
tells_of_links() {
	ip -n "$a" link set lo down
	ip -n "$a" link set lo up
	grep -q ': lo: ' "$FL_TMP/links"
}

went_down() {
	stop_process "${fl_pids[-1]}"
	sed -nE 's/^(Deleted )?[0-9]+: ([a-z0-9]+)(@[^:]*)?: .* state DOWN .*/\2/p' "$FL_TMP/links" | grep -v '^lo$' | sort -u | tr '\n' ' '
}

# All of its links and its daemon at one moment: nobody hears a goodbye, and all is there again afterwards
loses_power() {
	ip -n "$a" route add 198.51.100.7/32 via 192.0.2.80
	ip -n "$a" -o route show > "$FL_TMP/routes"
	watch_links
	dies power
	check_equal "what went down" "$(went_down)" 'lan0 sync0 wan0 '
	slowwait 5 routes_are_back || fail "routes: $(ip -n "$a" -o route show)"
	ip -n "$a" route del 198.51.100.7/32
}

routes_are_back() {
	[ "$(ip -n "$a" -o route show | sort)" = "$(sort "$FL_TMP/routes")" ]
}

loses_wan() {
	local since
	since=$(date -u +%FT%TZ)
	watch_links
	passes wan-link
	check_equal "what went down" "$(went_down)" 'wan0 '
	check_equal "what it happened to" "$(of_result 'd["targets"]')" "['wan']"
	check_match "all moved" "$(fl b show events --since "$since" --kind vip)" 'lan_vip: backup -> master'
	check_equal "the link" "$(ip -n "$a" -o link show dev wan0 | grep -c LOWER_UP)" 1
}

# with_more NODE: two gateways to what is behind them, and events in syslog
with_more() {
	sed -e 's#"gateways": {#&"alt": { "interface": "wan", "address": "203.0.113.8", "monitor": { "interval_ms": 200 } },#' \
		-e 's#"nat":#"gateway_groups": { "OUT": { "members": [ { "gateway": "isp", "tier": 1 }, { "gateway": "alt", "tier": 2 } ] } }, &#' \
		-e 's#"nat":#"routes": [ { "destination": "198.18.0.0/24", "gateway": "OUT" } ], &#' \
		-e 's#"targets": \["[0-9.]*#"targets": ["198.18.0.1#' -e 's#"log": { "events": "none" }#"log": { "events": "syslog" }#' \
		"$FL_TMP/$1.json" > "$FL_TMP/$1.more.json"
	check "$1 takes it" fl "$1" apply "$FL_TMP/$1.more.json"
}

# The next member carries while the first is down; whose connections end, which is no fault
gateway_is_down() {
	ip -n "$outside" addr add 203.0.113.8/24 dev eth0
	ip -n "$outside" addr add 198.18.0.1/32 dev lo
	with_more a
	with_more b
	slowwait 10 settled || fail "not as it should be: $(fl a status; fl b status)"
	drill gateway-down || fail "drill gateway-down has failed: $(cat "$FL_TMP/drill.err" "$FL_TMP/result")"
	check_equal "what it says" "$(of_result '(d["result"], d["targets"], d["restored"], d["reasons"], d["leaks"], d["gap_ms"] < 1500)')" \
		"('passed', ['isp'], True, [], None, True)"
	check_equal "connections" "$(of_result '(d["flows_held"] + d["flows_reset"] >= 4, d["flows_reset"] > 0)')" '(True, True)'
	check_equal "who carried" "$(fl a show events --kind group | grep -oE 'carried by: [a-z]+' | tail -n 2 | tr '\n' ' ')" 'carried by: alt carried by: isp '
	check_equal "nobody holds it down" "$(fl a --json show gateways | json '[g["forced"] for g in d]')" '[None, None]'
}

# Both nodes tell of it, to syslog; one that does not fails it
alerts() {
	passes alert
	check_match "told there" "$(fl b show events --kind vip)" 'backup -> master'
	check "a as before" fl a rollback
	check "b as before" fl b rollback
	slowwait 10 settled || fail "not as before: $(fl a status; fl b status)"
	check_not "without syslog" drill alert
	check_match "why" "$(of_result 'd["reasons"]')" 'log.events is "none"'
}

# By hand: at once all is as before
called_off() {
	local pid
	"$FL_BUILD/fairlead" --json --instance "$(instance a)" drill sync-link --yes > "$FL_TMP/result" 2> "$FL_TMP/drill.err" &
	pid=$!
	slowwait 10 grep -q 'cable between the nodes' "$FL_TMP/drill.err" || fail "it did not begin: $(cat "$FL_TMP/drill.err")"
	sleep 1
	kill -INT "$pid"
	wait "$pid"
	check_equal "exit status" $? 1
	check_equal "what it says" "$(of_result '(d["result"], d["restored"])')" "('called off', True)"
	check_equal "none is kept" "$(find /var/lib/fairlead/"$(instance a)"/drill -name '*-sync-link.json')" ''
}

# What is not well when it is over is waited for, on either node; of the split brain itself status tells for a while
splits() {
	local pid
	drill split-brain &
	pid=$!
	slowwait 20 grep -q "don't hear each other" "$FL_TMP/drill.err" || fail "it did not begin: $(cat "$FL_TMP/drill.err")"
	fl b gateway down isp > "$FL_TMP/out"
	slowwait 20 grep -q 'waiting until' "$FL_TMP/drill.err" || fail "it did not end: $(cat "$FL_TMP/drill.err")"
	sleep 2
	fl b gateway auto isp > "$FL_TMP/out"
	wait "$pid"
	check_equal "it has passed" "$(of_result '(d["result"], d["restored"], d["flows_held"], d["reasons"])')" "('passed', True, 4, [])"
	check_equal "two masters, for a while" "$(of_result '300 < d["dual_master_ms"] < 20000')" True
	check_equal "how long until all was well" "$(of_result '2000 < d["sync_ms"] < 60000')" True
	check_match "told" "$(fl b show events --kind vip)" 'split-brain'
}

of_kernel() {
	ip -n "$a" -o addr show dev lan0 scope global | sed 's/ *valid_lft.*//'
	ip -n "$a" route show table all dev lan0
	ip -n "$a" -6 route show table all dev lan0 | grep -v multicast
	ip -n "$a" neigh show nud permanent dev lan0
}

link_is() {
	ip -n "$a" -o link show dev lan0 | grep -q "$1"
}

as_it_was() {
	link_is LOWER_UP && settled && [ "$(of_kernel)" = "$(cat "$FL_TMP/kernel")" ]
}

# The program that has ordered it dies while the cable is pulled; one that comes then is refused
nothing_stays() {
	local pid
	ip -n "$a" addr add 2001:db8:2::1/64 dev lan0 nodad
	ip -n "$a" route add 198.51.100.0/24 via 192.0.2.80
	ip -n "$a" -6 route add 2001:db8:5::/48 via 2001:db8:2::80
	ip -n "$a" neigh add 192.0.2.99 lladdr 02:00:00:00:00:99 dev lan0 nud permanent
	slowwait 10 settled || fail "not as before"
	of_kernel > "$FL_TMP/kernel"
	"$FL_BUILD/fairlead" --instance "$(instance a)" drill lan-link --yes > "$FL_TMP/out" 2>&1 &
	pid=$!
	slowwait 10 link_is 'state DOWN' || fail "nothing was done: $(cat "$FL_TMP/out")"
	refuses 'another drill is under way at a' --target isp gateway-down
	kill -KILL "$pid"
	wait "$pid" 2> /dev/null
	slowwait 10 as_it_was || fail "not as it was: $(of_kernel)"
	check_match "taken over meanwhile" "$(fl b show events --kind vip)" 'lan_vip: backup -> master'
}

in_maintenance() {
	[ "$(fl a --json show vips | json 'd[0]["advskew"]')" = 254 ]
}

undone_events() {
	fl a show events --kind drill | grep -c 'undone: what was to undo it was ended'
}

told_undone() {
	[ "$(undone_events)" -gt "$1" ]
}

# ends_without SCENARIO COMMAND...: what is to undo it is killed when the command tells that it is done
ends_without() {
	local pid before
	before=$(undone_events)
	"$FL_BUILD/fairlead" --json --instance "$(instance a)" drill "$1" --yes > "$FL_TMP/result" 2> "$FL_TMP/drill.err" &
	pid=$!
	slowwait 10 "${@:2}" || fail "nothing was done: $(cat "$FL_TMP/drill.err")"
	kill -KILL "$(cat /run/fairlead/"$(instance a)".fault.lock)"
	wait "$pid"
	check_equal "exit status" $? 1
	check_equal "what it says" "$(of_result '(d["result"], d["restored"])')" "('failed', True)"
	check_equal "why, but for the check, which came too late" "$(of_result '[r for r in d["reasons"] if "who has it" not in r]')" \
		"['a: what was to undo it was ended before it had']"
	slowwait 5 told_undone "$before" || fail "events: $(fl a show events --kind drill)"
}

# The daemon sees to it
undone_all_the_same() {
	ends_without lan-link link_is 'state DOWN'
	check "as it was" as_it_was
	ends_without maintenance in_maintenance
	check "as it was" as_it_was
	check_equal "nothing is left" "$(find /run/fairlead -name "$(instance a).fault.saved")" ''
}

# A drill that was killed has reserved both nodes for some minutes, and its probe runs as long
release_all() {
	rm -rf /run/fairlead/"$FL_PREFIX"-*.drill.lock "$FL_TMP"/fairlead-probe.*
}

run_test lab lab || finish
run_test bad-baselines bad_baselines
run_test only-the-masters only_the_masters
run_test maintenance hands_over
run_test two-at-once at_once
run_test kill-daemon dies kill-daemon
run_test failback dies failback
run_test power loses_power
run_test wan-link loses_wan
run_test called-off called_off
run_test killed-in-the-midst nothing_stays
release_all
run_test killed-what-undoes-it undone_all_the_same
run_test gateway-down gateway_is_down
run_test alert alerts
run_test split-brain splits
teardown
finish
