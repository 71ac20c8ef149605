// SPDX-License-Identifier: GPL-2.0-only
/* From boot to the first start: the kernel forwards nothing, by whatever device and whoever switches forwarding on. */
#include <stdlib.h>

#include "user/daemon/daemon.h"
#include "user/lib/log.h"

static void ignore(void *arg, unsigned int what)
{
	(void)arg;
	(void)what;
}

/* While programs forward, it would take from them what they ask of the kernel's routing. */
int block(struct daemon *d)
{
	char instance[64];
	int err;

	err = system_open(&d->system, ignore, NULL);
	if (!err && datapath_on_devices(d->system, instance)) {
		log_info("nothing is to be blocked: instance \"%s\" is at work, and guards its devices", instance);
		daemon_close(d);
		return EXIT_SUCCESS;
	}
	err = err ?: datapath_block(d->system);
	if (err)
		log_ret(err, "the kernel takes no rule that blocks what it forwards: NOTHING IS BLOCKED");
	else
		log_info("the kernel forwards nothing from now on, until a daemon has its programs in place");
	daemon_close(d);
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}

void block_tell(struct daemon *d)
{
	if (!d->system && system_open(&d->system, ignore, NULL))
		return;
	if (datapath_is_blocked(d->system))
		log_warnx("nothing is forwarded on this machine, as it was told by --block: until a daemon has its "
			  "programs in place, or `fairleadd --unload`");
}
