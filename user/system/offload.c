/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a device does for the kernel (checksums, segmentation, VLAN tags), by the names that `ethtool -k` of the kernel's
 * feature strings shows; and its driver's name. ETHTOOL_GFEATURES of include/uapi/linux/ethtool.h.
 */
#include <errno.h>
#include <fnmatch.h>
#include <linux/ethtool.h>
#include <linux/if.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "user/system/internal.h"

/* The kernel's feature words hold 32 bits; it has some 64 features, and never more than this. */
#define FEATURE_WORDS 8

/* Patterns of one offload: all together, as `ethtool -K` has it for checksums and TCP segmentation. */
static const char *const offloads[][8] = {
	[OFFLOAD_RXVLAN] = { "rx-vlan-hw-parse", "rx-vlan-stag-hw-parse" },
	[OFFLOAD_TXVLAN] = { "tx-vlan-hw-insert", "tx-vlan-stag-hw-insert" },
	[OFFLOAD_TX_CHECKSUM] = { "tx-checksum-*" },
	[OFFLOAD_TSO] = { "tx-tcp-segmentation", "tx-tcp-*-segmentation", "tx-tcp6-segmentation" },
	[OFFLOAD_GSO] = { "tx-generic-segmentation" },
	[OFFLOAD_GRO] = { "rx-gro" },
	[OFFLOAD_UDP_GRO_FORWARDING] = { "rx-udp-gro-forwarding" },
	[OFFLOAD_LRO] = { "rx-lro" },
};

/* tx-gso-partial, -robust, -list: ways to leave a packet whole, too */
static const char *const transmit_work[] = { "tx-checksum-*", "tx-*-segmentation", "tx-gso-*", "tx-vlan-*-insert",
					     NULL };

struct features {
	uint32_t words;
	uint32_t chosen[FEATURE_WORDS]; /* those whose names match */
	struct ethtool_get_features_block now[FEATURE_WORDS];
};

static int ethtool(const char *device, void *command)
{
	struct ifreq ifr = { .ifr_data = command };
	int fd, err = 0;

	if (strlen(device) >= sizeof(ifr.ifr_name))
		return -ENODEV;
	strcpy(ifr.ifr_name, device);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (ioctl(fd, SIOCETHTOOL, &ifr))
		err = -errno;
	close(fd);
	return err;
}

static int feature_count(const char *device, uint32_t *n)
{
	struct {
		struct ethtool_sset_info info;
		uint32_t count;
	} ask = { .info = { .cmd = ETHTOOL_GSSET_INFO, .sset_mask = 1ULL << ETH_SS_FEATURES } };
	int err = ethtool(device, &ask);

	if (err)
		return err;
	if (!ask.info.sset_mask)
		return -EOPNOTSUPP;
	*n = ask.count < FEATURE_WORDS * 32 ? ask.count : FEATURE_WORDS * 32;
	return 0;
}

static bool matches(const char *name, const char *const *patterns)
{
	for (; *patterns; patterns++)
		if (!fnmatch(*patterns, name, 0))
			return true;
	return false;
}

static int choose_features(const char *device, const char *const *patterns, struct features *f)
{
	struct ethtool_gstrings *names;
	uint32_t n;
	int err;

	memset(f, 0, sizeof(*f));
	err = feature_count(device, &n);
	if (err)
		return err;
	names = calloc(1, sizeof(*names) + FEATURE_WORDS * 32 * ETH_GSTRING_LEN);
	if (!names)
		return -ENOMEM;
	names->cmd = ETHTOOL_GSTRINGS;
	names->string_set = ETH_SS_FEATURES;
	names->len = n;
	err = ethtool(device, names);
	for (uint32_t i = 0; !err && i < n; i++) {
		char name[ETH_GSTRING_LEN + 1] = "";

		memcpy(name, names->data + i * ETH_GSTRING_LEN, ETH_GSTRING_LEN);
		if (matches(name, patterns))
			f->chosen[i / 32] |= 1U << i % 32;
	}
	f->words = (n + 31) / 32;
	free(names);
	return err;
}

static int read_features(const char *device, struct features *f)
{
	struct {
		struct ethtool_gfeatures head;
		struct ethtool_get_features_block blocks[FEATURE_WORDS];
	} ask = { .head = { .cmd = ETHTOOL_GFEATURES, .size = f->words } };
	int err = ethtool(device, &ask);

	if (!err)
		memcpy(f->now, ask.blocks, sizeof(f->now));
	return err;
}

static bool any_active(const struct features *f)
{
	for (uint32_t i = 0; i < f->words; i++)
		if (f->now[i].active & f->chosen[i])
			return true;
	return false;
}

/* What is fixed is not asked for: one feature of a group that can't change must not hinder the others. */
static int write_features(const char *device, const struct features *f, bool on)
{
	struct {
		struct ethtool_sfeatures head;
		struct ethtool_set_features_block blocks[FEATURE_WORDS];
	} ask = { .head = { .cmd = ETHTOOL_SFEATURES, .size = f->words } };

	for (uint32_t i = 0; i < f->words; i++) {
		ask.blocks[i].valid = f->chosen[i] & f->now[i].available & ~f->now[i].never_changed;
		ask.blocks[i].requested = on ? ask.blocks[i].valid : 0;
	}
	return ethtool(device, &ask);
}

static int set_matching(const char *device, const char *const *patterns, bool on)
{
	struct features f;
	int err;

	err = choose_features(device, patterns, &f);
	if (!err)
		err = read_features(device, &f);
	if (err)
		return err;
	/* on: one active feature is enough to be on, but what else the group has is wanted, too */
	if (!on && !any_active(&f))
		return 0;
	err = write_features(device, &f, on);
	if (err < 0)
		return err;
	/* the kernel drops wishes that do not go together without an error */
	err = read_features(device, &f);
	if (err)
		return err;
	return any_active(&f) == on ? 0 : -EOPNOTSUPP;
}

int offload_get(const char *device, enum offload what, bool *on)
{
	struct features f;
	int err;

	err = choose_features(device, offloads[what], &f);
	if (!err)
		err = read_features(device, &f);
	if (!err)
		*on = any_active(&f);
	return err;
}

int offload_set(const char *device, enum offload what, bool on)
{
	return set_matching(device, offloads[what], on);
}

int offload_clear_transmit(const char *device)
{
	return set_matching(device, transmit_work, false);
}

int device_driver(const char *device, char *buf, size_t len)
{
	struct ethtool_drvinfo info = { .cmd = ETHTOOL_GDRVINFO };
	size_t n;
	int err = ethtool(device, &info);

	if (err)
		return err;
	n = strnlen(info.driver, sizeof(info.driver));
	if (n >= len)
		return -ENOSPC;
	memcpy(buf, info.driver, n);
	buf[n] = '\0';
	return 0;
}
