/* SPDX-License-Identifier: GPL-2.0-only */
/* What a rule that rejects has to say to the sender. */
#pragma once

#include "fairlead/rules.h"
#include "lib/icmp.h"

/* What `auto` means, and a reset of what has none. */
static __always_inline enum fl_reject reject_choose(__u8 proto, enum fl_reject how)
{
	if (how == FL_REJECT_ADMIN || how == FL_REJECT_PORT)
		return how;
	if (proto == IPPROTO_TCP)
		return FL_REJECT_RESET;
	return proto == IPPROTO_UDP ? FL_REJECT_PORT : FL_REJECT_ADMIN;
}

/* Says on pkt that the packet is dropped and how it is answered. What must not be answered fl_icmp knows (lib/answer.h). */
static __always_inline int reject(struct pkt *pkt, enum fl_reject how)
{
	bool is6 = pkt->family == FL_INET6;

	pkt->reason = FL_DROP_REJECTED;
	pkt->icmp_type = is6 ? 1 : 3;
	pkt->icmp_code = is6 ? 1 : 13;
	pkt->icmp_value = 0;
	how = reject_choose(pkt->proto, how);
	if (how == FL_REJECT_PORT) {
		pkt->icmp_code = is6 ? 4 : 3;
	} else if (how == FL_REJECT_RESET) {
		pkt->icmp_type = FL_ICMP_RESET;
		pkt->icmp_code = 0;
	}
	return STAGE_ERROR;
}
