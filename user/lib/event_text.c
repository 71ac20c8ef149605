// SPDX-License-Identifier: GPL-2.0-only
#include "user/lib/event_text.h"

#include <stdio.h>
#include <string.h>

static const char *string_of(const json_t *event, const char *key)
{
	const char *text = json_string_value(json_object_get(event, key));

	return text ? text : "?";
}

/* ADDRESS.PORT, or the address alone */
static void end_text(const json_t *event, const char *addr, const char *port, char *buf, size_t len)
{
	const json_t *number = json_object_get(event, port);

	if (number)
		snprintf(buf, len, "%s.%lld", string_of(event, addr), (long long)json_integer_value(number));
	else
		snprintf(buf, len, "%s", string_of(event, addr));
}

/* Why it was dropped, and the rule that it has to do with, if any */
static void why_text(const json_t *event, char *buf, size_t len)
{
	const char *rule = json_string_value(json_object_get(event, "rule"));

	if (strcmp(string_of(event, "verdict"), "drop"))
		snprintf(buf, len, "[%s]", rule ? rule : "?");
	else if (rule)
		snprintf(buf, len, "(%s) [%s]", string_of(event, "reason"), rule);
	else
		snprintf(buf, len, "(%s)", string_of(event, "reason"));
}

/* What there is to say of the protocol besides its name */
static void detail_text(const json_t *event, char *buf, size_t len)
{
	const char *flags = json_string_value(json_object_get(event, "tcp_flags"));
	const json_t *type = json_object_get(event, "icmp_type");

	*buf = '\0';
	if (flags)
		snprintf(buf, len, " %s", *flags ? flags : "none");
	else if (type)
		snprintf(buf, len, " %lld/%lld", (long long)json_integer_value(type),
			 (long long)json_integer_value(json_object_get(event, "icmp_code")));
}

static const char *lost_text(const json_t *event, json_int_t lost, char *buf)
{
	snprintf(buf, EVENT_TEXT_MAX, "... %lld event%s lost: %s", (long long)lost, lost == 1 ? "" : "s",
		 strcmp(string_of(event, "by"), "ring") ? "they were not read fast enough"
							: "more were logged than fairleadd could read");
	return buf;
}

const char *event_text(const json_t *event, char *buf)
{
	json_int_t lost = json_integer_value(json_object_get(event, "lost"));
	char src[64], dst[64], detail[32], why[128];

	if (lost)
		return lost_text(event, lost, buf);
	end_text(event, "source", "source_port", src, sizeof(src));
	end_text(event, "destination", "destination_port", dst, sizeof(dst));
	detail_text(event, detail, sizeof(detail));
	why_text(event, why, sizeof(why));
	snprintf(buf, EVENT_TEXT_MAX, "%s %s on %s %s: %s > %s: %s%s, length %lld", string_of(event, "verdict"),
		 string_of(event, "direction"), string_of(event, "interface"), why, src, dst,
		 string_of(event, "protocol"), detail, (long long)json_integer_value(json_object_get(event, "length")));
	return buf;
}
