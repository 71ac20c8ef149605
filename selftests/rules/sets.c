// SPDX-License-Identifier: GPL-2.0-only
#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "selftests/rules/sets.h"

#define PLACES (2 * FL_LISTS * FL_RULES_MAX)

void *map_memory(int map, size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, map, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

int rule_sets_open(struct rule_sets *s, int tables, int rules, int nats)
{
	*s = (struct rule_sets){ .tables = tables, .serial = 1 };
	s->rules = map_memory(rules, PLACES * sizeof(*s->rules));
	s->nats = map_memory(nats, PLACES * sizeof(*s->nats));
	return s->rules && s->nats ? 0 : -ENOMEM;
}

/* Another array in the set's place, and its memory. */
static int grow(struct rule_sets *s, uint32_t set, size_t segments)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE | BPF_F_INNER_MAP);
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "fl_rule_table", 4, FL_SEGMENT_SIZE, segments, &opts), err;
	void *memory;

	if (fd < 0)
		return fd;
	memory = map_memory(fd, segments * FL_SEGMENT_SIZE);
	err = memory ? bpf_map_update_elem(s->tables, &set, &fd, 0) : -ENOMEM;
	close(fd);
	if (err)
		return err;
	if (s->table[set])
		munmap(s->table[set], s->table_bytes[set]);
	s->table[set] = memory;
	s->table_bytes[set] = segments * FL_SEGMENT_SIZE;
	return 0;
}

int rule_sets_put(struct rule_sets *s, const struct policy *policy, uint32_t set)
{
	int err = policy->table_bytes <= s->table_bytes[set] ? 0 : grow(s, set, policy_table_segments(policy));

	if (err)
		return err;
	memcpy(s->table[set], policy->table, policy->table_bytes);
	rule_sets_forget(s, set);
	for (enum fl_list list = 0; list < FL_LISTS; list++) {
		size_t index = FL_RULE_INDEX(set, list, 0);

		if (policy->rules[list])
			memcpy(&s->rules[index], policy->rules[list], policy->places[list] * sizeof(*s->rules));
		if (policy->nats[list])
			memcpy(&s->nats[index], policy->nats[list], policy->places[list] * sizeof(*s->nats));
	}
	return 0;
}

void rule_sets_forget(struct rule_sets *s, uint32_t set)
{
	((struct fl_table *)s->table[set])->serial = ++s->serial;
}
