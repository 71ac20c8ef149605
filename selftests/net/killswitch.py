#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""killswitch.sh's hosts and its eye on the providers' links.

Protected hosts of the LAN and a host of the DMZ, which is not, send all the time and without looking at what becomes of it. Every packet
that reaches a provider is looked at: what is neither the tunnel's, nor a probe, nor the DMZ's, nor a question for a neighbour is a leak.
Counters go to a file, "NAME NUMBER" a line, ten times a second; leaks to another one.
"""

import argparse
import itertools
import os
import select
import socket
import time

import packet
from wire import Port, namespace

HOST4, HOST6, DMZ_HOST = "10.0.1.51", "2001:db8:aa::51", "10.0.2.50"
INET4, INET6, VPN_SERVER = "198.51.100.99", "2001:db8:f::99", "198.51.100.10"
TARGETS = {"wan": "198.51.100.1", "lte": "198.51.100.2"}
ROUTER = {"wan": "203.0.113.2", "lte": "198.18.5.2"}
LAN_ROUTER_MAC, DMZ_ROUTER_MAC = "02:00:00:00:01:01", "02:00:00:00:02:01"
VPN_PORT, DMZ_PORT, ECHO, DNS, HTTP = 1194, 9999, 7, 53, 80
SECRET, OPEN = b"for nobody else's eyes", b"anybody may see this"
AGAIN, PARTS, HALF = SECRET + b" again", SECRET * 20, 256
KINDS = {SECRET: "udp", AGAIN: "flow", PARTS: "parts"}
NEIGHBOURS = (133, 134, 135, 136, 137, 143)  # of ICMPv6
GAP = 0.004  # seconds between two packets of the protected hosts


def dns_query(ident):
    """For the address of secret.example."""
    return ident.to_bytes(2, "big") + b"\1\0\0\1\0\0\0\0\0\0" + b"\x06secret\x07example\0" + b"\0\1\0\1"


def in_parts4(n):
    """A datagram in two fragments."""
    data = packet.udp(HOST4, INET4, n, ECHO, PARTS)
    return [
        packet.ip4(HOST4, INET4, packet.UDP, data[:HALF], ident=n, mf=True),
        packet.ip4(HOST4, INET4, packet.UDP, data[HALF:], ident=n, offset=HALF),
    ]


def in_parts6(n):
    data = packet.udp(HOST6, INET6, n, ECHO, PARTS)
    return [
        packet.fragment6(HOST6, INET6, packet.UDP, data[:HALF], 0, True, n),
        packet.fragment6(HOST6, INET6, packet.UDP, data[HALF:], HALF, False, n),
    ]


class Eye:
    """What comes from the router on one provider's link."""

    def __init__(self, lab, name, counts, leaks):
        self.port = Port(lab + "-" + name, "net0")
        self.name, self.counts, self.leaks = name, counts, leaks

    def kind(self, p):
        """What a packet is, None: a leak."""
        if SECRET in p.raw or b"secret" in p.raw:
            return None
        if not p.version:
            return "neighbours"
        if p.proto == packet.ICMP6 and p.type in NEIGHBOURS:
            return "neighbours"
        if p.proto == packet.ICMP and p.type == 3 and p.dst == VPN_SERVER and p.src in ROUTER.values():
            return "refused"  # no tunnel there any more, says the router's kernel, and follows the default route
        if p.src != ROUTER[self.name]:
            return None
        if p.proto == packet.UDP and (p.dst, p.dport) == (VPN_SERVER, VPN_PORT):
            return "tunnel"
        if p.proto == packet.UDP and p.dport == DMZ_PORT and OPEN in p.raw:
            return "open"
        if p.proto == packet.ICMP and p.type == 8 and p.dst == TARGETS[self.name]:
            return "probes"
        return None

    def look(self):
        p = self.port.read(0)
        if p is None:
            return
        kind = self.kind(p)
        if kind:
            self.counts[self.name + "-" + kind] = self.counts.get(self.name + "-" + kind, 0) + 1
            return
        self.counts["leaks"] += 1
        self.leaks.write("%.3f %s: %s %s\n" % (time.time(), self.name, p, p.raw[:80].hex()))
        self.leaks.flush()


class Server:
    """Answers to what reaches the internet, by whichever way."""

    def __init__(self, ns):
        self.udp, self.tcp = [], []
        with namespace(ns):
            for family, address in ((socket.AF_INET, INET4), (socket.AF_INET6, INET6)):
                for port in (ECHO, DNS, DMZ_PORT):
                    sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
                    sock.bind((address, port))
                    self.udp.append(sock)
                sock = socket.socket(family, socket.SOCK_STREAM)
                sock.bind((address, HTTP))
                sock.listen(1024)
                self.tcp.append(sock)

    def answer(self, sock):
        try:
            if sock in self.tcp:
                sock.accept()[0].close()
            else:
                data, sender = sock.recvfrom(2048)
                sock.sendto(data, sender)
        except OSError:
            pass


class Hosts:
    """Those who may not be seen outside: nothing of theirs waits for anything."""

    def __init__(self, lab, counts):
        self.port, self.counts = Port(lab + "-lan", "eth0"), counts
        self.mine = {HOST4, HOST6}
        self.source = itertools.cycle(range(20000, 60000))
        self.turn = itertools.cycle(
            [
                ("udp4", lambda n: packet.udp4(HOST4, INET4, n, ECHO, SECRET)),
                ("flow4", lambda n: packet.udp4(HOST4, INET4, 10001, ECHO, AGAIN)),
                ("parts4", in_parts4),
                ("tcp4", lambda n: packet.ip4(HOST4, INET4, packet.TCP, packet.tcp(HOST4, INET4, n, HTTP))),
                ("ping4", lambda n: packet.ip4(HOST4, INET4, packet.ICMP, packet.icmp4(8, rest=n << 16 | 1, data=SECRET))),
                ("dns4", lambda n: packet.udp4(HOST4, INET4, n, DNS, dns_query(n))),
                ("udp6", lambda n: packet.udp6(HOST6, INET6, n, ECHO, SECRET)),
                ("flow6", lambda n: packet.udp6(HOST6, INET6, 10001, ECHO, AGAIN)),
                ("parts6", in_parts6),
                ("tcp6", lambda n: packet.tcp6(HOST6, INET6, n, HTTP)),
                ("ping6", lambda n: packet.ping6(HOST6, INET6, n, 1, SECRET)),
                ("dns6", lambda n: packet.udp6(HOST6, INET6, n, DNS, dns_query(n))),
            ]
        )
        for name in ("udp", "flow", "parts", "tcp", "ping", "dns"):
            counts["sent-%s4" % name] = counts["sent-%s6" % name] = 0
            counts["answered-%s4" % name] = counts["answered-%s6" % name] = 0

    def send(self):
        name, make = next(self.turn)
        packets = make(next(self.source))
        for datagram in packets if isinstance(packets, list) else [packets]:
            self.port.send_to(LAN_ROUTER_MAC, datagram)
        self.counts["sent-" + name] += 1

    def look(self):
        p = self.port.read(0)
        if p is None or p.dst not in self.mine or p.src not in (INET4, INET6):
            return
        name = None
        if p.proto == packet.UDP:
            name = "dns" if p.sport == DNS else KINDS.get(p.data)
        elif p.proto == packet.TCP:
            name = "tcp" if p.flags & packet.SYN else None
        elif p.type in (0, 129):
            name = "ping"
        if name:
            self.counts["answered-%s%d" % (name, p.version)] += 1


class Dmz:
    """The host that may go out in clear text: where it is seen, a leak would be."""

    def __init__(self, lab, counts):
        self.port, self.counts = Port(lab + "-dmz", "eth0"), counts
        self.source = itertools.cycle(range(20000, 60000))
        counts["answered-open"] = 0

    def send(self):
        self.port.send_to(DMZ_ROUTER_MAC, packet.udp4(DMZ_HOST, INET4, next(self.source), DMZ_PORT, OPEN))

    def look(self):
        p = self.port.read(0)
        if p is not None and p.dst == DMZ_HOST and p.sport == DMZ_PORT:
            self.counts["answered-open"] += 1


def write(path, counts):
    with open(path + ".new", "w", encoding="ascii") as file:
        file.writelines("%s %d\n" % item for item in counts.items())
    os.replace(path + ".new", path)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--lab", required=True, help="what the namespaces' names begin with")
    parser.add_argument("--counts", required=True)
    parser.add_argument("--leaks", required=True)
    args = parser.parse_args()
    counts = {"leaks": 0, "wan-open": 0, "lte-open": 0, "wan-tunnel": 0, "wan-probes": 0, "lte-probes": 0}
    with open(args.leaks, "w", encoding="ascii") as leaks:
        eyes = [Eye(args.lab, name, counts, leaks) for name in ("wan", "lte")]
        server, hosts, dmz = Server(args.lab + "-vps"), Hosts(args.lab, counts), Dmz(args.lab, counts)
        readers = {x.port.sock: x.look for x in (*eyes, hosts, dmz)}
        readers.update({s: (lambda s=s: server.answer(s)) for s in server.udp + server.tcp})
        due = [[time.monotonic(), GAP, hosts.send], [time.monotonic(), 0.03, dmz.send], [time.monotonic(), 0.1, lambda: write(args.counts, counts)]]
        while True:
            now = time.monotonic()
            for task in due:
                if task[0] <= now:
                    task[0] = now + task[1]
                    task[2]()
            for sock in select.select(list(readers), [], [], max(min(t[0] for t in due) - time.monotonic(), 0))[0]:
                readers[sock]()


main()
