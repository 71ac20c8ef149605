# SPDX-License-Identifier: GPL-2.0-only
"""What the tests of whole configurations have in common: several daemons and what they say, conversations through them."""

import argparse
import contextlib
import os
import socket
import subprocess
import time

from lab import Lab
from wire import Failure, Port, check, check_equal, namespace


class PolicyLab(Lab):
    """The daemons' instances have the names of their namespaces."""

    def __init__(self):  # pylint: disable=super-init-not-called
        parser = argparse.ArgumentParser()
        parser.add_argument("--prefix", default="", help="before the tests' names")
        parser.add_argument("--lab", required=True, help="what the namespaces' names begin with")
        parser.add_argument("--how", required=True, help="which tests")
        parser.add_argument("--config", help="the file of the daemon whose configuration is changed")
        self.args = parser.parse_args()
        self.prefix, self.how = self.args.prefix, self.args.how
        self.serial = int(time.monotonic() * 1000) & 0xFFFFFF

    # ---- namespaces ----

    def port(self, ns, device, **how):
        return Port(self.ns(ns), device, **how)

    @contextlib.contextmanager
    def conversation(self, client, server, address, port, source=None):
        """A TCP connection from namespace to namespace: the sockets of both."""
        with namespace(self.ns(server)):
            listener = socket.create_server(("::", port), family=socket.AF_INET6)
        with namespace(self.ns(client)):
            ours = socket.socket(socket.AF_INET6)
        with listener, ours:
            listener.settimeout(5)
            ours.settimeout(5)
            if source:
                ours.bind((source, 0))
            try:
                ours.connect((address, port))
                theirs, _ = listener.accept()
            except OSError as why:
                raise Failure("no connection from %s to [%s]:%d: %s" % (client, address, port, why)) from None
            with theirs:
                theirs.settimeout(5)
                yield ours, theirs

    @contextlib.contextmanager
    def sinks(self, proto, *places):
        """Somebody takes what comes by that protocol at these (namespace, port): the kernel answers no ICMP error."""
        with contextlib.ExitStack() as stack:
            for ns, port in places:
                with namespace(self.ns(ns)):
                    if proto == socket.IPPROTO_UDP:
                        sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
                        sock.bind(("::", port))
                    else:
                        sock = socket.socket(socket.AF_INET6, socket.SOCK_RAW, proto)
                stack.enter_context(sock)
            yield

    def both_ways(self, a, b):
        """A few bytes from each of two connected sockets to the other."""
        for sender, receiver in ((a, b), (b, a)):
            token = self.token()
            sender.sendall(token)
            try:
                check_equal(receiver.recv(100), token, "what was received")
            except OSError as why:
                raise Failure("sent, and not received: %s" % why) from None

    # ---- what the daemons say ----

    def command(self, instance, *words):
        """The command line program's command, for a process of its own."""
        return [os.environ["FL_BUILD"] + "/fairlead", "--instance", self.ns(instance), *words]

    def text(self, instance, *words):
        """What it prints for people; the exit status must be 0."""
        done = subprocess.run(self.command(instance, *words), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=20, text=True, check=False)
        check_equal(done.returncode, 0, "exit status of %s (%s)" % (" ".join(words), done.stdout.strip()))
        return done.stdout

    def dropped(self, instance):
        """Reason -> packets, over all interfaces."""
        total = {}
        for row in self.fl("show", "drops", instance=instance):
            total[row["reason"]] = total.get(row["reason"], 0) + row["packets"]
        return total

    def check_dropped(self, instance, reason, action, times=1):
        """The action moves that counter by as much."""
        before = self.dropped(instance).get(reason, 0)
        action()
        until(lambda: self.dropped(instance).get(reason, 0) - before, times, "packets that %s dropped as %s" % (instance, reason))

    def rules(self, instance):
        """Name -> row."""
        return {row["name"]: row for row in self.fl("show", "rules", instance=instance)}

    def packets(self, instance, names):
        rows = self.rules(instance)
        check(set(names) <= set(rows), "rules that %s does not show: %s" % (instance, set(names) - set(rows)))
        return {name: rows[name]["packets"] for name in names}

    def check_counts(self, instance, action, want):
        """The action moves the counters of these rules by so many packets."""
        before = self.packets(instance, want)
        action()
        until(lambda: {name: n - before[name] for name, n in self.packets(instance, want).items()}, want, "packets by rule of " + instance)

    def states(self, instance, *selectors):
        return self.fl("show", "states", *selectors, instance=instance)

    def state(self, instance, *selectors, **want):
        """The one state there; it has these values."""
        rows = self.states(instance, *selectors)
        check_equal(len(rows), 1, "the number of states of %s with %s (%s)" % (instance, " ".join(selectors), rows))
        wrong = ["%s is %r, expected %r" % (k, rows[0].get(k), v) for k, v in want.items() if rows[0].get(k) != v]
        check(not wrong, "%s: %s; the state: %s" % (instance, ", ".join(wrong), rows[0]))
        return rows[0]

    def explain(self, instance, words, **want):
        """What becomes of that packet. Rules and states are as before, unless by something else in three tries."""
        for _ in range(3):
            before = self.rules(instance), self.keys(instance)
            answer = self.fl("explain", *words.split(), instance=instance)
            after = self.rules(instance), self.keys(instance)
            if after == before:
                break
        else:
            raise Failure("explain left a trace: %s, before %s" % (after, before))
        wrong = ["%s is %r, expected %r" % (k, answer.get(k), v) for k, v in want.items() if answer.get(k) != v]
        check(not wrong, "explain %s: %s; all of it: %s" % (words, ", ".join(wrong), answer))
        return answer

    def keys(self, instance):
        return sorted((s["protocol"], s["source"], s["source_port"], s["destination"], s["destination_port"]) for s in self.states(instance))


def until(look, want, what, timeout=3):
    """look() becomes what is wanted."""
    end = time.monotonic() + timeout
    while look() != want:
        if time.monotonic() > end:
            break
        time.sleep(0.05)
    check_equal(look(), want, what)


def is_prohibited(token=None, quoted=None):
    """Destination Unreachable, administratively prohibited (RFC 4443 3.1), about that packet."""
    def match(p):
        if p.proto != 58 or p.type != 1 or p.code != 1 or p.quoted is None:
            return False
        return (token is None or token in p.quoted.l4) and all(getattr(p.quoted, k) == v for k, v in (quoted or {}).items())
    return match
