# SPDX-License-Identifier: GPL-2.0-only
"""What steer*.py share: the links, and which way a packet goes."""

import time

import packet
import wire
from lab import LAN_HOST_MAC, LAN_ROUTER_MAC, WAN_NEXT_MAC, WAN_ROUTER_MAC, Lab
from wire import Port, check, check_equal, check_fields, check_sound

A, A6 = "192.0.2.51", "2001:db8:aa::51"
FAR, FAR6 = "198.51.100.77", "2001:db8:99::77"
ON_TWO = "198.18.2.50"
OWN1, OWN2 = "203.0.113.20", "198.18.2.20"
TWO_ROUTER_MAC, TWO_NEXT_MAC, TWO_HOST_MAC = "02:00:00:00:03:20", "02:00:00:00:03:01", "02:00:00:00:03:50"
THREE_NEXT_MAC = "02:00:00:00:04:01"
BROKER, OVER, OVER_FAR = "198.51.100.10", "198.51.100.20", "2001:db8:77::77"
ON_LINK, ON_LINK6, ON_LINK_MAC = "198.51.100.97", "2001:db8:98::97", "02:00:00:00:02:97"

lab = Lab()
TWO, THREE = Port(lab.ns("two"), "net0"), Port(lab.ns("three"), "net0")
SIDES = {"wan": (lab.wan, WAN_ROUTER_MAC, OWN1), "two": (TWO, TWO_ROUTER_MAC, OWN2)}
LINKS = {"wan": lab.wan, "two": TWO, "three": THREE}
NEXT = {"wan": WAN_NEXT_MAC, "two": TWO_NEXT_MAC, "three": THREE_NEXT_MAC}
DEAD = lab.mode == "killed"
SOON = 1.6 if DEAD else 0.5  # a second, and what the machine takes


def flush():
    lab.flush()
    for link in LINKS.values():
        link.flush()


def has(token):
    return lambda p: token in p.raw and p.type not in (1, 3, 11)


def where(token, timeout=1.0):
    """By which link it left, and as what; None: by none."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        for name, link in LINKS.items():
            p = link.read(0.002)
            if p is not None and has(token)(p):
                return name, p
    return None, None


def leaves(send, want, mac=None, inner=False, **fields):
    """send(token)'s packet leaves by that link, to that MAC."""
    token = lab.token()
    flush()
    send(token)
    name, p = where(token)
    check_equal(name, want, "the link that it left by")
    check_sound(p)
    check_fields(p, dst_mac=mac or NEXT[want])
    check_equal(p.inner is not None, inner, "in the tunnel")
    check_fields(p.inner or p, **fields)
    return p


def from_lan(port, sport=5000, dst=FAR):
    if ":" not in dst:
        return lambda token: lab.from_lan(packet.udp4(A, dst, sport, port, token))
    return lambda token: lab.from_lan(packet.udp6(A6, dst, sport, port, token))


def from_two(token, port, dst=A, src=FAR, sport=5000):
    make = packet.udp6 if ":" in dst else packet.udp4
    TWO.send_to(TWO_ROUTER_MAC, make(src, dst, sport, port, token))


def arrives(send, **fields):
    token = lab.token()
    flush()
    send(token)
    p = lab.lan.expect("the packet in the LAN", has(token))
    check_sound(p)
    check_fields(p, dst_mac=LAN_HOST_MAC, src_mac=LAN_ROUTER_MAC, **fields)
    return p


def answer(port, src=A, dst=FAR, dport=5000):
    make = packet.udp6 if ":" in src else packet.udp4
    return lambda token: lab.from_lan(make(src, dst, port, dport, token))


def goes_over(send, want, mac, seconds=SOON):
    """Within so long its packets leave that way, and from then on all of them. want None: they leave no more."""
    begin, ways = time.monotonic(), []
    flush()
    while time.monotonic() < begin + seconds + 0.3:
        token = lab.token()
        at = time.monotonic() - begin
        send(token)
        name, p = where(token, 0.05)
        ways.append((round(at, 2), name, p and p.dst_mac))
        if len(ways) > 3 and all(way[1:] == (want, mac) for way in ways[-3:]):
            first = next(way[0] for way in ways if way[1:] == (want, mac))
            check(first <= seconds, "it took %s s" % first)
            return
    raise wire.Failure("not by %s to %s within %s s: %s" % (want, mac, seconds, ways[-5:]))


def ip(*command):
    lab.run("router", "ip", *command)
