// SPDX-License-Identifier: GPL-2.0-only
/* The daemon's own file and its history on disk. */
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "selftests/unit/tempdir.h"
#include "user/daemon/store.h"

static struct tempdir dir;
static struct store store;

static void reopen(void)
{
	char own[256];

	snprintf(own, sizeof(own), "%s", tempdir_file(&dir, "own.json"));
	cr_assert_eq(store_open(&store, own, tempdir_file(&dir, "state/x")), 0);
}

static void setup(void)
{
	tempdir_make(&dir);
	reopen();
}

static void teardown(void)
{
	store_close(&store);
	tempdir_remove(&dir);
}

static void put(const char *text, const char *summary)
{
	struct store_change change;
	const char *why;

	cr_assert_eq(store_prepare(&store, text, strlen(text), &change, &why), 0);
	cr_assert_eq(store_commit(&store, &change, summary), 0);
	store_settle(&store);
}

static void assert_file(const char *name, const char *expected)
{
	char *text;
	size_t len;

	cr_assert_eq(file_read(tempdir_file(&dir, name), &text, &len), 0, "%s", name);
	cr_assert_str_eq(text, expected);
	free(text);
}

static void assert_version(size_t back, const char *expected)
{
	const json_t *entry;
	char *text;
	size_t len;

	cr_assert_eq(store_read_version(&store, back, &text, &len, &entry), 0);
	cr_assert_str_eq(text, expected);
	cr_assert_eq(len, strlen(expected));
	free(text);
}

static size_t files_in(const char *name)
{
	char command[400];
	size_t n = 0;
	FILE *f;

	snprintf(command, sizeof(command), "find '%s' -type f | wc -l", tempdir_file(&dir, name));
	f = popen(command, "r");
	cr_assert(f && fscanf(f, "%zu", &n) == 1);
	pclose(f);
	return n;
}

TestSuite(store, .init = setup, .fini = teardown);

Test(store, commit_writes_file_and_history)
{
	put("one", "first");
	put("two", "second");
	assert_file("own.json", "two");
	assert_version(0, "two");
	assert_version(1, "one");
	cr_assert_eq(store_newest(&store), 2);
}

Test(store, history_survives_a_restart)
{
	json_t *rows;

	put("one", "first");
	put("two", "second");
	store_close(&store);
	reopen();
	assert_version(1, "one");
	rows = store_history(&store);
	cr_assert_eq(json_array_size(rows), 2);
	cr_assert_str_eq(json_string_value(json_object_get(json_array_get(rows, 0), "summary")), "second");
	cr_assert_eq(json_integer_value(json_object_get(json_array_get(rows, 1), "back")), 1);
	cr_assert_gt(json_integer_value(json_object_get(json_array_get(rows, 1), "time_ms")), 1600000000000);
	json_decref(rows);
}

Test(store, same_text_is_no_new_version)
{
	put("one", "first");
	put("one", "again");
	cr_assert_eq(store_newest(&store), 1);
}

Test(store, ten_earlier_versions_are_kept)
{
	const json_t *entry;
	char text[16], *out;
	size_t len;

	for (int i = 1; i <= 30; i++) {
		sprintf(text, "v%d", i);
		put(text, text);
	}
	assert_version(0, "v30");
	assert_version(10, "v20");
	cr_assert_eq(store_read_version(&store, 11, &out, &len, &entry), -ERANGE);
	cr_assert_eq(files_in("state/x/history"), 12, "eleven texts and the index");
}

Test(store, history_is_for_root_alone)
{
	char command[400];

	put("one", "first");
	put("two", "second");
	cr_assert_eq(files_in("state/x/history"), 3);
	snprintf(command, sizeof(command), "test -z \"$(find '%s' -type f ! -perm 600)\"",
		 tempdir_file(&dir, "state/x/history"));
	cr_assert_eq(system(command), 0);
}

Test(store, files_have_a_limit)
{
	const char *path = tempdir_file(&dir, "big");
	FILE *f = fopen(path, "w");
	char *text;
	size_t len;

	cr_assert_not_null(f);
	cr_assert_eq(ftruncate(fileno(f), FILE_TEXT_MAX), 0);
	cr_assert_eq(file_read(path, &text, &len), 0);
	cr_assert_eq(len, FILE_TEXT_MAX);
	free(text);
	cr_assert_eq(ftruncate(fileno(f), FILE_TEXT_MAX + 1), 0);
	cr_assert_eq(file_read(path, &text, &len), -EFBIG);
	fclose(f);
}

Test(store, discard_leaves_nothing)
{
	struct store_change change;
	const char *why;

	put("one", "first");
	cr_assert_eq(store_prepare(&store, "two", 3, &change, &why), 0);
	assert_file("own.json", "one");
	store_discard(&change);
	assert_file("own.json", "one");
	cr_assert_eq(store_newest(&store), 1);
	cr_assert_eq(files_in("."), 3, "own file, index, version 1");
}

Test(store, mode_is_kept_and_links_are_followed)
{
	struct stat st;

	put("one", "first");
	cr_assert_eq(chmod(tempdir_file(&dir, "own.json"), 0640), 0);
	cr_assert_eq(rename(tempdir_file(&dir, "own.json"), tempdir_file(&dir, "real.json")), 0);
	cr_assert_eq(symlink("real.json", tempdir_file(&dir, "own.json")), 0);
	put("two", "second");
	assert_file("real.json", "two");
	cr_assert_eq(lstat(tempdir_file(&dir, "own.json"), &st), 0);
	cr_assert(S_ISLNK(st.st_mode));
	cr_assert_eq(stat(tempdir_file(&dir, "real.json"), &st), 0);
	cr_assert_eq(st.st_mode & 07777, 0640);
}

/* What a killed daemon left half written is replaced, and so is a trap of that name; neither stays. */
Test(store, what_a_killed_one_left_is_replaced)
{
	struct store_change change;
	const char *why;
	struct stat st;

	put("one", "first");
	for (int i = 0; i < 2; i++) { /* prepared and never ended, twice */
		cr_assert_eq(store_prepare(&store, "lost", 4, &change, &why), 0);
		free(change.own.temp);
		free(change.own.path);
		free(change.version_path);
	}
	cr_assert_eq(files_in("."), 5, "own file, index, version 1, version 2, one copy");
	cr_assert_eq(stat(tempdir_file(&dir, ".own.json.fairlead-new"), &st), 0);
	put("two", "second");
	cr_assert_eq(files_in("."), 4);
	cr_assert_eq(symlink("elsewhere.json", tempdir_file(&dir, ".own.json.fairlead-new")), 0);
	put("three", "third");
	assert_file("own.json", "three");
	cr_assert_neq(access(tempdir_file(&dir, "elsewhere.json"), F_OK), 0);
}

/* In a child: for its capabilities */
static int replace_without_chown(const char *path)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
		struct __user_cap_data_struct none[2] = { 0 };

		if (syscall(SYS_capset, &header, none))
			_exit(99);
		_exit(-file_replace(path, "two", 3, 0644));
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void assert_becomes_ours(mode_t before, mode_t after)
{
	const char *path = tempdir_file(&dir, "of-another.json");
	struct stat st;

	cr_assert_eq(file_replace(path, "one", 3, 0644), 0);
	cr_assert_eq(chown(path, 65534, 65534), 0);
	cr_assert_eq(chmod(path, before), 0);
	cr_assert_eq(replace_without_chown(path), 0);
	cr_assert_eq(stat(path, &st), 0);
	cr_assert_eq(st.st_uid, geteuid());
	cr_assert_eq(st.st_mode & 07777, after, "%04o: %04o", before, st.st_mode & 07777);
	assert_file("of-another.json", "two");
}

Test(store, file_of_another_user_becomes_ours_without_chown)
{
	if (geteuid())
		cr_skip("only root has files of others\n");
	assert_becomes_ours(0644, 0644);
	assert_becomes_ours(0600, 0600);
	assert_becomes_ours(0640, 0600);
	assert_becomes_ours(0604, 0600);
}

Test(store, owner_is_kept_where_it_may_be)
{
	struct stat st;

	if (geteuid())
		cr_skip("only root has files of others\n");
	put("one", "first");
	cr_assert_eq(chown(tempdir_file(&dir, "own.json"), 65534, 65533), 0);
	cr_assert_eq(chmod(tempdir_file(&dir, "own.json"), 0640), 0);
	put("two", "second");
	cr_assert_eq(stat(tempdir_file(&dir, "own.json"), &st), 0);
	cr_assert_eq(st.st_uid, 65534);
	cr_assert_eq(st.st_gid, 65533);
	cr_assert_eq(st.st_mode & 07777, 0640);
}

Test(store, unreadable_file_names_owner_and_remedy)
{
	char *why;

	if (geteuid())
		cr_skip("only root has files of others\n");
	put("one", "first");
	cr_assert_eq(chown(tempdir_file(&dir, "own.json"), 65534, 65534), 0);
	why = file_why_unread(store.file, -EACCES);
	cr_assert(strstr(why, "(user 65534)"), "%s", why);
	cr_assert(strstr(why, "chown root "), "%s", why);
	free(why);
	why = file_why_unread(store.file, -EIO);
	cr_assert_str_eq(why, strerror(EIO));
	free(why);
}

/* A file where the directory should be is what root can't write to either. */
Test(store, opens_without_a_directory_and_makes_it_later)
{
	struct store_change change;
	const char *why;

	store_close(&store);
	cr_assert_eq(rmdir(tempdir_file(&dir, "state/x/history")), 0);
	cr_assert_eq(rmdir(tempdir_file(&dir, "state/x")), 0);
	cr_assert_eq(file_replace(tempdir_file(&dir, "state/x"), "", 0, 0600), 0);
	reopen();
	cr_assert_eq(store_trouble(&store), -ENOTDIR);
	cr_assert_eq(store_prepare(&store, "one", 3, &change, &why), -ENOTDIR);
	cr_assert_eq(unlink(tempdir_file(&dir, "state/x")), 0);
	put("one", "first");
	cr_assert_eq(store_trouble(&store), 0);
	assert_version(0, "one");
}

Test(store, file_that_cannot_be_written_fails_early)
{
	struct store_change change;
	const char *why = NULL;

	free(store.file);
	store.file = strdup(tempdir_file(&dir, "no/such/dir.json"));
	cr_assert_eq(store_prepare(&store, "one", 3, &change, &why), -ENOENT);
	cr_assert_str_eq(why, store.file);
	cr_assert_eq(files_in("."), 0);
}

Test(store, history_that_cannot_be_written_fails_early)
{
	struct store_change change;
	const char *why = NULL;

	put("one", "first");
	cr_assert_eq(rename(tempdir_file(&dir, "state/x/history"), tempdir_file(&dir, "state/x/moved")), 0);
	cr_assert_eq(file_replace(tempdir_file(&dir, "state/x/history"), "", 0, 0600), 0);
	cr_assert_eq(store_prepare(&store, "two", 3, &change, &why), -ENOTDIR);
	cr_assert_str_eq(why, store.dir);
	assert_file("own.json", "one");
}

Test(store, directory_that_was_removed_is_made_again)
{
	put("one", "first");
	cr_assert_eq(rename(tempdir_file(&dir, "state"), tempdir_file(&dir, "moved")), 0);
	put("two", "second");
	assert_version(0, "two");
	cr_assert_eq(store_trouble(&store), 0);
	cr_assert_eq(rename(tempdir_file(&dir, "state"), tempdir_file(&dir, "moved-too")), 0);
	cr_assert_eq(store_pending_write(&store, "trial", 5), 0);
	assert_file("state/x/pending.json", "trial");
}

Test(store, damaged_index_starts_anew)
{
	put("one", "first");
	cr_assert_eq(file_replace(tempdir_file(&dir, "state/x/history/index.json"), "{\"vers", 6, 0600), 0);
	store_close(&store);
	reopen();
	cr_assert_eq(store_newest(&store), 0);
	put("two", "second");
	assert_version(0, "two");
}

Test(store, entry_without_its_text_is_left_out)
{
	put("one", "first");
	put("two", "second");
	cr_assert_eq(unlink(tempdir_file(&dir, "state/x/history/1.json")), 0);
	store_close(&store);
	reopen();
	cr_assert_eq(json_array_size(store.versions), 1);
	cr_assert_eq(store_newest(&store), 2);
}

Test(store, pending_lies_aside)
{
	cr_assert_eq(store_pending_write(&store, "trial", 5), 0);
	assert_file("state/x/pending.json", "trial");
	cr_assert(store_pending_is(&store, "trial", 5));
	cr_assert(!store_pending_is(&store, "trial!", 6));
	store_pending_remove(&store);
	cr_assert(!store_pending_is(&store, "trial", 5));
	cr_assert(!store_pending_set_aside(&store));
	cr_assert_eq(store_pending_write(&store, "trial", 5), 0);
	cr_assert(store_pending_set_aside(&store));
	assert_file("state/x/undone.json", "trial");
	cr_assert(!store_pending_is(&store, "trial", 5));
}
