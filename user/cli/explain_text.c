// SPDX-License-Identifier: GPL-2.0-only
/* What explain says, for people: the verdict, and then the packet's way, a step a line. */
#include <stdio.h>
#include <string.h>

#include "user/cli/explain.h"

static const char *text_of(const json_t *answer, const char *key)
{
	return json_string_value(json_object_get(answer, key));
}

static void line(const char *label, const char *text)
{
	if (text)
		printf("%-11s  %s\n", label, text);
}

/* "ADDRESS port N" of a translated end, where it is one. */
static void line_translated(const json_t *answer, const char *label, const char *key, const char *port_key)
{
	const json_t *port = json_object_get(answer, port_key);
	const char *address = text_of(answer, key);
	char text[128];

	if (address && json_is_integer(port))
		snprintf(text, sizeof(text), "becomes %s port %lld", address, (long long)json_integer_value(port));
	else if (address)
		snprintf(text, sizeof(text), "becomes %s", address);
	if (address)
		line(label, text);
}

static void line_rule(const json_t *answer, const char *label, const char *key)
{
	const json_t *index = json_object_get(answer, "rule_index");
	const char *name = text_of(answer, key), *rule = text_of(answer, "rule");
	char text[512];

	if (!name)
		return;
	if (json_is_integer(index) && rule && !strcmp(name, rule))
		snprintf(text, sizeof(text), "%s (%lld)", name, (long long)json_integer_value(index));
	else
		snprintf(text, sizeof(text), "%s", name);
	line(label, text);
}

/* "gateway isp_gw, which a rule says" */
static void line_route(const json_t *answer)
{
	static const struct {
		const char *key, *format;
	} parts[] = {
		{ "gateway", "gateway %s" },
		{ "tunnel", "tunnel %s" },
		{ "next_hop", "next hop %s" },
		{ "egress", "leaves by %s" },
	};
	const json_t *mtu = json_object_get(answer, "mtu");
	bool any = false;

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		const char *text = text_of(answer, parts[i].key);

		if (!text)
			continue;
		printf(any ? ", " : "%-11s  ", "route");
		any = true;
		printf(parts[i].format, text);
		if (!i && text_of(answer, "route_to"))
			fputs(" (by a rule)", stdout);
	}
	if (any && json_is_integer(mtu))
		printf(", MTU %lld", (long long)json_integer_value(mtu));
	if (any)
		putchar('\n');
}

static void line_answer(const json_t *answer)
{
	const json_t *icmp = json_object_get(answer, "icmp");
	char text[64];

	line("answer", text_of(answer, "answer"));
	if (!icmp)
		return;
	snprintf(text, sizeof(text), "ICMP type %lld code %lld",
		 (long long)json_integer_value(json_object_get(icmp, "type")),
		 (long long)json_integer_value(json_object_get(icmp, "code")));
	line("answer", text);
}

void explain_print(const json_t *answer, const char *packet)
{
	line("verdict", text_of(answer, "verdict"));
	line("reason", text_of(answer, "reason"));
	line("packet", packet);
	line("state", text_of(answer, "state"));
	line("nat", text_of(answer, "nat"));
	line_translated(answer, "destination", "translated_destination", "translated_destination_port");
	line_rule(answer, "in rule", "in_rule");
	line_route(answer);
	line_rule(answer, "out rule", "out_rule");
	line_translated(answer, "source", "translated_source", "translated_source_port");
	line_answer(answer);
	if (json_is_true(json_object_get(answer, "log")))
		line("log", "the packet is logged");
}
