#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "jail/base/io.h"
#include "lab/cmd-debugger.h"
#include "lab/open/opener.h"
#include "lab/open/place.h"
#include "lab/progress.h"
#include "lab/vmcore/summary.h"
#include "lab/vmcore/vmcore-elf.h"

enum { SUMMARY_MAX = 64 << 20 };

struct crash_args {
	struct strv scripts;
	const char *with, *kernel, *arch, *symbols, *vmlinux, *gdb, *elf;
	bool summary, print, offline, pwndbg;
};

#define ARG(member) offsetof(struct crash_args, member)

static const struct opt options[] = {
	{'w', "with", "TOOL", OPT_STRING, ARG(with),
	 "crash, drgn or gdb (default: the first of them that is here and reads\ndumps of this "
	 "kernel; .py scripts are drgn's, .gdb scripts gdb's)"},
	{'x', "script", "FILE", OPT_APPEND, ARG(scripts),
	 "run the tool's commands in FILE and end (may be repeated)"},
	{0, "summary", NULL, OPT_FLAG, ARG(summary), "print vmcore.txt, and open nothing"},
	{0, "print", NULL, OPT_FLAG, ARG(print), "print the tool's command line, and open nothing"},
	{0, "elf", "FILE", OPT_STRING, ARG(elf),
	 "write the dump to FILE as ELF with the kernel's mapping, for other\ntools, and open "
	 "nothing"},
	{'k', "kernel", "K", OPT_STRING, ARG(kernel),
	 "the kernel of a file that lies in no cell; or another than the cell's"},
	{'a', "arch", "A", OPT_STRING, ARG(arch), "its architecture (default: this host's)"},
	{0, "symbols", "FROM", OPT_STRING, ARG(symbols),
	 "auto, package or image (only gdb goes with that), as for lab gdb"},
	{0, "vmlinux", "FILE", OPT_STRING, ARG(vmlinux),
	 "symbols from FILE, which has to be of the kernel's build"},
	{0, "gdb", "PROGRAM", OPT_STRING, ARG(gdb), "with this gdb"},
	{0, "pwndbg", NULL, OPT_FLAG, ARG(pwndbg), "with gdb and pwndbg, where that is installed"},
	{0, "offline", NULL, OPT_FLAG, ARG(offline), "fetch no debug package"},
};

static const struct cmd_usage usage = {
	"crash", "[options] [[RUN/]CELL|FILE]",
	"Open the dump of a cell (6.1-amd64/crash/panic, of the latest run unless RUN is said) in\n"
	"a tool that reads it, with symbols and the form it wants. Without a name: the only dump\n"
	"of the latest run. Exit code: the tool's; 2 no such dump, no tool for it, or usage."};

/* Everything that one call is made of. */
struct session {
	const struct crash_args *args;
	struct dump_place place;
	struct kernel kernel;
	struct open_want want;
	struct open_choice choice;
	struct strv modules;
	const volatile int *cancel;
};

static void session_deinit(struct session *s)
{
	open_choice_deinit(&s->choice);
	strv_deinit(&s->modules);
	kernel_deinit(&s->kernel);
	dump_place_deinit(&s->place);
}
DEFINE_CLEANUP(session, session_deinit)

/* ---- what the options come to ---- */

/* The tool that scripts are for, by their names' ends. */
static int tool_of_scripts(const struct strv *scripts, enum open_tool *ret, struct err *err)
{
	for (size_t i = 0; i < scripts->n; i++) {
		const char *name = scripts->items[i];
		enum open_tool tool = str_ends(name, ".py")    ? OPEN_DRGN
				      : str_ends(name, ".gdb") ? OPEN_GDB
							       : OPEN_AUTO;

		if (tool && *ret && tool != *ret)
			return err_set(err, EINVAL, "-x %.200s is for %s, the others for %s", name,
				       open_tool_name(tool), open_tool_name(*ret));
		*ret = tool ? tool : *ret;
	}
	return 0;
}

static int check(const struct crash_args *a, struct open_want *want, struct err *err)
{
	int r = 0;

	if (a->summary + a->print + !!a->elf > 1)
		return err_set(err, EINVAL, "--summary, --print, --elf: one of them");
	if (a->with)
		r = open_tool_parse(a->with, &want->tool, err);
	if (r < 0)
		return err_wrap(err, "--with");
	if (want->tool && want->tool != OPEN_GDB && (a->gdb || a->pwndbg))
		return err_set(err, EINVAL, "--with %s, and a gdb: which one?", a->with);
	if (a->gdb && a->pwndbg)
		return err_set(err, EINVAL, "--gdb and --pwndbg: which one?");
	for (size_t i = 0; i < a->scripts.n; i++)
		if (access(a->scripts.items[i], R_OK) < 0)
			return err_errno(err, "-x %.300s", a->scripts.items[i]);
	if (!a->with && !a->gdb && !a->pwndbg)
		r = tool_of_scripts(&a->scripts, &want->tool, err);
	if (r == 0)
		r = debugger_symbols_from(a->symbols, &want->from, err);
	want->scripts = a->scripts.items;
	want->vmlinux = a->vmlinux;
	want->gdb = a->gdb;
	want->pwndbg = a->pwndbg;
	return r;
}

/* ---- what it opens ---- */

static int find_kernel(struct session *s, const struct kernel_want *get, struct err *err)
{
	const struct crash_args *a = s->args;
	const char *spec = a->kernel ? a->kernel : s->place.kernel;
	int arch = a->arch || !s->place.dir ? cmd_arch(a->arch, err) : (int)s->place.arch;

	if (arch < 0)
		return arch;
	if (!spec)
		return err_set(err, EINVAL, "%s lies in no cell: say its kernel with --kernel",
			       s->place.file);
	return kernel_resolve(spec, arch, get, &s->kernel, err);
}

static int print_summary(const struct session *s, struct err *err)
{
	auto_free char *path = s->place.dir ? path_join(s->place.dir, DUMP_SUMMARY) : NULL;
	auto_cleanup(buf) text = {0}, shown = {0}, log = {0};
	auto_cleanup(summary_kernel) kernel = {0};
	int r = path ? io_read_regular(AT_FDCWD, path, SUMMARY_MAX, &text, err) : -ENOENT;

	if (r == -ENOENT) {
		summary_prepare(&s->kernel, NULL, &kernel);
		r = summary_write(s->place.file, &kernel, NULL, false, &log, &text, err);
	}
	if (r < 0)
		return r;
	str_printable(&shown, text.data ? text.data : "", text.len, SUMMARY_MAX, true);
	fputs(shown.data ? shown.data : "", stdout);
	return 0;
}

static int write_elf(const struct session *s, struct err *err)
{
	auto_vmcore v = NULL;
	int r = vmcore_open(s->place.file, &v, err);

	return r < 0 ? r : vmcore_write_elf(v, s->args->elf, err);
}

/* A word as a shell takes it. */
static void print_word(const char *word, bool first)
{
	const char *plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
			    "%+,-./:=@_";

	printf(first ? "" : " ");
	if (*word && word[strspn(word, plain)] == '\0') {
		fputs(word, stdout);
		return;
	}
	putchar('\'');
	for (; *word; word++)
		fputs(*word == '\'' ? "'\\''" : (char[]){*word, '\0'}, stdout);
	putchar('\'');
}

static int print_command(const struct session *s, struct err *err)
{
	auto_free char *elf = str_printf("%s.elf", s->place.file);
	bool reads = open_reads(s->place.file, &s->choice);
	auto_cleanup(strv) argv = {0};
	int r = open_command(&s->choice, &s->kernel, &s->want, reads ? s->place.file : elf, true,
			     &argv, err);

	if (r < 0)
		return r;
	if (!reads) {
		fputs("lab crash --elf ", stdout);
		print_word(elf, true);
		print_word(s->place.file, false);
		fputs(" &&\n", stdout);
	}
	for (size_t i = 0; i < argv.n; i++)
		print_word(argv.items[i], i == 0);
	putchar('\n');
	return 0;
}

/* Who opens a dump hears what it is of, and why the tool is not a better one. */
static void announce(const struct session *s)
{
	const struct open_choice *c = &s->choice;
	const struct dump_place *p = &s->place;

	for (size_t i = 0; i < c->notes.n; i++)
		fprintf(stderr, "lab: %s\n", c->notes.items[i]);
	fprintf(stderr, "lab: %s, kernel %s %s, with %s%s%s, %s\n", p->cell ? p->cell : p->file,
		s->kernel.version, arch_name(s->kernel.arch), open_tool_name(c->tool),
		c->version[0] ? " " : "", c->version, c->symbols.what);
	if (p->title)
		fprintf(stderr, "lab: %s\n", p->title);
}

static int open_tool(struct session *s, struct err *err)
{
	auto_cleanup(strv) argv = {0};
	auto_free char *file = NULL;
	int r = open_prepare(s->place.file, &s->choice, &file, err);

	if (r == 0)
		r = open_command(&s->choice, &s->kernel, &s->want, file, false, &argv, err);
	if (r == 0 && *s->cancel)
		r = err_set(err, EINTR, "interrupted");
	if (r < 0)
		return r;
	announce(s);
	return cmd_become(argv.items, err);
}

static int run(struct session *s, struct progress *progress, const char *name, struct err *err)
{
	const struct crash_args *a = s->args;
	const struct kernel_want get = {.offline = a->offline,
					.no_build = true,
					.progress = progress_fetch,
					.data = progress,
					.cancel = s->cancel};
	int r = dump_find(name, &s->place, err);

	s->want.get = &get;
	if (r == 0 && a->elf)
		return write_elf(s, err);
	if (r == 0 && !(a->summary && s->place.dir && !a->kernel))
		r = find_kernel(s, &get, err);
	if (r == 0 && a->summary)
		return print_summary(s, err);
	if (r == 0)
		r = open_check(s->place.file, &s->kernel, err);
	if (r == 0)
		r = open_choose(&s->kernel, &s->want, &s->choice, err);
	if (r < 0)
		return r;
	open_modules(&s->kernel, &s->modules);
	s->want.modules = s->modules.items;
	progress_silence(progress);
	return a->print ? print_command(s, err) : open_tool(s, err);
}

static int crash_dump(const struct crash_args *a, const char *name)
{
	auto_cleanup(session) s = {.args = a, .cancel = cmd_catch_signals()};
	struct run_events events;
	struct progress *progress;
	struct err err = {0};
	int r = check(a, &s.want, &err);

	if (r < 0)
		return cmd_fail(EXIT_USAGE, &err);
	progress = progress_start(false, &events);
	r = run(&s, progress, name, &err);
	progress_stop(progress);
	if (r == 0)
		return EXIT_MET;
	return cmd_fail(r == -EINTR		    ? EXIT_INTERRUPTED
			: r == -ENOSPC || r == -EIO ? EXIT_LOST
						    : EXIT_USAGE,
			&err);
}

int cmd_crash(int argc, char **argv)
{
	struct crash_args a = {0};
	struct err err = {0};
	int first, code = cmd_options(&usage, options, array_len(options), argc, argv, &a, &first);

	if (code < 0 && argc - first > 1) {
		err_set(&err, EINVAL, "one dump at a time");
		code = cmd_fail(EXIT_USAGE, &err);
	}
	if (code < 0)
		code = crash_dump(&a, argv[first]);
	strv_deinit(&a.scripts);
	return code;
}
