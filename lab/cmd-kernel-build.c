/* lab kernel build: a kernel from its source to the cache. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "lab/cmd-kernel.h"
#include "lab/kbuild/kbuild.h"
#include "lab/kernel/kernel-target.h"
#include "lab/progress.h"

struct build_args {
	struct strv archs;
	const char *flavour, *source, *mirror, *cache_from;
	unsigned int jobs;
	bool llvm, fresh, offline, json;
};

#define ARG(member) offsetof(struct build_args, member)

static const struct opt options[] = {
	{'a', "arch", "A[,A...]", OPT_STRV, ARG(archs),
	 "amd64, arm64 or 'all' (default: this machine's)"},
	{0, "flavour", "F[,F...]", OPT_STRING, ARG(flavour),
	 "one kernel with these fragments of kernel-config/, or files that\nend in .config "
	 "(default: what kernels.yml says, or guest)"},
	{0, "source", "PATH", OPT_STRING, ARG(source),
	 "a tree, or a tarball: that of the pin, or any for a NAME of its own"},
	{'j', "jobs", "N", OPT_U32, ARG(jobs), "of make (default: one for each processor)"},
	{0, "mirror", "PLACE", OPT_STRING, ARG(mirror),
	 "a URL or folder that has the tarball, asked first"},
	{0, "cache-from", "PLACE", OPT_STRING, ARG(cache_from),
	 "a URL or folder that may have the kernel already built"},
	{0, "llvm", NULL, OPT_FLAG, ARG(llvm), "build with clang and lld"},
	{0, "fresh", NULL, OPT_FLAG, ARG(fresh), "build all of it, also what is there"},
	{0, "offline", NULL, OPT_FLAG, ARG(offline), "fetch nothing"},
	{0, "json", NULL, OPT_FLAG, ARG(json), "machine-readable output"},
};
static const struct cmd_usage usage = {
	"kernel build", "[options] NAME",
	"Build a kernel from its source: fetched, checked, unpacked, configured by fragments, "
	"made,\n"
	"and put into the cache for 'lab run --kernel NAME'. NAME is a pin (6.5), a pin with\n"
	"fragments (6.1+debug+kasan), or with --source any name. What was interrupted goes on\n"
	"where it was."};

/* One kernel that is there now. */
struct made {
	struct kernel kernel;
	struct built built;
	bool was_there, was_fetched;
};

static void made_deinit(struct made *m)
{
	kernel_deinit(&m->kernel);
	built_deinit(&m->built);
}
DEFINE_CLEANUP(made, made_deinit)

/* A tarball that is not right is the mistake of who gave it. */
static int exit_code(int r, const struct build_args *a)
{
	return a->source && (r == -EBADMSG || r == -EFBIG) ? EXIT_USAGE : cmd_exit_code(r);
}

/* Here already, or to be had from --cache-from? Returns 0, -ENOENT (to be built), … */
static int find(const struct kbuild_request *r, struct made *ret, struct err *err)
{
	const struct kernel_want *want = r->want;
	auto_cleanup(kernel) fetched = {0};
	auto_free char *inputs = NULL;
	bool local = false;
	int n;

	if (r->fresh)
		return -ENOENT;
	inputs = kbuild_inputs(r, &local, err);
	if (!inputs)
		return -err->code;
	if (local)
		return -ENOENT;
	n = built_find(r->name, r->arch, inputs, false, &ret->kernel, &ret->built, NULL);
	ret->was_there = n == 0;
	if (n == 0 || !want->cache_from)
		return n;
	n = built_fetch(want->cache_from, r->name, r->arch, inputs, want->progress, want->data,
			want->cancel, &fetched, err);
	ret->was_fetched = n == 0;
	return n ? n : built_find(r->name, r->arch, inputs, false, &ret->kernel, &ret->built, err);
}

static int build_one(const char *name, enum arch arch, const struct build_args *a,
		     struct progress *progress, struct made *ret, struct err *err)
{
	struct kernel_want want = {.llvm = a->llvm,
				   .jobs = a->jobs,
				   .offline = a->offline,
				   .mirror = a->mirror,
				   .cache_from = a->cache_from,
				   .progress = progress_fetch,
				   .building = progress_build,
				   .data = progress,
				   .cancel = cmd_catch_signals()};
	struct kbuild_request request = {
		.arch = arch, .source = a->source, .fresh = a->fresh, .want = &want};
	auto_free char *flavour = xstrdup(a->flavour);
	auto_cleanup(kernel_target) t = {0};
	int r;

	for (char *p = flavour; p && *p; p++)
		if (*p == ',')
			*p = '+';
	if (kernel_spec_is_path(name))
		return err_set(err, EINVAL,
			       "build takes a name: 'lab kernel build mine --source %.200s' (and "
			       "'lab run --kernel' a tree that is built already)",
			       name);
	r = kernel_target(name, arch, flavour, &t, err);
	if (r == 0 && t.is_binary) { /* the pin's own is Debian's: what is built is the guest's */
		kernel_target_deinit(&t);
		r = kernel_target(name, arch, "guest", &t, err);
	}
	if (r == 0 && !a->source)
		r = kernel_target_check(&t, err);
	if (r < 0)
		return r;
	request.name = t.name;
	request.flavour = &t.flavour;
	request.pin = t.pin;
	request.package = t.package;
	r = find(&request, ret, err);
	return r == -ENOENT ? kbuild(&request, &ret->kernel, &ret->built, err) : r;
}

static uint64_t size_of(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

static json_t *strings_json(const struct strv *v)
{
	json_t *list = json_array();

	for (size_t i = 0; i < v->n; i++)
		json_array_append_new(list, json_string(v->items[i]));
	return list;
}

static json_t *made_json(const struct made *m)
{
	const struct built *b = &m->built;

	return json_pack(
		"{s:s, s:s, s:s, s:s, s:s, s:s?, s:s?, s:b, s:b, s:b, s:i, s:i, s:s, s:I, s:s?, "
		"s:o, s:o}",
		"name", b->name, "arch", arch_name(b->arch), "version", b->version, "release",
		b->release, "source", b->source_what, "compiler", b->compiler, "build_id",
		b->build_id, "local", b->local, "was_there", m->was_there, "was_fetched",
		m->was_fetched, "seconds", (int)b->seconds, "objects", (int)b->objects, "image",
		m->kernel.image, "image_bytes", (json_int_t)size_of(m->kernel.image), "vmlinux",
		m->kernel.vmlinux, "fragments", strings_json(&b->fragments), "notes",
		strings_json(&b->notes));
}

static void print_made(const struct made *m)
{
	const struct built *b = &m->built;
	auto_free char *took = str_duration(b->seconds);
	const char *slash = strrchr(m->kernel.image, '/');

	printf("%s %s: Linux %s of %s, %s %s, image %.1f MiB\n", b->name, arch_name(b->arch),
	       b->version, b->source_what,
	       m->was_there	? "was there; built in"
	       : m->was_fetched ? "was fetched; built in"
				: "built in",
	       took, size_of(m->kernel.image) / 1048576.0);
	for (size_t i = 0; i < b->notes.n; i++)
		printf("  with %s\n", b->notes.items[i]);
	printf("  %.*s\n", (int)(slash - m->kernel.image), m->kernel.image);
	printf("  next: lab run --kernel %s%s%s scenarios/\n", b->name,
	       b->arch == arch_native() ? "" : " --arch ",
	       b->arch == arch_native() ? "" : arch_name(b->arch));
	fflush(stdout);
}

static int build_all(const char *name, int archs, const struct build_args *a)
{
	json_t *list = json_array();
	struct err err = {0};
	int r = 0;

	for (int arch = 0; r == 0 && arch < ARCH_COUNT; arch++) {
		auto_cleanup(made) m = {0};
		struct progress *progress;
		struct run_events events;

		if (!(archs & 1 << arch))
			continue;
		progress = progress_start(a->json, &events);
		r = build_one(name, arch, a, progress, &m, &err);
		progress_stop(progress);
		if (r == 0 && a->json)
			json_array_append_new(list, made_json(&m));
		else if (r == 0)
			print_made(&m);
	}
	if (a->json && r == 0) {
		json_dumpf(list, stdout, JSON_INDENT(2));
		putchar('\n');
	}
	json_decref(list);
	return r < 0 ? cmd_fail(exit_code(r, a), &err) : EXIT_MET;
}

int cmd_kernel_build(int argc, char **argv)
{
	struct build_args a = {0};
	struct err err = {0};
	int at, archs, r = cmd_options(&usage, options, array_len(options), argc, argv, &a, &at);

	if (r >= 0)
		return r;
	a.cache_from = cmd_cache_from(a.cache_from);
	archs = cmd_archs(&a.archs, 1u << arch_native(), &err);
	if (archs < 0)
		r = cmd_fail(EXIT_USAGE, &err);
	else if (argc - at != 1)
		r = cmd_misused(&usage, "build takes the name of one kernel");
	else
		r = build_all(argv[at], archs, &a);
	strv_deinit(&a.archs);
	return r;
}
