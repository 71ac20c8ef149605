/* SPDX-License-Identifier: GPL-2.0-only */
/* What the daemon must know of urls like "https://host:port/path?query#fragment"; all else is libcurl's business. */
#pragma once

/* The host (malloc'ed), without the brackets of IPv6; NULL: it has none, or out of memory. */
char *url_host(const char *url);
/* The url (malloc'ed) with one more "name=value" in its query. NULL: out of memory. */
char *url_add_query(const char *url, const char *name, const char *value);
