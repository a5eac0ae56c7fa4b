/*
 * replay - feeds a fuzz target every file of the folders given, whole and cut short at every length
 * (up to CUT_MAX): the corpus as a plain test, without a fuzzer. Prints TAP, one line per folder.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "jail/base/io.h"

enum { INPUT_MAX = 4 << 20, CUT_MAX = 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* In memory of exactly that size, so that a sanitizer sees the first byte read too many. */
static void feed(const void *data, size_t len)
{
	auto_free uint8_t *exact = xmalloc(len);

	memcpy(exact, data, len);
	LLVMFuzzerTestOneInput(exact, len);
}

static int feed_file(const char *path, struct err *err)
{
	auto_cleanup(buf) data = {0};
	int r = io_read_file(AT_FDCWD, path, INPUT_MAX, &data, err);

	if (r < 0)
		return r;
	/* what a crash is blamed on: the last line printed */
	printf("# %s, %zu bytes\n", path, data.len);
	fflush(stdout);
	feed(data.data, data.len);
	for (size_t cut = 0; cut < data.len && cut < CUT_MAX; cut++)
		feed(data.data, cut);
	return 0;
}

static int feed_folder(const char *dir, struct err *err)
{
	auto_closedir DIR *d = opendir(dir);
	auto_cleanup(strv) names = {0};
	struct dirent *e;
	int r;

	if (!d)
		return err_errno(err, "%s", dir);
	while ((e = readdir(d)))
		if (e->d_name[0] != '.')
			strv_take(&names, path_join(dir, e->d_name));
	strv_sort(&names);
	for (size_t i = 0; i < names.n; i++) {
		r = feed_file(names.items[i], err);
		if (r < 0)
			return r;
	}
	return names.n ? 0 : err_set(err, ENOENT, "%s is empty", dir);
}

int main(int argc, char **argv)
{
	int failed = argc < 2;

	printf("1..%d\n", argc - 1);
	for (int i = 1; i < argc; i++) {
		struct err err = {0};
		int r = feed_folder(argv[i], &err);

		if (r < 0)
			printf("# %s\n", err.msg);
		printf("%sok %d - every input of %s\n", r < 0 ? "not " : "", i, argv[i]);
		failed |= r < 0;
	}
	return failed;
}
