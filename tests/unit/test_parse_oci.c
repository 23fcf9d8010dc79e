// SPDX-License-Identifier: Apache-2.0
/*
 * parse/oci.c: annotations and environment out of a container's config.json, as CRI-O and
 * containerd write it, and out of texts that are none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "parse/oci.h"

static const char spec[] =
	"{\"ociVersion\":\"1.0.2-dev\",\"process\":{\"user\":{\"uid\":1000,\"additionalGids\":[1,2]"
	"},"
	"\"args\":[\"env\",\"X=no\"],\"env\":[\"PATH=/bin\",\"A=1\",\"OOMSNAP_WATCH=on\",\"A=2\","
	"\"EMPTY=\",\"Q=a\\\"b\\\\c\\u00e9\\ud83d\\ude00\"],\"cwd\":\"/"
	"\"},\"root\":{\"path\":\"x\"},\n"
	" \"annotations\" : { \"io.kubernetes.cri-o.Annotations\":"
	"\"{\\\"oomsnap/watch\\\":\\\"on\\\",\\\"n\\\":1}\" ,"
	"\"nested\":{\"io.kubernetes.pod.name\":\"wrong\"},\"list\":[{\"a\":[]},\"]\"],"
	"\"io.kubernetes.pod.name\":\"shop-7d\",\"number\":3},\"linux\":{}}";

static void annotations(void **state)
{
	char value[128];
	char inner[16];

	(void)state;
	assert_true(
		oci_annotation(spec, strlen(spec), "io.kubernetes.pod.name", value, sizeof(value)));
	assert_string_equal(value, "shop-7d");
	assert_true(oci_annotation(
		spec, strlen(spec), "io.kubernetes.cri-o.Annotations", value, sizeof(value)));
	assert_string_equal(value, "{\"oomsnap/watch\":\"on\",\"n\":1}");
	assert_true(oci_string_member(value, strlen(value), "oomsnap/watch", inner, sizeof(inner)));
	assert_string_equal(inner, "on");
	assert_false(oci_string_member(value, strlen(value), "n", inner, sizeof(inner)));
	assert_false(oci_annotation(spec, strlen(spec), "absent", value, sizeof(value)));
	assert_false(oci_annotation(spec, strlen(spec), "number", value, sizeof(value)));
	assert_false(oci_annotation(spec, strlen(spec), "io.kubernetes.pod.name", value, 7));
	assert_true(oci_annotation(spec, strlen(spec), "io.kubernetes.pod.name", value, 8));
}

static void environment(void **state)
{
	char value[128];

	(void)state;
	assert_true(oci_environment(spec, strlen(spec), "OOMSNAP_WATCH", value, sizeof(value)));
	assert_string_equal(value, "on");
	assert_true(oci_environment(spec, strlen(spec), "A", value, sizeof(value)));
	assert_string_equal(value, "2");
	assert_true(oci_environment(spec, strlen(spec), "EMPTY", value, sizeof(value)));
	assert_string_equal(value, "");
	assert_true(oci_environment(spec, strlen(spec), "Q", value, sizeof(value)));
	assert_string_equal(value, "a\"b\\c\xc3\xa9\xf0\x9f\x98\x80");
	assert_false(oci_environment(spec, strlen(spec), "X", value, sizeof(value)));
	assert_false(oci_environment(spec, strlen(spec), "PAT", value, sizeof(value)));
}

/* Cut anywhere, it gives the right answer or none, and reads nothing behind its end. */
static void cut(void **state)
{
	(void)state;
	for (size_t len = 0; len < strlen(spec); len++) {
		char *text = malloc(len ? len : 1); /* of its own: the sanitizer sees its end */
		char value[128];

		assert_non_null(text);
		memcpy(text, spec, len);
		if (oci_annotation(text, len, "io.kubernetes.pod.name", value, sizeof(value)))
			assert_string_equal(value, "shop-7d");
		if (oci_environment(text, len, "OOMSNAP_WATCH", value, sizeof(value)))
			assert_string_equal(value, "on");
		free(text);
	}
}

static void hostile(void **state)
{
	static const char *const texts[] = {"", "null", "[]", "{", "{\"annotations\"",
		"{\"annotations\":", "{\"annotations\":\"x\"}",
		"{\"annotations\":{\"a\":\"\\u12\"}}", "{\"annotations\":{\"a\":\"\\ud800\"}}",
		"{\"annotations\":{\"a\":\"\\u0000\"}}", "{\"annotations\":{\"a\":\"\\x\"}}",
		"{\"annotations\":{\"a\":\"b\\", "{\"x\":}{\"annotations\":{\"a\":\"b\"}}",
		"{\"x\":],\"annotations\":{\"a\":\"b\"}}"};
	char deep[4096];
	char value[16];

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_false(oci_annotation(texts[i], strlen(texts[i]), "a", value, sizeof(value)));
	memset(deep, '[', sizeof(deep));
	memcpy(deep, "{\"x\":", 5);
	assert_false(oci_annotation(deep, sizeof(deep), "a", value, sizeof(value)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(annotations),
		cmocka_unit_test(environment),
		cmocka_unit_test(cut),
		cmocka_unit_test(hostile),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
