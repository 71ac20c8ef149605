// SPDX-License-Identifier: GPL-2.0-only
#include "selftests/net/test_pair.h"

#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <arpa/inet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "selftests/net/test_system.h"

#define BEGINNING (1000 * SECOND)
#define SEEN_MS 10000 /* a busy machine may hand a frame on late */

struct world w;
struct prefix pair_address;
static struct carp_key carp_key;
static int middle; /* the namespace of the test's ends */

static const char *const names[CHANNELS] = { "lan", "sync" };

/* ---- namespaces and devices ---- */

static void enter(int ns)
{
	cr_assert_eq(setns(ns, CLONE_NEWNET), 0);
}

static int new_namespace(void)
{
	int fd;

	cr_assert_eq(unshare(CLONE_NEWNET), 0);
	run("sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1 && ip link set lo up");
	fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	cr_assert_geq(fd, 0);
	return fd;
}

static int listen_to(const char *device)
{
	struct sockaddr_ll name = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), size = 4 << 20;

	name.sll_ifindex = (int)if_nametoindex(device);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	cr_assert(fd >= 0 && name.sll_ifindex && bind(fd, (struct sockaddr *)&name, sizeof(name)) == 0);
	return fd;
}

/* What is sent before the kernel has heard of the carrier is dropped without a word. */
static void wait_until_up(const char *device)
{
	run("for i in $(seq 200); do ip link show %s 2> /dev/null | grep -q 'state UP' && exit 0; sleep 0.05; done; exit 1",
	    device);
}

/* Both nodes know each other's MAC, so that no question has to be carried before a beat is. */
static void make_devices(unsigned int i)
{
	struct node *n = &w.nodes[i];
	char device[16];

	for (unsigned int c = 0; c < CHANNELS; c++) {
		enter(middle);
		snprintf(device, sizeof(device), "%s%u", names[c], i);
		run("ip link add %s type veth peer name %s address 02:00:00:00:0%u:0%u netns /proc/%d/fd/%d && ip link set %s up",
		    device, names[c], c, i + 1, (int)getpid(), n->ns, device);
		n->outside[c] = listen_to(device);
		enter(n->ns);
		/* a checksum that the device would make is none in a frame that is carried by hand */
		run("ethtool -K %s tx off > /dev/null && ip addr add %s.%u/24 dev %s && ip link set %s up", names[c],
		    c == LAN ? "192.0.2" : "172.16.255", i + 1, names[c], names[c]);
		n->ifindex[c] = if_nametoindex(names[c]);
		n->inside[c] = listen_to(names[c]);
		wait_until_up(names[c]);
		enter(middle);
		wait_until_up(device);
	}
	enter(n->ns);
	run("ip neigh add 172.16.255.%u lladdr 02:00:00:00:01:0%u dev sync nud permanent", 2 - i, 2 - i);
}

/* ---- nodes ---- */

static void on_lease(void *arg, uint16_t lease, uint64_t until_ns)
{
	(void)lease;
	((struct node *)arg)->lease = until_ns;
}

static void make_key(struct sign_key *key, uint8_t by)
{
	const uint8_t id[SIGN_ID] = { by };
	uint8_t secret[32];

	memset(secret, by, sizeof(secret));
	sign_key_make(key, id, secret);
}

void pair_node_configure(struct node *n)
{
	enter(n->ns);
	cr_assert_eq(vhids_pair(n->v, &n->pair, w.now), 0);
	cr_assert_eq(vhids_configure(n->v, &n->setup, 1, w.now), 0);
	for (unsigned int c = 0; c < CHANNELS; c++)
		vhids_link(n->v, n->ifindex[c], c == SYNC || n->link_up, w.now);
	vhids_facts(n->v, &n->facts, &n->fact, w.now);
}

void pair_node_start(struct node *n, uint64_t epoch)
{
	const struct vhids_plane plane = { on_lease, n };

	enter(n->ns);
	n->runs = true;
	n->epoll = epoll_create1(EPOLL_CLOEXEC);
	n->notify = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	cr_assert_eq(vhids_open(&n->v, n->epoll, 0, n->notify, &plane), 0);
	n->pair.epoch = epoch;
	pair_node_configure(n);
}

/* What it says at its end nobody hears. */
void pair_node_kill(struct node *n)
{
	uint64_t lease = n->lease;
	bool cut[CHANNELS];

	memcpy(cut, w.cut, sizeof(cut));
	memset(w.cut, true, sizeof(w.cut));
	vhids_close(n->v, w.now);
	n->v = NULL;
	n->runs = false;
	pair_carry();
	memcpy(w.cut, cut, sizeof(cut));
	n->lease = lease;
	close(n->epoll);
	close(n->notify);
}

void pair_node_link(struct node *n, bool up)
{
	n->link_up = up;
	if (n->runs)
		vhids_link(n->v, n->ifindex[LAN], up, w.now);
}

void pair_node_facts(struct node *n)
{
	vhids_facts(n->v, &n->facts, &n->fact, w.now);
}

/* ---- two addresses ---- */

void pair_two_configure(struct node *n, bool first_alone, bool second_alone)
{
	struct vhid_setup both[2] = { n->setup, n->setup };

	both[0].independent = first_alone;
	both[1].independent = second_alone;
	both[1].name = "sync_vip";
	both[1].lease = 2;
	both[1].ifindex = n->ifindex[SYNC];
	both[1].interface = beat_interface("sync");
	cr_assert_eq(vhids_configure(n->v, both, 2, w.now), 0);
	vhids_link(n->v, n->ifindex[SYNC], true, w.now);
}

void pair_two_facts(struct node *n, bool second_is_disabled)
{
	struct vhid_facts both[2] = { n->facts, n->facts };

	both[1].disabled = second_is_disabled;
	addr_parse(n == A ? "172.16.255.1" : "172.16.255.2", &both[1].sources[0]);
	vhids_facts(n->v, both, &n->fact, w.now);
}

bool pair_has_both(const struct node *n, enum carp_role first, enum carp_role second)
{
	struct vhid_view views[2];

	cr_assert_eq(vhids_show(n->v, views, 2), 2u);
	return views[0].carp.role == first && views[1].carp.role == second;
}

/* ---- the beginning ---- */

static void make_node(unsigned int i, const struct carp_settings *set)
{
	struct node *n = &w.nodes[i];

	n->link_up = true;
	n->fact.ready = true;
	n->setup = (struct vhid_setup){ .name = "lan_vip",
					.lease = 1,
					.ifindex = n->ifindex[LAN],
					.interface = beat_interface("lan"),
					.vhid = 42,
					.set = *set,
					.key = &carp_key,
					.addresses = &pair_address,
					.n_addresses = 1,
					.announce_repeat = 1 };
	n->setup.set.advskew += 100 * i;
	addr_parse(i ? "192.0.2.2" : "192.0.2.1", &n->facts.sources[0]);
	addr_parse(i ? "172.16.255.1" : "172.16.255.2", &n->peer.addr);
	n->pair = (struct pair_setup){
		.ifindex = n->ifindex[SYNC], .port = 7241, .peers = &n->peer, .n_peers = 1, .keys = &n->keys
	};
	addr_parse(i ? "172.16.255.2" : "172.16.255.1", &n->pair.local);
	n->pair.node = pair_node(&n->pair.local);
	make_key(&n->keys.key[0], 1);
	make_key(&n->keys.key[1], 2);
	n->keys.n = 1;
	pair_node_start(n, 5);
}

void pair_begin(const struct carp_settings *set)
{
	addr_parse("192.0.2.100", &pair_address.addr);
	pair_address.len = 24;
	carp_key_make(&carp_key, 42, "love", 4, &pair_address, 1);
	for (unsigned int i = 0; i < 2; i++)
		make_node(i, set);
	pair_carry();
}

void pair_begin_known(const struct carp_settings *set)
{
	pair_begin(set);
	pair_pass(5 * SECOND, NULL);
	cr_assert(pair_role(A) == CARP_MASTER && pair_role(B) == CARP_BACKUP);
	cr_assert(pair_peer_state(A) == PAIR_UP && pair_peer_state(B) == PAIR_UP);
	cr_assert(pair_owns(A) && !pair_owns(B));
	cr_assert(!A->happened[VHID_FAULT] && !B->happened[VHID_FAULT]);
}

void pair_world_open(void)
{
	cpu_set_t one;

	if (geteuid())
		cr_skip_test("needs root");
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	sched_setaffinity(0, sizeof(one), &one);
	w = (struct world){ .now = BEGINNING };
	middle = new_namespace();
	for (unsigned int i = 0; i < 2; i++)
		w.nodes[i].ns = new_namespace();
	for (unsigned int i = 0; i < 2; i++)
		make_devices(i);
}

void pair_world_close(void)
{
	for (unsigned int i = 0; i < 2; i++)
		if (w.nodes[i].v)
			vhids_close(w.nodes[i].v, w.now);
}

/* ---- carrying ---- */

/* Its next frame that came from outside of the device; 0: none */
static size_t next_frame(int fd, uint8_t frame[FRAME_MAX])
{
	struct sockaddr_ll from;
	socklen_t len = sizeof(from);
	ssize_t n;

	while ((n = recvfrom(fd, frame, FRAME_MAX, 0, (struct sockaddr *)&from, &len)) > 0)
		if (from.sll_pkttype != PACKET_OUTGOING)
			return (size_t)n;
	return 0;
}

static void wait_for_frame(int fd)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };
	uint8_t frame[FRAME_MAX];

	while (!next_frame(fd, frame))
		cr_assert_gt(poll(&ready, 1, SEEN_MS), 0, "a frame got lost on its way");
}

void pair_put(unsigned int node, unsigned int channel, const uint8_t *frame, size_t len)
{
	struct node *n = &w.nodes[node];
	uint8_t old[FRAME_MAX];

	while (next_frame(n->inside[channel], old))
		;
	cr_assert_eq(send(n->outside[channel], frame, len, 0), (ssize_t)len);
	wait_for_frame(n->inside[channel]);
}

static bool is_arp(const uint8_t *frame)
{
	return frame[12] == ETH_P_ARP >> 8 && frame[13] == (ETH_P_ARP & 0xff);
}

static bool carry_from(unsigned int i)
{
	uint8_t frame[FRAME_MAX];
	bool any = false;
	size_t len;

	for (unsigned int c = 0; c < CHANNELS; c++)
		while ((len = next_frame(w.nodes[i].outside[c], frame))) {
			any = true;
			if (w.on_frame)
				w.on_frame(i, c, frame, len);
			if (!i) {
				memcpy(w.last[c], frame, len);
				w.last_len[c] = len;
			}
			if (!w.cut[c] && !(w.no_arp && is_arp(frame)) && (unsigned int)rand() % 100 >= w.loss_pct[c] &&
			    (c != LAN || (w.nodes[0].link_up && w.nodes[1].link_up)))
				pair_put(!i, c, frame, len);
		}
	return any;
}

static void fetch_events(struct node *n)
{
	struct vhid_event e;
	unsigned int lost;

	while (vhids_event(n->v, &e, &lost)) {
		n->happened[e.kind]++;
		if (e.kind == VHID_FAULT)
			n->faults[e.fault]++;
	}
}

static bool hear(struct node *n)
{
	struct epoll_event events[8];
	int got = n->runs ? epoll_wait(n->epoll, events, 8, 0) : 0;

	for (int i = 0; i < got; i++)
		vhids_receive(n->v, events[i].data.u64, w.now);
	if (n->runs) {
		vhids_run(n->v, w.now);
		fetch_events(n);
	}
	return got > 0;
}

void pair_carry(void)
{
	bool more = true;

	while (more) {
		more = false;
		for (unsigned int i = 0; i < 2; i++)
			more |= hear(&w.nodes[i]);
		for (unsigned int i = 0; i < 2; i++)
			more |= carry_from(i);
	}
}

static uint64_t next_of(const struct node *n)
{
	return n->runs ? vhids_next(n->v) : CARP_NEVER;
}

void pair_pass(uint64_t ns, void (*each)(void))
{
	uint64_t until = w.now + ns;

	for (;;) {
		uint64_t a = next_of(&w.nodes[0]), b = next_of(&w.nodes[1]), next = a < b ? a : b;

		if (next > until)
			break;
		w.now = next > w.now ? next : w.now;
		pair_carry();
		if (each)
			each();
	}
	w.now = until;
	pair_carry();
}

void pair_channel(unsigned int channel, bool cut, unsigned int loss_pct)
{
	bool clean = !cut && !loss_pct;

	w.cut[channel] = cut;
	w.loss_pct[channel] = loss_pct;
	if (!clean)
		w.clean_since[channel] = CARP_NEVER;
	else if (w.clean_since[channel] == CARP_NEVER)
		w.clean_since[channel] = w.now;
}

/* ---- looking ---- */

struct vhid_view pair_view(const struct node *n)
{
	struct vhid_view view;

	cr_assert_eq(vhids_show(n->v, &view, 1), 1u);
	return view;
}

enum carp_role pair_role(const struct node *n)
{
	return pair_view(n).carp.role;
}

bool pair_owns(const struct node *n)
{
	return n->lease > w.now;
}

enum pair_state pair_peer_state(const struct node *n)
{
	struct pair_view view;

	cr_assert_eq(vhids_pair_show(n->v, &view, 1), 1u);
	return view.state;
}

unsigned int pair_both_own;

void pair_count_both(void)
{
	pair_both_own += pair_owns(A) && pair_owns(B);
}
