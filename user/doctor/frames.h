/* SPDX-License-Identifier: GPL-2.0-only */
/* Whose is a frame on the sync link? */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "user/lib/addr.h"

struct frame_nodes {
	const struct addr *local, *peers;
	size_t n_peers;
};

/*
 * Neither between the nodes, nor what each IPv6 host says on every link (neighbour and router discovery, MLD). data: behind the Ethernet
 * header, type: of it.
 */
bool frame_is_foreign(const struct frame_nodes *nodes, uint16_t type, const uint8_t *data, size_t len);
/* For people. */
void frame_text(uint16_t type, const uint8_t *data, size_t len, char *text, size_t size);
