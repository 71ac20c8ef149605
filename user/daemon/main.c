// SPDX-License-Identifier: GPL-2.0-only
/* fairleadd: init in order, run, tear down in reverse. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "user/daemon/daemon.h"
#include "user/lib/log.h"

int main(int argc, char **argv)
{
	struct daemon d = { .lock_fd = -1, .ready_fd = -1 };
	int status = options_parse(&d.options, argc, argv);

	if (status >= 0)
		return status;
	log_init("fairleadd", true, d.options.verbose);
	if (d.options.check)
		return daemon_check(&d);
	if (d.options.unload)
		return unload_orphan(&d);
	if (d.options.block)
		return block(&d);
	if (!d.options.foreground && background_start(&d.ready_fd))
		return EXIT_FAILURE;
	status = daemon_open(&d);
	if (!status) {
		if (d.ready_fd >= 0)
			background_ready(d.ready_fd);
		notify_supervisor("READY=1");
		if (event_base_dispatch(d.base))
			status = EXIT_FAILURE;
		notify_supervisor("STOPPING=1");
	} else {
		block_tell(&d);
	}
	daemon_close(&d);
	return status;
}
