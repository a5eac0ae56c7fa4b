#include "lab/kernel/git.h"

#include <string.h>

#include "jail/base/io.h"
#include "jail/base/proc.h"
#include "jail/base/str.h"

enum { SHOWN_MAX = 200 };

/* Returns git's exit code, or a negative errno; what it printed is appended to out. */
static int run(const char *dir, const char *const *arguments, struct buf *out)
{
	static const char *const start[] = {
		"timeout", "30", "env",
		/* set while a hook of another repository runs */
		"-u", "GIT_DIR", "-u", "GIT_WORK_TREE", "-u", "GIT_INDEX_FILE", "-u",
		"GIT_COMMON_DIR", "-u", "GIT_OBJECT_DIRECTORY",
		/* missing objects of a partial clone would be fetched, by any program */
		"GIT_ALLOW_PROTOCOL=none", NULL};
	static const char *const how[] = {
		"git", "--no-optional-locks",	   "-c", "core.fsmonitor=false",
		"-c",  "core.hooksPath=/dev/null", "-C", NULL};
	const char *slash = strrchr(dir, '/');
	auto_cleanup(strv) argv = {0};
	auto_cleanup(buf) said = {0};

	for (size_t i = 0; start[i]; i++)
		strv_add(&argv, start[i]);
	/* a repository around the folder is not the folder's */
	if (dir[0] == '/' && slash > dir)
		strv_addf(&argv, "GIT_CEILING_DIRECTORIES=%.*s", (int)(slash - dir), dir);
	for (size_t i = 0; how[i]; i++)
		strv_add(&argv, how[i]);
	strv_add(&argv, dir);
	for (size_t i = 0; arguments[i]; i++)
		strv_add(&argv, arguments[i]);
	return proc_run(argv.items, out, &said, NULL);
}

/* Does its own configuration name programs that files are piped through? */
static bool has_filters(const char *dir)
{
	static const char *const arguments[] = {"config",	"--show-scope", "--name-only",
						"--get-regexp", "^filter[.]",	NULL};
	auto_cleanup(strv) lines = {0};
	auto_cleanup(buf) out = {0};
	int r = run(dir, arguments, &out);

	if (r != 0)
		return r != 1; /* 1: there are none */
	strv_split(&lines, out.data, '\n');
	for (size_t i = 0; i < lines.n; i++)
		if (!str_starts(lines.items[i], "global\t") &&
		    !str_starts(lines.items[i], "system\t"))
			return true;
	return false;
}

char *git_describe(const char *dir)
{
	static const char *const describe[] = {"describe", "--tags", "--always", NULL};
	static const char *const status[] = {"status", "--porcelain", "-uno",
					     "--ignore-submodules=all", NULL};
	auto_free char *git = path_join(dir, ".git");
	auto_cleanup(buf) name = {0}, changes = {0}, shown = {0};

	if (!io_exists(git) || run(dir, describe, &name) != 0 || !name.len)
		return NULL;
	str_printable(&shown, name.data, strcspn(name.data, "\n"), SHOWN_MAX, false);
	if (has_filters(dir))
		buf_adds(&shown, " (not asked for changes: it has filters)");
	else if (run(dir, status, &changes) != 0)
		return NULL;
	else if (changes.len)
		buf_adds(&shown, "-dirty");
	return take_ptr(shown.data);
}
