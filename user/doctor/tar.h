/* SPDX-License-Identifier: GPL-2.0-only */
/* An archive as POSIX has it (ustar), of regular files whose names have 100 bytes at most. */
#pragma once

#include <stdio.h>
#include <time.h>

/* 0 or -errno */
int tar_add(FILE *to, const char *name, const void *data, size_t len, time_t mtime);
int tar_end(FILE *to);
