/* SPDX-License-Identifier: GPL-2.0-only */
/* What no single key can tell: names and what they lead to, and items against each other. */
#pragma once

#include "user/config/draft.h"

struct check {
	struct draft *draft;
	const json_t *document;
	struct config_report *report;
	json_t *interfaces, *tunnels, *gateways, *groups, *vips, *aliases; /* name -> index in the draft */
	int err;							   /* -ENOMEM */
};

/* Looks all names up in the draft and compares. 0 or -ENOMEM; what is wrong is in the report. */
int check_draft(struct draft *draft, const json_t *document, struct config_report *report);

/* The parts of it. check_references.c fills the *_ref and `port` members; the others need them. */
void check_references(struct check *c);
void check_tunnels(struct check *c);
void check_gateways(struct check *c); /* and groups of them */
void check_routes(struct check *c);   /* and the routes of clients */
void check_translations(struct check *c);
void check_rules(struct check *c);
void check_steering(struct check *c); /* behind check_rules() */
void check_nat(struct check *c);
void check_vip_interfaces(struct check *c); /* of check_references() */
void check_ha(struct check *c);		    /* and shared addresses */
void check_aliases(struct check *c);	    /* fills what an entry leads to, and what an alias holds */

/* A place in the file, from the outside to the inside: AT("routes", NUMBER(3), "gateway"). */
#define AT(...) ((const char *const[]){ __VA_ARGS__, NULL })
#define NUMBER(n) check_number(n, (char[24]){ 0 })
const char *check_number(size_t n, char *buf);

/* Element i of a list that may be a single value without brackets: goes last into AT(). */
#define ELEMENT(list, i) (json_is_array(list) ? NUMBER(i) : NULL)

void check_error(struct check *c, const char *const *at, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void check_warning(struct check *c, const char *const *at, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Of names that no item of `one` and `other` has: the nearest, else the first few of those that there are. */
#define CHECK_MISSING 512
const char *check_missing(char buf[CHECK_MISSING], const char *what, const char *name, const json_t *one,
			  const json_t *other);

/*
 * What the name leads to, if anywhere, and everything that is wrong with that said. What is disabled may only be used by what
 * is disabled; `what` is the user, "route". A NULL name is nothing.
 */
void check_port(struct check *c, const char *const *at, const char *name, bool disabled, const char *what,
		struct draft_port *port); /* an interface or tunnel */
struct draft_via check_via_name(struct check *c, const char *const *at, const char *name, bool disabled,
				const char *what); /* a gateway or group */
const struct draft_vip *check_vip_name(struct check *c, const char *const *at, const char *name, bool disabled,
				       const char *what, bool target);

const struct config_interface *check_find_interface(const struct check *c, const char *name);
const struct draft_tunnel *check_find_tunnel(const struct check *c, const char *name);
const struct draft_gateway *check_find_gateway(const struct check *c, const char *name);
const struct draft_group *check_find_group(const struct check *c, const char *name);
const struct draft_vip *check_find_vip(const struct check *c, const char *name);
const struct config_alias *check_find_alias(const struct check *c, const char *name);
