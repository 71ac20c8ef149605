// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "user/gateway/timekeeper_internal.h"
#include "user/lib/log.h"

#define PRIORITY 10 /* above what is not realtime; below what the kernel runs at 50 */
#define STACK_SIZE (128 << 10)
#define WAKES 64
#define SECOND 1000000000ull

uint64_t keeper_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * SECOND + (uint64_t)ts.tv_nsec;
}

void keeper_lock(struct timekeeper *tk, const void *memory, size_t size)
{
	if (mlock(memory, size))
		tk->locked = false;
}

void keeper_is_due(struct keeper_plan *plan, const struct keeper_gateway *g)
{
	plan->early_ns[g - plan->gateways] = 0;
}

/* ---- probes ---- */

struct sending {
	struct timekeeper *tk;
	struct keeper_gateway *gateway;
};

static void send_probe(void *arg, struct monitor *m, unsigned int target, uint16_t sequence)
{
	const struct sending *s = arg;
	struct keeper_target *t = &s->gateway->targets[target];
	int err = t->slot < 0 ? t->slot : prober_send(s->tk->prober, t->slot, &s->gateway->path, sequence);

	if (err)
		monitor_detail(m, target, MONITOR_UNSENT, -err);
	else if (t->unsent)
		monitor_detail(m, target, MONITOR_NO_DETAIL, 0);
	t->unsent = err != 0;
}

static struct keeper_gateway *owner(const struct timekeeper *tk, unsigned int slot)
{
	return &tk->plan->gateways[tk->plan->owners[slot]];
}

static void take_answer(void *arg, unsigned int slot, const struct probe_answer *answer)
{
	struct timekeeper *tk = arg;
	struct keeper_gateway *g = owner(tk, slot);
	unsigned int target = tk->plan->which[slot];

	if (answer->verdict == PROBE_REFUSED)
		monitor_detail(g->monitor, target, MONITOR_REFUSED, 0);
	else if (answer->verdict == PROBE_RCODE)
		monitor_detail(g->monitor, target, MONITOR_RCODE, answer->rcode);
	else if (monitor_answered(g->monitor, target, answer->sequence, keeper_now()))
		keeper_is_due(tk->plan, g);
}

static const struct probe_path *path_of(void *arg, unsigned int slot)
{
	const struct keeper_gateway *g = owner(arg, slot);

	return g->path.ifindex ? &g->path : NULL;
}

/* ---- telling ---- */

static struct timekeeper_event *new_event(struct timekeeper *tk)
{
	if (tk->n_events == EVENTS_MAX) {
		tk->lost_events++;
		return NULL;
	}
	return &tk->events[(tk->first_event + tk->n_events++) % EVENTS_MAX];
}

static void gateway_event(struct timekeeper *tk, struct keeper_gateway *g, uint64_t now_ns)
{
	enum monitor_status before = g->told;
	struct timekeeper_event *e;

	g->told = monitor_status(g->monitor);
	if (g->told == before)
		return;
	e = new_event(tk);
	if (!e)
		return;
	*e = (struct timekeeper_event){ .at_ns = now_ns, .before = before };
	memcpy(e->name, g->name, sizeof(e->name));
	memcpy(e->where, g->where, sizeof(e->where));
	monitor_view(g->monitor, now_ns, &e->view);
}

static void fill_group_event(struct timekeeper_event *e, const struct keeper_group *g, const struct group *group,
			     uint64_t now_ns)
{
	size_t i;

	*e = (struct timekeeper_event){
		.is_group = true, .at_ns = now_ns, .families = group->family, .tier = group->tier
	};
	memcpy(e->name, g->name, sizeof(e->name));
	for (i = 0; i < group->n_members && e->n_active < TIMEKEEPER_ACTIVE_MAX; i++)
		if (group->members[i].active)
			e->active[e->n_active++] = group->members[i].gateway;
}

static bool is_same_choice(const struct timekeeper_event *a, const struct timekeeper_event *b)
{
	return a->tier == b->tier && a->n_active == b->n_active &&
	       memcmp(a->active, b->active, a->n_active * sizeof(*a->active)) == 0;
}

/* One where both families have the same now. */
static void group_events(struct timekeeper *tk, const struct keeper_group *g, const bool changed[2], uint64_t now_ns)
{
	struct timekeeper_event events[2], *e;
	unsigned int six;

	for (six = 0; six < 2; six++)
		fill_group_event(&events[six], g, &g->of[six].group, now_ns);
	if (changed[0] && changed[1] && is_same_choice(&events[0], &events[1])) {
		events[0].families = FL_BOTH;
		e = new_event(tk);
		if (e)
			*e = events[0];
		return;
	}
	for (six = 0; six < 2; six++) {
		e = changed[six] ? new_event(tk) : NULL;
		if (e)
			*e = events[six];
	}
}

static struct group_state state_of(const struct keeper_gateway *g)
{
	const struct monitor *m = g->monitor;
	static const enum group_health healths[] = { [MONITOR_UNKNOWN] = GROUP_UNKNOWN,
						     [MONITOR_UP] = GROUP_UP,
						     [MONITOR_WARN] = GROUP_UP,
						     [MONITOR_DOWN] = GROUP_DOWN };
	struct group_state s = { .health = healths[monitor_status(m)], .families = g->families };

	monitor_fails(m, &s.loss_fails, &s.latency_fails);
	return s;
}

static unsigned int up_for(const struct group_state *s)
{
	return s->health == GROUP_UP ? s->families : 0;
}

/* true: what groups and the plane know has changed */
static bool run_gateway(struct timekeeper *tk, struct keeper_gateway *g, uint64_t now_ns, bool tell)
{
	struct sending sending = { .tk = tk, .gateway = g };
	size_t i = (size_t)(g - tk->plan->gateways);
	struct group_state was = g->state;

	monitor_run(g->monitor, now_ns, send_probe, &sending);
	tk->plan->next_ns[i] = monitor_next(g->monitor, &tk->plan->early_ns[i]);
	g->state = state_of(g);
	if (tell || up_for(&g->state) != up_for(&was))
		tk->plane.gateway_up(tk->plane.arg, g->number, up_for(&g->state));
	gateway_event(tk, g, now_ns);
	return tell || g->state.health != was.health || g->state.families != was.families ||
	       g->state.loss_fails != was.loss_fails || g->state.latency_fails != was.latency_fails;
}

/* Gateways on tunnels whose underlay the group is: without a member it is as with a link that is down. true: there is news for them */
static bool underlay_is(struct keeper_plan *plan, const struct keeper_group *g, bool up, uint64_t now_ns)
{
	size_t number = (size_t)(g - plan->groups) + 1, i;
	bool news = false;

	for (i = 0; i < plan->n_gateways; i++) {
		struct keeper_gateway *on = &plan->gateways[i];

		if (on->underlay_group != number || on->underlay_up == up)
			continue;
		on->underlay_up = up;
		keeper_path_changed(plan, on, now_ns);
		news = true;
	}
	return news;
}

/* true: a gateway is due again */
static bool run_group(struct timekeeper *tk, struct keeper_group *g, uint64_t now_ns, bool tell)
{
	struct group_state *states = &tk->plan->states[g->first_member];
	unsigned int six;
	bool changed[2], unknown = false;
	size_t i;

	for (i = 0; i < g->n_members; i++) {
		states[i] = tk->plan->members[g->first_member + i]->state;
		unknown |= states[i].health == GROUP_UNKNOWN;
	}
	for (six = 0; six < 2; six++) {
		struct group *group = &g->of[six].group;

		changed[six] = group_decide(group, states);
		if (changed[six] || tell)
			tk->plane.group_slots(tk->plane.arg, g->index, group->family, group->slots);
		if (changed[six])
			g->of[six].since_ns = now_ns;
	}
	if (changed[0] || changed[1])
		group_events(tk, g, changed, now_ns);
	return underlay_is(tk->plan, g, g->of[0].group.tier || unknown, now_ns);
}

/* ---- a round ---- */

static void arm(struct timekeeper *tk, uint64_t at_ns)
{
	struct itimerspec when = { .it_value = { 0 } };

	if (at_ns == tk->armed_ns)
		return;
	tk->armed_ns = at_ns;
	if (at_ns != MONITOR_NEVER)
		when.it_value =
			(struct timespec){ .tv_sec = (time_t)(at_ns / SECOND), .tv_nsec = (long)(at_ns % SECOND) };
	timerfd_settime(tk->timer, TFD_TIMER_ABSTIME, &when, NULL);
}

static uint64_t next_of(const struct keeper_plan *plan)
{
	uint64_t next = MONITOR_NEVER;
	size_t i;

	for (i = 0; i < plan->n_gateways; i++)
		if (plan->next_ns[i] < next)
			next = plan->next_ns[i];
	return next;
}

/* true: what groups know has changed */
static bool run_gateways(struct timekeeper *tk, uint64_t now_ns, bool all)
{
	struct keeper_plan *plan = tk->plan;
	bool changed = all;
	size_t i;

	for (i = 0; i < plan->n_gateways; i++)
		if (all || plan->early_ns[i] <= now_ns)
			changed |= run_gateway(tk, &plan->gateways[i], now_ns, all);
	return changed;
}

static bool run_groups(struct timekeeper *tk, uint64_t now_ns, bool tell)
{
	struct keeper_plan *plan = tk->plan;
	bool due = false;
	size_t i;

	for (i = 0; i < plan->n_groups; i++)
		due |= run_group(tk, &plan->groups[i], now_ns, tell);
	return due;
}

void keeper_round(struct timekeeper *tk, bool tell_all)
{
	unsigned int had_events = tk->n_events;
	struct keeper_plan *plan = tk->plan;
	uint64_t now_ns = keeper_now(), next_ns;
	bool changed;

	vhids_run(tk->vhids, now_ns);
	next_ns = vhids_next(tk->vhids);
	if (!plan) {
		arm(tk, next_ns);
		return;
	}
	changed = run_gateways(tk, now_ns, tell_all);
	/* once more for gateways on tunnels, and their groups: a group that is an underlay has none of them */
	if (changed && run_groups(tk, now_ns, tell_all) && run_gateways(tk, now_ns, false))
		run_groups(tk, now_ns, false);
	if (changed) {
		tk->plane.changed(tk->plane.arg);
		keeper_vip_gateways(tk, now_ns);
		next_ns = vhids_next(tk->vhids);
	}
	if (tk->n_events != had_events)
		eventfd_write(tk->notify, 1);
	arm(tk, next_of(plan) < next_ns ? next_of(plan) : next_ns);
}

/* ---- the thread ---- */

static void dispatch(struct timekeeper *tk, uint64_t event)
{
	const struct prober_sink sink = { .answer = take_answer, .path = path_of, .arg = tk };

	if (event < PROBE_EVENTS && tk->plan)
		prober_receive(tk->prober, event, &sink);
	else if (event == WAKE_TIMER)
		tk->armed_ns = 0; /* set anew, which takes the expiration off too */
	else if (event == WAKE_LINK)
		keeper_link_read(tk);
	else if (event >= WAKE_CARP && event < WAKES_END)
		vhids_receive(tk->vhids, event, keeper_now());
}

static void *run(void *arg)
{
	struct epoll_event events[WAKES];
	struct timekeeper *tk = arg;
	bool stopping = false;
	int n, i;

	while (!stopping) {
		n = epoll_wait(tk->epoll, events, WAKES, -1);
		pthread_mutex_lock(&tk->mutex);
		for (i = 0; i < n; i++)
			dispatch(tk, events[i].data.u64);
		keeper_round(tk, false);
		stopping = tk->stopping;
		pthread_mutex_unlock(&tk->mutex);
	}
	return NULL;
}

/* ---- start and stop ---- */

static int watch(struct timekeeper *tk, int fd, uint64_t wake)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = wake };

	return epoll_ctl(tk->epoll, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

static int open_all(struct timekeeper *tk)
{
	const struct vhids_plane vips = { tk->plane.lease, tk->plane.arg };
	int err;

	tk->epoll = epoll_create1(EPOLL_CLOEXEC);
	tk->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	tk->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	tk->notify = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	tk->vip_notify = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (tk->epoll < 0 || tk->timer < 0 || tk->wake < 0 || tk->notify < 0 || tk->vip_notify < 0)
		return -errno;
	err = watch(tk, tk->timer, WAKE_TIMER);
	err = err ? err : watch(tk, tk->wake, WAKE_STOP);
	err = err ? err : keeper_link_open(tk);
	err = err ? err : vhids_open(&tk->vhids, tk->epoll, WAKE_CARP, tk->vip_notify, &vips);
	return err ? err : prober_open(&tk->prober, tk->epoll, &tk->locked);
}

static int make_mutex(pthread_mutex_t *mutex)
{
	pthread_mutexattr_t attr;
	int err;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT);
	err = pthread_mutex_init(mutex, &attr);
	pthread_mutexattr_destroy(&attr);
	return -err;
}

static int create(struct timekeeper *tk, bool realtime)
{
	struct sched_param priority = { .sched_priority = PRIORITY };
	pthread_attr_t attr;
	int err;

	pthread_attr_init(&attr);
	pthread_attr_setstack(&attr, tk->stack, STACK_SIZE);
	if (realtime) {
		pthread_attr_setinheritsched(&attr, PTHREAD_EXPLICIT_SCHED);
		pthread_attr_setschedpolicy(&attr, SCHED_FIFO);
		pthread_attr_setschedparam(&attr, &priority);
	}
	tk->realtime = realtime;
	err = pthread_create(&tk->thread, &attr, run, tk);
	pthread_attr_destroy(&attr);
	return -err;
}

/* Signals are the main thread's */
static int start_thread(struct timekeeper *tk)
{
	sigset_t all, old;
	int err;

	tk->stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	if (tk->stack == MAP_FAILED)
		return -errno;
	keeper_lock(tk, tk->stack, STACK_SIZE);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = create(tk, true);
	if (err == -EPERM)
		err = create(tk, false);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err)
		munmap(tk->stack, STACK_SIZE);
	return err;
}

static void close_all(struct timekeeper *tk)
{
	const int fds[] = { tk->epoll, tk->timer, tk->wake, tk->notify, tk->link, tk->query, tk->vip_notify };
	size_t i;

	if (tk->plan)
		munmap(tk->plan, tk->plan->size);
	if (tk->prober)
		prober_close(tk->prober);
	vhids_close(tk->vhids, keeper_now());
	for (i = 0; i < sizeof(fds) / sizeof(*fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	munmap(tk, sizeof(*tk));
}

int timekeeper_start(struct timekeeper **out, const struct timekeeper_plane *plane)
{
	struct timekeeper *tk = mmap(NULL, sizeof(*tk), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int err;

	if (tk == MAP_FAILED)
		return log_ret(errno, "gateways: memory");
	tk->locked = true;
	keeper_lock(tk, tk, sizeof(*tk));
	tk->plane = *plane;
	tk->epoll = tk->timer = tk->wake = tk->notify = tk->link = tk->query = tk->vip_notify = -1;
	tk->armed_ns = MONITOR_NEVER;
	err = make_mutex(&tk->mutex);
	err = err ? err : open_all(tk);
	err = err ? err : start_thread(tk);
	if (err) {
		close_all(tk);
		return log_ret(err, "gateways can't be probed");
	}
	*out = tk;
	return 0;
}

void timekeeper_stop(struct timekeeper *tk)
{
	pthread_mutex_lock(&tk->mutex);
	tk->stopping = true;
	pthread_mutex_unlock(&tk->mutex);
	eventfd_write(tk->wake, 1);
	pthread_join(tk->thread, NULL);
	pthread_mutex_destroy(&tk->mutex);
	munmap(tk->stack, STACK_SIZE);
	close_all(tk);
}

bool timekeeper_is_realtime(const struct timekeeper *tk)
{
	return tk->realtime;
}

bool timekeeper_is_locked(const struct timekeeper *tk)
{
	return tk->locked;
}

/* ---- facts from the main thread ---- */

static struct keeper_gateway *find_number(const struct keeper_plan *plan, uint16_t number)
{
	size_t i;

	for (i = 0; plan && i < plan->n_gateways; i++)
		if (plan->gateways[i].number == number)
			return &plan->gateways[i];
	return NULL;
}

int timekeeper_idle(struct timekeeper *tk, uint16_t number, bool idle)
{
	struct keeper_gateway *g;

	pthread_mutex_lock(&tk->mutex);
	g = find_number(tk->plan, number);
	if (g) {
		monitor_idle(g->monitor, idle, keeper_now());
		keeper_is_due(tk->plan, g);
		keeper_round(tk, false);
	}
	pthread_mutex_unlock(&tk->mutex);
	return g ? 0 : -ENOENT;
}

int timekeeper_force(struct timekeeper *tk, uint16_t number, enum monitor_forced forced)
{
	struct keeper_gateway *g;

	pthread_mutex_lock(&tk->mutex);
	g = find_number(tk->plan, number);
	if (g) {
		monitor_force(g->monitor, forced);
		keeper_is_due(tk->plan, g);
		keeper_round(tk, false);
	}
	pthread_mutex_unlock(&tk->mutex);
	return g ? 0 : -ENOENT;
}
