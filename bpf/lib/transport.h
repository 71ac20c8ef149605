/* SPDX-License-Identifier: GPL-2.0-only */
/* What rules and states ask of a packet: its addresses, and what its transport header says. */
#pragma once

#include "lib/fragment.h"
#include "lib/scratch.h"
#include "lib/tcp_option.h"

/* What an ICMP message is to states. */
enum message {
	MESSAGE_NONE,	/* no ICMP, or one of a kind that none knows */
	MESSAGE_QUERY,	/* asks, and has an identifier */
	MESSAGE_ANSWER, /* the answer to one */
	MESSAGE_ERROR,	/* quotes the packet that it is about */
};

static __always_inline enum message message_of(const struct pkt *pkt, __u8 type)
{
	if (pkt->family == FL_INET6 && pkt->proto == IPPROTO_ICMPV6) {
		if (type >= 1 && type <= 4)
			return MESSAGE_ERROR;
		return type == 128 ? MESSAGE_QUERY : type == 129 ? MESSAGE_ANSWER : MESSAGE_NONE;
	}
	if (pkt->family != FL_INET || pkt->proto != IPPROTO_ICMP)
		return MESSAGE_NONE;
	/* Source Quench is no more heard (RFC 6633), and Redirect is for hosts of one link */
	if (type == 3 || type == 11 || type == 12)
		return MESSAGE_ERROR;
	if (type == 8 || type == 13)
		return MESSAGE_QUERY;
	return type == 0 || type == 14 ? MESSAGE_ANSWER : MESSAGE_NONE;
}

/* A TCP header is there. */
static __always_inline bool is_segment(const struct pkt *pkt)
{
	return pkt->proto == IPPROTO_TCP && pkt->l4;
}

/* The addresses that the packet bears. */
static __always_inline bool addresses_read(struct fl_ctx *ctx, const struct pkt *pkt, union fl_addr *src,
					   union fl_addr *dst)
{
	const union fl_addr *addr;
	struct ipv6hdr *ip6;
	struct iphdr *ip;

	if (pkt->family == FL_INET6) {
		ip6 = pkt_at(ctx, pkt->l3, L3_MAX, sizeof(*ip6));
		if (!ip6)
			return false;
		addr = (const union fl_addr *)&ip6->saddr;
		*src = addr[0];
		*dst = addr[1];
		return true;
	}
	ip = pkt_at(ctx, pkt->l3, L3_MAX, sizeof(*ip));
	if (!ip)
		return false;
	addr_set4(src, ip->saddr);
	addr_set4(dst, ip->daddr);
	return true;
}

/* A SYN's window scale (RFC 7323 2.2). */
static __always_inline __u8 wscale_read(struct fl_ctx *ctx, const struct pkt *pkt, __u32 header)
{
	__u32 off = tcp_option_find(ctx, pkt->l4, header, TCPOPT_WINDOW, 3);
	__u8 *opt = off ? pkt_at(ctx, pkt->l4 + off, L4_MAX, 3) : NULL;

	if (!opt)
		return FL_WSCALE_NONE;
	return opt[2] > FL_WSCALE_MAX ? FL_WSCALE_MAX : opt[2];
}

static __always_inline int tcp_read(struct fl_ctx *ctx, const struct pkt *pkt, struct segment *seg)
{
	struct tcphdr *tcp = pkt_at(ctx, pkt->l4, L4_MAX, sizeof(*tcp));
	__u32 room = pkt->l3 + pkt->len - pkt->l4, header;

	if (!tcp)
		return -FL_DROP_MALFORMED;
	header = tcp->doff * 4;
	if (header < sizeof(*tcp) || header > room)
		return -FL_DROP_MALFORMED;
	seg->seq = bpf_ntohl(tcp->seq);
	seg->ack = bpf_ntohl(tcp->ack_seq);
	seg->win = bpf_ntohs(tcp->window);
	seg->flags = ((const __u8 *)tcp)[13];
	seg->len = room - header;
	seg->wscale = tcp->syn ? wscale_read(ctx, pkt, header) : FL_WSCALE_NONE;
	return STAGE_GO;
}

/*
 * Reads the packet at pkt->l3 into s->subject, s->message and, of TCP, s->seg. Of a later fragment it is what the first one showed.
 * Returns STAGE_GO or -FL_DROP_*.
 */
GLOBAL int transport_read(struct fl_ctx *ctx, struct scratch *s)
{
	struct subject *sub;
	const __be16 *head;
	struct pkt *pkt;
	int r;

	if (!s)
		return -FL_DROP_INTERNAL;
	sub = &s->subject;
	pkt = &s->pkt;
	sub->sport = sub->dport = 0;
	sub->tcp_flags = sub->icmp_type = 0;
	s->message = MESSAGE_NONE;
	sub->family = pkt->family;
	sub->dscp = pkt->tos >> 2;
	sub->tag = 0;
	sub->gen = pkt->gen;
	if (!addresses_read(ctx, pkt, &sub->src, &sub->dst))
		return -FL_DROP_MALFORMED;
	r = transport_check(pkt);
	if (r == STAGE_GO && fragment_is_later(pkt))
		r = fragment_find(pkt, &sub->src, &sub->dst, &sub->sport, &sub->dport);
	sub->proto = pkt->proto;
	if (r || !pkt->l4)
		return r;
	ctx_pull(ctx, pkt->l4 + 64);
	if (pkt->proto == IPPROTO_TCP && tcp_read(ctx, pkt, &s->seg))
		return -FL_DROP_MALFORMED;
	head = pkt_at(ctx, pkt->l4, L4_MAX, 4);
	if (has_ports(pkt->proto)) {
		if (!head)
			return -FL_DROP_MALFORMED;
		sub->sport = head[0];
		sub->dport = head[1];
		sub->tcp_flags = pkt->proto == IPPROTO_TCP ? s->seg.flags : 0;
	} else if (pkt->proto == IPPROTO_ICMP || pkt->proto == IPPROTO_ICMPV6) {
		if (!head)
			return -FL_DROP_MALFORMED;
		sub->icmp_type = *(const __u8 *)head;
		s->message = message_of(pkt, sub->icmp_type);
		head = pkt_at(ctx, pkt->l4 + 4, L4_MAX, 2);
		if (head && s->message == MESSAGE_QUERY)
			sub->sport = *head;
		if (head && s->message == MESSAGE_ANSWER)
			sub->dport = *head;
	}
	return STAGE_GO;
}
