#include "lab/run/result.h"

#include <fcntl.h>
#include <string.h>

#include "jail/base/io.h"

enum { JSON_MAX_BYTES = 16 << 20, CELLS_MAX = 100000 };

static const char *const ending_names[] = {
	[END_EXITED] = "exited", [END_TIMEOUT] = "timeout", [END_PANIC] = "panic",
	[END_HUNG] = "hung",	 [END_GONE] = "gone",	    [END_NO_BOOT] = "no boot",
	[END_BROKEN] = "broken", [END_OOPS] = "oops",	    [END_REBOOT] = "reboot",
};

const char *ending_name(enum ending e)
{
	return ending_names[e];
}

void result_deinit(struct result *r)
{
	free(r->scenario);
	free(r->path);
	free(r->kernel);
	free(r->version);
	free(r->release);
	free(r->dir);
	free(r->accelerator);
	free(r->image);
	crash_deinit(&r->crash);
	free(r->ending);
	dump_done_deinit(&r->dump);
	strv_deinit(&r->reasons);
	strv_deinit(&r->notes);
	*r = (struct result){0};
}

static json_t *strings_json(const struct strv *v)
{
	json_t *list = json_array();

	for (size_t i = 0; i < v->n; i++)
		json_array_append_new(list, json_string(v->items[i]));
	return list;
}

static json_t *stream_json(const struct stream *s)
{
	return json_pack("{s:I, s:I}", "bytes", (json_int_t)s->seen, "kept", (json_int_t)s->kept);
}

/* NULL: nobody wanted one. */
static json_t *dump_json(const struct dump_done *d)
{
	if (d->there)
		return json_pack("{s:s, s:s, s:I, s:I}", "file", "vmcore", "form",
				 dump_form_name(d->form), "bytes", (json_int_t)d->bytes, "ms",
				 (json_int_t)d->ms);
	return d->skipped ? json_pack("{s:s}", "skipped", d->skipped) : json_null();
}

static json_t *crash_json(const struct crash *c)
{
	if (!c->title)
		return json_null();
	return json_pack("{s:s, s:o, s:s, s:s, s:s?, s:s, s:b}", "title", c->title, "alternatives",
			 strings_json(&c->alternatives), "type", c->type, "signature", c->signature,
			 "guilty", c->guilty, "first_line", c->first_line, "corrupted",
			 c->corrupted);
}

json_t *result_json(const struct result *r)
{
	json_t *j = json_pack(
		"{s:i, s:s, s:s, s:s, s:s, s:s?, s:s, s:i, s:s, s:s, s:s, s:o, s:s, s:o, s:o}",
		"schema", RESULT_SCHEMA, "scenario", r->scenario, "path", r->path, "kernel",
		r->kernel, "version", r->version, "release", r->release, "arch", arch_name(r->arch),
		"repeat", (int)r->repeat, "dir", r->dir, "accelerator", r->accelerator, "verdict",
		verdict_name(r->verdict), "crash", crash_json(&r->crash), "ending", r->ending,
		"reasons", strings_json(&r->reasons), "notes", strings_json(&r->notes));

	json_object_set_new(j, "image", r->image ? json_string(r->image) : json_null());
	json_object_set_new(j, "exit",
			    r->exit_code >= 0 ? json_integer(r->exit_code) : json_null());
	json_object_set_new(j, "signal", r->signal ? json_integer(r->signal) : json_null());
	json_object_set_new(j, "streams",
			    json_pack("{s:o, s:o, s:o, s:o}", "stdout", stream_json(&r->out),
				      "stderr", stream_json(&r->err), "strace",
				      stream_json(&r->trace), "console", stream_json(&r->console)));
	json_object_set_new(j, "dump", dump_json(&r->dump));
	json_object_set_new(j, "times",
			    json_pack("{s:I, s:I, s:I, s:I}", "boot_ms", (json_int_t)r->boot_ms,
				      "run_ms", (json_int_t)r->run_ms, "total_ms",
				      (json_int_t)r->total_ms, "end_ms", (json_int_t)r->end_ms));
	return j;
}

/* Text that came from a file: made printable, so that nothing in it reaches a terminal raw. */
static char *printable_copy(const char *s)
{
	auto_cleanup(buf) out = {0};

	if (!s)
		return NULL;
	str_printable(&out, s, strlen(s), 4096, false);
	return take_ptr(out.data);
}

static int strings_from_json(const json_t *list, struct strv *ret)
{
	const json_t *item;
	size_t i;

	json_array_foreach(list, i, item)
	{
		if (!json_is_string(item))
			return -EINVAL;
		strv_take(ret, printable_copy(json_string_value(item)));
	}
	return 0;
}

static void stream_from_json(const json_t *streams, const char *name, struct stream *ret)
{
	const json_t *s = json_object_get(streams, name);

	ret->seen = json_integer_value(json_object_get(s, "bytes"));
	ret->kept = json_integer_value(json_object_get(s, "kept"));
}

/* Results of earlier labs have none. */
static void dump_from_json(const json_t *dump, struct dump_done *ret)
{
	const char *form = json_string_value(json_object_get(dump, "form"));
	int known = form ? dump_form_parse(form) : -EINVAL;

	ret->skipped = printable_copy(json_string_value(json_object_get(dump, "skipped")));
	if (known < 0)
		return;
	ret->there = true;
	ret->form = known;
	ret->bytes = json_integer_value(json_object_get(dump, "bytes"));
	ret->ms = json_integer_value(json_object_get(dump, "ms"));
}

static int crash_from_json(const json_t *j, struct crash *ret)
{
	const char *title, *type, *signature, *first_line;
	json_t *alternatives;
	int corrupted;

	if (!j || json_is_null(j))
		return 0;
	if (json_unpack((json_t *)j, "{s:s, s:o, s:s, s:s, s:s, s:b}", "title", &title,
			"alternatives", &alternatives, "type", &type, "signature", &signature,
			"first_line", &first_line, "corrupted", &corrupted) < 0 ||
	    strings_from_json(alternatives, &ret->alternatives) < 0)
		return -EINVAL;
	ret->title = printable_copy(title);
	ret->type = printable_copy(type);
	ret->signature = printable_copy(signature);
	ret->guilty = printable_copy(json_string_value(json_object_get(j, "guilty")));
	ret->first_line = printable_copy(first_line);
	ret->corrupted = corrupted;
	return 0;
}

static void rest_from_json(const json_t *j, struct result *r)
{
	const json_t *streams = json_object_get(j, "streams"), *times = json_object_get(j, "times");
	const json_t *exit_code = json_object_get(j, "exit");

	r->exit_code = json_is_integer(exit_code) ? (int)json_integer_value(exit_code) : -1;
	r->signal = (int)json_integer_value(json_object_get(j, "signal"));
	stream_from_json(streams, "stdout", &r->out);
	stream_from_json(streams, "stderr", &r->err);
	stream_from_json(streams, "strace", &r->trace);
	stream_from_json(streams, "console", &r->console);
	dump_from_json(json_object_get(j, "dump"), &r->dump);
	r->boot_ms = json_integer_value(json_object_get(times, "boot_ms"));
	r->run_ms = json_integer_value(json_object_get(times, "run_ms"));
	r->total_ms = json_integer_value(json_object_get(times, "total_ms"));
	r->end_ms = json_integer_value(json_object_get(times, "end_ms"));
}

int result_from_json(const char *name, const json_t *j, struct result *ret, struct err *err)
{
	const char *scenario, *path, *kernel, *version, *arch, *dir, *accelerator, *verdict,
		*ending;
	auto_cleanup(result) r = {0};
	json_t *reasons, *notes;
	int schema, repeat, v, a;
	json_error_t at;

	if (json_unpack_ex((json_t *)j, &at, 0,
			   "{s:i, s:s, s:s, s:s, s:s, s:s, s:i, s:s, s:s, s:s, s:s, s:o, s:o}",
			   "schema", &schema, "scenario", &scenario, "path", &path, "kernel",
			   &kernel, "version", &version, "arch", &arch, "repeat", &repeat, "dir",
			   &dir, "accelerator", &accelerator, "verdict", &verdict, "ending",
			   &ending, "reasons", &reasons, "notes", &notes) < 0)
		return err_set(err, EINVAL, "%s: not a result: %.200s", name, at.text);
	if (schema != RESULT_SCHEMA)
		return err_set(err, EINVAL, "%s: schema %d; this lab reads %d", name, schema,
			       RESULT_SCHEMA);
	v = verdict_parse(verdict);
	a = arch_parse(arch);
	if (v < 0 || a < 0 || !path_is_inside(dir) || strings_from_json(reasons, &r.reasons) < 0 ||
	    strings_from_json(notes, &r.notes) < 0)
		return err_set(err, EINVAL, "%s: not a result: a value in it makes no sense", name);
	r.scenario = printable_copy(scenario);
	r.path = printable_copy(path);
	r.kernel = printable_copy(kernel);
	r.version = printable_copy(version);
	r.release = printable_copy(json_string_value(json_object_get(j, "release")));
	r.dir = xstrdup(dir);
	r.accelerator = printable_copy(accelerator);
	r.image = printable_copy(json_string_value(json_object_get(j, "image")));
	if (crash_from_json(json_object_get(j, "crash"), &r.crash) < 0)
		return err_set(err, EINVAL, "%s: not a result: its crash makes no sense", name);
	r.ending = printable_copy(ending);
	r.verdict = v;
	r.arch = a;
	r.repeat = repeat;
	rest_from_json(j, &r);
	*ret = r;
	r = (struct result){0};
	return 0;
}

int json_write_file(int dirfd, const char *path, const json_t *j, struct err *err)
{
	auto_free char *text = json_dumps(j, JSON_INDENT(2));
	auto_free char *line = text ? str_printf("%s\n", text) : NULL;

	if (!line)
		return err_set(err, ENOMEM, "%s: cannot be written as JSON", path);
	return io_write_atomic(dirfd, path, line, strlen(line), 0644, err);
}

int json_read_file(int dirfd, const char *path, json_t **ret, struct err *err)
{
	auto_cleanup(buf) text = {0};
	json_error_t at;
	json_t *j;
	int r = io_read_file(dirfd, path, JSON_MAX_BYTES, &text, err);

	if (r < 0)
		return r;
	j = json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES, &at);
	if (!j)
		return err_set(err, EINVAL, "%s:%d:%d: %s", path, at.line, at.column, at.text);
	*ret = j;
	return 0;
}

void run_record_deinit(struct run_record *r)
{
	for (size_t i = 0; i < r->n; i++)
		result_deinit(&r->results[i]);
	free(r->results);
	free(r->dir);
	json_decref(r->json);
	*r = (struct run_record){0};
}

static int load_results(struct run_record *r, struct err *err)
{
	const json_t *cells = json_object_get(r->json, "cells"), *cell;
	size_t i;

	if (!json_is_array(cells) || json_array_size(cells) > CELLS_MAX)
		return err_set(err, EINVAL, "%s/run.json: not a run: it has no list of cells",
			       r->dir);
	r->results = xcalloc(json_array_size(cells), sizeof(*r->results));
	json_array_foreach(cells, i, cell)
	{
		const char *name = json_string_value(cell);
		auto_free char *path = NULL;
		json_t *j = NULL;
		int got;

		if (!name || !path_is_inside(name))
			return err_set(err, EINVAL, "%s/run.json: not a run: the name of cell %zu",
				       r->dir, i + 1);
		path = str_printf("%s/%s/result.json", r->dir, name);
		got = json_read_file(AT_FDCWD, path, &j, err);
		if (got == -ENOENT) {
			r->missing++;
			continue;
		}
		if (got == 0)
			got = result_from_json(path, j, &r->results[r->n], err);
		json_decref(j);
		if (got < 0)
			return got;
		r->n++;
	}
	return 0;
}

int run_record_load(const char *run, struct run_record *ret, struct err *err)
{
	auto_cleanup(run_record) r = {0};
	auto_free char *path = NULL;
	int got;

	r.dir = strchr(run, '/') || io_exists(run) ? xstrdup(run) : path_join(RESULTS_DIR, run);
	path = path_join(r.dir, "run.json");
	got = json_read_file(AT_FDCWD, path, &r.json, err);
	if (got == -ENOENT || got == -ENOTDIR)
		return err_set(err, ENOENT,
			       "no run at %s (name a run in " RESULTS_DIR
			       "/, its folder, or 'latest')",
			       r.dir);
	if (got < 0)
		return got;
	got = load_results(&r, err);
	if (got < 0)
		return got;
	*ret = r;
	r = (struct run_record){0};
	return 0;
}
