// SPDX-License-Identifier: GPL-2.0-only
/* Prefix translations: from the configuration to the keys and values of fl_npt and fl_npt_prefix (RFC 6296). */

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fairlead/npt_math.h"
#include "user/datapath/private.h"

/*
 * The external prefix of `{ "from": INTERFACE, "subnet": N }`: the network of the global IPv6 address that tells it (facts.c), L
 * bits long, with N in the bits behind L up to bit 64; L is 64 at most, and with L = 64 there is only subnet 0.
 */
int delegated_subnet(const struct prefix *delegated, uint32_t subnet, struct prefix *out)
{
	struct addr network;
	uint32_t high, low;
	uint64_t half;

	if (delegated->addr.family != AF_INET6 || delegated->len == 0)
		return -EADDRNOTAVAIL;
	if (delegated->len > 64 || (delegated->len > 32 && subnet >> (64 - delegated->len)))
		return -ERANGE;
	network = prefix_network(delegated);
	memcpy(&high, &network.v6.s6_addr[0], 4);
	memcpy(&low, &network.v6.s6_addr[4], 4);
	half = ((uint64_t)ntohl(high) << 32 | ntohl(low)) | subnet;
	high = htonl(half >> 32);
	low = htonl((uint32_t)half);
	memcpy(&network.v6.s6_addr[0], &high, 4);
	memcpy(&network.v6.s6_addr[4], &low, 4);
	*out = (struct prefix){ network, 64 };
	return 0;
}

static const struct port *port_outside(const struct config_translation *translation, const struct port *ports)
{
	return translation->interface ? port_of_interface(ports, translation->interface)
				      : port_of_tunnel(ports, translation->tunnel);
}

int npt_compile(const struct config_translation *translation, const struct port *ports, struct fl_npt *npt)
{
	const struct port *outside = port_outside(translation, ports);
	struct prefix external = translation->external;
	struct addr internal = prefix_network(&translation->internal);
	int err;

	if (!outside || !outside->present)
		return -ENODEV;
	if (external.addr.family == AF_UNSPEC) {
		const struct port *from = port_of_interface(ports, translation->from);

		if (!from || !from->present)
			return -ENODEV;
		err = delegated_subnet(&from->delegated, translation->subnet, &external);
		if (err)
			return err;
	}
	external.addr = prefix_network(&external);
	*npt = (struct fl_npt){
		.internal = addr_to_map(&internal),
		.external = addr_to_map(&external.addr),
		.len = translation->internal.len > external.len ? translation->internal.len : external.len,
		.mode = translation->mode,
		.port = outside->number,
		.internal_len = translation->internal.len,
		.external_len = external.len,
	};
	if (npt->mode == FL_NPT_RFC6296)
		npt->adjust = fl_npt_adjust(&npt->internal, &npt->external);
	return 0;
}

/*
 * As long as the external prefix is not known: what should be translated has no translation, and is dropped and answered, since
 * the inside's addresses must not leave as they are.
 */
static int npt_compile_unknown(const struct config_translation *translation, const struct port *ports,
			       struct fl_npt *npt)
{
	const struct port *outside = port_outside(translation, ports);
	struct addr internal = prefix_network(&translation->internal);

	if (!outside || !outside->present)
		return -ENODEV;
	*npt = (struct fl_npt){
		.internal = addr_to_map(&internal),
		.len = translation->internal.len,
		.mode = FL_NPT_UNKNOWN,
		.port = outside->number,
		.internal_len = translation->internal.len,
	};
	return 0;
}

/* The longer prefix decides `len`; keys have the prefixes as configured, so that addresses outside the extension are found
 * and counted as untranslatable instead of passing untranslated. */
static int npt_entries(struct tables *tables, const struct table_npt *item)
{
	const struct fl_npt *npt = &item->value;
	const struct fl_npt_key keys[] = {
		{ 32 + npt->internal_len, 0, FL_NPT_OUT, npt->port, npt->internal },
		{ 32 + npt->external_len, 0, FL_NPT_IN, npt->port, npt->external },
		{ 32 + npt->external_len, 0, FL_NPT_HAIRPIN, 0, npt->external },
	};
	size_t n = npt->mode == FL_NPT_UNKNOWN ? 1 : sizeof(keys) / sizeof(keys[0]);
	int err = 0;

	for (size_t i = 0; i < n; i++)
		err = err ?: entries_add(&tables->npt_prefix, &keys[i], item->index);
	return err;
}

static const struct table_npt *npt_find(const struct tables *tables, const struct fl_npt *npt, bool whole)
{
	for (size_t i = 0; tables && i < tables->n_npts; i++) {
		const struct fl_npt *other = &tables->npts[i].value;

		if (whole ? memcmp(other, npt, sizeof(*npt)) == 0
			  : other->port == npt->port && other->internal_len == npt->internal_len &&
				    memcmp(&other->internal, &npt->internal, sizeof(npt->internal)) == 0)
			return &tables->npts[i];
	}
	return NULL;
}

static int npt_number(struct table_npt *item, const struct tables *current, struct indices *indices)
{
	const struct table_npt *old = npt_find(current, &item->value, true);

	if (old) {
		item->index = old->index;
		return 0;
	}
	old = npt_find(current, &item->value, false);
	item->previous = old ? old->index : 0;
	item->index = indices_get(indices);
	return item->index ? 0 : -ENOSPC;
}

int npts_compile(const struct config *config, const struct port *ports, const struct tables *current,
		 struct tables *tables, char **why)
{
	struct indices indices;
	int err = indices_init(&indices, FL_NPT_MAX);

	if (err)
		return err;
	tables->npts = calloc(config->n_translations ? config->n_translations : 1, sizeof(*tables->npts));
	if (!tables->npts)
		err = -ENOMEM;
	for (size_t i = 0; current && i < current->n_npts; i++)
		indices_take(&indices, current->npts[i].index);
	for (size_t i = 0; i < config->n_translations && !err; i++) {
		struct table_npt *item = &tables->npts[tables->n_npts];

		if (npt_compile(&config->translations[i], ports, &item->value) &&
		    npt_compile_unknown(&config->translations[i], ports, &item->value))
			continue; /* its outside is not there */
		item->translation = &config->translations[i];
		err = npt_number(item, current, &indices);
		if (err == -ENOSPC)
			fail(why, err, "more than %d prefix translations in two configurations", FL_NPT_MAX - 1);
		err = err ?: npt_entries(tables, item);
		tables->n_npts++;
	}
	indices_free(&indices);
	return err;
}
