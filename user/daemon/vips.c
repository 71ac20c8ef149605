// SPDX-License-Identifier: GPL-2.0-only
#include "user/daemon/vips.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "user/daemon/daemon.h"
#include "user/daemon/gateways_internal.h"
#include "user/daemon/pairing.h"
#include "user/daemon/vips_internal.h"
#include "user/lib/clock.h"
#include "user/lib/file.h"
#include "user/lib/instance.h"
#include "user/lib/kept.h"
#include "user/lib/log.h"
#include "user/lib/secret.h"
#include "user/vip/beat.h"

#define SETTLED_MS 1000
#define MAINTENANCE_SKEW 254 /* behind all others */

/* ---- what people have said ---- */

static void tell_kept(const char *path, int err)
{
	if (err)
		log_ret(err, "%s: a restart will not know of it", path);
}

static void keep_disabled(struct vips *v)
{
	if (json_object_size(v->disabled))
		tell_kept(v->disabled_path, kept_save(v->disabled_path, v->disabled, JSON_SORT_KEYS));
	else
		unlink(v->disabled_path);
}

static bool is_maintained(const char *path)
{
	char *text;
	size_t len;
	bool is;

	if (file_read_regular(path, &text, &len))
		return false;
	is = !strncmp(text, "on", 2);
	free(text);
	return is;
}

/* ---- what holds ---- */

static bool is_virtual(const struct vips *v, const struct addr *addr)
{
	for (size_t i = 0; i < v->config->n_vips; i++)
		for (size_t j = 0; j < v->config->vips[i].n_addresses; j++)
			if (addr_equal(&v->config->vips[i].addresses[j].addr, addr))
				return true;
	return false;
}

/* Other nodes know this one by its address in `peers`, or else by one of the network that they are in. */
static int rank_of(const struct config_vip *vip, const struct prefix *own)
{
	int rank = 1;

	for (size_t i = 0; i < vip->n_peers; i++) {
		if (addr_equal(&vip->peers[i], &own->addr))
			return 3;
		if (prefix_contains(own, &vip->peers[i]))
			rank = 2;
	}
	return rank;
}

/* The best of the device's own addresses, else its first. Adverts never come from a virtual address. */
static void source_of(struct daemon *d, const struct config_vip *vip, uint32_t ifindex, int family, bool link_local,
		      struct addr *source)
{
	const struct system_addr *a;
	int best = 0, rank;

	*source = (struct addr){ 0 };
	for (size_t i = 0; (a = system_addr_at(d->system, i)); i++) {
		const struct addr *its = &a->prefix.addr;

		if (a->ifindex != ifindex || its->family != family || is_virtual(d->vips, its) ||
		    (a->flags & IFA_F_TENTATIVE) || (family == AF_INET6 && addr_is_link_local(its) != link_local))
			continue;
		rank = rank_of(vip, &a->prefix);
		if (rank > best)
			*source = *its;
		best = rank > best ? rank : best;
	}
}

static void facts_of(struct daemon *d, struct vips *v)
{
	for (size_t i = 0; v->config && i < v->config->n_vips; i++) {
		const struct config_vip *vip = &v->config->vips[i];
		struct vhid_facts *f = &v->facts[i];
		uint32_t ifindex = 0;
		uint8_t mac[6];

		datapath_vip_device(d->datapath, vip, &ifindex, mac);
		source_of(d, vip, ifindex, AF_INET, false, &f->sources[0]);
		source_of(d, vip, ifindex, AF_INET6, true, &f->sources[1]);
		source_of(d, vip, ifindex, AF_INET6, false, &f->wide);
		f->disabled = json_is_true(json_object_get(v->disabled, vip->name));
	}
}

void vips_tell_facts(struct daemon *d)
{
	struct vips *v = d->vips;
	const struct vhid_node node = { .ready = !v->waits, .left_out = v->left_out };

	if (!v->config)
		return;
	facts_of(d, v);
	timekeeper_vip_facts(d->gateways->timekeeper, v->facts, &node);
}

void vips_left_out(struct daemon *d, bool is)
{
	if (d->vips->left_out == is)
		return;
	d->vips->left_out = is;
	vips_tell_facts(d);
}

/* ---- what follows ---- */

const struct config_vip *vips_find(const struct vips *v, const char *name, size_t *i)
{
	for (*i = 0; v->config && *i < v->config->n_vips; ++*i)
		if (!strcmp(v->config->vips[*i].name, name))
			return &v->config->vips[*i];
	return NULL;
}

size_t vips_views(struct daemon *d, struct vhid_view **views)
{
	size_t n = d->vips->config ? d->vips->config->n_vips : 0;

	*views = calloc(n + 1, sizeof(**views));
	return *views ? timekeeper_vips_show(d->gateways->timekeeper, *views, n) : 0;
}

/* Connections of the node that has had the addresses may go by gateways that are lost here. */
static void stand_by(struct daemon *d, bool stands_by)
{
	struct vips *v = d->vips;

	datapath_stand_by(d->datapath, stands_by);
	if (v->stands_by && !stands_by)
		gateways_look_again(d);
	v->stands_by = stands_by;
}

/* Whoever has them for a moment only, and gives them back, ends nothing. */
void vips_settle_role(struct daemon *d)
{
	const struct vips *v = d->vips;

	if (v->owns_since_ms && clock_ms(CLOCK_BOOTTIME) - v->owns_since_ms >= SETTLED_MS)
		stand_by(d, false);
}

/* The kernel has the addresses while the node does. */
static void own(struct daemon *d)
{
	struct vips *v = d->vips;
	struct vhid_view *views;
	size_t n = vips_views(d, &views);
	bool any = false, all;

	for (size_t i = 0; i < n; i++)
		any |= views[i].owns;
	all = any;
	for (size_t i = 0; i < n; i++) /* an independent one may be another node's, and connections with it */
		all &= views[i].owns;
	if (!all) /* of a pair without any, too: what a peer has told of passes by that */
		stand_by(d, v->config && v->config->ha.interface);
	if (all && !v->owns_since_ms)
		v->owns_since_ms = clock_ms(CLOCK_BOOTTIME);
	else if (!all)
		v->owns_since_ms = 0;
	for (size_t i = 0; i < n; i++) {
		if (views[i].owns == v->owned[i])
			continue;
		if (datapath_vip_own(d->datapath, &v->config->vips[i], views[i].owns))
			continue; /* told; again at the next change */
		v->owned[i] = views[i].owns;
	}
	free(views);
}

/* First the kernel, then people. */
static void on_events(evutil_socket_t fd, short what, void *arg)
{
	struct daemon *d = arg;
	struct vhid_event e;
	eventfd_t count;
	unsigned int lost, some;
	bool any = true;

	(void)what;
	eventfd_read(fd, &count);
	for (lost = 0; any; lost += some) {
		any = timekeeper_vip_event(d->gateways->timekeeper, &e, &some);
		own(d); /* each time: roles may have changed since the one before */
		if (any)
			vips_tell(d, &e);
	}
	if (lost)
		journal_write(d->journal, JOURNAL_WARNING, JOURNAL_VIP, VIPS_ALL, "untold", NULL,
			      "%u changes of virtual addresses came too fast to be told", lost);
	vips_settle_hooks(d);
}

/* ---- a configuration ---- */

/* NULL: it can't be had. */
static const struct carp_key *key_of(const struct config_vip *vip, struct carp_key *key)
{
	char line[CARP_PASSWORD_MAX + 2] = "", *password;
	const char *why;

	password = secret_read(vip->password_file, line, sizeof(line), &why);
	if (!password)
		log_warnx("vip %s: %s: %s", vip->name, vip->password_file, why);
	else
		carp_key_make(key, vip->vhid, password, strlen(password), vip->addresses, vip->n_addresses);
	explicit_bzero(line, sizeof(line));
	return password ? key : NULL;
}

/* An address of this node: all nodes may have the same list. */
static bool is_own(struct daemon *d, const struct addr *addr)
{
	const struct system_addr *a;

	for (size_t i = 0; (a = system_addr_at(d->system, i)); i++)
		if (a->protocol != ADDRPROT_FAIRLEAD && addr_equal(&a->prefix.addr, addr))
			return true;
	return false;
}

/* The other nodes, to `to`; how many. */
static size_t peers_of(struct daemon *d, const struct config_vip *vip, struct addr *to)
{
	size_t n = 0;

	for (size_t i = 0; i < vip->n_peers; i++)
		if (!is_own(d, &vip->peers[i]))
			to[n++] = vip->peers[i];
	return n;
}

/* What setups point to. */
struct made {
	struct carp_key key;
	struct addr *peers;
};

static void made_free(struct made *made, size_t n)
{
	for (size_t i = 0; made && i < n; i++)
		free(made[i].peers);
	if (made)
		explicit_bzero(made, n * sizeof(*made));
	free(made);
}

static int setup_of(struct daemon *d, const struct config_vip *vip, struct vhid_setup *setup, struct made *made)
{
	uint8_t skew = d->vips->maintenance ? MAINTENANCE_SKEW : vip->advskew, mac[6];
	int lease = datapath_vip_lease(d->datapath, vip);

	made->peers = calloc(vip->n_peers + 1, sizeof(*made->peers));
	if (!made->peers)
		return -ENOMEM;
	*setup = (struct vhid_setup){ .name = vip->name,
				      .lease = lease < 0 ? 0 : (uint16_t)lease,
				      .vhid = vip->vhid,
				      .set = { .advbase_s = vip->advbase_s,
					       .advskew = skew,
					       .fast_ms = vip->fast_ms,
					       .preempt = vip->preempt },
				      .key = key_of(vip, &made->key),
				      .addresses = vip->addresses,
				      .n_addresses = vip->n_addresses,
				      .peers = made->peers,
				      .n_peers = peers_of(d, vip, made->peers),
				      .independent = vip->independent,
				      .plain_peers = vip->plain_peers,
				      .interface = beat_interface(vip->interface->name),
				      .variant = vip->link_local_in_digest ? CARP_WITH_LINK_LOCAL
									   : CARP_WITHOUT_LINK_LOCAL,
				      .router = true,
				      .announce_repeat = vip->announce_repeat,
				      .announce_refresh_s = vip->announce_refresh_s };
	if (lease >= 0) {
		datapath_vip_device(d->datapath, vip, &setup->ifindex, mac);
		setup->leased = datapath_leases(d->datapath)[lease] > (uint64_t)clock_ms(CLOCK_MONOTONIC) * 1000000;
	}
	return 0;
}

/* What the timekeeper must know anew: the configuration, devices, maintenance. */
static int setups_tell(struct daemon *d, const struct config *config, struct followed *followed)
{
	struct vhid_setup *setups = calloc(config->n_vips + 1, sizeof(*setups));
	struct made *made = calloc(config->n_vips + 1, sizeof(*made));
	int err = setups && made ? 0 : -ENOMEM;

	for (size_t i = 0; i < config->n_vips && !err; i++)
		err = setup_of(d, &config->vips[i], &setups[i], &made[i]);
	err = err ?: timekeeper_vips(d->gateways->timekeeper, setups, config->n_vips);
	for (size_t i = 0; i < config->n_vips && !err; i++)
		followed[i] = (struct followed){ setups[i].ifindex, setups[i].n_peers };
	made_free(made, config->n_vips);
	free(setups);
	return err;
}

/* A device has come, or is another one; or an address that `peers` names has become this node's, or is no more. */
static bool is_another(struct daemon *d, const struct config_vip *vip, const struct followed *followed)
{
	size_t n = vip->n_peers;
	uint32_t ifindex = 0;
	uint8_t mac[6];

	datapath_vip_device(d->datapath, vip, &ifindex, mac);
	for (size_t i = 0; i < vip->n_peers; i++)
		n -= is_own(d, &vip->peers[i]);
	return ifindex != followed->ifindex || n != followed->n_peers;
}

void vips_system_changed(struct daemon *d)
{
	struct vips *v = d->vips;
	bool another = false;

	pairing_system_changed(d);
	for (size_t i = 0; v->config && i < v->config->n_vips; i++) {
		if (!is_another(d, &v->config->vips[i], &v->followed[i]))
			continue;
		another = true;
		v->owned[i] = false; /* the new device has no addresses yet */
	}
	if (another)
		setups_tell(d, v->config, v->followed); /* else again at the next change */
	vips_tell_facts(d);
	vips_look(d);
	if (another)
		own(d);
}

void vips_configure(struct daemon *d, const struct config *config)
{
	struct vhid_facts *facts = calloc(config->n_vips + 1, sizeof(*facts));
	struct followed *followed = calloc(config->n_vips + 1, sizeof(*followed));
	bool *owned = calloc(config->n_vips + 1, sizeof(*owned));
	struct vips *v = d->vips;
	int err = facts && followed && owned ? 0 : -ENOMEM;
	size_t i, old;

	vip_hooks_configure(v->hooks, config);
	pairing_configure(d, config);
	err = err ?: setups_tell(d, config, followed);
	if (err) {
		free(facts);
		free(followed);
		free(owned);
		log_ret(err, "virtual addresses are as they were before");
		return;
	}
	/* what is no more the data plane has taken away; one with other addresses gets them anew */
	for (i = 0; v->config && i < config->n_vips; i++)
		if (vips_find(v, config->vips[i].name, &old))
			owned[i] = false;
	free(v->facts);
	free(v->followed);
	free(v->owned);
	v->facts = facts;
	v->followed = followed;
	v->owned = owned;
	v->config = config;
	vips_ready_configure(d, config);
	vips_tell_facts(d);
	vips_look(d);
	own(d);
	vips_settle_hooks(d);
}

void vips_warn(const struct config *config, struct config_report *report)
{
	char pointer[96];

	for (size_t i = 0; i < config->n_vips; i++) {
		const char *trouble = secret_trouble(config->vips[i].password_file);

		snprintf(pointer, sizeof(pointer), "/vips/%s/password_file", config->vips[i].name);
		if (trouble)
			config_report_add(report, false, pointer, "%s: %s", config->vips[i].password_file, trouble);
	}
}

/* ---- by hand ---- */

int vips_disable(struct daemon *d, const char *name, bool disable)
{
	struct vips *v = d->vips;
	int err = -ENOENT;

	for (size_t i = 0; v->config && i < v->config->n_vips; i++) {
		const char *its = v->config->vips[i].name;

		if (name && strcmp(name, its))
			continue;
		err = 0;
		if (disable)
			json_object_set_new(v->disabled, its, json_true());
		else
			json_object_del(v->disabled, its);
	}
	if (err)
		return err;
	keep_disabled(v);
	vips_tell_facts(d);
	own(d);
	return 0;
}

/*
 * Those of which no beat says whether another node would have them: to anybody, who may be nobody. The others are left when one would
 * (user/vip/vhids_maintenance.c).
 */
static void leave_unheard(struct daemon *d)
{
	const struct config *config = d->vips->config;

	for (size_t i = 0; i < config->n_vips; i++)
		if (!config->ha.interface || config->vips[i].plain_peers)
			timekeeper_vip_hand_over(d->gateways->timekeeper, i);
}

void vips_maintenance(struct daemon *d, bool on)
{
	const char *text = on ? "on\n" : "off\n";
	struct vips *v = d->vips;
	int err = 0;

	v->maintenance = on;
	tell_kept(v->maintenance_path, file_replace_soon(v->maintenance_path, text, strlen(text), 0600));
	if (!on)
		pairing_maintenance(d, false);
	if (v->config)
		err = setups_tell(d, v->config, v->followed);
	if (on) /* not before it is behind all others: it would take back what it has left to them */
		pairing_maintenance(d, true);
	if (!v->config || err)
		return;
	vips_tell_facts(d);
	if (on)
		leave_unheard(d);
	own(d);
}

/* ---- beginning and end ---- */

int vips_open(struct daemon *d)
{
	char *dir = instance_state_dir(d->options.instance);
	struct vips *v = calloc(1, sizeof(*v));

	d->vips = v;
	if (!v || !dir) {
		free(dir);
		return log_ret(ENOMEM, "vips");
	}
	if (asprintf(&v->maintenance_path, "%s/maintenance", dir) < 0)
		v->maintenance_path = NULL;
	if (asprintf(&v->disabled_path, INSTANCE_RUN_DIR "/%s.vips", d->options.instance) < 0)
		v->disabled_path = NULL;
	free(dir);
	if (!v->maintenance_path || !v->disabled_path)
		return log_ret(ENOMEM, "vips");
	v->hooks = vip_hooks_open(d->base, d->journal, d->options.instance);
	if (!v->hooks)
		return log_ret(ENOMEM, "hooks");
	v->disabled = kept_load(v->disabled_path);
	vips_ready_open(d);
	v->maintenance = is_maintained(v->maintenance_path);
	if (pairing_open(d, v->maintenance))
		return -ENOMEM;
	v->on_events =
		event_new(d->base, timekeeper_vip_fd(d->gateways->timekeeper), EV_READ | EV_PERSIST, on_events, d);
	return v->on_events && !event_add(v->on_events, NULL) ? 0 : log_ret(ENOMEM, "vips");
}

/* The others take over at once, by what the timekeeper tells them; then the kernel's addresses and scripts follow. */
static void give_up(struct daemon *d)
{
	static const char why[] = "the daemon ends";
	struct vips *v = d->vips;
	struct vhid_view *views;
	size_t n = vips_views(d, &views);

	timekeeper_vip_end(d->gateways->timekeeper);
	for (size_t i = 0; i < n; i++) {
		if (v->owned[i])
			datapath_vip_own(d->datapath, &v->config->vips[i], false);
		if (views[i].carp.role == CARP_MASTER || views[i].carp.role == CARP_BACKUP)
			vips_log_role(d, &v->config->vips[i], views[i].carp.role, CARP_INIT, why);
	}
	free(views);
	vip_hooks_end(v->hooks, why);
}

void vips_close(struct daemon *d)
{
	struct vips *v = d->vips;

	if (!v)
		return;
	if (v->config)
		give_up(d);
	vip_hooks_close(v->hooks);
	pairing_close(d);
	if (v->on_events)
		event_free(v->on_events);
	free(v->facts);
	free(v->followed);
	free(v->owned);
	json_decref(v->disabled);
	free(v->disabled_path);
	free(v->maintenance_path);
	free(v);
	d->vips = NULL;
}
