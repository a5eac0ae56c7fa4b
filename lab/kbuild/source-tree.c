#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "jail/base/io.h"
#include "lab/kbuild/source-parts.h"

enum { MAKEFILE_MAX = 1 << 20, VALUE_MAX = 64 };

enum { MAJOR, PATCHLEVEL, SUBLEVEL, EXTRA, N_VALUES };
static const char *const names[N_VALUES] = {"VERSION", "PATCHLEVEL", "SUBLEVEL", "EXTRAVERSION"};

/* The value when the line is "NAME = value", trimmed, in *value and *len. */
static bool is_assignment(const char *line, const char *end, const char *name, const char **value,
			  size_t *len)
{
	size_t n = strlen(name);
	const char *comment;

	if ((size_t)(end - line) < n || memcmp(line, name, n) != 0)
		return false;
	line += n;
	while (line < end && (*line == ' ' || *line == '\t'))
		line++;
	if (line < end && *line == ':')
		line++;
	if (line == end || *line++ != '=')
		return false;
	comment = memchr(line, '#', end - line);
	if (comment)
		end = comment;
	while (line < end && strchr(" \t\r", *line))
		line++;
	while (end > line && strchr(" \t\r", end[-1]))
		end--;
	*value = line;
	*len = end - line;
	return true;
}

static bool is_number(const char *s)
{
	return *s && strlen(s) <= 4 && strspn(s, "0123456789") == strlen(s);
}

int source_version_parse(const char *text, size_t len, char **ret, struct err *err)
{
	char values[N_VALUES][VALUE_MAX] = {0};
	bool seen[N_VALUES] = {0};
	const char *end = text + len, *next;

	for (const char *line = text; line < end; line = next) {
		const char *stop = memchr(line, '\n', end - line), *value;
		size_t n;

		stop = stop ? stop : end;
		next = stop + (stop < end);
		for (int i = 0; i < N_VALUES; i++) {
			if (seen[i] || !is_assignment(line, stop, names[i], &value, &n))
				continue;
			if (n >= VALUE_MAX || memchr(value, '\0', n))
				return err_set(err, EINVAL, "its %s is no version", names[i]);
			memcpy(values[i], value, n);
			seen[i] = true;
		}
	}
	if (!seen[MAJOR] || !seen[PATCHLEVEL])
		return err_set(err, EINVAL, "its Makefile has no VERSION and PATCHLEVEL");
	if (!is_number(values[MAJOR]) || !is_number(values[PATCHLEVEL]) ||
	    (*values[SUBLEVEL] && !is_number(values[SUBLEVEL])) ||
	    values[EXTRA][strspn(values[EXTRA], "abcdefghijklmnopqrstuvwxyz"
						"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+~-")])
		return err_set(err, EINVAL, "VERSION, PATCHLEVEL … of its Makefile are no version");
	*ret = str_printf("%s.%s%s%s%s", values[MAJOR], values[PATCHLEVEL],
			  *values[SUBLEVEL] ? "." : "", values[SUBLEVEL], values[EXTRA]);
	return 0;
}

/* What kbuild makes in the source when it is built in place, and refuses to build beside. */
static int check_clean(const char *dir, const char *what, struct err *err)
{
	static const char *const leftovers[] = {".config", "include/config",
						"arch/x86/include/generated",
						"arch/arm64/include/generated"};

	for (size_t i = 0; i < array_len(leftovers); i++) {
		auto_free char *path = path_join(dir, leftovers[i]);

		if (io_exists(path))
			return err_set(err, EINVAL,
				       "%s was built in place (it has %s), so make does not build "
				       "it elsewhere: 'make mrproper' there cleans it; what it "
				       "holds is booted by 'lab run --kernel %s'",
				       what, leftovers[i], what);
	}
	return 0;
}

int source_tree_check(const char *dir, const char *what, struct source *ret, struct err *err)
{
	auto_free char *makefile = path_join(dir, "Makefile"), *version = NULL;
	auto_free char *merge = path_join(dir, "scripts/kconfig/merge_config.sh");
	auto_cleanup(buf) text = {0};
	struct kver kver;
	int r;

	if (access(dir, R_OK | X_OK) < 0)
		return err_errno(err, "%s", what);
	r = io_read_regular(AT_FDCWD, makefile, MAKEFILE_MAX, &text, err);
	if (r == -ENOENT || r == -ENOTDIR || r == -EISDIR || r == -EFBIG || r == -ELOOP ||
	    r == -EINVAL)
		return err_set(err, EINVAL, "%s is no kernel source: it has no Makefile of one",
			       what);
	if (r < 0)
		return r;
	if (source_version_parse(text.data, text.len, &version, err) < 0 ||
	    kver_parse(version, &kver, err) < 0)
		return err_wrap(err, "%s is no kernel source", what);
	if (!io_exists(merge))
		return err_set(err, EINVAL,
			       "%s is no kernel source: it has no scripts/kconfig/merge_config.sh",
			       what);
	r = check_clean(dir, what, err);
	if (r < 0)
		return r;
	ret->version = take_ptr(version);
	ret->kver = kver;
	return 0;
}
