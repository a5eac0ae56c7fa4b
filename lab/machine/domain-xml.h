/*
 * domain-xml.h - what a machine is made of, and libvirt's XML for it.
 *
 * Pure. Written by libxml2, so that names and paths with any character in them stay text. Nothing
 * is in a machine that a guest does not need: each device costs time to create and to probe.
 */
#ifndef LAB_DOMAIN_XML_H
#define LAB_DOMAIN_XML_H

#include <stdbool.h>
#include <sys/types.h>

#include "jail/base/arch.h"
#include "jail/base/err.h"

/* Paths are absolute. */
struct machine_spec {
	const char *name; /* unique on this connection */
	enum arch arch;
	bool kvm;
	const char *emulator; /* QEMU's path; NULL: found by architecture */
	const char *kernel, *initrd;
	const char
		*cmdline; /* further words for the kernel, after the architecture's own; or NULL */
	const char *disk; /* read-only squashfs or NULL */
	unsigned int memory_mib, cpus;
	const char *console; /* file the serial console is appended to */
	bool console_socket; /* console is a unix socket instead (QEMU listens), < 108 bytes */
	const char *channel; /* unix socket (QEMU listens), < 108 bytes; NULL: no channel */
	pid_t guardian;	     /* whose death ends the machine (guardian.h); 0: nobody's */
	bool paused;	     /* stands before its first instruction until it is resumed */
	bool as_user;	     /* QEMU is to run as uid and gid, and owners of files stay */
	uid_t uid;
	gid_t gid;
};

/*
 * The domain's XML, allocated; NULL with err when the spec is not possible (-EINVAL: a string that
 * is not UTF-8 or holds control characters, a socket path that is too long, no memory given).
 */
char *domain_xml(const struct machine_spec *spec, struct err *err);

#endif
