// SPDX-License-Identifier: GPL-2.0-only
/*
 * Forwarding is switched on once the programs are in force, and with it the acceptance of router advertisements that it would
 * switch off; offloads that hide VLAN tags go off. What was before is kept in /run/fairlead/INSTANCE.sysctl, so that unload puts it
 * back even when another daemon does it.
 */

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "user/datapath/private.h"
#include "user/lib/log.h"

#define RUN_DIR "/run/fairlead"

static const struct forward_switch {
	uint8_t family;
	const char *key;
	const char *name;
	const char *dir; /* settings that Linux changes with it are here */
} switches[] = {
	{ FL_INET6, "net/ipv6/conf/all/forwarding", "IPv6 forwarding", "net/ipv6/" },
	{ FL_INET, "net/ipv4/ip_forward", "IPv4 forwarding", "net/ipv4/" },
};

#define N_SWITCHES (sizeof(switches) / sizeof(switches[0]))

static const char *const offload_names[] = { [OFFLOAD_RXVLAN] = "rxvlan", [OFFLOAD_TXVLAN] = "txvlan" };

/* ---- the file ---- */

static void file_name(const struct datapath *dp, char *path, size_t len)
{
	snprintf(path, len, RUN_DIR "/%s.sysctl", dp->instance);
}

/* Namespaces come and go under the same instance name: what was saved in another one says nothing of this. */
static unsigned long long namespace_id(void)
{
	struct stat st;

	return stat("/proc/self/ns/net", &st) ? 0 : st.st_ino;
}

static int file_write(const struct datapath *dp)
{
	char path[128], temporary[136];
	FILE *f;
	int err;

	file_name(dp, path, sizeof(path));
	snprintf(temporary, sizeof(temporary), "%s.new", path);
	if (mkdir(RUN_DIR, 0755) && errno != EEXIST)
		return log_ret(errno, "cannot make %s", RUN_DIR);
	f = fopen(temporary, "we");
	if (!f)
		return log_ret(errno, "cannot write %s", temporary);
	fprintf(f, "netns %llu\n", namespace_id());
	for (size_t i = 0; i < dp->n_saved; i++)
		fprintf(f, "%s %s %s\n", dp->saved[i].kind, dp->saved[i].key, dp->saved[i].value);
	err = ferror(f) | fclose(f);
	if (err || rename(temporary, path))
		return log_ret(errno, "cannot write %s", path);
	return 0;
}

static struct saved_setting *saved_find(struct datapath *dp, const char *kind, const char *key)
{
	for (size_t i = 0; i < dp->n_saved; i++)
		if (strcmp(dp->saved[i].kind, kind) == 0 && strcmp(dp->saved[i].key, key) == 0)
			return &dp->saved[i];
	return NULL;
}

static int saved_add(struct datapath *dp, const char *kind, const char *key, const char *value)
{
	struct saved_setting *saved;

	if (saved_find(dp, kind, key))
		return 0;
	saved = reallocarray(dp->saved, dp->n_saved + 1, sizeof(*saved));
	if (!saved)
		return -ENOMEM;
	dp->saved = saved;
	saved += dp->n_saved;
	saved->kind = strdup(kind);
	saved->key = strdup(key);
	saved->value = strdup(value);
	if (saved->kind && saved->key && saved->value) {
		dp->n_saved++;
		return 0;
	}
	free(saved->kind);
	free(saved->key);
	free(saved->value);
	return -ENOMEM;
}

static void saved_free(struct saved_setting *saved)
{
	free(saved->kind);
	free(saved->key);
	free(saved->value);
}

/* The last one takes its place. */
static void saved_drop(struct datapath *dp, struct saved_setting *saved)
{
	saved_free(saved);
	*saved = dp->saved[--dp->n_saved];
}

int sysctls_load(struct datapath *dp)
{
	char path[128], line[512], kind[16], key[128], value[128];
	bool here = false;
	FILE *f;

	file_name(dp, path, sizeof(path));
	f = fopen(path, "re");
	if (!f)
		return errno == ENOENT ? 0 : log_ret(errno, "cannot read %s", path);
	while (fgets(line, sizeof(line), f)) {
		if (strncmp(line, "netns ", 6) == 0)
			here = strtoull(line + 6, NULL, 10) == namespace_id();
		else if (here && sscanf(line, "%15s %127s %127[^\n]", kind, key, value) == 3)
			saved_add(dp, kind, key, value);
	}
	fclose(f);
	return 0;
}

void sysctls_free(struct datapath *dp)
{
	for (size_t i = 0; i < dp->n_saved; i++)
		saved_free(&dp->saved[i]);
	free(dp->saved);
	dp->saved = NULL;
	dp->n_saved = 0;
}

/* ---- changing ---- */

struct sysctl_change {
	char key[128], value[32];
	bool was_saved; /* `value` is not what was there before fairlead */
};

static void sysctl_change_back(struct datapath *dp, const void *data)
{
	const struct sysctl_change *change = data;
	struct saved_setting *saved = saved_find(dp, "sysctl", change->key);

	if (sysctl_set(change->key, change->value))
		log_warnx("cannot put %s back to %s", change->key, change->value);
	if (saved && !change->was_saved) {
		saved_drop(dp, saved);
		file_write(dp);
	}
}

/* Saves the value of before, on disk, and then sets. */
static int sysctl_change(struct datapath *dp, const char *key, const char *value, struct undo *undo)
{
	struct sysctl_change change = {};
	int err = sysctl_get(key, change.value, sizeof(change.value));

	if (err || strcmp(change.value, value) == 0)
		return err;
	snprintf(change.key, sizeof(change.key), "%s", key);
	change.was_saved = saved_find(dp, "sysctl", key);
	err = saved_add(dp, "sysctl", key, change.value);
	err = err ?: file_write(dp);
	err = err ?: sysctl_set(key, value);
	if (!err)
		undo_push(undo, sysctl_change_back, &change, sizeof(change));
	return err;
}

/* With forwarding on, Linux takes router advertisements only where accept_ra is 2: else a SLAAC host loses its default route. */
static void keep_router_advertisements(struct datapath *dp, const struct port *ports, bool all, struct undo *undo)
{
	const struct system_link *link;

	for (size_t i = 0; (link = system_link_at(dp->system, i)); i++) {
		char key[128], value[16];
		bool ours = false;

		if (link->flags & IFF_LOOPBACK)
			continue;
		for (size_t j = 1; j < FL_PORTS_MAX && !ours; j++)
			ours = ports[j].present && ports[j].kind == PORT_INTERFACE &&
			       ports[j].value.ifindex == link->ifindex;
		snprintf(key, sizeof(key), "net/ipv6/conf/%s/accept_ra", link->name);
		if (!(all || ours) || sysctl_get(key, value, sizeof(value)) || strcmp(value, "1") != 0)
			continue;
		if (sysctl_change(dp, key, "2", undo))
			log_warnx("%s: router advertisements are no longer taken: set %s to 2", link->name, key);
	}
}

/* Remembers what the kernel overwrites when forwarding goes on, and then off: `off` is what it leaves there. */
static void keep_side_effect(struct datapath *dp, const char *key, const char *off, struct undo *undo)
{
	struct sysctl_change change = {};

	if (sysctl_get(key, change.value, sizeof(change.value)) || strcmp(change.value, off) == 0)
		return;
	snprintf(change.key, sizeof(change.key), "%s", key);
	change.was_saved = saved_find(dp, "sysctl", key);
	if (saved_add(dp, "sysctl", key, change.value) || file_write(dp))
		return;
	undo_push(undo, sysctl_change_back, &change, sizeof(change)); /* runs after the switch's own */
}

static void keep_side_effects(struct datapath *dp, const struct forward_switch *s, struct undo *undo)
{
	const struct system_link *link;
	char key[128];

	for (size_t i = 0; (link = system_link_at(dp->system, i)); i++) {
		snprintf(key, sizeof(key), "%sconf/%s/forwarding", s->dir, link->name);
		keep_side_effect(dp, key, "0", undo);
	}
	snprintf(key, sizeof(key), "%sconf/default/forwarding", s->dir);
	keep_side_effect(dp, key, "0", undo);
	if (s->family == FL_INET)
		keep_side_effect(dp, "net/ipv4/conf/all/accept_redirects", "1", undo);
}

static uint8_t families(const struct config *config)
{
	uint8_t all = 0;

	for (size_t i = 0; i < config->n_interfaces; i++)
		all |= config->interfaces[i].family;
	return all;
}

static int offload_restore(const char *key)
{
	const char *slash = strchr(key, '/');
	char device[16] = "";

	if (!slash || (size_t)(slash - key) >= sizeof(device))
		return -EINVAL;
	memcpy(device, key, slash - key);
	for (int what = OFFLOAD_RXVLAN; what <= OFFLOAD_TXVLAN; what++)
		if (strcmp(slash + 1, offload_names[what]) == 0)
			return offload_set(device, what, true);
	return -EINVAL;
}

static void restore_one(const struct saved_setting *saved)
{
	int err =
		strcmp(saved->kind, "sysctl") == 0 ? sysctl_set(saved->key, saved->value) : offload_restore(saved->key);

	if (err && err != -ENOENT && err != -ENODEV)
		log_ret(err, "cannot put %s back to %s", saved->key, saved->value);
}

/* The configuration has no interface of this family any more. */
static void switch_off(struct datapath *dp, const struct forward_switch *s)
{
	struct saved_setting *saved = saved_find(dp, "sysctl", s->key);

	if (!saved || sysctl_set(saved->key, saved->value))
		return;
	saved_drop(dp, saved);
	for (size_t i = dp->n_saved; i > 0; i--) {
		saved = &dp->saved[i - 1];
		if (strcmp(saved->kind, "sysctl") != 0 || strncmp(saved->key, s->dir, strlen(s->dir)) != 0)
			continue;
		restore_one(saved);
		saved_drop(dp, saved);
	}
	file_write(dp);
}

int sysctls_apply(struct datapath *dp, const struct config *config, const struct port *ports, struct undo *undo,
		  char **why)
{
	uint8_t wanted = families(config);
	char value[16];

	for (size_t i = 0; i < N_SWITCHES; i++) {
		const struct forward_switch *s = &switches[i];
		bool was_on;
		int err;

		if (!(wanted & s->family)) {
			switch_off(dp, s);
			continue;
		}
		was_on = sysctl_get(s->key, value, sizeof(value)) == 0 && strcmp(value, "0") != 0;
		if (s->family == FL_INET6)
			keep_router_advertisements(dp, ports, !was_on, undo);
		if (was_on)
			continue;
		keep_side_effects(dp, s, undo);
		err = sysctl_change(dp, s->key, "1", undo);
		if (err)
			return fail(why, err, "cannot switch %s on (%s): %s", s->name, s->key, strerror(-err));
	}
	return 0;
}

static void offload_back(struct datapath *dp, const void *key)
{
	struct saved_setting *saved = saved_find(dp, "offload", key);
	int err = saved ? offload_restore(key) : 0;

	if (err && err != -ENODEV)
		log_ret(err, "cannot switch %s on again", (const char *)key);
	if (saved) {
		saved_drop(dp, saved);
		file_write(dp);
	}
}

/* Remembered until the device or fairlead is done with: the tag of a VLAN must stay in the packet. */
void offload_off(struct datapath *dp, const char *device, enum offload what, struct undo *undo)
{
	char key[64];
	bool on;
	int err = offload_get(device, what, &on);

	if (err || !on)
		return;
	snprintf(key, sizeof(key), "%s/%s", device, offload_names[what]);
	if (saved_add(dp, "offload", key, "on") || file_write(dp))
		return;
	err = offload_set(device, what, false);
	if (err)
		log_ret(err, "%s: cannot switch %s off; VLAN tags may be invisible to XDP, use \"mode\": \"tc\" there",
			device, offload_names[what]);
	else
		undo_push(undo, offload_back, key, sizeof(key));
}

/* The device is no longer in the configuration. */
void offload_release(struct datapath *dp, const char *device)
{
	char key[64];

	for (int what = OFFLOAD_RXVLAN; what <= OFFLOAD_TXVLAN; what++) {
		snprintf(key, sizeof(key), "%s/%s", device, offload_names[what]);
		offload_back(dp, key);
	}
}

/* Forwarding first: what follows takes the guards away. */
void sysctls_restore(struct datapath *dp)
{
	char path[128];

	for (size_t i = 0; i < N_SWITCHES; i++) {
		struct saved_setting *saved = saved_find(dp, "sysctl", switches[i].key);

		if (saved)
			restore_one(saved);
	}
	for (size_t i = 0; i < dp->n_saved; i++)
		restore_one(&dp->saved[i]);
	sysctls_free(dp);
	file_name(dp, path, sizeof(path));
	unlink(path);
}
