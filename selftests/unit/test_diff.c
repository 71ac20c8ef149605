// SPDX-License-Identifier: GPL-2.0-only
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/daemon/diff.h"

static struct diff *diff_of(const char *from, const char *to)
{
	struct diff *diff = diff_texts(from, from ? strlen(from) : 0, to, strlen(to));

	cr_assert(diff);
	return diff;
}

/* expected: "change pointer;…" */
static void assert_diff(const char *from, const char *to, const char *expected)
{
	struct diff *diff = diff_of(from, to);
	json_t *changes = diff_json(diff), *change;
	char text[1000] = "";
	size_t i;

	json_array_foreach(changes, i, change) {
		strcat(text, json_string_value(json_object_get(change, "change")));
		strcat(text, " ");
		strcat(text, json_string_value(json_object_get(change, "pointer")));
		strcat(text, ";");
	}
	json_decref(changes);
	diff_free(diff);
	cr_assert_str_eq(text, expected);
}

/* out has room for any */
static const char *summary(const char *from, const char *to, char *out)
{
	struct diff *diff = diff_of(from, to);
	char *text = diff_summary(diff);

	cr_assert_leq(strlen(text), DIFF_SUMMARY_MAX);
	strcpy(out, text);
	free(text);
	diff_free(diff);
	return out;
}

Test(diff, equal_is_empty)
{
	assert_diff("{\"a\":{\"b\":[1,2]}}", "{\"a\":{\"b\":[1,2]}}", "");
}

Test(diff, order_of_keys_is_no_difference)
{
	assert_diff("{\"a\":1,\"b\":2}", "{\"b\":2,\"a\":1}", "");
}

Test(diff, members)
{
	assert_diff("{\"a\":1,\"b\":2,\"c\":{\"x\":1}}", "{\"b\":3,\"c\":{\"x\":1,\"y\":1},\"d\":0}",
		    "removed /a;changed /b;added /c/y;added /d;");
}

Test(diff, arrays_by_index)
{
	assert_diff("{\"r\":[1,2,3]}", "{\"r\":[1,4]}", "changed /r/1;removed /r/2;");
	assert_diff("{\"r\":[]}", "{\"r\":[{}]}", "added /r/0;");
}

Test(diff, another_type_is_one_change)
{
	assert_diff("{\"a\":{\"b\":1}}", "{\"a\":[1]}", "changed /a;");
}

Test(diff, pointers_are_escaped)
{
	assert_diff("{}", "{\"a/b\":{\"m~n\":1}}", "added /a~1b;");
	assert_diff("{\"a/b\":{}}", "{\"a/b\":{\"m~n\":1}}", "added /a~1b/m~0n;");
}

Test(diff, spaces_and_ways_to_write_are_no_difference)
{
	assert_diff(" { \"a\" : [ 1 , { } , [ ] ] ,\n\t\"b\":\"x\" } \n", "{\"b\":\"\\u0078\",\"a\":[1,{},[]]}", "");
	assert_diff("{\"a\":{\"k\":1}}", "{\"\\u0061\":{\"\\u006b\":1}}", "");
	assert_diff("{\"r\":[1.0, true, null, -2]}", "{\"r\":[1.00,true ,null, -2 ]}", "");
}

Test(diff, brackets_and_quotes_in_strings)
{
	assert_diff("{\"a\":\"}]\\\"{\",\"b\":[\"[\",\"\\\\\"],\"c\":1}",
		    "{\"a\":\"}]\\\"{\",\"b\":[\"[\",\"\\\\\",3],\"c\":2}", "added /b/2;changed /c;");
}

Test(diff, many_in_another_order)
{
	char from[20000] = "{\"t\":{", to[20000] = "{\"t\":{";

	for (int i = 0; i < 500; i++) {
		sprintf(from + strlen(from), "%s\"t%d\":{\"n\":%d}", i ? "," : "", i, i);
		sprintf(to + strlen(to), "%s\"t%d\":{\"n\":%d}", i ? "," : "", 500 - i, 500 - i + (i == 100));
	}
	strcat(from, "}}");
	strcat(to, "}}");
	assert_diff(from, to, "removed /t/t0;changed /t/t400/n;added /t/t500;");
}

Test(diff, from_nothing)
{
	assert_diff(NULL, "{\"a\":1}", "added /a;");
}

Test(diff, summary_names_items)
{
	char out[DIFF_SUMMARY_MAX + 1];

	cr_assert_str_eq(summary("{\"t\":{\"a\":{\"m\":1,\"n\":1},\"b\":{}},\"r\":[1]}",
				 "{\"t\":{\"a\":{\"m\":2,\"n\":2},\"c\":{}},\"r\":[1,2],\"node\":{\"name\":\"x\"}}",
				 out),
			 "added t/c, r/1, node; changed t/a; removed t/b");
	cr_assert_str_eq(summary("{}", "{}", out), "no difference in content");
}

Test(diff, summary_stays_one_line_of_a_few_words)
{
	char to[20000] = "{\"tunnels\":{", out[DIFF_SUMMARY_MAX + 1];

	for (int i = 0; i < 500; i++)
		sprintf(to + strlen(to), "%s\"tunnel%d\":{}", i ? "," : "", i);
	strcat(to, "}}");
	summary("{\"tunnels\":{}}", to, out);
	cr_assert(!strncmp(out, "added tunnels/tunnel0, tunnels/tunnel1, ", 40), "%s", out);
	cr_assert(strstr(out, " more"), "%s", out);
}

Test(diff, summary_of_a_very_long_name)
{
	char to[1000] = "{\"", out[DIFF_SUMMARY_MAX + 1];

	memset(to + 2, 'x', 900);
	strcpy(to + 902, "\":1}");
	cr_assert_str_eq(summary("{}", to, out), "changed 1 items");
}
