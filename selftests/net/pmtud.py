#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""pmtud.sh's packets: Packet Too Big in both directions, fragmentation needed from outside. --mode auto: the tunnel's MTU is
learned (RFC 4213 3.2.2); --mode 1400: it was set to that, and stays (3.2.1).
"""

import time

import packet
from lab import *
from wire import Failure, check, check_equal, check_fields, check_sound, main

lab = Lab()


def big_udp(size, src=LAN_HOST, dst=INET_HOST, token=b""):
    """A packet of that size, the IPv6 header included."""
    return packet.udp6(src, dst, data=token + bytes(size - 48 - len(token)))


def is_error(kind, code):
    return lambda p: p.proto == packet.ICMP6 and p.type == kind and p.code == code and p.quoted is not None


def too_big_at_lan(size, mtu):
    datagram = big_udp(size, token=lab.token())
    lab.flush()
    lab.from_lan(datagram)
    error = lab.lan.expect("Packet Too Big for %d bytes" % size, is_error(2, 0))
    check_sound(error, "Packet Too Big")
    check_fields(error, "Packet Too Big", src=LAN_ROUTER, dst=LAN_HOST, rest=mtu, dst_mac=LAN_HOST_MAC, src_mac=LAN_ROUTER_MAC)
    check(error.length <= 1280, "the error is longer than 1280 bytes: %d" % error.length)
    quote = error.data
    check(len(quote) >= 1000, "only %d bytes are quoted" % len(quote))
    same = bytearray(quote)
    same[7] = datagram[7]  # the hop limit may have been counted down
    check(bytes(same) == datagram[: len(quote)], "the quoted packet is not what was sent: %s" % error.quoted)
    return error


def passes_out(size):
    token = lab.token()
    lab.flush()
    lab.from_lan(big_udp(size, token=token))
    outer = lab.wan.expect("%d bytes" % size, lambda p: p.inner is not None and token in p.inner.l4)
    check_equal(outer.length, size + 20, "the outer length")
    return outer


def test_too_big_for_the_tunnel():
    too_big_at_lan(1500, 1480)


def test_just_too_big():
    too_big_at_lan(1481, 1480)


def test_the_limit_passes():
    check(passes_out(1480).df, "DF is not set on a tunnel that learns its path MTU")


def test_nothing_of_a_too_big_packet_leaves():
    token = lab.token()
    lab.flush()
    lab.from_lan(big_udp(1500, token=token))
    for p in lab.fence_out():
        check(p.inner is None or token not in p.inner.l4, "left although too big: %s" % p)


def test_counted_as_too_big():
    moved = lab.counted(lambda: lab.from_lan(big_udp(1500)))
    check_equal(moved, {"too-big": 1}, "the drop counters that moved")


def test_no_error_about_an_error():
    quote = packet.udp6(INET_HOST, LAN_HOST, data=bytes(1290))
    lab.flush()
    lab.from_lan(packet.ip6(LAN_HOST, INET_HOST, packet.ICMP6, packet.icmp6(LAN_HOST, INET_HOST, 1, 4, 0, quote + bytes(110))))
    lab.fence_out()
    lab.lan.quiet(is_error(2, 0), 0.2)


def test_too_big_for_the_lan():
    """A LAN with a smaller MTU: the error goes into the tunnel and quotes the outside address."""
    lab.run("router", "ip", "link", "set", "dev", "lan0", "mtu", "1400")
    try:
        until = time.monotonic() + 5
        while True:
            datagram = big_udp(1450, INET_HOST, LAN_OUTSIDE, lab.token())
            lab.flush()
            lab.from_tunnel(datagram)
            try:
                outer = lab.wan.expect("Packet Too Big in the tunnel",
                                       lambda p: p.inner is not None and is_error(2, 0)(p.inner), timeout=1)
                break
            except Failure:
                if time.monotonic() > until:
                    raise
        check_sound(outer, "Packet Too Big")
        check_fields(outer, "outer", src=WAN_ROUTER, dst=BROKER)
        check_fields(outer.inner, "Packet Too Big", dst=INET_HOST, rest=1400)
        check(outer.inner.src in (TUNNEL_ROUTER, NPT.outward(LAN_ROUTER)), "it comes from %s" % outer.inner.src)
        check_fields(outer.inner.quoted, "quoted", src=INET_HOST, dst=LAN_OUTSIDE)
    finally:
        lab.run("router", "ip", "link", "set", "dev", "lan0", "mtu", "1500")
    time.sleep(0.2)  # the daemon hears of it by netlink; the next test asks again anyway


def frag_needed(mtu, quoted):
    lab.from_wan(packet.ip4("203.0.113.1", WAN_ROUTER, packet.ICMP, packet.icmp4(3, 4, mtu, quoted)))


def quoted_outer(src=WAN_ROUTER, dst=BROKER, proto=packet.IPV6, size=1480):
    outer = packet.ip4(src, dst, proto, big_udp(size, LAN_OUTSIDE), df=True, ttl=63)
    return outer[:68]


def mtu_stays(mtu, what):
    lab.fence_in()
    check_equal(lab.tunnel()["mtu"], mtu, "the tunnel's MTU after " + what)
    passes_out(mtu)


def test_forged_for_an_unknown_remote():
    frag_needed(1300, quoted_outer(dst="198.51.100.77"))
    mtu_stays(1480, "an error about somebody else's packet")


def test_forged_for_an_unknown_local():
    frag_needed(1300, quoted_outer(src="203.0.113.99"))
    mtu_stays(1480, "an error about another sender's packet")


def test_forged_for_another_protocol():
    frag_needed(1300, quoted_outer(proto=packet.UDP))
    mtu_stays(1480, "an error about UDP")


def test_forged_with_a_larger_mtu():
    frag_needed(9000, quoted_outer())
    mtu_stays(1480, "an error that names a larger MTU")


def test_learned_from_outside():
    frag_needed(1450, quoted_outer())
    lab.fence_in()
    check_equal(lab.tunnel()["mtu"], 1430, "the tunnel's MTU")
    too_big_at_lan(1480, 1430)
    passes_out(1430)


def test_never_below_1280():
    frag_needed(68, quoted_outer())
    lab.fence_in()
    check_equal(lab.tunnel()["mtu"], 1280, "the tunnel's MTU")
    too_big_at_lan(1281, 1280)
    outer = passes_out(1280)
    check(not outer.df, "DF is set on a packet that the path may have to cut")


def fixed_df_is_clear():
    """A tunnel that does not listen to the path must let it cut the outer packets."""
    for size in (100, 1280, 1281, 1400):
        check(not passes_out(size).df, "DF is set on a packet of %d bytes" % size)


def fixed_limit():
    too_big_at_lan(1401, 1400)
    too_big_at_lan(1500, 1400)


def fixed_learns_nothing():
    frag_needed(1300, quoted_outer(size=1400))
    mtu_stays(1400, "an error about a packet of a tunnel with a set MTU")


if __name__ == "__main__":
    if lab.mode == "1400":
        main([fixed_df_is_clear, fixed_limit, fixed_learns_nothing], lab.prefix)
    main(tests_of(globals()), lab.prefix)
