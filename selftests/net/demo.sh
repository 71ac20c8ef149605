#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What `make demo` shows is still so, and nothing of it is left.

. "$(dirname "$0")/../lib.sh"

# Its hosts, its lock and its instances have fixed names
demo_leftovers() {
	ip netns list | awk '/^demo-/ { print $1 }'
	find /sys/fs/bpf/fairlead /run /run/fairlead -maxdepth 1 -name '*demo*' 2> /dev/null
}

all_steps() {
	check "the demo" env -u KEEP "$FL_ROOT/selftests/demo/run"
	check_equal "left over" "$(demo_leftovers)" ""
}

run_test all-steps all_steps
finish
