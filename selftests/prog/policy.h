/* SPDX-License-Identifier: GPL-2.0-only */
/* Rules, translations and states in the maps, as the daemon would put them there. */
#pragma once

#include "selftests/prog/env.h"
#include "selftests/rules/sets.h"
#include "user/policy/policy.h"
#include "user/policy/states.h"

#define POLICY_BUCKETS 64 /* of the state table */
/* Numbers of gateways */
#define POLICY_WAN4 1
#define POLICY_WAN6 2
#define POLICY_HE 3
#define POLICY_LINK 5

#define POLICY_IDS 512 /* of rules and translations, at most */

struct policy_world {
	struct states states;
	struct policy_ids *ids;
	struct config *config; /* in force; NULL: nothing is judged */
	struct policy *policy;
	struct rule_sets sets;
};

/* Sizes of the maps, before the objects are loaded; and then what is mapped of them. 0 or -errno. */
struct bpf_object;
void policy_sizes(struct bpf_object *object, int cpus);
int policy_open(struct env *env);
void policy_close(struct env *env);

/*
 * From now on packets are judged by this: default_action, rules, nat, aliases, as members of the configuration's object. Interfaces have the
 * names of ports; there is the tunnel he0, and the gateways wan4, wan6, he and down. 0, or -errno after a message.
 */
int policy_on(struct env *env, const char *members);
/* The same, of what is compiled already, which stays the caller's. */
int policy_put(struct env *env, const struct policy *policy);
void policy_off(struct env *env);
void policy_facts(struct env *env, const struct config *config, struct policy_facts *facts);
void policy_facts_free(struct policy_facts *facts);

/* Nobody knows of a connection, and nothing has been counted for a rule. */
void policy_forget(struct env *env);

int policy_states(const struct env *env); /* how many */
const struct fl_state *policy_state(const struct env *env, int number);
/* Packets that the rule, or POLICY_DEFAULT_*, has counted: its states' and others. */
#define POLICY_DEFAULT_IN "default in"
#define POLICY_DEFAULT_OUT "default out"
__u64 policy_counted(const struct env *env, const char *rule);
/* A number that is another one where packets have been counted otherwise, or states have other rules. */
__u64 policy_counted_all(const struct env *env);

/* States, and what rules have counted, as they are now. */
size_t policy_memory_size(void);
void policy_save(const struct env *env, void *to);
void policy_restore(const struct env *env, const void *from);
bool policy_is_as(const struct env *env, const void *saved);
void policy_forget_fragments(struct env *env);

const char *policy_name(const struct env *env, __u16 id);
