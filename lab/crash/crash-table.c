#include "lab/crash/crash-table.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>

#include "jail/base/str.h"

/* the assembler knows no dependencies: the Makefile has the rule */
#define EMBED(name)                                          \
	__asm__(".pushsection .rodata\n"                     \
		"crash_tab_" #name ":\n"                     \
		".incbin \"lab/data/crash-" #name ".tab\"\n" \
		".byte 0\n"                                  \
		".popsection\n");                            \
	extern const char crash_tab_##name[]

EMBED(headers);
EMBED(frames);
EMBED(names);

enum { COLUMNS = 5, HEADERS_MAX = 400, LISTS = CRASH_SKIP_ANCHOR + 1 };

struct pattern {
	const char *text; /* literal pieces, each with its NUL; the first starts the line */
	size_t pieces, first_len;
	bool open; /* the last star runs to the end of the line */
};

struct names { /* of one kind, from crash-names.tab */
	struct strv from, to;
};

static struct {
	struct crash_header headers[HEADERS_MAX];
	struct pattern patterns[HEADERS_MAX];
	size_t n;
	/* by first byte: the headers, in the table's order */
	unsigned short by_byte[256][HEADERS_MAX], n_by_byte[256];
	bool begins[256];
	struct strv frames[LISTS];
	struct names entries, suffixes, words, same, other;
	char *text[3]; /* the tables, cut to pieces; the headers point into them */
} t;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* --- reading them --- */

static const struct {
	const char *name;
	unsigned int flag;
} flags[] = {
	{"panic", CRASH_PANIC}, {"oops", CRASH_OOPS},	    {"stall", CRASH_STALL},
	{"hung", CRASH_HUNG},	{"warning", CRASH_WARNING}, {"inside", CRASH_INSIDE},
	{"names", CRASH_NAMES}, {"sequel", CRASH_SEQUEL},   {"only", CRASH_ONLY},
	{"about", CRASH_ABOUT}, {"lock", CRASH_LOCK},	    {"-", 0},
};

static unsigned int parse_flags(char *text)
{
	unsigned int ret = 0;

	for (char *save, *word = strtok_r(text, ",", &save); word;
	     word = strtok_r(NULL, ",", &save)) {
		size_t i;

		for (i = 0; i < array_len(flags) && !str_eq(flags[i].name, word); i++)
			;
		assert(i < array_len(flags));
		ret |= flags[i].flag;
	}
	return ret;
}

/* text is cut at its stars. */
static struct pattern parse_pattern(char *text)
{
	size_t len = strlen(text);
	struct pattern p = {.text = text, .pieces = 1, .open = len && text[len - 1] == '*'};

	if (p.open)
		text[len - 1] = '\0';
	for (char *star = text; (star = strchr(star, '*')); p.pieces++)
		*star++ = '\0';
	p.first_len = strlen(text);
	assert(p.pieces - !p.open <= CRASH_STARS);
	return p;
}

static void add_begin(unsigned char c, size_t header)
{
	t.by_byte[c][t.n_by_byte[c]++] = header;
	t.begins[c] = true;
}

static void parse_header(char **column, size_t n)
{
	struct crash_header *h = &t.headers[t.n];

	assert(t.n < HEADERS_MAX && (n == COLUMNS || *column[0] == '!'));
	if (*column[0] == '!') { /* not a header: its type is NULL */
		*h = (struct crash_header){.pattern = column[0] + 1};
		column[0]++;
	} else {
		*h = (struct crash_header){column[0], column[1], column[2], column[3],
					   parse_flags(column[4])};
	}
	add_begin(*column[0], t.n);
	t.patterns[t.n++] = parse_pattern(column[0]);
}

static void parse_frame(char **column, size_t n)
{
	static const char *const lists[LISTS] = {"always", "stall", "hung", "anchor"};
	size_t i;

	assert(n == 2);
	for (i = 0; i < LISTS && !str_eq(lists[i], column[0]); i++)
		;
	assert(i < LISTS);
	strv_split(&t.frames[i], column[1], ' ');
}

static void parse_name(char **column, size_t n)
{
	static const struct {
		const char *kind;
		struct names *names;
		size_t columns;
	} kinds[] = {{"entry", &t.entries, 2},
		     {"suffix", &t.suffixes, 2},
		     {"word", &t.words, 2},
		     {"same", &t.same, 3},
		     {"other", &t.other, 3}};
	size_t i;

	for (i = 0; i < array_len(kinds) && !str_eq(kinds[i].kind, column[0]); i++)
		;
	assert(i < array_len(kinds) && n == kinds[i].columns);
	strv_add(&kinds[i].names->from, column[1]);
	if (n == 3)
		strv_add(&kinds[i].names->to, column[2]);
	if (str_eq(column[0], "word"))
		t.begins[(unsigned char)*column[1]] = true;
}

/* One line, one record; columns between tabs, any number of them; '#' begins a comment. */
static void parse_table(const char *text, char **copy, void (*record)(char **column, size_t n))
{
	char *lines = *copy = xstrdup(text);

	for (char *line; (line = strsep(&lines, "\n"));) {
		char *column[COLUMNS], *word;
		size_t n = 0;

		if (!*line || *line == '#')
			continue;
		while ((word = strsep(&line, "\t"))) {
			assert(!*word || n < COLUMNS);
			if (*word)
				column[n++] = word;
		}
		record(column, n);
	}
}

static void load(void)
{
	parse_table(crash_tab_headers, &t.text[0], parse_header);
	parse_table(crash_tab_frames, &t.text[1], parse_frame);
	parse_table(crash_tab_names, &t.text[2], parse_name);
}

/* --- headers --- */

static bool matches(const struct pattern *p, const char *line, struct crash_span *star)
{
	const char *piece = p->text, *at = line;

	if (strncmp(line, piece, p->first_len) != 0)
		return false;
	at += p->first_len;
	for (size_t i = 1; i < p->pieces; i++) {
		const char *found;

		piece += strlen(piece) + 1;
		found = strstr(at, piece);
		if (!found)
			return false;
		star[i - 1] = (struct crash_span){at, found - at};
		at = found + strlen(piece);
	}
	if (p->open)
		star[p->pieces - 1] = (struct crash_span){at, strlen(at)};
	return true;
}

const struct crash_header *crash_header_find(const char *line, struct crash_span star[CRASH_STARS])
{
	unsigned char c = *line;

	pthread_once(&once, load);
	/* words of a subsystem that may come first: "watchdog: BUG: soft lockup …" */
	for (size_t i = 0; i < t.words.from.n; i++) {
		const char *word = t.words.from.items[i];
		const struct crash_header *h;

		if (!str_starts(line, word) || line[strlen(word)] != ' ')
			continue;
		h = crash_header_find(line + strlen(word) + 1, star);
		if (h)
			return h;
	}
	for (size_t i = 0; i < CRASH_STARS; i++)
		star[i] = (struct crash_span){"", 0};
	for (size_t i = 0; i < t.n_by_byte[c]; i++) {
		const struct crash_header *h = &t.headers[t.by_byte[c][i]];

		if (matches(&t.patterns[t.by_byte[c][i]], line, star))
			return h->type ? h : NULL;
	}
	return NULL;
}

bool crash_header_begins(char c)
{
	pthread_once(&once, load);
	return t.begins[(unsigned char)c];
}

/* --- frames and names --- */

bool crash_frame_listed(const char *function, enum crash_skip list)
{
	const struct strv *v = &t.frames[list];

	pthread_once(&once, load);
	for (size_t i = 0; i < v->n; i++) {
		const char *name = v->items[i];
		size_t n = strlen(name);

		/* '*' at the end: a prefix */
		if (*name == *function && (name[n - 1] == '*' ? strncmp(function, name, n - 1) == 0
							      : str_eq(function, name)))
			return true;
	}
	return false;
}

bool crash_name_normalise(char *function)
{
	pthread_once(&once, load);
	for (size_t i = 0; i < t.suffixes.from.n; i++) {
		char *s = strstr(function, t.suffixes.from.items[i]);

		if (s && s != function)
			*s = '\0';
	}
	for (size_t i = 0; i < t.entries.from.n; i++) {
		size_t n = strlen(t.entries.from.items[i]);

		if (str_starts(function, t.entries.from.items[i]) && function[n]) {
			memmove(function, function + n, strlen(function + n) + 1);
			return true;
		}
	}
	return false;
}

const char *crash_name_same(const char *word)
{
	pthread_once(&once, load);
	for (size_t i = 0; i < t.same.from.n; i++)
		if (str_eq(t.same.from.items[i], word))
			return t.same.to.items[i];
	return word;
}

const char *crash_name_other(const char *class, size_t i)
{
	pthread_once(&once, load);
	for (size_t k = 0; k < t.other.from.n; k++)
		if (str_eq(t.other.from.items[k], class) && i-- == 0)
			return t.other.to.items[k];
	return NULL;
}
