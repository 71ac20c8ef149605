/* SPDX-License-Identifier: GPL-2.0-only */
#include "user/config/elements.h"

#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include "user/config/draft.h"
#include "user/config/names.h"
#include "user/config/text.h"
#include "user/config/words.h"

/* n bytes of text, malloc'ed; NULL when memory is out, which the walk then knows. */
static char *copy(struct schema_walk *walk, const char *text, size_t n)
{
	char *to = strndup(text, n);

	if (!to)
		walk->err = -ENOMEM;
	return to;
}

void element_link(struct schema_walk *walk, const struct path *path, const json_t *value, const struct schema_key *key,
		  void *item)
{
	const char *text = json_string_value(value);
	const char *fault = text ? name_fault(text) : NULL;

	if (!text || fault)
		schema_refuse(walk, path, value, fault ? fault : key->accepts);
	else
		((struct draft_link *)item)->name = copy(walk, text, strlen(text));
}

/* ---- addresses ---- */

static const struct {
	const char *suffix;
	enum config_term_kind kind;
} of_link[] = {
	{ ":network", CONFIG_TERM_NETWORK },
	{ ":address", CONFIG_TERM_ADDRESS },
};

/* "lan:network"; false: it is none. */
static bool term_of_link(struct schema_walk *walk, const char *text, struct draft_term *term)
{
	const char *colon = strchr(text, ':');
	size_t i;

	for (i = 0; colon && i < sizeof(of_link) / sizeof(of_link[0]); i++) {
		if (strcmp(colon, of_link[i].suffix))
			continue;
		term->name = copy(walk, text, (size_t)(colon - text));
		if (term->name && name_shape_fault(term->name)) {
			free(term->name);
			term->name = NULL;
			return false;
		}
		term->item.kind = of_link[i].kind;
		return true;
	}
	return false;
}

/* 0, or -EINVAL as text_addresses(). */
static int term_of_text(struct schema_walk *walk, const char *text, struct draft_term *term, char why[TEXT_WHY])
{
	why[0] = '\0';
	if (!strcmp(text, "self") || (!strcmp(text, "any") && !term->item.negated)) {
		term->item.kind = text[0] == 's' ? CONFIG_TERM_SELF : CONFIG_TERM_ANY;
	} else if (text[0] == '$' && !name_shape_fault(text + 1)) {
		term->item.kind = CONFIG_TERM_ALIAS;
		term->name = copy(walk, text + 1, strlen(text + 1));
	} else if (!name_fault(text)) {
		term->name = copy(walk, text, strlen(text)); /* a VIP's */
	} else if (!term_of_link(walk, text, term)) {
		if (text_addresses(text, &term->item.range, why))
			return -EINVAL;
		term->item.kind = CONFIG_TERM_RANGE;
	}
	return 0;
}

void element_term(struct schema_walk *walk, const struct path *path, const json_t *value, const struct schema_key *key,
		  void *item)
{
	const char *text = json_string_value(value);
	struct draft_term term = { .item.negated = text && text[0] == '!' };
	char why[TEXT_WHY] = "";

	if (text && !term_of_text(walk, text + term.item.negated, &term, why))
		*(struct draft_term *)item = term;
	else if (why[0])
		schema_error(walk, path, "%s", why);
	else
		schema_refuse(walk, path, value, key->accepts);
}

void element_target(struct schema_walk *walk, const struct path *path, const json_t *value,
		    const struct schema_key *key, void *item)
{
	const char *text = json_string_value(value);
	struct draft_target *target = item;
	struct addr a;

	if (text && !strcmp(text, "interface"))
		target->interface = true;
	else if (text && !name_fault(text))
		target->vip = copy(walk, text, strlen(text));
	else if (text && !text_address(text, &a) && addr_is_unicast(&a))
		target->address = a;
	else
		schema_refuse(walk, path, value, key->accepts);
}

/* ---- gateways ---- */

/* 0 to max of the key; NULL is none. */
static bool threshold(const json_t *value, const struct schema_key *key, double *out)
{
	*out = json_number_value(value);
	return json_is_number(value) && *out >= 0 && *out <= key->max;
}

void element_thresholds(struct schema_walk *walk, const struct path *path, const json_t *value,
			const struct schema_key *key, void *item)
{
	double *to = item, warn, fail;

	if (json_array_size(value) != 2 || !threshold(json_array_get(value, 0), key, &warn) ||
	    !threshold(json_array_get(value, 1), key, &fail)) {
		schema_refuse(walk, path, value, key->accepts);
	} else if (warn > fail) {
		schema_error(walk, path, "found [%g, %g], fail below warn; accepted: %s", warn, fail, key->accepts);
	} else {
		to[0] = warn;
		to[1] = fail;
	}
}

static bool is_port(const char *text, unsigned int *port)
{
	const char *end = text_number(text, UINT16_MAX, port);

	return end && !*end && *port;
}

void element_probe(struct schema_walk *walk, const struct path *path, const json_t *value, const struct schema_key *key,
		   void *item)
{
	static const struct schema_word words[] = { { .word = "icmp" }, { .word = NULL } };
	const char *text = json_string_value(value);
	struct config_monitor *monitor = item;
	unsigned int port;

	if (text && !strcmp(text, "icmp")) {
		monitor->type = CONFIG_PROBE_ICMP;
	} else if (text && !strncmp(text, "tcp:", 4) && is_port(text + 4, &port)) {
		monitor->type = CONFIG_PROBE_TCP;
		monitor->port = (uint16_t)port;
	} else if (text && !strncmp(text, "dns:", 4) && !name_host_fault(text + 4)) {
		monitor->type = CONFIG_PROBE_DNS;
		monitor->dns_name = copy(walk, text + 4, strlen(text + 4));
	} else {
		schema_refuse_word(walk, path, value, words, key->accepts);
	}
}

void element_path(struct schema_walk *walk, const struct path *path, const json_t *value, const struct schema_key *key,
		  void *item)
{
	const char *text = json_string_value(value);

	if (!text || name_path_fault(text))
		schema_refuse(walk, path, value, key->accepts);
	else
		*(char **)item = copy(walk, text, strlen(text));
}

void element_sections(struct schema_walk *walk, const struct path *path, const json_t *value,
		      const struct schema_key *key, void *item)
{
	struct path element = { .up = path };
	uint32_t *sections = item;
	json_t *child;

	if (json_is_string(value) && !strcmp(json_string_value(value), "all")) {
		*sections = (1u << CONFIG_SECTIONS) - 1;
	} else if (!json_array_size(value)) {
		schema_refuse_word(walk, path, value, words_sections, key->accepts);
	}
	json_array_foreach(value, element.index, child) {
		const struct schema_word *word = schema_find_word(words_sections, child);

		if (!word)
			schema_refuse_word(walk, &element, child, words_sections,
					   "a top-level name other than \"node\", \"interfaces\" and \"ha\"");
		else if (*sections >> word->value & 1)
			schema_error(walk, &element, "\"%s\" is in this list already", word->word);
		else
			*sections |= 1u << word->value;
	}
}

/* ---- checks of one's own ---- */

/* Of the list of a command: the first is the program. */
void element_argument(struct schema_walk *walk, const struct path *path, const json_t *value,
		      const struct schema_key *key, void *item)
{
	const char *text = json_string_value(value);

	if (!text || (!path->index && !*text))
		schema_refuse(walk, path, value, path->index ? "an argument, a string" : key->accepts);
	else
		*(char **)item = copy(walk, text, strlen(text));
}

void element_when(struct schema_walk *walk, const struct path *path, const json_t *value, const struct schema_key *key,
		  void *item)
{
	static const struct schema_word words[] = {
		{ .word = "doctor", .value = CONFIG_CHECK_DOCTOR },
		{ .word = "drill", .value = CONFIG_CHECK_DRILL },
		{ .word = NULL },
	};
	struct path element = { .up = path };
	uint32_t *when = item;
	json_t *child;

	if (!json_array_size(value))
		schema_refuse(walk, path, value, key->accepts);
	json_array_foreach(value, element.index, child) {
		const struct schema_word *word = schema_find_word(words, child);

		if (!word)
			schema_refuse_word(walk, &element, child, words, "\"doctor\" or \"drill\"");
		else if (*when & word->value)
			schema_error(walk, &element, "\"%s\" is in this list already", word->word);
		else
			*when |= word->value;
	}
}

/* ---- ADDRESS:PORT ---- */

/* Behind the last colon; NULL: it is none. */
static const char *port_of(const char *text, uint16_t *port)
{
	const char *colon = strrchr(text, ':');
	unsigned long n = 0;

	for (const char *c = colon ? colon + 1 : ""; *c && n <= UINT16_MAX; c++) {
		if (*c < '0' || *c > '9')
			return NULL;
		n = n * 10 + (unsigned long)(*c - '0');
	}
	if (!n || n > UINT16_MAX || colon[1] == '0')
		return NULL;
	*port = (uint16_t)n;
	return colon;
}

/* An IPv6 address stands in brackets. */
static bool take_service(const char *text, struct config_service *to)
{
	const char *colon = port_of(text, &to->port);
	size_t len = colon ? (size_t)(colon - text) : 0;
	bool brackets = len > 2 && text[0] == '[' && text[len - 1] == ']';
	char addr[ADDR_STRLEN];

	if (brackets) {
		text++;
		len -= 2;
	}
	if (!len || len >= sizeof(addr))
		return false;
	memcpy(addr, text, len);
	addr[len] = '\0';
	return !addr_parse(addr, &to->addr) && brackets == (to->addr.family == AF_INET6);
}

void element_service(struct schema_walk *walk, const struct path *path, const json_t *value,
		     const struct schema_key *key, void *item)
{
	struct config_service service = { 0 };
	const char *text = json_string_value(value);

	if (text && take_service(text, &service))
		*(struct config_service *)item = service;
	else
		schema_refuse(walk, path, value, key->accepts);
}

/* ---- ports, protocols ---- */

/* What was meant by a number in quotes, by pf's FIRST:LAST, or by a service's name, which is no port here: it depends on the machine. */
static bool meant_port(const char *text, char *meant, size_t len)
{
	const struct servent *service;
	char dashed[sizeof("65535-65535")], why[TEXT_WHY];
	struct port_range range;
	char *colon;

	if (snprintf(dashed, sizeof(dashed), "%s", text) < (int)sizeof(dashed)) {
		colon = strchr(dashed, ':');
		if (colon)
			*colon = '-';
		if (!text_ports(dashed, &range, why)) {
			snprintf(meant, len, range.first == range.last ? "%u" : "\"%u-%u\"", range.first, range.last);
			return true;
		}
	}
	service = getservbyname(text, NULL);
	if (service)
		snprintf(meant, len, "%u", ntohs((uint16_t)service->s_port));
	return service;
}

static void refuse_port(struct schema_walk *walk, const struct path *path, const json_t *value,
			const struct schema_key *key)
{
	char meant[16], text[256];
	bool known = json_is_string(value) && meant_port(json_string_value(value), meant, sizeof(meant));

	if (known)
		snprintf(text, sizeof(text), "%s; did you mean %s?", key->accepts, meant);
	schema_refuse(walk, path, value, known ? text : key->accepts);
}

void element_port_range(struct schema_walk *walk, const struct path *path, const json_t *value,
			const struct schema_key *key, void *item)
{
	const char *text = json_string_value(value);
	struct port_range *range = item;
	char why[TEXT_WHY] = "";
	uint32_t number;

	if (schema_whole_number(value, 1, UINT16_MAX, &number))
		range->first = range->last = (uint16_t)number;
	else if (text && strchr(text, '-') && !text_ports(text, range, why))
		return;
	else if (why[0])
		schema_error(walk, path, "%s", why);
	else
		refuse_port(walk, path, value, key);
}

void element_ports(struct schema_walk *walk, const struct path *path, const json_t *value, const struct schema_key *key,
		   void *item)
{
	const char *text = json_string_value(value);
	struct draft_ports *ports = item;

	if (text && text[0] == '$' && !name_shape_fault(text + 1))
		ports->alias = copy(walk, text + 1, strlen(text + 1));
	else
		element_port_range(walk, path, value, key, &ports->range);
}

static void store(struct draft_number *to, unsigned int value)
{
	*to = (struct draft_number){ .valid = true, .value = (uint8_t)value };
}

void element_protocol(struct schema_walk *walk, const struct path *path, const json_t *value,
		      const struct schema_key *key, void *item)
{
	int protocol = json_is_string(value) ? words_protocol(json_string_value(value)) : -1;
	uint32_t number;

	if (schema_whole_number(value, 0, UINT8_MAX, &number))
		protocol = (int)number;
	if (protocol < 0)
		schema_refuse_word(walk, path, value, words_protocols, key->accepts);
	else
		store(item, (unsigned int)protocol);
}

void element_dscp(struct schema_walk *walk, const struct path *path, const json_t *value, const struct schema_key *key,
		  void *item)
{
	const struct schema_word *word = schema_find_word(words_dscp, value);
	uint32_t number = word ? word->value : 0;

	if (word || schema_whole_number(value, 0, 63, &number))
		store(item, number);
	else
		schema_refuse_word(walk, path, value, words_dscp, key->accepts);
}

void element_icmp_type(struct schema_walk *walk, const struct path *path, const json_t *value,
		       const struct schema_key *key, void *item)
{
	const struct schema_word *four = schema_find_word(words_icmp4, value);
	const struct schema_word *six = schema_find_word(words_icmp6, value);
	struct draft_icmp_type *type = item;
	uint32_t number;

	type->valid = true;
	if (four || six) {
		type->icmp4 = four ? (int)four->value : -1;
		type->icmp6 = six ? (int)six->value : -1;
	} else if (schema_whole_number(value, 0, UINT8_MAX, &number)) {
		type->icmp4 = type->icmp6 = (int)number;
	} else {
		type->valid = false;
		schema_refuse_words(walk, path, value, words_icmp4, words_icmp6, key->accepts);
	}
}

/* ---- TCP flags ---- */

static const char flag_letters[] = "FSRPAUEW"; /* from bit 0 on */

static uint8_t flags_of(const char *text, size_t n)
{
	uint8_t flags = 0;
	size_t i;

	for (i = 0; i < n; i++)
		flags |= (uint8_t)(1u << (strchr(flag_letters, text[i]) - flag_letters));
	return flags;
}

void element_tcp_flags(struct schema_walk *walk, const struct path *path, const json_t *value,
		       const struct schema_key *key, void *item)
{
	const char *text = json_string_value(value);
	size_t set = text ? strspn(text, flag_letters) : 0, mask = 0;
	struct config_tcp_flags flags;

	if (text && !strcmp(text, "any")) {
		((struct config_tcp_flags *)item)->named = true;
		return;
	}
	if (text && text[set] == '/')
		mask = strspn(text + set + 1, flag_letters);
	if (!mask || text[set + 1 + mask]) {
		schema_refuse(walk, path, value, key->accepts);
		return;
	}
	flags = (struct config_tcp_flags){ flags_of(text, set), flags_of(text + set + 1, mask), true };
	if (flags.set & ~flags.mask)
		schema_refuse(walk, path, value, "flags before the slash only that are behind it too");
	else
		*(struct config_tcp_flags *)item = flags;
}

/* ---- schedules ---- */

static const char day_names[][4] = { "mon", "tue", "wed", "thu", "fri", "sat", "sun" };

/* What follows the day's name; NULL: there is none. */
static const char *take_day(const char *text, unsigned int *day)
{
	for (*day = 0; *day < 7; (*day)++) {
		if (!strncmp(text, day_names[*day], 3))
			return text + 3;
	}
	return NULL;
}

/* "mon-fri,sun" */
static const char *take_days(const char *text, uint8_t *days)
{
	unsigned int from, to;

	for (;;) {
		text = take_day(text, &from);
		to = from;
		if (text && *text == '-')
			text = take_day(text + 1, &to);
		if (!text)
			return NULL;
		for (; from != to; from = (from + 1) % 7)
			*days |= (uint8_t)(1u << from);
		*days |= (uint8_t)(1u << to);
		if (*text != ',')
			return text;
		text++;
	}
}

/* "08:00" */
static const char *take_time(const char *text, uint16_t *minutes)
{
	static const char max[] = "29:59";
	size_t i;

	for (i = 0; i < strlen(max); i++) {
		if (max[i] == ':' ? text[i] != ':' : text[i] < '0' || text[i] > max[i])
			return NULL;
	}
	*minutes = (uint16_t)(((text[0] - '0') * 10 + text[1] - '0') * 60 + (text[3] - '0') * 10 + text[4] - '0');
	return *minutes < 24 * 60 ? text + i : NULL;
}

/* An end that is not behind the begin is the next day's. */
void element_schedule(struct schema_walk *walk, const struct path *path, const json_t *value,
		      const struct schema_key *key, void *item)
{
	const char *text = json_string_value(value);
	struct config_schedule s = { .days = 0 };

	if (text && *text >= 'a') {
		text = take_days(text, &s.days);
		text = text && *text == ' ' ? text + 1 : NULL;
	} else {
		s.days = 0x7f;
	}
	text = text ? take_time(text, &s.from) : NULL;
	text = text && *text == '-' ? take_time(text + 1, &s.to) : NULL;
	if (!text || *text) {
		schema_refuse(walk, path, value, key->accepts);
		return;
	}
	if (s.to <= s.from)
		s.to += 24 * 60;
	*(struct config_schedule *)item = s;
}
