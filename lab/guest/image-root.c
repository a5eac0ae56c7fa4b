#include "lab/guest/image-root.h"

#include <fnmatch.h>
#include <string.h>
#include <sys/stat.h>

#include "lab/debian/deb.h"
#include "lab/guest/modules.h"

enum { BUSYBOX_MAX = 16 << 20 };
#define BUSYBOX "usr/bin/busybox"

int image_root_skeleton(struct cpio *c, struct err *err)
{
	static const struct {
		const char *path;
		unsigned int permissions;
	} dirs[] = {
		{"dev", 0755},	{"proc", 0555},	    {"sys", 0555},	 {"run", 0755},
		{"tmp", 01777}, {"mnt", 0755},	    {"workspace", 0755}, {"root", 0700},
		{"etc", 0755},	{"var/tmp", 01777}, {"var/lib", 0755},	 {"home", 0755},
	};
	static const char *const files[][2] = {
		{"etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"
			       "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"},
		{"etc/group", "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n"},
		{"etc/hosts", "127.0.0.1\tlocalhost lab\n::1\tlocalhost\n"},
		{"etc/hostname", "lab\n"},
		{"etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n"},
	};
	int r = 0;

	for (size_t i = 0; i < array_len(dirs); i++)
		cpio_add_dir(c, dirs[i].path, dirs[i].permissions);
	cpio_add_link(c, "etc/mtab", "/proc/self/mounts");
	cpio_add_link(c, "var/run", "/run");
	for (size_t i = 0; r == 0 && i < array_len(files); i++)
		r = cpio_add_bytes(c, files[i][0], 0644, files[i][1], strlen(files[i][1]), err);
	return r;
}

/* ---- packages ---- */

static bool is_dropped(const char *path)
{
	static const char *const patterns[] = {
		"usr/share/doc*",
		"usr/share/man",
		"usr/share/man/*",
		"usr/share/info*",
		"usr/share/locale*",
		"usr/share/lintian*",
		"usr/share/bash-completion*",
		"usr/share/menu*",
		"usr/share/pixmaps*",
		"usr/share/applications*",
		"usr/share/initramfs-tools*",
		/* conversions of character sets, and helpers for debuggers and profilers of libc */
		"*lib/*/gconv*",
		"*lib/*/audit*",
		"*lib/*/libmvec.so*",
		"*lib/*/libmemusage.so",
		"*lib/*/libpcprofile.so",
		"*lib/*/libc_malloc_debug.so*",
		"*lib/*/libBrokenLocale.so*",
	};

	for (size_t i = 0; i < array_len(patterns); i++)
		if (fnmatch(patterns[i], path, 0) == 0)
			return true;
	return false;
}

static int add_member(void *data, struct deb_member *m, struct err *err)
{
	struct cpio *c = data;
	char chunk[65536];
	ssize_t n;

	if (is_dropped(m->path))
		return 0;
	if (S_ISDIR(m->mode)) {
		cpio_add_dir(c, m->path, m->mode & 07777);
	} else if (S_ISLNK(m->mode)) {
		cpio_add_link(c, m->path, m->link);
	} else if (m->link) {
		cpio_add_hard_link(c, m->path, m->link);
	} else {
		cpio_begin_file(c, m->path, m->mode & 07777);
		while ((n = deb_read(m, chunk, sizeof(chunk), err)) > 0)
			if (cpio_append(c, chunk, n, err) < 0)
				return -err->code;
		return (int)n;
	}
	return 0;
}

int image_root_package(struct cpio *c, const char *deb_path, struct err *err)
{
	return deb_walk(deb_path, add_member, c, err);
}

/* ---- modules ---- */

struct module_list {
	struct strv early, disk, boot, all;
};

static void module_list_deinit(struct module_list *l)
{
	strv_deinit(&l->early);
	strv_deinit(&l->disk);
	strv_deinit(&l->boot);
	strv_deinit(&l->all);
}
DEFINE_CLEANUP(module_list, module_list_deinit)

static int parse_list(const char *text, bool disk, struct module_list *ret, struct err *err)
{
	auto_cleanup(strv) lines = {0};

	strv_split(&lines, text, '\n');
	for (size_t i = 0; i < lines.n; i++) {
		auto_cleanup(strv) w = {0};
		struct strv *also;

		strv_split(&w, lines.items[i], ' ');
		if (lines.items[i][0] == '#')
			continue;
		if (str_eq(w.items[0], "early"))
			also = &ret->early;
		else if (str_eq(w.items[0], "disk"))
			also = &ret->disk;
		else if (str_eq(w.items[0], "boot"))
			also = &ret->boot;
		else if (str_eq(w.items[0], "lazy"))
			also = NULL;
		else
			return err_set(err, EINVAL,
				       "vm/modules: '%s': a line starts with early, disk, boot or "
				       "lazy",
				       lines.items[i]);
		if (also == &ret->disk && !disk)
			continue;
		for (size_t j = 1; j < w.n; j++) {
			strv_add(&ret->all, w.items[j]);
			if (also)
				strv_add(also, w.items[j]);
		}
	}
	return 0;
}

int image_root_module_names(const char *list, struct strv *names, struct err *err)
{
	auto_cleanup(module_list) parsed = {0};
	int r = parse_list(list, true, &parsed, err);

	for (size_t i = 0; r == 0 && i < parsed.all.n; i++)
		strv_add(names, parsed.all.items[i]);
	return r;
}

static const struct module *find_module(const struct modules *set, const char *name)
{
	for (size_t i = 0; i < set->n; i++) {
		const char *a = set->items[i].name, *b = name;

		while (*a && (*a == *b || (*a == '_' && *b == '-')))
			a++, b++;
		if (!*a && !*b)
			return &set->items[i];
	}
	return NULL;
}

/* The lines of the agent's list for one module: what it depends on first, nothing twice. */
static void add_load_order(const struct modules *set, const struct module *m, struct strv *done,
			   const char *dir, struct buf *out)
{
	if (!m || strv_has(done, m->name))
		return;
	strv_add(done, m->name);
	for (size_t i = 0; i < m->info.depends.n; i++)
		add_load_order(set, find_module(set, m->info.depends.items[i]), done, dir, out);
	buf_addf(out, "/%s/%s\n", dir, m->path);
}

static void add_load_orders(const struct modules *set, const struct strv *names, struct strv *done,
			    const char *dir, struct buf *out)
{
	for (size_t i = 0; i < names->n; i++)
		add_load_order(set, find_module(set, names->items[i]), done, dir, out);
}

static int add_module_files(struct cpio *c, const struct modules *set, const char *dir,
			    struct err *err)
{
	auto_cleanup(buf) dep = {0}, alias = {0}, nodes = {0};
	auto_free char *dep_path = path_join(dir, "modules.dep");
	auto_free char *alias_path = path_join(dir, "modules.alias");
	int r;

	for (size_t i = 0; i < set->n; i++) {
		auto_free char *path = path_join(dir, set->items[i].path);

		r = cpio_add_bytes(c, path, 0644, set->items[i].data.data, set->items[i].data.len,
				   err);
		if (r < 0)
			return r;
	}
	modules_dep_text(set, &dep);
	modules_alias_text(set, &alias);
	modules_node_text(set, &nodes);
	r = cpio_add_bytes(c, dep_path, 0644, dep.data, dep.len, err);
	if (r == 0)
		r = cpio_add_bytes(c, alias_path, 0644, alias.data, alias.len, err);
	return r < 0 ? r : cpio_add_bytes(c, "usr/lib/lab/nodes", 0644, nodes.data, nodes.len, err);
}

int image_root_modules(struct cpio *c, const struct kernel *kernel, const char *list, bool disk,
		       struct err *err)
{
	auto_cleanup(module_list) names = {0};
	auto_cleanup(modules) set = {0};
	auto_cleanup(strv) done = {0};
	auto_cleanup(buf) load = {0};
	auto_free char *dir = NULL;
	const char *release;
	int r = parse_list(list, disk, &names, err);

	if (r < 0 || !kernel->modules_dir)
		return r;
	r = modules_load(kernel->modules_dir, &names.all, &set, err);
	if (r < 0)
		return r;
	release = strrchr(kernel->modules_dir, '/');
	release = kernel->release ? kernel->release : release ? release + 1 : kernel->modules_dir;
	dir = str_printf("usr/lib/modules/%s", release);
	r = add_module_files(c, &set, dir, err);
	add_load_orders(&set, &names.early, &done, dir, &load);
	buf_adds(&load, "\n");
	add_load_orders(&set, &names.disk, &done, dir, &load);
	add_load_orders(&set, &names.boot, &done, dir, &load);
	return r < 0 ? r : cpio_add_bytes(c, "usr/lib/lab/modules", 0644, load.data, load.len, err);
}

/* ---- busybox ---- */

static bool is_applet(const char *s, size_t n)
{
	if (n == 0 || n > 32)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789[-_.", s[i]))
			return false;
	return true;
}

/*
 * A busybox of another architecture cannot be asked, but it holds the names of its applets one
 * after the other, in byte order, and "[" comes first.
 */
size_t image_applets(const char *binary, size_t len, struct strv *ret)
{
	static const char start[] = "\0[\0[["; /* and the NUL that ends it */
	const char *p = memmem(binary, len, start, sizeof(start)), *end = binary + len;
	size_t n = 0;

	for (p = p ? p + 1 : end; p < end;) {
		const char *nul = memchr(p, '\0', end - p);

		if (!nul || !is_applet(p, nul - p))
			break;
		strv_add(ret, p);
		n++;
		p = nul + 1;
	}
	return n;
}

static const struct cpio_member *find_member(const struct cpio *c, const char *path)
{
	for (size_t i = c->n; i-- > 0;)
		if (str_eq(c->members[i].path, path))
			return &c->members[i];
	return NULL;
}

int image_root_applets(struct cpio *c, struct err *err)
{
	const struct cpio_member *busybox = find_member(c, BUSYBOX);
	auto_cleanup(strv) applets = {0};
	auto_cleanup(buf) binary = {0};

	if (!busybox || !S_ISREG(busybox->mode) || busybox->size > BUSYBOX_MAX)
		return err_set(err, ENOENT, "no busybox in the guest's packages");
	buf_reserve(&binary, busybox->size);
	if (pread(c->spool, binary.data, busybox->size, busybox->offset) != (ssize_t)busybox->size)
		return err_errno(err, "temporary file of the image");
	image_applets(binary.data, busybox->size, &applets);
	if (!strv_has(&applets, "sh"))
		return err_set(err, ENOENT,
			       "the packages' busybox has no shell, or another format");
	for (size_t i = 0; i < applets.n; i++) {
		auto_free char *path = str_printf("usr/bin/%s", applets.items[i]);

		if (!find_member(c, path))
			cpio_add_link(c, path, "busybox");
	}
	return 0;
}
