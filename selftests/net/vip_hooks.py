#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Router advertisements on a wire, as lines of JSON: t, ether (who sent the frame), source, lifetime, mac (the option's)

usage: vip_hooks.py DEVICE, in the network namespace
"""

import ipaddress
import json
import socket
import sys
import time

RA, OPTION_SOURCE_MAC = 134, 1


def text(mac):
    return ":".join(f"{byte:02x}" for byte in mac)


def option(packet, kind):
    """The contents of the first option of that kind behind an advertisement's 16 bytes."""
    at = 16
    while at + 2 <= len(packet) and packet[at + 1]:
        if packet[at] == kind:
            return packet[at + 2:at + packet[at + 1] * 8]
        at += packet[at + 1] * 8
    return b""


def checksum_is_right(frame):
    """RFC 4443 2.3: over the addresses, the length, the next header and the message."""
    length = int.from_bytes(frame[18:20], "big")
    data = frame[22:54] + length.to_bytes(4, "big") + bytes((0, 0, 0, 58)) + frame[54:54 + length]
    data += b"\0" * (len(data) % 2)
    total = sum(int.from_bytes(data[i:i + 2], "big") for i in range(0, len(data), 2))
    return total % 0xffff == 0


def main():
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x86dd))
    wire.bind((sys.argv[1], 0))
    while True:
        frame = wire.recv(2048)
        if len(frame) < 70 or frame[20] != 58 or frame[54] != RA:
            continue
        print(json.dumps({
            "t": time.time(),
            "ether": text(frame[6:12]),
            "source": str(ipaddress.IPv6Address(frame[22:38])),
            "lifetime": int.from_bytes(frame[60:62], "big"),
            "mac": text(option(frame[54:], OPTION_SOURCE_MAC)),
            "checksum": checksum_is_right(frame),
        }), flush=True)


main()
