/* SPDX-License-Identifier: GPL-2.0-only */
/* Who waits for packets: what /proc/net/tcp and the like list. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "user/lib/addr.h"

#define LISTENERS_MAX 256 /* more are not looked at */

struct listener {
	uint8_t proto;
	int family;
	struct addr addr; /* unspecified: any */
	uint16_t port;
	unsigned long inode;
	char program[16]; /* "": not known */
};

struct listeners {
	struct listener of[LISTENERS_MAX];
	size_t n;
};

/* The sockets of one such file that wait for anybody: not those bound to loopback, nor those that are connected. */
void listeners_take(struct listeners *all, FILE *file, int family, uint8_t proto);
/* Those of this network namespace, each port of a program once. */
void listeners_read(struct listeners *all);
