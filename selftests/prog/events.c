// SPDX-License-Identifier: GPL-2.0-only
/* Logged packets, at both hooks: every field of the event, what is captured, and what becomes of it when the ring is full. */

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "fairlead/event.h"
#include "selftests/prog/check.h"
#include "selftests/prog/hosts.h"

#include "logger.skel.h"
#include "logger_xdp.skel.h"

#define PORT(rule, out, verdict) ((rule) << 8 | ((out) ? 4 : 0) | (verdict))

struct reader {
	struct logger *tc;
	struct logger_xdp *xdp;
	struct ring_buffer *ring;
	struct fl_event last;
	size_t len; /* of the last */
	int count;
};

static int take(void *arg, void *data, size_t len)
{
	struct reader *r = arg;

	memset(&r->last, 0, sizeof(r->last));
	if (len <= sizeof(r->last))
		memcpy(&r->last, data, len);
	r->len = len;
	r->count++;
	return 0;
}

static bool reader_open(struct env *env, struct reader *r)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .pin_root_path = "/sys/fs/bpf");

	memset(r, 0, sizeof(*r));
	r->tc = logger__open_opts(&opts);
	r->xdp = logger_xdp__open_opts(&opts);
	if (r->tc && r->xdp && !logger__load(r->tc) && !logger_xdp__load(r->xdp))
		r->ring = ring_buffer__new(bpf_map__fd(r->tc->maps.fl_events), take, r, NULL);
	if (!r->ring)
		fail(env, "  the programs do not load\n");
	else
		ring_buffer__consume(r->ring);
	r->count = 0;
	return r->ring;
}

static void reader_close(struct reader *r)
{
	ring_buffer__free(r->ring);
	logger__destroy(r->tc);
	logger_xdp__destroy(r->xdp);
}

static struct fl_event_stats stats_read(struct env *env, struct reader *r)
{
	struct fl_event_stats *each = env->buffer, sum = { 0 };
	__u32 zero = 0;

	if (bpf_map_lookup_elem(bpf_map__fd(r->tc->maps.fl_event_stats), &zero, each))
		fail(env, "  no fl_event_stats\n");
	for (int cpu = 0; cpu < env->cpus; cpu++) {
		sum.written += each[cpu].written;
		sum.lost += each[cpu].lost;
	}
	return sum;
}

/* Has the frame logged. `len`: more than f->len, where the frame goes on in other buffers. */
static void log_frame(struct env *env, struct reader *r, bool xdp, const void *frame, __u32 len, int times)
{
	struct __sk_buff skb = { .ifindex = env->ifindex[LAN] };
	struct xdp_md md = { .data_end = len, .ingress_ifindex = env->ifindex[LAN] };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = len, .repeat = times);
	int err;

	if (xdp) {
		opts.ctx_in = &md;
		opts.ctx_size_in = sizeof(md);
	} else {
		opts.ctx_in = &skb;
		opts.ctx_size_in = sizeof(skb);
	}
	err = bpf_prog_test_run_opts(bpf_program__fd(xdp ? r->xdp->progs.logger_xdp : r->tc->progs.logger), &opts);
	if (err || opts.retval != (xdp ? XDP_PASS : (__u32)TC_ACT_UNSPEC))
		fail(env, "  %s: %d, verdict %d\n", xdp ? "xdp" : "tc", err, (int)opts.retval);
}

static const struct logged {
	struct spec pkt;
	__u8 proto, tcp_flags, icmp_type, icmp_code;
	__u16 rule;
	bool out;
	__u8 verdict, reason;
} cases[] = {
	{ { .src = LAN_HOST, .dst = NET_HOST, .dport = PORT(7, false, FL_EVENT_PASS) },
	  17,
	  0,
	  0,
	  0,
	  7,
	  false,
	  FL_EVENT_PASS,
	  FL_DROP_NONE },
	{ { .src = LAN_HOST,
	    .dst = NET_HOST,
	    .l4 = L4_TCP,
	    .tflags = TCP_SYN,
	    .dport = PORT(255, true, FL_EVENT_BLOCK) },
	  6,
	  TCP_SYN,
	  0,
	  0,
	  255,
	  true,
	  FL_EVENT_BLOCK,
	  FL_DROP_RULE },
	{ { .src = LAN_HOST4, .dst = NET_HOST4, .l4 = L4_TCP, .dport = PORT(1, false, FL_EVENT_REJECT) },
	  6,
	  TCP_ACK,
	  0,
	  0,
	  1,
	  false,
	  FL_EVENT_REJECT,
	  FL_DROP_REJECTED },
	{ { .src = LAN_HOST4, .dst = NET_HOST4, .ihl = 15, .dport = PORT(2, true, FL_EVENT_DROP) },
	  17,
	  0,
	  0,
	  0,
	  2,
	  true,
	  FL_EVENT_DROP,
	  FL_DROP_STATE_WINDOW },
	{ { .src = LAN_HOST, .dst = NET_HOST, .l4 = L4_ECHO, .ext = "hd", .code = 3 },
	  58,
	  0,
	  128,
	  3,
	  0,
	  false,
	  FL_EVENT_PASS,
	  FL_DROP_NONE },
	{ { .src = LAN_HOST4, .dst = NET_HOST4, .l4 = L4_ECHO, .type = NIL },
	  1,
	  0,
	  0,
	  0,
	  0,
	  false,
	  FL_EVENT_PASS,
	  FL_DROP_NONE },
	{ { .src = LAN_HOST, .dst = NET_HOST, .ext = "F" }, 17, 0, 0, 0, 0, false, FL_EVENT_PASS, FL_DROP_NONE },
	{ { .src = LAN_HOST, .dst = NET_HOST, .payload = 1452, .dport = PORT(3, false, FL_EVENT_PASS) },
	  17,
	  0,
	  0,
	  0,
	  3,
	  false,
	  FL_EVENT_PASS,
	  FL_DROP_NONE },
	{ { .src = LAN_HOST4, .dst = NET_HOST4, .payload = NIL, .trailer = 18, .dport = PORT(4, false, FL_EVENT_PASS) },
	  17,
	  0,
	  0,
	  0,
	  4,
	  false,
	  FL_EVENT_PASS,
	  FL_DROP_NONE },
	{ { .src = LAN_HOST4, .dst = NET_HOST4, .l4 = L4_RAW, .payload = NIL },
	  59,
	  0,
	  0,
	  0,
	  0,
	  false,
	  FL_EVENT_PASS,
	  FL_DROP_NONE },
};

static void check_event(struct env *env, const struct reader *r, size_t i, bool xdp, const struct frame *f)
{
	const struct logged *c = &cases[i];
	const union fl_addr src = addr_of(c->pkt.src), dst = addr_of(c->pkt.dst);
	bool ports = r->last.sport || r->last.dport, has = c->pkt.l4 <= L4_TCP && !(c->pkt.ext && *c->pkt.ext == 'F');
	__u32 len = spec_len(&c->pkt), captured = len < FL_EVENT_DATA_MAX ? len : FL_EVENT_DATA_MAX;
	const struct fl_event *e = &r->last;
	struct timespec now;
	__u64 now_ns;

	clock_gettime(CLOCK_BOOTTIME, &now);
	now_ns = now.tv_sec * 1000000000ULL + now.tv_nsec;
	if (r->count != 1 || r->len != offsetof(struct fl_event, data) + captured)
		fail(env, "  %zu, xdp %d: %d events, %zu bytes\n", i, xdp, r->count, r->len);
	if (e->time_ns > now_ns || e->time_ns + 1000000000 < now_ns)
		fail(env, "  %zu, xdp %d: time\n", i, xdp);
	if (memcmp(&e->src, &src, sizeof(src)) || memcmp(&e->dst, &dst, sizeof(dst)))
		fail(env, "  %zu, xdp %d: addresses\n", i, xdp);
	if (ports != has || (has && (ntohs(e->sport) != 4000 || ntohs(e->dport) != c->pkt.dport)))
		fail(env, "  %zu, xdp %d: ports %u %u\n", i, xdp, ntohs(e->sport), ntohs(e->dport));
	if (e->port != LAN || e->rule != c->rule || e->verdict != c->verdict || e->reason != c->reason)
		fail(env, "  %zu, xdp %d: port %u, rule %u, verdict %u, reason %u\n", i, xdp, e->port, e->rule,
		     e->verdict, e->reason);
	if (e->flags != ((c->out ? FL_EVENT_OUT : 0) | (xdp ? FL_EVENT_XDP : 0)))
		fail(env, "  %zu, xdp %d: flags %x\n", i, xdp, e->flags);
	if (e->len != len || e->family != (spec_is6(&c->pkt) ? FL_INET6 : FL_INET) || e->proto != c->proto ||
	    e->tcp_flags != c->tcp_flags || e->icmp_type != c->icmp_type || e->icmp_code != c->icmp_code)
		fail(env, "  %zu, xdp %d: what it is of the packet\n", i, xdp);
	if (e->captured != captured || memcmp(e->data, f->data + ETH_LEN, captured))
		fail(env, "  %zu, xdp %d: %u bytes captured, or others\n", i, xdp, e->captured);
}

static void fields(struct env *env)
{
	__u8 dmac[6], smac[6];
	struct reader r;
	struct frame f;

	if (!reader_open(env, &r))
		return reader_close(&r);
	port_mac(LAN, false, dmac);
	port_mac(LAN, true, smac);
	for (int xdp = 0; xdp < 2; xdp++)
		for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
			frame_build(&f, &cases[i].pkt, dmac, smac);
			r.count = 0;
			log_frame(env, &r, xdp, f.data, f.len, 1);
			ring_buffer__consume(r.ring);
			check_event(env, &r, i, xdp, &f);
		}
	reader_close(&r);
}

/* A frame in several buffers, the first of which ends within what is captured. */
static void in_pieces(struct env *env)
{
	const struct spec spec = { .src = LAN_HOST, .dst = NET_HOST, .plen = 4000 };
	static __u8 big[6000];
	__u8 dmac[6], smac[6];
	struct reader r;
	struct frame f;
	struct xdp_md md = { .data_end = 200, .ingress_ifindex = env->ifindex[LAN] };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = big, .ctx_in = &md, .ctx_size_in = sizeof(md));

	if (!reader_open(env, &r))
		return reader_close(&r);
	port_mac(LAN, false, dmac);
	port_mac(LAN, true, smac);
	frame_build(&f, &spec, dmac, smac);
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = i;
	memcpy(big, f.data, f.len);
	opts.data_size_in = f.len + 4000;
	if (bpf_prog_test_run_opts(bpf_program__fd(r.xdp->progs.logger_xdp), &opts))
		fail(env, "  it does not run\n");
	ring_buffer__consume(r.ring);
	if (r.count != 1 || r.last.captured != FL_EVENT_DATA_MAX ||
	    memcmp(r.last.data, big + ETH_LEN, FL_EVENT_DATA_MAX))
		fail(env, "  %d events, %u bytes captured, or others\n", r.count, r.last.captured);
	reader_close(&r);
}

/* Nobody reads: what is written and what is lost is counted, and the first ones are what stays. */
static void full(struct env *env)
{
	const struct spec spec = { .src = LAN_HOST, .dst = NET_HOST, .payload = 1400 };
	const int times = 2 * FL_EVENT_RING / sizeof(struct fl_event);
	struct fl_event_stats before, after;
	__u8 dmac[6], smac[6];
	struct reader r;
	struct frame f;

	if (!reader_open(env, &r))
		return reader_close(&r);
	port_mac(LAN, false, dmac);
	port_mac(LAN, true, smac);
	frame_build(&f, &spec, dmac, smac);
	before = stats_read(env, &r);
	log_frame(env, &r, true, f.data, f.len, times / 2);
	log_frame(env, &r, false, f.data, f.len, times / 2);
	after = stats_read(env, &r);
	ring_buffer__consume(r.ring);
	if (r.count < 12000 || (__u64)r.count != after.written - before.written)
		fail(env, "  %d events are there, %llu were counted\n", r.count,
		     (unsigned long long)(after.written - before.written));
	if (after.written - before.written + after.lost - before.lost != (__u64)times)
		fail(env, "  %d logged, %llu written, %llu lost\n", times,
		     (unsigned long long)(after.written - before.written),
		     (unsigned long long)(after.lost - before.lost));
	r.count = 0;
	log_frame(env, &r, true, f.data, f.len, 1);
	ring_buffer__consume(r.ring);
	if (r.count != 1)
		fail(env, "  afterwards %d of 1\n", r.count);
	reader_close(&r);
}

const struct procedure event_procedures[] = {
	{ "event/fields", fields },
	{ "event/in-pieces", in_pieces },
	{ "event/full", full },
	{ 0 },
};
