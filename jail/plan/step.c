#include "jail/plan/step.h"

#include <stdlib.h>

void plan_deinit(struct plan *plan)
{
	for (size_t i = 0; i < plan->n; i++) {
		struct step *s = &plan->steps[i];

		free(s->source);
		free(s->target);
		free(s->type);
		free(s->data);
		free(s->what);
	}
	free(plan->steps);
	buf_deinit(&plan->uid_map);
	buf_deinit(&plan->gid_map);
	*plan = (struct plan){0};
}

struct step *plan_add(struct plan *plan, enum step_op op, uint64_t value, const char *fmt, ...)
{
	auto_cleanup(buf) what = {0};
	va_list ap;

	va_start(ap, fmt);
	buf_vaddf(&what, fmt, ap);
	va_end(ap);
	plan->steps = xreallocarray(plan->steps, plan->n + 1, sizeof(*plan->steps));
	plan->steps[plan->n] = (struct step){.op = op, .value = value, .fd = -1};
	plan->steps[plan->n].what = take_ptr(what.data);
	return &plan->steps[plan->n++];
}
