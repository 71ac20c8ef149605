/* SPDX-License-Identifier: GPL-2.0-only */
/* A directory for one test, removed at its end. */
#pragma once

#include <criterion/criterion.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct tempdir {
	char path[64];
};

static inline void tempdir_make(struct tempdir *dir)
{
	strcpy(dir->path, "/tmp/fairlead-unit.XXXXXX");
	cr_assert(mkdtemp(dir->path));
}

static inline int tempdir_unlink(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st, (void)flag, (void)ftw;
	return remove(path);
}

static inline void tempdir_remove(struct tempdir *dir)
{
	nftw(dir->path, tempdir_unlink, 8, FTW_DEPTH | FTW_PHYS);
}

/* dir/name; valid until the fourth call after it */
static inline const char *tempdir_file(const struct tempdir *dir, const char *name)
{
	static char buf[4][256];
	static int at;

	at = (at + 1) % 4;
	snprintf(buf[at], sizeof(buf[at]), "%s/%s", dir->path, name);
	return buf[at];
}
