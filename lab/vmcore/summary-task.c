#include "lab/vmcore/summary-task.h"

#include <inttypes.h>
#include <string.h>

static const uint64_t kernel_half = 0xffffull << 48;

/*
 * Where the innermost of a task's numbers is: a struct upid, of the namespace that its pids count
 * in.
 */
static bool find_upid(const struct kstate *k, uint64_t task, uint64_t *level, uint64_t *ret)
{
	uint32_t numbers, size, each;
	uint64_t pid;

	if (kstate_member(k, task, "task_struct", "thread_pid", &pid) < 0 || !pid ||
	    kstate_member(k, pid, "pid", "level", level) < 0 || *level > 32 ||
	    ktypes_member(k->types, "pid", "numbers", &numbers, &size) < 0 ||
	    ktypes_size(k->types, "upid", &each) < 0)
		return false;
	*ret = pid + numbers + *level * each;
	return true;
}

void summary_task(const struct summary *s, const struct ktask *t)
{
	uint64_t level, upid, inner;

	buf_addf(s->out, "%s, pid %d", t->comm[0] ? t->comm : "(no name)", t->pid);
	if (find_upid(s->k, t->address, &level, &upid) && level &&
	    kstate_member(s->k, upid, "upid", "nr", &inner) == 0)
		buf_addf(s->out, " (%d in its own namespace)", (int)inner);
	if (t->tgid != t->pid)
		buf_addf(s->out, " of process %d", t->tgid);
	if (t->kernel_thread)
		buf_adds(s->out, ", kernel thread");
	else if (t->uid != UINT32_MAX)
		buf_addf(s->out, ", uid %u", t->uid);
	if (t->cpu >= 0)
		buf_addf(s->out, ", on CPU %d", t->cpu);
	else
		buf_addf(s->out, ", state %c", t->state);
}

/* ---- seccomp and namespaces ---- */

static void add_seccomp(const struct summary *s, const struct ktask *t)
{
	static const char *const modes[] = {"off", "strict", "filter", "dead"};
	uint64_t filters;

	buf_adds(s->out, "seccomp     ");
	if (t->seccomp < 0)
		buf_adds(s->out, "not known");
	else if ((size_t)t->seccomp < array_len(modes))
		buf_addf(s->out, "%s (mode %d)", modes[t->seccomp], t->seccomp);
	else
		buf_addf(s->out, "mode %d", t->seccomp);
	if (t->seccomp == 2 && kstate_member(s->k, t->address, "task_struct",
					     "seccomp.filter_count.counter", &filters) == 0)
		buf_addf(s->out, ", %" PRIu64 " filter%s", filters, filters == 1 ? "" : "s");
	buf_adds(s->out, "\n");
}

enum namespace { NS_USER, NS_PID, NS_MNT, NS_NET, NS_IPC, NS_UTS, NS_CGROUP, NS_TIME, NS_COUNT };

/* Their numbers as /proc/PID/ns has them; 0: not known, or the kernel has no such ones. */
static void read_namespaces(const struct kstate *k, uint64_t task, uint64_t inodes[NS_COUNT])
{
	static const struct {
		const char *member, *type;
	} all[NS_COUNT] = {
		[NS_USER] = {NULL, "user_namespace"},
		[NS_PID] = {NULL, "pid_namespace"},
		[NS_MNT] = {"mnt_ns", "mnt_namespace"},
		[NS_NET] = {"net_ns", "net"},
		[NS_IPC] = {"ipc_ns", "ipc_namespace"},
		[NS_UTS] = {"uts_ns", "uts_namespace"},
		[NS_CGROUP] = {"cgroup_ns", "cgroup_namespace"},
		[NS_TIME] = {"time_ns", "time_namespace"},
	};
	uint64_t cred, level, upid, proxy = 0;

	kstate_member(k, task, "task_struct", "nsproxy", &proxy);
	for (size_t i = 0; i < NS_COUNT; i++) {
		uint64_t ns = 0;
		bool found;

		inodes[i] = 0;
		if (i == NS_USER)
			found = kstate_member(k, task, "task_struct", "cred", &cred) == 0 &&
				kstate_member(k, cred, "cred", "user_ns", &ns) == 0;
		else if (i == NS_PID)
			found = find_upid(k, task, &level, &upid) &&
				kstate_member(k, upid, "upid", "ns", &ns) == 0;
		else /* one that exits has none any more */
			found = proxy &&
				kstate_member(k, proxy, "nsproxy", all[i].member, &ns) == 0;
		if (found && ns)
			kstate_member(k, ns, all[i].type, "ns.inum", &inodes[i]);
	}
}

/* Those that are init's own, or those that are not. */
static size_t add_some(struct buf *out, const uint64_t of[NS_COUNT], const uint64_t init[NS_COUNT],
		       bool own)
{
	static const char *const names[] = {"user", "pid", "mnt",    "net",
					    "ipc",  "uts", "cgroup", "time"};
	size_t n = 0;

	for (size_t i = 0; i < NS_COUNT; i++)
		if (of[i] && (of[i] == init[i]) == own)
			buf_addf(out, "%s%s %" PRIu64, n++ ? ", " : "", names[i], of[i]);
	return n;
}

static void add_namespaces(const struct summary *s, const struct ktask *t)
{
	uint64_t of[NS_COUNT], init[NS_COUNT];
	auto_cleanup(buf) own = {0}, others = {0};
	size_t n_own, n_others;

	read_namespaces(s->k, t->address, of);
	read_namespaces(s->k, s->k->init_task, init);
	n_own = add_some(&own, of, init, true);
	n_others = add_some(&others, of, init, false);
	buf_adds(s->out, "namespaces  ");
	if (n_others)
		buf_addf(s->out, "%s%s", others.data, n_own ? "\n            " : "");
	if (n_own)
		buf_addf(s->out, "init's own: %s", own.data);
	buf_adds(s->out, n_own || n_others ? "\n" : "not known\n");
}

void summary_task_confinement(const struct summary *s, const struct ktask *t)
{
	add_seccomp(s, t);
	add_namespaces(s, t);
}

/* ---- backtraces ---- */

static void add_frame(const struct summary *s, size_t i, const struct kframe *f)
{
	bool is_return = !f->exact;
	uint64_t at = f->address - is_return;
	auto_free char *line = NULL;
	char name[KNAME_MAX];

	if (f->user) {
		buf_addf(s->out, " #%-3zu entered from user space at 0x%" PRIx64 "\n", i,
			 f->address);
		return;
	}
	if (is_return)
		kstate_name_return(s->k, f->address, name);
	else
		kstate_name(s->k, f->address, name);
	buf_addf(s->out, " #%-3zu %s%s", i, f->reliable ? "" : "? ", name);
	if (s->lines && f->reliable && at >= s->k->text.start && at < s->k->text.end)
		line = lines_find(s->lines, at - s->k->slide);
	if (line) {
		buf_adds(s->out, "  ");
		str_printable(s->out, line, strlen(line), 200, false);
	}
	buf_adds(s->out, f->interrupted ? "  (interrupted)\n" : "\n");
}

static void add_frames(const struct summary *s, uint64_t pc, uint64_t sp, uint64_t fp, size_t max)
{
	struct kframe frames[UNWIND_MAX];
	size_t n;

	if (!s->unwind) {
		buf_adds(s->out, " (this kernel's stacks cannot be read)\n");
		return;
	}
	n = unwind_stack(s->unwind, pc, sp, fp, frames, UNWIND_MAX);
	for (size_t i = 0; i < n && i < max; i++)
		add_frame(s, i, &frames[i]);
	if (n > max)
		buf_addf(s->out, " … and %zu more\n", n - max);
	if (!n)
		buf_adds(s->out, " (nothing that could be followed is on its stack)\n");
}

void summary_backtrace_cpu(const struct summary *s, const struct vmcore_cpu *cpu, size_t max)
{
	if (cpu->pc < kernel_half)
		buf_addf(s->out, " in user space, at 0x%" PRIx64 "\n", cpu->pc);
	else
		add_frames(s, cpu->pc, cpu->sp, cpu->fp, max);
}

void summary_backtrace(const struct summary *s, const struct ktask *t, size_t max)
{
	if (t->cpu >= 0 && (size_t)t->cpu < vmcore_cpus(s->k->v))
		summary_backtrace_cpu(s, vmcore_cpu(s->k->v, t->cpu), max);
	else if (t->pc)
		add_frames(s, t->pc, t->sp, t->fp, max);
	else
		buf_adds(s->out, " (where it goes on is not known)\n");
}
