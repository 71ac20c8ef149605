// SPDX-License-Identifier: GPL-2.0-only
/* Loading the two objects, taking over the maps that are pinned, pinning maps and programs in the instance's folder. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "user/datapath/private.h"
#include "user/lib/clock.h"
#include "user/lib/log.h"

/* after the structs that they hold */
#include "tc.skel.h"
#include "xdp.skel.h"

#define VERIFIER_LOG_TAIL 1500

const char *const dp_map_names[DP_MAP_COUNT] = {
#define DP_MAP_NAME(id, name) name,
	DP_MAPS(DP_MAP_NAME)
#undef DP_MAP_NAME
};

const char *const dp_prog_names[DP_PROG_COUNT] = { "fl_xdp", "fl_xdp_generic", "fl_icmp", "fl_tc_in", "fl_tc_out" };

/* libbpf's own words are for debugging, except what the verifier says of a program that it refuses. */
static int print_libbpf(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	char *text, *end;

	if (vasprintf(&text, fmt, ap) < 0)
		return 0;
	end = text + strlen(text);
	while (end > text && end[-1] == '\n')
		*--end = '\0';
	if (level == LIBBPF_WARN && strstr(text, "PROG LOAD LOG"))
		log_warnx("%s", end - text > VERIFIER_LOG_TAIL ? end - VERIFIER_LOG_TAIL : text);
	else
		log_debug("%s", text); /* begins with "libbpf: " */
	free(text);
	return 0;
}

/*
 * Does bpf_skb_adjust_room() know BPF_F_ADJ_ROOM_DECAP_L3_IPV6 (Linux 6.3)? Tried on an IPv6-in-IPv4 packet by a program of
 * four instructions that is thrown away.
 */
static bool probe_decap_l3(void)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_2, .imm = -20 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_3, .imm = BPF_ADJ_ROOM_MAC },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_4, .imm = 1 << 8 },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_skb_adjust_room },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	uint8_t packet[14 + 20 + 40] = { [12] = 0x08, [14] = 0x45, [17] = 60, [23] = 41, [34] = 0x60 };
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = packet, .data_size_in = sizeof(packet));
	int fd = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "fl_probe", "GPL", insns, sizeof(insns) / sizeof(insns[0]),
			       NULL);
	bool known;

	if (fd < 0)
		return false;
	known = bpf_prog_test_run_opts(fd, &run) == 0 && run.retval == 0;
	close(fd);
	return known;
}

static int make_folder(struct datapath *dp)
{
	struct statfs fs;

	if (statfs(BPFFS, &fs))
		return log_ret(errno, "%s is not there: this kernel has no BPF file system", BPFFS);
	if (fs.f_type != BPF_FS_MAGIC && mount("bpf", BPFFS, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700"))
		return log_ret(errno, "cannot mount the BPF file system; do it by `mount -t bpf bpf %s`", BPFFS);
	snprintf(dp->pins, sizeof(dp->pins), "%s/%s", PIN_ROOT, dp->instance);
	if (mkdir(PIN_ROOT, 0700) && errno != EEXIST)
		return log_ret(errno, "cannot make %s", PIN_ROOT);
	dp->first = mkdir(dp->pins, 0700) == 0;
	if (!dp->first && errno != EEXIST)
		return log_ret(errno, "cannot make %s", dp->pins);
	return 0;
}

/* The kernel adds BPF_F_RDONLY_PROG to a devmap by itself: no difference. */
static bool map_fits(const struct bpf_map *map, int fd)
{
	struct bpf_map_info info = {};
	__u32 len = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &len) == 0 && info.type == bpf_map__type(map) &&
	       info.key_size == bpf_map__key_size(map) && info.value_size == bpf_map__value_size(map) &&
	       info.max_entries == bpf_map__max_entries(map) &&
	       ((info.map_flags ^ bpf_map__map_flags(map)) & ~BPF_F_RDONLY_PROG) == 0;
}

/* Gives the object's maps those that are pinned; unpins what has another shape, so that load makes it anew. */
static int map_reuse_pinned(struct bpf_object *object, bool remake_misfits)
{
	struct bpf_map *map;
	int err = 0;

	bpf_object__for_each_map(map, object)
	{
		const char *path = bpf_map__pin_path(map);
		int fd = path ? bpf_obj_get(path) : -1;

		if (fd < 0)
			continue;
		if (map_fits(map, fd)) {
			err = bpf_map__reuse_fd(map, fd);
		} else if (remake_misfits) {
			log_info("%s has another shape than this version's: made anew", bpf_map__name(map));
			unlink(path);
		} else {
			err = -EINVAL;
		}
		close(fd);
		if (err)
			return log_ret(err, "cannot take over %s", path);
	}
	return 0;
}

/* The flow cache, which nobody but the programs reads */
static const char *const memo_names[] = { "fl_flows", "fl_flow_tags", "fl_rule_memo" };

static void discard_maps(struct datapath *dp)
{
	char path[192];

	for (size_t i = 0; i < DP_MAP_COUNT; i++) {
		snprintf(path, sizeof(path), "%s/%s", dp->pins, dp_map_names[i]);
		unlink(path);
	}
	for (size_t i = 0; i < sizeof(memo_names) / sizeof(memo_names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", dp->pins, memo_names[i]);
		unlink(path);
	}
	state_table_unpin(dp, true);
}

/*
 * What an earlier version with other structs left is of no use to the programs of this one: all maps are made anew. So they are
 * where those that are pinned are at work in another network namespace: its programs go on with them. (When they are
 * signed no program is attached yet, see control_sign(): without a namespace nobody uses them.)
 */
static void discard_others_maps(struct datapath *dp)
{
	struct fl_control control = {};
	int err = control_pinned(dp->pins, &control, &dp->older.control);

	owner_remember_pins(dp);
	if (!err && control_is_elsewhere(&control, dp->netns)) {
		log_warnx("instance \"%s\" was at work in another network namespace: its programs go on there, but no "
			  "daemon cares for them; give each namespace an instance of its own",
			  dp->instance);
		owner_forget_pins(dp);
		dp->first = true;
	} else if (!err && (control.layout == FL_LAYOUT_VERSION || control.layout == 0)) {
		return;
	} else if (err != -ENOENT) {
		log_info("maps of layout %u are replaced by those of layout %u", control.layout, FL_LAYOUT_VERSION);
	}
	discard_maps(dp);
}

struct xdp *xdp_open(struct datapath *dp)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .pin_root_path = dp->pins);
	struct xdp *skel = xdp__open_opts(&opts);

	if (!skel)
		return NULL;
	skel->rodata->fl_dry_run = false;
	if (getrandom((void *)&skel->rodata->fl_secret, sizeof(skel->rodata->fl_secret), GRND_NONBLOCK) < 0)
		log_debug("no random numbers yet: buckets of ICMP errors may be guessed");
	skel->rodata->fl_decap_l3 = dp->decap_l3;
	skel->rodata->fl_hz = dp->hz;
	return skel;
}

struct tc *tc_open(struct datapath *dp, bool dry_run)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .pin_root_path = dp->pins);
	struct tc *skel = tc__open_opts(&opts);

	if (!skel)
		return NULL;
	skel->rodata->fl_dry_run = dry_run;
	skel->rodata->fl_decap_l3 = dp->decap_l3;
	skel->rodata->fl_hz = dp->hz;
	return skel;
}

int object_prepare(struct datapath *dp, struct bpf_object *object, bool remake)
{
	const struct {
		const char *map;
		uint32_t entries;
	} sizes[] = {
		{ "fl_flows", FL_FLOWS * dp->n_cpus },
		{ "fl_flow_tags", FL_FLOW_SETS * dp->n_cpus },
		{ "fl_ep_stats", FL_ENDPOINTS_MAX * dp->n_cpus },
		{ "fl_rule_memo", FL_RULE_MEMOS * dp->n_cpus },
		{ "fl_rule_stats", FL_RULE_STATS_INDEX(dp->n_cpus + 1, 0) },
		{ "fl_state_counts", FL_STATE_COUNTS_CPU(dp->n_cpus) },
		{ "fl_sync_log", dp->n_cpus + 1 },
		{ "fl_buckets", dp->n_buckets },
		{ "fl_states", dp->n_buckets * FL_BUCKET_WAYS },
	};
	int err = 0;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]) && !err; i++) {
		struct bpf_map *map = bpf_object__find_map_by_name(object, sizes[i].map);

		if (map)
			err = bpf_map__set_max_entries(map, sizes[i].entries);
	}
	return err ?: map_reuse_pinned(object, remake);
}

/* The maps that both objects have, so that neither waits for the other to make them: by a third one, without programs. */
static int maps_make_shared(struct datapath *dp)
{
	struct xdp *skel = xdp_open(dp);
	struct bpf_program *prog;
	int err;

	if (!skel)
		return -errno;
	bpf_object__for_each_program(prog, skel->obj) bpf_program__set_autoload(prog, false);
	err = object_prepare(dp, skel->obj, true) ?: bpf_object__load(skel->obj);
	xdp__destroy(skel);
	return err ? log_ret(err, "cannot make the maps") : 0;
}

static int load_both(struct datapath *dp)
{
	int xdp, tc, err = maps_make_shared(dp);

	err = err ?: object_prepare(dp, dp->objects.xdp->obj, false);
	err = err ?: object_prepare(dp, dp->objects.tc->obj, true);
	if (err)
		return err;
	objects_verify(dp->objects.xdp->obj, dp->objects.tc->obj, &xdp, &tc);
	if (xdp || tc)
		return log_ret(xdp ?: tc, "the kernel does not take the %s programs", xdp ? "XDP" : "tc");
	return 0;
}

static int find_maps(struct datapath *dp)
{
	for (size_t i = 0; i < DP_MAP_COUNT; i++) {
		int fd = bpf_object__find_map_fd_by_name(dp->objects.xdp->obj, dp_map_names[i]);

		if (fd < 0)
			fd = bpf_object__find_map_fd_by_name(dp->objects.tc->obj, dp_map_names[i]);
		if (fd < 0)
			return log_ret(ENOENT, "the programs have no map %s", dp_map_names[i]);
		fd = fcntl(fd, F_DUPFD_CLOEXEC, 3); /* the skeletons may be others some day */
		fd = fd < 0 ? -errno : map_open(&dp->maps[i], fd);
		if (fd)
			return log_ret(fd, "cannot read about %s", dp_map_names[i]);
	}
	return 0;
}

static void program_path(const struct datapath *dp, const struct dp_prog *prog, char *path, size_t len)
{
	snprintf(path, len, "%s/" PROGRAM_PIN "%s", dp->pins, prog->name);
}

/*
 * By its id, beside what an earlier daemon has pinned, until it is attached in place of that (objects_settle()): should this one be
 * killed before, the next one must know what is attached, be it of the one or of the other.
 */
static int pin_new_program(struct datapath *dp, const struct dp_prog *prog)
{
	char path[192], by_id[208];

	program_path(dp, prog, path, sizeof(path));
	snprintf(by_id, sizeof(by_id), "%s_%u", path, prog->id);
	unlink(by_id);
	return bpf_obj_pin(prog->fd, by_id) ? log_ret(errno, "cannot pin %s", by_id) : 0;
}

static int find_programs(struct objects *objects)
{
	const struct bpf_program *progs[DP_PROG_COUNT] = { objects->xdp->progs.fl_xdp,
							   objects->xdp->progs.fl_xdp_generic,
							   objects->xdp->progs.fl_icmp, objects->tc->progs.fl_tc_in,
							   objects->tc->progs.fl_tc_out };

	for (size_t i = 0; i < DP_PROG_COUNT; i++) {
		struct bpf_prog_info info = {};
		__u32 len = sizeof(info);
		int err;

		objects->progs[i].name = dp_prog_names[i];
		objects->progs[i].fd = bpf_program__fd(progs[i]);
		err = bpf_obj_get_info_by_fd(objects->progs[i].fd, &info, &len);
		if (err)
			return log_ret(err, "cannot read about %s", dp_prog_names[i]);
		objects->progs[i].id = info.id;
	}
	return 0;
}

int objects_pin(struct datapath *dp)
{
	int err = 0;

	for (size_t i = 0; i < DP_PROG_COUNT && !err; i++)
		err = pin_new_program(dp, &dp->objects.progs[i]);
	return err;
}

int objects_load(struct datapath *dp, const struct config *config)
{
	int err;

	libbpf_set_print(print_libbpf);
	err = system_netns_cookie(&dp->netns);
	if (err)
		return log_ret(err, "the kernel does not tell network namespaces apart (Linux 5.14 and later do)");
	err = make_folder(dp);
	if (err)
		return err;
	dp->n_cpus = libbpf_num_possible_cpus();
	dp->decap_l3 = probe_decap_l3();
	dp->hz = clock_hz();
	if (!dp->hz)
		return log_ret(ENOTSUP, "the kernel does not say how long a tick of its clock is");
	discard_others_maps(dp);
	dp->n_buckets = state_table_pinned(dp)
				?: config ? state_buckets_of(config)
					  : states_buckets(STATES_DEFAULT, false);
	dp->objects.xdp = xdp_open(dp);
	dp->objects.tc = tc_open(dp, false);
	if (!dp->objects.xdp || !dp->objects.tc)
		return log_ret(errno, "cannot open the BPF objects");
	err = load_both(dp);
	err = err ?: find_maps(dp);
	err = err ?: find_programs(&dp->objects);
	return err ?: objects_pin(dp);
}

/* Their pins are not the instance's, until they take the places of those that are at work. */
static int object_prepare_on(struct datapath *dp, struct bpf_object *object, const struct dp_map *maps)
{
	int err = object_prepare(dp, object, false);

	for (size_t i = 0; i < STATE_MAPS && !err; i++) {
		struct bpf_map *map = bpf_object__find_map_by_name(object, dp_map_names[state_maps[i]]);

		if (!map)
			continue;
		err = bpf_map__set_pin_path(map, NULL);
		err = err ?: bpf_map__reuse_fd(map, maps[i].fd);
	}
	return err;
}

/* For objects_repin(). */
static int object_name_pins(struct datapath *dp, struct bpf_object *object)
{
	int err = 0;

	for (size_t i = 0; i < STATE_MAPS && !err; i++) {
		struct bpf_map *map = bpf_object__find_map_by_name(object, dp_map_names[state_maps[i]]);
		char path[192];

		snprintf(path, sizeof(path), "%s/%s", dp->pins, dp_map_names[state_maps[i]]);
		err = map ? bpf_map__set_pin_path(map, path) : 0;
	}
	return err;
}

int objects_load_on(struct datapath *dp, const struct dp_map *maps, struct objects *out)
{
	int err, tc = 0;

	out->xdp = xdp_open(dp);
	out->tc = tc_open(dp, false);
	if (!out->xdp || !out->tc)
		return -errno;
	err = object_prepare_on(dp, out->xdp->obj, maps);
	err = err ?: object_prepare_on(dp, out->tc->obj, maps);
	if (!err)
		objects_verify(out->xdp->obj, out->tc->obj, &err, &tc);
	err = err ?: tc;
	err = err ?: object_name_pins(dp, out->xdp->obj);
	err = err ?: object_name_pins(dp, out->tc->obj);
	return err ?: find_programs(out);
}

/* How many were not there, or -errno. */
static int repin_maps(struct bpf_object *object)
{
	struct bpf_map *map;
	int n = 0;

	bpf_object__for_each_map(map, object)
	{
		const char *path = bpf_map__pin_path(map);

		if (!path || access(path, F_OK) == 0)
			continue;
		if (bpf_obj_pin(bpf_map__fd(map), path))
			return -errno;
		n++;
	}
	return n;
}

static int repin_programs(struct datapath *dp)
{
	char path[192];
	int n = 0;

	for (size_t i = 0; i < DP_PROG_COUNT; i++) {
		program_path(dp, &dp->objects.progs[i], path, sizeof(path));
		if (access(path, F_OK) == 0)
			continue;
		if (bpf_obj_pin(dp->objects.progs[i].fd, path))
			return -errno;
		n++;
	}
	return n;
}

/* Without pins the next daemon would find nothing to take over. Both objects have most maps: the first one pins them. */
void objects_repin(struct datapath *dp)
{
	int xdp, tc = 0, programs = 0;

	if ((mkdir(PIN_ROOT, 0700) && errno != EEXIST) || (mkdir(dp->pins, 0700) && errno != EEXIST))
		xdp = -errno;
	else
		xdp = repin_maps(dp->objects.xdp->obj);
	if (xdp >= 0)
		tc = repin_maps(dp->objects.tc->obj);
	if (xdp >= 0 && tc >= 0)
		programs = repin_programs(dp);
	if (xdp < 0 || tc < 0 || programs < 0) {
		if (!dp->pins_lost)
			log_ret(xdp < 0 ? xdp : tc < 0 ? tc : programs, "cannot put the pins in %s back", dp->pins);
		dp->pins_lost = true;
		return;
	}
	if (xdp || tc || programs)
		journal_write(dp->journal, JOURNAL_WARNING, JOURNAL_DAEMON, dp->instance, "repaired", NULL,
			      "somebody has removed %d pins in %s; put back", xdp + tc + programs, dp->pins);
	dp->pins_lost = false;
}

/* Renamed, so that at every moment the name leads to a whole program. What else is pinned by an id is attached no more. */
void objects_settle(struct datapath *dp)
{
	char path[192], by_id[208];

	for (size_t i = 0; i < DP_PROG_COUNT; i++) {
		program_path(dp, &dp->objects.progs[i], path, sizeof(path));
		snprintf(by_id, sizeof(by_id), "%s_%u", path, dp->objects.progs[i].id);
		if (rename(by_id, path))
			log_warn("cannot rename %s", by_id);
	}
	for (size_t i = 0; i < dp->older.n; i++)
		older_unpin(dp, &dp->older.programs[i]);
}

void objects_free(struct objects *objects)
{
	xdp__destroy(objects->xdp);
	tc__destroy(objects->tc);
	*objects = (struct objects){};
}

void objects_unload(struct datapath *dp)
{
	owner_forget_pins(dp);
	objects_free(&dp->objects);
	for (size_t i = 0; i < DP_MAP_COUNT; i++) {
		if (dp->maps[i].fd > 0)
			close(dp->maps[i].fd);
		dp->maps[i] = (struct dp_map){};
	}
}

int objects_unpin(struct datapath *dp)
{
	struct dirent *entry;
	DIR *dir = opendir(dp->pins);
	int err = 0;

	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	while ((entry = readdir(dir)))
		if (entry->d_type != DT_DIR && unlinkat(dirfd(dir), entry->d_name, 0))
			err = log_ret(errno, "cannot remove %s/%s", dp->pins, entry->d_name);
	closedir(dir);
	if (rmdir(dp->pins) && !err)
		err = log_ret(errno, "cannot remove %s", dp->pins);
	rmdir(PIN_ROOT); /* goes with the last instance */
	return err;
}

/* A program's pin: what it has of it, and its file descriptor, the caller's to close. */
static int program_pinned(const char *folder, const char *entry, struct bpf_prog_info *info)
{
	__u32 len = sizeof(*info);
	char path[512];
	int fd, err;

	if (strncmp(entry, PROGRAM_PIN, strlen(PROGRAM_PIN)) != 0)
		return -ENOENT;
	snprintf(path, sizeof(path), "%s/%s", folder, entry);
	fd = bpf_obj_get(path);
	if (fd < 0)
		return fd;
	memset(info, 0, sizeof(*info));
	err = bpf_obj_get_info_by_fd(fd, info, &len);
	if (err)
		close(fd);
	return err ? err : fd;
}

int programs_pinned(const char *folder, program_pinned_fn *each, void *arg)
{
	struct bpf_prog_info info;
	struct dirent *entry;
	DIR *dir = opendir(folder);
	int found = 0;

	while (dir && !found && (entry = readdir(dir))) {
		int fd = program_pinned(folder, entry->d_name, &info);

		if (fd >= 0)
			found = each(arg, entry->d_name, fd, &info);
	}
	if (dir)
		closedir(dir);
	return found;
}

struct wanted {
	uint32_t id;
	char *name; /* BPF_OBJ_NAME_LEN */
};

static int is_wanted(void *arg, const char *pin, int fd, const struct bpf_prog_info *info)
{
	struct wanted *wanted = arg;

	(void)pin;
	close(fd);
	if (info->id != wanted->id)
		return 0;
	memcpy(wanted->name, info->name, BPF_OBJ_NAME_LEN);
	return 1;
}

/* Which instance has pinned this program? 0, its name and the program's, or -ENOENT. */
int instance_of_program(uint32_t id, char *instance, size_t len, char name[BPF_OBJ_NAME_LEN])
{
	struct wanted wanted = { id, name };
	struct dirent *entry;
	DIR *dir = opendir(PIN_ROOT);
	int err = -ENOENT;

	while (dir && err && (entry = readdir(dir))) {
		char path[512];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", PIN_ROOT, entry->d_name);
		if (programs_pinned(path, is_wanted, &wanted)) {
			snprintf(instance, len, "%s", entry->d_name);
			err = 0;
		}
	}
	if (dir)
		closedir(dir);
	return err;
}
