#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "jail/base/io.h"
#include "lab/machine/session.h"

enum {
	DUMP_MS = 60000,    /* for asking a hung machine and dumping it; further for each GiB */
	LOOK_MS = 50,	    /* how often an interrupt of ours is looked for meanwhile */
	NMI_MS = 3000,	    /* for the kernel to say where an NMI found it */
	NMI_QUIET_MS = 300, /* silence that ends that */
	NMI_LOOK_MS = 20,
};

/* --- a guest that hangs: what it does --- */

static void ask_registers(struct session *s, struct buf *out)
{
	struct err err = {0};

	buf_adds(out, "# info registers -a\n");
	if (virt_machine_monitor(s->m, "info registers -a", out, &err) < 0)
		buf_addf(out, "%s\n", err.msg);
}

/*
 * An amd64 kernel panics of an NMI that it does not know (unknown_nmi_panic) and says where it was.
 * That is an answer, and not the guest's doing: it goes to registers.txt instead of console.log.
 */
static void ask_by_nmi(struct session *s, uint64_t *from)
{
	int64_t begin = io_now_ms(), last = begin, now = begin;

	if (s->job->kernel->arch != ARCH_AMD64 || s->console.size > s->console.limit ||
	    virt_machine_state(s->m) != VIRT_RUNNING)
		return;
	*from = s->console.size;
	if (virt_machine_nmi(s->m, NULL) < 0)
		return;
	while (now - begin < NMI_MS && virt_machine_state(s->m) == VIRT_RUNNING &&
	       (s->console.size == *from || now - last < NMI_QUIET_MS)) {
		nanosleep(&(struct timespec){.tv_nsec = NMI_LOOK_MS * 1000000L}, NULL);
		now = io_now_ms();
		if (console_file_poll(&s->console, NULL) > 0)
			last = now;
	}
}

/* "RIP: 0010:FUNC+0x…": the first is where the NMI came. */
static void tell_where(struct session *s, const struct buf *said)
{
	static const char mark[] = "RIP: 0010:";
	const char *at = said->len ? memmem(said->data, said->len, mark, strlen(mark)) : NULL;
	auto_cleanup(buf) where = {0};
	size_t len = at ? said->len - (at + strlen(mark) - said->data) : 0, n = 0;
	char *detail;

	if (!at)
		return;
	at += strlen(mark);
	while (n < len && !strchr(" \r\n", at[n]))
		n++;
	str_printable(&where, at, n, 100, false);
	detail = str_printf("%s; an NMI found it in %s", s->o->detail ? s->o->detail : "hung",
			    where.data ? where.data : "?");
	free(s->o->detail);
	s->o->detail = detail;
}

/* The machine is dead: what it answered goes beside the registers. */
static void keep_state(struct session *s, struct buf *state, uint64_t nmi)
{
	auto_cleanup(buf) said = {0};
	auto_free char *path = path_join(s->dir, "registers.txt");
	struct err err = {0};
	int r = 0;

	if (!state->len)
		return;
	if (nmi != UINT64_MAX && s->console.size > nmi) {
		r = console_file_split(&s->console, nmi, &said, &err);
		if (r == 0 && said.len) {
			tell_where(s, &said);
			buf_adds(state, "\n# what an NMI had the kernel say\n");
			buf_add(state, said.data, said.len);
		}
	}
	if (r == 0 && nmi != UINT64_MAX && !said.len)
		buf_adds(state, "\n# an NMI was sent: what the kernel said of it is in its log, in "
				"the dump\n");
	if (r == 0)
		r = io_write_atomic(AT_FDCWD, path, state->data, state->len, 0644, &err);
	if (r < 0)
		evidence_note(&s->evidence, "registers.txt: %s", err.msg);
}

/* --- what is wanted of a machine at its end: in a thread, since libvirt has no time limits --- */

struct farewell {
	struct session *s;
	bool ask, dump;
	struct buf state;
	uint64_t nmi; /* where on the console its answer begins; UINT64_MAX: nowhere */
	struct err err;
	pthread_t thread;
};

void session_expect_dump(struct session *s)
{
	if (!s->expects_dump && s->job->dumping)
		s->job->dumping(s->job->data);
	s->expects_dump = true;
}

static void take_dump(struct farewell *f)
{
	struct session *s = f->s;
	const struct dump_policy *policy = &s->job->dump;
	auto_free char *path = path_join(s->dir, "vmcore");
	struct dump_done *d = &s->o->dump;
	int64_t begin = io_now_ms();

	d->form = policy->form;
	d->there = dump_write(s->m, path, policy->form, policy->budget, &d->bytes, &f->err) == 0;
	d->ms = io_now_ms() - begin;
	if (d->there && s->job->dumped)
		s->job->dumped(s->job->data, s->o);
}

static void *bid_farewell(void *data)
{
	struct farewell *f = data;

	if (f->ask) {
		ask_registers(f->s, &f->state);
		if (f->s->o->ending != END_TIMEOUT)
			ask_by_nmi(f->s, &f->nmi);
	}
	if (f->dump)
		take_dump(f);
	return NULL;
}

static bool joined(pthread_t thread)
{
	struct timespec look;

	clock_gettime(CLOCK_MONOTONIC, &look);
	look.tv_nsec += LOOK_MS * 1000000L;
	look.tv_sec += look.tv_nsec / 1000000000;
	look.tv_nsec %= 1000000000;
	return pthread_clockjoin_np(thread, NULL, CLOCK_MONOTONIC, &look) == 0;
}

/* A QEMU that is killed ends what waits for it. */
static void wait_for_farewell(struct farewell *f)
{
	struct session *s = f->s;
	int64_t limit = io_now_ms() + DUMP_MS + DUMP_MS / 1024 * s->job->memory_mib;
	const char *why = NULL;

	while (!joined(f->thread)) {
		bool cancelled = s->job->cancel && *s->job->cancel;

		if (why || (!cancelled && io_now_ms() < limit))
			continue;
		why = cancelled ? "interrupted" : "it took too long";
		virt_machine_kill(s->m);
	}
	if (why && f->err.code)
		err_set(&f->err, EINTR, "%s", why);
}

/* What has become of the cell, in the words of --dump-on; 0: nothing that is dumped. */
static unsigned int fate(struct session *s)
{
	switch (s->o->ending) {
	case END_PANIC:
	case END_OOPS:
	case END_REBOOT:
		return DUMP_ON_CRASH;
	case END_HUNG:
	case END_NO_BOOT:
		return DUMP_ON_HANG;
	case END_EXITED:
	case END_TIMEOUT:
		return s->job->judge ? s->job->judge(s->job->data, s->o) : 0;
	default:
		return 0;
	}
}

#define GONE "the machine is gone, and its memory with it"

static void say_goodbye(struct session *s)
{
	const struct dump_policy *policy = &s->job->dump;
	enum ending e = s->o->ending;
	struct farewell f = {.s = s, .nmi = UINT64_MAX};
	bool off = virt_machine_state(s->m) == VIRT_OFF;

	/* between the job's end and now */
	if (e == END_EXITED && virt_machine_state(s->m) == VIRT_CRASHED) {
		console_file_poll(&s->console, NULL);
		s->o->ending = e = END_PANIC;
		s->o->exit_code = -1;
		s->o->detail = console_file_panic_line(&s->console);
	}
	s->o->console = (struct stream){s->console.size, s->console.size};
	f.ask = !off && (e == END_HUNG || e == END_NO_BOOT || e == END_TIMEOUT);
	f.dump = policy->form != DUMP_OFF && policy->on && (fate(s) & policy->on);
	if (f.dump && off)
		s->o->dump.skipped = xstrdup(GONE);
	else if (f.dump && attach_stands(&s->attach))
		s->o->dump.skipped = xstrdup("a debugger is attached");
	f.dump &= !s->o->dump.skipped;
	f.ask &= !attach_stands(&s->attach);
	if (!f.ask && !f.dump)
		return;
	if (f.dump) {
		session_phase(s, "dumping");
		session_expect_dump(s);
	}
	if (pthread_create(&f.thread, NULL, bid_farewell, &f))
		return;
	wait_for_farewell(&f);
	/* it went on meanwhile: a panicked kernel may boot anew after a while */
	if (f.err.code && f.err.code != EINTR && virt_machine_state(s->m) == VIRT_OFF)
		err_set(&f.err, ESRCH, GONE);
	virt_machine_kill(s->m);
	console_file_poll(&s->console, NULL);
	keep_state(s, &f.state, f.nmi);
	buf_deinit(&f.state);
	if (f.dump && !s->o->dump.there) {
		auto_cleanup(buf) why = {0};

		str_printable(&why, f.err.msg, strlen(f.err.msg), 300, false);
		s->o->dump.skipped = take_ptr(why.data);
	}
}

/* --- the end --- */

static int finish_console(struct session *s, int r, struct err *err)
{
	int last = (int)console_file_poll(&s->console, NULL);
	int cut = console_file_finish(&s->console, &s->o->console, r < 0 ? NULL : err);

	if (r == 0 && (last < 0 || cut < 0))
		r = cut < 0 ? cut : last;
	if (s->o->console.seen > s->o->console.kept)
		evidence_note(&s->evidence, "console.log: kept %" PRIu64 " of %" PRIu64 " bytes",
			      s->o->console.kept, s->o->console.seen);
	return r;
}

/* QEMU first: then nobody writes to the files any more. */
int session_finish(struct session *s, int r, struct err *err)
{
	if (r == 0 && (s->o->ending == END_EXITED || s->o->ending == END_TIMEOUT))
		attach_ended(&s->attach);
	if (r == 0 && s->m)
		say_goodbye(s);
	/* A relay that waits for QEMU hears of its end; the machine itself stays until it is done.
	 */
	virt_machine_kill(s->m);
	attach_close(&s->attach);
	virt_machine_destroy(s->m);
	if (s->console.fd >= 0 && s->start >= 0)
		r = finish_console(s, r, err);
	if (s->debugged_ms && !s->job->debug)
		evidence_note(&s->evidence,
			      "a debugger was attached for %" PRId64
			      " s in all, which no time limit counts",
			      s->debugged_ms / 1000);
	if (s->start >= 0) {
		s->o->total_ms = io_now_ms() - s->start;
		s->o->ended = s->report >= 0 ? s->report : s->now;
	}
	presence_close(&s->presence);
	channel_deinit(&s->channel);
	console_file_close(&s->console);
	evidence_close(&s->evidence);
	unlink(s->socket);
	if (s->tty)
		unlink(s->tty);
	free(s->socket);
	free(s->tty);
	return r;
}
