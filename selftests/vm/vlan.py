# SPDX-License-Identifier: GPL-2.0-only
"""LAN and WAN are VLANs 10 and 20 of one cable. On a parent that is served by native XDP the program takes tags off and puts
them on; where the parent is not in the configuration, tc does it on the VLAN devices.

  lan s0.10 ┐                         ┌ p0.10   the router's LAN
            ├ s0 (peer) ──── p0 ──────┼ p0.20   its WAN
  peer s0.20┘                         └ p0      untagged: 2001:db8:ab::1
"""

import packet
from guestlab import *

args = arguments()
lab = None
trunk, ends = None, None
PLAIN_HOST, PLAIN_NET = "2001:db8:ab::80", "2001:db8:ab::/64"
PARENT = {"trunk": {"device": "p0", "mode": "native"}}
PARENT_AUTO = {"trunk": {"device": "p0", "mode": "auto"}}


def config(interfaces=None):
    return lab.config("auto", lan="p0.10", wan="p0.20", interfaces=interfaces)


def addresses():
    """VLANs and addresses on the router's end p0 and the far end s0, whose VLANs go to the namespaces of LAN and WAN."""
    lab.ip("router", """link add link p0 name p0.10 type vlan id 10
        link add link p0 name p0.20 type vlan id 20
        link add link p0 name p0.30 type vlan id 30
        link set dev p0.10 up
        link set dev p0.20 up
        link set dev p0.30 up
        addr add 2001:db8:ab::1/64 dev p0 nodad
        addr add 2001:db8:ac::1/64 dev p0.30 nodad""")
    lab.addresses("p0.10", "p0.20")
    lab.ip("peer", """link add link s0 name s0.10 address %s type vlan id 10
        link add link s0 name s0.20 address %s type vlan id 20
        link set dev s0.10 netns %s
        link set dev s0.20 up
        addr add %s/64 dev s0 nodad""" % (LAN_HOST_MAC, PEER_MAC, lab.ns("lan"), PLAIN_HOST))
    lab.ip("lan", "link set dev s0.10 up")
    lab.hosts("s0.10", "s0.20")
    lab.ip("peer", """tunnel add sit1 mode sit local %s remote %s ttl 64
        link set dev sit1 up
        addr add %s/64 dev sit1 nodad
        route add %s dev sit1""" % (PEER, WAN_ROUTER, TUNNEL_PEER, LAN_NET))


def both_ends(mac):
    """Frames at the far end of the cable, tags and all. Every VLAN of the router has the cable's MAC."""
    global trunk, ends
    trunk = lab.port("peer", "s0")
    ends = TaggedEnds(lab, trunk, trunk, lan_vid=10, wan_vid=20)
    ends.mac = mac


class TaggedEnds(Ends):
    """Both of the router's cables are one: the MACs are that cable's."""

    mac = None

    def send(self, datagram, vid):
        trunk.send(packet.eth(self.mac, LAN_HOST_MAC if vid == 10 else PEER_MAC, datagram, vid=vid))

    def out(self, src=LAN_HOST, vid=10, tag=20):
        token = lab.token()
        trunk.flush()
        self.send(packet.ping6(src, INET_HOST, data=token), vid)
        outer = trunk.expect("the request in the tunnel", lambda p: p.inner is not None and p.inner.data == token, 10)
        check_sound(outer, "outer")
        check_fields(outer, "outer", vlans=[tag], src=WAN_ROUTER, dst=PEER, hop=64, df=True, src_mac=self.mac, dst_mac=PEER_MAC)
        check_fields(outer.inner, "inner", src=src, dst=INET_HOST, hop=63)

    def back(self, dst=LAN_HOST, vlans=(10,), mac=LAN_HOST_MAC):
        token = lab.token()
        inner = packet.ip6(INET_HOST, dst, packet.ICMP6, packet.icmp6(INET_HOST, dst, 129, 0, 1, token))
        trunk.flush()
        self.send(packet.ip4(PEER, WAN_ROUTER, packet.IPV6, inner), 20)
        p = trunk.expect("the reply", lambda p: p.data == token and p.version == 6, 10)
        check_sound(p, "reply")
        check_fields(p, "reply", vlans=list(vlans), src=INET_HOST, dst=dst, hop=63, src_mac=self.mac, dst_mac=mac)


def offloads(device):
    """Of rxvlan and txvlan, those that are on."""
    shown = lab.run("router", "ethtool", "-k", device)
    return [name for name in ("rx-vlan-offload", "tx-vlan-offload") if "\n%s: on" % name in shown]


def start(wires, mac, interfaces):
    global lab
    lab = Lab("lan", "router", "peer")
    wires()
    addresses()
    lab.start(config(interfaces))
    both_ends(mac)


def wire_of_veth():
    lab.cable("router", "p0", LAN_ROUTER_MAC, "peer", "s0", PEER_MAC)
    lab.run("peer", "ethtool", "-K", "s0", "txvlan", "off", "rxvlan", "off")  # else the tags travel beside the frames
    check_equal(offloads("p0"), ["rx-vlan-offload", "tx-vlan-offload"], "p0's VLAN offloads before the start")


def test_start():
    start(wire_of_veth, LAN_ROUTER_MAC, PARENT)


def test_served_on_the_parent():
    rows = {i["name"]: (i["mode"], i["reason"]) for i in lab.fl("show", "interfaces")}
    for name in ("lan", "wan"):
        check_equal(rows[name], ("native", "native XDP, served on its parent p0"), "mode and reason of " + name)
    check_equal(rows["trunk"][0], "native", "the mode of trunk")
    check_equal(offloads("p0"), [], "p0's VLAN offloads")


def test_tags():
    for _ in range(2):
        ends.round_trip()


def test_untagged_to_tagged_and_back():
    ends.out(src=PLAIN_HOST, vid=None)
    ends.back(dst=PLAIN_HOST, vlans=(), mac=PEER_MAC)


def refused(vid, seconds=0.5):
    """A LAN host's packet in the wrong VLAN leaves by none."""
    token = lab.token()
    trunk.flush()
    ends.send(packet.ping6(LAN_HOST, INET_HOST, data=token), vid)
    trunk.quiet(lambda p: p.inner is not None and p.inner.data == token, seconds)


def test_vlans_are_kept_apart():
    """VLAN 30 is there and not fairlead's, 40 is not there; in VLAN 20 and untagged a LAN source is spoofed."""
    for vid in (30, 40, 20, None):
        refused(vid)


def test_vlan_beside():
    """What is not fairlead's is the kernel's: the router answers in VLAN 30."""
    token = lab.token()
    trunk.flush()
    ends.lan.send(packet.eth(LAN_ROUTER_MAC, PEER_MAC, packet.ping6("2001:db8:ac::80", "2001:db8:ac::1", data=token), vid=30))
    trunk.expect("neighbour discovery in VLAN 30", lambda p: p.vlans == [30] and p.type == 135, 10)


def real_traffic():
    lab.ping("lan", INET_HOST)
    lab.ping("peer", LAN_HOST, "-I", INET_HOST)
    lab.ping("router", INET_HOST)
    for reverse in (False, True):
        transfer(lab, "lan", "peer", INET_HOST, 1000000, reverse=reverse)


def test_traffic():
    real_traffic()


def fragments_out_of_order(interfaces):
    """They wait in the daemon, and come in again by the VLAN's device."""
    rules = [{"name": "LAN", "action": "pass", "direction": "in", "interface": "lan"}]
    lab.apply(lab.config("auto", lan="p0.10", wan="p0.20", interfaces=interfaces, default_action={"in": "block", "out": "pass"}, rules=rules))
    whole = packet.udp(LAN_HOST, INET_HOST, 1000, 53, bytes(range(256)) * 11)
    cuts = [0, 1200, 2400, len(whole)]
    sent = [packet.fragment6(LAN_HOST, INET_HOST, packet.UDP, whole[a:b], a, b < len(whole), 77) for a, b in zip(cuts, cuts[1:])]
    trunk.flush()
    for fragment in reversed(sent):
        ends.send(fragment, 10)
    got = [trunk.expect("a fragment in the tunnel", lambda p: p.inner is not None and (p.inner.mf or p.inner.offset), 10) for _ in sent]
    check_equal({tuple(p.vlans) for p in got}, {(20,)}, "tags")
    check_equal(b"".join(p.inner.l4 for p in sorted(got, key=lambda p: p.inner.offset)), whole, "what the fragments carry")


def test_fragments_out_of_order():
    fragments_out_of_order(PARENT)


VIP, VIRTUAL_MAC = "2001:db8:aa::100", "00:00:5e:00:01:09"


def shared_address(interfaces):
    """Adverts, answers for the address and what is sent to its MAC have the VLAN's tag; the device takes frames to that MAC in."""
    password = "/tmp/%s.carp" % lab.name
    with open(password, "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
        file.write("love\n")
    trunk.flush()
    vip = {"interface": "lan", "address": VIP + "/64", "vhid": 9, "fast_ms": 100, "password_file": password}
    lab.apply(lab.config("auto", lan="p0.10", wan="p0.20", interfaces=interfaces, vips={"lan_vip": vip}))
    advert = trunk.expect("an advert", lambda p: p.proto == 112, 30)
    check_fields(advert, "the advert", vlans=[10], src_mac=VIRTUAL_MAC, dst_mac="33:33:00:00:00:12", dst="ff02::12", hop=255)
    lab.ping("lan", VIP)
    check(VIRTUAL_MAC in lab.run("lan", "ip", "neigh", "show", VIP), "the LAN host does not know the virtual MAC")
    token = lab.token()
    trunk.flush()
    trunk.send(packet.eth(VIRTUAL_MAC, LAN_HOST_MAC, packet.ping6(LAN_HOST, INET_HOST, data=token), vid=10))
    outer = trunk.expect("what came to the virtual MAC, in the tunnel", lambda p: p.inner is not None and p.inner.data == token, 10)
    check_fields(outer, "outer", vlans=[20], src_mac=ends.mac, dst_mac=PEER_MAC)
    token = lab.token()
    trunk.flush()
    trunk.send(packet.eth(VIRTUAL_MAC, LAN_HOST_MAC, packet.ping6(LAN_HOST, INET_HOST, data=token), vid=20))
    trunk.quiet(lambda p: p.inner is not None and p.inner.data == token, 0.5)
    lab.apply(config(interfaces))


def test_shared_address():
    shared_address(PARENT)


def test_tc_on_the_vlans():
    lab.apply(config())
    rows = {i["name"]: (i["mode"], i["reason"]) for i in lab.fl("show", "interfaces")}
    for name in ("lan", "wan"):
        check_equal(rows[name], ("tc", "a VLAN whose parent is not served by native XDP; tc runs"), "mode and reason of " + name)
    check("xdp" not in lab.run("router", "ip", "link", "show", "dev", "p0"), "XDP is left on the parent")
    for _ in range(2):
        ends.round_trip()
    for vid in (30, 40, 20):
        refused(vid)


def test_tc_traffic():
    real_traffic()


def test_tc_shared_address():
    shared_address(None)


def test_tc_fragments_out_of_order():
    fragments_out_of_order(None)


def test_tags_beside_the_frames():
    """As a veth sends them if it is left alone: XDP would take them for untagged ones."""
    lab.run("peer", "ethtool", "-K", "s0", "txvlan", "on", "rxvlan", "on")
    lab.apply(config(PARENT_AUTO))
    rows = {i["name"]: (i["mode"], i["reason"]) for i in lab.fl("show", "interfaces")}
    check_equal(rows["trunk"], ("tc", "VLANs lie on it, whose tags XDP does not see on a veth; tc runs"), "mode and reason of trunk")
    check_equal(rows["lan"][0], "tc", "the mode of lan")
    for _ in range(2):
        ends.round_trip()
    for vid in (30, 40, 20):
        refused(vid)
    real_traffic()
    lab.run("peer", "ethtool", "-K", "s0", "txvlan", "off", "rxvlan", "off")


def test_unload_restores_the_offloads():
    lab.apply(config(PARENT))
    check_equal(offloads("p0"), [], "p0's VLAN offloads")
    ends.round_trip()
    lab.unload()
    check_equal(offloads("p0"), ["rx-vlan-offload", "tx-vlan-offload"], "p0's VLAN offloads after unload")


# ---- the same on a driver that is not veth: XDP finishes every packet there, on every kernel ----


def wire_of_cards():
    lab.card(CARDS[0][0], "router", "p0", LAN_ROUTER_MAC)
    lab.card(CARDS[0][1], "peer", "s0", PEER_MAC)


def test_network_card():
    lab.close()
    start(wire_of_cards, LAN_ROUTER_MAC, PARENT)
    ends.round_trip()
    before = [lab.interface(name)["xdp_packets"] for name in ("lan", "wan")]
    for _ in range(3):
        ends.round_trip()
    lan, wan = [lab.interface(name)["xdp_packets"] - b for name, b in zip(("lan", "wan"), before)]
    check(lan == 3 and wan >= 3, "XDP finished %d packets from the LAN and %d from the WAN of 3 each" % (lan, wan))  # sit's peer answers, too


def test_network_card_untagged():
    ends.out(src=PLAIN_HOST, vid=None)
    ends.back(dst=PLAIN_HOST, vlans=(), mac=PEER_MAC)
    for vid in (30, 40, 20, None):
        refused(vid)


def test_network_card_shared_address():
    """What the router's card lets in is its filter's business; the other end's must let all in, for us to see."""
    lab.ip("peer", "link set dev s0 promisc on")
    shared_address(PARENT)
    lab.ip("peer", "link set dev s0 promisc off")


def test_network_card_traffic():
    real_traffic()
    lab.unload()


main(tests_of(globals()), args)
