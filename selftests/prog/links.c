// SPDX-License-Identifier: GPL-2.0-only
/* Devices, addresses, routes and neighbours of the namespace, so that bpf_fib_lookup() has real answers. */

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "selftests/prog/env.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static const char *const names[DEVICES] = {
	[LAN] = "lan",	     [WAN] = "wan",	    [HE0] = "he0",	[BK0] = "bk0",	     [HE1] = "he1",
	[DYN0] = "dyn0",     [NPT] = "npt",	    [VLAN] = "lan.100", [ICMP] = "icmp",     [FOUR] = "four",
	[NOXMIT] = "noxmit", [NOETHER] = "noether", [THIN] = "thin",	[UNDER2] = "under2", [STRANGE] = "strange",
};

static const struct {
	enum port port;
	const char *addr;
} addresses[] = {
	{ LAN, "2001:db8:10::1/64" },	  { LAN, "192.0.2.1/24" },	    { WAN, "2001:db8:20::1/64" },
	{ WAN, "198.51.100.1/24" },	  { VLAN, "2001:db8:70::1/64" },    { NPT, "2001:db8:60::1/64" },
	{ FOUR, "2001:db8:30::1/64" },	  { FOUR, "192.0.0.1/28" },	    { NOXMIT, "2001:db8:31::1/64" },
	{ NOETHER, "2001:db8:33::1/64" }, { THIN, "2001:db8:34::1/64" },    { THIN, "192.0.0.33/28" },
	{ UNDER2, "2001:db8:35::1/64" },  { STRANGE, "2001:db8:50::1/64" }, { HE0, "2001:db8:80::1/64" },
	{ ICMP, "2001:db8:81::1/64" },
};

const struct neighbour neighbours[] = {
	{ LAN, "2001:db8:10::10" },	{ LAN, "192.0.2.10" },	     { WAN, "2001:db8:20::fe" },
	{ WAN, "198.51.100.254" },	{ WAN, "fe80::fe" },	     { VLAN, "2001:db8:70::10" },
	{ NPT, "2001:db8:60::fe" },	{ FOUR, "192.0.0.2" },	     { NOXMIT, "2001:db8:31::10" },
	{ NOETHER, "2001:db8:33::10" }, { THIN, "2001:db8:34::10" }, { THIN, "192.0.0.34" },
	{ STRANGE, "2001:db8:50::fe" },
};
const int neighbours_count = COUNT(neighbours);

static const char *const routes[] = {
	"default via 198.51.100.254 dev wan",
	"2001:db8:4000::/36 via 2001:db8:20::fe dev wan",
	"2001:db8:4800::/40 via fe80::fe dev wan", /* as router advertisements have it */
	"2001:db8:2000::/36 dev he0",
	"2001:db8:b000::/36 dev bk0",
	"2001:db8:7000::/36 dev he1",
	"2001:db8:3000::/36 dev dyn0",
	"2001:db8:9000::/36 via 2001:db8:60::fe dev npt",
	"fd00::/8 via 2001:db8:10::10 dev lan",
	"2001:db8:5000::/36 via 2001:db8:50::fe dev strange",
	"blackhole 2001:db8:5fff::/48",
	"unreachable 2001:db8:5ffe::/48",
};

const char *port_name(enum port port)
{
	return port < DEVICES && names[port] ? names[port] : "none";
}

void port_mac(enum port port, bool host, __u8 *mac)
{
	bool answers = host && port == ICMP; /* without a gateway, see bpf/lib/icmp.h */
	const __u8 bytes[6] = { 0x02, 0, 0, 0, answers ? 0 : host ? 2 : 1, answers ? 0 : port };

	memcpy(mac, bytes, 6);
}

int links_run(const char *fmt, ...)
{
	char command[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	if (system(command)) {
		fprintf(stderr, "prog-test: failed: %s\n", command);
		return -EIO;
	}
	return 0;
}

int links_sysctl(const char *path, const char *value)
{
	char file[128];
	ssize_t n;
	int fd;

	snprintf(file, sizeof(file), "/proc/sys/net/%s", path);
	fd = open(file, O_WRONLY);
	n = fd < 0 ? -1 : write(fd, value, strlen(value));
	if (n < 0)
		fprintf(stderr, "prog-test: %s: %s\n", file, strerror(errno));
	if (fd >= 0)
		close(fd);
	return n < 0 ? -EIO : 0;
}

static void write_batch(FILE *batch)
{
	size_t i;

	fprintf(batch, "link set lo up\n");
	for (enum port p = LAN; p < DEVICES; p++) {
		fprintf(batch, "link add %s address 02:00:00:00:01:%02x type veth peer name peer%d\n", names[p], p, p);
		fprintf(batch, "link set %s addrgenmode none mtu %d up\n", names[p], p == THIN ? 1400 : 1500);
		fprintf(batch, "link set peer%d addrgenmode none up\n", p);
	}
	for (i = 0; i < COUNT(addresses); i++)
		fprintf(batch, "address add %s dev %s %s\n", addresses[i].addr, names[addresses[i].port],
			strchr(addresses[i].addr, ':') ? "nodad" : "");
	for (i = 0; i < COUNT(neighbours); i++)
		fprintf(batch, "neighbour add %s dev %s lladdr 02:00:00:00:02:%02x nud permanent\n", neighbours[i].addr,
			names[neighbours[i].port], neighbours[i].port);
	for (i = 0; i < COUNT(routes); i++)
		fprintf(batch, "route add %s\n", routes[i]);
}

int links_create(struct env *env)
{
	char peer[16];
	FILE *batch;

	if (links_sysctl("ipv6/conf/all/forwarding", "1") || links_sysctl("ipv6/conf/default/forwarding", "1") ||
	    links_sysctl("ipv4/ip_forward", "1"))
		return -EIO;
	batch = popen("ip -batch -", "w");
	if (!batch)
		return -errno;
	write_batch(batch);
	if (pclose(batch))
		return -EIO;
	for (enum port p = LAN; p < DEVICES; p++) {
		env->ifindex[p] = if_nametoindex(names[p]);
		snprintf(peer, sizeof(peer), "peer%d", p);
		env->other_end[p] = if_nametoindex(peer);
	}
	env->icmp_tx = env->other_end[ICMP];
	return 0;
}
