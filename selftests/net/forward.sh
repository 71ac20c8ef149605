#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# From the LAN through the tunnel to the internet and back, with prefix translation: pings, every field on the wire, 100 MB of
# TCP each way with the hosts' offloads on, UDP of all sizes. The other end is a tunnel end of Python.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../lab.sh"

ping_through() {
	check "ping through the tunnel" pings "$lan" "$INET_HOST" 20
	check "ping back to the LAN host's outside address" pings "$inet" "$(outside "$LAN_HOST")" 20
}

# On both ends; XDP in native mode takes segmentation from the LAN host
offloads_are_on() {
	[ "$1" = native ] || check_match "the LAN host's offloads" "$(in_ns "$lan" ethtool -k eth0)" '^tcp-segmentation-offload: on'
	check_match "the LAN host's offloads" "$(in_ns "$lan" ethtool -k eth0)" '^tx-checksumming: on'
	check_match "the LAN host's offloads" "$(in_ns "$lan" ethtool -k eth0)" '^generic-receive-offload: on'
	check_match "the internet host's offloads" "$(in_ns "$inet" ethtool -k eth0)" '^tcp-segmentation-offload: on'
	check_match "the internet host's offloads" "$(in_ns "$inet" ethtool -k eth0)" '^tx-checksumming: on'
	check_match "the internet host's offloads" "$(in_ns "$inet" ethtool -k eth0)" '^generic-receive-offload: on'
}

tcp_up() {
	offloads_are_on "$1"
	check "100 MB from the LAN" transfer tcp "$lan" "$inet" "$INET_HOST" 100000000
}

tcp_down() {
	offloads_are_on "$1"
	check "100 MB to the LAN" transfer tcp "$lan" "$inet" "$INET_HOST" 100000000 --reverse
}

udp_sizes() {
	check "UDP of all sizes" transfer udp "$lan" "$inet" "$INET_HOST" 0 1 2 63 64 511 1023 1024 1400 1431 1432 1433 1452 \
		2000 3000 8000 30000
}

interfaces_shown() {
	local shown
	shown=$(fl router --json show interfaces)
	check_equal "mode of lan" "$(json 'next(i["mode"] for i in d if i["name"] == "lan")' <<< "$shown")" "$1"
	check_equal "mode of wan" "$(json 'next(i["mode"] for i in d if i["name"] == "wan")' <<< "$shown")" "$1"
	check_equal "packets counted" "$(json 'all(i["rx_packets"] > 1000 for i in d if i["name"] in ("lan", "wan"))' <<< "$shown")" True
	by_xdp "$1" 150 router lan # forward.py's: the checksums of the host's own are not finished, which is work for tc
	by_xdp "$1" 50000 router wan
}

scenario() {
	started lab_with "$1" || return
	run_test warm-up warm_up || return
	run_test ping ping_through
	python_tests forward.py --lab "$FL_PREFIX" --mode "$1"
	run_test tcp-100-mb-up tcp_up "$1"
	run_test tcp-100-mb-down tcp_down "$1"
	run_test udp-sizes udp_sizes
	run_test interfaces interfaces_shown "$1"
	[ "$1" != native ] || python_tests verified.py --limit 300000 --instance "$(instance router)"
}

modes scenario
finish
