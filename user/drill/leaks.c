// SPDX-License-Identifier: GPL-2.0-only
/*
 * What should have gone by the VPN alone while that was down, and did not. The node that it has happened to lists connections that left in clear
 * text; whether the rules send them by the VPN is asked of its programs when that is up again, by a packet of a new connection for each.
 * So a rule that lets some leave another way, an alias, a schedule count as they do for real packets.
 */
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "user/drill/private.h"
#include "user/lib/clock.h"

#define THROUGH_MS 5000 /* that anything may take to be sent by the VPN */
#define THROUGH_POLL_MS 250
#define SPORT_TRIES 3
#define SPORT_FIRST 61001 /* of packets that are asked about: beyond those that Linux chooses by itself */
#define SYN 2

static const char *gateway_of(const struct run *r)
{
	return json_string_value(json_array_get(r->targets, 0));
}

static bool looks(const struct run *r)
{
	return r->scenario->expects & DRILL_TARGETS_GONE;
}

/* The caller's; NULL: it can't be told */
static json_t *ask_flows(struct run *r, long long since_ms)
{
	return run_ask(r, r->victim,
		       json_pack("{s:s,s:s,s:s,s:I}", "command", "drill", "order", "leaks", "gateway", gateway_of(r),
				 "since_ms", (json_int_t)since_ms),
		       NULL);
}

/* ---- before: does anything go by it? ---- */

/* Packets so far; -1: they can't be counted. */
static json_int_t count_through(struct run *r)
{
	json_t *answer = ask_flows(r, 0);
	json_int_t n = answer ? run_number(answer, "through") : -1;

	json_decref(answer);
	return n;
}

bool run_goes_through(struct run *r)
{
	long long until = clock_ms(CLOCK_MONOTONIC) + THROUGH_MS;
	json_int_t first = looks(r) ? count_through(r) : 0, now = first;

	if (!looks(r))
		return true;
	while (now >= 0 && now <= first && clock_ms(CLOCK_MONOTONIC) < until && !run_called_off()) {
		run_pause(THROUGH_POLL_MS);
		now = count_through(r);
	}
	if (now > first)
		return true;
	if (now < 0)
		run_say(r->reasons, "%s can't tell what goes by %s: it has too many states for that",
			r->names[r->victim], gateway_of(r));
	else
		run_say(r->reasons,
			"nothing goes by %s, so that nothing could leak: a host that the rules send there must talk meanwhile; "
			"drill.from, if it is one, does so to drill.targets",
			gateway_of(r));
	return false;
}

/* ---- meanwhile ---- */

void run_take_flows(struct run *r)
{
	json_t *answer;

	if (!looks(r))
		return;
	answer = ask_flows(r, clock_ms(CLOCK_REALTIME) - r->window.from_ms);
	if (!answer)
		run_say(r->reasons,
			"what has left in clear text could not be counted: %s does not tell, or has too many states",
			r->names[r->victim]);
	else if (run_number(answer, "more"))
		run_say(r->reasons, "what has left in clear text could not be counted: there are too many connections");
	else
		r->flows = json_incref(json_object_get(answer, "flows"));
	json_decref(answer);
}

/* ---- afterwards: do the rules send it there? ---- */

/* As `show states` names it. -1: nobody knows it */
static int protocol_of(const char *name)
{
	const struct protoent *known = getprotobyname(name);
	char *end;
	long number = strtol(name, &end, 10);

	if (known)
		return known->p_proto;
	return *name && !*end ? (int)number : -1;
}

static json_t *question(const json_t *flow, int protocol, int sport)
{
	json_t *q = json_pack("{s:s,s:s,s:s,s:s,s:i}", "command", "explain", "in", run_text(flow, "interface"), "src",
			      run_text(flow, "source"), "dst", run_text(flow, "destination"), "proto", protocol);

	if (protocol == IPPROTO_TCP || protocol == IPPROTO_UDP) {
		json_object_set_new(q, "sport", json_integer(sport));
		json_object_set(q, "dport", json_object_get(flow, "destination_port"));
	}
	if (protocol == IPPROTO_TCP)
		json_object_set_new(q, "tcp_flags", json_integer(SYN));
	if (protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6)
		json_object_set_new(q, "icmp_type",
				    json_integer(protocol == IPPROTO_ICMP ? 8 : 128)); /* echo request */
	return q;
}

/* A state that is there already says nothing of the rules. */
static bool is_judged(const json_t *answer)
{
	const char *state = run_text(answer, "state");

	return !*state || !strcmp(state, "new") || !strcmp(state, "none");
}

/* 1: it belongs there; 0: it does not; -1: that can't be told */
static int belongs(struct run *r, const json_t *flow)
{
	int protocol = protocol_of(run_text(flow, "protocol")), is = -1;

	for (int i = 0; protocol >= 0 && i < SPORT_TRIES && is < 0; i++) {
		json_t *answer = run_ask(r, r->victim, question(flow, protocol, SPORT_FIRST + i), NULL);

		if (answer && is_judged(answer))
			is = !strcmp(run_text(answer, "route_to"), gateway_of(r));
		json_decref(answer);
	}
	return is;
}

static void say_first(struct run *r, const json_t *flow)
{
	run_say(r->hints,
		"in clear text: %s %s > %s port %lld, in by %s, out by %s, let pass by %s; look at the rules behind those with route_to",
		run_text(flow, "protocol"), run_text(flow, "source"), run_text(flow, "destination"),
		run_number(flow, "destination_port"), run_text(flow, "interface"), run_text(flow, "egress"),
		*run_text(flow, "rule") ? run_text(flow, "rule") : "default_action");
}

void run_judge_flows(struct run *r)
{
	unsigned int unknown = 0;
	json_int_t packets = 0;
	json_t *flow;
	size_t i;

	if (!r->flows)
		return;
	json_array_foreach(r->flows, i, flow) {
		int is = r->restored ? belongs(r, flow) : -1;

		if (is > 0 && !packets)
			say_first(r, flow);
		packets += is > 0 ? run_number(flow, "packets") : 0;
		unknown += is < 0;
	}
	if (unknown)
		run_say(r->reasons,
			"whether %u connections that have left in clear text belong in %s could not be told", unknown,
			gateway_of(r));
	if (packets || !unknown)
		r->leaks = packets;
}
