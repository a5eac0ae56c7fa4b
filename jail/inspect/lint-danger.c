/* What the whole policy lets through, asked of the model: so it holds whatever the rules look like.
 */
#include <errno.h>
#include <linux/capability.h>
#include <linux/ptrace.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/socket.h>

#include "jail/base/cleanup.h"
#include "jail/inspect/cond-solve.h"
#include "jail/inspect/lint-parts.h"
#include "jail/policy/call-args.h"
#include "jail/policy/groups.h"

enum { NO_CAP = -1, PROBES_MAX = 4 };

/*
 * An allowance and why it is one to think about. Without probes any form of the call counts; with
 * them, the call with argument `arg` one of these.
 */
struct danger {
	const char *call;
	int cap;	  /* the kernel asks for it; NO_CAP: for none */
	const char *what; /* NULL: "CALL" */
	const char *why;
	unsigned char arg, n_probes;
	uint64_t probes[PROBES_MAX];
};

#define ANY(c, k, w)                          \
	{                                     \
		.call = c, .cap = k, .why = w \
	}
#define WITH(c, shown, w, a, ...)                                                \
	{                                                                        \
		.call = c, .cap = NO_CAP, .what = shown, .why = w, .arg = a,     \
		.probes = {__VA_ARGS__},                                         \
		.n_probes = sizeof((uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t) \
	}
#define MEMORY "reads and writes other processes of the same user"
#define MOUNT "mounts change what every path means, and what is read-only or hidden"
#define KEYS "keyrings are no namespace's: a program reaches the keys of others of the same user"
#define URING                                                                                       \
	"its operations (open, connect, send…) are made by the kernel without a system call: no " \
	"rule sees them"
#define MODULE "a module is code in the kernel: nothing holds it"
#define NEWUSER                                                                                    \
	"a new user namespace gives every capability inside it, and with them most of the kernel " \
	"that needs root: the way of many escapes"
#define PORTS "port I/O reaches the hardware past the kernel"

static const struct danger dangers[] = {
	WITH("ptrace", "ptrace of another process", MEMORY ", and makes them do its calls", 0,
	     PTRACE_ATTACH, PTRACE_SEIZE, PTRACE_POKEDATA),
	ANY("process_vm_readv", NO_CAP, "reads the memory of other processes of the same user"),
	ANY("process_vm_writev", NO_CAP, MEMORY),
	ANY("process_madvise", NO_CAP, "drops pages of other processes' memory"),
	ANY("pidfd_getfd", NO_CAP, "takes open files, sockets too, out of other processes"),
	ANY("kcmp", NO_CAP, "tells how kernel objects of other processes are ordered in memory"),
	ANY("bpf", NO_CAP,
	    "loads programs into the kernel; its verifier has let through many that it should not"),
	ANY("userfaultfd", NO_CAP,
	    "stops the kernel in the middle of copying memory: what makes its races easy to win"),
	ANY("perf_event_open", NO_CAP,
	    "measures other programs and the kernel, and has been a way into it often"),
	ANY("io_uring_setup", NO_CAP, URING),
	ANY("io_uring_enter", NO_CAP, URING),
	ANY("io_uring_register", NO_CAP, URING),
	ANY("keyctl", NO_CAP, KEYS),
	ANY("add_key", NO_CAP, KEYS),
	ANY("request_key", NO_CAP, KEYS),
	WITH("personality", "personality(ADDR_NO_RANDOMIZE or READ_IMPLIES_EXEC)",
	     "makes memory predictable, or data executable, for all that is executed later", 0,
	     ADDR_NO_RANDOMIZE, READ_IMPLIES_EXEC),
	WITH("clone", "clone(CLONE_NEWUSER)", NEWUSER, 0, CLONE_NEWUSER,
	     CLONE_NEWUSER | CLONE_NEWNS | SIGCHLD, CLONE_NEWUSER | CLONE_NEWPID | SIGCHLD),
	WITH("unshare", "unshare(CLONE_NEWUSER)", NEWUSER, 0, CLONE_NEWUSER,
	     CLONE_NEWUSER | CLONE_NEWNS),
	ANY("clone3", NO_CAP,
	    "its flags are in memory, where no filter looks, so CLONE_NEWUSER passes; refuse it "
	    "with "
	    "ENOSYS: libc then uses clone, whose flags can be compared"),
	WITH("ioctl", "ioctl(TIOCSTI)",
	     "types into the terminal that the sandbox shares with the shell that started it", 1,
	     TIOCSTI),
	WITH("ioctl", "ioctl(TIOCLINUX)",
	     "pastes into a virtual console, as TIOCSTI types into a terminal", 1, TIOCLINUX),
	WITH("socket", "socket(AF_VSOCK)",
	     "talks to the hypervisor and other machines past the network namespace", 0, AF_VSOCK),
	ANY("setns", CAP_SYS_ADMIN, "enters the namespaces of other processes, the host's too"),
	ANY("open_by_handle_at", CAP_DAC_READ_SEARCH,
	    "opens files by number, past every folder's permissions and what is mounted"),
	ANY("mount", CAP_SYS_ADMIN, MOUNT),
	ANY("umount2", CAP_SYS_ADMIN, MOUNT),
	ANY("pivot_root", CAP_SYS_ADMIN, MOUNT),
	ANY("move_mount", CAP_SYS_ADMIN, MOUNT),
	ANY("open_tree", CAP_SYS_ADMIN, MOUNT),
	ANY("fsopen", CAP_SYS_ADMIN, MOUNT),
	ANY("fsconfig", CAP_SYS_ADMIN, MOUNT),
	ANY("fsmount", CAP_SYS_ADMIN, MOUNT),
	ANY("fspick", CAP_SYS_ADMIN, MOUNT),
	ANY("mount_setattr", CAP_SYS_ADMIN, MOUNT),
	ANY("chroot", CAP_SYS_CHROOT, "leads out of another chroot"),
	ANY("kexec_load", CAP_SYS_BOOT, "starts another kernel"),
	ANY("kexec_file_load", CAP_SYS_BOOT, "starts another kernel"),
	ANY("reboot", CAP_SYS_BOOT, "stops the machine"),
	ANY("init_module", CAP_SYS_MODULE, MODULE),
	ANY("finit_module", CAP_SYS_MODULE, MODULE),
	ANY("delete_module", CAP_SYS_MODULE, "takes drivers away from the whole machine"),
	ANY("iopl", CAP_SYS_RAWIO, PORTS),
	ANY("ioperm", CAP_SYS_RAWIO, PORTS),
};

static struct decision decide(const struct filter_model *model, int nr, const uint64_t args[6])
{
	return filter_decide(model, filter_audit_arch(model->target.arch), nr, args);
}

static bool allows(const struct filter_model *model, int nr, const uint64_t args[6],
		   struct decision *how)
{
	*how = decide(model, nr, args);
	return policy_kind_allows(how->action.kind);
}

/* Whether some form of the call is allowed: without arguments, or with those a rule asks for. */
static bool allows_some(const struct filter_model *model, int nr, struct decision *how)
{
	const struct filter_call *call = &model->calls[nr];
	uint64_t args[6] = {0};

	if (allows(model, nr, args, how))
		return true;
	for (size_t i = 0; i < call->n; i++)
		if (conds_can_hold(call->rules[i].conds, call->rules[i].n_conds, model->target.arch,
				   args, NULL) &&
		    allows(model, nr, args, how))
			return true;
	return false;
}

static bool allows_danger(const struct filter_model *model, const struct danger *danger, int nr,
			  struct decision *how)
{
	if (!danger->n_probes)
		return allows_some(model, nr, how);
	for (unsigned int i = 0; i < danger->n_probes; i++) {
		uint64_t args[6] = {0};

		args[danger->arg] = danger->probes[i];
		if (allows(model, nr, args, how))
			return true;
	}
	return false;
}

static struct finding finding_make(const struct filter_model *model, const struct decision *how,
				   enum finding_kind kind, const char *call)
{
	struct finding finding = {.kind = kind,
				  .file = how->policy->name,
				  .arches = 1U << model->target.arch,
				  .call = call};

	if (how->rule)
		finding.at = how->rule->at;
	else if (how->why != BY_UNKNOWN || how->policy->unknown.kind == POLICY_UNSET)
		finding.at = how->policy->fallback_at;
	return finding;
}

static const char *by_what(const struct decision *how)
{
	return how->why == BY_DEFAULT ? " by default" : how->why == BY_UNKNOWN ? " as unknown" : "";
}

/* These count on the machine alone, those of a user namespace do not: user_namespaces(7). */
static bool is_of_machine(int cap)
{
	return cap == CAP_SYS_BOOT || cap == CAP_SYS_MODULE || cap == CAP_SYS_RAWIO ||
	       cap == CAP_DAC_READ_SEARCH;
}

/* Whether the program has the capability, or may make a user namespace and have it there. */
static bool may_hold(const struct filter_model *model, int cap)
{
	const uint64_t args[6] = {CLONE_NEWUSER};
	enum arch arch = model->target.arch;
	struct decision how;

	if (cap == NO_CAP || model->target.caps & UINT64_C(1) << cap)
		return true;
	if (is_of_machine(cap))
		return false;
	return allows(model, syscall_find("unshare")->nr[arch], args, &how) ||
	       allows(model, syscall_find("clone")->nr[arch], args, &how);
}

static void check_danger(const struct filter_model *model, const struct danger *danger,
			 struct findings *ret)
{
	const struct syscall_def *call = syscall_find(danger->call);
	int nr = call ? call->nr[model->target.arch] : -1;
	struct finding finding;
	struct decision how;

	if (nr < 0 || !allows_danger(model, danger, nr, &how))
		return;
	finding = finding_make(model, &how, FINDING_DANGER, call->name);
	finding.is_note = !may_hold(model, danger->cap);
	finding.why = danger->why;
	finding.subject = danger->what ? danger->what : call->name;
	finding.text =
		str_printf("allowed%s%s", by_what(&how),
			   finding.is_note ? ", and only the missing capability refuses it" : "");
	findings_add(ret, finding);
}

/* ptrace finds the addresses, process_vm_writev writes there: a whole debugger, at full speed. */
static void check_debugger(const struct filter_model *model, struct findings *ret)
{
	const enum arch arch = model->target.arch;
	struct decision trace, write;
	struct finding finding;

	if (!allows_some(model, syscall_find("ptrace")->nr[arch], &trace) ||
	    !allows_some(model, syscall_find("process_vm_writev")->nr[arch], &write))
		return;
	finding = finding_make(model, &write, FINDING_DANGER, "process_vm_writev");
	finding.why =
		"together they take over any process of the same user: it then makes the calls, "
		"under its own filter or none";
	finding.text = xstrdup("ptrace and process_vm_writev are both allowed");
	findings_add(ret, finding);
}

/*
 * 32-bit arguments compared as 64 bits: the kernel drops the high half, the filter does not, so
 * that one high bit makes a refused value another one.
 */
static void check_truncation(const struct filter_model *model, int nr,
			     const struct syscall_def *call, struct findings *ret)
{
	const enum arch arch = model->target.arch;
	const struct filter_call *rules = &model->calls[nr];

	for (size_t i = 0; i < rules->n; i++) {
		const struct filter_rule *rule = &rules->rules[i];

		for (size_t j = 0; j < rule->n_conds; j++) {
			const struct policy_cond *cond = &rule->conds[j];
			const char *name = call_args(call)[cond->arg].name;
			uint64_t args[6];
			struct decision how;
			struct finding finding;

			if (cond->is_32bit || !call_arg_is_32bit(call, cond->arg))
				continue;
			conds_can_hold(rule->conds, rule->n_conds, arch, args, NULL);
			args[cond->arg] = cond->value[arch] & UINT32_MAX;
			if (allows(model, nr, args, &how))
				continue;
			args[cond->arg] |= UINT64_C(1) << 32;
			if (!allows(model, nr, args, &how))
				continue;
			finding = finding_make(
				model,
				&(struct decision){.rule = rule->rule, .policy = rule->policy},
				FINDING_DANGER, call->name);
			finding.why = "the filter compares 64 bits, the kernel drops the high ones";
			finding.text = str_printf("%s: 0x%llx passes for 0x%llx, which is refused: "
						  "%s is an int",
						  call->name, (unsigned long long)args[cond->arg],
						  (unsigned long long)(uint32_t)args[cond->arg],
						  name ? name : "the argument");
			findings_add(ret, finding);
		}
	}
}

/* What jail sees of a notified call's paths may be something else by the time the kernel looks. */
static void check_notify(const struct filter_model *model, int nr, const struct syscall_def *call,
			 struct findings *ret)
{
	const struct filter_call *rules = &model->calls[nr];
	const struct arg_def *args = call_args(call);
	bool has_memory = false;

	for (unsigned int i = 0; i < 6; i++)
		has_memory |= args[i].type >= ARG_PATH;
	for (size_t i = 0; has_memory && i < rules->n; i++) {
		const struct decision how = {.rule = rules->rules[i].rule,
					     .policy = rules->rules[i].policy};
		struct finding finding;

		if (rules->rules[i].action.kind != POLICY_NOTIFY)
			continue;
		finding = finding_make(model, &how, FINDING_DANGER, call->name);
		finding.is_note = true;
		finding.why =
			"the program's memory may change after jail has read it: to refuse paths, "
			"say 'paths'";
		finding.text = str_printf("%s: what is shown of its arguments is for people, not a "
					  "decision",
					  call->name);
		findings_add(ret, finding);
	}
}

static void check_unknown(const struct filter_model *model, struct findings *ret)
{
	struct decision how;
	struct finding finding;

	if (!allows(model, FILTER_CALLS_MAX, (const uint64_t[6]){0}, &how))
		return;
	finding = finding_make(model, &how, FINDING_DANGER, NULL);
	finding.why = "say 'unknown: ENOSYS': libc then does what it did before there was the call";
	finding.text = xstrdup("calls that nobody knows yet are allowed, whatever they will do");
	findings_add(ret, finding);
}

void lint_dangers(const struct filter_model *model, struct findings *ret)
{
	for (size_t i = 0; i < array_len(dangers); i++)
		check_danger(model, &dangers[i], ret);
	check_debugger(model, ret);
	check_unknown(model, ret);
	for (int nr = 0; nr < model->n_known; nr++) {
		const struct syscall_def *call = syscall_by_nr(model->target.arch, nr);

		if (!call)
			continue;
		check_truncation(model, nr, call, ret);
		check_notify(model, nr, call, ret);
	}
}

/* --- a refusal that another call of the family gets round ------------------------------------- */

static void check_gap(const struct filter_model *model, const struct filter_rule *rule,
		      const struct syscall_def *call, const char *const *family,
		      struct findings *ret)
{
	const enum arch arch = model->target.arch;
	const struct decision where = {.rule = rule->rule, .policy = rule->policy};
	auto_cleanup(buf) others = {0};
	struct finding finding;

	for (; *family; family++) {
		const struct syscall_def *other = syscall_find(*family);
		struct decision how;

		if (!other || other == call || other->nr[arch] < 0 ||
		    !allows(model, other->nr[arch], (const uint64_t[6]){0}, &how))
			continue;
		buf_addf(&others, "%s%s", others.len ? ", " : "", *family);
		if (!how.rule)
			buf_addf(&others, " (allowed%s)", by_what(&how));
	}
	if (!others.len)
		return;
	finding = finding_make(model, &where, FINDING_GAP, call->name);
	finding.why = "what the one refuses the other does";
	finding.text = str_printf("%s is refused, but not %s", call->name, others.data);
	findings_add(ret, finding);
}

/* ENOSYS is how libc is led from one call to another: no gap. */
void lint_gaps(const struct filter_model *model, struct findings *ret)
{
	for (int nr = 0; nr < model->n_known; nr++) {
		const struct syscall_def *call = syscall_by_nr(model->target.arch, nr);
		const struct filter_call *rules = &model->calls[nr];
		const char *const *family = call ? family_calls(call_family(call->name)) : NULL;

		if (!family || !rules->n || rules->rules[0].n_conds ||
		    policy_kind_allows(rules->rules[0].action.kind) ||
		    (rules->rules[0].action.kind == POLICY_ERRNO &&
		     rules->rules[0].action.error == ENOSYS))
			continue;
		check_gap(model, &rules->rules[0], call, family, ret);
	}
}
