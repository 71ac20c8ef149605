# SPDX-License-Identifier: GPL-2.0-only
"""Prefix translation as RFC 6296 describes it, with Python's integers: what the router's packets are held against."""

import ipaddress

from packet import onesum


class Translation:
    """internal, external: prefixes, as text. plain: the prefix is swapped and nothing else."""

    def __init__(self, internal, external, plain=False):
        self.internal, self.external = ipaddress.IPv6Network(internal), ipaddress.IPv6Network(external)
        self.length = max(self.internal.prefixlen, self.external.prefixlen)
        self.plain = plain

    def outward(self, address):
        return self._translate(address, self.internal, self.external)

    def inward(self, address):
        return self._translate(address, self.external, self.internal)

    def inside(self, address):
        """Whether the address is one that the longer of the two prefixes, put on the internal one, covers."""
        return ipaddress.IPv6Address(address) in ipaddress.IPv6Network((self.internal.network_address, self.length))

    def _translate(self, address, old, new):
        """The other address, or None where the RFC knows no translation."""
        bits = int(ipaddress.IPv6Address(address))
        keep = (1 << 128 - self.length) - 1
        words_of = lambda value: [value >> 112 - 16 * i & 0xFFFF for i in range(8)]
        words = words_of(bits & keep | int(new.network_address))
        if self.plain:
            return self._join(words)
        adjust = onesum(old.network_address.packed) + (~onesum(new.network_address.packed) & 0xFFFF)
        adjust = (adjust & 0xFFFF) + (adjust >> 16)
        word = self._word(words_of(bits))
        if word is None:
            return None
        total = words_of(bits)[word] if word > 3 else words[word]
        total += adjust
        total = (total & 0xFFFF) + (total >> 16)
        words[word] = 0 if total == 0xFFFF else total
        return self._join(words)

    def _word(self, words):
        """Which word takes the adjustment: 3.4, 3.5; 3.2 and 3.7 for those that have none."""
        if self.length <= 48:
            return None if words[3] == 0xFFFF else 3
        if not any(words[4:]):
            return None
        for i in range(4, 8):
            if words[i] != 0xFFFF:
                return i
        return None

    @staticmethod
    def _join(words):
        value = 0
        for word in words:
            value = value << 16 | word
        return str(ipaddress.IPv6Address(value))


VECTORS = [
    ("fd01:203:405::/48", "2001:db8:1::/48", "fd01:203:405:1::1234", "2001:db8:1:d550::1234"),
    ("fd01:203:405::/48", "2001:db8:1::/48", "fd01:203:405::1", "2001:db8:1:d54f::1"),
    ("fd01:203:405::/48", "2001:db8:1::/48", "fd01:203:405:2ab0::1", "2001:db8:1::1"),
    ("fd01:203:405::/48", "2001:db8:1::/48", "fd01:203:405:ffff::1", None),
    ("fd00:1:2:3::/64", "2001:db8:1:2::/64", "fd00:1:2:3:4:5:6:7", "2001:db8:1:2:cf4e:5:6:7"),
    ("fd00:1:2:3::/64", "2001:db8:1:2::/64", "fd00:1:2:3:ffff:5:6:7", "2001:db8:1:2:ffff:cf4f:6:7"),
    ("fd00:1:2:3::/64", "2001:db8:1:2::/64", "fd00:1:2:3:ffff:ffff:ffff:ffff", None),
    ("fd00:1:2:3::/64", "2001:db8:1:2::/64", "fd00:1:2:3::", None),
    ("fd00:1:2::/48", "2001:db8:aa:bb00::/56", "fd00:1:2:12::9", "2001:db8:aa:bb12:13a0::9"),
]


def self_test():
    for internal, external, inside, outside in VECTORS:
        translation = Translation(internal, external)
        got = translation.outward(inside)
        assert got == outside, (inside, got, outside)
        if outside:
            assert translation.inward(outside) == inside, (outside, translation.inward(outside))


self_test()
