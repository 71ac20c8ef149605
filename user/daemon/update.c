// SPDX-License-Identifier: GPL-2.0-only
#include "user/daemon/update.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "user/daemon/daemon.h"
#include "user/daemon/https.h"
#include "user/daemon/resolver.h"
#include "user/daemon/update_state.h"
#include "user/daemon/url.h"
#include "user/lib/clock.h"
#include "user/lib/file.h"
#include "user/lib/kept.h"
#include "user/lib/log.h"
#include "user/lib/secret.h"

#define PASSWORD_MAX 256 /* bytes, with a 0 */
#define WHY_MAX 256

struct update {
	struct updates *updates;
	const struct config_tunnel *tunnel;
	char *account; /* what the broker is asked by: with another one all begins anew */
	char *host;    /* of the url */
	struct update_state state;
	char answer[WHY_MAX];	/* the last one, or why there was none */
	char told_why[WHY_MAX]; /* of the failure that was told last; "": none since it went well */
	unsigned int turn;	/* which of the broker's addresses is asked: another one after each silence */
	struct datapath_end end;
	struct addr sent; /* the address that the request names; AF_UNSPEC: it names none */
	struct resolver_question *question;
	struct https_request *request;
};

struct updates {
	struct daemon *daemon;
	char *path;
	json_t *kept; /* as in the file */
	struct resolver *resolver;
	struct https *https; /* NULL until a configuration needs it */
	struct update **all; /* each by itself: a request on its way knows its own */
	size_t n;
};

/* ---- what is kept ---- */

/* Another url, user, host or password file. Of the file its size and time: it is no secret. Malloc'ed. */
static char *account_of(const struct config_update *u)
{
	struct stat st = { 0 };
	char *text;

	if (u->password_file && stat(u->password_file, &st))
		st = (struct stat){ 0 };
	if (asprintf(&text, "%s %s %s %s %lld %lld.%09ld", u->url, u->user ? u->user : "", u->host ? u->host : "",
		     u->password_file ? u->password_file : "", (long long)st.st_size, (long long)st.st_mtim.tv_sec,
		     st.st_mtim.tv_nsec) < 0)
		return NULL;
	return text;
}

static void write_kept(struct updates *updates)
{
	int err = kept_save(updates->path, updates->kept, JSON_INDENT(1) | JSON_SORT_KEYS);

	if (err)
		log_ret(err, "%s: what brokers know is not kept", updates->path);
}

/* While it is asked nobody can tell what it knows: so a daemon that is killed meanwhile leaves it. */
static void keep(struct update *u)
{
	static const struct addr unknown;
	struct updates *updates = u->updates;
	char told[ADDR_STRLEN];

	json_object_set_new(updates->kept, u->tunnel->name,
			    json_pack("{s:s,s:s,s:b,s:s,s:I,s:I}", "account", u->account, "told",
				      addr_format(u->state.asking ? &unknown : &u->state.told, told), "refused",
				      u->state.refused, "answer", u->answer, "answered_ms",
				      (json_int_t)u->state.answered_ms, "open_ms", (json_int_t)u->state.open_ms));
	write_kept(updates);
}

static bool is_among(struct update *const *all, size_t n, const char *tunnel)
{
	for (size_t i = 0; i < n; i++)
		if (all[i] && !strcmp(all[i]->tunnel->name, tunnel))
			return true;
	return false;
}

/* Tunnels that are gone, or tell no broker any more; not those of the configuration before, which may come back: it was on trial. */
static void forget_others(struct updates *updates, struct update *const *before, size_t n_before)
{
	size_t n = json_object_size(updates->kept);
	const char *tunnel;
	json_t *kept; /* not used: the macro gives it */
	void *next;

	json_object_foreach_safe(updates->kept, next, tunnel, kept)
		if (!is_among(updates->all, updates->n, tunnel) && !is_among(before, n_before, tunnel))
			json_object_del(updates->kept, tunnel);
	if (json_object_size(updates->kept) != n)
		write_kept(updates);
}

static void take_kept(struct update *u)
{
	const json_t *kept = json_object_get(u->updates->kept, u->tunnel->name);
	const char *account = json_string_value(json_object_get(kept, "account"));
	const char *told = json_string_value(json_object_get(kept, "told"));
	const char *answer = json_string_value(json_object_get(kept, "answer"));

	if (!account || strcmp(account, u->account) || !told || !answer)
		return;
	if (addr_parse(told, &u->state.told))
		u->state.told = (struct addr){ 0 };
	u->state.refused = json_is_true(json_object_get(kept, "refused"));
	u->state.answered_ms = json_integer_value(json_object_get(kept, "answered_ms"));
	u->state.open_ms = json_integer_value(json_object_get(kept, "open_ms"));
	snprintf(u->answer, sizeof(u->answer), "%s", answer);
}

/* ---- telling people ---- */

static void tell(struct update *u, enum update_outcome outcome)
{
	static const char *const events[] = {
		[UPDATE_TOLD] = "broker told",	     [UPDATE_LATER] = "broker not told",
		[UPDATE_SILENT] = "broker not told", [UPDATE_UNSENT] = "broker not told",
		[UPDATE_REFUSED] = "broker refuses",
	};
	const bool good = outcome == UPDATE_TOLD;
	char address[ADDR_STRLEN];

	if (!good && !strcmp(u->told_why, u->answer))
		return; /* again */
	snprintf(u->told_why, sizeof(u->told_why), "%s", good ? "" : u->answer);
	addr_format(&u->state.want, address);
	journal_write(u->updates->daemon->journal, good ? JOURNAL_NOTICE : JOURNAL_WARNING, JOURNAL_TUNNEL,
		      u->tunnel->name, events[outcome],
		      json_pack("{s:s,s:s}", "address", address, "device", u->end.device), "%s%s", u->answer,
		      outcome == UPDATE_REFUSED ? "; it is asked no more until the configuration changes" : "");
}

static void ended(struct update *u, enum update_outcome outcome)
{
	update_end(&u->state, outcome, clock_ms(CLOCK_REALTIME));
	tell(u, outcome);
	if (outcome != UPDATE_UNSENT)
		keep(u);
}

static void unsent(struct update *u, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void unsent(struct update *u, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(u->answer, sizeof(u->answer), fmt, ap);
	va_end(ap);
	ended(u, UPDATE_UNSENT);
}

/* ---- asking ---- */

static void on_answer(void *arg, long status, const char *text)
{
	struct update *u = arg;

	u->request = NULL;
	if (status) {
		ended(u, update_judge(status, text, &u->sent, u->answer));
		return;
	}
	snprintf(u->answer, sizeof(u->answer), "no answer: %s", text);
	u->turn++;
	ended(u, UPDATE_SILENT);
}

/* What the broker is asked: malloc'ed. Where it must see itself what the address is, none is said. */
static char *url_of(struct update *u)
{
	const struct config_update *config = &u->tunnel->update;
	char *url = strdup(config->url), *with, address[ADDR_STRLEN];

	u->sent = update_is_public(&u->state.want) ? u->state.want : (struct addr){ 0 };
	if (url && config->host) {
		with = url_add_query(url, "hostname", config->host);
		free(url);
		url = with;
	}
	if (url && u->sent.family) {
		with = url_add_query(url, "myip", addr_format(&u->sent, address));
		free(url);
		url = with;
	}
	return url;
}

static void send_to(struct update *u, const struct addr *to)
{
	const struct config_update *config = &u->tunnel->update;
	struct https_setup setup = { .user = config->user, .to = *to, .source = u->end.local };
	char password[PASSWORD_MAX] = "", address[ADDR_STRLEN], *url;
	const char *why;
	bool by_device;

	if (datapath_end_way(u->updates->daemon->datapath, &u->end, to, &setup.mark, &by_device)) {
		unsent(u, "no way to %s by %s", addr_format(to, address), u->end.device);
		return;
	}
	setup.device = by_device ? u->end.device : NULL;
	if (config->password_file) {
		setup.password = secret_read(config->password_file, password, sizeof(password), &why);
		if (!setup.password) {
			unsent(u, "%s: %s", config->password_file, why);
			return;
		}
	}
	url = url_of(u);
	setup.url = url;
	why = strerror(ENOMEM);
	u->request = url ? https_get(u->updates->https, &setup, on_answer, u, &why) : NULL;
	explicit_bzero(password, sizeof(password));
	free(url);
	if (!u->request) {
		unsent(u, "it can't be asked: %s", why);
		return;
	}
	update_sent(&u->state, clock_ms(CLOCK_REALTIME));
	keep(u);
}

static void on_resolved(void *arg, const struct resolver_answer *answer)
{
	struct update *u = arg;

	u->question = NULL;
	if (answer->why)
		unsent(u, "%s: name not resolved: %s", u->host, answer->why);
	else
		send_to(u, &answer->addresses[u->turn % answer->n]);
}

static void begin(struct update *u)
{
	struct addr to;

	update_begin(&u->state);
	if (!u->updates->https)
		u->updates->https = https_open(u->updates->daemon->base);
	if (!u->host || !u->updates->https) {
		unsent(u, "out of memory, or this url has no host");
		return;
	}
	if (!addr_parse(u->host, &to)) {
		if (to.family == AF_INET)
			send_to(u, &to);
		else
			unsent(u, "%s is no IPv4 address, from which the tunnel's end is told", u->host);
		return;
	}
	u->question = resolver_ask(u->updates->resolver, u->host, on_resolved, u);
	if (!u->question)
		unsent(u, "out of memory");
}

static void cancel(struct update *u)
{
	resolver_forget(u->question);
	https_cancel(u->request);
	u->question = NULL;
	u->request = NULL;
}

static void follow(struct update *u, long long now)
{
	struct datapath_end end = { 0 };

	if (datapath_tunnel_end(u->updates->daemon->datapath, u->tunnel, &end))
		end.local = (struct addr){ 0 };
	if (update_want(&u->state, &end.local))
		cancel(u);
	if (!u->state.asking)
		u->end = end;
	if (update_due(&u->state, u->tunnel->update.min_interval_s, now) <= now)
		begin(u);
}

void updates_tick(struct daemon *d)
{
	long long now = clock_ms(CLOCK_REALTIME);

	for (size_t i = 0; i < d->updates->n; i++)
		follow(d->updates->all[i], now);
}

/* ---- a configuration ---- */

static void update_free(struct update *u)
{
	if (!u)
		return;
	cancel(u);
	free(u->account);
	free(u->host);
	free(u);
}

/* The same account goes on, also a request that is on its way; what has failed is tried at once. */
static struct update *goes_on(struct update **before, size_t n, const struct config_tunnel *tunnel, const char *account)
{
	for (size_t i = 0; i < n; i++) {
		struct update *u = before[i];

		if (!u || strcmp(u->tunnel->name, tunnel->name) || strcmp(u->account, account))
			continue;
		before[i] = NULL;
		u->tunnel = tunnel;
		u->state.failures = 0;
		return u;
	}
	return NULL;
}

static struct update *begins(struct updates *updates, const struct config_tunnel *tunnel, const char *account)
{
	struct update *u = calloc(1, sizeof(*u));

	if (!u)
		return NULL;
	u->updates = updates;
	u->tunnel = tunnel;
	u->account = strdup(account);
	u->host = url_host(tunnel->update.url);
	if (!u->account) {
		update_free(u);
		return NULL;
	}
	take_kept(u);
	return u;
}

static struct update *configure(struct updates *updates, struct update **before, size_t n_before,
				const struct config_tunnel *tunnel)
{
	char *account = account_of(&tunnel->update);
	struct update *u = account ? goes_on(before, n_before, tunnel, account) : NULL;

	if (account && !u)
		u = begins(updates, tunnel, account);
	if (!u)
		log_warnx("out of memory: the broker of %s is not told of changes", tunnel->name);
	free(account);
	return u;
}

void updates_configure(struct daemon *d, const struct config *config)
{
	struct updates *updates = d->updates;
	struct update **before = updates->all;
	size_t n_before = updates->n;

	updates->n = 0;
	updates->all = calloc(config->n_tunnels + 1, sizeof(struct update *));
	if (!updates->all)
		log_warnx("out of memory: brokers are not told of changes");
	for (size_t i = 0; updates->all && i < config->n_tunnels; i++) {
		struct update *u = NULL;

		if (config->tunnels[i].update.url)
			u = configure(updates, before, n_before, &config->tunnels[i]);
		if (u)
			updates->all[updates->n++] = u;
	}
	if (updates->all)
		forget_others(updates, before, n_before);
	for (size_t i = 0; i < n_before; i++)
		update_free(before[i]);
	free(before);
}

void updates_warn(const struct config *config, struct config_report *report)
{
	char pointer[96];

	for (size_t i = 0; i < config->n_tunnels; i++) {
		const struct config_update *u = &config->tunnels[i].update;
		const char *trouble = u->password_file ? secret_trouble(u->password_file) : NULL;

		snprintf(pointer, sizeof(pointer), "/tunnels/%s/update/password_file", config->tunnels[i].name);
		if (trouble)
			config_report_add(report, true, pointer, "the broker would not be told: %s: %s",
					  u->password_file, trouble);
	}
}

/* ---- showing ---- */

static const char *status_of(const struct update *u)
{
	if (u->state.refused)
		return "refused";
	if (!u->state.want.family)
		return "no-address";
	if (addr_equal(&u->state.want, &u->state.told))
		return "told";
	if (u->state.asking)
		return "asking";
	return u->state.failures ? "failing" : "waiting";
}

static json_t *update_json(const struct update *u)
{
	char told[ADDR_STRLEN];

	return json_pack("{s:s,s:s,s:s,s:o}", "status", status_of(u), "address", addr_format(&u->state.told, told),
			 "answer", u->answer, "time_ms",
			 u->state.answered_ms ? json_integer(u->state.answered_ms) : json_null());
}

void updates_show(struct daemon *d, json_t *rows)
{
	json_t *row;
	size_t i;

	json_array_foreach(rows, i, row) {
		const char *name = json_string_value(json_object_get(row, "name"));

		for (size_t j = 0; name && j < d->updates->n; j++)
			if (!strcmp(d->updates->all[j]->tunnel->name, name))
				json_object_set_new(row, "update", update_json(d->updates->all[j]));
	}
}

void updates_reasons(struct daemon *d, json_t *reasons)
{
	char want[ADDR_STRLEN];

	for (size_t i = 0; i < d->updates->n; i++) {
		const struct update *u = d->updates->all[i];

		if (u->state.refused)
			json_array_append_new(reasons, json_sprintf("tunnel %s: its broker refuses the update: %s",
								    u->tunnel->name, u->answer));
		else if (u->state.failures)
			json_array_append_new(reasons, json_sprintf("tunnel %s: its broker is not told of %s: %s",
								    u->tunnel->name, addr_format(&u->state.want, want),
								    u->answer));
	}
}

/* ---- beginning and end ---- */

int updates_open(struct daemon *d, const char *dir)
{
	struct updates *updates = calloc(1, sizeof(*updates));

	d->updates = updates;
	if (!updates)
		return log_ret(ENOMEM, "updates");
	updates->daemon = d;
	if (asprintf(&updates->path, "%s/updates.json", dir) < 0)
		updates->path = NULL;
	updates->resolver = resolver_open(d->base);
	if (updates->path)
		updates->kept = kept_load(updates->path);
	return updates->path && updates->kept && updates->resolver ? 0 : log_ret(ENOMEM, "updates");
}

void updates_close(struct daemon *d)
{
	struct updates *updates = d->updates;

	if (!updates)
		return;
	for (size_t i = 0; i < updates->n; i++)
		update_free(updates->all[i]);
	free(updates->all);
	https_close(updates->https);
	resolver_close(updates->resolver);
	json_decref(updates->kept);
	free(updates->path);
	free(updates);
	d->updates = NULL;
}
