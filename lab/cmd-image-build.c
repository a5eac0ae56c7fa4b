#include <stdio.h>

#include "lab/cmd-image-build.h"
#include "lab/guest/image.h"
#include "lab/progress.h"

static const struct opt options[] = {
	{'k', "kernel", "K", OPT_STRING, offsetof(struct image_build_args, kernel),
	 "kernel of the image (the default pin)"},
	{'a', "arch", "ARCH", OPT_STRING, offsetof(struct image_build_args, arch),
	 "amd64 or arm64 (this machine's)"},
	{'p', "package", "P[,P…]", OPT_STRV, offsetof(struct image_build_args, packages),
	 "packages that go into it"},
	{0, "offline", NULL, OPT_FLAG, offsetof(struct image_build_args, offline), "fetch nothing"},
};

const struct opt *image_build_options(size_t *n)
{
	*n = array_len(options);
	return options;
}

static int build(const struct image_build_args *args, struct progress *progress, struct image *ret,
		 struct err *err)
{
	int arch = cmd_arch(args->arch, err);
	auto_free char *default_name = NULL;
	auto_cleanup(kernel) kernel = {0};
	const struct kernel_want want = {.offline = args->offline,
					 .progress = progress_fetch,
					 .building = progress_build,
					 .data = progress};
	int r;

	if (arch < 0)
		return arch;
	r = kernel_default(&default_name, err);
	if (r == 0)
		r = kernel_resolve(args->kernel ? args->kernel : default_name, arch, &want, &kernel,
				   err);
	if (r < 0)
		return r;
	r = image_build(&kernel, &args->packages, args->offline, progress_fetch, progress, ret,
			err);
	return r == -ENOENT ? -EIO : r; /* a part of it is not there: no mistake of who asks */
}

int image_build_command(const struct image_build_args *args)
{
	struct run_events events;
	struct progress *progress = progress_start(false, &events);
	auto_cleanup(image) image = {0};
	struct err err = {0};
	int r = build(args, progress, &image, &err);

	progress_stop(progress);
	if (r < 0)
		return cmd_fail(cmd_exit_code(r), &err);
	printf("%s\n", image.initrd);
	if (image.disk)
		printf("%s\n", image.disk);
	return EXIT_MET;
}
