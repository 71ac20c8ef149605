// SPDX-License-Identifier: GPL-2.0-only
#include "user/daemon/url.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *url_host(const char *url)
{
	const char *host = strstr(url, "://"), *end, *user;

	if (!host)
		return NULL;
	host += 3;
	end = host + strcspn(host, "/?#");
	user = memrchr(host, '@', end - host);
	host = user ? user + 1 : host;
	if (*host == '[') {
		host++;
		end = host + strcspn(host, "]");
	} else {
		end = memchr(host, ':', end - host) ?: end;
	}
	return end > host ? strndup(host, end - host) : NULL;
}

/* RFC 3986 2.3: all others as %XX. */
static void encode(const char *value, char *to)
{
	for (; *value; value++) {
		if (isalnum((unsigned char)*value) || strchr("-._~", *value))
			*to++ = *value;
		else
			to += sprintf(to, "%%%02X", (unsigned char)*value);
	}
	*to = '\0';
}

char *url_add_query(const char *url, const char *name, const char *value)
{
	size_t len = strcspn(url, "#");
	char *encoded = malloc(3 * strlen(value) + 1), *with = NULL;
	const char *query = memchr(url, '?', len);

	if (!encoded)
		return NULL;
	encode(value, encoded);
	if (asprintf(&with, "%.*s%s%s=%s%s", (int)len, url,
		     !query		      ? "?"
		     : query + 1 == url + len ? ""
					      : "&",
		     name, encoded, url + len) < 0)
		with = NULL;
	free(encoded);
	return with;
}
