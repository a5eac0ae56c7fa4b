#include "jail/base/opts.h"

#include <ctype.h>
#include <getopt.h>
#include <string.h>

enum { LONG_BASE = 256, HELP_LONG = LONG_BASE - 1, HELP_COLUMN = 30 };

static int set_value(const struct opt *opt, void *args, char *value, struct err *err)
{
	void *to = (char *)args + opt->offset;
	const char *want = NULL;
	uint64_t u;
	char *end;

	switch (opt->kind) {
	case OPT_FLAG:
		*(bool *)to = true;
		break;
	case OPT_NEGATION:
		*(bool *)to = false;
		break;
	case OPT_STRING:
		*(const char **)to = value;
		break;
	case OPT_STRV:
		strv_split(to, value, ',');
		break;
	case OPT_APPEND:
		strv_add(to, value);
		break;
	case OPT_U32:
		if (str_to_u64(value, 0, UINT32_MAX, &u) < 0)
			want = "a number";
		else
			*(unsigned int *)to = u;
		break;
	case OPT_INT64:
		errno = 0;
		*(int64_t *)to = strtoll(value, &end, 10);
		if (errno || end == value || *end)
			want = "a number";
		break;
	case OPT_MS:
		if (str_to_ms(value, to) < 0)
			want = "a time like 500ms, 30s, 2m or 1h";
		break;
	case OPT_BYTES:
		if (str_to_bytes(value, to) < 0)
			want = "a size like 65536, 64K, 10M or 2G";
		break;
	}
	if (want)
		return err_set(err, EINVAL, "--%s: '%.60s' is not %s", opt->name, value, want);
	return 0;
}

static bool takes_value(const struct opt *opt)
{
	return opt->kind != OPT_FLAG && opt->kind != OPT_NEGATION;
}

static int unknown_option(const struct opt *table, size_t n, int argc, char **argv, struct err *err)
{
	const char *given = optind > 0 && optind <= argc ? argv[optind - 1] : "";
	auto_free const char **names = xcalloc(n + 1, sizeof(*names));
	auto_free char *word = NULL;
	const char *near;

	if (optopt == HELP_LONG)
		return err_set(err, EINVAL, "--help takes no value");
	if (isdigit(optopt))
		return err_set(err, EINVAL, "unknown option '-%c' (a negative number? behind '--')",
			       optopt);
	if (optopt && optopt < LONG_BASE)
		return err_set(err, EINVAL, "unknown option '-%c'", optopt);
	if (optopt >= LONG_BASE) /* a flag was given a value */
		return err_set(err, EINVAL, "--%s takes no value", table[optopt - LONG_BASE].name);
	for (size_t i = 0; i < n; i++)
		names[i] = table[i].name;
	word = xstrndup(given + strspn(given, "-"), strcspn(given + strspn(given, "-"), "="));
	near = str_nearest(word, names, n);
	if (near)
		return err_set(err, EINVAL, "unknown option '%.60s' (did you mean --%s?)", given,
			       near);
	return err_set(err, EINVAL, "unknown option '%.60s'", given);
}

int opts_parse(const struct opt *table, size_t n, enum opts_how how, int argc, char **argv,
	       void *args, int *operands, struct err *err)
{
	auto_free struct option *longs = xcalloc(n + 2, sizeof(*longs));
	auto_cleanup(buf) shorts = {0};
	int c, r;

	/* '+': stop at the first operand; ':' tells a missing value from an unknown option */
	buf_adds(&shorts, how == OPTS_BEFORE_CMD ? "+:h" : ":h");
	for (size_t i = 0; i < n; i++) {
		longs[i] = (struct option){table[i].name, takes_value(&table[i]), NULL,
					   LONG_BASE + (int)i};
		if (table[i].letter)
			buf_addf(&shorts, "%c%s", table[i].letter,
				 takes_value(&table[i]) ? ":" : "");
	}
	longs[n] = (struct option){"help", 0, NULL, HELP_LONG};
	optind = 0; /* glibc: start afresh */
	opterr = 0;
	while ((c = getopt_long(argc, argv, shorts.data, longs, NULL)) != -1) {
		const struct opt *opt = NULL;

		if (c == 'h' || c == HELP_LONG)
			return 1;
		if (c == '?')
			return unknown_option(table, n, argc, argv, err);
		if (c == ':')
			return err_set(err, EINVAL, "%s needs a value", argv[optind - 1]);
		if (c >= LONG_BASE)
			opt = &table[c - LONG_BASE];
		for (size_t i = 0; !opt && i < n; i++)
			if (table[i].letter == c)
				opt = &table[i];
		r = set_value(opt, args, optarg, err);
		if (r < 0)
			return r;
	}
	*operands = optind;
	return 0;
}

static void print_option(FILE *to, char letter, const char *name, const char *arg, const char *help)
{
	auto_free char *left =
		str_printf("  %c%c%s --%s%s%s", letter ? '-' : ' ', letter ? letter : ' ',
			   letter ? "," : " ", name, arg ? " " : "", arg ? arg : "");

	if (strlen(left) + 2 > HELP_COLUMN)
		fprintf(to, "%s\n%*s", left, HELP_COLUMN, "");
	else
		fprintf(to, "%-*s", HELP_COLUMN, left);
	for (;;) {
		int len = (int)strcspn(help, "\n");

		fprintf(to, "%.*s\n", len, help);
		if (!help[len])
			return;
		help += len + 1;
		fprintf(to, "%*s", HELP_COLUMN, "");
	}
}

void opts_print(FILE *to, const struct opt *table, size_t n)
{
	for (size_t i = 0; i < n; i++)
		print_option(to, table[i].letter, table[i].name, table[i].arg, table[i].help);
	print_option(to, 'h', "help", NULL, "print this text");
}
