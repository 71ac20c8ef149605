/* SPDX-License-Identifier: GPL-2.0-only */
/* The list of findings: filled, printed, freed. */
#include "user/config/report.h"

#include <stdlib.h>
#include <string.h>

/* Room for one more. The array grows when its size is a power of two, so that no capacity need be kept. */
static struct config_finding *report_grow(struct config_report *report)
{
	size_t n = report->n_findings;
	struct config_finding *grown;

	if ((n & (n - 1)) == 0) {
		grown = reallocarray(report->findings, n ? n * 2 : 1, sizeof(*grown));
		if (!grown)
			return NULL;
		report->findings = grown;
	}
	return &report->findings[n];
}

/*
 * Jansson's messages quote what it could not read, which may be no UTF-8, and cut it anywhere. JSON made of such a text
 * (config_report_json()) would be none.
 */
static void make_utf8(char *text)
{
	json_t *string = json_string(text);

	for (; !string && *text; text++) {
		if ((unsigned char)*text >= 0x80)
			*text = '?';
	}
	json_decref(string);
}

/* A finding that memory is short for is still counted: the configuration must not pass as right. */
void report_vadd(struct config_report *report, bool warning, const char *pointer, const char *fmt, va_list ap)
{
	struct config_finding f = { .warning = warning };
	struct config_finding *slot;

	if (!warning)
		report->n_errors++;
	f.pointer = strdup(pointer);
	if (vasprintf(&f.text, fmt, ap) < 0)
		f.text = NULL;
	if (f.text)
		make_utf8(f.text);
	slot = f.pointer && f.text ? report_grow(report) : NULL;
	if (!slot) {
		free(f.pointer);
		free(f.text);
		return;
	}
	*slot = f;
	report->n_findings++;
}

void config_report_add(struct config_report *report, bool warning, const char *pointer, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	report_vadd(report, warning, pointer, fmt, ap);
	va_end(ap);
}

void config_report_free(struct config_report *report)
{
	size_t i;

	for (i = 0; i < report->n_findings; i++) {
		free(report->findings[i].pointer);
		free(report->findings[i].text);
	}
	free(report->findings);
	memset(report, 0, sizeof(*report));
}

/*
 * Names and values come from the file: a control character among them (C0, DEL, or C1 in UTF-8) must neither break the
 * line nor reach a terminal.
 */
static void print_safely(const char *text, FILE *to)
{
	const unsigned char *c;

	for (c = (const unsigned char *)text; *c; c++) {
		if (*c < 0x20 || *c == 0x7f)
			fprintf(to, "\\x%02x", *c);
		else if (c[0] == 0xc2 && c[1] >= 0x80 && c[1] <= 0x9f)
			fprintf(to, "\\x%02x", *++c);
		else
			fputc(*c, to);
	}
}

void config_report_print(const struct config_report *report, const char *program, const char *file, FILE *to)
{
	const struct config_finding *f;
	size_t i;

	for (i = 0; i < report->n_findings; i++) {
		f = &report->findings[i];
		fprintf(to, "%s: ", program);
		if (file)
			fprintf(to, "%s: ", file);
		print_safely(f->pointer, to);
		if (f->pointer[0])
			fputs(": ", to);
		if (f->warning)
			fputs("warning: ", to);
		print_safely(f->text, to);
		fputc('\n', to);
	}
}

json_t *config_report_json(const struct config_report *report)
{
	const struct config_finding *f;
	json_t *list = json_array();
	size_t i;

	for (i = 0; list && i < report->n_findings; i++) {
		f = &report->findings[i];
		if (json_array_append_new(list,
					  json_pack("{s:s, s:s, s:s}", "severity", f->warning ? "warning" : "error",
						    "pointer", f->pointer, "text", f->text))) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}
