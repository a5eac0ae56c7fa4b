#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "jail/base/io.h"
#include "jail/cmd-policy.h"
#include "jail/filter/simulate.h"
#include "jail/inspect/stats.h"
#include "jail/policy/policy-load.h"

struct args {
	const char *arch, *kernel, *caps, *format, *output;
};

#define AT(member) offsetof(struct args, member)
static const struct opt options[] = {
	{0, "arch", "A", OPT_STRING, AT(arch),
	 "amd64 or arm64 (default: this machine's; pseudo: both)"},
	{0, "kernel", "K", OPT_STRING, AT(kernel), "the kernel it is for (default: this one)"},
	{0, "caps", "LIST", OPT_STRING, AT(caps),
	 "capabilities that the program keeps\n(default: the policy's)"},
	{0, "format", "F", OPT_STRING, AT(format),
	 "pseudo: text, one instruction a line (default)\n"
	 "bpf: the bytes for seccomp(2) or bwrap --seccomp\n"
	 "c: an initialiser of struct sock_filter"},
	{'o', "output", "FILE", OPT_STRING, AT(output), "where it goes (default: stdout)"},
};
static const struct cmd_policy_usage usage = {
	.verb = "compile",
	.operands = "FILE",
	.about = "Compile a policy to the filter that the kernel runs, and say what it costs. The "
		 "filter alone\n"
		 "does what needs no supervisor; execve passes only where the policy allows it.",
	.min = 1,
	.max = 1,
};

enum format { PSEUDO, BPF, C_SOURCE };

static void print_c(const struct filter *filter, struct buf *out)
{
	for (size_t i = 0; i < filter->n; i++) {
		const struct sock_filter *insn = &filter->insns[i];

		buf_addf(out, "{0x%02x, %u, %u, 0x%08x},\n", insn->code, insn->jt, insn->jf,
			 insn->k);
	}
}

static int compile(const struct policy *policy, const struct filter_target *target,
		   enum format format, struct buf *out, struct err *err)
{
	const char *comment = format == C_SOURCE ? "// " : "# ";
	const struct filter_options plain = {.mode = FILTER_PLAIN};
	auto_cleanup(filter_model) model = {0};
	auto_cleanup(filter) filter = {0};
	struct filter_stats stats;

	if (filter_model_make(policy, target, &model, err) < 0 ||
	    filter_compile(&model, &plain, &filter, err) < 0 || filter_check(&filter, err) < 0)
		return -err->code;
	if (format == BPF) {
		buf_add(out, filter.insns, filter.n * sizeof(*filter.insns));
		return 0;
	}
	filter_stats(&filter, target->arch, &stats);
	buf_addf(out,
		 "%s%s, %s, Linux %u.%u: %zu instructions; a call runs %.1f on average, %u at "
		 "most\n",
		 comment, policy->name, arch_name(target->arch), target->kernel.part[0],
		 target->kernel.part[1], stats.insns, stats.average, stats.longest);
	if (format == C_SOURCE)
		print_c(&filter, out);
	else
		filter_print(&filter, target->arch, out);
	return 0;
}

static int parse_format(const char *name, enum format *ret, struct err *err)
{
	static const char *const names[] = {[PSEUDO] = "pseudo", [BPF] = "bpf", [C_SOURCE] = "c"};

	for (size_t i = 0; i < array_len(names); i++) {
		if (!name || str_eq(name, names[i])) {
			*ret = i;
			return 0;
		}
	}
	return err_set(err, EINVAL, "--format %.40s: pseudo, bpf or c expected", name);
}

int cmd_policy_compile(int argc, char **argv)
{
	auto_cleanup(policy) policy = {0};
	auto_cleanup(buf) out = {0};
	enum format format = PSEUDO;
	struct filter_target target;
	struct args args = {0};
	struct err err = {0};
	int operands = 0, code;

	code = cmd_policy_options(&usage, options, array_len(options), argc, argv, &args,
				  &operands);
	if (code >= 0)
		return code;
	if (parse_format(args.format, &format, &err) < 0 ||
	    cmd_policy_target(args.arch, args.kernel, args.caps, &target, &err) < 0)
		return cmd_policy_misuse(&usage, &err);
	if (format == BPF && !args.output && isatty(STDOUT_FILENO)) {
		err_set(&err, EINVAL, "--format bpf: not to a terminal; say where with -o FILE");
		return cmd_policy_misuse(&usage, &err);
	}
	if (policy_load(argv[operands], &policy, &err) < 0)
		return cmd_policy_fail(&err);
	cmd_policy_target_caps(args.caps, &policy, &target);
	for (unsigned int arch = 0; arch < ARCH_COUNT; arch++) {
		if (arch != target.arch && (args.arch || format != PSEUDO))
			continue;
		if (compile(&policy, &(struct filter_target){arch, target.kernel, target.caps},
			    format, &out, &err) < 0)
			return cmd_policy_fail(&err);
	}
	return cmd_policy_write(&out, args.output, 0);
}
