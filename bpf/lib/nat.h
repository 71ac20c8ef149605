/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a new connection's addresses and ports become by the rules of translation (include/fairlead/rules.h): the tuple that the other
 * side will see, which must be no other connection's. It is chosen before the packet is sure to leave, and nothing is written; what
 * shall last is nat_commit()'s and state_insert()'s. Later packets need no rule: nat_of_conn().
 */
#pragma once

#include "fairlead/rules.h"
#include "lib/icmp_quoted.h"
#include "lib/state.h"

#define NAT_PROBES 128 /* ports that are tried: with 19 of 20 taken one in a thousand finds none, and asks again */
#define NAT_PROBES_CALL 8
#define NAT_PORT_LO 1024
#define NAT_PORT_HI 65535

/* A new connection. Lies in per-CPU scratch. */
struct nat {
	struct rewrite from; /* as received */
	struct rewrite to;   /* what it becomes */
	union fl_addr inside;
	union fl_addr own;  /* of the interface that a rule may mean; 0: it has none now */
	__be16 inside_port; /* with `inside`: the source before SNAT */
	__u8 family, proto;
	bool query;	  /* ICMP: sport is the identifier */
	bool mapped;	  /* nat_commit() keeps the mapping */
	__u16 dnat, snat; /* ids of the rules; 0: none, or exempt */
	__u32 now;	  /* low word of jiffies64 */
	/* the connection that this one takes the place of, whose tuples are free */
	bool over;
	__u32 over_slot, over_serial;
	struct fl_tuple conn; /* as the connection is looked up by */
	/* nat_is_free()'s own */
	struct fl_tuple key;
	struct fl_state_place place;
};

/* ---- endpoint-independent mappings (RFC 4787 REQ-1): an inside endpoint has the same outside one for all that it talks to ---- */

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, FL_EIM_MAX);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct fl_eim_key);
	__type(value, struct fl_eim);
} fl_eim SEC(".maps"); /* Programs write, and the daemon */

/* Seconds that a mapping lives unused: RFC 5382 REQ-5, RFC 5508 REQ-2, RFC 4787 REQ-5. */
static __always_inline __u32 eim_life(__u8 proto)
{
	if (proto == IPPROTO_TCP)
		return 7440;
	return proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6 ? 60 : 300;
}

/* Another CPU's `now` may be ahead of ours. */
static __always_inline bool eim_is_alive(const struct fl_eim *eim, __u8 proto, __u32 now)
{
	return now + fl_hz - eim->used <= (eim_life(proto) + 1) * fl_hz;
}

/* The entry of an endpoint; NULL: none, or it has run out. */
static __always_inline struct fl_eim *eim_find(const union fl_addr *addr, __be16 port, __u8 proto, __u16 nat, __u32 now)
{
	struct fl_eim_key key = { .addr = *addr, .port = port, .nat = nat, .proto = proto };
	struct fl_eim *eim = bpf_map_lookup_elem(&fl_eim, &key);

	return eim && eim_is_alive(eim, proto, now) ? eim : NULL;
}

static __always_inline bool eim_is(const struct fl_eim *eim, const union fl_addr *addr, __be16 port)
{
	return eim->port == port && same_addr(&eim->addr, addr);
}

/* Whether the outside endpoint that n->to has is nobody's, or the packet's own. */
static __always_inline bool eim_allows(const struct nat *n)
{
	const struct fl_eim *owner = eim_find(&n->to.src, n->to.sport, n->proto, 0, n->now);

	return !owner || eim_is(owner, &n->inside, n->inside_port);
}

/*
 * Keeps the mapping of an outside endpoint alive, if it has one. For packets of a state with an endpoint-independent rule, when its way is
 * asked for again.
 */
GLOBAL int eim_keep(const union fl_addr *outside, __be16 port, __u8 proto)
{
	__u32 now = bpf_jiffies64();
	struct fl_eim *eim, *back;

	if (!outside || fl_dry_run)
		return 0;
	eim = eim_find(outside, port, proto, 0, now);
	if (!eim)
		return 0;
	eim->used = now;
	back = eim_find(&eim->addr, eim->port, proto, eim->nat, now);
	if (back && eim_is(back, outside, port))
		back->used = now;
	return 0;
}

/* ---- choosing ---- */

static __always_inline bool is_family(const union fl_addr *addr, __u8 family)
{
	bool mapped = addr->q[0] == 0 && addr->w[2] == bpf_htonl(0xffff);

	return family == FL_INET ? mapped && addr->w[3] : !mapped && (addr->q[0] || addr->q[1]);
}

/* The address that the rule says. 0, or -FL_DROP_NAT_ADDRESS: the interface has none now. */
static __always_inline int nat_address(const struct nat *n, const struct fl_nat *nat, union fl_addr *addr)
{
	*addr = nat->flags & FL_NAT_TO_INTERFACE ? n->own : nat->to;
	return is_family(addr, n->family) ? 0 : -FL_DROP_NAT_ADDRESS;
}

/* The interface's own address: here, since no function of its own may have a port, which programs must not write. */
static __always_inline void nat_own(struct nat *n, const struct fl_port *port)
{
	n->own = (union fl_addr){};
	if (!(port->flags & (n->family == FL_INET ? FL_PORT_OWN4 : FL_PORT_OWN6)))
		return;
	if (n->family == FL_INET6) {
		n->own = port->addr6;
		return;
	}
	n->own.w[2] = bpf_htonl(0xffff);
	n->own.w[3] = port->addr4;
}

/* The packet's own tuple with its ends turned: an answer to it could not be told from itself. */
static __always_inline bool nat_is_turned(const struct nat *n)
{
	return n->to.sport == n->from.dport && n->to.dport == n->from.sport && same_addr(&n->to.src, &n->from.dst) &&
	       same_addr(&n->to.dst, &n->from.src);
}

/* An entry of the connection that state_insert() removes before it makes the new one. */
static __always_inline bool nat_is_over(const struct nat *n, __u32 slot, __u64 tag)
{
	const struct fl_state *twin = state_at(slot);

	return n->over && (slot == n->over_slot || (twin && FL_TAG_KIND(tag) == FL_KIND_TWIN &&
						    twin->twin == n->over_slot && twin->made == n->over_serial));
}

/*
 * Whether the tuple that n->to has may be a new connection's. One that has run out does not count: state_insert() removes it; and what
 * another CPU has made of the same connection's packet is what this one shall become, too.
 */
GLOBAL int nat_is_free(struct nat *n)
{
	const struct fl_state_control *control = state_control();
	__u32 slot;
	__u64 tag;

	if (!n || !control || nat_is_turned(n))
		return 0;
	__builtin_memset(&n->key, 0, sizeof(n->key));
	tuple_set(&n->key, &n->to.src, &n->to.dst, n->to.sport, n->to.dport, n->proto);
	n->place = fl_state_hash(&n->key, control->key, control->buckets);
	return !key_find(&n->key, &n->place, &slot, &tag) || nat_is_over(n, slot, tag) ||
	       twin_is_of(slot, tag, &n->conn) || state_age(slot, tag, n->now) == ~0u;
}

/* Tries a source port, or an identifier. */
GLOBAL int nat_try(struct nat *n, __be16 port)
{
	if (!n)
		return 0;
	n->to.sport = port;
	return nat_is_free(n) && eim_allows(n);
}

/* Tries some of the `count` from `lo` on: of a few each, from number `pick` on. Apart, which costs the verifier least. */
GLOBAL int nat_try_some(struct nat *n, __u32 lo, __u32 count, __u32 pick)
{
	if (!n || !count)
		return 0;
	for (int i = 0; i < NAT_PROBES_CALL; i++) {
		__u32 at = count <= NAT_PROBES ? pick + i : bpf_get_prandom_u32();

		if (nat_try(n, bpf_htons(lo + at % count)))
			return 1;
	}
	return 0;
}

/* The port that the packet has, if that is free: what speaks through us sees no surprise; else any. 0 or -FL_DROP_NAT_PORTS. */
static __always_inline int nat_choose(struct nat *n, const struct fl_nat *nat)
{
	bool any = nat->port_lo == 0 || nat->port_hi < nat->port_lo || n->query;
	__u32 lo = n->query ? 0 : any ? NAT_PORT_LO : nat->port_lo;
	__u32 count = (any ? NAT_PORT_HI : nat->port_hi) - lo + 1;
	__u32 own = bpf_ntohs(n->inside_port), pick = bpf_get_prandom_u32();

	if ((any || own - lo < count) && nat_try(n, n->inside_port))
		return 0;
	for (int i = 0; i < NAT_PROBES / NAT_PROBES_CALL; i++, pick += NAT_PROBES_CALL)
		if (nat_try_some(n, lo, count, pick))
			return 0;
	return -FL_DROP_NAT_PORTS;
}

/* The mapping that the inside endpoint has, if it is good for this destination. */
static __always_inline bool nat_known_mapping(struct nat *n, const struct fl_nat *nat)
{
	const struct fl_eim *eim = eim_find(&n->inside, n->inside_port, n->proto, nat->id, n->now);

	return eim && same_addr(&eim->addr, &n->to.src) && nat_try(n, eim->port);
}

/* Starts with a packet that state_find() has found no state of. */
static __always_inline void nat_begin(struct nat *n, const struct conn *c, __u8 family)
{
	__u8 side = c->side & 1;

	__builtin_memset(n, 0, sizeof(*n));
	n->from.src = c->key.addr[side];
	n->from.dst = c->key.addr[side ^ 1];
	n->from.sport = c->key.port[side];
	n->from.dport = c->key.port[side ^ 1];
	n->to = n->from;
	n->conn = c->key;
	n->family = family;
	n->proto = c->key.proto;
	n->query = n->proto == IPPROTO_ICMP || n->proto == IPPROTO_ICMPV6;
	n->now = c->now;
	n->over = c->over;
	n->over_slot = c->over_slot;
	n->over_serial = FL_TAG_SERIAL(c->over_tag);
}

/* A packet that is translated. */
static __always_inline bool nat_changes(const struct nat *n)
{
	return n->to.sport != n->from.sport || n->to.dport != n->from.dport || !same_addr(&n->to.src, &n->from.src) ||
	       !same_addr(&n->to.dst, &n->from.dst);
}

/* nat_destination()'s, with n->own. */
GLOBAL int nat_set_destination(struct nat *n, const struct fl_nat *nat)
{
	__u16 port;

	if (!n || !nat)
		return -FL_DROP_INTERNAL;
	if (nat->flags & FL_NAT_EXEMPT)
		return STAGE_GO;
	n->dnat = nat->id;
	if (nat_address(n, nat, &n->to.dst))
		return -FL_DROP_NAT_ADDRESS;
	if (!nat->port_lo || !has_ports(n->proto))
		return STAGE_GO;
	port = nat->port_lo;
	if (nat->port_hi > nat->port_lo) /* a range onto a range; else all that match onto one */
		port += bpf_ntohs(n->to.dport) - nat->match_lo;
	if (!can_change_ports(n->proto) && bpf_htons(port) != n->to.dport)
		return -FL_DROP_NAT_PORTS;
	n->to.dport = bpf_htons(port);
	return STAGE_GO;
}

/*
 * What a rule of FL_LIST_DNAT makes of the destination; `in`: the port that it came in by. Returns STAGE_GO, -FL_DROP_NAT_ADDRESS, or
 * -FL_DROP_NAT_PORTS: a port that its protocol can't have changed.
 */
static __always_inline int nat_destination(struct nat *n, const struct fl_nat *nat, const struct fl_port *in)
{
	if (!in)
		return -FL_DROP_INTERNAL;
	nat_own(n, in);
	return nat_set_destination(n, nat);
}

/* nat_source()'s, with n->own. */
GLOBAL int nat_set_source(struct nat *n, const struct fl_nat *nat)
{
	if (!n || !nat)
		return -FL_DROP_INTERNAL;
	if (nat->flags & FL_NAT_EXEMPT)
		return STAGE_GO;
	n->snat = nat->id;
	n->inside = n->to.src;
	n->inside_port = n->to.sport;
	if (nat_address(n, nat, &n->to.src))
		return -FL_DROP_NAT_ADDRESS;
	if (nat->flags & FL_NAT_STATIC_PORT || (!n->query && !can_change_ports(n->proto)))
		return STAGE_GO; /* nat_check() asks */
	if (!(nat->flags & FL_NAT_EIM))
		return nat_choose(n, nat);
	if (nat_known_mapping(n, nat)) {
		n->mapped = true;
		return STAGE_GO;
	}
	n->mapped = nat_choose(n, nat) == 0;
	return n->mapped ? STAGE_GO : -FL_DROP_NAT_PORTS;
}

/*
 * What a rule of FL_LIST_SNAT makes of the source; `out`: the port that it leaves by. Returns STAGE_GO, -FL_DROP_NAT_ADDRESS, or
 * -FL_DROP_NAT_PORTS: none of the address' ports is free for this destination.
 */
static __always_inline int nat_source(struct nat *n, const struct fl_nat *nat, const struct fl_port *out)
{
	if (!out)
		return -FL_DROP_INTERNAL;
	nat_own(n, out);
	return nat_set_source(n, nat);
}

/* After both: whether the tuple that came of them can be had. Returns STAGE_GO or -FL_DROP_NAT_PORTS. */
static __always_inline int nat_check(struct nat *n)
{
	return !nat_changes(n) || nat_is_free(n) ? STAGE_GO : -FL_DROP_NAT_PORTS;
}

/* ---- committing ---- */

/* Takes the outside endpoint for the inside one. 0, or -1: another CPU was faster with another one. */
static __always_inline int eim_take(const struct nat *n)
{
	struct fl_eim_key outside = { .addr = n->to.src, .port = n->to.sport, .proto = n->proto };
	struct fl_eim mine = { .addr = n->inside, .port = n->inside_port, .nat = n->snat, .used = n->now };

	if (!bpf_map_update_elem(&fl_eim, &outside, &mine, BPF_NOEXIST))
		return 0;
	if (!eim_allows(n))
		return -1;
	return bpf_map_update_elem(&fl_eim, &outside, &mine, BPF_ANY) ? -1 : 0;
}

/*
 * The mapping that another CPU has made for the inside endpoint since ours was chosen: n->to is by that one, and ours is free again. False:
 * there is none, or it is not good for this destination.
 */
static __always_inline bool eim_follow(struct nat *n, const struct fl_eim_key *inside)
{
	const struct fl_eim *eim = bpf_map_lookup_elem(&fl_eim, inside);
	struct fl_eim_key outside = { .addr = n->to.src, .port = n->to.sport, .proto = n->proto };

	if (!eim || eim->port == n->to.sport || !eim_is_alive(eim, n->proto, n->now) ||
	    !same_addr(&eim->addr, &n->to.src))
		return false;
	if (!nat_try(n, eim->port)) {
		n->to.sport = outside.port;
		return false;
	}
	bpf_map_delete_elem(&fl_eim, &outside);
	return true;
}

#define NAT_FOLLOWS 1 /* nat_commit(): n->to has changed */

/*
 * Before state_insert(): keeps the mapping, if the rule has it so. Returns STAGE_GO, NAT_FOLLOWS or -FL_DROP_NAT_PORTS.
 */
GLOBAL int nat_commit(struct nat *n)
{
	struct fl_eim_key inside = {};
	struct fl_eim mine = {};

	if (!n || fl_dry_run || !n->mapped)
		return STAGE_GO;
	if (eim_take(n))
		return -FL_DROP_NAT_PORTS;
	inside.addr = n->inside;
	inside.port = n->inside_port;
	inside.nat = n->snat;
	inside.proto = n->proto;
	mine.addr = n->to.src;
	mine.port = n->to.sport;
	mine.nat = n->snat;
	mine.used = n->now;
	if (!bpf_map_update_elem(&fl_eim, &inside, &mine, BPF_NOEXIST))
		return STAGE_GO;
	if (eim_follow(n, &inside))
		return NAT_FOLLOWS;
	bpf_map_update_elem(&fl_eim, &inside, &mine, BPF_ANY);
	return STAGE_GO;
}

/* The twin's tuple, for state_insert(). */
static __always_inline void nat_twin(struct conn *c, struct fl_tuple *twin, const struct nat *n)
{
	twin_of(c, twin, &n->to.src, &n->to.dst, n->to.sport, n->to.dport);
}

/* ---- packets of states ---- */

/*
 * What a packet of a translated connection that state_find() has found becomes: the tuple of the other entry. Returns STAGE_GO, or
 * -FL_DROP_INTERNAL: that entry has just been ended, and may be another connection's already.
 */
static __always_inline int nat_of_conn(struct rewrite *to, const struct conn *c)
{
	const struct fl_state *other = state_at(c->other);
	bool is_twin = c->slot == c->main; /* that other one */
	__u32 side;

	if (!other || (is_twin && (other->twin != c->main || other->made != FL_TAG_SERIAL(c->tag))))
		return -FL_DROP_INTERNAL;
	side = c->main_side ^ (is_twin && other->flags & FL_STATE_TURNED);
	hide(side); /* Linux 6.1 knows no bounds of an exclusive or */
	side &= 1;
	to->src = other->addr[side];
	to->dst = other->addr[side ^ 1];
	to->sport = other->port[side];
	to->dport = other->port[side ^ 1];
	return STAGE_GO;
}

/* The tuple that an ICMP error has for state_find(): it meets the packet that it quotes, as the answer to that would. */
static __always_inline void quote_tuple(struct conn *c, const struct quote *q)
{
	tuple_of(c, &q->dst, &q->src, q->dport, q->sport, q->proto);
}

/* As nat_of_conn(): what the quoted packet becomes, for quote_outer() and quote_rewrite(). */
static __always_inline int nat_of_quote(struct rewrite *to, const struct conn *c)
{
	struct rewrite answer;
	int r = nat_of_conn(&answer, c);

	if (r)
		return r;
	to->src = answer.dst;
	to->dst = answer.src;
	to->sport = answer.dport;
	to->dport = answer.sport;
	return STAGE_GO;
}
