# SPDX-License-Identifier: GPL-2.0-only
"""Tries a connection, and says what came of it: rules_peer.py ADDRESS PROTOCOL PORT [SOURCE-PORT]; or serves: rules_peer.py serve PORT..."""

import select
import socket
import sys

PROTOCOLS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


def serve(ports):
    """Takes TCP connections, tells each who it takes it to be, and answers UDP datagrams so too."""
    listeners, datagrams = [], []
    for port in ports:
        s = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
        listeners.append(s)
        s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        s.bind(("::", port))
        datagrams.append(s)
    print("ready", flush=True)
    while True:
        for s in select.select(listeners + datagrams, [], [])[0]:
            if s in listeners:
                connection, peer = s.accept()
                connection.sendall(f"{peer[0]} {peer[1]}".encode())
                connection.close()
            else:
                _, peer = s.recvfrom(100)
                s.sendto(f"{peer[0]} {peer[1]}".encode(), peer)


def attempt(address, protocol, port, source_port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    s = socket.socket(family, PROTOCOLS[protocol])
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.settimeout(0.7)
    s.bind(("", source_port))
    try:
        s.connect((address, port))
        if protocol == "udp":
            s.send(b"?")
        return "open " + s.recv(100).decode().removeprefix("::ffff:")
    except socket.timeout:
        return "silence"
    except OSError as error:
        return type(error).__name__ if error.errno == 111 else error.strerror


if sys.argv[1] == "serve":
    serve([int(port) for port in sys.argv[2:]])
print(attempt(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]) if len(sys.argv) > 4 else 0))
