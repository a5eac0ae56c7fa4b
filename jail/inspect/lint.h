/*
 * lint.h - what is wrong with a policy that can be read: rules that never match, rules without
 * effect on some machine, allowances that defeat a sandbox, refusals that are easily got round.
 *
 * Pure. Dead rules are looked for in the policy's own file, since a rule that hides one of what is
 * extended is what `extends` is for; dangers are looked for in the whole, since all of it counts.
 */
#ifndef JAIL_INSPECT_LINT_H
#define JAIL_INSPECT_LINT_H

#include "jail/filter/model.h"

enum finding_kind {
	FINDING_READER,	   /* what the reader of the file warned of */
	FINDING_DEAD,	   /* a rule, or a condition, that makes no difference anywhere */
	FINDING_NO_EFFECT, /* a rule that makes none on an architecture or kernel */
	FINDING_DANGER,	   /* an allowance that gives a way out, or more than it seems to */
	FINDING_GAP,	   /* a refusal that another call gets round */
	FINDING_AGE,	   /* what the author could not know */
	FINDING_KINDS,
};

struct finding {
	enum finding_kind kind;
	bool is_note;	      /* to know, not to act on */
	const char *file;     /* the name of the policy that holds it */
	struct policy_pos at; /* line 0: the file as a whole */
	unsigned int arches;  /* bits 1 << enum arch; 0: it is not about architectures */
	const char *call;     /* NULL: not about one */
	/* what text is about, when one text serves for many: a call, "ioctl(TIOCSTI)"; NULL */
	const char *subject;
	const char *instead; /* what stands for the call where it is not; NULL */
	char *text;	     /* owned: what; with a subject, what is said of it */
	const char *why;     /* static: what follows from it; NULL when text says all */
};

/* In the order of files and positions once policy_lint() has returned. */
struct findings {
	struct finding *items;
	size_t n, cap;
};
enum { FINDINGS_MAX = 4096 }; /* further ones are left out */
void findings_deinit(struct findings *findings);
DEFINE_CLEANUP(findings, findings_deinit)

struct lint_options {
	unsigned int arches; /* bits; 0: all */
	bool has_kernel;
	struct kver kernel; /* what it would do there; otherwise on the newest */
	bool has_age;
	struct kver age; /* is it older than this kernel: policy_age_check() */
};

/* The policy as policy_load() made it; it must outlive the findings. Adds to *ret. */
void policy_lint(const struct policy *policy, const struct lint_options *options,
		 struct findings *ret);

/* "dead", "no-effect", "danger", … */
const char *finding_kind_name(enum finding_kind kind);

/*
 * Add one; the same one for another architecture joins the first. Ownership of finding.text is
 * handed over. For policy_lint()'s parts and for those who add findings of their own.
 */
void findings_add(struct findings *findings, struct finding finding);
/* policy_lint()'s parts: the rules of the file, the decisions of the whole. */
void lint_rules(const struct policy *policy, const struct lint_options *options,
		struct findings *ret);
void lint_dangers(const struct filter_model *model, struct findings *ret);
void lint_gaps(const struct filter_model *model, struct findings *ret);

#endif
