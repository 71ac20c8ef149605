/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What `fairlead drill` orders of a node: of its own by the control socket, of the other by the channel. At most one drill at a time has
 * both, by an ID that it chooses and a time after which nobody hinders others any more. Faults are done, and undone, by a process of
 * their own (user/fault/), for this one may be what is killed.
 *
 *	{ "command": "drill", "order": …, "id": ID }
 *
 *	look	 what is the matter here: no ID
 *	reserve	 for "seconds"; refused while another one has it
 *	fault	 "fault", "targets": [], "seconds": begin
 *	end	 the fault, before its time
 *	mute	 "seconds" without adverts and beats, neither sent nor heard; 0: no more
 *	checks	 those of the user's own, "after_ms", in a process of its own; { "checks" }: how many. What they have found `look` tells
 *	leaks	 of "gateway": what goes by it, and what, in the last "since_ms", has gone in clear text and may belong there; no ID
 *	events	 "since_ms": what happened here that says who had which addresses; no ID
 *	peer	 "request": is asked of the first peer that is connected; its answer comes later; no ID
 *	release	 "scenario", "result": they become an event; "kept": what the other node has found, to be kept here as well
 */
#pragma once

#include <jansson.h>

#include "user/control/control.h"

struct daemon;

/*
 * At the daemon's start: what a drill's own process has not undone (it was killed, or the machine has lost its power in the midst) is undone
 * now. While one is under way that is looked for each second.
 */
void drill_resume(struct daemon *d);
void drill_tick(struct daemon *d);

/* It is one for the other node. */
bool drill_is_relayed(const json_t *request);

/*
 * drill_leaks.c: { "through": packets by the gateway of what came in where its rules hold, "flows": [ { "interface", "egress", "rule", "protocol",
 * "source", "source_port", "destination", "destination_port", "packets" } ], "more": how many flows are not told }. NULL: no such
 * gateway, or too many states to look at them without having others wait
 */
json_t *drill_leaks(struct daemon *d, const char *gateway, long long since_ms);

void command_drill(void *arg, const json_t *request, struct control_answer *answer);
