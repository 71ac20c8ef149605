#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Tunnels whose remotes are names, and brokers that are told of a changed end: a name server and brokers made of Python, whose answers
# change, fail and stay away.
#
#   router                          world
#   wan0 203.0.113.2 ───── net0  203.0.113.1     192.0.2.53 name server
#   lte0  198.18.5.2 ───── net1   198.18.5.1     192.0.2.80 broker.example.net, by https and http
#
# The kernel's default route is by wan0, and none to the brokers is by lte0. Tunnels: he0 over lte, ip0 and ip1 over wan.

# what lies in /etc is changed for this test only
[ -n "${FL_OWN_MOUNTS:-}" ] || FL_OWN_MOUNTS=1 exec unshare --mount bash "$0"

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../lab.sh"

world=''

certificates() {
	local key=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes)
	cd "$FL_TMP" || return
	openssl req -x509 "${key[@]}" -days 2 -subj "/CN=the tests" -keyout ca.key -out ca.crt 2> /dev/null
	openssl req "${key[@]}" -subj "/CN=broker.example.net" -keyout broker.key -out broker.csr 2> /dev/null
	openssl x509 -req -in broker.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -out broker.crt \
		-extfile <(echo "subjectAltName=DNS:broker.example.net") 2> /dev/null
	cd - > /dev/null || return
	mount --bind "$FL_TMP/ca.crt" /etc/ssl/certs/ca-certificates.crt
}

names() {
	echo "nameserver 192.0.2.53" > "$FL_TMP/resolv.conf"
	printf '127.0.0.1 localhost\n198.51.100.40 own.example.net\n' > "$FL_TMP/hosts"
	mount --bind "$FL_TMP/resolv.conf" /etc/resolv.conf
	mount --bind "$FL_TMP/hosts" /etc/hosts
}

names_lab() {
	setup_ns router world
	veth "$router" wan0 02:00:00:00:02:20 "$world" net0 02:00:00:00:02:01
	veth "$router" lte0 02:00:00:00:05:20 "$world" net1 02:00:00:00:05:01
	ip -n "$router" addr add 203.0.113.2/24 dev wan0
	ip -n "$router" addr add 198.18.5.2/24 dev lte0
	ip -n "$router" route add default via 203.0.113.1
	ip -n "$router" route add 198.51.100.8/29 via 198.18.5.1 # the other ends of he0
	ip -n "$world" addr add 203.0.113.1/24 dev net0
	ip -n "$world" addr add 198.18.5.1/24 dev net1
	ip -n "$world" addr add 192.0.2.53/32 dev lo
	ip -n "$world" addr add 192.0.2.80/32 dev lo
	certificates && names
	umask 077
	echo "top secret" > "$FL_TMP/password"
	background "$world" "$FL_PYTHON" "$FL_NET/names_world.py" "$FL_TMP" > "$FL_TMP/world.out" 2>&1
	slowwait 10 grep -q ready "$FL_TMP/world.out" || fail "names_world.py did not start: $(cat "$FL_TMP/world.out")"
	cat > "$FL_TMP/router.json" <<-JSON
	{
		"node": { "name": "router" },
		"default_action": { "in": "block", "out": "pass" },
		"interfaces": { "wan": { "device": "wan0" }, "lte": { "device": "lte0" } },
		"gateways": {
			"isp_gw": { "interface": "wan", "address": "203.0.113.1", "monitor": false },
			"lte_gw": { "interface": "lte", "address": "198.18.5.1", "monitor": false }
		},
		"tunnels": {
			"he0": { "type": "6in4", "underlay": "lte", "local": "interface", "remote": "tunnel.example.net",
				"address": "2001:db8:1::2/64", "update": { "url": "https://broker.example.net/nic/update?x=1", "user": "me",
				"password_file": "$FL_TMP/password", "host": "123456", "min_interval_s": 1 } },
			"ip0": { "type": "6in4", "underlay": "wan", "local": "interface", "remote": "Other.example.net",
				"address": "2001:db8:2::2/64", "update": { "url": "http://192.0.2.80:8080/up", "min_interval_s": 0 } },
			"ip1": { "type": "6in4", "underlay": "wan", "local": "interface", "remote": "198.51.100.20",
				"address": "2001:db8:3::2/64" },
			"ip2": { "type": "6in4", "underlay": "wan", "local": "interface", "remote": "own.example.net",
				"address": "2001:db8:4::2/64" }
		}
	}
	JSON
	router_start
}

run_test start names_lab || finish
python_tests names.py --lab "$FL_PREFIX" --how first --config "$FL_TMP/router.json"
daemon_kill router
echo '{ "dns": {}, "http": [200, "good"] }' > "$FL_TMP/world.json" # nobody answers any more
run_test restart daemon_start router "$router" "$FL_TMP/router.json"
python_tests names.py --lab "$FL_PREFIX" --how restarted --config "$FL_TMP/router.json"
finish
