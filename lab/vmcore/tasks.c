/* tasks.c - the list of tasks (init_task.tasks), each one's threads, and who panicked. */
#include "lab/vmcore/tasks.h"

#include <limits.h>
#include <string.h>

#include "lab/vmcore/vmcore-log.h"
#include "vm/kmsg-text.h"

enum {
	TASK_SIZE_MAX = 64 << 10,
	STACK = 16 << 10, /* THREAD_SIZE of both architectures; twice as much with KASAN */
	PF_KTHREAD = 0x00200000,
	LOG_MAX = 256 << 10,
	READS_MAX = 4 * KTASKS_MAX,
	PREFIX_MAX = 64, /* "[    1.234567][   T12] (user) " */
};

/* Places in struct task_struct; ABSENT: this kernel has none. */
enum { ABSENT = UINT32_MAX };
struct layout {
	uint32_t size, comm, pid, tgid, flags, state, exit_state, on_cpu, cpu, stack, cred, seccomp;
	uint32_t tasks, signal, node, head, uid;
	uint32_t sp, pc, fp; /* thread.sp (amd64) or thread.cpu_context (arm64) */
	uint32_t state_size, on_cpu_size;
	uint32_t frame_fp, frame_pc; /* struct inactive_task_frame (amd64) */
	uint64_t stack_size;
};

struct reader {
	const struct kstate *k;
	struct layout l;
	struct ktasks *out;
	uint8_t *bytes; /* of one task_struct */
	size_t cap, reads;
};

static uint32_t place(const struct kstate *k, const char *type, const char *member, uint32_t *size)
{
	uint32_t at, bytes;

	if (ktypes_member(k->types, type, member, &at, &bytes) < 0)
		return ABSENT;
	if (size)
		*size = bytes;
	return at;
}

static void read_places(const struct kstate *k, struct layout *l)
{
	static const char task[] = "task_struct";
	const struct {
		uint32_t *at;
		const char *name;
	} members[] = {
		{&l->comm, "comm"},
		{&l->pid, "pid"},
		{&l->tgid, "tgid"},
		{&l->flags, "flags"},
		{&l->stack, "stack"},
		{&l->cred, "cred"},
		{&l->tasks, "tasks"},
		{&l->signal, "signal"},
		{&l->node, "thread_node"},
		{&l->exit_state, "exit_state"},
		{&l->seccomp, "seccomp.mode"},
	};

	for (size_t i = 0; i < array_len(members); i++)
		*members[i].at = place(k, task, members[i].name, NULL);
	l->head = place(k, "signal_struct", "thread_head", NULL);
	l->uid = place(k, "cred", "uid", NULL);
	l->on_cpu = place(k, task, "on_cpu", &l->on_cpu_size);
	/* renamed in 5.14 */
	l->state = place(k, task, "__state", &l->state_size);
	if (l->state == ABSENT)
		l->state = place(k, task, "state", &l->state_size);
	/* moved in 5.16 */
	l->cpu = place(k, task, "thread_info.cpu", NULL);
	if (l->cpu == ABSENT)
		l->cpu = place(k, task, "cpu", NULL);
	if (k->kernel->arch == ARCH_AMD64) {
		l->sp = place(k, task, "thread.sp", NULL);
		l->frame_fp = place(k, "inactive_task_frame", "bp", NULL);
		l->frame_pc = place(k, "inactive_task_frame", "ret_addr", NULL);
	} else {
		l->sp = place(k, task, "thread.cpu_context.sp", NULL);
		l->pc = place(k, task, "thread.cpu_context.pc", NULL);
		l->fp = place(k, task, "thread.cpu_context.fp", NULL);
	}
	l->stack_size = STACK;
	if (kernel_config_option(k->kernel, "KASAN_GENERIC") == 'y' ||
	    kernel_config_option(k->kernel, "KASAN_SW_TAGS") == 'y')
		l->stack_size *= 2;
}

/* ---- one task ---- */

/* A number of the task_struct at hand; 0 when it has none there. */
static uint64_t number(const struct reader *r, uint32_t at, size_t size)
{
	uint64_t value = 0;

	if (at != ABSENT && size <= sizeof(value) && at + size <= r->l.size)
		memcpy(&value, r->bytes + at, size);
	return value;
}

/* task_state_to_char() of include/linux/sched.h. */
static char state_letter(uint64_t state, uint64_t exit_state)
{
	static const char letters[] = "RSDTtXZP";
	enum { REPORTED = 0x7f, IDLE = 0x402 };
	uint64_t all = (state | exit_state) & REPORTED;
	size_t i = 0;

	if ((state & IDLE) == IDLE)
		return 'I';
	while (all >> i)
		i++;
	return letters[i];
}

static bool on_stack(const struct ktask *t, uint64_t sp)
{
	return t->stack && sp >= t->stack && sp < t->stack + t->stack_size;
}

/* Where one that does not run will go on. */
static void read_context(const struct reader *r, struct ktask *t)
{
	const struct layout *l = &r->l;
	uint64_t sp = number(r, l->sp, 8), pc, fp;

	if (!on_stack(t, sp))
		return;
	if (r->k->kernel->arch == ARCH_ARM64) {
		t->sp = sp;
		t->pc = number(r, l->pc, 8);
		t->fp = number(r, l->fp, 8);
	} else if (l->frame_pc != ABSENT && l->frame_fp != ABSENT &&
		   vmcore_read_u64(r->k->v, sp + l->frame_pc, &pc) == 0 &&
		   vmcore_read_u64(r->k->v, sp + l->frame_fp, &fp) == 0) {
		t->sp = sp + l->frame_pc + 8;
		t->pc = pc;
		t->fp = fp;
	}
}

static void read_comm(const struct reader *r, struct ktask *t)
{
	size_t n = 0;

	if (r->l.comm == ABSENT)
		return;
	for (; n < 16 && r->l.comm + n < r->l.size && r->bytes[r->l.comm + n]; n++) {
		char c = (char)r->bytes[r->l.comm + n];

		t->comm[n] = c < ' ' || c > '~' ? '?' : c;
	}
}

static int read_task(const struct reader *r, uint64_t address, struct ktask *t)
{
	const struct layout *l = &r->l;
	uint64_t cred;
	int ret = vmcore_read(r->k->v, address, r->bytes, l->size);

	if (ret < 0)
		return ret;
	*t = (struct ktask){.address = address, .cpu = -1, .seccomp = -1, .uid = UINT32_MAX};
	read_comm(r, t);
	t->pid = (int)number(r, l->pid, 4);
	t->tgid = (int)number(r, l->tgid, 4);
	t->stack = number(r, l->stack, 8);
	t->stack_size = t->stack ? l->stack_size : 0;
	t->kernel_thread = number(r, l->flags, 4) & PF_KTHREAD;
	t->state = state_letter(number(r, l->state, l->state_size), number(r, l->exit_state, 4));
	if (number(r, l->on_cpu, l->on_cpu_size))
		t->cpu = (int)number(r, l->cpu, 4);
	if (t->cpu < 0)
		read_context(r, t);
	if (l->seccomp != ABSENT)
		t->seccomp = (int)number(r, l->seccomp, 4);
	cred = number(r, l->cred, 8);
	if (cred && l->uid != ABSENT)
		vmcore_read_u32(r->k->v, cred + l->uid, &t->uid);
	return 0;
}

/* ---- the lists ---- */

static void add(struct reader *r, uint64_t address)
{
	struct ktask t;

	if (r->out->n >= KTASKS_MAX || read_task(r, address, &t) < 0) {
		r->out->cut = true;
		return;
	}
	if (r->out->n == r->cap) {
		r->cap = r->cap ? r->cap * 2 : 256;
		r->out->items = xreallocarray(r->out->items, r->cap, sizeof(t));
	}
	r->out->items[r->out->n++] = t;
}

/*
 * Call add() for what is on a list whose links are at link in each entry, but for the one at not.
 * A list that does not come back to its head is cut.
 */
static void walk(struct reader *r, uint64_t head, uint32_t link, uint64_t not,
		 void (*each)(struct reader *r, uint64_t address))
{
	uint64_t at;

	if (vmcore_read_u64(r->k->v, head, &at) < 0) {
		r->out->cut = true;
		return;
	}
	while (at != head) {
		if (r->reads++ >= READS_MAX || r->out->n >= KTASKS_MAX) {
			r->out->cut = true;
			return;
		}
		if (at - link != not )
			each(r, at - link);
		if (vmcore_read_u64(r->k->v, at, &at) < 0) {
			r->out->cut = true;
			return;
		}
	}
}

static void add_process(struct reader *r, uint64_t leader)
{
	uint64_t signal;

	add(r, leader);
	if (r->l.signal != ABSENT && r->l.node != ABSENT && r->l.head != ABSENT &&
	    vmcore_read_u64(r->k->v, leader + r->l.signal, &signal) == 0 && signal)
		walk(r, signal + r->l.head, r->l.node, leader, add);
}

/* The idle tasks of the other CPUs are in their run queues only. */
static void add_idle(struct reader *r)
{
	uint64_t queues, offsets, offset, idle;

	if (!kstate_symbol(r->k, "runqueues", &queues) ||
	    !kstate_symbol(r->k, "__per_cpu_offset", &offsets))
		return;
	for (size_t cpu = 0; cpu < vmcore_cpus(r->k->v); cpu++)
		if (vmcore_read_u64(r->k->v, offsets + 8 * cpu, &offset) == 0 &&
		    kstate_member(r->k, queues + offset, "rq", "idle", &idle) == 0 &&
		    idle != r->k->init_task)
			add(r, idle);
}

static int by_pid(const void *a, const void *b)
{
	const struct ktask *x = a, *y = b;

	if (x->pid != y->pid)
		return x->pid < y->pid ? -1 : 1;
	/* several have the number 0: one for each CPU */
	return x->pid == 0 ? strcmp(x->comm, y->comm) : 0;
}

/* A kernel for one processor only does not say who runs; the stack in use does. */
static void find_running(const struct kstate *k, struct ktasks *t)
{
	for (size_t cpu = 0; cpu < vmcore_cpus(k->v); cpu++) {
		uint64_t sp = vmcore_cpu(k->v, cpu)->sp;
		size_t i = 0;

		if (ktasks_on_cpu(t, (int)cpu))
			continue;
		while (i < t->n && (t->items[i].cpu >= 0 || !on_stack(&t->items[i], sp)))
			i++;
		if (i < t->n) {
			t->items[i].cpu = (int)cpu;
			t->items[i].pc = t->items[i].sp = t->items[i].fp = 0;
		}
	}
}

int ktasks_read(const struct kstate *k, struct ktasks *ret, struct err *err)
{
	auto_cleanup(ktasks) tasks = {0};
	auto_free uint8_t *bytes = NULL;
	struct reader r = {.k = k, .out = &tasks};

	if (!k->types)
		return err_set(err, ENODATA, "this kernel has no type information (BTF)");
	if (!k->init_task)
		return err_set(err, ENODATA, "its first task was not found");
	read_places(k, &r.l);
	if (ktypes_size(k->types, "task_struct", &r.l.size) < 0 || r.l.size > TASK_SIZE_MAX ||
	    r.l.tasks == ABSENT)
		return err_set(err, ENODATA, "its struct task_struct is of a form not known here");
	r.bytes = bytes = xmalloc(r.l.size);
	add(&r, k->init_task);
	add_idle(&r);
	walk(&r, k->init_task + r.l.tasks, r.l.tasks, k->init_task, add_process);
	qsort(tasks.items, tasks.n, sizeof(*tasks.items), by_pid);
	find_running(k, &tasks);
	*ret = tasks;
	tasks = (struct ktasks){0};
	return 0;
}

void ktasks_deinit(struct ktasks *t)
{
	free(t->items);
	*t = (struct ktasks){0};
}

const struct ktask *ktasks_on_cpu(const struct ktasks *t, int cpu)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->items[i].cpu == cpu)
			return &t->items[i];
	return NULL;
}

/* ---- who panicked ---- */

/* What follows the name there. */
static const char *const ends[] = {" Not tainted", " Tainted: ", " Kdump: "};

/* Whether user space wrote the line that at is in (vmcore-log.h). */
static bool is_users(const char *text, const char *at)
{
	static const char mark[] = "] " KMSG_TEXT_USER;
	const char *before = memrchr(text, '\n', at - text);
	const char *line = before ? before + 1 : text;
	size_t len = at - line < PREFIX_MAX ? at - line : PREFIX_MAX;

	return memmem(line, len, mark, strlen(mark));
}

/*
 * "CPU: 0 PID: 57 Comm: sh Not tainted …" ("CPU: 0 UID: 0 PID: …" from 6.11 on). A name may hold
 * blanks.
 */
bool ktasks_named_in(const char *text, size_t len, int *pid, char comm[KTASK_COMM])
{
	static const char pid_mark[] = " PID: ", comm_mark[] = " Comm: ";
	const char *end = text + len, *last = NULL, *stop;
	size_t n = 0;
	long number = 0;

	for (const char *at = text; at && (at = memmem(at, end - at, pid_mark, strlen(pid_mark)));)
		if ((at += strlen(pid_mark)) < end && *at >= '0' && *at <= '9' &&
		    !is_users(text, at))
			last = at;
	for (; last && last < end && *last >= '0' && *last <= '9' && number < INT_MAX / 10; last++)
		number = number * 10 + *last - '0';
	if (!last || (size_t)(end - last) <= strlen(comm_mark) ||
	    memcmp(last, comm_mark, strlen(comm_mark)) != 0)
		return false;
	last += strlen(comm_mark);
	stop = memchr(last, '\n', end - last);
	stop = stop ? stop : end;
	for (size_t i = 0; i < array_len(ends); i++) {
		const char *cut = memmem(last, stop - last, ends[i], strlen(ends[i]));

		stop = cut ? cut : stop;
	}
	for (; last + n < stop && n + 1 < KTASK_COMM; n++)
		comm[n] = last[n] < ' ' || last[n] > '~' ? '?' : last[n];
	comm[n] = '\0';
	*pid = (int)number;
	return true;
}

bool ktasks_blocked_in(const char *line, int *pid, char comm[KTASK_COMM])
{
	static const char before[] = "INFO: task ", behind[] = " blocked ";
	const char *name = line + strlen(before);

	if (!str_starts(line, before))
		return false;
	for (const char *colon = name; (colon = strchr(colon, ':')); colon++) {
		size_t n = colon - name, digits = strspn(colon + 1, "0123456789");

		if (!digits || digits > 9 || n >= KTASK_COMM ||
		    !str_starts(colon + 1 + digits, behind))
			continue;
		memcpy(comm, name, n);
		comm[n] = '\0';
		*pid = (int)strtol(colon + 1, NULL, 10);
		return true;
	}
	return false;
}

const struct ktask *ktasks_find(const struct ktasks *t, int pid, const char *comm)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->items[i].pid == pid && str_eq(t->items[i].comm, comm))
			return &t->items[i];
	return NULL;
}

/* Of the log's last report, if the kernel panicked. */
static const struct ktask *named_by_log(const struct kstate *k, const struct ktasks *t)
{
	static const char panic[] = "Kernel panic - not syncing";
	auto_cleanup(buf) log = {0};
	char comm[KTASK_COMM];
	size_t lost;
	int pid;

	if (vmcore_log(k->v, LOG_MAX, &log, &lost, NULL) < 0 || !log.len ||
	    !memmem(log.data, log.len, panic, strlen(panic)) ||
	    !ktasks_named_in(log.data, log.len, &pid, comm))
		return NULL;
	return ktasks_find(t, pid, comm);
}

static bool is_panic_path(const struct kstate *k, uint64_t pc)
{
	static const char *const names[] = {
		"panic",     "vpanic",	"__crash_kexec",  "die",  "oops_end", "oops_exit",
		"nmi_panic", "do_exit", "make_task_dead", "__die"};
	char name[KNAME_MAX];

	kstate_name(k, pc, name);
	name[strcspn(name, "+.")] = '\0';
	for (size_t i = 0; i < array_len(names); i++)
		if (str_eq(name, names[i]))
			return true;
	return false;
}

const struct ktask *ktasks_panicked(const struct kstate *k, const struct ktasks *t)
{
	const struct ktask *found = NULL;
	uint64_t at;
	uint32_t cpu;

	/* atomic_t, -1 until then; since 6.16 or so it is there on every kernel with SMP */
	if (kstate_symbol(k, "panic_cpu", &at) && vmcore_read_u32(k->v, at, &cpu) == 0 &&
	    cpu < VMCORE_MAX_CPUS)
		found = ktasks_on_cpu(t, (int)cpu);
	for (size_t i = 0; !found && i < vmcore_cpus(k->v); i++)
		if (is_panic_path(k, vmcore_cpu(k->v, i)->pc))
			found = ktasks_on_cpu(t, (int)i);
	if (!found)
		found = named_by_log(k, t);
	return found ? found : ktasks_on_cpu(t, 0);
}
