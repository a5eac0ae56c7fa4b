#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

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
	"  pin      look for the newest packages of vm/packages.yml, with what they need, and "
	"write\n"
	"           vm/packages.lock\n"
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

static int verb_list(const struct image_build_args *args __attribute__((unused)))
{
	struct err err = {0};
	auto_free char *path = cache_dir("images", &err);
	auto_closedir DIR *d = path ? opendir(path) : NULL;
	struct dirent *e;

	if (!d)
		return cmd_fail(EXIT_LOST, &err);
	while ((e = readdir(d))) {
		struct stat st;

		if (e->d_name[0] != '.' &&
		    fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			printf("%-70s %7.1f MiB\n", e->d_name, st.st_blocks / 2048.0);
	}
	return EXIT_MET;
}

static int verb_rm(const struct image_build_args *args __attribute__((unused)))
{
	struct err err = {0};
	auto_free char *path = cache_dir("images", &err);

	if (!path || io_remove_tree(AT_FDCWD, path, &err) < 0)
		return cmd_fail(EXIT_LOST, &err);
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
	struct err err = {0};
	size_t n;
	const struct opt *options = image_build_options(&n);
	int at, r = cmd_options(&usage, options, n, argc, argv, &args, &at);

	if (r >= 0)
		return r;
	for (size_t i = 0; at + 1 == argc && i < array_len(verbs); i++)
		if (str_eq(argv[at], verbs[i].name))
			return verbs[i].fn(&args);
	err_set(&err, EINVAL, "one of list, build, pin or rm is needed");
	cmd_fail(EXIT_USAGE, &err);
	fprintf(stderr, "Try 'lab image --help'.\n");
	return EXIT_USAGE;
}
