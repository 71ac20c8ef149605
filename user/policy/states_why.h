/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once

/* Why one is ended that would go on. */
enum states_why {
	STATES_NO_WAY, /* its gateway, or its address outside, is gone */
	STATES_BY_HAND,
	STATES_BY_HAND_RESET, /* and a peer was asked to reset it */
};
