#include "lab/cache.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "jail/base/io.h"
#include "jail/base/yaml.h"

char *cache_dir(const char *sub, struct err *err)
{
	const char *lab = getenv("LAB_CACHE"), *xdg = getenv("XDG_CACHE_HOME"),
		   *home = getenv("HOME");
	auto_free char *base = NULL;
	char *dir;

	if (lab && *lab)
		base = xstrdup(lab);
	else if (xdg && *xdg)
		base = path_join(xdg, "jail-lab");
	else if (home && *home)
		base = path_join(home, ".cache/jail-lab");
	if (!base || base[0] != '/') {
		err_set(err, EINVAL,
			"no folder for the cache: set LAB_CACHE (an absolute path) or HOME");
		return NULL;
	}
	dir = sub ? path_join(base, sub) : xstrdup(base);
	if (io_mkdirs(dir, 0755, err) < 0) {
		err_wrap(err, "the cache (LAB_CACHE names another folder)");
		free(dir);
		return NULL;
	}
	return dir;
}

char *cache_temporary(const char *path, struct err *err)
{
	const char *slash = strrchr(path, '/');
	char *tmp = str_printf("%.*s/tmp-%s.XXXXXX", (int)(slash - path), path, slash + 1);

	if (mkdtemp(tmp) && chmod(tmp, 0755) == 0)
		return tmp;
	err_errno(err, "create %s", tmp);
	free(tmp);
	return NULL;
}

int cache_discard(const char *path, struct err *err)
{
	auto_free char *tmp = NULL;

	if (unlink(path) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR)
		return err_errno(err, "remove %s", path);
	tmp = cache_temporary(path, err);
	if (!tmp)
		return err ? -err->code : -EIO;
	/* a folder may be renamed onto an empty one; another process may have been first */
	if (rename(path, tmp) < 0 && errno != ENOENT) {
		int r = err_errno(err, "rename %s", path);

		rmdir(tmp);
		return r;
	}
	return io_remove_tree(AT_FDCWD, tmp, err);
}

/* The folder of the running program, symlinks resolved; NULL on failure. */
static char *program_dir(struct err *err)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	if (n < 0) {
		err_errno(err, "/proc/self/exe");
		return NULL;
	}
	path[n] = '\0';
	*strrchr(path, '/') = '\0';
	return xstrdup(path);
}

char *home_dir(struct err *err)
{
	static const char *const beside[] = {"../share/jail-lab", "../.."};
	const char *home = getenv("LAB_HOME");
	auto_free char *dir = NULL;

	if (home && *home)
		return xstrdup(home);
	dir = program_dir(err);
	if (!dir)
		return NULL;
	for (size_t i = 0; i < array_len(beside); i++) {
		auto_free char *candidate = path_join(dir, beside[i]);
		auto_free char *mark = path_join(candidate, "kernel-config/kernels.yml");
		char *real;

		if (!io_exists(mark))
			continue;
		real = realpath(candidate, NULL);
		if (real)
			return real;
	}
	err_set(err, ENOENT,
		"the project's files (kernel-config/, vm/) are not beside %s: set LAB_HOME to the "
		"folder that holds them",
		dir);
	return NULL;
}

int home_read(const char *name, struct buf *out, char **path, struct err *err)
{
	auto_free char *home = home_dir(err);

	if (!home)
		return err ? -err->code : -ENOENT;
	*path = path_join(home, name);
	return io_read_file(AT_FDCWD, *path, YAML_MAX_BYTES, out, err);
}

char *home_guest_program(const char *arch, const char *name, struct err *err)
{
	auto_free char *home = home_dir(err);
	auto_free char *dir = home ? program_dir(err) : NULL;
	auto_free char *installed = NULL, *built = NULL;

	if (!dir)
		return NULL;
	built = str_printf("%s/../guest/%s/%s", dir, arch, name);
	if (io_exists(built))
		return take_ptr(built);
	installed = str_printf("%s/guest/%s/%s", home, arch, name);
	if (io_exists(installed))
		return take_ptr(installed);
	err_set(err, ENOENT, "the guest program '%s' for %s is not built: run 'make guest'", name,
		arch);
	return NULL;
}
