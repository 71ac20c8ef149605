// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a test run does not show: by which device, and at tc with which Ethernet header, a redirected packet really leaves.
 * The programs on LAN's ingress, frames sent and caught at the other ends of the veth pairs.
 */

#include <arpa/inet.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "selftests/prog/check.h"
#include "selftests/prog/hosts.h"

#include "prelude.skel.h"
#include "tc.skel.h"
#include "xdp.skel.h"

#define ETH_ALL 3
#define TAG_LEN 4
#define WAIT_MS 2000
#define ROUNDS 3 /* the first finds the flows new, the others in the cache */

static int open_peer(enum port port)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_ALL) };
	char name[IFNAMSIZ];
	int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_ALL)), on = 1;

	snprintf(name, sizeof(name), "peer%d", port);
	to.sll_ifindex = if_nametoindex(name);
	if (fd >= 0 && (bind(fd, (struct sockaddr *)&to, sizeof(to)) ||
			setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &on, sizeof(on)))) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* The next frame; a tag, which the kernel has taken off, is put back. */
static bool receive(int fd, struct frame *f, struct sockaddr_ll *from)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(struct tpacket_auxdata))];
	} control;
	struct iovec data = { f->data, FRAME_MAX - TAG_LEN };
	struct msghdr msg = { .msg_name = from,
			      .msg_namelen = sizeof(*from),
			      .msg_iov = &data,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(fd, &msg, 0);
	struct tpacket_auxdata aux = {};

	if (n < ETH_LEN)
		return false;
	f->len = n;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c))
		if (c->cmsg_level == SOL_PACKET && c->cmsg_type == PACKET_AUXDATA)
			memcpy(&aux, CMSG_DATA(c), sizeof(aux));
	if (aux.tp_status & TP_STATUS_VLAN_VALID) {
		memmove(f->data + 12 + TAG_LEN, f->data + 12, f->len - 12);
		put16(f->data + 12, aux.tp_vlan_tpid);
		put16(f->data + 14, aux.tp_vlan_tci);
		f->len += TAG_LEN;
	}
	return true;
}

/* The next frame that comes in for the neighbours there; others, as of multicast groups, are the kernel's. */
static bool catch_frame(int fd, enum port port, struct frame *f)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct sockaddr_ll from;
	__u8 mac[6];

	port_mac(port, true, mac);
	while (poll(&p, 1, WAIT_MS) == 1)
		if (receive(fd, f, &from) && from.sll_pkttype != PACKET_OUTGOING && !memcmp(f->data, mac, 6))
			return true;
	return false;
}

static const struct test_case flows[] = {
	{ "to WAN", .pkt.src = LAN_HOST, .pkt.dst = NET_HOST, .out = WAN },
	{ "to THIN", .pkt.src = LAN_HOST, .pkt.dst = "2001:db8:34::10", .out = THIN },
	{ "by a link-local gateway", .pkt.src = LAN_HOST, .pkt.dst = LL_NET_HOST, .out = WAN },
	{ "to VLAN", .pkt.src = LAN_HOST, .pkt.dst = VLAN_HOST, .out = VLAN },
	{ "with a priority tag", .pkt.vid = NIL, .pkt.src = LAN_HOST, .pkt.dst = NET_HOST, .out = WAN },
	{ "IPv4", .pkt.src = LAN_HOST4, .pkt.dst = NET_HOST4, .out = WAN },
	{ "translated", .pkt.src = "fd01:203:405:1::1234", .pkt.dst = NPT_HOST, .out = NPT,
	  .change.src = "2001:db8:1:d550::1234" },
	{ "encapsulated", .pkt.src = LAN_HOST, .pkt.dst = HE1_HOST, .out = WAN,
	  .change = { .osrc = LOCAL4, .odst = HE1_REMOTE, .ottl = 64, .ofrag = IPV4_DF, .oid = NIL } },
};

static void send_one(struct env *env, const int *peers, const struct test_case *c, bool by_xdp, int round)
{
	enum port at = by_xdp ? port_parent(c->out) : c->out;
	struct spec sent = spec_merge(&c->pkt, &c->change);
	struct frame in, expected, is;
	__u8 dmac[6], smac[6];

	port_mac(LAN, false, dmac);
	port_mac(LAN, true, smac);
	frame_build(&in, &c->pkt, dmac, smac);
	sent.hops = 63;
	sent.vid = by_xdp ? port_vid(c->out) : 0;
	port_mac(c->out, true, dmac);
	port_mac(c->out, false, smac);
	frame_build(&expected, &sent, dmac, smac);
	if (send(peers[LAN], in.data, in.len, 0) != (ssize_t)in.len)
		fail(env, "  %s: could not be sent: %s\n", c->name, strerror(errno));
	else if (!catch_frame(peers[at], c->out, &is))
		fail(env, "  %s, round %d: nothing leaves there\n", c->name, round);
	else if (is.len != expected.len || memcmp(is.data, expected.data, is.len))
		fail(env, "  %s, round %d: another frame leaves there\n", c->name, round);
}

/*
 * Every flow by turns, so that what one leaves behind is there when the next comes. XDP tags what leaves by VLAN and sends it by the
 * parent; at tc that is left to VLAN's device.
 */
static void send_all(struct env *env, const int *peers, bool by_xdp)
{
	tables_new_generation(env);
	for (int round = 0; round < ROUNDS; round++)
		for (size_t i = 0; i < sizeof(flows) / sizeof(*flows) && !*env->why; i++)
			send_one(env, peers, &flows[i], by_xdp, round);
}

static void open_peers(int *peers)
{
	for (enum port p = LAN; p < DEVICES; p++)
		peers[p] = open_peer(p);
}

static void close_peers(const int *peers)
{
	for (enum port p = LAN; p < DEVICES; p++)
		if (peers[p] >= 0)
			close(peers[p]);
}

static void tc_on_the_wire(struct env *env)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = env->ifindex[LAN], .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = bpf_program__fd(env->tc->progs.fl_tc_in));
	int peers[DEVICES];

	open_peers(peers);
	if (bpf_tc_hook_create(&hook) || bpf_tc_attach(&hook, &opts))
		fail(env, "  the program can't be attached\n");
	else
		send_all(env, peers, false);
	hook.attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS;
	if (bpf_tc_hook_destroy(&hook))
		fail(env, "  the program can't be detached\n");
	close_peers(peers);
}

static void xdp_on_the_wire(struct env *env, const struct bpf_program *prog, __u32 flags)
{
	int peers[DEVICES], pass = bpf_program__fd(env->prelude->progs.pass), r = 0;
	char name[IFNAMSIZ];

	open_peers(peers);
	for (enum port p = LAN; p < DEVICES; p++) {
		snprintf(name, sizeof(name), "peer%d",
			 p); /* a veth takes frames of native XDP where its other end has a program */
		r |= bpf_xdp_attach(if_nametoindex(name), pass, 0, NULL);
	}
	r |= bpf_xdp_detach(env->ifindex[LAN], 0, NULL);
	if (r || bpf_xdp_attach(env->ifindex[LAN], bpf_program__fd(prog), flags, NULL))
		fail(env, "  the programs can't be attached\n");
	else
		send_all(env, peers, true);
	if (bpf_xdp_detach(env->ifindex[LAN], flags, NULL) || bpf_xdp_attach(env->ifindex[LAN], pass, 0, NULL))
		fail(env, "  the program can't be detached\n");
	close_peers(peers);
}

static void native_on_the_wire(struct env *env)
{
	xdp_on_the_wire(env, env->xdp->progs.fl_xdp, 0);
}

static void generic_on_the_wire(struct env *env)
{
	xdp_on_the_wire(env, env->xdp->progs.fl_xdp_generic, XDP_FLAGS_SKB_MODE);
}

const struct procedure wire_procedures[] = {
	{ "wire/tc", tc_on_the_wire },
	{ "wire/xdp", native_on_the_wire },
	{ "wire/generic-xdp", generic_on_the_wire },
	{ 0 },
};
