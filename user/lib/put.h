/* SPDX-License-Identifier: GPL-2.0-only */
/* Text where there may be millions of lines: all return where it ends. The caller sees to it that there is room. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fairlead/maps.h"

char *put_text(char *to, const char *text);
char *put_number(char *to, uint64_t n, int least); /* at least so many digits, up to 20 */
char *put_string(char *to, const char *text,
		 size_t max); /* as JSON; of a name that has no 0 at its end if it is as long as max */
char *put_addr(char *to, const union fl_addr *addr); /* as JSON; IPv6 as RFC 5952 */
bool put_is_inet(const union fl_addr *addr);
