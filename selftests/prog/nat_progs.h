/* SPDX-License-Identifier: GPL-2.0-only */
/* Translation by itself, in programs of its own at both hooks (nat_body.h): what the tests of its parts have in common. */
#pragma once

#include "selftests/prog/check.h"
#include "selftests/prog/nat.h"

struct nat_progs {
	struct nat_xdp *xdp;
	struct nat_tc *tc;
};

#define FOUR(l) .l4 = l, .src = "192.0.2.10", .dst = "203.0.113.9"
#define SIX(l) .l4 = l, .src = "2001:db8:10::10", .dst = "2001:db8:99::9"

bool nat_open(struct env *env, struct nat_progs *p); /* with maps of their own, both the same; false: has failed */
void nat_close(struct nat_progs *p);
struct nat_io *nat_io_of(struct nat_progs *p, enum hook hook);
void nat_run(struct env *env, struct nat_progs *p, enum hook hook, const struct skb_extra *extra,
	     const struct frame *in, struct result *out);
/* At both hooks `in` must become `expected`. */
void nat_check(struct env *env, struct nat_progs *p, const char *name, const struct skb_extra *extra,
	       const struct nat_io *io, const struct frame *in, const struct frame *expected);

void nat_build(struct frame *f, const struct spec *spec);
struct nat_tuple nat_tuple_of(const struct spec *s); /* of a described packet */
int nat_quoted_l4(const struct spec *s);	     /* where its transport header begins */
void nat_say_bytes(struct env *env, const char *what, const struct frame *f);

/* cases_nat_errors.c: the frame of one of its errors, and what the programs are told of it. */
void nat_error_any(__u64 number, struct frame *f, struct nat_io *io);
