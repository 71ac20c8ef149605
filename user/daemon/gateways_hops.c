// SPDX-License-Identifier: GPL-2.0-only
/* Next hops of gateways, those that others learn too: what they were, what is told when they change, and how they are shown. */
#include "user/daemon/gateways_internal.h"

#include <stdio.h>
#include <string.h>

static const char *family_text(unsigned int six)
{
	return six ? "IPv6" : "IPv4";
}

static const char *hop_text(const struct addr *address, char buf[ADDR_STRLEN])
{
	return address->family == AF_UNSPEC ? "the link" : addr_format(address, buf);
}

static void hop_happened(struct daemon *d, const char *name, unsigned int six, const struct next_hops *was,
			 const struct next_hops *is)
{
	char before[ADDR_STRLEN] = "", after[ADDR_STRLEN] = "";
	const char *from = hop_text(&was->address[six], before), *to = hop_text(&is->address[six], after);
	const char *by = is->learned_by[six];
	json_t *values = json_pack("{s:s,s:s,s:s,s:s}", "family", six ? "inet6" : "inet", "from", before, "address",
				   after, "learned_by", by);

	if (!*by)
		journal_write(d->journal, JOURNAL_WARNING, JOURNAL_GATEWAY, name, "address lost", values,
			      "%s: %s is not told any more", family_text(six), from);
	else if (!*was->learned_by[six])
		journal_write(d->journal, JOURNAL_NOTICE, JOURNAL_GATEWAY, name, "address learned", values,
			      "%s: %s (%s)", family_text(six), to, by);
	else
		journal_write(d->journal, JOURNAL_NOTICE, JOURNAL_GATEWAY, name, "address changed", values,
			      "%s: from %s to %s (%s)", family_text(six), from, to, by);
}

/* true: the gateway has another next hop. Who tells it may change alone. */
bool gateways_hops_follow(struct daemon *d, const struct datapath_gateway *fact)
{
	struct next_hops *was = &d->gateways->hops[fact->number], is;
	bool changed = false;

	memcpy(is.address, fact->address, sizeof(is.address));
	memcpy(is.learned_by, fact->learned_by, sizeof(is.learned_by));
	for (unsigned int six = 0; six < 2 && fact->config->automatic; six++) {
		bool same = addr_equal(&was->address[six], &is.address[six]);

		changed |= !same;
		if (!same || !*was->learned_by[six] != !*is.learned_by[six])
			hop_happened(d, fact->config->name, six, was, &is);
	}
	*was = is;
	return changed;
}

/* Numbers that gateways of this configuration don't have may be others' later. */
void gateways_hops_forget(struct gateways *g, const struct config *config, const struct datapath_gateway *gateways)
{
	bool used[FL_GATEWAYS_MAX] = { false };

	for (size_t i = 0; i < config->n_gateways; i++)
		used[gateways[i].number % FL_GATEWAYS_MAX] = true;
	for (size_t i = 0; i < FL_GATEWAYS_MAX; i++)
		if (!used[i])
			g->hops[i] = (struct next_hops){};
}

/* Of both families, those that it has. */
void gateways_put_address(const struct gateways *g, uint16_t number, char to[2 * ADDR_STRLEN + 2])
{
	const struct next_hops *hops = &g->hops[number % FL_GATEWAYS_MAX];
	char text[ADDR_STRLEN];
	size_t n = 0;

	*to = '\0';
	for (unsigned int six = 0; six < 2; six++)
		if (hops->address[six].family != AF_UNSPEC)
			n += snprintf(to + n, 2 * ADDR_STRLEN + 2 - n, "%s%s", n ? ", " : "",
				      addr_format(&hops->address[six], text));
}

/* What an automatic gateway has learned, and of whom. */
json_t *gateways_learned_json(const struct gateways *g, uint16_t number)
{
	const struct next_hops *hops = &g->hops[number % FL_GATEWAYS_MAX];
	json_t *array = json_array();
	char text[ADDR_STRLEN];

	for (unsigned int six = 0; six < 2; six++)
		if (*hops->learned_by[six])
			json_array_append_new(array, json_pack("{s:s,s:s,s:s}", "family", six ? "inet6" : "inet",
							       "address", addr_format(&hops->address[six], text), "by",
							       hops->learned_by[six]));
	return array;
}
