// SPDX-License-Identifier: GPL-2.0-only
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "selftests/rules/rules.h"

#include "judge_tc.skel.h"
#include "judge_xdp.skel.h"

/* A mount namespace, for a bpffs of our own; one CPU, since each has a memo of its own. */
static int enter(void)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("bpf", "/sys/fs/bpf", "bpf", 0, NULL) || sched_setaffinity(0, sizeof(one), &one)) {
		int err = errno;

		fprintf(stderr, "rules-test: namespace: %s; it needs root\n", strerror(err));
		return -err;
	}
	return 0;
}

int world_open(struct world *w)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .pin_root_path = "/sys/fs/bpf");
	int err = enter();

	*w = (struct world){};
	if (err)
		return err;
	w->xdp = judge_xdp__open_opts(&opts);
	w->tc = judge_tc__open_opts(&opts);
	if (!w->xdp || !w->tc)
		return -errno;
	bpf_map__set_max_entries(w->xdp->maps.fl_rule_memo, FL_RULE_MEMOS * libbpf_num_possible_cpus());
	bpf_map__set_max_entries(w->tc->maps.fl_rule_memo, FL_RULE_MEMOS * libbpf_num_possible_cpus());
	err = judge_xdp__load(w->xdp);
	err = err ? err : judge_tc__load(w->tc);
	if (err)
		return err;
	w->control = map_memory(bpf_map__fd(w->xdp->maps.fl_judge_control), sizeof(*w->control));
	err = rule_sets_open(&w->sets, bpf_map__fd(w->xdp->maps.fl_rule_tables), bpf_map__fd(w->xdp->maps.fl_rules),
			     bpf_map__fd(w->xdp->maps.fl_nats));
	return w->control ? err : -ENOMEM;
}

void world_close(struct world *w)
{
	judge_xdp__destroy(w->xdp);
	judge_tc__destroy(w->tc);
}

int world_fill(struct world *w, const struct policy *policy, uint32_t set)
{
	int err = rule_sets_put(&w->sets, policy, set);

	if (!err)
		w->control->set = set;
	return err;
}

void world_forget(struct world *w)
{
	rule_sets_forget(&w->sets, w->control->set);
}

int world_judge(struct world *w, enum floor floor, struct judged *subjects, size_t n, unsigned int repeat)
{
	int prog =
		floor == FLOOR_XDP ? bpf_program__fd(w->xdp->progs.judge_xdp) : bpf_program__fd(w->tc->progs.judge_tc);
	uint8_t packet[64] = {};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = sizeof(packet), .repeat = (int)repeat);
	int err;

	memcpy(w->control->subject, subjects, n * sizeof(*subjects));
	w->control->count = (uint32_t)n;
	err = bpf_prog_test_run_opts(prog, &opts);
	memcpy(subjects, w->control->subject, n * sizeof(*subjects));
	return err ? err : (int)opts.duration;
}
