#include <string.h>

#include "lab/crash/crash-frame.h"
#include "lab/crash/crash-table.h"
#include "lab/crash/crash-title.h"
#include "lab/crash/crash.h"

bool crash_of_hang(const struct strv *stack, struct crash *ret)
{
	/* crash-headers.tab has it; no kernel prints it */
	static const char line[] = "lab: the machine hangs";
	struct crash_span star[CRASH_STARS];
	struct crash_report r = {
		.header = crash_header_find(line, star), .first_line = "", .access = ""};
	struct crash_stack s = {.flags = r.header->flags};

	for (size_t i = 0; i < stack->n; i++) {
		auto_free char *frame = str_printf(" %s", stack->items[i]);

		crash_stack_line(&s, frame);
	}
	if (!*s.guilty)
		return false;
	r.guilty = s.guilty;
	*ret = (struct crash){.stall = true};
	crash_title_make(&r, ret);
	return true;
}

static char *copy(const char *s)
{
	return s ? xstrdup(s) : NULL;
}

struct crash crash_copy(const struct crash *c)
{
	struct crash ret = *c;

	ret.title = copy(c->title);
	ret.type = copy(c->type);
	ret.signature = copy(c->signature);
	ret.guilty = copy(c->guilty);
	ret.first_line = copy(c->first_line);
	ret.alternatives = (struct strv){0};
	for (size_t i = 0; i < c->alternatives.n; i++)
		strv_add(&ret.alternatives, c->alternatives.items[i]);
	return ret;
}
