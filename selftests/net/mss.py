#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""TCP's maximum segment size in SYNs that pass: --mode is what mss_clamp says (off, auto or a number)."""

import packet
from lab import *
from wire import check_equal, check_sound, main

lab = Lab()
TUNNEL = 1480 - 40 - 20


def clamped(mss):
    limit = {"off": 65535, "auto": TUNNEL}.get(lab.mode) or int(lab.mode)
    return min(mss, limit)


def syn_out(mss, flags=packet.SYN, before=b""):
    token = lab.token()
    options = before + packet.mss_option(mss)
    lab.flush()
    lab.from_lan(packet.tcp6(LAN_HOST, INET_HOST, flags=flags, options=options + b"\x01" * (-len(options) % 4), data=token))
    return lab.wan.expect("the SYN", lambda p: p.inner is not None and p.inner.data == token)


def test_outward():
    for mss in (1440, 1421, 1420, 1419, 1300, 1299, 536):
        outer = syn_out(mss)
        check_sound(outer, "SYN")
        check_equal(outer.inner.mss, clamped(mss), "MSS %d" % mss)


def test_syn_ack_too():
    outer = syn_out(1440, packet.SYN | packet.ACK)
    check_equal(outer.inner.mss, clamped(1440), "MSS of a SYN-ACK")


def test_not_first_among_the_options():
    for before in (b"\x01", b"\x01\x01", b"\x04\x02", b"\x03\x03\x07", b"\x08\x0a" + bytes(8)):
        outer = syn_out(1440, before=before)
        check_sound(outer, "SYN with options before")
        check_equal(outer.inner.mss, clamped(1440), "MSS behind %d bytes of options" % len(before))


def test_inward():
    token = lab.token()
    lab.flush()
    lab.from_tunnel(packet.tcp6(INET_HOST, LAN_OUTSIDE, options=packet.mss_option(1440), data=token))
    p = lab.lan.expect("the SYN", lambda p: p.data == token)
    check_sound(p, "SYN")
    check_equal(p.mss, clamped(1440), "MSS")


def test_only_syns():
    outer = syn_out(1440, packet.ACK)
    check_equal(outer.inner.mss, 1440, "the option of a packet without SYN")


if __name__ == "__main__":
    main(tests_of(globals()), lab.prefix)
