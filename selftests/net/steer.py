#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""steer.sh's packets. --mode killed: without a daemon, whose programs and maps go on."""

import socket
import time

import packet
import steer_groups
import wire
from lab import WAN_NEXT_MAC, tests_of
from steerlab import (
    A, A6, BROKER, DEAD, FAR, FAR6, LINKS, ON_TWO, OWN1, OWN2, SOON, TWO, TWO_HOST_MAC, TWO_NEXT_MAC,
    TWO_ROUTER_MAC, answer, arrives, flush, from_lan, from_two, goes_over, has, ip, lab, leaves, where,
)
from wire import check_equal, check_fields, check_sound


# ---- a rule's gateway ----


def test_by_another_link():
    for _ in range(2):
        leaves(from_lan(1001), "two", src=A, dst=FAR, hop=63)
        leaves(from_lan(1002), "two", src=A, dst=FAR, hop=63)
        leaves(from_lan(1009), "wan", src=A, dst=FAR, hop=63)
        leaves(from_lan(1006, dst=FAR6), "two", src=A6, dst=FAR6, hop=63)


def test_the_answer_of_a_steered_one():
    for port in (1001,):
        leaves(from_lan(port, 5010), "two")
        arrives(lambda token: from_two(token, 5010, sport=port), src=FAR, dst=A, hop=63)


def test_into_a_tunnel():
    for port in (1003, 1004):
        for _ in range(2):
            p = leaves(from_lan(port, dst=FAR6), "wan", inner=True, src=A6, dst=FAR6, hop=63)
            check_fields(p, src=OWN1, dst=BROKER)
    leaves(from_lan(1009, dst=FAR6), "wan", src=A6, dst=FAR6, hop=63)


def test_the_rule_is_of_its_gateways_family():
    leaves(from_lan(1001, dst=FAR6), "wan", src=A6)
    leaves(from_lan(1006), "wan", src=A)


def test_by_a_rule_where_it_would_leave():
    """That one counts its states and limits them, though others judge the packet where it leaves then."""
    for sport in (5020, 5021, 5020):
        leaves(from_lan(1026, sport), "two", src=A)
    token = lab.token()
    flush()
    from_lan(1026, 5022)(token)
    check_equal(where(token, 0.1)[0], None, "the link of one too many")
    if not DEAD:
        rule = next(r for r in lab.fl("show", "rules") if r["name"] == "steer 1026")
        check_equal((rule["states"], rule["packets"]), (2, 3), "what the rule has counted")


def test_too_big_for_the_tunnel():
    """Whose MTU is smaller than the route's."""
    token = lab.token()
    flush()
    lab.from_lan(packet.udp6(A6, FAR6, 5001, 1003, bytes(1440) + token))
    p = lab.lan.expect("Packet Too Big", lambda p: p.type == 2)
    check_fields(p, rest=1480, dst=A6)


# ---- the router's own ----


def own(family, address, port):
    with wire.namespace(lab.ns("router")):
        sock = socket.socket(family, socket.SOCK_DGRAM)
        if address:
            sock.bind(address)
    sock.settimeout(2)
    return sock, lambda token: sock.sendto(token, (FAR6 if family == socket.AF_INET6 else FAR, port))


def test_own_by_another_link():
    for port in (1021, 1024):
        sock, send = own(socket.AF_INET, None, port)
        for _ in range(2):
            p = leaves(send, "two", dst=FAR, hop=64)
        back = lab.token()
        TWO.send_to(TWO_ROUTER_MAC, packet.udp4(FAR, p.src, port, p.sport, back))
        if port == 1021:
            check_equal(sock.recv(100), back, "the answer")
        sock.close()
    sock, send = own(socket.AF_INET, None, 1029)
    leaves(send, "wan", dst=FAR, hop=64)
    sock.close()
    sock, send = own(socket.AF_INET6, None, 1025)
    leaves(send, "two", dst=FAR6, hop=64)
    sock.close()


def test_rules_where_they_then_leave():
    sock, own_send = own(socket.AF_INET, None, 1027)
    for what, send in (("of the router", own_send), ("of the LAN", from_lan(1027))):
        token = lab.token()
        flush()
        try:
            send(token)
        except PermissionError:  # as the kernel is told of what is dropped
            pass
        check_equal(where(token, 0.2)[0], None, "the link of what a rule blocks there, " + what)
    sock.close()


def test_own_into_the_tunnel():
    sock, send = own(socket.AF_INET6, None, 1022)
    for _ in range(2):
        p = leaves(send, "wan", inner=True, dst=FAR6, hop=64)
    check_fields(p, src=OWN1, dst=BROKER)
    sock.close()


# ---- answers ----


def test_answers_go_back():
    """The default route leads out by wan."""
    for i in range(2):
        arrives(lambda token: from_two(token, 2001), src=FAR, dst=A, hop=63)
        leaves(answer(2001), "two", src=A, dst=FAR, hop=63)
    arrives(lambda token: from_two(token, 2001, A6, FAR6), src=FAR6, dst=A6)
    leaves(answer(2001, A6, FAR6), "two", src=A6, dst=FAR6)
    arrives(lambda token: lab.from_wan(packet.udp4(FAR, A, 5002, 2001, token)), src=FAR)
    leaves(answer(2001, dport=5002), "wan", src=A)


def test_reply_to_overrides():
    arrives(lambda token: from_two(token, 2002), src=FAR, dst=A)
    leaves(answer(2002), "wan", src=A, dst=FAR)


def test_answers_of_translated_ones():
    for i in range(2):
        arrives(lambda token: from_two(token, 2004, OWN2), src=FAR, dst=A)
        leaves(answer(2004), "two", src=OWN2, dst=FAR, sport=2004, hop=63)


def test_answers_to_a_host_on_the_link():
    arrives(lambda token: from_two(token, 2001, src=ON_TWO), src=ON_TWO)
    leaves(answer(2001, dst=ON_TWO), "two", TWO_HOST_MAC, src=A, dst=ON_TWO)


def test_answers_of_the_router():
    sock, _ = own(socket.AF_INET, (OWN2, 2003), 0)
    for far, mac in ((FAR, TWO_NEXT_MAC), (ON_TWO, TWO_HOST_MAC)):
        for _ in range(2):
            token = lab.token()
            from_two(token, 2003, OWN2, far)
            check_equal(sock.recvfrom(100), (token, (far, 5000)), "what the router got")
            leaves(lambda token: sock.sendto(token, (far, 5000)), "two", mac, src=OWN2, dst=far, hop=64)
    sock.close()


def test_pings_of_the_router():
    token = lab.token()
    flush()
    TWO.send_to(TWO_ROUTER_MAC, packet.ip4(FAR, OWN2, packet.ICMP, packet.icmp4(8, 0, 7, token)))
    name, p = where(token)
    check_equal(name, "two", "the link of the answer")
    check_sound(p)
    check_fields(p, src=OWN2, dst=FAR, type=0, dst_mac=TWO_NEXT_MAC)


def test_tcp_to_the_router():
    with wire.namespace(lab.ns("router")):
        listener = socket.create_server((OWN2, 2005))
    flush()
    TWO.send_to(TWO_ROUTER_MAC, packet.ip4(FAR, OWN2, packet.TCP, packet.tcp(FAR, OWN2, 5005, 2005, seq=1000)))
    name, p = None, None
    for link in ("two",):
        p = LINKS[link].expect("SYN and ACK", lambda p: p.sport == 2005)
    check_fields(p, flags=packet.SYN | packet.ACK, ack=1001, dst_mac=TWO_NEXT_MAC)
    ack = packet.tcp(FAR, OWN2, 5005, 2005, flags=packet.ACK, seq=1001, ack=p.seq + 1)
    TWO.send_to(TWO_ROUTER_MAC, packet.ip4(FAR, OWN2, packet.TCP, ack))
    listener.settimeout(2)
    conn, _ = listener.accept()
    conn.send(b"fairlead")
    p = TWO.expect("data", lambda p: p.data == b"fairlead")
    check_fields(p, src=OWN2, dst=FAR, dst_mac=TWO_NEXT_MAC)
    conn.close()
    listener.close()


def is_answered(link, send, mac, what, **fields):
    flush()
    send()
    p = LINKS[link].expect(what, lambda p: p.type in (1, 3, 11) or p.flags == packet.RST | packet.ACK)
    check_sound(p)
    check_fields(p, dst_mac=mac, **fields)


def test_answers_that_the_router_makes():
    """What it says itself to a packet goes by the gateway that this came in by, too."""
    for far, mac in ((FAR, TWO_NEXT_MAC), (ON_TWO, TWO_HOST_MAC)):
        is_answered("two", lambda: from_two(b"fairlead", 2020, src=far), mac, "port unreachable", type=3, code=3, dst=far)
        syn = packet.tcp(far, A, 5020, 2020, seq=1000)
        is_answered("two", lambda: TWO.send_to(TWO_ROUTER_MAC, packet.ip4(far, A, packet.TCP, syn)), mac, "a reset", src=A, dst=far, ack=1001)
    is_answered("two", lambda: from_two(b"fairlead", 2020, A6, FAR6), TWO_NEXT_MAC, "port unreachable", type=1, code=4, dst=FAR6)
    is_answered("wan", lambda: lab.from_wan(packet.udp4(FAR, A, 5020, 2020)), WAN_NEXT_MAC, "port unreachable", type=3, code=3, dst=FAR)
    last = packet.udp4(FAR, A, 5021, 2001, ttl=1)
    is_answered("two", lambda: TWO.send_to(TWO_ROUTER_MAC, last), TWO_NEXT_MAC, "time exceeded for a first packet", type=11, dst=FAR)
    arrives(lambda token: from_two(token, 2001, sport=5021), src=FAR, dst=A)
    is_answered("two", lambda: TWO.send_to(TWO_ROUTER_MAC, last), TWO_NEXT_MAC, "time exceeded", type=11, dst=FAR)
    leaves(from_lan(1001, 5022), "two")
    last = packet.udp4(FAR, A, 1001, 5022, ttl=1)
    is_answered("two", lambda: TWO.send_to(TWO_ROUTER_MAC, last), TWO_NEXT_MAC, "time exceeded for a reply", type=11, dst=FAR)


# ---- a gateway that is down ----


def three_is(up):
    lab.run("three", "ip", "link", "set", "net0", "up" if up else "down")
    time.sleep(0.5)


def test_gateway_down():
    for port in (1011, 1012, 1013):
        leaves(from_lan(port), "three")
    three_is(False)
    try:
        for sport in (5000, 5001):  # known and new
            token = lab.token()
            flush()
            moved = lab.counted(lambda: from_lan(1011, sport)(token))
            check_equal(moved.get("gateway-down"), 1, "counted (%s)" % moved)
            check_equal(where(token, 0.1)[0], None, "the link of the blocked one")
        token = lab.token()
        flush()
        moved = lab.counted(lambda: from_lan(1012, 5001)(token))
        check_equal(moved.get("gateway-down"), 1, "counted (%s)" % moved)
        p = lab.lan.expect("the answer to the rejected one", lambda p: p.type == 3)
        check_sound(p)
        check_fields(p, dst=A, code=3)
        leaves(from_lan(1013, 5001), "wan")
    finally:
        three_is(True)
    for port in (1011, 1012, 1013):
        leaves(from_lan(port), "three")
    leaves(from_lan(1013, 5001), "wan")  # as its state says
    leaves(from_lan(1011, 5002), "three")


# ---- what changes while they go on ----


def test_neighbour_changes():
    """Another MAC for the same gateway: steered, answered, and of the router itself."""
    mac = "02:00:00:00:03:77"
    arrives(lambda token: from_two(token, 2006), src=FAR)
    sock, send = own(socket.AF_INET, None, 1021)
    flows = {"steered": from_lan(1001, 5100), "stateless": from_lan(1002, 5100), "answers": answer(2006), "own": send}
    for name, flow in flows.items():
        leaves(flow, "two")
    lab.run("two", "ip", "link", "set", "net0", "down")
    lab.run("two", "ip", "link", "set", "net0", "address", mac)
    lab.run("two", "ip", "link", "set", "net0", "up")
    ip("neigh", "flush", "dev", "two0")
    ip("neigh", "replace", "198.18.2.1", "lladdr", mac, "dev", "two0", "nud", "reachable")
    try:
        for name, flow in flows.items():
            goes_over(flow, "two", mac)
    finally:
        lab.run("two", "ip", "link", "set", "net0", "address", TWO_NEXT_MAC)
        ip("neigh", "replace", "198.18.2.1", "lladdr", TWO_NEXT_MAC, "dev", "two0", "nud", "reachable")
    for name, flow in flows.items():
        goes_over(flow, "two", TWO_NEXT_MAC)
    sock.close()


def test_route_changes():
    flow = from_lan(1007, 5200)
    leaves(flow, "wan")
    ip("route", "add", FAR, "via", "198.18.2.1", "dev", "two0")
    try:
        goes_over(flow, "two", TWO_NEXT_MAC)
    finally:
        ip("route", "del", FAR)
    goes_over(flow, "wan", WAN_NEXT_MAC)


def test_route_by_a_groups_member_changes():
    """A route by a gateway, which a group has too, is no group's: what goes by it follows it."""
    dst = "198.51.100.82"
    flow = from_lan(1007, 5201, dst)
    leaves(flow, "two")
    ip("route", "add", dst, "via", "203.0.113.1", "dev", "wan0")
    try:
        goes_over(flow, "wan", WAN_NEXT_MAC)
    finally:
        ip("route", "del", dst)
    goes_over(flow, "two", TWO_NEXT_MAC)


def test_next_hop_of_the_route_changes():
    flow = from_lan(1008, 5300)
    leaves(flow, "wan")
    ip("neigh", "replace", "203.0.113.1", "lladdr", "02:00:00:00:02:77", "dev", "wan0")
    try:
        goes_over(flow, "wan", "02:00:00:00:02:77")
    finally:
        ip("neigh", "replace", "203.0.113.1", "lladdr", WAN_NEXT_MAC, "dev", "wan0", "nud", "reachable")
    goes_over(flow, "wan", WAN_NEXT_MAC)


def test_link_goes_and_comes():
    """Nothing leaves by a link that is gone, by no other either, and the flow goes on when it is back."""
    flow = from_lan(1001, 5400)
    leaves(flow, "two")
    lab.run("two", "ip", "link", "set", "net0", "down")
    goes_over(flow, None, None)
    lab.run("two", "ip", "link", "set", "net0", "up")
    ip("neigh", "replace", "198.18.2.1", "lladdr", TWO_NEXT_MAC, "dev", "two0", "nud", "reachable")
    goes_over(flow, "two", TWO_NEXT_MAC, SOON + 1)


if __name__ == "__main__":
    CHANGES = [test_neighbour_changes, test_route_changes, test_route_by_a_groups_member_changes,
               test_next_hop_of_the_route_changes, test_link_goes_and_comes]
    GROUPS = [steer_groups.test_over_a_group] if DEAD else tests_of(vars(steer_groups))
    OTHERS = [test_by_another_link, test_answers_go_back] if DEAD else [test for test in tests_of(globals()) if test not in CHANGES]
    wire.main([*OTHERS, *GROUPS, *CHANGES], lab.prefix)
