// SPDX-License-Identifier: GPL-2.0-only
/* The configuration, and what the daemon itself finds wrong. */
#include <string.h>

#include "user/doctor/doctor.h"

static size_t warnings(const struct doctor *d)
{
	return d->report.n_findings - d->report.n_errors;
}

void check_configuration(struct doctor *d)
{
	const char *path = d->config_path ? d->config_path : "";

	if (!d->config_path)
		doctor_skip(d, "where the configuration of the instance %s lies only its daemon knows",
			    d->settings.instance);
	else if (!d->config)
		doctor_fail(d, doctor_text(d, "fairlead check %s", path),
			    "%s can't be used: %s%s%s; what needs it is not looked at", path,
			    d->report.n_findings ? d->report.findings[0].pointer : "", d->report.n_findings ? ": " : "",
			    d->report.n_findings ? d->report.findings[0].text : "it can't be read");
	else if (warnings(d))
		doctor_warn(d, doctor_text(d, "fairlead check --strict %s", path), "%s: %zu warning%s", path,
			    warnings(d), warnings(d) == 1 ? "" : "s");
	else
		doctor_ok(d, "%s", path);
}

/* What to do, by how the reason begins; the last one fits all. */
static const struct {
	const char *begins, *remedy;
} remedies[] = {
	{ "the configuration is on trial", "fairlead confirm keeps it, fairlead rollback ends the trial" },
	{ "the configuration was not confirmed", "fairlead apply it, or what should run, by hand" },
	{ "a restart would fail", "mend that file: fairlead check lists what is wrong" },
	{ "no history is kept", "make room, or the directory writable" },
	{ "events are not kept", "make room, or the directory writable" },
	{ "the state table is full", "raise limits.states; fairlead show states --sort bytes: who has them?" },
	{ "interface ", "ip -d link shows the device; is the cable in, and is the name the right one?" },
	{ "tunnel ", "fairlead show tunnels" },
	{ "gateway ",
	  "fairlead show gateways; ping it by its interface; gateway down by hand: fairlead gateway auto NAME" },
	{ "group ", "fairlead show groups" },
	{ "route ", "fairlead show routes; ip route: who else has it?" },
	{ "translation ", "fairlead show translations" },
	{ "vip ", "fairlead show vips" },
	{ "in maintenance", "fairlead vip maintenance off, when the work is done" },
	{ "split-brain", "is the segment between the nodes whole? fairlead show events --kind vip" },
	{ "segment-split", "the cable and the switch of that segment; does the switch drop the virtual MAC?" },
	{ "adverts-refused",
	  "make password_file, address, vhid and ha.key_file the same on both nodes; then fairlead apply" },
	{ "announcement-unseen",
	  "the switch of that segment: does it let frames from the virtual MAC pass, at both nodes' ports?" },
	{ "config sync: ", "fairlead sync diff shows what differs; fairlead sync config on the primary pushes it" },
	{ "sync: no key", "fairlead keygen makes one; the same on all nodes, chmod 600, chown root" },
	{ "sync", "fairlead show sync; ip -d link and ip addr: the link of ha.interface" },
	{ "peer", "fairlead show sync; does the other node run, and is the cable in?" },
	{ "ha: ", "fairlead keygen makes a key; the same on all nodes, chmod 600, chown root" },
	{ "", "fairlead status, and fairlead show events for since when" },
};

static const char *remedy_of(const char *reason)
{
	size_t i = 0;

	while (strncmp(reason, remedies[i].begins, strlen(remedies[i].begins)))
		i++;
	return remedies[i].remedy;
}

void check_status(struct doctor *d)
{
	const json_t *status = doctor_shown(d, "status"), *reasons = json_object_get(status, "reasons");
	json_t *reason;
	size_t i;

	if (!status) {
		doctor_skip(d, "no daemon tells");
		return;
	}
	json_array_foreach((json_t *)reasons, i, reason) {
		doctor_fail(d, remedy_of(json_string_value(reason)), "%s", json_string_value(reason));
	}
	if (!json_array_size(reasons))
		doctor_ok(d, "the daemon finds all as it should be");
}
