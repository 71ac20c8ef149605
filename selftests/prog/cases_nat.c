// SPDX-License-Identifier: GPL-2.0-only
/*
 * Translation by itself (lib/nat_rewrite.h, fragment.h): byte for byte the frame that its description makes with the other addresses and
 * ports, each checksum summed anew.
 */

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "selftests/prog/nat_progs.h"
#include "selftests/prog/random.h"
#include "user/lib/clock.h"

#include "nat_tc.skel.h"
#include "nat_xdp.skel.h"

/* ---- headers ---- */

struct rewrite_case {
	const char *name;
	struct spec pkt, change;
	struct skb_extra extra;
};

#define FOUR_OUT .src = "198.51.100.7", .sport = 61000
#define FOUR_IN .dst = "10.1.2.3", .dport = 8080
#define SIX_BOTH .src = "fd00::1:2:3", .dst = "2001:db8:7::77", .sport = 1, .dport = 65535

/* clang-format off */
static const struct rewrite_case rewrites[] = {
	{ "udp", .pkt = { FOUR(L4_UDP) }, .change = { FOUR_OUT } },
	{ "udp, destination", .pkt = { FOUR(L4_UDP) }, .change = { FOUR_IN } },
	{ "udp, both", .pkt = { FOUR(L4_UDP) }, .change = { FOUR_OUT, FOUR_IN } },
	{ "udp, ports only", .pkt = { FOUR(L4_UDP) }, .change = { .sport = 2, .dport = 1 } },
	{ "udp, nothing", .pkt = { FOUR(L4_UDP) } },
	{ "udp, odd length", .pkt = { FOUR(L4_UDP), .payload = 33 }, .change = { FOUR_OUT } },
	{ "udp without sum", .pkt = { FOUR(L4_UDP), .sum = SUM_ZERO }, .change = { FOUR_OUT, FOUR_IN } },
	{ "tcp", .pkt = { FOUR(L4_TCP) }, .change = { FOUR_OUT } },
	{ "tcp, both", .pkt = { FOUR(L4_TCP) }, .change = { FOUR_OUT, FOUR_IN } },
	{ "tcp, gso", .pkt = { FOUR(L4_TCP), .payload = 1000 }, .change = { FOUR_OUT },
	  .extra = { .gso_size = 500, .gso_segs = 2 } },
	{ "options", .pkt = { FOUR(L4_TCP), .ihl = 15 }, .change = { FOUR_OUT, FOUR_IN } },
	{ "echo", .pkt = { FOUR(L4_ECHO) }, .change = { FOUR_OUT } },
	{ "echo reply", .pkt = { FOUR(L4_ECHO), .type = NIL }, .change = { .dst = "10.1.2.3", .sport = 0xffff } },
	{ "timestamp", .pkt = { FOUR(L4_ECHO), .type = 13 }, .change = { FOUR_OUT } },
	{ "udp-lite", .pkt = { FOUR(L4_UDP), .proto = 136 }, .change = { FOUR_OUT, FOUR_IN } },
	{ "dccp", .pkt = { FOUR(L4_UDP), .proto = 33 }, .change = { FOUR_OUT, FOUR_IN } },
	{ "sctp, addresses", .pkt = { FOUR(L4_SCTP) }, .change = { .src = "198.51.100.7" } },
	{ "gre", .pkt = { FOUR(L4_RAW), .proto = 47 }, .change = { FOUR_OUT } },
	{ "protocol 41", .pkt = { FOUR(L4_RAW), .proto = 41 }, .change = { FOUR_OUT } },
	{ "later fragment", .pkt = { FOUR(L4_RAW), .proto = 17, .frag = 185 }, .change = { FOUR_OUT } },
	{ "udp6", .pkt = { SIX(L4_UDP) }, .change = { SIX_BOTH } },
	{ "udp6 without sum", .pkt = { SIX(L4_UDP), .sum = SUM_ZERO }, .change = { SIX_BOTH } },
	{ "udp6, ports only", .pkt = { SIX(L4_UDP) }, .change = { .sport = 9 } },
	{ "udp6, extension headers", .pkt = { SIX(L4_UDP), .ext = "hdrd" }, .change = { SIX_BOTH } },
	{ "tcp6", .pkt = { SIX(L4_TCP) }, .change = { SIX_BOTH } },
	{ "tcp6, gso", .pkt = { SIX(L4_TCP), .payload = 1000 }, .change = { SIX_BOTH },
	  .extra = { .gso_size = 500, .gso_segs = 2 } },
	{ "echo6", .pkt = { SIX(L4_ECHO) }, .change = { SIX_BOTH } },
	{ "echo6 reply", .pkt = { SIX(L4_ECHO), .type = 129 }, .change = { SIX_BOTH } },
	{ "udp-lite6", .pkt = { SIX(L4_UDP), .proto = 136 }, .change = { SIX_BOTH } },
	{ "dccp6", .pkt = { SIX(L4_UDP), .proto = 33 }, .change = { SIX_BOTH } },
	{ "sctp6, addresses", .pkt = { SIX(L4_SCTP) }, .change = { .dst = "2001:db8:7::77" } },
	{ "esp6", .pkt = { SIX(L4_RAW), .proto = 50 }, .change = { SIX_BOTH } },
	{ "later fragment6", .pkt = { SIX(L4_RAW), .proto = 17, .ext = "F" }, .change = { SIX_BOTH } },
	/* RFC 6296: the same as the prefix translation makes of it */
	{ "neutral", .pkt = { .l4 = L4_TCP, .src = "fd01:203:405:1::1234", .dst = "2001:db8:99::9" },
	  .change = { .src = "2001:db8:1:d550::1234" } },
};
/* clang-format on */

static void rewrite_all(struct env *env)
{
	struct frame in, expected;
	struct nat_progs p;

	if (!nat_open(env, &p))
		return;
	for (size_t i = 0; i < sizeof(rewrites) / sizeof(*rewrites); i++) {
		const struct rewrite_case *c = &rewrites[i];
		struct spec after = spec_merge(&c->pkt, &c->change);
		struct nat_io io = { .part = NAT_REWRITE, .to = nat_tuple_of(&after) };

		nat_build(&in, &c->pkt);
		nat_build(&expected, &after);
		nat_check(env, &p, c->name, &c->extra, &io, &in, &expected);
	}
	nat_close(&p);
}

/*
 * Every checksum that there can be, and every sum that addresses and ports can add: of the two zeros it must always be the one that a sum
 * of the whole makes.
 */
static void rewrite_sums(struct env *env)
{
	static const struct spec bases[] = { { FOUR(L4_UDP) }, { FOUR(L4_TCP) }, { SIX(L4_UDP) }, { SIX(L4_ECHO) } };
	__u64 random = 5;
	struct frame in, expected;
	struct nat_progs p;

	if (!nat_open(env, &p))
		return;
	for (int i = 0; i < 4 * 3000 && !*env->why; i++) {
		struct spec before = bases[i % 4], after;
		struct nat_io io = { .part = NAT_REWRITE };
		__u64 r = random_next(&random);

		before.sport = 1 + r % 65535;
		after = before;
		after.sport = 1 + (r >> 16) % 65535;
		if (before.l4 != L4_ECHO && r >> 32 & 1) {
			/* the destination port makes up for the source's, or all but one */
			after.dport =
				(before.l4 == L4_UDP ? 53 : 443) + before.sport - after.sport + (int)(r >> 33 & 1);
			if (after.dport < 1 || after.dport > 65535)
				after.dport = 1;
		}
		nat_build(&in, &before);
		nat_build(&expected, &after);
		io.to = nat_tuple_of(&after);
		nat_check(env, &p, "sums", NULL, &io, &in, &expected);
	}
	nat_close(&p);
}

/* A first fragment has the checksum of the whole datagram, which a change of its header must mend. */
static void rewrite_first_fragment(struct env *env)
{
	static const struct spec befores[] = { { FOUR(L4_UDP), .payload = 64, .frag = IPV4_MF },
					       { FOUR(L4_TCP), .payload = 64, .frag = IPV4_MF },
					       { SIX(L4_UDP), .payload = 64, .ext = "f" } };
	struct frame in, expected;
	struct nat_progs p;

	if (!nat_open(env, &p))
		return;
	for (size_t i = 0; i < sizeof(befores) / sizeof(*befores); i++) {
		struct spec after = befores[i];
		struct nat_io io = { .part = NAT_REWRITE };
		struct frame *frames[] = { &in, &expected };

		after.src = spec_is6(&after) ? "fd00::1:2:3" : "198.51.100.7";
		after.sport = 61000;
		io.to = nat_tuple_of(&after);
		nat_build(&in, &befores[i]);
		nat_build(&expected, &after);
		for (int f = 0; f < 2; f++) { /* the last 32 bytes are in the next one */
			__u8 *ip = frames[f]->data + ETH_LEN;

			frames[f]->len -= 32;
			if (spec_is6(&after)) {
				put16(ip + 4, get16(ip + 4) - 32);
				continue;
			}
			put16(ip + 2, get16(ip + 2) - 32);
			put16(ip + 10, 0);
			put16(ip + 10, ~sum_fold(sum_words(ip, 20, 0)));
		}
		nat_check(env, &p, "first fragment", NULL, &io, &in, &expected);
	}
	nat_close(&p);
}

/* ---- what a sender leaves to its device, on a real one ---- */

#define WIRE_MS 2000

/* What goes before a frame by PACKET_VNET_HDR. */
struct wire_frame {
	struct virtio_net_hdr hdr;
	__u8 data[FRAME_MAX];
};

static int wire_open(const char *device)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET,
				  .sll_protocol = htons(ETH_P_ALL),
				  .sll_ifindex = if_nametoindex(device) };
	int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL)), on = 1;

	if (fd >= 0 && (setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)) ||
			bind(fd, (struct sockaddr *)&at, sizeof(at)))) {
		close(fd);
		return -1;
	}
	return fd;
}

/* The next frame from the other end with the MACs of `sent`; others are the kernel's. */
static int wire_receive(int fd, const struct wire_frame *sent, struct wire_frame *f)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct sockaddr_ll from;
	socklen_t size = sizeof(from);
	ssize_t n;

	while (poll(&p, 1, WIRE_MS) == 1) {
		n = recvfrom(fd, f, sizeof(*f), 0, (struct sockaddr *)&from, &size);
		if (n > (ssize_t)sizeof(f->hdr) && from.sll_pkttype != PACKET_OUTGOING &&
		    !memcmp(f->data, sent->data, 2 * ETH_ALEN))
			return n - (ssize_t)sizeof(f->hdr);
	}
	return -1;
}

/* Sent unfinished, a packet must come back unfinished, with the sum of the other pseudo-header. */
static void wire_one(struct env *env, struct nat_progs *p, int fd, const struct rewrite_case *c)
{
	struct spec before = c->pkt, after;
	struct wire_frame out = {}, in;
	struct frame f;
	int len;

	before.sum = SUM_UNFINISHED;
	after = spec_merge(&before, &c->change);
	nat_build(&f, &before);
	memcpy(out.data, f.data, f.len);
	out.hdr.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	out.hdr.csum_start = ETH_LEN + nat_quoted_l4(&before);
	out.hdr.csum_offset = before.l4 == L4_TCP ? 16 : 6;
	if (c->extra.gso_size) {
		out.hdr.gso_type = spec_is6(&before) ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4;
		out.hdr.gso_size = c->extra.gso_size;
		out.hdr.hdr_len = out.hdr.csum_start + 20;
	}
	p->tc->bss->io =
		(struct nat_io){ .part = NAT_REWRITE, .to = nat_tuple_of(&after), .redirect = p->tc->bss->io.redirect };
	if (send(fd, &out, sizeof(out.hdr) + f.len, 0) < 0)
		fail(env, "  %s: %s\n", c->name, strerror(errno));
	len = wire_receive(fd, &out, &in);
	nat_build(&f, &after);
	if (len < 0)
		fail(env, "  %s: nothing comes back\n", c->name);
	else if (!(in.hdr.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) || in.hdr.gso_size != out.hdr.gso_size)
		fail(env, "  %s: it is not unfinished any more\n", c->name);
	else if ((__u32)len != f.len || memcmp(in.data, f.data, f.len))
		fail(env, "  %s: another packet comes back\n", c->name);
}

static void wire_attached(struct env *env, struct nat_progs *p)
{
	int fd = wire_open("nat1");

	p->tc->bss->io.redirect = if_nametoindex("nat0");
	for (size_t i = 0; i < sizeof(rewrites) / sizeof(*rewrites) && fd >= 0; i++)
		if ((rewrites[i].pkt.l4 == L4_TCP || rewrites[i].pkt.l4 == L4_UDP) && !rewrites[i].pkt.proto &&
		    !rewrites[i].pkt.sum && !rewrites[i].pkt.frag)
			wire_one(env, p, fd, &rewrites[i]);
	if (fd < 0)
		fail(env, "  no socket: %s\n", strerror(errno));
	else
		close(fd);
}

static void rewrite_unfinished(struct env *env)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts);
	struct nat_progs p;

	if (!nat_open(env, &p))
		return;
	if (links_run("ip link add nat0 type veth peer name nat1") || links_run("ip link set nat0 up") ||
	    links_run("ip link set nat1 up"))
		fail(env, "  no devices\n");
	hook.ifindex = if_nametoindex("nat0");
	opts.prog_fd = bpf_program__fd(p.tc->progs.nat_tc);
	if (bpf_tc_hook_create(&hook) || bpf_tc_attach(&hook, &opts))
		fail(env, "  the program can't be attached\n");
	else
		wire_attached(env, &p);
	links_run("ip link del nat0");
	nat_close(&p);
}

/* ---- fragments ---- */

struct fragment_case {
	const char *name;
	struct spec first, later;
	enum fl_drop reason; /* of the later one */
	int seconds;	     /* between the two */
};

#define FIRST4(l) FOUR(l), .frag = IPV4_MF
#define LATER4 FOUR(L4_RAW), .frag = 100

/* clang-format off */
static const struct fragment_case fragments[] = {
	{ "udp", .first = { FIRST4(L4_UDP), .id = 1 }, .later = { LATER4, .proto = 17, .id = 1 } },
	{ "udp, in time", .first = { FIRST4(L4_UDP), .id = 11 }, .later = { LATER4, .proto = 17, .id = 11 }, .seconds = 29 },
	{ "udp, late", .first = { FIRST4(L4_UDP), .id = 12 }, .later = { LATER4, .proto = 17, .id = 12 }, .seconds = 31,
	  .reason = FL_DROP_FRAGMENT },
	{ "udp, before its first", .later = { LATER4, .proto = 17, .id = 2 }, .reason = FL_DROP_FRAGMENT },
	{ "another id", .first = { FIRST4(L4_UDP), .id = 3 }, .later = { LATER4, .proto = 17, .id = 4 },
	  .reason = FL_DROP_FRAGMENT },
	{ "another protocol", .first = { FIRST4(L4_UDP), .id = 5 }, .later = { LATER4, .proto = 6, .id = 5 },
	  .reason = FL_DROP_FRAGMENT },
	{ "another source", .first = { FIRST4(L4_UDP), .id = 6 },
	  .later = { .l4 = L4_RAW, .src = "192.0.2.11", .dst = "203.0.113.9", .frag = 100, .proto = 17, .id = 6 },
	  .reason = FL_DROP_FRAGMENT },
	{ "not fragmented", .first = { FOUR(L4_UDP), .id = 7 }, .later = { LATER4, .proto = 17, .id = 7 },
	  .reason = FL_DROP_FRAGMENT },
	{ "tcp", .first = { FIRST4(L4_TCP), .id = 8 }, .later = { LATER4, .proto = 6, .id = 8 } },
	{ "tcp, over its header", .first = { FIRST4(L4_TCP), .id = 9 },
	  .later = { FOUR(L4_RAW), .frag = 1, .proto = 6, .id = 9 }, .reason = FL_DROP_FRAGMENT },
	{ "tcp, over its header's end", .first = { FIRST4(L4_TCP), .id = 9 },
	  .later = { FOUR(L4_RAW), .frag = 2, .proto = 6, .id = 9 }, .reason = FL_DROP_FRAGMENT },
	{ "tcp, just behind its header", .first = { FIRST4(L4_TCP), .id = 9 },
	  .later = { FOUR(L4_RAW), .frag = 3, .proto = 6, .id = 9 } },
	{ "udp, behind its header", .first = { FIRST4(L4_UDP), .id = 9 },
	  .later = { FOUR(L4_RAW), .frag = 1, .proto = 17, .id = 9 } },
	{ "echo", .first = { FIRST4(L4_ECHO), .id = 10 }, .later = { LATER4, .proto = 1, .id = 10 } },
	{ "udp6", .first = { SIX(L4_UDP), .ext = "f" }, .later = { SIX(L4_RAW), .proto = 17, .ext = "F" } },
	/* the later fragment says the header behind the fragment's, which is no transport header */
	{ "udp6, options", .first = { SIX(L4_UDP), .ext = "fd" }, .later = { SIX(L4_RAW), .proto = 60, .ext = "F" } },
	{ "echo6", .first = { SIX(L4_ECHO), .ext = "f" }, .later = { SIX(L4_RAW), .proto = 58, .ext = "G" } },
	{ "udp6, atomic", .first = { .l4 = L4_UDP, .src = "2001:db8:10::11", .dst = "2001:db8:99::9", .ext = "x" },
	  .later = { .l4 = L4_RAW, .src = "2001:db8:10::11", .dst = "2001:db8:99::9", .proto = 17, .ext = "F" },
	  .reason = FL_DROP_FRAGMENT },
};
/* clang-format on */

/* All that is known of first fragments becomes so much older: the second word is the time, in jiffies. */
static void fragments_age(const struct nat_progs *p, int seconds)
{
	int map = bpf_map__fd(p->xdp->maps.fl_fragments), n = 0;
	__u8 key[64], keys[64][64];
	__u32 value[3];

	for (int r = bpf_map_get_next_key(map, NULL, key); !r && n < 64; r = bpf_map_get_next_key(map, key, key))
		memcpy(keys[n++], key, sizeof(key));
	for (int i = 0; i < n; i++) {
		bpf_map_lookup_elem(map, keys[i], value);
		value[1] -= seconds * clock_hz();
		bpf_map_update_elem(map, keys[i], value, BPF_EXIST);
	}
}

/* The first is seen at one hook, the later one at the other. */
static void fragments_follow(struct env *env)
{
	struct result out;
	struct frame first, later;
	struct nat_progs p;

	if (!nat_open(env, &p))
		return;
	for (size_t i = 0; i < 2 * sizeof(fragments) / sizeof(*fragments); i++) {
		const struct fragment_case *c = &fragments[i / 2];
		enum hook a = i & 1 ? HOOK_XDP : HOOK_TC, b = i & 1 ? HOOK_TC : HOOK_XDP;
		struct nat_tuple t = { .sport = htobe16(1000 + i), .dport = htobe16(2000 + i) };

		nat_build(&later, &c->later);
		*nat_io_of(&p, a) = (struct nat_io){ .part = NAT_FRAGMENT, .to = t };
		*nat_io_of(&p, b) = (struct nat_io){ .part = NAT_FRAGMENT };
		if (c->first.src) {
			nat_build(&first, &c->first);
			nat_run(env, &p, a, NULL, &first, &out);
		}
		if (nat_io_of(&p, a)->stage)
			fail(env, "  %s, %s: the first is refused\n", c->name, hook_name(a));
		if (c->seconds)
			fragments_age(&p, c->seconds);
		nat_run(env, &p, b, NULL, &later, &out);
		if (nat_io_of(&p, b)->stage != -(int)c->reason)
			fail(env, "  %s, %s: %s\n", c->name, hook_name(b), drop_name(-nat_io_of(&p, b)->stage));
		if (!c->reason && memcmp(&nat_io_of(&p, b)->to, &t, sizeof(t)))
			fail(env, "  %s, %s: other ports\n", c->name, hook_name(b));
	}
	nat_close(&p);
}

/* First fragments, and whole packets, that end before their transport header does (RFC 1858). */
static void fragments_tiny(struct env *env)
{
	static const struct {
		struct spec pkt;
		int least;
	} cases[] = { { { FOUR(L4_TCP), .frag = IPV4_MF }, 20 },
		      { { FOUR(L4_UDP), .frag = IPV4_MF }, 8 },
		      { { FOUR(L4_ECHO), .frag = IPV4_MF }, 8 },
		      { { FOUR(L4_SCTP), .frag = IPV4_MF }, 12 },
		      { { SIX(L4_TCP), .ext = "f" }, 20 },
		      { { SIX(L4_UDP), .ext = "f" }, 8 },
		      { { FOUR(L4_TCP) }, 20 },
		      { { SIX(L4_UDP) }, 8 } };
	struct result out;
	struct frame in;
	struct nat_progs p;

	if (!nat_open(env, &p))
		return;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		for (int there = 0; there <= 24; there++) {
			bool fragment = cases[i].pkt.frag || cases[i].pkt.ext;
			int expected = there >= cases[i].least ? 0 : fragment ? -FL_DROP_FRAGMENT : -FL_DROP_MALFORMED;
			struct spec pkt = cases[i].pkt;

			pkt.plen = there - (int)(spec_len(&pkt) - nat_quoted_l4(&pkt));
			nat_build(&in, &pkt);
			for (int hook = HOOK_XDP; hook <= HOOK_TC; hook += HOOK_TC - HOOK_XDP) {
				struct skb_extra extra = { .no_sum = true };

				*nat_io_of(&p, hook) = (struct nat_io){ .part = NAT_FRAGMENT };
				nat_run(env, &p, hook, &extra, &in, &out);
				if (nat_io_of(&p, hook)->stage != expected)
					fail(env, "  case %zu, %d bytes, %s: %d\n", i, there, hook_name(hook),
					     nat_io_of(&p, hook)->stage);
			}
		}
	nat_close(&p);
}

/* ---- both hooks against each other ---- */

#define FUZZ_PACKETS 100000

/* A frame of any case, before or after it is cut and spoiled; and what to make of it. */
static void fuzz_frame(__u64 *random, struct frame *f, struct nat_io *io)
{
	__u64 r = random_next(random);

	if (r & 1) {
		nat_error_any(r >> 8, f, io);
	} else {
		const struct rewrite_case *c = &rewrites[(r >> 8) % (sizeof(rewrites) / sizeof(*rewrites))];
		struct spec after = spec_merge(&c->pkt, &c->change);

		nat_build(f, &c->pkt);
		*io = (struct nat_io){ .part = r & 2 ? NAT_REWRITE : NAT_FRAGMENT, .to = nat_tuple_of(&after) };
	}
	if (r & 4) /* the lengths stay: it is cut for good */
		f->len = ETH_LEN + 20 + (r >> 24) % (f->len - ETH_LEN - 20);
	for (int n = r >> 4 & 7; n > 0; n--) {
		r = random_next(random);
		f->data[ETH_LEN + (r >> 8) % (f->len - ETH_LEN)] =
			r & 0x80 ? (__u8)(r >> 40) : (__u8)(f->data[ETH_LEN] ^ 1 << (r & 7));
	}
	if (f->data[ETH_LEN] >> 4 == 4 && (r & 0x300) &&
	    f->len >= ETH_LEN + 20) { /* else none comes past the header's checksum */
		__u8 *ip = f->data + ETH_LEN;
		__u32 len = (ip[0] & 15) * 4;

		put16(ip + 2, f->len - ETH_LEN);
		put16(ip + 10, 0);
		if (len <= f->len - ETH_LEN)
			put16(ip + 10, ~sum_fold(sum_words(ip, len, 0)));
	}
	if (f->data[ETH_LEN] >> 4 == 6 && (r & 0x300) && f->len >= ETH_LEN + 40)
		put16(f->data + ETH_LEN + 4, f->len - ETH_LEN - 40);
}

static void fuzz(struct env *env)
{
	__u64 random = 77;
	long done = 0;
	struct nat_progs p;

	if (!nat_open(env, &p))
		return;
	for (int i = 0; i < FUZZ_PACKETS && !*env->why; i++) {
		struct result xdp, tc;
		struct skb_extra extra = {};
		struct nat_io io, *a = nat_io_of(&p, HOOK_XDP), *b = nat_io_of(&p, HOOK_TC);
		struct frame in;

		fuzz_frame(&random, &in, &io);
		if (in.len < ETH_LEN + (get16(in.data + 12) == 0x86dd ? 40u : 20u))
			continue; /* a test run refuses it */
		*a = *b = io;
		nat_run(env, &p, HOOK_XDP, NULL, &in, &xdp);
		nat_run(env, &p, HOOK_TC, &extra, &in, &tc);
		done += !a->stage;
		if (xdp.verdict < 0 || tc.verdict < 0)
			fail(env, "  packet %d: %s\n", i, strerror(-(xdp.verdict < 0 ? xdp.verdict : tc.verdict)));
		else if (memcmp(a, b, sizeof(*a)))
			fail(env, "  packet %d: %d at XDP, %d at tc\n", i, a->stage, b->stage);
		else if (xdp.frame.len != tc.frame.len || memcmp(xdp.frame.data, tc.frame.data, tc.frame.len))
			fail(env, "  packet %d: the packets differ\n", i);
		else if (a->stage && memcmp(xdp.frame.data, in.data, in.len))
			fail(env, "  packet %d: refused, and changed\n", i);
		if (*env->why)
			nat_say_bytes(env, "in", &in);
	}
	if (done < FUZZ_PACKETS / 4)
		fail(env, "  only %ld packets were of any use\n", done);
	nat_close(&p);
}

const struct procedure nat_procedures[] = {
	{ "nat/rewrite", rewrite_all },
	{ "nat/rewrite-sums", rewrite_sums },
	{ "nat/rewrite-first-fragment", rewrite_first_fragment },
	{ "nat/rewrite-unfinished", rewrite_unfinished },
	{ "nat/fragments", fragments_follow },
	{ "nat/fragments-tiny", fragments_tiny },
	{ "nat/fuzz", fuzz },
	{ 0 },
};
