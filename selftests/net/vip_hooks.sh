#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Scripts of vips, and the examples of configs/hooks with the services that they are for: a pair with Kea, radvd, OpenVPN and strongSwan of
# the distribution, each with the example's own configuration but for paths, before and after two failovers.
#
#   office 172.25.46.200 ──┐                     ┌── host 192.168.0.100
#                        br-wan (in host)      br-lan (in host)
#           a  eth0 172.25.46.101            eth1 192.168.0.11
#           b  eth0 172.25.46.102            eth1 192.168.0.12
#              wan_vip 172.25.46.100, vhid 1      lan_vip 192.168.0.10 fe80::10 2001:db8:aa::1, vhid 2

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../lab.sh"

a='' b='' host='' office=''
EXAMPLES=$FL_ROOT/configs/hooks
VMAC=00:00:5e:00:01:02
# AES-GCM is in a package of its own; and ESP in the kernel is not everywhere: the kernel-libipsec plugin does it
LESS_CIPHERS=(-e 's/remote_ts = .*/&\nesp_proposals = aes128-sha256/')

# ---- the world ----

# port NS DEVICE NUMBER BRIDGE: a cable to one of the bridges
port() {
	veth "$1" "$2" "02:00:00:00:0$4:$3" "$host" "p$4$3" "02:00:00:00:1$4:$3"
	ip -n "$host" link set "p$4$3" master "br$4"
}

node_config() {
	cat <<-JSON
	{
		"node": { "name": "$1" },
		"default_action": { "in": "block", "out": "pass" },
		"interfaces": { "wan": { "device": "eth0" }, "lan": { "device": "eth1" } },
		"rules": $("$FL_PYTHON" -c 'import json, sys
	rules = json.load(open(sys.argv[1]))["rules"]
	print(json.dumps([{ key: value for key, value in rule.items() if key != "disabled" } for rule in rules]))' "$FL_ROOT/configs/S4-a.json"),
		"vips": {
			"wan_vip": { "interface": "wan", "address": "172.25.46.100/24", "vhid": 1, "advskew": $2, "fast_ms": 50,
				     "password_file": "$FL_TMP/carp.key" },
			"lan_vip": { "interface": "lan", "address": ["192.168.0.10/24", "fe80::10/64", "2001:db8:aa::1/64"], "vhid": 2,
				     "advskew": $2, "fast_ms": 50, "password_file": "$FL_TMP/carp.key" }
		},
		"hooks": { "vip": ["$FL_TMP/$1/kea.sh", "$FL_TMP/$1/radvd.sh", "$FL_TMP/$1/openvpn.sh", "$FL_TMP/$1/strongswan.sh",
				   "$FL_TMP/$1/roles.sh"] }
	}
	JSON
}

# example NODE FILE TO SED...: a shipped file, with this lab's paths
example() {
	sed "${@:4}" -e "s|/var/lib/kea|$FL_TMP/$1|" -e "s|/etc/openvpn/server|$FL_TMP|" "$EXAMPLES/$2" > "$FL_TMP/$1/$3"
}

# Commands that begin a session of their own, as a service would; not with their own fork, which may come behind the end of the script
services() {
	local dir=$FL_TMP/$1
	cat > "$dir/service" <<-SH
	#!/bin/sh
	stop() {
		[ -s "$dir/\$1.pid" ] || return 0
		kill "\$(cat "$dir/\$1.pid")" 2> /dev/null
		while kill -0 "\$(cat "$dir/\$1.pid")" 2> /dev/null; do sleep 0.02; done
		rm -f "$dir/\$1.pid"
	}
	case \$1-\$2 in
	start-radvd) [ -s "$dir/radvd.pid" ] || setsid radvd --logmethod logfile --logfile "$dir/radvd.log" --pidfile "$dir/radvd.pid" --config "$dir/radvd.conf" ;;
	start-openvpn) [ -s "$dir/openvpn.pid" ] || setsid openvpn --config "$dir/openvpn.conf" --daemon --log-append "$dir/openvpn.log" --writepid "$dir/openvpn.pid" ;;
	start-charon)
		[ -s "$dir/charon.pid" ] && exit
		STRONGSWAN_CONF=$dir/strongswan.conf setsid charon-systemd >> "$dir/charon.log" 2>&1 < /dev/null &
		echo \$! > "$dir/charon.pid"
		i=0
		until [ -S "$dir/vici" ] || [ \$((i += 1)) -gt 200 ]; do sleep 0.05; done
		swanctl --load-all --noprompt --uri "unix://$dir/vici" --file "$dir/swanctl.conf" > /dev/null 2>&1
		;;
	stop-charon) stop charon; rm -f "$dir/vici" ;;
	stop-*) stop "\$2" ;;
	esac
	SH
	cat > "$dir/strongswan.conf" <<-CONF
	charon-systemd {
		load = random nonce aes sha1 sha2 hmac kdf gmp kernel-libipsec kernel-netlink socket-default vici updown
		retransmit_timeout = 0.5
		retransmit_base = 1
		retransmit_tries = 2
		plugins {
			vici { socket = unix://$dir/vici }
		}
		filelog { stderr { default = 1 } }
	}
	CONF
	chmod +x "$dir/service"
}

node_files() {
	local name=$1 dir=$FL_TMP/$1 file
	mkdir "$dir"
	node_config "$name" "$2" > "$dir/fairlead.json"
	for file in kea.sh radvd.sh radvd.conf radvd-goodbye.conf openvpn.sh strongswan.sh; do
		cp "$EXAMPLES/$file" "$dir/$file"
	done
	example "$name" swanctl.conf swanctl.conf "${LESS_CIPHERS[@]}"
	example "$name" openvpn.conf openvpn.conf -e "s/^CLIENT-FINGERPRINT/$(fingerprint client)/"
	if [ "$name" = a ]; then
		example a kea-dhcp4.conf kea.conf -e 's/192.168.0.199/192.168.0.100/'
	else
		example b kea-dhcp4.conf kea.conf -e 's/192.168.0.199/192.168.0.100/' -e '/NODE/ { s/primary"/x"/; s/"backup"/"primary"/; s/x"/backup"/
			s/"this-server-name": "pfSenseA"/"this-server-name": "pfSenseB"/ }'
	fi
	services "$name"
	mkdir "$dir/bin"
	printf '#!/bin/sh\nexec "%s" --instance "%s" "$@"\n' "$FL_BUILD/fairlead" "$(instance "$name")" > "$dir/bin/fairlead"
	chmod 755 "$dir/bin/fairlead"
	echo "URL=http://$3:8000/ PEER=http://$4:8000/" > "$dir/kea.env"
	printf 'START="%s start radvd" STOP="%s stop radvd"\n' "$dir/service" "$dir/service" > "$dir/radvd.env"
	printf 'START="%s start openvpn" STOP="%s stop openvpn"\n' "$dir/service" "$dir/service" > "$dir/openvpn.env"
	printf 'START="%s start charon" STOP="%s stop charon"\n' "$dir/service" "$dir/service" > "$dir/strongswan.env"
	# shellcheck disable=SC2016 # for that shell
	printf '#!/bin/sh\necho "$FAIRLEAD_EVENT $FAIRLEAD_NODE $FAIRLEAD_VIP $FAIRLEAD_BEFORE>$FAIRLEAD_ROLE $FAIRLEAD_INTERFACE $FAIRLEAD_DEVICE %s: $FAIRLEAD_WHY" >> %s/roles\n' \
		'$FAIRLEAD_VHID $FAIRLEAD_MAC $FAIRLEAD_ADDRESSES' "$dir" > "$dir/roles.sh"
	chmod 755 "$dir/roles.sh"
}

certificate() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "/CN=$1" -keyout "$FL_TMP/$1.key" \
		-out "$FL_TMP/$1.crt" 2> /dev/null
}

fingerprint() {
	openssl x509 -fingerprint -sha256 -noout -in "$FL_TMP/$1.crt" | cut -d = -f 2
}

world() {
	setup_ns a b host office
	ip -n "$host" link add brw address 02:00:00:00:0f:01 type bridge
	ip -n "$host" link add brl address 02:00:00:00:0f:02 type bridge
	ip -n "$host" link set brw up
	ip -n "$host" link set brl up
	port "$a" eth0 11 w
	port "$a" eth1 11 l
	port "$b" eth0 12 w
	port "$b" eth1 12 l
	port "$office" eth0 20 w
	ip -n "$a" addr add 172.25.46.101/24 dev eth0
	ip -n "$a" addr add 192.168.0.11/24 dev eth1
	ip -n "$b" addr add 172.25.46.102/24 dev eth0
	ip -n "$b" addr add 192.168.0.12/24 dev eth1
	ip -n "$host" addr add 192.168.0.100/24 dev brl
	ip -n "$office" addr add 172.25.46.200/24 dev eth0
	ip -n "$office" addr add 10.77.0.1/32 dev lo
	install -m 600 /dev/stdin "$FL_TMP/carp.key" <<< secret
	certificate server
	certificate client
	node_files a 0 192.168.0.11 192.168.0.12
	node_files b 100 192.168.0.12 192.168.0.11
	clients
}

# ---- services that run on both nodes, and clients ----

kea() {
	nsenter --net=/run/netns/"${!1}" -- env KEA_PIDFILE_DIR="$FL_TMP/$1" KEA_LOCKFILE_DIR=none kea-dhcp4 -c "$FL_TMP/$1/kea.conf" \
		> "$FL_TMP/$1/kea.log" 2>&1 & # ended by its namespace: one that is stuck does not hear SIGTERM
	kea_b=$!
}

clients() {
	mkdir "$FL_TMP/office"
	sed -e "s|client\.|$FL_TMP/client.|; s/^SERVER-FINGERPRINT/$(fingerprint server)/" "$EXAMPLES/openvpn-client.conf" > "$FL_TMP/office/openvpn.conf"
	example office swanctl-client.conf swanctl.conf "${LESS_CIPHERS[@]}"
	services office
	# shellcheck disable=SC2016 # for that shell
	printf '#!/bin/sh\necho "$1 $ip $router $serverid" >> %s/dhcp\n' "$FL_TMP" > "$FL_TMP/udhcpc.sh"
	chmod +x "$FL_TMP/udhcpc.sh"
	touch "$FL_TMP/dhcp" "$FL_TMP/ra"
	python_in_ns "$host" vip_hooks.py brl > "$FL_TMP/ra" &
	fl_pids+=($!)
}

both_start() {
	world
	kea a
	kea b
	daemon_start a "$a" "$FL_TMP/a/fairlead.json" && daemon_start b "$b" "$FL_TMP/b/fairlead.json" || return
	check "a is master" slowwait 5 roles_are a master master
	check "b is backup" slowwait 5 roles_are b backup backup
	background "$host" busybox udhcpc -f -i brl -s "$FL_TMP/udhcpc.sh" -t 3 -T 1 -A 1 > /dev/null 2>&1
	dhcp_client=$!
	in_ns "$office" "$FL_TMP/office/service" start openvpn
	in_ns "$office" "$FL_TMP/office/service" start charon > /dev/null
}

roles_are() {
	[ "$(fl "$1" --json show vips | json '" ".join(v["role"] for v in d)')" = "$2 $3" ]
}

# ---- what is asked of each service ----

# advertised SINCE CONDITION: an advertisement since then of which that Python expression is true
advertised() {
	"$FL_PYTHON" -IS - "$FL_TMP/ra" "$@" <<-'PY'
	import json, sys
	for line in open(sys.argv[1]):
	    a = json.loads(line) if line.endswith("\n") else {"t": 0}
	    if a["t"] > float(sys.argv[2]) and eval(sys.argv[3], {}, a):
	        sys.exit(0)
	sys.exit(1)
	PY
}

dhcp_count() {
	grep -cx "$1 192.168.0.100 192.168.0.10 192.168.0.10" "$FL_TMP/dhcp"
}

dhcp_count_above() {
	[ "$(dhcp_count "$1")" -gt "$2" ]
}

# The lease, as that node's Kea knows it
lease_at() {
	in_ns "${!1}" curl --silent --max-time 2 -H 'Content-Type: application/json' \
		--data '{ "command": "lease4-get", "arguments": { "ip-address": "192.168.0.100" } }' "http://$2:8000/" | grep -q '"ip-address": "192.168.0.100"'
}

through_openvpn() {
	in_ns "$office" ping -n -q -c 1 -W 1 10.8.0.1
}

through_ipsec() {
	in_ns "$office" ping -n -q -c 1 -W 1 -I 10.77.0.1 192.168.0.10
}

dhcp_works() {
	check "a lease, the shared address as router and server" slowwait 10 dhcp_count_above bound 0 ||
		fail "$(cat "$FL_TMP/dhcp"; tail -n 5 "$FL_TMP"/?/kea.log)"
	check "a knows the lease" slowwait 5 lease_at a 192.168.0.11
	check "b knows it too" slowwait 5 lease_at b 192.168.0.12
	check_equal "the example's check" "$(in_ns "$a" "$FL_ROOT/configs/checks/kea.sh" "$FL_TMP/a/kea.env")" "1 leases, the same on both nodes"
	echo "URL=http://192.168.0.11:8000/ PEER=http://192.168.0.99:8000/" > "$FL_TMP/cut-off.env"
	check_not "the example's check without the other node" in_ns "$a" "$FL_ROOT/configs/checks/kea.sh" "$FL_TMP/cut-off.env"
	check_equal "amid a drill that has cut it off" \
		"$(in_ns "$a" env FAIRLEAD_SCENARIO=power "$FL_ROOT/configs/checks/kea.sh" "$FL_TMP/cut-off.env")" \
		"1 leases here; the other node's Kea is cut off by the drill"
}

# As Kea's own unit runs it, without a variable
kea_by_itself() {
	in_ns "${!1}" env -i PATH="$FL_TMP/$1/bin:$PATH" "$FL_TMP/$1/kea.sh"
}

answers_number() {
	grep -c "Received command '$2'" "$FL_TMP/$1/kea.log"
}

# The standby's Kea comes back without a lease, and would answer
kea_returns() {
	local enabled
	kill -KILL "$kea_b"
	wait "$kea_b" 2> /dev/null
	rm "$FL_TMP"/b/kea-leases4.csv*
	kea b
	check "Kea is up again, and empty" slowwait 5 empty_at b 192.168.0.12
	check_not "the example's check" in_ns "$a" "$FL_ROOT/configs/checks/kea.sh" "$FL_TMP/a/kea.env"
	check "the script by itself" kea_by_itself b
	check "it has fetched what it had missed" lease_at b 192.168.0.12 || fail "$(tail -n 5 "$FL_TMP/b/kea.log")"
	check_equal "and does not answer" "$(answers_number b dhcp-disable) $(answers_number b dhcp-enable)" "1 0"
	enabled=$(answers_number a dhcp-enable)
	check "the script by itself, on the master" kea_by_itself a
	check_equal "which answers" "$(answers_number a dhcp-enable)" $((enabled + 1))
}

empty_at() {
	in_ns "${!1}" curl --silent --max-time 2 -H 'Content-Type: application/json' --data '{ "command": "lease4-get-all" }' "http://$2:8000/" |
		grep -q '"result": 3'
}

radvd_works() {
	check "advertised" slowwait 5 advertised 0 \
		'source == "fe80::10" and lifetime == 1800 and mac == ether == "'"$VMAC"'" and checksum' || fail "$(tail -n 5 "$FL_TMP/ra" "$FL_TMP"/?/radvd.log)"
}

openvpn_works() {
	check "OpenVPN" slowwait 10 through_openvpn || fail "$(tail -n 25 "$FL_TMP"/*/openvpn.log)"
}

ipsec_works() {
	check "IPsec" slowwait 10 through_ipsec || fail "$(grep -v -e KNL -e INFORMATIONAL "$FL_TMP"/*/charon.log | tail -n 30)"
}

# told NODE LINES: what roles.sh has been told of lan_vip: BEFORE>ROLE, …
told() {
	sed -n 's/.* lan_vip \([a-z]*>[a-z]*\) .*/\1/p' "$FL_TMP/$1/roles" | tr '\n' ' '
}

first_roles() {
	check_match "a" "$(told a)" '^(>init init>backup|>backup) backup>master $'
	check_match "b" "$(told b)" '^(>init init>backup|>backup) $'
	check_match "all variables" "$(cat "$FL_TMP/a/roles")" \
		'^vip a lan_vip backup>master lan eth1 2 00:00:5e:00:01:02 192\.168\.0\.10/24 fe80::10/64 2001:db8:aa::1/64: no advert has come for too long$'
}

# ---- failovers ----

# moves TO SECONDS: everything works at that node
moves() {
	local to=$1 began=$2 renewed
	check "$to is master" slowwait 5 roles_are "$to" master master
	check "advertised at once" slowwait 2 advertised "$began" 'source == "fe80::10" and lifetime == 1800 and mac == "'"$VMAC"'"'
	renewed=$(dhcp_count renew)
	kill -USR1 "$dhcp_client"
	check "renewed" slowwait 5 dhcp_count_above renew "$renewed" || fail "$(cat "$FL_TMP/dhcp")"
	check "not begun anew" dhcp_count_is bound 1
	openvpn_works
	ipsec_works
	check_not "never a goodbye from the shared address" advertised 0 'source == "fe80::10" and not lifetime'
}

dhcp_count_is() {
	[ "$(dhcp_count "$1")" = "$2" ]
}

maintenance() {
	local began=$EPOCHREALTIME own
	own=$(ip -n "$a" -6 -br addr show dev eth1 scope link | grep -o 'fe80:[^/]*' | grep -v '^fe80::10$')
	check "maintenance" fl a vip maintenance on
	moves b "$began"
	check "goodbye" slowwait 3 advertised "$began" 'source == "'"$own"'" and lifetime == 0' || fail "$(cat "$FL_TMP/ra")"
	check "no other radvd" check_not "radvd" test -e "$FL_TMP/a/radvd.pid"
}

# All of b is gone at once
power_loss() {
	local began=$EPOCHREALTIME
	ip -n "$host" link set pw12 down # a may be told of this one, and be quicker than the next
	ip -n "$host" link set pl12 down
	kill_in_ns "$b"
	moves a "$began"
}

# ---- the daemon's own beginning and end ----

restarts() {
	local before
	before=$(told a)
	daemon_kill a KILL
	daemon_start a "$a" "$FL_TMP/a/fairlead.json" || return
	check "master again" slowwait 5 roles_are a master master
	check "told" slowwait 5 told_is a "$before>master "
	before=$(told a)
	daemon_kill a TERM
	check_equal "told of the end" "$(told a)" "${before}master>init "
	check_equal "what ran has ended" "$(cd "$FL_TMP/a" && ls openvpn.pid charon.pid radvd.pid 2> /dev/null)" ""
}

told_is() {
	[ "$(told "$1")" = "$2" ]
}

if started both_start; then
	run_test first-roles first_roles
	run_test kea dhcp_works
	run_test kea-returns kea_returns
	run_test radvd radvd_works
	run_test openvpn openvpn_works
	run_test strongswan ipsec_works
	run_test maintenance maintenance
	run_test power-loss power_loss
	run_test restarts restarts
fi
for name in "${fl_names[@]}"; do
	kill_in_ns "$name"
done
teardown
finish
