// SPDX-License-Identifier: GPL-2.0-only
/* The maps that an instance has pinned, read before anything is loaded: whose are they? */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "user/datapath/private.h"
#include "user/lib/log.h"

int control_pinned(const char *pins, struct fl_control *control, uint32_t *id)
{
	struct bpf_map_info info = {};
	__u32 len = sizeof(info);
	const __u32 zero = 0;
	char path[192];
	int fd, err;

	snprintf(path, sizeof(path), "%s/fl_control", pins);
	fd = bpf_obj_get(path);
	if (fd < 0)
		return -ENOENT;
	err = bpf_obj_get_info_by_fd(fd, &info, &len);
	*id = info.id;
	if (!err)
		err = info.value_size > sizeof(*control) ? -EPROTO : bpf_map_lookup_elem(fd, &zero, control);
	close(fd);
	return err;
}

bool control_is_elsewhere(const struct fl_control *control, uint64_t netns)
{
	return control->layout == FL_LAYOUT_VERSION && control->netns && control->netns != netns;
}

/* What to tell: the way there, or, where nothing leads there, that it may be gone. */
static char *way_to(const char *instance, const char *pins, uint64_t netns)
{
	char path[128], *text;
	int n;

	if (system_netns_find(netns, path, sizeof(path)))
		n = asprintf(&text,
			     "another network namespace, which no name in /run/netns and no process leads to; if it is "
			     "gone, so are its programs: then remove the pins by rm -r %s",
			     pins);
	else
		n = asprintf(
			&text,
			"another network namespace; to unload it there: nsenter --net=%s fairlead --instance %s unload --yes",
			path, instance);
	return n < 0 ? NULL : text;
}

bool datapath_elsewhere(const char *instance, char **where)
{
	struct fl_control control = {};
	uint64_t netns;
	uint32_t id;
	char pins[128];

	snprintf(pins, sizeof(pins), PIN_ROOT "/%s", instance);
	if (system_netns_cookie(&netns) || control_pinned(pins, &control, &id) ||
	    !control_is_elsewhere(&control, netns))
		return false;
	*where = way_to(instance, pins, control.netns);
	return true;
}
