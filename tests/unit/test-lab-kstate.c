/* What is read of a kernel in a dump: types, names, modules and tasks, also of memory that lies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <elf.h>

#include "tests/unit/kstate-made.h"

/* --- memory: 256 KiB at one address, nothing elsewhere -----------------------------------------*/

enum { MEMORY = 256 << 10 };
static const uint64_t base = 0xffff800000000000;
static uint8_t memory[MEMORY];

static int made_read(uint64_t address, void *ret, size_t len)
{
	if (address < base || address - base > MEMORY || len > MEMORY - (address - base))
		return -EFAULT;
	memcpy(ret, memory + (address - base), len);
	return 0;
}

static void put(uint64_t at, uint64_t value, size_t size)
{
	memcpy(memory + at, &value, size);
}

static void put_text(uint64_t at, const char *s)
{
	memcpy(memory + at, s, strlen(s) + 1);
}

static struct made_btf btf;
static struct kstate k;
static struct kernel kernel = {.name = "made", .arch = ARCH_AMD64};
static struct ksym syms[] = {
	{0x100, 'A', "per_cpu_thing"},
	{0xffffffff81000000, 'T', "_stext"},
	{0xffffffff81000000, 'T', "_text"},
	{0xffffffff81000100, 't', "do_exit"},
	{0xffffffff81000180, 't', "bad\x1b[name"},
	{0xffffffff81001000, 'T', "_etext"},
	{0xffffffff81002000, 'D', "modules"},
};

/* Where things are in memory. */
enum { HEAD = 0, INIT = 0x1000, TASKS = 0x2000, MODULES = 0x8000, STACK = 0x10000 };

static void link_modules_head(void)
{
	/* the symbol is at base + HEAD */
	syms[array_len(syms) - 1].address = base + HEAD - k.slide;
}

static int setup(void **state)
{
	(void)state;
	memset(memory, 0, sizeof(memory));
	memset(&made_cpu, 0, sizeof(made_cpu));
	made_log = "";
	k = (struct kstate){
		.kernel = &kernel,
		.syms = {.items = syms, .n = array_len(syms), .text = 0xffff000000000000},
		.types = made_types(&btf, made_kernel, array_len(made_kernel)),
		.init_task = base + INIT,
	};
	k.syms.text = 0xffffffff81000000;
	assert_non_null(k.types);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	k.syms = (struct ksyms){0};
	kstate_deinit(&k);
	made_btf_deinit(&btf);
	return 0;
}

/* --- types -------------------------------------------------------------------------------------*/

static void test_types(void **state)
{
	static const struct {
		const char *type, *member;
		int r;
		uint32_t offset, size;
	} cases[] = {
		{"task_struct", "comm", 0, 88, 16},
		{"task_struct", "thread_info.cpu", 0, 0, 4},
		{"task_struct", "thread_info", 0, 0, 4},
		{"task_struct", "thread.sp", 0, 112, 8},
		{"task_struct", "thread.pc", -ENOENT, 0, 0},
		{"task_struct", "com", -ENOENT, 0, 0},
		{"task_struct", "commx", -ENOENT, 0, 0},
		{"task_struct", "comm.x", -ENOENT, 0, 0},
		{"task_struct", "", -ENOENT, 0, 0},
		{"task_struct", "comm.", -ENOENT, 0, 0},
		{"task", "comm", -ENOENT, 0, 0},
		{"", "comm", -ENOENT, 0, 0},
		{"mod_kallsyms", "strtab", 0, 16, 8},
	};
	uint32_t offset, size;
	int64_t value;

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		offset = size = 0;
		assert_int_equal(
			ktypes_member(k.types, cases[i].type, cases[i].member, &offset, &size),
			cases[i].r);
		assert_int_equal(offset, cases[i].offset);
		assert_int_equal(size, cases[i].size);
	}
	assert_int_equal(ktypes_size(k.types, "task_struct", &size), 0);
	assert_int_equal(size, 120);
	assert_int_equal(ktypes_size(k.types, "none", &size), -ENOENT);
	assert_int_equal(ktypes_enumerator(k.types, "MOD_INIT_TEXT", &value), 0);
	assert_int_equal(value, 1);
	assert_int_equal(ktypes_enumerator(k.types, "MOD_DATA", &value), -ENOENT);
	/* none at all */
	assert_int_equal(ktypes_member(NULL, "task_struct", "comm", &offset, &size), -ENOENT);
	assert_int_equal(ktypes_size(NULL, "task_struct", &size), -ENOENT);
	assert_int_equal(ktypes_enumerator(NULL, "MOD_TEXT", &value), -ENOENT);
}

/* A union and a struct without names, an array on the way, bit fields, a name that is there twice.
 */
static void test_odd_types(void **state)
{
	struct made_btf b = {0};
	struct ktypes *t = NULL;
	uint32_t offset, size, inner, record;
	const uint32_t header[] = {0x0001eb9f, 24, 0, 0, 0, 0};

	(void)state;
	buf_add(&b.strings, "", 1);
	made_type(&b, BTF_INT, made_name(&b, "u8", 2), 0, 1);
	made_words(&b, (uint32_t[]){8}, 1);
	inner = made_type(&b, BTF_STRUCT, 0, 1, 4);
	made_words(&b, (uint32_t[]){made_name(&b, "deep", 4), 1, 24}, 3);
	record = made_type(&b, BTF_UNION, 0, 1, 4);
	made_words(&b, (uint32_t[]){0, inner, 0}, 3);
	made_type(&b, BTF_ARRAY, 0, 0, 0);
	made_words(&b, (uint32_t[]){inner, 1, 3}, 3);
	made_type(&b, BTF_STRUCT, made_name(&b, "s", 1), 0, 1);
	/* flag: bit fields say their width */
	made_type(&b, BTF_STRUCT, made_name(&b, "s", 1), 3 | 1u << 31, 32);
	made_words(&b, (uint32_t[]){0, record, 64}, 3);
	made_words(&b, (uint32_t[]){made_name(&b, "list", 4), 4, 128}, 3);
	made_words(&b, (uint32_t[]){made_name(&b, "bit", 3), 1, 1 << 24 | 7}, 3);
	for (size_t i = 0; i < 6; i++)
		dwarf_int(&b.all,
			  i == 3 || i == 4 ? b.types.len
			  : i == 5	   ? b.strings.len
					   : header[i],
			  4);
	buf_add(&b.all, b.types.data, b.types.len);
	buf_add(&b.all, b.strings.data, b.strings.len);
	assert_int_equal(ktypes_open((uint8_t *)b.all.data, b.all.len, &t, NULL), 0);
	assert_int_equal(ktypes_member(t, "s", "deep", &offset, &size), 0);
	assert_int_equal(offset, 11);
	assert_int_equal(ktypes_member(t, "s", "list", &offset, &size), 0);
	assert_int_equal(size, 12);
	assert_int_equal(ktypes_member(t, "s", "list.deep", &offset, &size), 0);
	assert_int_equal(offset, 19);
	assert_int_equal(ktypes_member(t, "s", "bit", &offset, &size), -ENOTSUP);
	ktypes_close(t);
	made_btf_deinit(&b);
}

/* --- names -------------------------------------------------------------------------------------*/

static void test_names(void **state)
{
	static const struct {
		uint64_t address;
		bool is_code;
		const char *name;
	} cases[] = {
		{0xffffffff91000123, true, "do_exit+0x23/0x80"},
		{0xffffffff91000050, true, "_stext+0x50/0x100"},
		{0xffffffff91000190, true, "bad?[name+0x10/0xe80"},
		{0xffffffff91001000, false, "0xffffffff91001000"},
		{0xffffffff81000123, false, "0xffffffff81000123"},
		{0, false, "0x0"},
		{UINT64_MAX, false, "0xffffffffffffffff"},
		{0xffffc00000000010, true, "f+0x0/0x8 [mod]"},
		{0xffffc00000000018, true, "g+0x0/0x68 [mod]"},
		{0xffffc00000000008, true, "0xffffc00000000008 [mod]"},
		{0xffffc00000000080, false, "0xffffc00000000080"},
	};
	struct ksym of_module[] = {{0xffffc00000000010, 't', "f"}, {0xffffc00000000018, 't', "g"}};
	struct kmodule m = {.name = "mod",
			    .base = 0xffffc00000000000,
			    .size = 0x80,
			    .syms = of_module,
			    .n_syms = 2};
	uint64_t at;

	(void)state;
	k.slide = 0x10000000;
	k.text = (struct krange){0xffffffff91000000, 0xffffffff91001000};
	k.modules = &m;
	k.n_modules = 1;
	for (size_t i = 0; i < array_len(cases); i++) {
		char name[KNAME_MAX];

		assert_int_equal(kstate_name(&k, cases[i].address, name), cases[i].is_code);
		assert_string_equal(name, cases[i].name);
	}
	k.modules = NULL;
	k.n_modules = 0;
	assert_true(kstate_symbol(&k, "do_exit", &at));
	assert_int_equal(at, 0xffffffff91000100);
	assert_true(kstate_symbol(&k, "per_cpu_thing", &at));
	assert_int_equal(at, 0x100);
	assert_false(kstate_symbol(&k, "none", &at));
}

/* --- modules -----------------------------------------------------------------------------------*/

/* A module whose next on the list is at next (offsets in memory). */
static void put_module(uint64_t at, const char *name, uint64_t next)
{
	put(at + 8, base + next, 8);
	put_text(at + 24, name);
	put(at + 80, base + at, 8);
	put(at + 88, 0xffffc00000000000 + at, 8);
	put(at + 96, 0x100, 4);
}

static void put_symbol(uint64_t at, uint32_t name, uint64_t value, uint16_t section)
{
	const Elf64_Sym s = {.st_name = name, .st_value = value, .st_shndx = section};

	memcpy(memory + at, &s, sizeof(s));
}

static void test_modules(void **state)
{
	enum {
		A = MODULES,
		B = MODULES + 0x1000,
		KALLSYMS = A + 0x200,
		SYMS = A + 0x300,
		STRINGS = A + 0x400
	};
	const uint64_t code = 0xffffc00000000000 + A;

	(void)state;
	link_modules_head();
	put(HEAD, base + A + 8, 8);
	put_module(A, "one", B + 8);
	put_module(B, "t\x1bwo", HEAD);
	put(A + 120, 1 << 12 | 1 << 13, 8);
	put(B, 1, 4);
	put(A + 128, base + KALLSYMS, 8);
	put(KALLSYMS, base + SYMS, 8);
	put(KALLSYMS + 8, 5, 4);
	put(KALLSYMS + 16, base + STRINGS, 8);
	put_text(STRINGS, "");
	put_text(STRINGS + 1, "late");
	put_text(STRINGS + 6, "ear\nly");
	put_text(STRINGS + 13, "$x");
	put_symbol(SYMS, 0, 0, 0);
	put_symbol(SYMS + 24, 1, code + 0x40, 1);
	put_symbol(SYMS + 48, 6, code + 0x20, 1);
	put_symbol(SYMS + 72, 13, code + 0x20, 1);
	put_symbol(SYMS + 96, 1, code + 0x4000, 1); /* of data */
	kstate_read_modules(&k);
	assert_true(k.modules_known);
	assert_int_equal(k.n_modules, 2);
	assert_string_equal(k.modules[0].name, "one");
	assert_string_equal(k.modules[0].taints, "OE");
	assert_int_equal(k.modules[0].base, code);
	assert_int_equal(k.modules[0].size, 0x100);
	assert_true(k.modules[0].live);
	assert_int_equal(k.modules[0].n_syms, 2);
	assert_string_equal(k.modules[0].syms[0].name, "ear?ly");
	assert_string_equal(k.modules[0].syms[1].name, "late");
	assert_string_equal(k.modules[1].name, "t?wo");
	assert_false(k.modules[1].live);
	assert_int_equal(k.modules[1].n_syms, 0);
}

/* Lists that never come back, lead nowhere, or count beyond all memory. */
static void test_bad_modules(void **state)
{
	(void)state;
	link_modules_head();
	put(HEAD, base + MODULES + 8, 8);
	put_module(MODULES, "loop", MODULES + 8);
	kstate_read_modules(&k);
	assert_int_equal(k.n_modules, 1);
	teardown(state);

	setup(state);
	link_modules_head();
	put(HEAD, base + MODULES + 8, 8);
	put_module(MODULES, "astray", MEMORY * 2);
	kstate_read_modules(&k);
	assert_int_equal(k.n_modules, 1);
	teardown(state);

	setup(state);
	link_modules_head();
	put(HEAD, base + MODULES + 8, 8);
	put_module(MODULES, "counts", HEAD);
	put(MODULES + 96, UINT32_MAX, 4); /* of code */
	put(MODULES + 128, base + MODULES + 0x200, 8);
	put(MODULES + 0x208, UINT32_MAX, 4); /* of symbols */
	kstate_read_modules(&k);
	assert_int_equal(k.n_modules, 1);
	assert_int_equal(k.modules[0].size, 0);
	assert_int_equal(k.modules[0].n_syms, 0);
	teardown(state);

	/* what names itself is one, all else is passed over */
	setup(state);
	link_modules_head();
	put(HEAD, base + MODULES + 8, 8);
	put_module(MODULES, "none", HEAD);
	put(MODULES + 80, base, 8);
	kstate_read_modules(&k);
	assert_true(k.modules_known);
	assert_int_equal(k.n_modules, 0);
	teardown(state);

	setup(state);
	syms[array_len(syms) - 1].address = 0xfffff00000000000;
	kstate_read_modules(&k);
	assert_false(k.modules_known);
}

/* --- tasks -------------------------------------------------------------------------------------*/

static void put_task(uint64_t at, int pid, const char *comm, uint64_t next)
{
	put(at + 24, base + next + 24, 8);
	put(at + 44, (uint32_t)pid, 4);
	put(at + 48, (uint32_t)pid, 4);
	memcpy(memory + at + 88, comm, strnlen(comm, 16));
}

enum {
	T1 = TASKS,
	T2 = TASKS + 0x400,
	T3 = TASKS + 0x800,
	SIGNAL = TASKS + 0xc00,
	CRED = TASKS + 0xe00
};

static void put_three(void)
{
	put_task(INIT, 0, "swapper/0", T2);
	put_task(T2, 57, "sh", T1);
	put_task(T1, 1, "agent", INIT);
	/* a thread of 57 */
	put_task(T3, 60, "0123456789abcdef", T3);
	put(T3 + 48, 57, 4);
	put(T2 + 72, base + SIGNAL, 8);
	put(SIGNAL + 16, base + T2 + 56, 8);
	put(T2 + 56, base + T3 + 56, 8);
	put(T3 + 56, base + SIGNAL + 16, 8);
}

static void test_tasks(void **state)
{
	static const struct {
		uint64_t state, exit_state;
		char letter;
	} states[] = {{0, 0, 'R'},     {1, 0, 'S'},	 {2, 0, 'D'},
		      {0x402, 0, 'I'}, {4, 0, 'T'},	 {8, 0, 't'},
		      {0, 0x10, 'X'},  {0, 0x20, 'Z'},	 {0x40, 0, 'P'},
		      {0x102, 0, 'D'}, {0x8000, 0, 'R'}, {UINT32_MAX & ~2, UINT32_MAX, 'P'}};
	auto_cleanup(ktasks) t = {0};
	const struct ktask *sh;

	(void)state;
	put_three();
	put(T2 + 20, 1, 4); /* runs */
	put(T2 + 80, base + CRED, 8);
	put(CRED + 8, 1000, 4);
	put(T2 + 104, 2, 4);
	put(T1 + 8, base + STACK, 8);
	put(T1 + 112, base + STACK + 0x3f00, 8);
	put(STACK + 0x3f08, 0x1234, 8);
	put(STACK + 0x3f10, 0xffffffff81000123, 8);
	put(T1 + 16, 0x00200000, 4);
	assert_int_equal(ktasks_read(&k, &t, NULL), 0);
	assert_false(t.cut);
	assert_int_equal(t.n, 4);
	assert_string_equal(t.items[0].comm, "swapper/0");
	assert_int_equal(t.items[1].pid, 1);
	assert_true(t.items[1].kernel_thread);
	assert_int_equal(t.items[1].cpu, -1);
	assert_int_equal(t.items[1].pc, 0xffffffff81000123);
	assert_int_equal(t.items[1].fp, 0x1234);
	assert_int_equal(t.items[1].sp, base + STACK + 0x3f18);
	sh = ktasks_on_cpu(&t, 0);
	assert_non_null(sh);
	assert_string_equal(sh->comm, "sh");
	assert_int_equal(sh->uid, 1000);
	assert_int_equal(sh->seccomp, 2);
	assert_int_equal(t.items[3].tgid, 57);
	assert_string_equal(t.items[3].comm, "0123456789abcdef");
	assert_null(ktasks_on_cpu(&t, 1));
	for (size_t i = 0; i < array_len(states); i++) {
		auto_cleanup(ktasks) again = {0};

		put(T2 + 4, states[i].state, 4);
		put(T2 + 40, states[i].exit_state, 4);
		assert_int_equal(ktasks_read(&k, &again, NULL), 0);
		assert_int_equal(again.items[2].state, states[i].letter);
	}
}

/* A kernel for one CPU does not say who runs: the stack pointer does. */
static void test_running(void **state)
{
	auto_cleanup(ktasks) t = {0};

	(void)state;
	put_three();
	put(T2 + 8, base + STACK, 8);
	made_cpu.sp = base + STACK + 0x100;
	assert_int_equal(ktasks_read(&k, &t, NULL), 0);
	assert_non_null(ktasks_on_cpu(&t, 0));
	assert_int_equal(ktasks_on_cpu(&t, 0)->pid, 57);
}

#define PANIC "[    0.9] Kernel panic - not syncing: Fatal exception\n"

static void test_panicked(void **state)
{
	static const struct {
		const char *log;
		int pid;
	} cases[] = {
		{"", 1},
		{"[    1.0] CPU: 0 PID: 57 Comm: sh Not tainted 6.1\n", 1}, /* a warning */
		{PANIC "[    1.0] CPU: 0 PID: 57 Comm: sh Not tainted 6.1\n", 57},
		{PANIC "[    1.0] CPU: 0 UID: 0 PID: 57 Comm: sh Tainted: G\n", 57},
		{PANIC "[    1.0] CPU: 0 PID: 1 Comm: agent\n[    2.0] CPU: 0 PID: 57 Comm: sh\n",
		 57},
		{PANIC "[    1.0] CPU: 0 PID: 58 Comm: sh Not tainted\n", 1},
		{PANIC "[    1.0] CPU: 0 PID: 57 Comm: bash Not tainted\n", 1},
		{PANIC "[    1.0] CPU: 0 PID: 99999999999999999999 Comm: sh\n", 1},
		{PANIC "[    1.0] CPU: 0 PID: 57\n", 1},
		{PANIC " PID: ", 1},
		/* who writes to /dev/kmsg does not choose */
		{PANIC "[    1.0][   T1] (user) CPU: 0 PID: 57 Comm: sh Not tainted\n", 1},
		{PANIC "[    1.0] CPU: 0 PID: 57 Comm: sh Not tainted\n"
		       "[    1.1] (user) CPU: 0 PID: 1 Comm: agent Not tainted\n",
		 57},
	};
	auto_cleanup(ktasks) t = {0};

	(void)state;
	put_three();
	put(T1 + 20, 1, 4);
	assert_int_equal(ktasks_read(&k, &t, NULL), 0);
	for (size_t i = 0; i < array_len(cases); i++) {
		made_log = cases[i].log;
		assert_int_equal(ktasks_panicked(&k, &t)->pid, cases[i].pid);
	}
	/* registers in the panic path say more than a log may */
	made_log = cases[2].log;
	k.text = (struct krange){0xffffffff81000000, 0xffffffff81001000};
	made_cpu.pc = 0xffffffff81000110;
	assert_int_equal(ktasks_panicked(&k, &t)->pid, 1);
}

static void test_bad_tasks(void **state)
{
	auto_cleanup(ktasks) loop = {0}, threads = {0}, astray = {0}, none = {0};
	struct err err = {0};

	(void)state;
	put_three();
	put(T1 + 24, base + T2 + 24, 8); /* past the head */
	assert_int_equal(ktasks_read(&k, &loop, NULL), 0);
	assert_true(loop.cut);
	assert_true(loop.n <= KTASKS_MAX);
	put_three();
	put(T3 + 56, base + T3 + 56, 8); /* a thread after itself */
	assert_int_equal(ktasks_read(&k, &threads, NULL), 0);
	assert_true(threads.cut);
	put_three();
	put(T2 + 24, base + MEMORY, 8);
	put(T2 + 8, UINT64_MAX, 8);
	put(T2 + 112, UINT64_MAX - 4, 8);
	assert_int_equal(ktasks_read(&k, &astray, NULL), 0);
	assert_true(astray.cut);
	assert_int_equal(astray.n, 3);
	k.init_task = 0;
	assert_int_equal(ktasks_read(&k, &none, &err), -ENODATA);
	ktypes_close(k.types);
	k.types = NULL;
	assert_int_equal(ktasks_read(&k, &none, &err), -ENODATA);
}

#define test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

static void test_blocked(void **state)
{
	static const struct {
		const char *line, *comm;
		int pid;
	} cases[] = {
		{"INFO: task sh:77 blocked for more than 2 seconds.", "sh", 77},
		{"INFO: task kworker/0:1:9 blocked for more than 2 seconds.", "kworker/0:1", 9},
		{"INFO: task a b:1 blocked in I/O wait for more than 1 seconds.", "a b", 1},
		{"INFO: task x:1 blocked y:3 blocked for", "x", 1},
		{"INFO: task sh blocked for more than 2 seconds.", NULL, 0},
		{"INFO: task sh:12345678901234567890 blocked for", NULL, 0},
		{"INFO: task aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:1 blocked for", NULL, 0},
		{"INFO: task :", NULL, 0},
		{"task sh:77 blocked for", NULL, 0},
	};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		char comm[KTASK_COMM];
		int pid;

		assert_int_equal(ktasks_blocked_in(cases[i].line, &pid, comm), !!cases[i].comm);
		if (!cases[i].comm)
			continue;
		assert_string_equal(comm, cases[i].comm);
		assert_int_equal(pid, cases[i].pid);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(test_types),     test(test_odd_types),   test(test_names),
		test(test_modules),   test(test_bad_modules), test(test_tasks),
		test(test_running),   test(test_panicked),    test(test_blocked),
		test(test_bad_tasks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
