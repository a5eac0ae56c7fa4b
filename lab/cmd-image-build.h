/*
 * cmd-image-build.h - "lab image build": the image of a kernel, built when it is not there, and its
 * path.
 */
#ifndef LAB_CMD_IMAGE_BUILD_H
#define LAB_CMD_IMAGE_BUILD_H

#include "lab/cmd.h"

struct image_build_args {
	const char *kernel, *arch;
	struct strv packages;
	bool offline;
};

const struct opt *image_build_options(size_t *n);
/* Returns the exit code; the path is on stdout. */
int image_build_command(const struct image_build_args *args);

#endif
