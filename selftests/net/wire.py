# SPDX-License-Identifier: GPL-2.0-only
"""Sending and catching frames in network namespaces, and the small frame of a test program.

One process works in several namespaces: a socket stays in the namespace that it was opened in.
"""

import contextlib
import ctypes
import fcntl
import os
import select
import socket
import struct
import sys
import time
import traceback

import packet

_libc = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000
_SOL_PACKET, _PACKET_AUXDATA, _PACKET_OUTGOING = 263, 8, 4
_TP_STATUS_CSUMNOTREADY, _TP_STATUS_VLAN_VALID = 1 << 3, 1 << 4
_SIOCGIFHWADDR, _SIOCGIFMTU = 0x8927, 0x8921
_ETH_P_ALL = 3


@contextlib.contextmanager
def namespace(name):
    """What is opened inside belongs to that namespace (of `ip netns`); None: where we are."""
    if name is None:
        yield
        return
    with open("/proc/self/ns/net", "rb") as home, open("/run/netns/" + name, "rb") as there:
        if _libc.setns(there.fileno(), _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns " + name)
        try:
            yield
        finally:
            _libc.setns(home.fileno(), _CLONE_NEWNET)


class Port:
    """A device of a namespace: send() puts a frame on it, expect() and between() look at those that come."""

    def __init__(self, ns, device, link=True, outgoing=False):
        self.ns, self.device, self.link, self.outgoing = ns, device, link, outgoing
        with namespace(ns):
            self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
            self.sock.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
            self.sock.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)
            self.sock.bind((device, _ETH_P_ALL))
            request = fcntl.ioctl(self.sock, _SIOCGIFHWADDR, struct.pack("16s24x", device.encode()))
            self.mac = packet.mac_text(request[18:24])
            request = fcntl.ioctl(self.sock, _SIOCGIFMTU, struct.pack("16s24x", device.encode()))
            self.mtu = struct.unpack("16xi", request[:20])[0]

    def send(self, frame):
        self.sock.send(frame)

    def send_to(self, mac, datagram, vid=None):
        """An IP packet, in a frame to that MAC where the device has frames."""
        if not self.link:
            kind = packet.ETH_IPV6 if datagram[0] >> 4 == 6 else packet.ETH_IP
            self.sock.sendto(datagram, (self.device, kind))
            return
        self.sock.send(packet.eth(mac, self.mac, datagram, vid=vid))

    def flush(self):
        while select.select([self.sock], [], [], 0)[0]:
            with contextlib.suppress(OSError):  # the device went down
                self.sock.recv(1)

    def read(self, timeout):
        """The next packet, or None."""
        until = time.monotonic() + timeout
        while True:
            left = until - time.monotonic()
            if not select.select([self.sock], [], [], max(left, 0))[0]:
                return None
            try:
                data, control, _, sender = self.sock.recvmsg(1 << 17, 512)
            except OSError:
                continue  # the device went away
            outgoing = sender[2] == _PACKET_OUTGOING
            if outgoing != self.outgoing:
                continue
            status, vid = 0, None
            for level, kind, value in control:
                if level == _SOL_PACKET and kind == _PACKET_AUXDATA:
                    status, _, _, _, _, tci, _ = struct.unpack("IIIHHHH", value[:20])
                    if status & _TP_STATUS_VLAN_VALID:
                        vid = tci & 0xFFF
            p = packet.parse(data, link=self.link)
            if vid is not None:
                p.vlans.insert(0, vid)
            p.unfinished = bool(status & _TP_STATUS_CSUMNOTREADY)
            return p

    def packets_while(self, going):
        """What comes, until `going()` is false and nothing comes any more."""
        while True:
            p = self.read(0.3)
            if p is not None:
                yield p
            elif not going():
                return

    def expect(self, what, match, timeout=3):
        """The first packet that match() says yes to; Failure with what came instead."""
        seen, until = [], time.monotonic() + timeout
        while True:
            p = self.read(until - time.monotonic())
            if p is None:
                raise Failure("%s: not seen on %s; seen: %s" % (what, self.device, "; ".join(seen[-8:]) or "nothing"))
            if match(p):
                return p
            if p.version:
                seen.append(str(p))

    def until(self, fence, timeout=3):
        """Every packet before the one that fence() says yes to."""
        before, end = [], time.monotonic() + timeout
        while True:
            p = self.read(end - time.monotonic())
            if p is None:
                raise Failure("the packet that ends the wait was not seen on %s; seen: %s" % (self.device, [str(x) for x in before[-8:]]))
            if fence(p):
                return before
            before.append(p)

    def quiet(self, match, seconds=0.3):
        """Failure if a packet comes that match() says yes to."""
        end = time.monotonic() + seconds
        while True:
            p = self.read(end - time.monotonic())
            if p is None:
                return
            if match(p):
                raise Failure("seen on %s, and should not be: %s" % (self.device, p))


def tun_open(ns, name, tap=False, vnet=False):
    """A TUN device: its file descriptor. No packet information header."""
    with namespace(ns):
        fd = os.open("/dev/net/tun", os.O_RDWR)
        flags = (0x0002 if tap else 0x0001) | 0x1000 | (0x4000 if vnet else 0)
        fcntl.ioctl(fd, 0x400454CA, struct.pack("16sH22x", name.encode(), flags))
    return fd


class Failure(Exception):
    """A test's finding: what was expected and what was there."""


def check(condition, text):
    if not condition:
        raise Failure(text)


def check_equal(got, want, what):
    if got != want:
        raise Failure("%s is %r, expected %r" % (what, got, want))


def check_fields(p, what="packet", **want):
    """Every named attribute of the packet has the value; all differences are told at once."""
    wrong = ["%s is %r, expected %r" % (k, getattr(p, k), v) for k, v in want.items() if getattr(p, k) != v]
    if wrong:
        raise Failure("%s: %s; the packet: %s" % (what, ", ".join(wrong), p))


def check_sound(p, what="packet"):
    """Lengths and checksums, of the packet in the packet too."""
    check(p.ip_check_ok, "%s: the IP header checksum is wrong: %s" % (what, p))
    check(p.l4_check_ok is not False or p.unfinished, "%s: the transport checksum is wrong: %s" % (what, p))
    if p.inner:
        p.inner.unfinished = p.unfinished
        check_sound(p.inner, what + ", inner")


def main(tests, prefix):
    """Runs the tests (functions), one line each; exit status 1 if one failed."""
    failed = 0
    for test in tests:
        name = prefix + test.__name__.replace("test_", "", 1).replace("_", "-")
        try:
            test()
            print("ok " + name, flush=True)
        except Failure as why:
            failed += 1
            print("not ok %s\n# %s" % (name, why), flush=True)
        except Exception:  # a program error in the test: as bad as a finding
            failed += 1
            print("not ok " + name)
            for line in traceback.format_exc().splitlines():
                print("# " + line)
            sys.stdout.flush()
    sys.exit(1 if failed else 0)
