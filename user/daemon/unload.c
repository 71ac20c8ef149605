// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "user/daemon/daemon.h"
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
	for (size_t i = 0; i < config->n_routes; i++)
		add(list, "route %s: gone", prefix_format(&config->routes[i].destination, a));
	for (size_t i = 0; i < config->n_translations; i++) {
		const struct config_translation *t = &config->translations[i];

		add(list, "translation of %s to %s: inside addresses are no longer hidden",
		    prefix_format(&t->internal, a), t->from ? t->from->name : prefix_format(&t->external, b));
	}
	return list;
}

static struct config *own_config(const char *file)
{
	struct config_report report = { 0 };
	struct config *config = NULL;

	if (config_load_file(file, &config, &report))
		log_info("%s can't be read, so what was protected can't be told", file);
	config_report_free(&report);
	return config;
}

int unload_orphan(struct daemon *d)
{
	struct config *config = NULL;
	json_t *effects, *effect;
	int err = daemon_open_datapath(d);
	size_t i;

	if (!err) {
		err = datapath_unload(d->datapath);
		if (err)
			log_ret(err, "not all of it could be taken away");
	}
	if (!err) {
		config = own_config(d->options.file);
		effects = unload_effects(config);
		json_array_foreach(effects, i, effect) {
			puts(json_string_value(effect));
		}
		json_decref(effects);
		config_free(config);
	}
	daemon_close(d);
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}
