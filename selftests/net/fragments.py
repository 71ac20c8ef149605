#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""fragments.sh's packets. --mode alive: a daemon puts outer fragments together; --mode killed: it has
just been killed; --mode dead: there is none, and the programs know."""

import random
import time

import packet
from lab import *
from wire import Port, check, check_equal, check_fields, check_sound, main

lab = Lab()
STRANGE = Port(lab.ns("wan"), "net9")  # a cable to a device that the configuration does not have
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


def dropped(send, src, reason, ident, times):
    """A packet in two outer fragments of that source, put in by send(): not there, not answered, counted so often."""
    token = lab.token()
    inner = packet.udp6(INET_HOST, LAN_OUTSIDE, data=token + bytes(1000))
    lab.flush()
    STRANGE.flush()

    def both():
        for at, piece in ((0, inner[:512]), (512, inner[512:])):
            send(packet.ip4(src, WAN_ROUTER, packet.IPV6, piece, ident=ident, offset=at, mf=not at))

    check_equal(lab.counted(both), {reason: times}, "the drop counters that moved")
    check(not any(token in p.raw for p in lab.fence_in()), "it arrived")
    for port in (lab.wan, lab.lan, STRANGE):
        port.quiet(lambda p: p.proto == packet.ICMP, 0.1)


def from_strange(datagram):
    STRANGE.send_to("02:00:00:00:09:02", datagram)


def test_outer_fragments_of_strangers():
    dropped(lab.from_wan, "198.51.100.77", "tunnel-wrong-outer-source", 78, 2)


def test_outer_fragments_by_the_lan():
    dropped(lab.from_lan, BROKER, "tunnel-wrong-interface", 79, 2)


def test_outer_fragments_by_a_device_of_nobody():
    """No program sees them: what the kernel has put together, the daemon drops."""
    dropped(from_strange, BROKER, "tunnel-wrong-interface", 80, 1)
    dropped(from_strange, "198.51.100.77", "tunnel-wrong-outer-source", 81, 1)


def test_outer_fragments_have_a_rate():
    """A thousand a second, of which a thousand may come at once; what is over that is counted."""
    pairs, passed, begin = 3000, 0, time.monotonic()
    before = lab.drops().get("tunnel-outer-fragment", 0)
    token = lab.token()
    lab.flush()
    for i in range(pairs):
        inner = packet.udp6(INET_HOST, LAN_OUTSIDE, data=token + bytes(40))
        for at, piece in ((0, inner[:48]), (48, inner[48:])):
            lab.from_wan(packet.ip4(BROKER, WAN_ROUTER, packet.IPV6, piece, ident=i, offset=at, mf=not at))
        if i % 30 == 0:  # not faster than 3,000 a second: else the daemon's socket overflows
            time.sleep(max(0, begin + i / 3000 - time.monotonic()))
    took = time.monotonic() - begin
    while True:
        p = lab.lan.read(0.3)
        if p is None:
            break
        passed += p.data.startswith(token)
    counted = lab.drops().get("tunnel-outer-fragment", 0) - before
    check_equal(passed + counted, pairs, "packets that passed (%d) or were counted (%d)" % (passed, counted))
    check(1000 <= passed <= 1100 + 1000 * took, "%d packets passed in %.1f s" % (passed, took))


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


def nothing_comes_of_fragments():
    lab.flush()
    for _ in range(3):
        for frame in outer_fragments(lab.token(), 2):
            lab.from_wan(frame)
    before = lab.fence_in()
    check(not any(p.proto == packet.UDP for p in before), "something arrived: %s" % [str(p) for p in before])
    lab.wan.quiet(lambda p: p.proto == packet.ICMP, 0.3)


def test_at_once_without_a_daemon():
    """The programs still let fragments up, and the kernel puts them together: what it has to say of that must not leave."""
    nothing_comes_of_fragments()


def test_without_a_daemon():
    """Dropped in silence: the kernel would say protocol unreachable and so tell of the tunnel."""
    nothing_comes_of_fragments()


if __name__ == "__main__":
    if lab.mode == "dead":
        main([test_without_a_daemon, test_inner_fragments_pass_outward, test_inner_fragments_pass_inward], lab.prefix)
    if lab.mode == "killed":
        main([test_at_once_without_a_daemon], lab.prefix)
    main([test for test in tests_of(globals()) if "without" not in test.__name__], lab.prefix)
