// SPDX-License-Identifier: GPL-2.0-only
/* Namespaces and programs. */

#include "selftests/prog/env.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "selftests/prog/policy.h"
#include "selftests/prog/prelude.h"
#include "selftests/prog/run.h"
#include "user/lib/clock.h"

#include "prelude.skel.h"
#include "tc.skel.h"
#include "xdp.skel.h"

/* Private, so that nothing is seen outside and all of it ends with this process. */
static int enter_namespaces(struct env *env)
{
	cpu_set_t one;

	env->cpu = sched_getcpu();
	CPU_ZERO(&one);
	CPU_SET(env->cpu, &one); /* the flow cache is by CPU */
	if (unshare(CLONE_NEWNET | CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("bpf", "/sys/fs/bpf", "bpf", 0, NULL) || sched_setaffinity(0, sizeof(one), &one)) {
		int err = errno;

		fprintf(stderr, "prog-test: namespaces: %s; it needs root\n", strerror(err));
		return -err;
	}
	return 0;
}

static int print_warnings(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	return level == LIBBPF_WARN ? vfprintf(stderr, fmt, ap) : 0;
}

static struct xdp *load_xdp(const struct env *env, const struct bpf_object_open_opts *opts, __u64 secret)
{
	struct xdp *skel = xdp__open_opts(opts);

	if (!skel)
		return NULL;
	bpf_map__set_max_entries(skel->maps.fl_flows, FL_FLOWS * env->cpus);
	bpf_map__set_max_entries(skel->maps.fl_flow_tags, FL_FLOW_SETS * env->cpus);
	bpf_map__set_max_entries(skel->maps.fl_ep_stats, FL_ENDPOINTS_MAX * env->cpus);
	policy_sizes(skel->obj, env->cpus);
	skel->rodata->fl_hz = clock_hz();
	skel->rodata->fl_secret = secret;
	if (env->xdp) /* libbpf finds it changed: the kernel adds a flag to a devmap's */
		bpf_map__reuse_fd(skel->maps.fl_tx, bpf_map__fd(env->xdp->maps.fl_tx));
	if (xdp__load(skel)) {
		xdp__destroy(skel);
		return NULL;
	}
	return skel;
}

static struct tc *load_tc(const struct env *env, const struct bpf_object_open_opts *opts, bool decap_l3)
{
	struct tc *skel = tc__open_opts(opts);

	if (!skel)
		return NULL;
	bpf_map__set_max_entries(skel->maps.fl_flows, FL_FLOWS * env->cpus);
	bpf_map__set_max_entries(skel->maps.fl_flow_tags, FL_FLOW_SETS * env->cpus);
	bpf_map__set_max_entries(skel->maps.fl_ep_stats, FL_ENDPOINTS_MAX * env->cpus);
	policy_sizes(skel->obj, env->cpus);
	skel->rodata->fl_decap_l3 = decap_l3;
	skel->rodata->fl_hz = clock_hz();
	if (tc__load(skel)) {
		tc__destroy(skel);
		return NULL;
	}
	return skel;
}

static int load(struct env *env)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .pin_root_path = "/sys/fs/bpf");

	libbpf_set_print(print_warnings);
	env->cpus = libbpf_num_possible_cpus();
	env->xdp = load_xdp(env, &opts, 0);
	env->tc = load_tc(env, &opts, true);
	env->tc_old = load_tc(env, &opts, false);
	env->prelude = prelude__open_and_load();
	if (!env->xdp || !env->tc || !env->tc_old || !env->prelude) {
		fprintf(stderr, "prog-test: the programs do not load\n");
		return -ENOEXEC;
	}
	env->buffer = calloc(PORTS * FL_DROP_SLOTS, env->cpus * sizeof(struct fl_port_stats));
	return env->buffer ? 0 : -ENOMEM;
}

static int fill_prelude(struct env *env)
{
	int progs[PRELUDE_PROGS] = {
		[TC_IN] = bpf_program__fd(env->tc->progs.fl_tc_in),
		[TC_OUT] = bpf_program__fd(env->tc->progs.fl_tc_out),
		[TC_OLD_IN] = bpf_program__fd(env->tc_old->progs.fl_tc_in),
		[TC_OLD_OUT] = bpf_program__fd(env->tc_old->progs.fl_tc_out),
	};
	int map = bpf_map__fd(env->prelude->maps.progs), pass = bpf_program__fd(env->prelude->progs.pass), r;

	for (__u32 i = 0; i < PRELUDE_PROGS; i++) {
		r = bpf_map_update_elem(map, &i, &progs[i], BPF_ANY);
		if (r)
			return r;
	}
	for (enum port p = LAN; p < DEVICES; p++) {
		r = bpf_xdp_attach(env->ifindex[p], pass, 0, NULL);
		if (r) {
			fprintf(stderr, "prog-test: XDP on %s: %s\n", port_name(p), strerror(-r));
			return r;
		}
	}
	return 0;
}

/* Before Linux 6.16 a test run takes no such flag: what it would find stays unfound there. */
static void probe_sums(struct env *env)
{
	struct frame frame = { .len = 60 };
	struct result out;

	env->sums = true;
	run_tc(env, TC_OUT, env->ifindex[STRANGE], NULL, &frame, &out);
	env->sums = out.verdict != -EINVAL;
	if (!env->sums)
		printf("# no checks of skb->csum: this kernel's test runs cannot\n");
}

int env_open(struct env *env)
{
	int r;

	memset(env, 0, sizeof(*env));
	r = enter_namespaces(env);
	if (!r)
		r = links_create(env);
	if (!r)
		r = load(env);
	if (!r)
		r = fill_prelude(env);
	if (!r)
		r = policy_open(env);
	if (!r)
		probe_sums(env);
	return r ? r : tables_fill(env);
}

struct xdp *env_load_xdp(const struct env *env, __u64 secret)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .pin_root_path = "/sys/fs/bpf");

	return load_xdp(env, &opts, secret);
}

void env_unload_xdp(struct xdp *xdp)
{
	xdp__destroy(xdp);
}

void env_close(struct env *env)
{
	policy_close(env);
	prelude__destroy(env->prelude);
	tc__destroy(env->tc_old);
	tc__destroy(env->tc);
	xdp__destroy(env->xdp);
	free(env->buffer);
}
