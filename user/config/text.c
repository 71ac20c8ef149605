/* SPDX-License-Identifier: GPL-2.0-only */
#include "user/config/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static bool mixed_form(const char *text)
{
	return strchr(text, ':') && strchr(text, '.');
}

int text_address(const char *text, struct addr *out)
{
	return mixed_form(text) ? -EINVAL : addr_parse(text, out);
}

int text_prefix(const char *text, struct prefix *out)
{
	return mixed_form(text) ? -EINVAL : prefix_parse(text, out);
}

void text_host_bits(const char *text, const struct prefix *p, char why[TEXT_WHY])
{
	struct prefix net = { .addr = prefix_network(p), .len = p->len };
	char buf[PREFIX_STRLEN];

	snprintf(why, TEXT_WHY, "\"%s\" has bits set behind its length; did you mean \"%s\"?", text,
		 prefix_format(&net, buf));
}

static int parse_prefix(const char *text, struct addr_range *out, char why[TEXT_WHY])
{
	struct prefix p;

	if (text_prefix(text, &p))
		return -EINVAL;
	if (!prefix_is_network(&p)) {
		text_host_bits(text, &p, why);
		return -EINVAL;
	}
	*out = addr_range_of(&p);
	return 0;
}

static int parse_range(const char *text, const char *dash, struct addr_range *out, char why[TEXT_WHY])
{
	char first[ADDR_STRLEN] = "";
	struct addr_range r;

	if ((size_t)(dash - text) >= sizeof(first))
		return -EINVAL;
	memcpy(first, text, (size_t)(dash - text));
	if (text_address(first, &r.first) || text_address(dash + 1, &r.last))
		return -EINVAL;
	if (r.first.family != r.last.family) {
		snprintf(why, TEXT_WHY, "\"%s\" begins in one family and ends in the other", text);
		return -EINVAL;
	}
	if (addr_compare(&r.first, &r.last) > 0) {
		snprintf(why, TEXT_WHY, "\"%s\" ends before it begins; did you mean \"%s-%s\"?", text, dash + 1, first);
		return -EINVAL;
	}
	*out = r;
	return 0;
}

int text_addresses(const char *text, struct addr_range *out, char why[TEXT_WHY])
{
	const char *dash = strchr(text, '-');
	struct addr a;

	why[0] = '\0';
	if (dash)
		return parse_range(text, dash, out, why);
	if (strchr(text, '/'))
		return parse_prefix(text, out, why);
	if (text_address(text, &a))
		return -EINVAL;
	*out = (struct addr_range){ .first = a, .last = a };
	return 0;
}

const char *text_number(const char *text, unsigned int max, unsigned int *out)
{
	unsigned int value = 0;
	const char *c = text;

	for (; *c >= '0' && *c <= '9' && value <= max; c++)
		value = value * 10 + (unsigned int)(*c - '0');
	if (c == text || (c - text > 1 && text[0] == '0') || value > max)
		return NULL;
	*out = value;
	return c;
}

int text_ports(const char *text, struct port_range *out, char why[TEXT_WHY])
{
	unsigned int first, last;
	const char *end = text_number(text, UINT16_MAX, &first);

	why[0] = '\0';
	last = end ? first : 0;
	if (end && *end == '-')
		end = text_number(end + 1, UINT16_MAX, &last);
	if (!end || *end || !first || !last)
		return -EINVAL;
	if (first > last) {
		snprintf(why, TEXT_WHY, "\"%s\" ends before it begins; did you mean \"%u-%u\"?", text, last, first);
		return -EINVAL;
	}
	*out = (struct port_range){ .first = (uint16_t)first, .last = (uint16_t)last };
	return 0;
}
