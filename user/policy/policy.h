/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Rules and translations, from struct config to what the maps of include/fairlead/rules.h hold. Pure: no map is read or written here;
 * user/datapath does that.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "fairlead/rules.h"
#include "user/config/config.h"

/* ---- ids: which rule is which in the maps, over reloads and restarts ---- */

struct policy_ids;

struct policy_ids *policy_ids_new(void); /* nobody has one; NULL: out of memory */
void policy_ids_free(struct policy_ids *ids);

/* What fl_rule_names says when the daemon starts. Rules of the same names have these ids then. */
int policy_ids_adopt(struct policy_ids *ids, uint16_t id, const struct fl_rule_name *name); /* 0 or -ENOMEM */

/* Whose the id is; NULL: nobody's. Names stay with their ids after the rule has gone, until another needs the id. */
const struct fl_rule_name *policy_ids_name(const struct policy_ids *ids, uint16_t id);
uint16_t policy_ids_find(const struct policy_ids *ids, enum fl_rule_kind kind, const char *name); /* 0: none */

/*
 * Calls each() for every id whose entry in fl_rule_names is not what it was at policy_ids_written(). `fresh`: it is another rule's than before:
 * its counters have to start at 0, too.
 */
typedef int policy_id_fn(void *arg, uint16_t id, const struct fl_rule_name *name, bool fresh);
int policy_ids_changes(const struct policy_ids *ids, policy_id_fn *each, void *arg); /* 0, or what each() returned */
void policy_ids_written(struct policy_ids *ids);				     /* all of these */

/* ---- what the machine is like ---- */

struct policy_port {
	const struct config_interface *interface; /* one of the two */
	const struct config_tunnel *tunnel;
	uint16_t number;	  /* 0: there is none, and no packet comes or leaves by it */
	struct prefix *addresses; /* with host bits */
	size_t n_addresses;
};

struct policy_via {
	struct config_via via;
	uint16_t number; /* as fl_rule has it */
	unsigned int up; /* the families that it can be used for now, enum fl_family bits */
};

struct policy_facts {
	struct policy_port *ports;
	size_t n_ports;
	struct addr *self; /* every address of the router, also those of devices that are not fairlead's */
	size_t n_self;
	struct policy_via *vias; /* every gateway and group that a rule names */
	size_t n_vias;
	time_t now;		/* for schedules, in local time */
	const uint32_t *states; /* fl_rule_states, by id: such ids are not given to others. NULL: no id has any */
};

/* ---- the result ---- */

struct policy_condition; /* compile_live.c */

struct policy {
	uint8_t *table; /* what the segments hold, one behind the other; fl_table.serial is the caller's to set */
	size_t table_bytes;
	/* by list and place; [list] has places[list] elements, 0 included, NULL: none */
	struct fl_rule *rules[FL_LISTS]; /* IN, OUT */
	struct fl_nat *nats[FL_LISTS];	 /* DNAT, SNAT */
	uint32_t places[FL_LISTS];
	uint16_t *rule_ids, *nat_ids; /* of config->rules and config->nat, in their order */
	struct policy_condition *conditions;
	size_t n_conditions;
};

/*
 * Compiles. The result refers to `config`. 0, or -errno with *why: -ENOMEM, -ENOSPC more than the maps hold.
 */
int policy_compile(const struct config *config, const struct policy_facts *facts, struct policy_ids *ids,
		   struct policy **out, char **why);
void policy_destroy(struct policy *policy);

/* Segments that fl_rule_tables needs for it. */
static inline size_t policy_table_segments(const struct policy *policy)
{
	return (policy->table_bytes + FL_SEGMENT_SIZE - 1) >> FL_SEGMENT_SHIFT;
}

/*
 * Where schedules or gateways are not as they were: brings the lines at `live` of policy->table up to date; false: nothing has changed. What
 * has may be written into the set in force word by word, and another serial after that.
 */
bool policy_live(struct policy *policy, const struct policy_facts *facts);

/* Of config->rules, in their order, whether each is in force now, for any family: its schedule, and with `skip` its gateway. */
void policy_lives(const struct policy *policy, const struct config *config, bool *live);
