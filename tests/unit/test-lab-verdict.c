#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "lab/scenario/verdict.h"

#define PANIC "[    1.0] Kernel panic - not syncing: sysrq triggered crash\n"
#define OOPS                                                           \
	"[    1.0] BUG: kernel NULL pointer dereference, address: 0\n" \
	"[    1.0] RIP: 0010:demo_write+0x1/0x2\n"
#define WARN                                                                           \
	"[    1.0] WARNING: CPU: 0 PID: 9 at a.c:1 box_close+0x1/0x2\n[    1.0] RIP: " \
	"0010:box_close+0x1/0x2\n"
#define HANG                                                                        \
	{                                                                           \
		.title = (char *)"INFO: hang in box_spin", .type = (char *)"hang",  \
		.signature = (char *)"hang:box_spin", .guilty = (char *)"box_spin", \
		.first_line = (char *)""                                            \
	}
#define STALL "[    9.0] rcu: INFO: rcu_sched self-detected stall on CPU\n"

static const struct row {
	const char *expect; /* the text below expect:, NULL: none */
	struct outcome outcome;
	const char *out, *err, *console;
	enum verdict verdict;
	const char *reasons; /* joined by '|' */
} rows[] = {
	/* exits */
	{NULL, {.exit_code = 0}, "", "", "", VERDICT_PASS, ""},
	{NULL, {.exit_code = 3}, "", "", "", VERDICT_FAIL, "exit 3, expected 0"},
	{NULL,
	 {.exit_code = 1},
	 "",
	 "a\nmount: denied\n\n",
	 "",
	 VERDICT_FAIL,
	 "exit 1, expected 0|stderr ends: \"mount: denied\""},
	{NULL,
	 {.exit_code = 2},
	 "",
	 "jail: --caps: no\nTry 'jail --help' for more information.\n",
	 "",
	 VERDICT_FAIL,
	 "exit 2, expected 0|stderr ends: \"jail: --caps: no\""},
	{NULL,
	 {.exit_code = 2},
	 "",
	 "Try 'x'",
	 "",
	 VERDICT_FAIL,
	 "exit 2, expected 0|stderr ends: \"Try 'x'\""},
	{"{exit: 32}", {.exit_code = 0}, "", "", "", VERDICT_FAIL, "exit 0, expected 32"},
	{"{exit: 32, stderr: denied}",
	 {.exit_code = 0},
	 "",
	 "",
	 "",
	 VERDICT_FAIL,
	 "exit 0, expected 32|stderr is empty, expected \"denied\""},
	{"{exit: any}", {.exit_code = 77}, "", "", "", VERDICT_PASS, ""},
	{"{stdout: a}", {.exit_code = 1}, "a", "", "", VERDICT_FAIL, "exit 1, expected 0"},
	{NULL,
	 {.exit_code = -1, .signal = 11},
	 "",
	 "",
	 "",
	 VERDICT_FAIL,
	 "ended by SIGSEGV, expected exit 0"},
	{"{signal: SEGV}", {.exit_code = -1, .signal = 11}, "", "", "", VERDICT_PASS, ""},
	{"{signal: SEGV}", {.exit_code = 139}, "", "", "", VERDICT_PASS, ""},
	{"{signal: SEGV}",
	 {.exit_code = -1, .signal = 9},
	 "",
	 "",
	 "",
	 VERDICT_FAIL,
	 "ended by SIGKILL, expected SIGSEGV"},
	{"{signal: 40}", {.exit_code = 0}, "", "", "", VERDICT_FAIL, "exit 0, expected signal 40"},
	/* texts */
	{"{stdout: [a, {not: b}, /^c+$/]}",
	 {.exit_code = 0},
	 "a\nccc\r\n",
	 "",
	 "",
	 VERDICT_PASS,
	 ""},
	{"{stdout: [a, {not: b}, /^c+$/]}",
	 {.exit_code = 0},
	 "ab\nccd\n",
	 "",
	 "",
	 VERDICT_FAIL,
	 "stdout has \"b\", which it must not: \"ab\"|stdout lacks /^c+$/ (it begins: \"ab\")"},
	{"{stdout: \"a\\nb\"}",
	 {.exit_code = 0},
	 "",
	 "",
	 "",
	 VERDICT_FAIL,
	 "stdout is empty, expected \"a\\nb\""},
	/* what must not be there is shown: its line, first, last or in between */
	{"{stderr: [{not: first}, {not: middle}, {not: /st$/}]}",
	 {.exit_code = 0},
	 "",
	 "the first\r\nthe middle of it\nthe last",
	 "",
	 VERDICT_FAIL,
	 "stderr has \"first\", which it must not: \"the first\"|"
	 "stderr has \"middle\", which it must not: \"the middle of it\"|"
	 "stderr has /st$/, which it must not: \"the first\""},
	{"{stdout: x}",
	 {.out = {100, 5}},
	 "hello",
	 "",
	 "",
	 VERDICT_FAIL,
	 "stdout lacks \"x\"; it was cut: 5 of 100 bytes were kept (it begins: \"hello\")"},
	{"{stdout: x}",
	 {.exit_code = 0},
	 "\033[2J",
	 "",
	 "",
	 VERDICT_FAIL,
	 "stdout lacks \"x\" (it begins: \"?[2J\")"},
	{"{stderr: {not: /./}}", {.exit_code = 0}, "", "", "", VERDICT_PASS, ""},
	{"{console: loop}",
	 {.exit_code = 0},
	 "",
	 "",
	 "other",
	 VERDICT_FAIL,
	 "console lacks \"loop\""},
	{"{files: {f: yes, gone: absent}}", {.exit_code = 0}, "", "", "", VERDICT_PASS, ""},
	{"{files: {f: no, g: absent}}",
	 {.exit_code = 0},
	 "",
	 "",
	 "",
	 VERDICT_FAIL,
	 "f lacks \"no\" (it begins: \"yes\")|file g is there, expected absent"},
	{"{files: {other: x}}",
	 {.exit_code = 0},
	 "",
	 "",
	 "",
	 VERDICT_FAIL,
	 "file other is not there"},
	/* crashes */
	{NULL,
	 {.ending = END_PANIC},
	 "",
	 "",
	 PANIC,
	 VERDICT_CRASH,
	 "kernel panic: sysrq triggered crash"},
	{NULL, {.ending = END_PANIC}, "", "", "", VERDICT_CRASH, "kernel panic"},
	{NULL, {.ending = END_OOPS}, "", "", "", VERDICT_CRASH, "kernel oops"},
	{NULL, {.ending = END_REBOOT}, "", "", "", VERDICT_CRASH, "unexpected kernel reboot"},
	{"{crash: unexpected}", {.ending = END_REBOOT}, "", "", "", VERDICT_PASS, ""},
	{"{crash: sysrq}", {.ending = END_PANIC}, "", "", PANIC, VERDICT_PASS, ""},
	{"{crash: '/^kernel panic: s.*h$/'}",
	 {.ending = END_PANIC},
	 "",
	 "",
	 PANIC,
	 VERDICT_PASS,
	 ""},
	{"{crash: sysrq, stdout: x}",
	 {.ending = END_PANIC},
	 "",
	 "",
	 PANIC,
	 VERDICT_FAIL,
	 "stdout is empty, expected \"x\""},
	{"{crash: oops}",
	 {.ending = END_PANIC},
	 "",
	 "",
	 PANIC,
	 VERDICT_CRASH,
	 "kernel panic: sysrq triggered crash|expected a crash \"oops\""},
	{"{crash: sysrq}",
	 {.exit_code = 0},
	 "",
	 "",
	 "",
	 VERDICT_FAIL,
	 "exit 0, expected a crash \"sysrq\""},
	{"{exit: 0}", {.exit_code = 0}, "", "", WARN, VERDICT_CRASH, "WARNING in box_close"},
	{"{crash: WARNING in box_close}", {.exit_code = 0}, "", "", WARN, VERDICT_PASS, ""},
	{NULL,
	 {.ending = END_GONE, .detail = (char *)"QEMU died"},
	 "",
	 "",
	 OOPS,
	 VERDICT_CRASH,
	 "BUG: unable to handle kernel NULL pointer dereference in demo_write"},
	{"{hang: true}",
	 {.ending = END_HUNG},
	 "",
	 "",
	 OOPS,
	 VERDICT_CRASH,
	 "BUG: unable to handle kernel NULL pointer dereference in demo_write|expected a hang"},
	/* hangs */
	{NULL, {.ending = END_HUNG}, "", "", "", VERDICT_HANG, "the guest made no progress"},
	{NULL,
	 {.ending = END_TIMEOUT, .detail = (char *)"30 s are over"},
	 "",
	 "",
	 STALL,
	 VERDICT_HANG,
	 "30 s are over|console: INFO: rcu detected stall"},
	{"{hang: true}", {.ending = END_TIMEOUT}, "", "", STALL, VERDICT_PASS, ""},
	{"{crash: rcu detected stall}", {.ending = END_HUNG}, "", "", STALL, VERDICT_PASS, ""},
	{"{hang: true}", {.exit_code = 4}, "", "", "", VERDICT_FAIL, "exit 4, expected a hang"},
	{"{crash: x}",
	 {.ending = END_HUNG},
	 "",
	 "",
	 "",
	 VERDICT_HANG,
	 "the guest made no progress|expected a crash \"x\""},
	/* that a dump names */
	{NULL,
	 {.ending = END_HUNG, .hang = HANG},
	 "",
	 "",
	 "",
	 VERDICT_HANG,
	 "the guest made no progress|dump: INFO: hang in box_spin"},
	{"{crash: hang in box_spin}",
	 {.ending = END_HUNG, .hang = HANG},
	 "",
	 "",
	 "",
	 VERDICT_PASS,
	 ""},
	{"{hang: true}", {.ending = END_TIMEOUT, .hang = HANG}, "", "", "", VERDICT_PASS, ""},
	{NULL, {.exit_code = 0, .hang = HANG}, "", "", "", VERDICT_PASS, ""},
	{"{hang: true}",
	 {.ending = END_HUNG, .hang = HANG},
	 "",
	 "",
	 OOPS,
	 VERDICT_CRASH,
	 "BUG: unable to handle kernel NULL pointer dereference in demo_write|expected a hang"},
	/* infrastructure */
	{"{crash: x}",
	 {.ending = END_NO_BOOT},
	 "",
	 "",
	 PANIC,
	 VERDICT_LOST,
	 "the guest did not boot|console: kernel panic: sysrq triggered crash"},
	{"{hang: true}",
	 {.ending = END_GONE},
	 "",
	 "",
	 WARN,
	 VERDICT_LOST,
	 "the machine went away|console: WARNING in box_close"},
	/* a program's text on the console of a guest that lived on; then the kernel's log */
	{NULL,
	 {.ending = END_EXITED, .lives = true, .console = {sizeof(PANIC) - 1, sizeof(PANIC) - 1}},
	 "",
	 "",
	 PANIC,
	 VERDICT_PASS,
	 ""},
	{NULL,
	 {.ending = END_EXITED, .lives = true, .console = {sizeof(PANIC) - 1, sizeof(PANIC) - 1}},
	 "",
	 "",
	 PANIC WARN,
	 VERDICT_CRASH,
	 "WARNING in box_close"},
	{NULL,
	 {.ending = END_PANIC, .lives = true, .console = {sizeof(PANIC) - 1, sizeof(PANIC) - 1}},
	 "",
	 "",
	 PANIC,
	 VERDICT_CRASH,
	 "kernel panic: sysrq triggered crash"},
	{"{exit: 0}", {.ending = END_BROKEN}, "", "", "", VERDICT_LOST, "the guest's agent failed"},
};

static struct evidence_text text_of(const char *s)
{
	return (struct evidence_text){s, strlen(s)};
}

static void judge(const struct row *row, struct judgement *j)
{
	const struct evidence_file files[] = {{"f", text_of("yes\n")}, {"g", text_of("")}};
	auto_free char *yaml = str_printf("run: x\nexpect: %s\n", row->expect ? row->expect : "{}");
	struct err err = {0};
	struct scenario s = {0};

	if (scenario_parse("x.yml", yaml, strlen(yaml), &s, &err) < 0)
		fail_msg("%s: %s", yaml, err.msg);
	verdict_judge(row->expect ? s.expects : NULL, NULL, &row->outcome, text_of(row->out),
		      text_of(row->err), text_of(row->console), files, array_len(files), j);
	scenario_deinit(&s);
}

static void test_rows(void **state)
{
	int wrong = 0;

	(void)state;
	for (size_t i = 0; i < array_len(rows); i++) {
		auto_cleanup(judgement) j = {0};
		auto_cleanup(buf) got = {0};

		judge(&rows[i], &j);
		buf_adds(&got, "");
		for (size_t k = 0; k < j.reasons.n; k++)
			buf_addf(&got, "%s%s", k ? "|" : "", j.reasons.items[k]);
		if (j.verdict == rows[i].verdict && str_eq(got.data, rows[i].reasons))
			continue;
		print_error("row %zu: %s, %s\nexpected %s, %s\n", i, verdict_name(j.verdict),
			    got.data, verdict_name(rows[i].verdict), rows[i].reasons);
		wrong++;
	}
	assert_int_equal(wrong, 0);
}

/* Whose report it was is said where nothing else says it. */
static void test_lives(void **state)
{
	static const struct {
		struct row row;
		size_t notes;
	} cases[] = {
		{{NULL,
		  {.ending = END_EXITED,
		   .lives = true,
		   .console = {sizeof(PANIC) - 1, sizeof(PANIC) - 1}},
		  "",
		  "",
		  PANIC,
		  0,
		  NULL},
		 1},
		{{NULL, {.ending = END_PANIC, .lives = true}, "", "", PANIC, 0, NULL}, 0},
		{{NULL, {.ending = END_EXITED}, "", "", "", 0, NULL}, 0},
	};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		auto_cleanup(judgement) j = {0};

		judge(&cases[i].row, &j);
		assert_int_equal(j.notes.n, cases[i].notes);
	}
}

static void test_title(void **state)
{
	const struct row expected = {
		"{crash: sysrq}", {.ending = END_PANIC}, "", "", PANIC, 0, NULL};
	auto_cleanup(judgement) j = {0};

	(void)state;
	judge(&expected, &j);
	assert_string_equal(j.crash.title, "kernel panic: sysrq triggered crash");
}

/* What does not count: each is told, and the cell passes. */
static void test_passed_over(void **state)
{
	static const char entries[] =
		"- {title: WARNING in box_close, kernel: '<6.1', reason: r, link: 'https://x',"
		" until: 2026-02-01}\n"
		"- {title: '/^WARNING in box/', arch: arm64, reason: known, link: 'https://x',"
		" until: 2026-02-01}\n";
	static const struct {
		const char *console, *expect;
		bool note, known;
		enum ending ending;
		enum verdict verdict;
		const char *notes;
	} cases[] = {
		{WARN, "{}", false, false, END_EXITED, VERDICT_CRASH, NULL},
		{WARN, "{}", true, false, END_EXITED, VERDICT_PASS, "WARNING in box_close"},
		{WARN, "{}", false, true, END_EXITED, VERDICT_PASS,
		 "known until 2026-02-01: WARNING in box_close: known (https://x)"},
		/* what is expected is not passed over */
		{WARN, "{crash: WARNING}", true, true, END_EXITED, VERDICT_PASS, NULL},
		{WARN, "{crash: {not: WARNING}}", false, false, END_EXITED, VERDICT_CRASH, NULL},
		{OOPS, "{}", true, true, END_EXITED, VERDICT_CRASH, NULL},
		{WARN OOPS, "{}", true, false, END_EXITED, VERDICT_CRASH, "WARNING in box_close"},
		/* another title of the same */
		{OOPS, "{crash: /^bad-access in demo_write$/}", false, false, END_OOPS,
		 VERDICT_PASS, NULL},
		{OOPS, "{crash: {not: bad-access}}", false, false, END_OOPS, VERDICT_CRASH, NULL},
		/* words of user space */
		{PANIC, "{}", false, false, END_EXITED, VERDICT_PASS,
		 "the guest went on after what looks like a panic: Kernel panic - not syncing: "
		 "sysrq triggered crash"},
		{PANIC, "{crash: sysrq}", false, false, END_EXITED, VERDICT_FAIL,
		 "the guest went on after what looks like a panic: Kernel panic - not syncing: "
		 "sysrq triggered crash"},
		{"[    1.0] x\nBUG: sleeping function called from invalid context at a\n", "{}",
		 false, false, END_EXITED, VERDICT_PASS, NULL},
		{"[    1.0] x\n[    2.0] (user) BUG: x at a\n", "{}", false, false, END_EXITED,
		 VERDICT_PASS, NULL},
		{"[    2.0] BUG: x at a\n[    2.0] (user) BUG: x at a\n", "{}", false, false,
		 END_EXITED, VERDICT_PASS, NULL},
		{"[    3.0] BUG: x at a\n[    2.0] (user) BUG: x at a\n", "{}", false, false,
		 END_EXITED, VERDICT_CRASH, NULL},
	};
	auto_cleanup(known_list) known = {0};
	struct err err = {0};

	(void)state;
	if (known_parse("k.yml", entries, strlen(entries), "2026-02-01", &known, &err) < 0)
		fail_msg("%s", err.msg);
	for (size_t i = 0; i < array_len(cases); i++) {
		auto_free char *yaml = str_printf("run: x\nexpect: %s\n", cases[i].expect);
		const struct outcome o = {.ending = cases[i].ending};
		const struct judge_rules rules = {
			.warnings_note = cases[i].note,
			.known = cases[i].known ? &known : NULL,
			.kernel = {{6, 1, 0}},
			.arch = ARCH_ARM64,
		};
		auto_cleanup(judgement) j = {0};
		struct scenario s = {0};

		assert_int_equal(scenario_parse("x.yml", yaml, strlen(yaml), &s, &err), 0);
		verdict_judge(s.expects, &rules, &o, text_of(""), text_of(""),
			      text_of(cases[i].console), NULL, 0, &j);
		if (j.verdict != cases[i].verdict || j.notes.n != (cases[i].notes != NULL) ||
		    (cases[i].notes && !str_eq(j.notes.items[0], cases[i].notes)))
			fail_msg("case %zu: %s, note '%s'", i, verdict_name(j.verdict),
				 j.notes.n ? j.notes.items[0] : "");
		scenario_deinit(&s);
	}
}

static void test_names(void **state)
{
	(void)state;
	for (int v = 0; v < VERDICT_COUNT; v++)
		assert_int_equal(verdict_parse(verdict_name(v)), v);
	assert_int_equal(verdict_parse("passed"), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),  cmocka_unit_test(test_lives),
		cmocka_unit_test(test_title), cmocka_unit_test(test_passed_over),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
