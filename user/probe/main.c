// SPDX-License-Identifier: GPL-2.0-only
/* Set up, go into the background if asked to, run until it is told to end, write the result. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "user/probe/probe.h"

#define TICK_NS (1 * PROBE_MS) /* how finely sending is timed */
#define LOOK_EVERY 100	       /* ticks between two looks for the file that ends it */
#define FLOW_GRACE_NS \
	(15000 * PROBE_MS) /* for TCP to send again what was lost last: it waits up to twice as long as the gap was */
#define SECONDS_MAX 3600

struct options {
	long seconds;
	const char *detach; /* where the result goes then; NULL: stay, print it */
	const char *until;  /* a file: when it is there, that is the end */
	long forget; /* seconds after which a result that nobody has removed is, with all that lies beside it; 0: never */
};

uint64_t probe_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

/* ---- the loop ---- */

static void take_event(struct probe_run *run, uint64_t tag)
{
	struct probe_series *s = &run->series[tag >> 56];

	if (s->kind == PROBE_PING)
		probe_ping_receive(s);
	else if (s->kind == PROBE_FLOW)
		probe_flow_event(&s->flows[(uint32_t)tag]);
	else
		probe_connected(s, (uint32_t)tag, tag >> 32 & 0xffffff);
}

static void send_due(struct probe_run *run)
{
	for (size_t i = 0; i < run->n; i++) {
		struct probe_series *s = &run->series[i];

		if (s->kind != PROBE_FLOW)
			probe_series_settle(s);
		if (run->now_ns < s->next_ns)
			continue;
		if (s->kind != PROBE_FLOW) {
			if (!run->ending)
				probe_series_send(s);
			continue;
		}
		s->next_ns = run->now_ns + s->every_ms * PROBE_MS;
		for (size_t j = 0; j < s->n_flows; j++)
			probe_flow_send(&s->flows[j]);
	}
}

/* Answers are waited for a second; held connections that stand still as long as TCP may take. */
static bool is_done(const struct probe_run *run)
{
	uint64_t over = run->now_ns - run->end_ns;

	if (over > FLOW_GRACE_NS)
		return true;
	for (size_t i = 0; i < run->n; i++) {
		const struct probe_series *s = &run->series[i];

		if (s->kind != PROBE_FLOW && s->n_over < s->n_shots)
			return false;
		for (size_t j = 0; j < s->n_flows; j++)
			if (!s->flows[j].dead && !probe_flow_held(&s->flows[j]))
				return false;
	}
	return true;
}

static void turn(struct probe_run *run)
{
	struct epoll_event events[64];
	uint64_t ticks;
	int n = epoll_wait(run->epoll, events, 64, -1);

	run->asleep_ns = probe_now() - run->now_ns;
	run->now_ns += run->asleep_ns;
	for (int i = 0; i < n; i++) {
		if (events[i].data.u64 == UINT64_MAX)
			(void)!read(run->timer, &ticks, sizeof(ticks));
		else
			take_event(run, events[i].data.u64);
	}
	send_due(run);
}

/* The file is there, or what it was to be in is gone. */
static bool is_told(const char *until)
{
	char dir[4096];
	char *slash;

	if (!until || !access(until, F_OK))
		return until;
	snprintf(dir, sizeof(dir), "%s", until);
	slash = strrchr(dir, '/');
	if (!slash || slash == dir)
		return false;
	*slash = '\0';
	return access(dir, F_OK);
}

static void loop(struct probe_run *run, const char *until)
{
	for (unsigned int i = 1; !run->ending; i++) {
		turn(run);
		run->ending = run->now_ns >= run->end_ns || (i % LOOK_EVERY == 0 && is_told(until));
	}
	run->end_ns = run->now_ns;
	while (!is_done(run))
		turn(run);
	for (size_t i = 0; i < run->n; i++)
		if (run->series[i].kind != PROBE_FLOW)
			probe_series_end(&run->series[i]);
}

/* ---- beginning ---- */

static int open_run(struct probe_run *run, const struct options *o)
{
	const struct itimerspec tick = { { .tv_nsec = TICK_NS }, { .tv_nsec = TICK_NS } };
	struct epoll_event e = { .events = EPOLLIN, .data.u64 = UINT64_MAX };
	struct rlimit files;

	if (!getrlimit(RLIMIT_NOFILE, &files)) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	run->epoll = epoll_create1(EPOLL_CLOEXEC);
	run->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (run->epoll < 0 || run->timer < 0 || timerfd_settime(run->timer, 0, &tick, NULL) ||
	    epoll_ctl(run->epoll, EPOLL_CTL_ADD, run->timer, &e))
		return -errno;
	run->now_ns = run->start_ns = probe_now();
	run->end_ns = run->start_ns + o->seconds * 1000000000ull;
	for (size_t i = 0; i < run->n; i++) {
		int err = probe_series_open(run, &run->series[i]);

		if (err) {
			fprintf(stderr, "fairlead-probe: %s %s: %s\n", probe_kinds[run->series[i].kind],
				run->series[i].name, strerror(-err));
			return err;
		}
	}
	return 0;
}

/* The connection over which it was started may be what is cut: it must not end with it. */
static void leave(void)
{
	int null;

	puts("started");
	fflush(stdout);
	if (fork())
		_exit(EXIT_SUCCESS);
	setsid();
	signal(SIGHUP, SIG_IGN);
	null = open("/dev/null", O_RDWR);
	for (int fd = 0; fd <= 2; fd++)
		dup2(null, fd);
}

/* Whole, or not there. */
static int write_result(const struct probe_run *run, const char *path)
{
	char temp[4096];
	FILE *to;

	snprintf(temp, sizeof(temp), "%s.new", path);
	to = fopen(temp, "w");
	if (!to)
		return EXIT_FAILURE;
	probe_print(run, to);
	if (fclose(to) || rename(temp, path))
		return EXIT_FAILURE;
	return EXIT_SUCCESS;
}

/* In a directory made for it: whoever was to fetch it may be gone for good. */
static void forget(const char *path, long seconds)
{
	const struct timespec pause = { .tv_nsec = 200 * PROBE_MS };
	char dir[4096], *slash;
	struct dirent *e;
	DIR *all;

	for (long i = 0; i < 5 * seconds && !access(path, F_OK); i++)
		nanosleep(&pause, NULL);
	snprintf(dir, sizeof(dir), "%s", path);
	slash = strrchr(dir, '/');
	if (!slash || access(path, F_OK))
		return;
	*slash = '\0';
	all = opendir(dir);
	while (all && (e = readdir(all)))
		unlinkat(dirfd(all), e->d_name, 0);
	if (all)
		closedir(all);
	rmdir(dir);
}

static int usage(void)
{
	fputs("usage: fairlead-probe --seconds N [--detach FILE] [--until FILE] KIND=ADDRESS[:PORT][@MS] ...\n"
	      "\n"
	      "  KIND  ping, knock, connect: one each MS milliseconds (10); flow: MS connections are held\n"
	      "  --detach FILE  go into the background; the result goes there\n"
	      "  --until FILE   end when that is there\n"
	      "  --forget N     remove the result's directory after so many seconds, with all in it\n",
	      stderr);
	return 2;
}

static bool take_options(struct options *o, int argc, char **argv)
{
	static const struct option names[] = {
		{ "seconds", required_argument, NULL, 's' }, { "detach", required_argument, NULL, 'd' },
		{ "until", required_argument, NULL, 'u' },   { "forget", required_argument, NULL, 'f' },
		{ "version", no_argument, NULL, 'v' },	     { 0 }
	};
	int opt;

	while ((opt = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (opt == 's')
			o->seconds = strtol(optarg, NULL, 10);
		else if (opt == 'd')
			o->detach = optarg;
		else if (opt == 'u')
			o->until = optarg;
		else if (opt == 'f')
			o->forget = strtol(optarg, NULL, 10);
		else if (opt == 'v')
			exit(puts("fairlead-probe " FAIRLEAD_VERSION) < 0);
		else
			return false;
	}
	return o->seconds > 0 && o->seconds <= SECONDS_MAX && optind < argc && argc - optind <= PROBE_SERIES_MAX;
}

int main(int argc, char **argv)
{
	static struct probe_run run;
	struct options o = { 0 };

	if (!take_options(&o, argc, argv))
		return usage();
	for (; optind < argc; optind++)
		if (!probe_series_parse(&run.series[run.n++], argv[optind]))
			return 2;
	if (open_run(&run, &o))
		return EXIT_FAILURE;
	if (o.detach)
		leave();
	loop(&run, o.until);
	if (o.detach) {
		int status = write_result(&run, o.detach);

		forget(o.detach, o.forget);
		return status;
	}
	probe_print(&run, stdout);
	return EXIT_SUCCESS;
}
