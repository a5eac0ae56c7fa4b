#include "lab/run/run.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "jail/base/io.h"
#include "lab/cache.h"
#include "lab/run/cell.h"
#include "lab/run/run-folder.h"

enum {
	JOBS_MAX = 64,
	JOBS_DEFAULT_MAX = 8,
	CONNECT_MS = 30000, /* for a daemon to answer */
	LOOK_MS = 100,	    /* how often an interrupt is looked for meanwhile */
};

/*
 * libvirt forks and allocates before it executes (virSysinfoReadDMI): AddressSanitizer's allocator
 * is not made for that while another thread allocates, and the child waits for ever (1 of 100).
 */
#ifdef __SANITIZE_ADDRESS__
enum { OPEN_ALONE = true };
#else
enum { OPEN_ALONE = false };
#endif

static volatile int cancelled;

void run_cancel(void)
{
	cancelled = 1;
}

bool run_cancelled(void)
{
	return cancelled;
}

const volatile int *run_cancel_flag(void)
{
	return &cancelled;
}

static void *open_virt(void *data)
{
	struct run *run = data;

	run->open_result = virt_open(run->options->connect, &run->virt, &run->open_err);
	return NULL;
}

/* libvirt has no way to give up a connection that is not answered: leave its thread behind. */
static bool join_opener(struct run *run)
{
	int64_t limit = io_now_ms() + CONNECT_MS;
	struct timespec look;

	for (;;) {
		clock_gettime(CLOCK_MONOTONIC, &look);
		look.tv_nsec += LOOK_MS * 1000000L;
		look.tv_sec += look.tv_nsec / 1000000000;
		look.tv_nsec %= 1000000000;
		if (pthread_clockjoin_np(run->opener, NULL, CLOCK_MONOTONIC, &look) == 0)
			return true;
		if (run->options->connect && (cancelled || io_now_ms() > limit))
			return false;
	}
}

int run_begin(const struct run_options *options, const struct run_events *events, struct run **ret,
	      struct err *err)
{
	struct run *run = xcalloc(1, sizeof(*run));
	int r;

	run->options = options;
	run->events = events;
	pthread_mutex_init(&run->lock, NULL);
	pthread_mutex_init(&run->build, NULL);
	dump_budget_init(&run->dumps, options->max_dump_bytes);
	for (int a = 0; a < ARCH_COUNT; a++)
		run->accel_result[a] = 1;
	r = pthread_create(&run->opener, NULL, open_virt, run);
	if (r) {
		free(run);
		return err_set(err, r, "start a thread: %s", strerror(r));
	}
	*ret = run;
	if (OPEN_ALONE)
		run->opened = join_opener(run);
	return 0;
}

static int wait_for_virt(struct run *run, struct err *err)
{
	if (!run->opened && !run->abandoned && !join_opener(run))
		run->abandoned = true;
	if (run->abandoned)
		return err_set(err, ETIMEDOUT, "%s does not answer", run->options->connect);
	run->opened = true;
	if (run->open_result < 0)
		*err = run->open_err;
	return run->open_result;
}

void run_end(struct run *run)
{
	struct err ignored;

	if (!run)
		return;
	if (wait_for_virt(run, &ignored) == 0)
		virt_close(run->virt);
	if (run->abandoned)
		return;
	for (int a = 0; a < ARCH_COUNT; a++)
		accel_deinit(&run->accel[a]);
	pthread_mutex_destroy(&run->lock);
	pthread_mutex_destroy(&run->build);
	dump_budget_deinit(&run->dumps);
	free(run);
}

static void fail_run(struct run *run, const struct err *err)
{
	pthread_mutex_lock(&run->lock);
	if (!run->failed) {
		run->failed = -err->code;
		run->failure = *err;
	}
	pthread_mutex_unlock(&run->lock);
}

static void run_cell(struct worker *w)
{
	auto_free char *dir = path_join(w->run->dir, w->cell->dir);
	auto_free char *path = path_join(dir, "result.json");
	auto_cleanup(result) result = cell_result(w->cell);
	struct err err = {0};
	json_t *j;
	int r = io_mkdirs(dir, 0755, &err), written;

	if (r == 0)
		r = cell_run(w, dir, &result);
	if (r == -ECANCELED)
		return;
	j = result_json(&result);
	written = json_write_file(AT_FDCWD, path, j, r < 0 ? NULL : &err);
	json_decref(j);
	if (r == 0)
		r = written;
	if (r == -ENOSPC)
		err_set(&err, ENOSPC,
			"no space left below %s: the run stops, what was collected stays",
			w->run->dir);
	if (r < 0) {
		fail_run(w->run, &err);
		return;
	}
	pthread_mutex_lock(&w->run->lock);
	w->run->events->done(w->run->events->data, w->cell, &result);
	pthread_mutex_unlock(&w->run->lock);
}

static void *work(void *data)
{
	struct worker *w = data;
	struct run *run = w->run;

	for (;;) {
		pthread_mutex_lock(&run->lock);
		w->cell = NULL;
		if (!cancelled && !run->failed && run->next < run->plan->n)
			w->cell = &run->plan->cells[run->next++];
		pthread_mutex_unlock(&run->lock);
		if (!w->cell)
			break;
		run_cell(w);
		cell_dump_deinit(&w->dump);
	}
	worker_phase(w, "");
	return NULL;
}

/* --- the run --- */

static unsigned int job_count(const struct run *run)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	size_t jobs = run->options->jobs;

	if (!jobs)
		jobs = processors < 1		       ? 1
		       : processors > JOBS_DEFAULT_MAX ? JOBS_DEFAULT_MAX
						       : processors;
	if (jobs > JOBS_MAX)
		jobs = JOBS_MAX;
	return jobs < run->plan->n ? jobs : run->plan->n;
}

static void run_workers(struct run *run)
{
	struct worker workers[JOBS_MAX];
	unsigned int n = job_count(run), started = 1;

	for (unsigned int i = 0; i < n; i++)
		workers[i] = (struct worker){.run = run, .slot = i};
	while (started < n &&
	       pthread_create(&workers[started].thread, NULL, work, &workers[started]) == 0)
		started++;
	if (n)
		work(&workers[0]);
	for (unsigned int i = 1; i < started; i++)
		pthread_join(workers[i].thread, NULL);
}

static bool needs_machines(const struct plan *plan)
{
	for (size_t i = 0; i < plan->n; i++)
		if (!plan->cells[i].skip)
			return true;
	return false;
}

static bool uses(const struct plan *plan, enum arch arch)
{
	for (size_t i = 0; i < plan->n; i++)
		if (!plan->cells[i].skip && plan->cells[i].kernel->arch == arch)
			return true;
	return false;
}

/* What every machine of an architecture needs: said once here, not by each cell. */
static int check_host(const struct run *run, enum arch arch, struct err *err)
{
	auto_free char *agent = NULL, *jail = NULL, *why = NULL;
	int r = virt_check_arch(run->virt, arch, err);
	bool cached;

	if (r < 0)
		return r;
	agent = home_guest_program(arch_name(arch), "agent", err);
	jail = agent ? home_guest_program(arch_name(arch), "jail", err) : NULL;
	if (!jail)
		return -err->code;
	if (run->options->accel != ACCEL_KVM)
		return 0;
	why = accel_why_not(arch, &cached);
	return why ? err_set(err, ENOTSUP, "no KVM for %s guests: %s", arch_name(arch), why) : 0;
}

/* Images, wrappers and what libvirt learned of QEMU are kept there. */
static int check_cache(struct err *err)
{
	auto_free char *dir = cache_dir("images", err);

	if (!dir)
		return -err->code;
	if (access(dir, W_OK) < 0)
		return err_errno(err, "the cache (LAB_CACHE names another folder): write to %s",
				 dir);
	return 0;
}

static int check_needs(struct run *run, const struct plan *plan, struct err *err)
{
	int r = wait_for_virt(run, err);

	if (r == 0)
		r = check_cache(err);
	for (int a = 0; r == 0 && a < ARCH_COUNT; a++)
		if (uses(plan, a))
			r = check_host(run, a, err);
	return r;
}

int run_execute(struct run *run, const struct plan *plan, char *const *command, char **dir,
		struct err *err)
{
	struct run_facts facts = {.state = "running", .command = command, .wall_ms = -1};
	int64_t start_ms = io_now_ms();
	auto_free char *folder = NULL;
	time_t now = time(NULL);
	struct tm tm;
	char started[32];
	int r;

	gmtime_r(&now, &tm);
	strftime(started, sizeof(started), "%Y-%m-%dT%H:%M:%SZ", &tm);
	facts.started = started;
	run->plan = plan;
	if (needs_machines(plan)) {
		r = check_needs(run, plan, err);
		if (r < 0)
			return r;
		facts.machines = virt_describe(run->virt);
	}
	r = run_folder_create(run->options->out, &folder, err);
	if (r < 0)
		return r;
	run->dir = *dir = take_ptr(folder);
	r = run_folder_write(run->dir, plan, &facts, err);
	if (r < 0)
		return r;
	run_workers(run);
	for (int a = 0; a < ARCH_COUNT; a++)
		facts.accelerators[a] = run->accel[a].why;
	facts.state = run->failed ? "stopped" : cancelled ? "interrupted" : "done";
	facts.wall_ms = io_now_ms() - start_ms;
	r = run_folder_write(run->dir, plan, &facts, run->failed ? NULL : err);
	if (run->failed) {
		*err = run->failure;
		return run->failed;
	}
	return r;
}
