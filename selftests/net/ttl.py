#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""ttl.sh's packets: what happens to those whose hop limit ends at the router."""

import time

import packet
from lab import *
from wire import check, check_equal, check_fields, check_sound, main

lab = Lab()


def is_time_exceeded(p):
    return p.proto == packet.ICMP6 and p.type == 3 and p.code == 0 and p.quoted is not None


def time_exceeded_at_lan(hop):
    datagram = packet.udp6(LAN_HOST, INET_HOST, data=lab.token(), hop=hop)
    lab.flush()
    lab.from_lan(datagram)
    error = lab.lan.expect("Time Exceeded", is_time_exceeded)
    check_sound(error, "Time Exceeded")
    check_fields(error, "Time Exceeded", src=LAN_ROUTER, dst=LAN_HOST, dst_mac=LAN_HOST_MAC)
    check_fields(error.quoted, "quoted", src=LAN_HOST, dst=INET_HOST, sport=4000, dport=4001)
    check_equal(error.data[40:], datagram[40:], "the quoted payload")


def test_hop_limit_1_from_the_lan():
    time_exceeded_at_lan(1)


def test_hop_limit_0_from_the_lan():
    time_exceeded_at_lan(0)


def test_hop_limit_1_with_a_priority_tag():
    lab.flush()
    lab.lan.send_to(LAN_ROUTER_MAC, packet.udp6(LAN_HOST, INET_HOST, data=lab.token(), hop=1), vid=5 << 13)
    error = lab.lan.expect("Time Exceeded", is_time_exceeded)
    check_sound(error, "Time Exceeded")
    check_fields(error, "Time Exceeded", src=LAN_ROUTER, dst=LAN_HOST, vlans=[])


def test_hop_limit_2_passes():
    token = lab.token()
    lab.flush()
    lab.from_lan(packet.udp6(LAN_HOST, INET_HOST, data=token, hop=2))
    outer = lab.wan.expect("the packet", lambda p: p.inner is not None and p.inner.data == token)
    check_fields(outer.inner, "inner", hop=1)
    check_fields(outer, "outer", hop=64)


def test_hop_limit_1_from_the_tunnel():
    token = lab.token()
    lab.flush()
    lab.from_tunnel(packet.udp6(INET_HOST, LAN_OUTSIDE, data=token, hop=1))
    outer = lab.wan.expect("Time Exceeded", lambda p: p.inner is not None and is_time_exceeded(p.inner))
    check_sound(outer, "Time Exceeded")
    check_fields(outer, "outer", src=WAN_ROUTER, dst=BROKER)
    check_fields(outer.inner, "Time Exceeded", dst=INET_HOST)
    check(outer.inner.src in (TUNNEL_ROUTER, NPT.outward(LAN_ROUTER)), "it comes from %s" % outer.inner.src)
    check_fields(outer.inner.quoted, "quoted", src=INET_HOST, dst=LAN_OUTSIDE)


def test_counted():
    moved = lab.counted(lambda: lab.from_lan(packet.udp6(LAN_HOST, INET_HOST, hop=1)))
    check_equal(moved, {"hop-limit": 1}, "the drop counters that moved")


def test_no_error_about_an_error():
    quote = packet.udp6(INET_HOST, LAN_HOST)
    lab.flush()
    lab.from_lan(packet.ip6(LAN_HOST, INET_HOST, packet.ICMP6, packet.icmp6(LAN_HOST, INET_HOST, 1, 4, 0, quote), hop=1))
    lab.fence_out()
    lab.lan.quiet(is_time_exceeded, 0.2)


def test_errors_are_limited():
    """A flood of expiring packets does not become a flood of errors."""
    lab.flush()
    for _ in range(3000):
        lab.from_lan(packet.udp6(LAN_HOST, INET_HOST, hop=1))
    lab.fence_out(timeout=10)
    count = 0
    while True:
        p = lab.lan.read(0.2)
        if p is None:
            break
        count += is_time_exceeded(p)
    check(0 < count < 1500, "%d errors for 3000 packets" % count)


def test_ipv4_from_the_lan():
    token = lab.token()
    lab.flush()
    lab.from_lan(packet.udp4("192.0.2.80", "203.0.113.1", data=token, ttl=1))
    error = lab.lan.expect("Time Exceeded", lambda p: p.proto == packet.ICMP and p.type == 11)
    check_sound(error, "Time Exceeded")
    check_fields(error, "Time Exceeded", src="192.0.2.1", dst="192.0.2.80", code=0)
    check_fields(error.quoted, "quoted", src="192.0.2.80", dst="203.0.113.1")


def test_ipv4_where_the_interface_has_no_address():
    """The error comes from another one's."""
    lab.run("router", "ip", "addr", "del", "192.0.2.1/24", "dev", "lan0")
    lab.run("router", "ip", "route", "add", "192.0.2.0/24", "dev", "lan0")
    try:
        time.sleep(0.3)  # the daemon hears of it by netlink
        lab.flush()
        lab.from_lan(packet.udp4("192.0.2.80", "203.0.113.1", data=lab.token(), ttl=1))
        error = lab.lan.expect("Time Exceeded", lambda p: p.proto == packet.ICMP and p.type == 11)
        check_sound(error, "Time Exceeded")
        check_fields(error, "Time Exceeded", src=WAN_ROUTER, dst="192.0.2.80", code=0)
    finally:
        lab.run("router", "ip", "route", "del", "192.0.2.0/24", "dev", "lan0")
        lab.run("router", "ip", "addr", "add", "192.0.2.1/24", "dev", "lan0")


def test_ipv4_counts_one():
    token = lab.token()
    lab.flush()
    lab.from_lan(packet.udp4("192.0.2.80", "203.0.113.1", data=token, ttl=7))
    p = lab.wan.expect("the packet", lambda p: p.data == token)
    check_sound(p, "forwarded")
    check_fields(p, "forwarded", hop=6, src="192.0.2.80", dst="203.0.113.1", src_mac=WAN_ROUTER_MAC, dst_mac=WAN_NEXT_MAC)


if __name__ == "__main__":
    main(tests_of(globals()), lab.prefix)
