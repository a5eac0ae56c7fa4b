#include "lab/progress.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "jail/base/io.h"
#include "lab/run/report.h"

enum { SLOTS_MAX = 64, REDRAW_MS = 200, BAR_WIDTH = 24 };

struct slot {
	const struct cell *cell;
	const char *what;
	int64_t since_ms;
};

struct progress {
	bool quiet, live, colour, stop;
	pthread_t ticker;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	int64_t start_ms;
	size_t total, done, bad;
	struct slot slots[SLOTS_MAX];
	char accel[ARCH_COUNT][200];
	char bar_what[200]; /* "" when nothing is fetched or built */
	bool bar_bytes;	    /* else objects, and bar_what stands above */
	int64_t bar_since_ms;
	uint64_t bar_done, bar_total;
	unsigned int drawn; /* lines of the display on the screen */
};

static unsigned int terminal_width(void)
{
	struct winsize ws;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &ws) == 0 && ws.ws_col >= 20)
		return ws.ws_col;
	return 80;
}

static void printable(struct buf *out, const char *s)
{
	str_printable(out, s, strlen(s), 200, false);
}

/* One line, cut to the terminal's width (bytes: what is not ASCII is cut a little early). */
static void draw_line(struct progress *p, const struct buf *line)
{
	unsigned int width = terminal_width() - 1;

	fprintf(stderr, "\r\033[K%.*s\n", line->len < width ? (int)line->len : (int)width,
		line->data);
	p->drawn++;
}

static void erase(struct progress *p)
{
	while (p->drawn) {
		fputs("\033[A\r\033[K", stderr);
		p->drawn--;
	}
}

static void draw_bar(struct progress *p)
{
	auto_cleanup(buf) line = {0};
	uint64_t done = p->bar_done < p->bar_total ? p->bar_done : p->bar_total;
	int filled = p->bar_total ? (int)(done * BAR_WIDTH / p->bar_total) : 0;
	long long elapsed_s = (io_now_ms() - p->bar_since_ms) / 1000;

	if (!*p->bar_what)
		return;
	buf_adds(&line, "  ");
	for (int i = 0; p->bar_total && i < BAR_WIDTH; i++)
		buf_addf(&line, "%s%c", i ? "" : "[", i < filled ? '#' : '.');
	if (p->bar_total && p->bar_bytes)
		buf_addf(&line, "] %.1f of %.1f MiB  ", done / 1048576.0, p->bar_total / 1048576.0);
	else if (p->bar_total)
		buf_addf(&line, "] %llu of %llu objects", (unsigned long long)done,
			 (unsigned long long)p->bar_total);
	else if (!p->bar_bytes)
		buf_addf(&line, "%llu objects", (unsigned long long)p->bar_done);
	if (p->bar_bytes)
		buf_adds(&line, p->bar_what);
	else
		buf_addf(&line, ", %lld:%02lld", elapsed_s / 60, elapsed_s % 60);
	draw_line(p, &line);
}

static void draw(struct progress *p)
{
	int64_t now_ms = io_now_ms(), elapsed_s = (now_ms - p->start_ms) / 1000;
	auto_cleanup(buf) line = {0};

	erase(p);
	if (p->total) {
		buf_addf(&line, "  %zu/%zu cells, %zu not passed, %d:%02d", p->done, p->total,
			 p->bad, (int)(elapsed_s / 60), (int)(elapsed_s % 60));
		for (int a = 0; a < ARCH_COUNT; a++)
			if (*p->accel[a])
				buf_addf(&line, "  %s: %s", arch_name(a), p->accel[a]);
		draw_line(p, &line);
	}
	for (size_t i = 0; i < SLOTS_MAX; i++) {
		const struct slot *s = &p->slots[i];

		if (!s->cell)
			continue;
		buf_reset(&line);
		buf_addf(&line, "  %-5s %-6s ", s->cell->kernel->name,
			 arch_name(s->cell->kernel->arch));
		printable(&line, s->cell->scenario->name);
		buf_addf(&line, "  %s %.1fs", s->what, (now_ms - s->since_ms) / 1e3);
		draw_line(p, &line);
	}
	draw_bar(p);
	fflush(stderr);
}

static void *tick(void *data)
{
	struct progress *p = data;

	pthread_mutex_lock(&p->lock);
	while (!p->stop) {
		struct timespec until;

		draw(p);
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += REDRAW_MS * 1000000L;
		until.tv_sec += until.tv_nsec / 1000000000L;
		until.tv_nsec %= 1000000000L;
		pthread_cond_timedwait(&p->wake, &p->lock, &until);
	}
	erase(p);
	fflush(stderr);
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

/* What begins now is a line of its own: in a terminal that of a build, else each one. */
static void say(struct progress *p, const char *what, uint64_t total, bool bytes)
{
	if (p->live)
		erase(p);
	if (bytes && total)
		fprintf(stderr, "%s (%.1f MiB)\n", what, total / 1048576.0);
	else
		fprintf(stderr, "%s\n", what);
}

static void show_bar(struct progress *p, const char *what, uint64_t done, uint64_t total,
		     bool bytes)
{
	bool first, over = bytes ? total && done >= total : total && done == total;
	auto_cleanup(buf) shown = {0};

	if (p->quiet)
		return;
	printable(&shown, what);
	pthread_mutex_lock(&p->lock);
	first = strncmp(p->bar_what, shown.data, sizeof(p->bar_what) - 1) != 0;
	snprintf(p->bar_what, sizeof(p->bar_what), "%s", shown.data);
	p->bar_bytes = bytes;
	p->bar_done = done;
	p->bar_total = total;
	if (over)
		p->bar_what[0] = '\0';
	else if (first)
		p->bar_since_ms = io_now_ms();
	if (first && !over && !(p->live && bytes))
		say(p, shown.data, total, bytes);
	pthread_mutex_unlock(&p->lock);
}

void progress_fetch(void *data, const char *what, uint64_t done, uint64_t total)
{
	show_bar(data, what, done, total, true);
}

void progress_build(void *data, const char *what, uint64_t done, uint64_t total)
{
	show_bar(data, what, done, total, false);
}

static void on_accel(void *data, enum arch arch, const char *why)
{
	struct progress *p = data;

	pthread_mutex_lock(&p->lock);
	snprintf(p->accel[arch], sizeof(p->accel[arch]), "%s", why);
	if (!p->live && !p->quiet)
		fprintf(stderr, "%s guests: %s\n", arch_name(arch), why);
	pthread_mutex_unlock(&p->lock);
}

static void on_phase(void *data, unsigned int slot, const struct cell *cell, const char *what)
{
	struct progress *p = data;

	if (slot >= SLOTS_MAX)
		return;
	pthread_mutex_lock(&p->lock);
	if (p->slots[slot].cell != cell)
		p->slots[slot].since_ms = io_now_ms();
	p->slots[slot].cell = cell;
	p->slots[slot].what = what;
	pthread_mutex_unlock(&p->lock);
}

static void on_done(void *data, const struct cell *cell, const struct result *r)
{
	struct progress *p = data;
	auto_cleanup(buf) line = {0};

	pthread_mutex_lock(&p->lock);
	p->done++;
	p->bad += r->verdict != VERDICT_PASS && r->verdict != VERDICT_SKIP;
	if (p->quiet || (p->live && (r->verdict == VERDICT_PASS || r->verdict == VERDICT_SKIP)))
		goto out;
	report_verdict(&line, r->verdict, p->colour);
	buf_addf(&line, "%*s%-5s %-6s ", (int)(6 - strlen(verdict_name(r->verdict))), "",
		 cell->kernel->name, arch_name(cell->kernel->arch));
	printable(&line, cell->scenario->name);
	if (r->total_ms >= 0)
		buf_addf(&line, "  %.1fs", r->total_ms / 1e3);
	if (r->verdict != VERDICT_PASS && r->reasons.n) {
		buf_adds(&line, "  ");
		printable(&line, r->reasons.items[0]);
	}
	if (p->live)
		erase(p);
	fprintf(stderr, "%s\n", line.data);
	if (p->live)
		draw(p);
out:
	pthread_mutex_unlock(&p->lock);
}

struct progress *progress_start(bool quiet, struct run_events *ret_events)
{
	struct progress *p = xcalloc(1, sizeof(*p));
	const char *term = getenv("TERM");

	p->quiet = quiet;
	p->start_ms = io_now_ms();
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->wake, NULL);
	p->live = !quiet && isatty(STDERR_FILENO) && term && !str_eq(term, "dumb");
	p->colour = p->live && !getenv("NO_COLOR");
	if (p->live && pthread_create(&p->ticker, NULL, tick, p) != 0)
		p->live = false;
	*ret_events = (struct run_events){.data = p,
					  .fetch = progress_fetch,
					  .accel = on_accel,
					  .phase = on_phase,
					  .done = on_done};
	return p;
}

void progress_plan(struct progress *p, size_t total)
{
	pthread_mutex_lock(&p->lock);
	p->total = total;
	pthread_mutex_unlock(&p->lock);
}

void progress_silence(struct progress *p)
{
	bool live;

	pthread_mutex_lock(&p->lock);
	p->quiet = p->stop = true;
	live = p->live;
	p->live = false;
	pthread_cond_signal(&p->wake);
	pthread_mutex_unlock(&p->lock);
	if (live)
		pthread_join(p->ticker, NULL);
}

void progress_stop(struct progress *p)
{
	if (!p)
		return;
	progress_silence(p);
	pthread_mutex_destroy(&p->lock);
	pthread_cond_destroy(&p->wake);
	free(p);
}
