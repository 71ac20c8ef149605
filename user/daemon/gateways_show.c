// SPDX-License-Identifier: GPL-2.0-only
/* The rows of `show gateways` and `show groups`, and what status has to say of them. */
#include "user/daemon/gateways_internal.h"
#include "user/daemon/presence.h"

#include <stdlib.h>

#define UNKNOWN_TOLD_NS (5 * 1000000000ull) /* until then nobody need be told that a new gateway is not known yet */

static const char *const forced_names[] = {
	[MONITOR_FORCED_DOWN] = "down",
	[MONITOR_FORCED_UP] = "up",
};

static json_t *gateway_row(struct daemon *d, const struct timekeeper_snapshot *s,
			   const struct timekeeper_gateway_view *view, const uint64_t *states)
{
	char address[2 * ADDR_STRLEN + 2], reason[MONITOR_REASON_MAX];
	const struct monitor_view *v = &view->view;
	json_t *targets = json_array();

	for (unsigned int i = 0; i < v->n_targets; i++) {
		const struct monitor_target_view *t = &view->targets[i];
		char text[ADDR_STRLEN];

		json_array_append_new(targets, json_pack("{s:s,s:s,s:o,s:o}", "address", addr_format(&t->address, text),
							 "status", monitor_status_text(t->status), "rtt_ms",
							 gateways_rtt_ms(t->has_rtt, t->rtt_us), "loss_pct",
							 gateways_thousandths(t->loss_pct)));
	}
	gateways_put_address(d->gateways, view->number, address);
	return json_pack("{s:s,s:s,s:s,s:s,s:o,s:o,s:o,s:I,s:s,s:s?,s:I,s:o,s:o}", "name", view->name, "interface",
			 view->where, "address", address, "status", monitor_status_text(v->status), "rtt_ms",
			 gateways_rtt_ms(v->has_rtt, v->rtt_us), "rtt_stddev_ms",
			 gateways_rtt_ms(v->has_rtt, v->stddev_us), "loss_pct",
			 v->n_targets ? gateways_thousandths(v->loss_pct) : json_null(), "since_ms",
			 (json_int_t)((s->now_ns - v->since_ns) / 1000000), "reason",
			 monitor_reason_text(v, view->where, s->now_ns, reason), "forced", forced_names[v->forced],
			 "states", (json_int_t)states[view->number % FL_GATEWAYS_MAX], "targets", targets, "learned",
			 gateways_learned_json(d->gateways, view->number));
}

json_t *gateways_show(struct daemon *d)
{
	struct timekeeper_snapshot *s = timekeeper_show(d->gateways->timekeeper);
	uint64_t *states = calloc(FL_GATEWAYS_MAX, sizeof(*states));
	json_t *array = s && states ? json_array() : NULL;

	if (array)
		datapath_gateway_states(d->datapath, states);
	for (size_t i = 0; array && d->gateways->config && i < s->n_gateways; i++)
		json_array_append_new(array, gateway_row(d, s, &s->gateways[i], states));
	free(states);
	timekeeper_snapshot_free(s);
	return array;
}

static const char *const trigger_names[] = {
	[CONFIG_TRIGGER_DOWN] = "down",
	[CONFIG_TRIGGER_LOSS] = "loss",
	[CONFIG_TRIGGER_LATENCY] = "latency",
	[CONFIG_TRIGGER_LOSS_OR_LATENCY] = "loss-or-latency",
};

static const char *const failback_names[] = {
	[CONFIG_FAILBACK_KEEP] = "keep",
	[CONFIG_FAILBACK_DRAIN] = "drain",
	[CONFIG_FAILBACK_MOVE] = "move",
};

static const char *const use_names[] = {
	[MEMBER_UNUSABLE] = "unusable",
	[MEMBER_WAITS] = "waits",
	[MEMBER_CARRIES] = "carries",
};

/* One row says it of both families. */
static bool is_same(const struct timekeeper_group_view *group)
{
	bool same = group->of[0].tier == group->of[1].tier;

	for (size_t i = 0; i < group->n_members; i++) {
		const struct group_member *a = &group->of[0].members[i], *b = &group->of[1].members[i];

		same &= a->takes == b->takes && gateways_use_of(a) == gateways_use_of(b) && a->n_slots == b->n_slots;
	}
	return same;
}

static bool takes_any(const struct group_member *members, size_t n)
{
	bool any = false;

	for (size_t i = 0; i < n; i++)
		any |= members[i].takes;
	return any;
}

/* Without members that do not take the family, unless no member does. */
static json_t *group_row(struct daemon *d, const struct timekeeper_snapshot *s,
			 const struct timekeeper_group_view *group, unsigned int families)
{
	const struct timekeeper_choice_view *choice = &group->of[families == FL_INET6];
	bool all = !takes_any(choice->members, group->n_members);
	json_t *members = json_array(), *active = json_array();

	for (size_t i = 0; i < group->n_members; i++) {
		const struct group_member *m = &choice->members[i];
		const struct config_gateway *gateway = gateways_config_of(d->gateways, s, m->gateway);

		if (!gateway || !(m->takes || all))
			continue;
		if (m->active)
			gateways_add_name(active, gateway);
		json_array_append_new(members, json_pack("{s:s,s:i,s:i,s:s,s:i}", "gateway", gateway->name, "tier",
							 (int)m->tier, "weight", (int)m->weight, "use",
							 use_names[gateways_use_of(m)], "slots", (int)m->n_slots));
	}
	return json_pack("{s:s,s:s,s:s,s:s,s:o,s:i,s:I,s:o}", "name", group->name, "family",
			 gateways_family_words[families], "trigger", trigger_names[group->trigger], "failback",
			 failback_names[group->failback], "active", active, "tier", (int)choice->tier, "since_ms",
			 (json_int_t)((s->now_ns - choice->since_ns) / 1000000), "members", members);
}

static void add_group_rows(struct daemon *d, const struct timekeeper_snapshot *s,
			   const struct timekeeper_group_view *group, json_t *array)
{
	unsigned int families = gateways_families_used(d->gateways, group->name);

	if (families == FL_BOTH && !is_same(group)) {
		json_array_append_new(array, group_row(d, s, group, FL_INET));
		families = FL_INET6;
	}
	json_array_append_new(array, group_row(d, s, group, families));
}

json_t *gateways_show_groups(struct daemon *d)
{
	struct timekeeper_snapshot *s = timekeeper_show(d->gateways->timekeeper);
	json_t *array = s ? json_array() : NULL;

	for (size_t i = 0; array && d->gateways->config && i < s->n_groups; i++)
		add_group_rows(d, s, &s->groups[i], array);
	timekeeper_snapshot_free(s);
	return array;
}

static void group_reason(const struct gateways *g, const struct timekeeper_group_view *group, json_t *reasons)
{
	unsigned int lacks = gateways_families_used(g, group->name);

	lacks &= ~((group->of[0].tier ? FL_INET : 0u) | (group->of[1].tier ? FL_INET6 : 0u));
	if (lacks)
		json_array_append_new(reasons, json_sprintf("group %s: no member can be used%s", group->name,
							    gateways_for_family(g, group->name, lacks)));
}

static void gateway_reason(const struct timekeeper_gateway_view *g, uint64_t now_ns, json_t *reasons)
{
	char reason[MONITOR_REASON_MAX];
	bool soon = g->view.status == MONITOR_UNKNOWN && now_ns - g->view.since_ns < UNKNOWN_TOLD_NS;

	if (g->view.status != MONITOR_UP && !soon)
		json_array_append_new(reasons,
				      json_sprintf("gateway %s is %s: %s", g->name, monitor_status_text(g->view.status),
						   monitor_reason_text(&g->view, g->where, now_ns, reason)));
}

void gateways_reasons(struct daemon *d, const struct presence *p, json_t *reasons)
{
	struct timekeeper_snapshot *s = timekeeper_show(d->gateways->timekeeper);

	for (size_t i = 0; s && i < s->n_gateways; i++)
		if (presence_expects_via(p, s->gateways[i].name))
			gateway_reason(&s->gateways[i], s->now_ns, reasons);
	for (size_t i = 0; s && d->gateways->config && i < s->n_groups; i++)
		if (presence_expects_via(p, s->groups[i].name))
			group_reason(d->gateways, &s->groups[i], reasons);
	timekeeper_snapshot_free(s);
}
