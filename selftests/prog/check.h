/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Cases: a packet in, and what must come of it at every hook: verdict, every byte, every counter. Each is run twice at
 * each hook, so that the second time the flow cache answers.
 */
#pragma once

#include "selftests/prog/run.h"

enum want {
	FORWARD,  /* leaves by `out`, changed as `change` says; its hop limit is one less unless that says otherwise */
	REWRITE,  /* goes on to the kernel, changed as `change` says (tc) */
	PASS,	  /* goes on untouched and uncounted */
	DELIVER,  /* for the host: XDP passes it; tc decapsulates it if ep_in, else counts and passes it */
	DROP,	  /* for `reason`, counted at `blame`; FL_DROP_NONE: not counted */
	ERROR,	  /* the same at tc, and answered by the ICMP error icmp_*; XDP passes it */
	FRAGMENT, /* the kernel shall fragment it: tc counts, tags and passes it */
};

struct test_case {
	const char *name;
	enum port in;
	struct spec pkt;
	enum want want;
	enum port out; /* whose device it leaves by */
	struct spec change;
	enum fl_drop reason;
	enum port blame; /* whose drop it is, or the tunnel whose device gets what is for the host; NOWHERE: `in`'s */
	int icmp_type, icmp_code, icmp_value;
	bool unanswered;	     /* ERROR that must not be sent after all */
	enum endpoint ep_in, ep_out; /* counted: decapsulated from, encapsulated to */
	enum npt npt_out, npt_in;    /* counted; npt_bad: untranslatable */
	enum npt npt_bad;
	enum { TO_US, TO_ALL, TO_GROUP } to; /* the frame */
	bool own;			     /* through fl_tc_out instead, at the device `in` */
	bool tc_only;			     /* what XDP never sees */
	bool xdp_down;			     /* XDP passes it down, though tc finishes it */
	bool native_down;		     /* native XDP does; generic XDP finishes it */
	struct skb_extra extra;
	int (*before)(struct env *env); /* sets something up; -errno */
	int (*after)(struct env *env);
};

#define CASES(array) \
	{ \
		array, sizeof(array) / sizeof(*(array)) \
	}

struct suite {
	const struct test_case *cases; /* NULL ends a list of suites */
	size_t count;
};

/* A test that is no packet in, packet out. */
struct procedure {
	const char *name;
	void (*run)(struct env *env);
};

extern const struct suite forward_suites[], tunnel_suites[], npt_suites[], mss_suites[], icmp_suites[], out_suites[];
extern const struct procedure procedures[], npt_procedures[], icmp_procedures[], cache_procedures[], wire_procedures[],
	fuzz_procedures[], nat_procedures[], nat_error_procedures[], nat_choose_procedures[], reject_procedures[];
extern const struct procedure states_procedures[], states_cpus_procedures[], states_both_procedures[],
	states_peer_procedures[], tcp_procedures[];

extern const struct procedure stray_procedures[], event_procedures[], policy_procedures[], rules_procedures[];

/* scenes.c: those of cases_policy.c by number; NULL: no more. What is wrong with one is in env->why */
const char *policy_scene_name(size_t i);
void policy_scene_run(struct env *env, size_t i);
const struct test_case *policy_scene_case(size_t i, size_t step); /* NULL: no more */

/* Failures are in env->why. */
void check_case(struct env *env, const struct test_case *c);

/* The same at one hook once, with what the maps hold. */
void check_at(struct env *env, const struct test_case *c, enum hook hook, const char *round);

/* The same at each hook once, with the flow cache as it is. */
void check_hooks(struct env *env, const struct test_case *c, const char *round);

/* The frame of a case's packet as it comes in at the hook; *extra: what goes beside it. Returns the ifindex. */
__u32 case_frame(const struct env *env, const struct test_case *c, enum hook hook, struct frame *f,
		 struct skb_extra *extra);
