// SPDX-License-Identifier: GPL-2.0-only
/* Rules and translations in short, in the manner of pfctl -s rules. */
#include "user/policy/match_text.h"

#include <stdio.h>
#include <stdlib.h>

#include "user/config/words.h"

#define LISTED_MAX 4 /* elements of one list; of longer ones how many more there are */

const char *range_text(const struct addr_range *range, char *buf)
{
	struct prefix p = { .addr = range->first, .len = range->first.family == AF_INET ? 32 : 128 };
	char first[ADDR_STRLEN], last[ADDR_STRLEN];

	if (addr_equal(&range->first, &range->last))
		return addr_format(&range->first, buf);
	do {
		struct addr_range of = addr_range_of(&p);

		if (addr_equal(&of.first, &range->first) && addr_equal(&of.last, &range->last))
			return prefix_format(&p, buf);
	} while (p.len--);
	snprintf(buf, RANGE_TEXT, "%s-%s", addr_format(&range->first, first), addr_format(&range->last, last));
	return buf;
}

/* Between elements of a list. False: the rest is not told. */
static bool goes_on(FILE *to, size_t i, size_t n)
{
	if (i == LISTED_MAX && n > LISTED_MAX + 1) {
		fprintf(to, ",… (%zu more)", n - i);
		return false;
	}
	if (i)
		fputc(',', to);
	return true;
}

static const char *link_name(const struct config_link *link)
{
	return link->interface ? link->interface->name : link->tunnel ? link->tunnel->name : "?";
}

static void put_term(FILE *to, const struct config_term *term)
{
	char buf[RANGE_TEXT];

	if (term->negated)
		fputc('!', to);
	switch (term->kind) {
	case CONFIG_TERM_RANGE:
		fputs(term->vip ? term->vip->name : range_text(&term->range, buf), to);
		break;
	case CONFIG_TERM_SELF:
		fputs("self", to);
		break;
	case CONFIG_TERM_NETWORK:
	case CONFIG_TERM_ADDRESS:
		fprintf(to, "%s:%s", link_name(&term->link), term->kind == CONFIG_TERM_NETWORK ? "network" : "address");
		break;
	case CONFIG_TERM_ALIAS:
		fprintf(to, "$%s", term->alias->name);
		break;
	default:
		fputs("any", to);
	}
}

/* Addresses of one VIP follow each other, and its name is told once. */
static bool is_told(const struct config_endpoint *end, size_t i)
{
	return !i || !end->terms[i].vip || end->terms[i].vip != end->terms[i - 1].vip;
}

static void put_terms(FILE *to, const struct config_endpoint *end)
{
	size_t n = 0, told = 0;

	for (size_t i = 0; i < end->n_terms; i++)
		n += is_told(end, i);
	for (size_t i = 0; i < end->n_terms; i++) {
		if (!is_told(end, i))
			continue;
		if (!goes_on(to, told++, n))
			return;
		put_term(to, &end->terms[i]);
	}
}

static void put_end(FILE *to, const char *word, const struct config_endpoint *end)
{
	if (!end->n_terms && !end->n_ports)
		return;
	fprintf(to, " %s ", word);
	put_terms(to, end);
	if (!end->n_terms)
		fputs("any", to);
	if (end->n_ports)
		fputs(" port ", to);
	for (size_t i = 0; i < end->n_ports && goes_on(to, i, end->n_ports); i++) {
		fprintf(to, "%u", end->ports[i].first);
		if (end->ports[i].last != end->ports[i].first)
			fprintf(to, "-%u", end->ports[i].last);
	}
}

static void put_number(FILE *to, const struct schema_word *words, unsigned int number)
{
	for (; words->word; words++) {
		if (words->value == number) {
			fputs(words->word, to);
			return;
		}
	}
	fprintf(to, "%u", number);
}

/* Each begins with a blank. */
static void put_match(FILE *to, const struct config_match *m)
{
	if (m->families == FL_INET || m->families == FL_INET6)
		fputs(m->families == FL_INET ? " inet" : " inet6", to);
	if (m->n_protocols)
		fputs(" proto ", to);
	for (size_t i = 0; i < m->n_protocols && goes_on(to, i, m->n_protocols); i++)
		put_number(to, words_protocols, m->protocols[i]);
	put_end(to, "from", &m->source);
	put_end(to, "to", &m->destination);
}

static size_t bits_in(const uint64_t *words, size_t n)
{
	size_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += (size_t)__builtin_popcountll(words[i]);
	return sum;
}

/* Numbers whose bit is set; of ICMP types that both families have by one name each is told once. */
static void put_bits(FILE *to, const char *word, const uint64_t *bits, size_t n_words, const struct schema_word *words)
{
	size_t n = bits_in(bits, n_words), told = 0;

	if (n)
		fprintf(to, " %s ", word);
	for (unsigned int bit = 0; bit < n_words * 64; bit++) {
		if (!(bits[bit / 64] >> bit % 64 & 1))
			continue;
		if (!goes_on(to, told++, n))
			return;
		put_number(to, words, bit);
	}
}

static void put_flags(FILE *to, uint8_t flags)
{
	for (size_t i = 0; i < 8; i++)
		if (flags >> i & 1)
			fputc("FSRPAUEW"[i], to);
}

static void put_rule(FILE *to, const struct config_rule *rule)
{
	put_match(to, &rule->match);
	if (rule->by_icmp_type && rule->match.families & FL_INET)
		put_bits(to, "icmp-type", rule->icmp4.bits, 4, words_icmp4);
	if (rule->by_icmp_type && rule->match.families & FL_INET6)
		put_bits(to, "icmp6-type", rule->icmp6.bits, 4, words_icmp6);
	if (rule->tcp_flags.mask) {
		fputs(" flags ", to);
		put_flags(to, rule->tcp_flags.set);
		fputc('/', to);
		put_flags(to, rule->tcp_flags.mask);
	}
	put_bits(to, "dscp", &rule->dscp, 1, words_dscp);
	if (rule->tagged)
		fprintf(to, " tagged %s", rule->tagged);
}

/* Closes it, and takes the blank away that the text begins with. "all": it says nothing. */
static char *finish(FILE *to, char **text)
{
	if (!ftell(to))
		fputs(" all", to);
	if (fclose(to)) {
		free(*text);
		return NULL;
	}
	for (char *c = *text; *c; c++)
		c[0] = c[1];
	return *text;
}

char *rule_match_text(const struct config_rule *rule)
{
	char *text = NULL;
	size_t len;
	FILE *to = open_memstream(&text, &len);

	if (!to)
		return NULL;
	put_rule(to, rule);
	return finish(to, &text);
}

char *nat_match_text(const struct config_nat *nat)
{
	char *text = NULL;
	size_t len;
	FILE *to = open_memstream(&text, &len);

	if (!to)
		return NULL;
	put_match(to, &nat->match);
	return finish(to, &text);
}

char *nat_target_text(const struct config_nat *nat)
{
	char addr[ADDR_STRLEN], ports[32] = "", *text = NULL;

	if (nat->to_ports.first && nat->to_ports.last > nat->to_ports.first)
		snprintf(ports, sizeof(ports), " port %u-%u", nat->to_ports.first, nat->to_ports.last);
	else if (nat->to_ports.first)
		snprintf(ports, sizeof(ports), " port %u", nat->to_ports.first);
	if (asprintf(&text, "%s%s",
		     nat->exempt	 ? "as it is"
		     : nat->to_interface ? "interface"
		     : nat->to_vip	 ? nat->to_vip->name
					 : addr_format(&nat->to, addr),
		     ports) < 0)
		return NULL;
	return text;
}
