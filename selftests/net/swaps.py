#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Swaps rulesets, by the control socket, while packets of several kinds go on.

What a packet meets has four parts, a list each: the destination's translation, `in`, `out`, and the source's translation. In each ruleset
`in` and `out` pass only what the translation before them has made, or what the rule before them has tagged: a packet that met parts of
both would be lost, or have one's destination and the other's source. The rules stand at different places, among others that match nothing.

There are three, since the data plane has two sets of tables: so what is filled never has what will be in it already.
"""

import json
import os
import socket
import threading
import time

import packet
import wire
from lab import Lab, WAN_ROUTER_MAC, LAN_ROUTER_MAC
from wire import check, check_equal

SWAPS = int(os.environ.get("FL_SWAPS", "1000"))
SECONDS = 300
OUTSIDE = "203.0.113.20"
KEPT = "192.0.2.53"
# destination and source that a new connection gets
LOOKS = {"a": ("192.0.2.51", "192.0.2.3"), "b": ("192.0.2.52", "192.0.2.4"), "c": ("192.0.2.54", "192.0.2.5")}
FILLERS = {"a": 3, "b": 600, "c": 40}
TRANSLATED, TAGGED, STATED, ONLY = 1000, 1001, 1002, {"a": 1003, "b": 1004, "c": 1005}

lab = Lab()


def rule(direction, **more):
    return dict({"action": "pass", "quick": True, "direction": direction, "protocol": "udp"}, **more)


def named(rules):
    for i, r in enumerate(rules):
        r["name"] = "rule %d" % i
    return rules


def ruleset(base, name, fillers):
    inside, source = LOOKS[name]
    d = dict(base)
    d["rules"] = named([rule(way, action="block", source={"address": "10.0.%d.%d" % (i / 250, i % 250)})
                        for way in ("in", "out") for i in range(fillers)] + [
        rule("in", destination={"address": inside, "port": TRANSLATED}),
        rule("out", destination={"address": inside, "port": TRANSLATED}),
        rule("in", destination={"port": [TAGGED, ONLY[name]]}, tag=name, state="none"),
        rule("out", destination={"port": [TAGGED, ONLY[name]]}, tagged=name, state="none"),
        rule("in", destination={"port": STATED}),
        rule("out", destination={"port": STATED}),
    ])
    d["nat"] = [
        {"type": "snat", "interface": "lan", "source": {"address": "10.1.%d.%d" % (i / 250, i % 250)}, "translate_to": "192.0.2.1"} for i in range(fillers)
    ] + [
        {"type": "dnat", "interface": "wan", "protocol": "udp", "destination": {"address": OUTSIDE, "port": TRANSLATED}, "translate_to": inside},
        {"type": "snat", "interface": "lan", "protocol": "udp", "destination": {"port": TRANSLATED}, "translate_to": source},
    ]
    return json.dumps(d)


class Control:
    """The daemon's socket: what the command line program would say, without starting it each time."""

    def __init__(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect("/run/fairlead/%s-router.sock" % lab.args.lab)
        self.file = self.sock.makefile("rw")

    def apply(self, text):
        self.file.write(json.dumps({"command": "apply", "body": len(text.encode())}) + "\n" + text)
        self.file.flush()
        answer = json.loads(self.file.readline())
        check_equal(answer["status"], 0, "status of apply (%s)" % answer)


class Traffic:
    """Each round sends one of each kind, with a number; what comes is counted by kind, and what is wrong kept."""

    def __init__(self):
        self.sent, self.sending = 0, True
        self.seen = dict.fromkeys([*LOOKS, "tagged", "stated", "only one"], 0)
        self.wrong = []
        self.threads = [threading.Thread(target=f, daemon=True) for f in (self.send, self.catch)]
        for thread in self.threads:
            thread.start()

    def send(self):
        def frame(dst, sport, dport):
            src = "198.51.100.%d" % (1 + self.sent // 60000)
            return packet.eth(WAN_ROUTER_MAC, lab.wan.mac, packet.udp4(src, dst, sport, dport, b"swaps"))

        stated = frame(KEPT, 999, STATED)
        while self.sending:
            sport = 1024 + self.sent % 60000  # a new connection each
            lab.wan.send(frame(OUTSIDE, sport, TRANSLATED))
            lab.wan.send(frame(KEPT, sport, TAGGED))
            lab.wan.send(stated)
            for port in ONLY.values():
                lab.wan.send(frame(KEPT, sport, port))
            self.sent += 1
            time.sleep(0.001)

    def saw(self, p):
        if p.dport == TRANSLATED:
            for name, look in LOOKS.items():
                if (p.dst, p.src) == look:
                    self.seen[name] += 1
                    return
            self.wrong.append(str(p))
        else:
            self.seen[{TAGGED: "tagged", STATED: "stated"}.get(p.dport, "only one")] += 1

    def catch(self):
        for p in lab.lan.packets_while(lambda: self.sending):
            if p.data == b"swaps":
                self.saw(p)

    def stop(self):
        self.sending = False
        for thread in self.threads:
            thread.join(30)


def test_no_packet_meets_a_mixture():
    with open(os.path.join(os.environ["FL_TMP"], "router.json")) as f:
        base = json.load(f)
    rulesets = [ruleset(base, name, FILLERS[name]) for name in LOOKS]
    control = Control()
    control.apply(rulesets[0])
    lab.flush()
    traffic = Traffic()
    begin, swaps = time.monotonic(), 0
    try:
        while swaps < SWAPS and time.monotonic() < begin + SECONDS:
            swaps += 1
            control.apply(rulesets[swaps % len(rulesets)])
    finally:
        took = time.monotonic() - begin
        traffic.stop()
    seen, sent = traffic.seen, traffic.sent
    print("# %d swaps in %.1f s, %d packets of each kind: %s; drops %s" % (swaps, took, sent, seen, lab.drops()))
    check(swaps == SWAPS, "only %d swaps in %d s" % (swaps, SECONDS))
    check(not traffic.wrong, "%d of %d packets as no ruleset says, for example %s" % (len(traffic.wrong), sent, traffic.wrong[:3]))
    check_equal(sum(seen[name] for name in LOOKS), sent, "new connections that one of them has translated, of those sent")
    check_equal(seen["tagged"], sent, "packets that all pass without a state, of those sent")
    check_equal(seen["stated"], sent, "packets of a connection that all pass, of those sent")
    check(abs(seen["only one"] - sent) <= swaps + 1,
          "%d of %d packets passed that only one passes: a swap may come between them" % (seen["only one"], sent))
    check(min(seen[name] for name in LOOKS) > sent / 10, "not all were in force: %s" % seen)


wire.main([test_no_packet_meets_a_mixture], lab.prefix)
