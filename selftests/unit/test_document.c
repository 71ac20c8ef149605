// SPDX-License-Identifier: GPL-2.0-only
/* What the quick reader takes, Jansson takes too, and both make the same of it. What it leaves is Jansson's. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "user/config/document.h"

/* 1: taken, and the same; 0: left to Jansson */
static int compare(const char *text, size_t len)
{
	json_t *quick = document_read_usual(text, len), *full;
	char *a, *b;

	if (!quick)
		return 0;
	full = json_loadb(text, len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
	cr_assert(full, "taken, and Jansson does not take it: %.*s", (int)len, text);
	a = json_dumps(quick, JSON_ENCODE_ANY | JSON_REAL_PRECISION(17));
	b = json_dumps(full, JSON_ENCODE_ANY | JSON_REAL_PRECISION(17));
	cr_assert_str_eq(a, b);
	free(a);
	free(b);
	json_decref(quick);
	json_decref(full);
	return 1;
}

static void assert_taken(const char *text)
{
	cr_assert_eq(compare(text, strlen(text)), 1, "left: %s", text);
}

static void assert_left(const char *text)
{
	cr_assert_eq(compare(text, strlen(text)), 0, "taken: %s", text);
}

static const char usual[] =
	" {\"node\": {\"name\": \"r\\u00e4\\n\\\"x\\\\\"},\r\n\t\"interfaces\":{\"lan\":{\"device\":\"eth0\",\"mtu\":1480,"
	"\"mode\":false,\"x\":true,\"y\":null}},\"empty\":[{},[],\"\"],\"numbers\":[0,-1,-0,1.5,1e3,-2.5E-3,999999999999999999,"
	"9223372036854775807,-9223372036854775808],\"umlaut\":\"\303\244\342\202\254\",\"r\":[{\"address\":\"2001:db8::/64\"}]} ";

Test(document, usual_is_taken)
{
	assert_taken(usual);
	assert_taken("{}");
	assert_taken("[[[[1]]]]");
	assert_taken("\"x\"");
	assert_taken("7");
}

Test(document, wrong_is_left)
{
	static const char *const wrong[] = {
		"",
		" ",
		"{",
		"[1,]",
		"{\"a\":1,}",
		"{\"a\" 1}",
		"{a:1}",
		"[01]",
		"[+1]",
		"[1.]",
		"[.5]",
		"[tru]",
		"[truex]",
		"{} {}",
		"[1 2]",
		"[\"a]",
		"\"a\nb\"",
		"[\"\\q\"]",
		"[\"\\u0000\"]",
		"[nan]",
		"[1}",
		"{\"a\":1]",
		"['a']",
		"[\"\\ud800\"]",
		"[\"\377\"]",
		"[99999999999999999999]",
		"[-]",
		"[1/2]",
		"{\"a\":1,\"a\":1}",
		"{\"a\":1,\"b\":{\"c\":1,\"c\":2}}",
		"[1]x",
		"// x\n1",
		"{\"a\":}",
		"[,1]",
		"{,}",
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_left(wrong[i]);
	cr_assert_eq(compare("[1]\0", 4), 0);
	cr_assert_eq(compare("[\"a\0b\"]", 7), 0);
}

Test(document, too_deep_is_left)
{
	char text[4001];

	memset(text, '[', 2000);
	memset(text + 2000, ']', 2000);
	text[4000] = '\0';
	assert_left(text);
}

/* Each of some bytes replaced, taken out or put in: mostly wrong then, and now and then right in another way. */
Test(document, damaged_a_hundred_thousand_times)
{
	static const char bytes[] = "{}[]\",:\\ \n0123456789-+.eEtrufalsn/\0\177\200\303\377";
	unsigned int seed = 1;
	int taken = 0;

	for (int round = 0; round < 100000; round++) {
		char text[sizeof(usual) + 8];
		size_t len = strlen(usual);

		memcpy(text, usual, len);
		for (int n = rand_r(&seed) % 3; n >= 0; n--) {
			size_t at = rand_r(&seed) % len;
			char c = bytes[rand_r(&seed) % (sizeof(bytes) - 1)];
			int how = rand_r(&seed) % 3;

			if (how == 1) {
				memmove(text + at, text + at + 1, len - at - 1);
				len--;
			} else if (how == 2) {
				memmove(text + at + 1, text + at, len - at);
				len++;
			}
			text[at] = how == 1 ? text[at] : c;
		}
		taken += compare(text, len);
	}
	cr_assert_gt(taken, 5000, "%d of 100000 were still right", taken);
}

Test(document, errors_are_those_of_jansson)
{
	static const char text[] = "{\"a\": 1,\n \"b\" 2}";
	struct document *document;
	json_error_t error, want;

	cr_assert_null(json_loadb(text, strlen(text), JSON_DECODE_ANY, &want));
	document = document_read(text, strlen(text), 0, &error);
	cr_assert_null(document);
	cr_assert_str_eq(error.text, want.text);
	cr_assert_eq(error.line, want.line);
	cr_assert_eq(error.column, want.column);
}

/* The heap is Jansson's again, also while a document is there. */
Test(document, others_are_not_disturbed)
{
	static const char text[] = "{\"a\":[1,2,\"three\"]}";
	json_error_t error;
	json_t *before = json_string("before"), *after;
	struct document *document = document_read(text, strlen(text), 0, &error);
	char *dump;

	cr_assert(document);
	after = json_pack("{s:s}", "x", "after");
	json_decref(before);
	dump = json_dumps(document_json(document), JSON_COMPACT);
	cr_assert_str_eq(dump, text);
	free(dump);
	document_free(document);
	cr_assert_str_eq(json_string_value(json_object_get(after, "x")), "after");
	json_decref(after);
}
