// SPDX-License-Identifier: GPL-2.0-only
#include "user/doctor/sockets.h"

#include <ctype.h>
#include <dirent.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TCP_LISTENS 0x0a
#define UDP_UNCONNECTED 0x07

/* As the kernel prints it: 32-bit words in the machine's byte order. */
static bool parse_addr_hex(const char *text, int family, struct addr *addr)
{
	uint32_t words[4];
	size_t n = family == AF_INET ? 1 : 4;

	for (size_t i = 0; i < n; i++)
		if (sscanf(text + 8 * i, "%8x", &words[i]) != 1)
			return false;
	*addr = (struct addr){ .family = family };
	memcpy(family == AF_INET ? (void *)&addr->v4 : (void *)&addr->v6, words, n * sizeof(words[0]));
	return true;
}

static bool is_loopback(const struct addr *addr)
{
	return addr->family == AF_INET ? *(const uint8_t *)&addr->v4 == 127 : IN6_IS_ADDR_LOOPBACK(&addr->v6);
}

static bool is_same(const struct listener *a, const struct listener *b)
{
	return a->proto == b->proto && a->family == b->family && a->port == b->port && addr_equal(&a->addr, &b->addr);
}

static void add(struct listeners *all, const struct listener *one)
{
	for (size_t i = 0; i < all->n; i++)
		if (is_same(&all->of[i], one))
			return;
	if (all->n < LISTENERS_MAX)
		all->of[all->n++] = *one;
}

static void take_line(struct listeners *all, const char *line, int family, uint8_t proto)
{
	struct listener one = { .proto = proto, .family = family };
	char local[64], remote[64];
	unsigned int port, state;

	if (sscanf(line, " %*[0-9]: %32[0-9A-F]:%4X %63s %2X %*s %*s %*s %*s %*s %lu", local, &port, remote, &state,
		   &one.inode) != 5)
		return;
	if (strlen(local) != (family == AF_INET ? 8u : 32u) || !parse_addr_hex(local, family, &one.addr))
		return;
	if (state != (proto == IPPROTO_TCP ? TCP_LISTENS : UDP_UNCONNECTED) || is_loopback(&one.addr))
		return;
	one.port = port;
	add(all, &one);
}

void listeners_take(struct listeners *all, FILE *file, int family, uint8_t proto)
{
	char line[512];

	while (fgets(line, sizeof(line), file))
		take_line(all, line, family, proto);
}

/* ---- whose they are ---- */

static void name_socket(struct listeners *all, unsigned long inode, const char *pid)
{
	char path[64];
	FILE *f;

	for (size_t i = 0; i < all->n; i++) {
		if (all->of[i].inode != inode || *all->of[i].program)
			continue;
		snprintf(path, sizeof(path), "/proc/%.16s/comm", pid);
		f = fopen(path, "re");
		if (f && fgets(all->of[i].program, sizeof(all->of[i].program), f))
			all->of[i].program[strcspn(all->of[i].program, "\n")] = '\0';
		if (f)
			fclose(f);
	}
}

static void name_sockets_of(struct listeners *all, const char *pid)
{
	char path[64], target[64];
	unsigned long inode;
	struct dirent *e;
	ssize_t len;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%.16s/fd", pid);
	dir = opendir(path);
	while (dir && (e = readdir(dir))) {
		len = readlinkat(dirfd(dir), e->d_name, target, sizeof(target) - 1);
		if (len <= 0)
			continue;
		target[len] = '\0';
		if (sscanf(target, "socket:[%lu]", &inode) == 1)
			name_socket(all, inode, pid);
	}
	if (dir)
		closedir(dir);
}

static void name_sockets(struct listeners *all)
{
	DIR *dir = all->n ? opendir("/proc") : NULL;
	struct dirent *e;

	while (dir && (e = readdir(dir)))
		if (isdigit((unsigned char)*e->d_name))
			name_sockets_of(all, e->d_name);
	if (dir)
		closedir(dir);
}

void listeners_read(struct listeners *all)
{
	static const struct {
		const char *path;
		int family;
		uint8_t proto;
	} files[] = {
		{ "/proc/thread-self/net/tcp", AF_INET, IPPROTO_TCP },
		{ "/proc/thread-self/net/tcp6", AF_INET6, IPPROTO_TCP },
		{ "/proc/thread-self/net/udp", AF_INET, IPPROTO_UDP },
		{ "/proc/thread-self/net/udp6", AF_INET6, IPPROTO_UDP },
	};

	all->n = 0;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		FILE *f = fopen(files[i].path, "re");

		if (f)
			listeners_take(all, f, files[i].family, files[i].proto);
		if (f)
			fclose(f);
	}
	name_sockets(all);
}
