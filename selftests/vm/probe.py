# SPDX-License-Identifier: GPL-2.0-only
"""The timekeeper's tests of selftests/net, on this kernel: it has devices that others lack, and older packet and raw sockets."""

import os
import re
import subprocess
import sys

from guestlab import arguments

args = arguments()
tests = subprocess.run([os.environ["FL_BUILD"] + "/net", "--tap", "--jobs", "1", "--filter", "timekeeper*/*"],
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
for line in tests.stdout.splitlines():
    result = re.match(r"(ok|not ok) +(?:- *)?timekeeper(?:_probes)?::(\S+)(.*)", line)
    if result:
        print("%s %s%s%s" % (result.group(1), args.prefix, result.group(2).replace("_", "-"), result.group(3)))
    elif line.startswith(" "):  # why it failed; else what Criterion says of itself, and of tests that were not asked for
        print("# " + line)
sys.exit(1 if tests.returncode else 0)
