/* SPDX-License-Identifier: GPL-2.0-only */
/* Names of what is a number in packets, or a bit. */
#pragma once

#include "user/config/schema.h"

/* Of /etc/protocols, and those of the usual ones without that file. -1: there is none of that name. */
int words_protocol(const char *name);
extern const struct schema_word words_protocols[]; /* the usual ones */
bool words_protocol_has_ports(unsigned int protocol);

/* As nftables has them. */
extern const struct schema_word words_icmp4[], words_icmp6[];

extern const struct schema_word words_dscp[];

/* Of enum config_section, as the file has them. */
extern const struct schema_word words_sections[];
