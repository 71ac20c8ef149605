/* SPDX-License-Identifier: GPL-2.0-only */
/* Aliases: an array of entries in the file, or a file of its own with an entry a line. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "user/config/names.h"
#include "user/config/tables.h"
#include "user/config/text.h"

#define ENTRY_TEXT \
	"an address, a prefix, a range \"first-last\", a port from 1 to 65535, a range of ports \"1000-2000\", " \
	"or another alias as \"$name\""

#define FILE_SIZE_MAX (256 << 20) /* bytes; ten million IPv4 prefixes */
#define LINE_MAX_LEN 256
#define FAULTS_MAX 20 /* lines that are told of one file */

/* ---- entries ---- */

/* 0, -EINVAL as text_addresses(), -ENOMEM. */
static int entry_of_text(const char *text, struct config_alias_entry *out, char why[TEXT_WHY])
{
	why[0] = '\0';
	if (text[0] == '$') {
		if (name_shape_fault(text + 1))
			return -EINVAL;
		out->kind = CONFIG_ENTRY_ALIAS;
		out->alias.name = strdup(text + 1);
		return out->alias.name ? 0 : -ENOMEM;
	}
	if (!text_addresses(text, &out->addresses, why)) {
		out->kind = CONFIG_ENTRY_ADDRESSES;
		return 0;
	}
	if (why[0] || text_ports(text, &out->ports, why))
		return -EINVAL;
	out->kind = CONFIG_ENTRY_PORTS;
	return 0;
}

/* In JSON a single port is a number. */
static void parse_entry(struct schema_walk *walk, const struct path *path, const json_t *value,
			const struct schema_key *key, void *item)
{
	const char *text = json_string_value(value);
	struct config_alias_entry entry = { .at = (uint32_t)path->index };
	char why[TEXT_WHY] = "";
	uint32_t port;
	int err = -EINVAL;

	if (schema_whole_number(value, 1, UINT16_MAX, &port)) {
		entry.kind = CONFIG_ENTRY_PORTS;
		entry.ports.first = entry.ports.last = (uint16_t)port;
		err = 0;
	} else if (text && text[strspn(text, "0123456789")]) {
		err = entry_of_text(text, &entry, why);
	}
	if (!err)
		*(struct config_alias_entry *)item = entry;
	else if (err == -ENOMEM)
		walk->err = err;
	else if (why[0])
		schema_error(walk, path, "%s", why);
	else
		schema_refuse(walk, path, value, key->accepts);
}

/* ---- files ---- */

struct reading {
	struct schema_walk *walk;
	const struct path *path;
	struct config_alias *alias;
	size_t room; /* in the alias's entries */
	uint32_t line;
	size_t faults;
};

/* false: no memory. */
static bool add_entry(struct reading *r, const struct config_alias_entry *entry)
{
	struct config_alias *alias = r->alias;

	if (alias->n_entries == r->room) {
		size_t room = r->room ? r->room * 2 : 64;
		struct config_alias_entry *grown = reallocarray(alias->entries, room, sizeof(*grown));

		if (!grown)
			return false;
		alias->entries = grown;
		r->room = room;
	}
	alias->entries[alias->n_entries++] = *entry;
	return true;
}

/* Without comment and blanks around it. */
static char *trim(char *text)
{
	size_t len;

	text[strcspn(text, "#\r\n")] = '\0';
	text += strspn(text, " \t");
	for (len = strlen(text); len && strchr(" \t", text[len - 1]); len--)
		text[len - 1] = '\0';
	return text;
}

static void report_line(struct reading *r, const char *text, const char *why)
{
	if (r->faults++ >= FAULTS_MAX)
		return;
	if (why[0])
		schema_error(r->walk, r->path, "%s:%u: %s", r->alias->file, r->line, why);
	else
		schema_error(r->walk, r->path, "%s:%u: found \"%.40s\"; accepted: %s", r->alias->file, r->line, text,
			     ENTRY_TEXT);
}

static void take_line(struct reading *r, char *line)
{
	struct config_alias_entry entry = { .at = r->line };
	char *text = trim(line), why[TEXT_WHY];
	int err;

	if (!*text)
		return;
	err = entry_of_text(text, &entry, why);
	if (err == -EINVAL) {
		report_line(r, text, why);
		return;
	}
	if (!err && add_entry(r, &entry))
		return;
	if (entry.kind == CONFIG_ENTRY_ALIAS)
		free(entry.alias.name);
	r->walk->err = -ENOMEM;
}

/* A line that is too long for any entry is wrong as a whole, unless it is a comment. */
static void read_lines(struct reading *r, FILE *from)
{
	char line[LINE_MAX_LEN];
	int c;

	while (fgets(line, sizeof(line), from)) {
		r->line++;
		c = strchr(line, '\n') ? '\n' : 0;
		while (c != '\n' && c != EOF)
			c = fgetc(from);
		take_line(r, line);
	}
	if (r->faults > FAULTS_MAX)
		schema_error(r->walk, r->path, "%s: %zu more lines are wrong", r->alias->file, r->faults - FAULTS_MAX);
}

/* NULL, and errno says why. Something else than a file might have no end, or wait for a writer. */
static FILE *open_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	FILE *file;

	if (fd < 0)
		return NULL;
	errno = fstat(fd, &st) ? errno : S_ISDIR(st.st_mode) ? EISDIR : !S_ISREG(st.st_mode) ? EINVAL : 0;
	if (!errno && st.st_size > FILE_SIZE_MAX)
		errno = EFBIG;
	file = errno ? NULL : fdopen(fd, "r");
	if (!file)
		close(fd);
	return file;
}

static void alias_done(struct schema_walk *walk, const struct path *path, const json_t *value, void *item)
{
	struct path key = { .up = path, .key = "file" };
	struct reading r = { .walk = walk, .path = &key, .alias = item };
	FILE *file;

	(void)value;
	if (!r.alias->file)
		return;
	file = open_file(r.alias->file);
	if (file)
		read_lines(&r, file);
	if (!file || ferror(file))
		schema_error(walk, &key, "\"%s\" can't be read: %s", r.alias->file,
			     errno == EINVAL ? "it is no file" : strerror(errno));
	if (file)
		fclose(file);
}

/* ---- tables ---- */

static const struct schema_key alias_keys[] = {
	{ .key = "file",
	  .kind = SCHEMA_STRING,
	  .flags = SCHEMA_REQUIRED,
	  FIELD(struct config_alias, file),
	  .fault = name_path_fault,
	  .accepts = "the absolute path of a file" },
	SYNC,
	DESCRIPTION,
	END,
};
static const struct schema_key alias_array = {
	.kind = SCHEMA_LIST,
	LIST(struct config_alias, entries),
	.element = parse_entry,
	.accepts = ENTRY_TEXT,
};
const struct schema_object table_alias = {
	.keys = alias_keys,
	.size = sizeof(struct config_alias),
	.name_offset = offsetof(struct config_alias, name),
	.name_fault = name_fault,
	.array = &alias_array,
	.done = alias_done,
};
