// SPDX-License-Identifier: GPL-2.0-only
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
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

static void *map_memory(const struct bpf_map *map, size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);

	return memory == MAP_FAILED ? NULL : memory;
}

int world_open(struct world *w)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .pin_root_path = "/sys/fs/bpf");
	size_t places = 2 * FL_LISTS * FL_RULES_MAX;
	int err = enter();

	*w = (struct world){ .serial = 1 };
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
	w->control = map_memory(w->xdp->maps.fl_judge_control, sizeof(*w->control));
	w->rules = map_memory(w->xdp->maps.fl_rules, places * sizeof(*w->rules));
	w->nats = map_memory(w->xdp->maps.fl_nats, places * sizeof(*w->nats));
	return w->control && w->rules && w->nats ? 0 : -ENOMEM;
}

void world_close(struct world *w)
{
	judge_xdp__destroy(w->xdp);
	judge_tc__destroy(w->tc);
}

/* Another array in the set's place, and its memory. */
static int new_table(struct world *w, uint32_t set, size_t segments)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE | BPF_F_INNER_MAP);
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "fl_rule_table", 4, FL_SEGMENT_SIZE, segments, &opts), err;
	void *memory;

	if (fd < 0)
		return fd;
	memory = mmap(NULL, segments * FL_SEGMENT_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	err = memory == MAP_FAILED ? -errno
				   : bpf_map_update_elem(bpf_map__fd(w->xdp->maps.fl_rule_tables), &set, &fd, 0);
	close(fd);
	if (err)
		return err;
	if (w->table[set])
		munmap(w->table[set], w->table_bytes[set]);
	w->table[set] = memory;
	w->table_bytes[set] = segments * FL_SEGMENT_SIZE;
	return 0;
}

int world_fill(struct world *w, const struct policy *policy, uint32_t set)
{
	enum fl_list list;
	int err = policy->table_bytes <= w->table_bytes[set] ? 0 : new_table(w, set, policy_table_segments(policy));

	if (err)
		return err;
	memcpy(w->table[set], policy->table, policy->table_bytes);
	for (list = 0; list < FL_LISTS; list++) {
		size_t index = FL_RULE_INDEX(set, list, 0);

		if (policy->rules[list])
			memcpy(&w->rules[index], policy->rules[list], policy->places[list] * sizeof(*w->rules));
		else
			memcpy(&w->nats[index], policy->nats[list], policy->places[list] * sizeof(*w->nats));
	}
	w->control->set = set;
	world_forget(w);
	return 0;
}

void world_forget(struct world *w)
{
	((struct fl_table *)w->table[w->control->set])->serial = ++w->serial;
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
