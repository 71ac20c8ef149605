// SPDX-License-Identifier: GPL-2.0-only
/* Frames from descriptions: headers (RFC 791, 8200, 9293, 768, 4443, 792) and their checksums (RFC 1071). */

#include "selftests/prog/frame.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IP6_LEN 40
#define IP4_LEN 20
#define PROTO_ICMP 1
#define PROTO_TCP 6
#define PROTO_SCTP 132
#define PROTO_UDP 17
#define PROTO_IPV6 41
#define PROTO_ICMP6 58
#define PROTO_NONE 59

__u16 get16(const __u8 *p)
{
	return p[0] << 8 | p[1];
}

void put16(__u8 *p, __u16 v)
{
	p[0] = v >> 8;
	p[1] = v;
}

void put32(__u8 *p, __u32 v)
{
	put16(p, v >> 16);
	put16(p + 2, v);
}

__u32 sum_words(const __u8 *p, size_t len, __u32 sum)
{
	for (size_t i = 0; i + 1 < len; i += 2)
		sum += get16(p + i);
	if (len & 1)
		sum += p[len - 1] << 8;
	return sum;
}

__u16 sum_fold(__u32 sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

int or_usual(int value, int usual)
{
	return value == 0 ? usual : value == NIL ? 0 : value;
}

bool spec_is6(const struct spec *spec)
{
	return strchr(spec->src, ':');
}

struct spec spec_merge(const struct spec *base, const struct spec *change)
{
	struct spec out = *base;

#define SPEC_STRING(name) \
	if (change->name) \
		out.name = change->name;
	SPEC_STRINGS(SPEC_STRING)
#undef SPEC_STRING
#define SPEC_NUMBER(name) \
	if (change->name) \
		out.name = change->name;
	SPEC_NUMBERS(SPEC_NUMBER)
#undef SPEC_NUMBER
	if (change->quoted)
		out.quoted = change->quoted;
	return out;
}

static void address(const char *text, __u8 *out)
{
	if (inet_pton(strchr(text, ':') ? AF_INET6 : AF_INET, text, out) != 1) {
		fprintf(stderr, "prog-test: \"%s\" is no address\n", text);
		abort();
	}
}

static __u32 pattern(__u8 *p, int len)
{
	for (int i = 0; i < len; i++)
		p[i] = i * 7 + 3;
	return len;
}

static __u8 l4_proto(const struct spec *s)
{
	switch (s->l4) {
	case L4_UDP:
		return PROTO_UDP;
	case L4_TCP:
		return PROTO_TCP;
	case L4_SCTP:
		return PROTO_SCTP;
	case L4_ECHO:
	case L4_ERROR:
		return spec_is6(s) ? PROTO_ICMP6 : PROTO_ICMP;
	default:
		return PROTO_NONE;
	}
}

static __u32 hex(const char *text, __u8 *out)
{
	__u32 n = 0;

	for (; text && *text; text++) {
		unsigned int byte;

		if (*text == ' ')
			continue;
		if (sscanf(text, "%2x", &byte) != 1)
			abort();
		out[n++] = byte;
		text++;
	}
	return n;
}

static __u32 packet_write(__u8 *p, const struct spec *s);

/* The transport header and payload, its checksum still 0. Returns the length; *check: where that lies, 0: none. */
static __u32 l4_write(__u8 *p, const struct spec *s, __u32 *check)
{
	__u8 quoted[FRAME_MAX];
	__u32 n, options;

	*check = 0;
	switch (s->l4) {
	case L4_UDP:
		put16(p, or_usual(s->sport, 4000));
		put16(p + 2, or_usual(s->dport, 53));
		n = 8 + pattern(p + 8, or_usual(s->payload, 32));
		put16(p + 4, n);
		*check = 6;
		return n;
	case L4_TCP:
		put16(p, or_usual(s->sport, 4000));
		put16(p + 2, or_usual(s->dport, 443));
		put32(p + 4, or_usual(s->seq, 0x01020304));
		put32(p + 8, or_usual(s->ack, 0x05060708));
		options = hex(s->opts, p + 20);
		p[12] = or_usual(s->doff, 5 + (options + 3) / 4) << 4;
		p[13] = or_usual(s->tflags, TCP_ACK);
		put16(p + 14, or_usual(s->window, 0xfaf0));
		n = 20 + (options + 3) / 4 * 4;
		*check = 16;
		return n + pattern(p + n, or_usual(s->payload, 32));
	case L4_SCTP: /* the CRC is no Internet checksum: any that is not 0 will do */
		put16(p, 4000);
		put16(p + 2, 36412);
		put32(p + 4, 0x01020304);
		put32(p + 8, s->sum == SUM_ZERO ? 0 : 0xc4c32c01);
		return 12 + pattern(p + 12, or_usual(s->payload, 32));
	case L4_ECHO:
		p[0] = or_usual(s->type, spec_is6(s) ? 128 : 8);
		p[1] = s->code;
		put32(p + 4, (__u32)or_usual(s->sport, 7) << 16 | 1);
		*check = 2;
		return 8 + pattern(p + 8, or_usual(s->payload, 32));
	case L4_ERROR:
		p[0] = or_usual(s->type, spec_is6(s) ? 1 : 3);
		p[1] = s->code;
		put32(p + 4, s->value);
		n = packet_write(quoted, s->quoted);
		if (s->quotelen)
			n = s->quotelen;
		memcpy(p + 8, quoted, n);
		*check = 2;
		return 8 + n;
	default:
		return pattern(p, or_usual(s->payload, 32));
	}
}

/* The transport checksum at p + check, over `len` bytes and the pseudo-header whose sum is `pseudo`. */
static void l4_checksum(__u8 *p, __u32 len, __u32 check, const struct spec *s, __u32 pseudo)
{
	__u16 sum;

	if (!check)
		return;
	if (l4_proto(s) == PROTO_ICMP)
		pseudo = 0;
	sum = ~sum_fold(sum_words(p, len, pseudo));
	if (sum == 0 && s->l4 == L4_UDP)
		sum = 0xffff;
	switch (s->sum) {
	case SUM_UNFINISHED:
		sum = sum_fold(pseudo);
		break;
	case SUM_ZERO:
		sum = 0;
		break;
	case SUM_BAD:
		sum ^= 0x5a5a;
		break;
	default:
		break;
	}
	put16(p + check, sum);
}

/* The extension headers; *next is the number that the IPv6 header gets. Returns their length. */
static __u32 ext_write(__u8 *p, const struct spec *s, __u8 last, __u8 *next)
{
	__u32 n = 0, len;
	__u8 *number = next;

	for (const char *e = s->ext; e && *e; e++) {
		__u8 *h = p + n;

		len = 8;
		switch (*e) {
		case 'h':
		case 'd':
		case 'r':
			*number = *e == 'h' ? 0 : *e == 'd' ? 60 : 43;
			len += s->extlen * 8;
			h[1] = s->extlen;
			if (*e == 'r')
				h[2] = 4; /* no segments left */
			else
				for (__u32 i = 2; i < len;) { /* PadN of at most 255 bytes */
					__u32 pad = len - i < 200 ? len - i : 200;

					if (len - i - pad == 1)
						pad--;
					h[i] = 1;
					h[i + 1] = pad - 2;
					i += pad;
				}
			break;
		case 'R':
		case 'Z':
			*number = 43;
			len = 24;
			h[1] = 2;
			h[3] = *e == 'R';
			pattern(h + 8, 16);
			break;
		case 'a':
			*number = 51;
			len = 24;
			h[1] = 4;
			pattern(h + 4, 20);
			break;
		default: /* f, F, G, x */
			*number = 44;
			put16(h + 2, *e == 'f' ? 1 : *e == 'F' ? 185 << 3 : *e == 'G' ? 2048 : 0);
			put32(h + 4, 0xabcd0123);
		}
		number = h;
		n += len;
	}
	*number = last;
	return n;
}

static __u32 packet6_write(__u8 *p, const struct spec *s)
{
	__u8 proto = s->proto ? s->proto : l4_proto(s);
	__u32 ext, l4, check, pseudo;

	put32(p, (__u32)or_usual(s->version, 6) << 28 | s->tos << 20 | or_usual(s->label, 0x12345));
	p[7] = or_usual(s->hops, 64);
	address(s->src, p + 8);
	address(s->dst, p + 24);
	ext = ext_write(p + IP6_LEN, s, proto, p + 6);
	l4 = l4_write(p + IP6_LEN + ext, s, &check);
	pseudo = sum_words(p + 8, 32, l4 + proto);
	l4_checksum(p + IP6_LEN + ext, l4, check, s, pseudo);
	put16(p + 4, s->jumbo ? 0 : ext + l4 + s->plen);
	return IP6_LEN + ext + l4;
}

/* An IPv4 header of ihl words, the options no-operations, for `len` bytes behind it. */
static __u32 header4_write(__u8 *p, int ihl, int len, int tos, int id, int frag, int ttl, int proto, int bad)
{
	if (ihl > 5)
		memset(p + IP4_LEN, 1, (ihl - 5) * 4);
	p[0] = 4 << 4 | ihl;
	p[1] = tos;
	put16(p + 2, ihl * 4 + len);
	put16(p + 4, id);
	put16(p + 6, frag);
	p[8] = ttl;
	p[9] = proto;
	put16(p + 10, (__u16)~sum_fold(sum_words(p, ihl * 4, 0)) ^ bad);
	return ihl * 4;
}

static __u32 packet4_write(__u8 *p, const struct spec *s)
{
	__u8 proto = s->proto ? s->proto : l4_proto(s);
	int ihl = or_usual(s->ihl, 5);
	__u32 l4, check, pseudo;

	address(s->src, p + 12);
	address(s->dst, p + 16);
	l4 = l4_write(p + ihl * 4, s, &check);
	pseudo = sum_words(p + 12, 8, l4 + proto);
	l4_checksum(p + ihl * 4, l4, check, s, pseudo);
	return header4_write(p, ihl, l4 + s->plen, s->tos, or_usual(s->id, 0x4711), s->frag, or_usual(s->hops, 64),
			     proto, s->bad) +
	       l4;
}

/* The packet that is routed, without outer header. Writes into p, which is all zeros before. */
static __u32 packet_write(__u8 *p, const struct spec *s)
{
	memset(p, 0, FRAME_MAX - 128);
	return spec_is6(s) ? packet6_write(p, s) : packet4_write(p, s);
}

static bool has_outer(const struct spec *s)
{
	return s->osrc && *s->osrc;
}

__u32 spec_len(const struct spec *spec)
{
	__u8 packet[FRAME_MAX];
	__u32 len = packet_write(packet, spec);

	return len + spec->plen;
}

void frame_build(struct frame *f, const struct spec *spec, const __u8 *dmac, const __u8 *smac)
{
	__u8 *p = f->data;
	__u32 l3 = ETH_LEN, outer = has_outer(spec) ? or_usual(spec->oihl, 5) * 4 : 0, len;

	memset(f, 0, sizeof(*f));
	memcpy(p, dmac, 6);
	memcpy(p + 6, smac, 6);
	if (spec->vid) {
		put16(p + 12, or_usual(spec->tpid, 0x8100));
		put16(p + 14, or_usual(spec->vid, 0));
		l3 += 4;
	}
	len = packet_write(p + l3 + outer, spec);
	put16(p + l3 - 2, outer || !spec_is6(spec) ? 0x0800 : 0x86dd);
	if (outer) {
		address(spec->osrc, p + l3 + 12);
		address(spec->odst, p + l3 + 16);
		header4_write(p + l3, outer / 4, len + or_usual(spec->olen, 0), spec->otos, or_usual(spec->oid, 0x1234),
			      spec->ofrag, or_usual(spec->ottl, 60), or_usual(spec->oproto, PROTO_IPV6), spec->obad);
	}
	f->len = l3 + outer + len;
	for (int i = 0; i < spec->trailer; i++)
		p[f->len++] = 0xe0 + (i & 15);
}

__u32 frame_l3(const struct frame *f)
{
	return get16(f->data + 12) == 0x8100 ? ETH_LEN + 4 : ETH_LEN;
}

void frame_mask_id(struct frame *f, __u16 *id)
{
	__u8 *ip = f->data + frame_l3(f);
	__u16 sum;

	*id = get16(ip + 4);
	sum = get16(ip + 10);
	put16(ip + 4, 0);
	/* the sum that a right header would have, so that a wrong one stays wrong */
	put16(ip + 10, sum_fold(sum + *id));
}
