// SPDX-License-Identifier: GPL-2.0-only
/* Rules, translations and states in the maps. */

#include "selftests/prog/policy.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/lib/clock.h"

#include "xdp.skel.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))
#define MAP(env, name) bpf_map__fd((env)->xdp->maps.name)

/* ---- the maps ---- */

static void size(struct bpf_object *object, const char *name, __u32 entries)
{
	struct bpf_map *map = bpf_object__find_map_by_name(object, name);

	if (map)
		bpf_map__set_max_entries(map, entries);
}

void policy_sizes(struct bpf_object *object, int cpus)
{
	size(object, "fl_buckets", POLICY_BUCKETS);
	size(object, "fl_states", POLICY_BUCKETS * FL_BUCKET_WAYS);
	size(object, "fl_state_counts", FL_STATE_COUNTS_CPU(cpus));
	size(object, "fl_rule_stats", FL_RULE_STATS_INDEX(cpus + 1, 0));
	size(object, "fl_rule_memo", FL_RULE_MEMOS * cpus);
}

int policy_open(struct env *env)
{
	static struct policy_world world;
	const struct states_maps maps = {
		.buckets = MAP(env, fl_buckets),
		.states = MAP(env, fl_states),
		.control = MAP(env, fl_state_control),
		.counts = MAP(env, fl_state_counts),
		.rule_stats = MAP(env, fl_rule_stats),
		.rule_states = MAP(env, fl_rule_states),
		.sources = MAP(env, fl_rule_sources),
		.n_buckets = POLICY_BUCKETS,
		.cpus = env->cpus,
	};
	__u32 timeouts[FL_TIMEOUTS];
	int err;

	env->policy = &world;
	world.ids = policy_ids_new();
	if (!world.ids || rule_sets_open(&world.sets, MAP(env, fl_rule_tables), MAP(env, fl_rules), MAP(env, fl_nats)))
		return -ENOMEM;
	for (size_t i = 0; i < FL_TIMEOUTS; i++)
		timeouts[i] = 1000;
	err = states_open(&world.states, &maps, clock_hz());
	err = err ?: states_init(&world.states, POLICY_BUCKETS);
	if (err)
		return err;
	states_limit(&world.states, POLICY_BUCKETS * FL_BUCKET_WAYS);
	states_timeouts(&world.states, timeouts);
	return 0;
}

void policy_close(struct env *env)
{
	policy_off(env);
	states_close(&env->policy->states);
	policy_ids_free(env->policy->ids);
}

/* ---- what the machine is like: tables.c and links.c have the same ---- */

static const struct {
	enum port port;
	const char *addrs[2];
} links[] = {
	{ LAN, { "192.0.2.1/24", "2001:db8:10::1/64" } },
	{ WAN, { "198.51.100.1/24", "2001:db8:20::1/64" } },
	{ NPT, { "2001:db8:60::1/64" } },
	{ FOUR, { "192.0.0.1/28" } },
	{ THIN, { "192.0.0.33/28", "2001:db8:34::1/64" } },
	{ UNDER2, { "2001:db8:35::1/64" } },
	{ HE0, { "2001:db8:80::1/64" } },
};

static const struct {
	const char *name;
	enum port port;
	const char *addr; /* NULL: none, it is a link */
	int family;
	bool up;
} gateways[] = {
	{ "wan4", WAN, "198.51.100.254", FL_INET, true },
	{ "wan6", WAN, "2001:db8:20::fe", FL_INET6, true },
	{ "he", HE0, NULL, FL_INET6, true },
	{ "down", WAN, "198.51.100.254", FL_INET, false },
	{ "link", WAN, NULL, FL_BOTH, true },
};

/* The members that carry IPv4 and IPv6, in all slots; 0: none can be used. */
static const struct {
	const char *name;
	__u16 carries[2];
} groups[] = {
	{ "six", { 0, 3 } }, /* its first member does not, though it is up */
	{ "lost", { 0, 0 } },
	{ "mixed", { 1, 3 } },
	{ "half", { 1, 0 } },
};

#define WORLD \
	"\"interfaces\":{\"lan\":{\"device\":\"lan\"},\"wan\":{\"device\":\"wan\"},\"npt\":{\"device\":\"npt\"}," \
	"\"four\":{\"device\":\"four\"},\"thin\":{\"device\":\"thin\"},\"under2\":{\"device\":\"under2\"}}," \
	"\"tunnels\":{\"he0\":{\"type\":\"6in4\",\"underlay\":\"wan\",\"local\":\"198.51.100.1\"," \
	"\"remote\":\"203.0.113.1\",\"address\":\"2001:db8:80::1/64\"}}," \
	"\"gateways\":{\"wan4\":{\"interface\":\"wan\",\"address\":\"198.51.100.254\"}," \
	"\"wan6\":{\"interface\":\"wan\",\"address\":\"2001:db8:20::fe\"},\"he\":{\"interface\":\"he0\",\"monitor\":false}," \
	"\"down\":{\"interface\":\"wan\",\"address\":\"198.51.100.253\"}," \
	"\"link\":{\"interface\":\"wan\",\"monitor\":false}}," \
	"\"gateway_groups\":{\"six\":{\"members\":[{\"gateway\":\"wan6\"},{\"gateway\":\"he\",\"tier\":2}]}," \
	"\"lost\":{\"members\":[{\"gateway\":\"down\"}]}," \
	"\"mixed\":{\"members\":[{\"gateway\":\"wan4\"},{\"gateway\":\"he\"}]}," \
	"\"half\":{\"members\":[{\"gateway\":\"wan4\"},{\"gateway\":\"wan6\"}]}}"

static void port_facts(const struct config *config, size_t i, struct policy_facts *f)
{
	struct policy_port *port = &f->ports[f->n_ports++];
	const char *name = port_name(links[i].port);

	*port = (struct policy_port){ .interface = config_find_interface(config, name),
				      .tunnel = config_find_tunnel(config, name),
				      .number = links[i].port,
				      .addresses = calloc(2, sizeof(*port->addresses)) };
	for (size_t a = 0; a < 2 && links[i].addrs[a]; a++) {
		if (prefix_parse(links[i].addrs[a], &port->addresses[a]))
			abort();
		f->self[f->n_self++] = port->addresses[a].addr;
		port->n_addresses++;
	}
}

void policy_facts(struct env *env, const struct config *config, struct policy_facts *f)
{
	(void)env;
	*f = (struct policy_facts){ .now = 1700000000 };
	f->ports = calloc(COUNT(links), sizeof(*f->ports));
	f->self = calloc(2 * COUNT(links), sizeof(*f->self));
	f->vias = calloc(COUNT(gateways) + COUNT(groups), sizeof(*f->vias));
	for (size_t i = 0; i < COUNT(links); i++)
		port_facts(config, i, f);
	for (size_t i = 0; i < COUNT(gateways); i++)
		f->vias[f->n_vias++] = (struct policy_via){
			.via.gateway = config_find_gateway(config, gateways[i].name),
			.number = i + 1,
			.up = gateways[i].up ? FL_BOTH : 0,
		};
	for (size_t i = 0; i < COUNT(groups); i++)
		f->vias[f->n_vias++] = (struct policy_via){
			.via.group = config_find_group(config, groups[i].name),
			.number = FL_VIA_GROUP | (i + 1),
			.up = (groups[i].carries[0] ? FL_INET : 0) | (groups[i].carries[1] ? FL_INET6 : 0),
		};
}

void policy_facts_free(struct policy_facts *facts)
{
	for (size_t i = 0; i < facts->n_ports; i++)
		free(facts->ports[i].addresses);
	free(facts->ports);
	free(facts->self);
	free(facts->vias);
}

static int put_groups(struct env *env, __u32 set)
{
	int err = 0;

	for (__u32 i = 0; i < 2 * COUNT(groups) && !err; i++) {
		__u32 key = FL_GROUP_INDEX(set, i / 2 + 1, i % 2);
		struct fl_group value = {};

		for (size_t slot = 0; slot < FL_GROUP_SLOTS; slot++)
			value.slot[slot] = groups[i / 2].carries[i % 2];
		err = bpf_map_update_elem(MAP(env, fl_groups), &key, &value, BPF_ANY);
	}
	return err;
}

static int put_gateways(struct env *env, __u32 set)
{
	int err = 0;

	for (__u32 i = 0; i < COUNT(gateways) && !err; i++) {
		__u32 key = FL_GATEWAY_INDEX(set, i + 1), number = i + 1, health = gateways[i].up ? FL_HEALTH_UP : 0;
		struct fl_gateway value = {
			.addr = { addr_of(gateways[i].addr), addr_of(gateways[i].addr) },
			.ifindex = env->ifindex[gateways[i].port],
			.port = gateways[i].port,
			.flags = gateways[i].addr ? 0 : FL_GATEWAY_LINK,
			.family = gateways[i].family,
			/* from the link to the routers on it, where the port has it as a member */
			.next = { i + 1 == POLICY_LINK ? POLICY_WAN4 : 0, i + 1 == POLICY_LINK ? POLICY_WAN6 : 0 },
		};

		snprintf(value.name, sizeof(value.name), "%s", gateways[i].name);
		err = bpf_map_update_elem(MAP(env, fl_gateways), &key, &value, BPF_ANY)
			      ?: bpf_map_update_elem(MAP(env, fl_health), &number, &health, BPF_ANY);
	}
	return err;
}

/* ---- rules ---- */

int policy_put(struct env *env, const struct policy *policy)
{
	__u32 set = FL_GEN_SET(env->control.gen);
	int err = put_gateways(env, set) ?: put_groups(env, set) ?: rule_sets_put(&env->policy->sets, policy, set);

	if (err)
		return err;
	env->control.policy[set] = FL_POLICY_ON | (policy->places[FL_LIST_DNAT] > 1 ? FL_POLICY_DNAT : 0) |
				   (policy->places[FL_LIST_SNAT] > 1 ? FL_POLICY_SNAT : 0);
	tables_new_generation(env);
	policy_forget(env);
	return 0;
}

int policy_on(struct env *env, const char *members)
{
	struct policy_world *w = env->policy;
	struct config_report report;
	struct policy_facts facts;
	char *text = NULL, *why = NULL;
	int err;

	policy_off(env);
	if (asprintf(&text, "{" WORLD ",%s}", members) < 0)
		return -ENOMEM;
	err = config_load_string(text, strlen(text), &w->config, &report);
	if (err)
		config_report_print(&report, "prog-test", text, stderr);
	config_report_free(&report);
	free(text);
	if (err)
		return err;
	policy_facts(env, w->config, &facts);
	err = policy_compile(w->config, &facts, w->ids, &w->policy, &why);
	policy_facts_free(&facts);
	if (err)
		fprintf(stderr, "prog-test: %s: %s\n", members, why ? why : strerror(-err));
	free(why);
	return err ?: policy_put(env, w->policy);
}

void policy_off(struct env *env)
{
	struct policy_world *w = env->policy;

	policy_destroy(w->policy);
	config_free(w->config);
	w->policy = NULL;
	w->config = NULL;
	memset(env->control.policy, 0, sizeof(env->control.policy));
	tables_new_generation(env);
}

/* ---- what is known of connections ---- */

static struct fl_rule_stats *counted_at(const struct env *env, __u32 id)
{
	return &env->policy->states.rule_stats[FL_RULE_STATS_INDEX(env->cpu, id)];
}

static void empty(int map, size_t key_size)
{
	__u8 key[128];

	if (key_size > sizeof(key))
		abort();
	while (!bpf_map_get_next_key(map, NULL, key))
		bpf_map_delete_elem(map, key);
}

void policy_forget_fragments(struct env *env)
{
	empty(MAP(env, fl_fragments), bpf_map__key_size(env->xdp->maps.fl_fragments));
}

void policy_forget(struct env *env)
{
	struct states *t = &env->policy->states;

	memset(t->buckets, 0, POLICY_BUCKETS * sizeof(*t->buckets));
	memset(t->entries, 0, POLICY_BUCKETS * FL_BUCKET_WAYS * sizeof(*t->entries));
	memset(t->counts, 0, FL_STATE_COUNTS_CPU(env->cpus) * sizeof(*t->counts));
	memset(counted_at(env, 0), 0, POLICY_IDS * sizeof(*t->rule_stats));
	memset(counted_at(env, FL_RULE_ID_DEFAULT_IN), 0, 2 * sizeof(*t->rule_stats));
	memset(t->rule_states, 0, POLICY_IDS * sizeof(*t->rule_states));
	empty(MAP(env, fl_rule_sources), sizeof(struct fl_rule_source));
	empty(MAP(env, fl_eim), sizeof(struct fl_eim_key));
	policy_forget_fragments(env);
}

struct memory {
	struct fl_bucket buckets[POLICY_BUCKETS];
	struct fl_state states[POLICY_BUCKETS * FL_BUCKET_WAYS];
	struct fl_rule_stats stats[POLICY_IDS], by_default[2];
	__u64 rule_states[POLICY_IDS];
};

size_t policy_memory_size(void)
{
	return sizeof(struct memory);
}

void policy_save(const struct env *env, void *to)
{
	const struct states *t = &env->policy->states;
	struct memory *m = to;

	memcpy(m->buckets, t->buckets, sizeof(m->buckets));
	memcpy(m->states, t->entries, sizeof(m->states));
	memcpy(m->stats, counted_at(env, 0), sizeof(m->stats));
	memcpy(m->by_default, counted_at(env, FL_RULE_ID_DEFAULT_IN), sizeof(m->by_default));
	memcpy(m->rule_states, t->rule_states, sizeof(m->rule_states));
}

void policy_restore(const struct env *env, const void *from)
{
	struct states *t = &env->policy->states;
	const struct memory *m = from;

	memcpy(t->buckets, m->buckets, sizeof(m->buckets));
	memcpy(t->entries, m->states, sizeof(m->states));
	memcpy(counted_at(env, 0), m->stats, sizeof(m->stats));
	memcpy(counted_at(env, FL_RULE_ID_DEFAULT_IN), m->by_default, sizeof(m->by_default));
	memcpy(t->rule_states, m->rule_states, sizeof(m->rule_states));
}

bool policy_is_as(const struct env *env, const void *saved)
{
	const struct states *t = &env->policy->states;
	const struct memory *m = saved;

	return !memcmp(m->buckets, t->buckets, sizeof(m->buckets)) &&
	       !memcmp(m->states, t->entries, sizeof(m->states)) &&
	       !memcmp(m->stats, counted_at(env, 0), sizeof(m->stats)) &&
	       !memcmp(m->by_default, counted_at(env, FL_RULE_ID_DEFAULT_IN), sizeof(m->by_default));
}

static bool is_state(const struct states *t, __u32 slot)
{
	__u8 kind = FL_TAG_KIND(t->buckets[slot / FL_BUCKET_WAYS].tag[slot % FL_BUCKET_WAYS]);

	return kind == FL_KIND_EMBRYONIC || kind == FL_KIND_ESTABLISHED;
}

const struct fl_state *policy_state(const struct env *env, int number)
{
	const struct states *t = &env->policy->states;

	for (__u32 slot = 0; slot < POLICY_BUCKETS * FL_BUCKET_WAYS; slot++)
		if (is_state(t, slot) && number-- == 0)
			return &t->entries[slot];
	return NULL;
}

int policy_states(const struct env *env)
{
	int n = 0;

	while (policy_state(env, n))
		n++;
	return n;
}

const char *policy_name(const struct env *env, __u16 id)
{
	const struct fl_rule_name *name = policy_ids_name(env->policy->ids, id);

	return id == FL_RULE_ID_DEFAULT_IN    ? POLICY_DEFAULT_IN
	       : id == FL_RULE_ID_DEFAULT_OUT ? POLICY_DEFAULT_OUT
	       : name			      ? name->name
					      : "";
}

static __u16 id_of(const struct env *env, const char *rule)
{
	if (!strcmp(rule, POLICY_DEFAULT_IN))
		return FL_RULE_ID_DEFAULT_IN;
	if (!strcmp(rule, POLICY_DEFAULT_OUT))
		return FL_RULE_ID_DEFAULT_OUT;
	return policy_ids_find(env->policy->ids, FL_RULE_KIND_RULE, rule);
}

__u64 policy_counted(const struct env *env, const char *rule)
{
	__u16 id = id_of(env, rule);
	const struct fl_state *st;
	__u64 sum = counted_at(env, id)->packets;

	for (int i = 0; (st = policy_state(env, i)); i++)
		if (st->rule[0] == id || st->rule[1] == id)
			sum += fl_state_packets(st, 0) + fl_state_packets(st, 1);
	return sum;
}

__u64 policy_counted_all(const struct env *env)
{
	const struct states *t = &env->policy->states;
	const struct fl_state *st;
	__u64 sum = counted_at(env, FL_RULE_ID_DEFAULT_IN)->packets + counted_at(env, FL_RULE_ID_DEFAULT_OUT)->packets;

	for (__u32 id = 0; id < POLICY_IDS; id++)
		sum += counted_at(env, id)->packets;
	for (__u32 slot = 0; slot < POLICY_BUCKETS * FL_BUCKET_WAYS; slot++) {
		st = &t->entries[slot];
		if (is_state(t, slot))
			sum += fl_state_packets(st, 0) + fl_state_packets(st, 1) + (st->rule[0] + st->rule[1]) * 1000;
	}
	return sum;
}
