/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of apply.h share. */
#pragma once

#include "user/daemon/apply.h"

/* `result` says this, and no state. */
void apply_fail(struct apply_result *result, int status, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* What was on trial ends, and the one before is running again. -errno: it goes on; logged */
int apply_undo(struct apply *apply);
