#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""nat.sh's fragments that come in another order than they were sent. --mode killed: no daemon is there to keep them."""

import socket
import time

import packet
import wire
from lab import tests_of
from nat import A, A6, INSIDE, OUT6, PEER, PEER6, VIP, has, lab, pieces, refused, sums, udp_out, whole_of
from wire import check, check_equal, check_fields, main

ORDERS = ((2, 0, 1), (1, 2, 0), (2, 1, 0))
FLOOD = 10000
serial = iter(range(10000 + lab.serial % 50000, 1 << 16))  # identifications: other ones in the next run


def unknown(src=A, dst=PEER):
    """A last fragment of a datagram of which nothing else comes, and what it carries."""
    token = lab.token()
    return pieces(src, dst, packet.udp(src, dst, 1500, 53, bytes(2900) + token), next(serial))[2], token


def count(reason="fragment-unknown"):
    return lab.drops().get(reason, 0)


def through(sender, port, order, pause, ends, proto, segment, **fields):
    """A datagram in three fragments, sent in that order: content and checksum of what comes, and its first fragment."""
    data = bytes(range(256)) * 11 + lab.token()
    make = packet.udp if proto == packet.UDP else packet.tcp
    sent = pieces(*ends, make(*ends, data=data, **segment), next(serial), proto)
    lab.flush()
    for number in order:
        sender(sent[number])
        time.sleep(pause)
    whole, first = whole_of(port, 3, **fields)
    port.quiet(lambda p: p.mf or p.offset, 0.05)
    check_equal(whole[-len(data) :], data, "what the fragments carry")
    check(sums(first, whole), "the checksum of the whole datagram is wrong")
    return first


def both_ways(src, dst, outside, proto, port):
    before, kept = count(), udp_out(src, dst, port) if proto == packet.UDP else None
    for order in ORDERS:
        for pause in (0, 0.02):
            segment = {"sport": port, "dport": 53}
            if proto == packet.TCP:
                port += 1
                segment = {"sport": port, "dport": 53, "flags": packet.SYN, "seq": 1000}
            first = through(lab.from_lan, lab.wan, order, pause, (src, dst), proto, segment, src=outside, dst=dst)
            check(kept is None or first.sport == kept.sport, "it leaves by port %s" % first.sport)
            segment = {"sport": 53, "dport": first.sport}
            if proto == packet.TCP:
                segment.update(flags=packet.SYN | packet.ACK, seq=5000, ack=1001)
            first = through(lab.from_wan, lab.lan, order, pause, (dst, outside), proto, segment, src=dst, dst=src)
            check_fields(first, sport=53, dport=port)
    check_equal(count() - before, 0, "fragments dropped")


def test_udp():
    both_ways(A, PEER, VIP, packet.UDP, 1510)


def test_udp6():
    both_ways(A6, PEER6, OUT6, packet.UDP, 1520)


def test_tcp():
    both_ways(A, PEER, VIP, packet.TCP, 1530)


def test_tcp6():
    both_ways(A6, PEER6, OUT6, packet.TCP, 1540)


def test_to_the_router():
    with wire.namespace(lab.ns("router")), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((INSIDE, 1550))
        sock.settimeout(3)
        for order in ORDERS:
            data = bytes(range(256)) * 12 + lab.token()
            sent = pieces(A, INSIDE, packet.udp(A, INSIDE, 1551, 1550, data), next(serial))
            for number in order:
                lab.from_lan(sent[number])
            check_equal(sock.recvfrom(4000), (data, (A, 1551)), "what the router has got")


def received():
    return next(i for i in lab.fl("show", "interfaces") if i["name"] == "lan")["rx_packets"]


def test_first_never_comes():
    for src, dst in ((A, PEER), (A6, PEER6)):
        fragment, token = unknown(src, dst)
        before, begin, rx = count(), time.monotonic(), received()
        refused(fragment, token, "fragment-unknown")
        check(time.monotonic() - begin < 1.5, "it was counted late")
        time.sleep(0.6)
        check_equal(count() - before, 1, "times that it was counted")
        check(received() > rx, "it does not count as received")


def test_too_short_for_one():
    """It would write over the first one's header: no reason to wait."""
    token = lab.token()
    before = count()
    lab.flush()
    lab.from_lan(packet.ip4(A, PEER, packet.TCP, token, ident=next(serial), offset=8))
    time.sleep(0.2)
    check_equal(count() - before, 1, "fragments dropped at once")
    lab.wan.quiet(has(token), 0.1)


def test_flood():
    flood = [packet.ip4(A, "203.0.113.11", packet.UDP, bytes(1000), ident=ident, offset=1400) for ident in range(FLOOD)]
    before, begin = count(), time.monotonic()
    slowest, sent = 0, 0
    while sent < FLOOD:
        for fragment in flood[sent : sent + 1000]:
            lab.from_lan(fragment)
        sent += 1000
        asked = time.monotonic()
        check_equal(lab.fl("status")["state"], "ok", "the daemon's state")
        slowest = max(slowest, time.monotonic() - asked)
    check(slowest < 2, "the daemon took %.1f s to answer" % slowest)
    end = time.monotonic() + 3
    while count() - before < FLOOD and time.monotonic() < end:
        time.sleep(0.1)
    check_equal(count() - before, FLOOD, "fragments dropped (the flood took %.1f s)" % (time.monotonic() - begin))
    through(lab.from_lan, lab.wan, (2, 1, 0), 0, (A, PEER), packet.UDP, {"sport": 1550, "dport": 53}, src=VIP, dst=PEER)


def test_without_a_daemon():
    """Dropped at once; nat.sh counts them when a daemon is there again."""
    for _ in range(5):
        fragment, token = unknown()
        lab.flush()
        lab.from_lan(fragment)
        lab.wan.quiet(has(token), 0.1)


if __name__ == "__main__":
    if lab.mode == "killed":
        main([test_without_a_daemon], lab.prefix)
    main([test for test in tests_of(globals()) if "without" not in test.__name__], lab.prefix)
