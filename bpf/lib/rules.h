/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which rule a packet is judged by, which translation it gets. include/fairlead/rules.h says what the table looks like; this finds the
 * classes of what the packet has (addresses by a search, the rest by a direct look), and for these the place: from the memo, or
 * from the rows, line by line. Nearly all packets are of classes that have been seen together, so what they cost grows with
 * the number of rules only by what the search does, one level for 16 times as many.
 */
#pragma once

#include "fairlead/rules.h"
#include "lib/packet.h"

struct rule_segments {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE | BPF_F_INNER_MAP);
	__uint(key_size, sizeof(__u32)); /* by size: clang leaves out a type that is named here only */
	__uint(value_size, FL_SEGMENT_SIZE);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 2);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__array(values, struct rule_segments);
} fl_rule_tables SEC(".maps"); /* Daemon writes */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2 * FL_LISTS * FL_RULES_MAX);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct fl_rule);
} fl_rules SEC(".maps"); /* Daemon writes */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2 * FL_LISTS * FL_RULES_MAX);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct fl_nat);
} fl_nats SEC(".maps"); /* Daemon writes */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FL_RULE_IDS_MAX);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct fl_rule_name);
} fl_rule_names SEC(".maps"); /* Daemon writes */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FL_RULE_MEMOS); /* times CPUs: the daemon sets it */
	__uint(map_flags, BPF_F_MMAPABLE);  /* for the alignment: an entry does not cross a cache line */
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct fl_rule_memo);
} fl_rule_memo SEC(".maps");

/* The class of an address that was asked for last. */
struct subject_address {
	union fl_addr addr;
	__u32 serial;
	__u32 family;
	__u32 class;
	__u32 pad;
};

/* What a packet is judged by. In the scratch element, not on the stack. */
struct subject {
	union fl_addr src, dst; /* IPv4 mapped */
	__u32 gen;		/* pkt.gen: says the set */
	__be16 sport, dport;	/* 0 where the protocol has none */
	__u16 port;		/* number of the one that it came in by (IN, DNAT), or leaves by (OUT, SNAT) */
	__u16 tag;		/* in: so far; out: as the rules that match have left it. 0: none */
	__u8 proto;
	__u8 family; /* FL_INET or FL_INET6 */
	__u8 tcp_flags;
	__u8 icmp_type; /* ICMP and ICMPv6 */
	__u8 dscp;
	__u8 pad[3];
	/* rules_match()'s own, from here on; zeroed or left as it was */
	struct subject_address known_src, known_dst;
	__u64 left[FL_LINE_SIZE / 8]; /* of the line at hand: rules that fit in all dimensions but the tag */
	__u32 row[FL_DIMS];	      /* offsets of the classes' rows */
	__u64 key[3];		      /* the memo's */
	__u32 place;
	__u32 pad2;
};

static __always_inline void *rule_table(__u32 set)
{
	__u32 key = set & 1;

	return bpf_map_lookup_elem(&fl_rule_tables, &key);
}

/* By hand, since the compiler may add before it asks whether there is a pointer, which the verifier refuses. */
static __always_inline void *table_add(void *p, __u64 offset)
{
	if (p)
		asm volatile("%[p] += %[offset]" : [p] "+r"(p) : [offset] "r"(offset));
	return p;
}

/* Pointer to `size` bytes (a power of two) at an offset of the table that is a multiple of that; NULL: there is no such segment. */
#define table_at(table, offset, size) \
	({ \
		__u32 __offset = (offset), __segment = __offset >> FL_SEGMENT_SHIFT; \
		void *__p = bpf_map_lookup_elem(table, &__segment); \
		table_add(__p, __offset &(FL_SEGMENT_SIZE - (size))); \
	})

static __always_inline const struct fl_table *table_head(void *table)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(table, &zero);
}

/* Bits that are set. Compilers know the idiom and have no code for it: hidden. */
static __always_inline __u32 bits_set(__u64 x)
{
	x -= x >> 1 & 0x5555555555555555ULL;
	hide(x);
	x = (x & 0x3333333333333333ULL) + (x >> 2 & 0x3333333333333333ULL);
	x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0fULL;
	return x * 0x0101010101010101ULL >> 56;
}

/* Number of the lowest and of the highest bit that is set; one is. */
static __always_inline __u32 bit_lowest(__u64 x)
{
	return bits_set((x & -x) - 1);
}

static __always_inline __u32 bit_highest(__u64 x)
{
	x |= x >> 1;
	x |= x >> 2;
	x |= x >> 4;
	x |= x >> 8;
	x |= x >> 16;
	x |= x >> 32;
	return bits_set(x >> 1);
}

/* Bit 63 of `end` - `x` where both have less bits than that; hidden, since compilers would make a branch of it. */
static __always_inline __u64 less4(__u64 end, __u64 x)
{
	end -= x;
	hide(end);
	return end >> 63;
}

static __always_inline __u64 less6(__u64 end, __u64 x)
{
	__u64 difference = end - x;

	hide(difference);
	return ((~end & x) | (~(end ^ x) & difference)) >> 63;
}

/*
 * How many of a line's ends lie before x; not all of them do. Without a branch, which would be mispredicted every other time: first in
 * groups of four, then in the group.
 */
static __always_inline __u32 ends_before4(const __u32 *ends, __u64 x)
{
	__u64 group = less4(ends[3], x) + less4(ends[7], x) + less4(ends[11], x);

	ends += group * 4;
	return group * 4 + less4(ends[0], x) + less4(ends[1], x) + less4(ends[2], x);
}

static __always_inline __u32 ends_before6(const __u64 *ends, __u64 x)
{
	__u64 group = less6(ends[3], x);

	ends += group * 4;
	return group * 4 + less6(ends[0], x) + less6(ends[1], x) + less6(ends[2], x);
}

/* What is in the first segment needs no look for the segment. */
#define table_near(table, head, offset, size) \
	((offset) < FL_SEGMENT_SIZE ? (void *)(head) + ((offset) & (FL_SEGMENT_SIZE - (size))) \
				    : table_at(table, offset, size))

/* What the tree at that offset says of x: the interval's ref. */
static __always_inline __u32 tree_find(__u32 set, __u32 offset, __u64 x, bool six)
{
	const struct fl_table *head;
	const struct fl_tree *tree;
	void *table = rule_table(set);
	const __u32 *ref;
	const void *line;
	__u32 k = 0;

	if (!table)
		return 0;
	head = table_head(table);
	if (!head)
		return 0;
	tree = table_near(table, head, offset, FL_LINE_SIZE);
	if (!tree)
		return 0;
	for (int i = 0; i < FL_TREE_LEVELS && i < tree->levels; i++) {
		offset = tree->level[i] + k * FL_LINE_SIZE;
		line = table_near(table, head, offset, FL_LINE_SIZE);
		if (!line)
			return 0;
		k *= FL_LINE_SIZE / (six ? 8 : 4);
		k += six ? ends_before6(line, x) : ends_before4(line, x);
	}
	offset = tree->refs + k * 4;
	ref = table_near(table, head, offset, 4);
	return ref ? *ref : 0;
}

GLOBAL __u32 tree_find4(__u32 set, __u32 offset, __u32 x)
{
	return tree_find(set, offset, x, false);
}

GLOBAL __u32 tree_find6(__u32 set, __u32 offset, __u64 x)
{
	return tree_find(set, offset, x, true);
}

/* The class of an address; one that is asked for again (by the next list) costs nothing. */
static __always_inline __u32 address_class(const struct subject *s, const union fl_addr *addr, __u32 dim, __u32 serial,
					   struct subject_address *known)
{
	__u32 set = FL_GEN_SET(s->gen), six = s->family == FL_INET6;
	__u32 tree = offsetof(struct fl_table, tree) + (dim * 2 + six) * sizeof(struct fl_tree), ref;

	if (known->serial == serial && known->family == s->family && known->addr.q[0] == addr->q[0] &&
	    known->addr.q[1] == addr->q[1])
		return known->class;
	if (six) {
		ref = tree_find6(set, tree, bpf_be64_to_cpu(addr->q[0]));
		if (ref & FL_REF_CHILD)
			ref = tree_find6(set, (ref & ~FL_REF_CHILD) * FL_LINE_SIZE, bpf_be64_to_cpu(addr->q[1]));
	} else {
		ref = tree_find4(set, tree, bpf_ntohl(addr->w[3]));
	}
	known->addr = *addr;
	known->family = s->family;
	known->serial = serial;
	known->class = ref;
	return ref;
}

static __always_inline __u32 proto_value(const struct subject *s)
{
	if (s->proto == IPPROTO_TCP)
		return FL_VALUE_TCP + s->tcp_flags;
	if (s->proto == IPPROTO_ICMP)
		return FL_VALUE_ICMP + s->icmp_type;
	if (s->proto == IPPROTO_ICMPV6)
		return FL_VALUE_ICMPV6 + s->icmp_type;
	return s->proto;
}

static __always_inline const struct fl_rule *rule_get(__u32 set, __u32 list, __u32 place)
{
	__u32 index = FL_RULE_INDEX(set & 1, list, place);

	return bpf_map_lookup_elem(&fl_rules, &index);
}

static __always_inline const struct fl_nat *nat_get(__u32 set, __u32 list, __u32 place)
{
	__u32 index = FL_RULE_INDEX(set & 1, list, place);

	return bpf_map_lookup_elem(&fl_nats, &index);
}

enum { RULES_NEXT, RULES_END, RULES_MORE };
#define RULES_EVENTS 8

/*
 * Goes through the rules of s->left[] that begin with `bit` of all lists' bits, 64 of them: one of them that matches becomes s->place,
 * and its tag is that of those behind it. Returns RULES_END: one of them ended the search; RULES_NEXT: none did; RULES_MORE: there are
 * others left in s->left[], to be called again for. A few at a time, which costs the verifier least.
 */
GLOBAL int rules_word(struct subject *s, __u32 list, __u32 bit)
{
	void *table = s ? rule_table(FL_GEN_SET(s->gen)) : NULL;
	const struct fl_table *head;
	const __u64 *quick, *taggers, *tagged;
	__u64 left;

	if (!s || !table)
		return RULES_END;
	head = table_head(table);
	if (!head)
		return RULES_END;
	list &= FL_LISTS - 1;
	left = s->left[bit >> 6 & 7];
	quick = table_at(table, head->quick + bit / 8, 8);
	if (!quick)
		return RULES_END;
	taggers = table_at(table, head->taggers + bit / 8, 8);
	if (!taggers)
		return RULES_END;
	for (int i = 0; i < RULES_EVENTS && left; i++) {
		__u32 row = head->row[FL_DIM_TAG] + ((__u32)head->tag[s->tag & (FL_TAGS_MAX - 1)] << head->row_shift);
		__u32 place = bit - head->list[list].first * FL_LINE_BITS;
		const __u32 *line = table_at(table, row + sizeof(struct fl_row) + bit / FL_LINE_BITS * 4, 4);
		__u64 match, event;

		if (!line)
			return RULES_END;
		tagged = table_at(table, head->lines + *line * FL_LINE_SIZE + (bit / 8 & 56), 8);
		if (!tagged)
			return RULES_END;
		match = left & *tagged;
		if (!match)
			return RULES_NEXT;
		event = match & (*quick | *taggers);
		if (!event) {
			s->place = place + bit_highest(match);
			return RULES_NEXT;
		}
		event &= -event; /* the first */
		place += bit_lowest(event);
		s->place = place;
		if (event & *taggers) {
			const struct fl_rule *rule = rule_get(FL_GEN_SET(s->gen), list, place);

			s->tag = rule ? rule->tag : 0;
		}
		if (event & *quick)
			return RULES_END;
		left &= ~(event | (event - 1));
	}
	s->left[bit >> 6 & 7] = left;
	return left ? RULES_MORE : RULES_NEXT;
}

/* The same for one line of all lists' lines. */
GLOBAL int rules_line(struct subject *s, __u32 list, __u32 line)
{
	void *table = s ? rule_table(FL_GEN_SET(s->gen)) : NULL;
	const struct fl_table *head;
	const __u64 *bits;

	if (!s || !table)
		return 1;
	head = table_head(table);
	if (!head)
		return 1;
	bits = table_at(table, head->live + line * FL_LINE_SIZE, FL_LINE_SIZE);
	if (!bits)
		return 1;
#pragma unroll
	for (int w = 0; w < 8; w++)
		s->left[w] = bits[w];
#pragma unroll
	for (int dim = 0; dim < FL_DIM_TAG; dim++) {
		const __u32 *number = table_at(table, s->row[dim] + sizeof(struct fl_row) + line * 4, 4);

		if (!number)
			return 1;
		bits = table_at(table, head->lines + *number * FL_LINE_SIZE, FL_LINE_SIZE);
		if (!bits)
			return 1;
#pragma unroll
		for (int w = 0; w < 8; w++)
			s->left[w] &= bits[w];
	}
	/* as a loop it may be laid out as Linux 6.1 refuses, see ext_headers_walk() */
#pragma unroll
	for (int w = 0; w < 8; w++) {
		int r = s->left[w] ? RULES_MORE : RULES_NEXT;

		for (int i = 0; i < 64 / RULES_EVENTS && r == RULES_MORE; i++)
			r = rules_word(s, list, line * FL_LINE_BITS + w * 64);
		if (r != RULES_NEXT)
			return 1;
	}
	return 0;
}

/* By the rows: those lines in which no dimension has nothing. Sets s->place and s->tag. */
GLOBAL int rules_search(struct subject *s, __u32 list)
{
	void *table = s ? rule_table(FL_GEN_SET(s->gen)) : NULL;
	const struct fl_table *head;
	__u32 some = ~0u, first;

	if (!s || !table)
		return 0;
	head = table_head(table);
	if (!head)
		return 0;
	list &= FL_LISTS - 1;
#pragma unroll
	for (int dim = 0; dim < FL_DIM_TAG; dim++) {
		const __u32 *row = table_at(table, s->row[dim] + list * 4, 4);

		some &= row ? *row : 0;
	}
	s->place = head->list[list].none;
	first = head->list[list].first;
	for (int i = 0; i < FL_LIST_LINES && some; i++) {
		if (rules_line(s, list, first + bit_lowest(some)))
			return 0;
		some &= some - 1;
	}
	return 0;
}

static __always_inline struct fl_rule_memo *memo_of(const __u64 *key)
{
	__u64 hash = key[0] * 0x9e3779b97f4a7c15ULL + key[1] * 0xc2b2ae3d27d4eb4fULL + key[2] * 0x165667b19e3779f9ULL;
	__u32 slot = bpf_get_smp_processor_id() * FL_RULE_MEMOS;

	slot += ((hash ^ hash >> 32) * 0x9fb21c651e98df25ULL >> 32) & (FL_RULE_MEMOS - 1);
	return bpf_map_lookup_elem(&fl_rule_memo, &slot);
}

#define RULES_UNKNOWN (~0u)

/* The place for what the subject's values belong to, from the memo; RULES_UNKNOWN: it is to be searched for, and s->row says in what. */
GLOBAL __u32 rules_classify(struct subject *s, __u32 list)
{
	void *table = s ? rule_table(FL_GEN_SET(s->gen)) : NULL;
	__u32 src, dst, sport, dport, proto, port, dscp;
	const struct fl_table *head;
	struct fl_rule_memo *memo;

	if (!s || !table)
		return 0;
	head = table_head(table);
	if (!head)
		return 0;
	list &= FL_LISTS - 1;
	src = address_class(s, &s->src, FL_DIM_SRC, head->serial, &s->known_src);
	dst = address_class(s, &s->dst, FL_DIM_DST, head->serial, &s->known_dst);
	sport = head->sport[bpf_ntohs(s->sport)];
	dport = head->dport[bpf_ntohs(s->dport)];
	proto = head->proto[proto_value(s)];
	port = head->port[s->port & (FL_PORTS_MAX - 1)];
	dscp = head->dscp[s->dscp & (FL_VALUES_DSCP - 1)];
	s->key[0] = (__u64)src << 32 | dst;
	s->key[1] = (__u64)port << 48 | (__u64)proto << 32 | dport << 16 | sport;
	s->key[2] = (__u64)(dscp << 8 | list) << 48 | (__u64)s->tag << 32 | head->serial;
	memo = fl_dry_run ? NULL : memo_of(s->key);
	if (memo && memo->key[0] == s->key[0] && memo->key[1] == s->key[1] && memo->key[2] == s->key[2]) {
		s->tag = memo->tag;
		return memo->place;
	}
	s->row[FL_DIM_SRC] = head->row[FL_DIM_SRC] + (src << head->row_shift);
	s->row[FL_DIM_DST] = head->row[FL_DIM_DST] + (dst << head->row_shift);
	s->row[FL_DIM_SPORT] = head->row[FL_DIM_SPORT] + (sport << head->row_shift);
	s->row[FL_DIM_DPORT] = head->row[FL_DIM_DPORT] + (dport << head->row_shift);
	s->row[FL_DIM_PROTO] = head->row[FL_DIM_PROTO] + (proto << head->row_shift);
	s->row[FL_DIM_PORT] = head->row[FL_DIM_PORT] + (port << head->row_shift);
	s->row[FL_DIM_DSCP] = head->row[FL_DIM_DSCP] + (dscp << head->row_shift);
	return RULES_UNKNOWN;
}

/* The memo learns what was found. */
static __always_inline void rules_keep(const struct subject *s)
{
	struct fl_rule_memo *memo = fl_dry_run ? NULL : memo_of(s->key);

	if (!memo)
		return;
	memo->key[0] = s->key[0];
	memo->key[1] = s->key[1];
	memo->key[2] = s->key[2];
	memo->place = s->place;
	memo->tag = s->tag;
}

/*
 * The place in fl_rules (IN, OUT: the default's where none matches) or fl_nats (DNAT, SNAT: 0 where none does) of the set that s->gen says.
 * 0 for IN and OUT: there is no table.
 */
static __always_inline __u32 rules_match(struct subject *s, __u32 list)
{
	__u32 place = rules_classify(s, list);

	/* not from there: calls in each other share 512 bytes of stack */
	if (place != RULES_UNKNOWN)
		return place;
	rules_search(s, list);
	rules_keep(s);
	return s->place;
}
