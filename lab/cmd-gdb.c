#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lab/cmd.h"
#include "lab/debug/debug.h"
#include "lab/machine/registry.h"
#include "lab/progress.h"

struct gdb_args {
	struct strv breaks, scripts;
	const char *program, *vmlinux;
	bool batch, pwndbg;
};

#define ARG(member) offsetof(struct gdb_args, member)

static const struct opt options[] = {
	{'b', "break", "FUNC[:COND]", OPT_APPEND, ARG(breaks),
	 "stop there, if COND holds (a hardware break point; may be repeated)"},
	{'x', "script", "FILE", OPT_APPEND, ARG(scripts),
	 "gdb's commands in FILE, once it is attached (may be repeated)"},
	{0, "batch", NULL, OPT_FLAG, ARG(batch),
	 "end after the scripts; the first command that fails ends them: exit\ncode 1"},
	{0, "pwndbg", NULL, OPT_FLAG, ARG(pwndbg), "with pwndbg, where that is installed"},
	{0, "gdb", "PROGRAM", OPT_STRING, ARG(program),
	 "another gdb (default: gdb, or gdb-multiarch for foreign guests)"},
	{0, "vmlinux", "FILE", OPT_STRING, ARG(vmlinux),
	 "symbols from FILE, which has to be of the kernel's build"},
};

static const struct cmd_usage usage = {
	"gdb", "[options] [VM|CELL]",
	"Attach gdb to the kernel of a machine that runs: lab vm list has their names. Without a\n"
	"name: the only one. The machine is stopped while gdb looks at it and goes on when gdb\n"
	"detaches or ends. Exit code: gdb's; 2 usage or no such machine."};

/* The machine that is meant. */
static int find_machine(const char *name, struct vm *ret, struct err *err)
{
	struct vm_list list = {0};
	auto_cleanup(buf) names = {0};
	int r;

	if (name)
		return vm_find(name, ret, err);
	r = vm_list(&list, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < list.n; i++)
		buf_addf(&names, "\n  %s  %s %s  %s", list.items[i].name, list.items[i].kernel,
			 arch_name(list.items[i].arch), list.items[i].what);
	if (list.n == 1) {
		*ret = list.items[0];
		list.n = 0;
		free(list.items);
		return 0;
	}
	r = list.n ? err_set(err, EEXIST, "%zu machines run; which one?%.400s", list.n, names.data)
		   : err_set(err, ENOENT,
			     "no machine runs: lab shell starts one, and so does lab debug");
	vm_list_deinit(&list);
	return r;
}

/* gdb in this process's place; returns only when that fails. */
static int become(char **argv, struct err *err)
{
	signal(SIGPIPE, SIG_DFL);
	execv(argv[0], argv);
	return err_errno(err, "start %s", argv[0]);
}

static int attach(const struct gdb_args *a, const struct vm *vm, struct err *err)
{
	struct kernel_want want = {.offline = true, .no_build = true};
	struct gdb_how how = {.program = a->program,
			      .pwndbg = a->pwndbg,
			      .batch = a->batch,
			      .scripts = a->scripts.items,
			      .breaks = a->breaks.items,
			      .address = vm->gdb};
	auto_free char *what = str_printf("%s %s", vm->kernel, arch_name(vm->arch)), *why = NULL;
	auto_free char *gdb = NULL;
	auto_cleanup(kernel) kernel = {0};
	auto_cleanup(symbols) symbols = {0};
	auto_cleanup(strv) argv = {0}, notes = {0};
	int r = kernel_resolve(vm->kernel, vm->arch, &want, &kernel, err);

	how.kernel = what;
	if (r == 0)
		r = symbols_prepare(&kernel, SYMBOLS_AUTO, a->vmlinux, &want, &symbols, &why, err);
	if (r == 0)
		r = debug_check_breaks(&symbols, what, how.breaks, &notes, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < notes.n; i++)
		fprintf(stderr, "lab: --break %s\n", notes.items[i]);
	if (why)
		fprintf(stderr, "lab: %s: %s\n", symbols.what, why);
	gdb = gdb_find(vm->arch, &how, err);
	if (!gdb)
		return -err->code;
	r = gdb_command(gdb, vm->arch, &symbols, &how, &argv, err);
	return r < 0 ? r : become(argv.items, err);
}

int cmd_gdb(int argc, char **argv)
{
	struct gdb_args a = {0};
	struct vm vm = {0};
	struct err err = {0};
	int first, code = cmd_options(&usage, options, array_len(options), argc, argv, &a, &first);

	if (code < 0) {
		if (argc - first > 1)
			err_set(&err, EINVAL, "one machine at a time");
		else if (a.batch && !a.scripts.n)
			err_set(&err, EINVAL, "--batch: no -x SCRIPT that says what to do");
		else if (find_machine(argv[first], &vm, &err) == 0)
			attach(&a, &vm, &err);
		code = cmd_fail(EXIT_USAGE, &err);
		vm_deinit(&vm);
	}
	strv_deinit(&a.breaks);
	strv_deinit(&a.scripts);
	return code;
}
