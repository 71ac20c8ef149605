/* SPDX-License-Identifier: GPL-2.0-only */
#include "user/config/words.h"

#include <netdb.h>
#include <netinet/in.h>
#include <string.h>

#define WORD(name, number) \
	{ \
		.word = name, .value = (number) \
	}
#define END \
	{ \
		.word = NULL \
	}

/* The last two are what others call ipv6-icmp. */
const struct schema_word words_protocols[] = {
	WORD("icmp", 1),      WORD("igmp", 2),	  WORD("ipencap", 4),  WORD("tcp", 6),
	WORD("udp", 17),      WORD("dccp", 33),	  WORD("ipv6", 41),    WORD("rsvp", 46),
	WORD("gre", 47),      WORD("esp", 50),	  WORD("ah", 51),      WORD("ipv6-icmp", 58),
	WORD("ospf", 89),     WORD("ipip", 94),	  WORD("etherip", 97), WORD("pim", 103),
	WORD("ipcomp", 108),  WORD("vrrp", 112),  WORD("l2tp", 115),   WORD("sctp", 132),
	WORD("udplite", 136), WORD("icmpv6", 58), WORD("icmp6", 58),   END,
};

int words_protocol(const char *name)
{
	const struct schema_word *w;
	const struct protoent *entry;

	for (w = words_protocols; w->word; w++) {
		if (!strcmp(w->word, name))
			return (int)w->value;
	}
	entry = getprotobyname(name);
	return entry && entry->p_proto <= UINT8_MAX ? entry->p_proto : -1;
}

bool words_protocol_has_ports(unsigned int protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP ||
	       protocol == IPPROTO_DCCP || protocol == IPPROTO_UDPLITE;
}

const struct schema_word words_icmp4[] = {
	WORD("echo-reply", 0),		 WORD("destination-unreachable", 3),
	WORD("source-quench", 4),	 WORD("redirect", 5),
	WORD("echo-request", 8),	 WORD("router-advertisement", 9),
	WORD("router-solicitation", 10), WORD("time-exceeded", 11),
	WORD("parameter-problem", 12),	 WORD("timestamp-request", 13),
	WORD("timestamp-reply", 14),	 WORD("info-request", 15),
	WORD("info-reply", 16),		 WORD("address-mask-request", 17),
	WORD("address-mask-reply", 18),	 END,
};

const struct schema_word words_icmp6[] = {
	WORD("destination-unreachable", 1), WORD("packet-too-big", 2),
	WORD("time-exceeded", 3),	    WORD("parameter-problem", 4),
	WORD("echo-request", 128),	    WORD("echo-reply", 129),
	WORD("mld-listener-query", 130),    WORD("mld-listener-report", 131),
	WORD("mld-listener-done", 132),	    WORD("mld-listener-reduction", 132),
	WORD("nd-router-solicit", 133),	    WORD("nd-router-advert", 134),
	WORD("nd-neighbor-solicit", 135),   WORD("nd-neighbor-advert", 136),
	WORD("nd-redirect", 137),	    WORD("router-renumbering", 138),
	WORD("ind-neighbor-solicit", 141),  WORD("ind-neighbor-advert", 142),
	WORD("mld2-listener-report", 143),  END,
};

const struct schema_word words_dscp[] = {
	WORD("cs0", 0),	  WORD("cs1", 8),
	WORD("cs2", 16),  WORD("cs3", 24),
	WORD("cs4", 32),  WORD("cs5", 40),
	WORD("cs6", 48),  WORD("cs7", 56),
	WORD("af11", 10), WORD("af12", 12),
	WORD("af13", 14), WORD("af21", 18),
	WORD("af22", 20), WORD("af23", 22),
	WORD("af31", 26), WORD("af32", 28),
	WORD("af33", 30), WORD("af41", 34),
	WORD("af42", 36), WORD("af43", 38),
	WORD("ef", 46),	  END,
};

const struct schema_word words_sections[] = {
	WORD("tunnels", CONFIG_SECTION_TUNNELS),
	WORD("gateways", CONFIG_SECTION_GATEWAYS),
	WORD("gateway_groups", CONFIG_SECTION_GATEWAY_GROUPS),
	WORD("routes", CONFIG_SECTION_ROUTES),
	WORD("prefix_translations", CONFIG_SECTION_PREFIX_TRANSLATIONS),
	WORD("aliases", CONFIG_SECTION_ALIASES),
	WORD("default_action", CONFIG_SECTION_DEFAULT_ACTION),
	WORD("rules", CONFIG_SECTION_RULES),
	WORD("nat", CONFIG_SECTION_NAT),
	WORD("vips", CONFIG_SECTION_VIPS),
	WORD("hooks", CONFIG_SECTION_HOOKS),
	WORD("limits", CONFIG_SECTION_LIMITS),
	WORD("optimization", CONFIG_SECTION_OPTIMIZATION),
	WORD("timeouts_s", CONFIG_SECTION_TIMEOUTS_S),
	WORD("log", CONFIG_SECTION_LOG),
	WORD("http", CONFIG_SECTION_HTTP),
	WORD("checks", CONFIG_SECTION_CHECKS),
	WORD("drill", CONFIG_SECTION_DRILL),
	END,
};
