/* SPDX-License-Identifier: GPL-2.0-only */
/* From draft to struct config, the disabled items left behind; and freeing both. */
#include <errno.h>
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
	free(t->update.url);
	free(t->update.user);
	free(t->update.password_file);
	free(t->update.host);
	free(t->name);
}

static void free_gateway(struct config_gateway *g)
{
	free(g->monitor.targets);
	free(g->monitor.dns_name);
	free(g->name);
}

static void free_group(struct config_group *g)
{
	free(g->members);
	free(g->name);
}

static void free_draft_groups(struct draft *d)
{
	size_t i, j;

	for (i = 0; i < d->n_groups; i++) {
		for (j = 0; j < d->groups[i].n_members; j++)
			free(d->groups[i].members[j].gateway);
		free(d->groups[i].members);
		free_group(&d->groups[i].item);
	}
	free(d->groups);
}

static void free_vip(struct config_vip *v)
{
	free(v->addresses);
	free(v->peers);
	free(v->password_file);
	free(v->name);
}

static void free_draft_ha(struct draft *d)
{
	size_t i;

	for (i = 0; i < d->n_vips; i++) {
		free_vip(&d->vips[i].item);
		free(d->vips[i].interface);
	}
	free(d->vips);
	free(d->ha.item.peers);
	free(d->ha.item.key_file);
	free(d->ha.interface);
}

static void free_paths(char **paths, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		free(paths[i]);
	free(paths);
}

static void free_checks(struct config_check *checks, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		free(checks[i].name);
		free_paths(checks[i].command, checks[i].n_command);
	}
	free(checks);
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
		free_gateway(&config->gateways[i]);
	free(config->gateways);
	for (i = 0; i < config->n_groups; i++)
		free_group(&config->groups[i]);
	free(config->groups);
	for (i = 0; i < config->n_vips; i++)
		free_vip(&config->vips[i]);
	free(config->vips);
	free(config->ha.peers);
	free(config->ha.key_file);
	free_paths(config->hooks_gateway, config->n_hooks_gateway);
	free_paths(config->hooks_vip, config->n_hooks_vip);
	free_checks(config->checks, config->n_checks);
	free(config->drill.targets);
	free(config->drill.from);
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
		free_gateway(&d->gateways[i].item);
		free(d->gateways[i].interface);
	}
	free(d->gateways);
	free_draft_groups(d);
	free_draft_ha(d);
	free_paths(d->hooks_gateway, d->n_hooks_gateway);
	free_paths(d->hooks_vip, d->n_hooks_vip);
	free_checks(d->checks, d->n_checks);
	free(d->drill.targets);
	free(d->drill.from);
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
		to->underlay_group = from->underlay_group ? from->underlay_group->built : NULL;
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

/* Groups are built before tunnels, which they may carry, but filled behind the gateways. */
static int fill_group(const struct draft_group *from, struct config_group *to)
{
	size_t i;

	to->members = calloc(from->n_members, sizeof(*to->members));
	if (!to->members)
		return -ENOMEM;
	for (i = 0; i < from->n_members; i++) {
		to->members[i] = from->members[i].item;
		to->members[i].gateway = from->members[i].gateway_ref->built;
	}
	to->n_members = from->n_members;
	return 0;
}

static void build_groups(struct config *config, struct draft *d)
{
	size_t i;

	for (i = 0; i < d->n_groups; i++) {
		config->groups[i] = d->groups[i].item;
		memset(&d->groups[i].item, 0, sizeof(d->groups[i].item));
		d->groups[i].built = &config->groups[i];
	}
	config->n_groups = d->n_groups;
}

static int fill_groups(struct config *config, const struct draft *d)
{
	int err = 0;
	size_t i;

	for (i = 0; !err && i < d->n_groups; i++)
		err = fill_group(&d->groups[i], &config->groups[i]);
	return err;
}

struct config_via build_via(const struct draft_via *via)
{
	return (struct config_via){ via->gateway ? via->gateway->built : NULL, via->group ? via->group->built : NULL };
}

static void build_routes(struct config *config, struct draft *d)
{
	size_t i;

	for (i = 0; i < d->n_routes; i++) {
		if (d->routes[i].disabled)
			continue;
		config->routes[config->n_routes] = d->routes[i].item;
		config->routes[config->n_routes++].via = build_via(&d->routes[i].via);
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
	config->groups = calloc(d->n_groups + 1, sizeof(*config->groups));
	config->routes = calloc(d->n_routes + 1, sizeof(*config->routes));
	config->vips = calloc(d->n_vips + 1, sizeof(*config->vips));
	config->translations = calloc(d->n_translations + 1, sizeof(*config->translations));
	if (!d->node)
		config->node = host_name();
	return config->tunnels && config->gateways && config->groups && config->routes && config->vips &&
	       config->translations && (d->node || config->node);
}

static void build_vips(struct config *config, struct draft *d)
{
	size_t i;

	for (i = 0; i < d->n_vips; i++) {
		struct draft_vip *from = &d->vips[i];
		struct config_vip *to = &config->vips[config->n_vips];

		if (from->disabled)
			continue;
		*to = from->item;
		memset(&from->item, 0, sizeof(from->item));
		to->interface = from->interface_ref;
		if (!from->own_advskew)
			to->advskew = d->ha.item.advskew;
		from->built = to;
		config->n_vips++;
	}
}

static void build_ha(struct config *config, struct draft *d)
{
	config->ha = d->ha.item;
	config->ha.interface = d->ha.interface_ref;
	memset(&d->ha.item, 0, sizeof(d->ha.item));
}

static void take_hooks(struct config *config, struct draft *d)
{
	config->hooks_gateway = d->hooks_gateway;
	config->n_hooks_gateway = d->n_hooks_gateway;
	config->hooks_vip = d->hooks_vip;
	config->n_hooks_vip = d->n_hooks_vip;
	d->hooks_gateway = d->hooks_vip = NULL;
	d->n_hooks_gateway = d->n_hooks_vip = 0;
}

static void take_checks(struct config *config, struct draft *d)
{
	config->checks = d->checks;
	config->n_checks = d->n_checks;
	config->drill = d->drill;
	d->checks = NULL;
	d->n_checks = 0;
	d->drill = (struct config_drill){ 0 };
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
	build_groups(config, d);
	build_tunnels(config, d);
	build_gateways(config, d);
	build_routes(config, d);
	build_translations(config, d);
	build_vips(config, d); /* before ha, whose advskew they take */
	build_ha(config, d);
	config->states = d->states;
	config->optimization = d->optimization;
	memcpy(config->timeouts_s, d->timeouts_s, sizeof(config->timeouts_s));
	config_timeouts_complete(config->timeouts_s, d->optimization);
	config->log = d->log;
	take_hooks(config, d);
	take_checks(config, d);
	if (fill_groups(config, d) || build_policy(config, d)) {
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

bool config_has_vip(const struct config *c, const struct config_interface *interface)
{
	for (size_t i = 0; i < c->n_vips; i++)
		if (c->vips[i].interface == interface)
			return true;
	return false;
}

const struct config_interface *config_tunnel_underlay(const struct config_tunnel *tunnel, size_t i)
{
	const struct config_group *group = tunnel->underlay_group;

	if (!group)
		return i ? NULL : tunnel->underlay;
	return i < group->n_members ? group->members[i].gateway->interface : NULL;
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

const struct addr *config_vip_address(const struct config_vip *vip, int family)
{
	size_t i;

	for (i = 0; i < vip->n_addresses; i++) {
		const struct addr *addr = &vip->addresses[i].addr;

		if (addr->family == family && !addr_is_link_local(addr))
			return addr;
	}
	return NULL;
}

unsigned int config_families(const struct addr *address, bool tunnel, const struct config_interface *interface)
{
	if (tunnel)
		return FL_INET6;
	if (address->family != AF_UNSPEC)
		return address->family == AF_INET ? FL_INET : FL_INET6;
	return interface && interface->family ? interface->family : FL_BOTH; /* refused, and may have been right */
}

unsigned int config_gateway_families(const struct config_gateway *gateway)
{
	return config_families(&gateway->address, gateway->tunnel, gateway->interface);
}

bool config_has_automatic(const struct config *config)
{
	size_t i;

	for (i = 0; i < config->n_gateways; i++)
		if (config->gateways[i].automatic)
			return true;
	return false;
}

unsigned int config_group_families(const struct config_group *group)
{
	unsigned int families = 0;
	size_t i;

	for (i = 0; i < group->n_members; i++)
		families |= config_gateway_families(group->members[i].gateway);
	return families;
}

const struct config_group *config_find_group(const struct config *c, const char *name)
{
	size_t i;

	for (i = 0; i < c->n_groups; i++) {
		if (!strcmp(c->groups[i].name, name))
			return &c->groups[i];
	}
	return NULL;
}

const struct config_vip *config_find_vip(const struct config *c, const char *name)
{
	size_t i;

	for (i = 0; i < c->n_vips; i++) {
		if (!strcmp(c->vips[i].name, name))
			return &c->vips[i];
	}
	return NULL;
}

const char *config_via_name(const struct config_via *via)
{
	return via->gateway ? via->gateway->name : via->group ? via->group->name : NULL;
}
