// SPDX-License-Identifier: GPL-2.0-only
/* Which logged packets somebody wants. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/observe/observe.h"

static const char *const verdicts[] = { "pass", "block", "reject", "drop" };

static bool take_verdict(struct observe_filter *filter, const char *text, struct control_answer *answer)
{
	filter->verdict = -1;
	if (!text)
		return true;
	for (size_t i = 0; i < sizeof(verdicts) / sizeof(verdicts[0]); i++) {
		if (!strcmp(text, verdicts[i])) {
			filter->verdict = i;
			return true;
		}
	}
	control_fail(answer, 2, "verdict \"%s\": accepted: pass, block, reject, drop", text);
	return false;
}

static int host_parse(const char *text, struct prefix *out)
{
	struct prefix p;

	if (!addr_parse(text, &p.addr)) {
		p.len = p.addr.family == AF_INET ? 32 : 128;
		*out = p;
		return 0;
	}
	if (prefix_parse(text, &p) || !prefix_is_network(&p))
		return -EINVAL;
	*out = p;
	return 0;
}

static bool take_host(struct observe_filter *filter, const json_t *value, struct control_answer *answer)
{
	const char *text = json_string_value(value);

	if (!text || filter->n_hosts == 2 || host_parse(text, &filter->hosts[filter->n_hosts])) {
		control_fail(answer, 2, "host%s%s%s: an address or a prefix, or two of them", text ? " \"" : "",
			     text ? text : "", text ? "\"" : "");
		return false;
	}
	filter->n_hosts++;
	return true;
}

static bool take_hosts(struct observe_filter *filter, const json_t *value, struct control_answer *answer)
{
	json_t *one;
	size_t i;

	if (!value)
		return true;
	if (!json_is_array(value))
		return take_host(filter, value, answer);
	json_array_foreach((json_t *)value, i, one) {
		if (!take_host(filter, one, answer))
			return false;
	}
	return true;
}

static bool take_text(char **out, const char *text, struct control_answer *answer)
{
	*out = text ? strdup(text) : NULL;
	if (text && !*out)
		control_fail(answer, 1, "out of memory");
	return !text || *out;
}

bool observe_filter_take(struct observe_filter *filter, const json_t *request, struct control_answer *answer)
{
	*filter = (struct observe_filter){ .verdict = -1 };
	if (take_verdict(filter, json_string_value(json_object_get(request, "verdict")), answer) &&
	    take_hosts(filter, json_object_get(request, "host"), answer) &&
	    take_text(&filter->interface, json_string_value(json_object_get(request, "interface")), answer) &&
	    take_text(&filter->rule, json_string_value(json_object_get(request, "rule")), answer))
		return true;
	observe_filter_free(filter);
	return false;
}

void observe_filter_free(struct observe_filter *filter)
{
	free(filter->interface);
	free(filter->rule);
	*filter = (struct observe_filter){ .verdict = -1 };
}

/* ---- matching ---- */

static bool is_rule(const struct observed *o, const char *wanted)
{
	char number[16];

	if (!o->event.rule)
		return o->event.verdict != FL_EVENT_DROP && !strcmp(wanted, OBSERVE_DEFAULT);
	if (o->rule)
		snprintf(number, sizeof(number), "%d", o->rule_index);
	else
		snprintf(number, sizeof(number), "#%u", o->event.rule); /* as it is told */
	return (o->rule && !strcmp(o->rule, wanted)) || !strcmp(number, wanted);
}

/* The addresses as they were received, where the event has them; else as the rules saw them. */
static void received(const struct fl_event *e, struct addr *src, struct addr *dst)
{
	*src = addr_from_map(&e->src);
	*dst = addr_from_map(&e->dst);
	if (e->family == FL_INET && e->captured >= 20) {
		memcpy(&src->v4, e->data + 12, sizeof(src->v4));
		memcpy(&dst->v4, e->data + 16, sizeof(dst->v4));
	} else if (e->family == FL_INET6 && e->captured >= 40) {
		memcpy(&src->v6, e->data + 8, sizeof(src->v6));
		memcpy(&dst->v6, e->data + 24, sizeof(dst->v6));
	}
}

static bool between(const struct observe_filter *filter, const struct addr *a, const struct addr *b)
{
	if (filter->n_hosts == 1)
		return prefix_contains(&filter->hosts[0], a) || prefix_contains(&filter->hosts[0], b);
	return (prefix_contains(&filter->hosts[0], a) && prefix_contains(&filter->hosts[1], b)) ||
	       (prefix_contains(&filter->hosts[0], b) && prefix_contains(&filter->hosts[1], a));
}

static bool has_hosts(const struct observe_filter *filter, const struct fl_event *e)
{
	struct addr src = addr_from_map(&e->src), dst = addr_from_map(&e->dst);

	if (between(filter, &src, &dst))
		return true;
	received(e, &src, &dst);
	return between(filter, &src, &dst);
}

bool observe_filter_matches(const struct observe_filter *filter, const struct observed *o)
{
	if (o->lost)
		return true;
	if (filter->verdict >= 0 && filter->verdict != o->event.verdict)
		return false;
	if (filter->interface && (!o->interface || strcmp(filter->interface, o->interface)))
		return false;
	if (filter->rule && !is_rule(o, filter->rule))
		return false;
	return !filter->n_hosts || has_hosts(filter, &o->event);
}
