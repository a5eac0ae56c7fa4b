#include "jail/inspect/policy-test.h"

#include <ctype.h>
#include <errno.h>
#include <linux/audit.h>
#include <stdlib.h>
#include <string.h>

#include "jail/base/cleanup.h"
#include "jail/policy/call-args.h"
#include "jail/policy/cap-names.h"
#include "jail/policy/groups.h"

enum { WORDS_MAX = 16 };

void policy_tests_deinit(struct policy_tests *tests)
{
	for (size_t i = 0; i < tests->n; i++)
		free(tests->items[i].text);
	free(tests->items);
	free(tests->name);
	*tests = (struct policy_tests){0};
}

static int parse_number(const char *text, uint64_t *ret)
{
	bool is_negative = *text == '-';
	const char *digits = text + is_negative;
	unsigned long long number;
	char *end;

	if (!isdigit((unsigned char)*digits))
		return -EINVAL;
	errno = 0;
	number = strtoull(digits, &end, 0);
	if (*end || errno)
		return -EINVAL;
	*ret = is_negative ? -number : number;
	return 0;
}

int call_value_parse(const char *text, uint64_t value[ARCH_COUNT], struct err *err)
{
	uint64_t all[ARCH_COUNT] = {0};
	auto_cleanup(strv) parts = {0};

	strv_split(&parts, text, '|');
	for (size_t i = 0; i < parts.n; i++) {
		const char *part = parts.items[i], *near;
		uint64_t number, each[ARCH_COUNT];
		bool is_number = parse_number(part, &number) == 0;

		if (!is_number && constant_find(part, each) < 0) {
			near = constant_suggest(part);
			return err_set(err, EINVAL, "unknown constant '%.60s'%s%s%s", part,
				       near ? " (did you mean '" : "", near ? near : "",
				       near ? "'?)" : "");
		}
		for (unsigned int arch = 0; arch < ARCH_COUNT; arch++)
			all[arch] |= is_number ? number : each[arch];
	}
	if (!parts.n)
		return err_set(err, EINVAL, "a number or a constant expected, not '%.60s'", text);
	memcpy(value, all, sizeof(all));
	return 0;
}

/* --- parsing ---------------------------------------------------------------------------------- */

struct word {
	char *text;
	unsigned int column; /* in bytes, from 1 */
};

struct parser {
	const char *name;
	unsigned int line;
	struct kver kernel;
	uint64_t caps;
	struct word words[WORDS_MAX];
	size_t n_words;
	struct policy_tests tests;
	struct err *err;
};

static void parser_deinit(struct parser *p)
{
	policy_tests_deinit(&p->tests);
}
DEFINE_CLEANUP(parser, parser_deinit)

static int __attribute__((format(printf, 3, 4)))
mistake(struct parser *p, const struct word *at, const char *fmt, ...)
{
	auto_cleanup(buf) text = {0};
	va_list ap;

	va_start(ap, fmt);
	buf_vaddf(&text, fmt, ap);
	va_end(ap);
	return err_set(p->err, EINVAL, "%s:%u:%u: %s", p->name, p->line, at ? at->column : 1,
		       text.data);
}

/* Cut the line into words, in place; parentheses and commas are blanks. */
static int cut(struct parser *p, char *line)
{
	static const char blanks[] = " \t\r(),";
	char *at = line;

	p->n_words = 0;
	for (at += strspn(at, blanks); *at; at += strspn(at, blanks)) {
		if (p->n_words == WORDS_MAX)
			return mistake(p, NULL, "too many words: ARCH CALL ARGUMENT… -> ACTION");
		p->words[p->n_words++] = (struct word){at, (unsigned int)(at - line) + 1};
		at += strcspn(at, blanks);
		if (*at)
			*at++ = '\0';
	}
	return 0;
}

static int parse_action(struct parser *p, size_t first, struct policy_test *test)
{
	static const struct {
		const char *name;
		enum policy_kind kind;
	} kinds[] = {{"allow", POLICY_ALLOW},	{"log", POLICY_LOG},
		     {"notify", POLICY_NOTIFY}, {"trap", POLICY_TRAP},
		     {"kill", POLICY_KILL},	{"kill-thread", POLICY_KILL_THREAD}};
	struct word *word = &p->words[first];
	size_t left = p->n_words - first;

	if (left == 1 && str_eq(word->text, "refused")) {
		test->is_refused = true;
		return 0;
	}
	for (size_t i = 0; left == 1 && i < array_len(kinds); i++) {
		if (str_eq(word->text, kinds[i].name)) {
			test->want.kind = kinds[i].kind;
			return 0;
		}
	}
	if (left == 2 && str_eq(word->text, "errno"))
		word++;
	test->want =
		(struct policy_action){POLICY_ERRNO, left ? policy_errno_parse(word->text) : 0};
	if (left < 1 || left > 2 || !test->want.error)
		return mistake(p, left ? &p->words[first] : &p->words[first - 1],
			       "an action expected after '->': allow, log, notify, errno EPERM, "
			       "trap, kill-thread, kill, or refused");
	return 0;
}

static int parse_args(struct parser *p, size_t first, size_t end, enum arch arch,
		      struct policy_test *test)
{
	for (size_t i = first; i < end; i++) {
		uint64_t value[ARCH_COUNT];
		struct err err = {0};

		if (i - first == 6)
			return mistake(p, &p->words[i], "a call has at most 6 arguments");
		if (str_eq(p->words[i].text, "_"))
			continue;
		if (call_value_parse(p->words[i].text, value, &err) < 0)
			return mistake(p, &p->words[i], "%s", err.msg);
		test->args[i - first] = value[arch];
		test->given |= 1U << (i - first);
	}
	return 0;
}

/* The call's number, or that of what stands for it there. */
static int parse_call(struct parser *p, enum arch arch, struct policy_test *test)
{
	const struct word *word = &p->words[1];
	const struct syscall_def *call = syscall_find(word->text);
	const struct call_equivalent *instead = call ? call_equivalent(call, arch) : NULL;
	const char *near;
	uint64_t number;

	if (parse_number(word->text, &number) == 0) {
		if (number > INT32_MAX)
			return mistake(p, word, "a call's number is at most %d", INT32_MAX);
		test->nr = (int)number;
		test->call = syscall_name(arch, test->nr);
		return 0;
	}
	if (!call) {
		near = syscall_suggest(word->text);
		return mistake(p, word, "unknown system call '%.60s'%s%s%s", word->text,
			       near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "");
	}
	test->call = call->name;
	test->nr = call->nr[arch];
	/* its arguments are other ones: only a row without any can mean the equivalent */
	if (test->nr < 0 && instead && !test->given && !instead->mask) {
		test->call = instead->instead;
		test->nr = syscall_find(instead->instead)->nr[arch];
	}
	return 0;
}

static void add_test(struct policy_tests *tests, const struct policy_test *test)
{
	if (tests->n == tests->cap) {
		tests->cap = tests->cap ? 2 * tests->cap : 64;
		tests->items = xreallocarray(tests->items, tests->cap, sizeof(*tests->items));
	}
	tests->items[tests->n++] = *test;
}

static int parse_row(struct parser *p, unsigned int arches, uint32_t audit, int bit)
{
	size_t arrow = 0;
	int r;

	for (size_t i = 1; i < p->n_words && !arrow; i++)
		if (str_eq(p->words[i].text, "->") || str_eq(p->words[i].text, "→"))
			arrow = i;
	if (arrow < 2)
		return mistake(p, &p->words[p->n_words - 1],
			       "ARCH CALL ARGUMENT… -> ACTION expected");
	for (unsigned int arch = 0; arch < ARCH_COUNT; arch++) {
		struct policy_test test = {.line = p->line,
					   .arch = arch,
					   .audit = audit ? audit : filter_audit_arch(arch),
					   .kernel = p->kernel,
					   .caps = p->caps};
		auto_cleanup(buf) text = {0};

		if (!(arches & 1U << arch))
			continue;
		r = parse_args(p, 2, arrow, arch, &test);
		if (r == 0)
			r = parse_call(p, arch, &test);
		if (r == 0)
			r = parse_action(p, arrow + 1, &test);
		if (r < 0)
			return r;
		if (test.nr >= 0)
			test.nr |= bit;
		for (size_t i = 0; i < p->n_words; i++)
			buf_addf(&text, "%s%s", i ? " " : "", p->words[i].text);
		if (p->tests.n == POLICY_TESTS_MAX)
			return err_set(p->err, E2BIG, "%s:%u: more than %d rows", p->name, p->line,
				       POLICY_TESTS_MAX);
		test.text = take_ptr(text.data);
		add_test(&p->tests, &test);
	}
	return 0;
}

static int parse_caps(struct parser *p)
{
	p->caps = 0;
	for (size_t i = 1; i < p->n_words; i++) {
		const struct word *word = &p->words[i];
		int cap = cap_name_find(word->text);
		const char *near = cap < 0 ? cap_name_suggest(word->text) : NULL;

		if (str_eq(word->text, "all"))
			p->caps = UINT64_MAX;
		else if (cap >= 0)
			p->caps |= UINT64_C(1) << cap;
		else if (!str_eq(word->text, "none"))
			return mistake(p, word, "unknown capability '%.60s'%s%s%s", word->text,
				       near ? " (did you mean '" : "", near ? near : "",
				       near ? "'?)" : "");
	}
	return 0;
}

static int parse_line(struct parser *p, char *line)
{
	static const struct {
		const char *name;
		unsigned int arches;
		uint32_t audit;
		int bit;
	} abis[] = {
		{"any", (1U << ARCH_COUNT) - 1, 0, 0},
		{"amd64", 1U << ARCH_AMD64, 0, 0},
		{"arm64", 1U << ARCH_ARM64, 0, 0},
		{"x32", 1U << ARCH_AMD64, 0, FILTER_X32_BIT},
		{"i386", 1U << ARCH_AMD64, AUDIT_ARCH_I386, 0},
		{"arm", 1U << ARCH_ARM64, AUDIT_ARCH_ARM, 0},
	};
	struct err err = {0};
	int r = cut(p, line);

	if (r < 0 || !p->n_words)
		return r;
	if (str_eq(p->words[0].text, "caps"))
		return parse_caps(p);
	if (str_eq(p->words[0].text, "kernel")) {
		if (p->n_words != 2 || kver_parse(p->words[1].text, &p->kernel, &err) < 0)
			return mistake(p, &p->words[p->n_words - 1],
				       "a kernel version expected, like 'kernel 6.1'");
		return 0;
	}
	for (size_t i = 0; i < array_len(abis); i++)
		if (str_eq(p->words[0].text, abis[i].name))
			return parse_row(p, abis[i].arches, abis[i].audit, abis[i].bit);
	return mistake(
		p, &p->words[0],
		"an architecture expected (any, amd64, arm64, x32, i386, arm), or kernel, or "
		"caps, not '%.60s'",
		p->words[0].text);
}

int policy_tests_parse(const char *name, const char *text, size_t len, struct policy_tests *ret,
		       struct err *err)
{
	auto_cleanup(parser) p = {.name = name, .kernel = FILTER_NEWEST_KERNEL, .err = err};

	for (const char *at = text, *end = text + len; at < end;) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		size_t length = (size_t)((newline ? newline : end) - at);
		char line[POLICY_TEST_LINE_MAX + 1];
		int r;

		p.line++;
		if (memchr(at, '\0', length))
			return mistake(&p, NULL, "not text: it holds a zero byte");
		if (length > POLICY_TEST_LINE_MAX)
			return mistake(&p, NULL, "a line of more than %d bytes",
				       POLICY_TEST_LINE_MAX);
		memcpy(line, at, length);
		line[length] = '\0';
		line[strcspn(line, "#")] = '\0';
		r = parse_line(&p, line);
		if (r < 0)
			return r;
		at += length + !!newline;
	}
	if (!p.tests.n)
		return err_set(err, EINVAL, "%s: no rows: ARCH CALL ARGUMENT… -> ACTION", name);
	p.tests.name = xstrdup(name);
	*ret = p.tests;
	p.tests = (struct policy_tests){0};
	return 0;
}
