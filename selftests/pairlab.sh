# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Two routers as one. Sourced after lib.sh. Each segment is a switch (a bridge of its own, which learns MACs), whose ports have the names of
# the segment and of who is there:
#
#   lan host ── lan-h ┐ lan ┌ lan-a ── eth1  a  eth0 ── wan-a ┐ wan ┌ wan-h ── eth0  isp (and the world behind it)
#                     └─────┴ lan-b ── eth1  b  eth0 ── wan-b ┴─────┘
#   dmz host ── dmz-h ┐ dmz ┌ dmz-a ── eth2  a  eth3 ── sync-a ┐ sync
#                     └─────┴ dmz-b ── eth2  b  eth3 ── sync-b ┘

a='' b='' switch='' lan='' isp='' dmz='' # what the namespaces are really called

# segment NAME DEVICE [HOST]: the switch, and the cables to both nodes and to a host's eth0
segment() {
	local port
	ip -n "$switch" link add name "$1" type bridge mcast_snooping 0
	ip -n "$switch" link set dev "$1" up
	veth "$a" "$2" "02:00:00:00:0a:0${2#eth}" "$switch" "$1-a" "02:00:00:00:1a:0${2#eth}"
	veth "$b" "$2" "02:00:00:00:0b:0${2#eth}" "$switch" "$1-b" "02:00:00:00:1b:0${2#eth}"
	if [ $# -gt 2 ]; then
		veth "$3" eth0 "02:00:00:00:0c:0${2#eth}" "$switch" "$1-h" "02:00:00:00:1c:0${2#eth}"
		napi "$3" eth0
	fi
	for port in a b ${3:+h}; do
		ip -n "$switch" link set dev "$1-$port" master "$1"
		napi "$switch" "$1-$port"
	done
}

# secrets FILE...: each file's configuration gets the keys of this run in place of /etc/fairlead's, and is written to $FL_TMP
secrets() {
	local file
	printf 'love\n' > "$FL_TMP/carp.key"
	od -An -v -tx1 -N32 /dev/urandom | tr -d ' \n' > "$FL_TMP/sync.key"
	echo >> "$FL_TMP/sync.key"
	chmod 600 "$FL_TMP"/*.key
	for file in "$@"; do
		sed "s#/etc/fairlead/\(carp\|sync\)\.key#$FL_TMP/\1.key#" "$FL_ROOT/configs/$file" > "$FL_TMP/$file"
	done
}
