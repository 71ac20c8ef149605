/* SPDX-License-Identifier: GPL-2.0-only */
/* What aliases hold, and files of theirs. What else can be wrong with aliases is in config/invalid. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "selftests/unit/config_of.h"
#include "selftests/unit/tempdir.h"

#define WITH(aliases) "{'interfaces':{'wan':{'device':'eth0'}},'aliases':" aliases "}"

/* `expected`: "first-last " of each range of IPv4, then of IPv6. */
static void expect_addresses(const struct config *c, size_t index, const char *expected)
{
	static const int families[] = { AF_INET, AF_INET6 };
	char out[1024] = "", first[ADDR_STRLEN], last[ADDR_STRLEN];
	struct addr_range *ranges = NULL;
	size_t n, i, j;

	for (i = 0; i < 2; i++) {
		cr_assert_eq(config_alias_addresses(c, &c->aliases[index], families[i], &ranges, &n), 0);
		for (j = 0; j < n; j++)
			snprintf(out + strlen(out), sizeof(out) - strlen(out), "%s-%s ",
				 addr_format(&ranges[j].first, first), addr_format(&ranges[j].last, last));
		free(ranges);
	}
	cr_expect_str_eq(out, expected, "%s: %s", c->aliases[index].name, out);
}

static void expect_ports(const struct config *c, size_t index, const char *expected)
{
	struct port_range *ranges = NULL;
	char out[256] = "";
	size_t n, i;

	cr_assert_eq(config_alias_ports(c, &c->aliases[index], &ranges, &n), 0);
	for (i = 0; i < n; i++)
		snprintf(out + strlen(out), sizeof(out) - strlen(out), "%u-%u ", ranges[i].first, ranges[i].last);
	free(ranges);
	cr_expect_str_eq(out, expected);
}

Test(aliases, nested)
{
	static const char text[] =
		WITH("{'both':['$v6','10.0.2.0/24','$v4','$v4b'],'v4':['10.0.0.0/24','10.0.1.7'],"
		     "'v4b':['$v4','10.0.1.0/24','10.0.0.3-10.0.0.9'],"
		     "'v6':['2001:db8::/64','2001:db8:0:1::-2001:db8:0:1::ff'],'nothing':[],'of_nothing':['$nothing'],"
		     "'web':[443,'8000-8100','$more',80.0],'more':[81,'8050-8200'],'description':'d'}");
	struct config *c = config_of(text);

	cr_assert_eq(c->n_aliases, 8u);
	expect_addresses(c, 0, "10.0.0.0-10.0.2.255 2001:db8::-2001:db8:0:1::ff ");
	cr_expect_eq(c->aliases[0].holds, CONFIG_ENTRY_ADDRESSES);
	cr_expect_eq(c->aliases[0].families, (unsigned int)FL_BOTH);
	cr_expect_not(c->aliases[0].from_file);
	expect_addresses(c, 1, "10.0.0.0-10.0.0.255 10.0.1.7-10.0.1.7 ");
	cr_expect_eq(c->aliases[1].families, (unsigned int)FL_INET);
	expect_addresses(c, 2, "10.0.0.0-10.0.1.255 ");
	expect_addresses(c, 5, "");
	cr_expect_eq(c->aliases[5].holds, CONFIG_ENTRY_NONE);
	expect_ports(c, 6, "80-81 443-443 8000-8200 ");
	cr_expect_eq(c->aliases[6].holds, CONFIG_ENTRY_PORTS);
	expect_addresses(c, 6, "");
	config_free(c);
}

/* Each names both of the next level: 2^40 ways down, and 80 aliases. */
Test(aliases, nested_many_ways)
{
	char *text = NULL;
	struct config *c;
	size_t len, i;
	FILE *to = open_memstream(&text, &len);

	fputs("{'interfaces':{'wan':{'device':'eth0'}},'aliases':{", to);
	for (i = 0; i < 40; i++)
		fprintf(to, "'a%zu':['$a%zu','$b%zu'],'b%zu':['$a%zu','$b%zu'],", i, i + 1, i + 1, i, i + 1, i + 1);
	fputs("'a40':['192.0.2.0/25'],'b40':['192.0.2.128/25']}}", to);
	fclose(to);
	c = config_of(text);
	expect_addresses(c, 0, "192.0.2.0-192.0.2.255 ");
	config_free(c);
	free(text);
}

/* ---- files ---- */

static struct tempdir dir;

static void setup(void)
{
	tempdir_make(&dir);
}

static void teardown(void)
{
	tempdir_remove(&dir);
}

static FILE *create(const char *name)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", dir.path, name);
	file = fopen(path, "w");
	cr_assert(file);
	return file;
}

/* "list" is the file `name` of the directory, "more" an alias beside it. */
static int try_file(const char *name, struct config **config, struct config_report *report)
{
	char text[512];

	snprintf(text, sizeof(text), WITH("{'list':{'file':'%s/%s','sync':false},'more':['198.51.100.7']}"), dir.path,
		 name);
	return config_try(text, config, report);
}

Test(aliases, file, .init = setup, .fini = teardown)
{
	struct config *config = NULL;
	struct config_report report;
	FILE *file = create("list");

	fputs("# a list\n\n192.0.2.0/25\r\n  192.0.2.128/25 \t# the rest of it\n\t# nothing\n2001:db8::1\n192.0.2.3\n"
	      "$more\n2001:DB8::2-2001:db8::ff",
	      file);
	fclose(file);
	cr_assert_eq(try_file("list", &config, &report), 0);
	expect_addresses(config, 0, "192.0.2.0-192.0.2.255 198.51.100.7-198.51.100.7 2001:db8::1-2001:db8::ff ");
	cr_expect(config->aliases[0].from_file);
	cr_expect_eq(config->aliases[0].n_entries, 6u);
	config_report_free(&report);
	config_free(config);
}

/* `expected`: behind "DIR/list:", one a line. */
static void expect_file_errors(const char *content, const char *const *expected)
{
	struct config *config = NULL;
	struct config_report report;
	FILE *file = create("list");
	char text[512];
	size_t n;

	fputs(content, file);
	fclose(file);
	cr_expect_eq(try_file("list", &config, &report), -EINVAL);
	for (n = 0; expected[n]; n++) {
		snprintf(text, sizeof(text), "%s/list:%s", dir.path, expected[n]);
		cr_assert_lt(n, report.n_findings);
		cr_expect_str_eq(report.findings[n].text, text);
		cr_expect_str_eq(report.findings[n].pointer, "/aliases/list/file");
	}
	cr_expect_eq(report.n_findings, n);
	config_report_free(&report);
}
#define FILE_ERRORS(content, ...) expect_file_errors(content, (const char *const[]){ __VA_ARGS__, NULL })

#define ENTRY_TEXT \
	"accepted: an address, a prefix, a range \"first-last\", a port from 1 to 65535, a range of ports " \
	"\"1000-2000\", or another alias as \"$name\""

Test(aliases, file_wrong_lines, .init = setup, .fini = teardown)
{
	FILE_ERRORS("192.0.2.1/24\nexample.com\n\n192.0.2.9-192.0.2.1 # x\n",
		    "1: \"192.0.2.1/24\" has bits set behind its length; did you mean \"192.0.2.0/24\"?",
		    "2: found \"example.com\"; " ENTRY_TEXT,
		    "4: \"192.0.2.9-192.0.2.1\" ends before it begins; did you mean \"192.0.2.1-192.0.2.9\"?");
	FILE_ERRORS("192.0.2.1 192.0.2.2\n", "1: found \"192.0.2.1 192.0.2.2\"; " ENTRY_TEXT);
	FILE_ERRORS("$mroe\n", "1: no alias named \"mroe\"; did you mean \"more\"?");
	FILE_ERRORS("192.0.2.1\n\n80\n", "3: found ports behind addresses; accepted: an alias of one of the two");
	FILE_ERRORS("80\n$more\n", "2: found addresses behind ports; accepted: an alias of one of the two");
	FILE_ERRORS("$list\n", "1: \"$list\" leads to itself: $list -> $list");
}

Test(aliases, file_long_lines, .init = setup, .fini = teardown)
{
	char text[2048];

	memset(text, 'x', sizeof(text));
	strcpy(text + sizeof(text) - 12, "\n192.0.2.1x");
	FILE_ERRORS(text, "1: found \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"; " ENTRY_TEXT,
		    "2: found \"192.0.2.1x\"; " ENTRY_TEXT);
	text[0] = '#';
	FILE_ERRORS(text, "2: found \"192.0.2.1x\"; " ENTRY_TEXT);
}

Test(aliases, file_wrong_all_over, .init = setup, .fini = teardown)
{
	struct config *config = NULL;
	struct config_report report;
	FILE *file = create("list");
	char text[256];
	int i;

	for (i = 0; i < 100; i++)
		fputs("nonsense\n", file);
	fclose(file);
	cr_expect_eq(try_file("list", &config, &report), -EINVAL);
	cr_assert_eq(report.n_findings, 21u);
	snprintf(text, sizeof(text), "%s/list: 80 more lines are wrong", dir.path);
	cr_expect_str_eq(report.findings[20].text, text);
	config_report_free(&report);
}

static void expect_unread(const char *name, const char *why)
{
	struct config *config = NULL;
	struct config_report report;
	char text[512];

	snprintf(text, sizeof(text), "\"%s/%s\" can't be read: %s", dir.path, name, why);
	cr_expect_eq(try_file(name, &config, &report), -EINVAL);
	cr_assert_eq(report.n_findings, 1u);
	cr_expect_str_eq(report.findings[0].pointer, "/aliases/list/file");
	cr_expect_str_eq(report.findings[0].text, text);
	config_report_free(&report);
}

Test(aliases, file_unread, .init = setup, .fini = teardown)
{
	char path[128];

	expect_unread("list", "No such file or directory");
	expect_unread(".", "Is a directory");
	snprintf(path, sizeof(path), "%s/pipe", dir.path);
	cr_assert_eq(mkfifo(path, 0600), 0);
	expect_unread("pipe", "it is no file");
}

/* Prefixes of both families in no order, with overlaps. The bound is ten times what it takes. */
Test(aliases, half_a_million, .init = setup, .fini = teardown)
{
	const unsigned int n = 500000, step = 348149; /* coprime to n: every number once */
	struct timespec begin, loaded, end;
	struct config *config = NULL;
	struct config_report report;
	struct addr_range *ranges = NULL;
	FILE *file = create("list");
	unsigned int i, k = 0;
	size_t four, six;
	double read, flat;

	for (i = 0; i < n; i++, k = (k + step) % n) {
		if (k & 1)
			fprintf(file, "%u.%u.%u.0/25\n", 1 + (k >> 16), k >> 8 & 255, k & 255);
		else
			fprintf(file, "2001:%x:%x::/48\n", k >> 16, k & 0xffff);
	}
	fclose(file);
	clock_gettime(CLOCK_MONOTONIC, &begin);
	cr_assert_eq(try_file("list", &config, &report), 0);
	clock_gettime(CLOCK_MONOTONIC, &loaded);
	cr_assert_eq(config_alias_addresses(config, &config->aliases[0], AF_INET, &ranges, &four), 0);
	free(ranges);
	cr_assert_eq(config_alias_addresses(config, &config->aliases[0], AF_INET6, &ranges, &six), 0);
	free(ranges);
	clock_gettime(CLOCK_MONOTONIC, &end);
	cr_expect_eq(four, n / 2);
	cr_expect_eq(six, n / 2);
	read = (double)(loaded.tv_sec - begin.tv_sec) + (double)(loaded.tv_nsec - begin.tv_nsec) / 1e9;
	flat = (double)(end.tv_sec - loaded.tv_sec) + (double)(end.tv_nsec - loaded.tv_nsec) / 1e9;
	cr_log_info("500,000 entries: read and checked in %.3f s, flattened in %.3f s", read, flat);
	cr_expect_lt(read + flat, 5.0, "read in %.3f s, flattened in %.3f s", read, flat);
	config_report_free(&report);
	config_free(config);
}

static struct addr_range range_of(const char *text)
{
	struct prefix p;

	cr_assert_eq(prefix_parse(text, &p), 0);
	return addr_range_of(&p);
}

static void expect_hindrance(const struct config *c, size_t index, int family, const char *expected)
{
	const struct config_alias *hindrance;

	cr_assert_eq(config_alias_hindrance(c, &c->aliases[index], family, &hindrance), 0);
	cr_expect_str_eq(hindrance ? hindrance->name : "", expected);
}

Test(aliases, run_time)
{
	static const char text[] = WITH("{'v4':['10.0.0.0/24','10.0.1.7'],'nothing':[],'of_both':['$v4','$nothing'],"
					"'web':[443,'$no_port'],'no_port':[]}");
	struct addr_range inside = range_of("10.0.0.128/25"), other = range_of("192.0.2.0/24");
	const struct config_alias_entry *entry;
	struct config *c = config_of(text);
	const struct config_alias *whose;

	expect_hindrance(c, 0, AF_INET, "");
	expect_hindrance(c, 0, AF_INET6, "v4");
	expect_hindrance(c, 1, AF_INET, "");
	expect_hindrance(c, 1, AF_INET6, "of_both"); /* what matches by that asks for IPv4 */
	expect_hindrance(c, 4, AF_INET, "web");

	cr_expect_null(config_alias_entry(&c->aliases[0], &inside));
	cr_assert_eq(config_alias_holder(c, &c->aliases[2], &inside, &whose, &entry), 0);
	cr_expect(entry == &c->aliases[0].entries[0] && whose == &c->aliases[0]);
	cr_assert_eq(config_alias_holder(c, &c->aliases[2], &other, &whose, &entry), 0);
	cr_expect_null(entry);

	cr_assert_eq(config_alias_insert(&c->aliases[1], &other), 0);
	expect_addresses(c, 2, "10.0.0.0-10.0.0.255 10.0.1.7-10.0.1.7 192.0.2.0-192.0.2.255 ");
	cr_expect_eq(config_alias_entry(&c->aliases[1], &other)->at, CONFIG_ENTRY_LIVE);
	config_alias_delete(&c->aliases[0], 0);
	expect_addresses(c, 2, "10.0.1.7-10.0.1.7 192.0.2.0-192.0.2.255 ");
	config_free(c);
}
