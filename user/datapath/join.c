// SPDX-License-Identifier: GPL-2.0-only
/*
 * An XDP dispatcher (libxdp's) that another owner has attached: where the kernel lets us, fl_xdp_generic becomes one of its
 * programs. fl_xdp can't: most dispatchers take no fragments, and the device map would be shared with programs that do.
 * libxdp cannot replace a program in one step: tc serves the device for the moment between.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xdp/libxdp.h>

#include "user/datapath/private.h"
#include "user/lib/log.h"

#include "xdp.skel.h" /* after the structs that it holds */

struct join {
	struct join *next;
	uint32_t ifindex;
	uint32_t dispatcher; /* its program's id, when we tried */
	struct xdp *skel;    /* loaded for this device alone: the kernel ties it to one dispatcher */
	struct xdp_program *prog;
	uint32_t epoch; /* of the state table that it has */
	int err;
};

static int print_libxdp(enum libxdp_print_level level, const char *fmt, va_list ap)
{
	char *text;
	size_t len;

	(void)level;
	if (vasprintf(&text, fmt, ap) < 0)
		return 0;
	len = strlen(text);
	while (len && text[len - 1] == '\n')
		text[--len] = '\0';
	log_debug("%s", text);
	free(text);
	return 0;
}

static struct join *join_find(struct datapath *dp, uint32_t ifindex)
{
	struct join *join = dp->joins;

	while (join && join->ifindex != ifindex)
		join = join->next;
	return join;
}

static void join_clear(struct join *join)
{
	xdp_program__close(join->prog);
	xdp__destroy(join->skel);
	join->prog = NULL;
	join->skel = NULL;
}

static bool is_this_instances(struct datapath *dp, uint32_t id)
{
	struct program_seen seen;

	return program_see(dp, id, &seen) == 0 && seen.owner == OWNER_US;
}

/* Is a program of ours, of this daemon or an earlier one, behind the dispatcher of this device? *id: which. */
bool joined_dispatcher(struct datapath *dp, uint32_t ifindex, uint32_t *id)
{
	struct xdp_multiprog *dispatcher;
	struct xdp_program *prog = NULL;
	bool found = false;

	libxdp_set_print(print_libxdp);
	dispatcher = xdp_multiprog__get_from_ifindex(ifindex);
	if (libxdp_get_error(dispatcher))
		return false;
	while (!found && !xdp_multiprog__is_legacy(dispatcher) && (prog = xdp_multiprog__next_prog(prog, dispatcher))) {
		const char *name = xdp_program__name(prog);

		found = name && strcmp(name, dp->objects.progs[DP_PROG_XDP_GENERIC].name) == 0 &&
			is_this_instances(dp, xdp_program__id(prog));
		if (found && id)
			*id = xdp_program__id(prog);
	}
	xdp_multiprog__close(dispatcher);
	return found;
}

static int detach_id(uint32_t ifindex, uint32_t id)
{
	struct xdp_program *prog = xdp_program__from_id(id);
	int err = libxdp_get_error(prog);

	if (err)
		return err;
	err = xdp_program__detach(prog, ifindex, XDP_MODE_UNSPEC, 0);
	xdp_program__close(prog);
	return err;
}

int leave_dispatcher(struct datapath *dp, uint32_t ifindex)
{
	struct join *join = join_find(dp, ifindex);
	uint32_t id;
	int err = joined_dispatcher(dp, ifindex, &id) ? detach_id(ifindex, id) : 0;

	if (join) {
		join_clear(join);
		join->dispatcher = 0;
	}
	return err;
}

static int join_load(struct datapath *dp, struct join *join)
{
	DECLARE_LIBXDP_OPTS(xdp_program_opts, opts);
	int err;

	join->skel = xdp_open(dp);
	if (!join->skel)
		return -errno;
	join->skel->rodata->fl_joined = true;
	bpf_program__set_autoload(join->skel->progs.fl_xdp, false);
	bpf_program__set_autoload(join->skel->progs.fl_icmp, false);
	err = object_prepare(dp, join->skel->obj, false);
	if (err)
		return err;
	opts.obj = join->skel->obj;
	opts.prog_name = dp->objects.progs[DP_PROG_XDP_GENERIC].name;
	join->prog = xdp_program__create(&opts);
	err = libxdp_get_error(join->prog);
	if (err)
		join->prog = NULL;
	return err;
}

static int join_attach(struct datapath *dp, struct join *join, uint32_t dispatcher)
{
	uint32_t old;

	join_clear(join);
	join->dispatcher = dispatcher;
	join->epoch = dp->states_epoch;
	join->err = join_load(dp, join);
	if (!join->err && joined_dispatcher(dp, join->ifindex, &old))
		join->err = detach_id(join->ifindex, old);
	if (!join->err)
		join->err = xdp_program__attach(join->prog, join->ifindex, XDP_MODE_NATIVE, 0);
	if (join->err)
		join_clear(join);
	return join->err;
}

/* 0, also when we are there already; -errno: why not. A dispatcher that refused us is not asked again. */
int join_dispatcher(struct datapath *dp, uint32_t ifindex, uint32_t dispatcher)
{
	struct join *join = join_find(dp, ifindex);
	uint32_t id;

	if (!join) {
		join = calloc(1, sizeof(*join));
		if (!join)
			return -ENOMEM;
		join->ifindex = ifindex;
		join->next = dp->joins;
		dp->joins = join;
	}
	if (join->prog && join->epoch == dp->states_epoch && joined_dispatcher(dp, ifindex, &id))
		return 0;
	if (join->err && join->dispatcher == dispatcher)
		return join->err;
	return join_attach(dp, join, dispatcher);
}

/* The programs stay attached. */
void joins_free(struct datapath *dp)
{
	while (dp->joins) {
		struct join *join = dp->joins;

		dp->joins = join->next;
		join_clear(join);
		free(join);
	}
}
