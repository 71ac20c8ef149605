/* SPDX-License-Identifier: GPL-2.0-only */
/* Addresses and prefixes of both families as one value. */
#include "user/lib/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

unsigned int addr_bytes(const struct addr *a, const uint8_t **bytes)
{
	switch (a->family) {
	case AF_INET:
		*bytes = (const uint8_t *)&a->v4;
		return sizeof(a->v4);
	case AF_INET6:
		*bytes = a->v6.s6_addr;
		return sizeof(a->v6);
	default:
		*bytes = NULL;
		return 0;
	}
}

int addr_parse(const char *text, struct addr *out)
{
	struct addr a = { .family = AF_INET };

	if (inet_pton(AF_INET, text, &a.v4) != 1) {
		a.family = AF_INET6;
		if (inet_pton(AF_INET6, text, &a.v6) != 1)
			return -EINVAL;
	}
	*out = a;
	return 0;
}

/* A decimal number of at most three digits, without sign or leading zeros. */
static int length_parse(const char *text, unsigned int *len)
{
	unsigned int value = 0;
	size_t digits = strlen(text);

	if (digits < 1 || digits > 3 || (digits > 1 && text[0] == '0'))
		return -EINVAL;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -EINVAL;
		value = value * 10 + (unsigned int)(*text - '0');
	}
	*len = value;
	return 0;
}

int prefix_parse(const char *text, struct prefix *out)
{
	const char *slash = strchr(text, '/');
	char address[ADDR_STRLEN];
	struct prefix p;

	if (!slash || (size_t)(slash - text) >= sizeof(address))
		return -EINVAL;
	memcpy(address, text, (size_t)(slash - text));
	address[slash - text] = '\0';
	if (addr_parse(address, &p.addr) || length_parse(slash + 1, &p.len))
		return -EINVAL;
	if (p.len > (p.addr.family == AF_INET ? 32 : 128))
		return -EINVAL;
	*out = p;
	return 0;
}

const char *addr_format(const struct addr *a, char *buf)
{
	const uint8_t *bytes;

	/* glibc's inet_ntop() follows RFC 5952: lower case, the first longest run of two and more zeros shortened */
	if (!addr_bytes(a, &bytes) || !inet_ntop(a->family, bytes, buf, ADDR_STRLEN))
		buf[0] = '\0';
	return buf;
}

const char *prefix_format(const struct prefix *p, char *buf)
{
	size_t used;

	addr_format(&p->addr, buf);
	used = strlen(buf);
	if (used)
		snprintf(buf + used, PREFIX_STRLEN - used, "/%u", p->len);
	return buf;
}

int addr_compare(const struct addr *a, const struct addr *b)
{
	const uint8_t *x, *y;
	unsigned int n;

	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	n = addr_bytes(a, &x);
	addr_bytes(b, &y);
	return n ? memcmp(x, y, n) : 0;
}

bool addr_equal(const struct addr *a, const struct addr *b)
{
	return addr_compare(a, b) == 0;
}

bool addr_is_unspecified(const struct addr *a)
{
	if (a->family == AF_INET)
		return a->v4.s_addr == INADDR_ANY;
	return a->family != AF_INET6 || IN6_IS_ADDR_UNSPECIFIED(&a->v6);
}

bool addr_is_link_local(const struct addr *a)
{
	if (a->family == AF_INET)
		return (ntohl(a->v4.s_addr) >> 16) == 0xa9fe; /* 169.254.0.0/16, RFC 3927 */
	return a->family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&a->v6);
}

bool addr_is_unicast(const struct addr *a)
{
	const uint8_t first = a->family == AF_INET ? (uint8_t)(ntohl(a->v4.s_addr) >> 24) : a->v6.s6_addr[0];

	if (a->family == AF_INET)
		return first != 0 && first != 127 && first < 224;
	return first != 0xff && !IN6_IS_ADDR_UNSPECIFIED(&a->v6) && !IN6_IS_ADDR_LOOPBACK(&a->v6) &&
	       !IN6_IS_ADDR_V4MAPPED(&a->v6);
}

struct addr prefix_network(const struct prefix *p)
{
	struct addr net = p->addr;
	const uint8_t *bytes;
	unsigned int n = addr_bytes(&p->addr, &bytes);
	uint8_t *to = net.family == AF_INET ? (uint8_t *)&net.v4 : net.v6.s6_addr;
	unsigned int i;

	for (i = 0; i < n; i++) {
		if (p->len <= i * 8)
			to[i] = 0;
		else if (p->len < i * 8 + 8)
			to[i] &= (uint8_t)(0xff << (8 - p->len % 8));
	}
	return net;
}

bool prefix_is_network(const struct prefix *p)
{
	struct addr net = prefix_network(p);

	return addr_equal(&net, &p->addr);
}

bool prefix_contains(const struct prefix *p, const struct addr *a)
{
	struct prefix other = { .addr = *a, .len = p->len };
	struct addr x = prefix_network(p), y = prefix_network(&other);

	return a->family != AF_UNSPEC && addr_equal(&x, &y);
}

union fl_addr addr_to_map(const struct addr *a)
{
	union fl_addr m = { .q = { 0, 0 } };

	if (a->family == AF_INET6) {
		memcpy(m.b, &a->v6, sizeof(m.b));
	} else if (a->family == AF_INET) {
		m.w[2] = htonl(0xffff);
		m.w[3] = a->v4.s_addr;
	}
	return m;
}

/* A map has no AF_UNSPEC: 16 zero bytes come back as "::". */
struct addr addr_from_map(const union fl_addr *m)
{
	struct addr a = { .family = AF_INET6 };

	memcpy(&a.v6, m->b, sizeof(a.v6));
	if (IN6_IS_ADDR_V4MAPPED(&a.v6)) {
		a.family = AF_INET;
		a.v4.s_addr = m->w[3];
	}
	return a;
}
