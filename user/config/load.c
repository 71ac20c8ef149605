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
static json_t *parse_duplicates(const char *text, size_t len, json_error_t *error, struct config_report *report)
{
	json_t *document = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, error);

	if (document || json_error_code(error) != json_error_duplicate_key)
		return document;
	document = json_loadb(text, len, JSON_DECODE_ANY, error);
	if (document && duplicate_report(text, len, report))
		config_report_add(report, false, "", "out of memory");
	return document;
}

/* So it does at an integer that it has no room for. NULL: no JSON, or no memory, and the report says so. */
static json_t *parse_json(const char *text, size_t len, struct config_report *report)
{
	json_error_t error = { .line = 0 };
	json_t *document;
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

static bool is_pass(const json_t *action)
{
	const char *text = json_string_value(action);

	return text && strcmp(text, "pass") == 0;
}

/* What is so anyway */
static bool passes_all(const json_t *default_action)
{
	return is_pass(default_action) ||
	       (is_pass(json_object_get(default_action, "in")) && is_pass(json_object_get(default_action, "out")));
}

/*
 * Sections that are parsed and checked, and that the data plane does not do yet: who relied on them would be mistaken. To
 * be deleted, with its table and config_load_ahead(), when it does.
 */
static void refuse_ahead(const json_t *document, struct config_report *report)
{
	static const struct {
		const char *pointer, *why;
	} ahead[] = {
		{ "/aliases", "only rules use them, and there is no packet filter yet; take \"aliases\" out" },
		{ "/default_action",
		  "there is no packet filter yet, everything passes; say \"default_action\": \"pass\"" },
		{ "/rules", "there is no packet filter yet, everything passes; take \"rules\" out" },
		{ "/nat", "addresses are not translated yet; take \"nat\" out" },
		{ "/limits", "there are no states to limit yet; take \"limits\" out" },
		{ "/optimization", "there are no states to time out yet; take \"optimization\" out" },
		{ "/timeouts_s", "there are no states to time out yet; take \"timeouts_s\" out" },
		{ "/log", "where logs go can't be chosen yet; take \"log\" out" },
	};
	size_t i;

	for (i = 0; i < sizeof(ahead) / sizeof(ahead[0]); i++) {
		const json_t *section = json_object_get(document, ahead[i].pointer + 1);

		if (section && !(strcmp(ahead[i].pointer, "/default_action") == 0 && passes_all(section)))
			config_report_add(report, false, ahead[i].pointer, "not in this version: %s", ahead[i].why);
	}
}

static int load(const char *text, size_t len, bool ahead, struct config **out, struct config_report *report)
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
	if (!ahead)
		refuse_ahead(document, report);
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

int config_load_string(const char *text, size_t len, struct config **out, struct config_report *report)
{
	return load(text, len, false, out, report);
}

int config_load_ahead(const char *text, size_t len, struct config **out, struct config_report *report)
{
	return load(text, len, true, out, report);
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
