// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random rulesets, and packets through the whole programs: what passes, what does not, which rules the state names or the counters, always
 * as the reference of selftests/rules says, which knows nothing of tables, routes or states.
 */

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "selftests/prog/check.h"
#include "selftests/prog/policy.h"
#include "selftests/rules/rules.h"

#include "xdp.skel.h"

#define RULESETS 1000
#define PACKETS 32 /* a ruleset */
#define HEADER 40  /* bytes behind the IP header */

/* Where the generator's addresses lie. */
static const char *const routes[] = {
	"10.0.0.0/30 via 192.0.2.10 dev lan",	     "10.0.0.4/31 via 192.0.0.2 dev four",
	"2001:db8::/64 via 2001:db8:20::fe dev wan", "2001:db8:0:1::/64 dev he0",
	"8000::/1 via 2001:db8:10::10 dev lan",
};

struct trial {
	struct env *env;
	struct generator g;
	struct config *config;
	struct policy_facts facts;
	struct policy *policy;
	char *text;
	long judged, passed;
};

/* What is to come of a packet. */
struct fate {
	enum config_action action;
	const struct config_rule *rule[2]; /* that decided, in and out; NULL: default_action, or not asked */
	int list;			   /* whose rule had the last word */
	bool stateless;
};

/* ---- the ruleset ---- */

static const struct {
	const char *name;
	enum port port;
} names[] = { { "lan", LAN }, { "wan", WAN }, { "four", FOUR }, { "he0", HE0 } };

static void number_ports(struct policy_facts *facts)
{
	for (size_t i = 0; i < facts->n_ports; i++) {
		struct policy_port *port = &facts->ports[i];
		const char *name = port->interface ? port->interface->name : port->tunnel->name;

		port->number = 0;
		for (size_t n = 0; n < sizeof(names) / sizeof(*names); n++)
			if (!strcmp(name, names[n].name))
				port->number = names[n].port;
	}
}

static enum port gateway_port(const struct config_gateway *gateway)
{
	return gateway->tunnel ? HE0 : WAN;
}

static int put_gateways(struct trial *t)
{
	int err = 0;

	for (size_t i = 0; i < t->facts.n_vias && !err; i++) {
		const struct policy_via *fact = &t->facts.vias[i];
		enum port port = gateway_port(fact->via.gateway);
		__u32 number = fact->number, health = fact->up;
		__u32 key = FL_GATEWAY_INDEX(FL_GEN_SET(t->env->control.gen), fact->number);
		struct fl_gateway value = {
			.addr = { addr_of(port == WAN ? "198.51.100.254" : NULL) },
			.ifindex = t->env->ifindex[port],
			.port = port,
			.flags = port == WAN ? 0 : FL_GATEWAY_LINK,
			.family = port == WAN ? FL_INET : FL_INET6,
		};

		err = bpf_map_update_elem(bpf_map__fd(t->env->xdp->maps.fl_gateways), &key, &value, BPF_ANY)
			      ?: bpf_map_update_elem(bpf_map__fd(t->env->xdp->maps.fl_health), &number, &health,
						     BPF_ANY);
	}
	return err;
}

static void unload(struct trial *t)
{
	policy_destroy(t->policy);
	policy_facts_free(&t->facts);
	config_free(t->config);
	free(t->text);
	t->policy = NULL;
	memset(&t->facts, 0, sizeof(t->facts));
}

static bool load(struct trial *t)
{
	char *why = NULL;
	int err;

	t->config = generate_config(&t->g, 1 + below(&t->g, 30), 0, &t->text);
	if (!t->config) {
		fail(t->env, "  no valid configuration\n");
		return false;
	}
	generate_facts(&t->g, t->config, &t->facts);
	number_ports(&t->facts);
	err = policy_compile(t->config, &t->facts, t->env->policy->ids, &t->policy, &why);
	err = err ?: policy_put(t->env, t->policy);
	err = err ?: put_gateways(t);
	if (err)
		fail(t->env, "  %s\n", why ? why : strerror(-err));
	free(why);
	return !err;
}

/* ---- a packet ---- */

static void write_transport(__u8 *l4, const struct judged *s)
{
	memset(l4, 0, HEADER);
	if (s->proto == 6 || s->proto == 17 || s->proto == 132) {
		memcpy(l4, &s->sport, 2);
		memcpy(l4 + 2, &s->dport, 2);
	}
	if (s->proto == 6) {
		l4[12] = 5 << 4;
		l4[13] = s->tcp_flags;
	}
	put16(l4 + (s->proto == 6 ? 16 : s->proto == 17 ? 6 : 2), s->proto == 132 ? ntohs(s->dport) : 0x4711);
	if (s->proto == 17)
		put16(l4 + 4, HEADER);
	if (s->proto == 1 || s->proto == 58)
		l4[0] = s->icmp_type;
}

static void write_frame(struct frame *f, const struct judged *s, enum port in)
{
	char src[INET6_ADDRSTRLEN], dst[INET6_ADDRSTRLEN];
	bool six = s->family == FL_INET6;
	struct spec spec = { .src = src, .dst = dst, .l4 = L4_RAW, .payload = HEADER, .tos = s->dscp << 2 };
	__u8 dmac[6], smac[6];

	inet_ntop(six ? AF_INET6 : AF_INET, six ? &s->src.w[0] : &s->src.w[3], src, sizeof(src));
	inet_ntop(six ? AF_INET6 : AF_INET, six ? &s->dst.w[0] : &s->dst.w[3], dst, sizeof(dst));
	spec.proto = s->proto;
	port_mac(in, false, dmac);
	port_mac(in, true, smac);
	frame_build(f, &spec, dmac, smac);
	write_transport(f->data + ETH_LEN + (six ? 40 : 20), s);
}

/* By which port the frame has left: its source is the port's; NOWHERE: it has not. */
static enum port left_by(const struct result *out, bool six)
{
	if (out->verdict != XDP_REDIRECT)
		return NOWHERE;
	return six && get16(out->frame.data + 12) == 0x0800 ? HE0 : out->frame.data[11];
}

/* Where the routing table alone sends it. */
static enum port probe(struct env *env, enum port in, const struct frame *f, bool six)
{
	__u32 set = FL_GEN_SET(env->control.gen);
	__u8 policy = env->control.policy[set];
	struct result out;

	env->control.policy[set] = 0;
	tables_new_generation(env);
	run_xdp(env, env->ifindex[in], f, &out);
	env->control.policy[set] = policy;
	tables_new_generation(env);
	return left_by(&out, six);
}

/* ---- what shall come of it ---- */

static bool gateway_is_up(const struct trial *t, const struct config_gateway *gateway, unsigned int family)
{
	for (size_t i = 0; i < t->facts.n_vias; i++)
		if (t->facts.vias[i].via.gateway == gateway)
			return t->facts.vias[i].up & family;
	return false;
}

/* The list's word, and *tag. Returns the gateway that the rule names, where that counts. */
static const struct config_gateway *ask(const struct trial *t, struct judged *s, enum fl_list list, enum port port,
					bool steers, const char **tag, struct fate *fate)
{
	const struct config_rule *rule;
	struct verdict verdict;

	s->list = list;
	s->port = port;
	reference_judge(t->config, &t->facts, s, *tag, &verdict);
	*tag = verdict.tag;
	rule = verdict.rule;
	fate->list = list == FL_LIST_OUT;
	fate->rule[fate->list] = rule;
	fate->action = rule ? rule->action : list == FL_LIST_IN ? t->config->default_in : t->config->default_out;
	if (!rule || fate->action != CONFIG_PASS)
		return NULL;
	fate->stateless |= rule->state == CONFIG_STATE_NONE;
	if (!steers || !rule->route_to.gateway)
		return NULL;
	if (!gateway_is_up(t, rule->route_to.gateway, s->family))
		fate->action = rule->when_down == CONFIG_DOWN_REJECT ? CONFIG_REJECT : CONFIG_BLOCK;
	return rule->route_to.gateway;
}

static struct fate fate_of(const struct trial *t, const struct judged *subject, enum port in, enum port out)
{
	const struct config_gateway *gateway, *other;
	struct judged s = *subject;
	const char *tag = NULL;
	struct fate fate = {};

	gateway = ask(t, &s, FL_LIST_IN, in, true, &tag, &fate);
	if (fate.action != CONFIG_PASS)
		return fate;
	other = ask(t, &s, FL_LIST_OUT, gateway ? gateway_port(gateway) : out, true, &tag, &fate);
	if (fate.action == CONFIG_PASS && other && other != gateway)
		ask(t, &s, FL_LIST_OUT, gateway_port(other), false, &tag, &fate);
	return fate;
}

/* ---- what has come of it ---- */

static const char *name_of(const struct config_rule *rule, int list)
{
	return rule ? rule->name : list ? POLICY_DEFAULT_OUT : POLICY_DEFAULT_IN;
}

static bool is_named(const struct trial *t, const struct fl_state *st, const struct fate *fate)
{
	return !strcmp(policy_name(t->env, st->rule[0]), name_of(fate->rule[0], 0)) &&
	       !strcmp(policy_name(t->env, st->rule[1]), name_of(fate->rule[1], 1));
}

static bool is_counted(const struct trial *t, const struct config_rule *rule, int list)
{
	return policy_counted(t->env, name_of(rule, list)) == 1;
}

static const char *compare(const struct trial *t, const struct fate *fate, enum config_action is)
{
	const struct fl_state *st = policy_state(t->env, 0);

	if (is != fate->action)
		return is == CONFIG_PASS ? "it has passed" : is == CONFIG_BLOCK ? "it is blocked" : "it is rejected";
	if (is != CONFIG_PASS)
		return st						   ? "it has a state"
		       : is_counted(t, fate->rule[fate->list], fate->list) ? NULL
									   : "another rule counts it";
	if (st && fate->stateless)
		return "it has a state";
	if (st && !is_named(t, st, fate))
		return "the state has other rules";
	return is_counted(t, fate->rule[0], 0) && is_counted(t, fate->rule[1], 1) ? NULL : "other rules count it";
}

static void tell(struct trial *t, const char *hook, const char *what, const struct fate *fate, const struct frame *f)
{
	fail(t->env, "  %s: %s, not as \"%s\" and \"%s\" say\n   ", hook, what,
	     fate->rule[0] ? fate->rule[0]->name : "", fate->rule[1] ? fate->rule[1]->name : "");
	for (__u32 i = 0; i < f->len; i++)
		fail(t->env, " %02x", f->data[i]);
	fail(t->env, "\n%s\n", t->text);
}

static void shoot_xdp(struct trial *t, const struct fate *fate, enum port in, const struct frame *f)
{
	const char *wrong;
	struct result out;

	policy_forget(t->env);
	run_xdp(t->env, t->env->ifindex[in], f, &out);
	if (fate->action == CONFIG_REJECT)
		wrong = out.verdict == XDP_PASS && !policy_state(t->env, 0) ? NULL : "it is not left to tc";
	else
		wrong = compare(t, fate,
				out.verdict == XDP_REDIRECT ? CONFIG_PASS
				: out.verdict == XDP_DROP   ? CONFIG_BLOCK
							    : CONFIG_REJECT);
	if (wrong)
		tell(t, "XDP", wrong, fate, f);
}

static void shoot_tc(struct trial *t, const struct fate *fate, enum port in, const struct frame *f)
{
	const char *wrong;
	struct result out;

	policy_forget(t->env);
	run_tc(t->env, TC_IN, t->env->ifindex[in], NULL, f, &out);
	/* what is to be answered says how in the place of its MAC */
	wrong = compare(t, fate,
			out.verdict != TC_ACT_REDIRECT ? CONFIG_BLOCK
			: out.frame.data[1]	       ? CONFIG_REJECT
						       : CONFIG_PASS);
	if (wrong)
		tell(t, "tc", wrong, fate, f);
}

static void packet(struct trial *t)
{
	static const enum port ins[] = { LAN, WAN, FOUR };
	enum port in = ins[below(&t->g, 3)], out;
	struct judged s;
	struct fate fate;
	struct frame f;

	generate_subject(&t->g, &s, 0);
	/* frame_build() takes 0 for no protocol; flags that contradict themselves are no rule's business; FOUR has no IPv6 */
	if (!s.proto || (s.proto == 6 && (!s.tcp_flags || s.tcp_flags == 0xff)) || (s.family == FL_INET6 && in == FOUR))
		return;
	s.tag = 0;
	write_frame(&f, &s, in);
	out = probe(t->env, in, &f, s.family == FL_INET6);
	if (out == NOWHERE)
		return;
	fate = fate_of(t, &s, in, out);
	shoot_xdp(t, &fate, in, &f);
	if (!*t->env->why)
		shoot_tc(t, &fate, in, &f);
	t->judged++;
	t->passed += fate.action == CONFIG_PASS;
}

static int routes_change(const char *verb)
{
	int err = 0;

	for (size_t i = 0; i < sizeof(routes) / sizeof(*routes); i++)
		err = err ?: links_run("ip route %s %s", verb, routes[i]);
	return err;
}

static void random_rulesets(struct env *env)
{
	struct trial t = { .env = env, .g = { .random = 4711, .spread = 4 } };

	if (routes_change("add"))
		fail(env, "  no routes\n");
	for (int i = 0; i < RULESETS && !*env->why; i++) {
		if (load(&t))
			for (int p = 0; p < PACKETS && !*env->why; p++)
				packet(&t);
		unload(&t);
	}
	policy_off(env);
	routes_change("del");
	if (t.passed < t.judged / 10 || t.judged < (long)RULESETS * PACKETS / 4)
		fail(env, "  %ld judged, %ld passed: too few to say anything\n", t.judged, t.passed);
	printf("# random rulesets: %ld packets, %ld of them passed\n", t.judged, t.passed);
}

const struct procedure rules_procedures[] = {
	{ "rules/random", random_rulesets },
	{ 0 },
};
