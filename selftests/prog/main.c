// SPDX-License-Identifier: GPL-2.0-only
/*
 * prog-test [NAME...]: packets through the programs by BPF_PROG_TEST_RUN. A NAME is a test's or the beginning of
 * several tests'. Prints "ok NAME" or "not ok NAME" and why; exit status 1 if one failed or none ran.
 */

#include <bpf/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "selftests/prog/check.h"

#include "tc.skel.h"
#include "xdp.skel.h"

static bool wanted(const char *name, char **names, int count)
{
	for (int i = 0; i < count; i++)
		if (!strncmp(name, names[i], strlen(names[i])))
			return true;
	return count == 0;
}

struct tally {
	int passed, failed;
};

static void report(struct env *env, const char *where, const char *name, struct tally *t)
{
	if (*env->why) {
		printf("not ok prog/%s%s\n%s", where, name, env->why);
		t->failed++;
	} else {
		printf("ok prog/%s%s\n", where, name);
		t->passed++;
	}
	fflush(stdout);
}

static void run_suite(struct env *env, const struct suite *suite, const char *where, char **names, int count,
		      struct tally *t)
{
	for (size_t i = 0; i < suite->count; i++) {
		if (!wanted(suite->cases[i].name, names, count))
			continue;
		env->why[0] = '\0';
		check_case(env, &suite->cases[i]);
		report(env, where, suite->cases[i].name, t);
	}
}

static void run_procedures(struct env *env, const struct procedure *p, const char *where, char **names, int count,
			   struct tally *t)
{
	for (; p->name; p++) {
		if (!wanted(p->name, names, count))
			continue;
		env->why[0] = '\0';
		p->run(env);
		report(env, where, p->name, t);
	}
}

static void run_scenes(struct env *env, const char *where, char **names, int count, struct tally *t)
{
	const char *name;
	char full[96];

	for (size_t i = 0; (name = policy_scene_name(i)); i++) {
		snprintf(full, sizeof(full), "policy/%s", name);
		if (!wanted(full, names, count))
			continue;
		env->why[0] = '\0';
		policy_scene_run(env, i);
		report(env, where, full, t);
	}
}

/* What each program costs the verifier, for people who change them. */
static void print_verifier(const struct bpf_program *prog)
{
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info);

	if (!bpf_obj_get_info_by_fd(bpf_program__fd(prog), &info, &len))
		printf("# verifier %s %u\n", bpf_program__name(prog), info.verified_insns);
}

/* Every case, and the procedures that ask the tables for more than cases do. */
static void run_cases(struct env *env, const char *where, char **names, int count, struct tally *t)
{
	static const struct suite *const suites[] = { forward_suites, tunnel_suites, npt_suites,
						      mss_suites,     icmp_suites,   out_suites };

	for (size_t i = 0; i < sizeof(suites) / sizeof(*suites); i++)
		for (const struct suite *s = suites[i]; s->cases; s++)
			run_suite(env, s, where, names, count, t);
	run_procedures(env, procedures, where, names, count, t);
	run_procedures(env, icmp_procedures, where, names, count, t);
	run_procedures(env, reject_procedures, where, names, count, t);
	run_procedures(env, wire_procedures, where, names, count, t);
	run_scenes(env, where, names, count, t);
	run_procedures(env, policy_procedures, where, names, count, t);
	run_procedures(env, stray_procedures, where, names, count, t);
}

int main(int argc, char **argv)
{
	static const struct procedure *const more[] = {
		npt_procedures,		cache_procedures,	fuzz_procedures,   nat_procedures,
		nat_error_procedures,	nat_choose_procedures,	states_procedures, states_cpus_procedures,
		states_both_procedures, states_peer_procedures, tcp_procedures,	   rules_procedures
	};
	static struct env env;
	struct tally t = {};
	size_t i;

	if (env_open(&env))
		return 1;
	print_verifier(env.xdp->progs.fl_xdp);
	print_verifier(env.xdp->progs.fl_icmp);
	print_verifier(env.tc->progs.fl_tc_in);
	print_verifier(env.tc->progs.fl_tc_out);
	run_cases(&env, "", argv + 1, argc - 1, &t);
	for (i = 0; i < sizeof(more) / sizeof(*more); i++)
		run_procedures(&env, more[i], "", argv + 1, argc - 1, &t);
	run_procedures(&env, event_procedures, "", argv + 1, argc - 1, &t);
	/* as after an apply: who asks the set that is not in force finds nothing */
	if (tables_switch(&env)) {
		printf("not ok prog/set-1\n");
		t.failed++;
	}
	run_cases(&env, "set-1/", argv + 1, argc - 1, &t);
	env_close(&env);
	printf("# %d passed, %d failed\n", t.passed, t.failed);
	return t.failed || !t.passed;
}
