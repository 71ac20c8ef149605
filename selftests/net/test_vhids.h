/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * vhids on a real wire, with Debian's ucarp at the other end: a network namespace of the test's own, a veth pair, and a process that runs ucarp.
 *
 *	test: lan 192.0.2.1, fe80::1	----	far 192.0.2.2: ucarp
 *	the vhid's address is 192.0.2.100
 */
#pragma once

#include <criterion/criterion.h>
#include <linux/if_ether.h>

#include "user/vip/vhids.h"

#define MS 1000000ull
#define SECOND (1000 * MS)
#define VHID 42

extern struct lan {
	struct vhids *v;
	uint64_t leases[4]; /* until when this node has it, by lease */
	/* What lan_begin() makes of them; advskew is 100 */
	struct prefix addresses[4];
	struct vhid_setup setup;
	struct vhid_facts facts;
	struct vhid_node node;
	struct carp_key key;
} lan;
extern pid_t far_process, ucarp;

void set_up_lan(void); /* skips the test without root */
void tear_down_lan(void);
uint64_t lan_now(void);

void lan_begin(const char *password);
struct vhid_view lan_shown(void);
/* The loop of the timekeeper's thread. -1: the role was not reached within ms; else after how many */
long lan_until(enum carp_role role, long ms);

/* advbase 1; it ends with the test */
void ucarp_start(const char *skew, const char *password, bool preempt);
bool ucarp_has_told(const char *text);

/* From now on: what is on the wire. */
void lan_watch(void);
void lan_rewatch(void);
/* The next frame that was sent, of an EtherType and, of IP, of CARP; its length, 0: none */
size_t lan_sent(uint16_t type, uint8_t frame[256]);
/* An advert that the far end has sent, within ms */
bool ucarp_advertises(long ms);
