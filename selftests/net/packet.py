# SPDX-License-Identifier: GPL-2.0-only
"""Building and taking apart of packets, by the RFCs and with nothing of the router's own code.

Builders return bytes. parse() returns a Packet whose attributes are what the header fields say; checksums are computed
again and kept as *_ok. Addresses are text.
"""

import ipaddress
import socket
import struct

ETH_IP, ETH_ARP, ETH_IPV6, ETH_VLAN = 0x0800, 0x0806, 0x86DD, 0x8100
ICMP, TCP, UDP, IPV6, FRAGMENT, ICMP6 = 1, 6, 17, 41, 44, 58
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16


def onesum(data, start=0):
    """The one's complement sum of 16-bit words (RFC 1071), folded."""
    if len(data) % 2:
        data += b"\0"
    total = start + sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def checksum(data, start=0):
    return ~onesum(data, start) & 0xFFFF


def packed(address):
    return ipaddress.ip_address(address).packed


def pseudo(src, dst, proto, length):
    """The sum of the pseudo header of either family."""
    src, dst = packed(src), packed(dst)
    if len(src) == 16:
        return onesum(src + dst + struct.pack("!IHBB", length, 0, 0, proto))
    return onesum(src + dst + struct.pack("!BBH", 0, proto, length))


def mac_bytes(mac):
    return bytes.fromhex(mac.replace(":", ""))


def mac_text(data):
    return ":".join("%02x" % b for b in data)


# ---- builders ----


def eth(dst, src, payload, vid=None, ethertype=None):
    if ethertype is None:
        ethertype = ETH_IPV6 if payload[0] >> 4 == 6 else ETH_IP
    tag = b"" if vid is None else struct.pack("!HH", ETH_VLAN, vid)
    return mac_bytes(dst) + mac_bytes(src) + tag + struct.pack("!H", ethertype) + payload


def ip4(src, dst, proto, payload, ttl=64, tos=0, ident=0, df=False, mf=False, offset=0, options=b"", length=None):
    """offset in bytes. options: a multiple of 4 bytes."""
    ihl = 5 + len(options) // 4
    length = ihl * 4 + len(payload) if length is None else length
    flags = (0x4000 if df else 0) | (0x2000 if mf else 0) | offset // 8
    head = struct.pack("!BBHHHBBH", 0x40 | ihl, tos, length, ident, flags, ttl, proto, 0) + packed(src) + packed(dst)
    head += options
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def ip6(src, dst, proto, payload, hop=64, tc=0, flow=0, length=None):
    length = len(payload) if length is None else length
    return struct.pack("!IHBB", 6 << 28 | tc << 20 | flow, length, proto, hop) + packed(src) + packed(dst) + payload


def fragment6(src, dst, proto, data, offset, more, ident, hop=64):
    """One IPv6 fragment that carries data, whose place in the whole is offset bytes."""
    head = struct.pack("!BBHI", proto, 0, offset | (1 if more else 0), ident)
    return ip6(src, dst, FRAGMENT, head + data, hop=hop)


def udp(src, dst, sport, dport, data=b"", check=None):
    length = 8 + len(data)
    head = struct.pack("!HHHH", sport, dport, length, 0)
    if check is None:
        check = checksum(head + data, pseudo(src, dst, UDP, length)) or 0xFFFF
    return struct.pack("!HHHH", sport, dport, length, check) + data


def tcp(src, dst, sport, dport, flags=SYN, seq=1, ack=0, data=b"", options=b"", window=65535):
    offset = 5 + len(options) // 4
    head = struct.pack("!HHIIBBHHH", sport, dport, seq, ack, offset << 4, flags, window, 0, 0) + options
    check = checksum(head + data, pseudo(src, dst, TCP, len(head) + len(data)))
    return head[:16] + struct.pack("!H", check) + head[18:] + data


def mss_option(mss):
    return struct.pack("!BBH", 2, 4, mss)


def icmp6(src, dst, kind, code=0, rest=0, data=b""):
    """rest: the four bytes after the checksum."""
    body = struct.pack("!BBHI", kind, code, 0, rest) + data
    check = checksum(body, pseudo(src, dst, ICMP6, len(body)))
    return body[:2] + struct.pack("!H", check) + body[4:]


def icmp4(kind, code=0, rest=0, data=b""):
    body = struct.pack("!BBHI", kind, code, 0, rest) + data
    return body[:2] + struct.pack("!H", checksum(body)) + body[4:]


def ping6(src, dst, ident=1, seq=1, data=b"fairlead", hop=64, tc=0):
    return ip6(src, dst, ICMP6, icmp6(src, dst, 128, 0, ident << 16 | seq, data), hop=hop, tc=tc)


def udp6(src, dst, sport=4000, dport=4001, data=b"fairlead", hop=64, tc=0, flow=0):
    return ip6(src, dst, UDP, udp(src, dst, sport, dport, data), hop=hop, tc=tc, flow=flow)


def udp4(src, dst, sport=4000, dport=4001, data=b"fairlead", ttl=64, tos=0):
    return ip4(src, dst, UDP, udp(src, dst, sport, dport, data), ttl=ttl, tos=tos)


def tcp6(src, dst, sport=4000, dport=4001, hop=64, **fields):
    return ip6(src, dst, TCP, tcp(src, dst, sport, dport, **fields), hop=hop)


def link_local(mac):
    """The address that a device makes itself of its MAC (RFC 4291 appendix A)."""
    b = bytearray(mac_bytes(mac))
    b[0] ^= 2
    return str(ipaddress.IPv6Address(bytes.fromhex("fe80") + bytes(6) + bytes(b[:3]) + b"\xff\xfe" + bytes(b[3:])))


def router_advert(mac, prefixes=(), lifetime=1800):
    """RFC 4861 4.2, to all nodes. prefixes: (prefix, (valid, preferred)), for autoconfiguration and on the link; all in seconds."""
    src, options = link_local(mac), struct.pack("!BB6s", 1, 1, mac_bytes(mac))
    for prefix, (valid, preferred) in prefixes:
        network = ipaddress.IPv6Network(prefix)
        options += struct.pack("!BBBBIII16s", 3, 4, network.prefixlen, 0xC0, valid, preferred, 0, network.network_address.packed)
    body = struct.pack("!II", 0, 0) + options  # reachable time, retransmission timer
    return ip6(src, "ff02::1", ICMP6, icmp6(src, "ff02::1", 134, 0, 64 << 24 | lifetime, body), hop=255)


# ---- taking apart ----


class Packet:
    """A packet's fields. Of two nested IP packets `inner` is the one in protocol 41; `quoted` is what an ICMP error carries."""

    def __init__(self):
        self.dst_mac = self.src_mac = self.ethertype = None
        self.vlans = []
        self.version = self.src = self.dst = self.proto = self.hop = self.tc = None
        self.df = self.mf = False
        self.offset = self.ident = 0
        self.flow = None
        self.length = None  # of the IP packet, as the header says
        self.ip_check_ok = True
        self.l4_check_ok = None  # None: not covered or not to be told
        self.sport = self.dport = self.flags = self.seq = self.ack = self.mss = None
        self.type = self.code = self.rest = None
        self.l4 = b""  # from the transport header on
        self.data = b""
        self.inner = self.quoted = None
        self.raw = b""
        self.unfinished = False  # the kernel had not finished the transport checksum when it was captured
        self.gso = False
        self.outgoing = False

    @property
    def dscp(self):
        return self.tc >> 2

    @property
    def ecn(self):
        return self.tc & 3

    def __str__(self):
        text = "%s > %s proto %s hop %s tc %s len %s" % (self.src, self.dst, self.proto, self.hop, self.tc, self.length)
        if self.ethertype not in (None, ETH_IP, ETH_IPV6):
            text = "ethertype %04x" % self.ethertype
        if self.vlans:
            text = "vlan %s " % self.vlans + text
        if self.offset or self.mf:
            text += " fragment %d%s" % (self.offset, "+" if self.mf else "")
        if self.type is not None:
            text += " type %d code %d rest %#x" % (self.type, self.code, self.rest)
        if self.sport is not None:
            text += " ports %d %d" % (self.sport, self.dport)
        if not self.ip_check_ok:
            text += " BAD-IP-CHECKSUM"
        if self.l4_check_ok is False:
            text += " BAD-CHECKSUM" if not self.unfinished else " unfinished checksum"
        if self.inner:
            text += " { %s }" % self.inner
        if self.quoted:
            text += " [ %s ]" % self.quoted
        return text


def parse(data, link=True, quoted=False):
    """link: data starts with an Ethernet header. quoted: may be cut short, its transport checksum is not checked."""
    p = Packet()
    p.raw = data
    if link:
        p.dst_mac, p.src_mac = mac_text(data[:6]), mac_text(data[6:12])
        p.ethertype = struct.unpack("!H", data[12:14])[0]
        data = data[14:]
        while p.ethertype in (ETH_VLAN, 0x88A8):
            tci, p.ethertype = struct.unpack("!HH", data[:4])
            p.vlans.append(tci & 0xFFF)
            data = data[4:]
        if p.ethertype not in (ETH_IP, ETH_IPV6):
            return p
    if not data:
        return p
    if data[0] >> 4 == 4 and len(data) >= 20:
        _parse4(p, data, quoted)
    elif data[0] >> 4 == 6 and len(data) >= 40:
        _parse6(p, data, quoted)
    return p


def _parse4(p, data, quoted):
    p.version = 4
    ihl, p.tc, p.length, p.ident, flags, p.hop, p.proto = struct.unpack("!BBHHHBB", data[:10])
    ihl = (ihl & 15) * 4
    p.ip_check_ok = onesum(data[:ihl]) == 0xFFFF
    p.df, p.mf, p.offset = bool(flags & 0x4000), bool(flags & 0x2000), (flags & 0x1FFF) * 8
    p.src, p.dst = socket.inet_ntop(socket.AF_INET, data[12:16]), socket.inet_ntop(socket.AF_INET, data[16:20])
    _parse_l4(p, data[ihl : p.length], quoted)


def _parse6(p, data, quoted):
    p.version = 6
    word, plen, p.proto, p.hop = struct.unpack("!IHBB", data[:8])
    p.tc, p.flow = word >> 20 & 0xFF, word & 0xFFFFF
    p.length = plen + 40
    p.src, p.dst = socket.inet_ntop(socket.AF_INET6, data[8:24]), socket.inet_ntop(socket.AF_INET6, data[24:40])
    rest = data[40 : 40 + plen]
    while p.proto in (0, 43, 60, FRAGMENT) and len(rest) >= 8:
        if p.proto == FRAGMENT:
            p.proto, _, where, p.ident = struct.unpack("!BBHI", rest[:8])
            p.offset, p.mf = where & ~7, bool(where & 1)
            rest = rest[8:]
        else:
            size = (rest[1] + 1) * 8
            p.proto, rest = rest[0], rest[size:]
    _parse_l4(p, rest, quoted)


def _parse_l4(p, data, quoted):
    p.l4 = p.data = data
    whole = not p.offset and not p.mf and not quoted
    if p.offset:
        return
    if p.proto == UDP and len(data) >= 8:
        p.sport, p.dport, length, check = struct.unpack("!HHHH", data[:8])
        p.data = data[8:length]
        if whole:
            p.l4_check_ok = (check == 0 and p.version == 4) or onesum(data[:length], pseudo(p.src, p.dst, UDP, length)) == 0xFFFF
    elif p.proto == TCP and len(data) >= 20:
        p.sport, p.dport, p.seq, p.ack, offset, p.flags = struct.unpack("!HHIIBB", data[:14])
        size = (offset >> 4) * 4
        p.mss = _find_mss(data[20:size])
        p.data = data[size:]
        if whole:
            p.l4_check_ok = onesum(data, pseudo(p.src, p.dst, TCP, len(data))) == 0xFFFF
    elif p.proto in (ICMP, ICMP6) and len(data) >= 8:
        p.type, p.code, _, p.rest = struct.unpack("!BBHI", data[:8])
        p.data = data[8:]
        if whole:
            start = pseudo(p.src, p.dst, ICMP6, len(data)) if p.proto == ICMP6 else 0
            p.l4_check_ok = onesum(data, start) == 0xFFFF
        if (p.proto == ICMP6 and p.type < 128) or (p.proto == ICMP and p.type in (3, 4, 5, 11, 12)):
            p.quoted = parse(p.data, link=False, quoted=True)
    elif p.proto == IPV6 and p.version == 4 and not p.mf:
        p.inner = parse(data, link=False, quoted=quoted)


def _find_mss(options):
    i = 0
    while i + 1 < len(options):
        if options[i] == 0:
            break
        if options[i] == 1:
            i += 1
            continue
        if options[i] == 2 and i + 4 <= len(options):
            return struct.unpack("!H", options[i + 2 : i + 4])[0]
        if options[i + 1] < 2:
            break
        i += options[i + 1]
    return None
