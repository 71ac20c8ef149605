/* SPDX-License-Identifier: GPL-2.0-only */
/* What a device can do in XDP, by the generic netlink family "netdev". */
#include <errno.h>
#include <netlink/errno.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>

#include "user/system/internal.h"

/* linux/netdev.h of Linux 6.3, newer than the headers this is built with */
#define NETDEV_FAMILY "netdev"
#define NETDEV_VERSION 1
#define NETDEV_COMMAND_DEV_GET 1
#define NETDEV_ATTR_IFINDEX 1
#define NETDEV_ATTR_XDP_FEATURES 3 /* u64 */

struct answer {
	uint64_t features;
	bool told;
	int err;
};

static int on_valid(struct nl_msg *msg, void *arg)
{
	struct nlattr *tb[NETDEV_ATTR_XDP_FEATURES + 1];
	struct answer *answer = arg;

	if (!genlmsg_parse(nlmsg_hdr(msg), 0, tb, NETDEV_ATTR_XDP_FEATURES, NULL) && tb[NETDEV_ATTR_XDP_FEATURES]) {
		answer->features = nla_get_u64(tb[NETDEV_ATTR_XDP_FEATURES]);
		answer->told = true;
	}
	return NL_OK;
}

static int on_error(struct sockaddr_nl *from, struct nlmsgerr *e, void *arg)
{
	(void)from;
	((struct answer *)arg)->err = e->error;
	return NL_STOP;
}

static int ask(struct nl_sock *sock, int family, uint32_t ifindex, struct answer *answer)
{
	struct nl_msg *msg = nlmsg_alloc();
	int err;

	if (!msg)
		return -ENOMEM;
	if (!genlmsg_put(msg, NL_AUTO_PORT, NL_AUTO_SEQ, family, 0, 0, NETDEV_COMMAND_DEV_GET, NETDEV_VERSION) ||
	    nla_put_u32(msg, NETDEV_ATTR_IFINDEX, ifindex)) {
		nlmsg_free(msg);
		return -ENOMEM;
	}
	nl_socket_modify_cb(sock, NL_CB_VALID, NL_CB_CUSTOM, on_valid, answer);
	nl_socket_modify_err_cb(sock, NL_CB_CUSTOM, on_error, answer);
	err = nl_send_sync(sock, msg); /* frees the message */
	if (answer->err)
		return answer->err;
	if (err < 0)
		return request_errno(err);
	return answer->told ? 0 : -EOPNOTSUPP;
}

int device_xdp_features(uint32_t ifindex, uint64_t *features)
{
	struct nl_sock *sock = nl_socket_alloc();
	struct answer answer = { 0 };
	int err;

	if (!sock)
		return -ENOMEM;
	err = genl_connect(sock);
	if (err < 0) {
		err = request_errno(err);
		goto out;
	}
	err = genl_ctrl_resolve(sock, NETDEV_FAMILY);
	if (err < 0) {
		err = err == -NLE_OBJ_NOTFOUND ? -EOPNOTSUPP : request_errno(err);
		goto out;
	}
	err = ask(sock, err, ifindex, &answer);
	if (!err)
		*features = answer.features;
out:
	nl_socket_free(sock);
	return err;
}
