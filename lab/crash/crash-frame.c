#include "lab/crash/crash-frame.h"

#include <string.h>

#include "jail/base/str.h"
#include "lab/crash/crash-table.h"

#define NAME_BYTES "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_."

/* "name+0x12/0x34" at p, where a call may not return: then +0x0 is the function behind it. */
static bool symbol(const char *p, bool returns, char ret[CRASH_FUNCTION_MAX], bool *in_module)
{
	size_t n = strspn(p, NAME_BYTES);
	const char *rest = p + n;

	if (!n || n >= CRASH_FUNCTION_MAX || (*p >= '0' && *p <= '9') || *p == '.' ||
	    !str_starts(rest, "+0x"))
		return false;
	if (returns && str_starts(rest, "+0x0/"))
		return false;
	memcpy(ret, p, n);
	ret[n] = '\0';
	rest += strcspn(rest, " ");
	*in_module = str_starts(rest, " [");
	return true;
}

bool crash_frame_parse(const char *line, char ret[CRASH_FUNCTION_MAX], bool *in_module)
{
	const char *p = line;

	if (str_starts(p, "RIP: ")) {
		/* 0033 is user space */
		return (str_starts(p + 5, "0010:") || str_starts(p + 5, "e030:")) &&
		       symbol(p + 10, false, ret, in_module);
	}
	if (str_starts(p, "pc : "))
		return symbol(p + 5, false, ret, in_module);
	if (*p != ' ')
		return false;
	while (*p == ' ')
		p++;
	if (str_starts(p, "[<")) { /* 4.x and older: [<ffffffff81000000>] */
		p = strstr(p, ">]");
		if (!p)
			return false;
		p += 2;
		while (*p == ' ')
			p++;
	}
	return *p != '?' && symbol(p, true, ret, in_module);
}

static void take(char to[CRASH_FUNCTION_MAX], const char *function)
{
	memcpy(to, function, strlen(function) + 1);
}

/* A time, not a place: walk outwards to where the work began. */
static void stall_frame(struct crash_stack *s, const char *function, bool entry, bool in_module)
{
	if (!entry && crash_frame_listed(function, CRASH_SKIP_ANCHOR)) {
		s->settled = *s->outermost;
		if (s->settled)
			take(s->guilty, s->outermost);
		return;
	}
	if (!entry && (crash_frame_listed(function, CRASH_SKIP_ALWAYS) ||
		       crash_frame_listed(function, CRASH_SKIP_STALL)))
		return;
	take(s->outermost, function);
	s->settled = entry || in_module;
	if (s->settled || !*s->guilty)
		take(s->guilty, function);
}

static void frame(struct crash_stack *s, char *function, bool in_module)
{
	bool entry = crash_name_normalise(function);

	if (s->flags & CRASH_STALL && !(s->flags & CRASH_HUNG)) {
		stall_frame(s, function, entry, in_module);
		return;
	}
	if (!entry && (crash_frame_listed(function, CRASH_SKIP_ALWAYS) ||
		       (s->flags & CRASH_HUNG && crash_frame_listed(function, CRASH_SKIP_HUNG))))
		return;
	take(s->guilty, function);
	s->settled = true;
}

void crash_stack_line(struct crash_stack *s, const char *line)
{
	char function[CRASH_FUNCTION_MAX];
	bool in_module, begins = str_starts(line, "Call Trace:") || str_starts(line, "Call trace:");

	if (begins || str_starts(line, "RIP: ") || str_starts(line, "pc : ") ||
	    str_starts(line, "Stack backtrace") || str_starts(line, "stack backtrace"))
		s->seen = true;
	if (begins && s->traces++ && *s->guilty)
		s->settled = true; /* the second stack is another's */
	if (s->flags & CRASH_LOCK && !s->settled && strstr(line, ", at: "))
		crash_stack_header(s, strstr(line, ", at: "));
	if (!crash_frame_parse(line, function, &in_module))
		return;
	s->seen = true;
	if (!s->settled)
		frame(s, function, in_module);
}

void crash_stack_header(struct crash_stack *s, const char *line)
{
	char function[CRASH_FUNCTION_MAX];
	bool in_module;

	for (const char *p = line; (p = strstr(p, "+0x")); p++) {
		const char *start = p;

		while (start > line && strchr(NAME_BYTES, start[-1]))
			start--;
		if (start - line > 6 && strncmp(start - 6, "hint: ", 6) == 0)
			continue; /* ODEBUG's, of a callback that is not guilty */
		if (symbol(start, false, function, &in_module)) {
			frame(s, function, in_module);
			return;
		}
	}
}
