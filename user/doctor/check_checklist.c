// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is gone through before a pair is called done: VPN, kill switch, DHCP, alerts, cellular. Each is judged by what runs, and by when a drill has
 * last shown it: a configuration alone shows nothing.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "user/doctor/judge.h"
#include "user/doctor/sockets.h"
#include "user/lib/clock.h"
#include "user/lib/file.h"

#define SYSLOG "/dev/log"
#define CELLULAR_MS 30000 /* until a backup carries, at most */
#define COMMAND_LINE_MAX 4096
#define DHCP_PORT 67

static bool is_pair(const struct doctor *d)
{
	return d->config && d->config->ha.interface && d->config->n_vips;
}

/* ---- what a drill has shown ---- */

/* The newest of these that has passed; NULL: none has. Borrowed from `drills`, as is all below. names end with a NULL. */
static const json_t *newest_passed(const json_t *drills, const char *const *names)
{
	const json_t *newest = NULL;

	for (; *names; names++) {
		const json_t *its = json_object_get(drills, *names);

		if (!strcmp(doctor_string(its, "result"), "passed") &&
		    doctor_number(its, "time_ms") > doctor_number(newest, "time_ms"))
			newest = its;
	}
	return newest;
}

static json_t *load_drills(struct doctor *d)
{
	return doctor_drills(doctor_text(d, "%s/drill", d->state_dir));
}

/* ---- VPNs: gateways that rules send to, and that nothing else takes the place of ---- */

static bool is_vpn(struct doctor *d, const struct config_gateway *gateway)
{
	static const char *const kinds[] = { "tun", "wireguard", "xfrm", "vti", "vti6" };
	const struct system_link *link = gateway->interface ? doctor_link(d, gateway->interface) : NULL;

	if (!gateway->interface || !config_is_steered_to(d->config, gateway))
		return false;
	for (size_t i = 0; link && i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strcmp(link->kind, kinds[i]))
			return true;
	return config_is_masters(d->config, gateway->interface);
}

/* `show gateways` of the node that has the addresses. NULL: it can't be asked */
static json_t *masters_gateways(struct doctor *d)
{
	if (!doctor_is_standby(d))
		return json_incref((json_t *)doctor_shown(d, "gateways"));
	return d->settings.ask(d->settings.arg, json_pack("{s:s,s:s,s:{s:s,s:s}}", "command", "drill", "order", "peer",
							  "request", "command", "show", "what", "gateways"));
}

void judge_vpn(struct doctor *d, const struct config_gateway *gateway, const json_t *rows, const json_t *drills,
	       long long now_ms)
{
	const json_t *row = doctor_row(rows, "name", gateway->name), *shown = newest_passed(drills, doctor_takeovers);
	const char *where = doctor_is_standby(d) ? "the master" : "this node";

	if (is_pair(d) && config_is_masters(d->config, gateway->interface) && !d->config->n_hooks_vip)
		doctor_fail(
			d, "hooks.vip: a script that starts it where the addresses are; hooks/openvpn.sh is an example",
			"%s: its device is the master's, and nothing starts it when this node takes over",
			gateway->name);
	else if (!row)
		doctor_warn(d, "fairlead show sync; fairlead show gateways on the other node",
			    "%s: the master can't be asked whether it is up", gateway->name);
	else if (!strcmp(doctor_string(row, "status"), "warn")) /* it answers, and is used */
		doctor_warn(d, "fairlead show gateways; its uplink", "%s is up at %s: %s", gateway->name, where,
			    doctor_string(row, "reason"));
	else if (strcmp(doctor_string(row, "status"), "up"))
		doctor_fail(
			d,
			"its log, at both ends; dead peer detection (keepalive, ping-restart, dpd) of the other end: "
			"it must try again when the address has moved",
			"%s is %s at %s: %s", gateway->name, doctor_string(row, "status"), where,
			doctor_string(row, "reason"));
	else if (is_pair(d) && !doctor_is_fresh(shown, now_ms))
		doctor_warn(
			d,
			"fairlead drill maintenance, with checks/openvpn.sh as one of checks with when drill: is it up at "
			"the other node too?",
			"%s is up at %s; that it comes back after a takeover was not tried for %d days", gateway->name,
			where, DOCTOR_DRILL_DAYS);
	else
		doctor_ok(d, "%s is up at %s", gateway->name, where);
}

void check_vpn(struct doctor *d)
{
	size_t before = json_array_size(d->rows);
	json_t *drills = load_drills(d), *rows = d->settings.answers ? masters_gateways(d) : NULL;

	for (size_t i = 0; d->config && d->settings.answers && i < d->config->n_gateways; i++)
		if (is_vpn(d, &d->config->gateways[i]))
			judge_vpn(d, &d->config->gateways[i], rows, drills, clock_ms(CLOCK_REALTIME));
	if (json_array_size(d->rows) == before)
		doctor_skip(d, d->settings.answers ? "no rule sends to a VPN" : "no daemon tells");
	json_decref(rows);
	json_decref(drills);
}

/* ---- its kill switch ---- */

/* What the load of the configuration has found of a rule that is skipped while its gateway is down. */
static bool is_unblocked(const struct doctor *d, const struct config_rule *rule)
{
	char pointer[64];

	snprintf(pointer, sizeof(pointer), "/rules/%zu/when_down", rule->index);
	for (size_t i = 0; i < d->report.n_findings; i++)
		if (!strcmp(d->report.findings[i].pointer, pointer))
			return true;
	return false;
}

static const struct config_rule *leaking_rule(const struct doctor *d, const struct config_gateway *gateway)
{
	for (size_t i = 0; i < d->config->n_rules; i++) {
		const struct config_rule *rule = &d->config->rules[i];

		if (rule->route_to.gateway == gateway && rule->when_down == CONFIG_DOWN_SKIP && is_unblocked(d, rule))
			return rule;
	}
	return NULL;
}

void judge_kill_switch(struct doctor *d, const struct config_gateway *gateway, const json_t *drills, long long now_ms)
{
	static const char *const names[] = { "vpn-down", NULL };
	const struct config_rule *leaks = leaking_rule(d, gateway);
	const json_t *shown = newest_passed(drills, names);
	const char *remedy = doctor_text(d, "fairlead drill vpn-down --target %s", gateway->name);

	if (leaks)
		doctor_fail(
			d,
			doctor_text(
				d,
				"/rules/%zu/when_down: \"block\"; or behind it a rule that blocks all that it matches",
				leaks->index),
			"%s: while it is down, what the rule \"%s\" matches may leave in clear text", gateway->name,
			leaks->name);
	else if (!doctor_is_fresh(shown, now_ms))
		doctor_warn(d, remedy, "%s: the rules block while it is down; no drill of that has passed for %d days",
			    gateway->name, DOCTOR_DRILL_DAYS);
	else
		doctor_ok(d, "%s: the rules block while it is down, as the last drill vpn-down has shown",
			  gateway->name);
}

void check_kill_switch(struct doctor *d)
{
	size_t before = json_array_size(d->rows);
	json_t *drills = load_drills(d);

	for (size_t i = 0; d->config && i < d->config->n_gateways; i++)
		if (is_vpn(d, &d->config->gateways[i]))
			judge_kill_switch(d, &d->config->gateways[i], drills, clock_ms(CLOCK_REALTIME));
	if (json_array_size(d->rows) == before)
		doctor_skip(d, d->config ? "no rule sends to a VPN" : "no configuration tells");
	json_decref(drills);
}

/* ---- DHCP: does the other node know the leases? ---- */

static const struct {
	const char *program, *option, *file, *any[4]; /* what its file has where leases are shared */
} servers[] = {
	{ "kea-dhcp4", "-c", "/etc/kea/kea-dhcp4.conf", { "libdhcp_ha", "\"mysql\"", "\"postgresql\"" } },
	{ "dhcpd", "-cf", "/etc/dhcp/dhcpd.conf", { "failover peer" } },
};

/* The file that a running one was told of; else where it usually is. */
static const char *file_of(struct doctor *d, const char *program, const char *option, const char *usual)
{
	DIR *dir = opendir("/proc");
	const char *found = usual;
	struct dirent *e;

	while (dir && (e = readdir(dir))) {
		char path[64], text[COMMAND_LINE_MAX + 1];
		size_t len;
		FILE *f;

		snprintf(path, sizeof(path), "/proc/%.16s/cmdline", e->d_name);
		f = isdigit((unsigned char)*e->d_name) ? fopen(path, "re") : NULL;
		if (!f)
			continue;
		len = fread(text, 1, COMMAND_LINE_MAX, f);
		fclose(f);
		text[len] = '\0';
		if (!len || strcmp(strrchr(text, '/') ? strrchr(text, '/') + 1 : text, program))
			continue;
		for (size_t at = 0; at < len; at += strlen(text + at) + 1)
			if (!strcmp(text + at, option) && at + strlen(option) + 1 < len)
				found = doctor_text(d, "%s", text + at + strlen(option) + 1);
	}
	if (dir)
		closedir(dir);
	return found;
}

static bool says(const char *file, const char *const *any)
{
	char *text = NULL;
	size_t len;
	bool does = false;

	if (file_read(file, &text, &len))
		return false;
	for (; *any; any++)
		does |= strstr(text, *any) != NULL;
	free(text);
	return does;
}

/* One that people have for it, by its name or its program. NULL: none */
static const char *check_of_leases(const struct config *config)
{
	static const char *const words[] = { "dhcp", "lease", "kea" };

	for (size_t i = 0; i < config->n_checks; i++)
		for (size_t j = 0; j < sizeof(words) / sizeof(words[0]); j++)
			if (strcasestr(config->checks[i].name, words[j]) ||
			    strcasestr(config->checks[i].command[0], words[j]))
				return config->checks[i].name;
	return NULL;
}

void judge_dhcp(struct doctor *d, const char *program, const char *file, const char *const *any)
{
	const char *check = check_of_leases(d->config);
	bool shares = file && says(file, any);

	if (check)
		doctor_ok(d, "%s: the check \"%s\" looks at its leases", program, check);
	else if (shares)
		doctor_warn(d, "checks/kea.sh is an example of one, for checks with when doctor and drill",
			    "%s shares its leases (%s); no check looks whether both nodes know the same ones", program,
			    file);
	else
		doctor_fail(
			d,
			"hooks/kea-dhcp4.conf is an example of leases on both nodes, checks/kea.sh of a check that looks at "
			"them",
			"%s: nothing tells that the other node knows its leases: clients may not renew after a takeover",
			program);
}

static void judge_listener(struct doctor *d, const struct listener *l)
{
	static const char *const none[] = { NULL };

	for (size_t i = 0; i < sizeof(servers) / sizeof(servers[0]); i++)
		if (!strcmp(l->program, servers[i].program)) {
			judge_dhcp(d, l->program, file_of(d, l->program, servers[i].option, servers[i].file),
				   servers[i].any);
			return;
		}
	if (strcmp(l->program, "dhcrelay")) /* has no leases */
		judge_dhcp(d, *l->program ? l->program : "a DHCP server", NULL, none);
}

/* A rule that lets clients ask. */
static const struct config_rule *dhcp_rule(const struct config *config)
{
	for (size_t i = 0; i < config->n_rules; i++) {
		const struct config_rule *rule = &config->rules[i];
		const struct config_endpoint *to = &rule->match.destination;

		for (size_t j = 0; rule->action == CONFIG_PASS && j < to->n_ports; j++)
			if (to->ports[j].first == DHCP_PORT && to->ports[j].last == DHCP_PORT)
				return rule;
	}
	return NULL;
}

void check_dhcp(struct doctor *d)
{
	struct listeners *all = is_pair(d) ? calloc(1, sizeof(*all)) : NULL;
	size_t before = json_array_size(d->rows);
	bool any = false;

	if (all)
		listeners_read(all);
	for (size_t i = 0; all && i < all->n; i++) {
		if (all->of[i].proto != IPPROTO_UDP || all->of[i].family != AF_INET || all->of[i].port != DHCP_PORT)
			continue;
		if (!any)
			judge_listener(d, &all->of[i]);
		any = true;
	}
	if (all && !any && dhcp_rule(d->config))
		doctor_warn(
			d, "run the server on both nodes; hooks/kea.sh has only the master answer",
			"the rule \"%s\" lets DHCP in, and no server waits for it here: after a takeover nobody answers",
			dhcp_rule(d->config)->name);
	if (json_array_size(d->rows) == before)
		doctor_skip(d, is_pair(d) ? "no DHCP server runs here" : "there is no pair");
	free(all);
}

/* ---- alerts ---- */

static bool is_heard(const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool heard;

	strncpy(sun.sun_path, path, sizeof(sun.sun_path) - 1);
	heard = fd >= 0 && !connect(fd, (struct sockaddr *)&sun, sizeof(sun));
	if (fd >= 0)
		close(fd);
	return heard;
}

void judge_alerts(struct doctor *d, const char *path, const json_t *drills, long long now_ms)
{
	static const char *const names[] = { "alert", NULL };

	if (d->config->log.events == CONFIG_LOG_NONE)
		doctor_fail(d, "\"log\": { \"events\": \"syslog\" }, and wazuh/ or other rules in the SIEM",
			    "events are not logged (log.events is none): nobody is told of a takeover");
	else if (!is_heard(path))
		doctor_fail(d, "does a syslog daemon run? systemctl status systemd-journald rsyslog",
			    "events go to syslog, and nobody takes them: %s: %s", path, strerror(errno));
	else if (!doctor_is_fresh(newest_passed(drills, names), now_ms))
		doctor_warn(d,
			    "fairlead drill alert, with a check with when drill that asks whether the alert has come",
			    "events go to syslog; that they alert was not tried for %d days", DOCTOR_DRILL_DAYS);
	else
		doctor_ok(d, "events go to syslog; the last drill of alert has passed");
}

void check_alerts(struct doctor *d)
{
	json_t *drills = load_drills(d);

	if (is_pair(d))
		judge_alerts(d, SYSLOG, drills, clock_ms(CLOCK_REALTIME));
	else
		doctor_skip(d, "there is no pair");
	json_decref(drills);
}

/* ---- a backup by a modem ---- */

void judge_cellular(struct doctor *d, const char *name, const json_t *row, const json_t *drills, long long now_ms)
{
	static const char *const names[] = { "gateway-down", NULL };
	const json_t *last = json_object_get(drills, "gateway-down"), *shown = newest_passed(drills, names);

	if (row && strcmp(doctor_string(row, "status"), "up") && strcmp(doctor_string(row, "status"), "warn"))
		doctor_fail(d, "the modem, its SIM and its signal; fairlead show gateways", "%s is %s: %s", name,
			    doctor_string(row, "status"), doctor_string(row, "reason"));
	else if (doctor_is_fresh(last, now_ms) && doctor_number(last, "gap_ms") > CELLULAR_MS)
		doctor_fail(
			d,
			"monitor.idle_interval_ms, down_after and hold_down_s of the gateways; keep the modem connected",
			"%s: when its gateway was down, the group's next one carried after %lld s only", name,
			doctor_number(last, "gap_ms") / 1000);
	else if (!doctor_is_fresh(shown, now_ms))
		doctor_warn(d, "fairlead drill gateway-down",
			    "%s%s; that a backup carries in time was not tried for %d days", name, row ? " is up" : "",
			    DOCTOR_DRILL_DAYS);
	else
		doctor_ok(d, "%s%s; the last drill of gateway-down had a gap of %lld ms", name, row ? " is up" : "",
			  doctor_number(shown, "gap_ms"));
}

void check_cellular(struct doctor *d)
{
	size_t before = json_array_size(d->rows);
	json_t *drills = load_drills(d);

	for (size_t i = 0; d->config && i < d->config->n_gateways; i++) {
		const struct config_gateway *gateway = &d->config->gateways[i];

		if (gateway->metered)
			judge_cellular(d, gateway->name, doctor_row(doctor_shown(d, "gateways"), "name", gateway->name),
				       drills, clock_ms(CLOCK_REALTIME));
	}
	if (json_array_size(d->rows) == before)
		doctor_skip(d, d->config ? "no gateway is metered" : "no configuration tells");
	json_decref(drills);
}
