// SPDX-License-Identifier: GPL-2.0-only
/*
 * What it costs that a peer has all states too, and how far behind it is. The peer in the other sense is conntrackd (FTFW, DisableExternalCache: its standby
 * writes into the kernel's table at once, as ours does). `run` has made the namespaces:
 *
 *	pair	r2 ---- r2  standby		ct-pair	 r2 ---- r2  ct-standby		172.16.255.1, .2
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/ipv6.h>
#include <linux/udp.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "fairlead/state.h"
#include "selftests/bench/bench.h"

#define TICK_NS 1000000
#define PER_TICK 50    /* flows: 50,000 a second */
#define ALL_SECONDS 30 /* until the standby has all, at most */
#define ROUNDS 5

/* ---- the standby's table, in our memory ---- */

struct table {
	const struct fl_bucket *buckets;
	const struct fl_state *entries;
	const struct fl_state_control *control;
	const struct fl_state_counts *counts;
	uint32_t n_counts;
};

static const void *map_pinned(const struct run *r, enum dut_id dut, const char *map, uint32_t *n)
{
	struct bpf_map_info info = {};
	uint32_t len = sizeof(info);
	void *memory = MAP_FAILED;
	char pin[256];
	int fd;

	snprintf(pin, sizeof(pin), "/sys/fs/bpf/fairlead/%s-%s/%s", r->prefix, duts[dut].name, map);
	fd = bpf_obj_get(pin);
	if (fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &len) == 0)
		memory = mmap(NULL, (size_t)info.max_entries * info.value_size, PROT_READ, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED)
		die("cannot look at %s: %s", pin, strerror(errno));
	close(fd);
	if (n)
		*n = info.max_entries;
	return memory;
}

static void table_map(const struct run *r, enum dut_id dut, struct table *t)
{
	t->buckets = map_pinned(r, dut, "fl_buckets", NULL);
	t->entries = map_pinned(r, dut, "fl_states", NULL);
	t->control = map_pinned(r, dut, "fl_state_control", NULL);
	t->counts = map_pinned(r, dut, "fl_state_counts", &t->n_counts);
}

static uint64_t table_states(const struct table *t)
{
	const volatile struct fl_state_counts *counts = t->counts;
	int64_t sum = 0;

	for (uint32_t i = FL_STATE_COUNTS_DAEMON; i < t->n_counts; i++)
		sum += counts[i].states;
	return sum;
}

/* Of a flow as the generator makes it */
static struct fl_tuple flow_tuple(const struct bench_traffic *traffic, uint32_t flow)
{
	uint8_t frame[BENCH_WORDS * 8];
	const struct ipv6hdr *ip = (const void *)(frame + ETH_HLEN);
	struct fl_tuple tuple = { .proto = FL_PROTO_UDP };
	struct udphdr udp;

	path_frame(traffic, flow, frame);
	memcpy(&tuple.addr[0], &ip->saddr, sizeof(tuple.addr[0])); /* the lower one: 2001:db8:ac::, …:f1:: */
	memcpy(&tuple.addr[1], &ip->daddr, sizeof(tuple.addr[1]));
	memcpy(&udp, ip + 1, sizeof(udp));
	tuple.port[0] = udp.source;
	tuple.port[1] = udp.dest;
	return tuple;
}

static bool table_has(const struct table *t, const struct fl_tuple *tuple)
{
	const struct fl_state_place place = fl_state_hash(tuple, t->control->key, t->control->buckets);

	for (int i = 0; i < 2; i++)
		for (int way = 0; way < FL_BUCKET_WAYS; way++) {
			uint64_t tag = __atomic_load_n(&t->buckets[place.bucket[i]].tag[way], __ATOMIC_ACQUIRE);
			const struct fl_state *st = &t->entries[FL_BUCKET_WAYS * place.bucket[i] + way];

			if (FL_TAG_KIND(tag) >= FL_KIND_EMBRYONIC && FL_TAG_HASH(tag) == place.hash &&
			    !memcmp(st->addr, tuple->addr, sizeof(tuple->addr)) &&
			    !memcmp(st->port, tuple->port, sizeof(tuple->port)))
				return true;
		}
	return false;
}

/* ---- both kinds ---- */

struct kind {
	const char *name; /* what its facts begin with */
	enum path_id alone, path;
	enum dut_id active, standby;
	pid_t pids[2];
	struct table table; /* ours */
	int count;	    /* theirs: nf_conntrack_count */
	struct peer peers[2];
	bool runs;
};

static struct kind kinds[] = {
	{ .name = "pair", .alone = PATH_SOLO, .path = PATH_PAIR, .active = DUT_PAIR, .standby = DUT_STANDBY },
	{ .name = "ct", .alone = PATH_CT_SOLO, .path = PATH_CT_PAIR, .active = DUT_CT_PAIR, .standby = DUT_CT_STANDBY },
};

static const char *named(const struct kind *k, const char *what)
{
	static char name[96];

	snprintf(name, sizeof(name), "%s_%s", k->name, what);
	return name;
}

static bool is_ours(const struct kind *k)
{
	return duts[k->active].fairlead;
}

static uint64_t standby_states(const struct kind *k)
{
	char text[32] = "";

	if (is_ours(k))
		return table_states(&k->table);
	return pread(k->count, text, sizeof(text) - 1, 0) > 0 ? strtoull(text, NULL, 10) : 0;
}

static uint64_t cpu_ns(const struct kind *k, int node)
{
	return process_cpu_ns(k->pids[node]);
}

/* Until the standby has so many, no more and no less. */
static bool standby_has(const struct kind *k, uint64_t n, double seconds)
{
	uint64_t end = now_ns() + seconds * 1e9;

	while (standby_states(k) != n && now_ns() < end)
		usleep(1000);
	return standby_states(k) == n;
}

static void forget(struct run *r, const struct kind *k)
{
	flows_forget(r, k->active);
	if (!is_ours(k))
		flows_forget(r, k->standby);
	if (!standby_has(k, 0, ALL_SECONDS))
		complain(r, "%s: the standby keeps %llu states that have ended", duts[k->standby].name,
			 (unsigned long long)standby_states(k));
}

/* ---- start ---- */

static void conntrackd_config(const struct run *r, const char *name, int node, const char *file)
{
	peers_write(
		file, 0600,
		"Sync {\n Mode FTFW {\n  DisableExternalCache On\n }\n UDP {\n  IPv4_address 172.16.255.%d\n"
		"  IPv4_Destination_Address 172.16.255.%d\n  Port 3780\n  Interface r2\n  SndSocketBuffer 16777216\n"
		"  RcvSocketBuffer 16777216\n  Checksum on\n }\n}\n"
		"General {\n HashSize 131072\n HashLimit 524288\n LogFile %s/%s.conntrackd.log\n"
		" LockFile %s/%s.lock\n UNIX {\n  Path %s/%s.ctl\n }\n NetlinkBufferSize 8388608\n"
		" NetlinkBufferSizeMaxGrowth 67108864\n Filter From Userspace {\n  Protocol Accept {\n   UDP\n   TCP\n  }\n  Address Ignore {\n   IPv4_address 172.16.255.1\n   IPv4_address 172.16.255.2\n  }\n }\n}\n",
		1 + node, 2 - node, r->work, name, r->work, name, r->work, name);
}

static bool conntrackd_start(struct run *r, struct kind *k)
{
	const enum dut_id nodes[2] = { k->active, k->standby };
	char file[512], line[256];

	for (int i = 0; i < 2; i++) {
		char *argv[] = { "/usr/sbin/conntrackd", "-C", file, NULL };

		snprintf(file, sizeof(file), "%s/%s.conf", r->work, duts[nodes[i]].name);
		conntrackd_config(r, duts[nodes[i]].name, i, file);
		if (!peer_start(r, &k->peers[i], duts[nodes[i]].name, argv)) {
			fact_missing(r, "ct_", "conntrackd is not installed");
			return false;
		}
		k->pids[i] = k->peers[i].pid;
	}
	usleep(1000000);
	for (int i = 0; i < 2; i++)
		if (!peer_lives(&k->peers[i])) {
			fact_missing(r, "ct_", "conntrackd does not run here: %s",
				     peer_last_words(&k->peers[i], line, sizeof(line)));
			return false;
		}
	netns_enter(r, duts[k->standby].name);
	k->count = open("/proc/sys/net/netfilter/nf_conntrack_count", O_RDONLY | O_CLOEXEC);
	return k->count >= 0;
}

static bool sync_digest_matches(const struct run *r, enum dut_id dut)
{
	json_t *answer = node_tell(r, duts[dut].name, "--json", "show", "sync", NULL);
	bool matches = json_is_true(json_object_get(json_array_get(answer, 0), "digest_match"));

	json_decref(answer);
	return matches;
}

static bool is_level(const struct run *r, const struct kind *k, double seconds)
{
	uint64_t end = now_ns() + seconds * 1e9;
	bool level;

	while (!(level = sync_digest_matches(r, k->active) && sync_digest_matches(r, k->standby)) && now_ns() < end)
		usleep(50000);
	return level;
}

static bool fairlead_start(struct run *r, struct kind *k)
{
	daemon_spawn(r, DUT_SOLO);
	daemon_spawn(r, k->active);
	daemon_spawn(r, k->standby);
	if (!daemon_wait(r, DUT_SOLO, 30) || !daemon_wait(r, k->active, 30) || !daemon_wait(r, k->standby, 30))
		return false;
	k->pids[0] = r->daemons[k->active];
	k->pids[1] = r->daemons[k->standby];
	table_map(r, k->standby, &k->table);
	if (!is_level(r, k, ALL_SECONDS))
		complain(r, "pair: the nodes do not agree on their states");
	return true;
}

/* ---- a burst (G9, G10) ---- */

static void burst_alone(struct run *r, const struct kind *k, uint32_t flows)
{
	uint64_t lost;

	flows_forget(r, paths[k->alone].dut);
	usleep(r->brief ? 20000 : 500000);
	fact_add(r, named(k, "off_ns"), live_burst(r, k->alone, flows, &lost));
	if (lost)
		complain(r, "%s: %llu packets lost", paths[k->alone].text, (unsigned long long)lost);
}

static void burst(struct run *r, const struct kind *k, uint32_t flows)
{
	uint64_t cpu[2], begin, lost, all = flows / BENCH_BATCH * BENCH_BATCH;
	double ns;
	bool came;

	forget(r, k);
	usleep(r->brief ? 20000 : 1500000); /* what the forgetting has left to do */
	cpu[0] = cpu_ns(k, 0);
	cpu[1] = cpu_ns(k, 1);
	begin = now_ns();
	ns = live_burst(r, k->path, flows, &lost);
	came = standby_has(k, all, ALL_SECONDS);
	fact_add(r, named(k, "all_ms"), (now_ns() - begin) / 1e6);
	cpu[0] = cpu_ns(k, 0) - cpu[0];
	cpu[1] = cpu_ns(k, 1) - cpu[1];
	fact_add(r, named(k, "on_ns"), ns);
	fact_add(r, named(k, "missing"), (double)all - standby_states(k));
	if (came) {
		fact_add(r, named(k, "sync_ns"), (double)(cpu[0] + cpu[1]) / all);
		fact_add(r, named(k, "install_ns"), (double)cpu[1] / all);
	}
	if (lost || (is_ours(k) && !came))
		complain(r, "%s: %llu packets lost, %lld of %llu states not at the peer", paths[k->path].text,
			 (unsigned long long)lost, (long long)(all - standby_states(k)), (unsigned long long)all);
}

/* ---- a steady stream of new ones (G11) ---- */

struct lag {
	double *ms; /* of one flow a tick */
	size_t n, ticks;
	uint64_t *made_ns; /* of the last flow of a tick */
	double seconds;	   /* that it took to send all */
};

struct lane {
	int socket;
	struct bench_traffic traffic;
	uint8_t frames[PER_TICK][BENCH_WORDS * 8];
	struct iovec vectors[PER_TICK];
	struct mmsghdr messages[PER_TICK];
};

static void lane_open(struct run *r, struct lane *lane, const char *ns, const char *device, const char *dut)
{
	struct sockaddr_ll address = { .sll_family = AF_PACKET };
	char name[32];

	netns_enter(r, ns);
	snprintf(name, sizeof(name), "%s-%s", device, dut);
	address.sll_ifindex = ifindex_of("%s", name);
	lane->socket = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (lane->socket < 0 || bind(lane->socket, (struct sockaddr *)&address, sizeof(address)))
		die("cannot open a packet socket on %s: %s", name, strerror(errno));
	for (int i = 0; i < PER_TICK; i++) {
		lane->vectors[i] = (struct iovec){ lane->frames[i], lane->traffic.len };
		lane->messages[i].msg_hdr = (struct msghdr){ .msg_iov = &lane->vectors[i], .msg_iovlen = 1 };
	}
}

static void lane_send(struct lane *lane, uint32_t first)
{
	for (int i = 0; i < PER_TICK; i++)
		path_frame(&lane->traffic, first + i, lane->frames[i]);
	for (int sent = 0, n; sent < PER_TICK; sent += n) {
		n = sendmmsg(lane->socket, lane->messages + sent, PER_TICK - sent, 0);
		if (n < 1)
			die("cannot send: %s", strerror(errno));
	}
}

/* Whether the flow that tick made last is there: ours by the table itself; theirs by the count, since they come in their order */
static bool tick_is_there(const struct kind *k, const struct bench_traffic *traffic, size_t tick)
{
	const uint32_t last = (tick + 1) * PER_TICK - 1;
	struct fl_tuple tuple;

	if (!is_ours(k))
		return standby_states(k) > last;
	tuple = flow_tuple(traffic, last);
	return table_has(&k->table, &tuple);
}

static void ticks_look(const struct kind *k, const struct bench_traffic *traffic, struct lag *lag, size_t made)
{
	while (lag->n < made && tick_is_there(k, traffic, lag->n)) {
		lag->ms[lag->n] = (now_ns() - lag->made_ns[lag->n]) / 1e6;
		lag->n++;
	}
}

/* `amid` is called once, in the midst */
static void stream(struct run *r, const struct kind *k, struct lag *lag,
		   void (*amid)(struct run *r, const struct kind *k))
{
	static struct lane there, back;
	struct bench_expected expected;
	uint64_t next = now_ns(), begin = next;

	path_traffic(&paths[k->path], &there.traffic, &expected);
	path_answers(&paths[k->path], &back.traffic);
	lane_open(r, &there, "gen", "g", duts[k->active].name);
	lane_open(r, &back, "sink", "s", duts[k->active].name);
	for (size_t tick = 0; tick < lag->ticks; tick++) {
		if (amid && tick == lag->ticks / 2)
			amid(r, k);
		lane_send(&there, tick * PER_TICK);
		lag->made_ns[tick] = now_ns();
		lane_send(&back, tick * PER_TICK);
		next += TICK_NS;
		do {
			struct timespec pause = { 0, 20000 };

			ticks_look(k, &there.traffic, lag, tick + 1);
			clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
		} while (now_ns() < next);
	}
	lag->seconds = (now_ns() - begin) / 1e9;
	for (uint64_t end = now_ns() + ALL_SECONDS * 1000000000ull; lag->n < lag->ticks && now_ns() < end;) {
		ticks_look(k, &there.traffic, lag, lag->ticks);
		usleep(100);
	}
	close(there.socket);
	close(back.socket);
}

static uint64_t flows_lost(const struct kind *k, uint64_t flows)
{
	struct bench_expected expected;
	struct bench_traffic traffic;
	uint64_t lost = 0;

	if (!standby_has(k, flows, ALL_SECONDS) && !is_ours(k))
		return flows - standby_states(k);
	if (!is_ours(k))
		return 0;
	path_traffic(&paths[k->path], &traffic, &expected);
	for (uint32_t flow = 0; flow < flows; flow++) {
		struct fl_tuple tuple = flow_tuple(&traffic, flow);

		lost += !table_has(&k->table, &tuple);
	}
	return lost;
}

static void lag_tell(struct run *r, const struct kind *k, const char *how, struct lag *lag, uint64_t lost)
{
	static const struct {
		const char *name;
		double part;
	} quantiles[] = { { "p50_ms", 0.5 }, { "p99_ms", 0.99 }, { "max_ms", 1 } };
	char what[64];

	median(lag->ms, lag->n); /* sorts */
	for (size_t i = 0; i < 3 && lag->n; i++) {
		snprintf(what, sizeof(what), "%s_%s", how, quantiles[i].name);
		fact_add(r, named(k, what), lag->ms[(size_t)(quantiles[i].part * (lag->n - 1))]);
	}
	snprintf(what, sizeof(what), "%s_lost", how);
	fact_add(r, named(k, what), lost);
	snprintf(what, sizeof(what), "%s_rate", how);
	fact_add(r, named(k, what), lag->ticks * PER_TICK / lag->seconds);
	if (is_ours(k) && lost)
		complain(r, "pair, %s: %llu of %zu states are not at the peer", how, (unsigned long long)lost,
			 lag->ticks * PER_TICK);
}

static void lag_measured(struct run *r, const struct kind *k, const char *how, size_t ticks,
			 void (*amid)(struct run *r, const struct kind *k))
{
	struct lag lag = { .ticks = ticks };

	lag.ms = calloc(ticks, sizeof(*lag.ms));
	lag.made_ns = calloc(ticks, sizeof(*lag.made_ns));
	if (!lag.ms || !lag.made_ns)
		die("no memory");
	forget(r, k);
	usleep(r->brief ? 20000 : 1000000);
	stream(r, k, &lag, amid);
	lag_tell(r, k, how, &lag, flows_lost(k, ticks * PER_TICK));
	free(lag.ms);
	free(lag.made_ns);
}

/* One packet of a hundred, in both directions */
static void losses(struct run *r, const struct kind *k, bool on)
{
	const enum dut_id nodes[2] = { k->active, k->standby };
	char command[512];

	for (int i = 0; i < 2; i++) {
		snprintf(
			command, sizeof(command),
			on ? "nsenter --net=/run/netns/%s-%s nft 'table inet loss { chain c { type filter hook input priority 0; "
			     "iifname \"r2\" numgen random mod 100 == 0 drop; }; }'"
			   : "nsenter --net=/run/netns/%s-%s nft delete table inet loss",
			r->prefix, duts[nodes[i]].name);
		if (system(command))
			complain(r, "\"%s\" fails", command);
	}
}

static void cut(struct run *r, const struct kind *k)
{
	char command[256];

	/* by another process, since the stream goes on */
	snprintf(command, sizeof(command), "(ip -n %s-%s link set r2 down; sleep %s; ip -n %s-%s link set r2 up) &",
		 r->prefix, duts[k->standby].name, r->brief ? "0.1" : "4", r->prefix, duts[k->standby].name);
	if (system(command))
		complain(r, "\"%s\" fails", command);
}

/* ---- all ---- */

static void stop(struct run *r)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		for (int node = 0; node < 2; node++)
			peer_end(&kinds[i].peers[node], SIGTERM);
	daemon_kill(r, DUT_PAIR, SIGTERM);
	daemon_kill(r, DUT_STANDBY, SIGTERM);
	daemon_kill(r, DUT_SOLO, SIGTERM);
}

static void kind_round(struct run *r, const struct kind *k)
{
	burst_alone(r, k, r->brief ? BURST / 10 : BURST);
	if (!k->runs)
		return;
	burst(r, k, r->brief ? BURST / 10 : BURST);
	lag_measured(r, k, "lag", r->brief ? 100 : 2000, NULL);
}

/* Losses and cuts, once each */
static void kind_troubled(struct run *r, const struct kind *k)
{
	if (!k->runs)
		return;
	losses(r, k, true);
	lag_measured(r, k, "loss", r->brief ? 100 : 2000, NULL);
	losses(r, k, false);
	lag_measured(r, k, "cut", r->brief ? 300 : 2000, cut);
	if (is_ours(k) && !is_level(r, k, ALL_SECONDS))
		complain(r, "pair: the nodes do not agree on their states in the end");
}

void pair_measured(struct run *r)
{
	const int rounds = r->rounds < ROUNDS ? r->rounds : ROUNDS;

	kinds[0].runs = fairlead_start(r, &kinds[0]);
	kinds[1].runs = conntrackd_start(r, &kinds[1]);
	for (int i = 0; i < (r->brief ? 1 : rounds); i++)
		for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++)
			kind_round(r, &kinds[k]);
	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++)
		kind_troubled(r, &kinds[k]);
	stop(r);
}
