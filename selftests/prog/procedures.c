// SPDX-License-Identifier: GPL-2.0-only
/* What the table has no words for: other MACs and tags, frames in pieces, a header at the edge, skb->tc_index. */

#include <bpf/bpf.h>
#include <string.h>

#include "fairlead/vip.h"
#include "selftests/prog/check.h"
#include "selftests/prog/hosts.h"

#include "xdp.skel.h"

static const struct spec plain6 = { .src = LAN_HOST, .dst = NET_HOST };
static const struct spec from_tunnel = { .osrc = HE0_REMOTE, .odst = LOCAL4, .src = HE_HOST, .dst = LAN_HOST };

static void build(struct frame *f, const struct spec *spec, enum port in)
{
	__u8 dmac[6], smac[6];

	port_mac(in, false, dmac);
	port_mac(in, true, smac);
	frame_build(f, spec, dmac, smac);
}

/* Both hooks pass the frame on as it is and count nothing. */
static void expect_untouched(struct env *env, const char *what, enum port in, const struct frame *f, bool tc_too)
{
	struct counters before, after;
	struct result out;

	counters_read(env, &before);
	run_xdp(env, env->ifindex[in], f, &out);
	if (out.verdict != XDP_PASS || out.frame.len != f->len || memcmp(out.frame.data, f->data, f->len))
		fail(env, "  %s: XDP says %d, or changed it\n", what, out.verdict);
	if (tc_too) {
		run_tc(env, TC_IN, env->ifindex[in], NULL, f, &out);
		if (out.verdict != TC_ACT_UNSPEC || out.frame.len != f->len || memcmp(out.frame.data, f->data, f->len))
			fail(env, "  %s: tc says %d, or changed it\n", what, out.verdict);
	}
	counters_read(env, &after);
	if (memcmp(&before, &after, sizeof(after)))
		fail(env, "  %s: it was counted\n", what);
}

static void other_macs(struct env *env)
{
	static const struct {
		const char *what;
		__u8 mac[6];
	} macs[] = {
		{ "another host's", { 0x02, 0, 0, 0, 2, 99 } }, { "first byte", { 0x06, 0, 0, 0, 1, LAN } },
		{ "last byte", { 0x02, 0, 0, 0, 1, WAN } },	{ "broadcast", { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff } },
		{ "multicast", { 0x33, 0x33, 0, 0, 0, 1 } },
	};
	struct frame f;

	for (size_t i = 0; i < sizeof(macs) / sizeof(*macs); i++) {
		build(&f, &plain6, LAN);
		memcpy(f.data, macs[i].mac, 6);
		expect_untouched(env, macs[i].what, LAN, &f, true);
		build(&f, &from_tunnel, WAN);
		memcpy(f.data, macs[i].mac, 6);
		if (i < 2) /* the third is WAN's own; of those to many the refuse/ cases tell */
			expect_untouched(env, macs[i].what, WAN, &f, true);
	}
}

static void give_vmac(struct env *env, __u64 until)
{
	const struct fl_vmac_key key = { .ifindex = env->ifindex[LAN], .vid = port_vid(VLAN), .vhid = 42 };
	struct fl_vmac vmac = { .lease = 3 };
	const __u32 lease = vmac.lease;

	port_mac(VLAN, false, vmac.mac);
	if (bpf_map_update_elem(bpf_map__fd(env->xdp->maps.fl_vmacs), &key, &vmac, BPF_ANY) ||
	    bpf_map_update_elem(bpf_map__fd(env->xdp->maps.fl_leases), &lease, &until, BPF_ANY))
		fail(env, "  cannot fill the tables\n");
}

/* A tagged frame to a virtual MAC is, with its lease, what one to the device's own MAC is. The parent has no such vhid. */
static void virtual_macs(struct env *env)
{
	static const __u8 vmac[6] = { 0, 0, 0x5e, 0, 1, 42 };
	struct spec s = { .src = VLAN_HOST, .dst = NET_HOST, .vid = 100 };
	struct result own, out;
	struct frame f;

	build(&f, &s, VLAN);
	run_xdp(env, env->ifindex[LAN], &f, &own);
	memcpy(f.data, vmac, 6);
	give_vmac(env, 0);
	expect_untouched(env, "no lease", LAN, &f, false);
	give_vmac(env, 1);
	expect_untouched(env, "a lease that is over", LAN, &f, false);
	give_vmac(env, FL_LEASE_FOREVER);
	run_xdp(env, env->ifindex[LAN], &f, &out);
	if (out.verdict != own.verdict || out.frame.len != own.frame.len ||
	    memcmp(out.frame.data, own.frame.data, own.frame.len))
		fail(env, "  with a lease XDP says %d, not %d, or made another frame of it\n", out.verdict,
		     own.verdict);
	build(&f, &plain6, LAN);
	memcpy(f.data, vmac, 6);
	expect_untouched(env, "on the parent", LAN, &f, true);
	give_vmac(env, 0);
}

/* VLAN 100 is an 802.1Q one. What is tagged otherwise is the kernel's to sort out. */
static void other_tags(struct env *env)
{
	struct spec s = plain6;
	struct frame f;

	s.src = VLAN_HOST;
	s.vid = 100;
	s.tpid = 0x88a8;
	build(&f, &s, LAN);
	expect_untouched(env, "802.1ad", LAN, &f, false);
	s.tpid = 0x9100;
	build(&f, &s, LAN);
	expect_untouched(env, "0x9100", LAN, &f, false);
	s.tpid = 0;
	build(&f, &s, LAN);
	memmove(f.data + 16, f.data + 12, f.len - 12); /* the tag twice */
	f.len += 4;
	expect_untouched(env, "two tags", LAN, &f, false);
	f.len = 16;
	expect_untouched(env, "half a tag", LAN, &f, false);
}

/* The kernel takes off a priority tag and then the tag in it: nothing of ours would see what lies below. */
static void tag_in_priority_tag(struct env *env)
{
	static const __u16 tags[] = { 0x8100, 0x88a8 };
	const struct skb_extra priority = { .vlan = 1 };
	struct spec s = plain6;
	struct result out;
	struct frame f;

	s.vid = NIL;
	for (size_t i = 0; i < sizeof(tags) / sizeof(*tags); i++) {
		s.tpid = tags[i];
		build(&f, &s, LAN);
		run_tc(env, TC_IN, env->ifindex[LAN], &priority, &f, &out);
		if (out.verdict != TC_ACT_SHOT)
			fail(env, "  tag %04x: tc says %d\n", tags[i], out.verdict);
	}
}

static void other_protocols(struct env *env)
{
	static const __u16 protocols[] = { 0x0806, 0x88cc, 0x8863, 0x0026, 0x05dc, 0x0600, 0xffff };
	struct frame f;

	for (size_t i = 0; i < sizeof(protocols) / sizeof(*protocols); i++) {
		build(&f, &plain6, LAN);
		put16(f.data + 12, protocols[i]);
		expect_untouched(env, "another protocol", LAN, &f, true);
	}
}

/*
 * A transport header at the end of what is looked at moves when an outer header goes before it; one behind it has the packet dropped.
 * What lies at the frame's start must not be taken for it: here the sender's MAC and address would look like a SYN with an MSS option.
 */
static void edge(struct env *env)
{
	struct spec s = { .src = "204:ffff::1", .dst = HE1_HOST, .ext = "d", .l4 = L4_TCP, .tflags = TCP_SYN }, sent;
	const struct spec change = {
		.osrc = LOCAL4, .odst = HE1_REMOTE, .ottl = 64, .ofrag = IPV4_DF, .oid = NIL, .hops = 63
	};
	struct frame f, expected;
	struct result out;

	for (s.extlen = 90; s.extlen <= 124; s.extlen++) {
		s.payload = 0x404 - 20 - 8 * (s.extlen + 1);
		build(&f, &s, LAN);
		f.data[10] = 0xf0; /* data offset, flags */
		f.data[11] = 0x02;
		run_xdp(env, env->ifindex[LAN], &f, &out);
		if (s.extlen > 109 && out.verdict == XDP_DROP)
			continue;
		sent = spec_merge(&s, &change);
		build(&expected, &sent, WAN);
		if (s.extlen > 109 || out.verdict != XDP_REDIRECT || out.frame.len != expected.len ||
		    memcmp(out.frame.data + ETH_LEN, expected.data + ETH_LEN, expected.len - ETH_LEN))
			fail(env, "  extension header of %d bytes: verdict %d, or another packet leaves\n",
			     8 * (s.extlen + 1), out.verdict);
	}
}

/* `more`: bytes behind the frame's that its headers tell of, too. */
static void in_pieces(struct env *env, enum port in, const struct spec *spec, int more)
{
	static __u8 big[9000], back[9000];
	struct xdp_md ctx = { .data_end = 6000, .ingress_ifindex = env->ifindex[in] };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = big, .data_size_in = 6000, .data_out = back,
		    .data_size_out = sizeof(back), .ctx_in = &ctx, .ctx_size_in = sizeof(ctx));
	struct spec s = *spec;
	struct frame f;
	int r;

	s.plen = s.olen = more;
	build(&f, &s, in);
	memcpy(big, f.data, f.len);
	for (size_t i = f.len; i < sizeof(big); i++)
		big[i] = i;
	r = bpf_prog_test_run_opts(bpf_program__fd(env->xdp->progs.fl_xdp), &opts);
	if (r || opts.retval != XDP_PASS || memcmp(big, back, 6000))
		fail(env, "  %s, %d more: %d, verdict %u, or changed\n", spec->src, more, r, opts.retval);
}

/* A frame that the driver delivers in pieces: not every driver sends such, and what is in the others XDP does not see. */
static void pieces(struct env *env)
{
	static const struct spec plain4 = { .src = LAN_HOST4, .dst = NET_HOST4 };
	struct counters before, after;

	counters_read(env, &before);
	for (int more = 0; more <= 5800; more += 5800) {
		in_pieces(env, LAN, &plain6, more);
		in_pieces(env, LAN, &plain4, more);
		in_pieces(env, WAN, &from_tunnel, more);
	}
	counters_read(env, &after);
	if (memcmp(&before, &after, sizeof(after)))
		fail(env, "  they were counted\n");
}

/* Outer packets that may be fragmented must differ in their identification (RFC 791 3.2). */
static void identifications(struct env *env)
{
	static const struct spec into_tunnel = { .src = LAN_HOST, .dst = HE_HOST };
	__u16 ids[8];
	struct frame f;
	struct result out;

	build(&f, &into_tunnel, LAN);
	for (enum hook hook = HOOK_XDP; hook < HOOKS; hook++) {
		int differ = 0;

		for (size_t i = 0; i < sizeof(ids) / sizeof(*ids); i++) {
			if (hook == HOOK_XDP)
				run_xdp(env, env->ifindex[LAN], &f, &out);
			else if (hook == HOOK_GENERIC)
				run_generic(env, env->ifindex[LAN], &f, &out);
			else
				run_tc(env, hook == HOOK_TC ? TC_IN : TC_OLD_IN, env->ifindex[LAN], NULL, &f, &out);
			frame_mask_id(&out.frame, &ids[i]);
			differ += ids[i] != ids[0];
		}
		if (differ < 6) /* by chance once in millions of runs */
			fail(env, "  %s: %d of 7 differ from the first\n", hook_name(hook), differ);
	}
}

/* skb->tc_index: what fl_tc_out will believe. */
static void tags_left(struct env *env)
{
	static const struct {
		const char *what;
		enum tc_prog prog;
		enum port in;
		struct spec pkt;
		__u32 tag_before;
		int tag;
	} tags[] = {
		{ "forwarded", TC_IN, LAN, { .src = LAN_HOST, .dst = NET_HOST }, 0, SKB_TAG },
		{ "encapsulated", TC_IN, LAN, { .src = LAN_HOST, .dst = HE_HOST }, 0, SKB_TAG },
		{ "to be fragmented",
		  TC_IN,
		  LAN,
		  { .src = LAN_HOST4, .dst = "192.0.0.34", .payload = 1400 },
		  0,
		  SKB_TAG },
		{ "for the host", TC_IN, LAN, { .src = LAN_HOST, .dst = ROUTER }, SKB_TAG, 0 },
		{ "for the host, decapsulated",
		  TC_IN,
		  WAN,
		  { .osrc = HE0_REMOTE, .odst = LOCAL4, .src = HE_HOST, .dst = ROUTER },
		  0,
		  SKB_TAG },
		{ "forged", TC_IN, FOUR, { .src = "2001:db8:30::10", .dst = NET_HOST }, SKB_TAG, 0 },
		{ "in a tunnel's device", TC_IN, HE0, { .src = HE_HOST, .dst = ROUTER }, SKB_TAG, 0 },
		{ "an error", TC_IN, LAN, { .src = LAN_HOST, .dst = NET_HOST, .hops = 1 }, SKB_TAG, 0 },
		{ "leaving", TC_OUT, WAN, { .src = LAN_HOST, .dst = NET_HOST }, SKB_TAG, 0 },
		{ "the router's own, encapsulated",
		  TC_IN,
		  HE0,
		  { .src = "2001:db8:80::1", .dst = HE_HOST },
		  0,
		  SKB_TAG },
	};
	struct frame f;

	for (size_t i = 0; i < sizeof(tags) / sizeof(*tags); i++) {
		struct skb_extra extra = { .tc_index = tags[i].tag_before };
		int tag;

		build(&f, &tags[i].pkt, tags[i].in);
		/* the last is the one that comes by the other end of the tunnel's device */
		tag = run_tc_tag(env, tags[i].prog,
				 i + 1 < sizeof(tags) / sizeof(*tags) ? env->ifindex[tags[i].in] : env->other_end[HE0],
				 &extra, &f);
		if (tag != tags[i].tag)
			fail(env, "  %s: tc_index is 0x%x instead of 0x%x\n", tags[i].what, tag, tags[i].tag);
	}
}

/* A device without Ethernet header: the frame starts with the IP header. */
static void no_ethernet(struct env *env)
{
	/* the test run reads an Ethernet header all the same: a MAC of ours, and IPv6's number within the source */
	const struct spec s = { .src = "2001:db8:86dd::1", .dst = NET_HOST };
	const __u8 none[6] = {};
	struct frame f, in, expected;
	const struct skb_extra extra = { .no_sum = true }; /* it would begin at the wrong byte */
	struct spec sent = s;
	struct result out;

	frame_build(&f, &s, none, none);
	in.len = f.len - ETH_LEN;
	memcpy(in.data, f.data + ETH_LEN, in.len);
	if (links_run("ip link set noether address %02x:%02x:%02x:%02x:%02x:%02x", in.data[0], in.data[1], in.data[2],
		      in.data[3], in.data[4], in.data[5])) {
		fail(env, "  no such MAC\n");
		return;
	}
	run_tc(env, TC_IN, env->ifindex[NOETHER], &extra, &in, &out);
	sent.hops = 63;
	frame_build(&expected, &sent, none, none);
	if (out.verdict != TC_ACT_REDIRECT || out.frame.len != expected.len ||
	    memcmp(out.frame.data + ETH_LEN, expected.data + ETH_LEN, expected.len - ETH_LEN))
		fail(env, "  verdict %d, %u bytes, or another packet leaves\n", out.verdict, out.frame.len);
	if (links_run("ip link set noether address 02:00:00:00:01:%02x", NOETHER))
		fail(env, "  its MAC is not back\n");
}

const struct procedure procedures[] = {
	{ "frame/other-macs", other_macs },
	{ "frame/virtual-macs", virtual_macs },
	{ "frame/other-tags", other_tags },
	{ "frame/tag-in-priority-tag", tag_in_priority_tag },
	{ "frame/other-protocols", other_protocols },
	{ "frame/transport-at-the-edge", edge },
	{ "frame/in-pieces", pieces },
	{ "frame/identifications", identifications },
	{ "frame/tags-left", tags_left },
	{ "frame/no-ethernet", no_ethernet },
	{ 0 },
};
