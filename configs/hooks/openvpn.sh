#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# An example for "hooks": { "vip": [ "/etc/fairlead/hooks/openvpn.sh" ] }: an OpenVPN server, or client, runs where the shared address is.
#
# The server is bound to the shared address (openvpn.conf of this directory), so it can start only where that is; both nodes have the
# same keys and certificates. Clients find out by their pings (openvpn-client.conf) that nobody knows their session any more, and
# connect again: with the same address, to the other node. Bound with "local" and net.ipv4.ip_nonlocal_bind=1 it could run on
# both nodes all the time; a start takes less time than a client's pings, and what does not run can't have stale sessions.
#
# The same for a client of a VPN provider, of which there can be one at a time: "local" or "bind" to the shared address there too.
#
# systemctl disable it: it is started by this script alone.
# Settings are read from openvpn.env beside this script. HOOKS in fairleadd(8) says which variables fairleadd gives to it.

set -u

VIP=wan_vip
START='systemctl start openvpn-server@vip' # /etc/openvpn/server/vip.conf
STOP='systemctl stop openvpn-server@vip'
# shellcheck source=/dev/null
[ -r "${0%.sh}.env" ] && . "${0%.sh}.env"

[ "$FAIRLEAD_VIP" = "$VIP" ] || exit 0

if [ "$FAIRLEAD_ROLE" = master ]; then
	[ "$FAIRLEAD_BEFORE" != master ] || $STOP # its addresses are other ones
	$START
else
	$STOP
fi
