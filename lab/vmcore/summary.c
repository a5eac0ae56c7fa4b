/* summary.c - vmcore.txt: the first screen says what died and where; the log is last. */
#include "lab/vmcore/summary.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "lab/crash/crash.h"
#include "lab/vmcore/summary-task.h"
#include "lab/vmcore/vmcore-log.h"

enum {
	LOG_MAX = 8 << 20,
	FRAMES = 64, /* of the one that panicked */
	FRAMES_CPU = 16,
	REPORT_LINES = 100,
	FRAMES_D = 24,
	D_MAX = 64,
	TITLE_MAX = 400,
	NODES_MAX = 64,
	ZONES_MAX = 8,
};

struct report {
	struct summary s;
	struct vmcore *v;
	const char *path;
	const struct kernel *kernel;
	const struct buf *log;
	size_t lost;
	struct err why_no_log, why_no_kernel, why_no_tasks;
	struct crashes crashes;
	struct crash *hang; /* NULL: it did not */
	bool answers;
	const struct ktask *task; /* that panicked, or is to blame; NULL: not known */
	bool is_gone;		  /* the kernel ended who caused the crash: this one */
	int gone_pid;
	char gone[KTASK_COMM];
};

static void add_text(struct buf *out, const char *text, size_t len, size_t max)
{
	str_printable(out, text, len, max, false);
}

/* ---- header ---- */

static void add_dump(const struct report *r)
{
	struct buf *out = r->s.out;
	auto_close int fd = open(r->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char magic[8] = "", when[32] = "";
	struct stat st;
	struct tm tm;

	if (fd < 0 || fstat(fd, &st) < 0 || pread(fd, magic, sizeof(magic), 0) < 4)
		return;
	if (gmtime_r(&st.st_mtime, &tm))
		strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm);
	buf_addf(out, "dump        %s, %.1f MiB, of %s UTC\n",
		 memcmp(magic, "\177ELF", 4) == 0 ? "ELF" : "kdump", st.st_size / 1048576.0, when);
}

/* Where its symbol is not known, the log begins with it. */
static void add_banner(const struct report *r)
{
	static const char start[] = "Linux version ";
	const char *text =
		r->log->len ? memmem(r->log->data, r->log->len, start, strlen(start)) : NULL;
	char banner[512];
	uint64_t at;

	if (kstate_symbol(r->s.k, "linux_banner", &at) &&
	    vmcore_read_string(r->v, at, banner, sizeof(banner)) >= 0 && banner[0])
		text = banner;
	if (!text)
		return;
	buf_adds(r->s.out, "version     ");
	add_text(r->s.out, text, strcspn(text, "\n"), sizeof(banner));
	buf_adds(r->s.out, "\n");
}

/* The stamp of the log's last line. */
static void add_uptime(const struct report *r)
{
	const char *line = NULL, *end;

	for (const char *at = r->log->data; at && *at; at = end ? end + 1 : NULL) {
		end = strchr(at, '\n');
		if (*at == '[')
			line = at + 1;
	}
	if (!line)
		return;
	line += strspn(line, " ");
	buf_addf(r->s.out, "uptime      %.*s s, at the log's last line\n",
		 (int)strspn(line, "0123456789."), line);
}

/* Pages that the kernel manages, and those of them that are free. */
static bool count_node(const struct kstate *k, uint64_t node, uint64_t *managed, uint64_t *free_)
{
	uint32_t zones, size, each, stat;
	uint64_t n, pages;
	int64_t i;

	if (ktypes_member(k->types, "pglist_data", "node_zones", &zones, &size) < 0 ||
	    ktypes_size(k->types, "zone", &each) < 0 ||
	    ktypes_member(k->types, "zone", "vm_stat", &stat, &size) < 0 ||
	    ktypes_enumerator(k->types, "NR_FREE_PAGES", &i) < 0 || i < 0 || i * 8 >= size ||
	    kstate_member(k, node, "pglist_data", "nr_zones", &n) < 0)
		return false;
	for (uint64_t z = 0; z < n && z < ZONES_MAX; z++) {
		uint64_t zone = node + zones + z * each;

		if (kstate_member(k, zone, "zone", "managed_pages.counter", &pages) == 0)
			*managed += pages;
		if (vmcore_read_u64(k->v, zone + stat + i * 8, &pages) == 0)
			*free_ += pages;
	}
	return true;
}

static bool count_memory(const struct kstate *k, uint64_t *managed, uint64_t *free_)
{
	uint64_t at, node;
	bool found = false;

	if (kstate_symbol(k, "contig_page_data", &at))
		return count_node(k, at, managed, free_);
	if (!kstate_symbol(k, "node_data", &at))
		return false;
	for (size_t i = 0; i < NODES_MAX && vmcore_read_u64(k->v, at + i * 8, &node) == 0 && node;
	     i++)
		found |= count_node(k, node, managed, free_);
	return found;
}

static void add_memory(const struct report *r)
{
	uint64_t managed = 0, free_ = 0, all = 0;
	const struct vmcore_range *ranges;
	size_t n;

	ranges = vmcore_ranges(r->v, &n);
	for (size_t i = 0; i < n; i++)
		all += ranges[i].len;
	buf_addf(r->s.out, "memory      %.1f MiB", all / 1048576.0);
	/* 4 KiB each: vmcore.h reads no other */
	if (r->s.k && count_memory(r->s.k, &managed, &free_))
		buf_addf(r->s.out, ", the kernel has %.1f MiB of it, of which %.1f MiB are free",
			 managed / 256.0, free_ / 256.0);
	else
		buf_adds(r->s.out, ", how much of it is free is not known");
	buf_adds(r->s.out, "\n");
}

static void add_header(const struct report *r)
{
	const struct kstate *k = r->s.k;
	struct buf *out = r->s.out;

	buf_addf(out, "kernel      %s, %s",
		 r->kernel->release ? r->kernel->release : r->kernel->name,
		 arch_name(r->kernel->arch));
	if (k && k->build_id)
		buf_addf(out, ", build id %s", k->build_id);
	buf_adds(out, "\n");
	if (k)
		add_banner(r);
	add_dump(r);
	if (k)
		buf_addf(out, "slide       0x%" PRIx64 ", code from 0x%" PRIx64 " on\n", k->slide,
			 k->text.start);
	add_uptime(r);
	buf_addf(out, "CPUs        %zu\n", vmcore_cpus(r->v));
	add_memory(r);
	if (!k)
		buf_addf(out, "symbols     none: %s\n", r->why_no_kernel.msg);
}

/* ---- what happened ---- */

/* The text of a line "[    1.234567][   T12] text"; NULL: it has another form. */
static const char *text_of(const char *line, const char *end)
{
	const char *stamp = line < end && *line == '[' ? memchr(line, ']', end - line) : NULL;
	const char *caller = stamp ? memchr(stamp + 1, ']', end - stamp - 1) : NULL;

	return caller && end - caller >= 2 ? caller + 2 : NULL;
}

/* The text of the last panic: user space can write the same words, but not as a line's first. */
static void add_panic(const struct report *r)
{
	static const char panic[] = "Kernel panic - not syncing: ";
	const char *end, *last = NULL;

	if (!r->log->len)
		return;
	end = r->log->data + r->log->len;
	for (const char *line = r->log->data, *next; line < end; line = next) {
		const char *newline = memchr(line, '\n', end - line);
		const char *text = text_of(line, newline ? newline : end);

		next = newline ? newline + 1 : end;
		if (text && (size_t)(next - text) > strlen(panic) && str_starts(text, panic))
			last = text + strlen(panic);
	}
	if (!last)
		return;
	buf_adds(r->s.out, "panic       ");
	add_text(r->s.out, last, strcspn(last, "\n"), TITLE_MAX);
	buf_adds(r->s.out, "\n");
}

static void add_task(const struct report *r)
{
	struct buf *out = r->s.out;

	buf_adds(out, "task        ");
	if (r->is_gone) {
		buf_addf(out, "%s, pid %d: the kernel ended it, and nothing is left of it\n",
			 r->gone, r->gone_pid);
	} else if (r->task) {
		summary_task(&r->s, r->task);
		buf_adds(out, "\n");
		summary_task_confinement(&r->s, r->task);
	} else {
		buf_addf(out, "not known%s%s\n", r->why_no_tasks.code ? ": " : "",
			 r->why_no_tasks.msg);
	}
}

static void add_crash(const struct report *r)
{
	const struct crash *crash = crashes_main(&r->crashes);
	struct buf *out = r->s.out;

	if (r->hang && r->hang->title &&
	    (!crash || (str_eq(crash->type, CRASH_TYPE_HANG) && !crash->guilty)))
		crash = r->hang;
	buf_adds(out, "\ncrash       ");
	if (crash) {
		add_text(out, crash->title, strlen(crash->title), TITLE_MAX);
		buf_addf(out, " (%s)\n", crash->type);
	} else {
		buf_adds(out, r->log->len ? "no report is in the log\n" : "not known\n");
	}
	add_panic(r);
	add_task(r);
	/* what ran when it was written is not on a stack any more */
	if (crash && crash != r->hang && !crash->fatal) {
		const char *text = r->log->data + crash->offset;
		size_t len = 0, lines = 0;

		while (len < crash->len && lines < REPORT_LINES)
			lines += text[len++] == '\n';
		buf_adds(out, "\nreport (of the log)\n");
		str_printable(out, text, len, LOG_MAX, true);
		if (len && text[len - 1] != '\n')
			buf_adds(out, "\n");
	}
}

static void add_backtrace(const struct report *r)
{
	struct buf *out = r->s.out;

	if (r->task && !r->is_gone) {
		buf_addf(out, "\nbacktrace of %s, pid %d\n", r->task->comm, r->task->pid);
		summary_backtrace(&r->s, r->task, FRAMES);
	} else if (!r->task && r->s.k && vmcore_cpus(r->v)) {
		buf_adds(out, "\nbacktrace of CPU 0\n");
		summary_backtrace_cpu(&r->s, vmcore_cpu(r->v, 0), FRAMES);
	}
}

static void add_registers(const struct report *r, const struct vmcore_cpu *cpu)
{
	enum { A_LINE = 3 };
	int width = 4;

	for (size_t i = 0; i < cpu->n; i++)
		if ((int)strlen(cpu->regs[i].name) > width)
			width = (int)strlen(cpu->regs[i].name);
	for (size_t i = 0; i < cpu->n; i++)
		buf_addf(r->s.out, "%s%*s %016" PRIx64, i % A_LINE || !i ? " " : "\n ", width,
			 cpu->regs[i].name, cpu->regs[i].value);
	buf_adds(r->s.out, "\n");
}

static void add_cpus(const struct report *r)
{
	struct buf *out = r->s.out;

	for (size_t i = 0; i < vmcore_cpus(r->v); i++) {
		const struct vmcore_cpu *cpu = vmcore_cpu(r->v, i);
		const struct ktask *t = r->s.tasks ? ktasks_on_cpu(r->s.tasks, (int)i) : NULL;
		char name[KNAME_MAX];

		buf_addf(out, "\nCPU %zu", i);
		if (t) {
			buf_adds(out, ": ");
			summary_task(&r->s, t);
		}
		if (r->s.k) {
			kstate_name(r->s.k, cpu->pc, name);
			buf_addf(out, ", at %s", name);
		}
		buf_adds(out, "\n");
		add_registers(r, cpu);
		/* the one that panicked has its own above */
		if (r->s.k && (t ? t != r->task || r->is_gone : i || r->task))
			summary_backtrace_cpu(&r->s, cpu, FRAMES_CPU);
	}
}

/* ---- tasks and modules ---- */

static void add_tasks(const struct report *r)
{
	static const char states[] = "RSDTtXZPI";
	const struct ktasks *t = r->s.tasks;
	struct buf *out = r->s.out;
	size_t count[sizeof(states)] = {0}, shown = 0;

	if (!t)
		return;
	for (size_t i = 0; i < t->n; i++) {
		const char *at = strchr(states, t->items[i].state);

		count[at && *at ? at - states : 0]++;
	}
	buf_addf(out, "\n%zu tasks%s:", t->n, t->cut ? " (their list is damaged: not all)" : "");
	for (size_t i = 0; states[i]; i++)
		if (count[i])
			buf_addf(out, " %zu %c", count[i], states[i]);
	buf_adds(out, "\ntasks in state D (they wait, and no signal wakes them)");
	for (size_t i = 0; i < t->n; i++) {
		const struct ktask *task = &t->items[i];

		if (task->state != 'D' || task->cpu >= 0)
			continue;
		if (shown++ >= D_MAX)
			continue;
		buf_adds(out, "\n ");
		summary_task(&r->s, task);
		buf_adds(out, "\n");
		summary_backtrace(&r->s, task, FRAMES_D);
	}
	if (!shown)
		buf_adds(out, ": none\n");
	else if (shown > D_MAX)
		buf_addf(out, "\n … and %zu more\n", shown - D_MAX);
}

static void add_modules(const struct report *r)
{
	const struct kstate *k = r->s.k;
	struct buf *out = r->s.out;

	if (!k)
		return;
	buf_adds(out, "\nmodules");
	if (!k->modules_known)
		buf_adds(out, ": their list was not found (there may be none)");
	else if (!k->n_modules)
		buf_adds(out, ": none");
	buf_adds(out, "\n");
	for (size_t i = 0; i < k->n_modules; i++) {
		const struct kmodule *m = &k->modules[i];

		buf_addf(out, " %-24s 0x%016" PRIx64 " %8" PRIu64 " bytes of code%s%s%s\n", m->name,
			 m->base, m->size, m->taints[0] ? ", taints " : "", m->taints,
			 m->live ? "" : ", not live");
	}
}

/* ---- log ---- */

static void add_log(const struct report *r)
{
	struct buf *out = r->s.out;

	buf_adds(out, "\nlog");
	if (!r->log->len)
		buf_addf(out, ": %s\n", r->why_no_log.code ? r->why_no_log.msg : "it is empty");
	else if (r->lost)
		buf_addf(out, " (%zu records were damaged)\n", r->lost);
	else
		buf_adds(out, "\n");
	str_printable(out, r->log->data ? r->log->data : "", r->log->len, LOG_MAX + (LOG_MAX >> 2),
		      true);
}

/* ---- all of it ---- */

static void write_report(struct report *r)
{
	add_header(r);
	add_crash(r);
	add_backtrace(r);
	add_cpus(r);
	add_tasks(r);
	add_modules(r);
	add_log(r);
}

/*
 * Whom the report is about: after an oops the kernel goes on with another task, and who finds a
 * stall is seldom who is in it.
 */
static void find_task(struct report *r)
{
	const struct crash *crash = crashes_main(&r->crashes);
	const char *text = crash ? r->log->data + crash->offset : NULL, *first;
	size_t len = crash ? crash->len : 0;
	const struct ktask *t;

	if (!crash || (crash->fatal && !crash->stall))
		return;
	/* the stalled CPU's own stack is the first one */
	first = crash->stall ? memmem(text, len, " PID: ", 6) : NULL;
	if (first)
		len = first - text + strcspn(first, "\n");
	if (!ktasks_blocked_in(crash->first_line, &r->gone_pid, r->gone) &&
	    !ktasks_named_in(text, len, &r->gone_pid, r->gone))
		return;
	t = ktasks_find(r->s.tasks, r->gone_pid, r->gone);
	r->is_gone = !t && !crash->stall;
	r->task = t ? t : r->task;
}

/* The frames that the walk is sure of, as the kernel would have printed them. */
static void stack_of(const struct report *r, const struct vmcore_cpu *cpu, struct strv *ret)
{
	struct kframe frames[UNWIND_MAX];
	size_t n = unwind_stack(r->s.unwind, cpu->pc, cpu->sp, cpu->fp, frames, UNWIND_MAX);
	char name[KNAME_MAX];

	for (size_t i = 0; i < n && !frames[i].user; i++) {
		if (!frames[i].reliable)
			continue;
		if (frames[i].exact)
			kstate_name(r->s.k, frames[i].address, name);
		else
			kstate_name_return(r->s.k, frames[i].address, name);
		/* of a panic by an NMI: what it interrupted counts */
		if (str_starts(name, "panic+") || str_starts(name, "vpanic+"))
			strv_deinit(ret);
		else
			strv_add(ret, name);
	}
}

/*
 * The log has the stack of who panicked by an NMI; where none could be sent, or it met a processor
 * that idled, the dump has those of all.
 * The agent, which is pid 1, is what an idle machine may be caught in.
 */
static void name_hang(struct report *r)
{
	for (size_t i = 0; i < r->crashes.n && !r->hang->title; i++) {
		const struct crash *c = &r->crashes.items[i];

		if (str_eq(c->type, CRASH_TYPE_HANG) && c->guilty)
			*r->hang = crash_copy(c);
	}
	if (!r->s.unwind || !r->s.tasks)
		return;
	for (size_t i = 0; i < vmcore_cpus(r->v) && !r->hang->title; i++) {
		const struct vmcore_cpu *cpu = vmcore_cpu(r->v, i);
		const struct ktask *t = ktasks_on_cpu(r->s.tasks, (int)i);
		auto_cleanup(strv) stack = {0};

		if (cpu->pc >> 48 != 0xffff || (t && t->pid == 1) ||
		    (r->answers && (!t || t->kernel_thread)))
			continue;
		stack_of(r, cpu, &stack);
		if (crash_of_hang(&stack, r->hang))
			r->task = t;
	}
}

static void with_kernel(struct report *r, const struct kstate *k)
{
	auto_cleanup(ktasks) tasks = {0};

	r->s.k = k;
	if (ktasks_read(k, &tasks, &r->why_no_tasks) == 0) {
		r->s.tasks = &tasks;
		r->task = ktasks_panicked(k, &tasks);
		find_task(r);
	}
	if (unwind_open(k, &r->s.unwind, NULL) < 0)
		r->s.unwind = NULL;
	if (r->hang)
		name_hang(r);
	write_report(r);
	unwind_close(r->s.unwind);
}

void summary_prepare(const struct kernel *kernel, const char *vmlinux, struct summary_kernel *ret)
{
	const struct ksym *panic;

	*ret = (struct summary_kernel){.k.kernel = kernel};
	ret->result = kstate_load(kernel, &ret->k, &ret->err);
	if (!vmlinux || lines_open(vmlinux, &ret->lines, NULL) < 0)
		ret->lines = NULL;
	/* the first look into it is the dear one, and most dumps have this one in them */
	panic = ret->lines ? ksyms_lookup(&ret->k.syms, "panic") : NULL;
	if (panic)
		free(lines_find(ret->lines, panic->address));
}

void summary_kernel_deinit(struct summary_kernel *s)
{
	lines_close(s->lines);
	kstate_deinit(&s->k);
	*s = (struct summary_kernel){0};
}

int summary_write(const char *vmcore, struct summary_kernel *s, struct crash *hang, bool answers,
		  struct buf *log, struct buf *out, struct err *err)
{
	struct report r = {.s = {.out = out, .lines = s->lines},
			   .path = vmcore,
			   .kernel = s->k.kernel,
			   .log = log,
			   .hang = hang,
			   .answers = answers};
	auto_vmcore v = NULL;
	int e = vmcore_open(vmcore, &v, err);

	if (e < 0)
		return e;
	vmcore_log(v, LOG_MAX, log, &r.lost, &r.why_no_log);
	if (s->result < 0)
		r.why_no_kernel = s->err;
	e = s->result < 0 ? s->result : kstate_open(&s->k, v, &r.why_no_kernel);
	if (e < 0 && e != -ENODATA)
		return err_set(err, -e, "%s: %s", vmcore, r.why_no_kernel.msg);
	r.v = v;
	if (log->len)
		crashes_find(log->data, log->len, true, &r.crashes);
	if (e == 0)
		with_kernel(&r, &s->k);
	else
		write_report(&r);
	crashes_deinit(&r.crashes);
	return 0;
}
