// SPDX-License-Identifier: GPL-2.0-only
/* Rules and translations, from the compiler (user/policy) to the maps: one table of rows for each set, and what its places mean. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "user/datapath/private.h"
#include "user/lib/log.h"

/* ---- what the compiler asks ---- */

/* What is shared does not count here: rules are the same whoever has it. */
static int port_facts(struct datapath *dp, const struct port *port, struct policy_port *fact)
{
	const struct system_addr *a;

	fact->interface = port->kind == PORT_INTERFACE ? port->interface : NULL;
	fact->tunnel = port->kind == PORT_TUNNEL ? port->tunnel : NULL;
	fact->number = port->number;
	for (size_t i = 0; (a = system_addr_at(dp->system, i)); i++) {
		struct prefix *grown;

		if (a->ifindex != port->value.ifindex || a->protocol == ADDRPROT_FAIRLEAD)
			continue;
		grown = reallocarray(fact->addresses, fact->n_addresses + 1, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		fact->addresses = grown;
		grown[fact->n_addresses++] = a->prefix;
	}
	return 0;
}

static void facts_free(struct policy_facts *facts)
{
	for (size_t i = 0; i < facts->n_ports; i++)
		free(facts->ports[i].addresses);
	free(facts->ports);
	free(facts->self);
	free(facts->vias);
}

static void via_facts(struct datapath *dp, const struct config *config, struct policy_facts *facts)
{
	for (size_t i = 0; i < config->n_gateways; i++) {
		const struct config_gateway *gateway = &config->gateways[i];
		uint32_t number = gateway_number(dp, gateway->name);

		facts->vias[facts->n_vias++] =
			(struct policy_via){ { gateway, NULL }, number, gateway_is_up(dp, number) };
	}
	for (size_t i = 0; i < config->n_groups; i++)
		facts->vias[facts->n_vias++] = (struct policy_via){ { NULL, &config->groups[i] },
								    FL_VIA_GROUP | GROUP_NUMBER(i),
								    group_is_up(dp, config, i) };
}

/* The router's own, and what it shares, also while another node has that. */
static int self_facts(struct datapath *dp, const struct config *config, struct policy_facts *facts)
{
	const struct system_addr *a;
	size_t n = 0;

	while (system_addr_at(dp->system, n))
		n++;
	for (size_t i = 0; i < config->n_vips; i++)
		n += config->vips[i].n_addresses;
	facts->self = calloc(n + 1, sizeof(*facts->self));
	if (!facts->self)
		return -ENOMEM;
	for (size_t i = 0; (a = system_addr_at(dp->system, i)); i++)
		if (a->protocol != ADDRPROT_FAIRLEAD)
			facts->self[facts->n_self++] = a->prefix.addr;
	for (size_t i = 0; i < config->n_vips; i++)
		for (size_t j = 0; j < config->vips[i].n_addresses; j++)
			facts->self[facts->n_self++] = config->vips[i].addresses[j].addr;
	return 0;
}

static int facts_make(struct datapath *dp, const struct config *config, const struct port *ports,
		      struct policy_facts *facts)
{
	int err;

	*facts = (struct policy_facts){ .now = time(NULL) };
	facts->ports = calloc(FL_PORTS_MAX, sizeof(*facts->ports));
	facts->vias = calloc(config->n_gateways + config->n_groups + 1, sizeof(*facts->vias));
	if (!facts->ports || !facts->vias)
		return -ENOMEM;
	err = self_facts(dp, config, facts);
	for (size_t i = 1; i < FL_PORTS_MAX && !err; i++)
		if (ports[i].present && (ports[i].kind == PORT_INTERFACE || ports[i].kind == PORT_TUNNEL))
			err = port_facts(dp, &ports[i], &facts->ports[facts->n_ports++]);
	via_facts(dp, config, facts);
	return err;
}

/* ---- compiling ---- */

/* Whether there is anything to judge by: what passes all, and translates nothing, needs no states. */
static bool is_judged(const struct config *config)
{
	return config->n_rules || config->n_nat || config->default_in != CONFIG_PASS ||
	       config->default_out != CONFIG_PASS;
}

int policy_plan(struct datapath *dp, const struct config *config, const struct port *ports, struct tables *tables,
		char **why)
{
	struct policy_facts facts;
	int err;

	if (!is_judged(config))
		return 0;
	err = facts_make(dp, config, ports, &facts);
	err = err ?: policy_compile(config, &facts, dp->rule_ids, &tables->policy, why);
	tables->judged = true;
	facts_free(&facts);
	return err;
}

static bool lists_equal(const struct policy *a, const struct policy *b)
{
	for (size_t list = 0; list < FL_LISTS; list++) {
		if (a->places[list] != b->places[list])
			return false;
		if (a->rules[list] && memcmp(a->rules[list], b->rules[list], a->places[list] * sizeof(**a->rules)) != 0)
			return false;
		if (a->nats[list] && memcmp(a->nats[list], b->nats[list], a->places[list] * sizeof(**a->nats)) != 0)
			return false;
	}
	return true;
}

/* The serial, which the table in force has and a new one not yet, is no difference. */
static bool rows_equal(const struct policy *a, const struct policy *b)
{
	size_t skip = sizeof(((struct fl_table *)NULL)->serial);

	return a->table_bytes == b->table_bytes && memcmp(a->table + skip, b->table + skip, a->table_bytes - skip) == 0;
}

bool policy_equal(const struct tables *a, const struct tables *b)
{
	if (!a->policy || !b->policy)
		return a->policy == b->policy && !a->judged == !b->judged;
	return lists_equal(a->policy, b->policy) && rows_equal(a->policy, b->policy);
}

/* ---- the table of rows ---- */

static void rows_close(struct rule_rows *rows)
{
	if (rows->mapped)
		munmap(rows->mapped, (size_t)rows->segments * FL_SEGMENT_SIZE);
	if (rows->fd > 0)
		close(rows->fd);
	*rows = (struct rule_rows){};
}

/* A set's table gets room for so many segments, and half as many more. The kernel may take its time (a grace period). */
static int rows_grow(struct datapath *dp, uint32_t set, uint32_t segments)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE | BPF_F_INNER_MAP);
	struct rule_rows rows = { .segments = segments + segments / 2 };
	int err;

	rows.fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "fl_rule_rows", sizeof(uint32_t), FL_SEGMENT_SIZE, rows.segments,
				 &opts);
	if (rows.fd < 0)
		return rows.fd;
	rows.mapped =
		mmap(NULL, (size_t)rows.segments * FL_SEGMENT_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, rows.fd, 0);
	if (rows.mapped == MAP_FAILED) {
		rows.mapped = NULL;
		err = -errno;
	} else {
		err = map_put(dp, DP_MAP_RULE_TABLES, &set, &rows.fd);
	}
	if (err) {
		rows_close(&rows);
		return err;
	}
	rows_close(&dp->rows[set]);
	dp->rows[set] = rows;
	return 0;
}

/* Never 0, and never one that the memo may have from another table. */
static uint32_t next_serial(struct datapath *dp)
{
	if (++dp->rules_serial == 0)
		dp->rules_serial = 1;
	return dp->rules_serial;
}

static int rows_write(struct datapath *dp, struct policy *policy, uint32_t set)
{
	uint32_t segments = policy_table_segments(policy), serial = next_serial(dp);
	int err = 0;

	if (dp->rows[set].segments < segments)
		err = rows_grow(dp, set, segments);
	if (err || !dp->rows[set].mapped) /* mmap() gives no NULL, which clang's analyzer does not know */
		return err;
	memcpy(policy->table, &serial, sizeof(serial));
	memcpy(dp->rows[set].mapped, policy->table, policy->table_bytes);
	return 0;
}

/* ---- places ---- */

static int places_write(struct datapath *dp, const struct policy *policy, uint32_t set)
{
	uint32_t *index = calloc(FL_RULES_MAX, sizeof(*index));
	int err = index ? 0 : -ENOMEM;

	for (uint32_t list = 0; list < FL_LISTS && !err; list++) {
		for (uint32_t i = 0; i < policy->places[list]; i++)
			index[i] = FL_RULE_INDEX(set, list, i);
		if (policy->rules[list])
			err = map_put_all(dp, DP_MAP_RULES, index, policy->rules[list], policy->places[list]);
		if (policy->nats[list] && !err)
			err = map_put_all(dp, DP_MAP_NATS, index, policy->nats[list], policy->places[list]);
	}
	free(index);
	return err;
}

#define NAMES_AT_ONCE 256

/* Names on their way into the map. When all rules go, and others come, 20,000 change. */
struct name_batch {
	struct datapath *dp;
	size_t n;
	uint32_t keys[NAMES_AT_ONCE];
	struct fl_rule_name names[NAMES_AT_ONCE];
};

static int names_flush(struct name_batch *batch)
{
	size_t n = batch->n;

	batch->n = 0;
	return map_put_all(batch->dp, DP_MAP_RULE_NAMES, batch->keys, batch->names, n);
}

static int name_write(void *arg, uint16_t id, const struct fl_rule_name *name, bool fresh)
{
	struct name_batch *batch = arg;
	struct datapath *dp = batch->dp;

	for (uint32_t cpu = 0; cpu <= dp->n_cpus && fresh; cpu++)
		dp->states.rule_stats[FL_RULE_STATS_INDEX(cpu, id)] = (struct fl_rule_stats){};
	batch->keys[batch->n] = id;
	batch->names[batch->n++] = *name;
	return batch->n == NAMES_AT_ONCE ? names_flush(batch) : 0;
}

static int names_write(struct datapath *dp)
{
	struct name_batch *batch = malloc(sizeof(*batch));
	int err;

	if (!batch)
		return -ENOMEM;
	batch->dp = dp;
	batch->n = 0;
	err = policy_ids_changes(dp->rule_ids, name_write, batch);
	err = err ?: names_flush(batch);
	if (!err)
		policy_ids_written(dp->rule_ids);
	free(batch);
	return err;
}

int policy_write(struct datapath *dp, const struct tables *tables, uint32_t set)
{
	struct policy *policy = tables->policy;
	int err = 0;

	dp->control.policy[set] = 0;
	if (policy) {
		err = rows_write(dp, policy, set);
		err = err ?: places_write(dp, policy, set);
		err = err ?: names_write(dp);
		dp->control.policy[set] = FL_POLICY_ON | (policy->places[FL_LIST_DNAT] > 1 ? FL_POLICY_DNAT : 0) |
					  (policy->places[FL_LIST_SNAT] > 1 ? FL_POLICY_SNAT : 0);
	}
	control_write(dp);
	return err;
}

/* ---- what changes with time, and with gateways ---- */

void policy_follow(struct datapath *dp)
{
	const struct tables *tables = tables_in_force(dp);
	uint32_t set = set_in_force(dp), serial;
	struct policy_facts facts;
	const struct fl_table *head;

	if (!dp->config || !tables->policy || !dp->rows[set].mapped)
		return;
	if (facts_make(dp, dp->config, dp->ports, &facts) == 0 && policy_live(tables->policy, &facts)) {
		head = (const struct fl_table *)tables->policy->table;
		memcpy(dp->rows[set].mapped + head->live, tables->policy->table + head->live, head->quick - head->live);
		serial = next_serial(dp);
		__atomic_store_n((uint32_t *)dp->rows[set].mapped, serial, __ATOMIC_SEQ_CST);
		memcpy(tables->policy->table, &serial, sizeof(serial));
	}
	facts_free(&facts);
}

/* ---- opening ---- */

static int names_adopt(struct datapath *dp)
{
	struct fl_rule_name *names = calloc(FL_RULE_IDS_MAX, sizeof(*names));
	int err = names ? map_read(dp, DP_MAP_RULE_NAMES, 0, FL_RULE_IDS_MAX, names) : -ENOMEM;

	for (uint32_t id = 1; id < FL_RULE_IDS_MAX && !err; id++)
		if (names[id].kind != FL_RULE_KIND_NONE)
			err = policy_ids_adopt(dp->rule_ids, id, &names[id]);
	free(names);
	return err;
}

/*
 * What the programs remember is by serial, and outlives a daemon, but no boot. An earlier one began lower, and wrote no 125 tables a second
 * for as long as it lived. (To read its last one a daemon would need CAP_SYS_ADMIN.)
 */
static uint32_t first_serial(void)
{
	return monotonic_ms() / 8;
}

int policy_open(struct datapath *dp)
{
	int err;

	dp->rule_ids = policy_ids_new();
	dp->rules_serial = first_serial();
	err = dp->rule_ids ? names_adopt(dp) : -ENOMEM;
	err = err ?: gateways_adopt(dp);
	return err ? log_ret(err, "cannot take over names of rules and gateways") : 0;
}

void policy_close(struct datapath *dp)
{
	for (int set = 0; set < 2; set++)
		rows_close(&dp->rows[set]);
	policy_ids_free(dp->rule_ids);
}
