#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""What each of an instance's programs cost the verifier. --limit N: a test, failed by one above."""

import argparse
import ctypes
import json
import os
import platform
import struct
import subprocess

from wire import check, main

SYS_BPF = {"x86_64": 321, "aarch64": 280}[platform.machine()]
PROG_GET_FD_BY_ID = 13


def verified(number):
    """Instructions that the verifier looked at, of the program with that id; 0 where the kernel does not say."""
    attributes = ctypes.create_string_buffer(struct.pack("<III", number, 0, 0), 128)
    fd = ctypes.CDLL(None, use_errno=True).syscall(SYS_BPF, PROG_GET_FD_BY_ID, attributes, 128)
    if fd < 0:
        return 0
    with open("/proc/self/fdinfo/%d" % fd, encoding="ascii") as info:
        fields = dict(line.split(None, 1) for line in info)
    os.close(fd)
    return int(fields.get("verified_insns:", 0))


def programs(instance):
    costs = {}
    for name in ("fl_xdp", "fl_xdp_generic", "fl_icmp", "fl_tc_in", "fl_tc_out"):
        pin = "/sys/fs/bpf/fairlead/%s/prog_%s" % (instance, name)
        shown = subprocess.run(["bpftool", "-j", "prog", "show", "pinned", pin], stdout=subprocess.PIPE, check=True).stdout
        costs[name] = verified(json.loads(shown)["id"])
    return costs


def main_program():
    parser = argparse.ArgumentParser()
    parser.add_argument("--prefix", default="")
    parser.add_argument("--limit", type=int, required=True)
    parser.add_argument("--instance", required=True)
    args = parser.parse_args()

    def test_verified_instructions():
        costs = programs(args.instance)
        print("# verifier, %s: %s" % (platform.release(), ", ".join("%s %d" % item for item in sorted(costs.items()))))
        check(max(costs.values()) <= args.limit, "more than %d instructions: %s" % (args.limit, costs))

    main([test_verified_instructions], args.prefix)


main_program()
