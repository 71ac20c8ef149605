#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""One router advertisement (RFC 4861 4.2) by a device: advertise.py DEVICE [--lifetime SECONDS] [PREFIX...]"""

import argparse

import packet
import wire

parser = argparse.ArgumentParser()
parser.add_argument("device")
parser.add_argument("prefixes", nargs="*")
parser.add_argument("--lifetime", type=int, default=1800)
args = parser.parse_args()

port = wire.Port(None, args.device)
port.send_to("33:33:00:00:00:01", packet.router_advert(port.mac, [(p, (3600, 1800)) for p in args.prefixes], args.lifetime))
