// SPDX-License-Identifier: GPL-2.0-only
/* Events as they are on disk, the older file first. They are not parsed: the keys that matter are in a fixed order. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "user/observe/journal.h"

#define CHUNK (256u << 10) /* bytes at a time: a tenth of a millisecond, and as much again for who prints them */
#define TIME_KEY "{\"time_ms\":"

struct journal_cursor {
	long long since_ms;
	char *kind, *name; /* as in the line, with what is around them; NULL: any */
	int fd[2];
	off_t end[2];
	unsigned int file; /* which of them */
	off_t at;
	char *in, *out;
	size_t left; /* bytes of a line whose end is not read yet, at in[0] */
	uint64_t found;
};

/* ---- a line ---- */

/* *text is behind it then; false: something else is there. */
static bool skip(const char **text, const char *what)
{
	size_t len = strlen(what);

	if (strncmp(*text, what, len))
		return false;
	*text += len;
	return true;
}

static bool skip_string(const char **text)
{
	const char *end = strchr(*text, ',');

	if (!end)
		return false;
	*text = end;
	return true;
}

/* line: without its newline, with a 0 instead */
static bool matches(const struct journal_cursor *c, const char *line, size_t len)
{
	const char *at = line;
	long long ms;
	char *end;

	if (len < sizeof(TIME_KEY) || line[len - 1] != '}' || memchr(line, '\0', len) || !skip(&at, TIME_KEY))
		return false;
	ms = strtoll(at, &end, 10);
	at = end;
	if (ms < c->since_ms || !skip(&at, ",\"kind\":"))
		return false;
	if (c->kind ? !skip(&at, c->kind) : !skip_string(&at))
		return false;
	return skip(&at, ",\"name\":") && (!c->name || skip(&at, c->name));
}

/* The lines of in[0 .. len) that match go to out; what is behind the last newline goes to in[0]. */
static void take_lines(struct journal_cursor *c, size_t len)
{
	char *line = c->in, *end = c->in + len, *newline, *out = c->out;

	while ((newline = memchr(line, '\n', end - line))) {
		*newline = '\0';
		if (matches(c, line, newline - line)) {
			if (out != c->out)
				*out++ = '\n';
			memcpy(out, line, newline - line);
			out += newline - line;
			c->found++;
		}
		line = newline + 1;
	}
	*out = '\0';
	c->left = end - line <= JOURNAL_LINE_MAX ? end - line : 0; /* longer than any line of ours */
	memmove(c->in, line, c->left);
}

int journal_read_go(struct journal_cursor *c, const char **lines)
{
	size_t want = CHUNK - c->left;
	ssize_t n;

	*c->out = '\0';
	*lines = c->out;
	if (c->file == 2)
		return 0;
	if (c->end[c->file] - c->at < (off_t)want)
		want = c->end[c->file] - c->at;
	n = want ? pread(c->fd[c->file], c->in + c->left, want, c->at) : 0;
	if (n < 0)
		return -errno;
	if (n == 0) {
		c->file++;
		c->at = 0;
		c->left = 0;
		return c->file < 2;
	}
	c->at += n;
	take_lines(c, c->left + n);
	return 1;
}

/* ---- open and close ---- */

static int open_one(struct journal_cursor *c, unsigned int which, const char *path)
{
	struct stat st;

	c->fd[which] = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (c->fd[which] < 0)
		return errno == ENOENT ? 0 : -errno;
	if (fstat(c->fd[which], &st))
		return -errno;
	c->end[which] = S_ISREG(st.st_mode) ? st.st_size : 0;
	return 0;
}

/* "text", as json_dumps() writes it. -ENOMEM; what is no UTF-8 is in no line. */
static int quoted(char **out, const char *text)
{
	json_t *json = text ? json_string(text) : NULL;
	char *quotes = json ? json_dumps(json, JSON_ENCODE_ANY) : NULL;
	int err = !text || (quotes && asprintf(out, "%s,", quotes) >= 0) ? 0 : -ENOMEM;

	free(quotes);
	json_decref(json);
	return err;
}

/* The comma belongs to the next key. */
static int take_query(struct journal_cursor *c, const struct journal_query *query)
{
	int err = quoted(&c->kind, query->kind);

	if (c->kind)
		c->kind[strlen(c->kind) - 1] = '\0';
	c->since_ms = query->since_ms;
	return err ?: quoted(&c->name, query->name);
}

static int open_files(struct journal_cursor *c, const char *path)
{
	char *before;
	int err;

	if (asprintf(&before, "%s.1", path) < 0)
		return -ENOMEM;
	err = open_one(c, 0, before);
	free(before);
	return err ?: open_one(c, 1, path);
}

int journal_read_open(struct journal_cursor **out, const char *path, const struct journal_query *query)
{
	struct journal_cursor *c = calloc(1, sizeof(*c));
	int err;

	if (!c)
		return -ENOMEM;
	c->fd[0] = c->fd[1] = -1;
	c->in = malloc(CHUNK + 1);
	c->out = malloc(CHUNK + 1);
	err = c->in && c->out ? take_query(c, query) : -ENOMEM;
	err = err ?: open_files(c, path);
	if (err)
		journal_read_close(c);
	else
		*out = c;
	return err;
}

void journal_read_close(struct journal_cursor *c)
{
	if (!c)
		return;
	for (int i = 0; i < 2; i++)
		if (c->fd[i] >= 0)
			close(c->fd[i]);
	free(c->kind);
	free(c->name);
	free(c->in);
	free(c->out);
	free(c);
}

uint64_t journal_read_found(const struct journal_cursor *c)
{
	return c->found;
}
