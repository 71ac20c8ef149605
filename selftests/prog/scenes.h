/* SPDX-License-Identifier: GPL-2.0-only */
/* What cases_policy.c has and scenes.c runs. */
#pragma once

#include "selftests/prog/check.h"

#define STEPS 10
#define LOGGED 4

struct step {
	struct test_case c;
	int states; /* behind it */
};

struct scene {
	const char *name, *policy;
	struct step steps[STEPS];
	struct {
		const char *rule;
		__u64 packets;
	} counted[3];
	struct logged {
		const char *rule; /* NULL: no more */
		enum port port;
		bool out;
		__u8 verdict, reason;
	} logged[LOGGED]; /* all that is, by packets of all steps */
	int (*before)(struct env *env);
	void (*look)(struct env *env);
};

extern const struct scene policy_scenes[];
extern const size_t policy_scenes_n;
