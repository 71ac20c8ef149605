// SPDX-License-Identifier: GPL-2.0-only
#include "user/daemon/vips.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "user/daemon/daemon.h"
#include "user/daemon/gateways_internal.h"
#include "user/lib/clock.h"
#include "user/lib/file.h"
#include "user/lib/instance.h"
#include "user/lib/log.h"
#include "user/lib/secret.h"

#define READY_MAX_S 30	     /* since the start, until gateways are known; then it takes over without that */
#define MAINTENANCE_SKEW 254 /* behind all others */

struct vips {
	struct event *on_events;
	const struct config *config; /* whose vips the timekeeper has; NULL: none yet */
	struct vhid_facts *facts;    /* in its order */
	bool *owned;		     /* the kernel has the addresses */
	json_t *disabled;	     /* names -> true; over a restart, not over a boot */
	char *disabled_path, *maintenance_path;
	bool maintenance;
	bool ready, ready_late;
};

/* ---- what people have said ---- */

static void load_disabled(struct vips *v)
{
	char *text;
	size_t len;

	if (!file_read_regular(v->disabled_path, &text, &len)) {
		v->disabled = json_loadb(text, len, 0, NULL);
		free(text);
	}
	if (json_is_object(v->disabled))
		return;
	json_decref(v->disabled);
	v->disabled = json_object();
}

static void keep(const char *path, const char *text)
{
	int err = text ? file_replace_soon(path, text, strlen(text), 0600) : -ENOMEM;

	if (err)
		log_ret(err, "%s: a restart will not know of it", path);
}

static void keep_disabled(struct vips *v)
{
	char *text = json_dumps(v->disabled, JSON_SORT_KEYS);

	keep(v->disabled_path, text);
	free(text);
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

/* The device's first own address, of IPv6 its link-local one. Adverts never come from a virtual address. */
static void source_of(struct daemon *d, uint32_t ifindex, int family, struct addr *source)
{
	const struct system_addr *a;

	*source = (struct addr){ 0 };
	for (size_t i = 0; (a = system_addr_at(d->system, i)); i++) {
		const struct addr *its = &a->prefix.addr;

		if (a->ifindex != ifindex || its->family != family || is_virtual(d->vips, its) ||
		    (a->flags & IFA_F_TENTATIVE) || (family == AF_INET6 && !addr_is_link_local(its)))
			continue;
		*source = *its;
		return;
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
		source_of(d, ifindex, AF_INET, &f->sources[0]);
		source_of(d, ifindex, AF_INET6, &f->sources[1]);
		f->disabled = json_is_true(json_object_get(v->disabled, vip->name));
	}
}

static void tell_facts(struct daemon *d)
{
	struct vips *v = d->vips;
	const struct vhid_node node = { .ready = v->ready };

	if (!v->config)
		return;
	facts_of(d, v);
	timekeeper_vip_facts(d->gateways->timekeeper, v->facts, &node);
}

/* Gateways are known, also those that are down. */
static bool is_ready(struct daemon *d)
{
	struct timekeeper_snapshot *s = timekeeper_show(d->gateways->timekeeper);
	bool ready = s != NULL;

	for (size_t i = 0; s && i < s->n_gateways; i++)
		ready &= s->gateways[i].view.status != MONITOR_UNKNOWN;
	timekeeper_snapshot_free(s);
	return ready;
}

void vips_tick(struct daemon *d)
{
	struct vips *v = d->vips;
	bool late;

	if (v->ready || !v->config || !v->config->n_vips)
		return;
	late = clock_ms(CLOCK_BOOTTIME) - d->start_ms > READY_MAX_S * 1000;
	v->ready = is_ready(d) || late;
	if (!v->ready)
		return;
	if (late)
		journal_write(d->journal, JOURNAL_WARNING, JOURNAL_VIP, "", "ready, too late", NULL,
			      "not all gateways are known after %d s: virtual addresses are taken without that",
			      READY_MAX_S);
	tell_facts(d);
}

void vips_system_changed(struct daemon *d)
{
	tell_facts(d);
}

/* ---- what follows ---- */

static const struct config_vip *vip_of(const struct vips *v, const char *name, size_t *i)
{
	for (*i = 0; v->config && *i < v->config->n_vips; ++*i)
		if (!strcmp(v->config->vips[*i].name, name))
			return &v->config->vips[*i];
	return NULL;
}

/* The kernel has the addresses while the node does. */
static void own(struct daemon *d)
{
	struct vips *v = d->vips;
	size_t n = v->config ? v->config->n_vips : 0;
	struct vhid_view *views = calloc(n + 1, sizeof(*views));

	if (!views)
		return;
	n = timekeeper_vips_show(d->gateways->timekeeper, views, n);
	for (size_t i = 0; i < n; i++) {
		if (views[i].owns == v->owned[i])
			continue;
		if (datapath_vip_own(d->datapath, &v->config->vips[i], views[i].owns))
			continue; /* told; again at the next change */
		v->owned[i] = views[i].owns;
	}
	free(views);
}

static const char *role_text(enum carp_role role)
{
	static const char *const texts[] = {
		[CARP_INIT] = "init", [CARP_BACKUP] = "backup", [CARP_MASTER] = "master", [CARP_DISABLED] = "disabled"
	};

	return texts[role];
}

/* As BSD's kernels log it, for what reads logs: disabled is INIT there. */
static const char *role_logged(enum carp_role role)
{
	static const char *const texts[] = {
		[CARP_INIT] = "INIT", [CARP_BACKUP] = "BACKUP", [CARP_MASTER] = "MASTER", [CARP_DISABLED] = "INIT"
	};

	return texts[role];
}

static const char *hold_text(unsigned int holds)
{
	return holds & CARP_HOLD_DISABLED ? "disabled by hand"
	       : holds & CARP_HOLD_KEY	  ? "its password file can't be used"
	       : holds & CARP_HOLD_LINK	  ? "its link is down"
					  : "its device has no address to send adverts from";
}

static void put_why(const struct vhid_event *e, char *to, size_t len)
{
	char from[ADDR_STRLEN] = "another node";

	if (e->from.family)
		addr_format(&e->from, from);
	switch (e->why) {
	case CARP_WHY_START:
		snprintf(to, len, "it can take part");
		break;
	case CARP_WHY_HELD:
		snprintf(to, len, "%s", hold_text(e->holds));
		break;
	case CARP_WHY_TIMEOUT:
		snprintf(to, len, "no advert has come for too long");
		break;
	case CARP_WHY_LEFT:
		snprintf(to, len, "%s gives them up", from);
		break;
	case CARP_WHY_BETTER:
		snprintf(to, len, "better than %s, and preempts", from);
		break;
	case CARP_WHY_DEMOTED:
		snprintf(to, len, "%s is demoted further", from);
		break;
	case CARP_WHY_YIELDS:
		snprintf(to, len, "%s is better", from);
		break;
	case CARP_WHY_HANDS_OVER:
		snprintf(to, len, "handed over by hand");
		break;
	}
}

static void tell_role(struct daemon *d, const struct config_vip *vip, const struct vhid_event *e)
{
	char why[128], what[32];

	put_why(e, why, sizeof(why));
	snprintf(what, sizeof(what), "%s -> %s", role_text(e->before), role_text(e->role));
	journal_say(d->journal, JOURNAL_NOTICE, "carp: %s %u: state transition: %s -> %s", vip->interface->device,
		    e->vhid, role_logged(e->before), role_logged(e->role));
	journal_write(d->journal, JOURNAL_NOTICE, JOURNAL_VIP, e->name, what,
		      json_pack("{s:s,s:i}", "interface", vip->interface->name, "vhid", e->vhid), "%s", why);
}

static void tell_event(struct daemon *d, const struct vhid_event *e)
{
	char from[ADDR_STRLEN];
	const struct config_vip *vip;
	size_t i;

	vip = vip_of(d->vips, e->name, &i);
	if (!vip)
		return;
	switch (e->kind) {
	case VHID_ROLE:
		tell_role(d, vip, e);
		break;
	case VHID_FAULT:
		journal_write(d->journal, JOURNAL_WARNING, JOURNAL_VIP, e->name, "bad advert",
			      json_pack("{s:s,s:i,s:s}", "interface", vip->interface->name, "vhid", e->vhid, "from",
					addr_format(&e->from, from)),
			      "from %s: %s", from, carp_fault_text(e->fault));
		break;
	case VHID_UNSENT:
		journal_write(d->journal, JOURNAL_WARNING, JOURNAL_VIP, e->name, "can't send", NULL, "adverts: %s",
			      strerror(-e->err));
		break;
	case VHID_SENT:
		journal_write(d->journal, JOURNAL_NOTICE, JOURNAL_VIP, e->name, "can send", NULL,
			      "adverts leave again");
		break;
	case VHID_LEASE:
		journal_write(d->journal, JOURNAL_NOTICE, JOURNAL_VIP, e->name, "another has it", NULL,
			      "what the last daemon had is another node's now");
		break;
	}
}

/* First the kernel, then people. */
static void on_events(evutil_socket_t fd, short what, void *arg)
{
	struct daemon *d = arg;
	struct vhid_event e;
	eventfd_t count;
	unsigned int lost;

	(void)what;
	eventfd_read(fd, &count);
	own(d);
	while (timekeeper_vip_event(d->gateways->timekeeper, &e, &lost))
		tell_event(d, &e);
	if (lost)
		journal_write(d->journal, JOURNAL_WARNING, JOURNAL_VIP, "", "untold", NULL,
			      "%u changes of virtual addresses came too fast to be told", lost);
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

static void setup_of(struct daemon *d, const struct config_vip *vip, struct vhid_setup *setup, struct carp_key *key)
{
	uint8_t skew = d->vips->maintenance ? MAINTENANCE_SKEW : vip->advskew, mac[6];
	int lease = datapath_vip_lease(d->datapath, vip);

	*setup = (struct vhid_setup){ .name = vip->name,
				      .lease = lease < 0 ? 0 : (uint16_t)lease,
				      .vhid = vip->vhid,
				      .set = { .advbase_s = vip->advbase_s,
					       .advskew = skew,
					       .fast_ms = vip->fast_ms,
					       .preempt = vip->preempt },
				      .key = key_of(vip, key),
				      .addresses = vip->addresses,
				      .n_addresses = vip->n_addresses,
				      .peers = vip->peers,
				      .n_peers = vip->n_peers,
				      .independent = vip->independent,
				      .router = true,
				      .announce_repeat = vip->announce_repeat,
				      .announce_refresh_s = vip->announce_refresh_s };
	if (lease >= 0) {
		datapath_vip_device(d->datapath, vip, &setup->ifindex, mac);
		setup->leased = datapath_leases(d->datapath)[lease] > (uint64_t)clock_ms(CLOCK_MONOTONIC) * 1000000;
	}
}

/* What the timekeeper must know anew: the configuration, devices, maintenance. */
static int setups_tell(struct daemon *d, const struct config *config)
{
	struct vhid_setup *setups = calloc(config->n_vips + 1, sizeof(*setups));
	struct carp_key *keys = calloc(config->n_vips + 1, sizeof(*keys));
	int err = setups && keys ? 0 : -ENOMEM;

	for (size_t i = 0; i < config->n_vips && !err; i++)
		setup_of(d, &config->vips[i], &setups[i], &keys[i]);
	err = err ?: timekeeper_vips(d->gateways->timekeeper, setups, config->n_vips);
	if (keys)
		explicit_bzero(keys, config->n_vips * sizeof(*keys));
	free(keys);
	free(setups);
	return err;
}

void vips_configure(struct daemon *d, const struct config *config)
{
	struct vhid_facts *facts = calloc(config->n_vips + 1, sizeof(*facts));
	bool *owned = calloc(config->n_vips + 1, sizeof(*owned));
	struct vips *v = d->vips;
	int err = facts && owned ? 0 : -ENOMEM;
	size_t i, old;

	err = err ?: setups_tell(d, config);
	if (err) {
		free(facts);
		free(owned);
		log_ret(err, "virtual addresses are as they were before");
		return;
	}
	/* what is no more the data plane has taken away; one with other addresses gets them anew */
	for (i = 0; v->config && i < config->n_vips; i++)
		if (vip_of(v, config->vips[i].name, &old))
			owned[i] = false;
	free(v->facts);
	free(v->owned);
	v->facts = facts;
	v->owned = owned;
	v->config = config;
	tell_facts(d);
	own(d);
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
	tell_facts(d);
	own(d);
	return 0;
}

void vips_maintenance(struct daemon *d, bool on)
{
	struct vips *v = d->vips;

	v->maintenance = on;
	keep(v->maintenance_path, on ? "on\n" : "off\n");
	if (!v->config || setups_tell(d, v->config))
		return;
	tell_facts(d);
	if (on)
		timekeeper_vip_hand_over(d->gateways->timekeeper, SIZE_MAX);
	own(d);
}

/* ---- showing ---- */

/* How long ago */
static json_t *since_ms(uint64_t ns)
{
	return ns ? json_integer(clock_ms(CLOCK_MONOTONIC) - (json_int_t)(ns / 1000000)) : json_null();
}

static json_t *addresses_json(const struct config_vip *vip)
{
	json_t *all = json_array();
	char text[PREFIX_STRLEN];

	for (size_t i = 0; i < vip->n_addresses; i++)
		json_array_append_new(all, json_string(prefix_format(&vip->addresses[i], text)));
	return all;
}

static json_t *row_of(struct vips *v, const struct config_vip *vip, const struct vhid_view *view)
{
	char master[ADDR_STRLEN] = "";

	if (view->master.family)
		addr_format(&view->master, master);
	return json_pack("{s:s,s:s,s:o,s:i,s:s,s:o,s:i,s:o,s:s,s:o,s:I,s:I,s:I,s:s}", "name", vip->name, "interface",
			 vip->interface->name, "address", addresses_json(vip), "vhid", vip->vhid, "role",
			 role_text(view->carp.role), "since_ms", since_ms(view->carp.since_ns), "advskew",
			 carp_advskew(&view->carp), "demotion",
			 view->carp.demotion ? json_pack("{s:i}", "links", (int)view->carp.demotion) : json_object(),
			 "master", master, "last_advert_ms", since_ms(view->heard_ns), "adverts_sent",
			 (json_int_t)view->sent, "adverts_received", (json_int_t)view->received, "adverts_bad",
			 (json_int_t)view->bad, "not_ready", v->ready ? "" : "not all gateways are known yet");
}

json_t *vips_show(struct daemon *d)
{
	struct vips *v = d->vips;
	size_t n = v->config ? v->config->n_vips : 0;
	struct vhid_view *views = calloc(n + 1, sizeof(*views));
	json_t *rows = json_array();

	n = views ? timekeeper_vips_show(d->gateways->timekeeper, views, n) : 0;
	for (size_t i = 0; i < n; i++)
		json_array_append_new(rows, row_of(v, &v->config->vips[i], &views[i]));
	free(views);
	return rows;
}

void vips_reasons(struct daemon *d, json_t *reasons)
{
	struct vips *v = d->vips;
	size_t n = v->config ? v->config->n_vips : 0;
	struct vhid_view *views = calloc(n + 1, sizeof(*views));

	n = views ? timekeeper_vips_show(d->gateways->timekeeper, views, n) : 0;
	for (size_t i = 0; i < n; i++)
		if (views[i].carp.role == CARP_INIT || views[i].carp.role == CARP_DISABLED)
			json_array_append_new(reasons, json_sprintf("vip %s: %s", v->config->vips[i].name,
								    hold_text(views[i].carp.holds)));
	if (v->maintenance)
		json_array_append_new(reasons,
				      json_string("in maintenance: virtual addresses are left to any other node"));
	free(views);
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
	load_disabled(v);
	v->maintenance = is_maintained(v->maintenance_path);
	v->on_events =
		event_new(d->base, timekeeper_vip_fd(d->gateways->timekeeper), EV_READ | EV_PERSIST, on_events, d);
	return v->on_events && !event_add(v->on_events, NULL) ? 0 : log_ret(ENOMEM, "vips");
}

void vips_close(struct daemon *d)
{
	struct vips *v = d->vips;

	if (!v)
		return;
	if (v->on_events)
		event_free(v->on_events);
	free(v->facts);
	free(v->owned);
	json_decref(v->disabled);
	free(v->disabled_path);
	free(v->maintenance_path);
	free(v);
	d->vips = NULL;
}
