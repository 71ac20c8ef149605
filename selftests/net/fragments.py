#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""fragments.sh's packets. --mode alive: a daemon puts outer fragments together; --mode killed: it has
just been killed; --mode dead: there is none, and the programs know."""

import random
import time

import packet
from lab import *
from wire import check, check_equal, check_fields, check_sound, main

lab = Lab()
random.seed(791)


def outer_fragments(token, pieces, size=1300):
    """A whole inner packet in that many outer fragments: their IPv4 packets in order."""
    inner = packet.udp6(INET_HOST, LAN_OUTSIDE, data=token + bytes(size), hop=9)
    step = (len(inner) // pieces + 7) & ~7
    ident = random.getrandbits(16)
    return [packet.ip4(BROKER, WAN_ROUTER, packet.IPV6, inner[at : at + step], ident=ident, offset=at, mf=at + step < len(inner))
            for at in range(0, len(inner), step)]


def arrives(pieces, order):
    token = lab.token()
    frames = outer_fragments(token, pieces)
    lab.flush()
    for i in order:
        lab.from_wan(frames[i])
    p = lab.lan.expect("the packet out of %d fragments" % pieces, lambda p: p.proto == packet.UDP and p.data.startswith(token))
    check_sound(p)
    check_fields(p, src=INET_HOST, dst=LAN_HOST, hop=8, dst_mac=LAN_HOST_MAC, src_mac=LAN_ROUTER_MAC)


def test_outer_fragments_in_order():
    arrives(2, [0, 1])
    arrives(3, [0, 1, 2])


def test_outer_fragments_out_of_order():
    arrives(2, [1, 0])
    arrives(4, [2, 0, 3, 1])


def test_outer_fragments_obey_the_same_checks():
    token = lab.token()
    inner = packet.udp6("::1", LAN_OUTSIDE, data=token + bytes(1000))
    lab.flush()

    def send():
        for at in (0, 512):
            lab.from_wan(packet.ip4(BROKER, WAN_ROUTER, packet.IPV6, inner[at : at + 512] if not at else inner[at:],
                                    ident=77, offset=at, mf=not at))

    check_equal(lab.counted(send), {"tunnel-forbidden-inner-source": 1}, "the drop counters that moved")
    check(not any(token in p.raw for p in lab.fence_in()), "it arrived")


def test_outer_fragments_of_strangers():
    token = lab.token()
    inner = packet.udp6(INET_HOST, LAN_OUTSIDE, data=token + bytes(1000))
    lab.flush()
    for at in (0, 512):
        lab.from_wan(packet.ip4("198.51.100.77", WAN_ROUTER, packet.IPV6, inner[at : at + 512] if not at else inner[at:],
                                ident=78, offset=at, mf=not at))
    check(not any(token in p.raw for p in lab.fence_in()), "it arrived")
    lab.wan.quiet(lambda p: p.proto == packet.ICMP, 0.2)


def test_inner_fragments_pass_outward():
    """Fragments of the packet in the tunnel are packets like others."""
    whole = packet.udp(LAN_HOST, INET_HOST, 5, 6, lab.token() + bytes(2000))
    lab.flush()
    cut = 1000 // 8 * 8
    lab.from_lan(packet.fragment6(LAN_HOST, INET_HOST, packet.UDP, whole[:cut], 0, True, 99))
    lab.from_lan(packet.fragment6(LAN_HOST, INET_HOST, packet.UDP, whole[cut:], cut, False, 99))
    first = lab.wan.expect("the first fragment", lambda p: p.inner is not None and p.inner.mf)
    second = lab.wan.expect("the second fragment", lambda p: p.inner is not None and p.inner.offset == cut)
    for p in (first, second):
        check_fields(p, src=WAN_ROUTER, dst=BROKER)
        check_fields(p.inner, src=LAN_OUTSIDE, dst=INET_HOST, ident=99)
    got = first.inner.l4 + second.inner.l4
    check_equal(got, whole, "the fragments' content")


def test_inner_fragments_pass_inward():
    whole = packet.udp(INET_HOST, LAN_OUTSIDE, 5, 6, lab.token() + bytes(2000))
    lab.flush()
    cut = 1000 // 8 * 8
    lab.from_tunnel(packet.fragment6(INET_HOST, LAN_OUTSIDE, packet.UDP, whole[:cut], 0, True, 98))
    lab.from_tunnel(packet.fragment6(INET_HOST, LAN_OUTSIDE, packet.UDP, whole[cut:], cut, False, 98))
    first = lab.lan.expect("the first fragment", lambda p: p.mf)
    second = lab.lan.expect("the second fragment", lambda p: p.offset == cut)
    check_equal(first.l4 + second.l4, whole, "the fragments' content")
    check_fields(second, src=INET_HOST, dst=LAN_HOST)


def test_at_once_without_a_daemon():
    """The programs still let fragments up, and the kernel puts them together: what it has to say of that must not leave."""
    lab.flush()
    for _ in range(3):
        for frame in outer_fragments(lab.token(), 2):
            lab.from_wan(frame)
    before = lab.fence_in()
    check(not any(p.proto == packet.UDP for p in before), "something arrived: %s" % [str(p) for p in before])
    lab.wan.quiet(lambda p: p.proto == packet.ICMP, 0.3)


def test_without_a_daemon():
    """Dropped in silence: the kernel would say protocol unreachable and so tell of the tunnel."""
    lab.flush()
    for _ in range(3):
        for frame in outer_fragments(lab.token(), 2):
            lab.from_wan(frame)
    before = lab.fence_in()
    check(not any(p.proto == packet.UDP for p in before), "something arrived: %s" % [str(p) for p in before])
    lab.wan.quiet(lambda p: p.proto == packet.ICMP, 0.3)


if __name__ == "__main__":
    if lab.mode == "dead":
        main([test_without_a_daemon, test_inner_fragments_pass_outward, test_inner_fragments_pass_inward], lab.prefix)
    if lab.mode == "killed":
        main([test_at_once_without_a_daemon], lab.prefix)
    main([test for test in tests_of(globals()) if "without" not in test.__name__], lab.prefix)
