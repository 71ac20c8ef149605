// SPDX-License-Identifier: GPL-2.0-only
#include "user/daemon/pairing.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "user/daemon/daemon.h"
#include "user/daemon/gateways_internal.h"
#include "user/lib/clock.h"
#include "user/lib/file.h"
#include "user/lib/instance.h"
#include "user/lib/kept.h"
#include "user/lib/log.h"
#include "user/sync/keys.h"

#define SAVE_MS 10000 /* how often it is kept how far peers have come */

/* DIR/epochs: {"epoch": of this node's last start, "peers": {address: [epoch, sequence]}} */
struct pairing {
	char *path;
	uint64_t epoch;
	json_t *peers;
	long long saved_ms;
	const struct config *config;
	uint32_t ifindex;
	bool maintenance;
	int err; /* of the sync link's socket, as told */
};

/* ---- epochs ---- */

static void load(struct pairing *p)
{
	json_t *all = kept_load(p->path), *peers = json_object_get(all, "peers");

	p->epoch = (uint64_t)json_integer_value(json_object_get(all, "epoch"));
	p->peers = json_is_object(peers) ? json_incref(peers) : json_object();
	json_decref(all);
}

static void save(struct pairing *p, int (*replace)(const char *, const char *, size_t, mode_t))
{
	json_t *all = json_pack("{s:I,s:O}", "epoch", (json_int_t)p->epoch, "peers", p->peers);
	char *text = all ? json_dumps(all, 0) : NULL;
	int err = text ? replace(p->path, text, strlen(text), 0600) : -ENOMEM;

	if (err)
		log_ret(err, "%s: adverts that were recorded may be believed after a restart", p->path);
	free(text);
	json_decref(all);
}

static void begin_epoch(struct pairing *p)
{
	struct timespec ts;
	uint64_t now_ns;

	clock_gettime(CLOCK_REALTIME, &ts);
	now_ns = (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
	p->epoch = now_ns > p->epoch && now_ns < SIGN_EPOCH_SURE ? now_ns : p->epoch + 1;
	save(p, file_replace);
}

uint64_t pairing_epoch(const struct daemon *d)
{
	return d->pairing->epoch;
}

void pairing_peer_epoch(struct daemon *d, uint64_t node, uint64_t epoch)
{
	timekeeper_pair_epoch(d->gateways->timekeeper, node, epoch);
}

static struct pair_view *views_of(struct daemon *d, size_t *n)
{
	size_t max = d->pairing->config ? d->pairing->config->ha.n_peers : 0;
	struct pair_view *views = calloc(max + 1, sizeof(*views));

	*n = views ? timekeeper_pair_show(d->gateways->timekeeper, views, max) : 0;
	return views;
}

bool pairing_hears(struct daemon *d, const struct addr *peer, uint64_t epoch)
{
	bool hears = false;
	struct pair_view *views;
	size_t n;

	views = views_of(d, &n);
	for (size_t i = 0; i < n; i++)
		if (addr_equal(&views[i].addr, peer))
			hears = views[i].state == PAIR_UP && views[i].mark.epoch == epoch;
	free(views);
	return hears;
}

bool pairing_hears_stranger(struct daemon *d, const struct addr *peer)
{
	struct pair_view *views;
	bool hears = false;
	size_t n;

	views = views_of(d, &n);
	for (size_t i = 0; i < n; i++)
		hears |= addr_equal(&views[i].addr, peer) && views[i].strange;
	free(views);
	return hears;
}

void pairing_show(struct daemon *d, const struct addr *peer, json_t *row)
{
	struct pair_view *views;
	size_t n;

	views = views_of(d, &n);
	for (size_t i = 0; i < n; i++) {
		if (!addr_equal(&views[i].addr, peer))
			continue;
		json_object_set_new(row, "beats_sent", json_integer((json_int_t)views[i].sent));
		json_object_set_new(row, "beats_received", json_integer((json_int_t)views[i].received));
		json_object_set_new(row, "beats_bad", json_integer((json_int_t)views[i].bad));
	}
	free(views);
}

uint64_t pairing_heard(struct daemon *d, const struct addr *peer)
{
	struct pair_view *views;
	uint64_t epoch = 0;
	size_t n;

	views = views_of(d, &n);
	for (size_t i = 0; i < n; i++)
		if (addr_equal(&views[i].addr, peer))
			epoch = views[i].mark.epoch;
	free(views);
	return epoch;
}

/* true: somebody has come further */
static bool take_marks(struct daemon *d)
{
	struct pair_view *views;
	char address[ADDR_STRLEN];
	bool moved = false;
	size_t n;

	views = views_of(d, &n);
	for (size_t i = 0; i < n; i++) {
		json_t *mark = json_pack("[I,I]", (json_int_t)views[i].mark.epoch, (json_int_t)views[i].mark.sequence);

		addr_format(&views[i].addr, address);
		moved |= !json_equal(mark, json_object_get(d->pairing->peers, address));
		json_object_set_new(d->pairing->peers, address, mark);
	}
	free(views);
	return moved;
}

static struct sign_mark mark_of(const struct pairing *p, const struct addr *addr)
{
	char address[ADDR_STRLEN];
	const json_t *mark = json_object_get(p->peers, addr_format(addr, address));

	const struct sign_mark its = { (uint64_t)json_integer_value(json_array_get(mark, 0)),
				       (uint64_t)json_integer_value(json_array_get(mark, 1)) };

	return sign_epoch_fits(its.epoch) ? its : (struct sign_mark){ 0 };
}

/* ---- telling the timekeeper ---- */

static void make_keys(struct daemon *d, struct sign_keys *keys)
{
	const struct sync_keys *its = ha_keys(d);

	keys->n = its->n;
	for (unsigned int i = 0; i < its->n; i++)
		sign_key_make(&keys->key[i], its->key[i].id, its->key[i].advert);
}

static void tell(struct daemon *d)
{
	struct pairing *p = d->pairing;
	struct sign_keys keys;
	const struct config_ha *ha = &p->config->ha;
	struct pair_setup_peer *peers = calloc(ha->n_peers + 1, sizeof(*peers));
	struct pair_setup setup = { .node = ha->n_peers ? pair_node(&ha->local) : 0,
				    .epoch = p->epoch,
				    .ifindex = p->ifindex,
				    .local = ha->local,
				    .port = ha->port,
				    .peers = peers,
				    .n_peers = ha->interface ? ha->n_peers : 0,
				    .keys = &keys,
				    .maintenance = p->maintenance };
	int err = peers ? 0 : -ENOMEM;

	make_keys(d, &keys);
	for (size_t i = 0; !err && i < ha->n_peers; i++)
		peers[i] = (struct pair_setup_peer){ ha->peers[i], mark_of(p, &ha->peers[i]) };
	err = err ?: timekeeper_pair(d->gateways->timekeeper, &setup);
	if (err && err != p->err)
		log_ret(err, "ha: beats can't be sent by the sync link");
	p->err = err;
	explicit_bzero(&keys, sizeof(keys));
	free(peers);
}

bool pairing_go_beyond(struct daemon *d, uint64_t heard)
{
	struct pairing *p = d->pairing;

	if (heard <= p->epoch || !sign_epoch_fits(heard))
		return false;
	p->epoch = heard + 1;
	save(p, file_replace);
	if (p->config)
		tell(d);
	return true;
}

static uint32_t device_of(struct daemon *d, const struct config *config)
{
	const struct config_interface *i = config->ha.interface;
	const struct system_link *link = i ? system_link_by_name(d->system, i->device) : NULL;

	return link ? (uint32_t)link->ifindex : 0;
}

void pairing_configure(struct daemon *d, const struct config *config)
{
	struct pairing *p = d->pairing;

	if (p->config)
		take_marks(d);
	p->config = config;
	p->ifindex = device_of(d, config);
	tell(d);
}

void pairing_keys_changed(struct daemon *d)
{
	if (d->pairing->config)
		tell(d);
}

void pairing_system_changed(struct daemon *d)
{
	struct pairing *p = d->pairing;
	uint32_t ifindex = p->config ? device_of(d, p->config) : 0;

	if (!p->config || !p->config->ha.interface || (ifindex == p->ifindex && !p->err))
		return;
	p->ifindex = ifindex;
	tell(d);
}

void pairing_maintenance(struct daemon *d, bool on)
{
	d->pairing->maintenance = on;
	if (d->pairing->config)
		tell(d);
}

void pairing_tick(struct daemon *d)
{
	struct pairing *p = d->pairing;
	long long now_ms = clock_ms(CLOCK_MONOTONIC);

	if (!p->config || !p->config->ha.interface)
		return;
	if (now_ms - p->saved_ms < SAVE_MS)
		return;
	p->saved_ms = now_ms;
	if (take_marks(d))
		save(p, file_replace_soon);
}

/* ---- telling people ---- */

static const struct {
	enum journal_level level;
	const char *event, *text;
} states[] = {
	[PAIR_UNKNOWN] = { JOURNAL_NOTICE, "peer unknown", "it had no time to say anything yet" },
	[PAIR_UP] = { JOURNAL_NOTICE, "peer up", "it is heard by the sync link" },
	[PAIR_LINK_DOWN] = { JOURNAL_WARNING, "sync-link-down",
			     "it is not heard by the sync link, which is down or cut; on the segments it may be" },
	[PAIR_SILENT] = { JOURNAL_WARNING, "peer-dead",
			  "it is heard neither by the sync link nor on any segment: it is dead, or cut off" },
	[PAIR_STRANGE] = { JOURNAL_WARNING, "peer-key",
			   "what comes from its address is signed with another key, so that neither hears the other, and both may be "
			   "master: the key file must be the same on both" },
	[PAIR_ENDED] = { JOURNAL_WARNING, "peer ended", "it has said that it ends" },
};

void pairing_tell(struct daemon *d, const struct vhid_event *e)
{
	char peer[ADDR_STRLEN];

	addr_format(&e->from, peer);
	if (e->kind == VHID_PEER && e->peer == PAIR_UP && ha_channel(d))
		channel_peer_is_there(ha_channel(d), &e->from);
	if (e->kind == VHID_FAULT)
		journal_write(d->journal, JOURNAL_WARNING, JOURNAL_VIP, peer, "bad beat", NULL, "%s",
			      e->fault == CARP_UNSIGNED
				      ? "no beat of a node of \"ha\": something else sends from its address"
				      : carp_fault_text(e->fault));
	else
		journal_write(d->journal, states[e->peer].level, JOURNAL_VIP, peer, states[e->peer].event, NULL, "%s",
			      states[e->peer].text);
}

static bool is_connected(struct daemon *d, const struct addr *addr)
{
	struct channel *channel = ha_channel(d);
	struct sync_peer *peer;

	for (size_t i = 0; channel && (peer = channel_peer_at(channel, i)); i++)
		if (addr_equal(sync_peer_addr(peer), addr))
			return sync_peer_connected(peer);
	return false;
}

static void reason_of(struct daemon *d, const struct pair_view *view, json_t *reasons)
{
	char peer[ADDR_STRLEN];

	addr_format(&view->addr, peer);
	if (view->state == PAIR_SILENT && is_connected(d, &view->addr))
		json_array_append_new(
			reasons, json_sprintf("no beats: %s: it is connected, but its beats (UDP port %u) don't come",
					      peer, d->pairing->config->ha.port));
	else if (states[view->state].level != JOURNAL_NOTICE)
		json_array_append_new(
			reasons, json_sprintf("%s: %s: %s", states[view->state].event, peer, states[view->state].text));
}

void pairing_reasons(struct daemon *d, json_t *reasons)
{
	struct pair_view *views;
	size_t n;

	views = views_of(d, &n);
	for (size_t i = 0; i < n; i++)
		reason_of(d, &views[i], reasons);
	free(views);
}

/* ---- beginning and end ---- */

int pairing_open(struct daemon *d, bool maintenance)
{
	char *dir = instance_state_dir(d->options.instance);
	struct pairing *p = calloc(1, sizeof(*p));

	d->pairing = p;
	if (!p || !dir || asprintf(&p->path, "%s/epochs", dir) < 0) {
		free(dir);
		return log_ret(ENOMEM, "ha");
	}
	free(dir);
	p->maintenance = maintenance;
	load(p);
	begin_epoch(p);
	return 0;
}

void pairing_close(struct daemon *d)
{
	struct pairing *p = d->pairing;

	if (!p)
		return;
	if (p->config && p->config->ha.interface && take_marks(d))
		save(p, file_replace_soon);
	json_decref(p->peers);
	free(p->path);
	free(p);
	d->pairing = NULL;
}
