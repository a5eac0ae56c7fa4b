#include "jail/plan/plan.h"

#include <string.h>
#include <sys/mount.h>

#include "jail/plan/idmap.h"
#include "jail/plan/namespace.h"
#include "jail/plan/plan-limits.h"
#include "jail/policy/cap-names.h"

enum { HOSTNAME_MAX = 64, MODE_TMP = 01777, MODE_FOLDER = 0755 };

struct builder {
	const struct jail_spec *spec;
	struct plan plan;
	bool has_root_id;   /* uid and gid 0 exist inside */
	bool has_true_root; /* the user who is 0 outside does */
	struct strv ro, rw; /* absolute */
	char *root;
};

static void builder_deinit(struct builder *b)
{
	plan_deinit(&b->plan);
	strv_deinit(&b->ro);
	strv_deinit(&b->rw);
	free(b->root);
}
DEFINE_CLEANUP(builder, builder_deinit)

/* plan_add() to the plan of a builder. */
#define add(b, ...) plan_add(&(b)->plan, __VA_ARGS__)

/* --- paths --- */

/* Absolute, without "//", "/./" and a "/" at the end; ".." is ambiguous with links: refused. */
static int clean_path(const struct jail_spec *spec, const char *option, const char *path,
		      char **ret, struct err *err)
{
	auto_free char *full = *path == '/' ? xstrdup(path) : path_join(spec->present_cwd, path);
	auto_cleanup(buf) out = {0};

	if (!*path)
		return err_set(err, EINVAL, "%s: an empty path", option);
	for (const char *p = full; *p;) {
		size_t len = strcspn(p, "/");
		auto_free char *part = xstrndup(p, len);

		if (str_eq(part, ".."))
			return err_set(err, EINVAL,
				       "%s %.200s: '..' is not allowed here: give the real path",
				       option, path);
		if (len && !str_eq(part, "."))
			buf_addf(&out, "/%s", part);
		p += len + (p[len] == '/');
	}
	if (out.len == 0)
		buf_adds(&out, "/");
	*ret = take_ptr(out.data);
	return 0;
}

static int clean_paths(const struct jail_spec *spec, const char *option, const struct strv *from,
		       struct strv *to, struct err *err)
{
	for (size_t i = 0; i < from->n; i++) {
		char *path;
		int r = clean_path(spec, option, from->items[i], &path, err);

		if (r < 0)
			return r;
		strv_take(to, path);
	}
	return 0;
}

static bool is_bound(const struct builder *b, const char *path)
{
	return strv_has(&b->ro, path) || strv_has(&b->rw, path);
}

/* --- namespaces --- */

static unsigned int wanted_namespaces(const struct jail_spec *spec)
{
	unsigned int mask = spec->namespaces;

	if (spec->root || spec->ro.n || spec->rw.n)
		mask |= NS_MOUNT;
	if (spec->hostname)
		mask |= NS_UTS;
	if (spec->boottime_s || spec->monotonic_s)
		mask |= NS_TIME;
	if (spec->network == NETWORK_NONE || spec->network == NETWORK_LOOPBACK)
		mask |= NS_NET;
	if (spec->uid_map.n || spec->gid_map.n || (mask && !spec->may_admin))
		mask |= NS_USER;
	return mask;
}

/* The id to become: root, if there is one; else who the caller is; else the first there is. */
static uint32_t inside_id(const struct idmap *map, uint32_t caller)
{
	int64_t own = idmap_to_inside(map, caller);

	if (idmap_has_inside(map, 0))
		return 0;
	return own >= 0 ? (uint32_t)own : map->ranges[0].inside;
}

static int make_map(const char *option, const struct strv *given, uint32_t caller, bool keep_id,
		    struct idmap *map, struct err *err)
{
	auto_free char *own = str_printf("%u:%u:1", keep_id ? caller : 0, caller);
	int r;

	map->n = 0;
	if (given->n == 0)
		return idmap_add(map, option, own, err);
	for (size_t i = 0; i < given->n; i++) {
		r = idmap_add(map, option, given->items[i], err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int add_ids(struct builder *b, struct err *err)
{
	auto_free struct idmap *uids = xcalloc(1, sizeof(*uids));
	auto_free struct idmap *gids = xcalloc(1, sizeof(*gids));
	const struct jail_spec *spec = b->spec;
	uint32_t uid, gid;
	int r;

	r = make_map("--uid-map", &spec->uid_map, spec->uid, spec->keep_ids, uids, err);
	if (r >= 0)
		r = make_map("--gid-map", &spec->gid_map, spec->gid, spec->keep_ids, gids, err);
	if (r < 0)
		return r;
	idmap_print(uids, &b->plan.uid_map);
	idmap_print(gids, &b->plan.gid_map);
	/* without privileges the kernel takes a gid map only once setgroups is denied (3.19) */
	b->plan.deny_setgroups = !spec->may_set_ids;
	b->has_true_root = idmap_to_inside(uids, 0) >= 0;
	b->has_root_id = idmap_has_inside(uids, 0) && idmap_has_inside(gids, 0);
	uid = inside_id(uids, spec->uid);
	gid = inside_id(gids, spec->gid);
	add(b, STEP_IDS, uid, "become user %u and group %u of the user namespace", uid, gid)->more =
		gid;
	return 0;
}

static void add_clocks(struct builder *b)
{
	const struct jail_spec *spec = b->spec;
	auto_cleanup(buf) text = {0};

	if (spec->boottime_s)
		buf_addf(&text, "boottime %lld 0\n", (long long)spec->boottime_s);
	if (spec->monotonic_s)
		buf_addf(&text, "monotonic %lld 0\n", (long long)spec->monotonic_s);
	if (!text.len)
		return;
	add(b, STEP_CLOCKS, 0, "set the clock offsets (boottime %lld s, monotonic %lld s)",
	    (long long)spec->boottime_s, (long long)spec->monotonic_s)
		->data = take_ptr(text.data);
}

static int add_namespaces(struct builder *b, struct err *err)
{
	unsigned int mask = b->plan.namespaces;
	int r;

	/* a cgroup namespace shows the cgroup that its first process is in */
	if (mask & NS_CGROUP)
		plan_add_cgroup(b->spec->limited_by, b->spec->wants_usage, &b->plan);
	for (size_t i = 0; i < NS_COUNT; i++) {
		const struct ns_kind *kind = &ns_kinds[i];

		if (!(mask & kind->bit))
			continue;
		add(b, STEP_UNSHARE, i, "create a %s namespace", kind->name);
		if (kind->bit == NS_USER) {
			r = add_ids(b, err);
			if (r < 0)
				return r;
		}
		if (kind->bit == NS_TIME)
			add_clocks(b);
	}
	if (mask & (NS_PID | NS_TIME))
		add(b, STEP_FORK, 0, "start the first process of the new namespaces");
	if (b->spec->hostname)
		add(b, STEP_HOSTNAME, 0, "set the host name to %s", b->spec->hostname)->data =
			xstrdup(b->spec->hostname);
	if (mask & NS_NET && b->spec->network != NETWORK_NONE)
		add(b, STEP_LOOPBACK, 0, "bring the loopback interface up");
	return 0;
}

/* --- mounts --- */

static void add_mount(struct builder *b, const char *type, const char *target, unsigned long flags,
		      const char *options)
{
	struct step *s = add(b, STEP_MOUNT, flags, "mount %s on %s", type, target);

	s->more = b->root ? 0 : STEP_MAKE_TARGET; /* a folder of the user's is left as it is */
	s->type = xstrdup(type);
	s->target = xstrdup(target);
	s->data = xstrdup(options);
}

static void add_bind(struct builder *b, const char *path, uint64_t flags)
{
	struct step *s = add(b, STEP_BIND, flags, "bind %s%s", path,
			     flags & STEP_RDONLY ? " read-only" : "");

	s->more = b->root ? 0 : STEP_MAKE_TARGET;
	s->source = xstrdup(path);
	s->target = xstrdup(path);
}

static void add_symlink(struct builder *b, const char *target, const char *source)
{
	struct step *s = add(b, STEP_SYMLINK, 0, "link %s to %s", target, source);

	s->source = xstrdup(source);
	s->target = xstrdup(target);
}

static void add_folder(struct builder *b, const char *target, mode_t mode)
{
	add(b, STEP_FOLDER, mode, "make the folder %s", target)->target = xstrdup(target);
}

static void add_dev(struct builder *b)
{
	static const char *const nodes[] = {"/dev/null",   "/dev/zero",	   "/dev/full",
					    "/dev/random", "/dev/urandom", "/dev/tty"};

	add_mount(b, "tmpfs", "/dev", MS_NOSUID | MS_NOEXEC, "mode=0755");
	for (size_t i = 0; i < array_len(nodes); i++)
		if (!is_bound(b, nodes[i]))
			add_bind(b, nodes[i], STEP_IF_THERE);
	add_symlink(b, "/dev/fd", "/proc/self/fd");
	add_symlink(b, "/dev/stdin", "/proc/self/fd/0");
	add_symlink(b, "/dev/stdout", "/proc/self/fd/1");
	add_symlink(b, "/dev/stderr", "/proc/self/fd/2");
	add_folder(b, "/dev/shm", MODE_TMP);
	/* devpts makes its ptmx for root: without one the kernel refuses the mount */
	if (!b->has_root_id)
		return;
	add_folder(b, "/dev/pts", MODE_FOLDER);
	add_mount(b, "devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC,
		  "newinstance,ptmxmode=0666,mode=0620");
	add_symlink(b, "/dev/ptmx", "pts/ptmx");
}

static void add_proc(struct builder *b)
{
	if (b->plan.namespaces & NS_PID)
		add_mount(b, "proc", "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
	else /* only a pid namespace of one's own gives the right to mount another */
		add_bind(b, "/proc", 0);
}

/*
 * Who is root outside too may write there, whatever capabilities are gone: to core_pattern, say,
 * which names a program that the kernel runs outside.
 */
static void protect_proc(struct builder *b)
{
	static const char *const parts[] = {"/proc/sys", "/proc/sysrq-trigger", "/proc/irq",
					    "/proc/bus", "/proc/fs"};

	for (size_t i = 0; b->has_true_root && i < array_len(parts); i++)
		if (!is_bound(b, parts[i]))
			add_bind(b, parts[i], STEP_RDONLY | STEP_IF_THERE);
}

/* On a merged /usr the programs of /usr need these links to be found, their loader too. */
static void add_usr_links(struct builder *b)
{
	static const char *const links[] = {"/bin", "/sbin", "/lib", "/lib32", "/lib64"};

	for (size_t i = 0; is_bound(b, "/usr") && i < array_len(links); i++)
		if (!is_bound(b, links[i]))
			add(b, STEP_COPY_LINK, 0, "copy the link %s", links[i])->target =
				xstrdup(links[i]);
}

/* Parents before what is below them; a bind of the user's replaces what would be there. */
static void add_tree(struct builder *b, bool with_own)
{
	auto_cleanup(strv) paths = {0};

	for (size_t i = 0; i < b->ro.n; i++)
		strv_add(&paths, b->ro.items[i]);
	for (size_t i = 0; i < b->rw.n; i++)
		strv_add(&paths, b->rw.items[i]);
	for (size_t i = 0; with_own && i < 3; i++)
		strv_add(&paths, ((const char *const[]){"/dev", "/proc", "/tmp"})[i]);
	strv_sort(&paths);
	for (size_t i = 0; i < paths.n; i++) {
		const char *path = paths.items[i];

		if ((i > 0 && str_eq(path, paths.items[i - 1])) || str_eq(path, "/"))
			continue;
		if (is_bound(b, path))
			add_bind(b, path, strv_has(&b->ro, path) ? STEP_RDONLY : 0);
		else if (str_eq(path, "/dev"))
			add_dev(b);
		else if (str_eq(path, "/tmp"))
			add_mount(b, "tmpfs", path, MS_NOSUID | MS_NODEV, "mode=1777");
		else {
			add_proc(b);
			protect_proc(b);
		}
	}
}

static void add_root_dir(struct builder *b, const char *dir, uint64_t flags)
{
	add(b, STEP_ROOT_DIR, flags, "take %s as the root%s", dir, flags ? ", read-only" : "")
		->source = xstrdup(dir);
}

static void add_new_root(struct builder *b)
{
	bool whole = is_bound(b, "/");

	if (b->root) {
		add_root_dir(b, b->root, 0);
		if ((b->plan.namespaces & NS_PID) && !is_bound(b, "/proc")) {
			add_proc(b);
			protect_proc(b);
		}
	} else if (whole) {
		add_root_dir(b, "/", strv_has(&b->ro, "/") ? STEP_RDONLY : 0);
	} else {
		add(b, STEP_NEW_ROOT, 0, "make an empty root");
		add_usr_links(b);
	}
	add_tree(b, !b->root);
	if (!b->root && !whole)
		add(b, STEP_RDONLY_ROOT, 0, "make the root itself read-only");
	add(b, STEP_PIVOT, 0, "enter the new root");
}

static void add_mounts(struct builder *b)
{
	unsigned int mask = b->plan.namespaces;
	bool new_root = b->root || b->ro.n || b->rw.n;
	const char *cwd = b->spec->cwd ? b->spec->cwd : b->spec->present_cwd;
	bool is_given = b->spec->cwd;
	struct step *s;

	if (mask & NS_MOUNT) {
		add(b, STEP_PRIVATE, 0, "make the mounts private");
		if (new_root)
			add_new_root(b);
		else if (mask & NS_PID)
			add_proc(b);
		if (!new_root && (mask & NS_NET))
			add(b, STEP_SYSFS, 0, "mount sysfs on /sys, if allowed");
	}
	if (!is_given && !new_root)
		return;
	s = add(b, STEP_CWD, is_given ? 0 : STEP_IF_THERE, "change to the folder %s%s", cwd,
		is_given ? "" : ", if it is there");
	s->target = *cwd == '/' ? xstrdup(cwd) : path_join(b->spec->present_cwd, cwd);
}

/* --- all --- */

static int add_start(struct builder *b, struct err *err)
{
	const struct jail_spec *spec = b->spec;
	bool has_init = (b->plan.namespaces & NS_PID) && !spec->no_init;
	bool all = spec->caps_are_all;
	auto_cleanup(buf) names = {0};
	struct step *s;
	int r;

	for (int cap = 0; cap < CAP_NAMES_COUNT; cap++)
		if (spec->caps & UINT64_C(1) << cap)
			buf_addf(&names, "%s%s", names.len ? ", " : "", cap_name(cap));

	if (has_init)
		add(b, STEP_INIT, 0, "start PID 1, which reaps and forwards signals");
	if (!(b->plan.namespaces & NS_CGROUP))
		plan_add_cgroup(spec->limited_by, spec->wants_usage, &b->plan);
	plan_add_processes(spec->limited_by, has_init, &b->plan);
	add(b, STEP_NO_NEW_PRIVS, 0, "set no_new_privs");
	if (all)
		s = add(b, STEP_CAPS, UINT64_MAX, "keep the capabilities");
	else if (spec->caps)
		s = add(b, STEP_CAPS, spec->caps, "keep only the capabilities %s", names.data);
	else
		s = add(b, STEP_CAPS, 0, "drop every capability");
	s->data = all ? xstrdup("all") : NULL;
	r = plan_add_restrictions(spec->limited_by, &b->plan, err);
	if (r < 0)
		return r;
	if (spec->policy)
		add(b, STEP_SECCOMP, 0, "load the system-call filter of %s", spec->policy);
	add(b, STEP_EXEC, 0, "run %s", spec->argv[0]);
	return 0;
}

static int check(struct builder *b, struct err *err)
{
	const struct jail_spec *spec = b->spec;

	if (spec->no_init && !(b->plan.namespaces & NS_PID))
		return err_set(err, EINVAL,
			       "--no-init: only with a pid namespace (--namespace pid)");
	if (spec->hostname && (!*spec->hostname || strlen(spec->hostname) > HOSTNAME_MAX))
		return err_set(err, EINVAL, "--hostname: 1 to %d bytes", HOSTNAME_MAX);
	for (size_t i = 0; i < b->ro.n; i++)
		if (strv_has(&b->rw, b->ro.items[i]))
			return err_set(err, EINVAL, "%.200s is given both to --ro and --rw",
				       b->ro.items[i]);
	if (spec->policy && !*spec->policy)
		return err_set(err, EINVAL, "--policy: an empty path");
	if (spec->cwd && !*spec->cwd)
		return err_set(err, EINVAL, "--cwd: an empty path");
	if (b->root && is_bound(b, "/"))
		return err_set(err, EINVAL, "--root: / cannot be bound into it as well");
	return 0;
}

int plan_make(const struct jail_spec *spec, struct plan *ret, struct err *err)
{
	auto_cleanup(builder) b = {.spec = spec, .has_root_id = true, .has_true_root = true};
	int r = 0;

	b.plan.argv = spec->argv;
	b.plan.envp = spec->envp;
	b.plan.limits = limits_of(spec->limited_by ? &spec->limited_by->settings : NULL);
	b.plan.namespaces = wanted_namespaces(spec);
	if (spec->root)
		r = clean_path(spec, "--root", spec->root, &b.root, err);
	if (r >= 0)
		r = clean_paths(spec, "--ro", &spec->ro, &b.ro, err);
	if (r >= 0)
		r = clean_paths(spec, "--rw", &spec->rw, &b.rw, err);
	if (r >= 0)
		r = check(&b, err);
	if (r >= 0)
		r = add_namespaces(&b, err);
	if (r < 0)
		return r;
	add_mounts(&b);
	r = add_start(&b, err);
	if (r < 0)
		return r;
	*ret = b.plan;
	b.plan = (struct plan){0};
	return 0;
}
