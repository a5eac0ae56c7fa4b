#include <string.h>

#include "jail/base/str.h"
#include "lab/crash/crash-frame.h"
#include "lab/crash/crash-line.h"
#include "lab/crash/crash-table.h"
#include "lab/crash/crash-title.h"
#include "lab/crash/crash.h"
#include "vm/kmsg-text.h"

enum {
	REPORT_LINES = 250, /* of its own context; and twice as many of others' between them */
	REPORT_BYTES = 1 << 20,
	HEADERS = 4,		  /* lines of one report that are remembered */
	READINGS = 4 * CRASH_MAX, /* with those that were there already */
	SEQUEL_BYTES = 16 << 10,  /* a panic as near as this to an oops is what the oops became */
};

/* One report while it is read. */
struct reading {
	const struct crash_header *header;
	struct crash_span star[CRASH_STARS];
	char text[CRASH_LINE_MAX]; /* the line that star points into */
	char first[CRASH_LINE_MAX];
	struct crash_line line; /* the first */
	const char *access;
	unsigned int flags; /* of its headers, all of them */
	struct crash_stack stack;
	uint64_t headers[HEADERS]; /* hashes of its first line and of headers within; 0: none */
	size_t end;
};

/* The report that a crash was made of, to know it again. */
struct origin {
	struct crash_line line;
	uint64_t headers[HEADERS];
	bool named; /* by a header that says better what it is */
	size_t end;
};

struct finder {
	const char *text;
	size_t len;
	bool only_kernel;
	uint64_t *users; /* sorted: hashes of what user space wrote to /dev/kmsg */
	size_t n_users;
	struct origin origins[CRASH_MAX];
	size_t panic; /* offset of the last one behind which nothing counts; 0: none */
	size_t readings;
	struct crashes *ret;
};

static uint64_t hash(uint64_t h, const char *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)p[i]) * 0x100000001b3;
	return h;
}

static uint64_t line_hash(const struct crash_line *line)
{
	uint64_t h = hash(0xcbf29ce484222325, line->stamp, line->stamp_len);

	return hash(h, line->text, line->len < CRASH_LINE_MAX ? line->len : CRASH_LINE_MAX);
}

static int compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/*
 * The log over the channel says who wrote a line, the console's copy of the same line does not.
 */
static void learn_users(struct finder *f)
{
	size_t at = 0, cap = 0;
	struct crash_line line;

	if (!memmem(f->text, f->len, KMSG_TEXT_USER, sizeof(KMSG_TEXT_USER) - 1))
		return;
	while (crash_line_next(f->text, f->len, &at, &line)) {
		if (!line.user || !line.stamp)
			continue;
		if (f->n_users == cap)
			f->users = xreallocarray(f->users, cap = cap ? 2 * cap : 64,
						 sizeof(*f->users));
		f->users[f->n_users++] = line_hash(&line);
	}
	if (f->n_users)
		qsort(f->users, f->n_users, sizeof(*f->users), compare_u64);
}

static bool is_kernels(const struct finder *f, const struct crash_line *line)
{
	uint64_t h;

	if (line->user || (f->only_kernel && !line->kernel))
		return false;
	if (!f->n_users || !line->stamp)
		return true;
	h = line_hash(line);
	return !bsearch(&h, f->users, f->n_users, sizeof(h), compare_u64);
}

static bool has_kernel_lines(const char *text, size_t len)
{
	struct crash_line line;

	for (size_t at = 0; crash_line_next(text, len, &at, &line);)
		if (line.kernel)
			return true;
	return false;
}

static bool same_context(const struct crash_line *a, const struct crash_line *b)
{
	return !*a->context || !*b->context || str_eq(a->context, b->context);
}

/* --- one report --- */

static const struct crash_header *header_of(const struct crash_line *line,
					    char text[CRASH_LINE_MAX],
					    struct crash_span star[CRASH_STARS])
{
	if (!line->len || !crash_header_begins(*line->text))
		return NULL;
	crash_line_copy(line, text);
	return crash_header_find(text, star);
}

static void set_header(struct reading *r, const struct crash_header *header, const char *text,
		       const struct crash_span star[CRASH_STARS], const char *from)
{
	memcpy(r->text, text, strlen(text) + 1);
	r->header = header;
	for (size_t i = 0; i < CRASH_STARS; i++)
		r->star[i] = (struct crash_span){star[i].len ? r->text + (star[i].p - from) : "",
						 star[i].len};
}

static void remember_header(struct reading *r, const struct crash_line *line)
{
	size_t i = 0;

	while (i < HEADERS && r->headers[i])
		i++;
	if (line->stamp && i < HEADERS)
		r->headers[i] = line_hash(line);
}

/* A header within a report. Returns false when it begins another one. */
static bool inner_header(struct reading *r, const struct crash_line *line,
			 const struct crash_header *header, const char *text,
			 const struct crash_span star[CRASH_STARS])
{
	if (!(header->flags & (CRASH_INSIDE | CRASH_SEQUEL)) &&
	    !(header->flags & CRASH_ABOUT && r->header->flags & CRASH_NAMES))
		return false;
	r->flags |= header->flags & (CRASH_OOPS | CRASH_PANIC | CRASH_WARNING);
	remember_header(r, line);
	if (header->flags & CRASH_NAMES && !(r->header->flags & CRASH_NAMES))
		set_header(r, header, text, star, text);
	return true;
}

static void look_for_access(struct reading *r, const char *text)
{
	if (*r->access)
		return;
	if (str_starts(text, "Read of size"))
		r->access = "Read";
	else if (str_starts(text, "Write of size"))
		r->access = "Write";
}

static bool ends_report(const char *text)
{
	return str_starts(text, "---[ end ") || str_starts(text, "==========");
}

/* The lines behind the first one, from at on. */
static void read_lines(const struct finder *f, struct reading *r, size_t at)
{
	struct crash_span star[CRASH_STARS];
	int own = 0, others = 0;
	struct crash_line line;

	size_t len = f->len - at < REPORT_BYTES ? f->len : at + REPORT_BYTES;

	r->end = at;
	while (own < REPORT_LINES && others < 2 * REPORT_LINES &&
	       crash_line_next(f->text, len, &at, &line)) {
		const struct crash_header *header;
		char text[CRASH_LINE_MAX];

		if (!is_kernels(f, &line) || !same_context(&r->line, &line)) {
			others++;
			continue;
		}
		own++;
		crash_line_copy(&line, text);
		header = crash_header_begins(*text) ? crash_header_find(text, star) : NULL;
		if (header && !inner_header(r, &line, header, text, star))
			return;
		r->end = at;
		if (ends_report(text))
			return;
		look_for_access(r, text);
		crash_stack_line(&r->stack, text);
	}
}

/* --- all of them --- */

static bool is_inside(const struct finder *f, const struct crash_line *line)
{
	for (size_t i = f->ret->n; i-- > 0;) {
		const struct origin *o = &f->origins[i];

		if (line->start < o->end && same_context(&o->line, line))
			return true;
	}
	return false;
}

static bool shares_line(const uint64_t a[HEADERS], const uint64_t b[HEADERS])
{
	for (size_t i = 0; i < HEADERS && a[i]; i++)
		for (size_t k = 0; k < HEADERS && b[k]; k++)
			if (a[i] == b[k])
				return true;
	return false;
}

/* The report that is there already: one came by the console, its copy over the channel. */
static struct origin *known(struct finder *f, const struct reading *r)
{
	for (size_t i = 0; i < f->ret->n; i++)
		if (shares_line(f->origins[i].headers, r->headers))
			return &f->origins[i];
	return NULL;
}

static bool is_sequel(const struct finder *f, const struct reading *r)
{
	size_t n = f->ret->n;

	if (!n)
		return false;
	return r->header->flags & CRASH_SEQUEL ||
	       (r->header->flags & CRASH_PANIC && f->ret->items[n - 1].oops &&
		r->line.start - f->origins[n - 1].end < SEQUEL_BYTES);
}

static void add(struct finder *f, const struct reading *r)
{
	const struct crash_report report = {
		.header = r->header,
		.first_line = r->first,
		.access = r->access,
		.guilty = r->stack.guilty,
		.star = {r->star[0], r->star[1], r->star[2], r->star[3]},
	};
	struct origin *old = known(f, r);
	struct crash *c = old ? &f->ret->items[old - f->origins] : &f->ret->items[f->ret->n];
	bool named = r->header->flags & CRASH_NAMES;
	bool corrupted = strstr(r->header->title, "%f") ? !r->stack.seen
							: !!(r->header->flags & CRASH_SEQUEL);

	/* a quiet console has only a part of what the channel brings */
	if (old && (corrupted > c->corrupted || (corrupted == c->corrupted && named <= old->named)))
		return;
	if (old)
		crash_deinit(c);
	else
		old = &f->origins[f->ret->n++];
	*old = (struct origin){.line = r->line, .named = named, .end = r->end};
	memcpy(old->headers, r->headers, sizeof(old->headers));
	*c = (struct crash){
		.corrupted = corrupted,
		.oops = r->flags & CRASH_OOPS,
		.stall = r->header->flags & CRASH_STALL,
		.warning = r->flags & CRASH_WARNING,
		.offset = r->line.start,
		.len = r->end - r->line.start,
	};
	crash_title_make(&report, c);
}

/* The report whose header line is; at: behind it. */
static void take_report(struct finder *f, const struct crash_line *line, size_t at,
			const struct crash_header *header, const char *text,
			const struct crash_span star[CRASH_STARS])
{
	struct reading r = {.line = *line, .access = "", .flags = header->flags};

	r.stack.flags = header->flags;
	memcpy(r.first, text, strlen(text) + 1);
	set_header(&r, header, text, star, text);
	remember_header(&r, line);
	if (header->flags & CRASH_PANIC)
		f->panic = line->start + 1;
	if (is_sequel(f, &r) || f->ret->n == CRASH_MAX || f->readings == READINGS)
		return;
	f->readings++;
	crash_stack_header(&r.stack, text);
	read_lines(f, &r, at);
	if (r.flags & CRASH_PANIC)
		f->panic = line->start + 1;
	add(f, &r);
}

void crashes_find(const char *text, size_t len, bool from_kernel, struct crashes *ret)
{
	struct finder f = {.text = text, .len = len, .ret = ret};
	struct crash_span star[CRASH_STARS];
	char copy[CRASH_LINE_MAX];
	struct crash_line line;

	*ret = (struct crashes){.items = xcalloc(CRASH_MAX, sizeof(*ret->items))};
	f.only_kernel = from_kernel && has_kernel_lines(text, len);
	learn_users(&f);
	for (size_t at = 0; crash_line_next(text, len, &at, &line);) {
		const struct crash_header *header = header_of(&line, copy, star);

		if (!header || header->flags & CRASH_ONLY || !is_kernels(&f, &line))
			continue;
		if (is_inside(&f, &line))
			f.panic = header->flags & CRASH_PANIC ? line.start + 1 : f.panic;
		else
			take_report(&f, &line, at, header, copy, star);
	}
	for (size_t i = 0; i < ret->n; i++)
		ret->items[i].fatal = f.panic > ret->items[i].offset;
	free(f.users);
}

void crash_deinit(struct crash *c)
{
	free(c->title);
	free(c->type);
	free(c->signature);
	free(c->guilty);
	free(c->first_line);
	strv_deinit(&c->alternatives);
	*c = (struct crash){0};
}

void crashes_deinit(struct crashes *c)
{
	for (size_t i = 0; i < c->n; i++)
		crash_deinit(&c->items[i]);
	free(c->items);
	*c = (struct crashes){0};
}

const struct crash *crashes_main(const struct crashes *c)
{
	const struct crash *first = NULL, *last = NULL;

	for (size_t i = 0; i < c->n; i++) {
		if (c->items[i].corrupted)
			continue;
		if (!first)
			first = &c->items[i];
		if (c->items[i].fatal)
			last = &c->items[i];
	}
	if (!first)
		return c->n ? &c->items[0] : NULL;
	return first->stall && last && !str_eq(first->type, last->type) ? last : first;
}
