#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""bpf_pin.py xdp|tc PATH: loads a program that lets everything pass and pins it: somebody else's program, for tests."""

import ctypes
import os
import platform
import struct
import sys

SYS_BPF = {"x86_64": 321, "aarch64": 280}[platform.machine()]
LOAD, PIN = 5, 6
TYPES = {"xdp": (6, 2), "tc": (3, 0)}  # program type; XDP_PASS, TC_ACT_OK


def bpf(command, attributes):
    buffer = ctypes.create_string_buffer(attributes, 128)
    result = ctypes.CDLL(None, use_errno=True).syscall(SYS_BPF, command, buffer, 128)
    if result < 0:
        raise OSError(ctypes.get_errno(), "bpf(%d)" % command)
    return result


def main():
    kind, verdict = TYPES[sys.argv[1]]
    code = struct.pack("<BBhi", 0xB7, 0, 0, verdict) + struct.pack("<BBhi", 0x95, 0, 0, 0)  # r0 = verdict; exit
    code_buffer = ctypes.create_string_buffer(code, len(code))
    licence = ctypes.create_string_buffer(b"GPL")
    attributes = struct.pack("<IIQQ", kind, 2, ctypes.addressof(code_buffer), ctypes.addressof(licence))
    attributes += struct.pack("<IIQII16s", 0, 0, 0, 0, 0, b"foreign")
    fd = bpf(LOAD, attributes)
    path = ctypes.create_string_buffer(sys.argv[2].encode())
    bpf(PIN, struct.pack("<QII", ctypes.addressof(path), fd, 0))
    os.close(fd)


main()
