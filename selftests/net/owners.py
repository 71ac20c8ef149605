# SPDX-License-Identifier: GPL-2.0-only
"""Who has the shared addresses of a pair, as frames on the wire tell: answers to ARP and neighbour solicitations, and adverts."""

import bisect
import contextlib
import ctypes
import fcntl
import ipaddress
import select
import socket
import struct
import threading
import time

import packet
from policylab import until
from wire import check, namespace

EACH = 0.02  # s between two questions
_SO_ATTACH_FILTER, _SO_TIMESTAMPNS, _SIOCGIFHWADDR = 26, 35, 0x8927
_SOL_PACKET, _PACKET_IGNORE_OUTGOING = 263, 23
_CARP, _SOLICITATION, _ADVERT = 112, 135, 136
_BOWS_OUT = (255, 255)  # advskew and advbase of who gives an address up

# What is looked at: ARP, CARP by both families, neighbour advertisements (classic BPF: code, jumps if true and if false, operand)
_FILTER = [(0x28, 0, 0, 12), (0x15, 9, 0, packet.ETH_ARP), (0x15, 0, 2, packet.ETH_IP), (0x30, 0, 0, 23), (0x15, 6, 7, _CARP),
           (0x15, 0, 6, packet.ETH_IPV6), (0x30, 0, 0, 20), (0x15, 3, 0, _CARP), (0x15, 0, 3, packet.ICMP6), (0x30, 0, 0, 54),
           (0x15, 0, 1, _ADVERT), (0x06, 0, 0, 0xFFFF), (0x06, 0, 0, 0)]


def _socket(ns, device, protocol):
    with namespace(ns):
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        if protocol:
            code = b"".join(struct.pack("HBBI", *one) for one in _FILTER)
            buffer = ctypes.create_string_buffer(code)
            sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", len(_FILTER), ctypes.addressof(buffer)))
            sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
            sock.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        sock.bind((device, protocol))
    return sock


def _question(mac, source, address):
    """Who has the address? To all, or to those that the address's multicast group has."""
    wanted = packet.packed(address)
    if len(wanted) == 4:
        return (b"\xff" * 6 + mac + struct.pack("!HHHBBH", packet.ETH_ARP, 1, packet.ETH_IP, 6, 4, 1) + mac + packet.packed(source)
                + bytes(6) + wanted)
    group = str(ipaddress.IPv6Address(packet.packed("ff02::1:ff00:0")[:13] + wanted[13:]))
    body = packet.icmp6(source, group, _SOLICITATION, data=wanted + struct.pack("!BB6s", 1, 1, mac))
    return packet.eth(packet.mac_text(b"\x33\x33\xff" + wanted[13:]), packet.mac_text(mac), packet.ip6(source, group, packet.ICMP6, body, hop=255))


def _runs(times, hold):
    """What is told again and again, from when until when: with no pause longer than hold."""
    runs = []
    for at in times:
        if runs and at - runs[-1][1] <= hold:
            runs[-1][1] = at
        else:
            runs.append([at, at])
    return runs


class Owners(threading.Thread):
    """Asks for each shared address (segment, host, source, address) each 20 ms, and sees at both nodes' ports of the switch who answers, and
    who says by adverts that it is master. Times are those of the kernel, so that what this program is late by is nobody's.
    """

    def __init__(self, lab):
        super().__init__(daemon=True)
        self.lab, self.ends, self.pause = lab, False, 1.5 * lab.slowest  # between two adverts of who is master all the time
        self.offset = time.time() - time.monotonic()
        self.asked, self.answers, self.adverts = [], {address: [] for *_, address in lab.shared}, {}
        self.addresses = {packet.packed(address): address for *_, address in lab.shared}
        self.askers = {host: _socket(lab.ns(host), "eth0", 0) for _, host, _, _ in lab.shared}
        self.macs = {fcntl.ioctl(sock, _SIOCGIFHWADDR, struct.pack("16s24x", b"eth0"))[18:24] for sock in self.askers.values()}
        self.questions = [(self.askers[host], _question(self.askers[host].getsockname()[4], source, address))
                          for _, host, source, address in lab.shared]
        self.ports = {_socket(lab.ns("switch"), "%s-%s" % (segment, node.name), 3): (segment, node.name)  # ETH_P_ALL
                      for segment in {segment for segment, *_ in lab.shared} for node in lab.nodes}
        self.start()

    def run(self):
        due = time.monotonic()
        while not self.ends:
            self.asked.append(time.monotonic())
            for sock, question in self.questions:
                with contextlib.suppress(OSError):
                    sock.send(question)
            due = max(due + EACH, time.monotonic())
            while (left := due - time.monotonic()) > 0:
                for sock in select.select(list(self.ports), [], [], left)[0]:
                    with contextlib.suppress(OSError):  # the port went down
                        self.seen(*self.ports[sock], *sock.recvmsg(128, 64)[:2])

    def seen(self, segment, node, frame, control):
        seconds, ns = struct.unpack("qq", control[0][2])
        at = seconds + ns / 1e9 - self.offset
        if frame[12:14] == b"\x08\x06":
            self.answered(frame, node, at, frame[28:32] if frame[20:22] == b"\0\2" else None)
        elif frame[12:14] == b"\x86\xdd" and frame[20] == packet.ICMP6:
            self.answered(frame, node, at, frame[62:78])
        else:
            carp = frame[34:] if frame[12:14] == b"\x08\0" else frame[54:]
            if (carp[2], carp[5]) != _BOWS_OUT:
                self.adverts.setdefault((segment, carp[1], frame[14] >> 4), {}).setdefault(node, []).append(at)

    def answered(self, frame, node, at, address):
        if address in self.addresses and frame[:6] in self.macs:
            self.answers[self.addresses[address]].append((at, node))

    def rounds(self, address, since):
        """Of each question since then: when, and which nodes have answered before the next."""
        asked, answers = list(self.asked), list(self.answers[address])
        rounds = [(at, set()) for at in asked]
        for at, node in answers:
            rounds[max(bisect.bisect(asked, at) - 1, 0)][1].add(node)
        return [one for one in rounds if one[0] >= since]

    def twice(self, address, since=0.0):
        """For how long, in s, both have answered (as far as 20 ms tell)."""
        return EACH * sum(len(names) > 1 for _, names in self.rounds(address, since))

    def unanswered(self, address, since=0.0):
        """The longest time, in s, that nobody has; where this program was late it is not counted."""
        longest = now = last = 0.0
        for at, names in self.rounds(address, since):
            now = 0.0 if names else now + min(at - last, 2 * EACH) if now else EACH
            longest, last = max(longest, now), at
        return longest

    def masters(self, since=0.0):
        """The longest time, in s, that both have said by adverts of one address that they are its master. A node has been so between two adverts with
        no longer pause than theirs; one that has given it up for no longer than that looks the same.
        """
        longest = 0.0
        for by_node in list(self.adverts.values()):
            ours, theirs = (_runs([at for at in list(by_node.get(node.name, [])) if at >= since], self.pause) for node in self.lab.nodes)
            longest = max([longest, *(min(x[1], y[1]) - max(x[0], y[0]) for x in ours for y in theirs)])
        return longest

    def now(self):
        """Address -> who has answered the last questions."""
        return {address: set().union(*(names for _, names in self.rounds(address, 0)[-6:-1])) for address in self.answers}

    def settled(self):
        """Who says that it is master answers for all of them, and nobody else for any."""
        until(lambda: [sorted(names) for names in self.now().values()],
              [[node.name for node in self.lab.nodes if node.has("master")]] * len(self.answers), "who answers for %s" % ", ".join(self.answers))

    def finish(self):
        self.ends = True
        self.join()
        for sock in (*self.askers.values(), *self.ports):
            sock.close()

    def judge(self, what, since, gap, twice):
        """gap: how long nobody need answer, None: it is not looked at; twice: how long an address may be owned twice; in s."""
        owned = {address: self.twice(address, since) for address in self.answers}
        silent = {address: self.unanswered(address, since) for address in self.answers}
        masters = self.masters(since)
        print("# %s: owned twice %s ms, by adverts %.0f ms, nobody's %s ms"
              % (what, ["%.0f" % (s * 1000) for s in owned.values()], masters * 1000, ["%.0f" % (s * 1000) for s in silent.values()]))
        for address, s in owned.items():
            check(s <= twice, "%s: %s was owned twice for %.3f s, more than %s" % (what, address, s, twice))
        check(masters <= self.pause, "%s: both have said for %.3f s that they are master, longer than %.3f" % (what, masters, self.pause))
        for address, s in silent.items() if gap is not None else ():
            check(s <= gap, "%s: nobody has answered for %s for %.3f s, more than %s" % (what, address, s, gap))
