// SPDX-License-Identifier: Apache-2.0
/*
 * Arithmetic at the ends of its range, and the release of what a scope holds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>

#include "base/checked.h"
#include "base/cleanup.h"

#define MAX UINT64_MAX

static void test_checked(void **state)
{
	uint64_t v = 42;

	(void)state;
	assert_true(checked_add(MAX - 1, 1, &v));
	assert_int_equal(MAX, v);
	assert_false(checked_add(MAX, 1, &v));
	assert_false(checked_mul(MAX, 2, &v));
	assert_false(checked_mul(UINT64_C(1) << 32, UINT64_C(1) << 32, &v));
	assert_int_equal(MAX, v);
	assert_true(checked_mul(MAX, 0, &v));
	assert_int_equal(0, v);
	assert_true(checked_mul(UINT64_C(1) << 32, UINT64_C(1) << 31, &v));
	assert_int_equal(UINT64_C(1) << 63, v);
}

static void test_saturating(void **state)
{
	(void)state;
	assert_int_equal(0, sub_floor(1, 2));
	assert_int_equal(0, sub_floor(2, 2));
	assert_int_equal(1, sub_floor(3, 2));
	assert_int_equal(0, sub_floor(0, MAX));
	assert_int_equal(MAX, add_sat(MAX, 1));
	assert_int_equal(MAX, add_sat(MAX, MAX));
	assert_int_equal(3, add_sat(1, 2));
}

static void test_mul_div(void **state)
{
	(void)state;
	assert_int_equal(MAX, mul_div(MAX, MAX, MAX)); /* through 128 bits */
	assert_int_equal(MAX, mul_div(MAX, 2, 1));
	assert_int_equal(MAX, mul_div(MAX, MAX, 1));
	assert_int_equal(0, mul_div(MAX, 0, 1));
	assert_int_equal(3, mul_div(10, 1, 3)); /* down */
	assert_int_equal(1, mul_div(MAX, 1, MAX));
}

static void test_shares(void **state)
{
	(void)state;
	assert_int_equal(0, share_bp(1000, 0));
	assert_int_equal(1000, share_bp(1000, BP_ONE));
	assert_int_equal(900, share_bp(1000, 9000));
	assert_int_equal(0, share_bp(1, 9999));
	assert_int_equal(MAX, share_bp(MAX, BP_ONE));
	assert_int_equal(MAX, share_bp(MAX, BP_ONE + 1));
}

static void test_bounds(void **state)
{
	(void)state;
	assert_int_equal(1, min_u64(1, MAX));
	assert_int_equal(1, min_u64(MAX, 1));
	assert_int_equal(MAX, max_u64(1, MAX));
	assert_int_equal(MAX, max_u64(MAX, 1));
	assert_int_equal(5, clamp_u64(1, 5, 9));
	assert_int_equal(7, clamp_u64(7, 5, 9));
	assert_int_equal(9, clamp_u64(MAX, 5, 9));
	assert_int_equal(5, clamp_u64(5, 5, 5));
}

static int open_in_scope(bool keep)
{
	_cleanup_close_ int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int number = fd;

	assert_true(fd >= 0);
	errno = ENOTTY;
	return keep ? take_fd(&fd) : number;
}

/* A scope closes what it holds and nothing that was handed over, and keeps errno. */
static void test_cleanup(void **state)
{
	int fd;
	char *text;

	(void)state;
	fd = open_in_scope(/* keep= */ false);
	assert_int_equal(ENOTTY, errno);
	assert_int_equal(-1, fcntl(fd, F_GETFD));
	assert_int_equal(EBADF, errno);
	fd = open_in_scope(/* keep= */ true);
	assert_true(fcntl(fd, F_GETFD) >= 0);
	assert_int_equal(0, close(fd));
	{
		_cleanup_free_ char *held = malloc(1);
		_cleanup_close_ int none = -1;
		_cleanup_fclose_ FILE *no_stream = NULL;
		_cleanup_closedir_ DIR *no_dir = NULL;

		(void)none;
		(void)no_stream;
		(void)no_dir;
		assert_non_null(held);
		text = take_ptr(held);
		assert_null(held);
	}
	*text = 'x'; /* a sanitizer would see it freed */
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_checked),
		cmocka_unit_test(test_saturating),
		cmocka_unit_test(test_mul_div),
		cmocka_unit_test(test_shares),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_cleanup),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
