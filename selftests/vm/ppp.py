# SPDX-License-Identifier: GPL-2.0-only
"""The uplink is a ppp device: PPPoE, by pppd and the kernel, over a cable that is not fairlead's. It carries the outers of the
tunnel, and forwarded IPv6 beside it, by a next hop that is the peer's link-local address, or by none.

  lan            router                     peer
  eth0 ────── lan0    wan0 ─── PPPoE ────── net0
  aa::80     aa::1    ppp0 203.0.113.20     ppp0 203.0.113.1
                           fe80::20              fe80::1, and e::99 behind it
                    he0 ══════ 6in4 ═══════ sit1, and f::99 behind it
"""

import struct

import packet
from guestlab import *

args = arguments()
lab = Lab("lan", "router", "peer")
MTU = 1492  # RFC 2516 7
SESSION = 7
PLAIN_HOST, PLAIN_NET = "2001:db8:e::99", "2001:db8:e::/64"
SECOND_ADDRESS = "203.0.113.21"
OWN_ADDRESS = "addr add 2001:db8:e:1::20/128 dev ppp0 nodad"
pppds = []
lan = peer = cable = None


def pppd(name, device, other_mac, addresses, identifiers, *options):
    """One end of the session, which begins with the end that is not silent: there is no discovery."""
    with wire.namespace(lab.ns(name)), open("/tmp/pppd.%s.log" % name, "wb") as log:
        pppds.append(subprocess.Popen(
            ["pppd", "plugin", "pppoe.so", "nic-" + device, "pppoe-sess", "%d:%s" % (SESSION, other_mac), addresses, "ipv6", identifiers,
             "noauth", "nodetach", "noipdefault", "mtu", str(MTU), "mru", str(MTU), *options],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log))


def pppd_logs():
    text = ""
    for name in ("router", "peer"):
        with open("/tmp/pppd.%s.log" % name, errors="replace") as f:
            text += "%s: %s\n" % (name, f.read())
    return text


def dial(address):
    global peer
    hang_up()
    pppd("peer", "net0", WAN_ROUTER_MAC, "%s:%s" % (PEER, address), "::1,::20", "silent")
    pppd("router", "wan0", PEER_MAC, "%s:%s" % (address, PEER), "::20,::1")
    for name in ("router", "peer"):
        try:
            until("ppp0 of " + name, lambda n=name: is_up(n), 60)
        except Failure as why:
            raise Failure("%s\n%s" % (why, pppd_logs())) from None
    lab.ip("peer", "tunnel change sit1 mode sit local %s remote %s ttl 64" % (PEER, address))
    lab.ip("peer", "route replace %s dev sit1\nroute replace default dev ppp0 table 100" % LAN_NET, "-6")
    peer = lab.port("peer", "ppp0", link=False)


def is_up(name):
    shown = lab.run(name, "ip", "-br", "addr", "show", "dev", "ppp0", fail=False)
    return "203.0.113." in shown and "fe80::" in shown


def hang_up():
    while pppds:
        process = pppds.pop()
        process.terminate()
        process.wait(30)


atexit.register(hang_up)


def config(gateway, **tunnel):
    config = lab.config("auto", wan="ppp0")
    config["gateways"]["isp"] = {"interface": "wan", **gateway}
    config["routes"].append({"destination": PLAIN_NET, "gateway": "isp"})
    config["tunnels"]["he0"].update({"local": "interface", **tunnel})
    return config


def test_start():
    global lan, cable
    run("modprobe", "-a", "pppoe")
    lab.wires()
    lab.ip("router", "addr add %s/64 dev lan0 nodad" % LAN_ROUTER)
    lab.ip("lan", "addr add %s/64 dev eth0 nodad\nroute add default via %s" % (LAN_HOST, LAN_ROUTER))
    lab.ip("peer", """addr add %s/128 dev lo
        addr add %s/128 dev lo
        tunnel add sit1 mode sit local %s remote %s ttl 64
        link set dev sit1 mtu %d up
        addr add %s/64 dev sit1 nodad""" % (INET_HOST, PLAIN_HOST, PEER, WAN_ROUTER, MTU - 20, TUNNEL_PEER))
    lab.ip("peer", "rule add from %s table 100 pref 100" % PLAIN_HOST, "-6")
    dial(WAN_ROUTER)
    lab.start(config({"address": "fe80::1"}))
    lan, cable = lab.port("lan", "eth0"), lab.port("peer", "net0")


def test_mode_and_mtu():
    row = lab.interface("wan")
    check_equal((row["mode"], row["reason"]), ("tc", "no Ethernet header; tc runs"), "mode and reason of wan")
    check_equal(lab.interface("lan")["mode"], "native", "the mode of lan")
    check_equal(lab.fl("show", "tunnels")[0]["mtu"], MTU - 20, "the tunnel's MTU")


# ---- what is on the cable ----


def session(frame):
    """The IP packet in a frame of the session (RFC 2516 4), or None."""
    if frame.ethertype != 0x8864:
        return None
    kind, code, number, length, protocol = struct.unpack("!BBHHH", frame.raw[14:22])
    if protocol not in (0x0021, 0x0057):  # IPv4, IPv6
        return None
    check_equal((kind, code, number), (0x11, 0, SESSION), "the PPPoE header")
    check_fields(frame, "the frame", src_mac=WAN_ROUTER_MAC, dst_mac=PEER_MAC)
    p = packet.parse(frame.raw[22 : 20 + length], link=False)
    check_equal((p.version, p.length), (4 if protocol == 0x0021 else 6, length - 2), "version and length behind the PPPoE header")
    return p


def on_cable(what, match):
    found = []

    def matches(frame):
        p = session(frame)
        if p is not None and match(p):
            found.append(p)
        return bool(found)

    cable.expect(what, matches, 10)
    check_sound(found[0], what)
    return found[0]


def tunnelled(local=WAN_ROUTER):
    for size in (8, MTU - 20 - 48):
        data = lab.token() + bytes(size - 8)
        cable.flush()
        lan.send_to(LAN_ROUTER_MAC, packet.udp6(LAN_HOST, INET_HOST, data=data, tc=0xBA, hop=33))
        outer = on_cable("%d bytes in the tunnel" % size, lambda p: p.inner is not None and p.inner.data == data)
        check_fields(outer, "outer", src=local, dst=PEER, proto=packet.IPV6, hop=64, tc=0xBA, df=True, length=size + 68)
        check_fields(outer.inner, "inner", src=LAN_HOST, dst=INET_HOST, hop=32, tc=0xBA)
        data = lab.token() + bytes(size - 8)
        lan.flush()
        peer.send_to(None, packet.ip4(PEER, local, packet.IPV6, packet.udp6(INET_HOST, LAN_HOST, data=data, tc=0xB8, hop=33)))
        to_lan("%d bytes out of the tunnel" % size, data, INET_HOST)


def to_lan(what, data, src):
    p = lan.expect(what, lambda p: p.data == data, 10)
    check_sound(p, what)
    check_fields(p, what, src=src, dst=LAN_HOST, hop=32, tc=0xB8, src_mac=LAN_ROUTER_MAC, dst_mac=LAN_HOST_MAC)


def plain():
    for size in (8, MTU - 48):
        data = lab.token() + bytes(size - 8)
        cable.flush()
        lan.send_to(LAN_ROUTER_MAC, packet.udp6(LAN_HOST, PLAIN_HOST, data=data, tc=0xBA, hop=33))
        p = on_cable("%d bytes beside the tunnel" % size, lambda p: p.data == data)
        check_fields(p, "forwarded", src=LAN_HOST, dst=PLAIN_HOST, hop=32, tc=0xBA, length=size + 48)
        data = lab.token() + bytes(size - 8)
        lan.flush()
        peer.send_to(None, packet.udp6(PLAIN_HOST, LAN_HOST, data=data, tc=0xB8, hop=33))
        to_lan("%d bytes from beside the tunnel" % size, data, PLAIN_HOST)


def test_tunnel():
    tunnelled()


def test_plain_by_link_local_next_hop():
    plain()
    check("via fe80::1 dev ppp0" in lab.run("router", "ip", "-6", "route", "show", PLAIN_NET), "the route has another next hop")


def test_ping():
    for host in (INET_HOST, PLAIN_HOST):
        lab.ping("lan", host)
        lab.ping("peer", LAN_HOST, "-I", host)
    lab.ping("router", TUNNEL_PEER)
    lab.ping("peer", TUNNEL_ROUTER)
    lab.ping("router", PEER)


def test_mtu():
    for host, mtu in ((INET_HOST, MTU - 20), (PLAIN_HOST, MTU)):
        lab.ping("lan", host, "-M", "do", "-s", str(mtu - 48), count=1)
        said = lab.ping("lan", host, "-M", "do", "-s", str(mtu - 47), count=2, fail=False)
        check(" 0 received" in said, "%d bytes passed: %s" % (mtu + 1, said))
        said = lab.run("lan", "ip", "-6", "route", "get", host)
        check("mtu %d" % mtu in said, "the LAN host has not learned the MTU: " + said)


def test_hop_limit():
    lan.flush()
    lan.send_to(LAN_ROUTER_MAC, packet.udp6(LAN_HOST, PLAIN_HOST, hop=1))
    error = lan.expect("Time Exceeded", lambda p: p.type == 3 and p.quoted is not None, 10)
    check_sound(error)
    check_fields(error, src=LAN_ROUTER, dst=LAN_HOST)


def test_tcp():
    for host in (INET_HOST, PLAIN_HOST):
        for reverse in (False, True):
            transfer(lab, "lan", "peer", host, 1000000, reverse=reverse)
    for reverse in (False, True):
        transfer(lab, "router", "peer", INET_HOST, 500000, reverse=reverse)


def test_gateway_without_address():
    lab.apply(config({"monitor": False}))
    shown = lab.run("router", "ip", "-6", "route", "show", PLAIN_NET)
    check("dev ppp0" in shown and "via" not in shown, "the route: " + shown)
    plain()
    lab.ping("lan", PLAIN_HOST)


def test_mode_that_it_cannot_have():
    """XDP was asked for: tc serves it, and it is said."""
    asked = config({"monitor": False})
    asked["interfaces"]["wan"]["mode"] = "native"
    lab.apply(asked)
    check_equal(lab.interface("wan")["mode"], "tc", "the mode of wan")
    tunnelled()
    lab.apply(config({"address": "fe80::1"}))


def gateway():
    return next(row for row in lab.fl("show", "gateways") if row["name"] == "isp")


def learned():
    return {row["family"]: (row["address"], row["by"]) for row in gateway()["learned"]}


def learns(status, what):
    try:
        until("", lambda: (gateway()["status"], learned()) == (status, what))
    except Failure:
        raise Failure("%s is learned, expected %s; gateway: %s\nrouter: %s" % (
            learned(), what, gateway(), lab.run("router", "ip", "-d", "addr", "show", "dev", "ppp0", fail=False))) from None


def test_automatic_gateway():
    """The link is the next hop as long as pppd has it up, of IPv6 with an address that others reach; its other end is probed."""
    both = {"inet": (PEER, "link"), "inet6": ("fe80::1", "link")}
    lab.apply(config({"address": "auto", "monitor": {"interval_ms": 100, "up_after": 1}}))
    learns("up", {"inet": both["inet"]})
    lab.ip("router", OWN_ADDRESS, "-6")
    learns("up", both)
    plain()
    hang_up()
    learns("down", {})
    dial(WAN_ROUTER)
    lab.ip("router", OWN_ADDRESS, "-6")
    learns("up", both)
    plain()
    lab.apply(config({"address": "fe80::1"}))


def number():
    return json.loads(lab.run("router", "ip", "-j", "link", "show", "dev", "ppp0"))[0]["ifindex"]


def test_dialled_again():
    """The device goes, and comes with another number and another address: tunnel and routes follow."""
    before = number()
    dial(SECOND_ADDRESS)
    until("wan is served", lambda: lab.interface("wan")["mode"] == "tc")
    until("the tunnel has the new address", lambda: lab.fl("show", "tunnels")[0]["local"] == SECOND_ADDRESS)
    until("the route is back", lambda: "via fe80::1 dev ppp0" in lab.run("router", "ip", "-6", "route", "show", PLAIN_NET))
    check(before != number(), "it is the same device")
    tunnelled(SECOND_ADDRESS)
    plain()
    lab.ping("lan", INET_HOST)
    lab.ping("lan", PLAIN_HOST)


def test_nothing_else_was_dropped():
    drops = lab.drops()
    check(set(drops) <= {"too-big", "hop-limit"}, "drops: %s" % drops)


def test_unload():
    lab.unload()
    left = lab.run("router", "bpftool", "net", "show")
    check("fl_" not in left, "programs are left: " + left)


main(tests_of(globals()), args)
