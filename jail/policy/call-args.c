#include "jail/policy/call-args.h"

#include <ctype.h>
#include <string.h>

#include "jail/base/str.h"

struct call_row {
	const char *call;
	struct arg_def args[6];
};

/* clang-format off */
#define ARG(n, t, ...) {.name = #n, .type = (t), __VA_ARGS__}
#define INT(n) ARG(n, ARG_INT, )
#define ENUM(n, c) ARG(n, ARG_INT, .constants = (c))
#define FLAGS(n, c) ARG(n, ARG_INT, .constants = (c), .are_flags = true)
#define MODE(n) ARG(n, ARG_INT, .constants = "S_", .are_flags = true, .is_octal = true)
#define LONG(n) ARG(n, ARG_LONG, )
#define LENUM(n, c) ARG(n, ARG_LONG, .constants = (c))
#define LFLAGS(n, c) ARG(n, ARG_LONG, .constants = (c), .are_flags = true)
#define FD(n) ARG(n, ARG_FD, )
#define DIRFD(n) ARG(n, ARG_FD, .constants = "AT_FDCWD")
#define PTR(n) ARG(n, ARG_PTR, )
#define PATH(n) ARG(n, ARG_PATH, )
#define STRV(n) ARG(n, ARG_STRV, )
#define SOCKADDR(n) ARG(n, ARG_SOCKADDR, )
#define KINT(n) ARG(n, ARG_INT, .is_learned = true)
#define KENUM(n, c) ARG(n, ARG_INT, .constants = (c), .is_learned = true)
#define KFLAGS(n, c) ARG(n, ARG_INT, .constants = (c), .are_flags = true, .is_learned = true)
#define KLFLAGS(n, c) ARG(n, ARG_LONG, .constants = (c), .are_flags = true, .is_learned = true)
/* clang-format on */

static const struct call_row table[] = {
#include "jail/policy/call-args-table.inc"
};

static const struct constant {
	const char *name;
	uint64_t value[ARCH_COUNT];
} constants[] = {
#include "jail/policy/constant-table.inc"
};

/* Second names, and masks: read, never printed. */
static const char *const unprinted[] = {
	"AF_FILE",
	"AF_LOCAL",
	"AF_ROUTE",
	"MAP_ANON",
	"MAP_TYPE",
	"MAP_FILE",
	"MAP_SHARED_VALIDATE",
	"O_ACCMODE",
	"O_NDELAY",
	"O_FSYNC",
	"O_RSYNC",
	"SIGCLD",
	"SIGIOT",
	"SIGPOLL",
	"SIGUNUSED",
	"S_IFMT",
	"PER_MASK",
	"STATX_ALL",
	"SECCOMP_RET_KILL",
	"SHM_W",
	"SHM_R",
	"SO_GET_FILTER",
	"MS_VERBOSE",
	"SOL_RAW",
};

static int row_by_name(const void *key, const void *row)
{
	return strcmp(key, ((const struct call_row *)row)->call);
}

const struct arg_def *call_args(const struct syscall_def *call)
{
	static const struct arg_def none[6];
	const struct call_row *row =
		bsearch(call->name, table, array_len(table), sizeof(table[0]), row_by_name);

	return row ? row->args : none;
}

int call_arg_find(const struct syscall_def *call, const char *name)
{
	const struct arg_def *args = call_args(call);

	if (str_starts(name, "arg") && name[3] >= '0' && name[3] <= '5' && !name[4])
		return name[3] - '0';
	for (int i = 0; i < 6; i++)
		if (args[i].name && str_eq(args[i].name, name))
			return i;
	return -1;
}

bool call_arg_is_32bit(const struct syscall_def *call, unsigned int arg)
{
	enum arg_type type = call_args(call)[arg].type;

	return type == ARG_INT || type == ARG_FD;
}

static int constant_by_name(const void *key, const void *constant)
{
	return strcmp(key, ((const struct constant *)constant)->name);
}

int constant_find(const char *name, uint64_t value[ARCH_COUNT])
{
	const struct constant *c = bsearch(name, constants, array_len(constants),
					   sizeof(constants[0]), constant_by_name);

	if (!c)
		return -ENOENT;
	memcpy(value, c->value, sizeof(c->value));
	return 0;
}

const char *constant_suggest(const char *name)
{
	const char *names[array_len(constants)];
	auto_free char *upper = xstrdup(name);

	for (char *p = upper; *p; p++)
		*p = toupper((unsigned char)*p);
	for (size_t i = 0; i < array_len(constants); i++)
		names[i] = constants[i].name;
	return str_nearest(upper, names, array_len(constants));
}

/*
 * Which of the blank-separated prefixes the name starts with, from 1; 0 for none of them, and for a
 * name that starts with one behind a '-'.
 */
static int prefix_of(const char *name, const char *prefixes)
{
	int found = 0;

	for (int i = 1; *prefixes; i++) {
		bool is_exclusion = *prefixes == '-';
		size_t len = strcspn(prefixes += is_exclusion, " ");

		if (strncmp(name, prefixes, len) == 0) {
			if (is_exclusion)
				return 0;
			if (!found)
				found = i;
		}
		prefixes += len;
		prefixes += *prefixes == ' ';
	}
	return found;
}

static bool is_printed(const char *name)
{
	for (size_t i = 0; i < array_len(unprinted); i++)
		if (str_eq(name, unprinted[i]))
			return false;
	return !str_starts(name, "PF_") && !str_ends(name, "_MASK");
}

/*
 * The constant that is the value, or with is_part the one that has most of its bits and no other.
 * The first prefix wins, and among equals the first name.
 */
static const struct constant *name_value(const struct arg_def *arg, enum arch arch, uint64_t value,
					 bool is_part)
{
	uint64_t low = arg->type == ARG_LONG ? UINT64_MAX : UINT32_MAX;
	const struct constant *best = NULL;
	int best_prefix = 0, best_bits = 0;

	for (size_t i = 0; i < array_len(constants); i++) {
		uint64_t v = constants[i].value[arch] & low;
		int bits = __builtin_popcountll(v);
		int prefix;

		/* CLONE_CLEAR_SIGHAND has only high bits: of an int it is none, and not 0 */
		if ((is_part ? !v || (v & ~value) : v != value) || (!v && constants[i].value[arch]))
			continue;
		prefix = prefix_of(constants[i].name, arg->constants);
		if (!prefix ||
		    (best &&
		     (prefix > best_prefix || (prefix == best_prefix && bits <= best_bits))) ||
		    !is_printed(constants[i].name))
			continue;
		best = &constants[i];
		best_prefix = prefix;
		best_bits = bits;
	}
	return best;
}

/* Flags in the order of their values, those of the first prefix first; the rest as a number. */
static void print_flags(const struct arg_def *arg, enum arch arch, uint64_t value, struct buf *out)
{
	const struct constant *flags[64], *c;
	size_t n = 0;

	while ((c = name_value(arg, arch, value, true))) {
		int prefix = prefix_of(c->name, arg->constants);
		size_t at = n++;

		for (; at && prefix_of(flags[at - 1]->name, arg->constants) == prefix &&
		       flags[at - 1]->value[arch] > c->value[arch];
		     at--)
			flags[at] = flags[at - 1];
		flags[at] = c;
		value &= ~c->value[arch];
	}
	for (size_t i = 0; i < n; i++)
		buf_addf(out, "%s%s", out->len ? "|" : "", flags[i]->name);
	if (value && out->len)
		buf_addf(out, "|%#llx", (unsigned long long)value);
}

bool constant_print(const struct arg_def *arg, enum arch arch, uint64_t value, struct buf *out)
{
	auto_cleanup(buf) text = {0};
	const struct constant *c;
	bool is_read_only;

	if (!arg->constants || arg->is_octal)
		return false;
	if (arg->type != ARG_LONG)
		value &= UINT32_MAX;
	/* the one flag that is zero is said with others too: people look for it */
	is_read_only = str_eq(arg->constants, "O_") && !(value & 3);
	c = is_read_only && value ? NULL : name_value(arg, arch, value, false);
	if (c || is_read_only)
		buf_adds(&text, c ? c->name : "O_RDONLY");
	if (!c && arg->are_flags && value != UINT32_MAX && value != UINT64_MAX)
		print_flags(arg, arch, value, &text);
	if (!text.len)
		return false;
	buf_add(out, text.data, text.len);
	return true;
}
