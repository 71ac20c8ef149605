// SPDX-License-Identifier: GPL-2.0-only
/* What the programs count: connections, and drops that should not be. */
#include <string.h>
#include <unistd.h>

#include "user/doctor/judge.h"
#include "user/lib/clock.h"

#define FULL_PCT 80
#define MEASURE_MS 1000

void check_states(struct doctor *d)
{
	const json_t *states = json_object_get(doctor_shown(d, "status"), "states");
	long long n = doctor_number(states, "states"), limit = doctor_number(states, "limit");
	const char *remedy = "raise limits.states; who has them: fairlead show states --sort bytes";

	if (!limit)
		doctor_skip(d, states ? "nothing is judged, so there are no states" : "no daemon tells");
	else if (n >= limit)
		doctor_fail(d, remedy, "the state table is full: %lld of %lld; new connections are refused", n, limit);
	else if (n * 100 >= limit * FULL_PCT)
		doctor_warn(d, remedy, "the state table fills up: %lld of %lld", n, limit);
	else
		doctor_ok(d, "%lld of %lld", n, limit);
}

/* Those that tell of something wrong rather than of what should be dropped, and from how many a second on. */
static const struct {
	const char *reason;
	unsigned int per_s;
	const char *remedy;
} telling[] = {
	{ "forwarding-off", 1, "who switches forwarding off? See the check \"forwarding\"" },
	{ "foreign-egress", 1,
	  "put the device that the route leads to into the configuration, or take the route away" },
	{ "untagged", 1, "the kernel forwards what fairlead has not passed: is net.ipv4.ip_forward on?" },
	{ "tunnel-outer-fragment", 10, "a smaller MTU of the tunnel at the other end" },
	{ "tunnel-failed", 1, "fairlead show tunnels: is there a way to the remote end?" },
	{ "npt-untranslatable", 10, "fairlead show translations: is the external prefix known?" },
	{ "icmp-rate-limit", 10, "who sends what can't be forwarded? fairlead log, tcpdump" },
	{ "no-underlay-route", 1, "ip route get REMOTE: no way to the tunnel's other end" },
	{ "internal", 1, "a bug: fairlead doctor --bundle FILE, and tell us; systemctl restart fairleadd mends it" },
	{ "spoofed-source", 10,
	  "a network behind the wrong interface? Then a route to it is missing; else who sends that?" },
	{ "state-mismatch", 10, "does one direction go another way? \"state\": \"loose\" for such a path" },
	{ "state-table-full", 1, "raise limits.states" },
	{ "state-limit", 10, "fairlead show states --rule RULE: one host with too many, or max_states too low?" },
	{ "fragment-unknown", 10, "fragments out of order, or an attack: who sends them?" },
	{ "nat-ports-exhausted", 1, "translate to more addresses, or shorten timeouts_s" },
	{ "nat-without-state", 10, "TCP that began before the translation: it ends by itself" },
	{ "nat-no-address", 1, "the interface that nat translates to has no address: ip addr" },
	{ "gateway-down", 1, "fairlead show gateways" },
	{ "not-owner", 10,
	  "frames for a shared address still come here: a stale ARP cache, or a switch that learned the wrong port" },
};

static const json_t *counter(const json_t *rows, const char *interface, const char *reason)
{
	json_t *row;
	size_t i;

	json_array_foreach((json_t *)rows, i, row) {
		if (!strcmp(doctor_string(row, "interface"), interface) &&
		    !strcmp(doctor_string(row, "reason"), reason))
			return row;
	}
	return NULL;
}

void judge_drops(struct doctor *d, const json_t *before, const json_t *after, long long ms)
{
	bool any = false;
	json_t *row;
	size_t i;

	json_array_foreach((json_t *)after, i, row) {
		const char *interface = doctor_string(row, "interface"), *reason = doctor_string(row, "reason");
		long long n =
			doctor_number(row, "packets") - doctor_number(counter(before, interface, reason), "packets");

		for (size_t j = 0; j < sizeof(telling) / sizeof(telling[0]); j++) {
			if (strcmp(reason, telling[j].reason) || n * 1000 < (long long)telling[j].per_s * ms)
				continue;
			any = true;
			doctor_warn(d, telling[j].remedy, "%s: %lld packets dropped as %s in %lld ms", interface, n,
				    reason, ms);
		}
	}
	if (!any)
		doctor_ok(d, "none that should not be, in %lld ms", ms);
}

void check_drops_begin(struct doctor *d)
{
	if (d->settings.answers)
		d->drops_before =
			d->settings.ask(d->settings.arg, json_pack("{s:s,s:s}", "command", "show", "what", "drops"));
}

void check_drops(struct doctor *d)
{
	long long left = d->began_ms + MEASURE_MS - clock_ms(CLOCK_MONOTONIC);

	if (!d->drops_before) {
		doctor_skip(d, "no daemon tells");
		return;
	}
	if (left > 0)
		usleep(left * 1000);
	judge_drops(d, d->drops_before, doctor_shown(d, "drops"), clock_ms(CLOCK_MONOTONIC) - d->began_ms);
}
