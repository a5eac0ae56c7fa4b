/*
 * Tarballs of kernel sources: whatever is in one, nothing appears outside of its folder, no link in
 * what is accepted leads out of it, and an error has a text. The same bytes as a Makefile.
 */
#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "jail/base/io.h"
#include "lab/kbuild/source-parts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { FILE_MAX = 4 << 20 }; /* a few bytes of input can be a file of 4 GiB */

struct input {
	const uint8_t *data;
	size_t left;
};

static ssize_t take(void *data, void *to, size_t len, struct err *err)
{
	struct input *in = data;
	size_t n = in->left < len ? in->left : len;

	(void)err;
	memcpy(to, in->data, n);
	in->data += n;
	in->left -= n;
	return n;
}

/* Every link below fd leads nowhere or to what is below root. */
static void check_below(int root, const char *path)
{
	int fd = openat(root, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fdopendir(fd);
	struct dirent *e;

	assert(d);
	while ((e = readdir(d))) {
		auto_free char *name = str_printf("%s/%s", path, e->d_name);
		struct stat st;

		if (str_eq(e->d_name, ".") || str_eq(e->d_name, ".."))
			continue;
		assert(fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0);
		assert(S_ISREG(st.st_mode) || S_ISDIR(st.st_mode) || S_ISLNK(st.st_mode));
		assert(!(st.st_mode & 07000));
		if (S_ISDIR(st.st_mode))
			check_below(root, name);
		if (S_ISLNK(st.st_mode)) {
			auto_close int to = io_open_beneath(root, name, O_PATH, 0, true);

			assert(to >= 0 || errno != EXDEV);
		}
	}
	closedir(d);
}

/* There is one entry in the folder, and that is "in". */
static void check_alone(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	assert(d);
	while ((e = readdir(d)))
		assert(e->d_name[0] == '.' || str_eq(e->d_name, "in"));
	closedir(d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const struct source_place place = {0};
	char in_memory[] = "/dev/shm/fuzz-source-XXXXXX", on_disk[] = "/tmp/fuzz-source-XXXXXX";
	char *dir = mkdtemp(in_memory); /* a disk is 30 times slower */
	auto_free char *in = NULL, *top = NULL, *version = NULL;
	struct input input = {data, len};
	const struct source_stream stream = {
		.name = "fuzz", .size = len, .read = take, .data = &input};
	struct err err = {0};
	int r;

	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &(struct rlimit){FILE_MAX, RLIM_INFINITY});
	dir = dir ? dir : mkdtemp(on_disk);
	assert(dir);
	in = path_join(dir, "in");
	assert(mkdir(in, 0700) == 0);
	r = source_unpack_stream(&stream, &place, in, &top, &err);
	assert(r <= 0 && (r == 0) == (top != NULL) && err.code == -r && !err.msg[0] == !r);
	check_alone(dir);
	if (r == 0) {
		auto_close int root = open(top, O_PATH | O_DIRECTORY | O_CLOEXEC);

		assert(str_starts(top, in));
		check_below(root, ".");
	}
	assert(io_remove_tree(AT_FDCWD, dir, NULL) == 0);
	r = source_version_parse((const char *)data, len, &version, NULL);
	assert(r == 0 ? path_is_inside(version) : r == -EINVAL);
	return 0;
}
