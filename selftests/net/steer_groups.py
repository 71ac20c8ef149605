# SPDX-License-Identifier: GPL-2.0-only
"""steer.sh's packets, where groups of gateways say which way: what they carry, tunnels over them, and the router's own connections."""

import contextlib
import json
import socket
import time

import packet
import wire
from policylab import until
from steerlab import (
    A, A6, DEAD, NEXT, ON_LINK, ON_LINK6, ON_LINK_MAC, OVER, OVER_FAR, SIDES, answer, arrives, flush, from_lan,
    goes_over, has, ip, lab, leaves, where,
)
from wire import check, check_equal, check_fields


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
