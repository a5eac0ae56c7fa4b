#include "lab/kbuild/toolchain.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "jail/base/io.h"
#include "jail/base/proc.h"

enum { CLANG_NEWEST = 30, CLANG_OLDEST = 11 }; /* 6.1 wants 11 at least: min-tool-version.sh */

/*
 * What is known to go wrong with an old kernel and a newer compiler. A version of a stable series
 * may have the fix already: the flag does no harm there.
 */
static const struct breakage {
	const char *kernels; /* kver.h */
	bool llvm;
	unsigned int from; /* this compiler's major version and all newer ones */
	int arch;	   /* enum arch, or -1: both */
	const char *make;  /* for make's command line; NULL: there is no way around it */
	const char *cc;	   /* for the compiler, in places that no flag for make reaches */
	const char *why;
} breakages[] = {
	/* commits b3bee1e7c3f2, 8ba14d9f490a (6.14): parts of the boot code set flags of their own,
	   without a -std=; gcc 15 then takes -std=gnu23, where bool and false are keywords */
	{"<6.14", false, 15, -1, NULL, "-std=gnu11",
	 "gcc 15 compiles the boot code as C23, where 'bool' and 'false' are keywords"},
	/* commit 52a9dab6d892 (5.17): xrealloc() of tools/lib/subcmd; objtool is built with -Werror
	 */
	{"<5.17", false, 12, -1, "WERROR=0", NULL,
	 "gcc 12 warns of realloc() in tools/lib/subcmd, which takes warnings for errors"},
	{"<5.17", false, 12, -1, "HOSTCFLAGS=-Wno-error=use-after-free", NULL,
	 "gcc 12 warns of realloc() in objtool, which takes warnings for errors"},
	/* commit e33a814e772c (5.6): yylloc is defined twice; gcc 10 has -fno-common as default */
	{"<5.6", false, 10, -1, "HOSTCFLAGS=-fcommon", NULL,
	 "gcc 10 does not merge dtc's two definitions of yylloc"},
	/* commit a0d1c951ef08 (5.7) */
	{"<5.7", true, 0, -1, NULL, NULL, "kernels before 5.7 do not know LLVM=1: use gcc"},
	/* Documentation/kbuild/llvm.rst of 5.15: from there on by default. Before, with gcc's
	   assembler, clang needs CROSS_COMPILE too */
	{"<5.15", true, 0, ARCH_ARM64, "LLVM_IAS=1", NULL,
	 "clang's own assembler is not yet the default"},
};

static bool have(const char *program)
{
	auto_free char *file = proc_find(program);

	return file != NULL;
}

/* ccache fails where it cannot write, and every compilation with it. */
static bool can_ccache(void)
{
	char *argv[] = {(char *)"ccache", (char *)"--get-config", (char *)"cache_dir", NULL};
	const char *no = getenv("LAB_NO_CCACHE");
	auto_cleanup(buf) dir = {0};

	if ((no && *no) || !have("ccache") || proc_run(argv, &dir, NULL, NULL) != 0 || !dir.len)
		return false;
	dir.data[strcspn(dir.data, "\n")] = '\0';
	return io_mkdirs(dir.data, 0755, NULL) == 0 && access(dir.data, W_OK) == 0;
}

/* CROSS_COMPILE: the start of the names of binutils, and of gcc. */
static const char *cross_prefix(enum arch arch)
{
	if (arch == arch_native())
		return "";
	return arch == ARCH_ARM64 ? "aarch64-linux-gnu-" : "x86_64-linux-gnu-";
}

/* Programs that are not there, with the packages that have them on Debian. */
static int check_tools(enum arch arch, const char *host_cc, struct err *err)
{
	static const struct {
		const char *program, *package;
	} tools[] = {{"make", "make"}, {"flex", "flex"}, {"bison", "bison"},
		     {"bc", "bc"},     {"perl", "perl"}, {"lz4", "lz4"}};
	auto_cleanup(strv) missing = {0};
	auto_cleanup(buf) text = {0}, packages = {0};
	/* objtool, of kernels for amd64, reads ELF files */
	auto_free char *script =
		str_printf("printf '#include <gelf.h>\n' | %s -fsyntax-only -xc -", host_cc);
	char *headers[] = {(char *)"sh", (char *)"-c", script, NULL};

	if (!have(host_cc)) {
		strv_add(&missing, host_cc);
		buf_addf(&packages, " %s", host_cc);
	}
	for (size_t i = 0; i < array_len(tools); i++) {
		if (have(tools[i].program))
			continue;
		strv_add(&missing, tools[i].program);
		buf_addf(&packages, " %s", tools[i].package);
	}
	if (!missing.n && arch == ARCH_AMD64 && proc_run(headers, NULL, NULL, NULL) != 0) {
		strv_add(&missing, "gelf.h");
		buf_adds(&packages, " libelf-dev");
	}
	if (!missing.n)
		return 0;
	for (size_t i = 0; i < missing.n; i++)
		buf_addf(&text, "%s%s", i ? ", " : "", missing.items[i]);
	return err_set(err, ENOENT, "building a kernel needs %s (on Debian: apt-get install%s)",
		       text.data, packages.data);
}

/* Its first line, and its major version. */
static int ask_version(const char *cc, struct toolchain *tc, unsigned int *major, struct err *err)
{
	char *line[] = {(char *)cc, (char *)"--version", NULL};
	char *number[] = {(char *)cc, (char *)"-dumpversion", NULL};
	auto_cleanup(buf) text = {0}, dump = {0}, shown = {0};
	int r = proc_run(line, &text, NULL, err);

	if (r == 0)
		r = proc_run(number, &dump, NULL, err);
	if (r < 0)
		return r;
	if (r > 0 || !text.len || !dump.len)
		return err_set(err, ENOENT, "%s --version does not say its version", cc);
	str_printable(&shown, text.data, strcspn(text.data, "\n"), 200, false);
	tc->version = take_ptr(shown.data);
	*major = (unsigned int)strtoul(dump.data, NULL, 10);
	return 0;
}

/* Suffix of clang's and LLVM's programs: "", "-14"; NULL when they are not there. */
static char *llvm_suffix(void)
{
	static const char *const programs[] = {"clang",	     "ld.lld",	     "llvm-ar",
					       "llvm-nm",    "llvm-objcopy", "llvm-objdump",
					       "llvm-strip", "llvm-readelf"};

	for (int v = CLANG_NEWEST + 1; v >= CLANG_OLDEST; v--) {
		auto_free char *suffix = v > CLANG_NEWEST ? xstrdup("") : str_printf("-%d", v);
		bool all = true;

		for (size_t i = 0; all && i < array_len(programs); i++) {
			auto_free char *program = str_printf("%s%s", programs[i], suffix);

			all = have(program);
		}
		if (all)
			return take_ptr(suffix);
	}
	return NULL;
}

/*
 * Programs with a version in their names are given one by one: LLVM=-14 is only known from 5.18 on
 * (commit e9c281928c24).
 */
static int find_llvm(enum arch arch, struct toolchain *tc, char **cc, struct err *err)
{
	static const struct {
		const char *variable, *program;
	} tools[] = {{"LD", "ld.lld"},
		     {"AR", "llvm-ar"},
		     {"NM", "llvm-nm"},
		     {"HOSTLD", "ld.lld"},
		     {"HOSTAR", "llvm-ar"},
		     {"OBJCOPY", "llvm-objcopy"},
		     {"OBJDUMP", "llvm-objdump"},
		     {"STRIP", "llvm-strip"},
		     {"READELF", "llvm-readelf"}};
	auto_free char *suffix = llvm_suffix();

	if (!suffix)
		return err_set(err, ENOENT,
			       "no clang, lld and LLVM tools of one version in PATH (on Debian: "
			       "apt-get install clang lld llvm)");
	strv_add(&tc->make, "LLVM=1");
	for (size_t i = 0; *suffix && i < array_len(tools); i++)
		strv_addf(&tc->make, "%s=%s%s", tools[i].variable, tools[i].program, suffix);
	if (*cross_prefix(arch))
		strv_addf(&tc->make, "CROSS_COMPILE=%s", cross_prefix(arch));
	*cc = str_printf("clang%s", suffix);
	return 0;
}

char *toolchain_cc(enum arch arch, bool llvm)
{
	auto_free char *suffix = llvm ? llvm_suffix() : NULL;

	if (!llvm)
		return str_printf("%sgcc", cross_prefix(arch));
	return suffix ? str_printf("clang%s", suffix) : NULL;
}

static int find_gcc(enum arch arch, struct toolchain *tc, char **cc, struct err *err)
{
	const char *prefix = cross_prefix(arch);

	*cc = toolchain_cc(arch, false);
	if (!have(*cc))
		return err_set(err, ENOENT,
			       "no compiler for %s: %s is not in PATH (on Debian: apt-get install "
			       "%s; or --llvm builds with clang)",
			       arch_name(arch), *cc,
			       !*prefix		    ? "gcc"
			       : arch == ARCH_ARM64 ? "gcc-aarch64-linux-gnu"
						    : "gcc-x86-64-linux-gnu");
	if (*prefix)
		strv_addf(&tc->make, "CROSS_COMPILE=%s", prefix);
	return 0;
}

/* Flags for the compiler are added to cc. */
static int apply_breakages(enum arch arch, const struct kver *kver, unsigned int major,
			   struct toolchain *tc, struct buf *cc, struct err *err)
{
	auto_cleanup(buf) host = {0};

	for (size_t i = 0; kver && i < array_len(breakages); i++) {
		const struct breakage *b = &breakages[i];
		struct kver_range range;
		const char *flag = b->make ? b->make : b->cc;

		if (b->llvm != tc->llvm || major < b->from ||
		    (b->arch >= 0 && b->arch != (int)arch))
			continue;
		if (kver_range_parse(b->kernels, &range, err) < 0)
			return -EINVAL;
		if (!kver_in_range(kver, &range))
			continue;
		if (!flag)
			return err_set(err, ENOTSUP, "%s does not build kernel %u.%u: %s",
				       tc->version, kver->part[0], kver->part[1], b->why);
		strv_addf(&tc->notes, "%s: %s", flag, b->why);
		if (b->cc)
			buf_addf(cc, " %s", b->cc);
		else if (str_starts(b->make, "HOSTCFLAGS="))
			buf_addf(&host, "%s%s",
				 host.len ? " " : "HOSTCFLAGS=", b->make + strlen("HOSTCFLAGS="));
		else
			strv_add(&tc->make, b->make);
	}
	if (host.len)
		strv_add(&tc->make, host.data);
	return 0;
}

int toolchain_find(enum arch arch, bool llvm, const struct kver *kver, struct toolchain *ret,
		   struct err *err)
{
	auto_cleanup(toolchain) tc = {.llvm = llvm};
	auto_cleanup(buf) cc = {0};
	auto_free char *name = NULL;
	unsigned int major = 0;
	bool ccache;
	int r;

	strv_addf(&tc.make, "ARCH=%s", arch == ARCH_ARM64 ? "arm64" : "x86");
	r = llvm ? find_llvm(arch, &tc, &name, err) : find_gcc(arch, &tc, &name, err);
	if (r == 0)
		r = check_tools(arch, llvm ? name : "gcc", err);
	if (r == 0)
		r = ask_version(name, &tc, &major, err);
	if (r < 0)
		return r;
	ccache = can_ccache();
	buf_addf(&cc, "CC=%s%s", ccache ? "ccache " : "", name);
	r = apply_breakages(arch, kver, major, &tc, &cc, err);
	if (r < 0)
		return r;
	strv_add(&tc.make, cc.data);
	strv_addf(&tc.make, "HOSTCC=%s%s", ccache ? "ccache " : "", llvm ? name : "gcc");
	*ret = tc;
	tc = (struct toolchain){0};
	return 0;
}

int toolchain_check_pahole(struct err *err)
{
	if (have("pahole"))
		return 0;
	return err_set(
		err, ENOENT,
		"BTF needs pahole, which is not in PATH (on Debian: apt-get install pahole)");
}

void toolchain_deinit(struct toolchain *t)
{
	free(t->version);
	strv_deinit(&t->make);
	strv_deinit(&t->notes);
	*t = (struct toolchain){0};
}
