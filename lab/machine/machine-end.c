#include <inttypes.h>
#include <time.h>

#include "lab/machine/session.h"

enum {
	NO_PROGRESS_MS = 20000,	 /* the agent ticks every second while it gets to run */
	PAYLOAD_MS = 600000,	 /* when the job has no limit of its own */
	GRACE_MS = 10000,	 /* for the agent to end the payload and to say so */
	FLOW_MS = 60000,	 /* further, while output still flows */
	FLOWING_MS = 2000,	 /* silence that ends a flow */
	REPORT_MS = 2000,	 /* silence that ends a report which lacks its end */
	REPORT_QUIET_MS = 20,	 /* after a report's last line */
	STOPPED_QUIET_MS = 15,	 /* of a machine that stands: what was printed is in the file */
	ANSWER_QEMU_MS = 60,	 /* of processor time for the agent to answer */
	ANSWER_MS = 5000,	 /* in any case: one that spins uses it */
	ANSWER_REMOTE_MS = 1500, /* where QEMU's time is not known */
	HANG_UP_MS = 1000,	 /* from the channel's end to QEMU's */
};

void session_end(struct session *s, enum ending ending, char *detail)
{
	outcome_end(s->o, &s->over, ending, detail);
}

static char *with_console(const struct session *s, char *text)
{
	return console_file_behind(&s->console, text);
}

/* --- what the kernel says of itself --- */

enum report { REPORT_NONE, REPORT_OOPS, REPORT_BOOT, REPORT_PANIC };

/* The worst that the text tells of, and whether it was told to its end. */
static enum report reported(const struct session *s, bool *whole)
{
	const struct crash_watch *console = &s->console.watch, *log = &s->channel.log;

	*whole = true;
	if (console->panic) {
		*whole = console->panic_over;
		return REPORT_PANIC;
	}
	if (console->boots && s->greeted >= 0)
		return REPORT_BOOT;
	if (s->job->oops_continue || !(console->oops || log->oops))
		return REPORT_NONE;
	*whole = console->oops_over || log->oops_over;
	return REPORT_OOPS;
}

/* The processor time of QEMU so far; -1: it is not on this host. */
static int64_t qemu_ms(const struct session *s)
{
	struct timespec t;
	clockid_t clock;
	pid_t pid = virt_machine_pid(s->m);

	if (pid <= 0 || clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &t) < 0)
		return -1;
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/*
 * Whether the agent has had its chance to answer. A kernel that has panicked spins, so time is what
 * QEMU got of the host's processors, and a busy host makes nobody late.
 */
static bool answer_is_late(const struct session *s)
{
	int64_t spent = qemu_ms(s), waited = s->now - s->asked;

	if (channel_blocked(&s->channel))
		return false;
	if (waited >= (spent < 0 ? ANSWER_REMOTE_MS : ANSWER_MS))
		return true;
	return spent >= 0 && spent - s->qemu_ms >= ANSWER_QEMU_MS;
}

/* Once, and again while the guest sends something else: whoever does that lives. */
static void ask(struct session *s)
{
	if (s->asked >= 0 && (s->channel.answered || s->channel.frames == s->asked_frames))
		return;
	channel_ask(&s->channel);
	s->asked = s->now;
	s->asked_frames = s->channel.frames;
	s->qemu_ms = qemu_ms(s);
}

/* A program printed what a kernel would: forget it, and look for the next one. */
static void refute(struct session *s)
{
	s->o->lives = true;
	s->console.watch = (struct crash_watch){0};
	s->channel.answered = false;
	s->report = s->asked = -1;
}

static void end_by_report(struct session *s, enum report what)
{
	if (what == REPORT_PANIC)
		session_end(s, END_PANIC, console_file_panic_line(&s->console));
	else if (what == REPORT_OOPS)
		session_end(s, END_OOPS, xstrdup("the kernel killed what ran (oops)"));
	else
		session_end(s, END_REBOOT,
			    with_console(s, xstrdup("the guest's kernel started anew")));
}

/*
 * The text alone decides nothing: whoever runs in the guest can print it. A kernel with pvpanic
 * stops the machine. Of others the agent runs no more after a panic; and after an oops it passes on
 * the kernel's log, in which the kernel's own words are told from others'.
 */
void session_check_reports(struct session *s)
{
	bool stopped = virt_machine_state(s->m) == VIRT_CRASHED, whole;
	enum report what = reported(s, &whole);
	bool known = true;
	int64_t quiet;

	if (stopped)
		what = REPORT_PANIC;
	if (what == REPORT_NONE)
		return;
	if (s->report < 0) {
		s->report = s->now;
		if (s->job->dump.form != DUMP_OFF && s->job->dump.on & DUMP_ON_CRASH)
			session_expect_dump(s);
	}
	/* who can be asked is asked at once: the answer is there when the report is whole */
	if (!stopped && s->greeted >= 0 && s->channel.fd >= 0 && !s->channel.ended) {
		ask(s);
		if (s->channel.answered && !(what == REPORT_OOPS && s->channel.log.oops)) {
			refute(s);
			return;
		}
		known = s->channel.answered || answer_is_late(s);
	}
	quiet = s->now - (s->printed > s->report ? s->printed : s->report);
	if (known && quiet >= (stopped ? STOPPED_QUIET_MS : whole ? REPORT_QUIET_MS : REPORT_MS))
		end_by_report(s, what);
}

/* --- how it ends --- */

void session_check_job(struct session *s)
{
	bool whole;

	if (s->channel.state != CHANNEL_OVER)
		return;
	/* one that is printed just before the job's end outweighs it, if it is true */
	if (reported(s, &whole) != REPORT_NONE || virt_machine_state(s->m) == VIRT_CRASHED)
		return;
	if (s->channel.failed)
		session_end(s, END_BROKEN, NULL);
	else if (s->o->ending == END_TIMEOUT)
		session_end(
			s, END_TIMEOUT,
			str_printf("not done within its timeout, %g s", s->job->timeout_ms / 1e3));
	else
		session_end(s, END_EXITED, NULL);
}

/* Whether the job's own time and all graces are over. */
static bool past_limit(const struct session *s)
{
	int64_t timeout = s->job->timeout_ms ? s->job->timeout_ms : PAYLOAD_MS;
	bool unlimited = s->job->terminal && !s->job->timeout_ms;
	int64_t late = s->now - ((s->sent < 0 ? s->greeted : s->sent) + timeout + GRACE_MS);

	if (unlimited)
		return false;
	return late > FLOW_MS || (late > 0 && s->now - s->flow > FLOWING_MS);
}

/* The agent never spoke: what with a likely reason. Takes what. */
static char *no_boot(const struct session *s, char *what)
{
	auto_free char *text = what;

	if (s->job->kernel->modules_dir)
		return with_console(s, take_ptr(text));
	return with_console(
		s, str_printf("%s; no modules are known for this kernel: give its .deb, "
			      "or put lib/modules/%s beside the image",
			      text, s->job->kernel->release ? s->job->kernel->release : "RELEASE"));
}

/* A person may want to see what hangs, or look at it in gdb. */
static void tell_silence(struct session *s)
{
	if (!s->silent)
		session_phase(s, "silent");
	s->silent = true;
}

void session_check_time(struct session *s)
{
	int64_t no_progress = s->job->no_progress_ms ? s->job->no_progress_ms : NO_PROGRESS_MS;

	if (s->greeted < 0) {
		if (s->now - s->up > s->boot_ms)
			session_end(s, END_NO_BOOT,
				    no_boot(s, str_printf("no word from the guest's agent within "
							  "%" PRId64 " s",
							  s->boot_ms / 1000)));
		return;
	}
	if (s->now - s->life <= no_progress)
		s->silent = false;
	else if (s->job->terminal && s->job->terminal->tty)
		tell_silence(s);
	else
		session_end(s, END_HUNG,
			    with_console(s, str_printf("no sign of life for %" PRId64 " s",
						       no_progress / 1000)));
	if (past_limit(s))
		session_end(
			s, END_HUNG,
			with_console(s, str_printf("the agent did not end the payload within its "
						   "%" PRId64 " ms and %d s of grace",
						   s->job->timeout_ms, GRACE_MS / 1000)));
}

/* "QEMU ended in mid-run: what it said" */
static char *qemu_ended(const struct session *s, const char *what)
{
	auto_free char *said = virt_machine_last_words(s->m);

	return str_printf("QEMU ended %s%s%s", what, said ? ": " : "", said ? said : "");
}

void session_check_gone(struct session *s)
{
	bool off = virt_machine_state(s->m) == VIRT_OFF;
	const char *what = s->greeted < 0 ? "while it booted" : "in mid-run";

	if (!off && (s->hung_up < 0 || s->now - s->hung_up < HANG_UP_MS))
		return;
	/* What it sent before is read first. */
	if (s->channel.fd >= 0 && !s->channel.ended && s->now - s->life < HANG_UP_MS)
		return;
	if (s->console.watch.panic)
		session_end(s, END_PANIC, console_file_panic_line(&s->console));
	else if (off && virt_machine_was_reset(s->m))
		session_end(s, END_REBOOT,
			    with_console(s, str_printf("the guest was reset %s", what)));
	else if (off && !virt_machine_died(s->m) && s->greeted < 0)
		session_end(s, END_NO_BOOT,
			    no_boot(s, xstrdup("the guest powered off before its agent spoke")));
	else if (off && !virt_machine_died(s->m))
		session_end(s, END_GONE,
			    with_console(s, str_printf("the guest powered off %s", what)));
	else
		session_end(s, END_GONE, qemu_ended(s, what));
}
