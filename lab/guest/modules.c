#include "lab/guest/modules.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "jail/base/io.h"
#include "lab/kernel/elf.h"

enum { DEPTH_MAX = 12, FILES_MAX = 20000, ORDER_MAX = 4 << 20 };

static char *module_name(const char *s, size_t n)
{
	char *name = xstrndup(s, n);

	for (char *c = name; *c; c++)
		if (*c == '-')
			*c = '_';
	return name;
}

/* ---- .modinfo ---- */

static void add_depends(struct modinfo *info, const char *list)
{
	for (size_t n; *list; list += n + !!list[n]) {
		n = strcspn(list, ",");
		if (n)
			strv_take(&info->depends, module_name(list, n));
	}
}

static void parse_modinfo(struct modinfo *info, const char *data, size_t len)
{
	for (const char *end = data + len, *next; data < end; data = next) {
		const char *nul = memchr(data, '\0', end - data);

		if (!nul)
			return;
		next = nul + 1;
		if (str_starts(data, "depends="))
			add_depends(info, data + strlen("depends="));
		else if (str_starts(data, "alias="))
			strv_add(&info->aliases, data + strlen("alias="));
	}
}

int modinfo_parse(const void *elf, size_t len, struct modinfo *ret, struct err *err)
{
	auto_cleanup(buf) text = {0};

	if (elf_section(elf, len, ".modinfo", &text, NULL) < 0)
		return err_set(err, EBADMSG, "not a kernel module (no .modinfo)");
	*ret = (struct modinfo){0};
	parse_modinfo(ret, text.data, text.len);
	return 0;
}

void modinfo_deinit(struct modinfo *m)
{
	strv_deinit(&m->depends);
	strv_deinit(&m->aliases);
}

/* ---- files ---- */

struct files {
	struct strv names,
		paths; /* relative to the modules' folder, as they are: "kernel/fs/….ko.xz" */
	bool in_tree;  /* a build tree: no "kernel/" before the names of files */
};

static void files_deinit(struct files *f)
{
	strv_deinit(&f->names);
	strv_deinit(&f->paths);
}
DEFINE_CLEANUP(files, files_deinit)

static int list_files(int parent, const char *name, const char *prefix, int depth, struct files *to,
		      struct err *err)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	auto_closedir DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!d) {
		if (fd >= 0)
			close(fd);
		return err_errno(err, "modules in %s", *prefix ? prefix : name);
	}
	while ((e = readdir(d))) {
		auto_free char *path = str_printf("%s%s%s", prefix, *prefix ? "/" : "", e->d_name);
		const char *ko = strstr(e->d_name, ".ko");

		if (e->d_name[0] == '.' || to->names.n >= FILES_MAX)
			continue;
		if (ko && ko > e->d_name && (!ko[3] || ko[3] == '.')) {
			strv_take(&to->names, module_name(e->d_name, ko - e->d_name));
			strv_take(&to->paths, take_ptr(path));
		} else if (depth < DEPTH_MAX && !strchr(e->d_name, '.') &&
			   (e->d_type == DT_DIR || e->d_type == DT_UNKNOWN)) {
			/* build and source are links, and not followed */
			int r = list_files(fd, e->d_name, path, depth + 1, to, err);

			if (r < 0 && r != -ENOTDIR && r != -ELOOP)
				return r;
		}
	}
	return 0;
}

/*
 * What a build tree's modules.order lists: 5.10 writes kernel/fs/x.ko (as it will be installed),
 * 6.1 fs/x.ko, 6.12 fs/x.o.
 */
static int list_tree(const char *tree, struct files *to, struct err *err)
{
	auto_free char *order = path_join(tree, "modules.order");
	auto_cleanup(strv) lines = {0};
	auto_cleanup(buf) text = {0};
	int r = io_read_regular(AT_FDCWD, order, ORDER_MAX, &text, err);

	if (r < 0)
		return r;
	strv_split(&lines, text.data ? text.data : "", '\n');
	for (size_t i = 0; i < lines.n && to->names.n < FILES_MAX; i++) {
		const char *line = lines.items[i], *dot = strrchr(line, '.');
		const char *slash = strrchr(line, '/');

		if (!dot || (!str_eq(dot, ".ko") && !str_eq(dot, ".o")) || !path_is_inside(line))
			return err_set(err, EBADMSG, "%s:%zu: not the path of a module", order,
				       i + 1);
		strv_take(&to->paths, str_printf("%.*s.ko", (int)(dot - line), line));
		slash = slash ? slash + 1 : line;
		strv_take(&to->names, module_name(slash, dot - slash));
	}
	to->in_tree = true;
	return 0;
}

static bool is_tree(const char *dir)
{
	auto_free char *config = path_join(dir, ".config");

	return io_exists(config);
}

/* Where a listed module is, relative to dir. */
static const char *place_of(const char *dir, const struct files *files, size_t i)
{
	const char *path = files->paths.items[i];
	auto_free char *file = path_join(dir, path);

	if (files->in_tree && str_starts(path, "kernel/") && !io_exists(file))
		path += strlen("kernel/");
	return path;
}

int modules_state(const char *dir, struct buf *out, char **missing, struct err *err)
{
	auto_cleanup(files) files = {0};
	int there = 0, r;

	if (!is_tree(dir))
		return err_set(err, ENOENT, "%s is no build tree", dir);
	r = list_tree(dir, &files, err);
	for (size_t i = 0; r == 0 && i < files.names.n; i++) {
		auto_free char *file = path_join(dir, place_of(dir, &files, i));
		struct stat st;

		if (stat(file, &st) == 0 && S_ISREG(st.st_mode)) {
			there++;
			buf_addf(out, "module %s %lld %lld.%09ld\n", file, (long long)st.st_size,
				 (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
		} else if (!*missing) {
			*missing = xstrdup(files.paths.items[i]);
		}
	}
	return r < 0 ? r : there;
}

static int read_uncompressed(const char *path, struct buf *out, struct err *err)
{
	struct archive *a = archive_read_new();
	struct archive_entry *entry;
	ssize_t n = -1;

	if (!a)
		return err_set(err, ENOMEM, "out of memory");
	archive_read_support_filter_xz(a);
	archive_read_support_filter_zstd(a);
	archive_read_support_filter_gzip(a);
	archive_read_support_format_raw(a);
	if (archive_read_open_filename(a, path, 65536) == ARCHIVE_OK &&
	    archive_read_next_header(a, &entry) == ARCHIVE_OK) {
		do {
			buf_reserve(out, 65536);
			n = archive_read_data(a, out->data + out->len, 65536);
			if (n > 0)
				out->len += n;
		} while (n > 0 && out->len <= MODULE_MAX_BYTES);
	}
	if (n < 0)
		err_set(err, EBADMSG, "%s: %s", path, archive_error_string(a));
	else if (n > 0)
		err_set(err, EFBIG, "%s: larger than %d MiB", path, MODULE_MAX_BYTES >> 20);
	archive_read_free(a);
	return n == 0 ? 0 : n < 0 ? -EBADMSG : -EFBIG;
}

/* ---- the set ---- */

static void module_deinit(struct module *m)
{
	free(m->name);
	free(m->path);
	buf_deinit(&m->data);
	modinfo_deinit(&m->info);
}
DEFINE_CLEANUP(module, module_deinit)

void modules_deinit(struct modules *m)
{
	for (size_t i = 0; i < m->n; i++)
		module_deinit(&m->items[i]);
	free(m->items);
	*m = (struct modules){0};
}

static struct module *find_loaded(const struct modules *set, const char *name)
{
	for (size_t i = 0; i < set->n; i++)
		if (str_eq(set->items[i].name, name))
			return &set->items[i];
	return NULL;
}

static ssize_t find_file(const struct files *files, const char *name)
{
	for (size_t i = 0; i < files->names.n; i++)
		if (str_eq(files->names.items[i], name))
			return (ssize_t)i;
	return -1;
}

static int add_module(struct modules *set, const char *dir, const struct files *files,
		      const char *name, int depth, struct err *err)
{
	auto_cleanup(module) m = {0};
	auto_free char *file = NULL;
	ssize_t at = find_file(files, name);
	const char *path, *slash;
	int r;

	if (at < 0 || find_loaded(set, name))
		return 0;
	if (depth > DEPTH_MAX)
		return err_set(err, EBADMSG, "module %s: dependencies go round in circles", name);
	path = place_of(dir, files, at);
	slash = strrchr(path, '/');
	file = path_join(dir, path);
	m.name = xstrdup(name);
	m.path = str_printf("%s%.*s", files->in_tree ? "kernel/" : "",
			    (int)(strstr(slash ? slash : path, ".ko") + 3 - path), path);
	r = read_uncompressed(file, &m.data, err);
	if (r < 0)
		return r;
	if (modinfo_parse(m.data.data, m.data.len, &m.info, err) < 0)
		return err_wrap(err, "%s", file);
	for (size_t i = 0; i < m.info.depends.n; i++) {
		r = add_module(set, dir, files, m.info.depends.items[i], depth + 1, err);
		if (r < 0)
			return r;
	}
	set->items = xreallocarray(set->items, set->n + 1, sizeof(*set->items));
	set->items[set->n++] = m;
	m = (struct module){0};
	return 0;
}

int modules_load(const char *dir, const struct strv *names, struct modules *ret, struct err *err)
{
	auto_cleanup(files) files = {0};
	auto_cleanup(modules) set = {0};
	int r = is_tree(dir) ? list_tree(dir, &files, err)
			     : list_files(AT_FDCWD, dir, "", 0, &files, err);

	for (size_t i = 0; r == 0 && i < names->n; i++) {
		auto_free char *name = module_name(names->items[i], strlen(names->items[i]));
		struct module *m;

		r = add_module(&set, dir, &files, name, 0, err);
		m = find_loaded(&set, name);
		if (m)
			m->wanted = true;
	}
	if (r < 0)
		return r;
	*ret = set;
	set = (struct modules){0};
	return 0;
}

/* ---- texts ---- */

static void add_dependencies(const struct modules *set, const struct module *m, struct strv *paths)
{
	for (size_t i = 0; i < m->info.depends.n; i++) {
		const struct module *d = find_loaded(set, m->info.depends.items[i]);

		if (!d || strv_has(paths, d->path))
			continue;
		strv_add(paths, d->path);
		add_dependencies(set, d, paths);
	}
}

void modules_dep_text(const struct modules *set, struct buf *out)
{
	for (size_t i = 0; i < set->n; i++) {
		auto_cleanup(strv) paths = {0};

		add_dependencies(set, &set->items[i], &paths);
		buf_addf(out, "%s:", set->items[i].path);
		for (size_t j = 0; j < paths.n; j++)
			buf_addf(out, " %s", paths.items[j]);
		buf_adds(out, "\n");
	}
}

void modules_alias_text(const struct modules *set, struct buf *out)
{
	for (size_t i = 0; i < set->n; i++) {
		const struct module *m = &set->items[i];

		for (size_t j = 0; j < m->info.aliases.n; j++)
			if (!str_starts(m->info.aliases.items[j], "devname:"))
				buf_addf(out, "alias %s %s\n", m->info.aliases.items[j], m->name);
	}
}

void modules_node_text(const struct modules *set, struct buf *out)
{
	for (size_t i = 0; i < set->n; i++) {
		const struct strv *aliases = &set->items[i].info.aliases;
		const char *node = NULL;
		unsigned int major = 0, minor;

		for (size_t j = 0; j < aliases->n; j++) {
			if (str_starts(aliases->items[j], "devname:"))
				node = aliases->items[j] + strlen("devname:");
			else if (sscanf(aliases->items[j], "char-major-%u-%u", &major, &minor) != 2)
				continue;
		}
		if (node && major && path_is_inside(node))
			buf_addf(out, "%s %u %u\n", node, major, minor);
	}
}
