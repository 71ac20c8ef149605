// SPDX-License-Identifier: GPL-2.0-only
#include "user/doctor/frames.h"

#include <linux/if_ether.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#define ARP_LEN 28
#define ARP_SENDER 14
#define IPV4_LEN 20
#define IPV4_SOURCE 12
#define IPV4_DESTINATION 16
#define IPV6_LEN 40
#define IPV6_SOURCE 8
#define IPV6_DESTINATION 24

static struct addr inet(const uint8_t *bytes)
{
	struct addr addr = { .family = AF_INET };

	memcpy(&addr.v4, bytes, 4);
	return addr;
}

static struct addr inet6(const uint8_t *bytes)
{
	struct addr addr = { .family = AF_INET6 };

	memcpy(&addr.v6, bytes, 16);
	return addr;
}

static bool is_node(const struct frame_nodes *nodes, const struct addr *addr)
{
	if (addr_equal(addr, nodes->local))
		return true;
	for (size_t i = 0; i < nodes->n_peers; i++)
		if (addr_equal(addr, &nodes->peers[i]))
			return true;
	return false;
}

static bool are_nodes(const struct frame_nodes *nodes, struct addr source, struct addr destination)
{
	return is_node(nodes, &source) && is_node(nodes, &destination);
}

/* ICMPv6 from a link-local or no address: MLD stands behind a hop-by-hop header. */
static bool is_housekeeping(const uint8_t *data)
{
	const struct addr source = inet6(data + IPV6_SOURCE);

	return (data[6] == IPPROTO_ICMPV6 || data[6] == IPPROTO_HOPOPTS) &&
	       (addr_is_link_local(&source) || addr_is_unspecified(&source));
}

bool frame_is_foreign(const struct frame_nodes *nodes, uint16_t type, const uint8_t *data, size_t len)
{
	struct addr sender;

	switch (type) {
	case ETH_P_ARP:
		if (len < ARP_LEN)
			return true;
		sender = inet(data + ARP_SENDER);
		return !is_node(nodes, &sender) && !addr_is_unspecified(&sender);
	case ETH_P_IP:
		return len < IPV4_LEN || !are_nodes(nodes, inet(data + IPV4_SOURCE), inet(data + IPV4_DESTINATION));
	case ETH_P_IPV6:
		if (len < IPV6_LEN)
			return true;
		sender = inet6(data + IPV6_SOURCE);
		return !is_housekeeping(data) && !(data[6] == IPPROTO_ICMPV6 && is_node(nodes, &sender)) &&
		       !are_nodes(nodes, sender, inet6(data + IPV6_DESTINATION));
	default:
		return true;
	}
}

void frame_text(uint16_t type, const uint8_t *data, size_t len, char *text, size_t size)
{
	char from[ADDR_STRLEN], to[ADDR_STRLEN];
	struct addr a, b;

	if (type == ETH_P_IP && len >= IPV4_LEN) {
		a = inet(data + IPV4_SOURCE);
		b = inet(data + IPV4_DESTINATION);
	} else if (type == ETH_P_IPV6 && len >= IPV6_LEN) {
		a = inet6(data + IPV6_SOURCE);
		b = inet6(data + IPV6_DESTINATION);
	} else if (type == ETH_P_ARP && len >= ARP_LEN) {
		a = inet(data + ARP_SENDER);
		snprintf(text, size, "ARP from %s", addr_format(&a, from));
		return;
	} else {
		snprintf(text, size, "of Ethernet type 0x%04x", type);
		return;
	}
	snprintf(text, size, "from %s to %s", addr_format(&a, from), addr_format(&b, to));
}
