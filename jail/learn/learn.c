#include "jail/learn/learn.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "jail/learn/learn-args.h"
#include "jail/learn/learn-base.h"
#include "jail/policy/groups.h"

#define SWAP(a, b)                     \
	do {                           \
		__typeof__(a) t = (a); \
		(a) = (b);             \
		(b) = t;               \
	} while (0)

struct variant {
	struct kept_args kept;
	uint64_t count;
};

struct learn_call {
	uint64_t count; /* 0: not seen itself, but goes with what was */
	bool is_there, is_whole;
	struct variant *variants; /* owned; LEARN_VALUES_MAX of them */
	size_t n;
};

struct learn {
	struct learn_call *calls; /* owned; by the call's place in the table of system calls */
	uint64_t unnamed[ARCH_COUNT][FILTER_CALLS_MAX];
	uint64_t other_abi;
	struct policy kept; /* rules of earlier files that are not of the kind that is learned */
	bool is_merged;	    /* counts of single values are not known for earlier files */
};

struct learn *learn_create(void)
{
	struct learn *learn = xcalloc(1, sizeof(*learn));

	learn->calls = xcalloc(syscall_count, sizeof(*learn->calls));
	return learn;
}

void learn_destroy(struct learn *learn)
{
	if (!learn)
		return;
	for (size_t i = 0; i < syscall_count; i++)
		free(learn->calls[i].variants);
	free(learn->calls);
	policy_deinit(&learn->kept);
	free(learn);
}

static struct learn_call *place_of(const struct learn *learn, const struct syscall_def *call)
{
	return &learn->calls[call - syscall_at(0)];
}

/* Counts stay what a policy can hold, whatever an earlier file says. */
static void add_count(uint64_t *to, uint64_t n)
{
	*to = n > INT64_MAX - *to ? INT64_MAX : *to + n;
}

/* --- what is seen ----------------------------------------------------------------------------- */

static void add_whole(struct learn *learn, const struct syscall_def *call, uint64_t count)
{
	struct learn_call *c = place_of(learn, call);

	c->is_there = c->is_whole = true;
	add_count(&c->count, count);
}

static void add_kept(struct learn *learn, const struct syscall_def *call,
		     const struct kept_args *kept, uint64_t count)
{
	struct learn_call *c = place_of(learn, call);
	size_t i = 0;

	c->is_there = true;
	add_count(&c->count, count);
	while (i < c->n && memcmp(&c->variants[i].kept, kept, sizeof(*kept)) != 0)
		i++;
	if (i == LEARN_VALUES_MAX) {
		c->is_whole = true;
		return;
	}
	if (i == c->n) {
		c->variants = xreallocarray(c->variants, c->n + 1, sizeof(*c->variants));
		c->variants[c->n++] = (struct variant){*kept, 0};
	}
	add_count(&c->variants[i].count, count);
}

/*
 * clone3's flags are in memory, where no filter sees them, so it stays refused with ENOSYS and the
 * C library takes clone: what is learned is a clone that makes no namespace.
 */
static const struct syscall_def *stand_in(const struct syscall_def *call)
{
	return str_eq(call->name, "clone3") ? syscall_find("clone") : call;
}

static void add_unseen(struct learn *learn, const struct syscall_def *call, uint64_t count)
{
	struct kept_args kept;

	call = stand_in(call);
	if (kept_args_unseen(call, &kept))
		add_kept(learn, call, &kept, count);
	else
		add_whole(learn, call, count);
}

void learn_add_call(struct learn *learn, const struct syscall_def *call, const uint64_t args[6],
		    uint64_t count)
{
	struct kept_args kept;

	if (call != stand_in(call))
		add_unseen(learn, call, count);
	else if (kept_args_of(call, args, &kept))
		add_kept(learn, call, &kept, count);
	else
		add_whole(learn, call, count);
}

void learn_add(struct learn *learn, enum arch arch, int nr, const uint64_t args[6])
{
	const struct syscall_def *call = syscall_by_nr(arch, nr);

	if (call)
		learn_add_call(learn, call, args, 1);
	else if (nr >= 0 && nr < FILTER_CALLS_MAX)
		learn->unnamed[arch][nr]++;
	else
		learn->other_abi++;
}

int learn_add_name(struct learn *learn, const char *name, uint64_t count)
{
	const struct syscall_def *call = syscall_find(name);

	if (!call)
		return -ENOENT;
	add_unseen(learn, call, count);
	return 0;
}

static bool is_learned_rule(const struct policy_rule *rule, struct kept_args *kept)
{
	return rule->action.kind == POLICY_ALLOW && !rule->group &&
	       policy_when_is_always(&rule->when) && rule->call == stand_in(rule->call) &&
	       kept_args_of_rule(rule, kept);
}

void learn_add_policy(struct learn *learn, const struct policy *policy)
{
	struct kept_args kept;

	learn->is_merged = true;
	for (size_t i = 0; i < policy->n; i++) {
		const struct policy_rule *rule = &policy->rules[i];
		uint64_t count = policy->n_frequency ? 0 : rule->count;

		if (!is_learned_rule(rule, &kept))
			policy_copy_rule(rule, policy_add_rule(&learn->kept));
		else if (rule->n_conds)
			add_kept(learn, rule->call, &kept, count);
		else
			add_whole(learn, rule->call, count);
	}
	for (size_t i = 0; i < policy->n_frequency; i++)
		add_count(&place_of(learn, policy->frequency[i].call)->count,
			  policy->frequency[i].count);
}

/* --- what goes with it ------------------------------------------------------------------------ */

/*
 * What a program may call in its next run without having done anything else: the kernel makes it
 * return from signals and restart what they interrupted; the time comes from the vDSO, which no
 * filter sees, or where the machine's clock does not allow that, from the kernel.
 */
static const char *const always[] = {
	"clock_getres", "clock_gettime",   "exit",	   "exit_group", "getcpu",
	"gettimeofday", "restart_syscall", "rt_sigreturn", "time",
};

/* An allocator takes the one or the other, by size and address. */
static const char *const memory[] = {
	"brk", "madvise", "mmap", "mprotect", "mremap", "munmap",
};

/* With threads: a lock is a system call only when it is held. */
static const char *const threads[] = {"futex", "sched_yield"};

static void add_companions(struct learn *all, const char *const *names, size_t n)
{
	static const uint64_t none[6];

	for (size_t i = 0; i < n; i++)
		learn_add_call(all, syscall_find(names[i]), none, 0);
}

static bool has_any(const struct learn *learn, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (place_of(learn, syscall_find(names[i]))->is_there)
			return true;
	return false;
}

/* The C library of another architecture or kernel makes another call of the family. */
static void add_family(struct learn *all, const struct syscall_def *call)
{
	const char *const *member = family_calls(call_family(call->name));

	for (; member && *member; member++)
		add_unseen(all, syscall_find(*member), 0);
}

static const char *const forks[] = {"clone", "fork", "vfork"};

static struct learn *complete(const struct learn *learn)
{
	struct learn *all = learn_create();

	for (size_t i = 0; i < syscall_count; i++) {
		const struct learn_call *c = &learn->calls[i];

		all->calls[i].count = c->count;
		if (c->is_whole)
			add_whole(all, syscall_at(i), 0);
		for (size_t v = 0; v < c->n; v++)
			add_kept(all, syscall_at(i), &c->variants[v].kept, 0);
		if (c->is_there)
			add_family(all, syscall_at(i));
	}
	add_companions(all, always, array_len(always));
	if (has_any(learn, memory, array_len(memory)))
		add_companions(all, memory, array_len(memory));
	if (has_any(learn, forks, array_len(forks)))
		add_companions(all, threads, array_len(threads));
	for (size_t i = 0; i < array_len(threads); i++)
		if (has_any(all, &threads[i], 1))
			add_family(all, syscall_find(threads[i]));
	return all;
}

/* --- the policy ------------------------------------------------------------------------------- */

struct finish {
	const struct learn *learn;
	const struct learn_base *base;
	bool has_base;
	struct policy *ret;
};

/* A rule of an earlier file that leaves nothing to say about the call. */
static const struct policy_rule *kept_rule(const struct learn *learn,
					   const struct syscall_def *call)
{
	for (size_t i = 0; i < learn->kept.n; i++) {
		const struct policy_rule *rule = &learn->kept.rules[i];

		if (rule->call == call && !rule->n_conds && policy_when_is_always(&rule->when))
			return rule;
	}
	return NULL;
}

static void emit(const struct finish *f, const struct syscall_def *call,
		 const struct kept_args *kept, uint64_t count)
{
	bool was_seen = place_of(f->learn, call)->is_there;
	struct policy_rule *rule;

	if (learn_base_allows(f->base, call, kept))
		return;
	/* of a family: who tries it goes on to the member that was seen */
	if (!was_seen && f->has_base && learn_base_lets_try(f->base, call))
		return;
	rule = policy_add_rule(f->ret);
	rule->call = call;
	rule->action = (struct policy_action){POLICY_ALLOW, 0};
	rule->count = count;
	kept_args_to_rule(kept, arch_native(), rule);
}

static int by_value(const void *va, const void *vb)
{
	const struct variant *a = va, *b = vb;

	for (size_t i = 0; i < 6; i++) {
		if (a->kept.value[i] != b->kept.value[i])
			return a->kept.value[i] < b->kept.value[i] ? -1 : 1;
		if (a->kept.mask[i] != b->kept.mask[i])
			return a->kept.mask[i] < b->kept.mask[i] ? -1 : 1;
	}
	return 0;
}

static uint64_t count_of(const struct learn *learn, size_t call, const struct kept_args *kept)
{
	const struct learn_call *c = &learn->calls[call];

	for (size_t i = 0; i < c->n && !learn->is_merged; i++)
		if (memcmp(&c->variants[i].kept, kept, sizeof(*kept)) == 0)
			return c->variants[i].count;
	return 0;
}

/* io_uring does its operations out of sight of every filter: that is for a person to decide. */
static bool is_left_out(const struct syscall_def *call)
{
	return str_starts(call->name, "io_uring_");
}

static void emit_calls(const struct finish *f, const struct learn *all)
{
	static const struct kept_args nothing;

	for (size_t i = 0; i < syscall_count; i++) {
		const struct learn_call *c = &all->calls[i];

		if (!c->is_there || is_left_out(syscall_at(i)) ||
		    kept_rule(f->learn, syscall_at(i)))
			continue;
		if (c->is_whole) {
			emit(f, syscall_at(i), &nothing, c->count);
			continue;
		}
		qsort(c->variants, c->n, sizeof(*c->variants), by_value);
		for (size_t v = 0; v < c->n; v++)
			emit(f, syscall_at(i), &c->variants[v].kept,
			     count_of(f->learn, i, &c->variants[v].kept));
	}
}

static void add_clone3(struct policy *ret)
{
	*policy_add_rule(ret) = (struct policy_rule){.call = syscall_find("clone3"),
						     .action = {POLICY_ERRNO, ENOSYS}};
}

/* Without the answer ENOSYS the C library would not try clone. */
static void emit_clone3(const struct finish *f, const struct learn *all)
{
	const struct syscall_def *clone3 = syscall_find("clone3");

	if (has_any(all, forks, array_len(forks)) && !kept_rule(f->learn, clone3) &&
	    !learn_base_lets_try(f->base, clone3))
		add_clone3(f->ret);
}

struct hint {
	const struct syscall_def *call;
	uint64_t count;
};

static int by_count(const void *va, const void *vb)
{
	const struct hint *a = va, *b = vb;

	if (a->count != b->count)
		return a->count > b->count ? -1 : 1;
	return strcmp(a->call->name, b->call->name);
}

static void emit_frequency(const struct learn *all, struct policy *ret)
{
	struct hint *hints = xcalloc(syscall_count, sizeof(*hints));
	size_t n = 0;

	for (size_t i = 0; i < syscall_count; i++)
		if (all->calls[i].count)
			hints[n++] = (struct hint){syscall_at(i), all->calls[i].count};
	qsort(hints, n, sizeof(*hints), by_count);
	ret->n_frequency = n;
	ret->frequency = n ? xcalloc(n, sizeof(*ret->frequency)) : NULL;
	for (size_t i = 0; i < n; i++) {
		ret->frequency[i].call = hints[i].call;
		ret->frequency[i].count = hints[i].count;
	}
	free(hints);
}

static const char *times(uint64_t count)
{
	return count == 1 ? "time" : "times";
}

static void note_call(const struct learn *learn, size_t i, struct strv *notes)
{
	const struct learn_call *c = &learn->calls[i];
	const struct policy_rule *rule = kept_rule(learn, syscall_at(i));

	if (c->is_there && rule && !policy_kind_allows(rule->action.kind))
		strv_addf(notes, "%s was called, and stays refused: line %u says so",
			  syscall_at(i)->name, rule->at.line);
	if (c->count && is_left_out(syscall_at(i)))
		strv_addf(notes,
			  "%s, made %" PRIu64 " %s, is left out: what is done by it passes "
			  "the filter by; most programs do without, else allow \"@io_uring\"",
			  syscall_at(i)->name, c->count, times(c->count));
}

static void take_notes(const struct learn *learn, struct strv *notes)
{
	for (size_t i = 0; i < syscall_count; i++)
		note_call(learn, i, notes);
	for (size_t a = 0; a < ARCH_COUNT; a++)
		for (int nr = 0; nr < FILTER_CALLS_MAX; nr++)
			if (learn->unnamed[a][nr])
				strv_addf(notes,
					  "system call %d of %s, made %" PRIu64
					  " %s, has no name here: it is left out",
					  nr, arch_name((enum arch)a), learn->unnamed[a][nr],
					  times(learn->unnamed[a][nr]));
	if (learn->other_abi)
		strv_addf(notes, "%" PRIu64 " %s by another ABI (32-bit, x32), left out",
			  learn->other_abi, learn->other_abi == 1 ? "call" : "calls");
}

/* A call that is newer than this is unknown to what was learned: ENOSYS, as there was none. */
static const struct kver known = {{5, 0}};

void learn_finish(const struct learn *learn, const struct policy *base, struct policy *ret,
		  struct strv *notes)
{
	struct learn *all = complete(learn);
	auto_cleanup(learn_base) given = {0};
	struct finish f = {learn, &given, base != NULL, ret};

	*ret = (struct policy){.name = xstrdup("learned"), .format = FORMAT_JAIL};
	if (base) {
		learn_base_init(&given, base);
		strv_add(&ret->extends, base->name);
		ret->extends_at = xcalloc(1, sizeof(*ret->extends_at));
	} else {
		ret->fallback = (struct policy_action){POLICY_ERRNO, EPERM};
		ret->has_known = true;
		ret->known = known;
	}
	for (size_t i = 0; i < learn->kept.n; i++)
		policy_copy_rule(&learn->kept.rules[i], policy_add_rule(ret));
	emit_calls(&f, all);
	if (base)
		emit_clone3(&f, all);
	emit_frequency(all, ret);
	take_notes(learn, notes);
	learn_destroy(all);
}

static bool has_rule(const struct policy *policy, const char *call)
{
	for (size_t i = 0; i < policy->n; i++)
		if (str_eq(policy->rules[i].call->name, call))
			return true;
	return false;
}

void learn_keep(struct policy *earlier, struct policy *ret)
{
	SWAP(ret->settings, earlier->settings);
	SWAP(ret->summary, earlier->summary);
	SWAP(ret->source, earlier->source);
	SWAP(ret->date, earlier->date);
	if (ret->extends.n && !earlier->extends.n)
		return; /* what it extends now says what happens otherwise */
	ret->fallback = earlier->fallback;
	ret->unknown = earlier->unknown;
	ret->has_known = earlier->has_known;
	ret->known = earlier->known;
	/* a file that does not know older kernels only: clone3 would get what others get */
	if (!earlier->extends.n && has_rule(ret, "clone") && !has_rule(ret, "clone3") &&
	    (!ret->has_known || kver_compare(&ret->known, &syscall_find("clone3")->since) >= 0))
		add_clone3(ret);
	for (size_t i = 0; i < earlier->extends.n; i++)
		if (!strv_has(&ret->extends, earlier->extends.items[i]))
			strv_add(&ret->extends, earlier->extends.items[i]);
	free(ret->extends_at);
	ret->extends_at = xcalloc(ret->extends.n + 1, sizeof(*ret->extends_at));
}
