#include "lab/run/cell.h"

#include <string.h>

#include "jail/base/io.h"
#include "lab/kbuild/kmod.h"
#include "lab/machine/machine.h"
#include "lab/replay/record.h"
#include "lab/run/cell-dump.h"
#include "lab/run/plan.h"
#include "lab/run/run-folder.h"
#include "lab/scenario/scenario-load.h"

static void tell_fetch(void *data, const char *what, uint64_t done, uint64_t total)
{
	struct run *run = data;

	pthread_mutex_lock(&run->lock);
	run->events->fetch(run->events->data, what, done, total);
	pthread_mutex_unlock(&run->lock);
}

void worker_phase(void *data, const char *what)
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
		run->accel_result[a] =
			accel_choose(run->virt, run->options->accel, k, image, run_cancel_flag(),
				     &run->accel[a], &run->accel_err[a]);
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

/*
 * Build the modules that the scenario names; the paths of what came of them. -ENOTSUP: they cannot
 * be built for this kernel.
 */
static int prepare_modules(struct worker *w, struct strv *paths, struct err *err)
{
	const struct scenario *s = w->cell->scenario;
	const struct kernel_want want = {.offline = w->run->options->offline,
					 .progress = tell_fetch,
					 .data = w->run,
					 .cancel = run_cancel_flag()};
	int r = 0;

	pthread_mutex_lock(&w->run->build);
	for (size_t i = 0; r == 0 && i < s->modules.n; i++) {
		auto_free char *dir = scenario_module_dir(s, s->modules.items[i], err);
		auto_cleanup(kmod) m = {0};

		r = dir ? kmod_build(dir, w->cell->kernel, &want, &m, err) : -err->code;
		for (size_t k = 0; k < m.files.n; k++)
			strv_take(paths, path_join(m.dir, m.files.items[k]));
	}
	pthread_mutex_unlock(&w->run->build);
	return r;
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

static void judge(const struct worker *w, const struct expect *e, const char *dir,
		  const struct outcome *o, struct result *result)
{
	auto_cleanup(cell_texts) t = {0};
	auto_cleanup(judgement) j = {0};
	struct judge_rules rules = {
		.warnings_note = w->cell->scenario->warnings_note,
		.known = w->run->options->known,
		.kernel = w->cell->kernel->kver,
		.arch = w->cell->kernel->arch,
	};
	struct err err = {0};

	if (run_folder_read_cell(dir, e, &t, &err) < 0) {
		result->verdict = VERDICT_LOST;
		strv_add(&result->reasons, err.msg);
		return;
	}
	verdict_judge(e, &rules, o, (struct evidence_text){t.out.data, t.out.len},
		      (struct evidence_text){t.err.data, t.err.len},
		      (struct evidence_text){t.console.data, t.console.len}, t.files, t.n_files,
		      &j);
	result->verdict = j.verdict;
	result->reasons = j.reasons;
	j.reasons = (struct strv){0};
	for (size_t i = 0; i < j.notes.n; i++)
		strv_add(&result->notes, j.notes.items[i]);
	result->crash = j.crash;
	j.crash = (struct crash){0};
}

/* What --dump-on calls a job that has ended, while its machine is still there. */
static enum dump_on fate(void *data, const struct outcome *o)
{
	const struct worker *w = data;
	const struct cell *c = w->cell;
	const struct expect *e = plan_expectation(c->scenario, c->kernel);
	auto_free char *dir = path_join(w->run->dir, c->dir);
	auto_cleanup(result) r = {0};

	judge(w, e, dir, o, &r);
	if (r.verdict == VERDICT_CRASH || (e && e->crash.n && r.crash.title))
		return DUMP_ON_CRASH;
	if (r.verdict == VERDICT_HANG || o->ending == END_TIMEOUT)
		return DUMP_ON_HANG;
	return r.verdict == VERDICT_PASS ? DUMP_ON_PASS : DUMP_ON_FAIL;
}

static void on_dumping(void *data)
{
	struct worker *w = data;

	cell_dump_begin(&w->dump);
}

static void on_dumped(void *data, const struct outcome *o)
{
	struct worker *w = data;

	cell_dump_ready(&w->dump, o);
}

static int boot_and_run(struct worker *w, const char *dir, const struct image *image,
			const struct strv *modules, struct outcome *outcome, struct err *err)
{
	const struct scenario *s = w->cell->scenario;
	const char *slash = strrchr(s->path, '/');
	auto_free char *folder = slash ? xstrndup(s->path, slash - s->path) : xstrdup(".");
	auto_free struct job_file *files = xcalloc(s->files.n + modules->n, sizeof(*files));
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
		.n_files = s->files.n + modules->n,
		.artefacts = s->artefacts.items,
		.trace = s->trace,
		.timeout_ms =
			w->run->options->timeout_ms ? w->run->options->timeout_ms : s->timeout_ms,
		.boot_timeout_ms = w->run->options->boot_timeout_ms,
		.phase = worker_phase,
		.data = w,
		.debug = w->run->options->debug,
		.nokaslr = w->run->options->nokaslr,
		.dump = {.form = w->run->options->dump,
			 .on = w->run->options->dump_on,
			 .budget = &w->run->dumps},
		.judge = fate,
		.dumping = on_dumping,
		.dumped = on_dumped,
		.oops_continue = s->oops_continue,
		.cancel = run_cancel_flag(),
	};

	command_line(s, &argv);
	job.argv = argv.items;
	for (size_t i = 0; i < s->files.n; i++) {
		strv_take(&paths, path_join(folder, s->files.items[i]));
		files[i] = (struct job_file){.path = paths.items[i], .name = s->files.items[i]};
	}
	for (size_t i = 0; i < modules->n; i++)
		files[s->files.n + i] = (struct job_file){
			.path = modules->items[i], .name = strrchr(modules->items[i], '/') + 1};
	if (w->run->options->record)
		return record_run(&job, virt_run_dir(w->run->virt), dir, outcome, err);
	return machine_run(w->run->virt, &job, dir, outcome, err);
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
	r->dump = o->dump;
	o->dump = (struct dump_done){0};
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

struct result cell_result(const struct cell *c)
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

static int skip(struct result *result, const char *why)
{
	result->verdict = VERDICT_SKIP;
	free(result->ending);
	result->ending = xstrdup("skipped");
	strv_add(&result->reasons, why);
	return 0;
}

int cell_run(struct worker *w, const char *dir, struct result *result)
{
	const struct cell *c = w->cell;
	const struct expect *expect;
	auto_cleanup(image) image = {0};
	auto_cleanup(strv) modules = {0};
	auto_cleanup(outcome) o = {.exit_code = -1, .boot_ms = -1, .run_ms = -1, .total_ms = -1};
	struct err err = {0};
	int r;

	if (c->skip)
		return skip(result, c->skip);
	worker_phase(w, "preparing");
	r = prepare_modules(w, &modules, &err);
	if (r == -ENOTSUP)
		return skip(result, err.msg);
	if (r == 0)
		r = prepare(w, &image, &err);
	if (r == 0) {
		free(result->accelerator);
		result->accelerator = xstrdup(w->run->accel[c->kernel->arch].why);
		result->image = xstrdup(image.sha256);
		w->dump = (struct cell_dump){.kernel = c->kernel, .dir = dir};
		r = boot_and_run(w, dir, &image, &modules, &o, &err);
		cell_dump_finish(&w->dump, &o);
	}
	if (run_cancelled())
		return -ECANCELED;
	if (r < 0) {
		strv_add(&result->reasons, err.msg);
		return r == -ENOSPC || r == -EDQUOT ? -ENOSPC : 0;
	}
	expect = plan_expectation(c->scenario, c->kernel);
	keep_outcome(result, expect, &o);
	judge(w, expect, dir, &o, result);
	result->end_ms = o.ended ? io_now_ms() - o.ended : -1;
	return 0;
}
