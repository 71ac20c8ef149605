// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a test run does not show: by which device, and at tc with which Ethernet header, a redirected packet really leaves.
 * The programs on LAN's ingress, frames sent and caught at the other ends of the veth pairs.
 */

#include <arpa/inet.h>
#include <bpf/libbpf.h>
#include <errno.h>
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
#define WAIT_MS 2000
#define ROUNDS 3 /* the first finds the flows new, the others in the cache */

static int open_peer(enum port port)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_ALL) };
	char name[IFNAMSIZ];
	int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_ALL));

	snprintf(name, sizeof(name), "peer%d", port);
	to.sll_ifindex = if_nametoindex(name);
	if (fd >= 0 && bind(fd, (struct sockaddr *)&to, sizeof(to))) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* The next frame that comes in for the neighbours there; others, as of multicast groups, are the kernel's. */
static bool catch_frame(int fd, enum port port, struct frame *f)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct sockaddr_ll from;
	socklen_t len;
	__u8 mac[6];
	ssize_t n;

	port_mac(port, true, mac);
	while (poll(&p, 1, WAIT_MS) == 1) {
		len = sizeof(from);
		n = recvfrom(fd, f->data, FRAME_MAX, 0, (struct sockaddr *)&from, &len);
		if (n < ETH_LEN || from.sll_pkttype == PACKET_OUTGOING || memcmp(f->data, mac, 6))
			continue;
		f->len = n;
		return true;
	}
	return false;
}

static const struct test_case flows[] = {
	{ "to WAN", .pkt.src = LAN_HOST, .pkt.dst = NET_HOST, .out = WAN },
	{ "to THIN", .pkt.src = LAN_HOST, .pkt.dst = "2001:db8:34::10", .out = THIN },
	{ "by a link-local gateway", .pkt.src = LAN_HOST, .pkt.dst = LL_NET_HOST, .out = WAN },
	{ "to VLAN", .pkt.src = LAN_HOST, .pkt.dst = VLAN_HOST, .out = VLAN },
	{ "IPv4", .pkt.src = LAN_HOST4, .pkt.dst = NET_HOST4, .out = WAN },
	{ "translated", .pkt.src = "fd01:203:405:1::1234", .pkt.dst = NPT_HOST, .out = NPT,
	  .change.src = "2001:db8:1:d550::1234" },
	{ "encapsulated", .pkt.src = LAN_HOST, .pkt.dst = HE1_HOST, .out = WAN,
	  .change = { .osrc = LOCAL4, .odst = HE1_REMOTE, .ottl = 64, .ofrag = IPV4_DF, .oid = NIL } },
};

static void send_one(struct env *env, const int *peers, const struct test_case *c, int round)
{
	struct spec sent = spec_merge(&c->pkt, &c->change);
	struct frame in, expected, is;
	__u8 dmac[6], smac[6];

	port_mac(LAN, false, dmac);
	port_mac(LAN, true, smac);
	frame_build(&in, &c->pkt, dmac, smac);
	sent.hops = 63;
	port_mac(c->out, true, dmac);
	port_mac(c->out, false, smac);
	frame_build(&expected, &sent, dmac, smac);
	if (send(peers[LAN], in.data, in.len, 0) != (ssize_t)in.len)
		fail(env, "  %s: could not be sent: %s\n", c->name, strerror(errno));
	else if (!catch_frame(peers[c->out], c->out, &is))
		fail(env, "  %s, round %d: nothing leaves there\n", c->name, round);
	else if (is.len != expected.len || memcmp(is.data, expected.data, is.len))
		fail(env, "  %s, round %d: another frame leaves there\n", c->name, round);
}

/* Every flow by turns, so that what one leaves behind is there when the next comes. */
static void send_all(struct env *env, const int *peers, bool with_tags)
{
	tables_new_generation(env);
	for (int round = 0; round < ROUNDS; round++)
		for (size_t i = 0; i < sizeof(flows) / sizeof(*flows) && !*env->why; i++)
			if (with_tags || !port_vid(flows[i].out))
				send_one(env, peers, &flows[i], round);
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
		send_all(env, peers, true);
	hook.attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS;
	if (bpf_tc_hook_destroy(&hook))
		fail(env, "  the program can't be detached\n");
	close_peers(peers);
}

/* A veth device takes frames from XDP where its other end has a program too. Tags the receiver would not see. */
static void xdp_on_the_wire(struct env *env)
{
	int peers[DEVICES], pass = bpf_program__fd(env->prelude->progs.pass), r = 0;
	char name[IFNAMSIZ];

	open_peers(peers);
	for (enum port p = LAN; p < DEVICES; p++) {
		snprintf(name, sizeof(name), "peer%d", p);
		r |= bpf_xdp_attach(if_nametoindex(name), pass, 0, NULL);
	}
	if (r || bpf_xdp_attach(env->ifindex[LAN], bpf_program__fd(env->xdp->progs.fl_xdp), 0, NULL))
		fail(env, "  the programs can't be attached\n");
	else
		send_all(env, peers, false);
	if (bpf_xdp_attach(env->ifindex[LAN], pass, 0, NULL))
		fail(env, "  the program can't be detached\n");
	close_peers(peers);
}

const struct procedure wire_procedures[] = {
	{ "wire/tc", tc_on_the_wire },
	{ "wire/xdp", xdp_on_the_wire },
	{ 0 },
};
