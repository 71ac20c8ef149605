/* SPDX-License-Identifier: GPL-2.0-only */
/* The Internet checksum (RFC 1071). */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Adds words of 16 bits in network byte order to `start`; up to 64 KiB of them. An odd byte at the end is followed by a zero. */
uint32_t inet_sum(const void *data, size_t len, uint32_t start);
/* What goes into a header, in network byte order. Of data with the right checksum in it: 0. */
uint16_t inet_checksum(uint32_t sum);
