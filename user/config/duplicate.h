/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once

#include "user/config/config.h"

/* Adds an error for every key that an object has more than once. `text` must be well-formed JSON. 0 or -ENOMEM. */
int duplicate_report(const char *text, size_t len, struct config_report *report);
