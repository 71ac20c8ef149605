/* SPDX-License-Identifier: GPL-2.0-only */
/* What the configuration says of the state table and of logs. */
#pragma once

#include <stdint.h>

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
