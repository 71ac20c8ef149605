// SPDX-License-Identifier: GPL-2.0-only
/*
 * Strays (include/fairlead/sync.h): fl_tc_in hands them up, somebody asks the peers about them, and when the answer is there, or does not come,
 * they come in again. Whoever sends more of them than there is room for has them judged without an answer.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>

#include "fairlead/sync.h"
#include "user/datapath/held.h"
#include "user/datapath/private.h"
#include "user/lib/inet_sum.h"
#include "user/lib/log.h"
#include "user/policy/states.h"

#define HELD_NS 20000000ULL /* for an answer */
#define KNOWN_MS 100	    /* by then a state that a peer has sent is there: what it does not fit is judged … */
#define UNKNOWN_MS 1000	    /* … and as long what no peer knows */

struct strays {
	struct held *held; /* struct fl_stray; time_ns 0: gone */
	datapath_ask_fn *ask;
	void *arg;
};

/* Until then nobody is asked about the tuple. */
static void note_asked(struct datapath *dp, const struct fl_tuple *tuple, bool known)
{
	uint32_t until = datapath_jiffies(dp) + dp->hz * (known ? KNOWN_MS : UNKNOWN_MS) / 1000;

	map_put(dp, DP_MAP_ASKED, tuple, &until);
}

/* Where the sum of a TCP or UDP header is; 0: it has none. */
static size_t sum_at(const struct fl_stray *stray)
{
	if (!stray->l4 || (stray->key.proto != IPPROTO_TCP && stray->key.proto != IPPROTO_UDP))
		return 0;
	return stray->l4 +
	       (stray->key.proto == IPPROTO_TCP ? offsetof(struct tcphdr, check) : offsetof(struct udphdr, check));
}

/*
 * What a veth or tap sent has the pseudo header's sum only, for a device to finish; a frame that comes in again nobody would finish. As
 * checksum_is_unfinished() of bpf/lib/packet.h.
 */
static void finish_sum(struct fl_stray *stray)
{
	const bool six = stray->family == FL_INET6;
	const size_t addresses = stray->l3 + (six ? offsetof(struct ip6_hdr, ip6_src) : offsetof(struct iphdr, saddr));
	const size_t at = sum_at(stray), size = six ? 32 : 8;
	size_t end = stray->l3 + (six ? sizeof(struct ip6_hdr) : 0);
	uint16_t len, is;
	uint32_t sum;

	if (!at || at + sizeof(is) > stray->len || addresses + size > stray->len)
		return;
	memcpy(&len,
	       stray->frame + stray->l3 + (six ? offsetof(struct ip6_hdr, ip6_plen) : offsetof(struct iphdr, tot_len)),
	       sizeof(len));
	end += ntohs(len);
	if (end > stray->len || end < at + sizeof(is))
		return;
	sum = inet_sum(stray->frame + addresses, size, stray->key.proto + (uint32_t)(end - stray->l4));
	memcpy(&is, stray->frame + at, sizeof(is));
	if ((is ^ inet_checksum(sum)) != 0xffff)
		return;
	is = 0;
	memcpy(stray->frame + at, &is, sizeof(is));
	is = inet_checksum(inet_sum(stray->frame + stray->l4, end - stray->l4, sum));
	is = is ? is : 0xffff; /* RFC 768 */
	memcpy(stray->frame + at, &is, sizeof(is));
}

static void put_in(struct datapath *dp, struct fl_stray *stray)
{
	int err;

	if (stray->len)
		finish_sum(stray);
	err = stray->len ? held_inject(dp->strays->held, stray->ifindex, stray->frame, stray->len) : 0;

	if (err) /* its device is gone, or down */
		log_debug("a packet that a peer was asked about can't come in again: %s", strerror(-err));
	stray->time_ns = 0;
}

void datapath_stray_answer(struct datapath *dp, const struct fl_tuple *tuple, bool known)
{
	const struct held *held = dp->strays->held;
	bool noted = false;

	for (unsigned int i = 0; i < held_count(held); i++) {
		struct fl_stray *stray = held_at(held, i);

		if (!stray->time_ns || !states_same_tuple(&stray->key, tuple))
			continue;
		if (!noted)
			note_asked(dp, tuple, known);
		noted = true;
		put_in(dp, stray);
	}
}

static bool is_asked_about(const struct held *held, const struct fl_tuple *tuple)
{
	for (unsigned int i = 0; i < held_count(held); i++) {
		const struct fl_stray *stray = held_at(held, i);

		if (stray->time_ns && states_same_tuple(&stray->key, tuple))
			return true;
	}
	return false;
}

/* No answer has come. */
static void let_go_first(struct datapath *dp)
{
	const struct fl_stray *first = held_first(dp->strays->held);
	const struct fl_tuple key = first->key;

	if (first->time_ns)
		datapath_stray_answer(dp, &key, false);
	held_drop_first(dp->strays->held);
}

static int take(void *arg, void *data, size_t len)
{
	const struct fl_stray *stray = data;
	struct datapath *dp = arg;
	struct strays *s = dp->strays;
	bool asked;

	if (len < sizeof(*stray) || stray->len > sizeof(stray->frame))
		return 0;
	if (held_is_full(s->held))
		let_go_first(dp);
	asked = is_asked_about(s->held, &stray->key);
	held_add(s->held, stray, offsetof(struct fl_stray, frame) + stray->len);
	if (!asked && (!s->ask || !s->ask(s->arg, &stray->key)))
		datapath_stray_answer(dp, &stray->key, false);
	return held_taken(s->held);
}

bool datapath_strays(struct datapath *dp)
{
	struct held *held = dp->strays->held;
	bool more = held_consume(held);
	uint64_t now = monotonic_ns();
	const struct fl_stray *first;

	while ((first = held_first(held)) && !(first->time_ns && now - first->time_ns < HELD_NS))
		let_go_first(dp);
	return held_count(held) || more;
}

int datapath_strays_fd(const struct datapath *dp)
{
	return held_fd(dp->strays->held);
}

void datapath_strays_ask(struct datapath *dp, datapath_ask_fn *ask, void *arg)
{
	dp->strays->ask = ask;
	dp->strays->arg = arg;
	dp->control.sync = ask ? dp->control.sync | FL_SYNC_ASK : dp->control.sync & ~FL_SYNC_ASK;
	control_write(dp);
}

void strays_close(struct datapath *dp)
{
	if (!dp->strays)
		return;
	held_close(dp->strays->held);
	free(dp->strays);
	dp->strays = NULL;
}

int strays_open(struct datapath *dp)
{
	int err;

	dp->strays = calloc(1, sizeof(*dp->strays));
	if (!dp->strays)
		return -ENOMEM;
	err = held_open(&dp->strays->held, dp->maps[DP_MAP_STRAYS].fd, sizeof(struct fl_stray), take, dp);
	return err ? log_ret(err, "packets that peers may know can't be read") : 0;
}
