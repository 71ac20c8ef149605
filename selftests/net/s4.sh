#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The shipped configs/S4-*.json: two nodes share an address on the WAN and one on the LAN, with adverts each second; states and configuration
# are replicated over the LAN itself. A file transfer goes on whatever is unplugged.
#
#   lan  192.168.0.50      192.168.0.10   a 192.168.0.11      a 172.25.46.101    172.25.46.100    172.25.46.1  isp, and the world: 198.51.100.1
#                                         b 192.168.0.12      b 172.25.46.102

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../lab.sh"
. "$(dirname "$0")/../pairlab.sh"

world() {
	local node i=1
	setup_ns switch a b lan isp
	segment wan eth0 "$isp"
	segment lan eth1 "$lan"
	for node in "$a" "$b"; do
		ip -n "$node" addr add "172.25.46.10$i/24" dev eth0
		ip -n "$node" addr add "192.168.0.1$i/24" dev eth1
		i=$((i + 1))
	done
	ip -n "$lan" addr add 192.168.0.50/24 dev eth0
	ip -n "$lan" route add default via 192.168.0.10
	ip -n "$isp" addr add 172.25.46.1/24 dev eth0
	ip -n "$isp" addr add 198.51.100.1/32 dev lo
	secrets S4-a.json S4-b.json
}

for mode in ${FL_MODES:-native tc}; do
	test_group "$mode"
	world
	FL_PYTHON_TIMEOUT=300 python_tests s4.py --lab "$FL_PREFIX" --how "$mode" --config "$FL_TMP/S4-a.json"
	teardown
done
finish
