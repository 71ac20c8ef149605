// SPDX-License-Identifier: GPL-2.0-only
/* Runs the scenes of cases_policy.c, at every hook. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <stdio.h>
#include <string.h>

#include "fairlead/event.h"
#include "selftests/prog/policy.h"
#include "selftests/prog/scenes.h"

#include "xdp.skel.h"

static bool goes_down(const struct test_case *c)
{
	return (c->want != FORWARD && c->want != DROP) || c->xdp_down;
}

static void run_step(struct env *env, const struct scene *scene, const struct step *s, int number, enum hook hook)
{
	bool upper = (hook == HOOK_XDP || hook == HOOK_GENERIC) && !s->c.own && !s->c.tc_only;
	char round[64];
	int states;

	snprintf(round, sizeof(round), "packet %d", number + 1);
	if (upper)
		check_at(env, &s->c, hook, round);
	if (!upper || goes_down(&s->c))
		check_at(env, &s->c, hook == HOOK_TC_OLD ? HOOK_TC_OLD : HOOK_TC, round);
	states = policy_states(env);
	if (states != s->states && !*env->why)
		fail(env, "  %s, packet %d of %s: %d states instead of %d\n", hook_name(hook), number + 1, scene->name,
		     states, s->states);
}

/* What the programs have logged. */
struct log {
	struct ring_buffer *ring;
	struct fl_event events[LOGGED];
	size_t n;
};

static int log_take(void *arg, void *data, size_t len)
{
	struct log *log = arg;

	if (log->n < LOGGED)
		memcpy(&log->events[log->n], data, len < sizeof(struct fl_event) ? len : sizeof(struct fl_event));
	log->n++;
	return 0;
}

static bool is_logged(const struct env *env, const struct fl_event *e, const struct logged *l)
{
	return !strcmp(policy_name(env, e->rule), l->rule) && e->port == l->port &&
	       !(e->flags & FL_EVENT_OUT) == !l->out && e->verdict == l->verdict && e->reason == l->reason;
}

static void check_log(struct env *env, struct log *log, const struct scene *scene, enum hook hook)
{
	size_t n = 0;

	log->n = 0;
	ring_buffer__consume(log->ring);
	while (n < LOGGED && scene->logged[n].rule)
		n++;
	if (log->n != n)
		fail(env, "  %s: %zu events instead of %zu\n", hook_name(hook), log->n, n);
	for (size_t i = 0; i < n && log->n == n; i++)
		if (!is_logged(env, &log->events[i], &scene->logged[i]))
			fail(env, "  %s: event %zu is of \"%s\", port %u, flags %x, verdict %u, reason %u\n",
			     hook_name(hook), i + 1, policy_name(env, log->events[i].rule), log->events[i].port,
			     log->events[i].flags, log->events[i].verdict, log->events[i].reason);
}

static void run_scene(struct env *env, const struct scene *scene, enum hook hook, struct log *log)
{
	policy_forget(env);
	states_limit(&env->policy->states, POLICY_BUCKETS * FL_BUCKET_WAYS);
	tables_new_generation(env);
	if (scene->before && scene->before(env))
		fail(env, "  %s could not be set up\n", scene->name);
	for (int i = 0; i < STEPS && scene->steps[i].c.in && !*env->why; i++)
		run_step(env, scene, &scene->steps[i], i, hook);
	for (size_t i = 0; i < 3 && scene->counted[i].rule && !*env->why; i++) {
		__u64 packets = policy_counted(env, scene->counted[i].rule);

		if (packets != scene->counted[i].packets)
			fail(env, "  %s: \"%s\" has counted %llu packets instead of %llu\n", hook_name(hook),
			     scene->counted[i].rule, packets, scene->counted[i].packets);
	}
	if (scene->look && !*env->why)
		scene->look(env);
	if (!*env->why)
		check_log(env, log, scene, hook);
}

const char *policy_scene_name(size_t i)
{
	return i < policy_scenes_n ? policy_scenes[i].name : NULL;
}

const struct test_case *policy_scene_case(size_t i, size_t step)
{
	return step < STEPS && policy_scenes[i].steps[step].c.in ? &policy_scenes[i].steps[step].c : NULL;
}

void policy_scene_run(struct env *env, size_t i)
{
	struct log log = { 0 };

	log.ring = ring_buffer__new(bpf_map__fd(env->xdp->maps.fl_events), log_take, &log, NULL);
	if (!log.ring || policy_on(env, policy_scenes[i].policy))
		fail(env, "  the policy does not compile, or its log can't be read\n");
	if (log.ring)
		ring_buffer__consume(log.ring); /* what others have left */
	for (enum hook hook = HOOK_XDP; hook < HOOKS && !*env->why; hook++)
		run_scene(env, &policy_scenes[i], hook, &log);
	policy_off(env);
	ring_buffer__free(log.ring);
}
