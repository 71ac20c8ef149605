#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# An example for "checks": DHCP leases are synced. Both nodes' Kea, as kea.env of hooks/kea.sh names them, know the same leases.

set -u

URL=http://127.0.0.1:8000/
PEER=
SETTINGS=${1:-/etc/fairlead/hooks/kea.env}
# shellcheck source=/dev/null
[ -r "$SETTINGS" ] && . "$SETTINGS"

# leases URL: their addresses, one a line; false: no answer that could be used
leases() {
	answer=$(curl --silent --show-error --max-time 3 --header 'Content-Type: application/json' \
		--data '{ "command": "lease4-get-all", "service": [ "dhcp4" ] }' "$1" 2>&1)
	echo "$answer" | grep -qE '"result": *[03]' || return 1
	echo "$answer" | tr ',' '\n' | sed -n 's/.*"ip-address": *"\([0-9.]*\)".*/\1/p' | sort
}

own=$(leases "$URL") || { echo "no answer from this node's Kea, $URL: does it run?"; exit 1; }
others=$(leases "$PEER") || {
	# where a drill has cut the other node off, all that can be asked is whether this one knows any
	case ${FAIRLEAD_SCENARIO:-} in
	power | lan-link)
		[ -n "$own" ] || { echo "no lease is known here, and the other node's Kea, which the drill has cut off, can't be asked"; exit 1; }
		echo "$(echo "$own" | grep -c .) leases here; the other node's Kea is cut off by the drill"
		exit 0
		;;
	esac
	echo "no answer from the other node's Kea, \"$PEER\": does it run, and is PEER in $SETTINGS right?"
	exit 1
}
if [ "$own" != "$others" ]; then
	echo "the nodes know different leases; here: $(echo "$own" | tr '\n' ' '), there: $(echo "$others" | tr '\n' ' ')"
	exit 1
fi
echo "$(echo "$own" | grep -c .) leases, the same on both nodes"
