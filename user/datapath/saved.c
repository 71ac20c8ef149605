// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the machine had before fairlead changed it, in /run/fairlead/INSTANCE.sysctl, so that unload puts it back even when
 * another daemon does it. Settings of a device are kept by its ifindex: it may be renamed, and another one may get its name.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "user/datapath/private.h"
#include "user/lib/log.h"

#define RUN_DIR "/run/fairlead"

static void file_name(const struct datapath *dp, char *path, size_t len)
{
	snprintf(path, len, RUN_DIR "/%s.sysctl", dp->instance);
}

/* Where the file of another network namespace is put that was at work under the same instance's name. */
static void aside_name(const struct datapath *dp, uint64_t netns, char *path, size_t len)
{
	snprintf(path, len, RUN_DIR "/%s.sysctl-%llu", dp->instance, (unsigned long long)netns);
}

int saved_write(struct datapath *dp)
{
	char path[128], temporary[136];
	FILE *f;
	int err;

	if (!dp->saved_changed)
		return 0;
	file_name(dp, path, sizeof(path));
	snprintf(temporary, sizeof(temporary), "%s.new", path);
	if (mkdir(RUN_DIR, 0755) && errno != EEXIST)
		return log_ret(errno, "cannot make %s", RUN_DIR);
	f = fopen(temporary, "we");
	if (!f)
		return log_ret(errno, "cannot write %s", temporary);
	fprintf(f, "netns %llu\n", (unsigned long long)dp->netns);
	for (size_t i = 0; i < dp->n_saved; i++)
		fprintf(f, "%s %u %s %s\n", dp->saved[i].kind, dp->saved[i].ifindex, dp->saved[i].key,
			dp->saved[i].value);
	err = ferror(f) | fclose(f);
	if (err || rename(temporary, path))
		return log_ret(errno, "cannot write %s", path);
	dp->saved_changed = false;
	return 0;
}

void saved_unlink(struct datapath *dp)
{
	char path[128];

	file_name(dp, path, sizeof(path));
	unlink(path);
}

struct saved_setting *saved_find(struct datapath *dp, const char *kind, uint32_t ifindex, const char *key)
{
	for (size_t i = 0; i < dp->n_saved; i++) {
		struct saved_setting *saved = &dp->saved[i];

		if (saved->ifindex == ifindex && strcmp(saved->kind, kind) == 0 && strcmp(saved->key, key) == 0)
			return saved;
	}
	return NULL;
}

static void saved_free_one(struct saved_setting *saved)
{
	free(saved->kind);
	free(saved->key);
	free(saved->value);
}

int saved_add(struct datapath *dp, const char *kind, uint32_t ifindex, const char *key, const char *value)
{
	struct saved_setting *saved;

	if (saved_find(dp, kind, ifindex, key))
		return 0;
	saved = reallocarray(dp->saved, dp->n_saved + 1, sizeof(*saved));
	if (!saved)
		return -ENOMEM;
	dp->saved = saved;
	saved += dp->n_saved;
	saved->kind = strdup(kind);
	saved->ifindex = ifindex;
	saved->key = strdup(key);
	saved->value = strdup(value);
	if (!saved->kind || !saved->key || !saved->value) {
		saved_free_one(saved);
		return -ENOMEM;
	}
	dp->n_saved++;
	dp->saved_changed = true;
	return 0;
}

void saved_drop(struct datapath *dp, struct saved_setting *saved)
{
	saved_free_one(saved);
	*saved = dp->saved[--dp->n_saved];
	dp->saved_changed = true;
}

/* Devices that are gone took their settings along. */
void saved_prune(struct datapath *dp)
{
	for (size_t i = dp->n_saved; i > 0; i--)
		if (!system_link_by_index(dp->system, dp->saved[i - 1].ifindex))
			saved_drop(dp, &dp->saved[i - 1]);
}

/* The namespace in the file's first line, by its cookie (system_netns_cookie()); 0: none. */
static uint64_t netns_of(FILE *f)
{
	unsigned long long netns;

	return fscanf(f, "netns %llu\n", &netns) == 1 ? netns : 0;
}

/*
 * What was saved in another namespace says nothing of this one. It is put aside, for the case that a daemon comes back there;
 * and what was put aside of this one is taken back.
 */
static void change_places(struct datapath *dp, const char *path)
{
	char aside[192];
	FILE *f = fopen(path, "re");
	uint64_t netns;

	if (f) {
		netns = netns_of(f);
		fclose(f);
		if (netns == dp->netns)
			return;
		aside_name(dp, netns, aside, sizeof(aside));
		if (rename(path, aside))
			log_warn("cannot rename %s to %s", path, aside);
	}
	aside_name(dp, dp->netns, aside, sizeof(aside));
	if (rename(aside, path) && errno != ENOENT)
		log_warn("cannot rename %s to %s", aside, path);
}

int saved_load(struct datapath *dp)
{
	char path[128], line[512], kind[16], key[128], value[128];
	uint32_t ifindex;
	FILE *f;

	file_name(dp, path, sizeof(path));
	change_places(dp, path);
	f = fopen(path, "re");
	if (!f)
		return errno == ENOENT ? 0 : log_ret(errno, "cannot read %s", path);
	if (netns_of(f) == dp->netns)
		while (fgets(line, sizeof(line), f))
			if (sscanf(line, "%15s %u %127s %127[^\n]", kind, &ifindex, key, value) == 4)
				saved_add(dp, kind, ifindex, key, value);
	fclose(f);
	dp->saved_changed = false;
	return 0;
}

void saved_free(struct datapath *dp)
{
	for (size_t i = 0; i < dp->n_saved; i++)
		saved_free_one(&dp->saved[i]);
	free(dp->saved);
	dp->saved = NULL;
	dp->n_saved = 0;
}
