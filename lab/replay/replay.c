#include "lab/replay/replay.h"

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>

#include "jail/base/io.h"
#include "lab/debug/relay.h"
#include "lab/symbols/symbols.h"

enum {
	LOOK_MS = 50,
	STUCK_MS = 60000,   /* without one instruction more */
	DENSEST = 10000000, /* instructions between two snapshots, at least */
	LAST = 10000,	    /* instructions that are not gone back from: see at_end() */
	LIFE_MS = 2000,
	SNAPSHOTS = 6, /* each is about as large as the memory in use */
	CHUNK = 64 << 10,
};

static int failed(struct rr_qemu *q, struct err *err)
{
	auto_free char *said = rr_qemu_last_words(q);

	return said ? err_wrap(err, "%s", said) : -err->code;
}

static json_t *at(int64_t icount)
{
	return json_pack("{s:I}", "icount", (json_int_t)icount);
}

/* Whether the guest stands. */
static int is_stopped(struct rr_qemu *q, bool *ret, struct err *err)
{
	json_t *j = NULL;
	int r = qmp_command(&q->qmp, "query-status", NULL, &j, err);

	if (r == 0)
		*ret = !json_is_true(json_object_get(j, "running"));
	json_decref(j);
	return r;
}

/* Until it stands, by a break or at its end; *ret: where. */
static int wait_for_stop(struct rr_qemu *q, const struct recording *rec,
			 const struct replay_want *want, int64_t *ret, struct err *err)
{
	int64_t last = -1, life = io_now_ms(), now;
	bool stopped = false;
	int r = 0;

	for (;;) {
		r = is_stopped(q, &stopped, err);
		if (r == 0)
			r = qmp_icount(&q->qmp, ret, err);
		if (r < 0 || stopped)
			return r < 0 ? failed(q, err) : 0;
		if (*want->cancel)
			return err_set(err, EINTR, "interrupted");
		if (want->progress)
			want->progress(want->data, *ret, rec->icount);
		now = io_now_ms();
		if (*ret != last)
			life = now;
		last = *ret;
		if (now - life > STUCK_MS)
			return err_set(err, ETIMEDOUT,
				       "stuck at instruction %" PRId64 " of %" PRId64
				       ": the recording's log is damaged",
				       *ret, rec->icount);
		r = qmp_wait(&q->qmp, LOOK_MS, err);
		if (r < 0)
			return failed(q, err);
	}
}

/* Go on to an instruction, or to the machine's end before it. */
static int run_to(struct rr_qemu *q, const struct recording *rec, const struct replay_want *want,
		  int64_t icount, int64_t *ret, struct err *err)
{
	int r = qmp_command(&q->qmp, "replay-break", at(icount), NULL, err);

	if (r == 0)
		r = qmp_command(&q->qmp, "cont", NULL, NULL, err);
	return r < 0 ? failed(q, err) : wait_for_stop(q, rec, want, ret, err);
}

/* --- snapshots --- */

/* Where the k-th snapshot is: halfway from the one before to the end. */
static int64_t snapshot_at(const struct recording *rec, int k)
{
	int64_t left = rec->icount >> k;

	return k <= SNAPSHOTS && left >= DENSEST ? rec->icount - left : -1;
}

static int has_snapshots(struct rr_qemu *q, const struct recording *rec, bool *ret, struct err *err)
{
	auto_cleanup(buf) list = {0};
	int r = qmp_monitor(&q->qmp, "info snapshots", &list, err);
	int k = 1;

	while (snapshot_at(rec, k + 1) > 0)
		k++;
	if (r == 0) {
		auto_free char *last = str_printf("lab-%" PRId64 " ", snapshot_at(rec, k));

		*ret = snapshot_at(rec, k) < 0 || (list.data && strstr(list.data, last));
	}
	return r;
}

static int make_snapshots(struct rr_qemu *q, const struct recording *rec,
			  const struct replay_want *want, struct err *err)
{
	int64_t where = 0;
	int r = 0;

	for (int k = 1; r == 0 && snapshot_at(rec, k) > 0; k++) {
		auto_free char *save = str_printf("savevm lab-%" PRId64, snapshot_at(rec, k));
		auto_cleanup(buf) said = {0};

		r = run_to(q, rec, want, snapshot_at(rec, k), &where, err);
		if (r == 0 && where != snapshot_at(rec, k))
			return err_set(err, EPROTO,
				       "the replay ended at instruction %" PRId64 ", not %" PRId64,
				       where, rec->icount);
		if (r == 0)
			r = qmp_monitor(&q->qmp, save, &said, err);
		/* "Error: No space left on device" */
		if (r == 0 && said.len)
			r = err_set(err, EIO, "keep a state of the machine: %.200s", said.data);
	}
	return r;
}

/* --- forwards --- */

/* The first byte in which two files differ, -1: none does. */
static int compare(const char *a, const char *b, int64_t *bytes, int64_t *differs, struct err *err)
{
	auto_close int one = open(a, O_RDONLY | O_CLOEXEC), two = open(b, O_RDONLY | O_CLOEXEC);
	auto_free char *x = xmalloc(CHUNK), *y = xmalloc(CHUNK);
	int64_t pos = 0;

	if (one < 0 || two < 0)
		return err_errno(err, "%s", one < 0 ? a : b);
	*differs = -1;
	for (;;) {
		ssize_t n = pread(one, x, CHUNK, pos), m = pread(two, y, CHUNK, pos), i = 0;

		if (n < 0 || m < 0)
			return err_errno(err, "%s", n < 0 ? a : b);
		while (i < n && i < m && x[i] == y[i])
			i++;
		if ((i < n || i < m) && *differs < 0)
			*differs = pos + i;
		if (i < n || i < m || !m)
			break;
		pos += i;
	}
	struct stat st;

	*bytes = fstat(two, &st) == 0 ? st.st_size : 0;
	return 0;
}

static int report(const struct rr_qemu *q, const struct recording *rec, int64_t icount,
		  struct replay_report *ret, struct err *err)
{
	auto_free char *first = recording_path(rec, "serial.log");

	ret->icount = icount;
	return compare(first, q->serial, &ret->serial_bytes, &ret->differs, err);
}

/*
 * To the end, as far as there is a certain one: a guest's reset takes effect when QEMU's main loop
 * comes to it, on amd64 some instructions after the one that asked for it, each time others.
 */
static int run_to_end(struct rr_qemu *q, const struct recording *rec,
		      const struct replay_want *want, int64_t *icount, struct err *err)
{
	int64_t certain = rec->icount > LAST ? rec->icount - LAST : 0;
	int r = run_to(q, rec, want, certain, icount, err);

	if (r < 0 || *icount != certain)
		return r;
	r = run_to(q, rec, want, rec->icount, icount, err);
	if (r == 0 && q->qmp.off && *icount >= certain)
		*icount = rec->icount;
	return r;
}

int replay_run(const struct recording *rec, const struct replay_want *want, bool snapshots,
	       struct replay_report *ret, struct err *err)
{
	const struct rr_how how = {.replay = true,
				   .paused = true,
				   .run_dir = want->run_dir,
				   .name = "replay",
				   .cancel = want->cancel};
	auto_cleanup(rr_qemu) q = {.qmp = {.fd = -1}};
	bool there = false;
	int64_t icount = 0;
	int r = rr_qemu_start(&q, rec, &how, err);

	if (r < 0)
		return q.pid > 0 || q.log ? failed(&q, err) : r;
	if (snapshots) {
		r = has_snapshots(&q, rec, &there, err);
		if (r == 0 && there)
			*ret = (struct replay_report){.icount = rec->icount,
						      .serial_bytes = rec->serial_bytes,
						      .differs = -1};
		if (r < 0 || there)
			return r;
		r = make_snapshots(&q, rec, want, err);
	}
	if (r == 0)
		r = run_to_end(&q, rec, want, &icount, err);
	if (r == 0)
		r = report(&q, rec, icount, ret, err);
	unlink(q.serial);
	return r;
}

/* --- for a debugger --- */

struct stage {
	struct rr_qemu q;
	const struct kernel *kernel;
	int64_t last;	      /* instruction up to which it may go */
	pthread_mutex_t lock; /* of q.qmp: relay's thread asks too */
};

static int open_stub(void *data, char **path, struct err *err)
{
	struct stage *s = data;

	(void)err;
	*path = xstrdup(s->q.stub);
	return 0;
}

static int addresses(void *data, struct link_addresses *ret, struct err *err)
{
	struct stage *s = data;

	return symbols_link_addresses(s->kernel, ret, err);
}

static int where_is(struct stage *s, int64_t *ret, struct err *err)
{
	int r;

	pthread_mutex_lock(&s->lock);
	r = qmp_icount(&s->q.qmp, ret, err);
	pthread_mutex_unlock(&s->lock);
	return r;
}

/*
 * From a machine that has shut down there is no way back: QEMU ends when it is asked for one. So it
 * is made to stop before, each time that it goes on.
 */
static bool at_end(void *data)
{
	struct stage *s = data;
	int64_t where = 0;

	if (where_is(s, &where, NULL) < 0)
		return false; /* serve() hears of it, too */
	if (where >= s->last)
		return true;
	pthread_mutex_lock(&s->lock);
	qmp_command(&s->q.qmp, "replay-break", at(s->last), NULL, NULL);
	pthread_mutex_unlock(&s->lock);
	return false;
}

static int seek(struct rr_qemu *q, const struct recording *rec, const struct replay_want *want,
		int64_t icount, struct err *err)
{
	int64_t where = 0;
	int r;

	if (icount <= 0)
		return 0;
	/* QEMU 7.2 for arm64 crashes when a state is loaded into a machine that never ran */
	r = run_to(q, rec, want, 1, &where, err);
	if (r == 0 && icount > where) {
		r = qmp_command(&q->qmp, "replay-seek", at(icount), NULL, err);
		r = r < 0 ? failed(q, err) : wait_for_stop(q, rec, want, &where, err);
	}
	if (r == 0 && where != icount)
		r = err_set(err, EPROTO, "the replay came to instruction %" PRId64 ", not %" PRId64,
			    where, icount);
	return r;
}

/* A client waits: the guest has to come on, or a way back that QEMU does not find ends nowhere. */
static int check_life(struct stage *s, int64_t *last, int64_t *life, struct err *err)
{
	int64_t now = io_now_ms(), where = 0;
	int r = where_is(s, &where, err);

	if (r < 0)
		return err_wrap(err, "the replay stands still");
	if (where != *last)
		*life = now;
	*last = where;
	if (now - *life > STUCK_MS)
		return err_set(err, ETIMEDOUT,
			       "the replay stands still at instruction %" PRId64
			       " for %d s: begin elsewhere (--to N)",
			       where, STUCK_MS / 1000);
	return 0;
}

static int serve(struct stage *s, const struct replay_want *want, const struct job_debug *job,
		 struct relay *relay, struct err *err)
{
	int r = job->ready ? job->ready(job->data, relay_address(relay), err) : 0;
	int64_t last = -1, life = 0, looked = 0;

	while (r == 0 && !job->over(job->data) && !relay_killed(relay)) {
		if (*want->cancel)
			return err_set(err, EINTR, "interrupted");
		if (rr_qemu_gone(&s->q)) {
			auto_free char *said = rr_qemu_last_words(&s->q);

			return err_set(err, EPIPE, "QEMU has ended%s%s", said ? ": " : "",
				       said ? said : "");
		}
		if (!relay_running(relay)) {
			last = -1;
		} else if (io_now_ms() - looked > LIFE_MS) {
			r = check_life(s, &last, &life, err);
			looked = io_now_ms();
		}
		usleep(LOOK_MS * 1000);
	}
	return r;
}

int replay_debug(const struct recording *rec, const struct replay_want *want,
		 const struct kernel *kernel, int64_t icount, const struct job_debug *job,
		 struct err *err)
{
	const struct rr_how how = {.replay = true,
				   .paused = true,
				   .run_dir = want->run_dir,
				   .name = "replay",
				   .cancel = want->cancel};
	struct stage s = {.q = {.qmp = {.fd = -1}},
			  .kernel = kernel,
			  .last = rec->icount > LAST ? rec->icount - LAST : 0,
			  .lock = PTHREAD_MUTEX_INITIALIZER};
	auto_free char *beside = str_printf("%s/replay.gdb", want->run_dir);
	struct relay_options options = {.listen = job->listen ? job->listen : beside,
					.arch = kernel->arch,
					.data = &s,
					.open_stub = open_stub,
					.addresses = addresses,
					.at_end = at_end};
	struct relay *relay = NULL;
	int r = job->starting ? job->starting(job->data, options.listen, err) : 0;

	if (r == 0)
		r = rr_qemu_start(&s.q, rec, &how, err);
	if (r == 0)
		r = seek(&s.q, rec, want, icount < s.last ? icount : s.last, err);
	if (r == 0)
		r = relay_start(&options, &relay, err);
	if (r == 0)
		r = serve(&s, want, job, relay, err);
	relay_stop(relay);
	if (s.q.serial)
		unlink(s.q.serial);
	rr_qemu_end(&s.q);
	return r;
}
