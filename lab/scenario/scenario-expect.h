/*
 * scenario-expect.h - the `expect:` part of a scenario, and what it shares with the rest.
 *
 * Pure; for scenario.c only. Every function returns 0 or -EINVAL with path:line:column: text.
 */
#ifndef LAB_SCENARIO_EXPECT_H
#define LAB_SCENARIO_EXPECT_H

#include "jail/base/yaml.h"
#include "lab/scenario/scenario.h"

/* Fills s->expects, also on failure (scenario_deinit() releases it). */
int scenario_read_expects(const struct yaml *y, const struct yaml_node *node, struct scenario *s,
			  struct err *err);
void scenario_expect_deinit(struct expect *e);

/* "amd64", or a list of architectures: a bit mask. */
int scenario_read_archs(const struct yaml *y, const struct yaml_node *node, const char *what,
			unsigned int *ret, struct err *err);
int scenario_read_range(const struct yaml *y, const struct yaml_node *node, const char *what,
			struct kver_range *ret, struct err *err);
/* An option, or a list of them, with or without CONFIG_. */
int scenario_read_config(const struct yaml *y, const struct yaml_node *node, const char *what,
			 struct strv *ret, struct err *err);

#endif
