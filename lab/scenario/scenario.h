/*
 * scenario.h - scenarios: YAML text in, a struct out; docs/lab-scenario.5 is the format.
 *
 * Pure. Input is untrusted; limits are those of yaml.h and SCENARIO_*. Every mistake is
 * name:line:column: text. Reading files and naming scenarios is scenario-load.h's.
 */
#ifndef LAB_SCENARIO_H
#define LAB_SCENARIO_H

#include "jail/base/arch.h"
#include "jail/base/err.h"
#include "jail/base/kver.h"
#include "jail/base/str.h"

enum {
	SCENARIO_MAX_TIMEOUT_MS = 3600 * 1000,
	SCENARIO_MIN_MEMORY_MIB = 96, /* an amd64 guest of 80 MiB dies of it at boot */
	SCENARIO_MAX_MEMORY_MIB = 4096,
	SCENARIO_MAX_REGEX = 1000, /* bytes */
};

/* Text that must (with negate: must not) occur: a substring, or /regex/ (POSIX extended, a line) */
struct match {
	bool regex, negate;
	char *text; /* without the slashes */
};
struct matches {
	struct match *items;
	size_t n;
};

struct expect_file {
	char *path;  /* of an artefact, relative */
	bool absent; /* must not exist */
	struct matches content;
};

struct expect {
	unsigned int line;
	struct kver_range kernel; /* when: n == 0 holds always */
	unsigned int archs;	  /* when: bit mask of enum arch; 0 holds always */
	struct strv config;	  /* when: kernel options that are all there */
	int exit_code; /* default 0; -1: any, or another end (signal, crash, hang) is named */
	int signal;    /* 0: none */
	bool hang;     /* END_HUNG or END_TIMEOUT is what should happen */
	struct matches crash; /* title of a crash that should happen (n == 0: none) */
	struct matches out, err, console;
	struct expect_file *files;
	size_t n_files;
};

struct scenario {
	char *name; /* "userns/overlay" (scenario-load.h); scenario_parse() puts the base name */
	char *path; /* the file; files are relative to its folder */
	char *summary;
	bool jailed; /* has a jail: key */
	struct strv
		jail_args; /* the options of jail(1) it stands for: "--namespace" "user,mount" … */
	struct strv argv;  /* run: as a list; or "/bin/sh" "-c" TEXT for shell text */
	struct strv files; /* relative to the scenario's folder; path_is_inside(). policy too */
	struct scenario_at {
		unsigned int line, column;
	} * files_at;	     /* where each of files is written, for messages about it */
	struct strv modules; /* "crashme": of the project; "driver/", "sub/driver": folders,
				relative to the scenario's, path_is_inside() but for a '/' at the
				end: scenario_module_dir() */
	struct scenario_at *modules_at;
	struct strv packages;
	struct strv artefacts; /* relative paths in the guest's working folder to bring home; those
				* that expect: files: names are among them */
	struct strv env;       /* K=V */
	bool trace;	       /* default true */
	bool oops_continue;    /* an oops does not end the machine */
	bool warnings_note;    /* a warning is noted, and no crash */
	int64_t timeout_ms;    /* default 30 s */
	unsigned int memory_mib; /* default 256 */
	unsigned int archs;	 /* bit mask; default all */
	struct kver_range requires_kernel;
	struct strv requires_config;
	struct expect *expects;
	size_t n_expects;
};

/*
 * Parse one scenario. path is for messages and scenario.path; nothing is opened. Returns 0 or
 * -EINVAL (err says path:line:column and what was expected), -E2BIG. *ret is written only on
 * success, and is the caller's: scenario_deinit().
 */
int scenario_parse(const char *path, const char *text, size_t len, struct scenario *ret,
		   struct err *err);
void scenario_deinit(struct scenario *s);
DEFINE_CLEANUP(scenario, scenario_deinit)

/* The first entry of expect whose when holds; NULL when none does. */
const struct expect *scenario_expectation(const struct scenario *s, const struct kver *kernel,
					  enum arch arch,
					  bool (*has_option)(const void *data, const char *option),
					  const void *data);

#endif
