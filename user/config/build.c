/* SPDX-License-Identifier: GPL-2.0-only */
/* From draft to struct config, the disabled items left behind; and freeing both. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "user/config/draft.h"

/* ---- freeing ---- */

static void free_interfaces(struct config_interface *items, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		free(items[i].name);
		free(items[i].device);
	}
	free(items);
}

static void free_remote(struct config_remote *r)
{
	free(r->name);
	free(r->host);
	free(r->routes);
}

static void free_aliases(struct config_alias *items, size_t n)
{
	size_t i, j;

	for (i = 0; i < n; i++) {
		for (j = 0; j < items[i].n_entries; j++) {
			if (items[i].entries[j].kind == CONFIG_ENTRY_ALIAS)
				free(items[i].entries[j].alias.name);
		}
		free(items[i].entries);
		free(items[i].file);
		free(items[i].name);
	}
	free(items);
}

/* What the tunnel owns, not the struct. */
static void free_tunnel(struct config_tunnel *t)
{
	size_t i;

	for (i = 0; i < t->n_remotes; i++)
		free_remote(&t->remotes[i]);
	free(t->remotes);
	free(t->addresses);
	free(t->name);
}

void config_free(struct config *config)
{
	size_t i;

	if (!config)
		return;
	free_interfaces(config->interfaces, config->n_interfaces);
	for (i = 0; i < config->n_tunnels; i++)
		free_tunnel(&config->tunnels[i]);
	free(config->tunnels);
	for (i = 0; i < config->n_gateways; i++)
		free(config->gateways[i].name);
	free(config->gateways);
	free(config->routes);
	free(config->translations);
	policy_free(config);
	free_aliases(config->aliases, config->n_aliases);
	free(config->node);
	free(config->text);
	free(config);
}

void draft_free(struct draft *d)
{
	size_t i;

	free_interfaces(d->interfaces, d->n_interfaces);
	for (i = 0; i < d->n_tunnels; i++) {
		free_tunnel(&d->tunnels[i].item);
		free_remote(&d->tunnels[i].single);
		free(d->tunnels[i].underlay);
	}
	free(d->tunnels);
	for (i = 0; i < d->n_gateways; i++) {
		free(d->gateways[i].item.name);
		free(d->gateways[i].interface);
	}
	free(d->gateways);
	for (i = 0; i < d->n_routes; i++)
		free(d->routes[i].gateway);
	free(d->routes);
	for (i = 0; i < d->n_translations; i++) {
		free(d->translations[i].interface);
		free(d->translations[i].from);
	}
	free(d->translations);
	draft_policy_free(d);
	free_aliases(d->aliases, d->n_aliases);
	free(d->node);
	memset(d, 0, sizeof(*d));
}

/* ---- building ---- */

static char *host_name(void)
{
	char name[256] = "";

	if (gethostname(name, sizeof(name) - 1) || !name[0])
		return strdup("localhost");
	return strdup(name);
}

static void build_tunnels(struct config *config, struct draft *d)
{
	size_t i;

	for (i = 0; i < d->n_tunnels; i++) {
		struct draft_tunnel *from = &d->tunnels[i];
		struct config_tunnel *to = &config->tunnels[config->n_tunnels];

		if (from->disabled)
			continue;
		*to = from->item;
		memset(&from->item, 0, sizeof(from->item));
		to->underlay = from->underlay_ref;
		from->built = to;
		config->n_tunnels++;
	}
}

static void build_gateways(struct config *config, struct draft *d)
{
	size_t i;

	for (i = 0; i < d->n_gateways; i++) {
		struct draft_gateway *from = &d->gateways[i];
		struct config_gateway *to = &config->gateways[config->n_gateways];

		if (from->disabled)
			continue;
		*to = from->item;
		memset(&from->item, 0, sizeof(from->item));
		to->interface = from->port.interface;
		to->tunnel = from->port.tunnel ? from->port.tunnel->built : NULL;
		from->built = to;
		config->n_gateways++;
	}
}

static void build_routes(struct config *config, struct draft *d)
{
	size_t i;

	for (i = 0; i < d->n_routes; i++) {
		if (d->routes[i].disabled)
			continue;
		config->routes[config->n_routes] = d->routes[i].item;
		config->routes[config->n_routes++].gateway = d->routes[i].gateway_ref->built;
	}
}

static void build_translations(struct config *config, struct draft *d)
{
	size_t i;

	for (i = 0; i < d->n_translations; i++) {
		const struct draft_translation *from = &d->translations[i];
		struct config_translation *to = &config->translations[config->n_translations];

		if (from->disabled)
			continue;
		*to = from->item;
		to->interface = from->port.interface;
		to->tunnel = from->port.tunnel ? from->port.tunnel->built : NULL;
		to->from = from->from_ref;
		config->n_translations++;
	}
}

/* Arrays for all items; the disabled ones' places stay unused at the end. One more, so that none is NULL for being empty. */
static bool build_arrays(struct config *config, const struct draft *d)
{
	config->tunnels = calloc(d->n_tunnels + 1, sizeof(*config->tunnels));
	config->gateways = calloc(d->n_gateways + 1, sizeof(*config->gateways));
	config->routes = calloc(d->n_routes + 1, sizeof(*config->routes));
	config->translations = calloc(d->n_translations + 1, sizeof(*config->translations));
	if (!d->node)
		config->node = host_name();
	return config->tunnels && config->gateways && config->routes && config->translations &&
	       (d->node || config->node);
}

struct config *draft_build(struct draft *d)
{
	struct config *config = calloc(1, sizeof(*config));

	if (!config)
		return NULL;
	if (!build_arrays(config, d)) {
		config_free(config);
		return NULL;
	}
	if (d->node) {
		config->node = d->node;
		d->node = NULL;
	}
	/* the arrays themselves move, so that what refers to an interface or alias stays right */
	config->interfaces = d->interfaces;
	config->n_interfaces = d->n_interfaces;
	d->interfaces = NULL;
	d->n_interfaces = 0;
	config->aliases = d->aliases;
	config->n_aliases = d->n_aliases;
	d->aliases = NULL;
	d->n_aliases = 0;
	build_tunnels(config, d);
	build_gateways(config, d);
	build_routes(config, d);
	build_translations(config, d);
	config->states = d->states;
	config->optimization = d->optimization;
	memcpy(config->timeouts_s, d->timeouts_s, sizeof(config->timeouts_s));
	config_timeouts_complete(config->timeouts_s, d->optimization);
	config->log = d->log;
	if (build_policy(config, d)) {
		config_free(config);
		return NULL;
	}
	return config;
}

/* ---- items by name ---- */

const struct config_interface *config_find_interface(const struct config *c, const char *name)
{
	size_t i;

	for (i = 0; i < c->n_interfaces; i++) {
		if (!strcmp(c->interfaces[i].name, name))
			return &c->interfaces[i];
	}
	return NULL;
}

const struct config_tunnel *config_find_tunnel(const struct config *c, const char *name)
{
	size_t i;

	for (i = 0; i < c->n_tunnels; i++) {
		if (!strcmp(c->tunnels[i].name, name))
			return &c->tunnels[i];
	}
	return NULL;
}

const struct config_gateway *config_find_gateway(const struct config *c, const char *name)
{
	size_t i;

	for (i = 0; i < c->n_gateways; i++) {
		if (!strcmp(c->gateways[i].name, name))
			return &c->gateways[i];
	}
	return NULL;
}
