// SPDX-License-Identifier: GPL-2.0-only
/*
 * What has left in clear text though it belongs in a VPN: packets of connections that came in by an interface whose rules send to that gateway,
 * and that leave by a port of another gateway's which is no VPN's. Programs forward beside whatever listens on a device, so the state table is
 * asked, in which every connection counts what has passed.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/daemon/daemon.h"
#include "user/daemon/drill.h"
#include "user/lib/clock.h"

#define LEAKS_MS 500 /* at most; others wait */

struct leaks {
	struct daemon *d;
	const struct config_gateway *gateway;
	size_t interface, egress, packets; /* columns */
	json_int_t n;
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

static const char *text_at(const json_t *row, size_t i)
{
	const char *text = json_string_value(json_array_get(row, i));

	return text ? text : "";
}

static void count_rows(struct leaks *l, const char *rows)
{
	while (*rows) {
		size_t len = strcspn(rows, "\n");
		json_t *row = json_loadb(rows, len, 0, NULL);

		if (is_clear(l, text_at(row, l->egress)) && is_protected(l, text_at(row, l->interface)))
			l->n += json_integer_value(json_array_get(row, l->packets));
		json_decref(row);
		rows += len + (rows[len] == '\n');
	}
}

/* Interface by interface: the table is asked for nothing else. */
static int count_port(struct leaks *l, const char *port, long long until_ms)
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
			count_rows(l, rows);
	}
	datapath_states_close(cursor);
	return cursor && !more ? 0 : -ETIMEDOUT;
}

json_t *drill_leaks(struct daemon *d, const char *gateway)
{
	struct leaks l = { .d = d,
			   .gateway = config_find_gateway(d->apply.running, gateway),
			   .interface = column("interface"),
			   .egress = column("egress"),
			   .packets = column("packets") };
	long long until = clock_ms(CLOCK_MONOTONIC) + LEAKS_MS;
	int err = l.gateway ? 0 : -ENOENT;

	for (size_t i = 0; !err && i < d->apply.running->n_interfaces; i++)
		if (is_protected(&l, d->apply.running->interfaces[i].name))
			err = count_port(&l, d->apply.running->interfaces[i].name, until);
	return err ? NULL : json_pack("{s:I}", "packets", l.n);
}
