#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""One's own tunnel broker, walked along the document that configs/S1-broker.json and S1-home.json stand for: "Be your own
tunnel broker: 6in4". The tests are in its order; each cites the line that it holds the configurations to.

--how public: the home router has the public address. --how behind-fairlead: behind fairlead with S1-home-nat-device.json.
--how behind-nftables: behind another NAT device, which forwards protocol 41 of anybody.
"""

import json
import re
import socket
import struct

import packet
from policylab import *
from wire import check_fields, check_sound, main

HOST, HOME_LAN, INET_HOST = "2001:db8:cccc:5b11::80", "2001:db8:cccc:5b11::1", "2001:db8:f::99"
BROKER_END, HOME_END = "2001:db8:cccc:5b10::a", "2001:db8:cccc:5b10::b"
BROKER6 = "2001:db8:cccc:5b00:0:ff:fe00:310"  # by router advertisement
NOBODY = "2001:db8:cccc:5b20::1"  # in the broker's prefix, and nobody's
BROKER, PUBLIC, PRIVATE, STRANGER = "198.51.100.10", "203.0.113.20", "192.168.1.2", "198.51.100.66"
HOME_LAN_MAC, WAN_INET_MAC, BROKER_MAC, WAN_BROKER_MAC = ("02:00:00:00:0" + n for n in ("1:01", "4:01", "3:10", "3:01"))
GRE, SCTP = 47, 132

lab = PolicyLab()
BEHIND_NAT = lab.how != "public"
PUBLIC_MAC = "02:00:00:00:06:02" if BEHIND_NAT else "02:00:00:00:02:20"
lan, inet = lab.port("lan", "eth0"), lab.port("inet", "eth0")
from_home, to_home = lab.port("wan", "net0"), lab.port("wan", "net0", outgoing=True)
from_broker, to_broker = lab.port("wan", "net1"), lab.port("wan", "net1", outgoing=True)
of_home = lab.port("nat", "eth1")  # what the home router sends, before a NAT device has had it
PORTS = (lan, inet, from_home, to_home, from_broker, to_broker, of_home)


def flush():
    for port in PORTS:
        port.flush()


def send_lan(datagram):
    lan.send_to(HOME_LAN_MAC, datagram)


def send_inet(datagram):
    inet.send_to(WAN_INET_MAC, datagram)


def lan_seen():
    """What reached the LAN before a ping that certainly does."""
    token = lab.token()
    send_inet(packet.ping6(INET_HOST, HOST, data=token))
    return lan.until(lambda p: p.data == token)


def inet_seen():
    """What reached the internet before a packet that certainly does."""
    token = lab.token()
    send_lan(packet.udp6(HOST, INET_HOST, 9, 9, token))
    return inet.until(lambda p: p.proto == packet.UDP and p.data == token)


def carries(token):
    return lambda p: p.inner is not None and token in p.inner.l4


def nowhere(token):
    """Neither it nor an answer to it comes out."""
    for p in lan_seen() + inet_seen():
        check(token not in p.raw, "it came out, or was answered: %s" % p)


# ---- the tunnel: L16, L18, L20, L22, L26 to L30 ----


def test_outer_of_home():
    """L26: local y, or behind NAT the private address (L32), remote x, ttl 64."""
    token = lab.token()
    flush()
    send_lan(packet.ping6(HOST, INET_HOST, data=token))
    if lab.how == "behind-nftables":  # fairlead takes it before a socket sees it
        outer = of_home.expect("the request in the tunnel", carries(token))
        check_sound(outer, "outer")
        check_fields(outer, "outer", src=PRIVATE, dst=BROKER, hop=64, proto=packet.IPV6)
        check_fields(outer.inner, "inner", src=HOST, dst=INET_HOST, hop=63)
    outer = from_home.expect("the request in the tunnel, on the internet", carries(token))
    check_sound(outer, "outer on the internet")
    check_fields(outer, "outer on the internet", src=PUBLIC, dst=BROKER, hop=64 if lab.how == "public" else 63)
    check_fields(outer.inner, "inner", src=HOST, dst=INET_HOST, hop=63)
    p = inet.expect("the request at its destination", lambda p: p.data == token)
    check_fields(p, "request", src=HOST, dst=INET_HOST, hop=61)


def test_outer_of_broker():
    """L16: local x, remote y, ttl 64, by eth0; L20: the home network's prefix goes down the tunnel."""
    token = lab.token()
    flush()
    send_inet(packet.ping6(INET_HOST, HOST, data=token))
    outer = from_broker.expect("the request in the tunnel", carries(token))
    check_sound(outer, "outer")
    check_fields(outer, "outer", src=BROKER, dst=PUBLIC, hop=64, proto=packet.IPV6, src_mac=BROKER_MAC)
    check_fields(outer.inner, "inner", src=INET_HOST, dst=HOST, hop=62)
    check_fields(lan.expect("the request in the LAN", lambda p: p.data == token), "request", src=INET_HOST, dst=HOST, hop=61)


def test_addresses():
    """L18, L27: ::a/127 and ::b/127; L22, L30: the links are up."""
    for ns, address in (("broker", BROKER_END), ("home", HOME_END)):
        link = json.loads(lab.output(ns, "ip", "-j", "addr", "show", "dev", "sittun"))[0]
        check("UP" in link["flags"], "sittun of %s is down: %s" % (ns, link["flags"]))
        check((address, 127) in [(a.get("local"), a["prefixlen"]) for a in link["addr_info"]], "%s has %s" % (ns, link["addr_info"]))


def test_the_ends_reach_each_other():
    """L18: "remote end will be ::b"."""
    for ns, address in (("broker", HOME_END), ("home", BROKER_END), ("home", INET_HOST)):
        lab.output(ns, "ping", "-6", "-n", "-q", "-c", "2", "-i", "0.05", "-W", "2", address)


def test_routes():
    """L20: the prefix down the tunnel; L29: "VPS host IP is the default route for all IPv6 traffic"."""
    for ns, to, want in (("broker", HOST, "dev sittun"), ("home", INET_HOST, "via %s dev sittun" % BROKER_END)):
        route = lab.output(ns, "ip", "-6", "route", "get", to)
        check(want in route, "%s: %s" % (ns, route))
    check("via %s dev sittun" % BROKER_END in lab.output("home", "ip", "-6", "route", "show", "default"), "the default route is another one")


# ---- forwarding: L40, L41, L58 ----


def test_router_advertisements():
    """eth0 forwards, and still takes its address and default route from router advertisements."""
    for name, value in (("forwarding", "1"), ("accept_ra", "2")):
        check_equal(lab.output("broker", "sysctl", "-n", "net.ipv6.conf.eth0." + name).strip(), value, name + " of the broker's eth0")
    check_equal(lab.output("home", "sysctl", "-n", "net.ipv6.conf.enp1s0.forwarding").strip(), "1", "forwarding of the home router's enp1s0")
    to_broker.send_to("33:33:00:00:00:01", packet.router_advert(WAN_BROKER_MAC, [("2001:db8:cccc:5b00::/64", (3600, 1800))], 9000))
    until(lambda: int(re.search(r"expires (\d+)sec", lab.output("broker", "ip", "-6", "route", "show", "default"))[1]) > 8000, True,
          "the default route lives as long as the new advertisement says")
    check(BROKER6 in lab.output("broker", "ip", "-6", "addr", "show", "dev", "eth0"), "the address by router advertisement is gone")


# ---- protocol 41: L47, L62 ----


def test_strangers_at_the_broker():
    token = lab.token()
    flush()
    outer = packet.ip4(STRANGER, BROKER, packet.IPV6, packet.udp6(HOST, INET_HOST, data=token))
    lab.check_dropped("broker", "tunnel-wrong-outer-source", lambda: to_broker.send_to(BROKER_MAC, outer))
    nowhere(token)


def test_strangers_at_home():
    token = lab.token()
    flush()
    outer = packet.ip4(STRANGER, PUBLIC, packet.IPV6, packet.udp6(INET_HOST, HOST, data=token))
    where, why = ("nat", "rule") if lab.how == "behind-fairlead" else ("home", "tunnel-wrong-outer-source")
    lab.check_dropped(where, why, lambda: to_home.send_to(PUBLIC_MAC, outer))
    nowhere(token)


def test_the_client_has_its_own_prefix_only():
    """L20 the other way round: what else comes out of the tunnel is nobody's of the home network."""
    token = lab.token()
    flush()
    outer = packet.ip4(PUBLIC, BROKER, packet.IPV6, packet.udp6("2001:db8:cccc:5b12::80", INET_HOST, data=token))
    lab.check_dropped("broker", "tunnel-foreign-inner-source", lambda: to_broker.send_to(BROKER_MAC, outer))
    nowhere(token)


# ---- the broker's FORWARD chain, and its INPUT: L51, L52 ----


def test_from_the_tunnel():
    """L51: FORWARD -i sittun ACCEPT."""
    token = lab.token()
    flush()

    def send():
        send_lan(packet.udp6(HOST, INET_HOST, 5100, 5101, token))
        check_fields(inet.expect("the packet", lambda p: p.data == token), src=HOST, dst=INET_HOST)

    with lab.sinks(packet.UDP, ("inet", 5101)):
        lab.check_counts("broker", send, {"from the tunnel": 1})
    lab.state("broker", "--host", HOST, "--port", "5101", protocol="udp", source=HOST, source_port=5100, destination=INET_HOST,
              destination_port=5101, interface="sittun", egress="wan", rule="from the tunnel", origin="local")


def test_to_the_tunnel():
    """L52: FORWARD -o sittun ACCEPT; what may come in is the home router's to say."""
    token = lab.token()
    flush()

    def send():
        send_inet(packet.udp6(INET_HOST, HOST, 5200, 5201, token))
        check_fields(from_broker.expect("the packet in the tunnel", carries(token)).inner, src=INET_HOST, dst=HOST)

    lab.check_counts("broker", send, {"to the tunnel": 1})
    lab.state("broker", "--host", HOST, "--port", "5201", protocol="udp", source=INET_HOST, destination=HOST, interface="wan",
              egress="sittun", rule="to the tunnel", origin="local")


def test_to_the_broker_itself():
    """The document leaves INPUT alone: the machine's own firewall decides."""
    before = lab.packets("broker", ["to this machine"])["to this machine"]
    with lab.conversation("inet", "broker", BROKER6, 2222) as (client, server):
        lab.both_ways(client, server)
        lab.state("broker", "--host", BROKER6, "--port", "2222", protocol="tcp", source=INET_HOST, destination=BROKER6,
                  destination_port=2222, interface="wan", rule="to this machine", origin="local")
    check(lab.packets("broker", ["to this machine"])["to this machine"] >= before + 6, "its packets are not counted, both ways")


def test_from_the_broker_itself():
    """What it asks itself is answered: default_action out, and the state."""
    with lab.conversation("broker", "inet", INET_HOST, 5300) as (client, server):
        lab.both_ways(client, server)


def test_to_nobody_by_the_broker():
    """Neither for the home network nor for this machine: silently blocked."""
    token = lab.token()
    flush()
    lab.check_dropped("broker", "rule", lambda: send_inet(packet.udp6(INET_HOST, NOBODY, 5400, 5401, token)))
    nowhere(token)


# ---- the home router's firewall: L67, L69, L71, L73 ----


def test_established_tcp():
    """L67: what the LAN has begun goes on, both ways; L71: it may begin."""
    before = lab.packets("home", ["all from the LAN"])["all from the LAN"]
    with lab.conversation("lan", "inet", INET_HOST, 6700) as (client, server):
        lab.both_ways(client, server)
        lab.both_ways(client, server)
        row = lab.state("home", "--host", HOST, "--port", "6700", protocol="tcp", source=HOST, source_port=client.getsockname()[1],
                        destination=INET_HOST, destination_port=6700, interface="lan", egress="sittun", rule="all from the LAN",
                        gateway="vps_gw", origin="local")
        check(row["packets"] >= 8 and row["bytes"] > 8 * 60, "packets and bytes of %s" % row)
        check(row["age_ms"] >= row["idle_ms"] >= 0, "times of %s" % row)
        lab.state("broker", "--host", HOST, "--port", "6700", protocol="tcp", source=HOST, destination=INET_HOST, interface="sittun",
                  egress="wan", rule="from the tunnel")
    after = lab.rules("home")["all from the LAN"]
    check(after["packets"] >= before + 8, "the rule's packets: %s, before %d" % (after, before))


def test_established_udp():
    """L67: an answer passes while there is a state, and not after it."""
    token, answer, late = lab.token(), lab.token(), lab.token()
    flush()
    with lab.sinks(packet.UDP, ("inet", 6711), ("lan", 6710)):
        send_lan(packet.udp6(HOST, INET_HOST, 6710, 6711, token))
        inet.expect("the question", lambda p: p.data == token)
        send_inet(packet.udp6(INET_HOST, HOST, 6711, 6710, answer))
        lan.expect("the answer", lambda p: p.data == answer)
    said = lab.text("home", "kill", "states", "--host", HOST, "--port", "6711")
    check(re.search(r"\b1\b", said), "kill states says: " + said)
    check_equal(lab.states("home", "--host", HOST, "--port", "6711"), [], "the states left")
    flush()
    send_inet(packet.udp6(INET_HOST, HOST, 6711, 6710, late))
    inet.expect("the rejection", is_prohibited(late))
    check(not any(late in p.raw for p in lan_seen()), "an answer passed that no state is for")


def test_related():
    """L67: an ICMP error about a packet of the LAN passes by its state, without a rule."""
    token = lab.token()
    flush()

    def send():
        send_lan(packet.udp6(HOST, INET_HOST, 6720, 6721, token))  # no socket there: port unreachable
        p = lan.expect("port unreachable", lambda p: p.type == 1 and p.code == 4 and p.quoted is not None and token in p.quoted.l4)
        check_sound(p, "the error")
        check_fields(p, "the error", src=INET_HOST, dst=HOST)
        check_fields(p.quoted, "the quoted packet", src=HOST, dst=INET_HOST, sport=6720, dport=6721)

    before = lab.packets("home", ["ICMPv6"])
    send()
    check_equal(lab.packets("home", ["ICMPv6"]), before, "the counter of the rule for ICMPv6")


def test_icmpv6_echo():
    """L69: -p ipv6-icmp ACCEPT, from outside too; the answer goes back by the state."""
    token = lab.token()
    flush()

    def send():
        send_inet(packet.ping6(INET_HOST, HOST, ident=0x6900, data=token))
        inet.expect("the reply", lambda p: p.type == 129 and p.data == token)

    lab.check_counts("home", send, {"ICMPv6": 2})
    rows = lab.states("home", "--host", HOST, "--proto", "ipv6-icmp")
    rows = [s for s in rows if 0x6900 in (s["source_port"], s["destination_port"])]
    check_equal([(s["protocol"], s["source"], s["destination"], s["interface"], s["egress"], s["rule"]) for s in rows],
                [("ipv6-icmp", INET_HOST, HOST, "sittun", "lan", "ICMPv6")], "the states of the ping")


def test_icmpv6_errors():
    """L69: of no state that is known here, yet ICMPv6."""
    token = lab.token()
    flush()
    quote = packet.udp6(HOST, INET_HOST, 6990, 6991, token + bytes(40))
    send_inet(packet.ip6(INET_HOST, HOST, packet.ICMP6, packet.icmp6(INET_HOST, HOST, 2, 0, 1300, quote)))
    p = lan.expect("packet too big", lambda p: p.type == 2 and p.quoted is not None and token in p.quoted.l4)
    check_fields(p, "packet too big", src=INET_HOST, dst=HOST, rest=1300)


def test_to_the_home_router_itself():
    """L69: it answers pings, L73: and no connections."""
    lab.output("inet", "ping", "-6", "-n", "-q", "-c", "1", "-W", "2", HOME_END)
    refused(HOME_END, 22)


def test_all_from_the_lan():
    """L71: -i lan ACCEPT, whatever protocol it is; L67: and its answers."""
    for proto in (packet.UDP, SCTP, GRE):
        token, answer = lab.token(), lab.token()
        there, back = token, answer
        if proto == packet.UDP:
            there, back = packet.udp(HOST, INET_HOST, 7100, 7101, token), packet.udp(INET_HOST, HOST, 7101, 7100, answer)
        elif proto == SCTP:  # common headers: ports, tag, checksum
            there, back = struct.pack("!HHII", 7100, 7101, 1, 1) + token, struct.pack("!HHII", 7101, 7100, 1, 1) + answer

        def send():
            flush()
            send_lan(packet.ip6(HOST, INET_HOST, proto, there))
            inet.expect("protocol %d" % proto, lambda p: p.proto == proto and token in p.l4)
            send_inet(packet.ip6(INET_HOST, HOST, proto, back))
            lan.expect("the answer by protocol %d" % proto, lambda p: p.proto == proto and answer in p.l4)

        with lab.sinks(proto, ("inet", 7101), ("lan", 7100)):
            lab.check_counts("home", send, {"all from the LAN": 2})


def test_to_the_router_from_the_lan():
    """L71 is about FORWARD; the LAN reaches the router as well."""
    with lab.conversation("lan", "home", HOME_LAN, 7110) as (client, server):
        lab.both_ways(client, server)


def test_rejected():
    """L73: REJECT with icmp6-adm-prohibited what is left, TCP too; nothing of it reaches the LAN."""
    tokens = [lab.token() for _ in range(3)]
    datagrams = (
        packet.tcp6(INET_HOST, HOST, 7300, 443, data=tokens[0]),
        packet.udp6(INET_HOST, HOST, 7301, 53, tokens[1]),
        packet.ip6(INET_HOST, HOST, SCTP, tokens[2] + bytes(24)),
    )
    flush()

    def send():
        for token, datagram in zip(tokens, datagrams):
            send_inet(datagram)
            p = inet.expect("the rejection", is_prohibited(token))
            check_sound(p, "the rejection")
            check(p.src in (HOME_END, HOME_LAN), "the rejection comes from %s" % p.src)
            check_fields(p, "the rejection", dst=INET_HOST)
            check_fields(p.quoted, "the quoted packet", src=INET_HOST, dst=HOST, proto=datagram[6])

    lab.check_counts("home", lambda: lab.check_dropped("home", "rejected", send, 3), {"reject all else": 3})
    for p in lan_seen():
        check(not any(token in p.raw for token in tokens), "came in: %s" % p)
    check_equal(lab.states("home", "--rule", "reject all else"), [], "states of what was rejected")


def refused(address, port):
    """A connection from the internet is refused at once, as the kernel tells of administratively prohibited."""
    with namespace(lab.ns("inet")):
        client = socket.socket(socket.AF_INET6)
    with client:
        client.settimeout(3)
        try:
            client.connect((address, port))
        except PermissionError:
            return
        except OSError as why:
            raise Failure("connecting to [%s]:%d: %s" % (address, port, why)) from None
    raise Failure("a connection to [%s]:%d came about" % (address, port))


def test_refused_at_once():
    """L73 as a user sees it: a server in the LAN can't be reached, and nobody has to wait for that."""
    with namespace(lab.ns("lan")):
        server = socket.create_server(("::", 7310), family=socket.AF_INET6)
    with server:
        refused(HOST, 7310)


# ---- what can be seen of it ----


def test_rules_shown():
    for instance, names in (("broker", ["from the tunnel", "to the tunnel", "to this machine"]),
                            ("home", ["ICMPv6", "all from the LAN", "reject all else"])):
        rows = lab.fl("show", "rules", instance=instance)
        check_equal([r["name"] for r in rows if r["name"] in names], names, "the rules of %s, in their order" % instance)
        for row in rows:
            check({"index", "name", "action", "packets", "bytes", "states"} <= set(row), "keys of %s" % row)
    check_equal(lab.rules("home")["reject all else"]["action"], "reject", "the last rule's action")
    for name in ("ICMPv6", "all from the LAN"):
        until(lambda: lab.rules("home")[name]["states"] - len(lab.states("home", "--rule", name)), 0, "states of %s that are not shown" % name)


def test_explain_at_home():
    for proto, rule, verdict in (("tcp --dport 443", "reject all else", "reject"), ("udp --dport 53", "reject all else", "reject"),
                                 ("ipv6-icmp", "ICMPv6", "forward")):
        lab.explain("home", "--in sittun --src %s --dst %s --proto %s" % (INET_HOST, HOST, proto), verdict=verdict, rule=rule)
    lab.explain("home", "--in lan --src %s --dst %s --proto tcp --dport 443" % (HOST, INET_HOST), verdict="forward",
                rule="all from the LAN", gateway="vps_gw", egress="wan", tunnel="sittun")
    lab.explain("home", "--in self --src %s --dst %s --proto udp --dport 53" % (HOME_END, INET_HOST), verdict="forward", tunnel="sittun")


def test_explain_at_the_broker():
    lab.explain("broker", "--in sittun --src %s --dst %s --proto tcp --dport 443" % (HOST, INET_HOST), verdict="forward",
                rule="from the tunnel", egress="wan")
    lab.explain("broker", "--in wan --src %s --dst %s --proto tcp --dport 443" % (INET_HOST, HOST), verdict="forward",
                rule="to the tunnel", tunnel="sittun")
    lab.explain("broker", "--in wan --src %s --dst %s --proto tcp --dport 22" % (INET_HOST, BROKER6), verdict="deliver", rule="to this machine")
    lab.explain("broker", "--in wan --src %s --dst %s --proto tcp --dport 22" % (INET_HOST, NOBODY), verdict="block")


def test_explain_a_known_connection():
    with lab.conversation("lan", "inet", INET_HOST, 7400) as (client, server):
        lab.both_ways(client, server)
        answer = lab.explain("home", "--in sittun --src %s --sport 7400 --dst %s --dport %d --proto tcp --tcp-flags A"
                             % (INET_HOST, HOST, client.getsockname()[1]), verdict="forward", rule="all from the LAN", egress="lan")
        check(answer["state"], "its state is not told: %s" % answer)


# ---- L32: a NAT device that forwards protocol 41 ----

NAT_RULE = "the tunnel to the home router"


def nat_used_from_outside_first():
    """The NAT device knows nothing of the tunnel: dnat carries it in, and the answers go out as they came."""
    token = lab.token()
    lab.text("nat", "kill", "states", "--all")
    before = {(row["type"], row["index"]): row["packets"] for row in lab.fl("show", "nat", instance="nat")}
    flush()
    send_inet(packet.ping6(INET_HOST, HOST, data=token))
    check_fields(to_home.expect("the request at the NAT device", carries(token)), "outer", src=BROKER, dst=PUBLIC)
    lan.expect("the request in the LAN", lambda p: p.data == token)
    inet.expect("the reply", lambda p: p.type == 129 and p.data == token)
    check_fields(from_home.expect("the reply in the tunnel", carries(token)), "outer", src=PUBLIC, dst=BROKER)
    lab.state("nat", "--proto", "ipv6", protocol="ipv6", source=BROKER, destination=PUBLIC, translated_destination=PRIVATE,
              interface="wan", egress="lan", rule=NAT_RULE)
    until(lambda: sum(row["packets"] - before[row["type"], row["index"]] for row in lab.fl("show", "nat", instance="nat")
                      if row["type"] == "dnat") >= 2, True, "both packets are counted by the dnat rule")


def nat_used_from_inside_first():
    token = lab.token()
    lab.text("nat", "kill", "states", "--all")
    flush()
    send_lan(packet.ping6(HOST, INET_HOST, data=token))
    lan.expect("the reply", lambda p: p.type == 129 and p.data == token)
    lab.state("nat", "--proto", "ipv6", protocol="ipv6", source=PRIVATE, destination=BROKER, translated_source=PUBLIC,
              interface="lan", egress="wan", rule="all from the LAN")


def nat_keeps_strangers_out():
    """Not even the home router gets to see them."""
    token = lab.token()
    flush()
    outer = packet.ip4(STRANGER, PUBLIC, packet.IPV6, packet.udp6(INET_HOST, HOST, data=token))
    before = lab.dropped("home").get("tunnel-wrong-outer-source", 0)
    lab.check_dropped("nat", "rule", lambda: to_home.send_to(PUBLIC_MAC, outer))
    nowhere(token)
    check_equal(lab.dropped("home").get("tunnel-wrong-outer-source", 0), before, "strangers at the home router")


def nat_explained():
    lab.text("nat", "kill", "states", "--all")
    lab.explain("nat", "--in wan --src %s --dst %s --proto ipv6" % (BROKER, PUBLIC), verdict="forward", rule=NAT_RULE,
                destination=PUBLIC, translated_destination=PRIVATE, egress="lan")
    lab.explain("nat", "--in wan --src %s --dst %s --proto ipv6" % (STRANGER, PUBLIC), verdict="block")
    lab.explain("nat", "--in lan --src %s --dst %s --proto ipv6" % (PRIVATE, BROKER), verdict="forward", rule="all from the LAN",
                source=PRIVATE, translated_source=PUBLIC, egress="wan")


NAT_TESTS = [nat_used_from_outside_first, nat_used_from_inside_first, nat_keeps_strangers_out, nat_explained]

if __name__ == "__main__":
    tests = [value for name, value in list(globals().items()) if name.startswith("test_")]
    main(tests + (NAT_TESTS if lab.how == "behind-fairlead" else []), lab.prefix)
