#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# An example for "checks": alerts fire on state transitions. Syslog has the line of a change of role that wazuh/fairlead_rules.xml alerts on.
# Whether the alert itself came is known to the SIEM: where it can be asked from here, ask it below.

set -u

SINCE=${1:-5 minutes ago}

line=$(journalctl --quiet --identifier fairleadd --since "$SINCE" --grep '^carp: .*: state transition: ' --lines 1 --output cat)
if [ -z "$line" ]; then
	echo "no line about a change of role in syslog since $SINCE: is \"log\": { \"events\": \"syslog\" } on, and does syslog run?"
	exit 1
fi
echo "$line"
