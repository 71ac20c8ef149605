#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""A 6in4 tunnel's end (RFC 4213) that shares nothing with the router: a raw protocol-41 socket and a TUN device.

sixin4.py --local A --remote B --tun NAME [--df]

Makes the TUN device, prints "ready" and carries packets until it is ended. Addresses and routes are put on the device by
whoever started it. ECN is copied, and combined on the way out as RFC 6040 has it.
"""

import argparse
import os
import select
import signal
import socket
import struct
import sys

from wire import tun_open

_IP_MTU_DISCOVER = 10


def forbidden(source):
    """Inner sources that RFC 4213 3.6 names."""
    return (
        source[0] == 0xFF
        or source == bytes(15) + b"\x01"
        or (source[:12] == bytes(12) and source != bytes(16))
        or source[:12] == bytes(10) + b"\xff\xff"
    )


class Tunnel:
    def __init__(self, local, remote, tun, df):
        self.remote = (remote, 0)
        self.remote_bytes = socket.inet_aton(remote)
        self.tun = tun_open(None, tun)
        os.set_blocking(self.tun, False)
        self.raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_IPV6)
        for option in (33, 32):  # SO_RCVBUFFORCE, SO_SNDBUFFORCE
            self.raw.setsockopt(socket.SOL_SOCKET, option, 32 << 20)
        self.raw.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 64)
        self.raw.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, 2 if df else 0)
        self.raw.bind((local, 0))
        self.raw.setblocking(False)
        self.tos = 0

    def encapsulate(self):
        for _ in range(64):
            try:
                data = os.read(self.tun, 65536)
            except BlockingIOError:
                return
            if data[0] >> 4 != 6:
                continue
            tos = struct.unpack("!H", data[:2])[0] >> 4 & 0xFF
            if tos != self.tos:
                self.raw.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, tos)
                self.tos = tos
            try:
                self.raw.sendto(data, self.remote)
            except OSError:
                pass  # too big for the path, or no way there now: lost, as on a wire

    def decapsulate(self):
        for _ in range(64):
            try:
                data = self.raw.recv(65536)
            except BlockingIOError:
                return
            except OSError:
                continue  # an ICMP error
            if data[12:16] != self.remote_bytes:
                continue
            outer_ecn = data[1] & 3
            inner = data[(data[0] & 15) * 4 :]
            if len(inner) < 40 or inner[0] >> 4 != 6 or forbidden(inner[8:24]):
                continue
            if outer_ecn == 3:
                if not inner[1] & 0x30:
                    continue
                inner = inner[:1] + bytes([inner[1] | 0x30]) + inner[2:]
            size = 40 + struct.unpack("!H", inner[4:6])[0]
            if len(inner) < size:
                continue
            try:
                os.write(self.tun, inner[:size])
            except OSError:
                pass  # the device is not up yet

    def run(self):
        poll = select.epoll()
        poll.register(self.tun, select.EPOLLIN)
        poll.register(self.raw, select.EPOLLIN)
        while True:
            for fd, _ in poll.poll():
                if fd == self.tun:
                    self.encapsulate()
                else:
                    self.decapsulate()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--local", required=True)
    parser.add_argument("--remote", required=True)
    parser.add_argument("--tun", required=True)
    parser.add_argument("--df", action="store_true", help="set DF in the outer header")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    tunnel = Tunnel(args.local, args.remote, args.tun, args.df)
    print("ready", flush=True)
    tunnel.run()


if __name__ == "__main__":
    main()
