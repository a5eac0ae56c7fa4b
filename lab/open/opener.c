#include "lab/open/opener.h"

#include <elf.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "jail/base/io.h"
#include "jail/base/proc.h"
#include "lab/cache.h"
#include "lab/debug/gdb.h"
#include "lab/kernel/kernel-image.h"
#include "lab/vmcore/vmcore-elf.h"

enum { SCRIPTS_MAX = 1 << 20, HEADERS_MAX = 65535 };

static const struct {
	const char *name, *package;
} tools[] = {
	[OPEN_AUTO] = {"auto", NULL},
	[OPEN_CRASH] = {"crash", "crash"},
	[OPEN_DRGN] = {"drgn", "python3-drgn"},
	[OPEN_GDB] = {"gdb", "gdb"},
};

const char *open_tool_name(enum open_tool tool)
{
	return tools[tool].name;
}

int open_tool_parse(const char *name, enum open_tool *ret, struct err *err)
{
	for (enum open_tool t = OPEN_CRASH; t <= OPEN_GDB; t++)
		if (str_eq(tools[t].name, name)) {
			*ret = t;
			return 0;
		}
	return err_set(err, EINVAL, "'%.40s' is not crash, drgn or gdb", name);
}

void open_choice_deinit(struct open_choice *c)
{
	free(c->program);
	symbols_deinit(&c->symbols);
	strv_deinit(&c->notes);
	*c = (struct open_choice){0};
}

/* ---- which tool ---- */

/* Whether this binary of crash reads dumps of arch: each is built for one ("build_target: ARM64").
 */
static bool is_built_for(const char *crash, enum arch arch)
{
	static const char *const targets[ARCH_COUNT] = {"build_target: X86_64",
							"build_target: ARM64"};
	auto_cleanup(buf) said = {0};
	char *argv[] = {(char *)crash, (char *)"--buildinfo", NULL};

	return proc_run(argv, &said, NULL, NULL) >= 0 && said.len &&
	       strstr(said.data, targets[arch]);
}

/* Whether crash or drgn is here and reads dumps of that kernel; else why not. */
static int try_tool(enum open_tool tool, const struct kernel *k, struct open_choice *ret,
		    struct err *err)
{
	const char *name = tools[tool].name;
	auto_free char *path = proc_find(name);
	auto_cleanup(buf) said = {0}, complaint = {0};
	struct kver version;
	struct tool_fit *fit = &ret->fit;
	char *argv[] = {path, (char *)"--version", NULL};

	if (!path)
		return err_set(err, ENOENT, "%s is not installed: Debian's package %s has it", name,
			       tools[tool].package);
	if (proc_run(argv, &said, &complaint, NULL) < 0 || !said.len ||
	    tools_version(name, said.data, &version) < 0)
		return err_set(err, ENOTSUP, "%s does not say its version: is it %s?", path, name);
	tools_version_print(&version, ret->version);
	tools_fit(name, &version, &k->kver, k->arch, fit);
	if (!fit->reads && fit->needs[0])
		return err_set(err, ENOTSUP,
			       "%s %s reads %s kernels%s%s, this is %s: needs %s%s%s%s", name,
			       ret->version, arch_name(k->arch),
			       fit->newest[0] ? " to " : " that are older", fit->newest, k->version,
			       fit->needs, fit->where ? " (" : "", fit->where ? fit->where : "",
			       fit->where ? ")" : "");
	if (!fit->reads)
		return err_set(err, ENOTSUP,
			       "%s %s: no version of %s is known to read dumps of kernel %s", name,
			       ret->version, name, k->version);
	if (fit->one_arch && !is_built_for(path, k->arch))
		return err_set(err, ENOTSUP,
			       "%s reads no dumps of %s: a %s is for one architecture", path,
			       arch_name(k->arch), name);
	ret->program = take_ptr(path);
	ret->tool = tool;
	return 0;
}

static int try_gdb(const struct kernel *k, const struct open_want *want, struct open_choice *ret,
		   struct err *err)
{
	const struct gdb_how how = {.program = want->gdb, .pwndbg = want->pwndbg};

	ret->program = gdb_find(k->arch, &how, err);
	ret->tool = OPEN_GDB;
	return ret->program ? 0 : -err->code;
}

/* Types and lines, or the one that was wanted says that it cannot do without. */
static int need_full(const struct open_want *want, const struct open_choice *c, const char *why,
		     struct err *err)
{
	return err_set(err, ENODATA, "%s needs types and lines of the kernel: %s",
		       tools[c->tool].name,
		       want->from == SYMBOLS_IMAGE ? "not with --symbols image"
		       : why			   ? why
						   : "there are only those of its image");
}

int open_choose(const struct kernel *k, const struct open_want *want, struct open_choice *ret,
		struct err *err)
{
	auto_cleanup(open_choice) c = {0};
	auto_free char *why = NULL;
	bool by_gdb = want->tool == OPEN_GDB || want->gdb || want->pwndbg;
	int r = -ENOENT;

	for (enum open_tool t = OPEN_CRASH; r < 0 && !by_gdb && t <= OPEN_DRGN; t++) {
		struct err no = {0};

		if (want->tool && t != want->tool)
			continue;
		r = try_tool(t, k, &c, &no);
		if (r < 0 && want->tool)
			return err_set(err, -r, "%s", no.msg);
		if (r < 0)
			strv_add(&c.notes, no.msg);
	}
	if (r < 0)
		r = try_gdb(k, want, &c, err);
	if (r == 0)
		r = symbols_prepare(k, want->from, want->vmlinux, want->get, &c.symbols, &why, err);
	if (r < 0)
		return r;
	if (c.tool != OPEN_GDB && c.symbols.kind != SYMBOLS_FULL) {
		r = need_full(want, &c, why, err);
		if (want->tool)
			return r;
		strv_add(&c.notes, err->msg);
		*err = (struct err){0};
		free(take_ptr(c.program));
		c.version[0] = '\0';
		r = try_gdb(k, want, &c, err);
		if (r < 0)
			return r;
	} else if (why) {
		strv_addf(&c.notes, "%s: %s", c.symbols.what, why);
	}
	*ret = c;
	c = (struct open_choice){0};
	return 0;
}

/* NAME-KERNEL-ARCH-KEY, as kmod.h has it. */
static bool is_module_of(const char *name, const struct kernel *k)
{
	auto_free char *middle = str_printf("-%s-%s-", k->name, arch_name(k->arch));
	const char *found = strstr(name, middle);

	return found && strspn(found + strlen(middle), "0123456789abcdef") == 16 &&
	       !found[strlen(middle) + 16];
}

void open_modules(const struct kernel *k, struct strv *ret)
{
	auto_free char *dir = cache_dir("modules", NULL);
	auto_closedir DIR *d = dir ? opendir(dir) : NULL;

	for (const struct dirent *e; d && (e = readdir(d));)
		if (is_module_of(e->d_name, k))
			strv_take(ret, path_join(dir, e->d_name));
	if (ret->n)
		strv_sort(ret);
}

/* ---- the dump ---- */

int open_check(const char *path, const struct kernel *k, struct err *err)
{
	auto_vmcore v = NULL;
	auto_cleanup(buf) image = {0};
	auto_free char *id = NULL, *release = NULL, *ours = NULL;
	int r = vmcore_open(path, &v, err);

	if (r < 0)
		return r;
	if (vmcore_arch(v) != k->arch)
		return err_set(err, EBADMSG, "%s is of an %s machine, %s is a kernel for %s", path,
			       arch_name(vmcore_arch(v)), k->name, arch_name(k->arch));
	id = vmcoreinfo_string(vmcore_info(v), "BUILD-ID");
	release = vmcoreinfo_string(vmcore_info(v), "OSRELEASE");
	if (id && kernel_image_unpack(k->image, &image, NULL) == 0)
		kernel_image_build_id(&image, k->arch, &ours, NULL);
	if (ours ? str_eq(ours, id) : !release || !k->release || str_eq(release, k->release))
		return 0;
	return err_set(err, EBADMSG,
		       "%s is of another kernel: %s, build id %s; %s is %s, build id %s (--kernel "
		       "chooses)",
		       path, release ? release : "release not known", id ? id : "not known",
		       k->name, k->release ? k->release : k->version, ours ? ours : "not known");
}

/* Whether it is an ELF file that says where memory is for the kernel: gdb and drgn need that. */
static bool is_mapped_elf(const char *path)
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	Elf64_Ehdr e;
	Elf64_Phdr p;

	if (fd < 0 || pread(fd, &e, sizeof(e), 0) != sizeof(e) ||
	    memcmp(e.e_ident, ELFMAG, SELFMAG) != 0 || e.e_phentsize != sizeof(p))
		return false;
	for (int i = 0; i < e.e_phnum && i < HEADERS_MAX; i++) {
		if (pread(fd, &p, sizeof(p), e.e_phoff + i * sizeof(p)) != sizeof(p))
			return false;
		if (p.p_type == PT_LOAD && p.p_vaddr >> 63)
			return true;
	}
	return false;
}

bool open_reads(const char *vmcore, const struct open_choice *choice)
{
	return choice->fit.kdump || is_mapped_elf(vmcore);
}

/* A path to what fd is open for, which stays so when this process becomes another. */
static char *inherited(int fd)
{
	fcntl(fd, F_SETFD, 0);
	return str_printf("/proc/self/fd/%d", fd);
}

/* Those of who was killed before they were nameless. */
static void remove_stale(const char *dir)
{
	auto_closedir DIR *d = opendir(dir);

	for (const struct dirent *e; d && (e = readdir(d));) {
		char *end;
		long pid = strtol(e->d_name, &end, 10);

		if (pid > 0 && *end == '.' && kill(pid, 0) < 0 && errno == ESRCH)
			unlinkat(dirfd(d), e->d_name, 0);
	}
}

int open_prepare(const char *vmcore, const struct open_choice *choice, char **file, struct err *err)
{
	auto_free char *dir = NULL, *path = NULL;
	auto_vmcore v = NULL;
	int fd, r;

	if (open_reads(vmcore, choice)) {
		*file = xstrdup(vmcore);
		return 0;
	}
	dir = cache_dir("dumps", err);
	if (!dir)
		return -err->code;
	remove_stale(dir);
	path = str_printf("%s/%d.elf", dir, (int)getpid());
	r = vmcore_open(vmcore, &v, err);
	if (r == 0)
		r = vmcore_write_elf(v, path, err);
	if (r < 0)
		return r == -ENOSPC ? err_wrap(err,
					       "%s reads ELF only, and there is no room for "
					       "it in %s ($LAB_CACHE)",
					       tools[choice->tool].name, dir)
				    : r;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		r = err_errno(err, "%s", path);
	unlink(path);
	if (r == 0)
		*file = inherited(fd);
	return r;
}

/* ---- its command line ---- */

/* crash takes one file of commands: all scripts in one, and the end when nobody sits there. */
static int crash_commands(char *const *scripts, const char *modules, char **ret, struct err *err)
{
	auto_cleanup(buf) text = {0};
	auto_close int fd = -1;
	int r = 0;

	if (modules)
		buf_addf(&text, "mod -S %s > /dev/null\n", modules);
	for (; r == 0 && scripts && *scripts; scripts++) {
		r = io_read_file(AT_FDCWD, *scripts, SCRIPTS_MAX, &text, err);
		buf_adds(&text, "\n");
		if (!scripts[1])
			buf_adds(&text, "exit\n");
	}
	if (r < 0)
		return err_wrap(err, "-x");
	fd = memfd_create("crash-commands", MFD_CLOEXEC);
	if (fd < 0)
		return err_errno(err, "memfd_create");
	r = io_write_all(fd, text.data, text.len);
	if (r < 0)
		return err_set(err, -r, "write commands for crash");
	*ret = inherited(take_fd(fd));
	return 0;
}

static int crash_command(const struct open_choice *c, const struct open_want *want,
			 const char *file, bool show, struct strv *argv, struct err *err)
{
	bool batch = want->scripts && want->scripts[0];
	const char *modules = c->fit.options ? NULL : c->symbols.modules;
	auto_free char *commands = NULL;
	int r = 0;

	if (c->fit.options)
		strv_add(argv, c->fit.options);
	if (batch)
		strv_add(argv, "-s");
	if (show)
		for (size_t i = 0; batch && want->scripts[i]; i++) {
			strv_add(argv, "-i");
			strv_add(argv, want->scripts[i]);
		}
	else if (batch || modules)
		r = crash_commands(want->scripts, modules, &commands, err);
	if (commands) {
		strv_add(argv, "-i");
		strv_add(argv, commands);
	}
	strv_add(argv, c->symbols.vmlinux);
	strv_add(argv, file);
	return r;
}

static int drgn_command(const struct open_choice *c, const struct open_want *want, const char *file,
			struct strv *argv, struct err *err)
{
	auto_free char *home = home_dir(err);
	auto_free char *start = home ? path_join(home, "lab/drgn/start.py") : NULL;

	if (!start)
		return -err->code;
	if (access(start, R_OK) < 0)
		return err_errno(err, "lab's start of drgn: %s", start);
	strv_add(argv, "-q");
	strv_add(argv, "-c");
	strv_add(argv, file);
	strv_add(argv, "--no-default-symbols");
	strv_add(argv, "-s");
	strv_add(argv, c->symbols.vmlinux);
	strv_add(argv, start);
	strv_addf(argv, "--core=%s", file);
	if (c->symbols.modules)
		strv_addf(argv, "--modules=%s", c->symbols.modules);
	for (size_t i = 0; want->modules && want->modules[i]; i++)
		strv_addf(argv, "--modules=%s", want->modules[i]);
	for (size_t i = 0; want->scripts && want->scripts[i]; i++)
		strv_add(argv, want->scripts[i]);
	return 0;
}

static int gdb_core_command(const struct open_choice *c, const struct kernel *k,
			    const struct open_want *want, const char *file, struct strv *argv,
			    struct err *err)
{
	auto_free char *what = str_printf("%s %s", k->name, arch_name(k->arch));
	struct gdb_how how = {.pwndbg = want->pwndbg,
			      .batch = want->scripts && want->scripts[0],
			      .scripts = want->scripts,
			      .kernel = what,
			      .core = file,
			      .modules = want->modules};

	return gdb_command(c->program, k->arch, &c->symbols, &how, argv, err);
}

int open_command(const struct open_choice *choice, const struct kernel *kernel,
		 const struct open_want *want, const char *file, bool show, struct strv *argv,
		 struct err *err)
{
	if (choice->tool == OPEN_GDB)
		return gdb_core_command(choice, kernel, want, file, argv, err);
	strv_add(argv, choice->program);
	return choice->tool == OPEN_CRASH ? crash_command(choice, want, file, show, argv, err)
					  : drgn_command(choice, want, file, argv, err);
}
