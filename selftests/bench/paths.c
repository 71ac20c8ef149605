// SPDX-License-Identifier: GPL-2.0-only
/*
 * The addresses of the benchmark. Every device under test has the same:
 *
 *   r0  192.0.2.1/24, 2001:db8:aa::1/48 (internal), 2001:db8:ac::1/64; tunnel remotes in 10.0.0.0/8 behind 192.0.2.2
 *   r1  203.0.113.1/24, 2001:db8:b::1/64; 2001:db8:f1::/48 behind 2001:db8:b::2
 *   tunnel tun_in (or broker): local 192.0.2.1, underlay r0; tunnel tun_out: 203.0.113.1 to 203.0.113.2, underlay r1
 *   translations: 2001:db8:aa:N::/64 to 2001:db8:ba:N::/64 on r1, 2001:db8:ab::/64 to 2001:db8:bb::/64 on tun_out
 */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>
#include <string.h>

#include "selftests/bench/bench.h"

const struct dut duts[DUT_COUNT] = {
	[DUT_DROP] = { "drop", R0_DROP, false },
	[DUT_REDIRECT] = { "redirect", R0_REDIRECT, false },
	[DUT_KERNEL] = { "kernel", R0_PASS, false },
	[DUT_KERNEL_NPT] = { "kernel-npt", R0_PASS, false },
	[DUT_KERNEL_NPT256] = { "kernel-npt256", R0_PASS, false },
	[DUT_NATIVE] = { "native", R0_FAIRLEAD, true },
	[DUT_TC] = { "tc", R0_PASS, true },
	[DUT_GENERIC] = { "generic", R0_FAIRLEAD, true },
	[DUT_CLIENTS1] = { "clients1", R0_FAIRLEAD, true },
	[DUT_CLIENTS10K] = { "clients10k", R0_FAIRLEAD, true },
	[DUT_NPT256] = { "npt256", R0_FAIRLEAD, true },
	[DUT_KERNEL_CT] = { "kernel-ct", R0_PASS, false },
	[DUT_NFT1K] = { "nft1k", R0_PASS, false },
	[DUT_NFT10K] = { "nft10k", R0_PASS, false },
	[DUT_NFT_SET] = { "nft-set", R0_PASS, false },
	[DUT_STATES] = { "states", R0_FAIRLEAD, true },
	[DUT_STATES_MANY] = { "states-many", R0_FAIRLEAD, true },
	[DUT_RULES10] = { "rules10", R0_FAIRLEAD, true },
	[DUT_RULES1K] = { "rules1k", R0_FAIRLEAD, true },
	[DUT_RULES10K] = { "rules10k", R0_FAIRLEAD, true },
	[DUT_GATEWAY1] = { "gateway1", R0_FAIRLEAD, true },
	[DUT_GATEWAYS] = { "gateways", R0_FAIRLEAD, true },
	[DUT_PROBES] = { "probes", R0_FAIRLEAD, true },
	[DUT_SOLO] = { "solo", R0_FAIRLEAD, true },
	[DUT_PAIR] = { "pair", R0_FAIRLEAD, true },
	[DUT_STANDBY] = { "standby", R0_FAIRLEAD, true },
	[DUT_CT_PAIR] = { "ct-pair", R0_PASS, false },
	[DUT_CT_STANDBY] = { "ct-standby", R0_PASS, false },
};

#define FLOWS 1024

const struct path paths[PATH_ALL] = {
	[PATH_DROP] = { "drop", "XDP drop at r0 (D)", DUT_DROP, IN_INTERNAL, OUT_NOTHING, FLOWS, 0 },
	[PATH_DROP_6IN4] = { "drop_6in4", "the same, 6in4 frames", DUT_DROP, IN_TUNNEL, OUT_NOTHING, FLOWS, 0 },
	[PATH_REDIRECT] = { "redirect", "bare devmap redirect (R)", DUT_REDIRECT, IN_INTERNAL, OUT_UNCHANGED, FLOWS,
			    0 },
	[PATH_KERNEL] = { "kernel", "kernel, forward", DUT_KERNEL, IN_PLAIN, OUT_FORWARDED, FLOWS, 0 },
	[PATH_KERNEL_NPT] = { "kernel_npt", "kernel, forward + SNPT", DUT_KERNEL_NPT, IN_INTERNAL, OUT_TRANSLATED,
			      FLOWS, 0 },
	[PATH_PLAIN] = { "plain", "fairlead native, forward", DUT_NATIVE, IN_PLAIN, OUT_FORWARDED, FLOWS, 0 },
	[PATH_NPT] = { "npt", "fairlead native, forward + NPT", DUT_NATIVE, IN_INTERNAL, OUT_TRANSLATED, FLOWS, 0 },
	[PATH_DECAP] = { "decap", "fairlead native, decap + forward", DUT_NATIVE, IN_TUNNEL, OUT_FORWARDED, FLOWS, 0 },
	[PATH_TUNNELS] = { "tunnels", "fairlead native, decap + NPT + encap", DUT_NATIVE, IN_TUNNELS, OUT_TUNNEL, FLOWS,
			   0 },
	[PATH_TC_NPT] = { "tc_npt", "fairlead tc, forward + NPT", DUT_TC, IN_INTERNAL, OUT_TRANSLATED, FLOWS, 0 },
	[PATH_TC_TUNNELS] = { "tc_tunnels", "fairlead tc, decap + NPT + encap", DUT_TC, IN_TUNNELS, OUT_TUNNEL, FLOWS,
			      0 },
	[PATH_GENERIC_NPT] = { "generic_npt", "fairlead generic, forward + NPT", DUT_GENERIC, IN_INTERNAL,
			       OUT_TRANSLATED, FLOWS, 0 },
	[PATH_GENERIC_TUNNELS] = { "generic_tunnels", "fairlead generic, decap + NPT + encap", DUT_GENERIC, IN_TUNNELS,
				   OUT_TUNNEL, FLOWS, 0 },
	[PATH_CLIENTS1] = { "clients_1", "broker, 1 client, 10,000 flows", DUT_CLIENTS1, IN_CLIENT, OUT_FORWARDED,
			    CLIENTS, 0xffff },
	[PATH_CLIENTS10K] = { "clients_10000", "broker, 10,000 clients, 10,000 flows", DUT_CLIENTS10K, IN_CLIENTS,
			      OUT_FORWARDED, CLIENTS, 0xffff },
	[PATH_NPT256] = { "npt_256", "fairlead native, 256 translations", DUT_NPT256, IN_INTERNAL, OUT_TRANSLATED,
			  FLOWS, TRANSLATIONS - 1 },
	[PATH_KERNEL_NPT256] = { "kernel_npt_256", "kernel, 256 SNPT rules", DUT_KERNEL_NPT256, IN_INTERNAL,
				 OUT_TRANSLATED, FLOWS, TRANSLATIONS - 1 },
	[PATH_KERNEL_64K] = { "kernel_64k", "kernel, forward, 65,536 flows", DUT_KERNEL, IN_PLAIN, OUT_FORWARDED, 65536,
			      0 },
	[PATH_PLAIN_64K] = { "plain_64k", "fairlead native, forward, 65,536 flows", DUT_NATIVE, IN_PLAIN, OUT_FORWARDED,
			     65536, 0 },
	[PATH_KERNEL_CT] = { "kernel_ct", "kernel, nft ct, 65,536 connections", DUT_KERNEL_CT, IN_PLAIN, OUT_FORWARDED,
			     STATES, .states = STATES_ESTABLISHED },
	[PATH_STATES] = { "states", "fairlead native, 65,536 states", DUT_STATES, IN_PLAIN, OUT_FORWARDED, STATES,
			  .states = STATES_ESTABLISHED },
	[PATH_KERNEL_NEW] = { "kernel_new", "kernel, nft ct, new connections", DUT_KERNEL_CT, IN_PLAIN, OUT_FORWARDED,
			      STATES, .states = STATES_NEW },
	[PATH_NEW] = { "new", "fairlead native, new states", DUT_STATES, IN_PLAIN, OUT_FORWARDED, STATES,
		       .states = STATES_NEW },
	[PATH_NFT1K] = { "nft_1000", "kernel, 1,000 nft rules", DUT_NFT1K, IN_PLAIN, OUT_FORWARDED, FLOWS },
	[PATH_NFT10K] = { "nft_10000", "kernel, 10,000 nft rules", DUT_NFT10K, IN_PLAIN, OUT_FORWARDED, FLOWS },
	[PATH_NFT_SET] = { "nft_set", "kernel, nft concat set of 1,000", DUT_NFT_SET, IN_PLAIN, OUT_FORWARDED, FLOWS },
	[PATH_RULES10] = { "rules_10", "fairlead native, 10 rules", DUT_RULES10, IN_PLAIN, OUT_FORWARDED, FLOWS },
	[PATH_RULES1K] = { "rules_1000", "fairlead native, 1,000 rules", DUT_RULES1K, IN_PLAIN, OUT_FORWARDED, FLOWS },
	[PATH_RULES10K] = { "rules_10000", "fairlead native, 10,000 rules", DUT_RULES10K, IN_PLAIN, OUT_FORWARDED,
			    FLOWS },
	[PATH_GATEWAY1] = { "gateway_1", "fairlead native, 1 gateway", DUT_GATEWAY1, IN_PLAIN, OUT_FORWARDED, FLOWS,
			    GATEWAYS - 1 },
	[PATH_GATEWAYS] = { "gateways_64", "fairlead native, 64 gateways", DUT_GATEWAYS, IN_PLAIN, OUT_FORWARDED, FLOWS,
			    GATEWAYS - 1 },
	[PATH_STATES_MANY] = { "states_many", "fairlead native, 9.9 million states", DUT_STATES_MANY, IN_PLAIN,
			       OUT_FORWARDED, STATES_MANY, 0xffff, 16, STATES_FILLED },
	[PATH_SOLO] = { "solo", "fairlead native, new and answered, alone", DUT_SOLO, IN_PLAIN, OUT_FORWARDED, BURST, 1,
			16, STATES_NEW },
	[PATH_PAIR] = { "pair", "fairlead native, new and answered, to a peer", DUT_PAIR, IN_PLAIN, OUT_FORWARDED,
			BURST, 1, 16, STATES_NEW },
	[PATH_CT_SOLO] = { "ct_solo", "kernel, nft ct, new and answered, alone", DUT_KERNEL_CT, IN_PLAIN, OUT_FORWARDED,
			   BURST, 1, 16, STATES_NEW },
	[PATH_CT_PAIR] = { "ct_pair", "kernel, nft ct, new and answered, conntrackd", DUT_CT_PAIR, IN_PLAIN,
			   OUT_FORWARDED, BURST, 1, 16, STATES_NEW },
};

static const uint8_t mac_generator[6] = { 0x02, 0xbe, 0, 0, 0, 0x01 }, mac_r0[6] = { 0x02, 0xbe, 0, 0, 0, 0x10 },
		     mac_r1[6] = { 0x02, 0xbe, 0, 0, 0, 0x11 }, mac_sink[6] = { 0x02, 0xbe, 0, 0, 0, 0x20 };

struct side {
	const char *outer_src, *outer_dst; /* NULL: plain */
	const char *src, *dst;
	uint8_t hops, outer_ttl;
	const uint8_t *smac, *dmac;
};

static const struct side sides_in[] = {
	[IN_PLAIN] = { NULL, NULL, "2001:db8:ac::1:0:0:0", "2001:db8:f1::1", 64, 0, mac_generator, mac_r0 },
	[IN_INTERNAL] = { NULL, NULL, "2001:db8:aa::1:0:0:0", "2001:db8:f1::1", 64, 0, mac_generator, mac_r0 },
	[IN_TUNNEL] = { "10.1.0.0", "192.0.2.1", "2001:db8:ab::1:0:0:0", "2001:db8:f1::1", 64, 64, mac_generator,
			mac_r0 },
	[IN_TUNNELS] = { "10.1.0.0", "192.0.2.1", "2001:db8:ab::1:0:0:0", "2001:db8:f2::1", 64, 64, mac_generator,
			 mac_r0 },
	[IN_CLIENTS] = { "10.1.0.0", "192.0.2.1", "2001:db8:cc::1:0:0:0", "2001:db8:f1::1", 64, 64, mac_generator,
			 mac_r0 },
	[IN_CLIENT] = { "10.1.0.0", "192.0.2.1", "2001:db8:cc::1:0:0:0", "2001:db8:f1::1", 64, 64, mac_generator,
			mac_r0 },
};

static uint64_t sum_words(uint64_t sum, const void *data, size_t len)
{
	const uint8_t *bytes = data;

	for (size_t i = 0; i < len; i += 2) {
		uint16_t word;

		memcpy(&word, bytes + i, sizeof(word));
		sum += word;
	}
	return sum;
}

static uint16_t sum_finish(uint64_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

/* What the generator varies is left at 0, and what it evens out with at 0xffff: the sums hold for every flow. */
static uint32_t frame_build(const struct side *side, __u64 words[BENCH_WORDS])
{
	struct ethhdr eth = { .h_proto = htons(side->outer_src ? ETH_P_IP : ETH_P_IPV6) };
	struct iphdr outer = { .version = 4, .ihl = 5, .id = 0xffff, .ttl = side->outer_ttl, .protocol = IPPROTO_IPV6 };
	struct ipv6hdr ip = { .version = 6, .nexthdr = IPPROTO_UDP, .hop_limit = side->hops };
	struct udphdr udp = { .source = htons(49152), .dest = htons(9), .len = htons(10) };
	uint16_t payload = 0xffff;
	uint8_t *p = (uint8_t *)words;

	memset(words, 0, BENCH_WORDS * 8);
	memcpy(eth.h_source, side->smac, ETH_ALEN);
	memcpy(eth.h_dest, side->dmac, ETH_ALEN);
	p = mempcpy(p, &eth, sizeof(eth));
	if (side->outer_src) {
		outer.tot_len = htons(BENCH_6IN4 - ETH_HLEN);
		inet_pton(AF_INET, side->outer_src, &outer.saddr);
		inet_pton(AF_INET, side->outer_dst, &outer.daddr);
		outer.check = sum_finish(sum_words(0, &outer, sizeof(outer)));
		p = mempcpy(p, &outer, sizeof(outer));
	}
	inet_pton(AF_INET6, side->src, &ip.saddr);
	inet_pton(AF_INET6, side->dst, &ip.daddr);
	ip.payload_len = udp.len;
	udp.check = sum_finish(
		sum_words(sum_words(sum_words(payload + udp.len + htons(IPPROTO_UDP), &ip.saddr, 16), &ip.daddr, 16),
			  &udp, sizeof(udp)));
	p = mempcpy(p, &ip, sizeof(ip));
	p = mempcpy(p, &udp, sizeof(udp));
	memcpy(p, &payload, sizeof(payload));
	return side->outer_src ? BENCH_6IN4 : BENCH_PLAIN;
}

static struct side side_out(const struct path *path)
{
	struct side side = sides_in[path->in];

	if (path->out == OUT_UNCHANGED || path->out == OUT_NOTHING)
		return side;
	side.outer_src = side.outer_dst = NULL;
	side.hops--;
	side.smac = mac_r1;
	side.dmac = mac_sink;
	if (path->out == OUT_TRANSLATED)
		side.src = "2001:db8:ba::fff0:0:0:0"; /* RFC 6296: 0x0001 + 0x00aa - 0x00ba */
	if (path->out == OUT_TUNNEL) {
		side.src = "2001:db8:bb::fff0:0:0:0";
		side.outer_src = "203.0.113.1";
		side.outer_dst = "203.0.113.2";
	}
	return side;
}

/* Bytes that the sink does not compare: what varies with the flow, and what sums vouch for. */
static void mask_build(const struct path *path, uint32_t len, __u64 words[BENCH_WORDS])
{
	uint8_t *mask = (uint8_t *)words, *ip = mask + ETH_HLEN;

	memset(mask, 0xff, BENCH_WORDS * 8);
	if (len == BENCH_6IN4) {
		ip[4] = ip[5] = 0;   /* identification */
		ip[6] = 0xbf;	     /* DF: whether the tunnel learns its MTU */
		ip[10] = ip[11] = 0; /* checksum */
		ip += sizeof(struct iphdr);
	}
	ip[8 + 14] = ip[8 + 15] = 0; /* the flow's word of the source */
	if (path->net_mask)
		ip[8 + 6] = ip[8 + 7] = 0;
	memset(ip + 48, 0, 2); /* payload */
}

void path_traffic(const struct path *path, struct bench_traffic *traffic, struct bench_expected *expected)
{
	const struct side out = side_out(path);

	memset(traffic, 0, sizeof(*traffic));
	memset(expected, 0, sizeof(*expected));
	traffic->len = frame_build(&sides_in[path->in], traffic->frame);
	traffic->flows = path->flows;
	traffic->net_mask = path->net_mask;
	traffic->net_shift = path->net_shift;
	traffic->sequential = path->states == STATES_NEW;
	traffic->outer_host = 1;
	traffic->outer_mask = path->in == IN_CLIENTS ? 0xffff : 0;
	traffic->slot = path->dut;
	expected->len = frame_build(&out, expected->frame);
	mask_build(path, expected->len, expected->mask);
	expected->ports = htonl(49152 << 16 | 9);
}

void path_answers(const struct path *path, struct bench_traffic *traffic)
{
	const struct side side = { NULL, NULL, "2001:db8:f1::1", "2001:db8:ac::1:0:0:0", 64, 0, mac_sink, mac_r1 };
	struct bench_expected expected;
	uint8_t *frame = (uint8_t *)traffic->frame, *udp;
	uint16_t port;

	path_traffic(path, traffic, &expected);
	traffic->len = frame_build(&side, traffic->frame);
	udp = frame + ETH_HLEN + sizeof(struct ipv6hdr);
	memcpy(&port, udp, sizeof(port)); /* the sum stays */
	memcpy(udp, udp + 2, sizeof(port));
	memcpy(udp + 2, &port, sizeof(port));
	traffic->slot = BENCH_BEHIND + path->dut;
	traffic->reverse = true;
}

static void put16(uint8_t *at, uint16_t value)
{
	memcpy(at, &value, sizeof(value));
}

void path_frame(const struct bench_traffic *traffic, uint32_t flow, uint8_t frame[BENCH_WORDS * 8])
{
	uint16_t host = htons(flow),
		 net = htons(traffic->source_net + (flow >> traffic->net_shift & traffic->net_mask));
	uint16_t outer_host = htons(traffic->outer_host + (flow & traffic->outer_mask));
	uint32_t sum = (uint32_t)host + net;
	uint8_t *ip = frame + ETH_HLEN, *address;

	memcpy(frame, traffic->frame, BENCH_WORDS * 8);
	if (traffic->len == BENCH_6IN4) {
		put16(ip + offsetof(struct iphdr, saddr) + 2, outer_host);
		put16(ip + offsetof(struct iphdr, id), ~outer_host);
		ip += sizeof(struct iphdr);
	}
	address = ip + (traffic->reverse ? offsetof(struct ipv6hdr, daddr) : offsetof(struct ipv6hdr, saddr));
	put16(address + 14, host);
	put16(address + 6, net);
	put16(ip + sizeof(struct ipv6hdr) + sizeof(struct udphdr), ~((sum & 0xffff) + (sum >> 16)));
}
