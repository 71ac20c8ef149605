#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""tun.sh's packets. --mode lan: the LAN is a TUN device of the router, played here; --mode wan: the underlay is one.

The other side is the lab's cable. A TUN device has no Ethernet header: what is read and written are IP packets.
"""

import os
import select
import time

import packet
from lab import *
from wire import Failure, check, check_equal, check_fields, check_sound, main, tun_open

lab = Lab()


class Tun:
    """Like wire.Port, for the far end of a TUN device of the router."""

    def __init__(self, name):
        self.device = name
        self.fd = tun_open(lab.ns("router"), name)

    def send(self, datagram):
        os.write(self.fd, datagram)

    def flush(self):
        while select.select([self.fd], [], [], 0)[0]:
            os.read(self.fd, 65536)

    def expect(self, what, match, timeout=3):
        until, seen = time.monotonic() + timeout, []
        while select.select([self.fd], [], [], max(0, until - time.monotonic()))[0]:
            p = packet.parse(os.read(self.fd, 65536), link=False)
            if match(p):
                return p
            seen.append(str(p))
        raise Failure("%s: not seen on %s; seen: %s" % (what, self.device, "; ".join(seen[-8:]) or "nothing"))


TUN = Tun("tun0")


def send_lan(datagram):
    (TUN.send if lab.mode == "lan" else lab.from_lan)(datagram)


def send_tunnel(inner, **outer):
    if lab.mode == "lan":
        lab.from_tunnel(inner, **outer)
    else:
        TUN.send(packet.ip4(BROKER, WAN_ROUTER, packet.IPV6, inner, **outer))


def at_lan(what, match, timeout=3):
    return (TUN if lab.mode == "lan" else lab.lan).expect(what, match, timeout)


def at_wan(what, match, timeout=3):
    return (lab.wan if lab.mode == "lan" else TUN).expect(what, match, timeout)


def flush():
    TUN.flush()
    lab.flush()


def warm_up():
    """The device has a carrier only since it was opened here, and Linux drops what it sends until it has seen that."""
    for _ in range(50):
        send_lan(packet.udp6(LAN_HOST, INET_HOST, data=b"warm up"))
        send_tunnel(packet.udp6(INET_HOST, LAN_OUTSIDE, data=b"warm up"))
        try:
            at_wan("the first packet", lambda p: p.inner is not None and p.inner.data == b"warm up", 0.1)
            at_lan("the first packet", lambda p: p.src == INET_HOST and p.data == b"warm up", 0.1)
            return
        except Failure:
            pass


def test_out():
    for size in (8, 100, 1400, 1432):
        token = lab.token()
        flush()
        send_lan(packet.udp6(LAN_HOST, INET_HOST, data=token + bytes(size - 8), hop=9))
        outer = at_wan("%d bytes outward" % size, lambda p: p.inner is not None and p.inner.data.startswith(token))
        check_sound(outer)
        check_fields(outer, src=WAN_ROUTER, dst=BROKER, hop=64)
        check_fields(outer.inner, src=LAN_OUTSIDE, dst=INET_HOST, hop=8, l4_check_ok=True)
        check_equal(outer.length, size + 68, "the outer length")


def test_in():
    for size in (8, 100, 1400, 1432):
        token = lab.token()
        flush()
        send_tunnel(packet.udp6(INET_HOST, LAN_OUTSIDE, data=token + bytes(size - 8), hop=9))
        p = at_lan("%d bytes inward" % size, lambda p: p.version == 6 and p.data.startswith(token))
        check_sound(p)
        check_fields(p, src=INET_HOST, dst=LAN_HOST, hop=8, l4_check_ok=True, length=size + 48)


def test_many():
    """Not only now and then: 500 in a row, all of them."""
    tokens = [lab.token() for _ in range(500)]
    flush()
    for begin in range(0, 500, 50):
        some = set(tokens[begin : begin + 50])
        for token in some:
            send_lan(packet.udp6(LAN_HOST, INET_HOST, data=token))
        while some:
            some.remove(at_wan("%d packets" % len(some), lambda p: p.inner is not None and p.inner.data in some).inner.data)


def test_too_big():
    flush()
    send_lan(packet.udp6(LAN_HOST, INET_HOST, data=bytes(1452)))
    error = at_lan("Packet Too Big", lambda p: p.type == 2 and p.quoted is not None)
    check_sound(error)
    check_fields(error, src=LAN_ROUTER, dst=LAN_HOST, rest=1480)
    check_fields(error.quoted, src=LAN_HOST, dst=INET_HOST)


def test_time_exceeded():
    flush()
    send_lan(packet.udp6(LAN_HOST, INET_HOST, hop=1))
    error = at_lan("Time Exceeded", lambda p: p.type == 3 and p.quoted is not None)
    check_sound(error)
    check_fields(error, src=LAN_ROUTER, dst=LAN_HOST)


def test_the_router_answers():
    token = lab.token()
    flush()
    send_lan(packet.ping6(LAN_HOST, LAN_ROUTER, data=token))
    p = at_lan("the echo reply", lambda p: p.type == 129 and token in p.data)
    check_fields(p, src=LAN_ROUTER, dst=LAN_HOST, l4_check_ok=True)
    send_lan(packet.ping6(LAN_HOST, TUNNEL_ROUTER, data=token))
    at_lan("the echo reply of the tunnel's address", lambda p: p.type == 129 and p.src == TUNNEL_ROUTER)


def test_own_traffic():
    token = lab.token()
    flush()
    send_tunnel(packet.ping6(TUNNEL_BROKER, TUNNEL_ROUTER, data=token))
    outer = at_wan("the echo reply", lambda p: p.inner is not None and p.inner.type == 129 and token in p.inner.data)
    check_sound(outer)
    check_fields(outer, src=WAN_ROUTER, dst=BROKER)
    check_fields(outer.inner, src=TUNNEL_ROUTER, dst=TUNNEL_BROKER)


def test_spoofed():
    moved = lab.counted(lambda: send_tunnel(packet.udp6("::1", LAN_OUTSIDE)))
    check_equal(moved, {"tunnel-forbidden-inner-source": 1}, "the drop counters that moved")


if __name__ == "__main__":
    warm_up()
    main(tests_of(globals()), lab.prefix)
