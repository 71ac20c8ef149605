# SPDX-License-Identifier: GPL-2.0-only
"""The programs load, what they cost the verifier, and a packet each way through the tunnel in every mode."""

import ctypes
import os
import struct

from guestlab import *
from rfc6296 import Translation

INSTRUCTIONS_MAX = 300000
OURS = ("fl_xdp", "fl_xdp_generic", "fl_icmp", "fl_tc_in", "fl_tc_out")
EXTERNAL = "2001:db8:bb::/64"
TRANSLATIONS = [{"interface": "he0", "internal": LAN_NET, "external": EXTERNAL, "mode": "rfc6296"}]

args = arguments()
lab = Lab("lan", "router", "peer")
ends = None


def config(mode):
    return lab.config(mode, prefix_translations=TRANSLATIONS)


def test_start():
    global ends
    lab.wires()
    lab.addresses()
    lab.hosts()
    lab.start(config("native"))
    ends = Ends(lab, lab.port("lan", "eth0"), lab.port("peer", "net0"), inside=Translation(LAN_NET, EXTERNAL).outward(LAN_HOST))


# ---- bpf(2): BPF_PROG_GET_NEXT_ID, BPF_PROG_GET_FD_BY_ID, BPF_OBJ_GET_INFO_BY_FD ----

_libc = ctypes.CDLL(None, use_errno=True)
_NR_BPF = {"x86_64": 321, "aarch64": 280}
_INFO_NAME, _INFO_VERIFIED, _INFO_LEN = 64, 216, 232  # struct bpf_prog_info


def bpf(command, attr):
    buffer = ctypes.create_string_buffer(attr, 128)
    result = _libc.syscall(_NR_BPF[os.uname().machine], command, buffer, 128)
    return result, buffer.raw


def instructions():
    """Name -> instructions that the verifier went through, of every program of ours."""
    found, number = {}, 0
    while True:
        result, attr = bpf(11, struct.pack("II", number, 0))
        if result:
            return found
        number = struct.unpack("II", attr[:8])[1]
        fd, _ = bpf(13, struct.pack("I", number))
        if fd < 0:
            continue
        info = ctypes.create_string_buffer(_INFO_LEN)
        bpf(15, struct.pack("IIQ", fd, _INFO_LEN, ctypes.addressof(info)))
        os.close(fd)
        name = info.raw[_INFO_NAME : _INFO_NAME + 16].split(b"\0")[0].decode()
        if name in OURS:
            found[name] = max(found.get(name, 0), struct.unpack_from("I", info.raw, _INFO_VERIFIED)[0])


def test_verifier():
    cost = instructions()
    for name in sorted(cost):
        print("# verifier %s %d" % (name, cost[name]))
    check_equal(sorted(cost), sorted(OURS), "the programs")
    for name, count in cost.items():
        check(0 < count < INSTRUCTIONS_MAX, "%s costs the verifier %d instructions" % (name, count))


def xdp_packets():
    return lab.interface("lan")["xdp_packets"], lab.interface("wan")["xdp_packets"]


def carries(mode, by_xdp):
    lab.apply(config(mode))
    for name in ("lan", "wan"):
        row = lab.interface(name)
        check_equal((row["mode"], "as asked" in row["reason"]), (mode, True), "the mode of %s (%s)" % (name, row["reason"]))
    ends.round_trip()  # neighbours are known from here on
    before = xdp_packets()
    for _ in range(3):
        ends.round_trip()
    check_equal([n - b for n, b in zip(xdp_packets(), before)], [3, 3] if by_xdp else [0, 0], "packets that XDP finished, on lan and wan")


def test_native():
    carries("native", KERNEL >= (6, 3))  # before, the kernel does not tell whether a veth's other end takes XDP's frames


def test_generic():
    carries("generic", True)


def test_tc():
    carries("tc", False)


def counters():
    """Those that only forwarded packets move; neighbour discovery goes on meanwhile."""
    return lab.fl("show", "tunnels"), [i["tx_packets"] for i in lab.fl("show", "interfaces")], lab.fl("show", "translations"), lab.drops()


def explain(*words):
    """Of three tries one without a neighbour's question amid it."""
    for _ in range(3):
        before = counters()
        answer = lab.fl("explain", *words)
        after = counters()
        if after == before:
            break
    check_equal(after, before, "the counters after explain")
    return answer


def expect(answer, **want):
    for key, value in want.items():
        check_equal(answer[key], value, "%s of %s" % (key, answer))


def test_explain():
    answer = explain("--in", "lan", "--src", LAN_HOST, "--dst", INET_HOST, "--proto", "tcp", "--dport", "443")
    expect(answer, verdict="forward", tunnel="he0", gateway="he_gw", translated_source=ends.inside)
    answer = explain("--in", "self", "--src", TUNNEL_ROUTER, "--dst", INET_HOST, "--proto", "udp", "--dport", "53")
    expect(answer, verdict="forward", tunnel="he0")
    answer = explain("--in", "he0", "--src", INET_HOST, "--dst", ends.inside, "--proto", "ipv6-icmp")
    expect(answer, verdict="forward", egress="lan", translated_destination=LAN_HOST)
    check(instructions()["fl_tc_in"] < INSTRUCTIONS_MAX, "explain's program costs the verifier more")


def test_unload():
    lab.unload()
    with wire.namespace(lab.ns("router")):
        left = run("bpftool", "net", "show")
        check("fl_" not in left, "programs are left: " + left)
        check("he0" not in run("ip", "-br", "link"), "he0 is left")


def test_network_cards():
    """Native XDP on a driver that is not veth: every packet of known neighbours is XDP's, on every kernel."""
    global lab, ends
    inside = ends.inside
    lab.close()
    lab = Lab("lan", "router", "peer")
    lab.cards()
    lab.addresses()
    lab.hosts()
    lab.start(config("native"))
    ends = Ends(lab, lab.port("lan", "eth0"), lab.port("peer", "net0"), inside=inside)
    carries("native", True)
    lab.unload()


main(tests_of(globals()), args)
