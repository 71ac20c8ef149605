#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""steer.sh's packets. --mode killed: without a daemon, whose programs and maps go on."""

import contextlib
import json
import socket
import time

import packet
import wire
from lab import LAN_HOST_MAC, LAN_ROUTER_MAC, WAN_NEXT_MAC, WAN_ROUTER_MAC, Lab, tests_of
from policylab import until
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


# ---- a group of both families ----


def mixed(**want):
    """Who carries IPv4 and IPv6, as the group's rows say."""
    rows = [row for row in lab.fl("show", "groups") if row["name"] == "mixed"]
    check_equal({row["family"]: row["active"] for row in rows}, want, "the rows' active")
    return rows


def by_mixed(port, link4, link6, sport=5500):
    """Both leave by these links; None: by none."""
    for dst, link in ((ON_LINK, link4), (ON_LINK6, link6)):
        make, src = (packet.udp6, A6) if ":" in dst else (packet.udp4, A)
        send = lambda token, make=make, src=src, dst=dst: lab.from_lan(make(src, dst, sport, port, token))
        if link:
            leaves(send, link, mac=ON_LINK_MAC if link == "wan" else None, src=src, dst=dst, hop=63)
            continue
        token = lab.token()
        flush()
        send(token)
        check_equal(where(token, 0.1)[0], None, "the link")


def gateway(state, name):
    lab.fl("gateway", state, name)


def routed(link4, link6):
    """The kernel's route follows a moment after the command's answer."""
    for dst, link in ((ON_LINK, link4), (ON_LINK6, link6)):
        make, src = (packet.udp6, A6) if ":" in dst else (packet.udp4, A)
        goes_over(lambda token, make=make, src=src, dst=dst: lab.from_lan(make(src, dst, lab.serial % 20000 + 20000, 1039, token)),
                  link, link and (ON_LINK_MAC if link == "wan" else NEXT[link]))


def moves_of_mixed():
    rows = [row for row in lab.fl("show", "events") if (row["name"], row["event"]) == ("mixed", "moved")]
    return [(row["details"]["family"], row["details"]["from"], row["details"]["to"]) for row in rows]


def test_each_family_by_its_member():
    for port in (1031, 1032):
        by_mixed(port, "two", "three")
    routed("two", "three")
    rows = mixed(inet=["gw2"], inet6=["ge3"])
    check_equal([[m["gateway"] for m in row["members"]] for row in rows], [["gw2", "link"], ["ge3", "link"]], "the rows' members")


def test_one_family_fails():
    """The other one's connections stay as they are."""
    before = len(moves_of_mixed())
    gateway("down", "gw2")
    try:
        mixed(inet=["link"], inet6=["ge3"])
        by_mixed(1031, "wan", "three", 5501)
        by_mixed(1032, "wan", "three", 5501)
        routed("wan", "three")
        until(lambda: moves_of_mixed()[before:], [("inet", "gw2", ["link"])], "who was moved")
        by_mixed(1031, "wan", "three")
    finally:
        gateway("auto", "gw2")
    gateway("down", "ge3")
    try:
        mixed(inet=["gw2"], inet6=["link"])
        by_mixed(1031, "two", "wan", 5502)
        routed("two", "wan")
        gateway("down", "link")
        mixed(inet=["gw2"], inet6=[])
        by_mixed(1031, "two", None, 5503)
        by_mixed(1032, "two", None, 5503)  # skipped, and the route is unreachable
        routed("two", None)
        check("group mixed: no member can be used for IPv6" in lab.fl("status")["reasons"], "status does not say so")
    finally:
        gateway("auto", "link")
        gateway("auto", "ge3")
    mixed(inet=["gw2"], inet6=["ge3"])
    by_mixed(1031, "two", "three", 5504)
    routed("two", "three")


# ---- a tunnel over a group ----


def by_over(send, want, hop=63, src=A6):
    """The packet leaves in the tunnel over the group, by that member, from its address."""
    p = leaves(send, want, inner=True, src=src, dst=OVER_FAR, hop=hop)
    check_fields(p, "outer", src=SIDES[want][2], dst=OVER, hop=64, df=True)


def out_of_over(by, port, to=None, sport=2001, token=None, **outer):
    """A packet to the LAN comes in the tunnel, by that link; to: the outer destination, the link's own address if there is none."""
    link, mac, own = SIDES[by]
    inner = packet.udp6(OVER_FAR, A6, sport, port, token or lab.token())
    link.send_to(mac, packet.ip4(OVER, to or own, packet.IPV6, inner, **outer))


def over_is_by(want, sport):
    """All that the tunnel carries goes by that member, and what comes is taken by both."""
    flow = from_lan(2001, sport, OVER_FAR)
    for _ in range(2):
        by_over(flow, want)
    for by in SIDES:
        for _ in range(2):
            arrives(lambda token: out_of_over(by, sport, token=token), src=OVER_FAR, dst=A6, hop=63)
    by_over(flow, want)
    by_over(from_lan(2001, sport + 1, OVER_FAR), want)
    arrives(lambda token: out_of_over(want, 2003, sport=sport, token=token), src=OVER_FAR, dst=A6, hop=63)
    with wire.namespace(lab.ns("router")):
        sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    by_over(lambda token: sock.sendto(token, (OVER_FAR, 1029)), want, 64, "2001:db8:7::2")
    sock.close()
    if DEAD:
        return
    carrier = {"wan": "gw1", "two": "gw2"}[want]
    row = lab.tunnel("over0")
    check_equal((row["local"], row["underlay"], row["carrier"], row["reason"]), (SIDES[want][2], "both", carrier, ""), "the tunnel")
    if lab.mode == "tc":  # once is enough of what takes the verifier a second
        return
    row = lab.fl("explain", *("--in lan --src %s --dst %s --proto udp --dport 9" % (A6, OVER_FAR)).split())
    check_equal((row["verdict"], row["tunnel"], row["egress"]), ("forward", "over0", want), "explain: %s" % row)
    row = lab.fl("explain", *("--in over0 --src %s --dst %s --proto udp --dport 2003" % (OVER_FAR, A6)).split())
    check_equal((row["verdict"], row["egress"]), ("forward", "lan"), "explain from the tunnel: %s" % row)


def by_hand(word, *gateways):
    for name in gateways:
        gateway(word, name)


def test_over_a_group():
    over_is_by("wan", 5500)
    for by, other in () if DEAD else (("wan", "two"), ("two", "wan")):  # a member's address is that of its own link
        moved = lab.counted(lambda: out_of_over(by, 5500, SIDES[other][2]))
        check_equal(moved.get("tunnel-wrong-interface"), 1, "counted (%s)" % moved)


def test_over_a_group_that_moves():
    flow = from_lan(2001, 5510, OVER_FAR)
    for down, up, want in (("gw1", None, "two"), (None, "gw1", "wan")):
        by_over(flow, {"two": "wan", "wan": "two"}[want])
        by_hand("down" if down else "auto", down or up)
        by_over(flow, want)  # the first one after the word
        over_is_by(want, 5510)


def test_over_a_group_of_which_nobody_is_left():
    flow = from_lan(2001, 5520, OVER_FAR)
    by_over(flow, "wan")
    by_hand("down", "gw1", "gw2")
    try:
        token = lab.token()
        flush()
        moved = lab.counted(lambda: flow(token))
        check_equal(moved.get("no-underlay-route"), 1, "counted (%s)" % moved)
        p = lab.lan.expect("the answer", lambda p: p.type == 1)
        check_fields(p, dst=A6)
        check_equal(where(token, 0.1)[0], None, "the link that it left by")
        check("dev over0" in lab.output("router", "ip", "-6", "route", "show", "2001:db8:77::/48"), "its route has gone")
        row = next(g for g in lab.fl("show", "gateways") if g["name"] == "over_gw")
        check_equal((row["status"], row["reason"]), ("down", "no member of the underlay of over0 can be used"), "the gateway in it")
        check("tunnel over0: no member of its underlay can be used" in lab.fl("status")["reasons"], "status says nothing of it")
    finally:
        by_hand("auto", "gw1", "gw2")
    by_over(flow, "wan")


def test_over_a_group_outer_fragments_and_path_mtu():
    inner = packet.udp6(OVER_FAR, A6, 5531, 2001, bytes(1000) + b"whole")
    for by, (link, mac, own) in SIDES.items():
        flush()
        for at in (0, 512):
            part = inner[at:at + 512] if not at else inner[at:]
            link.send_to(mac, packet.ip4(OVER, own, packet.IPV6, part, ident=77, mf=not at, offset=at))
        lab.lan.expect("the packet that came in fragments by " + by, lambda p: p.proto == packet.UDP and p.data.endswith(b"whole"))
    link, mac, own = SIDES["two"]
    sent = packet.ip4(own, OVER, packet.IPV6, packet.udp6(A6, OVER_FAR, 5530, 2001, bytes(100)))
    link.send_to(mac, packet.ip4("198.18.2.1", own, packet.ICMP, packet.icmp4(3, 4, 1400, sent[:60])))
    end = time.monotonic() + 3
    while lab.tunnel("over0")["mtu"] != 1380 and time.monotonic() < end:
        time.sleep(0.02)
    check_equal(lab.tunnel("over0")["mtu"], 1380, "the MTU that the path has told")

@contextlib.contextmanager
def own_conversation(server, address, port):
    """A TCP connection of the router's: its socket, with which a byte has gone both ways."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with wire.namespace(lab.ns(server)):
        listener = socket.create_server((address, port), family=family)
    with wire.namespace(lab.ns("router")):
        ours = socket.socket(family)
    with listener, ours:
        listener.settimeout(5)
        ours.settimeout(5)
        ours.connect((address, port))
        with listener.accept()[0] as theirs:
            theirs.settimeout(5)
            talks(ours, theirs)
            yield ours, theirs


def talks(*socks):
    for a, b in (socks, socks[::-1]):
        a.sendall(b"f")
        check_equal(b.recv(1), b"f", "what was received")


def is_ended(sock, timeout=5):
    sock.settimeout(timeout)
    try:
        return not sock.recv(1)
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False


def states_moved(group="mixed"):
    rows = [row for row in lab.fl("show", "events") if (row["name"], row["event"]) == (group, "moved")]
    return [(row["details"]["family"], row["details"]["states"]) for row in rows]


def no_states():
    """Forgets all of them. How often some were moved, once nothing of that is under way any more."""
    lab.fl("kill", "states", "--all")
    told = None
    while told != (told := len(states_moved())):
        time.sleep(0.2)
    return told


def test_own_connections_move():
    """The router's own are ended with the member that they are routed by, or steered by, and others are not."""
    before = no_states()
    with own_conversation("two", "198.51.100.98", 1041) as four, own_conversation("two", "198.51.100.98", 1042) as steered, \
         own_conversation("three", "2001:db8:98::98", 1041) as six, own_conversation("wan", "203.0.113.1", 1041) as other:
        gateway("down", "gw2")
        try:
            check(is_ended(four[0]), "the routed one is not ended")
            check(is_ended(steered[0]), "the steered one is not ended")
            talks(*six)
            until(lambda: states_moved()[before:], [("inet", 2)], "what was ended")
            gateway("down", "ge3")
            check(is_ended(six[0]), "IPv6's is not ended")
            until(lambda: states_moved()[before:], [("inet", 2), ("inet6", 1)], "what was ended")
        finally:
            gateway("auto", "gw2")
            gateway("auto", "ge3")
        talks(*other)
    routed("two", "three")


def test_another_groups_connections_stay():
    """Two groups use one member, and only for one of them a better one comes back: by the longest route it is told whose a connection is."""
    gateway("down", "gw3")
    try:
        before, others = no_states(), len(states_moved("homing"))
        with own_conversation("two", "198.51.100.98", 1041) as stays, own_conversation("two", "198.51.100.113", 1041) as moves:
            gateway("auto", "gw3")
            check(is_ended(moves[0]), "it is not ended, though a better one carries")
            talks(*stays)
            until(lambda: states_moved("homing")[others:], [("inet", 1)], "what its group has ended")
            check_equal(states_moved()[before:], [], "what the other group has ended")
    finally:
        gateway("auto", "gw3")


def gateways_at_once(verb, *names):
    """Milliseconds one after the other."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect("/run/fairlead/%s-router.sock" % lab.args.lab)
        with sock.makefile("rw") as file:
            for name in names:
                file.write(json.dumps({"command": "gateway", "verb": verb, "name": name}) + "\n")
                file.flush()
                check_equal(json.loads(file.readline())["status"], 0, "the command's status")


def test_nobody_carries():
    """Nothing is ended while no member is left; then once, what the one that is back does not carry."""
    before = no_states()
    with own_conversation("two", "198.51.100.98", 1041) as four, own_conversation("three", "2001:db8:98::98", 1041) as six:
        gateways_at_once("down", "gw2", "ge3", "link")
        try:
            mixed(inet=[], inet6=[])
            check(not is_ended(four[0], 0.3) and not is_ended(six[0], 0.05), "it is ended, and nobody carries")
            gateways_at_once("auto", "ge3")
            talks(*six)
            check(not is_ended(four[0], 0.1), "it is ended, and nobody carries IPv4")
            check_equal(states_moved()[before:], [], "what was ended")
            gateways_at_once("auto", "link")
            check(is_ended(four[0]), "it is not ended, though another carries")
            gateways_at_once("auto", "gw2")
            talks(*six)
        finally:
            gateways_at_once("auto", "gw2", "ge3", "link")
        until(lambda: states_moved()[before:], [("inet", 1)], "what was ended")
    routed("two", "three")


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
    wire.main([test_by_another_link, test_answers_go_back, test_over_a_group, *CHANGES] if DEAD else tests_of(globals()), lab.prefix)
