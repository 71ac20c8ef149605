#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""forward.sh's packets, field by field."""

import random

import packet
from lab import *
from wire import check, check_equal, check_fields, check_sound, main

PRIORITY = 5 << 13  # a tag of VLAN 0

lab = Lab()
random.seed(4213)


def send_out(inner, token, src=LAN_HOST):
    """Puts it in at the LAN and returns what wan sees: the outer packet, sound, of the right addresses."""
    lab.flush()
    lab.from_lan(inner)
    outer = lab.wan.expect("the encapsulated packet", lambda p: p.inner is not None and not p.inner.quoted and token in p.inner.l4)
    check_sound(outer, "encapsulated")
    check_fields(outer, "outer", src=WAN_ROUTER, dst=BROKER, proto=packet.IPV6, hop=64,
                 src_mac=WAN_ROUTER_MAC, dst_mac=WAN_NEXT_MAC, vlans=[], mf=False, offset=0)
    check_equal(outer.length, outer.inner.length + 20, "the outer length")
    check_fields(outer.inner, "inner", src=NPT.outward(src))
    return outer


def send_in(inner, token, **outer):
    lab.flush()
    lab.from_tunnel(inner, **outer)
    p = lab.lan.expect("the decapsulated packet", lambda p: p.version == 6 and not p.quoted and token in p.l4)
    check_sound(p, "decapsulated")
    check_fields(p, "frame", src_mac=LAN_ROUTER_MAC, dst_mac=LAN_HOST_MAC, vlans=[], inner=None)
    return p


def test_out_fields():
    token = lab.token()
    outer = send_out(packet.ping6(LAN_HOST, INET_HOST, data=token, hop=33), token)
    check_fields(outer, "outer", tc=0, df=True)
    check_fields(outer.inner, "inner", dst=INET_HOST, hop=32, tc=0, type=128, l4_check_ok=True)


def test_in_fields():
    token = lab.token()
    p = send_in(packet.ping6(INET_HOST, LAN_OUTSIDE, data=token, hop=33), token)
    check_fields(p, "inner", src=INET_HOST, dst=LAN_HOST, hop=32, tc=0, type=128, l4_check_ok=True)


def test_flow_label_stays():
    token = lab.token()
    outer = send_out(packet.udp6(LAN_HOST, INET_HOST, data=token, flow=0xABCDE), token)
    check_fields(outer.inner, "inner", flow=0xABCDE)
    p = send_in(packet.udp6(INET_HOST, LAN_OUTSIDE, data=token, flow=0x54321), token)
    check_fields(p, "inner", flow=0x54321)


def test_every_size():
    for size in [8, 9, 15, 63, 64, 65, 511, 1023, 1024, 1279, 1280, 1400, 1431, 1432]:
        token = lab.token()
        data = token + bytes(random.getrandbits(8) for _ in range(size - 8))
        outer = send_out(packet.udp6(LAN_HOST, INET_HOST, data=data), token)
        check(outer.inner.data == data, "payload of %d bytes changed on the way out" % size)
        p = send_in(packet.udp6(INET_HOST, LAN_OUTSIDE, data=data), token)
        check(p.data == data, "payload of %d bytes changed on the way in" % size)


def test_addresses_as_rfc_6296():
    for i in range(100):
        number = random.choice([random.getrandbits(64), random.getrandbits(48) | 0xFFFF << 48, random.getrandbits(16) or 1])
        inside, token = in_prefix(INTERNAL, number), lab.token()
        outside = NPT.outward(inside)
        if outside is None or inside in (LAN_ROUTER, LAN_HOST):
            continue
        outer = send_out(packet.tcp6(inside, INET_HOST, data=token, flags=packet.ACK), token, src=inside)
        check_fields(outer.inner, "from " + inside, src=outside, dst=INET_HOST, l4_check_ok=True)


def test_extension_headers_pass():
    token = lab.token()
    datagram = packet.udp(LAN_HOST, INET_HOST, 1, 2, token)
    options = bytes([packet.UDP, 0, 1, 4, 0, 0, 0, 0])  # one PadN
    outer = send_out(packet.ip6(LAN_HOST, INET_HOST, 60, options + datagram), token)
    check_fields(outer.inner, "inner", proto=packet.UDP, l4_check_ok=True)


def test_priority_tag_stays_behind():
    token = lab.token()
    lab.flush()
    lab.lan.send_to(LAN_ROUTER_MAC, packet.udp6(LAN_HOST, INET_HOST, data=token), vid=PRIORITY)
    outer = lab.wan.expect("the encapsulated packet", lambda p: p.inner is not None and p.inner.data == token)
    check_fields(outer, "outer", vlans=[], ethertype=packet.ETH_IP)
    token = lab.token()
    inner = packet.udp6(INET_HOST, LAN_OUTSIDE, data=token)
    lab.wan.send_to(WAN_ROUTER_MAC, packet.ip4(BROKER, WAN_ROUTER, packet.IPV6, inner), vid=PRIORITY)
    p = lab.lan.expect("the decapsulated packet", lambda p: p.version == 6 and p.data == token)
    check_fields(p, "frame", vlans=[], ethertype=packet.ETH_IPV6)


def test_outer_padding_is_left_behind():
    token = lab.token()
    inner = packet.udp6(INET_HOST, LAN_OUTSIDE, data=token)
    p = send_in(inner + bytes(20), token)
    check_equal(len(p.raw), 14 + len(inner), "the frame's length")


def test_ethernet_padding_is_left_behind():
    token = lab.token()
    outer = packet.ip4(BROKER, WAN_ROUTER, packet.IPV6, packet.udp6(INET_HOST, LAN_OUTSIDE, data=token))
    lab.flush()
    lab.from_wan(outer + bytes(30))
    p = lab.lan.expect("the packet", lambda p: p.version == 6 and p.data == token)
    check_equal(len(p.raw), 14 + 40 + 8 + len(token), "the frame's length")


def test_outer_options_are_accepted():
    token = lab.token()
    send_in(packet.udp6(INET_HOST, LAN_OUTSIDE, data=token), token, options=b"\x01\x01\x01\x00")


def test_outer_checksum_must_be_right():
    token = lab.token()
    outer = bytearray(packet.ip4(BROKER, WAN_ROUTER, packet.IPV6, packet.udp6(INET_HOST, LAN_OUTSIDE, data=token)))
    outer[10] ^= 0x55
    lab.flush()
    lab.from_wan(bytes(outer))
    before = lab.fence_in()
    check(not any(p.version == 6 and p.data == token for p in before), "a packet with a wrong outer header checksum passed")


def test_counters():
    before = lab.tunnel()
    for _ in range(10):
        token = lab.token()
        send_out(packet.udp6(LAN_HOST, INET_HOST, data=token), token)
        send_in(packet.udp6(INET_HOST, LAN_OUTSIDE, data=token), token)
    after = lab.tunnel()
    for key in ("tx_packets", "rx_packets"):
        check(10 <= after[key] - before[key] <= 20, "%s went from %d to %d by 10 packets" % (key, before[key], after[key]))


if __name__ == "__main__":
    main(tests_of(globals()), lab.prefix)
