// SPDX-License-Identifier: GPL-2.0-only
/* The table: what is compared with what, what was aimed at, and how far it may go before the measurement must be wrong. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "selftests/bench/bench.h"

#define LOAD_QUIET 0.7 /* of /proc/loadavg, before the run */

enum sense {
	AT_LEAST, /* peer / ours */
	AT_MOST,  /* ours / peer */
};

struct row {
	const char *id, *text;
	enum path_id ours, peer;
	bool net; /* of PATH_DROP or, for 6in4 frames, PATH_DROP_6IN4 */
	enum sense sense;
	double goal, limit; /* 0: none; the limit is where the plan put the bare redirect */
	bool bounded;	    /* the bare redirect of the same rounds is the limit; past it the measurement is wrong */
};

static const struct row rows[] = {
	{ "G1", "NPT forward : kernel SNPT", PATH_NPT, PATH_KERNEL_NPT, false, AT_LEAST, 2.5, 2.9, true },
	{ "G1 net", "the same, without the harness", PATH_NPT, PATH_KERNEL_NPT, true, AT_LEAST, 7, 11, true },
	{ "G2", "decap + NPT + encap : kernel forward", PATH_TUNNELS, PATH_KERNEL, false, AT_LEAST, 2.0, 2.2, true },
	{ "G2 net", "the same, without the harness", PATH_TUNNELS, PATH_KERNEL, true, AT_LEAST, 5, 0, true },
	{ "G3", "NPT forward : bare redirect", PATH_NPT, PATH_REDIRECT, false, AT_MOST, 1.15, 1.0, false },
	{ "G3 plain", "forward : bare redirect", PATH_PLAIN, PATH_REDIRECT, false, AT_MOST, 1.15, 1.0, false },
	{ "G3 decap", "decap + forward : bare redirect", PATH_DECAP, PATH_REDIRECT, false, AT_MOST, 1.15, 1.0, false },
	{ "G3 6in4", "decap + NPT + encap : bare redirect", PATH_TUNNELS, PATH_REDIRECT, false, AT_MOST, 1.15, 1.0,
	  false },
	{ "G4", "65,536 states : nft ct", PATH_STATES, PATH_KERNEL_CT, false, AT_LEAST, 2.8, 3.0, true },
	{ "G4 net", "the same, without the harness", PATH_STATES, PATH_KERNEL_CT, true, AT_LEAST, 6, 0, true },
	{ "G5", "1,000 rules, none fits : nft, linear", PATH_RULES1K, PATH_NFT1K, false, AT_LEAST, 18, 20, true },
	{ "G5 flat", "1,000 rules : 10", PATH_RULES1K, PATH_RULES10, false, AT_MOST, 1.10, 0, false },
	{ "G6", "10,000 rules, none fits : nft, linear", PATH_RULES10K, PATH_NFT10K, false, AT_LEAST, 100, 0, true },
	{ "G6 flat", "10,000 rules : 10", PATH_RULES10K, PATH_RULES10, false, AT_MOST, 1.25, 0, false },
	{ "G7", "1,000 rules, none fits : nft concat set", PATH_RULES1K, PATH_NFT_SET, false, AT_LEAST, 2.4, 2.8,
	  true },
	{ "G8", "new connections : nf_conntrack", PATH_NEW, PATH_KERNEL_NEW, false, AT_LEAST, 1.8, 2.0, true },
	{ "G19 gateways", "64 gateways : 1", PATH_GATEWAYS, PATH_GATEWAY1, false, AT_MOST, 1.15, 0, false },
	{ "G19 states", "9.9 million states : 65,536", PATH_STATES_MANY, PATH_STATES, false, AT_MOST, 1.5, 0, false },
	{ "G19 clients", "10,000 clients : 1, 10,000 flows each", PATH_CLIENTS10K, PATH_CLIENTS1, false, AT_MOST, 1.15,
	  0, false },
	{ "G19 NPT", "256 translations : 1", PATH_NPT256, PATH_NPT, false, AT_MOST, 1.15, 0, false },
	{ "info", "kernel, 256 SNPT rules : 1", PATH_KERNEL_NPT256, PATH_KERNEL_NPT, false, AT_MOST, 0, 0, false },
	{ "info", "10,000 clients and flows : 1 remote, 1,024 flows", PATH_CLIENTS10K, PATH_DECAP, false, AT_MOST, 0, 0,
	  false },
	{ "info", "forward : kernel forward", PATH_PLAIN, PATH_KERNEL, false, AT_LEAST, 0, 0, true },
	{ "info", "forward, 65,536 flows : 1,024", PATH_PLAIN_64K, PATH_PLAIN, false, AT_MOST, 0, 0, false },
	{ "info", "forward : kernel forward, 65,536 flows", PATH_PLAIN_64K, PATH_KERNEL_64K, false, AT_LEAST, 0, 0,
	  true },
	{ "info", "tc, NPT forward : kernel SNPT", PATH_TC_NPT, PATH_KERNEL_NPT, false, AT_LEAST, 0, 0, true },
	{ "info", "tc, decap + NPT + encap : kernel forward", PATH_TC_TUNNELS, PATH_KERNEL, false, AT_LEAST, 0, 0,
	  true },
	{ "info", "generic, NPT forward : kernel SNPT", PATH_GENERIC_NPT, PATH_KERNEL_NPT, false, AT_LEAST, 0, 0,
	  true },
	{ "info", "generic, decap + NPT + encap : kernel fwd", PATH_GENERIC_TUNNELS, PATH_KERNEL, false, AT_LEAST, 0, 0,
	  true },
};

/* Measured once: a value that may be at most `goal`. */
static const struct fact_row {
	const char *id, *text, *fact, *unit;
	double goal; /* NAN: none */
	bool always; /* no matter of time: judged in a short run too */
} fact_rows[] = {
	{ "G20", "daemon's memory, 10,000 clients", "rss_10000_mb", "MB", 32, true },
	{ "G20", "  after a restart", "rss_10000_after_restart_mb", "MB", 32, true },
	{ "G20", "  10,000 rules", "rss_rules_mb", "MB", 32, false },
	{ "G20", "  small configuration", "rss_mb", "MB", 32, true },
	{ "G20", "start to first forwarded packet, 10,000 clients", "start_10000_ms", "ms", 1000, false },
	{ "G20", "  small configuration", "start_ms", "ms", 1000, false },
	{ "G20", "kill -9 and restart, 10,000 clients: packets lost", "restart_lost", "", 0, true },
	{ "", "  of packets sent meanwhile", "restart_sent", "", NAN, false },
	{ "", "  restart until the daemon answers", "restart_ready_ms", "ms", NAN, false },
	{ "G12", "memory of a state, all in", "state_bytes", "bytes", 192, true },
	{ "G17", "apply 10,000 rules", "apply_10000_ms", "ms", 48, false },
	{ "G17", "  packets lost meanwhile", "apply_lost", "", 0, true },
	{ "", "  of packets sent meanwhile", "apply_sent", "", NAN, false },
	{ "G18", "apply one changed rule of 10,000", "apply_change_ms", "ms", 2, false },
	{ "", "  of 10", "apply_change_of_10_ms", "ms", NAN, false },
	{ "G15", "a gateway dies: down after, the worst", "gateway_down_worst_ms", "ms", 1300, false },
	{ "G15", "  with interval_ms 20", "gateway_down_fast_ms", "ms", 100, false },
	{ "G15", "  from there to the first packet by another", "gateway_moved_us", "us", 1000, false },
	{ "G10", "CPU time a state, both daemons", "pair_sync_ns", "ns", 1200, false },
	{ "G10", "  of that the standby's", "pair_install_ns", "ns", 1000, false },
	{ "G11", "standby's lag at 50,000 new states a second: p50", "pair_lag_p50_ms", "ms", NAN, false },
	{ "G11", "  p99", "pair_lag_p99_ms", "ms", 10, false },
	{ "", "  the worst", "pair_lag_max_ms", "ms", NAN, false },
	{ "", "  states a second that it was", "pair_lag_rate", "", NAN, false },
	{ "G11", "  states that the standby lacks in the end", "pair_lag_lost", "", 0, true },
	{ "", "  1 % of the link's packets lost: p99", "pair_loss_p99_ms", "ms", NAN, false },
	{ "G11", "    states that the standby lacks in the end", "pair_loss_lost", "", 0, true },
	{ "", "  the link cut for 4 s: the worst", "pair_cut_max_ms", "ms", NAN, false },
	{ "G11", "    states that the standby lacks in the end", "pair_cut_lost", "", 0, true },
	{ "", "    conntrackd: lacks in the end", "ct_lag_lost", "", NAN, false },
	{ "", "    1 % lost", "ct_loss_lost", "", NAN, false },
	{ "", "    link cut", "ct_cut_lost", "", NAN, false },
	{ "G13", "master killed: until the other answers, fast_ms 10", "failover_fast_kill_ms", "ms", 60, false },
	{ "", "  the longest gap between answers", "failover_fast_kill_gap_ms", "ms", NAN, false },
	{ "", "  keepalived: the longest gap", "failover_vrrp_kill_gap_ms", "ms", NAN, false },
	{ "G13", "master's link lost: the longest gap, fast_ms 10", "failover_fast_cut_gap_ms", "ms", 60, false },
	{ "G13", "busy machine: takeovers from a master that lives", "failover_fast_false", "", 0, false },
	{ "", "  keepalived", "failover_vrrp_false", "", NAN, false },
	{ "", "  of seconds", "soak_seconds", "s", NAN, false },
	{ "", "  the machine stood still for more than 5 ms", "soak_stalls", "times", NAN, false },
	{ "", "    at worst", "soak_stall_ms", "ms", NAN, false },
	{ "", "outages discarded: the machine stood still", "failover_discarded", "", NAN, false },
	{ "G14", "planned changes: packets lost", "handover_lost", "", 0, true },
	{ "G14", "  a TCP connection through them is broken", "handover_tcp_broken", "", 0, true },
	{ "", "  of packets sent meanwhile", "handover_sent", "", NAN, false },
	{ "", "  changes", "handover_changes", "", NAN, false },
	{ "", "  the machine stood still, at worst", "handover_stall_ms", "ms", NAN, false },
	{ "", "verifier, all programs", "verify_ms", "ms", NAN, false },
	{ "", "  fl_xdp, instructions", "verify_fl_xdp_insns", "", NAN, false },
	{ "", "  fl_tc_in, instructions", "verify_fl_tc_in_insns", "", NAN, false },
	{ "", "fl_xdp alone: forward", "program_plain_ns", "ns", NAN, false },
	{ "", "  forward + NPT", "program_npt_ns", "ns", NAN, false },
	{ "", "  decap + forward", "program_decap_ns", "ns", NAN, false },
	{ "", "  decap + NPT + encap", "program_tunnels_ns", "ns", NAN, false },
	{ "", "  broker, 1 client, 10,000 flows", "program_clients_1_ns", "ns", NAN, false },
	{ "", "  broker, 10,000 clients", "program_clients_10000_ns", "ns", NAN, false },
	{ "", "  256 translations", "program_npt_256_ns", "ns", NAN, false },
	{ "", "  forward, 65,536 flows", "program_plain_64k_ns", "ns", NAN, false },
};

struct summary {
	double median, min, max;
};

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static struct summary summarize(const double *values, int n)
{
	double sorted[ROUNDS_MAX];

	if (n < 1)
		return (struct summary){ NAN, NAN, NAN };
	memcpy(sorted, values, n * sizeof(*values));
	qsort(sorted, n, sizeof(*sorted), compare);
	return (struct summary){ (sorted[(n - 1) / 2] + sorted[n / 2]) / 2, sorted[0], sorted[n - 1] };
}

/* The same for values that were measured once, or are medians already. */
static const struct fact_ratio {
	const char *id, *text, *ours, *peer;
	double goal; /* ours / peer, at most */
} fact_ratios[] = {
	{ "G12", "memory of a state : of nf_conn", "state_bytes", "conntrack_bytes", 0.75 },
	{ "G12 table", "a table's memory for each state : of nf_conn", "state_table_bytes", "conntrack_bytes", 0.75 },
	{ "G17", "apply 10,000 rules : nft -f", "apply_10000_ms", "nft_10000_ms", 0.25 },
	{ "G18", "apply one changed rule of 10,000 : of 10", "apply_change_ms", "apply_change_of_10_ms", 1.25 },
	{ "info", "the same : nft, one rule", "apply_change_ms", "nft_change_ms", NAN },
	{ "G15", "a gateway dies, until it is down : a dpinger", "gateway_down_ms", "gateway_down_peer_ms", 0.1 },
	{ "G16", "256 gateways, CPU time in % : 256 dpingers", "probing_cpu_pct", "probing_peer_cpu_pct", 0.05 },
	{ "G16", "  resident memory in MB", "probing_mb", "probing_peer_mb", 0.02 },
	{ "G9", "new flows, with a peer : alone", "pair_on_ns", "pair_off_ns", 1.3 },
	{ "info", "  nf_conntrack, with conntrackd : without", "ct_on_ns", "ct_off_ns", NAN },
	{ "G9", "new flows with a peer : nf_conntrack, conntrackd", "pair_on_ns", "ct_on_ns", 0.2 },
	{ "info", "until the standby has the burst, ms : conntrackd", "pair_all_ms", "ct_all_ms", NAN },
	{ "G10", "CPU time a state, both daemons : conntrackds", "pair_sync_ns", "ct_sync_ns", 0.1 },
	{ "info", "  of that the standby's", "pair_install_ns", "ct_install_ns", NAN },
	{ "info", "standby's lag, p99, ms : conntrackd", "pair_lag_p99_ms", "ct_lag_p99_ms", NAN },
	{ "G13", "master killed, ms, fast_ms 10 : ucarp", "failover_fast_kill_ms", "failover_ucarp_kill_ms", 0.02 },
	{ "G13", "  : keepalived, 10 ms", "failover_fast_kill_ms", "failover_vrrp_kill_ms", 1.2 },
	{ "info", "  advbase_s 1 : ucarp", "failover_classic_kill_ms", "failover_ucarp_kill_ms", NAN },
	{ "G13", "master's link lost, gap in ms, fast_ms 10 : ucarp", "failover_fast_cut_gap_ms",
	  "failover_ucarp_cut_gap_ms", 0.02 },
	{ "G13", "  : keepalived, 10 ms", "failover_fast_cut_gap_ms", "failover_vrrp_cut_gap_ms", 1.2 },
	{ "info", "  advbase_s 1 : ucarp", "failover_classic_cut_gap_ms", "failover_ucarp_cut_gap_ms", NAN },
};

static enum path_id floor_of(enum path_id path)
{
	enum traffic_in in = paths[path].in;

	return in == IN_PLAIN || in == IN_INTERNAL ? PATH_DROP : PATH_DROP_6IN4;
}

static double value(const struct run *r, enum path_id path, bool net, int round)
{
	return r->ns[path][round] - (net ? r->ns[floor_of(path)][round] : 0);
}

/* Of the rounds' ratios, each between two values of one round. */
static struct summary ratio(const struct run *r, const struct row *row, enum path_id ours)
{
	double ratios[ROUNDS_MAX];

	for (int i = 0; i < r->n_rounds; i++) {
		ratios[i] = value(r, row->peer, row->net, i) / value(r, ours, row->net, i);
		if (row->sense == AT_MOST)
			ratios[i] = 1 / ratios[i];
	}
	return summarize(ratios, r->n_rounds);
}

static struct summary path_summary(const struct run *r, enum path_id path, bool net)
{
	double values[ROUNDS_MAX];

	for (int i = 0; i < r->n_rounds; i++)
		values[i] = value(r, path, net, i);
	return summarize(values, r->n_rounds);
}

/*
 * Nothing that forwards is faster than the redirect alone: past what that reaches, the measurement is wrong. Past the planned
 * limit only, it is the harness that costs less, or the peer that costs more, than was assumed: to be looked at.
 */
static const char *verdict(const struct run *r, const struct row *row, double median, double bound)
{
	bool least = row->sense == AT_LEAST;

	if (r->brief || isnan(median))
		return "-";
	if (row->bounded ? median > bound : row->limit && (least ? median > row->limit : median < row->limit))
		return "suspect";
	if (!row->goal)
		return "-";
	if (least ? median < row->goal : median > row->goal)
		return "no";
	return least && row->limit && median > row->limit ? "yes, over plan" : "yes";
}

static const char *fact_verdict(const struct run *r, const struct fact_row *row, double v)
{
	if (isnan(v) || isnan(row->goal) || (r->brief && !row->always))
		return "-";
	return v <= row->goal ? "yes" : "no";
}

static void print_paths(const struct run *r)
{
	printf("\n%-42s %8s %8s %6s %7s %8s %12s %8s\n", "path", "ns/pkt", "spread", "net ns", "Mpps", "cold ns",
	       "sent", "lost");
	for (int p = 0; p < PATH_COUNT; p++) {
		struct summary gross = path_summary(r, p, false), net = path_summary(r, p, true);

		printf("%-42s %8.1f %7.1f%% %6.1f %7.3f %8.0f %12llu", paths[p].text, gross.median,
		       100 * (gross.max - gross.min) / gross.median, net.median, 1000 / gross.median,
		       summarize(r->cold[p], r->n_rounds).median, (unsigned long long)r->sent[p]);
		if (paths[p].out == OUT_NOTHING)
			printf(" %8s\n", "dropped");
		else
			printf(" %8lld\n", (long long)(r->sent[p] - r->received[p]));
	}
}

/* A number or, where there is none, a dash, in a column. */
static void print_number(const char *prefix, double v, int width, int digits)
{
	char text[32];

	if (v == 0 || isnan(v))
		snprintf(text, sizeof(text), "-");
	else
		snprintf(text, sizeof(text), "%s%.*f", prefix, digits, v);
	printf(" %*s", width, text);
}

static void print_row(const struct run *r, const struct row *row)
{
	const char *prefix = row->sense == AT_LEAST ? ">=" : "<=";
	struct summary s = ratio(r, row, row->ours), bound = ratio(r, row, PATH_REDIRECT);

	printf("%-11s %-48s %7.1f %7.1f %6.2f  %5.2f..%-5.2f", row->id, row->text,
	       path_summary(r, row->ours, row->net).median, path_summary(r, row->peer, row->net).median, s.median,
	       s.min, s.max);
	print_number(prefix, row->goal, 7, 2);
	print_number("", row->limit, 6, 1);
	print_number("", row->bounded ? bound.median : NAN, 6, 2);
	printf("  %s\n", verdict(r, row, s.median, bound.median));
}

static void print_fact(const struct run *r, const struct fact_row *row)
{
	double v = fact_get(r, row->fact);

	printf("%-11s %-48s %7.*f %-7s", row->id, row->text, *row->unit == 'M' || *row->unit == 'm', v, row->unit);
	printf("%22s", "");
	if (isnan(row->goal))
		printf(" %7s", "-");
	else
		printf(" %5s%-.0f", "<=", row->goal);
	printf("  %s\n", fact_verdict(r, row, v));
}

/* Where both were measured in the same rounds, of these; else of the two values */
static struct summary fact_ratio_of(const struct run *r, const struct fact_ratio *row)
{
	const json_t *ours = json_object_get(r->series, row->ours), *peer = json_object_get(r->series, row->peer);
	size_t n = json_array_size(ours);
	double ratios[ROUNDS_MAX], one = fact_get(r, row->ours) / fact_get(r, row->peer);

	if (!n || n > ROUNDS_MAX || n != json_array_size(peer))
		return (struct summary){ one, one, one };
	for (size_t i = 0; i < n; i++)
		ratios[i] = json_real_value(json_array_get(ours, i)) / json_real_value(json_array_get(peer, i));
	return summarize(ratios, n);
}

/* Why the peer has no value; NULL: it has, or should have */
static const char *peer_missing(const struct run *r, const struct fact_ratio *row)
{
	const char *prefix;
	json_t *why;

	json_object_foreach(r->missing, prefix, why) {
		if (!strncmp(row->peer, prefix, strlen(prefix)))
			return json_string_value(why);
	}
	return NULL;
}

static const char *fact_ratio_verdict(const struct run *r, const struct fact_ratio *row, double v)
{
	if (isnan(v) || isnan(row->goal) || r->brief)
		return "-";
	return v <= row->goal ? "yes" : "no";
}

static void print_fact_ratio(const struct run *r, const struct fact_ratio *row)
{
	const struct summary s = fact_ratio_of(r, row);
	const char *missing = peer_missing(r, row);

	printf("%-11s %-48s %7.1f %7.1f %6.2f  ", row->id, row->text, fact_get(r, row->ours), fact_get(r, row->peer),
	       s.median);
	if (s.min < s.max)
		printf("%5.2f..%-5.2f", s.min, s.max);
	else
		printf("%12s", "");
	print_number("<=", row->goal, 7, 2);
	printf("  %12s  %s%s\n", "", fact_ratio_verdict(r, row, s.median), missing ? missing : "");
}

/* Of one router alone nothing is measured where pairs are all that is asked for */
static bool is_asked(const struct run *r, const char *name)
{
	return !r->pair_only || !isnan(fact_get(r, name));
}

static void print_datapath(const struct run *r)
{
	print_paths(r);
	printf("\n%-11s %-48s %7s %7s %6s  %12s %7s %6s %6s  %s\n", "row", "ours : peer", "ours ns", "peer ns", "ratio",
	       "min..max", "goal", "limit", "bare R", "met");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		print_row(r, &rows[i]);
}

void rows_print(struct run *r)
{
	printf("%d rounds of %d paths, all packets on CPU %d; steal %.2f %% (worst round %.2f %%), %d rounds discarded; "
	       "load before %.2f\n",
	       r->n_rounds, PATH_COUNT, r->cpu, r->steal_pct, r->steal_max_pct, r->n_discarded, r->load);
	if (r->load > LOAD_QUIET && !r->brief)
		puts("the machine was not idle: these times are worth little");
	if (r->brief)
		puts("a short run: times are not judged");
	if (r->n_rounds < r->rounds && !r->pair_only)
		complain(r, "only %d of %d rounds were quiet enough; run it again on an idle machine", r->n_rounds,
			 r->rounds);
	if (!r->pair_only)
		print_datapath(r);
	for (size_t i = 0; i < sizeof(fact_ratios) / sizeof(fact_ratios[0]); i++)
		if (is_asked(r, fact_ratios[i].ours))
			print_fact_ratio(r, &fact_ratios[i]);
	putchar('\n');
	for (size_t i = 0; i < sizeof(fact_rows) / sizeof(fact_rows[0]); i++)
		if (is_asked(r, fact_rows[i].fact))
			print_fact(r, &fact_rows[i]);
}

/* ---- a short run: what is no matter of time, as tests ---- */

static bool tell(bool good, const char *name)
{
	printf("%s bench/%s\n", good ? "ok" : "not ok", name);
	return good;
}

static bool test_path(const struct run *r, enum path_id p)
{
	bool dropped = paths[p].out == OUT_NOTHING, came;

	if (r->without[p])
		return true;
	came = dropped ? r->received[p] == 0 : r->received[p] == r->sent[p] && r->checked[p] && !r->wrong[p];

	if (tell(r->sent[p] && came, paths[p].name))
		return true;
	printf("# %s: %llu packets sent, %llu received, %llu of %llu looked at wrong\n", paths[p].text,
	       (unsigned long long)r->sent[p], (unsigned long long)r->received[p], (unsigned long long)r->wrong[p],
	       (unsigned long long)r->checked[p]);
	return false;
}

static bool test_fact(const struct run *r, const struct fact_row *row)
{
	double v = fact_get(r, row->fact);

	if (tell(v <= row->goal, row->fact)) /* NAN, not measured, is not */
		return true;
	printf("# %g, at most %g %s\n", v, row->goal, row->unit);
	return false;
}

bool rows_test(const struct run *r)
{
	bool good = true;
	json_t *text;
	size_t i;

	for (int p = 0; p < PATH_COUNT && !r->pair_only; p++)
		good &= test_path(r, p);
	for (i = 0; i < sizeof(fact_rows) / sizeof(fact_rows[0]); i++)
		if (fact_rows[i].always && is_asked(r, fact_rows[i].fact))
			good &= test_fact(r, &fact_rows[i]);
	good &= tell(!json_array_size(r->complaints), "whole");
	json_array_foreach(r->complaints, i, text) {
		printf("# %s\n", json_string_value(text));
	}
	return good;
}

/* ---- the result as JSON ---- */

static json_t *number(double v)
{
	return isnan(v) ? json_null() : json_real(round(v * 1000) / 1000);
}

static json_t *path_json(const struct run *r, enum path_id p)
{
	struct summary gross = path_summary(r, p, false), net = path_summary(r, p, true);

	return json_pack("{s:s, s:s, s:i, s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:I}", "name", paths[p].name, "text",
			 paths[p].text, "flows", (int)paths[p].flows, "ns", number(gross.median), "ns_min",
			 number(gross.min), "ns_max", number(gross.max), "net_ns", number(net.median), "cold_ns",
			 number(summarize(r->cold[p], r->n_rounds).median), "sent", (json_int_t)r->sent[p], "received",
			 (json_int_t)r->received[p], "checked", (json_int_t)r->checked[p], "wrong",
			 (json_int_t)r->wrong[p]);
}

static json_t *row_json(const struct run *r, const struct row *row)
{
	struct summary s = ratio(r, row, row->ours), bound = ratio(r, row, PATH_REDIRECT);

	return json_pack("{s:s, s:s, s:s, s:s, s:b, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:s}", "row", row->id, "what",
			 row->text, "ours", paths[row->ours].name, "peer", paths[row->peer].name, "net", row->net,
			 "ratio_of", row->sense == AT_LEAST ? "peer/ours" : "ours/peer", "ratio", number(s.median),
			 "min", number(s.min), "max", number(s.max), "goal", number(row->goal ? row->goal : NAN),
			 "limit", number(row->limit ? row->limit : NAN), "bare_redirect",
			 number(row->bounded ? bound.median : NAN), "met", verdict(r, row, s.median, bound.median));
}

static json_t *fact_json(const struct run *r, const struct fact_row *row)
{
	double v = fact_get(r, row->fact);

	return json_pack("{s:s, s:s, s:s, s:o, s:s, s:o, s:s, s:O*}", "row", row->id, "what", row->text, "name",
			 row->fact, "value", number(v), "unit", row->unit, "goal", number(row->goal), "met",
			 fact_verdict(r, row, v), "rounds", json_object_get(r->series, row->fact));
}

static json_t *fact_ratio_json(const struct run *r, const struct fact_ratio *row)
{
	const struct summary s = fact_ratio_of(r, row);

	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:s, s:s*}", "row", row->id, "what", row->text,
			 "ours", row->ours, "peer", row->peer, "ratio_of", "ours/peer", "ratio", number(s.median),
			 "min", number(s.min), "max", number(s.max), "goal", number(row->goal), "met",
			 fact_ratio_verdict(r, row, s.median), "peer_missing", peer_missing(r, row));
}

int rows_write(struct run *r, const char *file)
{
	json_t *list_paths = json_array(), *list_rows = json_array(), *list_facts = json_array(), *all;
	struct utsname host;
	int err;

	uname(&host);
	for (int p = 0; p < PATH_COUNT; p++)
		json_array_append_new(list_paths, path_json(r, p));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		json_array_append_new(list_rows, row_json(r, &rows[i]));
	for (size_t i = 0; i < sizeof(fact_ratios) / sizeof(fact_ratios[0]); i++)
		json_array_append_new(list_rows, fact_ratio_json(r, &fact_ratios[i]));
	for (size_t i = 0; i < sizeof(fact_rows) / sizeof(fact_rows[0]); i++)
		json_array_append_new(list_facts, fact_json(r, &fact_rows[i]));
	all = json_pack("{s:s, s:s, s:b, s:i, s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:O, s:O}", "version",
			FAIRLEAD_VERSION, "kernel", host.release, "short", r->brief, "rounds", r->n_rounds,
			"rounds_discarded", r->n_discarded, "steal_pct", number(r->steal_pct), "steal_pct_worst",
			number(r->steal_max_pct), "load", number(r->load), "rows", list_rows, "values", list_facts,
			"paths", list_paths, "facts", r->facts, "series", r->series);
	err = all ? json_dump_file(all, file, JSON_INDENT(2)) : -1;
	json_decref(all);
	return err;
}
