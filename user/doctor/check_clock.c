// SPDX-License-Identifier: GPL-2.0-only
/* Time: events of two nodes are put beside each other, schedules and replay protection live by it. */
#include "user/doctor/judge.h"

#define APART_WARN_MS 1000
#define APART_FAIL_MS 60000

void judge_clock(struct doctor *d, int state, const struct timex *clock)
{
	if (state < 0)
		doctor_skip(d, "the kernel does not tell");
	else if (state == TIME_ERROR || clock->status & STA_UNSYNC)
		doctor_warn(
			d, "timedatectl set-ntp true, or install chrony; timedatectl timesync-status says more",
			"the clock is not synchronised: events of the nodes can't be compared, and schedules of rules "
			"are at the wrong time");
	else
		doctor_ok(d, "synchronised, to %ld ms at least", clock->maxerror / 1000);
}

void check_clock(struct doctor *d)
{
	struct timex clock = { 0 };
	int state = adjtimex(&clock);

	judge_clock(d, state, &clock);
}

void judge_peer_clock(struct doctor *d, const char *peer, long long offset_ms)
{
	const char *remedy = "on both nodes: timedatectl set-ntp true, or install chrony";
	long long apart = offset_ms < 0 ? -offset_ms : offset_ms;

	if (apart >= APART_FAIL_MS)
		doctor_fail(d, remedy, "the clock of %s is %lld s apart", peer, offset_ms / 1000);
	else if (apart >= APART_WARN_MS)
		doctor_warn(d, remedy, "the clock of %s is %lld ms apart", peer, offset_ms);
	else
		doctor_ok(d, "%s: %lld ms apart", peer, offset_ms);
}

void check_peer_clock(struct doctor *d)
{
	const json_t *peers = doctor_shown(d, "sync");
	unsigned int n = 0;
	json_t *row;
	size_t i;

	json_array_foreach((json_t *)peers, i, row) {
		if (!json_is_integer(json_object_get(row, "clock_offset_ms")))
			continue;
		judge_peer_clock(d, doctor_string(row, "peer"), doctor_number(row, "clock_offset_ms"));
		n++;
	}
	if (!n)
		doctor_skip(d, "no peer is connected that tells its time");
}
