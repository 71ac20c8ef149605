/* SPDX-License-Identifier: GPL-2.0-only */
/* Builds the packet that `explain` asks about. */
#pragma once

#include <stddef.h>

#include "user/datapath/datapath.h"

#define EXPLAIN_PACKET_MAX 128

/*
 * Ethernet, IP and transport header of `query` with right lengths and checksums, to dmac from smac, in buf (zeros elsewhere).
 * Returns the length; -EAFNOSUPPORT when source and destination are not of one family.
 */
int explain_packet(const struct explain_query *query, const uint8_t dmac[6], const uint8_t smac[6],
		   uint8_t buf[EXPLAIN_PACKET_MAX]);

/* Puts the packet in that frame of `len` bytes into one of IPv4 between a tunnel's ends, addresses in network order. Returns the new length. */
int explain_encapsulate(uint8_t buf[EXPLAIN_PACKET_MAX], int len, uint32_t remote, uint32_t local);
