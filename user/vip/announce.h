/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What tells hosts and switches that an address is here now: an ARP request for it from itself (RFC 5227 3: an announcement), a Neighbor
 * Advertisement that nobody asked for (RFC 4861 7.2.6). Whole Ethernet frames.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "user/lib/addr.h"

#define ANNOUNCE_MAX 86 /* bytes of a frame */

/* The frame's length. `mac`: where the address is. `router`: it forwards; of IPv6 only. Allocates nothing. */
size_t announce_build(const struct addr *address, const uint8_t mac[6], bool router, uint8_t frame[ANNOUNCE_MAX]);
