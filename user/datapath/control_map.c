// SPDX-License-Identifier: GPL-2.0-only
/* fl_control, which is mapped into the daemon: each word is written at once, where a map update would copy bytes. */

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "user/datapath/private.h"
#include "user/lib/log.h"

int control_map_open(struct datapath *dp)
{
	void *page =
		mmap(NULL, sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE, MAP_SHARED, dp->maps[DP_MAP_CONTROL].fd, 0);

	if (page == MAP_FAILED)
		return log_ret(errno, "cannot map fl_control");
	dp->shared = page;
	return 0;
}

void control_map_close(struct datapath *dp)
{
	if (dp->shared)
		munmap(dp->shared, sysconf(_SC_PAGESIZE));
	dp->shared = NULL;
}

/* The generation last: who reads a new one reads the rest as it belongs to it. */
void control_write(struct datapath *dp)
{
	const struct fl_control *from = &dp->control;
	struct fl_control *to = dp->shared;

	__atomic_store_n(&to->layout, from->layout, __ATOMIC_RELAXED);
	__atomic_store_n(&to->forward, from->forward, __ATOMIC_RELAXED);
	__atomic_store_n(&to->routing, from->routing, __ATOMIC_RELAXED);
	__atomic_store_n(&to->held_until_ns, from->held_until_ns, __ATOMIC_RELAXED);
	__atomic_store_n(&to->reassembly_until_ns, from->reassembly_until_ns, __ATOMIC_RELAXED);
	__atomic_store_n(&to->icmp_ifindex, from->icmp_ifindex, __ATOMIC_RELAXED);
	__atomic_store_n(&to->alive_until, from->alive_until, __ATOMIC_RELAXED);
	for (int set = 0; set < 2; set++)
		__atomic_store_n(&to->policy[set], from->policy[set], __ATOMIC_RELAXED);
	__atomic_store_n(&to->vips, from->vips, __ATOMIC_RELAXED);
	__atomic_store_n(&to->sync, from->sync, __ATOMIC_RELAXED);
	__atomic_store_n(&to->gen, from->gen, __ATOMIC_RELEASE);
}

/* Before the first program that uses it is attached, so that all know whose it is. */
void control_sign(struct datapath *dp)
{
	memcpy(dp->shared->instance, dp->control.instance, sizeof(dp->shared->instance));
	__atomic_store_n(&dp->shared->netns, dp->control.netns, __ATOMIC_RELEASE);
}

void control_bump(struct datapath *dp)
{
	dp->control.gen = FL_GEN_NEXT(dp->control.gen);
	control_write(dp);
}

void control_switch(struct datapath *dp)
{
	dp->control.gen = FL_GEN_SWITCH(dp->control.gen);
	control_write(dp);
}
