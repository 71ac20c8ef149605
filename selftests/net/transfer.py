#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""A transfer between two network namespaces, told apart from its copy by SHA-256.

transfer.py tcp FROM_NS TO_NS ADDRESS BYTES [--port N] [--to-port N] [--seconds N] [--mbit N]
transfer.py udp CLIENT_NS SERVER_NS ADDRESS [SIZE...]

ADDRESS is where the server in the second namespace is reached from the first. tcp sends BYTES from FROM_NS to TO_NS; with
--reverse the connection is opened the same way and the bytes go the other way. udp has every size echoed.
Prints one line; exit status 1 if what arrived is not what was sent.
"""

import argparse
import hashlib
import socket
import sys
import threading
import time

import wire

CHUNK = 1 << 18
SO_MAX_PACING_RATE = 47  # <asm-generic/socket.h>: bytes a second


def content(size):
    """Bytes that repeat nowhere soon, the same in every run."""
    block, sent = hashlib.sha512(b"fairlead").digest(), 0
    while sent < size:
        piece = hashlib.shake_128(block + sent.to_bytes(8, "big")).digest(min(CHUNK, size - sent))
        sent += len(piece)
        yield piece


def send_all(sock, size, result):
    digest = hashlib.sha256()
    for piece in content(size):
        digest.update(piece)
        sock.sendall(piece)
    sock.shutdown(socket.SHUT_WR)
    result["sent"] = digest.hexdigest()


def receive_all(sock, result):
    digest, count = hashlib.sha256(), 0
    while True:
        piece = sock.recv(CHUNK)
        if not piece:
            break
        digest.update(piece)
        count += len(piece)
    result["received"], result["bytes"] = digest.hexdigest(), count


def sockets(args, kind):
    family = socket.AF_INET6 if ":" in args.address else socket.AF_INET
    with wire.namespace(args.server):
        server = socket.socket(family, kind)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((args.bind or ("::" if family == socket.AF_INET6 else "0.0.0.0"), args.to_port or args.port))
    with wire.namespace(args.client):
        client = socket.socket(family, kind)
        if args.source:
            client.bind((args.source, 0))
    server.settimeout(args.seconds)
    client.settimeout(args.seconds)
    return server, client


def guarded(function, *arguments):
    """For a thread: its failure is the other side's to tell."""

    def run():
        try:
            function(*arguments)
        except OSError as why:
            print("# %s" % why, file=sys.stderr)

    return threading.Thread(target=run, daemon=True)


def tcp(args):
    listener, client = sockets(args, socket.SOCK_STREAM)
    listener.listen(1)
    begin = time.monotonic()
    try:
        client.connect((args.address, args.port))
        server, peer = listener.accept()
    except OSError as why:
        print("no connection to [%s]:%d: %s" % (args.address, args.port, why))
        return 1
    server.settimeout(args.seconds)
    sender, receiver = (server, client) if args.reverse else (client, server)
    if args.mbit:
        sender.setsockopt(socket.SOL_SOCKET, SO_MAX_PACING_RATE, args.mbit * 125000)
    result = {}
    threads = [guarded(send_all, sender, args.numbers[0], result), guarded(receive_all, receiver, result)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.1, begin + args.seconds - time.monotonic()))
    took = time.monotonic() - begin
    same = "received" in result and result.get("sent") == result["received"]
    print("%s of %d bytes in %.2f s (%.0f Mbit/s) from %s, sha256 sent %s… received %s…"
        % (result.get("bytes", "not all"), args.numbers[0], took, args.numbers[0] * 8e-6 / took, peer[0],
           result.get("sent", "-")[:16], result.get("received", "-")[:16]))
    return 0 if same else 1


def udp(args):
    server, client = sockets(args, socket.SOCK_DGRAM)
    client.settimeout(1)
    failed = []

    def echo():
        while True:
            data, sender = server.recvfrom(1 << 16)
            server.sendto(data, sender)

    guarded(echo).start()
    for size in args.numbers:
        data = b"".join(content(size))
        for _ in range(4):  # the first one of a size may be answered by Packet Too Big
            try:
                client.sendto(data, (args.address, args.port))
                if client.recv(1 << 16) == data:
                    break
            except OSError:
                pass
        else:
            failed.append(size)
    print("udp of %d sizes echoed, not: %s" % (len(args.numbers) - len(failed), failed or "none"))
    return 1 if failed else 0


def arguments(words=None):
    """The command line's, or these."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=["tcp", "udp"])
    parser.add_argument("client")
    parser.add_argument("server")
    parser.add_argument("address")
    parser.add_argument("numbers", type=int, nargs="+")
    parser.add_argument("--port", type=int, default=5001)
    parser.add_argument("--to-port", type=int, help="the server's own, where a router translates")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--mbit", type=int, help="no faster than that")
    parser.add_argument("--source", help="the client's address")
    parser.add_argument("--bind", help="the server's address")
    parser.add_argument("--reverse", action="store_true")
    return parser.parse_args(words)


def main():
    args = arguments()
    sys.exit({"tcp": tcp, "udp": udp}[args.kind](args))


if __name__ == "__main__":
    main()
