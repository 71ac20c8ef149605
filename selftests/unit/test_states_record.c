// SPDX-License-Identifier: GPL-2.0-only
/* A state on its way between nodes. */
#include <errno.h>

#include "selftests/unit/state_tables.h"
#include "user/sync/states_record.h"

static struct states_numbers_of numbers;
static const struct states_clock clock_here = { .now = 5000, .hz = 250 };
static const struct states_clock clock_there = { .now = 4000000000u, .hz = 1000 };

static void names_begin(void)
{
	memset(&numbers, 0, sizeof(numbers));
	numbers.rule[7] = 70;
	numbers.rule[9] = 90;
	numbers.gateway[2] = 20;
	numbers.npt[3] = 30;
}

TestSuite(states_record, .init = names_begin);

static union fl_addr inet(uint32_t number)
{
	union fl_addr a = { .w = { 0, 0, htonl(0xffff), htonl(number) } };

	return a;
}

/* TCP from 10.0.0.1 to 192.0.2.1, as from 203.0.113.5. */
static struct states_entry tcp(void)
{
	struct states_entry e = {
		.slot = 123456,
		.tag = FL_TAG(1, 0xabcdef, FL_KIND_ESTABLISHED),
		.translated = true,
		.addr = { inet(0xcb007105), inet(0xc0000201) },
		.port = { htons(40000), htons(443) },
		.state = { .addr = { inet(0x0a000001), inet(0xc0000201) },
			   .port = { htons(1025), htons(443) },
			   .proto = FL_PROTO_TCP,
			   .flags = FL_STATE_LOOSE | FL_STATE_COUNTED | FL_STATE_TRANSLATED | FL_STATE_PEER |
				    FL_STATE_MOVED,
			   .phase = { FL_PHASE_ESTABLISHED, FL_PHASE_CLOSING },
			   .wscale = 0x7a,
			   .packets_hi = 0x21,
			   .made = clock_there.now - 90000,
			   .seen = clock_there.now - 4,
			   .rule = { 7, FL_RULE_ID_DEFAULT_OUT },
			   .gateway = 2,
			   .reply_gateway = 2,
			   .nat = 9,
			   .end = { { .seq_lo = 0xfffffff0,
				      .seq_hi = 5,
				      .max_win = 65535,
				      .packets = 3,
				      .bytes_lo = 4,
				      .bytes_hi = 5,
				      .from = 6,
				      .nexthop = 7,
				      .endpoint = 8,
				      .mtu = 9 },
				    { .seq_lo = 1,
				      .seq_hi = 2,
				      .max_win = 3,
				      .packets = 0xffffffff,
				      .bytes_lo = 0xffffffff } } },
	};

	return e;
}

static int get(const uint8_t *record, size_t len, struct states_id *id, struct states_news *news)
{
	return states_record_get(record, len, &numbers, &clock_here, id, news);
}

Test(states_record, there_and_back)
{
	struct states_entry e = tcp();
	uint8_t record[STATES_RECORD];
	struct states_news news;
	struct states_id id;

	states_record_put(record, &e, &clock_there);
	cr_assert_eq(get(record, sizeof(record), &id, &news), 0);
	cr_expect_eq(id.slot, 123456);
	cr_expect_eq(id.serial, 0xabcdef);
	cr_expect_eq(news.kind, FL_KIND_ESTABLISHED);
	cr_expect_arr_eq(news.state.addr, e.state.addr, sizeof(e.state.addr));
	cr_expect_arr_eq(news.state.port, e.state.port, sizeof(e.state.port));
	cr_expect_arr_eq(news.addr, e.addr, sizeof(e.addr));
	cr_expect_arr_eq(news.port, e.port, sizeof(e.port));
	cr_expect_eq(news.state.flags, FL_STATE_LOOSE | FL_STATE_COUNTED | FL_STATE_TRANSLATED);
	cr_expect_arr_eq(news.state.phase, e.state.phase, sizeof(e.state.phase));
	cr_expect_eq(news.state.wscale, 0x7a);
	cr_expect_eq(news.state.made, (uint32_t)(5000 - 22500));
	cr_expect_eq(news.state.seen, 4999);
	cr_expect_eq(news.state.rule[0], 70);
	cr_expect_eq(news.state.rule[1], FL_RULE_ID_DEFAULT_OUT);
	cr_expect_eq(news.state.gateway, 20);
	cr_expect_eq(news.state.reply_gateway, 20);
	cr_expect_eq(news.state.nat, 90);
	for (int i = 0; i < 2; i++) {
		cr_expect_eq(news.state.end[i].seq_lo, e.state.end[i].seq_lo);
		cr_expect_eq(news.state.end[i].seq_hi, e.state.end[i].seq_hi);
		cr_expect_eq(news.state.end[i].max_win, e.state.end[i].max_win);
		cr_expect_eq(fl_state_packets(&news.state, i), fl_state_packets(&e.state, i));
		cr_expect_eq(fl_state_bytes(&news.state, i), fl_state_bytes(&e.state, i));
		/* the peer's way is its own */
		cr_expect_eq(news.state.end[i].from | news.state.end[i].nexthop | news.state.end[i].endpoint |
				     news.state.end[i].mtu,
			     0);
	}
}

/* An older version's, and a newer one's. */
Test(states_record, sizes)
{
	uint8_t record[STATES_RECORD + 40] = {};
	struct states_entry e = tcp();
	struct states_news news;
	struct states_id id;

	states_record_put(record, &e, &clock_there);
	cr_expect_eq(get(record, STATES_RECORD_MIN - 1, &id, &news), -EINVAL);
	cr_expect_eq(get(record, STATES_RECORD_MIN, &id, &news), 0);
	cr_expect_eq(fl_state_packets(&news.state, 0), 1);
	cr_expect_eq(fl_state_packets(&news.state, 1), 1);
	cr_expect_eq(get(record, sizeof(record), &id, &news), 0);
	cr_expect_eq(fl_state_packets(&news.state, 0), fl_state_packets(&e.state, 0));
}

/* One byte or two that make it none. */
Test(states_record, wrong)
{
	static const struct {
		const char *what;
		unsigned int at, len;
		uint8_t bytes[4];
		int err;
	} wrong[] = {
		{ "no protocol", 80, 1, { 0 }, -EINVAL },
		{ "a probe", 81, 1, { FL_STATE_PROBE }, -EINVAL },
		{ "the router's own", 81, 1, { FL_STATE_OWN }, -EINVAL },
		{ "an error of TCP's", 81, 1, { FL_STATE_ERROR }, -EINVAL },
		{ "a phase of UDP's", 82, 1, { FL_PHASE_SINGLE }, -EINVAL },
		{ "a phase that is none", 83, 1, { 200 }, -EINVAL },
		{ "a twin by itself", 85, 1, { FL_KIND_TWIN }, -EINVAL },
		{ "what is being made", 85, 1, { FL_KIND_CLAIMED }, -EINVAL },
		{ "ends in the wrong order", 20, 4, { 224, 0, 2, 1 }, -EINVAL },
		{ "two families", 18, 2, { 0, 0 }, -EINVAL },
		{ "translated to two families", 54, 2, { 0, 0 }, -EINVAL },
		{ "a gateway that is not here", 90, 2, { 0, 5 }, -ENOENT },
		{ "a gateway that is none", 90, 2, { 255, 255 }, -ENOENT },
		{ "answers by one that is not here", 92, 2, { 0, 1 }, -ENOENT },
		{ "a prefix translation that is not here", 94, 2, { 0x80, 4 }, -ENOENT },
		{ "a prefix translation that is none", 94, 2, { 0xff, 0xff }, -ENOENT },
	};
	struct states_entry e = tcp();
	uint8_t record[STATES_RECORD];
	struct states_news news;
	struct states_id id;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		states_record_put(record, &e, &clock_there);
		memcpy(record + wrong[i].at, wrong[i].bytes, wrong[i].len);
		cr_expect_eq(get(record, sizeof(record), &id, &news), wrong[i].err, "%s", wrong[i].what);
	}
	/* rules that are not here have passed it all the same; a translation that is here */
	states_record_put(record, &e, &clock_there);
	memcpy(record + 86, (uint8_t[]){ 0, 8, 0xff, 0xff }, 4);
	memcpy(record + 94, (uint8_t[]){ 0x80, 3 }, 2);
	cr_expect_eq(get(record, sizeof(record), &id, &news), 0);
	cr_expect_eq(news.state.rule[0], 0);
	cr_expect_eq(news.state.nat, FL_STATE_NPT | 30);
}

/* Whatever comes out can be taken. */
Test(states_record, any_bytes)
{
	struct states *t = table_new(64);
	uint8_t record[STATES_RECORD];
	uint64_t rng = 1, tag;
	uint32_t slot, taken = 0;

	for (int i = 0; i < 100000; i++) {
		struct states_entry e = tcp();
		struct states_news news;
		struct states_id id;

		states_record_put(record, &e, &clock_there);
		for (int n = 0; n < 4; n++) {
			rng = rng * 6364136223846793005ULL + 1442695040888963407ULL;
			record[(rng >> 33) % sizeof(record)] = rng >> 56;
		}
		if (get(record, sizeof(record), &id, &news))
			continue;
		cr_assert_eq(news.state.flags & (FL_STATE_PROBE | FL_STATE_PEER | FL_STATE_OWN), 0);
		cr_assert_leq(news.state.phase[0] | news.state.phase[1], FL_PHASE_MULTIPLE);
		cr_assert(!news.state.gateway || news.state.gateway == 20);
		if (states_take(t, &news, clock_here.now, &slot, &tag) > STATES_MERGED)
			continue;
		taken++;
		cr_assert(states_is_at(t, slot, FL_TAG_SERIAL(tag)));
		if (rng >> 63)
			states_drop(t, slot, FL_TAG_SERIAL(tag));
	}
	cr_expect_gt(taken, 1000);
	table_free(t);
}
