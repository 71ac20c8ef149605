// SPDX-License-Identifier: GPL-2.0-only
#include "user/lib/put.h"

#include <arpa/inet.h>
#include <string.h>

char *put_text(char *to, const char *text)
{
	return stpcpy(to, text);
}

char *put_number(char *to, uint64_t n, int least)
{
	char digits[20];
	int at = sizeof(digits);

	do
		digits[--at] = '0' + n % 10;
	while (n /= 10);
	while ((int)sizeof(digits) - at < least)
		digits[--at] = '0';
	memcpy(to, digits + at, sizeof(digits) - at);
	return to + sizeof(digits) - at;
}

char *put_string(char *to, const char *text, size_t max)
{
	static const char hex[] = "0123456789abcdef";

	*to++ = '"';
	for (size_t i = 0; i < max && text[i]; i++) {
		unsigned char c = text[i];

		if (c < 0x20) {
			to = put_text(to, "\\u00");
			*to++ = hex[c >> 4];
			*to++ = hex[c & 15];
			continue;
		}
		if (c == '"' || c == '\\')
			*to++ = '\\';
		*to++ = c;
	}
	*to++ = '"';
	return to;
}

bool put_is_inet(const union fl_addr *a)
{
	return a->q[0] == 0 && a->w[2] == htonl(0xffff);
}

/* RFC 5952 4.2: the longest run of zeros, of two groups at least, the first of equally long ones. *len 0: none */
static int longest_zeros(const uint16_t group[8], int *len)
{
	int best = 0, run = 0;

	*len = 0;
	for (int i = 0; i < 8; i++) {
		run = group[i] ? 0 : run + 1;
		if (run > *len && run > 1) {
			*len = run;
			best = i + 1 - run;
		}
	}
	return best;
}

static char *put_group(char *to, uint16_t group)
{
	static const char hex[] = "0123456789abcdef";
	int shift = group >> 12 ? 12 : group >> 8 ? 8 : group >> 4 ? 4 : 0;

	for (; shift >= 0; shift -= 4)
		*to++ = hex[group >> shift & 15];
	return to;
}

static char *put_inet6(char *to, const union fl_addr *a)
{
	uint16_t group[8];
	int len, zeros;

	for (int i = 0; i < 8; i++)
		group[i] = a->b[2 * i] << 8 | a->b[2 * i + 1];
	zeros = longest_zeros(group, &len);
	for (int i = 0; i < 8; i++) {
		if (len && i == zeros) {
			*to++ = ':';
			i += len - 1;
			if (i == 7)
				*to++ = ':';
			continue;
		}
		if (i)
			*to++ = ':';
		to = put_group(to, group[i]);
	}
	return to;
}

char *put_addr(char *to, const union fl_addr *a)
{
	*to++ = '"';
	if (put_is_inet(a)) {
		for (int i = 12; i < 16; i++) {
			to = put_number(to, a->b[i], 1);
			*to++ = i < 15 ? '.' : '"';
		}
		return to;
	}
	to = put_inet6(to, a);
	*to++ = '"';
	return to;
}
