/* SPDX-License-Identifier: GPL-2.0-only */
/* Passwords and keys in files. They are read when they are needed, and cleared afterwards. */
#pragma once

#include <stddef.h>
#include <sys/types.h>

/*
 * The first line of a file that nobody but its owner may look at, without its end; to be cleared by explicit_bzero(). NULL, and *why (a
 * literal) where it can't be had: nothing of it is in `line` then.
 */
char *secret_read(const char *path, char *line, size_t size, const char **why);
/* The whole of such a file: bytes of it, behind which is a 0; -1, and *why. */
ssize_t secret_read_all(const char *path, char *text, size_t size, const char **why);
/* What secret_read() would say; NULL: nothing. */
const char *secret_trouble(const char *path);
