// SPDX-License-Identifier: GPL-2.0-only
/* What new connections become by rules of translation (lib/nat.h), with a state table of their own. */

#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fairlead/state.h"
#include "selftests/prog/check.h"
#include "selftests/prog/nat.h"
#include "user/lib/clock.h"
#include "user/policy/states_peer.h"

#include "nat_choose.skel.h"

#define PINS "/sys/fs/bpf/nat-choose"
#define BUCKETS 32768
#define TIMEOUT_S 100

#define OUTSIDE4 "198.51.100.7"
#define OUTSIDE6 "2001:db8:20::7"
#define INSIDE4 "10.1.2.3"
#define REMOTE4 "203.0.113.9"
#define REMOTE6 "2001:db8:99::9"

static void table_control(struct nat_choose *p)
{
	struct fl_state_control control = { .key = { 11, 22, 33, 44, 55 },
					    .buckets = BUCKETS,
					    .limit = 8 * BUCKETS,
					    .embryonic_limit = 8 * BUCKETS,
					    .batch = 1 };
	__u32 zero = 0;

	for (int i = 0; i < FL_TIMEOUTS; i++)
		control.timeout[i] = TIMEOUT_S * clock_hz();
	bpf_map_update_elem(bpf_map__fd(p->maps.fl_state_control), &zero, &control, BPF_ANY);
}

/* With nothing in its tables. */
static struct nat_choose *open_empty(struct env *env)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .pin_root_path = PINS);
	struct nat_choose *p = nat_choose__open_opts(&opts);
	struct bpf_map *map;

	if (!p || (mkdir(PINS, 0700) && errno != EEXIST)) {
		fail(env, "  the program can't be opened\n");
		nat_choose__destroy(p);
		return NULL;
	}
	bpf_object__for_each_map(map, p->obj) bpf_map__set_pin_path(map, NULL);
	bpf_map__set_max_entries(p->maps.fl_buckets, BUCKETS);
	bpf_map__set_max_entries(p->maps.fl_states, BUCKETS * FL_BUCKET_WAYS);
	bpf_map__set_max_entries(p->maps.fl_state_counts, FL_STATE_COUNTS_CPU(env->cpus));
	bpf_map__set_max_entries(p->maps.fl_rule_stats, FL_RULE_STATS_INDEX(env->cpus + 1, 0));
	p->rodata->fl_hz = clock_hz();
	if (nat_choose__load(p)) {
		fail(env, "  the program does not load\n");
		nat_choose__destroy(p);
		return NULL;
	}
	table_control(p);
	return p;
}

static int run_prog(struct bpf_program *prog)
{
	__u8 frame[64] = {};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = sizeof(frame));

	return bpf_prog_test_run_opts(bpf_program__fd(prog), &opts);
}

/* One packet of `from`; what it becomes is in the result. */
static const struct nat_choice *packet(struct env *env, struct nat_choose *p, const struct nat_choice *c)
{
	struct nat_choice *is = &p->bss->choice;

	*is = *c;
	if (run_prog(p->progs.nat_choose_one))
		fail(env, "  the program can't be run: %s\n", strerror(errno));
	return is;
}

static struct nat_choice connection(int proto, const char *src, int sport, const char *dst, int dport)
{
	struct nat_choice c = { .proto = proto, .family = strchr(src, ':') ? FL_INET6 : FL_INET };

	c.from = (struct nat_tuple){ addr_of(src), addr_of(dst), htobe16(sport), htobe16(dport), 0 };
	c.port.addr4 = addr_of(OUTSIDE4).w[3];
	c.port.addr6 = addr_of(OUTSIDE6);
	c.port.flags = FL_PORT_OWN4 | FL_PORT_OWN6;
	return c;
}

static struct nat_choice snat(struct nat_choice c, const char *to, int flags, int lo, int hi)
{
	c.snat = (struct fl_nat){ .id = 3, .flags = flags, .port_lo = lo, .port_hi = hi };
	if (to)
		c.snat.to = addr_of(to);
	else
		c.snat.flags |= FL_NAT_TO_INTERFACE;
	return c;
}

/* The ports from `match` go to those from `port`, or (match 0) all to that one. */
static struct nat_choice dnat(struct nat_choice c, const char *to, int match, int port)
{
	c.dnat = (struct fl_nat){ .id = 4, .match_lo = match, .port_lo = port, .port_hi = match ? port + 100 : port };
	if (to)
		c.dnat.to = addr_of(to);
	else
		c.dnat.flags |= FL_NAT_TO_INTERFACE;
	return c;
}

static bool is_tuple(const struct nat_tuple *t, const char *src, int sport, const char *dst, int dport)
{
	struct nat_tuple other = { addr_of(src), addr_of(dst), htobe16(sport), htobe16(dport), 0 };

	return !memcmp(t, &other, sizeof(other));
}

static struct nat_tuple turned(const struct nat_tuple *t)
{
	return (struct nat_tuple){ t->dst, t->src, t->dport, t->sport, 0 };
}

/* A packet of a known connection, or one that an error quotes, becomes `to`. */
static void known(struct env *env, struct nat_choose *p, const char *name, struct nat_choice c, bool quoted,
		  const struct nat_tuple *from, const struct nat_tuple *to)
{
	const struct nat_choice *is;

	c.from = *from;
	c.quoted = quoted;
	is = packet(env, p, &c);
	if (!is->found || is->stage || memcmp(&is->to, to, sizeof(*to)))
		fail(env, "  %s: found %u, stage %d\n", name, is->found, is->stage);
}

/*
 * The connection is made and becomes what is said; so does its next packet, and its answers become its own tuple turned. Errors from either
 * side quote the packets of the other.
 */
static void becomes(struct env *env, struct nat_choose *p, const char *name, struct nat_choice c, const char *src,
		    int sport, const char *dst, int dport)
{
	const struct nat_choice *is = packet(env, p, &c);
	struct nat_tuple inner = c.from, outer = is->to, inner_back = turned(&inner), outer_back = turned(&outer);

	if (is->stage || is->found || !is_tuple(&outer, src, sport, dst, dport)) {
		fail(env, "  %s: found %u, stage %d, ports %d %d\n", name, is->found, is->stage, be16toh(is->to.sport),
		     be16toh(is->to.dport));
		return;
	}
	if (!memcmp(&outer, &inner, sizeof(inner)))
		return;
	known(env, p, name, c, false, &inner, &outer);
	known(env, p, name, c, false, &outer_back, &inner_back);
	known(env, p, name, c, true, &outer, &inner);
	known(env, p, name, c, true, &inner_back, &outer_back);
}

static void refused_as(struct env *env, struct nat_choose *p, const char *name, struct nat_choice c, int reason)
{
	const struct nat_choice *is = packet(env, p, &c);

	if (is->found || is->stage != -reason)
		fail(env, "  %s: found %u, stage %d\n", name, is->found, is->stage);
}

static void refused(struct env *env, struct nat_choose *p, const char *name, struct nat_choice c)
{
	refused_as(env, p, name, c, FL_DROP_NAT_PORTS);
}

static void sources(struct env *env)
{
	struct nat_choose *p = open_empty(env);

	if (!p)
		return;
	becomes(env, p, "its own port", snat(connection(17, INSIDE4, 5000, REMOTE4, 53), OUTSIDE4, 0, 0, 0), OUTSIDE4,
		5000, REMOTE4, 53);
	becomes(env, p, "a low port", snat(connection(17, INSIDE4, 500, REMOTE4, 500), OUTSIDE4, 0, 0, 0), OUTSIDE4,
		500, REMOTE4, 500);
	becomes(env, p, "the interface's", snat(connection(6, INSIDE4, 5001, REMOTE4, 80), NULL, 0, 0, 0), OUTSIDE4,
		5001, REMOTE4, 80);
	becomes(env, p, "the interface's, IPv6", snat(connection(6, "fd00::5", 5002, REMOTE6, 80), NULL, 0, 0, 0),
		OUTSIDE6, 5002, REMOTE6, 80);
	becomes(env, p, "one port", snat(connection(6, INSIDE4, 5003, REMOTE4, 80), OUTSIDE4, 0, 7777, 7777), OUTSIDE4,
		7777, REMOTE4, 80);
	refused(env, p, "one port, taken", snat(connection(6, INSIDE4, 5004, REMOTE4, 80), OUTSIDE4, 0, 7777, 7777));
	becomes(env, p, "the same to another", snat(connection(6, INSIDE4, 5004, REMOTE4, 81), OUTSIDE4, 0, 7777, 7777),
		OUTSIDE4, 7777, REMOTE4, 81);
	becomes(env, p, "static", snat(connection(17, INSIDE4, 5005, REMOTE4, 53), OUTSIDE4, FL_NAT_STATIC_PORT, 0, 0),
		OUTSIDE4, 5005, REMOTE4, 53);
	refused(env, p, "static, taken",
		snat(connection(17, "10.1.2.4", 5005, REMOTE4, 53), OUTSIDE4, FL_NAT_STATIC_PORT, 0, 0));
	becomes(env, p, "echo", snat(connection(1, INSIDE4, 77, REMOTE4, 0), OUTSIDE4, 0, 0, 0), OUTSIDE4, 77, REMOTE4,
		0);
	becomes(env, p, "gre", snat(connection(47, INSIDE4, 0, REMOTE4, 0), OUTSIDE4, 0, 0, 0), OUTSIDE4, 0, REMOTE4,
		0);
	refused(env, p, "gre of another host", snat(connection(47, "10.1.2.4", 0, REMOTE4, 0), OUTSIDE4, 0, 0, 0));
	becomes(env, p, "sctp", snat(connection(132, INSIDE4, 6000, REMOTE4, 36412), OUTSIDE4, 0, 0, 0), OUTSIDE4, 6000,
		REMOTE4, 36412);
	refused(env, p, "sctp, taken", snat(connection(132, "10.1.2.4", 6000, REMOTE4, 36412), OUTSIDE4, 0, 0, 0));
	becomes(env, p, "exempt", snat(connection(17, INSIDE4, 5006, REMOTE4, 53), OUTSIDE4, FL_NAT_EXEMPT, 0, 0),
		INSIDE4, 5006, REMOTE4, 53);
	nat_choose__destroy(p);
}

/* An interface that has no address of its own, and an address of the other family. */
static void no_address(struct env *env)
{
	struct nat_choice c = snat(connection(6, INSIDE4, 5000, REMOTE4, 80), NULL, 0, 0, 0);
	struct nat_choose *p = open_empty(env);

	if (!p)
		return;
	c.port.flags = FL_PORT_OWN6;
	refused_as(env, p, "no address", c, FL_DROP_NAT_ADDRESS);
	c = dnat(connection(6, REMOTE6, 5000, OUTSIDE6, 80), NULL, 0, 0);
	c.port.flags = FL_PORT_OWN4;
	refused_as(env, p, "no address, IPv6", c, FL_DROP_NAT_ADDRESS);
	c = snat(connection(6, INSIDE4, 5000, REMOTE4, 80), OUTSIDE6, 0, 0, 0);
	refused_as(env, p, "IPv6 for IPv4", c, FL_DROP_NAT_ADDRESS);
	c = snat(connection(6, "fd00::5", 5000, REMOTE6, 80), OUTSIDE4, 0, 0, 0);
	refused_as(env, p, "IPv4 for IPv6", c, FL_DROP_NAT_ADDRESS);
	nat_choose__destroy(p);
}

static void destinations(struct env *env)
{
	struct nat_choose *p = open_empty(env);
	struct nat_choice c;

	if (!p)
		return;
	becomes(env, p, "address", dnat(connection(6, REMOTE4, 5000, OUTSIDE4, 80), INSIDE4, 0, 0), REMOTE4, 5000,
		INSIDE4, 80);
	becomes(env, p, "port", dnat(connection(6, REMOTE4, 5000, OUTSIDE4, 443), INSIDE4, 443, 8443), REMOTE4, 5000,
		INSIDE4, 8443);
	becomes(env, p, "range", dnat(connection(6, REMOTE4, 5000, OUTSIDE4, 1010), INSIDE4, 1000, 2000), REMOTE4, 5000,
		INSIDE4, 2010);
	becomes(env, p, "any port to one", dnat(connection(6, REMOTE4, 5000, OUTSIDE4, 99), INSIDE4, 0, 9999), REMOTE4,
		5000, INSIDE4, 9999);
	c = dnat(connection(6, REMOTE4, 5007, OUTSIDE4, 443), INSIDE4, 0, 8080);
	c.dnat.match_lo = 80; /* and 443 */
	becomes(env, p, "several ports to one", c, REMOTE4, 5007, INSIDE4, 8080);
	refused(env, p, "another port to the same", dnat(connection(6, REMOTE4, 5000, OUTSIDE4, 98), INSIDE4, 0, 9999));
	becomes(env, p, "echo", dnat(connection(1, REMOTE4, 9, OUTSIDE4, 0), INSIDE4, 0, 9999), REMOTE4, 9, INSIDE4, 0);
	becomes(env, p, "gre", dnat(connection(47, REMOTE4, 0, OUTSIDE4, 0), INSIDE4, 0, 0), REMOTE4, 0, INSIDE4, 0);
	becomes(env, p, "sctp", dnat(connection(132, REMOTE4, 5000, OUTSIDE4, 36412), INSIDE4, 0, 0), REMOTE4, 5000,
		INSIDE4, 36412);
	refused(env, p, "sctp, another port", dnat(connection(132, REMOTE4, 5001, OUTSIDE4, 80), INSIDE4, 80, 81));
	becomes(env, p, "IPv6", dnat(connection(17, REMOTE6, 5000, OUTSIDE6, 53), "fd00::5", 53, 5353), REMOTE6, 5000,
		"fd00::5", 5353);
	becomes(env, p, "to the interface", dnat(connection(17, REMOTE4, 5000, "192.0.2.1", 53), NULL, 0, 0), REMOTE4,
		5000, OUTSIDE4, 53);
	c = dnat(connection(17, REMOTE4, 5001, OUTSIDE4, 53), INSIDE4, 0, 0);
	c.dnat.flags = FL_NAT_EXEMPT;
	becomes(env, p, "exempt", c, REMOTE4, 5001, OUTSIDE4, 53);
	/* RFC 4787 REQ-9: from inside to the outside address of an inside host */
	becomes(env, p, "hairpin",
		snat(dnat(connection(6, "10.1.2.4", 6000, OUTSIDE4, 443), INSIDE4, 443, 8443), OUTSIDE4, 0, 0, 0),
		OUTSIDE4, 6000, INSIDE4, 8443);
	becomes(env, p, "hairpin to itself",
		snat(dnat(connection(6, INSIDE4, 6001, OUTSIDE4, 443), INSIDE4, 443, 8443), OUTSIDE4, 0, 0, 0),
		OUTSIDE4, 6001, INSIDE4, 8443);
	/* the answer would have the tuple of the question */
	refused(env, p, "turned into itself",
		snat(dnat(connection(6, INSIDE4, 80, OUTSIDE4, 80), INSIDE4, 0, 0), OUTSIDE4, FL_NAT_STATIC_PORT, 0,
		     0));
	nat_choose__destroy(p);
}

/* ---- many ---- */

#define MANY 60000

static struct nat_choice from_host(int host, int proto, int sport, const char *dst, int dport)
{
	char src[32];

	snprintf(src, sizeof(src), "10.%d.%d.%d", host >> 16, host >> 8 & 255, host & 255);
	return connection(proto, src, sport, dst, dport);
}

/* All with the same port, onto one address, to one destination: each its own port, until there are none. A client asks again. */
static void many(struct env *env)
{
	struct nat_choose *p = open_empty(env);
	__u8 *seen = calloc(1, 65536);
	int made = 0, refusals = 0;

	for (int host = 1; p && seen && made < MANY && !*env->why && refusals < 100; host++) {
		struct nat_choice c = snat(from_host(host, 17, 5000, REMOTE4, 53), OUTSIDE4, 0, 0, 0);
		const struct nat_choice *is = packet(env, p, &c);
		int port = be16toh(is->to.sport);

		if (is->stage == -FL_DROP_NAT_PORTS) {
			refusals++;
			continue;
		}
		if (is->stage || is->found || port < 1024 || seen[port]++)
			fail(env, "  connection %d: stage %d, port %d\n", made, is->stage, port);
		made++;
	}
	if (refusals > 20)
		fail(env, "  %d were refused\n", refusals);
	free(seen);
	nat_choose__destroy(p);
}

/* Of a small range every port is found, and then none. */
static void exhausted(struct env *env)
{
	struct nat_choose *p = open_empty(env);
	struct nat_choice c;

	for (int host = 1; p && host <= 120; host++) {
		c = snat(from_host(host, 6, 5000, REMOTE4, 80), OUTSIDE4, 0, 2000, 2099);
		if (host > 100)
			refused(env, p, "none left", c);
		else if (packet(env, p, &c)->stage || be16toh(p->bss->choice.to.sport) - 2000 > 99)
			fail(env, "  host %d: stage %d\n", host, p->bss->choice.stage);
	}
	/* identifiers: any of 65536 */
	for (int host = 1; p && host <= 1000; host++) {
		c = snat(from_host(host, 1, 1, REMOTE4, 0), OUTSIDE4, 0, 2000, 2099);
		if (packet(env, p, &c)->stage || p->bss->choice.to.dport)
			fail(env, "  echo of host %d: stage %d\n", host, p->bss->choice.stage);
	}
	nat_choose__destroy(p);
}

/* Lets the state of the connection run out, without anybody who removes it. */
static void expire(struct env *env, struct nat_choose *p, const struct nat_tuple *from)
{
	int fd = bpf_map__fd(p->maps.fl_states);
	struct fl_state st;

	for (__u32 slot = 0; slot < BUCKETS * FL_BUCKET_WAYS; slot++)
		if (!bpf_map_lookup_elem(fd, &slot, &st) && st.end[0].packets + st.end[1].packets &&
		    ((!memcmp(&st.addr[0], &from->src, 16) && st.port[0] == from->sport) ||
		     (!memcmp(&st.addr[1], &from->src, 16) && st.port[1] == from->sport))) {
			st.seen -= (TIMEOUT_S + 1) * clock_hz();
			bpf_map_update_elem(fd, &slot, &st, BPF_ANY);
			return;
		}
	fail(env, "  there is no such state\n");
}

static void run_out(struct env *env)
{
	struct nat_choose *p = open_empty(env);
	struct nat_choice first = snat(connection(17, INSIDE4, 5005, REMOTE4, 53), OUTSIDE4, FL_NAT_STATIC_PORT, 0, 0);
	struct nat_choice second =
		snat(connection(17, "10.1.2.4", 5005, REMOTE4, 53), OUTSIDE4, FL_NAT_STATIC_PORT, 0, 0);

	if (!p)
		return;
	becomes(env, p, "the first", first, OUTSIDE4, 5005, REMOTE4, 53);
	refused(env, p, "the second", second);
	expire(env, p, &first.from);
	becomes(env, p, "the second, later", second, OUTSIDE4, 5005, REMOTE4, 53);
	nat_choose__destroy(p);
}

/* ---- endpoint-independent mappings ---- */

/* Ages every mapping by so many seconds. */
static void age_mappings(struct nat_choose *p, int seconds)
{
	int fd = bpf_map__fd(p->maps.fl_eim);
	struct fl_eim_key key, keys[64];
	struct fl_eim eim;
	int n = 0;

	for (int r = bpf_map_get_next_key(fd, NULL, &key); !r && n < 64; r = bpf_map_get_next_key(fd, &key, &key))
		keys[n++] = key;
	for (int i = 0; i < n; i++)
		if (!bpf_map_lookup_elem(fd, &keys[i], &eim)) {
			eim.used -= seconds * clock_hz();
			bpf_map_update_elem(fd, &keys[i], &eim, BPF_ANY);
		}
}

/* One inside endpoint has one outside endpoint for all, and nobody else gets that. */
static void eim_property(struct env *env)
{
	struct nat_choose *p = open_empty(env);
	struct nat_choice a, b;
	int port_b = 0;
	char remote[32];

	for (int i = 1; p && i <= 100; i++) {
		snprintf(remote, sizeof(remote), "203.0.113.%d", i);
		a = snat(connection(17, INSIDE4, 5000, remote, 1000 + i), OUTSIDE4, FL_NAT_EIM, 0, 0);
		becomes(env, p, "the first", a, OUTSIDE4, 5000, remote, 1000 + i);
		/* it wants the port of the first, also for destinations where that has none */
		b = snat(connection(17, "10.1.2.4", 5000, remote, 2000 + i), OUTSIDE4, FL_NAT_EIM, 0, 0);
		packet(env, p, &b);
		if (p->bss->choice.stage || p->bss->choice.to.sport == htobe16(5000) ||
		    (port_b && p->bss->choice.to.sport != port_b))
			fail(env, "  the second, to %s: stage %d, port %d\n", remote, p->bss->choice.stage,
			     be16toh(p->bss->choice.to.sport));
		port_b = p->bss->choice.to.sport;
	}
	if (!p)
		return;
	/* another rule onto the same address, without mappings */
	b = snat(connection(17, "10.1.2.5", 5000, "203.0.113.200", 53), OUTSIDE4, 0, 0, 0);
	if (packet(env, p, &b)->stage || p->bss->choice.to.sport == htobe16(5000))
		fail(env, "  another rule takes a mapped port\n");
	/* other protocols have their own */
	becomes(env, p, "tcp", snat(connection(6, "10.1.2.5", 5000, REMOTE4, 53), OUTSIDE4, FL_NAT_EIM, 0, 0), OUTSIDE4,
		5000, REMOTE4, 53);
	nat_choose__destroy(p);
}

/* Unused for five minutes, an endpoint is free again; what uses it keeps it. */
static void eim_lifetime(struct env *env)
{
	struct nat_choose *p = open_empty(env);
	struct nat_choice a = snat(connection(17, INSIDE4, 5000, REMOTE4, 53), OUTSIDE4, FL_NAT_EIM, 0, 0);
	struct nat_choice b = snat(connection(17, "10.1.2.4", 5000, "203.0.113.10", 53), OUTSIDE4, FL_NAT_EIM, 0, 0);

	if (!p)
		return;
	becomes(env, p, "the first", a, OUTSIDE4, 5000, REMOTE4, 53);
	age_mappings(p, 200);
	p->bss->choice = a;
	p->bss->choice.to.src = addr_of(OUTSIDE4);
	p->bss->choice.to.sport = htobe16(5000);
	run_prog(p->progs.nat_keep_one);
	age_mappings(p, 200);
	b.decide = 1;
	if (packet(env, p, &b)->stage || p->bss->choice.to.sport == htobe16(5000))
		fail(env, "  what is used was not kept\n");
	age_mappings(p, 101);
	b.decide = 0;
	becomes(env, p, "the second", b, OUTSIDE4, 5000, "203.0.113.10", 53);
	/* and now it is the second's */
	a.from.dst = addr_of("203.0.113.11");
	if (packet(env, p, &a)->stage || p->bss->choice.to.sport == htobe16(5000))
		fail(env, "  the first has it back\n");
	nat_choose__destroy(p);
}

/* Whoever only decides leaves no mapping behind. */
static void eim_decide(struct env *env)
{
	struct nat_choose *p = open_empty(env);
	struct nat_choice a = snat(connection(17, INSIDE4, 5000, REMOTE4, 53), OUTSIDE4, FL_NAT_EIM, 0, 0);
	struct fl_eim_key key;

	if (!p)
		return;
	a.decide = 1;
	if (packet(env, p, &a)->stage || !bpf_map_get_next_key(bpf_map__fd(p->maps.fl_eim), NULL, &key))
		fail(env, "  a mapping is there\n");
	nat_choose__destroy(p);
}

/* Jiffies, as the youngest mapping has them. */
static __u32 mapped_at(struct nat_choose *p)
{
	int fd = bpf_map__fd(p->maps.fl_eim);
	struct fl_eim_key key;
	struct fl_eim eim = {};

	if (!bpf_map_get_next_key(fd, NULL, &key))
		bpf_map_lookup_elem(fd, &key, &eim);
	return eim.used;
}

/* A peer tells of a connection of the inside endpoint that has `port` outside; its last packet was so many seconds ago. */
static void told(struct nat_choose *p, const struct nat_choice *c, int port, __u32 now, int seconds, bool mapped)
{
	struct states t = { .mappings = bpf_map__fd(p->maps.fl_eim), .hz = clock_hz() };
	struct states_news news = { .state = { .proto = c->proto,
					       .flags = FL_STATE_TRANSLATED | FL_STATE_STARTER,
					       .nat = c->snat.id,
					       .seen = now - seconds * t.hz },
				    .mapped = mapped };

	news.addr[0] = news.state.addr[0] = c->from.dst;
	news.port[0] = news.state.port[0] = c->from.dport;
	news.state.addr[1] = c->from.src;
	news.state.port[1] = c->from.sport;
	news.addr[1] = addr_of(OUTSIDE4);
	news.port[1] = htobe16(port);
	states_map(&t, &news, now);
}

/* What a peer has given is as good as an own one, and lives as long since its last packet. */
static void eim_of_peer(struct env *env)
{
	struct nat_choose *p = open_empty(env);
	struct nat_choice a = snat(connection(17, INSIDE4, 5000, REMOTE4, 53), OUTSIDE4, FL_NAT_EIM, 0, 0);
	struct nat_choice b = snat(connection(17, "10.1.2.4", 7000, REMOTE4, 53), OUTSIDE4, FL_NAT_EIM, 0, 0);
	struct nat_choice c = snat(connection(17, "10.1.2.5", 5000, REMOTE4, 53), OUTSIDE4, FL_NAT_EIM, 0, 0);
	__u32 now;

	if (!p)
		return;
	becomes(env, p, "another", snat(connection(17, "10.1.2.9", 999, REMOTE4, 53), OUTSIDE4, FL_NAT_EIM, 0, 0),
		OUTSIDE4, 999, REMOTE4, 53);
	now = mapped_at(p);
	told(p, &a, 7000, now, 250, true);
	told(p, &b, 7001, now, 301, true);
	told(p, &c, 7002, now, 1, false);
	a.from.dst = addr_of("203.0.113.11");
	becomes(env, p, "mapped by the peer", a, OUTSIDE4, 7000, "203.0.113.11", 53);
	if (packet(env, p, &b)->stage || p->bss->choice.to.sport == htobe16(7000))
		fail(env, "  another one gets its port\n");
	if (p->bss->choice.to.sport == htobe16(7001))
		fail(env, "  what has run out at the peer lives here\n");
	becomes(env, p, "of a rule that keeps none", c, OUTSIDE4, 5000, REMOTE4, 53);
	nat_choose__destroy(p);
}

/* Who has used it last has it: news that is older than what is here changes nothing. */
static void eim_of_two(struct env *env)
{
	struct nat_choose *p = open_empty(env);
	struct nat_choice a = snat(connection(17, INSIDE4, 5000, REMOTE4, 53), OUTSIDE4, FL_NAT_EIM, 0, 0);
	struct nat_choice b = snat(connection(17, "10.1.2.4", 5001, REMOTE4, 53), OUTSIDE4, FL_NAT_EIM, 0, 0);
	__u32 now;

	if (!p)
		return;
	becomes(env, p, "own", a, OUTSIDE4, 5000, REMOTE4, 53);
	now = mapped_at(p);
	age_mappings(p, 20);
	told(p, &a, 7000, now, 30, true); /* before this node had it */
	told(p, &b, 5000, now, 30, true);
	a.from.dst = addr_of("203.0.113.11");
	becomes(env, p, "still its own", a, OUTSIDE4, 5000, "203.0.113.11", 53);
	becomes(env, p, "and nobody else's", b, OUTSIDE4, 5001, REMOTE4, 53);
	age_mappings(p, 20);
	told(p, &a, 7000, now, 10, true); /* since then it had another one there */
	a.from.dst = addr_of("203.0.113.12");
	becomes(env, p, "the peer's", a, OUTSIDE4, 7000, "203.0.113.12", 53);
	nat_choose__destroy(p);
}

const struct procedure nat_choose_procedures[] = {
	{ "nat-choose/source", sources },	 { "nat-choose/destination", destinations },
	{ "nat-choose/no-address", no_address }, { "nat-choose/many", many },
	{ "nat-choose/exhausted", exhausted },	 { "nat-choose/run-out", run_out },
	{ "nat-choose/eim", eim_property },	 { "nat-choose/eim-lifetime", eim_lifetime },
	{ "nat-choose/eim-decide", eim_decide }, { "nat-choose/eim-of-peer", eim_of_peer },
	{ "nat-choose/eim-of-two", eim_of_two }, { 0 },
};
