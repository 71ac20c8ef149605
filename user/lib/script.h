/* SPDX-License-Identifier: GPL-2.0-only */
/* Programs that the configuration has run. */
#pragma once

/* Why this one would not be run as it is now, and what to do; a literal. NULL: nothing speaks against it. */
const char *script_trouble(const char *path);
