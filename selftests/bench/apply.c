// SPDX-License-Identifier: GPL-2.0-only
/* A new ruleset of 10,000, and one with one rule changed: `fairlead apply` and `nft -f`, by turns, each as a user waits for it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "selftests/bench/bench.h"

#define RULES 10000
#define FEW 10
#define TURNS 7

struct files {
	char big[512], changed[512], few[512], few_changed[512], nft[512], nft_changed[512];
};

static double apply_ms(struct run *r, enum dut_id dut, const char *file)
{
	uint64_t begin = now_ns();

	if (daemon_ask(r, dut, "apply", file, NULL))
		complain(r, "%s: \"fairlead apply %s\" fails", duts[dut].name, file);
	return (now_ns() - begin) / 1e6;
}

/* In the namespace of a device that forwards nothing meanwhile. */
static double nft_ms(struct run *r, const char *file)
{
	uint64_t begin = now_ns();
	pid_t pid = forked();
	int status = 0;

	if (!pid) {
		leave_packets_cpu(r);
		netns_enter(r, duts[DUT_NFT10K].name);
		execlp("nft", "nft", "-f", file, NULL);
		_exit(127);
	}
	if (waitpid(pid, &status, 0) != pid || status)
		complain(r, "\"nft -f %s\" fails", file);
	return (now_ns() - begin) / 1e6;
}

/* One rule more, until the whole ruleset comes again. */
static void nft_write_change(const char *file)
{
	FILE *to = fopen(file, "w");

	if (!to || fputs("add rule inet f c ip6 saddr 2001:db8:eff:ff::/64 udp dport 65535 drop\n", to) < 0 ||
	    fclose(to))
		die("cannot write %s", file);
}

static void write_files(const struct run *r, struct files *f)
{
	snprintf(f->big, sizeof(f->big), "%s/apply-big.json", r->work);
	snprintf(f->changed, sizeof(f->changed), "%s/apply-changed.json", r->work);
	snprintf(f->few, sizeof(f->few), "%s/apply-few.json", r->work);
	snprintf(f->few_changed, sizeof(f->few_changed), "%s/apply-few-changed.json", r->work);
	snprintf(f->nft, sizeof(f->nft), "%s/apply.nft", r->work);
	snprintf(f->nft_changed, sizeof(f->nft_changed), "%s/apply-changed.nft", r->work);
	config_write_rules(RULES, 0, f->big);
	config_write_rules(RULES, 1, f->changed);
	config_write_rules(FEW, 0, f->few);
	config_write_rules(FEW, 1, f->few_changed);
	nft_write_rules(RULES, f->nft);
	nft_write_change(f->nft_changed);
}

void applies_measured(struct run *r)
{
	const int turns = r->brief ? 1 : TURNS;
	double all[TURNS], one[TURNS], one_of_few[TURNS], nft[TURNS], nft_one[TURNS];
	struct files f;

	write_files(r, &f);
	for (int i = 0; i < turns; i++) {
		apply_ms(r, DUT_RULES10K, f.few);
		all[i] = apply_ms(r, DUT_RULES10K, f.big);
		nft[i] = nft_ms(r, f.nft);
		one[i] = apply_ms(r, DUT_RULES10K, f.changed);
		nft_one[i] = nft_ms(r, f.nft_changed);
		apply_ms(r, DUT_RULES10, f.few);
		one_of_few[i] = apply_ms(r, DUT_RULES10, f.few_changed);
	}
	apply_ms(r, DUT_RULES10K, f.few);
	if (stream_while(r, PATH_RULES10K, daemon_ask_spawn(r, DUT_RULES10K, "apply", f.big, NULL), "apply_sent",
			 "apply_lost"))
		complain(r, "apply fails under traffic");
	fact(r, "apply_10000_ms", median(all, turns));
	fact(r, "nft_10000_ms", median(nft, turns));
	fact(r, "apply_change_ms", median(one, turns));
	fact(r, "apply_change_of_10_ms", median(one_of_few, turns));
	fact(r, "nft_change_ms", median(nft_one, turns));
}
