// SPDX-License-Identifier: GPL-2.0-only
/*
 * TCP resets to both ends of a connection that is ended, each as if from the other end, with the sequence numbers of its state. They go out by
 * raw sockets and by the kernel's routes, and pass the programs like what the router itself sends: the state, which is still there, lets
 * them pass and translates them.
 */

#include <errno.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "user/datapath/private.h"
#include "user/policy/states_peer.h"

struct resets {
	const struct states *table;
	int fd4, fd6;
	uint64_t sent;
};

/* One segment to be sent. Addresses as they stand in the packet. */
struct reset {
	union fl_addr src, dst;
	__be16 sport, dport;
	uint32_t seq, ack;
	bool has_ack;
};

int resets_open(struct resets **out, struct datapath *dp, char **why)
{
	struct resets *resets = calloc(1, sizeof(*resets));

	if (!resets)
		return fail(why, ENOMEM, "out of memory");
	resets->table = &dp->states;
	resets->fd4 = socket(AF_INET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_RAW);
	resets->fd6 = socket(AF_INET6, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_RAW);
	*out = resets;
	if (resets->fd4 < 0 && resets->fd6 < 0)
		return fail(why, errno, "resets can't be sent: %s", strerror(errno));
	return 0;
}

void resets_close(struct resets *resets)
{
	if (!resets)
		return;
	if (resets->fd4 >= 0)
		close(resets->fd4);
	if (resets->fd6 >= 0)
		close(resets->fd6);
	free(resets);
}

uint64_t resets_sent(const struct resets *resets)
{
	return resets->sent;
}

/* ---- packets ---- */

static uint32_t sum(uint32_t sum, const void *data, size_t len)
{
	const uint8_t *b = data;

	for (size_t i = 0; i + 1 < len; i += 2)
		sum += b[i] << 8 | b[i + 1];
	return sum;
}

static uint16_t sum_end(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return htons(~sum);
}

static void segment_fill(struct tcphdr *tcp, const struct reset *r)
{
	*tcp = (struct tcphdr){
		.source = r->sport,
		.dest = r->dport,
		.seq = htonl(r->seq),
		.ack_seq = r->has_ack ? htonl(r->ack) : 0,
		.doff = sizeof(*tcp) / 4,
		.rst = 1,
		.ack = r->has_ack,
	};
}

static bool send4(struct resets *resets, const struct reset *r)
{
	struct {
		struct iphdr ip;
		struct tcphdr tcp;
	} packet = { .ip = { .version = 4,
			     .ihl = 5,
			     .tot_len = htons(sizeof(packet)),
			     .frag_off = htons(IP_DF),
			     .ttl = 64,
			     .protocol = IPPROTO_TCP,
			     .saddr = r->src.w[3],
			     .daddr = r->dst.w[3] } };
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = r->dst.w[3] };
	uint32_t pseudo = sum(IPPROTO_TCP + sizeof(packet.tcp), &packet.ip.saddr, 8);

	segment_fill(&packet.tcp, r);
	packet.tcp.check = sum_end(sum(pseudo, &packet.tcp, sizeof(packet.tcp)));
	return sendto(resets->fd4, &packet, sizeof(packet), 0, (struct sockaddr *)&to, sizeof(to)) > 0;
}

static bool send6(struct resets *resets, const struct reset *r)
{
	struct {
		struct ip6_hdr ip;
		struct tcphdr tcp;
	} packet = { .ip = { .ip6_flow = htonl(6u << 28),
			     .ip6_plen = htons(sizeof(packet.tcp)),
			     .ip6_nxt = IPPROTO_TCP,
			     .ip6_hlim = 64 } };
	struct sockaddr_in6 to = { .sin6_family = AF_INET6 };
	uint32_t pseudo;

	memcpy(&packet.ip.ip6_src, r->src.b, 16);
	memcpy(&packet.ip.ip6_dst, r->dst.b, 16);
	memcpy(&to.sin6_addr, r->dst.b, 16);
	pseudo = sum(IPPROTO_TCP + sizeof(packet.tcp), &packet.ip.ip6_src, 32);
	segment_fill(&packet.tcp, r);
	packet.tcp.check = sum_end(sum(pseudo, &packet.tcp, sizeof(packet.tcp)));
	return sendto(resets->fd6, &packet, sizeof(packet), 0, (struct sockaddr *)&to, sizeof(to)) > 0;
}

/* ---- what it says ---- */

/* The end has sent its SYN, and nothing has come back. */
static bool waits_for_answer(const struct fl_state *st, unsigned int end)
{
	return st->phase[end] == FL_PHASE_SYN_SENT && st->phase[!end] == FL_PHASE_NONE;
}

/*
 * The starter of a translated connection sees its addresses as the state has them, the other end as the twin has them. What is sent to an
 * end whose own address is translated is sent as it shall arrive, and passes as it is (bpf/lib/policy_own.h: own_is_forged()): the address that
 * it would be translated from may be the router's. The rest is sent as the other end would, and the programs translate it. To itself the
 * router sends by lo, where there are none.
 */
static bool sends_as_twin(const struct states_entry *e, unsigned int to)
{
	const struct fl_state *st = &e->state;
	bool own = memcmp(&e->addr[to], &st->addr[to], sizeof(e->addr[to])) != 0 || e->port[to] != st->port[to];
	bool starter = to == states_starter(st);

	if (starter && st->flags & FL_STATE_OWN)
		return false;
	return own ? !starter : starter;
}

/* A host takes only the number that is next. What has passed since the entry was read, amid traffic, is in the table. */
static struct states_entry entry_now(const struct resets *resets, const struct states_entry *e)
{
	struct states_entry now;

	if (!states_at(resets->table, e->slot, &now) || FL_TAG_SERIAL(now.tag) != FL_TAG_SERIAL(e->tag))
		return *e;
	memcpy(now.state.phase, e->state.phase, sizeof(now.state.phase)); /* of before the reset to the other end */
	return now;
}

static bool send_to(struct resets *resets, const struct states_entry *entry, unsigned int to)
{
	const struct states_entry now = entry_now(resets, entry), *e = &now;
	const struct fl_state *st = &e->state;
	bool twin = sends_as_twin(e, to), waits = waits_for_answer(st, to);
	const union fl_addr *addr = twin ? e->addr : st->addr;
	const __be16 *port = twin ? e->port : st->port;
	const struct reset r = {
		.src = addr[!to],
		.dst = addr[to],
		.sport = port[!to],
		.dport = port[to],
		.seq = waits ? 0 : st->end[!to].seq_lo,
		/* behind a SYN: it may have been sent once or more often, seq_hi is the same (bpf/lib/tcp_track.h: tcp_begin()) */
		.ack = waits ? st->end[to].seq_hi - 1 : st->end[to].seq_lo,
		.has_ack = true,
	};
	bool inet = addr[0].q[0] == 0 && addr[0].w[2] == htonl(0xffff);

	return inet ? send4(resets, &r) : send6(resets, &r);
}

/* Without windows nobody has counted: no host would take it. */
bool can_be_reset(const struct fl_state *st)
{
	return st->proto == IPPROTO_TCP && !(st->flags & FL_STATE_LOOSE) && st->phase[0] != FL_PHASE_CLOSED;
}

void resets_send_starter(struct resets *resets, const struct states_entry *e)
{
	if (can_be_reset(&e->state))
		send_to(resets, e, states_starter(&e->state));
}

void resets_send(struct resets *resets, const struct states_entry *e)
{
	bool both;

	if (!can_be_reset(&e->state))
		return;
	both = send_to(resets, e, 0);
	both &= send_to(resets, e, 1);
	resets->sent += both;
}
