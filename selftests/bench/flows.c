// SPDX-License-Identifier: GPL-2.0-only
/* Connections that the devices under test know: forgetting them, making millions, and what one takes. */
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fairlead/state.h"
#include "selftests/bench/bench.h"

#define FILL 1000000 /* flows at a time: what has not been answered may give way */

/* All of the namespace's connections. */
static void conntrack_flush(struct run *r)
{
	struct {
		struct nlmsghdr nl;
		struct nfgenmsg nf;
	} request = {
		.nl = { .nlmsg_len = sizeof(request),
			.nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK },
		.nf = { .version = NFNETLINK_V0 },
	};
	struct {
		struct nlmsghdr nl;
		struct nlmsgerr error;
	} answer = {};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);

	if (fd < 0 || send(fd, &request, sizeof(request), 0) < 0 || recv(fd, &answer, sizeof(answer), 0) < 0)
		complain(r, "the kernel's connections stay: %s", strerror(errno));
	else if (answer.error.error)
		complain(r, "the kernel's connections stay: %s", strerror(-answer.error.error));
	if (fd >= 0)
		close(fd);
}

void flows_forget(struct run *r, enum dut_id dut)
{
	if (duts[dut].fairlead) {
		if (daemon_ask(r, dut, "kill", "states", "--all", NULL))
			complain(r, "%s: states could not be killed", duts[dut].name);
		return;
	}
	netns_enter(r, duts[dut].name);
	conntrack_flush(r);
}

static bool map_info(const struct run *r, enum dut_id dut, const char *map, struct bpf_map_info *info)
{
	uint32_t len = sizeof(*info);
	char pin[256];
	int fd, err;

	memset(info, 0, sizeof(*info));
	snprintf(pin, sizeof(pin), "/sys/fs/bpf/fairlead/%s-%s/%s", r->prefix, duts[dut].name, map);
	fd = bpf_obj_get(pin);
	err = fd < 0 ? fd : bpf_obj_get_info_by_fd(fd, info, &len);
	if (fd >= 0)
		close(fd);
	return !err;
}

void flows_fill(struct run *r, enum path_id path)
{
	struct bpf_map_info info;

	r->without[path] = true;
	if (!r->daemons[paths[path].dut] || !map_info(r, paths[path].dut, "fl_states", &info) ||
	    info.max_entries < paths[path].flows)
		return;
	for (uint32_t first = 0; first < paths[path].flows; first += FILL) {
		uint32_t left = paths[path].flows - first;

		live_fill(r, path, first, left < FILL ? left : FILL);
	}
	r->without[path] = false;
}

/* Bytes of an object of the slab; NAN: not told. */
static double slab_bytes(const char *name)
{
	FILE *file = fopen("/proc/slabinfo", "r");
	unsigned long objects, bytes = 0;
	char line[256], found[64];

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "%63s %*u %lu %lu", found, &objects, &bytes) == 3 && !strcmp(found, name))
			break;
		else
			bytes = 0;
	if (file)
		fclose(file);
	return bytes;
}

void flows_memory(struct run *r)
{
	static const char *const maps[] = { "fl_buckets", "fl_states", "fl_state_counts", "fl_state_control" };
	struct bpf_map_info info;
	double bytes = 0, slots = 0;

	for (size_t i = 0; i < sizeof(maps) / sizeof(*maps); i++) {
		if (!map_info(r, DUT_STATES, maps[i], &info)) {
			complain(r, "no telling how much memory states have");
			return;
		}
		bytes += (double)info.max_entries * info.value_size;
		if (!strcmp(maps[i], "fl_states"))
			slots = info.max_entries;
	}
	/* states.h: two and a half places for each state, so that all may be translated */
	fact(r, "state_bytes", bytes / slots);
	fact(r, "state_table_bytes", bytes / (slots / 2.5));
	fact(r, "conntrack_bytes", slab_bytes("nf_conntrack"));
}
