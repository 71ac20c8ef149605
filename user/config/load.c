/* SPDX-License-Identifier: GPL-2.0-only */
/* Text -> JSON -> draft -> checked -> struct config. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "user/config/check.h"
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

/*
 * Jansson stops at the first duplicate key, so then the text is read again without minding them (the last one counts),
 * for what else is wrong to be found. NULL: no JSON, or no memory, and the report says so.
 */
static json_t *parse_json(const char *text, size_t len, struct config_report *report)
{
	json_error_t error = { .line = 0 };
	json_t *document = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);

	if (document)
		return document;
	if (json_error_code(&error) != json_error_duplicate_key) {
		report_syntax(report, &error);
		return NULL;
	}
	document = json_loadb(text, len, JSON_DECODE_ANY, &error);
	if (!document)
		report_syntax(report, &error);
	else if (duplicate_report(text, len, report))
		config_report_add(report, false, "", "out of memory");
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
	json_t *document;
	int err;

	memset(report, 0, sizeof(*report));
	document = parse_json(text, len, report);
	if (!document)
		return -EINVAL;
	err = fill_draft(&draft, document, report);
	if (!err && !report->n_errors) {
		config = build(&draft, text, len);
		err = config ? 0 : -ENOMEM;
	}
	report_sort(report, document);
	draft_free(&draft);
	json_decref(document);
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
