// SPDX-License-Identifier: GPL-2.0-only
/*
 * pinger ADDRESS: one gateway probed as dpinger does it with its defaults, in a process of its own: an ICMPv6 echo request every 500 ms, one
 * thread that sends, one that receives from a raw socket, one that tells once a second, on a line "LATENCY DEVIATION LOSS" in microseconds and percent,
 * of the last 60 s; a probe is lost after 2 s. The peer of the benchmark where there is no dpinger. It does less, and nothing that dpinger does not.
 */
#include <arpa/inet.h>
#include <netinet/icmp6.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define INTERVAL_NS 500000000ull
#define LOST_NS 2000000000ull
#define PROBES 120 /* in 60 s */

struct probe {
	uint64_t sent_ns; /* 0: none */
	uint64_t took_ns; /* 0: no answer */
};

static struct probe probes[PROBES]; /* written by the first two threads, a word each, read by the third */
static struct sockaddr_in6 target = { .sin6_family = AF_INET6 };
static int out, in;

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

static void sleep_until(uint64_t ns)
{
	const struct timespec ts = { .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
}

static void *send_all(void *arg)
{
	struct icmp6_hdr request = { .icmp6_type = ICMP6_ECHO_REQUEST };
	uint64_t next = now_ns();

	request.icmp6_id = htons(getpid());
	for (uint16_t sequence = 0;; sequence++) {
		probes[sequence % PROBES] = (struct probe){ .sent_ns = now_ns() };
		request.icmp6_seq = htons(sequence);
		sendto(out, &request, sizeof(request), 0, (struct sockaddr *)&target, sizeof(target));
		next += INTERVAL_NS;
		sleep_until(next);
	}
	return arg;
}

static void *receive_all(void *arg)
{
	struct icmp6_hdr answer;
	struct sockaddr_in6 from;

	for (;;) {
		socklen_t len = sizeof(from);
		struct probe *p;

		if (recvfrom(in, &answer, sizeof(answer), 0, (struct sockaddr *)&from, &len) != sizeof(answer))
			continue;
		if (answer.icmp6_type != ICMP6_ECHO_REPLY || answer.icmp6_id != htons(getpid()) ||
		    memcmp(&from.sin6_addr, &target.sin6_addr, sizeof(from.sin6_addr)) != 0)
			continue;
		p = &probes[ntohs(answer.icmp6_seq) % PROBES];
		p->took_ns = now_ns() - p->sent_ns;
	}
	return arg;
}

/* Without libm, which would be memory of each process */
static uint64_t root(uint64_t square)
{
	uint64_t x = 0;

	for (uint64_t bit = 1ull << 31; bit; bit >>= 1)
		if ((x | bit) * (x | bit) <= square)
			x |= bit;
	return x;
}

static void tell(void)
{
	uint64_t answered = 0, lost = 0, sum = 0, squares = 0, mean = 0, us;

	for (int i = 0; i < PROBES; i++) {
		if (probes[i].took_ns) {
			us = probes[i].took_ns / 1000;
			sum += us;
			squares += us * us;
			answered++;
		} else if (probes[i].sent_ns && now_ns() - probes[i].sent_ns > LOST_NS) {
			lost++;
		}
	}
	if (answered)
		mean = sum / answered;
	printf("%llu %llu %llu\n", (unsigned long long)mean,
	       (unsigned long long)(answered ? root(squares / answered - mean * mean) : 0),
	       (unsigned long long)(lost ? lost * 100 / (lost + answered) : 0));
	fflush(stdout);
}

int main(int argc, char **argv)
{
	pthread_t sender, receiver;

	out = socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6);
	in = socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6);
	if (argc < 2 || inet_pton(AF_INET6, argv[argc - 1], &target.sin6_addr) != 1 || out < 0 || in < 0)
		return EXIT_FAILURE;
	if (pthread_create(&receiver, NULL, receive_all, NULL) || pthread_create(&sender, NULL, send_all, NULL))
		return EXIT_FAILURE;
	for (;;) {
		sleep(1);
		tell();
	}
}
