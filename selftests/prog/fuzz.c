// SPDX-License-Identifier: GPL-2.0-only
/*
 * The two floors against each other. Whatever the packet: XDP, native and generic, passes it down, and has then changed neither packet nor
 * counter, or finishes it, and tc makes the same of it: the same bytes from the IP header on, the same counters. The
 * packets are those of the cases, cut anywhere and changed at random with fixed seeds.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "selftests/prog/check.h"
#include "selftests/prog/policy.h"
#include "selftests/prog/random.h"

#define FUZZ_PACKETS 100000
#define BASES_MAX 1000
#define FAILURES_MAX 5
#define GROUP 64

struct fuzz {
	struct env *env;
	const struct test_case *bases[BASES_MAX];
	int count;
	__u64 random;
	int failures;
	long passed, sent, dropped; /* what XDP did */
	struct shot *shots;	    /* GROUP of them, `ready` filled */
	int ready;
	int groups;	      /* of shots, so far */
	bool judged;	      /* packets are, and have states */
	void *before, *known; /* states, before one packet and before the group */
	bool generic;	      /* which XDP has its turn */
};

static void collect_scenes(struct fuzz *z)
{
	const struct test_case *c;

	for (size_t i = 0; policy_scene_name(i); i++)
		for (size_t step = 0; (c = policy_scene_case(i, step)); step++)
			if (!c->own && !c->tc_only && z->count < BASES_MAX)
				z->bases[z->count++] = c;
}

/* Cases whose packets need nothing set up. */
static void collect(struct fuzz *z)
{
	static const struct suite *const suites[] = { forward_suites, tunnel_suites, npt_suites, mss_suites,
						      icmp_suites };

	for (size_t i = 0; i < sizeof(suites) / sizeof(*suites); i++)
		for (const struct suite *s = suites[i]; s->cases; s++)
			for (size_t c = 0; c < s->count; c++)
				if (!s->cases[c].before && !s->cases[c].tc_only && s->cases[c].in < PORTS &&
				    z->count < BASES_MAX)
					z->bases[z->count++] = &s->cases[c];
	if (z->judged)
		collect_scenes(z);
}

static void report(struct fuzz *z, const char *name, const struct frame *f, const char *what)
{
	if (z->failures++ >= FAILURES_MAX)
		return;
	fail(z->env, "  from %s, %u bytes: %s\n   ", name ? name : "a scene", f->len, what);
	for (__u32 i = 0; i < f->len && i < 160; i++)
		fail(z->env, " %02x", f->data[i]);
	fail(z->env, "\n");
}

/*
 * The frame as tc sees it after the kernel took off a VLAN tag: at the child's device, or with a tag of priority only
 * beside it. Returns the device, 0 where the kernel would give it to nobody.
 */
static __u32 frame_at_tc(const struct env *env, enum port parent, const struct frame *in, struct frame *out,
			 struct skb_extra *extra)
{
	enum port port = parent;
	__u16 tci;

	*out = *in;
	memset(extra, 0, sizeof(*extra));
	if (in->len < 18 || get16(in->data + 12) != 0x8100)
		return env->ifindex[port];
	tci = get16(in->data + 14);
	if (tci & 0xfff) {
		if (parent != LAN || (tci & 0xfff) != port_vid(VLAN))
			return 0;
		port = VLAN;
		port_mac(VLAN, false, out->data); /* in real life the parent's */
	} else {
		extra->vlan = tci + 1;
	}
	memmove(out->data + 12, in->data + 16, in->len - 16);
	out->len = in->len - 4;
	return env->ifindex[port];
}

/* after - before must be the same at both hooks; but what XDP alone counts, and bytes of a tag that tc did not see. */
static bool same_counts(const struct counters *a, const struct counters *b, const struct counters *c, int tagged)
{
	const __u64 *x = (const __u64 *)a, *y = (const __u64 *)b, *z = (const __u64 *)c;

	for (size_t i = 0; i < sizeof(*a) / 8; i++) {
		size_t at = i * 8, port = at - offsetof(struct counters, ports);
		__u64 d1 = y[i] - x[i], d2 = z[i] - y[i];

		if (at >= offsetof(struct counters, ports) && at < offsetof(struct counters, eps) &&
		    port % sizeof(struct fl_port_stats) == offsetof(struct fl_port_stats, xdp_packets))
			continue;
		if (d1 != d2 && (d1 < d2 || (d1 - d2) % 4 || d1 - d2 > 4ULL * tagged))
			return false;
	}
	return true;
}

static bool same_bytes(struct frame *xdp, struct frame *tc)
{
	__u32 l3 = frame_l3(xdp);
	__u16 id;

	if (xdp->len - l3 != tc->len - ETH_LEN)
		return false;
	if (xdp->data[l3] >> 4 == 4) { /* an outer's identification is random */
		frame_mask_id(xdp, &id);
		tc->data[12] = 0x08; /* not written yet there */
		frame_mask_id(tc, &id);
	}
	return !memcmp(xdp->data + l3, tc->data + ETH_LEN, tc->len - ETH_LEN);
}

/* Whether the frame holds the whole packet that it says it holds. */
static bool is_whole(const struct frame *f)
{
	__u32 l3 = frame_l3(f);

	if (f->len < l3 + 20)
		return false;
	if (f->data[l3] >> 4 == 4)
		return f->len >= l3 + get16(f->data + l3 + 2);
	return f->len >= l3 + 40u + get16(f->data + l3 + 4);
}

/* One packet of a group, and what XDP made of it. */
struct shot {
	const char *name;
	enum port parent;
	struct frame in, at_tc;
	struct skb_extra extra;
	__u32 tc_ifindex;
	struct result xdp;
};

static void shoot_xdp(struct fuzz *z, struct shot *s)
{
	const struct frame *in = &s->in;

	if (z->judged)
		policy_save(z->env, z->before);
	if (z->generic)
		run_generic(z->env, z->env->ifindex[s->parent], in, &s->xdp);
	else
		run_xdp(z->env, z->env->ifindex[s->parent], in, &s->xdp);
	if (s->xdp.verdict == XDP_PASS && (s->xdp.frame.len != in->len || memcmp(s->xdp.frame.data, in->data, in->len)))
		report(z, s->name, in, "XDP passes it down, and changes it");
	if (z->judged && s->xdp.verdict == XDP_PASS && !policy_is_as(z->env, z->before))
		report(z, s->name, in, "XDP passes it down, and states have changed");
	if (s->xdp.verdict != XDP_PASS && !s->tc_ifindex)
		report(z, s->name, in, "XDP takes what the kernel would give to nobody");
	if (s->xdp.verdict != XDP_PASS && s->xdp.verdict != XDP_DROP && s->xdp.verdict != XDP_REDIRECT)
		report(z, s->name, in, "XDP gives no verdict");
	if (s->xdp.verdict == XDP_REDIRECT && !is_whole(in))
		report(z, s->name, in, "XDP forwards a packet that is not whole");
}

static void shoot_both(struct fuzz *z, struct shot *s)
{
	z->generic = false;
	shoot_xdp(z, s);
	z->generic = true;
	shoot_xdp(z, s);
}

/* A test run refuses what has not even the IP header that its Ethernet header announces. */
static bool can_run_at_tc(const struct shot *s)
{
	__u32 least = get16(s->at_tc.data + 12) == 0x86dd ? 40 : 20;

	return s->at_tc.len >= ETH_LEN + least;
}

static void shoot_tc(struct fuzz *z, struct shot *s)
{
	struct result tc;

	run_tc(z->env, TC_IN, s->tc_ifindex, &s->extra, &s->at_tc, &tc);
	if (tc.verdict == TC_ACT_REDIRECT && !is_whole(&s->at_tc))
		report(z, s->name, &s->in, "tc forwards a packet that is not whole");
	if (tc.verdict != TC_ACT_REDIRECT && tc.verdict != TC_ACT_SHOT && tc.verdict != TC_ACT_UNSPEC)
		report(z, s->name, &s->in, "tc gives no verdict");
	if (s->xdp.verdict == XDP_PASS)
		return;
	if (tc.verdict != (s->xdp.verdict == XDP_REDIRECT ? TC_ACT_REDIRECT : TC_ACT_SHOT))
		report(z, s->name, &s->in, "the verdicts differ");
	else if (tc.verdict == TC_ACT_REDIRECT && !same_bytes(&s->xdp.frame, &tc.frame))
		report(z, s->name, &s->in, "the packets differ");
}

/*
 * Shows the packets to XDP, then to tc those that XDP finished: both must count the same, which leaves nothing for
 * those that XDP passed down. Counters are slow to read: once a group, and then again one by one if they differ.
 */
static void agree(struct fuzz *z, struct shot *shots, int count)
{
	struct counters before, between, after;
	__u64 counted[2] = {};
	int tagged = 0, i;

	policy_forget_fragments(z->env);
	policy_save(z->env, z->known);
	counters_read(z->env, &before);
	for (i = 0; i < count; i++) {
		shoot_xdp(z, &shots[i]);
		tagged += shots[i].at_tc.len != shots[i].in.len;
	}
	counters_read(z->env, &between);
	counted[0] = policy_counted_all(z->env);
	policy_forget_fragments(z->env);
	policy_restore(z->env, z->known);
	for (i = 0; i < count; i++)
		if (shots[i].xdp.verdict != XDP_PASS && shots[i].tc_ifindex)
			shoot_tc(z, &shots[i]);
	counters_read(z->env, &after);
	counted[1] = policy_counted_all(z->env);
	if (same_counts(&before, &between, &after, tagged) && counted[0] == counted[1])
		return;
	if (count == 1)
		report(z, shots->name, &shots->in, "the counters differ, or states");
	policy_restore(z->env, z->known);
	for (i = 0; i < count && count > 1; i++)
		agree(z, &shots[i], 1);
}

/* Every other group has been seen by XDP before, so that flows are known and packets take the short way. */
static void fire(struct fuzz *z, bool generic)
{
	z->generic = generic;
	policy_forget(z->env);
	for (struct shot *s = z->shots; s < z->shots + z->ready && z->groups % 2 == 0; s++)
		shoot_xdp(z, s);
	agree(z, z->shots, z->ready);
	for (struct shot *s = z->shots; s < z->shots + z->ready; s++) {
		if (s->xdp.verdict == XDP_PASS && s->tc_ifindex)
			shoot_tc(z, s);
		z->passed += s->xdp.verdict == XDP_PASS;
		z->sent += s->xdp.verdict == XDP_REDIRECT;
		z->dropped += s->xdp.verdict == XDP_DROP;
	}
}

/* Native and generic XDP: who comes first finds the flows new. */
static void flush(struct fuzz *z)
{
	bool generic_first = ++z->groups / 2 % 2;

	fire(z, generic_first);
	fire(z, !generic_first);
	z->ready = 0;
}

/* One more packet; what tc can't be shown is for XDP alone. */
static void shoot(struct fuzz *z, const struct test_case *c, const struct frame *in)
{
	struct shot *s = &z->shots[z->ready];

	s->name = c->name;
	s->parent = port_parent(c->in);
	s->in = *in;
	s->tc_ifindex = frame_at_tc(z->env, s->parent, in, &s->at_tc, &s->extra);
	if (can_run_at_tc(s))
		z->ready++;
	else
		shoot_both(z, s);
	if (z->ready == GROUP)
		flush(z);
}

static __u64 pick(struct fuzz *z, __u64 below)
{
	return random_next(&z->random) % below;
}

/* Restores the IPv4 header's checksum at l3, so that changes behind it get further than that check. */
static void mend(struct frame *f, __u32 l3)
{
	__u32 ihl = (f->data[l3] & 15) * 4;

	if (f->data[l3] >> 4 != 4 || ihl < 20 || l3 + ihl > f->len)
		return;
	put16(f->data + l3 + 10, 0);
	put16(f->data + l3 + 10, ~sum_fold(sum_words(f->data + l3, ihl, 0)));
}

static void mutate(struct fuzz *z, struct frame *f)
{
	static const __u8 nice[] = { 0, 1, 2, 4, 5, 6, 0x3a, 0x29, 0x2c, 0x3c, 0x40, 0x60, 0x7f, 0x80, 0xfe, 0xff };
	__u32 len = f->len;

	for (__u64 n = pick(z, 5); n; n--) {
		__u32 at = pick(z, 4) ? 12 + pick(z, len < 100 ? len - 12 : 88) : pick(z, len);

		if (at >= f->len)
			continue;
		switch (pick(z, 4)) {
		case 0:
			f->data[at] ^= 1 << pick(z, 8);
			break;
		case 1:
			f->data[at] = pick(z, 256);
			break;
		case 2:
			f->data[at] = nice[pick(z, sizeof(nice))];
			break;
		default:
			f->data[at] += (int)pick(z, 9) - 4;
		}
	}
	if (pick(z, 3) == 0) /* cut */
		f->len = ETH_LEN + pick(z, len - ETH_LEN + 1);
	else if (pick(z, 4) == 0) /* extend */
		for (__u64 n = pick(z, 64); n && f->len < FRAME_MAX - 64; n--)
			f->data[f->len++] = pick(z, 256);
	if (pick(z, 3))
		mend(f, frame_l3(f));
}

static bool begin(struct fuzz *z, struct env *env, __u64 seed, bool judged)
{
	memset(z, 0, sizeof(*z));
	z->env = env;
	z->random = seed;
	z->judged = judged;
	z->shots = calloc(GROUP, sizeof(*z->shots));
	z->before = malloc(policy_memory_size());
	z->known = malloc(policy_memory_size());
	if (!z->shots || !z->before || !z->known)
		fail(env, "  no memory\n");
	collect(z);
	return !*env->why;
}

static void end(struct fuzz *z, long least)
{
	if (z->ready)
		flush(z);
	if (z->failures > FAILURES_MAX)
		fail(z->env, "  and %d more\n", z->failures - FAILURES_MAX);
	if (z->sent < least || z->dropped < least || z->passed < least)
		fail(z->env, "  XDP sent %ld, dropped %ld, passed %ld: too few to say anything\n", z->sent, z->dropped,
		     z->passed);
	printf("# both floors: XDP sent %ld, dropped %ld, passed down %ld\n", z->sent, z->dropped, z->passed);
	free(z->shots);
	free(z->before);
	free(z->known);
}

static void random_packets(struct env *env, bool judged)
{
	struct skb_extra extra;
	struct fuzz z;
	struct frame f;

	if (!begin(&z, env, judged ? 4217 : 4213, judged))
		return;
	for (int i = 0; i < FUZZ_PACKETS; i++) {
		const struct test_case *c = z.bases[pick(&z, z.count)];

		case_frame(env, c, HOOK_XDP, &f, &extra);
		mutate(&z, &f);
		if (pick(&z, GROUP * 2) == 0)
			tables_new_generation(env);
		shoot(&z, c, &f);
	}
	end(&z, FUZZ_PACKETS / 20);
}

/* Every packet of the cases at every length. */
static void truncated(struct env *env, bool judged)
{
	struct skb_extra extra;
	struct fuzz z;
	struct frame f;

	if (!begin(&z, env, 1, judged))
		return;
	for (int i = 0; i < z.count; i++) {
		case_frame(env, z.bases[i], HOOK_XDP, &f, &extra);
		if (f.len > 250)
			continue;
		for (; f.len >= ETH_LEN; f.len--)
			shoot(&z, z.bases[i], &f);
	}
	end(&z, 100);
}

/* Translations only such as choose nothing at random. */
#define JUDGED \
	"\"rules\":[" \
	"{\"name\":\"keep\",\"action\":\"pass\",\"direction\":\"in\",\"interface\":[\"lan\",\"he0\"]}," \
	"{\"name\":\"loose\",\"action\":\"pass\",\"direction\":\"in\",\"interface\":\"npt\",\"state\":\"loose\"}," \
	"{\"name\":\"none\",\"action\":\"pass\",\"direction\":\"in\",\"interface\":\"wan\",\"state\":\"none\"}," \
	"{\"name\":\"in\",\"action\":\"pass\",\"direction\":\"in\",\"interface\":\"wan\",\"protocol\":\"udp\"}," \
	"{\"name\":\"no\",\"action\":\"reject\",\"direction\":\"in\",\"interface\":\"wan\",\"protocol\":\"tcp\"}," \
	"{\"name\":\"sctp\",\"action\":\"block\",\"direction\":\"out\",\"protocol\":132}," \
	"{\"name\":\"steer\",\"action\":\"pass\",\"direction\":\"in\",\"interface\":\"lan\",\"family\":\"inet6\"," \
	"\"destination\":{\"address\":\"2001:db8:2000::/36\"},\"route_to\":\"wan6\"}," \
	"{\"name\":\"few\",\"action\":\"pass\",\"direction\":\"in\",\"interface\":\"lan\",\"protocol\":\"icmp\"," \
	"\"max_states\":1}]," \
	"\"nat\":[{\"type\":\"snat\",\"interface\":\"wan\",\"source\":{\"address\":\"192.0.2.10\"}," \
	"\"translate_to\":\"interface\",\"static_port\":true}," \
	"{\"type\":\"dnat\",\"interface\":\"wan\",\"protocol\":\"udp\",\"destination\":{\"address\":\"wan:address\"}," \
	"\"translate_to\":\"192.0.2.10\"}]"

static void truncated_plain(struct env *env)
{
	truncated(env, false);
}

static void random_plain(struct env *env)
{
	random_packets(env, false);
}

static void truncated_judged(struct env *env)
{
	if (policy_on(env, JUDGED))
		fail(env, "  the policy does not compile\n");
	truncated(env, true);
	policy_off(env);
}

static void random_judged(struct env *env)
{
	if (policy_on(env, JUDGED))
		fail(env, "  the policy does not compile\n");
	random_packets(env, true);
	policy_off(env);
}

const struct procedure fuzz_procedures[] = {
	{ "agree/truncated", truncated_plain },
	{ "agree/random", random_plain },
	{ "agree/judged-truncated", truncated_judged },
	{ "agree/judged-random", random_judged },
	{ 0 },
};
