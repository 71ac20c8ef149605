/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Helpers of test_vips.c: a data plane with virtual addresses, on a real wire.
 *
 *	test: lan 192.0.2.1, lan.7 198.51.100.1	----	far, in a namespace of its own
 *	      wan 203.0.113.1			----	net, in the same
 *
 * Where the kernel has no VLANs, lan.7 is a pair of its own to far7.
 */
#pragma once

#include <criterion/criterion.h>
#include <net/if.h> /* before <linux/if.h>, which looks whether it is there */

#include "selftests/net/test_system.h"
#include "user/datapath/datapath.h"

#define PATIENCE_MS 60000
#define PORT 7241 /* of the pair */

struct frame {
	size_t n;
	uint8_t b[512];
};

extern struct vips_lab {
	struct datapath *dp;
	struct config *config;
	char instance[32];
	int far, far7, net; /* packet sockets at the other ends */
	bool vlans;	    /* the kernel has them */
} lab;

void set_up_vips(void);
void tear_down_vips(void);
void vips_apply(const char *text);
void vips_add_lan7(void);
void vips_far_wires(void); /* again, after that */

/* ---- frames ---- */

/* IPv4 to somewhere, with `mark` as its id; protocol 1: an echo request, else nothing in it */
void send_ip(const uint8_t *mac, unsigned int vid, const char *src, const char *dst, uint8_t protocol, uint16_t mark);
void send_arp(const char *target);
void send_solicitation(const char *target);
/* To wan: UDP with nothing but `mark` as its source port */
void send_datagram(const char *src, const char *dst, uint16_t mark);
uint16_t icmp6_sum(const uint8_t *ip, size_t n);

typedef bool wanted_fn(const struct frame *f, const void *arg);

/* The next one that came there and is `wanted`; the first that is `last` ends it. False: that came first. */
bool comes(int wire, wanted_fn *wanted, const void *arg, wanted_fn *last, const void *last_arg, struct frame *f);
wanted_fn has_mark, is_arp_from, is_advert_of, is_ip_from; /* of: the number; the address as text */

/* ---- leases ---- */

uint64_t now_ns(void);
int lease_of(const char *vip);
void lease(const char *vip, uint64_t until);
void own(const char *vip, bool on);
long long not_owners(void); /* frames that were dropped as such */
