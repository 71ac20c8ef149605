// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tables that have two sets: the one not in force is filled completely, then one word in fl_control puts it in force. What
 * the other set holds is removed only when it is needed again, long after the last packet that used it.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "user/datapath/private.h"
#include "user/lib/log.h"

#define GRACE_MS 50 /* no packet looks at tables for so long */

struct set_field {
	enum dp_map_id map;
	size_t member;	     /* struct entries in struct tables */
	size_t offset, size; /* of the set in the key */
};

static const struct set_field set_fields[] = {
	{ DP_MAP_EP_IN, offsetof(struct tables, ep_in), offsetof(struct fl_endpoint_key, set), 2 },
	{ DP_MAP_CLIENTS, offsetof(struct tables, clients), offsetof(struct fl_client_route_key, set), 2 },
	{ DP_MAP_NPT_PREFIX, offsetof(struct tables, npt_prefix), offsetof(struct fl_npt_key, set), 1 },
};

#define N_SET_FIELDS (sizeof(set_fields) / sizeof(set_fields[0]))

static const struct entries *entries_of(const struct tables *tables, const struct set_field *field)
{
	return (const struct entries *)((const char *)tables + field->member);
}

/* Keys and values side by side, with the set filled in. */
static int entries_split(const struct entries *entries, const struct set_field *field, uint32_t set, uint8_t **keys,
			 uint32_t **values)
{
	*keys = malloc(entries->n * entries->key_size + 1);
	*values = malloc(entries->n * sizeof(**values) + 1);
	if (!*keys || !*values)
		return -ENOMEM;
	for (size_t i = 0; i < entries->n; i++) {
		uint8_t *key = *keys + i * entries->key_size;
		const uint16_t set16 = set;

		memcpy(key, entry_key(entries, i), entries->key_size);
		if (field->size == 2)
			memcpy(key + field->offset, &set16, 2);
		else
			key[field->offset] = set;
		(*values)[i] = entry_value(entries, i);
	}
	return 0;
}

static int set_write(struct datapath *dp, const struct tables *tables, uint32_t set, bool add)
{
	int err = 0;

	for (size_t i = 0; i < N_SET_FIELDS && !err; i++) {
		const struct set_field *field = &set_fields[i];
		const struct entries *entries = entries_of(tables, field);
		uint32_t *values = NULL;
		uint8_t *keys = NULL;

		if (!entries->n)
			continue;
		err = entries_split(entries, field, set, &keys, &values);
		if (!err && add)
			err = map_put_all(dp, field->map, keys, values, entries->n);
		else if (!err)
			err = map_delete_all(dp, field->map, keys, entries->n);
		free(keys);
		free(values);
	}
	return err;
}

/* Counters of an item that has changed go on under its new index. */
static void carry_stats(struct datapath *dp, enum dp_map_id id, uint32_t from, uint32_t to)
{
	void *value = malloc(dp->maps[id].value_size);

	if (value && map_get(dp, id, &from, value) == 0)
		map_put(dp, id, &to, value);
	free(value);
}

/* The counters of one CPU: those of the `n` endpoints in index[] begin anew, or go on. */
static int endpoint_stats_write(struct datapath *dp, const struct tables *tables, unsigned int cpu,
				const uint32_t *index, size_t n)
{
	uint32_t *slot = calloc(n + 1, sizeof(*slot));
	int err = slot ? 0 : -ENOMEM;

	for (size_t i = 0; i < n && !err; i++)
		slot[i] = FL_EP_STATS_INDEX(cpu, index[i]);
	err = err ?: map_zero(dp, DP_MAP_EP_STATS, slot, n);
	free(slot);
	for (size_t i = 0; i < tables->n_endpoints && !err; i++) {
		const struct table_endpoint *ep = &tables->endpoints[i];

		if (ep->previous)
			carry_stats(dp, DP_MAP_EP_STATS, FL_EP_STATS_INDEX(cpu, ep->previous),
				    FL_EP_STATS_INDEX(cpu, ep->index));
	}
	return err;
}

static int endpoints_write(struct datapath *dp, const struct tables *tables, const struct tables *current)
{
	size_t max = tables->n_endpoints + 1, n = 0;
	uint32_t *index = calloc(max, sizeof(*index));
	struct fl_endpoint *value = calloc(max, sizeof(*value));
	bool *known = calloc(FL_ENDPOINTS_MAX, sizeof(*known));
	int err = index && value && known ? 0 : -ENOMEM;

	for (size_t i = 0; i < current->n_endpoints && !err; i++)
		known[current->endpoints[i].index] = true;
	for (size_t i = 0; i < tables->n_endpoints && !err; i++) {
		if (known[tables->endpoints[i].index])
			continue;
		index[n] = tables->endpoints[i].index;
		value[n++] = tables->endpoints[i].value;
	}
	err = err ?: map_put_all(dp, DP_MAP_EP, index, value, n);
	err = err ?: map_zero(dp, DP_MAP_EP_PATH, index, n);
	for (unsigned int cpu = 0; cpu < dp->n_cpus && !err; cpu++)
		err = endpoint_stats_write(dp, tables, cpu, index, n);
	free(index);
	free(value);
	free(known);
	return err;
}

static int npts_write(struct datapath *dp, const struct tables *tables, const struct tables *current)
{
	int err = 0;

	for (size_t i = 0; i < tables->n_npts && !err; i++) {
		const struct table_npt *item = &tables->npts[i];
		bool known = false;

		for (size_t j = 0; j < current->n_npts && !known; j++)
			known = current->npts[j].index == item->index;
		if (known)
			continue;
		err = map_put(dp, DP_MAP_NPT, &item->index, &item->value);
		err = err ?: map_zero(dp, DP_MAP_NPT_STATS, &item->index, 1);
		if (!err && item->previous)
			carry_stats(dp, DP_MAP_NPT_STATS, item->previous, item->index);
	}
	return err;
}

static void wait_grace(struct datapath *dp)
{
	uint64_t since = monotonic_ms() - dp->switched_ms;

	if (since < GRACE_MS)
		usleep((GRACE_MS - since) * 1000);
}

uint32_t set_in_force(const struct datapath *dp)
{
	return FL_GEN_SET(dp->control.gen);
}

const struct tables *tables_in_force(const struct datapath *dp)
{
	return dp->sets[set_in_force(dp)];
}

/* Fills the set that is not in force. Takes over `tables`, also on failure: then that set may hold parts of them. */
int tables_fill(struct datapath *dp, struct tables *tables, const struct port *ports)
{
	uint32_t set = !set_in_force(dp);
	const struct tables *current = tables_in_force(dp);
	int err;

	wait_grace(dp);
	err = set_write(dp, dp->sets[set], set, false);
	if (err) {
		tables_free(tables);
		return log_ret(err, "cannot clear the set of tables that is not in force");
	}
	tables_free(dp->sets[set]);
	dp->sets[set] = tables;
	err = endpoints_write(dp, tables, current);
	err = err ?: npts_write(dp, tables, current);
	err = err ?: set_write(dp, tables, set, true);
	err = err ?: gateways_write(dp, tables, set);
	err = err ?: policy_write(dp, tables, set);
	if (err)
		return log_ret(err, "cannot fill the tables");
	return ports_write(dp, ports, set);
}

static void switch_back(struct datapath *dp, const void *data)
{
	(void)data;
	tables_switch(dp, NULL);
}

/* Puts what tables_fill() has filled in force. */
void tables_switch(struct datapath *dp, struct undo *undo)
{
	control_switch(dp);
	dp->switched_ms = monotonic_ms();
	undo_push(undo, switch_back, NULL, 0);
}
