// SPDX-License-Identifier: GPL-2.0-only
/* What doctor makes of facts that can't be planted in a namespace, and how it reads what the kernel lists. */
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/timex.h>

#include "selftests/unit/config_of.h"
#include "selftests/unit/tempdir.h"
#include "user/doctor/frames.h"
#include "user/doctor/judge.h"
#include "user/doctor/own.h"
#include "user/doctor/sockets.h"
#include "user/lib/clock.h"
#include "user/lib/file.h"

static struct tempdir dir;
static struct doctor d;

static void setup(void)
{
	tempdir_make(&dir);
	d = (struct doctor){ .rows = json_array(), .check = "the-check" };
}

static void teardown(void)
{
	doctor_close(&d);
	tempdir_remove(&dir);
}

TestSuite(doctor, .init = setup, .fini = teardown, .timeout = 60);

/* The only row since the last time: its result, and a word of its finding. What is no success has a remedy. */
#define EXPECT(result_, word) \
	do { \
		const json_t *row_ = json_array_get(d.rows, 0); \
		const char *is_ = doctor_string(row_, "result"); \
		cr_expect_eq(json_array_size(d.rows), 1u); \
		cr_expect_str_eq(is_, result_, "%s: %s", is_, doctor_string(row_, "finding")); \
		cr_expect(strstr(doctor_string(row_, "finding"), word), "%s", doctor_string(row_, "finding")); \
		cr_expect_eq(*doctor_string(row_, "remedy") != 0, *is_ == 'w' || *is_ == 'f', "%s", word); \
		json_array_clear(d.rows); \
	} while (0)

Test(doctor, kernel)
{
	judge_kernel(&d, "6.1.0-28-amd64");
	EXPECT("ok", "6.1.0");
	judge_kernel(&d, "10.0.1");
	EXPECT("ok", "10.0");
	judge_kernel(&d, "6.0.19");
	EXPECT("fail", "older");
	judge_kernel(&d, "5.15.0-1");
	EXPECT("fail", "older");
	judge_kernel(&d, "unknown");
	EXPECT("warn", "not understood");
}

Test(doctor, btf_bpffs)
{
	judge_btf(&d, tempdir_file(&dir, "vmlinux"));
	EXPECT("fail", "vmlinux");
	judge_btf(&d, dir.path);
	EXPECT("ok", "");
	judge_bpffs(&d, dir.path);
	EXPECT("fail", "not mounted");
	judge_bpffs(&d, tempdir_file(&dir, "none"));
	EXPECT("fail", "not mounted");
}

Test(doctor, jit)
{
	judge_jit(&d, 9, 0, 0);
	EXPECT("ok", "9 programs");
	judge_jit(&d, 9, 2, 1);
	EXPECT("fail", "2 of 9");
	judge_jit(&d, 0, 0, 0);
	EXPECT("fail", "interpreted");
	judge_jit(&d, 0, 0, 1);
	EXPECT("ok", "compiled");
	judge_jit(&d, 0, 0, 2);
	EXPECT("warn", "dumped");
	judge_jit(&d, 0, 0, -1);
	EXPECT("skipped", "");
}

Test(doctor, units)
{
	mkdir(tempdir_file(&dir, "multi-user.target.wants"), 0755);
	symlink("/x", tempdir_file(&dir, "multi-user.target.wants/fairleadd.service"));
	/* a link that leads nowhere is one that was removed */
	judge_units(&d, dir.path);
	cr_expect_eq(json_array_size(d.rows), 2u);
	cr_expect_str_eq(doctor_string(json_array_get(d.rows, 0), "result"), "fail");
	cr_expect_str_eq(doctor_string(json_array_get(d.rows, 1), "result"), "fail");
	json_array_clear(d.rows);
	unlink(tempdir_file(&dir, "multi-user.target.wants/fairleadd.service"));
	symlink(dir.path, tempdir_file(&dir, "multi-user.target.wants/fairleadd.service"));
	mkdir(tempdir_file(&dir, "sysinit.target.wants"), 0755);
	judge_units(&d, dir.path);
	cr_expect_str_eq(doctor_string(json_array_get(d.rows, 0), "result"), "ok");
	cr_expect_str_eq(doctor_string(json_array_get(d.rows, 1), "result"), "fail");
	cr_expect(doctor_has_failed(&d));
}

Test(doctor, space)
{
	judge_space(&d, "/x", 1000, 1000, false);
	EXPECT("ok", "1000 MB");
	judge_space(&d, "/x", 10, 1000, false);
	EXPECT("fail", "10 MB");
	judge_space(&d, "/x", 1000, 5, false);
	EXPECT("fail", "5 files");
	judge_space(&d, "/x", 1000, 1000, true);
	EXPECT("fail", "reading only");
}

Test(doctor, key_file)
{
	const char *path = tempdir_file(&dir, "key");
	time_t now = time(NULL);

	judge_key_file(&d, path, now);
	EXPECT("skipped", "");
	file_replace(path, "0123\n\n", 6, 0600);
	judge_key_file(&d, path, now + 1000000);
	EXPECT("ok", "one key");
	file_replace(path, "0123\n4567", 9, 0600);
	judge_key_file(&d, path, now + 3600);
	EXPECT("ok", "under way");
	judge_key_file(&d, path, now + 25 * 3600);
	EXPECT("warn", "old key");
}

Test(doctor, neighbours)
{
	judge_neighbours(&d, "ipv4", 10, 1024);
	EXPECT("ok", "10 of 1024");
	judge_neighbours(&d, "ipv4", 820, 1024);
	EXPECT("warn", "820 of 1024");
	judge_neighbours(&d, "ipv6", 1024, 1024);
	EXPECT("fail", "full");
	judge_neighbours(&d, "ipv6", 1024, -1);
	EXPECT("skipped", "");
}

Test(doctor, clocks)
{
	struct timex clock = { .maxerror = 3000 };

	judge_clock(&d, TIME_OK, &clock);
	EXPECT("ok", "3 ms");
	judge_clock(&d, TIME_ERROR, &clock);
	EXPECT("warn", "not synchronised");
	clock.status = STA_UNSYNC;
	judge_clock(&d, TIME_OK, &clock);
	EXPECT("warn", "not synchronised");
	judge_clock(&d, -1, &clock);
	EXPECT("skipped", "");
	judge_peer_clock(&d, "b", -999);
	EXPECT("ok", "-999 ms");
	judge_peer_clock(&d, "b", -1000);
	EXPECT("warn", "-1000 ms");
	judge_peer_clock(&d, "b", 60000);
	EXPECT("fail", "60 s");
}

Test(doctor, drivers)
{
	judge_driver(&d, "eth0", "igb", 7);
	EXPECT("ok", "igb");
	judge_driver(&d, "eth0", "veth", 3);
	EXPECT("warn", "can't send");
	judge_driver(&d, "eth0", "x", 5);
	EXPECT("warn", "can't redirect");
	judge_driver(&d, "eth0", "e100", 0);
	EXPECT("warn", "no XDP");
	judge_driver(&d, "eth0", "e100", -1);
	EXPECT("skipped", "");
	cr_expect(driver_is_virtual("virtio_net"));
	cr_expect_not(driver_is_virtual("igb"));
}

static json_t *drop(const char *interface, const char *reason, int packets)
{
	return json_pack("[{s:s,s:s,s:i}]", "interface", interface, "reason", reason, "packets", packets);
}

Test(doctor, drops)
{
	static const struct {
		const char *reason, *result;
		int before, after, ms;
	} cases[] = {
		{ "state-table-full", "ok", 100, 100, 1000 }, { "state-table-full", "warn", 100, 101, 1000 },
		{ "state-table-full", "ok", 100, 101, 1001 }, { "spoofed-source", "ok", 0, 9, 1000 },
		{ "spoofed-source", "warn", 0, 10, 1000 },    { "rule", "ok", 0, 100000, 1000 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *before = drop("wan", cases[i].reason, cases[i].before),
		       *after = drop("wan", cases[i].reason, cases[i].after),
		       *other = drop("lan", cases[i].reason, 1000);

		json_array_extend(before, other);
		json_array_extend(after, other);
		judge_drops(&d, before, after, cases[i].ms);
		EXPECT(cases[i].result, "");
		json_decref(before);
		json_decref(after);
		json_decref(other);
	}
}

static void put_drill(const char *name, const char *scenario, const char *result, long long time_ms)
{
	json_t *json =
		json_pack("{s:s,s:s,s:I}", "scenario", scenario, "result", result, "time_ms", (json_int_t)time_ms);

	json_dump_file(json, tempdir_file(&dir, name), 0);
	json_decref(json);
}

Test(doctor, drills)
{
	const long long day = 86400000, now = 1000 * day;

	judge_drills(&d, tempdir_file(&dir, "none"), now);
	EXPECT("warn", "never");
	file_replace(tempdir_file(&dir, "bad.json"), "{", 1, 0600);
	judge_drills(&d, dir.path, now);
	EXPECT("warn", "never");
	/* no address has moved in it */
	put_drill("0.json", "sync-link", "passed", now - 3 * day);
	judge_drills(&d, dir.path, now);
	cr_expect_eq(json_array_size(d.rows), 2u);
	cr_expect(strstr(doctor_string(doctor_row(d.rows, "result", "warn"), "finding"), "the other node takes over"));
	json_array_clear(d.rows);
	unlink(tempdir_file(&dir, "0.json"));
	put_drill("1.json", "power", "fail", now - 3 * day);
	put_drill("2.json", "power", "passed", now - 2 * day);
	judge_drills(&d, dir.path, now);
	EXPECT("ok", "power: passed, 2 days");
	put_drill("3.json", "wan-link", "failed", now - day);
	judge_drills(&d, dir.path, now);
	cr_expect_eq(json_array_size(d.rows), 2u);
	cr_expect(doctor_has_failed(&d));
	json_array_clear(d.rows);
	unlink(tempdir_file(&dir, "3.json"));
	judge_drills(&d, dir.path, now + 33 * day);
	EXPECT("ok", "35 days");
	judge_drills(&d, dir.path, now + 34 * day);
	EXPECT("warn", "power was last tried 36 days ago");
	/* each for itself */
	put_drill("4.json", "maintenance", "passed", now + 33 * day);
	judge_drills(&d, dir.path, now + 34 * day);
	cr_expect_eq(json_array_size(d.rows), 2u);
	cr_expect_str_eq(doctor_string(doctor_row(d.rows, "result", "warn"), "finding"),
			 "power was last tried 36 days ago");
	cr_expect_str_eq(doctor_string(doctor_row(d.rows, "result", "ok"), "finding"),
			 "maintenance: passed, 1 days ago");
}

/* ---- what the daemon says ---- */

/* Answers by a text for each table, quotes written ' */
static json_t *say(void *arg, json_t *request)
{
	const char *what = json_string_value(json_object_get(request, "what"));
	const char *const *texts = arg; /* what, text, …, NULL */
	json_t *answer = NULL;
	char *text, *c;

	what = what ? what : "status";
	for (size_t i = 0; texts[i] && !answer; i += 2) {
		if (strcmp(texts[i], what))
			continue;
		text = strdup(texts[i + 1]);
		for (c = text; *c; c++)
			*c = *c == '\'' ? '"' : *c;
		answer = json_loads(text, 0, NULL);
		cr_assert(answer, "%s", text);
		free(text);
	}
	json_decref(request);
	return answer;
}

#define SYNC(columns) "[ { 'peer': 'fw2', " columns " } ]"
#define VIP(columns) "[ { 'name': 'v', 'adverts_bad': 0, 'not_ready': '', " columns " } ]"
#define STATUS(columns) "{ 'version': '" FAIRLEAD_VERSION "', " columns " }"

static const struct {
	doctor_check_fn *run;
	const char *what, *says, *result, *word;
} said[] = {
	{ check_version, "status", STATUS("'x': 1"), "ok", FAIRLEAD_VERSION },
	{ check_version, "status", "{ 'version': '0.0.1' }", "fail", "0.0.1" },
	{ check_daemon, "vips", "[]", "fail", "does not answer" },
	{ check_status, "status", STATUS("'reasons': []"), "ok", "" },
	{ check_status, "status", STATUS("'reasons': [ 'something new' ]"), "fail", "something new" },
	{ check_status, "status", STATUS("'reasons': [ 'vip v: split-brain' ]"), "fail", "split-brain" },
	{ check_status, "status", STATUS("'reasons': [ 'config sync: x' ]"), "fail", "config sync: x" },
	{ check_realtime, "status", STATUS("'realtime': true, 'locked': true"), "ok", "" },
	{ check_realtime, "status", STATUS("'realtime': false, 'locked': true"), "fail", "real-time" },
	{ check_realtime, "vips", "[]", "skipped", "" },
	{ check_states, "status", STATUS("'states': { 'states': 79, 'limit': 100 }"), "ok", "79 of 100" },
	{ check_states, "status", STATUS("'states': { 'states': 80, 'limit': 100 }"), "warn", "80 of 100" },
	{ check_states, "status", STATUS("'states': { 'states': 101, 'limit': 100 }"), "fail", "full" },
	{ check_vips, "vips", VIP("'role': 'master'"), "ok", "master" },
	{ check_vips, "vips", VIP("'role': 'init'"), "fail", "no part" },
	{ check_vips, "vips", VIP("'role': 'disabled'"), "warn", "by hand" },
	{ check_vips, "vips", "[ { 'name': 'v', 'adverts_bad': 2, 'not_ready': '', 'role': 'backup' } ]", "warn",
	  "2 adverts" },
	{ check_vips, "vips", "[ { 'name': 'v', 'adverts_bad': 0, 'not_ready': 'states', 'role': 'backup' } ]", "warn",
	  "states" },
	{ check_sync, "sync", SYNC("'connected': true, 'digest_match': true, 'lag_ms': 3.4"), "ok", "3 ms" },
	{ check_sync, "sync", SYNC("'connected': true, 'digest_match': false, 'lag_ms': 3"), "warn", "other states" },
	{ check_sync, "sync", SYNC("'connected': true, 'digest_match': null, 'lag_ms': 1001.5"), "warn", "1001 ms" },
	{ check_sync, "sync", SYNC("'connected': false, 'last_error': 'unknown key'"), "fail", "unknown key" },
	{ check_config_sync, "sync", SYNC("'config_match': true, 'pending': false"), "ok", "" },
	{ check_config_sync, "sync", SYNC("'config_match': false, 'pending': false"), "fail", "another" },
	{ check_config_sync, "sync", SYNC("'config_match': false, 'pending': true"), "warn", "not got" },
	{ check_config_sync, "sync", SYNC("'config_match': null"), "skipped", "" },
	{ check_peer_clock, "sync", SYNC("'clock_offset_ms': -1500"), "warn", "-1500 ms" },
	{ check_peer_clock, "sync", SYNC("'clock_offset_ms': null"), "skipped", "" },
};

Test(doctor, what_the_daemon_says)
{
	struct config_interface sync = { .name = (char *)"sync" };
	struct config config = { .ha = { .interface = &sync, .role = CONFIG_ROLE_PRIMARY } };

	for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
		const char *texts[] = { said[i].what, said[i].says, NULL };

		d.settings = (struct doctor_settings){ .instance = "x", .answers = true, .ask = say, .arg = texts };
		d.config = &config;
		d.shown = json_object();
		said[i].run(&d);
		EXPECT(said[i].result, said[i].word);
		json_decref(d.shown);
		d.shown = NULL;
		d.config = NULL;
	}
}

Test(doctor, peers_of_another_version)
{
	const char *texts[] = { "status", STATUS("'x': 1"), "sync", SYNC("'software': '0.0.2'"), NULL };

	d.settings = (struct doctor_settings){ .answers = true, .ask = say, .arg = texts };
	d.shown = json_object();
	check_version(&d);
	cr_assert_eq(json_array_size(d.rows), 2u);
	json_array_remove(d.rows, 0);
	EXPECT("warn", "0.0.2");
}

static void announced(const char *quoted, bool unseen, const char *result, const char *word)
{
	const char *texts[] = { "vips", quoted, NULL };
	json_t *row = say(texts, json_pack("{s:s}", "what", "vips"));

	judge_announced(&d, row, unseen);
	EXPECT(result, word);
	json_decref(row);
}

Test(doctor, announcements)
{
	announced("{ 'name': 'v', 'announced_ms': 12.5 }", false, "ok", "12 ms");
	announced("{ 'name': 'v', 'announced_ms': 12.5 }", true, "fail", "not seen");
	announced("{ 'name': 'v', 'announced_ms': 2001 }", false, "warn", "2001 ms");
	announced("{ 'name': 'v', 'announced_ms': null }", true, "fail", "not seen");
	announced("{ 'name': 'v', 'announced_ms': null, 'since_ms': 99999 }", false, "ok", "came later");
}

/* What both ends of the sync link have told; the remedy is for the smaller one. "": nothing is the matter */
static void peer_mtu(const char *quoted, const char *word, const char *remedy)
{
	const char *texts[] = { "sync", quoted, NULL };
	json_t *row = say(texts, json_pack("{s:s}", "what", "sync"));

	judge_peer_mtu(&d, "sync0", row);
	json_decref(row);
	if (!*word) {
		cr_expect_eq(json_array_size(d.rows), 0u);
		return;
	}
	cr_expect_str_eq(doctor_string(json_array_get(d.rows, 0), "remedy"), remedy);
	EXPECT("warn", word);
}

Test(doctor, mtu_of_the_other_end)
{
	peer_mtu("{ 'peer': 'b', 'mtu': 1500, 'peer_mtu': 1500 }", "", "");
	peer_mtu("{ 'peer': 'b', 'mtu': 1500, 'peer_mtu': null }", "", "");
	peer_mtu("{ 'peer': 'b', 'mtu': 1500, 'peer_mtu': 9000, 'peer_device': 'eth9' }",
		 "1500 here (sync0) and of 9000 on b (eth9)",
		 "ip link set dev sync0 mtu 9000, and where the system sets it");
	peer_mtu("{ 'peer': 'b', 'mtu': 1500, 'peer_mtu': 1400, 'peer_device': 'eth9' }", "1500 here",
		 "on b: ip link set dev eth9 mtu 1500, and where the system sets it");
}

Test(doctor, names_are_unique)
{
	const char *a, *b;

	for (size_t i = 0; (a = doctor_check_name(i)); i++)
		for (size_t j = 0; j < i && (b = doctor_check_name(j)); j++)
			cr_expect_str_neq(a, b);
}

/* ---- sockets ---- */

static size_t listen_lines(struct listeners *all, const char *lines, int family, uint8_t proto)
{
	FILE *f = fmemopen((void *)lines, strlen(lines), "r");

	listeners_take(all, f, family, proto);
	fclose(f);
	return all->n;
}

Test(doctor, listeners)
{
	static const char tcp[] =
		"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
		"   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0\n"
		"   1: 0100007F:0035 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4712 1 0\n"
		"   2: 010200C0:01BB 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1 0\n"
		"   3: 010200C0:C001 00000000:0000 01 00000000:00000000 00:00000000 00000000     0        0 4714 1 0\n"
		"   4: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4715 1 0\n";
	static const char udp6[] =
		"  10: 00000000000000000000000000000000:0223 00000000000000000000000000000000:0000 07 "
		"00000000:00000000 00:00000000 00000000     0        0 4716 2 0\n"
		"  11: 00000000000000000000000001000000:0222 00000000000000000000000000000000:0000 07 "
		"00000000:00000000 00:00000000 00000000     0        0 4717 2 0\n"
		"  12: B80D0120000000000000000001000000:0035 00000000000000000000000000000000:0000 07 "
		"00000000:00000000 00:00000000 00000000     0        0 4718 2 0\n";
	struct listeners *all = calloc(1, sizeof(*all));
	char text[ADDR_STRLEN];

	cr_assert_eq(listen_lines(all, tcp, AF_INET, IPPROTO_TCP), 2u);
	cr_expect_eq(all->of[0].port, 22);
	cr_expect_eq(all->of[0].inode, 4711ul);
	cr_expect_str_eq(addr_format(&all->of[1].addr, text), "192.0.2.1");
	cr_expect_eq(all->of[1].port, 443);
	cr_assert_eq(listen_lines(all, udp6, AF_INET6, IPPROTO_UDP), 4u);
	cr_expect_eq(all->of[2].port, 547);
	cr_expect_str_eq(addr_format(&all->of[3].addr, text), "2001:db8::1");
	free(all);
}

/* ---- frames on the sync link ---- */

static bool is_foreign(uint16_t type, const char *bytes, size_t len)
{
	struct addr local, peer;
	struct frame_nodes nodes = { &local, &peer, 1 };

	addr_parse("172.16.255.1", &local);
	addr_parse("172.16.255.2", &peer);
	return frame_is_foreign(&nodes, type, (const uint8_t *)bytes, len);
}

Test(doctor, frames)
{
	static const char ours[20] = { 0x45, [12] = (char)172, 16, (char)255, 2, (char)172, 16, (char)255, 1 },
			  others[20] = { 0x45, [12] = (char)172, 16, (char)255, 2, (char)224, 0, 0, 18 },
			  arp[28] = { [14] = (char)172, 16, (char)255, 2 },
			  arp_other[28] = { [14] = (char)192, 0, 2, 1 },
			  nd[40] = { 0x60, [6] = 58, [8] = (char)0xfe, (char)0x80 },
			  dns[40] = { 0x60, [6] = 17, [8] = (char)0xfe, (char)0x80 };
	char text[128];

	cr_expect_not(is_foreign(ETH_P_IP, ours, 20));
	cr_expect(is_foreign(ETH_P_IP, ours, 19));
	cr_expect(is_foreign(ETH_P_IP, others, 20));
	cr_expect_not(is_foreign(ETH_P_ARP, arp, 28));
	cr_expect(is_foreign(ETH_P_ARP, arp, 27));
	cr_expect(is_foreign(ETH_P_ARP, arp_other, 28));
	cr_expect_not(is_foreign(ETH_P_IPV6, nd, 40));
	cr_expect(is_foreign(ETH_P_IPV6, dns, 40));
	cr_expect(is_foreign(ETH_P_IPV6, nd, 39));
	cr_expect(is_foreign(0x88cc, ours, 20));
	frame_text(ETH_P_IP, (const uint8_t *)others, 20, text, sizeof(text));
	cr_expect_str_eq(text, "from 172.16.255.2 to 224.0.0.18");
	frame_text(ETH_P_ARP, (const uint8_t *)arp_other, 28, text, sizeof(text));
	cr_expect_str_eq(text, "ARP from 192.0.2.1");
	frame_text(ETH_P_IPV6, (const uint8_t *)dns, 10, text, sizeof(text));
	cr_expect_str_eq(text, "of Ethernet type 0x86dd");
}

/* ---- programs of others ---- */

static struct own_result run_shell(const char *script, int timeout_ms, size_t max)
{
	char *const argv[] = { "sh", "-c", (char *)script, NULL };
	char *const env[] = { "WORD=hello", NULL };
	const struct own_run run = { .argv = argv, .env = env, .timeout_ms = timeout_ms, .max = max };
	struct own_result result;

	own_run(&run, &result);
	return result;
}

Test(doctor, own_output)
{
	struct own_result r = run_shell("echo; echo \"$WORD ${HOME-none}\"; echo", 10000, 100);

	cr_expect(r.passed);
	cr_expect_str_eq(r.text, "\nhello none");
	own_result_free(&r);
	r = run_shell("echo why; exit 7", 10000, 100);
	cr_expect_not(r.passed);
	cr_expect_null(r.why);
	cr_expect_eq(r.status, 7);
	cr_expect_str_eq(r.text, "why");
	own_result_free(&r);
	r = run_shell("head -c 1000000 /dev/zero | tr '\\0' x; kill -9 $$", 10000, 10);
	cr_expect_str_eq(r.text, "xxxxxxxxxx");
	cr_expect_eq(r.status, 128 + 9);
	cr_expect_not(r.passed);
	own_result_free(&r);
}

/* Its whole group ends, and what it leaves behind is not waited for: not by whoever reads this test's output either. */
Test(doctor, own_time)
{
	const char *pid = tempdir_file(&dir, "pid");
	long long began = clock_ms(CLOCK_MONOTONIC);
	char script[256], *text;
	struct own_result r;
	size_t len;

	snprintf(script, sizeof(script), "sleep 1000 2> /dev/null & echo $! > %s; echo some; wait", pid);
	r = run_shell(script, 300, 100);
	cr_expect_not(r.passed);
	cr_expect_str_eq(r.text, "some");
	cr_expect(strstr(r.why, "too long"));
	own_result_free(&r);
	cr_assert_eq(file_read(pid, &text, &len), 0);
	for (int i = 0; i < 400 && !kill(atoi(text), 0); i++)
		usleep(10000); /* until whoever inherits it has waited for it */
	cr_expect(kill(atoi(text), 0));
	free(text);
	r = run_shell("sleep 1000 2> /dev/null & echo done", 100000, 100);
	cr_expect(r.passed);
	cr_expect_str_eq(r.text, "done");
	own_result_free(&r);
	cr_expect_lt(clock_ms(CLOCK_MONOTONIC) - began, 60000);
}

Test(doctor, own_cannot)
{
	const char *path = tempdir_file(&dir, "script");
	char *argv[] = { (char *)path, NULL }, *env[] = { NULL };
	const struct own_run run = { .argv = argv, .env = env, .timeout_ms = 1000, .max = 10 };
	struct own_result r;

	own_run(&run, &r);
	cr_expect(strstr(r.why, "no such file"));
	own_result_free(&r);
	file_replace(path, "#!/nowhere\n", 11, 0700);
	own_run(&run, &r);
	cr_expect(strstr(r.why, "#!"));
	own_result_free(&r);
	chmod(path, 0777);
	own_run(&run, &r);
	cr_expect(strstr(r.why, "everybody"));
	own_result_free(&r);
	argv[0] = "no-such-program-anywhere";
	own_run(&run, &r);
	cr_expect(strstr(r.why, "no such program"));
	own_result_free(&r);
}
