/* SPDX-License-Identifier: GPL-2.0-only */
/* Helpers of test_system*.c. Each test runs in its own process and network namespace. */
#pragma once

#include <jansson.h>

#include "user/system/internal.h"

#define INSTANCE "test"
#define EVERYTHING (SYSTEM_LINK | SYSTEM_ADDR | SYSTEM_NEIGH | SYSTEM_ROUTE | SYSTEM_HOOK | SYSTEM_DEFAULT)

struct told {
	unsigned int what;
	int times;
};

extern struct system *sys; /* open, in the test's namespace */
extern struct told told;   /* by the last dispatch() */

void set_up(void);
void tear_down(void);

/* By the shell; the test fails when the command does. */
__attribute__((format(printf, 1, 2))) void run(const char *fmt, ...);
/* The array that `ip -j …` prints; empty entries, which it prints for what it filters out, are left out. */
__attribute__((format(printf, 1, 2))) json_t *ip(const char *fmt, ...);
const char *text(json_t *object, const char *key); /* "" when absent */
long long number(json_t *object, const char *key);
bool has_flag(json_t *link, const char *flag);

pid_t far_namespace(void); /* a process that has one of its own, and ends with this one */

unsigned int dispatch(void);
/* Dispatches until nothing comes any more: carriers and IPv6 follow a change by some milliseconds. What was told. */
unsigned int settle(void);
void sysctl_is(const char *key, const char *expected);
struct prefix prefix(const char *s);
struct addr addr(const char *s); /* NULL: AF_UNSPEC */
uint32_t index_of(const char *name);
