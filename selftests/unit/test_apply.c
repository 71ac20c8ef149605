// SPDX-License-Identifier: GPL-2.0-only
/* Apply, trial and rollback against a data plane that only remembers what it was given. */
#include <criterion/criterion.h>
#include <errno.h>
#include <sys/stat.h>

#include "selftests/unit/tempdir.h"
#include "user/daemon/apply.h"

/*
 * node names: what the data plane runs; it refuses the name in `refuse`, that of `foresees` before it is tried, and warns of the
 * one in `warn`
 */
struct plane {
	char runs[32];
	const char *refuse, *foresees, *warn, *unusable;
	int calls;
};

static struct tempdir dir;
static struct plane plane;
static struct event_base *base;
static struct apply apply;

static int plane_apply(void *arg, const struct config *config, struct config_report *report, char **why)
{
	struct plane *p = arg;

	(void)report;
	p->calls++;
	if (p->refuse && !strcmp(p->refuse, config->node)) {
		*why = strdup("the plane says no");
		return -EIO;
	}
	snprintf(p->runs, sizeof(p->runs), "%s", config->node);
	return 0;
}

static int plane_preview(void *arg, const struct config *config, struct config_report *report, char **why)
{
	const struct plane *p = arg;

	if (p->warn && !strcmp(p->warn, config->node))
		config_report_add(report, true, "/node", "the plane warns");
	if (!p->foresees || strcmp(p->foresees, config->node))
		return 0;
	*why = strdup("the plane would say no");
	return -EIO;
}

static void plane_check(void *arg, const struct config *config, struct config_report *report)
{
	const struct plane *p = arg;

	if (p->unusable && !strcmp(p->unusable, config->node))
		config_report_add(report, false, "/node", "its file can't be read");
}

static const char *text_for(const char *node)
{
	static char text[200];

	snprintf(text, sizeof(text),
		 "{ \"node\": { \"name\": \"%s\" }, \"interfaces\": { \"wan\": { \"device\": \"eth0\" } } }", node);
	return text;
}

static void assert_own(const char *node)
{
	char *text;
	size_t len;

	cr_assert_eq(file_read(tempdir_file(&dir, "own.json"), &text, &len), 0);
	cr_assert_str_eq(text, text_for(node));
	free(text);
}

static void assert_state(const char *runs, const char *own, size_t versions)
{
	cr_assert_str_eq(plane.runs, runs);
	cr_assert_str_eq(apply.running->node, runs);
	assert_own(own);
	cr_assert_eq(json_array_size(apply.store.versions), versions);
}

static void write_own(const char *node)
{
	const char *text = text_for(node);

	cr_assert_eq(file_replace(tempdir_file(&dir, "own.json"), text, strlen(text), 0644), 0);
}

/* What main does at the start of a daemon */
static void start(const char *expect_running)
{
	const struct apply_target target = { plane_apply, &plane, plane_preview, plane_check };
	struct config_report report = { 0 };
	struct config *config = NULL;
	struct apply_result result;
	char own[256], *text;
	size_t len;

	snprintf(own, sizeof(own), "%s", tempdir_file(&dir, "own.json"));
	cr_assert_eq(apply_init(&apply, base, &target, own, tempdir_file(&dir, "state")), 0);
	cr_assert_eq(file_read(own, &text, &len), 0);
	cr_assert_eq(config_load_string(text, len, &config, &report), 0);
	config_report_free(&report);
	apply_start(&apply, config, text, len, &result);
	cr_assert_eq(result.status, 0);
	apply_result_free(&result);
	free(text);
	cr_assert_str_eq(plane.runs, expect_running);
}

static void setup(void)
{
	tempdir_make(&dir);
	base = event_base_new();
	write_own("one");
	start("one");
}

static void teardown(void)
{
	apply_fini(&apply);
	event_base_free(base);
	tempdir_remove(&dir);
}

static int run(const char *text, unsigned int confirm_s, bool dry_run, bool strict, const char *expect_state)
{
	struct apply_request request = {
		.text = text, .len = strlen(text), .confirm_s = confirm_s, .dry_run = dry_run, .strict = strict
	};
	struct apply_result result;
	int status;

	apply_text(&apply, &request, &result);
	status = result.status;
	if (status)
		cr_assert(result.error && !result.state);
	else
		cr_assert_str_eq(result.state, expect_state);
	apply_result_free(&result);
	return status;
}

static int run_simple(void (*what)(struct apply *, struct apply_result *))
{
	struct apply_result result;
	int status;

	what(&apply, &result);
	status = result.status;
	apply_result_free(&result);
	return status;
}

static void reload(struct apply *a, struct apply_result *result)
{
	const struct apply_request request = { .note = "reload" };

	apply_own_file(a, &request, result);
}

static int rollback(size_t back)
{
	struct apply_result result;
	int status;

	apply_rollback(&apply, back, &result);
	status = result.status;
	apply_result_free(&result);
	return status;
}

static void run_loop_ms(int ms)
{
	const struct timeval wait = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	event_base_loopexit(base, &wait);
	event_base_loop(base, EVLOOP_NO_EXIT_ON_EMPTY);
}

TestSuite(apply, .init = setup, .fini = teardown, .timeout = 20);

Test(apply, start_records_the_first_version)
{
	assert_state("one", "one", 1);
}

Test(apply, success_is_in_plane_file_and_history)
{
	cr_assert_eq(run(text_for("two"), 0, false, false, "applied"), 0);
	assert_state("two", "two", 2);
}

Test(apply, the_same_again)
{
	cr_assert_eq(run(text_for("one"), 0, false, false, "unchanged"), 0);
	assert_state("one", "one", 1);
	cr_assert_eq(plane.calls, 2, "the data plane is asked all the same: it repairs what was changed by hand");
}

Test(apply, warnings_of_the_machine_count_with_strict)
{
	plane.warn = "two";
	cr_assert_eq(run(text_for("two"), 0, false, true, NULL), 1);
	cr_assert_eq(run(text_for("two"), 0, true, true, NULL), 1);
	cr_assert_eq(run(text_for("two"), 0, true, false, "dry-run"), 0);
	assert_state("one", "one", 1);
	cr_assert_eq(plane.calls, 1);
	cr_assert_eq(run(text_for("three"), 0, false, true, "applied"), 0);
	assert_state("three", "three", 2);
}

Test(apply, dry_run_refuses_what_the_plane_would)
{
	plane.foresees = "two";
	cr_assert_eq(run(text_for("two"), 0, true, false, NULL), 1);
	assert_state("one", "one", 1);
	cr_assert_eq(plane.calls, 1);
}

/* A start takes it all the same. */
Test(apply, files_that_can_not_be_used)
{
	plane.unusable = "two";
	cr_assert_eq(run(text_for("two"), 0, false, false, NULL), 2);
	cr_assert_eq(run(text_for("two"), 0, true, false, NULL), 2);
	assert_state("one", "one", 1);
	cr_assert_eq(plane.calls, 1);
	apply_fini(&apply);
	plane.unusable = "one";
	start("one");
}

Test(apply, wrong_configuration_changes_nothing)
{
	cr_assert_eq(run("{ \"interfaces\": 7 }", 0, false, false, NULL), 2);
	cr_assert_eq(run("{ not json", 0, false, false, NULL), 2);
	cr_assert_eq(run("", 0, false, false, NULL), 2);
	assert_state("one", "one", 1);
	cr_assert_eq(plane.calls, 1);
}

Test(apply, refused_by_the_plane_changes_nothing)
{
	plane.refuse = "two";
	cr_assert_eq(run(text_for("two"), 0, false, false, NULL), 1);
	assert_state("one", "one", 1);
	cr_assert_eq(run(text_for("two"), 5, false, false, NULL), 1);
	assert_state("one", "one", 1);
	cr_assert_eq(apply_trial_left(&apply), -1);
	cr_assert_neq(access(tempdir_file(&dir, "state/pending.json"), F_OK), 0);
}

Test(apply, file_that_cannot_be_written_changes_nothing)
{
	free(apply.store.file);
	apply.store.file = strdup("/proc/fairlead.json");
	cr_assert_eq(run(text_for("two"), 0, false, false, NULL), 1);
	assert_state("one", "one", 1);
	cr_assert_eq(plane.calls, 1, "the data plane was not touched");
}

/* A directory in its place is what makes the last step fail after the data plane has taken the configuration. */
Test(apply, failure_of_the_last_step_is_taken_back)
{
	cr_assert_eq(unlink(tempdir_file(&dir, "own.json")), 0);
	cr_assert_eq(mkdir(tempdir_file(&dir, "own.json"), 0755), 0);
	cr_assert_eq(run(text_for("two"), 0, false, false, NULL), 1);
	cr_assert_eq(plane.calls, 3);
	cr_assert_eq(rmdir(tempdir_file(&dir, "own.json")), 0);
	write_own("one");
	assert_state("one", "one", 1);
}

Test(apply, dry_run_lists_and_changes_nothing)
{
	const char *text = text_for("two");
	struct apply_request request = { .text = text, .len = strlen(text), .dry_run = true, .changes = true };
	struct apply_result result;

	apply_text(&apply, &request, &result);
	cr_assert_str_eq(result.state, "dry-run");
	cr_assert_eq(json_array_size(result.changes), 1);
	cr_assert_str_eq(json_string_value(json_object_get(json_array_get(result.changes, 0), "pointer")),
			 "/node/name");
	apply_result_free(&result);
	assert_state("one", "one", 1);
	cr_assert_eq(plane.calls, 1);
}

Test(apply, trial_confirmed)
{
	cr_assert_eq(run(text_for("two"), 60, false, false, "pending"), 0);
	assert_state("two", "one", 1);
	cr_assert_geq(apply_trial_left(&apply), 58);
	cr_assert_eq(run_simple(apply_confirm), 0);
	assert_state("two", "two", 2);
	cr_assert_eq(apply_trial_left(&apply), -1);
	cr_assert_eq(run_simple(apply_confirm), 1, "nothing is left to confirm");
}

Test(apply, trial_not_confirmed_is_undone)
{
	cr_assert_eq(run(text_for("two"), 1, false, false, "pending"), 0);
	run_loop_ms(500);
	assert_state("two", "one", 1);
	run_loop_ms(1000);
	assert_state("one", "one", 1);
	cr_assert_neq(access(tempdir_file(&dir, "state/pending.json"), F_OK), 0);
}

Test(apply, undo_that_fails_is_tried_again)
{
	cr_assert_eq(run(text_for("two"), 1, false, false, "pending"), 0);
	plane.refuse = "one";
	run_loop_ms(1300);
	assert_state("two", "one", 1);
	cr_assert(apply.undo_failed);
	plane.refuse = NULL;
	run_loop_ms(5300);
	assert_state("one", "one", 1);
	cr_assert(!apply.undo_failed);
}

Test(apply, trial_ended_by_rollback)
{
	cr_assert_eq(run(text_for("two"), 60, false, false, "pending"), 0);
	cr_assert_eq(rollback(3), 1, "a number is refused during a trial");
	cr_assert_eq(rollback(0), 0);
	assert_state("one", "one", 1);
	cr_assert_eq(apply_trial_left(&apply), -1);
}

Test(apply, nothing_else_during_a_trial)
{
	cr_assert_eq(run(text_for("two"), 60, false, false, "pending"), 0);
	cr_assert_eq(run(text_for("three"), 0, false, false, NULL), 1);
	cr_assert_eq(run(text_for("three"), 60, false, false, NULL), 1);
	cr_assert_eq(run_simple(reload), 1);
	cr_assert_eq(run(text_for("three"), 0, true, false, NULL), 1, "a dry run says what apply would");
	assert_state("two", "one", 1);
}

Test(apply, restart_during_a_trial_takes_the_old_one)
{
	cr_assert_eq(run(text_for("two"), 60, false, false, "pending"), 0);
	cr_assert_eq(access(tempdir_file(&dir, "state/pending.json"), F_OK), 0);
	apply_fini(&apply);
	start("one");
	assert_state("one", "one", 1);
	cr_assert_neq(access(tempdir_file(&dir, "state/pending.json"), F_OK), 0);
}

/* What an editor and `fairlead apply --confirm` of the own file do */
static void try_own(const char *node, unsigned int confirm_s)
{
	write_own(node);
	cr_assert_eq(run(text_for(node), confirm_s, false, false, "pending"), 0);
}

static void assert_file(const char *name, const char *node)
{
	char *text;
	size_t len;

	cr_assert_eq(file_read(tempdir_file(&dir, name), &text, &len), 0, "%s", name);
	cr_assert_str_eq(text, text_for(node));
	free(text);
}

static void assert_nothing_pending(void)
{
	cr_assert_neq(access(tempdir_file(&dir, "state/pending.json"), F_OK), 0);
}

Test(apply, trial_of_the_own_file_leaves_the_old_one_there)
{
	try_own("two", 1);
	assert_state("two", "one", 1);
	assert_file("state/pending.json", "two");
	run_loop_ms(1500);
	assert_state("one", "one", 1);
	assert_nothing_pending();
	assert_file("state/undone.json", "two");
	cr_assert_eq(run_simple(reload), 0);
	assert_state("one", "one", 1);
}

Test(apply, trial_of_the_own_file_says_where_the_text_is)
{
	struct apply_request request = { .text = text_for("two"), .len = strlen(text_for("two")), .confirm_s = 60 };
	struct apply_result result;

	write_own("two");
	apply_text(&apply, &request, &result);
	cr_assert_str_eq(result.state, "pending");
	cr_assert(result.note && strstr(result.note, "/pending.json"), "%s", result.note);
	apply_result_free(&result);
	apply_rollback(&apply, 0, &result);
	cr_assert(result.summary && strstr(result.summary, "/undone.json"), "%s", result.summary);
	apply_result_free(&result);
}

Test(apply, trial_of_the_own_file_confirmed)
{
	try_own("two", 60);
	cr_assert_eq(run_simple(apply_confirm), 0);
	assert_state("two", "two", 2);
	assert_nothing_pending();
	cr_assert_neq(access(tempdir_file(&dir, "state/undone.json"), F_OK), 0);
}

Test(apply, trial_of_the_own_file_that_the_plane_refuses)
{
	plane.refuse = "two";
	write_own("two");
	cr_assert_eq(run(text_for("two"), 60, false, false, NULL), 1);
	assert_state("one", "two", 1);
	assert_nothing_pending();
}

Test(apply, restart_during_a_trial_of_the_own_file)
{
	try_own("two", 60);
	apply_fini(&apply);
	start("one");
	assert_state("one", "one", 1);
	assert_nothing_pending();
	assert_file("state/undone.json", "two");
}

/* Killed before the old text was back in the own file: the history has it */
Test(apply, restart_with_the_trial_still_in_the_own_file)
{
	try_own("two", 60);
	apply_fini(&apply);
	write_own("two");
	start("one");
	assert_state("one", "one", 1);
	assert_file("state/undone.json", "two");
}

/* Killed after the confirmation, before pending.json was removed */
Test(apply, restart_in_the_midst_of_confirm)
{
	const char *text = text_for("two");

	cr_assert_eq(run(text, 0, false, false, "applied"), 0);
	cr_assert_eq(file_replace(tempdir_file(&dir, "state/pending.json"), text, strlen(text), 0600), 0);
	apply_fini(&apply);
	start("two");
	assert_state("two", "two", 2);
}

/* What a killed one left half written beside the own file */
Test(apply, start_removes_what_was_half_written)
{
	apply_fini(&apply);
	cr_assert_eq(file_replace(tempdir_file(&dir, ".own.json.fairlead-new"), "x", 1, 0600), 0);
	start("one");
	cr_assert_neq(access(tempdir_file(&dir, ".own.json.fairlead-new"), F_OK), 0);
}

Test(apply, rollback_goes_back_by_versions)
{
	run(text_for("two"), 0, false, false, "applied");
	run(text_for("three"), 0, false, false, "applied");
	cr_assert_eq(rollback(2), 0);
	assert_state("one", "one", 4);
	cr_assert_eq(rollback(0), 0);
	assert_state("three", "three", 5);
	cr_assert_eq(rollback(9), 1);
	assert_state("three", "three", 5);
}

/* rollback(1) must fail with `status` and name the file */
static void assert_rollback_names_file(int status)
{
	struct apply_result result;

	apply_rollback(&apply, 1, &result);
	cr_assert_eq(result.status, status);
	cr_assert(strstr(result.error, tempdir_file(&dir, "state/history/1.json")), "%s", result.error);
	apply_result_free(&result);
	assert_state("two", "two", 2);
}

Test(apply, rollback_to_a_version_whose_file_is_damaged_or_gone)
{
	run(text_for("two"), 0, false, false, "applied");
	cr_assert_eq(file_replace(tempdir_file(&dir, "state/history/1.json"), "{", 1, 0600), 0);
	assert_rollback_names_file(2);
	cr_assert_eq(unlink(tempdir_file(&dir, "state/history/1.json")), 0);
	assert_rollback_names_file(1);
}

Test(apply, own_file_is_read_again)
{
	write_own("two");
	cr_assert_eq(run_simple(reload), 0);
	assert_state("two", "two", 2);
	cr_assert_eq(unlink(tempdir_file(&dir, "own.json")), 0);
	cr_assert_eq(run_simple(reload), 2);
	cr_assert_str_eq(plane.runs, "two");
}

Test(apply, change_made_while_no_daemon_ran_is_in_the_history)
{
	apply_fini(&apply);
	write_own("two");
	start("two");
	assert_state("two", "two", 2);
}
