/* kernels.yml, kernels.lock, packages.lock: what is accepted, what is refused and where. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "lab/kernel/lock.h"
#include "lab/kernel/pins.h"

#define DIGEST "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define ENTRY(name, path, size, sha256)                                               \
	"        - name: " name "\n          version: \"1-1\"\n          path: " path \
	"\n          size: " size "\n          sha256: \"" sha256 "\"\n"
#define KERNEL(pin, arch, entry)                                                       \
	"schema: 1\nkernels:\n  \"" pin "\":\n    " arch ":\n      version: 6.1.176\n" \
	"      release: 6.1.0-50-cloud-amd64\n      suite: bookworm\n"                 \
	"      snapshot: 20261121T000000Z\n      packages:\n" entry

static void test_round_trip(void **state)
{
	static const char text[] =
		KERNEL("6.1", "amd64", ENTRY("linux-image-x", "pool/x.deb", "12", DIGEST));
	auto_cleanup(kernels_lock) lock = {0}, again = {0};
	auto_cleanup(buf) printed = {0}, reprinted = {0};
	const struct lock_kernel *k;
	struct err err = {0};

	(void)state;
	assert_int_equal(kernels_lock_parse("l", text, strlen(text), &lock, &err), 0);
	k = kernels_lock_find(&lock, "6.1", ARCH_AMD64);
	assert_non_null(k);
	assert_null(kernels_lock_find(&lock, "6.1", ARCH_ARM64));
	assert_null(kernels_lock_find(&lock, "6", ARCH_AMD64));
	assert_string_equal(k->version, "6.1.176");
	assert_string_equal(k->release, "6.1.0-50-cloud-amd64");
	assert_int_equal(k->n_debs, 1);
	assert_string_equal(k->debs[0].path, "pool/x.deb");
	assert_string_equal(k->debs[0].suite, "bookworm");
	assert_string_equal(k->debs[0].snapshot, "20261121T000000Z");
	assert_int_equal(k->debs[0].size, 12);
	assert_null(k->debug.name);
	kernels_lock_print(&lock, &printed);
	assert_int_equal(kernels_lock_parse("l", printed.data, printed.len, &again, &err), 0);
	kernels_lock_print(&again, &reprinted);
	assert_string_equal(printed.data, reprinted.data);
}

#define SOURCE(package)                                                \
	"    source:\n      version: 6.1.176\n      suite: bookworm\n" \
	"      snapshot: 20261121T000000Z\n" package
#define SOURCE_PACKAGE(path)                                                               \
	"      package:\n        name: linux-source-6.1\n        version: \"6.1.176-1\"\n" \
	"        path: " path "\n        size: 12\n        sha256: \"" DIGEST "\"\n"

/* A source stands beside the architectures, or alone; what is printed is in order. */
static void test_source(void **state)
{
	static const char text[] =
		KERNEL("6.1", "amd64", ENTRY("linux-image-x", "pool/x.deb", "12", DIGEST))
			SOURCE(SOURCE_PACKAGE("pool/s.deb")) "  \"5.10\":\n" SOURCE(SOURCE_PACKAGE(
				"pool/t.deb")) "  \"6.12\":\n" SOURCE(SOURCE_PACKAGE("pool/u.deb"));
	auto_cleanup(kernels_lock) lock = {0}, again = {0};
	auto_cleanup(buf) printed = {0}, reprinted = {0};
	const struct lock_source *s;
	struct err err = {0};

	(void)state;
	if (kernels_lock_parse("l", text, strlen(text), &lock, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(lock.n, 1);
	assert_int_equal(lock.n_sources, 3);
	s = kernels_lock_source(&lock, "6.1");
	assert_non_null(s);
	assert_string_equal(s->version, "6.1.176");
	assert_string_equal(s->package.path, "pool/s.deb");
	assert_string_equal(s->package.suite, "bookworm");
	assert_null(kernels_lock_source(&lock, "6"));
	kernels_lock_print(&lock, &printed);
	assert_int_equal(kernels_lock_parse("l", printed.data, printed.len, &again, &err), 0);
	assert_string_equal(again.sources[0].name, "5.10");
	assert_string_equal(again.sources[2].name, "6.12");
	kernels_lock_print(&again, &reprinted);
	assert_string_equal(printed.data, reprinted.data);
	assert_true(strstr(printed.data, "t.deb") < strstr(printed.data, "x.deb"));
	assert_true(strstr(printed.data, "x.deb") < strstr(printed.data, "s.deb"));
	assert_true(strstr(printed.data, "s.deb") < strstr(printed.data, "u.deb"));
}

#define HEADERS(packages)                                             \
	"      headers:\n        suite: bookworm\n        snapshot: " \
	"20261122T000000Z\n        packages:\n" packages
#define HEADER(name)                                                 \
	"          - name: " name "\n            version: \"1-1\"\n" \
	"            path: pool/" name ".deb\n            size: 3\n" \
	"            sha256: \"" DIGEST "\"\n"

/* Headers are of an architecture, with a date of their own; what follows has its own again. */
static void test_headers(void **state)
{
	static const char text[] =
		KERNEL("6.1", "amd64", ENTRY("linux-image-x", "pool/x.deb", "12", DIGEST))
			HEADERS(HEADER("linux-headers-x") HEADER("linux-kbuild-6.1"))
				SOURCE(SOURCE_PACKAGE("pool/s.deb"));
	auto_cleanup(kernels_lock) lock = {0}, again = {0};
	auto_cleanup(buf) printed = {0};
	const struct lock_kernel *k;
	struct err err = {0};

	(void)state;
	if (kernels_lock_parse("l", text, strlen(text), &lock, &err) < 0)
		fail_msg("%s", err.msg);
	k = kernels_lock_find(&lock, "6.1", ARCH_AMD64);
	assert_int_equal(k->n_headers, 2);
	assert_string_equal(k->headers[1].name, "linux-kbuild-6.1");
	assert_string_equal(k->headers[1].path, "pool/linux-kbuild-6.1.deb");
	assert_string_equal(k->headers[0].snapshot, "20261122T000000Z");
	assert_string_equal(k->debs[0].snapshot, "20261121T000000Z");
	assert_string_equal(kernels_lock_source(&lock, "6.1")->package.snapshot,
			    "20261121T000000Z");
	kernels_lock_print(&lock, &printed);
	assert_int_equal(kernels_lock_parse("l", printed.data, printed.len, &again, &err), 0);
	assert_int_equal(again.items[0].n_headers, 2);
	assert_non_null(strstr(printed.data, HEADERS(HEADER("linux-headers-x"))));
}

/* Entries are sorted by version, not by text; a second put replaces the first. */
static void test_put_and_order(void **state)
{
	static const char *const names[] = {"6.12", "5.10", "6.1", "6.1"};
	static const char *const order[] = {"\"5.10\":", "\"6.1\":", "\"6.12\":"};
	auto_cleanup(kernels_lock) lock = {0};
	auto_cleanup(buf) out = {0};
	const char *at;

	(void)state;
	for (size_t i = 0; i < array_len(names); i++) {
		struct lock_kernel k = {.name = xstrdup(names[i]),
					.version = str_printf("%zu", i),
					.release = xstrdup("r"),
					.debs = xcalloc(1, sizeof(struct deb)),
					.n_debs = 1};

		k.debs[0] = (struct deb){.name = xstrdup("n"),
					 .version = xstrdup("1"),
					 .suite = xstrdup("s"),
					 .path = xstrdup("p.deb"),
					 .sha256 = xstrdup(DIGEST),
					 .size = 1,
					 .snapshot = xstrdup("20261121T000000Z")};
		kernels_lock_put(&lock, &k);
		assert_null(k.name);
	}
	assert_int_equal(lock.n, 3);
	assert_string_equal(kernels_lock_find(&lock, "6.1", ARCH_AMD64)->version, "3");
	kernels_lock_print(&lock, &out);
	at = out.data;
	for (size_t i = 0; i < array_len(order); i++) {
		at = strstr(at, order[i]);
		assert_non_null(at);
	}
}

static void test_refused(void **state)
{
	static const struct {
		const char *text, *said;
	} cases[] = {
		{"", "l:1:1: schema is missing"},
		{"schema: 2\n", "l:1:9: schema must be 1"},
		{"schema: 1\nkernel: {}\n", "l:2:1: unknown key 'kernel'"},
		{"schema: 1\nkernels: []\n", "l:2:10: kernels must be a map"},
		{KERNEL("../x", "amd64", ENTRY("n", "p.deb", "1", DIGEST)),
		 "l:3:3: '../x' cannot name a pin"},
		{KERNEL("6.1", "mips", ENTRY("n", "p.deb", "1", DIGEST)),
		 "l:4:5: unknown architecture 'mips'"},
		{KERNEL("6.1", "x86_64", ENTRY("n", "p.deb", "1", DIGEST)), "unknown architecture"},
		{KERNEL("6.1", "amd64", ""), "l:9:"},
		{KERNEL("6.1", "amd64", ENTRY("n/m", "p.deb", "1", DIGEST)),
		 "l:10:17: name must be a name"},
		{KERNEL("6.1", "amd64", ENTRY("n", "../p.deb", "1", DIGEST)),
		 "l:12:17: path must be a path inside"},
		{KERNEL("6.1", "amd64", ENTRY("n", "/p.deb", "1", DIGEST)),
		 "path must be a path inside"},
		{KERNEL("6.1", "amd64", ENTRY("n", "p.exe", "1", DIGEST)),
		 "path must be a path inside"},
		{KERNEL("6.1", "amd64", ENTRY("n", "p.deb", "0", DIGEST)),
		 "l:13:17: size must be a number"},
		{KERNEL("6.1", "amd64", ENTRY("n", "p.deb", "1", "abc")),
		 "l:14:19: sha256 must be 64"},
		{KERNEL("6.1", "amd64", ENTRY("n", "p.deb", "1", "X" DIGEST)), "sha256 must be 64"},
		{KERNEL("6.1", "amd64", ENTRY("n", "p.deb", "1", DIGEST)) HEADERS(""),
		 "l:18:18: packages must be a list of 1 to 8"},
		{KERNEL("6.1", "amd64", ENTRY("n", "p.deb", "1", DIGEST)) HEADERS(HEADER("../n")),
		 "name must be a name"},
		{KERNEL("6.1", "amd64", ENTRY("n", "p.deb", "1", DIGEST)) "      headers: {}\n",
		 "l:15:16: suite is missing"},
		{"schema: 1\nkernels:\n  \"6.1\":\n" SOURCE(""), "l:5:7: package is missing"},
		{"schema: 1\nkernels:\n  \"6.1\":\n" SOURCE(SOURCE_PACKAGE("/p.deb")),
		 "l:11:15: path must be a path inside"},
		{"schema: 1\nkernels:\n  \"6.1\":\n    source: {release: x}\n",
		 "l:4:14: unknown key 'release'"},
	};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		auto_cleanup(kernels_lock) lock = {0};
		struct err err = {0};

		assert_int_equal(
			kernels_lock_parse("l", cases[i].text, strlen(cases[i].text), &lock, &err),
			-EINVAL);
		if (!strstr(err.msg, cases[i].said))
			fail_msg("'%s' lacks '%s'", err.msg, cases[i].said);
		assert_null(lock.items);
	}
}

#define PACKAGE(name, depends)                                  \
	"  " name ":\n    version: \"1\"\n    path: pool/" name \
	".deb\n    size: 1\n    sha256: \"" DIGEST "\"\n    depends: [" depends "]\n"
#define PACKAGES "schema: 1\nsuite: bookworm\nsnapshot: 20261121T000000Z\namd64:\n"

static void test_closure(void **state)
{
	/* a and b need each other; d stands alone */
	static const char text[] =
		PACKAGES PACKAGE("a", "b, c") PACKAGE("b", "a") PACKAGE("c", "") PACKAGE("d", "");
	auto_cleanup(packages_lock) lock = {0}, again = {0};
	auto_cleanup(buf) printed = {0};
	auto_free size_t *indexes = NULL;
	size_t n = 0;
	struct err err = {0};

	(void)state;
	assert_int_equal(packages_lock_parse("l", text, strlen(text), &lock, &err), 0);
	assert_int_equal(packages_lock_closure(&lock, "a", ARCH_AMD64, &indexes, &n), 0);
	assert_int_equal(n, 3);
	assert_int_equal(packages_lock_closure(&lock, "c", ARCH_AMD64, &indexes, &n), 0);
	assert_int_equal(n, 3);
	assert_int_equal(packages_lock_closure(&lock, "d", ARCH_AMD64, &indexes, &n), 0);
	assert_int_equal(n, 4);
	assert_int_equal(packages_lock_closure(&lock, "e", ARCH_AMD64, &indexes, &n), -ENOENT);
	assert_int_equal(packages_lock_closure(&lock, "a", ARCH_ARM64, &indexes, &n), -ENOENT);
	packages_lock_print(&lock, &printed);
	assert_int_equal(packages_lock_parse("l", printed.data, printed.len, &again, &err), 0);
	assert_int_equal(again.n, lock.n);
	assert_int_equal(again.items[0].depends.n, 2);
}

static void test_packages_refused(void **state)
{
	static const struct {
		const char *text, *said;
	} cases[] = {
		{"schema: 1\n", "suite is missing"},
		{"schema: 1\nsuite: bookworm\nsnapshot: yesterday\n",
		 "l:3:11: snapshot must be a time"},
		{PACKAGES PACKAGE("a", "b"), "a for amd64 depends on b, which is not in the file"},
		{PACKAGES PACKAGE("a", "") "  a: {}\n", "given twice"},
	};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		auto_cleanup(packages_lock) lock = {0};
		struct err err = {0};

		assert_int_equal(
			packages_lock_parse("l", cases[i].text, strlen(cases[i].text), &lock, &err),
			-EINVAL);
		if (!strstr(err.msg, cases[i].said))
			fail_msg("'%s' lacks '%s'", err.msg, cases[i].said);
	}
}

static void test_pins(void **state)
{
	static const char text[] =
		"\"6.1\": {debian: {suite: bookworm, flavour: cloud}, default: true,\n"
		"  source: {debian: linux-source-6.1}, config: [guest, debug]}\n"
		"new: {debian: {suite: b, flavour: rt, series: \"6.18\"},\n"
		"  source: {debian: l, suite: c}}\n"
		"\"6.5\": {source: {url: \"https://e/v6.x/linux-6.5.tar.xz\", sha256: \"" DIGEST
		"\"}, config: guest}\n"
		"mine: {source: {url: \"file:///a/linux-6.7.3.tar.xz\", sha256: \"" DIGEST "\"}}\n"
		"other: {source: {url: \"http://e/x.tar\", series: \"6.9\", sha256: \"" DIGEST
		"\"}}\n";
	auto_cleanup(pins) pins = {0};
	const struct pin *p;
	struct err err = {0};

	(void)state;
	if (pins_parse("k", text, strlen(text), &pins, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(pins.n, 5);
	p = &pins.items[0];
	assert_string_equal(p->series, "6.1");
	assert_true(p->is_default);
	assert_string_equal(p->source.package, "linux-source-6.1");
	assert_string_equal(p->source.suite, "bookworm");
	assert_null(p->source.url);
	assert_int_equal(p->config.n, 2);
	p = pins_find(&pins, "new");
	assert_string_equal(p->series, "6.18");
	assert_string_equal(p->source.suite, "c");
	assert_int_equal(p->config.n, 0);
	p = pins_find(&pins, "6.5");
	assert_string_equal(p->series, "6.5");
	assert_string_equal(p->source.sha256, DIGEST);
	assert_null(p->suite);
	assert_null(p->flavour);
	assert_int_equal(p->config.n, 1);
	assert_string_equal(pins_find(&pins, "mine")->series, "6.7.3");
	assert_string_equal(pins_find(&pins, "other")->series, "6.9");
	assert_null(pins_find(&pins, "6.18"));
}

#define URL(url, rest) "\"6.1\": {source: {url: \"" url "\"" rest "}}\n"
#define SHA ", sha256: \"" DIGEST "\""

static void test_pins_refused(void **state)
{
	static const struct {
		const char *text, *said;
	} cases[] = {
		{"", "a map of kernels"},
		{"\"6.1\": {debian: {suite: b, flavour: c}}\n", "no kernel is the default"},
		{"a: {debian: {suite: b, flavour: c, series: \"6\"}, default: true}\n"
		 "d: {debian: {suite: b, flavour: c, series: \"7\"}, default: true}\n",
		 "k:2:1: a second default"},
		{"all: {debian: {suite: b, flavour: c}}\n", "k:1:1: 'all' cannot name a kernel"},
		{"\"../x\": {debian: {suite: b, flavour: c}}\n", "cannot name a kernel"},
		{"\"6.1\": {debain: {}}\n", "did you mean 'debian'"},
		{"\"6.1\": {default: true}\n", "debian: {suite"},
		{"\"6.1\": {debian: {suite: b}}\n", "k:1:17: flavour is missing"},
		{"\"6.1\": {debian: {suite: a/b, flavour: c}}\n",
		 "k:1:25: 'a/b' cannot be a suite"},
		{"new: {debian: {suite: b, flavour: c}}\n", "series must be a kernel version"},
		{"\"6.1\": {debian: {suite: b, flavour: c}, default: yes}\n",
		 "default must be true or false"},
		{"6.1+guest: {debian: {suite: b, flavour: c}}\n",
		 "k:1:1: '6.1+guest' cannot name a kernel"},
		{"\"6.1\": {source: {}}\n",
		 "k:1:17: {url: …, sha256: …} or {debian: linux-source-…} is missing"},
		{"\"6.1\": {source: linux}\n", "k:1:17: source must be a map"},
		{URL("https://e/a.tar", ""), "k:1:17: sha256 of the tarball is missing"},
		{URL("https://e/a.tar", ", sha256: abc"), "k:1:50: sha256 must be 64"},
		{URL("https://e/a.tar", ", sha256: X" DIGEST), "sha256 must be 64"},
		{URL("ftp://e/a.tar", SHA), "k:1:23: url must be that of a file"},
		{URL("e.tar", SHA), "url must be that of a file"},
		{URL("https://e", SHA), "url must be that of a file"},
		{URL("https://e/", SHA), "url must be that of a file"},
		{URL("https://e/..", SHA), "url must be that of a file"},
		{URL("https://e/a b", SHA), "url must be that of a file"},
		{URL("file://a.tar", SHA), "url must be that of a file"},
		{URL("https://e/a.tar", SHA ", debian: x"), "not both"},
		{URL("https://e/a.tar", SHA ", suite: x"), "k:1:17: source is a tarball"},
		{"\"6.1\": {source: {debian: x}}\n", "k:1:17: suite is missing"},
		{"\"6.1\": {source: {debian: a/b, suite: x}}\n", "k:1:26: 'a/b' cannot be"},
		{"\"6.1\": {source: {debian: a, suite: x, sha256: x}}\n", "not both"},
		{"new: {source: {debian: a, suite: x}}\n", "series must be a kernel version"},
		{"\"6.1\": {debian: {suite: b, flavour: c}, source: {debian: a, series: \"6\"}}\n",
		 "series is said below debian"},
		{"\"6.1\": {debian: {suite: b, flavour: c}, config: [guest]}\n",
		 "k:1:49: config is for what is built"},
		{"\"6.1\": {source: {debian: a, suite: x}, config: [guest, a b]}\n",
		 "k:1:56: 'a b' cannot name a fragment"},
		{"\"6.1\": {source: {debian: a, suite: x}, config: ./x.config}\n",
		 "k:1:48: './x.config' cannot name a fragment"},
		{"\"6.1\": {source: {debian: a, suite: x}, config: "
		 "[a, b, c, d, e, f, g, h, i, j, k, l, m, n, o]}\n",
		 "at most 14 fragments"},
	};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		auto_cleanup(pins) pins = {0};
		struct err err = {0};

		assert_int_equal(pins_parse("k", cases[i].text, strlen(cases[i].text), &pins, &err),
				 -EINVAL);
		if (!strstr(err.msg, cases[i].said))
			fail_msg("'%s' lacks '%s'", err.msg, cases[i].said);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),	 cmocka_unit_test(test_source),
		cmocka_unit_test(test_headers),		 cmocka_unit_test(test_put_and_order),
		cmocka_unit_test(test_refused),		 cmocka_unit_test(test_closure),
		cmocka_unit_test(test_packages_refused), cmocka_unit_test(test_pins),
		cmocka_unit_test(test_pins_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
