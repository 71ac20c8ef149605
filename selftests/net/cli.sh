#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The command line program against a daemon that carries traffic: what scripts rely on. Keys of the JSON, exit statuses,
# all or nothing of apply, trial and rollback, what explain says held against what happens, unload.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../lab.sh"

# status_of WANT COMMAND...: the exit status must be that; the output is in $output
output=
status_of() {
	local want=$1 status
	shift
	output=$("$@" 2>&1)
	status=$?
	[ "$status" = "$want" ] || fail "exit status $status, expected $want, of: $*
$output"
}

# has_keys WHAT KEY...: in each object that `show` prints
has_keys() {
	local what=$1
	shift
	check_equal "keys missing in show $what" "$(fl router --json show "$what" |
		json "sorted(set('$*'.split()) - set.intersection(*[set(row) for row in d]))")" '[]'
}

keys() {
	has_keys interfaces name device mode reason rx_packets tx_packets drops
	has_keys tunnels name type local remote mtu rx_packets tx_packets drops
	has_keys gateways name interface address status rtt_ms rtt_stddev_ms loss_pct since_ms reason forced states
	in_ns "$lan" ping -6 -n -q -c 1 -W 1 -t 1 "$INET_HOST" > /dev/null
	has_keys drops reason interface packets bytes last_ms
	check_equal "keys of status" "$(fl router --json status | json '{"state", "reasons", "node", "peer"} <= set(d)')" True
	check_equal "status" "$(fl router --json status | json 'd["state"], d["node"]')" "('ok', 'router')"
	check_equal "columns are the keys" "$(fl router show tunnels | head -n 1 | tr '[:upper:]' '[:lower:]' | tr -s ' ' '\n' | sort)" \
		"$(fl router --json show tunnels | json '"\n".join(sorted(d[0]))')"
}

statuses() {
	status_of 0 fl router status
	check_match "first line" "$(head -n 1 <<< "$output")" '^OK'
	status_of 3 fl nobody status
	check_match "what to do" "$output" 'fairleadd'
	status_of 2 fl router frobnicate
	status_of 2 fl router show frobnicate
	status_of 2 fl router apply "$FL_TMP/there-is-no-such-file"
	status_of 2 fl router apply "$FL_TMP/router.json" --confirm 86401
	status_of 2 fl router unload
	check "still there" pings "$lan" "$INET_HOST"
	status_of 0 fl router check "$FL_TMP/router.json"
}

# to_full ARGUMENT...: with an output that takes nothing
to_full() {
	fl router "$@" > /dev/full
}

to_nobody() {
	fl router "$@" >&-
}

output_lost() {
	local where
	for where in to_full to_nobody; do
		status_of 1 "$where" show config
		check_match "$where: it says" "$output" '^fairlead: standard output: '
		status_of 1 "$where" show interfaces
		status_of 1 "$where" --json status
		status_of 1 "$where" check "$FL_TMP/router.json"
		status_of 1 "$where" help
		status_of 1 "$where" --version
	done
	# a reader that has seen enough is no failure of ours
	fl router show config 2> "$FL_TMP/err" | head -n 1 > /dev/null
	check_equal "with head(1)" "$(cat "$FL_TMP/err")" ""
	(trap '' PIPE; sleep 0.2; fl router show config 2> "$FL_TMP/err") | true
	check_equal "with nobody, SIGPIPE being ignored" "$(cat "$FL_TMP/err")" ""
}

every_error() {
	cp "$FL_TMP/router.json" "$FL_TMP/wrong.json"
	config_edit "$FL_TMP/wrong.json" 'd["gateways"]["he_gw"]["interface"] = "heo"; d["tunnels"]["he0"]["mtuu"] = 1400
d["routes"][0]["destination"] = "::1/64"'
	status_of 2 fl router check "$FL_TMP/wrong.json"
	check_match "pointer and suggestion" "$output" 'wrong.json: /gateways/he_gw/interface: .*"heo".*did you mean "he0"'
	check_match "unknown key" "$output" '/tunnels/he0/mtuu: .*did you mean "mtu"'
	check_match "host bits" "$output" '/routes/0/destination: '
	printf '{\n  "node": { "name": "x" },\n  "interfaces": { "wan": { "device" "eth0" } }\n}\n' > "$FL_TMP/syntax.json"
	status_of 2 fl router check "$FL_TMP/syntax.json"
	check_match "line and column" "$output" 'line 3, column'
}

config_text() {
	fl router --json show config | json 'json.dumps(d, sort_keys=True)'
}

fails_as_a_whole() {
	local before
	before=$(config_text)
	in_ns "$lan" ping -6 -n -q -c 100 -i 0.01 -W 2 "$INET_HOST" > "$FL_TMP/ping" &
	status_of 2 fl router apply "$FL_TMP/wrong.json"
	status_of 2 fl router apply "$FL_TMP/syntax.json"
	wait $!
	check_match "pings meanwhile" "$(cat "$FL_TMP/ping")" ' 0% packet loss'
	check_equal "the configuration" "$(config_text)" "$before"
	check_equal "the daemon's file" "$(json 'json.dumps(d, sort_keys=True)' < "$FL_TMP/router.json")" "$before"
}

# An apply that the machine refuses: the tunnel's name is taken by a device of somebody else
refused_by_the_machine() {
	local before
	before=$(config_text)
	in_ns "$router" ip link add name he9 type veth peer name he9peer
	cp "$FL_TMP/router.json" "$FL_TMP/taken.json"
	config_edit "$FL_TMP/taken.json" 'd["tunnels"]["he9"] = dict(d["tunnels"]["he0"], remote="198.51.100.11", address="2001:db8:9::2/64")
d["tunnels"]["he0"]["mtu"] = 1300'
	status_of 1 fl router apply "$FL_TMP/taken.json"
	check_match "it says which" "$output" 'he9'
	check_equal "the configuration" "$(config_text)" "$before"
	check_equal "the MTU" "$(fl router --json show tunnels | json 'd[0]["mtu"]')" 1480
	check "carries" pings "$lan" "$INET_HOST" 20
	in_ns "$router" ip link del dev he9
}

dry_run() {
	local before
	before=$(config_text)
	cp "$FL_TMP/router.json" "$FL_TMP/new.json"
	config_edit "$FL_TMP/new.json" 'd["tunnels"]["he0"]["mtu"] = 1400'
	status_of 0 fl router apply "$FL_TMP/new.json" --dry-run
	check_match "what would change" "$output" '/tunnels/he0/mtu'
	check_equal "the configuration" "$(config_text)" "$before"
	check_equal "the MTU" "$(mtu)" 1480
}

mtu() {
	fl router --json show tunnels | json 'd[0]["mtu"]'
}

mtu_is() {
	[ "$(mtu)" = "$1" ]
}

tx_packets() {
	fl router --json show tunnels | json 'd[0]["tx_packets"]'
}

apply_and_rollback() {
	local before
	before=$(tx_packets)
	[ "$before" -gt 100 ] || fail "only $before packets have been counted until now"
	status_of 0 fl router apply "$FL_TMP/new.json"
	check_equal "the MTU" "$(mtu)" 1400
	check_equal "the daemon's file" "$(json 'd["tunnels"]["he0"]["mtu"]' < "$FL_TMP/router.json")" 1400
	[ "$(tx_packets)" -ge "$before" ] || fail "$before packets were counted before the tunnel's change, $(tx_packets) after it"
	check_equal "versions" "$(fl router --json show history | json 'len(d)')" 2
	status_of 0 fl router rollback
	check_equal "the MTU after rollback" "$(mtu)" 1480
	status_of 0 fl router rollback
	check_equal "the MTU after rollback of the rollback" "$(mtu)" 1400
	status_of 0 fl router rollback
	status_of 1 fl router rollback 99
	check_equal "the MTU" "$(mtu)" 1480
}

# Without a name it is the daemon's own file, whatever the instance
apply_own_file() {
	cp "$FL_TMP/router.json" "$FL_TMP/old.json"
	config_edit "$FL_TMP/router.json" 'd["tunnels"]["he0"]["mtu"] = 1420'
	status_of 0 fl router apply --dry-run
	check_match "what would change" "$output" '/tunnels/he0/mtu'
	check_equal "the MTU" "$(mtu)" 1480
	status_of 0 fl router apply
	check_equal "the MTU" "$(mtu)" 1420
	config_edit "$FL_TMP/router.json" 'd["tunnels"]["he0"]["mtuu"] = 1'
	status_of 2 fl router apply
	check_match "the finding, with the file" "$output" "^fairlead: $FL_TMP/router.json: /tunnels/he0/mtuu: "
	cp "$FL_TMP/old.json" "$FL_TMP/router.json"
	status_of 0 fl router apply
	check_equal "the MTU" "$(mtu)" 1480
}

ten_versions() {
	local i
	for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
		config_edit "$FL_TMP/new.json" "d['tunnels']['he0']['mtu'] = $((1400 + i))"
		check "apply $i" fl router apply "$FL_TMP/new.json"
	done
	check_equal "the running version and ten before" "$(fl router --json show history | json 'len(d)')" 11
	status_of 0 fl router rollback 10
	check_equal "the MTU of ten versions back" "$(mtu)" 1402
	config_edit "$FL_TMP/new.json" "d['tunnels']['he0']['mtu'] = 1480"
	check "apply" fl router apply "$FL_TMP/new.json"
}

trial() {
	config_edit "$FL_TMP/new.json" "d['tunnels']['he0']['mtu'] = 1350"
	status_of 0 fl router apply "$FL_TMP/new.json" --confirm 2
	check_equal "the MTU on trial" "$(mtu)" 1350
	check_equal "the daemon's file" "$(json 'd["tunnels"]["he0"]["mtu"]' < "$FL_TMP/router.json")" 1480
	status_of 1 fl router apply "$FL_TMP/new.json"
	slowwait 5 mtu_is 1480 || fail "it was not undone"
	check_equal "the configuration" "$(fl router --json show config | json 'd["tunnels"]["he0"]["mtu"]')" 1480
	status_of 0 fl router apply "$FL_TMP/new.json" --confirm 2
	status_of 0 fl router confirm
	sleep 2.5 # longer than the trial was
	check_equal "the MTU after confirm" "$(mtu)" 1350
	status_of 1 fl router confirm
	status_of 0 fl router apply "$FL_TMP/new.json" --confirm 60
	status_of 0 fl router rollback
}

# with_extra DEVICE: the router has a cable more, and an interface of that name
with_extra() {
	veth "$lan" "$1" 02:00:00:00:09:80 "$router" "$1" 02:00:00:00:09:01
	ip -n "$router" addr add 2001:db8:ad::1/64 dev "$1" nodad
	ip -n "$lan" addr add 2001:db8:ad::80/64 dev "$1" nodad
	cp "$FL_TMP/router.json" "$FL_TMP/old.json"
	cp "$FL_TMP/router.json" "$FL_TMP/extra.json"
	config_edit "$FL_TMP/extra.json" "d['interfaces']['$1'] = { 'device': '$1' }"
	status_of 0 fl router apply "$FL_TMP/extra.json"
}

without_extra() {
	status_of 0 fl router apply "$FL_TMP/old.json"
	ip -n "$router" link del dev "$1"
}

counters_of() {
	fl router --json show interfaces | json "next((i['rx_packets'], i['drops']) for i in d if i['name'] == '$1')"
}

# An interface comes that forwards a packet and drops one, and goes; its number is the next one's
interface_goes() {
	with_extra extra0
	in_ns "$lan" "$FL_PYTHON" - <<-'PY'
	import packet, wire
	port = wire.Port(None, "extra0")
	for datagram in [packet.udp6("2001:db8:ad::80", "2001:db8:aa::80", hop=hop) for hop in (9, 1)]: port.send_to("02:00:00:00:09:01", datagram)
	PY
	check_match "its counters" "$(counters_of extra0)" '^\([1-9][0-9]*, [1-9]'
	without_extra extra0
}

number_is_anothers() {
	with_extra extra1
	check_equal "counters of an interface that has just come" "$(counters_of extra1)" "(0, 0)"
	without_extra extra1
}

restart_on_trial() {
	config_edit "$FL_TMP/new.json" "d['tunnels']['he0']['mtu'] = 1333"
	status_of 0 fl router apply "$FL_TMP/new.json" --confirm 60
	check_equal "the MTU on trial" "$(mtu)" 1333
	daemon_kill router
	daemon_start router "$router" "$FL_TMP/router.json"
	check_equal "the MTU after a restart" "$(mtu)" 1350
}

file_mtu() {
	json 'd["tunnels"]["he0"]["mtu"]' < "$FL_TMP/router.json"
}

# edit_and_try SECONDS: as one does it from afar: the daemon's own file is edited and applied
edit_and_try() {
	config_edit "$FL_TMP/router.json" "d['tunnels']['he0']['mtu'] = 1340"
	cp "$FL_TMP/router.json" "$FL_TMP/edited.json"
	status_of 0 fl router apply "$FL_TMP/router.json" --confirm "$1"
	check_match "where the edited text is" "$output" '/pending.json'
	check_equal "the MTU on trial" "$(mtu)" 1340
	check_equal "the daemon's file" "$(file_mtu)" 1350
}

undone_text() {
	check "the edited text" cmp "/var/lib/fairlead/$(instance router)/undone.json" "$FL_TMP/edited.json"
}

trial_of_own_file() {
	local signal
	for signal in KILL TERM; do
		edit_and_try 60
		daemon_kill router "$signal"
		daemon_start router "$router" "$FL_TMP/router.json" || return
		check_equal "the MTU after SIG$signal" "$(mtu)" 1350
		undone_text
		check_match "the log" "$(tail -n 20 "$FL_TMP/router.log")" 'never confirmed; its text is in .*/undone.json'
	done
	edit_and_try 1
	slowwait 5 mtu_is 1350 || fail "it was not undone"
	undone_text
	kill -HUP "${fl_daemon_pid[router]}"
	check_equal "the daemon's file" "$(file_mtu)" 1350
	status_of 0 fl router status
	check_equal "the MTU after SIGHUP" "$(mtu)" 1350
	edit_and_try 60
	status_of 0 fl router rollback
	check_match "where the text is" "$output" 'undone.json'
	check_equal "the daemon's file" "$(file_mtu)" 1350
	edit_and_try 60
	status_of 0 fl router confirm
	check_equal "the daemon's file" "$(file_mtu)" 1340
	status_of 0 fl router rollback
}

# Killed between the data plane's change and the own file's: the text on trial is in both
killed_within_a_trial() {
	edit_and_try 60
	daemon_kill router
	cp "$FL_TMP/edited.json" "$FL_TMP/router.json"
	daemon_start router "$router" "$FL_TMP/router.json" || return
	check_equal "the MTU" "$(mtu)" 1350
	check_equal "the daemon's file" "$(file_mtu)" 1350
	undone_text
	check_match "the log" "$(tail -n 20 "$FL_TMP/router.log")" 'the version before is written back there'
}

# explain EXPECTED ARGUMENT...: of the JSON, these members
explained() {
	local want=$1
	shift
	check_equal "explain $*" "$(fl router --json explain "$@" | json '(d["verdict"], d["tunnel"], d["egress"], d["translated_source"], d["translated_destination"])')" "$want"
}

# without the ages
dropped() {
	fl router --json show drops | json '[(r["reason"], r["interface"], r["packets"]) for r in d]'
}

reason_of() {
	fl router --json explain "$@" | json '(d["verdict"], d["reason"])'
}

# Where the routing table has no way, the host answers
explains_no_route() {
	local kind answer="('deliver', 'no route: the host answers Destination Unreachable')"
	ip -n "$router" route del default
	check_equal "no route" "$(reason_of --in lan --src 192.0.2.80 --dst 192.168.99.1 --proto udp)" "$answer"
	ip -n "$router" route add default via 203.0.113.1
	for kind in unreachable prohibit; do
		ip -n "$router" route add "$kind" 192.168.99.0/24
		ip -n "$router" -6 route add "$kind" 2001:db8:99::/48
		check_equal "$kind" "$(reason_of --in lan --src 192.0.2.80 --dst 192.168.99.1 --proto udp)" "$answer"
		check_equal "$kind" "$(reason_of --in lan --src "$LAN_HOST" --dst 2001:db8:99::1 --proto udp)" "$answer"
		ip -n "$router" route del "$kind" 192.168.99.0/24
		ip -n "$router" -6 route del "$kind" 2001:db8:99::/48
	done
	check_equal "the host itself" "$(reason_of --in lan --src 192.0.2.80 --dst 192.0.2.1 --proto udp)" \
		"('deliver', 'for the host, or only the host can answer it')"
}

# The programs have asked for the way back to the source: that is not where the packet goes
explains_spoofed() {
	check_equal "spoofed" "$(fl router --json explain --in wan --src 192.0.2.80 --dst "$WAN_ROUTER" --proto udp |
		json '(d["verdict"], d["reason"], d["egress"], d["next_hop"], d["gateway"], d["tunnel"], d["mtu"])')" \
		"('drop', 'spoofed-source', None, None, None, None, None)"
}

explains_what_is_refused() {
	status_of 2 fl router explain --in lan --src "$LAN_HOST" --dst "$INET_HOST" --proto udp --tcp-flags S
	check_match "why" "$output" '--tcp-flags: .*--proto tcp'
	status_of 2 fl router explain --in lan --src "$LAN_HOST" --dst "$INET_HOST" --proto tcp --icmp-type echo-request
	check_match "why" "$output" '--icmp-type: .*ipv6-icmp'
	status_of 2 fl router explain --in lan --src "$LAN_HOST" --dst "$INET_HOST" --proto ipv6-icmp --dport 443
	check_match "why" "$output" '--dport: .*tcp.*udp'
	status_of 2 fl router explain --in self --src "$LAN_HOST" --dst "$INET_HOST" --proto tcp
	check_match "what it may be" "$output" 'src: .*no address of this router.*::'
	status_of 0 fl router explain --in self --src 0.0.0.0 --dst "$BROKER" --proto tcp
	status_of 0 fl router explain --in self --src "$WAN_ROUTER" --dst "$BROKER" --proto tcp
}

explains() {
	local out_host drops tunnels proto
	out_host=$(outside "$LAN_HOST")
	drops=$(dropped)
	tunnels=$(fl router --json show tunnels)
	explained "('forward', 'he0', 'wan', '$out_host', None)" --in lan --src "$LAN_HOST" --dst "$INET_HOST" --proto tcp --dport 443
	explained "('forward', None, 'lan', None, '$LAN_HOST')" --in he0 --src "$INET_HOST" --dst "$out_host" --proto udp --sport 53 --dport 4000
	explained "('deliver', None, None, None, None)" --in lan --src "$LAN_HOST" --dst "$LAN_ROUTER" --proto ipv6-icmp
	explained "('forward', 'he0', 'wan', '$(outside "$LAN_ROUTER")', None)" --in self --src "$LAN_ROUTER" --dst "$INET_HOST" --proto ipv6-icmp
	explained "('deliver', 'he0', None, None, None)" --in wan --src "$BROKER" --dst "$WAN_ROUTER" --proto 41
	check_match "what to ask for" "$(fl router explain --in wan --src "$BROKER" --dst "$WAN_ROUTER" --proto ipv6)" \
		'^reason +outer packet of tunnel he0: .*--in he0'
	check_equal "reason for a stranger" "$(fl router --json explain --in wan --src 198.51.100.77 --dst "$WAN_ROUTER" --proto 41 |
		json '(d["verdict"], d["reason"])')" "('drop', 'tunnel-wrong-outer-source')"
	check_equal "gateways" "$(for dst in "$INET_HOST" "$LAN_ROUTER"; do
		fl router --json explain --in lan --src "$LAN_HOST" --dst "$dst" --proto tcp | json 'd["gateway"]'
	done | xargs)" "he_gw None"
	explained "('forward', 'he0', 'wan', None, None)" --in self --src :: --dst "$INET_HOST" --proto ipv6-icmp
	check_equal "the source that the router chooses" "$(fl router --json explain --in self --src :: --dst "$INET_HOST" --proto tcp |
		json 'd["source"]')" "$TUNNEL_ROUTER"
	check_equal "reason for a link-local source" "$(fl router --json explain --in lan --src fe80::1 --dst "$INET_HOST" --proto udp |
		json '(d["verdict"], d["reason"], d["egress"])')" "('drop', 'beyond-scope', None)"
	check_equal "reason for an untranslatable one" "$(fl router --json explain --in lan --src 2001:db8:aa:0:ffff:ffff:ffff:ffff \
		--dst "$INET_HOST" --proto udp | json 'd["reason"]')" npt-untranslatable
	status_of 2 fl router explain --in nosuch --src "$LAN_HOST" --dst "$INET_HOST" --proto tcp
	status_of 2 fl router explain --in lan --src "$LAN_HOST" --dst 192.0.2.99 --proto tcp
	# each family has an ICMP of its own, by name and by number
	for proto in icmp 1; do
		status_of 2 fl router explain --in lan --src "$LAN_HOST" --dst "$INET_HOST" --proto "$proto"
		check_match "what it is" "$output" 'ipv6-icmp'
	done
	status_of 2 fl router explain --in wan --src "$BROKER" --dst "$WAN_ROUTER" --proto ipv6-icmp
	check_match "what it is" "$output" 'it is icmp'
	status_of 0 fl router explain --in wan --src "$BROKER" --dst "$WAN_ROUTER" --proto icmp
	explains_no_route
	explains_spoofed
	explains_what_is_refused
	check_equal "no trace in the drops" "$(dropped)" "$drops"
	check_equal "no trace at the tunnel" "$(fl router --json show tunnels)" "$tunnels"
}

gateways() {
	fl router --json show gateways | json '[(g["name"], g["status"]) for g in d]'
}

gateways_are() {
	[ "$(gateways)" = "$1" ]
}

gateway_states() {
	cp "$FL_TMP/router.json" "$FL_TMP/new.json"
	config_edit "$FL_TMP/new.json" 'd["gateways"]["blind"] = { "interface": "he0", "address": "2001:db8:1::9", "monitor": False }
quick = { "interval_ms": 50, "up_after": 2 }
d["gateways"]["he_gw"]["monitor"] = quick
d["gateways"]["isp"] = { "interface": "wan", "address": "203.0.113.1", "monitor": quick }
d["gateways"]["inside"] = { "interface": "lan", "address": "'"$LAN_HOST"'", "monitor": quick }'
	status_of 0 fl router apply "$FL_TMP/new.json"
	slowwait 5 gateways_are "[('he_gw', 'up'), ('blind', 'up'), ('isp', 'up'), ('inside', 'up')]" || fail "with all links: $(gateways)"
	ip -n "$wan" link set dev net0 down
	slowwait 5 gateways_are "[('he_gw', 'down'), ('blind', 'up'), ('isp', 'down'), ('inside', 'up')]" ||
		fail "with the underlay's carrier gone: $(gateways)"
	check_match "why" "$(fl router show gateways)" '^he_gw .*link of he0 down'
	ip -n "$wan" link set dev net0 up
	slowwait 5 gateways_are "[('he_gw', 'up'), ('blind', 'up'), ('isp', 'up'), ('inside', 'up')]" || fail "with carrier again: $(gateways)"
	status_of 0 fl router rollback
}

# A translation that follows an interface: `external` is not there as long as no prefix is
external() {
	fl router --json show translations | json 'd[1]["external"]'
}

external_is() {
	[ "$(external)" = "$1" ]
}

external_unknown() {
	cp "$FL_TMP/router.json" "$FL_TMP/new.json"
	config_edit "$FL_TMP/new.json" 'd["prefix_translations"].append(
	{ "interface": "he0", "internal": "2001:db8:ad::/64", "external": { "from": "wan" } })'
	status_of 0 fl router apply "$FL_TMP/new.json"
	check_equal "external" "$(external)" None
	check_match "for people" "$(fl router show translations)" '^he0 +2001:db8:ad::/64 +unknown .* has no global IPv6 address'
	ip -n "$router" addr add 2001:db8:77::20/64 dev wan0 nodad
	slowwait 5 external_is 2001:db8:77::/64 || fail "with a prefix: $(external)"
	ip -n "$router" addr del 2001:db8:77::20/64 dev wan0
	slowwait 5 external_is None || fail "without one again: $(external)"
	status_of 0 fl router rollback
}

# Nothing tells what the kernel was configured with: the files are not there, or, being a socket, can't be opened
without_kernel_configuration() {
	local hidden=$FL_TMP/hidden
	mkdir "$hidden"
	ln -s "$FL_BUILD/fairlead" "$hidden/fairlead"
	"$FL_PYTHON" -c 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "$hidden/socket"
	cat > "$hidden/fairleadd" <<-SH
	#!/bin/bash
	[ -n "\$FL_UNSHARED" ] || FL_UNSHARED=1 exec unshare -m "\$0" "\$@"
	mount -t tmpfs none /boot || exit
	if [ -e /proc/config.gz ]; then
		mount --bind "$hidden/socket" /proc/config.gz || exit
	fi
	exec "$FL_BUILD/fairleadd" "\$@"
	SH
	chmod +x "$hidden/fairleadd"
	daemon_kill router
	FL_BUILD=$hidden daemon_start router "$router" "$FL_TMP/router.json" || return
	check "carries" pings "$lan" "$INET_HOST" 20
	daemon_kill router
	daemon_start router "$router" "$FL_TMP/router.json"
}

degraded() {
	ip -n "$router" link set dev wan0 down
	slowwait 5 is_degraded || fail "status with wan0 down: $(fl router status)"
	status_of 1 fl router status
	check_match "first line" "$(head -n 1 <<< "$output")" '^DEGRADED: .*wan'
	ip -n "$router" link set dev wan0 up
	ip -n "$router" route replace default via 203.0.113.1
	slowwait 5 fl router status || fail "status with wan0 up again: $(fl router status)"
	slowwait 10 in_ns "$lan" ping -6 -n -q -c 1 -W 1 "$INET_HOST" || fail "it does not carry again"
}

# The data plane is well, but the next start would not come to anything
own_file_broken() {
	cp "$FL_TMP/router.json" "$FL_TMP/old.json"
	config_edit "$FL_TMP/router.json" 'd["tunnels"]["he0"]["mtuu"] = 1'
	status_of 1 fl router status
	check_match "why" "$(head -n 1 <<< "$output")" "^DEGRADED: a restart would fail with $FL_TMP/router.json: it has errors"
	rm "$FL_TMP/router.json"
	status_of 1 fl router status
	check_match "why" "$(head -n 1 <<< "$output")" "router.json: No such file"
	mkfifo "$FL_TMP/router.json" # nobody writes to it: who waits for that waits for ever
	status_of 1 timeout 5 "$FL_BUILD/fairlead" --instance "$(instance router)" status
	check_match "why" "$(head -n 1 <<< "$output")" "router.json: it is no regular file"
	rm "$FL_TMP/router.json"
	cp "$FL_TMP/old.json" "$FL_TMP/router.json"
	status_of 0 fl router status
}

# ask JSON: on the socket
ask() {
	"$FL_PYTHON" -c 'import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(sys.argv[2].encode() + b"\n")
print(s.makefile().readline())' "/run/fairlead/$(instance router).sock" "$1"
}

# What is not understood is refused, never left out
requests_are_strict() {
	local request
	for request in '{"command": "status", "verbose": true}' '{"command": "confirm", "version": 3}' '{"command": "unload", "yes": false}' \
		'{"command": "apply", "confirm_s": 4294967297}' '{"command": "rollback", "back": -1}'; do
		check_equal "status of $request" "$(ask "$request" | json 'd["status"]')" 2
	done
	status_of 0 fl router status
}

is_degraded() {
	fl router status | head -n 1 | grep -q DEGRADED
}

# What clears /run away does not leave a daemon that nobody can ask
socket_removed() {
	rm "/run/fairlead/$(instance router).sock"
	status_of 3 fl router status
	slowwait 5 fl router status || fail "no socket again: $output"
	check_equal "its mode" "$(stat -c %a "/run/fairlead/$(instance router).sock")" 600
	check_match "the log" "$(cat "$FL_TMP/router.log")" 'removed the control socket; it is there again'
}

strict() {
	cp "$FL_TMP/router.json" "$FL_TMP/absent.json"
	config_edit "$FL_TMP/absent.json" 'd["interfaces"]["later"] = { "device": "eth77" }'
	status_of 0 in_ns "$router" "$FL_BUILD/fairlead" check "$FL_TMP/absent.json"
	status_of 1 in_ns "$router" "$FL_BUILD/fairlead" check "$FL_TMP/absent.json" --strict
	check_match "which" "$output" 'eth77'
}

unloads() {
	local devices
	status_of 0 fl router unload --yes
	check_match "what no longer holds" "$output" 'he0'
	wait "${fl_daemon_pid[router]}"
	check_equal "exit status of the daemon" $? 0
	check_equal "pins" "$(find /sys/fs/bpf/fairlead -maxdepth 1 -name "$(instance router)")" ""
	devices=$(ip -n "$router" -br link | awk '{ sub(/@.*/, "", $1); print $1 }' | sort | xargs)
	check_equal "devices" "$devices" "lan0 lo wan0"
	check_equal "programs" "$(in_ns "$router" bpftool -j net show | json 'sum(len(part) for part in d[0].values())')" 0
	check_equal "routes" "$(ip -n "$router" -6 route show default)" ""
	check_equal "forwarding" "$(in_ns "$router" sysctl -n net.ipv6.conf.all.forwarding net.ipv4.ip_forward | xargs)" "0 0"
	status_of 3 fl router status
	status_of 0 in_ns "$router" "$FL_BUILD/fairlead" --instance "$(instance router)" unload --yes
	check_match "again, where nothing is" "$output" 'nothing of instance'
	check_not "what holds as before" grep -q he0 <<< "$output"
}

if ! started lab_with auto || ! run_test warm-up warm_up; then
	finish
fi
run_test json-keys keys
run_test exit-statuses statuses
run_test output-lost output_lost
run_test every-error every_error
run_test apply-fails-as-a-whole fails_as_a_whole
run_test apply-refused-by-the-machine refused_by_the_machine
run_test dry-run dry_run
run_test apply-and-rollback apply_and_rollback
run_test apply-own-file apply_own_file
run_test ten-versions ten_versions
run_test interface-goes interface_goes
run_test trial trial
run_test restart-on-trial restart_on_trial
run_test trial-of-own-file trial_of_own_file
run_test killed-within-a-trial killed_within_a_trial
run_test number-is-anothers number_is_anothers
run_test explain explains
run_test gateways gateway_states
run_test external-unknown external_unknown
run_test without-kernel-configuration without_kernel_configuration
run_test degraded degraded
run_test own-file-broken own_file_broken
run_test requests-are-strict requests_are_strict
run_test socket-removed socket_removed
run_test strict strict
run_test unload unloads
teardown
finish
