#include "lab/kbuild/install.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "jail/base/io.h"
#include "lab/kernel/kernel-tree.h"

enum { COPY_CHUNK = 1 << 20, DEPTH_MAX = 8 };

static int copy_failed(const char *to, struct err *err)
{
	if (errno == ENOSPC || errno == EDQUOT)
		return err_set(err, ENOSPC,
			       "no space left to install the kernel (%s): free some ('lab cache "
			       "prune'), and the same command goes on where it was",
			       to);
	return err_errno(err, "write %s", to);
}

/* Where copy_file_range(2) does not go: between file systems, some kernels. */
static int copy_by_hand(int in, int out, const char *from, const char *to, struct err *err)
{
	auto_free char *chunk = xmalloc(COPY_CHUNK);
	ssize_t n;

	while ((n = read(in, chunk, COPY_CHUNK)) > 0) {
		int r = io_write_all(out, chunk, n);

		if (r < 0) {
			errno = -r;
			return copy_failed(to, err);
		}
	}
	return n < 0 ? err_errno(err, "read %s", from) : 0;
}

/* Links are followed: those of scripts/gdb lead into the source. */
static int copy(const char *from, const char *to, struct err *err)
{
	auto_close int in = open(from, O_RDONLY | O_CLOEXEC), out = -1;
	ssize_t n;

	if (in < 0)
		return err_errno(err, "%s", from);
	out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (out < 0)
		return copy_failed(to, err);
	do
		n = copy_file_range(in, NULL, out, NULL, COPY_CHUNK, 0);
	while (n > 0);
	if (n < 0 && (errno == EXDEV || errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP))
		return copy_by_hand(in, out, from, to, err); /* it has not begun: from the start */
	return n < 0 ? copy_failed(to, err) : 0;
}

static int copy_at(const char *from_dir, const char *from, const char *to_dir, const char *to,
		   struct err *err)
{
	auto_free char *a = path_join(from_dir, from), *b = path_join(to_dir, to);

	return copy(a, b, err);
}

/* The *.py below from, in the same folders below to. */
static int copy_scripts(const char *from, const char *to, int depth, struct err *err)
{
	auto_closedir DIR *d = opendir(from);
	struct dirent *e;
	struct stat st;
	int r = d ? io_mkdirs(to, 0755, err) : err_errno(err, "%s", from);

	while (r == 0 && (e = readdir(d))) {
		auto_free char *a = path_join(from, e->d_name), *b = path_join(to, e->d_name);

		if (e->d_name[0] == '.' || stat(a, &st) < 0)
			continue;
		if (S_ISDIR(st.st_mode) && depth < DEPTH_MAX)
			r = copy_scripts(a, b, depth + 1, err);
		else if (S_ISREG(st.st_mode) && str_ends(e->d_name, ".py"))
			r = copy(a, b, err);
	}
	return r;
}

static int modules_install(const struct make_run *run, const struct strv *command,
			   const char *stage, bool strip, struct err *err)
{
	auto_cleanup(strv) argv = {0};
	struct make_run install = *run;

	for (size_t i = 0; i < command->n; i++)
		strv_add(&argv, command->items[i]);
	strv_add(&argv, "modules_install");
	strv_addf(&argv, "INSTALL_MOD_PATH=%s", stage);
	/* modules.dep is made of the modules' own lists (modules.h) */
	strv_add(&argv, "DEPMOD=true");
	if (strip)
		strv_add(&argv, "INSTALL_MOD_STRIP=1");
	install.argv = argv.items;
	install.line = NULL;
	return make_run(&install, err);
}

/* vmlinux-gdb.py looks for scripts/gdb beside itself. Modules are in gdb/modules/lib/modules/… */
static int install_gdb(const struct make_run *run, const struct strv *command, bool modules,
		       const char *stage, struct err *err)
{
	auto_free char *from = path_join(run->obj, "scripts/gdb"), *gdb = path_join(stage, "gdb");
	auto_free char *to = path_join(gdb, "scripts/gdb"), *whole = path_join(gdb, "modules");
	int r = copy_scripts(from, to, 0, err);

	if (r == 0)
		r = copy_at(run->obj, "vmlinux-gdb.py", gdb, "vmlinux-gdb.py", err);
	if (r == 0 && modules)
		r = modules_install(run, command, whole, false, err);
	return r;
}

/* For modules that are built later; what exports nothing to modules has none. */
static int install_symvers(const char *obj, const char *stage, struct err *err)
{
	auto_free char *path = path_join(obj, "Module.symvers");

	return io_exists(path) ? copy_at(obj, "Module.symvers", stage, "Module.symvers", err) : 0;
}

int install_stage(const struct make_run *run, const struct strv *command, enum arch arch,
		  const struct kconfig *config, const char *stage, struct err *err)
{
	bool modules = str_eq(kconfig_get(config, "MODULES"), "y");
	bool gdb = str_eq(kconfig_get(config, "GDB_SCRIPTS"), "y");
	int r = copy_at(run->obj, kernel_tree_image_name(arch), stage, "image", err);

	if (r == 0)
		r = copy_at(run->obj, ".config", stage, "config", err);
	if (r == 0)
		r = copy_at(run->obj, "vmlinux", stage, "vmlinux", err);
	if (r == 0 && modules)
		r = install_symvers(run->obj, stage, err);
	if (r == 0 && modules)
		r = modules_install(run, command, stage, true, err);
	if (r == 0 && gdb)
		r = install_gdb(run, command, modules, stage, err);
	return r;
}
