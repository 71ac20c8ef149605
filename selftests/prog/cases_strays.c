// SPDX-License-Identifier: GPL-2.0-only
/* Packets that a peer may know: which are handed up in place of being judged, with what, and when they are judged all the same. */

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fairlead/sync.h"
#include "selftests/prog/check.h"
#include "selftests/prog/hosts.h"
#include "selftests/prog/policy.h"
#include "user/lib/clock.h"

#include "tc.skel.h"
#include "xdp.skel.h"

#define POLICY \
	"\"default_action\":{\"in\":\"block\",\"out\":\"pass\"}," \
	"\"rules\":[{\"name\":\"go\",\"action\":\"pass\",\"direction\":\"in\",\"interface\":\"lan\"}," \
	"{\"name\":\"no\",\"action\":\"reject\",\"quick\":true,\"direction\":\"in\",\"interface\":\"wan\",\"protocol\":\"udp\"," \
	"\"destination\":{\"port\":99}}," \
	"{\"name\":\"loose\",\"action\":\"pass\",\"direction\":\"in\",\"interface\":\"lan\",\"protocol\":\"tcp\",\"state\":\"loose\"," \
	"\"destination\":{\"port\":100}}]"

#define TO_LAN .in = WAN, .pkt.src = NET_HOST, .pkt.dst = LAN_HOST
#define TO_NET .in = LAN, .pkt.src = LAN_HOST, .pkt.dst = NET_HOST, .out = WAN
#define TCP(bits) .pkt.l4 = L4_TCP, .pkt.tflags = bits
#define ACK 0x10
#define SYN 0x02

struct stray_case {
	struct test_case c; /* if nobody is asked */
	bool stray;
};

static const struct spec quoted = { .src = LAN_HOST, .dst = NET_HOST, .sport = 1000, .dport = 2000 };

static const struct stray_case cases[] = {
	{ { .name = "an answer by UDP", TO_LAN, .want = DROP, .reason = FL_DROP_RULE }, true },
	{ { .name = "rejected",
	    TO_LAN,
	    .pkt.dport = 99,
	    .want = ERROR,
	    .reason = FL_DROP_REJECTED,
	    .icmp_type = 1,
	    .icmp_code = 4 },
	  true },
	{ { .name = "a SYN-ACK", TO_LAN, TCP(SYN | ACK), .want = DROP, .reason = FL_DROP_RULE }, true },
	{ { .name = "amid a connection", TO_NET, TCP(ACK), .want = DROP, .reason = FL_DROP_RULE }, true },
	{ { .name = "amid one that a rule would let begin", TO_NET, TCP(ACK), .pkt.dport = 100, .want = FORWARD },
	  true },
	{ { .name = "an echo reply", TO_LAN, .pkt.l4 = L4_ECHO, .pkt.type = 129, .want = DROP, .reason = FL_DROP_RULE },
	  true },
	{ { .name = "IPv4",
	    .in = WAN,
	    .pkt.src = NET_HOST4,
	    .pkt.dst = LAN_HOST4,
	    .want = DROP,
	    .reason = FL_DROP_RULE },
	  true },
	{ { .name = "an error about a packet",
	    TO_LAN,
	    .pkt.l4 = L4_ERROR,
	    .pkt.quoted = &quoted,
	    .want = DROP,
	    .reason = FL_DROP_RULE },
	  true },
	{ { .name = "a first packet", TO_NET, .want = FORWARD }, false },
	{ { .name = "a SYN", TO_NET, TCP(SYN), .want = FORWARD }, false },
};

#define N_CASES (sizeof(cases) / sizeof(*cases))

struct seen {
	struct ring_buffer *ring;
	struct fl_stray last;
	int n;
};

static int take(void *arg, void *data, size_t len)
{
	struct seen *seen = arg;

	if (len >= sizeof(seen->last))
		memcpy(&seen->last, data, sizeof(seen->last));
	seen->n++;
	return 0;
}

/* The low word of jiffies64; 0: not known. */
static __u32 jiffies(struct env *env)
{
	unsigned long long now = 0;
	FILE *file = fopen("/proc/timer_list", "r");
	char line[256];

	while (file && !now && fgets(line, sizeof(line), file))
		sscanf(line, "jiffies: %llu", &now);
	if (file)
		fclose(file);
	if (!now)
		fail(env, "  /proc/timer_list tells no jiffies\n");
	return now;
}

/* Peers answer, and a daemon is there to ask them; or not. */
static void asks(struct env *env, bool on)
{
	env->control.sync = on ? FL_SYNC_ASK : 0;
	env->control.alive_until = on ? jiffies(env) + 3600 * clock_hz() : 0;
	tables_control(env);
}

static void check_handed_up(struct env *env, const struct test_case *judged, enum hook hook, struct seen *seen)
{
	struct test_case c = *judged;
	bool xdp = hook == HOOK_XDP || hook == HOOK_GENERIC;
	struct skb_extra extra;
	struct frame frame;
	__u32 ifindex;

	c.want = DROP;
	c.reason = FL_DROP_NONE;
	c.xdp_down = true;
	seen->n = 0;
	check_at(env, &c, hook, "asked about");
	ring_buffer__consume(seen->ring);
	if (seen->n != !xdp)
		fail(env, "  %s: %d were handed up\n", hook_name(hook), seen->n);
	if (xdp || !seen->n)
		return;
	ifindex = case_frame(env, &c, hook, &frame, &extra);
	if (seen->last.ifindex != ifindex || seen->last.len != frame.len ||
	    memcmp(seen->last.frame, frame.data, frame.len) != 0)
		fail(env, "  %s: another frame was handed up: %u bytes of %u\n", hook_name(hook), seen->last.len,
		     (unsigned int)frame.len);
	if (c.pkt.quoted && (seen->last.key.proto != IPPROTO_UDP || !seen->last.key.port[0] || !seen->last.key.port[1]))
		fail(env, "  %s: peers would be asked about the error, not about what it quotes\n", hook_name(hook));
	if (policy_states(env))
		fail(env, "  %s: a state was made\n", hook_name(hook));
}

static void check_judged(struct env *env, const struct test_case *c, enum hook hook, struct seen *seen,
			 const char *when)
{
	policy_forget(env);
	seen->n = 0;
	check_at(env, c, hook, when);
	ring_buffer__consume(seen->ring);
	if (seen->n)
		fail(env, "  %s: %s: it was handed up\n", hook_name(hook), when);
}

/* Nobody knows the tuple, as the daemon would say; or that is over. */
static void note_asked(struct env *env, const struct fl_stray *stray, __s32 left)
{
	__u32 until = jiffies(env) + left;

	if (bpf_map_update_elem(bpf_map__fd(env->xdp->maps.fl_asked), &stray->key, &until, BPF_ANY))
		fail(env, "  fl_asked takes nothing\n");
}

static void forget_asked(struct env *env)
{
	int fd = bpf_map__fd(env->xdp->maps.fl_asked);
	struct fl_tuple key;

	while (!bpf_map_get_next_key(fd, NULL, &key))
		bpf_map_delete_elem(fd, &key);
}

/* What comes next is no part of the flood. */
static void forget_stats(struct env *env)
{
	struct fl_stray_stats *stats = calloc(libbpf_num_possible_cpus(), sizeof(*stats));
	__u32 zero = 0;

	if (!stats || bpf_map_update_elem(bpf_map__fd(env->xdp->maps.fl_stray_stats), &zero, stats, BPF_ANY))
		fail(env, "  fl_stray_stats takes nothing\n");
	free(stats);
}

static void run_case(struct env *env, const struct stray_case *s, enum hook hook, struct seen *seen)
{
	if (!s->stray) {
		asks(env, true);
		check_judged(env, &s->c, hook, seen, "peers could be asked");
		return;
	}
	asks(env, true);
	policy_forget(env);
	check_handed_up(env, &s->c, HOOK_TC, seen); /* for the tuple */
	check_handed_up(env, &s->c, hook, seen);
	note_asked(env, &seen->last, 60 * (__s32)clock_hz());
	check_judged(env, &s->c, hook, seen, "nobody knows it");
	note_asked(env, &seen->last, -1);
	policy_forget(env);
	check_handed_up(env, &s->c, hook, seen);
	forget_asked(env);
	asks(env, false);
	check_judged(env, &s->c, hook, seen, "nobody is there");
}

static void test_strays(struct env *env)
{
	struct seen seen = {};

	seen.ring = ring_buffer__new(bpf_map__fd(env->tc->maps.fl_strays), take, &seen, NULL);
	if (!seen.ring || policy_on(env, POLICY)) {
		fail(env, "  the ring can't be read, or the policy does not compile\n");
		return;
	}
	for (size_t i = 0; i < N_CASES && !*env->why; i++) {
		for (enum hook hook = HOOK_XDP; hook < HOOKS && !*env->why; hook++)
			run_case(env, &cases[i], hook, &seen);
		if (*env->why)
			fail(env, "  in the case: %s\n", cases[i].c.name);
	}
	asks(env, false);
	policy_off(env);
	ring_buffer__free(seen.ring);
}

/* More than FL_STRAYS_MAX in a moment are judged at once: a flood of them gets nobody's time. */
static void test_too_many(struct env *env)
{
	const struct test_case *c = &cases[0].c;
	struct skb_extra extra;
	struct seen seen = {};
	struct frame frame;
	struct result out;
	__u32 ifindex;
	int xdp_down = 0;

	seen.ring = ring_buffer__new(bpf_map__fd(env->tc->maps.fl_strays), take, &seen, NULL);
	if (!seen.ring || policy_on(env, POLICY)) {
		fail(env, "  the ring can't be read, or the policy does not compile\n");
		return;
	}
	asks(env, true);
	ifindex = case_frame(env, c, HOOK_TC, &frame, &extra);
	for (int i = 0; i < 20 * FL_STRAYS_MAX; i++) {
		run_tc(env, TC_IN, ifindex, &extra, &frame, &out);
		run_xdp(env, ifindex, &frame, &out);
		xdp_down += out.verdict == XDP_PASS;
		ring_buffer__consume(seen.ring);
	}
	if (seen.n < FL_STRAYS_MAX / 2 || seen.n > 10 * FL_STRAYS_MAX || xdp_down > seen.n + 10)
		fail(env, "  of %d that came %d were handed up, and %d were left to tc\n", 20 * FL_STRAYS_MAX, seen.n,
		     xdp_down);
	forget_stats(env);
	asks(env, false);
	policy_off(env);
	ring_buffer__free(seen.ring);
}

const struct procedure stray_procedures[] = {
	{ "strays/handed-up", test_strays },
	{ "strays/too-many", test_too_many },
	{},
};
