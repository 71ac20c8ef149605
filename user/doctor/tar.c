// SPDX-License-Identifier: GPL-2.0-only
#include "user/doctor/tar.h"

#include <errno.h>
#include <string.h>

#define BLOCK 512

struct header {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100], magic[6],
		version[2], user[32], group[32], major[8], minor[8], prefix[155], pad[12];
};
_Static_assert(sizeof(struct header) == BLOCK, "a header is a block");

/* The sum of all bytes, those of its own field as blanks. */
static unsigned int checksum(const struct header *h)
{
	const unsigned char *bytes = (const unsigned char *)h;
	unsigned int sum = 0;

	for (size_t i = 0; i < sizeof(*h); i++)
		sum += bytes[i];
	return sum;
}

static int put(FILE *to, const void *data, size_t len)
{
	return fwrite(data, 1, len, to) == len ? 0 : -(errno ? errno : EIO);
}

int tar_add(FILE *to, const char *name, const void *data, size_t len, time_t mtime)
{
	static const char zeros[BLOCK];
	struct header h = { .type = '0', .magic = "ustar", .version = { '0', '0' } };
	int err;

	if (strlen(name) >= sizeof(h.name))
		return -ENAMETOOLONG;
	strcpy(h.name, name);
	snprintf(h.mode, sizeof(h.mode), "%07o", 0600);
	snprintf(h.uid, sizeof(h.uid), "%07o", 0);
	snprintf(h.gid, sizeof(h.gid), "%07o", 0);
	snprintf(h.size, sizeof(h.size), "%011llo", (unsigned long long)len);
	snprintf(h.mtime, sizeof(h.mtime), "%011llo", (unsigned long long)mtime);
	memset(h.checksum, ' ', sizeof(h.checksum));
	snprintf(h.checksum, sizeof(h.checksum), "%06o", checksum(&h));
	err = put(to, &h, sizeof(h));
	err = err ?: put(to, data, len);
	return err ?: put(to, zeros, (BLOCK - len % BLOCK) % BLOCK);
}

int tar_end(FILE *to)
{
	static const char zeros[2 * BLOCK];

	return put(to, zeros, sizeof(zeros));
}
