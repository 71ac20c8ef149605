# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# IPv6 by a tunnel, its prefix translated: the addresses and devices of configs/nptv6.json, five hosts.

TUNNEL_HOSTS=(lan router wan broker inet)
LAN_HOST=2001:db8:aa::80 INET_HOST=2001:db8:f::99
FL='fairlead --instance demo'
PINS=/sys/fs/bpf/fairlead/demo

# ---- its lab ----

tunnel_lab_addresses() {
	address lan eth0 $LAN_HOST/64 &&
		address router eth1 2001:db8:aa::1/64 &&
		address router eth0 203.0.113.2/24 &&
		address wan eth0 203.0.113.1/24 &&
		address wan eth1 198.51.100.126/26 &&
		address broker eth0 198.51.100.65/26 &&
		address broker eth1 2001:db8:f::1/64 &&
		address inet eth0 $INET_HOST/64
}

tunnel_lab_routes() {
	ip -n demo-lan route add default via 2001:db8:aa::1 &&
		ip -n demo-router route add default via 203.0.113.1 &&
		ip -n demo-broker route add default via 198.51.100.126 &&
		ip -n demo-inet route add default via 2001:db8:f::1 &&
		in_host wan sysctl -qw net.ipv4.ip_forward=1 &&
		in_host router sysctl -qw net.ipv4.ip_forward=1 # the host's own IPv4 for the LAN, which "family": "inet6" leaves to it
}

tunnel_lab_up() {
	hosts "${TUNNEL_HOSTS[@]}" &&
		cable router eth0 wan eth0 && cable router eth1 lan eth0 && cable wan eth1 broker eth0 && cable broker eth1 inet eth0 &&
		tunnel_lab_addresses && tunnel_lab_routes
}

# ---- its steps ----

tunnel_drawing() {
	cat <<-TEXT

	${bold}fairlead: IPv6 for a LAN through a 6in4 tunnel, its prefix translated, in XDP${off}

	    LAN host      ${green}fairlead${off}                                   ${green}fairlead${off}      "internet"
	    ┌───────┐    ┌────────┐            ┌───────┐            ┌────────┐     ┌────────┐
	    │  lan  ├────┤ router ├────────────┤  wan  ├────────────┤ broker ├─────┤  inet  │
	    └───────┘    └────────┘            └───────┘            └────────┘     └────────┘
	    aa::80      aa::1 ║ 203.0.113.2    IPv4 only    198.51.100.65 ║ f::1     f::99
	                      ║                                           ║
	                 2::2 ╚═ ip4m ═════ IPv6 in IPv4 ════════ clients ╝ 2::1

	    IPv6 addresses stand for 2001:db8:…; the LAN uses 2001:db8:aa::/64, which is another provider's. This broker
	    routes 2001:db8:bb::/64 here, so the router translates the one into the other (NPTv6).
	    Every host is a network namespace: "lan#" is short for "nsenter --net=/run/netns/demo-lan".
	TEXT
}

tunnel_lab() {
	step 'Five hosts and four cables'
	tunnel_lab_up > "$DEMO_DIR/output" 2>&1 || { cat "$DEMO_DIR/output"; die "the lab can't be built"; }
	cp "$here/broker.json" "$DEMO_DIR/broker.json"
	sed 's/\("address": "2001:db8:[12]::1"\) }/\1, "monitor": false }/' "$root/configs/nptv6.json" > "$DEMO_DIR/router.json"
	run router 'ip -br addr; ip -6 route show default'
	STATUS=1 run lan "ping -c 1 -W 1 $INET_HOST"
	good 'The LAN has no way to the IPv6 internet yet.'
}

start() {
	step 'A configuration, and the daemon that makes it so' 'router.json is a copy of configs/nptv6.json, but that its gateways are not probed: the first broker is not in this lab.'
	run router "cat $DEMO_DIR/router.json"
	run router "fairlead check --strict $DEMO_DIR/router.json"
	run router "fairleadd --instance demo -c $DEMO_DIR/router.json"
	run broker "fairleadd --instance demo-broker -c $DEMO_DIR/broker.json"
	run router "$FL status"
	expect '^OK$' 'the status is not OK'
	say '' 'What Linux sees of it:'
	run router 'ip -br -6 addr show dev ip4m; ip -6 route show default'
	expect '^default via 2001:db8:2::1 dev ip4m' 'there is no default route through the tunnel'
}

# transfer: 50 MB from lan to inet
transfer() {
	prompt lan "transfer.py tcp demo-lan demo-inet $INET_HOST 50000000"
	/usr/bin/python3 "$root/selftests/net/transfer.py" tcp demo-lan demo-inet $INET_HOST 50000000 2>&1 | print
	[ "${PIPESTATUS[0]}" -eq 0 ] || wrong 'what arrived is not what was sent'
	output=$(< "$DEMO_DIR/output")
	expect '^50000000 of 50000000 bytes .* from 2001:db8:bb:' 'not whole, or not from the translated prefix'
}

# by_xdp INTERFACE: packets that XDP has finished there
by_xdp() {
	$FL --json show interfaces | /usr/bin/python3 -c 'import json, sys
print(next(i["xdp_packets"] for i in json.load(sys.stdin) if i["name"] == sys.argv[1]))' "$1"
}

traffic() {
	step 'From the LAN to the internet and back'
	run lan "ping -c 5 -i 0.2 $INET_HOST"
	expect ' 0% packet loss' 'pings were lost'
	say '' '50 MB by TCP, with a checksum at both ends. "from" is whom the internet host sees.'
	transfer
}

modes() {
	step 'Which mode each interface runs in, and who carried what'
	run router "$FL show interfaces"
	expect '^wan +eth0 +native' 'the WAN interface does not run native XDP'
	expect '^lan +eth1 +native' 'the LAN interface does not run native XDP'
	say '' 'XDP_PACKETS are those of RX_PACKETS that XDP finished, here the pings: a virtual host sends TCP in pieces' \
		'of 64 kB with unfinished checksums, and tc carries those as they are. As a network card has them:'
	run lan 'ethtool -K eth0 tx off tso off gso off'
	transfer
	run router "$FL show interfaces"
	[ "$(by_xdp lan)" -ge 30000 ] || wrong 'XDP did not carry it'
	in_host lan ethtool -K eth0 tx on tso on gso on > /dev/null
}

# capture HOST DEVICE FILTER: the first packet there, in the background
captures=()
capture() {
	: > "$DEMO_DIR/$1.err"
	in_host "$1" timeout 10 tcpdump -c 1 -lni "$2" "$3" > "$DEMO_DIR/$1.dump" 2> "$DEMO_DIR/$1.err" &
	captures+=($!)
	for _ in {1..100}; do
		grep -q listening "$DEMO_DIR/$1.err" && return
		sleep 0.05
	done
	wrong "tcpdump on $1 does not start"
}

# captured HOST DEVICE FILTER PATTERN
captured() {
	prompt "$1" "tcpdump -c 1 -ni $2 '$3'"
	print < "$DEMO_DIR/$1.dump"
	expect "$4" 'this is not the packet that was sent'
}

one_packet() {
	local request='icmp6 and ip6[40] == 128'
	step 'One packet at three places: as it is sent, in the tunnel, as it arrives'
	capture lan eth0 "$request"
	capture wan eth0 'proto 41'
	capture inet eth0 "$request"
	run lan "ping -q -c 1 $INET_HOST"
	wait "${captures[@]}"
	captured lan eth0 "$request" "IP6 2001:db8:aa::80 > $INET_HOST: ICMP6, echo request"
	captured wan eth0 'proto 41' "203.0.113.2 > 198.51.100.65: IP6 2001:db8:bb:[0-9a-f:]+ > $INET_HOST: ICMP6, echo request"
	captured inet eth0 "$request" "IP6 2001:db8:bb:[0-9a-f:]+ > $INET_HOST: ICMP6, echo request"
	good 'ffee is what keeps the sum of the address: no checksum of any protocol has to change (RFC 6296).'
}

errors() {
	step 'What can not go on is answered, or dropped and counted'
	STATUS=1 run lan "ping -c 1 -W 1 -M do -s 1433 $INET_HOST"
	expect 'Packet too big: mtu=1480' 'there is no Packet Too Big'
	STATUS=1 run lan "ping -c 1 -W 1 -t 1 $INET_HOST"
	expect 'Time exceeded' 'there is no Time Exceeded'
	say '' "A source address that lies on another interface of the router:"
	run lan 'ip addr add 2001:db8:2::66/128 dev eth0 nodad'
	STATUS=1 run lan "ping -q -c 3 -i 0.2 -W 1 -I 2001:db8:2::66 $INET_HOST"
	expect '100% packet loss' 'a false source came through'
	run lan 'ip addr del 2001:db8:2::66/128 dev eth0'
	run router "$FL show drops"
	expect '^spoofed-source +lan +3 ' 'the three packets are not counted'
}

counters() {
	step 'What the tunnel and the translation have carried, here and at the broker'
	run router "$FL show tunnels"
	run router "$FL show translations"
	run broker 'fairlead --instance demo-broker show tunnels'
	expect '^kimsufi +203.0.113.2 .* [0-9]{4,} ' "the broker has not counted its client's packets"
}

explain() {
	step 'What would happen to this packet?' 'It runs through the programs themselves, but is not sent and leaves no trace.'
	run router "$FL explain --in lan --src $LAN_HOST --dst $INET_HOST --proto tcp --dport 443"
	expect '^verdict +forward' 'it would not be forwarded'
	expect '^source +becomes 2001:db8:bb:' 'it would not be translated'
}

# 0 or 1: the lowest bit of the generation
set_in_force() {
	bpftool -j map dump pinned "$PINS/fl_control" | /usr/bin/python3 -c 'import json, sys
print(json.load(sys.stdin)[0]["formatted"]["value"]["gen"] & 1)'
}

maps() {
	step 'Programs and maps are open to look at'
	run router 'bpftool net show'
	expect '^eth1\([0-9]+\) driver id' 'there is no XDP program on eth1'
	run router "bpftool prog show pinned $PINS/prog_fl_xdp"
	say '' 'A port and a translation, with the names that the C code uses. A change of configuration fills the set of ports' \
		'that is not in force, whose first index is 0 or 512, and then switches:'
	run router "bpftool map lookup pinned $PINS/fl_ports key 1 $(($(set_in_force) * 2)) 0 0"
	expect '"xmit_ifindex": [1-9]' 'the port is not in its map, or the map has no types'
	run router "bpftool map lookup pinned $PINS/fl_npt key 1 0 0 0"
	expect '"internal_len": 64' 'the translation is not in its map'
}

sent_by_tunnel() {
	$FL --json show tunnels | /usr/bin/python3 -c 'import json, sys
print(next(t["tx_packets"] for t in json.load(sys.stdin) if t["name"] == "ip4m"))'
}

# A transfer of pings from before the end of the daemon until after the start of the next one
killed() {
	local ping before
	step 'The daemon dies in the middle of it'
	before=$(sent_by_tunnel)
	prompt lan "until [ -e $DEMO_DIR/up ]; do ping -q -c 20 -i 0.05 $INET_HOST; done | grep loss &"
	until [ -e "$DEMO_DIR/up" ]; do
		in_host lan ping -q -c 20 -i 0.05 $INET_HOST
	done 2>&1 | grep loss > "$DEMO_DIR/ping" &
	ping=$!
	sleep 1
	# shellcheck disable=SC2016 # expanded where it runs
	run router 'kill -9 $(cat /run/fairlead/demo.lock)'
	STATUS=3 run router "$FL status"
	sleep 1
	run router "fairleadd --instance demo -c $DEMO_DIR/router.json"
	touch "$DEMO_DIR/up"
	wait $ping || wrong 'ping has failed'
	say '' 'And the pings:' ''
	print < "$DEMO_DIR/ping"
	! grep -qv '^20 packets transmitted, 20 received, 0% packet loss' "$DEMO_DIR/ping" || wrong 'pings were lost'
	run router "$FL show tunnels"
	[ "$(sent_by_tunnel)" -ge $((before + 20 * $(wc -l < "$DEMO_DIR/ping"))) ] || wrong 'the counters did not go on'
	good 'No packet was lost: the programs go on by themselves, and the next daemon takes over what it finds, counters too.'
}

unload() {
	step 'And away again'
	run router "$FL unload --yes"
	run broker 'fairlead --instance demo-broker unload --yes'
	run router 'bpftool net show; ip -br addr; ip -6 route show default'
	! grep -qE 'fl_|fl-|ip4m' <<< "$output" || wrong 'something is left'
	STATUS=2 run router "ls $PINS"
}

tunnel_part() {
	tunnel_drawing
	tunnel_lab
	start
	traffic
	modes
	one_packet
	errors
	counters
	explain
	maps
	killed
	[ "${KEEP:-0}" != 0 ] || unload
}
