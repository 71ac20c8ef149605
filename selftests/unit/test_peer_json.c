// SPDX-License-Identifier: GPL-2.0-only
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "user/sync/peer_json.h"

static void expect_clean(const char *text, const char *expected)
{
	json_t *json = peer_json((const uint8_t *)text, strlen(text));
	char *is;

	cr_assert_not_null(json, "%s", text);
	is = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
	cr_expect_str_eq(is, expected);
	free(is);
	json_decref(json);
}

Test(peer_json, clean)
{
	expect_clean("{\"a\":1,\"b\":[true,null,2.5]}", "{\"a\":1,\"b\":[true,null,2.5]}");
	expect_clean("{\"a\":\"plain, \u00fc, \u20ac, \u00a0\"}", "{\"a\":\"plain, \u00fc, \u20ac, \u00a0\"}");
	expect_clean("[\"\\n\\t\\r\\u0001\\u001f\\u007f\"]", "[\"??????\"]");
	expect_clean("[\"a\\u0080b\\u009fc\\u00a0\"]", "[\"a?b?c\u00a0\"]");
	expect_clean("{\"a\":[{\"b\":\"\\u001b[31m\"}]}", "{\"a\":[{\"b\":\"?[31m\"}]}");
	expect_clean("{\"a\\n\":1,\"b\":2,\"\\u009b\":\"c\"}", "{\"b\":2}");
}

Test(peer_json, but)
{
	json_t *json = json_loads("{\"part\":{\"a\":\"\\n\"},\"b\":{\"part\":\"\\n\"}}", 0, NULL);

	peer_json_clean(json, "part");
	cr_expect_str_eq(json_string_value(json_object_get(json_object_get(json, "part"), "a")), "\n");
	cr_expect_str_eq(json_string_value(json_object_get(json_object_get(json, "b"), "part")), "?");
	json_decref(json);
}

/* Not even so deep that a stack would end. */
Test(peer_json, none)
{
	static uint8_t deep[1 << 16];

	memset(deep, '[', sizeof(deep));
	cr_expect_null(peer_json(deep, sizeof(deep)));
	cr_expect_null(peer_json((const uint8_t *)"{", 1));
	cr_expect_null(peer_json((const uint8_t *)"[\"\\u0000\"]", 10));
	cr_expect_null(peer_json((const uint8_t *)"[\"\xff\"]", 5));
	cr_expect_null(peer_json(deep, 0));
	memset(deep, '[', 2000);
	memset(deep + 2000, ']', 2000);
	json_decref(peer_json(deep, 4000));
}
