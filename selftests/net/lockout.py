#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""lockout.sh's user: one session that is open, and attempts to open others."""

import argparse
import json
import os
import socket
import subprocess
import threading
import time

import wire
from wire import check, check_equal

ROUTER, PORT, SECONDS = "192.0.2.1", 22, 3

parser = argparse.ArgumentParser()
parser.add_argument("--prefix", default="")
parser.add_argument("--lab", required=True)
parser.add_argument("--mode", default="native")
args = parser.parse_args()


def serve():
    with wire.namespace(args.lab + "-router"):
        listener = socket.create_server((ROUTER, PORT))

    def echo(conn):
        while True:
            data = conn.recv(100)
            if not data:
                return
            conn.sendall(data)

    def accept():
        while True:
            threading.Thread(target=echo, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


def session(timeout):
    with wire.namespace(args.lab + "-lan"):
        sock = socket.socket()
    sock.settimeout(timeout)
    sock.connect((ROUTER, PORT))
    return sock


def says(sock, text):
    sock.sendall(text)
    return sock.recv(100) == text


def gets_in():
    try:
        with session(0.5) as sock:
            return says(sock, b"let me in")
    except OSError:
        return False


def apply(config):
    path = os.path.join(os.environ["FL_TMP"], "lockout.json")
    with open(path, "w") as f:
        json.dump(config, f)
    command = [os.environ["FL_BUILD"] + "/fairlead", "--instance", args.lab + "-router", "apply", "--confirm", str(SECONDS), path]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=20)
    check_equal(done.returncode, 0, "exit status of apply (%s)" % done.stdout)


def test_lockout_is_undone():
    with open(os.path.join(os.environ["FL_TMP"], "router.json")) as f:
        config = json.load(f)
    serve()
    held = session(2)
    check(says(held, b"before") and gets_in(), "nobody gets in, to begin with")
    config["rules"] = [dict(config["rules"][0], name="nobody", action="block")]
    apply(config)
    begin = time.monotonic()
    locked, open_again = 0, None
    while time.monotonic() < begin + SECONDS + 4:
        check(says(held, b"still here"), "the session that was open is stuck")
        if gets_in():
            open_again = time.monotonic() - begin
            break
        locked += 1
        time.sleep(0.05)
    check(locked >= 2, "he was never locked out")
    check(open_again is not None, "he is still locked out %d s after the confirmation was due" % 4)
    check(SECONDS - 1 <= open_again <= SECONDS + 2, "it was undone after %.1f s instead of %d" % (open_again, SECONDS))
    check(says(held, b"after"), "the session that was open is broken")


wire.main([test_lockout_is_undone], args.prefix)
