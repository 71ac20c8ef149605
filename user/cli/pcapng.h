/* SPDX-License-Identifier: GPL-2.0-only */
/* Writes pcapng (draft-ietf-opsawg-pcapng): packets of several interfaces, each with a comment. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct pcapng; /* opaque */

struct pcapng_packet {
	const char *interface;
	const char *comment;
	bool out;
	uint64_t time_us;    /* since 1970 */
	const uint8_t *data; /* from the IP header on */
	uint32_t captured, len;
};

/* Writes the section header. `to` stays the caller's. NULL: out of memory. */
struct pcapng *pcapng_begin(FILE *to);
/* The interface's block comes before its first packet. False: nobody takes it, or out of memory. */
bool pcapng_write(struct pcapng *pcapng, const struct pcapng_packet *packet);
void pcapng_end(struct pcapng *pcapng); /* NULL is allowed */
