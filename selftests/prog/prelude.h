/* SPDX-License-Identifier: GPL-2.0-only */
/* What a test run tells prelude.bpf.c, in skb->cb. */
#pragma once

enum prelude_word {
	PRELUDE_PROG,	  /* which program: enum tc_prog */
	PRELUDE_TC_INDEX, /* skb->tc_index before it runs */
	PRELUDE_VLAN,	  /* PRELUDE_VLAN_SET and the TCI of a tag */
	PRELUDE_RAN,	  /* 0 before the first run */
};

#define PRELUDE_VLAN_SET 0x10000
#define PRELUDE_FAILED 99 /* verdict: the program was not there */
#define PRELUDE_PROGS 4
