#include <dirent.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "jail/base/io.h"
#include "lab/cache.h"
#include "lab/cmd.h"
#include "lab/kbuild/kbuild.h"
#include "lab/kernel/built-meta.h"
#include "lab/kernel/kernel-debug.h"
#include "lab/kernel/kernel-headers.h"
#include "lab/kernel/kernel-pin.h"
#include "lab/kernel/kernel-store.h"

struct cache_args {
	int64_t age_ms;
	bool json;
};

static const struct opt options[] = {
	{0, "older", "TIME", OPT_MS, offsetof(struct cache_args, age_ms),
	 "prune: only what was not used for so long (24h; default: all)"},
	{0, "json", NULL, OPT_FLAG, offsetof(struct cache_args, json), "machine-readable output"},
};

static const struct cmd_usage usage = {
	"cache", "[options] [prune]",
	"What the cache holds. 'prune' removes what is made or fetched again when it is needed:\n"
	"guest images, downloaded packages, kernel sources, objects of kernel builds, modules, "
	"what\n"
	"is made for debuggers; and kernels that kernels.lock does not have (any more), or of "
	"which\n"
	"kernels.yml and the fragments make another one now. The other kernels, their debug "
	"packages\n"
	"and headers stay ('lab kernel rm NAME'), and so does what another lab is working on."};

enum prune {
	PRUNE_NOT,
	PRUNE_FILES,	/* NAME.deb while NAME.lock is not held */
	PRUNE_UNPINNED, /* the same, but not what pruning.keep names */
	PRUNE_BUILDS,	/* NAME-ARCH-KEY while NAME-ARCH.lock is not held; histories stay */
	PRUNE_INDEXES,	/* all, while pin.lock is not held */
};
static const struct part {
	const char *sub, *what;
	enum prune prune;
} parts[] = {
	{"kernels", "kernels, unpacked and built, their symbols and headers", PRUNE_UNPINNED},
	{"modules", "modules built for kernels", PRUNE_FILES},
	{"debs", "downloaded packages", PRUNE_FILES},
	{"sources", "kernel sources", PRUNE_FILES},
	{"builds", "objects of kernel builds", PRUNE_BUILDS},
	{"images", "guest images", PRUNE_FILES},
	{"symbols", "symbols of images", PRUNE_FILES},
	{"gdb-index", "gdb's indexes of symbols", PRUNE_FILES},
	{"apt", "indexes of suites", PRUNE_INDEXES},
	{"virt", "libvirt's own state", PRUNE_NOT},
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
			printf("  %-9s %8.1f MiB  %s\n", parts[i].sub, size / 1048576.0,
			       parts[i].what);
	}
	json_object_set_new(j, "path", json_string(base));
	if (json)
		json_dumpf(j, stdout, JSON_INDENT(2));
	else
		printf("  %-9s %8.1f MiB", "in all", sum / 1048576.0);
	putchar('\n');
	json_decref(j);
	return EXIT_MET;
}

/* The name that an entry's lock has, without ".lock". */
static char *lock_stem(const struct part *part, const char *name)
{
	static const char *const suffixes[] = {".lock", ".tmp",	     ".part", ".deb",
					       ".cpio", ".squashfs", ".tar",  ".log"};

	if (part->prune == PRUNE_INDEXES)
		return xstrdup("pin");
	if (part->prune == PRUNE_BUILDS && built_is_folder_name(name))
		return xstrndup(name, strrchr(name, '-') - name);
	for (size_t i = 0; i < array_len(suffixes); i++)
		if (str_ends(name, suffixes[i]))
			return xstrndup(name, strlen(name) - strlen(suffixes[i]));
	return xstrdup(name);
}

struct pruning {
	int64_t age_ms;
	struct strv keep;      /* folders of kernels that are wanted */
	struct timespec since; /* when that was asked */
	uint64_t freed;
};

static void pruning_deinit(struct pruning *p)
{
	strv_deinit(&p->keep);
}
DEFINE_CLEANUP(pruning, pruning_deinit)

static bool is_before(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec != b->tv_sec ? a->tv_sec < b->tv_sec : a->tv_nsec < b->tv_nsec;
}

/* Remove one entry, unless it is in use, or younger than asked for. */
static int prune_entry(struct pruning *p, const struct part *part, const char *dir,
		       const char *name, struct err *err)
{
	auto_free char *path = path_join(dir, name), *stem = lock_stem(part, name);
	auto_free char *lock_path = str_printf("%s/%s.lock", dir, stem);
	auto_close int lock = -1;
	struct stat st;
	int64_t age_ms;
	uint64_t size;
	int r;

	if (lstat(path, &st) < 0 || str_eq(path, lock_path) ||
	    (part->prune == PRUNE_UNPINNED &&
	     (strv_has(&p->keep, name) || !is_before(&st.st_ctim, &p->since))) ||
	    str_ends(name, ".history"))
		return 0;
	age_ms = (time(NULL) - (st.st_atime > st.st_mtime ? st.st_atime : st.st_mtime)) * 1000;
	/* what is just being written has a temporary name and no lock */
	if (age_ms < (str_starts(name, "tmp-") ? 3600000 : 0) || age_ms < p->age_ms)
		return 0;
	lock = io_lock_file(lock_path, IO_LOCK_TRY, err);
	if (lock == -EWOULDBLOCK)
		return 0;
	if (lock < 0)
		return lock;
	size = io_tree_size(path);
	r = cache_discard(path, err);
	if (r == 0)
		p->freed += size;
	unlink(lock_path);
	return r;
}

static int prune_part(struct pruning *p, const struct part *part, const char *base, struct err *err)
{
	auto_free char *dir = path_join(base, part->sub);
	auto_closedir DIR *d = part->prune == PRUNE_NOT ? NULL : opendir(dir);
	struct dirent *e;
	int r = 0;

	if (!d)
		return part->prune == PRUNE_NOT || errno == ENOENT ? 0 : err_errno(err, "%s", dir);
	while (r == 0 && (e = readdir(d)))
		if (e->d_name[0] != '.')
			r = prune_entry(p, part, dir, e->d_name, err);
	return r;
}

static int keep_built(void *data, const struct built *b, const char *dir, struct err *err)
{
	struct pruning *p = data;

	(void)err;
	if (kbuild_is_current(b))
		strv_add(&p->keep, strrchr(dir, '/') + 1);
	return 0;
}

static int prune(const char *base, int64_t age_ms, bool json)
{
	auto_cleanup(pruning) p = {.age_ms = age_ms};
	auto_cleanup(kernels_lock) lock = {0};
	struct err err = {0};
	int r = kernels_lock_load(&lock, &err);

	clock_gettime(CLOCK_REALTIME_COARSE, &p.since); /* as file systems have it */
	for (size_t i = 0; i < lock.n; i++) {
		strv_take(&p.keep, kernel_store_name(&lock.items[i]));
		strv_take(&p.keep, kernel_debug_name(&lock.items[i]));
		strv_take(&p.keep, kernel_headers_name(&lock.items[i]));
	}
	if (r == 0)
		r = built_each(keep_built, &p, &err);
	for (size_t i = 0; r == 0 && i < array_len(parts); i++)
		r = prune_part(&p, &parts[i], base, &err);
	if (r < 0)
		return cmd_fail(r == -EINVAL ? EXIT_USAGE : EXIT_LOST, &err);
	if (json)
		printf("{\"freed_bytes\": %llu}\n", (unsigned long long)p.freed);
	else
		printf("freed %.1f MiB\n", p.freed / 1048576.0);
	return EXIT_MET;
}

int cmd_cache(int argc, char **argv)
{
	struct cache_args a = {0};
	struct err err = {0};
	auto_free char *base = NULL;
	int operands,
		code = cmd_options(&usage, options, array_len(options), argc, argv, &a, &operands);

	if (code >= 0)
		return code;
	base = cache_dir(NULL, &err);
	if (!base)
		return cmd_fail(EXIT_USAGE, &err);
	if (operands == argc)
		return print_sizes(base, a.json);
	if (argc - operands == 1 && str_eq(argv[operands], "prune"))
		return prune(base, a.age_ms, a.json);
	err_set(&err, EINVAL, "unknown argument '%.60s' (there is 'prune')",
		argv[operands + str_eq(argv[operands], "prune")]);
	cmd_fail(EXIT_USAGE, &err);
	fprintf(stderr, "Try 'lab cache --help'.\n");
	return EXIT_USAGE;
}
