/*
 * policy.h - the model of a policy: what a file says, in memory. docs/jail-policy.5 is the format.
 *
 * Pure. Every reader (policy-yaml.h, policy-oci.h, policy-backend-ai.h, learn.h) makes one of
 * these, every writer (policy-print.h, …) takes one. A policy is one file; those that it extends
 * hang below it once they are loaded (policy-load.h). What it means for one machine is
 * jail/filter/model.h.
 *
 * Which rule wins: the nearest file that has a rule for the call (and these arguments) decides, a
 * file before those that it extends, and these in their order; within a file the strictest action
 * (the larger enum policy_kind). A call that no rule matches gets `fallback`, one that the policy's
 * author could not know `unknown`.
 */
#ifndef JAIL_POLICY_POLICY_H
#define JAIL_POLICY_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "jail/base/arch.h"
#include "jail/base/cleanup.h"
#include "jail/base/err.h"
#include "jail/base/kver.h"
#include "jail/base/str.h"
#include "jail/policy/syscalls.h"

/* From the mildest to the strictest. */
enum policy_kind {
	POLICY_UNSET, /* a fallback or `unknown` that the file does not give: inherited */
	POLICY_ALLOW,
	POLICY_LOG,	    /* allowed, and written to the kernel's log */
	POLICY_NOTIFY,	    /* allowed by jail itself, which sees it: --debug, --log, plugins */
	POLICY_ERRNO,	    /* refused: the call fails with error */
	POLICY_TRAP,	    /* refused: SIGSYS that the program may handle */
	POLICY_KILL_THREAD, /* the thread dies by SIGSYS */
	POLICY_KILL,	    /* the whole process dies by SIGSYS */
};

struct policy_action {
	enum policy_kind kind;
	int error; /* POLICY_ERRNO only: positive errno, at most POLICY_ERRNO_MAX */
};
enum { POLICY_ERRNO_MAX = 4095 };

enum policy_op {
	POLICY_EQ,
	POLICY_NE,
	POLICY_LT,
	POLICY_LE,
	POLICY_GT,
	POLICY_GE,
	POLICY_MASKED_EQ, /* (argument & mask) == value */
};

/*
 * One comparison, unsigned. Constants may differ between architectures (O_DIRECTORY does), so there
 * is a value for each.
 */
struct policy_cond {
	unsigned char arg; /* 0..5 */
	enum policy_op op;
	bool is_32bit; /* only the low 32 bits count: the kernel takes an int (call-args.h) */
	uint64_t value[ARCH_COUNT], mask[ARCH_COUNT]; /* mask: POLICY_MASKED_EQ only */
	/* as it was written ("AF_UNIX", "CLONE_NEWUSER|CLONE_NEWNS"); NULL: print the number */
	char *text, *mask_text;
};
enum { POLICY_CONDS_MAX = 12 }; /* of one rule; all must hold */

/* When a rule counts at all; {0}: always. */
struct policy_when {
	unsigned int arches;	  /* bits 1 << enum arch; 0: all */
	bool never;		  /* only for architectures that jail does not run on */
	struct kver_range kernel; /* of the running kernel */
	uint64_t caps, no_caps;	  /* the program keeps all of caps, and none of no_caps */
};

/* Where a file says something; file is the policy's name. Line 0: nowhere. */
struct policy_pos {
	unsigned int line, column;
};

struct policy_rule {
	const struct syscall_def *call;
	struct policy_action action;
	struct policy_cond *conds; /* owned; all must hold */
	size_t n_conds;
	struct policy_when when;
	const char *group; /* "@file-read" when the rule came of a group (static); NULL */
	uint64_t count;	   /* how often it was seen when it was learned; 0: not learned */
	struct policy_pos at;
};

enum policy_limit {
	LIMIT_EXEC,	  /* execve and execveat after the command's own */
	LIMIT_FORK,	  /* processes and threads started, in all */
	LIMIT_PROCESSES,  /* processes and threads at once: pids.max */
	LIMIT_OPEN_FILES, /* RLIMIT_NOFILE */
	LIMIT_MEMORY,	  /* bytes: memory.max */
	LIMIT_CPU_TIME,	  /* ms: of all processes together */
	LIMIT_WALL_TIME,  /* ms */
	LIMIT_FILE_SIZE,  /* bytes: RLIMIT_FSIZE */
	LIMIT_OUTPUT,	  /* bytes: written to stdout and stderr, both together */
	LIMIT_CPUS,	  /* thousandths of a processor: cpu.max */
	LIMIT_COUNT,
};

enum policy_network {
	NETWORK_UNSET,
	NETWORK_HOST,	  /* the caller's network */
	NETWORK_NONE,	  /* a net namespace, not even lo is up */
	NETWORK_LOOPBACK, /* a net namespace with lo */
};

enum policy_tristate { TRI_UNSET, TRI_NO, TRI_YES };

/* A path or port as the file gives it; a path is not looked at before the start. */
struct policy_path {
	char *path; /* owned; absolute, or relative to the folder that the command starts in */
	unsigned int rights; /* PATH_* */
	struct policy_pos at;
	const char *file; /* after loading: the name of the policy that lists it; NULL: this one */
};
enum { PATH_READ = 1, PATH_WRITE = 2, PATH_EXECUTE = 4 };

struct policy_port {
	uint16_t port;
	unsigned int rights; /* PORT_* */
	struct policy_pos at;
	const char *file; /* the same */
};
enum { PORT_BIND = 1, PORT_CONNECT = 2 };

/* Everything but rules. What is unset is inherited; a list that is set replaces the inherited one.
 */
struct policy_settings {
	struct {
		bool is_set;
		bool is_unlimited; /* `none`: lifts an inherited limit */
		uint64_t value;
		struct policy_pos at;
		const char *file; /* after loading: the name of the policy that set it */
	} limits[LIMIT_COUNT];
	struct {
		enum policy_tristate preserve_all; /* of the caller's environment (default: yes) */
		bool has_preserve;
		struct strv preserve; /* names; a * at the end matches the rest */
		struct strv set;      /* NAME=VALUE; added to the inherited ones */
		struct strv unset;    /* names, the same patterns; added to the inherited ones */
	} env;
	bool has_paths; /* Landlock: what is not listed cannot be reached */
	struct policy_path *paths;
	size_t n_paths;
	bool has_ports; /* the same for TCP ports */
	struct policy_port *ports;
	size_t n_ports;
	enum policy_tristate best_effort; /* what the kernel cannot enforce is named, not refused */
	bool has_caps, caps_are_all;
	uint64_t caps;
	bool has_namespaces;
	unsigned int namespaces; /* NS_* of namespace.h */
	enum policy_network network;
	struct policy_pos network_at, paths_at, ports_at, caps_at, namespaces_at;
	struct strv plugins;	 /* absolute paths; added to the inherited ones */
	struct strv plugin_args; /* NAME=VALUE given to them */
};

enum policy_format { FORMAT_JAIL, FORMAT_OCI, FORMAT_BACKEND_AI };

struct policy {
	char *name; /* as given to the reader: a path, or the name of a built-in profile */
	enum policy_format format;
	bool is_builtin; /* a profile of jail's own: set by policy-load.h */
	/* where a line for `allow` goes: before its first entry (flow: behind its bracket); line 0:
	   the file has no such list */
	struct policy_pos allow_at;
	bool allow_is_flow;  /* [a, b]; else an entry a line */
	char *summary;	     /* NULL: none */
	char *source, *date; /* where a profile comes from; "YYYY-MM-DD". NULL: not said */
	bool has_known;
	struct kver known;	       /* calls newer than this kernel are unknown to the author */
	struct policy_action fallback; /* for every call that no rule matches */
	struct policy_action unknown;  /* for calls newer than `known` (default: ENOSYS, when
					  fallback refuses) */
	struct policy_pos fallback_at;
	struct policy_rule *rules;
	size_t n, cap;
	struct strv extends;	       /* as written: names of built-in profiles, or paths */
	struct policy_pos *extends_at; /* one for each */
	struct policy *bases;	       /* owned, loaded by policy-load.c: one for each of extends */
	size_t n_bases;
	struct policy_settings settings; /* own ones; after loading with the inherited ones */
	struct {
		const struct syscall_def *call;
		uint64_t count;
	} * frequency; /* hints: calls made most often, for the order in the filter */
	size_t n_frequency;
	struct strv warnings; /* "name:line:column: text", of the reader; never errors */
};

void policy_deinit(struct policy *policy);
DEFINE_CLEANUP(policy, policy_deinit)

/* Append an empty rule; valid until the next one is added. */
struct policy_rule *policy_add_rule(struct policy *policy);
/* Append a comparison to a rule: the caller fills it. NULL when there are POLICY_CONDS_MAX. */
struct policy_cond *policy_add_cond(struct policy_rule *rule);
/* A deep copy of the rule's own memory. */
void policy_copy_rule(const struct policy_rule *from, struct policy_rule *to);
void policy_rule_deinit(struct policy_rule *rule);

/* Whether the call is made: allow, log or notify. */
static inline bool policy_kind_allows(enum policy_kind kind)
{
	return kind >= POLICY_ALLOW && kind <= POLICY_NOTIFY;
}

static inline bool policy_action_equal(const struct policy_action *a, const struct policy_action *b)
{
	return a->kind == b->kind && a->error == b->error;
}

/* Whether rules with it hold on every machine. */
static inline bool policy_when_is_always(const struct policy_when *when)
{
	return !when->arches && !when->never && !when->kernel.n && !when->caps && !when->no_caps;
}

/* Bits of the capabilities that a program keeps by the policy. */
static inline uint64_t policy_caps(const struct policy *policy)
{
	const struct policy_settings *s = &policy->settings;

	return s->caps_are_all ? UINT64_MAX : s->has_caps ? s->caps : 0;
}

/* The errno of a name ("EPERM") or a number in [1, POLICY_ERRNO_MAX]; 0 when it is neither. */
int policy_errno_parse(const char *text);
/* "allow", "log", "notify", "errno EPERM", "trap", "kill-thread", "kill": appends to out. */
void policy_action_print(const struct policy_action *action, struct buf *out);
/* "exec", "open-files", …: the key of a limit in a file. */
const char *policy_limit_name(enum policy_limit limit);
/* "eq", "masked_eq", … */
const char *policy_op_name(enum policy_op op);

/* Whether one of the names, or of the patterns with a * at the end, is for a variable. */
bool policy_env_matches(const struct strv *patterns, const char *name, size_t len);

/* "policy.yml:12:9: text" into the policy's warnings. */
void policy_warn(struct policy *policy, struct policy_pos at, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
