#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""What configs/S5-pri01.json and S5-sec01.json stand for: whatever happens to one node, traffic goes on by the other.

--how native|tc: of all interfaces. The shared addresses get fast_ms for the tests' time; one test leaves the files as they are.
"""

import contextlib
import os
import socket
import time

from pairlab import *
from wire import Failure, check_fields, check_sound, main

CABLES = {"wan": "eth0", "lan": "eth1", "dmz": "eth2", "sync": "eth3"}
FAST_MS = 50
INTERVAL = FAST_MS * (1 + 100 / 256) / 1000  # of the worse one's adverts, s
UNPLANNED = 0.5  # s; 3 * FAST_MS + skew, and what a busy machine takes

lab = PairLab(("S5-pri01.json", "S5-sec01.json"), CABLES,
              streams=[("lan", "dmz", "10.0.2.50"), ("dmz", "isp", "198.51.100.1")],
              shared=[("lan", "lan", "10.0.1.50", "10.0.1.1"), ("wan", "isp", "203.0.113.254", "203.0.113.1")],
              interval=INTERVAL)
a, b = lab.nodes
traffic = lab.traffic


def adapt(config, fast=True):
    for name, interface in config["interfaces"].items():
        if name in CABLES:
            interface["mode"] = lab.how
    for vip in config["vips"].values():
        vip.pop("fast_ms", None)
        if fast:
            vip["fast_ms"] = FAST_MS
    config.pop("hooks", None)
    config.pop("checks", None)


def test_start():
    lab.start(adapt)
    with traffic("nothing happens", 0.1, 0):
        time.sleep(0.5)


def test_power_loss_of_the_primary():
    with traffic("power loss", UNPLANNED) as t:
        a.power(False)
        t.flow()
        check(b.has("master"), "roles: %s" % b.roles())
        a.power(True)
        lab.settled()
        time.sleep(0.3)


def test_kill_of_the_primarys_daemon():
    with traffic("kill -9", UNPLANNED) as t:
        a.end()
        until(lambda: b.has("master"), True, "whether the other has taken over")
        t.flow()
        a.start()
        lab.settled()


def cable(segment):
    with traffic("%s cable" % segment, UNPLANNED) as t:
        a.cable(segment, "down")
        lab.settled(b) if segment != "sync" else None
        t.flow()
        a.cable(segment, "up")
        lab.settled()


def test_lan_cable():
    cable("lan")


def test_wan_cable():
    cable("wan")


def test_sync_cable():
    """Nobody takes over, and what began meanwhile is known to both afterwards."""
    with traffic("sync cable", 0.1, 0) as t:
        a.cable("sync", "down")
        until(lambda: [node.ask("show", "sync")[0]["connected"] for node in lab.nodes], [False, False], "whether they are connected", 10)
        check((a.has("master"), b.has("backup")) == (True, True), "roles: %s %s" % (a.roles(), b.roles()))
        check(any("sync" in r for r in b.status()["reasons"]), "status does not say so: %s" % b.status()["reasons"])
        later = Transfer(lab, "lan", "dmz", "10.0.2.50", 7000)
        later.moves()
        a.cable("sync", "up")
        lab.settled()
        until(lambda: len(lab.states("b", "--port", "7000")), 1, "the connection that began meanwhile, at the standby", 5)
        t.flow()
        later.finish()


def test_disabled_by_hand():
    with traffic("disabled by hand", UNPLANNED) as t:
        a.fl("vip", "disable")
        until(lambda: (a.has("disabled"), b.has("master")), (True, True), "whether it is disabled and the other is master")
        t.flow()
        a.fl("vip", "enable")
        lab.settled()


def test_maintenance():
    with traffic("maintenance", 0.1) as t:
        a.fl("vip", "maintenance", "on")
        lab.settled(b)
        t.flow()
        a.fl("vip", "maintenance", "off")
        lab.settled()


def test_maintenance_and_the_other_dies():
    with traffic("maintenance, then the other dies", UNPLANNED) as t:
        a.fl("vip", "maintenance", "on")
        lab.settled(b)
        b.power(False)
        until(lambda: a.has("master"), True, "whether the one in maintenance has them again")
        t.flow()
        b.power(True)
        lab.settled(b)
        a.fl("vip", "maintenance", "off")
        lab.settled()


def test_both_boot_together():
    for node in lab.nodes:
        node.power(False)
    for node in lab.nodes:
        node.power(True)
    lab.settled(timeout=60)
    with traffic("after both have booted", 0.1, 0):
        time.sleep(0.3)


def test_partition_that_heals():
    """All is cut, on all segments: both have the addresses; afterwards one has, and the other says what has been."""
    with traffic("partition that heals", UNPLANNED) as t:
        for segment in ("lan", "wan", "dmz", "sync"):
            a.silent(segment, True)
        until(lambda: (a.has("master"), b.has("master")), (True, True), "whether both have the addresses")
        t.flow()
        t.mark()
        for segment in ("sync", "lan", "wan", "dmz"):
            a.silent(segment, False)
        lab.settled()
    for node in lab.nodes:
        check("split" in node.fl("show", "events", "--since", "1h"), "%s does not tell of it" % node.name)


def test_standby_restarted():
    with traffic("standby restarted", 0.1, 0) as t:
        b.end()
        b.start()
        lab.settled()
        t.flow()


def test_primary_returns():
    check(a.has("master"), "roles: %s %s" % (a.roles(), b.roles()))
    with traffic("the primary's return", UNPLANNED) as t:
        a.power(False)
        t.flow()
        a.power(True)
        lab.settled()
        t.flow()


@contextlib.contextmanager
def answers_by_the_other():
    lab.run("lan", "ip", "route", "add", "10.0.2.50/32", "via", "10.0.1.2")
    lab.run("dmz", "ip", "route", "add", "10.0.1.50/32", "via", "10.0.2.3")
    try:
        yield
    finally:
        lab.run("lan", "ip", "route", "del", "10.0.2.50/32")
        lab.run("dmz", "ip", "route", "del", "10.0.1.50/32")


def refused(client, address, port):
    """Nobody is there: an ICMP error says so, about the first packet of a connection that only the other node has seen."""
    with namespace(lab.ns(client)), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(2)
        sock.connect((address, port))
        sock.send(b"who")
        try:
            sock.recv(100)
        except ConnectionRefusedError:
            return
        except OSError as why:
            raise Failure("no ICMP error came by the other node: %s" % why) from None
        raise Failure("somebody answers at %s port %d" % (address, port))


def test_asymmetric():
    """What the LAN sends passes by one node, and what the DMZ answers by the other, which knows nothing of it yet."""
    with answers_by_the_other():
        begin, before = time.monotonic(), {node: lab.dropped(node.name).get("rule", 0) for node in lab.nodes}
        transfers = [Transfer(lab, "lan", "dmz", "10.0.2.50", 7100 + i) for i in range(20)]
        pings = Pings(lab, "lan", "dmz", "10.0.2.50", 7150)
        print("# 20 connections in %.0f ms" % ((time.monotonic() - begin) * 1000))
        for t in transfers:
            t.moves()
        pings.flows()
        refused("lan", "10.0.2.50", 7198)
        time.sleep(0.5)
        pings.finish()
        check_equal(pings.lost(), [], "packets lost")
        for t in transfers:
            t.finish()
        dropped = {node.name: lab.dropped(node.name).get("rule", 0) - before[node] for node in lab.nodes}
        check(max(dropped.values()) < 20, "packets that were dropped as if nobody knew their connections: %s" % dropped)
        rows = lab.states("b", "--port", "7150")
        check_equal([row["packets"] > 0 for row in rows], [True], "whether the other node forwards by a state of its own")


def test_asymmetric_frames():
    """What the other node hands up and lets in again leaves it as any packet does: a hop less, all sums right, from its MAC to the host's."""
    with answers_by_the_other(), contextlib.ExitStack() as stack:
        seen = lab.port("lan", "eth0")
        want = {"src": "10.0.2.50", "dst": "10.0.1.50", "hop": 63, "src_mac": "02:00:00:00:0b:01", "dst_mac": seen.mac, "unfinished": False, "vlans": []}
        with namespace(lab.ns("dmz")):
            server = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            listener = stack.enter_context(socket.create_server(("10.0.2.50", 7161)))
        with namespace(lab.ns("lan")):
            clients = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(4)]
            caller = stack.enter_context(socket.socket(socket.AF_INET))
        server.bind(("10.0.2.50", 7160))
        for sock in (server, caller, listener):
            sock.settimeout(5)
        for client, size in zip(clients, (1, 32, 999, 1472)):
            client.sendto(bytes(size), ("10.0.2.50", 7160))
            _, who = server.recvfrom(2048)
            check_equal(lab.states("b", "--port", str(who[1])), [], "what the other node knows before the answer")
            server.sendto(os.urandom(size), who)
            answer = seen.expect("the answer of %d bytes" % size, lambda p: p.sport == 7160, 5)
            check_sound(answer, "the answer of %d bytes" % size)
            check(answer.l4_check_ok, "its sum is not there")
            check_fields(answer, "the answer of %d bytes" % size, length=28 + size, **want)
        caller.connect(("10.0.2.50", 7161))
        answer = seen.expect("the SYN-ACK", lambda p: p.sport == 7161 and p.flags & 0x12 == 0x12, 5)
        check_sound(answer, "the SYN-ACK")
        check(answer.l4_check_ok, "its sum is not there")
        check_fields(answer, "the SYN-ACK", **want)


def test_asymmetric_in_the_midst():
    """Answers begin to come by the other node, those to the shared address too, as by a router with an old ARP entry."""
    with traffic("answers by the other node", 0.2) as t:
        lab.run("dmz", "ip", "route", "add", "10.0.1.50/32", "via", "10.0.2.3")
        lab.run("isp", "ip", "neigh", "replace", "203.0.113.1", "lladdr", "02:00:00:00:0b:00", "dev", "eth0", "nud", "permanent")
        try:
            for _ in range(3):
                t.flow()
                time.sleep(0.3)
        finally:
            lab.run("dmz", "ip", "route", "del", "10.0.1.50/32")
            lab.run("isp", "ip", "neigh", "del", "203.0.113.1", "dev", "eth0")


def test_as_shipped():
    """With adverts each second: three of them and the skew."""
    for node in lab.nodes:
        node.configure(lambda config: adapt(config, fast=False))
        node.fl("apply", "--local")
    lab.settled()
    with traffic("power loss, as shipped", 4.0, 1.4) as t:
        a.power(False)
        t.flow()


def begins(what):
    """Both daemons begin. How long somebody takes who could have the addresses; starts themselves are the machine's business."""
    for node in lab.nodes:
        until(lambda node=node: node.roles() != {}, True, "whether %s knows its vips" % node.name, 30)
    since = time.monotonic()
    until(lambda: "master" in [*a.roles().values(), *b.roles().values()], True, "whether one is master", 10)
    took = time.monotonic() - since
    print("# %s: one is master %.0f ms after both have begun" % (what, took * 1000))
    lab.settled()
    check(took <= 1, "%s: nobody was master for %s s, though nobody else could be" % (what, took))


def test_both_die():
    """Still as shipped: with nobody there, nobody's adverts are waited for. The state tables outlive the daemons, and so do connections."""
    a.power(True)
    lab.settled()
    transfer = Transfer(lab, "lan", "dmz", "10.0.2.50", 7300)
    transfer.moves()
    for node in lab.nodes:
        node.process.kill()
    for node in lab.nodes:
        node.end()
        node.start(wait=False)
    begins("both killed")
    transfer.moves(30)
    transfer.finish()
    for node in lab.nodes:
        node.power(False)
    for node in lab.nodes:
        node.power(True)
    begins("both booted")


# By tc those in which packets find another node's states, or none
BY_TC = ("start", "power_loss_of_the_primary", "kill_of_the_primarys_daemon", "maintenance", "partition_that_heals", "asymmetric",
         "asymmetric_frames", "asymmetric_in_the_midst")


if __name__ == "__main__":
    try:
        main([test for name, test in list(globals().items())
              if name.startswith("test_") and (lab.how != "tc" or name[len("test_"):] in BY_TC)], lab.prefix)
    finally:
        lab.stop()
