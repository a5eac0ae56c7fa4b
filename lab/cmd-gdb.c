#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lab/cmd-debugger.h"
#include "lab/debug/debug.h"
#include "lab/machine/registry.h"
#include "lab/progress.h"

struct gdb_args {
	struct debugger_args gdb;
};

static const struct opt options[] = {
	DEBUGGER_OPTIONS(struct gdb_args, "stop there"),
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

static int attach(const struct debugger *d, const struct vm *vm, struct err *err)
{
	struct kernel_want want = {.offline = true, .no_build = true};
	struct gdb_how how = d->how;
	auto_free char *what = str_printf("%s %s", vm->kernel, arch_name(vm->arch)), *gdb = NULL;
	auto_cleanup(kernel) kernel = {0};
	auto_cleanup(symbols) symbols = {0};
	auto_cleanup(strv) argv = {0};
	int r = kernel_resolve(vm->kernel, vm->arch, &want, &kernel, err);

	how.address = vm->gdb;
	how.kernel = what;
	if (r == 0)
		r = debugger_symbols(d, &kernel, &want, false, &symbols, err);
	if (r < 0)
		return r;
	gdb = gdb_find(vm->arch, &how, err);
	if (!gdb)
		return -err->code;
	r = gdb_command(gdb, vm->arch, &symbols, &how, &argv, err);
	return r < 0 ? r : cmd_become(argv.items, err);
}

int cmd_gdb(int argc, char **argv)
{
	struct gdb_args a = {0};
	struct debugger d = {0};
	struct vm vm = {0};
	struct err err = {0};
	int first, code = cmd_options(&usage, options, array_len(options), argc, argv, &a, &first);

	if (code < 0) {
		if (argc - first > 1)
			err_set(&err, EINVAL, "one machine at a time");
		else if (debugger_parse(&a.gdb, &d, &err) == 0 &&
			 find_machine(argv[first], &vm, &err) == 0)
			attach(&d, &vm, &err);
		code = cmd_fail(EXIT_USAGE, &err);
		vm_deinit(&vm);
	}
	debugger_deinit(&d);
	debugger_args_deinit(&a.gdb);
	return code;
}
