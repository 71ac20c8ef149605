/* SPDX-License-Identifier: GPL-2.0-only */
/* Packets of connections that a peer may know (include/fairlead/sync.h): asking peers, and answering them. */
#pragma once

struct daemon;
struct ha_strays; /* opaque */

int ha_strays_open(struct daemon *d);	/* after ha_open(), before the first configuration. -errno, logged */
void ha_strays_close(struct daemon *d); /* after ha_close(); NULL is allowed */
