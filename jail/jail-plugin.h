/*
 * jail-plugin.h - plugins of jail: shared objects that are asked about system calls.
 *
 * This header is all that a plugin needs, and it stays compatible: members are only ever added at
 * the end of a struct, and `size` says which of them the other side has. jail-plugin(3) has an
 * example. A plugin is loaded into jail itself, from an absolute path that a policy (`plugins:`) or
 * --plugin names, and runs with jail's rights, outside the sandbox.
 *
 * Hooks run one at a time, in jail's only thread: while one runs, the thread whose call it is
 * waits, and so does every other call that jail has to see. They must not fork, block, exit, start
 * threads or change signals. One that crashes ends jail, and with it the command.
 */
#ifndef JAIL_PLUGIN_H
#define JAIL_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define JAIL_PLUGIN_ABI 1

enum jail_verdict_kind {
	JAIL_GO_ON,  /* the kernel makes the call, if the next plugin agrees */
	JAIL_REFUSE, /* it is not made, and fails with the errno in value */
	JAIL_RETURN, /* it is not made, and returns value */
	JAIL_KILL,   /* it is not made, and the process dies, as by the policy */
	/*
	 * It is not made, and returns a descriptor: a copy of the plugin's own, value,
	 * close-on-exec like it. jail closes value. Not for a call that also has `after`: that is
	 * refused (EPERM).
	 */
	JAIL_FD,
};

struct jail_verdict {
	enum jail_verdict_kind kind;
	int64_t value;
};

/* A system call. The arguments are registers: what they point to may change at any time. */
struct jail_call {
	size_t size;
	const char *name; /* "openat" */
	int nr;
	int tid; /* of the thread that makes it, as jail sees it */
	uint64_t args[6];
	int64_t result; /* `after` only: what the call returned, a negative errno when it failed */
};

/* What jail does for a plugin. */
struct jail_host {
	size_t size;
	/*
	 * Copy at most len bytes, and 4096, at an address of the thread's memory. Returns how many,
	 * or a negative errno. What was read may have changed before the kernel reads it: good for
	 * showing and counting, not for deciding.
	 */
	int64_t (*read_memory)(const struct jail_host *host, int tid, uint64_t address, void *to,
			       size_t len);
	/* A line in jail's log and on its stderr, after the plugin's name, made printable. */
	void (*say)(const struct jail_host *host, const char *text);
};

/* What a plugin is. Hooks may be NULL. */
struct jail_plugin {
	size_t size;	  /* sizeof(struct jail_plugin) */
	unsigned int abi; /* JAIL_PLUGIN_ABI */
	const char *name; /* in messages */
	const char *const
		*calls; /* names, ended by NULL: the calls that before and after are for */

	/*
	 * Before the command starts. host stays valid until end(); options are NAME=VALUE of the
	 * policy, ended by NULL. *state is handed to every other hook. Returns 0, or a negative
	 * errno: then the command does not start.
	 */
	int (*start)(const struct jail_host *host, const char *const *options, void **state);
	/* A call that the policy allows is about to be made. */
	struct jail_verdict (*before)(void *state, const struct jail_call *call);
	/* It was made, and returned. */
	void (*after)(void *state, const struct jail_call *call);
	/* A process of the sandbox began; parent is 0 for the command itself. */
	void (*process_start)(void *state, int pid, int parent);
	/* It ended: status as of wait(2). */
	void (*process_end)(void *state, int pid, int status);
	/* Everything ended. Only after a start() that succeeded. */
	void (*end)(void *state);
};

/* What a plugin exports. */
extern const struct jail_plugin jail_plugin __attribute__((visibility("default")));

#ifdef __cplusplus
}
#endif

#endif
