#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Hostile bytes on the control socket of a real daemon: each gets an answer or a closed connection, and the next client is served.

socket_hostile.py --socket PATH --pid N
"""

import argparse
import json
import os
import random
import socket
import struct
import sys
import time

from wire import check, check_equal, main

ARGS = argparse.ArgumentParser()
ARGS.add_argument("--prefix", default="")
ARGS.add_argument("--socket", required=True)
ARGS.add_argument("--pid", type=int, required=True)
ARGS = ARGS.parse_args()

STATUS = b'{"command": "status"}\n'


def connect():
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.connect(ARGS.socket)  # blocks while the queue is full
    sock.settimeout(20)
    return sock


def answers(sock):
    """Every line that comes until the daemon closes."""
    data = b""
    while True:
        try:
            piece = sock.recv(1 << 16)
        except ConnectionResetError:
            break
        if not piece:
            break
        data += piece
    return [json.loads(line) for line in data.splitlines()]


def ask(data):
    """What the daemon says to these bytes, when nothing follows them."""
    with connect() as sock:
        try:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError):
            pass
        return answers(sock)


def alive(what):
    """Served within a few seconds: the daemon may still be clearing away what came before."""
    end = time.monotonic() + 5
    while True:
        check(os.path.exists("/proc/%d" % ARGS.pid), "after %s the daemon is gone" % what)
        said = ask(STATUS)
        if "too many connections" not in said[0].get("error", "") or time.monotonic() > end:
            break
        time.sleep(0.05)
    check_equal([a["status"] for a in said], [0], "status after " + what)


def refused(data, what):
    said = ask(data)
    check(said and all(a["status"] == 2 and a.get("error") for a in said), "%s: answered %r" % (what, said))
    alive(what)


def test_socket_is_roots_alone():
    check_equal(os.stat(ARGS.socket).st_mode & 0o777, 0o600, "mode")


def test_socket_not_json():
    for data in (b"\n", b"hello\n", b"\0\n", b"\xff\xfe\n", b"{\n", b"[]\n", b"1\n", b'"status"\n', b"{}\n", b'{"command": null}\n',
                 b'{"command": "status", "command": "unload"}\n', b'{"command": "\\u0000"}\n', b"GET / HTTP/1.1\r\n"):
        refused(data, "%r" % data)


def test_socket_wrong_requests():
    for request in ({"command": "show"}, {"command": "show", "what": "passwords"}, {"command": "show", "what": 1},
                    {"command": "show", "what": "tunnels", "more": 1}, {"command": "apply", "body": None}, {"command": "apply", "body": {}},
                    {"command": "apply", "body": "{}"}, {"command": "apply", "body": -1}, {"command": "apply", "body": 1 << 40},
                    {"command": "apply", "config": "{}"}, {"command": "apply", "body": 0, "confirm_s": -1},
                    {"command": "apply", "body": 0, "confirm_s": 1 << 40}, {"command": "apply", "body": 0, "dry_run": True},
                    {"command": "status", "body": 0}, {"command": "x" * 5000, "body": 1}, {"command": "rollback", "back": -1},
                    {"command": "rollback", "back": "1"}, {"command": "explain"}, {"command": "x" * 100000},
                    {"command": "explain", "in": "lan", "src": "a", "dst": "b", "proto": 6},
                    {"command": "explain", "in": "lan", "src": "::1", "dst": "::2", "proto": 256},
                    {"command": "explain", "in": "%n%s", "src": "::1", "dst": "::2", "proto": 6}):
        refused(json.dumps(request).encode() + b"\n", str(request)[:60])


def test_socket_deep_and_long():
    refused(b"[" * 1000000 + b"\n", "a million brackets")
    refused(b'{"command": ' + b'{"a": ' * 100000 + b"\n", "a hundred thousand objects")
    refused(b"a" * (49 << 20), "49 MiB without a newline")
    refused(b"9" * 1000000 + b"\n", "a number of a million digits")


def test_socket_random_bytes():
    rng = random.Random(6296)
    for _ in range(300):
        ask(rng.randbytes(rng.randrange(1, 400)))
    for _ in range(300):
        data = bytearray(json.dumps({"command": "show", "what": "tunnels"}).encode() + b"\n")
        for _ in range(rng.randrange(1, 4)):
            data[rng.randrange(len(data) - 1)] = rng.randrange(256)
        ask(bytes(data))
    alive("random bytes")


def test_socket_half_requests():
    for cut in range(len(STATUS)):
        check_equal(ask(STATUS[:cut]), [], "answers to a half request")
    with connect() as sock:
        for byte in STATUS:
            sock.sendall(bytes([byte]))
        sock.shutdown(socket.SHUT_WR)
        check_equal([a["status"] for a in answers(sock)], [0], "status, a byte at a time")


def test_socket_bodies():
    for body in (b"{", b"\0", b"\xff\xfe", b"{}\n{}", b"x" * 100000):
        said = ask(json.dumps({"command": "apply", "dry_run": True, "body": len(body)}).encode() + b"\n" + body + STATUS)
        check_equal([a["status"] for a in said], [2, 0], "a body of %r, and status behind it" % body[:10])
    refused(json.dumps({"command": "apply", "body": 17 << 20}).encode() + b"\n" + b" " * (17 << 20), "17 MiB, more than a start would read")
    check_equal(ask(json.dumps({"command": "apply", "body": 1000}).encode() + b"\n{}"), [], "answers to half a body")
    alive("half a body")


def test_socket_many_in_one():
    said = ask(STATUS + b"nonsense\n" + STATUS * 200)
    check_equal([a["status"] for a in said], [0, 2] + [0] * 200, "statuses")


def test_socket_reset():
    """Clients that ask and leave without reading."""
    for _ in range(200):
        sock = connect()
        sock.sendall(STATUS * 20)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
    alive("clients that leave")


def test_socket_no_reader():
    """A client that asks for much and reads nothing holds up nobody."""
    with connect() as sock:
        sock.setblocking(False)
        try:
            for _ in range(10000):
                sock.send(STATUS * 50)
        except BlockingIOError:
            pass
        alive("a client that does not read")
    alive("it has left")


def test_socket_many_clients():
    socks = []
    try:
        for _ in range(300):
            socks.append(connect())
    except OSError:
        pass
    check(len(socks) > 20, "only %d connections" % len(socks))
    for sock in socks:
        sock.close()
    alive("%d connections" % len(socks))


def test_socket_memory():
    """What they sent is not kept."""
    with open("/proc/%d/status" % ARGS.pid, encoding="ascii") as f:
        kib = int(next(line for line in f if line.startswith("VmRSS")).split()[1])
    check(kib < 300000, "the daemon has %d KiB" % kib)


if __name__ == "__main__":
    tests = [value for name, value in list(globals().items()) if name.startswith("test_")]
    main(tests, ARGS.prefix)
    sys.exit(0)
