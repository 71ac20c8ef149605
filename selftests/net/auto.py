#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""auto.sh's packets: leases and routers come, change and go; who has which frame, from which address."""

import os
import re
import socket
import subprocess
import time

import packet
from lab import tests_of
from policylab import PolicyLab, until
from wire import Failure, check, check_equal, main, namespace

lab = PolicyLab()
MACS = {1: "02:00:00:00:02:01", 2: "02:00:00:00:02:09"}
LAN_MAC, LAN_HOST, LAN_HOST6 = "02:00:00:00:01:01", "192.168.0.80", "2001:db8:aa::80"
WORLD, WORLD6 = "198.51.100.9", "2001:db8:f::9"
TMP = os.path.dirname(lab.args.config)
LINK_LOCAL = {1: "fe80::1", 2: "fe80::9"}

lan = lab.port("lan", "eth0")
processes = []


class Wan:  # pylint: disable=too-few-public-methods
    """What arrives at the far end, where the device may be another one later."""
    port = lab.port("wan", "net0")


def spawn(ns, *command):
    with namespace(lab.ns(ns)):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    processes.append(process)
    return process


def stop(process):
    process.kill()
    process.wait()
    processes.remove(process)


def ip(ns, *words):
    lab.output(ns, "ip", *words)


def gateway():
    return lab.fl("show", "gateways", instance="router")[0]


def learned():
    return {row["family"]: (row["address"], row["by"]) for row in gateway()["learned"]}


def advertise(which, lifetime):
    """By the link-local address of that router, for which its MAC stands in no address of ours."""
    body = packet.icmp6(LINK_LOCAL[which], "ff02::1", 134, 0, 64 << 24 | lifetime, bytes(8) + b"\x01\x01" + packet.mac_bytes(MACS[which]))
    frame = packet.eth("33:33:00:00:00:01", MACS[which], packet.ip6(LINK_LOCAL[which], "ff02::1", 58, body, hop=255))
    Wan.port.send(frame)


def probe(which, source, target):
    """One leaves for that router, from that address."""
    def match(p):
        return p.proto in (1, 58) and p.type in (8, 128) and p.dst == target
    Wan.port.flush()
    p = Wan.port.expect("a probe to " + target, match)
    check_equal((p.dst_mac, p.src), (MACS[which], source), "where a probe goes, and from where")


def leaves(which, source, family=4, sport=4000):
    """A datagram of the LAN's host goes that way; it is repeated, for one may meet the state of an address that has just gone."""
    token = lab.token()
    for left in range(10, -1, -1):
        if family == 4:
            lan.send_to(LAN_MAC, packet.udp4(LAN_HOST, WORLD, sport=sport, data=token))
        else:
            lan.send_to(LAN_MAC, packet.udp6(LAN_HOST6, WORLD6, sport=sport, data=token))
        try:
            p = Wan.port.expect("what the LAN sends", lambda p: token in p.raw, 0.5)
            break
        except Failure:
            if not left:
                raise
    check_equal((p.dst_mac, p.src), (MACS[which], source), "where it goes, and from where")


def lost(family):
    token = lab.token()
    if family == 4:
        lan.send_to(LAN_MAC, packet.udp4(LAN_HOST, WORLD, sport=5000, data=token))
    else:
        lan.send_to(LAN_MAC, packet.udp6(LAN_HOST6, WORLD6, sport=5000, data=token))
    Wan.port.quiet(lambda p: token in p.raw, 0.2)


def routes():
    return {row["destination"]: row["state"] for row in lab.fl("show", "routes", instance="router")}


def test_nothing_learned():
    row = gateway()
    check_equal((row["status"], row["reason"], row["address"], row["learned"]),
                ("down", "nothing learned by DHCP, router advertisement or PPP on wan", "", []), "the gateway")
    check_equal(routes(), {"0.0.0.0/0": "unreachable", "::/0": "unreachable"}, "routes")
    lost(4)


def is_up(address):
    until(lambda: (gateway()["status"], gateway()["address"]), ("up", address), "the gateway")


state = {}


def test_lease():
    state["server"] = spawn("wan", "busybox", "udhcpd", "-f", "-a", "1", TMP + "/dhcpd1.conf")
    state["client"] = spawn("router", "busybox", "udhcpc", "-f", "-i", "wan0", "-s", TMP + "/udhcpc.script", "-t", "20", "-T", "1", "-A", "1")
    is_up("198.18.1.1")
    check_equal(learned(), {"inet": ("198.18.1.1", "dhcp")}, "what is learned")
    probe(1, "198.18.1.20", "198.18.1.1")
    leaves(1, "198.18.1.20")
    check_equal(routes(), {"0.0.0.0/0": "active", "::/0": "unreachable"}, "routes")
    check_equal(lab.fl("show", "tunnels", instance="router")[0]["local"], "198.18.1.20", "the tunnel's end")


def test_another_lease():
    with namespace(lab.ns("wan")):
        listener = socket.create_server((WORLD, 80))
    with namespace(lab.ns("lan")):
        ours = socket.create_connection((WORLD, 80), timeout=5)
    theirs, _ = listener.accept()
    with listener, ours, theirs:
        check_equal(theirs.getpeername()[0], "198.18.1.20", "the connection's source outside")
        stop(state["server"])
        state["server"] = spawn("wan", "busybox", "udhcpd", "-f", "-a", "1", TMP + "/dhcpd2.conf")
        stop(state["client"])
        state["client"] = spawn("router", "busybox", "udhcpc", "-f", "-i", "wan0", "-s", TMP + "/udhcpc.script", "-t", "20", "-T", "1", "-A", "1")
        is_up("198.18.2.1")
        probe(2, "198.18.2.20", "198.18.2.1")
        leaves(2, "198.18.2.20")
        check_equal(lab.fl("show", "tunnels", instance="router")[0]["local"], "198.18.2.20", "the tunnel's end")
        ours.settimeout(5)
        try:
            check_equal(ours.recv(1), None, "what is received")
        except ConnectionResetError:
            pass
    check_equal([s for s in lab.states("router") if s["translated_source"] == "198.18.1.20"], [], "states of the old address")


def test_router_advertised():
    ip("router", "-6", "route", "flush", "table", "cache")
    advertise(1, 1800)
    until(lambda: learned().get("inet6"), ("fe80::1", "ra"), "what is learned")
    is_up("198.18.2.1, fe80::1")
    check("inet dhcp, inet6 ra" in lab.text("router", "show", "gateways"), "the table does not say of whom it is learned")
    told = lab.text("router", "--json", "show", "gateways")
    check_equal(re.findall(r"\d*\.\d{4,}", told), [], "numbers of more than three decimals")
    probe(1, "fe80::ff:fe00:220", "fe80::1")
    leaves(1, LAN_HOST6, 6)
    until(lambda: routes()["::/0"], "active", "the IPv6 route")


def test_another_router():
    advertise(2, 1800)
    advertise(1, 0)
    until(lambda: learned().get("inet6"), ("fe80::9", "ra"), "what is learned")
    leaves(2, LAN_HOST6, 6)
    probe(2, "fe80::ff:fe00:220", "fe80::9")


def test_router_falls_silent():
    """Two of the same worth: as long as the first does not answer it is the other's."""
    advertise(1, 1800)
    until(lambda: lab.output("router", "ip", "-6", "route", "show", "default", "proto", "ra").count("via"), 2, "defaults of the kernel")
    leaves(2, LAN_HOST6, 6)
    check_equal(learned()["inet6"], ("fe80::9", "ra"), "what is learned")
    lab.output("router", "sysctl", "-qw", "net.ipv6.neigh.wan0.ucast_solicit=1", "net.ipv6.neigh.wan0.retrans_time_ms=100")
    ip("wan", "addr", "del", "fe80::9/64", "dev", "net9")
    ip("router", "neigh", "change", "fe80::9", "dev", "wan0", "nud", "probe")  # as when it has been stale for a while
    until(lambda: learned().get("inet6"), ("fe80::1", "ra"), "what is learned")
    leaves(1, LAN_HOST6, 6)
    probe(1, "fe80::ff:fe00:220", "fe80::1")
    ip("wan", "addr", "add", "fe80::9/64", "dev", "net9", "nodad")
    advertise(2, 1800)
    until(lambda: learned().get("inet6"), ("fe80::9", "ra"), "what is learned")
    leaves(2, LAN_HOST6, 6)
    advertise(1, 0)


def test_no_router():
    advertise(2, 0)
    until(lambda: "inet6" in learned(), False, "something is learned of IPv6")
    until(lambda: routes()["::/0"], "unreachable", "the IPv6 route")
    lost(6)
    leaves(2, "198.18.2.20")


def test_expired():
    advertise(1, 1)
    until(lambda: learned().get("inet6"), ("fe80::1", "ra"), "what is learned")
    until(lambda: "inet6" in learned(), False, "something is learned of IPv6", 20)


def test_link_flaps():
    ip("wan", "link", "set", "dev", "net0", "down")
    until(lambda: gateway()["status"], "down", "the gateway")
    check_equal(gateway()["reason"], "link of wan down", "why")
    ip("wan", "link", "set", "dev", "net0", "up")
    is_up("198.18.2.1")
    probe(2, "198.18.2.20", "198.18.2.1")


def test_address_goes():
    stop(state["client"])
    ip("router", "addr", "flush", "dev", "wan0")
    until(lambda: gateway()["status"], "down", "the gateway")
    ip("router", "addr", "add", "198.18.1.77/24", "dev", "wan0")
    ip("router", "route", "add", "default", "via", "198.18.1.1")
    is_up("198.18.1.1")
    check_equal(learned(), {"inet": ("198.18.1.1", "boot")}, "what is learned")
    probe(1, "198.18.1.77", "198.18.1.1")
    leaves(1, "198.18.1.77")


def test_best_of_two():
    ip("router", "addr", "add", "198.18.2.77/24", "dev", "wan0")
    ip("router", "route", "add", "default", "via", "198.18.2.1", "metric", "10")
    time.sleep(0.1)
    check_equal(learned(), {"inet": ("198.18.1.1", "boot")}, "what is learned")
    ip("router", "route", "del", "default", "via", "198.18.1.1")
    is_up("198.18.2.1")
    probe(2, "198.18.2.77", "198.18.2.1")
    leaves(2, "198.18.1.77")


def test_leased_router_falls_silent():
    """Another of the same metric, which nobody has asked for yet."""
    ip("router", "route", "append", "default", "via", "198.18.1.1", "metric", "10")
    lab.run("router", "sysctl", "-qw", *("net.ipv4.neigh.wan0.%s" % s for s in ("ucast_solicit=1", "mcast_solicit=1", "retrans_time_ms=100")))
    ip("wan", "addr", "del", "198.18.2.1/24", "dev", "net9")
    ip("router", "neigh", "flush", "to", "198.18.1.1", "dev", "wan0")
    check_equal(learned(), {"inet": ("198.18.2.1", "boot")}, "what is learned")
    ip("router", "neigh", "change", "198.18.2.1", "dev", "wan0", "nud", "probe")  # as when it has been stale for a while
    is_up("198.18.1.1")
    probe(1, "198.18.1.77", "198.18.1.1")
    ip("wan", "addr", "add", "198.18.2.1/24", "dev", "net9")
    ip("router", "route", "del", "default", "via", "198.18.1.1", "metric", "10")
    is_up("198.18.2.1")


def test_link_that_is_down():
    """An address on it is no way yet."""
    def on_link():
        return [(row["family"], row["by"]) for row in lab.fl("show", "gateways", instance="router")[1]["learned"]]
    ip("router", "addr", "add", "203.0.113.9/32", "dev", "tun0")
    ip("router", "link", "set", "dev", "tun0", "mtu", "1400")
    until(lambda: [i["mtu"] for i in lab.fl("show", "interfaces", instance="router") if i["device"] == "tun0"], [1400], "the MTU")
    check_equal(on_link(), [], "what is learned")
    ip("router", "link", "set", "dev", "tun0", "up")
    until(on_link, [("inet", "link")], "what is learned")
    ip("router", "link", "set", "dev", "tun0", "down")
    until(on_link, [], "what is learned")


def test_vpn_that_takes_all():
    """The halves that a VPN client adds have a place, before those of the group, and go again."""
    def way():
        return [re.search(r"dev (\S+)", lab.output("router", "ip", "route", "get", host)).group(1) for host in ("192.0.2.1", WORLD)]
    ip("router", "link", "set", "dev", "tun0", "up")
    halves = ("0.0.0.0/1", "128.0.0.0/1")
    for half in halves:
        ip("router", "route", "add", half, "dev", "tun0")
    check_equal(way(), ["tun0", "tun0"], "the way")
    is_up("198.18.2.1")
    check_equal(routes()["0.0.0.0/0"], "active", "the group's route")
    for half in halves:
        ip("router", "route", "del", half, "dev", "tun0")
    check_equal(way(), ["wan0", "wan0"], "the way")


def test_events():
    told = lab.text("router", "show", "events")
    for text in (r"IPv4: 198.18.1.1 \(dhcp\)", r"IPv6: fe80::1 is not told any more", r"IPv4: from 198.18.1.1 to 198.18.2.1 \(boot\)"):
        check(re.search(text, told), "not told: %s; but:\n%s" % (text, told))


def again():
    """The device is another one of the same name, with other addresses."""
    is_up("198.18.1.1")
    probe(1, "198.18.1.78", "198.18.1.1")
    leaves(1, "198.18.1.78")


def overtaking(family):
    """fairlead's own defaults: it has none while the kernel's is used as it is."""
    return re.findall(r"^(\S+) via (\S+)", lab.output("router", "ip", family, "route", "show", "proto", "250"), re.MULTILINE)


def quick_to_give_up(ipv):
    solicit = {"ipv4": ("ucast_solicit=1", "mcast_solicit=1")}.get(ipv, ("ucast_solicit=1",))
    lab.run("router", "sysctl", "-qw", *("net.%s.neigh.wan0.%s" % (ipv, s) for s in (*solicit, "retrans_time_ms=100")))


def router_of_a_plain_route_falls_silent():
    """The kernel's own defaults are used as they are, but not one of a router that does not answer."""
    quick_to_give_up("ipv6")
    advertise(1, 1800)
    until(lambda: learned().get("inet6"), ("fe80::1", "ra"), "what is learned")
    advertise(2, 1800)
    until(lambda: lab.output("router", "ip", "-6", "route", "show", "default", "proto", "ra").count("via"), 2, "defaults of the kernel")
    leaves(1, LAN_HOST6, 6)
    check_equal((overtaking("-6"), routes()["::/0"]), ([], "active"), "fairlead's own, and what is said of it")
    ip("wan", "addr", "del", "fe80::1/64", "dev", "net0")
    ip("router", "neigh", "change", "fe80::1", "dev", "wan0", "nud", "probe")  # as when it has been stale for a while
    until(lambda: overtaking("-6"), [("default", "fe80::9")], "fairlead's own")
    leaves(2, LAN_HOST6, 6)
    check_equal([(r["gateway"], r["metric"], r["state"]) for r in lab.fl("show", "routes", instance="router") if r["destination"] == "::/0"],
                [("isp_gw", 1, "active")], "what is said of it")
    ip("wan", "addr", "add", "fe80::1/64", "dev", "net0", "nodad")  # it says nothing, but is asked for
    until(lambda: overtaking("-6"), [], "fairlead's own")
    leaves(1, LAN_HOST6, 6)


def leased_router_of_a_plain_route_falls_silent():
    quick_to_give_up("ipv4")
    ip("router", "addr", "add", "198.18.2.77/24", "dev", "wan0")
    ip("router", "route", "append", "default", "via", "198.18.2.1")
    leaves(1, "198.18.1.79")
    check_equal((overtaking("-4"), routes()["0.0.0.0/0"]), ([], "active"), "fairlead's own, and what is said of it")
    ip("wan", "addr", "del", "198.18.1.1/24", "dev", "net0")
    ip("router", "neigh", "change", "198.18.1.1", "dev", "wan0", "nud", "probe")
    until(lambda: overtaking("-4"), [("0.0.0.0/1", "198.18.2.1"), ("128.0.0.0/1", "198.18.2.1")], "fairlead's own")
    leaves(2, "198.18.1.79")
    check_equal(routes()["0.0.0.0/0"], "active", "what is said of it")
    ip("router", "route", "del", "default", "via", "198.18.1.1")  # the other one is the kernel's own choice now
    until(lambda: overtaking("-4"), [], "fairlead's own")
    leaves(2, "198.18.1.79")


PLAIN = [router_of_a_plain_route_falls_silent, leased_router_of_a_plain_route_falls_silent]

if __name__ == "__main__":
    try:
        main({"again": [again], "plain": PLAIN}.get(lab.how) or tests_of(globals()), lab.prefix)
    finally:
        for process in list(processes):
            stop(process)
