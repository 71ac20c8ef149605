/* SPDX-License-Identifier: GPL-2.0-only */
/* Ids, as the compiler asks for them. */
#pragma once

#include "user/policy/policy.h"

void ids_begin(struct policy_ids *ids, const uint32_t *states); /* states: by id, NULL: none has any */
/* The id, -ENOSPC or -ENOMEM. In the file's order, each item once. */
int ids_of_rule(struct policy_ids *ids, const struct config_rule *rule);
int ids_of_nat(struct policy_ids *ids, const struct config_nat *nat);
void ids_end(struct policy_ids *ids);
