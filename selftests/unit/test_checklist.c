// SPDX-License-Identifier: GPL-2.0-only
/* What doctor makes of what is gone through before a pair is called done. */
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "selftests/unit/config_of.h"
#include "selftests/unit/tempdir.h"
#include "user/doctor/judge.h"
#include "user/lib/file.h"

#define DAY 86400000ll
#define NOW (1000 * DAY)

static struct tempdir dir;
static struct doctor d;
static const char *shown_vips;

/* `show vips`, and `show gateways` of the other node */
static json_t *answers(void *arg, json_t *request)
{
	json_t *rows = arg == &d && shown_vips ? json_pack("[{s:s,s:s}]", "name", "v", "role", shown_vips) : NULL;

	json_decref(request);
	return rows;
}

static void setup(void)
{
	tempdir_make(&dir);
	d = (struct doctor){ .rows = json_array(),
			     .shown = json_object(),
			     .check = "the-check",
			     .settings = { .instance = "x", .answers = true, .ask = answers, .arg = &d } };
	shown_vips = "master";
}

static void teardown(void)
{
	doctor_close(&d);
	tempdir_remove(&dir);
}

TestSuite(checklist, .init = setup, .fini = teardown, .timeout = 60);

static void load(const char *text)
{
	struct config_report report = { 0 };

	config_free(d.config);
	config_report_free(&d.report);
	d.config = NULL;
	cr_assert_eq(config_try(text, &d.config, &report), 0);
	d.report = report;
}

/* The only row since the last time. */
static void expect(const char *result, const char *word)
{
	const json_t *row = json_array_get(d.rows, 0);
	const char *is = doctor_string(row, "result");

	cr_expect_eq(json_array_size(d.rows), 1u);
	cr_expect_str_eq(is, result, "%s: %s", is, doctor_string(row, "finding"));
	cr_expect(strstr(doctor_string(row, "finding"), word), "%s", doctor_string(row, "finding"));
	cr_expect_eq(*doctor_string(row, "remedy") != 0, *is == 'w' || *is == 'f', "%s", word);
	json_array_clear(d.rows);
}

/* So many days ago */
static json_t *drill(const char *scenario, const char *result, int days, int gap_ms)
{
	return json_pack("{s:{s:s,s:s,s:I,s:i}}", scenario, "scenario", scenario, "result", result, "time_ms",
			 (json_int_t)(NOW - days * DAY), "gap_ms", gap_ms);
}

#define PAIR(rules, more) \
	"{ 'interfaces': { 'lan': { 'device': 'eth1' }, 'sync': { 'device': 'eth3' }, 'vpn': { 'device': 'tun0'," \
	"  'present': 'master' } }," \
	"  'gateways': { 'VPN': { 'interface': 'vpn', 'monitor': false } }, 'rules': [ " rules " ]," \
	"  'default_action': 'block'," \
	"  'vips': { 'v': { 'interface': 'lan', 'address': '10.0.1.1/24', 'vhid': 1, 'password_file': '/k' } }," \
	"  'ha': { 'interface': 'sync', 'local': '172.16.255.1', 'peers': ['172.16.255.2'], 'key_file': '/k' }" more \
	" }"
#define BY_VPN(down) "{ 'name': 'by the VPN', 'action': 'pass', 'route_to': 'VPN', 'when_down': '" down "' }"
#define BLOCKS ", { 'name': 'kill switch', 'action': 'block' }"
#define HOOKS ", 'hooks': { 'vip': ['/h'] }"

Test(checklist, vpn)
{
	json_t *up = json_pack("[{s:s,s:s,s:s}]", "name", "VPN", "status", "up", "reason", "answers");
	json_t *down = json_pack("[{s:s,s:s,s:s}]", "name", "VPN", "status", "down", "reason", "lost");
	json_t *lossy = json_pack("[{s:s,s:s,s:s}]", "name", "VPN", "status", "warn", "reason", "loss 20 %");
	json_t *tried = drill("wan-link", "passed", 3, 0), *failed = drill("wan-link", "failed", 3, 0),
	       *old = drill("wan-link", "passed", 36, 0);

	load(PAIR(BY_VPN("block"), ""));
	judge_vpn(&d, &d.config->gateways[0], up, tried, NOW);
	expect("fail", "nothing starts it");
	load(PAIR(BY_VPN("block"), HOOKS));
	judge_vpn(&d, &d.config->gateways[0], up, tried, NOW);
	expect("ok", "VPN is up at this node");
	judge_vpn(&d, &d.config->gateways[0], down, tried, NOW);
	expect("fail", "VPN is down at this node: lost");
	judge_vpn(&d, &d.config->gateways[0], lossy, tried, NOW);
	expect("warn", "VPN is up at this node: loss 20 %");
	judge_vpn(&d, &d.config->gateways[0], up, old, NOW);
	expect("warn", "not tried for 35 days");
	judge_vpn(&d, &d.config->gateways[0], up, failed, NOW);
	expect("warn", "not tried for 35 days");
	judge_vpn(&d, &d.config->gateways[0], NULL, tried, NOW);
	expect("warn", "can't be asked");
	shown_vips = "backup";
	json_object_clear(d.shown);
	judge_vpn(&d, &d.config->gateways[0], down, tried, NOW);
	expect("fail", "VPN is down at the master");
	json_decref(up);
	json_decref(down);
	json_decref(lossy);
	json_decref(tried);
	json_decref(failed);
	json_decref(old);
}

Test(checklist, kill_switch)
{
	json_t *none = json_object(), *tried = drill("vpn-down", "passed", 35, 0),
	       *old = drill("vpn-down", "passed", 36, 0);
	static const char *const blocking[] = { PAIR(BY_VPN("block"), HOOKS), PAIR(BY_VPN("reject"), HOOKS),
						PAIR(BY_VPN("skip") BLOCKS, HOOKS) };

	for (size_t i = 0; i < sizeof(blocking) / sizeof(blocking[0]); i++) {
		load(blocking[i]);
		judge_kill_switch(&d, &d.config->gateways[0], tried, NOW);
		expect("ok", "the rules block");
		judge_kill_switch(&d, &d.config->gateways[0], old, NOW);
		expect("warn", "no drill of that has passed for 35 days");
		judge_kill_switch(&d, &d.config->gateways[0], none, NOW);
		expect("warn", "no drill");
	}
	load(PAIR(BY_VPN("skip"), HOOKS));
	judge_kill_switch(&d, &d.config->gateways[0], tried, NOW);
	expect("fail", "the rule \"by the VPN\" matches may leave in clear text");
	json_decref(none);
	json_decref(tried);
	json_decref(old);
}

Test(checklist, dhcp)
{
	static const char *const any[] = { "libdhcp_ha", NULL };
	const char *path = tempdir_file(&dir, "kea.conf");

	load(PAIR(BY_VPN("block"), ""));
	file_replace(path, "{ \"x\": 1 }", 10, 0600);
	judge_dhcp(&d, "kea-dhcp4", path, any);
	expect("fail", "kea-dhcp4: nothing tells");
	file_replace(path, "libdhcp_ha.so", 13, 0600);
	judge_dhcp(&d, "kea-dhcp4", path, any);
	expect("warn", "no check looks");
	judge_dhcp(&d, "dnsmasq", NULL, any);
	expect("fail", "dnsmasq");
	load(PAIR(BY_VPN("block"), ", 'checks': [ { 'name': 'Leases', 'command': ['/c'], 'when': ['drill'] } ]"));
	judge_dhcp(&d, "dnsmasq", NULL, any);
	expect("ok", "the check \"Leases\"");
}

Test(checklist, alerts)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	json_t *none = json_object(), *tried = drill("alert", "passed", 2, 0);
	const char *path = tempdir_file(&dir, "log");

	load(PAIR(BY_VPN("block"), ", 'log': { 'events': 'none' }"));
	judge_alerts(&d, path, tried, NOW);
	expect("fail", "not logged");
	load(PAIR(BY_VPN("block"), ""));
	judge_alerts(&d, path, tried, NOW);
	expect("fail", "nobody takes them");
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", path);
	cr_assert_eq(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	judge_alerts(&d, path, tried, NOW);
	expect("ok", "has passed");
	judge_alerts(&d, path, none, NOW);
	expect("warn", "not tried for 35 days");
	close(fd);
	json_decref(none);
	json_decref(tried);
}

Test(checklist, cellular)
{
	json_t *up = json_pack("{s:s,s:s}", "status", "up", "reason", "answers"),
	       *down = json_pack("{s:s,s:s}", "status", "down", "reason", "no device");
	json_t *quick = drill("gateway-down", "passed", 1, 900), *slow = drill("gateway-down", "failed", 1, 45000),
	       *old = drill("gateway-down", "passed", 40, 900);

	judge_cellular(&d, "LTE", up, quick, NOW);
	expect("ok", "a gap of 900 ms");
	judge_cellular(&d, "LTE", down, quick, NOW);
	expect("fail", "LTE is down: no device");
	judge_cellular(&d, "LTE", up, slow, NOW);
	expect("fail", "after 45 s only");
	judge_cellular(&d, "LTE", up, old, NOW);
	expect("warn", "not tried for 35 days");
	judge_cellular(&d, "LTE", NULL, quick, NOW);
	expect("ok", "LTE; the last");
	json_decref(up);
	json_decref(down);
	json_decref(quick);
	json_decref(slow);
	json_decref(old);
}
