/* SPDX-License-Identifier: GPL-2.0-only */
/* What somebody else needs to help: findings, what the daemon shows, events, and what other tools say of the machine, as a tar. */
#pragma once

#include "user/doctor/doctor.h"

/* After doctor_run(). 0 or -errno; path is root's alone, and replaced if it is there. */
int bundle_write(struct doctor *d, const char *path);
