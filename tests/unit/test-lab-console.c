#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <string.h>

#include "jail/base/io.h"
#include "lab/scenario/console-frame.h"
#include "lab/scenario/console.h"

/* Texts from real boots (panic-, hung-, stall-) and made after the kernel's formats (the others).
 */
static const struct {
	const char *file;
	const char *title; /* NULL: no report */
	bool fatal, stall;
} files[] = {
	{"panic-5.10-amd64", "kernel panic: sysrq triggered crash", true, false},
	{"panic-6.1-amd64", "kernel panic: sysrq triggered crash", true, false},
	{"panic-6.1-arm64", "kernel panic: sysrq triggered crash", true, false},
	{"panic-7.2-amd64", "kernel panic: sysrq triggered crash", true, false},
	{"panic-7.2-arm64", "kernel panic: sysrq triggered crash", true, false},
	{"init-killed", "kernel panic: Attempted to kill init!", true, false},
	{"hung-6.1-amd64", "INFO: task hung in mnt_want_write", false, true},
	{"hung-6.1-arm64", "INFO: task hung in mnt_want_write", false, true},
	{"hung-7.2-amd64", "INFO: task hung in mnt_want_write", false, true},
	{"stall-6.1-amd64", "INFO: rcu detected stall", false, true},
	{"stall-6.1-arm64", "INFO: rcu detected stall", false, true},
	{"soft-lockup-6.1-amd64", "BUG: soft lockup in finit_module", false, true},
	{"soft-lockup-spinning", "BUG: soft lockup in reboot", false, true},
	{"kasan-amd64", "KASAN: slab-use-after-free Read in demo_read", false, false},
	{"kasan-memcpy-arm64", "KASAN: slab-out-of-bounds Write in fill_record", false, false},
	{"lockdep", "possible deadlock in box_flush", false, false},
	{"ubsan", "UBSAN: array-index-out-of-bounds in table_get", false, false},
	{"slub", "BUG kmalloc-64: Right Redzone overwritten", false, false},
	{"oops-null-amd64", "BUG: unable to handle kernel NULL pointer dereference in demo_null",
	 true, false},
	{"oops-null-arm64", "BUG: unable to handle kernel NULL pointer dereference in demo_null",
	 true, false},
	{"gpf-6.12-amd64", "general protection fault in demo_remove", true, false},
	{"gpf-6.1-amd64", "general protection fault in demo_gpf", true, false},
	{"divide-amd64", "divide error in demo_div", true, false},
	{"kernel-bug-amd64", "kernel BUG in demo_bug", true, false},
	{"paging-6.1-arm64", "BUG: unable to handle kernel paging request in demo_gpf", true,
	 false},
	{"kernel-bug-arm64", "kernel BUG in demo_bug", true, false},
	{"warning-6.1-arm64", "WARNING in demo_warn", false, false},
	{"refcount-6.1-arm64", "WARNING in demo_refcount", false, false},
	{"warning-6.1-amd64", "WARNING in demo_warn", false, false},
	{"refcount-6.1-amd64", "WARNING in demo_refcount", false, false},
	{"warning-5.10-arm64", "WARNING in box_close", false, false},
	{"warning-7-amd64", "WARNING in box_close", false, false},
	/* a panic follows: the first report names it, the machine is lost all the same */
	{"warning-then-panic", "WARNING in demo_put", true, false},
	{"traps", NULL, false, false},
};

static void test_files(void **state)
{
	(void)state;
	for (size_t i = 0; i < array_len(files); i++) {
		auto_free char *path = str_printf("tests/data/console/%s.txt", files[i].file);
		auto_cleanup(buf) text = {0};
		struct crash crash = {0};
		bool found;

		assert_int_equal(io_read_file(AT_FDCWD, path, 1 << 20, &text, NULL), 0);
		found = console_find_crash(text.data, text.len, &crash);
		if (found != (files[i].title != NULL))
			fail_msg("%s: found %d", path, found);
		if (!found)
			continue;
		if (!str_eq(crash.title, files[i].title) || crash.fatal != files[i].fatal ||
		    crash.stall != files[i].stall)
			fail_msg("%s: '%s' fatal %d stall %d", path, crash.title, crash.fatal,
				 crash.stall);
		assert_true(crash.len > 0 && crash.offset + crash.len <= text.len);
		free(crash.title);
	}
}

static const struct {
	const char *text, *title;
} lines[] = {
	{"BUG: unable to handle page fault for address: ffffc90000a00000",
	 "BUG: unable to handle kernel paging request"},
	{"<1>[    1.0] BUG: unable to handle page fault for address: ffffc90000a00000",
	 "BUG: unable to handle kernel paging request"},
	{"3,510,99821,-;BUG: sleeping function called from invalid context at mm/x.c:5",
	 "BUG: sleeping function called from invalid context"},
	{"[    1.0][    C0] watchdog: Watchdog detected hard LOCKUP on cpu 0", "BUG: hard lockup"},
	{"NMI watchdog: Watchdog detected hard LOCKUP on cpu 0", "BUG: hard lockup"},
	{"Oops: divide error: 0000 [#1] SMP", "divide error"},
	{"divide error: 0000 [#1] SMP", "divide error"},
	{"Oops: 0002 [#1] PREEMPT SMP", "Oops"},
	{"traps: PANIC: double fault, error_code: 0x0", "PANIC: double fault"},
	{"Internal error: Oops - Undefined instruction: 0000000002000000 [#1] SMP",
	 "Oops - Undefined instruction"},
	{"Unable to handle kernel access to user memory outside uaccess routines at virtual "
	 "address 0",
	 "BUG: unable to handle kernel access to user memory outside uaccess routines"},
	{"Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)",
	 "kernel panic: VFS: Unable to mount root fs on unknown-block(0,0)"},
	{"Kernel panic - not syncing: stack-protector: Kernel stack is corrupted in: f+0x1/0x2",
	 "kernel panic: stack is corrupted"},
	{"Kernel panic - not syncing: bad page at 0xffff888012345678",
	 "kernel panic: bad page at ADDR"},
	{"Kernel panic - not syncing", "kernel panic: without a text"},
	{"BUG: workqueue lockup - pool cpus=0 node=0 flags=0x0 nice=0 stuck for 35s!",
	 "BUG: workqueue lockup"},
	{"BUG: Bad page state in process sh  pfn:00b5a", "BUG: Bad page state in process sh  pfn"},
	{"[ BUG: Invalid wait context ]", "BUG: Invalid wait context"},
	{"unregister_netdevice: waiting for lo to become free. Usage count = 2",
	 "unregister_netdevice: waiting for DEV to become free"},
	{"BUG: \033[31mred", "BUG: ?"},
	{"", NULL},
	{"[", NULL},
	{"[    1.0", NULL},
	{"WARNING: ", NULL},
	{"general protection fault ip:401136 sp:7ffd error:0", NULL},
	{"divide error ip:401136", NULL},
	{"INFO: task sh:9 started", NULL},
};

static void test_lines(void **state)
{
	(void)state;
	for (size_t i = 0; i < array_len(lines); i++) {
		struct crash crash = {0};
		bool found = console_find_crash(lines[i].text, strlen(lines[i].text), &crash);

		if (found != (lines[i].title != NULL) ||
		    (found && !str_eq(crash.title, lines[i].title)))
			fail_msg("'%s' gives '%s'", lines[i].text, found ? crash.title : "nothing");
		free(crash.title);
	}
}

static void test_panic(void **state)
{
	static const char end[] = "[    1.0] ---[ end Kernel panic - not syncing: x ]---";
	static const char quoted[] = "echo: Kernel panic - not syncing: in words only\n";

	(void)state;
	assert_true(console_has_panic(end, strlen(end)));
	assert_true(console_has_panic("Kernel panic - not syncing: x", 29));
	assert_false(console_has_panic(quoted, strlen(quoted)));
	assert_false(console_has_panic("", 0));
	assert_false(console_has_panic(NULL, 0));
}

static void test_frames(void **state)
{
	static const struct {
		const char *line, *function;
	} frames[] = {
		{"RIP: 0010:demo_write+0x12/0x40 [demo]", "demo_write"},
		{"RIP: 0033:0x47b7a0", NULL},
		{"pc : box_check+0x44/0x48", "box_check"},
		{"lr : vfs_write+0xc8/0x390", NULL},
		{" fill_record.isra.0.cold+0x44/0x90", "fill_record"},
		{" panic+0x6b/0x70 (P)", "panic"},
		{" ? filp_close+0x1d/0x30", NULL},
		{" [<ffffffff81000000>] old_style+0x1/0x2", "old_style"},
		{" [<ffffffff81000000>] ? old_style+0x1/0x2", NULL},
		{" [<ffffffff81000000", NULL},
		{" <TASK>", NULL},
		{" 1digit+0x1/0x2", NULL},
		{"not_indented+0x1/0x2", NULL},
	};
	char function[CONSOLE_FUNCTION_MAX];

	(void)state;
	for (size_t i = 0; i < array_len(frames); i++) {
		bool found = console_frame(frames[i].line, function);

		if (found != (frames[i].function != NULL) ||
		    (found && !str_eq(function, frames[i].function)))
			fail_msg("'%s' gives '%s'", frames[i].line, found ? function : "nothing");
	}
	assert_true(console_frame_is_machinery("__kasan_report"));
	assert_true(console_frame_is_machinery("panic"));
	assert_false(console_frame_is_machinery("panic_demo"));
	assert_string_equal(console_syscall_name("__arm64_sys_reboot"), "reboot");
	assert_string_equal(console_syscall_name("__x64_sys_"), "__x64_sys_");
}

/* Untrusted: long lines, no end of line, NULs. */
static void test_hostile(void **state)
{
	static const char nuls[] = "\0\0BUG: x\nWARNING: CPU: 0 at \0";
	auto_cleanup(buf) text = {0};
	struct crash crash = {0};

	(void)state;
	buf_adds(&text, "BUG: ");
	for (int i = 0; i < 100000; i++)
		buf_adds(&text, "a");
	assert_true(console_find_crash(text.data, text.len, &crash));
	assert_true(strlen(crash.title) < 200);
	free(crash.title);
	buf_reset(&text);
	for (int i = 0; i < 200; i++)
		buf_adds(&text, "rcu: ");
	assert_false(console_find_crash(text.data, text.len, &crash));
	buf_reset(&text);
	buf_add(&text, nuls, sizeof(nuls) - 1);
	assert_false(console_find_crash(text.data, 9, &crash));
	assert_true(console_find_crash(text.data, text.len, &crash));
	free(crash.title);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files),	cmocka_unit_test(test_lines),
		cmocka_unit_test(test_panic),	cmocka_unit_test(test_frames),
		cmocka_unit_test(test_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
