/* SPDX-License-Identifier: GPL-2.0-only */
/* The nodes that share addresses, as `ha` names them: what the main thread says of them, and what is shown. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "user/lib/addr.h"
#include "user/vip/sign.h"

struct pair_setup_peer {
	struct addr addr;
	struct sign_mark mark; /* how far it had come when this node last saved that */
};

struct pair_setup {
	uint64_t node, epoch; /* of this one */
	uint32_t ifindex;     /* of the sync link; 0: the device is not there */
	struct addr local;
	uint16_t port;
	const struct pair_setup_peer *peers;
	size_t n_peers; /* 0: there is no `ha` */
	const struct sign_keys *keys;
	bool maintenance;
};

/* How a node is known among the others: IPv4 as a number, IPv6 by its low 64 bits. The lower one stays among equals. */
uint64_t pair_node(const struct addr *addr);

enum pair_state {
	PAIR_UNKNOWN,	/* it had no time to say something */
	PAIR_UP,	/* its beats come */
	PAIR_LINK_DOWN, /* its adverts come, or the sync link has no carrier */
	PAIR_SILENT,	/* nothing comes */
	PAIR_STRANGE,	/* what comes from its address is signed with another key */
	PAIR_ENDED,	/* it has said that it ends */
};

struct pair_view {
	struct addr addr;
	uint64_t node;
	struct sign_mark mark;
	enum pair_state state;
	uint64_t since_ns, beat_ns; /* beat_ns: the last; 0: none */
	bool ready, maintenance;
	bool strange; /* what is signed with another key was heard of late: from its address, or on a segment */
	uint64_t sent, received, bad; /* beats */
};
