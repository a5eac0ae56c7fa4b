#include "lab/scenario/verdict.h"

#include <regex.h>
#include <signal.h>
#include <string.h>

enum { QUOTE_MAX = 200, REGEX_LINE_MAX = 64 << 10 };

static const char *const names[VERDICT_COUNT] = {
	[VERDICT_PASS] = "pass", [VERDICT_FAIL] = "fail", [VERDICT_CRASH] = "crash",
	[VERDICT_HANG] = "hang", [VERDICT_LOST] = "lost", [VERDICT_SKIP] = "skip",
};

const char *verdict_name(enum verdict v)
{
	return names[v];
}

int verdict_parse(const char *name)
{
	for (int v = 0; v < VERDICT_COUNT; v++)
		if (str_eq(names[v], name))
			return v;
	return -EINVAL;
}

/* --- texts --- */

static bool line_matches(const regex_t *re, const char *line, size_t len)
{
	regmatch_t whole = {.rm_so = 0, .rm_eo = len < REGEX_LINE_MAX ? len : REGEX_LINE_MAX};

	return regexec(re, line, 1, &whole, REG_STARTEND) == 0;
}

/* The line of text that begins at *start, without its end; *start moves on to the next one. */
static struct evidence_text next_line(struct evidence_text text, size_t *start)
{
	struct evidence_text line = {text.data + *start, text.len - *start};
	const char *end = memchr(line.data, '\n', line.len);

	if (end)
		line.len = (size_t)(end - line.data);
	*start += line.len + 1;
	if (line.len && line.data[line.len - 1] == '\r')
		line.len--;
	return line;
}

static bool find_text(const char *wanted, struct evidence_text text, struct evidence_text *line)
{
	const char *found = text.len ? memmem(text.data, text.len, wanted, strlen(wanted)) : NULL;
	size_t start;

	if (!found)
		return false;
	for (start = (size_t)(found - text.data); start && text.data[start - 1] != '\n';)
		start--;
	*line = next_line(text, &start);
	return true;
}

/* Whether text has it; *line is where, when it has. */
static bool occurs(const struct match *m, struct evidence_text text, struct evidence_text *line)
{
	bool found = false;
	regex_t re;

	if (!m->regex)
		return find_text(m->text, text, line);
	if (regcomp(&re, m->text, REG_EXTENDED))
		return false; /* scenario_parse() has compiled it before */
	for (size_t at = 0; at < text.len && !found;) {
		*line = next_line(text, &at);
		found = line_matches(&re, line->data, line->len);
	}
	regfree(&re);
	return found;
}

static void add_quoted(struct buf *out, const char *text, size_t len)
{
	buf_adds(out, "\"");
	str_printable(out, text, len, QUOTE_MAX, false);
	buf_adds(out, "\"");
}

static void add_first_line(struct buf *out, struct evidence_text text)
{
	size_t start = 0, end;

	while (start + 1 < text.len && (text.data[start] == '\n' || text.data[start] == '\r'))
		start++;
	for (end = start; end < text.len && text.data[end] != '\n' && text.data[end] != '\r';)
		end++;
	add_quoted(out, text.data + start, end - start);
}

/* As in the scenario's file: a line's end as \n. */
static void add_wanted(struct buf *out, const char *text)
{
	auto_cleanup(buf) escaped = {0};

	for (const char *p = text; *p; p++)
		buf_adds(&escaped, *p == '\n' ? "\\n" : (char[]){*p, '\0'});
	add_quoted(out, escaped.data, escaped.len);
}

static void add_match(struct buf *out, const struct match *m)
{
	if (m->regex) {
		buf_adds(out, "/");
		str_printable(out, m->text, strlen(m->text), QUOTE_MAX, false);
		buf_adds(out, "/");
	} else {
		add_wanted(out, m->text);
	}
}

static void take_reason(struct judgement *j, struct buf *line)
{
	strv_add(&j->reasons, line->data);
	buf_reset(line);
}

/* what: "stdout"; cut: how much of it was kept, NULL when all. begins: worth quoting its start. */
static void check_text(struct judgement *j, const char *what, const struct matches *want,
		       struct evidence_text text, const struct stream *cut, bool begins)
{
	for (size_t i = 0; i < want->n; i++) {
		const struct match *m = &want->items[i];
		auto_cleanup(buf) line = {0};
		struct evidence_text where;

		if (occurs(m, text, &where) != m->negate)
			continue;
		str_printable(&line, what, strlen(what), QUOTE_MAX, false);
		if (m->negate) {
			buf_adds(&line, " has ");
			add_match(&line, m);
			buf_adds(&line, ", which it must not: ");
			add_quoted(&line, where.data, where.len);
		} else if (!text.len) {
			buf_adds(&line, " is empty, expected ");
			add_match(&line, m);
		} else {
			buf_adds(&line, " lacks ");
			add_match(&line, m);
			if (cut && cut->seen > cut->kept)
				buf_addf(&line, "; it was cut: %llu of %llu bytes were kept",
					 (unsigned long long)cut->kept,
					 (unsigned long long)cut->seen);
			if (begins) {
				buf_adds(&line, " (it begins: ");
				add_first_line(&line, text);
				buf_adds(&line, ")");
			}
		}
		take_reason(j, &line);
	}
}

static void check_files(struct judgement *j, const struct expect *e,
			const struct evidence_file *files, size_t n_files)
{
	for (size_t i = 0; i < e->n_files; i++) {
		const struct expect_file *want = &e->files[i];
		const struct evidence_file *has = NULL;

		for (size_t k = 0; k < n_files && !has; k++)
			if (str_eq(files[k].path, want->path))
				has = &files[k];
		if (want->absent && has)
			strv_addf(&j->reasons, "file %s is there, expected absent", want->path);
		else if (!want->absent && !has)
			strv_addf(&j->reasons, "file %s is not there", want->path);
		else if (has)
			check_text(j, want->path, &want->content, has->content, NULL, true);
	}
}

/* The line of text before end, of which *start becomes the beginning. */
static struct evidence_text last_line(struct evidence_text text, size_t end, size_t *start)
{
	while (end && (text.data[end - 1] == '\n' || text.data[end - 1] == '\r'))
		end--;
	for (*start = end; *start && text.data[*start - 1] != '\n';)
		--*start;
	return (struct evidence_text){text.data + *start, end - *start};
}

/* The last line of stderr often says why the exit code is another one. */
static void add_last_line(struct judgement *j, struct evidence_text text)
{
	static const char hint[] = "Try '"; /* … --help' for more: the reason is the line before */
	auto_cleanup(buf) line = {0};
	size_t start = 0;
	struct evidence_text last = last_line(text, text.len, &start);

	if (start && last.len > strlen(hint) && memcmp(last.data, hint, strlen(hint)) == 0)
		last = last_line(text, start, &start);
	if (!last.len)
		return;
	buf_adds(&line, "stderr ends: ");
	add_quoted(&line, last.data, last.len);
	take_reason(j, &line);
}

/* --- how it ended --- */

static void add_signal(struct buf *out, int sig)
{
	const char *name = sig > 0 ? sigabbrev_np(sig) : NULL;

	if (name)
		buf_addf(out, "SIG%s", name);
	else
		buf_addf(out, "signal %d", sig);
}

static void add_ending(struct buf *out, const struct outcome *o)
{
	if (o->signal) {
		buf_adds(out, "ended by ");
		add_signal(out, o->signal);
	} else {
		buf_addf(out, "exit %d", o->exit_code);
	}
}

/* A shell, and jail, report the signal that ended their child as 128+n. */
static bool ended_by(const struct outcome *o, int sig)
{
	return o->signal == sig || (!o->signal && o->exit_code == 128 + sig);
}

static void check_exit(struct judgement *j, const struct expect *e, const struct outcome *o,
		       struct evidence_text errtext)
{
	auto_cleanup(buf) line = {0};

	if (e->signal ? ended_by(o, e->signal)
		      : e->exit_code < 0 || (!o->signal && o->exit_code == e->exit_code))
		return;
	add_ending(&line, o);
	buf_adds(&line, ", expected ");
	if (e->signal)
		add_signal(&line, e->signal);
	else
		buf_addf(&line, o->signal ? "exit %d" : "%d", e->exit_code);
	take_reason(j, &line);
	if (!e->err.n)
		add_last_line(j, errtext);
}

enum how { HOW_EXIT, HOW_CRASH, HOW_HANG, HOW_LOST };

/*
 * A report on the console outweighs what came after it, unless the guest never worked. A report of
 * time (RCU stall, hung task) is what a hang looks like.
 */
static enum how how_ended(const struct outcome *o, const struct crash *crash)
{
	switch (o->ending) {
	case END_PANIC:
	case END_OOPS:
	case END_REBOOT:
		return HOW_CRASH;
	case END_EXITED:
		return crash ? HOW_CRASH : HOW_EXIT;
	case END_TIMEOUT:
	case END_HUNG:
		return crash && !crash->stall ? HOW_CRASH : HOW_HANG;
	case END_GONE:
	case END_BROKEN:
		return crash && (crash->fatal || crash->oops) ? HOW_CRASH : HOW_LOST;
	case END_NO_BOOT:
		break;
	}
	return HOW_LOST;
}

static const char *default_detail(enum ending ending)
{
	switch (ending) {
	case END_TIMEOUT:
		return "the payload did not end in time";
	case END_HUNG:
		return "the guest made no progress";
	case END_GONE:
		return "the machine went away";
	case END_NO_BOOT:
		return "the guest did not boot";
	default:
		return "the guest's agent failed";
	}
}

static void add_expected_crash(struct buf *line, const struct expect *e)
{
	buf_adds(line, "expected a crash");
	for (size_t i = 0; i < e->crash.n; i++) {
		buf_adds(line, e->crash.items[i].negate ? " other than " : " ");
		add_match(line, &e->crash.items[i]);
	}
}

static bool has_title(const struct crash *crash, const struct match *m)
{
	struct evidence_text line;

	if (occurs(m, (struct evidence_text){crash->title, strlen(crash->title)}, &line))
		return true;
	for (size_t i = 0; i < crash->alternatives.n; i++) {
		const char *title = crash->alternatives.items[i];

		if (occurs(m, (struct evidence_text){title, strlen(title)}, &line))
			return true;
	}
	return false;
}

static bool is_expected(const struct expect *e, const struct crash *crash)
{
	if (!e->crash.n || !crash->title)
		return false;
	for (size_t i = 0; i < e->crash.n; i++)
		if (has_title(crash, &e->crash.items[i]) == e->crash.items[i].negate)
			return false;
	return true;
}

/* Not an exit, and not the end that was expected: the verdict says what it was. */
static void judge_other_end(struct judgement *j, const struct expect *e, const struct outcome *o,
			    enum how how)
{
	auto_cleanup(buf) line = {0};

	j->verdict = how == HOW_CRASH  ? VERDICT_CRASH
		     : how == HOW_HANG ? VERDICT_HANG
				       : VERDICT_LOST;
	if (how == HOW_CRASH)
		buf_adds(&line, j->crash.title);
	else
		buf_adds(&line, o->detail ? o->detail : default_detail(o->ending));
	take_reason(j, &line);
	if (how == HOW_LOST || how == HOW_HANG) {
		if (j->crash.title) {
			buf_addf(&line, "%s: %s",
				 str_eq(j->crash.type, CRASH_TYPE_HANG) ? "dump" : "console",
				 j->crash.title);
			take_reason(j, &line);
		}
	}
	if (how != HOW_LOST && e->crash.n) {
		add_expected_crash(&line, e);
		take_reason(j, &line);
	} else if (how == HOW_CRASH && e->hang) {
		strv_add(&j->reasons, "expected a hang");
	}
}

/* It exited though a crash or a hang should have come. */
static void add_missed_end(struct judgement *j, const struct expect *e, const struct outcome *o)
{
	auto_cleanup(buf) line = {0};

	add_ending(&line, o);
	buf_adds(&line, ", ");
	if (e->hang)
		buf_adds(&line, "expected a hang");
	else
		add_expected_crash(&line, e);
	take_reason(j, &line);
}

/* --- which report it is --- */

/* Whether a report is passed over; says so in the notes. */
static bool is_passed_over(struct judgement *j, const struct expect *e,
			   const struct judge_rules *rules, const struct outcome *o,
			   const struct crash *c)
{
	const struct known *known;

	/* a panicked kernel ends no payload: user space has words for a panic, too */
	if (str_eq(c->type, "panic") && (o->ending == END_EXITED || o->ending == END_TIMEOUT)) {
		strv_addf(&j->notes, "the guest went on after what looks like a panic: %s",
			  c->first_line);
		return true;
	}
	if (!rules || is_expected(e, c))
		return false;
	known = rules->known ? known_find(rules->known, &rules->kernel, rules->arch, c) : NULL;
	if (known)
		strv_addf(&j->notes, "known until %s: %s: %s (%s)", known->until, c->title,
			  known->reason, known->link);
	else if (rules->warnings_note && c->warning && !c->oops)
		strv_addf(&j->notes, "%s", c->title);
	else
		return false;
	return true;
}

/*
 * Where the guest was seen to live on after what looked like its end, the console has a program's
 * text, which nothing tells from the kernel's; the log behind it came from the kernel.
 */
static struct evidence_text kernels_own(const struct outcome *o, struct evidence_text console)
{
	uint64_t skip = o->console.kept < console.len ? o->console.kept : console.len;
	bool ran_on = o->ending == END_EXITED || o->ending == END_TIMEOUT || o->ending == END_OOPS;

	if (!o->lives || !ran_on)
		return console;
	return (struct evidence_text){console.data + skip, console.len - skip};
}

static void find_crash(struct judgement *j, const struct expect *e, const struct judge_rules *rules,
		       const struct outcome *o, struct evidence_text console)
{
	auto_cleanup(crashes) all = {0}, left = {0};
	const struct crash *crash;

	console = kernels_own(o, console);
	crashes_find(console.data, console.len, true, &all);
	left.items = xcalloc(all.n + 1, sizeof(*left.items));
	for (size_t i = 0; i < all.n; i++) {
		if (is_passed_over(j, e, rules, o, &all.items[i]))
			continue;
		left.items[left.n++] = all.items[i];
		all.items[i] = (struct crash){0};
	}
	crash = crashes_main(&left);
	if (crash) {
		j->crash = *crash;
		left.items[crash - left.items] = (struct crash){0};
	}
}

/* The machine's state says more than the console. */
static void name_without_report(struct crash *c, const struct outcome *o)
{
	static const struct {
		enum ending ending;
		const char *title, *type;
	} ends[] = {
		{END_PANIC, "kernel panic", "panic"},
		{END_OOPS, "kernel oops", "oops"},
		{END_REBOOT, "unexpected kernel reboot", "reboot"},
	};

	for (size_t i = 0; i < array_len(ends); i++)
		if (ends[i].ending == o->ending)
			*c = (struct crash){
				.title = xstrdup(ends[i].title),
				.type = xstrdup(ends[i].type),
				.signature = str_printf("%s:unknown", ends[i].type),
				.first_line = xstrdup(""),
				.corrupted = o->ending != END_REBOOT,
			};
	if (o->hang.title && (o->ending == END_HUNG || o->ending == END_TIMEOUT))
		*c = crash_copy(&o->hang);
}

void verdict_judge(const struct expect *expect, const struct judge_rules *rules,
		   const struct outcome *outcome, struct evidence_text out,
		   struct evidence_text errtext, struct evidence_text console,
		   const struct evidence_file *files, size_t n_files, struct judgement *ret)
{
	static const struct expect plain = {.exit_code = 0};
	const struct expect *e = expect ? expect : &plain;
	struct judgement j = {.verdict = VERDICT_PASS};
	enum how how;

	find_crash(&j, e, rules, outcome, console);
	/* a kernel that is slow to print its oops lives on for a while, too */
	if (outcome->lives && !j.crash.title)
		strv_addf(&j.notes, "the console has a report that is not the kernel's: "
				    "the guest lived on");
	how = how_ended(outcome, j.crash.title ? &j.crash : NULL);
	if (!j.crash.title)
		name_without_report(&j.crash, outcome);
	if (how == HOW_EXIT && (e->hang || e->crash.n)) {
		add_missed_end(&j, e, outcome);
	} else if (how == HOW_EXIT) {
		check_exit(&j, e, outcome, errtext);
	} else if (how == HOW_LOST || !(is_expected(e, &j.crash) || (how == HOW_HANG && e->hang))) {
		judge_other_end(&j, e, outcome, how);
		*ret = j;
		return;
	}
	check_text(&j, "stdout", &e->out, out, &outcome->out, true);
	check_text(&j, "stderr", &e->err, errtext, &outcome->err, true);
	check_text(&j, "console", &e->console, console, &outcome->console, false);
	check_files(&j, e, files, n_files);
	if (j.reasons.n)
		j.verdict = VERDICT_FAIL;
	*ret = j;
}

void judgement_deinit(struct judgement *j)
{
	strv_deinit(&j->reasons);
	strv_deinit(&j->notes);
	crash_deinit(&j->crash);
	*j = (struct judgement){0};
}
