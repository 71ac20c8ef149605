// SPDX-License-Identifier: GPL-2.0-only
#include "user/daemon/ha.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "user/daemon/daemon.h"
#include "user/daemon/pairing.h"
#include "user/daemon/vips.h"
#include "user/lib/clock.h"
#include "user/lib/log.h"

#define IDS_TEXT (SYNC_KEYS_MAX * (SYNC_KEY_ID_DIGITS + 2) + 1)
#define ENDED_MS 3000  /* in which a peer that is cut off hands over what it has */
#define STANDS_MS 5000 /* so long after it was told it stands back without having heard more */

struct ha {
	struct channel *channel;
	const struct config *config; /* in force; NULL: none, or it has no `ha` */
	const struct sync_part *parts[SYNC_PARTS_MAX];
	size_t n_parts;
	struct sync_keys keys;
	long long ended_ms;  /* when a key that was kept ended: adverts go by it for ENDED_MS; 0: they go by `keys` */
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

/* n of them from `first` on, by their ids */
static const char *ids_text(const struct sync_keys *keys, unsigned int first, unsigned int n, char text[IDS_TEXT])
{
	char id[SYNC_KEY_ID_DIGITS + 1];

	text[0] = 0;
	for (unsigned int i = first; i < first + n; i++)
		snprintf(text + strlen(text), IDS_TEXT - strlen(text), "%s%s", i > first ? ", " : "",
			 sync_key_id_text(&keys->key[i], id));
	return text;
}

static void tell_keys(struct daemon *d, const struct sync_keys *keys)
{
	unsigned int n = keys->n - keys->n_kept;
	char first[IDS_TEXT], second[IDS_TEXT], kept[IDS_TEXT];

	journal_write(d->journal, keys->n_kept ? JOURNAL_WARNING : JOURNAL_NOTICE, JOURNAL_SYNC, d->ha->config->node,
		      "keys", NULL, "key %s%s%s%s%s", ids_text(keys, 0, 1, first),
		      n > 1 ? ", and until all have it " : "", ids_text(keys, 1, n - 1, second),
		      keys->n_kept ? "; not in the file any more, but a peer has no other yet: " : "",
		      ids_text(keys, n, keys->n_kept, kept));
}

/* A peer has come by it, and by no other since. */
static bool is_needed(void *arg, const struct sync_key *key)
{
	const struct ha *ha = arg;

	return ha->channel && channel_by_key(ha->channel, key);
}

/* Whoever it cuts off has been told by then, and stands back while this one is heard: adverts go by the key until it has. */
static void tell_ended(struct daemon *d, const struct sync_keys *before, const struct sync_keys *keys)
{
	char id[SYNC_KEY_ID_DIGITS + 1];

	for (unsigned int i = before->n - before->n_kept; i < before->n; i++) {
		if (sync_keys_find(keys, before->key[i].id) || !is_needed(d->ha, &before->key[i]))
			continue;
		d->ha->ended_ms = clock_ms(CLOCK_BOOTTIME);
		journal_write(d->journal, JOURNAL_WARNING, JOURNAL_SYNC, d->ha->config->node, "key ended", NULL,
			      "key %s, which is not in the file any more; who has no other is cut off",
			      sync_key_id_text(&before->key[i], id));
	}
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
		sync_keys_of_file(&ha->keys, &keys);
	}
	ha->trouble = why;
	sync_keys_keep(&keys, &ha->keys, clock_ms(CLOCK_BOOTTIME), is_needed, ha);
	tell_ended(d, &ha->keys, &keys);
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
	bool is_there = config->ha.interface;

	ha->config = is_there ? config : NULL;
	if (!is_there) {
		close_channel(ha);
		vips_left_out(d, false);
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

/* The peer is the one whose file is right: it has ended the key while both were connected by it, and lives. */
static bool is_left_out(struct daemon *d, const struct sync_peer *peer)
{
	if (sync_peer_connected(peer) || !sync_peer_leaves_out(peer))
		return false;
	return pairing_hears_stranger(d, sync_peer_addr(peer)) ||
	       (sync_peer_ended_key(peer) && sync_peer_silent_ms(peer) < STANDS_MS);
}

static const struct sync_peer *left_out_by(struct daemon *d)
{
	const struct sync_peer *peer;

	for (size_t i = 0; d->ha->channel && (peer = channel_peer_at(d->ha->channel, i)); i++)
		if (is_left_out(d, peer))
			return peer;
	return NULL;
}

static bool is_as_read(const struct ha *ha)
{
	struct stat now;

	if (stat(ha->config->ha.key_file, &now))
		now = (struct stat){ 0 };
	return is_same(&now, &ha->seen) && ha->channel;
}

static void follow_file(struct daemon *d)
{
	read_keys(d, d->ha->config->ha.key_file);
	set_channel(d);
	if (!d->ha->ended_ms)
		pairing_keys_changed(d);
}

void ha_tick(struct daemon *d)
{
	long long now_ms = clock_ms(CLOCK_BOOTTIME);
	struct ha *ha = d->ha;

	if (!ha->config)
		return;
	if (!is_as_read(ha) || !sync_keys_hold(&ha->keys, now_ms, is_needed, ha))
		follow_file(d);
	if (ha->ended_ms && now_ms - ha->ended_ms >= ENDED_MS) {
		ha->ended_ms = 0;
		pairing_keys_changed(d);
	}
	vips_left_out(d, left_out_by(d));
}

void command_sync_keys(struct daemon *d, struct control_answer *answer)
{
	struct ha *ha = d->ha;
	unsigned int kept = ha->keys.n_kept;

	if (!ha->config) {
		control_fail(answer, 1, "the configuration has no \"ha\"");
		return;
	}
	for (unsigned int i = ha->keys.n - kept; i < ha->keys.n; i++)
		ha->keys.until_ms[i] = 0;
	if (kept)
		follow_file(d);
	answer->result = json_pack("{s:i}", "ended", (int)kept);
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

/* Of keys that are no more in the file here, and of one that is no more in the peer's. */
static void key_reasons(struct daemon *d, json_t *reasons)
{
	const char *file = d->ha->config->ha.key_file;
	const struct sync_keys *keys = &d->ha->keys;
	long long now_ms = clock_ms(CLOCK_BOOTTIME);
	const struct sync_peer *peer;

	for (unsigned int i = keys->n - keys->n_kept; i < keys->n; i++) {
		peer = channel_by_key(d->ha->channel, &keys->key[i]);
		json_array_append_new(reasons,
				      json_sprintf("ha: %s: the key that %s %s connected by is not in it any more, and "
						   "ends in %lld s: put the new one into the file of %s",
						   file, peer ? sync_peer_name(peer) : "a peer",
						   peer && sync_peer_connected(peer) ? "is" : "was",
						   (keys->until_ms[i] - now_ms) / 1000,
						   peer ? sync_peer_name(peer) : "the peer"));
	}
	for (size_t i = 0; (peer = channel_peer_at(d->ha->channel, i)); i++)
		if (sync_peer_leaves_out(peer))
			json_array_append_new(
				reasons, json_sprintf("ha: %s: %s has taken the key that this node has out of its own "
						      "file: put its new one into this; without it this node takes no "
						      "addresses while that one lives",
						      file, sync_peer_name(peer)));
}

void ha_reasons(struct daemon *d, json_t *reasons)
{
	struct ha *ha = d->ha;

	if (!ha->config)
		return;
	if (ha->trouble)
		json_array_append_new(reasons, json_sprintf("ha: %s: %s%s", ha->config->ha.key_file, ha->trouble,
							    ha->keys.n ? "; the key read before is used" : ""));
	if (!ha->channel) {
		json_array_append_new(reasons, json_string("ha: out of memory: there is no connection to any peer"));
		return;
	}
	key_reasons(d, reasons);
	channel_reasons(ha->channel, reasons);
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
