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
