// SPDX-License-Identifier: GPL-2.0-only
/* The clamp of TCP's maximum segment size: HE1 allows 1420 (its MTU of 1480), the client C3 1200. */

#include <bpf/bpf.h>

#include "selftests/prog/check.h"
#include "selftests/prog/hosts.h"

#include "xdp.skel.h"

#define TO_HE1 \
	.in = LAN, .pkt.src = LAN_HOST, .pkt.dst = HE1_HOST, .pkt.l4 = L4_TCP, .want = FORWARD, .out = WAN, \
	.ep_out = EP_HE1, .change.osrc = LOCAL4, .change.odst = HE1_REMOTE, .change.ottl = 64, .change.ofrag = IPV4_DF
#define FROM_HE1 \
	.in = WAN, .pkt.osrc = HE1_REMOTE, .pkt.odst = LOCAL4, .pkt.src = HE1_HOST, .pkt.dst = LAN_HOST, \
	.pkt.l4 = L4_TCP, .want = FORWARD, .out = LAN, .ep_in = EP_HE1, .change.osrc = NO_OUTER
#define SYN(name, before, after) \
	{ \
		"mss/" name, TO_HE1, .pkt.tflags = TCP_SYN, .pkt.opts = before, .change.opts = after \
	}
#define SAME(name, options) \
	{ \
		"mss/" name, TO_HE1, .pkt.tflags = TCP_SYN, .pkt.opts = options \
	}

static int path_mtu(struct env *env, __u32 mtu)
{
	struct fl_endpoint_path path = { .mtu = mtu, .expires_s = ~0u };
	__u32 ep = EP_HE1;

	return bpf_map_update_elem(bpf_map__fd(env->xdp->maps.fl_ep_path), &ep, &path, BPF_ANY);
}

static int path_1300(struct env *env)
{
	return path_mtu(env, 1300);
}

static int path_forget(struct env *env)
{
	return path_mtu(env, 0);
}

/* clang-format off */
static const struct test_case mss[] = {
	SYN("alone", "020405b4", "0204058c"),
	SYN("of-a-jumbo-host", "02042328", "0204058c"),
	SYN("largest", "0204ffff", "0204058c"),
	SYN("one-more", "0204058d", "0204058c"),
	SYN("first", "020405b4 0402 080a0102030400000000 01 030307", "0204058c 0402 080a0102030400000000 01 030307"),
	SYN("last", "080a0102030400000000 0402 01 030307 020405b4", "080a0102030400000000 0402 01 030307 0204058c"),
	SYN("behind-sack-permitted", "0402 020405b4 0101", "0402 0204058c 0101"),
	SYN("behind-two-nops", "0101 020405b4 0101", "0101 0204058c 0101"),
	SYN("odd-behind-nop", "01 020405b4 010101", "01 0204058c 010101"),
	SYN("odd-behind-window-scale", "030307 020405b4 01", "030307 0204058c 01"),
	SYN("odd-behind-unknown", "fd05010203 020405b4 010101", "fd05010203 0204058c 010101"),
	SYN("odd-and-carry", "01 0204ffff 010101", "01 0204058c 010101"),
	SYN("tenth", "010101010101010101 020405b4 010101", "010101010101010101 0204058c 010101"),
	SYN("second-of-two", "0204058c 020405b4", "0204058c 020405b4"),
	SAME("equal", "0204058c"),
	SAME("smaller", "02040218"),
	SAME("zero", "02040000"),
	SAME("none", NULL),
	SAME("others-only", "0402 080a0102030400000000 01 030307"),
	SAME("behind-the-end", "00 020405b4 000000"),
	SAME("of-length-3", "020305 01020405"),
	SAME("of-length-0", "0500 020405b4 0101"),
	SAME("of-length-1", "0501 020405b4 0101"),
	SAME("of-length-41", "fe29 020405b4 0101"),
	SAME("of-length-66", "fe42 020405b4 0101"),
	SAME("own-length-0", "020005b4"),
	SAME("own-length-5", "020505b400 010101"),
	SAME("beyond-the-header", "01010101 01 05ff 02"),
	SAME("cut-off", "0101 0204"),
	{ "mss/syn-ack", TO_HE1, .pkt.tflags = TCP_SYN | TCP_ACK, .pkt.opts = "020405b4", .change.opts = "0204058c" },
	{ "mss/not-a-syn", TO_HE1, .pkt.tflags = TCP_ACK, .pkt.opts = "020405b4" },
	{ "mss/data-offset-5", TO_HE1, .pkt.tflags = TCP_SYN, .pkt.opts = "020405b4", .pkt.doff = 5 },
	{ "mss/data-offset-4", TO_HE1, .pkt.tflags = TCP_SYN, .pkt.opts = "020405b4", .pkt.doff = 4 },
	{ "mss/data-offset-0", TO_HE1, .pkt.tflags = TCP_SYN, .pkt.opts = "020405b4", .pkt.doff = NIL },
	{ "mss/data-offset-beyond-packet", TO_HE1, .pkt.tflags = TCP_SYN, .pkt.opts = "0101", .pkt.doff = 15,
	  .pkt.payload = NIL },
	{ "mss/extension-headers", TO_HE1, .pkt.ext = "hd", .pkt.tflags = TCP_SYN, .pkt.opts = "020405b4",
	  .change.opts = "0204058c" },
	{ "mss/first-fragment", TO_HE1, .pkt.ext = "f", .pkt.tflags = TCP_SYN, .pkt.opts = "020405b4",
	  .change.opts = "0204058c" },
	{ "mss/later-fragment", TO_HE1, .pkt.ext = "F", .pkt.tflags = TCP_SYN, .pkt.opts = "020405b4" },
	{ "mss/fragment-at-2048", TO_HE1, .pkt.ext = "G", .pkt.tflags = TCP_SYN, .pkt.opts = "020405b4" },
	{ "mss/udp", .in = LAN, .pkt.src = LAN_HOST, .pkt.dst = HE1_HOST, .pkt.dport = 0x0502, .want = FORWARD,
	  .out = WAN, .ep_out = EP_HE1,
	  .change = { .osrc = LOCAL4, .odst = HE1_REMOTE, .ottl = 64, .ofrag = IPV4_DF } },
	{ "mss/path-mtu", TO_HE1, .pkt.tflags = TCP_SYN, .pkt.opts = "020405b4", .change.opts = "020404d8",
	  .before = path_1300, .after = path_forget },
	{ "mss/from-tunnel", FROM_HE1, .pkt.tflags = TCP_SYN, .pkt.opts = "020405b4", .change.opts = "0204058c" },
	{ "mss/from-tunnel-odd", FROM_HE1, .pkt.tflags = TCP_SYN, .pkt.opts = "01 020405b4 010101",
	  .change.opts = "01 0204058c 010101" },
	{ "mss/value", .in = LAN, .pkt.src = LAN_HOST, .pkt.dst = C3_HOST, .pkt.l4 = L4_TCP, .pkt.tflags = TCP_SYN,
	  .pkt.opts = "020405b4",
	  .want = FORWARD, .out = WAN, .ep_out = EP_C3,
	  .change = { .osrc = LOCAL4, .odst = C3_REMOTE, .ottl = 77, .otos = 46 << 2, .ofrag = IPV4_DF,
	  .opts = "020404b0" } },
	{ "mss/between-tunnels-the-smaller", .in = WAN, .pkt.osrc = C3_REMOTE, .pkt.odst = LOCAL4, .pkt.src = C3_HOST,
	  .pkt.dst = HE1_HOST,
	  .pkt.l4 = L4_TCP, .pkt.tflags = TCP_SYN, .pkt.opts = "020405b4", .want = FORWARD, .out = WAN, .ep_in = EP_C3,
	  .ep_out = EP_HE1,
	  .change = { .osrc = LOCAL4, .odst = HE1_REMOTE, .ottl = 64, .ofrag = IPV4_DF, .opts = "020404b0" } },
	{ "mss/back-between-tunnels", .in = WAN, .pkt.osrc = HE1_REMOTE, .pkt.odst = LOCAL4, .pkt.src = HE1_HOST,
	  .pkt.dst = C3_HOST,
	  .pkt.l4 = L4_TCP, .pkt.tflags = TCP_SYN, .pkt.opts = "020405b4", .want = FORWARD, .out = WAN, .ep_in = EP_HE1,
	  .ep_out = EP_C3,
	  .change = { .osrc = LOCAL4, .odst = C3_REMOTE, .ottl = 77, .otos = 46 << 2, .ofrag = IPV4_DF,
	  .opts = "020404b0" } },
	{ "mss/into-one-without", .in = WAN, .pkt.osrc = C3_REMOTE, .pkt.odst = LOCAL4, .pkt.src = C3_HOST,
	  .pkt.dst = HE_HOST, .pkt.l4 = L4_TCP, .pkt.tflags = TCP_SYN, .pkt.opts = "020405b4", .want = FORWARD, .out = WAN,
	  .ep_in = EP_C3, .ep_out = EP_HE0,
	  .change = { .osrc = LOCAL4, .odst = HE0_REMOTE, .ottl = 255, .opts = "020404b0" } },
	{ "mss/from-one-without", .in = WAN, .pkt.osrc = HE0_REMOTE, .pkt.odst = LOCAL4, .pkt.src = HE_HOST,
	  .pkt.dst = C3_HOST, .pkt.l4 = L4_TCP, .pkt.tflags = TCP_SYN, .pkt.opts = "020405b4", .want = FORWARD, .out = WAN,
	  .ep_in = EP_HE0, .ep_out = EP_C3,
	  .change = { .osrc = LOCAL4, .odst = C3_REMOTE, .ottl = 77, .otos = 46 << 2, .ofrag = IPV4_DF,
	  .opts = "020404b0" } },
	{ "mss/off", .in = LAN, .pkt.src = LAN_HOST, .pkt.dst = HE_HOST, .pkt.l4 = L4_TCP, .pkt.tflags = TCP_SYN,
	  .pkt.opts = "020405b4",
	  .want = FORWARD, .out = WAN, .ep_out = EP_HE0, .change = { .osrc = LOCAL4, .odst = HE0_REMOTE,
	  .ottl = 255 } },
	{ "mss/no-tunnel", .in = LAN, .pkt.src = LAN_HOST, .pkt.dst = NET_HOST, .pkt.l4 = L4_TCP, .pkt.tflags = TCP_SYN,
	  .pkt.opts = "020405b4",
	  .want = FORWARD, .out = WAN },
	{ "mss/ipv4", .in = LAN, .pkt.src = LAN_HOST4, .pkt.dst = NET_HOST4, .pkt.l4 = L4_TCP, .pkt.tflags = TCP_SYN,
	  .pkt.opts = "020405b4",
	  .want = FORWARD, .out = WAN },
	{ "mss/translated", .in = LAN, .pkt.src = "fd02:0:0:1::1", .pkt.dst = HE1_HOST, .pkt.l4 = L4_TCP,
	  .pkt.tflags = TCP_SYN,
	  .pkt.opts = "01 020405b4 010101", .want = FORWARD, .out = WAN, .ep_out = EP_HE1, .npt_out = NPT_HE1,
	  .change = { .src = "2001:db8:6:cf44::1", .osrc = LOCAL4, .odst = HE1_REMOTE, .ottl = 64, .ofrag = IPV4_DF,
	  .opts = "01 0204058c 010101" } },
};

/* What fits the underlay counts, too */
static int underlay_1400(struct env *env)
{
	return tables_port_mtu(env, WAN, 1400);
}

static int underlay_whole(struct env *env)
{
	return tables_port_mtu(env, WAN, 1500);
}

static const struct test_case ways[] = {
	{ "mss/to-the-router", .in = WAN, .pkt.osrc = HE1_REMOTE, .pkt.odst = LOCAL4, .pkt.src = HE1_HOST,
	  .pkt.dst = "2001:db8:80::3", .pkt.l4 = L4_TCP, .pkt.tflags = TCP_SYN, .pkt.opts = "020405b4", .want = DELIVER,
	  .blame = HE1, .ep_in = EP_HE1, .change = { .osrc = NO_OUTER, .opts = "0204058c" } },
	{ "mss/underlay-1400-in", FROM_HE1, .pkt.tflags = TCP_SYN, .pkt.opts = "020405b4", .change.opts = "02040528",
	  .before = underlay_1400, .after = underlay_whole },
	{ "mss/underlay-1400-out", TO_HE1, .pkt.tflags = TCP_SYN, .pkt.opts = "020405b4", .change.opts = "02040528",
	  .before = underlay_1400, .after = underlay_whole },
};

/* Where the transport header is the last that can be read, also behind the outer header: one unit more is dropped. */
#define MOST "080a0102030400000000 080a0102030400000000 080a0102030400000000 0101" /* all the room but the MSS's */

static const struct test_case deep[] = {
	{ "mss/deep-in-reach", TO_HE1, .pkt.ext = "d", .pkt.extlen = 109, .pkt.tflags = TCP_SYN, .pkt.opts = "020405b4",
	  .change.opts = "0204058c" },
	{ "mss/deep-last-option", TO_HE1, .pkt.ext = "d", .pkt.extlen = 109, .pkt.tflags = TCP_SYN,
	  .pkt.opts = MOST "020405b4", .change.opts = MOST "0204058c" },
	{ "mss/deep-last-option-to-vlan", .in = WAN, .pkt.osrc = HE1_REMOTE, .pkt.odst = LOCAL4, .pkt.src = HE1_HOST,
	  .pkt.dst = VLAN_HOST, .pkt.l4 = L4_TCP, .pkt.ext = "d", .pkt.extlen = 106, .pkt.tflags = TCP_SYN,
	  .pkt.opts = MOST "020405b4", .want = FORWARD, .out = VLAN, .ep_in = EP_HE1,
	  .change = { .osrc = NO_OUTER, .opts = MOST "0204058c" } },
	{ "mss/deep-beyond", .in = LAN, .pkt.src = LAN_HOST, .pkt.dst = HE1_HOST, .pkt.l4 = L4_TCP, .pkt.ext = "d",
	  .pkt.extlen = 110, .pkt.tflags = TCP_SYN, .pkt.opts = "020405b4", .want = DROP, .reason = FL_DROP_EXT_HEADERS },
};
/* clang-format on */

const struct suite mss_suites[] = { CASES(mss), CASES(ways), CASES(deep), { 0 } };
