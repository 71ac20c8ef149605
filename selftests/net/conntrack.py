#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Connections, packet by packet, through fairlead and through Linux with conntrack: each packet arrives behind both or behind neither, or the
difference is one of those in conntrack.differences, with its reason.

A is inside and may begin connections, B outside may not. Most are made of a beginning, one packet that comes then, and how the two go on
as if that had not been; the others are written out. Sequence numbers count from each end's first one.
"""

import argparse
import os
import struct
import time

import packet
import wire
from packet import ACK, FIN, PSH, RST, SYN
from wire import Port, check

URG, ECE, CWR = 32, 64, 128
A, B = "A", "B"
HOSTS = {4: {A: "192.0.2.51", B: "198.51.100.77"}, 6: {A: "2001:db8:aa::51", B: "2001:db8:f::77"}}
ROUTER_MAC = {A: "02:00:00:00:01:01", B: "02:00:00:00:02:20"}
ISN = {A: 0xFFFFFF00, B: 0xFFFFFE00}  # each wraps
WIN = {A: 64240, B: 65160}

# ---- scripts: lists of functions that make a packet of (family, port) ----


def seg(end, flags, seq=0, ack=0, size=0, win=None, scale=None):
    """A segment: seq counts from the sender's first number, ack from the other's."""
    other = B if end == A else A

    def make(family, port):
        src, dst = HOSTS[family][end], HOSTS[family][other]
        ports = (port, 80) if end == A else (80, port)
        options = b"" if scale is None else struct.pack("!BBBB", 3, 3, scale, 1)
        number = (ISN[other] + ack) % (1 << 32) if flags & ACK else 0
        return end, packet.TCP, packet.tcp(src, dst, *ports, flags=flags, seq=(ISN[end] + seq) % (1 << 32), ack=number, data=bytes(size),
                                           options=options, window=WIN[end] if win is None else win)

    return make


def udp(end, size=10, port_of_b=53):
    other = B if end == A else A

    def make(family, port):
        ports = (port, port_of_b) if end == A else (port_of_b, port)
        return end, packet.UDP, packet.udp(HOSTS[family][end], HOSTS[family][other], *ports, bytes(size))

    return make


def echo(end, answer=False, seq=1):
    other = B if end == A else A

    def make(family, port):
        if family == 6:
            return end, packet.ICMP6, packet.icmp6(HOSTS[6][end], HOSTS[6][other], 129 if answer else 128, 0, port << 16 | seq, b"echo")
        return end, packet.ICMP, packet.icmp4(0 if answer else 8, 0, port << 16 | seq, b"echo")

    return make


def other_protocol(end, proto=89):
    return lambda family, port: (end, proto, b"other" + bytes(15))


def error(end, about, kind, size=None):
    """An ICMP error of `end` about a packet of the other one's, as `about` makes it."""
    kinds = {"unreachable": ((3, 3), (1, 4)), "too big": ((3, 4), (2, 0)), "exceeded": ((11, 0), (3, 0)), "problem": ((12, 0), (4, 0))}

    def make(family, port):
        other, proto, body = about(family, port)
        src, dst = HOSTS[family][end], HOSTS[family][other]
        rest = 1300 if kind == "too big" else 0
        if family == 6:
            quoted = packet.ip6(dst, src, proto, body)[:size]
            return end, packet.ICMP6, packet.icmp6(src, dst, *kinds[kind][1], rest, quoted)
        quoted = packet.ip4(dst, src, proto, body)[:size]
        return end, packet.ICMP, packet.icmp4(*kinds[kind][0], rest, quoted)

    return make


def piece(make_whole, at, to):
    """A fragment of a datagram, of which each is a step: (start, end) in its payload."""

    def make(family, port):
        end, proto, body = make_whole(family, port)
        return end, proto, body[at:to], at, to is not None, make_whole

    return make


OPEN = [seg(A, SYN), seg(B, SYN | ACK, 0, 1), seg(A, ACK, 1, 1)]
SCALED = [seg(A, SYN, scale=7), seg(B, SYN | ACK, 0, 1, scale=8), seg(A, ACK, 1, 1, win=502)]
TALKED = OPEN + [seg(A, PSH | ACK, 1, 1, 1000), seg(B, PSH | ACK, 1, 1001, 1000), seg(A, ACK, 1001, 1001)]
A_CLOSED = TALKED + [seg(A, FIN | ACK, 1001, 1001), seg(B, ACK, 1001, 1002)]

# What has been, and where both are then: (next of A, next of B)
BEGINNINGS = {
    "nothing": ([], 0, 0),
    "SYN": (OPEN[:1], 1, 0),
    "SYN answered": (OPEN[:2], 1, 1),
    "open": (OPEN, 1, 1),
    "talked": (TALKED, 1001, 1001),
    "A's FIN": (TALKED + [seg(A, FIN | ACK, 1001, 1001)], 1002, 1001),
    "B's FIN": (TALKED + [seg(B, FIN | ACK, 1001, 1001)], 1001, 1002),
    "A closed": (A_CLOSED, 1002, 1001),
    "both FIN": (A_CLOSED + [seg(B, FIN | ACK, 1001, 1002)], 1002, 1002),
    "closed": (A_CLOSED + [seg(B, FIN | ACK, 1001, 1002), seg(A, ACK, 1002, 1002)], 1002, 1002),
    "reset by A": (TALKED + [seg(A, RST, 1001)], 1001, 1001),
    "reset by B": (TALKED + [seg(B, RST, 1001)], 1001, 1001),
}

# The packet that comes then, from where both are
THEN = {
    "nothing": lambda a, b: [],
    "the same SYN": lambda a, b: [seg(A, SYN)],
    "another SYN": lambda a, b: [seg(A, SYN, 5000000)],
    "SYN of B": lambda a, b: [seg(B, SYN)],
    "SYN ACK of B": lambda a, b: [seg(B, SYN | ACK, 0, 1)],
    "SYN ACK to another": lambda a, b: [seg(B, SYN | ACK, 0, 700000)],
    "ACK of A": lambda a, b: [seg(A, ACK, a, b)],
    "ACK of B": lambda a, b: [seg(B, ACK, b, a)],
    "data of A": lambda a, b: [seg(A, PSH | ACK, a, b, 100)],
    "data of B": lambda a, b: [seg(B, PSH | ACK, b, a, 100)],
    "old data of A": lambda a, b: [seg(A, PSH | ACK, a - 500, b, 500)],
    "data of A beyond the window": lambda a, b: [seg(A, PSH | ACK, a + 200000, b, 100)],
    "data of B beyond the window": lambda a, b: [seg(B, PSH | ACK, b + 200000, a, 100)],
    "data of B long ago": lambda a, b: [seg(B, PSH | ACK, b - 300000, a, 100)],
    "ACK of B for what was not sent": lambda a, b: [seg(B, ACK, b, a + 500000)],
    "ACK of A long ago": lambda a, b: [seg(A, ACK, a, b - 300000)],
    "FIN of A": lambda a, b: [seg(A, FIN | ACK, a, b)],
    "FIN of B": lambda a, b: [seg(B, FIN | ACK, b, a)],
    "RST of A": lambda a, b: [seg(A, RST, a)],
    "RST of B": lambda a, b: [seg(B, RST, b)],
    "RST ACK of B": lambda a, b: [seg(B, RST | ACK, b, a)],
    "RST of B in the window": lambda a, b: [seg(B, RST, b + 30000)],
    "RST of B out of the window": lambda a, b: [seg(B, RST, b + 300000)],
    "keepalive of A": lambda a, b: [seg(A, ACK, a - 1, b)],
    "keepalive of B with a byte": lambda a, b: [seg(B, ACK, b - 1, a, 1)],
    "window of B closes": lambda a, b: [seg(B, ACK, b, a, win=0), seg(A, ACK, a, b, 1)],
    "no flags": lambda a, b: [seg(A, 0, a)],
    "SYN FIN": lambda a, b: [seg(A, SYN | FIN, a)],
    "SYN RST": lambda a, b: [seg(A, SYN | RST, a)],
    "FIN alone": lambda a, b: [seg(A, FIN, a)],
    "FIN PSH URG": lambda a, b: [seg(A, FIN | PSH | URG, a)],
    "PSH alone": lambda a, b: [seg(A, PSH, a, size=10)],
}


def go_on(a, b):
    return [seg(A, PSH | ACK, a, b, 50), seg(B, PSH | ACK, b, a + 50, 50), seg(A, ACK, a + 50, b + 50)]


def fragments(end, order=(0, 1, 2), cuts=((0, 1400), (1400, 2800), (2800, None)), whole=None):
    whole = whole or udp(end, 3000)
    return [piece(whole, *cuts[i]) for i in order]


WRITTEN = {
    "simultaneous open": [seg(A, SYN), seg(B, SYN), seg(A, SYN | ACK, 0, 1), seg(B, SYN | ACK, 0, 1), *go_on(1, 1)],
    "simultaneous close": OPEN + [seg(A, FIN | ACK, 1, 1), seg(B, FIN | ACK, 1, 1), seg(A, ACK, 2, 2), seg(B, ACK, 2, 2)],
    "refused": [seg(A, SYN), seg(B, RST | ACK, -ISN[B], 1), seg(A, SYN, 70000), seg(B, SYN | ACK, 0, 70001), seg(A, ACK, 70001, 1)],
    "ECN": [seg(A, SYN | ECE | CWR), seg(B, SYN | ACK | ECE, 0, 1), seg(A, ACK, 1, 1), seg(A, PSH | ACK | CWR, 1, 1, 10)],
    "SYN again and again": [seg(A, SYN)] * 3 + [seg(B, SYN | ACK, 0, 1)] * 3 + [seg(A, ACK, 1, 1)] * 2 + go_on(1, 1),
    "data on the SYN": [seg(A, SYN, size=500), seg(B, SYN | ACK, 0, 501), seg(B, PSH | ACK, 1, 501, 1000), seg(A, ACK, 501, 1001)],
    "SYN after the end": BEGINNINGS["closed"][0] + [seg(A, SYN, 5000000), seg(B, SYN | ACK, 9000000, 5000001), seg(A, ACK, 5000001, 9000001)],
    "SYN after a reset": BEGINNINGS["reset by B"][0] + [seg(A, SYN, 5000000), seg(B, SYN | ACK, 9000000, 5000001), seg(A, ACK, 5000001, 9000001)],
    "A forgets": TALKED + [seg(A, SYN, 3000000), seg(B, ACK, 1001, 1001), seg(A, RST, 1001), seg(A, SYN, 3000000),
                           seg(B, SYN | ACK, 7000000, 3000001), seg(A, ACK, 3000001, 7000001)],
    "a SYN reset by guess": [seg(A, SYN), seg(B, RST, 777), seg(B, SYN | ACK, 0, 1), seg(A, ACK, 1, 1), *go_on(1, 1)],
    "a SYN reset with another number": [seg(A, SYN), seg(B, RST | ACK, 0, 777777), seg(B, SYN | ACK, 0, 1), seg(A, ACK, 1, 1), *go_on(1, 1)],
    "only B remembers": [seg(A, SYN), seg(B, ACK, 12345678, 87654321), seg(A, RST, 87654321), seg(A, SYN), seg(B, SYN | ACK, 0, 1), seg(A, ACK, 1, 1)],
    "scaled, in the window": SCALED + [seg(B, ACK, 1, 1, win=4000), seg(A, PSH | ACK, 1000001, 1, 1000, win=502)],
    "scaled, beyond it": SCALED + [seg(B, ACK, 1, 1, win=4000), seg(A, PSH | ACK, 1200001, 1, 1000, win=502)],
    "scales refused": [seg(A, SYN, scale=7), seg(B, SYN | ACK, 0, 1, win=8192), seg(A, ACK, 1, 1), seg(A, PSH | ACK, 7001, 1, 1000),
                       seg(A, PSH | ACK, 100001, 1, 1000)],
    "zero window": OPEN + [seg(A, PSH | ACK, 1, 1, 1000), seg(B, ACK, 1, 1001, win=0), seg(A, ACK, 1001, 1, 1), seg(B, ACK, 1, 1001, win=0),
                           seg(B, ACK, 1, 1001, win=4000), seg(A, PSH | ACK, 1001, 1, 1000)],
    "retransmits": OPEN + [seg(A, PSH | ACK, 1, 1, 1000), seg(A, PSH | ACK, 1001, 1, 1000), seg(A, PSH | ACK, 1, 1, 1000), seg(B, ACK, 1, 2001),
                           seg(A, PSH | ACK, 1, 1, 1000), seg(A, PSH | ACK, 4001, 1, 1000), seg(A, PSH | ACK, 2001, 1, 1000)],
    "half closed": A_CLOSED + [seg(B, PSH | ACK, 1001 + i * 1000, 1002, 1000) for i in range(4)] + [seg(A, ACK, 1002, 5001)],
    "challenge ACK": TALKED + [seg(B, RST, 1011), seg(A, ACK, 1001, 1001), *go_on(1001, 1001)],
    "picked up by A": [seg(A, PSH | ACK, 1000, 2000, 100), seg(B, ACK, 2000, 1100, 100), seg(A, ACK, 1100, 2100)],
    "picked up by B": [seg(B, PSH | ACK, 1000, 2000, 100), seg(A, ACK, 2000, 1100), seg(B, PSH | ACK, 1100, 2000, 100)],
    "UDP": [udp(A), udp(B), udp(A), udp(B), udp(B)],
    "UDP of B": [udp(B), udp(A), udp(B)],
    "UDP of another port": [udp(A), udp(B, port_of_b=54), udp(B)],
    "echo": [echo(A), echo(B, True), echo(A, seq=2), echo(B, True, 2)],
    "echo answered twice": [echo(A), echo(B, True), echo(B, True)],
    "echo of B": [echo(B), echo(A, True)],
    "answer that nobody asked for": [echo(A, True), echo(B, True)],
    "echo from the asked one": [echo(A), echo(B), echo(B, True)],
    "other protocol": [other_protocol(A), other_protocol(B), other_protocol(A)],
    "other protocol of B": [other_protocol(B, 90), other_protocol(A, 90), other_protocol(B, 90)],
    "fragments": [*fragments(A), *fragments(B)],
    "fragments of B": [*fragments(B)],
    "fragments out of order": [udp(A), *fragments(A, (0, 2, 1))],
    "the last fragment first": fragments(A, (2, 0, 1)),
    "a fragment too few": fragments(A, (0, 2)),
    "no first fragment": fragments(A, (1, 2)),
    "tiny first fragment": fragments(A, (0, 1), ((0, 8), (8, None)), udp(A, 100)),
    "first fragment without a whole header": fragments(A, (0, 1), ((0, 8), (8, None)), seg(A, SYN, size=100)),
}
for kind in ("unreachable", "too big", "exceeded", "problem"):
    WRITTEN["%s about UDP" % kind] = [udp(A), error(B, udp(A), kind), udp(B)]
    WRITTEN["%s of A about UDP" % kind] = [udp(A), udp(B), error(A, udp(B), kind)]
    WRITTEN["%s about nothing" % kind] = [error(B, udp(A), kind)]
    WRITTEN["%s of A about nothing" % kind] = [error(A, udp(B), kind)]
    WRITTEN["%s about a segment" % kind] = OPEN + [error(B, seg(A, ACK, 1, 1), kind), *go_on(1, 1)]
    WRITTEN["%s about a SYN" % kind] = [seg(A, SYN), error(B, seg(A, SYN), kind), seg(B, SYN | ACK, 0, 1)]
    WRITTEN["%s about a segment of another window" % kind] = OPEN + [error(B, seg(A, ACK, 30000000, 1), kind), *go_on(1, 1)]
    WRITTEN["%s about an echo" % kind] = [echo(A), error(B, echo(A), kind)]
    WRITTEN["%s with 8 bytes" % kind] = [udp(A), error(B, udp(A), kind, 28)]


def scripts():
    """(name, family, steps)"""
    for beginning, (steps, a, b) in BEGINNINGS.items():
        for then, make in THEN.items():
            yield "%s / %s" % (beginning, then), 4, steps + make(a, b) + go_on(a, b)
    for name, steps in WRITTEN.items():
        for family in (4, 6):
            if family == 4 or not ("8 bytes" in name or "other protocol" in name):
                yield "%s, IPv%d" % (name, family), family, steps


# ---- sending, and who got what ----

parser = argparse.ArgumentParser()
parser.add_argument("--prefix", default="")
parser.add_argument("--lab", required=True)
parser.add_argument("--mode", default="native")
args = parser.parse_args()


class Path:
    """Through one router."""

    def __init__(self, device):
        self.ports = {A: Port(args.lab + "-near", device), B: Port(args.lab + "-far", device)}
        self.arrived = set()

    def send(self, end, datagram):
        self.ports[end].send_to(ROUTER_MAC[end], datagram)

    def look(self, wait):
        for port in self.ports.values():
            while True:
                p = port.read(wait)
                if p is None:
                    break
                if p.version and p.proto is not None:
                    self.arrived.add((p.ident if p.version == 4 else p.flow, p.offset))


PATHS = {"fairlead": Path("fl0"), "conntrack": Path("nf0")}


def datagrams(number, family, steps):
    """(end, key, IP packet) of each step. The identification, or the flow label, is the packet's own, or the datagram's."""
    port, idents = 1024 + number, {}
    for step in steps:
        end, proto, body, *fragment = step(family, port)
        src, dst = HOSTS[family][end], HOSTS[family][B if end == A else A]
        at, more, whole = fragment or (0, False, None)
        ident = idents.get(whole) or next_ident()
        if whole:
            idents[whole] = ident
        if fragment and family == 6:
            head = struct.pack("!BBHI", proto, 0, at | more, ident)
            yield end, (ident, at), packet.ip6(src, dst, packet.FRAGMENT, head + body, flow=ident)
        elif family == 6:
            yield end, (ident, 0), packet.ip6(src, dst, proto, body, flow=ident)
        else:
            yield end, (ident, at), packet.ip4(src, dst, proto, body, ident=ident, offset=at, mf=more)


NUMBERS = [0]


def next_ident():
    NUMBERS[0] += 1
    return NUMBERS[0]


# fairlead keeps such a one for half a second, and a step may take as long
AT_ONCE, AT_ONCE_STEP = "the last fragment first", 4


def of_step(name, sequence, step):
    if name.startswith(AT_ONCE):
        return sequence if step == AT_ONCE_STEP else []
    return sequence[step : step + 1]


def compare(connections):
    """Name -> (what each step was to fairlead, what to conntrack): whether it arrived."""
    packets = [(name, list(datagrams(i, family, steps))) for i, (name, family, steps) in enumerate(connections)]
    for step in range(max(len(p) for _, p in packets)):
        if step == AT_ONCE_STEP:
            time.sleep(2)  # the daemon has seen that there are packets, and says to the programs that it is there
        for name, sequence in packets:
            for end, _, datagram in of_step(name, sequence, step):
                for path in PATHS.values():
                    path.send(end, datagram)
        time.sleep(0.02)
        for path in PATHS.values():
            path.look(0.01)
    for path in PATHS.values():
        path.look(0.2)
    return {name: [[key in path.arrived for _, key, _ in sequence] for path in PATHS.values()] for name, sequence in packets}


def differences(got):
    """As the lines in conntrack.differences."""
    result = set()
    for name, (ours, theirs) in got.items():
        if ours != theirs:
            only = [" +%d" % i for i, (x, y) in enumerate(zip(ours, theirs)) if x and not y]
            only += [" -%d" % i for i, (x, y) in enumerate(zip(ours, theirs)) if y and not x]
            result.add(name + ":" + "".join(only))
    return result


def test_same_verdicts():
    with open(os.path.join(os.path.dirname(__file__), "conntrack.differences")) as f:
        known = {line.strip() for line in f if line.strip() and line[0] not in "#="}
    got = compare(list(scripts()))
    different = differences(got)
    passed, total = sum(sum(pair[1]) for pair in got.values()), sum(len(pair[1]) for pair in got.values())
    print("# %d connections, %d packets of which conntrack passed %d; %d connections differ" % (len(got), total, passed, len(different)))
    check(total / 4 < passed < total, "conntrack passed %d of %d" % (passed, total))
    check(different == known, "differences that have no reason: %s; that are no more: %s" % (sorted(different - known), sorted(known - different)))


if __name__ == "__main__":
    wire.main([test_same_verdicts], args.prefix)
