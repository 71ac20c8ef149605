// SPDX-License-Identifier: GPL-2.0-only
/* From the lists of the configuration to places, what is done there, and the table that finds them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/policy/compile.h"
#include "user/policy/ids.h"

static int fail(struct builder *b, int err, const char *text)
{
	b->err = b->err ? b->err : err;
	if (b->why && !*b->why)
		*b->why = strdup(text);
	return b->err;
}

/* ---- tags: numbers for names ---- */

static uint16_t tag_number(struct builder *b, const char *name)
{
	uint16_t i;

	if (!name)
		return 0;
	for (i = 1; i <= b->n_tags; i++) {
		if (!strcmp(b->tags[i], name))
			return i;
	}
	if (b->n_tags + 1 == FL_TAGS_MAX) {
		fail(b, -ENOSPC, "more than 1023 different tags");
		return 0;
	}
	b->tags[++b->n_tags] = name;
	return b->n_tags;
}

/* ---- items ---- */

/* The first list that has the item at bits[0]; the one behind it has bits[1]. */
static enum fl_list lists_of(const struct item *item)
{
	return item->rule ? FL_LIST_IN : FL_LIST_DNAT;
}

static struct item *add_item(struct builder *b, const struct item *item, bool first, bool second)
{
	enum fl_list list = lists_of(item);
	struct item *added;

	if (grow((void **)&b->items, &b->cap_items, b->n_items, sizeof(*b->items))) {
		fail(b, -ENOMEM, "out of memory");
		return NULL;
	}
	added = &b->items[b->n_items++];
	*added = *item;
	/* places, until it is known where the lists begin */
	added->bits[0] = first ? ++b->policy->places[list] : 0;
	added->bits[1] = second ? ++b->policy->places[list + 1] : 0;
	return added;
}

static void add_rule(struct builder *b, const struct config_rule *rule)
{
	struct item item = {
		.rule = rule,
		.links = rule->match.links,
		.n_links = rule->match.n_links,
		.match = &rule->match,
		.source = &rule->match.source,
		.destination = &rule->match.destination,
		.families = rule->match.families,
		.tag = tag_number(b, rule->tag),
		.tagged = tag_number(b, rule->tagged),
	};

	if (may_skip(rule) && item.families == FL_BOTH) { /* what it sends to may be down for one of them */
		item.families = FL_INET;
		add_item(b, &item, rule->direction != CONFIG_OUT, rule->direction != CONFIG_IN);
		item.families = FL_INET6;
	}
	add_item(b, &item, rule->direction != CONFIG_OUT, rule->direction != CONFIG_IN);
}

static struct item nat_item(const struct config_nat *nat)
{
	return (struct item){
		.nat = nat,
		.links = nat->match.links,
		.n_links = nat->match.n_links,
		.match = &nat->match,
		.source = &nat->match.source,
		.destination = &nat->match.destination,
		.families = nat->match.families,
	};
}

/* From outside: what goes to the outer address. The other end, which `destination` names, is the source here. */
static void add_inward(struct builder *b, const struct config_nat *nat, const struct config_link *link)
{
	struct item item = nat_item(nat);

	item.source = &nat->match.destination;
	if (nat->exempt) {
		item.destination = &nat->match.source;
	} else if (nat->to_interface) {
		item.term = (struct config_term){ .kind = CONFIG_TERM_ADDRESS, .link = *link };
		item.links = link;
		item.n_links = 1;
	} else {
		item.term = (struct config_term){ .kind = CONFIG_TERM_RANGE, .range = { nat->to, nat->to } };
	}
	add_item(b, &item, true, false);
}

static void add_nat(struct builder *b, const struct config_nat *nat)
{
	struct item item = nat_item(nat);
	size_t i;

	if (nat->type == CONFIG_ONE_TO_ONE) {
		/* one for each interface where each has an address of its own */
		for (i = 0; i < (nat->to_interface ? nat->match.n_links : 1); i++)
			add_inward(b, nat, &nat->match.links[i]);
	}
	add_item(b, &item, nat->type == CONFIG_DNAT, nat->type != CONFIG_DNAT);
}

/* An item that has a destination of its own: pointers to it, now that items do not move any more. */
static void own_endpoint(struct item *item)
{
	if (item->term.kind == CONFIG_TERM_NONE)
		return;
	item->own = (struct config_endpoint){ .terms = &item->term, .n_terms = 1 };
	item->destination = &item->own;
}

/* Where the lists begin, and what is there if nothing matches; the default has a place of its own. */
static int place_lists(struct builder *b)
{
	uint32_t *places = b->policy->places, line = 0;
	enum fl_list list;
	size_t i;

	for (list = 0; list < FL_LISTS; list++) {
		b->list[list].first = line;
		line += places[list] ? places[list] / FL_LINE_BITS + 1 : 0;
		if (list <= FL_LIST_OUT)
			b->list[list].none = ++places[list];
		if (++places[list] > FL_RULES_MAX)
			return fail(b, -ENOSPC, "more rules or translations than the data plane takes");
	}
	b->n_lines = line;
	for (i = 0; i < b->n_items; i++) {
		struct item *item = &b->items[i];

		list = lists_of(item);
		own_endpoint(item);
		item->bits[0] += item->bits[0] ? b->list[list].first * FL_LINE_BITS : 0;
		item->bits[1] += item->bits[1] ? b->list[list + 1].first * FL_LINE_BITS : 0;
	}
	return 0;
}

static int make_items(struct builder *b)
{
	const struct config *c = b->config;
	size_t i;

	b->tags = calloc(FL_TAGS_MAX, sizeof(*b->tags));
	if (!b->tags)
		return fail(b, -ENOMEM, "out of memory");
	for (i = 0; !b->err && i < c->n_rules; i++)
		add_rule(b, &c->rules[i]);
	for (i = 0; !b->err && i < c->n_nat; i++)
		add_nat(b, &c->nat[i]);
	return b->err ? b->err : place_lists(b);
}

/* ---- what is done ---- */

static uint16_t via_number(const struct builder *b, const struct config_via *via)
{
	const struct policy_via *found = policy_via(b->facts, via);

	return found ? found->number : 0;
}

static struct fl_rule rule_value(const struct builder *b, const struct item *item, uint16_t id)
{
	static const uint8_t actions[] = {
		[CONFIG_PASS] = FL_PASS,
		[CONFIG_BLOCK] = FL_BLOCK,
		[CONFIG_REJECT] = FL_REJECT,
	};
	static const uint8_t rejects[] = {
		[CONFIG_REJECT_AUTO] = FL_REJECT_AUTO,
		[CONFIG_REJECT_RESET] = FL_REJECT_RESET,
		[CONFIG_REJECT_ADMIN] = FL_REJECT_ADMIN,
		[CONFIG_REJECT_PORT] = FL_REJECT_PORT,
	};
	static const uint8_t keeps[] = {
		[CONFIG_STATE_KEEP] = FL_KEEP,
		[CONFIG_STATE_LOOSE] = FL_KEEP_LOOSE,
		[CONFIG_STATE_NONE] = FL_KEEP_NONE,
	};
	const struct config_rule *rule = item->rule;

	return (struct fl_rule){
		.id = id,
		.action = actions[rule->action],
		.reject = rejects[rule->reject_with],
		.keep = keeps[rule->state],
		.flags = (rule->log ? FL_RULE_LOG : 0) | (rule->quick ? FL_RULE_QUICK : 0) |
			 (rule->when_down == CONFIG_DOWN_REJECT ? FL_RULE_DOWN_REJECT : 0),
		.tag = item->tag,
		.route_to = via_number(b, &rule->route_to),
		.reply_to = via_number(b, &rule->reply_to),
		.max_states = rule->max_states,
		.max_states_per_source = rule->max_states_per_source,
	};
}

static void nat_ports(const struct config_nat *nat, struct fl_nat *value)
{
	value->port_lo = nat->to_ports.first;
	value->port_hi = nat->to_ports.last;
	if (nat->type == CONFIG_DNAT && nat->match.destination.n_ports)
		value->match_lo = nat->match.destination.ports[0].first;
}

static struct fl_nat nat_value(const struct item *item, uint16_t id)
{
	const struct config_nat *nat = item->nat;
	bool both = nat->type == CONFIG_ONE_TO_ONE;
	struct fl_nat value = { .id = id };

	if (nat->exempt) {
		value.flags = FL_NAT_EXEMPT;
		return value;
	}
	if (nat->static_port || both)
		value.flags |= FL_NAT_STATIC_PORT;
	if (nat->endpoint_independent)
		value.flags |= FL_NAT_EIM;
	if (both && item->bits[0])
		value.to = addr_to_map(&nat->match.source.terms[0].range.first);
	else if (nat->to_interface)
		value.flags |= FL_NAT_TO_INTERFACE;
	else
		value.to = addr_to_map(&nat->to);
	nat_ports(nat, &value);
	return value;
}

static uint32_t place_of(const struct builder *b, enum fl_list list, uint32_t bit)
{
	return bit - b->list[list].first * FL_LINE_BITS;
}

static void place_value(struct builder *b, const struct item *item, uint16_t id)
{
	enum fl_list list = lists_of(item);
	uint32_t i;

	for (i = 0; i < 2; i++, list++) {
		if (item->bits[i] && item->rule)
			b->policy->rules[list][place_of(b, list, item->bits[i])] = rule_value(b, item, id);
		else if (item->bits[i])
			b->policy->nats[list][place_of(b, list, item->bits[i])] = nat_value(item, id);
	}
}

static struct fl_rule default_rule(enum config_action action, uint16_t id)
{
	return (struct fl_rule){
		.id = id,
		.action = action == CONFIG_PASS	   ? FL_PASS
			  : action == CONFIG_BLOCK ? FL_BLOCK
						   : FL_REJECT,
	};
}

/* The configuration's own order: whose id it is. */
static void keep_id(struct builder *b, const struct item *item, uint16_t id)
{
	if (item->rule)
		b->policy->rule_ids[item->rule - b->config->rules] = id;
	else
		b->policy->nat_ids[item->nat - b->config->nat] = id;
}

static int make_values(struct builder *b, struct policy_ids *ids)
{
	struct policy *p = b->policy;
	const void *last = NULL;
	enum fl_list list;
	int id = 0;
	size_t i;

	for (list = 0; list < FL_LISTS; list++) {
		p->rules[list] = list <= FL_LIST_OUT ? calloc(p->places[list], sizeof(**p->rules)) : NULL;
		p->nats[list] = list > FL_LIST_OUT ? calloc(p->places[list], sizeof(**p->nats)) : NULL;
		if (!p->rules[list] && !p->nats[list])
			return fail(b, -ENOMEM, "out of memory");
	}
	p->rule_ids = calloc(b->config->n_rules + 1, sizeof(*p->rule_ids));
	p->nat_ids = calloc(b->config->n_nat + 1, sizeof(*p->nat_ids));
	if (!p->rule_ids || !p->nat_ids)
		return fail(b, -ENOMEM, "out of memory");
	ids_begin(ids, b->facts->states);
	for (i = 0; i < b->n_items; i++) {
		const struct item *item = &b->items[i];
		const void *whose = item->rule ? (const void *)item->rule : (const void *)item->nat;

		if (whose != last)
			id = item->rule ? ids_of_rule(ids, item->rule) : ids_of_nat(ids, item->nat);
		last = whose;
		if (id < 0)
			return fail(b, id, id == -ENOSPC ? "all ids of rules are in use by states" : "out of memory");
		keep_id(b, item, (uint16_t)id);
		place_value(b, item, (uint16_t)id);
	}
	ids_end(ids);
	/* what is asked for by nobody, unless there is no table */
	p->rules[FL_LIST_IN][0].action = p->rules[FL_LIST_OUT][0].action = FL_BLOCK;
	p->rules[FL_LIST_IN][b->list[FL_LIST_IN].none] = default_rule(b->config->default_in, FL_RULE_ID_DEFAULT_IN);
	p->rules[FL_LIST_OUT][b->list[FL_LIST_OUT].none] = default_rule(b->config->default_out, FL_RULE_ID_DEFAULT_OUT);
	return 0;
}

/* ---- the table ---- */

static uint64_t *word_at(struct builder *b, uint32_t offset, uint32_t bit)
{
	return (uint64_t *)table_pointer(b, offset + bit / 64 * 8);
}

static void set_bits(struct builder *b, uint32_t offset, const struct item *item)
{
	size_t i;

	for (i = 0; i < 2; i++) {
		if (item->bits[i])
			*word_at(b, offset, item->bits[i]) |= 1ULL << item->bits[i] % 64;
	}
}

/* Lines of all lists that are written out. */
static void make_masks(struct builder *b)
{
	size_t bytes = b->n_lines * FL_LINE_SIZE, i;

	b->head.live = table_reserve(b, bytes, FL_LINE_SIZE);
	b->head.quick = table_reserve(b, bytes, FL_LINE_SIZE);
	b->head.taggers = table_reserve(b, bytes, FL_LINE_SIZE);
	for (i = 0; !b->err && i < b->n_items; i++) {
		const struct item *item = &b->items[i];

		set_bits(b, b->head.live, item);
		if (item->nat || item->rule->quick) /* of translations the first counts */
			set_bits(b, b->head.quick, item);
		if (item->tag)
			set_bits(b, b->head.taggers, item);
	}
}

static int make_table(struct builder *b)
{
	enum fl_dim dim;

	while (1u << b->head.row_shift < row_bytes(b))
		b->head.row_shift++;
	table_reserve(b, sizeof(b->head), FL_LINE_SIZE);
	make_masks(b);
	for (dim = 0; dim < FL_DIMS; dim++) {
		if (dim == FL_DIM_SRC || dim == FL_DIM_DST)
			compile_addresses(b, dim);
		else if (dim == FL_DIM_SPORT || dim == FL_DIM_DPORT)
			compile_ports(b, dim);
		else
			compile_values(b, dim);
	}
	/* behind the trees, which every packet is searched in: in the first segment that costs least */
	table_rows(b);
	table_lines(b);
	if (b->err)
		return fail(b, b->err,
			    b->err == -ENOSPC ? "the rules' table would be bigger than 2 GB" : "out of memory");
	b->head.bytes = (uint32_t)b->policy->table_bytes;
	memcpy(b->head.list, b->list, sizeof(b->head.list));
	memcpy(b->policy->table, &b->head, sizeof(b->head));
	return 0;
}

static void builder_free(struct builder *b)
{
	enum fl_dim dim;

	for (dim = 0; b->rows && dim < FL_DIMS; dim++)
		rows_free(&b->rows[dim]);
	free(b->rows);
	free(b->items);
	free(b->tags);
	free(b->lines);
	hash_free(&b->numbers);
}

int policy_compile(const struct config *config, const struct policy_facts *facts, struct policy_ids *ids,
		   struct policy **out, char **why)
{
	struct builder *b = calloc(1, sizeof(*b)); /* bigger than a stack likes */
	int err;

	if (!b)
		return -ENOMEM;
	b->config = config;
	b->facts = facts;
	b->why = why;
	b->policy = calloc(1, sizeof(*b->policy));
	b->n_numbers = 1; /* the empty line */
	b->lines = calloc(1, FL_LINE_SIZE);
	b->cap_lines = 1;
	b->rows = calloc(FL_DIMS, sizeof(*b->rows));
	if (!b->policy || !b->lines || !b->rows)
		fail(b, -ENOMEM, "out of memory");
	if (!b->err && !make_items(b) && !make_values(b, ids) && !make_table(b))
		compile_conditions(b);
	err = b->err;
	if (err)
		policy_destroy(b->policy);
	else
		*out = b->policy;
	builder_free(b);
	free(b);
	return err;
}

void policy_destroy(struct policy *policy)
{
	enum fl_list list;

	if (!policy)
		return;
	for (list = 0; list < FL_LISTS; list++) {
		free(policy->rules[list]);
		free(policy->nats[list]);
	}
	free(policy->rule_ids);
	free(policy->nat_ids);
	free(policy->conditions);
	free(policy->table);
	free(policy);
}
