#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""nat.sh's packets: every field on the wire, both ways."""

import collections
import contextlib
import mmap
import os
import socket

import packet
import wire
from lab import LAN_HOST_MAC, LAN_ROUTER_MAC, WAN_NEXT_MAC, WAN_ROUTER_MAC, Lab, tests_of
from policylab import until
from wire import check, check_equal, check_fields, check_sound

ROUTER, VIP, OTHER, ONE, NEXT = "172.25.46.101", "172.25.46.100", "172.25.46.102", "172.25.46.103", "172.25.46.1"
INSIDE = "192.168.0.1"  # the router there
ONE_IN, SERVER, DEEP = "192.168.0.13", "192.168.0.12", "192.168.5.2"
A, B = "192.168.0.51", "192.168.0.52"  # two that say nothing by themselves
A6, SERVER6, OUT6 = "2001:db8:aa::51", "2001:db8:aa::12", "2001:db8:2::100"
PEER, PEER6, NET = "203.0.113.9", "2001:db8:99::9", "198.51.100.99"
GRE = 47
PAIRS = 3000

lab = Lab()
serial6 = iter(range(lab.serial << 8 & 0xFFFFFF00, 1 << 32))  # identifications: other ones in the next run
BEYOND = wire.Port(lab.ns("net"), "eth0")


def has(token):
    return lambda p: token in p.raw and p.type not in (3, 11)


def out(datagram, token, **fields):
    """From the LAN to wan."""
    lab.flush()
    lab.from_lan(datagram)
    p = lab.wan.expect("what %s becomes" % packet.parse(datagram, link=False), has(token))
    check_sound(p)
    check_fields(p, hop=63, src_mac=WAN_ROUTER_MAC, dst_mac=WAN_NEXT_MAC, **fields)
    return p


def back(datagram, token, **fields):
    """From wan to the LAN."""
    lab.flush()
    lab.from_wan(datagram)
    p = lab.lan.expect("what %s becomes" % packet.parse(datagram, link=False), has(token))
    check_sound(p)
    check_fields(p, hop=63, src_mac=LAN_ROUTER_MAC, dst_mac=LAN_HOST_MAC, **fields)
    return p


def udp_out(inside, peer, port, dport=53, **fields):
    token = lab.token()
    make = packet.udp6 if ":" in inside else packet.udp4
    return out(make(inside, peer, port, dport, token), token, dst=peer, dport=dport, proto=packet.UDP, **fields)


def udp_answered(p, to, port):
    """The answer to what left as p arrives at `to` and `port`, as from the one that was asked."""
    token = lab.token()
    make = packet.udp6 if ":" in to else packet.udp4
    return back(make(p.dst, p.src, p.dport, p.sport, token), token, src=p.dst, dst=to, sport=p.dport, dport=port)


def udp_flow(inside, peer, port, dport=53, **fields):
    p = udp_out(inside, peer, port, dport, **fields)
    udp_answered(p, inside, port)
    return p


def refused(datagram, token, reason, port=None, times=1):
    """It is dropped, and counted as that."""
    lab.flush()
    moved = lab.counted(lambda: [(port or lab.lan).send_to(LAN_ROUTER_MAC if (port or lab.lan) is lab.lan else WAN_ROUTER_MAC, datagram)
                                 for _ in range(times)])
    check_equal(moved.get(reason), times, "packets counted as %s (%s)" % (reason, moved))
    for side in (lab.wan, lab.lan):
        side.quiet(has(token), 0.1)


# ---- outward ----


def test_udp():
    udp_flow(A, PEER, 1000, src=VIP, sport=1000)


def test_udp_without_checksum():
    token = lab.token()
    p = out(packet.ip4(A, PEER, packet.UDP, packet.udp(A, PEER, 1001, 53, token, check=0)), token, src=VIP, sport=1001)
    check_equal(p.l4[6:8], b"\0\0", "UDP checksum")


def test_tcp():
    token, options = lab.token(), packet.mss_option(1460)
    syn = packet.ip4(A, PEER, packet.TCP, packet.tcp(A, PEER, 1000, 80, seq=100, options=options), df=True, tos=0x48, ident=77)
    lab.flush()
    lab.from_lan(syn)
    p = lab.wan.expect("the SYN", lambda p: p.dport == 80)
    check_sound(p)
    check_fields(p, src=VIP, dst=PEER, sport=1000, hop=63, tc=0x48, ident=77, df=True, mss=1460, seq=100, flags=packet.SYN)
    answer = packet.tcp(PEER, VIP, 80, 1000, flags=packet.SYN | packet.ACK, seq=500, ack=101)
    lab.from_wan(packet.ip4(PEER, VIP, packet.TCP, answer))
    p = lab.lan.expect("the answer", lambda p: p.sport == 80)
    check_sound(p)
    check_fields(p, src=PEER, dst=A, dport=1000, hop=63, seq=500, ack=101)
    data = packet.tcp(A, PEER, 1000, 80, flags=packet.ACK, seq=101, ack=501, data=token)
    p = out(packet.ip4(A, PEER, packet.TCP, data), token, src=VIP, sport=1000, seq=101, ack=501)
    wrong = packet.tcp(PEER, VIP, 80, 1000, flags=packet.ACK, seq=501 + (1 << 30), ack=109, data=token)
    refused(packet.ip4(PEER, VIP, packet.TCP, wrong), token, "state-mismatch", lab.wan)


def segment_through(way, addresses, ports, flags, **fields):
    """A segment of between() as it comes out; way: out or back."""
    token = lab.token()
    return way(packet.ip4(*addresses, packet.TCP, packet.tcp(*addresses, *ports, flags=flags, data=token, **fields)), token)


def test_one_port_again():
    """A connection takes the place of one that is over, or that nobody has answered, with the same numbers on both sides."""
    for seq in (1000, 900000):
        p = segment_through(out, (ONE_IN, PEER), (1109, 80), packet.SYN, seq=seq)
        check_equal((p.src, p.sport), (ONE, 1109), "the attempt")
    for address, port in ((ONE, 444), (VIP, 443)):
        for seq in (1000, 900000):
            segment_through(back, (PEER, address), (1109, port), packet.SYN, seq=seq)
            lab.wan.expect("the server's refusal", lambda p, ends=(address, 1109): p.proto == packet.TCP and (p.src, p.dport) == ends)


def test_two_hosts_with_one_port():
    first = udp_flow(A, PEER, 1010, src=VIP, sport=1010)
    second = udp_out(B, PEER, 1010, src=VIP)
    check(second.sport != 1010 and second.sport >= 1024, "the other's port is %d" % second.sport)
    udp_answered(first, A, 1010)
    udp_answered(second, B, 1010)
    check_equal(udp_out(B, PEER, 1010).sport, second.sport, "the port of its next packet")
    udp_flow(B, "203.0.113.10", 1010, src=VIP, sport=1010)  # to another it is free


def send_in_step(port, frames, me, steps):
    """Sends each frame when the other process does. steps: shared memory, a counter for each of the two."""
    os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[-me]})
    for number, frame in enumerate(frames):
        steps[64 * me : 64 * me + 4] = number.to_bytes(4, "little")
        while int.from_bytes(steps[64 * (1 - me) : 64 * (1 - me) + 4], "little") < number:
            pass
        port.send(frame)


def both_at_once(*senders):
    """Two senders (port, frames) on two CPUs, in step."""
    steps, pids = mmap.mmap(-1, 4096), []
    for me, (port, frames) in enumerate(senders):
        pids.append(os.fork())
        if not pids[-1]:
            send_in_step(port, frames, me, steps)
            os._exit(0)
    for pid in pids:
        os.waitpid(pid, 0)


def test_first_packets_at_once():
    """Of a connection whose first two packets come on two CPUs (as when a resolver asks for A and AAAA) none is lost, and both have one port."""
    if len(os.sched_getaffinity(0)) < 2:
        return
    for sender, receiver, mac, addresses, dport in ((lab.lan, lab.wan, LAN_ROUTER_MAC, (A, PEER), 5353), (lab.wan, lab.lan, WAN_ROUTER_MAC, (PEER, VIP), 6100)):
        token = lab.token()
        frames = [packet.eth(mac, sender.mac, packet.udp4(*addresses, 20000 + i, dport, token + i.to_bytes(2, "big"))) for i in range(PAIRS)]
        lab.flush()
        before = lab.drops()
        both_at_once((sender, frames), (sender, frames))
        ports = {}
        for p in receiver.packets_while(lambda: False):
            if p.data.startswith(token):
                ports.setdefault(p.data, []).append(p.sport)
        wrong = [seen for seen in ports.values() if len(seen) != 2 or seen[0] != seen[1]]
        check(len(ports) == PAIRS and not wrong, "%d of %d connections came, %d not twice by one port: %s; drops %s, before %s" % (
            len(ports), PAIRS, len(wrong), wrong[:5], lab.drops(), before))


def test_ends_at_once():
    """What one end's segment makes of the state the other's, on another CPU, does not undo: a reset, a FIN."""
    if len(os.sched_getaffinity(0)) < 2:
        return
    sport = iter(range(30000, 60000))

    def frame(out_, ports, **fields):
        if out_:
            return packet.eth(LAN_ROUTER_MAC, lab.lan.mac, packet.ip4(A, PEER, packet.TCP, packet.tcp(A, PEER, *ports, **fields)))
        return packet.eth(WAN_ROUTER_MAC, lab.wan.mac, packet.ip4(PEER, VIP, packet.TCP, packet.tcp(PEER, VIP, *ports[::-1], **fields)))

    for dport, flags, answer in ((81, packet.ACK, packet.RST), (82, packet.FIN | packet.ACK, packet.FIN | packet.ACK)):
        pairs = [(next(sport), dport) for _ in range(PAIRS)]
        for pair in pairs:
            lab.lan.send(frame(True, pair, seq=1000))
            lab.wan.send(frame(False, pair, flags=packet.SYN | packet.ACK, seq=5000, ack=1001))
            lab.lan.send(frame(True, pair, flags=packet.ACK, seq=1001, ack=5001))
        both_at_once((lab.lan, [frame(True, pair, flags=flags, seq=1001, ack=5001, data=b"x") for pair in pairs]),
                     (lab.wan, [frame(False, pair, flags=answer, seq=5001, ack=1001) for pair in pairs]))

        def left(dport=dport):
            states = lab.fl("show", "states", "--host", PEER, "--port", str(dport), "--proto", "tcp")
            return len(states), collections.Counter(s["state"] for s in states if "ESTABLISHED" in s["state"])

        until(left, (PAIRS, {}), "states, and those of them that have missed what an end has sent")
        lab.fl("kill", "states", "--port", str(dport))


def test_static_port():
    udp_flow(A, PEER, 500, 500, src=VIP, sport=500)
    token = lab.token()
    refused(packet.udp4(B, PEER, 500, 500, token), token, "nat-ports-exhausted")
    udp_flow(B, "203.0.113.10", 500, 500, src=VIP, sport=500)


def test_exempt():
    udp_flow(A, "203.0.113.200", 1020, src=A, sport=1020)


def test_interface():
    token = lab.token()
    p = out(packet.udp4(DEEP, PEER, 1021, 53, token), token, src=ROUTER, sport=1021)
    token = lab.token()
    back(packet.udp4(PEER, ROUTER, 53, 1021, token), token, src=PEER, dst=DEEP, dport=p.sport)


def test_one_to_one():
    udp_flow(ONE_IN, PEER, 1022, src=ONE, sport=1022)
    token = lab.token()
    p = back(packet.udp4(PEER, ONE, 1023, 9999, token), token, src=PEER, dst=ONE_IN, sport=1023, dport=9999)
    token = lab.token()
    out(packet.udp4(ONE_IN, PEER, p.dport, p.sport, token), token, src=ONE, sport=9999, dport=1023)


def test_exhaustion():
    """Four ports: the fifth connection has none; to another destination there are four more."""
    ports = {udp_out(A, "203.0.113.44", 1030 + i, src=VIP).sport for i in range(4)}
    check_equal(ports, {40000, 40001, 40002, 40003}, "ports")
    token = lab.token()
    refused(packet.udp4(A, "203.0.113.44", 1034, 53, token), token, "nat-ports-exhausted", times=3)
    udp_flow(A, "203.0.113.44", 1034, dport=54, src=VIP)


def test_endpoint_independent():
    udp_flow(B, "203.0.113.65", 1040, src=VIP, sport=1040)
    mapped = udp_flow(A, "203.0.113.65", 1040, src=VIP).sport
    check(mapped != 1040, "two have one port")
    check_equal(udp_flow(A, "203.0.113.66", 1040, src=VIP).sport, mapped, "its port to another host")
    check_equal(udp_flow(A, "203.0.113.66", 1040, 54, src=VIP).sport, mapped, "its port to another port")
    udp_flow(B, "203.0.113.66", 1040, src=VIP, sport=1040)


def test_ipv6():
    udp_flow(A6, PEER6, 1050, src=OUT6, sport=1050)
    token = lab.token()
    p = out(packet.ping6(A6, PEER6, 77, 1, token), token, src=OUT6, type=128)
    token = lab.token()
    answer = packet.icmp6(PEER6, OUT6, 129, 0, p.rest, token)
    back(packet.ip6(PEER6, OUT6, packet.ICMP6, answer), token, dst=A6, rest=77 << 16 | 1)


# ---- inward ----


def test_dnat_of_a_range():
    for i in (0, 4, 9):
        token = lab.token()
        back(packet.udp4(PEER, VIP, 1060 + i, 6000 + i, token), token, src=PEER, dst=SERVER, sport=1060 + i, dport=7000 + i)
        token = lab.token()
        out(packet.udp4(SERVER, PEER, 7000 + i, 1060 + i, token), token, src=VIP, sport=6000 + i, dport=1060 + i)


def test_dnat_leaves_others():
    token = lab.token()
    refused(packet.udp4(PEER, VIP, 1070, 6010, token), token, "rule", lab.wan)


def test_dnat_of_the_interface():
    token = lab.token()
    back(packet.udp4(PEER, ROUTER, 1071, 6200, token), token, src=PEER, dst=DEEP, dport=6200)


def test_dnat_ipv6():
    token = lab.token()
    back(packet.udp6(PEER6, OUT6, 1072, 80, token), token, src=PEER6, dst=SERVER6, dport=8080)
    token = lab.token()
    out(packet.udp6(SERVER6, PEER6, 8080, 1072, token), token, src=OUT6, sport=80)


def test_hairpin():
    """From the LAN to the outside address of another host there: each sees the router."""
    token = lab.token()
    lab.flush()
    lab.from_lan(packet.udp4(A, VIP, 1080, 6005, token))
    p = lab.lan.expect("the server's packet", has(token))
    check_sound(p)
    check_fields(p, src=INSIDE, dst=SERVER, dport=7005, hop=63)
    token = lab.token()
    lab.from_lan(packet.udp4(SERVER, INSIDE, 7005, p.sport, token))
    p = lab.lan.expect("its answer", has(token))
    check_sound(p)
    check_fields(p, src=VIP, dst=A, sport=6005, dport=1080, hop=63)


# ---- ICMP ----


def test_echo_with_one_identifier():
    idents = {}
    for src in (A, B):
        token = lab.token()
        p = out(packet.ip4(src, PEER, packet.ICMP, packet.icmp4(8, 0, 700 << 16 | 1, token)), token, src=VIP, type=8)
        idents[src] = p.rest >> 16
        check_equal(p.rest & 0xFFFF, 1, "sequence number")
    check(idents[A] != idents[B], "both have identifier %d" % idents[A])
    for src in (A, B):
        token = lab.token()
        answer = packet.icmp4(0, 0, idents[src] << 16 | 1, token)
        back(packet.ip4(PEER, VIP, packet.ICMP, answer), token, src=PEER, dst=src, type=0, rest=700 << 16 | 1)


def test_identifier_0_opens_nothing_else():
    """Neither a query of the other side's, nor a message that has no identifier, nor an error about nothing."""
    token = lab.token()
    check_equal(out(packet.ip4(A, PEER, packet.ICMP, packet.icmp4(8, 0, 1, token)), token, src=VIP).rest, 1, "identifier and number")
    for kind, rest in ((8, 2), (5, 0xCB007101), (17, 0), (3, 0)):
        token = lab.token()
        refused(packet.ip4(PEER, VIP, packet.ICMP, packet.icmp4(kind, 0, rest, bytes(28) + token)), token, "rule", lab.wan)
    token = lab.token()
    back(packet.ip4(PEER, VIP, packet.ICMP, packet.icmp4(0, 0, 1, token)), token, dst=A, rest=1)


def quotes(p, **fields):
    check_sound(p)
    check(p.quoted is not None, "no ICMP error: %s" % p)
    check(p.quoted.ip_check_ok, "the quoted header's checksum is wrong: %s" % p)
    check_fields(p.quoted, "what it quotes", **fields)


def error_in(p, kind, code, rest, size=28, sender=NEXT):
    """An error about p, as it was seen on wan, of a router there; as it arrives in the LAN."""
    lab.flush()
    datagram = p.raw[14:][:size]
    lab.from_wan(packet.ip4(sender, p.src, packet.ICMP, packet.icmp4(kind, code, rest, datagram)))
    return lab.lan.expect("the error", lambda q: q.type == kind)


def test_errors_from_outside():
    udp_out(B, PEER, 1090)  # so that A's port becomes another
    p = udp_out(A, PEER, 1090)
    check(p.sport != 1090, "the port stayed")
    for kind, code, rest in ((3, 4, 1300), (3, 3, 0), (3, 1, 0), (11, 0, 0), (3, 13, 0)):
        for size in (28, 36):
            got = error_in(p, kind, code, rest, size)
            check_fields(got, src=NEXT, dst=A, hop=63, code=code, rest=rest)
            quotes(got, src=A, dst=PEER, sport=1090, dport=53)
    got = error_in(p, 3, 3, 0, 200, PEER)
    check_equal(packet.parse(got.quoted.raw, link=False).l4_check_ok, True, "the checksum of the whole quoted datagram")


def test_errors_about_a_ping():
    for src in (A, B):
        token = lab.token()
        p = out(packet.ip4(src, PEER, packet.ICMP, packet.icmp4(8, 0, 701 << 16 | 5, token)), token)
    got = error_in(p, 11, 0, 0)
    check_fields(got, dst=B)
    quotes(got, src=B, type=8, rest=701 << 16 | 5)


def test_errors_about_nothing():
    quoted = packet.udp4(VIP, PEER, 9, 9, b"never sent")
    refused(packet.ip4(NEXT, VIP, packet.ICMP, packet.icmp4(3, 3, 0, quoted)), b"never sent", "rule", lab.wan)


def test_port_unreachable_of_the_server():
    """Its own kernel says that nobody listens; the one outside must see that of the address that it asked."""
    lab.flush()
    lab.from_wan(packet.udp4(PEER, VIP, 1100, 6001, b"closed"))
    p = lab.wan.expect("the error", lambda p: p.type == 3)
    check_fields(p, src=VIP, dst=PEER, code=3, hop=63)
    quotes(p, src=PEER, dst=VIP, sport=1100, dport=6001)


def test_time_exceeded_inside():
    """A router of the LAN does not show its address: RFC 5508 REQ-5 c."""
    lab.flush()
    lab.from_wan(packet.udp4(PEER, VIP, 1101, 6101, b"far", ttl=2))
    p = lab.wan.expect("the error", lambda p: p.type == 11)
    check_fields(p, src=VIP, dst=PEER, code=0)
    quotes(p, src=PEER, dst=VIP, sport=1101, dport=6101)


def test_traceroute():
    """Hop by hop: the router itself, the next one, the host."""
    for hops, src, kind in ((1, INSIDE, 11), (2, NEXT, 11), (3, NET, 3)):
        lab.flush()
        lab.from_lan(packet.udp4(A, NET, 1110 + hops, 33434 + hops, b"trace", ttl=hops))
        p = lab.lan.expect("hop %d" % hops, lambda p: p.type in (3, 11))
        check_fields(p, "hop %d" % hops, src=src, dst=A, type=kind)
        quotes(p, src=A, dst=NET, sport=1110 + hops, dport=33434 + hops)


def test_packet_too_big_ipv6():
    p = udp_out(A6, PEER6, 1120)
    lab.flush()
    body = packet.icmp6("2001:db8:2::1", OUT6, 2, 0, 1300, p.raw[14:])
    lab.from_wan(packet.ip6("2001:db8:2::1", OUT6, packet.ICMP6, body))
    got = lab.lan.expect("the error", lambda q: q.type == 2)
    check_sound(got)
    check_fields(got, src="2001:db8:2::1", dst=A6, rest=1300, hop=63)
    check_fields(got.quoted, src=A6, dst=PEER6, sport=1120)


# ---- other protocols, fragments ----


def test_protocols_without_ports():
    for proto, body in ((GRE, b"\0\0\x08\0"), (packet.IPV6, packet.udp6("2001:db8:51::1", "2001:db8:51::2", 1, 2))):
        token = lab.token()
        out(packet.ip4(A, PEER, proto, body + token), token, src=VIP, dst=PEER, proto=proto)
        token = lab.token()
        back(packet.ip4(PEER, VIP, proto, body + token), token, src=PEER, dst=A, proto=proto)
        token = lab.token()
        refused(packet.ip4(B, PEER, proto, body + token), token, "nat-ports-exhausted")
        token = lab.token()
        out(packet.ip4(B, "203.0.113.10", proto, body + token), token, src=VIP)


def pieces(src, dst, whole, ident, proto=packet.UDP):
    cuts = [0, 1400, 2800, len(whole)]
    if ":" in src:
        return [packet.fragment6(src, dst, proto, whole[a:b], a, b < len(whole), ident) for a, b in zip(cuts, cuts[1:])]
    return [packet.ip4(src, dst, proto, whole[a:b], ident=ident, offset=a, mf=b < len(whole)) for a, b in zip(cuts, cuts[1:])]


def whole_of(port, count, **fields):
    """Of so many fragments that come: what they carry, and the first one."""
    got = []
    for _ in range(count):
        got.append(port.expect("a fragment", lambda p: p.mf or p.offset))
        check_fields(got[-1], "fragment %d" % len(got), hop=63, **fields)
        check(got[-1].ip_check_ok, "the IP header checksum is wrong")
    return b"".join(p.l4 for p in sorted(got, key=lambda p: p.offset)), got[0]


def sums(p, whole):
    return packet.onesum(whole, packet.pseudo(p.src, p.dst, p.proto, len(whole))) == 0xFFFF


def test_fragments():
    udp_out(B, PEER, 1130)
    for src, ident in ((A, 900), (B, 900)):  # with one identification, too
        data = bytes(range(256)) * 12
        lab.flush()
        for piece in pieces(src, PEER, packet.udp(src, PEER, 1130, 53, data), ident):
            lab.from_lan(piece)
        whole, first = whole_of(lab.wan, 3, src=VIP, dst=PEER)
        check_equal(whole[8:], data, "what the fragments carry")
        check(sums(first, whole), "the checksum of the whole datagram is wrong")
        lab.flush()
        for piece in pieces(PEER, VIP, packet.udp(PEER, VIP, 53, first.sport, data), ident + (src == B)):
            lab.from_wan(piece)
        whole, first = whole_of(lab.lan, 3, src=PEER, dst=src)
        check_equal(whole[8:], data, "what the answer's fragments carry")
        check(sums(first, whole), "the checksum of the whole answer is wrong")
        check_equal(first.dport, 1130, "its port")


def test_fragments_that_hide_what_they_are_of():
    """Of IPv6 the first one alone says the protocol: a later one that says ESP, which has no ports, is no way around the others' checks."""
    for esp, proto in ((50, packet.TCP), (50, packet.UDP), (GRE, packet.TCP), (packet.IPV6, packet.UDP)):
        make = packet.tcp if proto == packet.TCP else packet.udp
        token, ident = lab.token(), next(serial6)
        refused(packet.fragment6(PEER6, A6, esp, token, 1200, False, ident), token, "fragment-unknown", lab.wan)
        lab.from_wan(packet.fragment6(PEER6, A6, proto, make(PEER6, A6, 1300, 53, data=bytes(1192))[:1200], 0, True, ident))
        lab.lan.expect("the first one", lambda p, ident=ident: p.mf and p.ident == ident)
        if proto == packet.TCP:  # in the middle of the header
            refused(packet.fragment6(PEER6, A6, esp, token, 8, False, ident), token, "fragment-unknown", lab.wan)
        lab.from_wan(packet.fragment6(PEER6, A6, esp, token, 1200, False, ident))
        lab.lan.expect("the rest", has(token))


def test_fragments_of_a_protocol_without_ports():
    for proto in (50, packet.IPV6):
        ident, body = next(serial6), bytes(range(256)) * 10
        lab.flush()
        for offset, end in ((1200, 2400), (0, 1200), (2400, len(body))):
            lab.from_wan(packet.fragment6(PEER6, A6, proto, body[offset:end], offset, end < len(body), ident))
        check_equal(whole_of(lab.lan, 3, src=PEER6, dst=A6)[0], body, "what the fragments carry")


def test_fragments_of_tcp():
    """A later fragment shows no sequence numbers: it changes nothing, whatever came between it and the first."""
    ends, ports = (A, PEER), (1132, 80)
    os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
    p = segment_through(out, ends, ports, packet.SYN, seq=1000)
    segment_through(back, (PEER, VIP), (80, p.sport), packet.SYN | packet.ACK, seq=5000, ack=1009)
    first, middle, last = pieces(*ends, packet.tcp(*ends, *ports, flags=packet.ACK, seq=1009, ack=5009, data=bytes(3000)), 902, packet.TCP)
    segment_through(out, (B, PEER), (1133, 80), packet.SYN, seq=0x70000000)
    lab.from_lan(first)
    segment_through(out, (B, PEER), (1133, 80), packet.SYN, seq=0x70000000)
    lab.from_lan(middle)
    lab.from_lan(last)
    segment_through(out, ends, ports, packet.ACK, seq=4009, ack=5009)
    segment_through(back, (PEER, VIP), (80, p.sport), packet.ACK, seq=5009, ack=4017)


@contextlib.contextmanager
def mtu_of(device, mtu):
    """Of the router's device, once the daemon has told. A veth takes no more than that either, so one at a time."""

    def change(size):
        lab.run("router", "ip", "link", "set", "dev", device, "mtu", str(size))
        until(lambda: [i["mtu"] for i in lab.fl("show", "interfaces") if i["device"] == device], [size], "its MTU")

    change(mtu)
    try:
        yield
    finally:
        change(1500)


def in_pieces(sender, port, datagram, data, **fields):
    """What does not fit comes in two fragments."""
    ports = {name: fields.pop(name) for name in ("sport", "dport") if name in fields}
    lab.flush()
    sender(datagram)
    whole, first = whole_of(port, 2, **fields)
    check_fields(first, **ports)
    check_equal(whole[8:], data, "what the fragments carry")
    check(sums(first, whole), "the checksum of the whole datagram is wrong")


def test_fragmented_by_the_router():
    def datagram(src, dst, sport, dport, **header):
        return packet.ip4(src, dst, packet.UDP, packet.udp(src, dst, sport, dport, data), **header)

    data = bytes(range(256)) * 5 + bytes(160)
    more = data * 2 + data[:1300]
    with mtu_of("wan0", 1400):
        in_pieces(lab.from_lan, lab.wan, datagram(A, PEER, 1134, 53, ident=905), data, src=VIP, dst=PEER, sport=1134,
                  src_mac=WAN_ROUTER_MAC, dst_mac=WAN_NEXT_MAC, ident=905)
        lab.flush()
        for piece in pieces(A, PEER, packet.udp(A, PEER, 1135, 53, more), 908):
            lab.from_lan(piece)
        whole, first = whole_of(lab.wan, 6, src=VIP, dst=PEER)
        check_equal(whole[8:], more, "what the fragments of fragments carry")
        check(sums(first, whole), "the checksum of the whole datagram is wrong")
        lab.flush()
        lab.from_lan(datagram(A, PEER, 1134, 53, df=True))
        check_fields(lab.lan.expect("the error", lambda p: p.type == 3), code=4, src=INSIDE, dst=A)
    with mtu_of("lan0", 1400):
        in_pieces(lab.from_wan, lab.lan, datagram(PEER, VIP, 53, 1134, ident=906), data, src=PEER, dst=A, dport=1134)
        in_pieces(lab.from_wan, lab.lan, datagram(PEER, VIP, 5353, 6100, ident=907), data, src=PEER, dst=DEEP, dport=6100)
    states = lab.fl("show", "states", "--host", A, "--port", "1134")
    check_equal([s["packets"] for s in states], [2], "packets that its state has counted")


# ---- the router's own ----


def test_own_traffic():
    with wire.namespace(lab.ns("router")):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((ROUTER, 1140))
    sock.settimeout(3)
    token = lab.token()
    lab.flush()
    sock.sendto(token, ("203.0.113.99", 53))
    p = lab.wan.expect("the router's own", has(token))
    check(p.ip_check_ok, "the IP header checksum is wrong")
    check(p.l4_check_ok or p.unfinished, "the checksum is wrong")
    check_fields(p, src=OTHER, sport=1140, hop=64)
    lab.from_wan(packet.udp4("203.0.113.99", OTHER, 53, 1140, token))
    check_equal(sock.recvfrom(100), (token, ("203.0.113.99", 53)), "the answer")
    sock.sendto(token, (PEER, 53))
    check_fields(lab.wan.expect("another of the router's own", has(token)), src=ROUTER)
    sock.close()


def test_own_traffic_by_a_port_that_is_taken():
    """An answer to it would be the other's; and it must not leave with that one's address."""
    with wire.namespace(lab.ns("router")), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((ROUTER, 1141))
        p = udp_out(DEEP, PEER, 1141, src=ROUTER, sport=1141)
        token = lab.token()
        lab.flush()
        moved = lab.counted(lambda: sock.sendto(token, (PEER, 53)))
        check_equal(moved.get("nat-ports-exhausted"), 1, "packets counted as nat-ports-exhausted (%s)" % moved)
        lab.wan.quiet(has(token), 0.1)
        udp_answered(p, DEEP, 1141)


def test_by_the_address_inside():
    """Who is asked answers to the address outside; what he sends to the one inside is not of that connection."""
    p = udp_out(A, PEER, 1142, src=VIP)
    token = lab.token()
    refused(packet.udp4(PEER, A, 53, 1142, token), token, "state-mismatch", lab.wan)
    udp_answered(p, A, 1142)


# The last: its three thousand mappings hold ports that others ask for.
def test_endpoint_at_once():
    """First packets of one endpoint to two others, on two CPUs: they have one port by a rule that says so, be it the endpoint's own or not."""
    if len(os.sched_getaffinity(0)) < 2:
        return
    token, ports = lab.token(), {}
    frames = [[packet.eth(LAN_ROUTER_MAC, lab.lan.mac, packet.udp4((A, B)[i % 2], to, 20000 + i // 2, 5353, token + i.to_bytes(2, "big")))
               for i in range(PAIRS)] for to in ("203.0.113.70", "203.0.113.71")]
    lab.flush()
    both_at_once((lab.lan, frames[0]), (lab.lan, frames[1]))
    for p in lab.wan.packets_while(lambda: False):
        if p.data.startswith(token):
            ports.setdefault(p.data, []).append(p.sport)
    wrong = [seen for seen in ports.values() if len(seen) != 2 or seen[0] != seen[1]]
    check(len(ports) == PAIRS and not wrong, "%d of %d endpoints came, %d not twice by one port: %s" % (len(ports), PAIRS, len(wrong), wrong[:5]))
    check_equal(len({seen[0] for seen in ports.values()}), PAIRS, "outside endpoints")


if __name__ == "__main__":
    wire.main(tests_of(globals()), lab.prefix)
