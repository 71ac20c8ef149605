#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""beside.sh's bridge: what one host sends to the other arrives as it was sent, byte for byte, whatever it is."""

import os
import time

import packet
import wire
from lab import BROKER, INET_HOST, LAN_HOST, LAN_OUTSIDE, LAN_ROUTER, WAN_ROUTER, Lab, tests_of
from wire import Failure, check, check_equal, main

lab = Lab()
SECOND = wire.Port(lab.ns("second"), "eth0")
SECOND_HOST = "2001:db8:aa::81"


def crosses(what, frame):
    """From the first host's cable to the second's."""
    SECOND.flush()
    lab.lan.send(frame)
    end = time.monotonic() + 3
    while True:
        p = SECOND.read(end - time.monotonic())
        if p is None:
            raise Failure("%s: did not arrive as it was sent" % what)
        if p.raw == frame or (p.vlans and p.raw[12:] == frame[16:]):
            return


def to_second(datagram, **fields):
    return packet.eth(SECOND.mac, lab.lan.mac, datagram, **fields)


def learn():
    """Both hosts' addresses are known to the bridge."""
    for port in (lab.lan, SECOND):
        port.send(packet.eth("ff:ff:ff:ff:ff:ff", port.mac, bytes(46), ethertype=0x88B5))


def test_bridged_ipv6():
    for hop in (0, 1, 2, 64, 255):
        crosses("hop limit %d" % hop, to_second(packet.udp6(LAN_HOST, SECOND_HOST, hop=hop)))
    crosses("to an address of the internet", to_second(packet.udp6(LAN_HOST, INET_HOST)))
    crosses("to the router's address", to_second(packet.udp6(LAN_HOST, LAN_ROUTER)))
    crosses("from an address of the internet", to_second(packet.udp6(INET_HOST, LAN_OUTSIDE)))
    crosses("a wrong checksum", to_second(packet.ip6(LAN_HOST, SECOND_HOST, packet.UDP, packet.udp(LAN_HOST, SECOND_HOST, 1, 2, check=1))))
    crosses("1500 bytes", to_second(packet.udp6(LAN_HOST, SECOND_HOST, data=os.urandom(1452))))
    crosses("a SYN", to_second(packet.tcp6(LAN_HOST, SECOND_HOST, options=packet.mss_option(1460))))


def test_bridged_ipv4():
    crosses("IPv4", to_second(packet.udp4("192.0.2.80", "192.0.2.81", ttl=1)))
    crosses("protocol 41", to_second(packet.ip4(BROKER, WAN_ROUTER, packet.IPV6, packet.udp6(INET_HOST, LAN_OUTSIDE))))


def test_bridged_others():
    crosses("no IP", packet.eth(SECOND.mac, lab.lan.mac, os.urandom(200), ethertype=0x88B5))
    crosses("a broadcast", packet.eth("ff:ff:ff:ff:ff:ff", lab.lan.mac, os.urandom(100), ethertype=0x88B6))
    crosses("a VLAN tag", to_second(packet.udp6(LAN_HOST, SECOND_HOST), vid=7))


def test_bridged_is_not_counted():
    before = lab.fl("show", "interfaces"), lab.fl("show", "drops")
    for _ in range(50):
        crosses("a packet", to_second(packet.udp6(LAN_HOST, SECOND_HOST, data=lab.token())))
    after = lab.fl("show", "interfaces"), lab.fl("show", "drops")
    rows = [{i["name"]: (i["rx_packets"], i["tx_packets"], i["drops"]) for i in state[0]} for state in (before, after)]
    moved = rows[1]["lan"][0] - rows[0]["lan"][0]
    check(moved < 25, "lan has counted %d more packets" % moved)
    check_equal(rows[1]["lan"][2], rows[0]["lan"][2], "lan's drops")


if __name__ == "__main__":
    learn()
    main(tests_of(globals()), lab.prefix)
