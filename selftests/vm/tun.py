# SPDX-License-Identifier: GPL-2.0-only
"""A device without Ethernet header as the underlay: the tunnel goes through a TUN device, to a kernel's sit at its far end."""

import os
import select
import threading

import packet
from guestlab import *

args = arguments()
lab = Lab("lan", "router", "peer")
MTU = 1400
near = far = None


def pump():
    """What the router's TUN device sends, the peer's receives, and the other way round."""
    while True:
        for fd in select.select([near, far], [], [])[0]:
            try:
                os.write(far if fd == near else near, os.read(fd, 65536))
            except OSError:
                pass  # one of them is down


def test_start():
    global near, far
    lab.cable("router", "lan0", LAN_ROUTER_MAC, "lan", "eth0", LAN_HOST_MAC)
    near, far = wire.tun_open(lab.ns("router"), "ppp7"), wire.tun_open(lab.ns("peer"), "ppp7")
    for name, own, other in (("router", WAN_ROUTER, PEER), ("peer", PEER, WAN_ROUTER)):
        lab.ip(name, "link set dev ppp7 mtu %d up\naddr add %s peer %s dev ppp7" % (MTU, own, other))
    lab.ip("router", "addr add %s/64 dev lan0 nodad" % LAN_ROUTER)
    lab.ip("lan", "addr add %s/64 dev eth0 nodad\nroute add default via %s" % (LAN_HOST, LAN_ROUTER))
    lab.ip("peer", """addr add %s/128 dev lo
        tunnel add sit1 mode sit local %s remote %s ttl 64
        link set dev sit1 mtu %d up
        addr add %s/64 dev sit1 nodad
        route add %s dev sit1""" % (INET_HOST, PEER, WAN_ROUTER, MTU - 20, TUNNEL_PEER, LAN_NET))
    threading.Thread(target=pump, daemon=True).start()
    lab.start(lab.config("auto", wan="ppp7"))


def test_mode_and_mtu():
    row = lab.interface("wan")
    check_equal((row["mode"], row["reason"]), ("tc", "no Ethernet header; tc runs"), "mode and reason of wan")
    check_equal(lab.interface("lan")["mode"], "native", "the mode of lan")
    check_equal(lab.fl("show", "tunnels")[0]["mtu"], MTU - 20, "the tunnel's MTU")


def test_ping():
    lab.ping("lan", INET_HOST)
    lab.ping("peer", LAN_HOST, "-I", INET_HOST)
    lab.ping("router", TUNNEL_PEER)
    lab.ping("peer", TUNNEL_ROUTER)
    lab.ping("lan", INET_HOST, "-M", "do", "-s", str(MTU - 20 - 48), count=1)


def test_fields():
    lan, wan = lab.port("lan", "eth0"), lab.port("peer", "ppp7", link=False)
    token = lab.token()
    lan.send_to(LAN_ROUTER_MAC, packet.udp6(LAN_HOST, INET_HOST, data=token))
    outer = wan.expect("a packet in the tunnel", lambda p: p.inner is not None and p.inner.data == token, 10)
    check_sound(outer)
    check_fields(outer, "outer", src=WAN_ROUTER, dst=PEER, hop=64, df=True)
    check_fields(outer.inner, "inner", src=LAN_HOST, hop=63)


def test_tcp():
    for reverse in (False, True):
        transfer(lab, "lan", "peer", INET_HOST, 1000000, reverse=reverse)
        transfer(lab, "router", "peer", INET_HOST, 500000, reverse=reverse)


def test_nothing_else_was_dropped():
    check(set(lab.drops()) <= {"too-big"}, "drops: %s" % lab.drops())


def test_unload():
    lab.unload()


main(tests_of(globals()), args)
