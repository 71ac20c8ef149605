/* SPDX-License-Identifier: GPL-2.0-only */
/* Rules and translations in short, in the manner of pfctl -s rules. */
#pragma once

#include "user/config/config.h"

#define RANGE_TEXT (2 * ADDR_STRLEN + 1)

/* An address, a prefix or first-last, in buf (RANGE_TEXT). Returns it. */
const char *range_text(const struct addr_range *range, char *buf);

/* What packets it matches, but for direction and interface. malloc'ed; NULL: out of memory. */
char *rule_match_text(const struct config_rule *rule);
char *nat_match_text(const struct config_nat *nat);

/* What the address becomes: "203.0.113.5 port 8080-8090", "interface", "as it is". malloc'ed; NULL: out of memory. */
char *nat_target_text(const struct config_nat *nat);
