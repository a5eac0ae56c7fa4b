#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "jail/system/landlock.h"

#define IOCTLS "ioctls on devices (ABI 5, Linux 6.10)"
#define TRUNCATE "truncating a file (ABI 3, Linux 6.2)"
#define PORTS "TCP ports (ABI 4, Linux 6.7)"

static void what_an_abi_lacks(void **state)
{
	static const struct {
		int abi;
		unsigned int what;
		const char *want; /* NULL: nothing */
	} table[] = {
		{-ENOSYS, LANDLOCK_PATHS, "this kernel has no Landlock (it needs Linux 5.13"},
		{-EOPNOTSUPP, LANDLOCK_PORTS,
		 "Landlock is switched off here: 'landlock' is missing"},
		{-EPERM, LANDLOCK_PATHS, "Landlock cannot be used here"},
		{1, LANDLOCK_PATHS,
		 "Landlock of this kernel (ABI 1) cannot refuse " TRUNCATE " and " IOCTLS},
		{2, LANDLOCK_PATHS,
		 "Landlock of this kernel (ABI 2) cannot refuse " TRUNCATE " and " IOCTLS},
		{3, LANDLOCK_PATHS, "Landlock of this kernel (ABI 3) cannot refuse " IOCTLS},
		{3, LANDLOCK_PORTS, "Landlock of this kernel (ABI 3) cannot refuse " PORTS},
		{1, LANDLOCK_PATHS | LANDLOCK_PORTS,
		 "Landlock of this kernel (ABI 1) cannot refuse " TRUNCATE " and " PORTS
		 " and " IOCTLS},
		{4, LANDLOCK_PORTS, NULL},
		{5, LANDLOCK_PATHS | LANDLOCK_PORTS, NULL},
		{7, LANDLOCK_PATHS | LANDLOCK_PORTS, NULL},
		{1, 0, NULL},
	};

	(void)state;
	for (size_t i = 0; i < array_len(table); i++) {
		char text[LANDLOCK_TEXT_MAX];

		assert_int_equal(landlock_missing(table[i].abi, table[i].what, text),
				 table[i].want != NULL);
		if (table[i].want && table[i].abi < 0)
			assert_memory_equal(text, table[i].want, strlen(table[i].want));
		else if (table[i].want)
			assert_string_equal(text, table[i].want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_an_abi_lacks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
