/* SPDX-License-Identifier: GPL-2.0-only */
/* What a test run tells reject.bpf.c, in skb->cb. */
#pragma once

enum reject_word {
	REJECT_HOW,   /* enum fl_reject */
	REJECT_PORT,  /* number of the port that the packet came in by */
	REJECT_OUTER, /* bytes of an outer header before it */
};
