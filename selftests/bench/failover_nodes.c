// SPDX-License-Identifier: GPL-2.0-only
#include "selftests/bench/failover.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *const sides[2] = { "left", "right" };

const char *node_name(const struct world *w, int node)
{
	static char names[2][32];

	snprintf(names[node], sizeof(names[node]), "%s-%s", w->name, sides[node]);
	return names[node];
}

/* ---- the nodes ---- */

static bool keepalived_start(struct run *r, struct world *w, int node)
{
	char config[512], pid[512], vrrp[512];
	char *argv[] = { "/usr/sbin/keepalived", "-n", "-P", "-l", "-D", "-f", config, "-p", pid, "-r", vrrp, NULL };

	snprintf(config, sizeof(config), "%s/%s.conf", r->work, node_name(w, node));
	snprintf(pid, sizeof(pid), "%s/%s.pid", r->work, node_name(w, node));
	snprintf(vrrp, sizeof(vrrp), "%s/%s.vrrp.pid", r->work, node_name(w, node));
	unlink(pid); /* of one that was killed: nobody here may have waited for it yet, and so it is taken for a living one */
	unlink(vrrp);
	peers_write(config, 0600,
		    "global_defs {\n router_id %s\n vrrp_version 3\n vrrp_rt_priority 50\n vrrp_no_swap\n}\n"
		    "vrrp_instance lan {\n state BACKUP\n interface lan\n virtual_router_id 7\n priority %d\n"
		    " advert_int %.2f\n virtual_ipaddress {\n  %s/24 dev lan\n }\n}\n",
		    sides[node], node ? 100 : 150, w->fast_ms / 1000.0, ADDRESS);
	return peer_start(r, &w->peers[node], node_name(w, node), argv);
}

static bool ucarp_start(struct run *r, struct world *w, int node)
{
	char up[512], down[512], own[32], skew[8];
	char *argv[] = { "/usr/sbin/ucarp",
			 "-i",
			 "lan",
			 "-s",
			 own,
			 "-v",
			 "7",
			 "-p",
			 "love",
			 "-a",
			 ADDRESS,
			 "-b",
			 "1",
			 "-k",
			 skew,
			 "-P",
			 "-u",
			 up,
			 "-d",
			 down,
			 NULL };

	snprintf(own, sizeof(own), "192.0.2.%d", 1 + node);
	snprintf(skew, sizeof(skew), "%d", 10 * node);
	snprintf(up, sizeof(up), "%s/ucarp-up", r->work);
	snprintf(down, sizeof(down), "%s/ucarp-down", r->work);
	peers_write(up, 0700, "#!/bin/sh\nexec ip addr add %s/24 dev lan\n", ADDRESS);
	peers_write(down, 0700, "#!/bin/sh\nexec ip addr del %s/24 dev lan\n", ADDRESS);
	return peer_start(r, &w->peers[node], node_name(w, node), argv);
}

static bool node_spawned(struct run *r, struct world *w, int node)
{
	switch (w->software) {
	case FAIRLEAD:
		w->nodes[node] = node_spawn(r, node_name(w, node));
		return true;
	case KEEPALIVED:
		return keepalived_start(r, w, node);
	case UCARP:
		return ucarp_start(r, w, node);
	}
	return false;
}

/* As on machines of their own: the one that dies gives back its memory in the kernel, which lets nobody else run there meanwhile */
bool node_start(struct run *r, struct world *w, int node)
{
	bool started;

	r->beside = node ? r->cpu : !r->cpu;
	started = node_spawned(r, w, node);
	r->beside = !r->cpu;
	return started;
}

void node_signal(const struct world *w, int node, int sig)
{
	peer_signal(&w->peers[node], sig);
	if (w->nodes[node])
		kill(w->nodes[node], sig);
}

void node_end(struct world *w, int node, int sig)
{
	node_signal(w, node, sig);
	peer_end(&w->peers[node], sig);
	if (!w->nodes[node])
		return;
	waitpid(w->nodes[node], NULL, 0);
	w->nodes[node] = 0;
}

/* ---- who answers ---- */

void ping_open(const struct run *r, struct world *w)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	char ns[32];

	snprintf(ns, sizeof(ns), "%s-host", w->name);
	netns_enter(r, ns);
	inet_pton(AF_INET, ADDRESS, &to.sin_addr);
	w->ping = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_ICMP);
	if (w->ping < 0 || connect(w->ping, (struct sockaddr *)&to, sizeof(to)))
		die("%s cannot ping: %s", ns, strerror(errno));
	snprintf(ns, sizeof(ns), "%s-switch", w->name);
	netns_enter(r, ns);
	w->bridge = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

void ping_send(struct world *w)
{
	struct icmphdr echo = { .type = ICMP_ECHO };
	uint32_t sum;

	echo.un.echo.id = htons(4711);
	echo.un.echo.sequence = htons(w->sequence++);
	sum = echo.type + echo.un.echo.id + echo.un.echo.sequence;
	echo.checksum = ~((sum & 0xffff) + (sum >> 16));
	send(w->ping, &echo, sizeof(echo), 0); /* no neighbour: as lost */
}

int ping_answer(const struct world *w)
{
	uint8_t packet[128];
	ssize_t n;

	while ((n = recv(w->ping, packet, sizeof(packet), 0)) >= 0) {
		const struct icmphdr *icmp = (const void *)(packet + sizeof(struct iphdr));

		if (n >= (ssize_t)(sizeof(struct iphdr) + sizeof(*icmp)) && icmp->type == ICMP_ECHOREPLY)
			return packet[8];
	}
	return 0;
}

void ping_wait(const struct world *w, uint64_t until)
{
	struct pollfd fd = { .fd = w->ping, .events = POLLIN };
	uint64_t now = now_ns();
	struct timespec left = { 0, now < until ? (long)(until - now) : 0 };

	ppoll(&fd, 1, &left, NULL);
}

bool settled(struct run *r, struct world *w)
{
	uint64_t end = now_ns() + 30000000000ull;
	int good = 0;

	while (good < 50 && now_ns() < end) {
		int ttl, seen = 0;

		ping_send(w);
		usleep(10000);
		while ((ttl = ping_answer(w)))
			seen = ttl;
		good = seen && seen != TTL_RIGHT ? good + 1 : 0;
	}
	while (good && w->software == FAIRLEAD && now_ns() < end) {
		json_t *vips = node_tell(r, node_name(w, 1), "--json", "show", "vips", NULL);
		const char *role = json_string_value(json_object_get(json_array_get(vips, 0), "role"));
		const char *lacks = json_string_value(json_object_get(json_array_get(vips, 0), "not_ready"));
		bool ready = role && lacks && !strcasecmp(role, "backup") && !*lacks;

		json_decref(vips);
		if (ready)
			break;
		usleep(20000);
	}
	return good && now_ns() < end;
}
