/* SPDX-License-Identifier: GPL-2.0-only */
/* The values that hold no other: words, numbers, addresses, prefixes. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "user/config/schema.h"
#include "user/config/suggest.h"
#include "user/config/text.h"

static void *place(const struct schema_key *key, void *item)
{
	return (char *)item + key->offset;
}

void schema_parse_text(struct schema_walk *walk, const struct path *path, const json_t *value,
		       const struct schema_key *key, void *item)
{
	(void)key;
	(void)item;
	if (!json_is_string(value))
		schema_refuse(walk, path, value, "a string, text for people");
}

void schema_parse_bool(struct schema_walk *walk, const struct path *path, const json_t *value,
		       const struct schema_key *key, void *item)
{
	if (!json_is_boolean(value))
		schema_refuse(walk, path, value, "true or false");
	else if (key->offset != SCHEMA_NOWHERE)
		*(bool *)place(key, item) = json_is_true(value);
}

/* ---- words and numbers ---- */

static void store_number(const struct schema_key *key, void *item, uint32_t value)
{
	void *at = place(key, item);

	switch (key->size) {
	case 1:
		*(uint8_t *)at = (uint8_t)value;
		break;
	case 2:
		*(uint16_t *)at = (uint16_t)value;
		break;
	default:
		*(uint32_t *)at = value;
		break;
	}
}

/* Appends `"auto", "native" or false` to buf. */
static void list_words(const struct schema_word *words, char *buf, size_t len)
{
	const struct schema_word *w;
	size_t used = strlen(buf);
	const char *join;

	for (w = words; w && w->word && used < len; w++) {
		join = used ? w[1].word ? ", " : " or " : "";
		used += (size_t)snprintf(buf + used, len - used, w->literal ? "%s%s" : "%s\"%s\"", join, w->word);
	}
}

static void offer_words(struct suggest *s, const struct schema_word *words)
{
	for (; words && words->word; words++) {
		if (!words->literal)
			suggest_offer(s, words->word);
	}
}

void schema_refuse_words(struct schema_walk *walk, const struct path *path, const json_t *value,
			 const struct schema_word *words, const struct schema_word *others, const char *accepts)
{
	struct suggest s = { .given = json_is_string(value) ? json_string_value(value) : "" };
	char text[320];

	offer_words(&s, words);
	offer_words(&s, others);
	snprintf(text, sizeof(text), "%s%s%s%s", accepts, s.best ? "; did you mean \"" : "", s.best ? s.best : "",
		 s.best ? "\"?" : "");
	schema_refuse(walk, path, value, text);
}

void schema_refuse_word(struct schema_walk *walk, const struct path *path, const json_t *value,
			const struct schema_word *words, const char *accepts)
{
	schema_refuse_words(walk, path, value, words, NULL, accepts);
}

void schema_parse_word(struct schema_walk *walk, const struct path *path, const json_t *value,
		       const struct schema_key *key, void *item)
{
	const struct schema_word *word = schema_find_word(key->words, value);
	char accepts[128] = "";

	if (word) {
		if (key->offset != SCHEMA_NOWHERE)
			store_number(key, item, word->value);
		return;
	}
	list_words(key->words, accepts, sizeof(accepts));
	schema_refuse_word(walk, path, value, key->words, accepts);
}

bool schema_whole_number(const json_t *value, unsigned int min, unsigned int max, uint32_t *out)
{
	double real;

	if (json_is_integer(value)) {
		if (json_integer_value(value) < (json_int_t)min || json_integer_value(value) > (json_int_t)max)
			return false;
		*out = (uint32_t)json_integer_value(value);
		return true;
	}
	real = json_real_value(value);
	if (!json_is_real(value) || !(real >= min && real <= max) || real != (double)(uint32_t)real)
		return false;
	*out = (uint32_t)real;
	return true;
}

void schema_parse_number(struct schema_walk *walk, const struct path *path, const json_t *value,
			 const struct schema_key *key, void *item)
{
	const struct schema_word *word = schema_find_word(key->words, value);
	char accepts[128];
	uint32_t number;

	if (word) {
		store_number(key, item, word->value);
	} else if (schema_whole_number(value, key->min, key->max, &number)) {
		store_number(key, item, number);
	} else {
		snprintf(accepts, sizeof(accepts), "a whole number from %u to %u", key->min, key->max);
		list_words(key->words, accepts, sizeof(accepts));
		schema_refuse_word(walk, path, value, key->words, accepts);
	}
}

/* ---- strings ---- */

void schema_parse_string(struct schema_walk *walk, const struct path *path, const json_t *value,
			 const struct schema_key *key, void *item)
{
	const char *text = json_string_value(value);
	const char *fault = text ? key->fault(text) : NULL;
	char *copy;

	if (!text || fault) {
		schema_refuse(walk, path, value, fault ? fault : key->accepts);
	} else {
		copy = strdup(text);
		if (!copy)
			walk->err = -ENOMEM;
		*(char **)place(key, item) = copy;
	}
}

/* ---- addresses ---- */

static bool family_fits(const struct addr *a, unsigned int flags)
{
	return flags & (a->family == AF_INET ? SCHEMA_INET : SCHEMA_INET6);
}

void schema_element_address(struct schema_walk *walk, const struct path *path, const json_t *value,
			    const struct schema_key *key, void *item)
{
	const struct schema_word *word = schema_find_word(key->words, value);
	const char *text = json_string_value(value);
	struct addr a;

	if (word)
		memset(item, 0, sizeof(a)); /* AF_UNSPEC */
	else if (!text || text_address(text, &a) || !family_fits(&a, key->flags) ||
		 ((key->flags & SCHEMA_UNICAST) && !addr_is_unicast(&a)))
		schema_refuse_word(walk, path, value, key->words, key->accepts);
	else
		*(struct addr *)item = a;
}

void schema_parse_address(struct schema_walk *walk, const struct path *path, const json_t *value,
			  const struct schema_key *key, void *item)
{
	schema_element_address(walk, path, value, key, place(key, item));
}

int schema_compare_addresses(const void *a, const void *b)
{
	return addr_compare(a, b);
}

/* ---- prefixes ---- */

/* Wholly multicast or link-local: nothing that is routed or translated. */
static bool is_routable(const struct prefix *p)
{
	const uint8_t *b = p->addr.v6.s6_addr;

	if (p->addr.family == AF_INET)
		return p->len < 4 || (ntohl(p->addr.v4.s_addr) >> 28) != 0xe;
	return !(p->len >= 8 && b[0] == 0xff) && !(p->len >= 10 && b[0] == 0xfe && (b[1] & 0xc0) == 0x80);
}

static void one_prefix(struct schema_walk *walk, const struct path *path, const json_t *value,
		       const struct schema_key *key, struct prefix *out)
{
	const char *text = json_string_value(value);
	char why[TEXT_WHY];
	struct prefix p;
	struct addr plain;

	if (text && !text_address(text, &plain) && family_fits(&plain, key->flags)) {
		schema_error(walk, path, "found \"%s\", without a length; accepted: %s", text, key->accepts);
		return;
	}
	if (!text || text_prefix(text, &p) || !family_fits(&p.addr, key->flags) ||
	    (key->max && (p.len < key->min || p.len > key->max)) ||
	    ((key->flags & SCHEMA_UNICAST) && !addr_is_unicast(&p.addr)) ||
	    ((key->flags & SCHEMA_ROUTABLE) && !is_routable(&p))) {
		schema_refuse(walk, path, value, key->accepts);
		return;
	}
	if ((key->flags & SCHEMA_NETWORK) && !prefix_is_network(&p)) {
		text_host_bits(text, &p, why);
		schema_error(walk, path, "%s", why);
		return;
	}
	*out = p;
}

void schema_parse_prefix(struct schema_walk *walk, const struct path *path, const json_t *value,
			 const struct schema_key *key, void *item)
{
	if (key->object && json_is_object(value))
		schema_parse(walk, path, value, key->object, item);
	else
		one_prefix(walk, path, value, key, place(key, item));
}

void schema_element_prefix(struct schema_walk *walk, const struct path *path, const json_t *value,
			   const struct schema_key *key, void *item)
{
	one_prefix(walk, path, value, key, item);
}

int schema_compare_prefixes(const void *a, const void *b)
{
	const struct prefix *x = a, *y = b;
	int c = addr_compare(&x->addr, &y->addr);

	return c ? c : (x->len < y->len ? -1 : x->len > y->len);
}
