/*
 * vmcore-text KERNEL ARCH VMCORE - write vmcore.txt's text to standard output, as `lab run` does
 * for a cell, and the seconds that it took to standard error.
 */
#include <stdio.h>
#include <time.h>

#include "lab/symbols/symbols.h"
#include "lab/vmcore/summary.h"

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	const struct kernel_want want = {.offline = true};
	auto_cleanup(kernel) kernel = {0};
	auto_free char *vmlinux = NULL;
	auto_cleanup(summary_kernel) prepared = {0};
	auto_cleanup(buf) text = {0}, log = {0};
	struct err err = {0};
	double start;
	int arch, r;

	if (argc != 4 || (arch = arch_parse(argv[2])) < 0) {
		fprintf(stderr, "usage: vmcore-text KERNEL ARCH VMCORE\n");
		return 2;
	}
	r = kernel_resolve(argv[1], arch, &want, &kernel, &err);
	start = now();
	if (r == 0) {
		vmlinux = symbols_at_hand(&kernel);
		summary_prepare(&kernel, vmlinux, &prepared);
		r = summary_write(argv[3], &prepared, NULL, false, &log, &text, &err);
	}
	if (r < 0) {
		fprintf(stderr, "vmcore-text: %s\n", err.msg);
		return 3;
	}
	fprintf(stderr, "%.3f %s\n", now() - start, vmlinux ? "with lines" : "without lines");
	return fwrite(text.data, 1, text.len, stdout) == text.len ? 0 : 3;
}
