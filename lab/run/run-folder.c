#include "lab/run/run-folder.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>

#include "jail/base/io.h"
#include "lab/machine/machine.h"

/* A new folder below RESULTS_DIR named by the local time; its name goes to *name. */
static int create_by_time(char **name, char **ret, struct err *err)
{
	time_t now = time(NULL);
	struct tm tm;
	char stamp[32];

	localtime_r(&now, &tm);
	strftime(stamp, sizeof(stamp), "%Y%m%d-%H%M%S", &tm);
	if (io_mkdirs(RESULTS_DIR, 0755, err) < 0)
		return -err->code;
	for (int i = 1; i < 1000; i++) {
		auto_free char *id = i == 1 ? xstrdup(stamp) : str_printf("%s-%d", stamp, i);
		auto_free char *dir = path_join(RESULTS_DIR, id);

		if (mkdir(dir, 0755) == 0) {
			*name = take_ptr(id);
			*ret = take_ptr(dir);
			return 0;
		}
		if (errno != EEXIST)
			return err_errno(err, "create folder %s", dir);
	}
	return err_set(err, EEXIST, "no free name below " RESULTS_DIR);
}

static int point_latest_at(const char *name, struct err *err)
{
	auto_free char *tmp = str_printf(RESULTS_DIR "/latest.%d", (int)getpid());

	unlink(tmp);
	if (symlink(name, tmp) < 0)
		return err_errno(err, "link %s", tmp);
	if (rename(tmp, RESULTS_DIR "/latest") < 0) {
		unlink(tmp);
		return err_errno(err, "link " RESULTS_DIR "/latest");
	}
	return 0;
}

int run_folder_create(const char *out, char **ret, struct err *err)
{
	auto_free char *name = NULL, *dir = NULL, *mark = NULL;
	auto_close int fd = -1;
	int r;

	if (!out) {
		r = create_by_time(&name, &dir, err);
		if (r == 0)
			r = point_latest_at(name, err);
		if (r < 0)
			return r;
		*ret = take_ptr(dir);
		return 0;
	}
	if (io_mkdirs(out, 0755, err) < 0)
		return err_wrap(err, "--out");
	mark = path_join(out, "run.json");
	/* the mark is made exclusively: of two runs that are given one folder, one gets it */
	fd = open(mark, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0 && errno == EEXIST)
		return err_set(
			err, EEXIST,
			"%s holds a run already: choose another folder for --out, or remove it",
			out);
	if (fd < 0)
		return err_errno(err, "create %s", mark);
	*ret = xstrdup(out);
	return 0;
}

static json_t *host_json(void)
{
	struct utsname u;

	uname(&u);
	return json_pack("{s:s, s:s, s:i}", "kernel", u.release, "machine", u.machine, "processors",
			 (int)sysconf(_SC_NPROCESSORS_ONLN));
}

static json_t *kernels_json(const struct plan *plan)
{
	json_t *list = json_array();
	const struct kernel *last = NULL;

	for (size_t i = 0; i < plan->n; i++) {
		const struct kernel *k = plan->cells[i].kernel;

		if (k == last)
			continue;
		last = k;
		json_array_append_new(
			list, json_pack("{s:s, s:s, s:s, s:s?, s:s?, s:s?, s:s?, s:s?, "
					"s:s?, s:b}",
					"name", k->name, "version", k->version, "arch",
					arch_name(k->arch), "release", k->release, "sha256",
					k->sha256, "package", k->package, "path", k->path, "origin",
					k->origin, "build_id", k->build_id, "local", k->local));
	}
	return list;
}

int run_folder_write(const char *dir, const struct plan *plan, const struct run_facts *facts,
		     struct err *err)
{
	json_t *j = json_pack("{s:i, s:s, s:s, s:o, s:s?, s:o}", "schema", RESULT_SCHEMA, "state",
			      facts->state, "started", facts->started, "host", host_json(),
			      "machines", facts->machines, "kernels", kernels_json(plan));
	json_t *accelerators = json_object(), *command = json_array(), *cells = json_array();
	auto_free char *path = path_join(dir, "run.json");
	int r;

	for (int a = 0; a < ARCH_COUNT; a++)
		if (facts->accelerators[a])
			json_object_set_new(accelerators, arch_name(a),
					    json_string(facts->accelerators[a]));
	for (char *const *s = facts->command; *s; s++)
		json_array_append_new(command, json_string(*s));
	for (size_t i = 0; i < plan->n; i++)
		json_array_append_new(cells, json_string(plan->cells[i].dir));
	json_object_set_new(j, "accelerators", accelerators);
	json_object_set_new(j, "command", command);
	json_object_set_new(j, "cells", cells);
	if (facts->wall_ms >= 0)
		json_object_set_new(j, "wall_ms", json_integer(facts->wall_ms));
	r = json_write_file(AT_FDCWD, path, j, err);
	json_decref(j);
	return r;
}

void cell_texts_deinit(struct cell_texts *t)
{
	buf_deinit(&t->out);
	buf_deinit(&t->err);
	buf_deinit(&t->console);
	for (size_t i = 0; i < t->n_files; i++)
		buf_deinit(&t->contents[i]);
	free(t->contents);
	free(t->files);
	*t = (struct cell_texts){0};
}

static int read_optional(int dirfd, const char *name, size_t max, struct buf *to, struct err *err)
{
	int r = io_read_file(dirfd, name, max, to, err);

	buf_add(to, "", 0);
	return r == -ENOENT ? 0 : r;
}

static int read_artefacts(int dirfd, const struct expect *e, struct cell_texts *t, struct err *err)
{
	t->files = xcalloc(e->n_files, sizeof(*t->files));
	t->contents = xcalloc(e->n_files, sizeof(*t->contents));
	for (size_t i = 0; i < e->n_files; i++) {
		auto_free char *path = path_join("artefacts", e->files[i].path);
		struct buf *to = &t->contents[t->n_files];
		int r = io_read_file(dirfd, path, MACHINE_ARTEFACT_LIMIT, to, err);

		if (r == -ENOENT || r == -ENOTDIR)
			continue;
		if (r < 0) {
			buf_deinit(to);
			return r;
		}
		t->files[t->n_files] = (struct evidence_file){
			.path = e->files[i].path, .content = {.data = to->data, .len = to->len}};
		t->n_files++;
	}
	return 0;
}

int run_folder_read_cell(const char *cell_dir, const struct expect *expect, struct cell_texts *ret,
			 struct err *err)
{
	/* the streams are bounded when written; twice that covers a limit that was raised */
	const size_t max = (size_t)64 << 20;
	auto_cleanup(cell_texts) t = {0};
	auto_close int dirfd = open(cell_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r = dirfd < 0 ? err_errno(err, "%s", cell_dir) : 0;

	if (r == 0)
		r = read_optional(dirfd, "stdout", max, &t.out, err);
	if (r == 0)
		r = read_optional(dirfd, "stderr", max, &t.err, err);
	if (r == 0)
		r = read_optional(dirfd, "console.log", max, &t.console, err);
	if (r == 0)
		r = read_optional(dirfd, "dmesg.log", max, &t.console, err);
	if (r == 0 && expect && expect->n_files)
		r = read_artefacts(dirfd, expect, &t, err);
	if (r < 0)
		return r;
	*ret = t;
	t = (struct cell_texts){0};
	return 0;
}
