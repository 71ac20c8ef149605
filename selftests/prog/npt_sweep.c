// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every prefix length, equal and unequal, with random addresses, against RFC 6296's arithmetic written a second time:
 * as remainders modulo 0xffff, which needs no carries and gives 0 where one's complement could say 0xffff.
 */

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "selftests/prog/check.h"
#include "selftests/prog/random.h"

#define OUTSIDE_HOST "b000::1" /* in no external prefix of the sweep: those begin with a 0 bit */
#define ROUNDS 4

struct sweep {
	__u16 internal[8], external[8]; /* addresses, then prefixes cut from them; words in host order */
	int internal_len, external_len;
};

static void cut(const __u16 *addr, int len, __u16 *prefix)
{
	for (int i = 0; i < 8; i++) {
		int bits = len - i * 16;

		prefix[i] = bits >= 16 ? addr[i] : bits <= 0 ? 0 : addr[i] & (0xffff0000 >> bits);
	}
}

static const char *text_of(const __u16 *words, char *text)
{
	snprintf(text, INET6_ADDRSTRLEN, "%x:%x:%x:%x:%x:%x:%x:%x", words[0], words[1], words[2], words[3], words[4],
		 words[5], words[6], words[7]);
	return text;
}

/* RFC 6296 3.1 to 3.5. Returns false where the address has no translation. */
static bool translate(const struct sweep *s, const __u16 *addr, __u16 *out)
{
	int len = s->internal_len > s->external_len ? s->internal_len : s->external_len, word = 3;
	const __u16 ones[8] = { 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff };
	__u16 from[8], to[8], mask[8];
	__s64 sum;

	cut(s->internal, s->internal_len, from);
	cut(s->external, s->external_len, to);
	if (len > 48)
		for (word = 4; word < 8 && addr[word] == 0xffff; word++)
			;
	if (word == 8 || (word == 3 && addr[3] == 0xffff) || (len > 48 && !(addr[4] | addr[5] | addr[6] | addr[7])))
		return false;
	cut(ones, len, mask);
	for (int i = 0; i < 8; i++)
		out[i] = to[i] | (addr[i] & ~mask[i]);
	sum = addr[word];
	for (int i = 0; i < 4; i++)
		sum += (__s64)from[i] - to[i];
	sum %= 0xffff;
	out[word] = sum < 0 ? sum + 0xffff : sum; /* not in the prefix: that ends before it */
	return true;
}

static void draw(struct sweep *s, __u64 *random, int internal_len, int external_len, int round)
{
	__u16 prefix[8];
	int shorter = internal_len < external_len ? internal_len : external_len;

	s->internal_len = internal_len;
	s->external_len = external_len;
	for (int i = 0; i < 8; i++) {
		s->internal[i] = random_next(random);
		s->external[i] = random_next(random);
	}
	s->internal[0] = 0xfd00 | (s->internal[0] & 0xff); /* no multicast */
	s->external[0] &= 0x7fff;
	if (internal_len != external_len) { /* the shorter is extended by zeros */
		int longer = internal_len + external_len - shorter;
		__u16 *a = internal_len < external_len ? s->internal : s->external, rest[8];

		cut(a, shorter, prefix);
		cut(a, longer, rest);
		for (int i = 0; i < 8; i++)
			a[i] = prefix[i] | (a[i] ^ rest[i]);
	}
	for (int i = 4; i < 4 + round && round < 4; i++)
		s->internal[i] = 0xffff;
}

/* One translation, one address, there and back, at every hook. Returns how many. */
static int sweep_one(struct env *env, const struct sweep *s)
{
	char internal[INET6_ADDRSTRLEN], external[INET6_ADDRSTRLEN], from[INET6_ADDRSTRLEN], to[INET6_ADDRSTRLEN];
	struct test_case out = { .in = LAN, .out = NPT, .want = FORWARD, .npt_out = NPT_SWEEP },
			 in = { .in = NPT, .out = LAN, .want = FORWARD, .npt_in = NPT_SWEEP };
	__u16 prefix[8], translated[8];

	if (!translate(s, s->internal, translated))
		return 0;
	cut(s->internal, s->internal_len, prefix);
	text_of(prefix, from);
	cut(s->external, s->external_len, prefix);
	text_of(prefix, to);
	if (tables_npt(env, NPT_SWEEP, from, s->internal_len, to, s->external_len, FL_NPT_RFC6296, NPT)) {
		fail(env, "  the map refuses %s/%d\n", from, s->internal_len);
		return 0;
	}
	out.pkt.src = in.change.dst = text_of(s->internal, internal);
	out.change.src = in.pkt.dst = text_of(translated, external);
	out.pkt.dst = in.pkt.src = OUTSIDE_HOST;
	check_case(env, &out);
	if (!*env->why)
		check_case(env, &in);
	if (*env->why)
		fail(env, "  with %s/%d and %s/%d, %s and %s\n", from, s->internal_len, to, s->external_len, internal,
		     external);
	tables_npt_remove(env, NPT_SWEEP);
	return 1;
}

static void sweep(struct env *env, int shift)
{
	__u64 random = 6296 + shift;
	struct sweep s;
	int done = 0;

	if (links_run("ip route add b000::/16 via 2001:db8:60::fe dev npt") ||
	    links_run("ip route add 8000::/1 via 2001:db8:10::10 dev lan")) {
		fail(env, "  no route\n");
		return;
	}
	for (int len = 1; len <= 64 && !*env->why; len++)
		for (int round = 0; round < ROUNDS && !*env->why; round++) {
			int other = shift ? 1 + (len + shift * (round + 3)) % 64 : len;

			draw(&s, &random, len, other, round);
			done += sweep_one(env, &s);
		}
	if (!*env->why && done < 64 * ROUNDS * 9 / 10)
		fail(env, "  only %d of %d had a translation\n", done, 64 * ROUNDS);
	if (links_run("ip route del b000::/16") || links_run("ip route del 8000::/1"))
		fail(env, "  routes remain\n");
}

static void sweep_equal(struct env *env)
{
	sweep(env, 0);
}

static void sweep_unequal(struct env *env)
{
	sweep(env, 11);
}

/* Plain mode changes UDP's checksum; where 0 comes out, 0xffff is written (RFC 768: 0 says that there is none). */
static void udp_zero(struct env *env)
{
	struct test_case out = { .in = LAN,
				 .out = NPT,
				 .want = FORWARD,
				 .npt_out = NPT_BIN,
				 .pkt.src = "fd00:aaaa:0:7::1",
				 .pkt.dst = "2001:db8:9000::1",
				 .change.src = "2001:db8:bbbb:7::1" };
	const __u8 none[6] = {};
	struct spec sent;
	struct frame f;

	for (int port = 1; port < 65536; port++) {
		out.pkt.sport = port;
		sent = spec_merge(&out.pkt, &out.change);
		frame_build(&f, &sent, none, none);
		if (get16(f.data + ETH_LEN + 40 + 6) == 0xffff) {
			check_case(env, &out);
			return;
		}
	}
	fail(env, "  no port gives that checksum\n");
}

const struct procedure npt_procedures[] = {
	{ "npt/sweep-equal-lengths", sweep_equal },
	{ "npt/sweep-unequal-lengths", sweep_unequal },
	{ "npt/plain-udp-sum-0", udp_zero },
	{ 0 },
};
