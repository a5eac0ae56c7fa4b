/*
 * titles MIB FILE... - name the reports in a log of MIB mebibytes, which the files are repeated to
 * fill, and print the seconds of processor time it took, and how many reports there were.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "jail/base/io.h"
#include "lab/crash/crash.h"

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	auto_cleanup(crashes) found = {0};
	auto_cleanup(buf) once = {0}, log = {0};
	size_t size = argc > 2 ? (size_t)atoi(argv[1]) << 20 : 0;
	struct err err = {0};
	double start;

	for (int i = 2; i < argc && err.code == 0; i++) {
		auto_cleanup(buf) text = {0};

		if (io_read_file(AT_FDCWD, argv[i], 1 << 20, &text, &err) == 0)
			buf_add(&once, text.data, text.len);
	}
	if (!once.len || err.code) {
		fprintf(stderr, "titles: %s\n", err.code ? err.msg : "usage: titles MIB FILE...");
		return 2;
	}
	buf_reserve(&log, size + once.len);
	while (log.len < size)
		buf_add(&log, once.data, once.len);
	start = now();
	crashes_find(log.data, log.len, true, &found);
	printf("%.4f %zu\n", now() - start, found.n);
	return 0;
}
