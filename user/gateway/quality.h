/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The probes of one target: which were answered, and what loss, latency and deviation follow from them, as dpinger computes them.
 * A probe that is unanswered after the loss interval is lost, a younger one does not count yet, and a late answer makes a latency
 * of a lost one. Nothing is final: all is taken from the ring at the moment of the report.
 *
 * Times are CLOCK_MONOTONIC in ns, given by the caller. Nothing here allocates.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QUALITY_UNANSWERED UINT32_MAX

struct quality_probe {
	uint64_t sent_ns;
	uint32_t latency_us; /* or QUALITY_UNANSWERED */
	bool quick;	     /* one of a burst */
	bool counted;	     /* in loss and latency */
};

struct quality {
	uint64_t period_ns, loss_interval_ns;
	uint64_t least;		    /* so many probes are looked at even where they are older than the period */
	struct quality_probe *ring; /* by number & (size - 1) */
	uint64_t size;
	uint64_t first,
		next; /* numbers of the oldest probe of the window and of the next to be sent; they never wrap */
	uint64_t n_counted, n_answered;
	uint64_t sum_us;
	unsigned __int128 sum_squares;
};

struct quality_report {
	uint32_t resolved; /* probes that are answered or lost */
	uint32_t lost;
	double loss_pct; /* 0 without any resolved */
	bool enough;	 /* probes for one that is lost not to be a large share */
	bool has_rtt;	 /* one was answered */
	uint32_t rtt_us, stddev_us;
};

/* Slots of the ring: a power of two, at most 32,768, so that 16 bits of a number say which one is meant. */
size_t quality_ring_size(uint64_t interval_ns, uint64_t period_ns, uint64_t loss_interval_ns);
void quality_init(struct quality *q, struct quality_probe *ring, uint64_t interval_ns, uint64_t period_ns,
		  uint64_t loss_interval_ns);

/* Takes over another one's probes; the window and its ring are alike. */
void quality_take_over(struct quality *q, const struct quality *from);

/*
 * The new probe's number; its low 16 bits go on the wire. A quick one, of a burst, is not counted: a burst is sent just when probes
 * get lost, and would count that bad moment several times over.
 */
uint64_t quality_sent(struct quality *q, bool quick, uint64_t now_ns);
bool quality_find(const struct quality *q, uint16_t sequence, uint64_t *number); /* false: no longer in the ring */
const struct quality_probe *quality_probe(const struct quality *q, uint64_t number);
bool quality_answered(struct quality *q, uint64_t number, uint64_t now_ns); /* false: it was before */

/* What is unanswered now does not count: it says nothing about the line, since that was cut, or has come back since. */
void quality_forgive(struct quality *q);
void quality_report(struct quality *q, uint64_t now_ns, struct quality_report *report);
