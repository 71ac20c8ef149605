# SPDX-License-Identifier: GPL-2.0-only
"""The lab of ../lab.sh as test programs see it: its namespaces, ports and addresses."""

import argparse
import ipaddress
import json
import os
import subprocess
import time

import packet
import wire
from rfc6296 import Translation

LAN_HOST, LAN_ROUTER, INET_HOST = "2001:db8:aa::80", "2001:db8:aa::1", "2001:db8:f::99"
WAN_ROUTER, BROKER = "203.0.113.20", "198.51.100.10"
TUNNEL_ROUTER, TUNNEL_BROKER = "2001:db8:1::2", "2001:db8:1::1"
INTERNAL, EXTERNAL = "2001:db8:aa::/64", "2001:db8:bb::/64"
LAN_HOST_MAC, LAN_ROUTER_MAC = "02:00:00:00:01:80", "02:00:00:00:01:01"
WAN_ROUTER_MAC, WAN_NEXT_MAC = "02:00:00:00:02:20", "02:00:00:00:02:01"
NPT = Translation(INTERNAL, EXTERNAL)
LAN_OUTSIDE = NPT.outward(LAN_HOST)


class Lab:
    """lan and wan are where frames are put in and caught: the far ends of the router's two cables."""

    def __init__(self):
        parser = argparse.ArgumentParser()
        parser.add_argument("--prefix", default="", help="before the tests' names")
        parser.add_argument("--lab", required=True, help="what the namespaces' names begin with")
        parser.add_argument("--mode", default="native")
        parser.add_argument("--instance", default="router")
        self.args = parser.parse_args()
        self.mode, self.prefix = self.args.mode, self.args.prefix
        self.lan = wire.Port(self.ns("lan"), "eth0")
        self.wan = wire.Port(self.ns("wan"), "net0")
        self.serial = int(time.monotonic() * 1000) & 0xFFFFFF

    def ns(self, name):
        return "%s-%s" % (self.args.lab, name)

    def flush(self):
        self.lan.flush()
        self.wan.flush()

    def from_lan(self, datagram):
        self.lan.send_to(LAN_ROUTER_MAC, datagram)

    def from_wan(self, datagram):
        self.wan.send_to(WAN_ROUTER_MAC, datagram)

    def from_tunnel(self, inner, **outer):
        """outer: src, dst and fields of packet.ip4()."""
        src, dst = outer.pop("src", BROKER), outer.pop("dst", WAN_ROUTER)
        self.from_wan(packet.ip4(src, dst, packet.IPV6, inner, **outer))

    def run(self, ns, *command):
        """A command in one of the lab's namespaces."""
        subprocess.run(["nsenter", "--net=/run/netns/" + self.ns(ns), *command], check=True, timeout=20)

    def output(self, ns, *command):
        """What it prints."""
        with wire.namespace(self.ns(ns)):
            return subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=20, text=True).stdout

    def token(self):
        """Eight bytes that no other packet carries."""
        self.serial += 1
        return b"fl" + self.serial.to_bytes(6, "big")

    def fence_out(self, timeout=3):
        """What reached wan before a packet that certainly passes, sent now."""
        token = self.token()
        self.from_lan(packet.udp6(LAN_HOST, INET_HOST, 9, 9, token))
        return self.wan.until(lambda p: p.inner is not None and p.inner.data == token, timeout)

    def fence_in(self, timeout=3):
        """What reached lan before a packet that certainly passes, sent now."""
        token = self.token()
        self.from_tunnel(packet.udp6(INET_HOST, LAN_OUTSIDE, 9, 9, token))
        return self.lan.until(lambda p: p.data == token, timeout)

    def fl(self, *arguments, instance=None):
        """The command line program's JSON."""
        name = "%s-%s" % (self.args.lab, instance or self.args.instance)
        command = [os.environ["FL_BUILD"] + "/fairlead", "--instance", name, "--json", *arguments]
        return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=False, timeout=20).stdout)

    def drops(self):
        """Reason -> packets, over all interfaces."""
        total = {}
        for row in self.fl("show", "drops"):
            total[row["reason"]] = total.get(row["reason"], 0) + row["packets"]
        return total

    def counted(self, action, timeout=3):
        """Which drop counters an action moved, and by how much. Waits until one has."""
        before = self.drops()
        action()
        until = time.monotonic() + timeout
        while True:
            after = self.drops()
            moved = {k: v - before.get(k, 0) for k, v in after.items() if v != before.get(k, 0)}
            if moved or time.monotonic() > until:
                return moved
            time.sleep(0.05)

    def tunnel(self, name="he0"):
        return next(t for t in self.fl("show", "tunnels") if t["name"] == name)


def tests_of(names):
    """The test functions among a module's globals(), in their order."""
    return [value for name, value in list(names.items()) if name.startswith("test_")]


def in_prefix(prefix, number):
    """The address of that number in a prefix."""
    return str(ipaddress.IPv6Network(prefix)[number])
