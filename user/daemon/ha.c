// SPDX-License-Identifier: GPL-2.0-only
#include "user/daemon/ha.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "user/daemon/daemon.h"
#include "user/daemon/pairing.h"
#include "user/lib/log.h"

struct ha {
	struct channel *channel;
	const struct config *config; /* in force; NULL: none, or it has no `ha` */
	const struct sync_part *parts[SYNC_PARTS_MAX];
	size_t n_parts;
	struct sync_keys keys;
	bool kept;	     /* the second of them is no more in the file, but a peer is connected by it */
	const char *trouble; /* why the key file can't be used now; NULL: it can */
	struct stat seen;    /* the key file when it was read */
};

/* ---- keys ---- */

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mode == b->st_mode && a->st_uid == b->st_uid && a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
	       a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static void tell_keys(struct daemon *d, const struct sync_keys *keys)
{
	char first[SYNC_KEY_ID_DIGITS + 1], second[SYNC_KEY_ID_DIGITS + 1] = "";

	sync_key_id_text(&keys->key[0], first);
	if (keys->n > 1)
		sync_key_id_text(&keys->key[1], second);
	journal_write(d->journal, JOURNAL_NOTICE, JOURNAL_SYNC, d->ha->config->node, "keys", NULL, "key %s%s%s", first,
		      keys->n > 1 ? ", and until all have it " : "", second);
}

static bool is_in(const struct sync_keys *keys, const struct sync_key *key)
{
	return sync_keys_find(keys, key->id);
}

/* Of the key that is kept: a peer is connected by it, or none by the new one yet. */
static bool is_waited_for(const struct ha *ha)
{
	return ha->kept &&
	       (channel_by_key(ha->channel, &ha->keys.key[1]) || !channel_by_key(ha->channel, &ha->keys.key[0]));
}

/*
 * Who takes the old key out before the peer has the new one would cut both off each other, and each would be master: it is kept as if it were the
 * second line until the peer has gone over to the new one, also where it is lost meanwhile. A restart takes the file as it is.
 */
static bool keep_key(const struct ha *ha, struct sync_keys *keys)
{
	for (unsigned int i = 0; i < ha->keys.n && ha->channel && keys->n == 1; i++)
		if (!is_in(keys, &ha->keys.key[i]) &&
		    (channel_by_key(ha->channel, &ha->keys.key[i]) || (i == 1 && is_waited_for(ha))))
			keys->key[keys->n++] = ha->keys.key[i];
	return keys->n > 1;
}

/* A file that can't be used leaves the keys that were read before: connections go on. */
static void read_keys(struct daemon *d, const char *path)
{
	struct ha *ha = d->ha;
	struct sync_keys keys;
	const char *why;

	if (stat(path, &ha->seen))
		ha->seen = (struct stat){ 0 };
	if (sync_keys_read(path, &keys, &why)) {
		if (!ha->trouble || strcmp(ha->trouble, why))
			log_warnx("ha: %s: %s%s", path, why,
				  ha->keys.n ? "; the key read before is used"
					     : "; there is no connection to any peer");
		ha->trouble = why;
		return;
	}
	ha->trouble = NULL;
	ha->kept = keys.n == 1 && keep_key(ha, &keys);
	if (memcmp(&keys, &ha->keys, sizeof(keys)))
		tell_keys(d, &keys);
	ha->keys = keys;
	sync_keys_clear(&keys);
}

void ha_check(const struct config *config, struct config_report *report)
{
	struct sync_keys keys;
	const char *why;

	if (!config->ha.interface)
		return;
	if (sync_keys_read(config->ha.key_file, &keys, &why))
		config_report_add(report, false, "/ha/key_file", "%s: %s", config->ha.key_file, why);
	sync_keys_clear(&keys);
}

/* ---- a configuration ---- */

static const char *role_text(enum config_role role)
{
	static const char *const texts[] = {
		[CONFIG_ROLE_NONE] = "none", [CONFIG_ROLE_PRIMARY] = "primary", [CONFIG_ROLE_SECONDARY] = "secondary"
	};

	return texts[role];
}

static bool lives(void *arg, const struct addr *peer, uint64_t epoch)
{
	return pairing_hears(arg, peer, epoch);
}

static struct channel_settings settings_of(struct daemon *d)
{
	const struct config *config = d->ha->config;
	const struct config_ha *its = &config->ha;

	return (struct channel_settings){ .device = its->interface->device,
					  .local = its->local,
					  .peers = its->peers,
					  .n_peers = its->n_peers,
					  .port = its->port,
					  .keys = &d->ha->keys,
					  .no_key = d->ha->trouble,
					  .node = config->node,
					  .number = pair_node(&its->local),
					  .epoch = pairing_epoch(d),
					  .role = role_text(its->role),
					  .journal = d->journal,
					  .lives = lives,
					  .arg = d };
}

static void set_channel(struct daemon *d)
{
	struct channel_settings settings = settings_of(d);
	struct ha *ha = d->ha;
	bool is_new = !ha->channel;
	int err = is_new ? channel_open(&ha->channel, d->base, &settings) : channel_configure(ha->channel, &settings);

	if (err)
		log_ret(err, "sync");
	for (size_t i = 0; is_new && !err && i < ha->n_parts; i++)
		channel_part(ha->channel, ha->parts[i]);
}

static void close_channel(struct ha *ha)
{
	channel_close(ha->channel);
	ha->channel = NULL;
	ha->trouble = NULL;
	sync_keys_clear(&ha->keys);
}

void ha_configure(struct daemon *d, const struct config *config)
{
	struct ha *ha = d->ha;
	const struct config *before = ha->config;
	bool is_there = config->ha.interface;

	ha->config = is_there ? config : NULL;
	if (!is_there || (before && strcmp(before->ha.key_file, config->ha.key_file)))
		sync_keys_clear(&ha->keys);
	if (!is_there) {
		close_channel(ha);
		return;
	}
	read_keys(d, config->ha.key_file);
	set_channel(d);
}

void ha_system_changed(struct daemon *d)
{
	if (d->ha->channel)
		channel_system_changed(d->ha->channel);
}

void ha_tick(struct daemon *d)
{
	struct ha *ha = d->ha;
	struct stat now;

	if (!ha->config)
		return;
	if (stat(ha->config->ha.key_file, &now))
		now = (struct stat){ 0 };
	if (is_same(&now, &ha->seen) && ha->channel && ha->kept == is_waited_for(ha))
		return;
	read_keys(d, ha->config->ha.key_file);
	set_channel(d);
	pairing_keys_changed(d);
}

/* ---- for others ---- */

void ha_part(struct daemon *d, const struct sync_part *part)
{
	if (d->ha->n_parts < SYNC_PARTS_MAX)
		d->ha->parts[d->ha->n_parts++] = part;
}

struct channel *ha_channel(struct daemon *d)
{
	return d->ha->channel;
}

const struct sync_keys *ha_keys(struct daemon *d)
{
	return &d->ha->keys;
}

json_t *ha_show(struct daemon *d)
{
	return d->ha->channel ? channel_show(d->ha->channel) : json_array();
}

void ha_reasons(struct daemon *d, json_t *reasons)
{
	const struct sync_peer *keeping;
	struct ha *ha = d->ha;

	if (!ha->config)
		return;
	if (ha->trouble)
		json_array_append_new(reasons, json_sprintf("ha: %s: %s%s", ha->config->ha.key_file, ha->trouble,
							    ha->keys.n ? "; the key read before is used" : ""));
	keeping = ha->kept && ha->channel ? channel_by_key(ha->channel, &ha->keys.key[1]) : NULL;
	if (ha->kept)
		json_array_append_new(reasons, json_sprintf("ha: %s: the key that %s%s connected by is not in it any "
							    "more, and holds until it has the new one: put that into "
							    "its file",
							    ha->config->ha.key_file,
							    keeping ? sync_peer_name(keeping) : "a peer was",
							    keeping ? " is" : ""));
	if (ha->channel)
		channel_reasons(ha->channel, reasons);
	else
		json_array_append_new(reasons, json_string("ha: out of memory: there is no connection to any peer"));
}

/* ---- beginning and end ---- */

int ha_open(struct daemon *d)
{
	d->ha = calloc(1, sizeof(*d->ha));
	if (!d->ha)
		return log_ret(ENOMEM, "ha");
	return ha_requests_open(d);
}

void ha_close(struct daemon *d)
{
	if (!d->ha)
		return;
	close_channel(d->ha);
	ha_requests_close(d);
	free(d->ha);
	d->ha = NULL;
}
