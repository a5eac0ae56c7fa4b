#include "lab/kconfig/kconfig.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "jail/base/io.h"

void kconfig_deinit(struct kconfig *c)
{
	for (size_t i = 0; i < c->n; i++) {
		free(c->items[i].name);
		free(c->items[i].value);
	}
	free(c->items);
	free(c->version);
	free(c->compiler);
	*c = (struct kconfig){0};
}

/* "# Linux/x86 6.1.176 Kernel Configuration": the kernel's own name for the architecture. */
static void take_title(struct kconfig *c, const char *line)
{
	static const char prefix[] = "# Linux/", suffix[] = " Kernel Configuration";
	const char *arch = line + strlen(prefix), *version;

	if (c->version || !str_starts(line, prefix) || !str_ends(line, suffix))
		return;
	version = strchr(arch, ' ') + 1;
	c->version = xstrndup(version, strcspn(version, " "));
	c->arch = str_starts(arch, "x86 ") || str_starts(arch, "x86_64 ") ? ARCH_AMD64
		  : str_starts(arch, "arm64 ")				  ? ARCH_ARM64
									  : -1;
}

static bool is_name(const char *s)
{
	const char *p = s;

	while (isalnum((unsigned char)*p) || *p == '_')
		p++;
	return p > s && !*p;
}

static int take_line(struct kconfig *c, char *line)
{
	static const char prefix[] = "CONFIG_", unset[] = " is not set";
	char *value;

	if (!*line)
		return 0;
	if (*line == '#') {
		take_title(c, line);
		/* it says what a line that is not there says; but the last line wins */
		if (!str_starts(line, "# CONFIG_") || !str_ends(line, unset))
			return 0;
		line[strlen(line) - strlen(unset)] = 0;
		line += 9;
		if (!is_name(line))
			return 0;
		value = "n";
	} else {
		value = strchr(line, '=');
		if (!str_starts(line, prefix) || !value || !value[1])
			return -EINVAL;
		*value++ = 0;
		line += strlen(prefix);
		if (!is_name(line))
			return -EINVAL;
	}
	if ((c->n & (c->n - 1)) == 0)
		c->items = xreallocarray(c->items, c->n ? 2 * c->n : 1, sizeof(*c->items));
	c->items[c->n++] = (struct kconfig_option){xstrdup(line), xstrdup(value)};
	return 0;
}

static int take_lines(const char *name, const char *text, size_t len, struct kconfig *c,
		      struct err *err)
{
	size_t number = 0;

	for (const char *p = text, *end = text + len; p < end;) {
		const char *eol = memchr(p, '\n', end - p), *stop = eol ? eol : end;
		auto_cleanup(buf) line = {0};

		number++;
		while (stop > p && isspace((unsigned char)stop[-1]))
			stop--;
		/* anybody's tree: its values are printed */
		str_printable(&line, p, stop - p, stop - p, false);
		if (memchr(p, 0, stop - p) || (line.len && take_line(c, line.data) < 0))
			return err_set(err, EINVAL,
				       "%.200s:%zu: not a line of a kernel's configuration "
				       "(CONFIG_NAME=value, or a comment)",
				       name, number);
		p = eol ? eol + 1 : end;
	}
	return 0;
}

static int by_name(const void *a, const void *b)
{
	const struct kconfig_option *const *x = a, *const *y = b;
	int c = strcmp((*x)->name, (*y)->name);

	return c ? c : (*x > *y) - (*x < *y);
}

/* Sorted, the last of each name, without those that are "n". */
static void tidy(struct kconfig *c)
{
	auto_free struct kconfig_option **sorted = xcalloc(c->n + 1, sizeof(*sorted));
	struct kconfig_option *items = xcalloc(c->n + 1, sizeof(*items));
	size_t n = 0;

	for (size_t i = 0; i < c->n; i++)
		sorted[i] = &c->items[i];
	qsort(sorted, c->n, sizeof(*sorted), by_name);
	for (size_t i = 0; i < c->n; i++) {
		struct kconfig_option *o = sorted[i];

		if ((i + 1 < c->n && str_eq(o->name, sorted[i + 1]->name)) ||
		    str_eq(o->value, "n")) {
			free(o->name);
			free(o->value);
		} else {
			items[n++] = *o;
		}
	}
	free(c->items);
	c->items = items;
	c->n = n;
}

int kconfig_parse(const char *name, const char *text, size_t len, struct kconfig *ret,
		  struct err *err)
{
	auto_cleanup(kconfig) c = {.arch = -1};
	const char *compiler;
	int r;

	if (len > KCONFIG_MAX_BYTES)
		return err_set(err, E2BIG, "%.200s: more than %d bytes", name, KCONFIG_MAX_BYTES);
	r = take_lines(name, text, len, &c, err);
	if (r < 0)
		return r;
	tidy(&c);
	/* "x86" is both; the 32-bit one is none of ours */
	if (c.arch == ARCH_AMD64 && str_eq(kconfig_get(&c, "X86_32"), "y"))
		c.arch = -1;
	compiler = kconfig_get(&c, "CC_VERSION_TEXT");
	if (*compiler == '"' && compiler[1])
		c.compiler = xstrndup(compiler + 1, strlen(compiler) - 2);
	*ret = c;
	c = (struct kconfig){0};
	return 0;
}

int kconfig_load(const char *path, struct kconfig *ret, struct err *err)
{
	auto_cleanup(buf) text = {0};
	int r = io_read_regular(AT_FDCWD, path, KCONFIG_MAX_BYTES, &text, err);

	return r < 0 ? r : kconfig_parse(path, text.data ? text.data : "", text.len, ret, err);
}

static int to_name(const void *key, const void *item)
{
	return strcmp(key, ((const struct kconfig_option *)item)->name);
}

static const char *find(const struct kconfig *c, const char *name)
{
	const struct kconfig_option *o =
		c->n ? bsearch(name, c->items, c->n, sizeof(*c->items), to_name) : NULL;

	return o ? o->value : NULL;
}

const char *kconfig_get(const struct kconfig *c, const char *option)
{
	const char *value = find(c, option);

	if (!value && str_starts(option, "CONFIG_"))
		value = find(c, option + 7);
	return value ? value : "n";
}

void kconfig_diff(const struct kconfig *a, const struct kconfig *b, kconfig_diff_fn fn, void *data)
{
	for (size_t i = 0, k = 0; i < a->n || k < b->n;) {
		const struct kconfig_option *x = i < a->n ? &a->items[i] : NULL;
		const struct kconfig_option *y = k < b->n ? &b->items[k] : NULL;
		int c = !x ? 1 : !y ? -1 : strcmp(x->name, y->name);

		if (c < 0)
			fn(data, x->name, x->value, "n");
		else if (c > 0)
			fn(data, y->name, "n", y->value);
		else if (!str_eq(x->value, y->value))
			fn(data, x->name, x->value, y->value);
		i += c <= 0;
		k += c >= 0;
	}
}

/* The kernel writes hexadecimal values in its own way. */
static bool same_value(const char *a, const char *b)
{
	if (str_starts(a, "0x") && str_starts(b, "0x"))
		return strtoull(a, NULL, 16) == strtoull(b, NULL, 16);
	return str_eq(a, b);
}

size_t kconfig_check(const struct kconfig *c, const struct fragment_set *wanted, kconfig_miss_fn fn,
		     void *data)
{
	size_t misses = 0;

	for (size_t i = 0; i < wanted->n; i++) {
		const struct fragment_option *o = wanted->items[i].option;
		const char *is = kconfig_get(c, o->name);

		if (same_value(o->value, is))
			continue;
		misses++;
		if (fn)
			fn(data, &wanted->items[i], is);
	}
	return misses;
}
