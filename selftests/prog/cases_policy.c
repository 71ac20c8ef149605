// SPDX-License-Identifier: GPL-2.0-only
/*
 * Scenes: a policy, and packets one after the other that it judges, with what comes of each at every hook: verdict, bytes, counters, and
 * how many states there are. What XDP passes down, tc sees next, as in real life.
 */

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <stdio.h>
#include <string.h>

#include "fairlead/event.h"
#include "selftests/prog/check.h"
#include "selftests/prog/hosts.h"
#include "selftests/prog/policy.h"
#include "selftests/prog/scenes.h"

#include "xdp.skel.h"

#define OUTSIDE "2001:db8:4000::9"
#define SERVER4 "198.18.0.1"
#define WAN4 "198.51.100.1"
#define OTHER_HOST "2001:db8:10::11"
#define THIRD_HOST "2001:db8:10::12"
#define PUBLIC4 "198.51.100.77"

#define FROM(port, from, to) .c.in = port, .c.pkt.src = from, .c.pkt.dst = to
#define CARP .c.pkt.proto = 112, .c.pkt.l4 = L4_RAW
#define PORTS_ARE(from, to) .c.pkt.sport = from, .c.pkt.dport = to
#define TCP_DATA(bits, s, a) .c.pkt.l4 = L4_TCP, .c.pkt.tflags = bits, .c.pkt.seq = s, .c.pkt.ack = a
#define TCP(bits, s, a) TCP_DATA(bits, s, a), .c.pkt.payload = NIL
#define ERROR_ABOUT(what) .c.pkt.l4 = L4_ERROR, .c.pkt.quoted = &(what)
#define LEAVES(port) .c.want = FORWARD, .c.out = port
#define DROPPED(why) .c.want = DROP, .c.reason = why
#define REFUSED(type, number) .c.want = ERROR, .c.reason = FL_DROP_REJECTED, .c.icmp_type = type, .c.icmp_code = number
#define OUT6 FROM(LAN, LAN_HOST, NET_HOST)
#define BACK6 FROM(WAN, NET_HOST, LAN_HOST), PORTS_ARE(53, 4000)
#define OUT4 FROM(LAN, LAN_HOST4, NET_HOST4)
#define BACK4 FROM(WAN, NET_HOST4, LAN_HOST4), PORTS_ARE(53, 4000)

#define LAN_OUT "\"rules\":[{\"name\":\"go\",\"action\":\"pass\",\"direction\":\"in\",\"interface\":\"lan\"}]"
#define SAY(text) "\"rules\":[" text "]"

static const struct spec quoted6 = { .src = LAN_HOST, .dst = NET_HOST };
static const struct spec quoted_strange = { .src = LAN_HOST, .dst = NET_HOST, .sport = 4999 };
static const struct spec quoted4 = { .src = LAN_HOST4, .dst = NET_HOST4 };
static const struct spec quoted_snat = { .src = WAN4, .dst = NET_HOST4 };
static const struct spec quoted_back = { .src = NET_HOST4, .dst = WAN4, .sport = 53, .dport = 4000 };
static const struct spec quoted_echo = { .src = LAN_HOST, .dst = NET_HOST, .l4 = L4_ECHO };
static const struct spec quoted_outer = { .src = LOCAL4, .dst = HE0_REMOTE, .l4 = L4_RAW, .proto = 41 };
static const struct spec quoted_back_inside = { .src = NET_HOST4, .dst = LAN_HOST4, .sport = 53, .dport = 4000 };

/* ---- what states say ---- */

static void look_keep(struct env *env)
{
	const struct fl_state *st = policy_state(env, 0);

	if (!st || strcmp(policy_name(env, st->rule[0]), "go") != 0 || st->rule[1] != FL_RULE_ID_DEFAULT_OUT ||
	    st->flags & FL_STATE_LOOSE || st->gateway || st->nat)
		fail(env, "  the state is not what its rule says\n");
}

static void look_loose(struct env *env)
{
	const struct fl_state *st = policy_state(env, 0);

	if (!st || !(st->flags & FL_STATE_LOOSE))
		fail(env, "  the state is not loose\n");
}

static void look_steered(struct env *env)
{
	const struct fl_state *st = policy_state(env, 0);

	if (!st || !st->gateway)
		fail(env, "  the state names no gateway\n");
}

/* The state of LAN_HOST's, or LAN_HOST4's. */
static const struct fl_state *state_of(struct env *env, const char *host)
{
	union fl_addr addr = addr_of(host);
	const struct fl_state *st;

	for (int i = 0; (st = policy_state(env, i)); i++)
		if (!memcmp(&st->addr[0], &addr, sizeof(addr)) || !memcmp(&st->addr[1], &addr, sizeof(addr)))
			return st;
	return NULL;
}

static void look_gateways(struct env *env, __u16 of4, __u16 of6)
{
	const struct fl_state *st4 = state_of(env, LAN_HOST4), *st6 = state_of(env, LAN_HOST);

	if (!st4 || !st6 || st4->gateway != of4 || st6->gateway != of6)
		fail(env, "  the states name the gateways %d and %d instead of %u and %u\n", st4 ? st4->gateway : -1,
		     st6 ? st6->gateway : -1, of4, of6);
}

static void look_mixed(struct env *env)
{
	look_gateways(env, POLICY_WAN4, POLICY_HE);
}

static int members(struct env *env)
{
	return tables_route(env, "::", 0, true)
	       ?: tables_port_members(env, WAN, POLICY_LINK, POLICY_LINK)
	       ?: tables_port_members(env, HE0, 0, POLICY_HE);
}

/* To what OUT6 and OUT4 go there are routes of its own. */
static int members_and_routes(struct env *env)
{
	return tables_route(env, NET_HOST, 128, false) ?: tables_route(env, NET_HOST4, 128, false) ?: members(env);
}

static void no_members(struct env *env)
{
	if (tables_port_members(env, WAN, 0, 0) || tables_port_members(env, HE0, 0, 0) || tables_no_route(env, "::", 0))
		fail(env, "  the members can't be taken away\n");
}

static void look_routed_else(struct env *env)
{
	look_gateways(env, 0, 0);
	no_members(env);
	if (tables_no_route(env, NET_HOST, 128) || tables_no_route(env, NET_HOST4, 128))
		fail(env, "  the routes can't be taken away\n");
}

/* By the routers on the link, by neither (another is on it), and by the tunnel; where nobody is a member, by none. */
static void look_routed(struct env *env)
{
	const struct fl_state *by_another = state_of(env, OTHER_HOST), *by_tunnel = state_of(env, THIRD_HOST), *st;
	int named[8] = { 0 };

	look_gateways(env, POLICY_WAN4, POLICY_WAN6);
	if (!by_another || !by_tunnel || by_another->gateway || by_tunnel->gateway != POLICY_HE)
		fail(env, "  the others' states name the gateways %d and %d instead of 0 and %u\n",
		     by_another ? by_another->gateway : -1, by_tunnel ? by_tunnel->gateway : -1, POLICY_HE);
	for (int i = 0; (st = policy_state(env, i)); i++)
		named[st->gateway % 8]++;
	if (named[POLICY_WAN4] != 2 || named[POLICY_WAN6] != 2) /* a further one's flow is known already */
		fail(env, "  %d and %d states instead of two each name the link's gateways\n", named[POLICY_WAN4],
		     named[POLICY_WAN6]);
	no_members(env);
}

static void look_half(struct env *env)
{
	look_gateways(env, POLICY_WAN4, 0);
}

static void look_translated(struct env *env)
{
	const struct fl_state *st;

	for (int i = 0; (st = policy_state(env, i)); i++)
		if (st->nat && st->flags & FL_STATE_TRANSLATED)
			return;
	fail(env, "  no state names a translation\n");
}

static void look_error(struct env *env)
{
	const struct fl_state *st = policy_state(env, 0);

	if (!st || !(st->flags & FL_STATE_ERROR))
		fail(env, "  the state knows of no error\n");
}

/* Of LAN_HOST's states one is left, and what was refused is not counted: for the rule of the second direction. */
static void look_sources(struct env *env)
{
	const struct fl_state *st = policy_state(env, 0);
	struct fl_rule_source key = { .addr = addr_of(LAN_HOST), .rule = st ? st->rule[1] : 0 };
	__u32 states = 0;

	bpf_map_lookup_elem(bpf_map__fd(env->xdp->maps.fl_rule_sources), &key, &states);
	if (states != 1)
		fail(env, "  the source has %u states\n", states);
}

static int one_state(struct env *env)
{
	states_limit(&env->policy->states, 1);
	return 0;
}

/* ---- passing, and not ---- */

/* clang-format off */
const struct scene policy_scenes[] = {
	{ "pass-and-answer", LAN_OUT,
	  .steps = { { OUT6, LEAVES(WAN), .states = 1 }, { BACK6, LEAVES(LAN), .states = 1 }, { OUT6, LEAVES(WAN), .states = 1 }, { BACK6, LEAVES(LAN), .states = 1 } },
	  .counted = { { "go", 4 } }, .look = look_keep },
	{ "pass-and-answer-ipv4", LAN_OUT,
	  .steps = { { OUT4, LEAVES(WAN), .states = 1 }, { BACK4, LEAVES(LAN), .states = 1 }, { OUT4, LEAVES(WAN), .states = 1 }, { BACK4, LEAVES(LAN), .states = 1 } },
	  .counted = { { "go", 4 } }, .look = look_keep },
	{ "two-connections", LAN_OUT,
	  .steps = { { OUT6, LEAVES(WAN), .states = 1 }, { OUT6, .c.pkt.sport = 4001, LEAVES(WAN), .states = 2 }, { BACK6, LEAVES(LAN), .states = 2 } },
	  .counted = { { "go", 3 } } },
	{ "unasked-for", LAN_OUT,
	  .steps = { { BACK6, DROPPED(FL_DROP_RULE), .states = 0 }, { BACK4, DROPPED(FL_DROP_RULE), .states = 0 } }, .counted = { { "go", 0 } } },
	{ "answer-by-another-port", LAN_OUT,
	  .steps = { { OUT6, LEAVES(WAN), .states = 1 }, { FROM(WAN, NET_HOST, LAN_HOST), PORTS_ARE(54, 4000), DROPPED(FL_DROP_RULE), .states = 1 } } },
	{ "block", SAY("{\"name\":\"all\",\"action\":\"pass\"},{\"name\":\"no\",\"action\":\"block\",\"direction\":\"in\","
		       "\"destination\":{\"address\":\"" NET_HOST "\"}}"),
	  .steps = { { OUT6, DROPPED(FL_DROP_RULE), .states = 0 }, { OUT4, LEAVES(WAN), .states = 1 } }, .counted = { { "no", 1 }, { "all", 1 } } },
	{ "block-out", SAY("{\"name\":\"all\",\"action\":\"pass\"},{\"name\":\"no\",\"action\":\"block\",\"direction\":"
			   "\"out\",\"interface\":\"wan\",\"family\":\"inet6\"}"),
	  .steps = { { OUT6, DROPPED(FL_DROP_RULE), .states = 0 }, { OUT4, LEAVES(WAN), .states = 1 } }, .counted = { { "no", 1 }, { "all", 1 } } },
	{ "quick", SAY("{\"name\":\"first\",\"action\":\"pass\",\"quick\":true},{\"name\":\"no\",\"action\":\"block\"}"),
	  .steps = { { OUT6, LEAVES(WAN), .states = 1 } }, .counted = { { "first", 1 }, { "no", 0 } } },
	{ "tag", SAY("{\"name\":\"mark\",\"action\":\"pass\",\"direction\":\"in\",\"interface\":\"lan\",\"tag\":\"t\"},"
		     "{\"name\":\"no\",\"action\":\"block\",\"direction\":\"out\",\"tagged\":\"t\"}"),
	  .steps = { { OUT6, DROPPED(FL_DROP_RULE), .states = 0 } }, .counted = { { "no", 1 }, { "mark", 0 } } },
	{ "default-pass", "\"default_action\":\"pass\",\"rules\":[{\"name\":\"no\",\"action\":\"block\",\"protocol\":\"tcp\"}]",
	  .steps = { { OUT6, LEAVES(WAN), .states = 1 }, { BACK6, LEAVES(LAN), .states = 1 } }, .counted = { { "no", 0 } } },
	{ "default-reject", "\"default_action\":\"reject\"",
	  .steps = { { OUT6, REFUSED(1, 4), .states = 0 }, { OUT4, REFUSED(3, 3), .states = 0 } } },
	{ "reject", SAY("{\"name\":\"no\",\"action\":\"reject\",\"direction\":\"in\"}"),
	  .steps = { { OUT6, REFUSED(1, 4), .states = 0 }, { OUT6, TCP(TCP_SYN, 1, NIL), REFUSED(FL_ICMP_RESET, 0), .states = 0 },
	    { OUT6, .c.pkt.l4 = L4_SCTP, REFUSED(1, 1), .states = 0 }, { OUT4, REFUSED(3, 3), .states = 0 },
	    { OUT4, .c.pkt.l4 = L4_SCTP, REFUSED(3, 13), .states = 0 } }, .counted = { { "no", 5 } } },
	{ "reject-with", SAY("{\"name\":\"no\",\"action\":\"reject\",\"reject_with\":\"admin-prohibited\"}"),
	  .steps = { { OUT6, REFUSED(1, 1), .states = 0 }, { OUT4, TCP(TCP_SYN, 1, NIL), REFUSED(3, 13), .states = 0 } }, .counted = { { "no", 2 } } },
	{ "state-none", SAY("{\"name\":\"go\",\"action\":\"pass\",\"state\":\"none\",\"interface\":\"lan\"},"
			    "{\"name\":\"on\",\"action\":\"pass\",\"state\":\"none\",\"interface\":\"wan\",\"direction\":\"out\"}"),
	  .steps = { { OUT6, LEAVES(WAN), .states = 0 }, { OUT6, LEAVES(WAN), .states = 0 }, { BACK6, DROPPED(FL_DROP_RULE), .states = 0 } },
	  .counted = { { "go", 2 }, { "on", 2 } } },
	{ "state-none-on-one-side", SAY("{\"name\":\"go\",\"action\":\"pass\",\"state\":\"none\",\"direction\":\"in\"}"),
	  .steps = { { OUT6, LEAVES(WAN), .states = 0 } }, .counted = { { "go", 1 } } },

	{ "state-none-of-one-rule", SAY("{\"name\":\"all\",\"action\":\"pass\",\"state\":\"none\"}"),
	  .steps = { { OUT6, LEAVES(WAN), .states = 0 } }, .counted = { { "all", 1 } } },

/* ---- TCP ---- */
	{ "tcp", LAN_OUT,
	  .steps = { { OUT6, TCP(TCP_SYN, 1000, NIL), LEAVES(WAN), .states = 1 },
	    { FROM(WAN, NET_HOST, LAN_HOST), PORTS_ARE(443, 4000), TCP(TCP_SYN | TCP_ACK, 5000, 1001), LEAVES(LAN), .states = 1 },
	    { OUT6, TCP(TCP_ACK, 1001, 5001), LEAVES(WAN), .states = 1 },
	    { FROM(WAN, NET_HOST, LAN_HOST), PORTS_ARE(443, 4000), TCP_DATA(TCP_ACK, 0x70000000, 1001), DROPPED(FL_DROP_STATE_WINDOW), .states = 1 },
	    { OUT6, TCP(TCP_ACK | TCP_FIN, 1001, 5001), LEAVES(WAN), .states = 1 } }, .counted = { { "go", 4 } } },
	{ "tcp-in-the-midst", LAN_OUT, .steps = { { OUT6, TCP(TCP_ACK, 1000, 2000), DROPPED(FL_DROP_RULE), .states = 0 } } },
	{ "tcp-loose", SAY("{\"name\":\"go\",\"action\":\"pass\",\"direction\":\"in\",\"interface\":\"lan\",\"state\":\"loose\"}"),
	  .steps = { { OUT6, TCP(TCP_ACK, 1000, 2000), LEAVES(WAN), .states = 1 },
	    { FROM(WAN, NET_HOST, LAN_HOST), PORTS_ARE(443, 4000), TCP(TCP_ACK, 0x70000000, 1), LEAVES(LAN), .states = 1 } }, .counted = { { "go", 2 } },
	  .look = look_loose },
	{ "tcp-reset-makes-none", "\"default_action\":\"pass\",\"rules\":[{\"name\":\"no\",\"action\":\"block\",\"protocol\":\"udp\"}]",
	  .steps = { { OUT6, TCP(TCP_RST, 1, NIL), LEAVES(WAN), .states = 0 } } },

/* ---- logging: what a rule with `log` has decided of a connection's first packet ---- */
	{ "log", SAY("{\"name\":\"in\",\"action\":\"pass\",\"direction\":\"in\",\"interface\":\"lan\",\"log\":true},"
		     "{\"name\":\"out\",\"action\":\"pass\",\"direction\":\"out\",\"log\":true}"),
	  .steps = { { OUT6, LEAVES(WAN), .states = 1 }, { BACK6, LEAVES(LAN), .states = 1 }, { OUT6, LEAVES(WAN), .states = 1 } },
	  .logged = { { "in", LAN, false, FL_EVENT_PASS }, { "out", WAN, true, FL_EVENT_PASS } } },
	{ "log-out-blocked", SAY("{\"name\":\"in\",\"action\":\"pass\",\"direction\":\"in\",\"interface\":\"lan\",\"log\":true},"
				 "{\"name\":\"no\",\"action\":\"block\",\"direction\":\"out\",\"interface\":\"wan\",\"log\":true}"),
	  .steps = { { OUT6, DROPPED(FL_DROP_RULE), .states = 0 } },
	  .logged = { { "in", LAN, false, FL_EVENT_PASS }, { "no", WAN, true, FL_EVENT_BLOCK, FL_DROP_RULE } } },
	{ "log-rejected", SAY("{\"name\":\"no\",\"action\":\"reject\",\"direction\":\"in\",\"interface\":\"lan\",\"log\":true}"),
	  .steps = { { OUT6, REFUSED(1, 4), .states = 0 }, { FROM(WAN, NET_HOST, LAN_HOST), DROPPED(FL_DROP_RULE), .states = 0 } },
	  .logged = { { "no", LAN, false, FL_EVENT_REJECT, FL_DROP_REJECTED } } },
	{ "log-dropped", SAY("{\"name\":\"go\",\"action\":\"pass\",\"direction\":\"in\",\"interface\":\"lan\",\"log\":true,\"max_states\":1}"),
	  .steps = { { OUT6, LEAVES(WAN), .states = 1 }, { OUT6, .c.pkt.sport = 4001, DROPPED(FL_DROP_STATE_LIMIT), .states = 1 } },
	  .logged = { { "go", LAN, false, FL_EVENT_PASS }, { "go", LAN, false, FL_EVENT_DROP, FL_DROP_STATE_LIMIT } } },
	{ "log-stateless", SAY("{\"name\":\"go\",\"action\":\"pass\",\"state\":\"none\",\"interface\":\"lan\",\"log\":true}"),
	  .steps = { { OUT6, LEAVES(WAN), .states = 0 }, { OUT6, LEAVES(WAN), .states = 0 } },
	  .logged = { { "go", LAN, false, FL_EVENT_PASS }, { "go", LAN, false, FL_EVENT_PASS } } },
	{ "log-of-another", SAY("{\"name\":\"one\",\"action\":\"pass\",\"direction\":\"in\",\"interface\":\"lan\",\"log\":true,"
				"\"protocol\":\"udp\"},{\"name\":\"two\",\"action\":\"pass\",\"direction\":\"in\",\"interface\":\"lan\","
				"\"protocol\":\"udp\",\"source\":{\"port\":4001}}"),
	  .steps = { { OUT6, LEAVES(WAN), .states = 1 }, { OUT6, .c.pkt.sport = 4001, LEAVES(WAN), .states = 2 } },
	  .logged = { { "one", LAN, false, FL_EVENT_PASS } } },

/* ---- ICMP ---- */
	{ "echo", LAN_OUT,
	  .steps = { { OUT6, .c.pkt.l4 = L4_ECHO, LEAVES(WAN), .states = 1 },
	    { FROM(WAN, NET_HOST, LAN_HOST), .c.pkt.l4 = L4_ECHO, .c.pkt.type = 129, LEAVES(LAN), .states = 1 },
	    { FROM(WAN, NET_HOST, LAN_HOST), .c.pkt.l4 = L4_ECHO, DROPPED(FL_DROP_RULE), .states = 1 },
	    { OUT4, .c.pkt.l4 = L4_ECHO, LEAVES(WAN), .states = 2 },
	    { FROM(WAN, NET_HOST4, LAN_HOST4), .c.pkt.l4 = L4_ECHO, .c.pkt.type = NIL, LEAVES(LAN), .states = 2 } } },
	{ "echo-reply-alone", LAN_OUT,
	  .steps = { { OUT6, .c.pkt.l4 = L4_ECHO, .c.pkt.type = 129, LEAVES(WAN), .states = 0 } }, .counted = { { "go", 1 } } },

	{ "error", LAN_OUT,
	  .steps = { { FROM(WAN, OUTSIDE, LAN_HOST), ERROR_ABOUT(quoted6), DROPPED(FL_DROP_RULE), .states = 0 },
	    { OUT6, LEAVES(WAN), .states = 1 }, { FROM(WAN, OUTSIDE, LAN_HOST), ERROR_ABOUT(quoted6), LEAVES(LAN), .states = 1 },
	    { OUT4, LEAVES(WAN), .states = 2 },
	    { FROM(WAN, SERVER4, LAN_HOST4), ERROR_ABOUT(quoted4), LEAVES(LAN), .states = 2 } } },
	{ "error-of-a-query", LAN_OUT,
	  .steps = { { OUT6, .c.pkt.l4 = L4_ECHO, LEAVES(WAN), .states = 1 },
	    { FROM(WAN, OUTSIDE, LAN_HOST), ERROR_ABOUT(quoted_echo), LEAVES(LAN), .states = 1 } }, .look = look_error },
	{ "error-of-none", "\"default_action\":\"pass\"," SAY("{\"name\":\"no\",\"action\":\"block\",\"protocol\":99}"),
	  .steps = { { OUT6, LEAVES(WAN), .states = 1 },
	    { FROM(WAN, OUTSIDE, LAN_HOST), ERROR_ABOUT(quoted6), .c.pkt.quotelen = 39, LEAVES(LAN), .states = 1 },
	    { FROM(WAN, OUTSIDE, LAN_HOST), ERROR_ABOUT(quoted_strange), LEAVES(LAN), .states = 1 } } },
	{ "error-translated", LAN_OUT ",\"nat\":[{\"type\":\"snat\",\"interface\":\"wan\",\"source\":{\"address\":\"" LAN_HOST4
			      "\"},\"translate_to\":\"interface\",\"static_port\":true}]",
	  .steps = { { OUT4, LEAVES(WAN), .c.change.src = WAN4, .states = 1 },
	    { FROM(WAN, SERVER4, WAN4), ERROR_ABOUT(quoted_snat), LEAVES(LAN), .c.change = { .dst = LAN_HOST4, .quoted = &quoted4 },
	      .states = 1 },
	    { FROM(WAN, NET_HOST4, WAN4), PORTS_ARE(53, 4000), LEAVES(LAN), .c.change.dst = LAN_HOST4, .states = 1 },
	    { FROM(LAN, LAN_HOST4, NET_HOST4), ERROR_ABOUT(quoted_back_inside), LEAVES(WAN),
	      .c.change = { .src = WAN4, .quoted = &quoted_back }, .states = 1 } } },

/* ---- what is for the router, and its own ---- */
	{ "local", LAN_OUT,
	  .steps = { { FROM(LAN, LAN_HOST, ROUTER), .c.want = DELIVER, .states = 1 },
	    { FROM(LAN, ROUTER, LAN_HOST), PORTS_ARE(53, 4000), .c.own = true, .c.want = PASS, .states = 1 },
	    { FROM(LAN, LAN_HOST, ROUTER), .c.want = DELIVER, .states = 1 },
	    { FROM(WAN, NET_HOST, ROUTER), DROPPED(FL_DROP_RULE), .states = 1 } }, .counted = { { "go", 3 } } },
	{ "local-ipv4", LAN_OUT,
	  .steps = { { FROM(LAN, LAN_HOST4, ROUTER4), .c.want = DELIVER, .states = 1 },
	    { FROM(LAN, ROUTER4, LAN_HOST4), PORTS_ARE(53, 4000), .c.own = true, .c.want = PASS, .states = 1 },
	    { FROM(WAN, NET_HOST4, ROUTER4), DROPPED(FL_DROP_RULE), .states = 1 } }, .counted = { { "go", 2 } } },
	{ "own", SAY("{\"name\":\"no\",\"action\":\"block\",\"direction\":\"out\",\"protocol\":\"tcp\"}"),
	  .steps = { { FROM(WAN, ROUTER, NET_HOST), .c.own = true, .c.want = PASS, .states = 1 },
	    { FROM(WAN, NET_HOST, ROUTER), PORTS_ARE(53, 4000), .c.want = DELIVER, .states = 1 },
	    { FROM(WAN, ROUTER, NET_HOST), TCP(TCP_SYN, 1, NIL), .c.own = true, DROPPED(FL_DROP_RULE), .states = 1 } },
	  .counted = { { "no", 1 } } },
	{ "unasked", "\"default_action\":\"block\"",
	  .steps = { { FROM(LAN, LAN_HOST, ROUTER), .c.pkt.l4 = L4_ECHO, .c.pkt.type = 135, .c.pkt.hops = 255, .c.want = DELIVER, .states = 0 },
	    { FROM(LAN, LAN_HOST, ROUTER), .c.pkt.l4 = L4_ECHO, .c.pkt.type = 136, .c.pkt.hops = 255, .c.want = DELIVER, .states = 0 },
	    { FROM(WAN, "fe80::fe", "ff02::1"), .c.pkt.l4 = L4_ECHO, .c.pkt.type = 134, .c.pkt.hops = 255, .c.want = DELIVER, .states = 0 },
	    { FROM(LAN, LAN_HOST, ROUTER), .c.pkt.l4 = L4_ECHO, .c.pkt.type = 135, .c.pkt.hops = 64, DROPPED(FL_DROP_RULE), .states = 0 },
	    { FROM(WAN, "198.51.100.254", WAN4), PORTS_ARE(67, 68), .c.want = DELIVER, .states = 0 },
	    { FROM(LAN, LAN_HOST, ROUTER), .c.pkt.l4 = L4_ECHO, DROPPED(FL_DROP_RULE), .states = 0 },
	    { FROM(WAN, WAN4, "198.51.100.254"), PORTS_ARE(68, 67), .c.own = true, .c.want = PASS, .states = 0 },
	    { FROM(WAN, WAN4, "198.51.100.254"), .c.own = true, DROPPED(FL_DROP_RULE), .states = 0 } } },

	{ "unasked-groups", "\"default_action\":\"block\"",
	  .steps = { { FROM(WAN, "fe80::fe", ROUTER), .c.pkt.l4 = L4_ECHO, .c.pkt.type = 137, .c.pkt.hops = 255, .c.want = DELIVER, .states = 0 },
	    { FROM(LAN, "fe80::10", "ff02::1"), .c.pkt.l4 = L4_ECHO, .c.pkt.type = 130, .c.pkt.hops = 1, .c.want = DELIVER, .states = 0 },
	    { FROM(LAN, "fe80::10", "ff02::2"), .c.pkt.l4 = L4_ECHO, .c.pkt.type = 132, .c.pkt.hops = 1, .c.want = DELIVER, .states = 0 },
	    { FROM(LAN, "fe80::10", "ff02::16"), .c.pkt.ext = "h", .c.pkt.l4 = L4_ECHO, .c.pkt.type = 143, .c.pkt.hops = 1, .c.want = DELIVER,
	      .states = 0 },
	    { FROM(LAN, "fe80::10", "ff02::1"), .c.pkt.l4 = L4_ECHO, .c.pkt.type = 138, .c.pkt.hops = 255, DROPPED(FL_DROP_RULE), .states = 0 },
	    { FROM(LAN, "fe80::10", "ff02::1"), .c.pkt.l4 = L4_ECHO, .c.pkt.type = 129, .c.pkt.hops = 1, DROPPED(FL_DROP_RULE), .states = 0 } } },
	{ "unasked-dhcpv6", "\"default_action\":\"block\"",
	  .steps = { { FROM(WAN, "fe80::fe", "2001:db8:20::1"), PORTS_ARE(547, 546), .c.want = DELIVER, .states = 0 },
	    { FROM(WAN, "fe80::fe", "2001:db8:20::1"), PORTS_ARE(546, 547), DROPPED(FL_DROP_RULE), .states = 0 },
	    { FROM(WAN, "fe80::fe", "2001:db8:20::1"), PORTS_ARE(67, 68), DROPPED(FL_DROP_RULE), .states = 0 },
	    { FROM(WAN, "fe80::1", "ff02::1:2"), PORTS_ARE(546, 547), .c.own = true, .c.want = PASS, .states = 0 },
	    { FROM(WAN, "fe80::1", "ff02::1:2"), PORTS_ARE(547, 546), .c.own = true, DROPPED(FL_DROP_RULE), .states = 0 } } },
	{ "unasked-tunnel-errors", "\"default_action\":\"block\"",
	  .steps = { { FROM(WAN, SERVER4, LOCAL4), ERROR_ABOUT(quoted_outer), .c.want = DELIVER, .states = 0 },
	    { FROM(WAN, SERVER4, LOCAL4), ERROR_ABOUT(quoted_snat), DROPPED(FL_DROP_RULE), .states = 0 } } },
	{ "unasked-carp", "\"default_action\":\"block\"",
	  .steps = { { FROM(LAN, LAN_HOST4, "224.0.0.18"), CARP, .c.want = DELIVER, .states = 0 },
	    { FROM(LAN, LAN_HOST4, ROUTER4), CARP, .c.want = DELIVER, .states = 0 },
	    { FROM(LAN, "fe80::10", "ff02::12"), CARP, .c.want = DELIVER, .states = 0 },
	    { FROM(LAN, ROUTER4, "224.0.0.18"), CARP, .c.own = true, .c.want = PASS, .states = 0 },
	    { FROM(LAN, "fe80::1", "ff02::12"), CARP, .c.own = true, .c.want = PASS, .states = 0 },
	    { FROM(LAN, LAN_HOST4, NET_HOST4), CARP, DROPPED(FL_DROP_RULE), .states = 0 },
	    { FROM(LAN, LAN_HOST4, ROUTER4), .c.pkt.proto = 113, .c.pkt.l4 = L4_RAW, DROPPED(FL_DROP_RULE), .states = 0 },
	    { FROM(WAN, "198.51.100.254", WAN4), CARP, DROPPED(FL_DROP_RULE), .states = 0 },
	    { FROM(WAN, WAN4, "198.51.100.254"), CARP, .c.own = true, DROPPED(FL_DROP_RULE), .states = 0 } } },
	{ "unasked-sync", "\"default_action\":\"block\"",
	  .steps = { { FROM(LAN, LAN_HOST4, ROUTER4), PORTS_ARE(4000, 7241), .c.want = DELIVER, .states = 0 },
	    { FROM(LAN, LAN_HOST, ROUTER), PORTS_ARE(7241, 4000), .c.want = DELIVER, .states = 0 },
	    { FROM(LAN, LAN_HOST, ROUTER), TCP(TCP_SYN, 1, NIL), .c.pkt.dport = 7241, .c.want = DELIVER, .states = 0 },
	    { FROM(LAN, ROUTER, LAN_HOST), TCP(TCP_SYN | TCP_ACK, 1, 2), .c.pkt.sport = 7241, .c.own = true, .c.want = PASS, .states = 0 },
	    { FROM(LAN, ROUTER4, LAN_HOST4), PORTS_ARE(4000, 7241), .c.own = true, .c.want = PASS, .states = 0 } } },
	{ "unasked-sync-strangers", "\"default_action\":\"block\"",
	  .steps = { { FROM(LAN, "192.0.2.11", ROUTER4), PORTS_ARE(4000, 7241), DROPPED(FL_DROP_RULE), .states = 0 },
	    { FROM(LAN, LAN_HOST4, WAN4), PORTS_ARE(4000, 7241), DROPPED(FL_DROP_RULE), .states = 0 },
	    { FROM(LAN, LAN_HOST4, ROUTER4), PORTS_ARE(4000, 7242), DROPPED(FL_DROP_RULE), .states = 0 },
	    { FROM(LAN, ROUTER4, "192.0.2.11"), PORTS_ARE(4000, 7241), .c.own = true, DROPPED(FL_DROP_RULE), .states = 0 },
	    { FROM(LAN, LAN_HOST4, ROUTER4), .c.pkt.l4 = L4_SCTP, PORTS_ARE(4000, 7241), DROPPED(FL_DROP_RULE), .states = 0 },
	    { FROM(WAN, LAN_HOST4, ROUTER4), PORTS_ARE(4000, 7241), DROPPED(FL_DROP_RULE), .states = 0 } } },
	{ "groups-have-no-states", LAN_OUT,
	  .steps = { { FROM(LAN, LAN_HOST4, "224.0.0.251"), .c.want = DELIVER, .states = 0 },
	    { FROM(LAN, LAN_HOST, "ff02::fb"), .c.want = DELIVER, .states = 0 } }, .counted = { { "go", 2 } } },

/* ---- frames to all ---- */
	{ "to-all", LAN_OUT,
	  .steps = { { FROM(WAN, NET_HOST4, WAN4), .c.to = TO_ALL, .c.tc_only = true, DROPPED(FL_DROP_RULE), .states = 0 },
	    { FROM(LAN, LAN_HOST4, ROUTER4), .c.to = TO_ALL, .c.tc_only = true, .c.want = DELIVER, .states = 1 },
	    { FROM(LAN, LAN_HOST4, NET_HOST4), .c.to = TO_ALL, .c.tc_only = true, DROPPED(FL_DROP_MARTIAN), .states = 1 } } },

/* ---- translation ---- */
	{ "snat", LAN_OUT ",\"nat\":[{\"type\":\"snat\",\"interface\":\"wan\",\"source\":{\"address\":\"" LAN_HOST4 "\"},\"translate_to\":\"interface\","
		  "\"static_port\":true}]",
	  .steps = { { OUT4, LEAVES(WAN), .c.change.src = WAN4, .states = 1 },
	    { FROM(WAN, NET_HOST4, WAN4), PORTS_ARE(53, 4000), LEAVES(LAN), .c.change.dst = LAN_HOST4, .states = 1 },
	    { OUT4, LEAVES(WAN), .c.change.src = WAN4, .states = 1 },
	    { OUT6, LEAVES(WAN), .states = 2 },
	    { OUT4, .c.pkt.l4 = L4_ECHO, LEAVES(WAN), .c.change.src = WAN4, .states = 3 },
	    { FROM(WAN, NET_HOST4, WAN4), .c.pkt.l4 = L4_ECHO, .c.pkt.type = NIL, LEAVES(LAN), .c.change.dst = LAN_HOST4, .states = 3 },
	    { FROM(WAN, NET_HOST4, WAN4), PORTS_ARE(53, 4001), DROPPED(FL_DROP_RULE), .states = 3 } },
	  .counted = { { "go", 6 } }, .look = look_translated },
	{ "snat-by-the-other-tuple", LAN_OUT ",\"nat\":[{\"type\":\"snat\",\"interface\":\"wan\",\"source\":{\"address\":\"" LAN_HOST4
				     "\"},\"translate_to\":\"interface\",\"static_port\":true}]",
	  .steps = { { OUT4, LEAVES(WAN), .c.change.src = WAN4, .states = 1 },
	    { FROM(WAN, NET_HOST4, LAN_HOST4), PORTS_ARE(53, 4000), DROPPED(FL_DROP_STATE_WINDOW), .states = 1 },
	    { FROM(WAN, NET_HOST4, WAN4), PORTS_ARE(53, 4000), LEAVES(LAN), .c.change.dst = LAN_HOST4, .states = 1 },
	    { FROM(WAN, NET_HOST4, LAN_HOST4), PORTS_ARE(53, 4000), DROPPED(FL_DROP_STATE_WINDOW), .states = 1 } },
	  .counted = { { "go", 2 } } },
	{ "snat-port", LAN_OUT ",\"nat\":[{\"type\":\"snat\",\"interface\":\"wan\",\"protocol\":\"udp\","
		       "\"translate_to\":\"" PUBLIC4 "\",\"translate_port\":5000}]",
	  .steps = { { OUT4, LEAVES(WAN), .c.change.src = PUBLIC4, .c.change.sport = 5000, .states = 1 },
	    { FROM(WAN, NET_HOST4, PUBLIC4), PORTS_ARE(53, 5000), LEAVES(LAN), .c.change.dst = LAN_HOST4, .c.change.dport = 4000, .states = 1 },
	    { OUT4, .c.pkt.sport = 4001, DROPPED(FL_DROP_NAT_PORTS), .states = 1 },
	    { OUT4, .c.pkt.dport = 54, LEAVES(WAN), .c.change.src = PUBLIC4, .c.change.sport = 5000, .states = 2 } } },
	{ "snat-ipv6", LAN_OUT ",\"nat\":[{\"type\":\"snat\",\"interface\":\"wan\",\"source\":{\"address\":\"" LAN_HOST "\"},\"translate_to\":"
		       "\"interface\",\"static_port\":true}]",
	  .steps = { { OUT6, LEAVES(WAN), .c.change.src = "2001:db8:20::1", .states = 1 },
	    { FROM(WAN, NET_HOST, "2001:db8:20::1"), PORTS_ARE(53, 4000), LEAVES(LAN), .c.change.dst = LAN_HOST, .states = 1 } } },
	{ "dnat", SAY("{\"name\":\"web\",\"action\":\"pass\",\"direction\":\"in\",\"interface\":\"wan\",\"protocol\":\"tcp\","
		      "\"destination\":{\"address\":\"" LAN_HOST4 "\",\"port\":8443}}")
		  ",\"nat\":[{\"type\":\"dnat\",\"interface\":\"wan\",\"protocol\":\"tcp\",\"destination\":{\"address\":"
		  "\"wan:address\",\"port\":443},\"translate_to\":\"" LAN_HOST4 "\",\"translate_port\":8443}]",
	  .steps = { { FROM(WAN, NET_HOST4, WAN4), TCP(TCP_SYN, 1000, NIL), LEAVES(LAN), .c.change.dst = LAN_HOST4, .c.change.dport = 8443, .states = 1 },
	    { FROM(LAN, LAN_HOST4, NET_HOST4), PORTS_ARE(8443, 4000), TCP(TCP_SYN | TCP_ACK, 1, 1001), LEAVES(WAN),
	      .c.change.src = WAN4, .c.change.sport = 443, .states = 1 },
	    { FROM(WAN, NET_HOST4, WAN4), TCP(TCP_ACK, 1001, 2), LEAVES(LAN), .c.change.dst = LAN_HOST4, .c.change.dport = 8443, .states = 1 },
	    { FROM(WAN, NET_HOST4, WAN4), .c.pkt.dport = 444, TCP(TCP_SYN, 1000, NIL), DROPPED(FL_DROP_RULE), .states = 1 } },
	  .counted = { { "web", 3 } }, .look = look_translated },
	{ "one-to-one", "\"default_action\":\"pass\",\"nat\":[{\"type\":\"one-to-one\",\"interface\":\"wan\",\"source\":{\"address\":\"" LAN_HOST4
			"\"},\"translate_to\":\"" PUBLIC4 "\"}]",
	  .steps = { { OUT4, LEAVES(WAN), .c.change.src = PUBLIC4, .states = 1 },
	    { FROM(WAN, NET_HOST4, PUBLIC4), PORTS_ARE(53, 4000), LEAVES(LAN), .c.change.dst = LAN_HOST4, .states = 1 },
	    { FROM(WAN, NET_HOST4, PUBLIC4), PORTS_ARE(99, 98), LEAVES(LAN), .c.change.dst = LAN_HOST4, .states = 2 },
	    { FROM(LAN, LAN_HOST4, NET_HOST4), PORTS_ARE(98, 99), LEAVES(WAN), .c.change.src = PUBLIC4, .states = 2 } } },
	{ "snat-exempt", LAN_OUT ",\"nat\":[{\"type\":\"snat\",\"interface\":\"wan\",\"destination\":{\"address\":\"" NET_HOST4
			 "\"},\"exempt\":true},{\"type\":\"snat\",\"interface\":\"wan\",\"source\":{\"address\":\"" LAN_HOST4 "\"},\"translate_to\":"
			 "\"interface\",\"static_port\":true}]",
	  .steps = { { OUT4, LEAVES(WAN), .states = 1 }, { FROM(LAN, LAN_HOST4, "198.18.0.2"), LEAVES(WAN), .c.change.src = WAN4, .states = 2 } } },

	{ "dnat-exempt", "\"default_action\":\"pass\",\"nat\":[{\"type\":\"dnat\",\"interface\":\"wan\",\"source\":{\"address\":\"" NET_HOST4
			 "\"},\"exempt\":true},{\"type\":\"dnat\",\"interface\":\"wan\",\"destination\":{\"address\":\"wan:address\"},"
			 "\"translate_to\":\"" LAN_HOST4 "\"}]",
	  .steps = { { FROM(WAN, NET_HOST4, WAN4), .c.want = DELIVER, .states = 1 },
	    { FROM(WAN, "198.18.0.2", WAN4), LEAVES(LAN), .c.change.dst = LAN_HOST4, .states = 2 } } },
	{ "snat-keeps-a-state", SAY("{\"name\":\"go\",\"action\":\"pass\",\"direction\":\"in\",\"interface\":\"lan\",\"state\":\"none\"}")
				",\"nat\":[{\"type\":\"snat\",\"interface\":\"wan\",\"source\":{\"address\":\"" LAN_HOST4
				"\"},\"translate_to\":\"interface\",\"static_port\":true}]",
	  .steps = { { OUT4, LEAVES(WAN), .c.change.src = WAN4, .states = 1 },
	    { FROM(WAN, NET_HOST4, WAN4), PORTS_ARE(53, 4000), LEAVES(LAN), .c.change.dst = LAN_HOST4, .states = 1 },
	    { OUT4, .c.pkt.l4 = L4_ECHO, .c.pkt.type = NIL, DROPPED(FL_DROP_NAT_STATELESS), .states = 1 },
	    { OUT6, LEAVES(WAN), .states = 1 } }, .counted = { { "go", 3 } }, .look = look_translated },

/* ---- gateways ---- */
	{ "route-to", SAY("{\"name\":\"go\",\"action\":\"pass\",\"direction\":\"in\",\"family\":\"inet6\",\"interface\":\"lan\","
			  "\"route_to\":\"wan6\"}"),
	  .steps = { { FROM(LAN, LAN_HOST, HE_HOST), LEAVES(WAN), .states = 1 }, { FROM(LAN, LAN_HOST, HE_HOST), LEAVES(WAN), .states = 1 } },
	  .counted = { { "go", 2 } }, .look = look_steered },
	{ "route-to-a-tunnel", SAY("{\"name\":\"go\",\"action\":\"pass\",\"direction\":\"in\",\"family\":\"inet6\","
				   "\"interface\":\"lan\",\"route_to\":\"he\"}"),
	  .steps = { { OUT6, LEAVES(WAN), .c.ep_out = EP_HE0, .c.change = { .osrc = LOCAL4, .odst = HE0_REMOTE, .ottl = 255 }, .states = 1 },
	    { OUT6, LEAVES(WAN), .c.ep_out = EP_HE0, .c.change = { .osrc = LOCAL4, .odst = HE0_REMOTE, .ottl = 255 }, .states = 1 } },
	  .counted = { { "go", 2 } }, .look = look_steered },
	{ "route-to-down", SAY("{\"name\":\"go\",\"action\":\"pass\",\"direction\":\"in\",\"family\":\"inet\",\"interface\":"
			       "\"lan\",\"route_to\":\"down\"}"),
	  .steps = { { OUT4, DROPPED(FL_DROP_GATEWAY_DOWN), .states = 0 } }, .counted = { { "go", 1 } } },
	{ "route-to-a-group", SAY("{\"name\":\"go\",\"action\":\"pass\",\"direction\":\"in\",\"family\":\"inet6\","
				  "\"interface\":\"lan\",\"route_to\":\"six\"}"),
	  .steps = { { OUT6, LEAVES(WAN), .c.ep_out = EP_HE0, .c.change = { .osrc = LOCAL4, .odst = HE0_REMOTE, .ottl = 255 }, .states = 1 },
	    { OUT6, LEAVES(WAN), .c.ep_out = EP_HE0, .c.change = { .osrc = LOCAL4, .odst = HE0_REMOTE, .ottl = 255 }, .states = 1 } },
	  .counted = { { "go", 2 } }, .look = look_steered },
	{ "route-to-a-lost-group", SAY("{\"name\":\"go\",\"action\":\"pass\",\"direction\":\"in\",\"family\":\"inet\",\"interface\":"
				       "\"lan\",\"route_to\":\"lost\"}"),
	  .steps = { { OUT4, DROPPED(FL_DROP_GATEWAY_DOWN), .states = 0 } }, .counted = { { "go", 1 } } },
	{ "route-to-a-mixed-group", SAY("{\"name\":\"go\",\"action\":\"pass\",\"direction\":\"in\",\"interface\":\"lan\","
					"\"route_to\":\"mixed\"}"),
	  .steps = { { OUT6, LEAVES(WAN), .c.ep_out = EP_HE0, .c.change = { .osrc = LOCAL4, .odst = HE0_REMOTE, .ottl = 255 }, .states = 1 },
	    { OUT4, LEAVES(WAN), .states = 2 },
	    { OUT6, LEAVES(WAN), .c.ep_out = EP_HE0, .c.change = { .osrc = LOCAL4, .odst = HE0_REMOTE, .ottl = 255 }, .states = 2 },
	    { OUT4, LEAVES(WAN), .states = 2 } }, .counted = { { "go", 4 } }, .look = look_mixed },
	{ "route-to-half-a-group", SAY("{\"name\":\"go\",\"action\":\"pass\",\"direction\":\"in\",\"interface\":\"lan\","
				       "\"route_to\":\"half\"}"),
	  .steps = { { OUT6, DROPPED(FL_DROP_GATEWAY_DOWN), .states = 0 }, { OUT4, LEAVES(WAN), .states = 1 } },
	  .counted = { { "go", 2 } }, .look = look_steered },
	{ "route-to-half-a-group-skips", SAY("{\"name\":\"else\",\"action\":\"pass\",\"direction\":\"in\",\"interface\":\"lan\"},"
					     "{\"name\":\"go\",\"action\":\"pass\",\"direction\":\"in\",\"interface\":\"lan\","
					     "\"route_to\":\"half\",\"when_down\":\"skip\"}"),
	  .steps = { { OUT6, LEAVES(WAN), .states = 1 }, { OUT4, LEAVES(WAN), .states = 2 }, { OUT6, LEAVES(WAN), .states = 2 } },
	  .counted = { { "else", 2 }, { "go", 1 } }, .look = look_half },
	{ "routed-by-members", LAN_OUT,
	  .steps = { { OUT6, LEAVES(WAN), .states = 1 }, { OUT4, LEAVES(WAN), .states = 2 },
	    { FROM(LAN, OTHER_HOST, LL_NET_HOST), LEAVES(WAN), .states = 3 },
	    { FROM(LAN, THIRD_HOST, HE_HOST), LEAVES(WAN), .c.ep_out = EP_HE0, .c.change = { .osrc = LOCAL4, .odst = HE0_REMOTE, .ottl = 255 },
	      .states = 4 },
	    { OUT6, LEAVES(WAN), .states = 4 }, { OUT4, LEAVES(WAN), .states = 4 }, { FROM(LAN, OTHER_HOST, LL_NET_HOST), LEAVES(WAN), .states = 4 },
	    { OUT6, .c.pkt.sport = 4001, LEAVES(WAN), .states = 5 }, { OUT4, .c.pkt.sport = 4001, LEAVES(WAN), .states = 6 } },
	  .counted = { { "go", 9 } }, .before = members, .look = look_routed },
	{ "routed-beside-groups", LAN_OUT,
	  .steps = { { OUT6, LEAVES(WAN), .states = 1 }, { OUT4, LEAVES(WAN), .states = 2 } },
	  .counted = { { "go", 2 } }, .before = members_and_routes, .look = look_routed_else },
	{ "reply-to-a-group", SAY("{\"name\":\"go\",\"action\":\"pass\",\"direction\":\"in\",\"family\":\"inet6\",\"interface\":\"wan\","
				  "\"reply_to\":\"six\"}"),
	  .steps = { { FROM(WAN, NET_HOST, LAN_HOST), LEAVES(LAN), .states = 1 },
	    { FROM(LAN, LAN_HOST, NET_HOST), PORTS_ARE(53, 4000), LEAVES(WAN), .c.ep_out = EP_HE0,
	      .c.change = { .osrc = LOCAL4, .odst = HE0_REMOTE, .ottl = 255 }, .states = 1 } }, .counted = { { "go", 2 } } },
	/* what came in by a gateway is answered by it, also when nothing new is sent there */
	{ "reply-to-down", SAY("{\"name\":\"go\",\"action\":\"pass\",\"direction\":\"in\",\"family\":\"inet\",\"interface\":\"wan\","
			       "\"reply_to\":\"down\"}"),
	  .steps = { { FROM(WAN, NET_HOST4, LAN_HOST4), LEAVES(LAN), .states = 1 },
	    { FROM(LAN, LAN_HOST4, NET_HOST4), PORTS_ARE(53, 4000), LEAVES(WAN), .states = 1 } }, .counted = { { "go", 2 } } },
	{ "route-to-down-rejects", SAY("{\"name\":\"go\",\"action\":\"pass\",\"direction\":\"in\",\"family\":\"inet\",\"interface\":"
				       "\"lan\",\"route_to\":\"down\",\"when_down\":\"reject\"}"),
	  .steps = { { OUT4, .c.want = ERROR, .c.reason = FL_DROP_GATEWAY_DOWN, .c.icmp_type = 3, .c.icmp_code = 3, .states = 0 } }, .counted = { { "go", 1 } } },
	{ "reply-to", SAY("{\"name\":\"go\",\"action\":\"pass\",\"direction\":\"in\",\"family\":\"inet6\",\"interface\":\"wan\","
			  "\"reply_to\":\"he\"}"),
	  .steps = { { FROM(WAN, NET_HOST, LAN_HOST), LEAVES(LAN), .states = 1 },
	    { FROM(LAN, LAN_HOST, NET_HOST), PORTS_ARE(53, 4000), LEAVES(WAN), .c.ep_out = EP_HE0,
	      .c.change = { .osrc = LOCAL4, .odst = HE0_REMOTE, .ottl = 255 }, .states = 1 } }, .counted = { { "go", 2 } } },
	{ "reply-to-of-the-other-family", SAY("{\"name\":\"go\",\"action\":\"pass\",\"direction\":\"in\",\"interface\":\"wan\","
					      "\"reply_to\":\"he\"}"),
	  .steps = { { FROM(WAN, NET_HOST4, LAN_HOST4), LEAVES(LAN), .states = 1 },
	    { FROM(LAN, LAN_HOST4, NET_HOST4), PORTS_ARE(53, 4000), LEAVES(WAN), .states = 1 } }, .counted = { { "go", 2 } } },
	{ "route-to-out", SAY("{\"name\":\"in\",\"action\":\"pass\",\"direction\":\"in\",\"interface\":\"lan\"},"
			      "{\"name\":\"out\",\"action\":\"pass\",\"direction\":\"out\",\"family\":\"inet6\",\"interface\":\"wan\","
			      "\"route_to\":\"he\"},{\"name\":\"no\",\"action\":\"block\",\"direction\":\"out\",\"interface\":\"he0\","
			      "\"protocol\":\"udp\",\"source\":{\"port\":4001}}"),
	  .steps = { { OUT6, LEAVES(WAN), .c.ep_out = EP_HE0, .c.change = { .osrc = LOCAL4, .odst = HE0_REMOTE, .ottl = 255 }, .states = 1 },
	    { OUT6, LEAVES(WAN), .c.ep_out = EP_HE0, .c.change = { .osrc = LOCAL4, .odst = HE0_REMOTE, .ottl = 255 }, .states = 1 },
	    { OUT6, .c.pkt.sport = 4001, DROPPED(FL_DROP_RULE), .states = 1 } },
	  .counted = { { "in", 2 }, { "out", 2 }, { "no", 1 } }, .look = look_steered },
	{ "known-by-another-outer", SAY("{\"name\":\"go\",\"action\":\"pass\",\"direction\":\"in\",\"interface\":\"he0\"}"),
	  .steps = { { FROM(WAN, HE_HOST, LAN_HOST), .c.pkt.osrc = HE0_REMOTE, .c.pkt.odst = LOCAL4, LEAVES(LAN), .c.ep_in = EP_HE0,
	      .c.change.osrc = NO_OUTER, .states = 1 },
	    { FROM(WAN, HE_HOST, LAN_HOST), .c.pkt.osrc = HE0_REMOTE, .c.pkt.odst = LOCAL4, LEAVES(LAN), .c.ep_in = EP_HE0,
	      .c.change.osrc = NO_OUTER, .states = 1 },
	    { FROM(WAN, HE_HOST, LAN_HOST), .c.pkt.osrc = "203.0.113.99", .c.pkt.odst = LOCAL4, DROPPED(FL_DROP_TUNNEL_STRANGER), .c.blame = HE0, .states = 1 },
	    { FROM(UNDER2, HE_HOST, LAN_HOST), .c.pkt.osrc = HE0_REMOTE, .c.pkt.odst = LOCAL4, DROPPED(FL_DROP_TUNNEL_UNDERLAY), .c.blame = HE0, .states = 1 } },
	  .counted = { { "go", 2 } } },
	{ "out-of-a-tunnel", SAY("{\"name\":\"go\",\"action\":\"pass\",\"direction\":\"in\",\"interface\":\"he0\"}"),
	  .steps = { { FROM(WAN, HE_HOST, LAN_HOST), .c.pkt.osrc = HE0_REMOTE, .c.pkt.odst = LOCAL4, LEAVES(LAN), .c.ep_in = EP_HE0,
	      .c.change.osrc = NO_OUTER, .states = 1 },
	    { FROM(LAN, LAN_HOST, HE_HOST), PORTS_ARE(53, 4000), LEAVES(WAN), .c.ep_out = EP_HE0,
	      .c.change = { .osrc = LOCAL4, .odst = HE0_REMOTE, .ottl = 255 }, .states = 1 } }, .counted = { { "go", 2 } } },
	{ "out-of-a-tunnel-blocked", LAN_OUT,
	  .steps = { { FROM(WAN, HE_HOST, LAN_HOST), .c.pkt.osrc = HE0_REMOTE, .c.pkt.odst = LOCAL4, DROPPED(FL_DROP_RULE),
	      .c.blame = HE0, .states = 0 } } },

/* ---- what fails makes no state ---- */
	{ "hop-limit", LAN_OUT, .steps = { { OUT6, .c.pkt.hops = 1, .c.want = ERROR, .c.reason = FL_DROP_TTL, .c.icmp_type = 3, .states = 0 } } },
	{ "too-big", LAN_OUT, .steps = { { FROM(LAN, LAN_HOST, "2001:db8:34::10"), .c.pkt.payload = 1401 - 48, .c.want = ERROR,
		.c.reason = FL_DROP_TOO_BIG, .c.icmp_type = 2, .c.icmp_value = 1400, .states = 0 } } },
	{ "to-fragment", LAN_OUT, .steps = { { FROM(LAN, LAN_HOST4, "192.0.0.34"), .c.pkt.payload = 1401 - 28, .c.want = FRAGMENT, .states = 1 } },
	  .counted = { { "go", 1 } } },

/* ---- fragments ---- */
	{ "fragments", LAN_OUT,
	  .steps = { { OUT6, .c.pkt.ext = "F", .c.xdp_down = true, DROPPED(FL_DROP_FRAGMENT), .states = 0 }, { OUT6, .c.pkt.ext = "f", LEAVES(WAN), .states = 1 },
	    { OUT6, .c.pkt.ext = "F", .c.pkt.payload = 64, LEAVES(WAN), .states = 1 } }, .counted = { { "go", 2 } } },
	{ "fragments-ipv4", LAN_OUT,
	  .steps = { { OUT4, .c.pkt.frag = 185, .c.xdp_down = true, DROPPED(FL_DROP_FRAGMENT), .states = 0 },
	    { OUT4, .c.pkt.frag = IPV4_MF, LEAVES(WAN), .states = 1 }, { OUT4, .c.pkt.frag = 185, LEAVES(WAN), .states = 1 } }, .counted = { { "go", 2 } } },

/* ---- limits ---- */
	{ "full", LAN_OUT,
	  .steps = { { OUT6, LEAVES(WAN), .states = 1 }, { BACK6, LEAVES(LAN), .states = 1 }, { OUT6, .c.pkt.sport = 4001, DROPPED(FL_DROP_STATE_FULL), .states = 1 },
	    { OUT6, LEAVES(WAN), .states = 1 } }, .counted = { { "go", 3 } }, .before = one_state },
	{ "max-states", SAY("{\"name\":\"go\",\"action\":\"pass\",\"direction\":\"in\",\"interface\":\"lan\",\"max_states\":2}"),
	  .steps = { { OUT6, LEAVES(WAN), .states = 1 }, { OUT6, .c.pkt.sport = 4001, LEAVES(WAN), .states = 2 },
	    { OUT6, .c.pkt.sport = 4002, DROPPED(FL_DROP_STATE_LIMIT), .states = 2 }, { OUT6, LEAVES(WAN), .states = 2 } } },
	{ "max-states-per-source", SAY("{\"name\":\"go\",\"action\":\"pass\",\"direction\":\"in\",\"interface\":\"lan\","
				       "\"max_states_per_source\":1}"),
	  .steps = { { OUT6, LEAVES(WAN), .states = 1 }, { OUT6, .c.pkt.sport = 4001, DROPPED(FL_DROP_STATE_LIMIT), .states = 1 },
	    { FROM(LAN, "2001:db8:10::11", NET_HOST), LEAVES(WAN), .states = 2 } } },
	{ "max-states-out", SAY("{\"name\":\"in\",\"action\":\"pass\",\"direction\":\"in\",\"interface\":\"lan\"},"
				"{\"name\":\"out\",\"action\":\"pass\",\"direction\":\"out\",\"interface\":\"wan\",\"max_states\":2,"
				"\"max_states_per_source\":1}"),
	  .steps = { { OUT6, LEAVES(WAN), .states = 1 }, { OUT6, .c.pkt.sport = 4001, DROPPED(FL_DROP_STATE_LIMIT), .states = 1 },
	    { FROM(LAN, "2001:db8:10::11", NET_HOST), LEAVES(WAN), .states = 2 },
	    { FROM(LAN, "2001:db8:10::12", NET_HOST), DROPPED(FL_DROP_STATE_LIMIT), .states = 2 },
	    { OUT6, LEAVES(WAN), .states = 2 } }, .counted = { { "in", 3 }, { "out", 3 } }, .look = look_sources },
};
/* clang-format on */

const size_t policy_scenes_n = sizeof(policy_scenes) / sizeof(*policy_scenes);

/* ---- what passes all, with states ---- */

/*
 * Cases that come to something else where packets are judged: fragments whose first has not been seen, frames to all (rules judge them),
 * TCP headers that contradict themselves, and hairpins: translated once by the state, counted once, and not at all on the source
 * where they end at the router.
 */
static bool is_judged_otherwise(const char *name)
{
	static const char *const words[] = { "fragment", "hairpin", "data-offset", "broadcast" };

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (strstr(name, words[i]))
			return true;
	return false;
}

static void as_without_suite(struct env *env, const struct suite *suite)
{
	for (size_t i = 0; i < suite->count && !*env->why; i++) {
		const struct test_case *c = &suite->cases[i];

		if (c->own || is_judged_otherwise(c->name))
			continue;
		policy_forget(env);
		check_case(env, c);
		if (*env->why)
			fail(env, "  that was %s\n", c->name);
	}
}

/* Every other case comes to the same: prefixes are translated by states as they are without. */
static void as_without(struct env *env)
{
	static const struct suite *const suites[] = { forward_suites, tunnel_suites, npt_suites, mss_suites };

	if (policy_on(env,
		      "\"default_action\":\"pass\"," SAY("{\"name\":\"no\",\"action\":\"block\",\"protocol\":99}")))
		fail(env, "  the policy does not compile\n");
	for (size_t i = 0; i < sizeof(suites) / sizeof(*suites); i++)
		for (const struct suite *s = suites[i]; s->cases; s++)
			as_without_suite(env, s);
	policy_off(env);
}

const struct procedure policy_procedures[] = {
	{ "policy/as-without", as_without },
	{ 0 },
};
