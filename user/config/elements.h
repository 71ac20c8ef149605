/* SPDX-License-Identifier: GPL-2.0-only */
/* Elements of the lists that rules have, each into its struct of draft.h. */
#pragma once

#include "user/config/schema.h"

schema_value_fn element_link, element_term, element_ports, element_protocol, element_icmp_type, element_dscp,
	element_schedule;

/* pf's "S/SA", or "any". What would do, when `text` doesn't, else NULL. */
const char *flags_fault(const char *text);
void flags_parse(const char *text, uint8_t *set, uint8_t *mask); /* which flags_fault() finds nothing in */
