#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""pcapng.py FILE: a line for each packet: interface, direction, length, comment. The format is checked on the way."""

import struct
import sys

import logging

logging.getLogger("scapy").setLevel(logging.ERROR)  # of comments that do not end with a newline
from scapy.utils import PcapNgReader  # noqa: E402


def options(block):
    """Code -> value of a block's options."""
    found = {}
    while block:
        code, length = struct.unpack_from("=HH", block)
        if code == 0:
            assert length == 0 and len(block) == 4, "what follows the end of the options"
            return found
        found[code] = block[4 : 4 + length]
        block = block[4 + (length + 3) // 4 * 4 :]
    raise AssertionError("options without an end")


def blocks(data):
    while data:
        kind, length = struct.unpack_from("=II", data)
        assert length % 4 == 0 and struct.unpack_from("=I", data, length - 4)[0] == length
        yield kind, data[8 : length - 4]
        data = data[length:]


def packets(data):
    """Interface, direction, length, comment, time in microseconds of each packet."""
    names = []
    for kind, body in blocks(data):
        if kind == 0x0A0D0D0A:
            assert struct.unpack_from("=IHH", body) == (0x1A2B3C4D, 1, 0)
            options(body[16:])
        elif kind == 1:
            assert struct.unpack_from("=H", body)[0] == 1
            names.append(options(body[8:])[2].decode())
        elif kind == 6:
            number, high, low, captured, length = struct.unpack_from("=IIIII", body)
            found = options(body[20 + (captured + 3) // 4 * 4 :])
            direction = {1: "in", 2: "out"}[struct.unpack("=I", found[2])[0]]
            yield names[number], direction, length, found[1].decode(), high << 32 | low
        else:
            raise AssertionError("block %#x" % kind)


def main():
    with open(sys.argv[1], "rb") as file:
        ours = list(packets(file.read()))
    theirs = list(PcapNgReader(sys.argv[1]))
    assert len(ours) == len(theirs)
    for (name, direction, length, comment, time_us), packet in zip(ours, theirs):
        assert len(packet) == length and abs(packet.time - time_us / 1e6) < 1e-5, packet
        print(name, direction, length - 14, comment)


main()
