#include "lab/run/cell-dump.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "jail/base/io.h"
#include "lab/symbols/symbols.h"
#include "lab/vmcore/summary.h"
#include "lab/vmcore/vmcore-elf.h"
#include "lab/vmcore/vmcore-log.h"

enum { LOG_MAX = 8 << 20 };

static int describe(const struct kernel *kernel, const char *dir, const char *vmcore,
		    struct crash *hang, bool answers, struct err *err)
{
	auto_free char *path = path_join(dir, "vmcore.txt"), *vmlinux = symbols_at_hand(kernel);
	auto_cleanup(buf) text = {0};
	int r = summary_write(vmcore, kernel, vmlinux, hang, answers, &text, err);

	/* it quotes the guest's memory, as the dump does */
	return r < 0 ? r : io_write_atomic(AT_FDCWD, path, text.data, text.len, 0600, err);
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
static int complete_log(const char *dir, const char *vmcore, struct err *err)
{
	auto_free char *path = path_join(dir, "dmesg.log");
	auto_cleanup(buf) log = {0}, all = {0}, sent = {0};
	auto_vmcore v = NULL;
	const char *rest, *last, *found;
	size_t lost;
	int r = vmcore_open(vmcore, &v, err);

	if (r == 0)
		r = vmcore_log(v, LOG_MAX, &log, &lost, err);
	if (r < 0)
		return r;
	r = io_read_file(AT_FDCWD, path, (size_t)64 << 20, &sent, err);
	if (r < 0 && r != -ENOENT)
		return r;
	add_without_callers(&all, &log);
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

static void note(struct outcome *o, const char *what, const struct err *err)
{
	auto_cleanup(buf) why = {0};

	str_printable(&why, err->msg, strlen(err->msg), 300, false);
	strv_addf(&o->notes, "%s: %s", what, why.data ? why.data : "?");
}

void cell_describe_dump(const struct kernel *kernel, const char *dir, struct outcome *o)
{
	auto_free char *vmcore = path_join(dir, "vmcore");
	struct err err = {0};
	struct stat st;
	bool hung, late;

	if (!o->dump.there)
		return;
	if (o->dump.form == DUMP_ELF && vmcore_map_elf(vmcore, &err) < 0)
		note(o, "vmcore", &err);
	if (stat(vmcore, &st) == 0)
		o->dump.bytes = st.st_size;
	/* a guest that hung was made to panic, to see where: no crash of its own */
	if ((o->ending == END_PANIC || o->ending == END_OOPS) &&
	    complete_log(dir, vmcore, &err) < 0)
		note(o, "dmesg.log", &err);
	late = o->ending == END_TIMEOUT;
	hung = o->ending == END_HUNG || late;
	if (describe(kernel, dir, vmcore, hung ? &o->hang : NULL, late, &err) < 0)
		note(o, "vmcore.txt", &err);
}
