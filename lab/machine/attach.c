#include "lab/machine/attach.h"

#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#include "lab/symbols/symbols.h"

enum { LOOK_NS = 5000000 };

/* --- what the relay asks, in its thread --- */

static int have_stub(struct virt_machine *m, const char *path, struct err *err)
{
	auto_free char *command = str_printf("gdbserver unix:%s,server=on,wait=off", path);
	auto_cleanup(buf) said = {0}, text = {0};
	int r = virt_machine_monitor(m, command, &said, err);

	if (r < 0)
		return r;
	/* "Waiting for gdb connection on device 'unix:…'", or why not */
	if (said.data && strstr(said.data, "Could not")) {
		str_printable(&text, said.data, said.len, 200, false);
		return err_set(err, EIO, "QEMU opens no debug stub: %s", text.data);
	}
	return 0;
}

/* The machine may still be starting. It stays while its monitor is asked: attach_close() waits. */
static int open_stub(void *data, char **path, struct err *err)
{
	struct attach *a = data;
	struct virt_machine *m = NULL;
	bool over = false;

	while (!m && !over) {
		pthread_mutex_lock(&a->lock);
		m = a->machine;
		over = a->over;
		pthread_mutex_unlock(&a->lock);
		if (!m && !over)
			nanosleep(&(struct timespec){.tv_nsec = LOOK_NS}, NULL);
	}
	if (over)
		return err_set(err, ESRCH, "the machine has ended");
	if (have_stub(m, a->stub, err) < 0)
		return -err->code;
	*path = xstrdup(a->stub);
	return 0;
}

static int addresses(void *data, struct link_addresses *ret, struct err *err)
{
	struct attach *a = data;

	return symbols_link_addresses(a->job->kernel, ret, err);
}

/* --- the session's side --- */

static int open_relay(struct attach *a, struct err *err)
{
	const struct relay_options options = {
		.listen = a->place,
		.arch = a->job->kernel->arch,
		.data = a,
		.open_stub = open_stub,
		.addresses = addresses,
		.nokaslr = a->job->nokaslr,
	};

	return a->relay ? 0 : relay_start(&options, &a->relay, err);
}

int attach_open(struct attach *a, const struct job *job, const char *run_dir, struct err *err)
{
	const struct job_debug *debug = job->debug;
	int r = 0;

	*a = (struct attach){
		.job = job,
		.place = debug && debug->listen ? xstrdup(debug->listen)
						: str_printf("%s/%s.gdb", run_dir, job->name),
		.stub = str_printf("%s/%s.stub", run_dir, job->name),
		.wait = debug && debug->wait_at_start ? WAIT_START : WAIT_NOTHING,
	};
	pthread_mutex_init(&a->lock, NULL);
	if (!debug || debug->listen)
		r = open_relay(a, err);
	if (r == 0 && debug && debug->starting)
		r = debug->starting(debug->data, attach_place(a), err);
	return r;
}

static int ready(struct attach *a, struct err *err)
{
	const struct job_debug *debug = a->job->debug;
	int r = open_relay(a, err);

	if (r == 0 && debug->ready)
		r = debug->ready(debug->data, attach_place(a), err);
	return r;
}

int attach_machine(struct attach *a, struct virt_machine *m, struct err *err)
{
	pthread_mutex_lock(&a->lock);
	a->machine = m;
	pthread_mutex_unlock(&a->lock);
	return a->wait == WAIT_START ? ready(a, err) : 0;
}

const char *attach_place(const struct attach *a)
{
	return a->relay ? relay_address(a->relay) : a->place;
}

int attach_event_fd(const struct attach *a)
{
	return a->relay ? relay_event_fd(a->relay) : -1;
}

static int hold(struct attach *a, struct err *err)
{
	bool interrupt = a->job->debug->wait_at_start;

	a->was_held = true;
	a->wait = WAIT_HELD;
	a->resumed = a->relay ? relay_resumed(a->relay) : 0;
	if (!interrupt)
		return ready(a, err);
	relay_interrupt(a->relay);
	return 0;
}

int attach_advance(struct attach *a, bool running, struct err *err)
{
	const struct job_debug *debug = a->job->debug;
	eventfd_t ignored;
	bool held;

	if (a->relay)
		eventfd_read(relay_event_fd(a->relay), &ignored);
	if (debug && debug->hold && running && !a->was_held)
		return hold(a, err);
	if (a->wait == WAIT_NOTHING || relay_resumed(a->relay) == a->resumed)
		return 0;
	held = a->wait == WAIT_HELD;
	a->wait = WAIT_NOTHING;
	return held;
}

bool attach_stands(const struct attach *a)
{
	return a->wait != WAIT_NOTHING || (a->relay && relay_attached(a->relay));
}

const char *attach_end(const struct attach *a)
{
	const struct job_debug *debug = a->job->debug;

	if (a->relay && relay_killed(a->relay))
		return "the debugger killed it";
	return debug && debug->over && debug->over(debug->data) ? "the debugger has ended" : NULL;
}

void attach_panic(struct attach *a)
{
	if (a->told_panic || !a->relay)
		return;
	a->told_panic = true;
	relay_interrupt(a->relay);
}

void attach_ended(struct attach *a)
{
	if (a->relay)
		relay_ended(a->relay);
}

void attach_close(struct attach *a)
{
	if (!a->place)
		return;
	pthread_mutex_lock(&a->lock);
	a->over = true;
	pthread_mutex_unlock(&a->lock);
	relay_stop(a->relay);
	pthread_mutex_destroy(&a->lock);
	unlink(a->stub);
	free(a->stub);
	free(a->place);
	*a = (struct attach){0};
}
