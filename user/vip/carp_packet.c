// SPDX-License-Identifier: GPL-2.0-only
#include "user/vip/carp_packet.h"
#include "user/lib/inet_sum.h"

#include <arpa/inet.h>
#include <endian.h>
#include <nettle/memops.h>
#include <stdlib.h>
#include <string.h>

#define VERSION_TYPE 0x21
#define AUTHLEN ((CARP_LEN - 8) / 4)

/* RFC 1071 of the 36 bytes, with no pseudo-header for IPv6 either. Network byte order */
struct carp_header {
	uint8_t version_type, vhid, advskew, authlen, demotion, advbase;
	uint16_t checksum;
	uint64_t counter; /* big endian */
	uint8_t digest[SHA1_DIGEST_SIZE];
} __attribute__((packed));
_Static_assert(sizeof(struct carp_header) == CARP_LEN, "on the wire");

static uint16_t checksum(const struct carp_header *header)
{
	return inet_checksum(inet_sum(header, sizeof(*header), 0));
}

/* ---- digest ---- */

/* IPv4 by number, then IPv6 by bytes: which addr_compare() does. */
static int by_address(const void *a, const void *b)
{
	const struct prefix *const *x = a, *const *y = b;

	return addr_compare(&(*x)->addr, &(*y)->addr);
}

/* The kernels keep the link's number in the second word of a link-local address, and take it out. */
static void add_address(struct hmac_sha1_ctx *hmac, const struct addr *a)
{
	struct addr plain = *a;
	const uint8_t *bytes;
	unsigned int len;

	if (addr_is_link_local(a) && a->family == AF_INET6)
		plain.v6.s6_addr[2] = plain.v6.s6_addr[3] = 0;
	len = addr_bytes(&plain, &bytes);
	hmac_sha1_update(hmac, len, bytes);
}

void carp_key_make(struct carp_key *key, uint8_t vhid, const char *password, size_t len, const struct prefix *addresses,
		   size_t n)
{
	const uint8_t begin[] = { VERSION_TYPE >> 4, VERSION_TYPE & 0xf, vhid };
	const struct prefix *sorted[n + 1];

	for (size_t i = 0; i < n; i++)
		sorted[i] = &addresses[i];
	qsort(sorted, n, sizeof(const void *), by_address);
	key->vhid = vhid;
	for (unsigned int variant = 0; variant < CARP_VARIANTS; variant++) {
		struct hmac_sha1_ctx *hmac = &key->begun[variant];

		hmac_sha1_set_key(hmac, len, (const uint8_t *)password);
		hmac_sha1_update(hmac, sizeof(begin), begin);
		for (size_t i = 0; i < n; i++)
			if (variant == CARP_WITH_LINK_LOCAL || sorted[i]->addr.family == AF_INET ||
			    !addr_is_link_local(&sorted[i]->addr))
				add_address(hmac, &sorted[i]->addr);
	}
}

static void digest(const struct carp_key *key, enum carp_variant variant, uint64_t counter_be,
		   uint8_t out[SHA1_DIGEST_SIZE])
{
	struct hmac_sha1_ctx hmac = key->begun[variant];

	hmac_sha1_update(&hmac, sizeof(counter_be), (const uint8_t *)&counter_be);
	hmac_sha1_digest(&hmac, SHA1_DIGEST_SIZE, out);
}

static bool digest_is_right(const struct carp_key *key, const struct carp_header *header)
{
	uint8_t right[SHA1_DIGEST_SIZE];
	bool is = false;

	for (unsigned int variant = 0; variant < CARP_VARIANTS; variant++) {
		digest(key, variant, header->counter, right);
		is |= memeql_sec(right, header->digest, sizeof(right));
	}
	return is;
}

/* ---- packet ---- */

void carp_put(uint8_t packet[CARP_LEN], const struct carp_advert *advert, const struct carp_key *key,
	      enum carp_variant variant)
{
	struct carp_header header = {
		.version_type = VERSION_TYPE,
		.vhid = advert->vhid,
		.advskew = advert->advskew,
		.authlen = AUTHLEN,
		.demotion = advert->demotion,
		.advbase = advert->advbase_s,
		.counter = htobe64(advert->counter),
	};

	digest(key, variant, header.counter, header.digest);
	header.checksum = checksum(&header);
	memcpy(packet, &header, sizeof(header));
}

void carp_put_nobodys(uint8_t packet[CARP_LEN])
{
	struct carp_header header = {
		.version_type = VERSION_TYPE, .vhid = CARP_NOBODY, .advskew = 255, .authlen = AUTHLEN, .advbase = 255
	};

	header.checksum = checksum(&header);
	memcpy(packet, &header, sizeof(header));
}

enum carp_fault carp_get(const uint8_t *packet, size_t len, const struct carp_key *key, struct carp_advert *advert)
{
	struct carp_header header;

	if (len && *packet != VERSION_TYPE)
		return CARP_VERSION;
	if (len < sizeof(header))
		return CARP_SHORT;
	memcpy(&header, packet, sizeof(header));
	if (header.authlen != AUTHLEN)
		return CARP_FORM;
	if (checksum(&header))
		return CARP_CHECKSUM;
	if (header.vhid != key->vhid)
		return CARP_OTHER;
	*advert = (struct carp_advert){ .vhid = header.vhid,
					.advskew = header.advskew,
					.demotion = header.demotion,
					.advbase_s = header.advbase,
					.counter = be64toh(header.counter) };
	return digest_is_right(key, &header) ? CARP_OK : CARP_DIGEST;
}

const char *carp_fault_text(enum carp_fault fault)
{
	static const char *const texts[] = {
		[CARP_OK] = "",
		[CARP_SHORT] = "too short for an advert: maybe VRRP, with the same number",
		[CARP_VERSION] = "not version 2, type 1: maybe VRRP",
		[CARP_FORM] = "unknown form of authentication",
		[CARP_CHECKSUM] = "wrong checksum",
		[CARP_FAR] = "from afar (its TTL is not 255), or from none of the peers",
		[CARP_OTHER] = "another vhid",
		[CARP_DIGEST] = "wrong digest: passwords or addresses of the vhid are not the same on both nodes",
		[CARP_UNSIGNED] = "not signed by a node of \"ha\"; \"plain_peers\" accepts that",
		[CARP_STRANGE_KEY] = "signed with a key that is not in the key file of \"ha\"",
		[CARP_FORGED] = "wrong signature: altered on its way, or made up",
		[CARP_STRANGER] =
			"signed by a node that is none of the peers of \"ha\", or has this node's address there",
		[CARP_REPLAYED] = "a recording: it has been heard before",
	};

	return texts[fault];
}
