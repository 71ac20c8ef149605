#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The shipped pair configs/S1-broker.json and configs/S1-home.json as it is: one's own tunnel broker, whose address and default
# route come by router advertisement, and a home router with a minimal firewall. With the public address; behind fairlead as
# the NAT device, with configs/S1-home-nat-device.json; and behind nftables. s1.py walks along the document.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../lab.sh"
. "$(dirname "$0")/../brokerlab.sh"

# The broker's machine as the document has it ("if eth0 has a SLAAC assigned IP, most likely")
by_advertisement() {
	ip -n "$broker" addr del "$BROKER6/64" dev eth0
	ip -n "$broker" -6 route del default
	in_ns "$broker" sysctl -qw net.ipv6.conf.eth0.accept_ra=1
	BROKER6=2001:db8:cccc:5b00:0:ff:fe00:310
	ip -n "$wan" -6 route replace 2001:db8:cccc:5b00::/56 via fe80::ff:fe00:310 dev net1
	python_in_ns "$wan" advertise.py net1 2001:db8:cccc:5b00::/64
	slowwait 5 in_ns "$broker" ip -6 route get 2001:db8:f::99 || fail "the broker's machine has no default route: $(ip -n "$broker" -6 route)"
}

# instance_start NAME CONFIG MODE: a shipped configuration in the namespace of that name. Without probes, which packets are counted beside
instance_start() {
	cp "$FL_ROOT/configs/$2" "$FL_TMP/$1.json"
	config_edit "$FL_TMP/$1.json" "for i in d['interfaces'].values(): i['mode'] = '$3'
for g in d.get('gateways', {}).values(): g['monitor'] = False"
	daemon_start "$1" "${!1}" "$FL_TMP/$1.json"
}

start_all() {
	world
	by_advertisement || return
	case $1 in
	public) public ;;
	behind-nftables) behind_nat ;;
	behind-fairlead) private && instance_start nat S1-home-nat-device.json "$2" ;;
	esac && instance_start broker S1-broker.json "$2" && instance_start home S1-home.json "$2"
}

transfers() {
	check "20 MB up" transfer tcp "$lan" "$inet" "$INET_HOST" 20000000
	check "20 MB down" transfer tcp "$lan" "$inet" "$INET_HOST" 20000000 --reverse
	check_not "from outside" transfer tcp "$inet" "$lan" "$HOST" 1000 --seconds 5
}

answers_probes() {
	[ "$(fl home --json show gateways | json '[(g["status"], g["reason"]) for g in d]')" = "[('up', 'answers')]" ]
}

# With its probes, as it is shipped: they come back, though no rule passes them
probed() {
	config_edit "$FL_TMP/home.json" "for g in d['gateways'].values(): g.pop('monitor')"
	check "apply" fl home apply "$FL_TMP/home.json"
	slowwait 5 answers_probes || fail "the gateway: $(fl home show gateways)"
}

ok_status() {
	local name
	for name in "${fl_instances[@]}"; do
		check_match "$name" "$(fl "$name" status | head -n 1)" '^OK'
	done
}

for mode in ${FL_MODES:-native tc}; do
	for how in public behind-fairlead behind-nftables; do
		[ "$mode/$how" != tc/behind-nftables ] || continue # as behind fairlead
		test_group "$mode/$how"
		if started start_all $how "$mode" && run_test first-ping first_ping; then
			python_tests s1.py --lab "$FL_PREFIX" --how $how
			run_test transfers transfers
			run_test ipv4 ipv4_is_the_hosts
			run_test probed probed
			run_test status ok_status
		fi
		teardown
	done
done
finish
