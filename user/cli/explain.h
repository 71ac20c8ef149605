/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once

#include "user/cli/cli.h"

/* explain_text.c. packet: what was asked about, in words */
void explain_print(const json_t *answer, const char *packet);
