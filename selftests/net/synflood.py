#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""The flood of synflood.sh, and what goes on meanwhile."""

import ctypes
import hashlib
import multiprocessing
import os
import re
import socket
import subprocess
import threading
import time

import packet
import wire
from lab import Lab, WAN_ROUTER_MAC
from wire import check

SECONDS = float(os.environ.get("FL_FLOOD_SECONDS", "11"))
RATE = 95000  # SYNs a second: more than a million in that time
BATCH, LEN = 8192, 54
SERVER, SILENT, CLIENT = "192.0.2.80", "192.0.2.51", "198.51.100.77"

lab = Lab()


class Frames:
    """SYNs from BATCH sources. next_round() gives all of them another network, and takes the same from fields of the same sums."""

    def __init__(self):
        self.round = 0
        frames = []
        for i in range(BATCH):
            src = "20.0.%d.%d" % (i >> 8, i & 255)
            segment = packet.tcp(src, SILENT, 1024 + i % 60000, 80, seq=0xFFFF0000 | i)
            frames.append(packet.eth(WAN_ROUTER_MAC, lab.wan.mac, packet.ip4(src, SILENT, packet.TCP, segment, ident=0xFFFF)))
        self.buffer = bytearray(b"".join(frames))

    def next_round(self):
        self.round += 1
        high, rest = 0x1400 + self.round % 0x4000, 0xFFFF - self.round % 0x4000
        for at, value in ((26, high), (18, rest), (38, rest)):  # source, identification, sequence number
            self.buffer[at::LEN] = bytes([value >> 8]) * BATCH
            self.buffer[at + 1::LEN] = bytes([value & 255]) * BATCH


class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]


class Message(ctypes.Structure):
    """struct mmsghdr"""

    _fields_ = [("name", ctypes.c_void_p), ("namelen", ctypes.c_uint), ("iov", ctypes.POINTER(Iovec)), ("iovlen", ctypes.c_size_t),
                ("control", ctypes.c_void_p), ("controllen", ctypes.c_size_t), ("flags", ctypes.c_int), ("pad", ctypes.c_int), ("sent", ctypes.c_uint)]


def flood(seconds, total):
    """A process of its own."""
    libc = ctypes.CDLL(None, use_errno=True)
    with wire.namespace(lab.ns("wan")):
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)  # which receives nothing
    sock.setsockopt(socket.SOL_SOCKET, 32, 64 << 20)  # SO_SNDBUFFORCE
    sock.setsockopt(263, 20, 1)  # PACKET_QDISC_BYPASS
    sock.bind(("net0", 0))
    frames = Frames()
    base = ctypes.addressof((ctypes.c_char * len(frames.buffer)).from_buffer(frames.buffer))
    iovecs = (Iovec * BATCH)(*[Iovec(base + i * LEN, LEN) for i in range(BATCH)])
    messages = (Message * BATCH)(*[Message(iov=ctypes.pointer(iovecs[i]), iovlen=1) for i in range(BATCH)])
    begin, sent, step = time.monotonic(), 0, 512
    while time.monotonic() < begin + seconds:
        frames.next_round()
        for at in range(0, BATCH, step):
            n = libc.sendmmsg(sock.fileno(), ctypes.byref(messages, at * ctypes.sizeof(Message)), step, 0)
            sent += max(n, 0)
            time.sleep(max(0, begin + sent / RATE - time.monotonic()))
    total.value = sent


# ---- what goes on ----


class Server:
    """Accepts in lan: echoes one message to each who connects anew, and keeps the long transfers."""

    def __init__(self):
        with wire.namespace(lab.ns("lan")):
            self.sock = socket.create_server((SERVER, 80), backlog=100)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            conn, _ = self.sock.accept()
            threading.Thread(target=self.serve, args=(conn,), daemon=True).start()

    def serve(self, conn):
        """What comes goes back."""
        try:
            while True:
                data = conn.recv(1 << 16)
                if not data:
                    break
                conn.sendall(data)
        except OSError:
            pass
        conn.close()


def connect(timeout):
    with wire.namespace(lab.ns("wan")):
        sock = socket.socket()
        sock.bind((CLIENT, 0))
    sock.settimeout(timeout)
    sock.connect((SERVER, 80))
    return sock


class Transfer:
    """A connection that was there before: a piece goes there and back every few milliseconds, until told to stop."""

    def __init__(self):
        self.sock, self.pieces, self.why, self.going = connect(5), 0, None, True
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        try:
            while self.going:
                piece = hashlib.shake_128(str(self.pieces).encode()).digest(5000)
                self.sock.sendall(piece)
                got = b""
                while len(got) < len(piece):
                    more = self.sock.recv(1 << 16)
                    if not more:
                        raise OSError("closed")
                    got += more
                if got != piece:
                    raise OSError("other bytes came back")
                self.pieces += 1
                time.sleep(0.02)
        except OSError as why:
            self.why = str(why)

    def stop(self):
        self.going = False
        self.thread.join(20)


def attempts(until):
    """New connections: how many got in, of how many."""
    good, tries, slow = 0, 0, 0.0
    while time.monotonic() < until:
        tries += 1
        begin = time.monotonic()
        try:
            sock = connect(3)
            sock.sendall(b"new")
            good += sock.recv(10) == b"new"
            sock.close()
        except OSError:
            pass
        slow = max(slow, time.monotonic() - begin)
        time.sleep(0.1)
    return good, tries, slow


def test_flood():
    for port in (lab.lan, lab.wan):
        port.sock.close()  # would get all of the flood, too
    server = Server()
    transfers = [Transfer() for _ in range(10)]
    pings = subprocess.Popen(["nsenter", "--net=/run/netns/" + lab.ns("wan"), "ping", "-n", "-q", "-i", "0.05", "-c", str(int(SECONDS / 0.05)), "-W", "2",
                              SERVER], stdout=subprocess.PIPE, text=True)
    total = multiprocessing.Value("L")
    before = [t.pieces for t in transfers]
    flooding = multiprocessing.Process(target=flood, args=(SECONDS, total))
    flooding.start()
    good, tries, slow = attempts(time.monotonic() + SECONDS)
    flooding.join(30)
    for transfer in transfers:
        transfer.stop()
    said = pings.communicate(timeout=30)[0]
    states = lab.fl("status").get("states")
    pieces = [t.pieces - n for t, n in zip(transfers, before)]
    print("# %d SYNs in %.0f s; %d of %d new connections, the slowest %.2f s; %d to %d pieces of 10 transfers; %s; states %s; drops %s"
          % (total.value, SECONDS, good, tries, slow, min(pieces), max(pieces), said.splitlines()[-2], states, lab.drops()))
    broken = [t.why for t in transfers if t.why]
    check(not broken, "%d of 10 transfers broke: %s" % (len(broken), broken[:3]))
    check(min(pieces) > 10, "a transfer stood still: pieces %s" % pieces)
    lost = float(re.search(r"([\d.]+)% packet loss", said).group(1))
    check(lost <= 2, "pings: %s" % said)
    check(total.value > 300000, "only %d SYNs" % total.value)
    check(tries > 10 and good >= 0.9 * tries, "%d of %d new connections got in" % (good, tries))
    check(states["states"] <= states["limit"], "more states than the limit: %s" % states)
    check(server.sock.fileno() >= 0, "the server is gone")


wire.main([test_flood], lab.prefix)
