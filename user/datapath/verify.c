// SPDX-License-Identifier: GPL-2.0-only
/*
 * Loading both objects at once. Nearly all of it is the kernel's verifier, which goes through a program on one CPU: two of them take half the
 * time of a start. The second thread does nothing else, and is gone before the first one goes on.
 */

#include <pthread.h>
#include <signal.h>

#include "user/datapath/private.h"

struct loading {
	struct bpf_object *object;
	int err;
};

static void *load(void *arg)
{
	struct loading *loading = arg;

	loading->err = bpf_object__load(loading->object);
	return NULL;
}

/* Signals are the first thread's. */
static int thread_begin(pthread_t *thread, struct loading *loading)
{
	sigset_t all, before;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(thread, NULL, load, loading);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return err;
}

void objects_verify(struct bpf_object *xdp, struct bpf_object *tc, int *xdp_err, int *tc_err)
{
	struct loading loading = { .object = tc };
	pthread_t thread;
	bool alone = thread_begin(&thread, &loading);

	*xdp_err = bpf_object__load(xdp);
	if (alone)
		load(&loading);
	else
		pthread_join(thread, NULL);
	*tc_err = loading.err;
}
