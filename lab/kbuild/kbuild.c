#include "lab/kbuild/kbuild.h"

#include <fcntl.h>
#include <string.h>
#include <time.h>

#include "jail/base/io.h"
#include "lab/cache.h"
#include "lab/debian/deb.h"
#include "lab/kbuild/configure.h"
#include "lab/kbuild/install.h"
#include "lab/kbuild/make.h"
#include "lab/kernel/kernel-tree.h"

/*
 * Part of every key: to be raised when the same source and fragments come to give another kernel.
 */
#define RECIPE 1

enum { SHOW_MS = 100, KEEP_MS = 2000, KEY_DIGITS = 16 };

/* One build from its start to its end. */
struct build {
	const struct kbuild_request *r;
	char *what;   /* for progress: "building kernel 6.5 amd64, took …" */
	char *prefix; /* paths of obj, log and history */
	char *obj, *log_path;
	int log, lock;
	bool again; /* obj holds a finished build: of a tree that was edited */
	struct source source;
	struct toolchain tc;
	struct fragments fragments;
	struct kconfig config;
	struct strv command;	      /* make and what all its calls have in common */
	struct kbuild_history before; /* in earlier parts of this build */
	unsigned int objects, expected, jobs;
	int64_t start_ms, shown_ms, kept_ms;
};

static void build_deinit(struct build *b)
{
	free(b->what);
	free(b->prefix);
	free(b->obj);
	free(b->log_path);
	if (b->log >= 0)
		close(b->log);
	if (b->lock >= 0)
		close(b->lock);
	source_deinit(&b->source);
	toolchain_deinit(&b->tc);
	fragments_deinit(&b->fragments);
	kconfig_deinit(&b->config);
	strv_deinit(&b->command);
}
DEFINE_CLEANUP(build, build_deinit)

/* fragments NULL: what of the inputs decides which objects may be used again. */
static char *digest(const struct kbuild_request *r, const char *id,
		    const struct fragments *fragments)
{
	auto_cleanup(buf) text = {0};
	char hex[65];

	buf_addf(&text, "recipe %d\nsource %s\narch %s\ncompiler %s\n", RECIPE, id,
		 arch_name(r->arch), r->want->llvm ? "clang" : "gcc");
	for (size_t i = 0; fragments && i < fragments->n; i++)
		buf_addf(&text, "fragment %s %s\n", fragments->items[i].name,
			 fragments->digests.items[i]);
	sha256_bytes(text.data, text.len, hex);
	return xstrdup(hex);
}

char *kbuild_inputs(const struct kbuild_request *r, bool *local, struct err *err)
{
	const struct source_place place = source_place(r->pin, r->package, r->source, r->want);
	auto_cleanup(fragments) fragments = {0};
	auto_free char *id = source_id(&place, err);

	if (!id || fragments_load(r->flavour, &fragments, err) < 0)
		return NULL;
	*local = str_starts(id, "tree:") ||
		 (r->source && !r->package && !(r->pin && r->pin->source.url));
	return digest(r, id, &fragments);
}

static int open_build(struct build *b, const char *key, struct err *err)
{
	auto_free char *dir = cache_dir("builds", err), *lock = NULL, *waiting = NULL;
	const struct kbuild_request *r = b->r;
	struct kbuild_history last;

	if (!dir)
		return err ? -err->code : -EIO;
	if (!lock_name_ok(r->name))
		return err_set(
			err, EINVAL,
			"'%.80s' is no name for a kernel: letters, digits, '.', '_', '+' and "
			"'-', at most 64",
			r->name);
	b->prefix = str_printf("%s/%s-%s", dir, r->name, arch_name(r->arch));
	b->obj = str_printf("%s-%.*s", b->prefix, KEY_DIGITS, key);
	b->log_path = str_printf("%s.log", b->prefix);
	lock = str_printf("%s.lock", b->prefix);
	if (make_check_path(b->obj, "LAB_CACHE names another folder for the cache", err) < 0)
		return -EINVAL;
	waiting = str_printf("building kernel %s %s", r->name, arch_name(r->arch));
	b->lock = deb_lock(lock, waiting, r->want->progress, r->want->data, r->want->cancel, err);
	if (b->lock < 0)
		return b->lock;
	kbuild_history(r->name, r->arch, &last);
	if (last.seconds) {
		auto_free char *took = str_duration(last.seconds);

		b->what = str_printf("%s, took %s last time", waiting, took);
	} else {
		b->what = str_printf("%s, for the first time", waiting);
	}
	return 0;
}

/* The objects' folder as the last build left it, and the log. */
static int prepare(struct build *b, struct err *err)
{
	auto_free char *vmlinux = path_join(b->obj, "vmlinux");
	int r = b->r->fresh ? io_remove_tree(AT_FDCWD, b->obj, err) : 0;

	if (r == 0)
		r = io_mkdirs(b->obj, 0755, err);
	if (r == 0)
		r = make_repair(b->obj, err);
	if (r < 0)
		return r;
	history_read_part(b->obj, &b->before);
	b->again = !b->before.objects && io_exists(vmlinux);
	if (b->again) {
		free(b->what);
		b->what = str_printf("building what changed of kernel %s %s", b->r->name,
				     arch_name(b->r->arch));
	}
	b->log = open(b->log_path, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
	return b->log < 0 ? err_errno(err, "%s", b->log_path) : 0;
}

/* What every call of make is given; the reasons are in reproducible-builds.rst. */
static void set_command(struct build *b)
{
	const char *src = b->source.dir, *version = b->source.version;
	/* the last one that fits counts: the cache may be below the tree. ccache knows the option,
	   and finds what was compiled for another flavour */
	auto_free char *map = str_printf("-ffile-prefix-map=%s=/usr/src/linux-%s "
					 "-ffile-prefix-map=%s=/usr/src/linux-%s-obj",
					 src, version, b->obj, version);

	make_argv(&b->command, src, b->obj, &b->tc);
	strv_add(&b->command, "KBUILD_BUILD_TIMESTAMP=Thu Jan  1 00:00:00 UTC 1970");
	strv_add(&b->command, "KBUILD_BUILD_USER=lab");
	strv_add(&b->command, "KBUILD_BUILD_HOST=lab");
	strv_add(&b->command, "KBUILD_BUILD_VERSION=1");
	strv_add(&b->command, "LOCALVERSION="); /* set: no '+' for a tree beyond its tag */
	strv_addf(&b->command, "KCFLAGS=%s", map);
	strv_addf(&b->command, "KAFLAGS=%s", map);
	strv_addf(&b->command, "-j%u", b->jobs);
}

static struct make_run run_of(const struct build *b)
{
	return (struct make_run){.source = b->source.dir,
				 .obj = b->obj,
				 .log = b->log,
				 .log_path = b->log_path,
				 .cancel = b->r->want->cancel};
}

static struct kbuild_history so_far(const struct build *b)
{
	return (struct kbuild_history){
		.seconds = b->before.seconds + (unsigned int)((io_now_ms() - b->start_ms) / 1000),
		.objects = b->before.objects + b->objects,
	};
}

static void show(struct build *b, bool over)
{
	const struct kernel_want *want = b->r->want;
	struct kbuild_history h = so_far(b);

	b->shown_ms = io_now_ms();
	if (!want->building)
		return;
	if (over) /* a total of its own, in case that nothing was made */
		want->building(want->data, b->what, 1, 1);
	else if (b->again)
		want->building(want->data, b->what, h.objects, 0);
	else
		want->building(want->data, b->what, h.objects,
			       h.objects < b->expected ? b->expected : h.objects + 1);
}

static void on_line(void *data, const char *line)
{
	struct build *b = data;
	int64_t now = io_now_ms();

	b->objects += make_line_is_object(line);
	if (now - b->shown_ms >= SHOW_MS)
		show(b, false);
	if (!b->again && now - b->kept_ms >= KEEP_MS) {
		struct kbuild_history h = so_far(b);

		b->kept_ms = now;
		history_write_part(b->obj, &h);
	}
}

/* The log says first what was run. */
static void log_command(const struct build *b, const struct strv *argv)
{
	auto_cleanup(buf) line = {0};

	for (size_t i = 0; i < argv->n; i++)
		buf_addf(&line, strpbrk(argv->items[i], " \t") ? "%s'%s'" : "%s%s", i ? " " : "",
			 argv->items[i]);
	buf_adds(&line, "\n");
	io_write_all(b->log, line.data, line.len);
}

static int make_kernel(struct build *b, struct err *err)
{
	auto_cleanup(strv) argv = {0};
	struct make_run run = run_of(b);
	struct kbuild_history h;
	int r;

	for (size_t i = 0; i < b->command.n; i++)
		strv_add(&argv, b->command.items[i]);
	strv_add(&argv, strrchr(kernel_tree_image_name(b->r->arch), '/') + 1);
	if (str_eq(kconfig_get(&b->config, "MODULES"), "y"))
		strv_add(&argv, "modules");
	if (str_eq(kconfig_get(&b->config, "GDB_SCRIPTS"), "y"))
		strv_add(&argv, "scripts_gdb");
	log_command(b, &argv);
	run.argv = argv.items;
	run.line = on_line;
	run.data = b;
	b->kept_ms = io_now_ms();
	r = make_run(&run, err);
	show(b, true);
	h = so_far(b);
	if (!b->again && (r < 0 || h.objects))
		history_write_part(b->obj, &h);
	if (r == 0 || r == -EINTR || r == -ENOSPC)
		return r;
	return err_wrap(err, "kernel %s %s", b->r->name, arch_name(b->r->arch));
}

/* "linux-6.5.tar.xz", "linux-source-6.1 6.1.176-1", "/home/me/linux v6.5-3-gabc-dirty" */
static char *source_what(const struct build *b)
{
	const struct kbuild_request *r = b->r;
	const char *slash;

	if (r->source && !b->source.is_tree)
		return realpath(r->source, NULL);
	if (b->source.is_tree)
		return str_printf("%s %s", b->source.dir,
				  b->source.describe ? b->source.describe : b->source.version);
	if (r->package)
		return str_printf("%s %s", r->package->name, r->package->version);
	slash = strrchr(r->pin->source.url, '/');
	return xstrdup(slash ? slash + 1 : r->pin->source.url);
}

static char *read_release(const struct build *b, struct err *err)
{
	auto_free char *path = path_join(b->obj, "include/config/kernel.release");
	auto_cleanup(buf) text = {0};

	if (io_read_file(AT_FDCWD, path, 128, &text, err) < 0)
		return NULL;
	return xstrndup(text.data ? text.data : "", strcspn(text.data ? text.data : "", "\n"));
}

static int describe(const struct build *b, const char *inputs, struct built *ret, struct err *err)
{
	struct kbuild_history h = so_far(b);

	*ret = (struct built){
		.name = xstrdup(b->r->name),
		.arch = b->r->arch,
		.version = xstrdup(b->source.version),
		.release = read_release(b, err),
		.inputs = b->source.local ? NULL : xstrdup(inputs),
		.source = xstrdup(b->source.id),
		.source_what = source_what(b),
		.local = b->source.local,
		.compiler = xstrdup(b->tc.version),
		.source_prefix = str_printf("/usr/src/linux-%s", b->source.version),
		.source_dir = xstrdup(b->source.dir),
		.objects = h.objects,
		.seconds = h.seconds,
		.jobs = b->jobs,
		.built_at = time(NULL),
	};
	for (size_t i = 0; i < b->r->flavour->fragments.n; i++)
		strv_add(&ret->fragments, b->r->flavour->fragments.items[i]);
	for (size_t i = 0; i < b->tc.notes.n; i++)
		strv_add(&ret->notes, b->tc.notes.items[i]);
	return ret->release ? 0 : err ? -err->code : -EIO;
}

static int install(const struct build *b, const struct built *made, struct kernel *ret,
		   struct err *err)
{
	auto_free char *stage = built_stage(made, err);
	struct make_run run = run_of(b);
	int r;

	if (!stage)
		return err ? -err->code : -EIO;
	r = install_stage(&run, &b->command, b->r->arch, &b->config, stage, err);
	if (r == 0)
		return built_install(made, stage, ret, err);
	io_remove_tree(AT_FDCWD, stage, NULL);
	return r;
}

static bool wants_btf(const struct fragments *fragments)
{
	for (size_t i = 0; i < fragments->n; i++)
		for (size_t k = 0; k < fragments->items[i].n; k++) {
			const struct fragment_option *o = &fragments->items[i].items[k];

			if (str_eq(o->name, "DEBUG_INFO_BTF") && str_eq(o->value, "y"))
				return true;
		}
	return false;
}

/* Asked twice: before anything is fetched, and again once the kernel's version is known. */
static int find_tools(struct build *b, const struct kver *kver, struct err *err)
{
	int r;

	toolchain_deinit(&b->tc);
	r = toolchain_find(b->r->arch, b->r->want->llvm, kver, &b->tc, err);

	if (r == 0 && wants_btf(&b->fragments))
		r = toolchain_check_pahole(err);
	if (r == -ENOENT && err) /* not to be taken for a kernel that is not there */
		err->code = ENOPKG;
	return r == -ENOENT ? -ENOPKG : r;
}

static int configure_it(struct build *b, struct err *err)
{
	auto_free char *path = path_join(b->obj, ".config");
	const struct kernel_want *want = b->r->want;
	auto_cleanup(strv) misses = {0};
	int r = configure(&b->source, b->r->arch, &b->tc, &b->fragments, b->obj, b->log,
			  want->cancel, &misses, err);

	for (size_t i = 0; i < misses.n; i++) {
		io_write_all(b->log, misses.items[i], strlen(misses.items[i]));
		io_write_all(b->log, "\n", 1);
	}
	if (r < 0 && misses.n > 1 && err) {
		struct err first = *err;

		return err_set(err, first.code, "%s; all are in %s", first.msg, b->log_path);
	}
	return r < 0 ? r : kconfig_load(path, &b->config, err);
}

/* All but what the lock is for. */
static int build_it(struct build *b, const char *inputs, struct kernel *ret, struct built *info,
		    struct err *err)
{
	auto_cleanup(built) made = {0};
	auto_free char *lock = str_printf("%s.lock", b->prefix);
	struct kbuild_history h;
	int r = make_check_path(b->source.dir, "where the source is", err);

	b->start_ms = io_now_ms();
	if (r == 0)
		r = prepare(b, err);
	if (r < 0)
		return r;
	for (size_t i = 0; b->r->want->building && i < b->tc.notes.n; i++)
		b->r->want->building(b->r->want->data, b->tc.notes.items[i], 0, 0);
	b->expected = history_expect(b->r->name, b->r->arch);
	show(b, false);
	r = configure_it(b, err);
	if (r < 0)
		return r;
	set_command(b);
	r = make_kernel(b, err);
	if (r == 0)
		r = describe(b, inputs, &made, err);
	if (r == 0)
		r = install(b, &made, ret, err);
	if (r < 0)
		return r;
	h = so_far(b);
	if (!b->again)
		history_write(b->r->name, b->r->arch, &h);
	history_write_part(b->obj, NULL);
	if (!b->source.local)
		io_remove_tree(AT_FDCWD, b->obj, NULL); /* hundreds of MB that nothing needs */
	unlink(lock); /* those who wait on it will find the kernel */
	if (info) {
		made.build_id = xstrdup(ret->build_id);
		*info = made;
		made = (struct built){0};
	}
	return 0;
}

/* The fragments, as they were when the key was made: it was long ago if another lab was waited for.
 */
static int load_fragments(struct build *b, const char *id, const char *inputs, struct err *err)
{
	auto_free char *now = NULL;
	int r = fragments_load(b->r->flavour, &b->fragments, err);

	if (r < 0)
		return r;
	now = digest(b->r, id, &b->fragments);
	return str_eq(now, inputs) ? 0
				   : err_set(err, EAGAIN,
					     "kernel %s: its fragments were edited meanwhile: run "
					     "this again",
					     b->r->name);
}

int kbuild(const struct kbuild_request *r, struct kernel *ret, struct built *info, struct err *err)
{
	auto_cleanup(build) b = {.r = r, .log = -1, .lock = -1, .jobs = r->want->jobs};
	const struct source_place place = source_place(r->pin, r->package, r->source, r->want);
	auto_free char *inputs = NULL, *key = NULL, *id = NULL;
	bool local = false;
	int n;

	inputs = kbuild_inputs(r, &local, err);
	id = inputs ? source_id(&place, err) : NULL;
	/* of a local source all objects are kept, and make decides what to do with them */
	key = !id ? NULL : local ? digest(r, id, NULL) : xstrdup(inputs);
	if (!key)
		return err ? -err->code : -EIO;
	n = open_build(&b, key, err);
	if (n == 0 && !r->fresh && !local &&
	    built_find(r->name, r->arch, inputs, false, ret, info, NULL) == 0)
		return 0; /* by another lab, while we waited for it */
	if (n == 0)
		n = load_fragments(&b, id, inputs, err);
	if (n == 0)
		n = find_tools(&b, NULL, err);
	if (n == 0)
		n = source_open(&place, &b.source, err);
	if (n == 0)
		n = find_tools(&b, &b.source.kver, err);
	if (n < 0)
		return n;
	if (!b.jobs)
		b.jobs = (unsigned int)sysconf(_SC_NPROCESSORS_ONLN);
	return build_it(&b, inputs, ret, info, err);
}
