/*
 * scenario-regex.h - is a regular expression of a scenario one that we are willing to compile?
 *
 * Pure. regcomp(3) of glibc copies the operand of a repetition, so that nested ones take memory
 * exponential in the length of the text.
 */
#ifndef LAB_SCENARIO_REGEX_H
#define LAB_SCENARIO_REGEX_H

#include "jail/base/err.h"

/* Returns 0, or -EINVAL with what is wrong (no position: the caller knows it). */
int scenario_regex_check(const char *regex, struct err *err);

#endif
