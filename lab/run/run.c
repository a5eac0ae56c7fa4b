#include "lab/run/run.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "jail/base/io.h"
#include "lab/cache.h"
#include "lab/machine/machine.h"
#include "lab/replay/record.h"
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

struct run {
	const struct run_options *options;
	const struct run_events *events;
	const struct plan *plan;
	const char *dir;

	pthread_t opener; /* connects to libvirt */
	bool opened;	  /* opener was joined, or */
	bool abandoned;	  /* given up: it may still write to what follows */
	struct virt *virt;
	struct err open_err;
	int open_result;

	pthread_mutex_t lock;  /* events, next, failed, failure */
	pthread_mutex_t build; /* one image or accelerator probe at a time */
	size_t next;	       /* cell to take */
	int failed;	       /* the host failed: nothing more is started; negative errno */
	struct err failure;
	struct accel accel[ARCH_COUNT];
	int accel_result[ARCH_COUNT]; /* 1: not asked yet */
	struct err accel_err[ARCH_COUNT];
};

struct worker {
	struct run *run;
	unsigned int slot;
	const struct cell *cell;
	pthread_t thread;
};

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
	free(run);
}

/* --- one cell --- */

static void tell_fetch(void *data, const char *what, uint64_t done, uint64_t total)
{
	struct run *run = data;

	pthread_mutex_lock(&run->lock);
	run->events->fetch(run->events->data, what, done, total);
	pthread_mutex_unlock(&run->lock);
}

static void tell_phase(void *data, const char *what)
{
	struct worker *w = data;

	pthread_mutex_lock(&w->run->lock);
	w->run->events->phase(w->run->events->data, w->slot, w->cell, what);
	pthread_mutex_unlock(&w->run->lock);
}

/* The accelerator of an architecture: asked for once, by the first cell that needs it. */
static int accelerator(struct run *run, const struct kernel *k, const struct image *image,
		       struct err *err)
{
	enum arch a = k->arch;

	if (run->accel_result[a] == 1) {
		run->accel_result[a] = accel_choose(run->virt, run->options->accel, k, image,
						    &cancelled, &run->accel[a], &run->accel_err[a]);
		if (run->accel_result[a] == 0) {
			pthread_mutex_lock(&run->lock);
			run->events->accel(run->events->data, a, run->accel[a].why);
			pthread_mutex_unlock(&run->lock);
		}
	}
	if (run->accel_result[a] < 0)
		*err = run->accel_err[a];
	return run->accel_result[a];
}

static int prepare(struct worker *w, struct image *image, struct err *err)
{
	struct run *run = w->run;
	const struct cell *c = w->cell;
	int r;

	pthread_mutex_lock(&run->build);
	r = image_build(c->kernel, &c->scenario->packages, run->options->offline, tell_fetch, run,
			image, err);
	if (r == 0) {
		r = accelerator(run, c->kernel, image, err);
		if (r < 0)
			image_deinit(image);
	}
	pthread_mutex_unlock(&run->build);
	return r;
}

/* What the guest executes: the scenario's command, under jail when it asks for that. */
static void command_line(const struct scenario *s, struct strv *argv)
{
	if (s->jailed) {
		strv_add(argv, "/usr/bin/jail");
		for (size_t i = 0; i < s->jail_args.n; i++)
			strv_add(argv, s->jail_args.items[i]);
		strv_add(argv, "--");
	}
	for (size_t i = 0; i < s->argv.n; i++)
		strv_add(argv, s->argv.items[i]);
}

static int boot_and_run(struct worker *w, const char *dir, const struct image *image,
			struct outcome *outcome, struct err *err)
{
	const struct scenario *s = w->cell->scenario;
	const char *slash = strrchr(s->path, '/');
	auto_free char *folder = slash ? xstrndup(s->path, slash - s->path) : xstrdup(".");
	auto_free struct job_file *files = xcalloc(s->files.n, sizeof(*files));
	auto_free char *name =
		str_printf("lab-%d-%zu", (int)getpid(), w->cell - w->run->plan->cells);
	auto_cleanup(strv) argv = {0}, paths = {0};
	struct job job = {
		.name = name,
		.what = s->name,
		.kernel = w->cell->kernel,
		.image = image,
		.kvm = w->run->accel[w->cell->kernel->arch].kvm,
		.memory_mib = s->memory_mib,
		.cpus = 1,
		.env = s->env.items,
		.files = files,
		.n_files = s->files.n,
		.artefacts = s->artefacts.items,
		.trace = s->trace,
		.timeout_ms =
			w->run->options->timeout_ms ? w->run->options->timeout_ms : s->timeout_ms,
		.boot_timeout_ms = w->run->options->boot_timeout_ms,
		.phase = tell_phase,
		.data = w,
		.debug = w->run->options->debug,
		.nokaslr = w->run->options->nokaslr,
		.dump = w->run->options->dump,
		.cancel = &cancelled,
	};

	command_line(s, &argv);
	job.argv = argv.items;
	for (size_t i = 0; i < s->files.n; i++) {
		strv_take(&paths, path_join(folder, s->files.items[i]));
		files[i] = (struct job_file){.path = paths.items[i], .name = s->files.items[i]};
	}
	if (w->run->options->record)
		return record_run(&job, virt_run_dir(w->run->virt), dir, outcome, err);
	return machine_run(w->run->virt, &job, dir, outcome, err);
}

static void judge(const struct expect *e, const char *dir, struct outcome *o, struct result *result)
{
	auto_cleanup(cell_texts) t = {0};
	auto_cleanup(judgement) j = {0};
	struct err err = {0};

	if (run_folder_read_cell(dir, e, &t, &err) < 0) {
		result->verdict = VERDICT_LOST;
		strv_add(&result->reasons, err.msg);
		return;
	}
	verdict_judge(e, o, (struct evidence_text){t.out.data, t.out.len},
		      (struct evidence_text){t.err.data, t.err.len},
		      (struct evidence_text){t.console.data, t.console.len}, t.files, t.n_files,
		      &j);
	result->verdict = j.verdict;
	result->reasons = j.reasons;
	j.reasons = (struct strv){0};
	result->crash_title = take_ptr(j.crash_title);
}

/* The guest tells of artefacts that are not there; that files of the expectation are, is judged. */
static bool is_judged(const char *note, const struct expect *e)
{
	for (size_t i = 0; e && i < e->n_files; i++) {
		auto_free char *said = str_printf("artefact %s: ", e->files[i].path);

		if (strstr(note, said))
			return true;
	}
	return false;
}

static void keep_outcome(struct result *r, const struct expect *e, struct outcome *o)
{
	free(r->ending);
	r->ending = xstrdup(ending_name(o->ending));
	r->exit_code = o->exit_code;
	r->signal = o->signal;
	r->out = o->out;
	r->err = o->err;
	r->trace = o->trace;
	r->console = o->console;
	r->boot_ms = o->boot_ms;
	r->run_ms = o->run_ms;
	r->total_ms = o->total_ms;
	if (o->release) {
		free(r->release);
		r->release = take_ptr(o->release);
	}
	for (size_t i = 0; i < o->notes.n; i++)
		if (!is_judged(o->notes.items[i], e))
			strv_add(&r->notes, o->notes.items[i]);
}

static struct result new_result(const struct cell *c)
{
	return (struct result){
		.scenario = xstrdup(c->scenario->name),
		.path = xstrdup(c->scenario->path),
		.kernel = xstrdup(c->kernel->name),
		.version = xstrdup(c->kernel->version),
		.release = xstrdup(c->kernel->release),
		.arch = c->kernel->arch,
		.repeat = c->repeat,
		.dir = xstrdup(c->dir),
		.accelerator = xstrdup(""),
		.verdict = VERDICT_LOST,
		.ending = xstrdup("not started"),
		.exit_code = -1,
		.boot_ms = -1,
		.run_ms = -1,
		.total_ms = -1,
	};
}

/* Fill *result; returns -ENOSPC when the host has no room, -ECANCELED when the run was cancelled.
 */
static int run_cell(struct worker *w, const char *dir, struct result *result)
{
	const struct cell *c = w->cell;
	const struct expect *expect;
	auto_cleanup(image) image = {0};
	auto_cleanup(outcome) o = {.exit_code = -1, .boot_ms = -1, .run_ms = -1, .total_ms = -1};
	struct err err = {0};
	int r;

	if (c->skip) {
		result->verdict = VERDICT_SKIP;
		free(result->ending);
		result->ending = xstrdup("skipped");
		strv_add(&result->reasons, c->skip);
		return 0;
	}
	tell_phase(w, "preparing");
	r = prepare(w, &image, &err);
	if (r == 0) {
		free(result->accelerator);
		result->accelerator = xstrdup(w->run->accel[c->kernel->arch].why);
		result->image = xstrdup(image.sha256);
		r = boot_and_run(w, dir, &image, &o, &err);
	}
	if (cancelled)
		return -ECANCELED;
	if (r < 0) {
		strv_add(&result->reasons, err.msg);
		return r == -ENOSPC || r == -EDQUOT ? -ENOSPC : 0;
	}
	expect = scenario_expectation(c->scenario, &c->kernel->kver, c->kernel->arch);
	keep_outcome(result, expect, &o);
	judge(expect, dir, &o, result);
	return 0;
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

static void finish_cell(struct worker *w)
{
	auto_free char *dir = path_join(w->run->dir, w->cell->dir);
	auto_free char *path = path_join(dir, "result.json");
	auto_cleanup(result) result = new_result(w->cell);
	struct err err = {0};
	json_t *j;
	int r = io_mkdirs(dir, 0755, &err), written;

	if (r == 0)
		r = run_cell(w, dir, &result);
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
		finish_cell(w);
	}
	tell_phase(w, "");
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
