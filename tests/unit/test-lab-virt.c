/* Which addresses of libvirt machines can be run at. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "jail/base/str.h"
#include "lab/machine/virt.h"

static void test_uris(void **state)
{
	static const struct {
		const char *uri, *says; /* NULL: machines run there */
	} uris[] = {
		{"qemu:///session", NULL},
		{"qemu:///system", NULL},
		{"qemu+unix:///system?socket=/run/user/1000/s", NULL},
		{"qemu://host/system", "run lab there"},
		{"qemu+ssh://user@host:22/system", "run lab there"},
		{"qemu+ext:///system?command=/bin/x", "run lab there"},
		{"qemu:///embed?root=/tmp/x", "qemu:///session"},
		{"qemu:///", "qemu:///session"},
		{"test:///default", "QEMU's"},
		{"xen:///system", "QEMU's"},
		{"qemufoo:///system", "QEMU's"},
		{"qemu", "QEMU's"},
		{"", "QEMU's"},
		{"a b\033", "QEMU's"},
	};

	(void)state;
	for (size_t i = 0; i < array_len(uris); i++) {
		struct err err = {0};
		int r = virt_check_uri(uris[i].uri, &err);

		assert_int_equal(r, uris[i].says ? -EINVAL : 0);
		if (uris[i].says && !strstr(err.msg, uris[i].says))
			fail_msg("%s: said '%s'", uris[i].uri, err.msg);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_uris),
	};

	return cmocka_run_group_tests_name("virt", tests, NULL, NULL);
}
