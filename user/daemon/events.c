// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <malloc.h>
#include <signal.h>

#include "user/daemon/daemon.h"
#include "user/daemon/drill.h"
#include "user/lib/file.h"
#include "user/lib/instance.h"
#include "user/lib/log.h"

#define REFRESH_US 20000 /* at most one refresh in this time: a flapping link brings messages by the hundred */
#define TICK_S 1
#define WAITING_US 2000 /* until what waits for another packet is looked at again */
#define STRAYS_US 2000

static const int signals[] = { SIGTERM, SIGINT, SIGHUP };
#define N_SIGNALS (sizeof(signals) / sizeof(signals[0]))

/* ---- the machine changes ---- */

void events_system_changed(void *arg, unsigned int what)
{
	const struct timeval wait = { .tv_usec = REFRESH_US };
	struct daemon *d = arg;

	d->changed |= what;
	if (!evtimer_pending(d->refresh, NULL))
		evtimer_add(d->refresh, &wait);
}

static void on_system(evutil_socket_t fd, short what, void *arg)
{
	struct daemon *d = arg;
	int err = system_dispatch(d->system);

	(void)fd, (void)what;
	if (err)
		log_ret(err, "netlink");
}

static void on_refresh(evutil_socket_t fd, short what, void *arg)
{
	struct daemon *d = arg;
	unsigned int changed = d->changed;

	(void)fd, (void)what;
	d->changed = 0;
	datapath_refresh(d->datapath, changed);
	if (changed & (SYSTEM_LINK | SYSTEM_ADDR)) {
		names_system_changed(d);
		updates_tick(d);
		vips_system_changed(d);
		ha_system_changed(d);
	}
	events_watch_raw(d, false);
}

/* Somebody who clears /run away, or the socket alone, leaves a daemon that nobody can ask: it makes itself a new one. */
static void renew_control(struct daemon *d)
{
	int err = d->control ? control_renew(d->control) : 0;

	if (err > 0)
		journal_write(d->journal, JOURNAL_WARNING, JOURNAL_DAEMON, d->options.instance, "repaired", NULL,
			      "somebody has removed the control socket; it is there again");
	if (err == -ENOENT) /* its directory is gone too */
		file_make_dirs(INSTANCE_RUN_DIR, 0755);
	else if (err < 0 && err != d->control_err)
		log_ret(err, "somebody has removed the control socket, and it can't be made anew");
	d->control_err = err < 0 ? err : 0;
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct daemon *d = arg;

	(void)fd, (void)what;
	datapath_tick(d->datapath);
	events_watch_raw(d, false);
	renew_control(d);
	if (d->observe)
		observe_tick(d->observe);
	journal_tick(d->journal);
	gateways_tick(d);
	updates_tick(d);
	vips_tick(d);
	ha_tick(d);
	ha_states_tick(d);
	ha_config_tick(d);
	drill_tick(d);
	/* an apply, or an answer about ten thousand clients, needed much; with nothing to give back this takes 50 us */
	malloc_trim(0);
}

/* ---- outer fragments ---- */

static void on_raw(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	datapath_reassembled(((struct daemon *)arg)->datapath);
}

/* renew: it may be another socket with the same number */
void events_watch_raw(struct daemon *d, bool renew)
{
	int fd = datapath_raw_fd(d->datapath);

	if (d->on_raw) {
		if (!renew && event_get_fd(d->on_raw) == fd)
			return;
		event_free(d->on_raw);
		d->on_raw = NULL;
	}
	if (fd < 0)
		return;
	d->on_raw = event_new(d->base, fd, EV_READ | EV_PERSIST, on_raw, d);
	if (!d->on_raw || event_add(d->on_raw, NULL))
		log_warnx("no memory to wait for outer fragments: they are dropped");
}

/* ---- fragments out of order ---- */

/* While there are some the clock says when, so that a flood of them leaves time for everything else. */
static void on_waiting(evutil_socket_t fd, short what, void *arg)
{
	const struct timeval pause = { .tv_usec = WAITING_US };
	struct daemon *d = arg;

	(void)fd, (void)what;
	if (datapath_waiting(d->datapath))
		evtimer_add(d->waiting_pause, &pause);
	else
		event_add(d->on_waiting, NULL);
}

/* ---- packets that peers may know ---- */

static void on_strays(evutil_socket_t fd, short what, void *arg)
{
	const struct timeval pause = { .tv_usec = STRAYS_US };
	struct daemon *d = arg;

	(void)fd, (void)what;
	if (datapath_strays(d->datapath))
		evtimer_add(d->strays_pause, &pause);
	else
		event_add(d->on_strays, NULL);
}

/* ---- signals ---- */

static void on_signal(evutil_socket_t number, short what, void *arg)
{
	static const struct apply_request reload = { .note = "reload" };
	struct daemon *d = arg;

	(void)what;
	if (number != SIGHUP) {
		journal_write(d->journal, JOURNAL_NOTICE, JOURNAL_DAEMON, d->options.instance, "stopped", NULL,
			      "%s; packets go on as they are", number == SIGTERM ? "SIGTERM" : "SIGINT");
		d->ending = true;
		event_base_loopbreak(d->base);
		return;
	}
	daemon_apply_own(d, &reload, "SIGHUP", NULL);
}

/* ---- all of them ---- */

int events_open(struct daemon *d)
{
	signal(SIGPIPE, SIG_IGN); /* a client of the control socket that is gone is no reason to go too */
	d->refresh = evtimer_new(d->base, on_refresh, d);
	d->tick = event_new(d->base, -1, EV_PERSIST, on_tick, d);
	if (!d->refresh || !d->tick)
		return -ENOMEM;
	for (size_t i = 0; i < N_SIGNALS; i++) {
		d->on_signal[i] = evsignal_new(d->base, signals[i], on_signal, d);
		if (!d->on_signal[i] || event_add(d->on_signal[i], NULL))
			return -ENOMEM;
	}
	return 0;
}

int events_watch(struct daemon *d)
{
	const struct timeval every = { .tv_sec = TICK_S };

	d->on_system = event_new(d->base, system_fd(d->system), EV_READ | EV_PERSIST, on_system, d);
	d->on_waiting = event_new(d->base, datapath_waiting_fd(d->datapath), EV_READ, on_waiting, d);
	d->waiting_pause = evtimer_new(d->base, on_waiting, d);
	if (!d->on_system || event_add(d->on_system, NULL) || event_add(d->tick, &every))
		return -ENOMEM;
	if (!d->waiting_pause || !d->on_waiting || event_add(d->on_waiting, NULL))
		return -ENOMEM;
	d->on_strays = event_new(d->base, datapath_strays_fd(d->datapath), EV_READ, on_strays, d);
	d->strays_pause = evtimer_new(d->base, on_strays, d);
	if (!d->strays_pause || !d->on_strays || event_add(d->on_strays, NULL))
		return -ENOMEM;
	return 0;
}

void events_close(struct daemon *d)
{
	struct event **all[] = { &d->on_system, &d->on_raw,	  &d->on_waiting, &d->waiting_pause,
				 &d->on_strays, &d->strays_pause, &d->refresh,	  &d->tick };

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		if (*all[i])
			event_free(*all[i]);
		*all[i] = NULL;
	}
	for (size_t i = 0; i < N_SIGNALS; i++) {
		if (d->on_signal[i])
			event_free(d->on_signal[i]);
		d->on_signal[i] = NULL;
	}
}
