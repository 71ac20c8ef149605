// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fragments of outer packets. The programs let them up to the kernel, which puts them together; a raw socket of this daemon
 * takes the whole (and keeps the kernel from answering "protocol unreachable", which would reveal the tunnel). It is checked as
 * the programs check (RFC 4213 3.6) and its inner packet comes in by the tunnel's device, where fl_tc_in takes it.
 */

#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "user/datapath/private.h"
#include "user/lib/log.h"

#define RATE 1000     /* packets a second */
#define BATCH 64      /* packets of one call: the event loop has other things to do */
#define HEARTBEAT_S 3 /* the programs let fragments up for so long after the last tick */
#define PACKET_MAX 65535
#define RAW_BUFFER (1 << 20)

struct reassembly {
	int raw, out;
	int pass; /* for inject_frame() */
	uint32_t tokens;
	uint64_t refilled_ms;
	struct fl_endpoint_stats *stats; /* by endpoint; what this daemon has passed on */
	struct fl_drop_stats *drops;	 /* by port and reason */
	uint8_t packet[ETH_HLEN + PACKET_MAX];
};

/* One whole outer packet and what belongs to it. */
struct outer {
	struct iphdr *ip;
	uint8_t *inner;
	size_t inner_len;
	uint32_t ifindex;
	uint32_t index; /* endpoint */
	struct fl_endpoint endpoint;
	uint32_t port; /* whose counters it hits */
};

static void drop(struct reassembly *r, const struct outer *outer, enum fl_drop reason)
{
	struct fl_drop_stats *stats = &r->drops[outer->port * FL_DROP_SLOTS + reason];

	stats->packets++;
	stats->bytes += ntohs(outer->ip->tot_len);
	stats->last_ns = monotonic_ns();
}

static uint32_t lookup(struct datapath *dp, enum dp_map_id id, const void *key)
{
	uint32_t value;

	return map_get(dp, id, key, &value) ? 0 : value;
}

static uint32_t find_endpoint(struct datapath *dp, const struct outer *outer, uint32_t remote)
{
	const struct fl_endpoint_key key = { .set = set_in_force(dp), .local = outer->ip->daddr, .remote = remote };

	return lookup(dp, DP_MAP_EP_IN, &key);
}

/* As inner_source_is_forbidden() of the programs. */
static bool source_is_forbidden(const struct in6_addr *src)
{
	return IN6_IS_ADDR_MULTICAST(src) || IN6_IS_ADDR_LOOPBACK(src) || IN6_IS_ADDR_V4MAPPED(src) ||
	       IN6_IS_ADDR_V4COMPAT(src);
}

/* RFC 6040 4.2: congestion experienced outside is told to the inner transport, or the packet dropped. */
static bool ecn_decapsulate(struct outer *outer)
{
	uint8_t outside = outer->ip->tos & 3, inside = outer->inner[1] >> 4 & 3;

	if (outside == 3 && inside == 0)
		return false;
	if (outside == 3)
		outer->inner[1] |= 3 << 4;
	else if (outside == 1 && inside == 2)
		outer->inner[1] = (outer->inner[1] & ~(3 << 4)) | 1 << 4;
	return true;
}

static enum fl_drop check_inner(struct datapath *dp, struct outer *outer)
{
	struct ip6_hdr ip6;
	size_t len;

	if (outer->inner_len < sizeof(ip6))
		return FL_DROP_TUNNEL_INNER;
	memcpy(&ip6, outer->inner, sizeof(ip6));
	len = ntohs(ip6.ip6_plen) + sizeof(ip6);
	if (ip6.ip6_vfc >> 4 != 6 || len > outer->inner_len)
		return FL_DROP_TUNNEL_INNER;
	outer->inner_len = len; /* the outer may be padded */
	if (source_is_forbidden(&ip6.ip6_src))
		return FL_DROP_TUNNEL_SOURCE;
	if (dp->ports[outer->endpoint.tunnel].value.flags & FL_PORT_BROKER) {
		struct fl_client_route_key key = {
			.prefixlen = 32 + 128,
			.set = set_in_force(dp),
			.tunnel = outer->endpoint.tunnel,
		};

		uint32_t owner;

		memcpy(&key.addr, &ip6.ip6_src, sizeof(key.addr));
		owner = lookup(dp, DP_MAP_CLIENTS, &key);
		if (owner != outer->index && (owner || !IN6_IS_ADDR_LINKLOCAL(&ip6.ip6_src)))
			return FL_DROP_TUNNEL_CLIENT;
	}
	return ecn_decapsulate(outer) ? FL_DROP_NONE : FL_DROP_TUNNEL_ECN;
}

/* As tunnel_receive() of the programs. */
static bool comes_by_underlay(struct datapath *dp, const struct outer *outer)
{
	const struct port *in = port_by_ifindex(dp->ports, outer->ifindex);
	struct fl_endpoint_key key = { .set = set_in_force(dp),
				       .local = outer->ip->daddr,
				       .remote = FL_EP_IN_MEMBER(outer->port) };

	if (!outer->endpoint.group)
		return outer->ifindex == outer->endpoint.underlay_ifindex;
	key.port = in ? in->number : 0;
	return in && lookup(dp, DP_MAP_EP_IN, &key);
}

/* -1: not a tunnel's, nobody's business here. */
static int check_outer(struct datapath *dp, struct outer *outer)
{
	uint32_t local = FL_EP_IN_TUNNEL(find_endpoint(dp, outer, 0));

	if (!local || local >= FL_PORTS_MAX)
		return -1;
	outer->port = local;
	outer->index = FL_EP_IN_ENDPOINT(find_endpoint(dp, outer, outer->ip->saddr));
	if (!outer->index)
		return FL_DROP_TUNNEL_STRANGER;
	if (map_get(dp, DP_MAP_EP, &outer->index, &outer->endpoint) || outer->endpoint.tunnel >= FL_PORTS_MAX)
		return FL_DROP_INTERNAL;
	outer->port = outer->endpoint.tunnel;
	if (!comes_by_underlay(dp, outer))
		return FL_DROP_TUNNEL_UNDERLAY;
	return check_inner(dp, outer);
}

/* Out of the hidden end, and so into the tunnel's device. A veth takes no packet over its MTU. */
static int inject_veth(const struct reassembly *r, const struct port *port, void *frame, size_t len)
{
	struct sockaddr_ll to = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_IPV6),
		.sll_ifindex = port->peer,
		.sll_halen = ETH_ALEN,
	};

	memcpy(to.sll_addr, port->value.mac, ETH_ALEN);
	return sendto(r->out, frame, len, 0, (struct sockaddr *)&to, sizeof(to)) < 0 ? -errno : 0;
}

/* The frame's header is put before the inner packet, where the outer one was. */
static int inject(struct datapath *dp, struct reassembly *r, const struct outer *outer)
{
	const struct port *port = &dp->ports[outer->endpoint.tunnel];
	struct ether_header *eth = (struct ether_header *)(outer->inner - ETH_HLEN);
	size_t len = outer->inner_len + ETH_HLEN;
	bool big = outer->inner_len > port->value.mtu;
	int err;

	memset(eth, 0, sizeof(*eth));
	memcpy(eth->ether_dhost, port->value.mac, ETH_ALEN);
	eth->ether_type = htons(ETH_P_IPV6);
	/* a tunnel must take what is bigger than it sends itself (RFC 4213 3.6: 1500 bytes at least) */
	err = big ? inject_frame(r->pass, port->value.ifindex, eth, len) : inject_veth(r, port, eth, len);
	if (err)
		return err;
	r->stats[outer->index].rx_packets++;
	r->stats[outer->index].rx_bytes += outer->inner_len;
	return 0;
}

static bool rate_allows(struct reassembly *r)
{
	uint64_t now = monotonic_ms(), passed = now - r->refilled_ms;

	if (passed * RATE / 1000) {
		r->tokens = r->tokens + passed * RATE / 1000 > RATE ? RATE : r->tokens + passed * RATE / 1000;
		r->refilled_ms = now;
	}
	if (!r->tokens)
		return false;
	r->tokens--;
	return true;
}

static void take(struct datapath *dp, struct reassembly *r, uint8_t *packet, size_t len, uint32_t ifindex)
{
	struct outer outer = { .ip = (struct iphdr *)packet, .ifindex = ifindex };
	size_t header;
	int reason;

	if (len < sizeof(*outer.ip) || outer.ip->version != 4)
		return;
	header = outer.ip->ihl * 4;
	if (header < sizeof(*outer.ip) || header > len)
		return;
	outer.inner = packet + header;
	outer.inner_len = len - header;
	reason = check_outer(dp, &outer);
	if (reason == FL_DROP_NONE && (!rate_allows(r) || inject(dp, r, &outer)))
		reason = FL_DROP_TUNNEL_FRAGMENT;
	if (reason > 0)
		drop(r, &outer, reason);
}

void datapath_reassembled(struct datapath *dp)
{
	struct reassembly *r = dp->reassembly;

	for (int i = 0; r && i < BATCH; i++) {
		union {
			struct cmsghdr header;
			char space[CMSG_SPACE(sizeof(struct in_pktinfo))];
		} control;
		struct iovec iov = { r->packet + ETH_HLEN, PACKET_MAX };
		struct msghdr msg = {
			.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
		};
		ssize_t len = recvmsg(r->raw, &msg, MSG_DONTWAIT);
		uint32_t ifindex = 0;

		if (len < 0)
			return;
		for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c))
			if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
				struct in_pktinfo info;

				memcpy(&info, CMSG_DATA(c), sizeof(info));
				ifindex = info.ipi_ifindex;
			}
		take(dp, r, r->packet + ETH_HLEN, len, ifindex);
	}
}

int datapath_raw_fd(const struct datapath *dp)
{
	return dp->reassembly ? dp->reassembly->raw : -1;
}

void reassembly_close(struct datapath *dp)
{
	struct reassembly *r = dp->reassembly;

	if (!r)
		return;
	if (r->raw >= 0)
		close(r->raw);
	if (r->out >= 0)
		close(r->out);
	if (r->pass >= 0)
		close(r->pass);
	free(r->stats);
	free(r->drops);
	free(r);
	dp->reassembly = NULL;
}

static int reassembly_open(struct datapath *dp)
{
	struct reassembly *r = calloc(1, sizeof(*r));
	int one = 1, size = RAW_BUFFER;

	if (!r)
		return -ENOMEM;
	dp->reassembly = r;
	r->pass = -1;
	r->stats = calloc(FL_ENDPOINTS_MAX, sizeof(*r->stats));
	r->drops = calloc((size_t)FL_PORTS_MAX * FL_DROP_SLOTS, sizeof(*r->drops));
	r->refilled_ms = monotonic_ms();
	r->tokens = RATE;
	r->raw = socket(AF_INET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_IPV6);
	/* protocol 0: sends, but hears nothing */
	r->out = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (!r->stats || !r->drops || r->raw < 0 || r->out < 0 ||
	    setsockopt(r->raw, IPPROTO_IP, IP_PKTINFO, &one, sizeof(one))) {
		int err = errno;

		reassembly_close(dp);
		return log_ret(err ? err : ENOMEM, "no socket for outer fragments: they are dropped");
	}
	r->pass = inject_open();
	setsockopt(r->raw, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	return 0;
}

/* The socket is there while there are tunnels; fl_control says so for a few seconds at a time. The caller writes it. */
void reassembly_update(struct datapath *dp)
{
	bool wanted = dp->config && dp->config->n_tunnels;

	if (!wanted && dp->reassembly)
		reassembly_close(dp);
	else if (wanted && !dp->reassembly && reassembly_open(dp))
		wanted = false;
	dp->control.reassembly_until_ns = wanted ? monotonic_ns() + HEARTBEAT_S * 1000000000ULL : 0;
}

void reassembly_add_stats(const struct datapath *dp, uint32_t endpoint, struct fl_endpoint_stats *stats)
{
	if (!dp->reassembly || endpoint >= FL_ENDPOINTS_MAX)
		return;
	stats->rx_packets += dp->reassembly->stats[endpoint].rx_packets;
	stats->rx_bytes += dp->reassembly->stats[endpoint].rx_bytes;
}

void reassembly_add_drops(const struct datapath *dp, uint32_t port, uint32_t reason, struct fl_drop_stats *stats)
{
	const struct fl_drop_stats *own;

	if (!dp->reassembly)
		return;
	own = &dp->reassembly->drops[port * FL_DROP_SLOTS + reason];
	stats->packets += own->packets;
	stats->bytes += own->bytes;
	if (own->last_ns > stats->last_ns)
		stats->last_ns = own->last_ns;
}
