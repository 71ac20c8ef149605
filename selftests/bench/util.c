// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <net/if.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "selftests/bench/bench.h"

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

void die(const char *fmt, ...)
{
	va_list ap;

	fputs("bench: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(EXIT_FAILURE);
}

pid_t forked(void)
{
	pid_t pid = fork();

	if (pid < 0)
		die("cannot fork: %s", strerror(errno));
	return pid;
}

void complain(struct run *r, const char *fmt, ...)
{
	json_t *text;
	va_list ap;

	va_start(ap, fmt);
	text = json_vsprintf(fmt, ap);
	va_end(ap);
	if (!text)
		die("no memory");
	fprintf(stderr, "bench: %s\n", json_string_value(text));
	json_array_append_new(r->complaints, text);
}

void pin_to_cpu(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("cannot stay on CPU %d: %s", cpu, strerror(errno));
}

void leave_packets_cpu(const struct run *r)
{
	cpu_set_t all;

	memset(&all, 0xff, sizeof(all));
	if (!r->brief)
		pin_to_cpu(r->beside);
	else if (sched_setaffinity(0, sizeof(all), &all))
		die("cannot use all CPUs: %s", strerror(errno));
}

void netns_enter(const struct run *r, const char *name)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "/run/netns/%s-%s", r->prefix, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET))
		die("cannot enter %s: %s", path, strerror(errno));
	close(fd);
}

uint32_t ifindex_of(const char *fmt, const char *name)
{
	char device[IF_NAMESIZE];
	uint32_t ifindex;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(device, sizeof(device), fmt, name);
#pragma GCC diagnostic pop
	ifindex = if_nametoindex(device);
	if (!ifindex)
		die("no device %s in this namespace", device);
	return ifindex;
}

void fact(struct run *r, const char *name, double value)
{
	json_object_set_new(r->facts, name, json_real(value));
}

double median(double *values, size_t n)
{
	qsort(values, n, sizeof(*values), compare);
	return n ? (values[(n - 1) / 2] + values[n / 2]) / 2 : NAN;
}

void fact_add(struct run *r, const char *name, double value)
{
	json_t *list = json_object_get(r->series, name), *one;
	double values[ROUNDS_MAX];
	size_t i;

	if (!list) {
		list = json_array();
		json_object_set_new(r->series, name, list);
	}
	json_array_append_new(list, json_real(value));
	json_array_foreach(list, i, one) {
		if (i < ROUNDS_MAX)
			values[i] = json_real_value(one);
	}
	fact(r, name, median(values, i));
}

void fact_missing(struct run *r, const char *prefix, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	json_object_set_new(r->missing, prefix, json_vsprintf(fmt, ap));
	va_end(ap);
}

double fact_get(const struct run *r, const char *name)
{
	const json_t *value = json_object_get(r->facts, name);

	return value ? json_real_value(value) : NAN;
}
