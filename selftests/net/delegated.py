#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""delegated.sh's packets: router advertisements (RFC 4861 4.2) from the far end of the wan, and a flow from the LAN meanwhile.
--mode restarted: another daemon has taken over.
"""

import struct
import time

import packet
from lab import *
from wire import Failure, check, check_equal, check_fields, check_sound, main

lab = Lab()
ADVERTISER = packet.link_local(WAN_NEXT_MAC)  # net0's own: it answers for it
FIRST, SECOND, THIRD, FOURTH, FIFTH = ("2001:db8:%s::/64" % name for name in ("a0", "b0", "c0", "d0", "e0"))
WITHIN = 1.0  # seconds from the advertisement to the wire
EVERY = 0.01  # seconds from packet to packet of the flow
LIFETIMES = (3600, 1800)  # valid, preferred
OVER = (0, 0)


def advertise(*prefixes):
    """prefixes: (prefix, (valid, preferred)), for autoconfiguration and on the link."""
    lab.wan.send(packet.eth("33:33:00:00:00:01", WAN_NEXT_MAC, packet.router_advert(WAN_NEXT_MAC, prefixes)))
    return time.monotonic()


class Flow:
    """Sends a packet every EVERY seconds and notes under which source each has left, and when."""

    def __init__(self):
        self.sent, self.left, self.errors, self.began = 0, [], [], time.monotonic()
        self.name = lab.token()
        lab.flush()

    def run(self, seconds, done=lambda: False):
        end = time.monotonic() + seconds
        while time.monotonic() < end and not done():
            lab.from_lan(packet.udp6(LAN_HOST, INET_HOST, data=self.name + struct.pack("!I", self.sent)))
            self.sent += 1
            self.look(EVERY)
        return self

    def look(self, seconds):
        until = time.monotonic() + seconds
        while True:
            p = lab.wan.read(max(0, until - time.monotonic()))
            if p is None:
                break
            if p.version == 6 and p.proto == packet.UDP and p.data.startswith(self.name):
                check_sound(p)
                check_fields(p, "in the flow", dst=INET_HOST, hop=63)
                self.left.append((time.monotonic(), p.src, struct.unpack("!I", p.data[len(self.name):])[0]))
        while True:
            p = lab.lan.read(0)
            if p is None:
                break
            if p.type == 1 and p.quoted is not None and self.name in p.raw:
                check_sound(p)
                check_fields(p, "Destination Unreachable", src=LAN_ROUTER, dst=LAN_HOST)
                check_equal(p.quoted.src, LAN_HOST, "the quoted source")
                self.errors.append(p)

    def sources(self, since=0):
        return {src for when, src, _ in self.left if when >= since}

    def first(self, source):
        return next((when for when, src, _ in self.left if src == source), None)


def outward(prefix):
    return Translation(INTERNAL, prefix).outward(LAN_HOST)


def external():
    return lab.fl("show", "translations")[0]["external"]


def carried_as(prefix):
    """The flow goes under that prefix and no other."""
    flow = Flow().run(0.5)
    flow.look(0.2)
    check_equal(flow.sources(), {outward(prefix)}, "the sources of a flow")
    check(len(flow.left) == flow.sent, "%d of %d packets left" % (len(flow.left), flow.sent))
    token = lab.token()
    lab.from_wan(packet.udp6(INET_HOST, outward(prefix), data=token))
    p = lab.lan.expect("a packet from outside", lambda p: p.data == token)
    check_sound(p)
    check_fields(p, src=INET_HOST, dst=LAN_HOST, hop=63)
    check_equal(external(), prefix, "the external prefix that is shown")


def exchanged(old, new, *prefixes):
    """A flow runs under the old prefix; prefixes are advertised; the new one takes its place, and the old one is not seen again."""
    flow = Flow().run(0.5)
    check_equal(flow.sources(), {outward(old)}, "the sources before")
    begin = advertise(*prefixes)
    flow.run(4, lambda: flow.first(outward(new)) is not None)
    when = flow.first(outward(new))
    check(when is not None, "the new prefix is not on the wire; sources: %s, errors: %d" % (flow.sources(), len(flow.errors)))
    flow.run(1)
    flow.look(0.2)
    check_equal(flow.sources(when), {outward(new)}, "the sources after the first packet of the new prefix")
    check(flow.sources() <= {outward(old), outward(new)}, "other sources: %s" % flow.sources())
    check(when - begin < WITHIN, "the new prefix was on the wire after %.2f s" % (when - begin))
    carried_as(new)
    token = lab.token()
    lab.from_wan(packet.udp6(INET_HOST, outward(old), data=token))
    lab.lan.quiet(lambda p: p.version == 6 and token in p.raw)


def lost(old, act, within, seconds=4):
    """A flow runs under the old prefix; something happens; within so many seconds nothing leaves any more, and the sender hears."""
    flow = Flow().run(0.5)
    check_equal(flow.sources(), {outward(old)}, "the sources before")
    before, begin = lab.drops(), time.monotonic()
    act()
    flow.run(seconds)
    flow.look(0.2)
    check(flow.sources() <= {outward(old)}, "sources: %s" % flow.sources())
    late = [when for when, _, _ in flow.left if when > begin + within]
    check(not late, "%d packets left later than %.1f s, the last after %.2f s" % (len(late), within, (late or [0])[-1] - begin))
    check(flow.errors, "no answer")
    check_fields(flow.errors[-1], "Destination Unreachable", type=1)
    moved = {k: v - before.get(k, 0) for k, v in lab.drops().items() if v != before.get(k, 0)}
    check_equal(sum(moved.values()), flow.sent - len(flow.left), "drops (%s) for packets that did not leave" % moved)
    check_equal(list(moved), ["npt-untranslatable"], "the reasons of the drops")


def test_none_yet():
    """Before the first advertisement: nothing leaves, and the sender hears of it."""
    lab.run("router", "ip", "-6", "route", "replace", "default", "via", ADVERTISER, "dev", "wan0", "metric", "9")
    flow = Flow().run(1)
    check_equal(flow.sources(), set(), "the sources")
    check(flow.errors, "no answer")
    lab.run("router", "ip", "-6", "route", "del", "default", "metric", "9")


def given(prefix):
    """The only one, after a time without any."""
    begin = advertise((prefix, LIFETIMES))
    flow = Flow()
    flow.run(4, lambda: flow.left)
    check(flow.left, "nothing leaves")
    check(flow.left[0][0] - begin < WITHIN, "the prefix was on the wire after %.2f s" % (flow.left[0][0] - begin))
    carried_as(prefix)


def test_the_first():
    given(FIRST)


def test_exchanged_in_one_advertisement():
    exchanged(FIRST, SECOND, (FIRST, OVER), (SECOND, LIFETIMES))


def test_a_second_one_beside():
    """Two are preferred: the older one stays, whatever else comes and goes."""
    advertise((SECOND, LIFETIMES), (THIRD, LIFETIMES))
    time.sleep(2.5)
    carried_as(SECOND)
    for device in ("lan0", "wan0"):
        lab.run("router", "ip", "addr", "add", "192.0.2.99/32", "dev", device)
        lab.run("router", "ip", "addr", "add", "2001:db8:aa::9/128", "dev", device, "nodad")
        lab.run("router", "ip", "addr", "del", "192.0.2.99/32", "dev", device)
        lab.run("router", "ip", "addr", "del", "2001:db8:aa::9/128", "dev", device)
        carried_as(SECOND)
    lab.run("router", "ip", "addr", "del", "192.0.2.1/24", "dev", "lan0")
    carried_as(SECOND)
    advertise((SECOND, LIFETIMES), (THIRD, (7200, 7200)))
    carried_as(SECOND)


def test_the_older_one_ends():
    exchanged(SECOND, THIRD, (SECOND, OVER))


def test_lost():
    """Deprecated: its addresses serve no new flow (RFC 4862 5.5.4), and no other prefix is there."""
    lost(THIRD, lambda: advertise((THIRD, OVER)), WITHIN)
    row = lab.fl("show", "translations")[0]
    check_equal(row["external"], None, "the external prefix that is shown")
    check("no global IPv6 address" in row["reason"], "the reason that is shown: " + row["reason"])
    check(row["untranslatable"] > 0, "nothing is counted as untranslatable: %s" % row)


def test_given_anew():
    given(THIRD)


def test_address_deleted():
    address = next(a["local"] for link in json.loads(ip_json("addr", "show", "dev", "wan0")) for a in link.get("addr_info", [])
                   if a["local"].startswith("2001:db8:c0:"))
    lost(THIRD, lambda: lab.run("router", "ip", "addr", "del", address + "/64", "dev", "wan0"), WITHIN)


def ip_json(*words):
    return subprocess.run(["ip", "-j", "-n", lab.ns("router"), *words], stdout=subprocess.PIPE, check=True, timeout=20).stdout


def test_two_again():
    advertise((THIRD, LIFETIMES))
    time.sleep(0.5)
    advertise((THIRD, LIFETIMES), (FOURTH, LIFETIMES))
    time.sleep(2.5)
    carried_as(THIRD)


def restarted_takes_the_older_too():
    """Of two that are preferred: the kernel names the younger one first."""
    carried_as(THIRD)


def restarted_and_lost():
    lost(THIRD, lambda: advertise((THIRD, OVER), (FOURTH, OVER)), WITHIN)


def restarted_and_expires_by_itself():
    """Nobody says it is over: after two seconds it is not preferred any more."""
    begin = advertise((FIFTH, (4, 2)))
    flow = Flow()
    flow.run(3, lambda: flow.left)
    check(flow.left and flow.sources() == {outward(FIFTH)}, "sources: %s" % flow.sources())
    lost(FIFTH, lambda: None, begin + 3.2 - time.monotonic() - 0.5)


if __name__ == "__main__":
    if lab.mode == "restarted":
        main([restarted_takes_the_older_too, restarted_and_lost, restarted_and_expires_by_itself], lab.prefix)
    main(tests_of(globals()), lab.prefix)
