// SPDX-License-Identifier: GPL-2.0-only
#include "user/cli/pcapng.h"

#include <stdlib.h>
#include <string.h>

#define SECTION 0x0a0d0d0a
#define INTERFACE 1
#define PACKET 6
#define BYTE_ORDER_MARK 0x1a2b3c4d
#define LINKTYPE_ETHERNET 1 /* of LINKTYPE_RAW tcpdump (libpcap 1.10.3) reads one interface only */
#define ETHERNET 14	    /* bytes of its header; the addresses are zeros, and not those of the frame */
#define SNAPLEN 0x40000

/* Option codes, which mean another thing in each kind of block */
#define OPT_COMMENT 1
#define SECTION_APPLICATION 4
#define INTERFACE_NAME 2
#define PACKET_FLAGS 2
#define INBOUND 1
#define OUTBOUND 2

#define PADDED(n) (((n) + 3) & ~3u)

struct pcapng {
	FILE *to;
	char **interfaces; /* an interface's number is its place */
	uint32_t n;
};

/* All numbers are in the writer's byte order: the reader knows it by the mark. */
static void put(FILE *to, const void *data, size_t len)
{
	static const uint8_t zeros[4];

	fwrite(data, 1, len, to);
	fwrite(zeros, 1, PADDED(len) - len, to);
}

static void put16(FILE *to, uint16_t value)
{
	fwrite(&value, sizeof(value), 1, to);
}

static void put32(FILE *to, uint32_t value)
{
	fwrite(&value, sizeof(value), 1, to);
}

static void put_option(FILE *to, uint16_t code, const void *value, size_t len)
{
	put16(to, code);
	put16(to, len);
	put(to, value, len);
}

static uint32_t option_len(size_t len)
{
	return 4 + PADDED(len);
}

#define OPTIONS_END 4 /* bytes: opt_endofopt */

static void put_end(FILE *to, uint32_t block)
{
	put32(to, 0); /* opt_endofopt */
	put32(to, block);
}

struct pcapng *pcapng_begin(FILE *to)
{
	static const char application[] = "fairlead " FAIRLEAD_VERSION;
	const uint32_t block = 28 + option_len(strlen(application)) + OPTIONS_END;
	struct pcapng *pcapng = calloc(1, sizeof(*pcapng));

	if (!pcapng)
		return NULL;
	pcapng->to = to;
	put32(to, SECTION);
	put32(to, block);
	put32(to, BYTE_ORDER_MARK);
	put16(to, 1); /* version 1.0 */
	put16(to, 0);
	put32(to, UINT32_MAX); /* the section's length: not known, 64 bits */
	put32(to, UINT32_MAX);
	put_option(to, SECTION_APPLICATION, application, strlen(application));
	put_end(to, block);
	return pcapng;
}

/* Its number; -1: out of memory. */
static int64_t interface_number(struct pcapng *pcapng, const char *name)
{
	const uint32_t block = 20 + option_len(strlen(name)) + OPTIONS_END;
	char **interfaces;

	for (uint32_t i = 0; i < pcapng->n; i++) {
		if (!strcmp(pcapng->interfaces[i], name))
			return i;
	}
	interfaces = realloc(pcapng->interfaces, (pcapng->n + 1) * sizeof(*interfaces));
	if (!interfaces)
		return -1;
	pcapng->interfaces = interfaces;
	interfaces[pcapng->n] = strdup(name);
	if (!interfaces[pcapng->n])
		return -1;
	put32(pcapng->to, INTERFACE);
	put32(pcapng->to, block);
	put16(pcapng->to, LINKTYPE_ETHERNET);
	put16(pcapng->to, 0);
	put32(pcapng->to, SNAPLEN);
	put_option(pcapng->to, INTERFACE_NAME, name, strlen(name));
	put_end(pcapng->to, block); /* without if_tsresol: microseconds */
	return pcapng->n++;
}

static void put_frame(FILE *to, const uint8_t *packet, size_t len)
{
	static const uint8_t addresses[ETHERNET - 2], zeros[4];
	const uint8_t ip4[] = { 0x08, 0x00 }, ip6[] = { 0x86, 0xdd };

	fwrite(addresses, 1, sizeof(addresses), to);
	fwrite(len && packet[0] >> 4 == 4 ? ip4 : ip6, 1, 2, to);
	fwrite(packet, 1, len, to);
	fwrite(zeros, 1, PADDED(ETHERNET + len) - ETHERNET - len, to);
}

bool pcapng_write(struct pcapng *pcapng, const struct pcapng_packet *packet)
{
	const uint32_t flags = packet->out ? OUTBOUND : INBOUND;
	const uint32_t block = 32 + PADDED(ETHERNET + packet->captured) + option_len(sizeof(flags)) +
			       option_len(strlen(packet->comment)) + OPTIONS_END;
	int64_t number = interface_number(pcapng, packet->interface);
	FILE *to = pcapng->to;

	if (number < 0)
		return false;
	put32(to, PACKET);
	put32(to, block);
	put32(to, number);
	put32(to, packet->time_us >> 32);
	put32(to, packet->time_us);
	put32(to, ETHERNET + packet->captured);
	put32(to, ETHERNET + packet->len);
	put_frame(to, packet->data, packet->captured);
	put_option(to, PACKET_FLAGS, &flags, sizeof(flags));
	put_option(to, OPT_COMMENT, packet->comment, strlen(packet->comment));
	put_end(to, block);
	return !ferror(to);
}

void pcapng_end(struct pcapng *pcapng)
{
	if (!pcapng)
		return;
	for (uint32_t i = 0; i < pcapng->n; i++)
		free(pcapng->interfaces[i]);
	free(pcapng->interfaces);
	free(pcapng);
}
