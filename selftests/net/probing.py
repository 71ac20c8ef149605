#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Gateways probed over lines that delay and lose: what the daemon takes them for.

--how config prints the daemon's configuration. Else this is the other end of the router's cable: everybody there, with a line of its own to each,
but those that are absent and don't even have a MAC.
"""

import argparse
import heapq
import json
import os
import random
import re
import select
import socket
import struct
import threading
import time

import packet
from lab import Lab
from policylab import until
from wire import Failure, Port, check, check_equal, main, namespace

CROWD = {"crowd%d" % i: "198.18.1.%d" % i for i in range(256)}
HALF = sorted(CROWD)[::2]
QUICK = {"interval_ms": 50, "loss_interval_ms": 300, "period_ms": 1500, "alert_interval_ms": 100,
         "loss_pct": [30, 50], "latency_ms": [100, 150]}
CALM = {"down_after": 20}  # a quarter of a second: this machine may be busy
LINES = {
    "good": ("198.18.2.1", CALM),
    "lossy": ("198.18.2.2", CALM),
    "slow": ("198.18.2.3", CALM),
    "loser": ("198.18.2.4", {"down_after": 100}),
    "snail": ("198.18.2.5", {"down_after": 30}),
    "flaps": ("198.18.2.6", {"hold_down_s": 1}),
    "deaf": ("198.18.2.7", {}),
    "dumb": ("198.18.2.8", {}),
    "six": ("2001:db8:f::99", {}),
}
ABSENT = {"absent%d" % i: "198.19.0.%d" % (i + 2) for i in range(8)}
GROUPS = {"by_loss": ("loss", "loser"), "by_latency": ("latency", "snail")}


def config():
    gateways = {name: {"interface": "wan", "address": address} for name, address in CROWD.items()}
    for name, (address, more) in LINES.items():
        gateways[name] = {"interface": "wan", "address": address, "monitor": dict(QUICK, **more)}
    for name, address in ABSENT.items():
        gateways[name] = {"interface": "wan", "address": address, "monitor": {"interval_ms": 20}}
    gateways["six"]["address"] = "fe80::99"
    gateways["six"]["monitor"]["targets"] = [LINES["six"][0]]
    members = {name: [{"gateway": first, "tier": 1}, {"gateway": "good", "tier": 2}] for name, (_, first) in GROUPS.items()}
    return {"node": {"name": "router"}, "default_action": "pass", "interfaces": {"wan": {"device": "wan0"}}, "gateways": gateways,
            "gateway_groups": {name: {"trigger": trigger, "failback": "move", "members": members[name]}
                               for name, (trigger, _) in GROUPS.items()}}


# ---- the other end ----


class Line:
    """To one target. The shares of requests and of answers that are lost; how long both take together, in seconds."""

    def __init__(self):
        self.request_loss = self.answer_loss = self.delay = self.jitter = 0
        self.asked, self.answered, self.sources = [], 0, set()  # times of requests; how many got there; from where
        self.owed = {"request_loss": 0, "answer_loss": 0}  # what rounding has not lost yet

    def lost(self, what):
        """Spread evenly: at 1 of 20 each 20 in a row have one."""
        self.owed[what] += getattr(self, what)
        if self.owed[what] < 1:
            return False
        self.owed[what] -= 1
        return True


class World(threading.Thread):
    """Answers echo requests, each as its target's line has it, in the kernel's place."""

    def __init__(self, ns):
        super().__init__(daemon=True)
        self.port = Port(ns, "net0")
        self.lines = {packet.packed(address): Line() for address in (*CROWD.values(), *(a for a, _ in LINES.values()))}
        self.random = random.Random(7)
        self.due = []
        lab.run("wan", "sysctl", "-qw", "net.ipv4.icmp_echo_ignore_all=1", "net.ipv6.icmp.echo_ignore_all=1")
        self.start()

    def line(self, name):
        return self.lines[packet.packed(CROWD.get(name) or LINES[name][0])]

    def request(self, frame, at, size, now):
        """The addresses stand at `at`, of that size; ICMP behind them."""
        source, target, icmp = frame[at:at + size], frame[at + size:at + 2 * size], at + 2 * size
        line = self.lines.get(target)
        if line is None or frame[icmp] != (8 if size == 4 else 128):
            return
        line.asked.append(now)
        line.sources.add(source)
        if line.lost("request_loss"):
            return
        line.answered += 1
        if line.lost("answer_loss"):
            return
        kind = 0 if size == 4 else 129
        was, = struct.unpack_from("!H", frame, icmp + 2)
        check_sum = packet.checksum(struct.pack("!HHH", ~was & 0xFFFF, ~(frame[icmp] << 8) & 0xFFFF, kind << 8))
        answer = (frame[6:12] + frame[:6] + frame[12:at] + target + source + struct.pack("!BBH", kind, 0, check_sum) + frame[icmp + 4:])
        heapq.heappush(self.due, (now + line.delay + self.random.random() * line.jitter, answer))

    def take(self, frame, now):
        if frame[12:14] == b"\x08\x00" and frame[14] == 0x45 and frame[23] == packet.ICMP:
            self.request(frame, 26, 4, now)
        elif frame[12:14] == b"\x86\xdd" and frame[20] == packet.ICMP6:
            self.request(frame, 22, 16, now)

    def run(self):
        sock = self.port.sock
        while True:
            wait = max(0, self.due[0][0] - time.monotonic()) if self.due else 1
            if select.select([sock], [], [], wait)[0]:
                frame, sender = sock.recvfrom(2048)
                if sender[2] != socket.PACKET_OUTGOING:
                    self.take(frame, time.monotonic())
            while self.due and self.due[0][0] <= time.monotonic():
                sock.send(heapq.heappop(self.due)[1])


# ---- what the daemon says ----


class ProbingLab(Lab):
    def __init__(self, args):  # pylint: disable=super-init-not-called
        self.args, self.prefix = args, args.prefix


def gateways():
    return {row["name"]: row for row in lab.fl("show", "gateways", instance="router")}


def carries(group):
    return next(row["active"] for row in lab.fl("show", "groups", instance="router") if row["name"] == group)


def becomes(name, status, reason=".*", timeout=8):
    """The gateway's row, as soon as it is so; `at`: since when."""
    end = time.monotonic() + timeout
    while True:
        asked = time.monotonic()
        row = gateways()[name]
        row["at"] = asked - row["since_ms"] / 1000
        if row["status"] == status and re.search(reason, row["reason"]):
            return row
        if time.monotonic() > end:
            raise Failure("%s is not %s by '%s': %s" % (name, status, reason, row))
        time.sleep(0.03)


def times_down(names):
    events = lab.fl("show", "events", "--kind", "gateway", instance="router")
    return {name: sum(e["name"] == name and e["event"].endswith("-> down") for e in events) for name in names}


def cpu_seconds():
    with open("/proc/%d/stat" % args.pid) as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# ---- tests ----


def test_256_at_2_hz():
    """Each is probed twice a second, never many at once, and that costs next to nothing."""
    until(lambda: [name for name, row in gateways().items() if row["status"] != "up"], list(ABSENT), "who is not up", 15)
    for name, share, delay, jitter in (("lossy", 0.05, 0, 0), ("slow", 0, 0.05, 0.02), ("loser", 0.75, 0, 0), ("snail", 0, 0.2, 0)):
        line = world.line(name)
        line.request_loss, line.delay, line.jitter = share, delay, jitter
    world.line("deaf").request_loss = world.line("dumb").answer_loss = 1
    world.line("deaf").answered = world.line("dumb").answered = 0
    begin, cpu = time.monotonic(), cpu_seconds()
    time.sleep(2)
    end, cpu = time.monotonic(), cpu_seconds() - cpu
    asked = {name: [t for t in world.line(name).asked if begin <= t < end] for name in CROWD}
    wrong = {name: len(times) for name, times in asked.items() if abs(len(times) - 2 * (end - begin)) > 1.5}
    check(not wrong, "not probed twice a second, in %.2f s: %s" % (end - begin, wrong))
    slices = {}
    for t in sum(asked.values(), []):
        slices[int((t - begin) / 0.05)] = slices.get(int((t - begin) / 0.05), 0) + 1
    total = sum(slices.values())
    print("# %d probes in %.2f s, at most %d in 50 ms; CPU time %.2f s" % (total, end - begin, max(slices.values()), cpu))
    check(abs(total - 512 * (end - begin)) <= 128, "%d probes in %.2f s" % (total, end - begin))  # a quarter of a second: the machine may be busy
    check(max(slices.values()) <= 150, "%d probes within 50 ms" % max(slices.values()))  # 26 on an idle machine
    check(cpu <= 0.5, "%.2f s of CPU time in %.2f s" % (cpu, end - begin))


def test_who_is_not_there_keeps_nobody_back():
    """Probes that wait for a MAC take room that the others' need."""
    told = [e for e in lab.fl("show", "events", "--kind", "gateway", instance="router") if "can't send" in e["reason"]]
    told += [row for row in gateways().values() if "can't send" in row["reason"]]
    check(not told, "not sent: %s" % told[:3])


def test_loss_below_the_threshold():
    until(lambda: gateways()["lossy"]["loss_pct"] > 0, True, "whether it has lost something", 8)
    becomes("lossy", "up", "^answers$")


def test_latency_and_jitter_below_the_threshold():
    row = becomes("slow", "up", "^answers$")
    check(50 <= row["rtt_ms"] <= 100 and row["rtt_stddev_ms"] >= 2, "its times: %s" % row)


def test_loss_above_the_threshold():
    """It can't be used by a group that looks at loss."""
    becomes("loser", "warn", "^loss [0-9.]+ % above 50 %$")
    until(lambda: carries("by_loss"), ["good"], "what carries")


def test_latency_above_the_threshold():
    becomes("snail", "warn", "^latency [0-9.]+ ms above 150 ms$")
    until(lambda: carries("by_latency"), ["good"], "what carries")


def test_loss_one_way():
    """Whether no request gets there or no answer comes back, it is down."""
    for name in ("deaf", "dumb"):
        becomes(name, "down", "probes lost in a row$")
    deaf, dumb = world.line("deaf"), world.line("dumb")
    check(deaf.answered == 0 and dumb.answered >= 3, "who has answered: %d, %d" % (deaf.answered, dumb.answered))


def test_half_of_256_die():
    """They are down within 1.3 s, and nobody else is."""
    for name in HALF:
        world.line(name).request_loss = 1
    dead = time.monotonic()
    time.sleep(1.3)
    asked = time.monotonic()
    rows = gateways()
    down = {name for name in CROWD if rows[name]["status"] == "down"}
    took = [asked - rows[name]["since_ms"] / 1000 - dead for name in down]
    print("# down after %.2f to %.2f s" % (min(took, default=0), max(took, default=0)))
    check_equal(sorted(down), HALF, "who is down")
    check(max(took) <= 1.3, "it took %.2f s" % max(took))


def test_good_again():
    """What has failed by loss or latency carries again; who was dead is seen to later."""
    for name in (*HALF, "loser", "snail", "deaf", "dumb"):
        line = world.line(name)
        line.request_loss = line.answer_loss = line.delay = 0
    for name, (_, first) in GROUPS.items():
        becomes(first, "up", "^answers$")
        until(lambda name=name: carries(name), [first], "what carries by " + name)


def test_flapping():
    """It is held down, and twice as long the second time."""
    line = world.line("flaps")
    for more, least in (("$", 1), (": down the 2nd time in [0-9] s$", 2)):
        line.request_loss = 1
        down = becomes("flaps", "down")["at"]
        line.request_loss = 0
        becomes("flaps", "down", "^answers, but is held down for [0-9]+ s more" + more)
        held = becomes("flaps", "up")["at"] - down
        check(least - 0.2 <= held <= least + 1, "it was down for %.2f s, %d were to be" % (held, least))


def test_other_addresses_on_the_link():
    """Renumbered, as by a provider: nothing is lost where the new one comes first; and it is back when it comes last."""
    def addresses(*commands):
        for command in commands:
            lab.run("router", *("ip -6 addr %s/64 dev wan0" % command).split())

    def probed_from():
        line.sources.clear()
        time.sleep(0.2)
        return line.sources

    line = world.line("six")
    addresses("add 2001:db8:2::1", "del 2001:db8:1::1")
    until(probed_from, {packet.packed("2001:db8:2::1")}, "what it is probed from")
    addresses("del 2001:db8:2::1")
    becomes("six", "down", "^no address to send from on wan$")
    line.sources.clear()
    addresses("add 2001:db8:3::1")
    becomes("six", "up")
    check_equal(line.sources, {packet.packed("2001:db8:3::1")}, "what it is probed from")
    check_equal(times_down(["six"]), {"six": 1}, "how often it was down")


def test_all_are_back():
    """And who never died was never taken for dead."""
    until(lambda: [name for name, row in gateways().items() if row["status"] != "up"], list(ABSENT), "who is not up", 8)
    once = {*HALF, "deaf", "dumb"}
    names = [*CROWD, "good", "lossy", "slow", "loser", "snail", "deaf", "dumb"]
    wrong = {name: times for name, times in times_down(names).items() if times != (name in once)}
    check(not wrong, "down more or less often than that: %s" % wrong)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--prefix", default="", help="before the tests' names")
    parser.add_argument("--lab", help="what the namespaces' names begin with")
    parser.add_argument("--how", required=True, choices=("config", "probed"))
    parser.add_argument("--pid", type=int, help="the daemon")
    args = parser.parse_args()
    if args.how == "config":
        print(json.dumps(config()))
    else:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))  # on a busy machine the daemon would take this for loss
        lab = ProbingLab(args)
        world = World(lab.ns("wan"))
        main([test for name, test in list(globals().items()) if name.startswith("test_")], lab.prefix)
