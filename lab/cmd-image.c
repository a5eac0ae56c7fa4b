#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "jail/base/io.h"
#include "lab/cache.h"
#include "lab/cmd-image-build.h"
#include "lab/cmd.h"
#include "lab/kernel/kernel-pin.h"
#include "lab/progress.h"

static const struct cmd_usage usage = {
	"image",
	"[options] list | build | pin | rm",
	"What a guest's root is made of:\n"
	"  list     the images in the cache\n"
	"  build    build the image of a kernel when it is not there, and print its path\n"
	"  pin      look for the newest packages of vm/packages.yml, with what they need,\n"
	"           and write vm/packages.lock\n"
	"  rm       remove all images from the cache; they are built again when needed",
};

static int verb_pin(const struct image_build_args *args __attribute__((unused)))
{
	struct run_events events;
	struct progress *progress = progress_start(false, &events);
	struct err err = {0};
	size_t n;
	int r = packages_pin(progress_fetch, progress, &n, &err);

	progress_stop(progress);
	if (r < 0)
		return cmd_fail(r == -EINVAL ? EXIT_USAGE : EXIT_LOST, &err);
	printf("%zu packages pinned in vm/packages.lock\n", n);
	return EXIT_MET;
}

/* The images in the cache, by name; what another lab is just writing is not one. */
static int find_images(char **dir, struct strv *names, struct err *err)
{
	auto_closedir DIR *d = NULL;
	struct dirent *e;

	*dir = cache_dir("images", err);
	d = *dir ? opendir(*dir) : NULL;
	if (!d)
		return *dir ? err_errno(err, "%s", *dir) : -err->code;
	while ((e = readdir(d)))
		if (e->d_name[0] != '.' && !str_starts(e->d_name, "tmp-"))
			strv_add(names, e->d_name);
	strv_sort(names);
	return 0;
}

static int verb_list(const struct image_build_args *args __attribute__((unused)))
{
	auto_cleanup(strv) names = {0};
	auto_free char *dir = NULL;
	struct err err = {0};

	if (find_images(&dir, &names, &err) < 0)
		return cmd_fail(EXIT_LOST, &err);
	for (size_t i = 0; i < names.n; i++) {
		auto_free char *path = path_join(dir, names.items[i]);

		printf("%7.1f MiB  %s\n", io_tree_size(path) / 1048576.0, path);
	}
	return EXIT_MET;
}

static int verb_rm(const struct image_build_args *args __attribute__((unused)))
{
	auto_cleanup(strv) names = {0};
	auto_free char *dir = NULL;
	struct err err = {0};
	uint64_t freed = 0;
	int r = find_images(&dir, &names, &err);

	for (size_t i = 0; r == 0 && i < names.n; i++) {
		auto_free char *path = path_join(dir, names.items[i]);

		freed += io_tree_size(path);
		r = io_remove_tree(AT_FDCWD, path, &err);
	}
	if (r < 0)
		return cmd_fail(EXIT_LOST, &err);
	printf("%zu image%s removed from the cache (%.1f MiB)\n", names.n, names.n == 1 ? "" : "s",
	       freed / 1048576.0);
	return EXIT_MET;
}

int cmd_image(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*fn)(const struct image_build_args *args);
	} verbs[] = {
		{"list", verb_list},
		{"build", image_build_command},
		{"pin", verb_pin},
		{"rm", verb_rm},
	};
	struct image_build_args args = {0};
	size_t n;
	const struct opt *options = image_build_options(&n);
	int at, r = cmd_options(&usage, options, n, argc, argv, &args, &at);

	if (r >= 0)
		return r;
	for (size_t i = 0; at + 1 == argc && i < array_len(verbs); i++)
		if (str_eq(argv[at], verbs[i].name))
			return verbs[i].fn(&args);
	if (at == argc)
		return cmd_misused(&usage, "say what to do: list, build, pin or rm");
	return cmd_misused(&usage, "unknown argument '%.60s': list, build, pin or rm, alone",
			   argv[argc - 1]);
}
