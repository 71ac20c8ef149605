#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""A web server on a tunnel's static prefix, walked along the document that configs/S2.json stands for: source-based routing
with pf's route-to and without state. Each test cites the line that it holds the configuration to.

--how as-shipped: the file as it is. --how changed: what the document says about variants of it, and the one rule with state
that does the same, which stays in force at the end.
"""

import json
import re
import signal
import socket
import struct
import subprocess
import time

import packet
from policylab import *
from wire import check_fields, main

SERVER, SERVER_ISP, OTHER = "2001:db8:aa::80", "2001:db8:15b:1::80", "2001:db8:aa::81"
INET_HOST = "2001:db8:f::99"
WAN_ROUTER, BROKER = "203.0.113.20", "198.51.100.1"
LAN_ROUTER_MAC, WAN_ROUTER_MAC = "02:00:00:00:01:01", "02:00:00:00:02:20"
HTTPS = ("https in from the tunnel", "https out to the server", "answers in from the server", "answers out by the tunnel")
PINGS, LAN = "ICMPv6 to the server", "all else from the LAN"

lab = PolicyLab()
lan, inet = lab.port("lan", "eth0"), lab.port("inet", "eth0")
from_router, to_router = lab.port("wan", "net0"), lab.port("wan", "net0", outgoing=True)
PORTS = (lan, inet, from_router, to_router)
with open(lab.args.config) as shipped:
    SHIPPED = shipped.read()


def flush():
    for port in PORTS:
        port.flush()


def send_lan(datagram):
    lan.send_to(LAN_ROUTER_MAC, datagram)


def send_tunnel(datagram):
    to_router.send_to(WAN_ROUTER_MAC, packet.ip4(BROKER, WAN_ROUTER, packet.IPV6, datagram))


def send_isp(datagram):
    to_router.send_to(WAN_ROUTER_MAC, datagram)


def all_of(port, seconds=0.3):
    """What came, until nothing comes any more."""
    seen = []
    while True:
        p = port.read(seconds)
        if p is None:
            return seen
        seen.append(p)


def tunnelled(packets, **fields):
    """Of the packets, what they carry in the tunnel, with these fields."""
    return [p.inner for p in packets if p.inner is not None and all(getattr(p.inner, k) == v for k, v in fields.items())]


def plain(packets, **fields):
    return [p for p in packets if p.version == 6 and all(getattr(p, k) == v for k, v in fields.items())]


def unanswered(token):
    """Nothing of it reaches the LAN, and nobody says so."""
    for p in all_of(lan) + [q for p in all_of(from_router) for q in (p, p.inner) if q is not None]:
        check(token not in p.raw and (p.quoted is None or token not in p.quoted.l4), "it came in, or was answered: %s" % p)


def apply(change):
    """The file as shipped, changed, becomes the running configuration."""
    config = json.loads(SHIPPED)
    change({rule["name"]: rule for rule in config["rules"]}, config)
    with open(lab.args.config + ".new", "w") as out:
        json.dump(config, out)
    lab.text("router", "apply", lab.args.config + ".new")


def https():
    """A conversation with the server; what went by the wire before the router, to it and from it."""
    flush()
    with lab.conversation("inet", "lan", SERVER, 443, source=INET_HOST) as (client, server):
        lab.both_ways(client, server)
        lab.both_ways(client, server)
        port = client.getsockname()[1]
    there, back = all_of(to_router), all_of(from_router)
    check(not plain(back, sport=443), "answers left by the ISP: %s" % [str(p) for p in plain(back, sport=443)])
    for p in back:
        if p.inner is not None:
            check_fields(p, "outer", src=WAN_ROUTER, dst=BROKER, hop=64)
    n_there, n_back = len(tunnelled(there, dport=443, sport=port)), len(tunnelled(back, sport=443, dport=port))
    check(n_there >= 5 and n_back >= 4, "%d packets there and %d back are no conversation" % (n_there, n_back))
    return n_there, n_back


# ---- as shipped ----


def test_the_isp_is_the_default_route():
    """L3: "the ISP-delegated prefix should be the default route": as the router advertisement said, and nothing else."""
    routes = json.loads(lab.output("router", "ip", "-6", "-j", "route", "show", "default"))
    check_equal([(r.get("dev"), r.get("protocol")) for r in routes], [("eth0", "ra")], "the default routes")
    for name, value in (("forwarding", "1"), ("accept_ra", "2")):
        check_equal(lab.output("router", "sysctl", "-n", "net.ipv6.conf.eth0." + name).strip(), value, name + " of eth0")
    to_router.send_to("33:33:00:00:00:01", packet.router_advert("02:00:00:00:02:01", [("2001:db8:15b::/64", (3600, 1800))], 9000))
    until(lambda: int(re.search(r"expires (\d+)sec", lab.output("router", "ip", "-6", "route", "show", "default"))[1]) > 8000, True,
          "the default route lives as long as the new advertisement says")


def test_the_lan_goes_by_the_isp():
    """L3, L13: what else there is goes out by the ISP, and its answers come in."""
    flush()
    with lab.conversation("lan", "inet", INET_HOST, 1300, source=SERVER_ISP) as (client, server):
        lab.both_ways(client, server)
        lab.state("router", "--host", SERVER_ISP, "--port", "1300", protocol="tcp", source=SERVER_ISP, destination=INET_HOST,
                  destination_port=1300, interface="lan", egress="wan", rule=LAN, origin="local")
    seen = all_of(from_router)
    check(len(plain(seen, dport=1300)) >= 4, "it is not seen at the ISP")
    check_equal(tunnelled(seen, dport=1300), [], "what went into the tunnel")


def test_https_by_the_tunnel():
    """L7 to L11: in by the tunnel, out to the server, its answers back into the tunnel; four rules, each packet counted by two."""
    before = lab.packets("router", HTTPS)
    n_there, n_back = https()
    until(lambda: {name: n - before[name] for name, n in lab.packets("router", HTTPS).items()},
          dict(zip(HTTPS, (n_there, n_there, n_back, n_back))), "packets by rule")


def test_no_state():
    """L5: "one must also disable state tracking"; the whole way there is none."""
    with lab.conversation("inet", "lan", SERVER, 443, source=INET_HOST) as (client, server):
        lab.both_ways(client, server)
        check_equal(lab.states("router", "--host", SERVER, "--port", "443"), [], "the states of it")
    for name in HTTPS:
        check_equal(lab.rules("router")[name]["states"], 0, "states of " + name)


def test_nothing_else_comes_in():
    """L8: to $server, port https, tcp; not by the ISP either."""
    for send, build in (
        (send_tunnel, lambda token: packet.tcp6(INET_HOST, SERVER, 800, 80, data=token)),
        (send_tunnel, lambda token: packet.udp6(INET_HOST, SERVER, 801, 443, token)),
        (send_tunnel, lambda token: packet.tcp6(INET_HOST, OTHER, 802, 443, data=token)),
        (send_isp, lambda token: packet.tcp6(INET_HOST, SERVER_ISP, 803, 443, data=token)),
        (send_isp, lambda token: packet.tcp6(INET_HOST, SERVER, 804, 443, data=token)),
    ):
        token = lab.token()
        flush()
        lab.check_dropped("router", "rule", lambda: send(build(token)))
        unanswered(token)


def test_the_servers_other_packets():
    """L3: "will usually take the default route ... and get dropped by an external router"; L10 is for its answers only."""
    token = lab.token()
    flush()

    def send():
        send_lan(packet.udp6(SERVER, INET_HOST, 1000, 1001, token))
        check_fields(from_router.expect("the packet at the ISP", lambda p: token in p.l4), version=6, src=SERVER, dst=INET_HOST, hop=63)

    lab.check_counts("router", send, {LAN: 1, HTTPS[2]: 0})
    check(not any(token in p.raw for p in all_of(inet)), "the ISP of the lab lets everything out")


def test_pings():
    """L13, the rest of the rules: ICMPv6 has a state, and goes back by the gateway of the interface that it came in by."""
    token = lab.token()
    flush()

    def send():
        send_tunnel(packet.ping6(INET_HOST, SERVER, ident=0x1300, data=token))
        outer = from_router.expect("the reply in the tunnel", lambda p: p.inner is not None and p.inner.data == token)
        check_fields(outer.inner, "reply", src=SERVER, dst=INET_HOST, type=129)

    lab.check_counts("router", send, {PINGS: 2, LAN: 0})
    rows = [s for s in lab.states("router", "--rule", PINGS) if 0x1300 in (s["source_port"], s["destination_port"])]
    check_equal([(s["protocol"], s["source"], s["destination"], s["interface"], s["egress"], s["rule"]) for s in rows],
                [("ipv6-icmp", INET_HOST, SERVER, "he0", "lan", PINGS)], "the states of it")


def test_packet_too_big():
    """The same rule: there is no state that an error about https could belong to."""
    token = lab.token()
    flush()
    quote = packet.tcp6(SERVER, INET_HOST, 443, 1301, flags=packet.ACK, data=token + bytes(1200))
    send_tunnel(packet.ip6("2001:db8:f::1", SERVER, packet.ICMP6, packet.icmp6("2001:db8:f::1", SERVER, 2, 0, 1280, quote[:1000])))
    check_fields(lan.expect("packet too big", lambda p: p.type == 2 and p.quoted is not None and token in p.quoted.l4), dst=SERVER, rest=1280)


def test_explain():
    packet_in = "--in he0 --src %s --sport 1800 --dst %s --dport 443 --proto tcp" % (INET_HOST, SERVER)
    lab.explain("router", packet_in, verdict="forward", rule=HTTPS[0], egress="lan")
    lab.explain("router", "--in lan --src %s --sport 443 --dst %s --dport 1800 --proto tcp --tcp-flags SA" % (SERVER, INET_HOST),
                verdict="forward", rule=HTTPS[2], route_to="he_gw", gateway="he_gw", tunnel="he0", egress="wan")
    lab.explain("router", "--in lan --src %s --sport 1800 --dst %s --dport 443 --proto tcp" % (SERVER_ISP, INET_HOST),
                verdict="forward", rule=LAN, egress="wan", tunnel=None, route_to=None)
    lab.explain("router", packet_in.replace("443", "80"), verdict="block")
    lab.explain("router", "--in wan --src %s --dst %s --proto tcp --dport 443" % (INET_HOST, SERVER_ISP), verdict="block")


# ---- changed ----


def changed_without_port_and_protocol():
    """L13: "it's possible to remove the port and protocol specifiers"."""
    def change(rules, _):
        for name in HTTPS:
            del rules[name]["protocol"]
            for side in ("source", "destination"):
                rules[name].get(side, {}).pop("port", None)

    apply(change)
    https()
    with lab.conversation("inet", "lan", SERVER, 8080, source=INET_HOST) as (client, server):
        lab.both_ways(client, server)
    flush()
    token, answer = lab.token(), lab.token()
    with lab.sinks(packet.UDP, ("lan", 1311)):
        send_tunnel(packet.udp6(INET_HOST, SERVER, 1310, 1311, token))
        lan.expect("UDP to the server", lambda p: p.data == token)
        send_lan(packet.udp6(SERVER, INET_HOST, 1311, 1310, answer))
        from_router.expect("its answer in the tunnel", lambda p: p.inner is not None and p.inner.data == answer)
    check_equal([s for s in lab.states("router", "--host", SERVER) if s["rule"] not in (PINGS, LAN)], [], "the states of it")
    token = lab.token()
    flush()
    lab.check_dropped("router", "rule", lambda: send_tunnel(packet.udp6(INET_HOST, OTHER, 1312, 1313, token)))
    unanswered(token)


def records(data):
    """The comments of a pcapng file's packets, one text for each: draft-ietf-opsawg-pcapng 3.1, 3.5, 4.3."""
    found, at = [], 0
    while at + 12 <= len(data):
        kind, length = struct.unpack_from("<II", data, at)
        check(length % 4 == 0 and length >= 12, "a block of %d bytes at %d" % (length, at))
        if at + length > len(data):
            break  # cut off when it was ended
        check_equal(struct.unpack_from("<I", data, at + length - 4)[0], length, "the length after a block")
        body = data[at + 8 : at + length - 4]
        if kind == 6:
            size = struct.unpack_from("<12xI", body)[0]
            found.append(" ".join(c.decode() for c in options(body[20 + (size + 3) // 4 * 4 :]).get(1, [])))
        at += length
    return found


def options(data):
    """Number -> values."""
    found, at = {}, 0
    while at + 4 <= len(data):
        code, length = struct.unpack_from("<HH", data, at)
        if code == 0:
            break
        found.setdefault(code, []).append(data[at + 4 : at + 4 + length])
        at += 4 + (length + 3) // 4 * 4
    return found


def logged(action, *words):
    """What `fairlead log` printed while something went on."""
    with subprocess.Popen(lab.command("router", "log", *words), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as log:
        time.sleep(1)  # it says nothing when it is there
        action()
        time.sleep(1)
        log.send_signal(signal.SIGINT)
        out, err = log.communicate(timeout=10)
    check(out, "fairlead log %s printed nothing; %s" % (" ".join(words), err.decode()))
    return out


def tcpdump(data, *words):
    done = subprocess.run(["tcpdump", "-n", "-r", "-", *words], input=data, capture_output=True, timeout=20, check=False)
    check_equal(done.returncode, 0, "tcpdump's exit status (%s)" % done.stderr.decode())
    return done.stdout.decode()


def with_log(rules, _):
    for name in HTTPS:
        rules[name]["log"] = True


def changed_logged_as_pcap():
    """L17: "a lot of mileage out of pf logging and various tcpdump filters"."""
    apply(with_log)
    data = logged(https, "--pcap", "-")
    for interface, direction, rule in zip(("he0", "lan", "lan", "he0"), ("in", "out", "in", "out"), HTTPS):
        of_rule = [text for text in records(data) if rule in text]
        check(len(of_rule) >= 4, "%s: only %d packets of %s" % (rule, len(of_rule), records(data)))
        for text in of_rule:
            for word in ("pass", direction, interface):
                check(re.search(r"\b%s\b" % word, text.replace(rule, "")), "no %s in the comment %r" % (word, text))
    dump = tcpdump(data, "ip6 and tcp port 443")
    for pattern in (r"%s\.\d+ > %s\.443: Flags \[S\]" % (INET_HOST, SERVER), r"%s\.443 > %s\.\d+: Flags \[S\.\]" % (SERVER, INET_HOST)):
        check(re.search(pattern, dump), "tcpdump shows no %s: %s" % (pattern, dump))
    check_equal(tcpdump(data, "udp"), "", "what tcpdump shows of UDP")


def changed_logged_of_a_rule():
    """L17, with fairlead log's own selectors."""
    apply(with_log)
    lines = logged(https, "--rule", HTTPS[2], "--host", SERVER).decode().splitlines()
    check(len(lines) >= 4, "only %s" % lines)
    check(all(HTTPS[2] in line and SERVER in line for line in lines), "lines of other packets: %s" % lines)
    data = logged(https, "--interface", "he0", "--pcap", "-")
    check(records(data) and all(re.search(r"\bhe0\b", text) for text in records(data)), "not only packets of he0: %s" % records(data))


def one_rule(rules, config):
    del rules[HTTPS[0]]["state"]
    config["rules"] = [rules[HTTPS[0]], rules[PINGS], rules[LAN]]


def changed_one_rule_with_state():
    """Not in the document: the state remembers by which gateway the connection came in, and that is where the answers go."""
    apply(one_rule)
    before = lab.packets("router", [HTTPS[0], LAN])
    n_there, n_back = https()
    until(lambda: {name: n - before[name] for name, n in lab.packets("router", before).items()}, {HTTPS[0]: n_there + n_back, LAN: 0},
          "packets by rule")


def changed_states_of_a_rule():
    """L19: "isolating rules that had introduced spurious state tracker entries"."""
    selectors = ("--rule", HTTPS[0], "--host", SERVER)
    apply(lambda rules, config: None)
    lab.text("router", "kill", "states", "--all")
    with lab.conversation("inet", "lan", SERVER, 443, source=INET_HOST) as (client, server):
        lab.both_ways(client, server)
        check_equal(lab.states("router", *selectors), [], "states of a rule without")
    apply(one_rule)
    with lab.conversation("inet", "lan", SERVER, 443, source=INET_HOST) as (client, server):
        lab.both_ways(client, server)
        sport = client.getsockname()[1]
        lab.state("router", *selectors, protocol="tcp", source=INET_HOST, source_port=sport, destination=SERVER, destination_port=443,
                  interface="he0", egress="lan", rule=HTTPS[0], origin="local")
        check_equal(lab.states("router", "--rule", LAN, "--host", SERVER), [], "states of another rule")
        check_equal(lab.rules("router")[HTTPS[0]]["states"], 1, "the rule's states")
        answer = lab.explain("router", "--in lan --src %s --sport 443 --dst %s --dport %d --proto tcp --tcp-flags A"
                             % (SERVER, INET_HOST, sport), verdict="forward", rule=HTTPS[0], gateway="he_gw", tunnel="he0")
        check(answer["state"], "its state is not told: %s" % answer)


def changed_one_rule_lets_no_more_in():
    apply(one_rule)
    for datagram in (packet.tcp6(INET_HOST, SERVER, 810, 80), packet.tcp6(INET_HOST, OTHER, 811, 443)):
        lab.check_dropped("router", "rule", lambda: send_tunnel(datagram))


CHANGED = [changed_without_port_and_protocol, changed_logged_as_pcap, changed_logged_of_a_rule, changed_one_rule_with_state,
           changed_states_of_a_rule, changed_one_rule_lets_no_more_in]

if __name__ == "__main__":
    shipped_tests = [value for name, value in list(globals().items()) if name.startswith("test_")]
    main(CHANGED if lab.how == "changed" else shipped_tests, lab.prefix)
