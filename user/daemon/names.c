// SPDX-License-Identifier: GPL-2.0-only
#include "user/daemon/names.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "user/daemon/daemon.h"
#include "user/daemon/resolver.h"
#include "user/lib/clock.h"
#include "user/lib/file.h"
#include "user/lib/kept.h"
#include "user/lib/log.h"

#define ASKED_MAX 32	 /* at the same time; a broker's clients may be thousands */
#define SAVE_S 1	 /* from a change to the file: many come together after a start */
#define TOLD_FAILURES 3	 /* in a row, of a name whose address is known */
#define CHANGED_MS 5000	 /* at most so often does a change of the machine have names asked for */
#define REMOTES_TOLD 512 /* bytes */
#define WHY_MAX 96

/* Where a name is written. */
struct place {
	const struct config_tunnel *tunnel;
	struct config_remote *remote;
};

struct name {
	TAILQ_ENTRY(name) entry; /* of `ready` */
	struct names *names;
	char *host; /* in lower case */
	struct addr address;
	unsigned int failures; /* in a row */
	char why[WHY_MAX];     /* the last one; "" before the first answer and after a good one */
	bool ready, told_failure;
	struct resolver_question *question;
	struct event *timer;
	struct place *places;
	size_t n_places;
};

struct names {
	struct daemon *daemon;
	char *path;
	json_t *known; /* host: address, of earlier configurations too */
	struct resolver *resolver;
	struct name *all; /* by host */
	size_t n;
	TAILQ_HEAD(, name) ready; /* whose time has come */
	size_t asked;
	struct event *save;
	long long changed_ms;
};

/* ---- pure ---- */

unsigned int names_pause_s(unsigned int failures, unsigned int ttl_s)
{
	if (failures)
		return failures > 6 ? NAMES_RETRY_MAX_S : 1u << (failures - 1);
	if (!ttl_s)
		return NAMES_PAUSE_S;
	if (ttl_s < NAMES_PAUSE_MIN_S)
		return NAMES_PAUSE_MIN_S;
	return ttl_s > NAMES_PAUSE_MAX_S ? NAMES_PAUSE_MAX_S : ttl_s;
}

static bool can_be_remote(const struct addr *a)
{
	return a->family == AF_INET && addr_is_unicast(a);
}

const struct addr *names_choose(const struct addr *used, const struct addr *addresses, size_t n)
{
	const struct addr *first = NULL;

	for (size_t i = 0; i < n; i++) {
		if (!can_be_remote(&addresses[i]))
			continue;
		if (addr_equal(&addresses[i], used))
			return &addresses[i];
		first = first ? first : &addresses[i];
	}
	return first;
}

/* ---- what is known ---- */

static char *lower(const char *host)
{
	char *text = strdup(host);

	for (char *c = text; c && *c; c++)
		*c = tolower((unsigned char)*c);
	return text;
}

static struct addr known_address(const struct names *names, const char *host)
{
	const char *text = json_string_value(json_object_get(names->known, host));
	struct addr address = { 0 };

	if (text && !addr_parse(text, &address) && can_be_remote(&address))
		return address;
	return (struct addr){ 0 };
}

/* Of the configuration's names only. It is no loss to lose it: they are asked for again. */
static void on_save(evutil_socket_t fd, short what, void *arg)
{
	struct names *names = arg;
	json_t *object = json_object();
	char address[ADDR_STRLEN];
	int err;

	(void)fd, (void)what;
	for (size_t i = 0; object && i < names->n; i++)
		if (names->all[i].address.family)
			json_object_set_new(object, names->all[i].host,
					    json_string(addr_format(&names->all[i].address, address)));
	err = kept_save(names->path, object, JSON_INDENT(1) | JSON_SORT_KEYS);
	if (err)
		log_ret(err, "%s: the addresses of remotes are not kept", names->path);
	json_decref(object);
}

static void save_soon(struct names *names)
{
	const struct timeval wait = { .tv_sec = SAVE_S };

	if (!evtimer_pending(names->save, NULL))
		evtimer_add(names->save, &wait);
}

/* ---- telling ---- */

/* "he0, b0 (home)" */
static const char *remotes_text(const struct name *n, char text[REMOTES_TOLD])
{
	size_t len = 0;

	text[0] = '\0';
	for (size_t i = 0; i < n->n_places && len < REMOTES_TOLD; i++) {
		const char *client = n->places[i].remote->name;

		len += snprintf(text + len, REMOTES_TOLD - len, "%s%s%s%s%s", i ? ", " : "", n->places[i].tunnel->name,
				client ? " (" : "", client ? client : "", client ? ")" : "");
	}
	return text;
}

static void tell_address(const struct name *n, const struct addr *before)
{
	char address[ADDR_STRLEN], old[ADDR_STRLEN], remotes[REMOTES_TOLD];
	const bool had = before->family != AF_UNSPEC;

	addr_format(&n->address, address);
	addr_format(before, old);
	journal_write(n->names->daemon->journal, JOURNAL_NOTICE, JOURNAL_NAME, n->host, had ? "changed" : "resolved",
		      json_pack("{s:s,s:s?}", "address", address, "before", had ? old : NULL),
		      "the remote of %s is %s now%s%s", remotes_text(n, remotes), address, had ? ", was " : "", old);
}

static void tell_failure(struct name *n)
{
	char address[ADDR_STRLEN], remotes[REMOTES_TOLD];

	n->told_failure = true;
	remotes_text(n, remotes);
	addr_format(&n->address, address);
	if (n->address.family)
		journal_write(n->names->daemon->journal, JOURNAL_WARNING, JOURNAL_NAME, n->host, "not resolved",
			      json_pack("{s:s}", "address", address), "%s; the remote of %s stays %s", n->why, remotes,
			      address);
	else
		journal_write(n->names->daemon->journal, JOURNAL_WARNING, JOURNAL_NAME, n->host, "not resolved", NULL,
			      "%s; the remote of %s has no address", n->why, remotes);
}

static void tell_answers_again(struct name *n)
{
	n->told_failure = false;
	journal_write(n->names->daemon->journal, JOURNAL_NOTICE, JOURNAL_NAME, n->host, "answers again", NULL,
		      "its address is the same");
}

/* ---- asking ---- */

static void ask_ready(struct names *names);

static void wait_for(struct name *n, unsigned int seconds)
{
	const struct timeval wait = { .tv_sec = seconds };

	evtimer_add(n->timer, &wait);
}

static void failed(struct name *n, const char *why)
{
	snprintf(n->why, sizeof(n->why), "%s", why);
	n->failures++;
	wait_for(n, names_pause_s(n->failures, 0));
	if (!n->told_failure && (!n->address.family || n->failures >= TOLD_FAILURES))
		tell_failure(n);
}

static bool is_own(const struct daemon *d, const struct addr *address)
{
	const struct system_addr *a;

	for (size_t i = 0; (a = system_addr_at(d->system, i)); i++)
		if (addr_equal(&a->prefix.addr, address))
			return true;
	return false;
}

static void take(struct name *n, const struct addr *address)
{
	const struct addr before = n->address;
	char text[ADDR_STRLEN];

	n->address = *address;
	for (size_t i = 0; i < n->n_places; i++)
		n->places[i].remote->address_outer = *address;
	json_object_set_new(n->names->known, n->host, json_string(addr_format(address, text)));
	tell_address(n, &before);
	save_soon(n->names);
	events_system_changed(n->names->daemon,
			      SYSTEM_ADDR); /* the tunnels' tables follow that, like a link's new address */
}

static void answered(struct name *n, const struct resolver_answer *answer)
{
	const struct addr *address = names_choose(&n->address, answer->addresses, answer->n);
	char text[ADDR_STRLEN], why[WHY_MAX];

	if (!address || is_own(n->names->daemon, address)) {
		snprintf(why, sizeof(why), "%s is no address of another host",
			 addr_format(&answer->addresses[0], text));
		failed(n, why);
		return;
	}
	n->failures = 0;
	n->why[0] = '\0';
	wait_for(n, names_pause_s(0, answer->ttl_s));
	if (!addr_equal(address, &n->address)) {
		n->told_failure = false;
		take(n, address);
	} else if (n->told_failure) {
		tell_answers_again(n);
	}
}

static void on_answer(void *arg, const struct resolver_answer *answer)
{
	struct name *n = arg;
	struct names *names = n->names;

	n->question = NULL;
	names->asked--;
	if (answer->why)
		failed(n, answer->why);
	else
		answered(n, answer);
	ask_ready(names);
}

static void ask(struct name *n)
{
	n->question = resolver_ask(n->names->resolver, n->host, on_answer, n);
	if (n->question)
		n->names->asked++;
	else
		failed(n, "out of memory");
}

static void ask_ready(struct names *names)
{
	struct name *n;

	while (names->asked < ASKED_MAX && (n = TAILQ_FIRST(&names->ready))) {
		TAILQ_REMOVE(&names->ready, n, entry);
		n->ready = false;
		ask(n);
	}
}

static void make_ready(struct name *n)
{
	evtimer_del(n->timer);
	if (n->ready || n->question)
		return;
	n->ready = true;
	TAILQ_INSERT_TAIL(&n->names->ready, n, entry);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct name *n = arg;

	(void)fd, (void)what;
	make_ready(n);
	ask_ready(n->names);
}

/*
 * A link came up: where there was no answer there may be one, and if not yet, in a second or two, for routes come after addresses. Routes
 * alone are no reason to ask: they may change all the time.
 */
void names_system_changed(struct daemon *d)
{
	struct names *names = d->names;
	long long now = clock_ms(CLOCK_MONOTONIC);

	if (now - names->changed_ms < CHANGED_MS)
		return;
	names->changed_ms = now;
	for (size_t i = 0; i < names->n; i++)
		if (names->all[i].failures) {
			names->all[i].failures = 0;
			make_ready(&names->all[i]);
		}
	ask_ready(names);
}

/* ---- a configuration ---- */

void names_fill(struct daemon *d, const struct config *config)
{
	for (size_t i = 0; i < config->n_tunnels; i++)
		for (size_t j = 0; j < config->tunnels[i].n_remotes; j++) {
			struct config_remote *remote = &config->tunnels[i].remotes[j];
			char *host = remote->named ? lower(remote->host) : NULL;

			if (host)
				remote->address_outer = known_address(d->names, host);
			free(host);
		}
}

static void names_drop(struct names *names)
{
	for (size_t i = 0; i < names->n; i++) {
		struct name *n = &names->all[i];

		resolver_forget(n->question);
		if (n->timer)
			event_free(n->timer);
		free(n->places);
		free(n->host);
	}
	free(names->all);
	names->all = NULL;
	names->n = names->asked = 0;
	TAILQ_INIT(&names->ready);
}

static int by_host(const void *a, const void *b)
{
	return strcmp(((const struct name *)a)->host, ((const struct name *)b)->host);
}

static bool add_place(struct name *n, const struct place *place)
{
	struct place *places = reallocarray(n->places, n->n_places + 1, sizeof(*places));

	if (!places)
		return false;
	n->places = places;
	places[n->n_places++] = *place;
	return true;
}

static bool add_tunnel(struct names *names, const struct config_tunnel *tunnel)
{
	for (size_t i = 0; i < tunnel->n_remotes; i++) {
		const struct place place = { tunnel, &tunnel->remotes[i] };
		struct name *n = &names->all[names->n];

		if (!tunnel->remotes[i].named)
			continue;
		n->host = lower(tunnel->remotes[i].host);
		if (!n->host)
			return false;
		names->n++;
		if (!add_place(n, &place))
			return false;
	}
	return true;
}

/* One for each name: what others of the same name have goes to the first. */
static bool unite(struct names *names)
{
	size_t kept = 0;

	qsort(names->all, names->n, sizeof(*names->all), by_host);
	for (size_t i = 0; i < names->n; i++) {
		struct name *n = &names->all[i], *first = kept ? &names->all[kept - 1] : NULL;

		if (!first || by_host(first, n)) {
			names->all[kept++] = *n;
			continue;
		}
		if (!add_place(first, &n->places[0])) {
			names->n = kept;
			return false;
		}
		free(n->places);
		free(n->host);
	}
	names->n = kept;
	return true;
}

static bool collect(struct names *names, const struct config *config)
{
	size_t max = 0;

	for (size_t i = 0; i < config->n_tunnels; i++)
		max += config->tunnels[i].n_remotes;
	names->all = calloc(max + 1, sizeof(*names->all));
	for (size_t i = 0; names->all && i < config->n_tunnels; i++)
		if (!add_tunnel(names, &config->tunnels[i]))
			return false;
	return names->all && unite(names);
}

/* What was told of a name need not be told again. */
static void goes_on(struct name *n, const struct name *before, size_t n_before)
{
	const struct name *old = n_before ? bsearch(n, before, n_before, sizeof(*before), by_host) : NULL;

	n->address = known_address(n->names, n->host);
	if (!old)
		return;
	n->told_failure = old->told_failure;
	memcpy(n->why, old->why, sizeof(n->why));
}

void names_configure(struct daemon *d, const struct config *config)
{
	struct names *names = d->names, before = *names;
	bool done;

	names->all = NULL;
	names->n = names->asked = 0;
	TAILQ_INIT(&names->ready);
	done = collect(names, config);
	for (size_t i = 0; done && i < names->n; i++) {
		struct name *n = &names->all[i];

		n->names = names;
		goes_on(n, before.all, before.n);
		n->timer = evtimer_new(d->base, on_timer, n);
		done = n->timer != NULL;
		if (done)
			make_ready(n);
	}
	names_drop(&before);
	if (!done) {
		log_warnx("out of memory: the names of tunnel remotes are not followed");
		names_drop(names);
	}
	ask_ready(names);
	if (names->n)
		save_soon(names);
}

/* ---- showing ---- */

static const struct name *name_of(const struct names *names, const struct config_remote *remote)
{
	char *host = remote->named ? lower(remote->host) : NULL;
	const struct name key = { .host = host };
	const struct name *found = host && names->n ? bsearch(&key, names->all, names->n, sizeof(key), by_host) : NULL;

	free(host);
	return found;
}

/* Of several clients the first is named, and the others counted. */
static void show_unresolved(const struct names *names, const struct config_tunnel *tunnel, json_t *row)
{
	const struct name *first = NULL;
	size_t n = 0;

	for (size_t i = 0; i < tunnel->n_remotes; i++) {
		const struct name *name = name_of(names, &tunnel->remotes[i]);

		if (!name || name->address.family)
			continue;
		first = first ? first : name;
		n++;
	}
	if (!first)
		return;
	json_object_set_new(row, "reason",
			    n > 1 ? json_sprintf("names not resolved: %zu of its clients', %s: %s", n, first->host,
						 *first->why ? first->why : "not answered yet")
				  : json_sprintf("name not resolved: %s: %s", first->host,
						 *first->why ? first->why : "not answered yet"));
}

void names_show(struct daemon *d, json_t *rows)
{
	const struct config *config = d->apply.running;
	json_t *row;
	size_t i;

	json_array_foreach(rows, i, row) {
		const char *tunnel_name = json_string_value(json_object_get(row, "name"));
		const struct config_tunnel *tunnel =
			config && tunnel_name ? config_find_tunnel(config, tunnel_name) : NULL;

		if (tunnel)
			show_unresolved(d->names, tunnel, row);
	}
}

/* ---- beginning and end ---- */

int names_open(struct daemon *d, const char *dir)
{
	struct names *names = calloc(1, sizeof(*names));

	d->names = names;
	if (!names)
		return log_ret(ENOMEM, "names");
	names->daemon = d;
	TAILQ_INIT(&names->ready);
	if (asprintf(&names->path, "%s/names.json", dir) < 0)
		names->path = NULL;
	names->resolver = resolver_open(d->base);
	names->save = evtimer_new(d->base, on_save, names);
	if (names->path)
		names->known = kept_load(names->path);
	return names->path && names->known && names->resolver && names->save ? 0 : log_ret(ENOMEM, "names");
}

void names_close(struct daemon *d)
{
	struct names *names = d->names;

	if (!names)
		return;
	if (names->save && evtimer_pending(names->save, NULL))
		on_save(-1, 0, names);
	names_drop(names);
	resolver_close(names->resolver);
	if (names->save)
		event_free(names->save);
	json_decref(names->known);
	free(names->path);
	free(names);
	d->names = NULL;
}
