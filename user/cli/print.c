// SPDX-License-Identifier: GPL-2.0-only
#include <ctype.h>
#include <libsmartcols/libsmartcols.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "user/cli/cli.h"

#define COLUMNS_MAX 32
#define KEY_MAX 64

void cli_print_json(const json_t *json)
{
	json_dumpf(json, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
	putchar('\n');
}

/* ---- cells ---- */

static void print_value(FILE *to, const json_t *value)
{
	const char *key;
	json_t *item;
	size_t i;

	switch (json_typeof(value)) {
	case JSON_OBJECT:
		i = 0;
		json_object_foreach((json_t *)value, key, item) {
			fprintf(to, "%s%s=", i++ ? " " : "", key);
			print_value(to, item);
		}
		break;
	case JSON_ARRAY:
		if (json_is_object(json_array_get(value, 0))) { /* a table of its own: how many rows */
			fprintf(to, "%zu", json_array_size(value));
			break;
		}
		json_array_foreach((json_t *)value, i, item) {
			fputs(i ? "," : "", to);
			print_value(to, item);
		}
		break;
	case JSON_STRING:
		fputs(json_string_value(value), to);
		break;
	case JSON_INTEGER:
		fprintf(to, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
		break;
	case JSON_REAL:
		fprintf(to, "%.3f", json_real_value(value));
		break;
	case JSON_TRUE:
	case JSON_FALSE:
		fputs(json_is_true(value) ? "yes" : "no", to);
		break;
	case JSON_NULL:
		break;
	}
}

static void print_time(FILE *to, json_int_t ms)
{
	time_t s = ms / 1000;
	struct tm tm;
	char text[32];

	if (localtime_r(&s, &tm) && strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm))
		fputs(text, to);
}

/* How long ago. */
static void print_age(FILE *to, json_int_t ms)
{
	json_int_t s = ms / 1000;

	if (s < 60)
		fprintf(to, "%.1fs", ms / 1000.0);
	else if (s < 3600)
		fprintf(to, "%dm%02ds", (int)(s / 60), (int)(s % 60));
	else if (s < 86400)
		fprintf(to, "%dh%02dm", (int)(s / 3600), (int)(s / 60 % 60));
	else
		fprintf(to, "%" JSON_INTEGER_FORMAT "d%02dh", s / 86400, (int)(s / 3600 % 24));
}

/* Arrays of objects of which two values are told: who, and what of him. */
static const struct list {
	const char *key, *who, *what;
} lists[] = {
	{ "members", "gateway", "use" }, /* of a gateway group */
	{ "learned", "family", "by" },	 /* of an automatic gateway */
};

static const struct list *list_of(const char *key)
{
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		if (!strcmp(key, lists[i].key))
			return &lists[i];
	return NULL;
}

static void print_list(FILE *to, const struct list *list, const json_t *items)
{
	json_t *item;
	size_t i;

	json_array_foreach((json_t *)items, i, item) {
		fprintf(to, "%s%s %s", i ? ", " : "", json_string_value(json_object_get(item, list->who)),
			json_string_value(json_object_get(item, list->what)));
	}
}

/* time_ms is a moment, since_ms an age; people read it as a date. Nothing to say is a dash; but a prefix that is not known is there to come. */
char *cli_text(const char *key, const json_t *value)
{
	char *text = NULL;
	size_t len = 0;
	FILE *to = open_memstream(&text, &len);

	if (!to)
		return NULL;
	if (value && json_is_integer(value) && !strcmp(key, "time_ms"))
		print_time(to, json_integer_value(value));
	else if (value && json_is_integer(value) && !strcmp(key, "since_ms"))
		print_age(to, json_integer_value(value));
	else if (json_is_array(value) && list_of(key))
		print_list(to, list_of(key), value);
	else if (json_is_null(value) && !strcmp(key, "external"))
		fputs("unknown", to);
	else if (value)
		print_value(to, value);
	if (!ftell(to))
		fputc('-', to);
	fclose(to);
	return text;
}

/* ---- columns ---- */

struct columns {
	char keys[COLUMNS_MAX][KEY_MAX];
	size_t n;
};

static void add_column(struct columns *columns, const char *key, size_t len)
{
	for (size_t i = 0; i < columns->n; i++) {
		if (strlen(columns->keys[i]) == len && !strncmp(columns->keys[i], key, len))
			return;
	}
	if (columns->n < COLUMNS_MAX && len < KEY_MAX)
		memcpy(columns->keys[columns->n++], key, len);
}

static void add_listed(struct columns *columns, const char *keys)
{
	while (*keys) {
		size_t len = strcspn(keys, " ");

		add_column(columns, keys, len);
		keys += len + (keys[len] == ' ');
	}
}

static void add_found(struct columns *columns, const json_t *object)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)object, key, value) {
		add_column(columns, key, strlen(key));
	}
}

static bool numeric(const json_t *rows, const char *key)
{
	json_t *row;
	size_t i;

	json_array_foreach((json_t *)rows, i, row) {
		const json_t *value = json_object_get(row, key);

		if (value && !json_is_number(value) && !json_is_null(value))
			return false;
	}
	return strcmp(key, "time_ms");
}

/* rx_packets -> RX_PACKETS; what is shown as a date or an age has no unit */
static void heading(const char *key, char *out)
{
	if (!strcmp(key, "time_ms"))
		key = "time";
	else if (!strcmp(key, "since_ms"))
		key = "since";
	while (*key)
		*out++ = toupper((unsigned char)*key++);
	*out = '\0';
}

static struct libscols_table *new_table(const struct columns *columns, const json_t *rows)
{
	struct libscols_table *table;
	char name[KEY_MAX];

	scols_init_debug(0);
	table = scols_new_table();
	if (!table)
		return NULL;
	/* a narrow terminal wraps long lines, no value is cut off */
	scols_table_enable_nowrap(table, 0);
	scols_table_set_termforce(table, SCOLS_TERMFORCE_NEVER);
	for (size_t i = 0; i < columns->n; i++) {
		heading(columns->keys[i], name);
		if (!scols_table_new_column(table, name, 0, numeric(rows, columns->keys[i]) ? SCOLS_FL_RIGHT : 0)) {
			scols_unref_table(table);
			return NULL;
		}
	}
	return table;
}

static bool add_row(struct libscols_table *table, const struct columns *columns, const json_t *row)
{
	struct libscols_line *line = scols_table_new_line(table, NULL);

	for (size_t i = 0; line && i < columns->n; i++) {
		char *text = cli_text(columns->keys[i], json_object_get(row, columns->keys[i]));

		if (!text || scols_line_refer_data(line, i, text))
			return false;
	}
	return line;
}

int cli_print_table(const json_t *rows, const char *keys, const char *none)
{
	struct columns columns = { 0 };
	struct libscols_table *table;
	int status = CLI_FAILED;
	json_t *row;
	size_t i;

	if (!json_array_size(rows)) {
		puts(none);
		return CLI_DONE;
	}
	add_listed(&columns, keys);
	json_array_foreach((json_t *)rows, i, row) {
		add_found(&columns, row);
	}
	table = new_table(&columns, rows);
	if (!table)
		goto out;
	json_array_foreach((json_t *)rows, i, row) {
		if (!add_row(table, &columns, row))
			goto out;
	}
	status = scols_print_table(table) ? CLI_FAILED : CLI_DONE;
out:
	if (status)
		fputs("fairlead: the table can't be printed\n", stderr);
	scols_unref_table(table);
	return status;
}

void cli_print_object(const json_t *object, const char *keys)
{
	struct columns columns = { 0 };
	int width = 0;

	add_listed(&columns, keys);
	add_found(&columns, object);
	for (size_t i = 0; i < columns.n; i++) {
		if (json_object_get(object, columns.keys[i]) && (int)strlen(columns.keys[i]) > width)
			width = strlen(columns.keys[i]);
	}
	for (size_t i = 0; i < columns.n; i++) {
		const json_t *value = json_object_get(object, columns.keys[i]);
		char *text = value ? cli_text(columns.keys[i], value) : NULL;

		if (text)
			printf("%-*s  %s\n", width, columns.keys[i], text);
		free(text);
	}
}
