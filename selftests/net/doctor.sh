#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# fairlead doctor: on a healthy host nothing fails; each fault that can be planted in a namespace is found, by its check and not by another;
# without a daemon the host is looked at all the same; and no secret gets into a bundle.
#
#   lan            router                wan
#   eth0 ────── lan0    wan0 ────────── net0        a second uplink: wan1 ── net1
#
# All faults are planted at once: a run of doctor takes longer than a second.

. "$(dirname "$0")/../lib.sh"

lan='' router='' wan='' # what the namespaces are really called
secret_files=(carp broker)

write_secrets() {
	local name
	for name in "${secret_files[@]}"; do
		echo "secret-$name-file" > "$FL_TMP/$name.key"
		chmod 600 "$FL_TMP/$name.key"
	done
	cat > "$FL_TMP/check.sh" <<-SH
	#!/bin/sh
	echo "\$FAIRLEAD_EVENT \$FAIRLEAD_CHECK \$FAIRLEAD_NODE: the password is \$(cat $FL_TMP/carp.key)"
	SH
	cp "$FL_TMP/check.sh" "$FL_TMP/hook.sh"
	chmod 755 "$FL_TMP"/*.sh
}

write_config() {
	cat > "$FL_TMP/router.json" <<-JSON
	{
		"node": { "name": "router", "description": "secret-description" },
		"default_action": { "in": "block", "out": "pass" },
		"interfaces": {
			"wan": { "device": "wan0" }, "wan2": { "device": "wan1" }, "lan": { "device": "lan0" }
		},
		"tunnels": {
			"he0": {
				"type": "6in4", "underlay": "wan", "local": "203.0.113.20", "remote": "203.0.113.1",
				"address": "2001:db8:1::2/64", "mtu": 1480,
				"update": {
					"url": "https://secret-url-user:secret-url-password@broker.invalid/secret-path?token=secret-token",
					"user": "secret-user", "password_file": "$FL_TMP/broker.key", "host": "secret-host"
				}
			}
		},
		"gateways": {
			"isp": { "interface": "wan", "address": "203.0.113.1", "monitor": { "interval_ms": 100 } },
			"lte": { "interface": "wan2", "address": "198.51.100.1", "monitor": { "interval_ms": 100 } }
		},
		"rules": [
			{ "name": "DHCP", "action": "pass", "direction": "in", "interface": "lan", "protocol": "udp",
			  "destination": { "port": 67 } },
			{ "name": "one host", "action": "pass", "direction": "in", "interface": "wan", "protocol": "tcp",
			  "source": { "address": "203.0.113.77" }, "destination": { "address": "self", "port": 22 } },
			{ "name": "out", "action": "pass", "direction": "in", "interface": "lan", "source": { "address": "lan:network" },
			  "destination": { "address": "198.18.0.0/15" } }
		],
		"vips": {
			"lan_vip": { "interface": "lan", "address": "192.0.2.100/24", "vhid": 7, "password_file": "$FL_TMP/carp.key" }
		},
		"hooks": { "gateway": ["$FL_TMP/hook.sh"] },
		"checks": [
			{ "name": "own", "command": ["$FL_TMP/check.sh", "secret-argument"], "when": ["doctor"] },
			{ "name": "of-the-drill", "command": ["false"], "when": ["drill"] }
		]
	}
	JSON
}

lab() {
	setup_ns lan router wan
	ip -n "$router" link add lan0 type veth peer name eth0 netns "$lan"
	ip -n "$router" link add wan0 type veth peer name net0 netns "$wan"
	ip -n "$router" link add wan1 type veth peer name net1 netns "$wan"
	local device
	for device in lan0 wan0 wan1; do ip -n "$router" link set dev "$device" up; done
	for device in net0 net1; do
		in_ns "$wan" ethtool -K "$device" gro on > /dev/null
		ip -n "$wan" link set dev "$device" up
	done
	in_ns "$lan" ethtool -K eth0 gro on > /dev/null
	ip -n "$lan" link set dev eth0 up
	ip -n "$lan" addr add 192.0.2.80/24 dev eth0
	ip -n "$lan" route add default via 192.0.2.1
	ip -n "$router" addr add 192.0.2.1/24 dev lan0
	ip -n "$router" addr add 203.0.113.20/24 dev wan0
	ip -n "$router" addr add 198.51.100.20/24 dev wan1
	ip -n "$router" route add default via 203.0.113.1
	ip -n "$wan" addr add 203.0.113.1/24 dev net0
	ip -n "$wan" addr add 198.51.100.1/24 dev net1
	listen udp 67
	listen tcp 22
}

# listen udp|tcp PORT: a server on the router
listen() {
	background "$router" "$FL_PYTHON" -c "import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_$([ "$1" = tcp ] && echo STREAM || echo DGRAM))
s.bind(('0.0.0.0', $2))
$([ "$1" = tcp ] && echo 's.listen()')
time.sleep(600)"
}

gateways_are() {
	[ "$(fl router --json show gateways | json 'sorted({g["status"] for g in d})')" = "$1" ]
}

is_master() {
	fl router --json show vips | json 'd[0]["role"] == "master" and not d[0]["not_ready"]' | grep -q True
}

start() {
	write_secrets
	write_config
	lab
	daemon_start router "$router" "$FL_TMP/router.json" || return
	slowwait 10 gateways_are "['up']" || fail "gateways: $(fl router show gateways)"
	slowwait 10 is_master || fail "vips: $(fl router show vips)"
}

# doctor NAME [NAMESPACE]: a run into NAME.json, its status in $status
doctor() {
	${2:+in_ns "$2"} "$FL_BUILD/fairlead" --instance "$(instance router)" --json doctor > "$FL_TMP/$1.json" 2> "$FL_TMP/$1.err"
	status=$?
}

# rows NAME CHECK RESULT PATTERN: how many there are
rows() {
	json "len([r for r in d if r['check'] == '$2' and r['result'] == '$3' and __import__('re').search(r'''$4''', r['finding'])])" \
		< "$FL_TMP/$1.json"
}

# The manual has all checks, each of which tells something, whatever is there
every_check() {
	check_equal "checks that told nothing, or are not in the manual" "$(json "sorted(set('''$(
		sed -n '/^\.Sh CHECKS/,/^\.El/s/^\.It Cm //p' "$FL_ROOT/docs/man/fairlead.8")'''.split()) ^ {r['check'] for r in d if r['check'] != 'own'})" \
		< "$FL_TMP/$1.json")" "[]"
}

# ---- the faults: TAG CHECK RESULT PATTERN, and a function plant_TAG ----

faults() {
	cat <<-'EOF'
	trial status fail on trial
	gateway status fail gateway (isp|lte)
	warning configuration warn 1 warning
	password secrets fail carp.key: others than its owner
	script scripts fail hook.sh is not run: it is not executable
	offload offloads warn lan0 puts UDP packets together
	mtu mtu fail tunnel he0: packets of 1480 bytes do not fit through wan \(wan0\), whose MTU is 1400
	forwards kernel-forwards warn ip_forward is on.*: idle0, idle1
	ra accept-ra fail wan2 \(wan1\).*accept_ra is 1
	rp rp-filter warn wan \(wan0\): rp_filter is strict
	nexthop next-hops fail gateway isp: nobody on wan0 says that it is 203.0.113.1
	targets monitor-targets warn gateways isp and lte are both probed by 203.0.113.1
	xdp foreign-xdp warn dmz \(dmz0\): the XDP program
	tc foreign-tc warn lan \(lan0\), egress: the filter bpf
	nft netfilter warn table fl_test, chain forward \(forward\): 1 rule that
	legacy netfilter warn iptables, table filter: rules at forward
	invalid netfilter fail table fl_test, chain input drops what is ct state invalid
	daemon other-routers fail ucarp .* runs here
	server services warn waits at tcp port 8080 \(IPv4\), and no rule
	vip vips warn lan_vip is disabled by hand
	mac virtual-mac fail lan0 does not take in frames to the virtual MAC 00:00:5e:00:01:07
	device devices fail there is no device gone0
	own broken fail nothing works \(exit status 3\)
	drops drops warn lan: [0-9]+ packets dropped as foreign-egress
	key key-change warn the old key is still good, 4[0-9] hours
	pair sync fail is not connected
	link sync-link warn sync is not for the pair alone: the rule SSH
	sniffed sync-foreign warn sync: [0-9]+ packets .* the first ARP from 172.16.255.9
	dropped sync-foreign warn sync: the programs have dropped [0-9]+ packets
	syncmtu mtu warn sync \(sync0\): the MTU of the sync link is 1400
	drill drill warn never been tried
	EOF
}

# What does not come by the configuration
plant() {
	ip -n "$wan" addr flush dev net0 scope global
	ip -n "$router" neigh flush dev wan0
	fl router vip disable lan_vip > /dev/null
	ip -n "$router" link set dev wan0 mtu 1400
	ip -n "$router" link add idle0 type veth peer name idle2
	ip -n "$router" link add idle1 type veth peer name idle3
	ip -n "$router" link set dev idle0 up
	ip -n "$router" link set dev idle1 up
	in_ns "$router" sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.wan0.rp_filter=1 net.ipv6.conf.wan1.accept_ra=1
	ip -n "$router" addr add 2001:db8:5::5/64 dev wan1 nodad valid_lft 300 preferred_lft 300
	in_ns "$router" ethtool -K lan0 rx-udp-gro-forwarding on > /dev/null
	ip -n "$router" link add dmz0 type veth peer name dmz1
	mkdir -p "/sys/fs/bpf/$FL_PREFIX-doctor"
	"$FL_PYTHON" "$FL_NET/bpf_pin.py" xdp "/sys/fs/bpf/$FL_PREFIX-doctor/xdp"
	in_ns "$router" ip link set dev dmz0 xdp pinned "/sys/fs/bpf/$FL_PREFIX-doctor/xdp"
	"$FL_PYTHON" "$FL_NET/bpf_pin.py" tc "/sys/fs/bpf/$FL_PREFIX-doctor/tc"
	in_ns "$router" tc filter add dev lan0 egress pref 9 bpf da pinned "/sys/fs/bpf/$FL_PREFIX-doctor/tc"
	in_ns "$router" iptables-legacy -A FORWARD -s 192.0.2.9 -j DROP
	in_ns "$router" nft -f - <<-'NFT'
	table inet fl_test {
		chain forward { type filter hook forward priority 0; ip saddr 192.0.2.9 drop; }
		chain input { type filter hook input priority 0; ct state invalid drop; }
	}
	NFT
	cp "$(command -v sleep)" "$FL_TMP/ucarp"
	background "$router" "$FL_TMP/ucarp" 600
	listen tcp 8080
	in_ns "$router" bridge fdb del 00:00:5e:00:01:07 dev lan0 self
	ip -n "$router" route add 198.18.0.0/15 dev idle0
	ip -n "$router" link add sync0 type veth peer name sync1 netns "$wan"
	ip -n "$router" link set dev sync0 up mtu 1400
	ip -n "$router" addr add 172.16.255.1/24 dev sync0
	ip -n "$wan" addr add 172.16.255.9/24 dev sync1
	ip -n "$wan" link set dev sync1 up
	background "$wan" ping -q -i 0.2 172.16.255.1 > /dev/null
	background "$wan" ping -q -i 0.2 172.16.255.50 > /dev/null
	printf '%064d\n%064d\n' 5 7 > "$FL_TMP/sync.key"
	touch -d '2 days ago' "$FL_TMP/sync.key"
	chmod 600 "$FL_TMP/sync.key"
	"$FL_PYTHON" - "$FL_TMP" <<-'PY'
	import json, sys
	tmp = sys.argv[1]
	d = json.load(open(tmp + "/router.json"))
	d["interfaces"].update({"dmz": {"device": "dmz0"}, "gone": {"device": "gone0"}})
	d["interfaces"]["sync"] = {"device": "sync0"}
	d["ha"] = {"interface": "sync", "local": "172.16.255.1", "peers": ["172.16.255.2"], "key_file": tmp + "/sync.key"}
	d["rules"].append({"name": "SSH", "action": "pass", "direction": "in", "interface": "sync", "protocol": "tcp",
	                   "destination": {"address": "self", "port": 22}})
	d["gateways"]["lte"]["monitor"]["targets"] = ["203.0.113.1"]
	d["checks"] += [{"name": "lines", "command": ["printf", "first\\nsecond"]}, {"name": "broken", "command": ["sh", "-c", "echo nothing works; exit 3"]}]
	json.dump(d, open(tmp + "/planted.json", "w"))
	PY
	check "apply" fl router apply --confirm 300 "$FL_TMP/planted.json"
	chmod 644 "$FL_TMP/carp.key" "$FL_TMP/hook.sh"
	in_ns "$router" sysctl -qw net.ipv6.conf.wan1.accept_ra=1
	background "$lan" ping -q -i 0.1 198.18.0.1 > /dev/null
	slowwait 10 gateways_are "['down']" || fail "gateways: $(fl router show gateways)"
	slowwait 10 unreachable || fail "neighbours: $(ip -n "$router" neigh)"
}

unreachable() {
	ip -n "$router" neigh show 203.0.113.1 dev wan0 | grep -qE 'FAILED|INCOMPLETE'
}

healthy() {
	doctor healthy
	check_equal "what fails" "$(json "[(r['check'], r['finding']) for r in d if r['result'] == 'fail']" < "$FL_TMP/healthy.json")" "[]"
	check_equal "exit status" "$status" 0
	check_equal "remedies" "$(json "[r for r in d if (r['result'] in ('warn', 'fail')) != bool(r['remedy'])]" < "$FL_TMP/healthy.json")" "[]"
	check_equal "its environment" "$(rows healthy own ok '^doctor own router: ')" 1
	check_equal "no service without a rule" "$(rows healthy services warn .)" 0
	check_equal "nothing on standard error" "$(cat "$FL_TMP/healthy.err")" ""
	every_check healthy
}

found() {
	local why
	doctor planted
	check_equal "exit status" "$status" 1
	while read -r why; do
		fail "$why"
	done < <(faults | "$FL_PYTHON" -c '
import json, re, sys
healthy, planted = (json.load(open(f"{sys.argv[1]}/{name}.json")) for name in ("healthy", "planted"))
for line in sys.stdin:
    tag, check, result, pattern = line.rstrip("\n").split(" ", 3)
    def rows(of):
        return [r for r in of if r["check"] == check and r["result"] == result and re.search(pattern, r["finding"])]
    if rows(healthy):
        print(f"{tag}: on a healthy host: {rows(healthy)}")
    if not rows(planted):
        print(f"{tag} is not found:", [r for r in planted if r["check"] == check])
for r in planted:
    if (r["result"] in ("warn", "fail")) != bool(r["remedy"]):
        print(f"remedy: {r}")
' "$FL_TMP" 2>&1)
}

bundled() {
	local bundle=$FL_TMP/bundle.tar dir
	dir=/var/lib/fairlead/$(instance router)/drill
	mkdir -p "$dir"
	echo '{ "scenario": "power", "result": "passed", "time_ms": 1795959373000, "gap_ms": 77 }' > "$dir/1.json"
	"$FL_BUILD/fairlead" --instance "$(instance router)" doctor --bundle "$bundle" > "$FL_TMP/table" 2> /dev/null
	check_equal "mode" "$(stat -c %a "$bundle")" 600
	check_match "members" "$(tar -tf "$bundle" | tr '\n' ' ')" \
		'about.json .*doctor.json .*config.json .*status.json .*drills.json .*events.log .*ip-link.txt'
	check_match "a drill" "$(tar -xOf "$bundle" fairlead-bundle/drills.json)" '"gap_ms": 77'
	check_match "lines of a check are one" "$(grep '^lines ' "$FL_TMP/table")" 'first second *-'
	check_match "the broker" "$(tar -xOf "$bundle" fairlead-bundle/config.json | grep '"url"')" '"https://broker.invalid/\[removed\]"'
	check_match "what a check has said" "$(tar -xOf "$bundle" fairlead-bundle/doctor.json)" 'the password is \[removed\]'
	check_equal "secrets in it" "$(grep -aoE 'secret-[a-z-]+|0{60}[0-9]*' "$bundle" | sort | uniq -c)" ""
}

# It has a socket, and says nothing
hung() {
	kill -STOP "${fl_daemon_pid[router]}"
	doctor hung "$router"
	kill -CONT "${fl_daemon_pid[router]}"
	check_equal "exit status" "$status" 1
	check_equal "the daemon" "$(rows hung daemon fail 'does not answer')" 1
	check_equal "the configuration is the last one" "$(rows hung configuration ok 'history/[0-9]+.json')" 1
	check_equal "a foreign program" "$(rows hung foreign-tc warn "lan0.*egress")" 1
}

alone() {
	daemon_kill router
	in_ns "$router" sysctl -qw net.ipv4.conf.lan0.forwarding=0
	in_ns "$router" nft delete table inet fl_test
	in_ns "$router" nft -f - <<-'NFT'
	table inet fl_test {
		chain forward { type filter hook forward priority 0; ct state established accept; }
	}
	NFT
	in_ns "$router" ping -q -c 1 -W 1 192.0.2.1 > /dev/null
	doctor alone "$router"
	check_equal "exit status" "$status" 1
	check_equal "the daemon" "$(rows alone daemon fail 'no daemon answers')" 1
	check_equal "the configuration is the last one" "$(rows alone configuration ok 'history/[0-9]+.json')" 1
	check_equal "forwarding" "$(rows alone forwarding warn 'lan0.*IPv4 is off')" 1
	check_equal "programs" "$(rows alone jit ok 'programs are compiled')" 1
	check_equal "connection tracking" "$(rows alone conntrack warn 'tracks [0-9]+ connections')" 1
	check_equal "a foreign program" "$(rows alone foreign-tc warn "lan0.*egress")" 1
	every_check alone
	rm -f "/run/fairlead/$(instance router).vips" # what was disabled, which outlives unload
}

run_test start start && {
	run_test healthy healthy
	run_test planted plant
	run_test found found
	run_test bundle bundled
	run_test with-a-silent-daemon hung
	run_test without-a-daemon alone
}
rm -rf "/sys/fs/bpf/$FL_PREFIX-doctor"
teardown
finish
