#include "lab/open/place.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "jail/base/io.h"
#include "lab/run/result.h"

enum { LISTED = 12 }; /* cells in a message */

void dump_place_deinit(struct dump_place *p)
{
	free(p->file);
	free(p->dir);
	free(p->cell);
	free(p->kernel);
	free(p->title);
	*p = (struct dump_place){0};
}

static bool has(const char *dir, const char *name)
{
	auto_free char *path = path_join(dir, name);

	return io_exists(path);
}

static bool is_folder(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* The run's folder that a cell's lies in, which is called so in it; NULL: not there. */
static char *run_of(const char *dir, const char *cell)
{
	auto_free char *real = realpath(dir, NULL);
	size_t n = real ? strlen(real) : 0, tail = strlen(cell);

	if (n <= tail + 1 || !str_ends(real, cell) || real[n - tail - 1] != '/')
		return NULL;
	return xstrndup(real, n - tail - 1);
}

/* What --kernel said: the file's path, where it was a file. */
static char *kernel_of(const char *dir, const struct result *r)
{
	auto_free char *run = run_of(dir, r->dir), *path = run ? path_join(run, "run.json") : NULL;
	json_t *j = NULL, *one;
	char *found = NULL;
	size_t i;

	if (!path || json_read_file(AT_FDCWD, path, &j, NULL) < 0)
		return xstrdup(r->kernel);
	json_array_foreach(json_object_get(j, "kernels"), i, one)
	{
		const char *name = json_string_value(json_object_get(one, "name"));
		const char *arch = json_string_value(json_object_get(one, "arch"));
		const char *file = json_string_value(json_object_get(one, "path"));

		if (!found && name && arch && str_eq(name, r->kernel) &&
		    arch_parse(arch) == (int)r->arch)
			found = xstrdup(file);
	}
	json_decref(j);
	return found ? found : xstrdup(r->kernel);
}

/* Why a cell has no dump. */
static int no_dump(const struct result *r, struct err *err)
{
	if (r->dump.skipped)
		return err_set(err, ENODATA, "%s has no dump: %.200s", r->dir, r->dump.skipped);
	return err_set(err, ENODATA,
		       "%s has no dump: its verdict is %s, its guest %s (lab run --dump-on says "
		       "when one is made)",
		       r->dir, verdict_name(r->verdict),
		       str_eq(r->ending, "exited") ? "ended as it should" : r->ending);
}

static int from_cell(const char *dir, const char *file, struct dump_place *ret, struct err *err)
{
	auto_free char *path = path_join(dir, "result.json");
	auto_cleanup(result) result = {0};
	json_t *j = NULL;
	int r = json_read_file(AT_FDCWD, path, &j, err);

	if (r == 0)
		r = result_from_json(path, j, &result, err);
	if (r == 0 && !file && !has(dir, DUMP_FILE))
		r = no_dump(&result, err);
	if (r == 0)
		*ret = (struct dump_place){.file = file ? xstrdup(file) : path_join(dir, DUMP_FILE),
					   .dir = xstrdup(dir),
					   .cell = xstrdup(result.dir),
					   .kernel = kernel_of(dir, &result),
					   .arch = result.arch,
					   .title = take_ptr(result.crash.title)};
	json_decref(j);
	return r;
}

/* A file of its own, or that of a cell. */
static int from_file(const char *path, struct dump_place *ret, struct err *err)
{
	const char *slash = strrchr(path, '/');
	auto_free char *dir = slash ? xstrndup(path, slash - path) : xstrdup(".");

	if (has(dir, "result.json"))
		return from_cell(dir, path, ret, err);
	*ret = (struct dump_place){.file = xstrdup(path)};
	return 0;
}

/* The only cell of a run that has a dump. */
static int from_run(const char *run, struct dump_place *ret, struct err *err)
{
	auto_cleanup(run_record) record = {0};
	auto_cleanup(buf) names = {0};
	auto_free char *dir = NULL;
	size_t n = 0;
	int r = run_record_load(run, &record, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < record.n; i++) {
		auto_free char *path = path_join(record.dir, record.results[i].dir);

		if (!has(path, DUMP_FILE))
			continue;
		if (n++ < LISTED)
			buf_addf(&names, "\n  %s", record.results[i].dir);
		free(dir);
		dir = take_ptr(path);
	}
	if (n == 1)
		return from_cell(dir, NULL, ret, err);
	if (!n)
		return err_set(err, ENODATA,
			       "no cell of %s has a dump: guests that crash or hang leave one",
			       record.dir);
	return err_set(err, EEXIST, "%zu cells of %s have a dump; which one?%.380s%s", n,
		       record.dir, names.data, n > LISTED ? "\n  …" : "");
}

/* Nothing is there under that name: what may have been meant. */
static int unknown(const char *name, struct err *err)
{
	const char *slash = strchr(name, '/'), *cell = name, *near = NULL;
	auto_free char *first = slash ? xstrndup(name, slash - name) : NULL;
	auto_free char *run = first ? path_join(RESULTS_DIR, first) : NULL;
	auto_cleanup(run_record) record = {0};
	const char **names;

	if (run && has(run, "run.json"))
		cell = slash + 1;
	else
		first = (free(first), NULL);
	if (run_record_load(first ? first : "latest", &record, NULL) < 0)
		return err_set(
			err, ENOENT,
			"no dump '%.200s': there is no such file, and no run below " RESULTS_DIR
			" here",
			name);
	names = xcalloc(record.n + 1, sizeof(*names));
	for (size_t i = 0; i < record.n; i++)
		names[i] = record.results[i].dir;
	near = str_nearest(cell, names, record.n);
	err_set(err, ENOENT, "%s has no cell '%.100s' (%s%s%s)", record.dir, cell,
		near ? "did you mean '" : "cells are named like ",
		near	   ? near
		: record.n ? names[0]
			   : "6.1-amd64/crash/panic",
		near ? "'?" : "");
	free(names);
	return -ENOENT;
}

int dump_find(const char *name, struct dump_place *ret, struct err *err)
{
	const char *roots[] = {".", RESULTS_DIR "/latest", RESULTS_DIR};
	struct stat st;

	if (!name)
		return from_run("latest", ret, err);
	if (stat(name, &st) == 0 && !S_ISDIR(st.st_mode))
		return from_file(name, ret, err);
	for (size_t i = 0; i < array_len(roots); i++) {
		auto_free char *dir =
			i && name[0] != '/' ? path_join(roots[i], name) : xstrdup(name);

		if (!is_folder(dir))
			continue;
		if (has(dir, "run.json"))
			return from_run(strchr(dir, '/') ? dir : name, ret, err);
		if (has(dir, "result.json"))
			return from_cell(dir, NULL, ret, err);
	}
	return is_folder(name) ? err_set(err, ENOENT,
					 "%.300s is no cell's folder: it has no result.json", name)
			       : unknown(name, err);
}
