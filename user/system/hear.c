// SPDX-License-Identifier: GPL-2.0-only
/* MACs besides its own whose frames a device takes in: what `bridge fdb add MAC dev DEVICE self permanent` does. */
#include <errno.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

#include "user/system/internal.h"

/* Of a VLAN or macvlan the kernel tells the lower device. */
int device_hear_mac(struct system *s, uint32_t ifindex, const uint8_t mac[6], bool on)
{
	struct ndmsg ndm = {
		.ndm_family = AF_BRIDGE,
		.ndm_ifindex = (int)ifindex,
		.ndm_state = NUD_PERMANENT,
		.ndm_flags = NTF_SELF,
	};
	struct nl_msg *msg = request_new(on ? RTM_NEWNEIGH : RTM_DELNEIGH, on ? NLM_F_CREATE : 0, &ndm, sizeof(ndm));
	int err;

	if (!msg || nla_put(msg, NDA_LLADDR, 6, mac)) {
		nlmsg_free(msg);
		return -ENOMEM;
	}
	err = request_send(s, msg, NULL, NULL);
	return !on && (err == -ENOENT || err == -ENODEV) ? 0 : err;
}
