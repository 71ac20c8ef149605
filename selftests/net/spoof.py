#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""spoof.sh's packets: none of them may arrive, none may be answered, each is counted under its reason."""

import time

import packet
from lab import *
from wire import check, check_equal, check_fields, main

lab = Lab()
ROUTER = (WAN_ROUTER, LAN_ROUTER, TUNNEL_ROUTER, NPT.outward(LAN_ROUTER), "192.0.2.1")


def dropped(send, reason, token, times=1):
    """send() puts it in; nothing of it comes out anywhere, no ICMP about it, one more of that reason."""
    lab.flush()
    moved = lab.counted(send)
    seen = lab.fence_in() + lab.fence_out()
    for p in seen:
        check(token not in p.raw, "it came out, or was answered: %s" % p)
        for layer in (p, p.inner):
            check(layer is None or layer.quoted is None or layer.src not in ROUTER, "the router answered: %s" % p)
    check_equal(moved, {reason: times}, "the drop counters that moved")


def from_tunnel(reason, inner, token, **outer):
    dropped(lambda: lab.from_tunnel(inner, **outer), reason, token)


def test_wrong_outer_source():
    token = lab.token()
    from_tunnel("tunnel-wrong-outer-source", packet.udp6(INET_HOST, LAN_OUTSIDE, data=token), token, src="198.51.100.77")


def test_wrong_outer_source_to_the_router_itself():
    token = lab.token()
    from_tunnel("tunnel-wrong-outer-source", packet.ping6(INET_HOST, TUNNEL_ROUTER, data=token), token, src="198.51.100.77")


def test_forbidden_inner_sources():
    for source in ("ff02::1", "ff0e::99", "::1", "::192.0.2.1", "::ffff:192.0.2.1"):
        token = lab.token()
        from_tunnel("tunnel-forbidden-inner-source", packet.udp6(source, LAN_OUTSIDE, data=token), token)


def test_inner_longer_than_outer():
    token = lab.token()
    datagram = packet.udp(INET_HOST, LAN_OUTSIDE, 1, 2, token)
    from_tunnel("tunnel-bad-inner", packet.ip6(INET_HOST, LAN_OUTSIDE, packet.UDP, datagram, length=len(datagram) + 1), token)


def test_inner_header_cut_short():
    token = lab.token()
    inner = packet.udp6(INET_HOST, LAN_OUTSIDE)[:31] + token
    from_tunnel("tunnel-bad-inner", inner, token)


def test_inner_not_ipv6():
    token = lab.token()
    from_tunnel("tunnel-bad-inner", packet.udp4("192.0.2.99", "192.0.2.80", data=token + bytes(32)), token)


def test_empty_outer():
    token = lab.token()
    from_tunnel("tunnel-bad-inner", b"", token)


def test_from_the_remote_but_by_the_lan():
    token = lab.token()
    outer = packet.ip4(BROKER, WAN_ROUTER, packet.IPV6, packet.udp6(INET_HOST, LAN_OUTSIDE, data=token))
    dropped(lambda: lab.from_lan(outer), "tunnel-wrong-interface", token)


def test_lan_host_sends_protocol_41_to_the_router():
    token = lab.token()
    outer = packet.ip4("192.0.2.80", WAN_ROUTER, packet.IPV6, packet.udp6(INET_HOST, LAN_OUTSIDE, data=token))
    dropped(lambda: lab.from_lan(outer), "tunnel-wrong-outer-source", token)


def test_inner_source_of_the_lan():
    """Nobody behind the tunnel has the LAN's addresses."""
    token = lab.token()
    lab.flush()
    moved = lab.counted(lambda: lab.from_tunnel(packet.udp6("2001:db8:aa::99", LAN_OUTSIDE, data=token)))
    check(not any(token in p.raw for p in lab.fence_in()), "a packet from outside with a source of the LAN came in")
    check_equal(sum(moved.values()), 1, "packets counted as dropped")


def test_lan_source_of_the_router():
    token = lab.token()
    lab.flush()
    moved = lab.counted(lambda: lab.from_lan(packet.udp6(LAN_ROUTER, INET_HOST, data=token)))
    check(not any(token in p.raw for p in lab.fence_out()), "a packet from the LAN with the router's own address went out")
    check_equal(sum(moved.values()), 1, "packets counted as dropped")


def test_shown_at_the_tunnel():
    before = lab.tunnel()["drops"].get("tunnel-forbidden-inner-source", 0)
    lab.from_tunnel(packet.udp6("::1", LAN_OUTSIDE))
    lab.fence_in()
    after = lab.tunnel()["drops"].get("tunnel-forbidden-inner-source", 0)
    check_equal(after - before, 1, "the tunnel's own counter")


def in_frame_to(mac, datagram):
    lab.wan.send(packet.eth(mac, lab.wan.mac, datagram))


def test_outer_in_a_frame_to_many():
    """The host's raw socket would get them all the same: a frame to many is no way into a tunnel."""
    for mac in ("ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01"):
        token = lab.token()
        inner = packet.udp6(INET_HOST, LAN_OUTSIDE, data=token)
        dropped(lambda: in_frame_to(mac, packet.ip4(BROKER, WAN_ROUTER, packet.IPV6, inner)), "martian", token)


def test_outer_fragments_in_frames_to_many():
    token = lab.token()
    inner = packet.udp6(INET_HOST, LAN_OUTSIDE, data=token + bytes(504))

    def send():
        for at in (0, 256):
            piece = inner[at : at + 256] if not at else inner[at:]
            in_frame_to("ff:ff:ff:ff:ff:ff", packet.ip4(BROKER, WAN_ROUTER, packet.IPV6, piece, ident=91, offset=at, mf=not at))

    dropped(send, "martian", token, 2)


def test_outer_to_many():
    """To a broadcast or multicast address, in frames to it and to the router."""
    for dst in ("203.0.113.255", "255.255.255.255", "224.0.0.1"):
        for mac in ("ff:ff:ff:ff:ff:ff", WAN_ROUTER_MAC):
            token = lab.token()
            lab.flush()
            in_frame_to(mac, packet.ip4(BROKER, dst, packet.IPV6, packet.udp6(INET_HOST, LAN_OUTSIDE, data=token)))
            seen = lab.fence_in() + lab.fence_out()
            check(not any(token in p.raw for p in seen), "to %s in a frame to %s: it came out, or was answered" % (dst, mac))


def test_source_is_a_networks_broadcast():
    for source in ("192.0.2.255", "203.0.113.255"):
        token = lab.token()
        dropped(lambda: lab.from_lan(packet.udp4(source, "203.0.113.1", data=token)), "martian", token)


def test_the_last_address_of_a_network():
    """It is a broadcast address from 30 bits on; one of 31 bits is a host's (RFC 3021)."""
    for network, own, last, is_broadcast in (("30", "198.18.97.1", "198.18.97.3", True), ("31", "198.18.99.2", "198.18.99.3", False)):
        lab.run("router", "ip", "addr", "add", own + "/" + network, "dev", "lan0")
        try:
            time.sleep(0.3)  # the daemon hears of it by netlink
            token = lab.token()
            datagram = packet.udp4(last, "203.0.113.1", data=token)
            if is_broadcast:
                dropped(lambda: lab.from_lan(datagram), "martian", token)
                continue
            lab.flush()
            lab.from_lan(datagram)
            check_fields(lab.wan.expect("the packet", lambda p: p.data == token), src=last, hop=63)
        finally:
            lab.run("router", "ip", "addr", "del", own + "/" + network, "dev", "lan0")


if __name__ == "__main__":
    main(tests_of(globals()), lab.prefix)
