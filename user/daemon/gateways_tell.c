// SPDX-License-Identifier: GPL-2.0-only
/* What people are told of gateways and groups: events, and scripts that are run. */
#include "user/daemon/gateways_internal.h"

#include <stdio.h>
#include <string.h>

/* Of what is not negative; nobody measures finer than that. */
json_t *gateways_thousandths(double value)
{
	return json_real((uint64_t)(value * 1000 + 0.5) / 1000.0);
}

json_t *gateways_rtt_ms(bool known, uint32_t us)
{
	return known ? gateways_thousandths(us / 1000.0) : json_null();
}

static void put_groups(const struct gateways *g, const char *gateway, char *to, size_t len)
{
	size_t n = 0;

	*to = '\0';
	for (size_t i = 0; i < g->config->n_groups && n < len; i++)
		for (size_t j = 0; j < g->config->groups[i].n_members && n < len; j++)
			if (!strcmp(g->config->groups[i].members[j].gateway->name, gateway))
				n += snprintf(to + n, len - n, "%s%s", n ? " " : "", g->config->groups[i].name);
}

static void gateway_happened(struct daemon *d, const struct timekeeper_event *e)
{
	const char *status = monitor_status_text(e->view.status), *before = monitor_status_text(e->before);
	char reason[MONITOR_REASON_MAX], what[32], address[2 * ADDR_STRLEN + 2], groups[1024], loss[32], rtt[32] = "";
	const struct hook_variable variables[] = {
		{ "NAME", e->name },  { "STATUS", status },	 { "OLD_STATUS", before },
		{ "REASON", reason }, { "INTERFACE", e->where }, { "ADDRESS", address },
		{ "GROUPS", groups }, { "LOSS_PCT", loss },	 { "RTT_MS", rtt },
	};

	monitor_reason_text(&e->view, e->where, e->at_ns, reason);
	snprintf(what, sizeof(what), "%s -> %s", before, status);
	gateways_put_address(d->gateways, datapath_gateway_number(d->datapath, e->name), address);
	put_groups(d->gateways, e->name, groups, sizeof(groups));
	snprintf(loss, sizeof(loss), "%.0f", e->view.loss_pct);
	if (e->view.has_rtt)
		snprintf(rtt, sizeof(rtt), "%.1f", e->view.rtt_us / 1000.0);
	journal_write(d->journal, e->view.status == MONITOR_UP ? JOURNAL_NOTICE : JOURNAL_WARNING, JOURNAL_GATEWAY,
		      e->name, what,
		      json_pack("{s:s,s:o,s:o}", "interface", e->where, "rtt_ms",
				gateways_rtt_ms(e->view.has_rtt, e->view.rtt_us), "loss_pct",
				gateways_thousandths(e->view.loss_pct)),
		      "%s", reason);
	hooks_run(d->gateway_hooks, variables, sizeof(variables) / sizeof(variables[0]));
}

const char *const gateways_family_words[] = { [FL_INET] = "inet", [FL_INET6] = "inet6", [FL_BOTH] = "both" };

static const char *const family_texts[] = { [FL_INET] = "IPv4", [FL_INET6] = "IPv6" };

/* " for IPv6", of a group that is used for both families. */
const char *gateways_for_family(const struct gateways *g, const char *group, unsigned int families)
{
	static const char *const texts[] = { [FL_INET] = " for IPv4", [FL_INET6] = " for IPv6", [FL_BOTH] = "" };

	return gateways_families_used(g, group) == FL_BOTH ? texts[families] : "";
}

void gateways_add_name(json_t *names, const struct config_gateway *gateway)
{
	if (gateway)
		json_array_append_new(names, json_string(gateway->name));
}

static json_t *names_of(const struct gateways *g, const struct timekeeper_snapshot *s, const uint16_t *numbers,
			size_t n)
{
	json_t *names = json_array();

	for (size_t i = 0; i < n && s; i++)
		gateways_add_name(names, gateways_config_of(g, s, numbers[i]));
	return names;
}

static const char *put_names(const json_t *names, char *to, size_t len)
{
	json_t *name;
	size_t n = 0, i;

	*to = '\0';
	json_array_foreach(names, i, name) {
		if (n < len)
			n += snprintf(to + n, len - n, "%s%s", i ? ", " : "", json_string_value(name));
	}
	return to;
}

static void group_happened(struct daemon *d, const struct timekeeper_event *e)
{
	struct timekeeper_snapshot *s = timekeeper_show(d->gateways->timekeeper);
	json_t *active = names_of(d->gateways, s, e->active, e->n_active);
	const char *family = gateways_for_family(d->gateways, e->name, e->families);
	char text[512];

	if (e->tier)
		journal_write(d->journal, JOURNAL_NOTICE, JOURNAL_GROUP, e->name, "carried by",
			      json_pack("{s:s,s:O,s:i}", "family", gateways_family_words[e->families], "active", active,
					"tier", (int)e->tier),
			      "%s (tier %u)%s", put_names(active, text, sizeof(text)), e->tier, family);
	else
		journal_write(d->journal, JOURNAL_WARNING, JOURNAL_GROUP, e->name, "nobody left",
			      json_pack("{s:s}", "family", gateways_family_words[e->families]),
			      "no member can be used%s: rules that use it block, its routes are unreachable", family);
	json_decref(active);
	timekeeper_snapshot_free(s);
}

static json_t *carriers(const struct gateways *g, const struct timekeeper_snapshot *s, const char *group,
			enum fl_family family)
{
	json_t *names = json_array();

	for (size_t i = 0; s && i < s->n_groups; i++) {
		const struct timekeeper_choice_view *choice = &s->groups[i].of[family == FL_INET6];

		for (size_t j = 0; j < s->groups[i].n_members && !strcmp(s->groups[i].name, group); j++)
			if (choice->members[j].active)
				gateways_add_name(names, gateways_config_of(g, s, choice->members[j].gateway));
	}
	return names;
}

void gateways_tell_move(void *arg, const struct datapath_move *move)
{
	struct daemon *d = arg;
	struct timekeeper_snapshot *s = timekeeper_show(d->gateways->timekeeper);
	const char *group = d->gateways->config->groups[move->group].name;
	const struct config_gateway *from = s ? gateways_config_of(d->gateways, s, move->number) : NULL;
	json_t *to = carriers(d->gateways, s, group, move->family);
	const char *name = from ? from->name : "";
	char text[512];

	journal_write(d->journal, JOURNAL_NOTICE, JOURNAL_STATES, group, "moved",
		      json_pack("{s:I,s:s,s:s,s:O}", "states", (json_int_t)move->ended, "family",
				gateways_family_words[move->family], "from", name, "to", to),
		      "%llu %s connections by %s ended, to begin anew by %s", (unsigned long long)move->ended,
		      family_texts[move->family], name, put_names(to, text, sizeof(text)));
	json_decref(to);
	timekeeper_snapshot_free(s);
}

void gateways_tell_event(void *arg, const struct timekeeper_event *e)
{
	struct daemon *d = arg;

	if (e->is_group && e->families & gateways_families_used(d->gateways, e->name))
		group_happened(arg, e);
	else if (!e->is_group)
		gateway_happened(arg, e);
}
