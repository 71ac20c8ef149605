// SPDX-License-Identifier: GPL-2.0-only
/* A gateway's status and its reason in words. */
#include <stdio.h>
#include <string.h>

#include "user/gateway/monitor.h"

#define SECOND 1000000000ull

const char *monitor_status_text(enum monitor_status status)
{
	static const char *const texts[] = {
		[MONITOR_UNKNOWN] = "unknown", [MONITOR_UP] = "up", [MONITOR_WARN] = "warn", [MONITOR_DOWN] = "down"
	};

	return texts[status];
}

static const char *ordinal(uint32_t n)
{
	static const char *const ends[] = { "th", "st", "nd", "rd" };

	return n % 10 > 3 || n % 100 / 10 == 1 ? ends[0] : ends[n % 10];
}

/* "45 s", "5 min", rounded up */
static const char *span(uint64_t ns, char *buf, size_t len)
{
	uint64_t s = (ns + SECOND - 1) / SECOND;

	if (s < 120)
		snprintf(buf, len, "%llu s", (unsigned long long)s);
	else
		snprintf(buf, len, "%llu min", (unsigned long long)(s + 59) / 60);
	return buf;
}

/* What is known of the lost probes */
static void detail_text(const struct monitor_target_view *t, char *buf, size_t len)
{
	buf[0] = '\0';
	if (t->detail == MONITOR_REFUSED)
		snprintf(buf, len, ": the connection was refused");
	else if (t->detail == MONITOR_RCODE)
		snprintf(buf, len, ": answered with DNS error %d", t->detail_arg);
	else if (t->detail == MONITOR_UNSENT)
		snprintf(buf, len, ": can't send, %s", strerrordesc_np(t->detail_arg));
}

static void one_target_silent(const struct monitor_view *v, char *buf)
{
	const struct monitor_target_view *t = &v->first;
	char why[80];

	detail_text(t, why, sizeof(why));
	if (t->answered_row)
		snprintf(buf, MONITOR_REASON_MAX, "answers again: %u in a row, %u must be", t->answered_row,
			 v->up_after);
	else if (!t->missed_row)
		snprintf(buf, MONITOR_REASON_MAX, "not answered yet");
	else
		snprintf(buf, MONITOR_REASON_MAX, "%u probe%s lost in a row%s", t->missed_row,
			 t->missed_row == 1 ? "" : "s", why);
}

static void targets_text(const struct monitor_view *v, char *buf)
{
	snprintf(buf, MONITOR_REASON_MAX, "%u of %u targets %s%s", v->n_up, v->n_targets,
		 v->n_up == 1 ? "answers" : "answer", v->status == MONITOR_UP ? "" : ", ");
	if (v->status != MONITOR_UP)
		snprintf(buf + strlen(buf), MONITOR_REASON_MAX - strlen(buf), "%u must", v->quorum);
}

/* It warns for a while longer than there is reason to: then for what it was */
static void above_text(const char *what, double is, double limit, const char *unit, uint64_t ago_ns, char *buf)
{
	char ago[32];

	if (is > limit)
		snprintf(buf, MONITOR_REASON_MAX, "%s %.3g %s above %.4g %s", what, is, unit, limit, unit);
	else
		snprintf(buf, MONITOR_REASON_MAX, "%s %.3g %s, above %.4g %s until %s ago", what, is, unit, limit, unit,
			 span(ago_ns, ago, sizeof(ago)));
}

static void held_text(const struct monitor_view *v, uint64_t now_ns, char *buf)
{
	char left[32], in[32];
	size_t n;

	span(v->held_until_ns > now_ns ? v->held_until_ns - now_ns : 0, left, sizeof(left));
	n = snprintf(buf, MONITOR_REASON_MAX, "answers, but is held down for %s more", left);
	if (v->times_down > 1)
		snprintf(buf + n, MONITOR_REASON_MAX - n, ": down the %u%s time in %s", v->times_down,
			 ordinal(v->times_down), span(now_ns - v->first_down_ns, in, sizeof(in)));
}

const char *monitor_reason_text(const struct monitor_view *v, const char *where, uint64_t now_ns, char *buf)
{
	uint64_t ago_ns = now_ns - v->above_ns;

	switch (v->reason) {
	case MONITOR_ANSWERS:
		if (v->n_targets > 1)
			targets_text(v, buf);
		else
			snprintf(buf, MONITOR_REASON_MAX, "answers");
		break;
	case MONITOR_NOT_MONITORED:
		snprintf(buf, MONITOR_REASON_MAX, "not monitored");
		break;
	case MONITOR_NOT_PROBED:
		snprintf(buf, MONITOR_REASON_MAX, "%s",
			 v->status == MONITOR_UNKNOWN ? "not probed yet" : "as it was before, not probed again yet");
		break;
	case MONITOR_BY_HAND:
		snprintf(buf, MONITOR_REASON_MAX, "forced %s by hand", v->forced == MONITOR_FORCED_UP ? "up" : "down");
		break;
	case MONITOR_LOSS:
		above_text("loss", v->loss_pct, v->limit, "%", ago_ns, buf);
		break;
	case MONITOR_LATENCY:
		above_text("latency", v->rtt_us / 1000.0, v->limit, "ms", ago_ns, buf);
		break;
	case MONITOR_PATH:
		if (v->path == MONITOR_NO_DEVICE)
			snprintf(buf, MONITOR_REASON_MAX, "the device of %s is not there", where);
		else if (v->path == MONITOR_NO_MEMBER)
			snprintf(buf, MONITOR_REASON_MAX, "no member of the underlay of %s can be used", where);
		else
			snprintf(buf, MONITOR_REASON_MAX, "link of %s down", where);
		break;
	case MONITOR_NOT_LEARNED:
		snprintf(buf, MONITOR_REASON_MAX, "nothing learned by DHCP, router advertisement or PPP on %s", where);
		break;
	case MONITOR_NO_TARGET:
		snprintf(buf, MONITOR_REASON_MAX, "the address of the other end of %s is not known: give \"targets\"",
			 where);
		break;
	case MONITOR_NO_SOURCE:
		snprintf(buf, MONITOR_REASON_MAX, "no address to send from on %s", where);
		break;
	case MONITOR_SILENT:
		if (v->n_targets > 1)
			targets_text(v, buf);
		else
			one_target_silent(v, buf);
		break;
	case MONITOR_HELD:
		held_text(v, now_ns, buf);
		break;
	}
	return buf;
}
