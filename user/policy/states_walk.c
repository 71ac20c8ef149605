// SPDX-License-Identifier: GPL-2.0-only
/* The state table: looking at states. */
#include <netinet/in.h>
#include <string.h>

#include "user/policy/states_private.h"

void states_filter_set(uint64_t *bits, uint32_t number)
{
	bits[number / 64] |= 1ULL << number % 64;
}

static bool is_set(const uint64_t *bits, uint32_t number)
{
	return bits[number / 64] >> number % 64 & 1;
}

unsigned int states_starter(const struct fl_state *st)
{
	return st->flags & FL_STATE_STARTER ? 1 : 0;
}

/* free: how many of the last bits may be others. No IPv6 prefix has IPv4 addresses in it, however short it is. */
static bool addr_is(const union fl_addr *a, const union fl_addr *b, unsigned int free)
{
	unsigned int bits = 128 - free, bytes = bits / 8;

	if (!free)
		return a->q[0] == b->q[0] && a->q[1] == b->q[1];
	if (bits < 96 && IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)a->b))
		return false;
	return !memcmp(a->b, b->b, bytes) && (bits % 8 == 0 || (a->b[bytes] ^ b->b[bytes]) >> (8 - bits % 8) == 0);
}

static bool end_is_host(const struct states_filter *f, const struct states_entry *e, int end, int host)
{
	return addr_is(&e->state.addr[end], &f->hosts[host], f->host_free[host]) ||
	       addr_is(&e->addr[end], &f->hosts[host], f->host_free[host]);
}

static bool hosts_fit(const struct states_filter *f, const struct states_entry *e)
{
	for (int end = 0; end < 2; end++)
		if (end_is_host(f, e, end, 0) && (f->n_hosts < 2 || end_is_host(f, e, !end, 1)))
			return true;
	return false;
}

static bool port_fits(const struct states_filter *f, const struct states_entry *e)
{
	return e->state.port[0] == f->port || e->state.port[1] == f->port || e->port[0] == f->port ||
	       e->port[1] == f->port;
}

static bool has_rule(const struct states_filter *f, uint16_t id)
{
	return id && id < FL_RULE_IDS_MAX && is_set(f->rules, id);
}

static bool has_from(const struct states_filter *f, uint16_t from)
{
	return from && is_set(f->from, from);
}

static bool rules_fit(const struct states_filter *f, const struct fl_state *st)
{
	return has_rule(f, st->rule[0]) || has_rule(f, st->rule[1]) || has_rule(f, st->nat) ||
	       (is_set(f->rules, 0) && !st->rule[0] && !st->rule[1]);
}

/* What needs no look at the twin. */
static bool state_fits(const struct states_filter *f, const struct fl_state *st)
{
	return (!f->proto || st->proto == f->proto) &&
	       (!f->gateway || st->gateway == f->gateway || st->reply_gateway == f->gateway) &&
	       (!f->by_rule || rules_fit(f, st)) &&
	       (!f->by_from || has_from(f, st->end[0].from) || has_from(f, st->end[1].from));
}

/* The tuple of the other side. False: the twin is another's by now. */
static bool translation(const struct states *t, struct states_entry *e)
{
	const struct fl_state *twin;
	bool turned;

	memcpy(e->addr, e->state.addr, sizeof(e->addr));
	memcpy(e->port, e->state.port, sizeof(e->port));
	e->translated = e->state.flags & FL_STATE_TRANSLATED;
	if (!e->translated)
		return true;
	if (e->state.twin >= states_slots(t))
		return false;
	twin = &t->entries[e->state.twin];
	turned = twin->flags & FL_STATE_TURNED;
	for (int end = 0; end < 2; end++) {
		e->addr[end] = twin->addr[end ^ turned];
		e->port[end] = twin->port[end ^ turned];
	}
	return twin->twin == e->slot && FL_TAG_KIND(states_tag(t, e->state.twin)) == FL_KIND_TWIN;
}

/* A whole copy of what is in the slot, if that fits. */
static bool entry_read(const struct states *t, const struct states_filter *filter, uint32_t slot,
		       struct states_entry *e)
{
	e->slot = slot;
	e->tag = states_tag(t, slot);
	if (!states_is_state(e->tag))
		return false;
	memcpy(&e->state, &t->entries[slot], sizeof(e->state));
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	if (FL_TAG_SERIAL(states_tag(t, slot)) != FL_TAG_SERIAL(e->tag) || !state_fits(filter, &e->state))
		return false;
	if (!translation(t, e))
		return false;
	return (!filter->n_hosts || hosts_fit(filter, e)) && (!filter->port || port_fits(filter, e));
}

uint32_t states_walk_some(const struct states *t, const struct states_filter *filter, uint32_t from, uint32_t n,
			  states_each_fn *each, void *arg)
{
	uint32_t end = from < states_slots(t) && n < states_slots(t) - from ? from + n : states_slots(t);
	struct states_entry entry;

	for (uint32_t slot = from; slot < end; slot++)
		if (entry_read(t, filter, slot, &entry) && each(arg, &entry)) {
			end = slot + 1;
			break;
		}
	return end < states_slots(t) ? end : 0;
}

int states_walk(const struct states *t, const struct states_filter *filter, states_each_fn *each, void *arg)
{
	static const struct states_filter every;
	struct states_entry entry;
	int r = 0;

	for (uint32_t slot = 0; slot < states_slots(t) && !r; slot++)
		if (entry_read(t, filter ? filter : &every, slot, &entry))
			r = each(arg, &entry);
	return r;
}

static void tally_add(struct states_tally *tally, const struct fl_state *st, uint16_t id, bool lives)
{
	if (!id || id >= FL_RULE_IDS_MAX)
		return;
	tally[id].packets += fl_state_packets(st, 0) + fl_state_packets(st, 1);
	tally[id].bytes += fl_state_bytes(st, 0) + fl_state_bytes(st, 1);
	tally[id].states += lives;
}

/* In place, and not copied: a state that ends meanwhile was one when the look at it began. */
void states_tally(const struct states *t, uint32_t now, struct states_tally tally[FL_RULE_IDS_MAX])
{
	bool lives;

	for (uint32_t slot = 0; slot < states_slots(t); slot++) {
		const struct fl_state *st = &t->entries[slot];

		if (!states_is_state(states_tag(t, slot)))
			continue;
		lives = !now || !fl_state_is_expired(st, t->control, now);
		tally_add(tally, st, st->rule[0], lives);
		if (st->rule[1] != st->rule[0])
			tally_add(tally, st, st->rule[1], lives);
		if (!(st->nat & FL_STATE_NPT))
			tally_add(tally, st, st->nat, lives);
	}
}

void states_gateways(const struct states *t, uint64_t states[FL_GATEWAYS_MAX])
{
	memset(states, 0, FL_GATEWAYS_MAX * sizeof(*states));
	for (uint32_t slot = 0; slot < states_slots(t); slot++) {
		const struct fl_state *st = &t->entries[slot];

		if (!states_is_state(states_tag(t, slot)))
			continue;
		states[st->gateway % FL_GATEWAYS_MAX]++;
		if (st->reply_gateway != st->gateway)
			states[st->reply_gateway % FL_GATEWAYS_MAX]++;
	}
}

void states_rule_stats(const struct states *t, uint16_t id, struct fl_rule_stats *sum)
{
	*sum = (struct fl_rule_stats){};
	for (uint32_t cpu = 0; cpu <= t->cpus; cpu++) {
		const struct fl_rule_stats *line = &t->rule_stats[FL_RULE_STATS_INDEX(cpu, id)];

		sum->packets += line->packets;
		sum->bytes += line->bytes;
	}
}

static const char *phase_name(const struct fl_state *st, unsigned int end)
{
	static const char *const names[] = {
		[FL_PHASE_NONE] = "CLOSED",
		[FL_PHASE_SYN_SENT] = "SYN_SENT",
		[FL_PHASE_ESTABLISHED] = "ESTABLISHED",
		[FL_PHASE_CLOSING] = "CLOSING",
		[FL_PHASE_FIN_ACKED] = "FIN_WAIT_2",
		[FL_PHASE_CLOSED] = "TIME_WAIT",
		[FL_PHASE_SINGLE] = "SINGLE",
		[FL_PHASE_MULTIPLE] = "MULTIPLE",
	};
	uint8_t phase = st->phase[end];

	if (phase == FL_PHASE_NONE && st->proto != FL_PROTO_TCP)
		return "NO_TRAFFIC";
	return phase < sizeof(names) / sizeof(*names) ? names[phase] : "?";
}

/* No snprintf(): there may be millions to be told of. The longest is ESTABLISHED, twice. */
const char *states_phases(const struct fl_state *st, char buf[STATES_PHASES_LEN])
{
	unsigned int starter = states_starter(st);

	strcpy(stpcpy(stpcpy(buf, phase_name(st, starter)), ":"), phase_name(st, !starter));
	return buf;
}

uint32_t states_expires_s(const struct states *t, const struct fl_state *st, uint32_t now)
{
	int32_t left = st->seen + t->control->timeout[fl_state_timeout(st)] - now;

	return left > 0 && t->hz ? ((uint32_t)left + t->hz - 1) / t->hz : 0;
}
