/*
 * filter-cost - what a filter of system calls costs.
 *
 *   filter-cost wait TOKEN              stay, to be looked at
 *   filter-cost dump PID                the filter of a process, as bytes (root)
 *   filter-cost steps FILE NR ARG...    instructions that a call runs through, and its value
 *   filter-cost measure ROUNDS FILE... -- CALL...
 *                                       nanoseconds of a call, without a filter and under each;
 *                                       CALL is NAME=NR,ARG,..; an ARG may be "zero", a descriptor
 *                                       of /dev/zero, or "buf", an address
 *
 * Static, and without libraries: it also runs in containers that hold nothing else.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "jail/filter/simulate.h"

#ifndef PTRACE_SECCOMP_GET_FILTER
#define PTRACE_SECCOMP_GET_FILTER 0x420c
#endif

enum { CALLS_MAX = 16, FILTERS_MAX = 8, BATCHES = 20, BATCH = 1000 };

static int zero = -1;
static char buf[64];

struct call {
	const char *name;
	long nr;
	uint64_t args[6];
};

static int fail(const char *what)
{
	perror(what);
	return 1;
}

static uint64_t parse_arg(const char *text)
{
	if (strcmp(text, "zero") == 0)
		return (uint64_t)zero;
	if (strcmp(text, "buf") == 0)
		return (uint64_t)(uintptr_t)buf;
	return strtoull(text, NULL, 0);
}

static void parse_call(char *text, struct call *ret)
{
	char *next = strchr(text, '=');

	*ret = (struct call){.name = text};
	if (!next)
		exit(2);
	*next++ = '\0';
	ret->nr = strtol(next, &next, 0);
	for (int i = 0; i < 6 && *next == ','; i++) {
		char arg[32];
		size_t len = strcspn(++next, ",");

		snprintf(arg, sizeof(arg), "%.*s", (int)len, next);
		ret->args[i] = parse_arg(arg);
		next += len;
	}
}

static int read_filter(const char *path, struct filter *ret)
{
	FILE *f = fopen(path, "re");

	if (!f)
		return -1;
	ret->insns = calloc(BPF_MAXINSNS, sizeof(*ret->insns));
	ret->n = fread(ret->insns, sizeof(*ret->insns), BPF_MAXINSNS, f);
	fclose(f);
	return ret->n ? 0 : -1;
}

/* --- the filter of a process ------------------------------------------------------------------ */

static int dump(pid_t pid)
{
	static struct sock_filter insns[BPF_MAXINSNS];
	long n;

	if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) < 0)
		return fail("ptrace");
	ptrace(PTRACE_INTERRUPT, pid, NULL, NULL);
	waitpid(pid, NULL, __WALL);
	n = ptrace(PTRACE_SECCOMP_GET_FILTER, pid, NULL, insns);
	if (n < 0)
		return fail("PTRACE_SECCOMP_GET_FILTER");
	fwrite(insns, sizeof(*insns), (size_t)n, stdout);
	return fflush(stdout) < 0;
}

static int steps(const char *path, int argc, char **argv)
{
	struct filter filter = {0};
	struct seccomp_data data = {.arch = filter_audit_arch(arch_native())};
	unsigned int n;
	uint32_t value;

	if (read_filter(path, &filter) < 0 || filter_check(&filter, NULL) < 0)
		return fail(path);
	data.nr = (int)strtol(argv[0], NULL, 0);
	for (int i = 0; i + 1 < argc && i < 6; i++)
		data.args[i] = parse_arg(argv[i + 1]);
	value = filter_simulate(&filter, &data, &n);
	printf("%u 0x%" PRIx32 " %zu\n", n, value, filter.n);
	return 0;
}

/* --- time ------------------------------------------------------------------------------------- */

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* The best of short batches: what else runs on the machine only adds. */
static double time_call(const struct call *c)
{
	const uint64_t *a = c->args;
	double best = 0;

	for (int batch = 0; batch < BATCHES; batch++) {
		double start = now_ns(), each;

		for (int i = 0; i < BATCH; i++)
			syscall(c->nr, a[0], a[1], a[2], a[3], a[4], a[5]);
		each = (now_ns() - start) / BATCH;
		if (batch == 0 || each < best)
			best = each;
	}
	return best;
}

/* All calls in a child of its own, under the filter; times by a pipe. */
static int one_round(const struct filter *filter, const struct call *calls, int n, double *ret)
{
	const struct sock_fprog program = {(unsigned short)filter->n, filter->insns};
	int fds[2], status;
	ssize_t got;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -1;
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		if (filter->n && syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
			_exit(1);
		for (int i = 0; i < n; i++)
			ret[i] = time_call(&calls[i]);
		if (write(fds[1], ret, (size_t)n * sizeof(*ret)) < 0)
			_exit(1);
		_exit(0);
	}
	close(fds[1]);
	got = read(fds[0], ret, (size_t)n * sizeof(*ret));
	close(fds[0]);
	waitpid(pid, &status, 0);
	return got == (ssize_t)((size_t)n * sizeof(*ret)) && status == 0 ? 0 : -1;
}

/* The best of all rounds, in which everybody takes a turn. */
static int measure(int argc, char **argv)
{
	static struct filter filters[FILTERS_MAX];
	static struct call calls[CALLS_MAX];
	static double best[FILTERS_MAX][CALLS_MAX];
	int n_filters = 1, n_calls = 0, rounds = atoi(argv[0]), i = 1;

	for (; i < argc && strcmp(argv[i], "--") != 0 && n_filters < FILTERS_MAX; i++)
		if (read_filter(argv[i], &filters[n_filters++]) < 0)
			return fail(argv[i]);
	for (i++; i < argc && n_calls < CALLS_MAX; i++)
		parse_call(argv[i], &calls[n_calls++]);
	for (int r = 0; r < rounds; r++)
		for (int f = 0; f < n_filters; f++) {
			double times[CALLS_MAX];

			if (one_round(&filters[f], calls, n_calls, times) < 0)
				return fail("measure");
			for (int c = 0; c < n_calls; c++)
				if (r == 0 || times[c] < best[f][c])
					best[f][c] = times[c];
		}
	for (int c = 0; c < n_calls; c++) {
		printf("%s", calls[c].name);
		for (int f = 0; f < n_filters; f++)
			printf(" %.2f", best[f][c]);
		printf("\n");
	}
	return 0;
}

int main(int argc, char **argv)
{
	zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	if (argc == 3 && strcmp(argv[1], "wait") == 0)
		for (;;)
			pause();
	if (argc == 3 && strcmp(argv[1], "dump") == 0)
		return dump((pid_t)atoi(argv[2]));
	if (argc >= 4 && strcmp(argv[1], "steps") == 0)
		return steps(argv[2], argc - 3, argv + 3);
	if (argc >= 5 && strcmp(argv[1], "measure") == 0)
		return measure(argc - 2, argv + 2);
	fprintf(stderr, "usage: filter-cost wait|dump|steps|measure ...\n");
	return 2;
}
