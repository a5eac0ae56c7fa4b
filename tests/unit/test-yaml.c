#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <string.h>

#include "jail/base/str.h"
#include "jail/base/yaml.h"

static int parse(const char *text, struct yaml *y, struct err *err)
{
	return yaml_parse("t.yml", text, strlen(text), y, err);
}

static void test_tree(void **state)
{
	static const char text[] =
		"a: 1\nlist: [x, \"y\", {k: v}]\nblock: |\n  one\n  two\n'null': ~\n";
	auto_cleanup(yaml) y = {0};
	const struct yaml_node *list, *node;

	(void)state;
	assert_int_equal(parse(text, &y, NULL), 0);
	assert_int_equal(y.root.kind, YAML_MAP);
	assert_int_equal(y.root.n, 4);
	list = yaml_get(&y.root, "list");
	assert_int_equal(list->n, 3);
	assert_int_equal(list->line, 2);
	assert_int_equal(list->column, 7);
	assert_false(list->items[0].quoted);
	assert_true(list->items[1].quoted);
	assert_int_equal(list->items[1].column, 11);
	assert_string_equal(yaml_get(&list->items[2], "k")->text, "v");
	node = yaml_get(&y.root, "block");
	assert_string_equal(node->text, "one\ntwo\n");
	assert_true(node->quoted);
	assert_null(yaml_get(&y.root, "nix"));
	assert_null(yaml_get(list, "a")); /* not a map */
}

static void test_json(void **state)
{
	static const char text[] =
		"\n{\n\t\"a\":\t[1,\t\"x\\t\\\"\ty\"],\n\t\"b\":{\"c\":null}\n}\n";
	auto_cleanup(yaml) y = {0};
	const struct yaml_node *list;

	(void)state;
	assert_int_equal(parse(text, &y, NULL), 0);
	list = yaml_get(&y.root, "a");
	assert_int_equal(list->line, 3);
	assert_int_equal(list->column, 7);
	assert_string_equal(list->items[1].text, "x\t\"\ty");
	assert_string_equal(yaml_get(yaml_get(&y.root, "b"), "c")->text, "null");
}

static void test_empty(void **state)
{
	static const char *const texts[] = {
		"",	 "\n\n",	   "# only this\n",
		"---\n", "--- # x\n...\n", "\xef\xbb\xbf# a byte order mark\r\n"};

	(void)state;
	for (size_t i = 0; i < array_len(texts); i++) {
		auto_cleanup(yaml) y = {0};

		assert_int_equal(parse(texts[i], &y, NULL), 0);
		assert_int_equal(y.root.kind, YAML_MAP);
		assert_int_equal(y.root.n, 0);
		assert_int_equal(y.root.line, 1);
	}
}

static void test_bad(void **state)
{
	static const struct {
		const char *text, *message; /* the message begins with it */
	} rows[] = {
		{"a: 1\nb: 2\na: 3\n", "t.yml:3:1: 'a' is given twice (first in line 1)"},
		{"a: &x 1\n", "t.yml:1:4: anchors and aliases"},
		{"a: *x\n", "t.yml:1:4: anchors and aliases"},
		{"&x a: 1\n", "t.yml:1:1: anchors and aliases"},
		{"a:\n\tb: 1\n", "t.yml:2:1: "},
		{"a: @x\n", "t.yml:1:4: a value that begins with @ must be in quotes: \"@…\""},
		{"# é\r\nb: é\r\na: [é, @x]\n", "t.yml:3:8: a value that begins with @ must be"},
		{"a: %x\n", "t.yml:1:4: a tab or a reserved character"},
		{"[a: b\n", "t.yml:2:1: "},
		{"a: 'x\n", "t.yml:"},
		{"[x]: 1\n", "t.yml:1:1: a key must be a plain word"},
		{"{a: 1}: 2\n", "t.yml:1:1: a key must be a plain word"},
		{"a: 1\n---\nb: 2\n", "t.yml:2:1: a second document"},
		{"a: \xff\xfe\n",
		 "t.yml:1:4: text in UTF-8 expected (invalid leading UTF-8 octet)"},
		{"é: b\nc: é \x01\n", "t.yml:2:6: control characters are not allowed"},
		{"a: 1\n b: 2\n", "t.yml:2:"},
		{"%YAML 9.9\n---\na: 1\n", "t.yml:1:"},
	};

	(void)state;
	for (size_t i = 0; i < array_len(rows); i++) {
		struct yaml y = {0};
		struct err err = {0};

		if (parse(rows[i].text, &y, &err) != -EINVAL)
			fail_msg("accepted: %s", rows[i].text);
		if (!str_starts(err.msg, rows[i].message))
			fail_msg("%s, expected %s", err.msg, rows[i].message);
		assert_null(strchr(err.msg, '\n'));
		assert_null(y.name); /* untouched */
	}
}

static void test_bombs(void **state)
{
	static const char nul[] = "a: \"x\\0y\"\n";
	auto_cleanup(buf) text = {0};
	struct yaml y = {0};
	struct err err = {0};

	(void)state;
	for (int i = 0; i < 200000; i++)
		buf_adds(&text, "[");
	assert_int_equal(yaml_parse("t.yml", text.data, text.len, &y, &err), -E2BIG);
	assert_string_equal(err.msg, "t.yml:1:34: nested deeper than 32 levels");

	buf_reset(&text);
	for (int i = 0; i < 1000; i++)
		buf_addf(&text, "%*sa:\n", i, "");
	assert_int_equal(yaml_parse("t.yml", text.data, text.len, &y, &err), -E2BIG);

	buf_reset(&text);
	for (int i = 0; i <= YAML_MAX_NODES; i++)
		buf_adds(&text, "- a\n");
	assert_int_equal(yaml_parse("t.yml", text.data, text.len, &y, &err), -E2BIG);
	assert_non_null(strstr(err.msg, "more than 100000 values"));

	buf_reset(&text);
	for (int i = 0; i <= YAML_MAX_KEYS; i++)
		buf_addf(&text, "k%d:\n", i);
	assert_int_equal(yaml_parse("t.yml", text.data, text.len, &y, &err), -E2BIG);
	assert_string_equal(err.msg, "t.yml:4097:1: more than 4096 keys in one map");

	buf_reset(&text);
	buf_reserve(&text, 10 << 20);
	while (text.len < 10 << 20)
		buf_adds(&text,
			 "a: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\n");
	assert_int_equal(yaml_parse("t.yml", text.data, text.len, &y, &err), -E2BIG);
	assert_true(str_starts(err.msg, "t.yml:1:1: "));

	assert_int_equal(yaml_parse("t.yml", nul, sizeof(nul) - 1, &y, &err), -EINVAL);
	assert_string_equal(err.msg, "t.yml:1:4: a NUL byte in a value");
	assert_int_equal(yaml_parse("t.yml", "a: x\0y\n", 7, &y, &err), -EINVAL);
	assert_null(y.name);
}

/* Each typed reader: what it takes, and that a wrong value is an error at its place. */
static void test_types(void **state)
{
	static const char text[] =
		"i: 42\nq: \"42\"\nneg: -3\nbig: 99999999999999999999\nt: true\ny: yes\n"
		"ms: 1.5s\nnone:\ntilde: ~\nempty: \"\"\nl: [a, b]\nm: {a: b}\nln: [a, ~]\n";
	auto_cleanup(yaml) y = {0};
	struct err err = {0};
	const char *s = NULL;
	int64_t v = 7;
	bool b = false;

	(void)state;
	assert_int_equal(parse(text, &y, NULL), 0);
#define NODE(key) yaml_get(&y.root, key)
	assert_int_equal(yaml_int(&y, NODE("i"), "i", 0, 42, &v, NULL), 0);
	assert_int_equal(v, 42);
	assert_int_equal(yaml_int(&y, NODE("neg"), "neg", -3, 0, &v, NULL), 0);
	assert_int_equal(v, -3);
	assert_int_equal(yaml_int(&y, NODE("i"), "i", 0, 41, &v, &err), -EINVAL);
	assert_string_equal(err.msg, "t.yml:1:4: i must be a number from 0 to 41");
	assert_int_equal(yaml_int(&y, NODE("q"), "q", 0, 99, &v, NULL), -EINVAL);
	assert_int_equal(yaml_int(&y, NODE("big"), "big", INT64_MIN, INT64_MAX, &v, NULL), -EINVAL);
	assert_int_equal(yaml_int(&y, NODE("l"), "l", 0, 99, &v, NULL), -EINVAL);
	assert_int_equal(v, -3);
	assert_int_equal(yaml_bool(&y, NODE("t"), "t", &b, NULL), 0);
	assert_true(b);
	assert_int_equal(yaml_bool(&y, NODE("y"), "y", &b, &err), -EINVAL);
	assert_int_equal(yaml_ms(&y, NODE("ms"), "ms", &v, NULL), 0);
	assert_int_equal(v, 1500);
	assert_int_equal(yaml_ms(&y, NODE("t"), "t", &v, NULL), -EINVAL);
	assert_int_equal(yaml_string(&y, NODE("none"), "none", &s, &err), -EINVAL);
	assert_int_equal(yaml_string(&y, NODE("tilde"), "tilde", &s, NULL), -EINVAL);
	assert_null(s);
	assert_int_equal(yaml_string(&y, NODE("empty"), "empty", &s, NULL), 0);
	assert_string_equal(s, "");
	assert_int_equal(yaml_string(&y, NODE("m"), "m", &s, &err), -EINVAL);
	assert_string_equal(err.msg, "t.yml:12:4: m must be text, not a map");
}

static void test_strings(void **state)
{
	auto_cleanup(yaml) y = {0};
	auto_cleanup(strv) v = {0};
	struct err err = {0};

	(void)state;
	assert_int_equal(parse("one: a\nl: [b, 3]\nbad: [c, ~]\nm: {a: b}\n", &y, NULL), 0);
	assert_int_equal(yaml_strings(&y, NODE("one"), "one", &v, NULL), 0);
	assert_int_equal(yaml_strings(&y, NODE("l"), "l", &v, NULL), 0);
	assert_int_equal(v.n, 3);
	assert_string_equal(v.items[0], "a");
	assert_string_equal(v.items[2], "3");
	assert_int_equal(yaml_strings(&y, NODE("bad"), "bad", &v, &err), -EINVAL);
	assert_string_equal(err.msg, "t.yml:3:10: bad has no value");
	assert_int_equal(yaml_strings(&y, NODE("m"), "m", &v, &err), -EINVAL);
}

static void test_keys(void **state)
{
	static const char *const keys[] = {"summary", "run"};
	auto_cleanup(yaml) y = {0};
	struct err err = {0};

	(void)state;
	assert_int_equal(
		parse("a: {sumary: x}\nb: {qqqqqqqq: x}\nc: {run: x}\nd: [run]\n", &y, NULL), 0);
	assert_int_equal(yaml_check_keys(&y, NODE("a"), "a thing", keys, 2, &err), -EINVAL);
	assert_string_equal(err.msg,
			    "t.yml:1:5: unknown key 'sumary' in a thing (did you mean 'summary'?)");
	assert_int_equal(yaml_check_keys(&y, NODE("b"), "a thing", keys, 2, &err), -EINVAL);
	assert_string_equal(err.msg,
			    "t.yml:2:5: unknown key 'qqqqqqqq' in a thing (known: summary, run)");
	assert_int_equal(yaml_check_keys(&y, NODE("c"), "a thing", keys, 2, &err), 0);
	assert_int_equal(yaml_check_keys(&y, NODE("d"), "a thing", keys, 2, &err), -EINVAL);
	assert_string_equal(err.msg, "t.yml:4:4: a thing must be a map (key: value)");
}

static void test_file(void **state)
{
	struct yaml y = {0};
	struct err err = {0};

	(void)state;
	assert_int_equal(yaml_parse_file(AT_FDCWD, "tests/data/no-such-file.yml", &y, &err),
			 -ENOENT);
	assert_int_equal(yaml_parse_file(AT_FDCWD, "/dev/zero", &y, &err), -E2BIG);
	assert_true(str_starts(err.msg, "/dev/zero:1:1: larger than 1024 KiB"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tree),	cmocka_unit_test(test_json),
		cmocka_unit_test(test_empty),	cmocka_unit_test(test_bad),
		cmocka_unit_test(test_bombs),	cmocka_unit_test(test_types),
		cmocka_unit_test(test_strings), cmocka_unit_test(test_keys),
		cmocka_unit_test(test_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
