// SPDX-License-Identifier: GPL-2.0-only
/* Other programs on the router: those that share out addresses too, and servers that no packet comes to. */
#include <ctype.h>
#include <dirent.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "user/doctor/doctor.h"
#include "user/doctor/sockets.h"

/* ---- others that share out addresses ---- */

static const struct {
	const char *program, *does;
} routers[] = {
	{ "keepalived", "shares out addresses by VRRP" },
	{ "ucarp", "shares out addresses by CARP" },
	{ "uvrrpd", "shares out addresses by VRRP" },
	{ "vrrpd", "shares out addresses by VRRP" },
	{ "pacemakerd", "shares out addresses of a cluster" },
	{ "conntrackd", "replicates the kernel's connections, of which forwarded ones are none" },
};

/* Of this network namespace. */
static bool is_here(const char *pid)
{
	struct stat own, its;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%.16s/ns/net", pid);
	return !stat("/proc/thread-self/ns/net", &own) && !stat(path, &its) && own.st_ino == its.st_ino &&
	       own.st_dev == its.st_dev;
}

static void program_of(const char *pid, char name[16])
{
	char path[64];
	FILE *f;

	*name = '\0';
	snprintf(path, sizeof(path), "/proc/%.16s/comm", pid);
	f = fopen(path, "re");
	if (f && fgets(name, 16, f))
		name[strcspn(name, "\n")] = '\0';
	if (f)
		fclose(f);
}

static void judge_program(struct doctor *d, const char *pid)
{
	char name[16];

	program_of(pid, name);
	for (size_t i = 0; i < sizeof(routers) / sizeof(routers[0]); i++) {
		if (strcmp(name, routers[i].program) || !is_here(pid))
			continue;
		doctor_tell(
			d, d->config && d->config->n_vips ? DOCTOR_FAIL : DOCTOR_WARN,
			doctor_text(
				d,
				"one of the two: what it does belongs into vips and ha; then systemctl disable --now %s",
				name),
			"%s (process %s) runs here: it %s", name, pid, routers[i].does);
	}
}

void check_other_routers(struct doctor *d)
{
	size_t before = json_array_size(d->rows);
	DIR *dir = opendir("/proc");
	struct dirent *e;

	while (dir && (e = readdir(dir)))
		if (isdigit((unsigned char)*e->d_name))
			judge_program(d, e->d_name);
	if (dir)
		closedir(dir);
	if (json_array_size(d->rows) == before)
		doctor_ok(d, "none runs here");
}

/* ---- servers ---- */

#define ASKS_MAX 2000 /* of the daemon, for all of them: some milliseconds each */
#define SOURCES_MAX 24

struct question {
	struct doctor *d;
	const struct listener *listener;
	const struct config_interface *interface;
	unsigned int asked;
};

/* Whether a packet would come to the host. */
static bool is_delivered(struct question *q, const struct addr *source, const struct addr *destination, int sport)
{
	char src[ADDR_STRLEN], dst[ADDR_STRLEN];
	const struct listener *l = q->listener;
	json_t *answer, *request;
	bool is;

	if (q->asked++ >= ASKS_MAX)
		return true;
	request = json_pack("{s:s,s:s,s:s,s:s,s:i,s:i,s:i}", "command", "explain", "in", q->interface->name, "src",
			    addr_format(source, src), "dst", addr_format(destination, dst), "proto", l->proto, "sport",
			    sport, "dport", l->port);
	if (l->proto == IPPROTO_TCP)
		json_object_set_new(request, "tcp_flags", json_integer(2)); /* SYN */
	answer = q->d->settings.ask(q->d->settings.arg, request);
	is = !strcmp(doctor_string(answer, "verdict"), "deliver");
	json_decref(answer);
	return is;
}

/* Another host's address in that network: the last bit but one is another. */
static struct addr neighbour_of(const struct addr *addr)
{
	struct addr other = *addr;
	uint8_t *last = addr->family == AF_INET ? (uint8_t *)&other.v4 + 3 : (uint8_t *)&other.v6 + 15;

	*last ^= *last & 2 ? 3 : 2;
	return other;
}

struct sources {
	struct addr of[SOURCES_MAX];
	size_t n;
};

static void add_source(struct sources *sources, const struct addr *addr)
{
	if (sources->n < SOURCES_MAX && !addr_is_unspecified(addr))
		sources->of[sources->n++] = *addr;
}

static void add_alias(struct doctor *d, struct sources *sources, const struct config_alias *alias, int family)
{
	struct addr_range *ranges = NULL;
	size_t n = 0;

	if (!config_alias_addresses(d->config, alias, family, &ranges, &n) && n)
		add_source(sources, &ranges[0].first);
	free(ranges);
}

/* Who may come in by some rule: a rule for few must not look like none. */
static void add_ruled(struct doctor *d, struct sources *sources, int family)
{
	for (size_t i = 0; i < d->config->n_rules; i++) {
		const struct config_rule *rule = &d->config->rules[i];
		const struct config_endpoint *from = &rule->match.source;

		if (rule->action != CONFIG_PASS || rule->direction == CONFIG_OUT)
			continue;
		for (size_t j = 0; j < from->n_terms; j++) {
			const struct config_term *t = &from->terms[j];

			if (t->kind == CONFIG_TERM_ALIAS && !t->negated)
				add_alias(d, sources, t->alias, family);
			else if (t->kind == CONFIG_TERM_RANGE && !t->negated && t->range.first.family == family)
				add_source(sources, &t->range.first);
		}
	}
}

/* A neighbour, somebody far away, and those of rules. */
static void collect_sources(struct doctor *d, const struct addr *destination, struct sources *sources)
{
	static const char *const far[] = { "9.9.9.9", "2620:fe::9" };
	struct addr addr = neighbour_of(destination);

	sources->n = 0;
	add_source(sources, &addr);
	if (!addr_parse(far[destination->family == AF_INET6], &addr))
		add_source(sources, &addr);
	add_ruled(d, sources, destination->family);
}

static bool is_reached_at(struct question *q, const struct addr *destination)
{
	struct sources sources;

	collect_sources(q->d, destination, &sources);
	for (size_t i = 0; i < sources.n; i++)
		if (is_delivered(q, &sources.of[i], destination, 40000))
			return true;
	return false;
}

/* Servers that are asked by who has no address yet, or does not know theirs. */
static bool is_reached_by_all(struct question *q)
{
	static const struct {
		uint16_t port, from;
		const char *source, *destination;
	} ways[] = {
		{ 67, 68, "0.0.0.0", "255.255.255.255" },
		{ 547, 546, "fe80::1234:56ff:fe78:9abc", "ff02::1:2" },
	};
	struct addr source, destination;

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		if (q->listener->proto != IPPROTO_UDP || q->listener->port != ways[i].port ||
		    addr_parse(ways[i].source, &source) || addr_parse(ways[i].destination, &destination))
			continue;
		return is_delivered(q, &source, &destination, ways[i].from);
	}
	return false;
}

/* By that interface: at an address of it, or at the one that the server is bound to. */
static bool is_reached_by(struct question *q)
{
	const struct system_link *link = doctor_link(q->d, q->interface);
	const struct listener *l = q->listener;
	unsigned int bit = l->family == AF_INET ? FL_INET : FL_INET6;
	const struct system_addr *a;

	if (!link)
		return false;
	if (!(q->interface->family & bit))
		return true; /* the host's own filters judge that */
	if (is_reached_by_all(q))
		return true;
	if (!addr_is_unspecified(&l->addr))
		return is_reached_at(q, &l->addr);
	for (size_t i = 0; (a = system_addr_at(q->d->system, i)); i++)
		if (a->ifindex == link->ifindex && a->prefix.addr.family == l->family &&
		    is_reached_at(q, &a->prefix.addr))
			return true;
	return false;
}

/* By a device that no program of ours is on. */
static bool has_other_ways(struct doctor *d)
{
	const struct system_link *link;

	for (size_t i = 0; (link = system_link_at(d->system, i)); i++)
		if (!doctor_is_ours(d, link) && link->flags & IFF_UP && link->carrier)
			return true;
	return false;
}

/* What passes without a rule, and what no server is: a client that waits for its answer. */
static bool needs_no_rule(struct doctor *d, const struct listener *l)
{
	int first = 32768, last = 60999;
	char text[32];

	if (l->port == d->config->ha.port && d->config->ha.interface)
		return true;
	if (l->proto != IPPROTO_UDP)
		return false;
	if (!sysctl_get("net/ipv4/ip_local_port_range", text, sizeof(text)))
		sscanf(text, "%d %d", &first, &last);
	return l->port == 68 || l->port == 546 || (l->port >= first && l->port <= last);
}

static bool is_reached(struct question *q)
{
	for (size_t i = 0; i < q->d->config->n_interfaces; i++) {
		q->interface = &q->d->config->interfaces[i];
		if (is_reached_by(q))
			return true;
	}
	return false;
}

static void judge_listener(struct question *q)
{
	const char *proto = q->listener->proto == IPPROTO_TCP ? "tcp" : "udp";
	const struct listener *l = q->listener;

	if (is_reached(q))
		return;
	doctor_warn(
		q->d,
		doctor_text(
			q->d,
			"a rule, if others need it: \"direction\": \"in\", \"protocol\": \"%s\", \"destination\": { "
			"\"address\": \"self\", \"port\": %u }; else let it listen on loopback only",
			proto, l->port),
		"%s waits at %s port %u (%s), and no rule lets anybody reach it",
		*l->program ? l->program : "a program", proto, l->port, l->family == AF_INET ? "IPv4" : "IPv6");
}

void check_services(struct doctor *d)
{
	struct listeners *all = calloc(1, sizeof(*all));
	struct question q = { .d = d };
	size_t before = json_array_size(d->rows);

	if (!all || !d->config || !d->system || !doctor_shown(d, "status")) {
		doctor_skip(d, "no daemon judges their packets");
	} else if (has_other_ways(d)) {
		doctor_skip(d, "there are devices outside of the configuration by which all can be reached");
	} else {
		listeners_read(all);
		for (size_t i = 0; i < all->n; i++) {
			q.listener = &all->of[i];
			if (!needs_no_rule(d, q.listener))
				judge_listener(&q);
		}
		if (json_array_size(d->rows) == before)
			doctor_ok(d, "%zu wait for packets, and each can be reached", all->n);
	}
	free(all);
}
