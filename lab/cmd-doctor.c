#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#include "jail/base/io.h"
#include "jail/base/proc.h"
#include "lab/cache.h"
#include "lab/cmd.h"
#include "lab/debug/gdb.h"
#include "lab/kbuild/toolchain.h"
#include "lab/machine/accel.h"
#include "lab/machine/qemu.h"

struct doctor_args {
	bool json;
};

static const struct opt options[] = {
	{0, "json", NULL, OPT_FLAG, offsetof(struct doctor_args, json), "machine-readable output"},
};

static const struct cmd_usage usage = {
	"doctor", "[options]",
	"What this host can do, and what to do about the rest. Starts no machine.\n"
	"Exit code: 0 when runs are possible, 3 when something they need is missing."};

enum status { OK, WARN, FAIL };
static const char *const status_names[] = {"ok", "warn", "FAIL"};

/* Lines are printed together at the end: --json wants one document. */
struct report {
	json_t *checks;
	bool failed;
};

/* todo: what to do about it, NULL when nothing is to be done. */
static void add(struct report *r, enum status status, const char *name, const char *text,
		const char *todo)
{
	json_array_append_new(r->checks, json_pack("{s:s, s:s, s:s, s:s?}", "check", name, "status",
						   status == FAIL ? "fail" : status_names[status],
						   "text", text, "todo", todo));
	r->failed |= status == FAIL;
}

static void check_qemu(struct report *r, enum arch arch)
{
	auto_free char *name = str_printf("QEMU %s", arch_name(arch)), *path, *version = NULL,
		       *text = NULL;
	struct err err = {0};

	path = qemu_find(arch, &err);
	version = path ? qemu_version(path, &err) : NULL;
	if (version) {
		text = str_printf("%s %s", version, path);
		add(r, OK, name, text, NULL);
		return;
	}
	/* Guests of the other architecture are a choice. */
	add(r, arch == arch_native() ? FAIL : WARN, name, "not usable", err.msg);
}

static void check_libvirt(struct report *r)
{
	struct virt *v = NULL;
	struct err err = {0};

	if (virt_open(NULL, &v, &err) == 0)
		add(r, OK, "libvirt", virt_describe(v), NULL);
	else
		add(r, FAIL, "libvirt", "the embedded QEMU driver does not start", err.msg);
	virt_close(v);
}

static void check_kvm(struct report *r)
{
	bool cached = false;
	auto_free char *why = accel_why_not(arch_native(), &cached), *text = NULL;

	if (why)
		text = str_printf("guests are emulated: %s", why);
	if (why && cached)
		add(r, WARN, "KVM", text,
		    "slower, and nothing else; to ask again remove accel.json from the cache");
	else if (why)
		add(r, WARN, "KVM", text, "slower, and nothing else");
	else if (cached)
		add(r, OK, "KVM", "a probe guest booted", NULL);
	else
		add(r, OK, "KVM", "/dev/kvm opens; the first run boots a probe guest to be sure",
		    NULL);
}

static bool in_path(const char *program)
{
	auto_free char *file = proc_find(program);

	return file != NULL;
}

static void check_trust(struct report *r)
{
	const char *keyring = getenv("LAB_KEYRING");

	if (!keyring || !*keyring)
		keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
	if (!in_path("gpgv") && !in_path("sqv"))
		add(r, WARN, "signatures", "neither gpgv nor sqv: kernels cannot be pinned anew",
		    "install gpgv");
	else if (!io_exists(keyring))
		add(r, WARN, "signatures",
		    "Debian's keyring is missing: kernels cannot be pinned anew",
		    "install debian-archive-keyring, or set LAB_KEYRING");
	else
		add(r, OK, "signatures", keyring, NULL);
}

static void check_guest_programs(struct report *r, enum arch arch)
{
	auto_free char *name = str_printf("guest %s", arch_name(arch)), *agent, *jail = NULL;
	struct err err = {0};

	agent = home_guest_program(arch_name(arch), "agent", &err);
	jail = agent ? home_guest_program(arch_name(arch), "jail", &err) : NULL;
	if (jail)
		add(r, OK, name, agent, NULL);
	else
		add(r, arch == arch_native() ? FAIL : WARN, name, "programs are missing", err.msg);
}

static void check_cache(struct report *r)
{
	enum { NEED_MIB = 300, WISH_MIB = 2048 };
	struct err err = {0};
	auto_free char *dir = cache_dir(NULL, &err), *text = NULL;
	struct statvfs fs;
	uint64_t mib;

	if (!dir || statvfs(dir, &fs) < 0) {
		add(r, FAIL, "cache", "no folder for it", dir ? strerror(errno) : err.msg);
		return;
	}
	mib = (uint64_t)fs.f_bavail * fs.f_frsize >> 20;
	text = str_printf("%s, %" PRIu64 " MiB free", dir, mib);
	if (access(dir, W_OK) < 0)
		add(r, FAIL, "cache", text,
		    "it is not writable: set LAB_CACHE to a folder of yours");
	else if (mib < WISH_MIB)
		add(r, mib < NEED_MIB ? FAIL : WARN, "cache", text,
		    "a kernel needs 100-200 MiB: make room ('lab cache prune'), or set LAB_CACHE");
	else
		add(r, OK, "cache", text, NULL);
}

/* Kernels from source are a choice: nothing here fails. */
static void check_builds(struct report *r, enum arch arch)
{
	auto_free char *name = str_printf("kernels %s", arch_name(arch)), *text = NULL;
	auto_cleanup(toolchain) gcc = {0}, clang = {0};
	struct err err = {0};

	if (toolchain_find(arch, false, NULL, &gcc, &err) == 0) {
		add(r, OK, name, gcc.version, NULL);
	} else if (toolchain_find(arch, true, NULL, &clang, NULL) == 0) {
		text = str_printf("%s, with --llvm alone", clang.version);
		add(r, OK, name, text, NULL);
	} else {
		add(r, WARN, name, "cannot be built from source", err.msg);
	}
}

static void check_build_tools(struct report *r)
{
	struct err err = {0};

	if (in_path("ccache"))
		add(r, OK, "ccache", "makes what was compiled before a matter of seconds", NULL);
	else
		add(r, OK, "ccache", "none: every kernel is compiled anew", NULL);
	if (toolchain_check_pahole(&err) == 0)
		add(r, OK, "pahole", "for kernels with BTF (flavour debug)", NULL);
	else
		add(r, WARN, "pahole", "none: no kernels with BTF (flavour debug)", err.msg);
}

static void check_build_space(struct report *r)
{
	enum { NEED_MIB = 2500, WISH_MIB = 6000 }; /* a tree of 1.5 GiB and its objects; KASAN's */
	auto_free char *dir = cache_dir("builds", NULL), *text = NULL;
	struct statvfs fs;
	uint64_t mib;

	if (!dir || statvfs(dir, &fs) < 0)
		return; /* check_cache() has said so */
	mib = (uint64_t)fs.f_bavail * fs.f_frsize >> 20;
	text = str_printf("%" PRIu64 " MiB free; sources and objects take 2 GiB and more", mib);
	if (mib < WISH_MIB)
		add(r, WARN, "room for builds", text,
		    mib < NEED_MIB ? "too little: make room ('lab cache prune'), or set LAB_CACHE"
				   : "little for kernels with debug information");
	else
		add(r, OK, "room for builds", text, NULL);
}

/* Debugging is a choice too: nothing here fails. */
static void check_gdb(struct report *r, enum arch arch)
{
	auto_free char *name = str_printf("gdb %s", arch_name(arch)), *path;
	struct err err = {0};

	path = gdb_find(arch, &(struct gdb_how){0}, &err);
	if (path)
		add(r, OK, name, path, NULL);
	else
		add(r, WARN, name, "guests cannot be debugged", err.msg);
}

static void check_pwndbg(struct report *r)
{
	struct err err = {0};
	auto_free char *path = gdb_find(arch_native(), &(struct gdb_how){.pwndbg = true}, &err);

	add(r, OK, "pwndbg", path ? "for lab debug --pwndbg" : "none, and nothing needs it", NULL);
}

/* The package of libvirt's driver does not have the program by which it writes files. */
static void check_dumps(struct report *r)
{
	static const char *const helpers[] = {"/usr/lib/libvirt/libvirt_iohelper",
					      "/usr/libexec/libvirt_iohelper"};
	auto_free char *text = NULL;
	bool there = false;

	for (size_t i = 0; i < array_len(helpers); i++)
		there |= io_exists(helpers[i]);
	text = str_printf("lab crash opens them in gdb%s%s", in_path("drgn") ? ", drgn" : "",
			  in_path("crash") ? ", crash" : "");
	if (there)
		add(r, OK, "dumps", text, NULL);
	else
		add(r, WARN, "dumps", "guests that crash leave none: no libvirt_iohelper",
		    "on Debian: apt-get install libvirt-daemon");
}

static void check_memory(struct report *r)
{
	enum { NEED_MIB = 400, WISH_MIB = 1024 };
	auto_cleanup(buf) info = {0};
	auto_free char *text = NULL;
	uint64_t kib = 0;
	const char *at;

	if (io_read_file(AT_FDCWD, "/proc/meminfo", 64 << 10, &info, NULL) == 0 && info.data &&
	    (at = strstr(info.data, "MemAvailable:")))
		sscanf(at, "MemAvailable: %" SCNu64, &kib);
	text = str_printf("%" PRIu64 " MiB available, a machine takes 256 and some", kib >> 10);
	if (kib >> 10 < WISH_MIB)
		add(r, kib >> 10 < NEED_MIB ? FAIL : WARN, "memory", text,
		    "run fewer at a time: --jobs 1");
	else
		add(r, OK, "memory", text, NULL);
}

/* The number in a file of /proc/sys, or -1 when there is none. */
static long long sysctl(const char *path)
{
	auto_cleanup(buf) text = {0};

	if (io_read_file(AT_FDCWD, path, 64, &text, NULL) < 0 || !text.data)
		return -1;
	return atoll(text.data);
}

static void check_user_namespaces(struct report *r)
{
	if (sysctl("/proc/sys/user/max_user_namespaces") == 0)
		add(r, WARN, "user namespaces", "switched off: jail needs root on this host",
		    "sysctl user.max_user_namespaces=10000");
	else if (sysctl("/proc/sys/kernel/unprivileged_userns_clone") == 0)
		add(r, WARN, "user namespaces", "for root only: jail needs root on this host",
		    "sysctl kernel.unprivileged_userns_clone=1");
	else if (sysctl("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") > 0)
		add(r, WARN, "user namespaces",
		    "restricted by AppArmor: jail needs root on this host",
		    "sysctl kernel.apparmor_restrict_unprivileged_userns=0");
	else
		add(r, OK, "user namespaces", "allowed", NULL);
}

static void check_terminal(struct report *r)
{
	if (!isatty(STDOUT_FILENO))
		add(r, OK, "terminal", "none: plain lines", NULL);
	else
		add(r, OK, "terminal",
		    getenv("NO_COLOR") ? "live progress" : "live progress, colour", NULL);
}

static void print(const struct report *r)
{
	size_t i;
	json_t *c;

	json_array_foreach(r->checks, i, c)
	{
		const char *status = json_string_value(json_object_get(c, "status"));
		const char *todo = json_string_value(json_object_get(c, "todo"));

		printf("%-4s  %-16s %s\n", str_eq(status, "fail") ? status_names[FAIL] : status,
		       json_string_value(json_object_get(c, "check")),
		       json_string_value(json_object_get(c, "text")));
		if (todo)
			printf("      %-16s → %s\n", "", todo);
	}
	printf("\n%s\n", r->failed ? "Runs are not possible yet." : "Runs are possible.");
}

int cmd_doctor(int argc, char **argv)
{
	struct report r = {.checks = json_array()};
	struct doctor_args a = {0};
	int operands,
		code = cmd_options(&usage, options, array_len(options), argc, argv, &a, &operands);

	if (code < 0 && operands < argc) {
		struct err err = {0};

		err_set(&err, EINVAL, "doctor takes no arguments");
		code = cmd_fail(EXIT_USAGE, &err);
	}
	if (code >= 0) {
		json_decref(r.checks);
		return code;
	}
	for (int arch = 0; arch < ARCH_COUNT; arch++)
		check_qemu(&r, arch);
	check_libvirt(&r);
	check_kvm(&r);
	for (int arch = 0; arch < ARCH_COUNT; arch++)
		check_guest_programs(&r, arch);
	check_trust(&r);
	check_cache(&r);
	for (int arch = 0; arch < ARCH_COUNT; arch++)
		check_builds(&r, arch);
	check_build_tools(&r);
	check_build_space(&r);
	for (int arch = 0; arch < ARCH_COUNT; arch++)
		check_gdb(&r, arch);
	check_pwndbg(&r);
	check_dumps(&r);
	check_memory(&r);
	check_user_namespaces(&r);
	check_terminal(&r);
	if (a.json) {
		json_t *j = json_pack("{s:i, s:b, s:O}", "schema", 1, "ready", !r.failed, "checks",
				      r.checks);

		json_dumpf(j, stdout, JSON_INDENT(2));
		putchar('\n');
		json_decref(j);
	} else {
		print(&r);
	}
	json_decref(r.checks);
	return r.failed ? EXIT_LOST : EXIT_MET;
}
