#include "lab/machine/registry.h"

#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#include "jail/base/io.h"
#include "lab/machine/control.h"
#include "lab/machine/virt-root.h"

#define SUFFIX ".vm"
enum {
	NAME_MAX_BYTES = 40,
	ANSWER_MS = 2000,
	STOP_MS = 20000, /* a stop takes 0.2 s; a host that is busy takes its time */
	DUMP_MS = 600000,
	LISTED_MAX = 8,
};

void vm_deinit(struct vm *vm)
{
	free(vm->name);
	free(vm->kernel);
	free(vm->release);
	free(vm->what);
	free(vm->dir);
	free(vm->gdb);
	free(vm->control);
	*vm = (struct vm){0};
}

void vm_list_deinit(struct vm_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		vm_deinit(&l->items[i]);
	free(l->items);
	*l = (struct vm_list){0};
}

static bool name_is_fine(const char *name)
{
	size_t len = strlen(name);

	return len && len <= NAME_MAX_BYTES && strspn(name, "0123456789-") == len && name[0] != '-';
}

static bool is_printable(const char *s)
{
	auto_cleanup(buf) shown = {0};

	str_printable(&shown, s, strlen(s), strlen(s), false);
	return shown.data ? str_eq(shown.data, s) : !*s;
}

int vm_parse(const char *text, size_t len, struct vm *ret, struct err *err)
{
	const char *name, *kernel, *release = NULL, *arch, *what, *dir, *gdb, *control;
	json_int_t lab, qemu, started;
	json_t *j = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	int nokaslr, a;

	if (json_unpack(j, "{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:I,s:I,s:I,s:b,s?:s}", "name", &name,
			"kernel", &kernel, "arch", &arch, "what", &what, "dir", &dir, "gdb", &gdb,
			"control", &control, "lab", &lab, "qemu", &qemu, "started", &started,
			"nokaslr", &nokaslr, "release", &release) < 0) {
		json_decref(j);
		return err_set(err, EINVAL, "not a running machine's file");
	}
	a = arch_parse(arch);
	if (a < 0 || !name_is_fine(name) || !is_printable(kernel) || !is_printable(what) ||
	    (release && !is_printable(release)) || dir[0] != '/' || control[0] != '/' || lab < 2 ||
	    lab > INT32_MAX || qemu < -1 || qemu > INT32_MAX || started < 0) {
		json_decref(j);
		return err_set(err, EINVAL, "a running machine's file that makes no sense");
	}
	*ret = (struct vm){
		.name = xstrdup(name),
		.kernel = xstrdup(kernel),
		.release = xstrdup(release),
		.arch = a,
		.what = xstrdup(what),
		.dir = xstrdup(dir),
		.gdb = xstrdup(gdb),
		.control = xstrdup(control),
		.lab = lab,
		.qemu = qemu,
		.started = started,
		.nokaslr = nokaslr,
	};
	json_decref(j);
	return 0;
}

static char *file_of(const char *dir, const char *name)
{
	return str_printf("%s/%s" SUFFIX, dir, name);
}

int vm_enter(const char *dir, const struct vm *vm, struct err *err)
{
	auto_free char *path = file_of(dir, vm->name), *text = NULL;
	json_t *j = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:I,s:I,s:I,s:b}", "name", vm->name,
			      "kernel", vm->kernel, "arch", arch_name(vm->arch), "what", vm->what,
			      "dir", vm->dir, "gdb", vm->gdb, "control", vm->control, "lab",
			      (json_int_t)vm->lab, "qemu", (json_int_t)vm->qemu, "started",
			      (json_int_t)vm->started, "nokaslr", vm->nokaslr);

	if (j && vm->release)
		json_object_set_new(j, "release", json_string(vm->release));
	text = j ? json_dumps(j, JSON_INDENT(2)) : NULL;
	json_decref(j);
	if (!text)
		return err_set(err, EINVAL, "enter machine %s: a name that is not UTF-8", vm->name);
	return io_write_atomic(AT_FDCWD, path, text, strlen(text), 0600, err);
}

void vm_leave(const char *dir, const char *name)
{
	auto_free char *path = file_of(dir, name);

	unlink(path);
}

/* Files that vanish or that are not ours are none of ours to report. */
static void add_file(struct vm_list *l, int dirfd, const char *name)
{
	auto_cleanup(buf) text = {0};
	auto_cleanup(vm) vm = {0};
	auto_free char *own = NULL;
	struct stat st;

	if (!str_ends(name, SUFFIX) || l->n >= VM_MAX ||
	    fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode) ||
	    st.st_uid != geteuid() || io_read_regular(dirfd, name, VM_FILE_MAX, &text, NULL) < 0 ||
	    vm_parse(text.data, text.len, &vm, NULL) < 0)
		return;
	own = str_printf("%s" SUFFIX, vm.name);
	if (!str_eq(own, name))
		return;
	l->items = xreallocarray(l->items, l->n + 1, sizeof(*l->items));
	l->items[l->n++] = vm;
	vm = (struct vm){0};
}

static int by_start(const void *a, const void *b)
{
	const struct vm *x = a, *y = b;

	if (x->started != y->started)
		return x->started < y->started ? -1 : 1;
	return strverscmp(x->name, y->name);
}

int vm_list(struct vm_list *ret, struct err *err)
{
	auto_cleanup(strv) dirs = {0};
	struct vm_list l = {0};

	(void)err;
	virt_roots_held(&dirs);
	for (size_t i = 0; i < dirs.n; i++) {
		auto_closedir DIR *d = opendir(dirs.items[i]);
		struct dirent *e;

		while (d && (e = readdir(d)))
			add_file(&l, dirfd(d), e->d_name);
	}
	if (l.n)
		qsort(l.items, l.n, sizeof(*l.items), by_start);
	*ret = l;
	return 0;
}

/* name: the machine's, the end of its cell's folder from a whole component on, or what it runs. */
static bool means(const struct vm *vm, const char *name)
{
	auto_free char *cell = str_printf("/%s", name);

	return str_eq(vm->name, name) || str_eq(vm->what, name) || str_eq(vm->dir, name) ||
	       (*name && str_ends(vm->dir, cell));
}

static void list_names(struct buf *out, const struct vm_list *l, const char *only)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++) {
		const struct vm *vm = &l->items[i];

		if (only && !means(vm, only))
			continue;
		if (++n > LISTED_MAX) {
			buf_adds(out, ", …");
			break;
		}
		buf_addf(out, "%s%s (%s on %s %s)", n > 1 ? ", " : "", vm->name, vm->what,
			 vm->kernel, arch_name(vm->arch));
	}
}

int vm_find(const char *name, struct vm *ret, struct err *err)
{
	auto_cleanup(vm_list) l = {0};
	auto_cleanup(buf) names = {0};
	struct vm *found = NULL;
	size_t n = 0;
	int r = vm_list(&l, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < l.n; i++) {
		if (str_eq(l.items[i].name, name)) {
			found = &l.items[i];
			n = 1;
			break;
		}
		if (means(&l.items[i], name)) {
			found = &l.items[i];
			n++;
		}
	}
	if (n == 1) {
		*ret = *found;
		*found = (struct vm){0};
		return 0;
	}
	list_names(&names, &l, n ? name : NULL);
	if (n)
		return err_set(err, EEXIST, "'%.80s' is more than one machine: %s", name,
			       names.data);
	if (!l.n)
		return err_set(err, ENOENT, "no machine '%.80s': none runs", name);
	return err_set(err, ENOENT, "no machine '%.80s' runs; there are: %s", name, names.data);
}

static int ask(const struct vm *vm, const char *op, int *fd, json_t **answer, struct err *err)
{
	json_t *request;
	int r;

	*fd = control_connect(vm->control, err);
	if (*fd < 0)
		return *fd;
	request = json_pack("{s:s}", "op", op);
	r = control_ask(*fd, request, ANSWER_MS, answer, err);
	json_decref(request);
	return r;
}

const char *vm_state(const struct vm *vm)
{
	static const char *const states[] = {"running", "stopped in gdb", "running, gdb attached",
					     "stopped"};
	auto_close int fd = -1;
	json_t *answer = NULL;
	const char *said, *state = "no answer";

	if (ask(vm, "state", &fd, &answer, NULL) < 0)
		return state;
	said = json_string_value(json_object_get(answer, "state"));
	for (size_t i = 0; said && i < array_len(states); i++)
		if (str_eq(said, states[i]))
			state = states[i];
	json_decref(answer);
	return state;
}

int vm_stop(const struct vm *vm, struct err *err)
{
	auto_close int fd = -1;
	json_t *answer = NULL;
	int64_t until = io_now_ms() + STOP_MS;
	int r = ask(vm, "stop", &fd, &answer, err);

	json_decref(answer);
	if (r == 0)
		r = control_wait_end(fd, STOP_MS);
	/* its lab was killed: the guardian ends QEMU */
	while (vm->qemu > 0 && kill(vm->qemu, 0) == 0 && (r == 0 || r == -ESRCH) &&
	       io_now_ms() < until)
		usleep(5000);
	if (r == -ETIMEDOUT)
		return err_set(err, ETIMEDOUT,
			       "machine %s: its lab (process %d) does not answer: 'kill -9 %d' "
			       "ends both",
			       vm->name, (int)vm->lab, (int)vm->lab);
	return r < 0 ? err_wrap(err, "machine %s", vm->name) : 0;
}

int vm_dump(const struct vm *vm, const char *path, enum dump_form form, struct dump_done *ret,
	    struct err *err)
{
	json_t *request = json_pack("{s:s, s:s, s:s}", "op", "dump", "path", path, "form",
				    dump_form_name(form));
	auto_close int fd = control_connect(vm->control, err);
	json_t *answer = NULL;
	int r = fd;

	if (fd >= 0)
		r = request ? control_ask(fd, request, DUMP_MS, &answer, err)
			    : err_set(err, EINVAL, "%s is not UTF-8", path);
	json_decref(request);
	if (r < 0)
		return err_wrap(err, "machine %s", vm->name);
	*ret = (struct dump_done){
		.there = true,
		.form = form,
		.bytes = json_integer_value(json_object_get(answer, "bytes")),
		.ms = json_integer_value(json_object_get(answer, "ms")),
	};
	json_decref(answer);
	return 0;
}
