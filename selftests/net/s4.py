#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""What configs/S4-a.json and S4-b.json stand for: the tests by unplugging that the document ends with, with adverts each second.

--how native|tc: of all interfaces.
"""

from pairlab import *
from wire import main

WORLD, VIP, LAN_VIP = "198.51.100.1", "172.25.46.100", "192.168.0.10"
UNPLANNED = 4.0  # s; three adverts and the skew, and what a busy machine takes
RELIEVED = 0.6  # s; a master that loses a link says so, by the other where the first is the sync link: less than one advert

lab = PairLab(("S4-a.json", "S4-b.json"), {"wan": "eth0", "lan": "eth1"},
              streams=[("lan", "isp", WORLD)],
              shared=[("lan", "lan", "192.168.0.50", LAN_VIP), ("wan", "isp", "172.25.46.1", VIP)],
              advert=1, advskew=1)
a, b = lab.nodes
traffic = lab.traffic


def adapt(config):
    for interface in config["interfaces"].values():
        interface["mode"] = lab.how
    config.pop("hooks", None)


def test_start():
    lab.start(adapt)
    with traffic("nothing happens", 0.1, 0) as t:
        row = lab.state("a", "--port", str(t.port), source="192.168.0.50", translated_source=VIP)
        until(lambda: len(lab.states("b", "--port", str(t.port))), 1, "the state at the standby")
        there = lab.state("b", "--port", str(t.port), source="192.168.0.50", translated_source=VIP, origin="peer")
        check_equal(there["translated_source_port"], row["translated_source_port"], "its port outside")


def test_a_rule_of_the_primary_appears_on_the_standby():
    rule = {"name": "ssh from the world", "action": "pass", "quick": True, "direction": "in", "interface": "wan", "protocol": "tcp",
            "destination": {"address": "wan_vip", "port": 22}}
    a.configure(lambda config: config["rules"].insert(0, rule))
    a.fl("apply")
    check("ssh from the world" in lab.rules("b"), "the standby has %s" % list(lab.rules("b")))
    for node in lab.nodes:
        row = node.ask("show", "sync")[0]
        check_equal((row["config_match"], row["pending"]), (True, False), "what %s says of it" % node.name)


def test_the_master_is_powered_off():
    with traffic("power off", UNPLANNED) as t:
        a.power(False)
        t.flow()
        check(b.has("master"), "roles: %s" % b.roles())
    with traffic("power on", 1.0):
        a.power(True)
        lab.settled(timeout=60)


def cable(segment):
    with traffic("%s cable" % segment, RELIEVED) as t:
        a.cable(segment, "down")
        until(lambda: b.has("master"), True, "whether the other has all")
        t.flow()
        a.cable(segment, "up")
        lab.settled()


def test_the_wan_cable_is_pulled():
    cable("wan")


def test_the_lan_cable_is_pulled_which_carries_sync():
    cable("lan")


def test_carp_is_disabled_by_hand():
    with traffic("disabled by hand", 1.0) as t:
        a.fl("vip", "disable")
        until(lambda: (a.has("disabled"), b.has("master")), (True, True), "whether it is disabled and the other has all")
        t.flow()
        a.fl("vip", "enable")
        lab.settled()


# By tc what the hook has a part in
BY_TC = ("start", "the_master_is_powered_off", "the_lan_cable_is_pulled_which_carries_sync")


if __name__ == "__main__":
    try:
        main([test for name, test in list(globals().items())
              if name.startswith("test_") and (lab.how != "tc" or name[len("test_"):] in BY_TC)], lab.prefix)
    finally:
        lab.stop()
