/* Sources of kernels: from a pin's tarball, checked, or a tree; shared between processes. */
#include "lab/kernel/git.h"
#include "tests/unit/source-tarball.h"

/* --- pins --- */

struct looking {
	struct strv said;
	const char *cancel_at; /* what starts so sets the flag */
	volatile int cancel;
};

static void look(void *data, const char *what, uint64_t done, uint64_t total)
{
	struct looking *l = data;

	(void)done, (void)total;
	if (!l->said.n || !str_eq(l->said.items[l->said.n - 1], what))
		strv_add(&l->said, what);
	if (l->cancel_at && str_starts(what, l->cancel_at))
		l->cancel = 1;
}

struct pinned {
	struct pin pin;
	char hex[65];
	struct source_place place;
	struct looking looking;
};

/* A pin of the tarball as it is now, at a mirror that is the folder's. */
static void pin_it(struct pinned *p, const char *url)
{
	*p = (struct pinned){.pin = {.name = (char *)"6.5"}};
	assert_int_equal(sha256_file(tarball, p->hex, NULL), 0);
	p->pin.source.sha256 = p->hex;
	p->pin.source.url = (char *)url;
	p->place = (struct source_place){.pin = &p->pin,
					 .progress = look,
					 .data = &p->looking,
					 .cancel = &p->looking.cancel};
}

static int open_it(const struct pinned *p, const char *text)
{
	auto_cleanup(source) s = {0};
	struct err err = {0};
	int r = source_open(&p->place, &s, &err);

	if (r == 0) {
		assert_kernel(&s);
		assert_false(s.local);
		assert_string_equal(s.id + strlen("sha256:"), p->hex);
		assert_int_equal(err.code, 0);
	}
	if (text && !strstr(err.msg, text))
		fail_msg("%d: %s", r, err.msg);
	return r;
}

static char *cache_file(const struct pinned *p, const char *suffix)
{
	return str_printf("%s/%.16s%s", sources, p->hex, suffix);
}

static void put(const char *path, const char *from, size_t len)
{
	auto_cleanup(buf) data = {0};

	assert_int_equal(io_mkdirs(sources, 0755, NULL), 0);
	assert_int_equal(io_read_file(AT_FDCWD, from, 64 << 20, &data, NULL), 0);
	assert_int_equal(io_write_atomic(AT_FDCWD, path, data.data, len < data.len ? len : data.len,
					 0644, NULL),
			 0);
}

static void fetched(void **state)
{
	auto_free char *url = str_printf("file://%s", tarball), *part = NULL, *whole = NULL;
	auto_free char *odd = path_join(dir, "a mirror%20"),
		       *copy = path_join(odd, "linux-6.5.tar.xz");
	struct pinned p;

	make_kernel(NULL);
	pin_it(&p, url);
	part = cache_file(&p, ".part");
	whole = cache_file(&p, ".tar");
	assert_int_equal(open_it(&p, NULL), 0);
	assert_string_equal(p.looking.said.items[0], "fetching linux-6.5.tar.xz");
	assert_string_equal(p.looking.said.items[1], "unpacking linux-6.5.tar.xz");
	assert_int_equal(p.looking.said.n, 2);
	p.place.offline = true; /* it is there now */
	p.pin.source.url = (char *)"https://127.0.0.1:1/linux-6.5.tar.xz";
	assert_int_equal(open_it(&p, NULL), 0);
	fresh(state);
	assert_int_equal(open_it(&p, "linux-6.5.tar.xz cannot be had offline"), -ENODATA);
	assert_int_equal(left_over(), 0);
	/* what was fetched so far; what was something else's; what is whole */
	p.place.mirror = dir;
	put(part, tarball, 300);
	assert_int_equal(open_it(&p, NULL), 0);
	fresh(state);
	put(part, "/proc/self/exe", 300);
	assert_int_equal(open_it(&p, NULL), 0);
	fresh(state);
	put(part, "/proc/self/exe", 1 << 19);
	assert_int_equal(open_it(&p, NULL), 0);
	fresh(state);
	p.place.mirror = NULL;
	put(part, tarball, 1 << 20); /* ended before it was renamed */
	assert_int_equal(open_it(&p, NULL), 0);
	fresh(state);
	put(part, tarball, 100);
	put(whole, tarball, 1 << 20);
	assert_int_equal(open_it(&p, NULL), 0);
	fresh(state);
	put(whole, "/proc/self/exe", 1 << 20);
	assert_int_equal(open_it(&p, NULL), -ENODATA);
	/* a mirror that has it under an odd path, before the pin's own place */
	fresh(state);
	assert_int_equal(io_mkdirs(odd, 0755, NULL), 0);
	put(copy, tarball, 1 << 20);
	p.place.mirror = odd;
	assert_int_equal(open_it(&p, NULL), 0);
	strv_deinit(&p.looking.said);
}

static void unreachable(void **state)
{
	auto_free char *nothing = str_printf("file://%s/nothing/linux-6.5.tar.xz?x=1", dir);
	struct pinned p;

	(void)state;
	make_kernel(NULL);
	pin_it(&p, nothing);
	assert_int_equal(open_it(&p, "linux-6.5.tar.xz cannot be had (file:///"), -ENODATA);
	p.place.mirror = "/not/there";
	assert_int_equal(open_it(&p, "(/not/there: No such file or directory; file:///"), -ENODATA);
	assert_int_equal(open_it(&p, "--source FILE' takes the file itself, --mirror a URL"),
			 -ENODATA);
	p.pin.source.url = NULL;
	p.pin.source.sha256 = NULL;
	assert_int_equal(open_it(&p, "give one with --source"), -EINVAL);
	strv_deinit(&p.looking.said);
}

static void wrong_checksum(void **state)
{
	auto_free char *url = str_printf("file://%s", tarball), *part = NULL;
	struct pinned p;
	char wrong[65];

	make_kernel(NULL);
	pin_it(&p, url);
	memcpy(wrong, p.hex, sizeof(wrong));
	wrong[63] = wrong[63] == '0' ? '1' : '0';
	p.pin.source.sha256 = wrong;
	assert_int_equal(open_it(&p, wrong), -EBADMSG);
	assert_int_equal(open_it(&p, p.hex), -EBADMSG);
	assert_int_equal(open_it(&p, url), -EBADMSG);
	assert_int_equal(open_it(&p, "--source TARBALL"), -EBADMSG);
	assert_int_equal(left_over(), 0);
	part = cache_file(&p, ".part");
	put(part, tarball, 100);
	assert_int_equal(open_it(&p, "wrong checksum"), -EBADMSG);
	assert_int_equal(left_over(), 0);
	p.place.path = tarball;
	assert_int_equal(open_it(&p, "is not the pinned linux-6.5.tar.xz: expected"), -EBADMSG);
	assert_null(source_id(&p.place, NULL));
	p.pin.source.sha256 = p.hex;
	assert_int_equal(open_it(&p, NULL), 0);
	/* the right file of the wrong version is a mistake in the pin */
	fresh(state);
	p.pin.name = (char *)"6.6";
	assert_int_equal(open_it(&p, "is Linux 6.5.0, not 6.6"), -EINVAL);
	strv_deinit(&p.looking.said);
}

static void interrupted(void **state)
{
	static const char *const steps[] = {"fetching", "unpacking", NULL};
	auto_free char *url = str_printf("file://%s", tarball);
	struct pinned p;

	(void)state;
	make_kernel(NULL);
	pin_it(&p, url);
	for (size_t i = 0; i < array_len(steps); i++) {
		p.looking.cancel_at = steps[i];
		p.looking.cancel = 0;
		assert_int_equal(open_it(&p, steps[i] ? "interrupted" : NULL),
				 steps[i] ? -EINTR : 0);
		if (i == 0)
			p.pin.source.url = (char *)"https://127.0.0.1:1/linux-6.5.tar.xz";
		p.place.offline = true; /* what was fetched is kept */
		assert_int_equal(left_over(), 1);
	}
	strv_deinit(&p.looking.said);
}

/* As another lab would: returns its exit code. */
static pid_t in_child(struct pinned *p, int lock, const char *said)
{
	pid_t pid = fork();

	if (pid == 0) {
		auto_cleanup(source) s = {0};
		int r;

		close(lock); /* it is held until nobody has it open */
		r = source_open(&p->place, &s, NULL);
		_exit(r < 0 ? -r : said && !str_starts(p->looking.said.items[0], said) ? 99 : 0);
	}
	return pid;
}

static int exit_of(pid_t pid)
{
	int status;

	return waitpid(pid, &status, 0) == pid ? proc_exit_code(status) : -1;
}

static void shared(void **state)
{
	auto_free char *url = str_printf("file://%s", tarball), *lock_path = NULL;
	struct pinned p;
	struct source s = {0};
	pid_t pids[4];
	int lock;

	make_kernel(NULL);
	pin_it(&p, url);
	lock_path = cache_file(&p, ".lock");
	/* all at once */
	for (size_t i = 0; i < array_len(pids); i++)
		pids[i] = in_child(&p, -1, NULL);
	for (size_t i = 0; i < array_len(pids); i++)
		assert_int_equal(exit_of(pids[i]), 0);
	assert_int_equal(open_it(&p, NULL), 0);
	/* one waits for another, and says so; or is told not to wait any more */
	fresh(state);
	assert_int_equal(io_mkdirs(sources, 0755, NULL), 0);
	lock = io_lock_file(lock_path, IO_LOCK_TRY, NULL);
	assert_true(lock >= 0);
	pids[0] = in_child(&p, lock, "waiting for another lab: unpacking");
	p.looking.cancel_at = "waiting";
	pids[1] = in_child(&p, -1, NULL);
	assert_int_equal(exit_of(pids[1]), EINTR);
	assert_int_equal(left_over(), 0);
	close(lock);
	assert_int_equal(exit_of(pids[0]), 0);
	/* what is in use is held, by several */
	p.looking.cancel_at = NULL;
	assert_int_equal(source_open(&p.place, &s, NULL), 0);
	assert_int_equal(exit_of(in_child(&p, -1, NULL)), 0);
	assert_int_equal(io_lock_file(lock_path, IO_LOCK_TRY, NULL), -EWOULDBLOCK);
	source_deinit(&s);
	lock = io_lock_file(lock_path, IO_LOCK_TRY, NULL);
	assert_true(lock >= 0);
	close(lock);
	strv_deinit(&p.looking.said);
}

/* --- trees --- */

static char *make_tree(const char *name)
{
	char *tree = path_join(dir, name);
	auto_free char *kconfig = path_join(tree, "scripts/kconfig");
	auto_free char *merge = path_join(kconfig, "merge_config.sh");
	auto_free char *makefile = path_join(tree, "Makefile");

	assert_int_equal(io_mkdirs(kconfig, 0755, NULL), 0);
	assert_int_equal(io_write_atomic(AT_FDCWD, merge, "", 0, 0755, NULL), 0);
	assert_int_equal(
		io_write_atomic(AT_FDCWD, makefile, MAKEFILE, strlen(MAKEFILE), 0644, NULL), 0);
	return tree;
}

static void trees(void **state)
{
	static const char *const leftovers[] = {".config", "include/config",
						"arch/arm64/include/generated"};
	auto_free char *tree = make_tree("tree");
	auto_free char *id = str_printf("tree:%s", tree), *with_dots = str_printf("%s/./", tree);
	auto_free char *arch = path_join(tree, "arch/arm64/include");
	auto_free char *include = path_join(tree, "include");
	struct source_place place = {.path = with_dots};
	struct pin pin = {.name = (char *)"6.6"};
	auto_cleanup(source) s = {0};
	struct source none = {0};
	struct err err = {0};

	(void)state;
	if (source_open(&place, &s, &err) < 0)
		fail_msg("%s", err.msg);
	assert_true(s.local && s.is_tree && !s.describe);
	assert_string_equal(s.dir, tree);
	assert_string_equal(s.id, id);
	assert_string_equal(s.version, "6.5.0");
	assert_int_equal(left_over(), 0);
	place.pin = &pin;
	assert_int_equal(source_open(&place, &none, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "is Linux 6.5.0, not 6.6: give it a name of its own"));
	pin.series = (char *)"6.5";
	source_deinit(&s);
	assert_int_equal(source_open(&place, &s, &err), 0);
	for (size_t i = 0; i < array_len(leftovers); i++) {
		auto_free char *path = path_join(tree, leftovers[i]);

		io_mkdirs(include, 0755, NULL);
		io_mkdirs(arch, 0755, NULL);
		assert_int_equal(mkdir(path, 0755), 0);
		assert_int_equal(source_open(&place, &none, &err), -EINVAL);
		assert_non_null(strstr(err.msg, leftovers[i]));
		assert_non_null(strstr(err.msg, "make mrproper"));
		assert_non_null(strstr(err.msg, "lab run --kernel"));
		assert_int_equal(rmdir(path), 0);
	}
	place.path = arch;
	assert_int_equal(source_open(&place, &none, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "is no kernel source"));
	place.path = "/not/there";
	assert_int_equal(source_open(&place, &none, &err), -ENOENT);
	assert_non_null(strstr(err.msg, "/not/there: No such file"));
	place.path = "/dev/null";
	assert_int_equal(source_open(&place, &none, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "neither a folder nor a file"));
}

static void under_git(void **state)
{
	auto_free char *tree = make_tree("git");
	auto_free char *script = str_printf(
		"cd %s && export GIT_CONFIG_GLOBAL=/dev/null && unset GIT_DIR && git init -q . && "
		"git add . && git -c user.name=a -c user.email=a@b -c commit.gpgsign=false commit "
		"-qm one && git tag v6.5 && touch -d '1 hour ago' Makefile && "
		"printf '#!/bin/sh\ntouch %s/ran' >.git/hooks/post-index-change && "
		"chmod +x .git/hooks/* && touch -d '1 hour ago' .git/index",
		tree, tree);
	auto_free char *index = path_join(tree, ".git/index"), *ran = path_join(tree, "ran");
	auto_free char *edit = str_printf("echo >>%s/Makefile", tree);
	auto_free char *filter = str_printf("cd %s && echo '* filter=x' >.git/info/attributes && "
					    "git config filter.x.clean 'touch ran; cat'",
					    tree);
	auto_free char *empty = str_printf("mkdir -p %s/inner/.git", tree);
	auto_free char *inner = path_join(tree, "inner");
	static const char *const says[] = {"v6.5", "v6.5-dirty",
					   "v6.5 (not asked for changes: it has filters)", NULL};
	const char *const steps[] = {script, edit, filter, empty};
	struct stat before, after;

	(void)state;
	setenv("GIT_DIR", "/nowhere", 1); /* as a hook of git's has it */
	for (size_t i = 0; i < array_len(steps); i++) {
		const char *const argv[] = {"sh", "-c", steps[i], NULL};
		auto_free char *describe = NULL;
		auto_cleanup(buf) said = {0};
		int r;

		if (i == 2)
			unsetenv("GIT_DIR");
		r = proc_run((char *const *)argv, NULL, &said, NULL);
		if (r == 127)
			skip(); /* no git here */
		if (r != 0)
			fail_msg("%s", said.data);
		assert_int_equal(stat(index, &before), 0);
		describe = git_describe(says[i] ? tree : inner);
		if (says[i])
			assert_string_equal(describe, says[i]);
		else
			assert_null(describe); /* the repository around it is not its own */
		assert_int_equal(stat(index, &after), 0);
		assert_int_equal(before.st_ino, after.st_ino);
		assert_int_equal(before.st_mtim.tv_sec, after.st_mtim.tv_sec);
		assert_false(io_exists(ran));
	}
}

static void versions(void **state)
{
	static const struct {
		const char *text, *version; /* NULL: refused */
	} cases[] = {
		{"VERSION = 6\nPATCHLEVEL = 5\nSUBLEVEL = 0\nEXTRAVERSION = -rc1\n", "6.5.0-rc1"},
		{"VERSION=6\nPATCHLEVEL:=5", "6.5"},
		{"VERSION\t=\t6 # six\r\nPATCHLEVEL = 5\nSUBLEVEL = 12 \n", "6.5.12"},
		{"PATCHLEVEL = 5\nVERSION = 6\nVERSION = 7\n", "6.5"},
		{"\nVERSION = 2\nPATCHLEVEL = 6\nSUBLEVEL = 32\nEXTRAVERSION = .4+deb~1_x\n",
		 "2.6.32.4+deb~1_x"},
		{"", NULL},
		{"VERSION = 6\n", NULL},
		{"VERSIONS = 6\nPATCHLEVEL = 5\n", NULL},
		{" VERSION = 6\nPATCHLEVEL = 5\n", NULL},
		{"VERSION = six\nPATCHLEVEL = 5\n", NULL},
		{"VERSION =\nPATCHLEVEL = 5\n", NULL},
		{"VERSION = 60000\nPATCHLEVEL = 5\n", NULL},
		{"VERSION = 6\nPATCHLEVEL = 5\nSUBLEVEL = x\n", NULL},
		{"VERSION = 6\nPATCHLEVEL = 5\nEXTRAVERSION = $(shell date)\n", NULL},
		{"VERSION = 6\nPATCHLEVEL = 5\nEXTRAVERSION = -a b\n", NULL},
		{"VERSION = 6\nPATCHLEVEL = 5\nEXTRAVERSION = -/../x\n", NULL},
	};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		auto_free char *version = NULL;
		struct err err = {0};
		int r = source_version_parse(cases[i].text, strlen(cases[i].text), &version, &err);

		assert_int_equal(r, cases[i].version ? 0 : -EINVAL);
		assert_int_equal(err.code, -r);
		if (cases[i].version)
			assert_string_equal(version, cases[i].version);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(fetched, fresh),
		cmocka_unit_test_setup(unreachable, fresh),
		cmocka_unit_test_setup(wrong_checksum, fresh),
		cmocka_unit_test_setup(interrupted, fresh),
		cmocka_unit_test_setup(shared, fresh),
		cmocka_unit_test_setup(trees, fresh),
		cmocka_unit_test_setup(under_git, fresh),
		cmocka_unit_test_setup(versions, fresh),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
