#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""show_rules.sh's tests: what `explain`, `show rules`, `show nat` and `alias` say, held against what happens on the wire."""

import ctypes
import hashlib
import json
import mmap
import os
import platform
import select
import socket
import struct
import subprocess
import tempfile
import time

from lab import *
from wire import check, check_equal, main, namespace

lab = Lab()
LAN4, ROUTER4, WAN_HOST = "192.0.2.80", "192.0.2.1", "203.0.113.1"
PINS = "/sys/fs/bpf/fairlead/%s-router/" % lab.args.lab
SYS_BPF = {"x86_64": 321, "aarch64": 280}[platform.machine()]
BPF_OBJ_GET = 7
last_port = 20000


def fresh_port():
    """A source port that no test has used."""
    global last_port
    last_port += 1
    return last_port


def attempt(ns, address, proto, port, source):
    """As rules_peer.py says: "open ADDRESS PORT", "silence" or the error."""
    program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "rules_peer.py")
    command = ["nsenter", "--net=/run/netns/" + lab.ns(ns), "/usr/bin/python3", program, address, proto, str(port), str(source)]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=20).stdout.strip()


def explain(src, dst, proto, port, source, interface="lan"):
    return lab.fl("explain", "--in", interface, "--src", src, "--dst", dst, "--proto", proto, "--dport", str(port), "--sport", str(source))


def counters():
    """Packets by (name, direction) of what counts any; default_action has two rows."""
    return {(r["name"], r["direction"]): r["packets"] for r in lab.fl("show", "rules") if r["packets"] is not None}


def rule(name, key):
    return next(r[key] for r in lab.fl("show", "rules") if r["name"] == name)


def grown(before):
    """Rules that have counted since, but for what default_action lets out."""
    return sorted(name for (name, way), n in counters().items() if n > before[name, way] and (name, way) != ("default_action", "out"))


def status(*arguments):
    """Exit status, and all that was printed."""
    command = [os.environ["FL_BUILD"] + "/fairlead", "--instance", lab.args.lab + "-router", *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=20)
    return done.returncode, done.stdout


# destination, protocol, port -> verdict, rule, and what the sender sees of it
FROM_LAN = [
    (WAN_HOST, "tcp", 80, "forward", "web", "open"),
    (WAN_HOST, "udp", 5000, "forward", "by the provider", "open"),
    (WAN_HOST, "udp", 5001, "forward", "stateless", "open"),
    (WAN_HOST, "tcp", 25, "block", "default_action", "silence"),
    (WAN_HOST, "udp", 5002, "block", "default_action", "silence"),
    (WAN_HOST, "tcp", 23, "reject", "no telnet", "ConnectionRefusedError"),
    (WAN_HOST, "udp", 5003, "reject", "no 5003", "ConnectionRefusedError"),
    (WAN_HOST, "udp", 5004, "block", "by nobody", "silence"),
    (WAN_HOST, "udp", 5005, "block", "default_action", "silence"),
    (ROUTER4, "tcp", 80, "deliver", "web", "ConnectionRefusedError"),
    (LAN_ROUTER, "tcp", 443, "deliver", "web", "ConnectionRefusedError"),
]


def test_what_explain_says_happens():
    for dst, proto, port, verdict, name, outcome in FROM_LAN:
        what, source = "%s %s" % (proto, port), fresh_port()
        said = explain(LAN_HOST if ":" in dst else LAN4, dst, proto, port, source)
        check_equal((said["verdict"], said["rule"]), (verdict, name), "%s: what explain says, %s," % (what, said))
        check_equal(said["state"], "none" if verdict in ("block", "reject") else "new", what + ": its state")
        before = counters()
        seen = attempt("lan", dst, proto, port, source)
        check(seen.startswith(outcome), "%s: %s, expected %s" % (what, seen, outcome))
        check_equal(grown(before), [name], what + ": the rules that have counted it")
        if outcome == "open":
            check_equal(said["nat"], "snat 0", what + ": the translation")
            want = "open %s %d" % (said["translated_source"], said["translated_source_port"])
            check_equal(seen, want, what + ": who it comes from")


def test_by_the_rules_gateway():
    said = explain(LAN4, WAN_HOST, "udp", 5000, 4000)
    check_equal((said["route_to"], said["gateway"], said["egress"]), ("isp_gw", "isp_gw", "wan"), "the way")
    said = explain(LAN4, WAN_HOST, "tcp", 80, 4000)
    check_equal((said["route_to"], said["gateway"], said["in_rule"], said["out_rule"]), (None, "isp_gw", "web", "default_action"),
                "the way without a rule's gateway")
    said = explain(LAN4, WAN_HOST, "udp", 5004, 4000)
    check_equal((said["reason"], said["egress"]), ("gateway-down", None), "by a gateway that is down")


def test_from_outside():
    source = fresh_port()
    said = explain(WAN_HOST, WAN_ROUTER, "tcp", 80, source, "wan")
    check_equal([said[k] for k in "verdict rule nat translated_destination translated_destination_port egress".split()],
                ["forward", "to the inside", "dnat 1", LAN4, 8080, "lan"], "what explain says")
    check_equal(attempt("wan", WAN_ROUTER, "tcp", 80, source), "open %s %d" % (WAN_HOST, source), "what happens")
    source = fresh_port()
    said = explain(WAN_HOST, WAN_ROUTER, "tcp", 81, source, "wan")
    check_equal((said["verdict"], said["rule"], said["reason"]), ("block", "default_action", "default_action"), "what explain says")
    check_equal(attempt("wan", WAN_ROUTER, "tcp", 81, source), "silence", "what happens")


def test_by_the_tunnel():
    said = explain(INET_HOST, LAN_HOST, "udp", 5010, 4000, "he0")
    check_equal((said["verdict"], said["rule"], said["egress"]), ("forward", "by the tunnel", "lan"), "to the inside")
    said = explain(INET_HOST, "2001:db8:f::98", "udp", 5010, 4000, "he0")
    check_equal((said["verdict"], said["reason"]), ("drop", "point-to-point-loop"), "what explain says of what would go back")
    counted = lab.counted(lambda: lab.from_tunnel(packet.udp6(INET_HOST, "2001:db8:f::98", 4000, 5010)))
    check_equal(counted, {"point-to-point-loop": 1}, "what happens")


def test_what_is_not_answered():
    ask = lambda flags: lab.fl(*"explain --in lan --dst 203.0.113.1 --proto tcp --dport 23 --src".split(), LAN4, "--tcp-flags", flags)
    check_equal([(said["verdict"], said.get("answer")) for said in (ask("S"), ask("R"))], [("reject", "tcp reset"), ("reject", None)],
                "a SYN, and a reset")


def test_own():
    said = explain(WAN_ROUTER, WAN_HOST, "udp", 5002, 4000, "self")
    check_equal((said["verdict"], said["rule"], said["egress"]), ("forward", "default_action", "wan"), "what it sends")
    check(attempt("router", WAN_HOST, "udp", 5002, fresh_port()).startswith("open"), "it is answered")
    said = explain(WAN_ROUTER, WAN_HOST, "udp", 5007, 4000, "self")
    check_equal((said["verdict"], said["rule"]), ("block", "nothing to 5007"), "what it may not send")
    before = counters()
    check(not attempt("router", WAN_HOST, "udp", 5007, fresh_port()).startswith("open"), "it is sent nevertheless")
    check_equal(grown(before), ["nothing to 5007"], "the rule that has counted it")
    said = lab.fl("explain", "--in", "lan", "--src", "fe80::1", "--dst", "ff02::1", "--proto", "ipv6-icmp", "--icmp-type", "nd-neighbor-advert")
    check_equal((said["verdict"], said["rule"], said["reason"]), ("deliver", None, "for the host; passes without a rule"), "neighbour discovery")


def test_own_in_fragments():
    """The answer's fragments come at once: later ones are in XDP before the first is at tc."""
    command = "ping -n -q -c 5 -i 0.05 -W 2 -s 4000".split() + [WAN_HOST]
    with namespace(lab.ns("router")):
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, timeout=20)
    check(" 5 received" in done.stdout, done.stdout)


def packets_of(ns, device):
    """As most DHCP clients listen: on a packet socket for IPv4, which is behind tc ingress."""
    with namespace(lab.ns(ns)):
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(packet.ETH_IP))
        sock.bind((device, packet.ETH_IP))
    return sock


def hears(sock, token, seconds):
    """Whether it gets the packet that bears the token."""
    until = time.monotonic() + seconds
    while select.select([sock], [], [], max(until - time.monotonic(), 0))[0]:
        if token in sock.recv(2000):
            return True
    return False


def test_offers_by_dhcp():
    with packets_of("router", "wan0") as client:
        for dst in ("203.0.113.77", "198.18.0.77", "192.0.2.77"):
            said = explain(WAN_HOST, dst, "udp", 68, 67, "wan")
            check_equal((said["verdict"], said["reason"]), ("deliver", "for the host; passes without a rule"), "an offer of %s" % dst)
            before, token = counters(), lab.token()
            lab.flush()
            lab.from_wan(packet.udp4(WAN_HOST, dst, 67, 68, token))
            check(hears(client, token, 2), "the client does not hear of %s" % dst)
            check_equal(grown(before), [], "rules that have counted the offer of %s" % dst)
            lab.lan.quiet(lambda p, token=token: token in p.raw, 0.1)
            lab.wan.quiet(lambda p, token=token: token in p.raw, 0.1)
        token = lab.token()
        lab.from_wan(packet.udp4(WAN_HOST, "203.0.113.77", 67, 69, token))
        check(not hears(client, token, 0.3), "the client hears what is no offer")


def test_known():
    source = fresh_port()
    outside = attempt("lan", WAN_HOST, "udp", 5000, source).split()
    said = explain(LAN4, WAN_HOST, "udp", 5000, source)
    check_equal([said[k] for k in "verdict rule nat state translated_source translated_source_port route_to".split()],
                ["forward", "by the provider", "snat 0", "MULTIPLE:SINGLE", outside[1], int(outside[2]), "isp_gw"], "of the sender")
    said = explain(WAN_HOST, outside[1], "udp", outside[2], 5000, "wan")
    check_equal([said[k] for k in "verdict rule nat state translated_destination translated_destination_port egress".split()],
                ["forward", "by the provider", "snat 0", "MULTIPLE:SINGLE", LAN4, source, "lan"], "of the answer")


def test_limits():
    for n in range(2):
        source = fresh_port()
        said = explain(LAN4, WAN_HOST, "udp", 5008, source)
        check_equal(said["verdict"], "forward", "connection %d" % n)
        check(attempt("lan", WAN_HOST, "udp", 5008, source).startswith("open"), "connection %d is answered" % n)
    said = explain(LAN4, WAN_HOST, "udp", 5008, fresh_port())
    check_equal((said["verdict"], said["reason"]), ("drop", "state-limit"), "one too many")
    check_equal(attempt("lan", WAN_HOST, "udp", 5008, fresh_port()), "silence", "one too many")


def mapped(name):
    """A digest of an array that can be mapped."""
    path = ctypes.create_string_buffer((PINS + name).encode())
    attributes = ctypes.create_string_buffer(struct.pack("<QII", ctypes.addressof(path), 0, 0), 128)
    fd = ctypes.CDLL(None, use_errno=True).syscall(SYS_BPF, BPF_OBJ_GET, attributes, 128)
    check(fd >= 0, name + " can't be opened")
    info = dict(line.split(":\t") for line in open("/proc/self/fdinfo/%d" % fd).read().splitlines())
    size = ((int(info["value_size"]) + 7) & ~7) * int(info["max_entries"])
    with mmap.mmap(fd, (size + 4095) & ~4095, mmap.MAP_SHARED, mmap.PROT_READ) as memory:
        digest = hashlib.blake2b(memory).hexdigest()
    os.close(fd)
    return digest


def listed(name):
    return subprocess.run(["bpftool", "map", "dump", "pinned", PINS + name], stdout=subprocess.PIPE, check=True, timeout=20).stdout


def everything():
    arrays = "fl_buckets fl_states fl_state_counts fl_rule_stats fl_rule_states fl_rule_memo".split()
    hashes = "fl_eim fl_rule_sources fl_fragments fl_event_stats fl_drops fl_nh_failed fl_npt_stats".split()
    return {**{name: mapped(name) for name in arrays}, **{name: listed(name) for name in hashes}}


def test_no_trace():
    """explain changes nothing that programs write. What the hosts say of themselves meanwhile may: then it is tried again."""
    for _ in range(10):
        before = everything()
        for dst, proto, port, *_ in FROM_LAN:
            explain(LAN_HOST if ":" in dst else LAN4, dst, proto, port, 4000)
        explain(LAN4, WAN_HOST, "udp", 5008, 4000)  # counted by source
        explain(WAN_HOST, WAN_ROUTER, "tcp", 80, 4000, "wan")
        explain(WAN_ROUTER, WAN_HOST, "udp", 5002, 4000, "self")
        after = everything()
        changed = [name for name in before if before[name] != after[name]]
        if not changed:
            break
        time.sleep(0.3)
    check(not changed, "changed: %s" % changed)
    attempt("lan", WAN_HOST, "udp", 5000, fresh_port())
    after = everything()
    check({"fl_states", "fl_rule_states", "fl_eim"} <= {name for name in before if before[name] != after[name]}, "a packet leaves no trace either")


def apply(change):
    """The running configuration, changed by a function."""
    config = lab.fl("show", "config")
    change(config)
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(config, file)
        file.flush()
        code, text = status("apply", file.name)
    check_equal(code, 0, "apply: " + text)


def states_of(name):
    return [s for s in lab.fl("show", "states") if s["rule"] == name]


def test_names_over_a_reload():
    """A rule before it: another index, and all else stays with the name."""
    source = fresh_port()
    attempt("lan", WAN_HOST, "udp", 5000, source)
    before = {key: rule("by the provider", key) for key in ("index", "packets", "bytes", "states")}
    nat = lab.fl("show", "nat")[0]
    check(before["packets"] and before["states"] and nat["packets"], "nothing is counted: %s %s" % (before, nat))
    first = {"name": "the first", "action": "block", "quick": True, "protocol": "udp", "destination": {"port": 9999}}
    apply(lambda c: (c["rules"].insert(0, first), c["nat"].insert(0, dict(c["nat"][1], destination={"address": WAN_ROUTER, "port": 82}))))
    before["index"] += 1
    check_equal({key: rule("by the provider", key) for key in before}, before, "the rule")
    check_equal([lab.fl("show", "nat")[1][key] for key in ("type", "packets")], ["snat", nat["packets"]], "the translation")
    check_equal(explain(LAN4, WAN_HOST, "udp", 5000, source)["nat"], "snat 1", "the translation's name")
    check(len(states_of("by the provider")) == before["states"], "the states have lost their rule: %s" % lab.fl("show", "states"))
    attempt("lan", WAN_HOST, "udp", 5000, source)
    check_equal(rule("by the provider", "packets"), before["packets"] + 2, "packets after two more of a state")
    check_equal(rule("by the provider", "states"), before["states"], "states after two packets of one")
    apply(lambda c: (c["rules"].pop(0), c["nat"].pop(0)))
    check_equal(rule("by the provider", "index"), before["index"] - 1, "the index as before")
    check_equal(rule("by the provider", "packets"), before["packets"] + 2, "packets as before")


def test_rows():
    rows = lab.fl("show", "rules")
    check(all({"index", "name", "action", "packets", "bytes", "states"} <= set(r) for r in rows), "a row without a key")
    file = [r["name"] for r in lab.fl("show", "config")["rules"]]
    check_equal([r["name"] for r in rows if r["index"] is not None], file, "rules in the file's order")
    check_equal([r["index"] for r in rows[: len(file)]], list(range(len(file))), "their indices")
    check_equal([(r["name"], r["direction"], r["action"]) for r in rows[len(file) : len(file) + 2]],
                [("default_action", "in", "block"), ("default_action", "out", "pass")], "behind them")
    check_equal([(r["name"], r["action"]) for r in rows[len(file) + 2 :]],
                [(name, "pass") for name in ("ARP", "neighbour discovery", "router advertisements", "DHCP client",
                                             "ICMP errors of known states", "tunnel outers", "fairlead's probes")],
                "what passes without one")
    check_equal([r["name"] for r in rows if not r["live"]], ["skipped"], "rules that are not in force")
    check(all({"index", "type", "packets", "bytes", "states"} <= set(r) for r in lab.fl("show", "nat")), "a translation without a key")
    check_equal([r["match"] for r in rows[:2]], ["proto icmp,ipv6-icmp from $office", "proto tcp from $everybody to any port 80,443"], "what is matched")


def test_aliases():
    check_equal([(r["name"], r["kind"], r["entries"]) for r in lab.fl("show", "aliases")],
                [("office", "addresses", 2), ("web", "ports", 2), ("guests", "empty", 0), ("everybody", "addresses", 2)], "aliases")
    opens = lambda: attempt("lan", WAN_HOST, "tcp", 80, fresh_port()).split()[0]
    check_equal(status("alias", "test", "everybody", LAN4), (0, '192.0.2.80 is in "everybody" ($office: 192.0.2.0/24)\n'), "test")
    check_equal(status("alias", "remove", "office", LAN4)[0], 1, "removing a part of an entry")
    check_equal((opens(), status("alias", "remove", "office", "192.0.2.0/24")[0], opens()), ("open", 0, "silence"), "removed")
    check_equal(status("alias", "test", "everybody", LAN4)[0], 1, "test of what is not in it")
    check_equal(status("alias", "remove", "office", "192.0.2.0/24")[0], 1, "removing it again")
    check_equal((status("alias", "add", "guests", LAN4)[0], opens()), (0, "open"), "added to an alias that it names")
    check_equal(explain(LAN4, WAN_HOST, "tcp", 80, 4000)["rule"], "web", "what explain says of it")
    check_equal(status("alias", "add", "guests", LAN4)[0], 0, "adding it again")
    check_equal([r["at_run_time"] for r in lab.fl("show", "aliases")], [0, 0, 1, 0], "at run time")
    check_equal((status("alias", "remove", "guests", LAN4)[0], opens()), (0, "silence"), "removed there")
    apply(lambda c: None)
    check_equal(opens(), "open", "after an apply of the same configuration")


def test_aliases_refused():
    for arguments, code, text in (
        (("add", "gusts", LAN4), 2, 'did you mean "guests"'),
        (("add", "web", LAN4), 2, "holds ports"),
        (("test", "web", "80"), 2, "holds ports"),
        (("add", "guests", "192.0.2.1/24"), 2, 'did you mean "192.0.2.0/24"'),
        (("add", "guests", "nobody"), 2, "an address, a prefix, or a range"),
        (("add", "four", "2001:db8::1"), 2, "holds IPv4 addresses only"),
        (("add", "guests"), 2, "add, remove or test"),
        (("list", "guests", LAN4), 2, "add, remove or test"),
    ):
        if arguments[1] == "four":
            apply(lambda c: c["aliases"].update(four=["192.0.2.1"]))
        got = status("alias", *arguments)
        check(got[0] == code and text in got[1], "alias %s: %s" % (" ".join(arguments), got))
    apply(lambda c: c["aliases"].pop("four"))


def test_aliases_under_traffic():
    """A rule that is not touched passes every packet while another's alias changes."""
    command = ["nsenter", "--net=/run/netns/" + lab.ns("lan"), "ping", "-n", "-q", "-i", "0.002", "-c", "500", WAN_HOST]
    ping = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    while ping.poll() is None:
        check_equal(status("alias", "add", "guests", "198.51.100.0/24")[0], 0, "add")
        check_equal(status("alias", "remove", "guests", "198.51.100.0/24")[0], 0, "remove")
    check(" 0% packet loss" in ping.stdout.read(), "packets are lost")


if __name__ == "__main__":
    main(tests_of(globals()), lab.prefix)
