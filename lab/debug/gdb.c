#include "lab/debug/gdb.h"

#include <string.h>

#include "jail/base/io.h"
#include "jail/base/proc.h"
#include "lab/cache.h"
#include "lab/kernel/elf.h"

/* What gdb and Debian call an architecture. */
static const struct gdb_arch {
	const char *name;
	const char *package; /* whose gdb knows it on a host of the other architecture */
} archs[ARCH_COUNT] = {
	[ARCH_AMD64] = {"i386:x86-64", "gdb-multiarch"},
	[ARCH_ARM64] = {"aarch64", "gdb-multiarch"},
};

/* Where pwndbg's own instructions put it when it is not a program in PATH, below $HOME or /. */
static const char *const pwndbg_files[] = {"pwndbg/gdbinit.py", "/usr/share/pwndbg/gdbinit.py",
					   "/opt/pwndbg/gdbinit.py"};

static char *pwndbg_file(void)
{
	const char *home = getenv("HOME");

	for (size_t i = 0; i < array_len(pwndbg_files); i++) {
		auto_free char *path = pwndbg_files[i][0] == '/' || !home
					       ? xstrdup(pwndbg_files[i])
					       : path_join(home, pwndbg_files[i]);

		if (io_exists(path))
			return take_ptr(path);
	}
	return NULL;
}

/* --- which gdb --- */

enum { GDB_FINE, GDB_NO_ARCH, GDB_NO_PYTHON, GDB_BROKEN };

/* Ask the gdb itself: what was compiled in is nowhere else to be seen. */
static int gdb_try(const char *gdb, enum arch arch)
{
	auto_free char *set = str_printf("set architecture %s", archs[arch].name);
	auto_cleanup(buf) out = {0}, said = {0};
	char *argv[] = {(char *)gdb,
			(char *)"-nx",
			(char *)"-batch",
			(char *)"-ex",
			set,
			(char *)"-ex",
			(char *)"show architecture",
			(char *)"-ex",
			(char *)"python print('python', 'works')",
			NULL};

	proc_run(argv, &out, &said, NULL);
	if (!out.len || !strstr(out.data, "architecture"))
		return GDB_BROKEN;
	if (!strstr(out.data, archs[arch].name))
		return GDB_NO_ARCH;
	return strstr(out.data, "python works") ? GDB_FINE : GDB_NO_PYTHON;
}

/* The one the user names: it, or nothing. */
static char *gdb_named(enum arch arch, const char *name, struct err *err)
{
	auto_free char *path = strchr(name, '/') ? realpath(name, NULL) : proc_find(name);

	if (!path) {
		err_set(err, ENOENT, "no debugger '%.200s' %s", name,
			strchr(name, '/') ? "is there" : "in PATH");
		return NULL;
	}
	switch (gdb_try(path, arch)) {
	case GDB_FINE:
		return take_ptr(path);
	case GDB_NO_ARCH:
		err_set(err, ENOTSUP,
			"%.200s knows no %s guests: another gdb that does is in Debian's package "
			"%s",
			path, arch_name(arch), archs[arch].package);
		break;
	case GDB_NO_PYTHON:
		err_set(err, ENOTSUP,
			"%.200s was built without Python, which lab needs: Debian's package gdb "
			"has it",
			path);
		break;
	default:
		err_set(err, ENOTSUP, "%.200s does not behave as a gdb", path);
	}
	return NULL;
}

static char *gdb_any(enum arch arch, struct err *err)
{
	bool native = arch == arch_native(), pythonless = false, any = false;
	const char *names[] = {native ? "gdb" : "gdb-multiarch", native ? "gdb-multiarch" : "gdb"};

	for (size_t i = 0; i < array_len(names); i++) {
		auto_free char *path = proc_find(names[i]);
		int how = path ? gdb_try(path, arch) : GDB_BROKEN;

		if (how == GDB_FINE)
			return take_ptr(path);
		any |= path != NULL;
		pythonless |= how == GDB_NO_PYTHON;
	}
	if (pythonless)
		err_set(err, ENOTSUP,
			"the gdb in PATH was built without Python, which lab needs: install "
			"Debian's package %s",
			native ? "gdb" : archs[arch].package);
	else
		err_set(err, ENOENT, "no gdb %s%s guests: install the package %s",
			any ? "here knows " : "for ", arch_name(arch),
			native ? "gdb" : archs[arch].package);
	return NULL;
}

char *gdb_find(enum arch arch, const struct gdb_how *how, struct err *err)
{
	if (how->program)
		return gdb_named(arch, how->program, err);
	if (how->pwndbg) {
		auto_free char *program = proc_find("pwndbg"), *file = pwndbg_file();

		if (program)
			return gdb_named(arch, program, err);
		if (!file) {
			err_set(err, ENOENT,
				"pwndbg is not installed: no program 'pwndbg' in PATH and no "
				"~/%s (it is not in Debian: github.com/pwndbg/pwndbg)",
				pwndbg_files[0]);
			return NULL;
		}
	}
	return gdb_any(arch, err);
}

/* --- its command line --- */

static void add_command(struct strv *argv, const char *when, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static void add_command(struct strv *argv, const char *when, const char *fmt, ...)
{
	auto_cleanup(buf) line = {0};
	va_list ap;

	va_start(ap, fmt);
	buf_vaddf(&line, fmt, ap);
	va_end(ap);
	strv_add(argv, when);
	strv_take(argv, take_ptr(line.data));
}

/* $NAME as a string of gdb's, whatever characters it has. */
static void add_string(struct strv *argv, const char *name, const char *value)
{
	auto_cleanup(buf) text = {0};

	if (!value)
		return;
	for (const char *c = value; *c; c++) {
		if (*c == '"' || *c == '\\')
			buf_adds(&text, "\\");
		if ((unsigned char)*c < ' ')
			buf_addf(&text, "\\%03o", (unsigned char)*c);
		else
			buf_add(&text, c, 1);
	}
	add_command(argv, "-ex", "set $%s = \"%s\"", name, text.data ? text.data : "");
}

/* gdb's commands take the rest of a line: what has a line of its own cannot be named in one. */
static int check_lines(const struct gdb_how *how, struct err *err)
{
	char *const *lists[] = {how->scripts, how->breaks};

	for (size_t i = 0; i < array_len(lists); i++)
		for (size_t k = 0; lists[i] && lists[i][k]; k++)
			if (strpbrk(lists[i][k], "\n\r"))
				return err_set(err, EINVAL, "a line break in '%.100s'",
					       lists[i][k]);
	return 0;
}

/* What a debugger of guests needs to be told whatever it does then. */
static int add_settings(struct strv *argv, struct err *err)
{
	auto_free char *index = cache_dir("gdb-index", err);

	if (!index)
		return -err->code;
	add_command(argv, "-iex", "set debuginfod enabled off");
	add_command(argv, "-iex", "set index-cache directory %s", index);
	add_command(argv, "-iex", "set index-cache enabled on");
	add_command(argv, "-iex", "set breakpoint pending off");
	add_command(argv, "-iex", "set confirm off");
	/* An emulated guest on a busy host answers when it gets to. */
	add_command(argv, "-iex", "set remotetimeout 60");
	return 0;
}

static int add_python(struct strv *argv, const char *name, struct err *err)
{
	auto_free char *home = home_dir(err), *path = home ? path_join(home, name) : NULL;

	if (!path)
		return -err->code;
	if (access(path, R_OK) < 0)
		return err_errno(err, "lab's commands for gdb: %s", path);
	add_command(argv, "-ex", "source %s", path);
	return 0;
}

static void add_variables(struct strv *argv, const struct symbols *symbols,
			  const struct gdb_how *how)
{
	static const char *const kinds[] = {
		[SYMBOLS_FULL] = "full", [SYMBOLS_TYPES] = "types", [SYMBOLS_NAMES] = "names"};
	auto_cleanup(buf) more = {0};

	add_string(argv, "lab_symbols", kinds[symbols->kind]);
	add_string(argv, "lab_kernel", how->kernel);
	add_string(argv, "lab_modules", symbols->modules);
	for (size_t i = 0; how->modules && how->modules[i]; i++)
		buf_addf(&more, "%s%s", i ? ":" : "", how->modules[i]);
	add_string(argv, "lab_more_modules", more.data);
	if (how->core)
		add_string(argv, "lab_vmlinux", symbols->vmlinux);
	/* Debian's names of C files have no folder before them, those of assembler files have */
	if (symbols->source_dir)
		add_command(argv, "-ex", "set directories \"%s\":$cdir:$cwd", symbols->source_dir);
	if (symbols->source_prefix && symbols->source_dir)
		add_command(argv, "-ex", "set substitute-path \"%s\" \"%s\"",
			    symbols->source_prefix, symbols->source_dir);
}

static void add_steps(struct strv *argv, const struct gdb_how *how)
{
	const char *or_quit = how->batch ? "lab-or-quit " : "";

	for (size_t i = 0; how->breaks && how->breaks[i]; i++)
		add_command(argv, "-ex", "%slab-break %s", or_quit, how->breaks[i]);
	if (how->address)
		add_command(argv, "-ex", "%slab-attach %s", or_quit, how->address);
	if (how->core)
		add_command(argv, "-ex", "%slab-core %s", or_quit, how->core);
	for (size_t i = 0; how->scripts && how->scripts[i]; i++)
		add_command(argv, "-ex", "%ssource %s", or_quit, how->scripts[i]);
}

int gdb_command(const char *gdb, enum arch arch, const struct symbols *symbols,
		const struct gdb_how *how, struct strv *argv, struct err *err)
{
	auto_free char *pwndbg = how->pwndbg ? pwndbg_file() : NULL;
	const char *name = strrchr(gdb, '/');
	int r = check_lines(how, err);

	if (r < 0)
		return r;
	strv_add(argv, gdb);
	strv_add(argv, "-q");
	if (how->batch) {
		strv_add(argv, "-nx");
		strv_add(argv, "-batch");
	}
	r = add_settings(argv, err);
	if (r < 0)
		return r;
	/* by way of Python: it says nothing then */
	add_command(argv, "-iex", "python gdb.execute('set architecture %s', to_string=True)",
		    archs[arch].name);
	/* a dump says where the kernel was: the symbols are read once, for there */
	if (!how->core)
		strv_add(argv, symbols->vmlinux);
	if (pwndbg && !str_eq(name ? name + 1 : gdb, "pwndbg"))
		add_command(argv, "-ex", "source %s", pwndbg);
	add_variables(argv, symbols, how);
	r = add_python(argv, "lab/gdb/lab.py", err);
	if (r == 0 && how->batch)
		r = add_python(argv, "lab/gdb/batch.py", err);
	if (r == 0)
		add_steps(argv, how);
	return r;
}

/* --- its index --- */

int gdb_index(enum arch arch, const struct symbols *symbols, kernel_progress_fn progress,
	      void *data, struct err *err)
{
	auto_free char *gdb = NULL, *id = NULL, *dir = NULL, *path = NULL;
	auto_cleanup(strv) argv = {0};
	auto_cleanup(buf) out = {0}, said = {0};
	int r;

	if (symbols->kind == SYMBOLS_NAMES || elf_build_id(symbols->vmlinux, &id, NULL) < 0)
		return 0;
	dir = cache_dir("gdb-index", err);
	if (!dir)
		return -err->code;
	path = str_printf("%s/%s.gdb-index", dir, id);
	if (io_exists(path))
		return 0;
	gdb = gdb_find(arch, &(struct gdb_how){0}, err);
	if (!gdb)
		return -err->code;
	strv_add(&argv, gdb);
	strv_add(&argv, "-q");
	strv_add(&argv, "-nx");
	strv_add(&argv, "-batch");
	r = add_settings(&argv, err);
	if (r < 0)
		return r;
	strv_add(&argv, symbols->vmlinux);
	add_command(&argv, "-ex", "ptype struct list_head");
	if (progress)
		progress(data, "indexing the symbols for gdb", 0, 0);
	r = proc_run(argv.items, &out, &said, err);
	if (progress)
		progress(data, "indexing the symbols for gdb", 1, 1);
	if (r < 0)
		return r;
	return r == 0 ? 0 : err_set(err, EIO, "%s could not read %s", gdb, symbols->vmlinux);
}
