/* SPDX-License-Identifier: GPL-2.0-only */
/* Whole files: read one, replace one so that a reader sees the old or the new text, also after a power cut. */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#define FILE_TEXT_MAX (16u << 20) /* bytes of a configuration; 10,000 tunnel clients take about 2 MB */

/* *text is malloc'ed and has a 0 behind its end. -errno, -EFBIG above FILE_TEXT_MAX. path "-": standard input. */
int file_read(const char *path, char **text, size_t *len);
/* The same for a daemon, which must not wait: -EINVAL for what is no file on a disk, such as a pipe. */
int file_read_regular(const char *path, char **text, size_t *len);

/* Why file_read() of `path` has failed with `err`, and what to do. Malloc'ed; NULL without memory. */
char *file_why_unread(const char *path, int err);

/* A new text for `path`, written under another name beside it, and on its way to the disk. */
struct file_change {
	char *path; /* symbolic links resolved */
	char *temp; /* NULL: nothing prepared */
	int fd;	    /* of it */
};

/*
 * Mode and owner are those of the file that is there, else `mode` and ours; where the owner may not be given, ours with a
 * warning. -errno; nothing is left behind on failure. The name beside it is always the same: one writer at a time.
 * Then either file_commit() (0 or -errno; the change is over in both cases) or file_discard().
 */
int file_prepare(struct file_change *change, const char *path, const char *text, size_t len, mode_t mode);
int file_commit(struct file_change *change); /* it is on the disk then, too */
void file_discard(struct file_change *change);

/* Removes what a program that was killed between the two has left beside `path`. */
void file_forget_half_written(const char *path);

/* prepare and commit */
int file_replace(const char *path, const char *text, size_t len, mode_t mode);
/* The same, but a power cut may take it, until file_sync() has been called. */
int file_replace_soon(const char *path, const char *text, size_t len, mode_t mode);
int file_sync(const char *path); /* -errno */

/* mkdir -p; an existing last directory keeps its mode */
int file_make_dirs(const char *path, mode_t mode);
