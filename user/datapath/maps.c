// SPDX-License-Identifier: GPL-2.0-only
/* Reading and writing maps, also many entries at once. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/datapath/private.h"
#include "user/lib/log.h"

#define BATCH 4096 /* bigger batches hold the CPU for tens of milliseconds */

int map_open(struct dp_map *map, int fd)
{
	struct bpf_map_info info = {};
	__u32 len = sizeof(info);
	int err = bpf_obj_get_info_by_fd(fd, &info, &len);

	if (err)
		return err;
	map->fd = fd;
	map->key_size = info.key_size;
	map->value_size = info.value_size;
	if (info.type == BPF_MAP_TYPE_PERCPU_ARRAY || info.type == BPF_MAP_TYPE_PERCPU_HASH)
		map->value_size = (info.value_size + 7) / 8 * 8 * libbpf_num_possible_cpus();
	map->max_entries = info.max_entries;
	return 0;
}

int map_get(struct datapath *dp, enum dp_map_id id, const void *key, void *value)
{
	return bpf_map_lookup_elem(dp->maps[id].fd, key, value);
}

int map_put(struct datapath *dp, enum dp_map_id id, const void *key, const void *value)
{
	return bpf_map_update_elem(dp->maps[id].fd, key, value, BPF_ANY);
}

int map_delete(struct datapath *dp, enum dp_map_id id, const void *key)
{
	int err = bpf_map_delete_elem(dp->maps[id].fd, key);

	return err == -ENOENT ? 0 : err;
}

int map_put_all(struct datapath *dp, enum dp_map_id id, const void *keys, const void *values, size_t n)
{
	const struct dp_map *map = &dp->maps[id];

	for (size_t done = 0; done < n;) {
		const uint8_t *key = (const uint8_t *)keys + done * map->key_size;
		const uint8_t *value = (const uint8_t *)values + done * map->value_size;
		__u32 count = n - done < BATCH ? n - done : BATCH;
		int err = bpf_map_update_batch(map->fd, key, value, &count, NULL);

		if (err)
			return err;
		done += count;
	}
	return 0;
}

int map_delete_all(struct datapath *dp, enum dp_map_id id, const void *keys, size_t n)
{
	const struct dp_map *map = &dp->maps[id];

	for (size_t done = 0; done < n;) {
		const uint8_t *key = (const uint8_t *)keys + done * map->key_size;
		__u32 count = n - done < BATCH ? n - done : BATCH;
		int err = bpf_map_delete_batch(map->fd, key, &count, NULL);

		if (err && err != -ENOENT)
			return err;
		done += err ? count + 1 : count; /* it stopped at one that is not there */
	}
	return 0;
}

int map_read(struct datapath *dp, enum dp_map_id id, uint32_t first, uint32_t n, void *values)
{
	const struct dp_map *map = &dp->maps[id];
	uint32_t *keys = malloc(BATCH * sizeof(*keys));
	uint32_t done = 0, next = 0;
	int err = keys ? 0 : -ENOMEM;

	while (!err && done < n) {
		__u32 from = first + done - 1, count = n - done < BATCH ? n - done : BATCH;

		err = bpf_map_lookup_batch(map->fd, first + done ? &from : NULL, &next, keys,
					   (uint8_t *)values + (size_t)done * map->value_size, &count, NULL);
		if (err == -ENOENT && first + done + count == map->max_entries)
			err = 0; /* that was the end of the array */
		if (!err && !count)
			err = -EIO;
		done += count;
	}
	free(keys);
	return err;
}

int map_walk(struct datapath *dp, enum dp_map_id id, void (*each)(void *arg, const void *key, const void *value),
	     void *arg)
{
	const struct dp_map *map = &dp->maps[id];
	uint8_t *key = malloc(map->key_size), *next = malloc(map->key_size), *value = malloc(map->value_size);
	bool first = true;
	int err = key && next && value ? 0 : -ENOMEM;

	while (!err) {
		err = bpf_map_get_next_key(map->fd, first ? NULL : key, next);
		if (err)
			break;
		if (bpf_map_lookup_elem(map->fd, next, value) == 0)
			each(arg, next, value);
		memcpy(key, next, map->key_size);
		first = false;
	}
	free(key);
	free(next);
	free(value);
	return err == -ENOENT ? 0 : err;
}

int map_zero(struct datapath *dp, enum dp_map_id id, const uint32_t *index, size_t n)
{
	void *zeros;
	int err;

	if (!n)
		return 0;
	zeros = calloc(n < BATCH ? n : BATCH, dp->maps[id].value_size);
	if (!zeros)
		return -ENOMEM;
	err = 0;
	for (size_t done = 0; done < n && !err; done += BATCH)
		err = map_put_all(dp, id, index + done, zeros, n - done < BATCH ? n - done : BATCH);
	free(zeros);
	return err;
}

void percpu_sum(const struct datapath *dp, const void *value, size_t words, uint64_t *sum)
{
	const uint64_t *v = value;

	memset(sum, 0, words * sizeof(*sum));
	for (unsigned int cpu = 0; cpu < dp->n_cpus; cpu++)
		for (size_t i = 0; i < words; i++)
			sum[i] += *v++;
}
