// SPDX-License-Identifier: GPL-2.0-only
#include "user/observe/observe.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "user/lib/log.h"
#include "user/observe/syslog.h"

#define BEHIND_MAX_S 3 /* what was lost is told by then, though more keeps coming */

struct follower {
	LIST_ENTRY(follower) entry;
	struct observe *observe;
	struct client *client;
	struct observe_filter filter;
	bool data;
	/* since its queue was full, by it and by the ring: told when it is empty */
	uint64_t lost, lost_before;
};

struct observe {
	struct observe_names names;
	struct ring_buffer *ring;
	struct event *readable, *pause;
	unsigned int left; /* events that this batch may still have */
	int stats;
	struct fl_event_stats *per_cpu; /* room for a value of fl_event_stats */
	uint64_t lost;			/* as counted there last */
	unsigned int behind_s;		/* since that was told */
	long long boot_us;		/* CLOCK_REALTIME less CLOCK_BOOTTIME */
	struct observed *kept;		/* OBSERVE_KEPT, in a circle */
	size_t n_kept, next;
	LIST_HEAD(, follower) followers;
	unsigned int n_followers;
	struct packet_syslog *syslog; /* NULL: packets are not logged there */
	int facility;
};

/* ---- followers ---- */

static void send_json(struct client *client, json_t *json)
{
	char *text = json ? json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(16)) : NULL;

	if (text)
		control_send(client, text);
	free(text);
	json_decref(json);
}

/* Who is behind gets nothing more until he has read all that waits for him, and then how many he has missed. */
static void follower_send(struct follower *f, const struct observed *o)
{
	if (!observe_filter_matches(&f->filter, o))
		return;
	if (!f->lost && control_waiting(f->client) <= OBSERVE_QUEUE)
		send_json(f->client, observed_json(o, f->data));
	else if (o->lost)
		f->lost_before += o->lost;
	else
		f->lost++;
}

static void follower_begin(void *arg, struct client *client)
{
	((struct follower *)arg)->client = client;
}

static void follower_drained(void *arg)
{
	struct follower *f = arg;
	uint64_t lost = f->lost, before = f->lost_before;

	f->lost = f->lost_before = 0;
	if (before)
		send_json(f->client, observe_lost_json(before, "ring"));
	if (lost)
		send_json(f->client, observe_lost_json(lost, "reader"));
}

static void follower_ended(void *arg)
{
	struct follower *f = arg;

	LIST_REMOVE(f, entry);
	f->observe->n_followers--;
	observe_filter_free(&f->filter);
	free(f);
}

static const struct control_stream follow = { follower_begin, follower_drained, follower_ended };

bool observe_follow(struct observe *observe, struct observe_filter *filter, bool data, struct control_answer *answer)
{
	struct follower *f = NULL;

	if (observe->n_followers >= OBSERVE_FOLLOWERS_MAX)
		control_fail(answer, 1, "%d follow the log already", OBSERVE_FOLLOWERS_MAX);
	else if (!(f = calloc(1, sizeof(*f))))
		control_fail(answer, 1, "out of memory");
	if (!f) {
		observe_filter_free(filter);
		return false;
	}
	f->observe = observe;
	f->filter = *filter;
	f->data = data;
	*filter = (struct observe_filter){ .verdict = -1 };
	LIST_INSERT_HEAD(&observe->followers, f, entry);
	observe->n_followers++;
	answer->stream = &follow;
	answer->stream_arg = f;
	return true;
}

/* ---- what is kept ---- */

static struct observed *keep(struct observe *observe)
{
	struct observed *o = &observe->kept[observe->next];

	observe->next = (observe->next + 1) % OBSERVE_KEPT;
	observe->n_kept += observe->n_kept < OBSERVE_KEPT;
	free(o->interface);
	free(o->rule);
	memset(o, 0, sizeof(*o));
	o->rule_index = -1;
	return o;
}

/* The i-th, the newest is 0. */
static const struct observed *kept_at(const struct observe *observe, size_t i)
{
	return &observe->kept[(observe->next + OBSERVE_KEPT - 1 - i) % OBSERVE_KEPT];
}

json_t *observe_last(const struct observe *observe, const struct observe_filter *filter, size_t n, bool data)
{
	json_t *events = json_array();

	for (size_t i = 0, found = 0; i < observe->n_kept && found < n; i++) {
		const struct observed *o = kept_at(observe, i);

		if (!observe_filter_matches(filter, o))
			continue;
		found += !o->lost;
		if (json_array_insert_new(events, 0, observed_json(o, data))) {
			json_decref(events);
			return NULL;
		}
	}
	return events;
}

static void tell(struct observe *observe, const struct observed *o)
{
	struct follower *f;
	json_t *json;

	LIST_FOREACH(f, &observe->followers, entry)
	{
		follower_send(f, o);
	}
	json = observe->syslog ? observed_json(o, false) : NULL;
	if (json)
		packet_syslog_write(observe->syslog, json);
	json_decref(json);
}

static char *copy_of(const char *text)
{
	return text ? strdup(text) : NULL;
}

void observe_take(struct observe *observe, const void *event, size_t len)
{
	struct observed *o;
	struct fl_event *e;

	if (len < offsetof(struct fl_event, data) || len > sizeof(*e))
		return;
	o = keep(observe);
	e = &o->event;
	memcpy(e, event, len);
	if (e->captured > len - offsetof(struct fl_event, data))
		e->captured = len - offsetof(struct fl_event, data);
	o->time_us = (long long)(e->time_ns / 1000) + observe->boot_us;
	o->interface = copy_of(observe->names.port(observe->names.arg, e->port));
	if (e->rule)
		o->rule = copy_of(observe->names.rule(observe->names.arg, e->rule, &o->rule_index));
	tell(observe, o);
}

void observe_lost(struct observe *observe, uint64_t lost)
{
	struct observed *o = keep(observe);

	o->lost = lost;
	tell(observe, o);
}

/* ---- the ring ---- */

static long long clock_us(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return ts.tv_sec * 1000000LL + ts.tv_nsec / 1000;
}

static uint64_t count_lost(struct observe *observe)
{
	int cpus = libbpf_num_possible_cpus();
	uint32_t zero = 0;
	uint64_t lost = 0;

	if (observe->stats < 0 || bpf_map_lookup_elem(observe->stats, &zero, observe->per_cpu))
		return observe->lost;
	for (int cpu = 0; cpu < cpus; cpu++)
		lost += observe->per_cpu[cpu].lost;
	return lost;
}

static void tell_lost(struct observe *observe)
{
	uint64_t lost = count_lost(observe);

	if (lost > observe->lost)
		observe_lost(observe, lost - observe->lost);
	observe->lost = lost;
	observe->behind_s = 0;
}

/* Negative ends the batch: this event was taken, those behind it wait. */
static int on_event(void *arg, void *data, size_t len)
{
	struct observe *observe = arg;

	observe_take(observe, data, len);
	return --observe->left ? 0 : -EAGAIN;
}

/* What was lost comes behind what is in the ring, so it is told when that is empty. */
static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	const struct timeval pause = { .tv_usec = OBSERVE_PAUSE_US };
	struct observe *observe = arg;

	(void)fd, (void)what;
	observe->left = OBSERVE_BATCH;
	observe->boot_us = clock_us(CLOCK_REALTIME) - clock_us(CLOCK_BOOTTIME);
	ring_buffer__consume(observe->ring);
	if (observe->left)
		tell_lost(observe);
	else if (!evtimer_add(observe->pause, &pause))
		event_del(observe->readable);
}

static void on_pause(evutil_socket_t fd, short what, void *arg)
{
	struct observe *observe = arg;

	(void)fd, (void)what;
	event_add(observe->readable, NULL);
}

void observe_tick(struct observe *observe)
{
	if (observe->ring && !evtimer_pending(observe->pause, NULL))
		on_readable(-1, 0, observe);
	if (++observe->behind_s > BEHIND_MAX_S)
		tell_lost(observe);
	if (observe->syslog)
		packet_syslog_tick(observe->syslog);
}

static int watch(struct observe *observe, struct event_base *base, int ring)
{
	observe->ring = ring_buffer__new(ring, on_event, observe, NULL);
	if (!observe->ring)
		return -errno;
	observe->pause = evtimer_new(base, on_pause, observe);
	observe->readable =
		event_new(base, ring_buffer__epoll_fd(observe->ring), EV_READ | EV_PERSIST, on_readable, observe);
	return observe->pause && observe->readable && !event_add(observe->readable, NULL) ? 0 : -ENOMEM;
}

int observe_open(struct observe **out, struct event_base *base, int ring, int stats, const struct observe_names *names)
{
	struct observe *observe = calloc(1, sizeof(*observe));
	int err = -ENOMEM;

	if (!observe)
		return -ENOMEM;
	LIST_INIT(&observe->followers);
	observe->names = *names;
	observe->stats = stats;
	observe->kept = calloc(OBSERVE_KEPT, sizeof(*observe->kept));
	observe->per_cpu = calloc(libbpf_num_possible_cpus(), sizeof(*observe->per_cpu));
	if (observe->kept && observe->per_cpu)
		err = ring < 0 ? 0 : watch(observe, base, ring);
	if (err) {
		observe_close(observe);
		return err;
	}
	observe->lost = count_lost(observe); /* what was lost while no daemon was there is nobody's */
	*out = observe;
	return 0;
}

void observe_close(struct observe *observe)
{
	if (!observe)
		return;
	if (observe->readable)
		event_free(observe->readable);
	if (observe->pause)
		event_free(observe->pause);
	ring_buffer__free(observe->ring);
	for (size_t i = 0; observe->kept && i < OBSERVE_KEPT; i++) {
		free(observe->kept[i].interface);
		free(observe->kept[i].rule);
	}
	packet_syslog_close(observe->syslog);
	free(observe->kept);
	free(observe->per_cpu);
	free(observe);
}

void observe_configure(struct observe *observe, const struct config_log *config)
{
	bool wanted = config->packets == CONFIG_LOG_SYSLOG;

	if (wanted == !!observe->syslog && config->facility == observe->facility)
		return;
	packet_syslog_close(observe->syslog);
	observe->facility = config->facility;
	observe->syslog = wanted ? packet_syslog_open(SYSLOG_PATH, config->facility) : NULL;
	if (wanted && !observe->syslog)
		log_warnx("out of memory: packets are not logged by syslog");
}
