/* SPDX-License-Identifier: GPL-2.0-only */
/* What one run works on: too much for 512 bytes of stack. Not pinned, so that a dry run has its own. */
#pragma once

#include "lib/flow.h"
#include "lib/icmp_quoted.h"
#include "lib/nat.h"
#include "lib/rules.h"
#include "lib/state.h"

/* By which device and to which neighbour the frame leaves. */
struct hop {
	__u64 dmac, smac; /* as in struct fl_nexthop; meaningful if resolved */
	union fl_addr addr;
	__u32 port;
	__u32 ifindex; /* set by fib_ask() and hop_by_gateway() only */
	__u32 mtu;     /* of the route; the same */
	bool resolved;
	__u8 family; /* of addr: AF_INET or AF_INET6; 0: the kernel finds the next hop when it sends (tc only) */
};

/* What fib_ask() asks: for a packet that came in by device `ifindex`, or (out) for the router's own that leaves by it. */
struct fib_query {
	union fl_addr src, dst;
	__u32 ifindex;
	__u32 set;
	__u8 family; /* enum fl_family */
	bool out;
	/* asked for only with FL_ROUTING_TRANSPORT; else 0 */
	__u8 tos, proto;
	__be16 sport, dport;
	struct bpf_fib_lookup fib; /* fib_ask()'s */
};

/* What is to be done with the packet's connection once the packet is sure to leave (lib/policy_commit.h). */
enum doing {
	DOING_NOTHING,
	DOING_UPDATE, /* it has a state: conn */
	DOING_INSERT, /* it gets one: fresh, and with `translate` twin */
	DOING_COUNT,  /* it has none, only rules that passed it */
	DOING_ERROR,  /* an ICMP error about a packet of a state */
};

struct scratch {
	struct pkt pkt;
	struct hop hop;
	struct fib_query query, outer;
	struct fl_flow key;    /* what the flow is looked up by */
	union fl_addr gateway; /* of the packet, before it is encapsulated; for explain */
	bool hairpin;	       /* from inside to an outside address of the inside */
	/* policy */
	bool by_state; /* the connection's state, or a translation rule, says the addresses: no prefix is translated on the way in */
	bool local;	 /* for the host itself */
	bool way_known;	 /* s->way and s->hop are complete */
	bool keep_way;	 /* conn's end is to learn s->way */
	bool sends;	 /* of the router's own: by s->way, not as the kernel would */
	bool translate;	 /* addresses and ports become x.to */
	__u8 log;	 /* which of rule[] want it: bits */
	__u8 doing;	 /* enum doing */
	__u8 message;	 /* enum message */
	__u8 keep;	 /* enum fl_keep */
	__u16 rule[2];	 /* ids of the `in` and the `out` rule that decided; 0: the default, or none was asked */
	__u16 decider;	 /* the last of them */
	bool judged_out; /* the last was an `out` rule */
	bool offered;	 /* to an address that is to be the router's, by DHCP */
	bool missed;	 /* XDP's short way has looked for conn's state, and found none. Set before the run begins */
	bool stranger;	 /* rules judge it, for no state of this node knows it */
	bool diverted;	 /* rule[1] has sent it another way than it was routed */
	bool even_down;	 /* by `steer` also when that is down: an answer, whose way is said by who asked, or a probe */
	__u16 steer;	 /* gateway of this packet; 0: as routed */
	__u16 reply;	 /* of the answers to it */
	__u16 route_to;	 /* what the rule says that has judged last: a gateway */
	__u16 probe;	 /* of the daemon's: the gateway that it is to go by; else 0 */
	__u16 routed;	 /* the member of a group by which a new connection is routed; 0: by none */
	struct fl_flow way; /* as the flow cache or the state has it */
	struct conn conn;
	struct segment seg;
	struct subject subject; /* as the inside sees the packet */
	struct nat x;		/* x.to: what addresses and ports become */
	struct quote quote;
	struct rewrite quoted; /* what the quoted packet becomes */
	struct fl_state fresh;
	struct fl_tuple twin;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct scratch);
} fl_scratch SEC(".maps");

/* The one that the run has begun with. */
static __always_inline struct scratch *scratch_at(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&fl_scratch, &zero);
}

/* Begins a run. */
static __always_inline struct scratch *scratch_get(void)
{
	struct scratch *s = scratch_at();

	if (!s)
		return NULL;
	__builtin_memset(&s->pkt, 0, sizeof(s->pkt));
	s->doing = DOING_NOTHING;
	s->translate = s->by_state = s->keep_way = s->sends = s->offered = s->diverted = s->even_down = s->stranger =
		false;
	s->log = 0;
	s->rule[0] = s->rule[1] = s->steer = s->reply = s->routed = s->probe = 0;
	if (fl_dry_run) { /* explain reads these whatever the stage */
		__builtin_memset(&s->hop, 0, sizeof(s->hop));
		__builtin_memset(&s->way, 0, sizeof(s->way));
		__builtin_memset(&s->x, 0, sizeof(s->x));
		__builtin_memset(&s->gateway, 0, sizeof(s->gateway));
		s->decider = 0;
		s->local = false;
	}
	return s;
}
