#include "lab/kbuild/history.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "jail/base/io.h"
#include "lab/cache.h"

/* of `guest`, Linux 6.1, amd64 (docs/findings.md) */
enum { OBJECTS_GUESS = 2190, FILE_MAX = 64 };

#define PART ".lab-part"

static bool read_file(const char *path, struct kbuild_history *ret)
{
	auto_cleanup(buf) text = {0};
	auto_cleanup(strv) words = {0};
	uint64_t seconds, objects;

	*ret = (struct kbuild_history){0};
	if (io_read_file(AT_FDCWD, path, FILE_MAX, &text, NULL) < 0 || !text.len)
		return false;
	strv_split(&words, text.data, ' ');
	if (words.n != 2 || str_to_u64(words.items[0], 0, INT_MAX, &seconds) < 0 ||
	    str_to_u64(words.items[1], 0, INT_MAX, &objects) < 0)
		return false;
	*ret = (struct kbuild_history){.seconds = seconds, .objects = objects};
	return true;
}

static void write_file(const char *path, const struct kbuild_history *h)
{
	auto_free char *text = str_printf("%u %u\n", h->seconds, h->objects);

	io_write_atomic(AT_FDCWD, path, text, strlen(text), 0644, NULL);
}

static char *path_of(const char *name, enum arch arch)
{
	auto_free char *dir = cache_dir("builds", NULL);

	return dir ? str_printf("%s/%s-%s.history", dir, name, arch_name(arch)) : NULL;
}

void kbuild_history(const char *name, enum arch arch, struct kbuild_history *ret)
{
	auto_free char *path = path_of(name, arch);

	*ret = (struct kbuild_history){0};
	if (path)
		read_file(path, ret);
}

void history_write(const char *name, enum arch arch, const struct kbuild_history *h)
{
	auto_free char *path = path_of(name, arch);

	if (path)
		write_file(path, h);
}

/* The bytes that both names start with: "6.1+guest-amd64" is nearer to "6.1-amd64" than to "5.10".
 */
static size_t alike(const char *a, const char *b)
{
	size_t n = 0;

	while (a[n] && a[n] == b[n])
		n++;
	return n;
}

unsigned int history_expect(const char *name, enum arch arch)
{
	auto_free char *dir = cache_dir("builds", NULL);
	auto_free char *own = str_printf("%s-%s.history", name, arch_name(arch));
	auto_closedir DIR *d = dir ? opendir(dir) : NULL;
	unsigned int objects = OBJECTS_GUESS;
	struct kbuild_history h;
	size_t best = 0, n;
	struct dirent *e;

	while (d && (e = readdir(d))) {
		auto_free char *path = path_join(dir, e->d_name);

		n = alike(own, e->d_name) + 1;
		if (n <= best || !str_ends(e->d_name, ".history") || !read_file(path, &h) ||
		    !h.objects)
			continue;
		best = n;
		objects = h.objects;
	}
	return objects;
}

void history_read_part(const char *obj, struct kbuild_history *ret)
{
	auto_free char *path = path_join(obj, PART);

	read_file(path, ret);
}

void history_write_part(const char *obj, const struct kbuild_history *h)
{
	auto_free char *path = path_join(obj, PART);

	if (h)
		write_file(path, h);
	else
		unlink(path);
}
