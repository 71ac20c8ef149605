// SPDX-License-Identifier: GPL-2.0-only
/* clock_hz() against the kernel's own configuration, where this machine has it. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <sys/utsname.h>
#include <zlib.h>

#include "user/lib/clock.h"

/* gzgets() reads plain text too */
static unsigned int configured(const char *path)
{
	gzFile file = gzopen(path, "r");
	unsigned int hz = 0;
	char line[256];

	while (file && !hz && gzgets(file, line, sizeof(line)))
		if (sscanf(line, "CONFIG_HZ=%u", &hz) != 1)
			hz = 0;
	if (file)
		gzclose(file);
	return hz;
}

Test(clock, hz_is_the_kernels)
{
	struct utsname host;
	char path[128];
	unsigned int hz = configured("/proc/config.gz");

	cr_expect_geq(clock_hz(), 24u); /* the range of arch's Kconfigs */
	cr_expect_leq(clock_hz(), 1200u);
	uname(&host);
	snprintf(path, sizeof(path), "/boot/config-%s", host.release);
	hz = hz ? hz : configured(path);
	if (hz)
		cr_expect_eq(clock_hz(), hz, "it says %u, the kernel's configuration %u", clock_hz(), hz);
}
