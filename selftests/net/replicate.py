#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Connections that go on while routers change: in `server`'s namespace echoes, in the client's one of each kind.

replicate.py serve ADDRESS...       echoes; says "reset" of each TCP connection that is
replicate.py stream ADDRESS PORT    a number by UDP, each millisecond
replicate.py idle ADDRESS           a TCP connection that says "up" and nothing more until it is ended: then "alive", or why not
replicate.py hold ADDRESS KIND...   tcp, udp or icmp; says "up KIND", and when it is ended (SIGTERM) "KIND gap MS lost N"

replicate.py tell ADDRESS...          answers what comes to UDP port 5002 with whom it came from
replicate.py ask SOURCE PORT ADDRESS  says what that answers

Of UDP to port 5003 nobody answers.

Each of hold's sends a number every 10 ms and waits for it to come back: TCP's come all, in order.
"""

import itertools
import select
import signal
import socket
import struct
import sys
import threading
import time

PORT, TELL = 5001, 5002
EVERY = 0.01


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def echo_tcp(sock):
    try:
        while data := sock.recv(4096):
            sock.sendall(data)
    except ConnectionResetError:
        print("reset\n", end="", flush=True)  # in one piece: each connection has a thread
    sock.close()


def serve(address):
    listener = socket.create_server((address, PORT), family=family_of(address), backlog=1000)
    udp = socket.socket(family_of(address), socket.SOCK_DGRAM)
    udp.bind((address, PORT))

    silent = socket.socket(family_of(address), socket.SOCK_DGRAM)
    silent.bind((address, PORT + 2))

    def accepting():
        while True:
            sock, _ = listener.accept()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=echo_tcp, args=(sock,), daemon=True).start()

    def answering():
        while True:
            data, sender = udp.recvfrom(4096)
            udp.sendto(data, sender)

    def taking():
        while True:
            silent.recv(4096)

    for run in (accepting, answering, taking):
        threading.Thread(target=run, daemon=True).start()


def stream(address, port):
    sock = socket.socket(family_of(address), socket.SOCK_DGRAM)
    sock.connect((address, port))
    for number in itertools.count():
        try:
            sock.send(struct.pack("!Q", number))
        except OSError:
            pass  # refused, for a moment
        time.sleep(0.001)


def idle(address):
    sock = socket.create_connection((address, PORT), timeout=10)

    def echo():
        sock.sendall(b"here")
        return sock.recv(4) == b"here"

    def end(*_):
        try:
            print("alive" if echo() else "closed", flush=True)
        except OSError as why:
            print(why, flush=True)
        sys.exit(0)

    signal.signal(signal.SIGTERM, end)
    print("up" if echo() else "closed", flush=True)
    threading.Event().wait()


class Flow:
    """What comes back, whenever it does."""

    def __init__(self, address, kind):
        self.kind, self.sent, self.got, self.gap, self.last = kind, 0, set(), 0, None
        self.buffer, self.failed = b"", None
        family = family_of(address)
        if kind == "tcp":
            self.sock = socket.create_connection((address, PORT), timeout=10)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        elif kind == "udp":
            self.sock = socket.socket(family, socket.SOCK_DGRAM)
            self.sock.connect((address, PORT))
        else:
            self.sock = socket.socket(family, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)
            self.sock.connect((address, 0))
        self.sock.setblocking(False)

    def send(self):
        data = struct.pack("!Q", self.sent)
        if self.kind == "icmp":
            data = struct.pack("!BBHHH", 8, 0, 0, 0, self.sent & 0xffff) + data
        try:
            self.sock.send(data)
        except BlockingIOError:
            return
        except OSError as why:
            if self.kind == "tcp":
                self.failed = self.failed or why
            return
        self.sent += 1

    def receive(self):
        try:
            data = self.sock.recv(65536)
        except BlockingIOError:
            return
        except OSError as why:
            self.failed = self.failed or (why if self.kind == "tcp" else None)
            return
        now = time.monotonic()
        if self.kind == "tcp" and not data:
            self.failed = self.failed or "closed"
        self.buffer = (self.buffer if self.kind == "tcp" else b"") + data[8 if self.kind == "icmp" else 0:]
        while len(self.buffer) >= 8:
            self.got.add(struct.unpack("!Q", self.buffer[:8])[0])
            self.buffer = self.buffer[8:]
        if self.last is None:
            print("up", self.kind, flush=True)
        else:
            self.gap = max(self.gap, now - self.last)
        self.last = now

    def end(self):
        if self.last is not None and len(self.got) < self.sent:
            self.gap = max(self.gap, time.monotonic() - self.last)
        print("%s gap %d lost %d%s" % (self.kind, self.gap * 1000, self.sent - len(self.got),
                                       " failed: %s" % self.failed if self.failed else ""), flush=True)
        self.sock.close()


def hold(address, kinds):
    flows = [Flow(address, kind) for kind in kinds]
    due, ending, told = time.monotonic(), None, []
    signal.signal(signal.SIGTERM, lambda number, frame: told.append(number))
    while ending is None or time.monotonic() < ending:
        now = time.monotonic()
        if now >= due:
            due = max(due + EVERY, now)
            for flow in flows:
                if ending is None:
                    flow.send()
        watched = [flow.sock for flow in flows if not flow.failed]
        ready = select.select(watched, [], [], max(0, min(EVERY, due - time.monotonic())))[0]
        for flow in flows:
            if flow.sock in ready:
                flow.receive()
        if told and ending is None:
            ending = time.monotonic() + 0.5  # for what is on its way
    for flow in flows:
        flow.end()


def tell(addresses):
    listeners = []
    for address in addresses:
        listeners.append(socket.socket(family_of(address), socket.SOCK_DGRAM))
        listeners[-1].bind((address, TELL))
    print("ready", flush=True)
    while True:
        for sock in select.select(listeners, [], [])[0]:
            sender = sock.recvfrom(4096)[1]
            sock.sendto(("%s %d" % sender[:2]).encode(), sender)


def ask(source, port, address):
    with socket.socket(family_of(address), socket.SOCK_DGRAM) as sock:
        sock.bind((source, port))
        sock.connect((address, TELL))
        sock.settimeout(1)
        for _ in range(5):
            sock.send(b"who am I?")
            try:
                print(sock.recv(100).decode(), flush=True)
                return
            except OSError:
                pass


def main():
    if sys.argv[1] == "tell":
        tell(sys.argv[2:])
    if sys.argv[1] == "ask":
        ask(sys.argv[2], int(sys.argv[3]), sys.argv[4])
        return
    if sys.argv[1] == "serve":
        for address in sys.argv[2:]:
            serve(address)
        print("ready", flush=True)
        threading.Event().wait()
    if sys.argv[1] == "stream":
        stream(sys.argv[2], int(sys.argv[3]))
    if sys.argv[1] == "idle":
        idle(sys.argv[2])
    hold(sys.argv[2], sys.argv[3:])


main()
