#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Applies one configuration after another while packets go both ways, and looks at what every single one became: each must be
as one of the configurations says, none as a mixture of two, and flows that no configuration touches must lose none. The router
itself sends, too.
"""

import copy
import json
import os
import random
import socket
import subprocess
import threading
import time

import packet
import wire
from lab import *
from wire import check, check_equal

CHANGES = 60
SECOND = "198.51.100.11"  # another broker
BYSTANDER = "2001:db8:77::99"  # routed by wan whatever is configured
WAN_NPT = {"interface": "wan", "internal": INTERNAL, "external": "2001:db8:cc::/64", "mode": "rfc6296"}
WAN_NEXT6 = "2001:db8:2::1"
LAN4, BYSTANDER4 = "192.0.2.80", "198.18.7.7"  # routed by the system's own default route
OWN = "2001:db8:ab::1"  # from which the router sends; translated where the default route leads out by wan, and only then
OWN_NPT = {"interface": "wan", "internal": "2001:db8:ab::/64", "external": "2001:db8:ce::/64", "mode": "rfc6296"}

lab = Lab()


def outside(external, internal=INTERNAL, address=LAN_HOST):
    return Translation(internal, external).outward(address)


def tunnel_world(base, name, remote, external):
    """Everything goes through a tunnel, translated to `external`."""
    d = copy.deepcopy(base)
    d["tunnels"] = {name: dict(base["tunnels"]["he0"], remote=remote)}
    d["gateways"] = {"gw": {"interface": name, "address": TUNNEL_BROKER}}
    d["routes"] = [{"destination": "::/0", "gateway": "gw"}]
    d["prefix_translations"] = [WAN_NPT, {"interface": name, "internal": INTERNAL, "external": external, "mode": "rfc6296"}]
    return d, (remote, outside(external))


def worlds(base):
    """Name -> configuration, and what a packet from the LAN host looks like on the wire: (outer destination, source)."""
    result = {
        "he0": tunnel_world(base, "he0", BROKER, "2001:db8:bb::/64"),
        "renamed": tunnel_world(base, "he1", BROKER, "2001:db8:dd::/64"),
        "other-broker": tunnel_world(base, "he0", SECOND, "2001:db8:ee::/64"),
    }
    d = copy.deepcopy(base)
    d.update(tunnels={}, gateways={}, routes=[], prefix_translations=[WAN_NPT])
    result["nothing"] = d, None
    d = copy.deepcopy(d)
    d["tunnels"] = base["tunnels"]
    result["tunnel-without-route"] = d, None
    d = copy.deepcopy(d)
    d.update(tunnels={}, gateways={"gw": {"interface": "wan", "address": WAN_NEXT6}}, routes=[{"destination": "::/0", "gateway": "gw"}],
             prefix_translations=[WAN_NPT, OWN_NPT])
    result["by-wan"] = d, (None, outside(WAN_NPT["external"]))
    for name in ("renamed", "nothing"):  # an IPv4 route, beside that of the bystander
        d = result[name][0]
        d["gateways"]["gw4"] = {"interface": "wan", "address": "203.0.113.1"}
        d["routes"].append({"destination": "198.18.128.0/17", "gateway": "gw4"})
    return result


class Traffic:
    """From the LAN to the tunnel and to the bystander, and from outside by every outer with every destination."""

    def __init__(self, looks):
        self.looks = {look for look in looks if look}
        self.own_looks = {(remote, OWN if remote else outside(OWN_NPT["external"], OWN_NPT["internal"], OWN)) for remote, _ in self.looks}
        self.sent, self.own, self.bystanders, self.bystanders4, self.sending = 0, 0, 0, 0, True
        with wire.namespace(lab.ns("router")):
            self.router = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            self.router.bind((OWN, 4000))
        self.seen, self.wrong = {}, []
        self.threads = [threading.Thread(target=f, daemon=True) for f in (self.send, self.catch_wan, self.catch_lan)]
        for thread in self.threads:
            thread.start()

    def send(self):
        out = packet.eth(LAN_ROUTER_MAC, LAN_HOST_MAC, packet.udp6(LAN_HOST, INET_HOST, 4000, 9, b"atomic"))
        beside = packet.eth(LAN_ROUTER_MAC, LAN_HOST_MAC, packet.udp6(LAN_HOST, BYSTANDER, 4000, 9, b"bystander"))
        beside4 = packet.eth(LAN_ROUTER_MAC, LAN_HOST_MAC, packet.udp4(LAN4, BYSTANDER4, 4000, 9, b"bystander"))
        sources = {source for _, source in self.looks}
        back = []
        for remote in (BROKER, SECOND, None):
            for source in sources:
                inner = packet.udp6(INET_HOST, source, 9, 4000, ("%s %s" % (remote, source)).encode())
                datagram = packet.ip4(remote, WAN_ROUTER, packet.IPV6, inner) if remote else inner
                back.append(packet.eth(WAN_ROUTER_MAC, WAN_NEXT_MAC, datagram))
        while self.sending:
            for frame in back:
                lab.lan.send(out)
                lab.lan.send(beside)
                lab.lan.send(beside4)
                lab.wan.send(frame)
                self.send_own()
            self.sent += len(back)
            time.sleep(0.002)

    def send_own(self):
        try:
            self.router.sendto(b"own", (INET_HOST, 9))
        except OSError:
            pass  # no route, no tunnel, or an error about an earlier one

    def saw(self, look, p):
        self.seen[look] = self.seen.get(look, 0) + 1
        if look not in self.looks:
            self.wrong.append(str(p))

    def catch_wan(self):
        for p in lab.wan.packets_while(lambda: self.sending):
            inner = p.inner or p
            if inner.data == b"atomic":
                self.saw((p.dst if p.inner else None, inner.src), p)
            elif inner.data == b"own":
                self.own += 1
                if (p.dst if p.inner else None, inner.src) not in self.own_looks:
                    self.wrong.append(str(p))
            elif inner.data == b"bystander" and p.version == 4 and not p.inner:
                self.bystanders4 += 1
            elif inner.data == b"bystander":
                self.bystanders += 1
                if p.inner or p.src != outside(WAN_NPT["external"]):
                    self.wrong.append(str(p))

    def catch_lan(self):
        for p in lab.lan.packets_while(lambda: self.sending):
            if p.sport == 9 and p.dport == 4000:
                remote, source = p.data.decode().split()
                self.saw((None if remote == "None" else remote, source), p)

    def stop(self):
        self.sending = False
        for thread in self.threads:
            thread.join(30)


def apply(config):
    path = os.path.join(os.environ["FL_TMP"], "atomic.json")
    with open(path, "w") as f:
        json.dump(config, f)
    command = [os.environ["FL_BUILD"] + "/fairlead", "--instance", "%s-router" % lab.args.lab, "apply", path]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=20)
    check_equal(done.returncode, 0, "exit status of apply (%s)" % done.stdout.decode().strip())


def held():
    pin = "/sys/fs/bpf/fairlead/%s-router/fl_held" % lab.args.lab
    return len(json.loads(subprocess.run(["bpftool", "-j", "map", "dump", "pinned", pin], stdout=subprocess.PIPE, check=True).stdout))


def passes(traffic, look):
    """The new configuration is what packets meet."""
    end = time.monotonic() + 5
    before = traffic.seen.get(look, 0)
    while traffic.seen.get(look, 0) < before + 4:
        check(time.monotonic() < end, "no packet leaves as %s any more" % (look,))
        time.sleep(0.005)


def test_every_packet_is_of_one_configuration():
    with open(os.path.join(os.environ["FL_TMP"], "router.json")) as f:
        all_worlds = worlds(json.load(f))
    names = sorted(all_worlds)
    choose = random.Random(4213)
    traffic = Traffic(look for _, look in all_worlds.values())
    now = None
    try:
        for _ in range(CHANGES):
            now = choose.choice([n for n in names if n != now])
            config, look = all_worlds[now]
            apply(config)
            if look:
                passes(traffic, look)
    finally:
        traffic.stop()
    check(not traffic.wrong, "%d of %d packets as no configuration says, for example %s" % (len(traffic.wrong), traffic.sent, traffic.wrong[:3]))
    check(traffic.sent > 1000, "only %d packets were sent" % traffic.sent)
    check(traffic.own > 1000, "the router itself sent only %d" % traffic.own)
    check_equal(held(), 0, "entries of fl_held when nothing changes")
    check_equal(traffic.bystanders4, traffic.sent, "IPv4 packets of the flow that nothing changes, of those sent")
    check_equal(traffic.bystanders, traffic.sent, "packets of the flow that nothing changes, of those sent")


wire.main([test_every_packet_is_of_one_configuration], lab.prefix)
