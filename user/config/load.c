/* SPDX-License-Identifier: GPL-2.0-only */
/* Text -> JSON -> draft -> checked -> struct config. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "user/config/check.h"
#include "user/config/document.h"
#include "user/config/duplicate.h"

#define FILE_MAX (16 * 1024 * 1024) /* ten times what 10,000 clients need */

static void report_syntax(struct config_report *report, const json_error_t *error)
{
	char where[64];

	snprintf(where, sizeof(where), "line %d, column %d", error->line, error->column);
	if (!error->text[0])
		config_report_add(report, false, "", "out of memory"); /* all else Jansson has words for */
	else if (json_error_code(error) == json_error_null_character)
		config_report_add(report, false, where, "found the character \\u0000; accepted: text without it");
	else
		config_report_add(report, false, where, "no valid JSON: %s", error->text);
}

static bool is_too_big(const char *number, size_t len)
{
	if (strspn(number, "-0123456789") < len)
		return false; /* a fraction or an exponent */
	errno = 0;
	strtoll(number, NULL, 10);
	return errno == ERANGE;
}

/*
 * A copy in which no integer has more than 64 bit: the last two digits of such a one become an exponent, which makes a real of it, of
 * the same size and with as many characters. NULL without memory.
 */
static char *without_big_integers(const char *text, size_t len)
{
	char *copy = malloc(len + 1), *at = copy;

	if (!copy)
		return NULL;
	memcpy(copy, text, len);
	copy[len] = '\0';
	while (*at) {
		size_t n = strspn(at, "-+.eE0123456789");

		if (n && is_too_big(at, n))
			memcpy(at + n - 2, "e2", 2);
		if (*at == '"') {
			for (at++; *at && *at != '"'; at++)
				at += *at == '\\' && at[1];
		}
		at += n ? n : *at != '\0';
	}
	return copy;
}

/*
 * Jansson stops at the first duplicate key, so then the text is read again without minding them (the last one counts),
 * for what else is wrong to be found. NULL: no JSON, or no memory.
 */
static struct document *parse_duplicates(const char *text, size_t len, json_error_t *error,
					 struct config_report *report)
{
	struct document *document = document_read(text, len, JSON_REJECT_DUPLICATES, error);

	if (document || json_error_code(error) != json_error_duplicate_key)
		return document;
	document = document_read(text, len, 0, error);
	if (document && duplicate_report(text, len, report))
		config_report_add(report, false, "", "out of memory");
	return document;
}

/* So it does at an integer that it has no room for. NULL: no JSON, or no memory, and the report says so. */
static struct document *parse_json(const char *text, size_t len, struct config_report *report)
{
	json_error_t error = { .line = 0 };
	struct document *document;
	char *copy;

	if (len >= 3 && !memcmp(text, "\xef\xbb\xbf", 3)) {
		config_report_add(report, false, "line 1, column 1",
				  "the file begins with a byte order mark; accepted: UTF-8 without one");
		return NULL;
	}
	document = parse_duplicates(text, len, &error, report);
	if (!document && json_error_code(&error) == json_error_numeric_overflow) {
		copy = without_big_integers(text, len);
		if (copy)
			document = parse_duplicates(copy, len, &error, report);
		free(copy);
	}
	if (!document)
		report_syntax(report, &error);
	return document;
}

static int fill_draft(struct draft *draft, const json_t *document, struct config_report *report)
{
	struct schema_walk walk = { .report = report };

	if (!json_is_object(document)) {
		schema_refuse(&walk, NULL, document,
			      "an object with \"interfaces\" and what else there is to configure");
		return walk.err;
	}
	schema_parse(&walk, NULL, document, &config_schema, draft);
	schema_walk_free(&walk);
	return walk.err ? walk.err : check_draft(draft, document, report);
}

static struct config *build(struct draft *draft, const char *text, size_t len)
{
	struct config *config = draft_build(draft);

	if (!config)
		return NULL;
	config->text = malloc(len + 1);
	if (!config->text) {
		config_free(config);
		return NULL;
	}
	memcpy(config->text, text, len);
	config->text[len] = '\0';
	config->text_len = len;
	return config;
}

json_t *config_json(const struct config *config)
{
	return json_loadb(config->text, config->text_len, 0, NULL);
}

int config_load_string(const char *text, size_t len, struct config **out, struct config_report *report)
{
	struct draft draft = { .node = NULL };
	struct config *config = NULL;
	struct document *document;
	int err;

	memset(report, 0, sizeof(*report));
	document = parse_json(text, len, report);
	if (!document)
		return -EINVAL;
	err = fill_draft(&draft, document_json(document), report);
	if (!err && !report->n_errors) {
		config = build(&draft, text, len);
		err = config ? 0 : -ENOMEM;
	}
	report_sort(report, document_json(document));
	draft_free(&draft);
	document_free(document);
	if (config) {
		*out = config;
		return 0;
	}
	if (err)
		config_report_add(report, false, "", "out of memory");
	return err ? err : -EINVAL;
}

/* The whole file, malloc'ed. 0 or -errno; -EFBIG above FILE_MAX. */
static int read_file(const char *path, char **text, size_t *len)
{
	size_t room = 64 * 1024, used = 0;
	char *buf = NULL, *grown;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int err = fd < 0 ? -errno : 0;
	ssize_t n = 1;

	while (!err && n) {
		if (!buf || used == room) {
			room *= buf ? 2 : 1;
			grown = room > FILE_MAX ? NULL : realloc(buf, room);
			err = grown ? 0 : room > FILE_MAX ? -EFBIG : -ENOMEM;
			buf = grown ? grown : buf;
			continue;
		}
		n = read(fd, buf + used, room - used);
		if (n < 0 && errno != EINTR)
			err = -errno;
		used += n > 0 ? (size_t)n : 0;
	}
	if (fd >= 0)
		close(fd);
	if (err) {
		free(buf);
		return err;
	}
	*text = buf;
	*len = used;
	return 0;
}

int config_load_file(const char *path, struct config **out, struct config_report *report)
{
	char *text;
	size_t len;
	int err;

	memset(report, 0, sizeof(*report));
	err = read_file(path, &text, &len);
	if (err) {
		config_report_add(report, false, "", "can't be read: %s", strerror(-err));
		return err;
	}
	err = config_load_string(text, len, out, report);
	free(text);
	return err;
}
