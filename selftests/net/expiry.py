#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""expiry.sh's packets. --mode daemon: the router's daemon lives; --mode alone: it was killed, and the programs go on.

A path MTU is learned from the wire, then its end is written into fl_ep_path: ten minutes are too long for a test.
"""

import struct
import subprocess
import time

import packet
import state
from lab import *
from wire import Failure, check, check_equal, check_fields, check_sound, main

lab = Lab()
INSTANCE = lab.ns("router")  # the daemon's is called as the namespace is
ALONE = lab.mode == "alone"
MTU, LEARNED = 1480, 1380
PATH = struct.Struct("=II")  # struct fl_endpoint_path


def now_s():
    return int(time.clock_gettime(time.CLOCK_MONOTONIC))


def endpoint():
    """The number of the tunnel's endpoint, in the set that is in force."""
    active = state.element(INSTANCE, "fl_control", 0)["gen"] & 1  # FL_GEN_SET()
    remotes = [value & 0xFFFF for key, value in state.dump(INSTANCE, "fl_ep_in") if key["set"] == active and key["remote"]]
    check_equal(len(remotes), 1, "the endpoints")
    return remotes[0]


def bpftool(verb, *more):
    key = [str(b) for b in struct.pack("=I", endpoint())]
    command = ["bpftool", "-j", "map", verb, "pinned", state.PINS + INSTANCE + "/fl_ep_path", "key", *key, *more]
    return subprocess.run(command, check=True, timeout=20, stdout=subprocess.PIPE).stdout


def path():
    """mtu, expires_s of the endpoint's entry."""
    return PATH.unpack(bytes(int(b, 16) for b in json.loads(bpftool("lookup"))["value"]))


def expire_at(second):
    bpftool("update", "value", *[str(b) for b in PATH.pack(LEARNED, second)])


def big_udp(size, token):
    return packet.udp6(LAN_HOST, INET_HOST, data=token + bytes(size - 48 - len(token)))


def carried(size):
    """Sends a packet of that flow. True: it left, whole and alone; a number: a Packet Too Big said that MTU."""
    token = lab.token()
    lab.flush()
    lab.from_lan(big_udp(size, token))
    outside = lab.fence_out()
    outer = [p for p in outside if p.inner is not None and token in p.inner.l4]
    errors = []
    if not outer:
        errors = [lab.lan.expect("an answer to %d bytes" % size, lambda p: p.type == 2 and p.quoted is not None)]
        check_sound(errors[0])
        check_fields(errors[0], "Packet Too Big", src=LAN_ROUTER, dst=LAN_HOST)
        return errors[0].rest
    check_equal(len(outer), 1, "packets that left for one")
    check_sound(outer[0])
    check_fields(outer[0], "outer", src=WAN_ROUTER, dst=BROKER, df=True, length=size + 20)
    return True


def learn():
    """From a router on the path, about an outer of ours (RFC 1191)."""
    quoted = packet.ip4(WAN_ROUTER, BROKER, packet.IPV6, packet.udp6(LAN_OUTSIDE, INET_HOST, data=bytes(1400)), df=True, ttl=63)
    lab.from_wan(packet.ip4("203.0.113.1", WAN_ROUTER, packet.ICMP, packet.icmp4(3, 4, LEARNED + 20, quoted[:68])))
    lab.fence_in()


def shown():
    return None if ALONE else lab.tunnel()["mtu"]


def forgotten():
    return None if ALONE else MTU


def test_learned_for_ten_minutes():
    check_equal(carried(MTU), True, "1480 bytes before")
    begin = now_s()
    learn()
    mtu, end = path()
    check_equal(mtu, LEARNED, "the MTU in the map")
    check(begin + 599 <= end <= now_s() + 601, "it is remembered until %d, and now is %d" % (end, begin))
    check_equal([carried(LEARNED), carried(LEARNED + 1), carried(MTU)], [True, LEARNED, LEARNED], "1380, 1381 and 1480 bytes")
    check_equal(shown(), None if ALONE else LEARNED, "the MTU that is shown")


def test_heard_until_its_end():
    """The same flow, which the programs hold in their cache, all the time: too big until the end, and soon after it whole."""
    end = now_s() + 4
    expire_at(end)
    while now_s() < end - 1:
        check_equal([carried(LEARNED), carried(MTU)], [True, LEARNED], "1380 and 1480 bytes, %d s before the end" % (end - now_s()))
        check_equal(shown(), None if ALONE else LEARNED, "the MTU that is shown")
        time.sleep(0.2)
    while carried(MTU) is not True:
        check(time.clock_gettime(time.CLOCK_MONOTONIC) < end + 2.5, "1480 bytes are too big %d s after the end" % (now_s() - end))
        time.sleep(0.1)
    check_equal(carried(MTU + 1), MTU, "1481 bytes")
    check_equal(shown(), forgotten(), "the MTU that is shown")


def test_the_daemon_tidies_up():
    if ALONE:
        check_equal(path()[0], LEARNED, "what nobody has taken away")
        return
    until = time.monotonic() + 3
    while path() != (0, 0):
        check(time.monotonic() < until, "still in the map: %s" % (path(),))
        time.sleep(0.1)


def test_learned_anew():
    """An entry that is over does not stand in the way of the next message, with the same MTU or another."""
    learn()
    mtu, end = path()
    check_equal(mtu, LEARNED, "the MTU in the map")
    check(end > now_s() + 590, "it is remembered until %d, and now is %d" % (end, now_s()))
    check_equal([carried(LEARNED), carried(MTU)], [True, LEARNED], "1380 and 1480 bytes")


def test_over_long_ago():
    """As a daemon finds it that comes an hour later."""
    expire_at(now_s() - 3600 if now_s() > 3600 else 1)
    until = time.monotonic() + 2.5
    while carried(MTU) is not True:
        check(time.monotonic() < until, "1480 bytes are too big")
        time.sleep(0.1)
    check_equal(shown(), forgotten(), "the MTU that is shown")
    test_the_daemon_tidies_up()  # the end was written by hand: until the daemon sees it, another processor may hold the flow as it was


if __name__ == "__main__":
    main(tests_of(globals()), lab.prefix)
