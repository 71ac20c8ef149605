/* SPDX-License-Identifier: GPL-2.0-only */
/* What single words mean, in JSON strings and in the lines of an alias's file alike. */
#pragma once

#include "user/lib/range.h"

#define TEXT_WHY 256 /* bytes */

/* As addr_parse() and prefix_parse(), without the dotted form of an IPv6 address's end: one spelling less to tell apart. */
int text_address(const char *text, struct addr *out);
int text_prefix(const char *text, struct prefix *out);

/*
 * 0 and *out set; else -EINVAL, and `why` says what is wrong with something that is nearly right, or is "" when `text` is
 * something else altogether.
 */
int text_addresses(const char *text, struct addr_range *out, char why[TEXT_WHY]); /* address, prefix or first-last */
int text_ports(const char *text, struct port_range *out, char why[TEXT_WHY]);	  /* number or first-last */

/* A whole number without sign and leading zeros, at most `max`, and what follows it; NULL: there is none. */
const char *text_number(const char *text, unsigned int max, unsigned int *out);

/* Says that a prefix has host bits. */
void text_host_bits(const char *text, const struct prefix *p, char why[TEXT_WHY]);
