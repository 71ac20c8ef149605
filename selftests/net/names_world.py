#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""The world of names.sh: a name server, brokers by HTTPS and HTTP, and what comes by which cable.

usage: names_world.py DIRECTORY

world.json there says what is answered, at any moment: "dns" has a name's answer: [TTL, ADDRESS...], or "servfail"; a name that is not there
gets none. "http" is status, text and, if it takes its time, seconds. world.log gets a line of JSON for each question, request and first packet.
"""

import http.server
import json
import os
import socket
import socketserver
import ssl
import struct
import sys
import threading
import time

DIRECTORY = sys.argv[1]
log_lock = threading.Lock()
log_file = open(os.path.join(DIRECTORY, "world.log"), "a", buffering=1)


def said(key):
    with open(os.path.join(DIRECTORY, "world.json")) as f:
        return json.load(f)[key]


def log(**what):
    with log_lock:
        log_file.write(json.dumps({"time": time.monotonic(), **what}) + "\n")


# ---- names ----


def name_of(question):
    labels, at = [], 12
    while question[at]:
        labels.append(question[at + 1 : at + 1 + question[at]].decode())
        at += 1 + question[at]
    return ".".join(labels), at + 5


def name_server(sock):
    while True:
        question, who = sock.recvfrom(512)
        name, end = name_of(question)
        answer = said("dns").get(name.lower())
        log(what="dns", name=name, source=who[0])
        if answer is None:
            continue
        rcode, addresses = (2, []) if answer == "servfail" else (0, answer[1:])
        head = question[:2] + struct.pack("!HHHHH", 0x8180 | rcode, 1, len(addresses), 0, 0)
        records = [struct.pack("!HHHIH", 0xC00C, 1, 1, answer[0], 4) + socket.inet_aton(a) for a in addresses]
        sock.sendto(head + question[12:end] + b"".join(records), who)


# ---- brokers ----


class Broker(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        log(what="http", secure=isinstance(self.connection, ssl.SSLSocket), path=self.path, source=self.client_address[0],
            authorization=self.headers.get("Authorization"), host=self.headers.get("Host"))
        status, text, *seconds = said("http")
        time.sleep(sum(seconds))
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def server_bind(self):
        """Without asking for the address's name."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address


def broker(port, context):
    server = Server(("192.0.2.80", port), Broker)
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    return server.serve_forever


# ---- the cables ----


def watch(sock):
    """SYNs to brokers, and outer packets of tunnels."""
    while True:
        data, (device, _, kind, _, _) = sock.recvfrom(2048)
        if device == "lo" or kind == socket.PACKET_OUTGOING:
            continue
        source, to = socket.inet_ntoa(data[12:16]), socket.inet_ntoa(data[16:20])
        if data[9] == 41:
            log(what="outer", device=device, source=source, to=to)
        elif data[9] == 6 and data[33] == 2:
            log(what="syn", device=device, source=source, to=to)


def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(os.path.join(DIRECTORY, "broker.crt"), os.path.join(DIRECTORY, "broker.key"))
    dns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    dns.bind(("192.0.2.53", 53))
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
    with open(os.path.join(DIRECTORY, "world.json"), "w") as f:
        json.dump({"dns": {"tunnel.example.net": "servfail", "broker.example.net": [60, "192.0.2.80"]}, "http": [200, "good"]}, f)
    for work, *arguments in ((name_server, dns), (watch, wire), (broker(443, context),), (broker(8080, None),)):
        threading.Thread(target=work, args=arguments, daemon=True).start()
    print("ready", flush=True)
    threading.Event().wait()


main()
