/*
 * findings.h - what was found in a policy: a list without doubles.
 *
 * Pure. Ownership: findings_deinit() releases the list and the texts; what else a finding points to
 * is not owned.
 */
#ifndef JAIL_INSPECT_FINDINGS_H
#define JAIL_INSPECT_FINDINGS_H

#include "jail/base/cleanup.h"
#include "jail/policy/policy.h"

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

struct findings {
	struct finding *items;
	size_t n, cap;
};
enum { FINDINGS_MAX = 4096 }; /* further ones are left out */
void findings_deinit(struct findings *findings);
DEFINE_CLEANUP(findings, findings_deinit)

/* "dead", "no-effect", "danger", … */
const char *finding_kind_name(enum finding_kind kind);

/*
 * Add one; the same one for another architecture joins the first. Ownership of finding.text is
 * handed over.
 */
void findings_add(struct findings *findings, struct finding finding);
/* By files, positions, warnings before notes, texts. */
void findings_sort(struct findings *findings);

#endif
