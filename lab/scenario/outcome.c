#include "lab/scenario/outcome.h"

void outcome_deinit(struct outcome *o)
{
	free(o->detail);
	free(o->release);
	strv_deinit(&o->notes);
	crash_deinit(&o->hang);
	dump_done_deinit(&o->dump);
	*o = (struct outcome){0};
}

void outcome_end(struct outcome *o, bool *over, enum ending ending, char *detail)
{
	auto_free char *unused = detail;

	if (*over)
		return;
	*over = true;
	o->ending = ending;
	if (detail) {
		free(o->detail);
		o->detail = take_ptr(unused);
	}
}
