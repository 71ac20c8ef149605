// SPDX-License-Identifier: GPL-2.0-only
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "user/probe/probe.h"

const char *const probe_kinds[PROBE_KINDS] = {
	[PROBE_PING] = "ping", [PROBE_KNOCK] = "knock", [PROBE_CONNECT] = "connect", [PROBE_FLOW] = "flow"
};

/* min to max; false: it is none */
static bool take_number(const char *text, long min, long max, long *out)
{
	char *end;

	*out = strtol(text, &end, 10);
	return *text >= '0' && *text <= '9' && !*end && *out >= min && *out <= max;
}

static bool take_address(struct probe_series *s, const char *text, long port)
{
	if (inet_pton(AF_INET, text, &s->to.v4.sin_addr) == 1) {
		s->to.v4.sin_family = AF_INET;
		s->to.v4.sin_port = htons(port);
		s->to_len = sizeof(s->to.v4);
	} else if (inet_pton(AF_INET6, text, &s->to.v6.sin6_addr) == 1) {
		s->to.v6.sin6_family = AF_INET6;
		s->to.v6.sin6_port = htons(port);
		s->to_len = sizeof(s->to.v6);
	}
	return s->to_len;
}

/* ADDRESS, ADDRESS:PORT or [ADDRESS]:PORT; changes text */
static bool take_destination(struct probe_series *s, char *text)
{
	bool has_port = s->kind != PROBE_PING;
	char *colon = has_port ? strrchr(text, ':') : NULL;
	long port = 0;

	if (has_port && (!colon || !take_number(colon + 1, 1, 65535, &port)))
		return false;
	if (colon)
		*colon = '\0';
	if (*text == '[' && text[strlen(text) - 1] == ']') {
		text[strlen(text) - 1] = '\0';
		text++;
	}
	return take_address(s, text, port);
}

static bool parse(struct probe_series *s, char *text)
{
	char *equals = strchr(text, '='), *at = strrchr(text, '@');
	long every = 10;

	if (!equals)
		return false;
	*equals = '\0';
	while (s->kind < PROBE_KINDS && strcmp(probe_kinds[s->kind], text))
		s->kind++;
	if (s->kind == PROBE_KINDS)
		return false;
	if (at && !take_number(at + 1, 1, s->kind == PROBE_FLOW ? PROBE_FLOWS_MAX : 10000, &every))
		return false;
	if (at)
		*at = '\0';
	s->every_ms = every;
	return take_destination(s, equals + 1);
}

bool probe_series_parse(struct probe_series *s, const char *text)
{
	char *copy = strdup(text);
	const char *name = strchr(text, '=');
	bool done;

	*s = (struct probe_series){ .fd = -1 };
	done = copy && parse(s, copy);
	free(copy);
	if (!done) {
		fprintf(stderr,
			"fairlead-probe: \"%s\": it takes KIND=ADDRESS[:PORT][@MS], KIND being ping, knock, connect or flow\n",
			text);
		return false;
	}
	s->name = strndup(name + 1, strcspn(name + 1, "@"));
	return s->name != NULL;
}
