#include <string.h>

#include "jail/base/str.h"
#include "lab/crash/crash-line.h"
#include "lab/crash/crash-table.h"
#include "lab/crash/crash.h"

/* printk's time in µs; -1: none */
static long long stamp_us(const struct crash_line *line)
{
	long long us = 0;
	size_t dot = 0;

	for (size_t i = 0; line->stamp && i < line->stamp_len && i < 18; i++)
		if (line->stamp[i] == '.')
			dot = i;
		else
			us = us * 10 + (line->stamp[i] - '0');
	return dot ? us : -1;
}

/* What one line says; it may come twice: as far as it was there, and whole. */
static void look(struct crash_watch *w, bool whole)
{
	struct crash_span star[CRASH_STARS];
	const struct crash_header *header;
	char text[CRASH_LINE_MAX];
	struct crash_line line;
	size_t at = 0;

	while (crash_line_next(w->line, w->n, &at, &line)) {
		long long us = whole ? stamp_us(&line) : -1;

		if (line.user)
			continue;
		/* its clock began again */
		if (us == 0 && w->last_us > 1000000)
			w->boots = true;
		if (us >= 0)
			w->last_us = us;
		if (!line.len)
			continue;
		crash_line_copy(&line, text);
		if (whole && line.kernel && str_starts(text, "Linux version ")) {
			w->boots |= w->at_banner;
			w->at_banner = true;
		}
		if (str_starts(text, "---[ end Kernel panic"))
			w->panic = w->panic_over = true;
		else if (w->oops && str_starts(text, "---[ end "))
			w->oops_over = true;
		if (!crash_header_begins(*text))
			continue;
		header = crash_header_find(text, star);
		if (!header)
			continue;
		w->panic |= !!(header->flags & CRASH_PANIC);
		w->oops |= !!(header->flags & CRASH_OOPS);
	}
}

void crash_watch_feed(struct crash_watch *w, const char *data, size_t len)
{
	while (len) {
		const char *end = memchr(data, '\n', len);
		size_t n = end ? (size_t)(end - data) : len, room = sizeof(w->line) - w->n;

		memcpy(w->line + w->n, data, n < room ? n : room);
		w->n += n < room ? n : room;
		data += n + (end != NULL);
		len -= n + (end != NULL);
		look(w, end != NULL);
		if (end)
			w->n = 0;
	}
}
