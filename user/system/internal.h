/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of user/system share: the sockets, the caches, requests to the kernel and the parsing of its messages. */
#pragma once

#include <linux/if.h>
#include <linux/netlink.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>

#include "user/system/system.h"
#include "user/system/table.h"

struct caches {
	struct table links;			  /* struct link_entry */
	struct table addrs;			  /* struct addr_entry */
	struct table neighs;			  /* struct system_neigh */
	bool rules_changed;			  /* since they were read */
	bool routes_by_tos;			  /* IPv4 routes for a TOS of their own were seen */
	uint32_t locked_mtus[SYSTEM_LOCKED_MTUS]; /* of routes that were seen */
	size_t n_locked_mtus;
};

struct system {
	struct nl_sock *events;	  /* subscribed, non-blocking */
	struct nl_sock *requests; /* asked and answered, blocking */
	struct caches caches;
	unsigned int what; /* SYSTEM_* of the dispatch that is under way */
	bool lost;	   /* messages are missing: the caches must be read anew */
	bool rules_by_transport;
	bool advertised; /* a router has: addresses may be new that no message is about yet */
	void (*changed)(void *arg, unsigned int what);
	void *arg;
};

struct link_entry {
	struct system_link link; /* first: ifindex is the key */
	uint32_t lower;		 /* IFLA_LINK: for a veth its peer; 0: none */
	bool lower_elsewhere;	 /* ... lives in another namespace */
	uint32_t max_mtu;	 /* 0: no limit told */
	uint32_t group;		 /* IFLA_GROUP; 0: the default one */
	char alias[IFALIASZ];
};

struct addr_entry {
	struct system_addr addr; /* first: what the kernel tells addresses apart by, up to the peer, is the key */
};

/* ---- parse.c: 0, or -ENOENT for a message that does not concern us. *out is cleared first ---- */
int parse_link(struct nlmsghdr *h, struct link_entry *out);
int parse_addr(struct nlmsghdr *h, struct addr_entry *out);
int parse_neigh(struct nlmsghdr *h, struct system_neigh *out);
/* An address out of an attribute: -EINVAL when its length does not fit. */
int parse_address(int family, struct nlattr *attr, struct addr *out);

int put_address(struct nl_msg *msg, int attr, const struct addr *a);
/* The next hop among a route's attributes; AF_UNSPEC: none. */
void parse_gateway(int family, struct nlattr **tb, struct addr *out);

/* ---- routing.c: messages of routes and rules into the caches: what changed (SYSTEM_*) or -ENOMEM ---- */
int take_route(struct caches *c, struct nlmsghdr *h);
int take_rule(struct caches *c, struct nlmsghdr *h);
int read_rules(struct system *s);

/* ---- request.c ---- */
int request_open(struct system *s);
void request_close(struct system *s);

/* A message with its family header of `len` bytes; NULL: no memory. */
struct nl_msg *request_new(int type, int flags, const void *header, int len);

/*
 * Sends the message, frees it (NULL: -ENOMEM), waits for the answer and hands each message of it to `each` (NULL: none
 * expected). 0 or the kernel's -errno; what `each` returns below 0 is passed on, after the whole answer was read.
 * A dump that something changed under is -EINTR: ask again.
 */
int request_send(struct system *s, struct nl_msg *msg, int (*each)(struct nlmsghdr *h, void *arg), void *arg);

/* libnl's error as -errno; for those that are libnl's own. */
int request_errno(int nlerr);

#define REQUEST_DUMP_TRIES 8

/* ---- device.c ---- */
/* Asks the kernel, not the cache. By name, or by ifindex where name is NULL. -ENODEV. */
int link_query(struct system *s, const char *name, uint32_t ifindex, struct link_entry *out);

/* ---- offload.c ---- */
/* All off that leaves work on a packet to the receiver: checksums, segmentation, VLAN tags. */
int offload_clear_transmit(const char *device);
