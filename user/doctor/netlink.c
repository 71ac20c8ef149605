// SPDX-License-Identifier: GPL-2.0-only
#include "user/doctor/netlink.h"

#include <errno.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>

#define RECEIVE_SIZE 65536

struct dump {
	netlink_each_fn *each;
	void *arg;
};

static int on_valid(struct nl_msg *msg, void *arg)
{
	const struct dump *dump = arg;

	dump->each(nlmsg_hdr(msg), dump->arg);
	return NL_OK;
}

int netlink_dump(int protocol, int type, const void *header, size_t len, netlink_each_fn *each, void *arg)
{
	struct dump dump = { each, arg };
	struct nl_sock *sock = nl_socket_alloc();
	int err = sock ? nl_connect(sock, protocol) : -NLE_NOMEM;

	if (!err) {
		nl_socket_set_msg_buf_size(sock, RECEIVE_SIZE);
		nl_socket_disable_seq_check(sock);
		nl_socket_modify_cb(sock, NL_CB_VALID, NL_CB_CUSTOM, on_valid, &dump);
		err = nl_send_simple(sock, type, NLM_F_DUMP, (void *)header, len);
		err = err < 0 ? err : nl_recvmsgs_default(sock);
	}
	nl_socket_free(sock);
	return err < 0 ? -EIO : 0;
}
