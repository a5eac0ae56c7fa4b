#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <linux/capability.h>

#include "jail/base/str.h"
#include "jail/policy/cap-names.h"

static void all_have_names(void **state)
{
	(void)state;
	for (int i = 0; i < CAP_NAMES_COUNT; i++) {
		auto_free char *full = str_printf("cap_%s", cap_name(i));

		assert_non_null(cap_name(i));
		assert_int_equal(cap_name_find(cap_name(i)), i);
		assert_int_equal(cap_name_find(full), i);
	}
	assert_int_equal(cap_name_find("CAP_SYS_ADMIN"), CAP_SYS_ADMIN);
	assert_int_equal(cap_name_find("CAP_"), -1);
	assert_int_equal(cap_name_find("SYS_ADMN"), -1);
	assert_string_equal(cap_name_suggest("CAP_SYS_ADMN"), "SYS_ADMIN");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(all_have_names)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
