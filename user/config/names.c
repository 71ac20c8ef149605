/* SPDX-License-Identifier: GPL-2.0-only */
/* What strings of the file may be. */
#include "user/config/names.h"

#include <ctype.h>
#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "user/lib/addr.h"

#define NAME_START "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_"
#define NAME_REST NAME_START "0123456789.-"
#define NODE_ENDS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

#define NODE_MAX 64
#define RULE_MAX 63

/* Words that mean something where a name may stand. */
static const char *const reserved[] = { "description", "any", "self", "interface", "auto", "none", "all", NULL };

/*
 * Names that iproute2 does not take for a device's: the words after `ip address show` and `ip link show`, and every
 * beginning of "help". And two that Linux has already: the loopback device, and the sysctl directory of what comes.
 */
static const char *const not_a_tunnel[] = { "h",	 "he",	    "hel",   "help",	"dev",	     "to",
					    "up",	 "type",    "scope", "label",	"group",     "master",
					    "nomaster",	 "vrf",	    "proto", "dynamic", "permanent", "primary",
					    "secondary", "default", "lo",    NULL };

static bool listed(const char *text, const char *const *list)
{
	for (; *list; list++) {
		if (!strcmp(text, *list))
			return true;
	}
	return false;
}

const char *name_shape_fault(const char *text)
{
	if (!text[0] || !strchr(NAME_START, text[0]) || text[strspn(text, NAME_REST)])
		return "a letter or \"_\", then letters, digits, \"_\", \".\" and \"-\"";
	return NULL;
}

const char *name_fault(const char *text)
{
	const char *fault = name_shape_fault(text);

	if (fault)
		return fault;
	if (listed(text, reserved))
		return "a name other than \"description\", \"any\", \"self\", \"interface\", \"auto\", \"none\", \"all\"";
	return NULL;
}

/* Devices of fairlead's own begin so: the hidden ends of tunnels, and the pair for ICMP errors. */
static const char *own_fault(const char *text)
{
	return strncmp(text, "fl-", 3) ? NULL : "a name that does not begin with \"fl-\", as fairlead's own devices do";
}

const char *name_interface_fault(const char *text)
{
	const char *fault = name_fault(text);

	return fault ? fault : own_fault(text);
}

const char *name_tunnel_fault(const char *text)
{
	const char *fault = name_interface_fault(text);

	if (fault)
		return fault;
	if (strlen(text) >= IFNAMSIZ)
		return "a name of at most 15 characters, since the device is called so";
	if (listed(text, not_a_tunnel))
		return "a name that iproute2 and Linux don't take for something else (fairlead.json(5) lists those), "
		       "\"he0\" for instance";
	return NULL;
}

/* The kernel's isspace(): of a byte, in Latin-1, where 0xa0 is a blank too. */
static bool is_blank(unsigned char c)
{
	return isspace(c) || c == 0xa0;
}

/* As the kernel's dev_valid_name(); what is no network's, and what fairlead makes itself, is no interface. */
const char *name_device_fault(const char *text)
{
	static const char accepts[] =
		"the name of a network device, 1 to 15 bytes without blanks (0xa0 is one to Linux), \"/\" and \":\"";
	const char *c;

	if (!text[0] || strlen(text) >= IFNAMSIZ || !strcmp(text, ".") || !strcmp(text, ".."))
		return accepts;
	for (c = text; *c; c++) {
		if (*c == '/' || *c == ':' || is_blank(*c))
			return accepts;
	}
	if (!strcmp(text, "lo") || !strncmp(text, "fl-", 3))
		return "a network device other than \"lo\" and fairlead's own, whose names begin with \"fl-\"";
	return NULL;
}

const char *name_node_fault(const char *text)
{
	size_t len = strlen(text);

	if (len < 1 || len > NODE_MAX || text[strspn(text, NODE_ENDS ".-")] || !strchr(NODE_ENDS, text[0]) ||
	    !strchr(NODE_ENDS, text[len - 1]))
		return "1 to 64 letters, digits, \".\" and \"-\", a letter or digit at both ends";
	return NULL;
}

#define LABEL_MAX 63
#define HOST_MAX 253

/* RFC 952, 1123: labels of letters, digits and "-", which is at no end of one; digits and dots alone are an address. */
const char *name_host_fault(const char *text)
{
	static const char accepts[] = "a host name, \"broker.example.net\" for instance";
	const char *at = text, *end = text + strlen(text);

	end -= end > text && end[-1] == '.';
	if (end == text || end - text > HOST_MAX || !text[strspn(text, "0123456789.-")])
		return accepts;
	while (at < end) {
		size_t n = strspn(at, NODE_ENDS "-");

		if (!n || n > LABEL_MAX || at[0] == '-' || at[n - 1] == '-' || (at[n] && at[n] != '.'))
			return accepts;
		at += n + 1;
	}
	return at == end + 1 ? NULL : accepts;
}

/* Digits and dots are an address, or were to be one. */
const char *name_remote_fault(const char *text)
{
	struct addr a;
	unsigned int first;

	if (!text[0] || text[strspn(text, "0123456789.")])
		return name_host_fault(text) ? "an IPv4 address or a host name" : NULL;
	if (addr_parse(text, &a))
		return "an IPv4 address or a host name";
	first = ntohl(a.v4.s_addr) >> 24;
	return first == 0 || first == 127 || first >= 224 ? "an IPv4 address that a host can have, or a host name"
							  : NULL;
}

/* IPv6 is no way to tell an IPv4 address: no "[" either. */
const char *name_url_fault(const char *text)
{
	size_t scheme = !strncmp(text, "https://", 8) ? 8 : !strncmp(text, "http://", 7) ? 7 : 0;
	const char *c;

	for (c = text; (unsigned char)*c > ' ' && *c != 0x7f; c++)
		;
	if (!scheme || !text[scheme] || strchr("/?#:@[", text[scheme]) || *c)
		return "an address that begins with \"https://\" or \"http://\" and a host's name or IPv4 address, without blanks";
	return NULL;
}

const char *name_word_fault(const char *text)
{
	const char *c;

	for (c = text; (unsigned char)*c >= ' ' && *c != 0x7f; c++)
		;
	return c == text || *c ? "a string that is not empty, without control characters" : NULL;
}

const char *name_path_fault(const char *text)
{
	return text[0] == '/' && text[1] ? NULL
					 : "the absolute path of a file, \"/etc/fairlead/list.txt\" for instance";
}

/* Of UTF-8, which Jansson has made sure of: bytes that don't continue a character. */
static size_t characters(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

const char *name_rule_fault(const char *text)
{
	static const char accepts[] = "a name of 1 to 63 characters, not of digits only";
	const char *c;

	if (!text[0] || characters(text) > RULE_MAX || !text[strspn(text, "0123456789")])
		return accepts;
	for (c = text; *c; c++) {
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			return "a name without control characters";
	}
	return NULL;
}
