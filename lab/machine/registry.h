/*
 * registry.h - the machines that run now, of all labs of this user.
 *
 * Each has beside its sockets, in its connection's private folder (virt_run_dir()), NAME.vm: a JSON
 * object with what is needed to attach to it. A folder that no living lab holds is passed over, and
 * so is a file that is not this user's or does not parse.
 */
#ifndef LAB_REGISTRY_H
#define LAB_REGISTRY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "jail/base/arch.h"
#include "jail/base/cleanup.h"
#include "jail/base/err.h"
#include "lab/machine/dump.h"

enum { VM_FILE_MAX = 64 << 10, VM_MAX = 1000 };

struct vm {
	char *name;    /* "1234-0": the pid of its lab, and a number */
	char *kernel;  /* as kernel_resolve() takes it */
	char *release; /* NULL: not known */
	enum arch arch;
	char *what;    /* "shell", or the scenario's name */
	char *dir;     /* the cell's folder, absolute */
	char *gdb;     /* for "target remote" */
	char *control; /* socket for control_ask() */
	pid_t lab, qemu;
	int64_t started; /* seconds since 1970 */
	bool nokaslr;
};
void vm_deinit(struct vm *vm);
DEFINE_CLEANUP(vm, vm_deinit)
/* What NAME.vm says, untrusted. -EINVAL; *ret is written only on success. */
int vm_parse(const char *text, size_t len, struct vm *ret, struct err *err);

struct vm_list {
	struct vm *items; /* by start */
	size_t n;
};
int vm_list(struct vm_list *ret, struct err *err);
void vm_list_deinit(struct vm_list *l);
DEFINE_CLEANUP(vm_list, vm_list_deinit)
/*
 * The one that name means: its name, its cell ("6.1-amd64/userns/overlay"), or what it runs.
 * -ENOENT (the text lists those that run), -EEXIST (several: the text lists them).
 */
int vm_find(const char *name, struct vm *ret, struct err *err);

/* Enter and leave a machine; for who runs it. dir: virt_run_dir(). */
int vm_enter(const char *dir, const struct vm *vm, struct err *err);
void vm_leave(const char *dir, const char *name);

/* "running", "stopped in gdb", "running, gdb attached"; "no answer" when its lab gives none. */
const char *vm_state(const struct vm *vm);
/*
 * Ask the lab that runs vm to end it; it is gone on return. -ESRCH: it is gone already; -ETIMEDOUT:
 * its lab does not get to it (the text says what does).
 */
int vm_stop(const struct vm *vm, struct err *err);

/*
 * Have the lab that runs vm dump its memory to path (absolute, not there yet), which the guest
 * outlives. -EIO with that lab's own words, -ETIMEDOUT after ten minutes, -ESRCH.
 */
int vm_dump(const struct vm *vm, const char *path, enum dump_form form, struct dump_done *ret,
	    struct err *err);

#endif
