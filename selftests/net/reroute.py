#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""reroute.sh's packets: flows that are known and busy while routes and rules change under them."""

import subprocess
import time

import packet
from lab import *
from wire import check, check_equal, check_fields, check_sound, main

lab = Lab()
LAN4, FAR4, FAR6 = "192.0.2.80", "198.18.7.7", "2001:db8:77::99"
WAN_ROUTER6 = "2001:db8:2::20"
OTHER, OTHER4, OTHER6 = "02:00:00:00:02:66", "203.0.113.66", "2001:db8:2::66"  # the other next hop
SOON = 0.5  # the daemon hears of a change by netlink
EVERY = 0.005


FLOWS = {
    "IPv4": lambda data: packet.udp4(LAN4, FAR4, data=data),
    "IPv6": lambda data: packet.udp6(LAN_HOST, FAR6, data=data),
    "tunnel": lambda data: packet.udp6(LAN_HOST, INET_HOST, data=data),
}
# the ways out: to whose MAC, and whether in the tunnel
PLAIN, TUNNEL = (WAN_NEXT_MAC, False), (WAN_NEXT_MAC, True)
OTHER_PLAIN, OTHER_TUNNEL = (OTHER, False), (OTHER, True)
USUAL = {"IPv4": PLAIN, "IPv6": PLAIN, "tunnel": TUNNEL}


def busy(flows, seconds, until=None):
    """All of them at once for so long: name -> the ways that its packets went, in the order of sending; None: none. Ends earlier when
    the last few of each have gone the way that `until` says."""
    sent, ways = {name: [] for name in flows}, {}
    end = time.monotonic() + seconds

    def look(timeout):
        while True:
            p = lab.wan.read(timeout)
            if p is None:
                return
            data = p.data if p.inner is None else p.inner.data
            ways[data] = (p.dst_mac, p.inner is not None)

    def done():
        return all(len(sent[name]) >= 3 and all(ways.get(token) == until[name] for token in sent[name][-3:]) for name in flows)

    lab.flush()
    while time.monotonic() < end and not (until and done()):
        for name, make in flows.items():
            sent[name].append(lab.token())
            lab.from_lan(make(sent[name][-1]))
        look(EVERY)
    look(0.05)
    return {name: [ways.get(token) for token in sent[name]] for name in flows}


def go(flows, want, what):
    """From now on each goes its way, and none is lost."""
    for name, ways in busy(flows, 0.15).items():
        check(len(ways) >= 5, "only %d packets of %s were sent" % (len(ways), name))
        check_equal(set(ways), {want[name]}, "the way of %s %s" % (name, what))


def change(*commands):
    for command in commands:
        lab.run("router", "ip", *command.split())


def moved(flows, before, after, what, *commands):
    """Busy before, in the midst of it and after: within SOON all packets go the new way, and meanwhile one of both."""
    go(flows, before, "before " + what)
    change(*commands)
    for name, ways in busy(flows, SOON, after).items():
        check(set(ways) <= {before[name], after[name]}, "%s went by %s while %s" % (name, set(map(str, ways)), what))
    go(flows, after, "after " + what)


def test_a_route_is_replaced():
    by_other = dict(USUAL, IPv4=OTHER_PLAIN, IPv6=OTHER_PLAIN)
    moved(FLOWS, USUAL, by_other, "routes were replaced",
          "route replace 198.18.0.0/15 via " + OTHER4, "-6 route replace 2001:db8:77::/48 via " + OTHER6)
    moved(FLOWS, by_other, USUAL, "routes were replaced again",
          "route replace 198.18.0.0/15 via 203.0.113.1", "-6 route replace 2001:db8:77::/48 via 2001:db8:2::1")


def test_a_route_comes_and_goes():
    """More exact ones; the packet that went into the tunnel goes beside it."""
    by_other = dict.fromkeys(FLOWS, OTHER_PLAIN)
    moved(FLOWS, USUAL, by_other, "routes came", "route add 198.18.7.0/24 via " + OTHER4,
          "-6 route add 2001:db8:77::99/128 via " + OTHER6, "-6 route add 2001:db8:f::/64 via " + OTHER6)
    moved(FLOWS, by_other, USUAL, "routes went", "route del 198.18.7.0/24 via " + OTHER4,
          "-6 route del 2001:db8:77::99/128 via " + OTHER6, "-6 route del 2001:db8:f::/64 via " + OTHER6)


def test_the_underlays_route_is_replaced():
    """The outer packet's."""
    flows = {"tunnel": FLOWS["tunnel"]}
    by_other = {"tunnel": OTHER_TUNNEL}
    moved(flows, USUAL, by_other, "the default route was replaced", "route replace default via " + OTHER4)
    moved(flows, by_other, USUAL, "it was replaced again", "route replace default via 203.0.113.1")


def test_a_rule_by_source():
    change("route add default via %s table 100" % OTHER4, "-6 route add default via %s table 100" % OTHER6)
    by_other = dict.fromkeys(FLOWS, OTHER_PLAIN)
    rules = "rule %%s from %s lookup 100" % LAN4, "-6 rule %%s from %s lookup 100" % LAN_HOST
    try:
        moved(FLOWS, USUAL, by_other, "rules came", *(rule % "add" for rule in rules))
        moved(FLOWS, by_other, USUAL, "rules went", *(rule % "del" for rule in rules))
    finally:
        change("route flush table 100", "-6 route flush table 100")


def test_a_rule_by_protocol_and_port():
    """Only what it names is dropped; the flows of the same addresses are none of its business."""
    flows = {
        "UDP 4242": lambda data: packet.udp4(LAN4, FAR4, 4000, 4242, data),
        "UDP 4243": lambda data: packet.udp4(LAN4, FAR4, 4000, 4243, data),
        "TCP 4242": lambda data: packet.ip4(LAN4, FAR4, packet.TCP, packet.tcp(LAN4, FAR4, 4000, 4242, data=data)),
        "IPv6 UDP 4242": lambda data: packet.udp6(LAN_HOST, FAR6, 4000, 4242, data),
        "IPv6 TCP 4242": lambda data: packet.tcp6(LAN_HOST, FAR6, 4000, 4242, data=data),
        "tunnel UDP 4242": lambda data: packet.udp6(LAN_HOST, INET_HOST, 4000, 4242, data),
    }
    usual = {name: TUNNEL if "tunnel" in name else PLAIN for name in flows}
    dropped = {name: None if "UDP 4242" in name else way for name, way in usual.items()}
    rules = [family + "rule %s ipproto udp dport 4242 lookup 100" for family in ("", "-6 ")]
    change("route add blackhole default table 100", "-6 route add blackhole default table 100")
    try:
        before = lab.drops().get("blackhole", 0)
        moved(flows, usual, dropped, "rules came", *(rule % "add" for rule in rules))
        check(lab.drops().get("blackhole", 0) >= before + 30, "not counted as blackhole: %s" % lab.drops())
        moved(flows, dropped, usual, "rules went", *(rule % "del" for rule in rules))
    finally:
        change("route flush table 100", "-6 route flush table 100")


def big(size, token):
    """IPv4 that may not be cut, and IPv6, of that size."""
    return (packet.ip4(LAN4, FAR4, packet.UDP, packet.udp(LAN4, FAR4, 4000, 4001, token + bytes(size - 28 - len(token))), df=True),
            packet.udp6(LAN_HOST, FAR6, data=token + bytes(size - 48 - len(token))))


def passes(size):
    for datagram in big(size, lab.token()):
        lab.flush()
        lab.from_lan(datagram)
        lab.wan.expect("%d bytes" % size, lambda p: p.length == size)


def test_a_route_with_an_mtu():
    passes(1468)
    change("route replace 198.18.0.0/15 via 203.0.113.1 mtu lock 1400", "-6 route replace 2001:db8:77::/48 via 2001:db8:2::1 mtu lock 1400")
    time.sleep(SOON)
    for datagram, source, kind, code in zip(big(1468, lab.token()), ("192.0.2.1", LAN_ROUTER), (3, 2), (4, 0)):
        lab.flush()
        lab.from_lan(datagram)
        error = lab.lan.expect("the error about 1468 bytes", lambda p: p.quoted is not None)
        check_sound(error)
        check_fields(error, src=source, type=kind, code=code, rest=1400)
        check_equal(error.data[20:24], datagram[20:24], "the quoted packet")
        lab.wan.quiet(lambda p: p.length == 1468, 0.1)
    passes(1400)
    change("route replace 198.18.0.0/15 via 203.0.113.1", "-6 route replace 2001:db8:77::/48 via 2001:db8:2::1")
    time.sleep(SOON)
    passes(1468)


def believes(family, address, mtu):
    """That the kernel has taken the error for its own traffic: else the test shows nothing."""
    said = subprocess.run(["ip", "-n", lab.ns("router"), family, "route", "get", address], stdout=subprocess.PIPE, check=True, timeout=20)
    check("mtu %d" % mtu in said.stdout.decode(), "the router's own way to %s: %s" % (address, said.stdout.decode()))


def test_a_forged_path_mtu():
    """Errors about echo replies of the router's own, which anybody can make: the kernel heeds them, what is forwarded does not."""
    reply = packet.ip4(WAN_ROUTER, FAR4, packet.ICMP, packet.icmp4(0, 0, 1, bytes(64)))
    lab.from_wan(packet.ip4(FAR4, WAN_ROUTER, packet.ICMP, packet.icmp4(3, 4, 576, reply)))
    for address, own, put in ((FAR6, WAN_ROUTER6, lab.from_wan), (INET_HOST, TUNNEL_ROUTER, lab.from_tunnel)):
        reply = packet.ip6(own, address, packet.ICMP6, packet.icmp6(own, address, 129, 0, 1, bytes(64)))
        put(packet.ip6(address, own, packet.ICMP6, packet.icmp6(address, own, 2, 0, 1280, reply)))
    lab.fence_in()
    believes("-4", FAR4, 576)
    believes("-6", FAR6, 1280)
    believes("-6", INET_HOST, 1280)
    passes(1500)
    token = lab.token()
    lab.flush()
    lab.from_lan(packet.udp6(LAN_HOST, INET_HOST, data=token + bytes(1480 - 48 - len(token))))
    lab.wan.expect("1480 bytes in the tunnel", lambda p: p.inner is not None and token in p.inner.data)


def wait_for(what, condition, seconds=3):
    end = time.monotonic() + seconds
    while not condition():
        check(time.monotonic() < end, "%s: %s" % (what, lab.fl("status")))
        time.sleep(0.05)


def test_no_route_to_the_remote():
    """The tunnel says so, its packets are answered, and it goes on when the route is back."""
    tunnel = {"tunnel": FLOWS["tunnel"]}
    wait_for("status before", lambda: lab.fl("status")["state"] == "ok")
    before = lab.tunnel()["drops"].get("no-underlay-route", 0)
    change("route del default")
    try:
        wait_for("status", lambda: "no route to its remote by the underlay" in str(lab.fl("status")["reasons"]))
        check_equal(lab.fl("status")["state"], "degraded", "the state")
        time.sleep(SOON)
        token = lab.token()
        lab.flush()
        lab.from_lan(FLOWS["tunnel"](token))
        error = lab.lan.expect("Destination Unreachable", lambda p: p.quoted is not None and token in p.data)
        check_sound(error)
        check_fields(error, src=LAN_ROUTER, dst=LAN_HOST, type=1, code=3)
        check_fields(error.quoted, src=LAN_HOST, dst=INET_HOST)
        lab.wan.quiet(lambda p: p.inner is not None or token in p.raw, 0.1)
        check_equal(lab.tunnel()["drops"].get("no-underlay-route", 0), before + 1, "the tunnel's drops for no-underlay-route")
    finally:
        change("route add default via 203.0.113.1")
    wait_for("status after", lambda: lab.fl("status")["state"] == "ok")
    go(tunnel, USUAL, "with the route back")


def test_the_cable_is_out():
    """wan has no carrier. As soon as the kernel has asked for the next hops in vain, each packet is answered; none is sent into the
    cable as if it were there, which XDP would do without a word."""
    errors = {"IPv4": (3, 1), "IPv6": (1, 3), "tunnel": (1, 3)}
    lab.run("wan", "ip", "link", "set", "dev", "net0", "down")
    try:
        wait_for("status", lambda: lab.fl("status")["state"] == "degraded")
        end = time.monotonic() + 6
        while not all([answer_to(make, 0.05) for make in FLOWS.values()]):
            check(time.monotonic() < end, "packets are lost in silence: %s" % lab.drops())
        before = lab.drops().get("unreachable", 0)
        for name, make in FLOWS.items():
            for _ in range(20):
                answer = answer_to(make, 1)
                check(answer is not None, "a packet of %s is lost in silence" % name)
                check_fields(answer, "the error about " + name, type=errors[name][0], code=errors[name][1])
        check_equal(lab.drops().get("unreachable", 0) - before, 60, "packets counted as unreachable")
    finally:
        lab.run("wan", "ip", "link", "set", "dev", "net0", "up")


def answer_to(make, seconds):
    """The error about a packet, or None."""
    lab.lan.flush()
    lab.from_lan(make(lab.token()))
    while True:
        p = lab.lan.read(seconds)
        if p is None or p.quoted is not None:
            return p


if __name__ == "__main__":
    main([test for test in tests_of(globals()) if test is not test_the_cable_is_out or lab.mode == "native"], lab.prefix)
