#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""unanswered.sh's packets: to neighbours that do not answer. --mode dead: no daemon runs."""

import select
import time

import packet
from lab import *
from wire import check, check_equal, check_fields, check_sound, main

lab = Lab()
SILENT = "2001:db8:aa::66"  # nobody of the LAN
SILENT_OUTSIDE = NPT.outward(SILENT)
SILENT4, SILENT_LAN4, PEER4 = "203.0.113.66", "192.0.2.66", "203.0.113.77"
ASKING = 2  # seconds in which the kernel surely still asks: three times, a second apart


def tick(port, send, seconds, every=0.2):
    """Sends now and then; yields (seconds since the first, packet) of what comes to the port."""
    begin = last = time.monotonic()
    send()
    while time.monotonic() < begin + seconds:
        if select.select([port.sock], [], [], 0.05)[0]:
            p = port.read(0)
            if p is not None:
                yield time.monotonic() - begin, p
        if time.monotonic() >= last + every:
            last = time.monotonic()
            send()


def is_error(p, to):
    """Address, or host, unreachable, about what went there. Through the tunnel it lies within."""
    p = p.inner or p
    kinds = {packet.ICMP: (3, 1), packet.ICMP6: (1, 3)}
    return p.quoted is not None and p.quoted.dst == to and (p.type, p.code) == kinds[p.proto]


def first_error(port, send, to, seconds=8):
    """When it came, after the first packet, and the error."""
    lab.flush()
    for when, p in tick(port, send, seconds):
        if is_error(p, to):
            return when, p
    check(False, "no error about packets to %s within %d s" % (to, seconds))


def errors(port, send, to, seconds, every=0.2):
    lab.flush()
    return [when for when, p in tick(port, send, seconds, every) if is_error(p, to)]


def test_from_the_tunnel_to_the_lan():
    def send():
        lab.from_tunnel(packet.udp6(INET_HOST, SILENT_OUTSIDE, data=bytes(64)))

    when, p = first_error(lab.wan, send, SILENT_OUTSIDE)
    check(when > ASKING, "answered after %.1f s: the kernel was still asking" % when)
    check_sound(p)
    check_fields(p, src=WAN_ROUTER, dst=BROKER)
    check_fields(p.inner, dst=INET_HOST, type=1, code=3)
    check_fields(p.inner.quoted, src=INET_HOST, dst=SILENT_OUTSIDE)
    # and so it goes on, while packets come: one in a second too
    check(len(errors(lab.wan, send, SILENT_OUTSIDE, 8, 1)) >= 7, "not every packet is answered")


def test_the_neighbour_comes():
    """A second or two after that it gets its packets."""
    lab.run("lan", "ip", "addr", "add", SILENT + "/64", "dev", "eth0", "nodad")
    token = lab.token()
    lab.flush()
    try:
        for when, p in tick(lab.lan, lambda: lab.from_tunnel(packet.udp6(INET_HOST, SILENT_OUTSIDE, data=token)), 5):
            if p.data == token:
                check(when < 3, "only after %.1f s" % when)
                break
        else:
            check(False, "nothing arrives")
        check_equal(errors(lab.wan, lambda: lab.from_tunnel(packet.udp6(INET_HOST, SILENT_OUTSIDE)), SILENT_OUTSIDE, 2), [],
                    "errors although it is there")
    finally:
        lab.run("lan", "ip", "addr", "del", SILENT + "/64", "dev", "eth0")


def test_not_resolved_yet_costs_no_packet():
    """Of somebody who is there, but whom the router has to ask for, all packets arrive, and there is no error."""
    lab.run("router", "ip", "neigh", "flush", "to", "2001:db8:aa::/64")
    tokens = [lab.token() for _ in range(3)]
    lab.flush()
    for token in tokens:
        lab.from_tunnel(packet.udp6(INET_HOST, LAN_OUTSIDE, data=token))
    for token in tokens:
        lab.lan.expect("the packet", lambda p, t=token: p.data == t)
    lab.wan.quiet(lambda p: is_error(p, LAN_OUTSIDE), 0.3)


def test_ipv4():
    when, p = first_error(lab.lan, lambda: lab.from_lan(packet.udp4("192.0.2.80", SILENT4)), SILENT4)
    check(when > ASKING, "answered after %.1f s: the kernel was still asking" % when)
    check_sound(p)
    check_fields(p, src="192.0.2.1", dst="192.0.2.80", type=3, code=1)
    check_fields(p.quoted, src="192.0.2.80", dst=SILENT4)


def test_ipv4_to_the_lan():
    when, p = first_error(lab.wan, lambda: lab.from_wan(packet.udp4("198.51.100.7", SILENT_LAN4)), SILENT_LAN4)
    check(when > ASKING, "answered after %.1f s: the kernel was still asking" % when)
    check_fields(p, src=WAN_ROUTER, dst="198.51.100.7", type=3, code=1)


def test_errors_are_not_answered():
    """RFC 4443 2.4 (e), also here."""
    inside = packet.udp6(SILENT_OUTSIDE, INET_HOST)
    error = packet.icmp6(INET_HOST, SILENT_OUTSIDE, 1, 0, 0, inside)
    send = lambda: lab.from_tunnel(packet.ip6(INET_HOST, SILENT_OUTSIDE, packet.ICMP6, error))
    check_equal(errors(lab.wan, send, SILENT_OUTSIDE, 5), [], "errors about errors")


def test_explained():
    """explain says it too, and writes nothing. It may come when the kernel asks once more: then later."""
    send = lambda: lab.from_lan(packet.udp4("192.0.2.80", SILENT4))
    end = time.monotonic() + 30
    said = ""
    while "unreachable" not in said and time.monotonic() < end:
        first_error(lab.lan, send, SILENT4)
        said = str(lab.fl("explain", "--in", "lan", "--src", "192.0.2.80", "--dst", SILENT4, "--proto", "udp", "--dport", "9"))
    check("unreachable" in said, "explain says: %s" % said)


def underlay(on):
    """Whether the tunnel's next hop answers."""
    lab.run("wan", "ip", "link", "set", "net0", "arp", "on" if on else "off")


def test_the_underlays_next_hop():
    send = lambda: lab.from_lan(packet.udp6(LAN_HOST, INET_HOST))
    underlay(False)
    try:
        lab.run("router", "ip", "neigh", "del", "203.0.113.1", "dev", "wan0")
        when, p = first_error(lab.lan, send, INET_HOST, 10)
        check(when > ASKING, "answered after %.1f s: the kernel was still asking" % when)
        check_sound(p)
        check_fields(p, src=LAN_ROUTER, dst=LAN_HOST, type=1, code=3)
        check_fields(p.quoted, src=LAN_HOST, dst=INET_HOST)
    finally:
        underlay(True)
    token = lab.token()
    lab.flush()
    for when, p in tick(lab.wan, lambda: lab.from_lan(packet.udp6(LAN_HOST, INET_HOST, data=token)), 8):
        if p.inner is not None and p.inner.data == token:
            check(when < 4, "the tunnel goes on only after %.1f s" % when)
            return
    check(False, "the tunnel does not go on")


def test_without_a_daemon():
    """What it has said is forgotten after some seconds: then nobody is answered, and whoever is there is reached."""
    send = lambda: lab.from_lan(packet.udp4("192.0.2.80", PEER4))
    check_equal(errors(lab.lan, send, PEER4, 5), [], "errors that nobody can know of")
    lab.fence_in()
    lab.fence_out()


if __name__ == "__main__":
    if lab.mode == "dead":
        main([test_without_a_daemon], lab.prefix)
    main([test for test in tests_of(globals()) if test is not test_without_a_daemon], lab.prefix)
