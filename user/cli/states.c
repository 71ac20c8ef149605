// SPDX-License-Identifier: GPL-2.0-only
/* `show states`: may be millions of rows. They are printed as they come, and nothing of them is kept but what the widths are taken from. */
#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/cli/cli.h"
#include "user/lib/put.h"

#define KEYS_MAX 32
#define KEPT 512     /* rows whose widths are those of all */
#define ROW_MAX 4096 /* longer than any that the daemon writes */
#define WIDTH_MAX 80
#define OUT_SIZE (1 << 20)

/* ---- cells of a row ---- */

/* Where the cell ends that begins here. */
static char *cell_end(char *at)
{
	bool quoted = false;

	for (; *at && (quoted || (*at != ',' && *at != ']')); at++) {
		if (*at == '\\' && at[1])
			at++;
		else if (*at == '"')
			quoted = !quoted;
	}
	return at;
}

/* The row's cells, each text of its own; how many. */
static size_t split(char *line, char *cells[KEYS_MAX])
{
	size_t n = 0;

	for (char *at = line + 1; *line == '[' && n < KEYS_MAX;) {
		char *end = cell_end(at);
		bool last = *end != ',';

		cells[n++] = at;
		*end = '\0';
		if (last)
			break;
		at = end + 1;
	}
	return n;
}

static unsigned int hex_digit(char c)
{
	return isdigit((unsigned char)c) ? c - '0' : (c | 0x20) - 'a' + 10;
}

/* In its place. "" for null */
static char *plain(char *cell)
{
	char *to = cell;

	if (!strcmp(cell, "null"))
		return "";
	if (*cell != '"')
		return cell;
	for (char *at = cell + 1; *at && *at != '"'; at++) {
		if (*at == '\\' && at[1] == 'u' && strlen(at) > 5) { /* the daemon writes control characters so */
			*to++ = hex_digit(at[4]) << 4 | hex_digit(at[5]);
			at += 5;
			continue;
		}
		at += *at == '\\';
		*to++ = *at;
	}
	*to = '\0';
	return cell;
}

/* ---- columns of the table ---- */

enum { P_TEXT, P_END, P_AGE, P_NUMBER };

static const struct {
	const char *heading;
	const char *keys[4]; /* P_END: address, port, and both translated */
	int kind;
} columns[] = {
	{ "PROTOCOL", { "protocol" }, P_TEXT },
	{ "SOURCE", { "source", "source_port", "translated_source", "translated_source_port" }, P_END },
	{ "DESTINATION",
	  { "destination", "destination_port", "translated_destination", "translated_destination_port" },
	  P_END },
	{ "STATE", { "state" }, P_TEXT },
	{ "INTERFACE", { "interface" }, P_TEXT },
	{ "EGRESS", { "egress" }, P_TEXT },
	{ "GATEWAY", { "gateway" }, P_TEXT },
	{ "AGE", { "age_ms" }, P_AGE },
	{ "IDLE", { "idle_ms" }, P_AGE },
	{ "PACKETS", { "packets" }, P_NUMBER },
	{ "BYTES", { "bytes" }, P_NUMBER },
	{ "RULE", { "rule" }, P_TEXT },
};
#define N_COLUMNS (sizeof(columns) / sizeof(columns[0]))

struct output {
	const struct cli *cli;
	char *keys[KEYS_MAX]; /* `"protocol":`, of the rows' cells */
	size_t n_keys;
	int at[N_COLUMNS][4]; /* cells; -1: none */
	int width[N_COLUMNS];
	char *kept[KEPT];
	size_t n_kept;
	bool wide; /* the widths are known */
	bool count;
	unsigned long long n;
	int status;
};

static char *put_end(char *to, const char *addr, const char *port)
{
	bool brackets = *port && strchr(addr, ':');

	if (brackets)
		*to++ = '[';
	to = put_text(to, addr);
	if (brackets)
		*to++ = ']';
	if (*port)
		*to++ = ':';
	return put_text(to, port);
}

/* 4.2s, 01:02:03, 4d05:06 */
static char *put_age(char *to, const char *text)
{
	unsigned long long ms = strtoull(text, NULL, 10), s = ms / 1000;

	if (s < 60) {
		to = put_number(to, s, 1);
		*to++ = '.';
		to = put_number(to, ms % 1000 / 100, 1);
		*to++ = 's';
		return to;
	}
	if (s >= 86400) {
		to = put_number(to, s / 86400, 1);
		*to++ = 'd';
	}
	to = put_number(to, s / 3600 % 24, 2);
	*to++ = ':';
	to = put_number(to, s / 60 % 60, 2);
	if (s >= 86400)
		return to;
	*to++ = ':';
	return put_number(to, s % 60, 2);
}

static const char *cell_of(char **cells, size_t n, int at)
{
	return at >= 0 && (size_t)at < n ? cells[at] : "";
}

/* The column's text of a row; where it ends. */
static char *put_column(const struct output *out, size_t column, char **cells, size_t n, char *to)
{
	const int *at = out->at[column];
	const char *first = cell_of(cells, n, at[0]);

	if (columns[column].kind == P_AGE)
		return put_age(to, first);
	if (columns[column].kind != P_END)
		return put_text(to, *first ? first : "-");
	to = put_end(to, first, cell_of(cells, n, at[1]));
	if (!*cell_of(cells, n, at[2]))
		return to;
	to = put_end(put_text(to, " ("), cell_of(cells, n, at[2]), cell_of(cells, n, at[3]));
	return put_text(to, ")");
}

static bool is_right(size_t column)
{
	return columns[column].kind == P_AGE || columns[column].kind == P_NUMBER;
}

static size_t plain_cells(char *line, char *cells[KEYS_MAX])
{
	size_t n = strlen(line) < ROW_MAX ? split(line, cells) : 0;

	for (size_t i = 0; i < n; i++)
		cells[i] = plain(cells[i]);
	return n;
}

/* Blanks to make it as wide as the column, before or behind what begins at `from`. */
static char *pad(char *from, char *to, int width, bool right)
{
	int blanks = width - (to - from);

	if (blanks <= 0)
		return to;
	if (right)
		memmove(from + blanks, from, to - from);
	memset(right ? from : to, ' ', blanks);
	return to + blanks;
}

static void print_row(struct output *out, char *line)
{
	char *cells[KEYS_MAX], row[2 * ROW_MAX], *to = row;
	size_t n = plain_cells(line, cells);

	for (size_t i = 0; i < N_COLUMNS; i++) {
		char *from = to;

		to = put_column(out, i, cells, n, to);
		if (i + 1 < N_COLUMNS)
			to = pad(from, to, out->width[i], is_right(i));
		*to++ = i + 1 < N_COLUMNS ? ' ' : '\n';
	}
	fwrite_unlocked(row, 1, to - row, stdout);
}

/* How wide its cells are. */
static void measure_row(struct output *out, const char *line)
{
	char *copy = strdup(line), *cells[KEYS_MAX], text[ROW_MAX];
	size_t n = copy ? plain_cells(copy, cells) : 0;

	for (size_t i = 0; n && i < N_COLUMNS; i++) {
		int len = put_column(out, i, cells, n, text) - text;

		if (len > out->width[i] && len <= WIDTH_MAX)
			out->width[i] = len;
	}
	free(copy);
}

static void print_kept(struct output *out)
{
	if (out->wide)
		return;
	out->wide = true;
	for (size_t i = 0; i < N_COLUMNS && out->n_kept; i++) {
		if (i + 1 == N_COLUMNS)
			puts(columns[i].heading);
		else
			printf(is_right(i) ? "%*s " : "%-*s ", out->width[i], columns[i].heading);
	}
	for (size_t i = 0; i < out->n_kept; i++) {
		print_row(out, out->kept[i]);
		free(out->kept[i]);
	}
	out->n_kept = 0;
}

static void table_row(struct output *out, char *line)
{
	if (out->wide) {
		print_row(out, line);
		return;
	}
	measure_row(out, line);
	out->kept[out->n_kept] = strdup(line);
	out->n_kept += out->kept[out->n_kept] != NULL;
	if (out->n_kept == KEPT)
		print_kept(out);
}

static void json_row(struct output *out, char *line)
{
	char *cells[KEYS_MAX], row[2 * ROW_MAX], *to = row;
	size_t n = strlen(line) < ROW_MAX ? split(line, cells) : 0;

	to = put_text(to, out->n ? ",\n{" : "{");
	for (size_t i = 0; i < n && i < out->n_keys; i++) {
		if (i)
			*to++ = ',';
		to = put_text(put_text(to, out->keys[i]), cells[i]);
	}
	*to++ = '}';
	fwrite_unlocked(row, 1, to - row, stdout);
}

/* ---- the command ---- */

static void know_columns(struct output *out, const json_t *names)
{
	json_t *name;
	size_t i;

	memset(out->at, -1, sizeof(out->at));
	json_array_foreach((json_t *)names, i, name) {
		const char *key = json_string_value(name);

		if (!key || i >= KEYS_MAX || asprintf(&out->keys[i], "\"%s\":", key) < 0)
			break;
		out->n_keys = i + 1;
		for (size_t c = 0; c < N_COLUMNS; c++)
			for (size_t k = 0; k < 4 && columns[c].keys[k]; k++)
				if (!strcmp(columns[c].keys[k], key))
					out->at[c][k] = i;
	}
	for (size_t c = 0; c < N_COLUMNS; c++)
		out->width[c] = strlen(columns[c].heading);
}

static void print_count(const struct output *out, json_int_t n)
{
	if (out->cli->json)
		printf("{\"states\": %" JSON_INTEGER_FORMAT "}\n", n);
	else
		printf("%" JSON_INTEGER_FORMAT "\n", n);
}

static bool begin(void *arg, const json_t *result)
{
	struct output *out = arg;
	const json_t *states = json_object_get(result, "states");

	if (states)
		print_count(out, json_integer_value(states));
	if (states)
		return false;
	know_columns(out, json_object_get(result, "columns"));
	if (out->cli->json && !out->count)
		putchar('[');
	return true;
}

static bool finish(struct output *out, const char *line)
{
	json_t *json = json_loads(line, 0, NULL);
	const char *error = json_string_value(json_object_get(json, "error"));

	if (out->count && !error)
		print_count(out, json_integer_value(json_object_get(json, "states")));
	else if (out->cli->json && !out->count)
		puts("]");
	else
		print_kept(out);
	if (!out->count && !out->cli->json && !out->n && !error)
		puts("no states");
	if (error) {
		fflush(stdout);
		fprintf(stderr, "fairlead: %s\n", error);
		out->status = CLI_FAILED;
	}
	json_decref(json);
	return false;
}

static bool take_line(void *arg, char *line)
{
	struct output *out = arg;

	if (*line != '[')
		return finish(out, line);
	if (out->cli->json)
		json_row(out, line);
	else
		table_row(out, line);
	out->n++;
	return !ferror(stdout);
}

int cmd_show_states(const struct cli *cli, int argc, char **argv)
{
	json_t *request = json_pack("{s:s,s:s}", "command", "show", "what", "states");
	struct output out = { .cli = cli };
	int status = cli_take_states("show", false, argc, argv, request);

	if (status) {
		json_decref(request);
		return status;
	}
	signal(SIGPIPE, SIG_IGN); /* a reader that has seen enough ends us in order */
	setvbuf(stdout, NULL, _IOFBF, OUT_SIZE);
	out.count = json_is_true(json_object_get(request, "count"));
	status = cli_stream(cli, request, begin, take_line, &out);
	for (size_t i = 0; i < out.n_keys; i++)
		free(out.keys[i]);
	for (size_t i = 0; i < out.n_kept; i++)
		free(out.kept[i]);
	return status ? status : out.status;
}
