#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "jail/base/io.h"
#include "lab/cmd.h"
#include "lab/machine/registry.h"
#include "lab/vmcore/vmcore-elf.h"

static void print_text(const char *text, int width)
{
	auto_cleanup(buf) shown = {0};

	str_printable(&shown, text, strlen(text), 200, false);
	printf("%-*s  ", width, shown.data ? shown.data : "");
}

static json_t *vm_json(const struct vm *vm)
{
	return json_pack("{s:s,s:s,s:s?,s:s,s:s,s:s,s:s,s:s,s:I,s:I,s:I,s:b}", "name", vm->name,
			 "kernel", vm->kernel, "release", vm->release, "arch", arch_name(vm->arch),
			 "what", vm->what, "state", vm_state(vm), "dir", vm->dir, "gdb", vm->gdb,
			 "lab", (json_int_t)vm->lab, "qemu", (json_int_t)vm->qemu, "started",
			 (json_int_t)vm->started, "nokaslr", vm->nokaslr);
}

static void print_json(const struct vm_list *l)
{
	json_t *all = json_array();

	for (size_t i = 0; i < l->n; i++)
		json_array_append_new(all, vm_json(&l->items[i]));
	json_dumpf(all, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(all);
}

static void print_table(const struct vm_list *l)
{
	int kernel = strlen("KERNEL"), what = strlen("WHAT");

	for (size_t i = 0; i < l->n; i++) {
		const struct vm *vm = &l->items[i];

		kernel = (int)strlen(vm->kernel) > kernel ? (int)strlen(vm->kernel) : kernel;
		what = (int)strlen(vm->what) > what ? (int)strlen(vm->what) : what;
	}
	kernel = kernel > 40 ? 40 : kernel;
	what = what > 40 ? 40 : what;
	printf("%-10s  %-*s  %-5s  %-*s  %-8s  STATE\n", "NAME", kernel, "KERNEL", "ARCH", what,
	       "WHAT", "SINCE");
	for (size_t i = 0; i < l->n; i++) {
		const struct vm *vm = &l->items[i];
		time_t started = vm->started;
		char since[32] = "?";
		struct tm tm;

		if (localtime_r(&started, &tm))
			strftime(since, sizeof(since), "%H:%M:%S", &tm);
		print_text(vm->name, 10);
		print_text(vm->kernel, kernel);
		print_text(arch_name(vm->arch), 5);
		print_text(vm->what, what);
		printf("%-8s  %s\n", since, vm_state(vm));
	}
}

struct vm_args {
	bool json, all, elf, kdump;
	const char *out;
};

static const struct opt options[] = {
	{0, "json", NULL, OPT_FLAG, offsetof(struct vm_args, json), "list: as JSON"},
	{0, "all", NULL, OPT_FLAG, offsetof(struct vm_args, all),
	 "stop: every machine of this user"},
	{'o', "output", "FILE", OPT_STRING, offsetof(struct vm_args, out),
	 "dump: the file, which must not be there (default: vmcore-NAME)"},
	{0, "kdump", NULL, OPT_FLAG, offsetof(struct vm_args, kdump),
	 "dump: compressed (the default)"},
	{0, "elf", NULL, OPT_FLAG, offsetof(struct vm_args, elf),
	 "dump: an ELF core file, for gdb and drgn"},
};

static const struct cmd_usage usage = {
	"vm", "list [--json] | stop NAME... | stop --all | dump [-o FILE] [--elf] NAME",
	"The machines that this user's labs run now: those of scenarios and of 'lab shell'.\n"
	"  list     what runs. A name, or what a machine runs, is what 'lab gdb' takes\n"
	"  stop     end machines at once, as if their power was cut: a cell is lost then, and\n"
	"           the rest of its run goes on\n"
	"  dump     write a machine's memory to a file; it stands still meanwhile, and goes on"};

static int verb_list(const struct vm_args *a, char *const *names, int n)
{
	auto_cleanup(vm_list) l = {0};
	struct err err = {0};

	if (n || a->all || a->out || a->elf || a->kdump) {
		err_set(&err, EINVAL, "list: '%.60s' is not for it",
			n	 ? names[0]
			: a->all ? "--all"
			: a->out ? "-o"
				 : "--elf and --kdump");
		return cmd_misused(&usage, "%s", err.msg);
	}
	if (vm_list(&l, &err) < 0)
		return cmd_fail(EXIT_LOST, &err);
	if (a->json)
		print_json(&l);
	else if (l.n)
		print_table(&l);
	else
		puts("no machine runs");
	return EXIT_MET;
}

/* One that has ended by itself meanwhile is stopped, too. */
static int stop_one(const struct vm *vm)
{
	struct err err = {0};
	int r = vm_stop(vm, &err);

	if (r < 0 && r != -ESRCH)
		return cmd_fail(EXIT_LOST, &err);
	printf("%s %s\n", vm->name, r == 0 ? "stopped" : "has ended");
	return EXIT_MET;
}

static int stop_all(void)
{
	auto_cleanup(vm_list) l = {0};
	struct err err = {0};
	int code = EXIT_MET;

	if (vm_list(&l, &err) < 0)
		return cmd_fail(EXIT_LOST, &err);
	for (size_t i = 0; i < l.n; i++)
		if (stop_one(&l.items[i]) != EXIT_MET)
			code = EXIT_LOST;
	return code;
}

/* All names are looked at before the first machine ends. */
static int stop_named(char *const *names, int n)
{
	struct vm_list l = {.items = xcalloc(n, sizeof(*l.items))};
	struct err err = {0};
	int code = EXIT_MET;

	for (int i = 0; i < n && code == EXIT_MET; i++) {
		if (vm_find(names[i], &l.items[l.n], &err) < 0)
			code = cmd_fail(EXIT_USAGE, &err);
		else
			l.n++;
	}
	for (size_t i = 0; code != EXIT_USAGE && i < l.n; i++)
		if (stop_one(&l.items[i]) != EXIT_MET)
			code = EXIT_LOST;
	vm_list_deinit(&l);
	return code;
}

static int verb_stop(const struct vm_args *a, char *const *names, int n)
{
	struct err err = {0};

	if (a->json)
		err_set(&err, EINVAL, "--json is for list");
	else if (a->out || a->elf || a->kdump)
		err_set(&err, EINVAL, "-o, --elf and --kdump are for dump");
	else if (a->all && n)
		err_set(&err, EINVAL, "stop: --all and names exclude each other");
	else if (!a->all && !n)
		err_set(&err, EINVAL,
			"stop: no machine given: name some ('lab vm list' has them), or --all");
	if (err.code)
		return cmd_misused(&usage, "%s", err.msg);
	return a->all ? stop_all() : stop_named(names, n);
}

/* Where the dump goes, as the other lab is to be told: its folder may be another. */
static char *dump_path(const struct vm_args *a, const struct vm *vm, struct err *err)
{
	auto_free char *path = a->out ? xstrdup(a->out) : str_printf("vmcore-%s", vm->name);
	char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	auto_free char *folder = slash ? xstrndup(path, slash - path + 1) : xstrdup(".");
	auto_free char *real = realpath(folder, NULL);

	if (!real)
		err_errno(err, "%s", folder);
	else if (io_exists(path))
		err_set(err, EEXIST, "%s is there already: name another file (-o)", path);
	else if (*name)
		return path_join(real, name);
	else
		err_set(err, EISDIR, "-o: %s is a folder", path);
	return NULL;
}

static int verb_dump(const struct vm_args *a, char *const *names, int n)
{
	auto_cleanup(vm) vm = {0};
	struct dump_done done = {0};
	auto_free char *path = NULL;
	auto_cleanup(buf) kernel = {0};
	struct err err = {0};

	if (a->json || a->all)
		err_set(&err, EINVAL, "dump: --json and --all are not for it");
	else if (n != 1)
		err_set(&err, EINVAL, "dump: name one machine ('lab vm list' has them)");
	else if (a->elf && a->kdump)
		err_set(&err, EINVAL, "dump: --elf and --kdump exclude each other");
	if (err.code)
		return cmd_misused(&usage, "%s", err.msg);
	if (vm_find(names[0], &vm, &err) < 0)
		return cmd_fail(EXIT_USAGE, &err);
	path = dump_path(a, &vm, &err);
	if (!path)
		return cmd_fail(EXIT_USAGE, &err);
	if (vm_dump(&vm, path, a->elf ? DUMP_ELF : DUMP_KDUMP, &done, &err) < 0)
		return cmd_fail(EXIT_LOST, &err);
	if (done.form == DUMP_ELF && vmcore_map_elf(path, &err) < 0) {
		err_wrap(&err, "%s was written without the kernel's mapping", path);
		return cmd_fail(EXIT_LOST, &err);
	}
	printf("%s: %s, %" PRIu64 " bytes, %.2f s\n", path, dump_form_name(done.form), done.bytes,
	       done.ms / 1e3);
	str_printable(&kernel, vm.kernel, strlen(vm.kernel), 200, false);
	printf("lab crash --kernel %s --arch %s %s\n", kernel.data ? kernel.data : "",
	       arch_name(vm.arch), path);
	return EXIT_MET;
}

int cmd_vm(int argc, char **argv)
{
	struct vm_args a = {0};
	struct err err = {0};
	int at, code = cmd_options(&usage, options, array_len(options), argc, argv, &a, &at);

	if (code >= 0)
		return code;
	if (at < argc && str_eq(argv[at], "list"))
		return verb_list(&a, argv + at + 1, argc - at - 1);
	if (at < argc && str_eq(argv[at], "stop"))
		return verb_stop(&a, argv + at + 1, argc - at - 1);
	if (at < argc && str_eq(argv[at], "dump"))
		return verb_dump(&a, argv + at + 1, argc - at - 1);
	err_set(&err, EINVAL, "%s%.60s%s: list, stop or dump",
		at < argc ? "unknown verb '" : "say what to do", at < argc ? argv[at] : "",
		at < argc ? "'" : "");
	return cmd_misused(&usage, "%s", err.msg);
}
