#include "lab/run/cell-dump.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "jail/base/io.h"
#include "lab/symbols/symbols.h"
#include "lab/vmcore/summary.h"
#include "lab/vmcore/vmcore-elf.h"

/* ---- in its thread ---- */

static void note(struct cell_dump *d, const char *what, const struct err *err)
{
	auto_cleanup(buf) why = {0};

	str_printable(&why, err->msg, strlen(err->msg), 300, false);
	strv_addf(&d->notes, "%s: %s", what, why.data ? why.data : "?");
}

static void describe(struct cell_dump *d, struct summary_kernel *kernel)
{
	auto_free char *vmcore = path_join(d->dir, "vmcore");
	auto_free char *path = path_join(d->dir, "vmcore.txt");
	auto_cleanup(buf) text = {0};
	struct err err = {0};
	int r;

	if (d->form == DUMP_ELF && vmcore_map_elf(vmcore, &err) < 0)
		note(d, "vmcore", &err);
	r = summary_write(vmcore, kernel, d->hung ? &d->hang : NULL, d->late, &d->log, &text, &err);
	/* it quotes the guest's memory, as the dump does */
	if (r == 0)
		r = io_write_atomic(AT_FDCWD, path, text.data, text.len, 0600, &err);
	if (r < 0)
		note(d, "vmcore.txt", &err);
}

static void await(sem_t *s)
{
	while (sem_wait(s) < 0 && errno == EINTR)
		;
}

static void *read_dump(void *data)
{
	struct cell_dump *d = data;
	auto_free char *vmlinux = symbols_at_hand(d->kernel);
	auto_cleanup(summary_kernel) kernel = {0};

	summary_prepare(d->kernel, vmlinux, &kernel);
	await(&d->decided);
	if (d->there)
		describe(d, &kernel);
	sem_post(&d->read);
	return NULL;
}

/* ---- beside it ---- */

void cell_dump_begin(struct cell_dump *d)
{
	sem_init(&d->decided, 0, 0);
	sem_init(&d->read, 0, 0);
	d->started = !pthread_create(&d->thread, NULL, read_dump, d);
}

void cell_dump_ready(struct cell_dump *d, const struct outcome *o)
{
	d->there = true;
	d->form = o->dump.form;
	/* a guest that hung was made to panic, to see where: no crash of its own */
	d->late = o->ending == END_TIMEOUT;
	d->hung = o->ending == END_HUNG || d->late;
	sem_post(&d->decided);
}

/* What a terminal would obey as the agent sends it (vm/kmsg-text.h): lines of both are compared. */
static void add_escaped(struct buf *out, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = text[i];

		if ((c < ' ' && c != '\t' && c != '\n') || c == 0x7f)
			buf_addf(out, "\\x%02x", c);
		else
			buf_add(out, &text[i], 1);
	}
}

/* "[    1.234567][   T12] text" without the caller, which dmesg.log does not have. */
static void add_without_callers(struct buf *out, const struct buf *log)
{
	const char *end = log->data + log->len;

	for (const char *line = log->data, *next; line < end; line = next) {
		const char *newline = memchr(line, '\n', end - line);
		const char *stamp, *text;

		next = newline ? newline + 1 : end;
		stamp = memchr(line, ']', next - line);
		text = stamp ? memchr(stamp + 1, ']', next - stamp - 1) : NULL;
		if (text && stamp[1] == '[') {
			buf_add(out, line, stamp + 1 - line);
			line = text + 1;
		}
		add_escaped(out, line, next - line);
	}
}

/*
 * Add to dmesg.log what the guest logged after it had sent its last: of many a panic nothing else
 * reaches anybody.
 */
static int complete_log(const struct cell_dump *d, struct err *err)
{
	auto_free char *path = path_join(d->dir, "dmesg.log");
	auto_cleanup(buf) all = {0}, sent = {0};
	const char *rest, *last, *found;
	int r = io_read_file(AT_FDCWD, path, (size_t)64 << 20, &sent, err);

	if (r < 0 && r != -ENOENT)
		return r;
	add_without_callers(&all, &d->log);
	rest = all.data;
	/* behind the last line that was sent; none is there: it has been overwritten since */
	if (sent.len > 1) {
		last = memrchr(sent.data, '\n', sent.len - 1);
		last = last ? last + 1 : sent.data;
		found = memmem(all.data, all.len, last, sent.data + sent.len - last);
		rest = found ? found + (sent.data + sent.len - last) : all.data;
	}
	buf_add(&sent, rest, all.data + all.len - rest);
	return io_write_atomic(AT_FDCWD, path, sent.data, sent.len, 0644, err);
}

static void add_size(const char *dir, struct outcome *o)
{
	auto_free char *vmcore = path_join(dir, "vmcore");
	struct stat st;

	if (stat(vmcore, &st) == 0)
		o->dump.bytes = st.st_size;
}

void cell_dump_finish(struct cell_dump *d, struct outcome *o)
{
	struct err err = {0};

	if (!d->started && o->dump.there)
		strv_add(&o->notes, "vmcore.txt: no thread could be started that reads the dump");
	if (!d->started)
		return;
	if (!d->there)
		sem_post(&d->decided);
	await(&d->read);
	if (d->there)
		add_size(d->dir, o);
	if (d->log.len && (o->ending == END_PANIC || o->ending == END_OOPS) &&
	    complete_log(d, &err) < 0)
		note(d, "dmesg.log", &err);
	for (size_t i = 0; i < d->notes.n; i++)
		strv_add(&o->notes, d->notes.items[i]);
	crash_deinit(&o->hang);
	o->hang = d->hang;
	d->hang = (struct crash){0};
}

void cell_dump_deinit(struct cell_dump *d)
{
	if (!d->started)
		return;
	pthread_join(d->thread, NULL);
	sem_destroy(&d->decided);
	sem_destroy(&d->read);
	buf_deinit(&d->log);
	strv_deinit(&d->notes);
	*d = (struct cell_dump){0};
}
