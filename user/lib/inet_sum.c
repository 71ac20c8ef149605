// SPDX-License-Identifier: GPL-2.0-only
#include "user/lib/inet_sum.h"

#include <arpa/inet.h>

uint32_t inet_sum(const void *data, size_t len, uint32_t start)
{
	const uint8_t *b = data;
	size_t i;

	for (i = 0; i + 1 < len; i += 2)
		start += (uint32_t)b[i] << 8 | b[i + 1];
	return i < len ? start + ((uint32_t)b[i] << 8) : start;
}

uint16_t inet_checksum(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}
