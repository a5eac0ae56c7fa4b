#include "jail/learn/refusals.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "jail/base/json.h"
#include "jail/learn/learn-args.h"
#include "jail/policy/policy-print.h"

enum {
	VALUES_MAX = 16,  /* of one call told apart; then it is the call, whatever its arguments */
	PROGRAM_MAX = 15, /* bytes of a comm: proc(5) */
	ROWS_MAX = 40,	  /* of the table */
	CALL_COLUMN_MAX = 44,
	ANSWER_COLUMN = 12, /* "errno EACCES" */
};

struct entry {
	struct decision decision;
	enum arch arch;
	int nr;
	const struct syscall_def *call; /* NULL: no name */
	struct kept_args kept;
	bool has_kept;
	uint64_t count;
	char program[PROGRAM_MAX + 1];
};

struct refusals {
	struct entry *entries; /* in the order in which they were first seen */
	size_t n, cap;
	uint64_t total, not_kept; /* not_kept: there was no room for them */
};

struct refusals *refusals_create(void)
{
	struct refusals *refusals = xcalloc(1, sizeof(*refusals));

	refusals->cap = 8; /* few programs need more */
	refusals->entries = xcalloc(refusals->cap, sizeof(*refusals->entries));
	return refusals;
}

void refusals_destroy(struct refusals *refusals)
{
	if (refusals)
		free(refusals->entries);
	free(refusals);
}

uint64_t refusals_total(const struct refusals *refusals)
{
	return refusals->total;
}

/* --- collecting ------------------------------------------------------------------------------- */

static bool is_same_call(const struct entry *a, const struct entry *b)
{
	return a->nr == b->nr && a->arch == b->arch && a->decision.rule == b->decision.rule &&
	       a->decision.policy == b->decision.policy && a->decision.why == b->decision.why;
}

/* The entry that this one adds to; without one the values are given up when there are too many. */
static struct entry *find(struct refusals *refusals, struct entry *wanted)
{
	struct entry *whole = NULL;
	size_t values = 0;

	for (struct entry *e = refusals->entries; e < refusals->entries + refusals->n; e++) {
		if (!is_same_call(e, wanted))
			continue;
		if (e->has_kept == wanted->has_kept &&
		    memcmp(&e->kept, &wanted->kept, sizeof(e->kept)) == 0)
			return e;
		if (e->has_kept)
			values++;
		else
			whole = e;
	}
	if (whole)
		return whole;
	if (values >= VALUES_MAX) {
		wanted->has_kept = false;
		wanted->kept = (struct kept_args){0};
	}
	return NULL;
}

void refusals_add(struct refusals *refusals, const struct decision *decision, enum arch arch,
		  int nr, const uint64_t args[6], const char *program)
{
	struct entry new = {.decision = *decision, .arch = arch, .nr = nr, .count = 1};
	struct entry *old;

	if (decision->why != BY_OTHER_ABI)
		new.call = syscall_by_nr(arch, nr);
	new.has_kept = new.call &&kept_args_of(new.call, args, &new.kept);
	refusals->total++;
	old = find(refusals, &new);
	if (old) {
		old->count++;
	} else if (refusals->n < REFUSALS_MAX) {
		strncpy(new.program, program ? program : "", PROGRAM_MAX);
		if (refusals->n == refusals->cap) {
			refusals->cap *= 2;
			refusals->entries = xreallocarray(refusals->entries, refusals->cap,
							  sizeof(*refusals->entries));
		}
		refusals->entries[refusals->n++] = new;
	} else {
		refusals->not_kept++;
	}
}

/* --- what they mean --------------------------------------------------------------------------- */

/*
 * Newer than what a C library can count on, so that libraries and interpreters have another way
 * when the kernel says ENOSYS. The last two are done without whatever the error.
 */
static bool is_done_without(const struct entry *e)
{
	static const char *const probes[] = {
		"cachestat",
		"clone3",
		"close_range",
		"copy_file_range",
		"epoll_pwait2",
		"faccessat2",
		"fchmodat2",
		"futex_waitv",
		"io_uring_enter",
		"io_uring_register",
		"io_uring_setup",
		"landlock_create_ruleset",
		"map_shadow_stack",
		"membarrier",
		"memfd_secret",
		"openat2",
		"pidfd_getfd",
		"pidfd_open",
		"pidfd_send_signal",
		"preadv2",
		"process_madvise",
		"pwritev2",
		"set_mempolicy_home_node",
		"statx",
		"uretprobe",
		"rseq",
		"set_robust_list",
	};
	const struct policy_action *action = &e->decision.action;

	if (action->kind != POLICY_ERRNO)
		return false;
	if (action->error == ENOSYS && e->decision.why == BY_UNKNOWN)
		return true;
	for (size_t i = 0; e->call && i < array_len(probes); i++)
		if (str_eq(e->call->name, probes[i]))
			return action->error == ENOSYS || i + 2 >= array_len(probes);
	return false;
}

/* A line in the policy itself refuses it: a further one that allows it would not win. */
static bool is_by_own_rule(const struct entry *e, const struct policy *policy)
{
	return e->decision.why == BY_RULE && e->decision.policy == policy;
}

static bool can_be_added(const struct entry *e, const struct policy *policy)
{
	return e->call && !is_done_without(e) && !is_by_own_rule(e, policy);
}

bool refusals_matter(const struct refusals *refusals)
{
	for (size_t i = 0; i < refusals->n; i++)
		if (!is_done_without(&refusals->entries[i]))
			return true;
	return refusals->not_kept;
}

/* Most frequent first, then as they came. */
static int by_count(const void *va, const void *vb)
{
	const struct entry *a = *(const struct entry *const *)va;
	const struct entry *b = *(const struct entry *const *)vb;

	if (a->count != b->count)
		return a->count > b->count ? -1 : 1;
	return a < b ? -1 : a > b;
}

static size_t sorted(const struct refusals *refusals, const struct entry *ret[REFUSALS_MAX])
{
	for (size_t i = 0; i < refusals->n; i++)
		ret[i] = &refusals->entries[i];
	qsort(ret, refusals->n, sizeof(*ret), by_count);
	return refusals->n;
}

/* As it would stand in a policy. */
static void print_call(const struct entry *e, struct buf *out)
{
	struct policy_rule rule = {.call = e->call, .action = {POLICY_ALLOW, 0}};

	if (e->decision.why == BY_OTHER_ABI) {
		buf_addf(out, "call %d of another ABI", e->nr);
	} else if (!e->call) {
		buf_addf(out, "system call %d", e->nr);
	} else {
		kept_args_to_rule(&e->kept, e->arch, &rule);
		policy_rule_print(&rule, out);
		policy_rule_deinit(&rule);
	}
}

/* The lines to add, each once: the same call may have been refused by several rules. */
static void collect_lines(const struct refusals *refusals, const struct policy *policy,
			  struct strv *ret)
{
	const struct entry *entries[REFUSALS_MAX];
	size_t n = sorted(refusals, entries);

	for (size_t i = 0; i < n; i++) {
		auto_cleanup(buf) line = {0};

		if (!can_be_added(entries[i], policy))
			continue;
		print_call(entries[i], &line);
		if (!strv_has(ret, line.data))
			strv_add(ret, line.data);
	}
}

/* --- for people ------------------------------------------------------------------------------- */

static const char *times(uint64_t count)
{
	return count == 1 ? "time" : "times";
}

static void pad(struct buf *out, size_t start, size_t width)
{
	while (out->len < start + width)
		buf_adds(out, " ");
}

static void print_row(const struct entry *e, size_t call_width, struct buf *out)
{
	auto_cleanup(buf) place = {0};
	size_t start;

	buf_addf(out, "  %7" PRIu64 "  ", e->count);
	start = out->len;
	print_call(e, out);
	pad(out, start, call_width);
	buf_adds(out, "  ");
	start = out->len;
	policy_action_print(&e->decision.action, out);
	pad(out, start, ANSWER_COLUMN);
	buf_adds(out, "  ");
	decision_print_place(&e->decision, &place);
	str_printable(out, place.data, place.len, PATH_MAX, false);
	if (*e->program) {
		buf_adds(out, ", first in ");
		str_printable(out, e->program, strlen(e->program), PROGRAM_MAX, false);
	}
	buf_adds(out, "\n");
}

static void print_table(const struct entry *const *entries, size_t n, struct buf *out)
{
	size_t width = 4, rows = 0, left = 0;

	for (size_t i = 0; i < n; i++) {
		auto_cleanup(buf) text = {0};

		if (is_done_without(entries[i]))
			continue;
		print_call(entries[i], &text);
		if (text.len > width)
			width = text.len < CALL_COLUMN_MAX ? text.len : CALL_COLUMN_MAX;
	}
	buf_addf(out, "  %7s  %-*s  %-*s  %s\n", "times", (int)width, "call", ANSWER_COLUMN,
		 "answer", "by");
	for (size_t i = 0; i < n; i++) {
		if (is_done_without(entries[i]))
			continue;
		if (rows++ < ROWS_MAX)
			print_row(entries[i], width, out);
		else
			left++;
	}
	if (left)
		buf_addf(out, "           … and %zu further ones\n", left);
}

static void print_done_without(const struct entry *const *entries, size_t n, struct buf *out)
{
	const char *before = "asked for and done without (when a kernel lacks them, programs have "
			     "another way): ";

	for (size_t i = 0; i < n; i++) {
		if (!is_done_without(entries[i]))
			continue;
		if (!out->len)
			buf_adds(out, "jail: ");
		buf_adds(out, before);
		print_call(entries[i], out);
		buf_addf(out, " %" PRIu64 " %s", entries[i]->count, times(entries[i]->count));
		before = ", ";
	}
	if (str_eq(before, ", "))
		buf_adds(out, "\n");
}

/* What no further line can change. */
static void print_fixed(const struct entry *const *entries, size_t n, const struct policy *policy,
			struct buf *out)
{
	for (size_t i = 0; i < n; i++) {
		const struct entry *e = entries[i];

		if (e->decision.why == BY_OTHER_ABI) {
			buf_adds(out, "a policy cannot allow calls by a 32-bit or x32 ABI: run a "
				      "program for this architecture\n");
			break;
		}
	}
	for (size_t i = 0; i < n; i++) {
		const struct entry *e = entries[i];

		if (is_done_without(e) || !e->call || !is_by_own_rule(e, policy))
			continue;
		str_printable(out, policy->name, strlen(policy->name), PATH_MAX, false);
		buf_addf(
			out,
			":%u:%u refuses %s by name%s%s: if that was not meant, take it out there\n",
			e->decision.rule->at.line, e->decision.rule->at.column, e->call->name,
			e->decision.rule->group ? ", in " : "",
			e->decision.rule->group ? e->decision.rule->group : "");
	}
}

static void print_block(const struct strv *lines, unsigned int indent, struct buf *out)
{
	for (size_t i = 0; i < lines->n; i++)
		buf_addf(out, "%*s- %s\n", (int)indent, "", lines->items[i]);
}

/* A rule with conditions is a map: in a list within brackets it needs braces. */
static void print_flow(const struct strv *lines, struct buf *out)
{
	for (size_t i = 0; i < lines->n; i++)
		buf_addf(out, strchr(lines->items[i], ' ') ? "{%s}, " : "%s, ", lines->items[i]);
	buf_adds(out, "\n");
}

static bool has_plain_name(const char *name)
{
	for (; *name; name++)
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/+",
			    *name))
			return false;
	return true;
}

/* A file of its own that extends the policy: its rules are nearer, so they win. */
static void print_new_file(const struct policy *policy, const struct strv *lines, struct buf *out)
{
	const char *slash = strrchr(policy->name, '/');
	const char *base = slash ? slash + 1 : policy->name;
	const char *dot = strrchr(base, '.');
	size_t stem = dot && dot != base ? (size_t)(dot - base) : strlen(base);
	auto_cleanup(buf) name = {0};
	auto_cleanup(buf) extends = {0};

	buf_addf(&extends, "%s%s", policy->is_builtin ? "" : "./", base);
	str_printable(&name, policy->name, (size_t)(base - policy->name) + stem, PATH_MAX, false);
	buf_addf(out,
		 "if that was not meant, write these lines to %s-more.yml and use it instead "
		 "(--policy %s%s-more.yml):\nversion: 1\nextends: ",
		 name.data, slash ? "" : "./", name.data);
	if (has_plain_name(extends.data))
		buf_adds(out, extends.data);
	else
		json_add_string(out, extends.data, extends.len, PATH_MAX);
	buf_adds(out, "\nallow:\n");
	print_block(lines, 2, out);
}

static bool has_own_allow(const struct policy *policy)
{
	for (size_t i = 0; i < policy->n; i++)
		if (policy->rules[i].action.kind == POLICY_ALLOW)
			return true;
	return false;
}

static void print_lines(const struct policy *policy, const struct strv *lines, struct buf *out)
{
	unsigned int line = policy->allow_at.line, column = policy->allow_at.column;

	if (policy->is_builtin || policy->format != FORMAT_JAIL || (!line && has_own_allow(policy)))
		return print_new_file(policy, lines, out);
	buf_adds(out, "if that was not meant, add to ");
	str_printable(out, policy->name, strlen(policy->name), PATH_MAX, false);
	if (!line) {
		buf_adds(out, ":\nallow:\n");
		print_block(lines, 2, out);
	} else if (policy->allow_is_flow) {
		buf_addf(out, ", in line %u, behind the [ in column %u:\n", line, column);
		print_flow(lines, out);
	} else {
		buf_addf(out, ", before line %u, in its list `allow`:\n", line);
		print_block(lines, column - 1, out);
	}
}

void refusals_print(const struct refusals *refusals, const struct policy *policy, struct buf *out)
{
	const struct entry *entries[REFUSALS_MAX];
	size_t n = sorted(refusals, entries);
	auto_cleanup(strv) lines = {0};

	if (!refusals->total)
		return;
	if (refusals_matter(refusals)) {
		buf_addf(out, "jail: system calls were refused %" PRIu64 " %s by policy ",
			 refusals->total, times(refusals->total));
		str_printable(out, policy->name, strlen(policy->name), PATH_MAX, false);
		buf_adds(out, ":\n");
		print_table(entries, n, out);
	}
	if (refusals->not_kept)
		buf_addf(out, "  %7" PRIu64 "  of more different ones than are told apart\n",
			 refusals->not_kept);
	print_done_without(entries, n, out);
	print_fixed(entries, n, policy, out);
	collect_lines(refusals, policy, &lines);
	if (!lines.n)
		return;
	buf_adds(out,
		 "(one run with --learn FILE in place of --policy finds all that is needed)\n");
	print_lines(policy, &lines, out);
}

/* --- for programs ----------------------------------------------------------------------------- */

static void print_entry_json(const struct entry *e, struct buf *out)
{
	auto_cleanup(buf) call = {0};
	auto_cleanup(buf) action = {0};
	auto_cleanup(buf) place = {0};

	print_call(e, &call);
	policy_action_print(&e->decision.action, &action);
	decision_print_place(&e->decision, &place);
	buf_adds(out, "{");
	json_add_text(out, "call", e->call ? e->call->name : NULL);
	json_add_key(out, "nr");
	buf_addf(out, "%d", e->nr);
	json_add_text(out, "rule", call.data);
	json_add_u64(out, "count", e->count);
	json_add_text(out, "action", action.data);
	json_add_text(out, "by", place.data);
	json_add_text(out, "program", e->program);
	json_add_key(out, "done_without");
	buf_adds(out, is_done_without(e) ? "true}" : "false}");
}

void refusals_print_json(const struct refusals *refusals, const struct policy *policy,
			 struct buf *out)
{
	const struct entry *entries[REFUSALS_MAX];
	size_t n = sorted(refusals, entries);
	auto_cleanup(strv) lines = {0};

	json_add_u64(out, "refusals", refusals->total);
	json_add_key(out, "refused");
	buf_adds(out, "[");
	for (size_t i = 0; i < n; i++) {
		buf_adds(out, i ? ", " : "");
		print_entry_json(entries[i], out);
	}
	buf_adds(out, "]");
	collect_lines(refusals, policy, &lines);
	json_add_key(out, "add");
	buf_adds(out, "[");
	for (size_t i = 0; i < lines.n; i++) {
		buf_adds(out, i ? ", " : "");
		json_add_string(out, lines.items[i], strlen(lines.items[i]), SIZE_MAX);
	}
	buf_adds(out, "]");
}
