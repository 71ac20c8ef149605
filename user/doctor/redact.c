// SPDX-License-Identifier: GPL-2.0-only
#include "user/doctor/redact.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECRET_MIN 4 /* bytes: shorter ones would be found in every word */
#define SECRETS_MAX 1024
#define FILE_MAX 4096

struct secrets {
	char *of[SECRETS_MAX];
	size_t n;
};

/* ---- what is secret ---- */

static void add(struct secrets *s, const char *text, size_t len)
{
	if (len < SECRET_MIN || s->n == SECRETS_MAX)
		return;
	s->of[s->n] = strndup(text, len);
	s->n += s->of[s->n] != NULL;
}

static void add_text(struct secrets *s, const char *text)
{
	if (text)
		add(s, text, strlen(text));
}

/* Each line of the file. */
static void add_file(struct secrets *s, const char *path)
{
	int fd = path ? open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC) : -1;
	char text[FILE_MAX + 1], *line, *rest = text;
	ssize_t len;

	if (fd < 0)
		return;
	len = read(fd, text, FILE_MAX);
	close(fd);
	text[len > 0 ? len : 0] = '\0';
	while ((line = strsep(&rest, "\r\n")))
		add_text(s, line);
	explicit_bzero(text, sizeof(text));
}

/* Behind "//": up to the host's end; what is before its @ */
static size_t url_host(const char *url, const char **user, size_t *user_len)
{
	const char *host = strstr(url, "://"), *at, *end;

	host = host ? host + 3 : url;
	end = host + strcspn(host, "/?#");
	at = memchr(host, '@', end - host);
	*user = host;
	*user_len = at ? (size_t)(at - host) : 0;
	return end - url;
}

/* User, password, each part of the path and each value of the query: tokens stand in all of them. */
static void add_url(struct secrets *s, const char *url)
{
	const char *user, *part;
	size_t len, user_len;

	if (!url)
		return;
	part = url + url_host(url, &user, &user_len);
	add(s, user, user_len);
	len = strcspn(user, ":@/");
	add(s, user, user_len ? len : 0);
	if (user_len > len)
		add(s, user + len + 1, user_len - len - 1);
	while (*part) {
		part++;
		len = strcspn(part, "/?#&=;");
		add(s, part, len);
		part += len;
	}
}

struct secrets *secrets_collect(const struct config *c)
{
	struct secrets *s = calloc(1, sizeof(*s));

	for (size_t i = 0; s && c && i < c->n_tunnels; i++) {
		const struct config_update *update = &c->tunnels[i].update;

		add_url(s, update->url);
		add_text(s, update->user);
		add_text(s, update->host);
		add_file(s, update->password_file);
	}
	for (size_t i = 0; s && c && i < c->n_vips; i++)
		add_file(s, c->vips[i].password_file);
	if (s && c)
		add_file(s, c->ha.key_file);
	for (size_t i = 0; s && c && i < c->n_checks; i++)
		for (size_t j = 1; j < c->checks[i].n_command; j++)
			add_text(s, c->checks[i].command[j]);
	return s;
}

void secrets_free(struct secrets *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n; i++) {
		explicit_bzero(s->of[i], strlen(s->of[i]));
		free(s->of[i]);
	}
	free(s);
}

/* ---- by structure ---- */

static json_t *removed(void)
{
	return json_string(REDACTED);
}

static json_t *redact_url(const json_t *url)
{
	const char *text = json_string_value(url), *user;
	size_t end, user_len, skip;

	if (!text)
		return removed();
	end = url_host(text, &user, &user_len);
	skip = (size_t)(user - text) + user_len + (user_len != 0);
	return json_sprintf("%.*s%.*s/" REDACTED, (int)(user - text), text, (int)(end - skip), text + skip);
}

static json_t *redact_command(const json_t *command)
{
	return json_pack("[O?, s]", json_array_get(command, 0), REDACTED);
}

static json_t *redact_update(const json_t *update)
{
	json_t *copy = json_copy((json_t *)update);

	if (json_object_get(copy, "url"))
		json_object_set_new(copy, "url", redact_url(json_object_get(copy, "url")));
	if (json_object_get(copy, "user"))
		json_object_set_new(copy, "user", removed());
	if (json_object_get(copy, "host"))
		json_object_set_new(copy, "host", removed());
	return copy;
}

static json_t *redact_value(const char *key, const json_t *value);

static json_t *redact_object(const json_t *object)
{
	json_t *copy = json_object(), *value;
	const char *key;

	json_object_foreach((json_t *)object, key, value) {
		if (strcmp(key, "description"))
			json_object_set_new(copy, key, redact_value(key, value));
	}
	return copy;
}

static json_t *redact_array(const json_t *array)
{
	json_t *copy = json_array(), *value;
	size_t i;

	json_array_foreach((json_t *)array, i, value) {
		json_array_append_new(copy, redact_value("", value));
	}
	return copy;
}

static json_t *redact_value(const char *key, const json_t *value)
{
	if (json_is_object(value))
		return !strcmp(key, "update") ? redact_update(value) : redact_object(value);
	if (json_is_array(value))
		return !strcmp(key, "command") ? redact_command(value) : redact_array(value);
	return json_incref((json_t *)value);
}

json_t *redact_config(const json_t *config)
{
	return redact_value("", config);
}

/* ---- by what it is ---- */

/* The first secret in `text`, and the longest of those that begin there. */
static const char *find(const struct secrets *s, const char *text, size_t *len)
{
	const char *first = NULL;

	*len = 0;
	for (size_t i = 0; i < s->n; i++) {
		const char *at = strstr(text, s->of[i]);
		size_t its = strlen(s->of[i]);

		if (!at || (first && (at > first || (at == first && its <= *len))))
			continue;
		first = at;
		*len = its;
	}
	return first;
}

char *redact_text(const struct secrets *s, const char *text)
{
	const char *at;
	char *out = NULL;
	size_t size, len;
	FILE *to = open_memstream(&out, &size);

	if (!to)
		return NULL;
	while ((at = find(s, text, &len))) {
		fwrite(text, 1, at - text, to);
		fputs(REDACTED, to);
		text = at + len;
	}
	fputs(text, to);
	fclose(to);
	return out;
}

static json_t *redact_string(const struct secrets *s, const json_t *json)
{
	char *text = redact_text(s, json_string_value(json));
	json_t *out = text ? json_string(text) : NULL;

	free(text);
	return out ? out : removed(); /* half of a character was left */
}

json_t *redact_json(const struct secrets *s, const json_t *json)
{
	json_t *out, *value;
	const char *key;
	size_t i;

	if (json_is_string(json))
		return redact_string(s, json);
	if (json_is_array(json)) {
		out = json_array();
		json_array_foreach((json_t *)json, i, value) {
			json_array_append_new(out, redact_json(s, value));
		}
		return out;
	}
	if (json_is_object(json)) {
		out = json_object();
		json_object_foreach((json_t *)json, key, value) {
			char *name = redact_text(s, key);

			json_object_set_new_nocheck(out, name ? name : REDACTED, redact_json(s, value));
			free(name);
		}
		return out;
	}
	return json_incref((json_t *)json);
}
