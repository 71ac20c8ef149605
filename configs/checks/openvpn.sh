#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# An example for "checks": VPN tunnels re-establish after failover. The gateway behind the VPN is up again within so many seconds; what a drill
# has begun may still be under way when it is run.

set -u

GATEWAY=${1:-VPN_GW}
MOST=${2:-20}

tries=0
until fairlead --json show gateways | tr -d '\n' | sed 's/}, *{/}\n{/g' | grep "\"name\": *\"$GATEWAY\"" | grep -q '"status": *"up"'; do
	tries=$((tries + 1))
	if [ $tries -gt "$MOST" ]; then
		echo "gateway $GATEWAY is not up $MOST s later: does the master run the VPN (hooks/openvpn.sh), and does its other end try again?"
		exit 1
	fi
	sleep 1
done
echo "gateway $GATEWAY is up"
