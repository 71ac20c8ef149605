#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# From boot to the first start of the daemon, and devices that come after it: the kernel forwards nothing that no program of ours
# has seen, though somebody else has switched forwarding on and a LAN host sends without pause; the machine itself is on the net.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../lab.sh"

late='' later=''

rules() {
	in_ns "$router" ip -4 rule
	in_ns "$router" ip -6 rule
}

fairleadd() {
	in_ns "$router" timeout 60 "$FL_BUILD/fairleadd" --instance "$(instance router)" "$@" 2>&1
}

# A name's address is asked for by both protocols, at servers to which nothing of the flood goes
asks_dns() {
	in_ns "$lan" "$FL_PYTHON" -c 'import socket
for family, server in ((socket.AF_INET, "198.18.7.8"), (socket.AF_INET6, "2001:db8:77::98")):
    socket.socket(family, socket.SOCK_DGRAM).sendto(b"\0\1\1\0\0\1\0\0\0\0\0\0\1a\0\0\1\0\1", (server, 53))'
}

# What is first at boot; then another switches forwarding on, in all ways that there are
blocked() {
	check_match "what it says" "$(fairleadd --block)" 'forwards nothing from now on'
	check_equal "rules" "$(rules | grep -c 'not from all iif lo blackhole')" 2
	check "once more" fairleadd --block
	check_equal "rules" "$(rules | grep -c blackhole)" 2
	forwarding "$router"
	flood_start
	asks_dns
	sleep 0.5 # a while of it
	flood_end silent
}

# By those to the machine, its own, and to all: what a DHCP client reads comes so
the_machine_itself() {
	check "from the LAN to the router" in_ns "$lan" ping -n -q -c 2 -i 0.1 -W 2 192.0.2.1
	check "the same of IPv6" pings "$lan" "$LAN_ROUTER"
	in_ns "$router" ip neigh flush all
	check "from the router" in_ns "$router" ping -n -q -c 2 -i 0.1 -W 2 "$BROKER"
	check "the same of IPv6" pings "$router" 2001:db8:77::99
	in_ns "$router" timeout 10 "$FL_PYTHON" -c 'import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", 68))
print("ready", flush=True)
print(s.recv(99).decode(), flush=True)' > "$FL_TMP/dhcp" &
	fl_pids+=($!)
	slowwait 10 grep -q ready "$FL_TMP/dhcp"
	in_ns "$wan" "$FL_PYTHON" -c 'import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"net0")
s.bind(("", 67))
s.sendto(b"offer", ("255.255.255.255", 68))'
	slowwait 5 grep -q offer "$FL_TMP/dhcp" || fail "what was sent to all did not come in"
}

router_advertised() {
	in_ns "$router" sysctl -qw net.ipv6.conf.wan0.accept_ra=2
	ip -n "$wan" addr add 2001:db8:78::97/128 dev lo nodad
	ip -n "$wan" addr add 2001:db8:5::1/64 dev net0 nodad
	python_in_ns "$wan" advertise.py net0 2001:db8:5::/64
	slowwait 5 has_address 2001:db8:5: || fail "no address of the advertised prefix"
	check_match "its default route" "$(in_ns "$router" ip -6 route show default)" 'proto ra'
	check "it is the way" pings "$router" 2001:db8:78::97
	in_ns "$router" sysctl -qw net.ipv6.conf.wan0.accept_ra=0
	ip -n "$wan" addr del 2001:db8:5::1/64 dev net0
	ip -n "$wan" addr del 2001:db8:78::97/128 dev lo
	in_ns "$router" ip -6 addr flush dev wan0 to 2001:db8:5::/64
	in_ns "$router" ip -6 route flush proto ra
}

has_address() {
	in_ns "$router" ip -6 addr show dev wan0 scope global | grep -q "inet6 $1"
}

# Starts that come to nothing: blocked it stays, and each of them says so. start_fails CONFIGURATION STATUS
start_fails() {
	local output status
	flood_start
	output=$(fairleadd -f -c "$FL_TMP/$1.json")
	status=$?
	check_equal "exit status" "$status" "$2"
	check_match "what it says" "$output" 'nothing is forwarded on this machine'
	asks_dns
	flood_end silent
}

wrong_configuration() {
	echo '{ "node": 7 }' > "$FL_TMP/wrong.json"
	start_fails wrong 2
}

# A device of ours has the name that a tunnel shall have: refused when everything is loaded
refused_start() {
	in_ns "$router" ip link add he0 type veth peer name he1
	start_fails router 1
	in_ns "$router" ip link del he0
	check_equal "rules" "$(rules | grep -c 'not from all iif lo blackhole')" 2
}

# Refused at the last moment, when programs are attached: a route of another's is in the place of ours
undone_start() {
	local output status
	cp "$FL_TMP/router.json" "$FL_TMP/whole.json"
	config_edit "$FL_TMP/router.json" 'd["routes"].append({ "destination": "2001:db8:66::/48", "gateway": "he_gw" })'
	in_ns "$router" ip -6 route add 2001:db8:66::/48 via 2001:db8:2::1
	flood_start
	output=$(fairleadd -f -c "$FL_TMP/router.json")
	status=$?
	check_equal "exit status" "$status" 1
	check_match "what it says" "$output" 'nothing is forwarded on this machine'
	check_not "programs are left" grep -q fl_ <<< "$(in_ns "$router" bpftool net show)"
	asks_dns
	flood_end silent
	in_ns "$router" ip -6 route del 2001:db8:66::/48
	cp "$FL_TMP/whole.json" "$FL_TMP/router.json"
}

ping_pid=

begins() {
	rm -f "$FL_TMP/router.log"
	flood_start
	router_start 'd["interfaces"].update({ n: { "device": n + "0" } for n in ("late", "later") })' || return
	flood_passing
	in_ns "$lan" ping -6 -n -q -c 300 -i 0.01 -W 2 "$INET_HOST" > "$FL_TMP/ping" 2>&1 &
	ping_pid=$!
	flood_end passing
	wait "$ping_pid"
	check_match "pings" "$(cat "$FL_TMP/ping")" ' 0% packet loss'
	check_equal "rules for all" "$(rules | grep -c 'iif lo')" 0
	check_equal "rules for devices that are not there" "$(rules | grep -cE 'iif later?0 \[detached\] blackhole')" 4
	check_not "a warning" grep -q 'has forwarded as it likes' "$FL_TMP/router.log"
}

# With programs at work it would take away what they ask the kernel's routing
blocked_too_late() {
	check_match "what it says" "$(fairleadd --block)" 'is at work'
	check "packets pass" pings "$lan" "$INET_HOST"
}

late_devices() {
	local i=0 device
	for device in late later; do
		i=$((i + 1))
		in_ns "$router" ip link add name "${device}0" type veth peer name eth0 netns "${!device}"
		in_ns "$router" ip addr add "198.18.$i.1/24" dev "${device}0"
		in_ns "$router" ip addr add "2001:db8:e$i::1/64" dev "${device}0" nodad
		in_ns "$router" ip link set dev "${device}0" up
		in_ns "${!device}" ip addr add "198.18.$i.2/24" dev eth0
		in_ns "${!device}" ip addr add "2001:db8:e$i::2/64" dev eth0 nodad
		in_ns "${!device}" ip link set dev eth0 up
		in_ns "${!device}" ip route add default via "198.18.$i.1"
		in_ns "${!device}" ip -6 route add default via "2001:db8:e$i::1"
	done
}

# capture NAMESPACE FILTER: what of it arrives by eth0
capture_pid=
capture() {
	background "$1" timeout 60 tcpdump -ni eth0 -l "$2" > "$FL_TMP/capture" 2> "$FL_TMP/capture.err"
	capture_pid=$!
	slowwait 10 grep -q listening "$FL_TMP/capture.err" || fail "tcpdump did not start"
}

captured_none() {
	stop_process "$capture_pid"
	check_equal "what arrived" "$(cat "$FL_TMP/capture")" ""
}

# Devices come up while the daemon, stopped, has not put programs on them
late_device() {
	setup_ns late later
	kill -STOP "${fl_daemon_pid[router]}"
	late_devices
	check_equal "they forward" "$(in_ns "$router" sysctl -n net.ipv4.conf.late0.forwarding net.ipv6.conf.all.forwarding | xargs)" "1 1"
	capture "$later" 'src net 198.18.1.0/24 or src net 2001:db8:e1::/64'
	check "to the router" in_ns "$late" ping -n -q -c 1 -W 2 198.18.1.1
	check_not "from one to the other" in_ns "$late" ping -n -q -c 3 -i 0.1 -W 0.3 198.18.2.2
	check_not "the same of IPv6" in_ns "$late" ping -6 -n -q -c 3 -i 0.1 -W 0.3 2001:db8:e2::2
	captured_none
	kill -CONT "${fl_daemon_pid[router]}"
	slowwait 10 in_ns "$late" ping -n -q -c 1 -W 1 198.18.2.2 || fail "nothing passes when they have programs"
	slowwait 10 in_ns "$late" ping -6 -n -q -c 1 -W 1 2001:db8:e2::2 || fail "no IPv6 passes"
	check_equal "rules" "$(rules | grep -c blackhole)" 0
}

# Both go, and come again when there is no daemon: one of which that daemon knew, one that was gone before it died
without_daemon() {
	in_ns "$router" ip link del late0
	slowwait 10 is_blocked late0 || fail "it is not blocked: $(rules)"
	daemon_kill router
	in_ns "$router" ip link del later0
	sleep 0.2
	late_devices
	capture "$late" 'src net 192.0.2.0/24 or src net 2001:db8:aa::/64'
	check_not "from one to the other" in_ns "$late" ping -n -q -c 3 -i 0.1 -W 0.3 198.18.2.2
	check_not "from the LAN" in_ns "$lan" ping -n -q -c 3 -i 0.1 -W 0.3 198.18.1.2
	check_not "the same of IPv6" in_ns "$lan" ping -6 -n -q -c 3 -i 0.1 -W 0.3 2001:db8:e1::2
	captured_none
	capture "$lan" 'src net 198.18.1.0/24 or src net 198.18.2.0/24'
	check_not "to the LAN" in_ns "$late" ping -n -q -c 3 -i 0.1 -W 0.3 192.0.2.80
	check_not "from the other" in_ns "$later" ping -n -q -c 3 -i 0.1 -W 0.3 192.0.2.80
	captured_none
	daemon_start router "$router" "$FL_TMP/router.json" || return
	slowwait 10 in_ns "$late" ping -n -q -c 1 -W 1 198.18.2.2 || fail "nothing passes when they have programs"
	check_equal "rules" "$(rules | grep -c blackhole)" 0
}

is_blocked() {
	[ "$(rules | grep -c "iif $1 .*blackhole")" = 2 ]
}

# With an interface fewer, nothing of it is ours
taken_out() {
	in_ns "$router" ip link del late0
	slowwait 10 is_blocked late0 || fail "it is not blocked: $(rules)"
	config_edit "$FL_TMP/router.json" 'del d["interfaces"]["late"]'
	check "apply" fl router apply "$FL_TMP/router.json"
	check_equal "rules" "$(rules | grep -c blackhole)" 0
	config_edit "$FL_TMP/router.json" 'd["interfaces"]["late"] = { "device": "late0", "family": "inet" }'
	check "apply" fl router apply "$FL_TMP/router.json"
	check_equal "IPv4 alone" "$(rules | grep blackhole)" "$(in_ns "$router" ip -4 rule | grep 'iif late0')"
}

unloaded() {
	check "unload" fl router unload --yes
	check_equal "rules" "$(rules | grep -c blackhole)" 0
	check "the kernel forwards as it likes" in_ns "$lan" ping -n -q -c 1 -W 2 198.18.7.7
	check "block" fairleadd --block
	check_not "from the LAN" in_ns "$lan" ping -n -q -c 1 -W 0.3 198.18.7.7
	check_match "what it says" "$(fairleadd --unload)" 'forwarded again'
	check "the kernel forwards as it likes" in_ns "$lan" ping -n -q -c 1 -W 2 198.18.7.7
}

# Nobody has blocked it, and forwarding was on
told_of_the_gap() {
	daemon_start router "$router" "$FL_TMP/router.json" || return
	check_match "the log" "$(cat "$FL_TMP/router.log")" 'net/ipv4/ip_forward was on before this start'
}

scenario() {
	started flood_lab "$1" || return
	run_test blocked blocked
	run_test the-machine-itself the_machine_itself
	run_test router-advertised router_advertised
	run_test wrong-configuration wrong_configuration
	run_test refused-start refused_start
	run_test undone-start undone_start
	run_test begins begins || return
	run_test blocked-too-late blocked_too_late
	run_test late-device late_device
	run_test without-daemon without_daemon
	run_test taken-out taken_out
	run_test unload unloaded
	run_test told-of-the-gap told_of_the_gap
}

# the same in all modes: what is looked at is the kernel, before and beside the programs
FL_MODES=${FL_MODES:-native} modes scenario
finish
