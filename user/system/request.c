/* SPDX-License-Identifier: GPL-2.0-only */
/* One question to the kernel and its answer, over a blocking netlink socket. */
#include <errno.h>
#include <netlink/errno.h>
#include <sys/socket.h>

#include "user/lib/log.h"
#include "user/system/internal.h"

/* The kernel fills dumps by at most 32 KiB. */
#define RECEIVE_SIZE 65536

struct answer {
	int err;
	bool complete;
	int (*each)(struct nlmsghdr *h, void *arg);
	void *arg;
};

static const struct {
	int nlerr;
	int err;
} own_errors[] = {
	{ NLE_NOMEM, -ENOMEM },
	{ NLE_INTR, -EINTR },
	{ NLE_BAD_SOCK, -EBADF },
	{ NLE_AGAIN, -EAGAIN },
	{ NLE_EXIST, -EEXIST },
	{ NLE_INVAL, -EINVAL },
	{ NLE_RANGE, -ERANGE },
	{ NLE_PERM, -EPERM },
	{ NLE_NOACCESS, -EACCES },
	{ NLE_NODEV, -ENODEV },
	{ NLE_OBJ_NOTFOUND, -ENOENT },
	{ NLE_OPNOTSUPP, -EOPNOTSUPP },
	{ NLE_BUSY, -EBUSY },
	{ NLE_MSGSIZE, -EMSGSIZE },
	{ NLE_MSG_TRUNC, -EMSGSIZE },
	{ NLE_DUMP_INTR, -EINTR },
	{ NLE_AF_NOSUPPORT, -EAFNOSUPPORT },
	{ NLE_PROTO_MISMATCH, -EPROTONOSUPPORT },
};

int request_errno(int nlerr)
{
	int code = nlerr < 0 ? -nlerr : nlerr;

	for (size_t i = 0; i < sizeof(own_errors) / sizeof(own_errors[0]); i++)
		if (own_errors[i].nlerr == code)
			return own_errors[i].err;
	return -EIO;
}

int request_open(struct system *s)
{
	int on = 1;
	int fd, err;

	s->requests = nl_socket_alloc();
	if (!s->requests)
		return -ENOMEM;
	err = nl_connect(s->requests, NETLINK_ROUTE);
	if (err < 0) {
		request_close(s);
		return request_errno(err);
	}
	nl_socket_set_msg_buf_size(s->requests, RECEIVE_SIZE);
	/*
	 * The kernel's own words about a refusal, without our message in them; and its filtering of dumps. Linux 4.20 has
	 * all three, without them we only know less and read more.
	 */
	fd = nl_socket_get_fd(s->requests);
	setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
	setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
	setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
	return 0;
}

void request_close(struct system *s)
{
	nl_socket_free(s->requests);
	s->requests = NULL;
}

struct nl_msg *request_new(int type, int flags, const void *header, int len)
{
	struct nl_msg *msg = nlmsg_alloc_simple(type, flags);

	if (msg && nlmsg_append(msg, (void *)header, (size_t)len, NLMSG_ALIGNTO) < 0) {
		nlmsg_free(msg);
		return NULL;
	}
	return msg;
}

static int on_valid(struct nl_msg *msg, void *arg)
{
	struct answer *answer = arg;

	/* an error is remembered, the rest of the answer still read: the next question must not find it */
	if (answer->each && !answer->err)
		answer->err = answer->each(nlmsg_hdr(msg), answer->arg);
	return NL_OK;
}

static int on_ack(struct nl_msg *msg, void *arg)
{
	struct answer *answer = arg;

	(void)msg;
	answer->complete = true;
	return NL_OK;
}

/* The end of a dump carries the error that ended it. */
static int on_finish(struct nl_msg *msg, void *arg)
{
	struct nlmsghdr *h = nlmsg_hdr(msg);
	struct answer *answer = arg;

	if (nlmsg_datalen(h) >= (int)sizeof(int) && *(int *)nlmsg_data(h) < 0 && !answer->err)
		answer->err = *(int *)nlmsg_data(h);
	answer->complete = true;
	return NL_OK;
}

static int on_error(struct sockaddr_nl *from, struct nlmsgerr *e, void *arg)
{
	struct nlmsghdr *h = (struct nlmsghdr *)((char *)e - NLMSG_HDRLEN);
	struct nlattr *tb[NLMSGERR_ATTR_MAX + 1];
	struct answer *answer = arg;

	(void)from;
	answer->err = e->error;
	answer->complete = true;
	if (h->nlmsg_flags & NLM_F_ACK_TLVS && !nlmsg_parse(h, sizeof(*e), tb, NLMSGERR_ATTR_MAX, NULL) &&
	    tb[NLMSGERR_ATTR_MSG])
		log_debug("netlink request %u: the kernel says: %s", e->msg.nlmsg_type,
			  nla_get_string(tb[NLMSGERR_ATTR_MSG]));
	return NL_SKIP;
}

static struct nl_cb *answer_callbacks(struct answer *answer)
{
	struct nl_cb *cb = nl_cb_alloc(NL_CB_DEFAULT);

	if (!cb)
		return NULL;
	nl_cb_set(cb, NL_CB_VALID, NL_CB_CUSTOM, on_valid, answer);
	nl_cb_set(cb, NL_CB_ACK, NL_CB_CUSTOM, on_ack, answer);
	nl_cb_set(cb, NL_CB_FINISH, NL_CB_CUSTOM, on_finish, answer);
	nl_cb_err(cb, NL_CB_CUSTOM, on_error, answer);
	return cb;
}

int request_send(struct system *s, struct nl_msg *msg, int (*each)(struct nlmsghdr *h, void *arg), void *arg)
{
	struct answer answer = { .each = each, .arg = arg };
	struct nl_cb *cb = answer_callbacks(&answer);
	bool interrupted = false;
	int err = 0;

	if (!msg || !cb) {
		err = -ENOMEM;
		goto out;
	}
	if (!s->requests) { /* given up on below, and could not be opened again then */
		err = request_open(s);
		if (err)
			goto out;
	}
	err = nl_send_auto(s->requests, msg);
	while (err >= 0 && !answer.complete) {
		err = nl_recvmsgs(s->requests, cb);
		if (err == -NLE_DUMP_INTR) {
			interrupted = true;
			err = 0;
		}
	}
	if (err < 0) {
		/* what is still on its way would be taken for the next answer */
		err = request_errno(err);
		request_close(s);
		if (request_open(s))
			log_warnx("netlink: can't open a socket again");
		goto out;
	}
	err = answer.err ? answer.err : interrupted ? -EINTR : 0;
out:
	nl_cb_put(cb);
	nlmsg_free(msg);
	return err;
}
