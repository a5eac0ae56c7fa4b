#include "jail/learn/learn-text.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "jail/learn/learn-args.h"

enum {
	NAME_MAX_LEN = 64,
	WORDS_MAX = 8,
	TOKEN_MAX = 512,
	COUNT_MAX = 1 << 30, /* of one line: sums stay far from overflow */
};

/* A piece of the text; not NUL-terminated. */
struct span {
	const char *at;
	size_t len;
};

struct reader {
	struct learn *learn;
	unsigned int calls; /* lines that have one */
	const char *name;
	struct span line;
	unsigned int number;
	struct strv *notes, noted; /* noted: calls that a note was about */
	struct err *err;
};

static int complain(const struct reader *r, const char *at, const char *text, struct span what)
{
	auto_cleanup(buf) shown = {0};

	str_printable(&shown, what.at, what.len, NAME_MAX_LEN, false);
	return err_set(r->err, EINVAL, "%s:%u:%zu: %s '%s'", r->name, r->number,
		       (size_t)(at - r->line.at) + 1, text, shown.data);
}

static bool is_name_char(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

static struct span name_at(struct span s)
{
	size_t n = 0;

	while (n < s.len && is_name_char(s.at[n]))
		n++;
	return (struct span){s.at, n};
}

static void skip(struct span *s, size_t n)
{
	s->at += n;
	s->len -= n;
}

static void skip_blanks(struct span *s)
{
	while (s->len && isspace((unsigned char)*s->at))
		skip(s, 1);
}

static bool starts(struct span s, const char *prefix)
{
	size_t n = strlen(prefix);

	return s.len >= n && memcmp(s.at, prefix, n) == 0;
}

/* The call of a name in the text, or NULL and an error. */
static const struct syscall_def *find_call(const struct reader *r, struct span name)
{
	char text[NAME_MAX_LEN + 1] = "";
	const struct syscall_def *call;
	const char *near;

	if (name.len <= NAME_MAX_LEN)
		memcpy(text, name.at, name.len);
	call = syscall_find(text);
	if (call)
		return call;
	near = syscall_suggest(text);
	complain(r, name.at, "unknown system call", name);
	if (near && r->err)
		err_set(r->err, EINVAL, "%.*s (did you mean '%s'?)", (int)sizeof(r->err->msg) - 80,
			strdupa(r->err->msg), near);
	return NULL;
}

/* --- arguments as strace writes them ---------------------------------------------------------- */

/* The next argument up to a comma or the end of the list, without what is around it. */
static bool next_argument(struct span *rest, struct span *ret)
{
	const char *open = "([{", *close = ")]}";
	int depth = 0;
	size_t i = 0;

	skip_blanks(rest);
	if (!rest->len || *rest->at == ')')
		return false;
	for (; i < rest->len; i++) {
		char c = rest->at[i];

		if (c == '"') {
			for (i++; i < rest->len && rest->at[i] != '"'; i++)
				i += rest->at[i] == '\\';
		} else if (strchr(open, c) && c) {
			depth++;
		} else if (strchr(close, c) && c && depth-- == 0) {
			break;
		} else if (c == ',' && !depth) {
			break;
		}
	}
	if (i > rest->len)
		i = rest->len;
	*ret = (struct span){rest->at, i};
	skip(rest, i);
	if (rest->len && *rest->at == ',')
		skip(rest, 1);
	return true;
}

static bool read_number(const char *text, uint64_t *ret)
{
	char *end;

	if (!isdigit((unsigned char)*text) && *text != '-')
		return false;
	errno = 0;
	*ret = *text == '-' ? (uint64_t)strtoll(text, &end, 0) : strtoull(text, &end, 0);
	return !errno && !*end && end != text;
}

/* "PROT_READ|PROT_WRITE", "0x3001 /\* ARCH_??? *\/", "TCGETS or SNDCTL_TMR_TIMEBASE" */
static bool read_value(struct span token, uint64_t *ret)
{
	char text[TOKEN_MAX], *part, *rest = text, *end;
	uint64_t value[ARCH_COUNT], number;

	if (token.len >= sizeof(text))
		return false;
	memcpy(text, token.at, token.len);
	text[token.len] = '\0';
	end = strpbrk(text, " \t</");
	if (end)
		*end = '\0';
	*ret = 0;
	if (!*text)
		return false;
	while ((part = strsep(&rest, "|"))) {
		if (constant_find(part, value) == 0)
			*ret |= value[ARCH_AMD64];
		else if (read_number(part, &number))
			*ret |= number;
		else
			return false;
	}
	return true;
}

/* clone's arguments have their names before them, in another order. */
static int argument_index(const struct syscall_def *call, struct span *token, int position)
{
	struct span name = name_at(*token);
	char text[NAME_MAX_LEN + 1] = "";

	if (name.len > NAME_MAX_LEN || name.len == token->len || token->at[name.len] != '=')
		return position;
	memcpy(text, name.at, name.len);
	skip(token, name.len + 1);
	return call_arg_find(call, text);
}

/* False: one that is to be kept could not be read. */
static bool read_arguments(const struct syscall_def *call, struct span rest, uint64_t args[6])
{
	const struct arg_def *defs = call_args(call);
	unsigned int wanted = 0;
	struct span token;

	for (int i = 0; i < 6; i++)
		if (defs[i].is_learned)
			wanted |= 1U << i;
	for (int position = 0; position < 6 && next_argument(&rest, &token); position++) {
		int i = argument_index(call, &token, position);

		if (i >= 0 && wanted & 1U << i && read_value(token, &args[i]))
			wanted &= ~(1U << i);
	}
	return !wanted;
}

/* The rest is what follows the bracket. */
static void add_made_call(struct reader *r, const struct syscall_def *call, struct span rest)
{
	uint64_t args[6] = {0};
	struct kept_args kept;

	if (read_arguments(call, rest, args) || !kept_args_of(call, args, &kept)) {
		learn_add_call(r->learn, call, args, 1);
		return;
	}
	learn_add_name(r->learn, call->name, 1);
	if (strv_has(&r->noted, call->name))
		return;
	strv_add(&r->noted, call->name);
	strv_addf(r->notes, "%s:%u: the arguments of %s could not be read: it counts as a whole",
		  r->name, r->number, call->name);
}

/* --- lines ------------------------------------------------------------------------------------ */

static bool is_number(struct span word)
{
	bool has_digit = false;

	for (size_t i = 0; i < word.len; i++) {
		if (!isdigit((unsigned char)word.at[i]) && !strchr(".:+", word.at[i]))
			return false;
		has_digit = has_digit || isdigit((unsigned char)word.at[i]);
	}
	return has_digit;
}

static size_t split_words(struct span line, struct span words[WORDS_MAX])
{
	size_t n = 0;

	for (skip_blanks(&line); line.len && n < WORDS_MAX; skip_blanks(&line)) {
		size_t len = 0;

		while (len < line.len && !isspace((unsigned char)line.at[len]))
			len++;
		words[n++] = (struct span){line.at, len};
		skip(&line, len);
	}
	return n;
}

/* Before the call: "[pid 12] ", "12 ", times. */
static void skip_prefix(struct span *line)
{
	skip_blanks(line);
	if (starts(*line, "[pid ")) {
		while (line->len && *line->at != ']')
			skip(line, 1);
		if (line->len)
			skip(line, 1);
	}
	for (;;) {
		struct span words[WORDS_MAX];

		skip_blanks(line);
		if (split_words(*line, words) < 2 || !is_number(words[0]))
			return;
		skip(line, words[0].len);
	}
}

static bool is_remark(struct span line)
{
	static const char *const remarks[] = {
		"#", "+++ ", "--- ", "<... ", "strace: ", "% time", "------", "????",
	};

	for (size_t i = 0; i < array_len(remarks); i++)
		if (starts(line, remarks[i]))
			return true;
	return false;
}

static int read_count(const struct reader *r, struct span word, uint64_t *ret)
{
	char text[16] = "";

	if (word.len < sizeof(text))
		memcpy(text, word.at, word.len);
	if (str_to_u64(text, 1, COUNT_MAX, ret) < 0)
		return complain(r, word.at, "a count expected, not", word);
	return 0;
}

/* "name", "name count", "count name", a row of strace -c. */
static int read_entry(struct reader *r)
{
	struct span words[WORDS_MAX];
	size_t n = split_words(r->line, words);
	const struct syscall_def *call;
	size_t name = n - 1, count = n;
	uint64_t times = 1;
	int ret;

	if (n == 2 && is_number(words[1]))
		name = 0;
	if (n == 2)
		count = 1 - name;
	else if (n == 5 || n == 6)
		count = 3;
	else if (n != 1)
		return complain(r, words[0].at, "a system call expected, not", r->line);
	if (n > 4 && words[name].len == 5 && memcmp(words[name].at, "total", 5) == 0)
		return 0;
	if (count < n) {
		ret = read_count(r, words[count], &times);
		if (ret < 0)
			return ret;
	}
	call = find_call(r, words[name]);
	return call ? learn_add_name(r->learn, call->name, times) : -EINVAL;
}

static int read_line(struct reader *r)
{
	struct span rest = r->line;
	const struct syscall_def *call;
	struct span name;

	skip_blanks(&rest);
	if (!rest.len || is_remark(rest))
		return 0;
	skip_prefix(&rest);
	if (is_remark(rest))
		return 0;
	name = name_at(rest);
	r->calls++;
	if (!name.len || name.len == rest.len || rest.at[name.len] != '(')
		return read_entry(r);
	call = find_call(r, name);
	if (!call)
		return -EINVAL;
	skip(&rest, name.len + 1);
	add_made_call(r, call, rest);
	return 0;
}

int learn_add_text(struct learn *learn, const char *name, const char *text, size_t len,
		   struct strv *notes, struct err *err)
{
	struct err unused;
	struct reader r = {
		.learn = learn, .name = name, .notes = notes, .err = err ? err : &unused};
	const char *end = text + len;
	int ret = 0;

	while (text < end && ret == 0) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));

		r.line = (struct span){text, (size_t)((newline ? newline : end) - text)};
		r.number++;
		ret = read_line(&r);
		text += r.line.len + 1;
	}
	strv_deinit(&r.noted);
	if (ret == 0 && !r.calls)
		strv_addf(notes, "%s: no system call in it", name);
	return ret;
}
