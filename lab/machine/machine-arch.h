/*
 * machine-arch.h - what a guest's machine is made of, for each architecture: one table.
 *
 * Pure. Models are fixed, so that a result does not depend on the host.
 */
#ifndef LAB_MACHINE_ARCH_H
#define LAB_MACHINE_ARCH_H

#include <stdbool.h>

#include "jail/base/arch.h"

struct machine_arch {
	const char *emulator;	 /* name of QEMU's program, looked for in PATH */
	const char *package;	 /* Debian's package that has it */
	const char *machine;	 /* libvirt's and QEMU's machine type */
	const char *cpu;	 /* CPU model under TCG */
	const char *cpu_without; /* a feature of it that TCG gets wrong, or NULL */
	/* Under KVM, which cannot pretend another vendor's core: NULL means host-passthrough. */
	const char *kvm_cpu;
	const char *console;  /* the kernel's name of the serial console */
	const char *pci_root; /* libvirt's model of the root bus */
	const char *panic;    /* libvirt's panic device model, or NULL: console text tells */
	bool acpi;	      /* whether the guest gets ACPI tables */
	const char *cmdline;  /* fixed words of the kernel's command line */
};

const struct machine_arch *machine_arch(enum arch arch);

#endif
