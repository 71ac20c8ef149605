/* SPDX-License-Identifier: GPL-2.0-only */
/* The checks that rules and translations share: what a packet is matched by. */
#pragma once

#include "user/config/check.h"

/* One of them. */
struct check_item {
	struct check *c;
	const char *section; /* "rules" */
	char number[24];     /* its index there */
	const json_t *json;
	const char *what; /* "rule" */
	bool disabled;
	struct draft_match *match;
	const char *narrowed_by; /* the key that left one family; "": none has */
};

void check_item_init(struct check_item *it, struct check *c, const char *section, size_t index, const char *what);

#define ITEM_AT(it, ...) AT((it)->section, (it)->number, __VA_ARGS__)

/* Looks the names up, in disabled ones too. Before the others. */
void check_match_names(struct check_item *it);

/* Ports and protocols, and that the families of all keys have one in common. Not of disabled ones. */
void check_match(struct check_item *it);

/* Takes families away from those that can match; says so where none is left. `at` is the key's place, `key` its name. */
void check_narrow(struct check_item *it, unsigned int families, const char *const *at, const char *key);

unsigned int check_gateway_families(const struct draft_gateway *g);
unsigned int check_vip_families(const struct draft_vip *v);

/* check_gateways.c: those of all members together, which carry what is of their own family. */
unsigned int check_group_families(const struct draft_group *group);

bool check_has_protocol(const struct draft_match *m, unsigned int protocol);
