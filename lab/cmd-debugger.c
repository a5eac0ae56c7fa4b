#include "lab/cmd-debugger.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lab/debug/debug.h"
#include "lab/debug/listen.h"

void debugger_args_deinit(struct debugger_args *a)
{
	strv_deinit(&a->breaks);
	strv_deinit(&a->scripts);
}

void debugger_deinit(struct debugger *d)
{
	free(take_ptr(d->listen));
}

int debugger_symbols_from(const char *option, enum symbols_want *ret, struct err *err)
{
	if (!option || str_eq(option, "auto"))
		*ret = SYMBOLS_AUTO;
	else if (str_eq(option, "package"))
		*ret = SYMBOLS_PACKAGE;
	else if (str_eq(option, "image"))
		*ret = SYMBOLS_IMAGE;
	else
		return err_set(err, EINVAL, "--symbols: '%.40s' is not auto, package or image",
			       option);
	return 0;
}

/* unix:PATH as an absolute path; the rest is the relay's to understand. */
static int parse_listen(const char *option, char **ret, struct err *err)
{
	const char *path = option + strlen("unix:");
	char here[PATH_MAX];

	if (!str_starts(option, "unix:")) {
		*ret = xstrdup(option);
		return 0;
	}
	if (!*path)
		return err_set(err, EINVAL, "--listen %s: no path", option);
	if (*path != '/' && !getcwd(here, sizeof(here)))
		return err_errno(err, "find the present folder");
	*ret = *path == '/' ? xstrdup(path) : path_join(here, path);
	return 0;
}

/* Whether that is a place to listen on, and free: found out before anything boots. */
static int try_listen(const char *where, struct err *err)
{
	auto_free char *address = NULL;
	auto_close int fd = listen_on(where, &address, err);

	if (fd < 0)
		return err_wrap(err, "--listen");
	if (where[0] == '/')
		unlink(where);
	return 0;
}

static int check(const struct debugger_args *a, struct err *err)
{
	if (a->batch && !a->scripts.n)
		return err_set(err, EINVAL, "--batch: no -x SCRIPT that says what to do");
	if (a->listen && (a->batch || a->scripts.n || a->breaks.n || a->program || a->pwndbg))
		return err_set(err, EINVAL,
			       "--listen starts no gdb: give its options to the one that attaches");
	if (a->program && a->pwndbg)
		return err_set(err, EINVAL, "--gdb and --pwndbg: which one?");
	if (a->batch && a->pwndbg)
		return err_set(err, EINVAL, "--batch and --pwndbg: pwndbg is for a person");
	for (size_t i = 0; i < a->breaks.n; i++)
		if (str_ends(a->breaks.items[i], ":"))
			return err_set(err, EINVAL, "--break %.100s: no condition after the colon",
				       a->breaks.items[i]);
	for (size_t i = 0; i < a->scripts.n; i++)
		if (access(a->scripts.items[i], R_OK) < 0)
			return err_errno(err, "-x %.300s", a->scripts.items[i]);
	return 0;
}

int debugger_parse(const struct debugger_args *a, struct debugger *ret, struct err *err)
{
	enum symbols_want from = SYMBOLS_AUTO;
	char *listen = NULL;
	int r = check(a, err);

	if (r == 0)
		r = debugger_symbols_from(a->symbols, &from, err);
	if (r == 0 && a->listen)
		r = parse_listen(a->listen, &listen, err);
	if (r == 0 && listen)
		r = try_listen(listen, err);
	if (r < 0) {
		free(listen);
		return r;
	}
	*ret = (struct debugger){.how = {.program = a->program,
					 .pwndbg = a->pwndbg,
					 .batch = a->batch,
					 .scripts = a->scripts.items,
					 .breaks = a->breaks.items},
				 .from = from,
				 .vmlinux = a->vmlinux,
				 .listen = listen};
	return 0;
}

int debugger_symbols(const struct debugger *d, const struct kernel *kernel,
		     const struct kernel_want *want, bool quiet, struct symbols *ret,
		     struct err *err)
{
	auto_free char *name = str_printf("%s %s", kernel->name, arch_name(kernel->arch));
	auto_free char *why = NULL;
	auto_cleanup(strv) notes = {0};
	int r = symbols_prepare(kernel, d->from, d->vmlinux, want, ret, &why, err);

	if (r < 0)
		return r;
	if (why && !quiet)
		fprintf(stderr, "lab: %s: %s\n", ret->what, why);
	r = debug_check_breaks(ret, name, d->how.breaks, &notes, err);
	for (size_t i = 0; i < notes.n; i++)
		fprintf(stderr, "lab: --break %s\n", notes.items[i]);
	return r;
}

/* Whether HOST:PORT can be reached from elsewhere. */
static bool is_beyond_loopback(const char *address)
{
	return address[0] != '/' && !str_starts(address, "127.") &&
	       !str_starts(address, "localhost:") && !str_starts(address, "[::1]:");
}

void debugger_say_how(const struct kernel *kernel, const struct symbols *symbols, const char *about,
		      const char *address)
{
	printf("%s %s %s. To attach:\n  %s %s -ex 'target remote %s'\n", kernel->name,
	       arch_name(kernel->arch), about,
	       kernel->arch == arch_native() ? "gdb" : "gdb-multiarch", symbols->vmlinux, address);
	if (is_beyond_loopback(address))
		printf("Whoever reaches %s from another host can attach, too.\n", address);
}
