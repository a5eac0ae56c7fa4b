#include "lab/scenario/console.h"

#include <ctype.h>
#include <string.h>

#include "jail/base/str.h"
#include "lab/scenario/console-frame.h"

enum { REPORT_LINES = 200, TITLE_MAX = 120 };

/*
 * A header: the text that starts a line of a report, and the title it gets. In the title, "%t" is
 * the text behind the header up to what varies (numbers, names of tasks), "%k" that text up to " in
 * ",
 * "%a" whether memory was read or written (a later line of KASAN's), "%p" the text of a panic. " in
 * F" is added when a frame is found.
 */
struct header {
	const char *start;
	const char *also; /* must occur later in the line; NULL: nothing */
	const char *title;
	enum { FATAL = 1, STALL = 2, ANCHOR = 4, NO_FRAME = 8 } flags;
};

#define NPD "BUG: unable to handle kernel NULL pointer dereference"
#define PAGING "BUG: unable to handle kernel paging request"

static const struct header headers[] = {
	{"Kernel panic - not syncing: stack-protector:", NULL, "kernel panic: stack is corrupted",
	 FATAL},
	{"Kernel panic - not syncing", NULL, "kernel panic: %p", FATAL | NO_FRAME},
	{"BUG: KASAN: ", NULL, "KASAN: %k%a", 0},
	{"BUG: KFENCE: ", NULL, "KFENCE: %k", 0},
	{"BUG: KMSAN: ", NULL, "KMSAN: %k", 0},
	{"BUG: KCSAN: ", NULL, "KCSAN: %k", 0},
	{"BUG: kernel NULL pointer dereference", NULL, NPD, FATAL},
	{"BUG: unable to handle kernel NULL pointer dereference", NULL, NPD, FATAL},
	{"BUG: unable to handle kernel paging request", NULL, PAGING, FATAL},
	{"BUG: unable to handle page fault for address", NULL, PAGING, FATAL},
	{"Unable to handle kernel NULL pointer dereference", NULL, NPD, FATAL},
	{"Unable to handle kernel paging request", NULL, PAGING, FATAL},
	{"Unable to handle kernel ", " at v", "BUG: unable to handle kernel %t", FATAL},
	{"BUG: soft lockup", NULL, "BUG: soft lockup", STALL | ANCHOR},
	{"BUG: workqueue lockup", NULL, "BUG: workqueue lockup", STALL | NO_FRAME},
	{"Watchdog detected hard LOCKUP", NULL, "BUG: hard lockup", STALL | ANCHOR},
	{"BUG: ", NULL, "BUG: %t", 0},
	{"[ BUG: ", NULL, "BUG: %t", 0},
	{"BUG ", "): ", "BUG %t",
	 0}, /* SLUB: "BUG kmalloc-64 (Not tainted): Redzone overwritten" */
	{"kernel BUG at ", NULL, "kernel BUG", FATAL},
	{"Kernel BUG at ", NULL, "kernel BUG", FATAL},
	{"general protection fault", "[#", "general protection fault", FATAL},
	{"PANIC: double fault", NULL, "PANIC: double fault", FATAL},
	{"double fault: ", "[#", "PANIC: double fault", FATAL},
	{"stack segment: ", "[#", "stack segment fault", FATAL},
	{"divide error: ", "[#", "divide error", FATAL},
	{"invalid opcode: ", "[#", "invalid opcode", FATAL},
	{"int3: ", "[#", "int3", FATAL},
	{"Internal error: Oops - BUG: ", NULL, "kernel BUG", FATAL},
	{"Internal error: ", "[#", "%t", FATAL},
	{"SError Interrupt on CPU", NULL, "SError interrupt", FATAL},
	{"Oops: ", "[#", "Oops", FATAL},
	{"Unhandled fault: ", NULL, "unhandled fault", FATAL},
	{"Alignment trap: ", NULL, "alignment trap", 0},
	{"rust_kernel: panicked", NULL, "rust panic", 0},
	{"UBSAN: ", " in ", "UBSAN: %k", 0},
	{"INFO: task ", " blocked for more than ", "INFO: task hung", STALL},
	{"INFO: rcu", " stall", "INFO: rcu detected stall", STALL | ANCHOR},
	{"INFO: trying to register non-static key", NULL, "INFO: trying to register non-static key",
	 0},
	{"WARNING: possible circular locking", NULL, "possible deadlock", 0},
	{"WARNING: possible recursive locking", NULL, "possible deadlock", 0},
	{"WARNING: possible irq lock inversion", NULL, "possible deadlock", 0},
	{"WARNING: inconsistent lock state", NULL, "inconsistent lock state", 0},
	{"WARNING: suspicious RCU usage", NULL, "WARNING: suspicious RCU usage", 0},
	{"WARNING: bad unlock balance", NULL, "WARNING: bad unlock balance", 0},
	{"WARNING: held lock freed", NULL, "WARNING: held lock freed", 0},
	{"WARNING: lock held when returning", NULL,
	 "WARNING: lock held when returning to user space", NO_FRAME},
	{"WARNING: CPU: ", " at ", "WARNING", 0},
	{"WARNING: at ", ":", "WARNING", 0},
	{"WARNING: ", "+0x", "WARNING",
	 0}, /* from 6.19 on: "WARNING: FILE:LINE at F+0x1/0x2, CPU#0: …" */
	{"unregister_netdevice: waiting for ", NULL,
	 "unregister_netdevice: waiting for DEV to become free", NO_FRAME},
	{"VFS: Busy inodes after unmount", NULL, "VFS: Busy inodes after unmount", NO_FRAME},
};

static const struct header *header_at(const char *line, const char **rest)
{
	/* words of a subsystem that may come first */
	static const char *const subsystems[] = {
		"watchdog: ", "rcu: ", "traps: ", "Oops: ", "NMI "};
	const struct header *h = NULL;

	/* first letters of all those; a guest may send millions of other lines */
	if (!*line || !strchr("ABIKNOPSUVW[dgikrstuw", *line))
		return NULL;
	for (size_t i = 0; i < array_len(headers) && !h; i++)
		if (str_starts(line, headers[i].start) &&
		    (!headers[i].also || strstr(line + strlen(headers[i].start), headers[i].also)))
			h = &headers[i];
	if (h && !str_eq(h->start, "Oops: ")) {
		*rest = line + strlen(h->start);
		return h;
	}
	for (size_t i = 0; i < array_len(subsystems); i++)
		if (str_starts(line, subsystems[i])) {
			const struct header *inner = header_at(line + strlen(subsystems[i]), rest);

			return inner ? inner
				     : h; /* "Oops: divide error: 0000 [#1]" is the latter */
		}
	return h;
}

/* --- the report behind a header --- */

struct report {
	const struct header *header;
	char rest[CONSOLE_LINE_MAX];	     /* of the header's line */
	char function[CONSOLE_FUNCTION_MAX]; /* "" when no frame is meaningful */
	const char *access;		     /* " Read", " Write", " Free" or "" */
	size_t end;			     /* offset behind it */
};

static bool ends_report(const char *line)
{
	return str_starts(line, "---[ end ");
}

static void read_report(const char *text, size_t len, size_t at, const char *context,
			struct report *r)
{
	bool anchored = false;
	struct console_line line;

	r->function[0] = '\0';
	r->access = "";
	r->end = at < len ? at : len;
	for (int i = 0; i < REPORT_LINES && console_next_line(text, len, &at, &line); i++) {
		char function[CONSOLE_FUNCTION_MAX];

		if (*context && *line.context && !str_eq(context, line.context))
			continue; /* another task or CPU printed this */
		r->end = at < len ? at : len;
		if (ends_report(line.text))
			break;
		if (!*r->access && str_starts(line.text, "Read of size"))
			r->access = " Read";
		else if (!*r->access && str_starts(line.text, "Write of size"))
			r->access = " Write";
		else if (!*r->access && str_starts(line.text, "Free of addr"))
			r->access = " Free";
		if (anchored || !console_frame(line.text, function))
			continue;
		if (*r->function && r->header->flags & ANCHOR &&
		    console_syscall_name(function) != function) {
			memcpy(r->function, function, sizeof(function));
			anchored = true;
		} else if (!*r->function && !console_frame_is_machinery(function)) {
			memcpy(r->function, function, sizeof(function));
			anchored = !(r->header->flags & ANCHOR);
		}
	}
}

/* --- its title --- */

/* Up to the first thing that differs from one time to the next. */
static void add_stable_text(struct buf *out, const char *text)
{
	size_t n = strcspn(text, ":,!;@[/");
	const char *cut;

	for (const char *p = text; p < text + n; p++)
		if (isdigit((unsigned char)*p) && (p == text || p[-1] == ' ' || p[-1] == '#')) {
			n = p - text;
			break;
		}
	cut = strstr(text, " at ");
	if (cut && (size_t)(cut - text) < n)
		n = cut - text;
	while (n && strchr(" #]-", text[n - 1]))
		n--;
	buf_add(out, text, n);
}

/* "cache (Not tainted): what is wrong" */
static void add_slub_text(struct buf *out, const char *text)
{
	const char *wrong = strstr(text, "): ");

	buf_add(out, text, strcspn(text, " "));
	if (wrong)
		buf_addf(out, ": %.60s", wrong + 3);
}

/* A panic's words, without addresses and exit codes. */
static void add_panic_text(struct buf *out, const char *text)
{
	const char *p = text + strspn(text, ": ");
	const char *exitcode = strstr(p, " exitcode=");
	size_t len = exitcode ? (size_t)(exitcode - p) : strlen(p);

	if (!len)
		buf_adds(out, "without a text");
	for (size_t i = 0; i < len;) {
		size_t digits = 0;

		if (p[i] == '0' && p[i + 1] == 'x')
			while (isxdigit((unsigned char)p[i + 2 + digits]))
				digits++;
		if (digits >= 8) {
			buf_adds(out, "ADDR");
			i += 2 + digits;
		} else {
			buf_add(out, p + i++, 1);
		}
	}
}

static char *make_title(const struct report *r)
{
	const char *in = strstr(r->rest, " in ");
	auto_cleanup(buf) title = {0}, printable = {0};

	for (const char *p = r->header->title; *p; p++) {
		if (*p != '%') {
			buf_add(&title, p, 1);
			continue;
		}
		switch (*++p) {
		case 't':
			if (str_eq(r->header->start, "BUG "))
				add_slub_text(&title, r->rest);
			else
				add_stable_text(&title, r->rest);
			break;
		case 'k':
			buf_add(&title, r->rest,
				in ? (size_t)(in - r->rest) : strcspn(r->rest, ":"));
			break;
		case 'a':
			buf_adds(&title, r->access);
			break;
		default:
			add_panic_text(&title, r->rest);
		}
	}
	if (*r->function && !(r->header->flags & NO_FRAME))
		buf_addf(&title, " in %s", console_syscall_name(r->function));
	str_printable(&printable, title.data, title.len, TITLE_MAX, false);
	return take_ptr(printable.data);
}

bool console_find_crash(const char *text, size_t len, struct crash *ret)
{
	struct console_line line;

	for (size_t at = 0, start = 0; console_next_line(text, len, &at, &line); start = at) {
		struct report r = {0};
		const char *rest;

		r.header = header_at(line.text, &rest);
		if (!r.header)
			continue;
		if (str_eq(r.header->start, "Oops: "))
			rest = "";
		memcpy(r.rest, rest, strlen(rest) + 1);
		read_report(text, len, at, line.context, &r);
		*ret = (struct crash){
			.title = make_title(&r),
			.fatal = r.header->flags & FATAL ||
				 console_has_panic(text + r.end, len - r.end),
			.stall = r.header->flags & STALL,
			.offset = start,
			.len = r.end - start,
		};
		return true;
	}
	return false;
}

bool console_has_panic(const char *text, size_t len)
{
	struct console_line line;

	for (size_t at = 0; console_next_line(text, len, &at, &line);)
		if (str_starts(line.text, "Kernel panic - not syncing") ||
		    str_starts(line.text, "---[ end Kernel panic"))
			return true;
	return false;
}
