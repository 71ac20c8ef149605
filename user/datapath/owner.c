// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whose a program is that is found on a device: this instance's, another one's of fairlead, or somebody else's. Programs of all
 * instances have the same names; the fl_control that they use says which instance's they are. It lives as long as they do,
 * whatever becomes of the pins. But to look at another one's program the kernel asks for CAP_SYS_ADMIN: without it only the pins
 * tell, and what is pinned nowhere is somebody else's.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "user/datapath/private.h"

#define MAPS_MAX 64 /* no program of ours uses more */

static bool is_named_like_ours(const char *name)
{
	for (size_t i = 0; i < DP_PROG_COUNT; i++)
		if (strcmp(name, dp_prog_names[i]) == 0)
			return true;
	return false;
}

/* The fl_control among the maps, and its id; -ENOENT. A file descriptor that the caller closes. */
static int control_of(const uint32_t *map_ids, uint32_t n, struct bpf_map_info *info)
{
	for (uint32_t i = 0; i < n; i++) {
		__u32 len = sizeof(*info);
		int fd = bpf_map_get_fd_by_id(map_ids[i]);

		if (fd < 0)
			continue;
		memset(info, 0, sizeof(*info));
		if (bpf_obj_get_info_by_fd(fd, info, &len) == 0 && strcmp(info->name, "fl_control") == 0)
			return fd;
		close(fd);
	}
	return -ENOENT;
}

/* By its fl_control. false: it has none, or one of an earlier version, which does not tell. */
static bool owner_by_control(struct datapath *dp, const uint32_t *map_ids, uint32_t n, struct program_seen *seen)
{
	struct fl_control control = {};
	struct bpf_map_info info;
	const __u32 zero = 0;
	int fd = control_of(map_ids, n, &info);

	if (fd < 0)
		return false;
	if (info.value_size == sizeof(control))
		bpf_map_lookup_elem(fd, &zero, &control);
	close(fd);
	if (info.id == dp->older.control) {
		seen->owner = OWNER_US;
		return true;
	}
	control.instance[sizeof(control.instance) - 1] = '\0';
	if (!control.instance[0])
		return false;
	seen->owner = strcmp(control.instance, dp->instance) == 0 ? OWNER_US : OWNER_INSTANCE;
	snprintf(seen->instance, sizeof(seen->instance), "%s", control.instance);
	return true;
}

static const struct older_program *older_program(const struct datapath *dp, uint32_t id)
{
	for (size_t i = 0; i < dp->older.n; i++)
		if (dp->older.programs[i].id == id)
			return &dp->older.programs[i];
	return NULL;
}

/* By who has pinned it. The name need not be known. */
static void owner_by_pin(struct datapath *dp, uint32_t id, struct program_seen *seen)
{
	const struct older_program *older = older_program(dp, id);

	if (older) {
		memcpy(seen->name, older->name, sizeof(seen->name));
		seen->owner = OWNER_US;
		return;
	}
	if (instance_of_program(id, seen->instance, sizeof(seen->instance), seen->name) == 0)
		seen->owner = strcmp(seen->instance, dp->instance) == 0 ? OWNER_US : OWNER_INSTANCE;
}

static bool is_this_daemons(struct datapath *dp, uint32_t id, struct program_seen *seen)
{
	for (size_t i = 0; i < DP_PROG_COUNT; i++) {
		if (dp->objects.progs[i].id != id)
			continue;
		snprintf(seen->name, sizeof(seen->name), "%s", dp->objects.progs[i].name);
		seen->owner = OWNER_US;
		return true;
	}
	return false;
}

int program_see(struct datapath *dp, uint32_t id, struct program_seen *seen)
{
	uint32_t map_ids[MAPS_MAX] = {};
	struct bpf_prog_info info = { .nr_map_ids = MAPS_MAX, .map_ids = (uintptr_t)map_ids };
	__u32 len = sizeof(info), n;
	int fd, err;

	memset(seen, 0, sizeof(*seen));
	if (is_this_daemons(dp, id, seen))
		return 0;
	fd = bpf_prog_get_fd_by_id(id);
	if (fd == -EPERM) {
		owner_by_pin(dp, id, seen);
		return 0;
	}
	if (fd < 0)
		return fd;
	err = bpf_obj_get_info_by_fd(fd, &info, &len);
	close(fd);
	if (err)
		return err;
	memcpy(seen->name, info.name, sizeof(seen->name));
	if (!is_named_like_ours(seen->name))
		return 0;
	n = info.nr_map_ids < MAPS_MAX ? info.nr_map_ids : MAPS_MAX;
	if (!owner_by_control(dp, map_ids, n, seen))
		owner_by_pin(dp, id, seen);
	return 0;
}

int program_fd(struct datapath *dp, uint32_t id)
{
	const struct older_program *older = older_program(dp, id);
	int fd = older ? older->fd : -1;

	for (size_t i = 0; i < DP_PROG_COUNT; i++)
		if (dp->objects.progs[i].id == id)
			fd = dp->objects.progs[i].fd;
	if (fd < 0)
		return bpf_prog_get_fd_by_id(id);
	fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	return fd < 0 ? -errno : fd;
}

static int remember(void *arg, const char *pin, int fd, const struct bpf_prog_info *info)
{
	struct older *older = arg;
	struct older_program *program = &older->programs[older->n++];

	*program = (struct older_program){ .id = info->id, .fd = fd };
	memcpy(program->name, info->name, sizeof(program->name));
	snprintf(program->pin, sizeof(program->pin), "%s", pin);
	return older->n == OLDER_MAX;
}

/* Before this daemon pins its own in their place. */
void owner_remember_pins(struct datapath *dp)
{
	programs_pinned(dp->pins, remember, &dp->older);
}

void owner_forget_pins(struct datapath *dp)
{
	for (size_t i = 0; i < dp->older.n; i++)
		close(dp->older.programs[i].fd);
	dp->older = (struct older){};
}

void older_unpin(struct datapath *dp, struct older_program *older)
{
	char path[192];

	if (strlen(older->pin) <= strlen(PROGRAM_PIN) + strlen(older->name))
		return; /* its own name, which is another's by now, or will be */
	snprintf(path, sizeof(path), "%s/%s", dp->pins, older->pin);
	unlink(path);
}

static bool is_attached(struct datapath *dp, uint32_t id)
{
	const struct system_link *link;

	for (size_t i = 0; (link = system_link_at(dp->system, i)); i++)
		if (link->xdp_prog_id == id || tc_program_at(dp, link->ifindex, false) == id ||
		    tc_program_at(dp, link->ifindex, true) == id)
			return true;
	return false;
}

/* Else a daemon that fails at each start would leave more of them each time. */
void owner_prune_pins(struct datapath *dp)
{
	for (size_t i = 0; i < dp->older.n; i++)
		if (!is_attached(dp, dp->older.programs[i].id))
			older_unpin(dp, &dp->older.programs[i]);
}

bool others_at_work(struct datapath *dp)
{
	const struct system_link *link;

	for (size_t i = 0; (link = system_link_at(dp->system, i)); i++)
		if (tc_instance_at(dp, link->ifindex, true, NULL) || tc_instance_at(dp, link->ifindex, false, NULL))
			return true;
	return false;
}
