// SPDX-License-Identifier: GPL-2.0-only
#include "user/sync/states_record.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "user/lib/be.h"

enum offset {
	AT_SLOT = 0,
	AT_SERIAL = 4,
	AT_ADDR = 8,
	AT_PORT = 40,
	AT_TRANSLATED_ADDR = 44, /* zeros: it is not */
	AT_TRANSLATED_PORT = 76,
	AT_PROTO = 80,
	AT_FLAGS = 81, /* enum fl_state_flags */
	AT_PHASE = 82,
	AT_WSCALE = 84,
	AT_KIND = 85,
	AT_RULE = 86,
	AT_GATEWAY = 90,
	AT_REPLY_GATEWAY = 92,
	AT_NAT = 94,
	AT_MADE = 96, /* ms ago */
	AT_SEEN = 100,
	AT_ENDS = 104,	   /* twice END bytes: seq_lo, seq_hi, max_win, 0 */
	AT_COUNTERS = 128, /* twice COUNTER bytes: packets, bytes */
};

#define END 12
#define COUNTER 16
_Static_assert(AT_COUNTERS == STATES_RECORD_MIN && AT_COUNTERS + 2 * COUNTER == STATES_RECORD, "layout");

/* That a peer may say. Where a packet came in, and that it is a probe's or the router's own, is each node's own affair. */
#define FLAGS (FL_STATE_LOOSE | FL_STATE_STARTER | FL_STATE_COUNTED | FL_STATE_TRANSLATED)

static uint32_t ms_ago(uint32_t then, const struct states_clock *clock)
{
	int32_t ticks = clock->now - then;
	uint64_t ms = ticks > 0 ? (uint64_t)ticks * 1000 / clock->hz : 0;

	return ms < UINT32_MAX ? ms : UINT32_MAX;
}

/* No longer ago than the clock can tell. */
static uint32_t ticks_ago(uint32_t ms, const struct states_clock *clock)
{
	uint64_t ticks = (uint64_t)ms * clock->hz / 1000;

	return clock->now - (ticks < INT32_MAX ? (uint32_t)ticks : INT32_MAX);
}

static bool is_icmp(uint8_t proto)
{
	return proto == FL_PROTO_ICMP || proto == FL_PROTO_ICMPV6;
}

void states_record_put(uint8_t to[STATES_RECORD], const struct states_entry *entry, const struct states_clock *clock)
{
	const struct fl_state *st = &entry->state;

	put_be32(to + AT_SLOT, entry->slot);
	put_be32(to + AT_SERIAL, FL_TAG_SERIAL(entry->tag));
	memcpy(to + AT_ADDR, st->addr, sizeof(st->addr));
	memcpy(to + AT_PORT, st->port, sizeof(st->port));
	memset(to + AT_TRANSLATED_ADDR, 0, sizeof(entry->addr) + sizeof(entry->port));
	if (entry->translated) {
		memcpy(to + AT_TRANSLATED_ADDR, entry->addr, sizeof(entry->addr));
		memcpy(to + AT_TRANSLATED_PORT, entry->port, sizeof(entry->port));
	}
	to[AT_PROTO] = st->proto;
	to[AT_FLAGS] = st->flags & (FLAGS | (is_icmp(st->proto) ? FL_STATE_ERROR : 0));
	to[AT_PHASE] = st->phase[0];
	to[AT_PHASE + 1] = st->phase[1];
	to[AT_WSCALE] = st->wscale;
	to[AT_KIND] = FL_TAG_KIND(entry->tag);
	put_be16(to + AT_RULE, st->rule[0]);
	put_be16(to + AT_RULE + 2, st->rule[1]);
	put_be16(to + AT_GATEWAY, st->gateway);
	put_be16(to + AT_REPLY_GATEWAY, st->reply_gateway);
	put_be16(to + AT_NAT, st->nat);
	put_be32(to + AT_MADE, ms_ago(st->made, clock));
	put_be32(to + AT_SEEN, ms_ago(st->seen, clock));
	for (int i = 0; i < 2; i++) {
		uint8_t *end = to + AT_ENDS + i * END, *counter = to + AT_COUNTERS + i * COUNTER;

		put_be32(end, st->end[i].seq_lo);
		put_be32(end + 4, st->end[i].seq_hi);
		put_be16(end + 8, st->end[i].max_win);
		put_be16(end + 10, 0);
		put_be64(counter, fl_state_packets(st, i));
		put_be64(counter + 8, fl_state_bytes(st, i));
	}
}

/* ---- what a peer says is believed as far as it could be so ---- */

static bool is_inet(const union fl_addr *addr)
{
	return !addr->q[0] && addr->w[2] == htonl(0xffff);
}

/* One that a host has on a network. */
static bool is_host(const union fl_addr *addr)
{
	const uint8_t *b = (const uint8_t *)addr;

	if (is_inet(addr))
		return b[12] && b[12] != 127 && b[12] < 224;
	return b[0] != 0xff && (addr->q[0] || addr->w[2] || ntohl(addr->w[3]) > 1);
}

/* Who asks may ask a group: of one connection both are of a family, and one of them is a host. */
static bool are_ends(const union fl_addr addr[2])
{
	return is_inet(&addr[0]) == is_inet(&addr[1]) && (is_host(&addr[0]) || is_host(&addr[1]));
}

static bool phases_fit(const struct fl_state *st)
{
	for (int i = 0; i < 2; i++) {
		uint8_t phase = st->phase[i];

		if (st->proto == FL_PROTO_TCP
			    ? phase > FL_PHASE_CLOSED
			    : phase != FL_PHASE_NONE && phase != FL_PHASE_SINGLE && phase != FL_PHASE_MULTIPLE)
			return false;
	}
	return true;
}

static bool scale_fits(const struct fl_state *st)
{
	return st->proto == FL_PROTO_TCP || !st->wscale;
}

static bool flags_fit(const struct fl_state *st)
{
	return !(st->flags & ~(FLAGS | (is_icmp(st->proto) ? FL_STATE_ERROR : 0)));
}

static bool news_fit(const struct states_news *news)
{
	const struct fl_state *st = &news->state;
	struct fl_tuple tuple;

	if (!st->proto || (news->kind != FL_KIND_EMBRYONIC && news->kind != FL_KIND_ESTABLISHED))
		return false;
	if (!are_ends(st->addr) ||
	    states_tuple(&tuple, &st->addr[0], &st->addr[1], st->port[0], st->port[1], st->proto))
		return false;
	if (st->flags & FL_STATE_TRANSLATED &&
	    (!are_ends(news->addr) || is_inet(&news->addr[0]) != is_inet(&st->addr[0])))
		return false;
	return phases_fit(st) && scale_fits(st) && flags_fit(st);
}

/* A rule that is not here has passed it all the same. */
static uint16_t rule_here(const struct states_numbers_of *numbers, uint16_t rule)
{
	if (rule == FL_RULE_ID_DEFAULT_IN || rule == FL_RULE_ID_DEFAULT_OUT)
		return rule;
	return numbers->rule[rule % FL_RULE_IDS_MAX];
}

static int gateway_here(const struct states_numbers_of *numbers, uint16_t gateway, uint16_t *here)
{
	*here = numbers->gateway[gateway % FL_GATEWAYS_MAX];
	return gateway && (gateway >= FL_GATEWAYS_MAX || !*here) ? -ENOENT : 0;
}

static int nat_here(const struct states_numbers_of *numbers, uint16_t nat, uint16_t *here)
{
	uint16_t index = nat & ~FL_STATE_NPT;

	if (!(nat & FL_STATE_NPT)) {
		*here = rule_here(numbers, nat);
		return 0;
	}
	if (index >= FL_NPT_MAX || !numbers->npt[index])
		return -ENOENT;
	*here = FL_STATE_NPT | numbers->npt[index];
	return 0;
}

static void get_counters(const uint8_t *from, struct fl_state *st)
{
	for (int i = 0; i < 2; i++) {
		uint64_t packets = get_be64(from + i * COUNTER), bytes = get_be64(from + i * COUNTER + 8);

		st->end[i].packets = packets;
		st->packets_hi |= (packets >> 32 & 15) << 4 * i;
		st->end[i].bytes_lo = bytes;
		st->end[i].bytes_hi = bytes >> 32;
	}
}

static void get_plain(const uint8_t *from, const struct states_clock *clock, struct states_news *news)
{
	struct fl_state *st = &news->state;

	memset(news, 0, sizeof(*news));
	memcpy(st->addr, from + AT_ADDR, sizeof(st->addr));
	memcpy(st->port, from + AT_PORT, sizeof(st->port));
	memcpy(news->addr, from + AT_TRANSLATED_ADDR, sizeof(news->addr));
	memcpy(news->port, from + AT_TRANSLATED_PORT, sizeof(news->port));
	st->proto = from[AT_PROTO];
	st->flags = from[AT_FLAGS];
	st->phase[0] = from[AT_PHASE];
	st->phase[1] = from[AT_PHASE + 1];
	st->wscale = from[AT_WSCALE];
	news->kind = from[AT_KIND];
	st->made = ticks_ago(get_be32(from + AT_MADE), clock);
	st->seen = ticks_ago(get_be32(from + AT_SEEN), clock);
	for (int i = 0; i < 2; i++) {
		const uint8_t *end = from + AT_ENDS + i * END;

		st->end[i].seq_lo = get_be32(end);
		st->end[i].seq_hi = get_be32(end + 4);
		st->end[i].max_win = get_be16(end + 8);
	}
}

int states_record_get(const uint8_t *from, size_t len, const struct states_numbers_of *numbers,
		      const struct states_clock *clock, struct states_id *id, struct states_news *news)
{
	struct fl_state *st = &news->state;
	int err;

	if (len < STATES_RECORD_MIN)
		return -EINVAL;
	id->slot = get_be32(from + AT_SLOT);
	id->serial = get_be32(from + AT_SERIAL);
	get_plain(from, clock, news);
	if (len >= STATES_RECORD)
		get_counters(from + AT_COUNTERS, st);
	else
		st->end[0].packets = st->end[1].packets = 1; /* an older peer does not say */
	if (!news_fit(news))
		return -EINVAL;
	st->rule[0] = rule_here(numbers, get_be16(from + AT_RULE));
	st->rule[1] = rule_here(numbers, get_be16(from + AT_RULE + 2));
	err = nat_here(numbers, get_be16(from + AT_NAT), &st->nat);
	news->mapped = st->nat < FL_RULE_IDS_MAX && numbers->mapped[st->nat];
	err = err ?: gateway_here(numbers, get_be16(from + AT_GATEWAY), &st->gateway);
	return err ?: gateway_here(numbers, get_be16(from + AT_REPLY_GATEWAY), &st->reply_gateway);
}

unsigned int states_record_tuples(const uint8_t *from, struct fl_tuple tuples[2])
{
	union fl_addr addr[2];
	__be16 port[2];

	memset(tuples, 0, sizeof(*tuples));
	memcpy(tuples[0].addr, from + AT_ADDR, sizeof(tuples[0].addr));
	memcpy(tuples[0].port, from + AT_PORT, sizeof(tuples[0].port));
	tuples[0].proto = from[AT_PROTO];
	if (!(from[AT_FLAGS] & FL_STATE_TRANSLATED))
		return 1;
	memcpy(addr, from + AT_TRANSLATED_ADDR, sizeof(addr));
	memcpy(port, from + AT_TRANSLATED_PORT, sizeof(port));
	states_tuple(&tuples[1], &addr[0], &addr[1], port[0], port[1], from[AT_PROTO]);
	return 2;
}
