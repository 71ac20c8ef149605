// SPDX-License-Identifier: GPL-2.0-only
/*
 * What may have left in clear text though it belongs in a VPN: connections that came in by an interface whose rules send to that gateway, and that
 * leave by a port of another gateway's which is no VPN's. Programs forward beside whatever listens on a device, so the state table is
 * asked, in which every connection counts what has passed. Whether the rules would have sent it there is asked of the programs, when the
 * VPN is up again (user/drill/leaks.c); here only those are left out of which an order of rules tells that.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/daemon/daemon.h"
#include "user/daemon/drill.h"
#include "user/lib/clock.h"

#define LEAKS_MS 500   /* at most; others wait */
#define FLOWS_MAX 2000 /* that are told: each is a question to the programs */

enum column {
	INTERFACE,
	EGRESS,
	GATEWAY,
	RULE,
	PROTOCOL,
	SOURCE,
	SOURCE_PORT,
	DESTINATION,
	DESTINATION_PORT,
	IDLE,
	PACKETS,
	COLUMNS
};

static const char *const column_names[COLUMNS] = {
	[INTERFACE] = "interface",
	[EGRESS] = "egress",
	[GATEWAY] = "gateway",
	[RULE] = "rule",
	[PROTOCOL] = "protocol",
	[SOURCE] = "source",
	[SOURCE_PORT] = "source_port",
	[DESTINATION] = "destination",
	[DESTINATION_PORT] = "destination_port",
	[IDLE] = "idle_ms",
	[PACKETS] = "packets",
};

struct leaks {
	struct daemon *d;
	const struct config_gateway *gateway;
	long long since_ms; /* what has not sent for so long is none of this drill's */
	size_t at[COLUMNS];
	json_int_t through, more; /* packets by the gateway; flows that are not told */
	json_t *flows;		  /* by what makes them one */
};

static size_t column(const char *name)
{
	size_t i;

	for (i = 0; datapath_state_columns[i] && strcmp(datapath_state_columns[i], name); i++)
		;
	return i;
}

/* One with other traffic's way out is not the inside. */
static bool has_gateway(const struct config *config, const char *port)
{
	for (size_t i = 0; i < config->n_gateways; i++) {
		const struct config_gateway *g = &config->gateways[i];

		if (!strcmp(g->interface ? g->interface->name : g->tunnel->name, port))
			return true;
	}
	return false;
}

static bool names_link(const struct config_match *match, const char *port)
{
	for (size_t i = 0; i < match->n_links; i++) {
		const struct config_link *link = &match->links[i];

		if (!strcmp(link->interface ? link->interface->name : link->tunnel->name, port))
			return true;
	}
	return false;
}

/* Rules send from there to the gateway; one that names no interface does from the whole inside. */
static bool is_protected(const struct leaks *l, const char *port)
{
	const struct config *config = l->d->apply.running;

	for (size_t i = 0; i < config->n_rules; i++) {
		const struct config_rule *rule = &config->rules[i];

		if (rule->route_to.gateway != l->gateway)
			continue;
		if (rule->match.n_links ? names_link(&rule->match, port) : !has_gateway(config, port))
			return true;
	}
	return false;
}

/* By kinds of devices; fairlead's own tunnels encrypt nothing. */
static bool encrypts(const struct leaks *l, const struct config_interface *interface)
{
	static const char *const kinds[] = { "tun", "wireguard", "xfrm", "vti", "vti6" };
	const struct system_link *link = interface ? system_link_by_name(l->d->system, interface->device) : NULL;

	for (size_t i = 0; link && i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strcmp(link->kind, kinds[i]))
			return true;
	return false;
}

static bool is_clear(const struct leaks *l, const char *port)
{
	const struct config *config = l->d->apply.running;

	for (size_t i = 0; i < config->n_gateways; i++) {
		const struct config_gateway *g = &config->gateways[i];

		if (g != l->gateway && !strcmp(g->interface ? g->interface->name : g->tunnel->name, port) &&
		    !encrypts(l, g->interface))
			return true;
	}
	return false;
}

static const json_t *cell(const struct leaks *l, const json_t *row, enum column which)
{
	return json_array_get(row, l->at[which]);
}

static const char *text_at(const struct leaks *l, const json_t *row, enum column which)
{
	const char *text = json_string_value(cell(l, row, which));

	return text ? text : "";
}

/*
 * Whether one of the rules that send to the gateway may have been passed over because that is down. Not where a quick rule before all of
 * them has decided, nor where none of them is quick, and one behind them has.
 */
static bool may_belong(const struct leaks *l, const char *decider)
{
	const struct config *config = l->d->apply.running;
	const struct config_rule *rule = NULL;
	bool before = true, behind = true;

	for (size_t i = 0; i < config->n_rules && !rule; i++)
		if (!strcmp(config->rules[i].name, decider))
			rule = &config->rules[i];
	for (size_t i = 0; rule && i < config->n_rules; i++) {
		const struct config_rule *to = &config->rules[i];

		if (to->route_to.gateway != l->gateway)
			continue;
		before &= rule->index < to->index;
		behind &= rule->index > to->index && !to->quick;
	}
	return !rule || !((before && rule->quick) || behind);
}

static void add_flow(struct leaks *l, const json_t *row)
{
	static const enum column told[] = { INTERFACE, EGRESS,	    RULE,	 PROTOCOL,
					    SOURCE,    SOURCE_PORT, DESTINATION, DESTINATION_PORT };
	char key[512];
	json_t *flow;
	json_int_t packets = json_integer_value(cell(l, row, PACKETS));

	snprintf(key, sizeof(key), "%s %s %s %s %lld", text_at(l, row, INTERFACE), text_at(l, row, PROTOCOL),
		 text_at(l, row, SOURCE), text_at(l, row, DESTINATION),
		 (long long)json_integer_value(cell(l, row, DESTINATION_PORT)));
	flow = json_object_get(l->flows, key);
	if (flow) {
		packets += json_integer_value(json_object_get(flow, "packets"));
	} else if (json_object_size(l->flows) == FLOWS_MAX) {
		l->more++;
		return;
	} else {
		flow = json_object();
		for (size_t i = 0; i < sizeof(told) / sizeof(told[0]); i++)
			json_object_set(flow, column_names[told[i]], (json_t *)cell(l, row, told[i]));
		json_object_set_new(l->flows, key, flow);
	}
	json_object_set_new(flow, "packets", json_integer(packets));
}

static void take_row(struct leaks *l, const json_t *row)
{
	if (!is_protected(l, text_at(l, row, INTERFACE)))
		return;
	if (!strcmp(text_at(l, row, GATEWAY), l->gateway->name))
		l->through += json_integer_value(cell(l, row, PACKETS));
	else if (is_clear(l, text_at(l, row, EGRESS)) && json_integer_value(cell(l, row, IDLE)) <= l->since_ms &&
		 may_belong(l, text_at(l, row, RULE)))
		add_flow(l, row);
}

static void take_rows(struct leaks *l, const char *rows)
{
	while (*rows) {
		size_t len = strcspn(rows, "\n");
		json_t *row = json_loadb(rows, len, 0, NULL);

		take_row(l, row);
		json_decref(row);
		rows += len + (rows[len] == '\n');
	}
}

/* Interface by interface: the table is asked for nothing else. */
static int take_port(struct leaks *l, const char *port, long long until_ms)
{
	const struct states_query query = { .doing = STATES_SHOW, .interface = port };
	struct states_cursor *cursor;
	const char *rows;
	char *why = NULL;
	int more = 1;

	cursor = datapath_states_open(l->d->datapath, &query, &why);
	free(why);
	while (cursor && more > 0 && clock_ms(CLOCK_MONOTONIC) < until_ms) {
		more = datapath_states_go(cursor, &rows);
		if (more >= 0)
			take_rows(l, rows);
	}
	datapath_states_close(cursor);
	return cursor && !more ? 0 : -ETIMEDOUT;
}

static json_t *flows_of(struct leaks *l)
{
	json_t *flows = json_array(), *flow;
	const char *key;

	json_object_foreach(l->flows, key, flow) {
		json_array_append(flows, flow);
	}
	return flows;
}

json_t *drill_leaks(struct daemon *d, const char *gateway, long long since_ms)
{
	struct leaks l = { .d = d,
			   .gateway = config_find_gateway(d->apply.running, gateway),
			   .since_ms = since_ms,
			   .flows = json_object() };
	long long until = clock_ms(CLOCK_MONOTONIC) + LEAKS_MS;
	int err = l.gateway && l.flows ? 0 : -ENOENT;
	json_t *answer = NULL;

	for (enum column i = 0; i < COLUMNS; i++)
		l.at[i] = column(column_names[i]);
	for (size_t i = 0; !err && i < d->apply.running->n_interfaces; i++)
		if (is_protected(&l, d->apply.running->interfaces[i].name))
			err = take_port(&l, d->apply.running->interfaces[i].name, until);
	if (!err)
		answer = json_pack("{s:I,s:o,s:I}", "through", l.through, "flows", flows_of(&l), "more", l.more);
	json_decref(l.flows);
	return answer;
}
