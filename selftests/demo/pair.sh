# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Two routers as one: the addresses and devices of configs/S4-a.json and S4-b.json. A switch is a bridge in a namespace of its own.

PAIR_HOSTS=(office lanswitch a b wanswitch world)
WORLD_HOST=198.51.100.1
FLA='fairlead --instance demo-a' FLB='fairlead --instance demo-b'

# ---- its lab ----

# segment SWITCH NAME DEVICE [HOST]: the cables to both routers' DEVICE, and to a host's eth0
pair_segment() {
	local port
	ip -n "demo-$1" link add name bridge type bridge mcast_snooping 0 && ip -n "demo-$1" link set dev bridge up || return 1
	cable a "$2" "$1" to-a && cable b "$2" "$1" to-b && cable "$3" eth0 "$1" "to-$3" || return 1
	for port in to-a to-b "to-$3"; do
		ip -n "demo-$1" link set dev "$port" master bridge || return 1
	done
}

pair_addresses() {
	address a eth0 172.25.46.101/24 &&
		address b eth0 172.25.46.102/24 &&
		address a eth1 192.168.0.11/24 &&
		address b eth1 192.168.0.12/24 &&
		address office eth0 192.168.0.50/24 &&
		address world eth0 172.25.46.1/24 &&
		address world lo $WORLD_HOST/32 &&
		ip -n demo-office route add default via 192.168.0.10
}

pair_lab_up() {
	hosts "${PAIR_HOSTS[@]}" &&
		pair_segment wanswitch eth0 world &&
		pair_segment lanswitch eth1 office &&
		pair_addresses
}

# The shipped configurations, with keys of this run, adverts each 10 ms, and no hooks: what those tell is not installed here
pair_files() {
	local node
	printf 'demo\n' > "$DEMO_DIR/carp.key"
	"$build/fairlead" keygen > "$DEMO_DIR/sync.key"
	chmod 600 "$DEMO_DIR"/*.key
	for node in a b; do
		sed -z "s#,\n  \"hooks\": {[^}]*}##; s#/etc/fairlead/\(carp\|sync\)\.key#$DEMO_DIR/\1.key#g; s#\"advbase_s\": 1#\"fast_ms\": 10#g" \
			"$root/configs/S4-$node.json" > "$DEMO_DIR/$node.json"
	done
}

# ---- its steps ----

pair_drawing() {
	cat <<-TEXT

	${bold}Two routers as one: shared addresses (CARP), states and configuration replicated${off}

	                                 ${green}fairlead${off}
	                               ┌───────────┐
	    LAN host             .11 ┌─┤     a     ├─┐ .101         "internet"
	    ┌────────┐               │ └───────────┘ │              ┌───────┐
	    │ office ├────── .10 ────┤   ${green}fairlead${off}    ├──── .100 ────┤ world │
	    └────────┘               │ ┌───────────┐ │              └───────┘
	      192.168.0.50       .12 └─┤     b     ├─┘ .102       172.25.46.1, 198.51.100.1
	                               └───────────┘

	    .10 and .100 belong to whoever of the two is master. What the office sends leaves with .100 (NAT).
	TEXT
}

pair_lab() {
	step 'Six more hosts: two of them are switches'
	pair_lab_up > "$DEMO_DIR/output" 2>&1 || { cat "$DEMO_DIR/output"; die "the lab can't be built"; }
	pair_files
	run office 'ip -br addr show dev eth0; ip route'
}

# until_roles A B: ten seconds for them to be so
until_roles() {
	local _
	for _ in {1..100}; do
		if [ "$(roles "$FLA") $(roles "$FLB")" = "$1 $1 $2 $2" ]; then
			return
		fi
		sleep 0.1
	done
	wrong "after ten seconds a is not $1, or b is not $2"
}

# roles FAIRLEAD: those of wan_vip and lan_vip there
roles() {
	$1 --json show vips 2> /dev/null | /usr/bin/python3 -c 'import json, sys
print(*(vip["role"] for vip in json.load(sys.stdin)))'
}

pair_start() {
	step 'Two configurations, and two daemons' \
		'They are copies of configs/S4-a.json and S4-b.json, but with keys of this lab, without hooks, and with an advert each 10 ms.'
	STATUS=1 run a "diff $DEMO_DIR/a.json $DEMO_DIR/b.json"
	run a "fairleadd --instance demo-a -c $DEMO_DIR/a.json"
	run b "fairleadd --instance demo-b -c $DEMO_DIR/b.json"
	until_roles master backup
	run a "$FLA status"
	expect '^OK$' 'the status is not OK'
	run b "$FLB show vips"
	expect '^lan_vip .* backup' 'b is not backup'
	run office "ping -q -c 5 -i 0.2 $WORLD_HOST"
	expect ' 0% packet loss' 'pings were lost'
}

# The office's users for some four seconds: a transfer, and a ping each 10 ms
users() {
	local transfer=(transfer.py tcp demo-office demo-world $WORLD_HOST 50000000 --mbit 100)
	prompt office "${transfer[*]} & ping -q -c 300 -i 0.01 $WORLD_HOST &"
	/usr/bin/python3 "$root/selftests/net/${transfer[0]}" "${transfer[@]:1}" > "$DEMO_DIR/transfer" 2>&1 &
	sending=$!
	in_host office ping -q -c 300 -i 0.01 $WORLD_HOST > "$DEMO_DIR/ping" 2>&1 &
	pinging=$!
	sleep 0.5
}

# users_saw MOST: what came of it; how many pings were lost is in $lost, and more than MOST are wrong
users_saw() {
	say '' 'And the users:' ''
	wait $pinging || wrong 'ping has failed'
	wait $sending || wrong 'what arrived is not what was sent'
	grep transmitted "$DEMO_DIR/ping" | cat - "$DEMO_DIR/transfer" | print
	lost=$(($(sed -nE 's/^([0-9]+) packets transmitted, ([0-9]+) received.*/\1 - \2/p' "$DEMO_DIR/ping")))
	[ $lost -le "$1" ] || wrong "$lost pings were lost"
}

# A machine whose CPUs are not there for 20 ms loses an address that is told each 10 ms, by its lease: hence more than none
planned() {
	step 'Maintenance at a: the other one takes over'
	users
	run a "$FLA vip maintenance on"
	until_roles backup master
	run b "$FLB show vips"
	run a "$FLA vip maintenance off"
	until_roles master backup
	users_saw 10
	good "There and back, and $lost packets were lost."
}

unplanned() {
	step 'Power loss at a: its cables are dead, its daemon is gone'
	users
	prompt a 'kill -9 its daemon, and pull both cables'
	kill -9 "$(cat /run/fairlead/demo-a.lock)"
	ip -n demo-lanswitch link set dev to-a down
	ip -n demo-wanswitch link set dev to-a down
	users_saw 50
	good "The connection went on at b, which had its state. Without an answer were $lost pings: $lost times 10 ms."
	STATUS=1 run b "$FLB status"
}


returned() {
	step 'a comes back: first it gets what it has missed, then it takes the addresses again'
	ip -n demo-lanswitch link set dev to-a up
	ip -n demo-wanswitch link set dev to-a up
	users
	run a "fairleadd --instance demo-a -c $DEMO_DIR/a.json"
	until_roles master backup
	run a "$FLA show sync"
	users_saw 10
}

# A rule more, given to the primary only
replicated() {
	step 'One configuration for both: what the primary applies, the other one has too'
	sed 's#"rules": \[#&\n    { "name": "ssh", "action": "pass", "quick": true, "direction": "in", "interface": "wan",\n      "protocol": "tcp", "destination": { "address": "wan_vip", "port": 22 } },#' \
		"$DEMO_DIR/a.json" > "$DEMO_DIR/new.json"
	STATUS=1 run a "diff $DEMO_DIR/a.json $DEMO_DIR/new.json"
	run a "$FLA apply $DEMO_DIR/new.json"
	run b "$FLB show rules"
	expect 'ssh' 'b has not got the rule'
	run b "$FLB sync diff"
}

pair_unload() {
	step 'And away again'
	run a "$FLA unload --yes"
	run b "$FLB unload --yes"
	run b 'bpftool net show; ip -br addr'
	! grep -qE 'fl_|192.168.0.10/|172.25.46.100/' <<< "$output" || wrong 'something is left'
}

pair_part() {
	pair_drawing
	pair_lab
	pair_start
	planned
	unplanned
	returned
	replicated
	[ "${KEEP:-0}" != 0 ] || pair_unload
}
