#include "lab/replay/rr-qemu.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "jail/base/io.h"
#include "jail/base/proc.h"
#include "lab/machine/guardian.h"
#include "lab/machine/qemu.h"

enum { END_MS = 20000, LOOK_MS = 10, LOG_MAX = 1 << 20 };

extern char **environ;

/*
 * amd64: without kvmvapic (a speed-up for 32-bit Windows). QEMU loads its state by a call into the
 * processor's thread, with the lock held that this thread waits for: every way back in a replay
 * hung in 7.2 (vapic_post_load() in hw/i386/kvmvapic.c; replay_mutex).
 */
static void add_arch(enum arch arch, struct strv *argv)
{
	if (arch != ARCH_AMD64)
		return;
	strv_add(argv, "-global");
	strv_add(argv, "apic-common.vapic=off");
}

/*
 * As libvirt starts its own: what comes out of a guest, or of somebody's recording, starts no
 * program. A QEMU that was built without it says so.
 */
static void add_sandbox(const char *emulator, struct strv *argv)
{
	char *ask[] = {(char *)emulator, (char *)"-sandbox", (char *)"help", NULL};
	auto_cleanup(buf) out = {0}, said = {0};

	if (proc_run(ask, &out, &said, NULL) < 0 || !said.data || !strstr(said.data, "'enable'"))
		return;
	strv_add(argv, "-sandbox");
	strv_add(argv, "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
}

/*
 * Files of the recording are named relative to its folder, which is QEMU's: a path in an option
 * would need its commas doubled. The disk is there for snapshots only, the guest does not see it.
 */
static void command_line(const struct recording *r, const struct rr_how *how,
			 const struct rr_qemu *q, const char *emulator, struct strv *argv)
{
	const char *const fixed[] = {
		"-nodefaults", "-no-user-config",
		"-display",    "none",
		"-nic",	       "none",
		"-smp",	       "1",
		"-accel",      "tcg",
		"-action",     "reboot=shutdown,shutdown=pause",
		"-drive",      "file=snapshots.qcow2,format=qcow2,if=none,id=snapshots",
		"-initrd",     "initrd",
		"-serial",     "chardev:serial",
	};

	strv_add(argv, emulator);
	strv_add(argv, "-machine");
	strv_add(argv, r->machine);
	strv_add(argv, "-cpu");
	strv_add(argv, r->cpu);
	strv_add(argv, "-m");
	strv_addf(argv, "%u", r->memory_mib);
	for (size_t i = 0; i < array_len(fixed); i++)
		strv_add(argv, fixed[i]);
	add_sandbox(emulator, argv);
	add_arch(r->arch, argv);
	strv_add(argv, "-rtc");
	strv_addf(argv, "base=%s,clock=vm", r->date);
	strv_add(argv, "-icount");
	strv_addf(argv, "shift=%u,rr=%s,rrfile=log,rrsnapshot=start", r->shift,
		  how->replay ? "replay" : "record");
	strv_add(argv, "-kernel");
	strv_add(argv, r->image);
	strv_add(argv, "-append");
	strv_add(argv, r->cmdline);
	strv_add(argv, "-chardev");
	strv_addf(argv, "file,id=serial,path=%s", strrchr(q->serial, '/') + 1);
	strv_add(argv, "-qmp");
	strv_addf(argv, "unix:%s,server=on,wait=off", q->monitor);
	if (how->replay) {
		strv_add(argv, "-gdb");
		strv_addf(argv, "unix:%s,server=on,wait=off", q->stub);
	}
	if (how->paused)
		strv_add(argv, "-S");
}

static void save_command(const struct recording *r, const struct strv *argv)
{
	auto_free char *path = recording_path(r, "command.txt");
	auto_cleanup(buf) text = {0};

	for (size_t i = 0; i < argv->n; i++) {
		const char *word = argv->items[i];
		bool plain = !word[strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWX"
						"YZ0123456789_-+=./,:@")];

		buf_addf(&text, plain ? "%s%s" : "%s'%s'", i ? " " : "", word);
	}
	buf_adds(&text, "\n");
	io_write_atomic(AT_FDCWD, path, text.data, text.len, 0644, NULL);
}

/* Its version has to be the recording's: what a machine does in detail changes with it. */
static char *find_emulator(const struct recording *r, const struct rr_how *how, struct err *err)
{
	auto_free char *qemu = qemu_find(r->arch, err), *version = NULL, *dir = NULL;
	char *ret = NULL;

	version = qemu ? qemu_version(qemu, err) : NULL;
	if (!version)
		return NULL;
	if (how->replay && !str_eq(version, r->qemu)) {
		err_set(err, ESTALE,
			"recorded by QEMU %.40s, and this is %.40s: a recording is replayed by the "
			"same version only; record it again",
			r->qemu, version);
		return NULL;
	}
	dir = qemu_cache_dir(qemu, err);
	return dir && guardian_wrap_qemu(dir, qemu, &ret, err) == 0 ? ret : NULL;
}

static int spawn(struct rr_qemu *q, const struct recording *r, const struct strv *argv, bool replay,
		 struct err *err)
{
	auto_cleanup(strv) env = {0};
	/* a group of its own: the terminal's Ctrl-C is for gdb */
	struct proc_how how = {.dir = r->dir, .own_group = true};
	auto_close int log = -1;
	pid_t pid;

	/* new ones: in somebody's recording these may be links to anywhere */
	if (replay)
		unlink(q->serial);
	unlink(q->log);
	log = open(q->log, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (log < 0)
		return err_errno(err, "create %s", q->log);
	for (char **e = environ; *e; e++)
		strv_add(&env, *e);
	strv_addf(&env, "LAB_GUARDIAN=%d", (int)getpid());
	how.env = env.items;
	pid = proc_spawn_how(argv->items, -1, log, log, &how, err);
	if (pid < 0)
		return pid;
	q->pid = pid;
	return 0;
}

int rr_qemu_start(struct rr_qemu *q, const struct recording *r, const struct rr_how *how,
		  struct err *err)
{
	auto_free char *emulator = find_emulator(r, how, err);
	auto_cleanup(strv) argv = {0};
	int64_t until = io_now_ms() + END_MS;
	int ret;

	*q = (struct rr_qemu){
		.qmp = {.fd = -1},
		.serial = recording_path(r, how->replay ? "serial-again.log" : "serial.log"),
		.log = recording_path(r, "qemu.log"),
		.stub = str_printf("%s/%s.stub", how->run_dir, how->name),
		.monitor = str_printf("%s/%s.qmp", how->run_dir, how->name),
	};
	if (!emulator)
		return err ? -err->code : -EIO;
	unlink(q->monitor);
	command_line(r, how, q, emulator, &argv);
	if (!how->replay)
		save_command(r, &argv);
	ret = spawn(q, r, &argv, how->replay, err);
	if (ret < 0)
		return ret;
	/* one that ends at once is not waited for */
	while (!io_exists(q->monitor) && io_now_ms() < until && !(how->cancel && *how->cancel)) {
		if (rr_qemu_gone(q))
			return err_set(err, EPIPE, "QEMU has ended");
		usleep(LOOK_MS * 1000);
	}
	return qmp_connect(&q->qmp, q->monitor, how->cancel, err);
}

bool rr_qemu_gone(struct rr_qemu *q)
{
	if (q->pid > 0 && waitpid(q->pid, NULL, WNOHANG) == q->pid)
		q->pid = 0;
	return q->pid <= 0;
}

char *rr_qemu_last_words(const struct rr_qemu *q)
{
	auto_cleanup(buf) text = {0}, line = {0};
	size_t end, start;

	if (!q->log || io_read_file(AT_FDCWD, q->log, LOG_MAX, &text, NULL) < 0)
		return NULL;
	for (end = text.len; end && strchr(" \r\n", text.data[end - 1]); end--)
		;
	for (start = end; start && text.data[start - 1] != '\n'; start--)
		;
	if (start == end)
		return NULL;
	str_printable(&line, text.data + start, end - start, 200, false);
	return take_ptr(line.data);
}

void rr_qemu_end(struct rr_qemu *q)
{
	int64_t until = io_now_ms() + END_MS;

	if (!rr_qemu_gone(q) && q->qmp.fd >= 0 && !q->qmp.ended)
		qmp_command(&q->qmp, "quit", NULL, NULL, NULL);
	else
		until = 0;
	while (!rr_qemu_gone(q)) {
		if (io_now_ms() > until)
			kill(q->pid, SIGKILL);
		usleep(LOOK_MS * 1000);
	}
	qmp_close(&q->qmp);
	if (q->monitor)
		unlink(q->monitor);
	if (q->stub)
		unlink(q->stub);
	free(q->monitor);
	free(q->serial);
	free(q->stub);
	free(q->log);
	*q = (struct rr_qemu){.qmp = {.fd = -1}};
}
