#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# An example for "hooks": { "vip": [ "/etc/fairlead/hooks/strongswan.sh" ] }: IPsec with the shared address as its end.
#
# strongSwan (charon-systemd, strongswan-swanctl) runs where the address is, with swanctl.conf of this directory; both nodes have the same
# secrets. The other end finds out by dead peer detection that nobody knows its SA any more, and makes a new one with the same address:
# see swanctl-client.conf. Charon listens on all addresses, so it could run on both nodes; but then the standby would try to
# initiate from an address that it has not, and after a failback it would have SAs that the other end has given up.
#
# systemctl disable strongswan: it is started by this script alone.
# Settings are read from strongswan.env beside this script. HOOKS in fairleadd(8) says which variables fairleadd gives to it.

set -u

VIP=wan_vip
START='systemctl start strongswan' # loads swanctl.conf too
STOP='systemctl stop strongswan'
# shellcheck source=/dev/null
[ -r "${0%.sh}.env" ] && . "${0%.sh}.env"

[ "$FAIRLEAD_VIP" = "$VIP" ] || exit 0

if [ "$FAIRLEAD_ROLE" = master ]; then
	[ "$FAIRLEAD_BEFORE" != master ] || $STOP # its addresses are other ones
	$START
else
	$STOP
fi
