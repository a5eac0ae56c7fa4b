#include "jail/learn/decode.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "jail/base/str.h"

enum {
	PAGE = 4096,
	STRV_SHOWN = 6, /* strings of argv */
	ERRNO_MAX = 4095,
};

struct call {
	struct buf *out;
	enum arch arch;
	const struct syscall_def *def;
	const uint64_t *args;
	const struct call_memory *memory;
};

/* At most size bytes, a page at a time: what lies behind may not be mapped. */
static size_t fetch(const struct call_memory *memory, uint64_t address, void *to, size_t size)
{
	size_t done = 0;

	while (memory && address && done < size) {
		size_t want = PAGE - (address + done) % PAGE;
		ssize_t n;

		if (want > size - done)
			want = size - done;
		n = memory->read(memory->context, address + done, (char *)to + done, want);
		if (n <= 0)
			break;
		done += (size_t)n;
		if ((size_t)n < want)
			break;
	}
	return done;
}

static void print_pointer(struct buf *out, uint64_t value)
{
	if (value)
		buf_addf(out, "%#" PRIx64, value);
	else
		buf_adds(out, "NULL");
}

/* Text between quotes; what would end it gets a backslash. */
static void print_quoted(struct buf *out, const char *text, size_t len, bool is_cut)
{
	auto_cleanup(buf) clean = {0};

	str_printable(&clean, text, len, CALL_STRING_MAX, false);
	buf_adds(out, "\"");
	for (const char *s = clean.data; *s; s++)
		buf_addf(out, *s == '"' || *s == '\\' ? "\\%c" : "%c", *s);
	buf_adds(out, is_cut && !str_ends(clean.data, "…") ? "…\"" : "\"");
}

static void print_string(const struct call *call, uint64_t address)
{
	char text[CALL_STRING_MAX + 1];
	size_t n = fetch(call->memory, address, text, sizeof(text));
	const char *end = n ? memchr(text, '\0', n) : NULL;

	if (!n)
		return print_pointer(call->out, address);
	if (n > CALL_STRING_MAX)
		n = CALL_STRING_MAX;
	print_quoted(call->out, text, end ? (size_t)(end - text) : n, !end);
}

static void print_strings(const struct call *call, uint64_t address)
{
	uint64_t strings[STRV_SHOWN + 1];
	size_t n = fetch(call->memory, address, strings, sizeof(strings)) / sizeof(strings[0]);

	if (!n)
		return print_pointer(call->out, address);
	buf_adds(call->out, "[");
	for (size_t i = 0; i < n && strings[i]; i++) {
		buf_adds(call->out, i ? ", " : "");
		if (i == STRV_SHOWN) {
			buf_adds(call->out, "…");
			break;
		}
		print_string(call, strings[i]);
	}
	buf_adds(call->out, "]");
}

/* A path, an abstract name (its first byte is 0, shown as @) or nothing: unix(7). */
static void print_unix(struct buf *out, const char *path, size_t len)
{
	buf_adds(out, "{AF_UNIX");
	if (len && *path) {
		buf_adds(out, ", ");
		print_quoted(out, path, strnlen(path, len), false);
	} else if (len > 1) {
		buf_adds(out, ", @");
		print_quoted(out, path + 1, len - 1, false);
	}
	buf_adds(out, "}");
}

static void print_sockaddr(const struct call *call, unsigned int arg)
{
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_un un;
	} u = {0};
	uint64_t given = arg < 5 ? (uint32_t)call->args[arg + 1] : sizeof(u);
	size_t n = fetch(call->memory, call->args[arg], &u, given < sizeof(u) ? given : sizeof(u));
	char text[INET6_ADDRSTRLEN];

	if (n < sizeof(u.any.sa_family))
		print_pointer(call->out, call->args[arg]);
	else if (u.any.sa_family == AF_INET && n >= sizeof(u.in))
		buf_addf(call->out, "{AF_INET, %s:%u}",
			 inet_ntop(AF_INET, &u.in.sin_addr, text, sizeof(text)),
			 ntohs(u.in.sin_port));
	else if (u.any.sa_family == AF_INET6 && n >= offsetof(struct sockaddr_in6, sin6_scope_id))
		buf_addf(call->out, "{AF_INET6, [%s]:%u}",
			 inet_ntop(AF_INET6, &u.in6.sin6_addr, text, sizeof(text)),
			 ntohs(u.in6.sin6_port));
	else if (u.any.sa_family == AF_UNIX)
		print_unix(call->out, u.un.sun_path, n - offsetof(struct sockaddr_un, sun_path));
	else
		buf_addf(call->out, "{family %u}", u.any.sa_family);
}

static void print_number(const struct call *call, const struct arg_def *arg, uint64_t value)
{
	bool is_32bit = arg->type != ARG_LONG;
	int64_t number = is_32bit ? (int32_t)value : (int64_t)value;

	if (is_32bit)
		value = (uint32_t)value;
	if (arg->is_octal)
		buf_addf(call->out, value ? "0%" PRIo64 : "0", value);
	else if (constant_print(arg, call->arch, value, call->out))
		return;
	else if (arg->are_flags || number > UINT32_MAX || number < -ERRNO_MAX)
		buf_addf(call->out, value ? "%#" PRIx64 : "0", value);
	else
		buf_addf(call->out, "%" PRId64, number);
}

static void print_arg(const struct call *call, unsigned int i, const struct arg_def *arg)
{
	uint64_t value = call->args[i];

	switch (arg->type) {
	case ARG_FD:
		if ((int32_t)value == AT_FDCWD)
			buf_adds(call->out, "AT_FDCWD");
		else
			buf_addf(call->out, "%" PRId32, (int32_t)value);
		break;
	case ARG_INT:
	case ARG_LONG:
		print_number(call, arg, value);
		break;
	case ARG_PATH:
		print_string(call, value);
		break;
	case ARG_STRV:
		print_strings(call, value);
		break;
	case ARG_SOCKADDR:
		print_sockaddr(call, i);
		break;
	case ARG_PTR:
	case ARG_NONE:
		print_pointer(call->out, value);
	}
}

void call_print_arg(struct buf *out, enum arch arch, const struct syscall_def *def, unsigned int i,
		    uint64_t value)
{
	uint64_t args[6] = {0};
	const struct call call = {out, arch, def, args, NULL};

	args[i] = value;
	print_arg(&call, i, &call_args(def)[i]);
}

/* open's mode means nothing unless a file may be made: open(2). */
static bool is_idle_mode(const struct call *call, const struct arg_def *args, unsigned int i)
{
	return i && args[i].is_octal && args[i - 1].constants &&
	       strstr(args[i - 1].constants, "O_") && !(call->args[i - 1] & O_CREAT) &&
	       !(call->args[i - 1] & (O_TMPFILE & ~O_DIRECTORY));
}

static void print_args(const struct call *call)
{
	const struct arg_def *args = call_args(call->def);
	unsigned int n = 6;

	while (n && args[n - 1].type == ARG_NONE)
		n--;
	if (n && is_idle_mode(call, args, n - 1))
		n--;
	for (unsigned int i = 0; i < n; i++) {
		buf_adds(call->out, i ? ", " : "");
		print_arg(call, i, &args[i]);
	}
}

void call_print(struct buf *out, enum arch arch, int nr, const uint64_t args[6],
		const struct call_memory *memory)
{
	const char *name = syscall_name(arch, nr);
	const struct call call = {
		out, arch, name ? syscall_find(name) : NULL, args, memory,
	};

	if (name)
		buf_addf(out, "%s(", name);
	else
		buf_addf(out, "syscall_%d(", nr);
	if (call.def)
		print_args(&call);
	for (unsigned int i = 0; !call.def && i < 6; i++)
		buf_addf(out, i ? ", %#" PRIx64 : "%#" PRIx64, args[i]);
	buf_adds(out, ")");
}
