#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""npt_peer.sh's packets: the same ones through the kernel's ip6tables and through fairlead must come out the same.

npt_peer.py --write FOLDER MODE                  writes the first configuration of the one and the first rules of the other
npt_peer.py --lab PREFIX --folder F --mode MODE  sends and compares, round by round

Both routers have a port towards the inside and one towards the outside. Which rule of ip6tables a packet meets is told by its
outside partner: each pair has its own.
"""

import argparse
import ipaddress
import json
import random
import sys

import packet
from lab import Lab
from rfc6296 import Translation
from wire import Failure, Port, check, check_equal, main

PAIRS = 1000
INSIDE_MAC, OUTSIDE_MAC = "02:00:00:00:0a:01", "02:00:00:00:0b:01"  # the routers' ports
PARTNERS = "2001:db8:f::/64"
rng = random.Random(6296)


def special(address):
    """Addresses that no router forwards, or that this lab needs itself."""
    a = ipaddress.IPv6Address(address)
    return (a.is_multicast or a.is_link_local or a.is_loopback or a.is_unspecified or int(a) >> 32 == 0 or a.ipv4_mapped is not None
            or a in ipaddress.IPv6Network("fec0::/10") or int(a) >> 112 == 0x2001 or int(a) >> 113 == 0)


class Pair:
    def __init__(self, internal, external):
        self.internal, self.external = internal, external
        self.translation = Translation(internal, external)
        self.partner = None


def random_prefix(length):
    while True:
        network = ipaddress.IPv6Network((rng.getrandbits(length) << 128 - length, length))
        if length < 12 or not special(network[1]):
            return network


def make_rounds():
    """Lists of pairs whose prefixes do not overlap: one pair of every short length by itself, the rest together. Every length
    from 1 to 64 on both sides, equal and unequal.
    """
    rounds = [[Pair(random_prefix(length), random_prefix(length))] for length in range(1, 12)]
    rounds += [[Pair(random_prefix(length), random_prefix(rng.randint(1, 64)))] for length in range(1, 12)]
    many = []
    while sum(map(len, rounds)) + len(many) < PAIRS:
        i = len(many)
        length = 12 + i % 53
        pair = Pair(random_prefix(length), random_prefix(length if i < 500 else rng.randint(12, 64)))
        if not any(pair.internal.overlaps(p.internal) or pair.external.overlaps(p.external) for p in many):
            many.append(pair)
    rounds.append(many)
    for i, pair in enumerate(pair for pairs in rounds for pair in pairs):
        pair.partner = str(ipaddress.IPv6Network(PARTNERS)[0x1000 + i])
    return rounds


ROUNDS = make_rounds()


def pick(pair, inward):
    """A random address of the pair that has a translation and that the lab does not need itself; None if none turned up."""
    base = pair.external if inward else pair.internal
    for _ in range(50):  # the shorter prefix is extended by zeros
        address = str(ipaddress.IPv6Address(int(base.network_address) | rng.getrandbits(128 - pair.translation.length)))
        translated = pair.translation.inward(address) if inward else pair.translation.outward(address)
        if translated is not None and not special(address) and not special(translated):
            return address
    return None


def write(folder, mode, pairs):
    config = {
        "node": {"name": "peer"},
        "default_action": "pass",
        "interfaces": {
            "inside": {"device": "in0", "mode": mode, "antispoof": False},
            "outside": {"device": "out0", "mode": mode, "antispoof": False},
        },
        "prefix_translations": [
            {"interface": "outside", "internal": str(p.internal), "external": str(p.external)} for p in pairs
        ],
    }
    with open(folder + "/fairlead.json", "w") as out:
        json.dump(config, out)
    with open(folder + "/rules", "w") as out:
        out.write("*mangle\n")
        for p in pairs:
            out.write("-A POSTROUTING -o out0 -s %s -d %s -j SNPT --src-pfx %s --dst-pfx %s\n" % (p.internal, p.partner, p.internal, p.external))
            out.write("-A PREROUTING -i out0 -s %s -d %s -j DNPT --src-pfx %s --dst-pfx %s\n" % (p.partner, p.external, p.external, p.internal))
        out.write("COMMIT\n")


if len(sys.argv) == 4 and sys.argv[1] == "--write":
    write(sys.argv[2], sys.argv[3], ROUNDS[0])
    sys.exit(0)


class NptLab(Lab):
    """Two routers with the same cables; Lab's own ports are not there."""

    def __init__(self):  # pylint: disable=super-init-not-called
        parser = argparse.ArgumentParser()
        parser.add_argument("--prefix", default="")
        parser.add_argument("--lab", required=True)
        parser.add_argument("--folder", required=True)
        parser.add_argument("--mode", required=True)
        self.args = parser.parse_args()
        self.prefix, self.serial = self.args.prefix, 0
        self.inside = {who: Port(self.ns("hosts"), "in-" + who) for who in ("kernel", "fairlead")}
        self.outside = {who: Port(self.ns("hosts"), "out-" + who) for who in ("kernel", "fairlead")}


lab = NptLab()


def through(who, inward, datagram, token):
    """The IP packet that comes out at the other side."""
    enter, leave = (lab.outside, lab.inside) if inward else (lab.inside, lab.outside)
    enter[who].send(packet.eth(OUTSIDE_MAC if inward else INSIDE_MAC, "02:00:00:00:0c:01", datagram))
    try:
        return leave[who].expect("through " + who, lambda p: token in p.raw, timeout=2)
    except Failure as why:
        raise Failure("%s; it was sent: %s" % (why, packet.parse(datagram, link=False))) from None


def compare(pair, inward):
    address = pick(pair, inward)
    if address is None:
        return False
    token = lab.token()
    make = rng.choice((packet.udp6, packet.tcp6, lambda src, dst, data, hop: packet.ping6(src, dst, data=data, hop=hop)))
    src, dst = (pair.partner, address) if inward else (address, pair.partner)
    datagram = make(src, dst, data=token, hop=33)
    theirs, ours = through("kernel", inward, datagram, token), through("fairlead", inward, datagram, token)
    what = "%s and %s, %s" % (pair.internal, pair.external, address)
    check_equal(ours.raw[14:], theirs.raw[14:], "%s: the packet (ours %s, the kernel's %s)" % (what, ours, theirs))
    want = pair.translation.inward(address) if inward else pair.translation.outward(address)
    check_equal(ours.dst if inward else ours.src, want, what + ": the address")
    return True


def test_same_packets():
    compared = {False: 0, True: 0}
    lengths = set()
    for pairs in ROUNDS:
        write(lab.args.folder, lab.args.mode, pairs)
        lab.run("kernel", "ip6tables-restore", lab.args.folder + "/rules")
        lab.fl("apply", lab.args.folder + "/fairlead.json", instance="router")
        check_equal(len(lab.fl("show", "translations", instance="router")), len(pairs), "translations after apply")
        for pair in pairs:
            for inward in (False, True):
                if compare(pair, inward):
                    compared[inward] += 1
                    lengths |= {pair.internal.prefixlen, pair.external.prefixlen}
    print("# compared: %d pairs outward, %d inward; prefix lengths %s" % (compared[False], compared[True], sorted(lengths)))
    check(min(compared.values()) > PAIRS * 0.95, "only %s pairs could be compared" % compared)
    check_equal(sorted(set(range(1, 65)) - lengths), [], "lengths that were not compared")


if __name__ == "__main__":
    main([test_same_packets], lab.prefix)
