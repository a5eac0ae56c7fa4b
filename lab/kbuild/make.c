#include "lab/kbuild/make.h"

#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

#include "jail/base/io.h"
#include "jail/base/proc.h"

enum {
	LOOK_MS = 100,	      /* for a wish to end */
	TERM_MS = 15000,      /* until SIGKILL follows */
	FULL_BYTES = 4 << 20, /* a disk with less is full: ld may die of SIGBUS then */
	REPAIR_S = 60,	      /* what was written so long before an unclean end is not trusted */
	QUOTE_MAX = 240,      /* of an error */
	REPAIR_FDS = 32,
};

/*
 * $1: the mark, then the command. The subshell waits for the other end of the pipe at 0 to close;
 * it ignores the SIGTERM it sends. The shell itself outlives one, so that the mark goes if make
 * ended by itself, which then has removed what it was writing.
 */
static const char guard[] =
	"exec 3<&0 </dev/null\n"
	"(trap '' TERM; read -r x <&3; kill -TERM 0; sleep 10; kill -KILL 0) >/dev/null 2>&1 &\n"
	"exec 3<&-\n"
	"trap t=1 TERM\n"
	"m=$1; shift\n"
	"[ -z \"$m\" ] || : >\"$m\"\n"
	"\"$@\"\n"
	"s=$?\n"
	"[ -z \"$m\" ] || [ $s = 137 ] || rm -f \"$m\"\n"
	"[ -z \"$t\" ] || kill -KILL 0\n"
	"kill -KILL $!\n"
	"exit $s\n";

static void clean_environment(struct strv *env)
{
	extern char **environ;
	static const char *const kept[] = {
		"PATH=", "HOME=", "TMPDIR=", "CCACHE_", "XDG_CACHE_HOME=", "XDG_CONFIG_HOME="};

	for (char **e = environ; *e; e++)
		for (size_t i = 0; i < array_len(kept); i++)
			if (str_starts(*e, kept[i]))
				strv_add(env, *e);
	strv_add(env, "LC_ALL=C");
}

bool make_line_is_object(const char *line)
{
	static const char *const words[] = {"CC", "AS", "AR", "LD"};

	if (!str_starts(line, "  "))
		return false;
	line += 2;
	for (size_t i = 0; i < array_len(words); i++)
		if (str_starts(line, words[i]) && line[strlen(words[i])] == ' ')
			return true;
	return false;
}

/* What is being read from make, and what it said was wrong. */
struct reader {
	const struct make_run *run;
	char line[MAKE_LINE_MAX + 1];
	size_t len;
	int log;
	off_t at, start;   /* in the log */
	char *error;	   /* the first */
	char *hint;	   /* what may be the reason, when nothing better comes */
	char *last;	   /* else what was said last */
	unsigned int more; /* errors after the first */
	bool full;	   /* "No space left on device" was said */
	bool flood;	   /* it said too much */
};

static void reader_deinit(struct reader *r)
{
	free(r->error);
	free(r->hint);
	free(r->last);
}
DEFINE_CLEANUP(reader, reader_deinit)

static bool has_one_of(const char *line, const char *const *signs, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strstr(line, signs[i]))
			return true;
	return false;
}

/* gcc, clang, as, ld, lld, modpost and kconfig say it in their own ways. */
static bool is_error(const char *line)
{
	static const char *const signs[] = {"error: ",
					    ": Error: ",
					    ": undefined reference to ",
					    ": multiple definition of ",
					    "cannot find -l",
					    "Sorry, this ",
					    ": No space left on device"};

	if (str_starts(line, "*** ") || str_starts(line, "ERROR: "))
		return true;
	return has_one_of(line, signs, array_len(signs));
}

/* These may be harmless, too. */
static bool is_hint(const char *line)
{
	static const char *const signs[] = {": not found", ": No such file or directory",
					    "FAILED: ", ": Permission denied"};

	return has_one_of(line, signs, array_len(signs));
}

/* What make itself stopped at. Who needed a file that is not there is a folder of our own. */
static char *make_hint(const char *said)
{
	const char *needed =
		str_starts(said, "No rule to make target ") ? strstr(said, ", needed by ") : NULL;

	return needed ? str_printf("%.*s: its source is not there", (int)(needed - said), said)
		      : xstrdup(said);
}

static void end_line(struct reader *r)
{
	const char *make;

	r->line[r->len] = '\0';
	r->len = 0;
	if (r->run->line)
		r->run->line(r->run->data, r->line);
	r->full |= strstr(r->line, "No space left on device") != NULL;
	make = str_starts(r->line, "make") ? strstr(r->line, ": *** ") : NULL;
	if (make) {
		if (!r->hint && !strstr(make, "] Error ") && !strstr(make, " Waiting for "))
			r->hint = make_hint(make + strlen(": *** "));
	} else if (is_error(r->line)) {
		r->more += r->error != NULL;
		if (!r->error)
			r->error = xstrdup(r->line);
	} else if (!r->hint && is_hint(r->line)) {
		r->hint = xstrdup(r->line);
	} else if (*r->line && !str_starts(r->line, "make")) {
		free(r->last);
		r->last = xstrdup(r->line);
	}
}

static bool is_flooded(const struct reader *r)
{
	struct stat st;

	return fstat(r->log, &st) == 0 && st.st_size - r->start > MAKE_LOG_MAX;
}

/*
 * What it has said since the last look. The file is asked how much that is: yes(1) is faster than
 * this, and would never be caught up with.
 */
static void read_new(struct reader *r)
{
	char chunk[16384];
	ssize_t n;

	while (!r->flood && (n = pread(r->log, chunk, sizeof(chunk), r->at)) > 0) {
		r->at += n;
		r->flood = is_flooded(r);
		for (ssize_t i = 0; i < n; i++)
			if (chunk[i] == '\n')
				end_line(r);
			else if (r->len < MAKE_LINE_MAX)
				r->line[r->len++] = chunk[i] ? chunk[i] : '?';
	}
}

static bool has_ended(pid_t pid, int options)
{
	siginfo_t info = {0};

	/* not reaped: its number is not given to others, the group is still ours */
	return waitid(P_PID, pid, &info, WEXITED | WNOWAIT | options) == 0 && info.si_pid == pid;
}

/* Returns the exit code. */
static int follow(struct reader *r, pid_t pid)
{
	const volatile int *cancel = r->run->cancel;
	auto_close int ended = pidfd_open(pid, 0);
	int64_t kill_at = 0;
	int status = 0;

	while (!has_ended(pid, WNOHANG)) {
		struct pollfd p = {.fd = ended, .events = POLLIN};

		poll(&p, 1, LOOK_MS);
		read_new(r);
		if (!kill_at && ((cancel && *cancel) || r->flood)) {
			kill(-pid, SIGTERM);
			kill_at = io_now_ms() + TERM_MS;
		}
		if (kill_at && io_now_ms() > kill_at)
			kill(-pid, SIGKILL);
	}
	kill(-pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	read_new(r);
	if (r->len)
		end_line(r);
	return proc_exit_code(status);
}

static uint64_t free_bytes(const char *path)
{
	struct statvfs fs;

	return statvfs(path, &fs) < 0 ? UINT64_MAX : (uint64_t)fs.f_bavail * fs.f_frsize;
}

/* The folder whose disk is full, or NULL. */
static const char *full_folder(const struct reader *r)
{
	const char *tmp = getenv("TMPDIR"), *obj = r->run->obj;

	tmp = tmp && *tmp ? tmp : "/tmp";
	if (obj && free_bytes(obj) < FULL_BYTES)
		return obj;
	if (free_bytes(tmp) < FULL_BYTES)
		return tmp;
	if (!r->full)
		return NULL;
	return !obj || free_bytes(tmp) < free_bytes(obj) ? tmp : obj;
}

/* The error without the source's folder in front of paths. */
static void quote(const struct reader *r, struct buf *out)
{
	const char *line = r->error ? r->error : r->hint ? r->hint : r->last, *at;
	auto_free char *prefix = r->run->source ? str_printf("%s/", r->run->source) : NULL;
	auto_cleanup(buf) text = {0};

	if (!line)
		return;
	while (prefix && (at = strstr(line, prefix))) {
		buf_add(&text, line, at - line);
		line = at + strlen(prefix);
	}
	buf_adds(&text, line);
	buf_adds(out, ": ");
	str_printable(out, text.data, text.len, QUOTE_MAX, false);
	if (r->more)
		buf_addf(out, " (and %u more)", r->more);
}

static int failed(const struct reader *r, int code, struct err *err)
{
	const char *full = full_folder(r), *log = r->run->log_path;
	auto_cleanup(buf) said = {0};

	if (full)
		return err_set(err, ENOSPC,
			       "no space left in %s (%llu MiB free): make room there ('lab cache "
			       "prune'), and the same command goes on where it was",
			       full, (unsigned long long)(free_bytes(full) >> 20));
	quote(r, &said);
	if (!said.len)
		buf_addf(&said, ": exit code %d", code);
	return err_set(err, EIO, "%s failed%s%s%s", r->run->argv[0], said.data,
		       log ? "; all it said is in " : "", log ? log : "");
}

int make_run(const struct make_run *run, struct err *err)
{
	auto_cleanup(reader) r = {.run = run, .log = run->log};
	auto_close int hold = -1, held = -1, own = -1;
	auto_cleanup(strv) env = {0}, argv = {0};
	int p[2], code;
	pid_t pid;

	if (r.log < 0)
		r.log = own = memfd_create("make", MFD_CLOEXEC);
	if (r.log < 0 || pipe2(p, O_CLOEXEC) < 0)
		return err_errno(err, "run %s", run->argv[0]);
	held = p[0], hold = p[1];
	r.at = r.start = lseek(r.log, 0, SEEK_END);
	clean_environment(&env);
	strv_add(&argv, "sh");
	strv_add(&argv, "-c");
	strv_add(&argv, guard);
	strv_add(&argv, "sh");
	strv_take(&argv, run->obj ? path_join(run->obj, MAKE_MARK) : xstrdup(""));
	for (char *const *a = run->argv; *a; a++)
		strv_add(&argv, *a);
	pid = proc_spawn_how(
		argv.items, held, r.log, r.log,
		&(struct proc_how){.env = env.items, .dir = run->dir, .own_group = true}, err);
	if (pid < 0)
		return pid;
	close(take_fd(held));
	code = follow(&r, pid);
	if (run->cancel && *run->cancel)
		return err_set(err, EINTR, "interrupted; the same command goes on where it was");
	if (r.flood)
		return err_set(err, EFBIG, "%s said more than %d MiB: see %s", run->argv[0],
			       MAKE_LOG_MAX >> 20, run->log_path ? run->log_path : "it");
	return code ? failed(&r, code, err) : 0;
}

void make_argv(struct strv *argv, const char *source, const char *obj, const struct toolchain *tc)
{
	strv_add(argv, "make");
	strv_add(argv, "-C");
	strv_add(argv, source);
	strv_addf(argv, "O=%s", obj);
	for (size_t i = 0; i < tc->make.n; i++)
		strv_add(argv, tc->make.items[i]);
}

int make_check_path(const char *path, const char *what, struct err *err)
{
	const char *bad = strpbrk(path, " \t\n:=#$%*?[\\'\"`&;()<>|");

	if (!bad)
		return 0;
	return err_set(err, EINVAL, "kernels cannot be built in %s: its path has a '%c' in it (%s)",
		       path, *bad, what);
}

/* nftw(3) has no argument for its caller: the newest time, then from when on to remove. */
static __thread time_t repair_newest, repair_from;

static bool is_made(const char *name)
{
	static const char *const ends[] = {".o", ".a", ".ko", ".so", ".bin", ".elf", ".dbg", ".gz"};
	static const char *const starts[] = {"vmlinux", ".tmp_", "bzImage", "Image"};

	for (size_t i = 0; i < array_len(ends); i++)
		if (str_ends(name, ends[i]))
			return true;
	for (size_t i = 0; i < array_len(starts); i++)
		if (str_starts(name, starts[i]))
			return true;
	return false;
}

static int repair_file(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	if (kind != FTW_F || !is_made(path + ftw->base))
		return 0;
	if (!repair_from && st->st_mtime > repair_newest)
		repair_newest = st->st_mtime;
	if (repair_from && st->st_mtime >= repair_from)
		unlink(path);
	return 0;
}

int make_repair(const char *obj, struct err *err)
{
	auto_free char *mark = path_join(obj, MAKE_MARK);

	if (!io_exists(mark))
		return 0;
	repair_newest = repair_from = 0;
	if (nftw(obj, repair_file, REPAIR_FDS, FTW_PHYS) < 0)
		return err_errno(err, "look through %s", obj);
	repair_from = repair_newest - REPAIR_S + 1;
	nftw(obj, repair_file, REPAIR_FDS, FTW_PHYS);
	return unlink(mark) < 0 ? err_errno(err, "remove %s", mark) : 0;
}
