#include "lab/machine/presence.h"

#include <time.h>

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

static json_t *answer(void *data, const char *op, const json_t *request)
{
	struct presence *p = data;

	(void)request;
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
