#include "lab/run/guest.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "jail/base/io.h"
#include "lab/guest/image.h"
#include "lab/machine/machine.h"
#include "lab/run/cell-dump.h"

struct guest {
	const struct guest_options *o;
	struct virt *virt;
	struct image image;
	struct accel accel;
	char *dir, *name;
	bool temporary;
	struct cell_dump dump;
};

static bool is_empty(const char *dir)
{
	auto_closedir DIR *d = opendir(dir);
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (!str_eq(e->d_name, ".") && !str_eq(e->d_name, ".."))
			return false;
	return d;
}

static int make_dir(struct guest *g, struct err *err)
{
	const char *tmp = getenv("TMPDIR");
	int r;

	if (!g->o->out) {
		g->dir = str_printf("%s/lab-shell-XXXXXX", tmp && tmp[0] == '/' ? tmp : "/tmp");
		if (!mkdtemp(g->dir))
			return err_errno(err, "create %s", g->dir);
		g->temporary = true;
		return 0;
	}
	r = io_mkdirs(g->o->out, 0755, err);
	if (r < 0)
		return r;
	if (!is_empty(g->o->out))
		return err_set(err, EEXIST, "%s is not empty: name another folder", g->o->out);
	g->dir = xstrdup(g->o->out);
	return 0;
}

static int prepare(struct guest *g, struct err *err)
{
	const struct guest_options *o = g->o;
	int r = make_dir(g, err);

	if (r == 0)
		r = virt_open(o->connect, &g->virt, err);
	if (r == 0)
		r = virt_check_arch(g->virt, o->kernel->arch, err);
	if (r == 0)
		r = image_build(o->kernel, o->packages, o->offline, o->fetch, o->data, &g->image,
				err);
	if (r == 0)
		r = accel_choose(g->virt, o->accel, o->kernel, &g->image, o->cancel, &g->accel,
				 err);
	if (r == 0 && *o->cancel)
		r = err_set(err, EINTR, "interrupted");
	return r;
}

static void on_phase(void *data, const char *what)
{
	struct guest *g = data;

	g->o->phase(g->o->data, what, str_eq(what, "booting") ? g->accel.why : g->name);
}

static void on_dumping(void *data)
{
	struct guest *g = data;

	cell_dump_begin(&g->dump);
}

static void on_dumped(void *data, const struct outcome *o)
{
	struct guest *g = data;

	cell_dump_ready(&g->dump, o);
}

static int boot(struct guest *g, struct outcome *ret, struct err *err)
{
	const struct guest_options *o = g->o;
	auto_free char *machine = str_printf("lab-%s", g->name);
	struct job job = {
		.name = machine,
		.what = "shell",
		.kernel = o->kernel,
		.image = &g->image,
		.kvm = g->accel.kvm,
		.nokaslr = o->nokaslr,
		.memory_mib = o->memory_mib,
		.cpus = 1,
		.argv = o->argv,
		.env = o->env,
		.phase = on_phase,
		.data = g,
		.terminal = o->terminal,
		.dump = {.on = DUMP_ON_DEFAULT},
		.dumping = on_dumping,
		.dumped = on_dumped,
		.oops_continue = true, /* who sits before it decides */
		.cancel = o->cancel,
	};

	int r;

	g->dump = (struct cell_dump){.kernel = o->kernel, .dir = g->dir};
	r = machine_run(g->virt, &job, g->dir, ret, err);
	cell_dump_finish(&g->dump, ret);
	return r;
}

int guest_run(const struct guest_options *options, struct outcome *ret, char **kept,
	      struct err *err)
{
	struct guest g = {.o = options, .name = str_printf("%d-0", (int)getpid())};
	int r;

	*ret = (struct outcome){.exit_code = -1};
	r = prepare(&g, err);
	if (r == 0)
		r = boot(&g, ret, err);
	virt_close(g.virt);
	if (r == 0 && ret->dump.there) {
		*kept = xstrdup(g.dir);
	} else if (g.temporary)
		io_remove_tree(AT_FDCWD, g.dir, NULL);
	image_deinit(&g.image);
	accel_deinit(&g.accel);
	cell_dump_deinit(&g.dump);
	free(g.name);
	free(g.dir);
	return r;
}
