/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * CARP's advert (IP protocol 112), byte for byte as OpenBSD, FreeBSD and ucarp have it: 36 bytes behind the IP header.
 *
 *	0  version 2, type 1 (0x21)	4  demotion (OpenBSD; others: 0)	8  counter, 64 bits
 *	1  vhid				5  advbase, s				16 HMAC-SHA1 of all that is not told in bytes 2 to 7
 *	2  advskew, s/256		6  checksum of the 36 bytes alone
 *	3  7: words of 8 to 36
 *
 * The digest covers version, type, vhid, all of the vhid's addresses of both families, and the counter: none of what says who is better.
 */
#pragma once

#include <nettle/hmac.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "user/lib/addr.h"

#define CARP_LEN 36
#define CARP_PROTO 112
#define CARP_NOBODY 0	     /* no vhid of anybody */
#define CARP_PASSWORD_MAX 20 /* bytes, as typed */

/* What all adverts of a vhid begin their digest with. OpenBSD sends without the link-local addresses and takes both; FreeBSD has them. */
enum carp_variant { CARP_WITH_LINK_LOCAL, CARP_WITHOUT_LINK_LOCAL, CARP_VARIANTS };

struct carp_key {
	struct hmac_sha1_ctx begun[CARP_VARIANTS];
	uint8_t vhid;
};

struct carp_advert {
	uint8_t vhid, advskew, demotion, advbase_s;
	uint64_t counter;
};

enum carp_fault {
	CARP_OK,
	CARP_SHORT,   /* fewer than 36 bytes */
	CARP_VERSION, /* not version 2, type 1: VRRP's, maybe */
	CARP_FORM,    /* another length of the digest */
	CARP_CHECKSUM,
	CARP_FAR,    /* TTL or hop limit are not 255, or it is from nobody that is named as a peer */
	CARP_OTHER,  /* another vhid's */
	CARP_DIGEST, /* password or addresses are not the same on both nodes */
	/* between nodes of a pair, see ext.h: */
	CARP_UNSIGNED,	  /* nothing of a pair's node */
	CARP_STRANGE_KEY, /* signed with another key */
	CARP_FORGED,	  /* altered */
	CARP_STRANGER,	  /* of a node that is none of the peers */
	CARP_REPLAYED,	  /* heard before */
	CARP_FAULTS,
};

/* `password`: at most CARP_PASSWORD_MAX bytes. The addresses may come in any order. */
void carp_key_make(struct carp_key *key, uint8_t vhid, const char *password, size_t len, const struct prefix *addresses,
		   size_t n);

/* Allocates nothing. */
void carp_put(uint8_t packet[CARP_LEN], const struct carp_advert *advert, const struct carp_key *key,
	      enum carp_variant variant);

/*
 * What is sent to see whether an advert could be: one of CARP_NOBODY, without a digest. OpenBSD and FreeBSD count it (badvhid), ucarp passes over
 * it, and none logs it. A TTL below 255 is known to be none too, but ucarp logs each as a warning.
 */
void carp_put_nobodys(uint8_t packet[CARP_LEN]);

/* Of what follows the IP header; more than 36 bytes are not looked at. *advert: for CARP_OK and CARP_DIGEST. Allocates nothing. */
enum carp_fault carp_get(const uint8_t *packet, size_t len, const struct carp_key *key, struct carp_advert *advert);

const char *carp_fault_text(enum carp_fault fault);
