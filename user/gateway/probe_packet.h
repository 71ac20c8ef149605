/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Probes on the wire: whole IPv4 and IPv6 packets that are sent, and answers as they are received. Nothing here has a state.
 *
 * Which probe an answer belongs to: ICMP has id and sequence, and an echo must bear the cookie too. Of TCP the initial sequence number
 * is id and sequence. A DNS query's number is the sequence, and which target it is the port tells that it comes to.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "user/config/config.h"
#include "user/lib/addr.h"

#define PROBE_QUERY_MAX 512
#define PROBE_PACKET_MAX (40 + 8 + PROBE_QUERY_MAX)

/* The addresses that a gateway's probes may be sent from: which of them depends on the target. */
enum probe_source { PROBE_SOURCE4, PROBE_SOURCE6, PROBE_SOURCE_LOCAL, PROBE_SOURCES };

enum probe_source probe_source_of(const struct addr *target);

struct probe_packet {
	enum config_probe type;
	struct addr source, target; /* of one family */
	uint16_t source_port;	    /* of TCP and DNS; host byte order */
	uint16_t port;		    /* of the target */
	uint16_t id, sequence;
	uint64_t cookie;
	const uint8_t *query; /* of DNS: without its number, which stands in the first two bytes */
	size_t query_len;
};

/* Returns its length; buf has PROBE_PACKET_MAX and lies at a multiple of 4. */
size_t probe_packet_build(const struct probe_packet *p, uint8_t *buf);
/* A TCP reset for the connection that was answered, with that answer's acknowledgement number. */
size_t probe_packet_reset(const struct probe_packet *p, uint32_t acknowledged, uint8_t *buf);

enum probe_verdict {
	PROBE_STRANGE, /* none of ours */
	PROBE_ANSWERED,
	PROBE_REFUSED, /* TCP reset */
	PROBE_RCODE,   /* a DNS answer that says that it is none */
};

struct probe_answer {
	enum probe_verdict verdict;
	uint16_t id, sequence; /* id: not of DNS */
	uint64_t cookie;       /* of ICMP */
	uint16_t port;	       /* of TCP: it comes from */
	uint16_t our_port;     /* of TCP: it goes to */
	uint32_t acknowledged; /* of TCP */
	int rcode;
};

/*
 * What raw sockets receive: of AF_INET with the IP header; of AF_INET6 without it, and the kernel has looked at the checksum. Everything but
 * verdict is set only for ours.
 */
void probe_packet_echo(int family, const uint8_t *data, size_t len, struct probe_answer *answer);
void probe_packet_tcp(int family, const uint8_t *data, size_t len, struct probe_answer *answer);
/* A UDP payload; the question must be the query's own. */
void probe_packet_dns(const uint8_t *data, size_t len, const uint8_t *query, size_t query_len,
		      struct probe_answer *answer);

/* A query for the addresses of a name, of PROBE_QUERY_MAX; its length, or -EINVAL. Reads /etc/resolv.conf the first time. */
int probe_packet_query(const char *name, uint8_t *query);
