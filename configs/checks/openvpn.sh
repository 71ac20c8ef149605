#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# An example for "checks": VPN tunnels re-establish after failover. The gateway behind the VPN is up again within so many seconds, of the ten that
# a check has. A drill runs it at the node that has taken over, when the others have missed the master and the VPN has begun there.

set -u

GATEWAY=${1:-VPN_GW}
MOST=${2:-8}

end=$(($(date +%s) + MOST))
until fairlead --instance "${FAIRLEAD_INSTANCE:-default}" --json show gateways | tr -d '\n' | sed 's/}, *{/}\n{/g' |
	grep "\"name\": *\"$GATEWAY\"" | grep -q '"status": *"up"'; do
	if [ "$(date +%s)" -ge "$end" ]; then
		echo "gateway $GATEWAY is not up $MOST s later: does the master run the VPN (hooks/openvpn.sh), and does its other end try again?"
		exit 1
	fi
	sleep 0.5
done
echo "gateway $GATEWAY is up"
