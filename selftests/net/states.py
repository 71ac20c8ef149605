#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""For states.sh: ends of connections, what comes to them, and a table filled by hand."""

import argparse
import ctypes
import mmap
import os
import platform
import re
import select
import socket
import struct
import sys
import threading
import time

SYS_BPF = {"x86_64": 321, "aarch64": 280}[platform.machine()]
OBJ_GET = 7
STATE_SIZE = 128
BUCKET_WAYS = 8
ESTABLISHED = 3
COUNTS_SIZE = 64


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def say(*words):
    print(*words, flush=True)


def serve(args):
    """Sends back what comes, says when a connection is reset."""

    def talk(connection, port):
        try:
            while data := connection.recv(65536):
                connection.sendall(data)
        except ConnectionResetError:
            say("reset", port)

    listener = socket.socket(family_of(args.address), socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((args.address, args.port))
    listener.listen(1024)
    say("ready")
    while True:
        connection, peer = listener.accept()
        threading.Thread(target=talk, args=(connection, peer[1]), daemon=True).start()


def hold(args):
    """Connects, says its port, and how the connection ends."""
    connection = socket.create_connection((args.address, args.port), timeout=5)
    connection.sendall(b"hello")
    if connection.recv(100) != b"hello":
        sys.exit("no echo")
    connection.settimeout(None)
    say("up", connection.getsockname()[1])
    try:
        connection.recv(1)
        say("closed")
    except ConnectionResetError:
        say("reset")


def stream(args):
    """Sends until a file is there, or for so long; each byte must come back."""
    connection = socket.create_connection((args.address, args.port), timeout=10)
    say("up", connection.getsockname()[1])
    block = os.urandom(65536)
    end, sent, received, longest, last = time.monotonic() + args.seconds, 0, 0, 0.0, time.monotonic()
    more = True
    connection.setblocking(False)
    while more or received < sent:
        readable, writable, _ = select.select([connection], [connection] if more else [], [], 10)
        if not readable and not writable:
            sys.exit(f"it stands still: {received} of {sent} bytes have come back")
        if writable:
            time.sleep(args.pause)  # this is about what arrives, not about how full queues get
            at = sent % len(block)
            sent += connection.send(block[at:])
        if readable:
            data = connection.recv(1 << 20)
            at = received % len(block)
            want = (block * (len(data) // len(block) + 2))[at : at + len(data)]
            if data != want:
                sys.exit("other bytes came back")
            received += len(data)
            longest = max(longest, time.monotonic() - last)
            last = time.monotonic()
        more = time.monotonic() < end and not os.path.exists(args.until)  # before the loop asks whether all is back
    say("done", sent, "bytes, longest pause", round(longest, 3), "s")


def many(args):
    """So many connections, which stay open until standard input ends; how many came up."""
    held = []
    for _ in range(args.count):
        try:
            held.append(socket.create_connection((args.address, args.port), timeout=args.wait))
        except (TimeoutError, OSError):
            break
    say("up", len(held))
    for command in sys.stdin:
        alive = 0
        for connection in held:
            try:
                connection.settimeout(2)
                connection.sendall(b"x")
                alive += connection.recv(1) == b"x"
            except (TimeoutError, OSError):
                pass
        say(command.strip(), alive)


def resets(args):
    """Resets on the wire: source, destination, sequence numbers."""
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
    wire.bind((args.device, 0))
    say("ready")
    while True:
        data, where = wire.recvfrom(2048)
        if where[2] == socket.PACKET_OUTGOING:
            continue
        if data[0] >> 4 == 4 and data[9] == 6:
            src, dst, tcp = socket.inet_ntoa(data[12:16]), socket.inet_ntoa(data[16:20]), data[(data[0] & 15) * 4 :]
        elif data[0] >> 4 == 6 and data[6] == 6:
            src, dst = (socket.inet_ntop(socket.AF_INET6, data[i : i + 16]) for i in (8, 24))
            tcp = data[40:]
        else:
            continue
        sport, dport, seq, ack = struct.unpack("!HHII", tcp[:12])
        if tcp[13] & 4:
            say("RST", src, sport, dst, dport, seq, ack)


def table(instance, name):
    """A map of the state table in memory."""
    path = ctypes.create_string_buffer(f"/sys/fs/bpf/fairlead/{instance}/{name}".encode())
    attributes = ctypes.create_string_buffer(struct.pack("<QII", ctypes.addressof(path), 0, 0), 128)
    fd = ctypes.CDLL(None, use_errno=True).syscall(SYS_BPF, OBJ_GET, attributes, 128)
    if fd < 0:
        raise OSError(ctypes.get_errno(), name)
    with open(f"/proc/self/fdinfo/{fd}", encoding="ascii") as info:
        text = info.read()
    size = [int(re.search(key + r":\s*(\d+)", text)[1]) for key in ("value_size", "max_entries")]
    return mmap.mmap(fd, size[0] * size[1])


def fill(args):
    """Clones the first state about so often, each into an element of its own, as if no rule had passed it."""
    buckets, states, counts = (table(args.instance, name) for name in ("fl_buckets", "fl_states", "fl_state_counts"))
    slots = len(buckets) // 8
    tag = struct.Struct("=Q")
    taken = [i for i in range(slots) if buckets[8 * i] & 0xFF]
    state = bytearray(states[taken[0] * STATE_SIZE : (taken[0] + 1) * STATE_SIZE])
    state[37] &= 0x09  # flags: neither translated nor counted
    state[52:62] = bytes(10)
    done, slot, skip = 0, 0, set(taken)
    half = BUCKET_WAYS // 2  # of each bucket: the rest is for those that come
    elements = (bytes(state) * half + bytes(STATE_SIZE * half)) * 512
    tags = (tag.pack(0x12345 << 32 | 1 << 8 | ESTABLISHED) * half + bytes(8 * half)) * 512
    step = 512 * BUCKET_WAYS
    while done < args.count:
        if not any(i in skip for i in range(slot, slot + step)):
            states[slot * STATE_SIZE : (slot + step) * STATE_SIZE] = elements
            buckets[slot * 8 : (slot + step) * 8] = tags
            done += step // 2
        slot += step
    for line in (0, 1):
        was = struct.unpack_from("=q", counts, line * COUNTS_SIZE)[0]
        struct.pack_into("=q", counts, line * COUNTS_SIZE, was + done)
    say("filled", done)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["serve", "hold", "stream", "many", "resets", "fill"])
    parser.add_argument("--address")
    parser.add_argument("--port", type=int, default=7777)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--wait", type=float, default=1)
    parser.add_argument("--pause", type=float, default=0.003)
    parser.add_argument("--device")
    parser.add_argument("--until", default="")
    parser.add_argument("--instance")
    args = parser.parse_args()
    globals()[args.what](args)


if __name__ == "__main__":
    main()
