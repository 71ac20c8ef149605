#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What is to leave by a VPN never leaves in clear text, whatever dies: two rules, one that sends by the VPN's gateway and is skipped while that
# is down, and one that blocks and logs. The VPN is a real one (OpenVPN). And a cellular link as the second tier of the default route.
#
#   lan  10.0.1.51, 2001:db8:aa::51  ── lan0  router  wan0 203.0.113.2 ── wan: 203.0.113.254, probed at 198.51.100.1 ── vps 198.51.100.10
#   dmz  10.0.2.50                   ── dmz0          lte0 198.18.5.2  ── lte: 198.18.5.1, probed at 198.51.100.2 ───── vps
#                                                     tun0 10.8.0.2    ══ OpenVPN ═════════════════════════ 10.8.0.1 ══ vps
#
# All but the LAN may go out by the providers, and all is translated there: only the two rules are between a protected host and the world.
# What "the world" answers as, 198.51.100.99 and 2001:db8:f::99, can be reached by each of the three ways.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../lab.sh"

dmz='' lte='' vps=''
declare -A count=()
vpn_pid='' server_pid=''

# ---- the lab ----

# provider NS DEVICE NUMBER ROUTER4 NEXT4 ROUTER6 NEXT6: a link to the world; vps hangs on it, too
provider() {
	veth "$router" "$2" "02:00:00:00:0$3:02" "$1" net0 "02:00:00:00:0$3:01"
	veth "$1" net1 "02:00:00:00:1$3:01" "$vps" "$1" "02:00:00:00:1$3:10"
	napi "$1" net0
	ip -n "$router" addr add "$4/24" dev "$2"
	ip -n "$router" addr add "$6/64" dev "$2" nodad
	ip -n "$1" addr add "$5/24" dev net0
	ip -n "$1" addr add "$7/64" dev net0 nodad
	ip -n "$1" addr add "192.168.$3.1/24" dev net1
	ip -n "$1" addr add "fd00:$3::1/64" dev net1 nodad
	ip -n "$vps" addr add "192.168.$3.10/24" dev "$1"
	ip -n "$vps" addr add "fd00:$3::10/64" dev "$1" nodad
	ip -n "$1" route add default via "192.168.$3.10"
	ip -n "$1" -6 route add default via "fd00:$3::10"
	ip -n "$vps" route add "$4" via "192.168.$3.1"
	ip -n "$vps" -6 route add "$6" via "fd00:$3::1"
	forwarding "$1"
}

# inside NS DEVICE NUMBER HOST4 NETWORK4 HOST6 NETWORK6: whom nobody but the tests' program listens for, so the router is told his MAC
inside() {
	veth "$1" eth0 "02:00:00:00:0$3:50" "$router" "$2" "02:00:00:00:0$3:01"
	napi "$1" eth0
	ip -n "$router" addr add "$5.2/24" dev "$2"
	ip -n "$router" addr add "$7::2/64" dev "$2" nodad
	ip -n "$router" neigh add "$4" lladdr "02:00:00:00:0$3:50" dev "$2"
	ip -n "$router" neigh add "$6" lladdr "02:00:00:00:0$3:50" dev "$2"
}

kill_lab() {
	setup_ns lan dmz router wan lte vps
	inside "$lan" lan0 1 10.0.1.51 10.0.1 2001:db8:aa::51 2001:db8:aa
	inside "$dmz" dmz0 2 10.0.2.50 10.0.2 2001:db8:ab::50 2001:db8:ab
	provider "$wan" wan0 3 203.0.113.2 203.0.113.254 2001:db8:3::2 2001:db8:3::1
	provider "$lte" lte0 5 198.18.5.2 198.18.5.1 2001:db8:5::2 2001:db8:5::1
	ip -n "$wan" addr add 198.51.100.1/32 dev net0
	ip -n "$lte" addr add 198.51.100.2/32 dev net0
	ip -n "$vps" addr add 198.51.100.10/32 dev lo
	ip -n "$vps" addr add 198.51.100.99/32 dev lo
	ip -n "$vps" addr add 2001:db8:f::99/128 dev lo nodad
	ip -n "$router" -6 route add default via 2001:db8:3::1
}

# certificate NAME: made now, trusted by its fingerprint
certificate() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "/CN=$1" \
		-keyout "$FL_TMP/$1.key" -out "$FL_TMP/$1.crt" 2> /dev/null
	openssl x509 -in "$FL_TMP/$1.crt" -noout -fingerprint -sha256 | sed 's/.*=//'
}

# vpn NS NAME OPTION...: an end of the VPN, in the background
vpn() {
	background "$1" openvpn --dev-type tun --dev "$2" --proto udp4 --port 1194 --topology subnet --cert "$FL_TMP/$2.crt" \
		--key "$FL_TMP/$2.key" --dh none --disable-dco --verb 3 "${@:3}" >> "$FL_TMP/$2.log" 2>&1
}

vpn_server() {
	server_print=$(certificate tuns)
	client_print=$(certificate tun0)
	vpn "$vps" tuns --local 198.51.100.10 --server 10.8.0.0 255.255.255.0 --server-ipv6 fd00:8::/64 --peer-fingerprint "$client_print"
	server_pid=$!
}

vpn_start() {
	vpn "$router" tun0 --client --remote 198.51.100.10 --peer-fingerprint "$server_print"
	vpn_pid=$!
}

vpn_kill() {
	kill -KILL "$vpn_pid"
	wait "$vpn_pid" 2> /dev/null
}

kill_config() {
	cat > "$FL_TMP/router.json" <<-JSON
	{
		"node": { "name": "router" },
		"interfaces": {
			"lan": { "device": "lan0", "mode": "$1" }, "dmz": { "device": "dmz0", "mode": "$1" },
			"wan": { "device": "wan0", "mode": "$1" }, "lte": { "device": "lte0", "mode": "$1" },
			"vpn": { "device": "tun0" }
		},
		"gateways": {
			"WAN_PRIMARY": { "interface": "wan", "address": "203.0.113.254", "monitor": { "targets": ["198.51.100.1"],
				"interval_ms": 100, "loss_interval_ms": 400, "period_ms": 1000, "alert_interval_ms": 200 } },
			"WAN_LTE": { "interface": "lte", "address": "198.18.5.1", "metered": true, "monitor": { "targets": ["198.51.100.2"],
				"interval_ms": 100, "loss_interval_ms": 400, "period_ms": 1000, "idle_interval_ms": 1000 } },
			"VPN_GW": { "interface": "vpn", "monitor": { "targets": ["10.8.0.1"], "interval_ms": 200, "loss_interval_ms": 500,
				"period_ms": 2000, "down_after": 3, "up_after": 2 } }
		},
		"gateway_groups": {
			"WAN_FAILOVER": { "trigger": "loss-or-latency", "failback": "drain", "members": [
				{ "gateway": "WAN_PRIMARY", "tier": 1 }, { "gateway": "WAN_LTE", "tier": 2 } ] }
		},
		"routes": [ { "destination": "0.0.0.0/0", "gateway": "WAN_FAILOVER" } ],
		"aliases": { "LAN_SUBNETS": ["10.0.1.0/24", "2001:db8:aa::/64"] },
		"default_action": { "in": "block", "out": "pass" },
		"rules": [
			{ "name": "through the VPN", "action": "pass", "quick": true, "direction": "in", "interface": "lan",
			  "source": { "address": "\$LAN_SUBNETS" }, "destination": { "address": "any" }, "route_to": "VPN_GW", "when_down": "skip" },
			{ "name": "kill switch", "action": "block", "quick": true, "direction": "in", "interface": "lan",
			  "source": { "address": "\$LAN_SUBNETS" }, "destination": { "address": "any" }, "log": true },
			{ "name": "all others go out", "action": "pass", "direction": "in", "interface": ["lan", "dmz"] },
			{ "name": "answers to OpenVPN", "action": "pass", "direction": "in", "interface": ["wan", "lte"], "protocol": "udp",
			  "source": { "address": "198.51.100.10", "port": 1194 } }
		],
		"nat": [
			{ "type": "snat", "interface": ["wan", "lte", "vpn"], "source": { "address": "any" }, "translate_to": "interface" }
		]
	}
	JSON
	cp "$FL_TMP/router.json" "$FL_TMP/other.json"
	config_edit "$FL_TMP/other.json" 'd["rules"].insert(0, { "name": "another", "action": "block", "direction": "in", "interface": "dmz" })
d["nat"].append(d["nat"][0]); d["gateways"]["SPARE"] = { "interface": "lte", "address": "198.18.5.9", "monitor": False }'
}

kill_start() {
	kill_lab && kill_config "$1" && vpn_server && router_start || return
	rm -f "$FL_TMP/counts" # of the mode before
	"$FL_PYTHON" "$FL_NET/killswitch.py" --lab "$FL_PREFIX" --counts "$FL_TMP/counts" --leaks "$FL_TMP/leaks" &
	fl_pids+=($!)
	slowwait 10 test -e "$FL_TMP/counts" || fail "killswitch.py did not start"
}

# ---- what has been counted ----

counted() {
	local name number
	while read -r name number; do
		count[$name]=$number
	done < "$FL_TMP/counts"
}

# sum PATTERN: of all counters that it matches
sum() {
	local name total=0
	for name in "${!count[@]}"; do
		# shellcheck disable=SC2053 # a pattern
		[[ $name == $1 ]] && total=$((total + count[$name]))
	done
	echo "$total"
}

# all_rise COUNTER...: each by three at least, of what is sent from now on, within six seconds
all_rise() {
	local -A before=()
	local name
	counted
	for name in "$@"; do
		before[$name]=${count[$name]:-0}
	done
	slowwait 6 rise_by_three "$@" && return
	for name in "$@"; do
		[ $((count[$name] - before[$name])) -ge 3 ] || fail "$name: $((count[$name] - before[$name])) since six seconds"
	done
}

rise_by_three() {
	local name
	counted
	for name in "$@"; do
		[ $((count[$name] - before[$name])) -ge 3 ] || return 1
	done
}

pass_by_vpn() {
	all_rise answered-{udp,flow,parts,tcp,ping,dns}{4,6} wan-tunnel
}

# The counter of the kill switch
blocked() {
	fl router --json show rules | json 'sum(r["packets"] or 0 for r in d if r["name"] == "kill switch")'
}

# no_leak: they have sent, the world was there, and none of theirs was seen
no_leak() {
	check_equal "leaks" "$(head -n 5 "$FL_TMP/leaks")" ""
}

have_sent() {
	counted
	[ "$(sum 'sent-*')" -gt "$1" ]
}

# held SECONDS: so long nothing is answered, and who may go out does
held() {
	local answered sent open
	sleep 0.2 # what was on its way, and counters that are older
	counted
	answered=$(sum 'answered-*[46]') sent=$(sum 'sent-*') open=${count[answered-open]}
	sleep "$1"
	slowwait 10 have_sent "$((sent + 20))" || fail "the hosts have not sent: $(($(sum 'sent-*') - sent))"
	[ "${count[answered-open]}" -gt "$open" ] || fail "nothing of the DMZ has passed: the world was not there"
	check_equal "answers to protected hosts" "$(($(sum 'answered-*[46]') - answered))" 0
	no_leak
}

# The rule is skipped: the block counts what is sent
is_blocking() {
	local before
	before=$(blocked)
	promptly 4 blocks_more_than $((before + 10)) || fail "the kill switch counted $before, and then $(blocked): $(fl router show gateways)"
}

blocks_more_than() {
	[ "$(blocked)" -gt "$1" ]
}

# daemon_again COMMAND...: without the daemon, then another one comes
daemon_again() {
	daemon_kill router
	"$@"
	daemon_start router "$router" "$FL_TMP/router.json"
}

# ---- the tests ----

vpn_up() {
	vpn_start
	pass_by_vpn
	all_rise wan-open answered-open
	no_leak
}

killed() {
	vpn_kill
	is_blocking
	held 0.5
	check_match "in the log" "$(fl router log --last 1 --rule 'kill switch')" 'block in'
	daemon_again held 0.2
	is_blocking
	held 0.3
}

killed_without_a_daemon() {
	daemon_again vpn_killed_and_held
	is_blocking
	held 0.3
}

# For longer than the programs take to see that there is no daemon
vpn_killed_and_held() {
	vpn_kill
	held 1.6
}

back() {
	vpn_start
	pass_by_vpn
	no_leak
}

set_down() {
	ip -n "$router" link set dev tun0 down
	is_blocking
	held 0.3
	daemon_again held 0.3
	held 0.3
	ip -n "$router" link set dev tun0 up
	vpn_kill
	back
}

removed() {
	ip -n "$router" link del dev tun0
	is_blocking
	held 0.3
	vpn_kill
	daemon_again vpn_start
	pass_by_vpn
	no_leak
}

silent() {
	kill -STOP "$server_pid"
	is_blocking
	held 0.3
	daemon_again held 0.3
	held 0.3
	kill -CONT "$server_pid"
	pass_by_vpn
	no_leak
}

carries_without_a_daemon() {
	daemon_again pass_by_vpn
	no_leak
}

# While another configuration is put in force over and over, the VPN dies, and comes back
reloaded() {
	local reloading
	reload 10 &
	reloading=$!
	sleep 0.5
	vpn_kill
	held 1
	vpn_start
	wait "$reloading"
	check_equal "applied" "$(cat "$FL_TMP/reload")" ""
	pass_by_vpn
	# what the programs remember of all these tables is not taken for the next daemon's
	vpn_kill
	daemon_again true
	is_blocking
	no_leak
}

reload() {
	local i
	for ((i = 0; i < $1; i += 2)); do
		fl router apply "$FL_TMP/other.json" > "$FL_TMP/apply" 2>&1 || cat "$FL_TMP/apply"
		fl router apply "$FL_TMP/router.json" > "$FL_TMP/apply" 2>&1 || cat "$FL_TMP/apply"
	done > "$FL_TMP/reload"
}

# ---- the cellular link ----

# probed SECONDS: probes on the cellular link in that time
probed() {
	local before
	counted
	before=${count[lte-probes]}
	sleep "$1"
	counted
	echo $((count[lte-probes] - before))
}

# idle_interval_ms is 1000, interval_ms is 100
rare() {
	local n
	sleep 1.2 # a tick of the daemon
	n=$(probed 2.5)
	[[ $n -ge 1 && $n -le 4 ]] || fail "$n probes on the idle cellular link in 2.5 s, expected 2 or 3"
}

has_moved() {
	fl router show events | grep -q 'WAN_FAILOVER: moved: [1-9].* IPv4 connections by WAN_PRIMARY ended'
}

# Every third probe of the first link is lost: not down, but more than its loss_pct
lossy() {
	local n
	in_ns "$wan" nft -f - <<-NFT
	table ip lossy {
		chain in {
			type filter hook input priority 0;
			icmp type echo-request numgen inc mod 3 0 drop
		}
	}
	NFT
	all_rise lte-open answered-open
	check_equal "the first link is up, and lossy" "$(fl router --json show gateways |
		json '[(g["status"], g["loss_pct"] > 10) for g in d if g["name"] == "WAN_PRIMARY"]')" "[('warn', True)]"
	check_equal "who carries" "$(fl router --json show groups | json 'd[0]["active"]')" "['WAN_LTE']"
	slowwait 5 has_moved || fail "connections by the first link are not ended"
	sleep 1 # a tick of the daemon
	n=$(probed 1)
	[ "$n" -ge 7 ] || fail "$n probes on the cellular link in a second while it carries, expected 10"
	no_leak
}

clean() {
	in_ns "$wan" nft delete table ip lossy
	all_rise wan-open answered-open
	no_leak
}

# Two gateways, one target
shared_target() {
	cp "$FL_TMP/router.json" "$FL_TMP/shared.json"
	config_edit "$FL_TMP/shared.json" 'd["gateways"]["WAN_LTE"]["monitor"]["targets"] = ["198.51.100.1"]'
	check_not "no warning without" grep -q "when it does not answer" <<< "$("$FL_BUILD/fairlead" check "$FL_TMP/router.json" 2>&1)"
	check_match "the warning" "$("$FL_BUILD/fairlead" check "$FL_TMP/shared.json" 2>&1)" \
		'"198.51.100.1" is probed for the gateway "WAN_[A-Z]+" too: when it does not answer, both are down'
}

# What a gateway is does not depend on how packets come; so the second mode has only what is harshest
scenario() {
	started kill_start "$1" || return
	run_test vpn-up vpn_up
	if [ "$1" = native ]; then
		run_test killed killed
		run_test back back
		run_test set-down set_down
		run_test removed removed
		run_test carries-without-a-daemon carries_without_a_daemon
	fi
	run_test silent silent
	run_test killed-without-a-daemon killed_without_a_daemon
	run_test back-again back
	run_test reloaded reloaded
	run_test cellular-idle rare
	run_test cellular-carries lossy
	run_test cellular-idle-again clean
	run_test shared-target shared_target
}

# the tunnel is tc in both
FL_MODES=${FL_MODES:-native}
modes scenario
finish
