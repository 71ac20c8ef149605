/* SPDX-License-Identifier: GPL-2.0-only */
/* What the configuration says of packets: aliases, the state table, logs. Names are resolved to pointers. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "user/lib/range.h"

struct config;

/* ---- aliases ---- */

enum config_entry_kind {
	CONFIG_ENTRY_NONE, /* a draft's: refused */
	CONFIG_ENTRY_ADDRESSES,
	CONFIG_ENTRY_PORTS,
	CONFIG_ENTRY_ALIAS,
};

struct config_alias_entry {
	enum config_entry_kind kind;
	uint32_t at; /* element of the array from 0, or line of the file from 1 */
	union {
		struct addr_range addresses;
		struct port_range ports;
		struct {
			char *name;
			const struct config_alias *to;
		} alias;
	};
};

struct config_alias {
	char *name;
	char *file; /* NULL: written out */
	struct config_alias_entry *entries;
	size_t n_entries;
	/* what follows counts what is in the aliases that it names, too */
	enum config_entry_kind holds; /* ADDRESSES, PORTS; NONE: nothing */
	unsigned int families;	      /* enum fl_family of its addresses, 0 without any */
	bool from_file;		      /* what it holds may be other things another time */
};

/*
 * aliases.c: what an alias and those that it names hold of one family, sorted and without overlaps, the array malloc'ed
 * (also when it is empty). 0 or -ENOMEM.
 */
int config_alias_addresses(const struct config *c, const struct config_alias *alias, int family,
			   struct addr_range **ranges, size_t *n);
int config_alias_ports(const struct config *c, const struct config_alias *alias, struct port_range **ranges, size_t *n);

/* ---- states ---- */

/* pf's sets of timeouts */
enum config_optimization { CONFIG_NORMAL, CONFIG_CONSERVATIVE, CONFIG_AGGRESSIVE, CONFIG_HIGH_LATENCY };

/* pf's timeouts, by pf's names */
enum config_timeout {
	CONFIG_TCP_FIRST,	/* one packet */
	CONFIG_TCP_OPENING,	/* no answer from the other side yet */
	CONFIG_TCP_ESTABLISHED, /* both sides have finished the handshake */
	CONFIG_TCP_CLOSING,	/* one FIN */
	CONFIG_TCP_FINWAIT,	/* both FINs */
	CONFIG_TCP_CLOSED,	/* an RST */
	CONFIG_UDP_FIRST,	/* one packet */
	CONFIG_UDP_SINGLE,	/* several of one side, none of the other */
	CONFIG_UDP_MULTIPLE,	/* packets of both sides */
	CONFIG_ICMP_FIRST,	/* one packet */
	CONFIG_ICMP_ERROR,	/* an ICMP error in answer to it */
	CONFIG_OTHER_FIRST,	/* other protocols as UDP */
	CONFIG_OTHER_SINGLE,
	CONFIG_OTHER_MULTIPLE,
	CONFIG_TIMEOUTS,
};

/* timeouts.c: fills in what is 0, what `timeouts_s` left open, from the set. */
void config_timeouts_complete(uint32_t timeouts_s[CONFIG_TIMEOUTS], enum config_optimization set);

/* ---- logs ---- */

enum config_log_to { CONFIG_LOG_NONE, CONFIG_LOG_SYSLOG };

struct config_log {
	enum config_log_to events;
	enum config_log_to packets;
	int facility; /* syslog(3)'s */
};
