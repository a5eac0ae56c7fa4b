/*
 * kver.h - kernel versions and ranges of them.
 *
 * A version is up to three numbers; what follows ("-rc3", "-50-cloud-amd64", "+deb13") is ignored.
 * A range is a conjunction of comparisons separated by blanks or commas: ">=5.11", "<5.11",
 * ">=5.10 <6.1", "==6.1", "!=6.5". A comparison looks at as many numbers as the range gives, so
 * that
 * "==6.1" holds for 6.1.176 and "<=6.1" too.
 */
#ifndef BASE_KVER_H
#define BASE_KVER_H

#include <stdbool.h>
#include <stddef.h>

#include "jail/base/err.h"

struct kver {
	unsigned int part[3]; /* 6.1.176; missing parts are 0 */
};

enum { KVER_RANGE_MAX = 8 };

struct kver_range {
	size_t n; /* 0: every version */
	struct kver_cmp {
		enum { KVER_LT, KVER_LE, KVER_EQ, KVER_NE, KVER_GE, KVER_GT } op;
		int parts; /* 1..3 numbers given */
		struct kver than;
	} cmp[KVER_RANGE_MAX];
};

/* Returns 0 or -EINVAL (text names what is wrong). */
int kver_parse(const char *text, struct kver *ret, struct err *err);
int kver_range_parse(const char *text, struct kver_range *ret, struct err *err);
int kver_compare(const struct kver *a, const struct kver *b); /* <0, 0, >0 */
struct buf;
/* The range as text: ">=5.10 <6.1". */
void kver_range_print(struct buf *out, const struct kver_range *range);
bool kver_in_range(const struct kver *v, const struct kver_range *range);

#endif
