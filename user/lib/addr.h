/* SPDX-License-Identifier: GPL-2.0-only */
/* Addresses and prefixes of both families as one value. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

#include "fairlead/maps.h"

#define ADDR_STRLEN INET6_ADDRSTRLEN
#define PREFIX_STRLEN (INET6_ADDRSTRLEN + 4)

/* family AF_INET, AF_INET6, or AF_UNSPEC for "none"; network byte order */
struct addr {
	int family;
	union {
		struct in_addr v4;
		struct in6_addr v6;
	};
};

/* addr may have host bits (an interface's address with its length); prefix_is_network() tells */
struct prefix {
	struct addr addr;
	unsigned int len;
};

/* All parse functions: 0 or -EINVAL; the out-parameter is untouched on failure. No name resolution. */
int addr_parse(const char *text, struct addr *out);
int prefix_parse(const char *text, struct prefix *out); /* ADDRESS/LENGTH; the length is required */

/* Format into buf (ADDR_STRLEN, PREFIX_STRLEN) and return it; "" for AF_UNSPEC. IPv6 as RFC 5952. */
const char *addr_format(const struct addr *a, char *buf);
const char *prefix_format(const struct prefix *p, char *buf);

/* Its bytes in network order and how many: 4, 16, or 0 and NULL for AF_UNSPEC. */
unsigned int addr_bytes(const struct addr *a, const uint8_t **bytes);

bool addr_equal(const struct addr *a, const struct addr *b);
int addr_compare(const struct addr *a, const struct addr *b); /* family, then bytes: for qsort */
bool addr_is_unspecified(const struct addr *a);		      /* ::, 0.0.0.0 or none */
bool addr_is_link_local(const struct addr *a);
bool addr_is_unicast(const struct addr *a);	/* one that a host can have on a network */
bool prefix_is_network(const struct prefix *p); /* no host bits */
bool prefix_contains(const struct prefix *p, const struct addr *a);
struct addr prefix_network(const struct prefix *p); /* the address with its host bits cleared */

/* To and from the maps' 16 bytes (IPv4-mapped for IPv4). */
union fl_addr addr_to_map(const struct addr *a);
struct addr addr_from_map(const union fl_addr *m);
