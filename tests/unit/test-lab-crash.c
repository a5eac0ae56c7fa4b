/* Reports in a kernel's log, line by line; whole ones are in test-lab-crash-corpus.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <time.h>

#include "lab/crash/crash-frame.h"
#include "lab/crash/crash-line.h"
#include "lab/crash/crash-table.h"
#include "lab/crash/crash.h"

static const struct {
	const char *text, *title;
} titles[] = {
	{"BUG: unable to handle page fault for address: ffffc90000a00000",
	 "BUG: unable to handle kernel paging request"},
	{"<1>[    1.0] BUG: unable to handle page fault for address: ffffc90000a00000",
	 "BUG: unable to handle kernel paging request"},
	{"3,510,99821,-;BUG: sleeping function called from invalid context at mm/x.c:5",
	 "BUG: sleeping function called from invalid context"},
	{"3,510,99821,-,caller=T7;divide error: 0000 [#1] SMP", "divide error"},
	{"[    1.0][    C0] watchdog: Watchdog detected hard LOCKUP on cpu 0", "BUG: hard lockup"},
	{"NMI watchdog: Watchdog detected hard LOCKUP on cpu 0", "BUG: hard lockup"},
	{"Oops: divide error: 0000 [#1] SMP", "divide error"},
	{"Oops: Oops: 0002 [#1] PREEMPT SMP", "Oops"},
	{"Oops: 0002 [#1] PREEMPT SMP", "Oops"},
	{"traps: PANIC: double fault, error_code: 0x0", "PANIC: double fault"},
	{"Internal error: Oops - Undefined instruction: 0000000002000000 [#1] SMP",
	 "invalid opcode"},
	{"Internal error: Oops - FPAC: 0000000072000000 [#1] SMP", "Oops - FPAC"},
	{"Unable to handle kernel access to user memory outside uaccess routines at virtual "
	 "address 0",
	 "BUG: unable to handle kernel access to user memory outside uaccess routines"},
	{"Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(254,1)",
	 "kernel panic: VFS: Unable to mount root fs on unknown-block(NUM,NUM)"},
	{"Kernel panic - not syncing: stack-protector: Kernel stack is corrupted in: f+0x1/0x2",
	 "kernel panic: stack is corrupted in f"},
	{"Kernel panic - not syncing: bad page at 0xffff888012345678, ffff888012345678, 0x12",
	 "kernel panic: bad page at ADDR, ADDR, NUM"},
	{"Kernel panic - not syncing: no route from 10.0.2.15 to v4 in sha256",
	 "kernel panic: no route from IP to v4 in sha256"},
	{"Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000b",
	 "kernel panic: Attempted to kill init!"},
	{"Kernel panic - not syncing", "kernel panic"},
	{"Kernel panic - not syncing: ", "kernel panic"},
	{"BUG: workqueue lockup - pool cpus=0 node=0 flags=0x0 nice=0 stuck for 35s!",
	 "BUG: workqueue lockup"},
	{"BUG: something never seen before, on Tuesday", "BUG: something never seen before"},
	{"[ BUG: something else ]", "BUG: something else"},
	{"BUG: \033[31mred", "BUG: ?"},
	{"\033c\033[2J\001[    1.0] BUG: x", "BUG: x"},
	{"", NULL},
	{"[", NULL},
	{"[    1.0", NULL},
	{"WARNING: ", NULL},
	{"general protection fault ip:401136 sp:7ffd error:0", NULL},
	{"divide error ip:401136", NULL},
	{"INFO: task sh:9 started", NULL},
	{"KASAN: null-ptr-deref in range [0x0-0x7]", NULL},
	{"12,510,99821,-;BUG: of user space", NULL},
};

static void test_titles(void **state)
{
	(void)state;
	for (size_t i = 0; i < array_len(titles); i++) {
		auto_cleanup(crashes) found = {0};
		const struct crash *c;

		crashes_find(titles[i].text, strlen(titles[i].text), true, &found);
		c = crashes_main(&found);
		if (!c != !titles[i].title || (c && !str_eq(c->title, titles[i].title)))
			fail_msg("'%s' gives '%s'", titles[i].text, c ? c->title : "nothing");
	}
}

static void test_lines(void **state)
{
	static const char text[] = "[    1.234567][   T12] a\r\n"
				   "6,339,5140900,-,caller=C3;b\n"
				   "words [    2.000000] c[    3.000000] (user) d\n"
				   "[not one] e";
	static const struct {
		const char *text, *stamp, *context;
		bool kernel, user;
	} want[] = {
		{"a", "1.234567", "T12", true, false}, {"b", "5140900", "C3", true, false},
		{"words", NULL, "", false, false},     {"c", "2.000000", "", true, false},
		{"d", "3.000000", "", true, true},     {"[not one] e", NULL, "", false, false},
	};
	struct crash_line line;
	size_t at = 0;

	(void)state;
	for (size_t i = 0; i < array_len(want); i++) {
		assert_true(crash_line_next(text, sizeof(text) - 1, &at, &line));
		assert_int_equal(line.len, strlen(want[i].text));
		assert_memory_equal(line.text, want[i].text, line.len);
		assert_string_equal(line.context, want[i].context);
		assert_int_equal(line.kernel, want[i].kernel);
		assert_int_equal(line.user, want[i].user);
		if (!want[i].stamp) {
			assert_null(line.stamp);
			continue;
		}
		assert_int_equal(line.stamp_len, strlen(want[i].stamp));
		assert_memory_equal(line.stamp, want[i].stamp, line.stamp_len);
	}
	assert_false(crash_line_next(text, sizeof(text) - 1, &at, &line));
}

static void test_frames(void **state)
{
	static const struct {
		const char *line, *function;
		bool in_module;
	} frames[] = {
		{"RIP: 0010:demo_write+0x12/0x40 [demo]", "demo_write", true},
		{"RIP: 0033:0x47b7a0", NULL, false},
		{"pc : box_check+0x44/0x48", "box_check", false},
		{"lr : vfs_write+0xc8/0x390", NULL, false},
		{" fill_record.isra.0.cold+0x44/0x90", "fill_record.isra.0.cold", false},
		{" panic+0x6b/0x70 (P)", "panic", false},
		{" ? filp_close+0x1d/0x30", NULL, false},
		/* a call that does not return at the end of the function before */
		{" sysrq_reset_seq_param_set+0x0/0xa0", NULL, false},
		{" [<ffffffff81000000>] old_style+0x1/0x2", "old_style", false},
		{" [<ffffffff81000000>] ? old_style+0x1/0x2", NULL, false},
		{" [<ffffffff81000000", NULL, false},
		{" <TASK>", NULL, false},
		{" 1digit+0x1/0x2", NULL, false},
		{"not_indented+0x1/0x2", NULL, false},
	};
	char function[CRASH_FUNCTION_MAX];
	bool in_module;

	(void)state;
	for (size_t i = 0; i < array_len(frames); i++) {
		bool found = crash_frame_parse(frames[i].line, function, &in_module);

		if (found != (frames[i].function != NULL) ||
		    (found &&
		     (!str_eq(function, frames[i].function) || in_module != frames[i].in_module)))
			fail_msg("'%s' gives '%s'", frames[i].line, found ? function : "nothing");
	}
}

static void test_names(void **state)
{
	static const struct {
		const char *from, *to;
		bool entry;
	} names[] = {
		{"__x64_sys_openat", "openat", true},
		{"__arm64_sys_reboot", "reboot", true},
		{"ksys_write", "write", true},
		{"__se_sys_read.llvm.123", "read", true},
		{"f.isra.0.cold", "f", false},
		{"f.constprop.0.isra.0", "f", false},
		{"f.cfi_jt", "f", false},
		{"__x64_sys_", "__x64_sys_", false},
		{".isra.0", ".isra.0", false},
	};

	(void)state;
	for (size_t i = 0; i < array_len(names); i++) {
		char name[CRASH_FUNCTION_MAX];

		memcpy(name, names[i].from, strlen(names[i].from) + 1);
		assert_int_equal(crash_name_normalise(name), names[i].entry);
		assert_string_equal(name, names[i].to);
	}
	assert_string_equal(crash_name_same("slab-use-after-free"), "use-after-free");
	assert_string_equal(crash_name_same("other"), "other");
	assert_true(crash_frame_listed("__kasan_report", CRASH_SKIP_ALWAYS));
	assert_true(crash_frame_listed("panic", CRASH_SKIP_ALWAYS));
	assert_false(crash_frame_listed("panic_demo", CRASH_SKIP_ALWAYS));
	assert_true(crash_frame_listed("process_one_work", CRASH_SKIP_ANCHOR));
}

/* What a log that grows tells, in pieces of every size. */
static void test_watch(void **state)
{
	static const char boot[] = "[    0.000000] Linux version 6.1.0 (x@y) #1\n";
	static const struct {
		const char *text;
		bool panic, panic_over, oops, oops_over, boots;
	} cases[] = {
		{"[    1.0] all is well\n", false, false, false, false, false},
		{"[    1.0] Kernel panic - not syncing: x", true, false, false, false, false},
		{"[    1.0] Kernel panic - not syncing: x\n[    1.1] ---[ end Kernel panic - not "
		 "syncing: x ]---",
		 true, true, false, false, false},
		{"[    1.0] (user) Kernel panic - not syncing: x\n", false, false, false, false,
		 false},
		{"[    1.0] echo Kernel panic - not syncing: x\n", false, false, false, false,
		 false},
		{"[    1.0] BUG: kernel NULL pointer dereference, address: 0\n", false, false, true,
		 false, false},
		{"[    1.0] kernel BUG at a.c:1!\n[    1.1] ---[ end trace 0 ]---\n", false, false,
		 true, true, false},
		{"[    1.0] WARNING: CPU: 0 PID: 1 at a.c:1 f+0x1/0x2\n[    1.1] ---[ end trace 0 "
		 "]---\n",
		 false, false, false, false, false},
		{"[    9.000000] x\n[    0.000000] Linux version 6.1.0 (x@y) #1\n", false, false,
		 false, false, true},
		{"[    9.000000] x\n[    0.000000] an early error\n", false, false, false, false,
		 true},
	};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++)
		for (size_t piece = 1; piece < 70; piece += 3) {
			struct crash_watch w = {0};
			const char *text = cases[i].text;

			crash_watch_feed(&w, boot, strlen(boot));
			for (size_t at = 0, n; at < strlen(text); at += n) {
				n = strlen(text) - at < piece ? strlen(text) - at : piece;
				crash_watch_feed(&w, text + at, n);
			}
			if (w.panic != cases[i].panic || w.panic_over != cases[i].panic_over ||
			    w.oops != cases[i].oops || w.oops_over != cases[i].oops_over ||
			    w.boots != cases[i].boots)
				fail_msg("case %zu in pieces of %zu", i, piece);
		}
}

static void add_repeated(struct buf *b, const char *text, size_t bytes)
{
	size_t n = strlen(text), until = b->len + bytes;

	buf_reserve(b, bytes + n);
	while (b->len < until)
		buf_add(b, text, n);
}

/* More reports than are kept; the panic behind them still counts. */
static void test_many(void **state)
{
	auto_cleanup(crashes) found = {0};
	auto_cleanup(buf) text = {0};

	(void)state;
	for (int i = 0; i < 2 * CRASH_MAX; i++)
		buf_addf(&text,
			 "[%5d.000000] WARNING: CPU: 0 PID: 9 at a.c:1 f%d+0x1/0x2\n"
			 "[%5d.000001] RIP: 0010:f%d+0x1/0x2\n[%5d.000002] ---[ end trace 0 ]---\n",
			 i, i, i, i, i);
	buf_adds(&text, "[  999.000000] Kernel panic - not syncing: x\n");
	crashes_find(text.data, text.len, true, &found);
	assert_int_equal(found.n, CRASH_MAX);
	assert_string_equal(found.items[CRASH_MAX - 1].title, "WARNING in f63");
	assert_true(found.items[0].fatal && found.items[CRASH_MAX - 1].fatal);
}

/* Untrusted: one line of many megabytes, of whatever is dear to look at. Time is linear. */
static void test_hostile(void **state)
{
	static const char *const units[] = {
		"a",
		"[",
		"[    1.23456",
		"[    1.234567] ",
		"rcu: ",
		"BUG: ",
		"\033[",
		"(user) ",
		"6,1,",
		"+0x1/0x2 ",
		"[    1.234567] (user) ",
		"\n[ T1] BUG: \n",
		"[    1.234567][ T1] BUG: KASAN: a in \n",
		" ? f+0x1/0x2\n",
		"[    1.000000] Oops: 1 [#1]\n",
	};

	(void)state;
	for (size_t i = 0; i < array_len(units); i++) {
		auto_cleanup(crashes) found = {0};
		auto_cleanup(buf) text = {0};
		struct crash_watch w = {0};
		clock_t start = clock();

		buf_adds(&text, "[    1.000000] BUG: KASAN: a in f+0x1/0x2\n[    1.000000] ");
		add_repeated(&text, units[i], 8 << 20);
		crashes_find(text.data, text.len, true, &found);
		crash_watch_feed(&w, text.data, text.len);
		assert_true(found.n >= 1);
		assert_true(strlen(found.items[0].title) < 200);
		/* 8 MiB at a hundredth of what bench demands: the sanitizers are slow */
		if (clock() - start > 5 * CLOCKS_PER_SEC)
			fail_msg("'%s' takes %ld ms", units[i],
				 (long)((clock() - start) * 1000 / CLOCKS_PER_SEC));
	}
}

/* A GiB without a newline, as it comes: what is behind it is still seen. */
static void test_endless_line(void **state)
{
	static const char end[] = "\n[    2.000000] Kernel panic - not syncing: at last\n";
	auto_cleanup(buf) piece = {0};
	struct crash_watch w = {0};

	(void)state;
	add_repeated(&piece, "BUG: \033[0", 64 << 10);
	crash_watch_feed(&w, "[    1.000000] ", 15);
	for (size_t fed = 0; fed < (size_t)1 << 30; fed += piece.len)
		crash_watch_feed(&w, piece.data, piece.len);
	assert_false(w.panic);
	crash_watch_feed(&w, end, strlen(end));
	assert_true(w.panic);
}

static void test_main(void **state)
{
	static const struct {
		const char *text, *title;
	} cases[] = {
		/* a report that lost its rest does not name what a whole one names */
		{"[    1.0] BUG: KASAN: a in \n[    2.0] WARNING: CPU: 0 PID: 1 at a.c:1 "
		 "f+0x1/0x2\n"
		 "[    2.0] RIP: 0010:f+0x1/0x2\n",
		 "WARNING in f"},
		/* an oops keeps its name when it becomes a panic; a panic before it, its own */
		{"[    1.0] kernel BUG at a.c:1!\n[    1.0] RIP: 0010:f+0x1/0x2\n"
		 "[    1.0] ---[ end trace 0 ]---\n"
		 "[    1.1] Kernel panic - not syncing: Attempted to kill init! exitcode=0xb\n",
		 "kernel BUG in f"},
		{"[    1.0] Kernel panic - not syncing: x\n[    1.1] kernel BUG at a.c:1!\n",
		 "kernel panic: x"},
	};
	struct crashes none = {0};

	(void)state;
	assert_null(crashes_main(&none));
	for (size_t i = 0; i < array_len(cases); i++) {
		auto_cleanup(crashes) found = {0};

		crashes_find(cases[i].text, strlen(cases[i].text), true, &found);
		assert_string_equal(crashes_main(&found)->title, cases[i].title);
	}
	/* no line has a prefix: all are looked at; or it was not asked for */
	for (int asked = 0; asked < 2; asked++) {
		auto_cleanup(crashes) bare = {0}, mixed = {0};

		crashes_find("BUG: x\n", 7, asked, &bare);
		assert_int_equal(bare.n, 1);
		crashes_find("[    1.0] x\nBUG: x\n", 19, asked, &mixed);
		assert_int_equal(mixed.n, !asked);
	}
}

/* What a dump says of a machine that hangs: its processor's stack. */
static void test_hang(void **state)
{
	static const struct {
		const char *stack, *guilty; /* NULL: nobody */
	} cases[] = {
		{"crashme_irqs_off+0x10/0x20 [crashme],crashme_write+0xe0/0x208 [crashme],"
		 "proc_reg_write+0xa4/0x100,vfs_write+0xdc/0x380,ksys_write+0x78/0x120",
		 "crashme_irqs_off"},
		/* outwards, as in all reports of time */
		{"__delay+0x58/0xd0,box_poll+0x4/0x8,box_wait.constprop.0+0x1/0x2,"
		 "invoke_syscall+0xa4/0x120,el0_svc_common.constprop.0+0x48/0xf0",
		 "box_wait"},
		{"box_tick+0x1/0x2,call_timer_fn+0x28/0x1c0,__run_timers+0x1/0x2", "box_tick"},
		{"cpu_do_idle+0x8/0x10,arch_cpu_idle+0x10/0x30,do_idle+0x1/0x2,"
		 "cpu_startup_entry+0x1/0x2,rest_init+0x1/0x2,start_kernel+0x1/0x2,"
		 "__primary_switched+0x1/0x2",
		 NULL},
		{"native_safe_halt+0xe/0x20,amd_e400_idle+0x40/0x50,default_idle_call+0x3c/0xd0,"
		 "do_idle+0x1/0x2",
		 NULL},
		{"do_idle+0x1/0x2,cpu_startup_entry+0x1/0x2,start_secondary+0x1/0x2,"
		 "secondary_startup_64_no_verify+0x1/0x2",
		 NULL},
		{"0xffff0000", NULL},
		{"", NULL},
	};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		auto_cleanup(strv) stack = {0};
		auto_cleanup(crash) c = {0}, copy = {0};

		strv_split(&stack, cases[i].stack, ',');
		assert_int_equal(crash_of_hang(&stack, &c), !!cases[i].guilty);
		if (!cases[i].guilty) {
			assert_null(c.title);
			continue;
		}
		copy = crash_copy(&c);
		assert_string_equal(copy.guilty, cases[i].guilty);
		assert_string_equal(copy.type, "hang");
		assert_string_equal(copy.first_line, "");
		assert_int_equal(strncmp(copy.title, "INFO: hang in ", 14), 0);
		assert_string_equal(copy.title + 14, cases[i].guilty);
		assert_int_equal(strncmp(copy.signature, "hang:", 5), 0);
		assert_string_equal(copy.signature + 5, cases[i].guilty);
		assert_int_equal(copy.alternatives.n, 1);
		assert_int_equal(strncmp(copy.alternatives.items[0], "hang in ", 8), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_titles),	cmocka_unit_test(test_lines),
		cmocka_unit_test(test_frames),	cmocka_unit_test(test_names),
		cmocka_unit_test(test_watch),	cmocka_unit_test(test_endless_line),
		cmocka_unit_test(test_many),	cmocka_unit_test(test_main),
		cmocka_unit_test(test_hostile), cmocka_unit_test(test_hang),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
