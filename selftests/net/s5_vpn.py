#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""S5's VPN, behind s5.py in its lab: configs/hooks/openvpn.sh has OpenVPN run at the node that is master, bound to the shared address. Its other
end is the world's. The LAN goes out by it, at either node, and in no moment in clear text.
"""

import os
import shutil
import signal
import subprocess
import time

from s5 import *
from wire import main

KEY = os.path.join(lab.tmp, "vpn.key")
PORT = 9000
OPENVPN = ["openvpn", "--dev", "tun0", "--proto", "udp4", "--lport", "1194", "--secret", KEY, "--cipher", "AES-256-CBC", "--ping", "1"]
UPLINK = 5  # s: OpenVPN's end at one node, its start at the other
other_end = None

# What systemd would do with the unit. A session of its own, as fairleadd(8) says: daemon(3)'s child begins one too, but maybe after the script's end
SERVICE = """#!/bin/sh
stop() {
	[ -s %(dir)s/pid ] || return 0
	kill "$(cat %(dir)s/pid)" 2> /dev/null
	while kill -0 "$(cat %(dir)s/pid)" 2> /dev/null; do sleep 0.02; done
	rm -f %(dir)s/pid
}
stop
[ "$1" = stop ] || setsid %(start)s --daemon --writepid %(dir)s/pid
"""


def folder(node):
    return os.path.join(lab.tmp, "vpn-" + node.name)


def executable(path, text):
    with open(path, "w", opener=lambda p, flags: os.open(p, flags, 0o755)) as file:
        file.write(text)


def with_hook(node):
    def change(config):
        adapt(config)
        config["hooks"] = {"vip": [folder(node) + "/openvpn.sh"]}
    start = [*OPENVPN, "--ifconfig", "10.8.0.2", "10.8.0.1", "--local", "203.0.113.1", "--remote", "198.51.100.1", "1194"]
    os.mkdir(folder(node))
    shutil.copy(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../configs/hooks/openvpn.sh"), folder(node))
    os.chmod(folder(node) + "/openvpn.sh", 0o755)
    executable(folder(node) + "/service", SERVICE % {"dir": folder(node), "start": " ".join(start)})
    with open(folder(node) + "/openvpn.env", "w") as file:
        file.write("START='%s/service start' STOP='%s/service stop'\n" % (folder(node), folder(node)))
    node.configure(change)


def vpn_dies(node):
    """With the rest of the machine."""
    with contextlib.suppress(OSError, ValueError):
        with open(folder(node) + "/pid") as file:
            os.kill(int(file.read()), signal.SIGKILL)
        os.unlink(folder(node) + "/pid")


def vpn_of(node):
    return [row["status"] for row in node.ask("show", "gateways") or [] if row["name"] == "VPN_GW"]


def lab_command(name, *words):
    return ["nsenter", "--net=/run/netns/" + lab.ns(name), "--", *words]


def test_start():
    global other_end
    subprocess.run(["openvpn", "--genkey", "secret", KEY], check=True)
    other_end = subprocess.Popen(lab_command("isp", *OPENVPN, "--ifconfig", "10.8.0.1", "10.8.0.2", "--local", "198.51.100.1", "--float"),
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for node in lab.nodes:
        with_hook(node)
        node.start(wait=False)
    for node in lab.nodes:
        node.wait_started()
    lab.settled()
    until(lambda: vpn_of(a), ["up"], "the VPN at the master", 30)


def in_clear_text(port):
    """What the world has got meanwhile of the LAN's, not by the tunnel."""
    found = []
    end = time.monotonic() + 10
    while (p := port.read(0)) and time.monotonic() < end:
        if PORT in (p.sport, p.dport) or (p.src or "").startswith("10.0.1."):
            found.append(str(p))
    return found


def moves(what, begin, back):
    """There, and back; both ways the LAN gets through again."""
    world = lab.port("isp", "eth0")
    pings = Pings(lab, "lan", "isp", "10.8.0.1", PORT)
    try:
        pings.flows(15)
        for name, act in ((what, begin), ("back", back)):
            since = time.monotonic()
            act()
            pings.flows(30)
            print("# the VPN, %s: gap %.0f ms" % (name, pings.gap(since) * 1000))
            check(pings.gap(since) <= UPLINK, "%s: a gap of %s s" % (name, pings.gap(since)))
    finally:
        pings.finish()
    check_equal(in_clear_text(world), [], "what left in clear text")
    world.sock.close()


def test_maintenance():
    def on():
        a.fl("vip", "maintenance", "on")
        lab.settled(b)

    def off():
        a.fl("vip", "maintenance", "off")
        lab.settled()
    moves("maintenance", on, off)


def test_power_loss():
    def off():
        a.power(False)
        vpn_dies(a)
        until(lambda: b.has("master"), True, "whether the other has taken over")

    def on():
        a.power(True)
        lab.settled()
    moves("power loss", off, on)


def test_kill_of_the_daemon():
    """OpenVPN goes on at a node that has the address no more: what it sends from there is dropped."""
    def kill():
        a.end()
        until(lambda: b.has("master"), True, "whether the other has taken over")

    def start():
        a.start()
        lab.settled()
    moves("kill -9", kill, start)


if __name__ == "__main__":
    try:
        main([test_start, test_maintenance, test_power_loss, test_kill_of_the_daemon], lab.prefix + "vpn-")
    finally:
        lab.stop()
        for each in lab.nodes:
            vpn_dies(each)
        if other_end:
            other_end.kill()
            other_end.wait()
