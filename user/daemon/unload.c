// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "user/daemon/daemon.h"
#include "user/lib/instance.h"
#include "user/lib/log.h"

static void add(json_t *list, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void add(json_t *list, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	json_array_append_new(list, json_vsprintf(fmt, ap));
	va_end(ap);
}

json_t *unload_effects(const struct config *config)
{
	json_t *list = json_array();
	char a[PREFIX_STRLEN], b[PREFIX_STRLEN];

	if (!list || !config)
		return list;
	for (size_t i = 0; i < config->n_interfaces; i++)
		add(list,
		    "interface %s (%s): nothing is dropped here any more; what the kernel forwards is as before fairlead",
		    config->interfaces[i].name, config->interfaces[i].device);
	for (size_t i = 0; i < config->n_tunnels; i++)
		add(list, "tunnel %s: its device, addresses and routes are gone; protocol 41 is not looked at",
		    config->tunnels[i].name);
	for (size_t i = 0; i < config->n_vips; i++)
		add(list,
		    "vip %s: this node does not take part any more; its addresses on %s are another node's, or nobody's",
		    config->vips[i].name, config->vips[i].interface->device);
	for (size_t i = 0; i < config->n_routes; i++)
		add(list, "route %s: gone", prefix_format(&config->routes[i].destination, a));
	for (size_t i = 0; i < config->n_translations; i++) {
		const struct config_translation *t = &config->translations[i];

		add(list, "translation of %s to %s: inside addresses are no longer hidden",
		    prefix_format(&t->internal, a), t->from ? t->from->name : prefix_format(&t->external, b));
	}
	return list;
}

/* What the last daemon ran: what was on trial, else the newest version of its history. NULL when that can't be told. */
static struct config *last_config(const struct options *options)
{
	char *dir = instance_state_dir(options->instance), *text = NULL;
	struct config_report report = { 0 };
	struct config *config = NULL;
	const json_t *entry;
	struct store store;
	size_t len;

	if (!dir || store_open(&store, options->file, dir)) {
		free(dir);
		return NULL;
	}
	if (store_pending_read(&store, &text, &len) && store_read_version(&store, 0, &text, &len, &entry))
		text = NULL;
	if (text && config_load_string(text, len, &config, &report))
		config = NULL;
	config_report_free(&report);
	store_close(&store);
	free(text);
	free(dir);
	return config;
}

/* A daemon that was killed has left it. The lock is held: nobody listens there. */
static void remove_socket(const char *instance)
{
	char *path = instance_socket(instance);

	if (path)
		unlink(path);
	free(path);
}

static void print_effects(const struct options *options)
{
	struct config *config = last_config(options);
	json_t *effects = unload_effects(config), *effect;
	size_t i;

	json_array_foreach(effects, i, effect) {
		puts(json_string_value(effect));
	}
	json_decref(effects);
	config_free(config);
}

/* To where the daemon that ran has its events. */
static void tell_unloaded(const struct options *options)
{
	char *dir = instance_state_dir(options->instance);
	struct journal *journal = dir ? journal_open(dir) : NULL;

	journal_write(journal, JOURNAL_WARNING, JOURNAL_DAEMON, options->instance, "unloaded", NULL,
		      "by fairleadd --unload: nothing of it is in the kernel any more");
	journal_close(journal);
	free(dir);
}

/* What is at work elsewhere can only be taken away there; without its pins it would go on, and nobody would know it. */
static bool refuse_elsewhere(const char *instance)
{
	char *where = NULL;

	if (!datapath_elsewhere(instance, &where))
		return false;
	log_warnx("nothing was changed: instance \"%s\" is at work in %s", instance,
		  where ? where : "another network namespace");
	free(where);
	return true;
}

int unload_orphan(struct daemon *d)
{
	int err = refuse_elsewhere(d->options.instance) ? -EXDEV : daemon_open_datapath(d, NULL);
	bool ran = !err && datapath_at_work(d->datapath), blocked = !err && datapath_is_blocked(d->system);

	if (!err) {
		err = datapath_unload(d->datapath);
		if (err)
			log_ret(err, "not all of it could be taken away");
	}
	if (!err) {
		remove_socket(d->options.instance);
		d->ending = true;
		if (ran) {
			print_effects(&d->options);
			tell_unloaded(&d->options);
		} else {
			log_info("nothing of instance \"%s\" was at work in this network namespace",
				 d->options.instance);
		}
		if (blocked && !datapath_is_blocked(d->system))
			log_info("what was blocked by --block is forwarded again, as the kernel likes");
	}
	daemon_close(d);
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}
