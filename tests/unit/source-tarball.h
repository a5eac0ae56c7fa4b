/* A folder of a test, a cache in it, and tarballs that look like a kernel's source. */
#ifndef SOURCE_TARBALL_H
#define SOURCE_TARBALL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "jail/base/io.h"
#include "jail/base/proc.h"
#include "lab/kbuild/source-parts.h"

#define MAKEFILE                                                                          \
	"# SPDX-License-Identifier: GPL-2.0\nVERSION = 6\nPATCHLEVEL = 5\nSUBLEVEL = 0\n" \
	"EXTRAVERSION =\nNAME = Hurr durr\n\nall:\n\tfalse\n"

static char dir[] = "/tmp/test-source-XXXXXX";
static char *cache, *sources, *tarball;

static int make_dir(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	cache = path_join(dir, "cache");
	sources = path_join(cache, "sources");
	tarball = path_join(dir, "linux-6.5.tar.xz");
	return setenv("LAB_CACHE", cache, 1);
}

static int remove_dir(void **state)
{
	(void)state;
	free(cache);
	free(sources);
	free(tarball);
	return io_remove_tree(AT_FDCWD, dir, NULL);
}

static int fresh(void **state)
{
	(void)state;
	return io_remove_tree(AT_FDCWD, cache, NULL);
}

/* --- tarballs --- */

struct member {
	const char *path;
	char kind; /* f: file, x: executable, d: folder, l: link, h: hard link, p: pipe, c: device
		    */
	const char *text;
};
enum { MEMBERS_MAX = 8 };

static const struct member kernel[] = {
	{"linux-6.5", 'd', NULL},
	{"linux-6.5/Makefile", 'f', MAKEFILE},
	{"linux-6.5/scripts/kconfig/merge_config.sh", 'x', "#!/bin/sh\n"},
	{"linux-6.5/scripts/dtc/include-prefixes/arm", 'l', "../../../arch/arm/boot/dts"},
	{"linux-6.5/arch/arm/boot/dts/board.dts", 'f', "/dts-v1/;\n"},
	{"linux-6.5/COPYING", 'h', "linux-6.5/Makefile"},
	{"linux-6.5/dangling", 'l', "not/there"},
};

static void add(struct archive *a, const struct member *m)
{
	struct archive_entry *e = archive_entry_new();
	size_t len = strchr("fx", m->kind) ? strlen(m->text) : 0;

	archive_entry_set_pathname(e, m->path);
	archive_entry_set_mode(e, (m->kind == 'd'   ? S_IFDIR
				   : m->kind == 'l' ? S_IFLNK
				   : m->kind == 'p' ? S_IFIFO
				   : m->kind == 'c' ? S_IFCHR
						    : S_IFREG) |
					  (strchr("xd", m->kind) ? 0755 : 06664));
	archive_entry_set_size(e, len);
	archive_entry_set_mtime(e, 1693175585, 0);
	if (m->kind == 'l')
		archive_entry_set_symlink(e, m->text);
	if (m->kind == 'h')
		archive_entry_set_hardlink(e, m->text);
	assert_int_equal(archive_write_header(a, e), ARCHIVE_OK);
	assert_int_equal(archive_write_data(a, m->text, len), len);
	archive_entry_free(e);
}

static void make_tarball(const char *path, int filter, const struct member *members, size_t n,
			 const struct member *more)
{
	struct archive *a = archive_write_new();

	archive_write_set_format_pax_restricted(a);
	assert_int_equal(archive_write_add_filter(a, filter), ARCHIVE_OK);
	archive_write_set_bytes_in_last_block(a, 1);
	assert_int_equal(archive_write_open_filename(a, path), ARCHIVE_OK);
	for (size_t i = 0; i < n; i++)
		add(a, &members[i]);
	for (; more && more->path; more++)
		add(a, more);
	assert_int_equal(archive_write_close(a), ARCHIVE_OK);
	archive_write_free(a);
}

static void make_kernel(const struct member *more)
{
	make_tarball(tarball, ARCHIVE_FILTER_XZ, kernel, array_len(kernel), more);
}

/* Entries of the sources' folder, but for locks. */
static size_t left_over(void)
{
	DIR *d = opendir(sources);
	struct dirent *e;
	size_t n = 0;

	while (d && (e = readdir(d)))
		n += e->d_name[0] != '.' && !str_ends(e->d_name, ".lock");
	if (d)
		closedir(d);
	return n;
}

static void assert_text(const struct source *s, const char *name, const char *want)
{
	auto_free char *path = path_join(s->dir, name);
	auto_cleanup(buf) text = {0};

	assert_int_equal(io_read_file(AT_FDCWD, path, 1 << 20, &text, NULL), 0);
	assert_string_equal(text.data, want);
}

static void assert_kernel(const struct source *s)
{
	auto_free char *script = path_join(s->dir, "scripts/kconfig/merge_config.sh");
	auto_free char *makefile = path_join(s->dir, "Makefile");
	struct stat st;

	assert_string_equal(s->version, "6.5.0");
	assert_int_equal(s->kver.part[0] * 1000 + s->kver.part[1], 6005);
	assert_text(s, "Makefile", MAKEFILE);
	assert_text(s, "COPYING", MAKEFILE);
	assert_text(s, "scripts/dtc/include-prefixes/arm/board.dts", "/dts-v1/;\n");
	assert_int_equal(stat(script, &st), 0);
	assert_int_equal(st.st_mode & 07100, 0100);
	assert_int_equal(stat(makefile, &st), 0);
	assert_int_equal(st.st_mode & 07111, 0);
	assert_int_equal(st.st_mtim.tv_sec, 1693175585);
	assert_int_equal(left_over(), 1);
}

#endif
