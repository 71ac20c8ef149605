/* SPDX-License-Identifier: GPL-2.0-only */
/* What gateways.c and gateways_*.c share. */
#pragma once

#include "user/daemon/daemon.h"

/* Next hops of a gateway, as the data plane has told them last. */
struct next_hops {
	struct addr address[2]; /* of IPv4, of IPv6 */
	char learned_by[2][16];
};

/* What a group does with a member, as seen last. */
enum member_use { MEMBER_UNSEEN, MEMBER_UNUSABLE, MEMBER_WAITS, MEMBER_CARRIES };

struct gateways {
	struct timekeeper *timekeeper;
	struct event *on_events, *on_moves;
	const struct config *config; /* that the timekeeper has a plan of; NULL: none yet */
	unsigned int set;	     /* of the tables, whose groups' slots it writes */
	/* enum member_use, by group of the configuration, family (IPv4, IPv6) and number of the gateway */
	uint8_t (*use)[2][FL_GATEWAYS_MAX];
	struct next_hops hops[FL_GATEWAYS_MAX]; /* by number */
	bool rights_told;
};

/* ---- gateways.c: by the configuration ---- */

/* By the number that it has in the snapshot; NULL: none */
const struct config_gateway *gateways_config_of(const struct gateways *g, const struct timekeeper_snapshot *s,
						unsigned int number);
/* enum fl_family bits that the group of that name is used for. */
unsigned int gateways_families_used(const struct gateways *g, const char *name);

/* ---- gateways_plan.c ---- */

struct gateways_plan {
	struct timekeeper_plan plan;
	struct timekeeper_gateway *gateways;
	struct timekeeper_path *paths;
	struct addr (*targets)[2];
	struct timekeeper_group *groups;
	struct timekeeper_member *members;
	uint16_t (*slots)[2][FL_GROUP_SLOTS];
};

/* -ENOMEM; gateways_plan_free() is due also then */
int gateways_plan_make(struct daemon *d, const struct config *config, const struct datapath_gateway *gateways,
		       struct gateways_plan *p);
void gateways_plan_free(struct gateways_plan *p);

/* ---- gateways_hops.c ---- */

bool gateways_hops_follow(struct daemon *d, const struct datapath_gateway *fact);
void gateways_hops_forget(struct gateways *g, const struct config *config, const struct datapath_gateway *gateways);
void gateways_put_address(const struct gateways *g, uint16_t number, char to[2 * ADDR_STRLEN + 2]);
json_t *gateways_learned_json(const struct gateways *g, uint16_t number);

/* ---- gateways_moves.c ---- */

enum member_use gateways_use_of(const struct group_member *member);
bool gateways_are_moving(struct daemon *d);
void gateways_uses_anew(struct gateways *g, bool waits);
void gateways_connections_follow(struct daemon *d);
void gateways_moves_begin(struct gateways *g);
void gateways_on_moves(evutil_socket_t fd, short what, void *arg); /* event callback; arg is the daemon */

/* ---- gateways_tell.c ---- */

void gateways_tell_event(void *arg, const struct timekeeper_event *e); /* arg is the daemon, of both */
void gateways_tell_move(void *arg, const struct datapath_move *move);
json_t *gateways_thousandths(double value);
json_t *gateways_rtt_ms(bool known, uint32_t us);
extern const char *const gateways_family_words[]; /* by enum fl_family, FL_BOTH too */
const char *gateways_for_family(const struct gateways *g, const char *group, unsigned int families);
void gateways_add_name(json_t *names, const struct config_gateway *gateway);
