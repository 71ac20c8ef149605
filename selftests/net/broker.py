#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""broker.sh's packets: 1,000 clients, played by one cable. With --config FILE it writes the broker's configuration instead."""

import ipaddress
import json
import sys

import packet
from lab import *
from wire import Port, check, check_equal, check_fields, check_sound, main

CLIENTS = 1000
BROKER_WAN_MAC, WAN_MAC, BROKER_INET_MAC, INET_MAC = "02:00:00:00:03:10", "02:00:00:00:03:01", "02:00:00:00:04:01", "02:00:00:00:04:99"


class Client:
    def __init__(self, i):
        self.remote = str(ipaddress.IPv4Address("198.18.0.1") + i)
        self.address = "2001:db8:1::%x:%x" % (1 + i // 65536, i + 0x10)
        self.prefix = "2001:db8:c%03x::/48" % i
        self.host = in_prefix(self.prefix, (5 << 64) + 0x99)


CLIENT = [Client(i) for i in range(CLIENTS)]


def write_config(path, mode):
    config = {
        "node": {"name": "broker"},
        "default_action": "pass",
        "interfaces": {"wan": {"device": "wan0", "mode": mode}, "inet": {"device": "inet0", "mode": mode}},
        "tunnels": {
            "tun6": {
                "type": "6in4", "underlay": "wan", "local": BROKER, "address": TUNNEL_BROKER + "/64", "mss_clamp": False,
                "clients": {
                    "c%d" % i: {"remote": c.remote, "address": c.address, "routes": [c.prefix]} for i, c in enumerate(CLIENT)
                },
            }
        },
    }
    with open(path, "w") as out:
        json.dump(config, out)


if len(sys.argv) == 4 and sys.argv[1] == "--config":
    write_config(sys.argv[2], sys.argv[3])
    sys.exit(0)

lab = Lab()
clients_side = Port(lab.ns("wan"), "net1")
inet_side = Port(lab.ns("inet"), "eth0")


def from_client(client, inner, src=None):
    outer = packet.ip4(src or client.remote, BROKER, packet.IPV6, inner)
    clients_side.send_to(BROKER_WAN_MAC, outer)


def from_inet(datagram):
    inet_side.send_to(BROKER_INET_MAC, datagram)


def flush():
    clients_side.flush()
    inet_side.flush()


def test_each_client_reaches_the_world():
    flush()
    for begin in range(0, CLIENTS, 100):
        tokens = {}
        for i in range(begin, begin + 100):
            token = lab.token()
            tokens[token] = i
            from_client(CLIENT[i], packet.udp6(CLIENT[i].host, INET_HOST, data=token, hop=9))
        while tokens:
            p = inet_side.expect("%d clients' packets" % len(tokens), lambda p: p.data in tokens)
            check_sound(p)
            check_fields(p, src=CLIENT[tokens.pop(p.data)].host, dst=INET_HOST, hop=8, src_mac=BROKER_INET_MAC, dst_mac=INET_MAC)


def test_the_world_reaches_each_client():
    flush()
    for begin in range(0, CLIENTS, 100):
        tokens = {}
        for i in range(begin, begin + 100):
            token = lab.token()
            tokens[token] = i
            from_inet(packet.udp6(INET_HOST, CLIENT[i].host, data=token, hop=9))
        while tokens:
            p = clients_side.expect("packets for %d clients" % len(tokens), lambda p: p.inner is not None and p.inner.data in tokens)
            check_sound(p)
            client = CLIENT[tokens.pop(p.inner.data)]
            check_fields(p, src=BROKER, dst=client.remote, hop=64, src_mac=BROKER_WAN_MAC, dst_mac=WAN_MAC)
            check_fields(p.inner, src=INET_HOST, dst=client.host, hop=8)


def test_its_own_address_as_source():
    for client in (CLIENT[0], CLIENT[500], CLIENT[999]):
        token = lab.token()
        flush()
        from_client(client, packet.udp6(client.address, INET_HOST, data=token))
        p = inet_side.expect("a packet from the client's end", lambda p: p.data == token)
        check_fields(p, src=client.address)


def test_the_clients_end_is_reached():
    client, token = CLIENT[321], lab.token()
    flush()
    from_inet(packet.udp6(INET_HOST, client.address, data=token))
    p = clients_side.expect("a packet to the client's end", lambda p: p.inner is not None and p.inner.data == token)
    check_fields(p, dst=client.remote)


def test_client_to_client():
    for a, b in ((CLIENT[1], CLIENT[2]), (CLIENT[999], CLIENT[0])):
        token = lab.token()
        flush()
        from_client(a, packet.udp6(a.host, b.host, data=token, hop=9))
        p = clients_side.expect("the packet to the other client", lambda p: p.inner is not None and p.inner.data == token)
        check_sound(p)
        check_fields(p, src=BROKER, dst=b.remote)
        check_fields(p.inner, src=a.host, dst=b.host, hop=8)


def refused(send, reason):
    flush()
    moved = lab.counted(send)
    check_equal(moved, {reason: 1}, "the drop counters that moved")
    token = lab.token()
    from_client(CLIENT[0], packet.udp6(CLIENT[0].host, INET_HOST, data=token))
    before = inet_side.until(lambda p: p.data == token)
    check(not any(p.version == 6 and p.proto == packet.UDP for p in before), "it came out: %s" % [str(p) for p in before])
    answers = []
    while True:
        p = clients_side.read(0.1)
        if p is None:
            break
        if p.proto == packet.ICMP or (p.inner and p.inner.quoted and token not in p.inner.raw):
            answers.append(str(p))
    check_equal(answers, [], "answers")


def test_another_clients_source():
    refused(lambda: from_client(CLIENT[7], packet.udp6(CLIENT[8].host, INET_HOST)), "tunnel-foreign-inner-source")


def test_another_clients_end_as_source():
    refused(lambda: from_client(CLIENT[7], packet.udp6(CLIENT[8].address, INET_HOST)), "tunnel-foreign-inner-source")


def test_a_source_of_nobody():
    refused(lambda: from_client(CLIENT[7], packet.udp6("2001:db8:99::1", INET_HOST)), "tunnel-foreign-inner-source")


def test_the_worlds_source():
    refused(lambda: from_client(CLIENT[7], packet.udp6(INET_HOST, CLIENT[8].host)), "tunnel-foreign-inner-source")


def test_a_stranger():
    refused(lambda: from_client(CLIENT[7], packet.udp6(CLIENT[7].host, INET_HOST), src="198.19.9.9"), "tunnel-wrong-outer-source")


def test_no_client_for_the_destination():
    """An address of the tunnel's network that no client has is unreachable, and does not come back into the tunnel."""
    token = lab.token()
    flush()
    from_inet(packet.udp6(INET_HOST, "2001:db8:1::dead", data=token))
    error = inet_side.expect("Destination Unreachable", lambda p: p.proto == packet.ICMP6 and p.type == 1)
    check_sound(error)
    check_fields(error.quoted, dst="2001:db8:1::dead")
    clients_side.quiet(lambda p: p.inner is not None and p.inner.data == token, 0.1)


def test_the_broker_itself_answers():
    client, token = CLIENT[77], lab.token()
    flush()
    from_client(client, packet.ping6(client.address, TUNNEL_BROKER, data=token))
    p = clients_side.expect("the echo reply", lambda p: p.inner is not None and p.inner.type == 129 and token in p.inner.data)
    check_sound(p)
    check_fields(p, src=BROKER, dst=client.remote)
    check_fields(p.inner, src=TUNNEL_BROKER, dst=client.address)


def link_local(remote):
    """RFC 4213 3.7: of a tunnel's end, made of its IPv4 address."""
    return str(ipaddress.IPv6Address((0xFE80 << 112) + int(ipaddress.IPv4Address(remote))))


def test_a_client_speaks_from_its_link_local_address():
    """It finds the broker by multicast, and is answered there."""
    client = CLIENT[123]
    own = link_local(client.remote)
    for target in (TUNNEL_BROKER, "ff02::1"):
        token = lab.token()
        flush()
        from_client(client, packet.ping6(own, target, data=token))
        p = clients_side.expect("the echo reply of " + target, lambda p: p.inner is not None and p.inner.type == 129 and token in p.inner.data)
        check_sound(p)
        check_fields(p, src=BROKER, dst=client.remote)
        check_fields(p.inner, dst=own)


def test_another_clients_link_local_address():
    """Else whoever sends it would have the broker answer to the other one."""
    refused(lambda: from_client(CLIENT[7], packet.ping6(link_local(CLIENT[8].remote), TUNNEL_BROKER)), "tunnel-foreign-inner-source")


def in_fragments(client, inner, ident, tos=0):
    """In two outer fragments."""
    for at, end in ((0, 64), (64, len(inner))):
        clients_side.send_to(BROKER_WAN_MAC, packet.ip4(client.remote, BROKER, packet.IPV6, inner[at:end], tos=tos, ident=ident, offset=at,
                                                        mf=at == 0))


def test_outer_fragments():
    """What the daemon has put together is held to the same."""
    client = CLIENT[55]
    for source in (client.host, client.address):
        token = lab.token()
        flush()
        in_fragments(client, packet.udp6(source, INET_HOST, data=token + bytes(100), hop=9), 1)
        p = inet_side.expect("the packet", lambda p: p.data.startswith(token))
        check_sound(p)
        check_fields(p, src=source, dst=INET_HOST, hop=8)
    token = lab.token()
    in_fragments(client, packet.ping6(link_local(client.remote), TUNNEL_BROKER, data=token + bytes(100)), 2)
    p = clients_side.expect("the echo reply", lambda p: p.inner is not None and p.inner.type == 129 and token in p.inner.data)
    check_fields(p.inner, src=TUNNEL_BROKER, dst=link_local(client.remote))


def test_another_clients_source_in_outer_fragments():
    other = CLIENT[8]
    for number, source in enumerate((other.host, other.address, INET_HOST, link_local(other.remote))):
        inner = packet.udp6(source, INET_HOST, data=bytes(100))
        refused(lambda: in_fragments(CLIENT[7], inner, 3 + number), "tunnel-foreign-inner-source")


if __name__ == "__main__":
    main(tests_of(globals()), lab.prefix)
