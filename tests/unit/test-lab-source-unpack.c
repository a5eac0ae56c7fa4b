/* Tarballs of kernels: nothing of them lands outside its folder, and what is not whole is not used.
 */
#include "tests/unit/source-tarball.h"

static void formats(void **state)
{
	static const int filters[] = {ARCHIVE_FILTER_NONE, ARCHIVE_FILTER_GZIP, ARCHIVE_FILTER_XZ,
				      ARCHIVE_FILTER_BZIP2, ARCHIVE_FILTER_ZSTD};

	for (size_t i = 0; i < array_len(filters); i++) {
		const struct source_place place = {.path = tarball};
		auto_cleanup(source) s = {0};
		auto_free char *id = NULL;
		struct err err = {0};

		fresh(state);
		make_tarball(tarball, filters[i], kernel, array_len(kernel), NULL);
		id = source_id(&place, &err);
		assert_int_equal(left_over(), 0);
		if (source_open(&place, &s, &err) < 0)
			fail_msg("%s", err.msg);
		assert_kernel(&s);
		assert_true(s.local && !s.is_tree && !s.describe && s.hold > 0);
		assert_string_equal(s.id, id);
	}
}

static void no_top_folder(void **state)
{
	static const struct member flat[] = {
		{"./", 'd', NULL},
		{"./Makefile", 'f', MAKEFILE},
		{"./scripts/kconfig/merge_config.sh", 'x', ""},
		{"./l", 'l', "scripts/../Makefile"},
	};
	const struct source_place place = {.path = tarball};
	auto_cleanup(source) s = {0};
	struct err err = {0};

	(void)state;
	make_tarball(tarball, ARCHIVE_FILTER_GZIP, flat, array_len(flat), NULL);
	if (source_open(&place, &s, &err) < 0)
		fail_msg("%s", err.msg);
	assert_text(&s, "l", MAKEFILE);
	assert_int_equal(left_over(), 1);
}

static void hostile(void **state)
{
	static char deep[3001]; /* more folders than a process may open */
	const struct {
		struct member more[MEMBERS_MAX];
		int r;
		const char *text;
	} cases[] = {
		{{{"/tmp/test-source-evil", 'f', ""}}, -EBADMSG, "leaves the tree"},
		{{{"../evil", 'f', ""}}, -EBADMSG, "leaves the tree"},
		{{{"linux-6.5/a/../../../evil", 'f', ""}}, -EBADMSG, "leaves the tree"},
		{{{"linux-6.5/a/..", 'd', ""}}, -EBADMSG, "leaves the tree"},
		{{{"linux-6.5/a\nb", 'f', ""}}, -EBADMSG, "leaves the tree"},
		/* links that lead out: by their text, by another link, by the folder that goes */
		{{{"linux-6.5/l", 'l', "/etc"}}, -EBADMSG, "'l' is a link that leaves the tree"},
		{{{"linux-6.5/l", 'l', ".."}}, -EBADMSG, "is a link that leaves"},
		{{{"linux-6.5/l", 'l', "../linux-6.5/Makefile"}}, -EBADMSG, "is a link that"},
		{{{"linux-6.5/a/b/up", 'l', "../.."}, {"linux-6.5/out", 'l', "a/b/up/../x"}},
		 -EBADMSG,
		 "'out' is a link that leaves"},
		{{{"linux-6.5/a", 'l', "scripts/../../../etc"}}, -EBADMSG, "is a link that"},
		{{{"linux-6.5/l", 'l', ""}}, -EBADMSG, "is a"},
		/* written through a link */
		{{{"linux-6.5/l", 'l', "/tmp"}, {"linux-6.5/l/test-source-evil", 'f', ""}},
		 -EBADMSG,
		 "goes through a link"},
		{{{"linux-6.5/l", 'l', "arch"}, {"linux-6.5/l/evil", 'f', ""}},
		 -EBADMSG,
		 "goes through a link"},
		{{{"linux-6.5/l", 'l', "/tmp/test-source-evil"}, {"linux-6.5/l", 'f', ""}},
		 -EBADMSG,
		 "is in it twice"},
		{{{"linux-6.5/l", 'l', "arch"}, {"linux-6.5/l", 'd', ""}},
		 -EBADMSG,
		 "goes through a link"},
		{{{"linux-6.5/Makefile/x", 'f', ""}}, -EBADMSG, "what is no folder"},
		{{{"linux-6.5/Makefile", 'f', ""}}, -EBADMSG, "is in it twice"},
		{{{"linux-6.5/Makefile", 'h', "linux-6.5/arch/arm/boot/dts/board.dts"}},
		 -EBADMSG,
		 "is in it twice"},
		{{{"linux-6.5/h", 'h', "../../../../../etc/hostname"}}, -EBADMSG, "hard link that"},
		{{{"linux-6.5/h", 'h', "/etc/hostname"}}, -EBADMSG, "hard link that leaves"},
		{{{"linux-6.5/h", 'h', "linux-6.5/nothing"}}, -EBADMSG, "what is no file"},
		{{{"linux-6.5/h", 'h', "linux-6.5/dangling"}}, -EBADMSG, "what is no file"},
		{{{"linux-6.5/l", 'l', "/etc"}, {"linux-6.5/h", 'h', "linux-6.5/l/hostname"}},
		 -EBADMSG,
		 "goes through a link"},
		{{{"linux-6.5/p", 'p', ""}}, -EBADMSG, "is a device, a pipe"},
		{{{"linux-6.5/c", 'c', ""}}, -EBADMSG, "is a device, a pipe"},
		{{{"linux-6.5/.config", 'f', ""}}, -EINVAL, "was built in place (it has .config)"},
		{{{deep, 'd', ""}}, -EBADMSG, "is too deep"},
		{{{"linux-6.5/h", 'h', deep}}, -EBADMSG, "is a hard link to what is too deep"},
		{{{"another/file", 'f', ""}}, -EINVAL, "it has no Makefile of one"},
	};

	for (size_t i = 0; i < 1500; i++)
		memcpy(deep + 2 * i, "a/", 3);
	for (size_t i = 0; i < array_len(cases); i++) {
		const struct source_place place = {.path = tarball};
		struct source s = {0};
		struct err err = {0};
		int r;

		fresh(state);
		make_kernel(cases[i].more);
		r = source_open(&place, &s, &err);
		if (r != cases[i].r || !strstr(err.msg, cases[i].text))
			fail_msg("case %zu: %d, %s", i, r, err.msg);
		assert_int_equal(left_over(), 0);
		assert_false(io_exists("/tmp/test-source-evil"));
	}
}

static void not_a_kernel(void **state)
{
	static const struct {
		struct member members[3];
		const char *text;
	} cases[] = {
		{{{"top/README", 'f', "x"}}, "it has no Makefile of one"},
		{{{"top/Makefile", 'd', ""}}, "it has no Makefile of one"},
		{{{"top/Makefile", 'f', "all:\n"}}, "has no VERSION and PATCHLEVEL"},
		{{{"top/Makefile", 'f', MAKEFILE}}, "no scripts/kconfig/merge_config.sh"},
	};
	const struct source_place place = {.path = tarball};
	struct source s = {0};
	struct err err = {0};

	for (size_t i = 0; i < array_len(cases); i++) {
		make_tarball(tarball, ARCHIVE_FILTER_XZ, NULL, 0, cases[i].members);
		fresh(state);
		assert_int_equal(source_open(&place, &s, &err), -EINVAL);
		if (!strstr(err.msg, cases[i].text))
			fail_msg("case %zu: %s", i, err.msg);
		assert_int_equal(left_over(), 0);
	}
}

static void damaged(void **state)
{
	static const int filters[] = {ARCHIVE_FILTER_NONE, ARCHIVE_FILTER_GZIP, ARCHIVE_FILTER_XZ,
				      ARCHIVE_FILTER_BZIP2, ARCHIVE_FILTER_ZSTD};
	auto_free char *noise = xmalloc(300001);
	const struct member more[] = {{"linux-6.5/noise", 'f', noise}, {0}};
	const struct source_place place = {.path = tarball};
	struct source s = {0};
	struct err err = {0};
	struct stat st;

	noise[300000] = '\0';
	for (unsigned int i = 0, x = 1; i < 300000; i++, x = x * 1103515245 + 12345)
		noise[i] = 1 + (x >> 16) % 255;
	for (size_t i = 0; i < array_len(filters); i++) {
		make_tarball(tarball, filters[i], kernel, array_len(kernel), more);
		assert_int_equal(truncate(tarball, 200000), 0);
		fresh(state);
		assert_int_equal(source_open(&place, &s, &err), -EBADMSG);
		if (!strstr(err.msg, "linux-6.5.tar.xz: truncated"))
			fail_msg("filter %zu: %s", i, err.msg);
		assert_int_equal(left_over(), 0);
	}
	/* between two members, which only the end's marker can tell */
	make_tarball(tarball, ARCHIVE_FILTER_NONE, kernel, array_len(kernel), NULL);
	assert_int_equal(stat(tarball, &st), 0);
	assert_int_equal(truncate(tarball, st.st_size - 1024), 0);
	assert_int_equal(source_open(&place, &s, &err), -EBADMSG);
	assert_non_null(strstr(err.msg, "truncated or damaged after 0 MiB (unexpected end)"));
	assert_int_equal(io_write_atomic(AT_FDCWD, tarball, noise, 300000, 0644, NULL), 0);
	assert_int_equal(source_open(&place, &s, &err), -EBADMSG);
	assert_non_null(strstr(err.msg, "neither a tar archive nor"));
	assert_int_equal(truncate(tarball, 0), 0);
	assert_int_equal(source_open(&place, &s, &err), -EBADMSG);
	assert_int_equal(left_over(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(formats, fresh),
		cmocka_unit_test_setup(no_top_folder, fresh),
		cmocka_unit_test_setup(hostile, fresh),
		cmocka_unit_test_setup(not_a_kernel, fresh),
		cmocka_unit_test_setup(damaged, fresh),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
