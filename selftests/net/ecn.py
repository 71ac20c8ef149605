#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""ecn_dscp.sh's packets: the tables of RFC 6040, and the outer DSCP. --mode is what `dscp` says."""

import packet
from lab import *
from wire import check, check_equal, check_sound, main

lab = Lab()
NOT_ECT, ECT1, ECT0, CE = 0, 1, 2, 3
# RFC 6040 figure 4: rows the inner field, columns the outer; None: dropped
DECAP = {
    NOT_ECT: {NOT_ECT: NOT_ECT, ECT0: NOT_ECT, ECT1: NOT_ECT, CE: None},
    ECT0: {NOT_ECT: ECT0, ECT0: ECT0, ECT1: ECT1, CE: CE},
    ECT1: {NOT_ECT: ECT1, ECT0: ECT1, ECT1: ECT1, CE: CE},
    CE: {NOT_ECT: CE, ECT0: CE, ECT1: CE, CE: CE},
}


def out(tc):
    token = lab.token()
    lab.from_lan(packet.udp6(LAN_HOST, INET_HOST, data=token, tc=tc, flow=0x12345))
    outer = lab.wan.expect("tc %#x" % tc, lambda p: p.inner is not None and p.inner.data == token)
    check_sound(outer)
    check_equal((outer.inner.tc, outer.inner.flow), (tc, 0x12345), "the inner traffic class and flow label")
    return outer


def test_ecn_is_copied_outward():
    for ecn in (NOT_ECT, ECT0, ECT1, CE):
        check_equal(out(ecn).ecn, ecn, "the outer ECN for inner %d" % ecn)


def test_dscp_outward():
    for dscp in range(64):
        want = dscp if lab.mode == "copy" else int(lab.mode)
        check_equal(out(dscp << 2 | ECT0).tc, want << 2 | ECT0, "the outer TOS for inner DSCP %d" % dscp)


def in_one(inner, outer):
    lab.from_tunnel(inner, tos=outer)


def in_two(inner, outer):
    """In two outer fragments, which the daemon puts together."""
    for at, piece in ((0, inner[:32]), (32, inner[32:])):
        lab.from_tunnel(piece, tos=outer, ident=lab.serial & 0xFFFF, offset=at, mf=not at)


def inward(put):
    for inner, row in DECAP.items():
        for outer, want in row.items():
            token = lab.token()
            lab.flush()
            send = lambda: put(packet.udp6(INET_HOST, LAN_OUTSIDE, data=token, tc=0x28 | inner, flow=0x54321), outer)
            if want is None:
                check_equal(lab.counted(send), {"tunnel-ecn": 1}, "the drop counters that moved")
                check(not any(p.data == token for p in lab.fence_in()), "Not-ECT inside, CE outside: not dropped")
                continue
            send()
            p = lab.lan.expect("inner %d, outer %d" % (inner, outer), lambda p: p.data == token)
            check_sound(p)
            check_equal(p.ecn, want, "ECN for inner %d, outer %d" % (inner, outer))
            check_equal((p.dscp, p.flow), (0x28 >> 2, 0x54321), "DSCP and flow label")


def test_ecn_inward():
    inward(in_one)


def test_ecn_inward_in_fragments():
    inward(in_two)


def test_dscp_inward_stays():
    for outer in (0, 46, 63):
        token = lab.token()
        lab.from_tunnel(packet.udp6(INET_HOST, LAN_OUTSIDE, data=token, tc=10 << 2), tos=outer << 2)
        p = lab.lan.expect("outer DSCP %d" % outer, lambda p: p.data == token)
        check_equal(p.tc, 10 << 2, "the inner traffic class")


if __name__ == "__main__":
    main(tests_of(globals()), lab.prefix)
