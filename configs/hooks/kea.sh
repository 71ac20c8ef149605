#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# An example for "hooks": { "vip": [ "/etc/fairlead/hooks/kea.sh" ] }: Kea serves DHCP where the shared address is.
#
# Kea runs on both nodes all the time, with kea-dhcp4.conf of this directory: each sends what it has leased to the other one, so both know
# all leases. Only the node that has VIP answers. Clients know one server, whose identifier is the shared address, and so renew
# at either node. This script switches answering on and off, and a node that has been away fetches what was leased meanwhile.
#
# A Kea that is started by itself would answer at once, also on the standby: have its unit ask (systemctl edit kea-dhcp4-server):
#	[Service]
#	ExecStartPost=-/etc/fairlead/hooks/kea.sh
# Settings are read from kea.env beside this script. HOOKS in fairleadd(8) says which variables fairleadd gives to it.

set -u

VIP=lan_vip                # the shared address by which clients know the router
URL=http://127.0.0.1:8000/ # this node's Kea, as in its "high-availability"
PEER=                      # the other node's, in the same form
# shellcheck source=/dev/null
[ -r "${0%.sh}.env" ] && . "${0%.sh}.env"

[ "${FAIRLEAD_VIP:-$VIP}" = "$VIP" ] || exit 0

# The role, where fairleadd has not told it; a daemon that is not there has no address
role=${FAIRLEAD_ROLE:-$(fairlead --json show vips 2> /dev/null |
	tr -d '\n' | sed 's/}, *{/}\n{/g' | sed -n "s/.*\"name\": *\"$VIP\".*\"role\": *\"\([a-z]*\)\".*/\1/p")}

# post URL SECONDS COMMAND
post() {
	curl --silent --show-error --max-time "$2" --header 'Content-Type: application/json' \
		--data "{ \"command\": \"$3\", \"service\": [ \"dhcp4\" ] }" "$1"
}

# leases URL: one a line
leases() {
	post "$1" 2 lease4-get-all | tr -d '\n' | sed -e 's/.*"leases": *\[//' -e 's/}, *{/}\n{/g'
	echo
}

# What of the other node's leases is newer than this one's own, or missing here, becomes commands, as a configuration of curl
newer() {
	awk -v url="$URL" '
	function of(key) { return match($0, "\"" key "\": *\"?[0-9.]+") ? substr($0, RSTART + length(key) + 2, RLENGTH - length(key) - 2) : "" }
	{ ip = of("ip-address"); gsub(/[^0-9.]/, "", ip); cltt = of("cltt"); gsub(/[^0-9]/, "", cltt); valid = of("valid-lft"); gsub(/[^0-9]/, "", valid) }
	$0 == "theirs" { theirs = 1 }
	ip == "" || cltt == "" { next }
	!theirs { own[ip] = cltt; next }
	cltt + 0 > own[ip] + 0 {
		sub(/\].*/, "")
		sub(/"cltt": *[0-9]+/, "\"expire\": " cltt + valid ", \"force-create\": true")
		gsub(/"/, "\\\"")
		printf "%surl = \"%s\"\ndata = \"{ \\\"command\\\": \\\"lease4-update\\\", \\\"arguments\\\": %s }\"\n", n++ ? "next\n" : "", url, $0
		printf "header = \"Content-Type: application/json\"\noutput = \"/dev/null\"\n"
	}'
}

# It may be about to start; ten seconds are all that a script has
tries=0
until post "$URL" 1 "$([ "$role" = master ] && echo dhcp-enable || echo dhcp-disable)" | grep -q '"result": *0'; do
	tries=$((tries + 1))
	[ $tries -lt 5 ] || exit 1
	sleep 0.5
done

# What was leased while this node was not there
case $role/${FAIRLEAD_BEFORE:-} in
backup/ | backup/init)
	[ -n "$PEER" ] || exit 0
	commands=$({ leases "$URL"; echo theirs; leases "$PEER"; } | newer)
	[ -z "$commands" ] || printf '%s\n' "$commands" | curl --silent --show-error --max-time 4 --config -
	;;
esac
exit 0
