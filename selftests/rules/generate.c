// SPDX-License-Identifier: GPL-2.0-only
/* Configurations and packets from a universe so small that they meet. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "selftests/rules/rules.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

uint32_t below(struct generator *g, uint32_t n)
{
	return (uint32_t)(random_next(&g->random) % n);
}

static bool one_in(struct generator *g, uint32_t n)
{
	return below(g, n) == 0;
}

#define PICK(g, array) ((array)[below(g, COUNT(array))])

/* ---- addresses ---- */

static const char *const fixed4[] = {
	"0.0.0.0",   "0.0.0.1",	   "127.255.255.255", "128.0.0.0",     "203.0.113.2",
	"127.0.0.1", "10.255.0.1", "255.255.255.254", "9.255.255.255", "255.255.255.255"
};
static const char *const fixed6[] = { "::",
				      "::1",
				      "2001:db8:1::2",
				      "2001:db8:1:0:ffff:ffff:ffff:ffff",
				      "2001:db8:2::",
				      "7fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
				      "8000::",
				      "ffff:ffff:ffff:ffff::",
				      "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe",
				      "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff" };
static const char *const wide4[] = {
	"0.0.0.0/0",	    "0.0.0.0/1",   "128.0.0.0/1",	    "10.0.0.0/8",
	"10.0.0.0/30",	    "10.0.0.4/31", "0.0.0.0-9.255.255.255", "128.0.0.0-255.255.255.255",
	"10.0.0.2-10.0.0.5"
};
static const char *const wide6[] = { "::/0",
				     "::/1",
				     "8000::/1",
				     "2001:db8::/126",
				     "2001:db8::/64",
				     "2001:db8:0:1::/64",
				     "2001:db8::/32",
				     "::-2001:db8::1",
				     "2001:db8::2-2001:db8:0:1::3",
				     "2001:db8:0:1::2-2001:db8:0:3::",
				     "8000::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff" };
static const char *const named4[] = { "$a4", "wan:address", "wan:network", "lan:network", "four:address", "$mix" };
static const char *const named6[] = { "$a6", "he0:address", "he0:network", "lan:network", "$mix" };
static const char *const named[] = { "any", "self", "$mix", "lan:network", "lan:address", "dmz:network" };

static void host(struct generator *g, bool six, char text[64])
{
	uint32_t n = below(g, 1u << g->spread);

	if (six)
		snprintf(text, 64, "2001:db8:0:%x::%x", n >> 3 & 0xffff, n & 7);
	else
		snprintf(text, 64, "10.%u.%u.%u", n >> 16 & 255, n >> 8 & 255, n & 255);
}

static void address(struct generator *g, bool six, char text[64])
{
	if (one_in(g, 6))
		snprintf(text, 64, "%s", six ? PICK(g, fixed6) : PICK(g, fixed4));
	else
		host(g, six, text);
}

static void prefix(struct generator *g, bool six, char text[64])
{
	uint32_t len = below(g, g->spread / 2 + 1), n = below(g, 1u << g->spread) >> len << len;

	if (six)
		snprintf(text, 64, "2001:db8:0:%x::/%u", n & 0xffff, 64 - len);
	else
		snprintf(text, 64, "10.%u.%u.%u/%u", n >> 16 & 255, n >> 8 & 255, n & 255, 32 - len);
}

/* families: enum fl_family */
static void term(struct generator *g, unsigned int families, char text[64])
{
	bool six = families == FL_INET6 || (families == FL_BOTH && one_in(g, 2));
	uint32_t kind = below(g, 10);

	if (kind < 4)
		address(g, six, text);
	else if (kind < 6)
		prefix(g, six, text);
	else if (kind < 8 || (kind == 8 && families == FL_BOTH))
		snprintf(text, 64, "%s", six ? PICK(g, wide6) : PICK(g, wide4));
	else if (families == FL_BOTH)
		snprintf(text, 64, "%s", PICK(g, named));
	else
		snprintf(text, 64, "%s", six ? PICK(g, named6) : PICK(g, named4));
}

static void put_addresses(struct generator *g, FILE *to, unsigned int families)
{
	uint32_t n = below(g, 3) + 1, i;
	char text[64];

	fprintf(to, "\"address\":[");
	for (i = 0; i < n; i++) {
		term(g, families, text);
		fprintf(to, "%s\"%s%s\"", i ? "," : "", one_in(g, 4) ? "!" : "", text);
	}
	fprintf(to, "]");
}

static void put_port(struct generator *g, FILE *to)
{
	uint32_t first = below(g, 12) + 1;

	if (one_in(g, 5))
		fprintf(to, "\"$ports\"");
	else if (one_in(g, 6))
		fprintf(to, "\"65530-65535\"");
	else if (one_in(g, 2))
		fprintf(to, "\"%u-%u\"", first, first + below(g, 6));
	else
		fprintf(to, "%u", first);
}

static void put_endpoint(struct generator *g, FILE *to, const char *key, unsigned int families, bool ports)
{
	bool has_address = one_in(g, 2), has_port = ports && one_in(g, 2);

	if (!has_address && !has_port)
		return;
	fprintf(to, ",\"%s\":{", key);
	if (has_address)
		put_addresses(g, to, families);
	if (has_port) {
		fprintf(to, "%s\"port\":[", has_address ? "," : "");
		put_port(g, to);
		if (one_in(g, 3)) {
			fprintf(to, ",");
			put_port(g, to);
		}
		fprintf(to, "]");
	}
	fprintf(to, "}");
}

/* ---- rules ---- */

enum protocols { ALL, TCP, UDP, TCP_UDP, GRE, ICMP, ICMPV6, ICMPS, MIXED, PROTOCOLS };

static const char *const protocol_texts[PROTOCOLS] = {
	[TCP] = "\"tcp\"",
	[UDP] = "\"udp\"",
	[TCP_UDP] = "[\"tcp\",\"udp\"]",
	[GRE] = "[47,0]",
	[ICMP] = "\"icmp\"",
	[ICMPV6] = "\"ipv6-icmp\"",
	[ICMPS] = "[\"icmp\",\"ipv6-icmp\"]",
	[MIXED] = "[\"tcp\",\"icmp\",\"ipv6-icmp\",47]",
};

static enum protocols put_protocols(struct generator *g, FILE *to, unsigned int families)
{
	enum protocols p = one_in(g, 3) ? ALL : below(g, PROTOCOLS);

	if ((p == ICMP && families == FL_INET6) || (p == ICMPV6 && families == FL_INET))
		p = ALL;
	if (p != ALL)
		fprintf(to, ",\"protocol\":%s", protocol_texts[p]);
	return p;
}

static bool have_ports(enum protocols p)
{
	return p == TCP || p == UDP || p == TCP_UDP;
}

static void put_links(struct generator *g, FILE *to, unsigned int families, bool always)
{
	static const char *const four[] = { "\"wan\"",		 "\"lan\"", "\"four\"",
					    "[\"lan\",\"wan\"]", "\"dmz\"", "[\"dmz\",\"four\",\"wan\"]" };
	static const char *const six[] = { "\"wan\"", "\"lan\"", "\"he0\"", "[\"lan\",\"he0\"]", "\"dmz\"" };

	if (always || one_in(g, 2))
		fprintf(to, ",\"interface\":%s", families == FL_INET ? PICK(g, four) : PICK(g, six));
}

static void put_words(struct generator *g, FILE *to)
{
	static const char *const actions[] = { "pass", "pass", "pass", "block", "reject" };
	static const char *const states[] = { "keep", "keep", "loose", "none" };

	fprintf(to, "\"action\":\"%s\",\"state\":\"%s\"", PICK(g, actions), PICK(g, states));
	if (one_in(g, 5))
		fprintf(to, ",\"quick\":true");
	if (!one_in(g, 3))
		fprintf(to, ",\"direction\":\"%s\"", one_in(g, 3) ? "out" : "in");
	if (one_in(g, 20))
		fprintf(to, ",\"disabled\":true");
	if (one_in(g, 10))
		fprintf(to, ",\"log\":true");
}

static void put_details(struct generator *g, FILE *to, enum protocols p)
{
	static const char *const flags[] = { "any", "S/SA", "A/A", "/R", "SA/SA", "FSRPAUEW/FSRPAUEW", "/FSRPAUEW" };
	static const char *const types[] = { "8", "[0,8]", "[\"echo-request\",\"echo-reply\"]", "[3,255]", "128" };
	static const char *const dscps[] = { "0", "[\"ef\",10]", "63", "[0,1,2]" };
	static const char *const times[] = { "\"mon-fri 08:00-18:00\"", "\"22:00-06:00\"",
					     "[\"sat,sun 00:00-00:00\",\"sun 23:30-00:30\"]" };

	if (p == TCP && one_in(g, 2))
		fprintf(to, ",\"tcp_flags\":\"%s\"", PICK(g, flags));
	if ((p == ICMP || p == ICMPV6 || p == ICMPS) && one_in(g, 2))
		fprintf(to, ",\"icmp_type\":%s", PICK(g, types));
	if (one_in(g, 10))
		fprintf(to, ",\"dscp\":%s", PICK(g, dscps));
	if (one_in(g, 12))
		fprintf(to, ",\"schedule\":%s", PICK(g, times));
}

/* `given`: a bit for each of the tags t0 to t4 that an earlier rule gives; the first rule gives the first. */
static void put_tags(struct generator *g, FILE *to, unsigned int *given)
{
	unsigned int tag = *given ? below(g, 5) : 0;

	if (!*given || one_in(g, 5)) {
		fprintf(to, ",\"tag\":\"t%u\"", tag);
		*given |= 1u << tag;
	}
	tag = below(g, 5);
	if (one_in(g, 4) && *given >> tag & 1)
		fprintf(to, ",\"tagged\":\"t%u\"", tag);
}

static void put_steering(struct generator *g, FILE *to, unsigned int families)
{
	static const char *const downs[] = { "block", "reject", "skip", "skip" };

	if (one_in(g, 8))
		fprintf(to, ",\"route_to\":\"%s\",\"when_down\":\"%s\"", families == FL_INET ? "isp_gw" : "he_gw",
			PICK(g, downs));
}

static unsigned int pick_families(struct generator *g)
{
	static const unsigned int all[] = { FL_INET, FL_INET6, FL_BOTH };

	return PICK(g, all);
}

static void put_rule(struct generator *g, FILE *to, unsigned int number, unsigned int *given)
{
	unsigned int families = pick_families(g);
	enum protocols p;

	fprintf(to, "{\"name\":\"r%u\",", number);
	put_words(g, to);
	if (families != FL_BOTH)
		fprintf(to, ",\"family\":\"%s\"", families == FL_INET ? "inet" : "inet6");
	put_links(g, to, families, false);
	p = put_protocols(g, to, families);
	put_endpoint(g, to, "source", families, have_ports(p));
	put_endpoint(g, to, "destination", families, have_ports(p));
	put_details(g, to, p);
	put_tags(g, to, given);
	if (families != FL_BOTH)
		put_steering(g, to, families);
	fprintf(to, "}");
}

/* ---- translations ---- */

static void put_target(struct generator *g, FILE *to, bool six)
{
	char text[64];

	address(g, six, text);
	if (one_in(g, 4))
		fprintf(to, ",\"exempt\":true");
	else if (one_in(g, 3))
		fprintf(to, ",\"translate_to\":\"interface\"");
	else
		fprintf(to, ",\"translate_to\":\"%s\"", text);
}

static void put_nat(struct generator *g, FILE *to)
{
	static const char *const types[] = { "snat", "dnat", "one-to-one" };
	uint32_t type = below(g, 3);
	bool six = one_in(g, 2);
	unsigned int families = six ? FL_INET6 : FL_INET;
	enum protocols p;
	char text[64];

	fprintf(to, "{\"type\":\"%s\"", types[type]);
	put_links(g, to, families, true);
	p = put_protocols(g, to, families);
	put_target(g, to, six);
	if (type == 2) {
		host(g, six, text);
		fprintf(to, ",\"source\":{\"address\":\"%s\"}", text);
	} else {
		put_endpoint(g, to, "source", families, have_ports(p));
	}
	put_endpoint(g, to, "destination", families, type != 2 && have_ports(p));
	fprintf(to, "}");
}

/* ---- all of it ---- */

#define WORLD \
	"\"interfaces\":{\"lan\":{\"device\":\"lan0\"},\"wan\":{\"device\":\"wan0\"},\"dmz\":{\"device\":\"dmz0\"}," \
	"\"four\":{\"device\":\"four0\",\"family\":\"inet\"}},\n" \
	"\"tunnels\":{\"he0\":{\"type\":\"6in4\",\"underlay\":\"wan\",\"local\":\"203.0.113.2\"," \
	"\"remote\":\"198.51.100.1\",\"address\":\"2001:db8:1::2/64\"}},\n" \
	"\"gateways\":{\"isp_gw\":{\"interface\":\"wan\",\"address\":\"203.0.113.1\"}," \
	"\"he_gw\":{\"interface\":\"he0\",\"address\":\"2001:db8:1::1\"}},\n" \
	"\"aliases\":{\"a4\":[\"10.0.0.1\",\"10.0.0.2\",\"10.0.0.3-10.0.0.4\",\"10.0.1.0/24\"]," \
	"\"a6\":[\"2001:db8::1\",\"2001:db8:0:1::/64\",\"2001:db8::3-2001:db8::5\"]," \
	"\"mix\":[\"$a4\",\"10.0.0.7\",\"$a6\",\"8000::/1\"],\"ports\":[1,2,\"$more\"],\"more\":[\"5-7\",65535]}"

/* Items of one array; those that turn out to be wrong become NULL. */
struct items {
	char **texts;
	size_t n;
};

static void generate_items(struct generator *g, struct items *items, unsigned int n, bool rules)
{
	unsigned int given = 0, i;
	size_t len;

	*items = (struct items){ calloc(n + 1, sizeof(*items->texts)), n };
	for (i = 0; i < n; i++) {
		FILE *to = open_memstream(&items->texts[i], &len);

		if (rules)
			put_rule(g, to, i, &given);
		else
			put_nat(g, to);
		fclose(to);
	}
}

static void put_items(FILE *to, const char *key, const struct items *items)
{
	const char *between = "\n";
	size_t i;

	fprintf(to, ",\n\"%s\":[", key);
	for (i = 0; i < items->n; i++) {
		if (!items->texts[i])
			continue;
		fprintf(to, "%s%s", between, items->texts[i]);
		between = ",\n";
	}
	fprintf(to, "]");
}

static char *join(const char *action, const struct items *rules, const struct items *nats)
{
	char *text = NULL;
	size_t len;
	FILE *to = open_memstream(&text, &len);

	fprintf(to, "{" WORLD ",\n\"default_action\":\"%s\"", action);
	put_items(to, "rules", rules);
	put_items(to, "nat", nats);
	fprintf(to, "}");
	fclose(to);
	return text;
}

/* The one with that number, of those that are left. */
static char **item_at(struct items *items, size_t number)
{
	size_t i;

	for (i = 0; i < items->n; i++) {
		if (items->texts[i] && number-- == 0)
			return &items->texts[i];
	}
	return NULL;
}

static void drop_wrong(struct items *items, const char *section, const struct config_report *report)
{
	size_t i = report->n_findings, len = strlen(section);

	while (i-- > 0) { /* from the end on, so that numbers stay */
		const struct config_finding *f = &report->findings[i];
		char **text;

		if (f->warning || strncmp(f->pointer, section, len) != 0)
			continue;
		if (i > 0 && !strcmp(report->findings[i - 1].pointer, f->pointer))
			continue;
		text = item_at(items, strtoul(f->pointer + len, NULL, 10));
		if (!text)
			continue;
		free(*text);
		*text = NULL;
	}
}

static void free_items(struct items *items)
{
	size_t i;

	for (i = 0; i < items->n; i++)
		free(items->texts[i]);
	free(items->texts);
}

#define TRIES 20

struct config *generate_config(struct generator *g, unsigned int n_rules, unsigned int n_nats, char **text)
{
	static const char *const actions[] = { "pass", "block", "reject" };
	const char *action = PICK(g, actions);
	struct config_report report;
	struct config *config = NULL;
	struct items rules, nats;
	int try;

	generate_items(g, &rules, n_rules, true);
	generate_items(g, &nats, n_nats, false);
	for (try = 0; !config && try < TRIES; try++) {
		*text = join(action, &rules, &nats);
		if (config_load_string(*text, strlen(*text), &config, &report)) {
			drop_wrong(&rules, "/rules/", &report);
			drop_wrong(&nats, "/nat/", &report);
			free(*text);
		}
		config_report_free(&report);
	}
	free_items(&rules);
	free_items(&nats);
	return config;
}

char *generate_plain(unsigned int n)
{
	char *text = NULL;
	unsigned int i;
	size_t len;
	FILE *to = open_memstream(&text, &len);

	fprintf(to, "{" WORLD ",\n\"rules\":[");
	for (i = 0; i < n; i++)
		fprintf(to,
			"%s{\"name\":\"rule %u\",\"action\":\"pass\",\"direction\":\"in\",\"interface\":\"lan\",\"protocol\":"
			"\"tcp\",\"source\":{\"address\":\"10.%u.%u.0/24\"},\"destination\":{\"address\":\"11.%u.%u.0/24\",\"port\":"
			"%u}}",
			i ? ",\n" : "\n", i, i >> 8, i & 255, i >> 8, i & 255, 1 + i % 1000);
	fprintf(to, "]}");
	fclose(to);
	return text;
}

/* ---- packets ---- */

static union fl_addr mapped(const char *text)
{
	union fl_addr a = {};

	if (strchr(text, ':')) {
		inet_pton(AF_INET6, text, &a);
		return a;
	}
	a.w[2] = htonl(0xffff);
	inet_pton(AF_INET, text, &a.w[3]);
	return a;
}

void generate_subject(struct generator *g, struct judged *s, unsigned int tags)
{
	static const uint8_t protocols[] = { 6, 6, 6, 17, 17, 1, 58, 47, 0, 132 };
	static const uint8_t flags[] = { 0x02, 0x02, 0x12, 0x10, 0x04, 0x00, 0xff, 0xc2 };
	static const uint8_t types[] = { 0, 8, 3, 255, 128, 129, 1 };
	static const uint8_t dscps[] = { 0, 0, 0, 46, 10, 63, 1 };
	static const uint16_t numbers[] = { 1, 1, 3, 3, 7, 511, 2, 0 };
	char text[64];

	*s = (struct judged){ .family = one_in(g, 2) ? FL_INET : FL_INET6 };
	s->proto = PICK(g, protocols);
	address(g, s->family == FL_INET6, text);
	s->src = mapped(text);
	address(g, s->family == FL_INET6, text);
	s->dst = mapped(text);
	if (s->proto == 6 || s->proto == 17 || s->proto == 132) {
		s->sport = htons(one_in(g, 8) ? 65529 + below(g, 7) : below(g, 16));
		s->dport = htons(one_in(g, 8) ? 65529 + below(g, 7) : below(g, 16));
	}
	s->tcp_flags = s->proto == 6 ? PICK(g, flags) : 0;
	s->icmp_type = s->proto == 1 || s->proto == 58 ? PICK(g, types) : 0;
	s->dscp = PICK(g, dscps);
	s->port = PICK(g, numbers);
	s->list = (uint8_t)below(g, FL_LISTS);
	s->tag = one_in(g, 3) ? (uint16_t)below(g, tags + 1) : 0;
}

/* ---- the machine ---- */

static void add_port(struct policy_facts *f, const struct config *c, const char *name, uint16_t number,
		     const char *first, const char *second)
{
	struct policy_port *port = &f->ports[f->n_ports++];
	const char *const texts[] = { first, second };
	size_t i;

	*port = (struct policy_port){ .interface = config_find_interface(c, name),
				      .tunnel = config_find_tunnel(c, name),
				      .number = number };
	port->addresses = calloc(2, sizeof(*port->addresses));
	for (i = 0; i < 2 && texts[i]; i++) {
		if (prefix_parse(texts[i], &port->addresses[i]))
			abort();
		f->self[f->n_self++] = port->addresses[i].addr;
		port->n_addresses++;
	}
}

void generate_facts(struct generator *g, const struct config *config, struct policy_facts *f)
{
	size_t i;

	*f = (struct policy_facts){ .now = 1700000000 + (time_t)below(g, 7 * 86400) };
	f->ports = calloc(5, sizeof(*f->ports));
	f->self = calloc(16, sizeof(*f->self));
	f->vias = calloc(config->n_gateways + 1, sizeof(*f->vias));
	add_port(f, config, "lan", 3, "10.0.0.1/29", "2001:db8::1/126");
	add_port(f, config, "wan", 1, "203.0.113.2/24", "10.0.0.6/32");
	add_port(f, config, "four", 7, "10.0.0.5/31", NULL);
	add_port(f, config, "he0", 511, "2001:db8:1::2/64", NULL);
	add_port(f, config, "dmz", 0, "10.0.1.1/24", NULL);
	addr_parse("127.0.0.1", &f->self[f->n_self++]);
	addr_parse("::1", &f->self[f->n_self++]);
	for (i = 0; i < config->n_gateways; i++)
		f->vias[f->n_vias++] =
			(struct policy_via){ { &config->gateways[i], NULL }, (uint16_t)(i + 5), below(g, 4) };
}

void free_facts(struct policy_facts *facts)
{
	size_t i;

	for (i = 0; i < facts->n_ports; i++)
		free(facts->ports[i].addresses);
	free(facts->ports);
	free(facts->self);
	free(facts->vias);
}
