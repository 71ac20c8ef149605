#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""npt_cases.sh's packets. --mode is the translation's mode: rfc6296 or plain."""

import socket

import packet
from lab import *
from wire import check, check_equal, check_fields, check_sound, main, namespace

lab = Lab()
PLAIN = lab.mode == "plain"
XLAT = Translation(INTERNAL, EXTERNAL, plain=PLAIN)
SECOND = "2001:db8:aa::81"  # another host of the LAN, on the same cable
OTHER = "2001:db8:ab::80"  # of another network of the LAN
OUTSIDE = {host: XLAT.outward(host) for host in (LAN_HOST, SECOND)}


def out(datagram, match=None):
    lab.flush()
    lab.from_lan(datagram)
    outer = lab.wan.expect("the packet", match or (lambda p: p.inner is not None and p.inner.dst == INET_HOST))
    check_sound(outer)
    return outer.inner


def into(datagram, match):
    lab.flush()
    lab.from_tunnel(datagram)
    p = lab.lan.expect("the packet", match)
    check_sound(p)
    return p


def test_transport_checksums_outward():
    for make in (packet.udp6, packet.tcp6):
        for size in (8, 9, 200):
            token = lab.token()
            inner = out(make(LAN_HOST, INET_HOST, data=token + bytes(size)), lambda p: p.inner is not None and token in p.inner.data)
            check_fields(inner, src=OUTSIDE[LAN_HOST], dst=INET_HOST, l4_check_ok=True)
    inner = out(packet.ping6(LAN_HOST, INET_HOST, data=b"x" * 9))
    check_fields(inner, src=OUTSIDE[LAN_HOST], l4_check_ok=True)


def test_transport_checksums_inward():
    for make in (packet.udp6, packet.tcp6):
        token = lab.token()
        p = into(make(INET_HOST, OUTSIDE[LAN_HOST], data=token), lambda p: p.data == token)
        check_fields(p, src=INET_HOST, dst=LAN_HOST, l4_check_ok=True)


def test_only_the_address_changes():
    """In rfc6296 mode not one byte after the IPv6 header, in plain mode only the checksum."""
    datagram = packet.tcp6(LAN_HOST, INET_HOST, data=lab.token())
    inner = out(datagram)
    want = bytearray(datagram[40:])
    got = bytearray(inner.l4)
    if PLAIN:
        want[16:18] = got[16:18] = b"\0\0"
    check_equal(bytes(got), bytes(want), "the transport header and payload")


def test_udp_without_checksum_problem():
    """A sum that becomes 0 is sent as 0xFFFF: 0 would mean none."""
    if not PLAIN:
        return
    for probe in range(65536):
        data = probe.to_bytes(2, "big")
        if packet.checksum(packet.udp(OUTSIDE[LAN_HOST], INET_HOST, 4000, 4001, data, check=0),
                           packet.pseudo(OUTSIDE[LAN_HOST], INET_HOST, packet.UDP, 10)) == 0:
            break
    inner = out(packet.udp6(LAN_HOST, INET_HOST, data=data), lambda p: p.inner is not None and p.inner.data == data)
    check_equal(inner.l4[6:8], b"\xff\xff", "the UDP checksum")


def test_hairpin():
    """Inside to the outside address of another inside host: both addresses are translated (RFC 6296 4.3)."""
    token = lab.token()
    lab.flush()
    lab.from_lan(packet.udp6(LAN_HOST, OUTSIDE[SECOND], data=token, hop=9))
    p = lab.lan.expect("the packet back on the LAN", lambda p: p.data == token)
    check_sound(p)
    check_fields(p, src=OUTSIDE[LAN_HOST], dst=SECOND, hop=8, src_mac=LAN_ROUTER_MAC, dst_mac=LAN_HOST_MAC)
    check(not any(token in x.raw for x in lab.fence_out()), "it went into the tunnel as well")


def test_hairpin_from_what_is_not_translated():
    """A host of another network inside: it has no outside address to be seen under."""
    for make in (packet.udp6, packet.tcp6):
        token = lab.token()
        lab.flush()
        lab.from_lan(make(OTHER, OUTSIDE[SECOND], data=token))
        p = lab.lan.expect("the packet", lambda p: p.data == token)
        check_sound(p)
        check_fields(p, src=OTHER, dst=SECOND, hop=63)


def test_hairpin_is_not_for_the_outside():
    for send, source in ((lab.from_wan, INET_HOST), (lab.from_wan, OTHER), (lab.from_lan, INET_HOST)):
        token = lab.token()
        lab.flush()
        send(packet.udp6(source, OUTSIDE[SECOND], data=token))
        # by the tunnel's other end it may come back, two hops later
        lab.lan.quiet(lambda p, t=token: p.dst == SECOND and p.data == t and p.hop == 63, 0.2)


def test_hairpin_of_the_router():
    """Its packet gets there; and where the router's own address is translated too, so does the answer."""
    token = lab.token()
    lab.flush()
    with namespace(lab.ns("router")), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as s:
        s.sendto(token, (OUTSIDE[SECOND], 4001))
    p = lab.lan.expect("the packet", lambda p: p.data == token)
    check(p.l4_check_ok or p.unfinished, "its checksum is wrong: %s" % p)
    check_fields(p, src=TUNNEL_ROUTER, dst=SECOND)
    lab.run("router", "ping", "-6", "-n", "-q", "-c", "3", "-i", "0.02", "-W", "2", "-I", LAN_ROUTER, OUTSIDE[SECOND])


def test_hairpin_to_the_router():
    """A host inside that knows the router by its outside address is answered from there."""
    token, address = lab.token(), XLAT.outward(LAN_ROUTER)
    lab.flush()
    lab.from_lan(packet.ping6(LAN_HOST, address, data=token))
    p = lab.lan.expect("the echo reply", lambda p: p.type == 129 and token in p.data)
    check(p.l4_check_ok or p.unfinished, "its checksum is wrong: %s" % p)
    check_fields(p, src=address, dst=LAN_HOST)


def test_inside_to_inside_is_not_translated():
    token = lab.token()
    lab.flush()
    lab.from_lan(packet.udp6(LAN_HOST, SECOND, data=token))  # by the router, which the host need not have asked
    p = lab.lan.expect("the packet back on the LAN", lambda p: p.data == token and p.dst == SECOND)
    check_fields(p, src=LAN_HOST, dst=SECOND)


def error_quotes(kind, code, rest, quote_size=None):
    received = packet.udp6(INET_HOST, LAN_HOST, 53, 4000, lab.token() * 8, hop=60)
    quote = received[:quote_size]
    return packet.ip6(LAN_HOST, INET_HOST, packet.ICMP6, packet.icmp6(LAN_HOST, INET_HOST, kind, code, rest, quote)), quote


ERRORS = ((1, 4, 0), (1, 1, 0), (2, 0, 1280), (3, 0, 0), (4, 0, 40))


def test_errors_outward():
    """What the LAN host complains about is, outside, a packet to its outside address."""
    for kind, code, rest in ERRORS:
        for size in (None, 48, 41, 40):
            datagram, _ = error_quotes(kind, code, rest, size)
            inner = out(datagram, lambda p: p.inner is not None and p.inner.type == kind and p.inner.quoted is not None)
            check_fields(inner, "error %d/%d" % (kind, code), src=OUTSIDE[LAN_HOST], dst=INET_HOST, code=code, rest=rest)
            check_fields(inner.quoted, "quoted in error %d, %s bytes" % (kind, size), src=INET_HOST, dst=OUTSIDE[LAN_HOST])
            check_equal(inner.length, len(datagram), "the length")


def test_errors_inward():
    for kind, code, rest in ERRORS:
        for size in (None, 48, 41, 40):
            sent = packet.udp6(OUTSIDE[LAN_HOST], INET_HOST, 4000, 53, lab.token() * 8, hop=60)[:size]
            body = packet.icmp6(TUNNEL_BROKER, OUTSIDE[LAN_HOST], kind, code, rest, sent)
            p = into(packet.ip6(TUNNEL_BROKER, OUTSIDE[LAN_HOST], packet.ICMP6, body),
                     lambda p: p.type == kind and p.quoted is not None)
            check_fields(p, "error %d/%d" % (kind, code), src=TUNNEL_BROKER, dst=LAN_HOST, code=code, rest=rest)
            check_fields(p.quoted, "quoted in error %d, %s bytes" % (kind, size), src=LAN_HOST, dst=INET_HOST)


def test_quoted_checksum_fits_the_quoted_addresses():
    """The host finds its own packet in the error, its checksum as it sent it."""
    sent = packet.udp6(LAN_HOST, INET_HOST, 4000, 53, lab.token())
    outside = out(sent, lambda p: p.inner is not None and p.inner.dport == 53)
    quote = outside.raw
    body = packet.icmp6(TUNNEL_BROKER, OUTSIDE[LAN_HOST], 1, 4, 0, quote)
    p = into(packet.ip6(TUNNEL_BROKER, OUTSIDE[LAN_HOST], packet.ICMP6, body), lambda p: p.type == 1 and p.quoted is not None)
    check_equal(p.data[40:], sent[40:], "the quoted UDP packet")


def test_an_error_that_quotes_an_error():
    """Not looked into deeper: only the outermost quote is translated, and the checksum holds."""
    deep = packet.ip6(INET_HOST, LAN_HOST, packet.ICMP6, packet.icmp6(INET_HOST, LAN_HOST, 1, 4, 0, packet.udp6(LAN_HOST, INET_HOST)))
    body = packet.icmp6(LAN_HOST, INET_HOST, 3, 0, 0, deep)
    inner = out(packet.ip6(LAN_HOST, INET_HOST, packet.ICMP6, body), lambda p: p.inner is not None and p.inner.type == 3)
    check_fields(inner.quoted, "quoted", src=INET_HOST, dst=OUTSIDE[LAN_HOST])


def test_link_local_stays_on_its_link():
    token = lab.token()
    lab.flush()
    lab.from_lan(packet.udp6("fe80::80", INET_HOST, data=token))
    check(not any(token in p.raw for p in lab.fence_out()), "a packet from a link-local source was forwarded")


def test_multicast_stays_on_its_link():
    for group in ("ff02::1", "ff05::2", "ff0e::1234"):
        token = lab.token()
        lab.flush()
        lab.lan.send(packet.eth("33:33:00:00:00:01", LAN_HOST_MAC, packet.udp6(LAN_HOST, group, data=token)))
        check(not any(token in p.raw for p in lab.fence_out()), "multicast to %s was forwarded" % group)


def neighbour_solicitation(src, target):
    node = "ff02::1:ff" + ("%06x" % (int(__import__("ipaddress").IPv6Address(target)) & 0xFFFFFF))[:2] + ":" + \
        "%04x" % (int(__import__("ipaddress").IPv6Address(target)) & 0xFFFF)
    body = packet.packed(target) + b"\x01\x01" + packet.mac_bytes(LAN_HOST_MAC)
    return packet.eth("33:33:ff:00:00:01", LAN_HOST_MAC,
                      packet.ip6(src, node, packet.ICMP6, packet.icmp6(src, node, 135, 0, 0, body), hop=255))


def test_neighbour_discovery_is_left_alone():
    for src in (LAN_HOST, "fe80::ff:fe00:180"):
        lab.flush()
        lab.lan.send(neighbour_solicitation(src, LAN_ROUTER))
        p = lab.lan.expect("a neighbour advertisement for " + src, lambda p: p.type == 136 and p.dst == src)
        check_fields(p, src=LAN_ROUTER, hop=255, l4_check_ok=True)


def test_what_has_no_translation():
    """RFC 6296 3.7: an interface identifier of zeros; 3.5: one of ones has no word to adjust."""
    if PLAIN:
        return
    for number in (0, (1 << 64) - 1):
        source, token = in_prefix(INTERNAL, number), lab.token()
        check_equal(XLAT.outward(source), None, "the test's own idea of " + source)
        lab.flush()
        moved = lab.counted(lambda: lab.from_lan(packet.udp6(source, INET_HOST, data=token)))
        check(not any(token in p.raw for p in lab.fence_out()), "a packet from %s left" % source)
        check_equal(moved, {"npt-untranslatable": 1}, "the drop counters that moved for " + source)


def test_what_has_no_translation_inward():
    if PLAIN:
        return
    for number in (0, (1 << 64) - 1):
        target, token = in_prefix(EXTERNAL, number), lab.token()
        lab.flush()
        moved = lab.counted(lambda: lab.from_tunnel(packet.udp6(INET_HOST, target, data=token)))
        check(not any(token in p.raw for p in lab.fence_in()), "a packet to %s came in" % target)
        check_equal(moved, {"npt-untranslatable": 1}, "the drop counters that moved for " + target)


def test_the_router_as_seen_from_outside():
    token = lab.token()
    lab.flush()
    lab.from_tunnel(packet.ping6(INET_HOST, XLAT.outward(LAN_ROUTER), data=token))
    outer = lab.wan.expect("the echo reply", lambda p: p.inner is not None and p.inner.type == 129 and token in p.inner.data)
    check_sound(outer)
    check_fields(outer.inner, src=XLAT.outward(LAN_ROUTER), dst=INET_HOST)


if __name__ == "__main__":
    main(tests_of(globals()), lab.prefix)
