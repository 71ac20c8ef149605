# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The lab: five namespaces, of which one is the router. Sourced after lib.sh.
#
#   lan            router                       wan                    broker                inet
#   eth0 ────── lan0    wan0 ────────── net0         net1 ─────── wan0       inet0 ─────── eth0
#   aa::80     aa::1    203.0.113.20   203.0.113.1  198.51.100.1  198.51.100.10  f::1     f::99
#                    he0 ═════════════ 6in4 in IPv4 ═════════════ tun6
#                    1::2                                         1::1
#
# IPv6 addresses stand for 2001:db8:…; the LAN's prefix is aa::/64, bb::/64 is the one that the broker routes to the router.
# IPv4 in the LAN: 192.0.2.80, router 192.0.2.1, routed by wan.

lan='' router='' wan='' broker='' inet='' # what the namespaces are really called
LAN_HOST=2001:db8:aa::80 LAN_ROUTER=2001:db8:aa::1 INET_HOST=2001:db8:f::99
WAN_ROUTER=203.0.113.20 BROKER=198.51.100.10
# shellcheck disable=SC2034 # for the scenarios
TUNNEL_ROUTER=2001:db8:1::2 TUNNEL_BROKER=2001:db8:1::1 WAN_NEXT=203.0.113.1
INTERNAL=2001:db8:aa::/64 EXTERNAL=2001:db8:bb::/64
LAB_LAN=${LAB_LAN:-lan0} LAB_WAN=${LAB_WAN:-wan0} # the router's devices

# veth NS DEVICE MAC NS DEVICE MAC: a cable
veth() {
	ip -n "$1" link add name "$2" address "$3" type veth peer name "$5" address "$6" netns "$4" &&
		ip -n "$1" link set dev "$2" up && ip -n "$4" link set dev "$5" up
}

# napi NS DEVICE: lets frames that XDP transmits into the other end of the cable arrive here
napi() {
	in_ns "$1" ethtool -K "$2" gro on > /dev/null
}

# wire NS DEVICE: what leaves here looks as on a real wire: cut to the MTU, checksums finished
wire() {
	in_ns "$1" ethtool -K "$2" tx off tso off gso off > /dev/null
}

forwarding() {
	in_ns "$1" sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
}

lab_up() {
	setup_ns lan router wan broker inet
	veth "$lan" eth0 02:00:00:00:01:80 "$router" "$LAB_LAN" 02:00:00:00:01:01
	veth "$router" "$LAB_WAN" 02:00:00:00:02:20 "$wan" net0 02:00:00:00:02:01
	veth "$wan" net1 02:00:00:00:03:01 "$broker" wan0 02:00:00:00:03:10
	veth "$broker" inet0 02:00:00:00:04:01 "$inet" eth0 02:00:00:00:04:99
	napi "$lan" eth0
	napi "$wan" net0
	napi "$wan" net1
	napi "$inet" eth0

	ip -n "$lan" addr add $LAN_HOST/64 dev eth0 nodad
	ip -n "$lan" addr add 192.0.2.80/24 dev eth0
	ip -n "$router" addr add $LAN_ROUTER/64 dev "$LAB_LAN" nodad
	ip -n "$router" addr add 192.0.2.1/24 dev "$LAB_LAN"
	ip -n "$router" addr add $WAN_ROUTER/24 dev "$LAB_WAN"
	ip -n "$wan" addr add 203.0.113.1/24 dev net0
	ip -n "$wan" addr add 198.51.100.1/24 dev net1
	ip -n "$broker" addr add $BROKER/24 dev wan0
	ip -n "$broker" addr add 2001:db8:f::1/64 dev inet0 nodad
	ip -n "$inet" addr add $INET_HOST/64 dev eth0 nodad

	ip -n "$lan" -6 route add default via $LAN_ROUTER
	ip -n "$lan" route add default via 192.0.2.1
	ip -n "$router" route add default via 203.0.113.1
	ip -n "$wan" route add 192.0.2.0/24 via $WAN_ROUTER
	ip -n "$broker" route add default via 198.51.100.1
	ip -n "$inet" -6 route add default via 2001:db8:f::1
	forwarding "$wan"
	forwarding "$broker"
}

# The broker's end, made of Python and TUN. Between wan and broker is a real wire then
broker_python() {
	wire "$wan" net1
	background "$broker" "$FL_PYTHON" "$FL_NET/sixin4.py" --local $BROKER --remote $WAN_ROUTER --tun tun6 "$@" > "$FL_TMP/sixin4.log"
	slowwait 10 grep -q ready "$FL_TMP/sixin4.log" || { fail "sixin4.py did not start"; return 1; }
	ip -n "$broker" link set dev tun6 up mtu 1480
	ip -n "$broker" addr add $TUNNEL_BROKER/64 dev tun6 nodad
	ip -n "$broker" -6 route add $EXTERNAL dev tun6
	ip -n "$broker" -6 route add $INTERNAL dev tun6
}

# The broker's end, made of a second fairlead in the role of the broker
broker_fairlead() {
	cat > "$FL_TMP/broker.json" <<-JSON
	{
		"node": { "name": "broker" },
		"default_action": "pass",
		"interfaces": {
			"wan": { "device": "wan0", "mode": "${1:-auto}" },
			"inet": { "device": "inet0", "mode": "${1:-auto}" }
		},
		"tunnels": {
			"tun6": {
				"type": "6in4", "underlay": "wan", "local": "$BROKER", "address": "$TUNNEL_BROKER/64",
				"clients": {
					"home": { "remote": "$WAN_ROUTER", "address": "$TUNNEL_ROUTER", "routes": ["$EXTERNAL"] }
				}
			}
		}
	}
	JSON
	daemon_start broker "$broker" "$FL_TMP/broker.json"
}

# router_config MODE: the router's configuration, in $FL_TMP/router.json
router_config() {
	cat > "$FL_TMP/router.json" <<-JSON
	{
		"node": { "name": "router" },
		"default_action": "pass",
		"interfaces": {
			"wan": { "device": "$LAB_WAN", "mode": "$1" },
			"lan": { "device": "$LAB_LAN", "mode": "$1" }
		},
		"tunnels": {
			"he0": {
				"type": "6in4", "underlay": "wan", "local": "$WAN_ROUTER", "remote": "$BROKER",
				"address": "$TUNNEL_ROUTER/64", "mss_clamp": false
			}
		},
		"gateways": { "he_gw": { "interface": "he0", "address": "$TUNNEL_BROKER", "monitor": false } },
		"routes": [ { "destination": "::/0", "gateway": "he_gw" } ],
		"prefix_translations": [
			{ "interface": "he0", "internal": "$INTERNAL", "external": "$EXTERNAL", "mode": "rfc6296" }
		]
	}
	JSON
}

# config_edit FILE STATEMENT: changes it by a Python statement in which the whole is called `d`
config_edit() {
	"$FL_PYTHON" -IS - "$1" "$2" <<-'PY'
	import json, sys
	d = json.load(open(sys.argv[1]))
	exec(sys.argv[2])
	json.dump(d, open(sys.argv[1], "w"), indent=2)
	PY
}

# router_start [STATEMENT]: with $FL_TMP/router.json, changed by the statement
router_start() {
	if [ $# -gt 0 ]; then
		config_edit "$FL_TMP/router.json" "$1"
	fi
	daemon_start router "$router" "$FL_TMP/router.json"
}

# lab_with MODE [STATEMENT]: lab, Python broker, router
lab_with() {
	lab_up && broker_python && router_config "$1" && router_start "${@:2}"
}

# outside ADDRESS: as the world sees it
outside() {
	"$FL_PYTHON" -c 'import sys; from rfc6296 import Translation
print(Translation(sys.argv[1], sys.argv[2]).outward(sys.argv[3]))' $INTERNAL $EXTERNAL "$1"
}

# modes FUNCTION: once in each mode; FL_MODES names others than all three
modes() {
	local mode
	for mode in ${FL_MODES:-native generic tc}; do
		test_group "$mode"
		"$1" "$mode"
		teardown
	done
}

# The tests that only start something: it must come up, else the round ends here
started() {
	run_test start "$@"
}

# pings NS ADDRESS [COUNT]: every one is answered. Once more while it is the machine that loses packets
pings() {
	local output lost
	for _ in 1 2 3; do
		lost=$(machine_lost)
		output=$(in_ns "$1" ping -6 -n -q -c "${3:-3}" -i 0.02 -W 2 "$2")
		echo "$output"
		grep -q ' 0% packet loss' <<< "$output" && return
		[ "$(machine_lost)" -gt "$lost" ] || return
	done
	return 1
}

ping_pid='' ping_lost=''

# pinging COUNT: from the LAN to the world, while other things happen
pinging() {
	ping_lost=$(machine_lost)
	in_ns "$lan" ping -6 -n -q -c "$1" -i 0.01 -W 2 "$INET_HOST" > "$FL_TMP/ping" 2>&1 &
	ping_pid=$!
}

# Each of these was answered, but for what the machine has lost meanwhile
none_lost() {
	local sent got lost
	wait "$ping_pid"
	read -r sent got < <(awk '/ packets transmitted, / { print $1, $4 }' "$FL_TMP/ping")
	lost=$(($(machine_lost) - ping_lost))
	if [ -n "$got" ] && [ "$got" -lt "$sent" ] && [ $((sent - got)) -le "$lost" ]; then
		echo "# $((sent - got)) of $sent pings are not answered; the machine has lost $lost packets meanwhile"
		return
	fi
	check_match "pings" "$(cat "$FL_TMP/ping")" ' 0% packet loss'
}

# LAN host's neighbour entry and the like are learned by the first packet
warm_up() {
	slowwait 10 in_ns "$lan" ping -6 -n -q -c 1 -W 1 $INET_HOST || fail "no answer from $INET_HOST at all"
}

# xdp_finished INTERFACE [INSTANCE]: how many of the packets that came in XDP has sent on itself
xdp_finished() {
	fl "${2:-router}" --json show interfaces | json "next(i['xdp_packets'] for i in d if i['name'] == '$1')"
}

# by_xdp MODE AT_LEAST INSTANCE INTERFACE...: so many came by XDP on each; where tc is asked for, none did
by_xdp() {
	local mode=$1 least=$2 instance=$3 interface n
	for interface in "${@:4}"; do
		n=$(xdp_finished "$interface" "$instance")
		if [ "$mode" = tc ]; then
			check_equal "packets of $interface that XDP finished" "$n" 0
		else
			[ "$n" -ge "$least" ] || fail "XDP finished only $n packets of $interface"
		fi
	done
}

# ---- floods: a LAN host sends without pause, and everything is looked at that the router puts on wan (flood.py) ----

flood_pid=

# flood_lab MODE: one destination is behind the tunnel, the others are routed by wan itself; the router's configuration, but no daemon
flood_lab() {
	lab_up && broker_python && router_config "$1" || return
	ip -n "$router" addr add 2001:db8:2::20/64 dev wan0 nodad
	ip -n "$wan" addr add 2001:db8:2::1/64 dev net0 nodad
	ip -n "$wan" addr add 2001:db8:77::99/128 dev lo nodad
	ip -n "$wan" addr add 198.18.7.7/32 dev lo
	ip -n "$wan" -6 route add 2001:db8:cc::/64 via 2001:db8:2::20
	ip -n "$router" -6 route add 2001:db8:77::/48 via 2001:db8:2::1
	config_edit "$FL_TMP/router.json" 'd["prefix_translations"].append({
		"interface": "wan", "internal": "2001:db8:aa::/64", "external": "2001:db8:cc::/64" })'
}

flood_start() {
	background "$lan" "$FL_PYTHON" "$FL_NET/flood.py" --lab "$FL_PREFIX" > "$FL_TMP/flood"
	flood_pid=$!
	slowwait 10 grep -q ready "$FL_TMP/flood" || fail "flood.py did not start"
}

# flood_end passing|silent: what came out meanwhile
flood_end() {
	local result
	stop_process "$flood_pid"
	result=$(tail -n 1 "$FL_TMP/flood")
	check_equal "leaks ($result)" "$(json 'd["leaks"]' <<< "$result")" 0
	check_equal "it sent ($result)" "$(json 'd["sent"] >= 128' <<< "$result")" True
	if [ "$1" = passing ]; then
		check_equal "it passed through the tunnel ($result)" "$(json 'd["tunnel"] >= 32' <<< "$result")" True
		check_equal "it passed by wan ($result)" "$(json 'd["plain"] >= 32' <<< "$result")" True
		check_equal "IPv4 passed ($result)" "$(json 'd["ipv4"] >= 32' <<< "$result")" True
	else
		check_equal "nothing passed ($result)" "$(json 'd["tunnel"] + d["plain"] + d["ipv4"]' <<< "$result")" 0
	fi
}

flood_passing() {
	slowwait 10 in_ns "$lan" ping -6 -n -q -c 1 -W 1 "$INET_HOST" || fail "nothing passes the tunnel"
	slowwait 10 in_ns "$lan" ping -6 -n -q -c 1 -W 1 2001:db8:77::99 || fail "nothing passes by wan"
	slowwait 10 in_ns "$lan" ping -n -q -c 1 -W 1 198.18.7.7 || fail "no IPv4 passes"
}
