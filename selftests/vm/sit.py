# SPDX-License-Identifier: GPL-2.0-only
"""The kernel's own sit device as the tunnel's other end: of a router's, and, twice, of a broker's."""

import re
import socket

import packet
from guestlab import *

args = arguments()
lab = Lab("lan", "router", "peer")
CLIENTS = {"c1": ("203.0.113.1", "2001:db8:1::11", "2001:db8:c1::"), "c2": ("203.0.113.2", "2001:db8:1::12", "2001:db8:c2::")}


def test_start():
    lab.wires()
    lab.addresses()
    lab.hosts()
    lab.ip("peer", """tunnel add sit1 mode sit local %s remote %s ttl 64 tos inherit
        link set dev sit1 up
        addr add %s/64 dev sit1 nodad
        route add %s dev sit1""" % (PEER, WAN_ROUTER, TUNNEL_PEER, LAN_NET))
    lab.start(lab.config("native"))


def in_mode(mode):
    """A group of tests in that mode: their names begin with it."""

    def ping():
        lab.apply(lab.config(mode))
        lab.ping("lan", INET_HOST)
        lab.ping("peer", LAN_HOST, "-I", INET_HOST)
        lab.ping("router", TUNNEL_PEER)
        lab.ping("router", INET_HOST, "-I", "he0")
        lab.ping("peer", TUNNEL_ROUTER)

    def outer_fields():
        lan, wan = lab.port("lan", "eth0"), lab.port("peer", "net0")
        token = lab.token()
        lan.send_to(LAN_ROUTER_MAC, packet.udp6(LAN_HOST, INET_HOST, data=token, tc=0xBA, hop=33))
        outer = wan.expect("a packet of class 0xba", lambda p: p.inner is not None and p.inner.data == token, 10)
        check_sound(outer)
        check_fields(outer, "outer", src=WAN_ROUTER, dst=PEER, hop=64, tc=0xBA, df=True, length=outer.inner.length + 20)
        check_fields(outer.inner, "inner", hop=32, tc=0xBA, src=LAN_HOST)
        with wire.namespace(lab.ns("peer")):
            sender = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        sender.bind((INET_HOST, 0))
        sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, 0xB8)
        token = lab.token()
        sender.sendto(token, (LAN_HOST, 4001))
        inner = lan.expect("what sit sent, in the LAN", lambda p: p.data == token, 10)
        check_fields(inner, "in the LAN", src=INET_HOST, hop=63, tc=0xB8)
        check(inner.l4_check_ok or inner.unfinished, "its checksum is wrong")

    def mtu():
        for name in ("lan", "router"):
            lab.ping(name, INET_HOST, "-M", "do", "-s", "1432", count=1)
        said = lab.ping("lan", INET_HOST, "-M", "do", "-s", "1433", count=2, fail=False)
        check(" 0 received" in said, "1481 bytes passed: " + said)
        said = lab.run("lan", "ip", "-6", "route", "get", INET_HOST)
        check("mtu 1480" in said, "the LAN host has not learned the MTU: " + said)
        said = lab.ping("router", INET_HOST, "-M", "do", "-s", "1433", count=1, fail=False)
        check(" 0 received" in said, "the router's own 1481 bytes passed: " + said)
        lab.ping("peer", LAN_HOST, "-I", INET_HOST, "-M", "do", "-s", "1432", count=1)

    def tcp():
        for reverse in (False, True):
            wan = lab.port("peer", "net0", outgoing=reverse)
            transfer(lab, "lan", "peer", INET_HOST, 5000000, reverse=reverse)
            largest = longest(wan)
            if mode == "tc":
                check(largest > 1514, "no GSO packet went %s the peer: %d bytes at most" % ("from" if reverse else "to", largest))

    def own_tcp():
        for reverse in (False, True):
            transfer(lab, "router", "peer", INET_HOST, 2000000, reverse=reverse)

    return [named(mode, f) for f in (ping, outer_fields, mtu, tcp, own_tcp)]


def named(prefix, function):
    function.__name__ = "test_%s/%s" % (prefix, function.__name__)
    return function


def longest(port):
    """Bytes of the largest frame that the port holds, which is then empty."""
    largest, buffer = 0, bytearray(1)
    port.sock.setblocking(False)
    try:
        while True:
            size, _, _, sender = port.sock.recvmsg_into([buffer], 0, socket.MSG_TRUNC)
            if (sender[2] == 4) == port.outgoing:
                largest = max(largest, size)
    except BlockingIOError:
        port.sock.close()
        return largest


def test_nothing_else_was_dropped():
    drops = lab.drops()
    check(set(drops) <= {"too-big"}, "drops: %s" % drops)
    row = lab.fl("show", "tunnels")[0]
    check(row["rx_packets"] > 200 and row["tx_packets"] > 200, "the tunnel's counters: %s" % row)


def test_lossy_path():
    """1 % loss and 20 ms on the way to the router, in which TCP must not get lost."""
    lab.run("peer", "ethtool", "-K", "sit1", "gso", "off", "tso", "off")  # netem loses what it is given: single packets then
    lab.run("peer", "tc", "qdisc", "add", "dev", "net0", "root", "netem", "delay", "20ms", "loss", "1%")
    try:
        for reverse in (True, False):
            transfer(lab, "lan", "peer", INET_HOST, 2000000, reverse=reverse)
        shown = lab.run("peer", "tc", "-s", "qdisc", "show", "dev", "net0")
        check(int(re.search(r"dropped (\d+)", shown).group(1)) > 0, "netem lost nothing: " + shown)
    finally:
        lab.run("peer", "tc", "qdisc", "del", "dev", "net0", "root")


# ---- the broker: the router's end serves two sit devices ----


def broker_config(mode):
    config = lab.config(mode, gateways={}, routes=[])
    tunnel = config["tunnels"].pop("he0")
    del tunnel["remote"]
    tunnel["clients"] = {
        name: {"remote": remote, "address": address, "routes": [prefix + "/48"]} for name, (remote, address, prefix) in CLIENTS.items()
    }
    config["tunnels"]["tun6"] = tunnel
    return config


def test_broker_start():
    lab.ip("peer", "link del dev sit1\naddr del %s/128 dev lo\naddr add %s/24 dev net0" % (INET_HOST, CLIENTS["c2"][0]))
    for table, (name, (remote, address, prefix)) in enumerate(CLIENTS.items(), 100):
        lab.ip("peer", """tunnel add {0} mode sit local {1} remote {2} ttl 64
            link set dev {0} up
            addr add {3}/64 dev {0} nodad
            addr add {4}1/128 dev lo""".format(name, remote, WAN_ROUTER, address, prefix))
        lab.ip("peer", """route add default dev {0} table {1}
            rule add from {2}/48 table {1}
            rule add from {3} table {1}""".format(name, table, prefix, address), "-6")
    lab.apply(broker_config("tc"))


def test_broker_ping():
    for _, address, prefix in CLIENTS.values():
        lab.ping("peer", LAN_HOST, "-I", prefix + "1")
        lab.ping("lan", prefix + "1")
        lab.ping("lan", address)
        lab.ping("router", address)


def test_broker_tcp():
    for _, _, prefix in CLIENTS.values():
        transfer(lab, "peer", "lan", LAN_HOST, 1000000, source=prefix + "1")
        transfer(lab, "lan", "peer", prefix + "1", 1000000)


def test_broker_confines_its_clients():
    before = lab.drops().get("tunnel-foreign-inner-source", 0)
    lan = lab.port("lan", "eth0")
    lab.ip("peer", "rule add from %s/48 table 100 pref 1" % CLIENTS["c2"][2], "-6")  # c2's source by c1's tunnel
    try:
        said = lab.ping("peer", LAN_HOST, "-I", CLIENTS["c2"][2] + "1", "-W", "2", count=2, fail=False)
        check(" 0 received" in said, "answers came: " + said)
        lan.quiet(lambda p: p.src == CLIENTS["c2"][2] + "1")
    finally:
        lab.ip("peer", "rule del pref 1", "-6")
    check_equal(lab.drops().get("tunnel-foreign-inner-source", 0) - before, 2, "drops counted as tunnel-foreign-inner-source (%s)" % lab.drops())


def test_broker_native():
    lab.apply(broker_config("native"))
    test_broker_ping()
    transfer(lab, "peer", "lan", LAN_HOST, 1000000, source=CLIENTS["c1"][2] + "1")


def test_unload():
    lab.unload()


main(
    [test_start, *in_mode("native"), *in_mode("tc"), test_nothing_else_was_dropped, test_lossy_path, test_broker_start, test_broker_ping,
     test_broker_tcp, test_broker_confines_its_clients, test_broker_native, test_unload], args)
