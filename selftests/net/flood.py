#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Sends from the LAN without pause and looks at everything that the router puts on wan. Ends on SIGTERM with one line of JSON:
what was sent, how much of it came out encapsulated and translated, and what else came out: leaks.

What may leave the router: protocol 41 between the tunnel's ends, with inner sources of the external prefix or of the router
itself; translated packets; IPv4 packets of the LAN host without IP options (with them, fairlead forwards none and the kernel would);
the router's own noise (ARP, neighbour discovery, MLD). Anything else is a leak.
"""

import ipaddress
import json
import signal

import packet
from lab import *

lab = Lab()
OUTSIDE = [ipaddress.IPv6Network(p) for p in (EXTERNAL, "2001:db8:cc::/64", "2001:db8:1::/64", "2001:db8:2::/64", "fe80::/10")]
TARGETS = [INET_HOST, "2001:db8:77::99"]  # one through the tunnel, one by wan itself
LAN4, TARGET4 = "192.0.2.80", "198.18.7.7"
OPTIONS = b"\x01\x01\x01\x00"


def allowed(p):
    if p.version is None:
        return True  # ARP
    if p.version == 4:
        if (p.src, p.dst) == (LAN4, TARGET4):
            return p.raw[14] == 0x45
        return p.proto == packet.ICMP or (p.inner is not None and (p.src, p.dst) == (WAN_ROUTER, BROKER) and allowed(p.inner))
    if p.src == "::":
        return p.proto == packet.ICMP6 or p.proto == 0
    return any(ipaddress.IPv6Address(p.src) in prefix for prefix in OUTSIDE)


def main():
    result = {"sent": 0, "tunnel": 0, "plain": 0, "ipv4": 0, "leaks": 0, "examples": []}
    going = [True]
    signal.signal(signal.SIGTERM, lambda *_: going.clear())
    datagrams = [packet.udp6(LAN_HOST, dst, 4000, 9, b"flood") for dst in TARGETS]
    datagrams += [packet.ip4(LAN4, TARGET4, packet.UDP, packet.udp(LAN4, TARGET4, 4000, 9, b"flood"), options=o) for o in (b"", OPTIONS)]
    frames = [packet.eth(LAN_ROUTER_MAC, LAN_HOST_MAC, datagram) for datagram in datagrams]
    print("ready", flush=True)
    while going:
        for _ in range(16):
            for frame in frames:
                lab.lan.send(frame)
            result["sent"] += len(frames)
        while True:
            p = lab.wan.read(0.002)
            if p is None:
                break
            if not allowed(p):
                result["leaks"] += 1
                if len(result["examples"]) < 5:
                    result["examples"].append(str(p))
            elif p.inner is not None and p.inner.data == b"flood":
                result["tunnel"] += 1
            elif p.data == b"flood":
                result["plain" if p.version == 6 else "ipv4"] += 1
    print(json.dumps(result), flush=True)


main()
