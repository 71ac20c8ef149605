#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# fairlead drill with the shipped configs/S5-*.json, their hooks and their checks, begun at either node. The VPN is a real one (OpenVPN), which
# configs/hooks/openvpn.sh starts where the shared addresses are; what the host that measures asks for goes by it. The lab is that of s5lab.sh, with
# a cellular link at each node.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../lab.sh"
. "$(dirname "$0")/../pairlab.sh"
. "$(dirname "$0")/../s5lab.sh"
. "$(dirname "$0")/../drilllab.sh"

PORT=443
FROM=monitor@10.0.1.50
OPENVPN=(openvpn --dev tun0 --proto udp4 --lport 1194 --secret "$FL_TMP/vpn.key" --cipher AES-256-CBC --ping 1)

# lte NODE NUMBER: a device without Ethernet header, as a modem has it, to the world's 198.51.100.2
lte() {
	local ns=${!1}
	ip -n "$ns" link add name modem type veth peer name "modem-$1" netns "$isp"
	ip -n "$ns" addr add "100.65.$2.2/30" dev modem
	ip -n "$isp" addr add "100.65.$2.1/30" dev "modem-$1"
	ip -n "$ns" link set modem up
	ip -n "$isp" link set "modem-$1" up
	modem "$ns" wwan0 "100.65.$2" 2 1 "$2"
	modem "$isp" "lte-$1" "100.65.$2" 1 2 "$2"
}

# modem NS DEVICE NETWORK OWN OTHER NUMBER: an end of that link
modem() {
	background "$1" openvpn --dev "$2" --dev-type tun --proto udp4 --lport 1200 --secret "$FL_TMP/vpn.key" --cipher AES-256-CBC \
		--ifconfig "100.66.$6.$4" "100.66.$6.$5" --local "$3.$4" --remote "$3.$5" 1200 > /dev/null
}

# What systemd would do with the unit
vpn_service() {
	cat > "$1/openvpn" <<-SH
	#!/bin/sh
	stop() {
		[ -s $1/pid ] || return 0
		kill "\$(cat $1/pid)" 2> /dev/null
		while kill -0 "\$(cat $1/pid)" 2> /dev/null; do sleep 0.02; done
		rm -f $1/pid
	}
	stop
	[ "\$1" = stop ] || setsid ${OPENVPN[*]} --ifconfig 10.8.0.2 10.8.0.1 --local 203.0.113.1 --remote 203.0.113.254 1194 --daemon --writepid $1/pid
	SH
	chmod +x "$1/openvpn"
}

# As much of Kea as hooks/kea.sh and checks/kea.sh ask
kea() {
	background "$1" "$FL_PYTHON" -c '
import http.server
class Kea(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = b"[ { \"result\": 0, \"arguments\": { \"leases\": [ { \"ip-address\": \"10.0.1.77\" } ] } } ]"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args): pass
http.server.ThreadingHTTPServer(("0.0.0.0", 8000), Kea).serve_forever()'
}

# etc NODE NUMBER: what a user has in /etc/fairlead, in a directory of the test's, and the programs that examples call
etc() {
	local dir=$FL_TMP/etc-$1 file=$FL_TMP/$3
	mkdir -p "$dir/bin"
	cp -r "$FL_ROOT/configs/hooks" "$FL_ROOT/configs/checks" "$dir"
	sed -i "s#/etc/fairlead#$dir#g" "$dir"/*/*.sh "$file"
	sed -i "2i PATH=$dir/bin:\$PATH" "$dir"/checks/*.sh "$dir"/hooks/*.sh
	printf '#!/bin/sh\nexec "%s" --instance "%s" "$@"\n' "$FL_BUILD/fairlead" "$(instance "$1")" > "$dir/bin/fairlead"
	printf '#!/bin/sh\ngrep -o "carp: .*: state transition: .*" "%s" | tail -n 1\n' "$FL_TMP/$1.log" > "$dir/bin/journalctl"
	chmod +x "$dir"/bin/*
	vpn_service "$dir"
	echo "START='$dir/openvpn start' STOP='$dir/openvpn stop'" > "$dir/hooks/openvpn.env"
	echo "PEER=http://10.0.1.$((5 - $2)):8000/" > "$dir/hooks/kea.env"
	kea "${!1}"
}

begin() {
	s5_world
	openvpn --genkey secret "$FL_TMP/vpn.key"
	lte a 1
	lte b 2
	ip -n "$isp" addr add 198.51.100.2/32 dev lo
	background "$isp" "${OPENVPN[@]}" --ifconfig 10.8.0.1 10.8.0.2 --local 203.0.113.254 --float > /dev/null
	host=$lan outside=$isp
	fake_ssh
	server
	etc a 2 S5-pri01.json
	etc b 3 S5-sec01.json
	daemon_start a "$a" "$FL_TMP/S5-pri01.json" && daemon_start b "$b" "$FL_TMP/S5-sec01.json" || return
	slowwait 30 settled || fail "not as it should be: $(fl a status; fl a show vips; fl a show gateways; fl b status; cat "$FL_TMP"/[ab].log)"
}

roles() {
	fl "$1" --json show vips | json '{v["role"] + v["not_ready"] for v in d}'
}

settled() {
	[ "$(roles a)" = "{'master'}" ] && [ "$(roles b)" = "{'backup'}" ] && fl a status && fl b status
}

# Somebody who takes what goes to syslog, in a /dev of this test's
syslog() {
	mkdir "$FL_TMP/dev"
	cp -a /dev/null /dev/zero /dev/random /dev/urandom "$FL_TMP/dev"
	background "$switch" "$FL_PYTHON" -c 'import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
while True: s.recv(8192)' "$FL_TMP/dev/log"
	slowwait 5 test -S "$FL_TMP/dev/log"
}

# doctor NODE: into $FL_TMP/doctor; its exit status is returned
doctor() {
	# shellcheck disable=SC2016 # for that shell
	unshare -m sh -c 'mount --bind "$1" /dev && exec "$2" --instance "$3" --json doctor' sh "$FL_TMP/dev" "$FL_BUILD/fairlead" "$(instance "$1")" \
		> "$FL_TMP/doctor" 2> "$FL_TMP/doctor.err"
}

# finds CHECK: what it says of that
finds() {
	json "[(r['result'], r['finding']) for r in d if r['check'] == '$1']" < "$FL_TMP/doctor"
}

# The VPN is the master's only: that the standby has none is no fault of it, neither for status nor for doctor
standby_is_well() {
	check "status of the standby" fl b status
	doctor b
	check_equal "exit status of doctor there" $? 0
	check_equal "what it finds wrong" "$(json "[(r['check'], r['finding']) for r in d if r['result'] == 'fail']" < "$FL_TMP/doctor")" "[]"
	check_match "what it says of the device" "$(json "[r['finding'] for r in d if r['check'] == 'devices']" < "$FL_TMP/doctor")" \
		'vpn: there is no device tun0, and need not be'
	check_match "the VPN" "$(finds vpn)" "'warn', 'VPN_GW is up at the master; that it comes back after a takeover was not tried"
	check_match "the kill switch" "$(finds kill-switch)" "'warn', 'VPN_GW: the rules block .* no drill of that"
	check_match "DHCP" "$(finds dhcp)" "'warn', 'the rule .*DHCP.* lets DHCP in, and no server waits"
	check_match "alerts" "$(finds alerts)" "'warn', 'events go to syslog"
	check_match "cellular" "$(finds cellular)" "'warn', 'WAN_LTE is up; .* not tried"
}

# Where it is the master's it is a fault, of which both say the same
master_is_not() {
	"$FL_TMP/etc-a/openvpn" stop
	slowwait 10 vpn_is_missed || fail "status: $(fl a status)"
	check_match "status" "$(fl a status)" 'interface vpn: there is no device tun0'
	doctor a
	check_equal "exit status of doctor there" $? 1
	check_match "the VPN" "$(finds vpn)" "'fail', 'VPN_GW is down at this node"
	check_equal "the device" "$(json "[r['result'] for r in d if r['check'] == 'devices' and 'tun0' in r['finding']]" < "$FL_TMP/doctor")" "['fail']"
	check_not "a drill" drill maintenance
	check_match "why" "$(of_result 'd["reasons"]')" 'fw-pri01 is not well: gateway VPN_GW is down'
	in_ns "$a" "$FL_TMP/etc-a/openvpn" start
	slowwait 30 settled || fail "not as before: $(fl a status)"
}

vpn_is_missed() {
	! ip -n "$a" link show dev tun0 && ! fl a status
}

# from NODE SCENARIO
from() {
	drill_at "$1" "$2" || fail "drill $2 at $1 has failed: $(cat "$FL_TMP/drill.err" "$FL_TMP/result")"
	check_equal "what it says" "$(of_result '(d["scenario"], d["result"], d["restored"], d["reasons"])')" "('$2', 'passed', True, [])"
	check_equal "checks" "$(of_result '[(c["check"], c["result"]) for c in d["checks"]]')" \
		"[('VPN tunnels re-establish after failover', 'ok'), ('DHCP leases are synced', 'ok'), ('alerts fire on state transitions', 'ok')]"
	echo "# $2, begun at $1: gap $(of_result 'd["gap_ms"]') ms, $(of_result 'd["sync_ms"]') ms until all was as before"
}

# What goes by the VPN is blocked while that is down. The standby asks, the master is asked
kill_switch() {
	drill_at b vpn-down || fail "drill vpn-down has failed: $(cat "$FL_TMP/drill.err" "$FL_TMP/result")"
	check_equal "what it says" "$(of_result '(d["result"], d["targets"], d["victim"], d["leaks"], d["restored"], d["reasons"])')" \
		"('passed', ['VPN_GW'], 'fw-pri01', 0, True, [])"
}

# The modem carries, by a default route without a next hop, and what then comes in by the WAN is still nobody else's: its probes too.
# The VPN may need its five answers a second apart until it is up again
gateway_is_down() {
	drill_at "$1" gateway-down --max-gap-ms 30000 || fail "drill gateway-down has failed: $(cat "$FL_TMP/drill.err" "$FL_TMP/result")"
	check_equal "what it says" "$(of_result '(d["result"], d["targets"], d["restored"], d["reasons"])')" "('passed', ['WAN_PRIMARY'], True, [])"
	check_match "the backup carried" "$(fl a show events --kind group)" 'carried by: WAN_LTE'
	check_equal "and does not any more" "$(fl a --json show groups | json '[g["active"] for g in d]')" "[['WAN_PRIMARY']]"
}

# The drills of before are known at both
shown() {
	local node
	for node in a b; do
		doctor "$node"
		check_match "$node: the VPN" "$(finds vpn)" "'ok', 'VPN_GW is up at (this node|the master)'"
		check_match "$node: the kill switch" "$(finds kill-switch)" "'ok', 'VPN_GW: the rules block"
		check_match "$node: the drills" "$(finds drill)" "'ok', 'maintenance: passed, 0 days ago"
	done
}

run_test start begin || finish
syslog
run_test standby standby_is_well
run_test master-without-vpn master_is_not
run_test from-the-master from a maintenance
run_test from-the-standby from b maintenance
run_test kill-switch kill_switch
run_test doctor shown
run_test gateway-down gateway_is_down a
teardown
finish
