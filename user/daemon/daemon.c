// SPDX-License-Identifier: GPL-2.0-only
#include "user/daemon/daemon.h"
#include "user/daemon/drill.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "user/lib/clock.h"
#include "user/lib/file.h"
#include "user/lib/instance.h"
#include "user/lib/log.h"
#include "user/lib/script.h"

/* ---- the own file ---- */

struct own {
	struct config *config;
	char *text;
	size_t len;
};

static int read_own(struct daemon *d, struct own *own)
{
	struct config_report report = { 0 };
	int err = file_read(d->options.file, &own->text, &own->len);
	char *why;

	if (err) {
		why = file_why_unread(d->options.file, err);
		log_warnx("%s: %s", d->options.file, why ? why : strerror(-err));
		free(why);
		return EXIT_WRONG;
	}
	err = config_load_string(own->text, own->len, &own->config, &report);
	config_report_print(&report, "fairleadd", d->options.file, stderr);
	config_report_free(&report);
	return err ? EXIT_WRONG : 0;
}

/* Absolute, for a daemon in the background is elsewhere; links in it are followed anew whenever it is read or written. */
static char *own_path(const char *file)
{
	char *cwd = *file == '/' ? NULL : getcwd(NULL, 0), *path = NULL;

	if (*file == '/')
		path = strdup(file);
	else if (cwd && asprintf(&path, "%s/%s", cwd, file) < 0)
		path = NULL;
	free(cwd);
	return path;
}

int daemon_check(struct daemon *d)
{
	struct own own = { 0 };
	int status = read_own(d, &own);

	config_free(own.config);
	free(own.text);
	return status;
}

/* ---- starting ---- */

/* What hinders scripts is no reason to refuse a configuration: they may come later. */
static void warn_of_scripts(char *const *paths, size_t n, const char *section, struct config_report *report)
{
	char pointer[64];

	for (size_t i = 0; i < n; i++) {
		const char *trouble = script_trouble(paths[i]);

		snprintf(pointer, sizeof(pointer), "/hooks/%s/%zu", section, i);
		if (trouble)
			config_report_add(report, true, pointer, "%s would not be run: %s", paths[i], trouble);
	}
}

static void warn_of_hooks(const struct config *config, struct config_report *report)
{
	warn_of_scripts(config->hooks_gateway, config->n_hooks_gateway, "gateway", report);
	warn_of_scripts(config->hooks_vip, config->n_hooks_vip, "vip", report);
}

static int apply_to_datapath(void *arg, const struct config *config, struct config_report *report, char **why)
{
	struct daemon *d = arg;
	int err;

	names_fill(d, config);
	err = datapath_apply(d->datapath, config, report, why);

	events_watch_raw(d, true);
	if (err)
		return err;
	journal_configure(d->journal, &config->log);
	warn_of_hooks(config, report);
	hooks_configure(d->gateway_hooks, config->node, config->hooks_gateway, config->n_hooks_gateway);
	updates_warn(config, report);
	names_configure(d, config);
	updates_configure(d, config);
	updates_tick(d);
	ha_configure(d, config); /* whose keys sign adverts */
	vips_configure(d, config);
	ha_states_configure(d, config);
	if (d->observe)
		observe_configure(d->observe, &config->log);
	return 0;
}

static int preview_datapath(void *arg, const struct config *config, struct config_report *report, char **why)
{
	struct daemon *d = arg;

	warn_of_hooks(config, report);
	updates_warn(config, report);
	return datapath_preview(d->datapath, config, report, why);
}

/* What is in other files that the configuration names. */
static void check_files(void *arg, const struct config *config, struct config_report *report)
{
	(void)arg;
	vips_warn(config, report);
	ha_check(config, report);
}

/* What is on disk but for the own file: the configuration's history, and events. */
static int open_state(struct daemon *d)
{
	const struct apply_target target = { apply_to_datapath, d, preview_datapath, check_files };
	char *dir = instance_state_dir(d->options.instance);
	int err = dir ? apply_init(&d->apply, d->base, &target, d->file, dir) : -ENOMEM;

	d->journal = dir ? journal_open(dir) : NULL;
	d->apply.journal = d->journal;
	if (!err && !d->journal)
		err = -ENOMEM;
	err = err ?: names_open(d, dir);
	err = err ?: updates_open(d, dir);
	if (err)
		log_ret(err, "%s", dir ? dir : "memory");
	free(dir);
	return err;
}

static int open_hooks(struct daemon *d)
{
	d->gateway_hooks = hooks_open(d->base, d->journal, "gateway", d->options.instance);
	return d->gateway_hooks ? 0 : log_ret(ENOMEM, "hooks");
}

static const char *rule_name(void *arg, unsigned int id, int *index)
{
	return datapath_rule_name(((struct daemon *)arg)->datapath, id, index);
}

static const char *port_name(void *arg, unsigned int number)
{
	return datapath_port_name(((struct daemon *)arg)->datapath, number);
}

/* Packets go on without a log, too. */
static void open_observe(struct daemon *d)
{
	const struct observe_names names = { port_name, rule_name, d };
	int ring, stats, err;

	datapath_event_maps(d->datapath, &ring, &stats);
	err = observe_open(&d->observe, d->base, ring, stats, &names);
	if (err)
		log_ret(err, "logged packets can't be read");
}

static int open_control(struct daemon *d)
{
	char *path = instance_socket(d->options.instance);
	int err = path ? control_open(&d->control, d->base, path, daemon_commands, d, CONTROL_TIMEOUT_S) : -ENOMEM;

	if (err)
		log_ret(err, "%s", path ? path : "memory");
	free(path);
	return err;
}

/* Everything that the daemon needs before a configuration: 0 or -errno, told. */
int daemon_open_datapath(struct daemon *d, const struct config *config)
{
	int err;

	d->lock_fd = lock_instance(d->options.instance, &d->killed);
	if (d->lock_fd < 0)
		return d->lock_fd;
	d->base = event_base_new();
	if (!d->base || events_open(d))
		return log_ret(ENOMEM, "event loop");
	err = system_open(&d->system, events_system_changed, d);
	if (err)
		return log_ret(err, "netlink");
	err = datapath_open(&d->datapath, d->options.instance, d->system, config);
	return err ? log_ret(err, "the programs can't be loaded") : 0;
}

static void tell_finding(const char *what, const struct config_finding *f)
{
	log_warnx("%s: %s: %s%s", what, f->pointer, f->warning ? "warning: " : "", f->text);
}

static void tell_start(const char *what, const struct apply_result *result)
{
	for (size_t i = 0; i < result->report.n_findings; i++)
		tell_finding(what, &result->report.findings[i]);
	if (result->status)
		log_warnx("%s: %s", what, result->error ? result->error : "not applied");
}

static void tell_started(struct daemon *d)
{
	const char *found = datapath_adopted(d->datapath) ? "a running data plane is taken over" : "forwarding begins";
	json_t *details = json_pack("{s:s,s:i,s:s,s:I}", "version", FAIRLEAD_VERSION, "pid", (int)getpid(), "file",
				    d->file, "config_version", (json_int_t)store_newest(&d->apply.store));

	if (d->killed)
		journal_write(d->journal, JOURNAL_WARNING, JOURNAL_DAEMON, d->options.instance, "started", details,
			      "the last daemon, process %d, ended without being told to; %s", d->killed, found);
	else
		journal_write(d->journal, JOURNAL_NOTICE, JOURNAL_DAEMON, d->options.instance, "started", details, "%s",
			      found);
}

/* The own file comes first: with a wrong one, what an earlier daemon left is not touched. */
int daemon_open(struct daemon *d)
{
	struct apply_result result = { 0 };
	struct own own = { 0 };
	int status = read_own(d, &own);

	if (status)
		goto out;
	status = EXIT_FAILURE;
	d->file = own_path(d->options.file);
	if (!d->file) {
		log_warn("%s", d->options.file);
		goto out;
	}
	d->start_ms = clock_ms(CLOCK_BOOTTIME);
	if (daemon_open_datapath(d, own.config) || open_state(d) || open_hooks(d))
		goto out;
	datapath_report_to(d->datapath, d->journal);
	open_observe(d);
	if (gateways_open(d) || vips_open(d) || ha_open(d) || ha_states_open(d) || ha_strays_open(d) ||
	    ha_config_open(d))
		goto out;
	apply_start(&d->apply, own.config, own.text, own.len, &result);
	tell_start(d->file, &result);
	if (result.status)
		goto out;
	own.config = NULL;
	ha_config_changed(d, HA_CONFIG_STARTED, NULL);
	if (events_watch(d) || open_control(d))
		goto out;
	tell_started(d);
	drill_resume(d);
	status = 0;
out:
	apply_result_free(&result);
	config_free(own.config);
	free(own.text);
	return status;
}

/* Leaves packets going on as they are. */
void daemon_close(struct daemon *d)
{
	control_close(d->control);
	observe_close(d->observe);
	hooks_close(d->gateway_hooks);
	ha_config_end(d);
	ha_close(d);
	ha_states_close(d);
	ha_config_close(d);
	ha_strays_close(d);
	vips_close(d);
	gateways_close(d);
	updates_close(d);
	names_close(d);
	if (d->datapath)
		datapath_close(d->datapath);
	apply_fini(&d->apply);
	if (d->base)
		events_close(d);
	if (d->system)
		system_close(d->system);
	if (d->base)
		event_base_free(d->base);
	journal_close(d->journal);
	if (d->ending && d->lock_fd >= 0)
		lock_ending(d->lock_fd);
	if (d->lock_fd >= 0)
		close(d->lock_fd);
	free(d->own_seen.trouble);
	free(d->file);
}

void daemon_tell_result(struct daemon *d, const char *who, const struct apply_result *result)
{
	json_t *details;

	for (size_t i = 0; i < result->report.n_findings; i++)
		tell_finding(who, &result->report.findings[i]);
	details = json_pack("{s:I}", "version", (json_int_t)store_newest(&d->apply.store));
	if (result->status)
		journal_write(d->journal, JOURNAL_WARNING, JOURNAL_APPLY, who, "refused", details, "%s",
			      result->error ? result->error : "not applied");
	else
		journal_write(d->journal, JOURNAL_NOTICE, JOURNAL_APPLY, who, result->state, details, "%s",
			      result->summary ? result->summary : "");
}

void daemon_applied(struct daemon *d, const struct apply_request *request, const char *who, struct apply_result *result)
{
	if (request->dry_run)
		return;
	ha_config_changed(d, request->local ? HA_CONFIG_LOCAL : HA_CONFIG_APPLIED, result);
	daemon_tell_result(d, who, result);
}

/* true: the other nodes are asked */
static bool own_with_peers(struct daemon *d, const struct apply_request *how, const char *who,
			   struct control_answer *answer)
{
	struct apply_request request = *how;
	bool taken;
	char *text;

	if (file_read_regular(d->file, &text, &request.len))
		return false; /* it is told why by who reads it next */
	request.text = text;
	taken = ha_config_apply(d, &request, who, true, answer);
	free(text);
	return taken;
}

void daemon_apply_own(struct daemon *d, const struct apply_request *how, const char *who, struct control_answer *answer)
{
	struct apply_result result;

	if (own_with_peers(d, how, who, answer))
		return;
	apply_own_file(&d->apply, how, &result);
	daemon_applied(d, how, who, &result);
	if (!answer) {
		apply_result_free(&result);
		return;
	}
	answer->file = strdup(d->file);
	command_answer_result(answer, &result);
}
