#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# An example for "hooks": { "gateway": [ "/etc/fairlead/hooks/gateway.sh" ] }: tells a web hook of each gateway that goes down or comes
# back. HOOKS in fairleadd(8) says which variables there are, and what a script may do. Copy it, chown root, chmod 0755.

set -u

URL=${URL:-} # where to; while it is empty, what would be told goes to the daemon's log
# shellcheck source=/dev/null
[ -r /etc/fairlead/hooks/gateway.conf ] && . /etc/fairlead/hooks/gateway.conf

text="$FAIRLEAD_NODE: gateway $FAIRLEAD_NAME (${FAIRLEAD_INTERFACE:-?} ${FAIRLEAD_ADDRESS:-}): \
$FAIRLEAD_OLD_STATUS -> $FAIRLEAD_STATUS: $FAIRLEAD_REASON"

# Latency and loss come and go: only who can carry matters here
case $FAIRLEAD_OLD_STATUS/$FAIRLEAD_STATUS in
down/* | */down) ;;
*) exit 0 ;;
esac

if [ -z "$URL" ]; then
	echo "$text"
	exit 0
fi

# Less than the ten seconds after which the daemon ends a script. The uplink that has just died may be the way there: try again
for _ in 1 2 3; do
	curl --silent --show-error --fail --max-time 2 --data-urlencode "text=$text" "$URL" && exit 0
	sleep 0.5
done
exit 1
