// SPDX-License-Identifier: GPL-2.0-only
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/config/suggest.h"
#include "user/drill/drill.h"

#define SETTLE_MS 1500 /* behind the moment at which all should be as it will be */
#define CHANGE_INTERVALS 2
#define PEER_DEAD_MS 3000 /* until a channel knows that the peer is gone */

/* ---- times ---- */

static long base_ms(const struct config_vip *v)
{
	return v->fast_ms ? (long)v->fast_ms : v->advbase_s * 1000L;
}

/* Of one whose skew is that; advbase_s 0: the skew is all of it. */
static long interval_ms(const struct config_vip *v, unsigned int skew)
{
	long base = base_ms(v);

	return base + (long)skew * (v->fast_ms ? base : 1000) / 256 + 1;
}

long drill_interval_ms(const struct config *config)
{
	long longest = 0;

	for (size_t i = 0; i < config->n_vips; i++) {
		long ms = interval_ms(&config->vips[i], config->vips[i].advskew);

		longest = ms > longest ? ms : longest;
	}
	return longest;
}

/* The standby's own skew counts, which this configuration does not know: it is 254 at most. */
long drill_patience_ms(const struct config *config)
{
	long longest = 0;

	for (size_t i = 0; i < config->n_vips; i++) {
		const struct config_vip *v = &config->vips[i];
		long ms = base_ms(v) ? 2 * base_ms(v) + interval_ms(v, 254) : 3 * interval_ms(v, 254);

		longest = ms > longest ? ms : longest;
	}
	return longest;
}

/* Until two masters are no change any more but a split brain (user/vip/vhids_watch.c), once both are. */
static long split_ms(const struct config *config)
{
	long longest = 0;

	for (size_t i = 0; i < config->n_vips; i++) {
		long ms = CHANGE_INTERVALS * interval_ms(&config->vips[i], 254);

		longest = ms > longest ? ms : longest;
	}
	return longest;
}

long drill_hold_ms(const struct config *config, const struct drill_scenario *s)
{
	long ms = s->expects & DRILL_PAIR ? drill_patience_ms(config) : 0;

	if (s->expects & DRILL_TWO_MASTERS)
		ms += split_ms(config);

	if (s->expects & DRILL_CUTS && ms < PEER_DEAD_MS)
		ms = PEER_DEAD_MS;
	return ms + SETTLE_MS;
}

/* ---- targets ---- */

static bool has_gateway(const struct config *config, const struct config_interface *interface)
{
	for (size_t i = 0; i < config->n_gateways; i++)
		if (config->gateways[i].interface == interface)
			return true;
	return false;
}

static bool is_sync(const struct config *config, const struct config_interface *interface)
{
	return config->ha.interface == interface;
}

/* The LAN's has shared addresses and no gateway, the WAN's has a gateway; with both, the first. NULL: none */
static const struct config_interface *find_link(const struct config *config, bool wan)
{
	const struct config_interface *second = NULL;

	for (size_t i = 0; i < config->n_interfaces; i++) {
		const struct config_interface *one = &config->interfaces[i];

		if (has_gateway(config, one) != wan || (!wan && is_sync(config, one) && !config_has_vip(config, one)))
			continue;
		if (config_has_vip(config, one))
			return one;
		second = second ? second : one;
	}
	return wan ? second : NULL;
}

static json_t *one_name(const char *name)
{
	return json_pack("[s]", name);
}

static void say(char **why, const char *what, const char *name, const char *best)
{
	if (asprintf(why, "no %s is named \"%s\"%s%s%s", what, name, best ? "; did you mean \"" : "", best ? best : "",
		     best ? "\"?" : "") < 0)
		*why = NULL;
}

static json_t *wanted_interface(const struct config *config, const char *wanted, char **why)
{
	struct suggest near = { .given = wanted };

	if (config_find_interface(config, wanted))
		return one_name(wanted);
	for (size_t i = 0; i < config->n_interfaces; i++)
		suggest_offer(&near, config->interfaces[i].name);
	say(why, "interface", wanted, near.best);
	return NULL;
}

static json_t *wanted_gateway(const struct config *config, const char *wanted, char **why)
{
	struct suggest near = { .given = wanted };

	if (config_find_gateway(config, wanted))
		return one_name(wanted);
	for (size_t i = 0; i < config->n_gateways; i++)
		suggest_offer(&near, config->gateways[i].name);
	say(why, "gateway", wanted, near.best);
	return NULL;
}

/* What rules send there is what could leak. */
static json_t *wanted_vpn(const struct config *config, const char *wanted, char **why)
{
	const struct config_gateway *gateway = config_find_gateway(config, wanted);

	if (gateway && config_is_steered_to(config, gateway))
		return one_name(wanted);
	if (gateway && asprintf(why, "no rule sends to %s (route_to), so nothing of it could leak", wanted) < 0)
		*why = NULL;
	return gateway ? NULL : wanted_gateway(config, wanted, why);
}

static json_t *all_interfaces(const struct config *config)
{
	json_t *all = json_array();

	for (size_t i = 0; i < config->n_interfaces; i++)
		json_array_append_new(all, json_string(config->interfaces[i].name));
	return all;
}

static json_t *choose_link(const struct config *config, bool wan, char **why)
{
	const struct config_interface *link = find_link(config, wan);

	if (link)
		return one_name(link->name);
	*why = strdup(wan ? "no interface has a gateway; name one by --target"
			  : "no interface without a gateway has shared addresses; name one by --target");
	return NULL;
}

/* Of the group that the first default route leads to, a member of the first tier; else the first route's gateway. */
static json_t *choose_gateway(const struct config *config, char **why)
{
	const struct config_group *group = NULL;
	const struct config_member *first = NULL;

	for (size_t i = 0; i < config->n_routes && !group; i++)
		group = config->routes[i].via.group;
	group = group ? group : config->n_groups ? &config->groups[0] : NULL;
	for (size_t i = 0; group && i < group->n_members; i++)
		if (!first || group->members[i].tier < first->tier)
			first = &group->members[i];
	if (first)
		return one_name(first->gateway->name);
	*why = strdup("no group of gateways is there, so that nothing takes the place of one; name it by --target");
	return NULL;
}

/* The only one that rules send to by itself. */
static json_t *choose_vpn(const struct config *config, char **why)
{
	const struct config_gateway *vpn = NULL;

	for (size_t i = 0; i < config->n_rules; i++) {
		const struct config_gateway *to = config->rules[i].route_to.gateway;

		if (to && vpn && to != vpn) {
			*why = strdup("rules send to several gateways; name the VPN's by --target");
			return NULL;
		}
		vpn = to ? to : vpn;
	}
	if (vpn)
		return one_name(vpn->name);
	*why = strdup("no rule sends to a gateway of its own (route_to); name the VPN's by --target");
	return NULL;
}

json_t *drill_choose(const struct config *config, const struct drill_scenario *s, const char *wanted, char **why)
{
	*why = NULL;
	switch (s->targets) {
	case DRILL_LAN:
	case DRILL_WAN:
		return wanted ? wanted_interface(config, wanted, why)
			      : choose_link(config, s->targets == DRILL_WAN, why);
	case DRILL_GATEWAY:
		return wanted ? wanted_gateway(config, wanted, why) : choose_gateway(config, why);
	case DRILL_VPN:
		return wanted ? wanted_vpn(config, wanted, why) : choose_vpn(config, why);
	default:
		break;
	}
	if (wanted) {
		if (asprintf(why, "%s takes no --target", s->name) < 0)
			*why = NULL;
		return NULL;
	}
	if (s->targets == DRILL_SYNC)
		return one_name(config->ha.interface->name);
	return s->targets == DRILL_ALL ? all_interfaces(config) : json_array();
}
