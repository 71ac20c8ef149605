#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# An example for "hooks": { "vip": [ "/etc/fairlead/hooks/radvd.sh" ] }: radvd runs where the shared address is, with radvd.conf of this
# directory, which has it advertise the shared link-local address: hosts keep their router when the other node takes it over.
#
# The node that has lost it says goodbye (a lifetime of 0) from its own link-local address, so that hosts that know that one as a router
# forget it. It must not from the shared one, which is the other node's now, and fairlead does not let it.
#
# Without a link-local one among the shared addresses, and without AdvRASrcAddress, radvd advertises each node's own: then its own
# goodbye, when it is stopped, is the one that counts; set GOODBYE to nothing.
#
# systemctl disable radvd: it is started by this script alone.
# Settings are read from radvd.env beside this script. HOOKS in fairleadd(8) says which variables fairleadd gives to it.

set -u

VIP=lan_vip
START='systemctl start radvd'
STOP='systemctl stop radvd'
GOODBYE=${0%.sh}-goodbye.conf
# shellcheck source=/dev/null
[ -r "${0%.sh}.env" ] && . "${0%.sh}.env"

[ "$FAIRLEAD_VIP" = "$VIP" ] || exit 0

if [ "$FAIRLEAD_ROLE" = master ]; then
	[ "$FAIRLEAD_BEFORE" != master ] || $STOP # its addresses are other ones
	$START
	exit
fi
$STOP
# Once when it starts, and once when it is told to end
if [ "$FAIRLEAD_BEFORE" = master ] && [ -n "$GOODBYE" ]; then
	timeout 1 radvd --nodaemon --logmethod stderr_clean --pidfile "${TMPDIR:-/tmp}/radvd-goodbye.$$" --config "$GOODBYE"
fi
exit 0
