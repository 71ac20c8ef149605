# SPDX-License-Identifier: GPL-2.0-only
"""The lab of ../pairlab.sh as test programs see it: two nodes that can be killed, booted and unplugged, and traffic that goes on."""

import contextlib
import ctypes
import hashlib
import json
import os
import select
import signal
import socket
import struct
import subprocess
import threading
import time

from owners import Owners
from policylab import *
from wire import Port, check, check_equal, namespace

BUILD = os.environ["FL_BUILD"]
_libc = ctypes.CDLL(None)


def _dies_with_us():
    _libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def links_down(ns, devices):
    """All by one message to the kernel, as near to one moment as it does it."""
    with namespace(ns), socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as sock:
        sock.settimeout(10)
        sock.send(b"".join(struct.pack("=IHHIIBxHiII", 32, 16, 5, n, 0, 0, 0, socket.if_nametoindex(device), 0, 1)  # RTM_NEWLINK, IFF_UP off
                           for n, device in enumerate(devices)))
        for device in devices:
            error = struct.unpack("=i", sock.recv(4096)[16:20])[0]
            check(error == 0, "%s can't be set down: error %d" % (device, error))


class Node:
    """One of the two: its daemon, its configuration, its cables (segment -> device of its own)."""

    def __init__(self, lab, name, config, cables):
        self.lab, self.name, self.cables = lab, name, cables
        self.instance = lab.ns(name)
        self.file = config
        with open(self.file) as file:
            self.shipped = file.read()
        self.log = config + ".log"
        self.process = None

    def configure(self, change=None, anew=False):
        """The file, or the one that is shipped, with a change (a function on the configuration) in it; not applied."""
        with open(self.file) as file:
            config = json.loads(self.shipped if anew else file.read())
        if change:
            change(config)
        with open(self.file, "w") as file:
            json.dump(config, file, indent=1)

    def start(self, wait=True):
        with open(self.log, "a") as log:
            self.process = subprocess.Popen(
                ["nsenter", "--net=/run/netns/" + self.instance, "--", BUILD + "/fairleadd", "-f", "-c", self.file, "--instance", self.instance],
                stdout=log, stderr=log, preexec_fn=_dies_with_us)
        if wait:
            self.wait_started()

    def wait_started(self):
        until(lambda: self.ask("status") is not None, True, "whether %s answers" % self.name, 30)

    def end(self, how=signal.SIGKILL):
        if self.process:
            self.process.send_signal(how)
            self.process.wait(20)
            self.process = None

    def wipe(self):
        """What a reboot leaves of programs, maps and addresses: nothing."""
        subprocess.run(["nsenter", "--net=/run/netns/" + self.instance, "--", BUILD + "/fairleadd", "--unload", "--instance", self.instance],
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60, check=False)

    def cable(self, segment, state):
        """Pulled out ("down") or put in ("up"): the port of the switch at its other end."""
        self.lab.run("switch", "ip", "link", "set", "%s-%s" % (segment, self.name), state)

    def silent(self, segment, cut):
        """Its port of the switch goes on to have a carrier, and carries nothing."""
        port = "%s-%s" % (segment, self.name)
        self.lab.run("switch", "ip", "link", "set", port, *(["nomaster"] if cut else ["master", segment]))

    def power(self, on):
        """Everything of the node is gone at once; or it boots, with nothing of before.

        The daemon stands still before its links are down, so that it sees none of them go and tells nobody; what its end, and that of the
        kernel's own connections, would have said reaches nobody.
        """
        if on:
            for segment in self.cables:
                self.cable(segment, "up")
            self.start(wait=False)
            return
        if self.process:
            self.process.send_signal(signal.SIGSTOP)
        links_down(self.lab.ns("switch"), ["%s-%s" % (segment, self.name) for segment in self.cables])
        self.end()
        for pid in subprocess.run(["ip", "netns", "pids", self.instance], stdout=subprocess.PIPE, check=True, timeout=20).stdout.split():
            with contextlib.suppress(OSError):
                os.kill(int(pid), signal.SIGKILL)
        self.lab.output(self.name, "ss", "-K", "-a", "-t")
        self.wipe()

    def ask(self, *words):
        """A row or rows of the daemon; None: it does not answer."""
        command = {"command": "show", "what": words[1]} if words[0] == "show" else {"command": words[0]}
        try:
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(5)
                sock.connect("/run/fairlead/%s.sock" % self.instance)
                sock.sendall(json.dumps(command).encode() + b"\n")
                answer = b""
                while not answer.endswith(b"\n"):
                    piece = sock.recv(1 << 16)
                    if not piece:
                        return None
                    answer += piece
        except OSError:
            return None
        return json.loads(answer).get("result")

    def roles(self):
        """Name of the shared address -> role."""
        rows = self.ask("show", "vips")
        return {row["name"]: row["role"] for row in rows} if rows is not None else {}

    def has(self, role):
        roles = set(self.roles().values())
        return roles == {role}

    def fl(self, *words):
        return self.lab.text(self.name, *words)

    def status(self):
        return self.lab.fl("status", instance=self.name)


class PairLab(PolicyLab):
    """Two nodes with a configuration each, and what goes on meanwhile: streams (client, server, address), shared addresses (segment, host,
    source, address). advert, advskew: of the worse one, in s.
    """

    def __init__(self, configs, cables, streams, shared, advert, advskew):
        super().__init__()
        self.streams, self.shared, self.advskew = streams, shared, advskew
        self.adverts(advert)
        self.tmp = os.path.dirname(self.args.config)
        self.a = Node(self, "a", os.path.join(self.tmp, configs[0]), cables)
        self.b = Node(self, "b", os.path.join(self.tmp, configs[1]), cables)
        self.nodes = (self.a, self.b)

    def adverts(self, advert):
        """How long it is from one advert to the next, of the worse node and of one that is in maintenance."""
        self.interval, self.slowest = (advert * (1 + skew / 256) for skew in (self.advskew, 254))

    def other(self, node):
        return self.b if node is self.a else self.a

    def settled(self, master=None, timeout=30):
        """One has all, the other waits for its turn, and both know of each other."""
        master = master or self.a
        other = self.other(master)
        until(lambda: (master.has("master"), "master" in other.roles().values()), (True, False),
              "whether %s has all, and %s any" % (master.name, other.name), timeout)
        until(lambda: [all(row["connected"] for row in node.ask("show", "sync") or [{"connected": False}]) for node in self.nodes], [True, True],
              "whether both are connected", timeout)

    def restore(self):
        """All cables are in, both daemons run, and nothing is left of what somebody has said by hand."""
        for node in self.nodes:
            for segment in node.cables:
                node.silent(segment, False)
                node.cable(segment, "up")
            if not node.process:
                node.start()
            node.fl("vip", "enable")
            node.fl("vip", "maintenance", "off")
        self.settled(timeout=60)

    def start(self, adapt):
        for node in self.nodes:
            node.configure(adapt)
            node.start(wait=False)
        for node in self.nodes:
            node.wait_started()
        self.settled(timeout=60)

    @contextlib.contextmanager
    def traffic(self, what, gap, twice=None):
        """Around what happens to a node: the longest gap that it may cost, and how long an address may be owned twice (an interval), in s."""
        t = Traffic(self)
        try:
            yield t
            t.finish(what, gap, self.interval if twice is None else twice)
        except BaseException:
            t.ends()
            self.restore()  # for the tests that follow
            raise

    @contextlib.contextmanager
    def owned(self, what):
        """Around what leaves an address to nobody for as long as it takes: never to two, and then to who says that it is master."""
        owners = Owners(self)
        try:
            yield
            owners.settled()
            owners.finish()
            owners.judge(what, 0, None, self.interval)
        except BaseException:
            owners.ends = True
            self.restore()
            raise

    def stop(self):
        for node in self.nodes:
            node.end(signal.SIGTERM)
            node.wipe()


class Pings(threading.Thread):
    """A numbered packet each 10 ms by one UDP connection, answered: how long nothing came through."""

    def __init__(self, lab, client, server, address, port, interval=0.01):
        super().__init__(daemon=True)
        self.interval, self.ends = interval, False
        self.sent, self.got = {}, {}
        with namespace(lab.ns(client)):
            self.ours = socket.socket(family(address), socket.SOCK_DGRAM)
        with namespace(lab.ns(server)):
            self.theirs = socket.socket(family(address), socket.SOCK_DGRAM)
        self.theirs.bind((address, port))
        self.ours.connect((address, port))
        self.start()

    def take(self, deadline):
        while True:
            left = deadline - time.monotonic()
            ready = select.select([self.ours, self.theirs], [], [], max(left, 0))[0]
            if not ready:
                return
            with contextlib.suppress(OSError):
                if self.theirs in ready:
                    data, who = self.theirs.recvfrom(2048)
                    self.theirs.sendto(data, who)
                if self.ours in ready:
                    self.got[struct.unpack("!I", self.ours.recv(2048)[:4])[0]] = time.monotonic()

    def run(self):
        seq, due = 0, time.monotonic()
        while not self.ends:
            self.sent[seq] = time.monotonic()
            with contextlib.suppress(OSError):
                self.ours.send(struct.pack("!I", seq))
            seq += 1
            due = max(due + self.interval, time.monotonic())
            self.take(due)
        self.take(time.monotonic() + 0.5)

    def finish(self):
        self.ends = True
        self.join()
        self.ours.close()
        self.theirs.close()

    def flows(self, timeout=5):
        """Until one that is sent from now on is answered."""
        since = time.monotonic()
        until(lambda: any(self.sent[seq] >= since for seq in list(self.got)), True, "whether anything comes through", timeout)

    def gap(self, since=0.0):
        """The longest time, in s, in which nothing was sent that was answered; 0: all was."""
        longest, last, lost = 0.0, since or min(self.sent.values()), False
        for seq in sorted(self.sent):
            at = self.sent[seq]
            if at < since:
                continue
            if seq not in self.got:
                lost = True
            elif lost:
                longest, lost = max(longest, at - last), False
            if not lost:
                last = at
        return max(longest, max(self.sent.values()) - last) if lost else longest

    def lost(self, since=0.0):
        return [seq for seq in self.sent if self.sent[seq] >= since and seq not in self.got]


class Transfer:
    """A TCP connection by which bytes go both ways, paced, until finish(): all have to arrive, in order."""

    def __init__(self, lab, client, server, address, port, rate=1 << 20):
        self.rate, self.ends = rate, threading.Event()
        with namespace(lab.ns(server)):
            listener = socket.create_server((address, port), family=family(address))
        with namespace(lab.ns(client)):
            ours = socket.socket(family(address))
        listener.settimeout(10)
        ours.settimeout(10)
        ours.connect((address, port))
        theirs, _ = listener.accept()
        listener.close()
        self.pair, self.results, self.threads = (ours, theirs), {}, []
        for sock in self.pair:
            sock.settimeout(30)
        for name, sock in zip(("up", "down"), self.pair):
            self.spawn(self.sends, name, sock)
        for name, sock in zip(("down", "up"), self.pair):
            self.spawn(self.receives, name, sock)

    def spawn(self, work, name, sock):
        def guarded():
            try:
                work(name, sock)
            except OSError as why:
                self.results.setdefault("failed", "%s: %s" % (name, why))
        self.threads.append(threading.Thread(target=guarded, daemon=True))
        self.threads[-1].start()

    def sends(self, name, sock):
        digest, piece, begin, sent = hashlib.sha256(), b"", time.monotonic(), 0
        while not self.ends.is_set():
            piece = hashlib.shake_128(name.encode() + struct.pack("!Q", sent)).digest(8192)
            sock.sendall(piece)
            digest.update(piece)
            sent += len(piece)
            time.sleep(max(0, begin + sent / self.rate - time.monotonic()) if time.monotonic() - begin < sent / self.rate + 1 else 0.001)
        sock.shutdown(socket.SHUT_WR)
        self.results[name + " sent"] = digest.hexdigest()

    def receives(self, name, sock):
        digest, count = hashlib.sha256(), 0
        while piece := sock.recv(1 << 16):
            digest.update(piece)
            count += len(piece)
            self.results[name + " bytes"] = count
        self.results[name + " received"] = digest.hexdigest()

    def moves(self, timeout=10):
        before = dict(self.results)
        until(lambda: all(self.results.get(w + " bytes", 0) > before.get(w + " bytes", 0) for w in ("up", "down")), True,
              "whether bytes come through both ways (%s)" % self.results.get("failed"), timeout)

    def finish(self):
        self.ends.set()
        for thread in self.threads:
            thread.join(30)
        for sock in self.pair:
            sock.close()
        r = self.results
        check(not r.get("failed"), "the transfer broke: %s" % r.get("failed"))
        for way in ("up", "down"):
            check(r.get(way + " received") and r.get(way + " received") == r.get(way + " sent"), "%s: what arrived is not what was sent: %s" % (way, r))


class Traffic:
    """Of each stream a transfer and packets that tell the gap; and who answers for each shared address."""

    next_port = 6000

    def __init__(self, lab):
        n = len(lab.streams)
        self.port = Traffic.next_port  # of the first stream's transfer
        Traffic.next_port += 2 * n
        self.transfers = [Transfer(lab, *stream, self.port + i) for i, stream in enumerate(lab.streams)]
        self.pings = [Pings(lab, *stream, self.port + n + i) for i, stream in enumerate(lab.streams)]
        self.owners = Owners(lab)
        self.names = ["%s to %s%s" % (client, server, " by IPv6" if ":" in address else "") for client, server, address in lab.streams]
        self.flow()
        self.mark()

    def flow(self):
        for t in self.transfers:
            t.moves()
        for p in self.pings:
            p.flows()

    def mark(self):
        """What is judged is what is sent from now on."""
        self.since = time.monotonic()

    def ends(self):
        for t in (*self.pings, self.owners):
            t.ends = True
        for t in self.transfers:
            t.ends.set()

    def finish(self, what, gap, twice):
        self.flow()
        self.owners.settled()
        for t in (*self.pings, self.owners):
            t.finish()
        gaps = [p.gap(self.since) for p in self.pings]
        print("# %s: gap %s, packets lost %s" % (what, ", ".join("%s %.0f ms" % (name, g * 1000) for name, g in zip(self.names, gaps)),
                                                 [len(p.lost(self.since)) for p in self.pings]))
        for t in self.transfers:
            t.finish()
        check(max(gaps) <= gap, "%s: gaps of %s s, more than %s" % (what, gaps, gap))
        self.owners.judge(what, self.since, gap, twice)
