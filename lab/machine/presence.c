#include "lab/machine/presence.h"

#include <time.h>
#include <unistd.h>

#include "jail/base/io.h"
#include "lab/kernel/kernel.h"
#include "lab/machine/registry.h"

void presence_open(struct presence *p, const struct job *job, const char *dir, const char *run_dir,
		   struct virt_machine *machine, const struct attach *attach)
{
	const struct kernel *k = job->kernel;
	auto_free char *file = k->path ? realpath(k->path, NULL) : NULL;
	auto_free char *control = str_printf("%s/%s.ctl", run_dir, job->name);
	struct vm vm = {
		.kernel = file ? file : k->name,
		.release = k->release,
		.arch = k->arch,
		.what = (char *)(job->what ? job->what : "?"),
		.dir = (char *)dir,
		.gdb = (char *)attach_place(attach),
		.control = control,
		.lab = getpid(),
		.qemu = virt_machine_pid(machine),
		.started = time(NULL),
		.nokaslr = job->nokaslr,
	};

	*p = (struct presence){
		.name = str_starts(job->name, "lab-") ? job->name + 4 : job->name,
		.run_dir = run_dir,
		.machine = machine,
		.attach = attach,
	};
	vm.name = (char *)p->name;
	if (control_open(&p->control, control, NULL) == 0)
		vm_enter(run_dir, &vm, NULL);
}

static const char *state(const struct presence *p)
{
	bool gdb = p->attach->relay && relay_attached(p->attach->relay);

	if (virt_machine_state(p->machine) == VIRT_PAUSED)
		return gdb ? "stopped in gdb" : "stopped";
	return gdb ? "running, gdb attached" : "running";
}

/*
 * The asker waits, and so does the machine; its lab's other machines have threads of their own. A
 * dump that nobody waits for any more is not there.
 */
static json_t *dump(const struct presence *p, const json_t *request)
{
	const char *path = json_string_value(json_object_get(request, "path"));
	const char *name = json_string_value(json_object_get(request, "form"));
	int form = name ? dump_form_parse(name) : -EINVAL;
	int64_t begin = io_now_ms();
	uint64_t bytes = 0;
	struct err err = {0};
	int r;

	if (!path || *path != '/' || form < 0 || form == DUMP_OFF)
		r = err_set(&err, EINVAL, "dump: no path or no form");
	else if (p->attach->relay && relay_running(p->attach->relay))
		/* to gdb it would look as if somebody else had stopped its guest */
		r = err_set(&err, EBUSY,
			    "a debugger is attached and lets the guest run: stop the guest in it, "
			    "or detach");
	else if (control_asker_left(&p->control))
		r = err_set(&err, ECANCELED, "who asked has left");
	else
		r = dump_write(p->machine, path, form, NULL, &bytes, &err);
	if (r == 0 && control_asker_left(&p->control))
		unlink(path);
	if (r < 0)
		return json_pack("{s:s}", "error", err.msg);
	return json_pack("{s:I, s:I}", "bytes", (json_int_t)bytes, "ms",
			 (json_int_t)(io_now_ms() - begin));
}

static json_t *answer(void *data, const char *op, const json_t *request)
{
	struct presence *p = data;

	if (str_eq(op, "dump"))
		return dump(p, request);
	if (str_eq(op, "state"))
		return json_pack("{s:s}", "state", state(p));
	if (!str_eq(op, "stop"))
		return NULL;
	p->asked_to_stop = true;
	return json_object();
}

bool presence_serve(struct presence *p)
{
	control_serve(&p->control, answer, p);
	return p->asked_to_stop;
}

void presence_close(struct presence *p)
{
	if (p->name)
		vm_leave(p->run_dir, p->name);
	control_close(&p->control);
}
