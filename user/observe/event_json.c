// SPDX-License-Identifier: GPL-2.0-only
/* What is told of a logged packet. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "user/observe/observe.h"

#define TCP_FLAGS "FSRPAUEW" /* a letter's place is its bit (RFC 9293 3.1) */

static const char *const drop_names[] = {
#define DROP_NAME(symbol, name, text) name,
	FL_DROP_REASONS(DROP_NAME)
#undef DROP_NAME
};

/* Without /etc/protocols, which would be read for each packet. */
static json_t *protocol_json(uint8_t proto)
{
	static const struct {
		uint8_t number;
		const char *name;
	} known[] = {
		{ IPPROTO_TCP, "tcp" },	  { IPPROTO_UDP, "udp" },
		{ IPPROTO_ICMP, "icmp" }, { IPPROTO_ICMPV6, "ipv6-icmp" },
		{ IPPROTO_IPV6, "ipv6" }, { IPPROTO_ESP, "esp" },
		{ IPPROTO_AH, "ah" },	  { IPPROTO_GRE, "gre" },
		{ IPPROTO_SCTP, "sctp" }, { IPPROTO_IGMP, "igmp" },
		{ 89, "ospf" },		  { 112, "vrrp" },
	};
	char number[8];

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (known[i].number == proto)
			return json_string(known[i].name);
	}
	snprintf(number, sizeof(number), "%u", proto);
	return json_string(number);
}

static json_t *addr_json(const union fl_addr *a)
{
	struct addr addr = addr_from_map(a);
	char text[ADDR_STRLEN];

	return json_string(addr_format(&addr, text));
}

static json_t *rule_json(const struct observed *o)
{
	char text[16];

	if (o->rule)
		return json_string(o->rule);
	if (!o->event.rule)
		return o->event.verdict == FL_EVENT_DROP ? json_null() : json_string(OBSERVE_DEFAULT);
	snprintf(text, sizeof(text), "#%u", o->event.rule); /* of an earlier configuration */
	return json_string(text);
}

static void put_transport(json_t *json, const struct fl_event *e)
{
	char flags[sizeof(TCP_FLAGS)] = "";
	size_t n = 0;

	if (e->sport || e->dport) {
		json_object_set_new(json, "source_port", json_integer(ntohs(e->sport)));
		json_object_set_new(json, "destination_port", json_integer(ntohs(e->dport)));
	}
	for (size_t i = 0; i < sizeof(TCP_FLAGS) - 1; i++) {
		if (e->tcp_flags & 1 << i)
			flags[n++] = TCP_FLAGS[i];
	}
	flags[n] = '\0';
	if (e->proto == IPPROTO_TCP)
		json_object_set_new(json, "tcp_flags", json_string(flags));
	if (e->proto == IPPROTO_ICMP || e->proto == IPPROTO_ICMPV6) {
		json_object_set_new(json, "icmp_type", json_integer(e->icmp_type));
		json_object_set_new(json, "icmp_code", json_integer(e->icmp_code));
	}
}

static void put_data(json_t *json, const struct fl_event *e)
{
	static const char digits[] = "0123456789abcdef";
	char hex[2 * FL_EVENT_DATA_MAX];

	for (size_t i = 0; i < e->captured && i < FL_EVENT_DATA_MAX; i++) {
		hex[2 * i] = digits[e->data[i] >> 4];
		hex[2 * i + 1] = digits[e->data[i] & 15];
	}
	json_object_set_new(json, "data", json_stringn(hex, 2 * e->captured));
}

json_t *observe_lost_json(uint64_t lost, const char *by)
{
	return json_pack("{s:I, s:s}", "lost", (json_int_t)lost, "by", by);
}

json_t *observed_json(const struct observed *o, bool data)
{
	static const char *const verdicts[] = { "pass", "block", "reject", "drop" };
	const struct fl_event *e = &o->event;
	const char *reason = e->reason && e->reason < FL_DROP_MAX ? drop_names[e->reason] : NULL;
	json_t *json;

	if (o->lost)
		return observe_lost_json(o->lost, "ring");
	json = json_pack("{s:f, s:s, s:s, s:s?, s:o, s:s?, s:o, s:o, s:o, s:I}", "time_ms", o->time_us / 1000.0,
			 "verdict", verdicts[e->verdict & 3], "direction", e->flags & FL_EVENT_OUT ? "out" : "in",
			 "interface", o->interface, "rule", rule_json(o), "reason", reason, "source",
			 addr_json(&e->src), "destination", addr_json(&e->dst), "protocol", protocol_json(e->proto),
			 "length", (json_int_t)e->len);
	if (!json)
		return NULL;
	put_transport(json, e);
	json_object_set_new(json, "hook", json_string(e->flags & FL_EVENT_XDP ? "xdp" : "tc"));
	if (data)
		put_data(json, e);
	return json;
}
