#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The shipped configs/S5-*.json: two nodes with WAN, LAN, DMZ and a sync link of their own. Whatever is killed, pulled or cut off, the
# connections from the LAN to the DMZ and from there to the world go on, and each shared address is one node's. The lab is that of s5lab.sh.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../lab.sh"
. "$(dirname "$0")/../pairlab.sh"
. "$(dirname "$0")/../s5lab.sh"

scenario() {
	s5_world
	FL_PYTHON_TIMEOUT=400 python_tests s5.py --lab "$FL_PREFIX" --how "$1" --config "$FL_TMP/S5-pri01.json"
	[ "$1" = tc ] || python_tests s5_vpn.py --lab "$FL_PREFIX" --how "$1" --config "$FL_TMP/S5-pri01.json"
	teardown
}

FL_MODES=${FL_MODES:-native tc}
for mode in $FL_MODES; do
	test_group "$mode"
	scenario "$mode"
done
finish
