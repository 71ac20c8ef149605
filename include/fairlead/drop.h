/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Why a packet was dropped: the one list. A reason's number is in pinned maps: append, never renumber.
 * X(symbol, name as `fairlead show drops` prints it, one line for people)
 */
#pragma once

/* clang-format off */
#define FL_DROP_REASONS(X) \
	X(NONE, "none", "not dropped") \
	X(MALFORMED, "malformed", "header truncated or inconsistent") \
	X(EXT_HEADERS, "too-many-extension-headers", "more, or longer, IPv6 extension headers than are walked") \
	X(IP_OPTIONS, "ip-options", "IPv4 options on a packet to forward") \
	X(MARTIAN, "martian", "a source or destination that no forwarded packet may have") \
	X(SCOPE, "beyond-scope", "a link-local source and a destination off the link") \
	X(BLOCKED, "not-forwarding", "fairlead is starting, reloading or told to block") \
	X(FORWARDING_OFF, "forwarding-off", "the kernel's forwarding switch of the interface is off") \
	X(BLACKHOLE, "blackhole", "the routing table says blackhole") \
	X(FOREIGN_EGRESS, "foreign-egress", "its route leaves by a device that is not in the configuration") \
	X(UNTAGGED, "untagged", "the kernel tried to forward what fairlead has not passed") \
	X(TTL, "hop-limit", "hop limit or TTL expired; answered with Time Exceeded") \
	X(TOO_BIG, "too-big", "bigger than the path; answered with Packet Too Big") \
	X(UNREACHABLE, "unreachable", "no way there; answered with Destination Unreachable") \
	X(P2P_LOOP, "point-to-point-loop", "would go back into the tunnel that it came from; answered with Destination Unreachable") \
	X(TUNNEL_STRANGER, "tunnel-wrong-outer-source", "protocol 41 from an address that is no tunnel's remote") \
	X(TUNNEL_UNDERLAY, "tunnel-wrong-interface", "from a tunnel's remote, but not by the tunnel's underlay") \
	X(TUNNEL_INNER, "tunnel-bad-inner", "the inner packet is not a whole IPv6 packet") \
	X(TUNNEL_SOURCE, "tunnel-forbidden-inner-source", "an inner source that RFC 4213 3.6 forbids") \
	X(TUNNEL_CLIENT, "tunnel-foreign-inner-source", "an inner source outside the client's own prefixes") \
	X(TUNNEL_ECN, "tunnel-ecn", "congestion experienced outside, not ECN-capable inside (RFC 6040)") \
	X(TUNNEL_FRAGMENT, "tunnel-outer-fragment", "outer fragments that nobody put together") \
	X(TUNNEL_FAILED, "tunnel-failed", "the kernel refused to encapsulate or decapsulate it, or the underlay has no room for it") \
	X(NPT_UNTRANSLATABLE, "npt-untranslatable", "an address that has no translation (RFC 6296), or whose external prefix is not known now") \
	X(ICMP_RATE, "icmp-rate-limit", "the ICMP error that it deserved was over the rate") \
	X(NO_UNDERLAY, "no-underlay-route", "no route to the tunnel's remote by its underlay, or no member of the group can be used that it is; answered with Destination Unreachable") \
	X(INTERNAL, "internal", "a table that must have an entry has none") \
	X(SPOOFED, "spoofed-source", "a source that is the router's own or lies on another interface (antispoof)") \
	X(HELD, "route-changing", "its route was being changed by a new configuration at that moment") \
	X(RULE, "rule", "blocked by a rule, or by default_action") \
	X(REJECTED, "rejected", "rejected by a rule; answered with a TCP reset or Destination Unreachable") \
	X(STATE_WINDOW, "state-mismatch", "of a known connection, but out of its window or order") \
	X(STATE_FULL, "state-table-full", "a new connection that the state table has no room for") \
	X(STATE_LIMIT, "state-limit", "a new connection beyond its rule's max_states or max_states_per_source") \
	X(FRAGMENT, "fragment-unknown", "a fragment whose first one has not been seen, or that is too short for one") \
	X(NAT_PORTS, "nat-ports-exhausted", "no port, or identifier, was free to translate it to") \
	X(GATEWAY_DOWN, "gateway-down", "the gateway that it is to go by is down") \
	X(NAT_STATELESS, "nat-without-state", "a translation is for it, but it begins no connection that could have one") \
	X(SOURCE_ROUTE, "source-route", "an IPv6 routing header of type 0 that is not at its end (RFC 5095)") \
	X(NAT_ADDRESS, "nat-no-address", "the interface that a nat rule translates it to has no address of its family") \
	X(NOT_OWNER, "not-owner", "from or to a virtual address that another node has now")
/* clang-format on */

enum fl_drop {
#define FL_DROP_ENUM(symbol, name, text) FL_DROP_##symbol,
	FL_DROP_REASONS(FL_DROP_ENUM)
#undef FL_DROP_ENUM
		FL_DROP_MAX
};

#define FL_DROP_SLOTS 64 /* reasons that the counters have room for, a port */
_Static_assert(FL_DROP_MAX <= FL_DROP_SLOTS, "drop counters have no room for every reason");
