// SPDX-License-Identifier: GPL-2.0-only
/* What the timekeeper tells the main thread. */
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "user/gateway/timekeeper_internal.h"

#define BATCH 8

int timekeeper_fd(const struct timekeeper *tk)
{
	return tk->notify;
}

static unsigned int fetch(struct timekeeper *tk, struct timekeeper_event *events, unsigned int *lost)
{
	unsigned int n = 0;

	pthread_mutex_lock(&tk->mutex);
	for (; n < BATCH && tk->n_events; n++, tk->n_events--) {
		events[n] = tk->events[tk->first_event];
		tk->first_event = (tk->first_event + 1) % EVENTS_MAX;
	}
	if (!tk->n_events) {
		*lost += tk->lost_events;
		tk->lost_events = 0;
	}
	pthread_mutex_unlock(&tk->mutex);
	return n;
}

unsigned int timekeeper_events(struct timekeeper *tk, void (*each)(void *arg, const struct timekeeper_event *event),
			       void *arg)
{
	struct timekeeper_event events[BATCH];
	unsigned int lost = 0, n, i;
	eventfd_t unused;

	eventfd_read(tk->notify, &unused);
	while ((n = fetch(tk, events, &lost)))
		for (i = 0; i < n; i++)
			each(arg, &events[i]);
	return lost;
}

static void show_gateway(const struct keeper_gateway *g, uint64_t now_ns, struct timekeeper_gateway_view *view)
{
	unsigned int i;

	memcpy(view->name, g->name, sizeof(view->name));
	memcpy(view->where, g->where, sizeof(view->where));
	view->number = g->number;
	monitor_view(g->monitor, now_ns, &view->view);
	for (i = 0; i < g->n_targets; i++)
		monitor_view_target(g->monitor, i, now_ns, &view->targets[i]);
}

static void show_group(const struct keeper_group *g, struct timekeeper_group_view *view)
{
	unsigned int six;

	memcpy(view->name, g->name, sizeof(view->name));
	view->index = g->index;
	view->trigger = g->of[0].group.trigger;
	view->failback = g->of[0].group.failback;
	view->n_members = g->n_members;
	for (six = 0; six < 2; six++) {
		struct timekeeper_choice_view *choice = &view->of[six];

		choice->tier = g->of[six].group.tier;
		choice->since_ns = g->of[six].since_ns;
		memcpy(choice->members, g->of[six].group.members, g->n_members * sizeof(*choice->members));
	}
}

/* The plan is the main thread's to change, so how much there is does not change in here */
static struct timekeeper_snapshot *allocate(const struct keeper_plan *plan)
{
	struct timekeeper_snapshot *s = calloc(1, sizeof(*s));
	size_t i;

	if (!s || !plan)
		return s;
	s->gateways = calloc(plan->n_gateways + 1, sizeof(*s->gateways));
	s->groups = calloc(plan->n_groups + 1, sizeof(*s->groups));
	if (!s->gateways || !s->groups)
		goto err;
	s->n_gateways = plan->n_gateways;
	for (i = 0; i < plan->n_groups; i++) {
		size_t n = plan->groups[i].n_members;

		s->n_groups++;
		s->groups[i].of[0].members = calloc(2 * n + 1, sizeof(struct group_member));
		if (!s->groups[i].of[0].members)
			goto err;
		s->groups[i].of[1].members = s->groups[i].of[0].members + n;
	}
	return s;
err:
	timekeeper_snapshot_free(s);
	return NULL;
}

struct timekeeper_snapshot *timekeeper_show(struct timekeeper *tk)
{
	struct timekeeper_snapshot *s = allocate(tk->plan);
	size_t i;

	if (!s)
		return NULL;
	pthread_mutex_lock(&tk->mutex);
	s->now_ns = keeper_now();
	for (i = 0; i < s->n_gateways; i++)
		show_gateway(&tk->plan->gateways[i], s->now_ns, &s->gateways[i]);
	for (i = 0; i < s->n_groups; i++)
		show_group(&tk->plan->groups[i], &s->groups[i]);
	pthread_mutex_unlock(&tk->mutex);
	return s;
}

void timekeeper_snapshot_free(struct timekeeper_snapshot *s)
{
	size_t i;

	if (!s)
		return;
	for (i = 0; i < s->n_groups; i++)
		free(s->groups[i].of[0].members);
	free(s->groups);
	free(s->gateways);
	free(s);
}
