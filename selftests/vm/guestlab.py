# SPDX-License-Identifier: GPL-2.0-only
"""Namespaces, cables and the daemon for the tests in a guest. Programs are slow to start there: few are.

  lan            router                     peer
  eth0 ────── lan0    wan0 ────────────── net0
  aa::80     aa::1    203.0.113.20   203.0.113.1       IPv6 addresses stand for 2001:db8:…
                   he0 ══════ 6in4 ══════ the tunnel's other end
                   1::2                  1::1, and f::99 behind it
"""

import argparse
import atexit
import json
import os
import subprocess
import time

import packet
import wire
from wire import Failure, Port, check, check_equal, check_fields, check_sound

LAN_HOST, LAN_ROUTER, INET_HOST = "2001:db8:aa::80", "2001:db8:aa::1", "2001:db8:f::99"
LAN_NET = "2001:db8:aa::/64"
WAN_ROUTER, PEER = "203.0.113.20", "203.0.113.1"
TUNNEL_ROUTER, TUNNEL_PEER = "2001:db8:1::2", "2001:db8:1::1"
LAN_HOST_MAC, LAN_ROUTER_MAC = "02:00:00:00:01:80", "02:00:00:00:01:01"
WAN_ROUTER_MAC, PEER_MAC = "02:00:00:00:02:20", "02:00:00:00:02:01"
KERNEL = tuple(int(n) for n in os.uname().release.split("-")[0].split(".")[:2])
# The guest's own network cards, two at each cable; see boot
CARDS = (("02:00:00:00:00:a1", "02:00:00:00:00:a2"), ("02:00:00:00:00:b1", "02:00:00:00:00:b2"))


def run(*command, seconds=60, fail=True, text=None):
    """What the command printed; Failure if it failed. Runs in the namespace that we are in."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds, text=True, input=text, check=False)
    if fail and done.returncode:
        raise Failure("%s: exit status %d: %s" % (" ".join(command), done.returncode, done.stdout.strip()))
    return done.stdout


def until(what, condition, seconds=20):
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failure("not within %d s: %s" % (seconds, what))
        time.sleep(0.1)


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--prefix", default="", help="before the tests' names")
    return parser.parse_args()


class Lab:
    def __init__(self, *names):
        self.name = "fl%d" % os.getpid()
        self.instance = self.name + "-router"
        self.names, self.daemon, self.serial = [], None, 0
        self.build = os.environ["FL_BUILD"]
        self.config_file = "/tmp/%s.json" % self.name
        self.log_file = "/tmp/%s.log" % self.name
        atexit.register(self.close)
        for name in names:
            self.add(name)

    # ---- namespaces and devices ----

    def ns(self, name):
        return "%s-%s" % (self.name, name)

    def add(self, name):
        run("ip", "netns", "add", self.ns(name))
        self.names.append(name)
        for key in ("accept_dad", "accept_ra", "router_solicitations"):
            self.sysctl(name, {"net/ipv6/conf/%s/%s" % (which, key): 0 for which in ("all", "default")})
        self.sysctl(name, {"net/ipv4/icmp_ratelimit": 0, "net/ipv6/icmp/ratelimit": 0})
        self.sysctl(name, {"net/ipv4/conf/%s/rp_filter" % which: 0 for which in ("all", "default")})
        self.ip(name, "link set dev lo up")

    def sysctl(self, name, values):
        with wire.namespace(self.ns(name)):
            for key, value in values.items():
                with open("/proc/sys/" + key, "w") as f:
                    f.write(str(value))

    def ip(self, name, lines, *options):
        """Commands of ip, one a line."""
        run("ip", "-n", self.ns(name), *options, "-batch", "-", text=lines)

    def run(self, name, *command, **how):
        with wire.namespace(self.ns(name)):
            return run(*command, **how)

    def port(self, name, device, **how):
        return Port(self.ns(name), device, **how)

    def cable(self, a, device_a, mac_a, b, device_b, mac_b):
        """A veth, whose both ends take frames from XDP."""
        run("ip", "-n", self.ns(a), "link", "add", "name", device_a, "address", mac_a, "type", "veth", "peer",
            "name", device_b, "address", mac_b, "netns", self.ns(b))
        for name, device in ((a, device_a), (b, device_b)):
            self.ip(name, "link set dev %s up" % device)
        for name, device in ((a, device_a), (b, device_b)):
            self.run(name, "ethtool", "-K", device, "gro", "on")

    def wires(self):
        """The two cables of the lab."""
        self.cable("router", "lan0", LAN_ROUTER_MAC, "lan", "eth0", LAN_HOST_MAC)
        self.cable("router", "wan0", WAN_ROUTER_MAC, "peer", "net0", PEER_MAC)

    def card(self, card, name, device, mac):
        """A network card of the guest becomes a device of a namespace."""
        found = [link["ifname"] for link in json.loads(run("ip", "-j", "link", "show")) if link.get("permaddr", link["address"]) == card]
        check(found, "the guest has no network card %s" % card)
        run("ip", "link", "set", "dev", found[0], "down")
        run("ip", "link", "set", "dev", found[0], "name", device, "netns", self.ns(name))
        self.ip(name, "link set dev %s address %s up" % (device, mac))

    def cards(self):
        """The same two cables, of the guest's network cards."""
        self.card(CARDS[0][0], "router", "lan0", LAN_ROUTER_MAC)
        self.card(CARDS[0][1], "lan", "eth0", LAN_HOST_MAC)
        self.card(CARDS[1][0], "router", "wan0", WAN_ROUTER_MAC)
        self.card(CARDS[1][1], "peer", "net0", PEER_MAC)

    def addresses(self, lan="lan0", wan="wan0"):
        """Of the router, and of the hosts at its cables."""
        self.ip("router", "addr add %s/64 dev %s nodad\naddr add %s/24 dev %s" % (LAN_ROUTER, lan, WAN_ROUTER, wan))

    def hosts(self, lan="eth0", wan="net0"):
        self.ip("lan", "addr add %s/64 dev %s nodad\nroute add default via %s" % (LAN_HOST, lan, LAN_ROUTER))
        self.ip("peer", "addr add %s/24 dev %s\naddr add %s/128 dev lo" % (PEER, wan, INET_HOST))

    # ---- the daemon ----

    def config(self, mode="auto", lan="lan0", wan="wan0", interfaces=None, **more):
        config = {
            "node": {"name": "router"},
            "default_action": "pass",
            "interfaces": {"wan": {"device": wan, "mode": mode}, "lan": {"device": lan, "mode": mode}},
            "tunnels": {
                "he0": {"type": "6in4", "underlay": "wan", "local": WAN_ROUTER, "remote": PEER, "address": TUNNEL_ROUTER + "/64"}
            },
            "gateways": {"he_gw": {"interface": "he0", "address": TUNNEL_PEER, "monitor": False}},
            "routes": [{"destination": "::/0", "gateway": "he_gw"}],
        }
        config["interfaces"].update(interfaces or {})
        config.update(more)
        return config

    def start(self, config):
        """The daemon, in the router; returns when it answers."""
        with open(self.config_file, "w") as f:
            json.dump(config, f)
        with wire.namespace(self.ns("router")), open(self.log_file, "ab") as log:
            self.daemon = subprocess.Popen(
                [self.build + "/fairleadd", "-f", "-c", self.config_file, "--instance", self.instance],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        while True:
            if self.daemon.poll() is not None:
                raise Failure("fairleadd ended with %d: %s" % (self.daemon.returncode, self.log()))
            if os.path.exists("/run/fairlead/%s.sock" % self.instance) and self.cli("status").returncode < 2:
                return
            time.sleep(0.2)

    def log(self):
        with open(self.log_file) as f:
            return f.read()[-2000:]

    def cli(self, *words, seconds=60):
        """The command line program, run."""
        return subprocess.run([self.build + "/fairlead", "--instance", self.instance, *words], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=seconds, text=True, check=False)

    def fl(self, *words):
        """Its JSON."""
        done = self.cli("--json", *words)
        try:
            return json.loads(done.stdout)
        except ValueError:
            raise Failure("fairlead %s: %s%s" % (" ".join(words), done.stdout, done.stderr)) from None

    def apply(self, config):
        with open(self.config_file + ".new", "w") as f:
            json.dump(config, f)
        done = self.cli("apply", self.config_file + ".new")
        check_equal(done.returncode, 0, "the exit status of apply (%s)" % done.stderr.strip())

    def interface(self, name):
        return next(i for i in self.fl("show", "interfaces") if i["name"] == name)

    def drops(self):
        """Reason -> packets, over all interfaces."""
        total = {}
        for row in self.fl("show", "drops"):
            if row["packets"]:
                total[row["reason"]] = total.get(row["reason"], 0) + row["packets"]
        return total

    def unload(self):
        done = self.cli("unload", "--yes")
        check_equal(done.returncode, 0, "the exit status of unload (%s%s)" % (done.stderr.strip(), self.log()))
        check_equal(self.daemon.wait(30), 0, "the daemon's exit status")

    def close(self):
        if self.daemon and self.daemon.poll() is None:
            self.daemon.kill()
            self.daemon.wait()
        for name in self.names:
            run("ip", "netns", "del", self.ns(name), fail=False)
        self.names = []
        run("rm", "-rf", "/sys/fs/bpf/fairlead/" + self.instance, "/var/lib/fairlead/" + self.instance, fail=False)

    # ---- packets ----

    def token(self):
        """Eight bytes that no other packet carries."""
        self.serial += 1
        return b"fl" + self.serial.to_bytes(6, "big")

    def ping(self, name, dst, *options, count=3, fail=True):
        return self.run(name, "ping", "-n", "-q", "-c", str(count), "-i", "0.1", "-W", "10", *options, dst, fail=fail)


class Ends:
    """The far ends of the router's two cables, where frames are put in and caught. lan_vid, wan_vid: the VLANs there."""

    def __init__(self, lab, lan, wan, lan_vid=None, wan_vid=None, inside=LAN_HOST):
        self.lab, self.lan, self.wan, self.lan_vid, self.wan_vid, self.inside = lab, lan, wan, lan_vid, wan_vid, inside

    def out(self, tc=0, hop=64, seconds=10):
        """An echo request from the LAN: what leaves, taken apart and looked at."""
        token = self.lab.token()
        self.wan.flush()
        self.lan.send_to(LAN_ROUTER_MAC, packet.ping6(LAN_HOST, INET_HOST, data=token, hop=hop, tc=tc), vid=self.lan_vid)
        outer = self.wan.expect("the request in the tunnel", lambda p: p.inner is not None and p.inner.data == token, seconds)
        check_sound(outer, "outer")
        check_fields(outer, "outer", src=WAN_ROUTER, dst=PEER, hop=64, tc=tc, df=True, proto=packet.IPV6)
        check_fields(outer, "outer", vlans=[] if self.wan_vid is None else [self.wan_vid])
        if self.wan.link:
            check_fields(outer, "outer", src_mac=WAN_ROUTER_MAC, dst_mac=PEER_MAC)
        check_fields(outer.inner, "inner", src=self.inside, dst=INET_HOST, hop=hop - 1, tc=tc)
        return outer

    def back(self, seconds=10):
        """An echo reply out of the tunnel: what reaches the LAN."""
        token = self.lab.token()
        inner = packet.ip6(INET_HOST, self.inside, packet.ICMP6, packet.icmp6(INET_HOST, self.inside, 129, 0, 1, token))
        self.lan.flush()
        self.wan.send_to(WAN_ROUTER_MAC, packet.ip4(PEER, WAN_ROUTER, packet.IPV6, inner), vid=self.wan_vid)
        p = self.lan.expect("the reply in the LAN", lambda p: p.data == token, seconds)
        check_sound(p, "reply")
        check_fields(p, "reply", src=INET_HOST, dst=LAN_HOST, hop=63, src_mac=LAN_ROUTER_MAC, dst_mac=LAN_HOST_MAC)
        check_fields(p, "reply", vlans=[] if self.lan_vid is None else [self.lan_vid])
        return p

    def round_trip(self):
        self.out()
        self.back()


def transfer(lab, client, server, address, size, reverse=False, seconds=60, source=None):
    """TCP between two namespaces, compared by SHA-256 (../net/transfer.py, in this process)."""
    import contextlib
    import io

    import transfer as program

    said = io.StringIO()
    words = ["tcp", lab.ns(client), lab.ns(server), address, str(size), "--seconds", str(seconds)]
    words += (["--source", source] if source else []) + (["--reverse"] if reverse else [])
    with contextlib.redirect_stdout(said):
        status = program.tcp(program.arguments(words))
    check_equal(status, 0, "the transfer's status (%s)" % said.getvalue().strip())
    return said.getvalue()


def main(tests, args):
    """As wire.main(), but nothing is tried where the first test, which starts it all, has failed."""
    try:
        wire.main(tests[:1], args.prefix)
    except SystemExit as first:
        if first.code:
            raise
    wire.main(tests[1:], args.prefix)


def tests_of(names):
    """The test functions among a module's globals(), in their order."""
    return [value for name, value in list(names.items()) if name.startswith("test_")]
