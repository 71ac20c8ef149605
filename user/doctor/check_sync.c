// SPDX-License-Identifier: GPL-2.0-only
/* The link between the nodes, what comes by it that should not, and whether both have the same. */
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "user/doctor/doctor.h"
#include "user/doctor/frames.h"
#include "user/lib/clock.h"

#define LISTEN_MS 1200
#define LAG_WARN_MS 1000

static const struct config_interface *sync_interface(const struct doctor *d)
{
	return d->config ? d->config->ha.interface : NULL;
}

/* ---- is it a link of its own? ---- */

static void check_use(struct doctor *d, bool used, const char *by, const char *name)
{
	if (used)
		doctor_warn(
			d, "a cable between the nodes, or a VLAN of its own",
			"%s is not for the pair alone: %s %s uses it, and what goes over it tells of all connections",
			sync_interface(d)->name, by, name);
}

static void check_rules_of(struct doctor *d, const struct config_rule *rule)
{
	for (size_t i = 0; i < rule->match.n_links; i++)
		check_use(d, rule->match.links[i].interface == sync_interface(d) && rule->action == CONFIG_PASS,
			  "the rule", rule->name);
}

void check_sync_link(struct doctor *d)
{
	const struct config_interface *sync = sync_interface(d);
	size_t before = json_array_size(d->rows);
	const struct config *c = d->config;
	const struct system_link *link;

	if (!sync) {
		doctor_skip(d, "there is no pair");
		return;
	}
	for (size_t i = 0; i < c->n_vips; i++)
		check_use(d, c->vips[i].interface == sync, "the shared address", c->vips[i].name);
	for (size_t i = 0; i < c->n_gateways; i++)
		check_use(d, c->gateways[i].interface == sync, "the gateway", c->gateways[i].name);
	for (size_t i = 0; i < c->n_rules; i++)
		check_rules_of(d, &c->rules[i]);
	link = doctor_link(d, sync);
	if (link && !link->carrier)
		doctor_fail(d, "the cable, and the port at the other end", "%s (%s) has no carrier", sync->name,
			    link->name);
	if (json_array_size(d->rows) == before)
		doctor_ok(d, "%s is for the pair alone", sync->name);
}

/* ---- foreign packets ---- */

struct sniffer {
	int fd;
};

static void close_sniffer(struct sniffer *s)
{
	if (s->fd >= 0)
		close(s->fd);
	free(s);
}

void check_foreign_packets_begin(struct doctor *d)
{
	const struct system_link *link = sync_interface(d) ? doctor_link(d, sync_interface(d)) : NULL;
	struct sockaddr_ll sll = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
	struct sniffer *s = link ? calloc(1, sizeof(*s)) : NULL;

	if (!s)
		return;
	sll.sll_ifindex = (int)link->ifindex;
	s->fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->fd >= 0 && !bind(s->fd, (struct sockaddr *)&sll, sizeof(sll)))
		d->sniffer = s;
	else
		close_sniffer(s);
}

void check_foreign_packets_end(struct doctor *d)
{
	if (d->sniffer)
		close_sniffer(d->sniffer);
	d->sniffer = NULL;
}

/* How many there were, and what the first one was. */
static unsigned int count_foreign(struct doctor *d, char *first, size_t len)
{
	const struct config_ha *ha = &d->config->ha;
	const struct frame_nodes nodes = { &ha->local, ha->peers, ha->n_peers };
	unsigned int n = 0, read = 0;
	struct sockaddr_ll sll = { 0 };
	uint8_t data[256] = { 0 };
	ssize_t got;

	for (;;) {
		socklen_t size = sizeof(sll);

		got = recvfrom(d->sniffer->fd, data, sizeof(data), 0, (struct sockaddr *)&sll, &size);
		if (got < 0 || read++ == 100000)
			return n;
		if (sll.sll_pkttype == PACKET_OUTGOING || !frame_is_foreign(&nodes, ntohs(sll.sll_protocol), data, got))
			continue;
		if (!n++)
			frame_text(ntohs(sll.sll_protocol), data, got, first, len);
	}
}

static long long count_drops(struct doctor *d, const json_t *rows)
{
	const char *name = sync_interface(d)->name;
	long long n = 0;
	json_t *row;
	size_t i;

	json_array_foreach((json_t *)rows, i, row) {
		if (!strcmp(doctor_string(row, "interface"), name))
			n += doctor_number(row, "packets");
	}
	return n;
}

/* What the programs drop there never comes to a socket. Before, it may have been the peer's kernel that said that no daemon runs there. */
static long long count_dropped(struct doctor *d)
{
	return d->drops_before ? count_drops(d, doctor_shown(d, "drops")) - count_drops(d, d->drops_before) : 0;
}

void check_foreign_packets(struct doctor *d)
{
	const char *remedy = "find out who is on that link; a cable between the nodes, or a VLAN of its own";
	long long left = d->began_ms + LISTEN_MS - clock_ms(CLOCK_MONOTONIC), dropped;
	unsigned int seen;
	char first[128];

	if (!d->sniffer) {
		doctor_skip(d, sync_interface(d) ? "the sync link can't be listened to" : "there is no pair");
		return;
	}
	if (left > 0)
		usleep(left * 1000);
	seen = count_foreign(d, first, sizeof(first));
	dropped = count_dropped(d);
	if (seen)
		doctor_warn(d, remedy, "%s: %u packets in %d ms that are not of the pair, the first %s",
			    sync_interface(d)->name, seen, LISTEN_MS, first);
	if (dropped > 0)
		doctor_warn(d, remedy, "%s: the programs have dropped %lld packets that came by it meanwhile",
			    sync_interface(d)->name, dropped);
	if (!seen && dropped <= 0)
		doctor_ok(d, "%s: nothing in %d ms but the pair's own", sync_interface(d)->name, LISTEN_MS);
}

/* ---- what the peers have ---- */

static void check_peer(struct doctor *d, const json_t *row)
{
	const char *peer = doctor_string(row, "peer"), *error = doctor_string(row, "last_error");

	if (!json_is_true(json_object_get(row, "connected")))
		doctor_fail(
			d,
			"does it run, is the cable in, have both the same key_file and port? fairlead show events --kind sync",
			"%s is not connected%s%s", peer, *error ? ": " : "", error);
	else if (json_is_false(json_object_get(row, "digest_match")))
		doctor_warn(d, "it mends itself within seconds; by hand: fairlead sync states",
			    "%s has other states than this node has sent", peer);
	else if (doctor_number(row, "lag_ms") > LAG_WARN_MS)
		doctor_warn(d, "is the link slow, or the peer busy?", "%s is %lld ms behind", peer,
			    doctor_number(row, "lag_ms"));
	else
		doctor_ok(d, "%s is connected, %lld ms behind", peer, doctor_number(row, "lag_ms"));
}

void check_sync(struct doctor *d)
{
	const json_t *rows = doctor_shown(d, "sync");
	json_t *row;
	size_t i;

	if (!sync_interface(d))
		doctor_skip(d, "there is no pair");
	else if (!json_array_size(rows))
		doctor_skip(d, "no daemon tells of its peers");
	json_array_foreach((json_t *)rows, i, row) {
		check_peer(d, row);
	}
}

static void check_peer_config(struct doctor *d, const json_t *row)
{
	const char *peer = doctor_string(row, "peer");
	const json_t *match = json_object_get(row, "config_match");

	if (json_is_true(json_object_get(row, "pending")))
		doctor_warn(d, "it gets it when it is there again", "%s has not got the last configuration yet", peer);
	else if (json_is_false(match))
		doctor_fail(d, "fairlead sync diff shows what differs; fairlead sync config on the primary pushes it",
			    "%s has another configuration than this node has pushed, or was pushed", peer);
	else if (json_is_true(match))
		doctor_ok(d, "%s has the same", peer);
	else
		doctor_skip(d, "%s: not known", peer);
}

void check_config_sync(struct doctor *d)
{
	const json_t *rows = doctor_shown(d, "sync");
	json_t *row;
	size_t i;

	if (!sync_interface(d))
		doctor_skip(d, "there is no pair");
	else if (d->config->ha.role == CONFIG_ROLE_NONE)
		doctor_skip(d, "ha.sync_config is not there: configurations are not pushed");
	else if (!json_array_size(rows))
		doctor_skip(d, "no daemon tells of its peers");
	else
		json_array_foreach((json_t *)rows, i, row) {
			check_peer_config(d, row);
		}
}
