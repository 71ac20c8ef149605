// SPDX-License-Identifier: GPL-2.0-only
/* What the programs need of the kernel. */
#include <bpf/bpf.h>
#include <dirent.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "user/doctor/judge.h"

#define PINS "/sys/fs/bpf/fairlead"
#define PROGRAM_PIN "prog_"

void judge_kernel(struct doctor *d, const char *release)
{
	int major = 0, minor = 0;

	if (sscanf(release, "%d.%d", &major, &minor) != 2)
		doctor_warn(d, "Linux 6.1 or later", "the kernel's version is not understood: %s", release);
	else if (major < 6 || (major == 6 && minor < 1))
		doctor_fail(d, "install Linux 6.1 or later, as Debian 12 has it", "Linux %s is older than 6.1",
			    release);
	else
		doctor_ok(d, "Linux %s", release);
}

void check_kernel(struct doctor *d)
{
	struct utsname name;

	uname(&name);
	judge_kernel(d, name.release);
}

void judge_btf(struct doctor *d, const char *path)
{
	if (access(path, R_OK))
		doctor_fail(d, "a kernel with CONFIG_DEBUG_INFO_BTF=y, as distributions build it",
			    "there is no %s: the kernel takes no programs with types", path);
	else
		doctor_ok(d, "%s", path);
}

void check_btf(struct doctor *d)
{
	judge_btf(d, "/sys/kernel/btf/vmlinux");
}

void judge_bpffs(struct doctor *d, const char *path)
{
	struct statfs fs;

	if (statfs(path, &fs) || fs.f_type != BPF_FS_MAGIC)
		doctor_fail(d, doctor_text(d, "mount -t bpf bpf %s", path),
			    "the bpf file system is not mounted on %s: programs and maps do not outlive the daemon",
			    path);
	else
		doctor_ok(d, "mounted on %s", path);
}

void check_bpffs(struct doctor *d)
{
	judge_bpffs(d, "/sys/fs/bpf");
}

/* ---- the compiler ---- */

static bool program_of(const char *path, struct bpf_prog_info *info)
{
	uint32_t len = sizeof(*info);
	int fd = bpf_obj_get(path), err;

	if (fd < 0)
		return false;
	memset(info, 0, sizeof(*info));
	err = bpf_obj_get_info_by_fd(fd, info, &len);
	close(fd);
	return !err;
}

/* How many of the instance's programs there are, and how many of them are not compiled. */
static void count_programs(const char *instance, unsigned int *n, unsigned int *slow)
{
	struct bpf_prog_info info;
	struct dirent *e;
	char path[512];
	DIR *dir;

	snprintf(path, sizeof(path), PINS "/%s", instance);
	dir = opendir(path);
	while (dir && (e = readdir(dir))) {
		snprintf(path, sizeof(path), PINS "/%s/%s", instance, e->d_name);
		if (strncmp(e->d_name, PROGRAM_PIN, strlen(PROGRAM_PIN)) || !program_of(path, &info))
			continue;
		++*n;
		*slow += !info.jited_prog_len;
	}
	if (dir)
		closedir(dir);
}

void judge_jit(struct doctor *d, unsigned int programs, unsigned int slow, int sysctl)
{
	const char *remedy =
		"sysctl -w net.core.bpf_jit_enable=1, and the same in /etc/sysctl.d; then systemctl restart fairleadd";

	if (slow)
		doctor_fail(d, remedy, "%u of %u programs are interpreted: several times slower than compiled", slow,
			    programs);
	else if (programs)
		doctor_ok(d, "all %u programs are compiled", programs);
	else if (!sysctl)
		doctor_fail(d, remedy, "programs will be interpreted: several times slower than compiled");
	else if (sysctl > 1)
		doctor_warn(d, remedy, "bpf_jit_enable is %d: each program is dumped into the kernel's log", sysctl);
	else if (sysctl == 1)
		doctor_ok(d, "programs will be compiled");
	else
		doctor_skip(d, "no programs are loaded, and in this network namespace the kernel does not tell");
}

void check_jit(struct doctor *d)
{
	unsigned int programs = 0, slow = 0;

	count_programs(d->settings.instance, &programs, &slow);
	judge_jit(d, programs, slow, doctor_sysctl("net/core/bpf_jit_enable"));
}
