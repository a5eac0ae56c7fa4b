/* Records of the kernel's log become the lines that dmesg(1) prints. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "jail/base/cleanup.h"
#include "vm/kmsg-text.h"

static void test_records(void **state)
{
	static const struct {
		const char *record, *text;
	} cases[] = {
		{"6,339,5140900,-;NET: Registered\n", "[    5.140900] NET: Registered\n"},
		{"6,0,0,-;Linux version 6.1\n", "[    0.000000] Linux version 6.1\n"},
		{"4,9,123456789012,c;late\n", "[123456.789012] late\n"},
		{"6,1,1000001,-,caller=T1;new fields\n", "[    1.000001] new fields\n"},
		{"6,1,7,-;no end", "[    0.000007] no end\n"},
		{"6,1,7,-;\n", "[    0.000007] \n"},
		{"6,1,7,-;a;b\n", "[    0.000007] a;b\n"},
		/* what describes the device is left out */
		{"6,1,7,-;pci: x\n SUBSYSTEM=pci\n DEVICE=+pci:0\n", "[    0.000007] pci: x\n"},
		/* a text of several lines: each has the stamp */
		{"6,1,7,-;one\\x0atwo\n", "[    0.000007] one\n[    0.000007] two\n"},
		/* what the kernel escapes: ours again, but for what a terminal would obey */
		{"6,1,7,-;a\\x5cb\\x09c\n", "[    0.000007] a\\b\tc\n"},
		{"6,1,7,-;\\xc3\\xa9\n", "[    0.000007] \xc3\xa9\n"},
		{"6,1,7,-;\\x1b[31m\\x00\n", "[    0.000007] \\x1b[31m\\x00\n"},
		{"6,1,7,-;cut \\x", "[    0.000007] cut \\x\n"},
		{"6,1,7,-;cut \\x5", "[    0.000007] cut \\x5\n"},
		{"6,1,7,-;cut \\x 5\n", "[    0.000007] cut \\x 5\n"},
		{"6,1,7,-;cut \\xZZ\n", "[    0.000007] cut \\xZZ\n"},
		/* user space wrote it: facility 1, whatever it asked for */
		{"12,1,7,-;BUG: x\n", "[    0.000007] (user) BUG: x\n"},
		{"9,1,7,-;one\\x0atwo\n", "[    0.000007] (user) one\n[    0.000007] (user) two\n"},
		/* no records */
		{"", ""},
		{"text", ""},
		{"6,1;no time\n", ""},
		{";\n", ""},
	};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		auto_cleanup(buf) out = {0};

		buf_adds(&out, "");
		kmsg_text_add(&out, cases[i].record);
		assert_string_equal(out.data, cases[i].text);
	}
}

/* It appends. */
static void test_appends(void **state)
{
	auto_cleanup(buf) out = {0};

	(void)state;
	kmsg_text_add(&out, "6,1,1,-;a\n");
	kmsg_text_add(&out, "6,2,2,-;b\n");
	assert_string_equal(out.data, "[    0.000001] a\n[    0.000002] b\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_records),
		cmocka_unit_test(test_appends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
