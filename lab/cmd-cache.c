#include <dirent.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include "jail/base/io.h"
#include "lab/cache.h"
#include "lab/cmd.h"

struct cache_args {
	int64_t age_ms;
	bool json;
};

static const struct opt options[] = {
	{0, "older", "TIME", OPT_MS, offsetof(struct cache_args, age_ms),
	 "prune: only what was not used for so long (24h; default: all images and packages)"},
	{0, "json", NULL, OPT_FLAG, offsetof(struct cache_args, json), "machine-readable sizes"},
};

static const struct cmd_usage usage = {
	"cache", "[options] [prune]",
	"What the cache holds. 'prune' removes guest images and downloaded packages: the former "
	"are\n"
	"built again, the latter fetched again when needed. Kernels stay ('lab kernel rm NAME')."};

static const struct {
	const char *sub, *what;
	bool prunable;
} parts[] = {
	{"kernels", "unpacked kernels", false}, {"debs", "downloaded packages", true},
	{"images", "guest images", true},	{"apt", "indexes of suites", true},
	{"virt", "libvirt's own state", false},
};

static int print_sizes(const char *base, bool json)
{
	json_t *j = json_object();
	uint64_t sum = 0;

	if (!json)
		printf("%s\n", base);
	for (size_t i = 0; i < array_len(parts); i++) {
		auto_free char *dir = path_join(base, parts[i].sub);
		uint64_t size = io_tree_size(dir);

		sum += size;
		json_object_set_new(j, parts[i].sub, json_integer(size));
		if (!json)
			printf("  %-8s %8.1f MiB  %s\n", parts[i].sub, size / 1048576.0,
			       parts[i].what);
	}
	json_object_set_new(j, "path", json_string(base));
	if (json)
		json_dumpf(j, stdout, JSON_INDENT(2));
	else
		printf("  %-8s %8.1f MiB", "in all", sum / 1048576.0);
	putchar('\n');
	json_decref(j);
	return EXIT_MET;
}

/* Remove the entries of dir whose last use is at least age_ms ago; adds what that freed. */
static int prune_dir(const char *dir, int64_t age_ms, uint64_t *freed, struct err *err)
{
	auto_closedir DIR *d = opendir(dir);
	struct dirent *e;

	if (!d)
		return errno == ENOENT ? 0 : err_errno(err, "%s", dir);
	while ((e = readdir(d))) {
		auto_free char *path = path_join(dir, e->d_name);
		struct stat st;
		uint64_t size;
		time_t used;
		int r;

		if (e->d_name[0] == '.' || lstat(path, &st) < 0)
			continue;
		used = st.st_atime > st.st_mtime ? st.st_atime : st.st_mtime;
		if ((int64_t)(time(NULL) - used) * 1000 < age_ms)
			continue;
		size = io_tree_size(path);
		r = io_remove_tree(AT_FDCWD, path, err);
		if (r < 0)
			return r;
		*freed += size;
	}
	return 0;
}

int cmd_cache(int argc, char **argv)
{
	struct cache_args a = {0};
	struct err err = {0};
	auto_free char *base = NULL;
	uint64_t freed = 0;
	int operands,
		code = cmd_options(&usage, options, array_len(options), argc, argv, &a, &operands);

	if (code >= 0)
		return code;
	base = cache_dir(NULL, &err);
	if (!base)
		return cmd_fail(EXIT_USAGE, &err);
	if (operands == argc)
		return print_sizes(base, a.json);
	if (argc - operands > 1 || !str_eq(argv[operands], "prune")) {
		err_set(&err, EINVAL, "unknown argument '%.60s' (there is 'prune')",
			argv[operands]);
		return cmd_fail(EXIT_USAGE, &err);
	}
	for (size_t i = 0; i < array_len(parts); i++) {
		auto_free char *dir = path_join(base, parts[i].sub);

		if (parts[i].prunable && prune_dir(dir, a.age_ms, &freed, &err) < 0)
			return cmd_fail(EXIT_LOST, &err);
	}
	printf("freed %.1f MiB\n", freed / 1048576.0);
	return EXIT_MET;
}
