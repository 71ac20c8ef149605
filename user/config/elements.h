/* SPDX-License-Identifier: GPL-2.0-only */
/* Values that have a form of their own, each into its struct of draft.h, policy.h or config.h. */
#pragma once

#include "user/config/schema.h"

schema_value_fn element_link, element_term, element_ports, element_protocol, element_icmp_type, element_dscp,
	element_schedule, element_port_range, element_target, element_tcp_flags, element_probe, element_thresholds,
	element_path, element_sections, element_argument, element_when, element_service;
