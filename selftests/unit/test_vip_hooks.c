// SPDX-License-Identifier: GPL-2.0-only
/* What scripts of vips are told: each change, and in the end always what is. */
#include <stdio.h>
#include <sys/stat.h>

#include "selftests/unit/config_of.h"
#include "selftests/unit/tempdir.h"
#include "user/daemon/vip_hooks.h"
#include "user/lib/file.h"
#include "user/lib/log.h"

#define A "'a':{'interface':'lan','vhid':7,'password_file':'/k','address':['192.0.2.100/24','fe80::7/64']}"
#define B "'b':{'interface':'lan','vhid':9,'password_file':'/k','address':'192.0.2.200/24'}"

static struct tempdir dir;
static struct event_base *base;
static struct vip_hooks *hooks;
static struct config *config;
static char script[128];

/* Each run is a line in `out`: VIP BEFORE>ROLE WHY */
static void setup(void)
{
	char *text;
	int n;

	tempdir_make(&dir);
	cr_assert(freopen(tempdir_file(&dir, "stderr"), "w", stderr));
	log_init("test", true, 0);
	base = event_base_new();
	hooks = vip_hooks_open(base, NULL, "default");
	snprintf(script, sizeof(script), "%s/hook.sh", dir.path);
	n = asprintf(&text,
		     "#!/bin/sh\necho \"$FAIRLEAD_VIP $FAIRLEAD_BEFORE>$FAIRLEAD_ROLE $FAIRLEAD_WHY\" >> %s/out\n"
		     "env | grep ^FAIRLEAD_ | sort > %s/env\n",
		     dir.path, dir.path);
	cr_assert_eq(file_replace(script, text, n, 0755), 0);
	free(text);
}

static void teardown(void)
{
	vip_hooks_close(hooks);
	config_free(config);
	event_base_free(base);
	tempdir_remove(&dir);
}

TestSuite(vip_hooks, .init = setup, .fini = teardown, .timeout = 60);

static void configure_with(const char *vips, const char *path)
{
	struct config *before = config;
	char *text;

	cr_assert(asprintf(&text, "{'interfaces':{'lan':{'device':'eth1'}},'vips':{%s},'hooks':{'vip':['%s']}}", vips,
			   path) > 0);
	config = config_of(text);
	free(text);
	vip_hooks_configure(hooks, config);
	config_free(before);
}

static void configure(const char *vips)
{
	configure_with(vips, script);
}

static void settle(const char *name, enum carp_role role, bool owns)
{
	struct vhid_view view = { .carp = { .role = role }, .owns = owns };

	snprintf(view.name, sizeof(view.name), "%s", name);
	vip_hooks_settle(hooks, &view, "is");
}

static const char *content(const char *name)
{
	static char *text;
	size_t len;

	free(text);
	text = NULL;
	return file_read(tempdir_file(&dir, name), &text, &len) ? "" : text;
}

/* All that was told so far, and no more. */
static void expect(const char *lines)
{
	const struct timeval turn = { .tv_usec = 10000 };

	for (int i = 0; i < 1000 && strlen(content("out")) < strlen(lines); i++) {
		event_base_loopexit(base, &turn);
		event_base_dispatch(base);
	}
	cr_assert_str_eq(content("out"), lines);
}

Test(vip_hooks, first_and_then_each_change)
{
	configure(A "," B);
	vip_hooks_tell(hooks, "a", CARP_BACKUP, "the role before anything was told");
	settle("a", CARP_BACKUP, false);
	expect("a >backup is\n");
	settle("b", CARP_INIT, false);
	vip_hooks_tell(hooks, "a", CARP_MASTER, "timeout");
	settle("a", CARP_MASTER, true);
	settle("b", CARP_INIT, false);
	vip_hooks_tell(hooks, "a", CARP_DISABLED, "by hand");
	vip_hooks_tell(hooks, "unknown", CARP_MASTER, "of another configuration");
	expect("a >backup is\nb >init is\na backup>master timeout\na master>disabled by hand\n");
}

Test(vip_hooks, variables)
{
	configure(A);
	settle("a", CARP_MASTER, true);
	expect("a >master is\n");
	vip_hooks_close(hooks);
	hooks = NULL;
	cr_expect(strstr(content("env"), "FAIRLEAD_ADDRESSES=192.0.2.100/24 fe80::7/64\n"));
	cr_expect(strstr(content("env"), "FAIRLEAD_DEVICE=eth1\n"));
	cr_expect(strstr(content("env"), "FAIRLEAD_EVENT=vip\n"));
	cr_expect(strstr(content("env"), "FAIRLEAD_INTERFACE=lan\n"));
	cr_expect(strstr(content("env"), "FAIRLEAD_MAC=00:00:5e:00:01:07\n"));
	cr_expect(strstr(content("env"), "FAIRLEAD_VHID=7\n"));
}

/* As when too many events came at once: the last ones are lost. */
Test(vip_hooks, what_no_event_told)
{
	configure(A);
	settle("a", CARP_BACKUP, false);
	vip_hooks_tell(hooks, "a", CARP_MASTER, "timeout");
	settle("a", CARP_BACKUP, false);
	vip_hooks_tell(hooks, "a", CARP_BACKUP, "late, and told already");
	expect("a >backup is\na backup>master timeout\na master>backup is\n");
}

/* Services go on until it is known whose the address is. */
Test(vip_hooks, a_dead_daemons_address_is_waited_for)
{
	configure(A "," B);
	settle("a", CARP_BACKUP, true);
	settle("b", CARP_BACKUP, true);
	vip_hooks_tell(hooks, "a", CARP_MASTER, "timeout");
	settle("a", CARP_MASTER, true);
	settle("b", CARP_BACKUP, false);
	expect("a >master is\nb >backup is\n");
}

Test(vip_hooks, other_addresses_and_scripts_are_told)
{
	char other[160];

	configure(A);
	settle("a", CARP_MASTER, true);
	configure("'a':{'interface':'lan','vhid':7,'password_file':'/k2','address':['192.0.2.100/24','fe80::7/64']}");
	settle("a", CARP_MASTER, true);
	expect("a >master is\n");
	configure("'a':{'interface':'lan','vhid':7,'password_file':'/k','address':'192.0.2.101/24'}");
	settle("a", CARP_MASTER, true);
	settle("a", CARP_MASTER, true);
	expect("a >master is\na master>master is\n");
	snprintf(other, sizeof(other), "%s','%s", script, tempdir_file(&dir, "none.sh"));
	configure_with("'a':{'interface':'lan','vhid':7,'password_file':'/k','address':'192.0.2.101/24'}", other);
	settle("a", CARP_MASTER, true);
	expect("a >master is\na master>master is\na master>master is\n");
}

Test(vip_hooks, gone)
{
	configure(A "," B);
	settle("a", CARP_MASTER, true);
	settle("b", CARP_MASTER, true);
	configure(B);
	settle("b", CARP_MASTER, true);
	expect("a >master is\nb >master is\na master>init it is no more in the configuration\n");
}

/* Both are told before the daemon ends, and scripts had their time. */
Test(vip_hooks, the_end)
{
	configure(A "," B);
	settle("a", CARP_MASTER, true);
	settle("b", CARP_DISABLED, false);
	vip_hooks_end(hooks, "the daemon ends");
	vip_hooks_close(hooks);
	hooks = NULL;
	cr_expect_str_eq(content("out"), "a >master is\nb >disabled is\na master>init the daemon ends\n");
}
