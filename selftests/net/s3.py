#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""IPv6 by several tunnel brokers, of which the second takes over from the first: what configs/S3.json stands for, packet by packet.

--how as-shipped: the file as it is. --how three: with the third broker, which never answers, as a tier of the group, with rules of the
tests' own and other ways of going back. --how restarted: after the daemon was killed and came again.
"""

import contextlib
import errno
import json
import re
import select
import socket
import struct
import threading
import time

import packet
from policylab import *
from wire import check_fields, check_sound, main, namespace

HOST, SOURCE = "2001:db8:aa::80", "2001:db8:aa::51"  # the second one is nobody's: frames of the tests
INET_HOST, RESOLVER = "2001:db8:f::99", "2001:4860:4860::64"
WAN_ROUTER, LAN_ROUTER_MAC, WAN_ROUTER_MAC = "203.0.113.2", "02:00:00:00:01:01", "02:00:00:00:02:20"
HE, IP4M = "he", "ip4m"
BROKERS = {HE: "198.51.100.1", IP4M: "198.51.100.65"}
PREFIXES = {HE: "2001:db8:aa::", IP4M: "2001:db8:bb::"}
INTERVAL = 0.01  # of the packets by which gaps are measured

lab = PolicyLab()
lan, from_router = lab.port("lan", "eth0"), lab.port("wan", "net0")
to_router = lab.port("wan", "net0", outgoing=True)
inet = {HE: lab.port("inet", "eth0"), IP4M: lab.port("inet", "eth1")}
with open(lab.args.config) as running:
    SHIPPED = running.read()


def flush():
    for port in (lan, from_router, to_router, *inet.values()):
        port.flush()


def so_far(port):
    """What has come."""
    time.sleep(0.1)
    seen = []
    while (p := port.read(0)) is not None:
        seen.append(p)
    return seen


# ---- the world ----


def dies(broker):
    """A black hole from now on; the link stays up."""
    lab.run(broker, "nft", "add table inet dead; add chain inet dead in { type filter hook prerouting priority -300; policy drop; }")
    return time.monotonic()


def lives(broker):
    lab.run(broker, "nft", "delete table inet dead")
    return time.monotonic()


def refused():
    """Packets that the brokers did not let out, since the source was not theirs."""
    total = 0
    for broker in BROKERS:
        total += int(re.search(r"packets (\d+)", lab.output(broker, "nft", "list", "table", "ip6", "broker"))[1])
    return total


def resolver():
    """Answers each question at the resolver's address, as long as the tests run."""
    with namespace(lab.ns("inet")):
        sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    sock.bind((RESOLVER, 53))

    def work():
        while True:
            question, who = sock.recvfrom(512)
            with contextlib.suppress(OSError):
                sock.sendto(question[:2] + b"\x81\x80" + question[4:], who)

    threading.Thread(target=work, daemon=True).start()


class Stub(threading.Thread):
    """A stub resolver: asks, and a second later once more by another socket. `answered` is when it had its answer."""

    def __init__(self, ns, begin):
        super().__init__(daemon=True)
        self.begin, self.answered = begin, None
        with namespace(lab.ns(ns)):
            self.socks = [socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) for _ in range(4)]
        self.start()

    def run(self):
        question = struct.pack("!HHHHHH", 7, 0x0100, 1, 0, 0, 0) + b"\x08ipv4only\x04arpa\x00" + struct.pack("!HH", 28, 1)
        for i, sock in enumerate(self.socks):
            time.sleep(max(0, self.begin + i - time.monotonic()))
            with contextlib.suppress(OSError), sock:
                sock.settimeout(max(0.001, self.begin + i + 1 - time.monotonic()))
                sock.sendto(question, (RESOLVER, 53))
                if sock.recv(512)[2:4] == b"\x81\x80":
                    self.answered = time.monotonic()
                    break


class Flow(threading.Thread):
    """A packet each 10 ms from the LAN, numbered, answered by a host on the internet. With `new` each is a connection of its own."""

    serial = 0

    def __init__(self, new=False, dport=None):
        super().__init__(daemon=True)
        Flow.serial += 1
        self.new, self.mark = new, b"flow%04d" % Flow.serial
        self.dport = dport or 7000 + Flow.serial
        self.sport = 20000 + Flow.serial * 3000 % 30000
        self.sent, self.by, self.got, self.ends, self.pauses = {}, {}, {}, False, False
        self.wire = lab.port("lan", "eth0")
        with namespace(lab.ns("inet")):
            self.host = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self.host.bind((INET_HOST, self.dport))
        self.start()

    def arrived(self):
        data, who = self.host.recvfrom(2048)
        seq = struct.unpack_from("!I", data, 8)[0]
        self.by[seq] = next((b for b, prefix in PREFIXES.items() if who[0] == prefix + SOURCE.rsplit("::", 1)[1]), who[0])
        with contextlib.suppress(OSError):
            self.host.sendto(data, who)

    def answered(self):
        with contextlib.suppress(OSError):
            frame = self.wire.sock.recv(2048)
            at = frame.find(self.mark, 62)
            if at > 0 and frame[:6] == packet.mac_bytes(self.wire.mac) and frame[22:54] == packet.packed(INET_HOST) + packet.packed(SOURCE):
                self.got.setdefault(struct.unpack_from("!I", frame, at + 8)[0], time.monotonic())

    def take(self, until):
        while True:
            ready = select.select([self.wire.sock, self.host], [], [], max(until - time.monotonic(), 0))[0]
            if self.host in ready:
                self.arrived()
            if self.wire.sock in ready:
                self.answered()
            if not ready:
                return

    def run(self):
        seq, due = 0, time.monotonic()
        while not self.ends:
            if not self.pauses:
                sport = self.sport + (seq % 3000 if self.new else 0)
                self.sent[seq] = time.monotonic()
                self.wire.send_to(LAN_ROUTER_MAC, packet.udp6(SOURCE, INET_HOST, sport, self.dport, self.mark + struct.pack("!I", seq)))
                seq += 1
            due = max(due + INTERVAL, time.monotonic())
            self.take(due)
        self.take(time.monotonic() + 0.5)
        self.wire.sock.close()
        self.host.close()

    def carried(self, broker, since, timeout=3):
        """When the first packet of those sent since then was sent that went by that broker and was answered."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            for seq in list(self.got):
                if self.by.get(seq) == broker and self.sent[seq] >= since:
                    return self.sent[seq]
            time.sleep(0.005)
        raise Failure("no packet by %s in %s s: the last ones went by %s" % (broker, timeout, list(self.by.values())[-5:]))

    def finish(self):
        self.ends = True
        self.join()

    def lost(self, since=0.0):
        return [seq for seq in sorted(self.sent) if self.sent[seq] >= since and seq not in self.got]

    def check_lossless(self, what, since=0.0):
        lost = self.lost(since)
        check(not lost, "%s: lost of %d: %s" % (what, len(self.sent), lost[:20]))

    def check_moved(self, what, since=0.0):
        """Lost are at most the answers that were on their way when connections ended."""
        lost = self.lost(since)
        check(len(lost) <= 2 and all(seq in self.by for seq in lost), "%s: lost of %d: %s" % (what, len(self.sent), lost[:20]))


# ---- what packets say ----


def outside(broker, address):
    """As the world sees that host of the LAN; plain: the lower half stays."""
    return PREFIXES[broker] + address.rsplit("::", 1)[1]


def goes_by(broker):
    """A new connection does, by that broker's prefix; its answer comes back."""
    token, answer = lab.token(), lab.token()
    sport = 10000 + lab.serial % 9000
    flush()
    lan.send_to(LAN_ROUTER_MAC, packet.udp6(SOURCE, INET_HOST, sport, 6001, token))
    outer = from_router.expect("the packet", lambda p: token in p.raw)
    check_sound(outer)
    check_fields(outer, "outer", src=WAN_ROUTER, dst=BROKERS[broker], proto=packet.IPV6)
    check_fields(outer.inner, "inner", src=outside(broker, SOURCE), dst=INET_HOST, hop=63)
    p = inet[broker].expect("the packet on the internet", lambda p: p.data == token)
    check_fields(p, src=outside(broker, SOURCE), sport=sport)
    inet[broker].send_to(p.src_mac, packet.udp6(INET_HOST, outside(broker, SOURCE), 6001, sport, answer))
    outer = to_router.expect("the answer in the tunnel", lambda p: answer in p.raw)
    check_fields(outer, "outer", src=BROKERS[broker], dst=WAN_ROUTER)
    p = lan.expect("the answer", lambda p: p.data == answer)
    check_sound(p)
    check_fields(p, src=INET_HOST, dst=SOURCE, sport=6001, dport=sport)
    row = lab.state("router", "--host", SOURCE, "--port", str(sport), source=SOURCE, gateway=broker + "_gw")
    check_equal(row["translated_source"], None if broker == HE else outside(broker, SOURCE), "what the state says of its source")
    row = lab.fl("explain", *("--in lan --src %s --dst %s --proto udp --dport 6001" % (SOURCE, INET_HOST)).split(), instance="router")
    check_equal((row["verdict"], row["gateway"], row["egress"]), ("forward", broker + "_gw", "wan"), "explain: %s" % row)


def own_goes_by(broker):
    """What the router sends itself, and has an answer to."""
    flush()
    lab.output("router", "ping", "-6", "-n", "-q", "-c", "2", "-i", "0.05", "-W", "2", INET_HOST)
    outer = from_router.expect("its ping", lambda p: p.inner is not None and p.inner.type == 128 and p.inner.dst == INET_HOST)
    check_fields(outer, dst=BROKERS[broker])


def told_the_loss(client):
    """A TCP client of the LAN has got a reset."""
    client.settimeout(1)
    try:
        got = client.recv(100)
    except ConnectionResetError:
        return
    except OSError as why:
        raise Failure("the TCP client is not told: %s" % why) from None
    raise Failure("the TCP client got %r" % got)


def gateways():
    return {row["name"]: row for row in lab.fl("show", "gateways", instance="router")}


def group():
    rows = lab.fl("show", "groups", instance="router")
    check_equal([row["name"] for row in rows], ["v6_out"], "the groups")
    return rows[0]


def uses(timeout=5, **want):
    until(lambda: {m["gateway"]: m["use"] for m in group()["members"]}, want, "what the group does with its members", timeout)


def happened(*wanted):
    """These (subject, what, reason, a pattern) are the newest events of theirs, in this order."""
    text = lab.text("router", "show", "events", "--since", "1h")
    at = -1
    lines = text.splitlines()
    for pattern in wanted:
        found = [i for i, line in enumerate(lines) if i > at and re.search(pattern, line)]
        check(found, "no event is like '%s' after line %d of:\n%s" % (pattern, at + 1, text))
        at = found[0]


# ---- as shipped ----


def test_the_first_carries():
    until(lambda: gateways()["he_gw"]["status"], "up", "the first gateway", 5)
    goes_by(HE)
    own_goes_by(HE)
    for stub in [Stub(ns, time.monotonic()) for ns in ("lan", "router")]:
        stub.join()
        check(stub.answered and stub.answered - stub.begin < 0.5, "a question is not answered")
    check_equal((group()["active"], group()["tier"]), (["he_gw"], 1), "what carries")
    check("netassist_gw" not in gateways(), "a disabled gateway is shown")


def test_the_first_dies():
    """UDP moves, TCP clients are told, questions are answered; in 1.3 s."""
    flow, new = Flow(), Flow(new=True)
    with lab.conversation("lan", "inet", INET_HOST, 1300) as (client, server):
        lab.both_ways(client, server)
        flow.carried(HE, 0)
        new.carried(HE, 0)
        dead = dies(HE)
        stubs = [Stub(ns, dead + after) for ns in ("lan", "router") for after in (0, 0.3, 0.6, 0.9, 1.2)]
        moved, moved_new = flow.carried(IP4M, dead) - dead, new.carried(IP4M, dead) - dead
        print("# by the second after %.3f s, new connections %.3f s" % (moved, moved_new))
        check(max(moved, moved_new) <= 1.3, "it took %.3f and %.3f s" % (moved, moved_new))
        told_the_loss(client)
    for stub in stubs:
        stub.join()
    check(all(stub.answered for stub in stubs), "a question was not answered")
    took = ["asked %.2f, answered %.2f" % (stub.begin - dead, stub.answered - dead) for stub in stubs]
    print("# questions, seconds after its death: " + "; ".join(took))
    check(all(stub.answered - max(dead, stub.begin) <= 1.5 for stub in stubs), "a question took more than 1.5 s: %s" % took)
    check(all(stub.answered - dead <= 1.5 for stub in stubs if stub.begin - dead < 0.5), "answered too late after the death: %s" % took)
    goes_by(IP4M)
    own_goes_by(IP4M)
    for f in (flow, new):
        f.finish()
        f.check_lossless("after the move", dead + max(moved, moved_new) + INTERVAL)
        check(set(f.by.values()) == {HE, IP4M}, "as the world saw it: %s" % set(f.by.values()))
    happened("he_gw.*up -> down", "v6_out.*carried by: ip4m_gw")
    check_equal(group()["active"], ["ip4m_gw"], "what carries")
    check(gateways()["he_gw"]["status"] == "down" and gateways()["he_gw"]["reason"], "it is said of the dead one: %s" % gateways()["he_gw"])


def test_the_first_is_back():
    """Everything goes home, by failback "move", and no packet of a connection that begins is lost."""
    flow, new = Flow(), Flow(new=True)
    with lab.conversation("lan", "inet", INET_HOST, 1301) as (client, server):
        lab.both_ways(client, server)
        flow.carried(IP4M, 0)
        back = lives(HE)
        home = max(flow.carried(HE, back, 8), new.carried(HE, back, 8))
        print("# by the first after %.3f s" % (home - back))
        told_the_loss(client)
    for f in (flow, new):
        f.finish()
        f.check_lossless("by the first", home)
        f.check_moved("on the way back")
    goes_by(HE)
    own_goes_by(HE)
    happened("he_gw.*up -> down", "he_gw.*down -> up", "v6_out.*carried by: he_gw")


def test_nobody_was_refused():
    """The brokers let out what has their own addresses, and were given nothing else by the LAN."""
    check_equal(refused(), 0, "packets with the other one's addresses")


# ---- three ----


def configure(**group_settings):
    """The file as shipped with the third broker in the group, quick probes, and rules of the tests' own."""
    config = json.loads(SHIPPED)
    for item in (config["tunnels"]["netassist"], config["gateways"]["netassist_gw"], config["prefix_translations"][1]):
        del item["disabled"]
    for name in ("he_gw", "ip4m_gw"):
        config["gateways"][name]["monitor"] = {"interval_ms": 100, "down_after": 8}  # the machine may be busy
    out = config["gateway_groups"]["v6_out"]
    out["members"].append({"gateway": "netassist_gw", "tier": 3})
    out.update(group_settings)
    config["rules"][:0] = [
        {"name": "steered", "action": "pass", "quick": True, "direction": "in", "interface": "lan", "protocol": "udp",
         "destination": {"port": 5555}, "route_to": "v6_out"},
        {"name": "https", "action": "pass", "quick": True, "direction": "in", "interface": ["he0", "ip4m"], "protocol": "tcp",
         "destination": {"address": HOST, "port": 443}},
    ]
    with open(lab.args.config + ".new", "w") as out:
        json.dump(config, out)
    lab.text("router", "apply", lab.args.config + ".new")


def three_a_third_that_never_was_up():
    flow = Flow(new=True)
    flow.carried(HE, 0)
    configure()
    uses(he_gw="carries", ip4m_gw="waits", netassist_gw="unusable")
    goes_by(HE)
    flow.finish()
    flow.check_lossless("while it came")
    row = gateways()["netassist_gw"]
    check(row["status"] != "up" and row["reason"], "it is said of it: %s" % row)


def three_in_by_the_second():
    """A connection from outside by the second broker is answered by it, while the first carries."""
    flush()
    with lab.conversation("inet", "lan", outside(IP4M, HOST), 443, source="2001:db8:e::99") as (client, server):
        check_equal(server.getpeername()[0], "2001:db8:e::99", "who is there")
        lab.both_ways(client, server)
    seen = [p for p in so_far(from_router) if p.inner is not None and p.inner.proto == packet.TCP]
    check(len(seen) >= 3, "%d packets are no conversation" % len(seen))
    for p in seen:
        check_fields(p, "outer", dst=BROKERS[IP4M])
        check_fields(p.inner, "inner", src=outside(IP4M, HOST), dst="2001:db8:e::99", sport=443)
    with lab.conversation("inet", "lan", HOST, 443) as (client, server):
        lab.both_ways(client, server)


def three_by_hand():
    """`gateway down` moves all at once, `auto` brings it back; nothing is lost, since both are alive."""
    flow = Flow(new=True)
    flow.carried(HE, 0)
    at = time.monotonic()
    lab.text("router", "gateway", "down", "he_gw")
    moved = flow.carried(IP4M, at) - at
    check(moved < 0.5, "it took %.3f s" % moved)
    row = gateways()["he_gw"]
    check_equal((row["status"], row["forced"]), ("down", "down"), "the gateway")
    check(re.search("hand", row["reason"]), "the reason: %s" % row["reason"])
    goes_by(IP4M)
    lab.text("router", "gateway", "auto", "he_gw")
    with lab.conversation("lan", "inet", INET_HOST, 1302) as (client, server):
        lab.text("router", "gateway", "up", "netassist_gw")
        uses(he_gw="carries", ip4m_gw="waits", netassist_gw="waits")
        lab.text("router", "gateway", "auto", "netassist_gw")
        uses(he_gw="carries", ip4m_gw="waits", netassist_gw="unusable")
        lab.both_ways(client, server)  # what has just begun by the first is not taken for what it had before
    flow.finish()
    flow.check_moved("by hand")
    check_equal([g["name"] for g in gateways().values() if g["forced"]], [], "what is left by hand")
    happened("he_gw.*up -> down.*hand", "v6_out.*carried by: ip4m_gw", "v6_out.*carried by: he_gw")


def three_applied_while_nobody_carries():
    """Who comes first takes over the connections of who was lost before another configuration came in force."""
    flow = Flow()
    flow.carried(HE, 0)
    for name in ("ip4m_gw", "he_gw"):
        lab.text("router", "gateway", "down", name)
    configure(description="another one")
    back = time.monotonic()
    lab.text("router", "gateway", "auto", "ip4m_gw")
    flow.carried(IP4M, back)
    lab.text("router", "gateway", "auto", "he_gw")
    flow.finish()
    configure()


def three_drain():
    """What began by the second stays with it; what begins goes by the first."""
    configure(failback="drain")
    lab.text("router", "gateway", "down", "he_gw")
    flow = Flow()
    flow.carried(IP4M, 0)
    back = time.monotonic()
    lab.text("router", "gateway", "auto", "he_gw")
    new = Flow(new=True)
    at = new.carried(HE, back)
    time.sleep(0.5)
    for f in (flow, new):
        f.finish()
        f.check_lossless("by drain", back)
    check_equal({b for seq, b in flow.by.items() if flow.sent[seq] >= at}, {IP4M}, "where the old one goes")
    check_equal({b for seq, b in new.by.items() if new.sent[seq] >= at}, {HE}, "where new ones go")
    configure()


def steered():
    lan.send_to(LAN_ROUTER_MAC, packet.udp6(SOURCE, INET_HOST, 5554, 5555, lab.token()))


def three_all_are_dead():
    """The default route by router advertisement stays unused: nothing of anybody leaves in clear, and everybody is told."""
    check("proto ra" in lab.output("router", "ip", "-6", "route", "show", "default"), "the router has learned no default route")
    watch = lab.port("wan", "net0")
    flow, old = Flow(new=True), Flow()
    flow.carried(HE, 0)
    dies(HE)
    flow.carried(IP4M, 0)
    dies(IP4M)
    uses(he_gw="unusable", ip4m_gw="unusable", netassist_gw="unusable")
    check("unreachable" in lab.output("router", "ip", "-6", "route", "show", "default").splitlines()[0], "the default route leads somewhere")
    flow.pauses = old.pauses = True
    lab.check_dropped("router", "gateway-down", steered)
    token = lab.token()
    flush()
    lan.send_to(LAN_ROUTER_MAC, packet.udp6(SOURCE, INET_HOST, 5556, 5557, token))
    p = lan.expect("that there is no route", lambda p: p.type == 1 and p.quoted is not None and token in p.quoted.l4)
    check_sound(p)
    with namespace(lab.ns("router")), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as own:
        check_equal(own.connect_ex((INET_HOST, 9)), errno.EHOSTUNREACH, "what the router is told itself")
    happened("he_gw.*up -> down.*", "ip4m_gw.*up -> down", "v6_out.*no member can be used")
    check("group v6_out: no member can be used" in str(lab.fl("status", instance="router")["reasons"]), "status does not say so")
    back = lives(IP4M)
    flow.pauses = old.pauses = False
    flow.carried(IP4M, back, 5)
    old.carried(IP4M, back, 1)
    goes_by(IP4M)
    steered()
    back = lives(HE)
    flow.carried(HE, back, 5)
    old.carried(HE, back, 1)
    goes_by(HE)
    for f in (flow, old):
        f.finish()
    clear = [str(p) for p in so_far(watch) if p.version == 6 and not (p.dst.startswith("ff02::") and p.hop in (1, 255))]
    check(not clear, "in clear on the WAN: %s" % clear[:5])


def three_link_down_and_up():
    """A link that is down says so at once, and the gateways behind it are not given up."""
    flow = Flow(new=True)
    flow.carried(HE, 0)
    lab.run("wan", "ip", "link", "set", "net0", "down")
    uses(he_gw="unusable", ip4m_gw="unusable", netassist_gw="unusable", timeout=0.5)
    check(re.search("link", gateways()["he_gw"]["reason"]), "the reason: %s" % gateways()["he_gw"])
    lab.run("wan", "ip", "link", "set", "net0", "up")
    flow.carried(HE, time.monotonic(), 5)
    flow.finish()
    until(lambda: gateways()["isp_gw"]["status"], "up", "the gateway of the link", 5)


def three_keep():
    """The second one carries on when the first is back."""
    configure(failback="keep")
    flow = Flow(new=True)
    flow.carried(HE, 0)
    at = dies(HE)
    at = flow.carried(IP4M, at)
    lives(HE)
    uses(he_gw="waits", ip4m_gw="carries", netassist_gw="unusable")
    goes_by(IP4M)
    configure(failback="keep", sticky="source")
    goes_by(IP4M)
    flow.finish()
    flow.check_lossless("by keep", at + INTERVAL)
    check_equal({b for seq, b in flow.by.items() if flow.sent[seq] > at}, {IP4M}, "where it goes")


# ---- restarted ----


def restarted_keeps():
    uses(he_gw="waits", ip4m_gw="carries", netassist_gw="unusable")
    goes_by(IP4M)
    text = lab.text("router", "show", "events")
    check("v6_out" not in text[text.rindex("is taken over"):], "the group did not stay with it:\n%s" % text)
    flow = Flow()
    flow.carried(IP4M, 0)
    at = dies(IP4M)
    flow.carried(HE, at)
    flow.finish()
    lives(IP4M)
    goes_by(HE)


if __name__ == "__main__":
    resolver()
    which = "test_" if lab.how == "as-shipped" else lab.how + "_"
    main([test for name, test in list(globals().items()) if name.startswith(which)], lab.prefix)
