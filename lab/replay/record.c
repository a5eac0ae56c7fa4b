#include "lab/replay/record.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#include "jail/base/io.h"
#include "lab/debian/deb.h"
#include "lab/guest/cpio.h"
#include "lab/machine/channel.h"
#include "lab/machine/console-file.h"
#include "lab/machine/machine-arch.h"
#include "lab/machine/qemu.h"
#include "lab/replay/rr-qemu.h"
#include "vm/serial.h"

enum {
	SHIFT = 2, /* 4 ns of guest's time an instruction: about as long as TCG needs for it */
	BOOT_MS = 180000,
	NO_PROGRESS_MS = 120000, /* ticks come each second of the guest's time */
	/* The guest's time may pass more slowly than the host's. */
	SLOWNESS = 10,
	GRACE_MS = 60000,
	LOOK_MS = 50,
	CHUNK = 32 << 10, /* what a socket surely takes at once */
	SERIAL_MAX = 512 << 20,
};

struct session {
	const struct job *job;
	const char *dir;
	struct outcome *o;
	struct recording rec;
	struct rr_qemu qemu;
	struct evidence evidence;
	struct console_file console;
	struct channel channel;
	struct serial_decoder decoder;
	int serial;		    /* the file that QEMU writes */
	int to_channel, to_console; /* what was told apart goes to those who understand it */
	uint64_t taken;		    /* of serial */
	int64_t now, start, greeted, life;
	bool over, broken;
};

static void end(struct session *s, enum ending ending, char *detail)
{
	outcome_end(s->o, &s->over, ending, detail);
}

/* --- the recording's files --- */

static int append_file(int to, const char *path, struct err *err)
{
	auto_close int from = open(path, O_RDONLY | O_CLOEXEC);
	auto_free char *chunk = xmalloc(CHUNK);
	ssize_t n = from < 0 ? -1 : 1;

	while (n > 0) {
		int r;

		n = read(from, chunk, CHUNK);
		r = n > 0 ? io_write_all(to, chunk, n) : 0;
		if (r < 0)
			return err_set(err, -r, "write initrd: %s", strerror(-r));
	}
	return n < 0 ? err_errno(err, "read %s", path) : 0;
}

/* The image, and behind it a second archive with the job. */
static int make_initrd(const struct session *s, const char *path, struct err *err)
{
	auto_free char *frames = recording_path(&s->rec, "job");
	auto_cleanup(cpio) c = {.spool = -1};
	auto_close int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	auto_close int job = open(frames, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	struct stat st;
	int r;

	if (fd < 0 || job < 0)
		return err_errno(err, "create files in %s", s->rec.dir);
	r = channel_write_job(s->job, s->evidence.limit, job, err);
	if (r == 0)
		r = append_file(fd, s->job->image->initrd, err);
	if (r == 0 && fstat(fd, &st) == 0 && st.st_size % 4)
		r = io_write_all(fd, "\0\0\0", 4 - st.st_size % 4);
	if (r == 0)
		r = cpio_init(&c, s->rec.dir, err);
	if (r == 0)
		r = cpio_add_host_file(&c, "lab-job", 0400, frames, err);
	if (r == 0)
		r = cpio_write(&c, fd, err);
	unlink(frames);
	return r;
}

static int describe(struct session *s, struct err *err)
{
	const struct kernel *k = s->job->kernel;
	const struct machine_arch *ma = machine_arch(k->arch);
	struct recording *rec = &s->rec;
	auto_free char *qemu = qemu_find(k->arch, err);
	char hex[65], date[32];
	time_t now = time(NULL);
	struct tm tm;

	rec->qemu = qemu ? qemu_version(qemu, err) : NULL;
	rec->image = rec->qemu ? realpath(k->image, NULL) : NULL;
	if (!rec->qemu)
		return -err->code;
	if (!rec->image)
		return err_errno(err, "kernel %s", k->image);
	if (sha256_file(rec->image, hex, err) < 0)
		return -err->code;
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", gmtime_r(&now, &tm));
	rec->arch = k->arch;
	rec->machine = xstrdup(ma->machine);
	rec->cpu =
		ma->cpu_without ? str_printf("%s,-%s", ma->cpu, ma->cpu_without) : xstrdup(ma->cpu);
	/* a panic's reset is an end that QEMU sees on every machine */
	rec->cmdline = str_printf("%s panic=-1", ma->cmdline);
	rec->date = xstrdup(date);
	rec->memory_mib = s->job->memory_mib;
	rec->shift = SHIFT;
	rec->kernel = xstrdup(k->path ? k->path : k->name);
	rec->image_sha256 = xstrdup(hex);
	return 0;
}

static int prepare(struct session *s, struct err *err)
{
	auto_free char *initrd = recording_path(&s->rec, "initrd");
	struct image whole = {.initrd = initrd};
	char hex[65];
	int r;

	if (s->job->image->disk)
		return err_set(err, ENOTSUP,
			       "its packages come on a disk, and a machine with one is not "
			       "recorded: ask for fewer packages");
	r = io_remove_tree(AT_FDCWD, s->rec.dir, err);
	if (r == 0)
		r = io_mkdirs(s->rec.dir, 0755, err);
	if (r == 0)
		r = describe(s, err);
	if (r == 0)
		r = make_initrd(s, initrd, err);
	if (r == 0)
		r = image_fits(&whole, s->job->memory_mib, err);
	if (r == 0)
		r = sha256_file(initrd, hex, err);
	if (r < 0)
		return r;
	s->rec.initrd_sha256 = xstrdup(hex);
	r = recording_make_disk(&s->rec, err);
	return r < 0 ? r : recording_save(&s->rec, err);
}

/* --- what goes on --- */

static int open_pipes(struct session *s, struct err *err)
{
	int a[2], b[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, a) < 0)
		return err_errno(err, "socket");
	s->to_channel = a[0];
	if (channel_init(&s->channel, a[1], s->job, &s->evidence, err) < 0)
		return -err->code;
	s->channel.job_sent = true;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, b) < 0)
		return err_errno(err, "socket");
	s->to_console = b[0];
	s->console.socket = b[1];
	return 0;
}

static int hand_on(struct session *s, const struct buf *bytes, const struct buf *text,
		   struct err *err)
{
	int r = io_write_all(s->to_console, text->data, text->len);

	if (r == 0 && !s->broken)
		r = io_write_all(s->to_channel, bytes->data, bytes->len);
	if (r < 0)
		return err_set(err, -r, "hand on the console: %s", strerror(-r));
	r = console_file_poll(&s->console, err) < 0 ? -err->code : 0;
	return r < 0 || s->broken ? r : channel_read(&s->channel, err);
}

/* The guest broke what it may say: what it prints is still of interest. */
static void breaks(struct session *s, const struct err *said)
{
	s->broken = true;
	end(s, END_BROKEN, xstrdup(said->msg));
}

/* Take in what the console got since; *more: perhaps not all. */
static int serve_serial(struct session *s, bool *more, struct err *err)
{
	auto_cleanup(buf) bytes = {0}, text = {0};
	char chunk[CHUNK];
	ssize_t n = pread(s->serial, chunk, sizeof(chunk), (off_t)s->taken);
	struct err said = {0};
	int r;

	*more = n > 0;
	if (n < 0)
		return err_errno(err, "read serial.log");
	if (n == 0)
		return 0;
	s->taken += n;
	s->life = s->now;
	if (serial_decode(&s->decoder, chunk, n, &bytes, &text, &said) < 0)
		breaks(s, &said);
	r = hand_on(s, &bytes, &text, &said);
	if (r == -EPROTO)
		breaks(s, &said);
	else if (r < 0)
		return err_set(err, -r, "%s", said.msg);
	if (s->taken > SERIAL_MAX)
		end(s, END_BROKEN, str_printf("the console passed %d MiB", SERIAL_MAX >> 20));
	return 0;
}

static void note_progress(struct session *s)
{
	if (s->greeted < 0 && s->channel.state != CHANNEL_SILENT) {
		s->greeted = s->now;
		s->o->boot_ms = s->now - s->start;
		if (s->job->phase)
			s->job->phase(s->job->data, "running");
	}
	if (s->channel.state == CHANNEL_OVER && s->o->run_ms < 0)
		s->o->run_ms = s->now - s->greeted;
}

static char *with_console(const struct session *s, char *text)
{
	return console_file_behind(&s->console, text);
}

/* The machine is off, and all that it said was read. */
static void judge_end(struct session *s)
{
	if (s->channel.state == CHANNEL_OVER && s->channel.failed)
		end(s, END_BROKEN, NULL);
	else if (s->channel.state == CHANNEL_OVER && s->o->ending == END_TIMEOUT)
		end(s, END_TIMEOUT,
		    str_printf("not done within its timeout, %g s", s->job->timeout_ms / 1e3));
	else if (s->channel.state == CHANNEL_OVER)
		end(s, END_EXITED, NULL);
	else if (s->console.watch.panic)
		end(s, END_PANIC, console_file_panic_line(&s->console));
	else if (s->greeted < 0)
		end(s, END_NO_BOOT,
		    with_console(s, xstrdup("the guest powered off before its agent spoke")));
	else
		end(s, END_GONE, with_console(s, xstrdup("the guest powered off in mid-run")));
}

static void check_time(struct session *s)
{
	const struct job *job = s->job;
	int64_t boot = job->boot_timeout_ms ? job->boot_timeout_ms : BOOT_MS;
	int64_t limit = SLOWNESS * job->timeout_ms + GRACE_MS;

	if (s->greeted < 0 && s->now - s->start > boot)
		end(s, END_NO_BOOT,
		    with_console(s,
				 str_printf("no word from the guest's agent within %" PRId64 " s",
					    boot / 1000)));
	else if (s->greeted >= 0 && s->now - s->life > NO_PROGRESS_MS)
		end(s, END_HUNG,
		    with_console(s, str_printf("no sign of life for %d s", NO_PROGRESS_MS / 1000)));
	else if (s->greeted >= 0 && job->timeout_ms && s->now - s->greeted > limit)
		end(s, END_HUNG,
		    with_console(s,
				 str_printf("not at its end within %" PRId64 " s", limit / 1000)));
}

static void check_gone(struct session *s)
{
	if (!s->qemu.qmp.ended && !rr_qemu_gone(&s->qemu))
		return;
	auto_free char *said = rr_qemu_last_words(&s->qemu);

	end(s, END_GONE,
	    str_printf("QEMU ended %s%s%s", s->greeted < 0 ? "while it booted" : "in mid-run",
		       said ? ": " : "", said ? said : ""));
}

static int run_loop(struct session *s, struct err *err)
{
	struct err said = {0};
	int r = 0;

	while (r == 0 && !s->over) {
		bool more = false, off = s->qemu.qmp.off;

		s->now = io_now_ms();
		if (s->job->cancel && *s->job->cancel) {
			end(s, END_GONE, xstrdup("interrupted"));
			break;
		}
		r = serve_serial(s, &more, err);
		note_progress(s);
		if (r < 0 || more)
			continue;
		if (off)
			judge_end(s);
		check_gone(s);
		check_time(s);
		if (!s->over)
			qmp_wait(&s->qemu.qmp, LOOK_MS, &said); /* its end shows above */
	}
	return r;
}

/* Note how it ended, then let QEMU write what it still holds. */
static int close_recording(struct session *s, struct err *err)
{
	auto_free char *path = recording_path(&s->rec, "serial.log");
	int64_t icount = -1;
	char hex[65];
	struct stat st;
	int r;

	if (s->qemu.qmp.ended)
		return 0;
	r = qmp_command(&s->qemu.qmp, "stop", NULL, NULL, err);
	if (r == 0)
		r = qmp_icount(&s->qemu.qmp, &icount, err);
	rr_qemu_end(&s->qemu);
	if (r == 0)
		r = sha256_file(path, hex, err);
	if (r == 0 && stat(path, &st) < 0)
		r = err_errno(err, "%s", path);
	if (r < 0)
		return r;
	s->rec.icount = icount;
	s->rec.serial_bytes = st.st_size;
	s->rec.serial_sha256 = xstrdup(hex);
	return recording_save(&s->rec, err);
}

static int run_session(struct session *s, const char *run_dir, struct err *err)
{
	const struct rr_how how = {
		.run_dir = run_dir, .name = s->job->name, .cancel = s->job->cancel};
	uint64_t limit =
		s->job->stream_limit_bytes ? s->job->stream_limit_bytes : MACHINE_STREAM_LIMIT;
	auto_free char *serial = recording_path(&s->rec, "serial.log");
	int r = evidence_open(&s->evidence, s->dir, limit, s->o, err);

	if (r == 0)
		r = console_file_open(&s->console, s->dir, limit, err);
	if (r == 0)
		r = open_pipes(s, err);
	if (r == 0)
		r = prepare(s, err);
	if (r < 0)
		return r;
	if (s->job->phase)
		s->job->phase(s->job->data, "booting");
	s->start = s->life = io_now_ms();
	s->serial = open(serial, O_RDONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (s->serial < 0)
		return err_errno(err, "create %s", serial);
	r = rr_qemu_start(&s->qemu, &s->rec, &how, err);
	if (r < 0) {
		auto_free char *said = rr_qemu_last_words(&s->qemu);

		return said ? err_wrap(err, "%s", said) : r;
	}
	r = run_loop(s, err);
	if (r == 0)
		r = close_recording(s, err);
	return r;
}

static void finish(struct session *s)
{
	rr_qemu_end(&s->qemu);
	if (s->start >= 0) {
		console_file_finish(&s->console, &s->o->console, NULL);
		s->o->total_ms = io_now_ms() - s->start;
	}
	if (s->o->console.seen > s->o->console.kept)
		evidence_note(&s->evidence, "console.log: kept %" PRIu64 " of %" PRIu64 " bytes",
			      s->o->console.kept, s->o->console.seen);
	channel_deinit(&s->channel);
	console_file_close(&s->console);
	evidence_close(&s->evidence);
	cleanup_close(&s->serial);
	cleanup_close(&s->to_channel);
	cleanup_close(&s->to_console);
	recording_deinit(&s->rec);
}

int record_run(const struct job *job, const char *run_dir, const char *dir, struct outcome *ret,
	       struct err *err)
{
	auto_free char *real = realpath(dir, NULL);
	struct session s = {
		.job = job,
		.dir = real,
		.o = ret,
		.qemu = {.qmp = {.fd = -1}},
		.console = {.fd = -1, .socket = -1},
		.channel = {.fd = -1, .file = -1},
		.evidence = {.dirfd = -1, .file = -1},
		.serial = -1,
		.to_channel = -1,
		.to_console = -1,
		.start = -1,
		.greeted = -1,
	};
	int r;

	*ret = (struct outcome){
		.ending = END_BROKEN, .exit_code = -1, .boot_ms = -1, .run_ms = -1, .total_ms = -1};
	for (int i = 0; i < EVIDENCE_STREAMS; i++)
		s.evidence.streams[i].fd = -1;
	if (!real)
		return err_errno(err, "%s", dir);
	s.rec.dir = path_join(real, "replay");
	s.rec.icount = -1;
	r = run_session(&s, run_dir, err);
	finish(&s);
	return r;
}
