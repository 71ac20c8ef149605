#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""What configs/S5-pri01.json and S5-sec01.json stand for: whatever happens to one node, traffic goes on by the other.

--how native|tc: of all interfaces. The shared addresses get fast_ms for the tests' time, and IPv6 ones beside those that they have; the last
tests leave the files as they are.
"""

import contextlib
import os
import socket
import time
import typing

from packet import FIN, RST
from pairlab import *
from wire import Failure, check_fields, check_sound, main

CABLES = {"wan": "eth0", "lan": "eth1", "dmz": "eth2", "sync": "eth3"}
FAST_MS = 50
UNPLANNED = 0.5  # s; 3 * FAST_MS + skew, and what a busy machine takes

AS_SHIPPED = {"streams": [("lan", "dmz", "10.0.2.50"), ("dmz", "isp", "198.51.100.1")],
              "shared": [("lan", "lan", "10.0.1.50", "10.0.1.1"), ("wan", "isp", "203.0.113.254", "203.0.113.1"),
                         ("dmz", "dmz", "10.0.2.50", "10.0.2.1")]}
BY_IPV6 = {"streams": [("dmz", "isp", "2001:db8:ff::1")],
           "shared": [("lan", "lan", "2001:db8:1::50", "2001:db8:1::1"), ("wan", "isp", "2001:db8:f::fe", "2001:db8:f::1"),
                      ("dmz", "dmz", "2001:db8:2::50", "2001:db8:2::1")]}

lab = PairLab(("S5-pri01.json", "S5-sec01.json"), CABLES, advert=FAST_MS / 1000, advskew=100,
              **{what: AS_SHIPPED[what] + BY_IPV6[what] for what in AS_SHIPPED})
a, b = lab.nodes
traffic = lab.traffic


def adapt(config):
    as_shipped(config)
    for vip in config["vips"].values():
        vip["fast_ms"] = FAST_MS
    for name, address in (("lan_vip", "2001:db8:1::1/64"), ("wan_vip", "2001:db8:f::1/64"), ("dmz_vip", "2001:db8:2::1/64")):
        shipped = config["vips"][name]["address"]
        config["vips"][name]["address"] = [shipped if isinstance(shipped, str) else shipped[0], address]
    for name, prefix in (("LAN_SUBNETS", "2001:db8:1::/64"), ("DMZ_SUBNETS", "2001:db8:2::/64")):
        config["aliases"][name] = [config["aliases"][name][0], prefix]


def as_shipped(config):
    """But for how it is attached, and what else runs at the machines of a real pair."""
    for name, interface in config["interfaces"].items():
        if name in CABLES:
            interface["mode"] = lab.how
    config.pop("hooks", None)
    config.pop("checks", None)


def test_start():
    lab.start(adapt)
    with traffic("nothing happens", 0.1, 0):
        time.sleep(0.5)


def ends_said(port):
    """What TCP of the node has said meanwhile of connections that end."""
    said = []
    while p := port.read(0):
        if p.flags is not None and p.flags & (FIN | RST):
            said.append(str(p))
    return said


def test_power_loss_of_the_primary():
    """The other hears no farewell: neither of the daemon, nor of the kernel that closes its connections."""
    with traffic("power loss", UNPLANNED) as t:
        sync = lab.port("switch", "sync-a")
        a.power(False)
        check_equal(ends_said(sync), [], "ends of connections that are told by who has no power any more")
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
    with lab.owned("both boot"):
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


class Way(typing.NamedTuple):
    """Of connections whose answers come by the other node: their ends, what the other node's MAC at the client is, and what makes them go so."""

    client: str
    server: str
    source: str
    address: str
    mac: str
    begins: list
    ends: list


def routed(client, server, source, address, mac, by_a, by_b):
    return Way(client, server, source, address, mac, [(client, "route add %s via %s" % (address, by_a)), (server, "route add %s via %s" % (source, by_b))],
               [(client, "route del %s" % address), (server, "route del %s" % source)])


def translated(source, address, vip):
    """To the shared address, as by a router with an old neighbour entry."""
    return Way("dmz", "isp", source, address, "02:00:00:00:0b:02", [("isp", "neigh replace %s lladdr 02:00:00:00:0b:00 dev eth0 nud permanent" % vip)],
               [("isp", "neigh del %s dev eth0" % vip)])


WAYS = {"": routed("lan", "dmz", "10.0.1.50", "10.0.2.50", "02:00:00:00:0b:01", "10.0.1.2", "10.0.2.3"),
        "by IPv6": routed("lan", "dmz", "2001:db8:1::50", "2001:db8:2::50", "02:00:00:00:0b:01", "2001:db8:1::2", "2001:db8:2::3"),
        "translated": translated("10.0.2.50", "198.51.100.1", "203.0.113.1"),
        "translated by IPv6": translated("2001:db8:2::50", "2001:db8:ff::1", "2001:db8:f::1")}


@contextlib.contextmanager
def answers_by_the_other(way):
    for ns, words in way.begins:
        lab.run(ns, "ip", *words.split())
    try:
        yield
    finally:
        for ns, words in way.ends:
            lab.run(ns, "ip", *words.split())


def refused(way, port):
    """Nobody is there: an ICMP error says so, about the first packet of a connection that only the other node has seen."""
    seen = lab.port(way.client, "eth0")
    with namespace(lab.ns(way.client)), socket.socket(family(way.address), socket.SOCK_DGRAM) as sock:
        sock.settimeout(2)
        sock.connect((way.address, port))
        sock.send(b"who")
        ours = sock.getsockname()[1]
        error = seen.expect("the ICMP error", lambda p: p.quoted is not None and p.quoted.sport == ours, 2)
        check_sound(error, "the ICMP error")
        check_fields(error, "the ICMP error", src=way.address, dst=way.source, hop=63, src_mac=way.mac, dst_mac=seen.mac,
                     type=1 if error.version == 6 else 3, code=4 if error.version == 6 else 3)
        check_fields(error.quoted, "what it quotes", src=way.source, dst=way.address, sport=ours)
        try:
            sock.recv(100)
        except ConnectionRefusedError:
            return
        except OSError as why:
            raise Failure("no ICMP error came by the other node: %s" % why) from None
        finally:
            seen.sock.close()
        raise Failure("somebody answers at %s port %d" % (way.address, port))


def test_asymmetric():
    """What the LAN sends passes by one node, and what the DMZ answers by the other, which knows nothing of it yet."""
    with answers_by_the_other(WAYS[""]):
        begin, before = time.monotonic(), {node: lab.dropped(node.name).get("rule", 0) for node in lab.nodes}
        transfers = [Transfer(lab, "lan", "dmz", "10.0.2.50", 7100 + i) for i in range(20)]
        pings = Pings(lab, "lan", "dmz", "10.0.2.50", 7150)
        print("# 20 connections in %.0f ms" % ((time.monotonic() - begin) * 1000))
        for t in transfers:
            t.moves()
        pings.flows()
        time.sleep(0.5)
        pings.finish()
        check_equal(pings.lost(), [], "packets lost")
        for t in transfers:
            t.finish()
        dropped = {node.name: lab.dropped(node.name).get("rule", 0) - before[node] for node in lab.nodes}
        check(max(dropped.values()) < 20, "packets that were dropped as if nobody knew their connections: %s" % dropped)
        rows = lab.states("b", "--port", "7150")
        check_equal([row["packets"] > 0 for row in rows], [True], "whether the other node forwards by a state of its own")


def tried(attempt):
    """What the peer does not answer within 20 ms is judged without it: on a busy machine it may take another connection."""
    for _ in range(3):
        try:
            return attempt()
        except Failure as why:
            last = why
    raise last


def frames(way, port):
    """What the other node hands up and lets in again leaves it as any packet does: a hop less, all sums right, from its MAC to the host's."""
    with contextlib.ExitStack() as stack:
        seen = lab.port(way.client, "eth0")
        stack.enter_context(seen.sock)
        want = {"src": way.address, "dst": way.source, "hop": 63, "src_mac": way.mac, "dst_mac": seen.mac, "unfinished": False, "vlans": []}
        head = 48 if family(way.address) == socket.AF_INET6 else 28
        with namespace(lab.ns(way.server)):
            server = stack.enter_context(socket.socket(family(way.address), socket.SOCK_DGRAM))
            listener = stack.enter_context(socket.create_server((way.address, port + 1), family=family(way.address)))
        with namespace(lab.ns(way.client)):
            caller = stack.enter_context(socket.socket(family(way.address)))
        server.bind((way.address, port))
        for sock in (server, caller, listener):
            sock.settimeout(5)
        def answered(size):
            with namespace(lab.ns(way.client)):
                client = stack.enter_context(socket.socket(family(way.address), socket.SOCK_DGRAM))
            client.sendto(bytes(size), (way.address, port))
            _, who = server.recvfrom(2048)
            check_equal(lab.states("b", "--port", str(client.getsockname()[1])), [], "what the other node knows before the answer")
            server.sendto(os.urandom(size), who)
            answer = seen.expect("the answer of %d bytes" % size, lambda p: p.sport == port and p.dport == client.getsockname()[1], 2)
            check_equal(len(lab.states("b", "--port", str(client.getsockname()[1]))), 1, "the state that the other node has now")
            return answer

        for size in (1, 32, 999, 1500 - head):
            answer = tried(lambda size=size: answered(size))
            check_sound(answer, "the answer of %d bytes" % size)
            check(answer.l4_check_ok, "its sum is not there")
            check_fields(answer, "the answer of %d bytes" % size, length=head + size, **want)
        caller.connect((way.address, port + 1))
        answer = seen.expect("the SYN-ACK", lambda p: p.sport == port + 1 and p.flags & 0x12 == 0x12, 5)
        check_sound(answer, "the SYN-ACK")
        check(answer.l4_check_ok, "its sum is not there")
        check_fields(answer, "the SYN-ACK", **want)


def test_asymmetric_frames():
    for n, (name, way) in enumerate(WAYS.items()):
        with answers_by_the_other(way):
            try:
                frames(way, 7160 + 10 * n)
                tried(lambda way=way, n=n: refused(way, 7165 + 10 * n))
            except Failure as why:
                raise Failure("%s: %s" % (name or "by IPv4", why)) from None


def test_asymmetric_in_the_midst():
    """Answers begin to come by the other node, those to the shared addresses too."""
    with traffic("answers by the other node", 0.2) as t:
        with answers_by_the_other(WAYS["translated"]), answers_by_the_other(WAYS["translated by IPv6"]):
            lab.run("dmz", "ip", "route", "add", "10.0.1.50/32", "via", "10.0.2.3")
            try:
                for _ in range(3):
                    t.flow()
                    time.sleep(0.3)
            finally:
                lab.run("dmz", "ip", "route", "del", "10.0.1.50/32")


def test_as_shipped():
    """With adverts each second: three of them and the skew."""
    for node in lab.nodes:
        node.configure(as_shipped, anew=True)
        node.fl("apply", "--local")
    lab.streams, lab.shared = AS_SHIPPED["streams"], AS_SHIPPED["shared"]
    lab.adverts(1)
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
    with lab.owned("both killed"):
        for node in lab.nodes:
            node.process.kill()
        for node in lab.nodes:
            node.end()
            node.start(wait=False)
        begins("both killed")
    transfer.moves(30)
    transfer.finish()
    with lab.owned("both booted"):
        for node in lab.nodes:
            node.power(False)
        for node in lab.nodes:
            node.power(True)
        begins("both booted")


# By tc not those in which the daemons' doings alone are looked at, which take long
NOT_BY_TC = ("both_boot_together", "as_shipped", "both_die")


if __name__ == "__main__":
    try:
        main([test for name, test in list(globals().items())
              if name.startswith("test_") and (lab.how != "tc" or name[len("test_"):] not in NOT_BY_TC)], lab.prefix)
    finally:
        lab.stop()
